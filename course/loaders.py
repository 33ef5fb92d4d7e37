"""Read folders of labelled images: `<folder>/<class>/<image>`, one sub-folder per class.

`load_images_from_directory` does what the plain loop over `preprocess_image` does, to the
last pixel, and keeps a packed copy of the result, so that loading the same folder again takes
a fraction of a second. The packed copy is made anew whenever a file is added, removed or changed.
"""

import errno
import os
import unicodedata
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from course import photos
from course.copies import packed
from course.paths import is_junk

import numpy as np
from PIL import Image

if TYPE_CHECKING:  # pandas is only imported by the two functions that return its tables
    import pandas as pd


# --- Which files belong to which class ---------------------------------------------------


def class_folders(root_folder: str | Path) -> list[tuple[str, Path]]:
    """The class folders of `root_folder` as (label, path), sorted by the label's code points.

    Hidden folders and the ones that operating systems leave behind are passed over.

    Raises
    ------
    FileNotFoundError, NotADirectoryError, ValueError
        The folder, which is named, is missing, is a file, has no class folders, or has two that
        spell the same label.
    """
    root = Path(root_folder)
    expected = "one sub-folder per class, each holding that class's images"
    if not root.exists():
        raise FileNotFoundError(
            errno.ENOENT, f"This folder of images does not exist. Expected: {expected}", str(root)
        )
    if not root.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"Expected {expected}, found a file", str(root))
    with os.scandir(root) as entries:
        found = sorted(
            (_label(entry.name), Path(entry.path))
            for entry in entries
            if entry.is_dir() and not is_junk(entry.name)
        )
    if not found:
        raise ValueError(f"No class folders in {root}. Expected: {expected}.")
    for (label, first), (next_label, second) in zip(found, found[1:]):
        if label == next_label:
            raise ValueError(
                f"Two folders of {root} spell the same class {label!r} in different Unicode "
                f"forms: {first.name!r} and {second.name!r}. Merge them into one."
            )
    return found


def _label(name: str) -> str:
    """The class that a folder's name spells: UTF-8 whatever the locale says, and composed (NFC).

    Some macOS volumes store names decomposed.
    """
    try:
        name = os.fsencode(name).decode("utf-8")
    except UnicodeDecodeError:
        pass
    return unicodedata.normalize("NFC", name)


def image_entries(folder: str) -> list[os.DirEntry]:
    """Image files of one class folder; shorter names first, so that 2.png precedes 10.png."""
    images, others = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            suffix = "." + name.rpartition(".")[2].lower()
            if suffix in photos.SUFFIXES and not is_junk(name):
                images.append((len(name), name, entry))
            elif suffix in photos.OTHER_SUFFIXES and not is_junk(name):
                others.append(name)
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        warnings.warn(
            f"Left out, since pictures of this kind are not read: {min(others)}{more} in {folder}. "
            "Save them as PNG or JPEG.",
            stacklevel=4,
        )
    return [entry for _, _, entry in sorted(images, key=lambda image: image[:2])]


def _check_images_exist(root_folder: str | Path, number: int) -> None:
    if number == 0:
        raise ValueError(
            f"The class folders of {root_folder} hold no images. Expected files ending in "
            f"{', '.join(sorted(photos.SUFFIXES))} directly inside each class folder."
        )


def count_images_in_folders(root_folder: str | Path) -> "pd.Series":
    """Count the images of each class; a class folder without images counts 0.

    Returns
    -------
    Series of int
        Named "images", indexed by class, in code point order.

    Raises
    ------
    FileNotFoundError, NotADirectoryError, ValueError
        See `class_folders`.
    """
    import pandas as pd

    counts = {label: len(image_entries(str(path))) for label, path in class_folders(root_folder)}
    return pd.Series(counts, name="images", dtype="int64").rename_axis("class")


def get_image_dimensions(root_folder: str | Path) -> "pd.DataFrame":
    """Read the height and width of every image, from the files' headers alone.

    Returns
    -------
    DataFrame
        One row per image and the columns "class" (str), "height" and "width" (int, pixels),
        classes in code point order.

    Raises
    ------
    FileNotFoundError, NotADirectoryError, ValueError
        See `class_folders`; ValueError also when there are no images, or naming those whose
        header cannot be read.
    """
    import pandas as pd

    rows, failures = [], []
    for label, path in class_folders(root_folder):
        for entry in image_entries(str(path)):
            try:
                rows.append((label, *photos.picture_size(entry.path)))
            except photos.PhotoError as error:
                failures.append(str(error))
    packed.raise_unreadable(failures, len(rows) + len(failures), root_folder)
    _check_images_exist(root_folder, len(rows))
    return pd.DataFrame(rows, columns=["class", "height", "width"])


# --- Reading images ----------------------------------------------------------------------


def preprocess_image(img_path: str | Path, img_height: int = 80, img_width: int = 60) -> np.ndarray:
    """Read one image as grey levels at the size that the models take.

    Colour becomes luminance (ITU-R BT.601, as in Pillow's "L" mode); `course.photos.read_picture`
    says what becomes of other kinds. The resize is Pillow's bicubic, whose kernel widens when an
    image shrinks, so that thin strokes are averaged, not skipped (anti-aliasing; Pillow
    documentation, "Concepts: Filters"). The aspect ratio is not kept: every image fills the whole
    rectangle.

    Returns
    -------
    ndarray, shape (img_height, img_width, 1), uint8
        0 (black) to 255 (white).

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        The file is empty, damaged or not an image (it is named), or a size is not positive.
    """
    _check_size(img_height, img_width)
    if not os.path.exists(img_path):
        raise FileNotFoundError(errno.ENOENT, "No such image", str(img_path))
    grey = photos.read_picture(img_path).convert("L")
    # In two steps, since which direction Pillow takes first depends on its version.
    rows = grey.resize((img_width, grey.height), Image.Resampling.BICUBIC)
    return np.array(rows.resize((img_width, img_height), Image.Resampling.BICUBIC))[:, :, np.newaxis]


def _check_size(img_height: int, img_width: int) -> None:
    if img_height < 1 or img_width < 1:
        raise ValueError(f"An image needs at least one row and one column, not {img_height} by {img_width}.")


def load_images_from_directory(
    directory: str | Path,
    img_height: int = 80,
    img_width: int = 60,
    class_names: Sequence[str] | None = None,
    skip_unknown: bool = False,
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Load a folder of labelled images, as the loop over `preprocess_image` would.

    Parameters
    ----------
    directory : str or Path
        Folder with one sub-folder per class. Hidden files and folders, and files that are not
        images, are ignored.
    class_names : list of str, optional
        The classes in the order of their labels, usually those of the training set; by default
        the classes found, in code point order.
    skip_unknown : bool
        Leave out, with a warning, classes that class_names does not list.

    Returns
    -------
    X : ndarray, shape (n, img_height, img_width, 1), uint8
        0 (black) to 255 (white). Grey levels stay in one byte each until the model's Rescaling
        layer makes floats of them. Where a packed copy could be kept, X is read from it as needed;
        writing to X changes neither the copy nor the images.
    y : ndarray, shape (n,), int64
        The position of each image's class in class_names.
    class_names : list of str

    Raises
    ------
    FileNotFoundError, NotADirectoryError, ValueError
        See `class_folders`; ValueError also for no images at all, for images that cannot be read
        (they are named), and for a class folder that is not in the class_names given, unless
        skip_unknown.

    Warns
    -----
    UserWarning
        A class has no images here, or is skipped.
    """
    _check_size(img_height, img_width)
    folder = Path(directory)
    found = {
        label: [entry.path for entry in image_entries(str(path))] for label, path in class_folders(folder)
    }
    _check_images_exist(folder, sum(map(len, found.values())))
    names = _order_of_classes(found, class_names, skip_unknown, folder)
    counts = [len(found.get(name, [])) for name in names]

    paths = [path for name in names for path in found.get(name, [])]
    X = packed.packed_images(folder, paths, img_height, img_width)
    return X, np.repeat(np.arange(len(names)), counts), names


def _order_of_classes(
    found: dict[str, list[str]], class_names: Sequence[str] | None, skip_unknown: bool, folder: Path
) -> list[str]:
    """The class names to use, checked against the folders that are there."""
    with_images = [label for label, paths in found.items() if paths]
    if class_names is None:
        if empty := [label for label in found if label not in with_images]:
            warnings.warn(
                f"No images in the folder of {_listing(empty)} in {folder}; left out of the classes.",
                stacklevel=3,
            )
        return with_images
    names = [unicodedata.normalize("NFC", name) for name in class_names]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"class_names lists a class twice: {_listing(twice)}.")
    unknown = [label for label in with_images if label not in names]
    if len(unknown) == len(with_images):
        raise ValueError(f"{folder} has images of none of the classes in class_names.")
    if unknown and not skip_unknown:
        raise ValueError(
            f"{folder} has images of {_listing(unknown)}, which class_names does not list. Train "
            "with these classes, or leave them out with skip_unknown=True."
        )
    if unknown:
        warnings.warn(
            f"Left out, since class_names does not list them: {_listing(unknown)} in {folder}.", stacklevel=3
        )
    if missing := [name for name in names if name not in with_images]:
        warnings.warn(f"No images of {_listing(missing)} in {folder}; its label stays unused.", stacklevel=3)
    return names


def _listing(labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:10])
    return shown if len(labels) <= 10 else f"{shown} and {len(labels) - 10} more classes"

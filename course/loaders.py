"""Read folders of labelled images: `<folder>/<class>/<image>`, one sub-folder per class.

`load_images_from_directory` does what the plain loop over `preprocess_image` does, to the last pixel, and
keeps a packed copy, made anew whenever a file changes, so that loading again takes a fraction of a second.
"""

import itertools
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

    Hidden folders and those of systems are passed over. FileNotFoundError, NotADirectoryError or ValueError
    if the folder, which is named, is missing, is a file, has no class folders, or two of the same label.
    """
    with os.scandir(root_folder) as entries:
        folders = [Path(entry.path) for entry in entries if entry.is_dir() and not is_junk(entry.name)]
    if not folders:
        raise ValueError(
            f"No class folders in {root_folder}. Expected: one sub-folder per class, each holding that "
            "class's images."
        )
    # Names are UTF-8 whatever the locale says, and composed: some macOS volumes store them decomposed.
    names = [os.fsencode(path.name).decode("utf-8", "surrogateescape") for path in folders]
    found = sorted((unicodedata.normalize("NFC", name), path) for name, path in zip(names, folders))
    for (label, first), (next_label, second) in itertools.pairwise(found):
        if label == next_label:
            raise ValueError(
                f"Two folders of {root_folder} spell the same class {label!r} in different Unicode "
                f"forms: {first.name!r} and {second.name!r}. Merge them into one."
            )
    return found


def find_images(root_folder: str | Path) -> tuple[dict[str, list[str]], list[str]]:
    """The paths of each class's images, shorter names first (2.png, 10.png), and what is passed over.

    Passed over are files and folders among the images that are none by their names, and images beside the
    classes; what systems leave behind is not spoken of. Errors are those of `class_folders`.
    """
    found = {}
    passed_over = _sorted_names(root_folder)[0]
    for label, path in class_folders(root_folder):
        names, others = _sorted_names(path)
        found[label] = [os.path.join(path, name) for name in names]
        passed_over += [f"{label}/{name}" for name in others]
    return found, passed_over


def _sorted_names(folder: str | Path) -> tuple[list[str], list[str]]:
    """The names of a folder's images, and of what else is there but junk; shorter names first."""
    images, others = [], []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: (len(entry.name), entry.name)):
            if not is_junk(entry.name):
                suffix = os.path.splitext(entry.name)[1].lower()
                (images if suffix in photos.SUFFIXES and not entry.is_dir() else others).append(entry.name)
    return images, others


def _images_by_class(root_folder: str | Path, none_will_do: bool = False) -> dict[str, list[str]]:
    """The paths of each class's images, of which there is one; a warning counts what is passed over."""
    found, others = find_images(root_folder)
    if others:
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        warnings.warn(
            f"{len(others)} passed over in {root_folder}: {', '.join(others[:5])}{more}. Read are pictures "
            "directly inside each class folder; save those of other kinds as PNG or JPEG.",
            stacklevel=3,
        )
    if not any(found.values()) and not none_will_do:
        raise ValueError(
            f"The class folders of {root_folder} hold no images. Expected files ending in "
            f"{', '.join(sorted(photos.SUFFIXES))} directly inside each class folder."
        )
    return found


def count_images_in_folders(root_folder: str | Path) -> "pd.Series":
    """Count the images of each class: a Series of int named "images", by class in code point order.

    A class folder without images counts 0. Errors are those of `class_folders`.
    """
    import pandas as pd

    counts = {label: len(paths) for label, paths in _images_by_class(root_folder, True).items()}
    return pd.Series(counts, name="images", dtype="int64").rename_axis("class")


def get_image_dimensions(root_folder: str | Path) -> "pd.DataFrame":
    """Read the height and width of every image, from the files' headers alone.

    A table of one row per image, with columns "class" (str), "height" and "width" (int, pixels), classes in
    code point order. Errors are those of `load_images_from_directory`.
    """
    import pandas as pd

    rows, failures = [], []
    for label, paths in _images_by_class(root_folder).items():
        for path in paths:
            try:
                rows.append((label, *photos.picture_size(path)))
            except photos.PhotoError as error:
                failures.append(str(error))
    packed.raise_unreadable(failures, len(rows) + len(failures), root_folder)
    return pd.DataFrame(rows, columns=["class", "height", "width"])


# --- Reading images ----------------------------------------------------------------------


def preprocess_image(img_path: str | Path, img_height: int = 80, img_width: int = 60) -> np.ndarray:
    """Read one image as grey levels at the size that the models take.

    Colour becomes luminance (ITU-R BT.601, as in Pillow's "L" mode); `course.photos.read_picture`
    says what becomes of other kinds. The resize is Pillow's bicubic, whose kernel widens when an
    image shrinks, so that thin strokes are averaged, not skipped (anti-aliasing; Pillow
    documentation, "Concepts: Filters"). The aspect ratio is not kept: every image fills the whole
    rectangle. The result, uint8, 0 (black) to 255 (white), has the shape (img_height, img_width, 1).

    ValueError if the file, which is named, is missing, empty, damaged or not an image, or a size is not
    positive.
    """
    grey = photos.read_picture(img_path).convert("L")
    # In two steps, since which direction Pillow takes first depends on its version.
    rows = grey.resize((img_width, grey.height), Image.Resampling.BICUBIC)
    return np.array(rows.resize((img_width, img_height), Image.Resampling.BICUBIC))[:, :, np.newaxis]


def load_images_from_directory(
    directory: str | Path,
    img_height: int = 80,
    img_width: int = 60,
    class_names: Sequence[str] | None = None,
    skip_unknown: bool = False,
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Load a folder of labelled images, as the loop over `preprocess_image` would.

    Warnings say what is passed over, and when a class has no images here, or is skipped. Errors are those of
    `class_folders`; ValueError also for no images at all, for images that cannot be read (which are named),
    and for a class that class_names does not list, unless skip_unknown.

    Parameters
    ----------
    class_names : list of str, optional
        The classes in the order of their labels, usually those of the training set; by default those found.
    skip_unknown : bool
        Leave out, with a warning, classes that class_names does not list.

    Returns
    -------
    X : ndarray, shape (n, img_height, img_width, 1), uint8
        0 (black) to 255 (white). Where a packed copy could be kept, X is read from it as needed; writing to X
        changes neither the copy nor the images.
    y : ndarray, shape (n,), int64
        The position of each image's class in class_names.
    class_names : list of str
    """
    folder = Path(directory)
    found = _images_by_class(folder)
    names = _order_of_classes(found, class_names, skip_unknown, folder)
    paths = [found.get(name, []) for name in names]
    X = packed.packed_images(folder, list(itertools.chain(*paths)), img_height, img_width)
    return X, np.repeat(np.arange(len(names)), list(map(len, paths))), names


def _order_of_classes(
    found: dict[str, list[str]], class_names: Sequence[str] | None, skip_unknown: bool, folder: Path
) -> list[str]:
    """The class names to use, checked against the folders that are there."""
    with_images = [label for label, paths in found.items() if paths]
    given = found if class_names is None else class_names
    names = [unicodedata.normalize("NFC", name) for name in given]
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
        told = f"Left out, since class_names does not list them: {_listing(unknown)} in {folder}."
        warnings.warn(told, stacklevel=3)
    if missing := [name for name in names if name not in with_images]:
        what = "left out of the classes" if class_names is None else "its label stays unused"
        warnings.warn(f"No images of {_listing(missing)} in {folder}; {what}.", stacklevel=3)
    return with_images if class_names is None else names


def _listing(labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:10])
    return shown if len(labels) <= 10 else f"{shown} and {len(labels) - 10} more classes"

"""Read folders of labelled images: `<folder>/<class>/<image>`, one sub-folder per class.

`load_images_from_directory` does what the plain loop over `preprocess_image` does, to the
last pixel, and keeps a packed copy of the result, so that loading the same folder again takes
a fraction of a second. The packed copy is made anew whenever a file is added, removed or changed.
"""

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
import time
import unicodedata
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from course import photos
from course.paths import DATA, is_junk

import numpy as np
import PIL
from PIL import Image
from platformdirs import user_cache_path

if TYPE_CHECKING:  # pandas is only imported by the two functions that return its tables
    import pandas as pd

PACKED = DATA / ".packed"
USER_CACHE = user_cache_path("computer-vision-course", appauthor=False)

_BLOCK = 1024  # images resized together: about 6 MB
_LARGE = 2**18  # pixels


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


def _image_entries(folder: str) -> list[os.DirEntry]:
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

    counts = {label: len(_image_entries(str(path))) for label, path in class_folders(root_folder)}
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
        for entry in _image_entries(str(path)):
            try:
                rows.append((label, *photos.picture_size(entry.path)))
            except photos.PhotoError as error:
                failures.append(str(error))
    _raise_unreadable(failures, len(rows) + len(failures), root_folder)
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
    return _resize(grey, img_height, img_width)[:, :, np.newaxis]


def _check_size(img_height: int, img_width: int) -> None:
    if img_height < 1 or img_width < 1:
        raise ValueError(f"An image needs at least one row and one column, not {img_height} by {img_width}.")


def _resize(grey: Image.Image, height: int, width: int) -> np.ndarray:
    # In two steps, since which direction Pillow takes first depends on its version.
    rows = grey.resize((width, grey.height), Image.Resampling.BICUBIC)
    return np.array(rows.resize((width, height), Image.Resampling.BICUBIC))


def _resize_together(images: list[np.ndarray], height: int, width: int) -> np.ndarray:
    """Resize grey images exactly as `_resize` does each, into (n, height, width)."""
    narrowed = _resize_rows(images, width)
    resized = _resize_rows([image.T for image in narrowed], height)
    return np.ascontiguousarray(np.stack(resized).swapaxes(1, 2))


def _resize_rows(images: list[np.ndarray], width: int) -> list[np.ndarray]:
    """Resize along rows, all images of one width in one call of Pillow, which takes less time."""
    by_width = defaultdict(list)
    for index, image in enumerate(images):
        by_width[image.shape[1]].append(index)
    result = images.copy()
    for indices in by_width.values():
        stack = Image.fromarray(np.concatenate([images[index] for index in indices]))
        resized = np.asarray(stack.resize((width, stack.height), Image.Resampling.BICUBIC))
        ends = np.cumsum([len(images[index]) for index in indices])
        for index, part in zip(indices, np.split(resized, ends)):
            result[index] = part
    return result


def _read_grey_array(path: str) -> np.ndarray:
    """The grey levels of a picture, (height, width), as `read_picture` gives them.

    OpenCV decodes the usual kind of PNG in half of Pillow's time; it too checks every checksum.
    """
    import cv2

    try:
        with open(path, "rb", buffering=0) as file:
            data = file.read()
    except OSError:
        data = b""  # the other reader says what is wrong
    pixels = int.from_bytes(data[16:20], "big") * int.from_bytes(data[20:24], "big")
    eight_bits_grey = data.startswith(b"\x89PNG\r\n\x1a\n") and data[24:29] == b"\x08\0\0\0\0"
    unusual = (b"tRNS", b"eXIf", b"acTL")  # transparent, turned, animated
    if eight_bits_grey and pixels < 2**24 and not any(chunk in data for chunk in unusual):
        grey = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        if grey is not None:
            return grey
    return np.asarray(photos.read_picture(path).convert("L"))


def _read_images(paths: list[str], height: int, width: int, folder: Path) -> Iterator[np.ndarray]:
    """Yield the images in blocks, (n, height, width); after a bad one only look for more of them."""
    failures: list[str] = []
    for start in range(0, len(paths), _BLOCK):
        images = []
        for path in paths[start : start + _BLOCK]:
            try:
                image = _read_grey_array(path)
            except photos.PhotoError as error:
                failures.append(str(error))
                continue
            if image.size > _LARGE:  # photographs: many together would fill the memory
                image = _resize(Image.fromarray(image), height, width)
            images.append(image)
        if not failures:
            yield _resize_together(images, height, width)
    _raise_unreadable(failures, len(paths), folder)


def _raise_unreadable(failures: list[str], number: int, root_folder: str | Path) -> None:
    """Name the first of the files that failed, if any did."""
    if failures:
        shown = failures[:5]
        if len(failures) > len(shown):
            shown.append(f"and {len(failures) - len(shown)} more")
        raise ValueError(
            f"{len(failures)} of {number} images in {root_folder} cannot be read. Replace or delete:\n  "
            + "\n  ".join(shown)
        )


class _Class(NamedTuple):
    """The images of one class folder, and a row for each: bytes, times of modification and change (ns)."""

    label: str
    folder: str
    names: list[str]
    stats: np.ndarray


def _scan(root_folder: Path) -> list[_Class]:
    """Every class folder of `root_folder` with its image files."""
    classes = []
    for label, path in class_folders(root_folder):
        entries = _image_entries(str(path))
        # On Windows DirEntry.stat() may be stale for hard links; os.stat() never is.
        stats = [os.stat(entry.path) if os.name == "nt" else entry.stat() for entry in entries]
        rows = [(each.st_size, each.st_mtime_ns, each.st_ctime_ns) for each in stats]
        table = np.array(rows, np.int64).reshape(-1, 3)
        classes.append(_Class(label, str(path), [entry.name for entry in entries], table))
    return classes


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
    found = {each.label: each for each in _scan(folder)}
    _check_images_exist(folder, sum(len(each.names) for each in found.values()))
    names = _order_of_classes(found, class_names, skip_unknown, folder)
    classes = [found[name] for name in names if name in found and found[name].names]

    X = _packed_images(folder, classes, img_height, img_width)
    labels = [names.index(each.label) for each in classes]
    y = np.repeat(np.array(labels, dtype=np.int64), [len(each.names) for each in classes])
    return X, y, names


def _order_of_classes(
    found: dict[str, _Class], class_names: Sequence[str] | None, skip_unknown: bool, folder: Path
) -> list[str]:
    """The class names to use, checked against the folders that are there."""
    with_images = [label for label, each in found.items() if each.names]
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


# --- The packed copy ---------------------------------------------------------------------


def _packed_images(folder: Path, classes: list[_Class], height: int, width: int) -> np.ndarray:
    """The images of `classes`, in order: from the packed copy, or decoded and packed."""
    signature = _signature(classes)
    shape = (sum(len(each.names) for each in classes), height, width, 1)
    # A sub-folder for each image folder, so that its outdated copies can be found.
    place = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    targets = [
        store / place / f"{height}x{width}-{signature}.npy" for store in (PACKED, USER_CACHE / "packed")
    ]
    for target in targets:
        if (packed := _open_packed(target, shape)) is not None:
            return packed

    paths = [os.path.join(each.folder, name) for each in classes for name in each.names]
    for target in targets:
        try:
            _write_packed(target, _read_images(paths, height, width, folder), shape)
        except OSError:
            continue  # read-only, full, no such drive; files that cannot be read are a ValueError
        _remove_outdated(target, folder, signature)
        return _open_packed(target, shape)
    return np.concatenate(list(_read_images(paths, height, width, folder)))[..., np.newaxis]


def _signature(classes: list[_Class]) -> str:
    """What a packed copy depends on: the reading code, Pillow, every file's name, size and times.

    The change time is part of it, so that an edit which puts size and modification time back is
    noticed too (where the system keeps a change time; on Windows it is the creation time). A file
    that changes while it is read leaves a copy that no later signature fits.
    """
    code = [Path(file).read_bytes() for file in (__file__, photos.__file__)]
    digest = hashlib.blake2b(b"".join(code) + PIL.__version__.encode(), digest_size=16)
    for each in classes:
        digest.update("\0".join(["", each.label, *each.names]).encode("utf-8", "surrogatepass"))
        digest.update(each.stats.tobytes())
    return digest.hexdigest()


def _open_packed(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The packed copy, mapped and private (copy on write), or None when it is not usable."""
    try:
        images = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return images.view(np.ndarray) if (images.dtype, images.shape) == (np.uint8, shape) else None


def _write_packed(target: Path, blocks: Iterator[np.ndarray], shape: tuple[int, ...]) -> None:
    """Write the images, block by block, into an .npy file, which appears whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".new-") as fresh:
        with open(Path(fresh, target.name), "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            file.writelines(blocks)
        os.replace(Path(fresh, target.name), target)


def _remove_outdated(kept: Path, folder: Path, signature: str) -> None:
    """Remove packed copies of earlier states of `folder`, and those of folders now gone."""
    # Tidying up is never worth an error: a file may be in use by another process (Windows).
    with contextlib.suppress(OSError):
        (kept.parent / "folder.txt").write_bytes(os.fsencode(folder.resolve()))
        for path in kept.parent.glob("*.npy"):
            if not path.stem.endswith(signature):
                path.unlink()
        for path in kept.parent.glob(".new-*"):  # left by a process that was killed
            if time.time() - path.stat().st_mtime > 86_400:
                shutil.rmtree(path)
        for note in kept.parent.parent.glob("*/folder.txt"):
            if not os.path.isdir(os.fsdecode(note.read_bytes())):
                shutil.rmtree(note.parent)

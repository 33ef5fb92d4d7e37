"""Read folders of labelled images: `<folder>/<class>/<image>`, one sub-folder per class.

`load_images_from_directory` does what the plain loop over `preprocess_image` does, to the
last pixel, but decodes on all cores and keeps a packed copy of the result, so that loading
the same folder again takes a fraction of a second. The packed copy is made anew whenever a
file is added, removed or changed.
"""

import errno
import hashlib
import json
import math
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unicodedata
import warnings
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from course.paths import DATA, REPOSITORY

import numpy as np
from PIL import Image, ImageOps
from platformdirs import user_cache_path

if TYPE_CHECKING:  # pandas is only imported by the two functions that return its tables
    import pandas as pd

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
PACKED = DATA / ".packed"
USER_CACHE = user_cache_path("computer-vision-course", appauthor=False)

_FOREIGN_FOLDERS = {"__MACOSX", "$RECYCLE.BIN", "System Volume Information"}
_BLOCK = 128  # images resized together: about 1 MB, so memory stays small
_IMAGES_PER_WORKER = 10_000  # a further process pays from here on
_IMAGES_WHILE_STARTING = 4_000  # what one process decodes while another starts
_LARGE = 2**18  # pixels; larger images are resized as soon as they are read
_READ_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


# --- Which files belong to which class ---------------------------------------------------


@dataclass(frozen=True)
class _ClassFolder:
    """One class: its label, its folder and its image files in order.

    `stats` has a row for each file: size in bytes, then times of modification and of change
    in nanoseconds.
    """

    label: str
    path: str
    names: list[str]
    stats: np.ndarray


def _label(name: str) -> str:
    """The class label that a folder's name spells, whatever the system's encoding.

    Bytes are read as UTF-8 even where the locale says otherwise, and composed (NFC), since
    some macOS volumes store names decomposed.
    """
    try:
        return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8"))
    except UnicodeDecodeError:
        return unicodedata.normalize("NFC", name)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _FOREIGN_FOLDERS


def _image_entries(folder: str) -> list[os.DirEntry]:
    """Image files of one class folder; shorter names first, so that 2.png precedes 10.png."""
    with os.scandir(folder) as entries:
        images = [
            (len(entry.name), entry.name, entry)
            for entry in entries
            if entry.name.lower().endswith(IMAGE_SUFFIXES) and entry.name[0] != "."
        ]
    images.sort(key=lambda item: item[:2])
    return [entry for _, _, entry in images]


def class_folders(root_folder: str | Path) -> list[tuple[str, Path]]:
    """The class folders of `root_folder` as (label, path), sorted by the label's code points.

    Hidden folders and the ones that operating systems leave behind are passed over.
    Raises FileNotFoundError, NotADirectoryError or ValueError, naming the folder, when it is
    missing, is a file, has no class folders, or has two that spell the same label.
    """
    root = Path(root_folder)
    if not root.exists():
        raise FileNotFoundError(
            errno.ENOENT,
            "This folder of images does not exist. Expected: one sub-folder per "
            "class, each holding that class's images",
            str(root),
        )
    if not root.is_dir():
        raise NotADirectoryError(
            errno.ENOTDIR, "Expected a folder with one sub-folder per class, found a file", str(root)
        )
    with os.scandir(root) as entries:
        found = [
            (_label(entry.name), Path(entry.path))
            for entry in entries
            if entry.is_dir() and not _is_hidden(entry.name)
        ]
    if not found:
        raise ValueError(
            f"No class folders in {root}. Expected: one sub-folder per class, each holding "
            "that class's images."
        )
    found.sort()
    for (label, first), (next_label, second) in zip(found, found[1:]):
        if label == next_label:
            raise ValueError(
                f"Two folders of {root} spell the same class {label!r} in different Unicode "
                f"forms: {first.name!r} and {second.name!r}. Merge them into one."
            )
    return found


def _scan(root_folder: str | Path) -> list[_ClassFolder]:
    """Every class folder of `root_folder` with its image files and their stats."""
    classes = []
    for label, path in class_folders(root_folder):
        entries = _image_entries(str(path))
        # On Windows DirEntry.stat() may be stale for hard links; os.stat() never is.
        stats = [
            (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
            for stat in (os.stat(entry.path) if os.name == "nt" else entry.stat() for entry in entries)
        ]
        classes.append(
            _ClassFolder(
                label,
                str(path),
                [entry.name for entry in entries],
                np.array(stats, dtype=np.int64).reshape(-1, 3),
            )
        )
    return classes


def _check_images_exist(root_folder: str | Path, number: int) -> None:
    if number == 0:
        raise ValueError(
            f"The class folders of {root_folder} hold no images. Expected files ending in "
            f"{', '.join(IMAGE_SUFFIXES)} directly inside each class folder."
        )


def count_images_in_folders(root_folder: str | Path) -> "pd.Series":
    """Count the images of each class.

    Args:
        root_folder: folder with one sub-folder per class.

    Returns:
        Series of int, named "images", indexed by class, in code point order. A class folder
        without images counts 0.

    Raises:
        FileNotFoundError, NotADirectoryError, ValueError: see `class_folders`.
    """
    import pandas as pd

    counts = {label: len(_image_entries(str(path))) for label, path in class_folders(root_folder)}
    return pd.Series(counts, name="images", dtype="int64").rename_axis("class")


def get_image_dimensions(root_folder: str | Path) -> "pd.DataFrame":
    """Read the height and width of every image, from the files' headers alone.

    Args:
        root_folder: folder with one sub-folder per class.

    Returns:
        DataFrame with one row per image and the columns "class" (str), "height" and "width"
        (int, pixels), classes in code point order.

    Raises:
        FileNotFoundError, NotADirectoryError, ValueError: see `class_folders`; ValueError also
            when there are no images, or naming those whose header cannot be read.
    """
    import pandas as pd

    labels, sizes, failures = [], [], []
    for label, path in class_folders(root_folder):
        for entry in _image_entries(str(path)):
            try:
                sizes.append(_read_size(entry.path))
                labels.append(label)
            except _READ_ERRORS as error:
                failures.append((entry.path, _reason(entry.path, error)))
    _raise_unreadable(failures, len(sizes) + len(failures), root_folder)
    _check_images_exist(root_folder, len(sizes))
    table = pd.DataFrame(sizes, columns=["height", "width"], dtype="int64")
    table.insert(0, "class", labels)
    return table


# --- Reading one image -------------------------------------------------------------------


def preprocess_image(img_path: str | Path, img_height: int = 80, img_width: int = 60) -> np.ndarray:
    """Read one image as grey levels at the size that the models take.

    Colour becomes luminance (ITU-R BT.601, as in Pillow's "L" mode); transparent pixels are
    shown on white paper; 16-bit levels are scaled to 8 bits. The resize is Pillow's bicubic,
    whose kernel widens when an image shrinks, so that thin strokes are averaged, not
    skipped (anti-aliasing; Pillow documentation, "Concepts: Filters"). The aspect ratio is
    not kept: every image fills the whole rectangle.

    Args:
        img_path: an image file that Pillow reads.
        img_height: rows of the result.
        img_width: columns of the result.

    Returns:
        uint8 array of shape (img_height, img_width, 1), 0 (black) to 255 (white).

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is empty, damaged or not an image (it is named), or a size is
            not positive.
    """
    _check_size(img_height, img_width)
    if not os.path.exists(img_path):
        raise FileNotFoundError(errno.ENOENT, "No such image", str(img_path))
    try:
        grey = _read_grey(img_path)
    except _READ_ERRORS as error:
        raise ValueError(f"Cannot read the image {img_path}: {_reason(img_path, error)}") from error
    return np.array(_resize(grey, img_height, img_width))[:, :, np.newaxis]


def _check_size(img_height: int, img_width: int) -> None:
    if img_height < 1 or img_width < 1:
        raise ValueError(f"An image needs at least one row and one column, not {img_height} by {img_width}.")


def _resize(grey: Image.Image, height: int, width: int) -> Image.Image:
    # In two steps, since which direction Pillow takes first depends on its version.
    rows = grey.resize((width, grey.height), Image.Resampling.BICUBIC)
    return rows.resize((width, height), Image.Resampling.BICUBIC)


def _read_grey(path: str | Path) -> Image.Image:
    """Read an image file as an 8-bit grey Pillow image."""
    with Image.open(path) as image:
        image.load()
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        # Pillow's own conversion would cut everything above 255 off.
        levels = np.asarray(image, dtype=np.uint32)
        return Image.fromarray(((levels + 128) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"its pixels are {image.mode!r} (32-bit), with no agreed white level")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(paper, image).convert("L")
    return image.convert("L")


def _reason(path: str | Path, error: Exception) -> str:
    """Why an image cannot be read, in a few words."""
    try:
        if os.path.getsize(path) == 0:
            return "the file is empty"
    except OSError:
        pass
    if isinstance(error, Image.UnidentifiedImageError):
        return "it is not an image, or its first bytes are damaged"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _raise_unreadable(failures: list[tuple[str, str]], number: int, root_folder: str | Path) -> None:
    """Name the first of the files that failed, each given with the reason; if any did."""
    if not failures:
        return
    shown = [f"  {path}: {reason}" for path, reason in failures[:5]]
    if len(failures) > len(shown):
        shown.append(f"  and {len(failures) - len(shown)} more")
    raise ValueError(
        "\n".join(
            [
                f"{len(failures)} of {number} images in {root_folder} cannot be read. Replace or delete:",
                *shown,
            ]
        )
    )


def _read_size(path: str) -> tuple[int, int]:
    """Height and width of an image in pixels."""
    with open(path, "rb", buffering=0) as file:
        head = file.read(26)
    if len(head) == 26 and head[:8] == b"\x89PNG\r\n\x1a\n" and head[12:16] == b"IHDR":
        width, height = struct.unpack(">II", head[16:24])
        if width and height:
            return height, width
    with Image.open(path) as image:
        turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        return image.size if turned else image.size[::-1]


# --- Reading many images -----------------------------------------------------------------

_PLAIN_CHUNKS = {b"IHDR", b"IDAT", b"IEND", b"pHYs", b"tEXt", b"tIME"}


def _is_plain_png(data: bytes) -> bool:
    """Whether `data` is a whole, undamaged, 8-bit grey PNG with nothing unusual in it."""
    if data[:16] != b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" or len(data) < 45:
        return False
    width, height, *options = struct.unpack_from(">IIBBBBB", data, 16)
    if options != [8, 0, 0, 0, 0] or not 0 < width * height <= 2**24:
        return False
    position = 8
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if kind not in _PLAIN_CHUNKS or end + 4 > len(data):
            return False
        if zlib.crc32(data[position + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return False
        if kind == b"IEND":
            return True
        position = end + 4
    return False


def _read_grey_array(path: str) -> np.ndarray:
    """`_read_grey` as an array (height, width); quicker for the usual kind of PNG.

    OpenCV decodes in a third of Pillow's time. Files that are not proven whole and usual
    take Pillow's path, so that both give equal pixels and errors.
    """
    import cv2

    with open(path, "rb", buffering=0) as file:
        data = file.read()
    if _is_plain_png(data):
        grey = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        if grey is not None:
            return grey
    return np.asarray(_read_grey(path))


def _resize_together(images: list[np.ndarray], height: int, width: int) -> np.ndarray:
    """Resize grey images exactly as `_resize` does each, but in few large calls.

    Images of equal width are stacked and resized along rows at once, and likewise images of
    equal height along columns.
    """
    narrowed: list[np.ndarray] = [np.empty(0)] * len(images)
    by_width = defaultdict(list)
    for index, image in enumerate(images):
        by_width[image.shape[1]].append(index)
    for indices in by_width.values():
        stack = Image.fromarray(np.concatenate([images[index] for index in indices], axis=0))
        rows = np.asarray(stack.resize((width, stack.height), Image.Resampling.BICUBIC))
        ends = np.cumsum([images[index].shape[0] for index in indices])[:-1]
        for index, part in zip(indices, np.split(rows, ends)):
            narrowed[index] = part

    result = np.empty((len(images), height, width), np.uint8)
    by_height = defaultdict(list)
    for index, image in enumerate(narrowed):
        by_height[image.shape[0]].append(index)
    for indices in by_height.values():
        stack = Image.fromarray(np.concatenate([narrowed[index] for index in indices], axis=1))
        columns = np.asarray(stack.resize((stack.width, height), Image.Resampling.BICUBIC))
        result[indices] = columns.reshape(height, len(indices), width).swapaxes(0, 1)
    return result


def _read_blocks(
    paths: list[str], height: int, width: int, failures: list[tuple[str, str]]
) -> Iterator[np.ndarray]:
    """Yield the images of `paths` in order, a block at a time, shape (number, height, width).

    Files that cannot be read are added to `failures` with the reason; from the first of them
    on, the others are still tried, but nothing is yielded.
    """
    for start in range(0, len(paths), _BLOCK):
        images = []
        for path in paths[start : start + _BLOCK]:
            try:
                grey = _read_grey_array(path)
                if grey.size > _LARGE:  # photographs: many together would fill the memory
                    grey = np.asarray(_resize(Image.fromarray(grey), height, width))
                images.append(grey)
            except _READ_ERRORS as error:
                failures.append((path, _reason(path, error)))
        if not failures:
            yield _resize_together(images, height, width)


def load_images_from_directory(
    directory: str | Path,
    img_height: int = 80,
    img_width: int = 60,
    class_names: Sequence[str] | None = None,
    skip_unknown: bool = False,
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Load a folder of labelled images, as the loop over `preprocess_image` would.

    Args:
        directory: folder with one sub-folder per class. Hidden files and folders, and files
            that are not images, are ignored.
        img_height: rows of each image.
        img_width: columns of each image.
        class_names: the classes in the order of their labels, usually those of the training
            set; by default the classes found, in code point order.
        skip_unknown: leave out, with a warning, classes that class_names does not list.

    Returns:
        X: uint8 array of shape (n, img_height, img_width, 1), 0 (black) to 255 (white). Grey
            levels stay in one byte each until the model's Rescaling layer makes floats of
            them. Where a packed copy could be kept, X is read from it as needed; writing to X
            changes neither the copy nor the images.
        y: int64 array of shape (n,), the position of each image's class in class_names.
        class_names: list of str.

    Raises:
        FileNotFoundError, NotADirectoryError, ValueError: see `class_folders`.
        ValueError: no images at all; images that cannot be read (they are named); a class
            folder that is not in the class_names given, unless skip_unknown.

    Warns:
        UserWarning: a class has no images here, or is skipped.
    """
    _check_size(img_height, img_width)
    folder = Path(directory)
    classes = _scan(folder)
    _check_images_exist(folder, sum(len(a_class.names) for a_class in classes))
    names = _order_of_classes(classes, class_names, skip_unknown, folder)
    position = {label: index for index, label in enumerate(names)}
    classes = sorted(
        (a_class for a_class in classes if a_class.names and a_class.label in position),
        key=lambda a_class: position[a_class.label],
    )

    X = _packed_images(folder, classes, img_height, img_width)
    y = np.repeat(
        np.array([position[a_class.label] for a_class in classes], dtype=np.int64),
        [len(a_class.names) for a_class in classes],
    )
    return X, y, names


def _order_of_classes(
    classes: list[_ClassFolder], class_names: Sequence[str] | None, skip_unknown: bool, folder: Path
) -> list[str]:
    """The class names to use, checked against the folders that are there."""
    with_images = [a_class.label for a_class in classes if a_class.names]
    if class_names is None:
        empty = [a_class.label for a_class in classes if not a_class.names]
        if empty:
            warnings.warn(
                f"No images in the folder of {_listing(empty)} in {folder}; left out of the classes.",
                stacklevel=3,
            )
        return with_images
    names = [unicodedata.normalize("NFC", name) for name in class_names]
    if len(set(names)) < len(names):
        raise ValueError(
            f"class_names lists a class twice: {_listing(sorted({n for n in names if names.count(n) > 1}))}."
        )
    unknown = [label for label in with_images if label not in set(names)]
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
    missing = [name for name in names if name not in set(with_images)]
    if missing:
        warnings.warn(f"No images of {_listing(missing)} in {folder}; its label stays unused.", stacklevel=3)
    return names


def _listing(labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:10])
    return shown if len(labels) <= 10 else f"{shown} and {len(labels) - 10} more classes"


# --- The packed copy ---------------------------------------------------------------------


def _packed_images(folder: Path, classes: list[_ClassFolder], height: int, width: int) -> np.ndarray:
    """The images of `classes`, in order: from the packed copy, or decoded and packed."""
    signature = _signature(classes)
    targets = [_packed_path(store, folder, height, width, signature) for store in _stores()]
    number = sum(len(a_class.names) for a_class in classes)
    for target in targets:
        packed = _open_packed(target, number, height, width)
        if packed is not None:
            return packed

    _let_clock_tick(classes)
    paths = [os.path.join(a_class.path, name) for a_class in classes for name in a_class.names]
    for target in targets:
        try:
            failures = _write_packed(target, paths, height, width)
        except _CannotPack:
            continue
        _raise_unreadable(failures, number, folder)
        if _signature_now(folder, classes) != signature:
            # Changed while being read: give what was read, but keep no copy of it.
            images = np.load(target, allow_pickle=False)
            _remove(target)
            return images
        _remove_outdated(target, folder, signature)
        images = _open_packed(target, number, height, width)
        if images is not None:
            return images
    failures: list[tuple[str, str]] = []
    blocks = list(_read_blocks(paths, height, width, failures))
    _raise_unreadable(failures, number, folder)
    return np.concatenate(blocks)[..., np.newaxis]


def _signature_now(folder: Path, classes: list[_ClassFolder]) -> str | None:
    """The signature of the folder as it is now, its classes in the same order."""
    try:
        current = {a_class.label: a_class for a_class in _scan(folder) if a_class.names}
    except (OSError, ValueError):
        return None
    if current.keys() != {a_class.label for a_class in classes}:
        return None
    return _signature([current[a_class.label] for a_class in classes])


def _signature(classes: list[_ClassFolder]) -> str:
    """What a packed copy depends on: this code, and every file's name, size and times.

    The change time is part of it, so that an edit which puts size and modification time
    back is noticed too (where the system keeps a change time; on Windows it is the creation
    time).
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(_code_version())
    for a_class in classes:
        digest.update(f"\n{a_class.label}\n".encode("utf-8", "surrogatepass"))
        digest.update("\0".join(a_class.names).encode("utf-8", "surrogatepass"))
        digest.update(a_class.stats.tobytes())
    return digest.hexdigest()


def _code_version() -> bytes:
    """Changes when this file or Pillow does, since either can change a pixel."""
    from PIL import __version__

    return hashlib.sha256(Path(__file__).read_bytes()).digest() + __version__.encode()


def _stores() -> list[Path]:
    """Where packed copies may lie: the repository, else the user's own cache folder."""
    return [PACKED, USER_CACHE / "packed"]


def _packed_path(store: Path, folder: Path, height: int, width: int, signature: str) -> Path:
    """One sub-folder per image folder, so that its outdated copies can be found."""
    place = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    return store / place / f"{height}x{width}-{signature}.npy"


def _open_packed(path: Path, number: int, height: int, width: int) -> np.ndarray | None:
    """The packed copy, mapped and private (copy on write), or None when it is not usable."""
    try:
        images = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if images.dtype != np.uint8 or images.shape != (number, height, width, 1):
        return None
    return images.view(np.ndarray)


class _CannotPack(Exception):
    """The packed copy cannot be written here: read-only, full, no such drive."""


def _write_packed(target: Path, paths: list[str], height: int, width: int) -> list[tuple[str, str]]:
    """Decode `paths` into the file `target`, which appears whole or not at all.

    Returns the files that cannot be read, with the reason; then there is no `target`. Raises
    _CannotPack when the file cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=target.parent, suffix=".part")
    except OSError as error:
        raise _CannotPack from error
    temporary = Path(name)
    try:
        shape = (len(paths), height, width, 1)
        with os.fdopen(descriptor, "wb") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "|u1", "fortran_order": False, "shape": shape}
            )
            start = file.tell()
            file.truncate(start + math.prod(shape))
        failures = _write_images_on_all_cores(temporary, start, paths, height, width)
        if not failures:
            os.replace(temporary, target)
        return failures
    except OSError as error:  # reading errors are caught file by file
        raise _CannotPack from error
    finally:
        _remove(temporary)


def _write_images(file: Path, start: int, paths: list[str], height: int, width: int) -> list[tuple[str, str]]:
    """Write the images of `paths` into an existing file from byte `start` on."""
    failures: list[tuple[str, str]] = []
    with open(file, "r+b") as opened:
        opened.seek(start)
        for images in _read_blocks(paths, height, width, failures):
            opened.write(images)
    return failures


def _write_images_on_all_cores(
    file: Path, start: int, paths: list[str], height: int, width: int
) -> list[tuple[str, str]]:
    """`_write_images`, its work shared with other processes where that saves time.

    Threads do not help: per image they take the interpreter lock too often. Nor is this
    multiprocessing, which would run the reader's script or notebook anew in each process.
    """
    workers = min(_available_cores() - 1, len(paths) // _IMAGES_PER_WORKER)
    # This process begins at once, so it takes a larger share than those yet to start.
    own = (len(paths) + workers * _IMAGES_WHILE_STARTING) // (workers + 1)
    shares = np.linspace(own, len(paths), workers + 1).astype(int).tolist()
    running = []
    try:
        for first, last in zip(shares, shares[1:]):
            running.append(_Worker(file, start + first * height * width, paths[first:last], height, width))
        failures = _write_images(file, start, paths[:own], height, width)
        for worker in running:
            failures += worker.result()
        return failures
    finally:
        for worker in running:
            worker.stop()


class _Worker:
    """A process that does a share of `_write_images`."""

    def __init__(self, file: Path, start: int, paths: list[str], height: int, width: int):
        self.task = (file, start, paths, height, width)
        self.process = None
        # Files and not pipes, since nobody reads or writes while this process decodes.
        self.answer = tempfile.TemporaryFile()
        try:
            with tempfile.TemporaryFile() as question:
                names = [os.fspath(file), *paths]
                question.write(b"\0".join(os.fsencode(name) for name in names))
                question.seek(0)
                environment = {
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(
                        [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
                    ),
                }
                self.process = subprocess.Popen(
                    [
                        sys.executable,
                        "-c",
                        "from course.loaders import _work; _work()",
                        str(start),
                        str(height),
                        str(width),
                    ],
                    stdin=question,
                    stdout=self.answer,
                    stderr=subprocess.DEVNULL,
                    env=environment,
                    creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                )
        except OSError:
            pass  # result() does the work in this process

    def result(self) -> list[tuple[str, str]]:
        """What failed; done in this process where the other came to grief."""
        paths = self.task[2]
        if self.process is not None and self.process.wait() == 0:
            self.answer.seek(0)
            try:
                return [(paths[index], reason) for index, reason in json.load(self.answer)]
            except ValueError:
                pass
        return _write_images(*self.task)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.answer.close()


def _work() -> None:
    """What a worker's process runs: its task comes on standard input, its failures go out."""
    file, *paths = map(os.fsdecode, sys.stdin.buffer.read().split(b"\0"))
    failures = _write_images(Path(file), int(sys.argv[1]), paths, *map(int, sys.argv[2:4]))
    position = {path: index for index, path in enumerate(paths)}
    print(json.dumps([(position[path], reason) for path, reason in failures]))


def _available_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        pass  # in use by another process (Windows); the next clean-up takes it


def _remove_outdated(kept: Path, folder: Path, signature: str) -> None:
    """Remove packed copies of earlier states of `folder`, and those of folders now gone."""
    for path in kept.parent.iterdir():
        outdated = path.suffix == ".npy" and not path.stem.endswith(signature)
        abandoned = path.suffix == ".part" and time.time() - path.stat().st_mtime > 86_400
        if outdated or abandoned:
            _remove(path)
    try:
        (kept.parent / "folder.txt").write_bytes(os.fsencode(folder.resolve()))
        for note in kept.parent.parent.glob("*/folder.txt"):
            if not os.path.isdir(os.fsdecode(note.read_bytes())):
                shutil.rmtree(note.parent, ignore_errors=True)
    except OSError:
        pass  # tidying up is never worth an error


def _let_clock_tick(classes: list[_ClassFolder]) -> None:
    """Wait until a further change of a file would get a later time than it has now.

    File times advance in ticks, of some milliseconds or, on old file systems, of two
    seconds. A file changed again within the same tick would look unchanged.
    """
    newest = max(int(a_class.stats[:, 1:].max()) for a_class in classes)
    tick = 2_000_000_000 if newest % 1_000_000_000 == 0 else 50_000_000
    age = time.time_ns() - newest
    if 0 <= age < tick:
        time.sleep((tick - age) / 1e9)

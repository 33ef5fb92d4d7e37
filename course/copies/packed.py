"""Many images read quickly, and kept: the packed copy of a folder of images, one array in a file."""

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from course import photos
from course.paths import DATA, USER_CACHE

import numpy as np
import PIL
from PIL import Image

# In the repository, else in the user's own cache folder.
STORES = (DATA / ".packed", USER_CACHE / "packed")

_BLOCK = 1024  # images resized together: about 6 MB
_LARGE = 2**18  # pixels
_KEPT = 90 * 86_400  # seconds


def packed_images(folder: Path, paths: list[str], height: int, width: int) -> np.ndarray:
    """The images, files below `folder`, in grey at one size: uint8, shape (n, height, width, 1).

    They come from the packed copy of the folder, or are decoded and packed. Where a copy could be kept
    it is mapped: writing to the array changes nothing on the disk. ValueError names files that cannot
    be read.
    """
    place = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    state = f"{place}-{_signature(folder, paths)}"
    shape = (len(paths), height, width, 1)
    for store in STORES:
        target = store / f"{state}-{height}x{width}.npy"
        if (packed := _open_packed(target, shape)) is not None:
            return packed
        try:
            _write_packed(target, _read_images(paths, height, width, folder), shape)
        except OSError:
            continue  # read-only, full, no such drive; files that cannot be read are a ValueError
        _tidy(store, place, state)
        return _open_packed(target, shape)
    return np.concatenate(list(_read_images(paths, height, width, folder)))[..., np.newaxis]


def _signature(folder: Path, paths: list[str]) -> str:
    """What a packed copy depends on: the reading code, Pillow, every file's name, size and times.

    The change time as well, where the system keeps one: an edit may put the others back. A file that
    changes while it is read leaves a copy that no later signature fits.
    """
    code = [Path(file).read_bytes() for file in (__file__, photos.__file__)]
    names = "\0".join(path[len(str(folder)) :] for path in paths).encode("utf-8", "surrogatepass")
    stats = [(each.st_size, each.st_mtime_ns, each.st_ctime_ns) for each in map(os.stat, paths)]
    known = [*code, PIL.__version__.encode(), names, np.array(stats, np.int64).tobytes()]
    return hashlib.blake2b(b"".join(known), digest_size=16).hexdigest()


def _open_packed(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The packed copy, mapped and private (copy on write), or None when it is not usable."""
    with contextlib.suppress(OSError, ValueError, EOFError):
        images = np.load(path, mmap_mode="c", allow_pickle=False).view(np.ndarray)
        return images if (images.dtype, images.shape) == (np.uint8, shape) else None


def _write_packed(target: Path, blocks: Iterator[np.ndarray], shape: tuple[int, ...]) -> None:
    """Write the images, block by block, into an .npy file, which appears whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".new-") as fresh:
        with open(Path(fresh, target.name), "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            file.writelines(blocks)
        os.replace(Path(fresh, target.name), target)


def _tidy(store: Path, place: str, state: str) -> None:
    """Remove copies of earlier states of the folder, and what is old: its folder may be gone."""
    for path in store.iterdir():
        with contextlib.suppress(OSError):  # a file may be in use by another process (Windows)
            earlier = path.name.startswith(place) and not path.name.startswith(state)
            if earlier or time.time() - path.stat().st_mtime > _KEPT:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


# --- Reading many images -----------------------------------------------------------------


def resize(images: Iterable[np.ndarray], height: int, width: int) -> np.ndarray:
    """Grey images at one size, by Pillow's bicubic filter: uint8, shape (n, height, width).

    All that have rows of one length are resized in one call of Pillow, which takes less time.
    """
    images = list(images)
    for length in (width, height):  # then they are turned, and columns are rows
        alike = defaultdict(list)
        for index, image in enumerate(images):
            alike[image.shape[1]].append(index)
        for indices in alike.values():
            stack = Image.fromarray(np.concatenate([images[index] for index in indices]))
            resized = np.asarray(stack.resize((length, stack.height), Image.Resampling.BICUBIC))
            ends = np.cumsum([len(images[index]) for index in indices])
            for index, part in zip(indices, np.split(resized, ends)):
                images[index] = part.T
    return np.ascontiguousarray(np.stack(images))


def _read_grey_array(path: str) -> np.ndarray:
    """The grey levels of a picture, (height, width), as `read_picture` gives them.

    OpenCV decodes the usual kind of PNG in half of Pillow's time; it too checks every checksum.
    """
    import cv2

    with contextlib.suppress(OSError):  # the other reader says what is wrong
        with open(path, "rb", buffering=0) as file:
            data = file.read()
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
                # Many photographs together would fill the memory.
                images.append(image if image.size <= _LARGE else resize([image], height, width)[0])
            except photos.PhotoError as error:
                failures.append(str(error))
        if not failures:
            yield resize(images, height, width)
    raise_unreadable(failures, len(paths), folder)


def raise_unreadable(failures: list[str], number: int, root_folder: str | Path) -> None:
    """Name the first of the files that failed, if any did."""
    if failures:
        more = [f"and {len(failures) - 5} more"] if len(failures) > 5 else []
        told = f"{len(failures)} of {number} images in {root_folder} cannot be read. Replace or delete:"
        raise ValueError("\n  ".join([told, *failures[:5], *more]))

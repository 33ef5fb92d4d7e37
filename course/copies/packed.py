"""Many images read quickly, and kept: the packed copy of a folder of images, one array in a file."""

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
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


def packed_images(folder: Path, paths: list[str], height: int, width: int) -> np.ndarray:
    """The images in grey at one size, from the packed copy of the folder, or decoded and packed.

    Parameters
    ----------
    folder : Path
    paths : list of str
        Files below `folder`.

    Returns
    -------
    ndarray, shape (n, height, width, 1), uint8
        Where a copy could be kept, it is mapped: writing to it changes nothing on the disk.

    Raises
    ------
    ValueError
        Files cannot be read; they are named.
    """
    signature = _signature(folder, paths)
    shape = (len(paths), height, width, 1)
    # A sub-folder for each image folder, so that its outdated copies can be found.
    place = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    targets = [store / place / f"{height}x{width}-{signature}.npy" for store in STORES]
    for target in targets:
        if (packed := _open_packed(target, shape)) is not None:
            return packed
    for target in targets:
        try:
            _write_packed(target, _read_images(paths, height, width, folder), shape)
        except OSError:
            continue  # read-only, full, no such drive; files that cannot be read are a ValueError
        _remove_outdated(target, folder, signature)
        return _open_packed(target, shape)
    return np.concatenate(list(_read_images(paths, height, width, folder)))[..., np.newaxis]


def _signature(folder: Path, paths: list[str]) -> str:
    """What a packed copy depends on: the reading code, Pillow, every file's name, size and times.

    The change time is part of it, so that an edit which puts size and modification time back is
    noticed too (where the system keeps a change time; on Windows it is the creation time). A file
    that changes while it is read leaves a copy that no later signature fits.
    """
    code = [Path(file).read_bytes() for file in (__file__, photos.__file__)]
    names = "\0".join(path[len(str(folder)) :] for path in paths)
    digest = hashlib.blake2b(b"".join(code) + PIL.__version__.encode(), digest_size=16)
    stats = [(each.st_size, each.st_mtime_ns, each.st_ctime_ns) for each in map(os.stat, paths)]
    digest.update(names.encode("utf-8", "surrogatepass") + np.array(stats, np.int64).tobytes())
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


# --- Reading many images -----------------------------------------------------------------


def resize(grey: Image.Image, height: int, width: int) -> np.ndarray:
    """A grey image at another size, by Pillow's bicubic filter, (height, width) uint8."""
    # In two steps, since which direction Pillow takes first depends on its version.
    rows = grey.resize((width, grey.height), Image.Resampling.BICUBIC)
    return np.array(rows.resize((width, height), Image.Resampling.BICUBIC))


def _resize_together(images: list[np.ndarray], height: int, width: int) -> np.ndarray:
    """Resize grey images exactly as `resize` does each, into (n, height, width)."""
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
                image = resize(Image.fromarray(image), height, width)
            images.append(image)
        if not failures:
            yield _resize_together(images, height, width)
    raise_unreadable(failures, len(paths), folder)


def raise_unreadable(failures: list[str], number: int, root_folder: str | Path) -> None:
    """Name the first of the files that failed, if any did."""
    if failures:
        shown = failures[:5]
        if len(failures) > len(shown):
            shown.append(f"and {len(failures) - len(shown)} more")
        raise ValueError(
            f"{len(failures)} of {number} images in {root_folder} cannot be read. Replace or delete:\n  "
            + "\n  ".join(shown)
        )

"""Importing `.gnt` files into `Train/<character>/` and `Test/<character>/` as PNG images."""

import hashlib
import os
import struct
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from course.store.files import write_whole

import numpy as np
from isal import isal_zlib
from tqdm import tqdm

from tools.casia.gnt import Problem, Sample, code_of, read_gnt
from tools.casia.layout import CHECKSUMS, MANIFEST, CasiaError, describe, folder_of, whole_folder
from tools.casia.result import Result
from tools.casia.sources import Member, find_members

_BATCH = 64
_THREADS = min(4, os.cpu_count() or 1)


class _Metered:
    """A stream that hashes and counts what is read, and ends where its file is damaged."""

    def __init__(self, stream: BinaryIO, bar: tqdm) -> None:
        self.stream = stream
        self.bar = bar
        self.hash = hashlib.sha256()
        self.count = 0
        self.error: Exception | None = None

    def read(self, size: int) -> bytes:
        # Small steps, because zipfile withholds the last one where an archive is damaged.
        try:
            chunk = self.stream.read(min(size, 1 << 16))
        except Exception as error:  # whatever a damaged archive raises
            self.error = error
            return b""
        self.hash.update(chunk)
        self.count += len(chunk)
        self.bar.update(len(chunk))
        return chunk


def encode_png(pixels: np.ndarray) -> bytes:
    """An 8-bit grey PNG of `pixels`, shape (height, width), uint8.

    Written out here because encoding is most of an import's time: rows without filters, packed by
    isal's fastest level, take a quarter of the time of OpenCV's fastest setting.
    """
    height, width = pixels.shape
    rows = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter's number, 0
    rows[:, 1:] = pixels
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [b"\x89PNG\r\n\x1a\n"]
    for name, content in ((b"IHDR", header), (b"IDAT", isal_zlib.compress(rows, 0)), (b"IEND", b"")):
        checksum = isal_zlib.crc32(content, isal_zlib.crc32(name))
        chunks += (struct.pack(">I", len(content)), name, content, struct.pack(">I", checksum))
    return b"".join(chunks)


def _write_images(batch: list[tuple[str, Sample]], root: Path) -> list[str]:
    """Write named samples as PNG; return their lines for the checksum file."""
    lines = []
    for name, sample in batch:
        encoded = encode_png(sample.pixels)
        with open(f"{root}/{name}", "wb", buffering=0) as file:
            file.write(encoded)
        lines.append(f"{hashlib.sha256(encoded).hexdigest()}  {name}\n")
    return lines


def _written(
    named: Iterator[tuple[str, Sample]], root: Path, pool: ThreadPoolExecutor
) -> Iterator[list[str]]:
    """Write samples on the pool's threads, a few batches ahead; yield the lines of each batch."""
    pending: deque[Future[list[str]]] = deque()
    while batch := list(islice(named, _BATCH)):
        pending.append(pool.submit(_write_images, batch, root))
        if len(pending) > 2 * _THREADS:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def import_gnt(
    sources: Iterable[str | Path] = (),
    out: str | Path = "casia",
    *,
    train: Iterable[str | Path] = (),
    test: Iterable[str | Path] = (),
    characters: Collection[str] | None = None,
) -> Result:
    """Import `.gnt` files, and folders and archives of them, as PNG images.

    An image is `out/Train/<folder_of(character)>/<prefix>-<index>.png` with the grey values as they
    are in the file. Damaged samples are left out, counted and reported. The same call gives the
    same files and the same manifest.

    Parameters
    ----------
    sources : iterable of path
        Decided for Train or Test by their names.
    out : path
        The new folder; it must not exist or be empty. It appears whole or not at all.
    train, test : iterable of path
        Sources for training and for testing, whatever their names.
    characters : collection of str, optional
        Which to import.

    Raises
    ------
    CasiaError
        For a request that cannot be carried out.
    OSError
        E.g. when the disk is full, or `out` is in the way.
    """
    out = Path(os.path.abspath(out))
    wanted = None if characters is None else sorted(set(characters))
    for character in wanted or ():
        try:
            code_of(character)
        except ValueError as error:
            raise CasiaError(str(error)) from None
    listed = [(Path(path), None) for path in sources]
    listed += [(Path(path), "Train") for path in train] + [(Path(path), "Test") for path in test]
    if not listed:
        raise CasiaError("Nothing to import: give .gnt files, folders or archives.")
    result = Result()
    with ExitStack() as archives:
        members = find_members(listed, archives, result)
        if members:
            with whole_folder(out) as folder:
                described = _import_members(members, wanted, folder, result)
                manifest = describe(folder / CHECKSUMS, out, result, wanted, sources=described)
                write_whole(folder / MANIFEST, manifest)
        else:
            result.notes.append("No .gnt file was found.")
    return result


def _import_members(
    members: list[Member], wanted: list[str] | None, folder: Path, result: Result
) -> list[dict]:
    """Write the images and the checksums of all members; what the manifest says of each."""
    total = sum(member.size for member in members)
    with (
        (folder / CHECKSUMS).open("w", encoding="utf-8", newline="\n") as sums,
        ThreadPoolExecutor(_THREADS, thread_name_prefix="casia") as pool,
        tqdm(total=total, unit="B", unit_scale=True, desc="Importing", disable=None) as bar,
    ):
        described = []
        for member in members:
            before, images, seen = result.problems, 0, Counter()
            with member.open() as raw:
                stream = _Metered(raw, bar)
                # Unwanted samples are read as well: their damage counts, and `index` needs them.
                samples = read_gnt(
                    stream, characters=wanted, report=result.report, name=member.label, seen=seen
                )
                for lines in _written(_with_names(samples, member, folder), folder, pool):
                    sums.writelines(lines)
                    images += len(lines)
            if stream.error is not None:
                advice = "what could be read was imported and may hold a damaged image: get the file again"
                message = f"{stream.error}; {advice}"
                result.report(Problem("damaged file", member.label, stream.count, message))
            described.append(
                {
                    "file": member.file.name,
                    "inside": member.inside,
                    "split": member.split,
                    "writer": member.writer,
                    "bytes": stream.count,
                    "sha256": stream.hash.hexdigest(),
                    "samples": seen.total(),
                    "images": images,
                    "image_names": f"{member.prefix}-<index>.png",
                    "problems": result.problems - before,
                }
            )
    return described


def _with_names(samples: Iterable[Sample], member: Member, folder: Path) -> Iterator[tuple[str, Sample]]:
    """Samples with the names of their images, whose folders are made."""
    parents: dict[str, str] = {}
    for sample in samples:
        if sample.character not in parents:
            parents[sample.character] = f"{member.split}/{folder_of(sample.character)}"
            (folder / parents[sample.character]).mkdir(parents=True, exist_ok=True)
        yield f"{parents[sample.character]}/{member.prefix}-{sample.index:05d}.png", sample

"""Importing `.gnt` files into `Train/<character>/` and `Test/<character>/` as PNG images."""

import hashlib
import os
import re
import struct
from collections.abc import Collection, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np
from isal import isal_zlib
from tqdm import tqdm

from tools.casia import layout
from tools.casia.gnt import Problem, code_of, read_gnt
from tools.casia.layout import CasiaError, Result
from tools.casia.sources import Member, find_members


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


def import_gnt(
    sources: Iterable[str | Path],
    out: str | Path,
    *,
    train: Iterable[str | Path] = (),
    test: Iterable[str | Path] = (),
    characters: Collection[str] | None = None,
) -> Result:
    """Import `.gnt` files, and folders and archives of them, as PNG images.

    An image is `out/Train/<folder_of(character)>/<file>-<index>.png` with the grey values as they are
    in the file. Damaged samples are left out, counted and reported. The same call gives the same
    files and the same manifest. Names decide whether `sources` are for Train or Test. `out`, which must not
    exist or be empty, appears whole or not at all. CasiaError for a request that cannot be carried out,
    OSError e.g. when the disk is full, or `out` is in the way.
    """
    out = Path(os.path.abspath(out))
    if unknown := [character for character in characters or () if code_of(character) is None]:
        raise CasiaError(
            f"{unknown[0]!r} is not a character that CASIA's GB coding can hold; "
            "give single Chinese characters, letters, digits or symbols."
        )
    listed = [(Path(path), None) for path in sources]
    listed += [(Path(path), "Train") for path in train] + [(Path(path), "Test") for path in test]
    if not listed:
        raise CasiaError("Nothing to import: give .gnt files, folders or archives.")
    result = Result()
    with ExitStack() as stack:
        members = find_members(listed, stack, result)
        if not members:
            result.notes.append("No .gnt file was found.")
            return result
        folder = stack.enter_context(layout.whole_folder(out))
        total = sum(member.size for member in members)
        with (
            (folder / layout.CHECKSUMS).open("w", encoding="utf-8", newline="\n") as sums,
            tqdm(total=total, unit="B", unit_scale=True, desc="Importing", disable=None) as bar,
        ):
            wanted = None if characters is None else frozenset(characters)
            described = [_import(member, wanted, folder, sums, bar, result) for member in members]
        layout.write_manifest(folder, out, result, wanted or (), sources=described)
    return result


def _import(
    member: Member, wanted: Collection[str] | None, folder: Path, sums: TextIO, bar: tqdm, result: Result
) -> dict:
    """Write the images and checksums of one `.gnt` file; what the manifest says of it."""
    before, samples, images = result.problems, 0, 0
    parents: dict[str, str] = {}
    with member.open() as raw:
        stream = _Metered(raw, bar)
        for sample in read_gnt(stream, result.report, member.label):
            samples += 1
            if wanted is not None and sample.character not in wanted:
                continue
            if sample.character not in parents:
                parents[sample.character] = f"{member.split}/{layout.folder_of(sample.character)}"
                (folder / parents[sample.character]).mkdir(parents=True, exist_ok=True)
            name = f"{parents[sample.character]}/{member.prefix}-{sample.index:05d}.png"
            encoded = encode_png(sample.pixels)
            with open(f"{folder}/{name}", "wb") as file:
                file.write(encoded)
            sums.write(layout.checksum_line(name, encoded))
            images += 1
    if stream.error is not None:
        advice = "what could be read was imported and may hold a damaged image: get the file again"
        result.report(Problem("damaged file", member.label, stream.count, f"{stream.error}; {advice}"))
    writer = re.fullmatch(r"([0-9]{1,5})(-[A-Za-z])?\.gnt", member.names[-1], re.IGNORECASE)
    return {
        "file": member.file.name,
        "inside": member.inside,
        "split": member.split,
        "writer": writer and writer[1],  # where the name gives the number
        "bytes": stream.count,
        "sha256": stream.hash.hexdigest(),
        "samples": samples,
        "images": images,
        "problems": result.problems - before,
    }

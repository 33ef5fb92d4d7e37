"""Reading CASIA's `.gnt` files: grey images of handwritten characters, one after the other.

A sample is a little-endian header of ten bytes and its pixels:

| bytes | content |
|---|---|
| 4 | size of the whole sample in bytes: 10 + width × height |
| 2 | code of the character: a GB code, or one ASCII byte and a zero byte |
| 2 | width in pixels |
| 2 | height in pixels |
| width × height | grey values row by row; 255 is background |

The format is described on the databases' own page and in Liu, Yin, Wang and Wang (2011), CASIA
online and offline Chinese handwriting databases, ICDAR, doi:10.1109/ICDAR.2011.17.
"""

import struct
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

HEADER = struct.Struct("<I2sHH")
# At the databases' 300 dpi, 2,000 pixels are 17 cm: no handwritten character is that large.
MAX_SIDE = 2000
MAX_SAMPLE_BYTES = HEADER.size + MAX_SIDE * MAX_SIDE
_CHUNK = 4 << 20
# A window always holds one whole sample and the header after it, unless the file ends before.
_AHEAD = MAX_SAMPLE_BYTES + HEADER.size
_SCAN_BLOCK = 1 << 16


class Sample(NamedTuple):
    """One handwritten character.

    index: which sample of its file this is, from 0, counting samples that were not asked for too.
    offset: where its header starts, in bytes from the start of the file.
    character: the character that the writer was asked to write.
    pixels: grey values, shape (height, width), uint8, 255 is background; read-only.
    """

    index: int
    offset: int
    character: str
    pixels: np.ndarray


class Problem(NamedTuple):
    """Something that could not be imported.

    kind: a short constant name, e.g. "truncated sample"; where: the file; offset: byte in that file
    (None where the whole file is meant); message: what is wrong and what happened to it.
    """

    kind: str
    where: str
    offset: int | None
    message: str

    def __str__(self) -> str:
        place = self.where if self.offset is None else f"{self.where}, byte {self.offset:,}"
        return f"{place}: {self.kind}: {self.message}"


def character_of(code: bytes) -> str | None:
    """The character of a sample's two-byte code, or None when the code stands for no character.

    CASIA codes Chinese characters and symbols as GB2312 or GBK, and ASCII as one byte and a zero
    byte. GB18030 adds the few two-byte codes that Python's GBK lacks.
    """
    if code[1] == 0:
        return chr(code[0]) if 0x21 <= code[0] <= 0x7E else None
    for encoding in ("gbk", "gb18030"):
        try:
            text = code.decode(encoding)
        except UnicodeDecodeError:
            continue
        # Spaces, control characters and code points for private use are nobody's handwriting.
        if len(text) == 1 and unicodedata.category(text)[0] not in "CZ":
            return text
    return None


def code_of(character: str) -> bytes:
    """The two-byte code of a character, the inverse of `character_of`.

    Raises ValueError when CASIA's coding has no two-byte code for it.
    """
    if len(character) == 1:
        for encoding in ("gbk", "gb18030"):
            try:
                code = character.encode(encoding).ljust(2, b"\0")
            except UnicodeEncodeError:
                continue
            if len(code) == 2 and character_of(code) == character:
                return code
    raise ValueError(
        f"{character!r} is not a character that CASIA's GB coding can hold; "
        "give single Chinese characters, letters, digits or symbols."
    )


def _find_header(data: bytes, start: int, stop: int) -> int:
    """Position in [start, stop) of the first header whose size agrees with its width and height.

    -1 when there is none. A match by chance needs 32 bits to agree, so one is evidence enough.
    """
    stop = min(stop, len(data) - HEADER.size + 1)
    for block in range(start, stop, _SCAN_BLOCK):
        count = min(_SCAN_BLOCK, stop - block)
        octets = np.frombuffer(data, np.uint8, count + HEADER.size - 1, block)
        # No acceptable sample reaches 16 MiB, so the size's highest byte is zero.
        for at in np.flatnonzero(octets[3 : 3 + count] == 0).tolist():
            size, _, width, height = HEADER.unpack_from(data, block + at)
            if _consistent(size, width, height):
                return block + at
    return -1


def _consistent(size: int, width: int, height: int) -> bool:
    return size == HEADER.size + width * height and 0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE


def _header_fault(size: int, width: int, height: int) -> tuple[str, str]:
    if width == 0 or height == 0 or width > MAX_SIDE or height > MAX_SIDE:
        return ("impossible size", f"{width} × {height} pixels, outside of 1 to {MAX_SIDE} a side")
    return (
        "impossible size",
        f"the size field says {size:,} bytes, but {width} × {height} pixels make "
        f"{HEADER.size + width * height:,}",
    )


def read_gnt(
    stream: BinaryIO,
    *,
    characters: Collection[str] | None = None,
    report: Callable[[Problem], None] | None = None,
    name: str = "stream",
    seen: Counter[str] | None = None,
) -> Iterator[Sample]:
    """Yield the samples of a `.gnt` stream in their order, reading a few megabytes at a time.

    stream: binary, needs only `read(n)`; a plain file and a member of a zip archive both serve.
    characters: yield only samples of these; None yields all.
    report: called with a `Problem` for everything that has to be left out: a sample cut short, a
        header that contradicts itself, a code that is no character, an empty file. Reading goes on
        at the next header that agrees with itself. None raises ValueError at the first problem.
    name: how problems name the file.
    seen: counts every sample by its character, those too that were not asked for.
    """
    if report is None:
        report = _raise
    wanted = None if characters is None else frozenset(characters)
    known: dict[bytes, str | None] = {}
    unpack = HEADER.unpack_from
    data, position, base, ended, index = b"", 0, 0, False, 0

    def refill() -> None:
        nonlocal data, position, base, ended
        parts, have = [data[position:]], len(data) - position
        while have < _AHEAD + _CHUNK and not ended:
            chunk = stream.read(_CHUNK)
            if chunk:
                parts.append(chunk)
                have += len(chunk)
            else:
                ended = True
        base += position
        data, position = b"".join(parts), 0

    def skip(kind: str, message: str) -> None:
        # Move to the next header that agrees with itself, and report once it is known where.
        nonlocal position
        offset = base + position
        position += 1
        while True:
            found = _find_header(data, position, len(data))
            if found >= 0:
                position = found
                message += f"; left out, the next sample starts at byte {base + position:,}"
                break
            if ended:
                position = len(data)
                message += "; left out, no further sample follows"
                break
            position = max(position, len(data) - HEADER.size + 1)
            refill()
        report(Problem(kind, name, offset, message))

    while True:
        if len(data) - position < _AHEAD and not ended:
            refill()
        left = len(data) - position
        if left == 0:
            if base + position == 0:
                report(Problem("empty file", name, None, "it holds no byte"))
            return
        if left < HEADER.size:
            report(
                Problem(
                    "truncated sample",
                    name,
                    base + position,
                    f"the file ends after {left} of a header's {HEADER.size} bytes; left out",
                )
            )
            return
        size, code, width, height = unpack(data, position)
        if not _consistent(size, width, height):
            skip(*_header_fault(size, width, height))
            continue
        if size > left:
            skip("truncated sample", f"the file ends after {left:,} of its {size:,} bytes")
            continue
        after = position + size
        if size < left and not (
            left - size >= HEADER.size and _consistent(*_without_code(unpack(data, after)))
        ):
            # What follows is no header. If one starts inside of this sample, bytes of it are lost.
            if 0 <= _find_header(data, position + 1, after):
                skip("truncated sample", f"the next sample starts within its {size:,} bytes")
                continue
        if code not in known:
            known[code] = character_of(code)
        character = known[code]
        if character is None:
            report(
                Problem(
                    "unknown code",
                    name,
                    base + position,
                    f"0x{code.hex()} is no character of GB2312, GBK or ASCII; left out",
                )
            )
        elif seen is not None:
            seen[character] += 1
        if character is not None and (wanted is None or character in wanted):
            pixels = np.frombuffer(data[position + HEADER.size : after], np.uint8)
            yield Sample(index, base + position, character, pixels.reshape(height, width))
        index += 1
        position = after


def _without_code(header: tuple[int, bytes, int, int]) -> tuple[int, int, int]:
    return header[0], header[2], header[3]


def _raise(problem: Problem) -> None:
    raise ValueError(str(problem))

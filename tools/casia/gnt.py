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
_CHUNK = 4 << 20
# The window always holds one whole sample and the header after it, unless the file ends before.
_AHEAD = HEADER.size + MAX_SIDE * MAX_SIDE + HEADER.size
_SCAN_BLOCK = 1 << 16


class Sample(NamedTuple):
    """One handwritten character."""

    index: int  # which sample of its file, from 0, counting those too that were not asked for
    offset: int  # where its header starts, in bytes from the start of the file
    character: str  # what the writer was asked to write
    pixels: np.ndarray  # (height, width) uint8, 255 is background; read-only


class Problem(NamedTuple):
    """Something that could not be imported."""

    kind: str  # a short constant name, e.g. "truncated sample"
    where: str  # the file
    offset: int | None  # byte in that file; None where the whole file is meant
    message: str  # what is wrong and what happened to it

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
    """The two-byte code of a character, the inverse of `character_of`; ValueError where there is none."""
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
        # No acceptable sample reaches 16 MiB, so the size's highest byte is zero, and its width is not.
        likely = (octets[3 : 3 + count] == 0) & ((octets[6 : 6 + count] | octets[7 : 7 + count]) != 0)
        for at in np.flatnonzero(likely).tolist():
            if _consistent(HEADER.unpack_from(data, block + at)):
                return block + at
    return -1


def _consistent(header: tuple[int, bytes, int, int]) -> bool:
    size, _, width, height = header
    return size == HEADER.size + width * height and 0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE


class _Window:
    """The piece of a stream that is held in memory, and where reading stands in it."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.data = b""
        self.at = 0
        self.start = 0  # where in the stream `data` begins
        self.ended = False

    @property
    def offset(self) -> int:
        """Where in the stream reading stands."""
        return self.start + self.at

    def left(self) -> int:
        """How many bytes follow here: a whole sample and a header at least, unless the stream ends before."""
        if len(self.data) - self.at < _AHEAD and not self.ended:
            parts, have = [self.data[self.at :]], len(self.data) - self.at
            while have < _AHEAD + _CHUNK and not self.ended:
                parts.append(self.stream.read(_CHUNK))
                have += len(parts[-1])
                self.ended = not parts[-1]
            self.start += self.at
            self.data, self.at = b"".join(parts), 0
        return len(self.data) - self.at

    def fault(self, left: int) -> tuple[str, str] | None:
        """Kind and description of what is wrong with the sample that starts here; None if it is whole."""
        if left < HEADER.size:
            return "truncated sample", f"the file ends after {left} of a header's {HEADER.size} bytes"
        header = HEADER.unpack_from(self.data, self.at)
        size, _, width, height = header
        if not _consistent(header):
            what = f"{size:,} bytes for {width} × {height} pixels"
            return (
                "impossible size",
                f"{what}; sides are 1 to {MAX_SIDE}, sizes {HEADER.size} + width × height",
            )
        if size > left:
            return "truncated sample", f"the file ends after {left:,} of its {size:,} bytes"
        after = self.at + size
        followed = left - size >= HEADER.size and _consistent(HEADER.unpack_from(self.data, after))
        # If no header follows, but one starts inside of this sample, bytes of this sample are lost.
        if size < left and not followed and _find_header(self.data, self.at + 1, after) >= 0:
            return "truncated sample", f"the next sample starts within its {size:,} bytes"
        return None

    def skip(self) -> tuple[bool, bool]:
        """Move to the next header that agrees with itself: is there one, are all bytes up to there zero?"""
        first, blank = self.at + 1, True
        while True:
            found = _find_header(self.data, first, len(self.data))
            stop = found
            if found < 0:  # a header may begin in the last bytes, unless these are the stream's last
                stop = len(self.data) if self.ended else max(first, len(self.data) - HEADER.size + 1)
            blank = blank and self.data.count(0, self.at, stop) == stop - self.at
            self.at = stop
            if found >= 0 or not self.left():
                return found >= 0, blank
            first = self.at


def read_gnt(
    stream: BinaryIO,
    report: Callable[[Problem], None],
    *,
    characters: Collection[str] | None = None,
    name: str = "stream",
    seen: Counter[str] | None = None,
) -> Iterator[Sample]:
    """Yield the samples of a `.gnt` stream in their order, reading a few megabytes at a time.

    Zero bytes after the last sample are no fault.

    Parameters
    ----------
    stream : binary file
        Needs only `read(n)`; a plain file and a member of an archive both serve.
    report : callable
        Called with a `Problem` for everything that has to be left out: a sample cut short, a header
        that contradicts itself, a code that is no character, an empty file. Reading goes on at the
        next header that agrees with itself.
    characters : collection of str, optional
        Yield only samples of these.
    name : str
        How problems name the file.
    seen : Counter, optional
        Counts every sample by its character, those too that were not asked for.
    """
    wanted = None if characters is None else frozenset(characters)
    known: dict[bytes, str | None] = {}
    window, index = _Window(stream), 0
    while left := window.left():
        offset = window.offset
        if fault := window.fault(left):
            followed, blank = window.skip()
            if followed or not blank or not index:
                what = (
                    f"the next sample starts at byte {window.offset:,}" if followed else "no sample follows"
                )
                report(Problem(fault[0], name, offset, f"{fault[1]}; left out, {what}"))
            continue
        size, code, width, height = HEADER.unpack_from(window.data, window.at)
        if code not in known:
            known[code] = character_of(code)
        character = known[code]
        if character is None:
            message = f"0x{code.hex()} is no character of GB2312, GBK or ASCII; left out"
            report(Problem("unknown code", name, offset, message))
        elif seen is not None:
            seen[character] += 1
        after = window.at + size
        if character is not None and (wanted is None or character in wanted):
            pixels = np.frombuffer(window.data[window.at + HEADER.size : after], np.uint8)
            yield Sample(index, offset, character, pixels.reshape(height, width))
        index += 1
        window.at = after
    if not window.offset:
        report(Problem("empty file", name, None, "it holds no byte"))

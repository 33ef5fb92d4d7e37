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

import io
import re
import struct
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import BinaryIO, NamedTuple

import numpy as np

HEADER = struct.Struct("<I2sHH")
# At the databases' 300 dpi, 2,000 pixels are 17 cm: no handwritten character is that large.
MAX_SIDE = 2000
_CHUNK = 4 << 20
# The window always holds one whole sample and the header after it, unless the file ends before.
_AHEAD = HEADER.size + MAX_SIDE * MAX_SIDE + HEADER.size
# Ten bytes that may be a header: the size is below 2 ** 24, and sides are 1 to 2,047.
_LIKELY = re.compile(rb"(?s)(?=...\0..(?!\0\0).[\0-\7](?!\0\0).[\0-\7])")


class Sample(NamedTuple):
    """One handwritten character."""

    index: int  # which sample of its file, from 0
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


@lru_cache(1 << 16)
def character_of(code: bytes) -> str | None:
    """The character of a code, two bytes of GB2312 or GBK or one of ASCII and a zero; None if it has none."""
    try:
        text = code.removesuffix(b"\0").decode("gb18030")
    except UnicodeDecodeError:
        return None
    # Spaces, control characters and code points for private use are nobody's handwriting.
    return text if len(text) == 1 and unicodedata.category(text)[0] not in "CZ" else None


def code_of(character: str) -> bytes | None:
    """The two-byte code of a character, the inverse of `character_of`; None where there is none."""
    code = character.encode("gb18030", "ignore").ljust(2, b"\0")
    return code if len(code) == 2 and character_of(code) == character else None


def _consistent(header: tuple[int, bytes, int, int]) -> bool:
    size, _, width, height = header
    return size == HEADER.size + width * height and 0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE


def _find_header(data: bytes, start: int, stop: int) -> int:
    """Position in [start, stop) of the first header that agrees with itself, as chance hardly does; or -1."""
    for match in _LIKELY.finditer(data, start, stop + HEADER.size - 1):
        if _consistent(HEADER.unpack_from(data, match.start())):
            return match.start()
    return -1


class _Window:
    """The piece of a stream that is held in memory, and where reading stands in it."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.data = b""
        self.at = 0
        self.start = 0  # where in the stream `data` begins
        self.ended = False

    def left(self) -> int:
        """How many bytes follow here: a whole sample and a header at least, unless the stream ends before."""
        if len(self.data) - self.at < _AHEAD and not self.ended:
            data = io.BytesIO()
            data.write(self.data[self.at :])
            while data.tell() < _AHEAD + _CHUNK and not self.ended:
                self.ended = not data.write(self.stream.read(_CHUNK))
            self.start += self.at
            self.data, self.at = data.getvalue(), 0
        return len(self.data) - self.at

    def fault(self, left: int) -> tuple[str, str] | None:
        """Kind and description of what is wrong with the sample that starts here; None if it is whole."""
        if left < HEADER.size:
            return "truncated sample", f"the file ends after {left} of a header's {HEADER.size} bytes"
        header = HEADER.unpack_from(self.data, self.at)
        size, _, width, height = header
        if not _consistent(header):
            rule = f"sides are 1 to {MAX_SIDE}, sizes {HEADER.size} + width × height"
            return "impossible size", f"{size:,} bytes for {width} × {height} pixels; {rule}"
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
            found = stop = _find_header(self.data, first, len(self.data))
            if found < 0:  # a header may begin in the last bytes, unless these are the stream's last
                stop = len(self.data) if self.ended else max(first, len(self.data) - HEADER.size + 1)
            blank = blank and self.data.count(0, self.at, stop) == stop - self.at
            self.at = stop
            if found >= 0 or not self.left():
                return found >= 0, blank
            first = self.at


def read_gnt(stream: BinaryIO, report: Callable[[Problem], None], name: str = "stream") -> Iterator[Sample]:
    """Yield the samples of a `.gnt` stream in their order, reading a few megabytes at a time.

    The stream needs only `read(n)`. What has to be left out is told to `report`: a sample cut short, a
    header that contradicts itself, a code that is no character, an empty file; reading goes on at the
    next header that agrees with itself. Zero bytes after the last sample are no fault. `name` is how
    problems name the file.
    """
    window, index = _Window(stream), 0
    while left := window.left():
        offset = window.start + window.at
        if fault := window.fault(left):
            followed, blank = window.skip()
            if followed or not blank or not index:
                there = f"the next sample starts at byte {window.start + window.at:,}"
                then = there if followed else "no sample follows"
                report(Problem(fault[0], name, offset, f"{fault[1]}; left out, {then}"))
            continue
        size, code, width, height = HEADER.unpack_from(window.data, window.at)
        character = character_of(code)
        if character is None:
            message = f"0x{code.hex()} is no character of GB2312, GBK or ASCII; left out"
            report(Problem("unknown code", name, offset, message))
        else:
            pixels = np.frombuffer(window.data, np.uint8, width * height, window.at + HEADER.size)
            yield Sample(index, character, pixels.reshape(height, width))
        index += 1
        window.at += size
    if not window.start + window.at:
        report(Problem("empty file", name, None, "it holds no byte"))

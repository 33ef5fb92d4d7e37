"""Where everything lies on the handwriting sheet, and the codes that tell a photo which page it is.

All lengths are millimetres, measured from the top left corner of the paper: x to the right, y down.
Each page carries six AprilTag markers (family 36h11, Olson 2011) whose numbers code paper, page
and position, and one QR code that holds the page's characters, so that a photo explains itself.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import cv2
import numpy as np

BOXES = 7  # boxes a character
ROWS = 11  # characters a page
BOX = 20.0  # side of a box
BOX_GAP = 1.5
LABEL_WIDTH = 18.0  # the cell with the printed model
MARKER = 10.0
EDGE = 8.0  # from the paper's edge to a marker; printers leave about 6 mm blank
QR_SIDE = 19.0  # of its 33 modules

POSITIONS = ("top left", "top right", "middle left", "middle right", "bottom left", "bottom right")
CORNERS = (0, 1, 4, 5)


class SheetError(ValueError):
    """What went wrong with a sheet, a photo or a folder, and what to do about it."""


@dataclass(frozen=True)
class Layout:
    """The geometry of a paper; corners are (4, 2): top left, top right, bottom right, bottom left."""

    paper: str
    width: float
    height: float
    first_row: float  # its top
    row_pitch: float  # from row to row

    @property
    def left(self) -> float:
        """The left edge of the label column."""
        return (self.width - LABEL_WIDTH - BOXES * (BOX_GAP + BOX)) / 2

    def label(self, row: int) -> tuple[float, float, float, float]:
        """x, y, width and height of the cell that shows the model of a row."""
        return self.left, self.first_row + row * self.row_pitch, LABEL_WIDTH, BOX

    def box(self, row: int, column: int) -> tuple[float, float]:
        """The top left corner of a box."""
        x = self.left + LABEL_WIDTH + BOX_GAP + column * (BOX + BOX_GAP)
        return x, self.first_row + row * self.row_pitch

    def box_corners(self, row: int, column: int) -> np.ndarray:
        """The corners of a box."""
        return _square(*self.box(row, column), BOX)

    def marker_corners(self, position: int) -> np.ndarray:
        """The corners of a marker."""
        x = EDGE if position % 2 == 0 else self.width - EDGE - MARKER
        y = (EDGE, (self.height - MARKER) / 2, self.height - EDGE - MARKER)[position // 2]
        return _square(x, y, MARKER)

    @property
    def qr(self) -> tuple[float, float]:
        """The top left corner of the QR code's square of `QR_SIDE`."""
        return self.width - EDGE - MARKER - 4 - QR_SIDE, self.first_row - QR_SIDE - 1.5


def _square(x: float, y: float, side: float) -> np.ndarray:
    return np.array([(x, y), (x + side, y), (x + side, y + side), (x, y + side)])


_LAYOUTS = (Layout("A4", 210.0, 297.0, 30.0, 22.0), Layout("Letter", 215.9, 279.4, 28.0, 21.0))
PAPERS = tuple(layout.paper for layout in _LAYOUTS)
MARKERS = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
MAX_PAGES = len(MARKERS.bytesList) // (len(PAPERS) * len(POSITIONS))
MAX_CHARACTERS = MAX_PAGES * ROWS
_CODE_PREFIX = "OH1"


def page_layout(paper: str) -> Layout:
    """The layout for `paper`, "A4" or "Letter". Raises SheetError for another name."""
    if paper not in PAPERS:
        raise SheetError(f"No layout for paper {paper!r}. Choose one of: {', '.join(PAPERS)}.")
    return _LAYOUTS[PAPERS.index(paper)]


def check_characters(characters) -> tuple[str, ...]:
    """The characters as a tuple; SheetError if one comes twice, or could name a path outside the folder."""
    characters = tuple(unicodedata.normalize("NFC", "".join(characters)))
    if not characters:
        raise SheetError("No characters given. Name at least one, e.g. --characters 大太犬.")
    folders = [character.casefold() for character in characters]  # a and A share one on Windows and macOS
    for character in characters:
        if not character.isalnum():
            code = f"{character!r} (U+{ord(character):04X})"
            raise SheetError(
                f"{code} is neither a letter nor a number and cannot name a folder. Leave it out."
            )
        if folders.count(character.casefold()) > 1:
            same = "comes twice, or another is the same to some computers"
            raise SheetError(f"{character!r} {same}. Name each once.")
    if len(characters) > MAX_CHARACTERS:
        many = f"{len(characters)} characters are too many for one sheet: at most {MAX_CHARACTERS}"
        raise SheetError(f"{many}. Make several sheets and read them into the same folder.")
    return characters


def split_pages(characters) -> list[tuple[str, ...]]:
    """The characters of each page, 11 a page, in the order given."""
    characters = check_characters(characters)
    return [characters[i : i + ROWS] for i in range(0, len(characters), ROWS)]


def marker_number(paper: str, page: int, position: int) -> int:
    """The AprilTag number for a page (from 1) and a position (0 to 5)."""
    return ((page - 1) * len(PAPERS) + PAPERS.index(paper)) * len(POSITIONS) + position


def marker_meaning(number: int) -> tuple[str, int, int]:
    """Paper, page (from 1) and position that an AprilTag number stands for."""
    page_code, position = divmod(number, len(POSITIONS))
    page, paper = divmod(page_code, len(PAPERS))
    return PAPERS[paper], page + 1, position


def qr_text(characters: tuple[str, ...]) -> str:
    """What the QR code of a page says: a mark of this format, then 4 base-36 digits a character."""
    return _CODE_PREFIX + "".join(np.base_repr(ord(c), 36).zfill(4) for c in characters)


def qr_characters(text: str) -> tuple[str, ...] | None:
    """The characters that a QR code names; None when it is not one of this sheet's codes."""
    digits = text[len(_CODE_PREFIX) :]
    if not text.startswith(_CODE_PREFIX) or len(digits) % 4 or len(digits) > 4 * ROWS:
        return None
    try:
        return check_characters([chr(int(digits[i : i + 4], 36)) for i in range(0, len(digits), 4)])
    except (ValueError, OverflowError):
        return None


def qr_modules(characters: tuple[str, ...]) -> np.ndarray:
    """The modules of a page's QR code, (33, 33) with its blank border; True is black."""
    options = cv2.QRCodeEncoder.Params()
    options.version = 3
    options.mode = cv2.QRCodeEncoder_MODE_ALPHANUMERIC
    options.correction_level = cv2.QRCodeEncoder_CORRECT_LEVEL_Q
    return cv2.QRCodeEncoder.create(options).encode(qr_text(characters)) == 0


def page_codes(layout: Layout, page: int, characters: tuple[str, ...]):
    """Yield the codes of a page: modules (n, n), True is black, and x, y and side of their square."""
    for position in range(len(POSITIONS)):
        picture = cv2.aruco.generateImageMarker(MARKERS, marker_number(layout.paper, page, position), 8)
        yield picture == 0, *layout.marker_corners(position)[0], MARKER
    yield qr_modules(characters), *layout.qr, QR_SIDE

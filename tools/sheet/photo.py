"""From a photo or scan to a flat picture of the page: markers, perspective, bent paper.

The markers give the perspective. What it cannot explain (a lens that bends lines, paper that does
not lie flat) is then measured on the printed frames and taken out with a cubic polynomial.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property

from course.photos import PhotoError, read_picture

import cv2
import numpy as np
from PIL import Image

from .layout import (
    BOX,
    BOXES,
    CORNERS,
    POSITIONS,
    QR_MODULES,
    QR_SIDE,
    ROWS,
    Layout,
    SheetError,
    marker_dictionary,
    marker_meaning,
    page_layout,
    qr_characters,
    qr_modules,
)

PIXELS_PER_MM = 10  # of the flat picture
_WORKING_SIDE = 4400  # pixels; more detail than this is not used
_LEAST_PIXELS_PER_MM = 2.5
_ADVICE = (
    "Photograph the whole page again: flat, from above, in good light, in focus, "
    "with all six black squares in the picture."
)


def load_photo(path: str | os.PathLike) -> np.ndarray:
    """Read a photo or scan as RGB, (height, width, 3) uint8; see `course.photos.read_picture`.

    Pictures of more than about 4,400 pixels a side are reduced. Raises SheetError that names the
    file and what to do.
    """
    try:
        picture = read_picture(path, enough=_WORKING_SIDE).convert("RGB")
    except PhotoError as error:
        raise SheetError(str(error)) from error
    picture.thumbnail((_WORKING_SIDE, _WORKING_SIDE), Image.Resampling.BOX, reducing_gap=None)
    return np.asarray(picture)


@dataclass
class FoundPage:
    """A page found in a photo.

    layout, page: which paper and page (from 1). homography: (3, 3), from page millimetres to
    photo pixels. bend: (10, 2), what remains, in millimetres, as cubic polynomials of the place.
    photo: (height, width, 3) uint8 RGB. spread: how far marker corners lie from where the
    perspective puts them, root mean square in millimetres.
    """

    layout: Layout
    page: int
    homography: np.ndarray
    bend: np.ndarray
    photo: np.ndarray
    spread: float

    def to_photo(self, points: np.ndarray) -> np.ndarray:
        """Photo pixels (n, 2) for page millimetres (n, 2)."""
        points = np.asarray(points, dtype=float)
        points = points + _powers(self.layout, points) @ self.bend
        return cv2.perspectiveTransform(points[None], self.homography)[0]

    def box_corners(self, row: int, column: int) -> np.ndarray:
        """Where the corners of a box lie in the photo, (4, 2) pixels, as `Layout.box_corners`."""
        return self.to_photo(self.layout.box_corners(row, column))

    @cached_property
    def flat(self) -> np.ndarray:
        """The page as if scanned, RGB uint8, 10 pixels a millimetre."""
        return _flatten(self, PIXELS_PER_MM)

    def release(self) -> None:
        """Let go of the pictures, about 50 MB; where the boxes lie stays known."""
        self.__dict__.pop("flat", None)
        self.photo = np.zeros((0, 0, 3), np.uint8)


def _powers(layout: Layout, points: np.ndarray) -> np.ndarray:
    x = points[:, 0] / layout.width * 2 - 1
    y = points[:, 1] / layout.height * 2 - 1
    return np.stack([x**i * y**j for i in range(4) for j in range(4 - i)], axis=1)


def _flatten(found: FoundPage, scale: float) -> np.ndarray:
    layout = found.layout
    size = round(layout.width * scale), round(layout.height * scale)
    # the map is smooth: compute it on a coarse grid, one point about every 2 mm
    columns, rows = round(layout.width / 2), round(layout.height / 2)
    x = (np.arange(columns) + 0.5) / columns * size[0] / scale
    y = (np.arange(rows) + 0.5) / rows * size[1] / scale
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    where = found.to_photo(grid).reshape(rows, columns, 2).astype(np.float32)
    where = cv2.resize(where, size, interpolation=cv2.INTER_CUBIC)
    photo = found.photo
    detail = np.sqrt(abs(np.linalg.det(found.homography[:2, :2])))
    if detail > 1.5 * scale:  # keep what is left out from becoming noise
        photo = cv2.GaussianBlur(photo, (0, 0), 0.4 * detail / scale)
    return cv2.remap(
        photo, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT,
        borderValue=(255, 255, 255),
    )  # fmt: skip


def _detect(photo: np.ndarray) -> dict[int, np.ndarray]:
    """All AprilTags of the sheet's family in the photo: number to corners (4, 2) in pixels."""
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    options = cv2.aruco.DetectorParameters()
    options.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    options.adaptiveThreshWinSizeMax = 43
    options.minMarkerPerimeterRate = 0.02
    detector = cv2.aruco.ArucoDetector(marker_dictionary(), options)
    found: dict[int, np.ndarray] = {}
    # Blur and noise hide a marker at one size and not at another.
    for side, even_light in ((2000, False), (1300, True), (3200, False), (2000, True)):
        factor = min(side / max(grey.shape), 2.0)
        method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        small = cv2.resize(grey, None, fx=factor, fy=factor, interpolation=method)
        if even_light:
            small = cv2.createCLAHE(3.0, (8, 8)).apply(small)
        corners, numbers, _ = detector.detectMarkers(small)
        if numbers is not None:
            for quad, number in zip(corners, numbers.ravel().tolist(), strict=True):
                # pixel centres, not pixel corners, lie at whole numbers
                found.setdefault(number, (quad.reshape(4, 2) + 0.5) / factor - 0.5)
        pages = [marker_meaning(number)[:2] for number in found]
        if pages and max(pages.count(page) for page in pages) == len(POSITIONS):
            break
    return found


def _bent(name: str) -> str:
    return f"{name}: the page is bent or folded too much to be read. {_ADVICE}"


def check_frames(found: FoundPage, rows: int, name: str) -> None:
    """Raise SheetError when paper is bent and too few frames of its rows were found to follow it.

    Where no frame can be seen at all, paper that the markers show to be flat is trusted.
    """
    if found.spread < 0.7:
        return
    good = [row < rows and abs(offset) < 0.7 for row, *_, offset in _frame_offsets(found)]
    if sum(good) < 0.6 * 4 * rows * BOXES:
        raise SheetError(_bent(name))


def _list(positions) -> str:
    return ", ".join(POSITIONS[p] for p in sorted(positions))


def find_page(photo: np.ndarray, name: str = "The photo") -> FoundPage:
    """Find the sheet in a photo, (height, width, 3) RGB uint8; name is for messages.

    Raises SheetError when there is no sheet, more than one page, or a part of it is missing.
    """
    by_page: dict[tuple[str, int], dict[int, np.ndarray]] = {}
    for number, corners in _detect(photo).items():
        paper, page, position = marker_meaning(number)
        by_page.setdefault((paper, page), {})[position] = corners
    if not by_page:
        raise SheetError(
            f"{name}: no handwriting sheet found. Is it the printed sheet of "
            f"`python -m tools.sheet`, and not mirrored? {_ADVICE}"
        )
    ranked = sorted(by_page, key=lambda page: -len(by_page[page]))
    # one stray marker is a false alarm, or the edge of the sheet below
    if len(ranked) > 1 and len(by_page[ranked[1]]) > 1:
        raise SheetError(
            f"{name} shows more than one page ({ranked[0][1]} and {ranked[1][1]}). "
            "Photograph each page by itself."
        )
    (paper, page), markers = ranked[0], by_page[ranked[0]]
    layout = page_layout(paper)
    _check_markers(layout, page, markers, photo, name)
    on_page = np.concatenate([layout.marker_corners(p) for p in markers])
    in_photo = np.concatenate(list(markers.values()))
    homography, _ = cv2.findHomography(on_page, in_photo)
    found = FoundPage(layout, page, homography, np.zeros((10, 2)), photo, 0.0)
    back = cv2.perspectiveTransform(in_photo[None].astype(float), np.linalg.inv(homography))[0]
    found.spread = float(np.sqrt(((back - on_page) ** 2).sum(axis=1).mean()))
    if found.spread > 4:
        raise SheetError(_bent(name))
    _unbend(found, on_page, back)
    _check_size(found, name)
    return found


def _check_markers(layout, page, markers, photo, name) -> None:
    missing = set(range(len(POSITIONS))) - set(markers)
    corners = [p for p in CORNERS if p in markers]
    if len(corners) >= 3 and len(markers) >= 4:
        return
    on_page = np.concatenate([layout.marker_corners(p) for p in markers])
    homography, _ = cv2.findHomography(on_page, np.concatenate(list(markers.values())))
    why = "is covered, out of focus or in a reflection"
    if homography is not None:
        height, width = photo.shape[:2]
        expected = np.concatenate([layout.marker_corners(p) for p in missing])[None]
        x, y = cv2.perspectiveTransform(expected, homography)[0].T
        if ((x < 0) | (y < 0) | (x > width - 1) | (y > height - 1)).any():
            why = "is cut off"
    raise SheetError(
        f"{name}: page {page} of the sheet, but a part of it {why}: the black squares "
        f"{_list(missing)} were not found. {_ADVICE}"
    )


def _check_size(found: FoundPage, name: str) -> None:
    height, width = found.photo.shape[:2]
    for row in range(ROWS):
        for column in (0, BOXES - 1):
            corners = found.box_corners(row, column)
            if (corners < 0).any() or (corners > (width - 1, height - 1)).any():
                raise SheetError(f"{name}: page {found.page} of the sheet is cut off. {_ADVICE}")
            sides = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1)
            if sides.min() < _LEAST_PIXELS_PER_MM * BOX:
                raise SheetError(
                    f"{name}: the sheet is too small in the picture: a box is only "
                    f"{sides.min():.0f} pixels wide, at least {_LEAST_PIXELS_PER_MM * BOX:.0f} "
                    "are needed. Go closer, or scan at 150 dpi or more."
                )


def line_profile(strip: np.ndarray) -> np.ndarray:
    """The profile across a printed line, (n,), from a strip (n, length) of darkness.

    The median along the line ignores ink that crosses it.
    """
    profile = np.median(strip, axis=1)
    return profile - np.median(profile)


def _edge_offsets(dark: np.ndarray, start: float, scale: float) -> list[tuple[float, float]]:
    """Find the two lines of a box across `dark`, (n, length); each as (where, offset) in mm.

    start: where row 0 of `dark` lies from the first line, in millimetres. Both lines are looked
    for together at their known distance, which the frame next door does not have.
    """
    profile = line_profile(dark)
    profile = cv2.GaussianBlur(profile[:, None], (1, 5), 0.8)[:, 0]
    reach = np.arange(-2.5, 2.5, 0.5 / scale)
    rows = np.arange(len(profile))

    def at(millimetres):
        return np.interp((millimetres - start) * scale - 0.5, rows, profile)

    both = np.minimum(at(reach), at(BOX + reach))
    noise = 1.4826 * np.median(np.abs(profile)) + 1e-6
    best = reach[both.argmax()]
    if both.max() < max(4 * noise, 0.012):
        return []
    found = []
    for edge in (0.0, BOX):
        near = edge + best + np.arange(-0.5, 0.5, 0.25 / scale)
        weight = np.clip(at(near) - at(near).max() / 2, 0, None)
        found.append((edge, float((near * weight).sum() / weight.sum() - edge)))
    return found


def _unbend(found: FoundPage, on_page: np.ndarray, back: np.ndarray) -> None:
    """Measure the frames' offsets and put their cubic fit into `found.bend`."""
    for _ in range(2):
        measured = [line for _, *line in _frame_offsets(found)]
        found.bend = found.bend + _fit_bend(found, np.array(measured), on_page, back)


def _frame_offsets(found: FoundPage):
    """Yield row, x, y, axis and offset (mm) of each line of a printed frame that is found."""
    layout, scale, around = found.layout, 6, 3.0
    flat = _flatten(found, scale)[..., 1:].astype(np.float32).mean(axis=2)
    paper = cv2.resize(flat, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    paper = cv2.medianBlur(cv2.dilate(paper, np.ones((7, 7))), 5)
    paper = cv2.resize(paper, flat.shape[::-1], interpolation=cv2.INTER_LINEAR)
    dark = 1 - flat / np.maximum(paper, 1)
    inner = _span(around + 2, BOX - 4, scale)
    for row in range(ROWS):
        for column in range(BOXES):
            x, y = layout.box(row, column)
            x0, y0 = x - around, y - around
            long = BOX + 2 * around
            tile = dark[_span(y0, long, scale), _span(x0, long, scale)]
            # row 0 of the tile begins at a whole pixel, not exactly at x0, y0
            for edge, offset in _edge_offsets(tile[:, inner], round(y0 * scale) / scale - y, scale):
                yield row, x + BOX / 2, y + edge, 1, offset
            for edge, offset in _edge_offsets(tile[inner].T, round(x0 * scale) / scale - x, scale):
                yield row, x + edge, y + BOX / 2, 0, offset


def _span(start: float, length: float, scale: float) -> slice:
    first = round(start * scale)
    return slice(first, first + round(length * scale))


def _fit_bend(found, measured, on_page, back) -> np.ndarray:
    update = np.zeros((10, 2))
    # the marker corners hold the fit where there are no boxes
    shift = back - on_page - _powers(found.layout, on_page) @ found.bend
    measured = measured.reshape(-1, 4)
    for axis in (0, 1):
        lines = measured[measured[:, 2] == axis]
        places = np.concatenate([lines[:, :2], on_page])
        offsets = np.concatenate([lines[:, 3], shift[:, axis]])
        powers = _powers(found.layout, places)
        keep = np.ones(len(offsets), dtype=bool)
        for _ in range(4):  # leave out what disagrees: writing on a line, a line next door
            # a weak pull towards zero keeps the cubic calm where little was measured
            normal = powers[keep].T @ powers[keep] + 0.05 * np.eye(10)
            update[:, axis] = np.linalg.solve(normal, powers[keep].T @ offsets[keep])
            error = np.abs(offsets - powers @ update[:, axis])
            keep = error < max(0.25, 3 * 1.4826 * float(np.median(error[keep])))
    return update


def read_characters(found: FoundPage, known=()) -> tuple[str, ...] | None:
    """The characters of the page from its QR code, or None when it cannot be read.

    known: the pages of a known sheet, each a tuple of characters. A code too blurred to be read is
    compared with the one that this page of the known sheet has.
    """
    tile = _code_tile(found, around := 2.0)
    sharper = cv2.addWeighted(tile, 2.5, cv2.GaussianBlur(tile, (0, 0), 3), -1.5, 0)
    for picture, size in ((tile, 2), (sharper, 2), (tile, 1), (tile, 3), (sharper, 1)):
        picture = cv2.resize(picture, None, fx=size, fy=size, interpolation=cv2.INTER_CUBIC)
        try:
            text = cv2.QRCodeDetector().detectAndDecode(picture)[0]
        except cv2.error:  # some versions raise on a code that they cannot straighten
            text = ""
        characters = qr_characters(text)
        if characters:
            return characters
    if not 0 < found.page <= len(known):
        return None
    # one value a module, as near its centre as the pixels allow
    step = QR_SIDE / QR_MODULES
    centres = (around + (np.arange(QR_MODULES) + 0.5) * step) * PIXELS_PER_MM
    places = centres.round().astype(int)
    smooth = cv2.GaussianBlur(tile, (0, 0), step * PIXELS_PER_MM / 4).astype(float)
    light = smooth[np.ix_(places, places)]
    codes = np.array([qr_modules(page) for page in known] + [qr_modules(("?",))])
    telling = codes.min(axis=0) != codes.max(axis=0)  # not the patterns that all codes share
    if np.ptp(light[telling]) < 1:
        return None
    likeness = [np.corrcoef(-light[telling], code[telling])[0, 1] for code in codes]
    best = likeness.pop(found.page - 1)
    # of some 450 modules, chance gives a correlation of 0.05
    return known[found.page - 1] if best > 0.3 and best > max(likeness) + 0.15 else None


def _code_tile(found: FoundPage, around: float) -> np.ndarray:
    """The flat picture of the QR code and `around` millimetres more, grey uint8."""
    spans = [_span(v - around, QR_SIDE + 2 * around, PIXELS_PER_MM) for v in found.layout.qr]
    return cv2.cvtColor(found.flat[spans[1], spans[0]], cv2.COLOR_RGB2GRAY)

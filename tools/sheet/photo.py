"""From a photo or scan to a flat picture of the page: markers, perspective, bent paper.

The markers give the perspective. What it cannot explain (a lens that bends lines, paper that does
not lie flat) is then measured on the printed frames and taken out with a cubic polynomial.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from course.photos import read_pages

import cv2
import numpy as np
from PIL import Image

import tools.sheet.layout as paper_layout

from .layout import BOX, BOXES, CORNERS, MARKERS, POSITIONS, QR_SIDE, ROWS, Layout, SheetError

PIXELS_PER_MM = 10  # of the flat picture
_WORKING_SIDE = 4400  # pixels; more detail than this is not used
_LEAST_PIXELS_PER_MM = 2.5
_ADVICE = (
    "Photograph the whole page again: flat, from above, in good light, in focus, "
    "with all six black squares in the picture."
)
_BENT = f": the page is bent or folded too much to be read. {_ADVICE}"


def load_pages(path: str | os.PathLike) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each page of a photo or scan: its name in messages, RGB (height, width, 3) uint8. PhotoError."""
    for number, page in enumerate(read_pages(path, enough=_WORKING_SIDE), 1):
        picture = page.convert("RGB")
        picture.thumbnail((_WORKING_SIDE, _WORKING_SIDE), Image.Resampling.BOX, reducing_gap=None)
        yield f"{path}, page {number}" if number > 1 else str(path), np.asarray(picture)


@dataclass
class FoundPage:
    """A page found in a photo."""

    layout: Layout
    page: int  # from 1
    homography: np.ndarray  # (3, 3), from page millimetres to photo pixels
    spread: float  # of marker corners about their places in perspective: root mean square, mm
    bend: np.ndarray  # (10, 2): what remains, mm, as cubic polynomials of the place

    def to_photo(self, points: np.ndarray) -> np.ndarray:
        """Photo pixels (n, 2) for page millimetres (n, 2)."""
        points = points + _powers(self.layout, points) @ self.bend
        return cv2.perspectiveTransform(points[None], self.homography)[0]

    def box_corners(self, row: int, column: int) -> np.ndarray:
        """Where the corners of a box lie in the photo, (4, 2) pixels, as `Layout.box_corners`."""
        return self.to_photo(self.layout.box_corners(row, column))


def _powers(layout: Layout, points: np.ndarray) -> np.ndarray:
    x, y = (points / (layout.width, layout.height) * 2 - 1).T
    return np.stack([x**i * y**j for i in range(4) for j in range(4 - i)], axis=1)


def flatten(found: FoundPage, photo: np.ndarray, scale: float = PIXELS_PER_MM) -> np.ndarray:
    """The page as if scanned, (height, width, 3) RGB uint8, with `scale` pixels a millimetre."""
    size = round(found.layout.width * scale), round(found.layout.height * scale)
    # the map is smooth: compute it on a coarse grid, one point about every 2 mm
    columns, rows = round(found.layout.width / 2), round(found.layout.height / 2)
    x = (np.arange(columns) + 0.5) / columns * size[0] / scale
    y = (np.arange(rows) + 0.5) / rows * size[1] / scale
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    where = found.to_photo(grid).reshape(rows, columns, 2).astype(np.float32)
    where = cv2.resize(where, size, interpolation=cv2.INTER_CUBIC)
    detail = np.sqrt(abs(np.linalg.det(found.homography[:2, :2])))
    if detail > 1.5 * scale:  # keep what is left out from becoming noise
        photo = cv2.GaussianBlur(photo, (0, 0), 0.4 * detail / scale)
    border = {"borderMode": cv2.BORDER_CONSTANT, "borderValue": (255, 255, 255)}
    return cv2.remap(photo, where, None, cv2.INTER_LINEAR, **border)


def span(start: float, length: float, scale: float = PIXELS_PER_MM) -> slice:
    """The pixels of a flat picture that `length` millimetres from `start` take."""
    first = round(start * scale)
    return slice(first, first + round(length * scale))


def _detect(photo: np.ndarray) -> dict[tuple[str, int], dict[int, np.ndarray]]:
    """The markers in a photo, by paper and page: position to corners, (4, 2) in pixels."""
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    options = cv2.aruco.DetectorParameters()
    options.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    options.adaptiveThreshWinSizeMax = 43
    options.minMarkerPerimeterRate = 0.02
    detector = cv2.aruco.ArucoDetector(MARKERS, options)
    found = defaultdict(dict)
    # Blur and noise hide a marker at one size and not at another.
    for side, even_light in ((2000, False), (1300, True), (3200, False), (2000, True)):
        factor = min(side / max(grey.shape), 2.0)
        method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        small = cv2.resize(grey, None, fx=factor, fy=factor, interpolation=method)
        if even_light:
            small = cv2.createCLAHE(3.0, (8, 8)).apply(small)
        quads, numbers, _ = detector.detectMarkers(small)
        for quad, number in zip(quads, [] if numbers is None else numbers.ravel().tolist(), strict=True):
            *page, position = paper_layout.marker_meaning(number)
            # pixel centres, not pixel corners, lie at whole numbers
            found[tuple(page)].setdefault(position, (quad.reshape(4, 2) + 0.5) / factor - 0.5)
        if any(len(markers) == len(POSITIONS) for markers in found.values()):
            break
    return found


def find_page(photo: np.ndarray, name: str) -> FoundPage:
    """Find the sheet in a photo, (height, width, 3) RGB uint8; SheetError says what is amiss with `name`."""
    pages = sorted(_detect(photo).items(), key=lambda page: -len(page[1]))
    if not pages:
        printed = "Is it the printed sheet of `python -m tools.sheet`, and not mirrored?"
        raise SheetError(f"{name}: no handwriting sheet found. {printed} {_ADVICE}")
    # one stray marker is a false alarm, or the edge of the sheet below
    if len(pages) > 1 and len(pages[1][1]) > 1:
        both = f"more than one page ({pages[0][0][1]} and {pages[1][0][1]})"
        raise SheetError(f"{name} shows {both}. Photograph each page by itself.")
    (paper, page), markers = pages[0]
    layout = paper_layout.page_layout(paper)
    on_page = np.concatenate([layout.marker_corners(p) for p in markers])
    in_photo = np.concatenate(list(markers.values()))
    homography, _ = cv2.findHomography(on_page, in_photo)
    found = FoundPage(layout, page, homography, 0.0, np.zeros((10, 2)))
    _check_markers(found, markers, photo, name)
    back = cv2.perspectiveTransform(in_photo[None].astype(float), np.linalg.inv(homography))[0]
    found.spread = float(np.sqrt(((back - on_page) ** 2).sum(axis=1).mean()))
    if found.spread > 4:
        raise SheetError(f"{name}{_BENT}")
    for _ in range(2):
        found.bend = found.bend + _fit_bend(found, photo, on_page, back)
    boxes = np.array([found.box_corners(row, column) for row in range(ROWS) for column in (0, BOXES - 1)])
    if _outside(boxes, photo):
        raise SheetError(f"{name}: page {found.page} of the sheet is cut off. {_ADVICE}")
    side = np.linalg.norm(boxes - np.roll(boxes, 1, axis=1), axis=2).min()
    if side < _LEAST_PIXELS_PER_MM * BOX:
        size = f"a box is only {side:.0f} pixels wide, at least {_LEAST_PIXELS_PER_MM * BOX:.0f} are needed"
        closer = "Go closer, or scan at 150 dpi or more."
        raise SheetError(f"{name}: the sheet is too small in the picture: {size}. {closer}")
    return found


def _outside(points: np.ndarray, photo: np.ndarray) -> bool:
    height, width = photo.shape[:2]
    return bool(((points < 0) | (points > (width - 1, height - 1))).any())


def _check_markers(found: FoundPage, markers, photo: np.ndarray, name: str) -> None:
    if len(markers) >= 4 and sum(p in markers for p in CORNERS) >= 3:
        return
    missing = [p for p in range(len(POSITIONS)) if p not in markers]
    expected = found.to_photo(np.concatenate([found.layout.marker_corners(p) for p in missing]))
    why = "is cut off" if _outside(expected, photo) else "is covered, out of focus or in a reflection"
    squares = f"the black squares {', '.join(POSITIONS[p] for p in missing)} were not found"
    raise SheetError(f"{name}: page {found.page} of the sheet, but a part of it {why}: {squares}. {_ADVICE}")


def check_frames(found: FoundPage, photo: np.ndarray, rows: int, name: str) -> None:
    """Raise SheetError for bent paper of whose rows too few frames were found; flat paper is trusted."""
    if found.spread < 0.7:
        return
    good = [row < rows and abs(offset) < 0.7 for row, *_, offset in _frame_offsets(found, photo)]
    if sum(good) < 0.6 * 4 * rows * BOXES:
        raise SheetError(f"{name}{_BENT}")


def line_profile(strip: np.ndarray) -> np.ndarray:
    """The profile (n,) across a printed line of a strip (n, length): medians, whatever ink crosses it."""
    profile = np.median(strip, axis=1)
    return profile - np.median(profile)


def _edge_offsets(dark: np.ndarray, start: float, scale: float) -> list[tuple[float, float]]:
    """Find the two lines of a box across `dark`, (n, length); each as (where, offset) in mm.

    start: where row 0 of `dark` lies from the first line, in millimetres. Both lines are looked
    for together at their known distance, which the frame next door does not have.
    """
    profile = cv2.GaussianBlur(line_profile(dark)[:, None], (1, 5), 0.8)[:, 0]

    def at(millimetres):
        return np.interp((millimetres - start) * scale - 0.5, np.arange(len(profile)), profile)

    reach = np.arange(-2.5, 2.5, 0.5 / scale)
    both = np.minimum(at(reach), at(BOX + reach))
    noise = 1.4826 * np.median(np.abs(profile)) + 1e-6
    if both.max() < max(4 * noise, 0.012):
        return []
    found = []
    for edge in (0.0, BOX):
        near = edge + reach[both.argmax()] + np.arange(-0.5, 0.5, 0.25 / scale)
        weight = np.clip(at(near) - at(near).max() / 2, 0, None)
        found.append((edge, float((near * weight).sum() / weight.sum() - edge)))
    return found


def _frame_offsets(found: FoundPage, photo: np.ndarray) -> Iterator[tuple[int, float, float, int, float]]:
    """Yield row, x, y, axis and offset (mm) of each line of a printed frame that is found."""
    scale, around = 6, 3.0
    flat = flatten(found, photo, scale)[..., 1:].astype(np.float32).mean(axis=2)
    paper = cv2.resize(flat, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    paper = cv2.medianBlur(cv2.dilate(paper, np.ones((7, 7))), 5)
    paper = cv2.resize(paper, flat.shape[::-1], interpolation=cv2.INTER_LINEAR)
    dark = 1 - flat / np.maximum(paper, 1)
    inner = span(around + 2, BOX - 4, scale)
    for row in range(ROWS):
        for column in range(BOXES):
            corner = found.layout.box(row, column)
            across, down = (span(each - around, BOX + 2 * around, scale) for each in corner)
            tile = dark[down, across]
            for axis, strip in ((1, tile[:, inner]), (0, tile[inner].T)):
                # the strip begins at a whole pixel, not exactly 3 mm before the box
                start = round((corner[axis] - around) * scale) / scale - corner[axis]
                for edge, offset in _edge_offsets(strip, start, scale):
                    x, y = (each + BOX / 2 for each in corner)
                    place = (x, corner[1] + edge) if axis else (corner[0] + edge, y)
                    yield row, *place, axis, offset


def _fit_bend(found: FoundPage, photo: np.ndarray, on_page: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Measure the frames' offsets; returns their cubic fit, to be added to `found.bend`."""
    measured = np.array([line for _, *line in _frame_offsets(found, photo)]).reshape(-1, 4)
    update = np.zeros((10, 2))
    # the marker corners hold the fit where there are no boxes
    shift = back - on_page - _powers(found.layout, on_page) @ found.bend
    for axis in (0, 1):
        lines = measured[measured[:, 2] == axis]
        powers = _powers(found.layout, np.concatenate([lines[:, :2], on_page]))
        offsets = np.concatenate([lines[:, 3], shift[:, axis]])
        keep = np.ones(len(offsets), dtype=bool)
        for _ in range(4):  # leave out what disagrees: writing on a line, a line next door
            # a weak pull towards zero keeps the cubic calm where little was measured
            normal = powers[keep].T @ powers[keep] + 0.05 * np.eye(10)
            update[:, axis] = np.linalg.solve(normal, powers[keep].T @ offsets[keep])
            error = np.abs(offsets - powers @ update[:, axis])
            keep = error < max(0.25, 3 * 1.4826 * float(np.median(error[keep])))
    return update


def read_characters(flat: np.ndarray, found: FoundPage, known) -> tuple[str, ...] | None:
    """The characters of a page from its QR code, or None when it cannot be read.

    flat: from `flatten`. known: the pages of a known sheet, each a tuple of characters. A code too
    blurred to be read is compared with the one that this page of the known sheet has.
    """
    grey = cv2.cvtColor(flat, cv2.COLOR_RGB2GRAY)
    around = 2.0
    across, down = (span(corner - around, QR_SIDE + 2 * around) for corner in found.layout.qr)
    tile = grey[down, across]
    sharper = cv2.addWeighted(tile, 2.5, cv2.GaussianBlur(tile, (0, 0), 3), -1.5, 0)
    for picture, size in ((tile, 2), (sharper, 2), (tile, 1), (tile, 3), (sharper, 1)):
        picture = cv2.resize(picture, None, fx=size, fy=size, interpolation=cv2.INTER_CUBIC)
        try:
            text = cv2.QRCodeDetector().detectAndDecode(picture)[0]
        except cv2.error:  # some versions raise on a code that they cannot straighten
            continue
        if characters := paper_layout.qr_characters(text):
            return characters
    if found.page > len(known):
        return None
    codes = np.array([paper_layout.qr_modules(page) for page in known] + [paper_layout.qr_modules(("?",))])
    telling = codes.min(axis=0) != codes.max(axis=0)  # not the patterns that all codes share
    across, down = (span(corner, QR_SIDE) for corner in found.layout.qr)
    light = cv2.resize(grey[down, across], codes.shape[1:], interpolation=cv2.INTER_AREA)[telling]
    if np.ptp(light) < 1:
        return None
    likeness = [np.corrcoef(-light.astype(float), code[telling])[0, 1] for code in codes]
    best = likeness.pop(found.page - 1)
    # of some 450 modules, chance gives a correlation of 0.05
    return known[found.page - 1] if best > 0.3 and best > max(likeness) + 0.15 else None

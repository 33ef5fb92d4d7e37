"""From a flat picture of the page to one clean image a box: grey ink on white, as CASIA's scans.

The light red print hardly shows in the red channel; what is left of it is measured on the frames,
and the threshold for ink lies above it.
"""

from __future__ import annotations

import cv2
import numpy as np

from .drawing import FRAME, FRAME_WIDTH, GUIDE
from .layout import BOX, BOXES, Layout
from .photo import PIXELS_PER_MM, line_profile

# A character of 13 mm, as people write into a box of 20 mm, becomes 84 pixels: the median height
# in the CASIA set that the lecture is about. Its median ink is grey 96.
IMAGE_PIXELS_PER_MM = 6.4
INK_GREY = 96
MARGIN = 4  # pixels of white around the ink
_INSET = 0.6  # mm; keeps the frame out of the picture
_LEAST_AREA = 0.8  # mm² of ink; less is a dot of dirt
_LEAST_LENGTH = 2.0  # mm; several specks of dirt are no writing either
# how dark guides and models are against the frame when all are printed grey
_GUIDE_SHARE = np.divide(*(1 - np.dot((GUIDE, FRAME), (0.299, 0.587, 0.114))))


def darkness(flat: np.ndarray) -> np.ndarray:
    """How much darker than the paper around it each pixel is in red light, 0 to 1, float32.

    flat: (height, width, 3) RGB uint8, 10 pixels a millimetre. Shadows go with the paper: its
    brightness is what remains when strokes are closed over (grey dilation) and smoothed.
    """
    red = flat[..., 0].astype(np.float32)
    small = cv2.resize(red, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    paper = cv2.medianBlur(cv2.dilate(small, disc), 5)
    paper = cv2.erode(paper, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    paper = cv2.GaussianBlur(paper, (0, 0), 3)
    paper = cv2.resize(paper, red.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return 1 - red / np.maximum(paper, 1)


def cut_boxes(flat: np.ndarray, layout: Layout, rows: int) -> dict[tuple[int, int], np.ndarray | None]:
    """The boxes of the first `rows` rows, cleaned, by place: (height, width) uint8, or None if empty."""
    dark = darkness(flat)
    tiles = {}
    for row in range(rows):
        for column in range(BOXES):
            across, down = (
                slice(round((v + _INSET) * PIXELS_PER_MM), round((v + BOX - _INSET) * PIXELS_PER_MM))
                for v in layout.box(row, column)
            )
            tile = cv2.GaussianBlur(dark[down, across], (0, 0), 0.7)
            tiles[row, column] = tile - np.median(tile)
    print_level = _print_level(dark, layout, rows)
    noise = float(np.median([1.4826 * np.median(np.abs(tile)) for tile in tiles.values()]))
    lowest = max(0.06, 0.02 + 1.3 * print_level, 4.5 * noise)

    first = {place: _ink_level(tile, lowest) for place, tile in tiles.items()}
    page_level = float(np.median([level for level in first.values() if level] or [0.0]))
    return {
        place: _clean(tile, lowest, print_level, first[place], page_level) for place, tile in tiles.items()
    }


def _print_level(dark: np.ndarray, layout: Layout, rows: int) -> float:
    """How dark guides and models still are in red light, from the area under the frames' lines."""
    side, half, rim = round(BOX * PIXELS_PER_MM), 8, 20
    areas = []
    for row in range(rows):
        for column in range(BOXES):
            x, y = (round(v * PIXELS_PER_MM) for v in layout.box(row, column))
            for picture, across, along in ((dark, y, x), (dark.T, x, y)):
                for edge in (across, across + side):
                    strip = picture[edge - half : edge + half, along + rim : along + side - rim]
                    areas.append(line_profile(strip).clip(0).sum())
    # a gap of 1 to 2 mm: only the nearer line is inside these 1.6 mm
    return _GUIDE_SHARE * float(np.median(areas)) / PIXELS_PER_MM / FRAME_WIDTH


def _parts(tile: np.ndarray, edge: float, core: float) -> np.ndarray:
    """Connected ink above `edge` that is somewhere above `core`, as a mask."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((tile > edge).astype(np.uint8))
    dark = np.zeros(count, dtype=bool)
    dark[labels[tile > core]] = True
    size = len(tile)
    left, top, width, height, area = stats.T
    rim = round(1.0 * PIXELS_PER_MM)
    # what stays within 1 mm of one side came over from the box next door, or is the frame
    outside = (left + width <= rim) | (left >= size - rim) | (top + height <= rim) | (top >= size - rim)
    keep = dark & (area >= 0.12 * PIXELS_PER_MM**2) & ~outside
    keep[0] = False
    return keep[labels]


def _is_writing(mask: np.ndarray) -> bool:
    if mask.sum() < _LEAST_AREA * PIXELS_PER_MM**2:
        return False
    stats = cv2.connectedComponentsWithStats(mask.astype(np.uint8))[2][1:]
    sides = stats[:, (cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT)]
    return sides.max() >= _LEAST_LENGTH * PIXELS_PER_MM


def _ink_level(tile: np.ndarray, lowest: float) -> float:
    """How dark the ink of a box is (upper quartile of its pixels); 0 when there is none."""
    mask = _parts(tile, lowest, lowest + 0.05)
    return float(np.percentile(tile[mask], 75)) if _is_writing(mask) else 0.0


def _clean(tile, lowest, print_level, level, page_level) -> np.ndarray | None:
    """The clean image of a box, or None when it is empty; the levels are darknesses, 0 to 1."""
    if not level or level < 0.25 * page_level:
        return None
    edge = max(lowest, 0.22 * level)
    mask = _parts(tile, edge, max(lowest + 0.05, 0.45 * level, 0.25 * page_level))
    if not _is_writing(mask):
        return None
    # the soft edge of the strokes, two pixels wide, belongs to them
    halo = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    ink = np.where(mask | (halo & (tile > max(0.4 * edge, 1.1 * print_level))), tile, 0).clip(0)
    factor = IMAGE_PIXELS_PER_MM / PIXELS_PER_MM
    ink = cv2.resize(ink, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    grey = 255 - (255 - INK_GREY) * ink / np.median(ink[ink > 0.35 * level])
    image = np.where(grey > 247, 255, grey.clip(20)).round().astype(np.uint8)
    rows, columns = (np.flatnonzero((image < 255).any(axis=axis)) for axis in (1, 0))
    image = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return np.pad(image, MARGIN, constant_values=255)

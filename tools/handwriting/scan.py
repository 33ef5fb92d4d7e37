"""Pens and scans: from the pen's movement to ink, and to an 8-bit grey image as CASIA's files hold it.

Ball pens leave thin lines whose darkness follows the pressure, gel pens even dark lines that pool
where the pen rests, felt tips broad soft ones.

CASIA's pages were scanned in grey, the characters cut out, and the paper set to pure white by a
threshold, so that grey strokes with soft edges stand on 255. Two styles of file are in use:
``hwdb1.1`` as the official ``.gnt`` files of HWDB1.1 hold the samples (cut at the ink, light), and
``course`` as the folders of PNG files that circulate for teaching do (darker; about half of them
with a white margin).

The distributions below were set by comparing generated images with published statistics of real
files (``data/casia-statistics.json``; `tools.handwriting.compare`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erf, sqrt
from typing import NamedTuple

import cv2
import numpy as np

from tools.handwriting.writers import Trace, Writer

WHITE = 255
INK = 200  # pixels below this are ink, in every measure of this package
TEXTURE = 0.10  # unevenness of the ink, share of its darkness
_SHARES = np.array([0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0])
# Per pen: how much pressure, and how much slowness, changes width and darkness.
_WIDTH_BY_PRESSURE = (0.45, 0.30, 0.55)
_WIDTH_BY_REST = (0.05, 0.14, 0.22)
_DARKNESS_BY_PRESSURE = (0.45, 0.20, 0.25)


@dataclass(frozen=True)
class Scan:
    """A style of scan; quantiles are at 0, 1, 5, 25, 50, 75, 95, 99 and 100 %."""

    ink_size: tuple[float, ...]  # height^0.57 width^0.43 of the ink in pixels
    line_width: tuple[float, ...]  # pixels, of the pen before blur, tight images
    widest: float  # line width at most this share of the ink's size
    thin: float  # factor on the width where a margin is left
    median_grey: tuple[float, ...]  # of ink pixels
    blur: tuple[float, float]  # standard deviation in pixels, lowest and highest
    tone: float  # exponent from ink to darkness: above 1 leaves fewer light pixels
    limit: tuple[float, float]  # lightest grey kept, lowest and highest; the rest is paper
    floor: float  # where darkening slows down, share of the median grey
    margin_share: float  # share of the images with a white margin
    margin: tuple[tuple[float, float], ...]  # mean and deviation: left, top, right, bottom


SCANS = {
    "course": Scan(
        ink_size=(34, 46, 51, 57.5, 63, 70, 81, 91, 105),
        line_width=(1.2, 1.5, 1.95, 3.4, 4.7, 6.35, 7.1, 7.7, 8.7),
        widest=0.103,
        thin=0.70,
        median_grey=(54, 66, 75, 88, 99, 110, 128, 164, 182),
        blur=(0.65, 1.05),
        tone=1.25,
        limit=(222, 240),
        floor=0.45,
        margin_share=0.57,
        margin=((8.8, 1.9), (10.6, 2.2), (6.8, 1.9), (11.0, 2.2)),
    ),
    "hwdb1.1": Scan(
        ink_size=(25, 33, 46, 55.5, 63.5, 73, 87, 98, 112),
        line_width=(2.4, 2.8, 2.97, 3.08, 3.6, 4.95, 5.2, 5.5, 5.9),
        widest=0.075,
        thin=1.0,
        median_grey=(90, 103, 112, 125, 134, 147, 164, 175, 182),
        blur=(0.45, 0.75),
        tone=1.15,
        limit=(222, 238),
        floor=0.70,
        margin_share=0.0,
        margin=((0, 0),) * 4,
    ),
}


def _share(score: float) -> float:
    """Share of people below a standard normal score."""
    return 0.5 * (1.0 + erf(score / sqrt(2.0)))


def quantile(table: tuple[float, ...], score: float) -> float:
    """Value of a distribution, given by its quantiles, at a standard normal score."""
    return float(np.interp(_share(score), _SHARES, table))


class Page(NamedTuple):
    """What a page decides about one image before it is drawn."""

    ink_size: float
    line_width: float
    median_grey: float
    margins: tuple[int, ...]  # left, top, right, bottom; all 0: cut at the ink


def page(scan: Scan, writer: Writer, tallness: float, rng: np.random.Generator) -> Page:
    """Choose size, line width, grey and margins of one image.

    ``tallness`` is the normal score of the character's own height among characters.
    """
    own = rng.standard_normal(8)
    size = quantile(scan.ink_size, 0.72 * writer.size + 0.28 * tallness + 0.635 * own[0])
    line = quantile(scan.line_width, 0.93 * writer.width + 0.368 * own[1])
    grey = quantile(scan.median_grey, 0.94 * writer.grey + 0.341 * own[2])
    margins = (0, 0, 0, 0)
    if _share(0.96 * writer.crop + 0.28 * own[3]) < scan.margin_share:
        line *= scan.thin
        margins = tuple(max(1, round(mean + spread * o)) for (mean, spread), o in zip(scan.margin, own[4:]))
    return Page(size, min(line, scan.widest * size), grey, margins)


def _gain(ink: np.ndarray, target: float) -> float:
    """Darkness by which the median of the ink pixels becomes ``target``; ``ink`` is sorted."""
    low, high = 60.0, 1200.0
    for _ in range(12):
        gain = 0.5 * (low + high)
        inked = ink[ink.searchsorted((WHITE - INK) / gain) :]
        if not len(inked) or WHITE - gain * inked[len(inked) // 2] > target:
            low = gain
        else:
            high = gain
    return 0.5 * (low + high)


def draw(trace: Trace, writer: Writer, size: float, width: float) -> np.ndarray:
    """Draw a movement with the writer's pen: (h, w) float32 of ink, 0 none to about 1 full.

    ``size`` is the wished height^0.57 width^0.43 of the ink, ``width`` that of the line, in pixels; 6
    pixels of border stay empty.
    """
    scale = 4  # fine pixels a pixel, each way
    on = trace.pressure > 0.0
    points, pressure, speed = trace.points[on], trace.pressure[on], trace.speed[on]
    low, high = points.min(axis=0), points.max(axis=0)
    span = np.maximum(high - low, 1.0)
    # The line's own width is part of the ink's size. Wide characters are written a little lower
    # than narrow ones, as both sizes of real images say; the exponents follow their spreads.
    factor = max(size - width, 4.0) / (span[1] ** 0.57 * span[0] ** 0.43)
    border = 6.0 + width
    fine = (points - low) * (factor * scale) + border * scale
    shape = np.ceil(span * factor + 2 * border).astype(int)
    pen = writer.pen
    slow = np.clip(1.0 - speed, -0.4, 1.0)
    by_pressure = 1.0 - _WIDTH_BY_PRESSURE[pen] * writer.taper * 2.0 * (1.0 - pressure)
    thick = width * (by_pressure + _WIDTH_BY_REST[pen] * slow)
    radius = np.maximum(thick * (0.5 * scale), 0.5 * scale * 0.9)
    level = 205.0 * (1.0 - _DARKNESS_BY_PRESSURE[pen] * (1.0 - pressure) + 0.16 * slow)
    level = np.clip(level, 60, 250).astype(np.int32).tolist()
    canvas = np.zeros((int(shape[1]) * scale, int(shape[0]) * scale), np.uint8)
    across, down = np.rint(fine).astype(np.int32).T.tolist()
    radii = np.rint(radius).astype(np.int32).tolist()
    for centre, r, value in zip(zip(across, down), radii, level):
        cv2.circle(canvas, centre, r, value, -1)
    ink = cv2.resize(canvas, (int(shape[0]), int(shape[1])), interpolation=cv2.INTER_AREA)
    return ink.astype(np.float32) * np.float32(1 / 205.0)


def expose(scan: Scan, ink: np.ndarray, wish: Page, rng: np.random.Generator) -> np.ndarray:
    """Scan a drawing: (height, width) uint8, 255 is paper.

    ``ink`` (h, w) float32 is the coverage by ink, with an empty border of 4 pixels at least.
    """
    own = rng.random(4)
    soft = scan.blur[0] + (scan.blur[1] - scan.blur[0]) * own[0]
    noise = rng.standard_normal((2, *ink.shape), dtype=np.float32)
    grain = cv2.GaussianBlur(noise[0], (0, 0), 1.5) * 4.5
    ink = cv2.GaussianBlur(ink, (0, 0), soft) * (1.0 + TEXTURE * grain)
    ink = np.maximum(ink, 0.0) ** scan.tone
    # A soft shoulder keeps the darkest pixels above black, as a scanner does.
    dark = _gain(np.sort(ink[ink > 0.02]), wish.median_grey) * ink
    knee = WHITE - scan.floor * wish.median_grey
    dark = np.where(dark > knee, knee + (dark - knee) * 0.4, dark)
    grey = WHITE - dark + noise[1] * (0.4 + 1.0 * own[1]) * (ink > 0.02)
    limit = scan.limit[0] + (scan.limit[1] - scan.limit[0]) * own[2]
    grey = np.where(grey > limit, WHITE, np.maximum(grey, 0.0))
    image = np.minimum(np.rint(grey / 8.0) * 8.0, WHITE).astype(np.uint8)
    across, down, width, height = cv2.boundingRect((image < WHITE).view(np.uint8))
    image = image[down : down + height, across : across + width]
    left, top, right, bottom = wish.margins
    return cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_CONSTANT, value=WHITE)

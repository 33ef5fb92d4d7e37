"""Pens: from the pen's movement to the ink that it leaves, as coverage of each pixel.

Ball pens leave thin lines whose darkness follows the pressure, gel pens even dark lines that pool
where the pen rests, felt tips broad soft ones.
"""

from __future__ import annotations

import cv2
import numpy as np

from tools.handwriting.writers import Trace, Writer

# Per pen: how much pressure, and how much slowness, changes width and darkness.
_WIDTH_BY_PRESSURE = (0.45, 0.30, 0.55)
_WIDTH_BY_REST = (0.05, 0.14, 0.22)
_DARKNESS_BY_PRESSURE = (0.45, 0.20, 0.25)


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

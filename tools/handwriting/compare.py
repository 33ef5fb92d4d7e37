"""Statistics of character images beside those of real CASIA files.

`compare` sets, for each measure, the 5th, 25th, 50th, 75th and 95th percentiles of the images given beside
those of real ones; the tests hold the measures in BOUND to BAR.

Each measure is taken on the image as stored. Real values are in ``data/casia-statistics.json``. Their
stroke widths are 2.0, 2.83, 4.0, 4.47, 6.0, 7.21 pixels: twice 1, sqrt(2), 2, sqrt(5), 3, sqrt(13), as
only an exact Euclidean distance transform gives.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from course.paths import DATA

import cv2
import numpy as np
import pandas as pd

REAL = {"course": "hwdb1.x course-style set (96 classes)", "hwdb1.1": "hwdb1.1 (100 classes)"}
PERCENTILES = [5, 25, 50, 75, 95]
BAR = 15.0  # largest difference allowed, % of the real 5th-to-95th percentile span
BOUND = ["height_px", "width_px", "aspect", "ink_fraction", "median_ink_grey", "stroke_width_px"]
# Names of the statistics file, where it calls a measure by another.
NAMES = {
    "ink_bbox_aspect_w_over_h": "aspect",
    "ink_fraction_below_200": "ink_fraction",
    "pure_white_fraction": "pure_white",
    "stroke_width_px_at_original_size": "stroke_width_px",
    "connected_components": "components",
}


def measure(image: np.ndarray) -> dict[str, float]:
    """The measures of one image, (height, width) uint8.

    The width of its strokes is twice the median distance to the nearest other pixel along the ink's ridge.
    """
    ink = image < 200
    if not ink.any():
        raise ValueError("The image has no ink: no pixel is darker than 200.")
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    padded = cv2.copyMakeBorder(ink.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    ridge = (distance > 0) & (distance >= cv2.dilate(distance, np.ones((3, 3), np.uint8)) - 1e-4)
    return {
        "height_px": image.shape[0],
        "width_px": image.shape[1],
        "aspect": (columns[-1] - columns[0] + 1) / (rows[-1] - rows[0] + 1),
        "ink_fraction": float(ink.mean()),
        "median_ink_grey": float(np.median(image[ink])),
        "pure_white": float((image == 255).mean()),
        "stroke_width_px": 2.0 * float(np.median(distance[ridge])),
        "components": cv2.connectedComponents(ink.astype(np.uint8), connectivity=8)[0] - 1,
    }


def compare(images: Iterable[np.ndarray], scan: str) -> pd.DataFrame:
    """Measure images against real ones: rows "real", "these" and "difference" of each measure.

    There is a column for each percentile; differences are in per cent of the real 5th-to-95th span.
    """
    these = pd.DataFrame(map(measure, images)).quantile([p / 100 for p in PERCENTILES]).T
    these.columns = PERCENTILES
    content = json.loads((DATA / "casia-statistics.json").read_text(encoding="utf-8"))[REAL[scan]]
    values = {NAMES.get(key, key): content[key] for key in content}
    real = pd.DataFrame({name: values[name] for name in these.index}, content["percentiles"]).T[PERCENTILES]
    difference = (100 * (these - real)).div(real[95] - real[5], axis=0)
    table = pd.concat({"real": real, "these": these, "difference": difference})
    return table.swaplevel().reindex(these.index, level=0)

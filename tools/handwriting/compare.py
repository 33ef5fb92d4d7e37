"""Statistics of character images beside those of real CASIA files.

``python -m tools.handwriting.compare [FOLDER or .tar.xz]`` prints, for each measure, the 5th,
25th, 50th, 75th and 95th percentiles of real images, those of the images given, and their difference in
per cent of the real 5th-to-95th percentile span. It ends with status 1 when a difference of size,
aspect, ink fraction, ink grey or stroke width is larger than 15 %.

Each measure is taken on the image as stored (``ink`` is every pixel below 200):

===================  ==========================================================================
height_px, width_px  size of the image
aspect               width over height of the box around the ink
ink_fraction         share of ink among all pixels
median_ink_grey      median grey level of the ink
pure_white           share of pixels that are exactly 255
stroke_width_px      twice the median distance to the nearest non-ink pixel along the ridge of
                     the ink, by the exact Euclidean distance transform
===================  ==========================================================================

Real values are in ``data/casia-statistics.json``. Their stroke widths are 2.0, 2.83, 4.0, 4.47,
6.0, 7.21 pixels: twice 1, sqrt(2), 2, sqrt(5), 3, sqrt(13), as only such a transform gives.
"""

from __future__ import annotations

import argparse
import json
import sys
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from course.paths import DATA

import cv2
import numpy as np

from tools.handwriting.archive import ARCHIVE

STATISTICS = DATA / "casia-statistics.json"
REAL = {"course": "hwdb1.x course-style set (96 classes)", "hwdb1.1": "hwdb1.1 (100 classes)"}
BAR = 15.0  # largest difference allowed, % of the real 5th-to-95th percentile span
MEASURES = {
    "height_px": "height_px",
    "width_px": "width_px",
    "aspect": "ink_bbox_aspect_w_over_h",
    "ink_fraction": "ink_fraction_below_200",
    "median_ink_grey": "median_ink_grey",
    "pure_white": "pure_white_fraction",
    "stroke_width_px": "stroke_width_px_at_original_size",
    "components": "connected_components",
}


def measure(image: np.ndarray) -> dict[str, float]:
    """The measures of one image, (height, width) uint8."""
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


PERCENTILES = (5, 25, 50, 75, 95)
BOUND = ("height_px", "width_px", "aspect", "ink_fraction", "median_ink_grey", "stroke_width_px")


def real_percentiles(scan: str) -> dict[str, np.ndarray]:
    """Percentiles 5, 25, 50, 75, 95 of each measure on real images of a style of scan."""
    content = json.loads(STATISTICS.read_text(encoding="utf-8"))[REAL[scan]]
    places = [content["percentiles"].index(p) for p in PERCENTILES]
    return {name: np.asarray(content[key], float)[places] for name, key in MEASURES.items()}


def compare(images: Iterable[np.ndarray], scan: str) -> dict[str, tuple]:
    """Measure images against real ones.

    Returns
    -------
    dict
        Per measure three arrays of 5 values: real percentiles, the images' percentiles, and the
        difference in per cent of the real 5th-to-95th percentile span.
    """
    measured = [measure(image) for image in images]
    if not measured:
        raise ValueError("There are no images to compare.")
    table = {}
    for name, real in real_percentiles(scan).items():
        ours = np.percentile([m[name] for m in measured], PERCENTILES)
        table[name] = (real, ours, 100.0 * (ours - real) / (real[-1] - real[0]))
    return table


def read_images(source: Path) -> Iterator[np.ndarray]:
    """Training images below a folder's or a tar archive's ``Train``."""
    source = Path(source)
    if source.is_dir():
        root = source / "Train" if (source / "Train").is_dir() else source
        for path in sorted(root.rglob("*.png")):
            yield _decode(path.read_bytes(), str(path))
        return
    try:
        archive = tarfile.open(source)
    except (OSError, tarfile.TarError) as error:
        raise ValueError(f"{source} is neither a folder nor a tar archive: {error}.") from None
    with archive:
        for entry in archive:
            if entry.isfile() and entry.name.startswith("Train/") and entry.name.endswith(".png"):
                yield _decode(archive.extractfile(entry).read(), entry.name)


def _decode(data: bytes, name: str) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) if data else None
    if image is None:
        raise ValueError(f"{name} is not a readable image.")
    return image


def report(table: dict[str, tuple]) -> str:
    """The comparison as text, three lines a measure."""
    lines = [f"{'':18}" + "".join(f"{p:>10}%" for p in PERCENTILES)]
    for name, (real, ours, difference) in table.items():
        digits = 3 if real[-1] < 10 and name not in ("stroke_width_px", "components") else 1
        for label, row in (("real", real), ("these", ours)):
            lines.append(
                f"{name if label == 'real' else '':16}{label:>6}"
                + "".join(f"{v:>9.{digits}f}  " for v in row)
            )
        lines.append(f"{'difference, % of span':22}" + "".join(f"{v:>+9.1f}  " for v in difference))
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.handwriting.compare",
        description="Compare images with statistics of real CASIA.",
    )
    parser.add_argument(
        "source", type=Path, nargs="?", default=ARCHIVE, help="folder or .tar.xz with Train (%(default)s)"
    )
    parser.add_argument(
        "--scan", choices=sorted(REAL), default="course", help="which real images (%(default)s)"
    )
    choices = parser.parse_args(arguments)
    try:
        table = compare(read_images(choices.source), choices.scan)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(report(table))
    worst = {name: float(np.abs(table[name][2]).max()) for name in BOUND}
    beyond = {name: value for name, value in worst.items() if value > BAR}
    print(
        f"largest difference {max(worst.values()):.1f} % of the real span; bar {BAR:.0f} %"
        + "".join(f"\nbeyond the bar: {n} {v:.1f} %" for n, v in beyond.items())
    )
    return 1 if beyond else 0


if __name__ == "__main__":
    sys.exit(main())

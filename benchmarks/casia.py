"""Import speed and memory of `python -m tools.casia` on `.gnt` files.

    python -m benchmarks.casia             # 1 GB, needs about 3 GB of disk for a few minutes
    python -m benchmarks.casia --size 50   # 50 MB

Writes `--size` megabytes of the shipped handwriting as `.gnt` files into a temporary folder, imports all
of them in a process of its own, and sets the time until all is on the disk against plainly reading the same
files and writing the same images, file by file, in the same run. Exit status 1 when the import takes more
than 3 times as long, or more than 300 MB.
"""

import os
import sys
import tempfile
from pathlib import Path

from course.data import handwriting_folder

import cv2
import numpy as np

from benchmarks._common import end, options, seconds, show, watched
from tools.casia.gnt import HEADER, code_of

LARGEST_RATIO, LARGEST_MB = 3.0, 300.0


def write_files(folder: Path, megabytes: float) -> int:
    """Writer files of the shipped handwriting, four of five for training; returns the bytes written."""
    parts = []
    for path in sorted((handwriting_folder() / "Train").glob("*/[!.]*.png"))[::2]:
        pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE)
        height, width = pixels.shape
        header = HEADER.pack(HEADER.size + pixels.size, code_of(path.parent.name), width, height)
        parts.append(header + pixels.tobytes())
    content = b"".join(parts)
    count = max(5, round(megabytes * 1e6 / len(content)))
    for number in range(count):
        path = folder / ("Gnt1.1Test" if number % 5 == 4 else "Gnt1.1TrainPart1") / f"{1001 + number}-c.gnt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return count * len(content)


def plainly(source: Path, images: Path, out: Path) -> None:
    """Read the `.gnt` files, and write as many images into the same folders."""
    names = sorted(path.relative_to(images) for path in images.glob("T*/*/*.png"))
    # The bytes to write are taken from a few images: reading all of them is not being measured.
    some = [(images / name).read_bytes() for name in names[:: max(1, len(names) // 2000)]]
    for path in sorted(source.rglob("*.gnt")):
        with path.open("rb") as file:
            while file.read(1 << 20):
                pass
    for parent in {name.parent for name in names}:
        (out / parent).mkdir(parents=True)
    for number, name in enumerate(names):
        with open(f"{out}/{name}", "wb") as file:
            file.write(some[number % len(some)])


def main() -> None:
    """Print the table."""
    given = options(__doc__, size=1000.0, folder=tempfile.gettempdir())
    with tempfile.TemporaryDirectory(prefix="casia-benchmark-", dir=given.folder) as folder:
        source, images = Path(folder, "source"), Path(folder, "images")
        source.mkdir()
        size = write_files(source, given.size)
        command = [sys.executable, "-m", "tools.casia", str(source), "--out", str(images), "--all"]
        on_disk = getattr(os, "sync", lambda: None)
        on_disk()
        imported, memory, _ = watched(command)
        imported += seconds(on_disk)
        plain = seconds(lambda: plainly(source, images, Path(folder, "plain"))) + seconds(on_disk)
    row = {"plain, s": plain, "import, s": imported, "ratio": imported / plain, "at most": LARGEST_RATIO}
    show(f"{size / 1e6:,.0f} MB of .gnt", [row | {"peak MB": memory, "at most MB": LARGEST_MB}])
    slow, large = imported / plain > LARGEST_RATIO, memory > LARGEST_MB
    end(["the import takes too long"] * slow + ["the import takes too much memory"] * large)


if __name__ == "__main__":
    main()

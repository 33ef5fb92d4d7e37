"""Import speed and memory of `python -m tools.casia` on synthetic `.gnt` files.

    python -m benchmarks.casia             # 1 GB, needs about 3 GB of disk for a few minutes
    python -m benchmarks.casia --size 50   # 50 MB

Writes `--size` megabytes of samples with CASIA's sizes and grey levels into a temporary folder, imports
all of them in a process of its own, and sets the time against plainly reading the same files and writing
the same images, file by file, in the same run: once until all is handed to the operating system, once
until it is on the disk. Exit status 1 when the import takes more than 3 times as long in either, or more
than 300 MB.
"""

import os
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from benchmarks._common import end, options, show, watched
from tools.casia.gnt import code_of, read_gnt
from tools.casia.layout import folder_of

LARGEST_RATIO, LARGEST_MB = 3.0, 300.0
CHARACTERS = [
    bytes((lead, trail)).decode("gb2312") for lead in (0xB0, 0xC0, 0xD0) for trail in range(0xA1, 0xC8)
][:100]


def drawn_samples(count: int, rng: np.random.Generator) -> list[bytes]:
    """Samples of strokes in grey ink, sizes as in CASIA HWDB1.1, without their codes."""
    samples = []
    for _ in range(count):
        height = int(np.clip(rng.normal(74, 17), 20, 150))
        width = int(np.clip(rng.normal(57, 14), 20, 120))
        image = np.full((height, width), 255, np.uint8)
        for _ in range(9):
            ends = rng.integers(0, [width, height], (2, 2))
            cv2.line(image, ends[0].tolist(), ends[1].tolist(), 0, 4)
        ink = image < 255
        image[ink] = np.clip(rng.normal(134, 20, int(ink.sum())), 40, 254)
        samples.append(struct.pack("<HH", width, height) + image.tobytes())
    return samples


def write_files(folder: Path, megabytes: float, rng: np.random.Generator) -> int:
    """Writer files of 100 characters × 40, four of five for training; returns the bytes written."""
    drawn = drawn_samples(2000, rng)
    total = number = 0
    while (left := int(megabytes * 1e6) - total) > 0:
        path = folder / ("Gnt1.1Test" if number % 5 == 4 else "Gnt1.1TrainPart1") / f"{1001 + number}-c.gnt"
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as file:
            for place in range(min(4000, -(-left // 4228))):
                body = drawn[int(rng.integers(len(drawn)))]
                code = code_of(CHARACTERS[place % len(CHARACTERS)])
                file.write(struct.pack("<I", len(body) + 6) + code + body)
            total += file.tell()
        number += 1
    return total


def timed(action: Callable[[], object]) -> tuple[float, float, object]:
    """Seconds until all is handed over to the system, and until it is on the disk; the action's result."""
    on_disk = getattr(os, "sync", lambda: None)
    on_disk()
    start = time.perf_counter()
    result = action()
    handed = time.perf_counter() - start
    on_disk()
    return handed, time.perf_counter() - start, result


def plainly(source: Path, images: Path, out: Path) -> Callable[[], None]:
    """What reads the `.gnt` files and writes the images as files."""
    names = sorted(path.relative_to(images) for path in images.glob("T*/*/*.png"))
    # The bytes to write are taken from a few images: reading all of them is not being measured.
    some = [(images / name).read_bytes() for name in names[:: max(1, len(names) // 2000)]]
    for parent in {name.parent for name in names}:
        (out / parent).mkdir(parents=True)
    targets = [str(out / name) for name in names]

    def action() -> None:
        for path in sorted(source.rglob("*.gnt")):
            with path.open("rb") as file:
                while file.read(1 << 20):
                    pass
        for number, target in enumerate(targets):
            with open(target, "wb") as file:
                file.write(some[number % len(some)])

    return action


def check_pixels(source: Path, images: Path) -> None:
    """End unless the images of the first file have the pixels of its samples."""
    path = sorted(source.glob("*Train*/*.gnt"))[0]
    with path.open("rb") as stream:
        for sample in read_gnt(stream, print):
            name = f"Train/{folder_of(sample.character)}/{path.stem}-{sample.index:05d}.png"
            content = np.frombuffer((images / name).read_bytes(), np.uint8)
            if not np.array_equal(cv2.imdecode(content, cv2.IMREAD_UNCHANGED), sample.pixels):
                sys.exit(f"{name} differs from its sample.")


def main() -> None:
    """Print the table."""
    given = options(__doc__, size=1000.0, folder=tempfile.gettempdir())
    with tempfile.TemporaryDirectory(prefix="casia-benchmark-", dir=given.folder) as folder:
        source, images = Path(folder, "source"), Path(folder, "images")
        source.mkdir()
        size = write_files(source, given.size, np.random.default_rng(1))
        command = [sys.executable, "-m", "tools.casia", str(source), "--out", str(images), "--all"]
        *imported, (_, memory, _) = timed(lambda: watched(command))
        *plain, _ = timed(plainly(source, images, Path(folder, "plain")))
        check_pixels(source, images)
    ratios = [own / other for own, other in zip(imported, plain, strict=True)]
    columns = ("handed over, s", "on disk, s")
    measured = {"plain reading and writing": plain, "import": imported, "ratio (at most 3)": ratios}
    rows = [{"what": name, **dict(zip(columns, each, strict=True))} for name, each in measured.items()]
    show(f"{size / 1e6:,.0f} MB of synthetic .gnt; peak memory {memory:.0f} MB (at most 300)", rows)
    slow, large = max(ratios) > LARGEST_RATIO, memory > LARGEST_MB
    end(["the import takes too long"] * slow + ["the import takes too much memory"] * large)


if __name__ == "__main__":
    main()

"""Import speed and memory of `python -m tools.casia` on synthetic `.gnt` files.

    python -m benchmarks.casia             # 1 GB, needs about 3 GB of disk for a few minutes
    python -m benchmarks.casia --size 50   # 50 MB

Writes `--size` megabytes of samples with CASIA's sizes and grey levels into a temporary folder,
imports all of them in a process of its own, and sets the time against plainly reading the same
files and writing the same images, file by file, in the same run: once until all is handed to the
operating system, once until it is on the disk. Exit status 1 when the import takes more than 3
times as long in either, or more than 300 MB.
"""

import argparse
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import psutil

from tools.casia.gnt import code_of, read_gnt
from tools.casia.layout import folder_of

LARGEST_RATIO = 3.0
LARGEST_MB = 300.0
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
    left = int(megabytes * 1e6)
    total = number = 0
    while left > 0:
        name = "Gnt1.1Test" if number % 5 == 4 else "Gnt1.1TrainPart1"
        (folder / name).mkdir(exist_ok=True)
        with (folder / name / f"{1001 + number}-c.gnt").open("wb") as file:
            for place in range(min(4000, -(-left // 4228))):
                body = drawn[int(rng.integers(len(drawn)))]
                code = code_of(CHARACTERS[place % len(CHARACTERS)])
                file.write(struct.pack("<I", len(body) + 6) + code + body)
            size = file.tell()
        left -= size
        total += size
        number += 1
    return total


def on_disk() -> None:
    """Wait until the system has written what it holds back."""
    if hasattr(os, "sync"):
        os.sync()


def timed_import(source: Path, out: Path) -> tuple[float, float, float]:
    """(seconds until handed over, seconds until on disk, peak MB) of the command as a process."""
    command = [sys.executable, "-m", "tools.casia", str(source), "--out", str(out), "--all"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    watched, peak = psutil.Process(process.pid), 0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.is_set():
            try:
                peak = max(peak, watched.memory_info().rss)
            except psutil.NoSuchProcess:
                return
            done.wait(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    status = process.wait()
    done.set()
    watcher.join()
    handed = time.perf_counter() - start
    on_disk()
    if status:
        raise SystemExit(f"The import ended with status {status}.")
    return handed, time.perf_counter() - start, peak / 1e6


def timed_plain(source: Path, images: Path, out: Path) -> tuple[float, float]:
    """Seconds (handed over, on disk) to read the `.gnt` files and write the images as files."""
    names = sorted(path.relative_to(images) for path in images.glob("T*/*/*.png"))
    # The bytes to write are taken from a few images: reading all of them is not being measured.
    some = [(images / name).read_bytes() for name in names[:: max(1, len(names) // 2000)]]
    for parent in {name.parent for name in names}:
        (out / parent).mkdir(parents=True)
    targets = [str(out / name) for name in names]
    start = time.perf_counter()
    for path in sorted(source.rglob("*.gnt")):
        with path.open("rb") as file:
            while file.read(1 << 20):
                pass
    for number, target in enumerate(targets):
        with open(target, "wb") as file:
            file.write(some[number % len(some)])
    handed = time.perf_counter() - start
    on_disk()
    return handed, time.perf_counter() - start


def same_pixels(source: Path, images: Path) -> bool:
    """Whether the images of the first file have the pixels of its samples."""
    path = sorted(source.glob("*Train*/*.gnt"))[0]
    with path.open("rb") as stream:
        for sample in read_gnt(stream, print):
            name = f"Train/{folder_of(sample.character)}/{path.stem}-{sample.index:05d}.png"
            content = np.frombuffer((images / name).read_bytes(), np.uint8)
            if not np.array_equal(cv2.imdecode(content, cv2.IMREAD_UNCHANGED), sample.pixels):
                return False
    return True


def main() -> int:
    """Run the benchmark and print its table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=float, default=1000, help="megabytes of .gnt (default 1000)")
    parser.add_argument("--folder", type=Path, help="where to work (default: the temporary folder)")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="casia-benchmark-", dir=options.folder))
    try:
        need = 3e6 * options.size
        if shutil.disk_usage(work).free < need:
            raise SystemExit(f"{work} has less than {need / 1e9:.1f} GB free; use --folder.")
        source = work / "source"
        source.mkdir()
        size = write_files(source, options.size, np.random.default_rng(1))
        on_disk()
        *imported, memory = timed_import(source, work / "images")
        plain = timed_plain(source, work / "images", work / "plain")
        count = sum(1 for _ in (work / "images").glob("T*/*/*.png"))
        if not same_pixels(source, work / "images"):
            raise SystemExit("The imported images differ from their samples.")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    ratios = [own / other for own, other in zip(imported, plain, strict=True)]
    print(f"{size / 1e6:,.0f} MB of synthetic .gnt, {count:,} images")
    print(f"{'':32}{'handed over':>14}{'on disk':>14}")
    print(f"{'plain reading and writing':32}{plain[0]:>12.1f} s{plain[1]:>12.1f} s")
    print(f"{'import':32}{imported[0]:>12.1f} s{imported[1]:>12.1f} s")
    print(f"{'ratio (at most 3)':32}{ratios[0]:>14.2f}{ratios[1]:>14.2f}")
    print(f"{'peak memory (at most 300 MB)':32}{memory:>11.0f} MB")
    return int(max(ratios) > LARGEST_RATIO or memory > LARGEST_MB)


if __name__ == "__main__":
    sys.exit(main())

"""How much faster is `load_images_from_directory` than the plain loop over `preprocess_image`?

    python -m benchmarks.loading [--images 40000] [--repeats 3]

Three variants, each in a process of its own, on the same files (copies of the shipped
handwriting, read once beforehand so that the disk plays no part):

plain   one image after the other, then one array of them all
first   load_images_from_directory on a folder that it has not seen
later   load_images_from_directory on a folder that it has packed

Each repeat runs all three, one after the other, so that whatever else the machine does hits
all; a ratio is the median over the repeats of the ratio within a repeat. "Peak" is the highest
resident memory while loading; "read" the same once every pixel has been looked at, when the pages
of the packed file count as well, though the system may drop them at any time. The three arrays
must be equal. Aims: first at least 1.5 times as fast, later at least 30 times, both with at most
half of the memory.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

AIMS = {"first": 1.5, "later": 30.0}


def measure(variant: str, folder: str, store: str) -> None:
    """Load in this process and print what it took, as JSON."""
    import hashlib
    import time

    from course import loaders
    from course.copies import packed

    import numpy as np

    packed.STORES = (Path(store),)
    start = time.perf_counter()
    if variant == "plain":
        images = []
        for _, path in loaders.class_folders(folder):
            for file in sorted(path.iterdir(), key=lambda file: (len(file.name), file.name)):
                images.append(loaders.preprocess_image(file))
        X = np.array(images)
    else:
        X, _, _ = loaders.load_images_from_directory(folder)
    seconds = time.perf_counter() - start
    peak = peak_memory()
    digest = hashlib.sha256(X.data).hexdigest()
    print(json.dumps({"seconds": seconds, "peak": peak, "read": peak_memory(), "digest": digest}))


def peak_memory() -> float:
    """The highest resident memory of this process so far, in MB."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text(encoding="utf-8").splitlines()
        line = next(line for line in lines if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    try:
        import resource
    except ImportError:
        import psutil

        return psutil.Process().memory_info().peak_wset / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def copy_images(number: int, folder: Path) -> None:
    """Fill `folder` with that many images, copying the shipped ones over and over."""
    from course.data import handwriting_folder

    source = sorted(
        path for path in (handwriting_folder() / "Train").glob("*/*.png") if not path.name.startswith(".")
    )
    for position in range(number):
        original = source[position % len(source)]
        target = folder / original.parent.name
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(original, target / f"{position // len(source)}-{original.name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=40_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(*arguments.measure)
        return

    runs = []
    with tempfile.TemporaryDirectory(prefix="loading-") as temporary:
        folder = Path(temporary, "images")
        copy_images(arguments.images, folder)
        for repeat in range(arguments.repeats):
            store = Path(temporary, f"store {repeat}")
            run = {}
            for variant in ("plain", "first", "later"):
                output = subprocess.run(
                    [sys.executable, __file__, "--measure", variant, str(folder), str(store)],
                    stdout=subprocess.PIPE,
                    check=True,
                ).stdout
                run[variant] = json.loads(output)
            if len({result["digest"] for result in run.values()}) > 1:
                sys.exit("The variants gave different images.")
            shutil.rmtree(store)
            runs.append(run)

    print(f"{arguments.images:,} images, {arguments.repeats} repeats, equal arrays")
    print(
        f"{'':6}{'seconds':>9}{'images/s':>10}{'faster':>9}{'aim':>7}"
        f"{'peak MB':>10}{'of plain':>10}{'aim':>6}{'read MB':>10}"
    )
    for variant in ("plain", "first", "later"):

        def median(value):
            return statistics.median(value(run[variant], run["plain"]) for run in runs)

        seconds = median(lambda own, plain: own["seconds"])
        line = (
            f"{variant:6}{seconds:9.2f}{arguments.images / seconds:10,.0f}"
            f"{median(lambda own, plain: plain['seconds'] / own['seconds']):8.1f}x"
        )
        line += f"{AIMS[variant]:6.1f}x" if variant in AIMS else " " * 7
        line += (
            f"{median(lambda own, plain: own['peak']):10.0f}"
            f"{median(lambda own, plain: own['peak'] / plain['peak']):10.2f}"
        )
        line += f"{'0.50':>6}" if variant in AIMS else " " * 6
        print(line + f"{median(lambda own, plain: own['read']):10.0f}")


if __name__ == "__main__":
    main()

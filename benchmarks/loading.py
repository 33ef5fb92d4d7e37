"""How much faster is `load_images_from_directory` than the plain loop over `preprocess_image`?

    python -m benchmarks.loading [--images 40000] [--repeats 3]

Three variants, each in a process of its own, on the same files (copies of the shipped handwriting):

plain   one image after the other, then one array of them all
first   load_images_from_directory on a folder that it has not seen
later   load_images_from_directory on a folder that it has packed

Each round runs all three, one after the other; the three arrays must be equal. "Peak" is the highest
resident memory while loading. Aims: first at least 1.5 times as fast, later at least 30 times, both with
at most half of the memory.
"""

import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from course import loaders
from course.copies import packed
from course.data import handwriting_folder

import numpy as np

from benchmarks._common import options, peak_memory, ratio, show

AIMS = {"plain": 0.0, "first": 1.5, "later": 30.0}


def measure(variant: str, folder: Path, store: Path) -> None:
    """Load in this process and print what it took, as JSON."""
    packed.STORES = (store,)
    with peak_memory(os.getpid()) as peaks:
        start = time.perf_counter()
        if variant == "plain":
            classes = [path for _, path in loaders.class_folders(folder)]
            files = [sorted(path.iterdir(), key=lambda file: (len(file.name), file.name)) for path in classes]
            X = np.array([loaders.preprocess_image(file) for each in files for file in each])
        else:
            X, _, _ = loaders.load_images_from_directory(folder)
        seconds = time.perf_counter() - start
    digest = hashlib.sha256(X.data).hexdigest()
    print(json.dumps({"seconds": seconds, "peak": peaks[-1], "digest": digest}))


def copy_images(number: int, folder: Path) -> None:
    """Fill `folder` with that many images, copying the shipped ones over and over."""
    source = sorted((handwriting_folder() / "Train").glob("*/[!.]*.png"))
    for position in range(number):
        original = source[position % len(source)]
        target = folder / original.parent.name / f"{position // len(source)}-{original.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(original, target)


def main() -> None:
    """Print the table."""
    given = options(__doc__, images=40_000, repeats=3)
    runs = {variant: [] for variant in AIMS}
    with tempfile.TemporaryDirectory(prefix="loading-") as temporary:
        folder = Path(temporary, "images")
        copy_images(given.images, folder)
        for repeat in range(given.repeats):
            store = Path(temporary, f"store {repeat}")
            for variant in AIMS:
                command = [sys.executable, "-m", "benchmarks.loading", variant, str(folder), str(store)]
                runs[variant].append(json.loads(subprocess.check_output(command)))
            shutil.rmtree(store)
    if len({run["digest"] for each in runs.values() for run in each}) > 1:
        sys.exit("The variants gave different images.")
    rows = []
    for variant, aim in AIMS.items():
        seconds, plain = ([run["seconds"] for run in runs[name]] for name in (variant, "plain"))
        peaks, plain_peaks = ([run["peak"] for run in runs[name]] for name in (variant, "plain"))
        middle = statistics.median(seconds)
        row = {"variant": variant, "s": middle, "images/s": given.images / middle}
        row |= {"× plain": ratio(plain, seconds), "aim": aim}
        rows.append(row | {"peak MB": statistics.median(peaks), "of plain": ratio(peaks, plain_peaks)})
    show(f"{given.images:,} images, {given.repeats} repeats, equal arrays", rows)


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in AIMS:
        measure(sys.argv[1], *map(Path, sys.argv[2:]))
    else:
        main()

"""Where does the time go when a network is taught one's own classes?

    python -m benchmarks.teach [--repeats 3] [--threads 2]

Each repeat teaches `data/photos` (121 photos, four classes) and then runs the same photos once
through the network as Keras runs it, without `course.speed`. Printed are the medians of the
seconds, of the share that the network takes, and of the gain by `course.speed`. Aim: a hundred
photos in less than a minute on two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import time
from pathlib import Path

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)
from course.models import teach
from course.models.efficientnet_lite import preprocess_input
from course.photos import load_photos

import torch

PHOTOS = Path(__file__).resolve().parents[1] / "data" / "photos"


def seconds(action) -> float:
    started = time.perf_counter()
    with contextlib.redirect_stderr(io.StringIO()):
        action()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    images = load_photos(sorted(PHOTOS.glob("*/*.jpg")))
    backbone = teach.pretrained_backbone()

    def as_keras_runs_it() -> None:
        for start in range(0, len(images), teach.BATCH):
            backbone.predict_on_batch(preprocess_input(images[start : start + teach.BATCH]))

    teach.extract_features(images[: teach.BATCH])  # the first batch pays for what is set up once
    rows = []
    for _ in range(options.repeats):
        rows.append(
            (
                seconds(lambda: teach.teach(PHOTOS)),
                seconds(lambda: teach.extract_features(images)),
                seconds(as_keras_runs_it),
            )
        )
    total = statistics.median(row[0] for row in rows)
    share = statistics.median(row[1] / row[0] for row in rows)
    gain = statistics.median(row[2] / row[1] for row in rows)
    print(f"{len(images)} photos, {options.threads} threads, median of {options.repeats}")
    each = 1000 * total / len(images)
    print(f"  taught in                     {total:6.1f} s  ({each:.0f} ms a photo)")
    print(f"  of this in the network        {share:6.0%}")
    print(f"  gain by course.speed          {gain:6.2f} times")
    print(f"  a hundred photos in a minute  {'yes' if 100 * total / len(images) < 60 else 'NO'}")


if __name__ == "__main__":
    main()

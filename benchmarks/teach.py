"""Where does the time go when a network is taught one's own classes?

    python -m benchmarks.teach [--repeats 3] [--threads 2]

Each round teaches `data/photos` (121 photos, four classes), and runs the same photos through the network
alone: as the course does, and as Keras does, without `course.speed`. Aim: a hundred photos in less than a
minute on two cores.
"""

import statistics

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)
from course.models import teach
from course.models.efficientnet_lite import preprocess_input
from course.paths import DATA
from course.photos import load_photos

import torch

from benchmarks._common import options, ratio, rounds, show


def main() -> None:
    """Print the table."""
    given = options(__doc__, repeats=3, threads=2)
    torch.set_num_threads(given.threads)
    photos = DATA / "photos"
    images = load_photos(sorted(photos.glob("*/*.jpg")))
    backbone = teach.pretrained_backbone()

    def as_keras_runs_it() -> None:
        for start in range(0, len(images), teach.BATCH):
            backbone.predict_on_batch(preprocess_input(images[start : start + teach.BATCH]))

    variants = {
        "teach": lambda: teach.teach(photos),
        "network alone": lambda: teach.extract_features(images),
        "network alone, plain Keras": as_keras_runs_it,
    }
    timed = rounds(variants, given.repeats)
    rows = [
        {"what": name, "s": statistics.median(taken), "× teach": ratio(taken, timed["teach"])}
        for name, taken in timed.items()
    ]
    show(f"{len(images)} photos, {given.threads} threads, median of {given.repeats}", rows)
    print(f"A hundred photos in {100 * rows[0]['s'] / len(images):.0f} s; aim: less than 60 s.")


if __name__ == "__main__":
    main()

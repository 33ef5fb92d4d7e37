"""Speed of the simulated handwriting: images a second with one process and with two, whose start counts.

Aim: 500 images a second with two.
"""

from course.characters import CHARACTERS

from benchmarks._common import options, seconds, show
from tools.handwriting.generate import perform, plan

IMAGES = len(CHARACTERS) * 100


def main() -> None:
    """Print the table."""
    options(__doc__)
    tasks, rows = plan(CHARACTERS, 100, 0, seed=1), []
    for workers, aim in ((1, None), (2, 500)):
        taken = seconds(lambda: [None for _ in perform(tasks, workers)])
        rows.append({"processes": workers, "images": IMAGES, "images/s": IMAGES / taken, "aim": aim})
    show("Simulated handwriting", rows)


if __name__ == "__main__":
    main()

"""Seconds to teach a network one's own classes, those of `data/photos`: `python -m benchmarks.teach`.

Aim: a hundred photos in less than a minute on two cores. What `course.speed` gains, `training` measures.
"""

from statistics import median

from course.models.teach import teach
from course.paths import DATA

from benchmarks._common import options, rounds, show


def main() -> None:
    """Print the table."""
    repeats, photos = options(__doc__, repeats=3).repeats, len([*(DATA / "photos").glob("*/*.jpg")])
    taken = median(rounds({"teach": lambda: teach(DATA / "photos")}, repeats)["teach"])
    show("Teaching", [{"photos": photos, "s": taken, "s a hundred": 100 * taken / photos, "aim": 60}])


if __name__ == "__main__":
    main()

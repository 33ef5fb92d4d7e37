"""Speed of the simulated handwriting: images a second with one and with two processes.

The start of the processes counts."""

import time

from course.characters import CHARACTERS

from tools.handwriting.generate import perform, plan


def main() -> None:
    """Print a table; the goal is 500 images a second on two cores."""
    tasks = plan(CHARACTERS, 100, 0, seed=1)
    for workers in (1, 2):
        begin = time.perf_counter()
        images = sum(1 for _ in perform(tasks, workers))
        seconds = time.perf_counter() - begin
        print(
            f"handwriting: {workers} process{'es' * (workers > 1)}, {images:,} images, "
            f"{images / seconds:,.0f} images a second (goal: 500 with 2)"
        )


if __name__ == "__main__":
    main()

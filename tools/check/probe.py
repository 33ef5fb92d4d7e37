"""Measure training speed; prints one line of JSON. A process of its own, so that it may crash.

It trains the shipped CNN of lecture 4, in memory only, on a few batches of real test images, as
`course.models.fitting.fit_or_load` trains it.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable

# Keras imports these where they are installed, for wrappers and plots that are not used here.
# Without them it starts in half the time.
NOT_NEEDED = ("sklearn", "pandas", "matplotlib", "scipy")


def measure() -> dict:
    """Seconds per epoch, extrapolated; or `{"error": …}` where model or data are amiss."""
    import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)
    from course import data, loaders, speed
    from course.models import fitting
    from course.store import artefacts

    try:
        entry = artefacts.artefact_entry("cnn")
        model, _ = fitting.load_artefact("cnn")
        X, y, _ = loaders.load_images_from_directory(data.handwriting_folder() / "Test")
        if not artefacts.own_data() and fitting.data_fingerprint(X, y) != entry["score_data"].get("test"):
            raise ValueError("the model 'cnn' was scored on other test images than those in data/")
    except (artefacts.ArtefactError, OSError, ValueError) as error:
        return {"error": " ".join(str(error).split())}
    y = y % model.output_shape[-1]  # your own data may have more characters
    recipe = entry["recipe"]
    size = recipe["batch size"]

    def time_batches(step: Callable, seconds: float) -> tuple[float, int]:
        """Seconds a batch, and how many batches were timed."""
        started = time.perf_counter()
        for count, start in enumerate(itertools.cycle(range(0, len(X) - size + 1, size)), 1):
            step(X[start : start + size], y[start : start + size])
            if (passed := time.perf_counter() - started) > seconds:
                return passed / count, count

    with fitting.fitting_threads() as threads, speed.fast_convolutions():
        time_batches(model.train_on_batch, 0.1)  # the first batches allocate memory
        training, count = time_batches(model.train_on_batch, 1.0)
        testing, _ = time_batches(model.test_on_batch, 0.1)
    rows = [recipe[f"{part} data"]["rows"] for part in ("training", "validation")]
    return {
        "seconds_per_epoch": training * -(-rows[0] // size) + testing * -(-rows[1] // size),
        "batches": count,
        "images": rows[0],
        "threads": threads,
        "seconds_per_epoch_when_fitted": entry["seconds"] / entry["epochs_run"],
    }


if __name__ == "__main__":
    for module in NOT_NEEDED:
        sys.modules[module] = None  # any import of it fails, as if it were not installed
    # Libraries may print as well: the last line is the result.
    print(json.dumps(measure()), flush=True)

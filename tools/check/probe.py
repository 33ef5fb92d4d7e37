"""Measure training speed; prints one line of JSON. A process of its own, so that it may crash.

It trains the shipped CNN of lecture 4, in memory only, on a few batches of real test images, as
`course.store.artefacts.fit_or_load` trains it.
"""

from __future__ import annotations

import json
import sys
import time

ARTEFACT = "cnn"
SECONDS = 1.0  # of training that are timed
WARM_UP = 2  # batches; the first ones allocate memory
# Keras imports these where they are installed, for wrappers and plots that are not used here.
# Without them it starts in half the time.
NOT_NEEDED = ("sklearn", "pandas", "matplotlib", "scipy")


def measure() -> dict:
    """Seconds per epoch, extrapolated; or `{"error": …, "remedy": …}`."""
    import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)
    from course import data, loaders, speed
    from course.models import fitting
    from course.store import artefacts

    import numpy as np

    try:
        entry = artefacts.artefact_entry(ARTEFACT)
        model, _ = fitting.load_artefact(ARTEFACT)
    except artefacts.ArtefactError as error:
        return {"error": " ".join(str(error).split()), "remedy": "git checkout cache"}
    try:
        X, y, _ = loaders.load_images_from_directory(data.handwriting_folder() / "Test")
    except (OSError, ValueError) as error:
        return {"error": " ".join(str(error).split()), "remedy": "git checkout data"}
    if not artefacts.own_data() and fitting.data_fingerprint(X, y) != entry["score_data"].get("test"):
        return {
            "error": f"the model {ARTEFACT!r} was scored on other test images than those in "
            "data/: data and models do not belong together",
            "remedy": "git checkout data cache, or refit: make train",
        }
    if len(np.unique(y)) > entry["recipe"]["architecture"]["layers"][-1]["units"]:
        return {
            "error": "your own data have more characters than the shipped model",
            "remedy": "make slides fits a model to them",
        }
    size = entry["recipe"]["batch size"]
    sets = [entry["recipe"][f"{part} data"]["rows"] for part in ("training", "validation")]
    batches = [
        (X[start : start + size], y[start : start + size]) for start in range(0, len(X) - size + 1, size)
    ]
    with fitting.fitting_threads() as threads, speed.fast_convolutions():
        for images, labels in batches[:WARM_UP]:
            model.train_on_batch(images, labels)
        count, started = 0, time.perf_counter()
        while time.perf_counter() - started < SECONDS:
            images, labels = batches[count % len(batches)]
            model.train_on_batch(images, labels)
            count += 1
        training = (time.perf_counter() - started) / count
        started = time.perf_counter()
        for images, labels in batches[:8]:
            model.test_on_batch(images, labels)
        testing = (time.perf_counter() - started) / min(8, len(batches))
    return {
        "seconds_per_epoch": training * -(-sets[0] // size) + testing * -(-sets[1] // size),
        "batches": count,
        "images": sets[0],
        "threads": threads,
        "seconds_per_epoch_when_fitted": entry["seconds"] / entry["epochs_run"],
    }


if __name__ == "__main__":
    for module in NOT_NEEDED:
        sys.modules[module] = None  # any import of it fails, as if it were not installed
    # Libraries may print as well: the last line is the result.
    print(json.dumps(measure()), flush=True)

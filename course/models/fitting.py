"""Fitted models that know their recipe: `fit_or_load` is what lectures call in place of `model.fit`."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from course import speed
from course.models.ingredients import fingerprints, model_recipe
from course.store import artefacts, files
from course.store.artefacts import ArtefactError

import keras
import numpy as np
import torch
from tqdm import tqdm
from tqdm.keras import TqdmCallback

# The order of floating-point sums depends on the number of threads, so the same seed repeats a fit only
# at the same number. Two is what small CI machines have; small batches gain little from more.
DEFAULT_THREADS = 2

Pair = tuple[np.ndarray, np.ndarray]


@dataclass
class FitHistory:
    """Learning curves as `keras.callbacks.History` has them: values by metric, and epochs from 0."""

    epoch: list[int]
    history: dict[str, list[float]]


def fit_or_load(
    name: str,
    build_model: Callable[[], keras.Model],
    X: np.ndarray,
    y: np.ndarray,
    *,
    seed: int,
    validation_data: Pair | None = None,
    epochs: int,
    batch_size: int = 32,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    augment: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None,
    prepared_by: Sequence[Callable] = (),
    score_on: Mapping[str, Pair] | None = None,
) -> tuple[keras.Model, FitHistory]:
    """Load the model `name` and its curves if stored with this very recipe; otherwise fit and store it.

    What a fit does is plain Keras:

        keras.utils.set_random_seed(seed)
        model = build_model()
        model.fit(X, y, validation_data=validation_data, epochs=epochs,
                  batch_size=batch_size, callbacks=callbacks)

    Either way Keras's random seed is `seed` on return, so that the cells that follow draw the same numbers.

    Parameters
    ----------
    name
        File name without ending; lower-case letters, digits and underscores.
    build_model
        Returns a compiled model. Every check calls it twice (to see which starting weights are not
        random), so it should only build.
    X, y, validation_data, epochs, batch_size, callbacks
        As `fit` takes them; X and y have the shape (n, ...). Callbacks are copied, so an instance may be
        given several times.
    augment
        `augment(images, rng)` returns changed copies of a batch, of the same shape. Each epoch then goes
        through all images once, in a fresh order and changed afresh; `rng`, a `numpy.random.Generator`,
        follows from `seed`, the epoch and the batch. Its code belongs to the recipe.
    prepared_by
        The functions that made `X` and `y`. Their code, and that of the functions and constants of the
        lecture and of `course` which they use, belongs to the recipe.
    score_on
        Further data sets `{set name: (X, y)}` to score after the fit, and again when one changes: they are
        no part of the recipe.

    Raises
    ------
    ArtefactError, ValueError, TypeError
        As `course.store.artefacts.load_or_make`; for arguments that cannot be used, or a model that Keras's
        safe mode could not load again.
    """
    sets = {"train": (X, y)} | ({} if validation_data is None else {"validation": validation_data})
    scored = {key: tuple(map(np.asarray, pair)) for key, pair in {**sets, **(score_on or {})}.items()}
    prints, rows = fingerprints(scored)
    options = dict(seed=int(seed), epochs=int(epochs), batch_size=int(batch_size), callbacks=callbacks)
    sets = {key: scored[key] for key in sets}
    recipe = model_recipe(
        build_model, {key: prints[key] for key in sets}, **options, augment=augment, prepared_by=prepared_by
    )

    def make(folder: Path) -> dict[str, Any]:
        file = folder / f"{name}.keras"
        # What cannot be loaded again shall fail now, not after ten minutes.
        save_model(build_model(), file)
        load_model(file)
        model, history, threads = _fit(name, build_model, sets, augment, **options)
        save_model(model, file)
        files.write_whole(folder / f"{name}_history.json", files.as_json(asdict(history)))
        return {
            "metrics": score(model, scored, batch_size),
            "score_data": {key: value["sha256"] for key, value in prints.items()},
            "parameters": int(model.count_params()),
            "epochs_run": len(history.epoch),
            "threads": threads,
        }

    try:
        model, history = artefacts.load_or_make(name, recipe, make, _load, rows)
        _score_again(name, model, scored, prints, batch_size)
        return model, history
    finally:
        keras.utils.set_random_seed(int(seed))


def load_artefact(name: str) -> tuple[keras.Model, FitHistory]:
    """Load a stored model whatever its recipe; ArtefactError if it is missing or damaged."""
    return artefacts.load_stored(name, _load)


def artefact_metrics(name: str) -> dict[str, dict[str, float]]:
    """Return what a stored model scored, `{set name: {metric: value}}`; ArtefactError if there is none."""
    return artefacts.artefact_entry(name)["metrics"]


def data_fingerprint(X: np.ndarray, y: np.ndarray) -> str:
    """Return the SHA-256 of a data set (n, ...), (n, ...), as `score_data` in the manifest records it."""
    return fingerprints({"": (np.asarray(X), np.asarray(y))})[0][""]["sha256"]


def score(model: keras.Model, sets: Mapping[str, Pair], batch_size: int = 128) -> dict[str, dict[str, float]]:
    """Return the metrics that a compiled model reaches on sets (X, y), by set and metric."""
    options = dict(batch_size=max(batch_size, 128), verbose=0, return_dict=True)
    scores = {key: model.evaluate(X, y, **options) for key, (X, y) in sets.items()}
    return {key: {metric: float(v) for metric, v in found.items()} for key, found in scores.items()}


def _score_again(name: str, model: keras.Model, sets: Mapping, prints: Mapping, batch_size: int) -> None:
    """Bring recorded metrics up to date when a data set of `score_on` is new or has changed."""
    recorded = artefacts.artefact_entry(name)["score_data"]
    stale = [key for key in sets if recorded.get(key) != prints[key]["sha256"]]
    if not stale:
        return
    # The shipped model on somebody's own test set: that is no news about the artefact.
    own = artefacts.own_data()
    if artefacts.is_strict() and not own:
        raise ArtefactError(
            f"'{name}': its recorded metrics on {', '.join(stale)} are missing or belong to other data. "
            "Run the lecture once without COURSE_STRICT to score the model again."
        )
    artefacts.say(f"Scoring '{name}' again on changed data: {', '.join(stale)}.")
    metrics = score(model, {key: sets[key] for key in stale}, batch_size)
    hashes = {key: prints[key]["sha256"] for key in stale}
    artefacts.update_entry(name, {"metrics": metrics, "score_data": hashes}, keep=not own)


# --- fitting -----------------------------------------------------------------------------------


def _fit(name, build_model, sets, augment, *, seed, epochs, batch_size, callbacks):
    X, y = sets["train"]
    keras.utils.set_random_seed(seed)
    model = build_model()
    data = {"x": X, "y": y, "batch_size": batch_size}
    if augment is not None:
        # The batches are shuffled as they are made.
        data = {"x": AugmentedBatches(X, y, batch_size, augment, seed), "shuffle": False}
    bar = TqdmCallback(verbose=0, desc=name, tqdm_class=tqdm, file=sys.stderr, dynamic_ncols=True)
    with fitting_threads() as threads, speed.fast_convolutions():
        history = model.fit(
            **data,
            validation_data=sets.get("validation"),
            validation_batch_size=batch_size,
            epochs=epochs,
            callbacks=[*(fresh_copy(callback) for callback in callbacks), bar],
            verbose=0,
        )
    curves = {key: [float(value) for value in values] for key, values in history.history.items()}
    return model, FitHistory(history.epoch, curves), threads


def fresh_copy(callback: keras.callbacks.Callback) -> keras.callbacks.Callback:
    """Copy a callback, without the model of an earlier fit that it may still hold."""
    model = getattr(callback, "_model", None)
    return copy.deepcopy(callback, {id(model): None} if model is not None else {})


@contextlib.contextmanager
def fitting_threads(number: int | None = None):
    """Use a fixed number of CPU threads (COURSE_THREADS, else 2), and put the old number back."""
    before = torch.get_num_threads()
    torch.set_num_threads(int(number or os.environ.get("COURSE_THREADS") or DEFAULT_THREADS))
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


class AugmentedBatches(keras.utils.PyDataset):
    """Batches for `model.fit`: every image once per epoch, shuffled and changed afresh.

    What a batch holds follows from seed, epoch and its number only, since Keras looks at some batches
    without training on them.
    """

    def __init__(self, X: np.ndarray, y: np.ndarray, batch_size: int, augment: Callable, seed: int):
        super().__init__()
        self.X, self.y, self.size, self.augment, self.seed = X, y, batch_size, augment, seed
        self.epoch = 0

    def __len__(self) -> int:
        return -(-len(self.X) // self.size)

    def __getitem__(self, index: int) -> Pair:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.X))
        chosen = order[index * self.size : (index + 1) * self.size]
        images = self.X[chosen]
        changed = np.asarray(self.augment(images, np.random.default_rng([self.seed, self.epoch, index])))
        if changed.shape != images.shape:
            raise ValueError(f"augment must keep the shape: it made {changed.shape} of {images.shape}")
        return changed, self.y[chosen]

    def on_epoch_end(self) -> None:
        self.epoch += 1


# --- files -------------------------------------------------------------------------------------


def _load(folder: Path, entry: Mapping) -> tuple[keras.Model, FitHistory]:
    paths = {Path(name).suffix: folder / name for name in entry["files"]}
    return load_model(paths[".keras"]), FitHistory(**json.loads(paths[".json"].read_text(encoding="utf-8")))


def load_model(path: Path) -> keras.Model:
    """Load a `.keras` file in Keras's safe mode."""
    with warnings.catch_warnings():
        # The stored file has no optimiser state on purpose: see save_model.
        warnings.filterwarnings("ignore", message="Skipping variable loading for optimizer")
        return keras.saving.load_model(path, safe_mode=True)


def save_model(model: keras.Model, path: Path) -> None:
    """Save model and compile options, without the optimiser's state, which would treble the file."""
    optimiser = model.optimizer
    model.optimizer = type(optimiser).from_config(optimiser.get_config())
    try:
        model.save(path)
    finally:
        model.optimizer = optimiser

"""Fitted models that know their recipe.

Fitting the networks of this course takes minutes, rendering a lecture should take seconds. So the
fitted models are stored in `cache/`, and `fit_or_load` hands out a stored model only if it was made
by exactly what the lecture says now. Three kinds of file lie in `cache/`:

* `<name>.keras`, the fitted model, and `<name>_history.json`, its learning curves;
* `manifest.json`, which holds for each artefact its recipe, the SHA-256 sums of its two files, the
  metrics it scored, and where, when and with which versions it was fitted.

The recipe consists of *ingredients*: architecture, starting weights, optimiser, loss, metrics,
epochs, batch size, callbacks, augmentation, seed, training data, validation data and preparation
code. Each is stored as a readable value and compared on every call. Versions of Keras, torch, NumPy
and Python and the number of threads are recorded too, as provenance only: another version gives
slightly different weights, but it does not make a stored model wrong.

Settings, all environment variables:

* `COURSE_STRICT=1`: a stored artefact that does not match its recipe is an error (for CI).
* `COURSE_REFIT=1`: fit every artefact anew, and print old and new metrics side by side. It wins
  over `COURSE_STRICT`.
* `COURSE_CACHE=<folder>`: use this folder instead of `cache/`.
* `COURSE_DATA=<folder>` or `COURSE_NOTEBOOK=<folder>`: models fitted to one's own data go to
  `own-data/<fingerprint>/` inside the cache, so that the shipped artefacts stay as they are.
* `COURSE_THREADS=<number>`: CPU threads for fitting, 2 unless it is set.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import json
import os
import platform
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)
from course import paths, speed
from course.store import files, recipes

import keras
import numpy as np
import torch
from tqdm import tqdm

MANIFEST = "manifest.json"
FORMAT = 1

# The order of floating-point sums depends on the number of threads, so the same seed repeats a fit
# only at the same number. Two is what small CI machines have, and batches of 32 small images gain
# little from more.
DEFAULT_THREADS = 2


class ArtefactError(RuntimeError):
    """A stored artefact is missing, damaged or of another recipe, or cannot be stored."""


class _StoringError(Exception):
    """The fitted model could not be written."""


class ArtefactWarning(UserWarning):
    """Something about an artefact needs attention, but the lecture can go on."""


@dataclass
class FitHistory:
    """Learning curves of a fit, with the two attributes of `keras.callbacks.History`.

    `history` maps each metric name to its list of values, one per epoch (`val_` names belong to
    the validation set); `epoch` numbers the epochs from 0.
    """

    history: dict[str, list[float]]
    epoch: list[int] = field(default_factory=list)


# --- the function that lectures call -----------------------------------------------------------


def fit_or_load(
    name: str,
    build_model: Callable[[], keras.Model],
    X: np.ndarray,
    y: np.ndarray,
    *,
    seed: int,
    validation_data: tuple[np.ndarray, np.ndarray] | None = None,
    epochs: int,
    batch_size: int = 32,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    augment: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None,
    prepared_by: Sequence[Callable] = (),
    score_on: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
) -> tuple[keras.Model, FitHistory]:
    """Load the model `name` if it is stored with this very recipe; otherwise fit and store it.

    What a fit does is plain Keras:

        keras.utils.set_random_seed(seed)
        model = build_model()
        model.fit(X, y, validation_data=validation_data, epochs=epochs,
                  batch_size=batch_size, callbacks=callbacks)

    Either way Keras's random seed is set to `seed` on return, so that the cells that follow draw
    the same numbers whether the model was fitted or loaded.

    Args:
        name: File name without ending; lower-case letters, digits and underscores.
        build_model: Returns a compiled model. It is called twice for every check (to see which
            starting weights are not random), so it should only build.
        X: Inputs, shape (n, ...).
        y: Targets, shape (n, ...).
        seed: Given to `keras.utils.set_random_seed` before the model is built.
        validation_data: `(X_val, y_val)`, scored after each epoch.
        epochs: Largest number of epochs.
        batch_size: Images per gradient step.
        augment: `augment(images, rng)` returns changed copies of a batch, of the same shape. Each
            epoch then goes through all images once, in a fresh order and changed afresh; `rng`, a
            `numpy.random.Generator`, follows from `seed`, the epoch and the batch. The function's
            code belongs to the recipe.
        callbacks: Keras callbacks. Copies are used, so an instance may be given several times.
        prepared_by: The functions that made `X` and `y`. Their code, and that of the `course`
            functions and constants which they use, belongs to the recipe.
        score_on: Further data sets `{set name: (X, y)}` to score after the fit. They are no part
            of the recipe: if one of them changes, the stored model is scored on it again.

    Returns:
        The compiled model and its learning curves.

    Raises:
        ArtefactError: With `COURSE_STRICT=1`, if nothing stored matches; or if the model could not
            be stored and loaded again (in Keras's safe mode); with `COURSE_REFIT=1` also if the
            cache cannot be written.
        ValueError, TypeError: On arguments that cannot be used.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"artefact name {name!r}: use lower-case letters, digits and underscores only")
    job = _Job(
        name=name,
        build_model=build_model,
        X=_array("X", X),
        y=_array("y", y),
        seed=int(seed),
        validation_data=_pair("validation_data", validation_data),
        epochs=int(epochs),
        batch_size=int(batch_size),
        callbacks=tuple(callbacks),
        augment=augment,
        prepared_by=tuple(prepared_by),
        score_on={key: _pair(f"score_on[{key!r}]", pair) for key, pair in (score_on or {}).items()},
    )
    try:
        return _fit_or_load(job)
    finally:
        keras.utils.set_random_seed(job.seed)


def artefact_metrics(name: str) -> dict[str, dict[str, float]]:
    """Return the metrics that the stored artefact scored: `{set name: {metric: value}}`.

    Always contains `"train"`, and `"validation"` if the fit had validation data. After
    `fit_or_load(name, ...)` in the same process these are the metrics of the model that it
    returned, also if that model came from `own-data/` or could not be stored.

    Raises:
        ArtefactError: If there is no such artefact.
    """
    found = _scored_here.get(name) or artefact_entry(name)["metrics"]
    return copy.deepcopy(found)


def artefact_names() -> list[str]:
    """Return the names of all artefacts in the cache's manifest, sorted."""
    return sorted(_read_manifest(cache_folder())["artefacts"])


def artefact_entry(name: str) -> dict[str, Any]:
    """Return what the manifest records of an artefact.

    Keys: `recipe`, `files` (name, SHA-256 and bytes of each file), `metrics`, `score_data` (SHA-256
    of each data set that was scored), `parameters`, `epochs_run`, `seconds`, `threads`,
    `versions`, `fitted` (UTC date).

    Raises:
        ArtefactError: If there is no such artefact.
    """
    folder = _folder_of_artefact(name)
    entries = _read_manifest(folder)["artefacts"]
    if name not in entries:
        known = ", ".join(sorted(entries)) or "none"
        raise ArtefactError(f"no artefact {name!r} in {folder / MANIFEST} (known: {known})")
    return entries[name]


def load_artefact(name: str) -> tuple[keras.Model, FitHistory]:
    """Load a stored artefact whatever its recipe; its files must still match the manifest.

    Raises:
        ArtefactError: If it is missing or damaged.
    """
    folder = _folder_of_artefact(name)
    return _load(folder, name, artefact_entry(name))


def data_fingerprint(X: np.ndarray, y: np.ndarray) -> str:
    """Return the SHA-256 of a data set, as `score_data` in the manifest records it.

    It covers the values, shapes and dtypes of `X` (n, ...) and `y` (n, ...), in their order.
    """
    return recipes.fingerprint((np.asarray(X), np.asarray(y)))["sha256"]


def cache_folder() -> Path:
    """Return the folder of the artefacts: `COURSE_CACHE` if set, else `cache/`."""
    chosen = os.environ.get("COURSE_CACHE", "").strip()
    return Path(chosen) if chosen else paths.CACHE


def _folder_of_artefact(name: str) -> Path:
    """Return where this process last met the artefact, if that is inside the present cache."""
    folder = _folder_of.get(name, cache_folder())
    return folder if folder.is_relative_to(cache_folder()) else cache_folder()


# --- one call of fit_or_load -------------------------------------------------------------------


@dataclass
class _Job:
    name: str
    build_model: Callable[[], keras.Model]
    X: np.ndarray
    y: np.ndarray
    seed: int
    validation_data: tuple[np.ndarray, np.ndarray] | None
    epochs: int
    batch_size: int
    callbacks: tuple
    augment: Callable | None
    prepared_by: tuple
    score_on: dict[str, tuple[np.ndarray, np.ndarray]]

    @functools.cached_property
    def fingerprints(self) -> dict[str, dict]:
        """Fingerprints of the fitting data, by set name."""
        found = {"train": recipes.fingerprint((self.X, self.y))}
        if self.validation_data is not None:
            found["validation"] = recipes.fingerprint(self.validation_data)
        return found

    @functools.cached_property
    def score_data(self) -> dict[str, str]:
        found = {key: value["sha256"] for key, value in self.fingerprints.items()}
        for key, data in self.score_on.items():
            found[key] = recipes.fingerprint(data)["sha256"]
        return found

    @property
    def score_sets(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        sets = {"train": (self.X, self.y)}
        if self.validation_data is not None:
            sets["validation"] = self.validation_data
        return {**sets, **self.score_on}

    @functools.cached_property
    def recipe(self) -> dict[str, Any]:
        return recipes.recipe(
            self.build_model,
            data=self.fingerprints,
            seed=self.seed,
            epochs=self.epochs,
            batch_size=self.batch_size,
            callbacks=self.callbacks,
            augment=self.augment,
            prepared_by=self.prepared_by,
        )


_refitted: set[tuple[Path, str, str]] = set()  # what COURSE_REFIT has done in this process
_folder_of: dict[str, Path] = {}  # where this process last found or stored each artefact
_scored_here: dict[str, dict] = {}  # metrics of this process that no manifest holds


def _fit_or_load(job: _Job) -> tuple[keras.Model, FitHistory]:
    shipped = cache_folder()
    folder = shipped
    refit = switched_on("COURSE_REFIT")
    strict = switched_on("COURSE_STRICT") and not refit

    if own_data():
        # The lecturer's own data may be the shipped data, and some models use neither.
        found, _ = _try_to_load(shipped, job)
        if found is not None and not refit:
            return found
        if found is None:
            used = sorted(value["sha256"] for value in job.fingerprints.values())
            folder = shipped / "own-data" / recipes.content_hash(used)[:12]

    done = (folder.absolute(), job.name, recipes.content_hash(job.recipe))
    refit = refit and done not in _refitted
    reasons = ["COURSE_REFIT is set"]
    if not refit:
        found, reasons = _try_to_load(folder, job)
        if found is not None:
            return found
        if strict:
            raise ArtefactError(_strict_message(job.name, folder, reasons))

    with files.locked(folder, job.name) as locked:
        if locked and not refit:
            # Another process may have fitted this model while we waited for it.
            found, reasons = _try_to_load(folder, job)
            if found is not None:
                return found
        _say(f"Fitting '{job.name}': " + "; ".join(reasons) + ".")
        old = _read_manifest(folder)["artefacts"].get(job.name, {}).get("metrics", {})
        blocked = files.why_not_writable(folder)
        if blocked and refit:
            raise ArtefactError(
                f"COURSE_REFIT is set, but {folder} cannot be written: {blocked}. "
                "Make the folder writable or set COURSE_CACHE to another one."
            )
        if blocked:
            warn(
                f"{folder} cannot be written ({blocked}): '{job.name}' will be fitted, but not "
                "stored. Make the folder writable or set COURSE_CACHE to another one."
            )
        try:
            model, history, entry = _fit(job)
            if refit:
                _say(_comparison(job.name, old, entry["metrics"]))
            if blocked:
                _scored_here[job.name] = entry["metrics"]
                return model, history
            _store(folder, job, model, history, entry)
        except KeyboardInterrupt:
            _say(f"Interrupted: '{job.name}' was not stored; what was stored before is unchanged.")
            raise
        except _StoringError as error:
            message = (
                f"'{job.name}' was fitted, but could not be stored in {folder}: {error}. What was "
                "stored before is unchanged. Free some space or set COURSE_CACHE to another folder."
            )
            if refit:
                raise ArtefactError(message) from error
            warn(message)
            _scored_here[job.name] = entry["metrics"]
            return model, history
        if refit:
            _refitted.add(done)
        _folder_of[job.name] = folder
        _scored_here.pop(job.name, None)
        # Both ways end with a model that came from the file: what is shown is what is stored.
        return _load(folder, job.name, entry)


def _try_to_load(folder: Path, job: _Job):
    """Return ((model, history), []) on a match, else (None, reasons in words)."""
    try:
        manifest = _read_manifest(folder, complain=True)
    except ArtefactError as error:
        return None, [str(error)]
    entry = manifest["artefacts"].get(job.name)
    if entry is None:
        return None, ["there is no stored artefact of this name"]
    reasons = recipes.differences(entry["recipe"], job.recipe, manifest["data"], job.fingerprints)
    if reasons:
        return None, reasons
    try:
        found = _load(folder, job.name, entry)
    except ArtefactError as error:
        return None, [str(error)]
    _folder_of[job.name] = folder
    _scored_here.pop(job.name, None)
    _score_again(folder, job, found[0], entry)
    return found, []


def _score_again(folder: Path, job: _Job, model: keras.Model, entry: dict) -> None:
    """Bring recorded metrics up to date when a data set of `score_on` is new or has changed."""
    stale = [key for key in job.score_on if entry["score_data"].get(key) != job.score_data[key]]
    if not stale:
        return
    if own_data() and folder == cache_folder():
        # The shipped model on somebody's own test set: that is no news about the artefact.
        _say(f"Scoring '{job.name}' on your own data: {', '.join(stale)}.")
        scores = score(model, {key: job.score_sets[key] for key in stale}, job.batch_size)
        _scored_here[job.name] = {**entry["metrics"], **scores}
        return
    if switched_on("COURSE_STRICT") and not switched_on("COURSE_REFIT"):
        raise ArtefactError(
            f"'{job.name}': its recorded metrics on {', '.join(stale)} are missing or belong to "
            "other data. Run the lecture once without COURSE_STRICT to score the model again."
        )
    _say(f"Scoring '{job.name}' again on changed data: {', '.join(stale)}.")
    scores = score(model, {key: job.score_sets[key] for key in stale}, job.batch_size)
    try:
        with files.locked(folder, "manifest"):
            manifest = _read_manifest(folder)
            current = manifest["artefacts"].get(job.name)
            if current is None or current["recipe"] != entry["recipe"]:
                return
            current["metrics"].update(scores)
            current["score_data"].update({key: job.score_data[key] for key in stale})
            with files.replaced_together(folder, [MANIFEST]) as staged:
                staged[MANIFEST].write_text(files.as_json(manifest), encoding="utf-8")
    except OSError as error:
        warn(f"the new metrics of '{job.name}' could not be stored in {folder}: {error}")


def own_data() -> bool:
    """Does this run use data of the lecturer's own in place of the shipped handwriting?"""
    return any(os.environ.get(key, "").strip() for key in ("COURSE_DATA", "COURSE_NOTEBOOK"))


def _strict_message(name: str, folder: Path, reasons: list[str]) -> str:
    listed = "".join(f"\n  - {reason}" for reason in reasons)
    return (
        f"COURSE_STRICT is set, and the artefact '{name}' in {folder} is not what the code "
        f"makes:{listed}\nFit it again with `make train` (or run the lecture without "
        "COURSE_STRICT), or undo the change."
    )


# --- fitting -----------------------------------------------------------------------------------


def _fit(job: _Job) -> tuple[keras.Model, FitHistory, dict[str, Any]]:
    recipe = job.recipe  # builds models, so it comes before the seed is set
    keras.utils.set_random_seed(job.seed)
    model = job.build_model()
    _check_storable(job.name, model)
    # The trial loading above drew random numbers; the fit starts from a fresh seed and model.
    keras.utils.set_random_seed(job.seed)
    model = job.build_model()
    callbacks = [fresh_copy(callback) for callback in job.callbacks]
    steps = -(-len(job.X) // job.batch_size)
    started = time.perf_counter()
    bar = ProgressBar(job.name, job.epochs, steps)
    try:
        with fitting_threads() as threads, speed.fast_convolutions():
            if job.augment is None:
                data = dict(x=job.X, y=job.y, batch_size=job.batch_size)
            else:
                # The batches are shuffled as they are made.
                data = dict(x=AugmentedBatches(job), shuffle=False)
            history = model.fit(
                **data,
                validation_data=job.validation_data,
                validation_batch_size=job.batch_size,
                epochs=job.epochs,
                callbacks=[*callbacks, bar],
                verbose=0,
            )
            seconds = time.perf_counter() - started
            metrics = score(model, job.score_sets, job.batch_size)
    finally:
        bar.close()  # an interrupted fit does not reach on_train_end
    curves = {key: [float(value) for value in values] for key, values in history.history.items()}
    entry = {
        "recipe": recipe,
        "files": {},
        "metrics": metrics,
        "score_data": job.score_data,
        "parameters": int(model.count_params()),
        "epochs_run": len(history.epoch),
        "seconds": round(seconds, 1),
        "threads": threads,
        "versions": {
            "python": platform.python_version(),
            "keras": keras.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "machine": f"{platform.system()} {platform.machine()}",
            "device": "cuda" if torch.cuda.is_available() else "cpu",
        },
        "fitted": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return model, FitHistory(curves, [int(number) for number in history.epoch]), entry


def score(
    model: keras.Model, sets: Mapping[str, tuple[np.ndarray, np.ndarray]], batch_size: int = 128
) -> dict[str, dict[str, float]]:
    """Return the metrics that a compiled model reaches on sets (X, y), by set and metric."""
    scores = {}
    for key, (X, y) in sets.items():
        found = model.evaluate(X, y, batch_size=max(batch_size, 128), verbose=0, return_dict=True)
        scores[key] = {metric: float(value) for metric, value in found.items()}
    return scores


def fresh_copy(callback: keras.callbacks.Callback) -> keras.callbacks.Callback:
    """Copy a callback, without the model of an earlier fit that it may still hold."""
    model = getattr(callback, "_model", None)
    return copy.deepcopy(callback, {id(model): None} if model is not None else {})


@contextlib.contextmanager
def fitting_threads():
    """Use a fixed number of CPU threads, and put the old number back."""
    text = os.environ.get("COURSE_THREADS", "").strip() or str(DEFAULT_THREADS)
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"COURSE_THREADS must be a whole number of at least 1, not {text!r}")
    before = torch.get_num_threads()
    torch.set_num_threads(int(text))
    try:
        yield int(text)
    finally:
        torch.set_num_threads(before)


class AugmentedBatches(keras.utils.PyDataset):
    """Batches for `model.fit`: every image once per epoch, shuffled and changed afresh.

    What a batch holds follows from seed, epoch and its number only, since Keras looks at some
    batches without training on them.
    """

    def __init__(self, job: _Job):
        super().__init__()
        self.job = job
        self.epoch = 0

    def __len__(self) -> int:
        return -(-len(self.job.X) // self.job.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        job, size = self.job, self.job.batch_size
        order = np.random.default_rng([job.seed, self.epoch]).permutation(len(job.X))
        chosen = order[index * size : (index + 1) * size]
        images = job.X[chosen]
        rng = np.random.default_rng([job.seed, self.epoch, index])
        changed = np.asarray(job.augment(images, rng))
        if changed.shape != images.shape:
            raise ValueError(
                f"augment turned a batch of shape {images.shape} into {changed.shape}; it must keep the shape"
            )
        return changed, job.y[chosen]

    def on_epoch_end(self) -> None:
        self.epoch += 1


class ProgressBar(keras.callbacks.Callback):
    """One bar for the whole fit: batches done, epoch, and the metrics of the last epoch.

    Works in a terminal, a notebook and a log file. `steps` is the number of batches per epoch;
    `file` is the standard error unless another one is given.
    """

    def __init__(self, name: str, epochs: int, steps: int, file: TextIO | None = None):
        super().__init__()
        self.name, self.epochs, self.steps, self.file = name, epochs, steps, file
        self.bar: tqdm | None = None

    def on_train_begin(self, logs=None):
        self.bar = tqdm(
            desc=self.name,
            total=self.epochs * self.steps,
            bar_format="{desc} {percentage:3.0f}%|{bar:20}| {elapsed}<{remaining}{postfix}",
            # A terminal or notebook shows a moving bar, a log file gets a line now and then.
            mininterval=0.5 if sys.stderr.isatty() or "ipykernel" in sys.modules else 30,
            dynamic_ncols=True,
            file=self.file or sys.stderr,
        )

    def on_epoch_begin(self, epoch, logs=None):
        self.bar.set_description_str(f"{self.name}: epoch {epoch + 1}/{self.epochs}", refresh=False)

    def on_train_batch_end(self, batch, logs=None):
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        self.bar.set_postfix_str(
            ", ".join(f"{_short(key)} {float(value):.3f}" for key, value in (logs or {}).items())
        )

    def close(self):
        if self.bar is not None:
            self.bar.close()


def _short(metric: str) -> str:
    return metric.replace("sparse_top_k_categorical_accuracy", "top_k")


def _comparison(name: str, old: Mapping, new: Mapping) -> str:
    """Old and new metrics as a small table."""
    lines = [f"{name:<44}{'old':>10}{'new':>10}{'change':>10}"]
    for key in [*new, *(key for key in old if key not in new)]:
        before, after = old.get(key, {}), new.get(key, {})
        for metric in [*after, *(metric for metric in before if metric not in after)]:
            a, b = before.get(metric), after.get(metric)
            cells = [
                f"{a:10.4f}" if a is not None else f"{'-':>10}",
                f"{b:10.4f}" if b is not None else f"{'-':>10}",
                f"{b - a:+10.4f}" if None not in (a, b) else f"{'':>10}",
            ]
            lines.append(f"  {key + ' ' + metric:<42}" + "".join(cells))
    return "\n".join(lines)


# --- files -------------------------------------------------------------------------------------


def _file_names(name: str) -> tuple[str, str]:
    return f"{name}.keras", f"{name}_history.json"


def _empty_manifest() -> dict[str, Any]:
    return {"format": FORMAT, "artefacts": {}, "data": {}}


def _read_manifest(folder: Path, complain: bool = False) -> dict[str, Any]:
    """Read the manifest; a missing one is empty, and so is a damaged one unless `complain`."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise ValueError(f"format {manifest['format']!r} is not {FORMAT}")
        for entry in manifest["artefacts"].values():
            for key in ("recipe", "files", "metrics", "score_data"):
                if not isinstance(entry[key], dict):
                    raise TypeError(f"{key!r} is not a table")
        if not isinstance(manifest["data"], dict):
            raise TypeError("'data' is not a table")
    except FileNotFoundError:
        return _empty_manifest()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if complain:
            raise ArtefactError(
                f"{path} is damaged ({type(error).__name__}: {error}); restore it from git if "
                "it was not meant to change"
            ) from error
        return _empty_manifest()
    except OSError as error:
        if complain:
            raise ArtefactError(f"{path} cannot be read: {error}") from error
        return _empty_manifest()
    return manifest


def _load(folder: Path, name: str, entry: dict) -> tuple[keras.Model, FitHistory]:
    model_name, history_name = _file_names(name)
    for file_name in (model_name, history_name):
        path = folder / file_name
        recorded = entry["files"].get(file_name, {})
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise ArtefactError(f"{file_name} is missing") from None
        except OSError as error:
            raise ArtefactError(f"{file_name} cannot be read: {error}") from error
        if hashlib.sha256(content).hexdigest() != recorded.get("sha256"):
            size = recorded.get("bytes")
            what = "was changed or damaged after it was stored"
            if isinstance(size, int) and len(content) < size:
                what += f" ({len(content):,} bytes instead of {size:,})"
            raise ArtefactError(f"{file_name} {what}: its SHA-256 is not the manifest's")
    try:
        stored = json.loads((folder / history_name).read_text(encoding="utf-8"))
        history = FitHistory(stored["history"], stored["epoch"])
    except (ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"{history_name} cannot be read: {error}") from error
    try:
        return load_model(folder / model_name), history
    except Exception as error:  # Keras raises many kinds
        raise ArtefactError(f"{model_name} cannot be loaded: {type(error).__name__}: {error}") from error


def load_model(path: Path) -> keras.Model:
    """Load a `.keras` file in Keras's safe mode."""
    with warnings.catch_warnings():
        # The stored file has no optimiser state on purpose: see _save_model.
        warnings.filterwarnings("ignore", message="Skipping variable loading for optimizer")
        return keras.saving.load_model(path, safe_mode=True)


def _save_model(model: keras.Model, path: Path) -> None:
    """Save model and compile options, without the optimiser's state.

    Adam keeps two moving averages per weight: they would treble the file, and only resuming the
    very same fit needs them.
    """
    optimiser = model.optimizer
    model.optimizer = type(optimiser).from_config(optimiser.get_config())
    try:
        model.save(path)
    finally:
        model.optimizer = optimiser


def _check_storable(name: str, model: keras.Model) -> None:
    """Save and load the model before the fit: better now than after ten minutes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        try:
            _save_model(model, path)
        except OSError:
            return  # no room for temporary files: storing will report it
        try:
            load_model(path)
        except Exception as error:
            raise ArtefactError(
                f"'{name}' could be fitted, but its file could not be loaded in Keras's safe mode: "
                f"{type(error).__name__}: {error}. Use Keras layers instead of Lambda, and "
                "register own layers, losses and metrics with "
                "@keras.saving.register_keras_serializable()."
            ) from error


def _store(folder: Path, job: _Job, model: keras.Model, history: FitHistory, entry: dict) -> None:
    """Write model, history and manifest: all three, or none."""
    try:
        _store_files(folder, job, model, history, entry)
    except OSError as error:
        raise _StoringError(str(error)) from error


def _store_files(folder: Path, job: _Job, model, history: FitHistory, entry: dict) -> None:
    model_name, history_name = _file_names(job.name)
    folder.mkdir(parents=True, exist_ok=True)
    with files.locked(folder, "manifest"):
        with files.replaced_together(folder, [model_name, history_name, MANIFEST]) as staged:
            _save_model(model, staged[model_name])
            staged[history_name].write_text(
                files.as_json({"epoch": history.epoch, "history": history.history}), encoding="utf-8"
            )
            for file_name in (model_name, history_name):
                content = staged[file_name].read_bytes()
                entry["files"][file_name] = {
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "bytes": len(content),
                }
            try:
                manifest = _read_manifest(folder, complain=True)
            except ArtefactError:
                # Somebody may want to mend it by hand: it also spoke of the other artefacts.
                os.replace(folder / MANIFEST, folder / f"{MANIFEST}.damaged")
                manifest = _empty_manifest()
            manifest["artefacts"][job.name] = entry
            manifest["data"].update(
                {value["sha256"]: value["row_codes"] for value in job.fingerprints.values()}
            )
            used = {
                (other["recipe"].get(key) or {}).get("sha256")
                for other in manifest["artefacts"].values()
                for key in ("training data", "validation data")
            }
            manifest["data"] = {k: v for k, v in manifest["data"].items() if k in used}
            staged[MANIFEST].write_text(files.as_json(manifest), encoding="utf-8")


# --- small things ------------------------------------------------------------------------------


def switched_on(variable: str) -> bool:
    """Is this environment variable set to something other than 0, no, false or off?"""
    return os.environ.get(variable, "").strip().lower() not in {"", "0", "no", "false", "off"}


def _say(message: str) -> None:
    # Not on the standard output: it is no result of the lecture.
    print(message, file=sys.stderr, flush=True)


def warn(message: str) -> None:
    """Give an `ArtefactWarning` in the caller's name."""
    warnings.warn(message, ArtefactWarning, stacklevel=2)


def _array(name: str, value: Any) -> np.ndarray:
    if torch.is_tensor(value):
        value = value.detach().cpu().numpy()
    value = np.asarray(value)
    if value.dtype == object:
        raise TypeError(f"{name} must hold numbers, not Python objects (dtype object)")
    if value.ndim == 0 or len(value) == 0:
        raise ValueError(f"{name} is empty (shape {value.shape})")
    return value


def _pair(name: str, value: Any) -> tuple[np.ndarray, np.ndarray] | None:
    if value is None:
        return None
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(f"{name} must be a pair (X, y)")
    X, y = _array(f"{name}: X", value[0]), _array(f"{name}: y", value[1])
    return X, y

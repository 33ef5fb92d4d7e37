"""Hyperparameter searches that know their recipe.

KerasTuner reloads a project directory that lies where it was told to work, whatever was changed
since: another search space, other data, another seed. `search_or_load` asks first. What a search
leaves behind is stored in `cache/tuning/<name>/`:

* KerasTuner's own project directory, with the weights of the best trial only;
* `recipe.json`: every ingredient of the search, the SHA-256 sum of each file, and where, when and
  with which versions it ran.

A stored search is handed out only if every ingredient is what the code says now. Ingredients are
those of `course.store.recipes` (for the network at the hyperparameters' defaults) and the search space,
the tuner, its options and the code of `build_model`. `scores_or_load` treats tables of scores
over several seeds alike. The settings are those of `course.store.artefacts`: `COURSE_STRICT`,
`COURSE_REFIT` and `COURSE_CACHE`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)
from course.store import artefacts, files, recipes
from course.store.artefacts import ArtefactError

import keras
import keras_tuner
import numpy as np
import pandas as pd
import torch
from keras_tuner.src.engine.objective import create_objective
from sklearn.exceptions import ConvergenceWarning
from tqdm import tqdm

RECIPE = "recipe.json"
SCORES = "scores.csv"
FORMAT = 1

# These networks are so small that a second thread costs more than it gives. With one thread a
# trial also comes out the same in a worker process beside others.
THREADS = 1

# Rows at a time when a network is only evaluated: that changes no result.
EVALUATE = 8192


class Data(NamedTuple):
    """Training and validation data: `X` (n, ...), `y` (n, ...), `X_val`, `y_val`."""

    X: np.ndarray
    y: np.ndarray
    X_val: np.ndarray
    y_val: np.ndarray


@dataclass(frozen=True)
class Search:
    """All that a search is made of.

    Args:
        name: Name of its directory; lower-case letters, digits and underscores.
        tuner: `keras_tuner.RandomSearch`, `keras_tuner.BayesianOptimization` or another
            KerasTuner class.
        build_model: Takes `keras_tuner.HyperParameters`, returns a compiled Keras model.
        data: Returns the `Data`; its code, and the `course` functions it uses, are ingredients.
        objective: What the tuner minimises or maximises, such as "val_loss".
        max_trials: Number of trials.
        seed: Draws the hyperparameters. Every trial's weights and batches start from it as well,
            so a trial comes out the same in whatever process, and after whatever other trials.
        epochs, batch_size, callbacks: Given to `fit` in each trial.
        options: Further arguments of the tuner.
    """

    name: str
    tuner: type[keras_tuner.Tuner]
    build_model: Callable[[keras_tuner.HyperParameters], keras.Model]
    data: Callable[[], Data]
    objective: str
    max_trials: int
    seed: int
    epochs: int
    batch_size: int
    callbacks: Sequence[keras.callbacks.Callback] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def make_tuner(self, directory: Path, **changes: Any) -> keras_tuner.Tuner:
        """Return KerasTuner's tuner, working in `directory`/<name>; it reloads what lies there."""
        kind = type(self.tuner.__name__, (_Reporting, self.tuner), {})
        with _without_chief() if changes.pop("alone", True) else contextlib.nullcontext():
            return kind(
                _Seeded(self.build_model, self.seed),
                objective=self.objective,
                max_trials=self.max_trials,
                seed=self.seed,
                directory=str(directory),
                project_name=self.name,
                **{**self.options, **changes},
            )

    def run(self, tuner: keras_tuner.Tuner) -> None:
        """Run the trials that are still to do: KerasTuner's `search` on this search's data."""
        data = self.data()
        with _one_thread(), warnings.catch_warnings():
            # Said of the Gaussian process after each trial, as long as they are few.
            warnings.filterwarnings("ignore", category=ConvergenceWarning)
            tuner.search(
                data.X,
                data.y,
                validation_data=(data.X_val, data.y_val),
                epochs=self.epochs,
                batch_size=self.batch_size,
                validation_batch_size=EVALUATE,
                callbacks=list(self.callbacks),
                verbose=0,
            )


def search_or_load(search: Search) -> keras_tuner.Tuner:
    """Load the stored search if it was made with this very recipe; otherwise run and store it.

    Keras's random seed is `search.seed` on return.

    Returns:
        KerasTuner's tuner after the search. `results_summary`, `get_best_hyperparameters` and
        `get_best_models(1)` work on it; weights of the other trials are not kept.

    Raises:
        ArtefactError: With `COURSE_STRICT=1`, if what is stored does not match, with each changed
            ingredient named; with `COURSE_REFIT=1`, if the cache cannot be written.
        RuntimeError: If no trial of the search came to an end; KerasTuner's message says why.
    """
    fingerprints = data_fingerprints(search.data())
    recipe = search_recipe(search, fingerprints)

    def make(folder: Path) -> None:
        tuner = search.make_tuner(folder.parent)
        with tqdm(
            desc=search.name,
            total=search.max_trials,
            unit="trial",
            file=sys.stderr,
            mininterval=0,
            dynamic_ncols=True,
        ) as bar:
            tuner.report = lambda: _show(bar, tuner.oracle)
            search.run(tuner)
        keep_best_weights(folder, tuner)

    try:
        folder = load_or_make(search.name, recipe, fingerprints, make)
        return reload(search, folder.parent)
    finally:
        keras.utils.set_random_seed(search.seed)


def scores_or_load(
    name: str,
    networks: Mapping[str, Callable[[], keras.Model]],
    search: Search,
    *,
    seeds: Sequence[int],
    score: Callable[[np.ndarray, np.ndarray], float],
    score_on: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> pd.DataFrame:
    """Fit each network once for each seed and return its scores, or load them.

    Each fit is that of a trial of `search`: same data, epochs, batch size and callbacks, and like
    KerasTuner it keeps the weights of the epoch with the best objective.

    Args:
        name: Name of the stored table, in `cache/tuning/<name>/`.
        networks: Functions that build and compile, by a name to show.
        search: Where data, epochs, batch size and callbacks come from.
        seeds: Given to `keras.utils.set_random_seed` before a network is built.
        score: Takes truth (n,) and prediction (n,), returns a number. Its code is an ingredient.
        score_on: Sets `{set name: (X, y)}` to score on.

    Returns:
        A table with one row for each network and seed: `network`, `seed`, `epochs`, `parameters`,
        `seconds`, and the score on each set.

    Raises:
        ArtefactError: As `search_or_load`.
    """
    data = search.data()
    fingerprints = data_fingerprints(data)
    prepared_by = [search.data, score]
    recipe = {
        "seeds": [int(seed) for seed in seeds],
        "scored on": {key: artefacts.data_fingerprint(*pair) for key, pair in score_on.items()},
        "networks": {
            network: _network_recipe(search, build, fingerprints, prepared_by)
            for network, build in networks.items()
        },
    }

    def make(folder: Path) -> None:
        rows = []
        jobs = [(network, seed) for network in networks for seed in seeds]
        with tqdm(
            desc=name, total=len(jobs), unit="fit", file=sys.stderr, mininterval=0, dynamic_ncols=True
        ) as bar:
            for network, seed in jobs:
                bar.set_postfix_str(f"{network}, seed {seed}")
                row, predictions = fit_once(search, networks[network], seed, data, score_on)
                for key, (_, y) in score_on.items():
                    row[key] = score(y, predictions[key])
                rows.append({"network": network, "seed": seed, **row})
                bar.update()
        pd.DataFrame(rows).to_csv(folder / SCORES, index=False, lineterminator="\n")

    folder = load_or_make(name, recipe, fingerprints, make)
    return pd.read_csv(folder / SCORES)


def fit_once(
    search: Search,
    build: Callable[[], keras.Model],
    seed: int,
    data: Data,
    predict: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> tuple[dict, dict]:
    """Fit a network as a trial of `search` does, from `seed`.

    Returns:
        `{"epochs": …, "parameters": …, "seconds": …}`, and the predictions (n,) for each set of
        `predict`, float64.
    """
    started = time.perf_counter()
    with _one_thread():
        keras.utils.set_random_seed(seed)
        model = build()
        best = _BestWeights(create_objective(search.objective))
        callbacks = [artefacts.fresh_copy(callback) for callback in search.callbacks]
        history = model.fit(
            data.X,
            data.y,
            validation_data=(data.X_val, data.y_val),
            epochs=search.epochs,
            batch_size=search.batch_size,
            validation_batch_size=EVALUATE,
            verbose=0,
            callbacks=[*callbacks, best],
        )
        model.set_weights(best.weights)
        predictions = {
            key: model.predict(X, batch_size=EVALUATE, verbose=0).ravel().astype("float64")
            for key, (X, _) in predict.items()
        }
    row = {
        "epochs": len(history.epoch),
        "parameters": int(model.count_params()),
        "seconds": round(time.perf_counter() - started, 1),
    }
    return row, predictions


def changes_since_stored(search: Search) -> list[str]:
    """Say in words why `search_or_load` would refuse what is stored; an empty list if it would not.

    Nothing is run.
    """
    fingerprints = data_fingerprints(search.data())
    recipe = search_recipe(search, fingerprints)
    return reasons_against(tuning_folder() / search.name, recipe, fingerprints)


def seconds_of(name: str) -> float:
    """Return how many seconds a stored search or table took to make.

    Raises:
        ArtefactError: If there is none of this name.
    """
    return stored_recipe(tuning_folder() / name)["seconds"]


def trials_table(tuner: keras_tuner.Tuner) -> pd.DataFrame:
    """Return the finished trials of a search, in the order in which they were drawn.

    Columns: the hyperparameters (missing where a trial did not use one), `score` (the best value
    of the objective) and `epoch` (counted from 1, where it was reached). The index is the trial.
    """
    rows = {}
    for trial in tuner.oracle.trials.values():
        if trial.status == "COMPLETED":
            hp = trial.hyperparameters
            values = {one.name: hp.values[one.name] for one in hp.space if hp.is_active(one)}
            rows[trial.trial_id] = {**values, "score": trial.score, "epoch": trial.best_step + 1}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("trial").sort_index()


# --- recipes -----------------------------------------------------------------------------------


def search_recipe(search: Search, fingerprints: Mapping[str, Mapping]) -> dict[str, Any]:
    """Return every ingredient of a search, ready for JSON.

    Raises:
        ValueError: If the name cannot be a directory.
    """
    _check_name(search.name)
    with tempfile.TemporaryDirectory() as folder:
        # KerasTuner explores the space by building, also what lies behind conditions.
        space = search.make_tuner(Path(folder)).oracle.get_space()

    def build_default():
        return search.build_model(keras_tuner.HyperParameters())

    known = {"objective": search.objective, "max_trials": search.max_trials, **search.options}
    own = {
        "search space": {_space_key(hp): _hyperparameter(hp) for hp in space.space},
        "tuner": search.tuner.__name__,
        "tuner options": json.loads(json.dumps(recipes.describe(known))),
        "code of build_model": recipes.preparation_code([search.build_model]),
    }
    return own | _network_recipe(search, build_default, fingerprints, [search.data])


def _network_recipe(search, build, fingerprints, prepared_by) -> dict[str, Any]:
    return recipes.recipe(
        build,
        data=fingerprints,
        seed=search.seed,
        epochs=search.epochs,
        batch_size=search.batch_size,
        callbacks=search.callbacks,
        augment=None,
        prepared_by=prepared_by,
    )


def _space_key(hp) -> str:
    """A hyperparameter may appear under several conditions: each is an entry of its own."""
    if not hp.conditions:
        return hp.name
    conditions = [f"{one.name} in {one.values}" for one in hp.conditions]
    return f"{hp.name} if " + " and ".join(conditions)


def _hyperparameter(hp) -> dict[str, Any]:
    config = {
        key: value
        for key, value in hp.get_config().items()
        if key not in {"name", "conditions"} and value is not None
    }
    return json.loads(json.dumps({"class": type(hp).__name__, **recipes.describe(config)}))


def data_fingerprints(data: Data) -> dict[str, dict]:
    """Return the fingerprints of both parts of the data, as `search_recipe` takes them."""
    return {
        "train": recipes.fingerprint((data.X, data.y)),
        "validation": recipes.fingerprint((data.X_val, data.y_val)),
    }


def search_differences(old: Mapping, new: Mapping, rows: Mapping, fingerprints: Mapping):
    """Say in words how the recipe `new` of a search differs from `old`; empty if it does not.

    Args:
        old, new: Recipes of `search_recipe`.
        rows: Row codes of the old data, by their SHA-256.
        fingerprints: Fingerprints of the new data, by set name.
    """
    if "networks" in new:
        return _table_differences(old, new, rows, fingerprints)
    reasons = []
    before, after = old.get("search space", {}), new["search space"]
    for name in [*after, *(name for name in before if name not in after)]:
        if name not in before:
            reasons.append(f"hyperparameter '{name}' is new")
        elif name not in after:
            reasons.append(f"hyperparameter '{name}' is gone")
        elif before[name] != after[name]:
            words = recipes.flat_differences(before[name], after[name])
            reasons.append(f"hyperparameter '{name}': " + recipes.in_words(words))
    if not reasons and list(before) != list(after):
        # Hyperparameters are drawn one after the other from one stream of random numbers.
        reasons.append("hyperparameters come in another order: " + ", ".join(after))
    if old.get("tuner") != new["tuner"]:
        reasons.append(f"tuner {old.get('tuner')} → {new['tuner']}")
    words = recipes.flat_differences(old.get("tuner options", {}), new["tuner options"])
    reasons += [f"tuner's option {word}" for word in words]
    reasons += recipes.differences(old, new, rows, fingerprints)
    if not reasons and old.get("code of build_model") != new["code of build_model"]:
        before, after = old.get("code of build_model", {}), new["code of build_model"]
        reasons.append("code of build_model: " + recipes.code_in_words(before, after))
    return reasons


def _table_differences(old, new, rows, fingerprints) -> list[str]:
    reasons = []
    if old.get("seeds") != new["seeds"]:
        before, after = recipes.in_brief(old.get("seeds")), recipes.in_brief(new["seeds"])
        reasons.append(f"seeds {before} → {after}")
    before, after = old.get("scored on", {}), new["scored on"]
    for key in {**after, **before}:
        if before.get(key) != after.get(key):
            reasons.append(f"the set '{key}' that is scored on differs")
    before, after = old.get("networks", {}), new["networks"]
    for key in {**after, **before}:
        if key not in before:
            reasons.append(f"network '{key}' is new")
        elif key not in after:
            reasons.append(f"network '{key}' is gone")
        else:
            reasons += [
                word
                if word.startswith(("training data", "validation data", "preparation"))
                else f"network '{key}': {word}"
                for word in recipes.differences(before[key], after[key], rows, fingerprints)
            ]
    if not reasons and list(before) != list(after):
        reasons.append("networks come in another order")
    return list(dict.fromkeys(reasons))


# --- files -------------------------------------------------------------------------------------


def tuning_folder() -> Path:
    """Return where searches are stored: `tuning/` in the cache."""
    return artefacts.cache_folder() / "tuning"


def stored_recipe(folder: Path) -> dict[str, Any]:
    """Read `recipe.json` of a stored search and check every file that it lists.

    Raises:
        ArtefactError: If it is missing or damaged, or a file is not what was stored.
    """
    path = folder / RECIPE
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["format"] != FORMAT:
            raise ValueError(f"format {stored['format']!r} is not {FORMAT}")
        for key in ("recipe", "files", "rows"):
            if not isinstance(stored[key], dict):
                raise TypeError(f"{key!r} is not a table")
        for name in stored["files"]:
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise ValueError(f"{name!r} lies outside of the folder")
    except FileNotFoundError:
        raise ArtefactError(f"nothing is stored: {path.name} is missing") from None
    except OSError as error:
        raise ArtefactError(f"{path.name} cannot be read: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtefactError(f"{path.name} is damaged ({type(error).__name__}: {error})") from error
    for name, sha256 in stored["files"].items():
        try:
            content = (folder / name).read_bytes()
        except OSError:
            raise ArtefactError(f"{name} is missing or cannot be read") from None
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ArtefactError(
                f"{name} was changed or damaged after it was stored: its SHA-256 is not that of {path.name}"
            )
    return stored


def write_recipe(folder: Path, recipe: Mapping, fingerprints: Mapping, seconds: float) -> None:
    """Write `recipe.json` beside the files of a finished search."""
    listed = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != RECIPE)
    stored = {
        "format": FORMAT,
        "recipe": recipe,
        "files": {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in listed
        },
        "rows": {value["sha256"]: value["row_codes"] for value in fingerprints.values()},
        "seconds": round(seconds, 1),
        "threads": THREADS,
        "versions": {
            "python": platform.python_version(),
            "keras": keras.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "keras-tuner": metadata.version("keras-tuner"),
            "machine": f"{platform.system()} {platform.machine()}",
        },
        "made": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    files.write_whole(folder / RECIPE, files.as_json(stored))


_made: set[tuple[Path, str]] = set()  # what COURSE_REFIT has done in this process
_kept: list[tempfile.TemporaryDirectory] = []  # results that could not be stored


def load_or_make(name: str, recipe: dict, fingerprints: Mapping, make) -> Path:
    """Return the folder of a stored result of this recipe, made now if it must be."""
    _check_name(name)
    folder = tuning_folder() / name
    refit = artefacts.switched_on("COURSE_REFIT")
    strict = artefacts.switched_on("COURSE_STRICT") and not refit
    done = (folder.absolute(), recipes.content_hash(recipe))
    refit = refit and done not in _made
    reasons = ["COURSE_REFIT is set"]
    if not refit:
        reasons = reasons_against(folder, recipe, fingerprints)
        if not reasons:
            return folder
        if strict:
            listed = "".join(f"\n  - {reason}" for reason in reasons)
            raise ArtefactError(
                f"COURSE_STRICT is set, and '{name}' in {folder} is not what the code makes:"
                f"{listed}\nMake it again with `make train` (or run the lecture without "
                "COURSE_STRICT), or undo the change."
            )
    with files.locked(artefacts.cache_folder(), f"tuning-{name}") as locked:
        if locked and not refit:
            # Another process may have made it while this one waited.
            reasons = reasons_against(folder, recipe, fingerprints)
            if not reasons:
                return folder
        artefacts._say(
            f"Refused: stored '{name}'. Running it: " + "; ".join(reasons) + "."
            if folder.exists()
            else f"Running '{name}': " + "; ".join(reasons) + "."
        )
        blocked = files.why_not_writable(folder.parent)
        if blocked and refit:
            raise ArtefactError(
                f"COURSE_REFIT is set, but {folder.parent} cannot be written: {blocked}. "
                "Make the folder writable or set COURSE_CACHE to another one."
            )
        if blocked:
            artefacts.warn(
                f"{folder.parent} cannot be written ({blocked}): '{name}' will be made, but not "
                "stored. Make the folder writable or set COURSE_CACHE to another one."
            )
            _kept.append(tempfile.TemporaryDirectory(prefix="course-tuning-"))
            made = Path(_kept[-1].name) / name
            _make_in(made, recipe, fingerprints, make)
            return made
        # Beside the result, so that the last step is a renaming.
        work = artefacts.cache_folder() / f".tuning-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        try:
            _make_in(work / name, recipe, fingerprints, make)
            files.replace_folder(work / name, folder)
        except KeyboardInterrupt:
            artefacts._say(f"Interrupted: '{name}' was not stored; what was stored is unchanged.")
            raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
        if refit:
            _made.add(done)
    return folder


def _make_in(folder: Path, recipe: dict, fingerprints: Mapping, make) -> None:
    folder.mkdir(parents=True)
    started = time.perf_counter()
    make(folder)
    write_recipe(folder, recipe, fingerprints, time.perf_counter() - started)


def reasons_against(folder: Path, recipe: dict, fingerprints: Mapping) -> list[str]:
    """Say in words why what `folder` holds is not of this recipe; an empty list if it is."""
    try:
        stored = stored_recipe(folder)
    except ArtefactError as error:
        return [str(error)]
    reasons = search_differences(stored["recipe"], recipe, stored["rows"], fingerprints)
    if not reasons and stored["recipe"] != recipe:
        reasons = ["the recipe"]
    return reasons


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"name {name!r}: use lower-case letters, digits and underscores only")


def keep_best_weights(folder: Path, tuner: keras_tuner.Tuner) -> None:
    """Drop the weights of all trials but the best: they can be made again, and are the bulk."""
    best = tuner.oracle.get_best_trials(1)
    if not best or best[0].status != "COMPLETED":
        raise RuntimeError(f"no trial of the search in {folder} came to its end")
    for path in folder.glob("trial_*/*"):
        if path.name != "trial.json" and path.parent.name != f"trial_{best[0].trial_id}":
            path.unlink()


def reload(search: Search, directory: Path) -> keras_tuner.Tuner:
    """Return the tuner of a search that ran in `directory`, with its trials."""
    # A relative path: KerasTuner prints it, and a page should not name somebody's disk.
    with contextlib.suppress(ValueError):
        directory = Path(os.path.relpath(directory))
    with contextlib.redirect_stdout(None):
        return search.make_tuner(directory)


# --- what runs inside a search -----------------------------------------------------------------


class _Seeded(keras_tuner.HyperModel):
    """Sets Keras's random seed before each build, so that a trial depends on itself only.

    Where a trial is fitted several times (`executions_per_trial`) each time has its own seed.
    """

    def __init__(self, build_model, seed: int):
        super().__init__()
        self.build_model, self.seed, self.builds = build_model, seed, 0

    def build(self, hp):
        keras.utils.set_random_seed(self.seed + self.builds)
        self.builds += 1
        return self.build_model(hp)


class _Reporting:
    """Mixed into KerasTuner's tuner: calls `report` after each trial, says why one failed."""

    report: Callable[[], None] | None = None
    signs: Any = None  # a worker's signs of life to its chief

    def on_trial_begin(self, trial):
        super().on_trial_begin(trial)
        self.hypermodel.builds = 0
        if self.signs is not None:
            self.signs.trial_id = trial.trial_id

    def on_epoch_end(self, trial, model, epoch, logs=None):
        super().on_epoch_end(trial, model, epoch, logs)
        if self.signs is not None and self.signs.lost:
            raise keras_tuner.errors.FatalError("the chief does not answer")

    def on_trial_end(self, trial):
        if trial.message:
            artefacts._say(f"Trial {trial.trial_id} failed:\n{trial.message}")
        super().on_trial_end(trial)
        if self.signs is not None:
            self.signs.trial_id = None
        if self.report is not None:
            self.report()


def _show(bar: tqdm, oracle) -> None:
    best = oracle.get_best_trials(1)
    if best and best[0].score is not None:
        bar.set_postfix_str(f"best {oracle.objective.name} {best[0].score:.4f}", refresh=False)
    bar.update(len(oracle.end_order) - bar.n)


class _BestWeights(keras.callbacks.Callback):
    """Keeps the weights of the epoch with the best objective, as KerasTuner does in a trial."""

    def __init__(self, objective):
        super().__init__()
        self.objective, self.best, self.weights = objective, None, None

    def on_epoch_end(self, epoch, logs=None):
        value = self.objective.get_value(logs)
        if self.best is None or self.objective.better_than(value, self.best):
            self.best, self.weights = value, self.model.get_weights()


@contextlib.contextmanager
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _without_chief():
    """Hide KerasTuner's variables for chief and workers: this process searches on its own."""
    names = [name for name in os.environ if name.startswith("KERASTUNER_")]
    hidden = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(hidden)

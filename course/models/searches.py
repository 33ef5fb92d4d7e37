"""Hyperparameter searches that know their recipe, and tables of scores over several seeds.

KerasTuner reloads a project directory that lies where it was told to work, whatever was changed since.
`search_or_load` asks first. Searches are artefacts as models are; their files lie in `cache/tuning/<name>/`.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from course.models import fitting
from course.models.ingredients import describe, fingerprints, model_recipe
from course.results import progress
from course.store import artefacts, recipes

import keras
import keras_tuner
import numpy as np
import pandas as pd
from keras.callbacks import EarlyStopping
from sklearn.exceptions import ConvergenceWarning

# These networks are so small that a second thread costs more than it gives. With one thread a trial also
# comes out the same in a worker process beside others.
THREADS = 1
EVALUATE = 8192  # rows at a time when a network is only evaluated: that changes no result


class Data(NamedTuple):
    """Training and validation data: `X` (n, ...), `y` (n, ...), `X_val`, `y_val`."""

    X: np.ndarray
    y: np.ndarray
    X_val: np.ndarray
    y_val: np.ndarray


@dataclass(frozen=True)
class Search:
    """All that a search is made of: `options` are the tuner's, `epochs` to `callbacks` those of each `fit`.

    The name, of lower-case letters, digits and underscores, is that of its directory. The code of `data`, and
    the `course` functions it uses, are ingredients. `seed` draws the hyperparameters. Every trial's weights
    and batches start from it as well, so a trial comes out the same in whatever process, and after whatever
    other trials.
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

    def make_tuner(self, directory: Path, alone: bool = True) -> keras_tuner.Tuner:
        """Return KerasTuner's tuner, working in `directory`/<name>; it reloads what lies there.

        `alone`: whatever KerasTuner's variables for chief and workers say, this process searches on its own.
        """
        with mock.patch.dict(os.environ):  # as it was, afterwards
            for key in [*os.environ] if alone else []:
                if key.startswith("KERASTUNER_"):
                    del os.environ[key]
            return type(self.tuner.__name__, (_Seeded, self.tuner), {"seed": self.seed})(
                self.build_model,
                objective=self.objective,
                max_trials=self.max_trials,
                seed=self.seed,
                directory=str(directory),
                project_name=self.name,
                **self.options,
            )

    def fit_options(self, data: Data) -> dict[str, Any]:
        """Return what `fit` is given in each trial, but for the callbacks."""
        given = {"x": data.X, "y": data.y, "validation_data": (data.X_val, data.y_val), "verbose": 0}
        sizes = {"batch_size": self.batch_size, "validation_batch_size": EVALUATE}
        return {**given, "epochs": self.epochs, **sizes}

    def run(self, tuner: keras_tuner.Tuner) -> None:
        """Run the trials that are still to do: KerasTuner's `search` on this search's data."""
        with fitting.fitting_threads(THREADS), warnings.catch_warnings():
            # Said of the Gaussian process after each trial, as long as they are few.
            warnings.filterwarnings("ignore", category=ConvergenceWarning)
            tuner.search(**self.fit_options(self.data()), callbacks=list(self.callbacks))


def search_or_load(search: Search) -> keras_tuner.Tuner:
    """Load the stored search if it was made with this very recipe; otherwise run and store it.

    Returns KerasTuner's tuner after the search. `results_summary`, `get_best_hyperparameters` and
    `get_best_models(1)` work on it; weights of the other trials are not kept. Keras's random seed is
    `search.seed` on return. Raises as `course.store.artefacts.load_or_make`; RuntimeError if no trial of the
    search came to an end.
    """

    def make(folder: Path) -> None:
        tuner = search.make_tuner(folder.parent)
        search.run(tuner)
        keep_best_weights(folder, tuner)

    try:
        recipe, rows = search_recipe(search)
        return reload(search, folder_or_make(search.name, make, recipe, rows).parent)
    finally:
        keras.utils.set_random_seed(search.seed)


def folder_or_make(name: str, make: Callable[[Path], None], recipe: Mapping[str, Any], rows: Mapping) -> Path:
    """Return the stored folder `tuning/<name>` of this recipe; `make(folder)` fills it if there is none."""

    def make_in(folder: Path) -> dict:
        inner = folder / "tuning" / name
        inner.mkdir(parents=True)
        make(inner)
        return {}

    return artefacts.load_or_make(name, recipe, make_in, lambda folder, entry: folder / "tuning" / name, rows)


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

    Each fit is that of a trial of `search`: same data, epochs, batch size and callbacks, and like KerasTuner
    it keeps the weights of the epoch with the best objective. `networks` are functions that build and
    compile, by a name to show; `score` takes truth and prediction, (n,), and its code is an ingredient.

    The table has one row for each network and seed: `network`, `seed`, `epochs`, `parameters`, `seconds`,
    and the score on each set. ArtefactError as `course.store.artefacts.load_or_make`.
    """
    data = search.data()
    recipe, rows = {}, {}
    for network, build in networks.items():
        each, rows = _fit_recipe(search, build, data, score)
        own = {"architecture", "starting weights", "optimiser", "loss", "metrics"}
        recipe |= {f"{key} of {network}" if key in own else key: value for key, value in each.items()}
    recipe |= {"seed": [int(seed) for seed in seeds]}
    recipe |= {f"set '{key}'": fitting.data_fingerprint(*pair) for key, pair in score_on.items()}

    def make(folder: Path) -> None:
        table = []
        jobs = [(network, seed) for network in networks for seed in seeds]
        for network, seed in progress(jobs, name, unit="fit"):
            row, predictions = _fit_once(search, networks[network], seed, data, score_on)
            scores = {key: score(y, predictions[key]) for key, (_, y) in score_on.items()}
            table.append({"network": network, "seed": seed, **row, **scores})
        pd.DataFrame(table).to_csv(folder / "scores.csv", index=False, lineterminator="\n")

    return pd.read_csv(folder_or_make(name, make, recipe, rows) / "scores.csv")


def _fit_once(search: Search, build: Callable, seed: int, data: Data, predict: Mapping) -> tuple[dict, dict]:
    """Fit a network as a trial of `search` does; return what is known of the fit, and its predictions."""
    started = time.perf_counter()
    with fitting.fitting_threads(THREADS):
        keras.utils.set_random_seed(seed)
        model = build()
        # It never stops anything: in the end it puts back the weights of the epoch with the best objective.
        best = EarlyStopping(search.objective, patience=search.epochs, restore_best_weights=True)
        callbacks = [*(fitting.fresh_copy(callback) for callback in search.callbacks), best]
        history = model.fit(**search.fit_options(data), callbacks=callbacks)
        predicted = {key: model.predict(X, batch_size=EVALUATE, verbose=0) for key, (X, _) in predict.items()}
    predictions = {key: each.ravel().astype("float64") for key, each in predicted.items()}
    about = {"epochs": len(history.epoch), "parameters": int(model.count_params())}
    return {**about, "seconds": round(time.perf_counter() - started, 1)}, predictions


def changes_since_stored(search: Search) -> list[str]:
    """Say in words why `search_or_load` would refuse what is stored; empty if it would not. Runs nothing."""
    return artefacts.changes_since_stored(search.name, *search_recipe(search))


def seconds_of(name: str) -> float:
    """Return how many seconds a stored search or table took to make; ArtefactError if there is none."""
    return artefacts.artefact_entry(name)["seconds"]


def trials_table(tuner: keras_tuner.Tuner) -> pd.DataFrame:
    """Return the finished trials of a search, in the order in which they were drawn, by trial.

    Columns: the hyperparameters (missing where a trial did not use one), `score` (the best value of the
    objective) and `epoch` (counted from 1, where it was reached).
    """
    rows = {}
    for trial in tuner.oracle.trials.values():
        if trial.status == "COMPLETED":
            hp = trial.hyperparameters
            values = {one.name: hp.values[one.name] for one in hp.space if hp.is_active(one)}
            rows[trial.trial_id] = {**values, "score": trial.score, "epoch": trial.best_step + 1}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("trial").sort_index()


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


# --- what runs inside a search, and its recipe -------------------------------------------------


def search_recipe(search: Search) -> tuple[dict[str, Any], dict[str, str]]:
    """Return every ingredient of a search, ready for JSON, and the row codes of its data."""
    with tempfile.TemporaryDirectory() as folder:
        # KerasTuner explores the space by building, also what lies behind conditions.
        space = search.make_tuner(Path(folder)).oracle.get_space().space

    def build() -> keras.Model:
        return search.build_model(keras_tuner.HyperParameters())

    recipe, rows = _fit_recipe(search, build, search.data())
    known = {"objective": search.objective, "max_trials": search.max_trials, **search.options}
    own = {
        # A list: hyperparameters are drawn one after the other from one stream of random numbers.
        "search space": [
            {"class": " if ".join([hp.name, *(f"{c.name} in {c.values}" for c in hp.conditions)])}
            | {"kind": type(hp).__name__}
            | {k: v for k, v in describe(hp.get_config()).items() if k not in {"name", "conditions"}}
            for hp in space
        ],
        "tuner": describe(search.tuner),
        "tuner options": describe(known),
        "code of build_model": recipes.code_of([search.build_model]),
    }
    return own | recipe, rows


def _fit_recipe(search: Search, build: Callable, data: Data, *code: Callable) -> tuple[dict, dict]:
    """What each fit of a search is made of, and the row codes of its data."""
    prints, rows = fingerprints({"train": data[:2], "validation": data[2:]})
    fixed = {key: getattr(search, key) for key in ("seed", "epochs", "batch_size", "callbacks")}
    return model_recipe(build, prints, **fixed, prepared_by=[search.data, *code]), rows


class _Seeded:
    """Mixed into KerasTuner's tuner: each trial depends on itself only, and is told of when it ends.

    Where a trial is fitted several times (`executions_per_trial`), each time has its own seed.
    """

    seed: int
    builds = 0

    def on_trial_begin(self, trial):
        super().on_trial_begin(trial)
        self.builds = 0

    def _build_hypermodel(self, hp):
        keras.utils.set_random_seed(self.seed + self.builds)
        self.builds += 1
        return super()._build_hypermodel(hp)

    def on_trial_end(self, trial):
        artefacts.say(f"  trial {trial.trial_id} of '{self.project_name}': {trial.message or 'done'}")
        super().on_trial_end(trial)

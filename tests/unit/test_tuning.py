"""Searches: stored with their recipe, refused when anything differs; the real claim counts."""

import dataclasses
import json
import shutil
import time

import course  # noqa: F401
from course.models import claims
from course.paths import CACHE
from course.store import artefacts
from course.store import searches as searching
from course.store.artefacts import ArtefactError
from course.store.searches import Data, Search, scores_or_load, search_or_load, seconds_of, trials_table

import keras
import keras_tuner
import numpy as np
import pandas as pd
import pytest
from keras.callbacks import EarlyStopping
from sklearn.metrics import mean_poisson_deviance


@pytest.fixture(autouse=True)
def own_settings(monkeypatch, tmp_path):
    for variable in (
        "COURSE_REFIT",
        "COURSE_STRICT",
        "COURSE_DATA",
        "KERASTUNER_TUNER_ID",
        "KERASTUNER_ORACLE_IP",
        "KERASTUNER_ORACLE_PORT",
    ):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(searching, "_made", set())


# --- a tiny search -----------------------------------------------------------------------------


def tiny_data():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(60, 3)).astype("float32")
    y = rng.poisson(np.exp(X[:, 0] / 2)).astype("float32")
    return Data(X[:40], y[:40], X[40:], y[40:])


def build_tiny(hp):
    neurons = hp.Choice("neurons", [2, 3, 4, 5])
    rate = hp.Float("rate", 1e-3, 1e-1, sampling="log")
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(neurons, activation="relu"),
            keras.layers.Dense(1, activation="exponential"),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(rate), loss="poisson")
    return model


TINY = Search(
    "tiny",
    keras_tuner.RandomSearch,
    build_tiny,
    tiny_data,
    objective="val_loss",
    max_trials=2,
    seed=5,
    epochs=2,
    batch_size=20,
    callbacks=[EarlyStopping(patience=1)],
)


def changed(**changes):
    return dataclasses.replace(TINY, **changes)


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_CACHE", str(folder))
        for variable in ("COURSE_REFIT", "COURSE_STRICT"):
            patch.delenv(variable, raising=False)
        search_or_load(TINY)
    return folder / "tuning"


@pytest.fixture
def stored(made_once):
    shutil.copytree(made_once, searching.tuning_folder())
    return search_or_load(TINY)


def refused(search, monkeypatch):
    """The reasons that strict mode gives against the stored search."""
    monkeypatch.setenv("COURSE_STRICT", "1")
    with pytest.raises(ArtefactError) as caught:
        search_or_load(search)
    return str(caught.value)


def test_a_search_runs_once_and_is_then_reloaded(stored, monkeypatch):
    monkeypatch.setenv("COURSE_STRICT", "1")  # a second run would be an error
    again = search_or_load(TINY)
    pd.testing.assert_frame_equal(trials_table(again), trials_table(stored))
    assert len(trials_table(again)) == 2
    best = again.get_best_hyperparameters(1)[0].values
    table = trials_table(again)
    assert best["neurons"] == table.loc[table["score"].idxmin(), "neurons"]
    assert seconds_of("tiny") > 0
    # what is printed names no disk of ours
    assert not again.directory.startswith("/") or artefacts.os.name == "nt"


def test_the_best_models_weights_are_kept_and_score_what_the_trial_says(stored):
    data = tiny_data()
    model = stored.get_best_models(1)[0]
    loss = model.evaluate(data.X_val, data.y_val, verbose=0)
    assert loss == pytest.approx(trials_table(stored)["score"].min(), rel=1e-5)
    folder = searching.tuning_folder() / "tiny"
    assert len(list(folder.glob("trial_*/checkpoint.weights.h5"))) == 1
    assert len(list(folder.glob("trial_*/trial.json"))) == 2


def test_a_trial_depends_on_itself_only(stored, tmp_path):
    """Plain Keras from the search's seed gives the score of any trial, also of the second."""
    data = tiny_data()
    trial = list(stored.oracle.trials.values())[1]
    with searching._one_thread():
        keras.utils.set_random_seed(TINY.seed)
        model = build_tiny(trial.hyperparameters)
        history = model.fit(
            data.X,
            data.y,
            validation_data=(data.X_val, data.y_val),
            epochs=2,
            batch_size=20,
            callbacks=[EarlyStopping(patience=1)],
            verbose=0,
        )
    assert min(history.history["val_loss"]) == pytest.approx(trial.score, rel=1e-6)


def test_executions_of_a_trial_have_seeds_of_their_own(tmp_path):
    search = changed(options={"executions_per_trial": 2}, max_trials=1)
    seen = []

    def build(hp):
        model = build_tiny(hp)
        seen.append(model.get_weights()[0])
        return model

    tuner = dataclasses.replace(search, build_model=build).make_tuner(tmp_path)
    seen.clear()
    search.run(tuner)
    assert len(seen) == 2 and not np.array_equal(seen[0], seen[1])


def other_values(hp):
    neurons = hp.Choice("neurons", [2, 3, 4, 6])
    rate = hp.Float("rate", 1e-3, 1e-1, sampling="log")
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(neurons, activation="relu"),
            keras.layers.Dense(1, activation="exponential"),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(rate), loss="poisson")
    return model


def other_names(hp):
    neurons = hp.Choice("neurons", [2, 3, 4, 5])
    rate = hp.Float("step_size", 1e-3, 1e-1, sampling="log")
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(neurons, activation="relu"),
            keras.layers.Dense(1, activation="exponential"),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(rate), loss="poisson")
    return model


def other_behind_a_condition(hp):
    """Equal at the defaults: 2 neurons in both."""
    neurons = hp.Choice("neurons", [2, 3, 4, 5])
    rate = hp.Float("rate", 1e-3, 1e-1, sampling="log")
    activation = "relu" if neurons == 2 else "tanh"
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(neurons, activation=activation),
            keras.layers.Dense(1, activation="exponential"),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(rate), loss="poisson")
    return model


def other_architecture(hp):
    neurons = hp.Choice("neurons", [2, 3, 4, 5])
    rate = hp.Float("rate", 1e-3, 1e-1, sampling="log")
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(neurons, activation="tanh"),
            keras.layers.Dense(1, activation="exponential"),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(rate), loss="poisson")
    return model


def one_visit_more():
    data = tiny_data()
    data.y[7] += 1
    return data


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"build_model": other_values}, ["hyperparameter 'neurons'", "[2, 3, 4, 5] → [2, 3, 4, 6]"]),
        (
            {"build_model": other_names},
            ["hyperparameter 'step_size' is new", "hyperparameter 'rate' is gone"],
        ),
        ({"build_model": other_architecture}, ["architecture", "relu → tanh"]),
        ({"build_model": other_behind_a_condition}, ["code of build_model"]),
        ({"data": one_visit_more}, ["training data: 1 of 40 rows differ (in their targets)"]),
        ({"seed": 6}, ["seed 5 → 6"]),
        ({"max_trials": 3}, ["max_trials 2 → 3"]),
        ({"objective": "loss"}, ["objective val_loss → loss"]),
        ({"options": {"executions_per_trial": 2}}, ["executions_per_trial"]),
        ({"tuner": keras_tuner.BayesianOptimization}, ["RandomSearch → BayesianOptimization"]),
        ({"epochs": 3}, ["epochs 2 → 3"]),
        ({"batch_size": 10}, ["batch size 20 → 10"]),
        ({"callbacks": [EarlyStopping(patience=2)]}, ["callbacks", "patience 1 → 2"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_changed_search_is_refused_and_the_change_named(stored, monkeypatch, changes, words):
    message = refused(changed(**changes), monkeypatch)
    for word in words:
        assert word in message, message
    assert "COURSE_STRICT" in message and "make train" in message


def test_an_empty_cache_is_filled_and_says_so(capfd):
    search_or_load(TINY)
    assert "nothing is stored" in capfd.readouterr().err


def test_without_strict_a_changed_search_runs_anew_and_says_why(stored, capfd):
    tuner = search_or_load(changed(seed=6))
    assert "seed 5 → 6" in capfd.readouterr().err
    assert tuner.oracle.seed == 6
    search_or_load(changed(seed=6))
    assert "Running" not in capfd.readouterr().err


def test_kerastuner_itself_reloads_whatever_changed(stored, tmp_path):
    """What this module is for. If this fails, KerasTuner has learnt to refuse."""
    stale = keras_tuner.RandomSearch(
        other_values,
        objective="val_loss",
        max_trials=2,
        seed=99,
        directory=str(searching.tuning_folder()),
        project_name="tiny",
    )
    assert len(stale.oracle.trials) == 2
    assert stale.oracle.seed == TINY.seed
    assert stale.remaining_trials == 0


def test_refit_runs_anew_once_a_process(stored, monkeypatch, capfd):
    before = json.loads((searching.tuning_folder() / "tiny" / "recipe.json").read_text("utf-8"))
    monkeypatch.setenv("COURSE_REFIT", "1")
    search_or_load(TINY)
    errors = capfd.readouterr().err
    assert "COURSE_REFIT is set" in errors and "2/2" in errors  # progress
    search_or_load(TINY)
    assert "COURSE_REFIT" not in capfd.readouterr().err
    after = json.loads((searching.tuning_folder() / "tiny" / "recipe.json").read_text("utf-8"))
    assert before["recipe"] == after["recipe"]
    assert before["seconds"] != after["seconds"] or before["made"] != after["made"]


@pytest.mark.parametrize("file", ["oracle.json", "trial_0/trial.json", "recipe.json"])
def test_damaged_files_are_refused_by_name(stored, monkeypatch, file):
    path = searching.tuning_folder() / "tiny" / file
    path.write_text(path.read_text("utf-8")[:-40], "utf-8")
    assert file in refused(TINY, monkeypatch)


def test_missing_files_are_refused_by_name(stored, monkeypatch):
    (searching.tuning_folder() / "tiny" / "trial_1" / "trial.json").unlink()
    assert "trial_1/trial.json" in refused(TINY, monkeypatch)


def test_a_recipe_cannot_point_outside_of_its_folder(stored, monkeypatch):
    path = searching.tuning_folder() / "tiny" / "recipe.json"
    recipe = json.loads(path.read_text("utf-8"))
    recipe["files"]["../../secret"] = "0" * 64
    path.write_text(json.dumps(recipe), "utf-8")
    assert "outside" in refused(TINY, monkeypatch)


def test_an_interrupted_search_leaves_the_stored_one_as_it_was(stored, monkeypatch):
    folder = searching.tuning_folder() / "tiny"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def interrupt(self, tuner):
        raise KeyboardInterrupt

    monkeypatch.setattr(Search, "run", interrupt)
    with pytest.raises(KeyboardInterrupt):
        search_or_load(changed(seed=6))
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert before == after
    assert not list(artefacts.cache_folder().glob(".tuning-*-????????"))


def test_a_search_without_any_finished_trial_is_an_error_and_not_stored(capfd):
    def breaks(hp):
        model = build_tiny(hp)
        model.compile(optimizer="adam", loss=lambda y, p: 1 / 0)
        return model

    with pytest.raises(RuntimeError):
        search_or_load(changed(build_model=breaks, name="broken"))
    assert "ZeroDivisionError" in capfd.readouterr().err
    assert not (searching.tuning_folder() / "broken").exists()


def test_names_that_could_leave_the_folder_are_refused():
    with pytest.raises(ValueError, match="lower-case"):
        search_or_load(changed(name="../out"))


def test_an_unwritable_cache_gives_the_result_and_a_warning(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder", encoding="utf-8")
    monkeypatch.setenv("COURSE_CACHE", str(blocked / "cache"))
    with pytest.warns(artefacts.ArtefactWarning, match="not stored"):
        tuner = search_or_load(TINY)
    assert len(trials_table(tuner)) == 2


# --- tables of scores --------------------------------------------------------------------------


def networks():
    def small():
        return build_tiny(keras_tuner.HyperParameters())

    def wide():
        hp = keras_tuner.HyperParameters()
        hp.values["neurons"] = 5
        return build_tiny(hp)

    return {"small": small, "wide": wide}


def table(**changes):
    data = tiny_data()
    arguments = {
        "seeds": [1, 2],
        "score": mean_poisson_deviance,
        "score_on": {"validation": (data.X_val, data.y_val)},
    }
    networks_here = changes.pop("networks", networks())
    return scores_or_load("table", networks_here, TINY, **{**arguments, **changes})


def test_scores_are_those_of_plain_fits_and_kept(monkeypatch):
    scores = table()
    assert scores[["network", "seed"]].to_numpy().tolist() == [
        ["small", 1],
        ["small", 2],
        ["wide", 1],
        ["wide", 2],
    ]
    row, predictions = searching.fit_once(
        TINY, networks()["wide"], 2, tiny_data(), {"validation": tiny_data()[2:]}
    )
    expected = mean_poisson_deviance(tiny_data().y_val, predictions["validation"])
    assert scores.loc[3, "validation"] == pytest.approx(expected, rel=1e-6)
    assert scores.loc[3, "parameters"] == row["parameters"] == 3 * 5 + 5 + 5 + 1
    monkeypatch.setenv("COURSE_STRICT", "1")
    pd.testing.assert_frame_equal(table(), scores)


def test_the_weights_of_the_best_epoch_are_used():
    """Not of the last one: early stopping goes past the best."""
    search = changed(epochs=40, callbacks=[EarlyStopping(patience=3)])
    hp = keras_tuner.HyperParameters()
    hp.values["rate"] = 0.1
    data = tiny_data()
    row, predictions = searching.fit_once(
        search, lambda: build_tiny(hp), 1, data, {"validation": (data.X_val, data.y_val)}
    )
    with searching._one_thread():
        keras.utils.set_random_seed(1)
        losses = (
            build_tiny(hp)
            .fit(
                data.X,
                data.y,
                validation_data=(data.X_val, data.y_val),
                epochs=40,
                batch_size=20,
                callbacks=[EarlyStopping(patience=3)],
                verbose=0,
            )
            .history["val_loss"]
        )
    assert np.argmin(losses) < len(losses) - 1 == row["epochs"] - 1
    p = predictions["validation"]
    assert np.mean(p - data.y_val * np.log(p)) == pytest.approx(min(losses), rel=1e-4)


def test_changed_tables_are_refused_and_the_change_named(monkeypatch):
    table()
    data = tiny_data()
    monkeypatch.setenv("COURSE_STRICT", "1")

    def wider():
        hp = keras_tuner.HyperParameters()
        hp.values["neurons"] = 4
        return build_tiny(hp)

    for changes, word in [
        ({"seeds": [1, 2, 3]}, "seeds [1, 2] → [1, 2, 3]"),
        ({"score_on": {"validation": (data.X, data.y)}}, "'validation'"),
        ({"networks": {**networks(), "wide": wider}}, "network 'wide': architecture"),
        ({"networks": {"small": networks()["small"]}}, "network 'wide' is gone"),
        ({"score": lambda y, p: float(np.abs(y - p).mean())}, "preparation code"),
    ]:
        with pytest.raises(ArtefactError) as caught:
            table(**changes)
        assert word in str(caught.value)


# --- claims ------------------------------------------------------------------------------------


def test_claims_are_statsmodels_table_with_person_age_and_sex():
    from statsmodels.datasets import randhie

    frame = claims.load_claims()
    table = randhie.load_pandas().data
    assert len(frame) == len(table) == 20_190
    assert (frame["visits"].to_numpy() == table["mdvis"]).all()
    for ours, theirs in (("chronic_diseases", "disea"), ("log_coinsurance", "lncoins")):
        assert np.array_equal(frame[ours], table[theirs])
    assert not frame.isna().any().any()
    assert frame["age"].between(0, 66).all()
    assert frame["exposure"].between(0, 1, inclusive="right").all()
    # age grows by one a year within a person
    steps = frame.groupby("person")["age"].diff().dropna()
    assert (steps > 0).mean() > 0.99


def test_no_person_is_in_two_parts():
    frame = claims.load_claims()
    assert frame["person"].nunique() == 5_912
    assert (frame.groupby("person")["part"].nunique() == 1).all()
    shares = frame.drop_duplicates("person")["part"].value_counts(normalize=True)
    for part, share in claims.SHARES.items():
        assert shares[part] == pytest.approx(share, abs=1e-3)


def test_inputs_are_standardised_with_the_training_part_only():
    frame = claims.load_claims()
    inputs = claims.network_inputs(frame)
    assert inputs.shape == (20_190, 20) and inputs.dtype == np.float32
    train = inputs[(frame["part"] == "train").to_numpy()]
    assert np.abs(train[:, :14].mean(axis=0)).max() < 1e-4
    assert np.abs(train[:, :14].std(axis=0) - 1).max() < 1e-4
    assert (inputs[:, 14:].sum(axis=1) == 1).all()
    # a row's inputs do not depend on the rows beside it
    assert np.array_equal(claims.network_inputs(frame.iloc[[17]])[0], inputs[17])


def test_the_spaces_are_those_of_the_lecture():
    recipe = {
        name: searching.search_recipe(
            search, searching.data_fingerprints(Data(*(part[:5] for part in search.data())))
        )
        for name, search in (("one", claims.one_layer()), ("layers", claims.layers()))
    }
    one = recipe["one"]["search space"]
    assert one["neurons"]["values"] == [4, 8, 16, 32, 64, 128, 256]
    assert one["activation"]["values"] == ["relu", "leaky_relu", "tanh"]
    assert one["learning_rate"]["sampling"] == "log"
    assert (one["learning_rate"]["min_value"], one["learning_rate"]["max_value"]) == (1e-4, 1e-2)
    layers = recipe["layers"]["search space"]
    assert (layers["layers"]["min_value"], layers["layers"]["max_value"]) == (1, 3)
    widths = [value for name, value in layers.items() if name.startswith("neurons_")]
    assert len(widths) == 3 and all(one["values"] == [8, 16, 32, 64] for one in widths)
    assert recipe["layers"]["optimiser"]["learning_rate"] == 0.0005
    for each in recipe.values():
        assert each["loss"] == "poisson" and each["tuner options"]["max_trials"] == 10
        assert each["architecture"]["layers"][-1]["activation"] == "exponential"
        assert each["callbacks"][0]["class"] == "EarlyStopping"
        assert each["callbacks"][0]["patience"] == 3


# --- what the repository ships -----------------------------------------------------------------


@pytest.fixture
def shipped(monkeypatch):
    monkeypatch.delenv("COURSE_CACHE")
    monkeypatch.setenv("COURSE_STRICT", "1")


@pytest.mark.parametrize("make", [claims.one_layer, claims.layers])
def test_shipped_searches_match_their_recipe_and_reload_in_two_seconds(shipped, make):
    search = make()
    started = time.perf_counter()
    tuner = search_or_load(search)
    seconds = time.perf_counter() - started
    trials = trials_table(tuner)
    assert len(trials) == search.max_trials == 10
    assert seconds < 2, f"{seconds:.1f} s"
    # the stored weights score what the best trial says
    data = search.data()
    loss = tuner.get_best_models(1)[0].evaluate(data.X_val, data.y_val, batch_size=8192, verbose=0)
    assert loss == pytest.approx(trials["score"].min(), rel=1e-4)


def test_a_shipped_trial_can_be_made_again(shipped):
    """The one that took the fewest epochs, from nothing."""
    search = claims.one_layer()
    tuner = search_or_load(search)
    trial = min(tuner.oracle.trials.values(), key=lambda one: one.best_step)
    data = search.data()
    _, predictions = searching.fit_once(
        search,
        lambda: claims.build_model(trial.hyperparameters),
        search.seed,
        data,
        {"validation": (data.X_val, data.y_val)},
    )
    p, y = predictions["validation"], data.y_val
    assert np.mean(p - y * np.log(p)) == pytest.approx(trial.score, abs=2e-3)


def test_shipped_tuning_is_small():
    sizes = [path.stat().st_size for path in (CACHE / "tuning").rglob("*") if path.is_file()]
    assert 0 < sum(sizes) < 1_000_000

"""Searches: stored with their recipe, refused when anything differs; the real claim counts."""

import dataclasses
import os
import shutil
import time

import course  # noqa: F401
from course.models import claims, fitting
from course.models import searches as searching
from course.models.searches import Data, Search, scores_or_load, search_or_load, seconds_of, trials_table
from course.store.artefacts import ArtefactError

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
        "COURSE_NOTEBOOK",
        "KERASTUNER_TUNER_ID",
        "KERASTUNER_ORACLE_IP",
        "KERASTUNER_ORACLE_PORT",
    ):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache" / "tuning" / "tiny"


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
    return folder


@pytest.fixture
def stored(made_once, tmp_path):
    shutil.copytree(made_once, tmp_path / "cache")
    return search_or_load(TINY)


def refused(search, monkeypatch):
    """The reasons that strict mode gives against the stored search."""
    with monkeypatch.context() as strict, pytest.raises(ArtefactError) as caught:
        strict.setenv("COURSE_STRICT", "1")
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
    assert not again.directory.startswith("/") or os.name == "nt"


def test_the_best_models_weights_are_kept_and_score_what_the_trial_says(stored, folder):
    data = tiny_data()
    model = stored.get_best_models(1)[0]
    loss = model.evaluate(data.X_val, data.y_val, verbose=0)
    assert loss == pytest.approx(trials_table(stored)["score"].min(), rel=1e-5)
    assert len(list(folder.glob("trial_*/checkpoint.weights.h5"))) == 1
    assert len(list(folder.glob("trial_*/trial.json"))) == 2


def test_a_trial_depends_on_itself_only(stored):
    """Plain Keras from the search's seed gives the score of any trial, also of the second."""
    data = tiny_data()
    trial = list(stored.oracle.trials.values())[1]
    with fitting.fitting_threads(searching.THREADS):
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


def build_other(values=(2, 3, 4, 5), name="rate", activation="relu", wide="relu"):
    def build(hp):
        neurons = hp.Choice("neurons", list(values))
        rate = hp.Float(name, 1e-3, 1e-1, sampling="log")
        kind = activation if neurons == 2 else wide  # 2 is what the recipe's network is built with
        layers = [
            keras.layers.Dense(neurons, activation=kind),
            keras.layers.Dense(1, activation="exponential"),
        ]
        model = keras.Sequential([keras.Input((3,)), *layers])
        model.compile(optimizer=keras.optimizers.Adam(rate), loss="poisson")
        return model

    return build


def one_visit_more():
    data = tiny_data()
    data.y[7] += 1
    return data


@pytest.mark.parametrize(
    "changes, words",
    [
        (
            {"build_model": build_other(values=(2, 3, 4, 6))},
            ["search space: 1 (neurons) values", "[2, 3, 4, 6]"],
        ),
        ({"build_model": build_other(name="step_size")}, ["search space: 2 rate → step_size"]),
        ({"build_model": build_other(activation="tanh", wide="tanh")}, ["architecture", "relu → tanh"]),
        ({"build_model": build_other(wide="tanh")}, ["code of build_model: wide changed"]),
        ({"data": one_visit_more}, ["training data: 1 of 40 rows differ (in their targets)"]),
        ({"seed": 6}, ["seed: 5 → 6"]),
        ({"max_trials": 3}, ["max_trials 2 → 3"]),
        ({"objective": "loss"}, ["objective val_loss → loss"]),
        ({"options": {"executions_per_trial": 2}}, ["executions_per_trial none → 2"]),
        ({"tuner": keras_tuner.BayesianOptimization}, ["RandomSearch → keras_tuner.BayesianOptimization"]),
        ({"epochs": 3}, ["epochs: 2 → 3"]),
        ({"batch_size": 10}, ["batch size: 20 → 10"]),
        ({"callbacks": [EarlyStopping(patience=2)]}, ["callbacks", "patience 1 → 2"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_changed_search_is_refused_and_the_change_named(stored, monkeypatch, changes, words):
    search = TINY
    if "build_model" in changes:
        search = changed(build_model=build_other())
        monkeypatch.setattr(Search, "run", lambda self, tuner: None)
        monkeypatch.setattr(searching, "keep_best_weights", lambda folder, tuner: None)
        search_or_load(search)
    message = refused(dataclasses.replace(search, **changes), monkeypatch)
    for word in words:
        assert word in message, message
    assert "COURSE_STRICT" in message and "make train" in message
    reasons = searching.changes_since_stored(dataclasses.replace(search, **changes))
    assert reasons and all(reason in message for reason in reasons)
    assert searching.changes_since_stored(search) == []


def test_without_strict_a_changed_search_runs_anew_and_says_why(stored, capfd):
    tuner = search_or_load(changed(seed=6))
    errors = capfd.readouterr().err
    assert "seed: 5 → 6" in errors and "trial 1 of 'tiny': done" in errors
    assert tuner.oracle.seed == 6


def test_kerastuner_itself_reloads_whatever_changed(stored, folder):
    """What this module is for. If this fails, KerasTuner has learnt to refuse."""
    stale = keras_tuner.RandomSearch(
        build_other(values=(2, 3, 4, 6)),
        objective="val_loss",
        max_trials=2,
        seed=99,
        directory=str(folder.parent),
        project_name="tiny",
    )
    assert len(stale.oracle.trials) == 2
    assert stale.oracle.seed == TINY.seed
    assert stale.remaining_trials == 0


def test_a_search_without_any_finished_trial_is_an_error_and_not_stored(capfd, folder):
    def breaks(hp):
        model = build_tiny(hp)
        model.compile(optimizer="adam", loss=lambda y, p: 1 / 0)
        return model

    with pytest.raises(RuntimeError):
        search_or_load(changed(build_model=breaks, name="broken"))
    assert "ZeroDivisionError" in capfd.readouterr().err
    assert not (folder.parent / "broken").exists()


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
    row, predictions = searching._fit_once(
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
    row, predictions = searching._fit_once(
        search, lambda: build_tiny(hp), 1, data, {"validation": (data.X_val, data.y_val)}
    )
    with fitting.fitting_threads(searching.THREADS):
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
        ({"seeds": [1, 2, 3]}, "seed: [1, 2] → [1, 2, 3]"),
        ({"score_on": {"validation": (data.X, data.y)}}, "set 'validation'"),
        ({"networks": {**networks(), "wide": wider}}, "architecture of wide"),
        ({"networks": {"small": networks()["small"]}}, "architecture of wide: Sequential → none"),
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
        name: searching.search_recipe(search)[0]
        for name, search in (("one", claims.one_layer()), ("layers", claims.layers()))
    }
    one = {each["class"]: each for each in recipe["one"]["search space"]}
    assert one["neurons"]["values"] == [4, 8, 16, 32, 64, 128, 256]
    assert one["activation"]["values"] == ["relu", "leaky_relu", "tanh"]
    assert one["learning_rate"]["sampling"] == "log"
    assert (one["learning_rate"]["min_value"], one["learning_rate"]["max_value"]) == (1e-4, 1e-2)
    layers = {each["class"]: each for each in recipe["layers"]["search space"]}
    assert (layers["layers"]["min_value"], layers["layers"]["max_value"]) == (1, 3)
    widths = [value for name, value in layers.items() if name.startswith("neurons_")]
    assert len(widths) == 3 and all(each["values"] == [8, 16, 32, 64] for each in widths)
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
    started = time.process_time()
    tuner = search_or_load(search)
    assert time.process_time() - started < 2
    assert len(trials_table(tuner)) == search.max_trials == 10


def test_a_shipped_trial_can_be_made_again(shipped):
    """The one that took the fewest epochs, from nothing."""
    search = claims.one_layer()
    tuner = search_or_load(search)
    trial = min(tuner.oracle.trials.values(), key=lambda one: one.best_step)
    data = search.data()
    _, predictions = searching._fit_once(
        search,
        lambda: claims.build_model(trial.hyperparameters),
        search.seed,
        data,
        {"validation": (data.X_val, data.y_val)},
    )
    p, y = predictions["validation"], data.y_val
    assert np.mean(p - y * np.log(p)) == pytest.approx(trial.score, abs=2e-3)

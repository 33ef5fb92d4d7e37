"""Real claim counts, and the networks and searches that lecture 5 tunes on them.

Worker processes of a distributed search import the very same definitions as the lecture.

The data come from the RAND Health Insurance Experiment (United States, 1974 to 1982), which
assigned families to health insurance plans at random. statsmodels ships them, in the public domain:
a table, and, row for row, the file it was cut from, which also holds who each person is, age and sex.
"""

from __future__ import annotations

import functools
from importlib import resources

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)
from course.models.searches import Data, Search

import keras
import keras_tuner
import numpy as np
import pandas as pd
from keras.callbacks import EarlyStopping
from keras.layers import Dense, Input

# Columns of statsmodels' table, and what this course calls them.
_TABLE = {
    "mdvis": "visits", "lncoins": "log_coinsurance", "idp": "individual_deductible", "lpi": "log_incentive",
    "fmde": "log_maximum_expenditure", "physlm": "physical_limitation", "disea": "chronic_diseases",
    "hlthg": "health_good", "hlthf": "health_fair", "hlthp": "health_poor",
}

# Columns of the file that the table was cut from. It also has "black", on which no insurer may
# rate, and the year's expenses, which nobody knows before the year is over.
_FILE = {
    "zper": "person", "time": "exposure", "xage": "age", "female": "female", "lfam": "log_family_size",
    "linc": "log_income", "educdec": "education", "site": "site",
}

NUMBERS = [
    "log_coinsurance", "individual_deductible", "log_incentive", "log_maximum_expenditure",
    "physical_limitation", "chronic_diseases", "health_good", "health_fair", "health_poor",
    "age", "female", "log_family_size", "log_income", "education",
]
SITES = [1, 2, 3, 4, 5, 6]
SPLIT_SEED = 123
SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}


# --- data --------------------------------------------------------------------------------------


@functools.cache
def load_claims() -> pd.DataFrame:
    """Return the claim counts, one row for each person and year: 20,190 rows of 5,912 people.

    Columns: `visits` (int, outpatient visits to a doctor in the year, what is to be predicted), `person`
    (int, an identifier), `exposure` (float, the share of the year that the person was insured), `site` (int,
    1 to 6), `part` ("train", "validation" or "test", the same for all years of a person) and the 14 rating
    factors named in `NUMBERS`: amounts as logarithms of dollars or of per cent, `age` in years, `education`
    of the family's decision maker in years (where it is missing, the median of the training part),
    `chronic_diseases` as the study's index, the rest 0 or 1. Health is what the person said of it; excellent
    is the level left out. Each call returns the same frame: do not change it.
    """
    from statsmodels.datasets import randhie

    table = randhie.load_pandas().data.rename(columns=_TABLE)
    source = resources.files("statsmodels.datasets.randhie") / "src" / "randhie.csv"
    with source.open(encoding="utf-8") as file:
        full = pd.read_csv(file, usecols=[*_FILE, "mdvis"])
    if not full["mdvis"].equals(table["visits"]):
        raise RuntimeError("statsmodels' randhie files differ: install the version of requirements.txt")
    claims = table.join(full[list(_FILE)].rename(columns=_FILE))
    claims["part"] = split_by_person(claims["person"])
    typical = claims.loc[claims["part"] == "train", "education"].median()
    claims["education"] = claims["education"].fillna(typical)
    return claims.astype(dict.fromkeys(["visits", "person", "female", "site"], int))


def split_by_person(person: pd.Series) -> pd.Series:
    """The part of each row: people, not rows, are put into one at random, in the `SHARES`."""
    people = np.random.default_rng(SPLIT_SEED).permutation(np.unique(person))
    borders = np.rint(np.cumsum(list(SHARES.values())) * len(people)).astype(int)
    part = {}
    for name, some in zip(SHARES, np.split(people, borders[:-1]), strict=True):
        part |= dict.fromkeys(some.tolist(), name)
    return person.map(part).rename("part")


def network_inputs(claims: pd.DataFrame) -> np.ndarray:
    """Turn rows of `load_claims()` into a network's inputs: shape (rows, 20), float32.

    The 14 numbers are standardised with mean and standard deviation of the *training* part, and
    the site becomes six columns of 0 and 1.
    """
    train = load_claims().query("part == 'train'")[NUMBERS]
    numbers = (claims[NUMBERS] - train.mean()) / train.std(ddof=0)
    sites = claims["site"].to_numpy()[:, np.newaxis] == np.array(SITES)
    return np.column_stack([numbers, sites]).astype("float32")


def claim_data() -> Data:
    """Return what the searches learn from: inputs and visits of training and validation part."""
    claims = load_claims()
    arrays = []
    for part in ("train", "validation"):
        rows = claims[claims["part"] == part]
        arrays += [network_inputs(rows), rows["visits"].to_numpy("float32")]
    return Data(*arrays)


# --- networks ----------------------------------------------------------------------------------


def build_default():
    """What you would write without tuning: 32 neurons, relu, Adam as it comes."""
    model = keras.Sequential([
        Input((len(NUMBERS) + len(SITES),)),
        Dense(32, activation="relu"),
        Dense(1, activation="exponential"),
    ])
    model.compile(optimizer="adam", loss="poisson")
    return model


def build_model(hp):
    """One hidden layer: its width, its activation and the learning rate are open."""
    neurons = hp.Choice("neurons", [4, 8, 16, 32, 64, 128, 256])
    activation = hp.Choice("activation", ["relu", "leaky_relu", "tanh"])
    learning_rate = hp.Float("learning_rate", 1e-4, 1e-2, sampling="log")

    model = keras.Sequential([
        Input((len(NUMBERS) + len(SITES),)),
        Dense(neurons, activation=activation),
        Dense(1, activation="exponential"),
    ])
    model.compile(optimizer=keras.optimizers.Adam(learning_rate), loss="poisson")
    return model


def build_layers(hp):
    """One to three hidden layers, each with a width of its own."""
    layers = hp.Int("layers", 1, 3)
    model = keras.Sequential([Input((len(NUMBERS) + len(SITES),))])
    for i in range(1, 4):
        with hp.conditional_scope("layers", list(range(i, 4))):
            neurons = hp.Choice(f"neurons_{i}", [8, 16, 32, 64])
        if i <= layers:
            model.add(Dense(neurons, activation="relu"))
    model.add(Dense(1, activation="exponential"))
    model.compile(optimizer=keras.optimizers.Adam(0.0005), loss="poisson")
    return model


# --- searches ----------------------------------------------------------------------------------


def one_layer() -> Search:
    """Ten random draws of width, activation and learning rate."""
    return Search(
        "one_layer", keras_tuner.RandomSearch, build_model, claim_data,
        objective="val_loss", max_trials=10, seed=123,
        epochs=100, batch_size=256, callbacks=[EarlyStopping(patience=3)])


def layers() -> Search:
    """Four random draws of the layers, then six by Bayesian optimisation."""
    return Search(
        "layers", keras_tuner.BayesianOptimization, build_layers, claim_data,
        objective="val_loss", max_trials=10, seed=123,
        epochs=100, batch_size=256, callbacks=[EarlyStopping(patience=3)],
        options={"num_initial_points": 4})

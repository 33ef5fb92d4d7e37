"""Activation maximisation raises the response, and its stored patterns know their recipe."""

import functools

import course  # noqa: F401
from course.models import feature_patterns as module
from course.models import fitting

import keras
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def shipped_settings(monkeypatch):
    for variable in ("COURSE_CACHE", "COURSE_DATA", "COURSE_REFIT", "COURSE_STRICT"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def edges():
    """A model whose two channels look for ink below paper, and for ink right of paper."""
    model = keras.Sequential(
        [
            keras.Input((24, 20, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(2, 3, padding="same", activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )
    kernel = np.zeros((3, 3, 1, 2), "float32")
    kernel[0, :, 0, 0], kernel[2, :, 0, 0] = 1, -1
    kernel[:, 0, 0, 1], kernel[:, 2, 0, 1] = 1, -1
    model.layers[1].set_weights([kernel, np.zeros(2, "float32")])
    return model


def test_patterns_show_what_the_channels_look_for(edges):
    found = module.activation_maximisation(edges, edges.layers[1], [0, 1], seed=1, steps=80)
    assert found.shape == (2, 24, 20) and found.dtype == np.uint8
    inner = found[:, 4:-4, 4:-4].astype(float)
    down = np.abs(np.diff(inner, axis=1)).mean((1, 2))
    across = np.abs(np.diff(inner, axis=2)).mean((1, 2))
    assert down[0] > 2 * across[0], "the first channel looks for horizontal edges"
    assert across[1] > 2 * down[1], "the second channel looks for vertical edges"


def test_same_seed_same_pattern(edges):
    first, second, other = (
        module.activation_maximisation(edges, edges.layers[1], [0], seed=seed, steps=5) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


# --- the patterns of a stored model (that they know their recipe is shown in test_store.py) ------


def test_every_channel_and_classes_spread_evenly_have_a_pattern(edges, monkeypatch):
    short = functools.partial(module.activation_maximisation, steps=2)
    monkeypatch.setattr(module, "activation_maximisation", short)
    monkeypatch.setattr(module, "CLASSES_SHOWN", 2)
    monkeypatch.setattr(fitting, "load_artefact", lambda name: (edges, None))
    made = module._make({"name": "edges"})
    assert made["titles"].tolist() == ["conv 1", "classes"]
    assert made["units_0"].tolist() == [0, 1] and made["units_1"].tolist() == [0, 2]
    assert made["images_0"].shape == made["images_1"].shape == (2, 24, 20)


def test_shipped_patterns_belong_to_the_shipped_model_which_reads_them(monkeypatch):
    monkeypatch.setenv("COURSE_STRICT", "1")
    patterns = module.feature_patterns("cnn")
    for units, images in patterns.values():
        assert images.shape == (len(units), 80, 60) and images.dtype == np.uint8
    units, images = patterns["classes"]
    model, _ = fitting.load_artefact("cnn")
    noise = np.random.default_rng(0).integers(0, 256, (50, 80, 60))
    paper = np.full((1, 80, 60), 255)
    batch = np.concatenate([images, noise, paper])[..., np.newaxis]
    scores = model.predict(batch.astype("float32"), verbose=0)
    of_patterns, of_others = scores[: len(units), units], scores[len(units) :, units]
    assert (np.diag(of_patterns) > of_others.max(axis=0)).all()
    assert (scores[: len(units)].argmax(axis=1) == units).all(), "each is read as its class"

"""Activation maximisation raises the response, and its stored patterns know their recipe."""

import json

import course  # noqa: F401
from course.models import feature_patterns as feature_visualisation
from course.paths import CACHE
from course.store import artefacts

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
    found = feature_visualisation.activation_maximisation(edges, edges.layers[1], [0, 1], seed=1, steps=80)
    assert found.shape == (2, 24, 20) and found.dtype == np.uint8
    inner = found[:, 4:-4, 4:-4].astype(float)
    down = np.abs(np.diff(inner, axis=1)).mean((1, 2))
    across = np.abs(np.diff(inner, axis=2)).mean((1, 2))
    assert down[0] > 2 * across[0], "the first channel looks for horizontal edges"
    assert across[1] > 2 * down[1], "the second channel looks for vertical edges"


def test_each_class_prefers_its_stored_pattern_to_noise_and_paper():
    units, patterns = feature_visualisation.feature_patterns("cnn")["classes"]
    model, _ = artefacts.load_artefact("cnn")
    noise = np.random.default_rng(0).integers(0, 256, (50, *patterns.shape[1:]))
    paper = np.full((1, *patterns.shape[1:]), 255)
    batch = np.concatenate([patterns, noise, paper])[..., np.newaxis]
    scores = model.predict(batch.astype("float32"), verbose=0)
    of_patterns, of_others = scores[: len(units), units], scores[len(units) :, units]
    assert (np.diag(of_patterns) > of_others.max(axis=0)).all()
    assert (scores[: len(units)].argmax(axis=1) == units).all(), "each is read as its class"


def test_same_seed_same_pattern(edges):
    first, second, other = (
        feature_visualisation.activation_maximisation(edges, edges.layers[1], [0], seed=seed, steps=5)
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_wrong_arguments_are_named(edges):
    layer = edges.layers[1]
    with pytest.raises(ValueError, match=r"units 0 to 1, not \[2\]"):
        feature_visualisation.activation_maximisation(edges, layer, [0, 2], seed=1)
    with pytest.raises(ValueError, match="not none"):
        feature_visualisation.activation_maximisation(edges, layer, [], seed=1)
    with pytest.raises(ValueError, match="not 0"):
        feature_visualisation.activation_maximisation(edges, layer, [0], seed=1, steps=0)
    with pytest.raises(ValueError, match="not a layer of this model"):
        feature_visualisation.activation_maximisation(edges, keras.layers.Dense(2), [0], seed=1)
    colour = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)])
    with pytest.raises(ValueError, match="grey images"):
        feature_visualisation.activation_maximisation(colour, colour.layers[0], [0], seed=1)


# --- the stored file ---------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path, monkeypatch, edges):
    """A cache with a model's file and a stand-in for the manifest's entry; short searches."""
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    monkeypatch.setattr(feature_visualisation, "STEPS", 2)
    monkeypatch.setattr(feature_visualisation, "CLASSES_SHOWN", 2)
    monkeypatch.setattr(artefacts, "artefact_entry", lambda name: {"files": {}})
    monkeypatch.setattr(artefacts, "load_artefact", lambda name: (edges, None))
    (tmp_path / "cnn.keras").write_bytes(b"a model")
    return tmp_path


def forbid_making(monkeypatch):
    def fail(model):
        raise AssertionError("made again")

    monkeypatch.setattr(feature_visualisation, "_make", fail)


def test_patterns_are_stored_and_read_again(cache, monkeypatch):
    made = feature_visualisation.feature_patterns()
    assert list(made) == ["conv 1", "classes"]
    assert made["conv 1"][0] == [0, 1], "every channel"
    assert made["classes"][0] == [0, 2], "classes spread evenly"
    recipe = feature_visualisation._recipe("cnn")
    read, reasons = feature_visualisation._read(cache / feature_visualisation.FILE, recipe)
    assert reasons == []
    for title, (units, images) in made.items():
        assert read[title][0] == units
        assert np.array_equal(read[title][1], images)
    assert sorted(path.name for path in cache.iterdir()) == ["cnn.keras", "feature_patterns.npz"]


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda cache, patch: (cache / "cnn.keras").write_bytes(b"another"), "cnn.keras changed"),
        (lambda cache, patch: patch.setattr(feature_visualisation, "SEED", 5), "seed 123 → 5"),
        (lambda cache, patch: patch.setattr(feature_visualisation, "INK_PRICE", 0.5), "INK_PRICE"),
    ],
)
def test_each_ingredient_is_named_and_strict_fails(cache, monkeypatch, capsys, change, words):
    feature_visualisation.feature_patterns()
    stored = (cache / feature_visualisation.FILE).read_bytes()
    capsys.readouterr()
    change(cache, monkeypatch)
    monkeypatch.setenv("COURSE_STRICT", "1")
    with pytest.raises(artefacts.ArtefactError, match=words):
        feature_visualisation.feature_patterns()
    assert (cache / feature_visualisation.FILE).read_bytes() == stored
    monkeypatch.delenv("COURSE_STRICT")
    feature_visualisation.feature_patterns()
    assert words in capsys.readouterr().err
    monkeypatch.setenv("COURSE_STRICT", "1")
    feature_visualisation.feature_patterns()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"no archive"])
def test_a_damaged_file_is_made_again(cache, content):
    (cache / feature_visualisation.FILE).write_bytes(content)
    recipe = feature_visualisation._recipe("cnn")
    patterns, (reason,) = feature_visualisation._read(cache / feature_visualisation.FILE, recipe)
    assert patterns is None and "damaged" in reason
    assert list(feature_visualisation.feature_patterns()) == ["conv 1", "classes"]


def test_refit_makes_them_again(cache, monkeypatch, capsys):
    feature_visualisation.feature_patterns()
    monkeypatch.setenv("COURSE_REFIT", "1")
    monkeypatch.setenv("COURSE_STRICT", "1")
    capsys.readouterr()
    feature_visualisation.feature_patterns()
    assert "COURSE_REFIT is set" in capsys.readouterr().err


def test_a_failed_write_keeps_the_old_file(cache, monkeypatch):
    feature_visualisation.feature_patterns()
    stored = (cache / feature_visualisation.FILE).read_bytes()

    def fail(*arguments, **options):
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez_compressed", fail)
    monkeypatch.setenv("COURSE_REFIT", "1")
    assert list(feature_visualisation.feature_patterns()) == ["conv 1", "classes"]
    assert (cache / feature_visualisation.FILE).read_bytes() == stored
    assert not list(cache.glob(".*"))


def test_shipped_patterns_belong_to_the_shipped_model():
    recipe = feature_visualisation._recipe("cnn")
    patterns, reasons = feature_visualisation._read(CACHE / feature_visualisation.FILE, recipe)
    assert reasons == [], "make them again: make train"
    assert (
        recipe["model"]["sha256"]
        == json.loads((CACHE / artefacts.MANIFEST).read_text(encoding="utf-8"))["artefacts"]["cnn"]["files"][
            "cnn.keras"
        ]["sha256"]
    )
    for units, images in patterns.values():
        assert images.shape == (len(units), 80, 60) and images.dtype == np.uint8


def test_the_network_reads_its_own_class_patterns():
    """Each stored class pattern gets a higher score for its class than plain paper does."""
    model, _ = artefacts.load_artefact("cnn")
    units, images = feature_visualisation._read(
        CACHE / feature_visualisation.FILE, feature_visualisation._recipe("cnn")
    )[0]["classes"]
    batch = np.concatenate([images, np.full((1, 80, 60), 255, np.uint8)])[..., np.newaxis]
    scores = model.predict(batch, verbose=0)
    assert (scores[np.arange(len(units)), units] > scores[-1, units]).all()

"""The files of "Draw it yourself" belong to the shipped model, and say so when they do not."""

import hashlib
import json
import shutil

import course  # noqa: F401
from course.store import artefacts

import keras
import numpy as np
import pytest
from PIL import Image

from tools import draw_yourself as browser_model


@pytest.fixture(autouse=True)
def shipped_settings(monkeypatch):
    for variable in ("COURSE_CACHE", "COURSE_DATA", "COURSE_REFIT", "COURSE_STRICT"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """Copies of model and files, to damage: a change of these is no change of the repository."""
    for name in ("MODEL", "WEIGHTS", "PICTURE"):
        path = getattr(browser_model, name)
        monkeypatch.setattr(browser_model, name, tmp_path / path.name)
        shutil.copyfile(path, tmp_path / path.name)
    return tmp_path


def test_shipped_files_are_what_the_code_makes():
    assert browser_model.stale() == [], f"make them again: {browser_model.REMEDY}"


def test_weights_file_holds_the_models_hash_and_its_very_weights():
    content = browser_model.read()
    assert content["recipe"]["model"] == hashlib.sha256(browser_model.MODEL.read_bytes()).hexdigest()
    model = keras.saving.load_model(browser_model.MODEL, safe_mode=True)
    expected = np.concatenate([value.ravel() for value in model.get_weights()])
    assert np.array_equal(content["weights"], expected.astype("float32"))
    assert content["input"] == list(model.input_shape[1:3])
    assert len(content["classNames"]) == len(content["meanings"]) == model.output_shape[-1]


def test_files_are_light():
    assert browser_model.WEIGHTS.stat().st_size < 700_000
    assert browser_model.PICTURE.stat().st_size < 400_000


def test_another_model_is_named_and_strict_fails(copies, monkeypatch):
    browser_model.MODEL.write_bytes(browser_model.MODEL.read_bytes() + b" ")
    assert any("cnn.keras changed" in reason for reason in browser_model.stale())
    monkeypatch.setenv("COURSE_STRICT", "1")
    with pytest.raises(browser_model.BrowserModelError) as error:
        browser_model.up_to_date()
    assert "cnn.keras changed" in str(error.value)
    assert browser_model.REMEDY in str(error.value)


@pytest.mark.parametrize(
    "key, words", [("handwriting", "the shipped handwriting changed"), ("code", "the code changed: look")]
)
def test_each_other_ingredient_is_named(copies, key, words):
    text = browser_model.WEIGHTS.read_text(encoding="utf-8")
    head, _, rest = text.partition("Network = ")
    content = json.loads(rest.strip().removesuffix(";"))
    if key == "code":
        content["recipe"]["code"]["look"] = "0"
    else:
        content["recipe"][key] = "0"
    browser_model.WEIGHTS.write_text(f"{head}Network = {json.dumps(content)};\n", encoding="utf-8")
    assert browser_model.stale() == [words]


def test_picture_of_another_recipe_is_noticed(copies):
    text = browser_model.PICTURE.read_text(encoding="utf-8")
    browser_model.PICTURE.write_text(text.replace("recipe ", "recipe 0"), encoding="utf-8")
    assert [reason for reason in browser_model.stale() if "another recipe" in reason]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_text("", encoding="utf-8"),
        lambda path: path.write_bytes(path.read_bytes()[:1000]),
    ],
)
def test_missing_and_damaged_weights_are_stale_with_the_remedy(copies, damage):
    damage(browser_model.WEIGHTS)
    (reason,) = browser_model.stale()
    assert "draw-yourself-weights.js" in reason and browser_model.REMEDY in reason


def test_a_missing_model_is_an_error_with_the_remedy(copies):
    browser_model.MODEL.unlink()
    with pytest.raises(browser_model.BrowserModelError, match="cnn.keras.*make train"):
        browser_model.stale()


def test_writing_again_gives_the_same_bytes(copies):
    before = browser_model.WEIGHTS.read_bytes()
    browser_model.WEIGHTS.unlink()
    browser_model.write()
    assert browser_model.WEIGHTS.read_bytes() == before
    assert browser_model.stale() == []
    assert not [path for path in copies.iterdir() if path.name.startswith(".")]


def test_command_says_what_is_stale(copies, capsys):
    assert browser_model.main(["--check"]) == 0
    browser_model.WEIGHTS.unlink()
    assert browser_model.main(["--check"]) == 1
    assert browser_model.REMEDY in capsys.readouterr().out


def test_model_of_other_classes_is_refused(copies, monkeypatch):
    monkeypatch.setattr(artefacts, "data_fingerprint", lambda X, y: "another")
    with pytest.raises(browser_model.BrowserModelError, match="classes are not known"):
        browser_model.write()


@pytest.mark.parametrize(
    "layer, words",
    [
        (keras.layers.Conv2D(2, 3, strides=2), "Conv2D"),
        (keras.layers.Conv2D(2, 3, activation="tanh"), "tanh"),
        (keras.layers.AveragePooling2D(2), "AveragePooling2D"),
        (keras.layers.MaxPooling2D(2, padding="same"), "MaxPooling2D"),
    ],
)
def test_unknown_layers_are_named(layer, words):
    model = keras.Sequential([keras.Input((8, 8, 1)), layer, keras.layers.Flatten(), keras.layers.Dense(3)])
    with pytest.raises(browser_model.BrowserModelError, match=words):
        browser_model.export(model)


def test_a_softmax_at_the_end_is_refused():
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")]
    )
    with pytest.raises(browser_model.BrowserModelError, match="softmax"):
        browser_model.export(model)


def test_export_follows_any_sequence_of_known_layers():
    model = keras.Sequential(
        [
            keras.Input((9, 7, 1)),
            keras.layers.Rescaling(1 / 127.5, -1),
            keras.layers.Conv2D(3, (2, 3)),
            keras.layers.MaxPooling2D((2, 1)),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(4),
        ]
    )
    layers, weights = browser_model.export(model)
    assert [layer["type"] for layer in layers] == [
        "Rescaling",
        "Conv2D",
        "MaxPooling2D",
        "Flatten",
        "Dropout",
        "Dense",
    ]
    assert layers[0]["offset"] == -1 and layers[2]["size"] == [2, 1]
    assert len(weights) == model.count_params()


def write_scans(folder, margins):
    """One class of scans: a black bar of 6 x 40 pixels with given margins."""
    (folder / "一").mkdir(parents=True)
    for number, margin in enumerate(margins):
        image = np.full((6 + 2 * margin, 40 + 2 * margin), 255, np.uint8)
        image[margin : margin + 6, margin : margin + 40] = 90
        Image.fromarray(image).save(folder / "一" / f"{number}.png")


@pytest.mark.parametrize("margins, expected", [([10, 10, 0], 10), ([0, 0, 10], 0)])
def test_look_measures_the_commoner_kind_of_scan(tmp_path, monkeypatch, margins, expected):
    monkeypatch.setattr(browser_model, "EVERY", 1)
    write_scans(tmp_path, margins)
    found = browser_model.look(tmp_path)
    assert [found[side] for side in ("left", "top", "right", "bottom")] == [expected] * 4
    assert found["grey"] == 90
    assert found["lineWidth"] == 6
    assert found["inkSize"] == pytest.approx(np.sqrt(6 * 40), abs=0.01)

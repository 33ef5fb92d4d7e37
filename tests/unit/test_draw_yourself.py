"""The files of "Draw it yourself" belong to the shipped model, and say so when they do not."""

import shutil

import course  # noqa: F401
from course.characters import CHARACTERS
from course.models import fitting
from course.paths import ASSETS
from course.store import artefacts
from course.store.artefacts import ArtefactError

import keras
import numpy as np
import pytest
from PIL import Image

from tools import draw_yourself


@pytest.fixture(autouse=True)
def shipped_settings(monkeypatch):
    for variable in ("COURSE_CACHE", "COURSE_DATA", "COURSE_REFIT", "COURSE_STRICT"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def copies(tmp_path):
    """Copies of the files and their manifest, to damage: no change of the repository."""
    for name in (draw_yourself.WEIGHTS, draw_yourself.PICTURE, artefacts.MANIFEST):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ASSETS / name, tmp_path / name)
    return tmp_path


def refused(folder, monkeypatch) -> str:
    """What strict mode says against the files in the folder."""
    monkeypatch.setenv("COURSE_STRICT", "1")
    with pytest.raises(ArtefactError) as error:
        draw_yourself.up_to_date(folder)
    return str(error.value)


def test_shipped_files_are_what_the_code_makes(monkeypatch, capsys):
    assert draw_yourself.main(["--check"]) == 0, capsys.readouterr().err


def test_weights_file_holds_the_models_very_weights(copies):
    content = draw_yourself.up_to_date(copies)
    model = keras.saving.load_model(draw_yourself.MODEL, safe_mode=True)
    expected = np.concatenate([value.ravel() for value in model.get_weights()])
    assert np.array_equal(content["weights"], expected.astype("float32"))
    assert content["input"] == list(model.input_shape[1:3])
    assert content["classNames"] == sorted(CHARACTERS)
    assert len(content["classNames"]) == len(content["meanings"]) == model.output_shape[-1]


def test_files_are_light():
    assert (ASSETS / draw_yourself.WEIGHTS).stat().st_size < 700_000
    assert (ASSETS / draw_yourself.PICTURE).stat().st_size < 400_000


def test_another_model_is_named(copies, monkeypatch, tmp_path):
    other = tmp_path / "cnn.keras"
    other.write_bytes(draw_yourself.MODEL.read_bytes() + b" ")
    monkeypatch.setattr(draw_yourself, "MODEL", other)
    assert "model: sha256 changed" in refused(copies, monkeypatch)


def test_changed_code_is_named(copies, monkeypatch):
    monkeypatch.setattr(draw_yourself, "EVERY", 30)
    assert "code: EVERY changed" in refused(copies, monkeypatch)


def test_damaged_files_are_made_again_with_the_same_bytes(copies):
    before = (copies / draw_yourself.WEIGHTS).read_bytes()
    (copies / draw_yourself.WEIGHTS).write_bytes(before[:1000])
    draw_yourself.up_to_date(copies)
    assert (copies / draw_yourself.WEIGHTS).read_bytes() == before


def test_a_missing_model_is_an_error_with_the_remedy(copies, monkeypatch, tmp_path):
    monkeypatch.setattr(draw_yourself, "MODEL", tmp_path / "cnn.keras")
    with pytest.raises(ArtefactError, match="cnn.keras.*make train"):
        draw_yourself.up_to_date(copies)


def test_model_of_other_classes_is_refused(copies, monkeypatch):
    (copies / draw_yourself.PICTURE).unlink()
    monkeypatch.setattr(fitting, "data_fingerprint", lambda X, y: "another")
    with pytest.raises(ArtefactError, match="classes are not known"):
        draw_yourself.up_to_date(copies)


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
    with pytest.raises(ArtefactError, match=words):
        draw_yourself.export(model)


def test_a_softmax_at_the_end_is_refused():
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")]
    )
    with pytest.raises(ArtefactError, match="softmax"):
        draw_yourself.export(model)


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
    layers, weights = draw_yourself.export(model)
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
    monkeypatch.setattr(draw_yourself, "EVERY", 1)
    write_scans(tmp_path, margins)
    found = draw_yourself.look(tmp_path)
    assert [found[side] for side in ("left", "top", "right", "bottom")] == [expected] * 4
    assert found["grey"] == 90
    assert found["lineWidth"] == 6
    assert found["inkSize"] == pytest.approx(np.sqrt(6 * 40), abs=0.01)

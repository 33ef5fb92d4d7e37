"""The stored networks on a folder of writing: `python -m tools.casia read`, `python -m tools.sheet read`."""

import shutil
from pathlib import Path

from course.characters import CHARACTERS
from course.loaders import load_images_from_directory
from course.models.fitting import load_artefact

import numpy as np
import pytest

from tools.casia.__main__ import main
from tools.handwriting import generate
from tools.reading import NETWORKS, ReadingError, score

SOME = "人口鱼国"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Writers of another seed than the shipped ones, whom no stored network has seen."""
    out = tmp_path_factory.mktemp("手 写") / "set"
    generate.write_folder(out, generate.plan(SOME, 12, 5, seed=99), workers=1)
    return out


def test_scores_are_those_of_the_networks(folder):
    scores = score(folder)[0].set_index(["network", "set"])
    assert list(scores.index) == [
        (title, subset) for title in NETWORKS.values() for subset in ("Train", "Test")
    ]
    names = sorted(CHARACTERS)
    with pytest.warns(UserWarning, match="No images"):
        X, y, _ = load_images_from_directory(folder / "Test", class_names=names)
    for name, title in NETWORKS.items():
        row = scores.loc[(title, "Test")]
        likeliest = np.argsort(load_artefact(name)[0].predict(X, verbose=0), axis=1)[:, ::-1]
        assert row["images"] == 20
        assert row["accuracy"] == pytest.approx((likeliest[:, 0] == y).mean())
        assert row["from"] < row["accuracy"] < row["to"] <= 1 or row["accuracy"] == row["to"] == 1
        assert row["top 5"] == pytest.approx((likeliest[:, :5] == y[:, None]).any(axis=1).mean())
        assert 0.5 < row["simulated test"] < 1.0
    assert scores["accuracy"].min() > 0.6  # simulated writers, as in the fit


def test_other_characters_are_left_out_and_wrong_labels_count(folder, tmp_path, capsys):
    shutil.copytree(folder / "Train", tmp_path / "Train")
    (tmp_path / "Train" / "国").rename(tmp_path / "Train" / "的")
    (tmp_path / "Train" / "鱼").rename(tmp_path / "Train" / "从")
    assert main(["read", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    networks, misread = score(tmp_path)
    assert (networks[["set", "images"]] == ["Train", 36]).all(axis=None)
    assert networks["accuracy"].max() < 0.8
    assert f"{networks['accuracy'].iloc[-1]:.3f}" in printed and "95 % interval" in printed
    # All sets together, by the better CNN, the worst first.
    worst = misread.iloc[0]
    assert worst["character"] == "从" and worst["images"] == 12 and worst["accuracy"] == 0
    assert worst["read as"].startswith("鱼 (") and worst["read as"] in printed
    right = (1 - misread["accuracy"]) * misread["images"]
    assert 36 - right.sum() == pytest.approx(36 * networks["accuracy"].iloc[-1])


def test_a_folder_of_classes_is_one_set(folder):
    networks, _ = score(folder / "Test")
    assert (networks["set"] == "Test").all() and len(networks) == len(NETWORKS)


def test_what_cannot_be_read_is_an_error(folder, tmp_path, capsys):
    with pytest.raises(ReadingError, match="none"):
        score(tmp_path / "none")
    shutil.copytree(folder / "Train" / "人", tmp_path / "Train" / "的")
    with pytest.raises(ReadingError, match="images of none of the classes"):
        score(tmp_path)
    shutil.copytree(folder / "Train" / "人", tmp_path / "Train" / "人")
    (tmp_path / "Train" / "人" / "3.png").write_bytes(b"not a picture")
    assert main(["read", str(tmp_path)]) == 2
    assert "3.png" in capsys.readouterr().err


def test_networks_of_other_characters_are_named(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "empty"))
    with pytest.raises(ReadingError, match="cnn"):
        score(folder)

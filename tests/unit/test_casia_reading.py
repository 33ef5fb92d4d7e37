"""`python -m tools.casia read`: the stored networks on a folder of writing."""

import shutil
from pathlib import Path

from course.characters import CHARACTERS
from course.loaders import load_images_from_directory
from course.models.fitting import load_artefact

import numpy as np
import pytest

from tools.casia.__main__ import main
from tools.casia.layout import CasiaError
from tools.casia.reading import NETWORKS, read
from tools.handwriting import generate

SOME = "人口鱼国"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Writers of another seed than the shipped ones, whom no stored network has seen."""
    out = tmp_path_factory.mktemp("手 写") / "set"
    generate.write_folder(out, generate.plan(SOME, 12, 5, seed=99), workers=1)
    return out


def test_scores_are_those_of_the_networks(folder):
    scores = read(folder).set_index(["network", "set"])
    assert list(scores.index) == [
        (title, subset) for title in NETWORKS.values() for subset in ("Train", "Test")
    ]
    names = sorted(CHARACTERS)
    with pytest.warns(UserWarning, match="No images"):
        X, y, _ = load_images_from_directory(folder / "Test", class_names=names)
    for name, title in NETWORKS.items():
        score = scores.loc[(title, "Test")]
        likeliest = np.argsort(load_artefact(name)[0].predict(X, verbose=0), axis=1)[:, ::-1]
        assert (score["images"], score["characters"]) == (20, 4)
        assert score["accuracy"] == pytest.approx((likeliest[:, 0] == y).mean())
        assert score["top 5"] == pytest.approx((likeliest[:, :5] == y[:, None]).any(axis=1).mean())
        assert 0.5 < score["simulated test"] < 1.0
    assert scores["accuracy"].min() > 0.6  # simulated writers, as in the fit


def test_other_characters_are_left_out_and_wrong_labels_count(folder, tmp_path, capsys):
    shutil.copytree(folder / "Train", tmp_path / "Train")
    (tmp_path / "Train" / "国").rename(tmp_path / "Train" / "的")
    (tmp_path / "Train" / "鱼").rename(tmp_path / "Train" / "从")
    assert main(["read", str(tmp_path)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 1 + len(NETWORKS)
    scores = read(tmp_path)
    assert "better CNN, other seed" in printed[-1] and f"{scores['accuracy'].iloc[-1]:.3f}" in printed[-1]
    assert (scores[["set", "images", "characters"]] == ["Train", 36, 3]).all(axis=None)
    assert scores["accuracy"].max() < 0.8


def test_what_cannot_be_read_is_an_error(folder, tmp_path, capsys):
    with pytest.raises(CasiaError, match="in Train or Test"):
        read(tmp_path / "none")
    shutil.copytree(folder / "Train" / "人", tmp_path / "Train" / "的")
    with pytest.raises(CasiaError, match="no image of the course's 55 characters"):
        read(tmp_path)
    shutil.copytree(folder / "Train" / "人", tmp_path / "Train" / "人")
    (tmp_path / "Train" / "人" / "3.png").write_bytes(b"not a picture")
    assert main(["read", str(tmp_path)]) == 2
    assert "3.png" in capsys.readouterr().err


def test_networks_of_other_characters_are_named(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "empty"))
    with pytest.raises(CasiaError, match="cnn"):
        read(folder)

"""Teaching one's own classes: what is learnt, what is saved, and what is refused."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)
from course.models import teach as module
from course.models.teach import TeachError, find_photos, load_head, teach

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression

from tools.teach import main

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = ROOT / "data/photos"


def eight_each(root: Path) -> Path:
    """Eight photos each of two classes, with what computers leave in folders."""
    for name in ("animal", "tool"):
        (root / name).mkdir(parents=True)
        for path in sorted((PHOTOS / name).glob("*.jpg"))[:8]:
            shutil.copy(path, root / name)
        (root / name / ".DS_Store").write_bytes(b"x")
        (root / name / "Thumbs.db").write_bytes(b"x")
    (root / "__MACOSX").mkdir()
    return root


@pytest.fixture
def folder(tmp_path) -> Path:
    return eight_each(tmp_path / "photos")


@pytest.fixture(scope="module")
def taught(tmp_path_factory) -> module.Taught:
    return teach(eight_each(tmp_path_factory.mktemp("taught") / "photos"))


def test_it_learns_and_predicts(taught, tmp_path) -> None:
    assert taught.class_names == ["animal", "tool"]
    assert taught.photos.tolist() == [8, 8] and taught.accuracy > 0.8
    low, high = taught.interval
    assert 0 < low < taught.accuracy <= high <= 1
    assert len(taught.wrong) == 16 - taught.correct
    new = [sorted((PHOTOS / name).glob("*.jpg"))[-1] for name in ("animal", "tool")]
    probabilities, _ = taught.judge(new)
    assert probabilities.shape == (2, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert probabilities.argmax(axis=1).tolist() == [0, 1]

    path = taught.save(tmp_path / "out" / "head.npz")
    again = load_head(path)
    for before, after in zip(taught.judge(new), again.judge(new), strict=True):
        np.testing.assert_array_equal(before, after)
    assert again.accuracy == taught.accuracy
    assert [each.name for each in path.parent.iterdir()] == ["head.npz"]
    assert path.stat().st_size < 60_000


def test_photos_like_nothing_that_was_taught_are_told(tmp_path, capsys) -> None:
    """Of photos of the two classes most pass, of the two others most are turned away."""
    root = eight_each(tmp_path / "photos")
    taught = teach(root)
    used = {path.name for path in root.rglob("*.jpg")}
    same = [
        path for name in ("animal", "tool") for path in (PHOTOS / name).glob("*.jpg") if path.name not in used
    ]
    other = [path for name in ("monument", "energy") for path in (PHOTOS / name).glob("*.jpg")]
    assert taught.judge(same)[1].mean() < 0.3 < 0.5 < taught.judge(other)[1].mean()
    noise = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (300, 300, 3), dtype="uint8")).save(noise)
    known = next(iter(root.rglob("*.jpg")))
    assert main(["--predict", str(taught.save(tmp_path / "head.npz")), str(noise), str(known)]) == 0
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert f"{noise}: like nothing that was taught; if it must be one: " in first
    assert second.startswith(f"{known}: {known.parent.name} ")


@pytest.mark.parametrize("classes", [2, 3])
def test_the_layer_is_the_fitted_regression(classes) -> None:
    rng = np.random.default_rng(5)
    X, y = rng.normal(size=(60, 6)), rng.integers(0, classes, 60)
    fitted = LogisticRegression().fit(X, y)
    weights, bias = module._layer(fitted)
    scores = X @ weights + bias
    expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(expected, fitted.predict_proba(X), atol=1e-5)


def test_labels_without_meaning_score_like_chance(tmp_path) -> None:
    """Cross-validation must not flatter: shuffled photos, so nothing can be learnt."""
    root = tmp_path / "shuffled"
    files = np.array(sorted((PHOTOS / "animal").glob("*.jpg"))[:24])
    np.random.default_rng(0).shuffle(files)
    for number, path in enumerate(files):
        target = root / ("one", "two")[number % 2]
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    low, high = teach(root).interval
    assert low < 0.5 < high + 0.2  # below one half is possible: folds are balanced
    assert low < 0.5


def test_the_report_is_honest(taught) -> None:
    text = taught.summary()
    assert "16 photos of 2 classes: animal 8, tool 8" in text
    assert "95 % interval" in text and "would give 50.0%" in text and "independently" in text


def test_the_command_teaches_saves_and_predicts(folder, capsys) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.teach", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        env={**os.environ, "LC_ALL": "C"},
    )
    assert done.returncode == 0, done.stderr
    assert "Right in cross-validation" in done.stdout and (folder / "head.npz").is_file()
    assert f"python -m tools.teach --predict {folder / 'head.npz'}" in done.stdout
    photo = sorted((PHOTOS / "tool").glob("*.jpg"))[-1]
    assert main(["--predict", str(folder / "head.npz"), str(photo)]) == 0
    assert re.search(rf"{re.escape(str(photo))}: (like nothing .*: )?tool ", capsys.readouterr().out)
    # Teaching again does not stumble over its own file.
    assert main([str(folder), "--seed", "7"]) == 0


def fails(arguments, capsys) -> str:
    assert main([str(each) for each in arguments]) == 1
    # Before the message there may be a progress bar.
    shown = capsys.readouterr().err
    assert "Error: " in shown and "Traceback" not in shown
    return shown[shown.index("Error: ") :]


def test_folders_that_are_wrong(tmp_path, folder, capsys) -> None:
    assert "cannot be read" in fails([tmp_path / "none"], capsys)
    (tmp_path / "file.txt").write_text("x", encoding="utf-8")
    assert "a folder for each class" in fails([tmp_path / "file.txt"], capsys)
    (tmp_path / "empty").mkdir()
    assert "No class folders" in fails([tmp_path / "empty"], capsys)
    assert "one sub-folder per class" in fails([folder / "animal"], capsys)
    (tmp_path / "bare/one").mkdir(parents=True)
    (tmp_path / "bare/two").mkdir()
    assert "no folder in" in fails([tmp_path / "bare"], capsys)


def test_one_class_only(folder, capsys) -> None:
    shutil.rmtree(folder / "tool")
    message = fails([folder], capsys)
    assert "one class only, 'animal'" in message and not (folder / "head.npz").exists()


def test_too_few_photos(folder, capsys) -> None:
    for path in sorted((folder / "tool").glob("*.jpg"))[4:]:
        path.unlink()
    message = fails([folder], capsys)
    assert "'tool' 4" in message and "at least 5" in message and "'animal'" not in message


def bad_photos(folder: Path) -> list[str]:
    (folder / "tool" / "broken.jpg").write_bytes(
        (folder / "tool" / sorted(os.listdir(folder / "tool"))[2]).read_bytes()[:900]
    )
    (folder / "tool" / "phone.HEIC").write_bytes(struct.pack(">I", 24) + b"ftypheic" + b"\0\0\0\0mif1heic")

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    (folder / "animal" / "huge.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )
    return ["broken.jpg", "phone.HEIC", "huge.png"]


def test_unreadable_and_huge_photos_are_all_named(folder, capsys) -> None:
    names = bad_photos(folder)
    message = fails([folder], capsys)
    assert "3 of 19 photos cannot be used" in message
    assert all(name in message for name in names)
    assert "HEIC" in message and "178,956,970" in message and "--skip" in message
    taught = teach(folder, skip=True)
    assert taught.photos.sum() == 16 and len(taught.left_out) == 3


def test_skipping_cannot_leave_too_few(folder) -> None:
    for path in sorted((folder / "tool").glob("*.jpg"))[:4]:
        path.write_bytes(b"damaged")
    with pytest.raises(TeachError, match="too few photos are left.*'tool' 4"):
        teach(folder, skip=True)


def test_copies(folder) -> None:
    first = sorted((folder / "animal").glob("*.jpg"))[0]
    shutil.copy(first, folder / "animal" / "copy of it.jpg")
    taught = teach(folder)
    assert taught.photos.tolist() == [8, 8]
    assert any("copy of it.jpg" in line for line in taught.left_out)
    shutil.copy(first, folder / "tool" / "in both.jpg")
    with pytest.raises(TeachError, match="same photo in two classes"):
        teach(folder)


def test_stray_files_and_folders_are_reported(folder) -> None:
    (folder / "animal" / "notes.txt").write_text("x", encoding="utf-8")
    (folder / "animal" / "more").mkdir()
    shutil.copy(sorted((folder / "tool").glob("*.jpg"))[0], folder / "loose.jpg")
    found, left_out = find_photos(folder)
    assert [len(paths) for paths in found.values()] == [8, 8]
    assert [each.split(" is ")[0] for each in left_out] == ["loose.jpg", "animal/more", "animal/notes.txt"]


def test_class_names_in_any_script_and_photos_in_any_mode(folder) -> None:
    (folder / "tool").rename(folder / "工具 é")
    target = folder / "工具 é"
    files = sorted(target.glob("*.jpg"))
    Image.open(files[0]).convert("CMYK").save(target / "a.jpg")
    Image.open(files[1]).convert("RGBA").save(target / "b.png")
    Image.open(files[2]).convert("L").save(target / "c.webp")
    taught = teach(folder)
    assert taught.class_names == ["animal", "工具 é"]
    assert load_head(taught.save(folder / "head.npz")).class_names == taught.class_names


def test_a_failed_save_keeps_the_old_head(taught, tmp_path, monkeypatch) -> None:
    path = taught.save(tmp_path / "head.npz")
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(TeachError, match="cannot be written.*No space left"):
        taught.save(path)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob(".head*"))


def test_heads_that_are_none(tmp_path, taught, capsys) -> None:
    photo = next((PHOTOS / "tool").glob("*.jpg"))
    assert "does not exist" in fails(["--predict", tmp_path / "none.npz", photo], capsys)
    (tmp_path / "text.npz").write_text("x", encoding="utf-8")
    assert "is no head" in fails(["--predict", tmp_path / "text.npz", photo], capsys)
    np.savez(tmp_path / "other.npz", a=1)
    assert "is no head" in fails(["--predict", tmp_path / "other.npz", photo], capsys)
    np.savez(tmp_path / "pickle.npz", format=np.array([{}], dtype=object))
    assert "is no head" in fails(["--predict", tmp_path / "pickle.npz", photo], capsys)
    taught.save(tmp_path / "head.npz")
    with np.load(tmp_path / "head.npz") as stored:
        content = {key: stored[key] for key in stored.files}
    np.savez(tmp_path / "old.npz", **{**content, "backbone": "0" * 64})
    assert "another version of the network" in fails(["--predict", tmp_path / "old.npz", photo], capsys)
    np.savez(tmp_path / "shape.npz", **{**content, "weights": np.zeros((3, 2))})
    assert "is no head" in fails(["--predict", tmp_path / "shape.npz", photo], capsys)
    assert "at least one photo" in fails(["--predict", tmp_path / "head.npz"], capsys)
    missing = tmp_path / "gone.jpg"
    assert "gone.jpg does not exist" in fails(["--predict", tmp_path / "head.npz", missing], capsys)


def test_one_of_the_two_tasks_must_be_named(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2

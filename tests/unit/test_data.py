"""Where the handwriting comes from: the shipped archive, or a folder that is named."""

import errno
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

from course import data
from course.characters import CHARACTERS, MEANINGS
from course.copies import archive as archive_module
from course.copies.archive import _STAMP
from course.data import handwriting_folder, notebook_folder
from course.paths import REPOSITORY

import numpy as np
import pytest
from PIL import Image


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 7), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def shipped_files(seed: int = 0) -> dict[str, bytes]:
    files = {
        f"{part}/{label}/{number}.png": png(hash_of(part, label, number, seed))
        for part, count in (("Train", 3), ("Test", 2), ("Notebook", 1))
        for label in "人大"
        for number in range(1, count + 1)
    }
    manifest = {"sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}}
    return {**files, "manifest.json": json.dumps(manifest).encode(), "LICENSE.txt": b"CC BY"}


def hash_of(*parts) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4], "big")


def write_archive(path: Path, files: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:xz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != _STAMP
    }


def names_in(folder: Path) -> list[str]:
    """What is in a folder, beside the lock that keeps two processes from unpacking at once."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


@pytest.fixture
def archive(tmp_path, monkeypatch) -> Path:
    """A small shipped archive in a data folder of its own."""
    for variable in ("COURSE_DATA", "COURSE_NOTEBOOK"):
        monkeypatch.delenv(variable, raising=False)
    data_folder = tmp_path / "the data 数据"
    path = data_folder / "handwriting.tar.xz"
    write_archive(path, shipped_files())
    monkeypatch.setattr(data, "DATA", data_folder)
    monkeypatch.setattr(data, "ARCHIVE", path)
    monkeypatch.setattr(data, "USER_CACHE", tmp_path / "user cache")
    archive_module._warn_of_changes.cache_clear()
    return path


@pytest.fixture
def own(tmp_path, archive, monkeypatch) -> Path:
    """A folder of the reader's own data, named by COURSE_DATA."""
    folder = tmp_path / "own data 我的"
    write = {"Train/马/1.png": 1, "Train/门/1.png": 2, "Test/马/1.png": 3}
    for name, seed in write.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(seed))
    monkeypatch.setenv("COURSE_DATA", str(folder))
    return folder


# --- The shipped archive -----------------------------------------------------------------


def test_the_archive_is_unpacked_on_first_use(archive):
    folder = handwriting_folder()
    assert folder == archive.parent / "handwriting"
    assert files_in(folder) == shipped_files()
    assert notebook_folder() == folder / "Notebook"
    stamp = (folder / _STAMP).stat().st_mtime_ns
    assert handwriting_folder() == folder
    assert (folder / _STAMP).stat().st_mtime_ns == stamp
    assert names_in(archive.parent) == ["handwriting", archive.name]


def test_a_new_archive_replaces_the_unpacked_folder(archive):
    handwriting_folder()
    write_archive(archive, shipped_files(seed=1))
    assert files_in(handwriting_folder()) == shipped_files(seed=1)
    assert len(names_in(archive.parent)) == 2


def test_files_changed_by_hand_are_reported_and_kept(archive, capsys):
    folder = handwriting_folder()
    changed, removed, added = (folder / "Train/人" / name for name in ("1.png", "2.png", "mine.png"))
    size = changed.stat().st_size
    changed.write_bytes(bytes(size))
    removed.unlink()
    added.write_bytes(b"mine")
    archive_module._warn_of_changes.cache_clear()
    with pytest.warns(UserWarning, match="3 files .* differ") as caught:
        handwriting_folder()
    message = str(caught[0].message)
    assert all(f"Train/人/{path.name}" in message for path in (changed, removed, added))
    write_archive(archive, shipped_files(seed=1))
    assert files_in(handwriting_folder()) == shipped_files(seed=1)
    kept = next(archive.parent.glob("handwriting-changed-*"))
    assert (kept / "Train/人/mine.png").read_bytes() == b"mine"
    assert str(kept) in capsys.readouterr().out


def test_touched_but_equal_files_are_no_change(archive, recwarn):
    folder = handwriting_folder()
    for path in folder.rglob("*.png"):
        os.utime(path)
    archive_module._warn_of_changes.cache_clear()
    handwriting_folder()
    assert len(recwarn) == 0


def test_a_missing_archive_says_what_to_do(archive):
    archive.unlink()
    with pytest.raises(FileNotFoundError, match="COURSE_DATA") as caught:
        handwriting_folder()
    assert archive.name in str(caught.value)


def test_an_unpacked_folder_serves_without_its_archive(archive):
    folder = handwriting_folder()
    archive.unlink()
    assert handwriting_folder() == folder


def test_a_folder_of_the_same_name_is_not_touched(archive):
    other = archive.parent / "handwriting"
    other.mkdir()
    (other / "precious.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError, match="Move it elsewhere"):
        handwriting_folder()
    assert (other / "precious.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.9, 0.999])
def test_a_truncated_archive_is_refused(archive, kept):
    content = archive.read_bytes()
    archive.write_bytes(content[: int(kept * len(content)) if kept < 1 else kept])
    with pytest.raises(ValueError, match="damaged") as caught:
        handwriting_folder()
    assert str(archive) in str(caught.value)
    assert names_in(archive.parent) == [archive.name]


def test_an_archive_with_a_flipped_bit_is_refused(archive):
    content = bytearray(archive.read_bytes())
    content[len(content) // 3] ^= 4
    archive.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=archive.name):
        handwriting_folder()
    assert names_in(archive.parent) == [archive.name]


@pytest.mark.parametrize(
    "name",
    ["../outside.png", "Train/../../outside.png", "/absolute.png", "Train\\..\\..\\outside.png", "extra.png"],
)
def test_an_archive_with_an_unsafe_name_is_refused(archive, tmp_path, name):
    write_archive(archive, {**shipped_files(), name: png(1)})
    with pytest.raises(ValueError, match=archive.name):
        handwriting_folder()
    assert names_in(archive.parent) == [archive.name]
    assert not list(tmp_path.rglob("*outside.png")) and not Path("/absolute.png").exists()


def test_an_archive_with_a_link_is_refused(archive):
    with tarfile.open(archive, "w:xz") as opened:
        entry = tarfile.TarInfo("Train/人/1.png")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        opened.addfile(entry)
        for name, content in shipped_files().items():
            if name != entry.name:
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                opened.addfile(entry, io.BytesIO(content))
    with pytest.raises(ValueError, match="1 files .* missing.*Train/人/1.png"):
        handwriting_folder()
    assert names_in(archive.parent) == [archive.name]


def test_an_archive_without_a_manifest_is_refused(archive):
    files = shipped_files()
    del files["manifest.json"]
    write_archive(archive, files)
    with pytest.raises(ValueError, match="damaged .*manifest.json"):
        handwriting_folder()


@pytest.mark.parametrize("change", ["changed", "missing", "extra"])
def test_an_archive_that_disagrees_with_its_manifest_is_refused(archive, change):
    files = shipped_files()
    if change == "changed":
        files["Test/大/1.png"] = png(77)
    elif change == "missing":
        del files["Test/大/1.png"]
    else:
        files["Test/大/9.png"] = png(77)
    write_archive(archive, files)
    with pytest.raises(ValueError, match="1 files .* manifest.json.*Test/大/[19].png"):
        handwriting_folder()
    assert names_in(archive.parent) == [archive.name]


def test_where_data_cannot_be_written_the_user_cache_serves(archive, tmp_path, monkeypatch, capsys):
    faults = {archive.parent: "Read-only file system"}
    monkeypatch.setattr(archive_module, "why_not_writable", lambda folder: faults.get(folder, ""))
    folder = handwriting_folder()
    assert folder == tmp_path / "user cache" / "handwriting"
    assert files_in(folder) == shipped_files()
    assert "Read-only file system" in capsys.readouterr().out
    assert handwriting_folder() == folder
    assert capsys.readouterr().out == ""


def test_where_nothing_can_be_written_each_place_is_named(archive, monkeypatch):
    monkeypatch.setattr(archive_module, "why_not_writable", lambda folder: f"{folder} is read-only")
    with pytest.raises(OSError, match="COURSE_DATA") as caught:
        handwriting_folder()
    assert str(archive.parent) in str(caught.value) and "user cache" in str(caught.value)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_and_an_interrupt_leave_nothing_behind(archive, monkeypatch, error):
    real, written = Path.write_bytes, []

    def failing(path, content):
        written.append(path)
        if len(written) == 4:
            raise error
        return real(path, content)

    monkeypatch.setattr(Path, "write_bytes", failing)
    with pytest.raises(type(error)):
        handwriting_folder()
    assert names_in(archive.parent) == [archive.name]


def test_what_a_killed_process_left_is_cleared_and_never_used(archive):
    half = archive.parent / "handwriting-unpacking-x1"
    (half / "Train" / "人").mkdir(parents=True)
    folder = handwriting_folder()
    assert files_in(folder) == shipped_files() and names_in(archive.parent) == ["handwriting", archive.name]


def test_two_processes_may_unpack_at_once(archive):
    code = (
        "import sys; from pathlib import Path; from course import data; "
        "data.DATA = Path(sys.argv[1]).parent; data.ARCHIVE = Path(sys.argv[1]); "
        "data.USER_CACHE = Path('never'); print(data.handwriting_folder())"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-X", "utf8", "-c", code, str(archive)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    for process in running:
        output, errors = process.communicate()
        assert process.returncode == 0, errors.decode()
        assert Path(output.decode().strip()) == archive.parent / "handwriting"
    assert files_in(archive.parent / "handwriting") == shipped_files()
    assert len(names_in(archive.parent)) == 2


def test_losing_the_race_keeps_the_winner(archive):
    """Another process puts the folder in place just before this one does."""
    folder = archive.parent / "handwriting"
    archive_hash = hashlib.sha256(archive.read_bytes()).hexdigest()
    archive_module._unpack(archive, archive_hash, folder)
    winner = folder.stat().st_ino
    archive_module._unpack(archive, archive_hash, folder)
    assert folder.stat().st_ino == winner and len(names_in(archive.parent)) == 2


# --- The reader's own data ---------------------------------------------------------------


def test_course_data_takes_the_place_of_the_archive(own, archive):
    assert handwriting_folder() == own
    assert not (archive.parent / "handwriting").exists()


def test_a_relative_course_data_counts_from_here_or_from_the_repository(own, monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_DATA", own.name)
    monkeypatch.chdir(own.parent)
    assert handwriting_folder() == own
    monkeypatch.chdir("/")
    monkeypatch.setattr(data, "REPOSITORY", own.parent)
    assert handwriting_folder() == own


def test_an_empty_course_data_means_the_shipped_archive(archive, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", " ")
    assert handwriting_folder() == archive.parent / "handwriting"


@pytest.mark.parametrize("variable", ["COURSE_DATA", "COURSE_NOTEBOOK"])
def test_a_missing_own_folder_is_named(own, monkeypatch, variable):
    monkeypatch.setenv(variable, str(own / "nowhere"))
    with pytest.raises(FileNotFoundError, match=f"{variable}.*<class>") as caught:
        notebook_folder()
    assert "nowhere" in str(caught.value)


@pytest.mark.parametrize("variable", ["COURSE_DATA", "COURSE_NOTEBOOK"])
def test_a_file_in_place_of_the_own_folder_is_named(own, monkeypatch, variable):
    monkeypatch.setenv(variable, str(own / "Train/马/1.png"))
    with pytest.raises((FileNotFoundError, NotADirectoryError), match=variable):
        notebook_folder()


@pytest.mark.parametrize("left", [(), ("Train",), ("Test",), ("train", "test")])
def test_own_data_of_another_layout_are_explained(tmp_path, own, monkeypatch, left):
    folder = tmp_path / "other layout"
    folder.mkdir()
    for part in left:
        (folder / part / "人").mkdir(parents=True)
    monkeypatch.setenv("COURSE_DATA", str(folder))
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        handwriting_folder()
    for words in (str(folder), "Train/<class>/<picture>", *left):
        assert words in str(caught.value)


def test_the_notebook_of_own_data(own, archive, monkeypatch, tmp_path, capsys):
    assert notebook_folder() == own / "Test"
    assert "the test set stands in" in capsys.readouterr().out

    (own / "Train" / "人").mkdir()
    assert notebook_folder() == archive.parent / "handwriting" / "Notebook"

    (own / "Notebook" / "马").mkdir(parents=True)
    assert notebook_folder() == own / "Notebook"

    mine = tmp_path / "mine"
    (mine / "马").mkdir(parents=True)
    monkeypatch.setenv("COURSE_NOTEBOOK", str(mine))
    assert notebook_folder() == mine


def test_an_empty_own_notebook_is_named(own, monkeypatch, tmp_path):
    (tmp_path / "mine").mkdir()
    monkeypatch.setenv("COURSE_NOTEBOOK", str(tmp_path / "mine"))
    with pytest.raises(ValueError, match="COURSE_NOTEBOOK is .*mine"):
        notebook_folder()


# --- The characters ----------------------------------------------------------------------


def test_the_55_characters():
    assert len(CHARACTERS) == len(set(CHARACTERS)) == 55
    assert CHARACTERS[:6] == tuple("人从众大夫天") and CHARACTERS[-3:] == tuple("川舟虫")
    for character in CHARACTERS:
        assert len(character) == 1
        assert MEANINGS[character].pinyin and MEANINGS[character].english.isascii()

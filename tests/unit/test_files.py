"""Files and folders appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys

from course.store import files

import pytest


def full(*_):
    raise OSError(28, "No space left on device")


def test_a_text_or_bytes_are_written_as_they_are(tmp_path) -> None:
    path = tmp_path / "new" / "a.txt"
    files.write_whole(path, "字\n")
    assert path.read_bytes() == "字\n".encode()
    files.write_whole(path, b"\0\r\n")
    assert path.read_bytes() == b"\0\r\n"
    assert [each.name for each in path.parent.iterdir()] == ["a.txt"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_others_may_read_what_was_written(tmp_path) -> None:
    files.write_whole(tmp_path / "a", b"")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644


@pytest.mark.parametrize("step", ["replace", "fsync"])
def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path, monkeypatch, step) -> None:
    files.write_whole(tmp_path / "a", b"old")
    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space left"):
        files.write_whole(tmp_path / "a", b"new")
    assert [each.name for each in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_process_killed_while_writing_leaves_the_old_file(tmp_path) -> None:
    path = tmp_path / "a"
    files.write_whole(path, b"old")
    code = (
        "import os, pathlib, sys\nfrom course.store import files\n"
        "os.replace = lambda *_: os._exit(9)\n"
        "files.write_whole(pathlib.Path(sys.argv[1]), b'new')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(path)], timeout=60)
    assert ended.returncode == 9
    assert path.read_bytes() == b"old"
    (left,) = set(tmp_path.iterdir()) - {path}
    assert left.name.startswith(".a.") and left.read_bytes() == b"new"


@pytest.fixture
def folders(tmp_path):
    """Three new files beside a folder with two of them, one that shall go, and one that shall stay."""
    for folder, names in {"new": ("a", "deep/b", "c"), "old": ("a", "deep/b", "gone", "stays")}.items():
        for name in names:
            files.write_whole(tmp_path / folder / name, f"{folder} {name}")
    return tmp_path / "new", tmp_path / "old"


def texts(folder):
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def test_several_files_are_moved_together(folders) -> None:
    new, old = folders
    files.move_together(["a", "deep/b", "c"], new, old, {"gone"})
    assert texts(old) == {"a": "new a", "deep/b": "new deep/b", "c": "new c", "stays": "old stays"}
    assert {path.name for path in old.iterdir()} == {"a", "deep", "c", "stays"}


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_if_one_of_several_fails_all_are_as_before(folders, monkeypatch, error) -> None:
    new, old = folders
    before = texts(old)
    replace, mkdir, number, reached = os.replace, type(old).mkdir, 0, 0
    while reached == number:
        number, reached = number + 1, 0

        def step(function):
            def wrapped(*arguments, **options):
                nonlocal reached
                reached += 1
                if reached == number:
                    raise error
                return function(*arguments, **options)

            return wrapped

        shutil.copytree(new, new.with_name(f"try {number}"))
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", step(replace))
            patch.setattr(type(old), "mkdir", step(mkdir))
            try:
                files.move_together(["a", "deep/b", "c"], new.with_name(f"try {number}"), old, {"gone"})
            except (OSError, KeyboardInterrupt):
                assert reached >= number and texts(old) == before, f"step {number}"
                reached = number
            else:
                reached = 0
    assert number > 8 and texts(old)["c"] == "new c"


def test_a_second_process_waits_for_the_lock_and_says_so(tmp_path) -> None:
    code = (
        "import pathlib, sys\nfrom course.store import files\n"
        "with files.locked(pathlib.Path(sys.argv[1]), 'result') as held:\n    print(held)\n"
    )
    with files.locked(tmp_path, "result") as held:
        assert held
        other = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            encoding="utf-8",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        said = other.stderr.readline()
        assert other.poll() is None
    out, _ = other.communicate(timeout=60)
    assert "another process is working on 'result'" in said and str(tmp_path) in said
    assert out.strip() == "True" and other.returncode == 0


def test_a_folder_that_takes_no_lock_goes_without(tmp_path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with files.locked(tmp_path / "file", "result") as held:
        assert held is False


def test_why_a_folder_is_not_writable(tmp_path) -> None:
    assert files.why_not_writable(tmp_path / "new") == ""
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert "file" in files.why_not_writable(tmp_path / "file")

"""Files and folders appear whole or not at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tracemalloc

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
        "import os, pathlib, sys\nfrom course import files\n"
        "os.replace = lambda *_: os._exit(9)\n"
        "files.write_whole(pathlib.Path(sys.argv[1]), b'new')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(path)], timeout=60)
    assert ended.returncode == 9
    assert path.read_bytes() == b"old"
    for neighbour in (".a.lock", ".a.b.12345678", ".b.12345678", "a.12345678"):
        (tmp_path / neighbour).touch()
    (left,) = files.left_by_write_whole(path)
    assert left.read_bytes() == b"new"


def test_several_files_are_replaced_together(tmp_path) -> None:
    (tmp_path / "a").write_text("old a", encoding="utf-8")
    with files.replaced_together(tmp_path, ["a", "b"]) as staged:
        for name in ("a", "b"):
            staged[name].write_text(f"new {name}", encoding="utf-8")
        assert (tmp_path / "a").read_text(encoding="utf-8") == "old a"
    assert {each.name: each.read_text(encoding="utf-8") for each in tmp_path.iterdir()} == {
        "a": "new a",
        "b": "new b",
    }


def test_no_file_is_read_whole_to_replace_it(tmp_path) -> None:
    """The checksums of a whole CASIA collection have some hundred megabytes."""
    with open(tmp_path / "a", "wb") as file:
        file.truncate(64 * 2**20)
    tracemalloc.start()
    try:
        with files.replaced_together(tmp_path, ["a"]) as staged:
            staged["a"].write_bytes(b"new")
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("failing", ["a", "b"])
def test_if_one_of_several_fails_all_are_as_before(tmp_path, monkeypatch, failing) -> None:
    (tmp_path / "a").write_text("old", encoding="utf-8")
    replace = os.replace

    def fail_on_one(source, target):
        if os.path.basename(target) == failing and ".new-" in os.path.basename(source):
            full()
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail_on_one)
    with pytest.raises(OSError, match="No space left"):
        with files.replaced_together(tmp_path, ["a", "b"]) as staged:
            for name in ("a", "b"):
                staged[name].write_text("new", encoding="utf-8")
    assert {each.name: each.read_text(encoding="utf-8") for each in tmp_path.iterdir()} == {"a": "old"}


def folder_with(path, text):
    path.mkdir(parents=True)
    (path / "file").write_text(text, encoding="utf-8")
    return path


def test_a_folder_takes_the_place_of_another(tmp_path) -> None:
    old = folder_with(tmp_path / "kept" / "result", "old")
    files.replace_folder(folder_with(tmp_path / "work" / "result", "new"), old)
    assert (old / "file").read_text(encoding="utf-8") == "new"
    files.replace_folder(folder_with(tmp_path / "work" / "first", "new"), tmp_path / "x" / "first")
    assert (tmp_path / "x" / "first" / "file").exists()


def test_a_folder_that_cannot_be_replaced_stays(tmp_path, monkeypatch) -> None:
    old = folder_with(tmp_path / "result", "old")
    new = folder_with(tmp_path / "work" / "result", "new")
    replace = os.replace

    def fail_on_new(source, target):
        if source == new:
            full()
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail_on_new)
    with pytest.raises(OSError, match="No space left"):
        files.replace_folder(new, old)
    assert (old / "file").read_text(encoding="utf-8") == "old"


def test_a_second_process_waits_for_the_lock_and_says_so(tmp_path) -> None:
    code = (
        "import pathlib, sys\nfrom course import files\n"
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

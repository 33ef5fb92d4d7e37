"""Printed commands can be copied."""

from __future__ import annotations

import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tools.console import python, quoted

NAMES = ["plain", "with blank", "it's", 'a "b"', "$HOME", "a&b", "人从众", "(1)", "a;b", "`x`", "a\\b", "*"]


@pytest.mark.skipif(sys.platform == "win32", reason="for the shells of Unix")
@pytest.mark.parametrize("name", NAMES)
def test_what_is_quoted_comes_back_from_the_shell(name) -> None:
    code = "import sys; print(ascii(sys.argv[1:]))"
    command = f"{quoted(sys.executable, '-c', code, name)} {quoted(Path('a folder', name))}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == ascii([name, str(Path("a folder", name))])


@pytest.mark.parametrize(
    "name, expected",
    [
        ("C:\\data\\mine", "C:/data/mine"),
        ("C:\\data\\A B\\mine", '"C:/data/A B/mine"'),
        ("a&b", '"a&b"'),
        ("it's", '"it\'s"'),
    ],
)
def test_windows_shells_agree_on_double_quotes_and_slashes(name, expected) -> None:
    assert quoted(name, windows=True) == expected
    assert shlex.split(expected) == [name.replace("\\", "/")]  # as Git Bash reads it


def test_the_python_that_runs_is_named(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "my venv" / "python"))
    assert python("tools.teach", "a b") == quoted(sys.executable, "-m", "tools.teach", "a b")
    monkeypatch.chdir(tmp_path)
    assert python("tools.teach") == quoted(Path("my venv", "python"), "-m", "tools.teach")


ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [
    path
    for path in sorted((*(ROOT / "tools").rglob("*.py"), *(ROOT / "benchmarks").glob("*.py")))
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8") and path.name != "probe.py"
]


def test_every_command_reads_its_options_and_so_helps() -> None:
    """One that looks at sys.argv itself, or not at all, does its work where somebody asks for help."""
    texts = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in COMMANDS}
    assert len(texts) > 20
    known = ("ArgumentParser(", "options(__doc__")
    assert [name for name, text in texts.items() if not any(word in text for word in known)] == []


@pytest.mark.parametrize("name", ["photos", "kernel_explorer"])
def test_commands_without_options_help_and_write_nothing(name, monkeypatch, capsys) -> None:
    monkeypatch.setattr("course.store.files.write_whole", lambda *_: pytest.fail("it wrote a file"))
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "tools" / f"{name}.py"), run_name="__main__")
    assert ended.value.code == 0 and f"python -m tools.{name}" in capsys.readouterr().out

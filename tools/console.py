"""The console of the commands."""

import os
import re
import shlex
import sys
from pathlib import Path


def speak_utf8() -> None:
    """Let a command print Chinese anywhere: under LANG=C, and in a Windows console of another alphabet."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # what a notebook puts in their place has no such method
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def quoted(*words: str | os.PathLike, windows: bool = os.name == "nt") -> str:
    """A command that can be copied into this system's shells; those of Windows agree on double quotes."""
    if not windows:
        return shlex.join(map(str, words))
    plain = (str(word).replace("\\", "/") for word in words)
    return " ".join(word if re.fullmatch(r"[\w.:/=+-]+", word) else f'"{word}"' for word in plain)


def python(*words: str | os.PathLike) -> str:
    """The command `python -m` with the Python that runs, which is seldom the one on the PATH."""
    program = Path(sys.executable)
    if program.is_relative_to(Path.cwd()):
        program = program.relative_to(Path.cwd())
    return quoted(program, "-m", *words)

"""Files that are whole: who reads one never meets half of it, whoever was killed while writing."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import filelock


def say(message: str) -> None:
    """Print on the standard error: what the store does is no result of the lecture."""
    print(message, file=sys.stderr, flush=True)


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file, which then holds all of `content`, or what it held before.

    Texts are stored in UTF-8, with the line ends that they have. Missing folders are made. Nothing is left
    behind by an OSError.
    """
    if isinstance(content, str):
        content = content.encode("utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes files that only their owner can read
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def move_together(names: Collection[str], source: Path, target: Path, gone: Collection[str] = ()) -> None:
    """Move files from one folder into another, in that order, and remove those of `gone` there.

    Names have forward slashes; both folders lie on one file system. An error leaves `target` as it was.
    """
    kept = Path(tempfile.mkdtemp(dir=target, prefix=".old-"))
    moved: list[str] = []
    try:
        for name in {**dict.fromkeys(gone), **dict.fromkeys(names)}:
            moved.append(name)
            if (target / name).exists():
                (kept / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(target / name, kept / name)
            if name in names:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(source / name, target / name)
    except BaseException:
        for name in moved:
            if (kept / name).exists():
                os.replace(kept / name, target / name)
            elif not (source / name).exists() and name in names:
                (target / name).unlink(missing_ok=True)
        raise
    finally:
        shutil.rmtree(kept, ignore_errors=True)


@contextlib.contextmanager
def locked(folder: Path, name: str) -> Iterator[bool]:
    """Hold a lock between processes, or wait for it; yields False where the folder takes no lock file."""
    lock = filelock.FileLock(folder / f".{name}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            held = lock.acquire(timeout=0)
        except filelock.Timeout:
            say(f"Waiting: another process is working on '{name}' in {folder}.")
            held = lock.acquire()
    except (OSError, NotImplementedError):
        yield False
        return
    with held:
        yield True


def why_not_writable(folder: Path) -> str:
    """Return why no file can be made in the folder, or an empty string. Makes the folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return str(error)


def as_json(value: Any) -> str:
    """Return a value as JSON text that git compares well: one entry a line, and a line end."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=True) + "\n"

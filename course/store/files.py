"""Files that are whole: who reads one never meets half of it, whoever was killed while writing."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import filelock


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file, which then holds all of `content`, or what it held before.

    Texts are stored in UTF-8, with the line ends that they have. Missing folders are made.

    Raises:
        OSError: If the file cannot be written; nothing is left behind then.
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
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def left_by_write_whole(path: Path) -> list[Path]:
    """The temporary files of a `write_whole` of `path` whose process was killed meanwhile.

    A write that is still under way looks the same. Locks and other neighbours are not listed.
    """
    # mkstemp appends eight characters.
    return sorted(path.parent.glob(f".{glob.escape(path.name)}." + "?" * 8))


@contextlib.contextmanager
def replaced_together(folder: Path, file_names: Sequence[str]) -> Iterator[dict[str, Path]]:
    """Yield a temporary path for each file; on success they replace the files, in that order.

    If anything goes wrong, even while replacing, all files are left as they were.

    Args:
        folder: Where the files lie; it must exist.
        file_names: All of them must be written at the paths that are yielded.
    """
    mark = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
    # Keras insists on the ending, so the mark goes before it.
    new = {key: folder / f".new-{mark}-{key}" for key in file_names}
    old = {key: folder / f".old-{mark}-{key}" for key in file_names}
    replaced: list[str] = []
    try:
        yield new
        for key in file_names:
            _flush_to_disk(new[key])
            if (folder / key).exists():
                shutil.copyfile(folder / key, old[key])
        for key in file_names:
            replaced.append(key)
            os.replace(new[key], folder / key)
    except BaseException:
        for key in replaced:
            if old[key].exists():
                os.replace(old[key], folder / key)
            elif not new[key].exists():
                (folder / key).unlink(missing_ok=True)
        raise
    finally:
        for path in (*new.values(), *old.values()):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def replace_folder(new: Path, folder: Path) -> None:
    """Put the folder `new` in the place of another; if that fails, the old one is there as before.

    Both must lie on one file system. What `folder` held is left beside `new` as `<name>.old`.

    Raises:
        OSError: If a folder cannot be moved.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    old = new.with_name(f"{new.name}.old")
    if folder.exists():
        os.replace(folder, old)
    try:
        os.replace(new, folder)
    except OSError:
        if old.exists():
            os.replace(old, folder)
        raise


@contextlib.contextmanager
def locked(folder: Path, name: str) -> Iterator[bool]:
    """Hold a lock between processes; yields False where the folder takes no lock file.

    Says on the standard error when another process holds it, and waits.
    """
    lock = filelock.FileLock(folder / f".{name}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            print(
                f"Waiting: another process is working on '{name}' in {folder}.", file=sys.stderr, flush=True
            )
            lock.acquire()
    except (OSError, NotImplementedError):
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def why_not_writable(folder: Path) -> str:
    """Return why no file can be made in the folder, or an empty string. Makes the folder."""
    probe = folder / f".probe-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        return str(error)
    return ""


def as_json(value: Any) -> str:
    """Return a value as JSON text that git compares well: one entry a line, and a line end."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=True) + "\n"


def _flush_to_disk(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())

"""Writing files."""

from __future__ import annotations

import os
import uuid
from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is at all times either the old one or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name[:40]}.{uuid.uuid4().hex[:8]}")
    try:
        fresh.write_bytes(data)
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def write_changed(path: Path, data: bytes) -> bool:
    """Write a file that does not hold the data yet; returns whether that was so."""
    changed = not path.is_file() or path.read_bytes() != data
    if changed:
        write_atomically(path, data)
    return changed


def shown_path(path: Path) -> str:
    """A path as the terminal shows it: below the working folder from there."""
    return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else str(path)

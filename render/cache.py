"""What an execution depended on, as fingerprints, and the store of executed notebooks.

jupyter-cache would keep notebooks too, but it keys on the cells alone; a result here also depends
on the modules, data, artefacts, settings and packages that the cells used.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .execute import Execution, Step
from .quarto_post_render import write_atomically

FOLDER = ".render-cache"
# Folders whose files always count, because cells may read them through libraries whose file access
# Python does not see. Of the data and the artefacts a subfolder counts once it is used.
ALWAYS_DEEP = ("assets/fonts", "assets/images")
ALWAYS_FLAT = ("data", "cache")
IGNORED = frozenset({"__pycache__", "Thumbs.db", "desktop.ini", "node_modules", "_site", "_build"})
DATA_VARIABLES = ("COURSE_DATA", "COURSE_NOTEBOOK", "COURSE_CACHE")
KEPT_PER_PAGE = 4
EXISTS = "exists"
# The renderer's own files that take part in an execution.
EXECUTING = [Path(__file__).with_name(name) for name in ("execute.py", "client.py", "kernel_setup.py")]


def digest_of(value: Any) -> str:
    """A fingerprint of a JSON value, 64 hexadecimal digits of SHA-256."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


class Fingerprints:
    """Content digests of files, remembered by size and times so that a file is read once.

    The memory file only saves time: where it is missing or damaged, files are read again.
    """

    def __init__(self, folder: Path):
        self._path = folder / "digests.json"
        try:
            self._known = dict(json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            self._known = {}
        self._changed = False

    def of_file(self, path: str | Path, by_content: bool = True) -> str | None:
        """SHA-256 of a file's content, or None where there is no such file.

        With `by_content` false the file is not read: its size and time of change stand for it.
        """
        path = str(path)
        try:
            status = os.stat(path)
            stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
            if not by_content:
                return " ".join(map(str, stamp[:3]))
            known = self._known.get(path)
            if not isinstance(known, list) or known[:-1] != stamp:
                with open(path, "rb") as file:
                    known = [*stamp, hashlib.file_digest(file, "sha256").hexdigest()]
                self._known[path] = known
                self._changed = True
        except OSError:
            return None
        return known[-1]

    def save(self) -> None:
        """Write the memory, where it has grown."""
        if self._changed:
            write_atomically(self._path, json.dumps(self._known).encode("ascii"))
            self._changed = False


def digest_of_files(paths: Iterable[Path]) -> str:
    """A fingerprint of some files of the renderer, their names and contents."""
    return digest_of([[path.name, hashlib.sha256(path.read_bytes()).hexdigest()] for path in paths])


def tree(folder: str, deep: bool = True) -> list[str]:
    """The files below a folder, hidden and by-product ones left out."""
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if deep and not _ignored(name))
        found += [os.path.join(parent, name) for name in sorted(files) if not _ignored(name)]
    return found


def _ignored(name: str) -> bool:
    return name.startswith(".") or name in IGNORED


def _below(path: str, folder: str) -> tuple[str, ...] | None:
    """The parts of a path below a folder: () for the folder itself, None for another place."""
    if path == folder:
        return ()
    prefix = folder.rstrip(os.sep) + os.sep
    return tuple(path[len(prefix) :].split(os.sep)) if path.startswith(prefix) else None


def _data_folders() -> list[str]:
    return [os.path.abspath(os.environ[name]) for name in DATA_VARIABLES if os.environ.get(name)]


@dataclass
class Ingredients:
    """The files of one execution, which count by their content, and its folders.

    A folder is "deep" or "flat" and counts with the content of the files below or in it, or it holds
    "modules". Of Python files, which count by themselves once imported, only the names count.
    """

    files: list[str]
    folders: dict[str, str]

    @classmethod
    def of(cls, record: dict[str, list[str]], root: Path) -> Ingredients:
        """Choose the ingredients from what the kernel reported (see `kernel_setup.report`)."""
        top = str(root)
        folders = dict.fromkeys([*_data_folders(), *(str(root / name) for name in ALWAYS_DEEP)], "deep")
        folders |= dict.fromkeys([str(root / name) for name in ALWAYS_FLAT], "flat")
        files = set()

        def parts_of(path: str) -> tuple[str, ...]:
            parts = _below(path, top) or ()
            return () if any(_ignored(part) for part in parts) else parts

        for path in record.get("modules", ()):
            if parts := parts_of(path):
                files.add(path)
                folders[os.path.join(top, parts[0]) if len(parts) > 1 else top] = "modules"
        if record.get("started"):  # another Python, which imports without being seen
            modules = [folder for folder, how in folders.items() if how == "modules"]
            files.update(path for folder in modules for path in _names(folder, "modules"))
        read, written = record.get("read", ()), set(record.get("written", ()))
        for path in (*read, *record.get("listed", ())):
            parts = parts_of(path)
            if parts[:1] and parts[0] in ALWAYS_FLAT:
                if len(parts) > 1 and os.path.isdir(subfolder := os.path.join(top, *parts[:2])):
                    folders[subfolder] = "deep"
            elif parts and os.path.isdir(path):
                folders.setdefault(path, "flat")
            elif parts and path not in written and os.path.isfile(path):
                files.add(path)
        return cls(sorted(files), folders)

    def manifest(self, fingerprints: Fingerprints) -> dict[str, str | None]:
        """The digest of every ingredient now; a missing file has the digest None."""
        result: dict[str, str | None] = {}
        for folder, how in self.folders.items():
            # One's own data may be gigabytes; what lies in the project is small enough to read.
            own = folder in _data_folders()
            for path in _names(folder, how):
                is_python = path.endswith(".py")
                result[path] = EXISTS if is_python else fingerprints.of_file(path, by_content=not own)
        return result | {path: fingerprints.of_file(path) for path in self.files}


def _names(folder: str, how: str) -> list[str]:
    if how != "modules":
        return tree(folder, how == "deep")
    is_package = os.path.isfile(os.path.join(folder, "__init__.py"))
    return [path for path in tree(folder, is_package) if path.endswith(".py")]


def first_difference(old: dict[str, str | None], new: dict[str, str | None], root: Path) -> str:
    """Words naming the first ingredient that differs; "" where none does."""
    for path in sorted(set(old) | set(new)):
        name = os.path.relpath(path, root).replace(os.sep, "/")
        if path not in old:
            return f"{name} is new"
        if old[path] is not None and new.get(path) is None:
            return f"{name} is gone"
        if old[path] != new.get(path):
            return f"{name} changed"
    return ""


class Store:
    """Executed notebooks in `.render-cache/`, one file per key; a damaged file is a miss."""

    def __init__(self, root: Path):
        self.root = root
        self.folder = root / FOLDER
        self.fingerprints = Fingerprints(self.folder)

    @cached_property
    def packages(self) -> dict[str, str]:
        """Name and version of every installed distribution."""
        found = [
            each for each in importlib.metadata.distributions() if each.metadata and each.metadata["Name"]
        ]
        return {str(each.metadata["Name"]).lower(): each.version for each in found}

    def key(self, steps: list[Step], figures: tuple) -> str:
        """The part of what a result depends on that is known without touching project files."""
        course = ("COURSE_", "KERAS_", "MPL")
        return digest_of(
            {
                "steps": [[each.source, each.allow_error, each.expressions] for each in steps],
                "figures": figures,
                "environment": {name: value for name, value in os.environ.items() if name.startswith(course)},
                "python": [platform.python_version(), platform.machine(), platform.system()],
                "packages": self.packages,
                "renderer": digest_of_files(EXECUTING),
            }
        )

    def _files(self, page: str, key: str = "") -> tuple[Path, list[Path]]:
        """The file of a key, and all files of the page."""
        folder, name = self.folder / "executed", page.replace("/", "--")
        return folder / f"{name}.{key[:32]}.ipynb", list(folder.glob(f"{name}.*.ipynb"))

    def load(self, page: str, key: str) -> tuple[dict[str, Any] | None, str]:
        """The notebook of a key if every ingredient is as it was, else None and the reason."""
        path, others = self._files(page, key)
        try:
            notebook = json.loads(path.read_text(encoding="utf-8"))
            entry = notebook["metadata"]["render"]
            if entry["key"] != key or entry["checksum"] != _checksum(notebook):
                return None, "its cached result is damaged"
            now = Ingredients(**entry["ingredients"]).manifest(self.fingerprints)
            reason = first_difference(entry["manifest"], now, self.root)
        except FileNotFoundError:
            return None, "its cells, the settings or the packages changed" if others else "first time"
        except Exception:
            # Whatever is wrong with a cache file, the remedy is to execute again.
            return None, "its cached result cannot be read"
        return (None, reason) if reason else (notebook, "")

    def save(self, page: str, key: str, execution: Execution, started: float) -> str | None:
        """Keep a result under the ingredients as they are after the execution, which began at `started`.

        Returns
        -------
        str or None
            Why the result was not kept: a file changed meanwhile that no cell wrote.
        """
        ingredients = Ingredients.of(execution.record, self.root)
        manifest = ingredients.manifest(self.fingerprints)
        written = execution.record.get("written", [])
        for path, digest in manifest.items():
            if digest in (None, EXISTS) or any(_below(path, each) is not None for each in written):
                continue
            status = os.stat(path)
            if max(status.st_mtime, status.st_ctime) > started:
                return f"{os.path.relpath(path, self.root)} changed while the cells ran"
        notebook = execution.notebook
        notebook["metadata"]["render"] = {"key": key, "ingredients": vars(ingredients), "manifest": manifest}
        notebook["metadata"]["render"]["checksum"] = _checksum(notebook)
        data = json.dumps(notebook, ensure_ascii=False, indent=1).encode("utf-8")
        write_atomically(self._files(page, key)[0], data)
        for old in sorted(self._files(page)[1], key=lambda path: path.stat().st_mtime)[:-KEPT_PER_PAGE]:
            old.unlink(missing_ok=True)
        return None


def _checksum(notebook: dict[str, Any]) -> str:
    metadata = {name: value for name, value in notebook["metadata"]["render"].items() if name != "checksum"}
    return digest_of([metadata, notebook["cells"]])

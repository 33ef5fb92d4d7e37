"""What a result depends on, as fingerprints, and the store of executed notebooks.

jupyter-cache would keep notebooks too, but it keys on the cells alone; a result here also depends
on the modules, data, artefacts, settings and packages that the cells used.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .execute import Execution, Node, Step

CACHE_FOLDER = ".render-cache"
# Folders whose files always count, because cells may read them through libraries whose file
# access Python does not see. A subfolder of the data or artefact folder counts once it is used.
ALWAYS_DEEP = ("assets/fonts", "assets/images")
ALWAYS_SHALLOW = ("data", "cache")
IGNORED_NAMES = frozenset({"__pycache__", "Thumbs.db", "desktop.ini", "node_modules"})
IGNORED_FOLDERS = frozenset({"_site", "_build", CACHE_FOLDER})
DATA_VARIABLES = ("COURSE_DATA", "COURSE_NOTEBOOK", "COURSE_CACHE")
KEPT_PER_PAGE = 4


def digest_of(value: Any) -> str:
    """A fingerprint of a JSON value, 64 hexadecimal digits of SHA-256."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is at all times either the old one or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        try:
            os.unlink(name)
        except FileNotFoundError:
            pass
        raise


class Fingerprints:
    """Content digests of files, remembered by size and times so that a file is read once.

    The memory file only saves time: where it is missing or damaged, files are read again.
    """

    def __init__(self, folder: Path):
        self._path = folder / "digests.json"
        self._changed = False
        try:
            self._known = json.loads(self._path.read_text(encoding="utf-8"))
            if not isinstance(self._known, dict):
                self._known = {}
        except (OSError, ValueError):
            self._known = {}

    def of_file(self, path: str, by_content: bool = True) -> str | None:
        """SHA-256 of a file's content; None where there is no such file.

        With `by_content` false the file is not read: its size and time of change stand for it.
        """
        try:
            status = os.stat(path)
        except OSError:
            return None
        if not by_content:
            return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
        stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
        known = self._known.get(path)
        if isinstance(known, list) and known[:-1] == stamp:
            return known[-1]
        try:
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None
        self._known[path] = [*stamp, digest]
        self._changed = True
        return digest

    def save(self) -> None:
        if self._changed:
            text = json.dumps(self._known, ensure_ascii=True)
            write_atomically(self._path, text.encode("ascii"))
            self._changed = False


def installed_packages() -> dict[str, str]:
    """Name and version of every installed distribution."""
    return {
        str(each.metadata["Name"]).lower(): each.version
        for each in importlib.metadata.distributions()
        if each.metadata is not None and each.metadata["Name"]
    }


def renderer_code() -> str:
    """A fingerprint of the renderer's own files that take part in an execution."""
    folder = Path(__file__).parent
    content = [(folder / name).read_bytes() for name in ("execute.py", "kernel_setup.py")]
    return hashlib.sha256(b"\0".join(content)).hexdigest()


def base_key(steps: list[Step], figures: tuple, packages: dict[str, str]) -> str:
    """The part of a result's key that is known without touching project files."""
    course = {
        name: value for name, value in os.environ.items() if name.startswith(("COURSE_", "KERAS_", "MPL"))
    }
    return digest_of(
        {
            "steps": [[each.source, each.allow_error, each.expressions] for each in steps],
            "figures": figures,
            "environment": course,
            "python": [platform.python_version(), platform.machine(), platform.system()],
            "packages": packages,
            "renderer": renderer_code(),
        }
    )


def tree(folder: Path, deep: bool = True) -> list[str]:
    """The files below a folder, hidden and by-product ones left out, as sorted paths."""
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if deep and not _ignored(name))
        found += [os.path.join(parent, name) for name in sorted(files) if not _ignored(name)]
    return found


def _ignored(name: str) -> bool:
    return name.startswith(".") or name in IGNORED_NAMES


@dataclass
class Ingredients:
    """The files and folders of one execution.

    Attributes
    ----------
    files: single files by path; trees: folders counted with every file below them;
    shallow: folders counted with the files directly in them; packages: folders of project
    modules, of which the names of all `.py` files count.
    """

    files: list[str]
    trees: list[str]
    shallow: list[str]
    packages: list[str]

    @classmethod
    def of(cls, record: dict[str, list[str]], root: Path) -> Ingredients:
        """Choose the ingredients from what the kernel reported (see `kernel_setup.report`)."""
        top = str(root)
        roots = [top, *_data_folders()]
        trees = {str(root / name) for name in ALWAYS_DEEP} | set(_data_folders())
        shallow = {str(root / name) for name in ALWAYS_SHALLOW}
        for path in (*record.get("read", ()), *record.get("listed", ())):
            for name in ALWAYS_SHALLOW:
                parts = _parts_below(path, str(root / name))
                if parts and not any(_ignored(part) for part in parts):
                    subfolder = os.path.join(top, name, parts[0])
                    if os.path.isdir(subfolder):
                        trees.add(subfolder)
        written = set(record.get("written", ()))
        covered = (*trees, *shallow)
        files = set()
        packages = set()
        for path in record.get("modules", ()):
            parts = _parts_below(path, top)
            if parts and not _outside(parts):
                files.add(path)
                packages.add(os.path.join(top, parts[0]) if len(parts) > 1 else top)
        if record.get("started"):
            for folder in packages:
                deep = Path(folder, "__init__.py").is_file()
                files.update(each for each in tree(Path(folder), deep) if each.endswith(".py"))
        for path in record.get("read", ()):
            if any(_parts_below(path, each) is not None for each in covered):
                continue
            if path in written or not os.path.isfile(path):
                continue
            for each in roots:
                parts = _parts_below(path, each)
                if parts and not _outside(parts):
                    files.add(path)
        for path in record.get("listed", ()):
            parts = _parts_below(path, top)
            if parts and not _outside(parts) and os.path.isdir(path):
                if not any(_parts_below(path, each) is not None for each in covered):
                    if path not in packages:
                        shallow.add(path)
        return cls(sorted(files), sorted(trees), sorted(shallow), sorted(packages))

    def manifest(self, fingerprints: Fingerprints) -> dict[str, str | None]:
        """The digest of every ingredient now; a missing file has the digest None."""
        result: dict[str, str | None] = {}
        for path in self.files:
            result[path] = fingerprints.of_file(path)
        for folder in self.shallow:
            for path in tree(Path(folder), deep=False):
                result[path] = fingerprints.of_file(path)
        for folder in self.trees:
            # One's own data may be gigabytes; what lies in the project is small enough to read.
            own = folder in _data_folders()
            for path in tree(Path(folder)):
                result[path] = fingerprints.of_file(path, by_content=not own)
        for folder in self.packages:
            deep = Path(folder, "__init__.py").is_file()
            for path in tree(Path(folder), deep=deep):
                if path.endswith(".py"):
                    result.setdefault(path, "exists")
        return result


def _data_folders() -> list[str]:
    return [os.path.abspath(os.environ[name]) for name in DATA_VARIABLES if os.environ.get(name)]


def _parts_below(path: str, folder: str) -> tuple[str, ...] | None:
    """The parts of a path below a folder: () for the folder itself, None for another place."""
    if path == folder:
        return ()
    prefix = folder.rstrip(os.sep) + os.sep
    if not path.startswith(prefix):
        return None
    return tuple(path[len(prefix) :].split(os.sep))


def _outside(parts: tuple[str, ...]) -> bool:
    return parts[0] in IGNORED_FOLDERS or any(_ignored(part) for part in parts)


def first_difference(old: dict[str, str | None], new: dict[str, str | None], root: Path) -> str | None:
    """A sentence naming the first ingredient that differs; None where none does."""
    for path in sorted(set(old) | set(new)):
        name = os.path.relpath(path, root).replace(os.sep, "/")
        if path not in old:
            return f"{name} is new"
        if path not in new or (new[path] is None and old[path] is not None):
            return f"{name} is gone"
        if old[path] != new[path]:
            return f"{name} changed"
    return None


class Store:
    """Executed notebooks in `.render-cache/`, one file per key; a damaged file is a miss."""

    def __init__(self, root: Path):
        self.root = root
        self.folder = root / CACHE_FOLDER
        self.fingerprints = Fingerprints(self.folder)
        self._packages: dict[str, str] | None = None

    @property
    def packages(self) -> dict[str, str]:
        if self._packages is None:
            self._packages = installed_packages()
        return self._packages

    def _path(self, page: str, key: str) -> Path:
        return self.folder / "executed" / f"{page.replace('/', '--')}.{key[:32]}.ipynb"

    def key(self, steps: list[Step], figures: tuple) -> str:
        return base_key(steps, figures, self.packages)

    def load(self, page: str, key: str) -> tuple[Node | None, str]:
        """The notebook of a key if every ingredient is as it was, else None and the reason."""
        path = self._path(page, key)
        try:
            notebook = Node.of(json.loads(path.read_text(encoding="utf-8")))
            entry = notebook.metadata["render"]
            if entry["key"] != key or entry["checksum"] != _checksum(notebook):
                return None, "its cached result is damaged"
            ingredients = Ingredients(**entry["ingredients"])
            old = dict(entry["manifest"])
        except FileNotFoundError:
            if any(path.parent.glob(f"{page.replace('/', '--')}.*.ipynb")):
                return None, "its cells, the settings or the packages changed"
            return None, "first time"
        except Exception:
            # Whatever is wrong with a cache file, the remedy is to execute again.
            return None, "its cached result cannot be read"
        reason = first_difference(old, ingredients.manifest(self.fingerprints), self.root)
        return (notebook, "") if reason is None else (None, reason)

    def save(self, page: str, key: str, execution: Execution, before: dict[str, str | None]) -> str | None:
        """Keep a result under the ingredients as they are after the execution.

        Parameters
        ----------
        before: `watch()` from before the execution.

        Returns
        -------
        None, or why the result was not kept: a file changed meanwhile that no cell wrote.
        """
        ingredients = Ingredients.of(execution.record, self.root)
        manifest = ingredients.manifest(self.fingerprints)
        written = execution.record.get("written", [])
        for path, digest in manifest.items():
            if digest == "exists":
                continue
            if before.get(path) == digest:
                continue
            if not _written_by(path, written):
                name = os.path.relpath(path, self.root)
                return f"{name} changed while the cells ran"
        notebook = execution.notebook
        notebook.metadata["render"] = {"key": key, "ingredients": vars(ingredients), "manifest": manifest}
        notebook.metadata["render"]["checksum"] = _checksum(notebook)
        data = json.dumps(notebook, ensure_ascii=False, indent=1).encode("utf-8")
        write_atomically(self._path(page, key), data)
        self._prune(page)
        return None

    def watch(self) -> dict[str, str | None]:
        """Digests of everything in the project that an execution may depend on, as it is now."""
        result: dict[str, str | None] = {}
        for entry in sorted(self.root.iterdir()):
            if _ignored(entry.name) or entry.name in IGNORED_FOLDERS:
                continue
            if entry.is_file():
                result[str(entry)] = self.fingerprints.of_file(str(entry))
            elif entry.is_dir():
                for path in tree(entry):
                    result[path] = self.fingerprints.of_file(path)
        for folder in _data_folders():
            for path in tree(Path(folder)):
                result[path] = self.fingerprints.of_file(path, by_content=False)
        return result

    def _prune(self, page: str) -> None:
        pattern = f"{page.replace('/', '--')}.*.ipynb"
        files = sorted((self.folder / "executed").glob(pattern), key=lambda path: path.stat().st_mtime)
        for path in files[:-KEPT_PER_PAGE]:
            path.unlink(missing_ok=True)


def _checksum(notebook: Node) -> str:
    metadata = {k: v for k, v in notebook.metadata["render"].items() if k != "checksum"}
    return digest_of([metadata, notebook.cells])


def _written_by(path: str, written: Iterable[str]) -> bool:
    """Whether a kernel wrote the file, or renamed or made a folder that holds it."""
    return any(_parts_below(path, each) is not None for each in written)

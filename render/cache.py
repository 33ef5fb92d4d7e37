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
import re
import stat
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from .execute import Execution, Step, environment
from .files import write_atomically, write_changed

FOLDER = ".render-cache"
# By-products of programs, whose coming and going means nothing.
IGNORED = frozenset(
    """__pycache__ Thumbs.db desktop.ini .DS_Store node_modules _site _build _freeze .git .venv .quarto
    .render-cache .ipynb_checkpoints .ipython .jupyter .ruff_cache .pytest_cache .idea .vscode""".split()
)
PASSING = re.compile(r"\.(?:~lock|#|.+\.(?:sw[a-p]|[0-9a-f]{8})$)")  # of editors, and `write_atomically`
# Folders of the system, whose files come and go with it; what they hold counts by packages or not at all.
SYSTEM = tuple(
    os.path.join(folder, "")
    for folder in {sys.prefix, sys.base_prefix, os.environ.get("SystemRoot"), os.environ.get("ProgramFiles")}
    | {*"/usr /etc /proc /sys /dev /lib /lib64 /bin /sbin /var /run /snap /System /Library".split()}
    if folder
)
FONTS = (".ttf", ".ttc", ".otf", ".afm")  # matplotlib looks at all of a machine
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

    def of_file(self, path: str | Path, by_content: bool = True) -> str | None:
        """SHA-256 of a file's content, "folder" for a folder, or None where there is neither.

        With `by_content` false the file is not read: its size and time of change stand for it.
        """
        path = str(path)
        try:
            status = os.stat(path)
            if not stat.S_ISREG(status.st_mode):
                return "folder" if stat.S_ISDIR(status.st_mode) else EXISTS
            stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
            if not by_content:
                return " ".join(map(str, stamp[:3]))
            known = self._known.get(path)
            if not isinstance(known, list) or known[:-1] != stamp:
                with open(path, "rb") as file:
                    known = [*stamp, hashlib.file_digest(file, "sha256").hexdigest()]
                self._known[path] = known
        except OSError:
            return None
        return known[-1]

    def of_entry(self, manifest: str, name: str) -> str:
        """A fingerprint of what the artefacts' manifest says of one of them."""
        return digest_of(_entries(manifest, self.of_file(manifest)).get(name))

    def save(self) -> None:
        """Write the memory, where it has grown."""
        write_changed(self._path, json.dumps(self._known).encode("ascii"))


@lru_cache(maxsize=1)
def _entries(manifest: str, digest: str | None) -> dict[str, Any]:
    """What the artefacts' manifest with a digest says of each."""
    try:
        return json.loads(Path(manifest).read_text(encoding="utf-8"))["artefacts"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def digest_of_files(paths: Iterable[Path]) -> str:
    """A fingerprint of some files of the renderer, their names and contents."""
    return digest_of([[path.name, hashlib.sha256(path.read_bytes()).hexdigest()] for path in paths])


def _files_in(folder: str, deep: bool = False) -> list[str]:
    """Files and folders in a folder, by-products left out; with `deep`, all below it."""
    found = []
    for parent, folders, files in os.walk(folder):
        found += [os.path.join(parent, name) for name in sorted([*files, *folders]) if not _ignored(name)]
        folders[:] = [name for name in folders if deep and not _ignored(name)]
    return found


def _ignored(name: str) -> bool:
    return name in IGNORED or bool(PASSING.match(name))


def _below(path: str, folder: str) -> tuple[str, ...] | None:
    """The parts of a path below a folder: () for the folder itself, None for another place."""
    if path == folder:
        return ()
    prefix = folder.rstrip(os.sep) + os.sep
    return tuple(path[len(prefix) :].split(os.sep)) if path.startswith(prefix) else None


def counts(path: str, root: str) -> bool:
    """Whether a file or folder belongs to the project or is somebody's own, and no by-product."""
    parts = _below(path, root)
    if parts is not None:
        return bool(parts) and not any(map(_ignored, parts))
    if path.endswith("METADATA"):  # a package's own version, which a cell may print
        return ".dist-info" in path
    hidden = any(part.startswith(".") for part in path.split(os.sep))
    return not (path.startswith(SYSTEM) or hidden or path.lower().endswith(FONTS))


@dataclass
class Ingredients:
    """What one execution depended on.

    Attributes
    ----------
    files
        Paths that were read or asked for, which count by their content, or by being absent.
    folders
        Paths that were listed ("files": content of the files in it) or that modules were imported from
        ("modules": names of the Python files below it, since each counts by itself once imported).
    entries
        Manifest and name of each stored artefact that was used.
    variables, packages
        Names of environment variables, and those by which packages were imported.
    unseen
        Why the record is not complete; "" if it is.
    """

    files: list[str]
    folders: dict[str, str]
    entries: list[list[str]]
    variables: list[str]
    packages: list[str]
    unseen: str = ""

    @classmethod
    def of(cls, record: dict[str, Any], root: Path) -> Ingredients:
        """Choose the ingredients from what the kernel reported (see `kernel_setup.report`)."""
        top = str(root)
        modules = [path for path in record["modules"] if _below(path, top) and counts(path, top)]
        folders = {}
        for path in modules:
            parts = _below(path, top)
            folders[os.path.join(top, parts[0]) if len(parts) > 1 else top] = "modules"
        written = record["written"]
        files = set(modules)
        for path, since in (record["listed"] | record["read"]).items():
            # What a cell made before it was first asked for is its own; else it counts as the run left it.
            inside = any(written.get(str(each), since) < since for each in (path, *Path(path).parents))
            # A package's own files count by its version, whoever looks at them.
            own = path in record["direct"] and not path.startswith((sys.prefix, sys.base_prefix))
            listed = path in record["listed"]
            # A hidden folder that the page itself writes to is a cache, where other pages write as well.
            is_cache = listed and f"{os.sep}." in path and any(_below(each, path) for each in written)
            if is_cache or not (own or counts(path, top)) or (inside and not listed):
                continue
            if listed and os.path.isdir(path):
                folders.setdefault(path, "files")
            else:
                files.add(path)
        variables = sorted(record["environment"])
        return cls(sorted(files), folders, record["entries"], variables, record["packages"], record["unseen"])

    def manifest(self, store: Store) -> dict[str, str | None]:
        """What identifies each ingredient now, by its name; a missing one has None."""

        def digest(path: str) -> str | None:
            # One's own data may be gigabytes; what lies in the project is small enough to read.
            return store.fingerprints.of_file(path, by_content=_below(path, str(store.root)) is not None)

        result: dict[str, str | None] = {}
        for folder, how in self.folders.items():
            deep = how == "modules" and os.path.isfile(os.path.join(folder, "__init__.py"))
            for path in _files_in(folder, deep):
                if how != "modules":
                    result[path] = digest(path)
                elif path.endswith(".py"):
                    result[path] = EXISTS
        result |= {path: digest(path) for path in self.files}
        of_entry, variables = store.fingerprints.of_entry, environment(store.root)
        result |= {f"'{name}' of {path}": of_entry(path, name) for path, name in self.entries}
        result |= {f"the variable {name}": variables.get(name) for name in self.variables}
        return result | {f"the package {name}": store.versions.get(name) for name in self.packages}


def first_difference(old: dict[str, str | None], new: dict[str, str | None], root: Path) -> str:
    """Words naming the first ingredient that differs; "" where none does."""
    for path in sorted(set(old) | set(new)):
        if old.get(path) != new.get(path):
            name = path.replace(str(root) + os.sep, "").replace(os.sep, "/")
            what = "is new" if old.get(path) is None else "is gone" if new.get(path) is None else "changed"
            return f"{name} {what}"
    return ""


class Store:
    """Executed notebooks in `.render-cache/`, one file per key; a damaged file is a miss."""

    def __init__(self, root: Path):
        self.root = root
        self.folder = root / FOLDER
        self.fingerprints = Fingerprints(self.folder)

    @cached_property
    def versions(self) -> dict[str, str]:
        """The versions of what is installed, by the names under which it is imported."""
        return {
            name: " ".join(sorted({importlib.metadata.version(each) for each in packages}))
            for name, packages in importlib.metadata.packages_distributions().items()
        }

    def key(self, steps: list[Step], figures: tuple) -> str:
        """The part of what a result depends on that is known before the cells run."""
        packages = ("KERAS_", "MPL", "OMP_", "TZ")  # variables that packages read
        variables = environment(self.root).items()
        return digest_of(
            {
                "steps": [[each.source, each.allow_error, each.expressions] for each in steps],
                "figures": figures,
                "environment": {name: value for name, value in variables if name.startswith(packages)},
                "clock": time.tzname,
                "python": [platform.python_version(), platform.machine(), platform.system()],
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
            ingredients = Ingredients(**entry["ingredients"])
            if ingredients.unseen:
                return None, f"nobody sees {ingredients.unseen}"
            reason = first_difference(entry["manifest"], ingredients.manifest(self), self.root)
        except FileNotFoundError:
            return None, "its cells, their settings or the renderer changed" if others else "first time"
        except Exception:
            # Whatever is wrong with a cache file, the remedy is to execute again.
            return None, "its cached result cannot be read"
        return (None, reason) if reason else (notebook, "")

    def save(self, page: str, key: str, execution: Execution, started: float) -> str | None:
        """Keep a result under the ingredients as they are after the execution, which began at `started`.

        Returns
        -------
        str or None
            Why the result was not kept: a file changed after a cell read it, and no cell wrote it.
        """
        ingredients = Ingredients.of(execution.record, self.root)
        manifest = ingredients.manifest(self)
        used = execution.record["listed"] | execution.record["read"] | execution.record["found"]
        for path in manifest:
            if not os.path.isfile(path) or path in execution.record["written"]:
                continue
            status = os.stat(path)
            since = used.get(path, used.get(os.path.dirname(path), started))
            if manifest[path] != EXISTS and max(status.st_mtime, status.st_ctime) > since:
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

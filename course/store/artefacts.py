"""One store for every result that knows its recipe: models, tables, searches, pictures.

`cache/manifest.json` records for each artefact its recipe, the SHA-256 of its files, and when and with
which versions it was made. `load_or_make` hands an artefact out only if it was made by exactly what the
code says now; otherwise it names what changed and makes it again. Settings, all environment variables:

* `COURSE_STRICT=1`: a stored artefact that does not match its recipe is an error (for CI).
* `COURSE_REFIT=1`: make every artefact anew; it wins over `COURSE_STRICT`.
* `COURSE_CACHE=<folder>`: use this folder instead of `cache/`.
* `COURSE_DATA`, `COURSE_NOTEBOOK`: what is made from own data goes to `own-data/<fingerprint>/` in the cache.
"""

from __future__ import annotations

import atexit
import copy
import hashlib
import json
import os
import platform
import re
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from course import paths
from course.store import files, recipes
from course.store.files import say

MANIFEST = "manifest.json"
FORMAT = 2
REMEDY = "Make the folder writable, free some space, or set COURSE_CACHE to another one."


class ArtefactError(RuntimeError):
    """A stored artefact is missing, damaged or of another recipe, or cannot be stored."""


class ArtefactWarning(UserWarning):
    """Something about an artefact needs attention, but the lecture can go on."""


_made: set[tuple[Path, str, str]] = set()  # what COURSE_REFIT has done in this process
_met: dict[str, tuple[Path, Path, dict]] = {}  # cache, folder and entry of what this process used last


def load_or_make(
    name: str,
    recipe: Mapping[str, Any],
    make: Callable[[Path], Mapping[str, Any]],
    load: Callable[[Path, dict], Any],
    rows: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Any:
    """Load the artefact `name` if it is stored with this very recipe; otherwise make and store it.

    ArtefactError: with COURSE_STRICT=1 nothing stored matches; with COURSE_REFIT=1 it cannot be stored.

    Parameters
    ----------
    recipe
        All that can change the result, by ingredient: texts, numbers, arrays, what `recipes.code_of` returns,
        lists and dictionaries of these. `rows` are row codes of the data sets in it, by their SHA-256.
    make, load
        One writes the files, under their final names, into the empty folder that it is given, and returns
        what else the manifest shall record. The other takes their folder and the manifest's entry, and
        reads them; what it raises means damage.
    folder
        Where the manifest and the files lie, if not in the cache: no own data go there.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"artefact name {name!r}: use lower-case letters, digits and underscores only")
    recipe = _as_json(recipe)
    wanted = (name, recipe, rows or {}, load)
    given, folder = folder, folder or cache_folder()
    found, reasons = _try_to_load(folder, *wanted)
    # Asked only then: own data may be the shipped ones, and what uses neither depends on no such setting.
    if not found and given is None and own_data():
        folder = folder / "own-data" / recipes.content_hash(_data_in(recipe))[:12]
        found, reasons = _try_to_load(folder, *wanted)
    done = (folder.absolute(), name, recipes.content_hash(recipe))
    refit = switched_on("COURSE_REFIT") and done not in _made
    if found and not refit:
        return found[0]
    if is_strict():
        why = "".join(f"\n  - {reason}" for reason in reasons)
        raise ArtefactError(
            f"COURSE_STRICT is set, and the artefact '{name}' in {folder} is not what the code makes:{why}\n"
            "Make it again with `make train` (or run the lecture without COURSE_STRICT), or undo the change."
        )
    with files.locked(folder, name) as locked:
        if locked and not refit:
            # Another process may have made it while this one waited.
            found, reasons = _try_to_load(folder, *wanted)
            if found:
                return found[0]
        say(f"Making '{name}': {'COURSE_REFIT is set' if refit else '; '.join(reasons)}.")
        place = _make(folder, name, recipe, rows or {}, make, refit)
    _made.add(done)
    _met[name] = cache_folder(), place, read_manifest(place)["artefacts"][name]
    return load_stored(name, load)  # what is shown is what is stored


def artefact_entry(name: str) -> dict[str, Any]:
    """Return what the manifest records of an artefact: of that which this process used last, if it did.

    Keys: `recipe`, `files` (SHA-256 and bytes by name), `seconds`, `versions`, `made` (UTC), and what `make`
    returned. ArtefactError if there is no such artefact.
    """
    return copy.deepcopy(_find(name)[1])


def load_stored(name: str, load: Callable[[Path, dict], Any]) -> Any:
    """Load an artefact whatever its recipe; ArtefactError if it is missing or damaged."""
    return _load(*_find(name), load)


def changes_since_stored(name: str, recipe: Mapping[str, Any], rows: Mapping[str, str]) -> list[str]:
    """Say in words why a recipe is not that of the stored artefact; an empty list if it is."""
    return _try_to_load(cache_folder(), name, _as_json(recipe), rows, lambda folder, entry: None)[1]


def update_entry(name: str, changes: Mapping[str, Mapping], keep: bool) -> None:
    """Add to tables of the entry of what this process used last; with `keep`, in the manifest too."""
    folder, entry = _find(name)
    entry |= {key: {**entry.get(key, {}), **values} for key, values in changes.items()}
    if not keep:
        return
    try:
        with files.locked(folder, MANIFEST):
            manifest = read_manifest(folder)
            if manifest["artefacts"].get(name, {}).get("recipe") == entry["recipe"]:
                manifest["artefacts"][name] = entry
                files.write_whole(folder / MANIFEST, files.as_json(manifest))
    except OSError as error:
        message = f"what is new about '{name}' could not be stored in {folder}: {error}"
        warnings.warn(message, ArtefactWarning, stacklevel=3)


# --- settings ----------------------------------------------------------------------------------


def cache_folder() -> Path:
    """Return the folder of the artefacts: `COURSE_CACHE` if set, else `cache/`."""
    return Path(os.environ.get("COURSE_CACHE", "").strip() or paths.CACHE)


def own_data() -> bool:
    """Does this run use data of the lecturer's own in place of the shipped handwriting?"""
    return any(os.environ.get(key, "").strip() for key in ("COURSE_DATA", "COURSE_NOTEBOOK"))


def switched_on(variable: str) -> bool:
    """Is this environment variable set to something other than 0, no, false or off?"""
    return os.environ.get(variable, "").strip().lower() not in {"", "0", "no", "false", "off"}


def is_strict() -> bool:
    """Shall what is stored be as the code makes it, and nothing be made?"""
    return switched_on("COURSE_STRICT") and not switched_on("COURSE_REFIT")


# --- files -------------------------------------------------------------------------------------


def read_manifest(folder: Path, only: str = "") -> dict[str, Any]:
    """Return the manifest of a folder, an empty one if there is none; ArtefactError if it is damaged.

    Who records what a page depends on is told of the artefact `only`, for which the reader asks.
    """
    path = folder / MANIFEST
    if only:
        sys.audit("course.store.entry", str(path), only)
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        parts = [manifest["artefacts"], *manifest["artefacts"].values(), manifest["data"]]
        if manifest["format"] != FORMAT or not all(isinstance(part, dict) for part in parts):
            raise ValueError(f"format {manifest['format']!r} is not {FORMAT}, or a part is no mapping")
    except (FileNotFoundError, NotADirectoryError):
        return {"format": FORMAT, "artefacts": {}, "data": {}}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtefactError(f"{path} is damaged ({error!r}); restore it from git") from error
    return manifest


def _as_json(recipe: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(recipe, default=recipes.array_in_words))


def _find(name: str) -> tuple[Path, dict]:
    """The folder and the entry of an artefact: of that which this process used last, if it did."""
    cache, folder, entry = _met.get(name, (None, None, None))
    if cache == cache_folder():
        return folder, entry
    entries = read_manifest(cache_folder(), name)["artefacts"]
    if name not in entries:
        known = ", ".join(sorted(entries)) or "none"
        raise ArtefactError(f"no artefact {name!r} in {cache_folder() / MANIFEST} (known: {known})")
    return cache_folder(), entries[name]


def _data_in(recipe: Mapping[str, Any]) -> list[str]:
    """The SHA-256 of all data in a recipe."""
    return sorted({*re.findall(r'"sha256": "(\w+)"', json.dumps(recipe))})


def _try_to_load(folder: Path, name: str, recipe: dict, rows: Mapping, load: Callable):
    """Return ((what was loaded,), []) on a match, else (None, why in words)."""
    try:
        manifest = read_manifest(folder, name)
        if not (entry := manifest["artefacts"].get(name)):
            return None, ["there is no stored artefact of this name"]
        if recipes.content_hash(entry["recipe"]) != recipes.content_hash(recipe):
            return None, recipes.differences(entry["recipe"], recipe, manifest["data"] | rows)
        found = _load(folder, entry, load)
    except ArtefactError as error:
        return None, [str(error)]
    _met[name] = cache_folder(), folder, entry
    return (found,), []


def _load(folder: Path, entry: dict, load: Callable[[Path, dict], Any]) -> Any:
    for name, recorded in entry["files"].items():
        if not (folder / name).is_file():
            raise ArtefactError(f"{name} is missing")
        if _recorded(folder / name) != recorded:
            raise ArtefactError(f"{name} was changed or damaged since it was stored: its SHA-256 is another")
    try:
        return load(folder, entry)
    except Exception as error:  # Keras raises many kinds
        named = ", ".join(entry["files"])
        raise ArtefactError(f"{named} cannot be loaded: {type(error).__name__}: {error}") from error


def _recorded(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def _make(folder: Path, name: str, recipe: dict, rows: Mapping, make: Callable, refit: bool) -> Path:
    """Make the files and put them into the folder; returns where they are in the end."""

    def trouble(message: str) -> None:
        if refit:
            raise ArtefactError(f"{message} {REMEDY}")
        warnings.warn(f"{message} {REMEDY}", ArtefactWarning, stacklevel=4)

    if blocked := files.why_not_writable(folder):
        trouble(f"{folder} cannot be written ({blocked}): '{name}' can be made, but not stored.")
    # Not in the folder: whatever happens to that one, what was made can be used.
    made = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    started = time.perf_counter()
    try:
        about = make(made)
    except KeyboardInterrupt:
        say(f"Interrupted: '{name}' was not stored; what was stored before is unchanged.")
        raise
    names = sorted(path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file())
    versions = {each: metadata.version(each) for each in ("keras", "keras-tuner", "numpy", "torch")}
    machine = f"{platform.system()} {platform.machine()}"
    entry = {
        "recipe": recipe,
        "files": {each: _recorded(made / each) for each in names},
        "seconds": round(time.perf_counter() - started, 1),
        **about,
        "versions": {"python": platform.python_version(), "machine": machine, **versions},
        "made": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    alone = {"format": FORMAT, "artefacts": {name: entry}, "data": dict(rows)}
    files.write_whole(made / MANIFEST, files.as_json(alone))
    try:
        if not blocked:
            _store(folder, made, name, alone)
            return folder
    except (OSError, shutil.Error) as error:
        trouble(f"'{name}' could not be stored in {folder}: {error}. What was stored before is unchanged.")
    return made


def _store(folder: Path, made: Path, name: str, alone: dict) -> None:
    """Put the files and their entry in the place of those of before: all, or none."""
    near = tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}-")
    with files.locked(folder, MANIFEST), near:
        try:
            manifest = read_manifest(folder)
        except ArtefactError:
            # Somebody may want to mend it by hand: it also spoke of the other artefacts.
            files.write_whole(folder / f"{MANIFEST}.damaged", (folder / MANIFEST).read_bytes())
            manifest = {**alone, "artefacts": {}}
        new, old = alone["artefacts"][name], manifest["artefacts"].get(name, {"files": {}})
        manifest["artefacts"][name] = new
        used = {sha for entry in manifest["artefacts"].values() for sha in _data_in(entry["recipe"])}
        rows = manifest["data"] | alone["data"]
        manifest["data"] = {sha: codes for sha, codes in rows.items() if sha in used}
        shutil.copytree(made, near.name, dirs_exist_ok=True)
        files.write_whole(Path(near.name, MANIFEST), files.as_json(manifest))
        gone = set(old["files"]) - set(new["files"])
        files.move_together([*new["files"], MANIFEST], Path(near.name), folder, gone)
    for key, scores in new.get("metrics", {}).items():
        for metric, value in scores.items() if "metrics" in old else ():
            before = old["metrics"].get(key, {}).get(metric, float("nan"))
            say(f"  {name + ' ' + key + ' ' + metric:<46}old {before:8.4f}   new {value:8.4f}")

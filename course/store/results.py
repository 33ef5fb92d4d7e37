"""Computed results that know their recipe: tables of scores, features, anything made of arrays.

`course.store.artefacts` keeps one fitted model a name. A cross-validation fits dozens, and what a lecture
shows of them is a small table. `compute_or_load` keeps that table in `cache/<name>.npz`, together
with the recipe that made it, and hands it out only if the recipe is still the same. It obeys
`COURSE_STRICT`, `COURSE_REFIT` and `COURSE_CACHE`, as `course.store.artefacts` does.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)
from course.store import files, recipes
from course.store.artefacts import ArtefactError, cache_folder, switched_on

import numpy as np
from tqdm import tqdm

FORMAT = 1
RECIPE = "recipe"

_computed: set[tuple[Path, str]] = set()  # what COURSE_REFIT has done in this process
_Item = TypeVar("_Item")


def compute_or_load(
    name: str,
    compute: Callable[..., Mapping[str, Any]],
    arguments: Mapping[str, Any] | None = None,
    *,
    prepared_by: Sequence[Callable] = (),
) -> dict[str, np.ndarray]:
    """Load the result `name` if it is stored with this very recipe; otherwise compute and store it.

    The recipe is the code of `compute` and `prepared_by`, with all that they use of the lecture and
    of `course`, and the arguments: arrays count by their values, other things by their JSON form.

    Args:
        name: File name without ending; lower-case letters, digits and underscores.
        compute: Called as `compute(**arguments)`; returns `{key: array or number}`, no objects.
            What it depends on must be an argument, a function or a CONSTANT: other variables of
            the lecture are not seen.
        arguments: Arrays, numbers, texts, lists and dictionaries of these.
        prepared_by: The functions that made the arguments.

    Returns:
        The arrays by key, as they are in the file.

    Raises:
        ArtefactError: With `COURSE_STRICT=1`, if nothing stored matches; or if the result cannot
            be stored.
        ValueError, TypeError: On a name, argument or result that cannot be used.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"result name {name!r}: use lower-case letters, digits and underscores only")
    arguments = dict(arguments or {})
    recipe = _recipe(compute, arguments, prepared_by)
    path = cache_folder() / f"{name}.npz"
    refit = switched_on("COURSE_REFIT") and (path.absolute(), name) not in _computed
    reason = "COURSE_REFIT is set"
    if not refit:
        found, reason = _try_to_load(path, recipe)
        if found is not None:
            return found
        if switched_on("COURSE_STRICT") and not switched_on("COURSE_REFIT"):
            raise ArtefactError(
                f"COURSE_STRICT is set, and the result '{name}' in {path.parent} is not what the "
                f"code makes: {reason}.\nCompute it again with `make train` (or run the lecture "
                "without COURSE_STRICT), or undo the change."
            )
    with files.locked(path.parent, path.stem):
        if not refit:
            # Another process may have computed it while we waited.
            found, reason = _try_to_load(path, recipe)
            if found is not None:
                return found
        print(f"Computing '{name}': {reason}.", file=sys.stderr, flush=True)
        started = time.perf_counter()
        result = {key: np.asarray(value) for key, value in compute(**arguments).items()}
        for key, value in result.items():
            if value.dtype == object:
                raise TypeError(f"compute returned Python objects under {key!r}, not numbers")
            if key == RECIPE:
                raise ValueError(f"the key {RECIPE!r} is taken")
        seconds = round(time.perf_counter() - started, 1)
        about = {"format": FORMAT, "seconds": seconds, "recipe": recipe}
        try:
            _store(path, result, about)
        except OSError as error:
            raise ArtefactError(
                f"'{name}' was computed, but could not be stored in {path.parent}: {error}. Free "
                "some space or set COURSE_CACHE to another folder."
            ) from error
    _computed.add((path.absolute(), name))
    found, reason = _try_to_load(path, recipe)
    if found is None:
        raise ArtefactError(f"'{name}' was stored, but cannot be loaded again: {reason}")
    return found


def progress(items: Iterable[_Item], name: str, total: int | None = None) -> Iterator[_Item]:
    """Go through `items` with a bar on the standard error, as `fit_or_load` shows one."""
    return tqdm(
        items,
        desc=name,
        total=total,
        mininterval=0.5 if sys.stderr.isatty() or "ipykernel" in sys.modules else 30,
        dynamic_ncols=True,
    )


def _recipe(
    compute: Callable, arguments: Mapping[str, Any], prepared_by: Sequence[Callable]
) -> dict[str, Any]:
    described = {key: _described(key, value) for key, value in sorted(arguments.items())}
    return {
        "code": recipes.preparation_code([compute, *prepared_by]),
        "arguments": json.loads(json.dumps(described)),
    }


def _described(key: str, value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            raise TypeError(f"argument {key!r} must hold numbers or texts, not Python objects")
        content = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
        digest = hashlib.sha256(f"{value.dtype.str[1:]} {value.shape}".encode())
        digest.update(content.tobytes())
        return {"array": f"{value.dtype.name} {value.shape}", "sha256": digest.hexdigest()}
    if isinstance(value, Mapping):
        return {str(k): _described(f"{key}[{k!r}]", v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_described(f"{key}[{i}]", item) for i, item in enumerate(value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(
        f"argument {key!r} is a {type(value).__name__}; use arrays, numbers, texts, lists or dictionaries"
    )


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """In words what changed between two recipes; empty if nothing did."""
    words = []
    before, after = old.get("arguments", {}), new["arguments"]
    for key in sorted({*before, *after}):
        if key not in before:
            words.append(f"the argument {key} is new")
        elif key not in after:
            words.append(f"the argument {key} is gone")
        elif before[key] != after[key]:
            if isinstance(after[key], dict) and "sha256" in after[key]:
                shape = ""
                old_array = before[key].get("array") if isinstance(before[key], dict) else None
                if old_array != after[key]["array"]:
                    shape = f" ({old_array} → {after[key]['array']})"
                words.append(f"{key}: its values changed{shape}")
            else:
                words.append(f"{key} {_brief(before[key])} → {_brief(after[key])}")
    before, after = old.get("code", {}), new["code"]
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            verb = (
                "changed"
                if key in before and key in after
                else ("is used now" if key in after else "is used no more")
            )
            words.append(f"code: {key.removeprefix('__main__.')} {verb}")
    return "; ".join(words[:4]) + (f" and {len(words) - 4} more" if len(words) > 4 else "")


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"


def _try_to_load(path: Path, recipe: Mapping[str, Any]) -> tuple[dict[str, np.ndarray] | None, str]:
    """Return (arrays, "") on a match, else (None, why in words)."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
        about = json.loads(str(arrays.pop(RECIPE)))
        if about["format"] != FORMAT:
            return None, f"{path.name} has the format {about['format']}, not {FORMAT}"
        difference = _difference(about["recipe"], recipe)
    except FileNotFoundError:
        return None, "there is no stored result of this name"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        return None, f"{path.name} is damaged ({type(error).__name__}: {error})"
    return (None, difference) if difference else (arrays, "")


def _store(path: Path, result: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
    memory = io.BytesIO()
    np.savez_compressed(memory, **result, **{RECIPE: np.array(json.dumps(about))})
    files.write_whole(path, memory.getvalue())

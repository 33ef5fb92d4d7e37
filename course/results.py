"""Results that take long, stored as arrays together with what they were computed from."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from course.store import artefacts, recipes

import numpy as np
from tqdm import tqdm


def compute_or_load(
    name: str,
    compute: Callable[..., Mapping[str, Any]],
    arguments: Mapping[str, Any] | None = None,
    *,
    prepared_by: Sequence[Callable] = (),
) -> dict[str, np.ndarray]:
    """Load the result `name` if it is stored with this very recipe; otherwise compute and store it.

    The result of `compute(**arguments)` is `{key: array or number}`; returned are the arrays by key, as they
    are in the file. The recipe is the code of `compute` and `prepared_by` (the functions that made the
    arguments), with all that they use of the lecture and of `course`, and the arguments: arrays, numbers,
    texts, lists and dictionaries of these. What a function depends on must be an argument, a function or a
    CONSTANT: other variables are not seen. Raises as `load_or_make`; TypeError for results of objects.
    """
    arguments = dict(arguments or {})
    recipe = {"code": recipes.code_of([compute, *prepared_by])}
    recipe |= {f"argument {key}": value for key, value in arguments.items()}

    def make(folder: Path) -> dict:
        result = {key: np.asanyarray(value) for key, value in compute(**arguments).items()}
        for key, value in result.items():
            if value.dtype.hasobject or np.ma.isMaskedArray(result[key]):
                raise TypeError(f"compute returned Python objects or a mask under {key!r}, not numbers")
        np.savez_compressed(folder / f"{name}.npz", **result)
        return {}

    def load(folder: Path, entry: Mapping) -> dict[str, np.ndarray]:
        with np.load(folder / f"{name}.npz", allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}

    return artefacts.load_or_make(name, recipe, make, load)


def progress(items: Iterable[Any], name: str, **options: Any) -> Iterator[Any]:
    """Go through `items` with a bar on the standard error; a log file gets a line now and then."""
    seconds = 0.5 if sys.stderr.isatty() or "ipykernel" in sys.modules else 30
    return tqdm(items, desc=name, mininterval=seconds, dynamic_ncols=True, **options)

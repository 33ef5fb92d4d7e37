"""What a model and its fit are made of, as plain JSON: what Keras objects add to `course.store.recipes`."""

from __future__ import annotations

import base64
import functools
import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from course.store import recipes

import keras
import numpy as np
import torch


def model_recipe(
    build_model: Callable[[], keras.Model],
    data: Mapping[str, Mapping],
    *,
    augment: Callable | None = None,
    prepared_by: Sequence[Callable] = (),
    **options: Any,
) -> dict[str, Any]:
    """Return every ingredient of a fit, ready for JSON.

    `data` holds the fingerprints of "train" and, if there is one, "validation"; the other arguments are
    those of `fit_or_load`. TypeError or ValueError if `build_model` or a function is of no use.
    """
    model, start = _first_model(build_model)
    compiled = describe(model.get_compile_config())
    optimiser = {key: value for key, value in compiled["optimizer"].items() if key != "name"}
    return {
        "architecture": _architecture(model),
        "starting weights": start,
        "optimiser": _with_code(optimiser, [model.optimizer, *vars(model.optimizer).values()]),
        "loss": _with_code(compiled["loss"], model.loss),
        "metrics": _with_code(compiled.get("metrics"), getattr(model, "_compile_metrics", None)),
        "weights in the loss": [compiled.get(key) for key in ("loss_weights", "weighted_metrics")],
        "epochs": options["epochs"],
        "batch size": options["batch_size"],
        "callbacks": [describe(callback) for callback in options["callbacks"]],
        "augmentation": None if augment is None else recipes.code_of([augment]),
        "seed": options["seed"],
        "training data": data["train"],
        "validation data": data.get("validation"),
        "preparation code": recipes.code_of(prepared_by),
    }


def fingerprints(sets: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> tuple[dict[str, dict], dict[str, str]]:
    """Hash data sets (X, y) row by row; return what a recipe holds of each, and row codes by SHA-256.

    The full SHA-256 decides; the row codes, four bytes of each row's hash, say how many rows changed.
    """
    prints, rows = {}, {}
    for key, (X, y) in sets.items():
        if not len(X) or len(X) != len(y):
            raise ValueError(f"X has {len(X):,} rows, and y has {len(y):,}")
        parts = {"inputs": recipes.array_in_words(X), "targets": recipes.array_in_words(y)}
        total = hashlib.sha256(f"{X.dtype.name} {X.shape} {y.dtype.name} {y.shape}".encode())
        codes = bytearray()
        little = (np.ascontiguousarray(a, dtype=a.dtype.newbyteorder("<")) for a in (X, y))
        for row, target in zip(*(a.reshape(len(a), -1).view(np.uint8) for a in little), strict=True):
            digest = hashlib.sha256(row.tobytes() + target.tobytes()).digest()
            total.update(digest)
            codes += digest[:4]
        prints[key] = {"sha256": total.hexdigest(), "rows": len(X), **parts}
        rows[total.hexdigest()] = base64.b64encode(bytes(codes)).decode("ascii")
    return prints, rows


def _first_model(build_model: Callable[[], keras.Model]) -> tuple[keras.Model, dict[str, Any]]:
    """Build under two fixed seeds; return a model and what its starting weights are made of.

    Weights that come out equal are constants or were loaded, as in transfer learning. Random ones follow
    from the seed and the architecture; where they do not, the code of `build_model` counts.
    """
    weights = []
    for seed in (0, 1):
        keras.utils.set_random_seed(seed)
        model = build_model()
        if not isinstance(model, keras.Model) or not getattr(model, "compiled", False):
            raise TypeError(f"build_model must return a compiled Keras model, not {model!r}")
        if not model.built:
            raise ValueError("build_model must return a built model: give it a keras.Input")
        weights.append([np.asarray(value) for value in model.get_weights()])
    fixed = [a if np.array_equal(a, b) else None for a, b in zip(*weights, strict=True)]
    given = sum(value.size for value in fixed if value is not None and value.size and np.ptp(value) > 0)
    start = {"given": int(given), "sha256s": recipes.content_hash(describe(fixed))}
    keras.utils.set_random_seed(seed)
    try:
        rebuilt = [np.asarray(value) for value in keras.models.clone_model(model).get_weights()]
        sets = zip(weights[1], rebuilt, fixed, strict=True)
        follows = all(same is not None or np.array_equal(a, b) for a, b, same in sets)
    except (NotImplementedError, TypeError, ValueError):  # not from what it tells of itself
        follows = False
    return model, start if follows else {**start, "code": recipes.code_of([build_model])}


def _architecture(model: keras.Model) -> dict[str, Any]:
    layers = [model, *model._flatten_layers(include_self=False)]
    text = json.dumps(describe(model.get_config()))
    # That Keras calls a layer conv2d_3 because two others were built before it changes nothing.
    for number, layer in enumerate(layers):
        text = text.replace(f'"{layer.name}"', f'"layer {number}"')
    # What a model holds besides its layers (its loss, say) is another ingredient.
    held = [vars(layer) for layer in layers if not isinstance(layer, keras.Model)]
    code = _code([*map(type, layers), *(value for each in held for value in each.values())])
    return {"class": type(model).__name__, **json.loads(text), "code": code}


def _code(values: Sequence[Any]) -> dict[str, str]:
    """Hashes of the lecture's and the course's functions and classes among the values and their types."""
    found = [value for value in values if callable(value) and not hasattr(value, "get_config")]
    owners = [getattr(inspect.unwrap(each), "__self__", None) for each in found]
    # A layer's own methods, which Keras wraps, belong to its class.
    found = [each for each, owner in zip(found, owners) if not isinstance(owner, keras.Layer)]
    found += [value if isinstance(value, type) else type(value) for value in values]
    return {recipes.name_of(each): recipes.code_hash(each) for each in found if not recipes.is_library(each)}


def _with_code(config: Any, objects: Any) -> Any:
    """Add the code of the lecture's own objects, which Keras stores by name only."""
    code = _code(keras.tree.flatten(objects))
    return {"config": config, "code": code} if code else config


def describe(value: Any) -> Any:
    """Turn configurations, Keras objects, arrays and functions into plain values, ready for JSON."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        # Keras keeps learning rates as float32: 0.0010000000474974513 is meant to be 0.001.
        return float(str(np.float32(value))) if float(np.float32(value)) == value else value
    if isinstance(value, Mapping):
        if value.get("class_name") in {"DTypePolicy", "function"}:
            config = value["config"]
            return config["name"] if isinstance(config, Mapping) else config
        if isinstance(value.get("config"), Mapping):
            rest = {k: v for k, v in value.items() if k not in {"class_name", "config"}}
            value = {"class": value.get("class_name"), **value["config"], **rest}
        # An option that is not used may as well not exist: Keras adds some now and then.
        noise = {"module", "registered_name", "build_config", "compile_config"}
        return {str(k): describe(v) for k, v in value.items() if k not in noise and v is not None}
    if isinstance(value, list | tuple):
        return [describe(item) for item in value]
    if isinstance(value, np.ndarray) or torch.is_tensor(value):
        return recipes.array_in_words(keras.ops.convert_to_numpy(value))
    if callable(value) and hasattr(value, "__qualname__") or isinstance(value, functools.partial):
        name = recipes.name_of(value)
        plain = recipes.is_code(value) and recipes.is_library(value)
        return name if plain else {"function": name, "code": recipes.code_hash(value)}
    own = not recipes.is_library(type(value))
    if isinstance(value, keras.callbacks.Callback):
        # Of Keras's own what the constructors were given, not what an earlier fit left behind.
        given = {name for cls in type(value).__mro__ for name in inspect.signature(cls.__init__).parameters}
        given = vars(value).keys() - vars(keras.callbacks.Callback()) if own else given - {"model"}
        state = {k.lstrip("_"): v for k, v in vars(value).items() if {k, k.lstrip("_")} & given}
    elif hasattr(value, "get_config"):
        state = value.get_config()
    else:
        return recipes.code_hash(value)
    code = {"code": recipes.code_hash(type(value))} if own else {}
    return {"class": type(value).__name__, **code, **describe(state)}

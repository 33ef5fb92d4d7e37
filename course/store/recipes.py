"""What a fitted model is made of: its recipe, and in words how two recipes differ.

`course.store.artefacts` stores the recipe of each model and compares it on every call.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import difflib
import functools
import hashlib
import importlib
import inspect
import json
import os
import sys
import textwrap
import types
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)

import keras
import numpy as np
import torch

INGREDIENTS = (
    "architecture",
    "starting weights",
    "optimiser",
    "loss",
    "metrics",
    "epochs",
    "batch size",
    "callbacks",
    "augmentation",
    "seed",
    "training data",
    "validation data",
    "preparation code",
)


def recipe(
    build_model: Callable[[], keras.Model],
    *,
    data: Mapping[str, Mapping],
    seed: int,
    epochs: int,
    batch_size: int,
    callbacks: Sequence[keras.callbacks.Callback],
    augment: Callable | None,
    prepared_by: Sequence[Callable],
) -> dict[str, Any]:
    """Return the value of each of `INGREDIENTS`, ready for JSON.

    Args:
        build_model: Returns a compiled and built model. It is called twice.
        data: Fingerprints of the sets "train" and, if there is one, "validation".
        seed, epochs, batch_size, callbacks, augment, prepared_by: As `fit_or_load` takes them.

    Raises:
        TypeError, ValueError: If `build_model` or `prepared_by` are of no use, or a function has
            no source.
    """
    parts = ("sha256", "rows", "inputs", "targets")
    brief = {key: {part: value[part] for part in parts} for key, value in data.items()}
    model, start = _first_model(build_model)
    compiled = model.get_compile_config()
    values = {
        "architecture": _architecture(model),
        "starting weights": start,
        "optimiser": _without_name(describe(compiled["optimizer"])),
        "loss": _with_code(compiled["loss"], model.loss),
        "metrics": _with_code(compiled["metrics"], getattr(model, "_compile_metrics", None)),
        "epochs": epochs,
        "batch size": batch_size,
        "callbacks": [describe(callback) for callback in callbacks],
        "augmentation": None if augment is None else preparation_code([augment]),
        "seed": seed,
        "training data": brief["train"],
        "validation data": brief.get("validation"),
        "preparation code": preparation_code(prepared_by),
    }
    for option in ("loss_weights", "weighted_metrics"):
        if compiled.get(option) is not None:
            values["loss"] = {"loss": values["loss"], option: describe(compiled[option])}
    # A round trip, so that a stored recipe and a new one hold the same types.
    return {key: json.loads(json.dumps(values[key])) for key in INGREDIENTS}


def content_hash(value: Any) -> str:
    """Return the SHA-256 of a value that JSON can hold."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


# --- ingredients: the model --------------------------------------------------------------------


def _first_model(build_model: Callable[[], keras.Model]) -> tuple[keras.Model, dict[str, Any]]:
    """Build under two fixed seeds; return a model and its starting weights that are not random.

    Weights that come out equal are constants (zeros, ones) or were loaded, as in transfer
    learning. Random ones follow from the seed and the initialisers, which are ingredients
    already; their last digits could differ between machines, so they are not hashed.
    """
    built = []
    weights = []
    for seed in (0, 1):
        keras.utils.set_random_seed(seed)
        model = build_model()
        if not isinstance(model, keras.Model) or not getattr(model, "compiled", False):
            raise TypeError(f"build_model must return a compiled Keras model, not {model!r}")
        if not model.built:
            raise ValueError(
                "build_model must return a built model: give it a keras.Input, so that its "
                "weights exist before the first batch"
            )
        built.append(model)
        weights.append([np.asarray(value) for value in model.get_weights()])
    fixed = [a if np.array_equal(a, b) else None for a, b in zip(*weights, strict=True)]
    digest = hashlib.sha256()
    for value in fixed:
        digest.update(b"random" if value is None else _array_digest(value))
    given = sum(value.size for value in fixed if value is not None and value.size and np.ptp(value) > 0)
    return built[0], {"given": int(given), "sha256": digest.hexdigest()}


def _architecture(model: keras.Model) -> dict[str, Any]:
    layers = getattr(model, "layers", [])
    config = model.get_config()
    names = {layer.name: f"{type(layer).__name__.lower()}" for layer in layers}
    for nested in model._flatten_layers():
        names.setdefault(nested.name, type(nested).__name__.lower())
    numbers: Counter = Counter()
    for name in names:
        numbers[names[name]] += 1
        names[name] += f"_{numbers[names[name]]}"
    described = describe(config, names)
    described = {"class": type(model).__name__, **described}
    described.pop("name", None)
    code = {}
    for layer in (model, *model._flatten_layers(include_self=False)):
        # What a model holds besides its layers (its loss, say) is another ingredient.
        held = () if isinstance(layer, keras.Model) else vars(layer).values()
        for value in (type(layer), *held):
            if isinstance(value, (type, types.FunctionType)) and not _is_library(value):
                code[_qualified_name(value)] = code_hash(value)
    if code:
        described["code"] = code
    return described


# Places in a model's configuration that hold names of layers and nothing else.
_NAME_KEYS = {"name", "keras_history", "input_layers", "output_layers", "inbound_nodes"}
_NOISE_KEYS = {"module", "registered_name", "build_config", "compile_config"}


def describe(value: Any, names: Mapping[str, str] | None = None, key: str = "") -> Any:
    """Turn configurations, Keras objects and functions into plain values, ready for JSON.

    `names` maps layer names to normalised ones: that Keras calls a layer conv2d_3 because two
    others were built before it does not change what is fitted.
    """
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        # Keras keeps learning rates as float32: 0.0010000000474974513 is meant to be 0.001.
        return float(f"{value:.7g}")
    if isinstance(value, str):
        return names.get(value, value) if names and key in _NAME_KEYS else value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, np.generic):
        return describe(value.item(), names, key)
    if isinstance(value, Mapping):
        if value.get("class_name") == "DTypePolicy":
            return value["config"]["name"]
        if value.get("class_name") == "function":
            return value["config"]
        if "class_name" in value and isinstance(value.get("config"), Mapping):
            rest = {k: v for k, v in value.items() if k not in {"class_name", "config"}}
            # inbound_nodes and the like stand beside the configuration of a layer
            value = {"class": value["class_name"], **value["config"], **rest}
        # An option that is not used may as well not exist: Keras adds some now and then.
        used = {str(k): v for k, v in value.items() if k not in _NOISE_KEYS and v is not None}
        return {k: describe(v, names, k) for k, v in used.items()}
    if isinstance(value, (list, tuple)):
        return [describe(item, names, key) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((describe(item, names, key) for item in value), key=repr)
    if isinstance(value, np.ndarray) or torch.is_tensor(value):
        value = np.asarray(keras.ops.convert_to_numpy(value))
        return {"array": _shape(value), "sha256": _array_digest(value).hex()}
    if isinstance(value, functools.partial):
        arguments = describe([value.args, value.keywords])
        return {"function": describe(value.func), "arguments": arguments}
    if isinstance(value, types.MethodType):
        return {"method": value.__name__, "of": describe(value.__self__)}
    if callable(value) and hasattr(value, "__qualname__"):
        if _is_library(value):
            return f"{value.__module__}.{value.__qualname__}"
        return {"function": value.__qualname__, "code": code_hash(value)}
    return _describe_object(value)


def _describe_object(value: Any) -> dict[str, Any]:
    described: dict[str, Any] = {"class": type(value).__name__}
    if not _is_library(type(value)):
        described["code"] = code_hash(type(value))
    if isinstance(value, keras.callbacks.Callback):
        state = {k: v for k, v in vars(value).items() if k not in {"validation_data", "params"}}
        # What the constructor was given, not what an earlier fit left behind.
        given = {}
        for cls in type(value).__mro__:
            if "__init__" in vars(cls):
                for parameter in list(inspect.signature(cls.__init__).parameters)[1:]:
                    for attribute in (parameter, f"_{parameter}"):
                        if attribute in state:
                            given.setdefault(parameter, state[attribute])
        state = given
    elif hasattr(value, "get_config"):
        state = value.get_config()
    else:
        state = {k: v for k, v in vars(value).items() if not k.startswith("_")}
    described.update(describe({k: v for k, v in state.items() if k != "model"}))
    return described


def _without_name(described: Any) -> Any:
    """Drop the name that Keras makes up (adam, adam_1 …)."""
    if isinstance(described, dict):
        return {key: value for key, value in described.items() if key != "name"}
    return described


def _with_code(config: Any, objects: Any) -> Any:
    """Add the code of the lecture's own losses and metrics, which Keras stores by name only."""
    described = describe(config)
    code = {
        _qualified_name(item): code_hash(item)
        for one in keras.tree.flatten(objects)
        for item in (one, type(one))
        if isinstance(item, (types.FunctionType, type)) and not _is_library(item)
    }
    return {"config": described, "code": code} if code else described


def _is_library(value: Any) -> bool:
    """Is this class or function neither the lecture's nor the course's?"""
    module = getattr(value, "__module__", None) or ""
    top = module.partition(".")[0]
    if top in {"keras", "torch", "numpy", "builtins"}:
        return True
    if top in {"course", "__main__", ""}:
        return False
    file = getattr(sys.modules.get(module), "__file__", None)
    return bool(file) and (
        "site-packages" in Path(file).parts
        or "lib" in Path(file).parts
        and Path(file).is_relative_to(Path(os.__file__).parent)
    )


# Stored recipes name functions by the modules that they lay in when they were stored.
_STORED_AS = {
    "course.models.architectures": "course.architectures",
    "course.models.efficientnet_lite": "course.imagenet.efficientnet_lite",
    "course.photos": "course.imagenet.photos",
    "course.models.classify": "course.imagenet.classify",
    "course.models.claims": "course.tuning.claims",
    "course.models.teach": "course.teach",
    "course.models.feature_patterns": "course.feature_visualisation",
    "course.store.artefacts": "course.artefacts",
    "course.store.results": "course.results",
    "course.store.recipes": "course.recipes",
    "course.store.files": "course.files",
    "course.store.searches": "course.tuning.search",
    "tools.tune.distributed": "course.tuning.distributed",
    "tools.draw_yourself": "course.browser_model",
}


def _qualified_name(value: Any) -> str:
    return f"{_STORED_AS.get(value.__module__, value.__module__)}.{value.__qualname__}"


# --- ingredients: code -------------------------------------------------------------------------


def preparation_code(functions: Sequence[Callable]) -> dict[str, str]:
    """Return a hash for each given function and for all that they use of `course`.

    Followed are functions, classes and CONSTANTS (in capitals, so that they are no caches) of the
    `course` package and of the function's own module, however they are reached. Comments,
    docstrings, annotations, layout and quotes do not count. Other packages do not count either:
    their versions are recorded as provenance.
    """
    found: dict[str, str] = {}
    waiting = []
    for function in functions:
        if not callable(function) or not hasattr(inspect.unwrap(function), "__module__"):
            raise TypeError(f"prepared_by must hold functions, not {function!r}")
        waiting.append(function)
    while waiting:
        value = inspect.unwrap(waiting.pop())
        if isinstance(value, functools.partial):
            waiting.append(value.func)
            found[f"arguments of {getattr(value.func, '__qualname__', value.func)}"] = content_hash(
                describe([value.args, value.keywords])
            )
            continue
        name = _qualified_name(value)
        if name in found:
            continue
        found[name] = code_hash(value)
        for used_name, used in _used_by(value).items():
            if isinstance(used, (types.FunctionType, type)) or hasattr(used, "__wrapped__"):
                waiting.append(used)
            else:
                found[used_name] = content_hash(describe(used))
    return dict(sorted(found.items()))


def _used_by(value: Any) -> dict[str, Any]:
    """Find what a function or class uses of its own module and of `course`."""
    used: dict[str, Any] = {}
    home = value.__module__

    def is_ours(module: str | None) -> bool:
        return bool(module) and (module == home or module.partition(".")[0] == "course")

    def add(name: str, thing: Any, module: str) -> None:
        thing_home = getattr(thing, "__module__", None)
        if isinstance(thing, types.ModuleType):
            return
        if isinstance(thing, (types.FunctionType, type)) or hasattr(thing, "__wrapped__"):
            if is_ours(thing_home):
                used[name] = thing
        elif is_ours(module) and name.isupper() and _is_constant(thing):
            used[f"{_STORED_AS.get(module, module)}.{name}"] = thing

    for function in _functions_of(value):
        scope = {**function.__globals__}
        for variable, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
            with contextlib.suppress(ValueError):  # a cell that is still empty
                scope[variable] = cell.cell_contents
        tree = _syntax_tree(function)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and is_ours(node.module) and not node.level:
                module = importlib.import_module(node.module)
                for alias in node.names:
                    if hasattr(module, alias.name):
                        scope[alias.asname or alias.name] = getattr(module, alias.name)
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id in scope:
                add(node.id, scope[node.id], home)
            elif isinstance(node, ast.Attribute):
                owner = _resolve(node.value, scope)
                if isinstance(owner, types.ModuleType) and is_ours(owner.__name__):
                    if hasattr(owner, node.attr):
                        add(node.attr, getattr(owner, node.attr), owner.__name__)
    return used


def _resolve(node: ast.AST, scope: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return scope.get(node.id)
    if isinstance(node, ast.Attribute):
        return getattr(_resolve(node.value, scope), node.attr, None)
    return None


def _is_constant(value: Any) -> bool:
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(_is_constant(item) for item in value)
    if isinstance(value, Mapping):
        return all(_is_constant(item) for pair in value.items() for item in pair)
    return value is None or isinstance(value, (bool, int, float, complex, str, bytes, np.ndarray))


def _functions_of(value: Any) -> list[types.FunctionType]:
    if not isinstance(value, type):
        value = inspect.unwrap(value)
        return [value] if isinstance(value, types.FunctionType) else []
    found = []
    for _, member in sorted(vars(value).items()):
        if isinstance(member, property):
            found += [part for part in (member.fget, member.fset) if part is not None]
        else:
            member = inspect.unwrap(getattr(member, "__func__", member))
            if isinstance(member, types.FunctionType) and member.__module__ == value.__module__:
                found.append(member)
    # Methods that @dataclass writes have no source; they follow from the fields.
    return [function for function in found if function.__code__.co_filename != "<string>"]


def code_hash(value: Any) -> str:
    """Hash the syntax of a function, or of a class's functions, constants and bases."""
    if isinstance(value, type):
        functions = _functions_of(value)
        parts: Any = {
            "bases": [_qualified_name(base) for base in value.__bases__],
            "functions": {f.__qualname__: _normalised(_syntax_tree(f)) for f in functions},
            "fields": list(inspect.get_annotations(value)),
            "constants": {
                key: describe(member)
                for key, member in sorted(vars(value).items())
                if not key.startswith("__") and _is_constant(member)
            },
        }
        return content_hash(parts)
    return content_hash([_normalised(_syntax_tree(f)) for f in _functions_of(value)] or repr(value))


def _syntax_tree(function: types.FunctionType) -> ast.AST:
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError) as error:
        raise TypeError(
            f"the source of {_qualified_name(function)} cannot be read ({error}); define it in a "
            "file or in a notebook cell"
        ) from error
    try:
        return ast.parse(source)
    except SyntaxError:
        # A lambda in the middle of a statement: its text stands for it.
        return ast.parse(repr(" ".join(source.split())))


def _normalised(node: Any) -> Any:
    """Turn a syntax tree into lists, without docstrings, positions and empty fields.

    Unlike `ast.dump` it comes out the same in all Python versions of this course.
    """
    if isinstance(node, ast.AST):
        fields = dict(ast.iter_fields(node))
        body = fields.get("body")
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
                if isinstance(body[0].value.value, str) and not isinstance(node, ast.Module):
                    fields["body"] = body[1:]
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.arg)):
            fields.pop("annotation", None)
            fields.pop("returns", None)
        return [type(node).__name__] + [
            [key, _normalised(value)]
            for key, value in fields.items()
            if value is not None and value != [] and key not in {"ctx", "kind", "type_comment"}
        ]
    if isinstance(node, list):
        return [_normalised(item) for item in node]
    if isinstance(node, (str, int, bool)) or node is None:
        return node
    return repr(node)


# --- ingredients: data -------------------------------------------------------------------------


def _shape(array: np.ndarray) -> str:
    return f"{array.dtype.name} {'×'.join(f'{size:,}' for size in array.shape)}"


def _array_digest(array: np.ndarray) -> bytes:
    digest = hashlib.sha256(f"{array.dtype.name} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data)
    return digest.digest()


def fingerprint(data: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    """Hash a data set row by row.

    The full SHA-256 decides; four bytes of each row's hash are kept as well, so that a mismatch
    can say how many rows changed.
    """
    X, y = data
    if len(X) != len(y):
        raise ValueError(f"X has {len(X):,} rows, but y has {len(y):,}")
    total = hashlib.sha256(f"{X.dtype.name} {X.shape} {y.dtype.name} {y.shape}".encode())
    inputs, codes = [], bytearray()
    X, y = (np.ascontiguousarray(a, dtype=a.dtype.newbyteorder("<")) for a in (X, y))
    flat_X = X.reshape(len(X), -1).view(np.uint8)
    flat_y = y.reshape(len(y), -1).view(np.uint8)
    for row, target in zip(flat_X, flat_y, strict=True):
        digest = hashlib.sha256(row)
        inputs.append(digest.digest())
        digest.update(target)
        total.update(digest.digest())
        codes += digest.digest()[:4]
    return {
        "sha256": total.hexdigest(),
        "rows": len(X),
        "inputs": {"array": _shape(X), "sha256": hashlib.sha256(b"".join(inputs)).hexdigest()},
        "targets": {"array": _shape(y), "sha256": _array_digest(y).hex()},
        "row_codes": base64.b64encode(bytes(codes)).decode("ascii"),
    }


# --- what changed, in words --------------------------------------------------------------------


def differences(old: Mapping, new: Mapping, stored_rows: Mapping, fingerprints: Mapping) -> list[str]:
    """Say in words how recipe `new` differs from `old`; an empty list if it does not.

    Args:
        old, new: Recipes.
        stored_rows: Row codes of stored data sets, by their SHA-256.
        fingerprints: Fingerprints of the new data, by set name.
    """
    reasons = []
    for key in INGREDIENTS:
        before, after = old.get(key), new[key]
        if before == after:
            continue
        if key in {"training data", "validation data"} and before and after:
            codes = fingerprints["train" if key == "training data" else "validation"]["row_codes"]
            reasons.append(f"{key}: " + _data_words(before, after, stored_rows, codes))
        elif key == "architecture" and isinstance(before, dict):
            reasons.append("architecture: " + _architecture_words(before, after))
        elif key == "starting weights":
            # Another architecture has other zeros and ones too: that is no news of its own.
            if old.get("architecture") != new["architecture"]:
                if isinstance(before, dict) and before.get("given") == after["given"] == 0:
                    continue
            reasons.append("starting weights: the weights that the model is built with changed")
        elif key in {"preparation code", "augmentation"} and before and after:
            reasons.append(f"{key}: " + code_in_words(before, after))
        elif isinstance(after, int):
            reasons.append(f"{key} {before} → {after}")
        elif before is None or after is None:
            words = {True: "none", False: "given"}
            reasons.append(f"{key}: {words[before is None]} → {words[after is None]}")
        else:
            reasons.append(f"{key}: " + in_words(flat_differences(before, after)))
    return reasons


def _data_words(before: Mapping, after: Mapping, stored: Mapping, codes: str) -> str:
    words = []
    for part in ("inputs", "targets"):
        if before[part]["array"] != after[part]["array"]:
            words.append(f"{part} {before[part]['array']} → {after[part]['array']}")
    try:
        old = np.frombuffer(base64.b64decode(stored[before["sha256"]]), dtype="<u4")
    except (KeyError, ValueError, TypeError):
        old = None
    new = np.frombuffer(base64.b64decode(codes), dtype="<u4")
    changed = [part for part in ("inputs", "targets") if before[part]["sha256"] != after[part]["sha256"]]
    if old is None or any("→" in word and word.split()[1] != word.split()[4] for word in words):
        return "; ".join(words) or f"the {' and '.join(changed)} differ"
    if len(old) == len(new):
        differ = int((old != new).sum())
        if Counter(old.tolist()) == Counter(new.tolist()):
            return f"the same {len(new):,} rows in another order"
        words.append(f"{differ:,} of {len(new):,} rows differ (in their {' and '.join(changed)})")
    else:
        gone = sum((Counter(old.tolist()) - Counter(new.tolist())).values())
        come = sum((Counter(new.tolist()) - Counter(old.tolist())).values())
        words.append(f"{gone:,} rows removed, {come:,} added")
    return "; ".join(words)


def _architecture_words(before: Mapping, after: Mapping) -> str:
    old, new = (
        [layer for layer in side.get("layers", []) if layer.get("class") != "InputLayer"]
        for side in (before, after)
    )
    if [layer["class"] for layer in old] != [layer["class"] for layer in new]:
        words = []
        matcher = difflib.SequenceMatcher(
            a=[layer["class"] for layer in old], b=[layer["class"] for layer in new], autojunk=False
        )
        for tag, a0, a1, b0, b1 in matcher.get_opcodes():
            removed = [f"layer {i + 1} ({_layer_word(old[i])}) removed" for i in range(a0, a1)]
            added = [f"layer {i + 1} ({_layer_word(new[i])}) added" for i in range(b0, b1)]
            words += [] if tag == "equal" else removed + added
        return in_words(words)
    words = []
    for number, (a, b) in enumerate(zip(old, new, strict=True), start=1):
        changes = flat_differences(
            {k: v for k, v in a.items() if k != "inbound_nodes"},
            {k: v for k, v in b.items() if k != "inbound_nodes"},
        )
        if changes:
            words.append(f"layer {number} ({_layer_word(b)}): " + in_words(changes))
    if not words:
        words = flat_differences(before, after)
    return in_words(words)


def _layer_word(layer: Mapping) -> str:
    return str(layer["class"]).lower()


def code_in_words(before: Mapping, after: Mapping) -> str:
    """Say which functions differ between two results of `preparation_code`."""
    words = [f"{key} changed" for key in after if key in before and before[key] != after[key]]
    words += [f"{key} is used now" for key in after if key not in before]
    words += [f"{key} is used no more" for key in before if key not in after]
    return in_words(words)


def flat_differences(before: Any, after: Any, path: str = "") -> list[str]:
    """List in words where two results of `describe` differ, each with the way that leads to it."""
    if before == after:
        return []
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        if before.get("class") != after.get("class"):
            return [f"{path} {in_brief(before)} → {in_brief(after)}".strip()]
        words = []
        for key in [*after, *(key for key in before if key not in after)]:
            inner = f"{path} {key}".strip()
            if key in {"code", "sha256"} and before.get(key) != after.get(key):
                words.append(f"{path} code".strip() + " changed")
            else:
                words += flat_differences(before.get(key), after.get(key), inner)
        return words
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        if any(isinstance(item, (dict, list)) for item in (*before, *after)):
            words = []
            for number, (a, b) in enumerate(zip(before, after, strict=True), start=1):
                same = isinstance(a, Mapping) and isinstance(b, Mapping)
                same = same and a.get("class") == b.get("class")
                label = (b.get("class") or str(number)) if same else ""
                words += flat_differences(a, b, f"{path} {label}".strip())
            return words
    return [f"{path} {in_brief(before)} → {in_brief(after)}".strip()]


def in_brief(value: Any) -> str:
    """Name a described value in at most 60 characters; a Keras object by its class."""
    if isinstance(value, Mapping) and "class" in value:
        return str(value["class"])
    if isinstance(value, Mapping) and "config" in value:
        return in_brief(value["config"])
    if value in (None, [], {}):
        return "none"
    if isinstance(value, list):
        return "[" + ", ".join(in_brief(item) for item in value) + "]"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"


def in_words(words: Sequence[str], most: int = 4) -> str:
    """Join the first `most` changes, and say how many more there are."""
    shown = ", ".join(words[:most])
    return shown + (f" and {len(words) - most} more changes" if len(words) > most else "")

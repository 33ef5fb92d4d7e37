"""What a stored result is made of: values, data and code as plain JSON, and how two of them differ.

Code counts by its syntax. Comments, docstrings, annotations, layout, what a `raise` says and the file in
which a function lies do not count, nor do other packages: their versions are recorded beside a result.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import difflib
import dis
import functools
import hashlib
import importlib
import inspect
import json
import sys
import sysconfig
import textwrap
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)

import keras
import numpy as np
import torch


def content_hash(value: Any) -> str:
    """Return the SHA-256 of a value that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode("utf-8")).hexdigest()


# --- code --------------------------------------------------------------------------------------


def code_of(functions: Iterable[Callable]) -> dict[str, dict[str, str]]:
    """Return a hash for each given function and for all that it uses of `course` and of the lecture.

    Followed are functions, classes and CONSTANTS (in capitals, so that they are no caches), by the names
    that Python would look up: a local variable that is named like a function stands for itself.

    Returns
    -------
    {"functions": {name: SHA-256}}

    Raises
    ------
    TypeError
        Something that is no function, or whose source cannot be read.
    """
    found: dict[str, set[str]] = {}
    seen: list[Any] = []
    waiting = [("", function) for function in functions]
    while waiting:
        name, value = waiting.pop()
        if any(value is each for each in seen):
            continue
        seen.append(value)
        if isinstance(value, functools.partial):
            waiting.append(("", value.func))
            name, value = f"arguments of {_name(value.func)}", [value.args, value.keywords]
        if name and not is_code(value):
            found.setdefault(name, set()).add(content_hash(describe(value)))
            continue
        value = inspect.unwrap(value) if callable(value) else value
        if not is_code(value) and not is_library(value):
            raise TypeError(f"a recipe is made of functions, not of {value!r}")
        found.setdefault(_name(value), set())
        if not is_library(value):
            found[_name(value)].add(code_hash(value))
            waiting += _used_by(value)
    # Functions of one name in two files count together.
    return {"functions": {name: content_hash(sorted(found[name])) for name in sorted(found)}}


def code_hash(value: Any) -> str:
    """Hash the syntax of a function, or of a class's functions, constants and bases."""
    functions = {each.__qualname__: _plain(_tree(each)) for each in _functions_of(value)}
    if not isinstance(value, type):
        return content_hash([*functions.values()])
    constants = {k: describe(v) for k, v in vars(value).items() if k[:2] != "__" and _is_constant(v)}
    bases, fields = [_name(base) for base in value.__bases__], list(inspect.get_annotations(value))
    return content_hash({"functions": functions, "bases": bases, "fields": fields, "constants": constants})


def is_code(value: Any) -> bool:
    """Is this a function or a class, perhaps one that a decorator has wrapped?"""
    return isinstance(value, types.FunctionType | type) or hasattr(value, "__wrapped__")


def is_library(value: Any) -> bool:
    """Is this function, class or module neither the lecture's nor the course's?"""
    module = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
    top = (module or "").partition(".")[0]
    if top in {"course", "__main__", ""}:
        return (module or "").startswith("course.store")  # what keeps a result does not change it
    file = getattr(sys.modules.get(module), "__file__", None)
    places = {sysconfig.get_path(key) for key in ("purelib", "platlib")}
    return top in sys.stdlib_module_names or bool(file and any(Path(file).is_relative_to(p) for p in places))


def _name(value: Any) -> str:
    return f"{value.__module__.partition('.')[0]}." * is_library(value) + value.__qualname__


def _used_by(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a function or class uses of the lecture and of `course`, each with a name."""
    used = {base.__qualname__: base for base in value.__bases__} if isinstance(value, type) else {}
    for function in _functions_of(value):
        tree = _tree(function)
        scope = dict(function.__globals__)
        for variable, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
            with contextlib.suppress(ValueError):  # a cell that is still empty
                scope[variable] = cell.cell_contents
        names = _global_names(compile(tree, "recipe", "exec"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and not node.level and node.module.startswith("course"):
                module = importlib.import_module(node.module)
                scope |= {each.asname or each.name: getattr(module, each.name, None) for each in node.names}
                names |= {each.asname or each.name for each in node.names}
        used |= {name: scope[name] for name in names if name in scope}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
                *way, last = ast.unparse(node).split(".")
                owner = scope.get(way[0]) if way[0] in names else None
                for each in way[1:]:
                    owner = getattr(owner, each, None) if isinstance(owner, types.ModuleType) else None
                if isinstance(owner, types.ModuleType) and not is_library(owner) and hasattr(owner, last):
                    used[last] = getattr(owner, last)
    for name, thing in sorted(used.items()):
        if (
            not is_library(inspect.unwrap(thing))
            if is_code(thing)
            else name.isupper() and _is_constant(thing)
        ):
            yield name, thing


def _global_names(code: types.CodeType) -> set[str]:
    """The names that the compiler looks up outside of the functions' own scopes."""
    found = {
        each.argval for each in dis.get_instructions(code) if each.opname in {"LOAD_GLOBAL", "LOAD_NAME"}
    }
    inner = (_global_names(each) for each in code.co_consts if isinstance(each, types.CodeType))
    return found.union(*inner)


def _is_constant(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_is_constant(item) for pair in value.items() for item in pair)
    if isinstance(value, list | tuple | set | frozenset):
        return all(_is_constant(item) for item in value)
    return value is None or isinstance(value, bool | int | float | complex | str | bytes | np.ndarray)


def _functions_of(value: Any) -> list[types.FunctionType]:
    found = [value]
    if isinstance(value, type):
        members = [member for _, member in sorted(vars(value).items())]
        found = [getattr(m, part, None) for m in members for part in ("fget", "fset", "func", "__func__")]
        found += [member for member in members if getattr(member, "__module__", None) == value.__module__]
    found = [inspect.unwrap(each) for each in found if callable(each)]
    # Methods that @dataclass writes have no source; they follow from the fields.
    return [f for f in found if isinstance(f, types.FunctionType) and f.__code__.co_filename != "<string>"]


@functools.lru_cache(maxsize=1024)
def _tree(function: types.FunctionType) -> ast.Module:
    """The syntax of a function, less what changes no number."""
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError) as error:
        raise TypeError(
            f"the source of {function.__qualname__} cannot be read ({error}); define it in a file or a cell"
        ) from error
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a lambda in the middle of a statement: its text stands for it
        tree = ast.parse(repr(" ".join(source.split())))
    return ast.fix_missing_locations(_Essential().visit(tree))


class _Essential(ast.NodeTransformer):
    """Drops docstrings, annotations, what a `raise` says, and texts that nothing else reads."""

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return ast.Raise(exc=node.exc.func if isinstance(node.exc, ast.Call) else node.exc)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg(arg=node.arg)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        return self.visit(ast.Assign(targets=[node.target], value=node.value)) if node.value else ast.Pass()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        self.generic_visit(node)
        read = {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and not _is_stored(each)}
        for each in ast.walk(node):
            for part in ("body", "orelse"):
                if isinstance(body := getattr(each, part, None), list) and body:
                    body[:] = [one for one in body if not _is_text_for(one, read)] or [ast.Pass()]
        return node

    visit_AsyncFunctionDef = visit_FunctionDef


def _is_stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def _is_text_for(node: ast.AST, read: set[str]) -> bool:
    """Is this a docstring, or does it put a text into a variable that is not among those that are read?"""
    if not isinstance(node, ast.Expr | ast.Assign | ast.AugAssign):
        return False
    if not isinstance(node.value, ast.Constant | ast.JoinedStr | ast.BinOp | ast.IfExp):
        return False
    texts = [each for each in ast.walk(node.value) if isinstance(getattr(each, "value", None), str)]
    stored = [each for each in ast.walk(node) if isinstance(each, ast.Name) and _is_stored(each)]
    return (
        bool(texts)
        and not any(isinstance(each, ast.Call) for each in ast.walk(node))
        and not ({each.id for each in stored} & read)
    )


def _plain(node: Any) -> Any:
    """A syntax tree as lists, the same in all Python versions of this course, unlike `ast.dump`."""
    if isinstance(node, ast.AST):
        skipped = {"ctx", "kind", "type_comment", "type_params"}
        if isinstance(node, ast.ImportFrom):
            skipped |= {"module", "level"}  # a function may move to another file
        fields = [(key, _plain(value)) for key, value in ast.iter_fields(node) if key not in skipped]
        return [type(node).__name__] + [[key, value] for key, value in fields if value not in (None, [])]
    if isinstance(node, list):
        return [_plain(item) for item in node]
    return node if isinstance(node, str | int | bool) or node is None else repr(node)


# --- values and data ---------------------------------------------------------------------------


def describe(value: Any) -> Any:
    """Turn configurations, Keras objects, arrays and functions into plain values, ready for JSON."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        # Keras keeps learning rates as float32: 0.0010000000474974513 is meant to be 0.001.
        return float(f"{value:.7g}")
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
    if isinstance(value, set | frozenset):
        return sorted((describe(item) for item in value), key=repr)
    if isinstance(value, np.ndarray) or torch.is_tensor(value):
        value = keras.ops.convert_to_numpy(value) if torch.is_tensor(value) else value
        return {"array": _shape(value), "sha256": array_hash(value)}
    if isinstance(value, functools.partial):
        return {"function": describe(value.func), "arguments": describe([value.args, value.keywords])}
    if isinstance(value, types.MethodType):
        return {"method": value.__name__, "of": describe(value.__self__)}
    if callable(value) and hasattr(value, "__qualname__"):
        return _name(value) if is_library(value) else {"function": _name(value), "code": code_hash(value)}
    if isinstance(value, bytes | complex):
        return repr(value)
    state = {k: v for k, v in vars(value).items() if not k.startswith("_")}
    if isinstance(value, keras.callbacks.Callback):
        # What the constructors were given, not what an earlier fit left behind.
        given = {name for cls in type(value).__mro__ for name in inspect.signature(cls.__init__).parameters}
        state = {k.lstrip("_"): v for k, v in vars(value).items() if k.lstrip("_") in given - {"model"}}
    elif hasattr(value, "get_config"):
        state = value.get_config()
    code = {} if is_library(type(value)) else {"code": code_hash(type(value))}
    return {"class": type(value).__name__, **code, **describe(state)}


def _shape(array: np.ndarray) -> str:
    return f"{array.dtype.name} {'×'.join(f'{size:,}' for size in array.shape)}"


def array_hash(array: np.ndarray) -> str:
    """Return the SHA-256 of an array's values, shape and dtype; TypeError on Python objects."""
    if array.dtype == object:
        raise TypeError("an array of Python objects has no fingerprint; use numbers or texts")
    digest = hashlib.sha256(f"{array.dtype.name} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def fingerprint(X: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Hash a data set row by row.

    The full SHA-256 decides; four bytes of each row's hash ("row_codes") are kept as well, so that a
    mismatch can say how many rows changed.
    """
    if len(X) != len(y):
        raise ValueError(f"X has {len(X):,} rows, but y has {len(y):,}")
    total = hashlib.sha256(f"{X.dtype.name} {X.shape} {y.dtype.name} {y.shape}".encode())
    codes = bytearray()
    little = (np.ascontiguousarray(a, dtype=a.dtype.newbyteorder("<")) for a in (X, y))
    flat_X, flat_y = (a.reshape(len(a), -1).view(np.uint8) for a in little)
    for row, target in zip(flat_X, flat_y, strict=True):
        digest = hashlib.sha256(row.tobytes() + target.tobytes()).digest()
        total.update(digest)
        codes += digest[:4]
    return {
        "sha256": total.hexdigest(),
        "rows": len(X),
        "inputs": describe(X),
        "targets": describe(y),
        "row_codes": base64.b64encode(bytes(codes)).decode("ascii"),
    }


# --- what changed, in words --------------------------------------------------------------------


def differences(old: Mapping, new: Mapping, rows: Mapping[str, str]) -> list[str]:
    """Say in words how recipe `new` differs from `old`, one entry an ingredient; empty if it does not.

    `rows` holds the row codes of data sets by their SHA-256.
    """
    reasons = []
    for key in {**new, **old}:
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        both = isinstance(before, Mapping) and isinstance(after, Mapping)
        if both and "targets" in after:
            words = _data_words(before, after, rows)
        elif both and "functions" in after:
            words = _code_words(before["functions"], after["functions"])
        elif key == "starting weights" and both and old.get("architecture") != new.get("architecture"):
            continue  # other layers have other zeros and ones: that is no news of its own
        else:
            words = list(_changes(before, after, ""))
        shown = ", ".join(words[:4]) + (f" and {len(words) - 4} more changes" if len(words) > 4 else "")
        reasons.append(f"{key}: {shown}")
    return reasons


def _data_words(before: Mapping, after: Mapping, rows: Mapping[str, str]) -> list[str]:
    parts = [part for part in ("inputs", "targets") if before[part] != after[part]]
    shapes = [f"{part} {before[part]['array']} → {after[part]['array']}" for part in parts]
    if any(before[part]["array"] != after[part]["array"] for part in parts):
        return shapes
    codes = [np.frombuffer(base64.b64decode(rows.get(each["sha256"], "")), "<u4") for each in (before, after)]
    if len(codes[0]) != len(codes[1]):
        return [f"the {' and '.join(parts)} differ"]
    if np.array_equal(*(np.sort(each) for each in codes)):
        return [f"the same {len(codes[1]):,} rows in another order"]
    number = int((codes[0] != codes[1]).sum())
    return [f"{number:,} of {len(codes[1]):,} rows differ (in their {' and '.join(parts)})"]


def _code_words(before: Mapping, after: Mapping) -> list[str]:
    words = [f"{key} changed" for key in after if key in before and before[key] != after[key]]
    words += [f"{key} is used now" for key in after if key not in before]
    return words + [f"{key} is used no more" for key in before if key not in after]


def _changes(before: Any, after: Any, path: str) -> Iterator[str]:
    """Yield in words where two plain values differ, each with the way that leads to it."""
    if before == after:
        return
    kinds = [each.get("class") if isinstance(each, Mapping) else None for each in (before, after)]
    if isinstance(before, Mapping) and isinstance(after, Mapping) and kinds[0] == kinds[1]:
        for key in {**after, **before}:
            if key == "code" or "sha256" in key:
                if before.get(key) != after.get(key):
                    yield f"{path} {key} changed".strip()
            else:
                yield from _changes(before.get(key), after.get(key), f"{path} {key}".strip())
    elif isinstance(before, list) and isinstance(after, list) and any(isinstance(x, Mapping) for x in after):
        names = [[_brief(each) for each in side] for side in (before, after)]
        for tag, i, j, k, m in difflib.SequenceMatcher(None, *names, autojunk=False).get_opcodes():
            if tag == "equal":
                for number, (a, b) in enumerate(zip(before[i:j], after[k:m], strict=True), start=k + 1):
                    yield from _changes(a, b, f"{path} {number} ({_brief(b)})".strip())
            else:
                gone, come = (", ".join(each) or "none" for each in (names[0][i:j], names[1][k:m]))
                yield f"{path} {k + 1}: {gone} → {come}".strip()
    else:
        yield f"{path} {_brief(before)} → {_brief(after)}".strip()


def _brief(value: Any) -> str:
    """Name a plain value in at most 60 characters; a Keras object by its class."""
    if isinstance(value, Mapping) and value:
        return str(value.get("class") or value.get("function") or "given")
    if isinstance(value, list) and value:
        return "[" + ", ".join(_brief(item) for item in value) + "]"
    text = value if isinstance(value, str) else json.dumps(value or None, ensure_ascii=False)
    text = "none" if value in (None, [], {}) else text
    return text if len(text) <= 60 else text[:57] + "…"

"""What a stored result is made of: values, data and code as plain JSON, and how two of them differ.

Code counts by its syntax. Comments, docstrings, annotations, layout, what a `raise` says and the file in
which a function lies do not count, nor do other packages: their versions are recorded beside a result.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import copy
import copyreg
import dis
import enum
import functools
import hashlib
import importlib.util
import inspect
import io
import itertools
import json
import logging
import re
import sys
import threading
import types
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from course import paths

import numpy as np


def content_hash(value: Any) -> str:
    """Return the SHA-256 of a value that JSON can hold: 1 is neither 1.0 nor true, but NaN is NaN."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode("utf-8")).hexdigest()


# --- code --------------------------------------------------------------------------------------

INNER = ("__wrapped__", "pyfunc")  # where functools and np.vectorize keep the function that they wrap


def code_of(functions: Iterable[Callable]) -> dict[str, dict[str, str]]:
    """Return `{"functions": {name: SHA-256}}` of functions and all that they use of `course` and the lecture.

    Followed are functions, classes and their instances, CONSTANTS (in capitals, so that they are no caches),
    default arguments and the variables of enclosing functions, by the names that Python would look up: a
    local variable that is named like a function stands for itself. Of other packages the names count.
    TypeError for what is no function, has no source, or hides what it holds.
    """
    functions = [*functions]
    if others := [each for each in functions if not callable(each)]:
        raise TypeError(f"a recipe is made of functions, not of {others[0]!r}")
    return {"functions": _followed(functions)}


def _followed(values: Iterable[Any]) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    seen: dict[int, Any] = {}
    waiting = [("", value) for value in values]
    while waiting:
        name, value = waiting.pop()
        name, code = name or name_of(value), []
        try:
            plain = _exact(value, code)
        except TypeError as error:
            raise TypeError(f"{name}: {error}") from error
        if plain is not None:
            found.setdefault(name, set()).add(content_hash(plain))
        for each in code:
            if id(each) not in seen:
                seen[id(each)] = each
                waiting += [("", each), *(_held_by(each) if isinstance(each, type) else _looked_up_by(each))]
    # Functions of one name in two files count together.
    return {name: content_hash(sorted(found[name])) for name in sorted(found)}


def code_hash(value: Any) -> str:
    """Return one hash of a function, class or other object and of all that it uses and holds."""
    return content_hash(_followed([value]))


def is_code(value: Any) -> bool:
    """Is this a function or a class: nothing that holds values besides?"""
    if isinstance(value, types.BuiltinFunctionType):
        return isinstance(value.__self__, types.ModuleType | type | None)
    return isinstance(value, types.FunctionType | type)


def is_library(value: Any) -> bool:
    """Does this function, class or module, with what it is wrapped around, come from another package?"""
    if isinstance(value, functools.partial):
        return False
    inner = [getattr(value, key) for key in INNER if hasattr(value, key)]
    return _is_elsewhere(_module(value)) and all(is_library(each) for each in inner)


def name_of(value: Any) -> str:
    """Return the name of a function or class, with its package if that is another one."""
    while isinstance(value, functools.partial):
        value = value.func
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", type(value).__name__)
    return f"{_module(value).partition('.')[0]}.{name}" if is_library(value) else name


def _module(value: Any) -> str:
    if isinstance(value, types.FunctionType):  # a wrapper claims to come from where the wrapped one does
        return value.__globals__.get("__name__") or ""
    own = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
    return own or type(value).__module__


@functools.cache
def _is_elsewhere(module: str) -> bool:
    top = module.partition(".")[0]
    if top in {"course", "__main__", ""}:
        return module.startswith("course.store")  # what keeps a result does not change it
    file = getattr(sys.modules.get(module), "__file__", None)
    with contextlib.suppress(ImportError, ValueError):
        file = file or getattr(importlib.util.find_spec(top), "origin", None)
    packages = {"site-packages", "dist-packages"} & {*Path(file or "").parts}
    return top in sys.stdlib_module_names or bool(packages)


def _held_by(kind: type) -> Iterator[tuple[str, Any]]:
    """What a class is derived from, its functions, classes and constants, and the defaults of its fields."""
    yield from (("", each) for each in (*kind.__bases__, type(kind)) if not is_library(each))
    for key, field in getattr(kind, "__dataclass_fields__", {}).items():
        parts = ("default", "default_factory", "init", "compare", "hash", "kw_only", "metadata")
        yield f"{kind.__qualname__}.{key}", [getattr(field, part) for part in parts]
    members = kind.__members__ if issubclass(kind, enum.Enum) else {}
    for key, member in {**vars(kind), **members}.items():
        if code := getattr(inspect.unwrap(member), "__code__", None):
            # Methods that Python writes have no source; they follow from the fields.
            counts = code.co_filename != "<string>" and not is_library(member)
        else:
            noted = re.fullmatch("__(?!array_priority).*|_[a-z].*_|_abc_impl", key)
            counts = key in members or not noted and key not in getattr(kind, "_fields", ())
        if counts:
            yield f"{kind.__qualname__}.{key}", member


def _looked_up_by(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """What the names in a function mean: functions, classes, and what counts as a constant."""
    for key in vars(function).keys() & {"__wrapped__", "registry"}:  # of functools.wraps, singledispatch
        yield f"{key} of {name_of(function)}", getattr(function, key)
    if _is_elsewhere(_module(function)):
        return
    tree = _tree(function)
    scope, names = dict(function.__globals__), _global_names(compile(tree, "recipe", "exec"))
    arguments = next(each.args for each in ast.walk(tree) if hasattr(each, "args"))
    written = [each for each in (*arguments.defaults, *arguments.kw_defaults) if each]
    given = inspect.signature(function, follow_wrapped=False).parameters.values()
    for each, node in zip((each for each in given if each.default is not each.empty), written, strict=False):
        # A list that is written as a default is in the source, and may be filled meanwhile.
        if not isinstance(node, ast.List | ast.Dict | ast.Set):
            yield f"default of {each.name}", each.default
    for variable, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # a cell that is still empty
            scope[variable] = cell.cell_contents
            if variable in names:
                yield variable, cell.cell_contents
    used = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and _is_ours(node):
            exec(compile(ast.Module([node], []), "import", "exec"), scope)
            bound = {each.asname or each.name.partition(".")[0]: each.name for each in node.names}
            used += [(own_name, scope[name]) for name, own_name in bound.items()]
            names.update(bound)
    used += [(name, scope[name]) for name in names & scope.keys()]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            root, *way = ast.unparse(node).split(".")
            value = scope.get(root) if root in names else None
            for each in way:
                ours = isinstance(value, types.ModuleType | types.FunctionType) and not is_library(value)
                value = getattr(value, each, None) if ours else None
            used += [(way[-1], value)] if value is not None else []
    for name, value in used:
        # Keras numbers its objects as they are made, so that they count by a name in capitals alone.
        called = is_code(value) or callable(value) and not hasattr(value, "get_config")
        module = isinstance(value, types.ModuleType) and value.__name__ != name
        if called or module or name.isupper() or not is_library(type(value)):
            yield name, value


def _global_names(code: types.CodeType) -> set[str]:
    """The names that Python looks up outside of the functions' own scopes."""
    loads = {"LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"}
    own = {each.argval for each in dis.get_instructions(code) if each.opname in loads}
    return own.union(*(_global_names(each) for each in code.co_consts if isinstance(each, types.CodeType)))


def _is_ours(node: ast.Import | ast.ImportFrom) -> bool:
    modules = [node.module] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
    return bool(getattr(node, "level", 0)) or not all(map(_is_elsewhere, modules))


# Locks, streams, loggers and descriptors hold no numbers.
_NO_NUMBERS = (type(threading.Lock()), type(threading.RLock()), io.IOBase, logging.Logger)
_NO_NUMBERS += (types.MemberDescriptorType, types.GetSetDescriptorType)


def _exact(value: Any, code: list[Any], above: tuple = ()) -> Any:
    """A value as plain ones that no other has, None if it holds no number; `code` collects the code in it."""
    kind = type(value)
    if isinstance(value, _NO_NUMBERS) or _module(value).startswith("course.store"):
        return None
    if value is None or kind in {bool, int, str}:
        return value
    if is_code(value):
        code += [] if is_library(value) else [value]
        return {"code": _mark(value)}
    if isinstance(value, types.ModuleType):  # ours may move to another file
        return ["module", value.__name__] if is_library(value) else None
    if isinstance(value, PurePath):  # outside of the repository it is another on each machine
        inside = value.relative_to(paths.REPOSITORY) if value.is_relative_to(paths.REPOSITORY) else value
        return None if inside.is_absolute() else ["path", inside.as_posix()]
    if any(value is each for each in above):
        return ["above", [value is each for each in above]]
    parts = [_exact(each, code, (*above, value)) for each in (kind, *_parts(value))]
    return [parts[0], *sorted(map(repr, parts[1:]))] if isinstance(value, set | frozenset) else parts


def _mark(value: Any) -> str:
    """What tells a function or class from others: a hash of its syntax or its fields; a library's name."""
    if _is_elsewhere(_module(value)):
        return name_of(value)
    if isinstance(value, types.FunctionType):
        return content_hash(_plain(_tree(value)))
    made = vars(value).get("__dataclass_params__")
    made = [getattr(made, key, None) for key in ("init", "eq", "order", "unsafe_hash", "frozen")]
    names = [map(name_of, value.__bases__), inspect.get_annotations(value), getattr(value, "__members__", ())]
    return content_hash([*map(list, names), made])


def _parts(value: Any) -> Iterable[Any]:
    """What an object consists of: for kinds that are not treated here, what pickling would keep of it."""
    kind = type(value)
    if hasattr(value, "detach"):  # a tensor
        value = value.detach().cpu().numpy()
    if type(value) is np.ndarray or isinstance(value, np.generic):
        return [value.shape, value.tolist()] if value.dtype.hasobject else array_in_words(value).items()
    if kind in {list, tuple} or isinstance(value, set | frozenset):
        return value
    if kind in {dict, types.MappingProxyType}:
        return value.items()
    if kind in {float, bytes} or isinstance(value, np.dtype):
        return [repr(value)]
    if isinstance(value, property | staticmethod | classmethod):
        return [getattr(value, key, None) for key in ("fget", "fset", "fdel", "__func__")]
    if hasattr(value, "to_numpy") and hasattr(value, "ndim"):  # pandas
        if value.ndim == 2:
            return [value.index, value.columns, *(each for _, each in value.items())]
        about = [getattr(value, key, None) for key in ("name", "names", "index")]
        return [repr(value.dtype), *about, getattr(value.dtype, "categories", None), value.to_numpy()]
    if hasattr(value, "get_config"):  # Keras
        config = {key: each for key, each in value.get_config().items() if key != "name"}
        return [config, value.get_weights() if hasattr(value, "get_weights") else None]
    try:
        reduced = copyreg.dispatch_table.get(kind, lambda each: each.__reduce_ex__(2))(value)
        if "(vectorized)" in getattr(value, "__name__", ""):
            raise TypeError("np.frompyfunc hides its function, np.vectorize does not")
    except Exception as error:
        told = f"a {kind.__name__} cannot be part of a recipe ({error}): use numbers, texts, arrays, lists or"
        raise TypeError(
            f"{told} dictionaries, or, if it changes no number, a name in small letters"
        ) from error
    if isinstance(reduced, str):
        reduced = reduced, (), getattr(value, "__dict__", None)
    maker, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
    if isinstance(state, dict):  # less what libraries note in it, and what was computed meanwhile
        cached = {key for key in state if isinstance(getattr(kind, key, None), functools.cached_property)}
        cached |= {key for key in state if re.fullmatch("__(?!wrapped).*|_sklearn_version|_ufunc|_doc", key)}
        state = sorted((key, state[key]) for key in state.keys() - cached)
    maker = maker if isinstance(maker, str) or not is_library(maker) else None
    return [maker, arguments, state, list(items or ()), list(pairs or ())]


# --- the syntax of a function ------------------------------------------------------------------

_parsed = functools.lru_cache(maxsize=64)(ast.parse)


@functools.lru_cache(maxsize=1024)
def _tree(function: types.FunctionType) -> ast.Module:
    """The syntax of a function, less what changes no number."""
    code = function.__code__
    try:
        tree = _parsed("".join(inspect.findsource(code)[0]))
    except (OSError, TypeError, SyntaxError) as error:
        name = function.__qualname__
        raise TypeError(f"no source of {name} ({error}); define it in a file or a cell") from error
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            first = min(each.lineno for each in (node, *getattr(node, "decorator_list", ())))
            if (first, getattr(node, "name", "<lambda>")) == (code.co_firstlineno, code.co_name):
                found.append(node)
    if len(found) != 1:
        told = f"the source of {function.__qualname__} has changed since it was run (run it again), or stands"
        raise TypeError(f"{told} in a line with another (put each on a line of its own)")
    body = ast.Expr(found[0]) if isinstance(found[0], ast.Lambda) else found[0]
    return ast.fix_missing_locations(_essential(copy.deepcopy(ast.Module([body], []))))


def _essential(tree: ast.Module) -> ast.Module:
    """Drop docstrings, annotations, and texts that only reach a `raise`, `assert`, `print` or `warn`."""
    tried = [each for each in ast.walk(tree) if isinstance(each, ast.Try)]
    named = [each for each in tried if any(handler.name for handler in each.handlers)]
    caught = {each for node in named for part in node.body for each in ast.walk(part)}
    for node in ast.walk(tree):
        for field in {"annotation", "returns", "msg"} & {*node._fields}:
            setattr(node, field, None)
        if isinstance(node, ast.Attribute) and node.attr == "__doc__":
            raise TypeError("docstrings count in no recipe: what reads __doc__ cannot be part of one")
        if isinstance(node, ast.Raise) and node not in caught:
            error = ast.unparse(getattr(node.exc, "func", node.exc) or node)
            says = error.lower().endswith(("error", "exception", "exit"))
            held = [] if says else [_effects(each) for each in getattr(node.exc, "args", [])]
            # A constant, since nothing is looked up for it.
            node.exc, node.cause = ast.Tuple([ast.Constant(error), *held], ast.Load()), None
        elif isinstance(node, ast.Expr) and not isinstance(node.value, ast.Lambda):
            node.value = _effects(node.value)
    read: set[str] | None = None
    while read != (read := _names_read(tree)):  # what only a dropped statement read is read no more
        for node in ast.walk(tree):
            for part in ("body", "orelse", "finalbody"):
                if isinstance(block := getattr(node, part, None), list) and block:
                    kept = [_kept(each, read) for each in block]
                    block[:] = [each for each in kept if each] or [ast.Pass()]
    return tree


def _effects(node: ast.AST) -> ast.AST:
    """What may do something in an expression that nobody reads: of words, the calls that they are made by."""

    def words(node: ast.AST) -> bool:
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func).split(".")[-1]
            says = called in {"print", "warn"} or called.endswith(("Error", "Exception", "Warning"))
            return says or words(getattr(node.func, "value", node.func))
        if isinstance(node, ast.IfExp):
            return words(node.body) and words(node.orelse)
        if isinstance(node, ast.BinOp):
            return words(node.left) or words(node.right)
        return isinstance(node, ast.JoinedStr) or isinstance(getattr(node, "value", None), str)

    def calls(node: ast.AST) -> list[ast.AST]:
        kinds = ast.Call | ast.Await | ast.Yield | ast.YieldFrom | ast.NamedExpr
        if isinstance(node, kinds) and not words(node):
            return [node]
        found = [each for child in ast.iter_child_nodes(node) for each in calls(child)]
        return [node] if found and hasattr(node, "generators") else found

    return ast.Tuple(calls(node), ast.Load()) if isinstance(node, ast.Constant) or words(node) else node


LOOSE = {"locals", "vars", "eval", "exec", "evaluate", "currentframe", "_getframe"}  # reads variables by name


def _names_read(tree: ast.AST) -> set[str]:
    """The variables that may be read: all that occur, but as what a statement sets."""
    nodes = [*ast.walk(tree)]
    found = Counter(each.id for each in nodes if isinstance(each, ast.Name))
    # By a text (pandas's `query` takes "@name"), as an attribute of a class, or in another scope.
    kinds = ast.Global | ast.Nonlocal | ast.ClassDef
    loose = any(isinstance(each, kinds) or "@" in str(getattr(each, "value", "")) for each in nodes)
    if loose or LOOSE & {*found, *(getattr(each, "attr", "") for each in nodes)}:
        return {*found}
    targets = [each for node in nodes if isinstance(node, ast.Assign) for each in node.targets]
    return {*(found - Counter(each.id for each in targets if isinstance(each, ast.Name)))}


def _kept(node: ast.AST, read: Collection[str]) -> ast.AST | None:
    """A statement, or what is left of it if nothing reads the variables that it sets."""
    if isinstance(node, ast.AnnAssign):
        node = ast.Assign([node.target], node.value or ast.Constant(None))
    if isinstance(node, ast.Assign):
        unread = all(isinstance(each, ast.Name) and each.id not in read for each in node.targets)
        node = ast.Expr(_effects(node.value)) if unread else node
    return None if isinstance(node, ast.Expr) and getattr(node.value, "elts", None) == [] else node


def _plain(node: Any) -> Any:
    """A syntax tree as lists, the same in all Python versions of this course, unlike `ast.dump`."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, ast.AST):
        exact = isinstance(node, str | int | bool) or node is None
        return node if exact else [type(node).__name__, repr(node)]
    skipped = {"ctx", "kind", "type_comment", "type_params"}
    if isinstance(node, ast.ImportFrom) and _is_ours(node):
        skipped |= {"module", "level"}  # a function may move to another file
    fields = [(key, _plain(value)) for key, value in ast.iter_fields(node) if key not in skipped]
    return [type(node).__name__] + [[key, value] for key, value in fields if value not in (None, [])]


# --- values and data ---------------------------------------------------------------------------


def array_in_words(value: Any) -> dict[str, str]:
    """Return dtype, shape and SHA-256 of an array or a number of NumPy; TypeError if it is something else."""
    if not isinstance(value, np.ndarray | np.generic) or value.dtype.hasobject or np.ma.isMaskedArray(value):
        told = f"a {type(value).__name__} cannot be part of a recipe"
        raise TypeError(f"{told}: use numbers, texts, arrays, lists or dictionaries")
    array = np.asarray(value)
    name = str(array.dtype) if array.dtype.names else array.dtype.name
    digest = hashlib.sha256(f"{name} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes())
    shape = "×".join(f"{size:,}" for size in array.shape)
    return {"array": f"{name} {shape}", "sha256": digest.hexdigest()}


# --- what changed, in words --------------------------------------------------------------------


def differences(old: Mapping, new: Mapping, rows: Mapping[str, str]) -> list[str]:
    """Say in words how recipe `new` differs from `old`, an entry for each ingredient that does."""
    reasons = []
    for key in {**new, **old}:
        before, after = old.get(key), new.get(key)
        if key == "starting weights" and old.get("architecture") != new.get("architecture"):
            continue  # other layers have other zeros and ones: that is no news of its own
        both = isinstance(before, Mapping) and isinstance(after, Mapping)
        if both and "functions" in after:
            before, after = before["functions"], after["functions"]
        data = both and "targets" in after and before != after
        words = _data_words(before, after, rows) if data else list(_changes(before, after, ""))
        shown = ", ".join(words[:4]) + (f" and {len(words) - 4} more changes" if len(words) > 4 else "")
        reasons += [f"{key}: {shown}"] if words else []
    return reasons


def _data_words(before: Mapping, after: Mapping, rows: Mapping[str, str]) -> list[str]:
    parts = [part for part in ("inputs", "targets") if before[part] != after[part]]
    if any(before[part]["array"] != after[part]["array"] for part in parts):
        return [f"{part} {before[part]['array']} → {after[part]['array']}" for part in parts]
    a, b = (np.frombuffer(base64.b64decode(rows.get(each["sha256"], "")), "<u4") for each in (before, after))
    if len(a) != len(b):
        return [f"the {' and '.join(parts)} differ"]
    if np.array_equal(np.sort(a), np.sort(b)):
        return [f"the same {len(b):,} rows in another order"]
    return [f"{(a != b).sum():,} of {len(b):,} rows differ (in their {' and '.join(parts)})"]


def _changes(before: Any, after: Any, path: str) -> Iterator[str]:
    """Yield in words where two plain values differ, each with the way that leads to it."""
    hashes = [isinstance(x, str) and re.fullmatch(r"[0-9a-f]{64}", x) for x in (before, after)]
    if content_hash(before) == content_hash(after):
        return
    if any(hashes):
        how = "changed" if all(hashes) else "is used now" if hashes[1] else "is used no more"
        yield f"{path} {how}".strip()
    elif all(isinstance(x, Mapping) for x in (before, after)) and before.get("class") == after.get("class"):
        for key in {**after, **before}:
            yield from _changes(before.get(key), after.get(key), f"{path} {key}".strip())
    elif isinstance(before, list) and isinstance(after, list) and any(isinstance(x, Mapping) for x in after):
        for number, (a, b) in enumerate(itertools.zip_longest(before, after, fillvalue="none"), 1):
            name = f" ({_brief(b)})" if _brief(a) == _brief(b) else ""
            yield from _changes(a, b, f"{path} {number}{name}".strip())
    else:
        yield f"{path} {_brief(before)} → {_brief(after)}".strip()


def _brief(value: Any) -> str:
    """Name a plain value in at most 60 characters; a Keras object by its class."""
    if isinstance(value, Mapping) and value:
        return str(value.get("class") or value.get("function") or "given")
    if isinstance(value, list) and value:
        return "[" + ", ".join(_brief(item) for item in value) + "]"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = "none" if value in (None, [], {}) else text
    return text if len(text) <= 60 else text[:57] + "…"

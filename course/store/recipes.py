"""What a stored result is made of: values, data and code as plain JSON, and how two of them differ.

Code counts by its syntax. Comments, docstrings, annotations, layout, what a `raise` says and the file in
which a function lies do not count, nor do other packages: their versions are recorded beside a result.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import copy
import dataclasses
import difflib
import dis
import enum
import functools
import hashlib
import importlib.util
import inspect
import json
import re
import sys
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np


def content_hash(value: Any) -> str:
    """Return the SHA-256 of a value that JSON can hold: 1 is neither 1.0 nor true, but NaN is NaN."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode("utf-8")).hexdigest()


# --- code --------------------------------------------------------------------------------------

INNER = ("__wrapped__", "pyfunc")  # where functools and np.vectorize keep the function that they wrap


def code_of(functions: Iterable[Callable]) -> dict[str, dict[str, str]]:
    """Return `{"functions": {name: SHA-256}}` of functions and all that they use of `course` and the lecture.

    Followed are functions, classes, CONSTANTS (in capitals, so that they are no caches), default arguments
    and the variables of enclosing functions, by the names that Python would look up: a local variable that
    is named like a function stands for itself. TypeError for what is no function, or has no source.
    """
    found: dict[str, set[str]] = {}
    seen: list[Any] = []
    waiting = [("", function) for function in functions]
    while waiting:
        name, value = waiting.pop()
        if name and not is_code(value):
            with contextlib.suppress(TypeError):  # it is no constant
                inner: list[Any] = []
                value = content_hash(_exact(value, inner))
                found.setdefault(name, set()).add(value)
                waiting += [("", each) for each in inner]
            continue
        if any(value is each for each in seen):
            continue
        seen.append(value)
        if isinstance(value, types.MethodType):
            raise TypeError(f"{name_of(value)} belongs to an object; a recipe needs a function that calls it")
        if not is_code(value) and not (callable(value) and is_library(value) and hasattr(value, "__name__")):
            raise TypeError(f"a recipe is made of functions, not of {value!r}")
        if isinstance(value, functools.partial):
            inner = [value.func]
            given = content_hash(_exact([value.args, value.keywords], inner))
            found.setdefault(f"arguments of {name_of(value)}", set()).add(given)
            waiting += [("", each) for each in inner]
        elif is_library(value):
            found.setdefault(name_of(value), set())
        elif isinstance(value, types.FunctionType | type) and not _is_elsewhere(_module(value)):
            found.setdefault(name_of(value), set()).add(_own_hash(value))
            used = _held_by(value) if isinstance(value, type) else _looked_up_by(value)
            for name, each in used:
                if not (is_code(each) and is_library(each)):
                    waiting.append((name, each))
                elif name and name.rpartition(".")[2] != getattr(each, "__name__", ""):  # by another name
                    found.setdefault(name, set()).add(name_of(each))
        if not is_library(value):
            waiting += [("", getattr(value, key)) for key in INNER if hasattr(value, key)]
    # Functions of one name in two files count together.
    return {"functions": {name: content_hash(sorted(found[name])) for name in sorted(found)}}


def code_hash(value: Any) -> str:
    """Return one hash of a function or class and of all that it uses."""
    return content_hash(code_of([value]))


def is_code(value: Any) -> bool:
    """Is this a function, a class or a method, or something around one?"""
    kinds = types.FunctionType | types.MethodType | type | functools.partial
    return isinstance(value, kinds) or any(hasattr(value, key) for key in INNER)


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


def _own_hash(value: Any) -> str:
    """Hash the syntax of a function, or the names of a class's bases and fields."""
    if isinstance(value, types.FunctionType):
        return content_hash(_plain(_tree(value)))
    return content_hash([[name_of(base) for base in value.__bases__], list(inspect.get_annotations(value))])


def _held_by(kind: type) -> Iterator[tuple[str, Any]]:
    """What a class is derived from, its functions, classes and constants, and what makes defaults for it."""
    factories = [each.default_factory for each in getattr(kind, "__dataclass_fields__", {}).values()]
    yield from (("", each) for each in (*kind.__bases__, type(kind), *factories) if is_code(each))
    for key, member in (kind.__members__ if issubclass(kind, enum.Enum) else vars(kind)).items():
        parts = [getattr(member, part, None) for part in ("fget", "fset", "func")]
        for each in (member, *filter(is_code, parts)):
            code = getattr(inspect.unwrap(each), "__code__", None) if is_code(each) else None
            # Methods that @dataclass writes have no source; they follow from the fields.
            if code.co_filename != "<string>" if code else is_code(each) or key[:2] != "__":
                yield f"{kind.__qualname__}.{key}", each


def _looked_up_by(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """What the names in a function mean: functions, classes, and what counts as a constant."""
    tree = _tree(function)
    scope, names = dict(function.__globals__), _global_names(compile(tree, "recipe", "exec"))
    for each in inspect.signature(function, follow_wrapped=False).parameters.values():
        # A list that is a default is in the source, and may be filled meanwhile.
        if not isinstance(each.default, list | dict | set) and each.default is not each.empty:
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
                ours = isinstance(value, types.ModuleType) and not is_library(value)
                value = getattr(value, each, None) if ours else None
            used += [(way[-1], value)] if value is not None else []
    yield from ((name, value) for name, value in used if is_code(value) or name.isupper())


def _global_names(code: types.CodeType) -> set[str]:
    """The names that Python looks up outside of the functions' own scopes."""
    loads = {"LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"}
    own = {each.argval for each in dis.get_instructions(code) if each.opname in loads}
    return own.union(*(_global_names(each) for each in code.co_consts if isinstance(each, types.CodeType)))


def _is_ours(node: ast.Import | ast.ImportFrom) -> bool:
    modules = [node.module] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
    return bool(getattr(node, "level", 0)) or not all(map(_is_elsewhere, modules))


def _exact(value: Any, code: list[Any]) -> Any:
    """A constant as plain values that no other has, or TypeError; `code` collects functions in it."""
    kind = type(value).__name__
    if is_code(value):
        code.append(value)
        return {"code": name_of(value)}
    if isinstance(value, enum.Enum):
        return [kind, value.name, _exact(value.value, code)]
    if isinstance(value, set | frozenset):
        return [kind, *sorted(repr(_exact(each, code)) for each in value)]
    if isinstance(value, Mapping):
        value = list(value.items())
    if dataclasses.is_dataclass(value):
        value = [getattr(value, field.name) for field in dataclasses.fields(value)]
    if isinstance(value, list | tuple):
        return [kind, *(_exact(each, code) for each in value)]
    if hasattr(value, "detach"):  # a tensor
        value = value.detach().cpu().numpy()
    if isinstance(value, np.generic):
        return array_in_words(value)
    if isinstance(value, float | complex | bytes | range | slice):
        return [kind, repr(value)]
    return value if value is None or isinstance(value, bool | int | str) else array_in_words(value)


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
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, kinds)
        and min(each.lineno for each in (node, *getattr(node, "decorator_list", ()))) == code.co_firstlineno
        and getattr(node, "name", "<lambda>") == code.co_name
    ]
    if len(found) != 1:
        known = "stands in a line with another; put each on a line of its own" if found else ""
        known = known or "has changed since it was run; run it again"
        raise TypeError(f"the source of {function.__qualname__} {known}")
    body = copy.deepcopy(found[0])
    body = ast.Expr(body) if isinstance(body, ast.Lambda) else body
    return ast.fix_missing_locations(_essential(ast.Module([body], [])))


def _essential(tree: ast.Module) -> ast.Module:
    """Drop docstrings, annotations, and texts that only reach a `raise`, `assert`, `print` or `warn`."""
    for node in ast.walk(tree):
        for field in {"annotation", "returns", "msg"} & {*node._fields}:
            setattr(node, field, None)
        if isinstance(node, ast.Attribute) and node.attr == "__doc__":
            raise TypeError("docstrings count in no recipe: what reads __doc__ cannot be part of one")
        if isinstance(node, ast.Raise):
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            # A constant, since nothing is looked up for it.
            node.exc, node.cause = raised and ast.Constant(ast.unparse(raised)), None
        elif isinstance(node, ast.Expr) and not isinstance(node.value, ast.Lambda):
            node.value = _effects(node.value)
    read = _names_read(tree)
    for node in ast.walk(tree):
        for part in ("body", "orelse", "finalbody"):
            if isinstance(block := getattr(node, part, None), list) and block:
                block[:] = [each for each in (_kept(each, read) for each in block) if each] or [ast.Pass()]
    return tree


def _effects(node: ast.AST) -> ast.AST:
    """What may do something in an expression that nobody reads: its calls, unless they only say something."""

    def calls(node: ast.AST) -> list[ast.AST]:
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func).split(".")[-1]
            words = isinstance(getattr(node.func, "value", None), ast.JoinedStr | ast.Constant)
            if not (words or called in {"print", "warn"} or called.endswith(("Error", "Exception"))):
                return [node]
        elif isinstance(node, ast.Await | ast.Yield | ast.YieldFrom | ast.NamedExpr):
            return [node]
        found = [each for child in ast.iter_child_nodes(node) for each in calls(child)]
        return [node] if found and hasattr(node, "generators") else found

    found = calls(node)
    return node if found == [node] else ast.Tuple(found, ast.Load())


def _names_read(tree: ast.AST) -> set[str]:
    """The variables that something reads, perhaps elsewhere or by a text: pandas's `query` takes "@name"."""
    read: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            read.add(node.id)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            read.update(node.names)
        elif isinstance(node, ast.Constant):
            read.update(re.findall(r"@(\w+)", str(node.value)))
        elif isinstance(node, ast.AugAssign | ast.ClassDef):
            read.update(each.id for each in ast.walk(node) if isinstance(each, ast.Name))
    everything = {each.id for each in ast.walk(tree) if isinstance(each, ast.Name)}
    return everything if {"locals", "vars", "eval", "exec"} & read else read


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
    if not isinstance(value, np.ndarray | np.generic) or value.dtype == object:
        kind = type(value).__name__
        raise TypeError(
            f"a {kind} cannot be part of a recipe: use numbers, texts, arrays, lists or dictionaries"
        )
    array = np.asarray(value)
    digest = hashlib.sha256(f"{array.dtype.name} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes())
    shape = "×".join(f"{size:,}" for size in array.shape)
    return {"array": f"{array.dtype.name} {shape}", "sha256": digest.hexdigest()}


# --- what changed, in words --------------------------------------------------------------------


def differences(old: Mapping, new: Mapping, rows: Mapping[str, str]) -> list[str]:
    """Say in words how recipe `new` differs from `old`, an entry for each ingredient that does."""
    reasons = []
    for key in {**new, **old}:
        before, after = old.get(key), new.get(key)
        both = isinstance(before, Mapping) and isinstance(after, Mapping)
        if key == "starting weights" and both and old.get("architecture") != new.get("architecture"):
            continue  # other layers have other zeros and ones: that is no news of its own
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
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = "none" if value in (None, [], {}) else text
    return text if len(text) <= 60 else text[:57] + "…"

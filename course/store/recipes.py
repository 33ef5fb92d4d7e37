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
import enum
import functools
import hashlib
import importlib.util
import inspect
import json
import re
import symtable
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
    """Return a hash for each given function and for all that it uses of `course` and of the lecture.

    Followed are functions, classes, CONSTANTS (in capitals, so that they are no caches), default arguments
    and the variables of enclosing functions, by the names that Python would look up: a local variable that
    is named like a function stands for itself.

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
        if not is_code(value) and not (callable(value) and is_library(value) and hasattr(value, "__name__")):
            raise TypeError(f"a recipe is made of functions, not of {value!r}")
        if isinstance(value, functools.partial | types.MethodType):
            waiting += _wrapped_in(value)
        elif is_library(value):
            found.setdefault(name_of(value), set())
        elif isinstance(value, types.FunctionType | type) and not _is_elsewhere(_module(value)):
            found.setdefault(name_of(value), set()).add(_own_hash(value))
            used = _held_by(value) if isinstance(value, type) else _looked_up_by(value)
            waiting += [(name, each) for name, each in used if not (is_code(each) and is_library(each))]
        if not is_library(value):
            waiting += [("", getattr(value, key)) for key in INNER if hasattr(value, key)]
    # Functions of one name in two files count together.
    return {"functions": {name: content_hash(sorted(found[name])) for name in sorted(found)}}


def _wrapped_in(value: functools.partial | types.MethodType) -> list[tuple[str, Any]]:
    """The function of a partial or a method, and what it is bound to."""
    if isinstance(value, functools.partial):
        given = {**dict(enumerate(value.args, start=1)), **value.keywords}
        bound = {f"argument {key} of {name_of(value.func)}": each for key, each in given.items()}
    elif is_code(value.__self__):
        bound = {"": value.__self__}
    else:
        bound = {"": type(value.__self__), f"state of {name_of(value)}": vars(value.__self__)}
    _exact(bound, [])  # a TypeError if something in it cannot be part of a recipe
    return [("", value.func if isinstance(value, functools.partial) else value.__func__), *bound.items()]


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
    with contextlib.suppress(ImportError, ValueError, AttributeError):
        file = getattr(sys.modules.get(top), "__file__", None) or importlib.util.find_spec(top).origin
        return top in sys.stdlib_module_names or bool(
            {"site-packages", "dist-packages"} & {*Path(file).parts}
        )
    return top in sys.stdlib_module_names


def name_of(value: Any) -> str:
    """Return the name of a function or class, with its package if that is another one."""
    while isinstance(value, functools.partial):
        value = value.func
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", type(value).__name__)
    return f"{_module(value).partition('.')[0]}.{name}" if is_library(value) else name


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
    scope, names = dict(function.__globals__), _global_names(tree)
    for each in inspect.signature(function, follow_wrapped=False).parameters.values():
        # A list that is a default is in the source, and may be filled meanwhile.
        if not isinstance(each.default, list | dict | set) and each.default is not each.empty:
            yield from _counted(f"default of {each.name}", each.default, True)
    for variable, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # a cell that is still empty
            scope[variable] = cell.cell_contents
            yield from _counted(variable, cell.cell_contents, variable in names)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name, own_name, value in _imported(node, function.__globals__.get("__package__")):
                scope[name] = value
                names.add(name)
                yield from _counted(own_name, value)
    for name in names & scope.keys():
        yield from _counted(name, scope[name])
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            root, *way, last = ast.unparse(node).split(".")
            owner = scope.get(root) if root in names else None
            for each in way:
                owner = getattr(owner, each, None) if isinstance(owner, types.ModuleType) else None
            if isinstance(owner, types.ModuleType) and not is_library(owner):
                yield from _counted(last, getattr(owner, last, None))
            elif last == "__doc__" and is_code(owner) and not is_library(owner):
                yield from _counted(f"{root}.__doc__", owner.__doc__, True)


def _counted(name: str, value: Any, always: bool = False) -> list[tuple[str, Any]]:
    return [(name, value)] if is_code(value) or always or name.isupper() else []


def _imported(node: ast.Import | ast.ImportFrom, package: str | None) -> Iterator[tuple[str, str, Any]]:
    """Yield what an import inside a function binds of ours: the name here, the name there, the thing."""
    base = ""
    if isinstance(node, ast.ImportFrom):
        base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
    for each in node.names:
        if _is_elsewhere(base or each.name):
            continue
        value = importlib.import_module(base or each.name)
        if base:
            value = getattr(value, each.name, None) or importlib.import_module(f"{base}.{each.name}")
        elif not each.asname:  # `import a.b` binds a
            value = sys.modules[each.name.partition(".")[0]]
        yield each.asname or each.name.partition(".")[0], each.name, value


def _global_names(tree: ast.AST) -> set[str]:
    """The names that Python looks up outside of the functions' own scopes."""

    def names(table: symtable.SymbolTable) -> set[str]:
        outer = table.get_type() == "module"
        own = {s.get_name() for s in table.get_symbols() if s.is_referenced() and (outer or s.is_global())}
        return own.union(*map(names, table.get_children()))

    return names(symtable.symtable(ast.unparse(tree), "recipe", "exec"))


def _exact(value: Any, code: list[Any]) -> Any:
    """A constant as plain values that no other constant has; `code` collects what functions are in it.

    TypeError if it holds anything else.
    """
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
    if isinstance(value, np.ndarray | np.generic):
        return array_in_words(np.asarray(value))
    if isinstance(value, float | complex | bytes | range | slice):
        return [kind, repr(value)]
    if value is None or isinstance(value, bool | int | str):
        return value
    raise TypeError(f"a {kind} cannot be part of a recipe: use numbers, texts, arrays, lists or dictionaries")


_parsed = functools.lru_cache(maxsize=64)(ast.parse)


@functools.lru_cache(maxsize=1024)
def _tree(function: types.FunctionType) -> ast.Module:
    """The syntax of a function, less what changes no number."""
    code = function.__code__
    try:
        tree = _parsed("".join(inspect.findsource(code)[0]))
    except (OSError, TypeError, SyntaxError) as error:
        raise TypeError(
            f"the source of {function.__qualname__} cannot be read ({error}); define it in a file or a cell"
        ) from error
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, kinds)
        and min(each.lineno for each in (node, *getattr(node, "decorator_list", ()))) == code.co_firstlineno
        and getattr(node, "name", "<lambda>") == code.co_name
    ]
    if len(found) > 1:  # several lambdas in a line: by the columns of what they return
        spots, bodies = {*code.co_positions()}, [node.body for node in found]
        ends = [(n.lineno, n.end_lineno, n.col_offset, n.end_col_offset) for n in bodies]
        found = [node for node, end in zip(found, ends, strict=True) if end in spots] or found
    if not found:
        raise TypeError(f"the source of {function.__qualname__} has changed since it was run; run it again")
    body = [ast.Expr(each) if isinstance(each, ast.Lambda) else each for each in copy.deepcopy(found)]
    return ast.fix_missing_locations(_essential(ast.Module(body, [])))


def _essential(tree: ast.Module) -> ast.Module:
    """Drop docstrings, annotations, and texts that only reach a `raise`, `assert`, `print` or `warn`."""
    for node in ast.walk(tree):
        for field in {"annotation", "returns", "msg"} & {*node._fields}:
            setattr(node, field, None)
        if isinstance(node, ast.Raise):
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            # A constant, since nothing is looked up for it.
            node.exc, node.cause = raised and ast.Constant(ast.unparse(raised)), None
        elif isinstance(node, ast.Expr):
            call = isinstance(node.value, ast.Call) and ast.unparse(node.value.func).split(".")[-1]
            if call in {"print", "warn"} or _is_text(node.value):
                node.value = ast.Tuple(_calls(node.value, call in {"print", "warn"}), ast.Load())
    read = _names_read(tree)
    for node in ast.walk(tree):
        for part in ("body", "orelse", "finalbody"):
            if isinstance(block := getattr(node, part, None), list) and block:
                kept = [_kept(each, None if isinstance(node, ast.ClassDef) else read) for each in block]
                block[:] = [each for each in kept if each] or [ast.Pass()]
    return tree


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
    everything = {each.id for each in ast.walk(tree) if isinstance(each, ast.Name)}
    return everything if {"locals", "vars", "eval", "exec"} & read else read


def _kept(node: ast.AST, read: Collection[str] | None) -> ast.AST | None:
    """A statement, or what is left of it if nothing reads the text in it; in a class (None), all is read."""
    if isinstance(node, ast.AnnAssign):
        declared = ast.Constant(None) if read is None else None
        node = ast.Assign([node.target], node.value or declared) if node.value or declared else None
    if isinstance(node, ast.Assign | ast.AugAssign) and read is not None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        unread = all(isinstance(each, ast.Name) and each.id not in read for each in targets)
        called = ast.unparse(node.value.func) if isinstance(node.value, ast.Call) else ""
        error = called.endswith(("Error", "Exception"))
        if unread and (error or _is_text(node.value)):
            node = ast.Expr(ast.Tuple(_calls(node.value, error), ast.Load()))
    empty = isinstance(node, ast.Expr) and isinstance(node.value, ast.Tuple) and not node.value.elts
    return None if empty else node


def _is_text(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp):
        return _is_text(node.left) or isinstance(node.op, ast.Add) and _is_text(node.right)
    if isinstance(node, ast.IfExp):
        return _is_text(node.body) and _is_text(node.orelse)
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Attribute) and _is_text(node.func.value)
    return isinstance(node, ast.JoinedStr) or isinstance(getattr(node, "value", None), str)


def _calls(node: ast.AST, inside: bool = False) -> list[ast.AST]:
    """What may do something in a text that nobody reads."""
    kinds = ast.Call | ast.Await | ast.Yield | ast.YieldFrom | ast.NamedExpr
    if isinstance(node, kinds) and not inside and not _is_text(node):
        return [node]
    found = [each for child in ast.iter_child_nodes(node) for each in _calls(child)]
    return [node] if found and hasattr(node, "generators") else found


def _plain(node: Any) -> Any:
    """A syntax tree as lists, the same in all Python versions of this course, unlike `ast.dump`."""
    if isinstance(node, ast.AST):
        skipped = {"ctx", "kind", "type_comment", "type_params"}
        if isinstance(node, ast.ImportFrom) and (node.level or not _is_elsewhere(node.module)):
            skipped |= {"module", "level"}  # a function may move to another file
        fields = [(key, _plain(value)) for key, value in ast.iter_fields(node) if key not in skipped]
        return [type(node).__name__] + [[key, value] for key, value in fields if value not in (None, [])]
    if isinstance(node, list):
        return [_plain(item) for item in node]
    exact = isinstance(node, str | int | bool) or node is None
    return node if exact else [type(node).__name__, repr(node)]


# --- values and data ---------------------------------------------------------------------------


def array_in_words(array: np.ndarray) -> dict[str, str]:
    """Return dtype, shape and SHA-256 of an array; TypeError if it holds Python objects."""
    shape = "×".join(f"{size:,}" for size in array.shape)
    return {"array": f"{array.dtype.name} {shape}", "sha256": array_hash(array)}


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
        "inputs": array_in_words(X),
        "targets": array_in_words(y),
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
        if content_hash(before) == content_hash(after):
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
    if content_hash(before) == content_hash(after):
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
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = "none" if value in (None, [], {}) else text
    return text if len(text) <= 60 else text[:57] + "…"

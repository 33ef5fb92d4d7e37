"""Recipes hold what can change a number, and nothing else."""

from __future__ import annotations

import functools
import importlib.util
import itertools
import sys
import textwrap

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)
from course.store import recipes

import keras
import numpy as np
import pytest

numbers = itertools.count()


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Write texts as modules, as a lecture or its helpers would be; the last one is returned.

    They can be imported by the names given, from one another also; "lecture" is the one of `text`.
    """

    def write(text: str, **others: str):
        for name, content in {**others, "lecture": text}.items():
            path = tmp_path / f"{name}_{next(numbers)}.py"
            path.write_text(textwrap.dedent(content), encoding="utf-8")
            spec = importlib.util.spec_from_file_location(name, path)
            module = importlib.util.module_from_spec(spec)
            monkeypatch.setitem(sys.modules, name, module)
            spec.loader.exec_module(module)
        return module

    return write


def functions(module, name: str = "load") -> dict[str, str]:
    return recipes.code_of([getattr(module, name)])["functions"]


def changed(before: dict, after: dict) -> list[str]:
    return recipes.differences({"code": {"functions": before}}, {"code": {"functions": after}}, {})


# --- what counts: (text, what is replaced, by what, the name that the reason gives) ------------------

REAL = {
    "code": ("def load(x): return x + 1", "+", "-", "load"),
    "used function": ("def half(x): return x / 2\ndef load(x): return half(x)", "/ 2", "/ 3", "half"),
    "constant": ("LEVELS = 255\ndef load(x): return x / LEVELS", "255", "256", "LEVELS"),
    "constant's last digit": ("RATE = 0.12345678\ndef load(x): return x * RATE", "678", "679", "RATE"),
    "constant's type": ("RATE = 1\ndef load(x): return x * RATE", "= 1", "= 1.0", "RATE"),
    "one of two equal constants": ("A = 1\nB = 1\ndef load(x): return A * x + B", "B = 1", "B = 2", "B"),
    "a number or its text": ("def load(x): return [1.0]", "1.0", "'1.0'", "load"),
    "constant dictionary": ("O = {'module': 1}\ndef load(x): return O", "'module': 1", "'module': 2", "O"),
    "order of a constant": ("O = {'a': 1, 'b': 1}\ndef load(x): return O", "'a': 1, 'b'", "'b': 1, 'a'", "O"),
    "constant array": ("import numpy as np\nK = np.eye(2)\ndef load(x): return K", "eye(2)", "ones(2)", "K"),
    "constant number of numpy": (
        "import numpy as np\nK = np.float32(1)\ndef load(x): return K",
        "(1)",
        "(1.0000001)",
        "K",
    ),
    "constant range": ("SIZES = range(3)\ndef load(x): return SIZES", "3", "4", "SIZES"),
    "constant with functions": (
        "def a(x): return 1\nSTEPS = [a]\ndef load(x): return [s(x) for s in STEPS]",
        "return 1",
        "return 2",
        "a",
    ),
    "which functions a constant holds": (
        "def a(x): return 1\ndef b(x): return 2\nS = {'x': a, 'y': b}\ndef load(x): return S[x](x)",
        "'x': a, 'y': b",
        "'x': b, 'y': a",
        "S",
    ),
    "constant of a dataclass": (
        """
        from dataclasses import dataclass
        @dataclass(frozen=True)
        class Setting: rate: float
        SETTING = Setting(0.5)
        def load(x): return x * SETTING.rate
        """,
        "(0.5)",
        "(0.6)",
        "SETTING",
    ),
    "member of an enumeration": (
        """
        import enum
        class Side(enum.Enum):
            LEFT = 1
        def load(x): return Side.LEFT
        """,
        "= 1",
        "= 2",
        "Side.LEFT",
    ),
    "default argument": ("def load(x, n=2): return x * n", "n=2", "n=3", "load"),
    "default of a keyword": ("def load(x, *, n=2): return x * n", "n=2", "n=3", "load"),
    "default from a variable": ("n = 2\ndef load(x, n=n): return x * n", "n = 2", "n = 3", "default of n"),
    "default that is a function": (
        "def half(x): return x / 2\ndef load(x, f=half): return f(x)",
        "/ 2",
        "/ 3",
        "half",
    ),
    "variable of the enclosing function": (
        """
        def make(rate):
            def load(x): return x * rate
            return load
        load = make(2)
        """,
        "make(2)",
        "make(3)",
        "rate",
    ),
    "function of the enclosing function": (
        """
        def make():
            def half(x): return x / 2
            def load(x): return half(x)
            return load
        load = make()
        """,
        "/ 2",
        "/ 3",
        "half",
    ),
    "argument of a decorator": (
        """
        import functools
        def times(n):
            def decorate(f):
                @functools.wraps(f)
                def inner(x): return f(x) * n
                return inner
            return decorate
        @times(2)
        def load(x): return x
        """,
        "@times(2)",
        "@times(3)",
        "load",
    ),
    "argument of a decorator, from a variable": (
        """
        import functools
        def times(n):
            def decorate(f):
                @functools.wraps(f)
                def inner(x): return f(x) * n
                return inner
            return decorate
        factor = 2
        @times(factor)
        def load(x): return x
        """,
        "factor = 2",
        "factor = 3",
        "n",
    ),
    "code of a decorator": (
        """
        import functools
        def twice(f):
            @functools.wraps(f)
            def inner(x): return f(x) * 2
            return inner
        @twice
        def load(x): return x
        """,
        "* 2",
        "* 3",
        "twice",
    ),
    "a decorator that hides the function": (
        """
        def twice(f):
            def inner(x): return f(x) * 2
            return inner
        @twice
        def load(x): return x + 1
        """,
        "x + 1",
        "x + 2",
        "load",
    ),
    "cached": (
        "import functools\n@functools.cache\ndef half(x): return x / 2\ndef load(x): return half(x)",
        "/ 2",
        "/ 3",
        "half",
    ),
    "context manager": (
        """
        import contextlib
        @contextlib.contextmanager
        def opened(x): yield x + 1
        def load(x):
            with opened(x) as y: return y
        """,
        "x + 1",
        "x + 2",
        "opened",
    ),
    "vectorised": (
        "import numpy as np\n@np.vectorize\ndef half(x): return x / 2\ndef load(x): return half(x)",
        "/ 2",
        "/ 3",
        "half",
    ),
    "partial": (
        "import functools\ndef f(x, n): return x * n\nload = functools.partial(f, n=2)",
        "n=2",
        "n=3",
        "f",
    ),
    "partial that is used": (
        "import functools\ndef f(n, x): return x * n\ng = functools.partial(f, 2)\ndef load(x): return g(x)",
        "f, 2",
        "f, 3",
        "g",
    ),
    "partial of a library function": (
        "import functools, numpy as np\ng = functools.partial(np.clip, a_min=0)\ndef load(x): return g(x)",
        "a_min=0",
        "a_min=1",
        "g",
    ),
    "method": (
        "class A:\n    def f(self): return 1\ndef load(x): return A().f()",
        "return 1",
        "return 2",
        "A.f",
    ),
    "property": (
        "class A:\n    @property\n    def f(self): return 1\ndef load(x): return A().f",
        "return 1",
        "return 2",
        "A.f",
    ),
    "static method": (
        "class A:\n    @staticmethod\n    def f(): return 1\ndef load(x): return A.f()",
        "return 1",
        "return 2",
        "A.f",
    ),
    "class method": (
        "class A:\n    @classmethod\n    def f(cls): return 1\ndef load(x): return A.f()",
        "return 1",
        "return 2",
        "A.f",
    ),
    "class attribute": ("class A:\n    n = 1\ndef load(x): return A.n", "n = 1", "n = 2", "A.n"),
    "text that is a class attribute": (
        "def load(x):\n    class A:\n        n = 'a'\n    return A.n",
        "'a'",
        "'b'",
        "load",
    ),
    "class in a class": (
        "class A:\n    class B:\n        n = 1\ndef load(x): return A.B.n",
        "n = 1",
        "n = 2",
        "A.B.n",
    ),
    "base class": ("class B:\n    n = 1\nclass A(B): pass\ndef load(x): return A.n", "n = 1", "n = 2", "B.n"),
    "which base class": (
        "class B:\n    n = 1\nclass C:\n    n = 1\nclass A(B): pass\ndef load(x): return A.n",
        "A(B)",
        "A(C)",
        "A",
    ),
    "default of a dataclass": (
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    n: int = 1\ndef load(x): return A().n",
        "= 1",
        "= 2",
        "A.n",
    ),
    "field of a dataclass in a function": (
        """
        from dataclasses import dataclass, fields
        def load(x):
            @dataclass
            class A:
                n: int
            return len(fields(A))
        """,
        "n: int",
        "n: int; m: int",
        "load",
    ),
    "what makes a default of a dataclass": (
        """
        from dataclasses import dataclass, field
        @dataclass
        class A: n: list = field(default_factory=lambda: [1])
        def load(x): return A().n
        """,
        "[1]",
        "[2]",
        "A.<lambda>",
    ),
    "nested function": (
        "def load(x):\n    def half(x): return x / 2\n    return half(x)",
        "/ 2",
        "/ 3",
        "load",
    ),
    "lambda": ("load = lambda x: x / 2", "/ 2", "/ 3", "<lambda>"),
    "lambda in a longer statement": (
        "load = [\n    1,\n    lambda x: x / 2,\n][1]",
        "/ 2",
        "/ 3",
        "<lambda>",
    ),
    "what a lambda uses": (
        "def half(x): return x / 2\nload = dict(f=lambda x: half(x))['f']",
        "/ 2",
        "/ 3",
        "half",
    ),
    "comprehension": ("def load(x): return [y + 1 for y in x]", "+ 1", "+ 2", "load"),
    "constant in a nested function": (
        "N = 1\ndef load(x):\n    def f(): return [N for y in x]\n    return f()",
        "N = 1",
        "N = 2",
        "N",
    ),
    "async": ("N = 1\nasync def load(x):\n    async with x as y: return y + N", "N = 1", "N = 2", "N"),
    "match": (
        "def load(x):\n    match x:\n        case 'a': return 1\n        case _: return 2",
        "'a'",
        "'b'",
        "load",
    ),
    "walrus": ("def load(x): return (n := x + 1) * n", "+ 1", "+ 2", "load"),
    "text in a walrus": ("def load(x): return [(t := 'a'), x]", "'a'", "'b'", "load"),
    "text in a global variable": (
        "def load(x):\n    global mode\n    mode = 'a'\n    return other()\ndef other(): return mode",
        "'a'",
        "'b'",
        "load",
    ),
    "text in a variable of the enclosing function": (
        "def load(x):\n    t = 'a'\n    def f():\n        nonlocal t\n        t = 'b'\n    f()\n    return t",
        "'b'",
        "'c'",
        "load",
    ),
    "text that a query of pandas reads": (
        "def load(x):\n    part = 'a'\n    return x.query('part == @part')",
        "'a'",
        "'b'",
        "load",
    ),
    "text that is read by name": ("def load(x):\n    t = 'a'\n    return eval(x)", "'a'", "'b'", "load"),
    "text that reaches a raise and a result": (
        "def load(x):\n    t = f'a {x}'\n    if x: raise ValueError(t)\n    return t",
        "'a {x}'",
        "'b {x}'",
        "load",
    ),
    "key of a result": ("def load(x): return {f'a {x}': 1}", "a {x}", "b {x}", "load"),
    "text as an index": (
        "T = {'r': 1, 'g': 2}\ndef load(x):\n    y = x[:]\n    y += 2 * T['r']\n    return x",
        "2 * T['r']",
        "2 * T['g']",
        "load",
    ),
    "call in a text": (
        "def load(rng):\n    t = f'{rng.random()}'\n    return rng.random()",
        "rng.random()}",
        "rng.normal()}",
        "load",
    ),
    "call in what is printed": (
        "def load(rng):\n    print(rng.random())\n    return rng.random()",
        "print(rng.random())",
        "print(rng.normal())",
        "load",
    ),
    "which error is raised": (
        "def load(x):\n    if x: raise ValueError('a')",
        "ValueError",
        "KeyError",
        "load",
    ),
    "condition of a raise": ("def load(x):\n    if x > 1: raise ValueError('a')", "> 1", "> 2", "load"),
    "condition of an assert": ("def load(x):\n    assert x > 1, 'a'", "> 1", "> 2", "load"),
    "deletion": ("def load(x):\n    del x[0]\n    return x", "[0]", "[1]", "load"),
    "recursion": ("def load(x): return x and load(x - 1)", "- 1", "- 2", "load"),
    "mutual recursion": (
        "def load(x): return x and odd(x - 1)\ndef odd(x): return not load(x - 1)",
        "not load(x - 1)",
        "load(x - 1)",
        "odd",
    ),
    "library function": ("import numpy as np\ndef load(x): return np.sin(x)", "np.sin", "np.cos", "load"),
    "import of a library function": (
        "def load(x):\n    from math import floor\n    return floor(x)",
        "from math",
        "from numpy",
        "load",
    ),
    "text with a margin of its own": (
        "def f(x): return x + 1\ndef make():\n    def load(x):\n        return '''\nabc''', f(x)\n"
        "    return load\nload = make()",
        "x + 1",
        "x + 2",
        "f",
    ),
}

# Constants, of whatever kind: (how it is written, what it becomes, what it needs)
CONSTANTS = {
    "decimal": ("Decimal('1.5')", "Decimal('1.6')", "from decimal import Decimal"),
    "digits of a decimal": ("Decimal('1.5')", "Decimal('1.50')", "from decimal import Decimal"),
    "fraction": ("Fraction(1, 3)", "Fraction(2, 3)", "from fractions import Fraction"),
    "date": ("date(2020, 1, 1)", "date(2020, 1, 2)", "from datetime import date"),
    "time": ("time(1)", "time(2)", "from datetime import time"),
    "datetime": ("datetime(2020, 1, 1)", "datetime(2020, 1, 1, 1)", "from datetime import datetime"),
    "time span": ("timedelta(1)", "timedelta(2)", "from datetime import timedelta"),
    "pattern": ("re.compile('a')", "re.compile('b')", "import re"),
    "flags of a pattern": ("re.compile('a')", "re.compile('a', re.I)", "import re"),
    "namespace": ("SimpleNamespace(a=1)", "SimpleNamespace(a=2)", "from types import SimpleNamespace"),
    "dtype": ("np.dtype('f4')", "np.dtype('f8')", "import numpy as np"),
    "structured dtype": ("np.dtype([('a', 'f4')])", "np.dtype([('b', 'f4')])", "import numpy as np"),
    "slice": ("slice(1)", "slice(2)", ""),
    "range": ("range(3)", "range(1, 3)", ""),
    "complex": ("1j", "2j", ""),
    "bytes": ("b'a'", "b'b'", ""),
    "bytearray": ("bytearray(b'a')", "bytearray(b'b')", ""),
    "set": ("{1, 2}", "{1, 3}", ""),
    "kind of a container": ("(1, 2)", "[1, 2]", ""),
    "truth": ("1", "True", ""),
    "iterator": ("iter([1, 2])", "iter([1, 3])", ""),
    "counter": ("Counter('ab')", "Counter('abb')", "from collections import Counter"),
    "default of a dictionary": (
        "defaultdict(int, a=1)",
        "defaultdict(float, a=1)",
        "from collections import defaultdict",
    ),
    "queue": ("deque([1])", "deque([2])", "from collections import deque"),
    "mapping": (
        "MappingProxyType({'a': 1})",
        "MappingProxyType({'a': 2})",
        "from types import MappingProxyType",
    ),
    "partial": ("partial(max, 1)", "partial(max, 2)", "from functools import partial"),
    "partial of a method": ("partial('a'.join)", "partial('b'.join)", "from functools import partial"),
    "getter": ("itemgetter(1)", "itemgetter(2)", "from operator import itemgetter"),
    "function of numpy": ("np.sin", "np.cos", "import numpy as np"),
    "function of Python": ("len", "sum", ""),
    "class of Python": ("int", "float", ""),
    "module": ("math", "cmath", "import math, cmath"),
    "kinds": ("int | str", "int | float", ""),
    "relative path": ("Path('a.csv')", "Path('b.csv')", "from pathlib import Path"),
    "path in the course": ("paths.DATA / 'a'", "paths.DATA / 'b'", "from course import paths"),
    "state of a generator of random numbers": (
        "np.random.default_rng(1)",
        "np.random.default_rng(2)",
        "import numpy as np",
    ),
    "mask": ("np.ma.array([1, 2], mask=[0, 1])", "np.ma.array([1, 2], mask=[1, 0])", "import numpy as np"),
    "matrix": ("np.eye(2)", "np.matrix(np.eye(2))", "import numpy as np"),
    "array of objects": ("np.array([1, 'a'], object)", "np.array([1, 'b'], object)", "import numpy as np"),
    "names of an array's fields": (
        "np.zeros(1, [('a', 'f4')])",
        "np.zeros(1, [('b', 'f4')])",
        "import numpy as np",
    ),
    "polynomial": ("np.poly1d([1, 2])", "np.poly1d([1, 3])", "import numpy as np"),
    "tensor": ("torch.ones(1)", "torch.zeros(1)", "import torch"),
    "table": ("pd.DataFrame({'a': [1]})", "pd.DataFrame({'a': [2]})", "import pandas as pd"),
    "column of a table": ("pd.DataFrame({'a': [1]})", "pd.DataFrame({'b': [1]})", "import pandas as pd"),
    "index of a table": (
        "pd.DataFrame({'a': [1]})",
        "pd.DataFrame({'a': [1]}, index=[5])",
        "import pandas as pd",
    ),
    "series": ("pd.Series([1.0])", "pd.Series([2.0])", "import pandas as pd"),
    "type of a series": ("pd.Series([1])", "pd.Series([1], dtype='Int64')", "import pandas as pd"),
    "order of categories": (
        "pd.Series(['a', 'b'], dtype=pd.CategoricalDtype(['a', 'b']))",
        "pd.Series(['a', 'b'], dtype=pd.CategoricalDtype(['b', 'a']))",
        "import pandas as pd",
    ),
    "index": ("pd.Index([1, 2])", "pd.Index([1, 3])", "import pandas as pd"),
    "point in time": ("pd.Timestamp('2020')", "pd.Timestamp('2021')", "import pandas as pd"),
    "layer": ("keras.layers.Dense(1)", "keras.layers.Dense(2)", "import keras"),
    "fitted estimator": (
        "StandardScaler().fit([[1.0], [3.0]])",
        "StandardScaler().fit([[1.0], [4.0]])",
        "from sklearn.preprocessing import StandardScaler",
    ),
}
NESTED = ["{}", "[{}]", "({},)", "{{'a': {}}}", "[({}, [1])]"]


@pytest.mark.parametrize("nested", NESTED[::3])
@pytest.mark.parametrize("case", CONSTANTS)
def test_a_constant_of_any_kind_is_an_ingredient(written, case, nested) -> None:
    before, after, needs = CONSTANTS[case]
    found = [
        functions(written(f"{needs}\nK = {nested.format(value)}\ndef load(x): return K"))
        for value in (before, before, after)
    ]
    assert found[0] == found[1]
    assert changed(found[0], found[2]) == ["code: K changed"]


MORE_REAL = {
    "code of an instance": (
        "class A:\n    def f(self): return 1\nK = A()\ndef load(x): return K.f()",
        "return 1",
        "return 2",
        "A.f",
    ),
    "state of an instance": (
        "class A:\n    def __init__(self, n): self.n = n\nK = A(1)\ndef load(x): return K.n",
        "A(1)",
        "A(2)",
        "K",
    ),
    "private state": (
        "class A:\n    def __init__(self, n): self._n = n\nK = [A(1)]\ndef load(x): return K",
        "A(1)",
        "A(2)",
        "K",
    ),
    "state in slots": (
        "class A:\n    __slots__ = ('n',)\nK = A()\nK.n = 1\ndef load(x): return K.n",
        "n = 1",
        "n = 2",
        "K",
    ),
    "instance in small letters": (
        "class A:\n    def __init__(self, n): self.n = n\nk = A(1)\ndef load(x): return k.n",
        "A(1)",
        "A(2)",
        "k",
    ),
    "object that can be called": (
        "import operator\npick = operator.itemgetter(1)\ndef load(x): return pick(x)",
        "(1)",
        "(2)",
        "pick",
    ),
    "method of an object": (
        "class A:\n    n = 1\n    def f(self): return self.n\nload = A().f",
        "n = 1",
        "n = 2",
        "A.n",
    ),
    "method of an instance of a dataclass": (
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    n: int\n    def f(self): return 1\n"
        "K = A(1)\ndef load(x): return K.f()",
        "return 1",
        "return 2",
        "A.f",
    ),
    "default of a dataclass with slots": (
        "from dataclasses import dataclass\n@dataclass(slots=True)\nclass A:\n    n: int = 1\n"
        "def load(x): return A().n",
        "= 1",
        "= 2",
        "A.n",
    ),
    "order of a dataclass": (
        "from dataclasses import dataclass\n@dataclass(order=True)\nclass A:\n    n: int = 1\n"
        "def load(x): return sorted([A(), A()])",
        "order=True",
        "order=False",
        "A",
    ),
    "method of a member": (
        "import enum\nclass E(enum.Enum):\n    A = 1\n    def f(self): return 1\nK = E.A\n"
        "def load(x): return K.f()",
        "return 1",
        "return 2",
        "E.f",
    ),
    "order of members": (
        "import enum\nclass E(enum.Enum):\n    A = 1\n    B = 2\ndef load(x): return list(E)",
        "A = 1\n    B = 2",
        "B = 2\n    A = 1",
        "E",
    ),
    "inherited method": (
        "class B:\n    def f(self): return 1\nclass A(B): pass\nK = A()\ndef load(x): return K.f()",
        "return 1",
        "return 2",
        "B.f",
    ),
    "computed property": (
        "import functools\nclass A:\n    @functools.cached_property\n    def f(self): return 1\n"
        "def load(x): return A().f",
        "return 1",
        "return 2",
        "A.f",
    ),
    "decorator that is an object": (
        "class Times:\n    def __init__(self, f): self.f, self.n = f, 2\n"
        "    def __call__(self, x): return self.f(x) * self.n\n@Times\ndef load(x): return x",
        "f, 2",
        "f, 3",
        "Times",
    ),
    "kinds of a function": (
        "import functools\n@functools.singledispatch\ndef f(x): return 1\n@f.register\n"
        "def _(x: int): return 2\ndef load(x): return f(x)",
        "return 2",
        "return 3",
        "_",
    ),
    "options of vectorize": (
        "import numpy as np\ndef f(x): return x\ng = np.vectorize(f, otypes=[float])\n"
        "def load(x): return g(x)",
        "[float]",
        "[int]",
        "g",
    ),
    "default that is a list": ("levels = [1]\ndef load(x, n=levels): return n", "[1]", "[2]", "default of n"),
    "attribute of a function": ("def load(x): return x * load.RATE\nload.RATE = 1", "= 1", "= 2", "RATE"),
    "names for two functions": (
        "def half(x): return x / 2\ndef third(x): return x / 3\na, b = half, third\n"
        "def load(x): return a(x) - b(x)",
        "half, third",
        "third, half",
        "a",
    ),
    "two functions without names": (
        "K = {\n    'a': lambda x: 1,\n    'b': lambda x: 2,\n}\ndef load(x): return K['a'](x)",
        "lambda x: 1,\n    'b': lambda x: 2",
        "lambda x: 2,\n    'b': lambda x: 1",
        "K",
    ),
    "package behind a name": ("import math as m\ndef load(x): return m.sqrt(x)", "math", "cmath", "m"),
    "package of a function": (
        "from math import floor\ndef load(x): return floor(x)",
        "math",
        "numpy",
        "floor",
    ),
    "loop of the module": (
        "K = []\nfor n in range(3): K.append(n)\ndef load(x): return K",
        "range(3)",
        "range(4)",
        "K",
    ),
    "expression that is tried": (
        "def load(x):\n    try: x[5]\n    except IndexError: return 1\n    return 2",
        "x[5]",
        "x[6]",
        "load",
    ),
    "attribute that is tried": (
        "def load(x):\n    try: x.a\n    except AttributeError: return 1\n    return 2",
        "x.a",
        "x.b",
        "load",
    ),
    "unread variable that is tried": (
        "def load(x):\n    try: y = x[5]\n    except IndexError: return 1\n    return 2",
        "x[5]",
        "x[6]",
        "load",
    ),
    "what an error holds": (
        "class Found(Exception): pass\ndef load(x):\n    raise Found(x + 1)",
        "x + 1",
        "x + 2",
        "load",
    ),
    "text of an error that is read": (
        "def load(x):\n    try: raise ValueError('1')\n    except ValueError as e: return float(str(e))",
        "'1'",
        "'2'",
        "load",
    ),
    "text that is evaluated": (
        "import pandas as pd\ndef load(x):\n    t = 'a'\n    return pd.eval('t + x')",
        "'a'",
        "'b'",
        "load",
    ),
    "generator": ("def load(x):\n    yield x + 1", "+ 1", "+ 2", "load"),
    "which local variable": (
        "def load(x):\n    a = x + 1\n    b = x + 2\n    return a / b",
        "a / b",
        "b / a",
        "load",
    ),
}
REAL |= MORE_REAL


@pytest.mark.parametrize("case", REAL)
def test_each_real_ingredient_is_noticed_and_named(written, case) -> None:
    text, old, new, name = REAL[case]
    text = textwrap.dedent(text)
    assert old in text
    before = functions(written(text))
    assert functions(written(text)) == before
    (reason,) = changed(before, functions(written(text.replace(old, new, 1))))
    assert f"{name} changed" in reason or f"{name} is used now" in reason, reason


# --- what does not count: (text, what is replaced, by what) ------------------------------------------

NO_INGREDIENT = {
    "comment": ("def load(x): return x  # one", "# one", "# two"),
    "docstring": ("def load(x):\n    '''One.'''\n    return x", "One", "Two"),
    "no docstring": ("def load(x):\n    '''One.'''\n    return x", "'''One.'''", ""),
    "docstring of a class": ("class A:\n    '''One.'''\ndef load(x): return A()", "One", "Two"),
    "layout": ("def load(x): return x + 1", "x + 1", "(\n        x\n        + 1)"),
    "place in the file": ("def load(x): return x", "def", "\n\n\ndef"),
    "annotation": ("def load(x): return x", "(x)", "(x: int) -> list[str]"),
    "annotation of a variable": ("def load(x):\n    y: int = x\n    return y", "y: int", "y: float"),
    "annotated or not": ("def load(x):\n    y = x\n    return y", "y =", "y: float ="),
    "annotation of a field": (
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    n: int = 1\ndef load(x): return A().n",
        ": int",
        ": float",
    ),
    "neighbour": ("def load(x): return x\ndef other(): return 1", "return 1", "return 2"),
    "variable in small letters": ("seen = 1\ndef load(x): return seen", "seen = 1", "seen = 2"),
    "local variable named like a function": (
        "def half(x): return x / 2\ndef load(x):\n    half = x\n    return half",
        "/ 2",
        "/ 3",
    ),
    "argument named like a function": (
        "def half(x): return x / 2\ndef load(half): return half",
        "/ 2",
        "/ 3",
    ),
    "loop variable named like a function": (
        "def half(x): return x / 2\ndef load(x): return [half for half in x]",
        "/ 2",
        "/ 3",
    ),
    "attribute named like a function": (
        "def half(x): return x / 2\ndef load(x): return x.half()",
        "/ 2",
        "/ 3",
    ),
    "keyword named like a function": (
        "def half(x): return x / 2\ndef load(x): return dict(half=x)",
        "/ 2",
        "/ 3",
    ),
    "variable of the enclosing function, named like a function": (
        """
        def half(x): return x / 2
        def make(half):
            def load(x): return half
            return load
        load = make(3)
        """,
        "/ 2",
        "/ 3",
    ),
    "local variable named like a constant": (
        "N = 1\ndef load(x):\n    N = x\n    return N",
        "N = 1",
        "N = 2",
    ),
    "name of a local variable of another function": (
        "N = 1\ndef f(N): return N\ndef load(x): return f(x)",
        "N = 1",
        "N = 2",
    ),
    "the statement around a lambda": ("y = 1\nload = [lambda x: x, y + 1][0]", "y + 1", "y + 2"),
    "message": ("def load(x):\n    raise ValueError('one')", "one", "two"),
    "message with values": ("def load(x):\n    raise ValueError(f'one {x}')", "one {x}", "{x:.2f} two"),
    "more messages": ("def load(x):\n    raise ValueError('a')", "'a'", "'a', 'b'"),
    "cause of an error": (
        "def load(x):\n    try: return x\n    except KeyError as e: raise ValueError('a') from e",
        " from e",
        " from None",
    ),
    "message in a variable": ("def load(x):\n    t = 'one'\n    raise ValueError(t)", "one", "two"),
    "message in two variables": (
        "def load(x):\n    a = 'one'\n    b = f'{a}: {x}'\n    raise ValueError(b)",
        "{a}: {x}",
        "{x}, {a}",
    ),
    "message in a choice": (
        "def load(x):\n    t = 'one' if x else 'two'\n    raise ValueError(t)",
        "'two'",
        "'three'",
    ),
    "message in a format": (
        "def load(x):\n    t = 'one {}'.format(x)\n    raise ValueError(t)",
        "one {}",
        "two {}",
    ),
    "message in old style": ("def load(x):\n    t = 'one %d' % x\n    raise ValueError(t)", "one", "two"),
    "message with a call": (
        "def load(x):\n    t = f'one {len(x)}'\n    raise ValueError(t)",
        "one {len(x)}",
        "{len(x)} two",
    ),
    "list in a message": (
        "def load(x):\n    t = ', '.join(f'one {y}' for y in x)\n    raise ValueError(t)",
        "one {y}",
        "two {y}",
    ),
    "error in a variable": (
        "def load(x):\n    error = ValueError('one')\n    if x: raise error\n    return x",
        "one",
        "two",
    ),
    "message by a helper": (
        "def words(x): return f'one {x}'\ndef load(x):\n    if x: raise ValueError(words(x))\n    return x",
        "one",
        "two",
    ),
    "message in a constant": (
        "HELP = 'one'\ndef load(x):\n    if x: raise ValueError(HELP)\n    return x",
        "one",
        "two",
    ),
    "error by a helper": (
        "def error(x): return ValueError(f'one {x}')\ndef load(x):\n    if x: raise error(x)\n    return x",
        "one",
        "two",
    ),
    "own error": (
        "class E(ValueError):\n    def __str__(self): return 'one'\ndef load(x):\n    if x: raise E(x)",
        "one",
        "two",
    ),
    "message in a nested function": (
        "def load(x):\n    def f():\n        t = 'one'\n        raise ValueError(t)\n    return f()",
        "one",
        "two",
    ),
    "message of an assert": ("def load(x): assert x, 'one'", "one", "two"),
    "warning": (
        "import warnings\ndef load(x):\n    t = 'one'\n    warnings.warn(f'{t} {x}', stacklevel=2)",
        "{t} {x}",
        "{x} {t}",
    ),
    "warning in a variable": (
        "import warnings\ndef load(x):\n    t = 'one'\n    warnings.warn(t, stacklevel=2)",
        "one",
        "two",
    ),
    "what is printed": ("def load(x):\n    print('one', x)\n    return x", "'one', x", "'two'"),
    "first of two texts of a message": (
        "def load(x):\n    a = 'one'\n    b = f'{a}: {x}'\n    raise ValueError(b)",
        "one",
        "two",
    ),
    "text of an own error": (
        "class Problem(Exception): pass\ndef load(x): raise Problem(f'one {x}')",
        "one",
        "two",
    ),
    "docstring of a method of a constant": (
        "class A:\n    @property\n    def f(self):\n        'One.'\n        return 1\n"
        "K = A()\ndef load(x): return K.f",
        "One",
        "Two",
    ),
    "path on this machine": (
        "from pathlib import Path\nK = Path('/a').absolute()\ndef load(x): return K",
        "'/a'",
        "'/b'",
    ),
    "order of a set": ("K = {'a', 'b', 'c'}\ndef load(x): return K", "'a', 'b', 'c'", "'c', 'b', 'a'"),
    "lock": ("import threading\nK = threading.Lock()\ndef load(x): return K", "Lock", "RLock"),
    "private function of a library": ("import json\ndef load(x): return json.dumps(x)", "", ""),
}


@pytest.mark.parametrize("case", NO_INGREDIENT)
def test_what_changes_no_number_is_no_ingredient(written, case) -> None:
    text, old, new = NO_INGREDIENT[case]
    text = textwrap.dedent(text)
    assert old in text
    before, after = functions(written(text)), functions(written(text.replace(old, new, 1)))
    assert changed(before, after) == [] and before == after


def test_names_are_those_that_are_used(written) -> None:
    text = """
        N = 1
        UNUSED = 2
        def half(x): return x / 2
        def third(x): return x / 3
        def layers(x): return third(x)
        def load(x):
            layers = [half(x), N]
            return layers
    """
    assert set(functions(written(text))) == {"N", "half", "load"}


# --- several files -----------------------------------------------------------------------------------

HELPER = "N = 1\ndef half(x): return x / N\nclass Reader:\n    n = 1\n"
WAYS = {
    "from a module": "from helper import half\ndef load(x): return half(x)",
    "all of a module": "from helper import *\ndef load(x): return half(x)",
    "by another name": "from helper import half as h\ndef load(x): return h(x)",
    "as an attribute": "import helper\ndef load(x): return helper.half(x)",
    "as an attribute by another name": "import helper as h\ndef load(x): return [h.half(y) for y in x]",
    "within the function": "def load(x):\n    from helper import half\n    return half(x)",
    "within the function by another name": "def load(x):\n    from helper import half as h\n    return h(x)",
    "within the function as an attribute": "def load(x):\n    import helper\n    return helper.half(x)",
    "within the function, both": "def load(x):\n    import helper as h\n    return h.half(x)",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_function_is_found_however_it_is_imported(written, way) -> None:
    before = functions(written(WAYS[way], helper=HELPER))
    assert {"half", "N", "load"} <= set(before)
    (reason,) = changed(before, functions(written(WAYS[way], helper=HELPER.replace("/ N", "* N"))))
    assert "half changed" in reason
    (reason,) = changed(before, functions(written(WAYS[way], helper=HELPER.replace("N = 1", "N = 2"))))
    assert "N changed" in reason


@pytest.mark.parametrize(
    "text",
    [
        "import helper\ndef load(x): return helper.N",
        "def load(x):\n    from helper import N as n\n    return n",
    ],
)
def test_a_constant_of_another_file_counts(written, text) -> None:
    before = functions(written(text, helper=HELPER))
    assert changed(before, functions(written(text, helper=HELPER.replace("N = 1", "N = 2"))))


@pytest.mark.parametrize("before", ["from helper import {}", "def unused():\n    pass\nfrom other import {}"])
@pytest.mark.parametrize("name, use", [("half", "half(x)"), ("Reader", "Reader.n"), ("N", "x * N")])
def test_moving_to_another_file_is_no_change(written, before, name, use) -> None:
    load = f"\ndef load(x): return {use}\n"
    here = functions(written(HELPER + load))
    there = functions(written(before.format(name) + load, helper=HELPER, other=HELPER))
    assert here == there
    inside = "def load(x):\n    from {} import half\n    return half(x)"
    moved = [
        functions(written(inside.format(each), helper=HELPER, other=HELPER)) for each in ("helper", "other")
    ]
    assert moved[0] == moved[1]


def test_functions_of_one_name_in_two_files_count_both(written) -> None:
    text = "import helper\ndef half(x): return x\ndef load(x): return half(helper.half(x))"
    before = functions(written(text, helper=HELPER))
    for changes in (
        {"helper": HELPER.replace("x / N", "x")},
        {"text": text.replace("return x\n", "return 1\n")},
    ):
        after = functions(written(**{"text": text, "helper": HELPER, **changes}))
        assert any("half changed" in reason for reason in changed(before, after))


def test_relative_imports_within_functions(tmp_path, monkeypatch) -> None:
    package = tmp_path / "lecture_package"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "helper.py").write_text(HELPER, encoding="utf-8")
    (package / "main.py").write_text(
        "def load(x):\n    from .helper import half\n    from . import helper\n"
        "    return half(x), helper.Reader",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    main = importlib.import_module("lecture_package.main")
    assert {"half", "Reader", "N"} <= set(functions(main))


# --- libraries ---------------------------------------------------------------------------------------


def uses_libraries(x):
    from sklearn.metrics import mean_poisson_deviance

    return mean_poisson_deviance(x, np.abs(x)) + keras.ops.sum(x)


def test_code_of_other_packages_is_named_and_not_hashed() -> None:
    from sklearn.metrics import mean_poisson_deviance
    from sklearn.model_selection import train_test_split

    assert set(recipes.code_of([uses_libraries])["functions"]) == {"uses_libraries", "np"}
    given = [
        mean_poisson_deviance,
        train_test_split,
        np.add,
        np.sin,
        len,
        keras.layers.Dense,
        functools.lru_cache,
    ]
    found = recipes.code_of(given)["functions"]
    assert set(found) == {
        "sklearn.mean_poisson_deviance",
        "sklearn.train_test_split",
        "numpy.add",
        "numpy.sin",
        "builtins.len",
        "keras.Dense",
        "functools.lru_cache",
    }
    assert len(set(found.values())) == len(given)


def test_a_named_tuple_brings_no_code_of_python_along(written) -> None:
    text = (
        "from typing import NamedTuple\nclass Data(NamedTuple):\n    n: int = 1\ndef load(x): return Data()"
    )
    fields = {"Data._fields", "Data._field_defaults"}
    assert set(functions(written(text))) == {"Data", "load"} | fields
    assert changed(functions(written(text)), functions(written(text.replace("= 1", "= 2"))))


def test_what_keeps_a_result_is_no_ingredient() -> None:
    from course.models import claims

    names = set(recipes.code_of([claims.one_layer])["functions"])
    assert "Search" in names and not {"load_or_make", "write_whole", "code_of"} & names


def test_functions_of_the_course_are_followed() -> None:
    from course import loaders

    names = set(recipes.code_of([loaders.load_images_from_directory])["functions"])
    assert "load_images_from_directory" in names and any(name.startswith("_") for name in names)


# --- what has no source ------------------------------------------------------------------------------


def test_a_function_without_source_is_refused() -> None:
    scope = {"__name__": "nowhere"}
    exec("def ghost(x):\n    return x", scope)
    with pytest.raises(TypeError, match="source of ghost.*define it in a file or a cell"):
        recipes.code_of([scope["ghost"]])


def test_a_function_whose_file_has_changed_since_is_refused(written) -> None:
    module = written("def load(x): return x")
    path = importlib.util.find_spec("lecture").origin
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n\ndef load(x): return x + 1\n")
    with pytest.raises(TypeError, match="source of load has changed.*again"):
        functions(module)


EXOTIC = {
    "two lambdas": ("load, other = lambda x: x, lambda x: x / 2", "a line of its own"),
    "docstring": ("def f(x):\n    'One.'\ndef load(x): return f.__doc__", "docstrings count in no recipe"),
    "generator": ("K = (n for n in [1])\ndef load(x): return K", "K: a generator cannot be part of a recipe"),
    "function behind frompyfunc": (
        "import numpy as np\ndef f(x): return x\ng = np.frompyfunc(f, 1, 1)\ndef load(x): return g(x)",
        "g: .*np.vectorize",
    ),
    "partial of anything": (
        "import functools\nload = functools.partial(max, (x for x in [1]))",
        "builtins.max: a generator cannot be part of a recipe",
    ),
}


@pytest.mark.parametrize("case", EXOTIC)
def test_what_is_not_followed_is_refused_in_words(written, case) -> None:
    text, words = EXOTIC[case]
    with pytest.raises(TypeError, match=words):
        functions(written(text))


@pytest.mark.parametrize("value", ["load", 3, None, object(), np.ones(2)])
def test_what_is_no_function_is_refused(value) -> None:
    with pytest.raises(TypeError, match="made of functions"):
        recipes.code_of([value])

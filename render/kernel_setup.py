"""Runs inside the kernel before the first cell: figure defaults, and a record of what the cells use.

The renderer sends the text of this file to the kernel and calls `begin`; nothing here is imported by a
lecture. `report` tells afterwards what a result depends on. Python tells of every file that it opens, every
folder that it lists and every process that it starts; `os.stat`, environment variables and two readers
written in C are watched here. What else reads beside Python makes `unseen` say so: such a page runs again.
"""

import ast
import importlib.abc
import importlib.util
import json
import locale
import os
import re
import sys
import time

# Paths with the time of the first use; "found" are those that were not there at first.
_seen = {kind: {} for kind in ("read", "listed", "written", "found")}
_entries = set()
_absent = set()  # paths that were asked for, and were not there
_variables = dict(os.environ)
_LOCALE = locale.setlocale(locale.LC_ALL)
_stat = os.stat  # which is watched later
_asked = {}  # environment variables that our own code asked for, as they were at the start
_unseen = set()  # what was used that cannot be checked
_accounted = []  # manifests that the store opens next; it tells the entries that it uses
_direct = set()  # what of it the cells or the project's code read themselves
_root = os.getcwd()
_STANDARD = os.path.dirname(os.__file__) + os.sep
_WRITING = os.O_WRONLY | os.O_RDWR

# Compiled packages that read files through Python's `open`, or read none. Others may read unseen.
SEEN = set(
    """IPython PIL _brotli _cffi_backend _pydevd_bundle charset_normalizer contourpy cv2 debugpy fontTools
    google grpc h5py kiwisolver markupsafe matplotlib ml_dtypes msgpack mypyc numpy optree pandas psutil
    pydevd rpds scipy skimage sklearn statsmodels torch tornado wrapt yaml zmq""".split()
)
# Readers in C that a function of Python calls with the path.
WATCHED = {"h5py._hl.files": ("File", "__init__"), "PIL.ImageFont": ("FreeTypeFont", "__init__")}
# Names in OpenCV, whose calls Python does not see, that have to do with files.
OPENCV_FILES = re.compile("read|load|write|count|video|file|cascade|dnn|sample|face", re.IGNORECASE)
_SHELL = {"IPython", "ipykernel", "pexpect", "ptyprocess"}
_STARTING = set(
    """subprocess.Popen os.system os.posix_spawn os.exec os.spawn os.fork os.forkpty os.startfile
    ctypes.dlopen""".split()
)


def _note(kind, path):
    if isinstance(path, (str, bytes, os.PathLike)):
        path = os.path.abspath(os.fsdecode(path))
        if path not in _seen[kind]:
            _seen[kind][path] = time.time()
            if kind == "read" and _asker(2):
                _direct.add(path)
            if not _is_there(path):
                _absent.add(path)
        elif path in _absent and _is_there(path):
            _absent.discard(path)
            _seen["found"][path] = time.time()


def _is_there(path):
    try:
        return bool(_stat(path))
    except (OSError, ValueError):
        return False


def _asker(depth, shell=False):
    """The file of the cell or of the project's code that asks, from whatever depth of the standard library.

    "" where a package asks; with `shell` those that run a cell's `!` and `%%` lines count as the cell.
    """
    frame = sys._getframe(depth + 1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith("<frozen importlib"):
            return ""  # an import, which counts as such
        if f"{os.sep}ipykernel_" in name or name.startswith("<ipython-input"):
            return name
        if "site-packages" in name or "dist-packages" in name:
            return name if shell and _SHELL & {*name.split(os.sep)} else ""
        if not name.startswith((_STANDARD, "<")) and frame.f_globals is not globals():
            return name if name.startswith(_root + os.sep) else ""
        frame = frame.f_back
    return ""


def _audit(event, arguments):
    # An audit hook must never raise: that would end the cell that opened the file.
    try:
        if event == "open":
            path, mode, flags = arguments
            if path in _accounted:
                _accounted.remove(path)
                return
            writing = bool(flags & _WRITING) if mode is None else any(each in mode for each in "wax+")
            new = flags & (os.O_CREAT | os.O_TRUNC) if mode is None else "r" not in mode
            if not (writing and new):
                _note("read", path)
            if writing:
                _note("written", path)
        elif event in ("os.listdir", "os.scandir"):
            _note("listed", arguments[0] if arguments[0] is not None else ".")
        elif event == "os.rename":
            _note("written", arguments[1])
        elif event == "sqlite3.connect":
            _note("read", arguments[0])
        elif event == "course.store.entry":
            _accounted.append(arguments[0])
            _entries.add((os.path.abspath(arguments[0]), arguments[1]))
        elif event in _STARTING and _asker(1, shell=True):
            _unseen.add("what another process reads")
        elif event in ("socket.connect", "urllib.Request"):
            # The course asks for the file of what it would download, which is seen.
            asker = _asker(1, shell=True)
            if asker and not asker.startswith(os.path.join(_root, "course", "")):
                _unseen.add("the network")
    except Exception:
        pass


def _watch_os():
    """Record what `os.stat` and its kin are asked about, and which variables our own code reads."""

    def recorded(function):
        def asked(path, *arguments, **options):
            _note("read", path)
            return function(path, *arguments, **options)

        for functions in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
            if function in functions:
                functions.add(asked)
        return asked

    os.stat, os.lstat, os.access = recorded(os.stat), recorded(os.lstat), recorded(os.access)
    get = type(os.environ).__getitem__

    def looked_up(environment, name):
        if name not in _asked and isinstance(name, str) and _asker(1):
            by = sys._getframe(1)
            # What looks through all of them, as urllib does for proxies, asks for none.
            whole = by.f_code.co_name in ("__iter__", "copy")
            if not whole or not by.f_back.f_code.co_filename.startswith(_STANDARD):
                _asked[name] = _variables.get(name)
        return get(environment, name)

    type(os.environ).__getitem__ = looked_up


class _Watcher(importlib.abc.MetaPathFinder):
    """Lets the functions of WATCHED record the paths that they are given, once they are imported."""

    def find_spec(self, name, path=None, target=None):
        if name not in WATCHED:
            return None
        owner, function = WATCHED.pop(name)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            original = getattr(getattr(module, owner), function)

            def recorded(self, *arguments, **options):
                for value in (*arguments, *options.values()):
                    if isinstance(value, (str, bytes, os.PathLike)) and os.path.isfile(value):
                        _note("read", value)
                return original(self, *arguments, **options)

            setattr(getattr(module, owner), function, recorded)

        spec.loader.exec_module = exec_module
        return spec


def begin(fig_width, fig_height, fig_format, fig_dpi):
    """Set matplotlib's defaults as Quarto does and start the record."""
    _watch_os()
    sys.meta_path.insert(0, _Watcher())
    sys.addaudithook(_audit)
    try:
        import matplotlib.pyplot as plt
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        pass
    else:
        plt.rcParams["figure.figsize"] = (fig_width, fig_height)
        plt.rcParams["figure.dpi"] = fig_dpi
        plt.rcParams["savefig.dpi"] = "figure"
        # A fixed salt gives the same figure the same bytes on every run.
        plt.rcParams["svg.hashsalt"] = "course"
        set_matplotlib_formats(fig_format)


def inline(value):
    """An inline result as JSON: its kind ("number", "text", "markdown", "latex" or "html") and its text."""
    from IPython import get_ipython

    if hasattr(value, "dtype") and getattr(value, "ndim", None) == 0:
        number = value.dtype.kind in "iufcb" if hasattr(value.dtype, "kind") else True
        shown = str(value) if hasattr(value.dtype, "kind") else str(value.item())
        return json.dumps(["number" if number and "--" not in shown else "text", shown])
    if value is None or isinstance(value, (str, bool, int, float, complex)):
        return json.dumps(["number" if isinstance(value, (int, float)) else "text", str(value)])
    data, _ = get_ipython().display_formatter.format(value)
    for kind in ("markdown", "latex", "html"):
        if f"text/{kind}" in data:
            return json.dumps([kind, data[f"text/{kind}"]])
    return json.dumps(["text", data["text/plain"]])


def _uses_opencv_files(sources):
    """Whether code names something of OpenCV that reads or writes files, or hides what it names."""
    nodes, texts = [], []
    for source in sources:
        try:
            tree = ast.parse(source)
            nodes += ast.walk(tree)
            texts.append(ast.unparse(tree))  # without comments and breaks
        except SyntaxError:
            texts.append(source)
    # What magics run is a text in the code that IPython makes of them.
    text = "\n".join(texts).replace("\\n", "\n")
    names = {"cv2", *re.findall(r"\bcv2[\w.]*\s+as\s+(\w+)", text)}
    used = re.findall(r"\w+|\*", " ".join(re.findall(r"\bfrom\s+cv2[\w.]*\s+import\b([^\n]*)", text)))
    names.update(used)
    for chain in re.findall(rf"\b(?:{'|'.join(map(re.escape, names))})((?:\.\w+)+)", text):
        used += chain.split(".")
    known = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    hidden = (isinstance(each, ast.Name) and each.id == "cv2" and id(each) not in known for each in nodes)
    return "*" in used or any(map(_takes_files, used)) or any(hidden)


def _takes_files(name):
    return bool(OPENCV_FILES.search(name)) and not name.isupper()  # IMREAD_GRAYSCALE is a number


def report():
    """The record as JSON text.

    Paths `read`, `listed`, `written` and `found`, each with the time of its first use; lists of `modules`
    (paths of Python files), `packages` (names by which others were imported), `direct` (what of the paths
    the project's own code read, or names) and `entries` ([manifest, name]); `environment` {name: value or
    null}; and `unseen`, "" or what was used that this record does not see.
    """
    from IPython import get_ipython

    record = {kind: dict(paths) for kind, paths in _seen.items()}
    modules, packages, sources = set(), set(), list(get_ipython().user_ns.get("In", ()))
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        # Some packages give modules a made-up relative file name.
        if not isinstance(path, str) or not os.path.isabs(path):
            continue
        modules.add(os.path.normpath(path))
        top = name.partition(".")[0]
        if "site-packages" in path or "dist-packages" in path:
            packages.add(top)
            folder = re.split(r"(?:site|dist)-packages.", path)[-1].split(os.sep)[0].split(".")[0]
            if not path.endswith(".py") and folder not in SEEN:
                _unseen.add(f"what {folder} reads")
        elif path.startswith(_root + os.sep) and path.endswith(".py"):
            with open(path, encoding="utf-8") as file:
                sources.append(file.read())
    if "cv2" in sys.modules and _uses_opencv_files(sources):
        _unseen.add("what cv2 reads")
    if any(name.rpartition(".")[2].startswith("popen_") for name in sys.modules):
        _unseen.add("what another process reads")
    text = "\n".join(sources)
    if locale.setlocale(locale.LC_ALL) != _LOCALE or re.search(r"\b(locale|babel)\b", text):
        names = "LANG LANGUAGE LC_ALL LC_COLLATE LC_CTYPE LC_MONETARY LC_NUMERIC LC_TIME".split()
        _asked.update({name: _variables.get(name) for name in names})
    named = {*re.findall(r"(?<=[\"'/\\])[^\"'/\\\n]+(?=[\"'])", text)}
    own = [path for path in record["read"] if os.path.basename(path) in named and os.path.isfile(path)]
    record |= {"modules": sorted(modules), "packages": sorted(packages), "entries": sorted(_entries)}
    record |= {"direct": sorted({*own, *_direct}), "environment": _asked}
    return json.dumps(record | {"unseen": " and ".join(sorted(_unseen))})

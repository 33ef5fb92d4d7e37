"""What would break on another system or another person's machine is found here, by reading."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path, PurePosixPath

import pytest

from tools.ledger import repository_files

ROOT = Path(__file__).resolve().parents[2]
TEXT = {
    ".py",
    ".md",
    ".qmd",
    ".yml",
    ".yaml",
    ".toml",
    ".txt",
    ".css",
    ".scss",
    ".js",
    ".html",
    ".lua",
    ".cff",
    ".bib",
    ".ipynb",
    ".json",
    ".svg",
    "",
}
# The clone stays quick, and a mailbox-sized accident is noticed.
BUDGET = 40e6
LARGEST = 12e6

RESERVED = {"con", "prn", "aux", "nul", *(f"com{i}" for i in range(10)), *(f"lpt{i}" for i in range(10))}
ONLY_UNIX = {"fcntl", "resource", "pwd", "grp", "termios", "pty", "tty", "readline"}
ONLY_UNIX_NAMES = {
    "os.fork",
    "os.geteuid",
    "os.getuid",
    "os.killpg",
    "os.setsid",
    "os.getpgid",
    "os.mkfifo",
    "os.sched_getaffinity",
    "signal.SIGKILL",
    "signal.SIGALRM",
    "signal.SIGHUP",
    "signal.setitimer",
    "signal.alarm",
    "os.uname",
}
# Paths of one machine, and of folders beside the repository, which nobody else has.
ONE_MACHINE = re.compile(
    r"(?<![\w.])/(?:root|work|home/(?!runner\b)\w+|Users/\w+)/|[A-Z]:\\+Users\\+\w|\.\./shared\b"
)


@functools.cache
def tracked() -> tuple[str, ...]:
    """The files that git tracks or would track."""
    return tuple(repository_files(ROOT))


def sources() -> list[str]:
    return [name for name in tracked() if name.endswith(".py")]


# --- files ---------------------------------------------------------------------------------


def problems_of_names(names: list[str]) -> list[str]:
    """Names that Windows or macOS cannot hold side by side."""
    found, seen = [], {}
    for name in names:
        for part in PurePosixPath(name).parts:
            if re.search(r'[<>:"\\|?*\x00-\x1f]', part) or part.endswith((".", " ")):
                found.append(f"{name}: Windows does not allow this name")
            if part.split(".")[0].lower() in RESERVED:
                found.append(f"{name}: {part} is reserved on Windows")
        if len(name) > 140:
            found.append(f"{name}: too long for Windows' limit of 260 with the folders above")
        if (other := seen.setdefault(name.casefold(), name)) != name:
            found.append(f"{name}: is {other} where case does not count")
    return found


def test_names_can_exist_everywhere() -> None:
    assert problems_of_names(list(tracked())) == []


@pytest.mark.parametrize("name", ["a:b.txt", "aux.py", "x/nul", "end.", "q?.md", "a" * 150])
def test_poor_names_are_found(name) -> None:
    assert problems_of_names([name])


def test_names_that_differ_by_case_are_found() -> None:
    assert problems_of_names(["a/README.md", "a/readme.md"])


def test_the_repository_stays_small() -> None:
    sizes = {name: (ROOT / name).stat().st_size for name in tracked()}
    large = {name: size for name, size in sizes.items() if size > LARGEST}
    assert not large, f"over {LARGEST / 1e6:.0f} MB each: {large}"
    heaviest = sorted(sizes, key=sizes.get)[-5:]
    assert sum(sizes.values()) < BUDGET, f"{sum(sizes.values()) / 1e6:.1f} MB; {heaviest}"


def test_line_ends_are_the_same_everywhere() -> None:
    """A hash of a text file holds on Windows only if git changes no line end."""
    assert "* text=auto eol=lf" in (ROOT / ".gitattributes").read_text(encoding="utf-8")
    crlf = [
        name
        for name in tracked()
        if PurePosixPath(name).suffix in TEXT and b"\r\n" in (ROOT / name).read_bytes()
    ]
    assert crlf == []


# --- code ----------------------------------------------------------------------------------


def dotted(node: ast.AST) -> str:
    """`a.b.c` for an expression of that form, else ""."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr}" if base else ""
    return ""


def problems_of_code(text: str, name: str) -> list[str]:
    """Text files without encoding, and what only Unix has where nothing guards it."""
    found = []
    tree = ast.parse(text)
    guarded = set()
    for node in ast.walk(tree):
        # `if os.name …`, `hasattr(os, …)`, `sys.platform …`, `try: … except ImportError`
        if isinstance(node, (ast.If, ast.IfExp)):
            test = ast.unparse(node.test)
            if re.search(r"os\.name|sys\.platform|hasattr\(|platform\.system|WINDOWS|POSIX", test):
                guarded |= {id(inner) for inner in ast.walk(node)}
        if isinstance(node, ast.Try) and any(
            handler.type and re.search("ImportError|AttributeError|ModuleNotFound", ast.unparse(handler.type))
            for handler in node.handlers
        ):
            guarded |= {id(inner) for inner in ast.walk(node)}
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and any(
            re.search(r"os\.name|sys\.platform|hasattr\(|POSIX|UNIX", ast.unparse(each))
            for each in node.decorator_list
        ):
            guarded |= {id(inner) for inner in ast.walk(node)}
        if isinstance(node, ast.FunctionDef) and re.match(
            r"(?s).{0,300}?if [^\n]*(os\.name|sys\.platform|hasattr\()[^\n]*:\s*"
            r"(pytest\.skip|return|raise)",
            "\n".join(ast.unparse(each) for each in node.body),
        ):
            guarded |= {id(inner) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        place = f"{name}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Call):
            found += [f"{place}: {reason}" for reason in _problems_of_call(node)]
        if id(node) in guarded:
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            )
            found += [
                f"{place}: {module} exists on Unix only"
                for module in modules
                if module.split(".")[0] in ONLY_UNIX
            ]
        if isinstance(node, ast.Attribute) and dotted(node) in ONLY_UNIX_NAMES:
            found.append(f"{place}: {dotted(node)} exists on Unix only")
    return found


def _problems_of_call(node: ast.Call) -> list[str]:
    keywords = {keyword.arg for keyword in node.keywords}
    method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    name = dotted(node.func)
    if None in keywords:  # **options may hold anything
        return []
    texts = [
        argument.value
        for argument in [*node.args, *(k.value for k in node.keywords)]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]
    if name in ("open", "io.open", "os.fdopen") or (
        method == "open"
        and name != "os.open"
        and (
            not name.startswith(
                ("Image", "PIL", "webbrowser", "zipfile", "tarfile", "lzma", "gzip", "wave", "shelve")
            )
        )
    ):
        position = 0 if method == "open" and name not in ("io.open", "os.fdopen") else 1
        mode = next(
            (keyword.value for keyword in node.keywords if keyword.arg == "mode"),
            node.args[position] if len(node.args) > position else None,
        )
        if isinstance(mode, ast.Constant) and isinstance(mode.value, str):
            text_mode = re.fullmatch(r"[rwax+t]+", mode.value) is not None
        else:
            text_mode = mode is None and name in ("open", "io.open", "os.fdopen")
        if text_mode and "encoding" not in keywords and len(node.args) < position + 3:
            return ["a text file is opened without encoding"]
    if method in ("read_text", "write_text") and "encoding" not in keywords:
        encoding_place = 0 if method == "read_text" else 1
        if len(node.args) <= encoding_place:
            return [f"{method} without encoding"]
    if name in ("subprocess.run", "subprocess.Popen", "subprocess.check_output"):
        if keywords & {"text", "universal_newlines"} and "encoding" not in keywords:
            return ["text from a program without encoding"]
        if "preexec_fn" in keywords:
            return ["preexec_fn exists on Unix only"]
    if (
        method in ("NamedTemporaryFile", "TemporaryFile")
        and "encoding" not in keywords
        and any(re.fullmatch(r"[wra]\+?t?", text) for text in texts)
    ):
        return ["a text file is opened without encoding"]
    return []


@pytest.mark.parametrize("name", sources())
def test_the_code_runs_on_windows_too(name) -> None:
    assert problems_of_code((ROOT / name).read_text(encoding="utf-8"), name) == []


@pytest.mark.parametrize(
    "code",
    [
        "open('a')",
        "open('a', 'w')",
        "open('a', mode='r+')",
        "io.open('a')",
        "path.read_text()",
        "path.write_text('x')",
        "path.open('w')",
        "os.fdopen(3, 'w')",
        "subprocess.run(['a'], text=True)",
        "import fcntl",
        "from resource import getrusage",
        "os.fork()",
        "os.kill(1, signal.SIGKILL)",
        "subprocess.Popen(['a'], preexec_fn=f)",
        "tempfile.NamedTemporaryFile('w')",
    ],
)
def test_what_breaks_on_windows_is_found(code) -> None:
    assert len(problems_of_code(code, "x.py")) == 1


@pytest.mark.parametrize(
    "code",
    [
        "open('a', 'rb')",
        "open('a', encoding='utf-8')",
        "open(p, 'w', -1, 'utf-8')",
        "open('a', m)",
        "path.read_text(encoding='utf-8')",
        "path.read_text('utf-8')",
        "path.write_text('x', encoding='utf-8')",
        "path.open('wb')",
        "Image.open(p)",
        "os.open(p, os.O_RDONLY)",
        "subprocess.run(['a'], text=True, encoding='utf-8')",
        "subprocess.run(['a'], **options)",
        "if os.name == 'posix':\n    import fcntl",
        "if hasattr(os, 'geteuid') and os.geteuid() == 0: pass",
        "try:\n    import resource\nexcept ImportError:\n    resource = None",
        "def f():\n    if os.name == 'nt':\n        pytest.skip('x')\n    os.fork()",
    ],
)
def test_what_runs_on_windows_is_passed(code) -> None:
    assert problems_of_code(code, "x.py") == []


def test_no_path_of_one_machine_is_left() -> None:
    found = []
    for name in tracked():
        if PurePosixPath(name).suffix in TEXT and name != "tests/unit/test_portability.py":
            text = (ROOT / name).read_text(encoding="utf-8")
            found += [f"{name}: {match[0]}" for match in ONE_MACHINE.finditer(text)]
    assert found == []


@pytest.mark.parametrize(
    "text", ["/root/x", "'/home/anna/x'", "C:\\Users\\anna", "../shared", "/Users/anna/x"]
)
def test_paths_of_one_machine_are_found(text) -> None:
    assert ONE_MACHINE.search(text)


@pytest.mark.parametrize(
    "text", ["a/root/x", "/home/runner/x", "framework/", "../sharedness", "https://x.org/work/"]
)
def test_other_paths_are_not(text) -> None:
    assert not ONE_MACHINE.search(text)

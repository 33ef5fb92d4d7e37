"""Reading a `.qmd` file: front matter, Markdown and executable cells, each with its lines.

What every other module needs lies here as well: `RenderError`, and YAML with the line of each key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<ticks>`{3,}|~{3,})(?P<info>.*)$")
CELL_INFO = re.compile(r"^\s*\{(?P<language>[A-Za-z]\w*)(?P<rest>[^}]*)\}\s*$")
INLINE = re.compile(r"(?:(?<=^)|(?<=[^`]))`\{python\}[ \t]([^`]+)`", re.MULTILINE)
OPTION = re.compile(r"^#[ \t]*\| ?(?P<text>.*)$")  # formatters write `# |`, and Quarto takes it

INCLUDE = re.compile(r"^\s*\{\{<\s*include\s+(?P<name>\S+)\s*>\}\}\s*$")
INCLUDED = 1_000_000
VIDEO = re.compile(r"^\s*\{\{<\s*video\s+(?P<path>\S+)(?P<rest>[^>]*)>\}\}\s*$")

KeyLines = dict[tuple, int]


class RenderError(Exception):
    """A problem that the user can mend: what is wrong, in which file and line, counted from 1.

    `others` are further ones, which are told together with it; `asked` are the paths that cells asked for.
    """

    others: tuple[RenderError, ...] = ()
    asked: frozenset[str] = frozenset()

    def __init__(self, message: str, path: Path | str | None = None, line: int | None = None):
        self.message = message
        self.path = path
        self.line = line
        super().__init__(message)

    def told(self) -> list[str]:
        """This problem and the others, each in words."""
        place = "".join(f"{part}:" for part in (self.path, self.line) if part is not None)
        return [f"{place} {self.message}".strip(), *(text for each in self.others for text in each.told())]

    def __str__(self) -> str:
        return "\n".join(self.told())


def raise_all(problems: list[RenderError]) -> None:
    """Raise the problems, if there are any, as one error that tells of each once, in order of lines."""
    if problems:
        told = {str(each): each for each in problems}
        first, *rest = sorted(told.values(), key=lambda each: (str(each.path), each.line or 0))
        first.others += tuple(rest)
        raise first


class _Loader(yaml.SafeLoader):
    """A safe loader with YAML 1.2's scalars: `on`, `yes`, `10:30` and dates are text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag.endswith((":null", ":merge"))]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _kind, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"^({_pattern})$"), list(_first))


def load_yaml(text: str, path: str, first_line: int = 1) -> tuple[dict[str, Any], KeyLines]:
    """Read `key: value` lines; no key may occur twice.

    Returns
    -------
    tuple
        The mapping, and the line of each key by its path, a tuple such as ("format", "html", "toc").
    """
    lines: KeyLines = {}

    def collect(node: yaml.Node, prefix: tuple) -> None:
        if isinstance(node, yaml.MappingNode):
            for key_node, value_node in node.value:
                key = (*prefix, key_node.value)
                line = first_line + key_node.start_mark.line
                if key in lines:
                    raise RenderError(f"the key '{key_node.value}' is given twice", path, line)
                lines[key] = line
                collect(value_node, key)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                collect(item, (*prefix, index))

    try:
        collect(yaml.compose(text, Loader=_Loader), ())
        value = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        line = first_line + (mark.line if mark else 0)
        raise RenderError(f"this is not valid YAML: {problem}", path, line) from None
    if value is not None and not isinstance(value, dict):
        raise RenderError("this must be `key: value` lines", path, first_line)
    return {str(key): item for key, item in (value or {}).items()}, lines


@dataclass(frozen=True)
class Line:
    """One line of Markdown and its number. `verbatim` marks lines inside a code fence."""

    text: str
    number: int
    verbatim: bool = False


@dataclass
class Markdown:
    """A run of Markdown lines between cells."""

    lines: list[Line]


@dataclass
class Cell:
    """One executable Python cell: what its `#|` lines say, where, and its code without them.

    `number` counts cells from 1, `line` is that of the opening fence, which `indent` (white space)
    stands before where the cell is inside a list. `numbers` has the line of each line of the code.
    """

    number: int
    options: dict[str, Any]
    source: str
    line: int
    numbers: list[int]
    indent: str = ""
    places: dict[str, int] = field(default_factory=dict)

    @property
    def label(self) -> str | None:
        value = self.options.get("label")
        return None if value is None else str(value)

    @property
    def name(self) -> str:
        """The cell as messages call it: its number and its label if it has one."""
        return f"cell {self.number}" + (f" ({self.label})" if self.label else "")


@dataclass
class Document:
    """A parsed `.qmd` file; `name` is its path in the project, with forward slashes.

    `problems` collects what is wrong with it, so that all is told at once. Lines of the n-th of the files
    that are `included` have numbers above n times `INCLUDED`.
    """

    path: Path
    name: str
    front: dict[str, Any]
    front_lines: KeyLines
    blocks: list[Markdown | Cell]
    problems: list[RenderError] = field(default_factory=list)
    included: list[str] = field(default_factory=list)

    @property
    def cells(self) -> list[Cell]:
        return [block for block in self.blocks if isinstance(block, Cell)]

    @property
    def markdown_lines(self) -> list[Line]:
        return [line for block in self.blocks if isinstance(block, Markdown) for line in block.lines]

    def problem(self, message: str, place: int | Cell | None = None, option: str = "") -> RenderError:
        """An error at a line, or at a cell or one of its options, which it names."""
        if isinstance(place, Cell):
            message, place = f"{place.name}: {message}", place.places.get(option, place.line)
        name = self.name
        if place and place > INCLUDED:
            name, place = self.included[place // INCLUDED - 1], place % INCLUDED
        return RenderError(message, name, place)

    def report(self, message: str, place: int | Cell | None = None, option: str = "") -> None:
        """Note a problem, as `problem` makes it; the page is refused at the next `check`."""
        self.problems.append(self.problem(message, place, option))

    def check(self) -> None:
        """Raise all problems that were reported, together."""
        problems, self.problems = self.problems, []
        raise_all(problems)


def read_text(path: Path, name: str) -> str:
    """The text of a UTF-8 file, with universal newlines and without a byte-order mark."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise RenderError("this file is not UTF-8 text; save it as UTF-8", name, line) from None
    except OSError as error:
        raise RenderError(f"cannot read the file: {error.strerror}", name) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse(path: Path, root: Path) -> Document:
    """Read and parse one `.qmd` file of the project in the folder `root`."""
    name = path.resolve().relative_to(root.resolve()).as_posix()
    lines = read_text(path, name).split("\n")
    document = Document(path, name, {}, {}, [])
    start = 0
    if lines[0].rstrip() == "---":
        ends = [number for number, line in enumerate(lines) if number and line.rstrip() in ("---", "...")]
        if not ends:
            raise document.problem("the front matter is not closed by a line `---`", 1)
        document.front, document.front_lines = load_yaml("\n".join(lines[1 : ends[0]]), name, 2)
        start = ends[0] + 1
    _read_blocks(document, list(_with_included(document, root, lines, start)))
    return document


def _with_included(document: Document, root: Path, lines: list[str], start: int = 0) -> Iterator[Line]:
    """The lines of a file from `start`, those of the files that it includes in their places.

    As Quarto has it, inside of code too, each with an empty line after it, and with names that are relative
    to the page, wherever the line stands.
    """
    first = start + len(document.included) * INCLUDED + 1
    for number, text in enumerate(lines[start:], first):
        match = INCLUDE.match(text)
        if not match:
            yield Line(text, number)
            continue
        name = match["name"].strip("\"'")
        folder = root if name.startswith("/") else document.path.parent
        other = (folder / name.lstrip("/")).resolve()
        if not other.is_relative_to(root.resolve()) or not other.is_file():
            raise document.problem(f"the included file '{name}' does not exist", number)
        shown = other.relative_to(root.resolve()).as_posix()
        if len(document.included) > 100:
            raise document.problem(f"'{name}' includes itself", number)
        document.included.append(shown)
        inner = read_text(other, shown).rstrip("\n").split("\n")
        if inner[0].rstrip() == "---":
            raise document.problem(f"'{name}' has a front matter, which would replace this page's", number)
        yield from _with_included(document, root, inner)
        yield Line("", number)


def inside_fences(lines: Iterable[str]) -> Iterator[bool]:
    """Whether each line stands inside a code fence, or ends one."""
    ticks = ""
    for line in lines:
        yield bool(ticks)
        if not ticks:
            fence = FENCE.match(line)
            ticks = fence["ticks"] if fence else ""
        elif closes(line, ticks):
            ticks = ""


def closes(line: str, ticks: str) -> bool:
    """Whether a line ends the code fence that began with these backticks or tildes."""
    match = FENCE.match(line)
    return bool(match) and match["ticks"].startswith(ticks) and not match["info"].strip()


def _read_blocks(document: Document, lines: list[Line]) -> None:
    prose: list[Line] = []
    index = number = 0
    while index < len(lines):
        line = lines[index]
        match = FENCE.match(line.text)
        if match is None:
            prose.append(line)
            index += 1
            continue
        rest = range(index + 1, len(lines))
        end = next((place for place in rest if closes(lines[place].text, match["ticks"])), None)
        if end is None:
            raise document.problem("this code fence is never closed", line.number)
        info = CELL_INFO.match(match["info"])
        if info is None:
            inside = [Line(each.text, each.number, True) for each in lines[index + 1 : end]]
            prose += [line, *inside, lines[end]]
        else:
            if info["language"] != "python":
                message = f"cells of the language '{info['language']}' are not known; only {{python}} is"
                document.report(message, line.number)
            if info["rest"].strip():
                message = "options in the braces of a cell are not known; write them as `#| key: value`"
                document.report(message, line.number)
            number += 1
            if prose:
                document.blocks.append(Markdown(prose))
                prose = []
            try:
                document.blocks.append(_cell(document, number, lines[index:end], match["indent"]))
            except RenderError as error:
                document.problems.append(error)
        index = end + 1
    if prose:
        document.blocks.append(Markdown(prose))


def _cell(document: Document, number: int, lines: list[Line], indent: str) -> Cell:
    first = lines[0].number
    where = document.problem("", first)
    texts = [
        line.text[len(indent) :] if line.text.startswith(indent) else line.text.lstrip() for line in lines[1:]
    ]
    count = next((index for index, text in enumerate(texts) if not OPTION.match(text)), len(texts))
    option_text = "\n".join(OPTION.match(text)["text"] for text in texts[:count])
    options, places = load_yaml(option_text, str(where.path), (where.line or 0) + 1)
    offset = first - (where.line or 0)
    while count < len(texts) and not texts[count].strip():
        count += 1
    return Cell(
        number=number,
        options=options,
        source="\n".join(texts[count:]).rstrip("\n "),
        line=first,
        numbers=[line.number for line in lines[1 + count :]],
        indent=indent,
        places={key[0]: place + offset for key, place in places.items() if len(key) == 1},
    )


def inline_expressions(block: Markdown) -> list[str]:
    """The expressions of inline code such as `{python} x` in a run of Markdown, in order."""
    text = "".join("\n" if line.verbatim else line.text + "\n" for line in block.lines)
    return [match.strip() for match in INLINE.findall(text)]

"""Reading a `.qmd` file: front matter, Markdown and executable cells, each with its lines.

The scanner keeps the file and the line of everything, through includes as well, so that every
later message can say where its cause stands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import RenderError
from .yamltext import KeyLines, load_yaml

FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<ticks>`{3,}|~{3,})(?P<info>.*)$")
CELL_INFO = re.compile(r"^\s*\{(?P<language>[A-Za-z]\w*)(?P<rest>[^}]*)\}\s*$")
INCLUDE = re.compile(r"^\s*\{\{<\s*include\s+(?P<target>.+?)\s*>\}\}\s*$")
INLINE = re.compile(r"(?:(?<=^)|(?<=[^`]))`\{python\}[ \t]([^`]+)`", re.MULTILINE)
OPTION = re.compile(r"^\s*#\|(?: ?)(?P<text>.*)$")


@dataclass(frozen=True)
class Line:
    """One line of Markdown and where it stands. `verbatim` marks lines inside a code fence."""

    text: str
    path: str
    number: int
    verbatim: bool = False


@dataclass
class Markdown:
    """A run of Markdown lines between cells."""

    lines: list[Line]

    @property
    def text(self) -> str:
        return "".join(line.text + "\n" for line in self.lines)


@dataclass
class Cell:
    """One executable Python cell.

    Attributes
    ----------
    number: its place among the cells of the document, counted from 1.
    options: what its `#|` lines say; option_lines: those lines as written.
    source: its code without the options.
    path, line: file and line of its opening fence; code_line: line of its first line of code.
    indent: the white space before the fence, for cells inside a list.
    option_places: the line of each option.
    """

    number: int
    options: dict[str, Any]
    option_lines: list[str]
    source: str
    path: str
    line: int
    code_line: int
    indent: str = ""
    option_places: dict[str, int] = field(default_factory=dict)

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
    """A parsed `.qmd` file."""

    path: Path
    name: str
    front: dict[str, Any]
    front_lines: KeyLines
    blocks: list[Markdown | Cell]
    sources: list[Path]

    @property
    def cells(self) -> list[Cell]:
        return [block for block in self.blocks if isinstance(block, Cell)]

    @property
    def markdown_lines(self) -> list[Line]:
        return [line for block in self.blocks if isinstance(block, Markdown) for line in block.lines]


def read_text(path: Path, name: str) -> str:
    """The text of a file, with universal newlines and without a byte-order mark.

    Raises
    ------
    RenderError: the file is not UTF-8 or cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise RenderError("this file is not UTF-8 text; save it as UTF-8", name, line) from None
    except OSError as error:
        raise RenderError(f"cannot read the file: {error.strerror}", name) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse(path: Path, root: Path) -> Document:
    """Read and parse one `.qmd` file.

    Parameters
    ----------
    path: the file. root: the folder of the project; include paths that begin with `/` start there.

    Raises
    ------
    RenderError: with file and line, for an unclosed fence, bad YAML, a missing include or a
        cell of another language.
    """
    name = _name(path, root)
    lines = read_text(path, name).split("\n")
    front: dict[str, Any] = {}
    front_lines: KeyLines = {}
    start = 0
    if lines and lines[0].rstrip() == "---":
        for end in range(1, len(lines)):
            if lines[end].rstrip() in ("---", "..."):
                break
        else:
            raise RenderError("the front matter is not closed by a line `---`", name, 1)
        value, front_lines = load_yaml("\n".join(lines[1:end]), name, 2)
        if value is not None and not isinstance(value, dict):
            raise RenderError("the front matter must be `key: value` lines", name, 2)
        front = value or {}
        start = end + 1
    sources = [path]
    flat = _include(lines[start:], path, root, start + 1, sources, (path.resolve(),))
    return Document(path, name, front, front_lines, _blocks(flat), sources)


def _name(path: Path, root: Path) -> str:
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return str(path)


def _include(
    lines: list[str], path: Path, root: Path, first_line: int, sources: list[Path], chain: tuple[Path, ...]
) -> list[Line]:
    """The lines with each `include` shortcode replaced by the lines of its file."""
    name = _name(path, root)
    result: list[Line] = []
    fence = ""
    for number, text in enumerate(lines, first_line):
        match = FENCE.match(text)
        if match:
            ticks = match["ticks"]
            if not fence:
                fence = ticks
            elif _closes(match, fence):
                fence = ""
        include = None if fence else INCLUDE.match(text)
        if include is None:
            result.append(Line(text, name, number))
            continue
        target = include["target"].strip("\"'")
        base = root if target.startswith("/") else path.parent
        other = base / target.lstrip("/")
        if not other.is_file():
            raise RenderError(f"the included file '{target}' does not exist", name, number)
        if other.resolve() in chain:
            raise RenderError(f"'{target}' includes itself", name, number)
        if other not in sources:
            sources.append(other)
        text = read_text(other, _name(other, root))
        if text.startswith("---\n"):
            raise RenderError(
                "an included file may not have front matter; keep it in the main file", _name(other, root), 1
            )
        result += _include(text.rstrip("\n").split("\n"), other, root, 1, sources, chain + (other.resolve(),))
        result.append(Line("", name, number))
    return result


def _closes(match: re.Match, fence: str) -> bool:
    ticks = match["ticks"]
    return ticks[0] == fence[0] and len(ticks) >= len(fence) and not match["info"].strip()


def _blocks(lines: list[Line]) -> list[Markdown | Cell]:
    blocks: list[Markdown | Cell] = []
    prose: list[Line] = []
    number = 0
    index = 0
    while index < len(lines):
        line = lines[index]
        match = FENCE.match(line.text)
        if match is None:
            prose.append(line)
            index += 1
            continue
        end = index + 1
        while end < len(lines):
            closing = FENCE.match(lines[end].text)
            if closing and _closes(closing, match["ticks"]):
                break
            end += 1
        else:
            raise RenderError("this code fence is never closed", line.path, line.number)
        info = CELL_INFO.match(match["info"])
        if info is None:
            prose += [
                Line(each.text, each.path, each.number, verbatim=index < place < end)
                for place, each in enumerate(lines[index : end + 1], index)
            ]
        else:
            if info["language"] != "python":
                raise RenderError(
                    f"cells of the language '{info['language']}' are not known; only {{python}} is",
                    line.path,
                    line.number,
                )
            if info["rest"].strip():
                raise RenderError(
                    "options in the braces of a cell are not known; write them as `#| key: value`",
                    line.path,
                    line.number,
                )
            number += 1
            if prose:
                blocks.append(Markdown(prose))
                prose = []
            blocks.append(_cell(number, lines[index:end], match["indent"]))
        index = end + 1
    if prose:
        blocks.append(Markdown(prose))
    return blocks


def _cell(number: int, lines: list[Line], indent: str) -> Cell:
    opening, body = lines[0], lines[1:]
    texts = [
        line.text[len(indent) :] if line.text.startswith(indent) else line.text.lstrip() for line in body
    ]
    count = 0
    while count < len(texts) and OPTION.match(texts[count]):
        count += 1
    option_text = "\n".join(OPTION.match(text)["text"] for text in texts[:count])
    value, places = load_yaml(option_text, opening.path, opening.number + 1)
    if value is not None and not isinstance(value, dict):
        raise RenderError("cell options are written as `#| key: value`", opening.path, opening.number + 1)
    code = texts[count:]
    first = count
    while code and not code[0].strip():
        code, first = code[1:], first + 1
    while code and not code[-1].strip():
        code = code[:-1]
    return Cell(
        number=number,
        options={str(key): item for key, item in (value or {}).items()},
        option_lines=texts[:count],
        source="\n".join(code),
        path=opening.path,
        line=opening.number,
        code_line=opening.number + 1 + first,
        indent=indent,
        option_places={key[0]: place for key, place in places.items() if len(key) == 1},
    )


def inline_expressions(text: str) -> list[str]:
    """The expressions of inline code such as `{python} x` in a text, in order."""
    return [match.strip() for match in INLINE.findall(text)]

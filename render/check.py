"""Checking that a page uses only what the renderer knows, and saying where it does not."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from . import known
from .errors import RenderError
from .execute import Node
from .qmd import FENCE, Cell, Document, Line, Markdown

SHORTCODE = re.compile(r"\{\{<\s*(/?[\w./-]+)(.*?)>\}\}")
ATTRIBUTES = re.compile(
    r"\{(?P<body>(?:\s*(?:\.-?[\w-]+|#[\w:.-]+|-|=[\w]+"
    r"|[\w:-]+=(?:\"(?:\\.|[^\"\\])*\"|'[^']*'|[^\s\"'}]+)))+)\s*\}"
)
TOKEN = re.compile(
    r"\.(?P<class>-?[\w-]+)|#(?P<id>[\w:.-]+)|=(?P<raw>\w+)"
    r"|(?P<key>[\w:-]+)=(?P<value>\"(?:\\.|[^\"\\])*\"|'[^']*'|[^\s\"'}]+)"
)
DIV = re.compile(r"^\s*:{3,}\s*(?P<rest>.*?)\s*:*\s*$")
CODE_SPAN = re.compile(r"(`+)(?:(?!\1).)+?\1(?!`)(?!\{)")
INLINE_MATH = re.compile(r"(?<![\\$])\$(?=[^\s$])(?:\\.|[^$\\])+?(?<=\S)\$(?!\d)")
RAW_FORMATS = ("html", "html5", "tex", "latex")


def classes_of(sheets: Iterable[Path]) -> set[str]:
    """The classes that style sheets, and those that they import, define."""
    found: set[str] = set()
    for sheet in sheets:
        text = sheet.read_text(encoding="utf-8")
        found |= known.classes_of_style_sheet(text)
        for target in re.findall(r"@import\s+(?:url\()?['\"]([^'\"]+\.css)['\"]", text):
            other = sheet.parent / target
            if other.is_file():
                found |= classes_of([other])
    return found


def check_document(document: Document, style_classes: set[str]) -> None:
    """Check every cell option, class, attribute and shortcode of a page.

    Raises
    ------
    RenderError: the first that is not known, with file and line.
    """
    labels: dict[str, Cell] = {}
    classes = known.CLASSES | style_classes
    for block in document.blocks:
        if isinstance(block, Cell):
            check_cell(block, classes)
            if block.label:
                if block.label in labels:
                    raise RenderError(
                        f"the label '{block.label}' is used twice; first in line {labels[block.label].line}",
                        block.path,
                        block.option_places.get("label", block.line),
                    )
                labels[block.label] = block
        else:
            check_markdown(block, classes)


def check_outputs(document: Document, notebook: Node, style_classes: set[str]) -> None:
    """Check the Markdown that cells wrote, as `check_document` checks the page's own.

    Raises
    ------
    RenderError: the first feature that is not known, with the file and line of the cell.
    """
    classes = known.CLASSES | style_classes
    for result in notebook.cells:
        block = document.blocks[result.metadata["block"]]
        if isinstance(block, Markdown):
            place = block.lines[0]
            texts = [
                str(each["data"]["text/markdown"])
                for each in result.metadata.get("expressions", ())
                if "text/markdown" in each["data"]
            ]
        else:
            place = Line("", block.path, block.line)
            texts = [
                output.text
                if output.output_type == "stream" and output.name == "stdout"
                else output.get("data", {}).get("text/markdown", "")
                for output in result.outputs
                if output.output_type != "stream" or block.options.get("output") == "asis"
            ]
        for text in texts:
            check_markdown(Markdown(_lines(text, place)), classes)


def _lines(text: str, place: Line) -> list[Line]:
    """A text's lines, all at one place, with those inside code fences marked."""
    lines: list[Line] = []
    fence = ""
    for each in text.split("\n"):
        match = FENCE.match(each)
        if match and not fence:
            fence = match["ticks"]
        elif match and match["ticks"].startswith(fence) and not match["info"].strip():
            fence = ""
        lines.append(Line(each, place.path, place.number, bool(fence) and match is None))
    return lines


def check_cell(cell: Cell, classes: Iterable[str]) -> None:
    for name in cell.options:
        if name not in known.CELL_OPTIONS:
            advice = ""
            if name in ("fig-width", "fig-height"):
                advice = (
                    "; Quarto's Jupyter engine has it for whole pages only: "
                    "give figsize=(width, height) in the code"
                )
            raise RenderError(
                f"{cell.name}: the renderer does not know the option '{name}'{advice}",
                cell.path,
                cell.option_places.get(name, cell.line),
            )
    given = cell.options.get("classes") or []
    for name in given.split() if isinstance(given, str) else given:
        if str(name).lstrip(".") not in classes:
            raise RenderError(
                f"{cell.name}: the class '{name}' is known neither to the renderer nor to a "
                "style sheet of the project",
                cell.path,
                cell.option_places.get("classes", cell.line),
            )
    for line_number, text in enumerate(cell.source.splitlines(), cell.code_line):
        if SHORTCODE.search(text):
            raise RenderError(f"{cell.name}: shortcodes in code are not known", cell.path, line_number)


def check_markdown(block: Markdown, classes: Iterable[str]) -> None:
    display_math = False
    for line in block.lines:
        if line.verbatim:
            continue
        text = CODE_SPAN.sub(_blank, line.text)
        parts = text.split("$$")
        for index in range(len(parts)):
            if display_math == (index % 2 == 0):
                parts[index] = " " * len(parts[index])
        display_math ^= len(parts) % 2 == 0
        text = INLINE_MATH.sub(_blank, "  ".join(parts))
        _check_shortcodes(line, text)
        div = DIV.match(text)
        if div and div["rest"] and not div["rest"].startswith("{"):
            _check_class(line, div["rest"].split("{")[0].strip(), classes)
        elif div and div["rest"] and not ATTRIBUTES.search(text):
            raise RenderError(f"these attributes are not understood: {div['rest']}", line.path, line.number)
        for match in ATTRIBUTES.finditer(text):
            if match.start() and text[match.start() - 1] == "{":
                continue
            _check_attributes(line, match["body"], classes)


def _blank(match: re.Match) -> str:
    return " " * len(match[0])


def _check_shortcodes(line: Line, text: str) -> None:
    for match in SHORTCODE.finditer(text):
        name = match[1]
        if name == "include":
            raise RenderError("`include` is known on a line of its own only", line.path, line.number)
        if name not in known.SHORTCODES:
            raise RenderError(f"the renderer does not know the shortcode '{name}'", line.path, line.number)


def _check_class(line: Line, name: str, classes: Iterable[str]) -> None:
    name = name.strip().lstrip(".")
    if name and name not in classes:
        raise RenderError(
            f"the class '{name}' is known neither to the renderer nor to a style sheet of the project",
            line.path,
            line.number,
        )


def _check_attributes(line: Line, body: str, classes: Iterable[str]) -> None:
    for token in TOKEN.finditer(body):
        if token["class"]:
            _check_class(line, token["class"], classes)
        elif token["raw"]:
            if token["raw"] not in RAW_FORMATS:
                raise RenderError(
                    f"raw text of the format '{token['raw']}' is not shown by any page here",
                    line.path,
                    line.number,
                )
        elif token["key"]:
            key = token["key"]
            if key not in known.ATTRIBUTES and not key.startswith(known.ATTRIBUTE_PREFIXES):
                raise RenderError(f"the renderer does not know the attribute '{key}'", line.path, line.number)
            if key in ("when-format", "unless-format"):
                value = token["value"].strip("\"'")
                if value not in known.CONDITION_FORMATS:
                    raise RenderError(
                        f"the format '{value}' in `{key}` is not known; known: "
                        + ", ".join(known.CONDITION_FORMATS),
                        line.path,
                        line.number,
                    )

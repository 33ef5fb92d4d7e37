"""What a page may use: cell options, classes and attributes. All else is refused with its line.

The renderer makes what the lectures use and what a lecturer is likely to add. Whatever else Quarto
knows would look different here or vanish, so it is an error and never dropped in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .project import OUTPUT_LOCATIONS
from .qmd import Cell, Document, Line, Markdown, RenderError

CELL_OPTIONS: dict[str, tuple | None] = {
    "eval": (True, False),
    "echo": (True, False),
    "warning": (True, False),
    "error": (True, False),
    "include": (True, False),
    "output": (True, False, "asis"),
    "output-location": OUTPUT_LOCATIONS,
    **dict.fromkeys(("label", "classes", "tags", "fig-cap", "fig-alt")),
    **dict.fromkeys(("code-fold", "code-summary", "code-line-numbers")),
}
# Classes that mean something to Quarto or reveal.js, beyond those that style sheets define.
CLASSES = frozenset(
    """columns column notes fragment incremental nonincremental aside footer hidden
    callout-note callout-tip callout-warning callout-important callout-caution
    content-visible content-hidden panel-tabset r-stack r-fit-text smaller scrollable center
    unnumbered unlisted screen-reader-only underline mark smallcaps
    fade-in fade-out fade-up fade-down fade-left fade-right fade-in-then-out fade-in-then-semi-out
    semi-fade-out grow shrink strike highlight-red highlight-green highlight-blue
    highlight-current-red highlight-current-green highlight-current-blue current-visible
    python bash sh console json yaml html css javascript js r text txt markdown md makefile toml""".split()
)
ATTRIBUTES: dict[str, tuple | None] = {
    **dict.fromkeys(("id", "width", "height", "style", "title", "alt", "fig-alt", "lang", "dir", "role")),
    **dict.fromkeys(("target", "rel", "tabindex", "fragment-index", "code-line-numbers")),
    **dict.fromkeys(("background-color", "background-image", "background-size", "background-opacity")),
    "collapse": ("true", "false"),
    "when-format": ("html", "revealjs"),
    "unless-format": ("html", "revealjs"),
}
ATTRIBUTE_PREFIXES = ("data-", "aria-")
RAW_FORMATS = ("html", "html5", "tex", "latex")

# The first words of labels that Quarto numbers and lets a text refer to.
NUMBERED = "fig|tbl|lst|sec|eq|thm|lem|cor|prp|cnj|def|exm|exr|sol|rem|alg|nte|tip|wrn|imp|cau"
CROSS_REFERENCE = re.compile(rf"(?<![\w@.])-?@((?:{NUMBERED})-[\w:-]+)", re.IGNORECASE)
NUMBERED_LABEL = re.compile(rf"(?:{NUMBERED.replace('sec|', '')})-")
# A label names files and an id; cells without one are called `cell-2`, `cell-3` …
LABEL = re.compile(r"(?!cell-\d)[A-Za-z][\w-]*")
SHORTCODE = re.compile(r"\{\{<\s*(/?[\w./-]*)")
BRACES = re.compile(
    r"\{(?P<body>(?:\s*(?:\.-?[\w-]+|#[\w:.-]+|-|=[\w]+"
    r"|[\w:-]+=(?:\"(?:\\.|[^\"\\])*\"|'[^']*'|[^\s\"'}]+)))+)\s*\}"
)
TOKEN = re.compile(
    r"\.(?P<class>-?[\w-]+)|#(?P<id>[\w:.-]+)|=(?P<raw>\w+)"
    r"|(?P<key>[\w:-]+)=(?P<value>\"(?:\\.|[^\"\\])*\"|'[^']*'|[^\s\"'}]+)"
)
DIV = re.compile(r"^\s*:{3,}\s*(?P<rest>.*?)\s*:*\s*$")
FENCED = re.compile(r"^[ \t]*(`{3,}|~{3,}).*?(?:^[ \t]*\1|\Z)", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"(`+)(?:(?!\1).)+?\1(?!`)(?!\{)")
INLINE_MATH = re.compile(r"(?<![\\$])\$(?=[^\s$])(?:\\.|[^$\\])+?(?<=\S)\$(?!\d)")


def classes_of(sheets: Iterable[Path]) -> set[str]:
    """The classes that style sheets, and those that they import, define."""
    found: set[str] = set()
    for sheet in sheets:
        text = re.sub(r"/\*.*?\*/", "", sheet.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"@import\s+(?:url\()?['\"]([^'\"]+\.css)['\"]", text):
            if (sheet.parent / target).is_file():
                found |= classes_of([sheet.parent / target])
        text = re.sub(r"@import[^;]*;|url\([^)]*\)|\"[^\"]*\"|'[^']*'", "", text)
        found |= set(re.findall(r"\.(-?[_a-zA-Z][\w-]*)", re.sub(r"\{[^{}]*\}", "{}", text)))
    return found


def check_document(document: Document, style_classes: set[str]) -> None:
    """Check every cell option, class and attribute of a page."""
    labels: dict[str, Cell] = {}
    classes = CLASSES | style_classes
    for block in document.blocks:
        if isinstance(block, Markdown):
            check_markdown(document, block, classes)
            continue
        _check_cell(document, block, classes)
        if block.label:
            first = labels.setdefault(block.label, block)
            if first is not block:
                message = f"the label '{block.label}' is used twice; first in line {first.line}"
                raise document.problem(message, block, "label")


def check_outputs(document: Document, notebook: dict[str, Any], style_classes: set[str]) -> None:
    """Check the Markdown that cells wrote, as `check_document` checks the page's own."""
    for result in notebook["cells"]:
        block = document.blocks[result["metadata"]["block"]]
        if isinstance(block, Markdown):
            number = block.lines[0].number
            texts = [each["data"].get("text/markdown", "") for each in result["metadata"]["expressions"]]
        else:
            number = block.line
            texts = [each.get("data", {}).get("text/markdown", "") for each in result["outputs"]]
            if block.options.get("output") == "asis":
                texts += [each["text"] for each in result["outputs"] if each.get("name") == "stdout"]
        for text in texts:
            lines = [Line(each, number) for each in FENCED.sub("", text).split("\n")]
            check_markdown(document, Markdown(lines), CLASSES | style_classes)


def _check_cell(document: Document, cell: Cell, classes: Iterable[str]) -> None:
    for name, value in cell.options.items():
        if problem := _problem_of(name, value):
            raise document.problem(problem, cell, name)
    for name in class_list(cell):
        if name not in classes:
            raise document.problem(_unknown_class(name), cell, "classes")
    for number, text in enumerate(cell.source.splitlines(), cell.code_line):
        if SHORTCODE.search(text):
            raise document.problem(f"{cell.name}: shortcodes are not known, in code neither", number)


def _problem_of(name: str, value: Any) -> str:
    """What is wrong with an option of a cell, or ""."""
    if name in ("fig-width", "fig-height"):
        return f"the option '{name}' is not known: give figsize=(width, height) in the code"
    if name not in CELL_OPTIONS:
        return f"the renderer does not know the option '{name}'"
    only = CELL_OPTIONS[name]
    if only and not any(type(value) is type(each) and value == each for each in only):
        return f"`{name}` must be one of {', '.join(str(each).lower() for each in only)}, not {value!r}"
    if name == "label" and NUMBERED_LABEL.match(str(value)):
        return _numbered(value)
    if name == "label" and not LABEL.fullmatch(str(value)):
        return f"the label '{value}' must be a word of letters, digits, - and _, unlike cell-2"
    return ""


def class_list(cell: Cell) -> list[str]:
    """The names that a cell's option `classes` gives, as a list or in one text."""
    given = cell.options.get("classes") or []
    return [str(name).lstrip(".") for name in (given.split() if isinstance(given, str) else given)]


def _numbered(label: str) -> str:
    return f"Quarto would number '{label}', which is not known here: take a label without the first word"


def _unknown_class(name: str) -> str:
    return f"the class '{name}' is known neither to the renderer nor to a style sheet of the project"


def check_markdown(document: Document, block: Markdown, classes: Iterable[str]) -> None:
    """Check a run of Markdown; code and maths are passed over."""
    display_math = False
    for line in block.lines:
        if line.verbatim:
            continue
        text = CODE_SPAN.sub(lambda match: " " * len(match[0]), line.text)
        parts = text.split("$$")
        for index in range(len(parts)):
            if display_math == (index % 2 == 0):
                parts[index] = " " * len(parts[index])
        display_math ^= len(parts) % 2 == 0
        text = INLINE_MATH.sub("", "  ".join(parts))
        try:
            _check_text(text, classes)
        except RenderError as error:
            raise document.problem(error.message, line.number) from None


def _check_text(text: str, classes: Iterable[str]) -> None:
    if shortcode := SHORTCODE.search(text):
        raise RenderError(f"the renderer does not know shortcodes such as '{shortcode[1]}'")
    if reference := CROSS_REFERENCE.search(text):
        raise RenderError(f"the renderer does not know cross-references such as @{reference[1]}: use words")
    div = DIV.match(text)
    if div and div["rest"] and not div["rest"].startswith("{"):
        name = div["rest"].split("{")[0].strip().lstrip(".")
        if name and name not in classes:
            raise RenderError(_unknown_class(name))
    elif div and div["rest"] and not BRACES.search(text):
        raise RenderError(f"these attributes are not understood: {div['rest']}")
    for match in BRACES.finditer(text):
        if not match.start() or text[match.start() - 1] != "{":
            for token in TOKEN.finditer(match["body"]):
                _check_token(token, classes)


def _check_token(token: re.Match, classes: Iterable[str]) -> None:
    name, key = token["class"], token["key"]
    if name and name not in classes:
        raise RenderError(_unknown_class(name))
    if token["id"] and NUMBERED_LABEL.match(token["id"]):
        raise RenderError(_numbered(token["id"]))
    if token["raw"] and token["raw"] not in RAW_FORMATS:
        raise RenderError(f"raw text of the format '{token['raw']}' is not shown by any page here")
    if key and not key.startswith(ATTRIBUTE_PREFIXES):
        if key not in ATTRIBUTES:
            raise RenderError(f"the renderer does not know the attribute '{key}'")
        value, only = token["value"].strip("\"'"), ATTRIBUTES[key]
        if only and value not in only:
            raise RenderError(f"'{value}' in `{key}` is not known; known: {', '.join(only)}")

"""What a page may not use: everything of Quarto that this renderer does not make, refused with its line.

What means nothing to Quarto (a class of the author's own, an attribute of reveal.js) passes as it is, in both
engines. What means something there and would look different here, or vanish, is an error, never dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .project import KEYS, fault
from .qmd import VIDEO, Cell, Document, Line, Markdown

CALLOUTS = "note|tip|warning|important|caution"
# Classes to which Quarto gives a meaning or a look, beside those that are made here.
CLASSES = re.compile(
    rf"""callout-(?!(?:{CALLOUTS})$).*|panel-(?!tabset$).*|column-(?!output-location$).*|quarto-.*|margin-.*
    |grid|g-(?:col|start).*|lightbox|landscape|list-table|proof|remark|solution|theorem|hanging
    |code-annotation.*|tab-.*""",
    re.VERBOSE,
)
ATTRIBUTES = re.compile(
    r"""layout(?!-ncol$).*|filename|appearance|icon|group|lightbox|cap-location|(?:when|unless)-(?:meta|profile)
    |fig-(?:align|pos|env|scap|cap|subcap|link|width|height)|(?:lst|tbl)-.*|ref-.*|preview-link|menu-.*
    |code-(?:copy|overflow|summary|fold|block-.*)|output.*""",
    re.VERBOSE,
)
FORMATS = (
    "html revealjs html:js pdf latex beamer typst docx odt rtf pptx epub ipynb gfm markdown jats".split()
)
VALUES = {"collapse": ["true", "false"], "when-format": FORMATS, "unless-format": FORMATS}
RAW_FORMATS = ("html", "html5", "tex", "latex")

# The first words of labels that Quarto numbers and lets a text refer to.
NUMBERED = "fig|tbl|lst|sec|eq|thm|lem|cor|prp|cnj|def|exm|exr|sol|rem|alg|nte|tip|wrn|imp|cau"
CROSS_REFERENCE = re.compile(rf"(?<![\w@.\\])-?@((?:{NUMBERED})-[\w:-]+)", re.IGNORECASE)
NUMBERED_LABEL = re.compile(rf"(?:{NUMBERED.replace('sec|', '')})-")
# A label names files and an id; cells without one are called `cell-2`, `cell-3` …
LABEL = re.compile(r"(?!cell-\d)[A-Za-z][\w-]*")
SHORTCODE = re.compile(r"(?<!\{)\{\{<\s*(/?[\w./-]*)")
BRACES = re.compile(
    r"(?<!\{)\{(?P<body>(?:\s*(?:\.-?[\w-]+|#[\w:.-]+|-|=[\w]+"
    r"|[\w:-]+=(?:\"(?:\\.|[^\"\\])*\"|'[^']*'|[^\s\"'}]+)))+)\s*\}"
)
TOKEN = re.compile(
    r"\.(?P<class>-?[\w-]+)|#(?P<id>[\w:.-]+)|=(?P<raw>\w+)"
    r"|(?P<key>[\w:-]+)=(?P<value>\"(?:\\.|[^\"\\])*\"|'[^']*'|[^\s\"'}]+)"
)
DIV = re.compile(r"^\s*:{3,}\s*(?P<name>\.?[\w-]+)\s*:*\s*$")
FENCED = re.compile(r"^[ \t]*(`{3,}|~{3,}).*?(?:^[ \t]*\1|\Z)", re.MULTILINE | re.DOTALL)
# Of a pipe table the line below the head, and what in a row is no mark between two cells.
DELIMITER = re.compile(r"^[\s>]*(?=.*\|)\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$")
CELL_ENDS = re.compile(r"\\.|^[\s>]*\|?|\|?\s*$")
# Of code that is shown, all but the shortcodes, which Quarto fills in there too.
SHADED = re.compile(r"((?<!\{)\{\{<(?!\s*include\b).*?>\}\})|[^\n]")
# What is no text: comments, code and maths.
APART = re.compile(
    r"<!--.*?-->|(?<!`)(`+)(?!`)(?:(?!\1|\n\n).)+?\1(?!`)(?!\{=)|\$\$.*?\$\$"
    r"|(?<![\\$])\$(?=[^\s$])(?:\\.|[^$\\\n]|\n(?!\n))+?(?<=\S)\$(?!\d)",
    re.DOTALL,
)


def check_document(document: Document) -> None:
    """Check every cell option, class and attribute of a page; what is wrong is reported to it."""
    labels: dict[str, Cell] = {}
    for block in document.blocks:
        if isinstance(block, Markdown):
            check_markdown(document, block)
            continue
        _check_cell(document, block)
        # Labels name files, and some machines know no capitals.
        if block.label and (first := labels.setdefault(block.label.lower(), block)) is not block:
            message = f"the label '{block.label}' is used twice; first in line {first.line}"
            document.report(message, block, "label")


def check_outputs(document: Document, notebook: dict[str, Any]) -> None:
    """Check the Markdown that cells wrote, as `check_document` checks the page's own."""
    for result in notebook["cells"]:
        block = document.blocks[result["metadata"]["block"]]
        if isinstance(block, Markdown):
            number = block.lines[0].number
            values = result["metadata"]["expressions"]
            texts = [each["value"] for each in values if each["kind"] == "markdown"]
        else:
            number = block.line
            texts = [each.get("data", {}).get("text/markdown", "") for each in result["outputs"]]
            if block.options.get("output") == "asis":
                texts += [each["text"] for each in result["outputs"] if each.get("name") == "stdout"]
        for text in texts:
            lines = [Line(each, number) for each in FENCED.sub("", text).split("\n")]
            check_markdown(document, Markdown(lines))


def _check_cell(document: Document, cell: Cell) -> None:
    for name, value in cell.options.items():
        if problem := _problem_of(name, value):
            document.report(problem, cell, name)
    for name in class_list(cell):
        if CLASSES.fullmatch(name):
            document.report(_class(name), cell, "classes")
    for number, text in zip(cell.numbers, cell.source.splitlines()):
        if "{{<" in text:
            document.report(f"{cell.name}: shortcodes are not known in code", number)


def _problem_of(name: str, value: Any) -> str:
    """What is wrong with an option of a cell, or ""."""
    if name in ("fig-width", "fig-height"):
        return f"the option '{name}' is not known: give figsize=(width, height) in the code"
    if name not in KEYS["cell"]:
        return f"the renderer does not know the option '{name}'"
    if message := fault(name, value):
        return message
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


def _class(name: str) -> str:
    return f"the renderer does not know Quarto's class '{name}'"


def check_markdown(document: Document, block: Markdown) -> None:
    """Check a run of Markdown; of code and maths the shortcodes alone, of comments nothing."""

    def shade(text: str) -> str:
        unread = text.startswith(("<!--", "`{python}"))
        return SHADED.sub(lambda match: " " if unread else match[1] or " ", text)

    text = "\n".join(shade(line.text).strip() if line.verbatim else line.text for line in block.lines)
    rows = APART.sub(lambda match: shade(match[0]), text).split("\n")
    for line, shown, surplus in zip(block.lines, rows, _surplus(rows), strict=True):
        if surplus:
            message = "this row has more cells than its table has columns; pandoc would drop them"
            document.report(message, line.number)
        for problem in _problems(shown, is_video=bool(VIDEO.match(shown)) and not line.verbatim):
            document.report(problem, line.number)


def _surplus(rows: list[str]) -> Iterator[bool]:
    """Whether each line is a row of a pipe table that has more cells than the table has columns."""
    columns = 0
    for row, below in zip(rows, [*rows[1:], ""]):
        if DELIMITER.match(below):
            columns = 1 + CELL_ENDS.sub("", below).count("|")
        elif not row.strip(" >"):
            columns = 0
        yield bool(columns) and CELL_ENDS.sub("", row).count("|") >= columns


def _problems(text: str, is_video: bool) -> Iterator[str]:
    for shortcode in () if is_video else SHORTCODE.finditer(text):
        advice = ": a video stands on a line of its own" * (shortcode[1] == "video")
        yield f"the renderer does not know shortcodes such as '{shortcode[1]}'{advice}"
    for reference in CROSS_REFERENCE.finditer(text):
        yield f"the renderer does not know cross-references such as @{reference[1]}: use words"
    div = DIV.match(text)
    if div and CLASSES.fullmatch(name := div["name"].lstrip(".")):
        yield _class(name)
    for match in BRACES.finditer(text):
        for token in TOKEN.finditer(match["body"]):
            if problem := _problem_of_token(token):
                yield problem


def _problem_of_token(token: re.Match) -> str:
    name, key = token["class"], token["key"]
    if name and CLASSES.fullmatch(name):
        return _class(name)
    if token["id"] and NUMBERED_LABEL.match(token["id"]):
        return _numbered(token["id"])
    if token["raw"] and token["raw"] not in RAW_FORMATS:
        return f"raw text of the format '{token['raw']}' is not shown by any page here"
    if key and ATTRIBUTES.fullmatch(key):
        return f"the renderer does not know the attribute '{key}'"
    if key in VALUES and (value := token["value"].strip("\"'")) not in VALUES[key]:
        return f"'{value}' in `{key}` is not known; known: {', '.join(VALUES[key])}"
    return ""

"""Turning a document and its results into the Markdown that pandoc reads.

The structure and the class names of cells and outputs are those that Quarto's Jupyter engine
emits, so that one style sheet serves both engines.
"""

from __future__ import annotations

import base64
import html
import itertools
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from .check import APART, class_list
from .execute import ANSI, setting
from .project import PageFormat
from .qmd import INLINE, VIDEO, Cell, Document, Markdown, inside_fences

IMAGE_SUFFIX = {"image/svg+xml": "svg"} | {f"image/{kind}": kind for kind in ("png", "jpeg", "gif", "webp")}
MIME_ORDER = ["text/markdown", "text/html", *IMAGE_SUFFIX, "text/latex", "text/plain"]
PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
# Marks around each inline result until it is known whether slides and notes have the same.
RESULT = re.compile("\ue000(.*?)\ue001", re.DOTALL)
# In maths what is no number is words, whose signs TeX has names for.
PLAIN_NUMBER = re.compile(r"[-+\u2212]?(?:\d[\d.,]*|\.\d+)")
TEX_SIGNS = re.compile(r"[\\^~_$%&#{}]")
TEX_NAMES = {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
WORDS_IN_MATHS = re.compile(r"\\(?:text[a-z]*|mbox)\{[^{}]*$")
INSIDE_ATTRIBUTE = re.compile(r"\{[^{}\n]*?(?P<name>[\w-]+)=([\"'])(?:\\.|(?!\2).)*$")
INSIDE_TAG = re.compile(r"<[A-Za-z][^<>]*$")
BLOCK_HTML = re.compile(
    r"<(?:table|div|p|[uo]l|dl|pre|style|script|h\d|figure|details|section)\b", re.IGNORECASE
)
ESCAPED_SHORTCODE = re.compile(r"\{(\{\{+<.*?>\}\}+)\}")
UNEXECUTED = re.compile(r"^(\s*`{3,})\{\{(\w+[^}]*)\}\}\s*$")
NO_GLYPH = re.compile(r"Glyph \d+ .*missing from.*")


@dataclass
class Assembled:
    """The Markdown of a page by its blocks, the source line of each of its lines, and its figures by path."""

    parts: list[str]
    lines: list[int]
    figures: dict[str, bytes]

    @property
    def text(self) -> str:
        return "".join(self.parts)


def assemble(
    document: Document, notebook: dict[str, Any] | None, page: PageFormat, for_quarto: bool = False
) -> Assembled:
    """The Markdown of one page; figures have paths relative to the page.

    `notebook` has the executed cells, each with `metadata.block`; it is None where nothing was executed.
    What Quarto itself puts in the place of videos and of cells that are only shown stays `for_quarto`.
    What cannot be shown is added to the document's problems.
    """
    results = {cell["metadata"]["block"]: cell for cell in notebook["cells"]} if notebook else {}
    made = Assembled([], [], {})
    for index, block in enumerate(document.blocks):
        if isinstance(block, Markdown):
            text = _prose(document, block, results.get(index))
            if not for_quarto:
                text = _without_quarto(RESULT.sub(r"\1", text))
            numbers = [line.number for line in block.lines]
        else:
            text = _CellWriter(document, block, results.get(index, {}), page, made.figures).write()
            # The empty line makes a div of it even where a paragraph stands right above the cell.
            text = "\n" + re.sub(r"^(?=.)", block.indent, text, flags=re.MULTILINE) + "\n"
            numbers = [block.line]
        count = text.count("\n")
        made.parts.append(text)
        made.lines += (numbers + numbers[-1:] * count)[:count]
    return made


def _prose(document: Document, block: Markdown, executed: dict[str, Any] | None) -> str:
    """The lines of a run of Markdown, with inline code replaced by its results."""
    if executed is None:
        return "".join(line.text + "\n" for line in block.lines)
    values = iter(executed["metadata"]["expressions"])

    def result(match: re.Match[str]) -> str:
        value = next(values)
        place = _place(match)
        block_html = value["kind"] == "html" and (place or BLOCK_HTML.search(value["value"]))
        if block_html or (value["kind"] == "latex" and place not in ("", "maths")):
            line = next(line for line in block.lines if match[0].splitlines()[0] in line.text)
            message = f"`{value['expression']}` is no text that can stand here: show it by a cell of its own"
            document.report(message, line.number)
        shown = inline_markdown(value["kind"], value["value"], place)
        before = match.string[: match.start()].rpartition("\n")[2]
        begins = not re.sub(r"(?:[-*+>|]|\d+[.)])\s", "", before).strip()
        # A number that begins a line, and a point, would be a list.
        is_item = begins and re.match(r"[.)](?:\s|$)", match.string[match.end() :])
        shown = f"[{shown}]{{}}" if is_item and value["kind"] in ("number", "text") else shown
        return shown if place else f"\ue000{shown}\ue001"

    pieces: list[str] = []
    for verbatim, lines in itertools.groupby(block.lines, lambda line: line.verbatim):
        run = "".join(line.text + "\n" for line in lines)
        pieces.append(run if verbatim else INLINE.sub(result, run))
    return "".join(pieces)


def _place(match: re.Match[str]) -> str:
    """What an inline expression stands in, if not in text: "maths", "words" in maths, "code", "tag" …"""
    # Other expressions are no code of the text; their quotes and signs mean nothing here.
    shaded = INLINE.sub(lambda each: "x" * len(each[0]), match.string)
    start, before = match.start(), shaded[: match.start()]
    apart = next((each[0][0] for each in APART.finditer(shaded) if each.start() <= start < each.end()), "")
    if apart == "$":
        return "words" if WORDS_IN_MATHS.search(before) else "power" if before[-1] in "^_" else "maths"
    if attribute := INSIDE_ATTRIBUTE.search(before):
        of_callout = attribute["name"] == "title" and before.rpartition("\n")[2].lstrip().startswith(":::")
        return "title" if of_callout else "attribute"
    return {"`": "code"}.get(apart, "tag" if INSIDE_TAG.search(before) else "")


def _without_quarto(text: str) -> str:
    """Markdown with videos, and with cells that are only shown, on as many lines as before."""

    def video(match: re.Match[str]) -> str:
        options = " ".join(re.findall(r'(?:width|height|title|aria-label)="[^"]*"', match["rest"]))
        path = match["path"].strip("\"'")
        return (
            f'<div class="quarto-video"><video controls preload="auto" {options} src="{path}"></video></div>'
        )

    def replaced(line: str) -> str:
        return UNEXECUTED.sub(r'\1 {.markdown unexecuted="\2"}', VIDEO.sub(video, line))

    lines = ESCAPED_SHORTCODE.sub(r"\1", text).split("\n")
    return "\n".join(line if inside else replaced(line) for line, inside in zip(lines, inside_fences(lines)))


def inline_markdown(kind: str, value: str, place: str = "") -> str:
    """The Markdown of an inline result: what is text is shown as it is, whatever signs are in it.

    `place` is where it stands, as `_place` has it.
    """
    words = " ".join(value.split())
    if place in ("maths", "power", "words"):
        if kind in ("markdown", "latex"):
            return re.sub(r"^\$+(?:\\displaystyle)?|\$+$", "", words)
        if not PLAIN_NUMBER.fullmatch(words):
            words = TEX_SIGNS.sub(lambda sign: TEX_NAMES.get(sign[0], f"\\{sign[0]}"), words)
            words = words if place == "words" else rf"\text{{{words}}}"
        return f"{{{words}}}" if place == "power" else words
    if place == "code":
        return words
    if place == "tag":
        return html.escape(words)
    if kind == "html":
        ticks = fence_for(value)
        return f"{ticks} {words} {ticks}{{=html}}"
    shown = PUNCTUATION.sub(r"\\\1", words) if kind == "text" and place != "attribute" else value
    # Between quotes pandoc takes the marks off; a title is then read as Markdown.
    return PUNCTUATION.sub(r"\\\1", shown) if place in ("title", "attribute") else shown


def attribute(name: str, value: Any) -> str:
    """One attribute in pandoc's syntax."""
    if isinstance(value, bool):
        value = "true" if value else "false"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'{name}="{text}"'


def fence_for(text: str) -> str:
    """Backticks enough to enclose a text."""
    return "`" * max(3, *(len(run) + 1 for run in re.findall(r"`{3,}", text)), 0)


@dataclass
class _CellWriter:
    """Writes one cell as Markdown."""

    document: Document
    cell: Cell
    executed: dict[str, Any]
    page: PageFormat
    figures: dict[str, bytes]

    def option(self, name: str) -> Any:
        return setting(self.cell, self.page, name)

    def write(self) -> str:
        if not self.option("include"):
            return ""
        outputs = self._shown()
        displays = [each for each in outputs if "data" in each]
        body = [self._code()] if self.option("echo") else []
        captions = self._texts("fig-cap", displays)
        alternatives = self._texts("fig-alt", displays)
        asis = self.option("output") == "asis"
        identifier = self.cell.label
        for number, each in enumerate(outputs, 1):
            if "data" not in each:
                body.append(_printed(each, asis))
                continue
            mime, text = self._display(number, each, captions.pop(0), alternatives.pop(0))
            if not asis:
                text = self._output_div(mime, text, each, identifier)
                identifier = None
            body.append(text)
        labelled = self.cell.label and not displays
        if asis and not labelled and not class_list(self.cell):
            return "\n".join(body) + "\n"
        if not any(part.strip() for part in body):
            return ""
        return f"::: {{{self._attributes(displays)}}}\n" + "\n".join(body) + "\n:::\n"

    def _attributes(self, displays: list) -> str:
        label = self.cell.label
        parts = [f"#cell-{label}" if displays else f"#{label}"] if label else []
        parts += [".cell", *(f".{name}" for name in class_list(self.cell))]
        location = self.cell.options.get("output-location", self.page.get("output-location"))
        if location and location != "default" and self.option("echo") and self.page.name == "revealjs":
            parts.append(attribute("output-location", location))
        if self.executed.get("execution_count") is not None:
            parts.append(attribute("execution_count", self.executed["execution_count"]))
        return " ".join(parts)

    def _code(self) -> str:
        source, options = self.cell.source, self.cell.options
        attributes = [".python", ".cell-code"]
        for name in ("code-fold", "code-summary", "code-line-numbers"):
            if name in options:
                attributes.append(attribute(name, options[name]))
        ticks = fence_for(source)
        return f"{ticks} {{{' '.join(attributes)}}}\n{source}\n{ticks}\n"

    def _shown(self) -> list[dict[str, Any]]:
        """The outputs of the cell that the page shows."""
        if not self.option("output"):
            return []
        outputs = self.executed.get("outputs", [])
        images = any(mime in each.get("data", {}) for each in outputs for mime in IMAGE_SUFFIX)
        for each in outputs if images else ():
            if missing := NO_GLYPH.search(each.get("text", "") if each.get("name") == "stderr" else ""):
                self.document.report(f"its figure lacks a sign: {missing[0]}", self.cell)
        return [
            each
            for each in outputs
            if (self.option("warning") or each.get("name") != "stderr") and not _is_by_product(each, images)
        ]

    def _texts(self, name: str, displays: list) -> list[str | None]:
        """An option with a text for each output shown; one text alone is meant for the first or for all."""
        given = self.cell.options.get(name)
        if given is None:
            return [None] * len(displays)
        if not isinstance(given, list):
            rest = len(displays) - 1
            given = [given] * (rest + 1) if name == "fig-alt" else [given] + [None] * rest
        if len(given) != len(displays):
            message = f"{len(given)} texts in `{name}` for {len(displays)} outputs shown"
            self.document.report(message, self.cell, name)
            given = [None] * len(displays)
        return [None if each is None else str(each).strip() for each in given]

    def _output_div(self, mime: str, text: str, output: dict[str, Any], identifier: str | None) -> str:
        classes = f"#{identifier} " if identifier else ""
        classes += ".cell-output .cell-output-display"
        if mime == "text/markdown":
            classes += " .cell-output-markdown"
        if output.get("execution_count") is not None:
            classes += f' execution_count="{self.executed["execution_count"]}"'
        return f"\n::: {{{classes}}}\n{text}:::\n"

    def _display(
        self, number: int, output: dict[str, Any], caption: str | None, alternative: str | None
    ) -> tuple[str, str]:
        """The MIME type chosen for an output and its Markdown."""
        data = output["data"]
        mime = next(each for each in (*MIME_ORDER, *data) if each in data)
        strange = [each for each in data if each not in MIME_ORDER]
        if strange and (mime in strange or mime == "text/plain"):
            message = f"its output has no form on a page: {', '.join(strange)}; `#| output: false` hides it"
            self.document.report(message, self.cell)
            return mime, ""
        value = data[mime]
        if mime in IMAGE_SUFFIX:
            return mime, self._image(number, mime, value, output, caption, alternative)
        if caption is not None:
            self.document.report("`fig-cap` is known for figures only", self.cell, "fig-cap")
        if mime == "text/html":
            fence = fence_for(value)
            return mime, f"{fence}{{=html}}\n{value}\n{fence}\n"
        return mime, _verbatim(value) if mime == "text/plain" else value + "\n"

    def _image(
        self, number: int, mime: str, value: str, output: dict, caption: str | None, alternative: str | None
    ) -> str:
        name = self.cell.label or f"cell-{self.cell.number + 1}"
        folder = f"{PurePosixPath(self.document.name).stem}_files/figure-{self.page.name}"
        path = f"{folder}/{name}-output-{number}.{IMAGE_SUFFIX[mime]}"
        is_text = mime == "image/svg+xml" and "<svg" in value
        self.figures[path] = value.encode("utf-8") if is_text else base64.b64decode(value)
        size = output.get("metadata", {}).get(mime, {})
        attributes = [attribute(side, size[side]) for side in ("width", "height") if size.get(side)]
        alternative = alternative or size.get("alt")
        if alternative is not None:
            attributes.append(attribute("fig-alt", alternative))
        return f"![{caption or ''}]({path})" + (f"{{{' '.join(attributes)}}}" if attributes else "") + "\n"


def _printed(output: dict[str, Any], asis: bool) -> str:
    """What a cell printed, or the traceback of its error."""
    if output["output_type"] == "error":
        kind, text = "error", "\n".join(output["traceback"]) or f"{output['ename']}: {output['evalue']}"
    else:
        kind, text = output["name"], output["text"]
        if asis and kind == "stdout":
            return f"\n{text}\n"
    return f"\n::: {{.cell-output .cell-output-{kind}}}\n{_verbatim(text)}:::\n"


def _verbatim(text: str) -> str:
    """A plain code block of what a terminal would show."""
    text = terminal_text(text)
    fence = fence_for(text)
    return f"{fence}\n{text}" + ("" if text.endswith("\n") else "\n") + f"{fence}\n"


def terminal_text(text: str) -> str:
    """A text without colours, links and control signs; a carriage return writes over the line."""
    lines = []
    for line in ANSI.sub("", text).split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", re.sub(r"[^\x08]\x08", "", shown)))
    return "\n".join(lines)


def _is_by_product(output: dict[str, Any], images: bool) -> bool:
    """Whether an output is the text of an object that a plotting call returned.

    Quarto hides these as well: beside a figure any one-line `<...>`, `[...]` or `(...)` text,
    and matplotlib's `Text(0.5, ...)`.
    """
    if output["output_type"] != "execute_result" or set(output["data"]) != {"text/plain"}:
        return False
    text = output["data"]["text/plain"]
    if not images:
        return text.startswith(("[<matplotlib", "<matplotlib", "<seaborn.", "<ggplot:"))
    lines = text.splitlines()
    if len(lines) == 1:
        return bool(re.match(r"^(?:[<(\[].*[>)\]]$|Text\([-\d])", lines[0].strip()))
    return any("<matplotlib." in line for line in lines)

"""Turning a document and its results into the Markdown that pandoc reads.

The structure and the class names of cells and outputs are those that Quarto's Jupyter engine
emits, so that one style sheet serves both engines.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from .check import class_list
from .execute import ANSI, setting
from .project import PageFormat
from .qmd import INLINE, Cell, Document, Markdown

MIME_ORDER = "text/markdown text/html image/svg+xml image/png image/jpeg text/latex text/plain".split()
IMAGE_SUFFIX = {"image/svg+xml": "svg", "image/png": "png", "image/jpeg": "jpeg"}


def assemble(
    document: Document, notebook: dict[str, Any] | None, page: PageFormat
) -> tuple[str, dict[str, bytes]]:
    """The Markdown of one page, and its figures by their paths relative to the page.

    `notebook` has the executed cells, each with `metadata.block`; it is None where nothing was executed.
    """
    results = {cell["metadata"]["block"]: cell for cell in notebook["cells"]} if notebook else {}
    figures: dict[str, bytes] = {}
    parts = []
    for index, block in enumerate(document.blocks):
        if isinstance(block, Markdown):
            parts.append(_prose(block, results.get(index)))
            continue
        text = _CellWriter(document, block, results.get(index, {}), page, figures).write()
        # The empty line makes a div of it even where a paragraph stands right above the cell.
        parts.append("\n" + re.sub(r"^(?=.)", block.indent, text, flags=re.MULTILINE) + "\n")
    return "".join(parts), figures


def _prose(block: Markdown, executed: dict[str, Any] | None) -> str:
    """The lines of a run of Markdown, with inline code replaced by its results."""
    if executed is None:
        return "".join(line.text + "\n" for line in block.lines)
    values = iter(executed["metadata"]["expressions"])
    pieces: list[str] = []
    run = ""
    for line in (*block.lines, None):
        if line is None or line.verbatim:
            pieces.append(INLINE.sub(lambda match: inline_value(next(values)["data"]), run))
            pieces.append(line.text + "\n" if line else "")
            run = ""
        else:
            run += line.text + "\n"
    return "".join(pieces)


def inline_value(data: dict[str, Any]) -> str:
    """The Markdown of an inline result: Markdown as it is, text without its quotes and escaped."""
    if "text/markdown" in data:
        return str(data["text/markdown"])
    if "text/html" in data:
        return f"`{data['text/html']}`{{=html}}"
    text = str(data.get("text/plain", ""))
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return re.sub(r"([\\`*_{}\[\]()>#+\-.!])", r"\\\1", text[1:-1])
    return text


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
            raise self.document.problem(message, self.cell, name)
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
        mime = next((each for each in MIME_ORDER if each in data), None)
        if mime is None:
            message = f"no known way to show its output of type {', '.join(data)}"
            raise self.document.problem(message, self.cell)
        value = data[mime]
        if mime in IMAGE_SUFFIX:
            return mime, self._image(number, mime, value, output, caption, alternative)
        if caption is not None:
            raise self.document.problem("`fig-cap` is known for figures only", self.cell, "fig-cap")
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
    """A plain code block: without terminal colours, carriage returns applied as a terminal does."""
    text = ANSI.sub("", text)
    text = re.sub(r"[^\n]*\r(?!\n)", "", text)
    fence = fence_for(text)
    return f"{fence}\n{text}" + ("" if text.endswith("\n") else "\n") + f"{fence}\n"


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

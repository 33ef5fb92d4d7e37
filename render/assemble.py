"""Turning a document and its results into the Markdown that pandoc reads.

The structure and the class names of cells and outputs are those that Quarto's Jupyter engine
emits, so that one style sheet serves both engines.
"""

from __future__ import annotations

import base64
import json
import re
import struct
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from . import known
from .check import CODE_SPAN, SHORTCODE
from .errors import RenderError
from .execute import ANSI, Node, setting
from .project import PageFormat
from .qmd import INLINE, Cell, Document, Line, Markdown

MIME_ORDER = (
    "text/markdown",
    "text/html",
    "image/svg+xml",
    "image/png",
    "image/jpeg",
    "text/latex",
    "text/plain",
)
IMAGE_SUFFIX = {"image/svg+xml": "svg", "image/png": "png", "image/jpeg": "jpeg"}
FLOAT_KINDS = ("fig", "tbl")

# Options that are settled here; all others travel on as attributes of the cell's div.
_SETTLED = frozenset(
    """eval echo warning error output include label classes tags fig-cap fig-subcap fig-alt
    fig-align fig-link tbl-cap tbl-subcap cap-location fig-cap-location tbl-cap-location
    code-fold code-summary code-line-numbers code-overflow output-location""".split()
)


@dataclass
class Assembly:
    """Pandoc Markdown of one page, and the figures to write beside it.

    Attributes
    ----------
    figures: bytes of each figure by its path relative to the page.
    """

    text: str
    figures: dict[str, bytes] = field(default_factory=dict)


def assemble(document: Document, notebook: Node | None, page: PageFormat) -> Assembly:
    """Write the Markdown of one page.

    Parameters
    ----------
    notebook: the executed cells, each with `metadata.block`; None where nothing was executed.

    Raises
    ------
    RenderError: an option or an output that the renderer does not know, with its line.
    """
    results = {cell.metadata["block"]: cell for cell in notebook.cells} if notebook else {}
    stem = PurePosixPath(document.name).stem
    folder = f"{stem}_files/figure-{page.name}"
    result = Assembly("")
    parts = []
    for index, block in enumerate(document.blocks):
        executed = results.get(index)
        if isinstance(block, Markdown):
            parts.append(_markdown(block, executed, page))
        else:
            writer = _CellWriter(block, executed, page, folder, result.figures)
            text = writer.write()
            if block.indent:
                text = re.sub(r"^(?=.)", block.indent, text, flags=re.MULTILINE)
            parts.append(text + "\n")
    result.text = "".join(parts)
    return result


def _markdown(block: Markdown, executed: Node | None, page: PageFormat) -> str:
    """The lines of a run of Markdown, with inline code and shortcodes replaced by their results."""
    values = iter(executed.metadata["expressions"] if executed is not None else ())
    pieces: list[str] = []
    run: list[str] = []

    def flush() -> None:
        text = "".join(run)
        run.clear()
        if executed is not None:
            text = INLINE.sub(lambda match: inline_value(next(values)["data"]), text)
        pieces.append(text)

    for line in block.lines:
        if line.verbatim:
            flush()
            pieces.append(line.text + "\n")
        else:
            run.append(_shortcodes(line, page) + "\n")
    flush()
    return "".join(pieces)


def _shortcodes(line: Line, page: PageFormat) -> str:
    """A line with `meta` and `pagebreak` replaced, except inside code spans."""
    if "{{<" not in line.text:
        return line.text
    pieces = []
    end = 0
    for span in CODE_SPAN.finditer(line.text):
        pieces += [_replace_shortcodes(line.text[end : span.start()], line, page), span[0]]
        end = span.end()
    pieces.append(_replace_shortcodes(line.text[end:], line, page))
    return "".join(pieces)


def _replace_shortcodes(text: str, line: Line, page: PageFormat) -> str:
    def replace(match: re.Match) -> str:
        name, argument = match[1], match[2].strip().strip("\"'")
        if name == "pagebreak":
            return ""
        value: Any = page.settings
        for part in argument.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is None or isinstance(value, (dict, list)):
            raise RenderError(
                f"`meta {argument}` names nothing in the page's settings", line.path, line.number
            )
        return ("true" if value else "false") if isinstance(value, bool) else str(value)

    return SHORTCODE.sub(replace, text)


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
    elif isinstance(value, (list, dict)):
        value = json.dumps(value)
    text = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'{name}="{text}"'


def fence_for(text: str, least: int = 3) -> str:
    """Backticks enough to enclose a text."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=0)
    return "`" * max(least, longest + 1)


class _CellWriter:
    """Writes one cell as Markdown."""

    def __init__(
        self, cell: Cell, executed: Node | None, page: PageFormat, folder: str, figures: dict[str, bytes]
    ):
        self.cell = cell
        self.page = page
        self.folder = folder
        self.figures = figures
        self.outputs = list(executed.outputs) if executed is not None else []
        self.count = executed.get("execution_count") if executed is not None else None
        self.kind = self._float_kind()
        self._parts = 0
        self._labelled = False

    def problem(self, message: str, option: str | None = None) -> RenderError:
        line = self.cell.option_places.get(option, self.cell.line)
        return RenderError(f"{self.cell.name}: {message}", self.cell.path, line)

    def option(self, name: str) -> Any:
        return setting(self.cell, self.page, name)

    def _float_kind(self) -> str | None:
        kind = (self.cell.label or "").split("-", 1)[0]
        return kind if kind in FLOAT_KINDS and "-" in (self.cell.label or "") else None

    def write(self) -> str:
        if self.option("include") is False:
            return ""
        echo = self.option("echo")
        if echo not in (True, False, "fenced"):
            raise self.problem("`echo` must be true, false or fenced", "echo")
        output = self.option("output")
        if output not in (True, False, "asis", "all"):
            raise self.problem("`output` must be true, false or asis", "output")
        outputs = self._shown(output)
        asis = output == "asis"
        body = [self._code(echo)] if echo else []
        displays = [each for each in outputs if each.output_type in ("display_data", "execute_result")]
        panel = self._is_panel(displays)
        captions = self._captions(displays, panel)
        alternatives = self._alternatives(displays)
        for number, each in enumerate(outputs, 1):
            body.append(self._output(number, each, asis, panel, captions, alternatives))
        if asis and not self._needs_div(panel, displays):
            return "\n".join(body) + "\n"
        if not any(part.strip() for part in body):
            return ""
        if panel:
            caption = self.cell.options.get(f"{self.kind}-cap")
            if caption:
                body.append(f"\n{str(caption).strip()}\n")
        return f"::: {{{self._attributes(panel, displays)}}}\n" + "\n".join(body) + "\n:::\n"

    def _needs_div(self, panel: bool, displays: list) -> bool:
        options = self.cell.options
        captioned = any(name in options for name in ("fig-cap", "tbl-cap"))
        labelled = self.cell.label and not displays
        extra = set(options) - _SETTLED or options.get("classes")
        return bool(panel or captioned or labelled or extra)

    def _attributes(self, panel: bool, displays: list) -> str:
        cell = self.cell
        parts = []
        if panel:
            parts.append(f"#{cell.label}")
        elif cell.label:
            plain = self.kind is None and not displays
            parts.append(f"#{cell.label}" if plain else f"#cell-{cell.label}")
        parts.append(".cell")
        classes = cell.options.get("classes") or []
        if isinstance(classes, str):
            classes = classes.split()
        parts += ["." + str(name).lstrip(".") for name in classes]
        for name, value in cell.options.items():
            if name not in _SETTLED:
                parts.append(attribute(name, value))
        location = self.cell.options.get("output-location", self.page.get("output-location"))
        if location not in (None, "default"):
            if location not in known.OUTPUT_LOCATIONS:
                raise self.problem(
                    f"`output-location: {location}` is not known; known: "
                    + ", ".join(known.OUTPUT_LOCATIONS),
                    "output-location",
                )
            if self.option("echo") and self.page.name == "revealjs":
                parts.append(attribute("output-location", location))
        if self.count is not None:
            parts.append(attribute("execution_count", self.count))
        return " ".join(parts)

    def _code(self, echo: Any) -> str:
        cell = self.cell
        source = cell.source
        parts = ["python", "cell-code"]
        if echo == "fenced":
            fenced = re.compile(r"\|\s+echo:\s+fenced\s*$")
            kept = [line for line in cell.option_lines if not fenced.search(line)]
            source = "\n".join(["```{python}", *kept, source, "```"])
            parts = ["markdown", "cell-code"]
        overflow = cell.options.get("code-overflow", self.page.get("code-overflow"))
        if overflow == "wrap":
            parts.append("code-overflow-wrap")
        elif overflow not in ("scroll", None):
            raise self.problem("`code-overflow` must be scroll or wrap", "code-overflow")
        attributes = [f".{part}" for part in parts]
        for name in ("code-fold", "code-summary", "code-line-numbers"):
            if name in cell.options:
                attributes.append(attribute(name, cell.options[name]))
        ticks = fence_for(source, 4 if echo == "fenced" else 3)
        return f"{ticks} {{{' '.join(attributes)}}}\n{source}\n{ticks}\n"

    def _shown(self, output: Any) -> list[Node]:
        """The outputs of the cell that the page shows."""
        if output is False:
            return []
        warning = self.option("warning")
        images = any(mime in each.get("data", {}) for each in self.outputs for mime in IMAGE_SUFFIX)
        shown = []
        for each in self.outputs:
            if each.output_type == "stream" and each.name == "stderr" and not warning:
                continue
            if _is_by_product(each, images):
                continue
            shown.append(each)
        return shown

    def _is_panel(self, displays: list) -> bool:
        """Whether the cell as a whole is the float and its outputs are parts of it."""
        if self.kind is None:
            return False
        return len(displays) > 1 or bool(self.cell.options.get(f"{self.kind}-subcap"))

    def _captions(self, displays: list, panel: bool) -> list[str | None]:
        options = self.cell.options
        captions: list[str | None] = [None] * len(displays)
        if panel:
            subcaptions = options.get(f"{self.kind}-subcap") or []
            if subcaptions is True:
                subcaptions = [""] * len(displays)
            if isinstance(subcaptions, str):
                subcaptions = [subcaptions]
            if subcaptions and len(subcaptions) != len(displays):
                raise self.problem(
                    f"{len(subcaptions)} subcaptions for {len(displays)} outputs", f"{self.kind}-subcap"
                )
            return [str(each) for each in subcaptions] or captions
        given = options.get("fig-cap", options.get("tbl-cap"))
        if given is None:
            return captions
        if not isinstance(given, list):
            given = [given]
        name = "fig-cap" if "fig-cap" in options else "tbl-cap"
        if len(given) > len(displays):
            raise self.problem(f"{len(given)} captions in `{name}` for {len(displays)} outputs shown", name)
        for index, caption in enumerate(given):
            captions[index] = str(caption)
        return captions

    def _alternatives(self, displays: list) -> list[str | None]:
        given = self.cell.options.get("fig-alt")
        if given is None:
            return [None] * len(displays)
        if not isinstance(given, list):
            return [str(given)] * len(displays)
        if len(given) != len(displays):
            raise self.problem(
                f"{len(given)} texts in `fig-alt` for {len(displays)} outputs shown", "fig-alt"
            )
        return [str(each) for each in given]

    def _output(
        self, number: int, output: Node, asis: bool, panel: bool, captions: list, alternatives: list
    ) -> str:
        kind = output.output_type
        if kind == "stream":
            if asis and output.name == "stdout":
                return "\n" + output.text + "\n"
            return _wrap(f".cell-output .cell-output-{output.name}", _verbatim(output.text))
        if kind == "error":
            text = "\n".join(output.traceback) or f"{output.ename}: {output.evalue}"
            return _wrap(".cell-output .cell-output-error", _verbatim(text))
        caption = captions.pop(0) if captions else None
        alternative = alternatives.pop(0) if alternatives else None
        identifier = ""
        if self.kind and panel:
            self._parts += 1
            identifier = f"{self.cell.label}-{self._parts}"
        elif self.kind:
            identifier = self.cell.label
        mime, text = self._display(number, output, alternative)
        if caption is not None or identifier:
            parts = [f"#{identifier}"] if identifier else []
            parts.append(".cell-float")
            for name in ("fig-align", "cap-location", "fig-cap-location", "tbl-cap-location"):
                if name in self.cell.options:
                    parts.append(attribute(name, self.cell.options[name]))
            inner = " ".join(parts)
            note = f"\n::: {{.cell-float-caption}}\n{caption.strip()}\n:::\n" if caption else ""
            text = f"::: {{{inner}}}\n{text}\n{note}:::\n"
        if asis:
            return text
        classes = ".cell-output .cell-output-display"
        if self.cell.label and not self.kind and not self._labelled:
            classes = f"#{self.cell.label} {classes}"
            self._labelled = True
        if mime == "text/markdown":
            classes += " .cell-output-markdown"
        if output.get("execution_count") is not None:
            classes += f' execution_count="{self.count}"'
        return _wrap(classes, text)

    def _display(self, number: int, output: Node, alternative: str | None) -> tuple[str, str]:
        """The MIME type chosen for an output and its Markdown."""
        data = output.data
        mime = next((each for each in MIME_ORDER if each in data), None)
        if mime is None:
            raise self.problem(f"no known way to show its output of type {', '.join(data)}")
        value = data[mime]
        if mime in IMAGE_SUFFIX:
            return mime, self._image(number, mime, value, output, alternative)
        if mime == "text/markdown":
            return mime, value + "\n"
        if mime == "text/html":
            fence = fence_for(value)
            return mime, f"{fence}{{=html}}\n{value}\n{fence}\n"
        if mime == "text/latex":
            return mime, value + "\n"
        return mime, _verbatim(value)

    def _image(self, number: int, mime: str, value: str, output: Node, alternative: str | None) -> str:
        name = self.cell.label or f"cell-{self.cell.number + 1}"
        name = re.sub(r"[^\w-]", "-", name.replace(":", "-"))
        path = f"{self.folder}/{name}-output-{number}.{IMAGE_SUFFIX[mime]}"
        metadata = output.get("metadata", {}).get(mime, {})
        width, height = metadata.get("width"), metadata.get("height")
        if mime == "image/svg+xml" and "<svg" in value:
            content = value.encode("utf-8")
        else:
            content = base64.b64decode(value)
        if mime == "image/png" and self.page.get("fig-format") == "retina" and not width:
            width, height = _half_size(content, self.page.figure_settings[3])
        self.figures[path] = content
        attributes = []
        if width:
            attributes.append(attribute("width", width))
        if height:
            attributes.append(attribute("height", height))
        if alternative is not None:
            attributes.append(attribute("fig-alt", alternative.strip()))
        if "fig-align" in self.cell.options:
            attributes.append(attribute("fig-align", self.cell.options["fig-align"]))
        image = f"![]({path})"
        if attributes:
            image += "{" + " ".join(attributes) + "}"
        if self.cell.options.get("fig-link"):
            image = f"[{image}]({self.cell.options['fig-link']})"
        return image + "\n"


def _wrap(attributes: str, text: str) -> str:
    return f"\n::: {{{attributes}}}\n{text}:::\n"


def _verbatim(text: str) -> str:
    """A plain code block: without terminal colours, carriage returns applied as a terminal does."""
    text = ANSI.sub("", text)
    text = re.sub(r"[^\n]*\r(?!\n)", "", text)
    fence = fence_for(text)
    return f"{fence}\n{text}" + ("" if text.endswith("\n") else "\n") + f"{fence}\n"


def _is_by_product(output: Node, images: bool) -> bool:
    """Whether an output is the text of an object that a plotting call returned.

    Quarto hides these as well: beside a figure any one-line `<...>`, `[...]` or `(...)` text,
    and matplotlib's `Text(0.5, ...)`.
    """
    if output.output_type != "execute_result" or set(output.data) != {"text/plain"}:
        return False
    text = output.data["text/plain"]
    if not images:
        return text.startswith(("[<matplotlib", "<matplotlib", "<seaborn.", "<ggplot:"))
    lines = text.splitlines()
    if len(lines) == 1:
        first = lines[0].strip()
        return bool(re.match(r"^[<(\[].*[>)\]]$", first) or re.match(r"^Text\([-\d]", first))
    return any("<matplotlib." in line for line in lines)


def _half_size(png: bytes, dpi: int) -> tuple[int | None, int | None]:
    """Width and height at which a figure of twice the resolution is shown."""
    width, height = struct.unpack(">II", png[16:24])
    mark = png.find(b"pHYs")
    if mark < 0:
        return None, None
    per_metre = struct.unpack(">I", png[mark + 4 : mark + 8])[0]
    if round(per_metre * 0.0254) != dpi * 2:
        return None, None
    return round(width / 2), round(height / 2)

"""Makes the pages that Quarto rendered work from disk, without network and without an error.

Quarto runs this file after each render (`project: post-render:` in _quarto.yml) with whatever
Python it found, so it needs nothing but the standard library. It sees to eight things:

- Scripts, style sheets and the like from another host are left out. Quarto adds two such scripts
  (requirejs and jquery) to each page that has a cell with HTML output.
- ES modules, which no browser loads from disk, become one ordinary script each.
- A pause (`. . .`) on pages that are not slides, where it means nothing, is left out.
- Code and output on pages that are not slides take the focus, so that keys scroll long lines.
- Cells of tables whose text is Chinese say so, for those who listen.
- The link that skips the navigation stands before it; Quarto puts it after, into the text.
- An image, video or frame from another host is an error, as it is for `python -m render`.
- Beside each link to a notebook stands a badge that opens it on Colab, as `python -m render` has it.

What it has done once it does not do again: a second run changes nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

REMOTE = re.compile(r"\s*(?:https?:)?//", re.IGNORECASE)
# Requirejs's module for jquery, which fails where requirejs itself is not there.
JQUERY_MODULE = re.compile(r"\s*define\(\s*['\"]jquery['\"]")
LOADED_LINKS = frozenset(
    """stylesheet icon apple-touch-icon manifest preload modulepreload prefetch preconnect
    dns-prefetch""".split()
)
SHOWN = {
    "img": ("src", "data-src"),
    "video": ("src", "data-src", "poster"),
    "audio": ("src", "data-src"),
    "source": ("src", "data-src"),
    "iframe": ("src", "data-src"),
    "embed": ("src",),
    "object": ("data",),
}
CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
PAUSE = re.compile(r"<p>\. \. \.</p>\n?")
BACKGROUNDS = ("data-background-image", "data-background-video", "data-background-iframe")


def is_chinese(text: str) -> bool:
    """Whether a text is Chinese, with no letters of another script beside it."""
    return bool(CHINESE.search(text)) and not LATIN.search(text)


class Page(HTMLParser):
    """Where in a page's text the parts are that this script changes.

    Attributes
    ----------
    removals: spans (start, end) of what is left out.
    modules: span and address of each module script.
    blocks: where the attributes begin of each `pre` that the keyboard does not reach.
    chinese: where the attributes begin of each cell of a table whose text is Chinese.
    body: where the content of `body` begins.
    skip_link: the span of the link that skips the navigation.
    remote: addresses of content that another host would have to send.
    """

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=False)
        self.text = text
        self.removals: list[tuple[int, int]] = []
        self.modules: list[tuple[int, int, str]] = []
        self.blocks: list[int] = []
        self.chinese: list[int] = []
        self.body: int | None = None
        self.skip_link: tuple[int, int] | None = None
        self._skip_start: int | None = None
        self._cell: int | None = None
        self.remote: list[str] = []
        self._lines = [0] + [match.end() for match in re.finditer("\n", text)]
        self._script: tuple[int, dict[str, str]] | None = None
        self._code = ""
        self.feed(text)
        self.close()

    def _here(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        start = self._here()
        end = start + len(self.get_starttag_text() or "")
        values = {name: value or "" for name, value in attrs}
        is_cell = tag in ("th", "td") and "lang" not in values
        self._cell = start + len("<th") if is_cell else None
        if tag == "script":
            self._script = (start, values)
            self._code = ""
        elif tag == "body":
            self.body = end
        elif tag == "a" and "skip-link" in values.get("class", "").split():
            self._skip_start = start
        elif tag == "pre" and "tabindex" not in values:
            self.blocks.append(start + len("<pre"))
        elif tag == "link":
            kinds = values.get("rel", "").lower().split()
            if REMOTE.match(values.get("href", "")) and LOADED_LINKS.intersection(kinds):
                self.removals.append((start, end))
        for name in (*SHOWN.get(tag, ()), *BACKGROUNDS):
            if REMOTE.match(values.get(name, "")):
                self.remote.append(values[name])

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self._code += data
        if self._cell is not None and is_chinese(data):
            self.chinese.append(self._cell)

    def handle_endtag(self, tag: str) -> None:
        self._cell = None
        if tag == "a" and self._skip_start is not None:
            self.skip_link = (self._skip_start, self._here() + len("</a>"))
            self._skip_start = None
        if tag != "script" or self._script is None:
            return
        start, values = self._script
        end = self.text.index(">", self._here()) + 1
        self._script = None
        address = values.get("src", "")
        if REMOTE.match(address) or (not address and JQUERY_MODULE.match(self._code)):
            self.removals.append((start, end))
        elif values.get("type", "").lower() == "module" and address:
            self.modules.append((start, end, address))


# Badges -------------------------------------------------------------------------------------

NOTEBOOK_LINK = re.compile(
    r'<a\b[^>]*\bhref="(?P<up>(?:\.\./)*)(?P<path>(?:notebooks|exercises)/[\w.-]+\.ipynb)"[^>]*>'
    r'[^<]*</a>(?! <a class="colab")'
)


def add_badges(text: str, url: str, ref: str) -> str:
    """Put a badge after each link to a notebook of the repository.

    Parameters
    ----------
    text: a page's HTML.
    url: the repository's address on GitHub; without one nothing is added.
    ref: the branch, tag or commit whose notebooks are opened.
    """
    if not url:
        return text
    name = url.rstrip("/").removeprefix("https://github.com/")

    def badge(match: re.Match[str]) -> str:
        address = f"https://colab.research.google.com/github/{name}/blob/{ref}/{match['path']}"
        image = f"{match['up']}assets/images/open-in-colab.svg"
        return (
            f'{match[0]} <a class="colab" href="{address}">'
            f'<img alt="Open the {_kind(match["path"])} in Colab" src="{image}"/></a>'
        )

    return NOTEBOOK_LINK.sub(badge, text)


def _kind(path: str) -> str:
    return "exercise" if path.startswith("exercises/") else "notebook"


def repository(text: str) -> tuple[str, str]:
    """Address and branch of the repository in the text of `_quarto.yml`, "" and "main" if unset."""
    found = {
        match[1]: match[2].strip("\"'")
        for match in re.finditer(r"^\s+repo-(url|branch):\s*(\S+)", text, re.MULTILINE)
    }
    return found.get("url", ""), found.get("branch", "main")


# Modules ------------------------------------------------------------------------------------

_NAME = r"[A-Za-z_$][\w$]*"
IMPORT = re.compile(
    r"^import\s+(?:(?P<what>[^;'\"]+?)\s*from\s*)?['\"](?P<path>[^'\"]+)['\"]\s*;?[ \t]*$", re.MULTILINE
)
EXPORT = re.compile(
    rf"^export\s+(?=(?:async\s+)?(?:function\s*\*?|class|const|let|var)\s+(?P<name>{_NAME}))", re.MULTILINE
)
EXPORT_LIST = re.compile(r"^export\s*\{(?P<names>[^}]*)\}\s*;?[ \t]*$", re.MULTILINE)
NOT_CLASSIC = re.compile(
    r"^(?:import|export)\b|\bimport\s*\(|\bimport\.meta\b|^(?:\S.*[=(]\s*)?await\b", re.MULTILINE
)


class NotConvertibleError(Exception):
    """A module that has no form as an ordinary script."""


class Bundle:
    """A module with all that it imports as one ordinary script.

    Known are imports of local files as a namespace (`* as name`), by names in braces or for
    their effect alone, and named exports; each file becomes a function that returns its exports.

    Raises
    ------
    NotConvertibleError: another form is used, or a file is missing.
    """

    def __init__(self, path: Path) -> None:
        self.main = path
        self.paths: list[Path] = []
        self._pieces: list[str] = []
        self._under_way: list[Path] = []
        self._add(path)
        self.text = (
            f"// {path.name} as an ordinary script, because browsers load no module from disk.\n"
            '(() => {\n"use strict";\n' + "".join(self._pieces) + "})();\n"
        )

    def _add(self, path: Path) -> str:
        """Add a file after what it imports; returns the name of its exports."""
        path = Path(os.path.normpath(path))
        if path in self._under_way:
            raise NotConvertibleError(f"{path.name} imports itself")
        if path not in self.paths:
            try:
                text = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise NotConvertibleError(f"{path.name} cannot be read: {error}") from error
            self._under_way.append(path)
            body, exports = self._convert(text, path)
            self._under_way.pop()
            self.paths.append(path)
            self._pieces.append(
                f"const module{len(self.paths)} = (() => {{\n{body}\n"
                f"return {{{', '.join(exports)}}};\n}})();\n"
            )
        return f"module{self.paths.index(path) + 1}"

    def _convert(self, text: str, path: Path) -> tuple[str, list[str]]:
        exports = [match["name"] for match in EXPORT.finditer(text)]
        for match in EXPORT_LIST.finditer(text):
            for inner, outer in _names(match["names"]):
                exports.append(inner if inner == outer else f"{outer}: {inner}")

        def imported(match: re.Match[str]) -> str:
            if not match["path"].startswith("."):
                raise NotConvertibleError(f"{path.name} imports '{match['path']}'")
            name = self._add(path.parent / match["path"])
            what = (match["what"] or "").strip()
            if not what:
                return ""
            space = re.fullmatch(rf"\*\s*as\s+({_NAME})", what)
            if space:
                return f"const {space[1]} = {name};"
            if what.startswith("{") and what.endswith("}"):
                pairs = [a if a == b else f"{a}: {b}" for a, b in _names(what[1:-1])]
                return f"const {{{', '.join(pairs)}}} = {name};"
            raise NotConvertibleError(f"{path.name} has 'import {what}'")

        text = IMPORT.sub(imported, text)
        text = EXPORT_LIST.sub("", EXPORT.sub("", text))
        unknown = NOT_CLASSIC.search(text)
        if unknown:
            raise NotConvertibleError(f"{path.name} has '{unknown[0].strip()}'")
        return text, exports


def _names(text: str) -> list[tuple[str, str]]:
    """The pairs of `a, b as c`: [("a", "a"), ("b", "c")]."""
    pairs = []
    for each in text.split(","):
        words = each.split()
        if words:
            pairs.append((words[0], words[-1]))
    return pairs


# Pages --------------------------------------------------------------------------------------


def mend(text: str, path: Path) -> tuple[str, dict[Path, str], list[str]]:
    """One page as it works from disk.

    Parameters
    ----------
    text: the page's HTML.
    path: where the page lies; addresses of modules are relative to it.

    Returns
    -------
    The new HTML, the scripts to write beside their modules (text by path), and a sentence for
    each module that had to be left out.

    Raises
    ------
    ValueError: the page shows content from another host.
    """
    page = Page(text)
    if page.remote:
        raise ValueError(
            f"{path} shows {page.remote[0]}, which lies on another host; "
            "pages work without network: keep a copy in the project and show that"
        )
    edits = [(start, end, "") for start, end in page.removals]
    scripts: dict[Path, str] = {}
    said: list[str] = []
    bundles: list[tuple[int, int, str, Bundle]] = []
    for start, end, address in page.modules:
        try:
            module = path.parent / unquote(urlsplit(address).path)
            bundles.append((start, end, address, Bundle(module)))
        except NotConvertibleError as error:
            edits.append((start, end, ""))
            said.append(f"{path.name}: {address} is left out, since {error}")
    for start, end, address, bundle in bundles:
        main = Path(os.path.normpath(bundle.main))
        others = [each for *_, each in bundles if each is not bundle]
        if any(main in each.paths and main != each.paths[-1] for each in others):
            # It runs as a part of the module that imports it.
            edits.append((start, end, ""))
            continue
        name = main.stem + ".classic.js"
        scripts[main.with_name(name)] = bundle.text
        parts = urlsplit(address)
        target = parts.path[: -len(parts.path.rsplit("/", 1)[-1])] + name
        # `defer` keeps a module's time: after the page is read, before DOMContentLoaded.
        edits.append((start, end, f'<script src="{target}" defer></script>'))
    # In slides pandoc has made fragments of them.
    edits += [(*match.span(), "") for match in PAUSE.finditer(text)]
    edits += [(place, place, ' lang="zh"') for place in page.chinese]
    if not path.name.endswith(".slides.html"):
        edits += [(place, place, ' tabindex="0"') for place in page.blocks]
    if page.skip_link and page.body is not None:
        start, end = page.skip_link
        if text[page.body : start].strip():
            edits += [(start, end, ""), (page.body, page.body, text[start:end])]
    for start, end, new in sorted(edits, reverse=True):
        if not new and text[start - 1 : start] == "\n" and text[end : end + 1] == "\n":
            end += 1
        text = text[:start] + new + text[end:]
    return text, scripts, said


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that it is whole at every moment."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8"))
        model = path if path.exists() else path.with_name(path.name.replace(".classic.", "."))
        shutil.copymode(model, name)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read(path: Path) -> str | None:
    """A file's text with its line ends as they are, or None where there is no such file."""
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None


def output_files() -> list[Path]:
    """The files that Quarto has just written.

    Raises
    ------
    ValueError: Quarto did not say which.
    """
    listed = os.environ.get("QUARTO_PROJECT_OUTPUT_FILES")
    if listed is None:
        name = os.environ.get("QUARTO_USE_FILE_FOR_PROJECT_OUTPUT_FILES")
        listed = read(Path(name)) if name else None
    if listed is None:
        raise ValueError("QUARTO_PROJECT_OUTPUT_FILES is not set; `quarto render` runs this file by itself")
    return [Path(line.strip()) for line in listed.splitlines() if line.strip()]


def main() -> int:
    """Mend each page that Quarto has just written; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        for path in output_files():
            text = read(path) if path.suffix == ".html" else None
            if text is None:
                continue
            mended, scripts, said = mend(text, path)
            if not path.name.endswith(".slides.html"):
                mended = add_badges(mended, *repository(read(Path("_quarto.yml")) or ""))
            for each, script in scripts.items():
                if read(each) != script:
                    write_atomically(each, script)
            if mended != text:
                write_atomically(path, mended)
            for sentence in said:
                print(sentence)
    except (ValueError, OSError) as error:
        print(f"render/quarto_post_render.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

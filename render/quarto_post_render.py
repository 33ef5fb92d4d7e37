"""Makes the pages that Quarto rendered work from disk, without network and without an error.

Quarto runs this file after each render (`project: post-render:` in _quarto.yml) with whatever
Python it found, so it needs nothing but the standard library. It sees to ten things:

- Scripts, style sheets and the like from another host are left out. Quarto adds two such scripts
  (requirejs and jquery) to each page that has a cell with HTML output.
- ES modules, which no browser loads from disk, come inside the page, with all that they import.
- A pause (`. . .`) on pages that are not slides, where it means nothing, is left out.
- Code and output on pages that are not slides take the focus, so that keys scroll long lines.
- Cells of tables whose text is Chinese say so, for those who listen, and an image without a text takes its
  caption.
- The link that skips the navigation stands before it; Quarto puts it after, into the text.
- An image, video or frame from another host is an error, as it is for `python -m render`.
- Bold letters in maths are upright, whatever the version of pandoc.
- Beside each link to a notebook stands a badge that opens it on Colab, as `python -m render` has it.

What it has done once it does not do again: a second run changes nothing.
"""

from __future__ import annotations

import base64
import html
import os
import re
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

REMOTE = re.compile(r"\s*(?:https?:)?//", re.IGNORECASE)
# Requirejs's module for jquery, which fails where requirejs itself is not there.
JQUERY_MODULE = re.compile(r"\s*define\(\s*['\"]jquery['\"]")
LOADED_LINKS = set(
    """stylesheet icon apple-touch-icon manifest preload modulepreload prefetch preconnect
    dns-prefetch""".split()
)
# What a page shows, in which attribute of which tags, or of any.
SHOWN = {"src": "img video audio source iframe embed".split(), "poster": ["video"], "data": ["object"]}
SHOWN_BY_ANY = ("data-src", "data-background-image", "data-background-video", "data-background-iframe")
CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
PAUSE = re.compile(r"<p>\. \. \.</p>\n?")


# Bold italic letters of maths, Latin and Greek, as upright ones.
BOLD = {code: code - 0x34 for code in range(0x1D468, 0x1D49C)}
BOLD |= {code: code - 0x74 for code in range(0x1D71C, 0x1D756)}


def even_maths(text: str) -> str:
    """HTML whose `\\boldsymbol{x}` is upright, as pandoc 3.6 has it; 3.9 writes it in italics."""

    def even(match: re.Match[str]) -> str:
        return match[0].translate(BOLD).replace('mathvariant="bold-italic"', 'mathvariant="bold"')

    return re.sub(r"<math\b.*?</math>", even, text, flags=re.DOTALL)


def is_chinese(text: str) -> bool:
    """Whether a text is Chinese, with no letters of another script beside it."""
    return bool(CHINESE.search(text)) and not LATIN.search(text)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is at all times either the old one or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(name, path.stat().st_mode & 0o777 if path.exists() else 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_changed(path: Path, data: bytes) -> bool:
    """Write a file that does not hold the data yet; returns whether that was so."""
    changed = not path.is_file() or path.read_bytes() != data
    if changed:
        write_atomically(path, data)
    return changed


class Page(HTMLParser):
    """A page's text and what is to be changed in it.

    `edits` are (start, end, new text), `remote` the addresses of content that another host would have
    to send, and `said` has a sentence for each module that had to be left out.
    """

    def __init__(self, text: str, path: Path) -> None:
        super().__init__(convert_charrefs=False)
        self.text = text
        self.path = path
        self.is_deck = path.name.endswith(".slides.html")
        self.edits: list[tuple[int, int, str]] = []
        self.remote: list[str] = []
        self.said: list[str] = []
        self._lines = [0] + [match.end() for match in re.finditer("\n", text)]
        self._body: int | None = None
        self._skip_link: int | None = None
        self._images: list[int] = []
        self._caption: str | None = None
        self._cell: int | None = None
        self._script: tuple[int, dict[str, str]] | None = None
        self._code = ""
        self.feed(text)
        self.close()
        # In slides pandoc has made fragments of them.
        self.edits += [(*match.span(), "") for match in PAUSE.finditer(text)]

    def _here(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        start = self._here()
        end = start + len(self.get_starttag_text() or "")
        values = {name: value or "" for name, value in attrs}
        self._cell = start + len("<th") if tag in ("th", "td") and "lang" not in values else None
        if tag == "script":
            self._script = (start, values)
            self._code = ""
        elif tag == "body":
            self._body = end
        elif tag == "a" and "skip-link" in values.get("class", "").split():
            self._skip_link = start
        elif tag == "figure":
            self._images = []
        elif tag == "img" and "alt" not in values:
            self._images.append(start + len("<img"))
        elif tag == "figcaption":
            self._caption = ""
        elif tag == "pre" and "tabindex" not in values and not self.is_deck:
            self.edits.append((start + len("<pre"), start + len("<pre"), ' tabindex="0"'))
        elif tag == "link" and REMOTE.match(values.get("href", "")):
            if LOADED_LINKS.intersection(values.get("rel", "").lower().split()):
                self.edits.append((start, end, ""))
        for name in (*(key for key, tags in SHOWN.items() if tag in tags), *SHOWN_BY_ANY):
            if REMOTE.match(values.get(name, "")):
                self.remote.append(values[name])

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self._code += data
        if self._caption is not None:
            self._caption += data
        if self._cell is not None and is_chinese(data):
            self.edits.append((self._cell, self._cell, ' lang="zh"'))
            self._cell = None

    def handle_entityref(self, name: str) -> None:
        if self._caption is not None:
            self._caption += html.unescape(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.handle_entityref(f"#{name}")

    def handle_endtag(self, tag: str) -> None:
        self._cell = None
        if tag == "figcaption" and self._caption is not None:
            alternative = html.escape(" ".join(self._caption.split(" ")).strip())
            self.edits += [(place, place, f' alt="{alternative}"') for place in self._images if alternative]
            self._images, self._caption = [], None
        if tag == "a" and self._skip_link is not None:
            start, end = self._skip_link, self._here() + len("</a>")
            if self._body is not None and self.text[self._body : start].strip():
                self.edits += [(start, end, ""), (self._body, self._body, self.text[start:end])]
            self._skip_link = None
        if tag == "script" and self._script is not None:
            self._end_script(*self._script)
            self._script = None

    def _end_script(self, start: int, values: dict[str, str]) -> None:
        end = self.text.index(">", self._here()) + 1
        address = values.get("src", "")
        if REMOTE.match(address) or (not address and JQUERY_MODULE.match(self._code)):
            self.edits.append((start, end, ""))
        elif values.get("type", "").lower() == "module" and address and not address.startswith("data:"):
            new = ""
            try:
                inside = module_address(self.path.parent / unquote(urlsplit(address).path))
                new = f'<script type="module" src="{inside}"></script>'
            except ModuleError as error:
                self.said.append(f"{self.path.name}: {address} is left out, since {error}")
            self.edits.append((start, end, new))


IMPORT = re.compile(
    r"^(?P<what>\s*(?:import\s*(?:[\w$*{},\s]+\bfrom\s*)?|export\b[\w$*{},\s]+\bfrom\s*))"
    r"(?P<mark>['\"])(?P<path>[^'\"]+)(?P=mark)",
    re.MULTILINE,
)
OUTSIDE = re.compile(r"\bimport\s*\(|\bimport\.meta\b")


class ModuleError(Exception):
    """A module that cannot come inside a page: it imports a package, say, or asks for its address."""


def module_address(path: Path, importers: tuple[Path, ...] = ()) -> str:
    """A module as a `data:` address, with the addresses of what it imports inside.

    Browsers load such modules from disk too. They know a module by its address, so one that two
    others import still runs once.
    """
    path = Path(os.path.normpath(path))
    if path in importers:
        raise ModuleError(f"{path.name} imports itself")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModuleError(f"{path.name} cannot be read: {error}") from error

    def imported(match: re.Match[str]) -> str:
        if not match["path"].startswith("."):
            raise ModuleError(f"{path.name} imports '{match['path']}'")
        address = module_address(path.parent / match["path"], (*importers, path))
        return f"{match['what']}{match['mark']}{address}{match['mark']}"

    outside = OUTSIDE.search(text)
    if outside:
        raise ModuleError(f"{path.name} has '{outside[0]}'")
    code = IMPORT.sub(imported, text)
    return "data:text/javascript;base64," + base64.b64encode(code.encode("utf-8")).decode("ascii")


NOTEBOOK_LINK = re.compile(
    r'<a\b[^>]*\bhref="(?P<up>(?:\.\./)*)(?P<path>(?:notebooks|exercises)/[\w.-]+\.ipynb)"[^>]*>'
    r'[^<]*</a>(?! <a class="colab")'
)


def add_badges(text: str, url: str, ref: str) -> str:
    """A page's HTML with a badge after each link to a notebook of the repository at `url`, if any.

    `ref` is the branch, tag or commit whose notebooks are opened.
    """
    if not url:
        return text
    name = url.rstrip("/").removeprefix("https://github.com/")

    def badge(match: re.Match[str]) -> str:
        kind = "exercise" if match["path"].startswith("exercises/") else "notebook"
        address = f"https://colab.research.google.com/github/{name}/blob/{ref}/{match['path']}"
        image = f"{match['up']}assets/images/open-in-colab.svg"
        return (
            f'{match[0]} <a class="colab" href="{address}">'
            f'<img alt="Open the {kind} in Colab" src="{image}"/></a>'
        )

    return NOTEBOOK_LINK.sub(badge, text)


def repository(text: str) -> tuple[str, str]:
    """Address and branch of the repository in the text of `_quarto.yml`, "" and "main" if unset."""
    found = dict(re.findall(r"^\s+repo-(url|branch):\s*['\"]?([^\s'\"]+)", text, re.MULTILINE))
    return found.get("url", ""), found.get("branch", "main")


def mend(text: str, path: Path) -> tuple[str, list[str]]:
    """A page's HTML as it works from disk, and a sentence for each module that had to be left out.

    A ValueError tells that the page shows content from another host.
    """
    page = Page(text, path)
    if page.remote:
        raise ValueError(
            f"{path} shows {page.remote[0]}, which lies on another host; "
            "pages work without network: keep a copy in the project and show that"
        )
    for start, end, new in sorted(page.edits, reverse=True):
        if not new and text[start - 1 : start] == "\n" and text[end : end + 1] == "\n":
            end += 1
        text = text[:start] + new + text[end:]
    return even_maths(text), page.said


def output_files() -> list[Path]:
    """The files that Quarto has just written; a ValueError where it did not say which."""
    listed = os.environ.get("QUARTO_PROJECT_OUTPUT_FILES")
    if name := os.environ.get("QUARTO_USE_FILE_FOR_PROJECT_OUTPUT_FILES"):
        listed = Path(name).read_text(encoding="utf-8")
    if listed is None:
        raise ValueError("QUARTO_PROJECT_OUTPUT_FILES is not set; `quarto render` runs this file by itself")
    return [Path(line.strip()) for line in listed.splitlines() if line.strip()]


def main() -> int:
    """Mend each page that Quarto has just written; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    config = Path("_quarto.yml")
    try:
        address = repository(config.read_text(encoding="utf-8") if config.is_file() else "")
        for path in output_files():
            if path.suffix != ".html" or not path.is_file():
                continue
            text = path.read_bytes().decode("utf-8")  # with its line ends as they are
            mended, said = mend(text, path)
            if not path.name.endswith(".slides.html"):
                mended = add_badges(mended, *address)
            write_changed(path, mended.encode("utf-8"))
            for sentence in said:
                print(sentence)
    except (ValueError, OSError) as error:
        print(f"render/quarto_post_render.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

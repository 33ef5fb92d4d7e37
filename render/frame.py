"""What leads through the course, on pages of both engines: top bar, lectures, downloads, PDFs, search.

The HTML is in `templates/frame.html`. What scripts read is written as scripts, since a page on the disk may
read no other file. Badges lead to Colab, whose address comes from `website: repo-url` and `repo-branch` in
the settings alone: a release's tag, so that a hand-out given to students today still meets the helpers and
the data that it was written for next year.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

import jinja2
import yaml
from bs4 import BeautifulSoup

from .files import write_changed
from .project import Project

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, trim_blocks=True
)
# What an engine or an earlier run has put there, and the place before which each part stands.
OLD = re.compile(
    r'<header [^>]*id="quarto-header".*?</header>\s*'
    r'|<nav class="(?:lecture-links|pager|deck-links)".*?</nav>\s*| <a class="pdf".*?</a>',
    re.DOTALL,
)
PLACES = {
    "top_bar": r'<div\b[^>]* id="quarto-content"',
    "lecture_links": r"</header>(?!.*<main\b)",  # of the title
    "pager": "</main>",
    "deck_links": '<div class="reveal"',
}
NOTEBOOK = re.compile(
    r'<a (?![^>]*\bdownload=)(?=[^>]*\bhref="(?:\.\./)*(exercise|notebook)s/([\w.-]+\.ipynb)")'
)
BADGE = "assets/images/open-in-colab.svg"
NOTEBOOK_LINK = re.compile(
    r'<a\b[^>]*\bhref="(?P<up>(?:\.\./)*)(?P<path>(?:notebooks|exercises)/[\w.-]+\.ipynb)"[^>]*>'
    r'[^<]*</a>(?! <a class="colab")'
)
SLIDES = re.compile(r'<a\b[^>]* href="((?:\.\./)*)lectures/([\w.-]+\.slides)\.html"[^>]*>[^<]*</a>')
UNREAD = "script, style, nav, annotation, .hidden, .notes, .screen-reader-only, a[class*=anchor]"
BLOCKS = "p, li, pre, td, th, dt, dd, figcaption, div, h1, h2, h3, h4"


@dataclass(frozen=True)
class Repository:
    """The published repository: its address on GitHub, and the branch, tag or commit to use."""

    url: str
    ref: str

    @classmethod
    def of(cls, project: Project) -> Repository:
        """Read the address, which must be on GitHub: there Colab opens notebooks from."""
        url = str(project.website.get("repo-url") or "").rstrip("/").removesuffix(".git")
        if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", url):
            message = f"`website: repo-url` must be https://github.com/<owner>/<name>, but is {url!r}"
            raise project.problem(message, "website", "repo-url")
        return cls(url, str(project.website.get("repo-branch") or "main"))

    def colab(self, path: str) -> str:
        """The address that opens a notebook of the repository on Colab."""
        path = self.url.removeprefix("https://github.com/") + f"/blob/{self.ref}/{path}"
        return "https://colab.research.google.com/github/" + quote(path)

    def add_badges(self, text: str) -> str:
        """A page's HTML with a badge after each link to a notebook; a second time changes nothing."""

        def badge(match: re.Match[str]) -> str:
            kind = "exercise" if match["path"].startswith("exercises/") else "notebook"
            image = f'<img alt="Open the {kind} in Colab" src="{match["up"]}{BADGE}"/>'
            return f'{match[0]} <a class="colab" href="{self.colab(match["path"])}">{image}</a>'

        return NOTEBOOK_LINK.sub(badge, text)


class Frame:
    """The lectures of a project, and the printed decks, as they are now."""

    def __init__(self, project: Project):
        self.project, self.out = project, project.output_folder
        self.pdfs = sorted(path.stem for path in (self.out / "handouts").glob("*.slides.pdf"))

    @cached_property
    def lectures(self) -> dict[str, str]:
        """The title of each lecture by the name of its file, in their order."""
        pages = [path for path in self.project.pages() if path.parent.name == "lectures"]
        fronts = {path.stem: path.read_text(encoding="utf-8-sig").split("\n---", 1)[0] for path in pages}
        titles = {name: re.search(r"^title:.+$", front, re.MULTILINE) for name, front in fronts.items()}
        return {
            name: str(yaml.safe_load(line[0])["title"]) if line else name for name, line in titles.items()
        }

    def add(self, text: str, output: str) -> str:
        """The HTML of the page at `output` with all that leads on; a second time changes nothing."""
        is_deck = output.endswith(".slides.html")
        values = {"project": self.project, "lectures": list(self.lectures.items()), "output": output}
        names = list(self.lectures)
        name = Path(output).name.split(".", 1)[0]
        values["here"] = names.index(name) if output.startswith("lectures/") and name in names else None
        parts = TEMPLATES.get_template("frame.html").make_module(values)
        text = OLD.sub("", text)
        for part, place in PLACES.items():
            made = str(getattr(parts, part)()).lstrip() if is_deck == (part == "deck_links") else ""
            text = re.sub(place, lambda match, made=made: made + match[0], text, count=1, flags=re.DOTALL)

        def with_pdf(link: re.Match[str]) -> str:
            has_pdf = not is_deck and link[2] in self.pdfs
            return link[0] + (f' <a class="pdf" href="{link[1]}handouts/{link[2]}.pdf">PDF</a>' * has_pdf)

        text = SLIDES.sub(with_pdf, NOTEBOOK.sub(r'<a download="\1-\2" ', text))
        has_badges = self.project.website.get("repo-url") and not is_deck
        return Repository.of(self.project).add_badges(text) if has_badges else text

    def write_data(self) -> None:
        """Write what the search looks through, and each notebook to be downloaded from a disk."""
        rows = []
        for path in self.project.pages():
            name = path.relative_to(self.project.root).with_suffix(".html").as_posix()
            if (self.out / name).is_file():
                rows += sections((self.out / name).read_text(encoding="utf-8"), name)
        for path in sorted(self.out.glob("*/*.ipynb")):
            text = path.read_text(encoding="utf-8")
            write_changed(
                path.with_name(f"{path.name}.js"), f"courseNotebook({json.dumps(text)});\n".encode()
            )
        if lines := ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows):
            write_changed(self.out / "search-index.js", f"courseSearch([\n{lines}\n]);\n".encode())


def sections(text: str, name: str) -> list[list[str]]:
    """Address, title of the page, heading and text of each section of the page `name`."""
    main = BeautifulSoup(text, "lxml").main
    for each in main.select(UNREAD):
        each.decompose()
    for each in main.select(BLOCKS):
        each.append(" ")
    rows, title = [], " ".join(main.h1.get_text().split()) if main.h1 else name
    # From the last to the first: what lies inside is taken out before what it lies in.
    for part in [*reversed(main.select("section[id]")), main]:
        heading = part.extract().find(re.compile("^h[1-6]$"))
        words = " ".join(heading.extract().get_text().split()) if heading else ""
        address = f"{name}#{part['id']}" if part is not main else name
        rows.append([address, title, words, " ".join(part.get_text().split())])
    return rows[::-1]

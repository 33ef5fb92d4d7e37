"""What differs between two built sites, as a reader would see it.

    python -m tests.compare_sites SITE_A SITE_B [--only WORD]

Each deck is read slide by slide and each page section by section: title, text, code, outputs,
figures, tables, callouts, footers, speaker notes. Differences are printed one a line, and the
exit status is 1 where there are any.
"""

from __future__ import annotations

import argparse
import copy
import difflib
import hashlib
import os
import re
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from bs4 import BeautifulSoup, NavigableString, Tag

# What a page has besides its content: buttons, marks and repeated links of either engine.
FURNITURE = (
    "script, style, button, nav, .anchorjs-link, a.code-annotation-anchor, "
    ".code-annotation-gutter, .code-annotation-gutter-bg, .callout-icon-container, .footnote-back, "
    ".screen-reader-only, annotation, .quarto-title-meta-heading, .section-outline"
)
# The ways to the rest of the course.
AROUND = "a.skip-link, :is(#quarto-header, nav.lecture-links, nav.pager, nav.deck-links) a[href]"
# The end of a page, which belongs to the page as a whole.
OWN_SECTIONS = ("doc-bibliography", "doc-endnotes")
# The file that a warning names: its number is that of the process.
PROCESS = re.compile(r"\bipykernel_\d+")
# Links to a line of code and those of tab panels, which each engine numbers in its own way.
NUMBERED = re.compile(r"#?(?:cb|annotated-cell-|tabset-)\d+-\d+|")
# Ids that differ in each run, inside of a drawing.
DRAWING_IDS = re.compile(r"\b[A-Za-z]+[0-9]*_?[0-9a-f]{10}\b|<dc:date>[^<]*</dc:date>|image[0-9a-f]+")


@dataclass(frozen=True)
class Part:
    """One slide, or one section of a page without the sections inside it.

    Attributes
    ----------
    level: of the heading; 1 for the title slide.
    text: all that is read, in order, with single spaces.
    code, outputs: the text of each, line by line.
    figures: description and content of each picture.
    tables: the cells of each row of each table.
    callouts: kind, title and text of each.
    footers: the slide's own footer.
    notes: the speaker notes.
    looks: the classes and backgrounds that change how the slide looks.
    steps: how many fragments the slide has.
    links: where each link leads.
    """

    title: str
    level: int
    text: str
    code: tuple[str, ...]
    outputs: tuple[str, ...]
    figures: tuple[str, ...]
    tables: tuple[str, ...]
    callouts: tuple[str, ...]
    footers: tuple[str, ...]
    notes: tuple[str, ...]
    looks: tuple[str, ...]
    steps: int
    links: tuple[str, ...]


LOOKS = ("smaller", "scrollable", "center", "output-location-slide")


def words(element: Tag) -> str:
    """The text of an element with single spaces; MathML without its TeX source and invisible signs."""
    pieces = []
    for piece in element.descendants:
        if isinstance(piece, Tag):
            # The end of a block separates words even where no space is written.
            if piece.name in BLOCKS:
                pieces.append(" ")
        elif type(piece) is NavigableString:
            pieces.append(piece)
    # Newer pandocs write one after `\exp` and its like (texmath 0.12.9 and later); nobody sees it.
    text = " ".join("".join(pieces).replace("\N{FUNCTION APPLICATION}", "").split())
    return PROCESS.sub("ipykernel_N", re.sub(r"\s+(?=[.,;:)])", "", text))


BLOCKS = frozenset(
    """address article aside blockquote br caption dd details div dl dt figcaption figure footer
    h1 h2 h3 h4 h5 h6 header hr li main math ol p pre section summary table tbody td th thead tr
    ul""".split()
)


def lines(element: Tag) -> str:
    """The text of a block of code or output, without spaces at the ends of lines."""
    text = element.get_text().replace("\N{NO-BREAK SPACE}", " ")
    text = "\n".join(line.rstrip() for line in text.strip("\n").split("\n"))
    return PROCESS.sub("ipykernel_N", text)


def picture(image: Tag, page: Path) -> str:
    """Description and content of an image; ids that differ in each run do not count."""
    address = image.get("src") or image.get("data-src") or ""
    path = page.parent / unquote(urlsplit(address).path)
    if address.startswith("data:"):
        content = address.encode()
    elif path.is_file():
        content = path.read_bytes()
    else:
        return f"{image.get('alt')!r}, missing: {address}"
    if path.suffix == ".svg":
        content = DRAWING_IDS.sub("", content.decode("utf-8")).encode()
    digest = hashlib.sha256(content).hexdigest()[:12]
    return f"{image.get('alt')!r}, {path.suffix.lstrip('.')} {digest}"


def _target(address: str, page: Path) -> str:
    """Where a link leads, however its way there is written: ./b.html, ../folder/b.html."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc or not parts.path:
        return address
    folder = page.parent.name
    path = os.path.relpath(os.path.join(folder, unquote(parts.path)), folder)
    return urlunsplit(parts._replace(path=Path(path).as_posix()))


def read_part(element: Tag, page: Path, level: int) -> Part:
    """One slide or section; what lies in an inner section is not part of it."""
    own = copy.copy(element)
    for inner in own.find_all("section"):
        if not inner.decomposed and inner.get("role") not in OWN_SECTIONS:
            inner.decompose()
    notes = [each.extract() for each in own.select(".notes")]
    footers = [each.extract() for each in own.select("div.footer")]
    for each in own.select(FURNITURE):
        if not each.decomposed:
            each.decompose()
    heading = own.find(["h1", "h2", "h3", "h4", "h5", "h6"])
    code = [each for each in own.select("pre code") if not each.find_parent(class_="cell-output")]
    outputs = own.select(".cell-output pre")
    callouts = []
    for each in own.select("div.callout"):
        kind = [name for name in each["class"] if re.fullmatch("callout-[a-z]+", name)]
        kind = [name for name in kind if name not in ("callout-titled", "callout-style-default")]
        callouts.append(" ".join([*sorted(kind)[:1], words(each)]))
    links = []
    for each in own.select("a[href]"):
        target = each["href"]
        if not NUMBERED.fullmatch(target):
            links.append(_target(target, page))
    looks = [name for name in LOOKS if name in element.get("class", [])]
    looks += sorted(
        f"{name}={value}"
        for name, value in element.attrs.items()
        if name.startswith("data-background") or name == "data-auto-animate"
    )
    return Part(
        title=words(heading) if heading else "",
        level=level,
        text=words(own),
        code=tuple(lines(each) for each in code),
        outputs=tuple(lines(each) for each in outputs),
        figures=tuple(picture(each, page) for each in own.find_all("img")),
        tables=tuple(
            " | ".join(words(cell) for cell in row.find_all(["td", "th"])) for row in own.find_all("tr")
        ),
        callouts=tuple(callouts),
        footers=tuple(words(each) for each in footers),
        notes=tuple(words(each) for each in notes),
        looks=tuple(looks),
        steps=len(own.select(".fragment")),
        links=tuple(links),
    )


def read_page(path: Path) -> list[Part]:
    """The slides of a deck, or the sections of a page, in order."""
    soup = BeautifulSoup(path.read_text(encoding="utf-8"), "lxml")
    slides = soup.select_one("div.reveal > div.slides")
    if slides is not None:
        found = [each for each in slides.find_all("section") if each.find("section") is None]
        parts = [read_part(each, path, 1 if each.find("h1") else 2) for each in found]
        usual = [words(each) for each in soup.select("div.footer-default")]
        links = tuple(each["href"] for each in soup.select(AROUND))
        return [*parts, _whole("the footer of every slide", footers=tuple(usual), links=links)]
    main = soup.find("main")
    if main is None:
        raise ValueError(f"{path} has no <main>")
    parts = [read_part(main, path, 0)]
    for section in main.find_all("section"):
        names = " ".join(section.get("class", []))
        level = re.search(r"\blevel(\d)\b", names)
        if level:
            parts.append(read_part(section, path, int(level[1])))
    contents = soup.select_one("nav#TOC > ul")
    parts.append(
        _whole(
            "the page around the text",
            text=words(contents) if contents else "",
            links=tuple(f"{words(each)}: {each['href'].removeprefix('./')}" for each in soup.select(AROUND)),
            footers=tuple(words(each) for each in soup.select(".nav-footer-center")),
        )
    )
    return parts


def _whole(title: str, **values: object) -> Part:
    empty = {"text": "", "level": 0, "steps": 0}
    return Part(**{each.name: empty.get(each.name, ()) for each in fields(Part)} | {"title": title} | values)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 300 else text[:300] + " ..."


def _difference(one: object, other: object) -> str:
    if isinstance(one, str) and isinstance(other, str):
        matcher = difflib.SequenceMatcher(None, one, other, autojunk=False)
        pieces = []
        for kind, a, b, c, d in matcher.get_opcodes():
            if kind != "equal":
                pieces.append(f"...{one[max(a - 20, 0) : a]}[{one[a:b]} / {other[c:d]}]")
        return _shown("; ".join(pieces))
    if isinstance(one, tuple) and isinstance(other, tuple):
        gone = [each for each in one if each not in other]
        fresh = [each for each in other if each not in one]
        if len(gone) == len(fresh) == 1 and isinstance(gone[0], str):
            return _difference(gone[0], fresh[0])
        if gone or fresh:
            return f"only in A: {_shown(gone)}; only in B: {_shown(fresh)}"
        return f"order or number: {_shown(one)} / {_shown(other)}"
    return f"{one!r} / {other!r}"


def compare_pages(one: Path, other: Path) -> list[str]:
    """The differences between two renderings of one page, as sentences."""
    first = read_page(one)
    second = read_page(other)
    titles = [part.title for part in first], [part.title for part in second]
    problems = []
    matcher = difflib.SequenceMatcher(None, *titles, autojunk=False)
    pairs = []
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            pairs += zip(range(a, b), range(c, d), strict=True)
            continue
        for number in range(a, b):
            problems.append(f'{one.name}: only A has part {number + 1} "{titles[0][number]}"')
        for number in range(c, d):
            problems.append(f'{one.name}: only B has part {number + 1} "{titles[1][number]}"')
    for a, b in pairs:
        for each in fields(Part):
            left, right = getattr(first[a], each.name), getattr(second[b], each.name)
            if left != right:
                problems.append(
                    f'{one.name}, part {a + 1} "{titles[0][a]}", {each.name}: ' + _difference(left, right)
                )
    return problems


def compare_sites(one: Path, other: Path, only: str = "") -> list[str]:
    """The differences between two sites: pages and figures that one lacks, then each page."""
    names = [
        {
            path.relative_to(site).as_posix()
            for path in site.rglob("*")
            if path.suffix in (".html", ".svg", ".png", ".jpeg")
            and "site_libs" not in path.relative_to(site).parts
        }
        for site in (one, other)
    ]
    problems = [f"only A has {name}" for name in sorted(names[0] - names[1])]
    problems += [f"only B has {name}" for name in sorted(names[1] - names[0])]
    for name in sorted(names[0] & names[1]):
        if name.endswith(".html") and only in name:
            problems += compare_pages(one / name, other / name)
    return problems


def main() -> int:
    """Read the command line, print the differences; the exit status is 1 where there are any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sites", type=Path, nargs=2, metavar="SITE", help="a built site")
    parser.add_argument("--only", default="", help="only pages whose path holds this word")
    options = parser.parse_args()
    for site in options.sites:
        if not (site / "index.html").is_file():
            parser.error(f"{site} holds no index.html")
    problems = compare_sites(*options.sites, only=options.only)
    for problem in problems:
        print(problem)
    if not problems:
        counts = [
            f"{path.relative_to(options.sites[0]).as_posix()}: {len(read_page(path)) - 1}"
            for path in sorted(options.sites[0].rglob("*.html"))
            if "site_libs" not in path.parts and options.only in path.as_posix()
        ]
        print("No difference. Slides or sections compared: " + ", ".join(counts))
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())

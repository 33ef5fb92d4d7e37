"""Hand-outs: one PDF per deck, and one of all notes.

    python -m render pdf [--site _site] [--out _site/handouts]

A headless browser prints the built pages. Fragments are shown, figures stay vectors, fonts are
embedded, and headings become bookmarks. Each deck's PDF has exactly one page for each slide.
"""

from __future__ import annotations

import io
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .browser import NoBrowserError, open_browser
from .project import Project
from .qmd import RenderError
from .quarto_post_render import write_atomically
from .site import shown_path

# The notes of all lectures in one file, which has a bookmark for each.
NOTES = "notes.pdf"
PRINTING = {"prefer_css_page_size": True, "print_background": True, "tagged": True, "outline": True}
PAGES = """@page {
  size: A4;
  margin: 18mm 18mm 20mm;
  @bottom-center {
    content: "TITLE · " counter(page);
    font: 7pt "Course Sans", sans-serif;
    color: #52606d;
  }
}"""
# A link to a neighbouring file would carry the folder of this machine into the hand-out, so it
# becomes plain text. A link to a slide (`#/name`) leads to its page.
SETTLE = """async () => {
    for (const link of document.querySelectorAll("a[href]")) {
        const written = link.getAttribute("href");
        if (written.startsWith("#/")) link.setAttribute("href", "#" + written.slice(2));
        else if (!written.startsWith("#") && link.protocol === "file:") link.removeAttribute("href");
    }
    for (const folded of document.querySelectorAll("main details")) folded.open = true;
    const images = [...document.querySelectorAll("img")];
    for (const image of images) image.loading = "eager";
    await Promise.all(images.map((image) => image.decode().catch(() => null)));
    await document.fonts.ready;
    return images.filter((image) => !image.naturalWidth).map((image) => image.src);
}"""


@contextmanager
def _tab(browser: Any, **options: Any) -> Iterator[Any]:
    """A new tab in a context of its own, closed at the end."""
    context = browser.new_context(**options)
    try:
        yield context.new_page()
    finally:
        context.close()


def _settle(tab: Any, page: Path) -> None:
    """Wait for fonts and pictures, open folded code in notes, and mend links."""
    missing = tab.evaluate(SETTLE)
    if missing:
        raise RenderError(f"the image {missing[0].rsplit('/', 1)[-1]} is missing", page.name)


def deck_pdf(browser: Any, page: Path) -> tuple[bytes, int]:
    """A deck as PDF with one page per slide, and the number of its slides.

    A RenderError tells that the deck did not start, that an image of it is missing, or that a slide
    takes more or less than one page.
    """
    from playwright.sync_api import TimeoutError as TooLate

    with _tab(browser, viewport={"width": 1280, "height": 720}, reduced_motion="reduce") as tab:
        try:
            # reveal.js lays the slides out on pages and then says so.
            tab.add_init_script("addEventListener('pdf-ready', () => { window.laidOut = true; });")
            tab.goto(page.resolve().as_uri() + "?print-pdf", wait_until="load")
            tab.wait_for_function("window.laidOut", timeout=60_000)
        except TooLate:
            raise RenderError("the deck did not start in the browser", page.name) from None
        _settle(tab, page)
        slides = tab.evaluate("Reveal.getTotalSlides()")
        data = tab.pdf(**PRINTING)
    pages = len(_reader(data).pages)
    if pages != slides:
        message = f"{slides} slides make {pages} pages: a slide does not fit its page; `make test` names it"
        raise RenderError(message, page.name)
    return data, slides


def notes_pdf(browser: Any, page: Path) -> bytes:
    """A page of notes as PDF on A4, with page numbers; a RenderError where an image is missing."""
    with _tab(browser, viewport={"width": 1000, "height": 1400}, color_scheme="light") as tab:
        tab.goto(page.resolve().as_uri(), wait_until="load")
        _settle(tab, page)
        # A header or footer template knows the system's fonts only; a margin box knows the page's.
        title = " ".join(tab.title().split()).replace("\\", "\\\\").replace('"', '\\"')
        tab.add_style_tag(content=PAGES.replace("TITLE", title))
        tab.emulate_media(media="print")
        tab.evaluate("document.fonts.ready.then(() => null)")
        return tab.pdf(**PRINTING)


def _reader(data: bytes) -> Any:
    from pypdf import PdfReader

    return PdfReader(io.BytesIO(data))


def join(parts: list[tuple[str, bytes]], title: str) -> bytes:
    """PDFs, given with a bookmark for each, one after the other; their own bookmarks go below it."""
    from pypdf import PdfWriter

    writer = PdfWriter()
    for bookmark, data in parts:
        writer.append(_reader(data), outline_item=bookmark)
    writer.add_metadata({"/Title": title})
    # Each part brings the same fonts.
    writer.compress_identical_objects(remove_duplicates=True, remove_unreferenced=True)
    output = io.BytesIO()
    writer.write(output)
    return output.getvalue()


def command(project: Project, parser: ArgumentParser, arguments: list[str]) -> int:
    """Make the hand-outs of a built site."""
    parser.add_argument("--site", type=Path, help="the built site (default: that of the project)")
    parser.add_argument("--out", type=Path, help="where the PDFs go (default: handouts/ in it)")
    options = parser.parse_args(arguments)
    site = options.site or project.output_folder
    out = options.out or site / "handouts"
    decks = sorted(site.glob("lectures/*.slides.html"))
    if not decks:
        raise RenderError(f"{site} holds no lecture; run `make slides` first")
    started = time.perf_counter()
    notes, names = [], {NOTES}
    try:
        with open_browser() as browser:
            for deck in decks:
                began = time.perf_counter()
                data, slides = deck_pdf(browser, deck)
                name = deck.with_suffix(".pdf").name
                names.add(name)
                write_atomically(out / name, data)
                page = deck.with_name(deck.name.replace(".slides.html", ".html"))
                if page.is_file():
                    printed = notes_pdf(browser, page)
                    title = (_reader(printed).metadata or {}).get("/Title") or page.stem
                    notes.append((str(title).split(" – ")[0], printed))
                seconds = time.perf_counter() - began
                print(f"{name} ... {slides} slides, {len(data) / 1e6:.1f} MB, {seconds:.1f} s", flush=True)
    except NoBrowserError as error:
        raise RenderError(str(error)) from None
    joined = join(notes, str(project.website.get("title") or "Notes"))
    write_atomically(out / NOTES, joined)
    print(f"{NOTES} ... {len(_reader(joined).pages)} pages, {len(joined) / 1e6:.1f} MB")
    for path in sorted(out.glob("*.pdf")):
        if path.name not in names:
            path.unlink()
            print(f"removed {path.name}, whose lecture is gone")
    print(f"Done in {time.perf_counter() - started:.1f} s. Look in {shown_path(out)}")
    return 0

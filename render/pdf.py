"""Hand-outs: one PDF per deck, and one of all notes.

    python -m render pdf [--site _site] [--out _site/handouts]

A headless browser prints the built pages. Fragments are shown, figures stay vectors, fonts are
embedded, and headings become bookmarks. Each deck's PDF has exactly one page for each slide.
"""

from __future__ import annotations

import argparse
import io
import time
from pathlib import Path

from .dependencies import write_atomically
from .errors import RenderError
from .project import Project

# The notes of all lectures in one file, which has a bookmark for each.
NOTES = "notes.pdf"
SECOND = 1000  # milliseconds
PAGES = """@page {
  size: A4;
  margin: 18mm 18mm 20mm;
  @bottom-center {
    content: "TITLE · " counter(page);
    font: 7pt "Course Sans", sans-serif;
    color: #52606d;
  }
}"""


def deck_pdf(browser, page: Path) -> tuple[bytes, int]:
    """A deck as PDF with one page per slide, and the number of its slides.

    Parameters
    ----------
    browser: a Playwright browser.
    page: the deck, an HTML file with reveal.js.

    Raises
    ------
    RenderError: the deck did not start, an image of it is missing, or a slide takes more or
        less than one page.
    """
    from playwright.sync_api import TimeoutError as TooLate

    context = browser.new_context(viewport={"width": 1280, "height": 720}, reduced_motion="reduce")
    try:
        tab = context.new_page()
        try:
            # reveal.js lays the slides out on pages and then says so.
            tab.add_init_script("addEventListener('pdf-ready', () => { window.laidOut = true; });")
            tab.goto(page.resolve().as_uri() + "?print-pdf", wait_until="load")
            tab.wait_for_function("window.laidOut", timeout=60 * SECOND)
        except TooLate:
            raise RenderError("the deck did not start in the browser", page.name) from None
        _settle(tab, page)
        slides = tab.evaluate("Reveal.getTotalSlides()")
        data = tab.pdf(prefer_css_page_size=True, print_background=True, tagged=True, outline=True)
    finally:
        context.close()
    pages = _pages(data)
    if pages != slides:
        raise RenderError(
            f"{slides} slides make {pages} pages: a slide does not fit its page; `make test` names it",
            page.name,
        )
    return data, slides


def notes_pdf(browser, page: Path) -> bytes:
    """A page of notes as PDF on A4, with page numbers.

    Raises
    ------
    RenderError: an image of the page is missing.
    """
    context = browser.new_context(viewport={"width": 1000, "height": 1400}, color_scheme="light")
    try:
        tab = context.new_page()
        tab.goto(page.resolve().as_uri(), wait_until="load")
        _settle(tab, page)
        # A header or footer template knows the system's fonts only; a margin box knows the page's.
        title = " ".join(tab.title().split()).replace("\\", "\\\\").replace('"', '\\"')
        tab.add_style_tag(content=PAGES.replace("TITLE", title))
        tab.emulate_media(media="print")
        tab.evaluate("document.fonts.ready.then(() => null)")
        return tab.pdf(prefer_css_page_size=True, print_background=True, tagged=True, outline=True)
    finally:
        context.close()


def _settle(tab, page: Path) -> None:
    """Wait for fonts and pictures, open folded code in notes, and mend links.

    A link to a neighbouring file would carry the folder of this machine into the hand-out, so it
    becomes plain text. A link to a slide (`#/name`) leads to its page.
    """
    missing = tab.evaluate(
        """async () => {
            for (const link of document.querySelectorAll("a[href]")) {
                const written = link.getAttribute("href");
                if (written.startsWith("#/")) link.setAttribute("href", "#" + written.slice(2));
                else if (!written.startsWith("#") && link.protocol === "file:")
                    link.removeAttribute("href");
            }
            for (const folded of document.querySelectorAll("main details")) folded.open = true;
            const images = [...document.querySelectorAll("img")];
            for (const image of images) image.loading = "eager";
            await Promise.all(images.map((image) => image.decode().catch(() => null)));
            await document.fonts.ready;
            return images.filter((image) => !image.naturalWidth).map((image) => image.src);
        }"""
    )
    if missing:
        raise RenderError(f"the image {missing[0].rsplit('/', 1)[-1]} is missing", page.name)


def _pages(data: bytes) -> int:
    from pypdf import PdfReader

    return len(PdfReader(io.BytesIO(data)).pages)


def _title(data: bytes, page: Path) -> str:
    from pypdf import PdfReader

    found = PdfReader(io.BytesIO(data)).metadata
    return str(found.title).split(" – ")[0] if found and found.title else page.stem


def join(parts: list[tuple[str, bytes]], title: str) -> bytes:
    """PDFs one after the other, with a bookmark for each and its own bookmarks below it.

    Parameters
    ----------
    parts: bookmark and content of each.
    """
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter()
    for bookmark, data in parts:
        writer.append(PdfReader(io.BytesIO(data)), outline_item=bookmark)
    writer.add_metadata({"/Title": title})
    # Each part brings the same fonts.
    writer.compress_identical_objects(remove_duplicates=True, remove_unreferenced=True)
    output = io.BytesIO()
    writer.write(output)
    return output.getvalue()


def command(arguments: list[str]) -> int:
    """Make the hand-outs of a built site; the exit status is 0, or 1 where nothing is built."""
    parser = argparse.ArgumentParser(
        prog="python -m render pdf", description="One PDF per deck and one of all notes, from the built site."
    )
    parser.add_argument("--site", type=Path, help="the built site (default: that of the project)")
    parser.add_argument("--out", type=Path, help="where the PDFs go (default: handouts/ in it)")
    options = parser.parse_args(arguments)
    from .__main__ import find_root
    from .browser import NoBrowserError, open_browser
    from .site import relative

    project = Project.load(find_root(Path.cwd()))
    site = options.site or project.output_folder
    out = options.out or site / "handouts"
    decks = sorted(site.glob("lectures/*.slides.html"))
    if not decks:
        raise RenderError(f"{site} holds no lecture; run `make slides` first")
    started = time.perf_counter()
    made = {}
    notes = []
    try:
        with open_browser() as browser:
            for deck in decks:
                began = time.perf_counter()
                stem = deck.name.removesuffix(".html")
                made[f"{stem}.pdf"], slides = deck_pdf(browser, deck)
                write_atomically(out / f"{stem}.pdf", made[f"{stem}.pdf"])
                page = deck.with_name(deck.name.replace(".slides.html", ".html"))
                if page.is_file():
                    data = notes_pdf(browser, page)
                    notes.append((_title(data, page), data))
                print(
                    f"{stem}.pdf ... {slides} slides, {len(made[f'{stem}.pdf']) / 1e6:.1f} MB, "
                    f"{time.perf_counter() - began:.1f} s",
                    flush=True,
                )
    except NoBrowserError as error:
        raise RenderError(str(error)) from None
    made[NOTES] = join(notes, str(project.website.get("title") or "Notes"))
    write_atomically(out / NOTES, made[NOTES])
    print(f"{NOTES} ... {_pages(made[NOTES])} pages, {len(made[NOTES]) / 1e6:.1f} MB")
    for path in sorted(out.glob("*.pdf")):
        if path.name not in made:
            path.unlink()
            print(f"removed {path.name}, whose lecture is gone")
    print(f"Done in {time.perf_counter() - started:.1f} s. Look in {relative(out)}")
    return 0

"""Hand-outs: one PDF per deck, and one of all notes.

    python -m tools.pdf

A headless browser prints the built pages. Fragments are shown, figures stay vectors, fonts are
embedded, and headings become bookmarks. Each deck's PDF has exactly one page for each slide.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from render.__main__ import run_command
from render.files import shown_path, write_atomically
from render.project import Project
from render.qmd import RenderError
from tools.browser import open_browser

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


def _settle(tab: Any, page: Path) -> None:
    """Wait for fonts and pictures, open folded code in notes, and mend links."""
    if missing := tab.evaluate(SETTLE):
        raise RenderError(f"the image {missing[0].rsplit('/', 1)[-1]} is missing", page.name)


def deck_pdf(browser: Any, page: Path) -> tuple[bytes, int]:
    """A deck as PDF with one page per slide, and the number of its slides.

    A RenderError tells that an image of it is missing, or that a slide takes more or less than one page.
    """
    with browser.new_page(viewport={"width": 1280, "height": 720}, reduced_motion="reduce") as tab:
        # reveal.js lays the slides out on pages and then says so.
        tab.add_init_script("addEventListener('pdf-ready', () => { window.laidOut = true; });")
        tab.goto(page.resolve().as_uri() + "?print-pdf")
        tab.wait_for_function("window.laidOut", timeout=60_000)
        _settle(tab, page)
        slides = tab.evaluate("Reveal.getTotalSlides()")
        data = tab.pdf(**PRINTING)
    if (pages := len(_reader(data).pages)) != slides:
        message = f"{slides} slides make {pages} pages: a slide does not fit its page; `make test` names it"
        raise RenderError(message, page.name)
    return data, slides


def notes_pdf(browser: Any, page: Path) -> bytes:
    """A page of notes as PDF on A4, with page numbers; a RenderError where an image is missing."""
    with browser.new_page(viewport={"width": 1000, "height": 1400}, color_scheme="light") as tab:
        tab.goto(page.resolve().as_uri())
        _settle(tab, page)
        # A header or footer template knows the system's fonts only; a margin box knows the page's.
        tab.add_style_tag(content=PAGES.replace('"TITLE', json.dumps(tab.title(), ensure_ascii=False)[:-1]))
        tab.emulate_media(media="print")
        tab.evaluate("document.fonts.ready.then(() => null)")
        return tab.pdf(**PRINTING)


def _reader(data: bytes) -> Any:
    from pypdf import PdfReader

    return PdfReader(io.BytesIO(data))


def join(parts: list[tuple[str, bytes]], title: str) -> bytes:
    """PDFs, given with a bookmark for each, one after the other; their own bookmarks go below it."""
    from pypdf import PdfWriter

    writer, output = PdfWriter(), io.BytesIO()
    for bookmark, data in parts:
        writer.append(_reader(data), outline_item=bookmark)
    writer.add_metadata({"/Title": title})
    # Each part brings the same fonts.
    writer.compress_identical_objects(remove_duplicates=True, remove_unreferenced=True)
    writer.write(output)
    return output.getvalue()


def command(project: Project) -> int:
    """Make the hand-outs of a built site."""
    ArgumentParser(description=__doc__).parse_args()
    out = project.output_folder / "handouts"
    decks = sorted(project.output_folder.glob("lectures/*.slides.html"))
    if not decks:
        raise RenderError(f"{project.output_folder} holds no lecture; run `make slides` first")
    notes = []
    with open_browser() as browser:
        shutil.rmtree(out, ignore_errors=True)  # with the hand-outs of lectures that are gone
        for deck in decks:
            data, slides = deck_pdf(browser, deck)
            name = deck.with_suffix(".pdf").name
            write_atomically(out / name, data)
            print(f"{name} ... {slides} slides, {len(data) / 1e6:.1f} MB", flush=True)
            page = deck.with_name(deck.name.replace(".slides.html", ".html"))
            if page.is_file():
                printed = notes_pdf(browser, page)
                notes.append((_reader(printed).metadata["/Title"].split(" – ")[0], printed))
    joined = join(notes, str(project.website.get("title") or "Notes"))
    write_atomically(out / NOTES, joined)
    print(f"{NOTES} ... {len(joined) / 1e6:.1f} MB. Look in {shown_path(out)}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(command))

"""The PDFs: a page for each slide, fragments shown, vector figures, fonts inside; of one lecture here."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup
from pypdf import PdfReader

from render.qmd import RenderError
from tools.pdf import deck_pdf, join, notes_pdf

from .test_checks import PIXEL, write_deck
from .test_site import LECTURES, REPOSITORY

# Chinese and many drawings; tests/slow tries the others, half a minute each.
SAMPLE = [each for each in LECTURES if each.startswith("04-")] or LECTURES[:1]
CHINESE = re.compile(r"[\u3400-\u9fff]")
LETTERS = re.compile(r"[^A-Za-z0-9]")
DRAWING = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="80" height="80" viewBox="0 0 80 80">'
    '<circle cx="40" cy="40" r="30"/></svg>'
)
# On paper a slide of the page's full height would leave no room for rounding.
SHORT = (
    ".reveal .slides section { height: auto !important; } "
    ".reveal .slides section.stack { padding: 0 !important; }"
)


def read(data: bytes) -> PdfReader:
    return PdfReader(io.BytesIO(data))


def raster_images(page) -> int:
    """How many pictures made of pixels a page shows, also inside of forms."""

    def count(resources) -> int:
        total = 0
        for each in (resources.get_object().get("/XObject") or {}).values():
            thing = each.get_object()
            if thing["/Subtype"] == "/Image":
                total += 1
            elif "/Resources" in thing:
                total += count(thing["/Resources"])
        return total

    return count(page["/Resources"]) if "/Resources" in page else 0


def fonts(reader: PdfReader) -> dict[str, bool]:
    """Each font's name, and whether its outlines are in the file."""
    found = {}
    for page in reader.pages:
        for each in (page.get("/Resources", {}).get_object().get("/Font") or {}).values():
            font = each.get_object()
            inner = font["/DescendantFonts"][0].get_object() if "/DescendantFonts" in font else font
            described = inner.get("/FontDescriptor", {})
            described = described.get_object() if hasattr(described, "get_object") else described
            inside = font["/Subtype"] == "/Type3" or any(
                name in described for name in ("/FontFile", "/FontFile2", "/FontFile3")
            )
            found[str(font.get("/BaseFont", font["/Subtype"]))] = inside
    return found


def foreign(reader: PdfReader) -> list[str]:
    """Fonts that are not the course's. A variable font of the course has no name in a PDF."""
    return [name for name in fonts(reader) if name != "/Type3" and "course" not in name.lower()]


def slides_of(path: Path) -> list:
    """The slides of a deck in order; a stack is no slide of its own."""
    soup = BeautifulSoup(path.read_text(encoding="utf-8"), "lxml")
    every = soup.select("div.reveal > div.slides section")
    return [each for each in every if each.find("section") is None]


def is_all_vectors(slide, folder: Path) -> bool:
    """Whether a slide has drawings, and nothing that is made of pixels."""
    images = [each.get("src") or each.get("data-src") for each in slide.find_all("img")]
    if not images or slide.find(["canvas", "video", "svg"]):
        return False
    return all(
        name.endswith(".svg") and "<image" not in (folder / name).read_text(encoding="utf-8")
        for name in images
    )


def test_fragments_are_shown_and_drawings_stay_drawings(browser, tmp_path) -> None:
    (tmp_path / "circle.svg").write_text(DRAWING, encoding="utf-8")
    path = write_deck(
        tmp_path,
        "<section id='one'><h2>One</h2><p class='fragment'>seen last</p>"
        "<p class='fragment kai'>人</p></section>"
        "<section><section id='two'><h2>Two</h2><img src='circle.svg' alt='A circle'></section>"
        f"<section id='three'><h2>Three</h2><img src='{PIXEL}' alt='A dot'></section></section>",
        css=SHORT,
    )
    data, slides = deck_pdf(browser, path)
    pages = read(data).pages
    assert slides == len(pages) == 3
    assert "seen last" in pages[0].extract_text() and "人" in pages[0].extract_text()
    assert [raster_images(page) for page in pages] == [0, 0, 1]
    named = {name: inside for name, inside in fonts(read(data)).items() if "Kai" in name}
    assert named and all(named.values())


def test_a_slide_on_two_pages_and_a_missing_image_are_errors(browser, tmp_path) -> None:
    path = write_deck(tmp_path, "<section><h2>A</h2><p style='height: 1500px'>long</p></section>", css=SHORT)
    with pytest.raises(RenderError, match="1 slides make [2-9] pages"):
        deck_pdf(browser, path)
    path = write_deck(tmp_path, "<section><h2>A</h2><img src='gone.png' alt='x'></section>")
    with pytest.raises(RenderError, match="gone.png is missing"):
        deck_pdf(browser, path)


def test_links_to_files_of_this_machine_do_not_travel(browser, tmp_path) -> None:
    path = tmp_path / "page.html"
    path.write_text(
        "<!doctype html><html lang='en'><title>Page</title><main><h1 id='top'>Page</h1>"
        "<p><a href='other.html'>other</a> <a href='#top'>top</a> "
        "<a href='https://example.org/'>far</a></p><details><summary>Code</summary>"
        "<p>folded away</p></details></main></html>",
        encoding="utf-8",
    )
    data = notes_pdf(browser, path)
    assert str(tmp_path).encode() not in data
    reader = read(data)
    links = [note.get_object().get("/A", {}) for note in reader.pages[0]["/Annots"]]
    assert [link.get("/URI") for link in links if "/URI" in link] == ["https://example.org/"]
    assert "folded away" in reader.pages[0].extract_text()
    joined = read(join([("First", data), ("Second", data)], "Both"))
    assert len(joined.pages) == 2 * len(reader.pages)
    assert [each.title for each in joined.outline if not isinstance(each, list)] == ["First", "Second"]


@pytest.mark.parametrize("lecture", SAMPLE)
def test_hand_outs_of_a_lecture(browser, site, lecture) -> None:
    check_hand_outs(browser, site, lecture)


def check_hand_outs(browser, site: Path, lecture: str) -> None:
    """A page for each slide and what stands on it, then the notes: footers, numbers, fonts, vectors."""
    deck = site / "lectures" / f"{lecture}.slides.html"
    data, slides = deck_pdf(browser, deck)
    reader = read(data)
    sources = slides_of(deck)
    assert len(reader.pages) == slides == len(sources)
    missing = [name for name, inside in fonts(reader).items() if not inside]
    assert not missing, f"not embedded: {missing}"
    assert foreign(reader) == []
    settings, own = (
        yaml.safe_load((REPOSITORY / name).read_text(encoding="utf-8"))
        for name in ("_quarto.yml", "course.yml")
    )
    footer = settings["format"]["revealjs"]["footer"]
    footer = footer.replace("{{< meta course-title >}}", own["course-title"])
    shown = 0
    texts = [page.extract_text() for page in reader.pages]
    for number, (page, text, slide) in enumerate(zip(reader.pages, texts, sources, strict=True), 1):
        heading = slide.find(["h1", "h2"])
        if heading and not heading.find("math"):
            letters = LETTERS.sub("", heading.get_text())
            assert letters in LETTERS.sub("", text), f"slide {number} is not page {number}"
        own = slide.select_one("div.footer")
        foot = own.get_text() if own else footer if slide.get("data-footer") != "false" else ""
        letters = LETTERS.sub("", text)
        assert LETTERS.sub("", foot) in letters, f"page {number} has no footer"
        assert f"{number} / {slides}" in " ".join(text.split()), f"page {number} has no number"
        if is_all_vectors(slide, deck.parent):
            shown += 1
            assert raster_images(page) == 0, f"a drawing on slide {number} became pixels"
    # Code that is folded away on a slide is not on its page either.
    if any(
        CHINESE.search(part)
        for slide in sources
        for part in slide.find_all(string=True)
        if not part.find_parent("details")
    ):
        assert any("Kai" in name for name in fonts(reader))
        assert CHINESE.search("".join(texts))

    notes = read(notes_pdf(browser, site / "lectures" / f"{lecture}.html"))
    assert len(notes.pages) > 1
    assert all(fonts(notes).values())
    assert foreign(notes) == []
    for number, page in enumerate(notes.pages, 1):
        assert re.search(rf"· {number}\b", page.extract_text()), f"page {number} has no number"

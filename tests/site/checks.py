"""Opening decks and pages and listing what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from fontTools.ttLib import TTFont
from playwright.sync_api import Browser, Page

INSPECT = Path(__file__).with_name("inspect.js").read_text(encoding="utf-8")
DECK_SIZES = ((1280, 720), (1920, 1080))  # width, height in CSS pixels
PAGE_WIDTHS = (1280, 360)
LEAST_TEXT = 18  # px, at 1280 x 720
LEAST_LABEL = 18  # px, for the labels of a figure at 1280 x 720
LOCAL = ("file:", "data:", "blob:", "about:")


@dataclass
class Findings:
    """What was wrong, as sentences, and the Chinese characters that were seen."""

    problems: list[str] = field(default_factory=list)
    characters: set[str] = field(default_factory=set)
    slides: list[str] = field(default_factory=list)

    def add(self, where: str, problem: str) -> None:
        """Keep a problem once, with the place where it was found."""
        sentence = f"{where}: {problem}"
        if sentence not in self.problems:
            self.problems.append(sentence)


@contextmanager
def _open(browser: Browser, path: Path, width: int, height: int, findings: Findings) -> Iterator[Page]:
    """The page at `path`, loaded from disk, with every console error and request recorded."""
    where = f"{path.name} at {width} px"
    context = browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce")
    page = context.new_page()

    def on_console(message) -> None:
        if message.type == "error":
            findings.add(where, f"console error: {message.text}")

    def on_request(request) -> None:
        if not request.url.startswith(LOCAL):
            findings.add(where, f"request that leaves the disk: {request.url}")

    def on_failure(request) -> None:
        findings.add(where, f"failed request: {request.url}")

    page.on("console", on_console)
    page.on("pageerror", lambda error: findings.add(where, f"script error: {error}"))
    page.on("request", on_request)
    page.on("requestfailed", on_failure)
    try:
        page.goto(path.resolve().as_uri(), wait_until="load")
        page.evaluate("document.fonts.ready.then(() => null)")
        page.evaluate(INSPECT)
        yield page
    finally:
        context.close()


def check_deck(browser: Browser, path: Path, sizes: tuple[tuple[int, int], ...] = DECK_SIZES) -> Findings:
    """Open each slide of a reveal.js deck at each size and step through all its fragments.

    Reported: console errors; failed requests and requests that leave the disk; content
    outside the slide; code, tables and boxes that are clipped; text under 18 px at 1280 x 720,
    also in figures; boxes over each other; missing images; images without alt text; Chinese
    that is not drawn.
    """
    findings = Findings()
    for width, height in sizes:
        with _open(browser, path, width, height, findings) as page:
            # From disk a deck starts at once; ten seconds are for a busy machine.
            page.wait_for_function("window.Reveal && Reveal.isReady()", timeout=10_000)
            least = LEAST_TEXT if (width, height) == (1280, 720) else 0
            total = page.evaluate("Reveal.getTotalSlides()")
            seen = []
            for number in range(1, total + 1):
                while True:
                    result = page.evaluate("least => inspectSlide(least)", least)
                    where = (
                        f'{path.name}, slide {number} "{result["title"]}" '
                        f"(#{result['id']}) at {width} x {height}"
                    )
                    for problem in result["problems"]:
                        findings.add(where, problem)
                    findings.characters |= set(result["characters"])
                    for drawing in result["drawings"] if least else ():
                        size = smallest_text(drawing["address"], drawing["width"])
                        if size < LEAST_LABEL - 0.05:
                            findings.add(
                                where,
                                f"labels of {size:.1f} px, under {LEAST_LABEL}, "
                                f"in the figure {drawing['name']}",
                            )
                    if not page.evaluate("Reveal.availableFragments().next"):
                        break
                    page.evaluate("Reveal.nextFragment()")
                seen.append(result["title"])
                page.evaluate("Reveal.next()")
            if not page.evaluate("Reveal.isLastSlide()"):
                findings.add(path.name, "the last slide was not reached by going forward")
            findings.slides = seen
    return findings


def smallest_text(address: str, width: float) -> float:
    """Height in px of the smallest text of an SVG file shown `width` px wide; inf without text.

    Knows text as matplotlib writes it: outlines in groups named text_N, scaled to a hundredth
    of the font size, or text elements with a font size. Sub- and superscripts are not counted.
    """
    drawing = Path(url2pathname(urlsplit(address).path)).read_text(encoding="utf-8")
    frame = re.search(r'viewBox="[\d.-]+ [\d.-]+ ([\d.]+) [\d.]+"', drawing)
    outlines = re.findall(
        r'<g id="text_\d+">\s*(?:<!--.*?-->\s*)?<g [^>]*scale\(([\d.]+) -', drawing, re.DOTALL
    )
    sizes = [100 * float(scale) for scale in outlines]
    sizes += map(float, re.findall(r"<text[^>]*font(?:-size)?: ?([\d.]+)px", drawing))
    if not frame or not sizes:
        return float("inf")
    return min(sizes) * width / float(frame[1])


def check_page(browser: Browser, path: Path, widths: tuple[int, ...] = PAGE_WIDTHS) -> Findings:
    """Open notes or the index at each width.

    Reported: console errors; failed requests and requests that leave the disk; missing images;
    images without alt text; a page wider than the window; Chinese that is not drawn.
    """
    findings = Findings()
    for width in widths:
        with _open(browser, path, width, 800, findings) as page:
            result = page.evaluate("inspectPage()")
            for problem in result["problems"]:
                findings.add(f"{path.name} at {width} px", problem)
            findings.characters |= set(result["characters"])
    return findings


@cache
def characters_of_font(path: Path) -> frozenset[str]:
    """Every character that a font file has a glyph for."""
    with TTFont(path) as font:
        return frozenset(map(chr, font.getBestCmap()))

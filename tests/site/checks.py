"""Opening decks and pages and listing what is wrong with them.

One walk finds everything: what does not fit, what cannot be seen, read aloud, reached by keyboard
or printed, and what the browser complains of. So each slide is opened once.
"""

from __future__ import annotations

import contextlib
import importlib.resources
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from fontTools.ttLib import TTFont
from playwright.sync_api import Browser, Page
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

INSPECT = Path(__file__).with_name("inspect.js").read_text(encoding="utf-8")
READING = Path(__file__).with_name("reading.js").read_text(encoding="utf-8")
AXE = importlib.resources.files("axe_playwright_python") / "axe.min.js"
DECK_SIZE = (1280, 720)  # width, height in CSS pixels
LEAST_TEXT = 18  # px at DECK_SIZE, also for the labels of a figure
DESK, PHONE = 1280, 360  # widths of a page
# The text's width on A4 with the margins of notes.css, in CSS pixels.
PAPER = round((210 - 2 * 16) / 25.4 * 96)
LOCAL = ("file:", "data:", "blob:", "about:")
GRAVE = ("serious", "critical")
COLOURS = ("color-contrast", "link-in-text-block")  # the rules of axe-core that colours decide
SLIDE = ".reveal .slides section.present:not(.stack):not(.stack:not(.present) *)"
OTHERS = ".reveal .slides > section:not(.present), .reveal .slides > section.present > section:not(.present)"
STATE = "() => { const {h, v, f} = Reveal.getIndices(); return [h, v || 0, f ?? -1].join(); }"
ROUTE = """() => Reveal.getSlides().map((slide) => {
  const {h, v} = Reveal.getIndices(slide); return `${h},${v || 0}`; })"""
STEPS = """() => Reveal.getSlides().reduce((total, slide) => total + new Set(
  [...slide.querySelectorAll('.fragment')].map((each) => each.dataset.fragmentIndex)).size, 0)"""
# No `preload`: only css-orientation-lock asks for it, and a page on disk cannot fetch style sheets.
# axe-core walks the whole document however small the part that it reads, nine tenths of its time
# for a slide; so other content is taken out meanwhile, but not its elements: reveal.js counts slides.
# The boxes of reveal's arrows and backgrounds lie over the whole slide: unsure of what is behind a
# text, axe-core would judge no contrast.
RUN_AXE = """async ([place, without, rules]) => {
  const emptied = without ? [...document.querySelectorAll(without)] : [];
  const content = emptied.map((each) => [...each.childNodes]);
  const covers = place ? [...document.querySelectorAll(".reveal > :is(.controls, .backgrounds)")] : [];
  const display = covers.map((each) => each.style.display);
  for (const each of emptied) each.replaceChildren();
  for (const each of covers) each.style.display = "none";
  try {
    const found = await axe.run(
      place || document, {resultTypes: ["violations"], preload: false, runOnly: rules || undefined});
    return found.violations.map((each) => [
      each.impact, each.id, each.nodes.map((node) => node.html.slice(0, 120))]);
  } finally {
    emptied.forEach((each, number) => each.replaceChildren(...content[number]));
    covers.forEach((each, number) => { each.style.display = display[number]; });
  }
}"""


@dataclass
class Findings:
    """What was wrong, as sentences, and the Chinese characters that were seen."""

    problems: list[str] = field(default_factory=list)
    characters: set[str] = field(default_factory=set)
    slides: list[str] = field(default_factory=list)

    def add(self, where: str, *problems: str) -> None:
        """Keep each problem once, with the place where it was found."""
        for problem in problems:
            sentence = f"{where}: {problem}"
            if sentence not in self.problems:
                self.problems.append(sentence)


@contextlib.contextmanager
def opened(
    browser: Browser,
    path: Path,
    findings: Findings | None = None,
    width: int = DECK_SIZE[0],
    height: int = DECK_SIZE[1],
    script: str = "",
) -> Iterator[Page]:
    """A page or deck from disk, ready; every console error and request goes to ``findings``.

    ``script`` runs before any of the page's own.
    """
    found = Findings() if findings is None else findings
    where = f"{path.name} at {width} px"
    context = browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce")
    page = context.new_page()

    def on_console(message) -> None:
        if message.type == "error":
            found.add(where, f"console error: {message.text}")

    def on_request(request) -> None:
        if not request.url.startswith(LOCAL):
            found.add(where, f"request that leaves the disk: {request.url}")

    page.on("console", on_console)
    page.on("pageerror", lambda error: found.add(where, f"script error: {error}"))
    page.on("request", on_request)
    page.on("requestfailed", lambda request: found.add(where, f"failed request: {request.url}"))
    try:
        if script:
            page.add_init_script(script)
        page.goto(path.resolve().as_uri(), wait_until="load")
        if path.name.endswith(".slides.html"):
            # From disk a deck starts at once; half a minute is for a busy machine.
            page.wait_for_function("window.Reveal && Reveal.isReady()", timeout=30_000)
        page.evaluate("document.fonts.ready.then(() => null)")
        page.evaluate(INSPECT)
        page.evaluate(READING)
        yield page
    finally:
        context.close()


def grave_problems(page: Page, place: str = "", without: str = "", rules: tuple[str, ...] = ()) -> list[str]:
    """Serious and critical findings of axe-core in an open page, or a part of it, as it is now.

    What stands in the elements of ``without`` is not there meanwhile; ``rules`` names the only ones to try.
    """
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    return [
        f"{impact}: {name}: {html}"
        for impact, name, nodes in page.evaluate(RUN_AXE, [place, without, list(rules) or None])
        if impact in GRAVE
        for html in nodes
    ]


def press(page: Page, key: str) -> str:
    """Press a key that should lead elsewhere in a deck; where it led, within five seconds."""
    before = page.evaluate(STATE)
    page.keyboard.press(key)
    with contextlib.suppress(PlaywrightTimeoutError):
        page.wait_for_function(f"before => ({STATE})() !== before", arg=before, timeout=5_000)
    return page.evaluate(STATE)


def tab_round(page: Page, selector: str) -> list[str]:
    """Press Tab until everything inside of ``selector`` was met, or the round is over."""
    count = page.evaluate("selector => beginTabs(selector)", selector)
    lost = 0
    for _ in range(2 * count + 20):
        page.keyboard.press("Tab")
        over = page.evaluate("tabbed()")
        # Out of the page and in again at its top: twice round meets everything.
        lost += over == "left"
        if over in ("caught", "round") or lost > 1:
            break
    return page.evaluate("tabProblems()")


def read_aloud(page: Page) -> list[str]:
    """Chinese that a voice would take for English, and tables whose cells nobody could place."""
    return page.evaluate("[...unmarkedChinese(), ...headlessTables()]")


def check_deck(page: Page, findings: Findings, name: str, fit_only: bool = False) -> None:
    """Go through an open deck by the right arrow, fragment by fragment, and look at each state.

    Reported: content outside the slide; code, tables and boxes that are clipped; boxes over each
    other; missing images; images without alt text; Chinese that is not drawn; text and labels of
    figures under 18 px at 1280 x 720. Unless ``fit_only``: what axe-core finds on each slide, and
    what Tab does not reach there; Chinese and tables that cannot be read aloud.
    """
    size = page.viewport_size
    least = LEAST_TEXT if (size["width"], size["height"]) == DECK_SIZE else 0
    route, steps = page.evaluate(ROUTE), page.evaluate(STEPS)
    met = [page.evaluate(STATE)]
    if not fit_only:
        findings.add(name, *read_aloud(page))
    for _ in range(len(route) + steps):
        result = page.evaluate("least => inspectSlide(least)", least)
        where = (
            f'{name}, slide {len(findings.slides) + 1} "{result["title"]}" '
            f"(#{result['id']}) at {size['width']} x {size['height']}"
        )
        findings.add(where, *result["problems"])
        findings.characters |= set(result["characters"])
        if least:
            findings.add(where, *small_labels(result["drawings"]))
        if not page.evaluate("Reveal.availableFragments().next"):
            if not fit_only:
                if not findings.slides:
                    findings.add(name, *grave_problems(page))
                findings.add(where, *grave_problems(page, SLIDE, OTHERS), *tab_round(page, SLIDE))
                page.evaluate("document.activeElement.blur()")
            findings.slides.append(result["title"])
        if len(met) == len(route) + steps or (now := press(page, "ArrowRight")) == met[-1]:
            break
        met.append(now)
    if list(dict.fromkeys(each.rpartition(",")[0] for each in met)) != route:
        findings.add(name, f"the right arrow does not lead to each slide in turn, but by {' '.join(met)}")
    elif len(met) != len(route) + steps:
        findings.add(name, "a fragment was skipped")


def small_labels(drawings: list[dict]) -> list[str]:
    """The figures whose smallest label is too small as they are shown."""
    sizes = [(smallest_text(each["address"], each["width"]), each["name"]) for each in drawings]
    return [
        f"labels of {size:.1f} px, under {LEAST_TEXT}, in the figure {name}"
        for size, name in sizes
        if size < LEAST_TEXT - 0.05
    ]


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


def check_page(page: Page, findings: Findings, name: str) -> None:
    """Read open notes, or the index, on a desk, on a phone and on paper.

    Reported: missing images; images without alt text; Chinese that is not drawn; a page wider than
    the window; what axe-core finds; Chinese and tables that cannot be read aloud; what Tab does not
    reach, or does not show that it reached; what is cut or of no use when it is printed.
    """
    look_at_page(page, findings, name)
    findings.add(name, *read_aloud(page), *grave_problems(page), *tab_round(page, "body"))
    page.set_viewport_size({"width": PHONE, "height": 800})
    look_at_page(page, findings, name)
    page.set_viewport_size({"width": PAPER, "height": 1000})
    page.emulate_media(media="print")
    findings.add(f"{name} on paper", *page.evaluate("printProblems()"))


def look_at_page(page: Page, findings: Findings, name: str) -> None:
    """What is seen at a page's present width."""
    result = page.evaluate("inspectPage()")
    findings.add(f"{name} at {page.viewport_size['width']} px", *result["problems"])
    findings.characters |= set(result["characters"])


@cache
def characters_of_font(path: Path) -> frozenset[str]:
    """Every character that a font file has a glyph for."""
    with TTFont(path) as font:
        return frozenset(map(chr, font.getBestCmap()))

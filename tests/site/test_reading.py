"""Pages and decks by ear, by keyboard, on a phone's width and on paper.

Each check is tried on a small page made to fail before it judges the site.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import pytest

from .checks import check_page
from .test_accessibility import grave_problems
from .test_site import LECTURES

READING = Path(__file__).with_name("reading.js").read_text(encoding="utf-8")
PAGES = ("index", *(f"lectures/{each}" for each in LECTURES))
DECKS = tuple(f"lectures/{each}.slides" for each in LECTURES)
# The text's width on A4 with the margins of notes.css, in CSS pixels.
PAPER = round((210 - 2 * 16) / 25.4 * 96)


@contextmanager
def opened(browser, path: Path, width: int = 1280, height: int = 720):
    """A page or deck from disk, ready, with the functions of reading.js."""
    context = browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce")
    try:
        page = context.new_page()
        page.goto(path.resolve().as_uri(), wait_until="load")
        if path.name.endswith(".slides.html"):
            page.wait_for_function("window.Reveal && Reveal.isReady()", timeout=30_000)
        page.evaluate("document.fonts.ready.then(() => null)")
        page.evaluate(READING)
        yield page
    finally:
        context.close()


def tab_round(page, selector: str) -> list[str]:
    """Press Tab until everything inside of `selector` was met, or the round is over."""
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


def on_paper(page) -> list[str]:
    """What is wrong with the page when it is printed on A4."""
    page.set_viewport_size({"width": PAPER, "height": 1000})
    page.emulate_media(media="print")
    return page.evaluate("printProblems()")


CHECKS = {
    "Chinese": lambda page: page.evaluate("unmarkedChinese()"),
    "tables": lambda page: page.evaluate("headlessTables()"),
    "keyboard": lambda page: tab_round(page, "body"),
    "paper": on_paper,
}
LONG = "x" * 300
FOCUS = "<style>:focus-visible { outline: 3px solid }</style>"
# The check, a page, and what the check must say about it ("" for nothing).
SMALL = (
    ("Chinese", "<p>Big: <span lang='zh'>大</span>, <code>大</code></p>", ""),
    ("Chinese", "<p>Big: 大</p>", 'Chinese without lang="zh": Big: 大'),
    ("Chinese", "<p lang='zh'><em lang='en'>Big, 大</em></p>", "Chinese without"),
    ("tables", "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>", ""),
    ("tables", "<table><tr><th>a</th><td>1</td></tr><tr><th>b</th><td>2</td></tr></table>", ""),
    ("tables", "<table><tr><td>a</td><td>1</td></tr></table>", "table without header cells"),
    ("tables", "<table><tr><th></th><th> </th></tr></table>", "table without header cells"),
    (
        "tables",
        "<table><tr><td>a</td><td>b</td></tr><tr><th>c</th><td>d</td></tr></table>",
        "without a head above or beside",
    ),
    ("keyboard", FOCUS + "<a href='#a'>a</a><button>b</button><select><option>c</select>", ""),
    (
        "keyboard",
        FOCUS + "<a href='#a'>a</a><div tabindex='0' onfocus='this.previousSibling.focus()'>b</div>",
        "Tab does not reach <div>",
    ),
    (
        "keyboard",
        FOCUS + "<a href='#a'>a</a><div tabindex='0' onkeydown='event.preventDefault()'>"
        "b</div><button>c</button>",
        "Tab does not get away from <div>",
    ),
    ("keyboard", "<a href='#a' style='outline: none'>a</a>", "no sign of the focus on <a>"),
    (
        "keyboard",
        FOCUS + "<a href='#a'>a</a><button style='opacity: 0'>b</button>",
        "Tab leads to something unseen: <button>",
    ),
    ("paper", "<p>Text</p><details open><summary>Code</summary><p>x</p></details>", ""),
    ("paper", "<nav>Home</nav>", "navigation on paper: <nav>"),
    ("paper", f"<pre style='overflow-x: auto'>{LONG}</pre>", "wider than its box: <pre>"),
    ("paper", f"<pre>{LONG}</pre>", "text hangs over the paper: <pre>"),
    ("paper", "<div style='width: 1200px'>a</div>", "hangs over the paper by"),
    (
        "paper",
        "<div style='height: 30px; overflow: hidden'><p>a</p><p>b</p></div>",
        "higher than its box: <div>",
    ),
    ("paper", "<details><summary>Code</summary><p>x</p></details>", "folded away on paper"),
    ("paper", "<div role='tabpanel' style='display: none'>b</div>", "hidden by its tab on paper"),
)


@pytest.mark.parametrize(("check", "body", "expected"), SMALL)
def test_each_check_finds_what_is_wrong(browser, tmp_path, check, body, expected) -> None:
    path = tmp_path / "page.html"
    path.write_text(
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>Page</title><body>{body}</body></html>",
        encoding="utf-8",
    )
    with opened(browser, path) as page:
        said = CHECKS[check](page)
    assert any(expected in each for each in said) if expected else said == [], said


def test_a_page_too_wide_for_a_phone_is_found(browser, tmp_path) -> None:
    path = tmp_path / "page.html"
    path.write_text("<!doctype html><title>Page</title><p style='width: 500px'>Wide</p>", encoding="utf-8")
    assert "wider than the window of 360 px" in "".join(check_page(browser, path, (360,)).problems)


@pytest.mark.parametrize("name", [*PAGES, *DECKS])
def test_chinese_and_tables_can_be_read_aloud(browser, site, name) -> None:
    with opened(browser, site / f"{name}.html") as page:
        assert CHECKS["Chinese"](page) + CHECKS["tables"](page) == []


@pytest.mark.parametrize("name", PAGES)
def test_tab_reaches_everything_on_a_page(browser, site, name) -> None:
    with opened(browser, site / f"{name}.html") as page:
        assert CHECKS["keyboard"](page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_the_first_tab_offers_to_skip_the_navigation(browser, site, name, scheme) -> None:
    with opened(browser, site / f"{name}.html") as page:
        page.emulate_media(color_scheme=scheme)
        page.keyboard.press("Tab")
        link = page.locator(":focus")
        assert link.inner_text() == "Skip to content"
        box = link.bounding_box()
        assert box["x"] >= 0 and box["y"] >= 0, "it is focused and not seen"
        # The text below is read by test_pages_can_be_read_by_everyone.
        assert grave_problems(page, ":focus", without="main") == []
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('main') !== null")


@pytest.mark.parametrize("name", PAGES)
def test_a_printed_page_is_whole(browser, site, name) -> None:
    with opened(browser, site / f"{name}.html") as page:
        assert CHECKS["paper"](page) == []


SLIDE = ".reveal .slides section.present:not(.stack):not(.stack:not(.present) *)"
STATE = "() => { const {h, v, f} = Reveal.getIndices(); return [h, v || 0, f ?? -1]; }"
ROUTE = """() => Reveal.getSlides().map((slide) => {
  const {h, v} = Reveal.getIndices(slide); return [h, v || 0]; })"""


@pytest.mark.parametrize("name", DECKS)
def test_a_deck_is_given_by_keyboard(browser, site, name) -> None:
    """Forward key by key through every fragment, back again, to the end, the overview, the help.

    On each slide Tab reaches whatever can be used there, and nothing on another slide.
    """
    with opened(browser, site / f"{name}.html") as page:
        route = page.evaluate(ROUTE)
        steps = page.evaluate(
            "Reveal.getSlides().reduce((total, slide) => total + "
            "new Set([...slide.querySelectorAll('.fragment')].map("
            "(each) => each.dataset.fragmentIndex)).size, 0)"
        )
        met, problems = [page.evaluate(STATE)], []
        for _ in range(len(route) + steps):
            if page.evaluate("!Reveal.availableFragments().next"):
                number = len({(h, v) for h, v, _ in met})
                problems += [f"slide {number}: {each}" for each in tab_round(page, SLIDE)]
                page.evaluate("document.activeElement.blur()")
            page.keyboard.press("ArrowRight")
            now = page.evaluate(STATE)
            if now == met[-1]:
                break
            met.append(now)
        assert problems == []
        assert [list(each) for each in dict.fromkeys((h, v) for h, v, _ in met)] == route
        assert len(met) == len(route) + steps, "a fragment was skipped"
        for key in ("ArrowLeft", "PageUp"):
            page.keyboard.press(key)
        assert page.evaluate(STATE) == met[-3]
        page.keyboard.press("PageDown")
        page.keyboard.press("Space")
        assert page.evaluate(STATE) == met[-1]
        page.keyboard.press("Home")
        assert page.evaluate(STATE)[:2] == route[0]
        page.keyboard.press("End")  # reveal.js: to the last section
        assert page.evaluate(STATE)[0] == route[-1][0]
        page.keyboard.press("Escape")
        assert page.evaluate("Reveal.isOverview()")
        page.keyboard.press("Escape")
        assert not page.evaluate("Reveal.isOverview()")
        page.keyboard.press("Shift+?")
        page.locator(".r-overlay-help, .overlay-help").wait_for(state="visible", timeout=5_000)
        page.keyboard.press("Escape")
        with page.expect_popup() as notes:
            page.keyboard.press("s")
        notes.value.locator("#speaker-controls, .speaker-controls").first.wait_for()

"""What helps who presents: the pen, the pointer, and the minutes in the speaker view."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.test_instructors import plan

from .checks import opened
from .test_site import LECTURES

REPOSITORY = Path(__file__).resolve().parents[2]
# How many pixels of the canvas somebody has drawn on.
DRAWN = """() => { const canvas = document.querySelector(".pen-canvas");
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return data.reduce((count, value, index) => count + (index % 4 === 3 && value > 0), 0); }"""
TIMES = "() => Reveal.getSlides().map((slide) => Number(slide.dataset.timing || 0))"


@pytest.fixture
def deck(site) -> Path:
    return site / "lectures" / f"{LECTURES[0]}.slides.html"


def stroke(page, left: int, top: int) -> None:
    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move(left + 60, top + 40, steps=4)
    page.mouse.up()


def test_the_pen_draws_and_each_slide_keeps_its_own(browser, deck) -> None:
    with opened(browser, deck) as page:
        stroke(page, 300, 300)
        assert page.evaluate(DRAWN) == 0, "without the pen nothing is drawn"
        page.keyboard.press("d")
        stroke(page, 300, 300)
        one = page.evaluate(DRAWN)
        stroke(page, 500, 300)
        assert page.evaluate(DRAWN) > one > 100
        page.keyboard.press("z")
        assert page.evaluate(DRAWN) == one, "Z takes the last stroke back"
        page.keyboard.press("ArrowRight")
        assert page.evaluate(DRAWN) == 0
        page.keyboard.press("ArrowLeft")
        assert page.evaluate(DRAWN) == one
        page.keyboard.press("x")
        assert page.evaluate(DRAWN) == 0, "X wipes the slide"
        page.keyboard.press("Escape")
        assert not page.evaluate("Reveal.isOverview()"), "Escape puts the pen away first"
        stroke(page, 300, 300)
        assert page.evaluate(DRAWN) == 0
        page.keyboard.press("Escape")
        assert page.evaluate("Reveal.isOverview()")


def test_a_stroke_stays_on_its_place_in_a_window_of_another_size(browser, deck) -> None:
    with opened(browser, deck) as page:
        page.keyboard.press("d")
        stroke(page, 300, 300)
        one = page.evaluate(DRAWN)
        page.set_viewport_size({"width": 640, "height": 360})
        page.wait_for_function("document.querySelector('.pen-canvas').width === 640")
        assert page.evaluate(DRAWN) == pytest.approx(one / 4, rel=0.3)


def test_a_finger_draws_and_turns_no_slide(browser, deck) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 720}, has_touch=True)
    page = context.new_page()
    page.goto(deck.as_uri())
    page.wait_for_function("window.Reveal && Reveal.isReady()")
    page.locator(".pen-open").tap()
    page.get_by_role("button", name="Pen D").tap()
    before = page.evaluate("Reveal.getIndices().h")
    touch = context.new_cdp_session(page)
    for kind, left in (("Start", 900), ("Move", 600), ("Move", 300), ("End", None)):
        points = [] if left is None else [{"x": left, "y": 400}]
        touch.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
    assert page.evaluate(DRAWN) > 100
    assert page.evaluate("Reveal.getIndices().h") == before
    context.close()


def test_the_pointer_follows_and_leaves_nothing(browser, deck) -> None:
    with opened(browser, deck) as page:
        page.keyboard.press("q")
        page.mouse.move(700, 350)
        box = page.locator(".pointer-dot").bounding_box()
        assert (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) == (700, 350)
        stroke(page, 300, 300)
        assert page.evaluate(DRAWN) == 0
        page.keyboard.press("q")
        assert not page.locator(".pointer-dot").is_visible()


def test_the_keys_are_listed_and_can_be_read(browser, deck) -> None:
    with opened(browser, deck) as page:
        page.keyboard.press("Shift+?")
        help_ = page.locator(".r-overlay-help, .overlay-help")
        help_.wait_for(state="visible")
        assert {"Pen", "Pointer"} <= set(help_.locator("td").all_inner_texts())
        colour = help_.locator("td").first.evaluate("(cell) => getComputedStyle(cell).color")
        assert colour == "rgb(255, 255, 255)"


def test_nothing_of_it_is_printed(browser, deck) -> None:
    with opened(browser, deck) as page:
        page.keyboard.press("d")
        stroke(page, 300, 300)
        page.emulate_media(media="print")
        for part in (".pen-canvas", ".pen-open", ".pointer-dot"):
            assert not page.locator(part).is_visible(), part
        page.goto(deck.as_uri() + "?print-pdf")
        page.locator(".pdf-page").first.wait_for()
        assert page.locator(".pen-canvas, .pen-open").count() == 0


@pytest.mark.parametrize("lecture", LECTURES)
def test_slides_share_the_minutes_of_the_plan(browser, site, lecture) -> None:
    parts, total = plan(REPOSITORY / "lectures" / f"{lecture}.qmd")
    with opened(browser, site / "lectures" / f"{lecture}.slides.html") as page:
        own = json.loads(page.locator("meta[name=course-minutes]").get_attribute("content"))
        times = page.evaluate(TIMES)
    minutes = own.get(str(int(lecture[:2])), total)  # of course.yml, or of the plan
    assert sum(times) == pytest.approx(60 * minutes, abs=len(parts))


def test_minutes_of_course_yml_take_the_place_of_the_plans(browser, deck) -> None:
    script = """new MutationObserver((_, observer) => {
      const meta = document.querySelector("meta[name=course-minutes]");
      if (meta) { meta.content = '{"1": 45}'; observer.disconnect(); }
    }).observe(document, {childList: true, subtree: true});"""
    with opened(browser, deck, script=script) as page:
        assert sum(page.evaluate(TIMES)) == pytest.approx(45 * 60, abs=10)


def test_the_speaker_view_says_how_much_time_is_left(browser, deck) -> None:
    with opened(browser, deck) as page:
        with page.expect_popup() as popup:
            page.keyboard.press("s")
        popup.value.locator(".pacing").first.wait_for(state="visible", timeout=10_000)

"""The kernel explorer and animated figures in a browser, from disk: mouse, keyboard, touch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from course.figures.networks import cross_correlate

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

REPOSITORY = Path(__file__).resolve().parents[2]
JS = REPOSITORY / "assets/js"
PHOTO = np.asarray(Image.open(REPOSITORY / "assets/images/photos/cat.png").convert("L"))
STYLES = "".join(
    f'<link rel="stylesheet" href="{(REPOSITORY / "assets/styles" / name).as_uri()}">'
    for name in ("tokens.css", "notes.css", "interactive.css")
)

EXPLORERS = f"""<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Explorer</title>
{STYLES}<main style="max-width: 900px">
<div class="kernel-explorer" data-kernel="blur"><p>Without a script.</p></div>
<div class="kernel-explorer" data-kernel="emboss"><p>Without a script.</p></div></main>
<script src="{(JS / "kernel-explorer-photo.js").as_uri()}"></script>
<script src="{(JS / "kernel-explorer.js").as_uri()}"></script>"""

FRAME = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='60' height='40'/%3E"
ANIMATION = (
    f"""<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Animation</title>
{STYLES}<main><div class="cell animation">"""
    + "".join(
        f'<div class="cell-output cell-output-display"><img alt="frame {k}" src="{FRAME}"></div>'
        for k in range(1, 5)
    )
    + f"""</div></main>
<script src="{(JS / "animation.js").as_uri()}"></script>"""
)


def read_result(page: Page, number: int = 0) -> np.ndarray:
    """The levels that the canvas of the result shows, shape (height, width)."""
    width, height, levels = page.evaluate(
        """number => {
        const canvas = document.querySelectorAll('.explorer-result canvas')[number];
        const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        return [canvas.width, canvas.height, Array.from(data).filter((_, i) => i % 4 === 0)];
    }""",
        number,
    )
    return np.array(levels).reshape(height, width)


def settle(page: Page) -> None:
    """Until the drawing that was asked for is done."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def as_shown(kernel: np.ndarray) -> np.ndarray:
    """What the canvas should hold: rounded half to even, as a clamped array does, and cut off."""
    return np.clip(np.rint(cross_correlate(PHOTO.astype(float), kernel).astype(np.float32)), 0, 255)


def opened(browser: Browser, tmp_path: Path, text: str, query: str = "", **options) -> Page:
    path = tmp_path / "page.html"
    path.write_text(text, encoding="utf-8")
    context = browser.new_context(**({"viewport": {"width": 1100, "height": 900}} | options))
    page = context.new_page()
    page.goto(path.as_uri() + query)
    return page


@pytest.fixture
def page(browser, tmp_path) -> Iterator[Page]:
    page = opened(browser, tmp_path, EXPLORERS)
    settle(page)
    yield page
    page.context.close()


# --- Arithmetic --------------------------------------------------------------------------


def test_correlation_is_numpys(page):
    """Over random kernels and photos of odd sizes the script and NumPy give the same numbers."""
    rng = np.random.default_rng(5)
    for height, width in ((3, 3), (3, 9), (17, 4), (31, 50)):
        photo = rng.integers(0, 256, (height, width))
        for kernel in (rng.normal(size=(3, 3)) * 4, rng.integers(-9, 10, (3, 3))):
            result = page.evaluate(
                """([photo, width, height, kernel]) => Array.from(
                CourseKernelExplorer.correlate(Uint8Array.from(photo), width, height, kernel,
                    new Float32Array((width - 2) * (height - 2))))""",
                [photo.ravel().tolist(), width, height, kernel.ravel().tolist()],
            )
            expected = cross_correlate(photo.astype(float), kernel)
            assert np.allclose(np.reshape(result, expected.shape), expected, rtol=1e-6, atol=1e-4)


def test_each_named_kernel_shows_what_numpy_computes(page):
    kernels = page.evaluate("CourseKernelExplorer.KERNELS")
    assert {"identity", "blur", "sharpen", "outline", "emboss"} <= set(kernels)
    for key, (_, weights) in kernels.items():
        page.locator("select").first.select_option(key)
        settle(page)
        expected = as_shown(np.reshape(weights, (3, 3)))
        # A sum that ends in one half may round either way in 32 bits.
        assert np.abs(read_result(page) - expected).max() <= 1
        assert (read_result(page) == expected).mean() > 0.99, key


def test_identity_gives_the_photo_back(page):
    page.locator("select").first.select_option("identity")
    settle(page)
    assert np.array_equal(read_result(page), PHOTO[1:-1, 1:-1])


def test_a_typed_weight_takes_effect_at_once(page):
    page.locator("select").first.select_option("identity")
    weights = page.locator(".kernel-explorer").first.locator("input")
    weights.nth(4).fill("-1.5")
    weights.nth(0).fill("2")
    settle(page)
    kernel = np.array([[2, 0, 0], [0, -1.5, 0], [0, 0, 0]])
    assert np.abs(read_result(page) - as_shown(kernel)).max() <= 1
    assert page.locator("select").first.input_value() == "own"


def test_an_empty_weight_counts_as_zero(page):
    page.locator("select").first.select_option("identity")
    page.locator(".kernel-explorer").first.locator("input").nth(4).fill("")
    settle(page)
    assert not read_result(page).any()


def test_two_explorers_do_not_disturb_each_other(page):
    emboss = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
    page.locator("select").first.select_option("identity")
    settle(page)
    assert np.array_equal(read_result(page, 1), as_shown(emboss))


# --- Footprint and sum -------------------------------------------------------------------


def sum_of(page: Page) -> tuple[list[tuple[float, float]], float, str]:
    """The terms (level, weight) of the first explorer's sum, its total, and the whole text."""
    text = " ".join(page.locator(".explorer-sum").first.locator("span").all_inner_texts())
    plain = text.replace("−", "-")
    left, right = plain.split("=")
    terms = [(float(a), float(b.strip("()"))) for a, b in re.findall(r"([\d.]+) × (\(?-?[\d.]+\)?)", left)]
    return terms, float(re.match(r"\s*(-?[\d.]+)", right)[1]), plain


def check_sum(page: Page, row: int, column: int, kernel: np.ndarray) -> None:
    terms, total, _ = sum_of(page)
    window = PHOTO[row : row + 3, column : column + 3]
    assert [level for level, _ in terms] == window.ravel().tolist()
    assert np.allclose([weight for _, weight in terms], kernel.ravel(), atol=1e-4)
    assert total == pytest.approx((window * kernel).sum(), abs=1e-3)
    cells = page.locator(".explorer-pixels").first.locator("span").all_inner_texts()
    assert [int(each) for each in cells] == window.ravel().tolist()


BLUR = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16


def test_pointing_at_an_output_writes_out_its_sum(page):
    box = page.locator(".explorer-result canvas").first.bounding_box()
    height, width = PHOTO.shape[0] - 2, PHOTO.shape[1] - 2
    for row, column in ((0, 0), (40, 77), (height - 1, width - 1)):
        page.mouse.move(
            box["x"] + (column + 0.5) * box["width"] / width, box["y"] + (row + 0.5) * box["height"] / height
        )
        settle(page)
        check_sum(page, row, column, BLUR)


def test_the_mark_frames_the_footprint(page):
    explorer = page.locator(".kernel-explorer").first
    page.evaluate("document.querySelector('.kernel-explorer').explorer.move(20, 30)")
    settle(page)
    canvas = explorer.locator(".explorer-photo canvas").bounding_box()
    mark = explorer.locator(".explorer-photo .explorer-mark").bounding_box()
    scale = canvas["width"] / PHOTO.shape[1]
    assert (mark["x"] - canvas["x"]) / scale == pytest.approx(30, abs=0.3)
    assert (mark["y"] - canvas["y"]) / scale == pytest.approx(20, abs=0.3)
    assert mark["width"] / scale == pytest.approx(3, abs=0.2)


def test_arrow_keys_choose_the_output(page):
    page.evaluate("document.querySelector('.kernel-explorer').explorer.move(20, 30)")
    stage = page.locator(".explorer-result .explorer-stage").first
    stage.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "Shift+ArrowLeft"):
        page.keyboard.press(key)
    settle(page)
    check_sum(page, 21, 22, BLUR)
    for _ in range(20):
        page.keyboard.press("Shift+ArrowUp")
    settle(page)
    check_sum(page, 0, 22, BLUR)


def test_everything_can_be_reached_and_has_a_name(page):
    explorer = page.locator(".kernel-explorer").first
    assert explorer.get_attribute("role") == "group"
    places = [each.get_attribute("aria-label") for each in explorer.locator("input").all()]
    assert len(set(places)) == 9 and all(places)
    assert explorer.get_by_label("Kernel", exact=False).first.is_visible()
    assert explorer.locator(".explorer-sum[role=status]").count() == 1
    for canvas in explorer.locator("canvas").all():
        assert canvas.get_attribute("aria-label")
    page.keyboard.press("Tab")
    reached = []
    for _ in range(11):
        reached.append(page.evaluate("document.activeElement.tagName"))
        page.keyboard.press("Tab")
    assert reached == ["SELECT", *["INPUT"] * 9, "DIV"]


def test_a_finger_chooses_the_output(browser, tmp_path):
    page = opened(
        browser, tmp_path, EXPLORERS, has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844}
    )
    canvas = page.locator(".explorer-result canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    height, width = PHOTO.shape[0] - 2, PHOTO.shape[1] - 2
    page.touchscreen.tap(box["x"] + 50.5 * box["width"] / width, box["y"] + 60.5 * box["height"] / height)
    settle(page)
    check_sum(page, 60, 50, BLUR)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.context.close()


def test_a_sum_beyond_the_greys_says_how_it_is_shown(page):
    page.locator("select").first.select_option("identity")
    weight = page.locator(".kernel-explorer").first.locator("input").nth(4)
    for value, shown in (("300", "255"), ("-2", "0")):
        weight.fill(value)
        settle(page)
        assert sum_of(page)[2].endswith(f"shown as {shown}")


def test_without_the_photo_the_text_stays(browser, tmp_path):
    text = re.sub(r"<script[^>]*photo\.js[^>]*></script>", "", EXPLORERS)
    page = opened(browser, tmp_path, text)
    assert page.locator(".kernel-explorer").first.inner_text() == "Without a script."
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_controls_follow_day_and_night(browser, tmp_path, scheme):
    page = opened(browser, tmp_path, EXPLORERS.replace("<html", f'<html data-theme="{scheme}"'))
    ink, paper = page.evaluate("""() => {
        const style = getComputedStyle(document.querySelector('.explorer-kernel input'));
        return [style.color, style.backgroundColor].map(
            (each) => each.match(/\\d+/g).slice(0, 3).map(Number).reduce((a, b) => a + b)); }""")
    assert (ink < paper) == (scheme == "light")
    assert abs(ink - paper) > 300
    page.context.close()


# --- In the deck -------------------------------------------------------------------------


@pytest.mark.parametrize("lecture, kernel", [("01-tensors", "outline"), ("02-convolution", "vertical")])
def test_it_works_in_slides_and_typing_turns_no_slide(browser, site, lecture, kernel):
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.goto((site / "lectures" / f"{lecture}.slides.html").as_uri())
    page.wait_for_function("window.Reveal && Reveal.isReady()")
    page.evaluate("""() => {
        const slide = document.querySelector('.kernel-explorer').closest('section');
        const place = Reveal.getIndices(slide);
        Reveal.slide(place.h, place.v); }""")
    before = page.evaluate("Reveal.getIndices()")
    assert page.locator("select").first.input_value() == kernel
    page.locator(".explorer-kernel input").first.click()
    for key in ("1", "ArrowRight", "n", " ", "ArrowDown", "PageDown", "f"):
        page.keyboard.press(key)
    page.locator(".explorer-result .explorer-stage").focus()
    for key in ("ArrowRight", "ArrowDown", " ", "n"):
        page.keyboard.press(key)
    settle(page)
    assert page.evaluate("Reveal.getIndices()") == before
    assert page.locator(".explorer-total").inner_text().startswith("=")
    page.keyboard.press("Escape")
    context.close()


def test_pointing_is_exact_on_a_slide_that_is_scaled(browser, site):
    context = browser.new_context(viewport={"width": 1920, "height": 1080})
    page = context.new_page()
    page.goto((site / "lectures" / "01-tensors.slides.html").as_uri())
    page.wait_for_function("window.Reveal && Reveal.isReady()")
    page.evaluate("""() => {
        const slide = document.querySelector('.kernel-explorer').closest('section');
        const place = Reveal.getIndices(slide);
        Reveal.slide(place.h, place.v); }""")
    page.locator("select").first.select_option("blur")
    assert page.evaluate("Reveal.getScale()") == 1.5
    box = page.locator(".explorer-result canvas").bounding_box()
    height, width = PHOTO.shape[0] - 2, PHOTO.shape[1] - 2
    page.mouse.move(box["x"] + 120.5 * box["width"] / width, box["y"] + 80.5 * box["height"] / height)
    settle(page)
    check_sum(page, 80, 120, BLUR)
    context.close()


def test_it_works_in_the_notes(browser, site):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto((site / "lectures" / "01-tensors.html").as_uri())
    page.locator(".kernel-explorer select").select_option("identity")
    settle(page)
    assert np.array_equal(read_result(page), PHOTO[1:-1, 1:-1])
    context.close()


# --- Animations --------------------------------------------------------------------------


def current(page: Page) -> list[str]:
    return [each.get_attribute("alt") for each in page.locator("img").all() if each.is_visible()]


def test_animation_waits_for_those_who_prefer_reduced_motion(browser, tmp_path):
    page = opened(browser, tmp_path, ANIMATION, reduced_motion="reduce")
    page.wait_for_timeout(1600)
    assert current(page) == ["frame 1"]
    page.get_by_role("button", name="Next frame").click()
    assert current(page) == ["frame 2"]
    assert page.locator(".animation-place").inner_text() == "2 of 4"
    page.get_by_role("button", name="Previous frame").click()
    page.get_by_role("button", name="Previous frame").click()
    assert current(page) == ["frame 4"]
    page.context.close()


def test_animation_begins_still_plays_once_and_can_be_paused(browser, tmp_path):
    page = opened(browser, tmp_path, ANIMATION, reduced_motion="no-preference")
    assert current(page) == ["frame 1"]
    page.wait_for_function("document.querySelector('.animation-place').textContent === '2 of 4'")
    page.get_by_role("button", name="Pause").click()
    page.wait_for_timeout(1600)
    assert current(page) == ["frame 2"]
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function("document.querySelector('.animation-place').textContent === '4 of 4'")
    page.get_by_role("button", name="Play again").wait_for()
    page.wait_for_timeout(1400)
    assert current(page) == ["frame 4"]
    page.context.close()


def test_animation_steps_by_arrow_keys_and_they_go_no_further(browser, tmp_path):
    page = opened(browser, tmp_path, ANIMATION, reduced_motion="reduce")
    page.evaluate("document.addEventListener('keydown', () => { window.escaped = true; })")
    page.get_by_role("button", name="Play").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert current(page) == ["frame 2"]
    assert page.evaluate("window.escaped === undefined")
    page.context.close()


def test_animation_is_a_strip_on_paper_and_without_a_script(browser, tmp_path):
    everything = [f"frame {k}" for k in range(1, 5)]
    page = opened(browser, tmp_path, ANIMATION, reduced_motion="reduce")
    page.emulate_media(media="print")
    assert current(page) == everything
    assert not page.locator(".animation-controls").is_visible()
    page.context.close()
    page = opened(browser, tmp_path, ANIMATION, query="?print-pdf")
    assert current(page) == everything
    assert page.locator(".animation-controls").count() == 0
    page.context.close()
    page = opened(browser, tmp_path, ANIMATION, java_script_enabled=False)
    assert current(page) == everything
    page.context.close()


def test_animation_plays_on_its_own_slide_only(browser, site):
    """Neighbouring slides lie at the same place, hidden: there it neither starts nor goes on."""
    context = browser.new_context(viewport={"width": 1280, "height": 720}, reduced_motion="no-preference")
    page = context.new_page()
    page.goto((site / "lectures" / "02-convolution.slides.html").as_uri())
    page.wait_for_function("window.Reveal && Reveal.isReady()")
    page.evaluate("""() => {
        const slide = document.querySelector('.animation').closest('section');
        const place = Reveal.getIndices(slide);
        Reveal.slide(place.h, place.v);
        Reveal.prev(); }""")
    place = page.locator(".animation-place").first
    page.wait_for_timeout(1800)
    assert place.text_content() == "1 of 9"
    page.evaluate("Reveal.next()")
    page.wait_for_function("document.querySelector('.animation-place').textContent === '2 of 9'")
    page.evaluate("Reveal.next()")
    page.wait_for_timeout(100)
    left = place.text_content()
    page.wait_for_timeout(1800)
    assert place.text_content() == left
    context.close()


def test_animation_of_lecture_2_has_nine_frames(browser, site):
    context = browser.new_context(viewport={"width": 1280, "height": 720}, reduced_motion="reduce")
    page = context.new_page()
    page.goto((site / "lectures" / "02-convolution.html").as_uri())
    assert page.locator(".animation-place").first.inner_text() == "1 of 9"
    frames = page.locator(".cell.animation").first.locator("img")
    assert [each.is_visible() for each in frames.all()] == [True] + [False] * 8
    context.close()

"""The drawing pad in a browser, from disk: Keras's numbers; mouse, finger, pen and keyboard."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from pathlib import Path

import course  # noqa: F401
from course.data import handwriting_folder
from course.loaders import load_images_from_directory, preprocess_image
from course.models.fitting import load_artefact

import cv2
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from tools.draw_yourself import MODEL, up_to_date

REPOSITORY = Path(__file__).resolve().parents[2]
ASSETS = REPOSITORY / "assets"
PAD = f"""<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Pad</title>
<link rel="stylesheet" href="{(ASSETS / "styles/tokens.css").as_uri()}">
<link rel="stylesheet" href="{(ASSETS / "styles/draw-yourself.css").as_uri()}">
<main style="max-width: 1136px"><div class="draw-yourself"><p id="still">Still.</p></div></main>
<script src="{(ASSETS / "js/draw-yourself-weights.js").as_uri()}"></script>
<script src="{(ASSETS / "js/draw-yourself.js").as_uri()}"></script>
<script>let keys = []; document.addEventListener("keydown", (e) => keys.push(e.key));</script>"""


@contextmanager
def opened(browser: Browser, path: Path, text: str = PAD, width: int = 1280, height: int = 720, **options):
    """A page with the pad, from disk, in which no script may fail."""
    path.write_text(text, encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri())
    yield page
    context.close()
    assert not errors


@pytest.fixture
def pad(browser: Browser, tmp_path: Path):
    with opened(browser, tmp_path / "page.html") as page:
        yield page


def settle(page: Page) -> None:
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def state(page: Page) -> dict:
    settle(page)
    return page.evaluate("""() => {
        const drawing = document.querySelector('.draw-yourself').drawing;
        return {strokes: drawing.strokes.length, logits: drawing.logits && [...drawing.logits]};
    }""")


def test_logits_equal_those_of_keras_on_200_test_images(pad) -> None:
    model, _ = load_artefact(MODEL.stem)
    X, _, _ = load_images_from_directory(handwriting_folder() / "Test")
    images = X[np.random.default_rng(0).choice(len(X), 200, replace=False)]
    found = pad.evaluate(
        """images => {
        const network = drawYourself.makeNetwork(drawYourselfNetwork);
        return images.map((image) => [...network.predict(image).logits]);
    }""",
        images.reshape(200, -1).tolist(),
    )
    assert np.abs(np.array(found) - model.predict(images, verbose=0)).max() < 1e-3


def test_resize_equals_that_of_the_loader(pad) -> None:
    for path in sorted((handwriting_folder() / "Test").glob("*/*.png"))[::150]:
        image = np.asarray(Image.open(path).convert("L"))
        found = pad.evaluate(
            """([data, height, width]) =>
            [...drawYourself.resize({data: Uint8Array.from(data), height, width}, 80, 60).data]""",
            [image.ravel().tolist(), *image.shape],
        )
        assert np.array_equal(np.array(found).reshape(80, 60, 1), preprocess_image(path)), path


def draw(pad, strokes) -> bool:
    """Draw strokes, points (x, y) from 0 to 1 downwards, by mouse; whether the pad knows none of it."""
    pad.get_by_role("button", name="Clear").click(force=True) if state(pad)["strokes"] else None
    box = pad.locator(".dy-pad").bounding_box()
    for stroke in strokes:
        points = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in stroke]
        pad.mouse.move(*points[0])
        pad.mouse.down()
        for point in points[1:]:
            pad.mouse.move(*point)
        pad.mouse.up()
    settle(pad)
    return "none that it knows" in pad.locator(".dy-verdict").inner_text()


def test_printed_strokes_are_read(pad) -> None:
    """At least 50 of the 55 characters, drawn by mouse along their strokes' middle lines."""
    names, right, known = up_to_date()["classNames"], [], []
    for name in names:
        text = (REPOSITORY / "data/strokes" / f"{name}.json").read_text(encoding="utf-8")
        medians = json.loads(text)["medians"]
        # Each move is read and drawn, so one a bend is enough.
        bends = [cv2.approxPolyDP(np.float32(stroke), 8, False)[:, 0].tolist() for stroke in medians]
        strokes = [[(0.1 + 0.8 * x / 1024, 0.1 + 0.8 * (900 - y) / 1024) for x, y in each] for each in bends]
        known.append(not draw(pad, strokes))
        right.append(names[int(np.argmax(state(pad)["logits"]))] == name)
    assert sum(right) >= 50, [name for name, ok in zip(names, right) if not ok]
    assert sum(known) >= 45, [name for name, ok in zip(names, known) if not ok]


def arc(x: float, y: float, radius: float, start: float, end: float) -> list[tuple[float, float]]:
    """Points of a circle around (x, y), angles in turns, clockwise from the right."""
    angles = 2 * np.pi * np.linspace(start, end, 24)
    return [(x + radius * np.cos(each), y + radius * np.sin(each)) for each in angles]


OTHERS = {
    "a smiling face": [arc(0.5, 0.5, 0.4, 0, 1), arc(0.35, 0.4, 0.03, 0, 1), arc(0.65, 0.4, 0.03, 0, 1),
                       arc(0.5, 0.52, 0.22, 0.05, 0.45)],
    "an eight": [arc(0.5, 0.3, 0.18, 0, 1), arc(0.5, 0.7, 0.22, 0, 1)],
    "a three": [arc(0.45, 0.3, 0.18, 0.6, 1.25), arc(0.45, 0.68, 0.2, 0.75, 1.4)],
    "an S": [arc(0.5, 0.3, 0.2, 0.95, 0.25), arc(0.5, 0.7, 0.2, 0.75, 1.45)],
    "a target": [arc(0.5, 0.5, radius, 0, 1) for radius in (0.4, 0.25, 0.1)],
    "a zigzag": [[(0.1 + 0.1 * n, 0.2 if n % 2 else 0.8) for n in range(9)]],
    "a scribble": [[*arc(0.4, 0.5, 0.3, 0, 3), *arc(0.6, 0.5, 0.3, 0, 3)]],
    "a W": [[(0.1, 0.2), (0.3, 0.8), (0.5, 0.3), (0.7, 0.8), (0.9, 0.2)]],
}  # fmt: skip


def test_most_drawings_of_other_things_are_told(pad) -> None:
    told = {name: draw(pad, strokes) for name, strokes in OTHERS.items()}
    assert sum(told.values()) >= len(told) / 2, told
    count = len(up_to_date()["classNames"])
    assert pad.locator(".dy-known").inner_text().startswith(f"It knows {count} characters: ")


def test_keyboard_draws_and_no_key_reaches_the_page(pad) -> None:
    pad.locator(".dy-pad").focus()
    for key in [
        "ArrowUp",
        "Space",
        *["ArrowRight"] * 5,
        "Space",
        "ArrowDown",
        "Space",
        *["ArrowLeft"] * 5,
        "Space",
    ]:
        pad.keyboard.press(key)
    found = state(pad)
    assert found["strokes"] == 2 and found["logits"] is not None
    assert pad.locator(".dy-maps canvas").count() == 16
    pad.keyboard.press("z")
    assert state(pad)["strokes"] == 1
    pad.keyboard.press("c")
    assert state(pad)["logits"] is None
    assert pad.evaluate("keys") == []


def test_undo_and_clear(pad) -> None:
    box = pad.locator(".dy-pad").bounding_box()
    for x in (100, 200):
        pad.mouse.move(box["x"] + x, box["y"] + 60)
        pad.mouse.down()
        pad.mouse.move(box["x"] + x, box["y"] + 300)
        pad.mouse.up()
    assert state(pad)["strokes"] == 2
    pad.get_by_role("button", name="Undo").click()
    assert state(pad)["strokes"] == 1
    pad.get_by_role("button", name="Clear").click()
    assert state(pad)["strokes"] == 0
    # After a mouse the keys belong to the page.
    pad.keyboard.press("ArrowRight")
    assert pad.evaluate("keys") == ["ArrowRight"]


def test_a_finger_draws_and_does_not_scroll(browser: Browser, tmp_path: Path) -> None:
    """By the touch input of the browser itself, not by events that a script makes."""
    text = PAD.replace("</main>", "<p style='height: 3000px'></p></main>")
    with opened(browser, tmp_path / "page.html", text, 360, 640, has_touch=True, is_mobile=True) as page:
        page.evaluate("""kinds = new Set(); document.querySelector(".dy-pad").addEventListener(
            "pointerdown", (event) => kinds.add(event.pointerType))""")
        box = page.locator(".dy-pad").bounding_box()
        session = page.context.new_cdp_session(page)
        x, top, height = box["x"] + box["width"] / 2, box["y"], box["height"]
        for kind, share in (
            ("touchStart", 0.8),
            *(("touchMove", 0.8 - n / 20) for n in range(1, 12)),
            ("touchEnd", None),
        ):
            points = [] if share is None else [{"x": x, "y": top + share * height}]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        found = state(page)
        assert found["strokes"] == 1 and len(found["logits"]) == len(up_to_date()["classNames"])
        assert page.evaluate("[...kinds]") == ["touch"]
        assert page.evaluate("scrollY") == 0, "the page must stay where it is while one draws"


def test_a_pen_draws(pad) -> None:
    box = pad.locator(".dy-pad").bounding_box()
    session = pad.context.new_cdp_session(pad)
    for kind, y in (
        ("mousePressed", 80),
        *(("mouseMoved", y) for y in range(90, 300, 20)),
        ("mouseReleased", 300),
    ):
        session.send(
            "Input.dispatchMouseEvent",
            {
                "type": kind,
                "x": box["x"] + 200,
                "y": box["y"] + y,
                "button": "left",
                "buttons": 1,
                "clickCount": 1,
                "pointerType": "pen",
            },
        )
    assert state(pad)["strokes"] == 1


def test_answer_is_chinese_and_announced(pad) -> None:
    box = pad.locator(".dy-pad").bounding_box()
    pad.mouse.move(box["x"] + 60, box["y"] + 200)
    pad.mouse.down()
    pad.mouse.move(box["x"] + 340, box["y"] + 200)
    pad.mouse.up()
    settle(pad)
    assert pad.locator(".dy-name").first.get_attribute("lang") == "zh"
    assert pad.locator(".dy-name").first.inner_text() in up_to_date()["classNames"]
    status = pad.locator("[aria-live=polite]")
    status.filter(has_text=re.compile("^Read as|if one, ")).wait_for(state="attached", timeout=10_000)


def test_still_picture_stands_without_script_and_in_print(browser, tmp_path, pad) -> None:
    assert not pad.locator("#still").is_visible()
    pad.emulate_media(media="print")
    assert pad.locator("#still").is_visible() and not pad.locator(".dy-live").is_visible()
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    assert page.locator("#still").is_visible()
    context.close()

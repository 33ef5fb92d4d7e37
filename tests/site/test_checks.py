"""The checks themselves, on a deck and pages made to fail: each defect is found, once a slide."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

import pytest

from render import browser as engine

from .checks import Findings, check_deck, check_page, smallest_text

FONT = Path(__file__).resolve().parents[2] / "assets/fonts/course-kai.woff2"
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgaPj/"
    "HwADBwIAMCbHYQAAAABJRU5ErkJggg=="
)

# The id of a slide, what is on it, and what the checks must say about it ("" for nothing).
SLIDES = (
    (
        "whole",
        "<p>Text</p><pre>short</pre><p class='kai'>人</p>"
        f"<img src='{PIXEL}' alt='A dot' width='40' height='40'>"
        "<table><tr><th>a</th><td>1</td></tr></table>",
        "",
    ),
    ("below", "<p>a</p><p style='margin-top: 700px'>Far below</p>", "outside the slide (bottom)"),
    (
        "right",
        "<p style='margin-left: 1200px; white-space: nowrap'>Too far to the right</p>",
        "outside the slide (right)",
    ),
    (
        "picture-below",
        f"<img src='{PIXEL}' alt='Tall' width='40' height='900'>",
        "outside the slide (bottom)",
    ),
    (
        "long-code",
        "<pre style='width: 300px'>a_long_line_of_code = another_long_name + 1</pre>",
        "wider than its box: <pre>",
    ),
    (
        "clipped",
        "<div style='width: 200px; overflow: hidden'><p style='width: 500px'>Cut</p></div>",
        "wider than its box: <div>",
    ),
    (
        "scrolled",
        "<div style='height: 60px; overflow: auto'><p>a</p><p>b</p><p>c</p></div>",
        "higher than its box: <div>",
    ),
    (
        "wide-table",
        "<div style='width: 300px'><table style='width: 600px'><tr><td>a</td></tr></table></div>",
        "wider than its place",
    ),
    ("small", "<p style='font-size: 17px'>Small print</p>", "text of 17.0 px, under 18"),
    (
        "small-drawing",
        "<svg viewBox='0 0 100 100' width='200' height='200' aria-label='A word'>"
        "<text y='50' font-size='8'>word</text></svg>",
        "text of 16.0 px, under 18",
    ),
    (
        "overlap",
        "<p style='position: absolute; top: 200px'>One over the other</p>"
        "<p style='position: absolute; top: 210px'>Two over the first</p>",
        "overlap: <p>",
    ),
    (
        "over-picture",
        f"<img src='{PIXEL}' alt='Box' width='300' height='300' "
        "style='position: absolute; top: 100px; left: 40px'>"
        "<p style='position: absolute; top: 150px; left: 60px'>Text on it</p>",
        "overlap: <p>",
    ),
    ("over-footer", "<p style='position: absolute; bottom: 10px'>As low as the footer</p>", "overlap: <p>"),
    (
        "mark-over-code",
        "<pre style='position: relative; width: 600px'>code that goes on and on"
        "<a class='code-annotation-anchor' style='position: absolute; left: 200px'>1</a></pre>",
        "annotation 1 over",
    ),
    (
        "mark-beside-code",
        "<pre style='position: relative; width: 1000px'>short"
        "<a class='code-annotation-anchor' style='position: absolute; right: 0'>1</a></pre>",
        "",
    ),
    ("missing", "<img src='nowhere.png' alt='Nothing' width='40' height='40'>", "missing image"),
    ("no-alt", f"<img src='{PIXEL}' width='40' height='40'>", "image without alt text"),
    ("empty-alt", f"<img src='{PIXEL}' alt='' width='40' height='40'>", "image without alt text"),
    (
        "svg-without-name",
        "<svg width='40' height='40'><rect width='40' height='40'/></svg>",
        "drawing (svg) without",
    ),
    ("no-glyph", "<p class='kai'>\U0003134a</p>", "Chinese character not drawn: \U0003134a"),
    ("other-font", "<p style='font-family: serif'>人</p>", "Chinese without the font Course Kai"),
    (
        "second-fragment",
        "<p class='fragment'>First</p><p class='fragment' style='margin-left: 1270px'>Second</p>",
        "outside the slide (right)",
    ),
)

DECK = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Deck</title>
<link rel="stylesheet" href="{reveal}/reset.css"><link rel="stylesheet" href="{reveal}/reveal.css">
<style>
@font-face {{ font-family: "Course Kai"; src: url("{font}"); }}
.reveal .slides section {{
  box-sizing: border-box; height: 720px; padding: 40px; font: 28px sans-serif;
}}
.reveal .kai {{ font-family: "Course Kai", sans-serif; }}
.reveal .footer {{ position: absolute; bottom: 12px; left: 40px; font: 18px sans-serif; }}
{css}
</style></head>
<body><div class="reveal"><div class="slides">
{slides}
</div><div class="footer">Footer</div></div>
<script src="{reveal}/reveal.js"></script>
<script>
Reveal.initialize({{ width: 1280, height: 720, margin: 0, center: false, transition: "none",
  pdfSeparateFragments: false }});
{script}
</script></body></html>
"""


def write_deck(folder: Path, slides: str, css: str = "", script: str = "") -> Path:
    """A reveal.js deck from the package that the renderer takes reveal.js from."""
    package = importlib.resources.files("sphinx_revealjs")
    reveal = Path(str(package)) / "_static/revealjs/dist"
    path = folder / "deck.slides.html"
    path.write_text(
        DECK.format(reveal=reveal.as_uri(), font=FONT.as_uri(), slides=slides, css=css, script=script),
        encoding="utf-8",
    )
    return path


@pytest.fixture(scope="module")
def findings(browser, tmp_path_factory) -> Findings:
    """What the checks say about SLIDES at 1280 x 720."""
    slides = "\n".join(
        f'<section id="{slide}"><h2>{slide}</h2>{content}</section>' for slide, content, _ in SLIDES
    )
    folder = tmp_path_factory.mktemp("a folder 汉字")
    return check_deck(browser, write_deck(folder, slides), ((1280, 720),))


@pytest.mark.parametrize(
    ("slide", "expected"), [(slide, text) for slide, _, text in SLIDES], ids=[slide for slide, _, _ in SLIDES]
)
def test_each_defect_is_found_on_its_slide_and_nothing_else(findings, slide, expected) -> None:
    said = [problem for problem in findings.problems if f"(#{slide})" in problem]
    if expected:
        assert any(expected in problem for problem in said), said
        assert len({problem.split(": ", 1)[1].split(":")[0] for problem in said}) <= 2, said
    else:
        assert not said


def test_the_deck_is_read_to_its_end(findings) -> None:
    assert findings.slides == [slide for slide, _, _ in SLIDES]
    assert {"人", "\U0003134a"} <= findings.characters


def test_console_errors_and_requests_are_reported(browser, tmp_path) -> None:
    path = write_deck(
        tmp_path,
        "<section id='a'><h2>A</h2></section><section id='b'><h2>B</h2></section>",
        css="body { background: url('gone.png'); }",
        script="console.error('spoken'); fetch('https://example.invalid/x').catch(() => {});"
        "setTimeout(() => { throw new Error('thrown'); });",
    )
    said = "\n".join(check_deck(browser, path, ((1280, 720),)).problems)
    assert "console error: spoken" in said
    assert "script error: thrown" in said
    assert "failed request: " in said and "gone.png" in said
    assert "request that leaves the disk: https://example.invalid/x" in said


def test_small_text_counts_only_at_the_small_size(browser, tmp_path) -> None:
    path = write_deck(tmp_path, "<section id='a'><h2>A</h2><p style='font-size: 17px'>b</p></section>")
    assert not check_deck(browser, path, ((1920, 1080),)).problems
    assert check_deck(browser, path, ((1280, 720),)).problems


DRAWING = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}pt" height="72pt"
viewBox="0 0 {width} 72"><g id="text_1"><!-- 0 -->
<g transform="translate(9 9) scale({scale} -0.14)"></g></g></svg>"""


def test_labels_of_figures_are_measured_as_shown(browser, tmp_path) -> None:
    """14 pt is 18.7 px at the figure's own size of 400 pt = 533 px, and less when it is shrunk."""
    figure = tmp_path / "figure.svg"
    figure.write_text(DRAWING.format(width=400, scale=0.14), encoding="utf-8")
    assert smallest_text(figure.as_uri(), 400 * 4 / 3) == pytest.approx(18.67, abs=0.01)
    for style, expected in (
        ("", 0),
        ("width: 300px", 1),
        ("width: 533px; height: 40px; object-fit: contain", 1),
    ):
        path = write_deck(
            tmp_path,
            f"<section id='a'><h2>A</h2><img src='figure.svg' alt='A figure' style='{style}'></section>",
        )
        said = check_deck(browser, path, ((1280, 720),)).problems
        assert [("labels of" in each) for each in said] == [True] * expected, said


def test_figures_made_by_matplotlib_are_understood(tmp_path) -> None:
    """The smallest label of a real figure, as matplotlib writes it today."""
    import matplotlib
    from matplotlib.figure import Figure

    path = tmp_path / "a figure 图.svg"
    for kind in ("path", "none"):
        with matplotlib.rc_context({"svg.fonttype": kind}):
            figure = Figure(figsize=(5, 3))
            figure.subplots().set_xlabel("large", fontsize=20)
            figure.axes[0].tick_params(labelsize=12)
            figure.savefig(path)
        assert smallest_text(path.as_uri(), 5 * 96) == pytest.approx(16, abs=0.1), kind


PAGES = (
    ("whole", "<p>Text</p><pre style='overflow-x: auto'>" + "long " * 80 + "</pre>", ""),
    ("wide", "<p style='width: 700px'>Wider than a telephone</p>", "px wider than the window of 360"),
    ("missing", "<img src='nowhere.png' alt='Nothing'>", "missing image"),
    ("no-alt", f"<img src='{PIXEL}'>", "image without alt text"),
    ("error", "<script>console.error('spoken')</script>", "console error: spoken"),
    ("remote", "<img src='https://example.invalid/a.png' alt='Far'>", "leaves the disk"),
    ("no-font", "<p>人</p>", "Chinese without the font Course Kai"),
)


@pytest.mark.parametrize(("name", "body", "expected"), PAGES, ids=[page[0] for page in PAGES])
def test_defects_of_pages_are_found(browser, tmp_path, name, body, expected) -> None:
    path = tmp_path / f"{name}.html"
    path.write_text(
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{name}</title>"
        f"<body>{body}</body></html>",
        encoding="utf-8",
    )
    said = check_page(browser, path).problems
    if expected:
        assert any(expected in problem for problem in said), said
    else:
        assert not said


def test_a_module_from_disk_is_an_error(browser, tmp_path) -> None:
    """A browser refuses it; Quarto's own two are made ordinary scripts after each render."""
    script = "site_libs/quarto-html/quarto.js"
    (tmp_path / script).parent.mkdir(parents=True)
    (tmp_path / script).write_text("export {};", encoding="utf-8")
    page = tmp_path / "page.html"
    for kind in ("type='module'", "defer"):
        page.write_text(
            f"<!doctype html><html lang='en'><title>m</title><script {kind} src='{script}'></script>",
            encoding="utf-8",
        )
        said = check_page(browser, page, (1280,)).problems
        if kind == "defer":
            assert len(said) == 1 and "script error" in said[0], said
        else:
            assert any("console error" in each for each in said), said


def test_without_a_browser_the_message_says_what_to_do(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("COURSE_BROWSER", str(tmp_path / "none"))
    with pytest.raises(engine.NoBrowserError, match="not a file"):
        engine.find_browser()

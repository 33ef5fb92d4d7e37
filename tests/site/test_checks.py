"""The checks themselves, on decks and pages made to fail: each defect is found, on its slide."""

from __future__ import annotations

import importlib.resources
import re
from pathlib import Path

import pytest

from tools import browser as engine

from .checks import Findings, check_deck, check_page, opened, smallest_text

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
:focus-visible {{ outline: 3px solid; }}
.reveal .footer {{ position: absolute; bottom: 12px; left: 40px; font: 18px sans-serif; }}
{css}
</style></head>
<body><div class="reveal"><div class="slides">
{slides}
</div><div class="footer"><a href="#">Footer</a> <a href="#">link</a></div></div>
<script src="{reveal}/reveal.js"></script>
<script>
Reveal.initialize({{ width: 1280, height: 720, margin: 0, center: false, transition: "none",
  pdfSeparateFragments: false, navigationMode: "linear" }});
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


def problems_of_deck(browser, path: Path, width: int = 1280, height: int = 720, **options) -> list[str]:
    """What the checks say about a deck."""
    found = Findings()
    with opened(browser, path, found, width, height) as page:
        check_deck(page, found, path.name, **options)
    return found.problems


@pytest.fixture(scope="module")
def findings(browser, tmp_path_factory) -> Findings:
    """What the checks say about SLIDES at 1280 x 720."""
    slides = "\n".join(
        f'<section id="{slide}"><h2>{slide}</h2>{content}</section>' for slide, content, _ in SLIDES
    )
    folder = tmp_path_factory.mktemp("a folder 汉字")
    found, path = Findings(), write_deck(folder, slides)
    with opened(browser, path, found) as page:
        check_deck(page, found, path.name)
    return found


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
    said = "\n".join(problems_of_deck(browser, path))
    assert "console error: spoken" in said
    assert "script error: thrown" in said
    assert "failed request: " in said and "gone.png" in said
    assert "request that leaves the disk: https://example.invalid/x" in said


def test_small_text_counts_only_at_the_small_size(browser, tmp_path) -> None:
    path = write_deck(tmp_path, "<section id='a'><h2>A</h2><p style='font-size: 17px'>b</p></section>")
    assert not problems_of_deck(browser, path, 1920, 1080, fit_only=True)
    assert problems_of_deck(browser, path, fit_only=True)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("", []),
        ("Reveal.configure({keyboard: false});", ["does not lead to each slide"]),
        ("Reveal.on('fragmentshown', () => Reveal.nextFragment());", ["a fragment was skipped"]),
    ],
)
def test_a_deck_is_given_by_keyboard(browser, tmp_path, script, expected) -> None:
    path = write_deck(
        tmp_path,
        "<section><h2>One</h2></section><section><section><h2>Two</h2>"
        "<p class='fragment'>a</p><p class='fragment'>b</p></section>"
        "<section><h2>Three</h2></section></section>",
        script=script,
    )
    said = problems_of_deck(browser, path)
    assert len(said) == len(expected) and all(map(str.__contains__, said, expected)), said


def test_what_cannot_be_read_or_reached_on_a_slide_is_found(browser, tmp_path) -> None:
    path = write_deck(
        tmp_path,
        "<section id='one'><h2>One</h2><p class='kai'>大</p></section>"
        "<section id='two'><h2>Two</h2><button></button><p style='color: #bbb'>Faint</p></section>"
        "<section id='three'><h2>Three</h2><a href='#a'>a</a>"
        "<div tabindex='0' onfocus='this.previousSibling.focus()'>b</div></section>",
    )
    said = problems_of_deck(browser, path)
    for expected in (
        r'^deck.slides.html: Chinese without lang="zh": 大',
        r"#one.*Tab leads to something unseen: <button>",  # a control of the next slide
        r"#two.*critical: button-name",
        r"#two.*serious: color-contrast",
        r"#three.*Tab does not reach <div>",
    ):
        assert [each for each in said if re.search(expected, each)], (expected, said)


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
        said = problems_of_deck(browser, path, fit_only=True)
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


LONG = "x" * 300
# What is on a page, and what the checks must say about it ("" for nothing).
PAGES = {
    "whole": (
        "<p>Text, <span lang='zh'>大</span>, <code>大</code></p><a href='#a'>a</a>"
        "<label>c <select><option>c</select></label>"
        "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>"
        "<table><tr><th>a</th><td>1</td></tr><tr><th>b</th><td>2</td></tr></table>"
        "<details open><summary>Code</summary><p>x</p></details>",
        "",
    ),
    "wide": ("<p style='width: 700px'>Wider than a telephone</p>", "px wider than the window of 360"),
    "missing": ("<img src='nowhere.png' alt='Nothing'>", "missing image"),
    "no-alt": (f"<img src='{PIXEL}'>", "image without alt text"),
    "error": ("<script>console.error('spoken')</script>", "console error: spoken"),
    "remote": ("<img src='https://example.invalid/a.png' alt='Far'>", "leaves the disk"),
    "no-font": ("<p style='font-family: serif'>人</p>", "Chinese without the font Course Kai"),
    # axe-core
    "image-alt": ("<img src='a.png'>", "critical: image-alt"),
    "faint": ("<p style='color: #bbb; background: #fff'>Faint</p>", "serious: color-contrast"),
    "no-name": ("<button></button>", "critical: button-name"),
    "scrolled": (
        f"<pre style='width: 90px; overflow-x: auto'>{LONG}</pre>",
        "serious: scrollable-region-focusable",
    ),
    # by ear
    "no-lang": ("<p>Big: 大</p>", 'Chinese without lang="zh": Big: 大'),
    "other-lang": ("<p lang='zh'><em lang='en'>Big, 大</em></p>", 'Chinese without lang="zh"'),
    "headless": ("<table><tr><td>a</td><td>1</td></tr></table>", "table without header cells"),
    "empty-heads": ("<table><tr><th></th><th> </th></tr></table>", "table without header cells"),
    "late-head": (
        "<table><tr><td>a</td><td>b</td></tr><tr><th>c</th><td>d</td></tr></table>",
        "without a head above or beside",
    ),
    # by keyboard
    "unreached": (
        "<a href='#a'>a</a><div tabindex='0' onfocus='this.previousSibling.focus()'>b</div>",
        "Tab does not reach <div>",
    ),
    "caught": (
        "<a href='#a'>a</a><div tabindex='0' onkeydown='event.preventDefault()'>b</div><button>c</button>",
        "Tab does not get away from <div>",
    ),
    "no-focus": ("<a href='#a' style='outline: none'>a</a>", "no sign of the focus on <a>"),
    "unseen": ("<button style='opacity: 0'>b</button>", "Tab leads to something unseen: <button>"),
    # on paper
    "bar": ("<nav>Home</nav>", "navigation on paper: <nav>"),
    "cut": (f"<pre style='overflow-x: auto'>{LONG}</pre>", "wider than its box: <pre>"),
    "over-paper": (f"<pre>{LONG}</pre>", "text hangs over the paper: <pre>"),
    "wide-box": ("<div style='width: 1200px'>a</div>", "hangs over the paper by"),
    "cut-below": (
        "<div style='height: 30px; overflow: hidden'><p>a</p><p>b</p></div>",
        "higher than its box: <div>",
    ),
    "folded": ("<details><summary>Code</summary><p>x</p></details>", "folded away on paper"),
    "tab": ("<div role='tabpanel' style='display: none'>b</div>", "hidden by its tab on paper"),
}
HEAD = f"""<!doctype html><html lang='en'><meta charset='utf-8'><title>Page</title><style>
@font-face {{ font-family: "Course Kai"; src: url("{FONT.as_uri()}"); }}
body, code {{ font-family: sans-serif, "Course Kai"; }} :focus-visible {{ outline: 3px solid; }}</style>"""


def problems_of_page(browser, path: Path, text: str) -> list[str]:
    """What the checks say about a page of this text."""
    path.write_text(text, encoding="utf-8")
    found = Findings()
    with opened(browser, path, found) as page:
        check_page(page, found, path.name)
    return found.problems


@pytest.mark.parametrize("name", PAGES)
def test_defects_of_pages_are_found(browser, tmp_path, name) -> None:
    body, expected = PAGES[name]
    said = problems_of_page(browser, tmp_path / "page.html", f"{HEAD}<main><h1>Page</h1>{body}</main></html>")
    assert any(expected in problem for problem in said) if expected else said == [], said


def test_a_module_from_disk_is_an_error(browser, tmp_path) -> None:
    """A browser refuses it; Quarto's own two are made ordinary scripts after each render."""
    script = "site_libs/quarto-html/quarto.js"
    (tmp_path / script).parent.mkdir(parents=True)
    (tmp_path / script).write_text("export {};", encoding="utf-8")
    page = tmp_path / "page.html"
    for kind in ("type='module'", "defer"):
        said = problems_of_page(
            browser, page, f"{HEAD}<script {kind} src='{script}'></script><main><h1>Page</h1></main>"
        )
        if kind == "defer":
            assert len(said) == 1 and "script error" in said[0], said
        else:
            assert any("console error" in each for each in said), said


def test_without_a_browser_the_message_says_what_to_do(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("COURSE_BROWSER", str(tmp_path / "none"))
    with pytest.raises(engine.NoBrowserError, match="not a file"):
        engine.find_browser()

"""axe-core finds nothing serious or critical on any page, by day and by night, nor on slides.

Pages are read whole. Decks are read whole at their first slide; then each slide by itself, with all
its fragments shown.
"""

from __future__ import annotations

import importlib.resources
from pathlib import Path

import pytest

from .test_checks import write_deck
from .test_site import LECTURES

AXE = importlib.resources.files("axe_playwright_python") / "axe.min.js"
GRAVE = ("serious", "critical")
SLIDE = ".reveal .slides > section.present"
OTHERS = f".reveal .slides > section:not(.present), {SLIDE} > section:not(.present)"
# No `preload`: only css-orientation-lock asks for it, and a page on disk cannot fetch style sheets.
# axe-core walks the whole document however small the part that it reads, nine tenths of its time
# for a slide; so what need not be there is taken out meanwhile.
RUN = """async ([place, without]) => {
  const emptied = without ? [...document.querySelectorAll(without)] : [];
  const content = emptied.map((each) => [...each.childNodes]);
  for (const each of emptied) each.replaceChildren();
  try {
    const found = await axe.run(
      place || document, {resultTypes: ["violations"], preload: false});
    return found.violations.map((each) => [
      each.impact, each.id, each.nodes.map((node) => node.html.slice(0, 120))]);
  } finally {
    emptied.forEach((each, number) => each.replaceChildren(...content[number]));
  }
}"""
SHOW = """(number) => {
  const {h, v} = Reveal.getIndices(Reveal.getSlides()[number]);
  Reveal.slide(h, v);
  while (Reveal.availableFragments().next) Reveal.nextFragment();
}"""


def grave_problems(page, place: str = "", without: str = "") -> list[str]:
    """Serious and critical findings of axe-core in an open page, or a part of it, as it is now.

    What stands in the elements of ``without`` is not there meanwhile.
    """
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    return [
        f"{impact}: {name}: {html}"
        for impact, name, nodes in page.evaluate(RUN, [place, without])
        if impact in GRAVE
        for html in nodes
    ]


def grave_findings(browser, path: Path, scheme: str = "light") -> list[str]:
    """Serious and critical findings of axe-core as sentences."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 720}, color_scheme=scheme, reduced_motion="reduce"
    )
    try:
        page = context.new_page()
        page.goto(path.resolve().as_uri(), wait_until="load")
        is_deck = path.name.endswith(".slides.html")
        total = 1
        if is_deck:
            page.wait_for_function("window.Reveal && Reveal.isReady()", timeout=30_000)
            total = page.evaluate("Reveal.getSlides().length")
            page.evaluate(SHOW, 0)
        said = [f"{path.name} 1, {each}" for each in grave_problems(page)]
        for number in range(1, total):
            page.evaluate(SHOW, number)
            said += [
                f"{path.name} {number + 1}, {each}" for each in grave_problems(page, SLIDE, without=OTHERS)
            ]
        return list(dict.fromkeys(said))
    finally:
        context.close()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<p>Text</p>", ""),
        ("<img src='a.png'>", "image-alt"),
        ("<p style='color: #bbb; background: #fff'>Faint</p>", "color-contrast"),
        ("<button></button>", "button-name"),
        (
            "<pre style='width: 90px; overflow-x: auto'>a_line_of_code_that_goes_on_and_on</pre>",
            "scrollable-region-focusable",
        ),
    ],
)
def test_grave_findings_are_found(browser, tmp_path, body, expected) -> None:
    path = tmp_path / "page.html"
    path.write_text(
        f"<!doctype html><html lang='en'><title>Page</title><main><h1>Page</h1>{body}</main></html>",
        encoding="utf-8",
    )
    said = grave_findings(browser, path)
    assert any(expected in each for each in said) if expected else not said, said


def test_grave_findings_on_any_slide_are_found(browser, tmp_path) -> None:
    path = write_deck(
        tmp_path,
        "<section><h2>One</h2></section><section><section><h2>Two</h2>"
        "</section><section><h2>Three</h2><button></button>"
        "</section></section>",
    )
    said = grave_findings(browser, path)
    assert [each for each in said if "deck.slides.html 3, critical: button-name" in each], said


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index", *(f"lectures/{each}" for each in LECTURES)])
def test_pages_can_be_read_by_everyone(browser, site, name, scheme) -> None:
    assert grave_findings(browser, site / f"{name}.html", scheme) == []


@pytest.mark.parametrize("lecture", LECTURES)
def test_slides_can_be_read_by_everyone(browser, site, lecture) -> None:
    assert grave_findings(browser, site / "lectures" / f"{lecture}.slides.html") == []

"""The pip-only renderer: every feature of a page, in slides and in notes."""

import os
import re
import shutil
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from render.__main__ import main
from tests.render_command import run_render

SITE = Path(__file__).parent / "render" / "site"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """The test site rendered once, under LANG=C, below a folder with a space and Chinese."""
    folder = tmp_path_factory.mktemp("a site 字") / "site"
    shutil.copytree(SITE, folder)
    done = run_render(folder, "--engine", "pip")
    assert done.returncode == 0, done.stderr.decode("utf-8")
    return folder, done.stdout.decode("utf-8")


def page(folder, name):
    return BeautifulSoup((folder / "_site" / name).read_text(encoding="utf-8"), "lxml")


@pytest.fixture(scope="module")
def slides(rendered):
    return page(rendered[0], "lectures/01-features.slides.html")


@pytest.fixture(scope="module")
def notes(rendered):
    return page(rendered[0], "lectures/01-features.html")


def slide(soup, title):
    """The slide with a title."""
    for section in soup.select("section.slide"):
        heading = section.find(["h1", "h2"])
        if heading is not None and heading.get_text(strip=True) == title:
            return section
    raise AssertionError(f"no slide is titled {title!r}")


def section(soup, identifier):
    found = soup.find("section", id=identifier)
    assert found is not None, identifier
    return found


def text(tag):
    return " ".join(tag.get_text(" ", strip=True).split())


def test_names_engine_seconds_and_place(rendered):
    folder, output = rendered
    assert "pip-only renderer" in output
    assert re.search(r"\[2/2\] lectures/01-features.qmd \.\.\. [\d.]+ s, executed", output)
    assert (folder / "_site" / "index.html").resolve().as_uri() in output
    assert (folder / "_site" / "lectures" / "01-features_files" / "figure-html").is_dir()


def test_slides_have_quartos_titles_in_order(slides):
    titles = [
        text(each.find(["h1", "h2"])) if each.find(["h1", "h2"]) else ""
        for each in slides.select("div.slides section.slide")
    ]
    assert titles == [
        "Text",
        "Inline results and footnotes",
        "Lists and pauses",
        "Looks",
        "Code",
        "Echo, fold and annotations",
        "Steps",
        "Errors and warnings",
        "Where outputs go",
        "On the next slide",
        "On the next slide",
        "Figures",
        "One figure",
        "Figures in the text",
        "Two figures",
        "Tables",
        "Blocks",
        "Callouts",
        "Columns and conditions",
        "Tabs",
        "",
        "References",
    ]


def test_title_slide(slides, notes):
    title = slides.find("section", id="title-slide")
    assert text(title.h1) == "Every feature 字"
    assert text(title.select_one("p.subtitle")) == "One page"
    assert text(title.select_one(".quarto-title-author-name")) == "Ann Actuary"
    assert text(title.select_one("p.date")) == "2026-11-22"  # as Quarto has it
    header = notes.select_one("main > header#title-block-header")
    assert "Ann Actuary" in text(header) and "The University" in text(header)
    assert "November 22, 2026" in text(header)
    assert slides.html["lang"] == notes.html["lang"] == "en"


def test_inline_results(slides, notes):
    for soup in (slides, notes):
        assert "The answer is 42, the word is a_b*c, and markdown is bold" in text(soup)
    assert slide(slides, "Inline results and footnotes").find("strong").get_text() == "bold"


def test_math_is_mathml(slides):
    found = slide(slides, "Inline results and footnotes")
    assert [each["display"] for each in found.find_all("math")] == ["inline", "block"]
    assert not slides.find_all("script", src=re.compile("(?i)mathjax|katex"))


def test_links_and_citations(slides, notes):
    links = {text(each): each["href"] for each in slide(slides, "Inline results and footnotes").select("a")}
    assert links["the code"] == "#/code"
    assert links["2011"] == "#/references"
    assert "Liu and Yin" in text(slide(slides, "Inline results and footnotes"))
    assert notes.find(id="ref-liu2011") is not None


def test_footnotes_lie_on_their_slide(slides, notes):
    found = slide(slides, "Inline results and footnotes")
    assert "The text of the footnote" in text(found.select_one("aside ol.aside-footnotes"))
    assert found.find("sup", string="1")
    assert not slides.select('section[role="doc-endnotes"]')
    assert "The text of the footnote" in text(notes.select_one("#quarto-appendix #footnotes"))


def test_language_of_a_span(slides, notes):
    for soup in (slides, notes):
        assert soup.find("span", lang="zh").get_text() == "字"


def test_pauses_fragments_and_lists(slides, notes):
    found = slide(slides, "Lists and pauses")
    assert "After the pause." in text(found.select_one("div.fragment"))
    assert [text(each) for each in found.select("li.fragment")] == ["one", "two"]
    assert text(found.dd) == "Its definition."
    assert ". . ." not in text(section(notes, "lists-and-pauses"))


def test_slide_attributes_notes_and_footers(slides, notes):
    found = slide(slides, "Looks")
    assert "smaller" in found["class"]
    assert found["data-background-color"] == "#eeeeee"
    fragment = found.select_one("div.fragment.fade-up")
    assert fragment["data-fragment-index"] == "2"
    assert found.select_one("div.r-stack img")["alt"] == "A black dot"
    assert text(found.select_one("aside.notes")) == "Words for the speaker."
    assert text(found.select_one("div.footer")) == "A footer of its own"
    assert slides.select_one("div.footer-default").em.get_text() == "usual"


def test_folded_code(slides, notes):
    for soup in (slides, notes):
        details = soup.select_one("details.code-fold")
        assert not details.has_attr("open")
        assert details.summary.strong.get_text() == "it"
        assert "folded = 1" in details.select_one("div.sourceCode.cell-code code").get_text()


def test_the_keyboard_reaches_code_in_notes(slides, notes):
    blocks = notes.find_all("pre")
    assert blocks
    assert all(each["tabindex"] == "0" for each in blocks)
    assert not slides.select("pre[tabindex]")


def test_code_annotations(slides, notes):
    for soup in (slides, notes):
        cell = soup.find("pre", class_="code-annotation-code").find_parent("div", class_="cell")
        assert "<1>" not in cell.code.get_text()
        terms = cell.select("dl.code-annotation-container-grid dt")
        assert [text(each) for each in terms] == ["1", "2"]
        spans = cell.select("dd span")
        assert [each["data-code-lines"] for each in spans] == ["1", "2,3"]
        assert text(cell.dl).endswith("Add and print")
        order = [each.get("class", [""])[-1] for each in cell.find_all("div", recursive=False)]
        assert order[0] == "cell-code" and "cell-output-stdout" in order[-1]


def test_annotations_of_code_that_is_only_shown(slides, notes):
    for soup in (slides, notes):
        code = next(each for each in soup.find_all("pre") if "never run" in each.get_text())
        assert "<1>" not in code.get_text() and "code-annotation-code" in code["class"]
        listing = code.find_parent("div").find_next("dl")
        assert text(listing) == "1 It is only shown"


def test_a_cell_right_below_a_line_of_text_is_a_cell(slides, notes):
    for soup in (slides, notes):
        cell = soup.find("div", id="cell-at-once")
        assert text(cell.select_one("div.cell-output")) == "42"
        assert ":::" not in soup.get_text() and "eval" not in cell.get_text()


def test_line_steps(slides, notes):
    steps = slide(slides, "Steps").select_one("div.sourceCode")
    assert steps["data-code-line-numbers"] == "1|2-3"
    assert "number-lines" in steps.pre["class"]
    assert not section(notes, "steps").select("[data-code-line-numbers]")


def test_errors_warnings_and_hidden_outputs(slides):
    found = slide(slides, "Errors and warnings")
    error = found.select_one("div.cell-output-error")
    assert "ZeroDivisionError: division by zero" in error.get_text()
    assert "\x1b" not in error.get_text()
    assert "take care" in found.select_one("div.cell-output-stderr").get_text()
    assert "nobody reads this" not in "".join(each.get_text() for each in found.select("div.cell-output"))
    assert found.select_one("div.cell-output-stdout").get_text().split() == ["quiet", "and", "slow"]
    assert len(found.select("div.cell-output-stdout")) == 1
    assert "never_defined" in found.get_text()
    assert found.find("em", string="Markdown").find_parent(class_="cell") is None
    assert len(found.select("div.cell-output")) == 3


def test_output_locations(slides, notes):
    found = slide(slides, "Where outputs go")
    assert text(found.select_one("div.cell.fragment")) == "as a fragment"
    columns = found.select_one("div.cell.columns.column-output-location")
    assert [text(each) for each in columns.select("div.column")][1] == "in a column"
    pair = [
        each
        for each in slides.select("section.slide")
        if each.h2 is not None and text(each.h2) == "On the next slide"
    ]
    assert "on its own slide" not in pair[0].select("div.cell")[-1].get_text().replace(
        'print("on its own slide")', ""
    )
    assert text(pair[1].select_one("div.cell-output")) == "on its own slide"
    assert pair[1]["id"] == pair[0]["id"] + "-output"
    assert not section(notes, "where-outputs-go").select(".columns, .fragment")


def test_figure_with_caption_and_text(rendered, slides, notes):
    for soup in (slides, notes):
        output = soup.find("div", id="line")
        assert "cell-output-display" in output["class"]
        figure = output.select_one("div.quarto-figure-center > figure")
        assert figure.img["alt"] == "A line that rises from 1 to 3"
        assert text(figure.figcaption) == "A rising line" and figure.figcaption.em.get_text() == "line"
    source = notes.find("div", id="line").img["src"]
    assert source == "01-features_files/figure-html/line-output-1.svg"
    drawn = (rendered[0] / "_site" / "lectures" / source).read_text(encoding="utf-8")
    assert 'width="' in drawn and "<svg" in drawn
    assert "4in" not in drawn and re.search(r'viewBox="0 0 [\d.]+ [\d.]+"', drawn)


def test_figures_in_the_text_and_two_of_one_cell(slides, notes):
    for soup in (slides, notes):
        assert soup.find(id="dot").find("img")["alt"] == "A black disc"
        assert text(soup.find(id="dot").figcaption) == "A dot"
        assert soup.select_one("li figure img")["alt"] == "A disc in a list"
        figures = soup.find(id="cell-pair").select("figure")
        assert [each.img["alt"] for each in figures] == ["Line up", "Line down"]
        assert [text(each.figcaption) for each in figures] == ["Left", "Right"]


def test_tables(slides, notes):
    for soup in (slides, notes):
        assert text(soup.find(id="frame").caption) == "A table"
        plain = soup.find("table", class_="plan")
        assert text(plain.caption) == "A plain table"
        assert all(each["scope"] == "col" for each in soup.select("thead th"))
    assert "table" in notes.find("table", class_="plan")["class"]


def test_callouts(slides, notes):
    found = slide(slides, "Callouts").select("div.callout")
    kinds = ["note", "warning", "tip", "important"]
    assert [kind for box, kind in zip(found, kinds) if f"callout-{kind}" in box["class"]] == kinds
    assert text(found[0].select_one(".callout-title")) == "Mind this"
    assert text(found[1].select_one(".callout-title")) == "From its heading"
    assert text(found[2].select_one(".callout-title")) == "Tip"
    boxes = section(notes, "callouts").select("div.callout")
    assert boxes[0].select_one(".screen-reader-only").get_text() == "Note"
    folded = boxes[2].find("details", class_="callout-collapse")
    assert folded is not None and not folded.has_attr("open")
    assert "A folded tip." in text(folded)


def test_columns_and_conditional_content(slides, notes):
    found, other = slide(slides, "Columns and conditions"), section(notes, "columns-and-conditions")
    for each in (found, other):
        columns = each.select("div.columns > div.column")
        assert [text(column) for column in columns] == ["Left side.", "Right side."]
        assert "width:40%" in columns[0]["style"].replace(" ", "")
        assert "Nowhere." not in each.get_text()
    assert "Only on slides." in text(found) and "Only in notes." not in text(found)
    assert "Only in notes." in text(other) and "Only on slides." not in text(other)
    assert "Both have slide words." in text(found)
    assert "Both have note words." in text(other)
    assert "An aside." in text(found.find("aside", class_=lambda name: name != "notes"))


def test_tabs(slides, notes):
    for soup in (slides, notes):
        panel = soup.select_one("div.panel-tabset")
        tabs = panel.select('[role="tab"]')
        assert [text(each) for each in tabs] == ["First", "Second"]
        assert [each["aria-selected"] for each in tabs] == ["true", "false"]
        panes = [soup.find(id=each["aria-controls"]) for each in tabs]
        assert [text(each) for each in panes] == ["One.", "Two."]


def test_site_around_the_notes(rendered, notes):
    folder = rendered[0]
    bar = notes.select_one("header#quarto-header nav.navbar")
    assert [text(each) for each in bar.select(":scope > ul a")] == ["Home", "Features 字"]
    assert bar.select_one('a[aria-current="page"]')["href"] == "../lectures/01-features.html"
    assert notes.select_one("footer.footer em").get_text() == "tests"
    assert notes.select_one("nav#TOC a[href='#code']") is not None
    home = page(folder, "index.html")
    links = [each["href"] for each in home.select("main p a")]
    assert links == ["lectures/01-features.html#code", "lectures/01-features.slides.html"]
    assert not home.select("nav#TOC")


def test_every_reference_of_every_page_stays_in_the_site(rendered):
    folder = rendered[0] / "_site"
    checked = 0
    for path in sorted(folder.rglob("*.html")):
        if "site_libs" in path.parts:
            continue
        soup = BeautifulSoup(path.read_text(encoding="utf-8"), "lxml")
        for tag in soup.select("[src], [data-src], link[href]"):
            target = tag.get("src") or tag.get("data-src") or tag["href"]
            assert "://" not in target, target
            assert (path.parent / target.split("#")[0]).is_file(), target
            checked += 1
    assert checked > 20
    for path in folder.rglob("*.css"):
        assert not re.search(r"url\(['\"]?https?:|@import[^;]*https?:", path.read_text("utf-8"))


def test_reveal_is_set_up_as_quarto_does(slides):
    script = slides.find_all("script")[-1].string
    for setting in (
        '"width": 1280',
        '"height": 720',
        '"slideNumber": "c/t"',
        '"hash": true',
        '"navigationMode": "linear"',
        '"transition": "none"',
    ):
        assert setting in script
    assert "RevealNotes" in script


def test_unchanged_pages_are_left_alone(rendered, capsys, monkeypatch):
    folder, _ = rendered
    before = {path: path.stat().st_mtime_ns for path in (folder / "_site").rglob("*")}
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith("COURSE_")]:  # as run_render did
        monkeypatch.delenv(name)
    assert main(["--engine", "pip"]) == 0
    output = capsys.readouterr().out
    assert len(re.findall(r"s, unchanged", output)) == 2, output
    assert {path: path.stat().st_mtime_ns for path in (folder / "_site").rglob("*")} == before

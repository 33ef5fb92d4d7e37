"""The way through the course, as a reader goes it: from disk, on a desk and on a phone."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from render.frame import Frame
from render.project import Project

from .checks import Findings, grave_problems, opened
from .test_site import LECTURES, REPOSITORY

DESK, PHONE = (1280, 720), (390, 844)
SIZES = pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
SAMPLE = LECTURES[2 if len(LECTURES) > 2 else 0]
WIDTH = "() => document.documentElement.scrollWidth"
IN_WINDOW = """(each) => { const box = each.getBoundingClientRect();
  return box.top >= 0 && box.bottom <= innerHeight && box.width > 0; }"""


def soup_of(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "lxml")


def rows_of(site: Path) -> list[list[str]]:
    """Address, page, heading and text of each place that the search knows."""
    text = (site / "search-index.js").read_text(encoding="utf-8")
    return json.loads(text.removeprefix("courseSearch(").removesuffix(");\n"))


@SIZES
def test_next_and_previous_lead_through_all_lectures(browser, site, size) -> None:
    findings = Findings()
    with opened(browser, site / f"lectures/{LECTURES[0]}.html", findings, *size) as page:
        met = [LECTURES[0]]
        for rel, rest in (("next", LECTURES[1:]), ("prev", LECTURES[-2::-1])):
            for _ in rest:
                page.locator(f".pager a[rel={rel}]").click()
                page.wait_for_load_state()
                met.append(Path(page.url).stem)
                assert page.evaluate(WIDTH) <= size[0]
            assert page.locator(f".pager a[rel={rel}]").count() == 0
        assert met == [*LECTURES, *LECTURES[-2::-1]]
    assert findings.problems == []


@SIZES
def test_the_bar_leads_to_every_lecture_from_far_down_the_page(browser, site, size) -> None:
    with opened(browser, site / f"lectures/{SAMPLE}.html", None, *size) as page:
        page.evaluate("scrollTo(0, 9000)")
        menu = page.locator("#quarto-header .menu").first
        menu.locator("summary").click()
        links = menu.locator("ol a")
        assert [Path(each.get_attribute("href")).stem for each in links.all()] == LECTURES
        assert all(each.evaluate(IN_WINDOW) for each in links.all())
        assert menu.locator("ol a[aria-current=page]").get_attribute("href").endswith(f"{SAMPLE}.html")
        page.keyboard.press("Escape")
        assert not links.first.is_visible()
        menu.locator("summary").click()
        links.last.click()
        page.wait_for_load_state()
        assert Path(page.url).stem == LECTURES[-1]
        page.locator(".navbar-brand").click()
        assert Path(page.url).stem == "index"


@pytest.mark.parametrize("lecture", LECTURES)
def test_a_lecture_has_what_belongs_to_it(site, lecture) -> None:
    page = soup_of(site / f"lectures/{lecture}.html")
    links = page.select_one("main nav.lecture-links")
    found = {link.get_text(): link for link in links.select("a") if link.get_text()}
    assert found["Slides"]["href"] == f"../lectures/{lecture}.slides.html"
    for kind in ("Exercise", "Notebook"):
        assert found[kind]["href"] == f"../{kind.lower()}s/{lecture}.ipynb"
        assert found[kind]["download"] == f"{kind.lower()}-{lecture}.ipynb"
        badge = found[kind].find_next_sibling("a", class_="colab")
        assert badge["href"].endswith(f"/{kind.lower()}s/{lecture}.ipynb")
    printed = (site / f"handouts/{lecture}.slides.pdf").is_file()
    assert ("PDF" in found) == printed


def test_every_link_to_a_notebook_downloads_it(site) -> None:
    for path in [site / "index.html", *sorted(site.glob("lectures/*.html"))]:
        for link in soup_of(path).select("a[href$='.ipynb']"):
            if "://" not in link["href"]:
                assert link.get("download"), f"{path.name}: {link}"


@pytest.mark.parametrize("kind", ["exercise", "notebook"])
def test_a_notebook_is_saved_from_a_disk_too(browser, site, kind, tmp_path) -> None:
    """There browsers show a file whatever `download` says; so its twin, a script, is saved."""
    with opened(browser, site / f"lectures/{SAMPLE}.html") as page:
        link = page.locator(f".lecture-links a[download^='{kind}']")
        for _ in range(2):
            with page.expect_download() as saved:
                link.click()
            assert saved.value.suggested_filename == f"{kind}-{SAMPLE}.ipynb"
            saved.value.save_as(tmp_path / "saved.ipynb")
            original = site / f"{kind}s" / f"{SAMPLE}.ipynb"
            assert json.loads((tmp_path / "saved.ipynb").read_text("utf-8")) == json.loads(
                original.read_text("utf-8")
            )
        assert Path(page.url).stem == SAMPLE


def test_a_deck_leads_back_and_on(browser, site) -> None:
    findings = Findings()
    with opened(browser, site / f"lectures/{LECTURES[0]}.slides.html", findings) as page:
        menu = page.locator(".deck-links summary")
        box, number = menu.bounding_box(), page.locator(".reveal .slide-number").bounding_box()
        assert box["x"] >= number["x"] + number["width"], "the menu lies on the number"
        # With the keyboard, and Space does not turn the slide.
        menu.focus()
        page.keyboard.press("Space")
        assert page.evaluate("Reveal.getIndices().h") == 0
        links = page.locator(".deck-links li a")
        assert [Path(each.get_attribute("href")).name for each in links.all()] == [
            "index.html",
            f"{LECTURES[0]}.html",
            f"{LECTURES[1]}.slides.html",
        ]
        page.keyboard.press("Escape")
        assert not links.first.is_visible() and not page.evaluate("Reveal.isOverview()")
        following = page.locator(".deck-links .next-lecture")
        assert not following.is_visible()
        page.evaluate("Reveal.slide(...Object.values(Reveal.getIndices(Reveal.getSlides().at(-1))))")
        following.click()
        page.wait_for_function("window.Reveal && Reveal.isReady()")
        assert Path(page.url.partition("#")[0]).name == f"{LECTURES[1]}.slides.html"
        assert page.locator(".deck-links a[rel=prev]").count() == 1
    assert findings.problems == []


@SIZES
def test_contents_follow_the_reader(browser, site, size) -> None:
    with opened(browser, site / f"lectures/{SAMPLE}.html", None, *size) as page:
        place = "nav#TOC" if size == DESK else "#quarto-header .contents"
        if size == PHONE:
            assert not page.locator("nav#TOC").is_visible()
            page.locator("#quarto-header .contents summary").click()
        entries = page.locator(f"{place} a")
        count = entries.count()
        assert count > 10
        for number in (count // 2, count - 1, 2):
            link = entries.nth(number)
            if not link.is_visible():
                page.locator("#quarto-header .contents summary").click()
            link.click()
            current = page.locator(f"{place} a[aria-current=location]")
            page.wait_for_function(
                "([place, href]) => document.querySelector(`${place} a[aria-current=location]`)"
                "?.getAttribute('href') === href",
                arg=[place, link.get_attribute("href")],
            )
            assert current.count() == 1
            if size == DESK:
                assert current.evaluate(IN_WINDOW), "the contents do not follow"
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        page.locator("#quarto-header .to-top").click()
        page.wait_for_function("scrollY < 5")


@SIZES
def test_code_is_copied(browser, site, size) -> None:
    with opened(browser, site / f"lectures/{SAMPLE}.html", None, *size) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        codes = page.locator("main div.sourceCode:has(> .copy-code)")
        assert codes.count() == page.locator("main div.sourceCode > pre > code").count() > 0
        code = codes.locator("visible=true").first
        for press in ("click", "Enter"):
            button = code.locator(".copy-code")
            assert button.get_attribute("aria-label") == "Copy this code"
            if press == "click":
                code.hover()
                button.click()
            else:
                button.focus()
                assert float(button.evaluate("each => getComputedStyle(each).opacity")) == 1
                page.keyboard.press(press)
            page.wait_for_function("document.activeElement.textContent === 'Copied'")
            expected = code.locator("pre code").evaluate(
                "each => { const copy = each.cloneNode(true);"
                "copy.querySelectorAll('.code-annotation-anchor').forEach((mark) => mark.remove());"
                "return copy.textContent; }"
            )
            assert page.evaluate("navigator.clipboard.readText()").strip() == expected.strip()
            page.evaluate("navigator.clipboard.writeText('')")


@SIZES
@pytest.mark.parametrize(
    ("words", "heading", "marked"),
    [
        ("max pooling", "Max pooling", "pooling"),
        ("poling", "Average pooling", "pooling"),
        ("Überanpassung regulariser", "Regulariser", "Regulariser"),
    ],
)
def test_the_search_finds_and_leads_there(browser, site, size, words, heading, marked) -> None:
    findings = Findings()
    with opened(browser, site / "index.html", findings, *size) as page:
        page.locator(".search-button").click()
        page.keyboard.type(words)
        link = page.locator("#search-results a", has_text=heading).first
        link.wait_for()
        assert marked.lower() in [each.lower() for each in link.locator("mark").all_inner_texts()]
        assert page.evaluate(WIDTH) <= size[0]
        target = link.get_attribute("href")
        assert "#" in target
        link.click()
        page.wait_for_load_state()
        assert page.url.endswith(target)
        page.wait_for_function(
            "() => { const box = document.querySelector(':target').getBoundingClientRect();"
            "return box.top > 55 && box.top < innerHeight; }"
        )
    assert findings.problems == []


def test_the_search_by_keyboard(browser, site) -> None:
    with opened(browser, site / f"lectures/{SAMPLE}.html") as page:
        page.locator("#quarto-header .menu summary").first.focus()
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "search-words"
        page.keyboard.type("kernel / stride")
        assert page.locator("#search-words").input_value() == "kernel / stride"
        page.locator("#search-results a").first.wait_for()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        assert page.evaluate("document.activeElement.parentElement.previousElementSibling !== null")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowUp")
        assert page.evaluate("document.activeElement.id") == "search-words"
        page.keyboard.press("Escape")
        assert page.locator("dialog.search").is_hidden()
        assert page.evaluate("document.activeElement.tagName") == "SUMMARY", "the focus is lost"
        page.keyboard.press("/")
        page.locator("#search-words").fill("xqzwvk")
        page.locator(".search-message", has_text="Nothing in the course").wait_for()
        page.locator("#search-words").fill("kernel")
        page.locator("#search-results a").first.wait_for()
        page.keyboard.press("Enter")
        page.wait_for_url("**#*")


@SIZES
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_what_opens_can_be_read_by_everyone(browser, site, size, colours) -> None:
    with opened(browser, site / f"lectures/{SAMPLE}.html", None, *size) as page:
        page.emulate_media(color_scheme=colours)
        page.wait_for_function("colours => document.documentElement.dataset.theme === colours", arg=colours)
        for menu in page.locator("#quarto-header .menu:visible").all():
            menu.locator("summary").click()
            assert grave_problems(page, "#quarto-header", without="main") == []
        page.keyboard.press("/")
        page.keyboard.type("kernel")
        page.locator("#search-results a").first.wait_for()
        assert page.locator(".menu[open]").count() == 0
        assert grave_problems(page, "dialog.search", without="main") == []


def test_the_search_knows_every_section_in_less_than_a_megabyte(site) -> None:
    rows = rows_of(site)
    assert (site / "search-index.js").stat().st_size < 1_000_000
    known = {row[0] for row in rows}
    for name in ("index", "glossary", *(f"lectures/{each}" for each in LECTURES)):
        page = soup_of(site / f"{name}.html")
        assert {f"{name}.html#{each['id']}" for each in page.select("main section[id]")} <= known
    assert all(row[1] and not re.search(r"[<>]section|anchorjs", row[3]) for row in rows)


def test_the_search_reads_chinese_and_umlauts(browser, site, tmp_path) -> None:
    rows = [
        ["a.html#one", "Seite", "Größe", "Die Maße der Überlagerung"],
        ["b.html#two", "页", "大人", "手写汉字识别"],
    ]
    shutil.copytree(site / "assets", tmp_path / "assets")
    shutil.copy(site / "index.html", tmp_path)
    script = f"courseSearch({json.dumps(rows, ensure_ascii=False)});\n"
    (tmp_path / "search-index.js").write_text(script, encoding="utf-8")
    tried = (
        ("grosse", "Größe"),
        ("汉字", "大人"),
        ("uberlagrung", "Größe"),
        ("人", "大人"),
        ("Masse", "Größe"),
    )
    with opened(browser, tmp_path / "index.html") as page:
        page.locator(".search-button").click()
        for words, heading in tried:
            page.locator("#search-words").fill(words)
            page.wait_for_function(
                "heading => document.querySelector('.search-title')?.textContent === heading", arg=heading
            )


def test_the_glossary_holds_each_term_of_each_lecture(site) -> None:
    glossary = soup_of(site / "glossary.html")
    entries = {}
    for section in glossary.select("main section.level3"):
        heading = section.find("h3")
        links = [link["href"].removeprefix("./") for link in section.select("p a.where")]
        entries[heading.get_text(strip=True)] = (links, section.get_text(" ", strip=True))
    for lecture in LECTURES:
        section = soup_of(site / f"lectures/{lecture}.html").select_one("section#glossary")
        terms = section.select("dt") or section.select("li > strong")
        assert terms, lecture
        for term in terms:
            links, text = entries[term.get_text(strip=True)]
            assert f"lectures/{lecture}.html#glossary" in links
            words = (term.find_next_sibling("dd") or term.parent).get_text(" ", strip=True)
            assert words.split()[-1] in text
    letters = [each.find("h2").get_text(strip=True) for each in glossary.select("main section.level2")]
    assert letters == sorted(letters, key=lambda letter: (letter[0].isdigit(), letter))
    names = {row[2] for row in rows_of(site) if row[0].startswith("glossary.html#")}
    assert set(entries) <= names


def test_the_first_screen_of_the_index_shows_all_lectures(browser, site) -> None:
    with opened(browser, site / "index.html") as page:
        for lecture in LECTURES:
            row = page.locator(f".lectures tr:has(a[href$='{lecture}.html'])")
            assert row.evaluate(IN_WINDOW), lecture
            for name in (f"{lecture}.slides.html", f"{lecture}.html", f"exercises/{lecture}.ipynb"):
                assert row.locator(f"a[href$='{name}']").count() >= 1
            assert row.locator("a.colab").count() == 2
        assert "make lab" in page.locator(".commands").inner_text()
        assert (
            page.locator(".lectures").bounding_box()["y"] < page.locator(".draw-yourself").bounding_box()["y"]
        )
    with opened(browser, site / "index.html", None, *PHONE) as page:
        assert page.locator(".lectures tr:has(a)").nth(2).evaluate(IN_WINDOW)
        assert page.evaluate(WIDTH) <= PHONE[0]


def test_without_scripts_all_links_are_there(browser, site) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 844})
    try:
        page = context.new_page()
        page.goto((site / f"lectures/{SAMPLE}.html").as_uri())
        assert page.locator("nav#TOC").is_visible()
        assert page.locator(".search-button, .copy-code, .to-top, .theme-switch").count() == 0
        page.locator("#quarto-header summary").first.click()
        page.locator("#quarto-header .menu ol a").first.click()
        assert Path(page.url).stem == LECTURES[0]
    finally:
        context.close()


def test_pdfs_are_linked_where_they_are(site) -> None:
    """And nowhere else; and what is done once is not done again."""
    frame = Frame(Project.load(REPOSITORY))
    text = (site / "index.html").read_text(encoding="utf-8")
    for printed in ([], [f"{LECTURES[0]}.slides"], []):
        frame.pdfs = printed
        text = frame.add(text, "index.html")
        found = [link["href"] for link in BeautifulSoup(text, "lxml").select("a.pdf")]
        assert found == [f"handouts/{each}.pdf" for each in printed]
        assert frame.add(text, "index.html") == text

"""The last changes to a page's HTML: what Quarto does after pandoc, and links inside the site."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator

from bs4 import BeautifulSoup, Comment, Tag

from .project import PageFormat

# What refers to something: kind, attribute, and the tags that have it.
REFERENCES = (
    ("image", "src", "img, video, audio, source"),
    ("image", "poster", "video"),
    ("image", "data-src", "*"),
    ("image", "data-background-image", "*"),
    ("image", "data-background-video", "*"),
    ("resource", "data-background-iframe", "*"),
    ("resource", "src", "iframe, embed, script"),
    ("resource", "data", "object"),
    ("resource", "href", "link"),
    ("link", "href", "a"),
)
HEADING = "> :is(h1, h2):first-child"  # of a slide
CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
# Bold italic letters of maths, Latin and Greek, as upright ones.
BOLD = {code: code - 0x68 for code in range(0x1D468, 0x1D49C)}
BOLD |= {code: code - 0x74 for code in range(0x1D71C, 0x1D756)}


def is_remote(target: str) -> bool:
    """Whether a reference leaves the site, as browsers read it: it names a host, or a scheme but `data:`."""
    return bool(re.match(r"\s*(?!data:)(?:[a-z][a-z0-9+.-]*:|//)", target, re.IGNORECASE))


def even_maths(text: str) -> str:
    """HTML whose `\\boldsymbol{x}` is upright, as pandoc 3.6 has it; 3.9 writes it in italics."""

    def even(match: re.Match[str]) -> str:
        return match[0].translate(BOLD).replace('mathvariant="bold-italic"', 'mathvariant="bold"')

    return re.sub(r"<math\b.*?</math>", even, text, flags=re.DOTALL)


def is_chinese(text: str) -> bool:
    """Whether a text is Chinese, with no letters of another script beside it."""
    return bool(CHINESE.search(text)) and not LATIN.search(text)


def missing_attributes(soup: BeautifulSoup, is_deck: bool) -> Iterator[tuple[Tag, str, str]]:
    """What pages of both engines lack: each tag with the name and the value of an attribute."""
    for cell in soup.select("th:not([lang]), td:not([lang])"):
        # What a cell of the lecture printed: nobody could mark it in the text.
        if cell.string and is_chinese(cell.string) and not cell.find(lang=True):
            yield cell, "lang", "zh"
    for image in soup.select("figure img:not([alt])"):
        caption = image.find_parent("figure").find("figcaption")
        if text := " ".join(caption.get_text().split()) if caption else "":
            yield image, "alt", text
    # Long lines are scrolled sideways, which the keyboard can do only where it has the focus.
    for block in () if is_deck else soup.select("pre:not([tabindex])"):
        yield block, "tabindex", "0"


# Marks of divs, of maths, of attributes, of footnotes and of shortcodes that have become text.
MARKS = re.compile(r"^\s*:{3,}.*$|\$\$|\{(?:[.#][\w-]|[\w-]+=)[^{}]*\}?|\[\^[\w-]+\]|\{\{<.*", re.MULTILINE)
UNREAD = ["pre", "code", "script", "style", "annotation"]


def finish(
    text: str,
    page: PageFormat,
    resolve: Callable[[str, str], str],
    words: dict[str, str],
    references_placed: bool = False,
) -> tuple[str, list[str]]:
    """Finish the HTML that pandoc made of one page; also what may be marks of Markdown that became text.

    `resolve` gets the kind ("image", "resource" or "link") and target of each reference, and returns it as it
    shall be written. `words` is what the page says in its language, and `references_placed` tells that it
    says where its references stand.
    """
    soup = BeautifulSoup(even_maths(text), "lxml")
    _tables(soup, page)
    _code(soup)
    if page.name == "revealjs":
        _slides(soup)
    else:
        _notes(soup, words, references_placed)
    for tag, name, value in missing_attributes(soup, page.name == "revealjs"):
        tag[name] = value
    texts = (each for each in soup.find_all(string=MARKS) if not isinstance(each, Comment))
    marks = [mark.strip() for text in texts if not text.find_parent(UNREAD) for mark in MARKS.findall(text)]
    for kind, attribute, names in REFERENCES:
        for tag in soup.select(f":is({names})[{attribute}]:not([{attribute}=''])"):
            tag[attribute] = resolve(kind, tag[attribute])
    return "<!DOCTYPE html>\n" + str(soup.html) + "\n", marks


def _add_class(tag: Tag, *names: str) -> None:
    classes = tag.get("class", [])
    tag["class"] = classes + [name for name in names if name not in classes]


def _tables(soup: BeautifulSoup, page: PageFormat) -> None:
    # No browser keeps the rules of a `scoped` style to the table that pandas wrote them for.
    for style in soup.select(".cell-output style[scoped]"):
        style.decompose()
    for table in soup.select("table:not(svg table, [role=presentation])"):
        if page.name == "html":
            _add_class(table, "table", *(["small"] if table.find_parent(class_="cell-output") else []))
        del table["border"]
        for row in table.select("thead tr"):
            del row["style"]
        for cell in table.select("th:not([scope])"):
            cell["scope"] = "col" if cell.find_parent("thead") else "row"


def _code(soup: BeautifulSoup) -> None:
    """Class names where Quarto has them, and the marks of code annotations."""
    for block in soup.select("div.sourceCode > pre.cell-code"):
        block["class"].remove("cell-code")
        _add_class(block.parent, "cell-code")
    for note in soup.select("span[data-code-annotation]"):
        term = note.find_parent("dd").find_previous_sibling("dt")
        _add_class(note.find_parent("dl"), "code-annotation-container-grid")
        cell, number = note["data-code-cell"], note["data-code-annotation"]
        place = {"data-target-cell": cell, "data-target-annotation": number}
        term.attrs |= {**place, "aria-label": term.get_text()}
        term.string = number
        if target := soup.find(id=f"{cell}-{note['data-code-lines'].partition(',')[0]}"):
            _add_class(target.find_parent("pre"), "code-annotated")
            mark = soup.new_tag("a", attrs={"class": "code-annotation-anchor", **place}, string=number)
            target.insert_before(mark)


def _slides(soup: BeautifulSoup) -> None:
    for output in soup.select(".output-location-slide"):
        _own_slide(soup, output)
    for heading in soup.select(f"section.slide {HEADING}"):
        heading.attrs = {}
    for slide in soup.select("#title-slide, .title-slide"):
        _add_class(slide, "center")
    for slide in soup.select("section.slide"):
        if not slide.find("section", class_="slide"):
            _asides(soup, slide)
    for section in soup.select('section[role="doc-endnotes"]'):
        section.decompose()
    _reference_slide(soup)
    for anchor in soup.select("span[id^=cb] > a[href^='#c']"):
        del anchor["href"]
    for column in soup.select("section.slide div.column"):
        while isinstance(column.next_sibling, str) and not column.next_sibling.strip():
            column.next_sibling.extract()


def _own_slide(soup: BeautifulSoup, output: Tag) -> None:
    """Give an output a slide of its own after the one with the code."""
    slide = output.find_parent("section", class_="slide")
    if slide is None:
        return
    fresh = soup.new_tag("section", id=f"{slide.get('id', '')}-output")
    fresh["class"] = [*slide.get("class", []), "output-location-slide"]
    if heading := slide.select_one(f":scope {HEADING}"):
        fresh.append(copy.copy(heading))
    fresh.append(output.extract())
    slide.insert_after(fresh)


def _asides(soup: BeautifulSoup, slide: Tag) -> None:
    """One aside for the slide, with its asides and the texts of its footnotes."""
    asides = [each for each in slide.find_all("aside") if "notes" not in each.get("class", [])]
    asides += slide.select("div.aside")
    notes = slide.select('a[role="doc-noteref"]')
    if not asides and not notes:
        return
    box = soup.new_tag("aside")
    for each in asides:
        each.name, each.attrs = "div", {}
        box.append(each.extract())
    if notes:
        items = soup.new_tag("ol", attrs={"class": "aside-footnotes"})
        for number, note in enumerate(notes, 1):
            item = soup.find(id=re.sub(r"^#/?", "", note.get("href", "")))
            if item is not None:
                for back in item.select(".footnote-back"):
                    back.decompose()
                items.append(item.extract())
            note.replace_with(soup.new_tag("sup", string=str(number)))
        box.append(items)
    slide.append(box)


def _reference_slide(soup: BeautifulSoup) -> None:
    references = soup.find(id="refs")
    slide = references.find_parent("section", class_="slide") if references else None
    if slide is not None:
        slide["id"] = slide.get("id") or "references"
        _add_class(slide, "smaller", "scrollable")
        slide["class"] = [name for name in slide["class"] if name != "center"]
    for cite in soup.select('a[role="doc-biblioref"]'):
        if slide is not None:
            cite["href"] = f"#/{slide['id']}"
        else:
            del cite["href"]


def _notes(soup: BeautifulSoup, words: dict[str, str], references_placed: bool) -> None:
    for name, selector in (
        ("figure", "figure"),
        ("figure-img", "figure img, .cell-output-display img"),
        ("blockquote", "blockquote"),
        ("anchored", "section > :is(h2, h3, h4, h5, h6):first-child"),
    ):
        for tag in soup.select(f"main :is({selector})"):
            _add_class(tag, name)
    for heading in soup.select("main section[id] > .anchored"):
        link = {"href": f"#{heading.parent['id']}", "class": "anchorjs-link"}
        heading.append(soup.new_tag("a", attrs=link | {"aria-label": "Link to this section"}))
    ends = [("", each) for each in soup.select("main section.appendix")]
    ends.append((words["footnotes"], soup.find("section", role="doc-endnotes")))
    if not references_placed:
        ends.append((words["references"], soup.find(id="refs")))
    ends = [(title, end) for title, end in ends if end is not None]
    if ends:
        appendix = soup.new_tag("div", attrs={"id": "quarto-appendix", "class": "default"})
        for title, end in ends:
            appendix.append(_appendix_section(soup, title, end))
        soup.find("main").append(appendix)
    for box in soup.select("main div.aside"):
        box["class"] = "margin-aside"
        box.wrap(soup.new_tag("div", attrs={"class": "no-row-height column-margin column-container"}))


def _appendix_section(soup: BeautifulSoup, title: str, end: Tag) -> Tag:
    section = end
    if end.name != "section":
        section = soup.new_tag("section", id="quarto-bibliography", role="doc-bibliography")
        end.wrap(section)
    for rule in section.find_all("hr", recursive=False):
        rule.decompose()
    heading = soup.new_tag("h2", string=title)
    if own := None if title else section.find(re.compile("^h[1-6]$")):
        heading.extend(own.extract().contents)
        if entry := soup.select_one(f'#TOC a[href="#{section.get("id")}"]'):
            entry.parent.decompose()
    _add_class(heading, "anchored", "quarto-appendix-heading")
    section.insert(0, heading)
    return section.extract()

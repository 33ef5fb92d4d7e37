"""The last changes to a page's HTML: what Quarto does after pandoc, and links inside the site."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator

from bs4 import BeautifulSoup, Comment, Tag

from .project import PageFormat

REFERENCES = (
    ("img", "src", "image"),
    ("video", "src", "image"),
    ("audio", "src", "image"),
    ("source", "src", "image"),
    ("iframe", "src", "resource"),
    ("object", "data", "resource"),
    ("embed", "src", "resource"),
    ("link", "href", "resource"),
    ("script", "src", "resource"),
    ("a", "href", "link"),
    (True, "data-background-image", "image"),
    (True, "data-background-video", "image"),
    (True, "data-background-iframe", "resource"),
    (True, "data-src", "image"),
    (True, "poster", "image"),
)
CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
# Bold italic letters of maths, Latin and Greek, as upright ones.
BOLD = {code: code - 0x68 for code in range(0x1D468, 0x1D49C)}
BOLD |= {code: code - 0x74 for code in range(0x1D71C, 0x1D756)}


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


def finish(
    text: str,
    page: PageFormat,
    resolve: Callable[[str, str], str],
    words: dict[str, str],
    references_placed: bool = False,
) -> str:
    """Finish the HTML that pandoc made of one page.

    Parameters
    ----------
    resolve : callable
        Called with the kind ("image", "resource" or "link") and target of each reference, which it returns
        as it shall be written; and with "text" and a mark of a div that has become text.
    words : dict
        What the page says in its language.
    references_placed : bool
        Whether the page itself says where its list of references stands.
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
    for text in soup.find_all(string=re.compile(r"^\s*:{3,}", re.MULTILINE)):
        if not isinstance(text, Comment) and not text.find_parent(["pre", "code", "script", "style"]):
            resolve("text", re.search(r"^\s*(:{3,}.*)$", text, re.MULTILINE)[1][:60])
    for name, attribute, kind in REFERENCES:
        for tag in soup.find_all(name, attrs={attribute: True}):
            if tag[attribute]:
                tag[attribute] = resolve(kind, tag[attribute])
    return "<!DOCTYPE html>\n" + str(soup.html) + "\n"


def _add_class(tag: Tag, *names: str) -> None:
    classes = tag.get("class", [])
    tag["class"] = classes + [name for name in names if name not in classes]


def _tables(soup: BeautifulSoup, page: PageFormat) -> None:
    # No browser keeps the rules of a `scoped` style to the table that pandas wrote them for.
    for style in soup.select(".cell-output style[scoped]"):
        style.decompose()
    for table in soup.find_all("table"):
        if table.find_parent("svg") or table.get("role") == "presentation":
            continue
        _add_class(table, "caption-top")
        if page.name == "html":
            _add_class(table, "table")
            if table.find_parent(class_="cell-output"):
                _add_class(table, "table-sm", "table-striped", "small")
        del table["border"]
        for number, row in enumerate(table.select("thead tr")):
            del row["style"]
            _add_class(row, "even" if number % 2 else "header" if number == 0 else "odd")
        for number, row in enumerate(table.select("tbody tr"), 1):
            _add_class(row, "odd" if number % 2 else "even")
        for part, scope in (("thead", "col"), ("tbody", "row")):
            for cell in table.select(f"{part} th"):
                if not cell.get("scope"):
                    cell["scope"] = scope


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
        for index, line in enumerate(note["data-code-lines"].split(",")):
            target = soup.find(id=f"{cell}-{line}")
            if target is None:
                continue
            _add_class(target, "code-annotation-target")
            _add_class(target.find_parent("pre"), "code-annotated")
            if index == 0:
                mark = soup.new_tag("a", attrs={"class": "code-annotation-anchor", **place}, string=number)
                target.insert_before(mark)


def _heading(slide: Tag) -> Tag | None:
    first = slide.find(True, recursive=False)
    return first if first is not None and first.name in ("h1", "h2") else None


def _slides(soup: BeautifulSoup) -> None:
    for output in soup.select(".output-location-slide"):
        _own_slide(soup, output)
    for slide in soup.select("section.slide"):
        if heading := _heading(slide):
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
    if heading := _heading(slide):
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
        part = soup.new_tag("div")
        part.extend(list(each.children))
        box.append(part)
        each.decompose()
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
    for image in soup.select("main img"):
        _add_class(image, "img-fluid")
        if image.find_parent("figure") or image.find_parent(class_="cell-output-display"):
            _add_class(image, "figure-img")
    for figure in soup.select("main figure"):
        _add_class(figure, "figure")
    for heading in soup.select("main section > :is(h2, h3, h4, h5, h6):first-child"):
        _add_class(heading, "anchored")
        if heading.parent.get("id"):
            link = {"href": f"#{heading.parent['id']}", "class": "anchorjs-link"}
            heading.append(soup.new_tag("a", attrs=link | {"aria-label": "Link to this section"}))
    for quotation in soup.select("main blockquote"):
        _add_class(quotation, "blockquote")
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

"""The last changes to a page's HTML: what Quarto does after pandoc, and links inside the site."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable

from bs4 import BeautifulSoup, NavigableString, Tag

from .project import PageFormat
from .quarto_post_render import is_chinese

HEADINGS = ("h1", "h2")


def parse_html(text: str) -> BeautifulSoup:
    return BeautifulSoup(text, "lxml")


def postprocess(
    text: str, page: PageFormat, resolve: Callable[[str, str], str], references_placed: bool = False
) -> str:
    """Finish one page.

    Parameters
    ----------
    text: HTML from pandoc.
    resolve: called with the kind ("image", "resource" or "link") and target of each local
        reference; returns the reference as it shall be written, and may raise.
    references_placed: whether the page itself says where its list of references stands.
    """
    soup = parse_html(text)
    _tables(soup, page)
    _code(soup)
    if page.name == "revealjs":
        _slides(soup, page)
    else:
        _notes(soup, page, references_placed)
    _references(soup, page, resolve)
    return "<!DOCTYPE html>\n" + str(soup.html) + "\n"


def _add_class(tag: Tag, *names: str) -> None:
    classes = tag.get("class", [])
    tag["class"] = classes + [name for name in names if name not in classes]


def _has_class(tag: Tag, *names: str) -> bool:
    return any(name in tag.get("class", []) for name in names)


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
        for cell in table.select("thead th"):
            if not cell.get("scope"):
                cell["scope"] = "col"
        for cell in table.select("tbody th"):
            if not cell.get("scope"):
                cell["scope"] = "row"
        for cell in table.select("th, td"):
            # What a cell of the lecture printed: nobody could mark it in the text.
            if cell.string and is_chinese(cell.string) and not cell.get("lang"):
                cell["lang"] = "zh"


def _code(soup: BeautifulSoup) -> None:
    """Class names where Quarto has them, and the marks of code annotations."""
    for block in soup.select("div.sourceCode > pre.cell-code"):
        block["class"] = [name for name in block["class"] if name != "cell-code"]
        _add_class(block.parent, "cell-code")
    for note in soup.select("span[data-code-annotation]"):
        term = note.find_parent("dd").find_previous_sibling("dt")
        listing = note.find_parent("dl")
        _add_class(listing, "code-annotation-container-grid")
        cell, number = note["data-code-cell"], note["data-code-annotation"]
        term.attrs |= {"data-target-cell": cell, "data-target-annotation": number}
        term["aria-label"] = term.get_text()
        term.string = number
        for index, line in enumerate(note["data-code-lines"].split(",")):
            target = soup.find(id=f"{cell}-{line}")
            if target is None:
                continue
            _add_class(target, "code-annotation-target")
            _add_class(target.find_parent("pre"), "code-annotated")
            if index == 0:
                mark = soup.new_tag("a", attrs={"class": "code-annotation-anchor"})
                mark.attrs |= {"data-target-cell": cell, "data-target-annotation": number}
                mark.string = number
                target.insert_before(mark)


# Slides -------------------------------------------------------------------------------------


def _slides(soup: BeautifulSoup, page: PageFormat) -> None:
    _output_slides(soup)
    for slide in soup.select('section.slide[data-visibility="hidden"]'):
        slide.decompose()
    for entry in soup.select('nav[role="doc-toc"] li'):
        link = entry.find("a")
        target = link.get("href", "").removeprefix("#/") if link else ""
        if not entry.get_text().strip() or (target and soup.find(id=target) is None):
            entry.decompose()
    for slide in soup.select("section.slide"):
        heading = next((each for each in slide.children if isinstance(each, Tag)), None)
        if heading is not None and heading.name in HEADINGS:
            animated = "data-auto-animate" in slide.attrs
            heading.attrs = {"data-id": "quarto-animate-title"} if animated else {}
    if page.get("center-title-slide") is not False:
        for slide in soup.select("#title-slide, .title-slide"):
            _add_class(slide, "center")
    if page.get("center") is True:
        for slide in soup.select("section.slide"):
            _add_class(slide, "center")
    if page.get("scrollable") is True:
        for slide in soup.select("section.slide"):
            _add_class(slide, "scrollable")
    if page.get("smaller") is True:
        for slide in soup.select("section.slide"):
            _add_class(slide, "smaller")
    _asides(soup, page.get("reference-location") != "document")
    _reference_slide(soup)
    if page.get("auto-stretch"):
        for slide in soup.select("section.slide"):
            _stretch(soup, slide)
    for anchor in soup.select("span[id^=cb] > a[href^='#c']"):
        del anchor["href"]
    for column in soup.select("section.slide div.column"):
        following = column.next_sibling
        while isinstance(following, NavigableString) and not following.strip():
            following.extract()
            following = column.next_sibling


def _output_slides(soup: BeautifulSoup) -> None:
    """Give each `output-location: slide` a slide of its own after the one with the code."""
    for output in soup.select(".output-location-slide"):
        slide = output.find_parent("section", class_="slide")
        if slide is None:
            continue
        fresh = soup.new_tag("section", id=f"{slide.get('id', '')}-output")
        fresh["class"] = [*slide.get("class", []), "output-location-slide"]
        heading = next((each for each in slide.children if isinstance(each, Tag)), None)
        if heading is not None and heading.name in HEADINGS:
            title = copy.copy(heading)
            title.attrs = {}
            fresh.append(title)
        fresh.append(output.extract())
        slide.insert_after(fresh)


def _asides(soup: BeautifulSoup, with_footnotes: bool) -> None:
    """One aside per slide, with the slide's asides and the texts of its footnotes."""
    for slide in soup.select("section.slide"):
        if slide.find("section", class_="slide"):
            continue
        asides = [each for each in slide.find_all("aside") if not _has_class(each, "notes")]
        asides += slide.select("div.aside")
        notes = slide.select('a[role="doc-noteref"]')
        if not asides and not notes:
            continue
        box = soup.new_tag("aside")
        for each in asides:
            part = soup.new_tag("div")
            part.extend(list(each.children))
            box.append(part)
            each.decompose()
        if with_footnotes and notes:
            items = soup.new_tag("ol", attrs={"class": "aside-footnotes"})
            for number, note in enumerate(notes, 1):
                item = soup.find(id=re.sub(r"^#/?", "", note.get("href", "")))
                if item is not None:
                    for back in item.select(".footnote-back"):
                        back.decompose()
                    items.append(item.extract())
                mark = soup.new_tag("sup")
                mark.string = str(number)
                note.replace_with(mark)
            box.append(items)
        slide.append(box)
    if with_footnotes:
        for section in soup.select('section[role="doc-endnotes"]'):
            section.decompose()


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


def _stretch(soup: BeautifulSoup, slide: Tag) -> None:
    """Let the only image of a slide take the height that is left, as Quarto's auto-stretch."""
    if _has_class(slide, "nostretch") or slide.find("section"):
        return
    images = slide.find_all("img")
    if len(images) != 1:
        return
    image = images[0]
    if _has_class(image, "nostretch"):
        image["class"] = [name for name in image["class"] if name != "nostretch"]
        return
    for parent in image.parents:
        if parent is slide:
            break
        classes = parent.get("class", [])
        if any(
            name in ("column", "quarto-layout-panel", "fragment", "output-location-slide") or "panel-" in name
            for name in classes
        ):
            return
    if any(not _has_class(each, "notes") for each in slide.find_all("aside")):
        return
    top = image
    while top.parent is not slide:
        top = top.parent
    if top.name == "p" and len(list(top.children)) > 1:
        return
    asked = _has_class(top, "stretch", "r-stretch")
    known = top.name in ("p", "img") or (
        top.name == "div" and (_has_class(top, "quarto-figure", "cell") or asked)
    )
    if not known:
        return
    if asked and top.name == "div":
        top["class"] = [name for name in top["class"] if name not in ("stretch", "r-stretch")]
    if (
        not _has_class(image, "stretch", "r-stretch", "absolute")
        and "height:" not in image.get("style", "")
        and not image.has_attr("height")
        and image.parent.name != "a"
    ):
        _add_class(image, "r-stretch")
    if not _has_class(image, "stretch", "r-stretch") or image.parent is slide:
        return
    figure = slide.select_one("div.quarto-figure")
    caption = None
    if figure is not None:
        align = next((name for name in figure["class"] if re.fullmatch(r"quarto-figure-\w+", name)), None)
        if align:
            _add_class(image, align)
        if figure.get("id"):
            image["id"] = figure["id"]
        title = top.find("figcaption")
        if title is not None:
            caption = soup.new_tag("p", attrs={"class": "caption"})
            caption.extend(list(title.children))
            title.decompose()
    holder = image.parent
    image.extract()
    top.insert_after(image)
    if caption is not None:
        image.insert_after(caption)
    while holder is not None and holder is not slide:
        above = holder.parent
        if holder.get_text().strip() or holder.find(["img", "svg", "video", "table"]):
            break
        holder.decompose()
        holder = above


# Notes --------------------------------------------------------------------------------------


def _notes(soup: BeautifulSoup, page: PageFormat, references_placed: bool) -> None:
    # Long lines are scrolled sideways, which the keyboard can do only where it has the focus.
    for block in soup.find_all("pre"):
        block["tabindex"] = block.get("tabindex", "0")
    for image in soup.select("main img"):
        _add_class(image, "img-fluid")
        if image.find_parent("figure") or image.find_parent(class_="cell-output-display"):
            _add_class(image, "figure-img")
    for figure in soup.select("main figure"):
        _add_class(figure, "figure")
    for heading in soup.select("main section > :is(h2, h3, h4, h5, h6):first-child"):
        _add_class(heading, "anchored")
        section = heading.parent
        if page.get("anchor-sections") is not False and section.get("id"):
            link = soup.new_tag("a", href=f"#{section['id']}", attrs={"class": "anchorjs-link"})
            link["aria-label"] = "Link to this section"
            heading.append(link)
    for quotation in soup.select("main blockquote"):
        _add_class(quotation, "blockquote")
    main = soup.find("main")
    ends = [soup.find("section", role="doc-endnotes")]
    if not references_placed:
        ends.append(soup.find(id="refs"))
    ends = [each for each in ends if each is not None]
    if ends:
        appendix = soup.new_tag("div", id="quarto-appendix", attrs={"class": "default"})
        main.append(appendix)
        for each in ends:
            title = "References" if each.get("id") == "refs" else "Footnotes"
            section = each
            if each.name != "section":
                section = soup.new_tag("section", id="quarto-bibliography")
                section["role"] = "doc-bibliography"
                each.wrap(section)
            for rule in section.find_all("hr", recursive=False):
                rule.decompose()
            heading = soup.new_tag("h2", attrs={"class": "anchored quarto-appendix-heading"})
            heading.string = title
            section.insert(0, heading)
            appendix.append(section.extract())
    for box in soup.select("main div.aside"):
        box["class"] = ["margin-aside"]
        margin = soup.new_tag("div")
        margin["class"] = ["no-row-height", "column-margin", "column-container"]
        box.wrap(margin)


# Links --------------------------------------------------------------------------------------


def _references(soup: BeautifulSoup, page: PageFormat, resolve: Callable[[str, str], str]) -> None:
    for name, attribute, kind in (
        ("img", "src", "image"),
        ("video", "src", "image"),
        ("video", "poster", "image"),
        ("audio", "src", "image"),
        ("source", "src", "image"),
        ("iframe", "src", "resource"),
        ("object", "data", "resource"),
        ("embed", "src", "resource"),
        ("link", "href", "resource"),
        ("script", "src", "resource"),
        ("a", "href", "link"),
    ):
        for tag in soup.find_all(name):
            if tag.get(attribute):
                tag[attribute] = resolve(kind, tag[attribute])
    for tag in soup.select("[data-background-image], [data-background-video], [data-src]"):
        for attribute in ("data-background-image", "data-background-video", "data-src"):
            if tag.get(attribute):
                tag[attribute] = resolve("image", tag[attribute])

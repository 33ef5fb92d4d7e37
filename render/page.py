"""Making one HTML page from Markdown: pandoc with this package's filters and templates."""

from __future__ import annotations

import html
import json
import os
import posixpath
import subprocess
import sys
import tempfile
from datetime import date, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from .errors import RenderError
from .project import PageFormat, Project
from .qmd import Document

HERE = Path(__file__).parent
FILTERS = ("conditional", "cells", "blocks", "floats", "fold")
READER = "markdown"

# Names of reveal.js options that pages may set, by their name in YAML.
REVEAL_OPTIONS = {
    "width": "width",
    "height": "height",
    "margin": "margin",
    "min-scale": "minScale",
    "max-scale": "maxScale",
    "slide-number": "slideNumber",
    "show-slide-number": "showSlideNumber",
    "hash": "hash",
    "history": "history",
    "transition": "transition",
    "transition-speed": "transitionSpeed",
    "background-transition": "backgroundTransition",
    "controls": "controls",
    "controls-layout": "controlsLayout",
    "controls-tutorial": "controlsTutorial",
    "progress": "progress",
    "navigation-mode": "navigationMode",
    "show-notes": "showNotes",
    "view-distance": "viewDistance",
    "mobile-view-distance": "mobileViewDistance",
    "touch": "touch",
    "loop": "loop",
    "fragments": "fragments",
    "fragment-in-url": "fragmentInURL",
    "overview": "overview",
    "jump-to-slide": "jumpToSlide",
    "help": "help",
    "auto-animate": "autoAnimate",
    "auto-animate-easing": "autoAnimateEasing",
    "auto-animate-duration": "autoAnimateDuration",
    "auto-animate-unmatched": "autoAnimateUnmatched",
    "keyboard": "keyboard",
    "pdf-max-pages-per-slide": "pdfMaxPagesPerSlide",
    "pdf-separate-fragments": "pdfSeparateFragments",
}


def relative_root(output: str) -> str:
    """The way from a page up to the site's folder: "" or "../" as often as needed."""
    return "../" * (len(PurePosixPath(output).parts) - 1)


def reveal_options(page: PageFormat) -> dict[str, Any]:
    """The options for `Reveal.initialize`, with Quarto's defaults."""
    options: dict[str, Any] = {
        "controls": False,
        "progress": True,
        "slideNumber": False,
        "hashOneBasedIndex": False,
        "fragmentInURL": False,
        "center": False,
        "pdfSeparateFragments": False,
        "autoAnimateEasing": "ease",
        "autoAnimateDuration": 1.0,
        "jumpToSlide": True,
    }
    for name, option in REVEAL_OPTIONS.items():
        value = page.get(name)
        if value is not None:
            options[option] = value
    mode = options.get("navigationMode")
    if mode == "vertical":
        options["navigationMode"] = mode = "default"
    if options["slideNumber"] is True:
        options["slideNumber"] = "h.v" if mode in ("default", "grid") else "c/t"
    return options


def _site_link(target: str, base: str) -> str:
    """A link written in `_quarto.yml` (relative to the project) as seen from a page."""
    if "://" in target or target.startswith(("#", "mailto:")):
        return target
    return base + target.lstrip("/")


def navbar(project: Project, page: PageFormat) -> str | None:
    """The HTML of the site's navigation bar, or None where the project has none."""
    settings = project.website.get("navbar")
    if not settings or page.name != "html":
        return None
    settings = settings if isinstance(settings, dict) else {}
    base = relative_root(page.output)
    title = settings.get("title", project.website.get("title", ""))
    logo = settings.get("logo")
    parts = ['<nav class="navbar navbar-expand-lg" aria-label="Site">']
    parts.append('<div class="navbar-container container-fluid">')
    brand = ""
    if logo:
        text = html.escape(str(settings.get("logo-alt", "")))
        brand += f'<img class="navbar-logo" src="{_site_link(str(logo), base)}" alt="{text}">'
    if title is not False:
        brand += f'<span class="navbar-title">{html.escape(str(title))}</span>'
    home = str(settings.get("logo-href", "index.html"))
    parts.append(
        f'<div class="navbar-brand-container"><a class="navbar-brand" '
        f'href="{_site_link(home, base)}">{brand}</a></div>'
    )
    for side, classes in (("left", "navbar-nav me-auto"), ("right", "navbar-nav ms-auto")):
        items = settings.get(side) or []
        if items:
            parts.append(f'<ul class="{classes}">')
            parts += [_navbar_item(item, page, base, project) for item in items]
            parts.append("</ul>")
    parts.append("</div></nav>")
    return "\n".join(parts)


def _navbar_item(item: Any, page: PageFormat, base: str, project: Project) -> str:
    item = {"href": item} if isinstance(item, str) else item
    if item.get("menu"):
        entries = "".join(_navbar_item(each, page, base, project) for each in item["menu"])
        return (
            '<li class="nav-item dropdown"><details><summary class="nav-link dropdown-toggle">'
            f"{html.escape(str(item.get('text', '')))}</summary>"
            f'<ul class="dropdown-menu">{entries}</ul></details></li>'
        )
    target = str(item.get("href", ""))
    text = item.get("text")
    if text is None:
        text = _title_of(project, target)
    if target.endswith(".qmd"):
        target = target[: -len(".qmd")] + ".html"
    current = ' active" aria-current="page' if target.lstrip("/") == page.output else ""
    extra = "".join(
        f' {name}="{html.escape(str(item[name]))}"'
        for name in ("rel", "target", "aria-label")
        if item.get(name)
    )
    return (
        f'<li class="nav-item"><a class="nav-link{current}" '
        f'href="{html.escape(_site_link(target, base))}"{extra}>'
        f'<span class="menu-text">{html.escape(str(text))}</span></a></li>'
    )


def _title_of(project: Project, target: str) -> str:
    from .qmd import parse

    path = project.root / target.lstrip("/")
    if not path.is_file():
        raise RenderError(f"the navbar links to '{target}', which does not exist", "_quarto.yml")
    return str(parse(path, project.root).front.get("title", target))


def page_footer(project: Project) -> dict[str, str] | None:
    """The left, centre and right parts of the site's footer as Markdown."""
    settings = project.website.get("page-footer")
    if not settings:
        return None
    if not isinstance(settings, dict):
        return {"center": str(settings)}
    return {side: str(settings[side]) for side in ("left", "center", "right") if settings.get(side)}


def written_date(value: Any, form: str | None) -> str:
    """A date as the page shows it; `form` is Quarto's `date-format`.

    Raises
    ------
    RenderError: the date is one of Quarto's keywords that change without the page changing.
    """
    text = str(value)
    if text == "last-modified":
        raise RenderError(f"`date: {text}` is not known; write the date, or `today`")
    if text in ("today", "now"):
        day = date.today()
    else:
        try:
            day = datetime.fromisoformat(text).date()
        except ValueError:
            return text
    if form in ("iso", "YYYY-MM-DD"):
        return day.isoformat()
    month = ("January February March April May June July August September October November December").split()[
        day.month - 1
    ]
    if form in ("MMMM D, YYYY", "long", None):
        return f"{month} {day.day}, {day.year}"
    return f"{day.day} {month} {day.year}"


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _author_name(author: Any) -> str:
    if isinstance(author, dict):
        name = author.get("name", "")
        if isinstance(name, dict):
            parts = (name.get("given", ""), name.get("family", ""))
            name = name.get("literal") or " ".join(str(part) for part in parts if part)
        return str(name)
    return str(author)


def _institutes(page: PageFormat) -> list[str]:
    found = [str(each) for each in _listed(page.get("institute"))]
    for author in _listed(page.get("author")):
        if isinstance(author, dict):
            for each in _listed(author.get("affiliation") or author.get("affiliations")):
                name = str(each.get("name", "")) if isinstance(each, dict) else str(each)
                if name and name not in found:
                    found.append(name)
    return found


def metadata(project: Project, document: Document, page: PageFormat) -> dict[str, Any]:
    """What pandoc's metadata file holds: front matter, and settings for filters and template."""
    base = relative_root(page.output)
    title = page.get("title")
    authors = [_author_name(each) for each in _listed(page.get("author"))]
    institutes = _institutes(page)
    values: dict[str, Any] = {
        key: value
        for key, value in document.front.items()
        if key not in ("format", "execute", "author", "date", "institute", "css", "bibliography")
    }
    values |= {
        "lang": str(page.get("lang", "en")),
        "pagetitle": str(page.get("pagetitle") or title or document.path.stem),
        "site-root": base,
        "site-title": str(project.website.get("title", "")),
        "render-format": page.name,
        "render-settings": {
            name: _plain(page.get(name))
            for name in (
                "code-fold",
                "code-summary",
                "code-line-numbers",
                "callout-appearance",
                "callout-icon",
                "fig-align",
                "fig-cap-location",
                "tbl-cap-location",
            )
            if page.get(name) is not None
        },
        "link-citations": page.get("link-citations", True),
    }
    if page.get("title") is not None:
        values["title"] = str(title)
    if page.get("subtitle") is not None:
        values["subtitle"] = str(page.get("subtitle"))
    if authors:
        values["author"] = authors
    if institutes:
        values["institute"] = institutes
    if page.get("date"):
        values["date"] = written_date(page.get("date"), page.get("date-format"))
    if page.get("nocite"):
        values["nocite"] = page.get("nocite")
    values["has-title-metadata"] = bool(authors or page.get("date") or institutes)
    if page.name == "html":
        values["page-layout"] = str(page.get("page-layout", "article"))
        values["toc-location"] = str(page.get("toc-location", "right"))
        footer = page_footer(project)
        if footer:
            values["page-footer"] = footer
    elif page.get("footer"):
        values["footer"] = str(page.get("footer"))
    for name in ("description", "abstract", "keywords", "toc-title", "title-slide-attributes"):
        if page.get(name) is not None:
            values[name] = page.get(name)
    return values


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def style_sheets(project: Project, document: Document, page: PageFormat) -> list[str]:
    """The style sheets of a page as project paths.

    `css:` of `_quarto.yml` is relative to the project, of a page to that page. A theme's `.scss`
    file stands for the `.css` file of the same name beside it.

    Raises
    ------
    RenderError: a sheet does not exist.
    """
    found: list[str] = []
    for owner, folder, where in (
        (project.config, "", "_quarto.yml"),
        (document.front, posixpath.dirname(document.name), document.name),
    ):
        block = owner.get("format")
        block = block.get(page.name) if isinstance(block, dict) else None
        block = block if isinstance(block, dict) else {}
        names = [*_listed(owner.get("css")), *_listed(block.get("css"))]
        for theme in (*_listed(owner.get("theme")), *_listed(block.get("theme"))):
            if isinstance(theme, dict):
                names += _listed(theme.get("light"))
            else:
                names.append(theme)
        for name in names:
            name = str(name)
            if name.endswith(".scss"):
                name = name[: -len(".scss")] + ".css"
            elif not name.endswith(".css"):
                continue  # the name of a theme that Quarto ships
            path = posixpath.normpath(
                name.lstrip("/") if name.startswith("/") else posixpath.join(folder, name)
            )
            if not (project.root / path).is_file():
                raise RenderError(f"the style sheet '{name}' does not exist", where)
            if path not in found:
                found.append(path)
    return found


def _project_file(project: Project, document: Document, name: str, owner_is_page: bool) -> Path:
    base = document.path.parent if owner_is_page and not name.startswith("/") else project.root
    path = base / name.lstrip("/")
    if not path.is_file():
        raise RenderError(f"the file '{name}' does not exist", document.name)
    return path


def bibliographies(project: Project, document: Document) -> list[Path]:
    """The files that `bibliography:` and `csl:` of project and page name."""
    found = []
    for owner, is_page in ((project.config, False), (document.front, True)):
        found += [
            _project_file(project, document, str(name), is_page)
            for name in _listed(owner.get("bibliography"))
        ]
    return found


def citation_style(project: Project, document: Document) -> Path | None:
    for owner, is_page in ((document.front, True), (project.config, False)):
        if owner.get("csl"):
            return _project_file(project, document, str(owner["csl"]), is_page)
    return None


def highlight_style(project: Project, page: PageFormat) -> str:
    """The theme file of highlighted code, or the name of one that pandoc ships."""
    value = page.get("highlight-style")
    if value is None:
        return str(HERE / "static" / "code.theme")
    if isinstance(value, dict):
        value = value.get("light")
    if str(value).endswith(".theme"):
        path = project.root / str(value).lstrip("/")
        if not path.is_file():
            raise RenderError(f"the highlight style '{value}' does not exist", "_quarto.yml")
        return str(path)
    return str(value)


def included_files(project: Project, document: Document, page: PageFormat, key: str) -> list[str]:
    """Paths or texts of `include-in-header` and the like, as files for pandoc."""
    found = []
    for each in _listed(page.get(key)):
        if isinstance(each, dict):
            if "file" not in each:
                raise RenderError(f"`{key}` is known with a file's name or `file:` only", document.name)
            each = each["file"]
        path = project.root / str(each).lstrip("/")
        if not path.is_file():
            path = document.path.parent / str(each)
        if not path.is_file():
            raise RenderError(f"the file '{each}' of `{key}` does not exist", document.name)
        found.append(str(path))
    return found


def pandoc_arguments(project: Project, document: Document, page: PageFormat, metadata_file: str) -> list[str]:
    """The command line for one page."""
    import pypandoc

    base = relative_root(page.output)
    arguments = [
        pypandoc.get_pandoc_path(),
        f"--from={READER}",
        f"--to={'revealjs' if page.name == 'revealjs' else 'html5'}",
        "--standalone",
        "--mathml",
        "--wrap=preserve",
        "--eol=lf",
        f"--template={HERE / 'templates' / (page.name + '.html')}",
        f"--metadata-file={metadata_file}",
        f"--syntax-highlighting={highlight_style(project, page)}",
    ]
    arguments += [f"--lua-filter={HERE / 'filters' / (name + '.lua')}" for name in FILTERS]
    sheets = style_sheets(project, document, page)
    arguments += [f"--css={base}{name}" for name in sheets]
    files = bibliographies(project, document)
    if files:
        arguments.append("--citeproc")
        arguments += [f"--bibliography={path}" for path in files]
        style = citation_style(project, document)
        if style:
            arguments.append(f"--csl={style}")
    for key, option in (
        ("include-in-header", "include-in-header"),
        ("include-before-body", "include-before-body"),
        ("include-after-body", "include-after-body"),
    ):
        arguments += [f"--{option}={path}" for path in included_files(project, document, page, key)]
    variables = {"reveal-options": json.dumps(reveal_options(page))}
    if page.name == "html":
        arguments.append("--section-divs")
        bar = navbar(project, page)
        if bar:
            variables["navbar"] = bar
        if project.website.get("favicon"):
            variables["favicon"] = _site_link(str(project.website["favicon"]), base)
        if page.get("number-sections"):
            arguments.append("--number-sections")
    else:
        arguments.append(f"--slide-level={page.get('slide-level')}")
        if page.get("incremental"):
            arguments.append("--incremental")
        if page.get("number-sections"):
            arguments.append("--number-sections")
        if page.get("logo"):
            variables["logo"] = _site_link(str(page.get("logo")), base)
    if page.get("toc"):
        arguments += ["--toc", f"--toc-depth={page.get('toc-depth', 3)}"]
    arguments += [f"--variable={name}:{value}" for name, value in variables.items()]
    return arguments


# pandoc reads file names in the locale's encoding: under LANG=C it would not find 手写/page.qmd.
_UTF8_NAMES = {"LC_ALL": "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"}


def convert(project: Project, document: Document, page: PageFormat, text: str) -> str:
    """The HTML that pandoc makes of a page's Markdown.

    Raises
    ------
    RenderError: pandoc or a filter refused the text.
    """
    with tempfile.TemporaryDirectory(prefix="render-") as folder:
        metadata_file = os.path.join(folder, "metadata.json")
        Path(metadata_file).write_text(
            json.dumps(metadata(project, document, page), default=str), encoding="utf-8"
        )
        arguments = pandoc_arguments(project, document, page, metadata_file)
        done = subprocess.run(
            arguments,
            input=text.encode("utf-8"),
            capture_output=True,
            cwd=document.path.parent,
            env={**os.environ, **_UTF8_NAMES},
        )
    messages = done.stderr.decode("utf-8", errors="replace").strip()
    if done.returncode:
        raise RenderError(_reason(messages), document.name)
    unresolved = [line for line in messages.splitlines() if "Citeproc: citation" in line]
    if unresolved:
        name = unresolved[0].split("citation", 1)[1].split()[0]
        line = next((each for each in document.markdown_lines if f"@{name}" in each.text), None)
        raise RenderError(
            f"the citation @{name} is not in the bibliography",
            line.path if line else document.name,
            line.number if line else None,
        )
    return done.stdout.decode("utf-8")


def _reason(messages: str) -> str:
    """pandoc's message without the stack of a filter."""
    lines = messages.splitlines()
    kept = []
    for line in lines:
        if line.strip().startswith("stack traceback"):
            break
        kept.append(line)
    text = "\n".join(kept)
    if ".lua:" in text:
        text = text.split(".lua:", 1)[1].split(": ", 1)[-1]
    return text.strip() or "pandoc failed without a message"

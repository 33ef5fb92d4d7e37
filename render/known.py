"""What the renderer knows: cell options, classes, attributes, shortcodes and YAML keys.

Each list is an allow-list. What a page uses and no list holds is an error that names file and
line, so that nothing is dropped in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from .errors import RenderError
from .yamltext import KeyLines

CELL_OPTIONS = frozenset(
    """eval echo warning error output include label classes tags
    fig-cap fig-subcap fig-alt fig-align fig-link tbl-cap tbl-subcap cap-location fig-cap-location
    tbl-cap-location layout layout-ncol layout-nrow layout-align layout-valign
    code-fold code-summary code-line-numbers code-overflow output-location""".split()
)

OUTPUT_LOCATIONS = ("default", "slide", "fragment", "column", "column-fragment")
CALLOUTS = ("note", "tip", "warning", "important", "caution")

# Classes that mean something to Quarto or reveal.js, beyond those that style sheets define.
CLASSES = frozenset(
    """columns column notes fragment incremental nonincremental aside footer hidden
    callout callout-note callout-tip callout-warning callout-important callout-caution
    content-visible content-hidden panel-tabset active
    r-stack r-fit-text r-stretch r-vstack r-hstack r-frame stretch nostretch absolute
    smaller scrollable center unnumbered unlisted screen-reader-only
    fade-in fade-out fade-up fade-down fade-left fade-right fade-in-then-out
    fade-in-then-semi-out semi-fade-out grow shrink strike highlight-red highlight-green
    highlight-blue highlight-current-red highlight-current-green highlight-current-blue
    current-visible custom underline ul mark smallcaps number-lines numberLines
    python default bash sh console json yaml html css javascript js r text txt markdown md
    makefile make toml""".split()
)

ATTRIBUTES = frozenset(
    """id width height style title alt lang dir target rel role startFrom
    fig-alt fig-align layout layout-ncol layout-nrow layout-align layout-valign
    appearance icon collapse cap-location fig-cap-location tbl-cap-location
    when-format unless-format when-meta unless-meta fragment-index top left bottom right
    visibility auto-animate auto-animate-id auto-animate-duration auto-animate-easing
    auto-animate-unmatched auto-animate-restart
    background background-color background-image background-size background-position
    background-repeat background-opacity background-gradient background-transition state
    footer timing transition transition-speed
    code-line-numbers filename tabindex""".split()
)
ATTRIBUTE_PREFIXES = ("data-", "aria-")

SHORTCODES = ("include", "meta", "pagebreak")
CONDITION_FORMATS = ("html", "revealjs", "html:js", "pdf", "docx", "latex", "epub", "typst")

EXECUTE_KEYS = frozenset("eval echo warning error output include".split())
_EXECUTE = EXECUTE_KEYS | {"freeze", "enabled", "cache", "daemon"}

_FIGURES = """fig-width fig-height fig-format fig-dpi fig-align fig-cap-location fig-responsive
    tbl-cap-location"""
_CODE = """code-fold code-summary code-line-numbers code-overflow code-copy code-annotations
    code-tools code-links highlight-style output-location"""
_DOCUMENT = """title subtitle author date date-format institute abstract description keywords lang
    pagetitle jupyter execute format bibliography csl link-citations nocite
    reference-location cache freeze number-sections shift-heading-level-by params
    css theme html-math-method embed-resources self-contained include-in-header
    include-before-body include-after-body incremental slide-level categories
    callout-appearance callout-icon output-file output-ext toc toc-depth toc-title crossref
    footnotes-hover citations-hover crossrefs-hover link-external-newwindow link-external-icon
    editor image image-alt order"""
_HTML = """toc-location toc-expand anchor-sections smooth-scroll page-layout minimal
    title-block-banner title-block-style format-links grid search other-links lightbox axe"""
_REVEALJS = """width height margin min-scale max-scale slide-number show-slide-number hash history
    hash-type transition transition-speed background-transition controls controls-layout
    controls-tutorial progress center center-title-slide footer logo auto-stretch smaller
    scrollable menu chalkboard preview-links navigation-mode show-notes view-distance
    mobile-view-distance touch loop fragments fragment-in-url overview jump-to-slide help
    auto-animate auto-animate-easing auto-animate-duration auto-animate-unmatched mouse-wheel
    keyboard pdf-max-pages-per-slide pdf-separate-fragments title-slide-attributes
    title-slide-style scroll-view brand"""

_SHARED = frozenset((_DOCUMENT + " " + _FIGURES + " " + _CODE).split()) | EXECUTE_KEYS
FORMAT_KEYS = {"html": _SHARED | frozenset(_HTML.split()), "revealjs": _SHARED | frozenset(_REVEALJS.split())}
_TOP = _SHARED | frozenset(_HTML.split())

# Settings whose effect the renderer has only for some values; another value is an error.
ONLY: dict[str, tuple] = {
    "embed-resources": (False,),
    "self-contained": (False,),
    "chalkboard": (False,),
    "menu": (False,),
    "html-math-method": ("mathml", {"method": "mathml"}),
    "page-layout": ("article", "full"),
    "code-tools": (False,),
    "code-links": (False,),
    "code-copy": (False,),
    "format-links": (False,),
    "other-links": (False,),
    "title-block-banner": (False,),
    "title-block-style": ("default", "plain", "none"),
    "title-slide-style": ("pandoc", "default"),
    "preview-links": (False,),
    "scroll-view": (False,),
    "mouse-wheel": (False,),
    "hash-type": ("title",),
    "lightbox": (False,),
    "grid": (),
    "brand": (),
    "shift-heading-level-by": (),
    "params": (),
    "cache": (False,),
    "freeze": (False,),
    "enabled": (True,),
    "crossref": (),
    "search": (False,),
    "axe": (False,),
    "link-external-icon": (False,),
    "code-annotations": ("below",),
    "categories": (),
    "footnotes-hover": (False,),
    "citations-hover": (False,),
    "crossrefs-hover": (False,),
    "link-external-newwindow": (False,),
    "minimal": (False,),
    "reference-location": ("document",),
    "toc-location": ("right", "left"),
    "jupyter": ("python3",),
    "date-format": ("iso", "YYYY-MM-DD", "D MMMM YYYY", "MMMM D, YYYY", "long"),
    "toc-expand": (),
}

PROJECT_FILE = "project file"
FRONT_MATTER = "front matter"

_PROJECT_KEYS = frozenset(
    """type title output-dir execute-dir render resources pre-render post-render
    preview""".split()
)
_WEBSITE_KEYS = frozenset(
    """title description favicon navbar page-footer site-url repo-url repo-branch search sidebar
    back-to-top-navigation page-navigation bread-crumbs reader-mode draft-mode
    open-graph twitter-card""".split()
)
_NAVBAR_KEYS = frozenset("title logo logo-alt logo-href left right search tools".split())
_NAVBAR_ITEM_KEYS = frozenset("href text icon aria-label rel target menu".split())
_FOOTER_KEYS = frozenset("left right center".split())

_WEBSITE_ONLY: dict[str, tuple] = {
    "search": (False,),
    "sidebar": (False,),
    "page-navigation": (False,),
    "bread-crumbs": (False,),
    "reader-mode": (False,),
    "open-graph": (False,),
    "twitter-card": (False,),
    "back-to-top-navigation": (False,),
    "tools": (),
    "icon": (),
    "pre-render": (),
    "post-render": ("render/quarto_post_render.py",),  # what it does is done here anyway
    "type": ("website",),
}


def check_configuration(value: dict[str, Any], lines: KeyLines, path: str, kind: str) -> None:
    """Check every key of a project file or of a page's front matter.

    Raises
    ------
    RenderError: an unknown key or a value without effect here, with its line.
    """
    top = _TOP | ({"project", "website", "profile"} if kind == PROJECT_FILE else frozenset())
    formats = value.get("format")
    _check_keys(value, (), top, ONLY, lines, path)
    if isinstance(value.get("execute"), dict):
        figures = frozenset(_FIGURES.split())
        _check_keys(value["execute"], ("execute",), _EXECUTE | figures, ONLY, lines, path)
    if kind == PROJECT_FILE:
        project = value.get("project") or {}
        _check_keys(project, ("project",), _PROJECT_KEYS, _WEBSITE_ONLY, lines, path)
        if project.get("execute-dir", "file") != "project":
            raise RenderError(
                "the renderer runs cells in the project's folder: set `execute-dir: project`",
                path,
                lines.get(("project", "execute-dir"), lines.get(("project",), 1)),
            )
        _check_website(value.get("website") or {}, lines, path)
    if isinstance(formats, str):
        formats = {formats: {}}
    if formats is None:
        return
    if not isinstance(formats, dict):
        raise RenderError("`format:` must be a mapping", path, lines.get(("format",)))
    for name, settings in formats.items():
        if name not in FORMAT_KEYS:
            raise RenderError(
                f"the format '{name}' is not known; known: {', '.join(FORMAT_KEYS)}",
                path,
                lines.get(("format", name)),
            )
        if isinstance(settings, dict):
            prefix = ("format", name)
            _check_keys(settings, prefix, FORMAT_KEYS[name], ONLY, lines, path)
            if isinstance(settings.get("execute"), dict):
                _check_keys(settings["execute"], (*prefix, "execute"), _EXECUTE, ONLY, lines, path)
        elif settings not in (None, "default"):
            raise RenderError(f"`{name}:` must be `default` or a mapping", path, lines.get(("format", name)))


def _check_website(website: dict[str, Any], lines: KeyLines, path: str) -> None:
    _check_keys(website, ("website",), _WEBSITE_KEYS, _WEBSITE_ONLY, lines, path)
    navbar = website.get("navbar")
    if isinstance(navbar, dict):
        prefix = ("website", "navbar")
        _check_keys(navbar, prefix, _NAVBAR_KEYS, _WEBSITE_ONLY, lines, path)
        for side in ("left", "right"):
            for index, item in enumerate(navbar.get(side) or []):
                if isinstance(item, dict):
                    place = (*prefix, side, index)
                    _check_keys(item, place, _NAVBAR_ITEM_KEYS, _WEBSITE_ONLY, lines, path)
    footer = website.get("page-footer")
    if isinstance(footer, dict):
        _check_keys(footer, ("website", "page-footer"), _FOOTER_KEYS, {}, lines, path)


def _check_keys(
    mapping: dict[str, Any],
    prefix: tuple,
    allowed: Iterable[str],
    only: dict[str, tuple],
    lines: KeyLines,
    path: str,
) -> None:
    where = ": ".join(str(part) for part in prefix)
    for key, value in mapping.items():
        line = lines.get((*prefix, str(key)))
        if key not in allowed:
            place = f" under `{where}:`" if where else ""
            raise RenderError(f"the renderer does not know the key '{key}'{place}", path, line)
        if key in only and value not in only[key]:
            accepted = " or ".join(str(each).lower() for each in only[key])
            advice = f"; only `{key}: {accepted}` is" if accepted else ""
            raise RenderError(f"the renderer does not know `{key}: {value}`{advice}", path, line)


CLASS_SELECTOR = re.compile(r"\.(-?[_a-zA-Z][\w-]*)")


def classes_of_style_sheet(text: str) -> set[str]:
    """The class names that the selectors of a style sheet mention."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    text = re.sub(r"@import[^;]*;|url\([^)]*\)|\"[^\"]*\"|'[^']*'", "", text)
    selectors = re.sub(r"\{[^{}]*\}", "{}", text)
    return set(CLASS_SELECTOR.findall(selectors))

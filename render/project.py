"""The project: `_quarto.yml`, its pages, and the settings of each page in each format."""

from __future__ import annotations

import glob
import json
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from .qmd import Document, KeyLines, RenderError, load_yaml, raise_all, read_text

CONFIG = "_quarto.yml"


def listed(value: Any) -> list[Any]:
    """A setting that may be one value or a list as a list."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _number(value: Any, least: float = 0, kinds: tuple = (int, float)) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool) and value >= least


def _texts(value: Any) -> bool:
    return not any(each is None or isinstance(each, (dict, list)) for each in listed(value))


# The kinds of values that settings have, in words.
KINDS = {
    "true or false": lambda value: isinstance(value, bool),
    "a number": _number,
    "a number above 0": lambda value: _number(value, 1e-9),
    "a whole number": lambda value: _number(value, 0, (int,)),
    "a number or a part such as 100%": lambda value: _number(value) or bool(re.match(r"\d+%", str(value))),
    "a text": lambda value: not isinstance(value, (dict, list)),
    "a text or a list of texts": _texts,
    "`key: value` lines": lambda value: value is None or isinstance(value, dict),
}
# What a key may have, wherever it stands: a kind, the only values, or a section; all others have a text.
VALUES: dict[str, str | tuple] = {
    key: kind
    for kind, keys in {
        "true or false": """toc incremental hash history controls progress eval echo warning error include
            enabled""",
        "a number above 0": "fig-width fig-height fig-dpi",
        "a whole number": "toc-depth slide-level",
        "a number or a part such as 100%": "width height margin",
        "a text or a list of texts": """author institute bibliography csl css include-in-header
            include-before-body include-after-body render resources metadata-files classes tags fig-cap
            fig-alt""",
        "`key: value` lines": "colours minutes",
    }.items()
    for key in keys.split()
}
VALUES |= {
    "output": (True, False, "asis"),
    "code-fold": (True, False, "show"),
    "theme": ("default", "white"),
    "html-math-method": ("mathml",),
    "fig-format": ("svg", "png"),
    "jupyter": ("python3",),
    "freeze": (False, "auto"),
    "output-location": ("default", "slide", "fragment", "column", "column-fragment"),
    "toc-location": ("right",),
    "slide-number": ("c/t", "c", False),
    "type": ("website",),
    "execute-dir": ("project",),
    # What these do for Quarto is done here anyway.
    "pre-render": ("render/quarto_pre_render.py",),
    "post-render": ("render/quarto_post_render.py",),
    "left": "navbar item",
    **{key: key for key in ("execute", "format", "html", "revealjs", "project", "website", "navbar")},
}
VALUES |= dict.fromkeys("number-sections code-copy link-external-newwindow minimal".split(), (False,))
VALUES |= dict.fromkeys("format-links menu auto-stretch search".split(), (False,))
_PAGE = """title subtitle author institute date lang pagetitle format execute bibliography csl css toc
    toc-depth include-in-header include-before-body include-after-body incremental slide-level output-ext
    fig-width fig-height fig-dpi fig-format code-fold code-summary code-line-numbers code-copy theme
    html-math-method jupyter output-location number-sections link-external-newwindow"""
# The keys that mean something here, by where they stand; all others are refused, that nothing be dropped.
KEYS = {
    "page": _PAGE,
    "settings": f"{_PAGE} metadata-files course-title colours minutes logo project website",
    "format": "html revealjs",
    "html": f"{_PAGE} minimal format-links toc-location",
    "revealjs": f"""{_PAGE} width height margin hash history transition controls progress footer menu
        auto-stretch slide-number""",
    "execute": "eval echo warning error output include enabled freeze",
    "project": "output-dir render resources type execute-dir pre-render post-render",
    "website": "title favicon navbar page-footer repo-url repo-branch site-url search",
    "navbar": "left logo",
    "navbar item": "href text",
    "cell": """eval echo warning error include output output-location label classes tags fig-cap fig-alt
        code-fold code-summary code-line-numbers""",
}
# What does here what a key of Quarto's does.
INSTEAD = {
    "chalkboard": ": press D in a deck to draw on its slides",
    "embed-resources": ": `make zip` packs a lecture with all that it shows",
    **dict.fromkeys(("project", "website"), f": it belongs into {CONFIG}"),
}
META = re.compile(r"\{\{<\s*meta\s+([\w-]+)\s*>\}\}")
# What Quarto does otherwise when nobody says so, and what must therefore be said.
MUST_SAY = {"html": ("fig-format",), "revealjs": ("fig-format", "auto-stretch")}

# What Quarto assumes for each format when nobody says otherwise.
_COMMON: dict[str, Any] = {"fig-dpi": 96, "fig-height": 5, "lang": "en"}
_EXECUTE = {"enabled": True, "eval": True, "error": False, "output": True, "include": True}
DEFAULTS: dict[str, dict[str, Any]] = {
    "html": _COMMON | {"execute": _EXECUTE | {"echo": True, "warning": True}, "fig-width": 7},
    "revealjs": _COMMON
    | {
        "execute": _EXECUTE | {"echo": False, "warning": False},
        "fig-width": 10,
        "code-line-numbers": True,
        "slide-level": 2,
        "width": 1050,
        "height": 700,
        "margin": 0.1,
        "hash": True,
        "history": True,
        "transition": "none",
    },
}


def fault(key: str, value: Any) -> str:
    """What is wrong with the value of a setting; "" if nothing is."""
    kind = VALUES.get(key, "a text")
    if isinstance(kind, str):
        right, known = KINDS[kind](value), kind
    else:
        right = any(type(value) is type(each) and value == each for each in kind)
        known = ", ".join(str(each).lower() for each in kind)
    return "" if right else f"`{key}` must be {known}, not {value!r}"


def check_settings(value: dict[str, Any], lines: KeyLines, path: str) -> None:
    """Check every key of `_quarto.yml` or of a page's front matter; the error tells each with its line."""
    problems: list[RenderError] = []

    def refuse(message: str, place: tuple) -> None:
        problems.append(RenderError(message, path, lines.get(place, lines.get(place[:-1], 1))))

    def check(mapping: Any, place: tuple, section: str) -> None:
        where = f" under `{': '.join(map(str, place))}:`" if place else ""
        if not isinstance(mapping, dict):
            return refuse(f"this must be `key: value` lines{where}", place)
        for key, item in mapping.items():
            inner = VALUES.get(key)
            if key not in KEYS[section].split():
                message = f"the renderer does not know the key '{key}'{where}{INSTEAD.get(key, '')}"
                refuse(message, (*place, key))
            elif inner not in KEYS:
                if message := fault(key, item):
                    refuse(message, (*place, key))
            elif key == "left":
                for number, each in enumerate(listed(item)):
                    check(each, (*place, key, number), inner)
            else:
                check(item or {}, (*place, key), inner)
        return None

    rest = {"format": format_block(value)} if "format" in value else {}
    check(value | rest, (), "page" if path.endswith(".qmd") else "settings")
    project = value.get("project")
    if path == CONFIG and not (isinstance(project, dict) and project.get("execute-dir") == "project"):
        refuse("cells run in the project's folder: set `project: execute-dir: project`", ("project",))
    raise_all(problems)


def format_block(settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What stands under `format:`, by format."""
    value = settings.get("format") or {}
    if not isinstance(value, dict):
        value = {str(value): {}}
    return {name: {} if each in (None, "default") else each for name, each in value.items()}


@dataclass(frozen=True)
class PageFormat:
    """One page in one format, "html" or "revealjs": every setting resolved, and its path in the site."""

    name: str
    settings: dict[str, Any]
    output: str

    def get(self, key: str) -> Any:
        return self.settings.get(key)

    @property
    def figure_settings(self) -> tuple:
        """What the kernel needs to know before it runs: width, height (inches), format, dpi."""
        get = self.settings.get
        return float(get("fig-width")), float(get("fig-height")), str(get("fig-format")), int(get("fig-dpi"))


@dataclass
class Project:
    """A project folder and its configuration."""

    root: Path
    config: dict[str, Any] = field(default_factory=dict)
    config_lines: KeyLines = field(default_factory=dict)
    config_files: dict[tuple, str] = field(default_factory=dict)

    @classmethod
    def load(cls, root: Path) -> Project:
        """Read and check `_quarto.yml` and its `metadata-files:`; a RenderError tells what is wrong."""
        root = root.resolve()
        path = root / CONFIG
        if not path.is_file():
            raise RenderError(f"there is no {CONFIG} in {root}; run this in the project's folder")
        value, lines = load_yaml(read_text(path, CONFIG), CONFIG)
        check_settings(value, lines, CONFIG)
        project = cls(root, value, lines)
        for name in map(str, value.get("metadata-files") or []):
            own, lines = load_yaml(read_text(root / name, name), name)
            check_settings(own, lines, name)
            project.config = _merged(project.config, own)
            project.config_lines |= lines
            project.config_files |= dict.fromkeys(lines, name)
        return project

    def problem(self, message: str, *key: str) -> RenderError:
        """An error at a key of `_quarto.yml`."""
        return RenderError(message, self.config_files.get(key, CONFIG), self.config_lines.get(key))

    @property
    def head(self) -> str:
        """What `colours:` and `minutes:` add to the head of each page, for style sheets and decks."""
        colours = (f"--own-{name}: {value};" for name, value in (self.config.get("colours") or {}).items())
        minutes = json.dumps(self.config.get("minutes") or {}).replace('"', "&quot;")
        style = f"<style>:root {{ {' '.join(colours)} }}</style>"
        return f'<meta name="course-minutes" content="{minutes}">\n{style}'

    @property
    def website(self) -> dict[str, Any]:
        return self.config.get("website") or {}

    @property
    def output_folder(self) -> Path:
        return self.root / self.config["project"].get("output-dir", "_site")

    def pages(self) -> list[Path]:
        """The `.qmd` files that `project: render:` lists, patterns expanded, in order.

        As in Quarto, a pattern with `*` holds in every folder unless it begins with a slash.
        """
        found: list[Path] = []
        removed: list[Path] = []
        for each in self.config["project"].get("render") or ["*.qmd"]:
            pattern = str(each).removeprefix("!")
            if glob.has_magic(pattern) and not pattern.startswith(("/", "**/")):
                pattern = "**/" + pattern
            pattern = pattern.lstrip("/")
            matches = [
                self.root / match
                for match in sorted(glob.glob(pattern, root_dir=self.root, recursive=True))
                if match.endswith(".qmd") and not _hidden(match)
            ]
            if str(each).startswith("!"):
                removed += matches
            elif not matches and not glob.has_magic(pattern):
                message = f"the page '{pattern}' of `project: render:` does not exist"
                raise self.problem(message, "project", "render")
            else:
                found += [match for match in matches if match not in found]
        return [page for page in found if page not in removed]

    def named_pages(self, names: list[str]) -> list[Path]:
        """The pages that a command line names, or all of the project."""
        pages = []
        for name in names:
            path = Path(name) if Path(name).is_file() else self.root / name
            if not path.is_file():
                raise RenderError(f"the page '{name}' does not exist")
            if path.suffix != ".qmd":
                raise RenderError(f"'{name}' is not a .qmd file")
            if not path.resolve().is_relative_to(self.root):
                raise RenderError(f"'{name}' lies outside of the project {self.root}")
            pages.append(path.resolve())
        return pages or self.pages()

    def formats(self, document: Document) -> list[PageFormat]:
        """The formats of one page, with their settings; its front matter is checked."""
        check_settings(document.front, document.front_lines, document.name)
        own, shared = format_block(document.front), format_block(self.config)
        result = []
        for name in own or shared or {"html": {}}:
            layers = (DEFAULTS[name], self.config, document.front, shared.get(name, {}), own.get(name, {}))
            settings = {key: value for layer in layers for key, value in layer.items()}

            def meta(match: re.Match[str], known: dict[str, Any] = settings) -> str:
                if match[1] not in known:
                    raise document.problem(f"nothing says what `{match[0]}` is")
                return str(known[match[1]])

            settings |= {k: META.sub(meta, v) for k, v in settings.items() if isinstance(v, str)}
            settings["execute"] = {k: v for layer in layers for k, v in (layer.get("execute") or {}).items()}
            for key in MUST_SAY[name]:
                if key not in settings:
                    value = str(VALUES[key][0]).lower()
                    raise self.problem(f"Quarto does otherwise by default: set `{key}: {value}`", "format")
            output = str(PurePosixPath(document.name).with_suffix(f".{settings.get('output-ext', 'html')}"))
            if any(each.output == output for each in result):
                message = f"two formats would be written to '{output}'; give revealjs an `output-ext`"
                raise document.problem(message)
            result.append(PageFormat(name, settings, output))
        return result


def _merged(one: Any, other: Any) -> Any:
    """Two settings as Quarto joins them: mappings by key, lists one after the other, else the other one."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one | {key: _merged(one[key], item) if key in one else item for key, item in other.items()}
    if isinstance(one, list) or isinstance(other, list):
        parts = [each if isinstance(each, list) else [each] for each in (one, other)]
        return parts[0] + [item for item in parts[1] if item not in parts[0]]
    return other


def _hidden(match: str) -> bool:
    return any(part.startswith(("_", ".")) for part in PurePosixPath(match).parts)

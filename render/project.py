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
OUTPUT_LOCATIONS = ("default", "slide", "fragment", "column", "column-fragment")


def _any(names: str) -> dict[str, None]:
    return dict.fromkeys(names.split())


# The keys that mean something here, by where they stand, with the only values that they may have;
# None stands for any value. All others are refused, so that nothing is dropped in silence.
_PAGE = _any(
    """title subtitle author institute date lang pagetitle format execute bibliography csl css toc toc-depth
    include-in-header include-before-body include-after-body incremental slide-level output-ext
    fig-width fig-height fig-dpi code-fold code-summary code-line-numbers"""
) | {
    "theme": ("default", "white"),
    "html-math-method": ("mathml",),
    "fig-format": ("svg", "png"),
    "jupyter": ("python3",),
    "output-location": OUTPUT_LOCATIONS,
    "number-sections": (False,),
    "code-copy": (False,),
    "link-external-newwindow": (False,),
}
KEYS: dict[str, dict[str, tuple | None]] = {
    "page": _PAGE,
    "html": _PAGE | {"minimal": (False,), "format-links": (False,), "toc-location": ("right",)},
    "revealjs": _PAGE
    | _any("width height margin hash history transition controls progress footer")
    | {"menu": (False,), "auto-stretch": (False,), "slide-number": ("c/t", "c", False)},
    "execute": dict.fromkeys("eval echo warning error output include enabled".split(), (True, False))
    | {"freeze": (False, "auto")},
    "project": _any("output-dir render resources")
    | {
        "type": ("website",),
        "execute-dir": ("project",),
        # What these do for Quarto is done here anyway.
        "pre-render": ("render/quarto_pre_render.py",),
        "post-render": ("render/quarto_post_render.py",),
    },
    "website": _any("title favicon navbar page-footer repo-url repo-branch site-url") | {"search": (False,)},
    "navbar": _any("left logo"),
    "navbar item": _any("href text"),
}
KEYS["settings"] = _PAGE | _any("metadata-files course-title colours minutes logo")
# What does here what a key of Quarto's does.
INSTEAD = {
    "chalkboard": ": press D in a deck to draw on its slides",
    "embed-resources": ": `make zip` packs a lecture with all that it shows",
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


def check_settings(value: dict[str, Any], lines: KeyLines, path: str) -> None:
    """Check every key of `_quarto.yml` or of a page's front matter; the error tells each with its line."""
    problems: list[RenderError] = []

    def refuse(message: str, place: tuple, otherwise: int | None = None) -> None:
        problems.append(RenderError(message, path, lines.get(place, lines.get(place[:-1], otherwise))))

    def check(mapping: Any, place: tuple, kind: str) -> None:
        where = f" under `{': '.join(map(str, place))}:`" if place else ""
        if not isinstance(mapping, dict):
            return refuse(f"this must be `key: value` lines{where}", place)
        for key, item in mapping.items():
            only = KEYS[kind].get(key)
            if key not in KEYS[kind]:
                message = f"the renderer does not know the key '{key}'{where}{INSTEAD.get(key, '')}"
                refuse(message, (*place, key))
            elif only and item not in only:
                known = " or ".join(f"`{key}: {str(each).lower()}`" for each in only)
                refuse(f"the renderer does not know `{key}: {item}`, only {known}", (*place, key))
        return None

    is_project = not path.endswith(".qmd")
    rest = {key: item for key, item in value.items() if key not in ("project", "website")}
    check(rest, (), "settings" if is_project else "page")
    for kind in ("project", "website"):
        if kind in value and not is_project:
            refuse(f"`{kind}:` belongs into {CONFIG}", (kind,))
        check(value.get(kind) or {}, (kind,), kind)
    check(value.get("execute") or {}, ("execute",), "execute")
    if path == CONFIG and (value.get("project") or {}).get("execute-dir") != "project":
        refuse("cells run in the project's folder: set `project: execute-dir: project`", ("project",), 1)
    navbar = (value.get("website") or {}).get("navbar") or {}
    check(navbar, ("website", "navbar"), "navbar")
    for index, item in enumerate(navbar.get("left") or []):
        check(item, ("website", "navbar", "left", index), "navbar item")
    for name, settings in format_block(value).items():
        if name not in DEFAULTS:
            refuse(f"the format '{name}' is not known, only html and revealjs", ("format", name))
            continue
        check(settings, ("format", name), name)
        check(settings.get("execute") or {}, ("format", name, "execute"), "execute")
    raise_all(problems)


def format_block(settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What stands under `format:`, by format."""
    value = settings.get("format") or {}
    if isinstance(value, str):
        value = {value: {}}
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
                    value = str(KEYS[name][key][0]).lower()
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

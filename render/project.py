"""The project: `_quarto.yml`, its pages, and the settings of each page in each format."""

from __future__ import annotations

import glob
import json
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from .qmd import Document, KeyLines, RenderError, load_yaml, raise_all, read_text

CONFIG = "_quarto.yml"


def listed(value: Any) -> list[Any]:
    """A setting that may be one value or a list as a list."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _number(value: Any) -> bool:
    return type(value) in (int, float) and value >= 0


# The kinds of values that settings have, in words.
KINDS = {
    "true or false": lambda value: isinstance(value, bool),
    "a number above 0": lambda value: _number(value) and value > 0,
    "a whole number": lambda value: _number(value) and isinstance(value, int),
    "a number or a part such as 100%": lambda value: _number(value) or bool(re.match(r"\d+%", str(value))),
    "a text": lambda value: not isinstance(value, (dict, list)),
    "a text or a list of texts": lambda value: all(
        isinstance(each, (str, int, float)) for each in listed(value)
    ),
    "`key: value` lines": lambda value: value is None or isinstance(value, dict),
}
SETTINGS = yaml.safe_load((Path(__file__).parent / "static" / "settings.yml").read_text(encoding="utf-8"))
# The keys that are known, by where they stand, and what each may have: a kind, the only values, or a section.
KEYS = {
    section: [key for each in keys for key in listed(each)] for section, keys in SETTINGS["sections"].items()
}
VALUES = {key: key for key in KEYS} | SETTINGS["values"]
VALUES |= {key: kind for kind, keys in SETTINGS["kinds"].items() for key in keys}
META = re.compile(r"\{\{<\s*meta\s+([\w-]+)\s*>\}\}")


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
            if key not in KEYS[section]:
                message = (
                    f"the renderer does not know the key '{key}'{where}{SETTINGS['instead'].get(key, '')}"
                )
                refuse(message, (*place, key))
            elif not isinstance(inner, str) or inner not in KEYS:
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
    def load(cls, folder: Path) -> Project:
        """Read `_quarto.yml`, here or above, and its `metadata-files:`; a RenderError tells what is wrong."""
        folder = folder.resolve()
        root = next((each for each in (folder, *folder.parents) if (each / CONFIG).is_file()), None)
        if root is None:
            raise RenderError(f"there is no {CONFIG} in {folder} or above it")
        project, names = cls(root), [CONFIG]
        for name in names:
            own, lines = load_yaml(read_text(root / name, name), name)
            check_settings(own, lines, name)
            project.config = _merged(project.config, own)
            project.config_lines |= lines
            project.config_files |= dict.fromkeys(lines, name)
            names += map(str, listed(own.get("metadata-files")) if name == CONFIG else ())
        return project

    def problem(self, message: str, *key: str) -> RenderError:
        """An error at a key of `_quarto.yml`."""
        return RenderError(message, self.config_files.get(key, CONFIG), self.config_lines.get(key))

    @property
    def head(self) -> str:
        """What `colours:` and `minutes:` add to the head of each page, for style sheets and decks."""
        if not (self.config.get("colours") or self.config.get("minutes")):
            return ""
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
                if match.endswith(".qmd") and not re.search(r"(?:^|[/\\])[_.]", match)
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
        paths = [(Path(name) if Path(name).is_file() else self.root / name).resolve() for name in names]
        for name, path in zip(names, paths):
            if path.suffix != ".qmd" or not path.is_file() or not path.is_relative_to(self.root):
                raise RenderError(f"'{name}' is no .qmd file of the project {self.root}")
        return paths or self.pages()

    def formats(self, document: Document) -> list[PageFormat]:
        """The formats of one page, with their settings; its front matter is checked."""
        check_settings(document.front, document.front_lines, document.name)
        own, shared = format_block(document.front), format_block(self.config)
        result = []
        for name in own or shared or {"html": {}}:
            defaults = SETTINGS["defaults"][name] | {"execute": SETTINGS["execute"][name]}
            layers = (defaults, self.config, document.front, shared.get(name, {}), own.get(name, {}))
            settings = {key: value for layer in layers for key, value in layer.items()}

            def meta(match: re.Match[str], known: dict[str, Any] = settings) -> str:
                if match[1] not in known:
                    raise document.problem(f"nothing says what `{match[0]}` is")
                return str(known[match[1]])

            settings |= {k: META.sub(meta, v) for k, v in settings.items() if isinstance(v, str)}
            settings["execute"] = {k: v for layer in layers for k, v in (layer.get("execute") or {}).items()}
            for key in SETTINGS["must-say"][name]:
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

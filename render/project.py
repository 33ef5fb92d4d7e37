"""The project: `_quarto.yml`, its pages, and the settings of each page in each format."""

from __future__ import annotations

import glob
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from . import known
from .errors import RenderError
from .qmd import Document, read_text
from .yamltext import KeyLines, load_yaml

CONFIG = "_quarto.yml"
FORMATS = ("html", "revealjs")

# What Quarto assumes for each format when nobody says otherwise.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "html": {
        "execute": {"echo": True, "warning": True},
        "fig-width": 7,
        "fig-height": 5,
        "code-line-numbers": False,
        "code-overflow": "scroll",
        "reference-location": "document",
    },
    "revealjs": {
        "execute": {"echo": False, "warning": False},
        "fig-width": 10,
        "fig-height": 5,
        "code-line-numbers": True,
        "slide-level": 2,
        "auto-stretch": True,
        "center-title-slide": True,
        "width": 1050,
        "height": 700,
        "margin": 0.1,
        "navigation-mode": "linear",
        "controls-layout": "edges",
        "controls-tutorial": False,
        "hash": True,
        "history": True,
        "transition": "none",
        "background-transition": "none",
        "reference-location": "margin",
    },
}
_COMMON_DEFAULTS: dict[str, Any] = {
    "execute": {"eval": True, "error": False, "output": True, "include": True},
    "fig-format": "retina",
    "fig-dpi": 96,
    "code-summary": "Code",
    "lang": "en",
}


def merge(*layers: dict[str, Any]) -> dict[str, Any]:
    """Merge mappings, later ones winning and nested mappings merged in turn."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            if isinstance(value, dict) and isinstance(result.get(key), dict):
                result[key] = merge(result[key], value)
            else:
                result[key] = value
    return result


@dataclass(frozen=True)
class PageFormat:
    """One page in one format: every setting resolved, and where the page is written.

    Attributes
    ----------
    name: "html" or "revealjs".
    settings: the merged settings of project, page and format.
    output: path of the page below the output folder, with forward slashes.
    """

    name: str
    settings: dict[str, Any]
    output: str

    def get(self, key: str, default: Any = None) -> Any:
        return self.settings.get(key, default)

    def execute(self, key: str) -> Any:
        """A default for cells: from `execute:`, or from the format itself."""
        if key in self.settings and key in known.EXECUTE_KEYS:
            return self.settings[key]
        return self.settings.get("execute", {}).get(key)

    @property
    def figure_settings(self) -> tuple:
        """What the kernel needs to know before it runs: width, height (inches), format, dpi."""
        return (
            float(self.settings["fig-width"]),
            float(self.settings["fig-height"]),
            str(self.settings["fig-format"]),
            int(self.settings["fig-dpi"]),
        )


@dataclass
class Project:
    """A project folder and its configuration.

    Raises RenderError where `_quarto.yml` is missing, not valid, or holds an unknown key.
    """

    root: Path
    config: dict[str, Any] = field(default_factory=dict)
    config_lines: KeyLines = field(default_factory=dict)

    @classmethod
    def load(cls, root: Path) -> Project:
        root = root.resolve()
        path = root / CONFIG
        if not path.is_file():
            raise RenderError(f"there is no {CONFIG} in {root}; run this in the project's folder")
        value, lines = load_yaml(read_text(path, CONFIG), CONFIG)
        if not isinstance(value, dict):
            raise RenderError("the file must hold `key: value` lines", CONFIG, 1)
        known.check_configuration(value, lines, CONFIG, known.PROJECT_FILE)
        return cls(root, value, lines)

    @property
    def website(self) -> dict[str, Any]:
        return self.config.get("website") or {}

    @property
    def output_folder(self) -> Path:
        return self.root / self.config.get("project", {}).get("output-dir", "_site")

    def pages(self) -> list[Path]:
        """The `.qmd` files that `project: render:` lists, patterns expanded, in order.

        As in Quarto, a pattern with `*` holds in every folder unless it begins with a slash.
        """
        patterns = self.config.get("project", {}).get("render") or ["/*.qmd", "/**/*.qmd"]
        found: list[Path] = []
        removed: set[Path] = set()
        for pattern in patterns:
            pattern = str(pattern)
            exclude = pattern.startswith("!")
            pattern = pattern.removeprefix("!")
            if glob.has_magic(pattern) and not pattern.startswith(("/", "**/")):
                pattern = "**/" + pattern
            pattern = pattern.lstrip("/")
            matches = [
                self.root / match
                for match in sorted(glob.glob(pattern, root_dir=self.root, recursive=True))
                if match.endswith(".qmd") and not _hidden(match)
            ]
            if exclude:
                removed.update(matches)
                continue
            if not matches and not glob.has_magic(pattern) and pattern.endswith(".qmd"):
                raise RenderError(
                    f"the page '{pattern}' of `project: render:` does not exist",
                    CONFIG,
                    self.config_lines.get(("project", "render")),
                )
            found += [match for match in matches if match not in found]
        return [page for page in found if page not in removed]

    def formats(self, document: Document) -> list[PageFormat]:
        """The formats of one page, with their settings.

        Raises
        ------
        RenderError: an unknown format or key in the front matter.
        """
        known.check_configuration(document.front, document.front_lines, document.name, known.FRONT_MATTER)
        project_formats = _format_block(self.config.get("format"))
        page_formats = _format_block(document.front.get("format"))
        names = list(page_formats or project_formats or {"html": {}})
        top = {
            key: value for key, value in self.config.items() if key not in ("format", "project", "website")
        }
        front = {key: value for key, value in document.front.items() if key != "format"}
        result = []
        for name in names:
            settings = merge(
                _COMMON_DEFAULTS,
                _DEFAULTS[name],
                top,
                front,
                project_formats.get(name, {}),
                page_formats.get(name, {}),
            )
            result.append(PageFormat(name, settings, self._output(document, name, settings)))
        outputs = [each.output for each in result]
        if len(set(outputs)) < len(outputs):
            raise RenderError(
                f"two formats would be written to '{outputs[0]}'; give revealjs an `output-ext`",
                document.name,
            )
        return result

    def _output(self, document: Document, name: str, settings: dict[str, Any]) -> str:
        source = PurePosixPath(document.path.resolve().relative_to(self.root).as_posix())
        if settings.get("output-file"):
            output_file = str(settings["output-file"])
            if not output_file.endswith(".html"):
                output_file += "." + str(settings.get("output-ext", "html"))
            return str(source.with_name(output_file))
        return str(source.with_name(f"{source.stem}.{settings.get('output-ext', 'html')}"))


def _format_block(value: Any) -> dict[str, dict[str, Any]]:
    if value is None:
        return {}
    if isinstance(value, str):
        return {value: {}}
    return {
        name: ({} if settings in (None, "default") else dict(settings)) for name, settings in value.items()
    }


def _hidden(match: str) -> bool:
    return any(part.startswith(("_", ".")) for part in PurePosixPath(match).parts)

"""Rendering pages into the site: executing, converting, copying, and skipping what is unchanged."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import os
import posixpath
import re
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from . import check
from .colab import Repository
from .dependencies import Store, digest_of, write_atomically
from .errors import RenderError
from .execute import Execution, execute, steps
from .links import is_remote, local_path
from .page import bibliographies, citation_style, convert, highlight_style, included_files, style_sheets
from .project import PageFormat, Project
from .qmd import Document, parse
from .quarto_post_render import add_badges

HERE = Path(__file__).parent
LIBRARIES = "site_libs"


@dataclass
class Outcome:
    """What happened to one page: "executed", "from cache" or "unchanged", and its seconds."""

    document: Document
    what: str
    seconds: float
    reason: str = ""


def reveal_folder() -> Path:
    """The reveal.js that the package sphinx-revealjs carries.

    Raises
    ------
    RenderError: the package is not installed.
    """
    found = importlib.util.find_spec("sphinx_revealjs")
    if found is None or not found.submodule_search_locations:
        raise RenderError(
            "the package sphinx-revealjs, which carries reveal.js, is not installed; "
            "run `pip install -r requirements.txt`"
        )
    return Path(found.submodule_search_locations[0]) / "_static" / "revealjs"


def code_fingerprint() -> str:
    """A fingerprint of the renderer itself, its filters, templates and static files."""
    digest = hashlib.sha256()
    for path in sorted(HERE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(path.relative_to(HERE).as_posix().encode("utf-8"))
            digest.update(path.read_bytes())
    return digest.hexdigest()


class Site:
    """The site being made: knows every page's outputs, so that links can be checked."""

    def __init__(self, project: Project):
        self.project = project
        self.store = Store(project.root)
        self.output = project.output_folder
        self._code = code_fingerprint()
        self._pages: dict[str, tuple[Document, list[PageFormat]]] = {}
        self._classes: dict[tuple[str, ...], set[str]] = {}

    def load(self, path: Path) -> tuple[Document, list[PageFormat]]:
        """Parse and check one page; each is read once."""
        key = str(path.resolve())
        if key not in self._pages:
            document = parse(path, self.project.root)
            formats = self.project.formats(document)
            self._pages[key] = (document, formats)
        return self._pages[key]

    def planned_outputs(self) -> dict[str, str]:
        """Every page that the project makes: output path by source path and the reverse use."""
        outputs: dict[str, str] = {}
        for path in self.project.pages():
            document, formats = self.load(path)
            for each in formats:
                outputs[each.output] = document.name
        return outputs

    # One page ---------------------------------------------------------------------------------

    async def render(self, path: Path, progress: Callable[[int, int], None]) -> Outcome:
        """Render one page in all its formats.

        Parameters
        ----------
        progress: called while cells run, with the number of steps done and of all steps.

        Raises
        ------
        RenderError: the page uses something unknown, a cell failed, or a file is missing.
        """
        started = time.perf_counter()
        document, formats = self.load(path)
        check.check_document(document, self._style_classes(document, formats))
        notebooks = {}
        what, why = "", ""
        missing = []
        for each in formats:
            plan = steps(document, each)
            if not plan:
                notebooks[each.name] = None
                continue
            key = self.store.key(plan, each.figure_settings)
            notebook, reason = self.store.load(document.name, key)
            notebooks[each.name] = notebook
            if notebook is None:
                missing.append((each, key))
                why = why or reason
        if not missing and self._is_unchanged(document, formats, notebooks):
            return Outcome(document, "unchanged", time.perf_counter() - started)
        done: dict[str, Execution] = {}
        for each, key in missing:
            if key not in done:
                before = self.store.watch()
                done[key] = await execute(document, each, self.project.root, progress)
                problem = self.store.save(document.name, key, done[key], before)
                if problem:
                    print(f"  not kept in the cache: {problem}", file=sys.stderr)
            notebooks[each.name] = done[key].notebook
            what = "executed"
        for notebook in notebooks.values():
            if notebook is not None:
                check.check_outputs(document, notebook, self._style_classes(document, formats))
        await asyncio.sleep(0)
        if not what:
            what = "from cache" if any(notebooks.values()) else "no cells"
        self._write(document, formats, notebooks)
        return Outcome(document, what, time.perf_counter() - started, why if missing else "")

    def _style_classes(self, document: Document, formats: list[PageFormat]) -> set[str]:
        sheets = {sheet for each in formats for sheet in style_sheets(self.project, document, each)}
        key = tuple(sorted(sheets))
        if key not in self._classes:
            self._classes[key] = check.classes_of([self.project.root / sheet for sheet in key])
        return self._classes[key]

    def _write(self, document: Document, formats: list[PageFormat], notebooks: dict) -> None:
        from .assemble import assemble
        from .postprocess import postprocess

        files: dict[str, bytes] = {}
        copies: set[str] = set()
        for each in formats:
            assembly = assemble(document, notebooks[each.name], each)
            text = convert(self.project, document, each, assembly.text)
            folder = posixpath.dirname(each.output)
            figures = {posixpath.join(folder, name): data for name, data in assembly.figures.items()}

            def resolve(kind: str, target: str, page: PageFormat = each, made=figures) -> str:
                return self._resolve(document, page, kind, target, made, copies)

            placed = any("#refs" in line.text for line in document.markdown_lines)
            html = postprocess(text, each, resolve, placed)
            if each.name == "html" and self.project.website.get("repo-url"):
                repository = Repository.of(self.project)
                html = add_badges(html, repository.url, repository.ref)
            files[each.output] = html.encode("utf-8")
            files |= figures
        for name in copies:
            files[name] = (self.project.root / name).read_bytes()
        # Figures first: a page never refers to a file that is not there yet.
        for name in sorted(files, key=lambda name: name.endswith(".html")):
            write_atomically(self.output / name, files[name])
        self._remove_old_figures(document, formats, files)
        self._remember(document, formats, notebooks, files, copies)

    def _remove_old_figures(self, document, formats, files: dict[str, bytes]) -> None:
        stem = PurePosixPath(document.name).with_suffix("").as_posix() + "_files"
        for each in formats:
            folder = self.output / stem / f"figure-{each.name}"
            for path in folder.glob("*") if folder.is_dir() else ():
                if path.relative_to(self.output).as_posix() not in files:
                    path.unlink()

    def _resolve(
        self,
        document: Document,
        page: PageFormat,
        kind: str,
        target: str,
        made: dict[str, bytes],
        copies: set[str],
    ) -> str:
        if is_remote(target):
            if kind != "link" and not target.startswith("data:"):
                raise self._at(
                    document, target, f"'{target}' is a remote resource; pages work without network"
                )
            return target
        path = local_path(unquote(target), page.output)
        if path is None or path.startswith(f"{LIBRARIES}/") or path in made:
            return target
        if path.startswith("../"):
            raise self._at(document, target, f"'{target}' lies outside of the project")
        if kind == "link" and path.endswith(".qmd"):
            source = self.project.root / path
            if not source.is_file():
                raise self._at(document, target, f"the linked page '{target}' does not exist")
            output = next((each.output for each in self.load(source)[1] if each.name == "html"), None)
            if output is None:
                raise self._at(document, target, f"'{target}' has no html format to link to")
            rest = target[len(target.split("#", 1)[0].split("?", 1)[0]) :]
            return posixpath.relpath(output, posixpath.dirname(page.output) or ".") + rest
        if path in self.planned_outputs():
            return target
        if (self.project.root / path).is_file():
            copies.add(path)
            return target
        if kind == "link" and (self.project.root / path).is_dir():
            raise self._at(document, target, f"'{target}' is a folder; link to a file in it")
        thing = {"image": "image", "resource": "file", "link": "linked file"}[kind]
        raise self._at(document, target, f"the {thing} '{target}' does not exist")

    @staticmethod
    def _at(document: Document, target: str, message: str) -> RenderError:
        for line in document.markdown_lines:
            if target in line.text or unquote(target) in line.text:
                return RenderError(message, line.path, line.number)
        for cell in document.cells:
            if target in cell.source:
                return RenderError(message, cell.path, cell.line)
        return RenderError(message, document.name)

    # Unchanged pages --------------------------------------------------------------------------

    def _record_path(self, document: Document) -> Path:
        return self.store.folder / "pages" / (document.name.replace("/", "--") + ".json")

    def _inputs(self, document: Document, formats: list[PageFormat], notebooks: dict) -> dict[str, object]:
        """Everything that the HTML of a page is made from, apart from copied files."""
        paths = [*document.sources, self.project.root / "_quarto.yml"]
        for each in formats:
            sheets = style_sheets(self.project, document, each)
            paths += [self.project.root / name for name in sheets]
            for key in ("include-in-header", "include-before-body", "include-after-body"):
                paths += [Path(name) for name in included_files(self.project, document, each, key)]
            style = highlight_style(self.project, each)
            if style.endswith(".theme"):
                paths.append(Path(style))
        paths += bibliographies(self.project, document)
        style = citation_style(self.project, document)
        if style:
            paths.append(style)
        digests = self.store.fingerprints
        packages = self.store.packages
        return {
            "code": self._code,
            "files": {str(path): digests.of_file(str(path)) for path in paths},
            "pages": sorted(self.planned_outputs()),
            "titles": [str(self.load(path)[0].front.get("title")) for path in self.project.pages()],
            "notebooks": {
                name: notebook.metadata["render"]["checksum"]
                if notebook is not None and "render" in notebook.metadata
                else None
                for name, notebook in notebooks.items()
            },
            "packages": {
                name: packages.get(name)
                for name in ("pypandoc-binary", "pypandoc_binary", "beautifulsoup4", "lxml")
            },
            "day": time.strftime("%Y-%m-%d")
            if any(str(each.get("date")) in ("today", "now") for each in formats)
            else "",
        }

    def _is_unchanged(self, document: Document, formats: list[PageFormat], notebooks: dict) -> bool:
        try:
            record = json.loads(self._record_path(document).read_text(encoding="utf-8"))
            of_file = self.store.fingerprints.of_file
            return (
                record["inputs"] == digest_of(self._inputs(document, formats, notebooks))
                and all(
                    of_file(str(self.project.root / name)) == digest
                    for name, digest in record["copies"].items()
                )
                and all(
                    of_file(str(self.output / name)) == digest for name, digest in record["outputs"].items()
                )
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False

    def _remember(
        self,
        document: Document,
        formats: list[PageFormat],
        notebooks: dict,
        files: dict[str, bytes],
        copies: set[str],
    ) -> None:
        record = {
            "inputs": digest_of(self._inputs(document, formats, notebooks)),
            "outputs": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())},
            "copies": {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(copies)},
        }
        text = json.dumps(record, indent=1)
        write_atomically(self._record_path(document), text.encode("utf-8"))

    # Shared files -----------------------------------------------------------------------------

    def copy_shared(self) -> None:
        """Bring reveal.js, style sheets with what they name, and listed resources into the site."""
        reveal = reveal_folder()
        for part in ("dist/reset.css", "dist/reveal.css", "dist/reveal.js"):
            self._copy(reveal / part, f"{LIBRARIES}/revealjs/{part}")
        for plugin in ("notes", "search", "zoom"):
            for path in sorted((reveal / "plugin" / plugin).iterdir()):
                if path.suffix in (".js", ".html") and not path.name.endswith(".esm.js"):
                    self._copy(path, f"{LIBRARIES}/revealjs/plugin/{plugin}/{path.name}")
        for path in sorted((HERE / "static").iterdir()):
            if path.suffix in (".css", ".js"):
                self._copy(path, f"{LIBRARIES}/render/{path.name}")
        for path in self.project.pages():
            document, formats = self.load(path)
            for each in formats:
                for sheet in style_sheets(self.project, document, each):
                    self._copy_style_sheet(sheet)
        resources = self.project.config.get("project", {}).get("resources") or []
        for pattern in [resources] if isinstance(resources, str) else resources:
            matches = [
                path
                for path in sorted(self.project.root.glob(str(pattern).lstrip("/")))
                if not path.name.startswith(".")
            ]
            if not matches:
                raise RenderError(
                    f"nothing matches '{pattern}' of `project: resources:`",
                    "_quarto.yml",
                    self.project.config_lines.get(("project", "resources")),
                )
            for match in matches:
                for path in [match] if match.is_file() else sorted(match.rglob("*")):
                    if path.is_file():
                        self._copy(path, path.relative_to(self.project.root).as_posix())
        for name in (self.project.website.get("favicon"),):
            if name:
                self._copy(self.project.root / str(name).lstrip("/"), str(name).lstrip("/"))

    def _copy_style_sheet(self, sheet: str) -> None:
        source = self.project.root / sheet
        self._copy(source, sheet)
        text = re.sub(r"/\*.*?\*/", "", source.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"url\(\s*['\"]?([^'\")]+)['\"]?\s*\)", text) + re.findall(
            r"@import\s+['\"]([^'\"]+)['\"]", text
        ):
            if target.startswith(("data:", "#")):
                continue
            if is_remote(target):
                raise RenderError(f"'{target}' is a remote resource; pages work without network", sheet)
            path = local_path(target, sheet)
            if path is None:
                continue
            if not (self.project.root / path).is_file():
                raise RenderError(f"the file '{target}' does not exist", sheet)
            if path.endswith(".css"):
                self._copy_style_sheet(path)
            else:
                self._copy(self.project.root / path, path)

    def _copy(self, source: Path, name: str) -> None:
        target = self.output / name
        digest = self.store.fingerprints.of_file
        if digest(str(target)) != digest(str(source)):
            if not source.is_file():
                raise RenderError(f"the file '{name}' does not exist", "_quarto.yml")
            write_atomically(target, source.read_bytes())


def clean_unlisted(site: Site) -> list[str]:
    """Pages in the output folder that no source makes any more; they are removed."""
    removed = []
    planned = site.planned_outputs()
    for folder in {posixpath.dirname(name) for name in planned}:
        for path in sorted((site.output / folder).glob("*.html")):
            name = path.relative_to(site.output).as_posix()
            if name not in planned:
                path.unlink()
                stem = name.split(".", 1)[0]
                files = site.output / f"{stem}_files"
                if files.is_dir() and not any(each.startswith(f"{stem}.") for each in planned):
                    shutil.rmtree(files)
                removed.append(name)
    return removed


def file_url(path: Path) -> str:
    return path.resolve().as_uri()


def relative(path: Path) -> str:
    """A path as the terminal shows it: relative to the working folder where that is shorter."""
    text = os.path.relpath(path)
    return text if not text.startswith("..") else str(path)

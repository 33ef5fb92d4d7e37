"""Rendering pages into the site: executing, converting, copying, and skipping what is unchanged."""

from __future__ import annotations

import asyncio
import glob
import hashlib
import json
import os
import posixpath
import re
import shutil
import time
from collections.abc import Awaitable, Callable, KeysView
from importlib.metadata import distribution
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from . import check
from .cache import Store, counts, digest_of, digest_of_files
from .cells import assemble
from .execute import execute, steps
from .files import write_atomically, write_changed
from .finish import finish, is_remote
from .frame import Frame
from .notebook import refuse_work
from .page import Job, convert, job, owned, words_of
from .project import PageFormat, Project
from .qmd import Document, RenderError, parse

HERE = Path(__file__).parent
LIBRARIES = "site_libs"
CONVERTERS = ("pypandoc", "bs4", "lxml", "jinja2")
SIDE_BY_SIDE = 2  # kernels at most, of up to 1.4 GB each: 3 GB in all
ROUNDS = 4  # in which pages run again that others have overtaken


def local_path(target: str, output: str) -> str | None:
    """The site path that a reference from a page means, or None for what the page itself holds."""
    path = unquote(re.split(r"[#?]", target.strip(), maxsplit=1)[0])
    if path.lower().startswith("data:"):
        return None
    if path.startswith("/"):
        return posixpath.normpath(path.lstrip("/"))
    return posixpath.normpath(posixpath.join(posixpath.dirname(output), path)) if path else None


class Site:
    """The site being made: knows every page's outputs, so that links can be checked."""

    def __init__(self, project: Project):
        self.project = project
        self.store = Store(project.root)
        self.output = project.output_folder
        self.frame = Frame(project)
        code = (path for path in sorted(HERE.rglob("*")) if path.is_file() and path.suffix != ".pyc")
        self._code = digest_of_files(code)
        self._pages: dict[str, tuple[Document, list[PageFormat]]] = {}
        # When each page began to run, and its keys in the store; which page wrote which file, and until when.
        self._ran: dict[Path, tuple[float, list[str | None]]] = {}
        self._written: dict[str, tuple[Path, float]] = {}
        self._planned: dict[str, str] = {}

    def load(self, path: Path) -> tuple[Document, list[PageFormat]]:
        """Parse one page, find its settings and check it; each is read once.

        A RenderError tells all that is wrong with the page.
        """
        key = str(path.resolve())
        if key not in self._pages:
            document, formats = parse(path, self.project.root), []
            try:
                formats = self.project.formats(document)
            except RenderError as error:
                document.problems.append(error)
            check.check_document(document)
            document.check()
            self._pages[key] = (document, formats)
        return self._pages[key]

    def planned_outputs(self) -> KeysView[str]:
        """The path of every page that the project makes, of those too that cannot be read now."""
        if not self._planned:
            for path in self.project.pages():
                name = path.relative_to(self.project.root).as_posix()
                try:
                    outputs = [each.output for each in self.load(path)[1]]
                except Exception:  # it is told when this page's turn comes
                    outputs = [f"{name.removesuffix('.qmd')}.{end}" for end in ("html", "slides.html")]
                for output in outputs:
                    if output in self._planned:
                        message = f"'{output}' would be made of '{self._planned[output]}' as well: rename one"
                        raise RenderError(message, name)
                    self._planned[output] = name
        return self._planned.keys()

    async def side_by_side(
        self, paths: list[Path], work: Callable[[Path], Awaitable[None]]
    ) -> list[RenderError]:
        """Do some work on each page, those with many cells first; returns what went wrong on which.

        A page that read what another page has written since, or was without it, is worked on again.
        """
        self._gate = asyncio.Semaphore(min(SIDE_BY_SIDE, os.cpu_count() or 1))
        self._writing = asyncio.Lock()
        problems: dict[Path, RenderError] = {}

        async def one(path: Path) -> None:
            name = path.relative_to(self.project.root).as_posix()
            problems.pop(path, None)
            try:
                await work(path)
            except RenderError as error:
                problems[path] = error
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                # A fault here, say: the other pages are made.
                problems[path] = RenderError(f"{type(error).__name__}: {error}", name)

        pending = paths
        for _ in range(ROUNDS):
            # Those with many cells begin first.
            pending = sorted(pending, key=lambda path: -path.read_bytes().count(b"```{python}"))
            tasks = [asyncio.create_task(one(path)) for path in pending]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            pending = [path for path in paths if self._is_overtaken(path, problems.get(path))]
            if not pending:
                break
        for path in pending:
            name = path.relative_to(self.project.root).as_posix()
            problems[path] = RenderError("other pages, or programs, go on changing what its cells read", name)
        return list(problems.values())

    def _is_overtaken(self, path: Path, problem: RenderError | None) -> bool:
        """Whether what a page read, or may have read, has been written since by others."""
        began, keys = self._ran.get(path, (0.0, []))
        fresh = {file for file, (by, when) in self._written.items() if by != path and when > began}
        if problem:
            return bool(fresh & problem.asked)
        name = path.relative_to(self.project.root).as_posix()
        return any(key is None or (fresh and not (key and self.store.load(name, key)[0])) for key in keys)

    async def results(
        self, document: Document, formats: list[PageFormat], progress: Callable[[int, int], None]
    ) -> tuple[dict[str, dict[str, Any] | None], str, str]:
        """The executed notebook of each format, from the store where it is as it was.

        Returns
        -------
        tuple
            The notebooks by format, None where there is nothing to run; "no cells", "from cache" or
            "executed"; and why cells were executed.
        """
        notebooks, what, why = {}, "no cells", ""
        executed: dict[str, dict[str, Any]] = {}
        keys: list[str | None] = []  # "" for what nobody sees completely
        self._ran[document.path] = time.time(), keys
        for each in formats:
            plan = steps(document, each)
            if not plan:
                notebooks[each.name] = None
                continue
            key = self.store.key(plan, each.figure_settings)
            if key not in executed:
                notebook, reason = self.store.load(document.name, key)
                if notebook is None:
                    async with self._gate:
                        started = time.time()
                        self._ran[document.path] = started, keys
                        execution = await execute(document, each, self.project.root, progress)
                    notebook, what, why = execution.notebook, "executed", why or reason
                    known = "" if execution.record["unseen"] else key
                    changed = self.store.save(document.name, key, execution, started)
                    keys.append(None if changed else known)
                    made = {
                        each for each in execution.record["written"] if counts(each, str(self.store.root))
                    }
                    self._written |= dict.fromkeys(made, (document.path, time.time()))
                else:
                    keys.append(key)
                executed[key] = notebook
            notebooks[each.name] = executed[key]
        if executed and what != "executed":
            what = "from cache"
        return notebooks, what, why

    async def render(self, path: Path, progress: Callable[[int, int], None]) -> tuple[str, str]:
        """Render one page in all its formats; returns what was done, and why cells were executed.

        While cells run, `progress` is called with the number of steps done and of all steps.
        """
        document, formats = self.load(path)
        notebooks, what, why = await self.results(document, formats, progress)
        async with self._writing:
            written = await asyncio.to_thread(self._write, document, formats, notebooks)
        return (what, why) if written or what == "executed" else ("unchanged", "")

    def _write(self, document: Document, formats: list[PageFormat], notebooks: dict) -> bool:
        """Make and write the pages, unless the last render made them of the very same things."""
        jobs, figures = {}, {}
        for each in formats:
            if notebooks[each.name]:
                check.check_outputs(document, notebooks[each.name])
            made = assemble(document, notebooks[each.name], each)
            folder = posixpath.dirname(each.output)
            figures |= {posixpath.join(folder, name): data for name, data in made.figures.items()}
            jobs[each.name] = job(self.project, document, each, made)
        document.check()
        drawings = {name: hashlib.sha256(data).hexdigest() for name, data in figures.items()}
        inputs = self._inputs(jobs, drawings)
        remembered = self.store.folder / "pages" / (document.name.replace("/", "--") + ".json")
        if self._is_as_remembered(remembered, inputs):
            return False
        files, copies = dict(figures), set()
        placed = any("#refs" in line.text for line in document.markdown_lines)
        for each in formats:

            def resolve(kind: str, target: str, page: PageFormat = each) -> str:
                try:
                    return self._resolve(document, page, kind, target, figures, copies)
                except RenderError as error:
                    document.problems.append(error)
                    return target

            html, marks = finish(
                convert(document, jobs[each.name]), each, resolve, words_of(document, each), placed
            )
            for mark in marks:
                self._check_mark(document, mark)
            files[each.output] = self.frame.add(html, each.output).encode("utf-8")
        document.check()
        files |= {name: (self.project.root / name).read_bytes() for name in copies}
        # Figures first: a page never refers to a file that is not there yet.
        for name in sorted(files, key=lambda name: name.endswith(".html")):
            write_atomically(self.output / name, files[name])
        for path in self.output.glob(f"{glob.escape(document.name.removesuffix('.qmd'))}_files/figure-*/*"):
            if path.relative_to(self.output).as_posix() not in files:
                path.unlink()
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
        record = {"inputs": inputs, "outputs": digests, "copies": {name: digests[name] for name in copies}}
        write_atomically(remembered, json.dumps(record, indent=1).encode("utf-8"))
        return True

    def _resolve(
        self,
        document: Document,
        page: PageFormat,
        kind: str,
        target: str,
        figures: dict[str, bytes],
        copies: set[str],
    ) -> str:
        """A reference as the page has it; what it leads to is noted in `copies`, or is an error."""
        if is_remote(target):
            if kind != "link":
                message = f"'{target}' is a remote resource; pages work without network: keep a copy here"
                raise self._problem(document, target, message)
            return target
        path = local_path(target, page.output)
        if path is None or path.startswith(f"{LIBRARIES}/") or path in figures:
            return target
        source = self.project.root / path
        if path.startswith("../"):
            raise self._problem(document, target, f"'{target}' lies outside of the project")
        if kind == "link" and path.endswith(".qmd") and source.is_file():
            output = path.removesuffix(".qmd") + ".html"
            if output not in self.planned_outputs():
                raise self._problem(document, target, f"'{target}' has no html format to link to")
            rest = re.sub(r"^[^#?]*", "", target)
            return posixpath.relpath(output, posixpath.dirname(page.output) or ".") + rest
        if path in self.planned_outputs():
            return target
        if source.is_file():
            copies.add(path)
            return target
        if kind == "link" and source.is_dir():
            raise self._problem(document, target, f"'{target}' is a folder; link to a file in it")
        thing = {"image": "image", "resource": "file", "link": "linked file"}[kind]
        raise self._problem(document, target, f"the {thing} '{target}' does not exist")

    @staticmethod
    def _check_mark(document: Document, mark: str) -> None:
        """Report a mark that pandoc has not read, unless it is the value of something that was computed."""

        def plain(text: str) -> str:  # pandoc turns quotes and dashes
            return re.sub(r"[^\w{}:.#^$<=]", "", text)

        depth = 0
        for line in document.markdown_lines:
            if line.verbatim:
                continue
            if not mark.startswith(":::"):
                if plain(mark) in plain(re.sub(r"`[^`]*`|\{{3}<.*?>\}{3}", "", line.text)):
                    return document.report(f"`{mark}` became text", line.number)
            elif div := re.match(r"\s*:{3,}\s*(.*)", line.text):
                depth += 1 if div[1] else -1
                # Of marks that end a div the one too many.
                if plain(line.text) == plain(mark) and (div[1] or depth < 0):
                    message = f"pandoc does not read `{mark}` as the mark of a div"
                    return document.report(message, line.number)
        return None

    @staticmethod
    def _problem(document: Document, target: str, message: str) -> RenderError:
        """An error at the line or the cell that names a target."""
        for line in document.markdown_lines:
            if target in line.text or unquote(target) in line.text:
                return document.problem(message, line.number)
        number = next((cell.line for cell in document.cells if target in cell.source), None)
        return document.problem(message, number)

    def _inputs(self, jobs: dict[str, Job], drawings: dict[str, str]) -> str:
        """A fingerprint of everything that the HTML of a page is made from, apart from copied files."""
        files = {str(path) for task in jobs.values() for path in task.files}
        return digest_of(
            {
                "code": self._code,
                "jobs": {name: vars(task) for name, task in jobs.items()},
                "figures": drawings,
                "files": {path: self.store.fingerprints.of_file(path) for path in files},
                "pages": sorted(self.planned_outputs()),
                "website": self.project.website,
                "frame": [self.frame.lectures, self.frame.pdfs],
                "packages": {name: self.store.versions.get(name) for name in CONVERTERS},
            }
        )

    def _is_as_remembered(self, path: Path, inputs: str) -> bool:
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            files = {self.project.root / name: digest for name, digest in record["copies"].items()}
            files |= {self.output / name: digest for name, digest in record["outputs"].items()}
            of_file = self.store.fingerprints.of_file
            return record["inputs"] == inputs and all(of_file(each) == files[each] for each in files)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False

    def copy_shared(self) -> None:
        """Bring reveal.js, style sheets with what they name, and listed resources into the site."""
        refuse_work(self.project)
        reveal = Path(distribution("sphinx-revealjs").locate_file("sphinx_revealjs/_static/revealjs"))
        parts = [reveal / "dist" / name for name in ("reset.css", "reveal.css", "reveal.js")]
        for plugin in ("notes", "search", "zoom"):
            files = (reveal / "plugin" / plugin).iterdir()
            parts += (each for each in files if each.suffix in (".js", ".html") and ".esm." not in each.name)
        for path in parts:
            self._copy(path, f"{LIBRARIES}/revealjs/{path.relative_to(reveal).as_posix()}")
        for path in sorted((HERE / "static").iterdir()):
            if path.suffix in (".css", ".js"):
                self._copy(path, f"{LIBRARIES}/render/{path.name}")
        for path in self.project.pages():
            try:
                document, formats = self.load(path)
                sheets = {sheet for each in formats for sheet in owned(self.project, document, "css", each)}
            except Exception:
                continue  # it is told when this page's turn comes
            for sheet in sorted(sheets):
                self._copy_style_sheet(sheet)
        for pattern in self.project.config["project"].get("resources") or []:
            found = sorted(self.project.root.glob(str(pattern).lstrip("/")))
            files = [path for path in found if path.is_file() and not path.name.startswith(".")]
            if not files:
                message = f"no file matches '{pattern}' of `project: resources:`"
                raise self.project.problem(message, "project", "resources")
            for path in files:
                self._copy(path, path.relative_to(self.project.root).as_posix())
        website = self.project.website
        logos = (website.get("navbar") or {}).get("logo"), self.project.config.get("logo")
        for name in (str(each).lstrip("/") for each in (website.get("favicon"), *logos) if each):
            self._copy(self.project.root / name, name)

    def _copy_style_sheet(self, sheet: str) -> None:
        source = self.project.root / sheet
        self._copy(source, sheet)
        text = re.sub(r"/\*.*?\*/", "", source.read_text(encoding="utf-8"), flags=re.DOTALL)
        targets = re.findall(r"url\(\s*['\"]?([^'\")]+)['\"]?\s*\)", text)
        for target in targets + re.findall(r"@import\s+['\"]([^'\"]+)['\"]", text):
            if is_remote(target):
                raise RenderError(f"'{target}' is a remote resource; pages work without network", sheet)
            path = local_path(target, sheet)
            if path and not (self.project.root / path).is_file():
                raise RenderError(f"the file '{target}' does not exist", sheet)
            if path and path.endswith(".css"):
                self._copy_style_sheet(path)
            elif path:
                self._copy(self.project.root / path, path)

    def _copy(self, source: Path, name: str) -> None:
        if not source.is_file():
            raise self.project.problem(f"the file '{name}' does not exist", "website")
        write_changed(self.output / name, source.read_bytes())

    def remove_unlisted(self) -> list[str]:
        """Remove the pages in the output folder that no source makes any more; returns their names."""
        removed = []
        planned = self.planned_outputs()
        for folder in {posixpath.dirname(name) for name in planned}:
            for path in sorted((self.output / folder).glob("*.html")):
                name = path.relative_to(self.output).as_posix()
                if name not in planned:
                    path.unlink()
                    removed.append(name)
                    stem = name.split(".", 1)[0]
                    if not any(each.startswith(f"{stem}.") for each in planned):
                        shutil.rmtree(self.output / f"{stem}_files", ignore_errors=True)
        return removed

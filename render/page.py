"""Making one HTML page from Markdown: pandoc with this package's filter and templates."""

from __future__ import annotations

import json
import os
import posixpath
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import babel.dates
import yaml

from .cells import Assembled
from .project import CONFIG, SETTINGS, PageFormat, Project, listed
from .qmd import Document, RenderError

HERE = Path(__file__).parent
INCLUDES = ("include-in-header", "include-before-body", "include-after-body")


def relative_root(output: str) -> str:
    """The way from a page up to the site's folder: "" or "../" as often as needed."""
    return "../" * (len(PurePosixPath(output).parts) - 1)


WORDS = yaml.safe_load((HERE / "static" / "words.yml").read_text(encoding="utf-8"))


def words_of(document: Document, page: PageFormat) -> dict[str, str]:
    """What a page says by itself in its language ("Note", "References"); a RenderError names those known."""
    language = str(page.get("lang"))
    own_words = {"de-CH", "fr-CA", "pt-BR"}  # Quarto has others for these
    if language.partition("-")[0] not in WORDS or language in own_words:
        message = f"the language '{language}' is not known here, only {', '.join(WORDS)}"
        raise document.problem(message, document.front_lines.get(("lang",)))
    return WORDS[language.partition("-")[0]]


def written_date(value: Any, document: Document, page: PageFormat) -> str:
    """A date as Quarto shows it: "November 22, 2026", in a deck 2026-11-22; other words stay as they are."""
    try:
        if str(value) == "last-modified":
            day = date.fromtimestamp(document.path.stat().st_mtime)
        else:
            known = str(value) in ("today", "now")
            day = date.today() if known else datetime.fromisoformat(str(value)).date()
    except ValueError:
        return str(value)
    if page.name == "revealjs":
        return day.isoformat()
    return babel.dates.format_date(day, "long", str(page.get("lang")).replace("-", "_"))


def metadata(project: Project, document: Document, page: PageFormat) -> dict[str, Any]:
    """What pandoc's metadata file holds: front matter, and settings for filter and template."""
    title, words = page.get("title"), words_of(document, page)
    values: dict[str, Any] = {
        "lang": str(page.get("lang")),
        "pagetitle": str(page.get("pagetitle") or title or document.path.stem),
        "site-root": relative_root(page.output),
        "site-title": str(project.website.get("title", "")),
        "render-format": page.name,
        "render-settings": {
            name: str(page.get(name)).lower() if isinstance(page.get(name), bool) else str(page.get(name))
            for name in ("code-fold", "code-summary", "code-line-numbers")
            if page.get(name) is not None
        }
        | {f"word-{name}": word for name, word in words.items()},
        "link-citations": True,
    }
    values |= {name: str(page.get(name)) for name in ("title", "subtitle") if page.get(name) is not None}
    # As in Quarto each author has one institute, the last one all that are left.
    authors, institutes = ([str(each) for each in listed(page.get(name))] for name in ("author", "institute"))
    ends = [*range(1, len(authors)), len(institutes)]
    values["by-author"] = [
        {"name": name, "institutes": institutes[number:end]}
        for number, (name, end) in enumerate(zip(authors, ends))
    ]
    values |= {"author": authors, "words": words, "affiliated": bool(authors and institutes)}
    values["one-institute"] = len(institutes) == 1
    if page.get("date"):
        values["date"] = written_date(page.get("date"), document, page)
    values["has-title-metadata"] = bool(authors or page.get("date"))
    if page.name == "revealjs" and page.get("footer"):
        values["footer"] = str(page.get("footer"))
    if page.get("logo"):
        values["logo"] = relative_root(page.output) + str(page.get("logo")).lstrip("/")
    if page.name == "html" and project.website.get("page-footer"):
        values["page-footer"] = str(project.website["page-footer"])
    return values


def owned(project: Project, document: Document, key: str, page: PageFormat | None) -> list[str]:
    """The files that a key of project and page names, as project paths.

    What `_quarto.yml` names is relative to the project, what a page names to that page. Keys under
    `format:` count where a page format is given.
    """
    found: list[str] = []
    for settings, lines, where in (
        (project.config, project.config_lines, CONFIG),
        (document.front, document.front_lines, document.name),
    ):
        formats = settings.get("format")
        own = formats.get(page.name) if page and isinstance(formats, dict) else None
        names = [*listed(settings.get(key)), *listed(own.get(key) if isinstance(own, dict) else None)]
        for name in map(str, names):
            folder = "" if name.startswith("/") else posixpath.dirname(where)
            path = posixpath.normpath(posixpath.join(folder, name.lstrip("/")))
            if not (project.root / path).is_file():
                line = lines.get((key,), lines.get(("format", page.name, key)) if page else None)
                named = project.config_files.get((key,), where) if where == CONFIG else where
                raise RenderError(f"the file '{name}' of `{key}` does not exist", named, line)
            if path not in found:
                found.append(path)
    return found


def bibliographies(project: Project, document: Document) -> list[Path]:
    """The files that `bibliography:` of project and page name."""
    return [project.root / name for name in owned(project, document, "bibliography", None)]


@dataclass(frozen=True)
class Job:
    """All that a page's HTML is made from: pandoc's arguments, and the files that they name.

    `lines` has the line in the source of each line of the text.
    """

    arguments: list[str]
    files: list[Path]
    metadata: dict[str, Any]
    text: str
    lines: list[int]


def job(project: Project, document: Document, page: PageFormat, made: Assembled) -> Job:
    """What pandoc shall make of a page's Markdown."""
    is_deck = page.name == "revealjs"
    arguments = [
        f"--defaults={HERE / 'static' / 'pandoc.yml'}",
        f"--to={'revealjs' if is_deck else 'html5'}",
        f"--template={HERE / 'templates' / (page.name + '.html')}",
    ]
    base = relative_root(page.output)
    sheets = owned(project, document, "css", page)
    arguments += [f"--css={base}{name}" for name in sheets]
    files = [project.root / name for name in sheets]
    options = {key: [project.root / name for name in owned(project, document, key, page)] for key in INCLUDES}
    options["bibliography"] = bibliographies(project, document)
    options["csl"] = [project.root / name for name in owned(project, document, "csl", None)[-1:]]
    for option, paths in options.items():
        arguments += [f"--{option}={path}" for path in paths]
        files += paths
    if options["bibliography"]:
        arguments.append("--citeproc")
    if page.get("toc"):
        arguments += ["--toc", f"--toc-depth={page.get('toc-depth') or 3}"]
    variables = {"course-head": project.head}
    if is_deck:
        names = SETTINGS["reveal-options"]
        chosen = {names[name]: page.get(name) for name in names if name in page.settings}
        variables["reveal-options"] = json.dumps(SETTINGS["reveal-defaults"] | chosen)
        arguments.append(f"--slide-level={page.get('slide-level')}")
        if page.get("incremental"):
            arguments.append("--incremental")
    else:
        arguments.append("--section-divs")
        if project.website.get("favicon"):
            variables["favicon"] = base + str(project.website["favicon"]).lstrip("/")
    arguments += [f"--variable={name}:{value}" for name, value in variables.items() if value]
    return Job(arguments, files, metadata(project, document, page), made.text, made.lines)


# pandoc reads file names in the locale's encoding: under LANG=C it would not find 手写/page.qmd.
_UTF8_NAMES = {"LC_ALL": "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"}


# TeX that is not said to be for other formats, and no macro, which pandoc itself puts into maths.
DROPPED = re.compile(
    r'Not rendering Raw\w+ \(Format "tex"\) "((?!\\\\(?:(?:re)?new(?:com|env)|provide|def|let|Declare)).*)"'
)


def convert(document: Document, job: Job) -> str:
    """The HTML that pandoc makes of a page; a RenderError says what pandoc or the filter refused."""
    import pypandoc

    with tempfile.TemporaryDirectory(prefix="render-") as folder:
        path = Path(folder, "metadata.json")
        path.write_text(json.dumps(job.metadata), encoding="utf-8")
        done = subprocess.run(
            [pypandoc.get_pandoc_path(), f"--metadata-file={path}", *job.arguments],
            input=job.text.encode("utf-8"),
            capture_output=True,
            cwd=document.path.parent,
            env={**os.environ, **_UTF8_NAMES},
        )
    messages = done.stderr.decode("utf-8", errors="replace").strip()
    if done.returncode:
        reason = messages.split("stack traceback", 1)[0]
        if ".lua:" in reason:
            reason = reason.split(".lua:", 1)[1].split(": ", 1)[-1]
        raise document.problem(reason.strip() or "pandoc failed without a message")
    for level, message in re.findall(r"^\[(\w+)\] *((?:.|\n(?!\[))*)", messages, flags=re.MULTILINE):
        if dropped := DROPPED.match(message):
            text = re.sub(r"\\(.)", lambda sign: " " if sign[1] == "n" else sign[1], dropped[1])
            _report_warning(document, job, f"no page shows TeX such as '{text.strip()}'")
        elif level == "WARNING" and "translation" not in message:  # its own words, of which no page has any
            _report_warning(document, job, " ".join(message.split()))
    return done.stdout.decode("utf-8")


def _report_warning(document: Document, job: Job, message: str) -> None:
    """Report what pandoc warns of, where it says so or where the words stand that it names."""
    if place := re.search(r"\bline (\d+)", message):
        number = job.lines[min(int(place[1]), len(job.lines)) - 1]
        message = re.sub(r"(,? at)? line \d+ column \d+", "", message)
    else:
        named = re.search(r"TeX math (.+?), rendering|citation (\S+)|['\u2018`\"](.+?)['\u2019\"]", message)
        words = next(filter(None, named.groups()), "") if named else ""
        holding = (line for line in document.markdown_lines if words and words.split()[0] in line.text)
        number = next((line.number for line in holding), None)
    citation = re.match(r"Citeproc: citation (\S+)", message)
    if citation:
        message = f"the citation @{citation[1]} is not in the bibliography"
    document.report(message if citation else f"pandoc says: {message}", number)

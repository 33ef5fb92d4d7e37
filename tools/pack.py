"""`make zip`: each lecture as an archive that opens from a stick, or as one "File" resource of Moodle.

    python -m tools.pack [LECTURE …]

Slides, notes, notebook, exercise and PDF, with all that they show; `index.html` in it opens the notes,
which lead to each. Links to the rest of the course lead to `site-url` of course.yml. Without it they are left
out.
"""

from __future__ import annotations

import html
import io
import json
import re
import sys
import zipfile
from argparse import ArgumentParser
from pathlib import Path

from bs4 import BeautifulSoup, Tag

from render.__main__ import run_command
from render.files import shown_path, write_atomically
from render.finish import REFERENCES, is_remote
from render.project import Project
from render.qmd import RenderError
from render.site import local_path

INDEX = """<!DOCTYPE html>
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url={page}">
<title>{title}</title>
<p><a href="{page}">{title}</a></p>
"""
SEARCH = "search-index.js"
# Files that no page names, since a script loads them, by the file that needs them.
BESIDE = {
    "assets/js/site.js": ("assets/js/minisearch.js", SEARCH),
    "site_libs/revealjs/plugin/notes/notes.js": ("site_libs/revealjs/plugin/notes/speaker-view.html",),
}
PARTS = (
    *("lectures/{}.html", "lectures/{}.slides.html", "handouts/{}.slides.pdf"),
    *("notebooks/{}.ipynb", "exercises/{}.ipynb"),
)


class Pack:
    """The files of one lecture's archive, by their names in it."""

    def __init__(self, project: Project, lecture: str, site: Path | None = None):
        self.project, self.lecture, self.site = project, lecture, site or project.output_folder
        self.parts = [part.format(lecture) for part in PARTS]
        self.files: dict[str, bytes] = {}
        waiting = [name for name in self.parts if (self.site / name).is_file()]
        while waiting:
            name = waiting.pop()
            if name not in self.files and (self.site / name).is_file():
                self.files[name] = (self.site / name).read_bytes()
                waiting += [each for each in self._needed(name) if each and each != "index.html"]
        notes = self.parts[0]
        title = BeautifulSoup(self.files[notes], "html.parser").title.get_text()
        index = INDEX.format(page=notes, title=html.escape(title))
        self.files["index.html"] = index.encode("utf-8")
        if SEARCH in self.files:
            self.files[SEARCH] = self._search()

    def _needed(self, name: str) -> list[str | None]:
        """What a file needs beside it; of a page, links to what is not packed are mended."""
        if name.endswith(".css"):
            text = re.sub(r"/\*.*?\*/", "", self.files[name].decode("utf-8"), flags=re.DOTALL)
            targets = re.findall(r"(?:url\(|@import(?!\s*url))\s*['\"]?([^'\")]+)", text)
            return [local_path(each, name) for each in targets if not is_remote(each)]
        if name.endswith(".ipynb"):
            return [f"{name}.js"]  # its twin, which can be saved from a disk
        if name not in self.parts or not name.endswith(".html"):
            return list(BESIDE.get(name, ()))
        soup = BeautifulSoup(self.files[name], "html.parser")
        found = []
        for kind, attribute, names in REFERENCES:
            for tag in soup.select(f":is({names})[{attribute}]"):
                if is_remote(tag[attribute]):
                    continue
                path = local_path(tag[attribute], name)
                is_page = path and (path.endswith(".html") or not (self.site / path).is_file())
                if kind == "link" and is_page and path not in self.parts:
                    self._lead_elsewhere(tag, path)
                else:
                    found.append(path)
        self.files[name] = str(soup).encode("utf-8")
        return found

    def _lead_elsewhere(self, link: Tag, path: str) -> None:
        """Mend a link to a page of the course that is not packed."""
        if path == "index.html":
            return
        if address := str(self.project.website.get("site-url") or "").rstrip("/"):
            rest = re.sub(r"^[^#?]*", "", link["href"])
            link["href"] = f"{address}/{path}{rest}"
        elif link.find_parent("nav"):
            (link.find_parent("li") or link).decompose()
        else:
            link.unwrap()

    def _search(self) -> bytes:
        """The index of the search with the packed pages alone."""
        call, rows = self.files[SEARCH].decode("utf-8").split("(", 1)
        rows = json.loads(rows.rsplit(")", 1)[0])
        kept = [row for row in rows if row[0].partition("#")[0] in self.parts]
        return f"{call}({json.dumps(kept, ensure_ascii=False)});\n".encode()

    def zipped(self) -> bytes:
        """The archive; the same files make the same bytes."""
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in sorted(self.files):
                archive.writestr(zipfile.ZipInfo(name), self.files[name], zipfile.ZIP_DEFLATED)
        return data.getvalue()


def command(project: Project) -> int:
    """Pack the named lectures, or all."""
    parser = ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("lectures", nargs="*", help="numbers or names; all lectures if none is named")
    wanted = parser.parse_args().lectures
    found = sorted(path.stem for path in project.pages() if path.parent.name == "lectures")
    chosen = [name for name in found if not wanted or {name, name[:2], name[:2].lstrip("0")} & set(wanted)]
    if len(chosen) < len(set(wanted)) or not chosen:
        raise RenderError(f"no lecture is called {', '.join(wanted)}; there are {', '.join(found)}")
    folder = project.root / "_build" / "zip"
    for name in chosen:
        if not (project.output_folder / f"lectures/{name}.html").is_file():
            raise RenderError(f"the lecture {name} is not rendered; run `make slides` first")
        pack = Pack(project, name)
        data = pack.zipped()
        write_atomically(folder / f"{name}.zip", data)
        print(f"{name}.zip ... {len(pack.files)} files, {len(data) / 1e6:.1f} MB", flush=True)
    print(f"Look in {shown_path(folder)}. Unpacked, each begins with index.html, Moodle's main file.")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(command))

"""Makes the pages that Quarto rendered work from disk, without network and without an error.

Quarto runs this file after each render (`project: post-render:` in _quarto.yml). It changes a page's text
where something is to be mended, and nothing else:

- Scripts and style sheets from another host are left out. Quarto adds two such scripts (requirejs and
  jquery) to each page that has a cell with HTML output.
- ES modules, which no browser loads from disk, come inside the page, with all that they import.
- A pause (`. . .`) on pages that are not slides, where it means nothing, is left out.
- An image, video or frame from another host is an error.
- The colours and minutes of course.yml stand in the head.
- Attributes, bold maths, Colab's badges, the top bar and all links to the rest of the course are as
  `python -m render` has them (see `finish` and `frame`).

What it has done once it does not do again: a second run changes nothing.
"""

from __future__ import annotations

import base64
import html
import os
import re
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from render.files import write_changed
from render.finish import REFERENCES, even_maths, is_remote, missing_attributes
from render.frame import Frame
from render.project import Project
from render.qmd import RenderError

# Requirejs's module for jquery, which fails where requirejs itself is not there.
JQUERY_MODULE = re.compile(r"\s*define\(\s*['\"]jquery['\"]")
# In slides pandoc has made fragments of them.
PAUSE = re.compile(r"<p>\. \. \.</p>\n?")
IMPORT = re.compile(
    r"^(?P<what>\s*(?:import\s*(?:[\w$*{},\s]+\bfrom\s*)?|export\b[\w$*{},\s]+\bfrom\s*))"
    r"(?P<mark>['\"])(?P<path>[^'\"]+)(?P=mark)",
    re.MULTILINE,
)
OUTSIDE = re.compile(r"\bimport\s*\(|\bimport\.meta\b")


def module_address(path: Path) -> str:
    """A module as a `data:` address, with the addresses of what it imports inside.

    Browsers load such modules from disk too. They know a module by its address, so one that two
    others import still runs once. A ValueError tells that it imports a package, say, or asks for its address.
    """
    text = path.read_text(encoding="utf-8")
    if outside := OUTSIDE.search(text):
        raise ValueError(f"{path.name} has '{outside[0]}'")

    def imported(match: re.Match[str]) -> str:
        if not match["path"].startswith("."):
            raise ValueError(f"{path.name} imports '{match['path']}'")
        return f"{match['what']}{match['mark']}{module_address(path.parent / match['path'])}{match['mark']}"

    code = IMPORT.sub(imported, text).encode("utf-8")
    return "data:text/javascript;base64," + base64.b64encode(code).decode("ascii")


def mended_script(script: Tag, path: Path) -> str | None:
    """What a page has in place of a script: "" for nothing, None for the script as it is."""
    address = script.get("src", "")
    if is_remote(address) or (not address and JQUERY_MODULE.match(script.get_text())):
        return ""
    if script.get("type", "").lower() != "module" or not address or address.startswith("data:"):
        return None
    try:
        inside = module_address(path.parent / unquote(urlsplit(address).path))
    except (ValueError, OSError) as error:
        print(f"{path.name}: {address} is left out, since {error}", file=sys.stderr)
        return ""
    return f'<script type="module" src="{inside}"></script>'


def mend(text: str, path: Path) -> str:
    """A page's HTML as it works from disk.

    A ValueError tells that the page shows content from another host.
    """
    text = even_maths(PAUSE.sub("", text))
    soup = BeautifulSoup(text, "html.parser")
    lines = [0] + [match.end() for match in re.finditer("\n", text)]

    def place(tag: Tag) -> int:
        return lines[tag.sourceline - 1] + tag.sourcepos

    edits = []
    for tag, name, value in missing_attributes(soup, path.name.endswith(".slides.html")):
        after = place(tag) + 1 + len(tag.name)
        edits.append((after, after, f' {name}="{html.escape(value)}"'))
    for script in soup("script"):
        if (new := mended_script(script, path)) is not None:
            start = place(script)
            edits.append((start, text.index("</script>", start) + len("</script>"), new))
    for kind, attribute, names in REFERENCES:
        for tag in soup.select(f":is({names})[{attribute}]") if kind != "link" else ():
            if not is_remote(tag[attribute]) or tag.name == "script" or "canonical" in tag.get("rel", ()):
                continue
            if tag.name != "link":
                raise ValueError(
                    f"{path} shows {tag[attribute]}, which lies on another host; "
                    "pages work without network: keep a copy in the project and show that"
                )
            edits.append((place(tag), text.index(">", place(tag)) + 1, ""))
    for start, end, new in sorted(edits, reverse=True):
        if not new and text[start - 1 : start] == "\n" and text[end : end + 1] == "\n":
            end += 1
        text = text[:start] + new + text[end:]
    return text


def main() -> None:
    """Mend each page that Quarto has just written."""
    try:
        project = Project.load(Path.cwd())
        frame = Frame(project)
        for path in map(Path, os.environ["QUARTO_PROJECT_OUTPUT_FILES"].splitlines()):
            if path.suffix != ".html":
                continue
            text = mend(path.read_bytes().decode("utf-8"), path)  # with its line ends as they are
            text = frame.add(text, Path(os.path.relpath(path, frame.out)).as_posix())
            if project.head not in text:
                text = text.replace("</head>", f"{project.head}\n</head>", 1)
            write_changed(path, text.encode("utf-8"))
        frame.write_data()
    except (RenderError, ValueError, OSError) as error:
        sys.exit(f"render/quarto_post_render.py: {error}")


if __name__ == "__main__":
    main()

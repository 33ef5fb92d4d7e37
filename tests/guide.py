"""CONTRIBUTING.md and exercises/README.md as readers follow them: each block goes where the text says."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from PIL import Image

from tools.ledger import repository_files

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXERCISES = (ROOT / "exercises/README.md").read_text(encoding="utf-8")
LECTURE = "lectures/08-claims.qmd"


def section(title: str, text: str = GUIDE) -> str:
    """The text below a second-level heading; headings inside of blocks are none."""
    headings = "Add|Release|What is made|A small|Its checks|Sliders"
    return re.search(rf"(?ms)^## {title}$(.*?)(?=^## (?:{headings}) |^## Sliders|\Z)", text)[1]


def blocks(title: str, language: str, text: str = GUIDE) -> list[str]:
    """The code blocks of a section, without the indentation of the list that they stand in."""
    found = re.findall(rf"(?ms)^( *)(````?){language}\n(.*?)^ *\2$", section(title, text))
    return [re.sub(rf"(?m)^{indentation}", "", block) for indentation, _, block in found]


def insert(path: Path, before: str, text: str) -> None:
    """Put a text before the line, the only one, that begins so."""
    content = path.read_text(encoding="utf-8")
    place = re.search(rf"(?m)^{re.escape(before)}", content).start()
    path.write_text(content[:place] + text + content[place:], encoding="utf-8")


def copy_of_the_course(folder: Path) -> Path:
    """A copy of all files that git tracks or would track."""
    for name in repository_files(ROOT):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    return folder


def add_slides(folder: Path, lecture: str, before: str, titles: tuple[str, ...]) -> None:
    """The slides of these sections, in a lecture before a heading."""
    slides = "\n".join(blocks(f"Add a {title}", "markdown")[0] for title in titles)
    insert(folder / lecture, f"{before}\n", f"{slides}\n")


def add_file(folder: Path) -> None:
    """A picture and its entry in the ledger."""
    Image.new("RGB", (90, 60), "gray").save(folder / "assets/images/roof.png")
    with open(folder / "assets/ledger.toml", "a", encoding="utf-8") as ledger:
        ledger.write("\n" + blocks("Add a file", "toml")[0])


def add_exercise(folder: Path) -> None:
    """A source and its checks."""
    source = blocks("A small one, complete", "python", EXERCISES)[0]
    (folder / "exercises/source/08-claims.py").write_text(source, encoding="utf-8")
    checks = blocks("Its checks", "python", EXERCISES)[0]
    (folder / "course/checks/exercise_08.py").write_text(checks, encoding="utf-8")


def add_lecture(folder: Path) -> None:
    """The frame, and its places on the front page and in the guide for instructors; its exercise."""
    frame, front, glance, instructors = blocks("Add a lecture", "markdown")
    (folder / LECTURE).write_text(frame, encoding="utf-8")
    insert(folder / "index.qmd", ":::\n\nSlides and notes come", front)
    insert(folder / "docs/instructors.md", "\n*Minutes* is the whole", glance)
    insert(folder / "docs/instructors.md", "## Exercises", instructors + "\n")
    add_exercise(folder)

"""course.yml: one file for what is the lecturer's, which every page follows."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from render.project import Project
from render.qmd import RenderError, parse
from tools.settings import hints

ROOT = Path(__file__).resolve().parents[2]
PROJECT = """project:
  type: website
  execute-dir: project
metadata-files: [course.yml]
website:
  favicon: mark.svg
  navbar:
    left:
      - href: index.qmd
        text: Home
bibliography: references.bib
fig-format: svg
format:
  html: default
  revealjs:
    auto-stretch: false
    output-ext: slides.html
    footer: "{{< meta course-title >}}"
"""
OWN = """course-title: &title "Images & insurers"
author: Jane Doe
logo: logo.svg
website:
  title: *title
  repo-url: https://github.com/jane/images
  navbar:
    logo: logo.svg
colours:
  accent: "#8a1538"
minutes:
  1: 45
bibliography: [own.bib]
"""


def load(folder: Path, own: str = OWN, page: str = "---\ntitle: T\n---\n") -> Project:
    (folder / "_quarto.yml").write_text(PROJECT, encoding="utf-8")
    (folder / "course.yml").write_text(own, encoding="utf-8")
    (folder / "index.qmd").write_text(page, encoding="utf-8")
    return Project.load(folder)


def settings(project: Project, name: str) -> dict:
    document = parse(project.root / "index.qmd", project.root)
    return next(each.settings for each in project.formats(document) if each.name == name)


def test_both_files_are_one_as_in_quarto(tmp_path) -> None:
    project = load(tmp_path)
    assert project.website["title"] == "Images & insurers" and project.website["favicon"] == "mark.svg"
    assert project.website["navbar"]["logo"] == "logo.svg" and project.website["navbar"]["left"]
    assert project.config["bibliography"] == ["references.bib", "own.bib"]
    assert settings(project, "revealjs")["footer"] == "Images & insurers"
    assert settings(project, "html")["author"] == "Jane Doe"


def test_a_page_may_name_a_setting(tmp_path) -> None:
    page = '---\ntitle: T\nsubtitle: "{{< meta course-title >}} · {{< meta author >}}"\n---\n'
    assert settings(load(tmp_path, page=page), "html")["subtitle"] == "Images & insurers · Jane Doe"
    with pytest.raises(RenderError, match="nothing says what `{{< meta course-titel >}}` is"):
        settings(load(tmp_path, page='---\ntitle: "{{< meta course-titel >}}"\n---\n'), "html")


def test_colours_and_minutes_stand_in_the_head(tmp_path) -> None:
    head = load(tmp_path).head
    assert "--own-accent: #8a1538;" in head
    assert 'name="course-minutes" content="{&quot;1&quot;: 45}"' in head


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("curse-title: x", "course.yml:1: the renderer does not know the key 'curse-title'"),
        ("website:\n  titel: x", "course.yml:2: the renderer does not know the key 'titel' under `website:`"),
        ("a: [", "course.yml:1: this is not valid YAML"),
    ],
)
def test_a_fault_is_told_with_its_file_and_line(tmp_path, line, said) -> None:
    with pytest.raises(RenderError) as caught:
        load(tmp_path, own=line)
    assert said in str(caught.value)


def test_a_missing_file_is_told(tmp_path) -> None:
    load(tmp_path)
    (tmp_path / "course.yml").unlink()
    with pytest.raises(RenderError, match="course.yml: cannot read the file"):
        Project.load(tmp_path)


@pytest.mark.parametrize("key", ["chalkboard", "embed-resources"])
def test_what_is_refused_names_what_works_here(tmp_path, key) -> None:
    page = f"---\ntitle: T\nformat:\n  revealjs:\n    {key}: true\n---\n"
    with pytest.raises(RenderError, match=r"press D in a deck|`make zip` packs a lecture"):
        settings(load(tmp_path, page=page), "revealjs")


# --- the course's own ----------------------------------------------------------------------


@pytest.fixture
def course(tmp_path) -> Path:
    """What `hints` reads, copied, to be changed."""
    for name in ("_quarto.yml", "course.yml", "CITATION.cff", "assets/styles", "lectures", "index.qmd"):
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    (tmp_path / "glossary.qmd").write_text("---\ntitle: G\n---\n", encoding="utf-8")
    return tmp_path


def own(course: Path, text: str) -> list[str]:
    citation = course / "CITATION.cff"
    citation.write_text(
        re.sub("(?m)^title: .*", "title: Images", citation.read_text("utf-8")), encoding="utf-8"
    )
    (course / "course.yml").write_text(text, encoding="utf-8")
    return hints(course)


WHOLE = """author: Jane Doe
website: {title: Images, repo-url: https://github.com/jane/images}
"""


def test_what_is_set_draws_no_hint(course) -> None:
    assert own(course, WHOLE) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (WHOLE.replace("author: Jane Doe", ""), "`author` is empty"),
        (WHOLE.replace("jane", "example"), "`repo-url` is the example's"),
        (WHOLE.replace("title: Images", "title: Others"), 'CITATION.cff cites "Images"'),
        (f'{WHOLE}colours: {{accent: "#ffcc00"}}', "accent on paper by day has a contrast of 1.5"),
        (f"{WHOLE}colours: {{accent: red}}", "`colours: accent` is not one of accent, ink"),
        (f'{WHOLE}colours: {{akzent: "#000000"}}', "`colours: akzent` is not one of accent, ink"),
        (f"{WHOLE}minutes: {{99: 45}}", "`minutes: 99: 45` is no lecture's number"),
        (f"{WHOLE}minutes: {{1: long}}", "`minutes: 1: long` is no lecture's number"),
    ],
)
def test_what_a_lecturer_should_look_at_is_said(course, text, said) -> None:
    assert said in "; ".join(own(course, text))


def test_nothing_else_names_the_course() -> None:
    """The title stands in course.yml, in what is made from it, and where docs/make-it-yours.md says."""
    guide = (ROOT / "docs/make-it-yours.md").read_text(encoding="utf-8")
    by_hand = set(re.findall(r"(?m)^\| \[([\w./-]+)\]\(", guide))
    words, apart = "Computer vision for actuaries", (":!*.ipynb", ":!tests")
    command = ["git", "grep", "-l", "--fixed-strings", words, "--", ".", *apart]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8").stdout.split()
    assert set(found) - {"course.yml"} <= by_hand

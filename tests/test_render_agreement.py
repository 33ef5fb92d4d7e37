"""Both engines make the same pages. Runs where Quarto 1.7 or later is on the PATH.

The page with every feature is rendered by both, then compared slide by slide and section by
section: titles, words, code, tables, figures, callouts, footers and speaker notes.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from render_command import run_render

from render import engine

SITE = Path(__file__).parent / "render" / "site"

pytestmark = pytest.mark.skipif(
    engine.choose("auto") is None, reason="no Quarto of version 1.7 or later is on the PATH"
)


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """The test site as each engine renders it: folders by "quarto" and "pip"."""
    folders = {}
    for name in ("quarto", "pip"):
        folders[name] = tmp_path_factory.mktemp(name) / "site"
        shutil.copytree(SITE, folders[name])
    done = run_render(folders["pip"], "--engine", "pip")
    assert done.returncode == 0, done.stderr.decode("utf-8")
    done = subprocess.run(
        [engine.choose("quarto"), "render"],
        cwd=folders["quarto"],
        env=os.environ | {"QUARTO_PYTHON": sys.executable},
        capture_output=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr.decode("utf-8")
    return folders


def words(tag):
    """The words of an element, without what each engine or run words in its own way."""
    tag = BeautifulSoup(str(tag), "lxml")
    for each in tag.select("script, style, math, .callout-btn-toggle, .screen-reader-only"):
        each.decompose()
    for pause in tag.find_all("p", string=re.compile(r"^\. \. \.$")):
        pause.decompose()
    text = re.sub(r"/tmp/ipykernel_\d+/\d+\.py", "CELL", tag.get_text(" "))
    # Traceback colours split the text in other places.
    text = re.sub(r"\s+([.,;:)])", r"\1", " ".join(text.split()))
    return text.replace(" ", "")


def summary(part):
    heading = part.find(["h1", "h2"])
    captions = [" ".join(each.get_text().split()) for each in part.select("figcaption, p.caption")]
    return {
        "title": words(heading) if heading else "",
        "words": words(part),
        "code": [each.get_text() for each in part.select("div.cell-code code")],
        "tables": len(part.find_all("table")),
        "figures": [each.get("data-src") or each.get("src") for each in part.find_all("img")],
        # Quarto gives a captioned image no text; the caption serves as one here.
        "image texts": [
            each["alt"]
            for each in part.find_all("img")
            if each.get("alt") and each["alt"] not in captions
        ],
        "captions": [words(each) for each in part.select("figcaption, p.caption")],
        "callouts": [
            sorted(name for name in each["class"] if name.startswith("callout"))
            for each in part.select("div.callout")
        ],
        "math": len(part.find_all("math")),
        "fragments": len(part.select(".fragment")),
        "notes": [words(each) for each in part.select("aside.notes, div.notes")],
        "footers": [words(each) for each in part.select(".footer")],
    }


def parts(folder, name, selector):
    text = (folder / "_site" / name).read_text(encoding="utf-8")
    soup = BeautifulSoup(text, "lxml")
    return [
        summary(each)
        for each in soup.select(selector)
        if not each.find("section", class_="slide") and not each.find("section", class_="level2")
    ]


@pytest.mark.parametrize(
    ("name", "selector", "least"),
    [
        ("lectures/01-features.slides.html", "section.slide", 20),
        ("lectures/01-features.html", "main section.level2", 15),
    ],
)
def test_same_parts(sites, name, selector, least):
    quarto = parts(sites["quarto"], name, selector)
    pip = parts(sites["pip"], name, selector)
    assert [each["title"] for each in pip] == [each["title"] for each in quarto]
    assert len(pip) >= least
    differences = [
        f"{ours['title'] or number}: {kind}: pip {ours[kind]!r}, Quarto {theirs[kind]!r}"
        for number, (ours, theirs) in enumerate(zip(pip, quarto, strict=True))
        for kind in ours
        if ours[kind] != theirs[kind]
    ]
    assert not differences, "\n".join(differences)


def test_same_files(sites):
    def pages(folder):
        return sorted(
            path.relative_to(folder).as_posix()
            for path in (folder / "_site").rglob("*")
            if path.suffix in (".html", ".svg") and "site_libs" not in path.parts
        )

    assert pages(sites["pip"]) == pages(sites["quarto"])


def test_same_figures(sites):
    for path in sorted((sites["pip"] / "_site").rglob("*.svg")):
        other = sites["quarto"] / path.relative_to(sites["pip"])
        sizes = [
            re.search(r'viewBox="([^"]+)"', each.read_text(encoding="utf-8"))[1]
            for each in (path, other)
        ]
        assert sizes[0] == sizes[1], path.name

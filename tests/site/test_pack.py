"""The archive of a lecture opens from another folder, without network, and leads nowhere else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from render.project import Project
from tools.pack import SEARCH, Pack

from .checks import Findings, opened
from .test_site import LECTURES

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def project():
    return Project.load(REPOSITORY)


@pytest.fixture(params=LECTURES)
def lecture(request):
    return request.param


@pytest.fixture
def unpacked(project, site, lecture, tmp_path) -> Path:
    """A lecture's archive, unpacked into a folder with a space in its name."""
    folder = tmp_path / "a stick"
    archive = tmp_path / "lecture.zip"
    archive.write_bytes(Pack(project, lecture, site).zipped())
    shutil.unpack_archive(archive, folder)
    return folder


def local_links(page) -> set[str]:
    """Where the links of a page lead that stay in its folder, without the places on the pages."""
    return set(
        page.evaluate("""() => [...document.querySelectorAll("a[href]")]
          .filter((link) => link.protocol === "file:").map((link) => decodeURI(link.href.split("#")[0]))""")
    )


def test_it_opens_and_every_link_leads_to_a_file(browser, lecture, unpacked) -> None:
    findings, seen = Findings(), {}  # `opened` tells of failed requests and of those that leave the disk
    for name in (f"lectures/{lecture}.html", f"lectures/{lecture}.slides.html"):
        with opened(browser, unpacked / name, findings) as page:
            page.context.set_offline(True)
            page.reload()
            font = "getComputedStyle(document.querySelector('h1, h2')).fontFamily"
            assert "Course Sans" in page.evaluate(font)
            seen[name] = local_links(page)
    assert not findings.problems
    for name, links in seen.items():
        missing = [link for link in links if not Path(link.removeprefix("file://")).is_file()]
        assert missing == [], name
    notes, slides = (
        (unpacked / f"lectures/{lecture}{end}").as_uri().replace("%20", " ")
        for end in (".html", ".slides.html")
    )
    assert slides in seen[f"lectures/{lecture}.html"] and notes in seen[f"lectures/{lecture}.slides.html"]


def test_it_holds_this_lecture_alone(lecture, unpacked) -> None:
    others = [name for name in LECTURES if name != lecture]
    names = [path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()]
    assert [name for name in names if any(f"lectures/{other}" in name for other in others)] == []
    if SEARCH in names:
        text = (unpacked / SEARCH).read_text(encoding="utf-8")
        rows = json.loads(text.split("(", 1)[1].rsplit(")", 1)[0])
        assert {row[0].partition("#")[0] for row in rows} <= set(names)


def test_links_to_the_rest_of_the_course_lead_to_the_site(project, site, lecture, monkeypatch) -> None:
    monkeypatch.setitem(project.website, "site-url", "https://example.org/course/")
    page = Pack(project, lecture, site).files[f"lectures/{lecture}.html"].decode("utf-8")
    assert 'href="https://example.org/course/glossary.html' in page


def test_the_same_lecture_makes_the_same_archive(project, site) -> None:
    assert Pack(project, LECTURES[0], site).zipped() == Pack(project, LECTURES[0], site).zipped()


def test_its_index_opens_the_notes(browser, lecture, unpacked) -> None:
    page = browser.new_page()
    page.goto((unpacked / "index.html").as_uri(), wait_until="commit")
    page.wait_for_url(f"**/lectures/{lecture}.html", timeout=10_000)
    page.close()

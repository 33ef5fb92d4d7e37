"""The built site and a browser, for every test that looks at it; and the order of the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from course.store.files import locked

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def _run(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, encoding="utf-8", errors="replace")


@pytest.fixture(scope="session")
def site_folder() -> Path:
    """The built site: the folder that COURSE_SITE names, else _site brought up to date.

    Tests run in several processes. The first renders, the others wait and find all in place.
    """
    named = os.environ.get("COURSE_SITE")
    if not named:
        with locked(REPOSITORY / ".render-cache", "tests"):
            before = _run("git", "diff", "--stat").stdout
            done = _run(sys.executable, "-m", "render")
            after = _run("git", "diff", "--stat").stdout
        if done.returncode:
            pytest.fail(f"the site could not be rendered:\n{done.stdout}{done.stderr}")
        if before != after:
            pytest.fail(f"rendering has changed files that git keeps:\n{after}")
    folder = Path(named or REPOSITORY / "_site").resolve()
    if not (folder / "index.html").is_file():
        pytest.fail(f"{folder} holds no index.html: render the site first, or set COURSE_SITE")
    return folder


@pytest.fixture(scope="session")
def site(site_folder: Path) -> Path:
    return site_folder


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """One browser for a file's tests; where there is none they are skipped, or fail when strict.

    Playwright keeps an event loop running, in which no notebook could be run; so it ends with the file.
    """
    from tools.browser import NoBrowserError, open_browser

    try:
        with open_browser() as started:
            yield started
    except NoBrowserError as error:
        if os.environ.get("COURSE_STRICT") == "1":
            pytest.fail(f"COURSE_STRICT=1 asks for the browser tests. {error}")
        pytest.skip(str(error))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """While one process renders the site, the others find enough that does not wait for it.

    One file that looks at the site comes first, then those that do not, then the others.
    """
    waiting = list(
        dict.fromkeys(item.path for item in items if "site_folder" in getattr(item, "fixturenames", ()))
    )
    items.sort(key=lambda item: (item.path not in waiting[:1], item.path in waiting))

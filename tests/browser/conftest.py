"""A browser and a built site for the tests in this folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from render.browser import NoBrowserError, open_browser

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One browser for all tests; where there is none they are skipped, or fail when strict."""
    try:
        with open_browser() as started:
            yield started
    except NoBrowserError as error:
        if os.environ.get("COURSE_STRICT") == "1":
            pytest.fail(f"COURSE_STRICT=1 asks for the browser tests. {error}")
        pytest.skip(str(error))


@pytest.fixture(scope="package")
def site() -> Path:
    """The built site: the folder that COURSE_SITE names, else _site brought up to date."""
    named = os.environ.get("COURSE_SITE")
    if named:
        folder = Path(named).resolve()
    else:
        folder = REPOSITORY / "_site"
        done = subprocess.run([sys.executable, "-m", "render"], cwd=REPOSITORY,
                              capture_output=True, encoding="utf-8", errors="replace")
        if done.returncode:
            pytest.fail(f"the site could not be rendered:\n{done.stdout}{done.stderr}")
    if not (folder / "index.html").is_file():
        pytest.fail(f"{folder} holds no index.html: render the site first, or set COURSE_SITE")
    return folder

"""A browser for the tests in this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from render.browser import NoBrowserError, open_browser


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
def site(site_folder: Path) -> Path:
    return site_folder

"""Finding and starting the browser that makes the hand-outs and runs the tests of the site."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ADVICE = (
    "No Chromium was found. Install one (Debian, Ubuntu: apt install chromium; elsewhere: "
    "python -m playwright install chromium) or name it: COURSE_BROWSER=<path>.")


class NoBrowserError(RuntimeError):
    """This machine has no browser that Playwright can drive."""


def find_browser() -> str:
    """Path of a Chromium: COURSE_BROWSER, then the PATH, then Playwright's own.

    Raises NoBrowserError when there is none.
    """
    named = os.environ.get("COURSE_BROWSER")
    if named:
        if not Path(named).is_file():
            raise NoBrowserError(f"COURSE_BROWSER names {named}, which is not a file.")
        return named
    for command in COMMANDS:
        found = shutil.which(command)
        if found:
            return found
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    if Path(own).is_file():
        return own
    raise NoBrowserError(ADVICE)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A headless browser, closed at the end. Raises NoBrowserError when there is none."""
    path = find_browser()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        try:
            yield browser
        finally:
            browser.close()

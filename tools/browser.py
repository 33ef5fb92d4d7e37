"""Finding and starting the browser that makes the hand-outs and runs the tests of the site."""

from __future__ import annotations

import ntpath
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from render.qmd import RenderError

COMMANDS = (
    "chromium chromium-browser google-chrome google-chrome-stable chrome microsoft-edge "
    "microsoft-edge-stable msedge"
).split()
# Where installers of macOS and Windows put browsers that are on no PATH, the preferred ones first. Playwright
# only starts a browser from some of these folders ("channels") and does not tell where it lies.
PLACES = [
    f"{folder}/{name}.app/Contents/MacOS/{name}"
    for name in ("Google Chrome", "Chromium", "Microsoft Edge")
    for folder in ("/Applications", "~/Applications")
] + [
    f"%{folder}%/{name}.exe"
    for name in (
        "Google/Chrome/Application/chrome",
        "Chromium/Application/chrome",
        "Microsoft/Edge/Application/msedge",
    )
    for folder in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")
]
ADVICE = (
    "No Chromium, Chrome or Edge was found. Install one (Debian, Ubuntu: apt install chromium; "
    "elsewhere: python -m playwright install chromium) or name it: COURSE_BROWSER=<path>."
)


class NoBrowserError(RenderError):
    """This machine has no browser that Playwright can drive."""


def find_browser() -> str:
    """A Chromium, Chrome or Edge: COURSE_BROWSER's, on the PATH, Playwright's own, or in the usual places."""
    if named := os.environ.get("COURSE_BROWSER", "").strip():
        if not Path(named).is_file():
            raise NoBrowserError(f"COURSE_BROWSER names {named}, which is not a file.")
        return named
    for command in COMMANDS:
        if found := shutil.which(command):
            return found
    from playwright.sync_api import sync_playwright  # it takes a moment, and most have gone by now

    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
    for place in (own, *(Path(ntpath.expandvars(each)).expanduser() for each in PLACES)):
        if place.is_file():
            return str(place)
    raise NoBrowserError(ADVICE)


@contextmanager
def open_browser() -> Iterator[Any]:
    """A headless browser, closed at the end. Raises NoBrowserError when there is none."""
    from playwright.sync_api import sync_playwright

    path = find_browser()
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=path) as browser:
        yield browser

"""Finding and starting the browser that makes the hand-outs and runs the tests of the site."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

COMMANDS = (
    "chromium chromium-browser google-chrome google-chrome-stable chrome microsoft-edge "
    "microsoft-edge-stable msedge"
).split()
# Where installers put browsers that are on no PATH. Playwright knows some of these folders, but
# only starts a browser from them ("channels") and does not tell where it lies.
MACOS_FOLDERS = ("/Applications", "~/Applications")
MACOS_NAMES = ("Google Chrome", "Chromium", "Microsoft Edge")
WINDOWS_FOLDERS = ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")
WINDOWS_NAMES = (
    "Google/Chrome/Application/chrome.exe",
    "Chromium/Application/chrome.exe",
    "Microsoft/Edge/Application/msedge.exe",
)
ADVICE = (
    "No Chromium, Chrome or Edge was found. Install one (Debian, Ubuntu: apt install chromium; "
    "elsewhere: python -m playwright install chromium) or name it: COURSE_BROWSER=<path>."
)


class NoBrowserError(RuntimeError):
    """This machine has no browser that Playwright can drive."""


def usual_places() -> list[Path]:
    """Where browsers lie on this system that are not on the PATH, the preferred ones first."""
    if platform.system() == "Darwin":
        return [
            Path(folder, f"{name}.app/Contents/MacOS/{name}").expanduser()
            for name in MACOS_NAMES
            for folder in MACOS_FOLDERS
        ]
    if platform.system() == "Windows":
        folders = [os.environ[name] for name in WINDOWS_FOLDERS if os.environ.get(name)]
        return [Path(folder, name) for name in WINDOWS_NAMES for folder in folders]
    return []


def find_browser() -> str:
    """Path of a Chromium, Chrome or Edge; a NoBrowserError says that there is none.

    Looked for by COURSE_BROWSER, then on the PATH, then Playwright's own, then in the usual places.
    """
    named = os.environ.get("COURSE_BROWSER", "").strip()
    if named:
        if not Path(named).is_file():
            raise NoBrowserError(f"COURSE_BROWSER names {named}, which is not a file.")
        return named
    for command in COMMANDS:
        found = shutil.which(command)
        if found:
            return found
    from playwright.sync_api import sync_playwright  # it takes a moment, and most have gone by now

    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
    for place in (own, *usual_places()):
        if place.is_file():
            return str(place)
    raise NoBrowserError(ADVICE)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A headless browser, closed at the end. Raises NoBrowserError when there is none."""
    from playwright.sync_api import sync_playwright

    path = find_browser()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        try:
            yield browser
        finally:
            browser.close()


def main() -> int:
    """`python -m render.browser` prints the path, or why there is none; `make check` asks so."""
    try:
        print(find_browser())
    except NoBrowserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

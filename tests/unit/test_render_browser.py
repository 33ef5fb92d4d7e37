"""Finding a browser: in faked folders of every system, in the order that is promised."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tools import browser

PLACES = [
    "Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "home/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "Applications/Chromium.app/Contents/MacOS/Chromium",
    "home/Applications/Chromium.app/Contents/MacOS/Chromium",
    "Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    "home/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    *(
        f"{folder}/{program}"
        for program in (
            "Google/Chrome/Application/chrome.exe",
            "Chromium/Application/chrome.exe",
            "Microsoft/Edge/Application/msedge.exe",
        )
        for folder in ("Program Files", "Program Files (x86)", "AppData")
    ),
]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Give this machine folders of its own, of every system, and no browser anywhere."""
    places = [
        re.sub("^/Applications", (tmp_path / "Applications").as_posix(), each) for each in browser.PLACES
    ]
    monkeypatch.setattr(browser, "PLACES", places)
    (tmp_path / "bin").mkdir()
    monkeypatch.delenv("COURSE_BROWSER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "playwright"))
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("PROGRAMFILES", str(tmp_path / "Program Files"))
    monkeypatch.setenv("PROGRAMFILES(X86)", str(tmp_path / "Program Files (x86)"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "AppData"))
    return tmp_path


def put(path: Path) -> str:
    """A file that may be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)
    return str(path)


def test_browsers_are_found_where_installers_put_them_the_preferred_ones_first(machine) -> None:
    assert len(browser.PLACES) == len(PLACES)
    for place in reversed(PLACES):
        program = put(machine / place)
        assert browser.find_browser() == program


def test_a_windows_without_one_of_its_variables_is_searched_too(machine, monkeypatch) -> None:
    monkeypatch.delenv("PROGRAMFILES(X86)")
    monkeypatch.setenv("LOCALAPPDATA", "")
    program = put(machine / "Program Files/Microsoft/Edge/Application/msedge.exe")
    assert browser.find_browser() == program


def test_without_a_browser_the_message_says_what_to_do(machine) -> None:
    with pytest.raises(browser.NoBrowserError, match="No Chromium, Chrome or Edge was found"):
        browser.find_browser()


def test_what_is_named_comes_first_then_the_path_then_playwrights_own(machine, monkeypatch) -> None:
    folder = machine
    installed = put(folder / PLACES[0])
    assert browser.find_browser() == installed
    with sync_playwright() as playwright:
        own = put(Path(playwright.chromium.executable_path))
    assert Path(own).is_relative_to(folder)
    assert browser.find_browser() == own
    ending = ".exe" if os.name == "nt" else ""
    edge = put(folder / f"bin/microsoft-edge{ending}")
    assert browser.find_browser().lower() == edge.lower()
    chrome = put(folder / f"bin/google-chrome{ending}")
    assert browser.find_browser().lower() == chrome.lower()
    monkeypatch.setenv("COURSE_BROWSER", installed)
    assert browser.find_browser() == installed

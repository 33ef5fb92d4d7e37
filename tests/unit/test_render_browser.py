"""Finding a browser: on faked systems, in faked folders, in the order that is promised."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from render import browser
from tests.render_command import REPOSITORY

PLACES = {
    "Darwin": [
        "Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "home/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "Applications/Chromium.app/Contents/MacOS/Chromium",
        "home/Applications/Chromium.app/Contents/MacOS/Chromium",
        "Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
        "home/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    ],
    "Windows": [
        f"{folder}/{program}"
        for program in (
            "Google/Chrome/Application/chrome.exe",
            "Chromium/Application/chrome.exe",
            "Microsoft/Edge/Application/msedge.exe",
        )
        for folder in ("Program Files", "Program Files (x86)", "AppData")
    ],
    "Linux": [],
}
CASES = [(system, place) for system, places in PLACES.items() for place in places]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Give this machine another system, with folders of its own and no browser anywhere."""

    def pretend(system: str) -> Path:
        monkeypatch.setattr(platform, "system", lambda: system)
        monkeypatch.setattr(browser, "MACOS_FOLDERS", (str(tmp_path / "Applications"), "~/Applications"))
        return tmp_path

    (tmp_path / "bin").mkdir()
    monkeypatch.delenv("COURSE_BROWSER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "playwright"))
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("PROGRAMFILES", str(tmp_path / "Program Files"))
    monkeypatch.setenv("PROGRAMFILES(X86)", str(tmp_path / "Program Files (x86)"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "AppData"))
    return pretend


def put(path: Path) -> str:
    """A file that may be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)
    return str(path)


@pytest.mark.parametrize(("system", "place"), CASES)
def test_browsers_are_found_where_installers_put_them(machine, system, place) -> None:
    program = put(machine(system) / place)
    assert browser.find_browser() == program


@pytest.mark.parametrize("system", PLACES)
def test_the_places_have_their_order(machine, system) -> None:
    folder = machine(system)
    assert browser.usual_places() == [folder / place for place in PLACES[system]]


def test_on_macos_the_applications_of_all_users_count() -> None:
    assert browser.MACOS_FOLDERS == ("/Applications", "~/Applications")


def test_a_windows_without_one_of_its_variables_is_searched_too(machine, monkeypatch) -> None:
    folder = machine("Windows")
    monkeypatch.delenv("PROGRAMFILES(X86)")
    monkeypatch.setenv("LOCALAPPDATA", "")
    program = put(folder / "Program Files/Microsoft/Edge/Application/msedge.exe")
    assert browser.find_browser() == program


@pytest.mark.parametrize("system", PLACES)
def test_another_systems_places_do_not_count(machine, system) -> None:
    folder = machine(system)
    for other, places in PLACES.items():
        for place in places if other != system else ():
            put(folder / place)
    with pytest.raises(browser.NoBrowserError, match="No Chromium, Chrome or Edge was found"):
        browser.find_browser()


def test_what_is_named_comes_first_then_the_path_then_playwrights_own(machine, monkeypatch) -> None:
    folder = machine("Darwin")
    installed = put(folder / PLACES["Darwin"][0])
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


def test_the_command_prints_the_path_or_what_to_do(tmp_path, monkeypatch) -> None:
    def run() -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "render.browser"],
            cwd=REPOSITORY,
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONUTF8": "1"},
        )

    named = put(tmp_path / "手写 browser")
    monkeypatch.setenv("COURSE_BROWSER", named)
    done = run()
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, named, "")
    monkeypatch.setenv("COURSE_BROWSER", named + "x")
    done = run()
    assert (done.returncode, done.stdout) == (1, "") and "which is not a file" in done.stderr

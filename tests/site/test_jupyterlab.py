"""A student's first ten minutes: `make lab` opens an exercise, and a right answer passes and stays.

The folder is the student's own, made by the command, so that what is typed is in no tracked file.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page, expect

from tools.exercises import SOURCE, read_exercise, split_answer

REPOSITORY = Path(__file__).resolve().parents[2]
EXERCISE = "02-convolution"
TASK = "output_size"
SETTINGS = {
    # No question about news, and no cell that is there only when it is scrolled to.
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},
}


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> Path:
    """The folder that `make lab` makes; it is empty before."""
    return tmp_path_factory.mktemp("my work")


@pytest.fixture(scope="module")
def lab(student):
    """The address of a running JupyterLab, ended afterwards with its kernels."""
    settings = student / ".settings"
    for name, values in SETTINGS.items():
        path = settings / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")
    environment = os.environ | {
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
        "JUPYTERLAB_WORKSPACES_DIR": str(student / ".workspaces"),
        "JUPYTER_RUNTIME_DIR": str(student / ".runtime"),
        "JUPYTER_CONFIG_DIR": str(student / ".config"),
    }
    token = "a-token-of-this-test"
    log = (student / "log.txt").open("w+", encoding="utf-8")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tools.lab",
            f"--folder={student}",
            "--no-browser",
            "--ServerApp.port=0",
            "--ServerApp.ip=127.0.0.1",
            f"--IdentityProvider.token={token}",
            "--allow-root",
        ],
        cwd=REPOSITORY,
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        address = _wait_for_server(process, student / ".runtime", student / "log.txt")
        yield lambda path: f"{address}lab/tree/{path}?token={token}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
        log.close()


def _wait_for_server(process: subprocess.Popen, runtime: Path, log: Path) -> str:
    for _ in range(240):
        if process.poll() is not None:
            pytest.fail(f"JupyterLab ended at once:\n{log.read_text(encoding='utf-8')}")
        for path in runtime.glob("jpserver-*.json"):
            try:
                url = json.loads(path.read_text(encoding="utf-8"))["url"]
                urllib.request.urlopen(f"{url}api", timeout=5).close()
                return url
            except (OSError, ValueError, KeyError):
                pass  # not yet written, or not yet listening
        time.sleep(0.5)
    pytest.fail(f"JupyterLab did not answer within two minutes:\n{log.read_text(encoding='utf-8')}")


def cell(page: Page, text: str):
    """The code cell that contains this text."""
    return page.locator(".jp-CodeCell", has_text=text).first


def run_all(page: Page) -> None:
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


def test_an_exercise_from_opening_to_reloading(browser, lab, student) -> None:
    path = f"exercises/{EXERCISE}.ipynb"
    exercise = read_exercise(REPOSITORY / SOURCE / f"{EXERCISE}.py")
    answer = next(each for each in exercise if each.metadata.get("task") == TASK)
    solution, blank = (part.splitlines() for part in split_answer(answer.source))
    (typed,) = (line.strip() for line in solution if line not in blank)
    page = browser.new_context(viewport={"width": 1400, "height": 1000}).new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    # Everything comes from this machine.
    page.on(
        "request",
        lambda request: (
            problems.append(request.url)
            if not re.match(r"(https?|wss?)://(127\.0\.0\.1|localhost)[:/]|data:|blob:", request.url)
            else None
        ),
    )
    page.goto(lab(path))
    title = exercise[0].source.partition("\n")[0].removeprefix("# ")
    expect(page.get_by_role("heading", name=title)).to_be_visible(timeout=120_000)
    badge = page.locator("img[alt='Open in Colab']")
    expect(badge).to_be_visible()
    assert badge.evaluate("image => image.naturalWidth") > 0

    # All cells run, and every check says what is to be done.
    run_all(page)
    tasks = [each for each in exercise if "task" in each.metadata]
    expect(page.get_by_text("✗ Task ")).to_have_count(len(tasks), timeout=240_000)
    expect(page.get_by_text("still blank").first).to_be_visible()
    expect(page.get_by_text("✓ Task ")).to_have_count(0)
    sliders = page.locator(".widget-slider")
    expect(sliders.first).to_be_visible()

    # A slider draws another picture.
    picture = page.locator(".jp-RenderedSVG, .jp-RenderedImage").first
    before = picture.inner_html()
    page.locator(".widget-readout").nth(1).click()
    page.keyboard.press("Control+A")
    page.keyboard.type("5")
    page.keyboard.press("Enter")
    page.wait_for_function(
        "before => document.querySelector('.jp-RenderedSVG, .jp-RenderedImage')?.innerHTML !== before",
        arg=before,
        timeout=60_000,
    )

    # The student types an answer in place of the three dots and runs the check.
    place = cell(page, f"def {TASK}(")
    place.locator(".cm-line", has_text="# your answer").click()
    page.keyboard.press("Home")
    page.keyboard.press("Shift+End")
    page.keyboard.type(typed)
    assert typed in place.locator(".cm-content").inner_text()
    page.keyboard.press("Shift+Enter")
    check = cell(page, f"check.{TASK}(")
    check.locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    expect(check.get_by_text("✓ Task 1")).to_be_visible(timeout=60_000)

    page.keyboard.press("Control+S")
    saved = student / path
    for _ in range(60):
        if "✓ Task 1" in saved.read_text(encoding="utf-8"):
            break
        time.sleep(0.5)
    notebook = nbformat.read(saved, as_version=4)
    assert any(typed in each.source for each in notebook.cells)

    page.reload()
    expect(cell(page, f"check.{TASK}(").get_by_text("✓ Task 1")).to_be_visible(timeout=120_000)
    expect(cell(page, f"def {TASK}(")).to_contain_text(typed)
    shown = os.environ.get("COURSE_SCREENSHOTS")
    if shown:
        Path(shown).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(shown) / "jupyterlab.png")
    assert not problems
    page.context.close()

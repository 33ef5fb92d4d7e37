"""`make check`: each check can fail, says why, and says what to do."""

from __future__ import annotations

import importlib.metadata
import io
import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

import tools.check.__main__ as preflight
from tools import browser
from tools.check import checks, probe
from tools.check.checks import FAILURE, OK, WARNING

ROOT = Path(__file__).resolve().parents[2]


def failed(finding, *words: str) -> None:
    """The finding is a failure, its fact holds the words, and it has a remedy."""
    assert finding.level == FAILURE, finding
    for word in words:
        assert word in finding.fact, finding.fact
    assert finding.remedy


@pytest.fixture
def copy(tmp_path):
    """A copy of the files that ship, to damage."""
    folder = tmp_path / "repository"
    for name in ("assets", "cache", "data"):
        shutil.copytree(
            ROOT / name,
            folder / name,
            ignore=shutil.ignore_patterns("handwriting", ".*", "own-data", "__pycache__"),
        )
    for name in ("course", "lectures", "exercises", "tests/render"):  # named by `used_in`
        if (ROOT / name).is_dir():
            (folder / name).mkdir(parents=True)
    return folder


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Put a program of any name, alone, on the PATH; it runs the given Python."""
    if os.name == "nt":
        pytest.skip("programs of this kind need a Unix")

    def put(name: str, code: str) -> str:
        path = tmp_path / "programs" / name
        path.parent.mkdir(exist_ok=True)
        # A line #! takes no path with a space, and this checkout may lie in one.
        path.with_suffix(".py").write_text(f"import sys\n{code}\n", encoding="utf-8")
        words = shlex.join([sys.executable, str(path.with_suffix(".py"))])
        path.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(path.parent))
        return str(path)

    return put


# --- Python and packages -----------------------------------------------------------------


@pytest.mark.parametrize(
    "version, bits, prefix, level, words",
    [
        ((3, 12, 1), 64, ".venv", OK, "3.12.1, 64 bit"),
        ((3, 10, 14), 64, ".venv", FAILURE, "3.10.14"),
        ((2, 7, 18), 64, ".venv", FAILURE, "2.7.18"),
        ((3, 12, 0), 32, ".venv", FAILURE, "32 bit"),
        ((3, 12, 0), 64, "other", WARNING, "not the one in .venv"),
        ((3, 99, 0), 64, ".venv", WARNING, "3.99"),
    ],
)
def test_python_must_serve(monkeypatch, version, bits, prefix, level, words) -> None:
    other = SimpleNamespace(version_info=version, maxsize=2 ** (bits - 1) - 1, prefix=str(ROOT / prefix))
    monkeypatch.setattr(checks, "sys", other)
    finding = checks.check_python()
    assert finding.level == level and words in finding.fact and (finding.remedy or level == OK)


def test_an_old_python_is_told_so_and_nothing_else(monkeypatch) -> None:
    monkeypatch.setattr(checks, "check_python", lambda: checks.Finding(FAILURE, "Python", "3.9.0", "Install"))
    monkeypatch.setattr(checks, "start_probe", lambda: pytest.fail("the probe was started"))
    assert [finding.name for finding in preflight.run(1)] == ["Python"]


def test_every_package_is_compared(tmp_path) -> None:
    """The names of requirements.txt with the versions that are installed, whichever these are."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    names = re.findall(r"(?m)^[A-Za-z][\w.-]*", text)
    lines = [f"{name}=={importlib.metadata.version(name).split('+')[0]}" for name in names]
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("\n".join(lines), encoding="utf-8")
    finding = checks.check_packages(requirements)
    assert finding.level == OK, finding
    assert finding.fact == f"all {len(names) + 1} as requirements.txt asks"
    requirements.write_text("\n".join(line + ".1" for line in lines), encoding="utf-8")
    failed(checks.check_packages(requirements), f"{len(names)} of {len(names) + 1} are not")


@pytest.mark.parametrize(
    "line, words",
    [
        ("no-such-package-here~=1.0", "no-such-package-here is not installed"),
        ("numpy==0.1", "numpy is "),
        ("numpy>=999  # a comment", "not >=999"),
        ("numpy === what ever", "requirements.txt is damaged"),
    ],
)
def test_a_package_that_is_missing_or_another_version_fails(tmp_path, line, words) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"# models\n\npip\n{line}\n", encoding="utf-8")
    failed(checks.check_packages(requirements), words)


def test_a_package_for_another_system_is_passed_over(tmp_path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text('pip\nnothing-such==1; sys_platform == "amiga"\n', encoding="utf-8")
    assert checks.check_packages(requirements).fact.startswith("all 2 ")


def test_a_course_installed_from_elsewhere_fails(tmp_path) -> None:
    failed(checks.check_packages(root=tmp_path), "`course` is installed from another folder", ROOT.as_uri())


@pytest.mark.parametrize(
    "settings",
    [
        '{"image_data_format": "channels_first"}',
        '{"floatx": "float16", "backend": "torch"}',
        '{"epsilon": 0.001, "backend": "jax"}',
    ],
)
def test_settings_of_keras_that_it_takes_are_good(tmp_path, monkeypatch, settings) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert checks.check_keras().fact == "no settings of your own"
    (tmp_path / "keras.json").write_text(settings, encoding="utf-8")
    finding = checks.check_keras()
    assert finding.level == OK and f"{tmp_path / 'keras.json'} can be read" in finding.fact


@pytest.mark.parametrize(
    "settings, words",
    [
        ('{"floatx": ', "is damaged"),
        ("[1, 2]", "is damaged"),
        ("[]", "is damaged"),
        ('{"floatx": "float128"}', "floatx is float128"),
        ('{"epsilon": 0}', "epsilon is 0"),
        ('{"image_data_format": null}', "image_data_format is None"),
    ],
)
def test_settings_that_keras_refuses_fail(tmp_path, monkeypatch, settings, words) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "keras.json").write_text(settings, encoding="utf-8")
    finding = checks.check_keras()
    failed(finding, str(tmp_path / "keras.json"), words)
    assert "Keras makes it again" in finding.remedy


def test_missing_requirements_fail(tmp_path) -> None:
    failed(checks.check_packages(tmp_path / "requirements.txt"), "No such file")


# --- files that ship ---------------------------------------------------------------------


def test_files_that_ship_are_good(copy) -> None:
    for check in (checks.check_fonts, checks.check_data):
        assert check(copy).level == OK, check(copy)
    finding = checks.check_artefacts(copy, copy / "cache")
    assert finding.level == OK, finding


def test_a_missing_font_fails(copy) -> None:
    (copy / "assets/fonts/course-kai.ttf").unlink()
    failed(checks.check_fonts(copy), "assets/fonts/course-kai.ttf is missing")


def test_a_changed_font_fails(copy) -> None:
    with open(copy / "assets/fonts/course-mono.woff2", "ab") as file:
        file.write(b"x")
    failed(checks.check_fonts(copy), "assets/fonts/course-mono*.woff2: the content changed")


def test_a_font_without_the_characters_fails(copy, monkeypatch) -> None:
    monkeypatch.setattr(checks, "CHARACTERS", "人" + chr(0x9F98))
    failed(checks.check_fonts(copy), "lacks " + chr(0x9F98))


def test_a_damaged_archive_fails(copy) -> None:
    archive = copy / "data/handwriting.tar.xz"
    content = bytearray(archive.read_bytes())
    content[1000] ^= 1
    archive.write_bytes(content)
    failed(checks.check_data(copy), "data/handwriting.tar.xz: the content changed")


def test_a_folder_of_ones_own_that_is_missing_fails(copy, monkeypatch) -> None:
    monkeypatch.setenv("COURSE_DATA", str(copy / "nowhere"))
    failed(checks.check_data(copy), "COURSE_DATA", "nowhere")


def test_a_notebook_of_ones_own_without_characters_fails(copy, monkeypatch, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("COURSE_NOTEBOOK", str(tmp_path / "empty"))
    failed(checks.check_data(copy), "COURSE_NOTEBOOK", "empty")


def test_a_broken_ledger_fails(copy) -> None:
    (copy / "assets/ledger.toml").write_text("[[item]\n", encoding="utf-8")
    failed(checks.check_fonts(copy), "ledger.toml")


def test_a_missing_model_fails(copy) -> None:
    (copy / "cache/cnn.keras").unlink()
    failed(checks.check_artefacts(copy, copy / "cache"), "cnn.keras is missing")


def test_a_damaged_model_fails(copy) -> None:
    (copy / "cache/cnn.keras").write_bytes(b"PK\3\4")
    failed(checks.check_artefacts(copy, copy / "cache"), "cache/cnn.keras: its SHA-256 is not")


@pytest.mark.parametrize("content", ["{", '{"artefacts": 3}', None])
def test_a_damaged_manifest_fails(copy, content) -> None:
    manifest = copy / "cache/manifest.json"
    manifest.unlink() if content is None else manifest.write_text(content, encoding="utf-8")
    failed(checks.check_artefacts(copy, copy / "cache"), "manifest.json")


# --- programs ----------------------------------------------------------------------------


def test_graphviz_off_the_path_fails(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    failed(checks.check_graphviz(), "not on the PATH")


def test_graphviz_that_draws_nothing_fails(program) -> None:
    program("dot", "sys.exit('Format: svg not recognized')")
    failed(checks.check_graphviz(), "draws nothing", "not recognized")


def test_graphviz_that_draws_is_good(program) -> None:
    program("dot", "assert 'a -> b' in sys.stdin.read(); print('<svg></svg>')")
    assert checks.check_graphviz().level == OK


def test_a_missing_browser_fails(monkeypatch) -> None:
    def none():
        raise browser.NoBrowserError(browser.ADVICE)

    monkeypatch.setattr(browser, "find_browser", none)
    failed(checks.check_browser(), "No Chromium, Chrome or Edge was found")


def test_a_browser_that_does_not_start_fails(program, monkeypatch) -> None:
    monkeypatch.setenv("COURSE_BROWSER", program("chromium", "sys.exit('no display')"))
    failed(checks.check_browser(), "shows no page", "no display")
    monkeypatch.setenv("COURSE_BROWSER", "/no/such/browser")
    failed(checks.check_browser(), "/no/such/browser")


def test_a_browser_must_run_the_pages_script(program, monkeypatch) -> None:
    """A program that prints the page as it is on disk is no browser."""
    monkeypatch.setenv(
        "COURSE_BROWSER",
        program(
            "chromium", ("from urllib.request import urlopen\nprint(urlopen(sys.argv[-1]).read().decode())")
        ),
    )
    failed(checks.check_browser(), "shows no page")


def test_the_browser_is_the_one_that_the_renderer_starts(program, monkeypatch) -> None:
    monkeypatch.delenv("COURSE_BROWSER", raising=False)
    chrome = program("google-chrome", "print('42 works')")
    assert browser.find_browser() == chrome
    finding = checks.check_browser()
    assert finding.level == OK and chrome in finding.fact


# --- the machine -------------------------------------------------------------------------


def test_a_full_disk_fails(tmp_path, monkeypatch) -> None:
    def free(gigabytes: float) -> checks.Finding:
        monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: SimpleNamespace(free=gigabytes * 2**30))
        return checks.check_disk(tmp_path)

    failed(free(2), "setting up .venv needs 5 GB")
    (tmp_path / ".venv").mkdir()
    assert free(2).level == OK
    failed(free(0.1), "0.1 GB free", "rendering needs 1 GB")


def test_a_folder_that_cannot_be_written_fails(tmp_path) -> None:
    failed(checks.check_disk(tmp_path / "absent"), "cannot be written")


@pytest.mark.parametrize("available, level", [(0.5, FAILURE), (2, WARNING), (6, OK)])
def test_too_little_memory_fails_and_little_warns(monkeypatch, available, level) -> None:
    memory = SimpleNamespace(available=available * 2**30, total=8 * 2**30)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    finding = checks.check_memory()
    assert finding.level == level and f"{available:.1f} of 8.0 GB" in finding.fact


def test_slides_that_are_missing_or_old_are_named(tmp_path) -> None:
    failed(checks.check_slides(tmp_path), "no lectures")
    lectures, site = tmp_path / "lectures", tmp_path / "_site/lectures"
    lectures.mkdir()
    site.mkdir(parents=True)
    for name in ("01-one", "02-two"):
        (lectures / f"{name}.qmd").touch()
    (site / "01-one.slides.html").touch()
    finding = checks.check_slides(tmp_path)
    assert finding.level == WARNING and finding.fact.endswith(": 02-two")
    (site / "02-two.slides.html").touch()
    assert checks.check_slides(tmp_path).level == OK
    os.utime(lectures / "01-one.qmd", (4e9, 4e9))
    finding = checks.check_slides(tmp_path)
    assert finding.fact.endswith(": 01-one") and finding.remedy == "make slides"


# --- speed -------------------------------------------------------------------------------

MEASURED = {
    "seconds_per_epoch": 12.4,
    "batches": 20,
    "images": 6456,
    "threads": 2,
    "seconds_per_epoch_when_fitted": 19.2,
}


def _probe(code: str) -> subprocess.Popen:
    """A process in the place of the measurement."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", code], encoding="utf-8", **pipes)


def test_a_measurement_says_that_it_is_extrapolated() -> None:
    finding = checks.check_training(_probe(f"print('noise'); print('{json.dumps(MEASURED)}')"), 30)
    assert finding.level == OK
    for words in ("about 12 s per epoch", "extrapolated from 20 batches to 6,456 images"):
        assert words in finding.fact


def test_a_slow_machine_is_a_warning() -> None:
    finding = checks.check_training(
        _probe(f"print('{json.dumps({**MEASURED, 'seconds_per_epoch': 200.0})}')"), 30
    )
    assert finding.level == WARNING and finding.remedy


def test_a_probe_that_breaks_fails() -> None:
    failed(checks.check_training(_probe("import no_such_module"), 30), "No module named")
    failed(checks.check_training(_probe("raise OSError('DLL load failed')"), 30), "DLL load")
    failed(checks.check_training(_probe("import os; os._exit(3)"), 30), "status 3")
    failed(checks.check_training(_probe("print('no result')"), 30), "do not run")


def test_a_probe_that_finds_a_fault_fails() -> None:
    result = json.dumps({"error": "other test images"})
    failed(checks.check_training(_probe(f"print('{result}')"), 30), "other test images")


def test_a_probe_that_takes_too_long_is_ended() -> None:
    probe = _probe("import time; time.sleep(60)")
    finding = checks.check_training(probe, 0.3)
    assert finding.level == WARNING and "not measured" in finding.fact and finding.remedy
    assert probe.poll() is not None


def test_the_probe_measures_the_shipped_model() -> None:
    with checks.start_probe() as running:
        stdout, stderr = running.communicate(timeout=300)
    assert running.returncode == 0, stderr
    result = json.loads(stdout.splitlines()[-1])
    entry = json.loads((ROOT / "cache/manifest.json").read_text("utf-8"))["artefacts"]["cnn"]
    assert result["images"] == entry["recipe"]["training data"]["rows"]
    assert result["batches"] >= 1 and result["seconds_per_epoch"] > 0
    assert result["seconds_per_epoch_when_fitted"] == entry["seconds"] / entry["epochs_run"]


def test_the_probe_names_models_of_other_data(tmp_path, monkeypatch) -> None:
    shutil.copytree(ROOT / "cache", tmp_path / "cache", ignore=shutil.ignore_patterns(".*", "own-data"))
    manifest = tmp_path / "cache/manifest.json"
    content = json.loads(manifest.read_text("utf-8"))
    content["artefacts"]["cnn"]["score_data"]["test"] = "0" * 64
    manifest.write_text(json.dumps(content), encoding="utf-8")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    result = probe.measure()
    assert "scored on other test images" in result["error"]
    (tmp_path / "cache/cnn.keras").write_bytes(b"x")
    assert "cnn" in probe.measure()["error"]


# --- the command -------------------------------------------------------------------------


def test_the_report_counts_and_gives_remedies() -> None:
    findings = [
        checks.Finding(OK, "Python", "3.12"),
        checks.Finding(WARNING, "Memory", "little", "Close other programs"),
        checks.Finding(FAILURE, "Graphviz", "absent", "apt install graphviz"),
    ]
    text = preflight.report(findings, 1.23)
    assert "FAIL  Graphviz   absent" in text and "-> apt install graphviz" in text
    assert text.endswith("Not ready: 1 of 3 checks failed, 1 warning (1.2 s).")
    assert preflight.report(findings[:2], 1.0).endswith(
        "Ready for class: 1 of 2 checks passed, 1 warning (1.0 s)."
    )


def test_a_check_that_breaks_does_not_silence_the_others(monkeypatch) -> None:
    def disk_usage(_):
        raise RuntimeError("a strange disk")

    monkeypatch.setattr(checks.shutil, "disk_usage", disk_usage)
    monkeypatch.setattr(checks, "start_probe", lambda: _probe(f"print('{json.dumps(MEASURED)}')"))
    findings = {finding.name: finding for finding in preflight.run(30)}
    failed(findings["Disk"], "a strange disk")
    names = "Python Packages Keras Fonts Data Artefacts Graphviz Browser Disk Memory Slides Settings Training"
    assert list(findings) == names.split()


@pytest.mark.parametrize("level, status", [(OK, 0), (WARNING, 0), (FAILURE, 1)])
def test_exit_status(monkeypatch, level, status) -> None:
    monkeypatch.setattr(preflight, "run", lambda _: [checks.Finding(level, "Disk", "x", "y")])
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.StringIO())
    assert preflight.main([]) == status


def test_the_command_fails_where_graphviz_is_missing(tmp_path) -> None:
    """From end to end: a PATH without `dot`, and a browser that is named but absent."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.check", "--patience", "0.1"],
        cwd=ROOT,
        env={**os.environ, "PATH": str(tmp_path), "COURSE_BROWSER": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAIL  Graphviz" in done.stdout and "FAIL  Browser" in done.stdout
    assert "of 13 checks failed" in done.stdout


def test_a_python_without_any_package_is_told_what_is_missing() -> None:
    """`make check` answers before `make slides` has made .venv: -S hides all that is installed."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "tools.check", "--patience", "0.1"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAIL  Packages" in done.stdout and "Ready" not in done.stdout
    assert "FAIL  Disk" not in done.stdout and "Traceback" not in done.stdout + done.stderr


def test_make_check_runs_it() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "-m tools.check" in makefile.split("\ncheck:")[1].split("\n\n")[0]

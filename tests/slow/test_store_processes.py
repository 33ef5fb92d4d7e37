"""The store between processes: two fit once, a killed one leaves what was stored."""

import os
import subprocess
import sys
from pathlib import Path

import course  # noqa: F401
from course.store import artefacts

import pytest

from tests.unit.test_store import SETTINGS

SCRIPT = """
import os, sys
from tests.unit import test_store
from course.store import artefacts, files
if sys.argv[1] == "killed":
    replace = os.replace
    def kill(source, target):
        if os.path.basename(target) == sys.argv[2]:
            os._exit(9)
        replace(source, target)
    os.replace = kill
    test_store.by_fit(epochs=2)
test_store.by_fit()
test_store.by_fit(name=sys.argv[1])
"""


@pytest.fixture
def start(tmp_path, monkeypatch):
    for variable in SETTINGS:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COURSE_THREADS", "1")
    options = dict(stderr=subprocess.PIPE, cwd=Path(__file__).parents[2], encoding="utf-8")
    env = {**os.environ, "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1"}
    return lambda *words: subprocess.Popen([sys.executable, "-c", SCRIPT, *words], env=env, **options)


def test_two_processes_fit_once(start):
    running = [start("first"), start("second")]
    output = [process.communicate(timeout=300)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], output
    assert "".join(output).count("Making 'cnn'") == 1, output
    names = artefacts.read_manifest(artefacts.cache_folder())["artefacts"]
    assert sorted(names) == ["cnn", "first", "second"]


@pytest.mark.parametrize("file", ["cnn.keras", "manifest.json"])
def test_a_killed_process_leaves_what_can_be_loaded_or_mended(start, file):
    start("first").communicate(timeout=300)
    killed = start("killed", file)
    killed.communicate(timeout=300)
    assert killed.returncode == 9
    next_one = start("first")
    said = next_one.communicate(timeout=300)[1]
    assert next_one.returncode == 0, said
    recorded = artefacts.read_manifest(artefacts.cache_folder())["artefacts"]["cnn"]["files"]
    for name, about in recorded.items():
        assert artefacts._recorded(artefacts.cache_folder() / name) == about

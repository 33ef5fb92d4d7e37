"""Chief and workers as real processes, some of which are killed."""

import json
import os
import subprocess
import sys

from course.models import searches

import psutil
import pytest

from tests.whole.test_tuning_distributed import alone, free_port, own_settings, spec, table  # noqa: F401  (fixtures)
from tools import tune
from tools.tune import TuningError, find_search, launch


def workers_in(folder):
    """The living workers that write into `folder`."""
    for process in psutil.process_iter(["cmdline"]):
        if str(folder) in (process.info["cmdline"] or ()):
            yield process


def test_a_worker_killed_in_mid_trial_costs_nothing(spec, tmp_path):  # noqa: F811
    name, folder = spec(pause=1.5), tmp_path / "run"
    chief = launch(name, folder, workers=2, kill="1")
    text = (folder / "transcript.txt").read_text(encoding="utf-8")
    assert text.splitlines() == chief.lines
    assert "in the midst of trial 1" in text
    assert "starting it again (1 of 3)" in text
    assert "trial 1 again to" in text
    # every trial ended once
    assert sorted(line.split("trial ")[1][0] for line in chief.lines if " by worker" in line) == [
        "0",
        "1",
        "2",
    ]
    assert not list(workers_in(folder))
    assert json.loads((folder / "run.json").read_text(encoding="utf-8"))["killed"] == "1"
    assert sorted(path.name for path in folder.iterdir()) == ["run.json", "tiny", "transcript.txt"]

    spread = searches.reload(find_search(name), folder)
    assert table(spread).equals(alone(find_search(name), tmp_path / "alone"))
    assert spread.get_best_models(1)[0].count_params() > 0  # the winner's weights are there


def test_a_worker_that_dies_again_and_again_ends_the_search(spec, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(tune, "RESTARTS", 1)
    name = spec()
    module = tmp_path / f"{name.split(':')[0]}.py"
    text = module.read_text(encoding="utf-8")
    die = "import os, sys; sys.stderr.write('no memory\\n'); os._exit(3)"
    module.write_text(text.replace("time.sleep(0.0)", die), encoding="utf-8")
    with pytest.raises(TuningError) as caught:
        launch(name, tmp_path / "run", workers=1)
    for words in ("worker-1 ended with status 3 once too often", "no memory", f"OUT={tmp_path / 'run'}"):
        assert words in str(caught.value)
    assert not list(workers_in(tmp_path / "run"))


def test_a_killed_command_goes_on_later(spec, tmp_path, monkeypatch):  # noqa: F811
    name, folder = spec(pause=0.8), tmp_path / "run"
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    command = [sys.executable, "-m", "tools.tune", "--search", name, "--workers", "1", "--out", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as running:
        for line in running.stdout:
            if "trial 1 to" in line:
                running.kill()
                break
    for process in workers_in(folder):  # they would end by themselves within a minute
        process.kill()
    before = (folder / "tiny/trial_0/trial.json").read_text(encoding="utf-8")

    chief = launch(name, folder, workers=1)
    assert "1 of them done before" in chief.lines[0]
    assert (folder / "tiny/trial_0/trial.json").read_text(encoding="utf-8") == before
    assert table(chief.tuner).equals(alone(find_search(name), tmp_path / "alone"))


def test_chief_and_worker_are_started_by_kerastuners_variables(spec, tmp_path):  # noqa: F811
    name, folder = spec(), tmp_path / "run"
    place = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": str(free_port())}
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tools.tune", "--search", name, *out],
            env={**os.environ, **place, "KERASTUNER_TUNER_ID": who, "PYTHONPATH": str(tmp_path)},
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        for who, out in (("chief", ["--out", str(folder)]), ("worker-7", []))
    ]
    said = [process.communicate(timeout=300)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert "trial 2 by worker-7" in said[0] and f"Results are in {folder / 'tiny'}" in said[0]
    found = table(searches.reload(find_search(name), folder))
    assert found.equals(alone(find_search(name), tmp_path / "alone"))

"""Chief and workers as real processes: lost workers, dead chiefs, other searches."""

import dataclasses
import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from concurrent import futures

import course  # noqa: F401
from course.models import claims
from course.store import searches as searching
from course.store.searches import search_or_load, trials_table

import grpc
import keras_tuner
import psutil
import pytest
from keras_tuner.src import protos
from keras_tuner.src import utils as tuner_utils

from tools.tune import distributed
from tools.tune.distributed import TuningError, find_search, launch, run_chief, run_worker

# A module that chief and workers can import. A trial takes `PAUSE` seconds, so that a process can
# be killed in its midst.
MODULE = """
    import time

    import course
    import keras
    import keras_tuner
    import numpy as np

    from course.store.searches import Data, Search


    class Slow(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            time.sleep({pause})


    def data():
        rng = np.random.default_rng(1)
        X = rng.normal(size=(60, 3)).astype("float32")
        y = rng.poisson(np.exp(X[:, 0] / 2)).astype("float32")
        return Data(X[:40], y[:40], X[40:], y[40:])


    def build(hp):
        model = keras.Sequential([
            keras.Input((3,)),
            keras.layers.Dense(hp.Choice("neurons", [2, 3, 4, 5, 6, 7, 8]), activation="relu"),
            keras.layers.Dense(1, activation="exponential")])
        rate = hp.Float("rate", 1e-3, 1e-1, sampling="log")
        model.compile(optimizer=keras.optimizers.Adam(rate), loss="poisson")
        return model


    def search():
        return Search("tiny", keras_tuner.RandomSearch, build, data, objective="val_loss",
                      max_trials={trials}, seed=5, epochs=2, batch_size=20, callbacks=[Slow()])
"""


@pytest.fixture(autouse=True)
def own_settings(monkeypatch, tmp_path):
    for variable in (
        "COURSE_REFIT",
        "COURSE_STRICT",
        "KERASTUNER_TUNER_ID",
        "KERASTUNER_ORACLE_IP",
        "KERASTUNER_ORACLE_PORT",
    ):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def spec(tmp_path, monkeypatch):
    """Write a module with a search; returns what `--search` takes."""
    monkeypatch.syspath_prepend(str(tmp_path))
    written = []

    def write(pause=0.0, trials=3):
        name = f"tiny_search_{os.getpid()}_{time.monotonic_ns()}"
        path = tmp_path / f"{name}.py"
        path.write_text(textwrap.dedent(MODULE.format(pause=pause, trials=trials)), encoding="utf-8")
        written.append(name)
        return f"{name}:search"

    yield write
    for name in written:
        sys.modules.pop(name, None)


def processes_of(folder):
    """The living processes of a run in `folder`, by their name in it."""
    found = {}
    for process in psutil.Process().children(recursive=True):
        try:
            if str(folder) in process.cmdline():
                found[process.environ()["KERASTUNER_TUNER_ID"]] = process
        except (psutil.Error, KeyError):
            continue
    return found


def changed(search, **changes):
    return dataclasses.replace(search, **changes)


def trial_files(folder):
    return {
        path.parent.name: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((folder / "tiny").glob("trial_*/trial.json"))
    }


# --- a worker dies -----------------------------------------------------------------------------


def test_a_worker_killed_in_mid_trial_costs_nothing_and_results_are_those_of_one_process(spec, tmp_path):
    name, folder, lines = spec(pause=0.8), tmp_path / "run", []
    launch(name, folder, workers=2, kill="1", say=lines.append)
    text = "\n".join(lines)
    assert "in the midst of trial 1" in text
    assert "starting it again (1 of 3)" in text
    assert "trial 1 again to" in text
    # every trial ended once
    assert sorted(line.split("trial ")[1][0] for line in lines if " by worker" in line) == ["0", "1", "2"]
    assert {key: one["status"] for key, one in trial_files(folder).items()} == {
        f"trial_{i}": "COMPLETED" for i in range(3)
    }
    assert not processes_of(folder)

    alone = search_or_load(find_search(name))
    spread = searching.reload(find_search(name), folder)
    assert len(spread.oracle.trials) == 0  # the chief's file has another name than a lone tuner's
    (folder / "tiny" / "chief.json").rename(folder / "tiny" / "tuner0.json")
    spread = searching.reload(find_search(name), folder)
    compared = distributed.side_by_side(alone, spread)
    assert compared["same draw"].all() and len(compared) == 3
    assert (compared["score alone"] - compared["score distributed"]).abs().max() < 1e-6
    # and the winner's weights are there
    assert spread.get_best_models(1)[0].count_params() > 0


def test_the_trial_of_a_worker_that_never_comes_back_goes_to_another(spec, tmp_path, monkeypatch):
    monkeypatch.setattr(distributed, "RESTARTS", 0)
    folder, lines = tmp_path / "run", []
    launch(spec(pause=0.8), folder, workers=2, patience=6, kill="1", say=lines.append)
    text = "\n".join(lines)
    assert "is given up" in text
    assert "goes to another worker" in text
    killed = text.split("killing ")[1].split()[0]
    other = {"worker-1": "worker-2", "worker-2": "worker-1"}[killed]
    assert f"trial 1 by {other}" in text
    assert all(one["status"] == "COMPLETED" for one in trial_files(folder).values())
    assert not processes_of(folder)


# --- the chief dies ----------------------------------------------------------------------------


def test_a_killed_chief_is_an_error_and_the_search_goes_on_later(spec, tmp_path):
    name, folder, lines = spec(pause=0.8), tmp_path / "run", []

    def say(line):
        lines.append(line)
        if " by worker" in line and "chief" in (team := processes_of(folder)):
            team["chief"].kill()

    started = time.monotonic()
    with pytest.raises(TuningError) as caught:
        launch(name, folder, workers=1, say=say)
    assert "The chief was killed by SIGKILL" in str(caught.value) or os.name == "nt"
    assert f"OUT={folder}" in str(caught.value)
    assert time.monotonic() - started < 60
    assert not processes_of(folder)
    done = [key for key, one in trial_files(folder).items() if one["status"] == "COMPLETED"]
    assert done
    before = {key: (folder / "tiny" / key / "trial.json").stat().st_mtime_ns for key in done}

    again = []
    launch(name, folder, workers=1, say=again.append)
    assert f"{len(done)} of them done before" in again[0]
    trials = trial_files(folder)
    assert len(trials) == 3 and all(one["status"] == "COMPLETED" for one in trials.values())
    assert before == {key: (folder / "tiny" / key / "trial.json").stat().st_mtime_ns for key in done}


def fit_the_rest(oracle):
    """Take each trial that `oracle` gives, and end it with a loss of its own."""
    taken = []
    while (trial := oracle.create_trial("worker-1")).status == "RUNNING":
        taken.append(trial.trial_id)
        oracle.update_trial(trial.trial_id, {"val_loss": 1.0 + len(trial.trial_id)})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    return taken


def test_a_chief_killed_before_any_of_its_writes_loses_and_repeats_nothing(spec, tmp_path, monkeypatch):
    """KerasTuner keeps trials and the lists of them in several files: it may die between two."""
    search, write_whole = find_search(spec()), distributed.files.write_whole

    def chief(folder):
        tuner = search.make_tuner(folder, alone=True)
        tuner.oracle.verbose = 0
        distributed._settle(tuner.oracle)
        return tuner

    with distributed._json_files_whole():
        whole = chief(tmp_path / "whole")
        whole.save()
        assert fit_the_rest(whole.oracle) == ["0", "1", "2"]
        values = {key: one.hyperparameters.values for key, one in whole.oracle.trials.items()}

        deaths = 0
        for survived in range(100):
            left = survived

            def dies(path, text):
                nonlocal left
                if left == 0:
                    raise KeyboardInterrupt
                left -= 1
                write_whole(path, text)

            folder = tmp_path / f"{survived}"
            first = chief(folder)
            first.save()
            with monkeypatch.context() as patch:
                patch.setattr(distributed.files, "write_whole", dies)
                try:
                    fit_the_rest(first.oracle)
                except KeyboardInterrupt:
                    deaths += 1
                else:
                    break
            done = {key[6:] for key, one in trial_files(folder).items() if one["status"] == "COMPLETED"}
            again = chief(folder)
            taken = fit_the_rest(again.oracle)
            assert sorted(taken) == sorted({"0", "1", "2"} - done), survived
            assert {key: one.hyperparameters.values for key, one in again.oracle.trials.items()} == values, (
                survived
            )
            assert [one.status for one in again.oracle.trials.values()] == ["COMPLETED"] * 3
            assert sorted(again.oracle.end_order) == sorted(again.oracle.start_order) == ["0", "1", "2"]
    assert deaths >= 3 * 4  # each trial writes itself and the lists, at its start and its end


def test_a_worker_without_a_chief_says_so_in_bounded_time(spec, tmp_path, monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "worker-1")
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_ORACLE_PORT", str(port))
    search = find_search(spec())
    started = time.monotonic()
    with pytest.raises(TuningError, match=f"127.0.0.1:{port} does not answer"):
        run_worker(search, tmp_path, patience=1)
    assert time.monotonic() - started < 20


def test_a_chief_that_falls_silent_in_mid_trial_ends_the_worker(spec, tmp_path, monkeypatch):
    """The signs of life notice it, long before the trial is over."""
    monkeypatch.setattr(distributed, "SIGN_OF_LIFE", 0.2)
    search = changed(find_search(spec(pause=0.3)), epochs=1000)
    with serving(search, tmp_path / "chief") as (server, service, port):
        as_worker(monkeypatch, port)
        threading.Timer(2, lambda: server.stop(grace=None)).start()
        started = time.monotonic()
        with pytest.raises(TuningError, match="does not answer"):
            run_worker(search, tmp_path / "worker", patience=1.5)
        assert time.monotonic() - started < 30


# --- a chief in this process -------------------------------------------------------------------


class serving:
    """The chief's service, on a port of its own."""

    def __init__(self, search, folder):
        self.search, self.folder = search, folder

    def __enter__(self):
        recipe = searching.search_recipe(self.search, searching.data_fingerprints(self.search.data()))
        self.tuner = self.search.make_tuner(self.folder)
        self.tuner.oracle.verbose = 0
        self.lines = []
        self.service = distributed._Service(self.tuner.oracle, recipe, 30, self.lines.append)
        self.server = grpc.server(futures.ThreadPoolExecutor(8))
        protos.get_service_grpc().add_OracleServicer_to_server(self.service, self.server)
        port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()
        return self.server, self.service, port

    def __exit__(self, *error):
        self.server.stop(grace=None).wait()


def as_worker(monkeypatch, port, name="worker-1"):
    monkeypatch.setenv("KERASTUNER_TUNER_ID", name)
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_ORACLE_PORT", str(port))


@pytest.mark.parametrize("what", ["seed", "space", "data"])
def test_the_chief_refuses_a_worker_with_another_search(spec, tmp_path, monkeypatch, what):
    search = find_search(spec())

    def build(hp):
        hp.Boolean("batch_normalisation")
        return search.build_model(hp)

    def data():
        found = search.data()
        found.y[0] += 1
        return found

    other, words = {
        "seed": (changed(search, seed=6), "differ in.*seed"),
        "space": (changed(search, build_model=build), "differ in.*search space"),
        "data": (changed(search, data=data), "differ in.*training data"),
    }[what]
    with serving(search, tmp_path / "chief") as (_, service, port):
        as_worker(monkeypatch, port)
        with pytest.raises(TuningError, match=words):
            run_worker(other, tmp_path / "worker", patience=10)
        assert not service.oracle.trials


def test_a_plain_kerastuner_worker_can_join(spec, tmp_path, monkeypatch):
    """Without this module's signs of life, as KerasTuner's own documentation starts one."""
    search = find_search(spec(trials=2))
    data = search.data()
    with serving(search, tmp_path / "chief") as (_, service, port):
        as_worker(monkeypatch, port, "anybody")
        tuner = keras_tuner.RandomSearch(
            search.build_model,
            objective="val_loss",
            max_trials=2,
            seed=5,
            directory=str(tmp_path / "worker"),
            project_name="tiny",
        )
        tuner.search(data.X, data.y, validation_data=(data.X_val, data.y_val), epochs=1, verbose=0)
        assert [one.status for one in service.oracle.trials.values()] == ["COMPLETED"] * 2
        assert service.finished()


def ask(port):
    return protos.get_service_grpc().OracleStub(grpc.insecure_channel(f"127.0.0.1:{port}"))


def take(stub, tuner_id):
    return stub.CreateTrial(protos.get_service().CreateTrialRequest(tuner_id=tuner_id), timeout=10).trial


def finish(stub, trial, loss):
    service, proto = protos.get_service(), protos.get_proto()
    stub.UpdateTrial(
        service.UpdateTrialRequest(trial_id=trial.trial_id, metrics={"val_loss": loss}, step=0), timeout=10
    )
    ended = proto.Trial()
    ended.CopyFrom(trial)
    ended.status = proto.TrialStatus.COMPLETED
    stub.EndTrial(service.EndTrialRequest(trial=ended), timeout=10)


def test_a_worker_given_up_that_comes_back_counts_once(spec, tmp_path):
    """Both fit the trial; the first to end it counts, and the chief's books stay right."""
    status = protos.get_proto().TrialStatus
    search = find_search(spec(trials=1))
    with serving(search, tmp_path) as (_, service, port):
        stub = ask(port)
        first = take(stub, "slow")
        # The other worker has nothing to do, and waits in case it is needed.
        assert take(stub, "quick").status == status.IDLE
        assert not service.finished()
        service.seen["slow"] -= 1000
        service.give_up_lost_workers()
        assert not service.oracle.ongoing_trials
        second = take(stub, "quick")
        assert second.trial_id == first.trial_id
        finish(stub, second, 1.0)
        finish(stub, first, 0.5)  # too late
        trial = service.oracle.trials[first.trial_id]
        assert trial.status == "COMPLETED" and trial.score == 1.0
        assert service.oracle.end_order == [first.trial_id]
        assert take(stub, "quick").status == status.STOPPED
        assert take(stub, "slow").status == status.STOPPED
        assert service.finished()


def test_a_worker_given_up_that_ends_its_trial_before_another_takes_it(spec, tmp_path):
    status = protos.get_proto().TrialStatus
    search = find_search(spec(trials=1))
    with serving(search, tmp_path) as (_, service, port):
        stub = ask(port)
        trial = take(stub, "slow")
        service.seen["slow"] -= 1000
        service.give_up_lost_workers()
        finish(stub, trial, 0.5)
        assert service.oracle.trials[trial.trial_id].score == 0.5
        assert take(stub, "slow").status == status.STOPPED
        assert service.finished()


def test_signs_of_life_keep_a_long_trial(spec, tmp_path):
    with serving(find_search(spec(trials=1)), tmp_path) as (_, service, port):
        stub = ask(port)
        trial = take(stub, "worker-1")
        service.patience = 0.5
        for _ in range(4):
            time.sleep(0.25)
            stub.GetTrial(protos.get_service().GetTrialRequest(trial_id=trial.trial_id), timeout=5)
            service.give_up_lost_workers()
        assert "worker-1" in service.oracle.ongoing_trials
        time.sleep(0.6)
        service.give_up_lost_workers()
        assert "worker-1" not in service.oracle.ongoing_trials


def test_unknown_trials_are_refused_and_do_not_block_the_chief(spec, tmp_path):
    with serving(find_search(spec()), tmp_path) as (_, service, port):
        stub = ask(port)
        with pytest.raises(grpc.RpcError) as caught:
            stub.UpdateTrial(
                protos.get_service().UpdateTrialRequest(trial_id="99", metrics={"val_loss": 1.0}, step=0),
                timeout=5,
            )
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
        assert take(stub, "worker-1").trial_id == "0"


# --- wrong starts ------------------------------------------------------------------------------


def as_chief(monkeypatch, port):
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "chief")
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_ORACLE_PORT", str(port))


def test_a_chief_does_not_go_on_with_another_search(spec, tmp_path, monkeypatch):
    search = find_search(spec())
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    search_or_load(search)
    as_chief(monkeypatch, 1)
    with pytest.raises(TuningError, match="another search: seed 5 → 6"):
        run_chief(changed(search, seed=6), tmp_path / "tuning")


def test_a_second_chief_at_the_same_port_is_an_error(spec, tmp_path, monkeypatch):
    search = find_search(spec())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        as_chief(monkeypatch, port)
        with pytest.raises(TuningError, match=f"cannot listen at 127.0.0.1:{port}"):
            run_chief(search, tmp_path)


def test_a_chief_leaves_kerastuner_as_it_was(spec, tmp_path, monkeypatch):
    """It lets KerasTuner write its files whole, but only while it is at work."""
    search, in_place, during = find_search(spec()), tuner_utils.save_json, []

    def serve(*arguments):
        during.append(tuner_utils.save_json)
        tuner_utils.save_json(str(tmp_path / "state.json"), {"score": 1})
        raise TuningError("ended")

    monkeypatch.setattr(distributed, "_serve", serve)
    as_chief(monkeypatch, 1)
    with pytest.raises(TuningError, match="ended"):
        run_chief(search, tmp_path)
    assert during[0] is not in_place
    assert json.loads((tmp_path / "state.json").read_text(encoding="utf-8")) == {"score": 1}
    assert tuner_utils.save_json is in_place


def test_a_chiefs_files_are_whole_whenever_it_is_killed(tmp_path, monkeypatch):
    path = tmp_path / "trial.json"

    def killed(*_):
        raise KeyboardInterrupt

    with distributed._json_files_whole():
        tuner_utils.save_json(str(path), {"status": "RUNNING"})
        monkeypatch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            tuner_utils.save_json(str(path), {"status": "COMPLETED"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"status": "RUNNING"}


@pytest.mark.parametrize(
    "spec_text, word",
    [
        ("no_such_module:search", "no_such_module"),
        ("course.models.claims:no_such_search", "no_such_search"),
        ("course.models.claims:build_default", "not a Search"),
    ],
)
def test_wrong_searches_are_named(spec_text, word):
    with pytest.raises(TuningError, match=word):
        find_search(spec_text)


def test_no_workers_is_an_error(tmp_path):
    with pytest.raises(TuningError, match="at least one worker"):
        launch("course.models.claims:one_layer", tmp_path, workers=0)


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "course.store", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
        encoding="utf-8",
    )


def test_a_missing_variable_is_named():
    found = command(KERASTUNER_ORACLE_IP="127.0.0.1", KERASTUNER_TUNER_ID="worker-1")
    assert found.returncode == 1
    assert "KERASTUNER_ORACLE_PORT is not" in found.stderr
    assert "Traceback" not in found.stderr


# --- the run that the lecture shows ------------------------------------------------------------


def test_the_shipped_run_is_the_shipped_search_with_a_worker_killed(monkeypatch):
    monkeypatch.delenv("COURSE_CACHE")
    monkeypatch.setenv("COURSE_STRICT", "1")
    spread, transcript, about = distributed.spread_or_load(
        "course.models.claims:one_layer", workers=2, kill="03"
    )
    assert about["workers"] == 2
    assert "killing worker-" in transcript and "trial 03 again to worker-" in transcript
    compared = distributed.side_by_side(search_or_load(claims.one_layer()), spread)
    assert len(trials_table(spread)) == 10 and compared["same draw"].all()
    assert (compared["score alone"] - compared["score distributed"]).abs().max() < 1e-3

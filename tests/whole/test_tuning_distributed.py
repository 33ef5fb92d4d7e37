"""A chief and its workers in one process: other searches, lost chiefs, the run that ships."""

import dataclasses
import os
import socket
import sys
import textwrap
import threading
import time

import course  # noqa: F401
from course.models import claims, searches
from course.models.searches import trials_table
from course.paths import CACHE

import grpc
import keras_tuner
import pytest
from keras_tuner.src import protos

from tools import tune
from tools.tune import Chief, TuningError, find_search, work

# A module that chief and workers can import. A trial takes twice `pause` seconds and is fitted for
# two epochs, so that a process can be killed in its midst.
MODULE = """
    import time

    import course
    import keras
    import keras_tuner
    import numpy as np

    from course.models.searches import Data, Search


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
def own_settings(monkeypatch):
    for variable in tune.VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("keras_tuner.src.distribute.oracle_client.TIMEOUT", 3600)  # as `work` found it


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


@pytest.fixture
def chief_of(tmp_path):
    """Start the chief of a search in this process, on a port of its own."""
    started = []

    def start(search):
        started.append(Chief(search, tmp_path / "chief", "127.0.0.1", 0))
        return started[-1]

    yield start
    for chief in started:
        chief.server.stop(grace=None).wait()


def as_worker(monkeypatch, port, name="worker-1"):
    for variable, value in zip(tune.VARIABLES, (name, "127.0.0.1", str(port))):
        monkeypatch.setenv(variable, value)


def table(tuner):
    """The trials; the order of the hyperparameters differs between processes."""
    return trials_table(tuner).sort_index(axis=1)


def alone(search, folder):
    """The trials of the same search in one process, without chief or workers."""
    tuner = search.make_tuner(folder)
    search.run(tuner)
    return table(tuner)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# --- what comes out ----------------------------------------------------------------------------


def test_trials_come_out_as_in_one_process(spec, tmp_path, monkeypatch, chief_of):
    search = find_search(spec())
    chief = chief_of(search)
    as_worker(monkeypatch, chief.port)
    work(search, tmp_path / "worker")
    chief.serve()
    found = table(searches.reload(search, tmp_path / "chief"))
    assert found.equals(alone(search, tmp_path / "alone")) and len(found) == 3
    said = [line.split("] ")[1] for line in chief.lines]
    assert said[1].startswith("trial 0 to worker-1: neurons ")
    assert said[2].startswith("trial 0 by worker-1: val_loss ") and said[2].endswith("; 1 of 3 done")
    assert said[-1] == "all trials have ended"


def test_a_plain_kerastuner_worker_can_join(spec, tmp_path, monkeypatch, chief_of):
    """As KerasTuner's own documentation starts one."""
    search = find_search(spec(trials=2))
    data = search.data()
    chief = chief_of(search)
    as_worker(monkeypatch, chief.port, "anybody")
    tuner = keras_tuner.RandomSearch(
        search.build_model,
        objective="val_loss",
        max_trials=2,
        seed=5,
        directory=str(tmp_path / "worker"),
        project_name="tiny",
    )
    tuner.search(data.X, data.y, validation_data=(data.X_val, data.y_val), epochs=1, verbose=0)
    chief.serve()
    assert [one.status for one in chief.oracle.trials.values()] == ["COMPLETED"] * 2


def test_the_shipped_run_is_the_shipped_search_with_a_worker_killed():
    search, folder = claims.one_layer(), CACHE / "tuning" / "one_layer_distributed"
    lines = (folder / "transcript.txt").read_text(encoding="utf-8").splitlines()
    killed = next(i for i, line in enumerate(lines) if "killing worker-" in line)
    assert any("trial 03 again to worker-" in line for line in lines[killed:])
    spread = trials_table(searches.reload(search, folder))
    single = trials_table(searches.reload(search, CACHE / "tuning"))
    values = ["neurons", "activation", "learning_rate"]
    assert len(single) == 10 and spread[values].equals(single[values])
    assert (spread["score"] - single["score"]).abs().max() < 1e-3


# --- a worker or the chief is lost -------------------------------------------------------------


def take(chief, worker):
    """Ask for a trial, as a worker does."""
    stub = protos.get_service_grpc().OracleStub(grpc.insecure_channel(f"127.0.0.1:{chief.port}"))
    request = protos.get_service().CreateTrialRequest(tuner_id=worker)
    return stub, stub.CreateTrial(request, timeout=10).trial


def finish(stub, trial, loss):
    """End a trial, as a worker does; without a loss it has failed."""
    service, status = protos.get_service(), protos.get_proto().TrialStatus
    if loss is not None:
        stub.UpdateTrial(
            service.UpdateTrialRequest(trial_id=trial.trial_id, metrics={"val_loss": loss}, step=0),
            timeout=10,
        )
    trial.status = status.FAILED if loss is None else status.COMPLETED
    stub.EndTrial(service.EndTrialRequest(trial=trial), timeout=10)


def test_a_worker_that_comes_back_under_its_name_gets_its_trial_again(spec, chief_of):
    chief = chief_of(find_search(spec()))
    _, first = take(chief, "worker-1")
    _, other = take(chief, "worker-2")
    stub, again = take(chief, "worker-1")
    assert again.trial_id == first.trial_id != other.trial_id
    assert "trial 0 again to worker-1" in chief.lines[-1]
    finish(stub, again, 1.0)
    assert chief.oracle.trials["0"].score == 1.0 and chief.oracle.end_order == ["0"]


def test_a_chief_that_is_started_again_goes_on(spec, chief_of):
    search = find_search(spec())
    first = chief_of(search)
    stub, trial = take(first, "worker-1")
    finish(stub, trial, 1.0)
    _, opened = take(first, "worker-1")
    first.server.stop(grace=None).wait()

    again = chief_of(search)
    assert again.lines[0].endswith("3 trials, 1 of them done before")
    stub, trial = take(again, "worker-1")
    assert trial.trial_id == opened.trial_id == "1"
    assert trial.hyperparameters == opened.hyperparameters
    finish(stub, trial, 2.0)
    stub, trial = take(again, "worker-1")
    finish(stub, trial, 3.0)
    assert take(again, "worker-1")[1].status == protos.get_proto().TrialStatus.STOPPED
    again.serve()
    assert [one.score for one in again.oracle.trials.values()] == [1.0, 2.0, 3.0]


def test_a_search_whose_trials_fail_in_a_row_ends(spec, chief_of):
    chief = chief_of(find_search(spec(trials=9)))
    for _ in range(3):
        stub, trial = take(chief, "worker-1")
        finish(stub, trial, None)
    with pytest.raises(TuningError, match="consecutive failures"):
        chief.serve()


def test_a_worker_without_a_chief_says_so_in_bounded_time(spec, tmp_path, monkeypatch):
    port = free_port()
    as_worker(monkeypatch, port)
    monkeypatch.setattr(tune, "PATIENCE", 1.0)
    started = time.monotonic()
    with pytest.raises(TuningError, match=f"127.0.0.1:{port} does not answer"):
        work(find_search(spec()), tmp_path)
    assert time.monotonic() - started < 20


def test_a_chief_that_falls_silent_in_mid_trial_ends_the_worker(spec, tmp_path, monkeypatch, chief_of):
    search = find_search(spec(pause=1.0))
    chief = chief_of(search)
    as_worker(monkeypatch, chief.port)
    monkeypatch.setattr(tune, "PATIENCE", 1.0)

    def silence():
        while not chief.oracle.ongoing_trials:
            time.sleep(0.05)
        chief.server.stop(grace=None)

    threading.Thread(target=silence).start()
    with pytest.raises(TuningError, match="does not answer"):
        work(search, tmp_path / "worker")


# --- wrong starts ------------------------------------------------------------------------------


def other_search(search, what):
    """The search with another seed, search space or data, and words that name the difference."""

    def build(hp):
        hp.Boolean("batch_normalisation")
        return search.build_model(hp)

    def data():
        found = search.data()
        found.y[0] += 1
        return found

    changes = {"seed": {"seed": 6}, "search space": {"build_model": build}, "training data": {"data": data}}
    return dataclasses.replace(search, **changes[what])


@pytest.mark.parametrize("what", ["seed", "search space", "training data"])
def test_the_chief_refuses_a_worker_with_another_search(spec, tmp_path, monkeypatch, chief_of, what):
    search = find_search(spec())
    chief = chief_of(search)
    as_worker(monkeypatch, chief.port)
    with pytest.raises(TuningError, match=f"refuses.*differ in.*{what}"):
        work(other_search(search, what), tmp_path / "worker")
    assert not chief.oracle.trials


def test_a_chief_does_not_go_on_with_another_search(spec, tmp_path, chief_of):
    search = find_search(spec())
    take(chief_of(search), "worker-1")
    with pytest.raises(TuningError, match="trials of another search: they differ in seed"):
        chief_of(other_search(search, "seed"))
    (tmp_path / "chief" / "tiny" / tune.INGREDIENTS).unlink()  # whose trials are they?
    with pytest.raises(TuningError, match="another search"):
        chief_of(search)


def test_a_second_chief_at_the_same_port_is_an_error(spec, tmp_path, chief_of):
    search = find_search(spec())
    port = chief_of(search).port
    with pytest.raises(TuningError, match=f"cannot listen at 127.0.0.1:{port}"):
        Chief(search, tmp_path / "second", "127.0.0.1", port)


@pytest.mark.parametrize(
    "spec_text, word",
    [("no_such_module:search", "no_such_module"), ("course.models.claims:no_such_search", "no_such_search")],
)
def test_wrong_searches_are_named(spec_text, word):
    with pytest.raises(TuningError, match=word):
        find_search(spec_text)


def test_the_command_names_what_is_wrong(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(tune.signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit):
        tune.main(["--workers", "0"])
    assert "at least one worker" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert tune.main(["--out", str(tmp_path / "file")]) == 1
    assert "exists" in (said := capsys.readouterr().err) and "file'" in said
    as_worker(monkeypatch, 1)
    monkeypatch.delenv("KERASTUNER_ORACLE_PORT")
    assert tune.main([]) == 1
    assert "KERASTUNER_ORACLE_PORT must be set" in capsys.readouterr().err

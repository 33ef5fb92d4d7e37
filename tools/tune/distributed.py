"""A search on several processes or machines: KerasTuner's chief and workers, made to end.

KerasTuner spreads a search by three environment variables. One process, whose
`KERASTUNER_TUNER_ID` contains "chief", draws the hyperparameters and collects results; each worker
asks it over gRPC for a trial, fits, and reports. The protocol and both sides are KerasTuner's
(`keras_tuner.src.distribute`); a worker started from KerasTuner's own scripts can join as well.
Version 1.4.8 does not see to these cases, so this module does:

* A worker that vanishes leaves its trial RUNNING for good, and the chief waits for it for ever.
  Here workers give a sign of life every few seconds. When it stays away, the trial goes to another
  worker, and workers with nothing to do wait until no trial is open. A worker that comes back under
  its old name gets its trial again, as in KerasTuner.
* When the chief is dead a worker waits for an hour. Here it says so after `patience` seconds.
* Workers may run another search than the chief, or have other data. Here the chief compares the
  ingredients of both recipes and refuses.
* A chief that is started again in a directory goes on there, with whatever search. Here it goes on
  only with the same one.

`launch` runs chief and workers on this machine and restarts a worker that dies;
`python -m tools.tune` is its command line.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from pathlib import Path
from typing import Any

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)
from course import paths
from course.store import artefacts, files, recipes
from course.store import searches as searching
from course.store.artefacts import ArtefactError
from course.store.searches import Search

import grpc
import keras_tuner
import pandas as pd
from keras_tuner.src import protos
from keras_tuner.src import utils as tuner_utils
from keras_tuner.src.distribute import oracle_chief, oracle_client
from keras_tuner.src.engine import metrics_tracking

# Seconds. A sign of life is a small request, so several a minute cost nothing; a worker counts as
# lost only when many in a row have failed to arrive.
SIGN_OF_LIFE = 2.0
PATIENCE = 30.0

RESTARTS = 3  # of one worker: a worker that dies again and again has a reason
TRANSCRIPT = "transcript.txt"
RUN = "run.json"


class TuningError(RuntimeError):
    """A distributed search could not go on; the message says why and what to do."""


# --- chief -------------------------------------------------------------------------------------


class _Service(oracle_chief.OracleServicer):
    """KerasTuner's service, with signs of life, and trials that outlive their worker."""

    def __init__(self, oracle, recipe: Mapping[str, Any], patience: float, say: Callable):
        super().__init__(oracle)
        self.lock = threading.RLock()
        self.ingredients = _ingredient_hashes(recipe)
        self.patience, self.say = patience, say
        self.seen: dict[str, float] = {}
        self.failure = ""
        self.started = time.monotonic()

    # Requests. gRPC answers each in a thread of its own; the lock keeps them apart, since
    # KerasTuner's own lock stays closed after an exception.

    def GetSpace(self, request, context):
        with self._request(context):
            return super().GetSpace(request, context)

    def UpdateSpace(self, request, context):
        with self._request(context):
            return super().UpdateSpace(request, context)

    def GetTrial(self, request, context):
        with self._request(context, request.trial_id):
            return super().GetTrial(request, context)

    def GetBestTrials(self, request, context):
        with self._request(context):
            return super().GetBestTrials(request, context)

    def CreateTrial(self, request, context):
        tuner_id = request.tuner_id
        with self._request(context):
            self.seen[tuner_id] = time.monotonic()
            resumed = self.oracle.ongoing_trials.get(tuner_id)
            if resumed is not None:  # the worker was started again: what it had sent is void
                resumed.metrics = metrics_tracking.MetricsTracker()
            response = super().CreateTrial(request, context)
            trial = response.trial
            status = protos.get_proto().TrialStatus
            if trial.status == status.RUNNING:
                values = self.oracle.trials[trial.trial_id].hyperparameters.values
                again = " again" if resumed is not None else ""
                self.say(f"trial {trial.trial_id}{again} to {tuner_id}: {_value_words(values)}")
            waits = trial.status == status.STOPPED and self._open()
            if waits:
                # Another worker may still vanish, and its trial would need this one.
                trial.status = status.IDLE
                self.oracle.tuner_ids.add(tuner_id)
        if waits:
            time.sleep(0.3)  # the worker asks again at once
        return response

    def UpdateTrial(self, request, context):
        with self._request(context, request.trial_id):
            trial = self.oracle.trials[request.trial_id]
            if trial.status == "RUNNING":
                trial.metrics = metrics_tracking.MetricsTracker()
                return super().UpdateTrial(request, context)
            return protos.get_service().UpdateTrialResponse(trial=trial.to_proto())

    def EndTrial(self, request, context):
        trial_id = request.trial.trial_id
        with self._request(context, trial_id):
            oracle = self.oracle
            trial = oracle.trials[trial_id]
            # A worker that was given up may still come back. The first to end a trial counts.
            open_still = trial.status == "RUNNING"
            if trial_id in oracle._retry_queue:
                oracle._retry_queue.remove(trial_id)
            owner = next((k for k, v in oracle.ongoing_trials.items() if v is trial), "a worker")
            if open_still:
                try:
                    super().EndTrial(request, context)
                except RuntimeError as error:  # too many failures in a row
                    self.failure = str(error).strip()
            for tuner_id in [k for k, v in oracle.ongoing_trials.items() if v is trial]:
                oracle.ongoing_trials.pop(tuner_id)
            if open_still:
                oracle.save()
                self._report(trial, owner)
            return protos.get_service().EndTrialResponse()

    @contextlib.contextmanager
    def _request(self, context, trial_id: str | None = None):
        metadata = dict(context.invocation_metadata())
        if "course-ingredients" in metadata:
            theirs = json.loads(metadata["course-ingredients"])
            differ = [key for key, value in self.ingredients.items() if theirs.get(key) != value]
            if differ:
                context.abort(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    "this worker runs another search than the chief: they differ in " + ", ".join(differ),
                )
        if trial_id is not None and trial_id not in self.oracle.trials:
            context.abort(grpc.StatusCode.NOT_FOUND, f"the chief knows no trial {trial_id!r}")
        with self.lock:
            self.seen[metadata.get("course-tuner", "")] = time.monotonic()
            if trial_id is not None:
                for tuner_id, trial in self.oracle.ongoing_trials.items():
                    if trial.trial_id == trial_id and "course-tuner" not in metadata:
                        self.seen[tuner_id] = time.monotonic()
            yield

    # What the chief's own loop asks.

    def give_up_lost_workers(self) -> None:
        """Put the trials of workers that have fallen silent back into the queue."""
        with self.lock:
            for tuner_id, trial in list(self.oracle.ongoing_trials.items()):
                silent = time.monotonic() - self.seen.get(tuner_id, self.started)
                if silent > self.patience:
                    self.oracle.ongoing_trials.pop(tuner_id)
                    self.oracle.tuner_ids.discard(tuner_id)
                    trial.metrics = metrics_tracking.MetricsTracker()
                    self.oracle._retry_queue.append(trial.trial_id)
                    self.oracle.save()
                    self.say(
                        f"{tuner_id} has been silent for {silent:.0f} s: trial "
                        f"{trial.trial_id} goes to another worker"
                    )

    def finished(self) -> bool:
        """Has every trial ended, and has every worker been told?"""
        with self.lock:
            if not self.stop_triggered or self._open():
                return False
            now = time.monotonic()
            waiting = [
                one
                for one in self.oracle.tuner_ids
                if now - self.seen.get(one, self.started) < 3 * SIGN_OF_LIFE
            ]
            return not waiting

    def silent_for(self) -> float:
        with self.lock:
            return time.monotonic() - max([self.started, *self.seen.values()])

    def _open(self) -> bool:
        return bool(self.oracle.ongoing_trials or self.oracle._retry_queue)

    def _report(self, trial, owner: str) -> None:
        oracle = self.oracle
        ended = sum(one.status in ("COMPLETED", "FAILED") for one in oracle.trials.values())
        name = oracle.objective.name
        if trial.status == "COMPLETED":
            best = oracle.get_best_trials(1)[0]
            words = f"{name} {trial.score:.4f} (best {best.score:.4f}, trial {best.trial_id})"
        else:
            words = trial.status.lower()
        self.say(f"trial {trial.trial_id} by {owner}: {words}; {ended} of {oracle.max_trials} done")


def _ingredient_hashes(recipe: Mapping[str, Any]) -> dict[str, str]:
    return {key: recipes.content_hash(value)[:16] for key, value in recipe.items()}


def _value_words(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in values.items()
    )


def run_chief(search: Search, directory: Path, *, patience: float = PATIENCE) -> None:
    """Be the chief until every trial has ended; KerasTuner's variables say where.

    Results stand in `directory`/<search.name>. If an interrupted run of the same search is there,
    it goes on: finished trials stay, open ones are fitted again.

    Raises:
        TuningError: If the address cannot be used, the directory holds another search, or too
            many trials fail in a row.
    """
    data = search.data()
    fingerprints = searching.data_fingerprints(data)
    recipe = searching.search_recipe(search, fingerprints)
    _check_directory(directory / search.name, recipe, fingerprints)
    with _json_files_whole():
        with contextlib.redirect_stdout(None):
            tuner = search.make_tuner(directory, alone=False)
        _settle(tuner.oracle)
        _serve(search, tuner, directory, recipe, fingerprints, patience)


def _serve(
    search: Search,
    tuner: keras_tuner.Tuner,
    directory: Path,
    recipe: Mapping,
    fingerprints: Mapping,
    patience: float,
) -> None:
    """Answer the workers until every trial has ended, then store what the search found."""
    oracle = tuner.oracle
    oracle.verbose = 0
    started = time.monotonic()

    def say(message: str) -> None:
        print(f"[{time.monotonic() - started:4.0f} s] {message}", flush=True)

    address = f"{os.environ['KERASTUNER_ORACLE_IP']}:{os.environ['KERASTUNER_ORACLE_PORT']}"
    service = _Service(oracle, recipe, patience, say)
    # Without the option two chiefs could listen at one port, and each get half of the requests.
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32), options=[("grpc.so_reuseport", 0)])
    protos.get_service_grpc().add_OracleServicer_to_server(service, server)
    try:
        if not server.add_insecure_port(address):
            raise RuntimeError("the port is taken")
    except RuntimeError as error:
        raise TuningError(
            f"The chief cannot listen at {address}: {error}. Is another one running there? "
            "Choose another port."
        ) from None
    tuner.save()
    searching.write_recipe(directory / search.name, recipe, fingerprints, 0.0)
    server.start()
    done = sum(trial.status == "COMPLETED" for trial in oracle.trials.values())
    say(
        f"chief at {address}: search '{search.name}', {search.max_trials} trials"
        + (f", {done} of them done before" if done else "")
    )
    complained = 0.0
    try:
        while not service.finished():
            time.sleep(0.2)
            _end_with_parent()
            service.give_up_lost_workers()
            if service.failure:
                raise TuningError(f"The search ends here: {service.failure}")
            silent = service.silent_for()
            if silent - complained > 60:
                complained = silent
                say(
                    f"no worker has been heard of for {silent:.0f} s; start one with "
                    f"KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT set to {address}"
                )
            elif silent < complained:
                complained = 0.0
    finally:
        server.stop(grace=1).wait()
    seconds = time.monotonic() - started
    searching.keep_best_weights(directory / search.name, tuner)
    searching.write_recipe(directory / search.name, recipe, fingerprints, seconds)
    say("all trials have ended")


@contextlib.contextmanager
def _json_files_whole() -> Iterator[None]:
    """Let KerasTuner write its JSON files whole while this context lasts.

    KerasTuner writes in place: a chief killed at that moment left an empty trial behind, on which
    the next chief stopped. Here each file is the old one or the new one, never a part.
    """

    def save_json(path: str, obj: Any) -> str:
        text = json.dumps(obj)
        files.write_whole(Path(path), text)
        return text

    in_place, tuner_utils.save_json = tuner_utils.save_json, save_json
    try:
        yield
    finally:
        tuner_utils.save_json = in_place


def _settle(oracle: keras_tuner.Oracle) -> None:
    """Bring a reloaded oracle's lists into line with the trials, which it keeps in other files.

    KerasTuner writes a trial first and its own lists after. A chief killed between the two leaves
    a trial that was drawn and that no list names, so that nobody would ever fit it; or one that
    has ended and still counts as open, so that it would be fitted twice.
    """
    for trial_id, trial in sorted(oracle.trials.items()):
        if trial_id not in oracle.start_order:
            oracle.start_order.append(trial_id)
            oracle._record_values(trial)
        if trial.status in ("COMPLETED", "FAILED"):
            oracle._retry_queue = [one for one in oracle._retry_queue if one != trial_id]
            if trial_id not in oracle.end_order:
                oracle.end_order.append(trial_id)
        elif trial_id not in oracle._retry_queue:
            oracle._retry_queue.append(trial_id)


def _check_directory(folder: Path, recipe: Mapping, fingerprints: Mapping) -> None:
    """Refuse to go on in the directory of another search."""
    if not (folder / "oracle.json").exists():
        return
    try:
        stored = json.loads((folder / searching.RECIPE).read_text(encoding="utf-8"))
        reasons = searching.search_differences(stored["recipe"], recipe, stored["rows"], fingerprints)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reasons = [f"its {searching.RECIPE} cannot be read ({error})"]
    if reasons:
        raise TuningError(
            f"{folder} holds the trials of another search: {'; '.join(reasons)}. "
            "Choose another directory, or undo the change."
        )


# --- worker ------------------------------------------------------------------------------------


class _Stub:
    """KerasTuner's stub; every request also says who asks, and for what search."""

    def __init__(self, address: str, metadata: list[tuple[str, str]]):
        # A proxy for the web is of no use between these machines.
        channel = grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])
        self._stub = protos.get_service_grpc().OracleStub(channel)
        self._metadata = metadata

    def __getattr__(self, name: str):
        return functools.partial(getattr(self._stub, name), metadata=self._metadata)


class _SignsOfLife(threading.Thread):
    """Asks the chief for the present trial every few seconds; notices when nobody answers."""

    def __init__(self, stub: _Stub, patience: float):
        super().__init__(daemon=True, name="signs-of-life")
        self.stub, self.patience = stub, patience
        self.trial_id: str | None = None
        self.lost = False
        self.end = threading.Event()

    def run(self) -> None:
        answered = time.monotonic()
        while not self.end.wait(SIGN_OF_LIFE):
            _end_with_parent()
            trial_id = self.trial_id
            try:
                if trial_id is None:
                    self.stub.GetSpace(protos.get_service().GetSpaceRequest(), timeout=5)
                else:
                    self.stub.GetTrial(protos.get_service().GetTrialRequest(trial_id=trial_id), timeout=5)
            except grpc.RpcError:
                self.lost = time.monotonic() - answered > self.patience
            else:
                answered, self.lost = time.monotonic(), False


def run_worker(search: Search, directory: Path, *, patience: float = PATIENCE) -> None:
    """Be a worker until the chief has no more trials; KerasTuner's variables say where it is.

    Raises:
        TuningError: If the chief does not answer for `patience` seconds, or runs another search.
    """
    address = f"{os.environ['KERASTUNER_ORACLE_IP']}:{os.environ['KERASTUNER_ORACLE_PORT']}"
    recipe = searching.search_recipe(search, searching.data_fingerprints(search.data()))
    with contextlib.redirect_stdout(None):
        tuner = search.make_tuner(directory, alone=False)
    stub = _Stub(
        address,
        [("course-tuner", tuner.tuner_id), ("course-ingredients", json.dumps(_ingredient_hashes(recipe)))],
    )
    tuner.oracle.stub = stub
    signs = _SignsOfLife(stub, patience)
    tuner.signs = signs
    hour, oracle_client.TIMEOUT = oracle_client.TIMEOUT, patience
    try:
        tuner.oracle.get_space()  # before any fitting: is the chief there, and of one mind?
        signs.start()
        search.run(tuner)
    except (grpc.RpcError, keras_tuner.errors.FatalError) as error:
        code = error.code() if isinstance(error, grpc.RpcError) else None
        if code == grpc.StatusCode.FAILED_PRECONDITION:
            raise TuningError(f"The chief at {address} refuses: {error.details()}.") from None
        if code is None and not signs.lost:
            raise
        raise TuningError(
            f"The chief at {address} does not answer (waited {patience:.0f} s). Is it running, "
            "and are address and port right? Finished trials are safe in the chief's directory: "
            "start it there again, then this worker."
        ) from None
    finally:
        signs.end.set()
        oracle_client.TIMEOUT = hour


def _end_with_parent() -> None:
    """End this process if `launch` started it and is no more, however it ended."""
    parent = os.environ.get("COURSE_TUNE_PARENT")
    if parent and os.name == "posix" and os.getppid() != int(parent):
        os._exit(1)


# --- both on this machine ----------------------------------------------------------------------


def launch(
    spec: str,
    directory: Path,
    *,
    workers: int = 2,
    patience: float = PATIENCE,
    kill: str | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Run a search as one chief and some workers, each a process of its own, over loopback.

    A worker that dies is started again under its name, up to `RESTARTS` times, and gets its trial
    again. When the restarts are used up, the chief gives the trial to the others.

    Args:
        spec: "module:function", the function that returns the `Search`.
        directory: Where chief and workers write. An interrupted run of the same search goes on.
        workers: How many.
        patience: Seconds without an answer until chief or worker counts as dead.
        kill: Kill the worker that works on the trial of this number, in its midst: to see what
            happens.
        say: Called with each line of the chief, and with what happens to the processes.

    Raises:
        TuningError: If the chief ends early, or no worker is left.
    """
    if workers < 1:
        raise TuningError(f"A search needs at least one worker, not {workers}.")
    directory.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    team = _Team(spec, directory, port, patience, say)
    try:
        team.start("chief")
        for number in range(1, workers + 1):
            team.start(f"worker-{number}")
        team.watch(search_name(spec), kill)
    finally:
        team.end()


class _Team:
    """The processes of one search on this machine."""

    def __init__(self, spec: str, directory: Path, port: int, patience: float, say: Callable):
        self.spec, self.directory, self.port = spec, directory, port
        self.patience, self.say = patience, say
        self.processes: dict[str, subprocess.Popen] = {}
        self.restarts: dict[str, int] = {}
        self.reader: threading.Thread | None = None

    def log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def start(self, name: str) -> None:
        environment = {
            **os.environ,
            "KERASTUNER_TUNER_ID": name,
            "KERASTUNER_ORACLE_IP": "127.0.0.1",
            "KERASTUNER_ORACLE_PORT": str(self.port),
            "COURSE_TUNE_PARENT": str(os.getpid()),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "PYTHONUTF8": "1",
            "OMP_NUM_THREADS": str(searching.THREADS),
        }
        command = [
            sys.executable,
            "-m",
            "course.store",
            "--search",
            self.spec,
            "--out",
            str(self.directory),
            "--patience",
            str(self.patience),
        ]
        with open(self.log(name), "ab") as log:
            self.processes[name] = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stderr=log,
                stdout=subprocess.PIPE if name == "chief" else log,
            )
        if name == "chief":
            self.reader = threading.Thread(target=self._read_chief, daemon=True)
            self.reader.start()

    def _read_chief(self) -> None:
        for line in self.processes["chief"].stdout:
            self.say(line.decode("utf-8", "replace").rstrip())

    def watch(self, name: str, kill: str | None) -> None:
        """Return when the search is complete."""
        chief = self.processes["chief"]
        while chief.poll() is None:
            time.sleep(0.1)
            if kill is not None and (victim := self._runs_trial(name, kill)):
                time.sleep(0.5)  # by now it is fitting
                self.processes[victim].kill()
                self.say(f"         killing {victim} in the midst of trial {kill}, as asked")
                kill = None
            for worker, process in list(self.processes.items()):
                if worker != "chief" and process.poll() not in (None, 0):
                    self._replace(worker, process.returncode)
            if len(self.processes) == 1 and chief.poll() is None:
                raise TuningError(
                    "No worker is left. Finished trials are safe in "
                    f"{self.directory}: mend the reason, then go on with OUT={self.directory}."
                )
        self.reader.join(timeout=5)
        if chief.returncode:
            raise TuningError(
                f"The chief {_how_it_ended(chief.returncode)}.{self._last_words('chief')}\n"
                f"Finished trials are safe in {self.directory}: go on with OUT={self.directory}."
            )
        for worker, process in self.processes.items():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=self.patience if worker != "chief" else None)

    def _runs_trial(self, name: str, trial_id: str) -> str | None:
        with contextlib.suppress(OSError, ValueError, KeyError):
            text = (self.directory / name / "oracle.json").read_text(encoding="utf-8")
            for worker, running in json.loads(text)["ongoing_trials"].items():
                if running == trial_id and worker in self.processes:
                    return worker
        return None

    def _replace(self, worker: str, status: int) -> None:
        ended = f"         {worker} {_how_it_ended(status)}"
        used = self.restarts.get(worker, 0)
        if used < RESTARTS:
            self.restarts[worker] = used + 1
            self.say(
                f"{ended}: starting it again ({used + 1} of {RESTARTS})"
                + (self._last_words(worker) if status > 0 else "")
            )
            self.start(worker)
        else:
            del self.processes[worker]
            self.say(f"{ended}, and is given up{self._last_words(worker)}")

    def _last_words(self, name: str) -> str:
        with contextlib.suppress(OSError):
            lines = self.log(name).read_text(encoding="utf-8", errors="replace").splitlines()
            lines = [line for line in lines if line.strip()][-3:]
            return "".join(f"\n    {line}" for line in lines)
        return ""

    def end(self) -> None:
        """End what still runs, and wait for it."""
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self.processes.values():
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                if self.reader is not None:
                    self.reader.join(timeout=5)
                process.stdout.close()


def _how_it_ended(status: int) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"


def search_name(spec: str) -> str:
    """Return the name of the search of a "module:function"."""
    return find_search(spec).name


def find_search(spec: str) -> Search:
    """Return the `Search` that "module:function" makes.

    Raises:
        TuningError: If there is no such module or function, or it returns something else.
    """
    import importlib

    module, _, function = spec.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise TuningError(
            f"--search {spec}: {error}. Name a module and a function in it that returns a Search, "
            "such as course.models.claims:one_layer."
        ) from error
    if not isinstance(found, Search):
        raise TuningError(f"--search {spec}: the function returned {found!r}, not a Search.")
    return found


# --- stored runs, and what came out ------------------------------------------------------------


def spread_or_load(
    spec: str, *, workers: int, kill: str | None = None
) -> tuple[keras_tuner.Tuner, str, dict[str, Any]]:
    """Run a search by `launch` and store it, or load the stored run of this very recipe.

    Args:
        spec, workers, kill: As `launch` takes them.

    Returns:
        The tuner after the search, the lines that the run printed, and `{"workers": …,
        "killed": …, "seconds": …}`.

    Raises:
        ArtefactError: As `search_or_load`.
        TuningError: As `launch`.
    """
    search = find_search(spec)
    fingerprints = searching.data_fingerprints(search.data())
    recipe = searching.search_recipe(search, fingerprints)
    recipe["tuner options"] |= {"workers": workers, "killed in trial": kill}
    name = f"{search.name}_distributed"

    def make(folder: Path) -> None:
        lines: list[str] = []

        def say(line: str) -> None:
            lines.append(line)
            artefacts._say(line)

        with tempfile.TemporaryDirectory(prefix="course-tune-") as work:
            started = time.monotonic()
            launch(spec, Path(work), workers=workers, kill=kill, say=say)
            seconds = time.monotonic() - started
            made = Path(work) / search.name
            (made / searching.RECIPE).unlink()
            for path in sorted(made.rglob("*")):
                target = folder / search.name / path.relative_to(made)
                if path.is_dir():
                    target.mkdir(parents=True, exist_ok=True)
                elif path.suffix == ".json" and not path.name.startswith("worker-"):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    # A search that is reloaded is no chief's any more.
                    name_here = "tuner0.json" if path.name == "chief.json" else path.name
                    target.with_name(name_here).write_bytes(path.read_bytes())
        about = {"workers": workers, "killed": kill, "seconds": round(seconds, 1)}
        (folder / RUN).write_text(json.dumps(about) + "\n", encoding="utf-8", newline="\n")
        (folder / TRANSCRIPT).write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")

    folder = searching.load_or_make(name, recipe, fingerprints, make)
    tuner = searching.reload(search, folder)
    text = (folder / TRANSCRIPT).read_text(encoding="utf-8")
    return tuner, text, json.loads((folder / RUN).read_text(encoding="utf-8"))


def side_by_side(alone: keras_tuner.Tuner, spread: keras_tuner.Tuner) -> pd.DataFrame:
    """Compare two runs of one search, trial by trial.

    Returns:
        For each trial of `spread`: its hyperparameters, whether `alone` drew the same ones for it
        (`same draw`), and both scores.
    """
    theirs, ours = searching.trials_table(spread), searching.trials_table(alone)
    values = [column for column in theirs if column not in ("score", "epoch")]
    both = theirs[values].copy()
    ours = ours.reindex(theirs.index)
    missing = [column for column in values if column not in ours]
    equal = theirs[values] == ours.assign(**dict.fromkeys(missing))[values]
    both["same draw"] = (equal | theirs[values].isna()).all(axis=1)
    both["score alone"] = ours["score"]
    both["score distributed"] = theirs["score"]
    return both


def shipped_search(search: Search) -> keras_tuner.Tuner | None:
    """Return the stored single-process search of this very recipe, or None."""
    fingerprints = searching.data_fingerprints(search.data())
    recipe = searching.search_recipe(search, fingerprints)
    for cache in (artefacts.cache_folder(), paths.CACHE):
        folder = cache / "tuning" / search.name
        with contextlib.suppress(ArtefactError):
            if not searching.reasons_against(folder, recipe, fingerprints):
                return searching.reload(search, folder.parent)
    return None

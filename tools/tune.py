"""Run a search on several processes, or join one as its chief or as a worker.

On one machine it is the chief and starts workers itself:

    python -m tools.tune --workers 2

On several machines start it on each of them with KerasTuner's three variables set, one as the
chief and the others under names of their own:

    KERASTUNER_TUNER_ID=chief    KERASTUNER_ORACLE_IP=192.168.1.10 KERASTUNER_ORACLE_PORT=8000 …
    KERASTUNER_TUNER_ID=worker-1 KERASTUNER_ORACLE_IP=192.168.1.10 KERASTUNER_ORACLE_PORT=8000 …

Chief, workers and what they say to each other are KerasTuner's (`keras_tuner.src.distribute`). A
worker that dies and comes back under its name gets its trial again: that is KerasTuner's too, and
workers on this machine are started again. Added here: the chief says what happens, refuses
workers and folders with another search, and ends at once; workers don't wait for a dead chief.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent import futures
from pathlib import Path

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)
from course.models import searches
from course.models.searches import Search
from course.store import recipes
from course.store.files import as_json, write_whole

import grpc
from keras_tuner.src import protos
from keras_tuner.src.distribute import oracle_chief, oracle_client

VARIABLES = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")
PATIENCE = 30.0  # seconds that a worker waits for an answer of its chief; KerasTuner's are 3600
RESTARTS = 3  # of one worker: a worker that dies again and again has a reason
INGREDIENTS = "ingredients.json"  # beside the trials: of which search they are
METADATA = "course-ingredients"  # the same in a worker's first request


class TuningError(RuntimeError):
    """A distributed search could not go on; the message says why and what to do."""


def find_search(spec: str) -> Search:
    """Return the `Search` that "module:function" makes.

    Raises
    ------
    TuningError
        If there is no such module or function, or it returns something else.
    """
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


def ingredients(search: Search) -> dict[str, str]:
    """Return a hash of each ingredient of a search: all of them must agree between processes."""
    recipe, _ = searches.search_recipe(search)
    return {key: recipes.content_hash(value)[:16] for key, value in recipe.items()}


def _differences(theirs: Mapping[str, str], ours: Mapping[str, str]) -> str:
    return ", ".join(key for key, value in ours.items() if theirs.get(key) != value)


# --- chief and worker --------------------------------------------------------------------------


class Chief(oracle_chief.OracleServicer):
    """KerasTuner's chief; it also says what happens, and refuses workers with another search.

    Parameters
    ----------
    search : Search
        What is searched.
    directory : Path
        Results stand in `directory`/<search.name>. If an interrupted run of the same search is
        there, it goes on: finished trials stay, open ones are fitted again.
    ip, port : str, int
        Where to listen; 0 is any port that is free, `port` then holds it.

    Raises
    ------
    TuningError
        If the address cannot be used, or the directory holds trials of another search.
    """

    def __init__(self, search: Search, directory: Path, ip: str, port: int):
        self.lines: list[str] = []  # all that was said
        self.folder, self.failure, self.started = directory / search.name, "", time.monotonic()
        self.ingredients = ingredients(search)
        stored = self.folder / INGREDIENTS
        if (self.folder / "oracle.json").exists():
            before = json.loads(stored.read_text(encoding="utf-8")) if stored.exists() else {}
            if differ := _differences(before, self.ingredients):
                raise TuningError(
                    f"{self.folder} holds the trials of another search: they differ in {differ}. "
                    "Choose another directory, or undo the change."
                )
        with contextlib.redirect_stdout(None):
            self.tuner = search.make_tuner(directory)
        super().__init__(self.tuner.oracle)
        self.oracle.verbose = 0
        # One thread, so that requests come one after the other. Without the option two chiefs
        # could listen at one port, and each get half of the requests.
        self.server = grpc.server(futures.ThreadPoolExecutor(1), options=[("grpc.so_reuseport", 0)])
        protos.get_service_grpc().add_OracleServicer_to_server(self, self.server)
        try:
            self.port = self.server.add_insecure_port(f"{ip}:{port}")
        except RuntimeError as error:
            raise TuningError(
                f"The chief cannot listen at {ip}:{port}: {error}. Is another one running there? "
                "Choose another port."
            ) from None
        self.tuner.save()
        write_whole(stored, as_json(self.ingredients))
        self.server.start()
        done = sum(trial.status == "COMPLETED" for trial in self.oracle.trials.values())
        before = f", {done} of them done before" if done else ""
        self.say(f"chief at {ip}:{self.port}: search '{search.name}', {search.max_trials} trials{before}")

    def say(self, words: str) -> None:
        """Print what happens, and when."""
        self.lines.append(f"[{time.monotonic() - self.started:4.0f} s] {words}")
        print(self.lines[-1], flush=True)

    def serve(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Answer until every trial has ended; call `meanwhile` again and again.

        Raises
        ------
        TuningError
            If too many trials fail in a row.
        """
        try:
            while not self.stop_triggered or self.oracle.ongoing_trials or self.oracle.tuner_ids:
                time.sleep(0.2)
                meanwhile()
                if self.failure:
                    raise TuningError(f"The search ends here: {self.failure}")
        finally:
            self.server.stop(grace=1).wait()
        searches.keep_best_weights(self.folder, self.tuner)
        self.say("all trials have ended")

    # Requests of workers.

    def GetSpace(self, request, context):
        theirs = dict(context.invocation_metadata()).get(METADATA)
        if theirs is not None and (differ := _differences(json.loads(theirs), self.ingredients)):
            words = f"this worker runs another search than the chief: they differ in {differ}"
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, words)
        return super().GetSpace(request, context)

    def CreateTrial(self, request, context):
        worker = request.tuner_id
        again = " again" if worker in self.oracle.ongoing_trials else ""
        response = super().CreateTrial(request, context)
        if (trial := self.oracle.ongoing_trials.get(worker)) is not None:
            words = [
                f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
                for key, value in trial.hyperparameters.values.items()
            ]
            self.say(f"trial {trial.trial_id}{again} to {worker}: {', '.join(words)}")
        return response

    def EndTrial(self, request, context):
        oracle, trial = self.oracle, self.oracle.trials[request.trial.trial_id]
        worker = next((key for key, one in oracle.ongoing_trials.items() if one is trial), "a worker")
        response = protos.get_service().EndTrialResponse()
        try:
            super().EndTrial(request, context)
        except RuntimeError as error:  # too many failures in a row
            self.failure = str(error).strip()
        words = trial.status.lower()
        if trial.status == "COMPLETED":
            best = oracle.get_best_trials(1)[0]
            words = (
                f"{oracle.objective.name} {trial.score:.4f} (best {best.score:.4f}, trial {best.trial_id})"
            )
        ended = sum(one.status in ("COMPLETED", "FAILED") for one in oracle.trials.values())
        self.say(f"trial {trial.trial_id} by {worker}: {words}; {ended} of {oracle.max_trials} done")
        return response


def work(search: Search, directory: Path) -> None:
    """Be a worker until the chief has no more trials; KerasTuner's variables say where it is.

    Raises
    ------
    TuningError
        If the chief does not answer for `PATIENCE` seconds, or runs another search.
    """
    _, ip, port = (os.environ[name] for name in VARIABLES)
    os.environ["no_grpc_proxy"] = ip  # a proxy for the web is of no use between these machines
    oracle_client.TIMEOUT = PATIENCE
    with contextlib.redirect_stdout(None):
        tuner = search.make_tuner(directory, alone=False)
    try:
        # Before any fitting: is the chief there, and of one mind?
        tuner.oracle.stub.GetSpace(
            protos.get_service().GetSpaceRequest(),
            metadata=[(METADATA, json.dumps(ingredients(search)))],
            wait_for_ready=True,
            timeout=PATIENCE,
        )
        search.run(tuner)
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.FAILED_PRECONDITION:
            raise TuningError(f"The chief at {ip}:{port} refuses: {error.details()}.") from None
        if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            raise
        raise TuningError(
            f"The chief at {ip}:{port} does not answer (waited {PATIENCE:.0f} s). Is it running, and are "
            "address and port right? Finished trials are safe in the chief's directory: start it "
            "there again, then this worker."
        ) from None


# --- both on this machine ----------------------------------------------------------------------


class _Team:
    """The workers of a chief on this machine, each a process with a log of its own."""

    def __init__(self, spec: str, directory: Path, chief: Chief, kill: str | None):
        self.spec, self.directory, self.chief, self.kill = spec, directory, chief, kill
        self.processes: dict[str, subprocess.Popen] = {}
        self.deaths: dict[str, int] = defaultdict(int)

    def start(self, name: str) -> None:
        environment = {
            **os.environ,
            **dict(zip(VARIABLES, (name, "127.0.0.1", str(self.chief.port)))),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "PYTHONUTF8": "1",
        }
        command = [sys.executable, "-m", "tools.tune", "--search", self.spec, "--out", str(self.directory)]
        with open(self.directory / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def look(self) -> None:
        """Kill the worker that is to be killed, and start those again that died."""
        for name, trial in list(self.chief.oracle.ongoing_trials.items()):
            if trial.trial_id == self.kill:
                time.sleep(0.5)  # by now it is fitting
                self.chief.say(f"killing {name} in the midst of trial {self.kill}, as asked")
                self.processes[name].kill()
                self.processes[name].wait()
                self.kill = None
        for name, process in list(self.processes.items()):
            status = process.poll()
            if status in (None, 0):
                continue
            self.deaths[name] += 1
            how = (
                f"was killed by {signal.Signals(-status).name}"
                if status < 0
                else f"ended with status {status}"
            )
            log = (self.directory / f"{name}.log").read_text(encoding="utf-8", errors="replace")
            last = "".join(f"\n    {line}" for line in log.splitlines()[-3:]) if status > 0 else ""
            if self.deaths[name] > RESTARTS:
                raise TuningError(f"{name} {how} once too often.{last}")
            self.chief.say(f"{name} {how}: starting it again ({self.deaths[name]} of {RESTARTS}){last}")
            self.start(name)

    def end(self) -> None:
        """Give the workers that were told to stop the time to do so, and end the others."""
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
            process.kill()
            process.wait()


def launch(spec: str, directory: Path, *, workers: int = 2, kill: str | None = None) -> Chief:
    """Be the chief of a search, start its workers on this machine, and return when all has ended.

    Parameters
    ----------
    spec : str
        "module:function", the function that returns the `Search`.
    directory : Path
        Where chief and workers write. An interrupted run of the same search goes on. In the end
        it holds KerasTuner's project, transcript.txt, and run.json with what was asked for and
        the seconds that it took.
    workers : int
        How many. One that dies is started again under its name, and gets its trial again.
    kill : str, optional
        Kill the worker that works on the trial of this number, in its midst: to see what happens.

    Raises
    ------
    TuningError
        If a worker dies again and again, or too many trials fail.
    """
    search, started = find_search(spec), time.monotonic()
    directory.mkdir(parents=True, exist_ok=True)
    chief = Chief(search, directory, "127.0.0.1", 0)
    team = _Team(spec, directory, chief, kill and kill.zfill(len(str(search.max_trials))))
    try:
        for number in range(1, workers + 1):
            team.start(f"worker-{number}")
        chief.serve(team.look)
    except TuningError as error:
        safe = f"Finished trials are safe in {directory}: go on with OUT={directory}."
        raise TuningError(f"{error}\n{safe}") from None
    finally:
        team.end()
    for left in (*directory.glob("worker-*.log"), *chief.folder.glob("worker-*.json")):
        left.unlink()
    about = {"workers": workers, "killed": kill, "seconds": round(time.monotonic() - started, 1)}
    write_whole(directory / "run.json", json.dumps(about) + "\n")
    write_whole(directory / "transcript.txt", "\n".join(chief.lines) + "\n")
    return chief


# --- the command -------------------------------------------------------------------------------


def join(search: Search, out: Path | None) -> None:
    """Be the chief or a worker, as KerasTuner's variables say."""
    name, ip, port = (os.environ[variable] for variable in VARIABLES)
    if "chief" in name:
        chief = Chief(search, out or Path("_build") / "tuning", ip, int(port))
        chief.serve()
        print(f"Results are in {chief.folder}")
    elif out is not None:
        work(search, out)
    else:
        with tempfile.TemporaryDirectory(prefix="course-tune-") as folder:
            work(search, Path(folder))


def both(options: argparse.Namespace) -> None:
    """Run chief and workers on this machine; print and, in `--out`, keep what came out."""
    folder = options.out or Path(tempfile.mkdtemp(prefix="course-tune-"))
    print(f"{options.search} with {options.workers} workers, in {folder}", flush=True)
    chief = launch(options.search, folder, workers=options.workers, kill=options.kill)
    lower = chief.oracle.objective.direction == "min"
    print("\nTrials, the best first:")
    print(searches.trials_table(chief.tuner).sort_values("score", ascending=lower).to_string())
    if options.out is None:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"\nThe search is kept in {chief.folder}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status: 0, 1 after an error, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.tune", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = "course.models.claims:one_layer"
    search = f"the function that returns the Search; default: {default}"
    out = "directory to work in and to go on in; default: a temporary one, deleted in the end"
    kill = "kill the worker of this trial in its midst, such as 03, to see that the search goes on"
    parser.add_argument("--search", default=default, metavar="MODULE:FUNCTION", help=search)
    parser.add_argument("--workers", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--out", type=Path, help=out)
    parser.add_argument("--kill", metavar="TRIAL", help=kill)
    options = parser.parse_args(arguments)
    if options.workers < 1:
        parser.error(f"a search needs at least one worker, not {options.workers}")
    missing = [name for name in VARIABLES if not os.environ.get(name)]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if 0 < len(missing) < len(VARIABLES):
            raise TuningError(
                f"{' and '.join(missing)} must be set as well: a chief or worker needs all three of "
                f"{', '.join(VARIABLES)}. Without any of them both are started on this machine."
            )
        if missing:
            both(options)
        else:
            join(find_search(options.search), options.out)
    except (TuningError, ValueError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

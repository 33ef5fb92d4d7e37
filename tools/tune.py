"""Run a search on several processes, or join one as its chief or as a worker.

On one machine it is the chief and starts workers itself:

    python -m tools.tune --workers 2

On several machines start it on each of them with KerasTuner's three variables set, one as the
chief and the others under names of their own:

    KERASTUNER_TUNER_ID=chief    KERASTUNER_ORACLE_IP=192.168.1.10 KERASTUNER_ORACLE_PORT=8000 …
    KERASTUNER_TUNER_ID=worker-1 KERASTUNER_ORACLE_IP=192.168.1.10 KERASTUNER_ORACLE_PORT=8000 …

Chief, workers and what they say to each other are KerasTuner's (`keras_tuner.src.distribute`), and so
is that a worker that comes back under its name gets its trial again. Added here: the chief says what
happens, refuses workers and folders with another search, and ends at once; workers don't wait for a
dead chief; those on this machine are started again when they die.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pkgutil
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
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
DEFAULT = "course.models.claims:one_layer"


class TuningError(RuntimeError):
    """A distributed search could not go on; the message says why and what to do."""


def find_search(spec: str) -> Search:
    """Return the `Search` that "module:function" makes; TuningError if there is no such function."""
    try:
        return pkgutil.resolve_name(spec)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        advice = f"Name a module and a function in it that returns a Search, such as {DEFAULT}."
        raise TuningError(f"--search {spec}: {error}. {advice}") from error


def ingredients(search: Search) -> dict[str, str]:
    """Return a hash of each ingredient of a search: all of them must agree between processes."""
    recipe, _ = searches.search_recipe(search)
    return {key: recipes.content_hash(value)[:16] for key, value in recipe.items()}


def _differences(theirs: Mapping[str, str], ours: Mapping[str, str]) -> str:
    return ", ".join(key for key, value in ours.items() if theirs.get(key) != value)


class Chief(oracle_chief.OracleServicer):
    """KerasTuner's chief; it also says what happens, and refuses workers with another search.

    Results stand in `directory`/<search.name>. If an interrupted run of the same search is there, it
    goes on: finished trials stay, open ones are fitted again. It listens at `ip`:`port`; 0 is any port
    that is free, and `port` then holds it. TuningError if the address cannot be used, or the directory holds
    trials of another search.
    """

    def __init__(self, search: Search, directory: Path, ip: str, port: int):
        self.lines: list[str] = []  # all that was said
        self.folder, self.failure, self.started = directory / search.name, "", time.monotonic()
        self.ingredients = ingredients(search)
        stored, other = self.folder / INGREDIENTS, f"{self.folder} holds the trials of another search"
        if (self.folder / "oracle.json").exists():
            before = json.loads(stored.read_text(encoding="utf-8")) if stored.exists() else {}
            if differ := _differences(before, self.ingredients):
                advice = "Choose another directory, or undo the change."
                raise TuningError(f"{other}: they differ in {differ}. {advice}")
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
            advice = "Is another one running there? Choose another port."
            raise TuningError(f"The chief cannot listen at {ip}:{port}: {error}. {advice}") from None
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
        """Answer until all trials have ended, calling `meanwhile` on and on; TuningError if too many fail."""
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
            values = trial.hyperparameters.values.items()
            words = [f"{key} {f'{one:.4g}' if isinstance(one, float) else one}" for key, one in values]
            self.say(f"trial {trial.trial_id}{again} to {worker}: {', '.join(words)}")
        return response

    def EndTrial(self, request, context):
        oracle, trial = self.oracle, self.oracle.trials[request.trial.trial_id]
        worker = next((key for key, one in oracle.ongoing_trials.items() if one is trial), "a worker")
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
        return protos.get_service().EndTrialResponse()


def work(search: Search, directory: Path) -> None:
    """Be a worker, as variables say, until all is done; TuningError if the chief is silent or refuses."""
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
        raise TuningError(
            f"The chief at {ip}:{port} does not answer (waited {PATIENCE:.0f} s). Is it running, are address "
            "and port right? Finished trials are safe: start it again in its directory, then this worker."
        ) from error


class _Team:
    """The workers of a chief on this machine, each a process with a log of its own."""

    def __init__(self, spec: str, directory: Path, chief: Chief, kill: str | None):
        self.directory, self.chief, self.kill = directory, chief, kill
        self.command = [sys.executable, "-m", "tools.tune", "--search", spec, "--out", str(directory)]
        self.processes: dict[str, subprocess.Popen] = {}
        self.deaths: Counter[str] = Counter()

    def start(self, name: str) -> None:
        place = zip(VARIABLES, (name, "127.0.0.1", str(self.chief.port)))
        path = os.pathsep.join(filter(None, sys.path))
        environment = {**os.environ, **dict(place), "PYTHONPATH": path, "PYTHONUTF8": "1"}
        with open(self.directory / f"{name}.log", "ab") as log:
            given = {"env": environment, "stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            self.processes[name] = subprocess.Popen(self.command, **given)

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
            if not (status := process.poll()):  # still running, or ended well
                continue
            self.deaths[name] += 1
            log = (self.directory / f"{name}.log").read_text(encoding="utf-8", errors="replace")
            last = "".join(f"\n    {line}" for line in log.splitlines()[-3:] if status > 0)  # not if killed
            if self.deaths[name] > RESTARTS:
                raise TuningError(f"{name} ended with status {status} once too often.{last}")
            again = f"starting it again ({self.deaths[name]} of {RESTARTS})"
            self.chief.say(f"{name} ended with status {status}: {again}{last}")
            self.start(name)

    def end(self) -> None:
        """Give the workers that were told to stop the time to do so, and end the others."""
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
            process.kill()
            process.wait()


def launch(spec: str, directory: Path, *, workers: int, kill: str | None = None) -> Chief:
    """Be the chief of a search, start its workers on this machine, and return when all has ended.

    An interrupted run of the same search in `directory` goes on. In the end it holds KerasTuner's project,
    transcript.txt, and run.json with what was asked for and the seconds that it took. A worker that dies is
    started again under its name, and gets its trial again; `kill` names a trial whose worker is killed in
    its midst, to see that. TuningError if a worker dies again and again, or too many trials fail.
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


def join(search: Search, out: Path | None) -> None:
    """Be the chief or a worker, as KerasTuner's variables say."""
    name, ip, port = (os.environ[variable] for variable in VARIABLES)
    if "chief" in name:
        chief = Chief(search, out or Path("_build") / "tuning", ip, int(port))
        chief.serve()
        print(f"Results are in {chief.folder}")
    else:
        with tempfile.TemporaryDirectory(prefix="course-tune-") as folder:
            work(search, out or Path(folder))


def both(spec: str, out: Path | None, workers: int, kill: str | None) -> None:
    """Run chief and workers on this machine; print what came out, and keep it in `out`."""
    folder = out or Path(tempfile.mkdtemp(prefix="course-tune-"))
    print(f"{spec} with {workers} workers, in {folder}", flush=True)
    tuner = launch(spec, folder, workers=workers, kill=kill).tuner
    lower = tuner.oracle.objective.direction == "min"
    print("\nTrials, the best first:")
    print(searches.trials_table(tuner).sort_values("score", ascending=lower).to_string())
    if out is None:
        shutil.rmtree(folder, ignore_errors=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status: 0, 1 after an error, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.tune", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--search", default=DEFAULT, metavar="MODULE:FUNCTION", help="what returns it; default: %(default)s")
    add("--workers", type=int, default=2, help="default: %(default)s")
    add("--out", type=Path, help="directory to work and to go on in; default: a temporary one")
    add("--kill", metavar="TRIAL", help="kill the worker of this trial, such as 03, to see the search go on")
    options = parser.parse_args(arguments)
    if options.workers < 1:
        parser.error(f"a search needs at least one worker, not {options.workers}")
    missing = [name for name in VARIABLES if not os.environ.get(name)]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if not missing:
            join(find_search(options.search), options.out)
        elif len(missing) == len(VARIABLES):
            both(options.search, options.out, options.workers, options.kill)
        else:
            all_three = f"a chief or worker needs all three of {', '.join(VARIABLES)}"
            raise TuningError(f"{' and '.join(missing)} must be set as well: {all_three}.")
    except (TuningError, ValueError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

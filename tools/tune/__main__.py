"""`python -m tools.tune`: run a search on several processes, or join one as chief or worker.

On one machine it starts a chief and some workers itself:

    python -m tools.tune --workers 2

On several machines start it on each of them with KerasTuner's three variables set, one as the
chief and the others under names of their own:

    KERASTUNER_TUNER_ID=chief    KERASTUNER_ORACLE_IP=192.168.1.10 KERASTUNER_ORACLE_PORT=8000 …
    KERASTUNER_TUNER_ID=worker-1 KERASTUNER_ORACLE_IP=192.168.1.10 KERASTUNER_ORACLE_PORT=8000 …
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

VARIABLES = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status: 0, 1 after an error, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.tune", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--search",
        default="course.models.claims:one_layer",
        metavar="MODULE:FUNCTION",
        help="the function that returns the Search; default: %(default)s",
    )
    parser.add_argument("--workers", type=int, default=2, help="default: %(default)s")
    parser.add_argument(
        "--out",
        type=Path,
        help="directory to work in and to go on in; default: a temporary one, "
        "deleted after a complete search",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="how long chief and workers wait for each other; default: %(default)s",
    )
    parser.add_argument(
        "--kill",
        metavar="TRIAL",
        help="kill the worker of this trial in its midst, such as 03, to see that the search goes on",
    )
    options = parser.parse_args(arguments)
    if options.patience <= 0:
        parser.error("--patience must be more than 0 seconds")
    signal.signal(signal.SIGTERM, _interrupt)

    given = [name for name in VARIABLES if os.environ.get(name)]
    if given and len(given) < len(VARIABLES):
        missing = ", ".join(name for name in VARIABLES if name not in given)
        print(
            f"Error: {given[0]} is set, but {missing} is not. A chief or worker needs all three; "
            "without any of them both are started on this machine.",
            file=sys.stderr,
        )
        return 1

    # Only now, since importing Keras takes seconds.
    from course.store.artefacts import ArtefactError

    from tools.tune.distributed import TuningError

    try:
        return join(options) if given else both(options)
    except (TuningError, ArtefactError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130


def join(options: argparse.Namespace) -> int:
    """Be the chief or a worker, as KerasTuner's variables say."""
    from tools.tune import distributed

    search = distributed.find_search(options.search)
    role = distributed.run_worker
    if "chief" in os.environ["KERASTUNER_TUNER_ID"]:
        role = distributed.run_chief
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        role(search, options.out, patience=options.patience)
    elif role is distributed.run_chief:
        folder = Path("_build") / "tuning"
        folder.mkdir(parents=True, exist_ok=True)
        role(search, folder, patience=options.patience)
        print(f"Results are in {folder / search.name}")
    else:
        with tempfile.TemporaryDirectory(prefix="course-tune-") as folder:
            role(search, Path(folder), patience=options.patience)
    return 0


def both(options: argparse.Namespace) -> int:
    """Run chief and workers on this machine and print what came out."""
    from course.store.searches import reload, trials_table

    from tools.tune import distributed

    search = distributed.find_search(options.search)
    folder = options.out or Path(tempfile.mkdtemp(prefix="course-tune-"))
    print(f"Search '{search.name}' with {options.workers} workers, in {folder}", flush=True)
    distributed.launch(
        options.search,
        folder,
        workers=options.workers,
        patience=options.patience,
        kill=options.kill,
        say=_say,
    )
    chief, single = (folder / search.name / name for name in ("chief.json", "tuner0.json"))
    if chief.exists() and not single.exists():
        shutil.copyfile(chief, single)  # so that it reloads outside of the team as well
    tuner = reload(search, folder)
    print("\nTrials, the best first:")
    lower = tuner.oracle.objective.direction == "min"
    print(trials_table(tuner).sort_values("score", ascending=lower).to_string())
    shipped = distributed.shipped_search(search)
    if shipped is not None:
        compared = distributed.side_by_side(shipped, tuner)
        same = compared[compared["same draw"]]
        apart = (same["score alone"] - same["score distributed"]).abs()
        print(
            f"\nBeside the stored search of one process: {len(same)} of {len(compared)} trials "
            "drew the same hyperparameters"
            + (f"; their scores differ by at most {apart.max():.2g}." if len(same) else ".")
        )
    if options.out is None:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"\nThe search is kept in {folder / search.name}")
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

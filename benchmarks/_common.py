"""What the benchmarks share: options, times compared within one run, memory, tables printed alike."""

import argparse
import contextlib
import io
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import pandas as pd
import psutil


def options(doc: str, **defaults: int | float | str) -> argparse.Namespace:
    """The options of a command, whose names and types are those of their defaults."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=type(default), default=default, help="default: %(default)s")
    return parser.parse_args()


def seconds(action: Callable[[], object]) -> float:
    """How long a function takes; what it says on the standard error is not shown."""
    started = time.perf_counter()
    with contextlib.redirect_stderr(io.StringIO()):
        action()
    return time.perf_counter() - started


def rounds(variants: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each variant in each round, after one that warms up.

    A round runs all of them, one after the other, so that whatever else the machine does hits all.
    """
    runs = [{name: seconds(action) for name, action in variants.items()} for _ in range(repeats + 1)]
    return {name: [run[name] for run in runs[1:]] for name in variants}


def ratio(own: Sequence[float], other: Sequence[float]) -> float:
    """The median over the rounds of the ratio within a round."""
    return statistics.median(one / two for one, two in zip(own, other, strict=True))


@contextlib.contextmanager
def peak_memory(process_id: int) -> Iterator[list[float]]:
    """Watch a process and its children; the list ends in their highest memory together, in MB.

    Where the system tells (Linux), what processes share counts once: proportional, not resident memory.
    """
    peaks, done = [0.0], threading.Event()

    def memory(process: psutil.Process) -> float:
        usage = process.memory_full_info()
        return getattr(usage, "pss", usage.rss) / 1e6

    def watch() -> None:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(process_id)
            while not done.wait(0.1):
                total = memory(process)
                for child in process.children(recursive=True):
                    with contextlib.suppress(psutil.Error):
                        total += memory(child)
                peaks.append(max(peaks[-1], total))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peaks
    finally:
        done.set()
        watcher.join()


def watched(command: Sequence[str], **more: object) -> tuple[float, float, str]:
    """Seconds and peak memory in MB of a command and what it said; ends where it fails."""
    started = time.perf_counter()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8", "errors": "replace"}
    with subprocess.Popen(command, **pipes, **more) as process, peak_memory(process.pid) as peaks:
        output = process.communicate()[0]
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{output}")
    return time.perf_counter() - started, peaks[-1], output


def show(title: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Print rows, mappings from heading to value, as a table; floats with two digits."""
    table = pd.DataFrame(rows).to_string(index=False, na_rep="", float_format="{:,.2f}".format)
    print(f"\n{title}\n{table}", flush=True)


def end(failures: Sequence[str]) -> None:
    """Print what missed its aim, and end with status 1 if anything did."""
    for failure in failures:
        print(f"FAILED: {failure}")
    sys.exit(1 if failures else 0)

"""Seconds and memory of rendering: first, unchanged, after a prose edit, after a code edit.

    python -m benchmarks.rendering

A copy of the repository is rendered in a temporary folder by the pip-only renderer, on two cores
where the system lets a process choose. Peak memory is that of the renderer and all its children
together. Ends with status 1 where a limit is exceeded.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).resolve().parent.parent
NOT_COPIED = (
    ".git",
    ".venv",
    "_site",
    "_build",
    ".render-cache",
    ".quarto",
    "__pycache__",
    ".pytest_cache",
    "*.egg-info",
)
CORES = 2
GIGABYTE = 1e9


@dataclass
class Measurement:
    """One run: what was done, seconds, peak bytes, and what the renderer printed."""

    name: str
    seconds: float
    peak: float
    output: str


def tree_bytes(process: psutil.Process) -> int:
    """Resident bytes of a process and its descendants; ended ones count nothing."""
    total = 0
    try:
        members = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0
    for member in members:
        try:
            total += member.memory_info().rss
        except psutil.Error:
            continue
    return total


def measure(name: str, folder: Path) -> Measurement:
    """Render the whole site in a folder once."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COURSE_")}
    environment["PYTHONPATH"] = str(folder)
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "render", "--engine", "pip"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    peak = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        handle = psutil.Process(process.pid)
        while not done.is_set():
            peak = max(peak, tree_bytes(handle))
            done.wait(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    output = process.communicate()[0].decode("utf-8", errors="replace")
    seconds = time.perf_counter() - started
    done.set()
    watcher.join()
    if process.returncode:
        sys.exit(f"{name}: the renderer failed\n{output}")
    return Measurement(name, seconds, peak, output)


def states(output: str) -> list[str]:
    """What happened to each page: "executed", "from cache", "unchanged" or "no cells"."""
    return re.findall(r"[\d.]+ s, (executed|from cache|unchanged|no cells)", output)


def main() -> int:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    failures = []
    with tempfile.TemporaryDirectory(prefix="rendering-") as folder:
        site = Path(folder) / "site"
        # What the helpers unpack from an archive beside it is left out, as on a fresh clone.
        data = REPOSITORY / "data"
        archives = [*data.glob("*.zip"), *data.glob("*.tar.*")]
        unpacked = {path.name.split(".")[0] for path in archives}

        def ignore(parent: str, names: list[str]) -> set[str]:
            left_out = shutil.ignore_patterns(*NOT_COPIED)(parent, names)
            if Path(parent) == data:
                left_out |= {name for name in names if name in unpacked or name.startswith(".")}
            return left_out

        shutil.copytree(REPOSITORY, site, ignore=ignore)
        lectures = sorted((site / "lectures").glob("[0-9]*.qmd"))
        results = [measure("first render", site), measure("nothing changed", site)]

        lecture = lectures[-1]
        with lecture.open("a", encoding="utf-8") as file:
            file.write("\nOne more sentence.\n")
        results.append(measure("a sentence more in one lecture", site))

        module = site / "course" / "__init__.py"
        with module.open("a", encoding="utf-8") as file:
            file.write("\n# One more comment.\n")
        results.append(measure("a line more in course/", site))

    limits = {"first render": 150, "nothing changed": 8, "a sentence more in one lecture": 5}
    print(f"{'what':34} {'seconds':>8} {'limit':>6} {'peak GB':>8}  pages")
    for each in results:
        found = states(each.output)
        summary = ", ".join(f"{found.count(state)} {state}" for state in dict.fromkeys(found))
        limit = limits.get(each.name)
        print(f"{each.name:34} {each.seconds:8.1f} {limit or '':>6} {each.peak / GIGABYTE:8.2f}  {summary}")
        if limit and each.seconds > limit:
            failures.append(f"{each.name} took {each.seconds:.1f} s, over {limit} s")
        if each.peak > 3 * GIGABYTE:
            failures.append(f"{each.name} used {each.peak / GIGABYTE:.2f} GB, over 3 GB")
    first, second, prose, code = (states(each.output) for each in results)
    if first.count("executed") != len(lectures):
        failures.append("the first render did not execute every lecture")
    if set(second) != {"unchanged"}:
        failures.append("a second render did not leave every page unchanged")
    if "executed" in prose or prose.count("from cache") != 1:
        failures.append("a prose edit executed a cell")
    if code.count("executed") != len(lectures):
        failures.append("a changed line in course/ did not execute every lecture again")
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

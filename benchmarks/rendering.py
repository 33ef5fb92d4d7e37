"""Seconds and memory of rendering: first, unchanged, after a prose edit, after a code edit.

    python -m benchmarks.rendering

A copy of what git tracks is rendered in a temporary folder by the pip-only renderer, on two cores where
the system lets a process choose. Peak memory is that of the renderer and all its children together. Ends
with status 1 where a limit is exceeded, or a page is executed that need not be.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from course.paths import REPOSITORY

from benchmarks._common import end, options, show, watched

GIGABYTES = 3.0
LIMITS = {
    "first render": 150,
    "nothing changed": 8,
    "a sentence more in one lecture": 5,
    "a line more in course/": None,
}  # seconds


def render(site: Path) -> tuple[float, float, Counter]:
    """Seconds, peak gigabytes, and how many pages were executed, from cache, unchanged or without cells."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COURSE_")}
    environment["PYTHONPATH"] = str(site)
    command = [sys.executable, "-m", "render", "--engine", "pip"]
    seconds, megabytes, output = watched(command, cwd=site, env=environment)
    states = re.findall(r"[\d.]+ s, (executed|from cache|unchanged|no cells)", output)
    return seconds, megabytes / 1000, Counter(states)


def append(path: Path, text: str) -> None:
    """Edit a file at its end."""
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def main() -> None:
    """Print the table."""
    options(__doc__)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    listed = subprocess.check_output(["git", "ls-files", "-z"], cwd=REPOSITORY, encoding="utf-8")
    tracked = [name for name in listed.split("\0") if (REPOSITORY / name).is_file()]
    with tempfile.TemporaryDirectory(prefix="rendering-", ignore_cleanup_errors=True) as folder:
        site = Path(folder) / "site"
        for name in tracked:
            (site / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, site / name)
        lectures = sorted((site / "lectures").glob("[0-9]*.qmd"))
        runs = [render(site), render(site)]
        append(lectures[-1], "\nOne more sentence.\n")
        runs.append(render(site))
        append(site / "course" / "__init__.py", "\n# One more comment.\n")
        runs.append(render(site))

    rows, failures = [], []
    for (name, limit), (seconds, peak, pages) in zip(LIMITS.items(), runs, strict=True):
        listed = ", ".join(f"{count} {state}" for state, count in pages.items())
        rows.append({"what": name, "s": seconds, "limit": limit, "peak GB": peak, "pages": listed})
        if limit and seconds > limit:
            failures.append(f"{name} took {seconds:.1f} s, over {limit} s")
        if peak > GIGABYTES:
            failures.append(f"{name} used {peak:.2f} GB, over {GIGABYTES} GB")
    show("Rendering the site", rows)
    first, second, prose, code = (pages for _, _, pages in runs)
    if first["executed"] != len(lectures):
        failures.append("the first render did not execute every lecture")
    if set(second) != {"unchanged"}:
        failures.append("a second render did not leave every page unchanged")
    if prose["executed"] or prose["from cache"] != 1:
        failures.append("a prose edit executed a cell")
    if code["executed"] != len(lectures):
        failures.append("a changed line in course/ did not execute every lecture again")
    end(failures)


if __name__ == "__main__":
    main()

"""Seconds and memory of rendering, from clean, unchanged and edited: `python -m benchmarks.rendering`.

A copy of what git tracks is rendered, on two cores where a process may choose: by the pip-only renderer and,
where `quarto` is on the PATH, by Quarto after it. Peak memory is that of the command with all its children.
Ends with status 1 where a limit is exceeded, or a page is executed that need not be.
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
STEPS = ("from clean", "nothing changed", "a sentence more in one lecture", "a line more in course/")
LIMITS = {"pip": (75, 2, 5, None), "quarto": (None, 60, None, None)}  # seconds
RATIO = 1.3  # of Quarto from clean to the pip-only renderer from clean


def render(site: Path, engine: str) -> tuple[float, float, Counter]:
    """Seconds, peak gigabytes, and how many pages were executed, from cache, unchanged or without cells."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COURSE_")}
    environment |= {"PYTHONPATH": str(site), "QUARTO_PYTHON": sys.executable, "COURSE_STRICT": "1"}
    command = (
        ["quarto", "render"] if engine == "quarto" else [sys.executable, "-m", "render", "--engine", "pip"]
    )
    seconds, megabytes, output = watched(command, cwd=site, env=environment)
    states = re.findall(r"[\d.]+ s, (executed|from cache|unchanged|no cells)", output)
    return seconds, megabytes / 1000, Counter(states)


def main() -> None:
    """Print the table."""
    options(__doc__)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    listed = subprocess.check_output(["git", "ls-files", "-z"], cwd=REPOSITORY, encoding="utf-8")
    tracked = [name for name in listed.split("\0") if (REPOSITORY / name).is_file()]
    engines = ["pip", *(["quarto"] if shutil.which("quarto") else [])]
    runs = {}
    for engine in engines:
        with tempfile.TemporaryDirectory(prefix="rendering-", ignore_cleanup_errors=True) as folder:
            site = Path(folder) / "site"
            for name in tracked:
                (site / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(REPOSITORY / name, site / name)
            lectures = sorted((site / "lectures").glob("[0-9]*.qmd"))
            runs[engine] = [render(site, engine), render(site, engine)]
            lectures[-1].open("ab").write(b"\nOne more sentence.\n")
            runs[engine].append(render(site, engine))
            (site / "course" / "__init__.py").open("ab").write(b"\n# One more comment.\n")
            runs[engine].append(render(site, engine))

    rows, failures = [], []
    for engine in engines:
        steps = zip(STEPS, LIMITS[engine], runs[engine], strict=True)
        for number, (name, limit, (seconds, peak, pages)) in enumerate(steps):
            listed = ", ".join(f"{count} {state}" for state, count in pages.items())
            rows.append({"engine": engine, "what": name, "s": seconds, "limit": limit, "peak GB": peak})
            rows[-1] |= {"of pip": seconds / runs["pip"][number][0], "pages": listed}
            if limit and seconds > limit:
                failures.append(f"{engine}, {name}: {seconds:.1f} s, over {limit} s")
            if peak > GIGABYTES:
                failures.append(f"{engine}, {name}: {peak:.2f} GB, over {GIGABYTES} GB")
        first, second, prose, code = (pages["executed"] for _, _, pages in runs[engine])
        if (first, second, prose, code) != (len(lectures), 0, 0, len(lectures)):
            failures.append(f"{engine} executed {first}, {second}, {prose} and {code} pages")
    show("Rendering the site", rows)
    if "quarto" in runs and runs["quarto"][0][0] > RATIO * runs["pip"][0][0]:
        failures.append(f"Quarto from clean took more than {RATIO} times what the pip-only renderer took")
    end(failures)


if __name__ == "__main__":
    main()

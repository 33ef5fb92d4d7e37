"""`python -m tools.check`: run all checks and say whether the machine is ready."""

from __future__ import annotations

import argparse
import sys
import textwrap
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tools.check import checks
from tools.check.checks import CHECKS, FAILURE, HINT, OK, WARNING, Finding
from tools.console import speak_utf8

PATIENCE = 8.5


def names() -> list[str]:
    """The checks to run, in order; what students get has no lectures to render."""
    left_out = () if (checks.REPOSITORY / "lectures").is_dir() else ("Browser", "Slides", "Settings")
    return [name for name in CHECKS if name not in left_out]


def run(patience: float) -> list[Finding]:
    """Run all checks, those that wait for programs side by side; at most `patience` seconds
    and the time that a browser takes to start."""
    started = time.perf_counter()
    python = checks.check_python()
    if python.level == FAILURE:
        return [python]  # with another Python the rest would only fail in stranger words
    probe = checks.start_probe()
    try:
        with ThreadPoolExecutor(4) as pool:
            _, *others, training = (CHECKS[name] for name in names())
            findings = list(pool.map(lambda check: check(), others))
        return [python, *findings, training(probe, patience - (time.perf_counter() - started))]
    finally:
        probe.kill()


def report(findings: list[Finding], seconds: float) -> str:
    """The findings as text: one a line, the remedy below."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.level:>8}  {finding.name:<10} {finding.fact}")
        arrow = {"initial_indent": " " * 21 + "-> ", "subsequent_indent": " " * 24}
        lines += textwrap.wrap(finding.remedy, 96, **arrow, break_long_words=False, break_on_hyphens=False)
    count = Counter(finding.level for finding in findings)
    verdict = f"Ready for class: {count[OK] + count[HINT]} of {len(findings)} checks passed"
    if count[FAILURE]:
        verdict = f"Not ready: {count[FAILURE]} of {len(findings)} checks failed"
    if count[WARNING]:
        verdict += f", {count[WARNING]} warning{'s' * (count[WARNING] > 1)}"
    return "\n".join([*lines, "", f"{verdict} ({seconds:.1f} s)."])


def main(arguments: list[str] | None = None) -> int:
    """Print the report; the exit status is 1 when a check failed, else 0."""
    name, words = "python -m tools.check", "Is this machine ready for class?"
    parser = argparse.ArgumentParser(prog=name, description=words)
    patience = "seconds to wait for the training measurement (default: %(default)s)"
    parser.add_argument("--patience", type=float, default=PATIENCE, metavar="SECONDS", help=patience)
    options = parser.parse_args(arguments)
    speak_utf8()
    started = time.perf_counter()
    findings = run(options.patience)
    print(report(findings, time.perf_counter() - started))
    return int(any(finding.level == FAILURE for finding in findings))


if __name__ == "__main__":
    sys.exit(main())

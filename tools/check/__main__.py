"""`python -m tools.check`: run all checks and say whether the machine is ready."""

from __future__ import annotations

import argparse
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

from tools.check import checks
from tools.check.checks import FAILURE, OK, WARNING, Finding

PATIENCE = 8.5


def run(patience: float = PATIENCE) -> list[Finding]:
    """Run all checks, those that wait for programs side by side; at most `patience` seconds
    and the time that a browser takes to start."""
    started = time.perf_counter()
    python = checks.check_python()
    if python.level == FAILURE:
        return [python]  # with another Python the rest would only fail in stranger words
    probe = checks.start_probe()
    names = "packages keras fonts data artefacts graphviz browser disk memory slides".split()
    try:
        with ThreadPoolExecutor(4) as pool:
            findings = list(pool.map(lambda name: getattr(checks, f"check_{name}")(), names))
        return [python, *findings, checks.check_training(probe, patience - (time.perf_counter() - started))]
    finally:
        if probe.poll() is None:
            probe.kill()


def report(findings: list[Finding], seconds: float) -> str:
    """The findings as text: one a line, the remedy below."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.level:>8}  {finding.name:<10} {finding.fact}")
        if finding.remedy:
            indent = {"initial_indent": " " * 21 + "-> ", "subsequent_indent": " " * 24}
            whole = {"break_long_words": False, "break_on_hyphens": False}
            lines += textwrap.wrap(finding.remedy, 96, **indent, **whole)
    failed = sum(finding.level == FAILURE for finding in findings)
    warned = sum(finding.level == WARNING for finding in findings)
    passed = sum(finding.level == OK for finding in findings)
    verdict = (
        f"Not ready: {failed} of {len(findings)} checks failed"
        if failed
        else f"Ready for class: {passed} of {len(findings)} checks passed"
    )
    if warned:
        verdict += f", {warned} warning{'s' * (warned > 1)}"
    return "\n".join([*lines, "", f"{verdict} ({seconds:.1f} s)."])


def main(arguments: list[str] | None = None) -> int:
    """Print the report; the exit status is 1 when a check failed, else 0."""
    name, words = "python -m tools.check", "Is this machine ready for class?"
    parser = argparse.ArgumentParser(prog=name, description=words)
    patience = "seconds to wait for the training measurement (default: %(default)s)"
    parser.add_argument("--patience", type=float, default=PATIENCE, metavar="SECONDS", help=patience)
    options = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    started = time.perf_counter()
    findings = run(options.patience)
    print(report(findings, time.perf_counter() - started))
    return int(any(finding.level == FAILURE for finding in findings))


if __name__ == "__main__":
    sys.exit(main())

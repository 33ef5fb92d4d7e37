"""Running the renderer as a command, for its tests."""

import os
import subprocess
import sys
from pathlib import Path

# The end of a `_quarto.yml`: both formats, as the renderer wants them.
FORMATS = """\
format:
  html:
    html-math-method: mathml
  revealjs:
    output-ext: slides.html
    auto-stretch: false
"""

REPOSITORY = Path(__file__).resolve().parent.parent


def run_render(folder, *arguments, module="render", **environment):
    """Run `python -m render`, or another `module`, in a folder under LANG=C; returns the finished process."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COURSE_", "LC_", "LANG", "PYTHONUTF8"))
    }
    variables |= {"PYTHONPATH": str(REPOSITORY), "LANG": "C", "LC_ALL": "C"} | environment
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env=variables,
        capture_output=True,
        timeout=300,
    )

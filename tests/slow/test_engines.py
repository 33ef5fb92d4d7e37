"""Every lecture and the index by both engines, from copies of the course: where Quarto is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compare_sites import compare_sites
from tests.render_command import REPOSITORY
from tests.site.test_quarto import need_quarto


def rendered_copy(engine: str, folder: Path) -> Path:
    """The site that an engine makes of a copy of all files that git knows."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True)
    if listed.returncode:
        pytest.skip("this is not a git checkout, so the files to copy are not known")
    for name in filter(None, listed.stdout.decode("utf-8").split("\0")):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    done = subprocess.run(
        [sys.executable, "-m", "render", "--engine", engine],
        cwd=folder,
        capture_output=True,
        env=os.environ | {"PYTHONPATH": str(folder), "QUARTO_PYTHON": sys.executable},
    )
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    return folder / "_site"


def test_both_engines_make_the_same_course(tmp_path):
    """COURSE_SITE may name a site that Quarto made already."""
    need_quarto()
    named = os.environ.get("COURSE_SITE")
    quarto = Path(named) if named else rendered_copy("quarto", tmp_path / "quarto 字")
    assert compare_sites(quarto, rendered_copy("pip", tmp_path / "pip 字")) == []
    assert len(list(quarto.glob("lectures/*.slides.html"))) == len(
        list(REPOSITORY.glob("lectures/[0-9]*.qmd"))
    )

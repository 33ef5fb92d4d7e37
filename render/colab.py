"""Where the repository is published, and what a notebook needs to run on Colab.

Both come from `website: repo-url` and `website: repo-branch` in `_quarto.yml`, and from nothing
else. `repo-branch` names what the notebooks fetch: a release's tag, so that a hand-out given to students
today still meets the helpers and the data that it was written for next year.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from urllib.parse import quote

from .errors import RenderError
from .project import CONFIG, Project

BADGE = "assets/images/open-in-colab.svg"

SETUP = """\
# On Colab this cell fetches the course. On your own computer it does nothing.
import os
import sys

if "google.colab" in sys.modules and not os.path.exists("course/colab.py"):
    import subprocess

    folder = os.path.abspath("course-repository")
    for command in (
        ["init", "--quiet", folder],
        ["-C", folder, "fetch", "--quiet", "--depth", "1",
         "{url}", "{ref}"],
        ["-C", folder, "checkout", "--quiet", "FETCH_HEAD"],
    ):
        subprocess.run(["git", *command], check=True)
    os.chdir(folder)
    sys.path.insert(0, folder)
    from course.colab import prepare

    prepare()"""


@dataclass(frozen=True)
class Repository:
    """The published repository: its address on GitHub, and the branch, tag or commit to use."""

    url: str
    ref: str

    @classmethod
    def of(cls, project: Project) -> Repository:
        """Read the address.

        Raises
        ------
        RenderError: `_quarto.yml` has no `website: repo-url`, or one that is not on GitHub, which
            is where Colab opens notebooks from.
        """
        url = str(project.website.get("repo-url") or "").rstrip("/").removesuffix(".git")
        ref = str(project.website.get("repo-branch") or "main")
        if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", url):
            raise RenderError(
                "`website: repo-url` must be the repository's address, "
                f"https://github.com/<owner>/<name>, but is {url or 'missing'!r}",
                CONFIG,
                project.config_lines.get(("website", "repo-url")),
            )
        if not re.fullmatch(r"[\w][\w./-]*", ref):
            raise RenderError(
                f"`website: repo-branch` must name a branch, tag or commit, but is {ref!r}",
                CONFIG,
                project.config_lines.get(("website", "repo-branch")),
            )
        return cls(url, ref)

    def colab(self, path: str) -> str:
        """The address that opens a notebook of the repository on Colab."""
        path = self.url.removeprefix("https://github.com/") + f"/blob/{self.ref}/{path}"
        return "https://colab.research.google.com/github/" + quote(path)

    def badge(self, path: str) -> str:
        """Markdown of the badge for the notebook at `path`, as seen from that notebook."""
        image = posixpath.relpath(BADGE, posixpath.dirname(path))
        return f"[![Open in Colab]({image})]({self.colab(path)})"

    def setup(self) -> str:
        """The code of the set-up cell."""
        return SETUP.format(url=self.url, ref=self.ref)

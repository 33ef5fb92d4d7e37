"""What makes each notebook run on Colab too, and badges beside links to notebooks.

The address comes from `website: repo-url` and `website: repo-branch` in `_quarto.yml`, and from
nothing else. `repo-branch` names what the notebooks fetch: a release's tag, so that a hand-out given to
students today still meets the helpers and the data that it was written for next year.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from .project import Project

BADGE = "assets/images/open-in-colab.svg"

NOTEBOOK_LINK = re.compile(
    r'<a\b[^>]*\bhref="(?P<up>(?:\.\./)*)(?P<path>(?:notebooks|exercises)/[\w.-]+\.ipynb)"[^>]*>'
    r'[^<]*</a>(?! <a class="colab")'
)
SETUP = """\
# On Colab this cell fetches the course. On your own computer it does nothing.
import os
import sys

if "google.colab" in sys.modules:
    if not os.path.exists("course/colab.py"):
        import subprocess

        folder = os.path.abspath("course-repository")
        for command in (
            ["init", "--quiet", folder],
            ["-C", folder, "fetch", "--quiet", "--depth", "1",
             "{url}", "{ref}"],
            ["-C", folder, "checkout", "--quiet", "FETCH_HEAD"],
        ):
            os.environ["GIT_TERMINAL_PROMPT"] = "0"
            done = subprocess.run(["git", *command], capture_output=True, encoding="utf-8")
            if done.returncode:
                why = (done.stderr.strip() or "git failed").splitlines()[-1]
                todo = "check the network, then run this cell again"
                if "Username" in why or "not found" in why or "remote ref" in why:
                    todo = "{url} is private, not there or without {ref}; tell your lecturer"
                problem = RuntimeError(f"The course could not be fetched: {{todo}} ({{why}}).")
                problem._render_traceback_ = lambda: [str(problem)]
                raise problem
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
        """Read the address, which must be on GitHub: there Colab opens notebooks from."""
        url = str(project.website.get("repo-url") or "").rstrip("/").removesuffix(".git")
        if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", url):
            message = f"`website: repo-url` must be https://github.com/<owner>/<name>, but is {url!r}"
            raise project.problem(message, "website", "repo-url")
        return cls(url, str(project.website.get("repo-branch") or "main"))

    def colab(self, path: str) -> str:
        """The address that opens a notebook of the repository on Colab."""
        path = self.url.removeprefix("https://github.com/") + f"/blob/{self.ref}/{path}"
        return "https://colab.research.google.com/github/" + quote(path)

    def add_badges(self, text: str) -> str:
        """A page's HTML with a badge after each link to a notebook; a second time changes nothing."""

        def badge(match: re.Match[str]) -> str:
            kind = "exercise" if match["path"].startswith("exercises/") else "notebook"
            image = f'<img alt="Open the {kind} in Colab" src="{match["up"]}{BADGE}"/>'
            return f'{match[0]} <a class="colab" href="{self.colab(match["path"])}">{image}</a>'

        return NOTEBOOK_LINK.sub(badge, text)

    def setup(self) -> str:
        """The code of the set-up cell."""
        return SETUP.format(url=self.url, ref=self.ref)

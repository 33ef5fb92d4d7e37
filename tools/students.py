"""`make students`: what students get, as a folder, an archive and a branch; no solution is in it.

    python -m tools.students            # writes _build/students/ and an archive of it
    python -m tools.students --branch   # commits the same to the branch `students`, too

Badges and Colab's set-up cell fetch the branch, or the tag on it that `repo-branch` names. Each commit lies
on top of the last, so that nobody has to force anything.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path

from render.__main__ import run_command
from render.frame import Repository
from render.notebook import is_worked
from render.project import Project
from render.qmd import RenderError
from tools.lab import RELEASED, hand_outs, images
from tools.ledger import repository_files

OUT = "_build/students"
BRANCH = "students"
OWN = "docs/students/"  # their README, Makefile and project file
# Folders with all that is in them, and files.
SHIPPED = (
    *("course/", "cache/", "data/", "assets/fonts/", "assets/images/", "tools/check/", "tools/sheet/"),
    *(".gitattributes", ".gitignore", "CITATION.cff", "LICENSE", "requirements.txt"),
    *("docs/own-handwriting.md", RELEASED),
    # `make check` compares with these
    *("assets/ledger.toml", "assets/manifest.json", "assets/js/draw-yourself-weights.js"),
    *("render/__init__.py", "render/files.py", "render/notebook.py"),
    *(f"tools/{name}.py" for name in ("__init__", "console", "lab", "ledger", "reading", "teach")),
)


def contents(project: Project) -> dict[str, bytes]:
    """Every file that students get, by its path in the archive."""
    root, notebooks = project.root, hand_outs(project.root)
    if worked := [name for name in notebooks if is_worked(root / name)]:
        raise RenderError("somebody has worked in it; `make notebooks` keeps the work in my-work/", worked[0])
    files = repository_files(root)
    made = {name: (root / name).read_bytes() for name in files if name.startswith(SHIPPED)}
    made |= {name: (root / name).read_bytes() for name in notebooks}
    shown = set().union(*(images(made[name], root) for name in notebooks))
    made |= {name: (root / name).read_bytes() for name in shown}
    made |= {name.removeprefix(OWN): (root / name).read_bytes() for name in files if name.startswith(OWN)}
    words = {"{title}": project.website.get("title"), "{url}": Repository.of(project).url, "](../": "](docs/"}
    for word, value in words.items():
        made["README.md"] = made["README.md"].replace(word.encode(), str(value).encode("utf-8"))
    return made


def write(folder: Path, made: dict[str, bytes]) -> Path:
    """Write the folder anew, and an archive beside it; returns the archive."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return Path(shutil.make_archive(str(folder), "zip", folder.parent, folder.name))


def git(root: Path, *words: str, fails: bool = False, **environment: str) -> str:
    """What git prints; nothing where it may fail and does."""
    options = {"cwd": root, "env": os.environ | environment, "capture_output": True, "encoding": "utf-8"}
    done = subprocess.run(["git", *words], **options)
    if done.returncode and not fails:
        raise RenderError(f"git {words[0]}: {done.stderr.strip() or 'failed'}")
    return done.stdout.strip()


def commit(root: Path, folder: Path, ref: str) -> list[str]:
    """Commit the folder on top of the branch, and set `ref`, where that is a new tag of it.

    Returns
    -------
    list of str
        The names of the branch and of the tag, as git has them in full.
    """
    with tempfile.TemporaryDirectory() as place:
        index = {"GIT_INDEX_FILE": str(Path(place, "index")), "GIT_WORK_TREE": str(folder)}
        index["GIT_DIR"] = git(root, "rev-parse", "--absolute-git-dir")
        git(folder, "add", "--all", "--force", ".", **index)
        tree = git(root, "write-tree", **index)
    names = [f"refs/heads/{BRANCH}"]
    last = ""
    for known in (f"refs/remotes/origin/{BRANCH}", *names):
        last = last or git(root, "rev-parse", "--verify", "--quiet", known, fails=True)
    if not last or git(root, "rev-parse", f"{last}^{{tree}}") != tree:
        parent, message = ["-p", last] if last else [], git(root, "log", "-1", "--format=From %h: %s")
        last = git(root, "commit-tree", tree, "-m", message, *parent)
    git(root, "update-ref", names[0], last)
    if ref.startswith(f"{BRANCH}-"):
        names.append(f"refs/tags/{ref}")
        if not git(root, "rev-parse", "--verify", "--quiet", names[1], fails=True):
            git(root, "update-ref", names[1], last)
    return names


def command(project: Project) -> int:
    """Write folder and archive, and commit them where that is asked for."""
    parser = ArgumentParser("python -m tools.students", description=__doc__.split("\n")[0])
    parser.add_argument("--branch", action="store_true", help=f"commit them to the branch {BRANCH}, too")
    options = parser.parse_args()
    repository = Repository.of(project)
    made = contents(project)
    folder = project.root / OUT / repository.url.rpartition("/")[2]
    archive = write(folder, made)
    print(
        f"{archive.relative_to(project.root).as_posix()}: {len(made)} files, no solution that is not released"
    )
    if options.branch:
        names = commit(project.root, folder, repository.ref)
        git(project.root, "bundle", "create", "--quiet", str(folder.with_name(f"{BRANCH}.bundle")), *names)
        print(f"Committed. To publish that: git push origin {' '.join(names)}")
    if not repository.ref.startswith(BRANCH):
        print(f"`repo-branch: {repository.ref}` has solutions: name {BRANCH}, or a tag that begins {BRANCH}-")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(command))

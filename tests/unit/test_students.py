"""What students get: no answer anywhere in it, all that it needs, and a branch that nobody has to force."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile

import pytest
import yaml

from render.project import Project
from render.qmd import RenderError
from tests.exercise_runs import REPOSITORY, SOURCES, solution_lines
from tests.unit.test_exercises import TELLING
from tests.unit.test_workflows import read
from tools import lab, students
from tools.exercises import read_exercise

# A line that many programs have is no answer: more than this share of its lines must be there.
SHARE = 1 / 3
PICTURE = (b"\x89PNG", b"\xff\xd8\xff")


def plain(data: bytes) -> bytes:
    """A text without white space, as it is and as JSON has it."""
    return re.sub(rb"\s|\\n|\\(?=\")", b"", data)


def answers() -> dict[str, list[bytes]]:
    """The telling lines of each answer, by exercise and task."""
    found = {}
    for path in SOURCES:
        for number, cell in enumerate(read_exercise(path)):
            lines = [plain(line.encode()) for line in solution_lines([cell]) if TELLING.search(line)]
            if lines:
                found[f"{path.stem}: {cell.metadata.get('task', f'cell {number}')}"] = lines
    return found


def inside(name: str, data: bytes):
    """Yield a file and, of an archive, all that is in it, however deep."""
    yield name, data
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for each in archive.namelist():
                yield from inside(f"{name}: {each}", archive.read(each))
    elif name.endswith((".xz", ".gz", ".tar", ".tgz", ".bz2")):
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for each in archive:
                if each.isfile():
                    yield from inside(f"{name}: {each.name}", archive.extractfile(each).read())


def leaks(made: dict[str, bytes]) -> list[str]:
    """Which answers are in which files."""
    found, wanted = [], answers()
    for outer, content in made.items():
        for name, data in inside(outer, content):
            text = b"" if data.startswith(PICTURE) else plain(data)
            for answer, lines in wanted.items():
                there = [line for line in lines if line in text]
                if len(there) > SHARE * len(lines):
                    found.append(f"{name} has the answer to {answer}: {there}")
    return found


@pytest.fixture(scope="module")
def made():
    return students.contents(Project.load(REPOSITORY))


@pytest.fixture(scope="module")
def unpacked(made, tmp_path_factory):
    """The archive, unpacked in a folder with a blank and an umlaut in its name."""
    place = tmp_path_factory.mktemp("students")
    archive = students.write(place / "made" / "course", made)
    shutil.unpack_archive(archive, place / "Vorträge 1")
    return place / "Vorträge 1" / "course"


def test_no_answer_is_in_the_archive(made) -> None:
    assert len(answers()) >= 4 * len(SOURCES)
    assert leaks(made) == []


def test_the_search_finds_answers_wherever_they_are() -> None:
    solution = next((REPOSITORY / "exercises/solutions").glob("*.ipynb")).read_bytes()
    source = SOURCES[0].read_bytes()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.py", source.replace(b"    ", b"\t"))
    rolled = io.BytesIO()
    with tarfile.open(fileobj=rolled, mode="w:xz") as archive:
        member = tarfile.TarInfo("y.zip")
        member.size = len(packed.getvalue())
        archive.addfile(member, io.BytesIO(packed.getvalue()))
    for name, data in (("a.ipynb", solution), ("b.py", source), ("c.tar.xz", rolled.getvalue())):
        assert leaks({name: data}), name
    assert not leaks({"z.py": b"x = 1\n"})


def test_no_name_leads_to_a_solution(made) -> None:
    wrong = [
        name
        for name in made
        if re.search(r"solution|(^|/)source/|(^|/)tests?/|__pycache__|\.pyc$|\.qmd$|lectures/", name)
    ]
    assert wrong == []


def test_all_that_students_are_told_is_there(made) -> None:
    assert set(lab.hand_outs()) <= set(made) and len(lab.hand_outs()) >= 2 * len(SOURCES)
    readme, makefile = made["README.md"].decode("utf-8"), made["Makefile"].decode("utf-8")
    assert "{" not in readme
    for module in re.findall(r"python -m (tools\.\w+)", readme) + re.findall(r"-m (tools\.\w+)", makefile):
        path = module.replace(".", "/")
        assert f"{path}.py" in made or f"{path}/__main__.py" in made, module
    for target in re.findall(r"`make (\w+)`", readme):
        assert f"\n{target}: " in makefile, target
    for link in re.findall(r"\]\(([\w./-]+)\)", readme):
        assert link in made, link
    for image in re.findall(
        r"\(\.\./(assets/[\w./-]+)\)", "".join(made[n].decode() for n in lab.hand_outs())
    ):
        assert image in made, image


def test_both_project_files_agree(made) -> None:
    ours, theirs = (
        tomllib.loads(text)["project"]
        for text in ((REPOSITORY / "pyproject.toml").read_text("utf-8"), made["pyproject.toml"].decode())
    )
    assert (theirs["name"], theirs["requires-python"]) == (ours["name"], ours["requires-python"])
    said = re.search(r"You need Python ([\d., or]+)", made["README.md"].decode())[1]
    assert said in (REPOSITORY / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["tools.lab --prepare", "tools.sheet --help", "tools.check --help"])
def test_their_commands_run_from_the_archive(unpacked, command) -> None:
    environment = os.environ | {"PYTHONPATH": str(unpacked), "PYTHONUTF8": "1"}
    python = [sys.executable, "-m", *command.split()]
    done = subprocess.run(python, cwd=unpacked, env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    if "lab" in command:
        assert (unpacked / "my-work/exercises" / f"{SOURCES[0].stem}.ipynb").is_file()


def test_their_check_has_no_fault_of_its_own(unpacked) -> None:
    """It asks for nothing that students do not have: slides, a browser, settings."""
    code = (
        "from tools.check import checks, __main__ as m\n"
        "for name in m.names():\n"
        "    if name not in ('Python', 'Training', 'Memory', 'Disk', 'Graphviz', 'Packages'):\n"
        "        print(checks.CHECKS[name]())\n"
    )
    environment = os.environ | {"PYTHONPATH": str(unpacked), "PYTHONUTF8": "1", "COURSE_DATA": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=unpacked, env=environment, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    assert "FAIL" not in done.stdout and "Artefacts" in done.stdout and "Slides" not in done.stdout, (
        done.stdout
    )


def test_a_worked_hand_out_is_not_handed_out(monkeypatch) -> None:
    monkeypatch.setattr(students, "is_worked", lambda path: path.name.startswith("02"))
    with pytest.raises(RenderError, match="02-.*make notebooks"):
        students.contents(Project.load(REPOSITORY))


# The branch --------------------------------------------------------------------------------


def run(folder, *words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=folder, check=True, capture_output=True, encoding="utf-8"
    ).stdout.strip()


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone of an empty remote with one commit on main."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Test")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "test@example.org")
    run(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "remote.git")
    run(tmp_path, "clone", "--quiet", "remote.git", "clone")
    run(tmp_path / "clone", "checkout", "--quiet", "-b", "main")
    (tmp_path / "clone/answer.py").write_text("secret\n", encoding="utf-8")
    run(tmp_path / "clone", "add", ".")
    run(tmp_path / "clone", "commit", "--quiet", "-m", "First")
    run(tmp_path / "clone", "push", "--quiet", "origin", "main")
    return tmp_path / "clone"


def test_each_change_is_one_commit_on_top(clone, tmp_path) -> None:
    folder = tmp_path / "out"
    students.write(folder, {"README.md": b"one\n", "my-work/x": b"ignored elsewhere\n"})
    names = students.commit(clone, folder, "students-v1")
    assert names == ["refs/heads/students", "refs/tags/students-v1"]
    run(clone, "push", "--quiet", "origin", *names)
    first = run(clone, "rev-parse", "students")
    # The same again is no commit.
    assert students.commit(clone, folder, "students-v1") == names
    assert run(clone, "rev-parse", "students") == first
    # A change is one, and pushes without force; the tag stays where it is, a new one is set.
    students.write(folder, {"README.md": b"two\n"})
    students.commit(clone, folder, "students-v1")
    run(clone, "push", "--quiet", "origin", *names)
    assert run(clone, "rev-parse", "students^") == first == run(clone, "rev-parse", "students-v1")
    students.commit(clone, folder, "students-v2")
    assert run(clone, "rev-parse", "students-v2") == run(clone, "rev-parse", "students")
    # Another clone, which has only the remote's branch, goes on from there.
    run(tmp_path, "clone", "--quiet", "remote.git", "other")
    students.write(folder, {"README.md": b"three\n"})
    students.commit(tmp_path / "other", folder, "main")
    run(tmp_path / "other", "push", "--quiet", "origin", "students")
    assert run(tmp_path / "other", "rev-list", "--count", "students") == "3"
    # The working tree and the index are as they were; nothing of main is in the branch.
    assert run(clone, "status", "--short") == ""
    assert "secret" not in run(tmp_path / "other", "log", "-p", "students")


def test_the_workflow_publishes_the_commit(clone, tmp_path) -> None:
    """The steps of the job that may write, as they stand, on what the other job has made."""
    if os.name == "nt":
        pytest.skip("the job runs on Linux")
    students.write(tmp_path / "out", {"README.md": b"one\n"})
    names = students.commit(clone, tmp_path / "out", "students-v1")
    run(tmp_path, "clone", "--quiet", "remote.git", "runner")
    students.git(clone, "bundle", "create", str(tmp_path / "runner/students.bundle"), *names)
    job = read(REPOSITORY / ".github/workflows/publish.yml")["jobs"]["students"]
    (script,) = [step["run"] for step in job["steps"] if "run" in step]
    for _ in range(2):  # a second time nothing changes
        subprocess.run(["bash", "-euc", script], cwd=tmp_path / "runner", check=True, capture_output=True)
    assert run(tmp_path / "remote.git", "show", "students:README.md") == "one"
    assert run(tmp_path / "remote.git", "tag") == "students-v1"


def test_colab_fetches_what_has_no_solutions() -> None:
    ref = yaml.safe_load((REPOSITORY / "course.yml").read_text(encoding="utf-8"))["website"]["repo-branch"]
    assert re.fullmatch(r"students(-.+)?", ref), (
        f"course.yml: `repo-branch: {ref}` has solutions in it; name the branch students, or a tag students-…"
    )

"""Workflows and citation file: valid, with few rights, and the commands that a person types."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest
import yaml
from check_jsonschema import main as check_jsonschema
from click.testing import CliRunner

from tools.check.checks import LAST_PYTHON, LEAST_PYTHON

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = ROOT / "Makefile"
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
ACTIONS = sorted((ROOT / ".github/actions").glob("*/action.yml"))
SCHEMAS = {
    **dict.fromkeys(WORKFLOWS, "github-workflows"),
    **dict.fromkeys(ACTIONS, "github-actions"),
    ROOT / ".github/dependabot.yml": "dependabot",
    ROOT / "CITATION.cff": "citation-file-format",
}
# What a step may run besides make: programs of the system, by its own package manager.
INSTALLERS = ("sudo apt-get ", "brew install ", "choco install ")


def read(path: Path) -> dict:
    """A workflow; YAML 1.1 takes its key `on` for True, so it is put right."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {("on" if key is True else key): value for key, value in content.items()}


def validate(path: Path, schema: str):
    """What `check-jsonschema` says about a file, with the schemas inside of it."""
    return CliRunner().invoke(check_jsonschema, ["--builtin-schema", f"vendor.{schema}", str(path)])


def jobs(workflow: dict) -> dict[str, dict]:
    return workflow.get("jobs", {})


def all_steps() -> list[tuple[str, dict]]:
    """Every step of every workflow and action, with the name of its file."""
    found = []
    for path in WORKFLOWS:
        for job in jobs(read(path)).values():
            found += [(path.name, step) for step in job.get("steps", ())]
    for path in ACTIONS:
        found += [(path.parent.name, step) for step in read(path)["runs"]["steps"]]
    return found


def make_targets() -> set[str]:
    return set(re.search(r"(?m)^\.PHONY: (.*)$", MAKEFILE.read_text(encoding="utf-8"))[1].split())


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_the_file_is_valid(path) -> None:
    done = validate(path, SCHEMAS[path])
    assert done.exit_code == 0, done.output


BREAKS = {
    "test.yml": lambda content: content["jobs"]["test"].pop("runs-on"),
    "publish.yml": lambda content: content["jobs"]["publish"]["permissions"].update(pages="all"),
    "render.yml": lambda content: content["jobs"]["render"]["steps"][0].update(use="x"),
    "CITATION.cff": lambda content: content.update(authors=[]),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_mistake_is_found(tmp_path, name) -> None:
    """The schemas are not so loose that they pass anything."""
    path = next(path for path in SCHEMAS if path.name == name)
    content = copy.deepcopy(read(path))
    BREAKS[name](content)
    broken = tmp_path / path.name
    broken.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert validate(broken, SCHEMAS[path]).exit_code == 1


def test_all_parts_are_there() -> None:
    assert {path.stem for path in WORKFLOWS} >= {"test", "render", "publish", "preview", "weekly"}
    events = {path.stem: read(path)["on"] for path in WORKFLOWS}
    assert set(events["test"]) == {"schedule", "workflow_dispatch"}
    assert "schedule" in events["weekly"] and "pull_request" in events["preview"]
    assert events["publish"]["push"] == {"branches": ["main"]}


def test_tests_run_on_every_system_and_python() -> None:
    matrix = jobs(read(ROOT / ".github/workflows/test.yml"))["test"]["strategy"]["matrix"]["include"]
    assert {each["system"].split("-")[0] for each in matrix} == {"ubuntu", "macos", "windows"}
    pythons = [f"3.{minor}" for minor in range(LEAST_PYTHON[1], LAST_PYTHON[1] + 1)]
    assert [each["python"] for each in matrix if each["system"] == "ubuntu-latest"] == pythons
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'requires-python = ">={".".join(map(str, LEAST_PYTHON))}"' in project


def test_the_published_site_is_the_tested_site() -> None:
    """The very folder that is uploaded is tested before; publishing waits for that job."""
    steps = jobs(read(ROOT / ".github/workflows/render.yml"))["render"]["steps"]
    commands = [step.get("run", step.get("uses", "")).partition("@")[0] for step in steps]
    tests = commands.index("make test-site")
    assert commands.index("make slides") < tests
    for number, step in enumerate(steps):
        if "upload" in commands[number]:
            assert tests < number
            assert step["with"]["path"] == steps[tests]["env"]["COURSE_SITE"] or (
                step["with"]["name"] == "students"
            )
    assert "continue-on-error" not in steps[tests]
    publish = jobs(read(ROOT / ".github/workflows/publish.yml"))
    assert publish["render"]["uses"] == "./.github/workflows/render.yml"
    assert publish["publish"]["needs"] == publish["students"]["needs"] == "render"


def test_a_push_runs_one_job_that_shows_all() -> None:
    """One environment is set up, for the quick tests, the site and its tests, and what students get."""
    pushed = [path.name for path in WORKFLOWS if {"push", "pull_request"} & set(read(path)["on"])]
    assert pushed == ["preview.yml", "publish.yml"]
    steps = jobs(read(ROOT / ".github/workflows/render.yml"))["render"]["steps"]
    commands = [step["run"] for step in steps if step.get("run", "").startswith("make ")]
    assert commands == [
        f"make {each}"
        for each in ("check", "test-quick", "quarto", "slides", "pdf", "test-site", "students BRANCH=1")
    ]


def test_the_month_that_is_counted_is_that_of_the_workflows() -> None:
    """docs/workflows.md names each job, multiplies and adds up right, and stays within what is free."""
    text = (ROOT / "docs/workflows.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    rows = [row for row in rows if len(row) == 6 and row[2].replace(".", "").isdigit()]
    total = 0
    for job, _, runs, minutes, factor, month in rows:
        assert round(float(runs) * float(minutes) * float(factor)) == int(month), job
        total += int(month)
    assert f"**{total:,}**" in text and total < 2_000
    named = [row[0] for row in rows]
    for path in WORKFLOWS:
        for job in jobs(read(path)).values():
            name = job.get("name", "").partition("${{")[0].rstrip(", ")
            assert not name or any(each.startswith(name) for each in named), f"{path.name}: {name}"
    for each in jobs(read(ROOT / ".github/workflows/test.yml"))["test"]["strategy"]["matrix"]["include"]:
        assert any(row.startswith(f"{each['system']}, Python") for row in named), each


def test_slow_tests_run_weekly() -> None:
    weekly = jobs(read(ROOT / ".github/workflows/weekly.yml"))
    assert [step["env"] for step in weekly["slow"]["steps"] if step.get("run") == "make test-slow"] == [
        {"COURSE_STRICT": "1"}
    ]
    assert weekly["newest"]["strategy"]["matrix"]["python"] == [".".join(map(str, LAST_PYTHON)), "3.x"]


def test_every_folder_of_tests_is_in_a_lane() -> None:
    """What lies in no folder of the Makefile's lanes would never run."""
    lanes = dict(
        re.findall(
            r"(?m)^(test|test-quick|test-slow): .*\n\t@\$\(PYTEST\)(.*)$",
            MAKEFILE.read_text(encoding="utf-8"),
        )
    )
    folders = {path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/**/test_*.py")}
    assert folders == {each for lane in lanes.values() for each in lane.split() if each.startswith("tests/")}
    assert {"notebooks", *lanes["test-quick"].split()} <= set(lanes["test"].split())
    assert "exercises/solutions" in lanes["test-slow"].split()
    commands = (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    assert [line for line in commands if line.startswith("make ")] == ["make test", "make test-slow"]
    assert "export COURSE_STRICT=1" in commands


def test_steps_run_what_a_person_types() -> None:
    """Each command is `make <target>` of the Makefile, or installs a program of the system."""
    ran = set()
    pushing = jobs(read(ROOT / ".github/workflows/publish.yml"))["students"]["steps"]
    for name, step in all_steps():
        if step in pushing:
            continue  # it runs git alone, see below
        for line in step.get("run", "").splitlines():
            line = re.sub(r"^\w+\) |;;$", "", line.strip()).strip()  # an arm of `case`
            if line.startswith("make "):
                assert line.split()[1] in make_targets(), f"{name}: {line}"
                ran.add(line)
            elif "GITHUB_STEP_SUMMARY" not in step["run"]:
                assert line.startswith(INSTALLERS) or line in ('case "$RUNNER_OS" in', "esac"), (
                    f"{name}: {line}"
                )
    assert {
        "make setup",
        "make browser",
        "make check",
        "make test",
        "make test-site",
        "make test-slow",
        "make quarto",
        "make slides",
        "make pdf",
        "make newest",
        "make links",
        "make students BRANCH=1",
    } <= ran


def test_actions_are_pinned_to_a_version() -> None:
    used = [step["uses"] for _, step in all_steps() if "uses" in step]
    assert used
    for name in used:
        assert name.startswith("./") or re.fullmatch(r"actions/[\w-]+@v\d+\.\d+\.\d+", name), name
        if name.startswith("./"):
            assert (ROOT / name / "action.yml").is_file()
    versions = {}
    for name in used:
        if "@" in name:
            action, version = name.split("@")
            assert versions.setdefault(action, version) == version, f"{action}: two versions"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_rights_are_the_least(path) -> None:
    """A workflow may read; only the jobs that publish may do more, and they run no code of ours."""
    may = {"publish": {"pages": "write", "id-token": "write"}, "students": {"contents": "write"}}
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in workflow["on"]
    for name, job in jobs(workflow).items():
        rights = job.get("permissions", {})
        if any(right == "write" for right in rights.values()):
            assert path.name == "publish.yml" and rights == may[name]
            ran = [line for step in job["steps"] for line in step.get("run", "").splitlines()]
            assert [line.split()[:2] for line in ran] == [["git", "fetch"], ["git", "push"]] * (
                name == "students"
            )
            assert "force" not in str(ran) and "+refs" not in str(ran)
        for step in job.get("steps", ()):
            if step.get("uses", "").startswith("actions/checkout@") and "contents" not in rights:
                assert step["with"]["persist-credentials"] is False
            # What others may name (branches, titles) never becomes part of a command.
            assert "${{" not in step.get("run", "")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_job_ends_in_time(path) -> None:
    for name, job in jobs(read(path)).items():
        if "uses" in job:
            assert (ROOT / job["uses"]).is_file(), name
        else:
            assert job["timeout-minutes"] <= 120, name

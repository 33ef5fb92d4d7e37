"""The guide for instructors agrees with the lectures: parts, minutes, slides to leave out."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs/instructors.md").read_text(encoding="utf-8")
LECTURES = sorted((ROOT / "lectures").glob("[0-9]*.qmd"))
TO_COPY = 'CONTRIBUTING.md, "Add a lecture", has it to copy'


def rows(table: str) -> list[list[str]]:
    """The cells of a Markdown table's rows, without its head."""
    found = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in table.splitlines()
        if line.startswith("|")
    ]
    return found[2:]


def plan(lecture: Path) -> tuple[dict[str, int], int]:
    """A lecture's plan: minutes of each part, and the total that its caption states."""
    text = lecture.read_text(encoding="utf-8")
    section = re.search(r"(?ms)^## Plan$(.*?)^#", text)
    assert section, f"{lecture.name} has no slide '## Plan'; {TO_COPY}"
    section = section[1]
    caption = re.search(r"(?m)^: Lecture (\d+) in (\d+) minutes \{\.plan\}$", section)
    assert caption, f"{lecture.name}: its plan ends with no line ': Lecture N in M minutes {{.plan}}'"
    assert int(caption[1]) == int(lecture.name[:2]), f"{lecture.name}: its plan says lecture {caption[1]}"
    return {part: int(minutes) for part, minutes in rows(section)}, int(caption[2])


def sections() -> dict[int, str]:
    """The guide's text on each lecture, by its number."""
    parts = re.split(r"(?m)^## ", GUIDE)
    return {int(match[1]): part for part in parts if (match := re.match(r"Lecture (\d+): ", part))}


def glance() -> dict[int, list[int]]:
    """The table of all lectures: minutes, short version, exercise, by lecture number."""
    text = re.search(r"(?ms)^## At a glance$(.*?)^## ", GUIDE)[1]
    return {int(name.split(".")[0]): [int(value) for value in values] for name, *values in rows(text)}


def section_of(lecture: Path) -> str:
    """The guide's text on a lecture."""
    found = sections().get(int(lecture.name[:2]))
    assert found, f"docs/instructors.md has no section on {lecture.name}; {TO_COPY}"
    return found


def titles(lecture: Path) -> set[str]:
    text = re.sub(r"(?ms)^```.*?^```", "", lecture.read_text(encoding="utf-8"))
    return {re.sub(r"\s*\{[^}]*\}$", "", title).strip() for title in re.findall(r"(?m)^##? +(.+)$", text)}


def shown(row: tuple[str, int] | None) -> str:
    """A part of a plan in words."""
    return f'"{row[0]}" with {row[1]} minutes' if row else "no further part"


@pytest.mark.parametrize("lecture", LECTURES, ids=lambda path: path.stem)
def test_the_plan_adds_up(lecture) -> None:
    parts, total = plan(lecture)
    minutes = sum(parts.values())
    assert minutes == total, (
        f"{lecture.name}: the parts of its plan take {minutes} minutes, so write "
        f"': Lecture {int(lecture.name[:2])} in {minutes} minutes {{.plan}}' under it, not {total}"
    )


def test_every_lecture_is_in_the_guide() -> None:
    numbers = [int(path.name[:2]) for path in LECTURES]
    assert sorted(glance()) == numbers, f'docs/instructors.md: a row of "At a glance" is missing; {TO_COPY}'
    assert sorted(sections()) == numbers, (
        f"docs/instructors.md: a section '## Lecture N: …' is missing; {TO_COPY}"
    )


@pytest.mark.parametrize("lecture", LECTURES, ids=lambda path: path.stem)
def test_parts_and_minutes_are_those_of_the_lecture(lecture) -> None:
    number = int(lecture.name[:2])
    parts, total = plan(lecture)
    table = rows(section_of(lecture))
    told = [(part, int(minutes)) for part, minutes, *_ in table]
    for wanted, found in itertools.zip_longest(parts.items(), told):
        assert found == wanted, (
            f"docs/instructors.md, {lecture.name}: {shown(found)} should be {shown(wanted)}, as in the "
            "lecture's plan: change the table there, or the plan"
        )
    short = sum(int(cells[2]) for cells in table)
    assert glance()[number][:2] == [total, short], (
        f"docs/instructors.md: lecture {number} takes {total} and {short} minutes: "
        'write both into "At a glance"'
    )
    for part, minutes, shortened, left_out in table:
        room = f'docs/instructors.md, {lecture.name}: the short version of "{part}" takes {shortened} minutes'
        assert 0 <= int(shortened) <= int(minutes), f"{room}, more than the {minutes} of the whole: lower it"
        if left_out:
            assert int(shortened) < int(minutes), (
                f"{room}: leaving {left_out} out must save some, so lower it"
            )


@pytest.mark.parametrize("lecture", LECTURES, ids=lambda path: path.stem)
def test_slides_that_are_named_exist(lecture) -> None:
    section = section_of(lecture)
    named = re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", section)
    assert named, (
        f"docs/instructors.md names no *slide* of {lecture.name}: which to leave out, to ask before?"
    )
    gone = sorted(set(named) - titles(lecture))
    assert not gone, f"docs/instructors.md names *{gone[0]}*, no slide of {lecture.name}: take it out there"
    for part in re.findall(r'"([^"*\n]+)"', re.sub(r"\*[^*\n]+\*", "", section)):
        assert part in plan(lecture)[0] or part in titles(lecture), (
            f'docs/instructors.md names "{part}", no part or slide of {lecture.name}: take it out there'
        )


@pytest.mark.parametrize("lecture", LECTURES, ids=lambda path: path.stem)
def test_minutes_of_exercises_are_those_of_their_tasks(lecture) -> None:
    source = ROOT / "exercises/source" / f"{lecture.stem}.py"
    assert source.is_file(), f"{lecture.name} has no exercise; exercises/README.md has one to copy"
    tasks = re.findall(r"(?m)^# ## Task \d+: .*\((\d+) minutes\)$", source.read_text(encoding="utf-8"))
    minutes = sum(map(int, tasks))
    told = glance().get(int(lecture.name[:2]), [None] * 3)[2]
    assert told == minutes, (
        f"docs/instructors.md: the tasks of exercises/source/{source.name} take {minutes} minutes together: "
        f'write them into "At a glance", which says {told}'
    )


def test_minutes_of_the_front_page_are_those_of_the_lectures() -> None:
    text = (ROOT / "index.qmd").read_text(encoding="utf-8")
    found = {}
    for line in text.splitlines():
        if match := re.match(r"\|\s*\[?(\d+)\.? ", line):
            found[int(match[1])] = re.search(r"\|\s*(\d+)\s*\|", line)
    for lecture in LECTURES:
        number = int(lecture.name[:2])
        minutes = plan(lecture)[1]
        assert found.get(number), f"index.qmd has no row for {lecture.name}; {TO_COPY}"
        assert int(found[number][1]) == minutes, (
            f"index.qmd: the plan of {lecture.name} takes {minutes} minutes: write them into its row"
        )

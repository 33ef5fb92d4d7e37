"""People, their images, and folders full of them."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from tools.casia.layout import whole_folder
from tools.handwriting.scan import SCANS, draw, expose, page
from tools.handwriting.strokes import STROKES, load_template, read_medians
from tools.handwriting.template import Template
from tools.handwriting.writers import Writer, make_learner, make_writer, write

# Groups of people never share a random stream, so nobody is in two of them.
GROUPS = {"Train": 0, "Test": 1, "Notebook": 2}
SHEETS = 7  # sheets of a learner's notebook; each character stands once on each
MAX_WRITERS = 100_000


class Person(NamedTuple):
    """A simulated writer with the key from which all that he or she writes follows."""

    seed: int
    group: str
    number: int
    sheet: int
    hand: Writer


def _ranks(seed: int, group: str, number: int) -> np.ndarray:
    """Ranks of a person among all, evenly spread over the numbers (a Kronecker sequence).

    The steps are powers of the root of x^7 = x + 1, which generalises the golden ratio to six
    dimensions (Roberts 2018, The unreasonable effectiveness of quasirandom sequences).
    """
    offset = np.random.default_rng([seed, GROUPS[group]]).random(6)
    steps = 1.112775684278706 ** -np.arange(1.0, 7.0)
    return np.clip((offset + number * steps) % 1.0, 1e-6, 1.0 - 1e-6)


def person(seed: int, group: str, number: int, sheet: int = 0) -> Person:
    """The ``number``-th (from 1) person of a group: "Train", "Test" or "Notebook".

    ``sheet`` is the sheet of a notebook: another day, perhaps another pen, the same hand.
    """
    rng = np.random.default_rng([seed, GROUPS[group], number])
    if group != "Notebook":
        return Person(seed, group, number, sheet, make_writer(rng, _ranks(seed, group, number)))
    hand = make_learner(rng)
    day = np.random.default_rng([seed, GROUPS[group], number, sheet]).standard_normal(6)
    hand = dataclasses.replace(
        hand,
        slant=hand.slant + 0.03 * day[0],
        stretch=hand.stretch + 0.04 * day[1],
        size=0.5 * hand.size + 0.8 * day[2],
        grey=0.5 * hand.grey + 0.8 * day[3],
        width=0.5 * hand.width + 0.8 * day[4],
        crop=float(day[5]),
    )
    return Person(seed, group, number, sheet, hand)


def image_of(who: Person, template: Template, scan: str = "course") -> np.ndarray:
    """One character written by one person, as the scan "course" or "hwdb1.1".

    The template is from :func:`load_template`, the image (height, width) uint8, 255 is paper.
    """
    style = SCANS[scan]
    rng = np.random.default_rng([who.seed, GROUPS[who.group], who.number, ord(template.character), who.sheet])
    tallness = (np.ptp(template.points[:, 1]) - 800.0) / 95.0  # their mean and deviation, as shipped
    wish = page(style, who.hand, np.clip(tallness, -2.5, 2.5), rng)
    trace = write(template, who.hand, rng)
    return expose(style, draw(trace, who.hand, wish.ink_size, wish.line_width), wish, rng)


class Task(NamedTuple):
    """All that one person writes: the smallest piece of work of a worker process."""

    who: Person
    name: str  # file name without suffix
    characters: Sequence[str]
    scan: str
    strokes: Path
    compression: int  # zlib level of the PNG files, 0 to 9


def _perform(task: Task) -> list[tuple[str, bytes]]:
    how = (cv2.IMWRITE_PNG_COMPRESSION, task.compression, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE)
    written = []
    for character in task.characters:
        image = image_of(task.who, load_template(character, task.strokes), task.scan)
        content = cv2.imencode(".png", image, how)[1].tobytes()
        written.append((f"{task.who.group}/{character}/{task.name}.png", content))
    return written


def plan(
    characters: Sequence[str],
    writers: int,
    test_writers: int,
    seed: int,
    *,
    learners: int = 0,
    scan: str = "course",
    strokes: Path = STROKES,
    fewer_writers: Mapping[str, Sequence[int]] | None = None,
    compression: int = 1,
) -> list[Task]:
    """What has to be written, one task a person (and sheet).

    ``fewer_writers`` maps characters to their own, smaller numbers of (training, test) writers. Bad stroke
    data are a :class:`StrokeDataError` here, before anything is written.
    """
    for character in characters:
        read_medians(strokes / f"{character}.json")
    how, fewer = (scan, strokes, compression), fewer_writers or {}
    tasks = []
    for group, position, people in (("Train", 0, writers), ("Test", 1, test_writers)):
        for number in range(1, people + 1):
            mine = [c for c in characters if c not in fewer or number <= fewer[c][position]]
            tasks.append(Task(person(seed, group, number), str(number), mine, *how))
    for number in range(1, learners + 1):
        for sheet in range(1, SHEETS + 1):
            name = str((number - 1) * SHEETS + sheet)
            tasks.append(Task(person(seed, "Notebook", number, sheet), name, characters, *how))
    return tasks


def perform(tasks: Sequence[Task], workers: int | None = None) -> Iterator[tuple[str, bytes]]:
    """Write all tasks in some processes (by default one a core); yield (path, PNG bytes) in order."""
    workers = workers or os.cpu_count() or 1
    with ExitStack() as stack:
        written = map(_perform, tasks)
        if workers > 1 and len(tasks) > 1:
            # A forked process can wait for ever for OpenCV's threads, which fork does not copy.
            context = multiprocessing.get_context("spawn")
            pool = stack.enter_context(context.Pool(workers, cv2.setNumThreads, (1,)))
            written = pool.imap(_perform, tasks)
        for images in tqdm(written, "Writing", len(tasks), unit="writer", disable=None):
            yield from images


def write_folder(out: Path, tasks: Sequence[Task], workers: int | None = None) -> int:
    """Write all images below ``out`` and return their number; the folder appears whole or not at all."""
    number = 0
    with whole_folder(out) as folder:
        for path, content in perform(tasks, workers):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
            number += 1
    return number

"""People, their images, and folders full of them."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from tools.casia.layout import whole_folder
from tools.handwriting.pens import draw
from tools.handwriting.scan import SCANS, expose, page
from tools.handwriting.strokes import STROKES, load_template
from tools.handwriting.template import Template
from tools.handwriting.writers import Writer, make_learner, make_writer, write

# Groups of people never share a random stream, so nobody is in two of them.
GROUPS = {"Train": 0, "Test": 1, "Notebook": 2}
SHEETS = 7  # sheets of a learner's notebook; each character stands once on each
MAX_WRITERS = 100_000

# Heights of characters in the stroke data: mean and deviation over the shipped characters.
_TALL = (800.0, 95.0)


@dataclass(frozen=True)
class Person:
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


@lru_cache(maxsize=8192)
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
    """One character written by one person, as a scan.

    Parameters
    ----------
    who : Person
    template : Template
        The character, from :func:`tools.handwriting.strokes.load_template`.
    scan : str
        A style of scan, "course" or "hwdb1.1".

    Returns
    -------
    ndarray (height, width) uint8, 255 is paper.
    """
    style = SCANS[scan]
    rng = np.random.default_rng([who.seed, GROUPS[who.group], who.number, ord(template.character), who.sheet])
    tallness = (np.ptp(template.points[:, 1]) - _TALL[0]) / _TALL[1]
    wish = page(style, who.hand, min(max(float(tallness), -2.5), 2.5), rng)
    trace = write(template, who.hand, rng)
    ink = draw(trace, who.hand, wish.ink_size, wish.line_width)
    return expose(style, ink, wish, rng)


@dataclass(frozen=True)
class Task:
    """All that one person writes: the smallest piece of work of a worker process."""

    seed: int
    group: str
    number: int
    sheet: int
    name: str  # file name without suffix
    characters: str
    scan: str
    strokes: str
    compression: int


def encode(image: np.ndarray, compression: int) -> bytes:
    """8-bit grey PNG of an image at a zlib level from 0 to 9."""
    done, data = cv2.imencode(
        ".png",
        image,
        [cv2.IMWRITE_PNG_COMPRESSION, compression, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE],
    )
    if not done:
        raise RuntimeError("OpenCV could not encode a PNG.")
    return data.tobytes()


Templates = dict[tuple[str, str], Template]  # by character and folder of stroke data


_known: Templates = {}  # what `perform` made, in this process or before it started this one


def _start(templates: Templates) -> None:
    cv2.setNumThreads(1)  # one process a core, each with one thread
    _known.update(templates)


def _perform(task: Task) -> list[tuple[str, bytes]]:
    who = person(task.seed, task.group, task.number, task.sheet)
    return [
        (
            f"{task.group}/{character}/{task.name}.png",
            encode(image_of(who, _known[character, task.strokes], task.scan), task.compression),
        )
        for character in task.characters
    ]


def plan(
    characters: Sequence[str],
    writers: int,
    test_writers: int,
    seed: int,
    *,
    learners: int = 0,
    scan: str = "course",
    strokes: Path = STROKES,
    fewer: dict[str, tuple[int, int]] | None = None,
    compression: int = 1,
) -> list[Task]:
    """What has to be written, one task a person (and sheet).

    ``fewer`` maps characters to their own, smaller numbers of (training, test) writers. Test
    writers and learners are other people than the training writers. Every stroke file is read
    here once, so that a missing one is reported before anything is written.

    Raises
    ------
    StrokeDataError
        When a character has no usable stroke data.
    """
    for character in characters:
        load_template(character, Path(strokes))
    fewer = fewer or {}
    tasks = []
    how = {"scan": scan, "strokes": str(strokes), "compression": compression}
    for group, position, people in (("Train", 0, writers), ("Test", 1, test_writers)):
        for number in range(1, people + 1):
            mine = "".join(c for c in characters if c not in fewer or number <= fewer[c][position])
            tasks.append(Task(seed, group, number, 0, str(number), mine, **how))
    for number in range(1, learners + 1):
        for sheet in range(1, SHEETS + 1):
            name = str((number - 1) * SHEETS + sheet)
            tasks.append(Task(seed, "Notebook", number, sheet, name, "".join(characters), **how))
    return tasks


def perform(tasks: Sequence[Task], workers: int | None = None) -> Iterator[tuple[str, bytes]]:
    """Write all tasks and yield (path, PNG bytes), in the order of the tasks.

    ``workers`` processes share the work (by default one a core); the result does not depend on
    their number.
    """
    workers = workers or os.cpu_count() or 1
    total = sum(len(task.characters) for task in tasks)
    # Made once, here, and not by each process: a template takes as long as a few images.
    wanted = {(character, task.strokes) for task in tasks for character in task.characters}
    templates = {(character, folder): load_template(character, Path(folder)) for character, folder in wanted}
    with ExitStack() as stack:
        bar = stack.enter_context(tqdm(total=total, unit="image", desc="Writing", disable=None))
        if workers == 1 or len(tasks) < 2:
            _known.update(templates)
            written = map(_perform, tasks)
        else:
            # A forked process can wait for ever for OpenCV's threads, which fork does not copy.
            spawned = multiprocessing.get_context("spawn").Pool(workers, _start, (templates,))
            chunk = max(1, min(4, len(tasks) // 8))
            written = stack.enter_context(spawned).imap(_perform, tasks, chunksize=chunk)
        for items in written:
            bar.update(len(items))
            yield from items


def write_folder(out: Path, tasks: Sequence[Task], workers: int | None = None) -> int:
    """Write all images below ``out`` and return their number; the folder appears whole or not at all.

    Raises
    ------
    FileExistsError
        When ``out`` exists and is not an empty folder.
    """
    number = 0
    with whole_folder(Path(out)) as folder:
        for path, data in perform(tasks, workers):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            number += 1
    return number

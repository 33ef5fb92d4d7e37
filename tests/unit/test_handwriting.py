"""The simulated handwriting: repeatable, personal, and close to real scans."""

import dataclasses
import hashlib
import json
import tarfile
from pathlib import Path

from course.data import shipped_folder

import cv2
import numpy as np
import pytest

from tools.handwriting import StrokeDataError, archive, compare, generate, person
from tools.handwriting.__main__ import main
from tools.handwriting.scan import draw
from tools.handwriting.strokes import STROKES, load_template
from tools.handwriting.template import BENT, HENG, ROLES, SHU
from tools.handwriting.writers import make_learner, make_writer, write

SOME = "人口鱼门国"


def pixels(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(
            cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED).tobytes()
        ).hexdigest()
        for path in sorted(folder.rglob("*.png"))
    }


def command(out: Path, *more: str, characters: str = SOME) -> int:
    return main(
        ["--characters", characters, "--writers", "4", "--test-writers", "2", "--out", str(out), *more]
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("手 写") / "set"
    generate.write_folder(out, generate.plan(SOME, 4, 2, 7, learners=1), workers=1)
    return out


def test_layout_and_counts(written):
    assert sorted(p.name for p in written.iterdir()) == ["Notebook", "Test", "Train"]
    for group, people in (("Train", 4), ("Test", 2), ("Notebook", generate.SHEETS)):
        assert {p.name for p in (written / group).iterdir()} == set(SOME)
        for folder in (written / group).iterdir():
            assert {p.name for p in folder.iterdir()} == {f"{n + 1}.png" for n in range(people)}
    image = (
        cv2.imread(str(written / "Train" / "人" / "1.png"), cv2.IMREAD_UNCHANGED)
        if str(written).isascii()
        else cv2.imdecode(np.fromfile(written / "Train" / "人" / "1.png", np.uint8), cv2.IMREAD_UNCHANGED)
    )
    assert image.dtype == np.uint8 and image.ndim == 2 and image.max() == 255


def test_same_seed_same_pixels_whatever_the_workers_and_characters(written, tmp_path):
    again = dict(generate.perform(generate.plan(SOME, 4, 2, 7, learners=1), workers=2))
    first = pixels(written)
    assert {
        path.relative_to(written).as_posix(): path.read_bytes() for path in written.rglob("*.png")
    } == again
    assert command(tmp_path / "fewer", "--seed", "7", characters="门口") == 0
    fewer = pixels(tmp_path / "fewer")
    assert len(fewer) == 12 and all(first[path] == value for path, value in fewer.items())
    assert command(tmp_path / "other", "--seed", "8", characters="门口") == 0
    other = pixels(tmp_path / "other")
    assert not set(other.values()) & set(fewer.values())


def test_nobody_is_in_two_groups():
    hands = [person(1, group, number).hand for group in generate.GROUPS for number in range(1, 40)]
    assert len({(h.slant, h.stretch, h.inertia) for h in hands}) == len(hands)


def test_a_writer_is_consistent_and_writers_differ():
    """The slant of a writer's uprights varies less within a writer than between writers."""
    slants = []
    for number in range(1, 25):
        who = person(3, "Train", number)
        own = []
        for character in "十山王川木工门日":
            if not (STROKES / f"{character}.json").exists():
                continue
            rng = np.random.default_rng([number, ord(character)])
            trace = write(load_template(character), who.hand, rng)
            steps = np.diff(trace.points[trace.pressure > 0], axis=0)
            down = steps[(steps[:, 1] > 3) & (np.abs(steps[:, 0]) < 0.6 * steps[:, 1])]
            own.append(np.median(down[:, 0] / down[:, 1]))
        slants.append(own)
    slants = np.array(slants)
    within = slants.var(axis=1, ddof=1).mean()
    between = slants.mean(axis=1).var(ddof=1)
    assert between > 1.0 * within


def test_learners_write_print_like_and_uneven():
    learner = make_learner(np.random.default_rng(1))
    assert learner.join == 0.0 and learner.fluency < 0.1
    usual = [make_writer(np.random.default_rng(n)).sloppiness for n in range(200)]
    assert learner.sloppiness > np.percentile(usual, 90)


def test_templates_know_their_strokes():
    mouth = load_template("口")
    assert mouth.strokes == 3 and mouth.boxes == [(0, 1, 2)]
    assert list(mouth.kind) == [SHU, BENT, HENG]
    bright = load_template("明")
    assert len(set(bright.parts[0])) == 2 and set(bright.role[0]) == {1, 2}
    assert load_template("门").hook[2] > 0


@pytest.mark.parametrize(
    "character, first, roles",
    [
        ("国", {0, 1, 7}, "frame inside"),
        ("因", {0, 1, 5}, "frame inside"),
        ("囡", {0, 1, 5}, "frame inside"),
        ("闪", {0, 1, 2}, "frame inside"),
        ("问", {0, 1, 2}, "frame inside"),
        ("闲", {0, 1, 2}, "frame inside"),
        ("吠", {0, 1, 2}, "left right"),
        ("吗", {0, 1, 2}, "left right"),
        ("啖", {0, 1, 2}, "left right"),
        ("从", {0, 1}, "left right"),
        ("明", {0, 1, 2, 3}, "left right"),
        ("炎", {0, 1, 2, 3}, "top bottom"),
        ("众", {0, 1}, "top bottom"),
        ("美", set(range(6)), "top bottom"),
        ("羔", set(range(6)), "top bottom"),
    ],
)
def test_components_are_those_that_people_write(character, first, roles):
    template = load_template(character)
    found = {
        ROLES[role]: {int(s) for s in np.flatnonzero(template.role[0] == role)}
        for role in set(template.role[0])
    }
    rest = set(range(template.strokes)) - first
    assert found == dict(zip(roles.split(), (first, rest)))


@pytest.mark.parametrize("character", "人大夫天木本火口日太犬女牛东王")
def test_what_is_one_piece_is_not_taken_apart(character):
    template = load_template(character)
    assert all((part == 0).all() for part in template.parts)


def test_the_box_of_a_frame_is_closed_by_its_last_stroke():
    assert load_template("国").boxes == [(0, 1, 7)]


def pieces(hand, characters="王木国朋", times=6) -> float:
    """Mean number of connected pieces of ink in what a hand writes."""
    found = []
    for character in characters:
        for number in range(times):
            trace = write(load_template(character), hand, np.random.default_rng([number, 5]))
            ink = draw(trace, hand, 70.0, 2.5)
            found.append(cv2.connectedComponents((ink > 0.4).astype(np.uint8))[0] - 1)
    return float(np.mean(found))


def test_a_writer_with_gaps_leaves_strokes_apart():
    hand = dataclasses.replace(
        make_writer(np.random.default_rng(3)),
        fluency=0.05,
        sloppiness=0.3,
        join=0.0,
        inertia=6.0,
        lead_out=0.0,
        lead_in=0.0,
        flourish=0.0,
        taper=0.0,
        gap=0.0,
    )
    past, touching, apart = (pieces(dataclasses.replace(hand, gap=gap)) for gap in (-40, 0, 100))
    assert past < touching < apart and apart > past + 1


def test_a_flourish_draws_out_a_stroke():
    hand = dataclasses.replace(
        make_writer(np.random.default_rng(3)), fluency=0.05, sloppiness=0.3, flourish=0.0
    )
    tall = []
    for flourish in (0.0, 1.0):
        own = dataclasses.replace(hand, flourish=flourish)
        tall.append(
            np.mean(
                [
                    np.ptp(write(load_template("牛"), own, np.random.default_rng(n)).points[:, 1])
                    for n in range(20)
                ]
            )
        )
    assert tall[1] > 1.08 * tall[0]


def test_shipped_archive_agrees_with_real_scans():
    # All images: stroke widths come in steps, and a third of them may stand on the next one.
    paths = sorted((shipped_folder() / "Train").glob("*/*.png"))
    table = compare.compare((cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths), "course")
    worst = table.xs("difference", level=1).loc[compare.BOUND].abs().max(axis=1)
    assert len(paths) > 8000 and worst.max() <= compare.BAR, worst


def test_measures_on_a_drawn_bar():
    image = np.full((40, 30), 255, np.uint8)
    image[10:30, 12:16] = 100
    measured = compare.measure(image)
    assert measured["height_px"] == 40 and measured["width_px"] == 30
    assert measured["aspect"] == pytest.approx(4 / 20)
    assert measured["ink_fraction"] == pytest.approx(80 / 1200)
    assert measured["stroke_width_px"] == 4.0 and measured["median_ink_grey"] == 100
    with pytest.raises(ValueError, match="no ink"):
        compare.measure(np.full((9, 9), 255, np.uint8))


def test_archive_is_what_the_generator_makes():
    """Manifest against content, and pixels of a sample of people against a fresh run."""
    chosen = {("Train", 1), ("Train", 60), ("Train", 61), ("Train", 150), ("Test", 16), ("Notebook", 1)}
    tasks = [t for t in archive.shipped_tasks() if (t.who.group, t.who.number) in chosen]
    wanted = dict(generate.perform(tasks))
    with tarfile.open(archive.ARCHIVE) as tar:
        content = {e.name: tar.extractfile(e).read() for e in tar}
    manifest = json.loads(content.pop("manifest.json"))
    assert content.pop("LICENSE.txt").decode("utf-8") == archive.license_text()
    assert manifest["options"] == archive.OPTIONS
    assert {p: hashlib.sha256(d).hexdigest() for p, d in content.items()} == manifest["sha256"]
    counts = {}
    for path in content:
        group, character, _ = path.split("/")
        counts.setdefault(group, {}).setdefault(character, 0)
        counts[group][character] += 1
    assert counts == manifest["counts"]
    assert counts["Train"]["人"] == 150 and counts["Train"]["啖"] == counts["Train"]["囡"] == 60
    assert counts["Test"]["人"] == 36 and counts["Test"]["啖"] == counts["Test"]["囡"] == 15
    assert sum(counts["Notebook"].values()) == 385
    assert archive.ARCHIVE.stat().st_size <= 10_000_000
    for path, data in wanted.items():
        ours, theirs = (
            cv2.imdecode(np.frombuffer(d, np.uint8), cv2.IMREAD_UNCHANGED) for d in (data, content[path])
        )
        assert ours.shape == theirs.shape, path
        # Another processor may round a few pixels the other way.
        assert (ours != theirs).mean() < 0.02, path


def test_characters_of_ones_own(tmp_path):
    folder = tmp_path / "strokes"
    folder.mkdir()
    (folder / "十.json").write_text(
        json.dumps({"medians": [[[120, 400], [880, 430]], [[500, 800], [505, -60]]]}), encoding="utf-8"
    )
    assert command(tmp_path / "out", "--strokes", str(folder), characters="十") == 0
    assert len(pixels(tmp_path / "out")) == 6


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "No such file"),
        ("", "Cannot read"),
        ('{"medians": [[[0, 0]', "Cannot read"),
        ("[]", "Cannot read"),
        ('{"medians": []}', "holds no strokes"),
        ('{"medians": [[[1, 2], [3, "x"]]]}', "Cannot read"),
        ('{"medians": [[[1, 2], [NaN, 4]]]}', "stroke 1"),
        ('{"medians": [[[5, 6], [5, 6]]]}', "stroke 1"),
        ('{"medians": [5]}', "stroke 1"),
        ('{"medians": [[[1, 2], [3, 4]], [[5, 6]]]}', "stroke 2"),
    ],
)
def test_bad_stroke_data_are_named_and_nothing_is_written(tmp_path, capsys, content, message):
    folder = tmp_path / "strokes"
    folder.mkdir()
    if content is not None:
        (folder / "丁.json").write_text(content, encoding="utf-8")
    assert command(tmp_path / "out", "--strokes", str(folder), characters="丁") == 1
    said = capsys.readouterr().err
    assert message in said and "丁" in said
    assert not (tmp_path / "out").exists()
    with pytest.raises(StrokeDataError):
        load_template("丁", folder)


@pytest.mark.parametrize(
    "more, message",
    [
        (["--writers", "-1"], "not between"),
        (["--writers", "many"], "invalid int value: 'many'"),
        (["--seed", "1.5"], "invalid int value: '1.5'"),
        (["--seed", "4294967296"], "not between"),
        (["--scan", "fax"], "invalid choice"),
        (["--writers", "0", "--test-writers", "0"], "nobody writes"),
        (["--strokes", "no such folder"], "is not a folder"),
    ],
)
def test_bad_options_are_explained(tmp_path, capsys, more, message):
    with pytest.raises(SystemExit) as stopped:
        command(tmp_path / "out", *more)
    assert stopped.value.code == 2 and message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("characters", ["", "人 口", "人/口", "人\n"])
def test_characters_that_cannot_name_a_folder(tmp_path, capsys, characters):
    with pytest.raises(SystemExit):
        command(tmp_path / "out", characters=characters)
    assert "--characters" in capsys.readouterr().err


def test_a_folder_with_files_is_left_alone(tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine", encoding="utf-8")
    assert command(tmp_path / "out") == 1
    assert "is not empty; nothing was changed" in capsys.readouterr().err
    assert [p.name for p in tmp_path.rglob("*")] == ["out", "mine.txt"]


def test_an_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    def stop(*_):
        yield "Train/人/1.png", b"an image"
        raise KeyboardInterrupt

    monkeypatch.setattr(generate, "perform", stop)
    assert command(tmp_path / "out") == 130
    assert list(tmp_path.iterdir()) == []

"""The handwriting sheet: its geometry and PDF, reading simulated photos of it, and the folder."""

import json
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

from course.characters import CHARACTERS
from course.data import notebook_folder
from course.loaders import load_images_from_directory
from course.paths import REPOSITORY

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests import photographed_sheets as simulation
from tools.console import quoted
from tools.sheet import (
    BOX,
    BOXES,
    PAPERS,
    SheetError,
    make_sheet,
    page_layout,
    read_photo,
    read_picture,
    save_readings,
    split_pages,
)
from tools.sheet import folder as sheet_folder
from tools.sheet.__main__ import main
from tools.sheet.layout import (
    CORNERS,
    EDGE,
    MARKER,
    MAX_CHARACTERS,
    MAX_PAGES,
    POSITIONS,
    QR_SIDE,
    ROWS,
    check_characters,
    marker_meaning,
    marker_number,
    qr_characters,
    qr_modules,
    qr_text,
)
from tools.sheet.photo import load_pages


def take(page=1, seed=0, turn=0, characters=CHARACTERS, empty=0.15, **conditions):
    """A filled page, its photo and the true mapping."""
    conditions = simulation.Conditions(**({"side": 1504, "tilt": 15.0} | conditions))
    rng = np.random.default_rng(seed)
    filled = simulation.fill_page(rng, page, "A4", conditions.pen, empty, conditions.grey_print, characters)
    return filled, *simulation.photograph(rng, filled, conditions, turn)


@pytest.fixture(scope="module")
def first():
    return take(page=1, seed=1)


@pytest.fixture(scope="module")
def second():
    return take(page=2, seed=2)


@pytest.fixture(scope="module")
def readings(first, second):
    """Page 1 as one writer filled it, page 2, and page 1 again with fewer boxes filled."""
    photos = [first[1], second[1], take(page=1, seed=3, empty=0.6)[1]]
    return [read_picture(photo, f"photo {i}.jpg") for i, photo in enumerate(photos, 1)]


def save(photo, path, **options):
    Image.fromarray(photo).save(path, **options)
    return path


# --- geometry and codes


@pytest.mark.parametrize("paper", PAPERS)
def test_everything_lies_on_the_paper_and_apart(paper):
    layout = page_layout(paper)
    module = MARKER / 8
    rectangles = [(*layout.box(r, c), BOX, BOX) for r in range(ROWS) for c in range(BOXES)]
    rectangles += [layout.label(r) for r in range(ROWS)]
    rectangles += [(*layout.qr, QR_SIDE, QR_SIDE)]
    for position in range(len(POSITIONS)):
        x, y = layout.marker_corners(position)[0]
        assert min(x, y) >= EDGE
        # a marker needs one module of white around it
        rectangles.append((x - module, y - module, MARKER + 2 * module, MARKER + 2 * module))
    taken = np.zeros((round(layout.height * 4), round(layout.width * 4)), int)
    for x, y, width, height in rectangles:
        assert x >= 6 and y >= 6
        assert x + width <= layout.width - 6 and y + height <= layout.height - 6
        taken[round(y * 4) : round((y + height) * 4), round(x * 4) : round((x + width) * 4)] += 1
    assert taken.max() == 1


def test_marker_numbers_are_unique_and_tell_paper_page_and_position():
    numbers = {
        marker_number(paper, page, position): (paper, page, position)
        for paper in PAPERS
        for page in range(1, MAX_PAGES + 1)
        for position in range(len(POSITIONS))
    }
    assert len(numbers) == len(PAPERS) * MAX_PAGES * len(POSITIONS)
    assert all(marker_meaning(number) == meaning for number, meaning in numbers.items())
    assert max(numbers) < 587  # the size of the AprilTag family


@given(st.text(st.characters(categories=("Lo",)), min_size=1, max_size=ROWS))
@settings(deadline=None)
def test_code_says_the_characters(text):
    try:
        characters = check_characters(text)
    except SheetError:  # the same character twice
        return
    if len(characters) <= ROWS:  # normalisation may take one apart into several
        assert qr_characters(qr_text(characters)) == characters


def test_printed_code_is_a_qr_code_that_others_read():
    members = split_pages(CHARACTERS)[0]
    modules = np.where(qr_modules(members), 0, 255).astype(np.uint8)
    picture = cv2.resize(modules, None, fx=6, fy=6, interpolation=cv2.INTER_NEAREST)
    picture = np.pad(picture, 12, constant_values=255)
    assert cv2.QRCodeDetector().detectAndDecode(picture)[0] == qr_text(members)


@pytest.mark.parametrize(
    "text", ["", "OH1", "OH1001", "OH1ZZZZ", "OH1!!!!", "OH10FJU0FJU", "http://a.b",
             qr_text(("/",)), qr_text((".", ".")), qr_text(tuple(CHARACTERS[:12]))]
)  # fmt: skip
def test_foreign_codes_are_not_believed(text):
    assert qr_characters(text) is None


@pytest.mark.parametrize(
    "characters, says",
    [("", "at least one"), ("大大", "once"), ("aA", "same"), ("大/", "neither"), ("..", "neither"),
     ("大 太", "neither"), ([chr(0x4E00 + i) for i in range(MAX_CHARACTERS + 1)], "too many")],
)  # fmt: skip
def test_impossible_characters_are_refused(characters, says):
    with pytest.raises(SheetError, match=says):
        check_characters(characters)


# --- the PDF


@pytest.mark.parametrize(
    "paper, size, number, pages", [("A4", (595.28, 841.89), 55, 5), ("Letter", (612, 792), 12, 2)]
)
def test_pdf_has_vector_pages_of_the_right_size(tmp_path, paper, size, number, pages):
    path = tmp_path / "手写 sheet.pdf"
    assert make_sheet(path, CHARACTERS[:number], paper) == pages
    content = path.read_bytes()
    boxes = re.findall(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+) ?\]", content)
    assert len(boxes) == pages
    assert np.allclose(np.array(boxes, float), size, atol=0.2)
    assert b"/Subtype /Image" not in content


def test_pdf_keeps_other_files(tmp_path):
    path = tmp_path / "sheet.pdf"
    path.write_text("something else", encoding="utf-8")
    with pytest.raises(SheetError, match="--replace"):
        make_sheet(path, "大")
    assert path.read_text(encoding="utf-8") == "something else"
    make_sheet(path, "大", replace=True)
    content = path.read_bytes()
    assert content.startswith(b"%PDF")
    make_sheet(path, "大")  # the same again is no conflict
    assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["sheet.pdf"]
    with pytest.raises(SheetError, match="Name a PDF file"):
        make_sheet(tmp_path, "大")


def test_pdf_draws_more_models_when_asked(tmp_path):
    sizes = []
    for trace in (0, 7):
        path = tmp_path / f"{trace}.pdf"
        make_sheet(path, "森", trace=trace)
        streams = re.findall(rb"stream\r?\n(.*?)endstream", path.read_bytes(), re.DOTALL)
        sizes.append(max(len(zlib.decompress(s)) for s in streams if s[:1] == b"\x78"))
    assert sizes[1] > 1.2 * sizes[0]
    with pytest.raises(SheetError, match="0 to 7"):
        make_sheet(tmp_path / "x.pdf", "森", trace=8)


def test_missing_glyphs_and_bad_fonts_are_named(tmp_path):
    with pytest.raises(SheetError, match="\U0002a6d0.*--font"):
        make_sheet(tmp_path / "x.pdf", "大\U0002a6d0", font=simulation.FONT_FILE)
    bad = tmp_path / "bad.ttf"
    bad.write_bytes(b"not a font")
    with pytest.raises(SheetError, match="bad.ttf"):
        make_sheet(tmp_path / "x.pdf", "大", font=bad)
    with pytest.raises(SheetError, match="A5"):
        make_sheet(tmp_path / "x.pdf", "大", paper="A5")
    assert not (tmp_path / "x.pdf").exists()


# --- reading photos


@pytest.mark.parametrize("name", ["partial blur", "bent paper, wide lens"])
def test_boxes_are_cut_in_simulated_photos(name):
    """Two of the conditions; tests/slow/test_sheet_many.py has all of them."""
    check_photo(name)


def check_photo(name):
    result = simulation.measure(*simulation.simulated(name, 11, page=3, paper="Letter", side=1600))
    assert (result["offsets"] <= 0.05).mean() >= 0.99
    assert result["kept"].mean() >= 0.99
    assert result["skipped"].mean() == 1
    assert np.median(result["agreement"]) > 0.55


def test_images_look_like_the_course_data(readings):
    images = [image for image in readings[0].boxes.values() if image is not None]
    assert {image.dtype for image in images} == {np.dtype(np.uint8)}
    rim = np.concatenate([np.r_[i[:3].ravel(), i[-3:].ravel(), i[:, :3].ravel()] for i in images])
    assert (rim == 255).all()
    # 5th and 95th percentiles of the real scans that the lecture is about
    assert 62 <= np.median([image.shape[0] for image in images]) <= 113
    assert 71 <= np.median([np.median(image[image < 200]) for image in images]) <= 128
    assert 0.617 <= np.median([(image == 255).mean() for image in images]) <= 0.9


def test_a_photo_on_its_side_is_found(first, readings):
    check_turned(first, readings, 1)


def check_turned(first, readings, turns):
    filled, photo, _ = first
    reading = read_picture(np.ascontiguousarray(np.rot90(photo, turns)))
    assert reading.characters == filled.characters
    assert {place for place, image in reading.boxes.items() if image is not None} == filled.written
    shapes = [[i.shape for i in r.boxes.values() if i is not None] for r in (reading, readings[0])]
    assert np.abs(np.subtract(*shapes)).max() <= 4  # the same boxes, upright


def test_covered_corner_is_forgiven(first):
    filled, photo, to_photo = first
    x, y = to_photo(filled.layout.marker_corners(0)).mean(axis=0)
    thumb = cv2.circle(photo.copy(), (round(x), round(y)), 60, (205, 150, 125), -1)
    result = simulation.measure(filled, thumb, to_photo)
    assert (result["offsets"] <= 0.05).all() and result["kept"].all()


def test_empty_sheet_gives_nothing(tmp_path, capsys):
    _, photo, _ = take(characters="大太", empty=1)
    path = save(photo, tmp_path / "empty.jpg")
    assert main(["read", str(path), "--out", str(tmp_path / "mine")]) == 0
    assert "no writing found" in capsys.readouterr().out
    assert not list(tmp_path.glob("mine/*/*.png"))


def test_blurred_code_is_recognised_or_can_be_named(first):
    filled, photo, to_photo = first
    x, y = filled.layout.qr
    corners = to_photo([(x, y), (x + QR_SIDE, y), (x + QR_SIDE, y + QR_SIDE), (x, y + QR_SIDE)])
    mask = cv2.fillConvexPoly(np.zeros(photo.shape[:2], np.uint8), corners.round().astype(int), 1)
    blurred = np.where(mask[..., None] > 0, cv2.GaussianBlur(photo, (0, 0), 2.5), photo)
    assert read_picture(blurred).characters == filled.characters
    hidden = np.where(mask[..., None] > 0, np.uint8(40), photo)
    with pytest.raises(SheetError, match="--characters"):
        read_picture(hidden)
    assert read_picture(hidden, characters=CHARACTERS).characters == filled.characters


def cut_off(first, second):
    filled, photo, to_photo = first
    bottom = to_photo([(filled.layout.width / 2, filled.layout.height - 50)])[0, 1]
    return photo[: round(bottom)]


def no_sheet(first, second):
    return np.random.default_rng(0).integers(90, 200, (900, 1200, 3), dtype=np.uint8)


def mirrored(first, second):
    return first[1][:, ::-1]


def two_pages(first, second):
    return np.concatenate([first[1], second[1]], axis=1)


def too_small(first, second):
    return cv2.resize(first[1], None, fx=0.55, fy=0.55, interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize(
    "make, says",
    [(cut_off, "cut off.*bottom left, bottom right"), (no_sheet, "no handwriting sheet"),
     (mirrored, "mirrored"), (two_pages, "more than one page"),
     (too_small, "too small")],
)  # fmt: skip
def test_photos_that_cannot_be_read_are_refused(first, second, tmp_path, make, says):
    path = save(np.ascontiguousarray(make(first, second)), tmp_path / "photo 一.png")
    with pytest.raises(SheetError, match=says) as error:
        read_photo(path)
    assert str(path) in str(error.value)


def test_every_corner_that_is_missing_is_named(first):
    filled, photo, to_photo = first
    for pair in ((CORNERS[0], CORNERS[1]), (CORNERS[2], CORNERS[3])):
        covered = photo.copy()
        for position in pair:
            x, y = to_photo(filled.layout.marker_corners(position)).mean(axis=0)
            cv2.circle(covered, (round(x), round(y)), 60, (90, 90, 90), -1)
        with pytest.raises(SheetError, match=", ".join(POSITIONS[p] for p in pair)):
            read_picture(covered)


# --- picture files: tests/unit/test_photos.py has all kinds and faults


def test_a_bad_file_is_named_with_advice(tmp_path):
    bad = {"a.jpg": (b"", "0 bytes"), "a.pdf": (b"%PDF-1", "is a PDF"), "b.jpg": (b"x", "no picture")}
    for name, (content, says) in bad.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SheetError, match=f"{name} .*{says}"):
            read_photo(tmp_path / name)


def test_large_pictures_are_reduced(tmp_path):
    Image.new("L", (9000, 3000), 200).save(tmp_path / "large.png")
    assert next(load_pages(tmp_path / "large.png"))[1].shape == (1467, 4400, 3)


# --- the folder


def files(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in Path(folder).rglob("*.png")}


def test_pages_are_added_and_replaced_only_when_asked(tmp_path, readings):
    one, two, again = readings
    folder = tmp_path / "我的 writing"
    assert save_readings([one], folder) == one.written
    before = files(folder)
    assert before.keys() == {
        f"{one.characters[row]}/{column + 1}.png"
        for (row, column), image in one.boxes.items()
        if image is not None
    }
    assert save_readings([two], folder) == two.written
    both = files(folder)
    assert len(both) == one.written + two.written and before.items() <= both.items()

    with pytest.raises(SheetError, match="photo 3.jpg.*photo 1.jpg.*--replace"):
        save_readings([again], folder)
    assert files(folder) == both

    save_readings([again], folder, replace=True)
    after = files(folder)
    assert len(after) == again.written + two.written  # boxes that are empty now are gone
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    entry = manifest["pages"]["".join(one.characters)]
    assert entry["photo"] == "photo 3.jpg"
    assert sum(map(len, entry["written"].values())) == again.written


def test_same_page_twice_in_one_go_is_refused(tmp_path, readings):
    with pytest.raises(SheetError, match="same page as photo 1.jpg"):
        save_readings([readings[0], readings[2]], tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_foreign_folders_are_left_alone(tmp_path, readings):
    (tmp_path / "人").mkdir()
    (tmp_path / "人" / "1.png").write_bytes(b"mine")
    for replace in (False, True):
        with pytest.raises(SheetError, match="--out"):
            save_readings(readings[:1], tmp_path, replace)
    assert files(tmp_path) == {"人/1.png": b"mine"}
    with pytest.raises(SheetError, match="is a file"):
        save_readings(readings[:1], tmp_path / "人" / "1.png")


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"format": "other", "pages": {}}',
     '{"format": "own handwriting, 1", "pages": {"人": {"written": {"../x": [1]}}}}',
     '{"format": "own handwriting, 1", "pages": {"人": {"written": {"人": ["../1"]}}}}'],
)  # fmt: skip
def test_damaged_manifest_is_refused(tmp_path, readings, content):
    (tmp_path / "manifest.json").write_text(content, encoding="utf-8")
    with pytest.raises(SheetError, match="manifest.json is damaged"):
        save_readings(readings[:1], tmp_path, replace=True)


def test_full_disk_loses_nothing_and_can_be_repeated(tmp_path, readings, monkeypatch):
    folder = tmp_path / "mine"
    save_readings(readings[1:2], folder)
    before = files(folder)
    write, calls = sheet_folder.write_whole, []

    def full(path, content):
        calls.append(path)
        if len(calls) > 20:
            raise OSError(28, "No space left on device")
        write(path, content)

    monkeypatch.setattr(sheet_folder, "write_whole", full)
    with pytest.raises(SheetError, match="No space left"):
        save_readings(readings[:1], folder)
    assert before.items() <= files(folder).items()
    monkeypatch.undo()
    save_readings(readings[:1], folder, replace=True)
    assert len(files(folder)) == readings[0].written + readings[1].written
    assert not list(folder.rglob(".*"))


def test_lecture_loads_the_folder(tmp_path, readings, monkeypatch):
    save_readings(readings[:2], tmp_path / "mine")
    monkeypatch.setenv("COURSE_NOTEBOOK", str(tmp_path / "mine"))
    X, y, names = load_images_from_directory(notebook_folder())
    assert len(X) == len(y) == readings[0].written + readings[1].written
    assert set(names) == set(CHARACTERS[: 2 * ROWS])


# --- the command


def test_command_reads_what_it_can_and_reports_the_rest(first, tmp_path):
    folder = tmp_path / "照片 of mine"
    folder.mkdir()
    save(first[1], folder / "good.jpg", quality=90)
    (folder / "bad.jpg").write_bytes(b"")
    command = [sys.executable, "-m", "tools.sheet", "read", "good.jpg", "bad.jpg", "--out", "out"]
    environment = os.environ | {"LANG": "C", "LC_ALL": "C", "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
    assert done.returncode == 1, done.stderr
    written = len(first[0].written)
    assert f"{written} boxes written, {ROWS * BOXES - written} empty".encode() in done.stdout
    assert b"bad.jpg is empty" in done.stderr
    assert len(files(folder / "out")) == written
    assert b"95 % interval" in done.stdout and b"better CNN misreads" in done.stdout


def test_every_page_of_a_scan_is_read(first, second, tmp_path, capsys):
    """Fronts, a blank back and a preview are what scanners put into one TIFF."""
    fronts = [Image.fromarray(photo).convert("L") for photo in (first[1], second[1])]
    fronts[1].encoderinfo = {"tiffinfo": {262: 0}}  # stored with white as zero
    blank, preview = Image.new("L", (900, 1200), 250), Image.new("L", (90, 120), 250)
    preview.encoderinfo = {"tiffinfo": {254: 1}}
    scan = tmp_path / "all pages.tif"
    fronts[0].save(scan, save_all=True, append_images=[preview, blank, fronts[1]])
    out = tmp_path / "my scans"
    assert main(["read", str(scan), "--out", str(out)]) == 1
    printed = capsys.readouterr()
    assert "all pages.tif: page 1 (" in printed.out and "all pages.tif, page 3: page 2 (" in printed.out
    assert "all pages.tif, page 2: no handwriting sheet found" in printed.err
    assert "1 page could not be read" in printed.err
    assert f"COURSE_NOTEBOOK={quoted(out)} make slides" in printed.out and quoted(out) != str(out)
    assert set(json.loads((out / "manifest.json").read_text(encoding="utf-8"))["pages"]) == {
        "".join(CHARACTERS[:ROWS]),
        "".join(CHARACTERS[ROWS : 2 * ROWS]),
    }
    written = sum(len(filled.written) for filled, *_ in (first, second))
    assert len(list(out.glob("*/*.png"))) == written
    for path in ("one.png", "two.png"):
        scan.with_name(path).write_bytes(b"")
    assert main(["read", str(tmp_path / "one.png"), str(tmp_path / "two.png"), "--out", str(out)]) == 1
    assert "2 pages could not be read" in capsys.readouterr().err


def test_command_makes_the_sheet(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["--paper", "Letter", "--characters", "大太"]) == 0
    assert "1 page, Letter" in capsys.readouterr().out
    assert (tmp_path / "handwriting-sheet-Letter.pdf").exists()
    assert main(["--characters", "大大"]) == 1
    assert "once" in capsys.readouterr().err

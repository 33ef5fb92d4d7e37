"""The importer of CASIA files, on `.gnt` files and archives that these tests write themselves."""

import errno
import hashlib
import io
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tarfile
import tracemalloc
import unicodedata
import zipfile
from pathlib import Path
from unittest import mock

from course.data import handwriting_folder
from course.loaders import load_images_from_directory

import cv2
import numpy as np
import pytest
from filelock import FileLock
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from tools.casia import gnt as gnt_module
from tools.casia import importer
from tools.casia.__main__ import main
from tools.casia.adopt import adopt
from tools.casia.gnt import MAX_SIDE, character_of, code_of, read_gnt
from tools.casia.importer import import_gnt
from tools.casia.layout import CasiaError, character_of_folder, check, folder_of
from tools.casia.sources import split_of

# Written down by hand, so that a mistake in the importer's coding cannot cancel out.
CODES = {
    "啊": b"\xb0\xa1",
    "人": b"\xc8\xcb",
    "从": b"\xb4\xd3",
    "火": b"\xbb\xf0",
    "啖": b"\xe0\xa2",
    "囡": b"\xe0\xef",
    "丂": b"\x81\x40",
    "、": b"\xa1\xa2",
    "！": b"\xa3\xa1",
    "!": b"!\0",
    "*": b"*\0",
    "A": b"A\0",
    "a": b"a\0",
    "0": b"0\0",
    "/": b"/\0",
}


def gnt(samples) -> bytes:
    """The bytes of a `.gnt` file; samples are (character or two-byte code, uint8 pixels)."""
    parts = []
    for character, pixels in samples:
        height, width = pixels.shape
        code = character if isinstance(character, bytes) else CODES[character]
        parts.append(struct.pack("<I", 10 + width * height) + code)
        parts.append(struct.pack("<HH", width, height) + pixels.tobytes())
    return b"".join(parts)


def noise(height: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)


def sample_list(characters: str, seed: int = 0) -> list[tuple[str, np.ndarray]]:
    return [
        (character, noise(5 + (seed + i) % 7, 4 + i % 5, 1000 * seed + i))
        for i, character in enumerate(characters)
    ]


def images_below(folder: Path) -> dict[str, np.ndarray]:
    return {
        path.relative_to(folder).as_posix(): cv2.imdecode(
            np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED
        )
        for path in sorted(folder.glob("T*/*/*.png"))
    }


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def png(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


def kinds(result) -> dict[str, int]:
    return result.manifest["problems"]["kinds"]


class Dribble(io.RawIOBase):
    """A stream that hands out as few bytes at a time as its random numbers say."""

    def __init__(self, content: bytes, seed: int) -> None:
        self.rest = content
        self.random = random.Random(seed)

    def read(self, size: int = -1) -> bytes:
        size = self.random.randint(1, min(size, 4000))
        chunk, self.rest = self.rest[:size], self.rest[size:]
        return chunk


samples_strategy = st.lists(
    st.tuples(
        st.sampled_from(sorted(CODES)),
        st.integers(1, 30),
        st.integers(1, 30),
        st.integers(0, 2**16),
        st.sampled_from(["noise", "white", "zero"]),
    ).map(
        lambda t: (
            t[0],
            noise(t[1], t[2], t[3])
            if t[4] == "noise"
            else np.full((t[1], t[2]), 255 if t[4] == "white" else 0, np.uint8),
        )
    ),
    min_size=1,
    max_size=12,
)


# --- Reading -----------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(samples_strategy, st.integers(0, 2**16))
def test_what_is_written_is_read(samples, seed):
    read = list(read_gnt(Dribble(gnt(samples), seed), pytest.fail))
    assert [s.character for s in read] == [character for character, _ in samples]
    assert [s.index for s in read] == list(range(len(samples)))
    for mine, (_, pixels) in zip(read, samples, strict=True):
        assert mine.pixels.dtype == np.uint8
        np.testing.assert_array_equal(mine.pixels, pixels)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=3000))
def test_any_bytes_are_read_to_their_end(content):
    problems = []
    read = list(read_gnt(io.BytesIO(content), problems.append))
    assert bool(content) or [p.kind for p in problems] == ["empty file"]
    assert read or problems
    assert all(p.offset is None or 0 <= p.offset < len(content) for p in problems)


@settings(max_examples=120, deadline=None)
@given(samples_strategy, st.data())
def test_one_damaged_sample_costs_no_other(samples, data):
    sizes = [10 + pixels.size for _, pixels in samples]
    victim = data.draw(st.integers(0, len(samples) - 1))
    start = sum(sizes[:victim])
    content = bytearray(gnt(samples))
    damage = data.draw(st.sampled_from(["cut", "size", "width", "height", "zero", "huge"]))
    if damage == "cut":
        first = data.draw(st.integers(0, sizes[victim] - 1))
        count = data.draw(st.integers(1, sizes[victim] - max(first, 1)))
        # Without as many bytes as the next samples have, these fit into it: a file in good order.
        assume(first < 10 or count not in np.cumsum(sizes[victim + 1 :]))
        del content[start + first : start + first + count]
    elif damage == "size":
        struct.pack_into("<I", content, start, sizes[victim] + data.draw(st.integers(1, 2**31)))
    elif damage == "huge":
        struct.pack_into("<HH", content, start + 6, 65535, 65535)
    elif damage == "zero":
        struct.pack_into("<HH", content, start + 6, 0, 0)
    else:
        height, width = samples[victim][1].shape
        if damage == "width":
            width += data.draw(st.integers(1, 500))
        else:
            height += data.draw(st.integers(1, 500))
        struct.pack_into("<HH", content, start + 6, width, height)
    problems = []
    # A small window lets samples and headers lie across its edges.
    chunk = data.draw(st.sampled_from([gnt_module._CHUNK, 1, 50, 333]))
    with mock.patch.multiple(gnt_module, _CHUNK=chunk, _AHEAD=min(1000, gnt_module._AHEAD)):
        read = list(read_gnt(Dribble(bytes(content), 1), problems.append, name="a.gnt"))
    whole = samples[:victim] + samples[victim + 1 :]
    assert [s.character for s in read] == [character for character, _ in whole]
    for mine, (_, pixels) in zip(read, whole, strict=True):
        np.testing.assert_array_equal(mine.pixels, pixels)
    if read and not any(content[start:]):  # what is left of the last sample looks like padding
        assert problems == []
    else:
        assert [(problem.where, problem.offset) for problem in problems] == [("a.gnt", start)]


def test_problems_name_kind_and_byte():
    good = gnt([("人", noise(9, 7, 1))])
    problems = []

    def read(content: bytes) -> list[str]:
        problems.clear()
        return [s.character for s in read_gnt(io.BytesIO(content), problems.append)]

    assert read(good + good[:30]) == ["人"]
    assert [(p.kind, p.offset) for p in problems] == [("truncated sample", 73)]
    assert read(good + good[:6]) == ["人"]
    assert [(p.kind, p.offset) for p in problems] == [("truncated sample", 73)]
    assert read(gnt([(b"\xff\xff", noise(3, 3, 2))]) + good) == ["人"]
    assert [(p.kind, p.offset) for p in problems] == [("unknown code", 0)]
    too_wide = struct.pack("<I2sHH", 10 + MAX_SIDE + 1, CODES["人"], MAX_SIDE + 1, 1)
    assert read(good + too_wide + bytes(MAX_SIDE + 1) + good) == ["人", "人"]
    assert [(p.kind, p.offset) for p in problems] == [("impossible size", 73)]
    assert read(good + struct.pack("<I2sHH", 10, CODES["人"], 0, 5) + good) == ["人", "人"]
    assert [(p.kind, p.offset) for p in problems] == [("impossible size", 73)]
    assert read(bytes(100_000) + good) == ["人"]
    assert [(p.kind, p.offset) for p in problems] == [("impossible size", 0)]
    assert "byte 100,000" in problems[0].message
    assert read(good + good[:30]) == ["人"]
    assert str(problems[0]).startswith(
        "stream, byte 73: truncated sample: the file ends after 30 of its 73 bytes"
    )


def test_a_header_across_two_windows_is_found(monkeypatch):
    monkeypatch.setattr(gnt_module, "_AHEAD", 100)
    monkeypatch.setattr(gnt_module, "_CHUNK", 100)
    good = gnt([("人", noise(5, 4, 1))])
    for length in range(150, 250):
        problems = []
        read = list(read_gnt(io.BytesIO(bytes(length) + good), problems.append))
        assert [s.character for s in read] == ["人"]
        assert [p.offset for p in problems] == [0] and f"at byte {length:,}" in problems[0].message


def test_a_sample_of_the_largest_size_is_read():
    pixels = np.full((MAX_SIDE, MAX_SIDE), 255, np.uint8)
    content = gnt([("人", pixels), ("从", pixels), ("火", pixels[:3, :4])])
    read = list(read_gnt(io.BytesIO(content), pytest.fail))
    assert [s.pixels.shape for s in read] == [(2000, 2000), (2000, 2000), (3, 4)]


def test_reading_takes_little_memory():
    one = gnt([("人", noise(100, 100, 1))])

    class Long(io.RawIOBase):
        left = 6000  # 60 MB

        def read(self, size=-1):
            count = min(self.left, max(1, size // len(one)))
            self.left -= count
            return one * count

    tracemalloc.start()
    try:
        count = sum(1 for _ in read_gnt(Long(), pytest.fail))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 6000
    assert peak < 40e6


def test_codes():
    for character, code in CODES.items():
        assert character_of(code) == character
        assert code_of(character) == code
    count = 0
    for lead in range(0xB0, 0xF8):
        for trail in range(0xA1, 0xFF):
            character = character_of(bytes((lead, trail)))
            if character is not None:
                count += 1
                assert character == bytes((lead, trail)).decode("gb2312")
    assert count == 6763  # the Chinese characters of GB2312
    for code in (b"\0\0", b" \0", b"\x7f\0", b"\x80\0", b"\xff\xff", b"AB", b"\xa1\xa1", b"\xaa\xa1"):
        assert character_of(code) is None
    for character in ("人从", "", " ", "é漢", "😀"):
        assert code_of(character) is None


def test_folder_names_suit_every_system():
    characters = [chr(number) for number in range(0x21, 0x7F)]
    for lead in range(0x81, 0xFF):
        for trail in range(0x40, 0xFF):
            character = character_of(bytes((lead, trail)))
            if character is not None:
                characters.append(character)
    characters = sorted(set(characters))
    names = {unicodedata.normalize("NFD", folder_of(c)).casefold() for c in characters}
    assert len(names) == len(characters) > 20_000
    assert not set("".join(names)) & set('<>:"/\\|?*. ')
    assert all(character_of_folder(folder_of(c)) == c for c in characters)
    assert folder_of("人") == "人"
    assert folder_of("*") == "U+002A"
    assert character_of_folder("*") == "*"
    assert [character_of_folder(name) for name in ("人从", "U+FFFFFFF", " ")] == [None] * 3


# --- Deciding Train and Test ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("Gnt1.1TrainPart1.zip", "Train"),
        ("Gnt1.1Test.zip", "Test"),
        ("HWDB1.1trn_gnt.zip", "Train"),
        ("HWDB1.0tst_gnt", "Test"),
        ("1.0train-gb1.gnt", "Train"),
        ("1.0test-gb1.gnt", "Test"),
        ("TRAIN", "Train"),
        ("competition-gnt.zip", "Test"),
        ("1001-c.gnt", None),
        ("latest", None),
        ("contest", None),
        ("train_and_test", None),
        ("strain", None),
        ("", None),
    ],
)
def test_split_by_name(name, split):
    assert split_of([name]) == split


def test_the_innermost_name_decides():
    assert split_of(["1001-c.gnt", "Gnt1.1Test", "Training"]) == "Test"
    assert split_of(["1001-c.gnt", "train_and_test", "Training"]) == "Train"


# --- Importing -----------------------------------------------------------------------------------


@pytest.fixture
def official(tmp_path):
    """A folder as one would download it: a zip archive, a nested one, and loose files."""
    folder = tmp_path / "下 载"
    (folder / "Gnt1.1Test").mkdir(parents=True)
    (folder / "Gnt1.1Test" / "1241-c.gnt").write_bytes(gnt(sample_list("人从火*A", 3)))
    with zipfile.ZipFile(folder / "Gnt1.1TrainPart1.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("1001-c.gnt", gnt(sample_list("人从人火a", 1)))
        archive.writestr("inner/1002-c.gnt", gnt(sample_list("火人*!", 2)))
        archive.writestr("readme.txt", "nothing")
    (folder / "1.0train-gb1.gnt").write_bytes(gnt(sample_list("啖囡人", 4)))
    return folder


def test_import_round_trip(official, tmp_path):
    result = import_gnt([official], tmp_path / "out")
    expected = {}
    for split, prefix, characters, seed in (
        ("Train", "1001-c", "人从人火a", 1),
        ("Train", "1002-c", "火人*!", 2),
        ("Train", "1.0train-gb1", "啖囡人", 4),
        ("Test", "1241-c", "人从火*A", 3),
    ):
        for index, (character, pixels) in enumerate(sample_list(characters, seed)):
            expected[f"{split}/{folder_of(character)}/{prefix}-{index:05d}.png"] = pixels
    images = images_below(tmp_path / "out")
    assert images.keys() == expected.keys()
    for name, pixels in expected.items():
        assert images[name].dtype == np.uint8
        np.testing.assert_array_equal(images[name], pixels)
    assert result.problems == 0
    assert result.folder == tmp_path / "out"

    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest == result.manifest
    assert manifest["images"] == {"Train": 12, "Test": 5}
    assert manifest["characters"]["人"] == {"folder": "人", "Train": 4, "Test": 1}
    assert manifest["characters"]["*"] == {"folder": "U+002A", "Train": 1, "Test": 1}
    by_file = {entry["inside"] or entry["file"]: entry for entry in manifest["sources"]}
    assert by_file["1001-c.gnt"]["writer"] == "1001"
    assert by_file["1.0train-gb1.gnt"]["writer"] is None
    for name, characters, seed in (("1001-c.gnt", "人从人火a", 1), ("1241-c.gnt", "人从火*A", 3)):
        content = gnt(sample_list(characters, seed))
        assert by_file[name]["sha256"] == hashlib.sha256(content).hexdigest()
        assert by_file[name]["bytes"] == len(content)
        assert by_file[name]["samples"] == by_file[name]["images"] == 5
    sums = (tmp_path / "out" / "images.sha256").read_text(encoding="utf-8").splitlines()
    assert len(sums) == 17
    for line in sums:
        digest, _, name = line.partition("  ")
        content = (tmp_path / "out" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
    assert check(tmp_path / "out") == []
    assert {path.name for path in tmp_path.iterdir()} == {official.name, "out"}


@settings(max_examples=8, deadline=None)
@given(samples_strategy)
def test_import_keeps_pixels_labels_and_counts(tmp_path_factory, samples):
    folder = tmp_path_factory.mktemp("import")
    (folder / "7-f.gnt").write_bytes(gnt(samples))
    result = import_gnt([], folder / "out", train=[folder / "7-f.gnt"])
    images = images_below(folder / "out")
    assert len(images) == len(samples) == result.manifest["images"]["Train"]
    for index, (character, pixels) in enumerate(samples):
        name = f"Train/{folder_of(character)}/7-f-{index:05d}.png"
        np.testing.assert_array_equal(images[name], pixels)
        count = sum(c == character for c, _ in samples)
        assert result.manifest["characters"][character]["Train"] == count


def test_twice_the_same_import_gives_the_same_bytes(official, tmp_path):
    import_gnt([official], tmp_path / "one")
    import_gnt([official], tmp_path / "two")
    assert files_below(tmp_path / "one") == files_below(tmp_path / "two")


def test_chosen_characters_keep_their_names(official, tmp_path):
    everything = import_gnt([official], tmp_path / "all")
    chosen = import_gnt([official], tmp_path / "some", characters="从啖鱼")
    assert set(chosen.manifest["characters"]) == {"从", "啖"}
    assert chosen.manifest["images"] == {"Train": 2, "Test": 1}
    assert everything.manifest["images"] == {"Train": 12, "Test": 5}
    some, every = files_below(tmp_path / "some"), files_below(tmp_path / "all")
    assert all(every[name] == content for name, content in some.items() if name.endswith(".png"))
    assert chosen.notes[0].startswith("1 passed over") and "readme.txt" in chosen.notes[0]
    assert chosen.notes[1:] == ["No image in Train of 鱼.", "No image in Test of 啖 鱼."]
    assert [e["samples"] for e in chosen.manifest["sources"]] == [3, 5, 5, 4]
    with pytest.raises(CasiaError, match="😀"):
        import_gnt([official], tmp_path / "none", characters="人😀")


def test_course_data_takes_the_imported_folder(official, tmp_path, monkeypatch):
    import_gnt([official], tmp_path / "out", characters="人从火")
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "out"))
    assert handwriting_folder() == tmp_path / "out"
    X, y, names = load_images_from_directory(tmp_path / "out" / "Train")
    assert names == ["人", "从", "火"]
    assert np.bincount(y).tolist() == [4, 1, 2]
    assert X.shape == (7, 80, 60, 1)


def test_train_and_test_are_given_or_asked_for(tmp_path):
    work = tmp_path / "somewhere"
    work.mkdir()
    (work / "1-f.gnt").write_bytes(gnt(sample_list("人", 1)))
    (work / "2-f.gnt").write_bytes(gnt(sample_list("人", 2)))
    with pytest.raises(CasiaError, match="1-f.gnt.*--train FILE or --test FILE"):
        import_gnt([work / "1-f.gnt"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    import_gnt([], tmp_path / "out", train=[work / "1-f.gnt"], test=[work / "2-f.gnt"])
    assert list(images_below(tmp_path / "out")) == ["Test/人/2-f-00000.png", "Train/人/1-f-00000.png"]
    with pytest.raises(CasiaError, match="same file, once for Train and once for Test"):
        import_gnt([], tmp_path / "o2", train=[work / "1-f.gnt"], test=[work / "1-f.gnt"])
    with pytest.raises(CasiaError, match="does not exist"):
        import_gnt([tmp_path / "nowhere"], tmp_path / "o2")
    with pytest.raises(CasiaError, match="Nothing to import"):
        import_gnt([], tmp_path / "o2")


def test_a_file_given_twice_counts_once_and_equal_names_do_not_meet(tmp_path):
    for name, seed in (("train a", 1), ("train b", 1), ("train c", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1-f.gnt").write_bytes(gnt(sample_list("人从", seed)))
    result = import_gnt([tmp_path / "train a", tmp_path / "train b", tmp_path / "train c"], tmp_path / "out")
    assert len(images_below(tmp_path / "out")) == 4
    assert any("is the same file as" in note for note in result.notes)
    assert (tmp_path / "out" / "Train" / "人" / "1-f_2-00000.png").exists()


# --- Interrupted, refused, full ------------------------------------------------------------------


def _interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
@pytest.mark.parametrize("stop", [0, 7])
def test_an_interrupted_import_leaves_nothing_and_starts_anew(official, tmp_path, monkeypatch, stop, failure):
    import_gnt([official], tmp_path / "whole")
    encode, written = importer.encode_png, []

    def fails(pixels):
        if len(written) >= stop:
            raise failure
        written.append(pixels)
        return encode(pixels)

    with monkeypatch.context() as patch:
        patch.setattr(importer, "encode_png", fails)
        with pytest.raises(type(failure)):
            import_gnt([official], tmp_path / "out")
    assert len(written) == stop
    assert {path.name for path in tmp_path.iterdir()} == {official.name, "whole"}
    import_gnt([official], tmp_path / "out")
    assert files_below(tmp_path / "out") == files_below(tmp_path / "whole")


def test_what_a_killed_import_left_is_not_mixed_in(official, tmp_path):
    script = (
        "import os, sys\n"
        "from tools.casia import importer\n"
        # all images are there, the manifest is not
        "importer.layout.write_manifest = lambda *_, **more: os._exit(9)\n"
        "importer.import_gnt([sys.argv[1]], sys.argv[2])\n"
    )
    command = [sys.executable, "-c", script, str(official), str(tmp_path / "out")]
    assert subprocess.run(command, check=False).returncode == 9
    assert not (tmp_path / "out").exists()
    assert (tmp_path / ".out.partial" / "Train" / "啖").exists()
    import_gnt([official], tmp_path / "out", characters="人")
    assert {path.name for path in (tmp_path / "out" / "Train").iterdir()} == {"人"}
    assert {path.name for path in tmp_path.iterdir()} == {official.name, "out"}


def test_nothing_is_overwritten(official, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError, match="not empty; nothing was changed"):
        import_gnt([official], out)
    assert files_below(out) == {"thesis.txt": b"mine"}
    (out / "thesis.txt").unlink()
    import_gnt([official], out)  # an empty folder is no hindrance
    before = files_below(out)
    with pytest.raises(FileExistsError, match="not empty; nothing was changed"):
        import_gnt([official], out, characters="人")
    assert files_below(out) == before

    (tmp_path / ".o2.partial").mkdir()
    (tmp_path / ".o2.partial" / "1.png").write_bytes(b"by the other process")
    with FileLock(tmp_path / ".o2.partial.lock"):
        with pytest.raises(FileExistsError, match="Another process is filling"):
            import_gnt([official], tmp_path / "o2")
    assert (tmp_path / ".o2.partial" / "1.png").exists()


# --- Bad input -----------------------------------------------------------------------------------


def tarred(files: dict[str, bytes], mode: str = "w") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def test_archives_of_every_kind_are_read_at_any_depth(tmp_path):
    inner = zipped({"1-c.gnt": gnt(sample_list("人", 1)), "2-c.gnt": gnt(sample_list("从", 2))})
    for name, content in {
        "train.zip": zipped({"deep/train.ZIP": inner, "3-c.gnt": gnt(sample_list("火", 3))}),
        "train.tar": tarred({"sub/4-c.gnt": gnt(sample_list("人", 4)), "inner.zip": inner}),
        "test.tgz": tarred({"5-c.gnt": gnt(sample_list("从", 5))}, "w:gz"),
        "test.tar.xz": tarred({"a.tar": tarred({"6-c.gnt": gnt(sample_list("火", 6))})}, "w:xz"),
    }.items():
        (tmp_path / name).write_bytes(content)
    result = import_gnt(sorted(tmp_path.iterdir()), tmp_path / "out")
    assert result.problems == 0 and check(tmp_path / "out") == []
    expected = ["从/5-c", "火/6-c"], ["人/1-c", "人/4-c", "从/2-c", "火/3-c"]
    assert list(images_below(tmp_path / "out")) == [
        f"{split}/{name}-00000.png" for split, names in zip(("Test", "Train"), expected) for name in names
    ]
    assert sum("train.ZIP!1-c.gnt is the same file as" in note for note in result.notes) == 1
    by_inside = {entry["inside"]: entry for entry in result.manifest["sources"]}
    assert by_inside["inner.zip!1-c.gnt"]["writer"] == "1"


def test_bad_archives_are_reported_and_the_rest_imported(tmp_path):
    folder = tmp_path / "train set"
    folder.mkdir()
    good = gnt(sample_list("人从", 1))
    (folder / "0-c.gnt").write_bytes(good)
    (folder / "gone.gnt").symlink_to(tmp_path / "nowhere")
    (folder / "not.zip").write_bytes(b"<html>please log in</html>")
    (folder / "empty.zip").write_bytes(b"")
    (folder / "empty.tar").write_bytes(b"")
    (folder / "HWDB1.1trn_gnt.alz").write_bytes(b"ALZ\1")
    (folder / "readme.pdf").write_bytes(b"")
    names = ("../1-c.gnt", "/2-c.gnt", "C:\\3-c.gnt", "a/../../4-c.gnt", "5-c.gnt", ".hidden/8-c.gnt")
    tricks = {name: gnt(sample_list("火", number)) for number, name in enumerate(names)}
    tricks |= {"HWDB1.1trn_gnt.alz": b"ALZ\1", "inner.zip": b"PK", "__MACOSX/9-c.gnt": b"x"}
    (folder / "tricks.zip").write_bytes(zipped(tricks))
    content = bytearray(zipped({"10-c.gnt": good}))
    content[6] |= 1  # the encryption flag, in the file's own header and in the directory
    content[content.index(b"PK\1\2") + 8] |= 1
    (folder / "locked.zip").write_bytes(content)
    (folder / "cut.zip").write_bytes(zipped({"11-c.gnt": good})[:-30])
    samples = {f"{number}-f.gnt": gnt([("从", noise(90, 90, number))]) for number in (12, 13)}
    (folder / "cut.tar").write_bytes(tarred(samples)[:9500])

    result = import_gnt([folder], tmp_path / "out")
    assert kinds(result) == {
        "damaged file": 1,
        "empty file": 1,  # of the second file in cut.tar no byte is left
        "unreadable archive": 8,
        "unreadable file": 2,
    }
    # Names that point out of the archive harm nobody: only their last part is used.
    assert {name.rpartition("/")[2] for name in images_below(tmp_path / "out")} == {
        "0-c-00000.png",
        "0-c-00001.png",
        *(f"{number}-c-00000.png" for number in range(1, 6)),
        "12-f-00000.png",
    }
    assert {p.name for p in tmp_path.iterdir()} == {"train set", "out"}
    messages = {
        f"{Path(r.where.partition('!')[0]).name} {r.where.partition('!')[2]}": r for r in result.reports
    }
    assert "unalz" in messages["HWDB1.1trn_gnt.alz "].message
    assert "unalz" in messages["tricks.zip HWDB1.1trn_gnt.alz"].message
    assert "encrypted" in messages["locked.zip 10-c.gnt"].message


def test_zeros_after_the_last_sample_are_no_problem(tmp_path, capsys):
    (tmp_path / "train.gnt").write_bytes(gnt(sample_list("人从", 1)) + bytes(5))
    (tmp_path / "test.gnt").write_bytes(gnt(sample_list("人从", 2)) + bytes(100_000))
    command = [str(tmp_path / "train.gnt"), str(tmp_path / "test.gnt"), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    assert "2 training and 2 test images" in capsys.readouterr().out
    for rest in (b"\x1a", b"\n", bytes(60) + b"\x1a", bytes(100_000) + b"0" + bytes(9)):
        (tmp_path / "train.gnt").write_bytes(gnt(sample_list("人从", 1)) + rest)
        assert main([*command[:3], str(tmp_path / f"rest {hash(rest)}")]) == 1
        assert "no sample follows" in capsys.readouterr().err
    (tmp_path / "train.gnt").write_bytes(bytes(1000))  # no sample at all
    assert main([*command[:3], str(tmp_path / "again")]) == 1
    assert "impossible size" in capsys.readouterr().err


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_member_keeps_what_can_be_read(tmp_path, method):
    samples = [("人", noise(100, 100, n)) for n in range(40)]
    with zipfile.ZipFile(tmp_path / "train.zip", "w", method) as archive:
        archive.writestr("1-c.gnt", gnt(samples))
        archive.writestr("2-c.gnt", gnt(sample_list("从", 2)))
    content = bytearray((tmp_path / "train.zip").read_bytes())
    content[390_000] ^= 255
    (tmp_path / "train.zip").write_bytes(content)
    result = import_gnt([tmp_path / "train.zip"], tmp_path / "out")
    assert kinds(result)["damaged file"] == 1
    images = images_below(tmp_path / "out")
    assert "Train/从/2-c-00000.png" in images
    kept = [name for name in images if "/1-c-" in name]
    assert 20 < len(kept) < 40
    different = sum(
        not np.array_equal(images[f"Train/人/1-c-{index:05d}.png"], samples[index][1])
        for index in range(len(kept))
    )
    assert different <= 1  # the one with the changed byte, if it was read at all


def test_a_source_that_grows_shorter_while_it_is_read(tmp_path, monkeypatch):
    (tmp_path / "1-train.gnt").write_bytes(gnt(sample_list("人从火", 1)))
    found = importer.find_members

    def cut(*arguments):
        result = found(*arguments)
        (tmp_path / "1-train.gnt").write_bytes(gnt(sample_list("人从火", 1))[:-5])
        return result

    monkeypatch.setattr(importer, "find_members", cut)
    result = import_gnt([tmp_path / "1-train.gnt"], tmp_path / "out")
    assert kinds(result) == {"truncated sample": 1}
    assert len(images_below(tmp_path / "out")) == 2


def test_many_problems_are_counted_and_few_are_kept(tmp_path, capsys):
    content = gnt([(b"\xff\xff", noise(2, 2, 0))] * 3000 + sample_list("人", 1))
    (tmp_path / "train.gnt").write_bytes(content)
    assert main([str(tmp_path / "train.gnt"), "--out", str(tmp_path / "out")]) == 1
    assert len(capsys.readouterr().err.splitlines()) < 40
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["problems"]["total"] == 3000 == manifest["sources"][0]["problems"]
    assert len(manifest["problems"]["first"]) == 100


# --- The command ---------------------------------------------------------------------------------


def test_command_exit_status(official, tmp_path, capsys, monkeypatch):
    arguments = [str(official), "--all", "--out"]
    assert main([*arguments, str(tmp_path / "a")]) == 0
    printed = capsys.readouterr().out
    assert "12 training and 5 test images of 9 characters" in printed
    assert "COURSE_DATA" in printed and "may not be redistributed" in printed
    assert main(["check", str(tmp_path / "a")]) == 0
    assert main([*arguments, str(tmp_path / "a"), "--restart"]) == 2  # an option of earlier versions
    assert "not empty; nothing was changed" in capsys.readouterr().err

    with (official / "1.0train-gb1.gnt").open("ab") as file:
        file.write(b"\1\2\3")
    assert main([*arguments, str(tmp_path / "b")]) == 1
    error = capsys.readouterr().err
    assert f"1.0train-gb1.gnt, byte {len(gnt(sample_list('啖囡人', 4)))}: truncated" in error
    assert main([*arguments, str(tmp_path / "c"), "--keep-going"]) == 0
    assert files_below(tmp_path / "b") == files_below(tmp_path / "c")

    assert main([*arguments, str(official)]) == 2
    assert "not empty" in capsys.readouterr().err
    assert main([]) == 2
    assert main([str(tmp_path / "b" / "manifest.json"), "--keep-going"]) == 1
    printed = capsys.readouterr()
    assert "No .gnt file was found" in printed.out and "Nothing was imported" in printed.err

    assert main([str(official), "--out", str(tmp_path / "d"), "--characters", "人, 从"]) == 1
    assert {p.name for p in (tmp_path / "d" / "Train").iterdir()} == {"人", "从"}
    assert main([str(official), "--out", str(tmp_path / "e"), "--keep-going"]) == 0
    assert {p.name for p in (tmp_path / "e" / "Train").iterdir()} == {"人", "从", "火", "啖", "囡"}

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x.png")

    for failure, status, said in (
        (_interrupt, 130, "starts anew"),
        (full, 1, "No space left on device: 'x.png'"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(importer, "encode_png", failure)
            assert main([*arguments, str(tmp_path / "f")]) == status
        assert said in capsys.readouterr().err
    assert not (tmp_path / "f").exists()


def test_command_in_a_plain_locale(official, tmp_path):
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))
    }
    run = subprocess.run(
        [sys.executable, "-m", "tools.casia", official, "--all", "--out", tmp_path / "出 去"],
        env=environment | {"LANG": "C", "LC_ALL": "C"},
        capture_output=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert len(images_below(tmp_path / "出 去")) == 17


# --- Adopting ------------------------------------------------------------------------------------


def unpacked(folder: Path, train: str = "Train", test: str = "Test") -> Path:
    for split, count in ((train, 3), (test, 2)):
        for character in "人从":
            for number in range(count):
                png(folder / split / character / f"{number}.png", noise(9, 8, number))
    return folder


def test_adopt_in_place_copies_nothing(tmp_path, monkeypatch):
    folder = unpacked(tmp_path / "unpacked")
    (folder / "Train" / ".DS_Store").write_bytes(b"x")
    (folder / "Train" / "人" / "Thumbs.db").write_bytes(b"x")
    before = files_below(folder)
    result = adopt(folder)
    assert result.problems == 0
    assert result.manifest["images"] == {"Train": 6, "Test": 4}
    assert result.manifest["characters"]["从"] == {"folder": "从", "Train": 3, "Test": 2}
    after = files_below(folder)
    assert after.keys() - before.keys() == {"manifest.json", "images.sha256"}
    assert all(after[name] == content for name, content in before.items())
    assert check(folder) == []
    assert adopt(folder).manifest == result.manifest
    monkeypatch.setenv("COURSE_DATA", str(folder))
    assert handwriting_folder() == folder

    png(folder / "Train" / "人" / "new.png", noise(3, 3, 1))
    (folder / "Test" / "人" / "0.png").write_bytes(b"")
    (folder / "Test" / "人" / "1.png").unlink()
    faults = check(folder)
    assert len(faults) == 3
    assert any("Train/人/new.png was added" in fault for fault in faults)
    assert any("Test/人/0.png was changed" in fault for fault in faults)
    assert any("Test/人/1.png cannot be read" in fault for fault in faults)
    assert main(["check", str(folder)]) == 1


def test_an_interrupted_adoption_leaves_the_old_manifest_and_checksums(tmp_path, monkeypatch):
    folder = unpacked(tmp_path / "unpacked")
    adopt(folder)
    png(folder / "Train" / "人" / "new.png", noise(3, 3, 1))
    before = files_below(folder)
    read, count = Path.read_bytes, [0]

    def fails(path):
        count[0] += 1
        if count[0] == 4:
            raise KeyboardInterrupt
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", fails)
        with pytest.raises(KeyboardInterrupt):
            adopt(folder)
    assert files_below(folder) == before
    with monkeypatch.context() as patch:
        patch.setattr("tools.casia.layout.write_manifest", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            adopt(folder)
    assert files_below(folder) == before
    assert adopt(folder).manifest["images"] == {"Train": 7, "Test": 4}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "test"),
        ("TRAIN", "tst"),
        ("CASIA-HWDB_Train/Train", "CASIA-HWDB_Test/Test"),
        ("Train/Train", "Test/Test"),
    ],
)
def test_adopt_finds_other_spellings(tmp_path, train, test):
    folder = unpacked(tmp_path / "unpacked", train, test)
    before = files_below(folder)
    copied = adopt(folder, tmp_path / "copy")
    assert files_below(folder) == before
    assert copied.manifest["images"] == {"Train": 6, "Test": 4}
    result = adopt(folder)
    assert result.manifest["images"] == {"Train": 6, "Test": 4}
    assert images_below(folder).keys() == images_below(tmp_path / "copy").keys()
    assert check(folder) == check(tmp_path / "copy") == []


def test_adopt_reports_faults_and_copies_the_rest(tmp_path, capsys):
    folder = unpacked(tmp_path / "unpacked")
    train = folder / "Train"
    (train / "人" / "empty.png").write_bytes(b"")
    (train / "人" / "cut.png").write_bytes((train / "人" / "0.png").read_bytes()[:-20])
    (train / "人" / "text.png").write_text("no image", encoding="utf-8")
    (train / "人" / "notes.txt").write_text("stray", encoding="utf-8")
    (train / "readme.txt").write_text("stray", encoding="utf-8")
    png(train / "people" / "0.png", noise(5, 5, 1))
    png(train / "乱".encode().decode("cp437") / "0.png", noise(5, 5, 2))
    png(train / "U+002A" / "0.png", noise(5, 5, 3))
    before = files_below(folder)
    result = adopt(folder, tmp_path / "copy")
    assert kinds(result) == {"damaged image": 3, "stray file": 2, "unknown class": 1}
    assert files_below(folder) == before
    assert set(result.manifest["characters"]) == {"人", "从", "乱", "*"}
    assert result.manifest["images"] == {"Train": 8, "Test": 4}
    for name, content in files_below(tmp_path / "copy").items():
        if name.endswith(".png") and "人" in name:
            assert before[name] == content
    in_place = adopt(folder)
    assert kinds(in_place) == kinds(result) | {"unknown class": 2}
    assert main(["adopt", str(folder)]) == 1
    assert "Train/人/empty.png: damaged image" in capsys.readouterr().err
    assert main(["adopt", str(folder), "--keep-going"]) == 0
    assert main(["adopt", str(folder), "--out", str(tmp_path / "few"), "--characters", "从"]) == 1
    assert {p.name for p in (tmp_path / "few" / "Train").iterdir()} == {"从"}


def test_adopt_takes_every_kind_that_the_loader_reads(tmp_path):
    folder = unpacked(tmp_path / "unpacked")
    people = folder / "Train" / "人"
    for name in ("a.jfif", "b.TIF", "c.webp", "d.PNG"):
        Image.fromarray(noise(20, 20, 1)).save(people / name, {"b.TIF": "TIFF", "d.PNG": "PNG"}.get(name))
    (people / "cut.jpg").write_bytes((people / "a.jfif").read_bytes()[:200])
    (people / "phone.heic").write_bytes(bytes(4) + b"ftypheic" + bytes(40))
    for junk in (people / "@eaDir", folder / "@eaDir", folder / ".Train", folder / "__MACOSX" / "Train"):
        png(junk / "1.png", noise(5, 5, 1))
    result = adopt(folder, tmp_path / "copy")
    assert kinds(result) == {"damaged image": 2}
    assert "Save it as JPEG" in "".join(map(str, result.reports))
    names = {path.name for path in (tmp_path / "copy" / "Train" / "人").iterdir()}
    assert {"a.jfif", "b.TIF.tif", "c.webp", "d.PNG.png"} <= names and check(tmp_path / "copy") == []
    adopt(folder)
    assert check(folder) == [f"Train/人/{name} was added." for name in ("cut.jpg", "phone.heic")]
    for name in ("cut.jpg", "phone.heic"):
        (people / name).unlink()
    assert len(load_images_from_directory(folder / "Train")[0]) == result.manifest["images"]["Train"]


def test_an_interrupted_copy_starts_cleanly(tmp_path, monkeypatch):
    folder = unpacked(tmp_path / "unpacked")
    whole = adopt(folder, tmp_path / "whole")
    write, count = Path.write_bytes, [0]

    def fails(path, content):
        count[0] += 1
        if count[0] == 4:
            raise KeyboardInterrupt
        return write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fails)
        with pytest.raises(KeyboardInterrupt):
            adopt(folder, tmp_path / "copy")
    assert {path.name for path in tmp_path.iterdir()} == {"unpacked", "whole"}
    again = adopt(folder, tmp_path / "copy")
    assert again.manifest == whole.manifest
    assert files_below(tmp_path / "copy") == files_below(tmp_path / "whole")


def test_adopt_refuses(tmp_path):
    folder = unpacked(tmp_path / "unpacked")
    (folder / "manifest.json").write_text('{"made_by": "someone else"}', encoding="utf-8")
    with pytest.raises(CasiaError, match="was not written by this command"):
        adopt(folder)
    with pytest.raises(CasiaError, match="give --out"):
        adopt(folder, characters="人")
    with pytest.raises(CasiaError, match="lies inside"):
        adopt(folder, folder / "copy")
    with pytest.raises(CasiaError, match="no manifest"):
        check(folder)
    with pytest.raises(CasiaError, match="not a folder"):
        adopt(tmp_path / "nowhere")
    shutil.copytree(folder / "Test", folder / "tst")
    with pytest.raises(CasiaError, match="several folders for Test"):
        adopt(folder, tmp_path / "copy")
    shutil.rmtree(folder / "tst")
    shutil.rmtree(folder / "Test")
    with pytest.raises(CasiaError, match="no Test folder"):
        adopt(folder, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()

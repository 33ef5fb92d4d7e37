"""Folders of images: what is read, what is refused, and when the packed copy is renewed.

Kinds of files and bad ones: tests/unit/test_photos.py.
"""

import errno
import io
import os
import subprocess
import sys
import unicodedata
import warnings
from pathlib import Path

from course import photos
from course.copies import packed
from course.loaders import (
    class_folders,
    count_images_in_folders,
    get_image_dimensions,
    load_images_from_directory,
    preprocess_image,
)
from course.paths import REPOSITORY

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

CLASSES = ["人", "大", "虫", "鱼"]


@pytest.fixture(autouse=True)
def own_stores(tmp_path_factory, monkeypatch):
    """Packed copies of test folders go to temporary folders."""
    store = tmp_path_factory.mktemp("stores")
    monkeypatch.setattr(packed, "STORES", (store / "packed", store / "user"))
    return store


def grey_image(seed: int, height: int = 70, width: int = 55) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Four classes of 12 images of different sizes, under a path with spaces and Chinese."""
    root = tmp_path / "my data 数据" / "Train"
    sizes = np.random.default_rng(0).integers(20, 140, (len(CLASSES), 12, 2))
    for label, rows in zip(CLASSES, sizes):
        for number, (height, width) in enumerate(rows, start=1):
            save(root / label / f"{number}.png", grey_image(number, height, width))
    return root


def plain_loop(root: Path, height: int = 80, width: int = 60) -> np.ndarray:
    return np.array(
        [
            preprocess_image(path / f"{number}.png", height, width)
            for _, path in class_folders(root)
            for number in range(1, 1 + len(list(path.glob("*.png"))))
        ]
    )


def packed_copies() -> list[Path]:
    return sorted(packed.STORES[0].glob("*.npy"))


# --- What is loaded ----------------------------------------------------------------------


def test_loading_gives_what_the_plain_loop_gives(folder):
    X, y, class_names = load_images_from_directory(folder)
    assert X.shape == (48, 80, 60, 1) and X.dtype == np.uint8 and type(X) is np.ndarray
    assert class_names == sorted(CLASSES)
    assert y.dtype == np.int64 and y.tolist() == [0] * 12 + [1] * 12 + [2] * 12 + [3] * 12
    np.testing.assert_array_equal(X, plain_loop(folder))


def test_second_load_and_other_sizes_are_equal_to_the_plain_loop(folder):
    for _ in range(2):
        for height, width in ((80, 60), (32, 32), (7, 150)):
            X, _, _ = load_images_from_directory(folder, height, width)
            np.testing.assert_array_equal(X, plain_loop(folder, height, width))
    assert len(packed_copies()) == 3


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 90), st.integers(1, 90)), min_size=1, max_size=8),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    seed=st.integers(0, 99),
)
def test_resizing_together_equals_resizing_one_by_one(sizes, height, width, seed):
    images = [grey_image(seed, *size) for size in sizes]
    together = packed.resize(images, height, width)
    assert together.flags.c_contiguous
    for image, result in zip(images, together):
        rows = Image.fromarray(image).resize((width, len(image)), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(result, rows.resize((width, height), Image.Resampling.BICUBIC))


def test_many_blocks_keep_their_order(folder, monkeypatch):
    monkeypatch.setattr(packed, "_BLOCK", 5)
    monkeypatch.setattr(packed, "_LARGE", 90 * 90)
    X, _, _ = load_images_from_directory(folder)
    np.testing.assert_array_equal(X, plain_loop(folder))


def test_numbers_in_names_are_in_order(tmp_path):
    for number in (1, 2, 10, 9):
        save(tmp_path / "人" / f"{number}.png", np.full((8, 8), number, np.uint8))
    X, _, _ = load_images_from_directory(tmp_path)
    assert X[:, 0, 0, 0].tolist() == [1, 2, 9, 10]


def test_writing_to_the_images_changes_nothing_on_disk(folder):
    X, _, _ = load_images_from_directory(folder)
    before = X.copy()
    X[:] = 0
    np.testing.assert_array_equal(load_images_from_directory(folder)[0], before)


def test_preprocess_image_averages_when_it_shrinks(tmp_path):
    stripes = np.tile(np.array([[0, 255]], np.uint8), (160, 60))
    save(tmp_path / "stripes.png", stripes)
    image = preprocess_image(tmp_path / "stripes.png", 80, 30)
    assert image.shape == (80, 30, 1) and image.dtype == np.uint8
    assert abs(int(image.mean()) - 127) <= 1 and np.ptp(image[:, 2:-2]) <= 2


@pytest.mark.parametrize("height, width", [(0, 60), (80, -1)])
def test_a_size_without_pixels_is_refused(folder, height, width):
    with pytest.raises(ValueError, match="must be > 0"):
        preprocess_image(folder / "人" / "1.png", height, width)
    with pytest.raises(ValueError, match="must be > 0"):
        load_images_from_directory(folder, height, width)


# --- Bad files ---------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"hello, I am a text file", "cut"])
def test_an_unreadable_image_is_named(folder, content):
    bad = folder / "大" / "bad.png"
    bad.write_bytes((folder / "大" / "1.png").read_bytes()[:900] if content == "cut" else content)
    with pytest.raises(ValueError) as caught:
        load_images_from_directory(folder)
    assert str(bad) in str(caught.value) and "1 of 49 images" in str(caught.value)
    assert [path for path in packed.STORES[0].rglob("*") if path.is_file()] == []


def test_the_quick_decoder_believes_no_damaged_file(folder):
    """Whatever OpenCV reads, Pillow reads as well, and alike; other files are for Pillow."""
    path = folder / "大" / "1.png"
    good, rng = path.read_bytes(), np.random.default_rng(0)
    damaged = [good[:length] for length in rng.integers(0, len(good), 100)]
    for place in [*range(60), *rng.integers(0, len(good), 200)]:
        flipped = good[place] ^ 1 << int(rng.integers(8))
        damaged.append(good[:place] + bytes([flipped]) + good[place + 1 :])
    for content in [good, *damaged]:
        path.write_bytes(content)
        try:
            expected = np.asarray(photos.read_picture(path).convert("L"))
        except photos.PhotoError:
            with pytest.raises(photos.PhotoError):
                packed._read_grey_array(str(path))
            continue
        np.testing.assert_array_equal(packed._read_grey_array(str(path)), expected)


def test_all_unreadable_images_are_counted_and_the_first_named(folder):
    for number in range(7):
        (folder / "人" / f"bad {number}.png").write_bytes(b"")
    for function in (load_images_from_directory, get_image_dimensions):
        with pytest.raises(ValueError) as caught:
            function(folder)
        message = str(caught.value)
        assert "7 of 55 images" in message and "and 2 more" in message
        assert message.count("is empty") == 5


def test_a_missing_image_is_named(tmp_path):
    with pytest.raises(ValueError, match="nowhere.png does not exist"):
        preprocess_image(tmp_path / "nowhere.png")


def test_stray_files_and_hidden_folders_are_ignored(folder):
    expected = plain_loop(folder)
    for stray in (
        "人/.DS_Store",
        "人/Thumbs.db",
        "人/._1.png",
        "人/desktop.ini",
        ".DS_Store",
        "readme.txt",
        "__MACOSX/人/1.png",
        ".git/1.png",
        ".ipynb_checkpoints/1.png",
    ):
        path = folder / stray
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not an image")
    X, _, class_names = load_images_from_directory(folder)
    assert class_names == sorted(CLASSES)
    np.testing.assert_array_equal(X, expected)
    assert count_images_in_folders(folder).tolist() == [12] * 4
    assert len(get_image_dimensions(folder)) == 48


# --- Bad folders -------------------------------------------------------------------------

FUNCTIONS = [load_images_from_directory, count_images_in_folders, get_image_dimensions]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_missing_folder_is_named(tmp_path, function):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        function(tmp_path / "nowhere")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_file_in_place_of_the_folder_is_named(tmp_path, function):
    (tmp_path / "data.zip").write_bytes(b"")
    with pytest.raises(NotADirectoryError, match="data.zip"):
        function(tmp_path / "data.zip")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_folder_without_classes_is_named(tmp_path, function):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="No class folders in .*empty"):
        function(tmp_path / "empty")


def test_class_folders_without_images_are_refused(tmp_path):
    (tmp_path / "Train" / "人").mkdir(parents=True)
    for function in (load_images_from_directory, get_image_dimensions):
        with pytest.raises(ValueError, match="hold no images"):
            function(tmp_path / "Train")
    assert count_images_in_folders(tmp_path / "Train").to_dict() == {"人": 0}


def test_two_spellings_of_one_class_are_refused(tmp_path):
    composed = "が"
    decomposed = unicodedata.normalize("NFD", composed)
    (tmp_path / composed).mkdir()
    try:
        (tmp_path / decomposed).mkdir()
    except FileExistsError:
        # This file system takes the two for one: then there is nothing to confuse.
        assert len(class_folders(tmp_path)) == 1
        return
    with pytest.raises(ValueError, match="same class"):
        class_folders(tmp_path)


def test_decomposed_folder_names_are_composed(tmp_path):
    save(tmp_path / unicodedata.normalize("NFD", "が") / "1.png", grey_image(0))
    assert load_images_from_directory(tmp_path)[2] == ["が"]
    assert load_images_from_directory(tmp_path, class_names=["が"])[2] == ["が"]


# --- Classes and labels ------------------------------------------------------------------


def test_labels_follow_the_class_names_given(folder):
    X, y, class_names = load_images_from_directory(folder, class_names=["虫", "人", "鱼", "大"])
    assert class_names == ["虫", "人", "鱼", "大"]
    for label, name in enumerate(class_names):
        np.testing.assert_array_equal(X[y == label][0], preprocess_image(folder / name / "1.png"))


def test_a_class_missing_in_the_test_set_is_warned_of(folder):
    with pytest.warns(UserWarning, match="No images of 闪 in .*Train"):
        _, y, class_names = load_images_from_directory(folder, class_names=[*CLASSES, "闪"])
    assert class_names == [*CLASSES, "闪"] and set(y) == {0, 1, 2, 3}


def test_an_empty_class_folder_is_warned_of(folder):
    (folder / "闪").mkdir()
    with pytest.warns(UserWarning, match="闪"):
        assert load_images_from_directory(folder)[2] == sorted(CLASSES)


def test_an_unknown_class_is_refused_or_skipped(folder):
    with pytest.raises(ValueError, match="鱼"):
        load_images_from_directory(folder, class_names=["人", "大", "虫"])
    with pytest.warns(UserWarning, match="Left out.*鱼"):
        X, y, _ = load_images_from_directory(folder, class_names=["人", "大", "虫"], skip_unknown=True)
    assert len(X) == 36 and set(y) == {0, 1, 2}


def test_no_class_in_common_is_refused(folder):
    with pytest.raises(ValueError, match="none of the classes"):
        load_images_from_directory(folder, class_names=["门"], skip_unknown=True)


def test_a_class_name_given_twice_is_refused(folder):
    with pytest.raises(ValueError, match="twice: 人"):
        load_images_from_directory(folder, class_names=["人", "人"])


def test_counts_and_dimensions(folder):
    (folder / "大" / "12.png").unlink()
    counts = count_images_in_folders(folder)
    assert counts.to_dict() == {"人": 12, "大": 11, "虫": 12, "鱼": 12}
    assert list(counts.index) == sorted(CLASSES)
    table = get_image_dimensions(folder)
    assert list(table.columns) == ["class", "height", "width"] and len(table) == 47
    with Image.open(folder / "鱼" / "12.png") as image:
        assert tuple(table.iloc[-1]) == ("鱼", image.height, image.width)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no C locale")
def test_chinese_folders_under_the_c_locale(folder):
    code = (
        "import sys; from pathlib import Path; from course import loaders; from course.copies import packed; "
        "packed.STORES = (Path(sys.argv[2]),); "
        "print(ascii(loaders.load_images_from_directory(Path(sys.argv[1]))[2]))"
    )
    for settings_ in ({"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}):
        result = subprocess.run(
            [sys.executable, "-c", code, os.fspath(folder), os.fspath(packed.STORES[0])],
            env={**os.environ, **settings_},
            cwd=REPOSITORY,
            capture_output=True,
            check=True,
        )
        assert result.stdout.decode().strip() == ascii(sorted(CLASSES))


# --- The packed copy ---------------------------------------------------------------------


def _change(folder: Path) -> None:
    save(folder / "大" / "3.png", grey_image(99))


def _change_and_restore_its_time(folder: Path) -> None:
    path = folder / "大" / "3.png"
    before = path.stat()
    save(path, 255 - np.asarray(Image.open(path)))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _add(folder: Path) -> None:
    save(folder / "大" / "13.png", grey_image(98))


def _remove(folder: Path) -> None:
    (folder / "大" / "12.png").unlink()


def _swap(folder: Path) -> None:
    first, second, aside = (folder / "大" / name for name in ("1.png", "2.png", "aside"))
    first.rename(aside)
    second.rename(first)
    aside.rename(second)


def _add_class(folder: Path) -> None:
    save(folder / "门" / "1.png", grey_image(97))


def _move_to_other_class(folder: Path) -> None:
    (folder / "大" / "12.png").rename(folder / "人" / "13.png")


@pytest.mark.parametrize(
    "change", [_change, _change_and_restore_its_time, _add, _remove, _swap, _add_class, _move_to_other_class]
)
def test_a_change_of_the_folder_is_noticed(folder, change):
    load_images_from_directory(folder)
    before = packed_copies()
    assert len(before) == 1
    change(folder)
    X, y, class_names = load_images_from_directory(folder)
    np.testing.assert_array_equal(X, plain_loop(folder))
    assert len(X) == len(y)
    assert len(packed_copies()) == 1 and packed_copies() != before


def test_the_packed_copy_is_what_is_read(folder):
    load_images_from_directory(folder)
    copy = np.load(packed_copies()[0], mmap_mode="r+", allow_pickle=False)
    copy[0] = 7
    copy.flush()
    del copy
    assert (load_images_from_directory(folder)[0][0] == 7).all()


@pytest.mark.parametrize("damage", ["truncated", "empty", "other shape", "not npy"])
def test_a_damaged_packed_copy_is_made_anew(folder, damage):
    load_images_from_directory(folder)
    path = packed_copies()[0]
    data = path.read_bytes()
    path.unlink()
    if damage == "other shape":
        np.save(path, np.zeros((48, 80, 60), np.uint8))
    else:
        path.write_bytes({"truncated": data[:-1000], "empty": b"", "not npy": b"x" * 999}[damage])
    np.testing.assert_array_equal(load_images_from_directory(folder)[0], plain_loop(folder))


@pytest.mark.parametrize("part", ["packed.py", "photos.py", "Pillow"])
def test_a_change_of_the_reading_code_renews_the_copy(folder, tmp_path, monkeypatch, part):
    load_images_from_directory(folder)
    before = packed_copies()
    (tmp_path / part).write_bytes(b"changed")
    changed = {
        "packed.py": (packed, "__file__", str(tmp_path / part)),
        "photos.py": (photos, "__file__", str(tmp_path / part)),
        "Pillow": (packed.PIL, "__version__", "another"),
    }
    monkeypatch.setattr(*changed[part])
    load_images_from_directory(folder)
    assert len(packed_copies()) == 1 and packed_copies() != before


def test_a_file_changed_while_it_is_read_is_read_again(folder, monkeypatch):
    real = packed._read_grey_array

    def read_and_change(path):
        result = real(path)
        save(folder / "人" / "1.png", grey_image(50))
        return result

    monkeypatch.setattr(packed, "_read_grey_array", read_and_change)
    assert len(load_images_from_directory(folder)[0]) == 48
    monkeypatch.setattr(packed, "_read_grey_array", real)
    for _ in range(2):
        np.testing.assert_array_equal(load_images_from_directory(folder)[0], plain_loop(folder))
    assert len(packed_copies()) == 1


def test_copies_of_other_folders_are_kept_until_they_are_old(folder, tmp_path):
    other = tmp_path / "other"
    save(other / "人" / "1.png", grey_image(0))
    load_images_from_directory(other)
    (old,) = packed_copies()
    killed = old.with_name(".new-killed")
    killed.mkdir()
    load_images_from_directory(folder)
    assert len(packed_copies()) == 2 and killed.exists()
    for path in (old, killed):
        os.utime(path, (0, 0))
    _add(folder)
    load_images_from_directory(folder)
    assert len(packed_copies()) == 1 and not old.exists() and not killed.exists()


def test_where_the_repository_cannot_be_written_the_user_cache_serves(folder, own_stores, monkeypatch):
    (own_stores / "a file").write_bytes(b"")
    monkeypatch.setattr(packed, "STORES", (own_stores / "a file" / "packed", own_stores / "user"))
    for _ in range(2):
        np.testing.assert_array_equal(load_images_from_directory(folder)[0], plain_loop(folder))
    assert len(list((own_stores / "user").glob("*.npy"))) == 1


def test_without_any_place_for_a_copy_the_images_load_all_the_same(folder, own_stores, monkeypatch):
    (own_stores / "a file").write_bytes(b"")
    monkeypatch.setattr(packed, "STORES", (own_stores / "a file" / "packed",))
    np.testing.assert_array_equal(load_images_from_directory(folder)[0], plain_loop(folder))


class _FullDisk(io.FileIO):
    """A file on a disk that has room for 100,000 bytes."""

    def write(self, data):
        if self.tell() + memoryview(data).nbytes > 100_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def _open_on_a_full_disk(path, mode, **options):
    return _FullDisk(path, mode) if mode == "wb" else open(path, mode, **options)


def test_a_full_disk_leaves_nothing_behind_and_loads_all_the_same(folder, own_stores, monkeypatch):
    with monkeypatch.context() as full:
        full.setattr(packed, "open", _open_on_a_full_disk, raising=False)
        X, _, _ = load_images_from_directory(folder)
    np.testing.assert_array_equal(X, plain_loop(folder))
    assert [path for path in own_stores.rglob("*") if path.is_file()] == []


def test_an_interrupt_leaves_no_partial_copy(folder, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(packed, "_read_grey_array", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_images_from_directory(folder)
    assert [path for path in packed.STORES[0].rglob("*") if path.is_file()] == []


def test_loading_warns_of_nothing_without_cause(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_images_from_directory(folder)
        load_images_from_directory(folder, class_names=sorted(CLASSES))

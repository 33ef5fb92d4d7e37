"""The one picture reader: every kind of file, through the three doors that use it."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

from course import photos
from course.copies import packed
from course.loaders import (
    count_images_in_folders,
    get_image_dimensions,
    load_images_from_directory,
    preprocess_image,
)
from course.models.teach import TeachError, find_photos
from course.paths import is_junk

import numpy as np
import pytest
from PIL import Image

from tools.sheet import SheetError, read_photo
from tools.sheet.photo import load_pages

# --- what each door sees -----------------------------------------------------------------------


def seen(path: Path) -> dict[str, np.ndarray]:
    """The file as the loaders (one, and the folder of it), lectures and the sheet reader see it."""
    size = photos.picture_size(path)
    return {
        "preprocess_image": preprocess_image(path, *size)[..., 0],
        "load_images_from_directory": load_images_from_directory(path.parent.parent, *size)[0][0, ..., 0],
        "open_photo": np.asarray(photos.open_photo(path)),
        "load_photos": photos.load_photos([path], size)[0],
        "the sheet reader": next(load_pages(path))[1],
    }


def check(path: Path, grey: np.ndarray, tolerance: int = 0) -> None:
    for door, found in seen(path).items():
        planes = found.reshape(*found.shape[:2], -1)
        assert found.dtype == np.uint8, door
        assert np.abs(planes.astype(int) - grey[..., None]).max() <= tolerance, door


@pytest.fixture(autouse=True)
def own_store(tmp_path_factory, monkeypatch) -> None:
    monkeypatch.setattr(packed, "STORES", (tmp_path_factory.mktemp("packed"),))


@pytest.fixture
def folder(tmp_path) -> Path:
    """A class folder, for the loader."""
    path = tmp_path / "图 set" / "人"
    path.mkdir(parents=True)
    return path


GREY = np.random.default_rng(0).integers(0, 256, (30, 22), dtype=np.uint8)
GREY[:12, :9] = 255  # paper, see-through where there is a way to say so
PAPER = GREY == 255
DEEP = GREY.astype(np.uint16) * 257


def with_alpha(colour: tuple[int, ...] = (9, 60, 200)) -> Image.Image:
    """The grey picture, its paper see-through, of a colour that must not show."""
    pixels = np.repeat(GREY[..., None], 4, axis=2)
    pixels[..., 3] = 255
    pixels[PAPER] = (*colour, 0)
    return Image.fromarray(pixels)


def palette(transparent: bool) -> Image.Image:
    """Levels in a shuffled palette."""
    order = np.random.default_rng(1).permutation(256)
    made = Image.fromarray(np.argsort(order).astype(np.uint8)[GREY])
    made.putpalette(np.repeat(order, 3).astype(np.uint8).tobytes())
    if transparent:
        entries = np.repeat(order, 3).reshape(256, 3)
        entries[np.argsort(order)[255]] = (9, 60, 200)
        made.putpalette(entries.astype(np.uint8).tobytes())
        made.info["transparency"] = int(np.argsort(order)[255])
    return made


def tiff(levels: np.ndarray, bits: int, zero: str, order: str = "<") -> bytes:
    """An uncompressed grey TIFF of 12 or 16 bits, made by hand; zero is black, white or unsaid."""
    height, width = levels.shape
    levels = levels if zero == "black" else 2**bits - 1 - levels
    if bits == 12:
        pairs = levels.reshape(-1, 2).astype(np.uint32)
        whole = (pairs[:, 0] << 12) | pairs[:, 1]
        data = np.stack([whole >> 16, whole >> 8 & 255, whole & 255], axis=1).astype(np.uint8).tobytes()
    else:
        data = levels.astype(order + "u2").tobytes()
    entries = [
        (256, width), (257, height), (258, bits), (259, 1), (262, int(zero == "black")),
        (273, 8), (277, 1), (278, height), (279, len(data)),
    ]  # fmt: skip
    entries = [entry for entry in entries if entry[0] != 262 or zero != "unsaid"]
    directory = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in entries)
    head = struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 8 + len(data))
    return head + data + struct.pack(order + "H", len(entries)) + directory + b"\0\0\0\0"


def png(width: int, height: int, bits: int, kind: int, rows: bytes, clear: bytes = b"") -> bytes:
    """A PNG made by hand; `clear` says what is see-through."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    made = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    made += chunk(b"tRNS", clear) if clear else b""
    return made + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def saved(image: Image.Image, kind: str, **options) -> bytes:
    memory = io.BytesIO()
    image.save(memory, kind, **options)
    return memory.getvalue()


def turned(kind: str, **options) -> bytes:
    """Stored lying on its side, with a note which side is up."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(Image.fromarray(np.ascontiguousarray(np.rot90(GREY))), kind, exif=exif, **options)


def animation(kind: str) -> bytes:
    others = [Image.new("L", (22, 30), level) for level in (30, 200)]
    return saved(Image.fromarray(GREY), kind, save_all=True, append_images=others, lossless=True)


GREY_IMAGE = Image.fromarray(GREY)
KINDS = {
    "grey.png": saved(GREY_IMAGE, "PNG"),
    "named.JPE": saved(GREY_IMAGE, "PNG"),
    "named.jfif": saved(GREY_IMAGE, "BMP"),
    "interlaced and with text.png": saved(GREY_IMAGE, "PNG", pnginfo=None, optimize=True),
    "sixteen bits.png": saved(Image.fromarray(DEEP), "PNG"),
    "sixteen bits.tif": saved(Image.fromarray(DEEP), "TIFF"),
    "sixteen bits.pgm": b"P5 22 30 65535\n" + DEEP.astype(">u2").tobytes(),
    "white is zero, 16 bits.tif": tiff(DEEP, 16, "white"),
    "white is zero, 16 bits, big-endian.tif": tiff(DEEP, 16, "white", ">"),
    "white is zero, packed.tif": saved(
        Image.fromarray(65535 - DEEP), "TIFF", tiffinfo={262: 0}, compression="tiff_lzw"
    ),
    "nothing says what zero is.tif": tiff(DEEP, 16, "unsaid"),
    "white is zero, 8 bits.tif": saved(GREY_IMAGE, "TIFF", tiffinfo={262: 0}),
    "big-endian.tif": saved(Image.frombytes("I;16B", (22, 30), DEEP.astype(">u2").tobytes()), "TIFF"),
    "rgb.png": saved(GREY_IMAGE.convert("RGB"), "PNG"),
    "cmyk.tif": saved(GREY_IMAGE.convert("RGB").convert("CMYK"), "TIFF"),
    "palette.png": saved(palette(False), "PNG"),
    "palette.gif": saved(palette(False), "GIF"),
    "see-through palette.png": saved(palette(True), "PNG", transparency=palette(True).info["transparency"]),
    "see-through.png": saved(with_alpha(), "PNG"),
    "see-through.webp": saved(with_alpha(), "WEBP", lossless=True, exact=True),
    "see-through.tif": saved(with_alpha(), "TIFF"),
    "see-through grey.png": saved(with_alpha((9, 9, 9)).convert("LA"), "PNG"),
    "see-through level.png": saved(GREY_IMAGE, "PNG", transparency=255),
    "see-through level of 16 bits.png": saved(Image.fromarray(DEEP), "PNG", transparency=65535),
    "turned.png": turned("PNG"),
    "turned.tif": turned("TIFF"),
    "turned.webp": turned("WEBP", lossless=True),
    "animation.gif": animation("GIF"),
    "animation.webp": animation("WEBP"),
    "animation.png": animation("PNG"),
    "bitmap.bmp": saved(GREY_IMAGE, "BMP"),
}


@pytest.mark.parametrize("name", KINDS)
def test_the_same_picture_in_every_kind_reads_alike_through_every_door(folder, name) -> None:
    (folder / name).write_bytes(KINDS[name])
    assert photos.picture_size(folder / name) == GREY.shape
    check(folder / name, GREY)
    assert get_image_dimensions(folder.parent).iloc[0].tolist() == ["人", *GREY.shape]


@pytest.mark.parametrize("name", ["photo.jpg", "print.jpg", "turned.jpg", "photo.avif"])
def test_kinds_that_lose_something_read_nearly_alike(folder, name) -> None:
    smooth = np.linspace(40, 220, 40 * 30).reshape(40, 30).astype(np.uint8)
    image = Image.fromarray(smooth).convert("CMYK" if name == "print.jpg" else "RGB")
    exif = Image.Exif()
    if name == "turned.jpg":
        image = image.transpose(Image.Transpose.ROTATE_90)
        exif[0x0112] = 6
    image.save(folder / name, quality=100, exif=exif)
    check(folder / name, smooth, tolerance=4)


def test_one_bit_is_black_and_white(folder) -> None:
    pixels = GREY > 100
    Image.fromarray(pixels).save(folder / "1.png")
    check(folder / "1.png", pixels * np.uint8(255))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("zero", ["black", "white", "unsaid"])
@pytest.mark.parametrize("bits", [12, 16])
def test_all_levels_of_many_bits_are_rounded(folder, bits, zero, order) -> None:
    levels = np.arange(2**bits, dtype=np.uint16).reshape(-1, 64)
    (folder / "1.tif").write_bytes(tiff(levels, bits, zero, order))
    expected = np.round(levels / (2**bits - 1) * 255)
    check(folder / "1.tif", expected)
    if (bits, zero) == (16, "black"):
        Image.fromarray(levels).save(folder / "1.tif", "PNG")
        check(folder / "1.tif", expected)


def test_colours_keep_their_places(tmp_path) -> None:
    image = Image.new("RGB", (60, 40), (0, 200, 0))
    image.paste((220, 0, 0), (0, 0, 30, 20))
    for name, mode in (("rgb.png", "RGB"), ("alpha.png", "RGBA"), ("cmyk.tif", "CMYK")):
        image.convert(mode).save(tmp_path / name)
        for found in (np.asarray(photos.open_photo(tmp_path / name)), next(load_pages(tmp_path / name))[1]):
            assert np.abs(found.astype(int) - np.asarray(image)).max() <= 2, name


def test_levels_that_stand_for_paper_count_as_in_the_file(folder) -> None:
    """A PNG says which level is see-through before few bits become eight."""
    for bits, level, expected in ((2, 1, [0, 255, 170, 255]), (4, 8, [0, 85, 170, 255])):
        top = 2**bits - 1
        packed_row = sum(
            value << bits * (3 - place) for place, value in enumerate([0, top // 3, top * 2 // 3, top])
        )
        row = b"\0" + packed_row.to_bytes(bits * 4 // 8, "big")
        (folder / "1.png").write_bytes(png(4, 1, bits, 0, row, struct.pack(">H", level)))
        check(folder / "1.png", np.array([expected], np.uint8))
    row = b"\0" + struct.pack(">6H", 0, 0, 0, *[0x1234] * 3)
    (folder / "1.png").write_bytes(png(2, 1, 16, 2, row, struct.pack(">3H", *[0x1234] * 3)))
    check(folder / "1.png", np.array([[0, 255]], np.uint8))


def pages(*images: Image.Image, **options) -> bytes:
    return saved(images[0], "TIFF", save_all=True, append_images=images[1:], **options)


def test_pages_after_the_first_are_spoken_of(folder) -> None:
    blank = Image.new("L", (22, 30))
    (folder / "scan.tif").write_bytes(pages(GREY_IMAGE, blank, blank))
    with pytest.warns(UserWarning, match=r"scan.tif has 3 pages; only the first"):
        check(folder / "scan.tif", GREY)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        photos.open_photo(photos_of(folder, "one page.tif"))


def test_every_page_can_be_read_and_previews_are_none(folder) -> None:
    preview = Image.new("L", (5, 4), 9)
    preview.encoderinfo = {"tiffinfo": {254: 1}}
    lying = Image.fromarray(np.ascontiguousarray(np.rot90(GREY)))
    lying.encoderinfo = {"tiffinfo": {274: 6}}
    deep = Image.fromarray(DEEP)
    deep.encoderinfo = {"tiffinfo": {262: 0}}
    (folder / "scan.tif").write_bytes(pages(GREY_IMAGE.convert("1"), preview, lying, deep))
    read = [np.asarray(page) for page in photos.read_pages(folder / "scan.tif")]
    assert [page.shape for page in read] == [GREY.shape] * 3
    assert (read[1] == GREY).all() and (read[2] == 255 - GREY).all()
    (folder / "scan.tif").write_bytes(pages(GREY_IMAGE, preview))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(folder / "scan.tif", GREY)
    for name in ("animation.gif", "grey.png"):
        (folder / name).write_bytes(KINDS[name])
        (only,) = photos.read_pages(folder / name)
        assert (np.asarray(only.convert("L")) == GREY).all()


def photos_of(folder: Path, name: str) -> Path:
    Image.fromarray(GREY).save(folder / name)
    return folder / name


# --- files that are refused --------------------------------------------------------------------


def bomb(width: int = 30_000, height: int = 30_000) -> bytes:
    """A PNG of a few hundred bytes that claims to be huge."""
    return png(width, height, 8, 0, b"\0" * 1000)


HEIC = struct.pack(">I", 24) + b"ftypheic" + b"\0\0\0\0" + b"mif1heic" + b"\0" * 100
NOISE = Image.fromarray(np.random.default_rng(1).integers(0, 256, (80, 90, 3), dtype="uint8"))
FLOATS = Image.fromarray(np.linspace(0, 1, 48, dtype=np.float32).reshape(6, 8))
BAD = {
    "bomb.png": (bomb(), "more than 178,956,970 pixels"),
    "less.png": (bomb(14_000, 13_000), "more than 178,956,970 pixels"),
    "phone.heic": (HEIC, "HEIC.*Save it as JPEG.*iPhone"),
    "phone.jpg": (HEIC, "HEIC"),
    "text.heic": (b"no picture", "HEIC"),
    "scan.jpg": (b"%PDF-1.7 and so on", "is a PDF"),
    "empty.jpg": (b"", r"is empty \(0 bytes\)"),
    "text.jpg": (b"no picture at all", "save it as JPEG or PNG"),
    "float.tif": (saved(FLOATS, "TIFF"), "32-bit levels"),
    "whole numbers.tif": (saved(Image.new("I", (8, 8), 9), "TIFF"), "32-bit levels"),
    "no pixels.png": (bomb(20, 90)[:41] + bomb(20, 90)[-12:], "no pixels.png"),
    **{
        f"cut {kind}.jpg": (saved(NOISE, kind)[: len(saved(NOISE, kind)) // 2], "copy it again")
        for kind in ("JPEG", "PNG", "WEBP", "TIFF", "GIF")
    },
    "cut grey.png": (saved(NOISE.convert("L"), "PNG")[:5000], "copy it again"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_give_one_clear_error_through_every_door(folder, name) -> None:
    content, words = BAD[name]
    path = folder / name
    path.write_bytes(content)
    doors = {
        lambda: photos.open_photo(path): photos.PhotoError,
        lambda: photos.load_photos([path]): photos.PhotoError,
        lambda: preprocess_image(path): photos.PhotoError,
        lambda: load_images_from_directory(folder.parent): ValueError,
        lambda: read_photo(path): SheetError,
    }
    for door, kind in doors.items():
        with pytest.raises(kind, match=words) as caught:
            door()
        assert str(path) in str(caught.value)


def test_missing_files_and_folders(tmp_path) -> None:
    for door, kind in ((photos.open_photo, photos.PhotoError), (read_photo, SheetError)):
        with pytest.raises(kind, match="none.jpg does not exist"):
            door(tmp_path / "none.jpg")
        with pytest.raises(kind, match="is a folder"):
            door(tmp_path)
    with pytest.raises(photos.PhotoError, match="empty"):
        photos.load_photos([])


# --- one size ----------------------------------------------------------------------------------


def test_fitting_squeezes_or_crops() -> None:
    image = Image.new("RGB", (400, 200), (0, 0, 255))
    image.paste((255, 0, 0), (0, 0, 40, 200))  # a tenth on the left
    whole = photos.fit(image, (100, 100), "whole")
    centre = photos.fit(image, (100, 100), "centre")
    assert whole.shape == centre.shape == (100, 100, 3)
    assert (whole[50, :8, 0] > 200).all() and (whole[50, 15:, 2] > 200).all()
    assert (centre[..., 2] > 200).all()  # the red tenth lies outside of the centre
    tall = photos.fit(image, (120, 60), "centre")
    assert tall.shape == (120, 60, 3)
    with pytest.raises(ValueError, match="how must be"):
        photos.fit(image, (10, 10), "middle")


# --- one list of endings, one of junk ----------------------------------------------------------


def test_every_ending_is_read(folder) -> None:
    for suffix in photos.SUFFIXES:
        (folder / f"1{suffix.upper()}").write_bytes(KINDS["grey.png"])
    X, _, _ = load_images_from_directory(folder.parent, *GREY.shape)
    assert len(X) == len(photos.SUFFIXES) and (X[..., 0] == GREY).all()
    found, left_out = find_photos(second_class(folder))
    assert len(found["人"]) == len(X) and left_out == []


def second_class(folder: Path) -> Path:
    (folder.parent / "b").mkdir()
    for number in range(5):
        (folder.parent / "b" / f"{number}.png").write_bytes(KINDS["grey.png"])
    return folder.parent


def test_what_is_passed_over_is_counted_in_one_line(folder) -> None:
    for number in range(5):
        (folder / f"{number}.png").write_bytes(KINDS["grey.png"])
    root = second_class(folder)
    (root / "loose.jfif").write_bytes(KINDS["grey.png"])
    (folder / "more").mkdir()
    (folder / "folder.png").mkdir()
    for name in ("notes.txt", "raw.CR2", "png", "no ending", "6.png.part", "人.zip", "Thumbs.db", "@eaDir"):
        (folder / name).write_bytes(b"")
    (root / "readme.txt").write_bytes(b"")  # no picture, and beside the classes: nobody misses it
    told = f"9 passed over in {root}: loose.jfif, 人/png, 人/more, 人/人.zip, 人/raw.CR2 and 4 more. "
    for function in (load_images_from_directory, get_image_dimensions, count_images_in_folders):
        with pytest.warns(UserWarning) as caught:
            function(root)
        assert [str(each.message)[: len(told)] for each in caught] == [told]
    found, left_out = find_photos(root)
    assert [len(paths) for paths in found.values()] == [5, 5] and len(left_out) == 9
    for number in range(5):
        (root / "b" / f"{number}.png").rename(root / "b" / f"{number}.cr2")
    with pytest.raises(TeachError, match=r"'b' 0.* \(14 left out: loose.jfif is no photo inside"):
        find_photos(root)


JUNK = [".DS_Store", "._1.png", "Thumbs.db", "THUMBS.DB", "desktop.ini", "__MACOSX", "$RECYCLE.BIN", "@eaDir"]
JUNK += [".ipynb_checkpoints", "lost+found", "System Volume Information", "#recycle", ".git", "~$a.png"]
JUNK += [
    ".Trashes",
    ".Trash-1000",
    ".@__thumb",
    "@SynoEAStream",
    "#snapshot",
    "~snapshot",
    "RECYCLED",
    "LOST.DIR",
]


def test_junk_is_nobodys_class_and_nobodys_photo(tmp_path) -> None:
    for label in "ab":
        for number in range(5):
            (tmp_path / label).mkdir(exist_ok=True)
            Image.fromarray(GREY).save(tmp_path / label / f"{number}.png")
            for name in JUNK:
                (tmp_path / label / name).write_bytes(b"x")
    for name in JUNK:
        if not (tmp_path / name).exists():  # not case-sensitive
            (tmp_path / name).mkdir()
            (tmp_path / name / "1.png").write_bytes(b"x")
    assert all(map(is_junk, JUNK)) and not any(map(is_junk, ["人", "a.png", "thumbs.png", "__a", "@", "#"]))
    assert load_images_from_directory(tmp_path)[2] == ["a", "b"]
    found, left_out = find_photos(tmp_path)
    assert [len(paths) for paths in found.values()] == [5, 5] and left_out == []

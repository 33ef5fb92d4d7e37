"""The one picture reader of the course, and photos as arrays of one size."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

# Endings of the pictures that are read. HEIC is among them so that it is refused with advice.
SUFFIXES = frozenset(
    ".png .apng .jpg .jpeg .jpe .jfif .jif .mpo .jp2 .j2k .jpx .jpf .j2c .jpc .webp .gif .bmp .dib .tif .tiff"
    " .tga .ppm .pgm .pbm .pnm .psd .ico .icns .pcx .sgi .qoi .avif .avifs .heic .heics .heif .heifs"
    " .hif".split()
)
# What files of the iPhone's usual format begin with, after four bytes.
_HEIC = tuple(b"ftyp" + brand for brand in b"heic heix heim heis hevc hevx mif1 msf1".split())

# Pillow lists deep grey TIFFs for one order of bytes, or one meaning of zero, alone.
for _order, _raw in ((b"II", "I;16"), (b"MM", "I;16B")):
    for _zero in (0, 1):
        TiffImagePlugin.OPEN_INFO.setdefault((_order, _zero, (1,), 1, (16,), ()), (_raw, _raw))
        TiffImagePlugin.OPEN_INFO.setdefault((_order, _zero, (1,), 1, (12,), ()), ("I;16", "I;12"))

# Pillow warns at half of the size that it refuses. (Not set and unset for each file: threads read.)
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class PhotoError(ValueError):
    """A file cannot be used as a picture; the message names it and says what to do."""


def read_picture(path: str | PathLike, enough: int | None = None) -> Image.Image:
    """Read a file in any format that Pillow knows: upright, "L" (grey) or "RGB", 8 bits.

    The camera's note which side is up (EXIF) is followed. Transparent parts become white paper,
    16-bit greys are rounded to 8 bits, CMYK and palettes become RGB. Of an animation the first
    picture is taken, of a TIFF the first page, and a warning says how many there are. A JPEG may be
    decoded at a half, a quarter or an eighth of its size, as long as both sides keep `enough` pixels.

    PhotoError: no such file; no picture; damaged; HEIC and no decoder for it; 32-bit levels, which no rule
    makes grey; or more pixels than Pillow opens, 179 million.
    """
    with _opened(path) as image:
        if (number := len(_pages(image))) > 1:
            told = f"{path} has {number} pages; only the first is read. Save each as a file."
            warnings.warn(told, stacklevel=2)
        return _read(image, path, enough)


def read_pages(path: str | PathLike, enough: int | None = None) -> Iterator[Image.Image]:
    """Read every page of a TIFF, or the one picture of another file, as `read_picture` does."""
    with _opened(path) as image:
        for number in _pages(image):
            image.seek(number)
            yield _read(image, path, enough)


def _pages(image: Image.Image) -> list[int]:
    """Go to a TIFF's first page; the numbers of all of them, without previews and masks of a page."""
    pages = []
    for number in range(image.n_frames if image.format == "TIFF" else 0):
        image.seek(number)
        if not image.tag_v2.get(ExifTags.Base.NewSubfileType, 0) & 0b101:
            pages.append(number)
    pages = pages or [0]
    image.seek(pages[0])
    return pages


def _read(image: Image.Image, path: str | PathLike, enough: int | None) -> Image.Image:
    """The picture that an open file has here, as `read_picture` returns it."""
    if image.format == "JPEG" and enough:
        image.draft("RGB", (enough, enough))
    clear = image.info.get("transparency")
    if image.format == "PNG" and clear is not None and image.tile:  # levels as in the file, not as decoded
        kind = image.tile[0][3]
        if isinstance(clear, int):
            image.info["transparency"] = clear * {"L;2": 85, "L;4": 17}.get(kind, 1)
        elif kind == "RGB;16B":
            image.info["transparency"] = tuple(level >> 8 for level in clear)
    image.load()
    upright = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return _eight_bits(upright, image)
    if image.mode in ("I", "F"):
        raise PhotoError(
            f"{path} has 32-bit levels, or levels with a sign, and nothing says which of them is white; "
            "save it with 8 or 16 bits"
        )
    if image.has_transparency_data:
        upright = upright.convert("RGBA")
        paper = Image.new("RGBA", upright.size, "white")
        return Image.alpha_composite(paper, upright).convert("RGB")
    return upright.convert("L" if image.mode in ("L", "1") else "RGB")


def _eight_bits(image: Image.Image, source: Image.Image) -> Image.Image:
    """Round deep grey levels; Pillow itself would cut them off at 255."""
    tags = getattr(source, "tag_v2", {ExifTags.Base.PhotometricInterpretation: 1})
    white = 2 ** tags.get(ExifTags.Base.BitsPerSample, (16,))[0] - 1
    levels = np.asarray(image).astype(np.uint32)
    clear = levels == source.info.get("transparency", -1)
    if tags.get(ExifTags.Base.PhotometricInterpretation, 0) == 0:  # white is zero, as Pillow takes it
        levels = white - levels
    grey = (levels * 255 + white // 2) // white
    return Image.fromarray(np.where(clear, 255, grey).astype(np.uint8))


def picture_size(path: str | PathLike) -> tuple[int, int]:
    """Height and width of an upright picture, from the head of its file; PhotoError if that is damaged."""
    with _opened(path) as image:
        _pages(image)
        # Pillow gives the sizes of TIFFs upright.
        turned = image.format != "TIFF" and image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
        return image.size if turned else image.size[::-1]


@contextlib.contextmanager
def _opened(path: str | PathLike) -> Iterator[Image.Image]:
    """A picture open in Pillow; whatever goes wrong while it is becomes a PhotoError."""
    if not os.path.isfile(path):
        raise PhotoError(f"{path} {'is a folder' if os.path.isdir(path) else 'does not exist'}")
    try:
        # By its path, Pillow would map an uncompressed TIFF that lies on its side, and garble it.
        with open(path, "rb") as file, Image.open(file) as image:
            yield image
    except PhotoError:
        raise
    except Image.DecompressionBombError:
        raise PhotoError(
            f"{path} has more than {2 * Image.MAX_IMAGE_PIXELS:,} pixels, which can fill the memory. "
            "Make it smaller first"
        ) from None
    except UnidentifiedImageError:
        raise PhotoError(_unknown(Path(path))) from None
    except Exception as error:  # on broken files Pillow's decoders raise of everything
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise PhotoError(
            f"{path} cannot be read as a picture ({reason}): it may be cut off or damaged; copy it "
            "again or leave it out"
        ) from error


def _unknown(path: Path) -> str:
    content = path.read_bytes()
    if not content:
        return f"{path} is empty (0 bytes)"
    if content[4:].startswith(_HEIC) or path.suffix.lower() in (".heic", ".heif"):
        return (
            f"{path} is HEIC, which Pillow cannot decode. Save it as JPEG first (iPhone: "
            "Settings, Camera, Formats, Most Compatible; or export it from your photo program)"
        )
    if content.startswith(b"%PDF"):
        return f"{path} is a PDF; save its pages as PNG or JPEG and name those"
    return f"{path} is no picture in a format that Pillow reads; save it as JPEG or PNG"


def open_photo(path: str | PathLike) -> Image.Image:
    """Read a photo as an upright RGB image, as large as networks need; see `read_picture`."""
    return read_picture(path, enough=1024).convert("RGB")


def fit(image: Image.Image, dims: tuple[int, int], how: str = "whole") -> np.ndarray:
    """Scale an RGB image to dims, height and width: uint8, shape (height, width, 3).

    `how="whole"` squeezes all of the photo into the size; `"centre"` keeps the proportions and cuts off
    the edges, as networks are usually evaluated on ImageNet.
    """
    height, width = dims
    box = (0, 0, image.width, image.height)
    if how == "centre":
        # As in the evaluation of EfficientNet: 224 of 256 pixels of the shorter side.
        share = 224 / 256 * min(image.width / width, image.height / height)
        left, top = (image.width - share * width) / 2, (image.height - share * height) / 2
        box = (left, top, left + share * width, top + share * height)
    elif how != "whole":
        raise ValueError(f"how must be whole or centre, not {how!r}")
    # Pillow's bicubic filter averages over what falls together when it makes an image smaller.
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC, box=box))


def load_photos(
    paths: Iterable[str | PathLike], dims: tuple[int, int] = (224, 224), how: str = "whole"
) -> np.ndarray:
    """Read photos into one array, uint8 (n, height, width, 3), red first; arguments as in `fit`.

    PhotoError if no path is given, or a file cannot be used; see `read_picture`.
    """
    images = [fit(open_photo(path), dims, how) for path in paths]
    if not images:
        raise PhotoError("there is no photo to read: the list of paths is empty")
    return np.stack(images)

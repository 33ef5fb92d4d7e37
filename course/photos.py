"""The one picture reader of the course, and photos as arrays of one size."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

# Endings of the pictures that are read. HEIC is among them so that it is refused with advice.
SUFFIXES = frozenset(
    ".png .apng .jpg .jpeg .jpe .jfif .jp2 .webp .gif .bmp .dib .tif .tiff .tga .ppm .pgm .pbm .pnm"
    " .avif .heic .heif".split()
)
# Endings of pictures that are left out, with a word.
OTHER_SUFFIXES = frozenset(".jxl .psd .xcf .svg .eps .raw .dng .cr2 .cr3 .nef .arw .orf .rw2 .raf".split())
# What files of the iPhone's usual format begin with, after four bytes.
_HEIC = tuple(b"ftyp" + brand for brand in b"heic heix heim heis hevc hevx mif1 msf1".split())

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

    Raises
    ------
    PhotoError
        No such file; no picture; damaged; HEIC and no decoder for it; 32-bit levels, which no
        rule makes grey; or more pixels than Pillow opens, 179 million.
    """
    with _opened(path) as image:
        if image.format == "TIFF" and image.n_frames > 1:
            warnings.warn(
                f"{path} has {image.n_frames} pages; only the first is read. Save each as a file.",
                stacklevel=2,
            )
        if image.format == "JPEG" and enough:
            image.draft("RGB", (enough, enough))
        image.load()
        upright = ImageOps.exif_transpose(image)
        if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
            return _eight_bits(upright, image)
        if image.mode in ("I", "F"):
            raise PhotoError(
                f"{path} has 32-bit levels, and nothing says which of them is white; save it with 8 "
                "or 16 bits"
            )
        if image.has_transparency_data:
            upright = upright.convert("RGBA")
            paper = Image.new("RGBA", upright.size, "white")
            return Image.alpha_composite(paper, upright).convert("RGB")
        return upright.convert("L" if image.mode in ("L", "1") else "RGB")


def _eight_bits(image: Image.Image, source: Image.Image) -> Image.Image:
    """Round deep grey levels; Pillow itself would cut them off at 255."""
    tags = getattr(source, "tag_v2", {})
    white = 2 ** tags.get(ExifTags.Base.BitsPerSample, (16,))[0] - 1
    levels = np.asarray(image).astype(np.uint32)
    clear = levels == source.info.get("transparency", -1)
    if tags.get(ExifTags.Base.PhotometricInterpretation) == 0:  # white is zero
        levels = white - levels
    grey = (levels * 255 + white // 2) // white
    return Image.fromarray(np.where(clear, 255, grey).astype(np.uint8))


def picture_size(path: str | PathLike) -> tuple[int, int]:
    """Height and width of an upright picture, from the head of its file; PhotoError if that is damaged."""
    with _opened(path) as image:
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

    Raises
    ------
    PhotoError
        No path is given, or a file cannot be used; see `read_picture`.
    """
    images = [fit(open_photo(path), dims, how) for path in paths]
    if not images:
        raise PhotoError("there is no photo to read: the list of paths is empty")
    return np.stack(images)

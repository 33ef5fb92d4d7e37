"""Photos from anywhere, as arrays: turned upright, in colour, of one size, or refused by name."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from os import PathLike
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# A small file can unpack to gigabytes. Phones make up to 108 million pixels; scans rarely more.
MAX_PIXELS = 120_000_000
# What the first bytes of HEIC files, the iPhone's usual format, say after "ftyp".
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
FITS = ("whole", "centre")
# As in the evaluation of EfficientNet: 224 of 256 pixels of the shorter side.
CENTRE_SHARE = 224 / 256


class PhotoError(ValueError):
    """A file cannot be used as a photo; the message names it and says what to do."""


def open_photo(path: str | PathLike) -> Image.Image:
    """Open a photo in any format that Pillow reads, as an upright RGB image.

    The camera's note which side is up (EXIF orientation) is followed. Transparent parts become
    white, CMYK and grey become RGB, 16-bit greys keep their upper 8 bits, and of an animation the
    first picture is taken.

    Raises:
        PhotoError: There is no such file, it is no picture, it is broken, it is HEIC and no
            decoder is there, or it has more than `MAX_PIXELS` pixels.
    """
    path = Path(path)
    if path.is_dir():
        raise PhotoError(f"{path} is a folder, not a photo")
    if not path.is_file():
        raise PhotoError(f"{path} does not exist")
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures earlier than we refuse them.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise PhotoError(_too_large(path, f"{width:,} × {height:,} pixels"))
                if image.format == "JPEG":
                    # JPEG can be decoded at a half, a quarter or an eighth: enough for a network.
                    image.draft("RGB", (1024, 1024))
                image.load()
                return _to_rgb(ImageOps.exif_transpose(image))
    except PhotoError:
        raise
    except Image.DecompressionBombError:
        raise PhotoError(_too_large(path, "even more pixels than Pillow opens")) from None
    except UnidentifiedImageError:
        raise PhotoError(_unknown(path)) from None
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, IndexError) as error:
        # Pillow's decoders raise all of these on broken files.
        raise PhotoError(
            f"{path} cannot be read as a photo ({error or type(error).__name__}): the file may be "
            "cut off or damaged; copy it again or leave it out"
        ) from error


def _too_large(path: Path, what: str) -> str:
    return (
        f"{path} has {what}; at most {MAX_PIXELS:,} are read, because such a file can fill the "
        "memory. Make it smaller first"
    )


def _unknown(path: Path) -> str:
    with open(path, "rb") as file:
        head = file.read(12)
    if not head:
        return f"{path} is empty"
    if head[4:8] == b"ftyp" and head[8:12] in HEIC_BRANDS:
        return (
            f"{path} is HEIC, which Pillow cannot decode. Save it as JPEG first (iPhone: "
            "Settings, Camera, Formats, Most Compatible; or export it from your photo program)"
        )
    return f"{path} is no picture in a format that Pillow reads; save it as JPEG or PNG"


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I;16", "I;16L", "I;16B", "I;16N", "I", "F"):
        values = np.asarray(image).astype("float64")
        if values.max(initial=0) > 255:
            values = values / 257  # 65,535 becomes 255
        image = Image.fromarray(np.clip(values.round(), 0, 255).astype("uint8"))
    if image.mode == "P" and "transparency" not in image.info:
        return image.convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa", "P") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def fit(image: Image.Image, dims: tuple[int, int], how: str = "whole") -> np.ndarray:
    """Scale an RGB image to one size.

    Args:
        image: As `open_photo` returns it.
        dims: Height and width in pixels.
        how: `"whole"` squeezes all of the photo into the size; `"centre"` keeps the proportions
            and cuts off the edges, as networks are usually evaluated on ImageNet.

    Returns:
        uint8 array (height, width, 3), values 0 to 255.
    """
    if how not in FITS:
        raise ValueError(f"how must be one of {', '.join(FITS)}, not {how!r}")
    height, width = dims
    if how == "centre":
        share = CENTRE_SHARE * min(image.width / width, image.height / height)
        wide, high = share * width, share * height
        left, top = (image.width - wide) / 2, (image.height - high) / 2
        box = (left, top, left + wide, top + high)
    else:
        box = (0, 0, image.width, image.height)
    # Pillow's bicubic filter averages over what falls together when it makes an image smaller.
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC, box=box))


def load_photos(
    paths: Iterable[str | PathLike], dims: tuple[int, int] = (224, 224), how: str = "whole"
) -> np.ndarray:
    """Read photos into one array, uint8 (n, height, width, 3), red first.

    Args:
        paths: Files.
        dims: Height and width in pixels.
        how: As in `fit`.

    Raises:
        PhotoError: No path is given, or a file cannot be used; see `open_photo`.
    """
    images = [fit(open_photo(path), dims, how) for path in paths]
    if not images:
        raise PhotoError("there is no photo to read: the list of paths is empty")
    return np.stack(images)

"""Make `kernel-explorer-photo.js` from the photo that the kernel explorer shows.

    python -m tools.kernel_explorer

Pages opened from disk may not fetch a file and may not read the pixels of an image, so the grey
levels travel inside a script. `tests/unit/test_kernel_explorer_photo.py` fails when the photo has changed.
"""

import base64
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ASSETS = Path(__file__).resolve().parents[1] / "assets"
PHOTO = ASSETS / "images" / "photos" / "cat.png"
SCRIPT = ASSETS / "js" / "kernel-explorer-photo.js"
ALT = "Close-up of a tabby cat's face, in grey"
# Where the explorer looks first, as shares of height and width: beside an eye, a steep edge.
START = (0.4, 0.464)


def grey_levels(path: Path = PHOTO) -> np.ndarray:
    """Grey levels of a photo, uint8 of shape (height, width), weighted as in ITU-R BT.601."""
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


def script(path: Path = PHOTO) -> str:
    """The script: width, height, grey levels row by row in base64, and the photo's SHA-256."""
    levels = grey_levels(path)
    fields = {
        "photo": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "width": levels.shape[1],
        "height": levels.shape[0],
        "alt": ALT,
        "start": START,
        "pixels": base64.b64encode(levels.tobytes()).decode("ascii"),
    }
    lines = [f"  {name}: {json.dumps(value)}," for name, value in fields.items()]
    return (
        "// Made by python -m tools.kernel_explorer. Do not edit.\n"
        "window.CourseKernelPhoto = {\n" + "\n".join(lines) + "\n};\n"
    )


if __name__ == "__main__":
    SCRIPT.write_text(script(), encoding="utf-8", newline="\n")
    print(f"{SCRIPT.name}: {SCRIPT.stat().st_size / 1000:.0f} kB", file=sys.stderr)

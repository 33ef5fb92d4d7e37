"""Make `kernel-explorer-photo.js` from the photo that the kernel explorer shows.

    python -m tools.kernel_explorer

Pages opened from disk may not fetch a file and may not read the pixels of an image, so the grey
levels travel inside a script. `tests/unit/test_kernel_explorer_photo.py` fails when the photo has changed.
"""

import argparse
import base64
import hashlib
import json
import sys
from pathlib import Path

from course.paths import ASSETS
from course.photos import read_picture
from course.store.files import write_whole

PHOTO = ASSETS / "images" / "photos" / "cat.png"
SCRIPT = ASSETS / "js" / "kernel-explorer-photo.js"


def script(path: Path = PHOTO) -> str:
    """The script: width, height, grey levels (ITU-R BT.601) row by row in base64, and the photo's SHA-256."""
    levels = read_picture(path).convert("L")
    fields = {
        "photo": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "width": levels.width,
        "height": levels.height,
        "alt": "Close-up of a tabby cat's face, in grey",
        # Where the explorer looks first, as shares of height and width: beside an eye, a steep edge.
        "start": (0.4, 0.464),
        "pixels": base64.b64encode(levels.tobytes()).decode("ascii"),
    }
    lines = "".join(f"  {name}: {json.dumps(value)},\n" for name, value in fields.items())
    made_by = "// Made by python -m tools.kernel_explorer. Do not edit.\n"
    return f"{made_by}window.CourseKernelPhoto = {{\n{lines}}};\n"


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m tools.kernel_explorer", description=__doc__).parse_args()
    write_whole(SCRIPT, script())
    print(f"{SCRIPT.name}: {SCRIPT.stat().st_size / 1000:.0f} kB", file=sys.stderr)

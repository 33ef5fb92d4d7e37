"""The data of the kernel explorer: made from the photo that ships, and noticed when stale."""

import base64
import hashlib
import json
import re

from course.paths import ASSETS

import numpy as np
import pytest
from PIL import Image

from tools import kernel_explorer

PHOTO = ASSETS / "images" / "photos" / "cat.png"


def fields(script: str) -> dict:
    """What the script puts into window.CourseKernelPhoto."""
    return {
        name: json.loads(value) for name, value in re.findall(r"^  (\w+): (.*),$", script, flags=re.MULTILINE)
    }


def shipped() -> str:
    return (ASSETS / "js" / "kernel-explorer-photo.js").read_text(encoding="utf-8")


def test_shipped_script_is_made_from_the_shipped_photo():
    assert shipped() == kernel_explorer.script(), (
        "the photo or its builder has changed: run python -m tools.kernel_explorer"
    )


def test_script_holds_the_grey_levels_of_the_photo():
    data = fields(shipped())
    levels = np.frombuffer(base64.b64decode(data["pixels"]), np.uint8)
    levels = levels.reshape(data["height"], data["width"])
    with Image.open(PHOTO) as image:
        assert np.array_equal(levels, np.asarray(image.convert("L")))
    assert data["sha256"] == hashlib.sha256(PHOTO.read_bytes()).hexdigest()


def test_a_changed_photo_changes_the_script(tmp_path):
    with Image.open(PHOTO) as image:
        changed = np.array(image)
    changed[5, 7] = 255 - changed[5, 7]
    Image.fromarray(changed).save(tmp_path / "cat.png")
    assert kernel_explorer.script(tmp_path / "cat.png") != shipped()


@pytest.mark.parametrize("script", ["kernel-explorer.js", "kernel-explorer-photo.js", "animation.js"])
def test_scripts_are_classic_and_need_no_network(script):
    """Browsers refuse modules and fetched files in a page that is opened from disk."""
    text = (ASSETS / "js" / script).read_text(encoding="utf-8")
    code = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
    for word in ("import ", "export ", "fetch(", "XMLHttpRequest", "http:", "https:", "eval("):
        assert word not in code, word

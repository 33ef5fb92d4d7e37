"""Whether somebody has worked in a notebook, which must then not be overwritten or published."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def fingerprint(cells: list[dict[str, Any]]) -> str:
    """SHA-256 of the kinds and the texts of the cells; badge and set-up change with each release."""
    kept = (cell for cell in cells if cell.get("id") not in ("badge", "setup"))
    texts = [[cell["cell_type"], "".join(cell["source"])] for cell in kept]
    return hashlib.sha256(json.dumps(texts).encode("utf-8")).hexdigest()


def origin(data: bytes) -> str:
    """The fingerprint of the cells that a notebook was written with, or "" where it has none."""
    try:
        return json.loads(data)["metadata"]["course"]["cells"]
    except (ValueError, LookupError, TypeError):
        return ""


def is_worked(path: Path) -> bool:
    """Whether a notebook holds somebody's work: outputs, or other cells than it was written with."""
    data = path.read_bytes() if path.is_file() else b""
    try:
        cells = json.loads(data)["cells"]
        ran = any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
        return ran or origin(data) not in ("", fingerprint(cells))
    except (ValueError, LookupError, TypeError, AttributeError):
        # Marks of a conflict are git's work. What else it may be nobody knows.
        return bool(data) and b"\n<<<<<<< " not in data


def refuse_work(project: Any) -> None:
    """Stop where the site would publish hand-outs with somebody's work in them."""
    from .qmd import RenderError, raise_all  # which students, who have this module, do not have

    message = (
        "somebody has worked in it, and the site would show that; "
        "`make notebooks` keeps the work in my-work/ and writes the hand-out anew"
    )
    patterns = (str(each).lstrip("/") for each in project.config["project"].get("resources") or [])
    found = (path for each in patterns if each.endswith(".ipynb") for path in project.root.glob(each))
    names = [path.relative_to(project.root).as_posix() for path in found if is_worked(path)]
    raise_all([RenderError(message, name) for name in names])

"""Teach a pretrained network your own classes, from a folder of your photos.

    python -m tools.teach FOLDER                    # a folder in it for each class
    python -m tools.teach --predict FOLDER/head.npz PHOTO ...

`course.models.teach` says how it is done.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from course.models.efficientnet_lite import WeightsError
from course.models.teach import FAMILIAR, FEWEST, TeachError, load_head, teach
from course.photos import PhotoError

import numpy as np

from tools.console import python, speak_utf8


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns 0, or 1 after an error that it has printed."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.teach",
        description="Teach a pretrained network your own classes: FOLDER holds a folder for each "
        f"class, each with at least {FEWEST} photos. With --predict, name new photos.",
    )
    add = parser.add_argument
    add("folder", nargs="?", help="the folder of the classes")
    add("--save", metavar="FILE", help="where the head goes (default: head.npz in the folder)")
    add("--skip", action="store_true", help="leave out photos that cannot be read")
    add("--seed", type=int, default=123, help="of the cross-validation")
    add("--predict", nargs="+", metavar=("HEAD", "PHOTO"), help="a saved head and the photos to name")
    options = parser.parse_args(arguments)
    speak_utf8()
    if (options.folder is None) == (options.predict is None):
        parser.error("name a folder to teach, or use --predict HEAD PHOTO …, one of the two")
    try:
        _predict(*options.predict) if options.predict else _teach(options)
    except (TeachError, PhotoError, WeightsError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; nothing was saved.", file=sys.stderr)
        return 130
    return 0


def _teach(options: argparse.Namespace) -> None:
    taught = teach(options.folder, seed=options.seed, skip=options.skip)
    print(taught.summary())
    path = taught.save(options.save or Path(options.folder) / "head.npz")
    print(f"Taught in {taught.seconds:.0f} s and saved to {path}. Now try it on new photos:")
    print(f"  {python('tools.teach', '--predict', path)} PHOTO …")


def _predict(head: str, *photos: str) -> None:
    if not photos:
        raise TeachError("name at least one photo after the head")
    taught = load_head(head)
    for path, row, strange in zip(photos, *taught.judge(photos), strict=True):
        best = np.argsort(-row, kind="stable")[:3]
        answer = ", ".join(f"{taught.class_names[k]} {row[k]:.0%}" for k in best)
        print(f"{path}: " + ("like nothing that was taught; if it must be one: " if strange else "") + answer)
    print(
        "It knows these classes only. A photo is like nothing that was taught where none of the photos\n"
        f"taught is as near to it as {FAMILIAR:.0%} of them are to another. Some strange photos pass."
    )


if __name__ == "__main__":
    sys.exit(main())

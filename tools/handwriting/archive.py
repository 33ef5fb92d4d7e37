"""The handwriting that ships: one archive, rebuilt bit for bit from its seed.

``python -m tools.handwriting.archive`` writes ``data/handwriting.tar.xz``.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
import tarfile
from pathlib import Path

from course.characters import CHARACTERS
from course.paths import DATA
from course.store.files import as_json, write_whole

from tools.handwriting.generate import Task, perform, plan
from tools.handwriting.strokes import STROKES

ARCHIVE = DATA / "handwriting.tar.xz"
WRITERS, TEST_WRITERS, LEARNERS, SEED = 150, 36, 1, 1
FEWER = {"啖": (60, 15), "囡": (60, 15)}  # as rare as in CASIA

LICENSE = """\
Simulated handwriting
=====================

The images in Train, Test and Notebook are simulated. They were drawn by the program
course/handwriting of this repository. No image shows the writing of a real person, and none is
taken from the CASIA databases, whose folder layout they follow.

The shapes derive from the stroke medians of hanzi-writer-data 2.0.1, which derive, through the
project Make Me a Hanzi, from the fonts AR PL KaitiM GB and AR PL UKai of Arphic Technology. The
images are therefore under the Arphic Public License, whose text follows. How far a hand moves the
strokes from there is measured on characters drawn for the project Tomoe (data/proportions).

"""


def shipped_tasks() -> list[Task]:
    """The tasks whose images are the shipped archive."""
    return plan(CHARACTERS, WRITERS, TEST_WRITERS, SEED, learners=LEARNERS, fewer=FEWER, compression=0)


def options() -> dict:
    """The generator's options for the shipped archive, as its manifest records them."""
    return {
        "characters": "".join(CHARACTERS),
        "writers": WRITERS,
        "test_writers": TEST_WRITERS,
        "learners": LEARNERS,
        "seed": SEED,
        "scan": "course",
        "fewer_writers": {c: list(n) for c, n in FEWER.items()},
    }


def license_text() -> str:
    """Text of LICENSE.txt in the archive."""
    return LICENSE + (STROKES / "ARPHICPL.TXT").read_text(encoding="utf-8", errors="strict")


def build(target: Path) -> dict:
    """Write the archive atomically and return its manifest.

    Names are sorted and times fixed, so the same program gives the same bytes. PNG files are
    stored uncompressed inside, because solid xz then finds what images have in common.
    """
    files = dict(perform(shipped_tasks()))
    counts: dict[str, dict[str, int]] = {}
    for path in sorted(files):
        group, character, _ = path.split("/")
        of_group = counts.setdefault(group, {})
        of_group[character] = of_group.get(character, 0) + 1
    manifest = {
        "made_by": "python -m tools.handwriting.archive",
        "options": options(),
        "counts": counts,
        "sha256": {path: hashlib.sha256(files[path]).hexdigest() for path in sorted(files)},
    }
    files["manifest.json"] = as_json(manifest).encode("utf-8")
    files["LICENSE.txt"] = license_text().encode("utf-8")

    def key(path: str):
        # The same character's images lie side by side, which helps the compression.
        parts = path.split("/")
        return (len(parts) > 1, parts[:2], int(parts[2][:-4]) if len(parts) == 3 else 0)

    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:xz", preset=6, format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(files, key=key):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mtime, entry.mode = len(files[path]), 946684800, 0o644
            archive.addfile(entry, io.BytesIO(files[path]))
    write_whole(target, content.getvalue())
    return manifest


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.handwriting.archive", description="Rebuild the shipped simulated handwriting."
    )
    parser.add_argument("--out", type=Path, default=ARCHIVE, help="archive to write (%(default)s)")
    choices = parser.parse_args(arguments)
    manifest = build(choices.out)
    images = len(manifest["sha256"])
    print(f"{choices.out}: {images:,} images, {choices.out.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The handwriting that ships, rebuilt bit for bit from its seed: ``python -m tools.handwriting.archive``."""

from __future__ import annotations

import argparse
import hashlib
import io
import tarfile
from pathlib import Path

from course.characters import CHARACTERS
from course.data import ARCHIVE
from course.store.files import as_json, write_whole

from tools.handwriting.generate import Task, perform, plan
from tools.handwriting.strokes import STROKES

OPTIONS = {
    "characters": "".join(CHARACTERS),
    "writers": 150,
    "test_writers": 36,
    "learners": 1,
    "seed": 1,
    "scan": "course",
    "fewer_writers": {"啖": [60, 15], "囡": [60, 15]},  # as rare as in CASIA
}

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
    """What the shipped archive holds; its PNG files are uncompressed, so that xz finds what they share."""
    return plan(**OPTIONS, compression=0)


def license_text() -> str:
    """Text of LICENSE.txt in the archive."""
    return LICENSE + (STROKES / "ARPHICPL.TXT").read_text(encoding="utf-8")


def build(target: Path) -> dict:
    """Write the archive atomically and return its manifest; the same program gives the same bytes."""
    files = dict(perform(shipped_tasks()))
    counts: dict[str, dict[str, int]] = {}
    for path in sorted(files):
        group, character, _ = path.split("/")
        counts.setdefault(group, {}).setdefault(character, 0)
        counts[group][character] += 1
    manifest = {
        "made_by": "python -m tools.handwriting.archive",
        "options": OPTIONS,
        "counts": counts,
        "sha256": {path: hashlib.sha256(files[path]).hexdigest() for path in sorted(files)},
    }
    # The same character's images lie side by side, which helps the compression.
    images = sorted(files, key=lambda path: (*path.split("/")[:2], int(Path(path).stem)))
    files["LICENSE.txt"] = license_text().encode("utf-8")
    files["manifest.json"] = as_json(manifest).encode("utf-8")
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:xz", preset=6, format=tarfile.PAX_FORMAT) as archive:
        for path in ["LICENSE.txt", "manifest.json", *images]:
            entry = tarfile.TarInfo(path)
            entry.size, entry.mtime, entry.mode = len(files[path]), 946684800, 0o644
            archive.addfile(entry, io.BytesIO(files[path]))
    write_whole(target, content.getvalue())
    return manifest


def main() -> None:
    """Write the archive that the command line names."""
    parser = argparse.ArgumentParser(description="Rebuild the shipped simulated handwriting.")
    parser.add_argument("--out", type=Path, default=ARCHIVE, help="archive to write (%(default)s)")
    out = parser.parse_args().out
    images = len(build(out)["sha256"])
    print(f"{out}: {images:,} images, {out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()

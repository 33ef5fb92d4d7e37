"""The folder layout `Train/<character>/<file>.png`, `Test/<character>/<file>.png`, its manifest."""

import hashlib
import os
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from course.paths import is_junk
from course.photos import SUFFIXES
from course.store.files import as_json, write_whole

from filelock import FileLock, Timeout

from tools.casia.gnt import Problem
from tools.console import python

SPLITS = ("Train", "Test")
MANIFEST = "manifest.json"
CHECKSUMS = "images.sha256"
MADE_BY = "python -m tools.casia"
TERMS = (
    "CASIA-HWDB is free for academic research only and may not be redistributed: "
    "keep these images to yourself."
)
_KEPT = 100  # problems that are told one by one


class CasiaError(Exception):
    """A request that cannot be carried out; the message names the file and what to do."""


@dataclass
class Result:
    """What an import or adoption did, and what it had to leave out."""

    folder: Path | None = None  # where the images are, None when there were none
    manifest: dict = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # sentences worth printing
    reports: list[Problem] = field(default_factory=list)  # the first problems
    kinds: Counter[str] = field(default_factory=Counter)  # all problems by kind
    passed_over: list[str] = field(default_factory=list)  # files of other kinds

    @property
    def problems(self) -> int:
        """How many things could not be imported."""
        return self.kinds.total()

    def report(self, problem: Problem) -> None:
        """Count a problem, and keep it if it is among the first."""
        self.kinds[problem.kind] += 1
        if self.problems <= _KEPT:
            self.reports.append(problem)


def folder_of(character: str) -> str:
    """The folder name of a character: itself, or `U+` and its code point.

    All but Chinese characters and kana become e.g. `U+002A`: Windows has no folder called `*`, neither it nor
    macOS tells `a` from `A`, and macOS takes compatibility ideographs for the ordinary ones.
    """
    plain = unicodedata.normalize("NFC", character) == character
    return character if plain and unicodedata.category(character) == "Lo" else f"U+{ord(character):04X}"


def character_of_folder(name: str) -> str | None:
    """The character of a folder's name, escaped by `folder_of` or as it is; None where it stands for none."""
    if match := re.fullmatch(r"[Uu]\+(10[0-9A-Fa-f]{4}|[0-9A-Fa-f]{4,5})", name):
        name = chr(int(match.group(1), 16))
    elif len(name) > 1:
        name = unicodedata.normalize("NFC", name)  # macOS may hand out が as か and a voicing mark
    return name if len(name) == 1 and unicodedata.category(name)[0] not in "CZ" else None


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Yield a folder to fill, which becomes `out` if any image is in it; after an error nothing is left.

    What a killed process left of such a folder is removed first. FileExistsError if `out` exists and is no
    empty folder, or another process is filling it.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} exists and is not empty; nothing was changed. Give --out a new folder.")
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial")
    lock = FileLock(f"{partial}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise FileExistsError(f"Another process is filling {out}; wait for it.") from None
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        yield partial
        if any(partial.glob("*/*/*")):
            if out.exists():
                out.rmdir()  # empty, or this fails; Windows cannot rename onto it
            os.replace(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


def checksum_line(name: str, content: bytes) -> str:
    """The line of an image in the file of checksums, in the format of `sha256sum`."""
    return f"{hashlib.sha256(content).hexdigest()}  {name}\n"


def _listed(folder: Path) -> Iterator[tuple[str, str]]:
    """(name, SHA-256) of each image in a folder's file of checksums."""
    with (folder / CHECKSUMS).open(encoding="utf-8", newline="\n") as file:
        for line in file:
            digest, _, name = line.rstrip("\n").partition("  ")
            yield name, digest


def write_manifest(
    folder: Path, out: Path, result: Result, wanted: Iterable[str] = (), **more: object
) -> None:
    """Write the manifest of what a folder's checksums list, and `more`; `result` is told what is missing.

    `out` is where the images will be, `wanted` are the characters that were asked for.
    """
    counts: dict[str, dict] = {}
    for name, _ in _listed(folder):
        split, parent, _ = name.split("/")
        counts.setdefault(character_of_folder(parent), {"folder": parent, "Train": 0, "Test": 0})[split] += 1
    images = {split: sum(count[split] for count in counts.values()) for split in SPLITS}
    first = [
        {"file": re.sub(r"^[^!]*[/\\]", "", where), "byte": offset, "kind": kind, "message": message}
        for kind, where, offset, message in result.reports
    ]
    problems = {"total": result.problems, "kinds": dict(sorted(result.kinds.items())), "first": first}
    result.manifest = {"made_by": MADE_BY, "terms": TERMS, "images": images}
    result.manifest |= {"characters": dict(sorted(counts.items())), **more, "problems": problems}
    write_whole(folder / MANIFEST, as_json(result.manifest))
    result.folder = out if any(images.values()) else None
    for split in SPLITS:
        if lacking := sorted(each for each in {*counts, *wanted} if not counts.get(each, {}).get(split)):
            more = f" … ({len(lacking):,} in all)" if len(lacking) > 60 else ""
            result.notes.append(f"No image in {split} of {' '.join(lacking[:60])}{more}.")


def check(folder: Path) -> list[str]:
    """Compare the images below `folder` with its checksum file; a sentence for each difference."""
    if not (folder / CHECKSUMS).is_file():
        command = python("tools.casia", "adopt", folder)
        raise CasiaError(f"{folder} has no manifest; make one with: {command}")
    faults, listed = [], dict(_listed(folder))
    for name, digest in listed.items():
        try:
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
                faults.append(f"{name} was changed.")
        except OSError as error:
            faults.append(f"{name} cannot be read: {error.strerror}.")
    paths = (path for split in SPLITS for path in sorted((folder / split).glob("*/*")))
    images = (path.relative_to(folder) for path in paths if path.suffix.lower() in SUFFIXES)
    found = (path.as_posix() for path in images if not any(map(is_junk, path.parts)))
    return faults + [f"{name} was added." for name in found if name not in listed]

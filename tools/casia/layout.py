"""The folder layout `Train/<character>/<file>.png`, `Test/<character>/<file>.png`, its manifest."""

import hashlib
import json
import os
import re
import shutil
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from course.store.files import as_json

from filelock import FileLock, Timeout

from tools.casia.result import Result

SPLITS = ("Train", "Test")
MANIFEST = "manifest.json"
CHECKSUMS = "images.sha256"
MADE_BY = "python -m tools.casia"
TERMS = (
    "CASIA-HWDB is free for academic research only and may not be redistributed: "
    "keep these images to yourself."
)


class CasiaError(Exception):
    """A request that cannot be carried out; the message names the file and what to do."""


def folder_of(character: str) -> str:
    """The folder name of a character: itself, or `U+` and its code point.

    Chinese characters and kana name their folder themselves. All else (letters, digits, signs, and
    compatibility ideographs, which macOS takes for the ordinary ones) becomes e.g. `U+002A`:
    Windows has no folder called `*`, and neither it nor macOS tells `a` from `A`.
    """
    plain = unicodedata.normalize("NFC", character) == character
    if plain and unicodedata.category(character) == "Lo":
        return character
    return f"U+{ord(character):04X}"


def character_of_folder(name: str) -> str | None:
    """The character that a folder's name stands for, or None: the inverse of `folder_of`.

    A single character that `folder_of` would have escaped is accepted as it is.
    """
    if match := re.fullmatch(r"[Uu]\+([0-9A-Fa-f]{4,6})", name):
        number = int(match.group(1), 16)
        name = chr(number) if number <= 0x10FFFF else ""
    elif len(name) > 1:
        name = unicodedata.normalize("NFC", name)  # macOS may hand out が as か and a voicing mark
    if len(name) == 1 and unicodedata.category(name)[0] not in "CZ":
        return name
    return None


def read_manifest(folder: Path) -> dict | None:
    """The manifest that this module wrote into `folder`; None where there is none of ours."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError, json.JSONDecodeError):
        return None
    ours = isinstance(manifest, dict) and str(manifest.get("made_by", "")).startswith(MADE_BY)
    return manifest if ours else None


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """(relative path, SHA-256) of each line of a checksum file in the format of `sha256sum`."""
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            digest, _, relative = line.rstrip("\n").partition("  ")
            yield relative, digest


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Yield a folder to fill, which becomes `out` if any image is in it; after an error nothing is left.

    What a killed process left of such a folder is removed first.

    Raises
    ------
    FileExistsError
        `out` exists and is no empty folder, or another process is filling it.
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
        if any(partial.glob("*/*/*.png")):
            if out.exists():
                out.rmdir()  # empty, or this fails; Windows cannot rename onto it
            os.replace(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


def describe(
    checksums: Path, out: Path, result: Result, wanted: Iterable[str] | None = None, **more: object
) -> str:
    """Say in `result` what a checksum file lists and what is missing; return its manifest as JSON.

    `out` is where the images will be, `wanted` are the characters that were asked for, and `more`
    goes into the manifest.
    """
    counts: dict[str, dict[str, int]] = {}
    for relative, _ in _lines(checksums):
        split, name, _ = relative.split("/")
        counts.setdefault(character_of_folder(name), {"folder": name, "Train": 0, "Test": 0})[split] += 1
    images = {split: sum(count[split] for count in counts.values()) for split in SPLITS}
    result.manifest = {
        "made_by": MADE_BY,
        "terms": TERMS,
        "images": images,
        "characters": dict(sorted(counts.items())),
        "checksums": {"file": CHECKSUMS, "sha256": _digest(checksums)},
        **more,
        "problems": result.described(),
    }
    result.folder = out if any(images.values()) else None
    if missing := [character for character in wanted or () if character not in counts]:
        result.notes.append(f"No image at all of {_listed(missing)}.")
    for split in SPLITS:
        empty = [character for character, count in counts.items() if not count[split]]
        if not images[split]:
            result.notes.append(f"{split} is empty: the course needs both Train and Test.")
        elif empty:
            result.notes.append(f"No image in {split} of {_listed(empty)}.")
    return as_json(result.manifest)


def _listed(characters: list[str]) -> str:
    shown = " ".join(characters[:60])
    return shown if len(characters) <= 60 else f"{shown} … ({len(characters):,} in all)"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(folder: Path) -> list[str]:
    """Compare the images below `folder` with its checksum file; one sentence for each difference.

    Raises
    ------
    CasiaError
        The folder has no manifest of this module.
    """
    manifest = read_manifest(folder)
    checksums = folder / CHECKSUMS
    if manifest is None or not checksums.is_file():
        raise CasiaError(f'{folder} has no manifest; make one with: {MADE_BY} adopt "{folder}"')
    faults = []
    if _digest(checksums) != manifest["checksums"]["sha256"]:
        faults.append(f"{checksums} was changed since the manifest was written.")
    seen: dict[str, set[str]] = {}
    for relative, digest in _lines(checksums):
        parent, _, name = relative.rpartition("/")
        seen.setdefault(parent, set()).add(name)
        try:
            content = (folder / relative).read_bytes()
        except OSError as error:
            faults.append(f"{relative} cannot be read: {error.strerror}.")
            continue
        if hashlib.sha256(content).hexdigest() != digest:
            faults.append(f"{relative} was changed.")
    for split in SPLITS:
        for path in sorted((folder / split).glob("*/*.png")):
            parent = f"{split}/{path.parent.name}"
            if path.name not in seen.get(parent, ()):
                faults.append(f"{parent}/{path.name} was added.")
    return faults

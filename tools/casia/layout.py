"""The folder layout `Train/<character>/<file>.png`, `Test/<character>/<file>.png`, its manifest."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

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


def fingerprint(content: object) -> str:
    """SHA-256 of anything that JSON can hold, as hexadecimal digits."""
    text = json.dumps(content, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def checksum_lines(path: Path) -> Iterator[tuple[str, str]]:
    """(relative path, SHA-256) of each line of a checksum file in the format of `sha256sum`."""
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            digest, _, relative = line.rstrip("\n").partition("  ")
            yield relative, digest


def summary(checksums: Path) -> dict:
    """Counts and hashes for a manifest, from the checksum file alone, one line at a time."""
    counts: dict[str, dict[str, int]] = {}
    for relative, _ in checksum_lines(checksums):
        split, folder, _ = relative.split("/")
        counts.setdefault(folder, dict.fromkeys(SPLITS, 0))[split] += 1
    characters = {}
    for folder in sorted(counts, key=lambda name: character_of_folder(name) or name):
        characters[character_of_folder(folder)] = {"folder": folder, **counts[folder]}
    with checksums.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "images": {split: sum(count[split] for count in counts.values()) for split in SPLITS},
        "characters": characters,
        "checksums": {"file": CHECKSUMS, "sha256": digest},
    }


def gaps(manifest: dict, wanted: Iterable[str] | None) -> list[str]:
    """Sentences on characters that have no image, in one split or in both."""
    have = manifest["characters"]
    sentences = []
    missing = [character for character in wanted or () if character not in have]
    if missing:
        sentences.append(f"No image at all of {_listed(missing)}.")
    for split in SPLITS:
        empty = [c for c, entry in have.items() if not entry[split]]
        if empty and manifest["images"][split]:
            sentences.append(f"No image in {split} of {_listed(empty)}.")
        elif not manifest["images"][split]:
            sentences.append(f"{split} is empty: the course needs both Train and Test.")
    return sentences


def _listed(characters: list[str]) -> str:
    shown = " ".join(characters[:60])
    return shown if len(characters) <= 60 else f"{shown} … ({len(characters):,} in all)"


def check(folder: Path) -> list[str]:
    """Compare the images below `folder` with its checksum file; one sentence for each difference.

    Raises CasiaError when the folder has no manifest of this module.
    """
    manifest = read_manifest(folder)
    checksums = folder / CHECKSUMS
    if manifest is None or not checksums.is_file():
        raise CasiaError(f'{folder} has no manifest; make one with: {MADE_BY} adopt "{folder}"')
    faults = []
    with checksums.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != manifest["checksums"]["sha256"]:
            faults.append(f"{checksums} was changed since the manifest was written.")
    seen: dict[str, set[str]] = {}
    for relative, digest in checksum_lines(checksums):
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

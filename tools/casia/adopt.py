"""Adopting a folder that is already in the layout, such as an unpacked Kaggle download."""

import hashlib
import io
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from course.store.files import as_json, replaced_together

from PIL import Image
from tqdm import tqdm

from tools.casia.gnt import Problem
from tools.casia.importer import Ledger, Result, Staging
from tools.casia.layout import (
    CHECKSUMS,
    MADE_BY,
    MANIFEST,
    SPLITS,
    TERMS,
    CasiaError,
    character_of_folder,
    fingerprint,
    folder_of,
    gaps,
    read_manifest,
    summary,
)
from tools.casia.sources import split_of

_IGNORED = {"thumbs.db", "desktop.ini", "__macosx"}
# Unpackers that take a zip's UTF-8 names for one of these make 乱 into three other characters.
_MISREAD = ("cp437", "cp850", "cp866", "cp1252", "latin-1")


def _ignored(name: str) -> bool:
    return name.startswith(".") or name.lower() in _IGNORED


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir() and not _ignored(path.name))


def find_splits(root: Path) -> dict[str, Path]:
    """The folders of `root` that hold the training and the test classes.

    Their names may be spelled otherwise (`train`, `tst`), and one more folder may wrap each, as in
    `CASIA-HWDB_Train/Train`. Raises CasiaError when one is missing or two could be meant.
    """
    found: dict[str, list[Path]] = {split: [] for split in SPLITS}
    for path in _folders(root):
        split = split_of([path.name])
        if split is None:
            continue
        inner = [folder for folder in _folders(path) if split_of([folder.name]) == split]
        found[split] += inner or [path]
    for split, paths in found.items():
        if len(paths) != 1:
            names = ", ".join(str(path.relative_to(root)) for path in paths)
            fault = f"several folders for {split}: {names}" if names else f"no {split} folder"
            raise CasiaError(
                f"{root} has {fault}. Give the folder that holds Train and Test, each with one "
                "folder per character."
            )
    return {split: paths[0] for split, paths in found.items()}


def _misread(name: str) -> str | None:
    """The character whose UTF-8 bytes an unpacker wrote as `name`, or None."""
    for encoding in _MISREAD:
        try:
            character = name.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
        if len(character) == 1 and character_of_folder(character):
            return character
    return None


def _classes(
    split: str, folder: Path, wanted: frozenset[str] | None, in_place: bool, ledger: Ledger
) -> Iterator[tuple[str, Path]]:
    taken: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if _ignored(path.name):
            continue
        where = f"{split}/{path.name}"
        if not path.is_dir():
            ledger(Problem("stray file", where, None, "it lies beside the classes; left alone"))
            continue
        character = character_of_folder(path.name)
        if character is None and (repaired := _misread(path.name)):
            if in_place:
                ledger(
                    Problem(
                        "misread name",
                        where,
                        None,
                        f"this is {repaired}, spoilt while unpacking; unpack again with UTF-8 "
                        "names, or give --out to copy it under its right name",
                    )
                )
                continue
            character = repaired
        if character is None:
            ledger(Problem("unknown class", where, None, "the name is no single character"))
        elif character in taken:
            same = f"{taken[character].name} is the same character"
            ledger(Problem("class twice", where, None, same))
        elif wanted is None or character in wanted:
            taken[character] = path
            yield character, path


def _fault(content: bytes) -> tuple[str, str] | None:
    """What is wrong with the bytes of a PNG file, or None. Every chunk's checksum is tested."""
    if not content:
        return "empty file", "it holds no byte"
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            image.verify()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        text = str(error) if str(error) and "BytesIO" not in str(error) else "no PNG"
        return "damaged image", f"{text}; left out"
    return None


def adopt(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    characters: Collection[str] | None = None,
    restart: bool = False,
    progress: bool = True,
) -> Result:
    """Check a folder in the layout and write its manifest, in place or into a copy.

    folder: holds Train and Test (other spellings are found), each with one folder a character.
    out: None checks and describes `folder` itself, copying nothing; folders spelled otherwise are
        renamed to Train and Test. A path copies the sound images there, under the names of
        `folder_of`, and changes nothing in `folder`.
    characters: which to copy; None for all. Only together with `out`.
    restart, progress: as for `import_gnt`.

    Every PNG is read and its checksums are tested; faults are counted and reported, and nothing is
    removed. Returns a `Result`. Raises CasiaError when the folder is not in this layout, or has a
    manifest.json that this command did not write.
    """
    root = Path(os.path.abspath(folder))
    if not root.is_dir():
        raise CasiaError(f"{root} is not a folder; give the one that holds Train and Test.")
    splits = find_splits(root)
    ledger = Ledger(progress)
    if out is None:
        if characters is not None:
            raise CasiaError("Choosing characters copies them: give --out as well.")
        if (root / MANIFEST).exists() and read_manifest(root) is None:
            raise CasiaError(
                f"{root / MANIFEST} was not written by this command and is left alone. "
                "Give --out to make a copy with a manifest of its own."
            )
        return _adopt_in_place(root, splits, ledger, progress)
    out = Path(os.path.abspath(out))
    if out == root or root in out.parents:
        raise CasiaError(f"--out {out} lies inside {root}; choose a folder elsewhere.")
    wanted = None if characters is None else sorted(set(characters))
    return _adopt_copy(root, splits, out, wanted, restart, ledger, progress)


def _rename(root: Path, splits: dict[str, Path], notes: list[str]) -> dict[str, Path]:
    renamed = {}
    for split, path in splits.items():
        target = root / split
        if path != target:
            between = root / f"{split}.renaming"  # a step between, for Train where case is ignored
            path.rename(between)
            if target.exists():  # the wrapping folder itself: Train/Train
                if any(target.iterdir()):
                    between.rename(path)
                    raise CasiaError(f"{target} holds other things beside {path.name}; give --out to copy.")
                target.rmdir()
            between.rename(target)
            notes.append(f"{path.relative_to(root)} was renamed to {split}.")
        renamed[split] = target
    return renamed


def _adopt_in_place(root: Path, splits: dict[str, Path], ledger: Ledger, progress: bool) -> Result:
    result = Result(root, {}, reports=ledger.first)
    splits = _rename(root, splits, result.notes)
    with replaced_together(root, [CHECKSUMS, MANIFEST]) as staged:
        with staged[CHECKSUMS].open("w", encoding="utf-8", newline="\n") as file:
            for split, _, path, content in _images(splits, None, True, ledger, progress):
                digest = hashlib.sha256(content).hexdigest()
                file.write(f"{digest}  {split}/{path.parent.name}/{path.name}\n")
        content = summary(staged[CHECKSUMS])
        if not sum(content["images"].values()):
            raise CasiaError(f"{root} holds no sound PNG image in Train/<character> or Test/<character>.")
        result.manifest = _manifest(content, ledger)
        staged[MANIFEST].write_bytes(as_json(result.manifest).encode("utf-8"))
    result.notes += gaps(result.manifest, None)
    result.problems = ledger.total
    return result


def _adopt_copy(
    root: Path,
    splits: dict[str, Path],
    out: Path,
    wanted: list[str] | None,
    restart: bool,
    ledger: Ledger,
    progress: bool,
) -> Result:
    plan = fingerprint({"adopt": str(root), "characters": wanted})
    result = Result(None, {}, reports=ledger.first)
    with Staging(out, plan, restart).locked() as staging:
        result.resumed = staging.resumed
        with (staging.folder / CHECKSUMS).open("w", encoding="utf-8", newline="\n") as file:
            chosen = None if wanted is None else frozenset(wanted)
            for split, character, path, content in _images(splits, chosen, False, ledger, progress):
                # 1.PNG becomes 1.PNG.png, so that it cannot meet 1.png
                image = path.name if path.suffix == ".png" else path.name + ".png"
                name = f"{split}/{folder_of(character)}/{image}"
                target = staging.folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
                file.write(f"{hashlib.sha256(content).hexdigest()}  {name}\n")
        content = summary(staging.folder / CHECKSUMS)
        result.problems = ledger.total
        result.manifest = _manifest(content, ledger) | {"plan": plan}
        staging.close(result, wanted)
    return result


def _manifest(content: dict, ledger: Ledger) -> dict:
    return {"made_by": f"{MADE_BY} adopt", "terms": TERMS, **content, "problems": ledger.content()}


def _images(
    splits: dict[str, Path], wanted: frozenset[str] | None, in_place: bool, ledger: Ledger, progress: bool
) -> Iterator[tuple[str, str, Path, bytes]]:
    """(split, character, path, content) of each sound PNG, in the order of the names."""
    with tqdm(unit="image", unit_scale=True, desc="Reading", disable=None if progress else True) as bar:
        for split, folder in splits.items():
            for character, parent in _classes(split, folder, wanted, in_place, ledger):
                for path in sorted(parent.iterdir()):
                    if _ignored(path.name):
                        continue
                    where = f"{split}/{parent.name}/{path.name}"
                    if path.suffix.lower() != ".png" or not path.is_file():
                        ledger(Problem("stray file", where, None, "it is no .png; left alone"))
                        continue
                    try:
                        content = path.read_bytes()
                    except OSError as error:
                        ledger(Problem("unreadable file", where, None, f"{error.strerror}"))
                        continue
                    bar.update()
                    if fault := _fault(content):
                        ledger(Problem(fault[0], where, None, fault[1]))
                    else:
                        yield split, character, path, content

"""Adopting a folder that is already in the layout, such as an unpacked Kaggle download."""

import hashlib
import io
import os
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from course.paths import is_junk
from course.store.files import move_together, write_whole

from PIL import Image
from tqdm import tqdm

from tools.casia.gnt import Problem
from tools.casia.layout import (
    CHECKSUMS,
    MANIFEST,
    SPLITS,
    CasiaError,
    character_of_folder,
    describe,
    folder_of,
    read_manifest,
    whole_folder,
)
from tools.casia.result import Result
from tools.casia.sources import split_of

# Unpackers that take a zip's UTF-8 names for one of these make 乱 into three other characters.
_MISREAD = ("cp437", "cp850", "cp866", "cp1252", "latin-1")


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir() and not is_junk(path.name))


def find_splits(root: Path) -> dict[str, Path]:
    """The folders of `root` that hold the training and the test classes.

    Their names may be spelled otherwise (`train`, `tst`), and one more folder may wrap each, as in
    `CASIA-HWDB_Train/Train`.

    Raises
    ------
    CasiaError
        One is missing, or two could be meant.
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
            advice = "Give the folder that holds Train and Test, each with one folder per character."
            raise CasiaError(f"{root} has {fault}. {advice}")
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
    split: str, folder: Path, wanted: Collection[str] | None, mend: bool, result: Result
) -> Iterator[tuple[str, Path]]:
    """(character, folder) of each class that is wanted; `mend` takes names spoilt while unpacking too."""
    taken: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if is_junk(path.name):
            continue
        where = f"{split}/{path.name}"
        character = character_of_folder(path.name) or (_misread(path.name) if mend else None)
        if not path.is_dir():
            result.report(Problem("stray file", where, None, "it lies beside the classes; left alone"))
        elif character is None:
            message = "the name is no single character; a copy with --out mends names spoilt while unpacking"
            result.report(Problem("unknown class", where, None, message))
        elif character in taken:
            result.report(Problem("class twice", where, None, f"{taken[character]} is the same character"))
        elif wanted is None or character in wanted:
            taken[character] = path.name
            yield character, path


def adopt(
    folder: str | Path, out: str | Path | None = None, *, characters: Collection[str] | None = None
) -> Result:
    """Check a folder in the layout and write its manifest, in place or into a copy.

    Every PNG is read and its checksums are tested; faults are counted and reported, and nothing is
    removed.

    Parameters
    ----------
    folder : path
        Holds Train and Test (other spellings are found), each with one folder a character.
    out : path, optional
        Where to copy the sound images, under the names of `folder_of`; nothing in `folder` changes
        then. Without it `folder` itself is checked and described, and its folders are renamed to
        Train and Test.
    characters : collection of str, optional
        Which to copy. Only together with `out`.

    Raises
    ------
    CasiaError
        The folder is not in this layout, or has a manifest.json that this command did not write.
    """
    root = Path(os.path.abspath(folder))
    if not root.is_dir():
        raise CasiaError(f"{root} is not a folder; give the one that holds Train and Test.")
    splits, result = find_splits(root), Result()
    if out is not None:
        out = Path(os.path.abspath(out))
        if out == root or root in out.parents:
            raise CasiaError(f"--out {out} lies inside {root}; choose a folder elsewhere.")
        wanted = None if characters is None else sorted(set(characters))
        with whole_folder(out) as copy:
            _list_images(splits, wanted, copy, copy / CHECKSUMS, result)
            write_whole(copy / MANIFEST, describe(copy / CHECKSUMS, out, result, wanted))
        return result
    if characters is not None:
        raise CasiaError("Choosing characters copies them: give --out as well.")
    if (root / MANIFEST).exists() and read_manifest(root) is None:
        raise CasiaError(
            f"{root / MANIFEST} was not written by this command and is left alone. "
            "Give --out to make a copy with a manifest of its own."
        )
    splits = _rename(root, splits, result.notes)
    with tempfile.TemporaryDirectory(dir=root, prefix=".adopting-") as new:
        _list_images(splits, None, None, Path(new, CHECKSUMS), result)
        write_whole(Path(new, MANIFEST), describe(Path(new, CHECKSUMS), root, result))
        if result.folder is None:
            raise CasiaError(f"{root} holds no sound PNG image in Train/<character> or Test/<character>.")
        move_together([CHECKSUMS, MANIFEST], Path(new), root)
    return result


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


def _list_images(
    splits: dict[str, Path],
    wanted: Collection[str] | None,
    copy: Path | None,
    checksums: Path,
    result: Result,
) -> None:
    """List all sound images in a file of checksums; copy them if there is a folder to copy to."""
    with (
        checksums.open("w", encoding="utf-8", newline="\n") as file,
        tqdm(unit="image", unit_scale=True, desc="Reading", disable=None) as bar,
    ):
        for split, folder in splits.items():
            for character, parent in _classes(split, folder, wanted, copy is not None, result):
                name = parent.name
                if copy is not None:
                    name = folder_of(character)
                    (copy / split / name).mkdir(parents=True)
                for path, content in _sound_images(split, parent, result):
                    image = path.name
                    if copy is not None:
                        # 1.PNG becomes 1.PNG.png, so that it cannot meet 1.png
                        image += "" if path.suffix == ".png" else ".png"
                        (copy / split / name / image).write_bytes(content)
                    file.write(f"{hashlib.sha256(content).hexdigest()}  {split}/{name}/{image}\n")
                    bar.update()


def _sound_images(split: str, folder: Path, result: Result) -> Iterator[tuple[Path, bytes]]:
    """(path, content) of each sound PNG of a class, in the order of the names."""
    for path in sorted(folder.iterdir()):
        where = f"{split}/{folder.name}/{path.name}"
        if is_junk(path.name):
            continue
        if path.suffix.lower() != ".png" or not path.is_file():
            result.report(Problem("stray file", where, None, "it is no .png; left alone"))
            continue
        try:
            content = path.read_bytes()
            with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
                image.verify()  # the checksum of every chunk
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            result.report(Problem("damaged image", where, None, "it cannot be read as PNG; left out"))
        else:
            yield path, content

"""Adopting a folder that is already in the layout, such as an unpacked Kaggle download."""

import contextlib
import io
import os
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from course.paths import is_junk
from course.photos import SUFFIXES, read_picture
from course.store.files import move_together

from PIL import Image
from tqdm import tqdm

from tools.casia import layout
from tools.casia.gnt import Problem
from tools.casia.layout import CasiaError, Result
from tools.casia.sources import split_of

# Unpackers that take a zip's UTF-8 names for one of these make 乱 into three other characters.
_MISREAD = ("cp437", "cp850", "cp866", "cp1252", "latin-1")


def adopt(
    folder: str | Path, out: str | Path | None = None, *, characters: Collection[str] | None = None
) -> Result:
    """Check a folder in the layout and write its manifest, in place or into a copy.

    Every picture is read, and a PNG's checksums are tested; faults are counted and reported, and nothing is
    removed. `folder` holds Train and Test, each with one folder a character; other spellings of the two are
    renamed. With `out` the sound images, of all or some characters, are copied there under the names of
    `folder_of`, and `folder` stays as it is. CasiaError if it is not in this layout, or has a manifest.json
    that this command did not write.
    """
    root = Path(os.path.abspath(folder))
    if not root.is_dir():
        raise CasiaError(f"{root} is not a folder; give the one that holds Train and Test.")
    splits, result = _find_splits(root), Result()
    if out is not None:
        out = Path(os.path.abspath(out))
        if out == root or root in out.parents:
            raise CasiaError(f"--out {out} lies inside {root}; choose a folder elsewhere.")
        with layout.whole_folder(out) as copy:
            _list_images(splits, characters, copy, True, result)
            layout.write_manifest(copy, out, result, characters or ())
        return result
    if characters is not None:
        raise CasiaError("Choosing characters copies them: give --out as well.")
    manifest = root / layout.MANIFEST
    if manifest.exists() and f'"made_by": "{layout.MADE_BY}"'.encode() not in manifest.read_bytes():
        raise CasiaError(
            f"{manifest} was not written by this command and is left alone. "
            "Give --out to make a copy with a manifest of its own."
        )
    splits = {split: _renamed(root, split, path, result) for split, path in splits.items()}
    with tempfile.TemporaryDirectory(dir=root, prefix=".adopting-") as new:
        _list_images(splits, None, Path(new), False, result)
        layout.write_manifest(Path(new), root, result)
        if result.folder is None:
            raise CasiaError(f"{root} holds no sound image in Train/<character> or Test/<character>.")
        move_together([layout.CHECKSUMS, layout.MANIFEST], Path(new), root)
    return result


def _find_splits(root: Path) -> dict[str, Path]:
    """The folders of the training and the test classes, however spelled, and perhaps wrapped in one more."""
    found: dict[str, list[Path]] = {split: [] for split in layout.SPLITS}
    for path in filter(Path.is_dir, _seen(root)):
        if split := split_of([path.name]):
            inner = [each for each in _seen(path) if each.is_dir() and split_of([each.name]) == split]
            found[split] += inner or [path]
    for split, paths in found.items():
        if len(paths) != 1:
            names = ", ".join(str(path.relative_to(root)) for path in paths)
            fault = f"several folders for {split}: {names}" if names else f"no {split} folder"
            advice = "Give the folder that holds Train and Test, each with one folder per character."
            raise CasiaError(f"{root} has {fault}. {advice}")
    return {split: paths[0] for split, paths in found.items()}


def _renamed(root: Path, split: str, path: Path, result: Result) -> Path:
    """`root`/`split`, which `path` has become."""
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
        result.notes.append(f"{path.relative_to(root)} was renamed to {split}.")
    return target


def _list_images(
    splits: dict[str, Path], wanted: Collection[str] | None, folder: Path, copied: bool, result: Result
) -> None:
    """List all sound images in `folder`'s file of checksums, and copy them there if they are to be copied."""
    with (
        (folder / layout.CHECKSUMS).open("w", encoding="utf-8", newline="\n") as sums,
        tqdm(unit="image", unit_scale=True, desc="Reading", disable=None) as bar,
    ):
        for split, parent in splits.items():
            for character, path in _classes(split, parent, wanted, copied, result):
                name = layout.folder_of(character) if copied else path.name
                if copied:
                    (folder / split / name).mkdir(parents=True)
                for image in _seen(path):
                    where = f"{split}/{path.name}/{image.name}"
                    if image.suffix.lower() not in SUFFIXES or not image.is_file():
                        result.report(Problem("stray file", where, None, "it is no picture; left alone"))
                        continue
                    try:
                        content = image.read_bytes()
                        read_picture(image)  # as the loader will
                        with Image.open(io.BytesIO(content)) as opened:
                            opened.verify()  # the checksum of every chunk of a PNG
                    except (OSError, SyntaxError, ValueError) as error:
                        message = f"{error}; left out"
                        result.report(Problem("damaged image", where, None, message))
                        continue
                    # 1.PNG becomes 1.PNG.png, so that it cannot meet 1.png
                    added = image.suffix.lower() if copied and image.suffix not in SUFFIXES else ""
                    if copied:
                        (folder / split / name / f"{image.name}{added}").write_bytes(content)
                    sums.write(layout.checksum_line(f"{split}/{name}/{image.name}{added}", content))
                    bar.update()


def _seen(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not is_junk(path.name))


def _classes(
    split: str, folder: Path, wanted: Collection[str] | None, mend: bool, result: Result
) -> Iterator[tuple[str, Path]]:
    """(character, folder) of each class that is wanted; `mend` takes names spoilt while unpacking too."""
    taken: dict[str, str] = {}
    for path in _seen(folder):
        where = f"{split}/{path.name}"
        character = layout.character_of_folder(path.name) or (_misread(path.name) if mend else None)
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


def _misread(name: str) -> str | None:
    """The character whose UTF-8 bytes an unpacker wrote as `name`, or None."""
    for encoding in _MISREAD:
        with contextlib.suppress(UnicodeError):
            character = name.encode(encoding).decode("utf-8")
            if len(character) == 1 and layout.character_of_folder(character):
                return character
    return None

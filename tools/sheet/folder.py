"""Reading photos of the sheet and keeping the result as a folder of classes, with a manifest."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from course.characters import CHARACTERS
from course.paths import is_junk
from course.store.files import write_whole

import cv2
import numpy as np

from .ink import BoxImage, cut_boxes
from .layout import SheetError, split_pages
from .photo import FoundPage, check_frames, find_page, load_photo, read_characters

MANIFEST = "manifest.json"
_FORMAT = "own handwriting, 1"


@dataclass
class PageReading:
    """A page as read: its file's name and SHA-256, its characters, and its boxes row by row."""

    name: str
    sha256: str
    found: FoundPage
    characters: tuple[str, ...]
    boxes: list[BoxImage]

    @property
    def written(self) -> int:
        """How many boxes have writing in them."""
        return sum(box.image is not None for box in self.boxes)

    @property
    def empty(self) -> int:
        """How many boxes are empty."""
        return len(self.boxes) - self.written

    def __str__(self) -> str:
        return (
            f"{self.name}: page {self.found.page} ({''.join(self.characters)}), "
            f"{self.written} boxes written, {self.empty} empty"
        )


def read_picture(
    picture: np.ndarray, name: str = "The photo", characters=None, sha256: str = ""
) -> PageReading:
    """Read one picture of the sheet, (height, width, 3) RGB uint8; arguments as in `read_photo`."""
    found = find_page(picture, name)
    pages = split_pages(CHARACTERS if characters is None else characters)
    on_page = read_characters(found, pages)
    if on_page is None and characters is not None and found.page <= len(pages):
        on_page = pages[found.page - 1]  # the caller says which sheet this is
    if on_page is None:
        check_frames(found, 1, name)
        raise SheetError(
            f"{name}: the square code at the top of page {found.page} cannot be read, so nobody "
            "knows which characters these are. Photograph it sharper, or name the characters of "
            "the whole sheet with --characters."
        )
    check_frames(found, len(on_page), name)
    return PageReading(name, sha256, found, on_page, cut_boxes(found, len(on_page)))


def read_photo(path: str | os.PathLike, characters=None) -> PageReading:
    """Read one photo or scan of a page of the sheet.

    path: a picture file that Pillow reads (JPEG, PNG, TIFF, WebP, ...). characters: those of the
    whole sheet, needed only where the page's own code cannot be read and the sheet is not the
    course's. The images in the result are (height, width) uint8, grey ink on white (255).
    Raises SheetError that names the file and what to do: no sheet in it, cut off, bent, too small,
    not a picture, empty, damaged, too large.
    """
    path = Path(path)
    picture = load_photo(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return read_picture(picture, str(path), characters, sha256)


def _read_manifest(folder: Path) -> dict:
    path = folder / MANIFEST
    if folder.exists() and not folder.is_dir():
        raise SheetError(f"{folder} is a file, not a folder. Choose another --out.")
    if not path.exists():
        names = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
        others = [name for name in names if not is_junk(name)]
        if others:
            raise SheetError(
                f"{folder} already holds {others[0]} and more that was not read from a sheet. "
                "Choose a new folder with --out."
            )
        return {"format": _FORMAT, "pages": {}}
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest["format"] != _FORMAT:
            raise ValueError(f"format {manifest['format']!r}")
        for entry in manifest["pages"].values():
            for character, numbers in entry["written"].items():
                _image_path(folder, character, *numbers)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SheetError(
            f"{path} is damaged or not of this program ({error}). Choose a new folder with --out."
        ) from error
    return manifest


def _image_path(folder: Path, character: str, *numbers: int) -> list[Path]:
    if len(character) != 1 or not character.isalnum():
        raise ValueError(f"{character!r} is not a character")
    if not all(isinstance(number, int) for number in numbers):
        raise ValueError(f"{numbers} are not numbers")
    return [folder / character / f"{number}.png" for number in numbers]


def save_readings(readings, folder: str | os.PathLike, replace: bool = False) -> int:
    """Write read pages to folder/<character>/<n>.png, n the box from 1 to 7; returns the count.

    Pages that the folder has already stay as they are and raise SheetError, unless replace is
    True; other pages are added. A folder that was not made by this function is never written to.
    Nothing is written when any page is refused. folder/manifest.json records for each page its
    photo, the photo's SHA-256 and the boxes written.
    """
    folder = Path(folder)
    manifest = _read_manifest(folder)
    taken = {c: key for key in manifest["pages"] for c in key}
    new: dict[str, PageReading] = {}
    for reading in readings:
        key = "".join(reading.characters)
        if key in new:
            raise SheetError(
                f"{reading.name} shows the same page as {new[key].name}: {key}. Name one of them."
            )
        if key in manifest["pages"] and not replace:
            raise SheetError(
                f"{reading.name}: the page {key} is already in {folder}, read from "
                f"{manifest['pages'][key]['photo']}. Add --replace to read it anew, or choose "
                "another --out for another writer."
            )
        for other in {taken.get(c, key) for c in key} - {key}:
            raise SheetError(
                f"{reading.name}: some characters of {key} are already in {folder}, on the page "
                f"{other}. Choose another --out."
            )
        new[key] = reading
        taken |= dict.fromkeys(key, key)
    count = 0
    try:
        for key, reading in new.items():
            count += _save_page(folder, manifest, key, reading)
    except OSError as error:
        raise SheetError(
            f"{folder} cannot be written to: {error}. Choose another --out, then read again with --replace."
        ) from error
    return count


def _save_page(folder: Path, manifest: dict, key: str, reading: PageReading) -> int:
    images = {}
    for box in reading.boxes:
        if box.image is not None:
            images[reading.characters[box.row], box.column + 1] = box.image
    written: dict[str, list[int]] = {}
    for character, number in images:
        written.setdefault(character, []).append(number)
    before = manifest["pages"].get(key, {"written": {}})["written"]
    manifest["pages"][key] = {
        "photo": Path(reading.name).name,
        "sha256": reading.sha256,
        "paper": reading.found.layout.paper,
        "page": reading.found.page,
        "written": written,
    }
    # The manifest goes first: broken off here, the folder is still known as ours and the page
    # can be read again with --replace.
    text = json.dumps(manifest, ensure_ascii=False, indent=1, sort_keys=True)
    write_whole(folder / MANIFEST, text + "\n")
    for (character, number), image in images.items():
        (target,) = _image_path(folder, character, number)
        write_whole(target, cv2.imencode(".png", image)[1].tobytes())
    for character, numbers in before.items():
        for number in set(numbers) - set(written.get(character, [])):
            for path in _image_path(folder, character, number):
                path.unlink(missing_ok=True)
        # a class folder without an image would be a class without an example
        if character not in written and (folder / character).is_dir():
            if not any((folder / character).iterdir()):
                (folder / character).rmdir()
    return len(images)

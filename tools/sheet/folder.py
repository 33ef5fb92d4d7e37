"""Reading photos of the sheet and keeping the result as a folder of classes, with a manifest."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from course.characters import CHARACTERS
from course.paths import is_junk
from course.photos import PhotoError
from course.store.files import write_whole

import cv2
import numpy as np

from .ink import cut_boxes
from .layout import SheetError, split_pages
from .photo import FoundPage, check_frames, find_page, flatten, load_pages, read_characters

MANIFEST = "manifest.json"
_FORMAT = "own handwriting, 1"


@dataclass
class PageReading:
    """A page as read: its file's name, where it lies, its characters, its boxes, the file's SHA-256."""

    name: str
    found: FoundPage
    characters: tuple[str, ...]
    boxes: dict[tuple[int, int], np.ndarray | None]
    sha256: str = ""

    @property
    def written(self) -> int:
        """How many boxes have writing in them."""
        return sum(image is not None for image in self.boxes.values())

    def __str__(self) -> str:
        return (
            f"{self.name}: page {self.found.page} ({''.join(self.characters)}), "
            f"{self.written} boxes written, {len(self.boxes) - self.written} empty"
        )


def read_picture(picture: np.ndarray, name: str = "The photo", characters=None) -> PageReading:
    """Read one picture of the sheet, (height, width, 3) RGB uint8; arguments as in `read_photo`."""
    found = find_page(picture, name)
    flat = flatten(found, picture)
    pages = split_pages(characters or CHARACTERS)
    on_page = read_characters(flat, found, pages)
    if on_page is None and characters and found.page <= len(pages):
        on_page = pages[found.page - 1]  # the caller says which sheet this is
    check_frames(found, picture, len(on_page) if on_page else 1, name)
    if on_page is None:
        raise SheetError(
            f"{name}: the square code at the top of page {found.page} cannot be read, so nobody "
            "knows which characters these are. Photograph it sharper, or name the characters of "
            "the whole sheet with --characters."
        )
    return PageReading(name, found, on_page, cut_boxes(flat, found.layout, len(on_page)))


def read_photo(
    path: str | os.PathLike, characters=None, report: Callable[[SheetError], None] | None = None
) -> list[PageReading]:
    """Read a photo of a page of the sheet, or a scan of several; one reading for each page.

    path: a picture file that Pillow reads (JPEG, PNG, TIFF, WebP, ...). characters: those of the
    whole sheet, needed only where the page's own code cannot be read and the sheet is not the
    course's. The images in the result are (height, width) uint8, grey ink on white (255).
    A SheetError names the file and what to do: no sheet in it, cut off, bent, too small, not a
    picture, empty, damaged, too large. It is raised, or given to `report`, and the other pages read.
    """

    def tell(error: ValueError) -> None:
        if report is None:
            raise SheetError(str(error)) from error
        report(SheetError(str(error)))

    readings = []
    try:
        for name, picture in load_pages(path):
            try:
                readings.append(read_picture(picture, name, characters))
            except SheetError as error:
                tell(error)
    except PhotoError as error:
        tell(error)
    for reading in readings:
        reading.sha256 = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return readings


def _read_manifest(folder: Path) -> dict:
    path = folder / MANIFEST
    if folder.exists() and not folder.is_dir():
        raise SheetError(f"{folder} is a file, not a folder. Choose another --out.")
    if not path.exists():
        others = sorted(each.name for each in folder.glob("*") if not is_junk(each.name))
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
        for page in manifest["pages"].values():
            for place in _places(page):
                _image_path(folder, *place)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SheetError(
            f"{path} is damaged or not of this program ({error}). Choose a new folder with --out."
        ) from error
    return manifest


def _places(page: dict) -> list[tuple[str, int]]:
    """The boxes of a page in the manifest: their characters and numbers."""
    return [(character, number) for character, numbers in page["written"].items() for number in numbers]


def _image_path(folder: Path, character: str, number: int) -> Path:
    if len(character) != 1 or not character.isalnum() or not isinstance(number, int):
        raise ValueError(f"{character!r} is not a character, or {number!r} not a number")
    return folder / character / f"{number}.png"


def save_readings(readings, folder: str | os.PathLike, replace: bool = False) -> int:
    """Write read pages to folder/<character>/<n>.png, n the box from 1 to 7; returns the count.

    Pages that the folder has already stay as they are and raise SheetError, unless replace is
    True; other pages are added. A folder that was not made by this function is never written to.
    Nothing is written when any page is refused. folder/manifest.json records for each page its
    photo, the photo's SHA-256 and the boxes written.
    """
    folder = Path(folder)
    manifest = _read_manifest(folder)
    pages = manifest["pages"]
    new: dict[str, PageReading] = {}
    for reading in readings:
        key = "".join(reading.characters)
        if key in new:
            raise SheetError(
                f"{reading.name} shows the same page as {new[key].name}: {key}. Name one of them."
            )
        if key in pages and not replace:
            raise SheetError(
                f"{reading.name}: the page {key} is already in {folder}, read from {pages[key]['photo']}. "
                "Add --replace to read it anew, or choose another --out for another writer."
            )
        for other in {*pages, *new} - {key}:
            if set(other) & set(key):
                raise SheetError(
                    f"{reading.name}: some characters of {key} are already in {folder}, on the page "
                    f"{other}. Choose another --out."
                )
        new[key] = reading
    try:
        for reading in new.values():
            _save_page(folder, manifest, reading)
    except OSError as error:
        raise SheetError(
            f"{folder} cannot be written to: {error}. Choose another --out, then read again with --replace."
        ) from error
    return sum(reading.written for reading in new.values())


def _save_page(folder: Path, manifest: dict, reading: PageReading) -> None:
    key = "".join(reading.characters)
    before = _places(manifest["pages"].get(key, {"written": {}}))
    written = {place: image for place, image in reading.boxes.items() if image is not None}
    images = {(reading.characters[row], column + 1): image for (row, column), image in written.items()}
    manifest["pages"][key] = {
        "photo": Path(reading.name).name,
        "sha256": reading.sha256,
        "paper": reading.found.layout.paper,
        "page": reading.found.page,
        "written": {c: [number for other, number in images if other == c] for c, _ in images},
    }
    # The manifest goes first: broken off here, the folder is still known as ours and the page
    # can be read again with --replace.
    text = json.dumps(manifest, ensure_ascii=False, indent=1, sort_keys=True)
    write_whole(folder / MANIFEST, text + "\n")
    for place, image in images.items():
        write_whole(_image_path(folder, *place), cv2.imencode(".png", image)[1].tobytes())
    for place in set(before) - set(images):
        path = _image_path(folder, *place)
        path.unlink(missing_ok=True)
        # a class folder without an image would be a class without an example
        with contextlib.suppress(OSError):  # it holds others
            path.parent.rmdir()

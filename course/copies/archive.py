"""The shipped archive, unpacked: whole or not at all, checked, and with an eye on later changes."""

import functools
import hashlib
import io
import json
import lzma
import os
import secrets
import shutil
import tarfile
import tempfile
import warnings
from pathlib import Path

from course.paths import is_junk
from course.store.files import locked, why_not_writable

_MANIFEST = "manifest.json"  # of the archive: the SHA-256 of each image
_STAMP = ".unpacked.json"  # in an unpacked folder: the SHA-256 of its archive


def unpacked(archive: Path, places: list[Path]) -> Path:
    """The first of these folders that the archive was unpacked into, or now is.

    A warning says once in a session when images in it differ from those of the archive. A new archive
    takes the place of an old one; a folder whose images were changed by hand is kept under another
    name, which is printed. Without the archive, an earlier unpacking serves. OSError or ValueError if it is
    missing or damaged, a folder of the same name is in the way, or no place can be written.
    """
    archive_hash = _sha256(archive.read_bytes()) if archive.exists() else None
    for place in places:
        stamp = _read_stamp(place)
        if stamp and archive_hash in (stamp, None):
            _warn_of_changes(place)
            return place
    if archive_hash is None:
        raise FileNotFoundError(
            f"The shipped handwriting, {archive}, is missing. Restore it with `git checkout`, rebuild it "
            "with `make data`, or set COURSE_DATA to a folder of your own."
        )
    faults = {place: why_not_writable(place.parent) for place in places}
    place = next((place for place in places if not faults[place]), None)
    if place is None:
        told = "\n  ".join([f"{archive.name} can be unpacked nowhere:", *faults.values()])
        raise OSError(f"{told}\nMake one of these folders writable, or set COURSE_DATA.")
    if place != places[0]:
        print(f"The handwriting is unpacked into {place}, for want of {faults[places[0]]}")
    _unpack(archive, archive_hash, place)
    return place


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read_stamp(folder: Path) -> str | None:
    """The hash of the archive that a folder was unpacked from; None where it never was."""
    try:
        return json.loads((folder / _STAMP).read_bytes())["archive_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _unpack(archive: Path, archive_hash: str, folder: Path) -> None:
    """Unpack into `folder`, which appears whole or not at all; of several processes, one does it."""
    with locked(folder.parent, folder.name):
        if _read_stamp(folder) == archive_hash:
            return  # another process was quicker
        prefix = f"{folder.name}-unpacking-"
        for left in folder.parent.glob(f"{prefix}*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        made_in = tempfile.TemporaryDirectory(dir=folder.parent, prefix=prefix, ignore_cleanup_errors=True)
        with made_in as made:
            fresh = Path(made, "fresh")
            stamp = json.dumps({"archive_sha256": archive_hash}).encode()
            for name, content in {**_contents(archive), _STAMP: stamp}.items():
                (fresh / name).parent.mkdir(parents=True, exist_ok=True)
                (fresh / name).write_bytes(content)
            _make_room(folder, Path(made, "old"))
            os.replace(fresh, folder)


def _contents(archive: Path) -> dict[str, bytes]:
    """The plain files of the archive by name; ValueError unless they are those of its manifest."""
    try:
        with tarfile.open(fileobj=io.BytesIO(lzma.decompress(archive.read_bytes()))) as opened:
            contents = {each.name: opened.extractfile(each).read() for each in opened if each.isfile()}
        listed = json.loads(contents[_MANIFEST])["sha256"]
    except (tarfile.TarError, lzma.LZMAError, EOFError, ValueError, KeyError) as error:
        raise ValueError(
            f"The archive {archive} is damaged ({error}). Nothing is unpacked. Restore it with "
            "`git checkout`, or rebuild it with `make data`."
        ) from error
    # Nothing else is written, so that no name leads out of the folder.
    found = {name: _sha256(contents[name]) for name in contents.keys() - {_MANIFEST, "LICENSE.txt"}}
    if wrong := sorted({name for name, _ in listed.items() ^ found.items()}):
        raise ValueError(
            f"{len(wrong)} files of {archive} are missing, changed or not in its {_MANIFEST}, the first "
            f"being {wrong[0]}. Restore it with `git checkout`, or rebuild it with `make data`."
        )
    return contents


def _make_room(folder: Path, old: Path) -> None:
    """Move an earlier unpacking to `old`, or to a name of its own where images in it were changed."""
    if not folder.exists():
        return
    if not _read_stamp(folder):
        raise FileExistsError(
            f"{folder} is in the way of the shipped handwriting. Move it elsewhere; to use it as data, "
            "set COURSE_DATA to its path."
        )
    if _changes(folder):
        old = folder.with_name(f"{folder.name}-changed-{secrets.token_hex(4)}")
        print(f"{folder} had files changed by hand; they are kept in {old}.")
    os.replace(folder, old)


def _changes(folder: Path) -> list[str]:
    """Images changed, added or removed since; contents are compared of those written since."""
    expected = json.loads((folder / _MANIFEST).read_bytes())["sha256"]
    unpacked_at = (folder / _STAMP).stat().st_mtime_ns
    found = {}
    for path in folder.glob("*/*/*"):
        name = path.relative_to(folder)
        if not any(map(is_junk, name.parts)):
            written = path.stat().st_mtime_ns > unpacked_at
            found[name.as_posix()] = _sha256(path.read_bytes()) if written else expected.get(name.as_posix())
    return sorted({name for name, _ in expected.items() ^ found.items()})


@functools.lru_cache
def _warn_of_changes(folder: Path) -> None:
    if changed := _changes(folder):
        told = f"{len(changed)} files in {folder} differ from the shipped archive: {', '.join(changed[:3])}."
        undo = "Results will differ as well. To undo, delete the folder: it is unpacked again."
        warnings.warn(f"{told} {undo}", stacklevel=5)

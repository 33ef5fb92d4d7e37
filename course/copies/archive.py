"""The shipped archive, unpacked: whole or not at all, checked, and with an eye on later changes."""

import errno
import functools
import hashlib
import io
import json
import lzma
import os
import re
import secrets
import shutil
import sys
import tarfile
import tempfile
import warnings
import zlib
from pathlib import Path

from course.paths import is_junk
from course.store.files import locked

_MANIFEST = "manifest.json"
_STAMP = ".unpacked.json"


def unpacked(archive: Path, places: list[Path]) -> Path:
    """The first of these folders that the archive was unpacked into, or now is.

    A warning says once in a session when files in it differ from those of the archive. Without the
    archive, an earlier unpacking serves.

    Raises
    ------
    FileNotFoundError, FileExistsError, ValueError
        The archive is missing; a folder of the same name is in the way; or see `unpack`.
    OSError
        No place can be written; each and its reason are named.
    """
    if not archive.exists():
        for place in places:
            if _read_stamp(place):
                return place
        raise FileNotFoundError(
            errno.ENOENT,
            "The shipped handwriting is missing. Restore it with `git checkout`, rebuild it with "
            "`make data`, or set COURSE_DATA to a folder of your own",
            str(archive),
        )
    archive_hash = _sha256(archive)
    for place in places:
        if _read_stamp(place).get("archive_sha256") == archive_hash:
            _warn_of_changes(place, archive_hash)
            return place
    failures = []
    for place in places:
        try:
            unpack(archive, place)
        except FileExistsError:
            raise
        except OSError as error:
            failures.append(f"{place}: {error.strerror or error}")
            continue
        if failures:
            print(f"The handwriting is unpacked into {place}, for want of {failures[0]}")
        return place
    raise OSError(
        f"{archive.name} cannot be unpacked:\n  " + "\n  ".join(failures) + "\nIt needs some "
        "100 MB. Make one of these folders writable, free space there, or set COURSE_DATA."
    )


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_stamp(folder: Path) -> dict:
    """What `unpack` noted: the archive's hash and {file: [size, CRC-32]}; empty where it never was."""
    try:
        stamp = json.loads((folder / _STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a .tar.xz archive into `folder`, which appears whole or not at all.

    Every image is checked against the SHA-256 sums in the archive's manifest.json. An earlier
    unpacking is replaced; one whose files were changed by hand is kept under another name,
    which is printed. Of several processes that want to, one does it.

    Raises
    ------
    ValueError
        The archive is damaged or does not agree with its manifest.
    FileExistsError
        `folder` is there but was not unpacked by this function.
    OSError
        `folder` cannot be written.
    """
    try:
        "人".encode(sys.getfilesystemencoding())
    except UnicodeEncodeError as error:
        raise ValueError(
            f"File names here are in {sys.getfilesystemencoding()}, which has no Chinese "
            "characters. Set the environment variable PYTHONUTF8=1."
        ) from error
    with locked(folder.parent, folder.name):
        archive_hash = _sha256(archive)
        if _read_stamp(folder).get("archive_sha256") == archive_hash:
            return  # another process was quicker
        for left in folder.parent.glob(f"{folder.name}-unpacking-*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}-unpacking-"))
        try:
            files = _unpack_files(archive, fresh)
            stamp = {"archive_sha256": archive_hash, "files": files}
            (fresh / _STAMP).write_text(json.dumps(stamp, ensure_ascii=False), encoding="utf-8")
            fresh.chmod(0o755)  # mkdtemp lets nobody else read
            _make_room(folder)
            os.replace(fresh, folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def _make_room(folder: Path) -> None:
    """Remove an earlier unpacking, or move it aside where files in it were changed."""
    if not folder.exists():
        return
    stamp = _read_stamp(folder)
    if not stamp and any(folder.iterdir()):
        raise FileExistsError(
            errno.EEXIST,
            "This folder is in the way of the shipped handwriting. Move it elsewhere; to use it as "
            "data, set COURSE_DATA to its path",
            str(folder),
        )
    if stamp and _changes(folder):
        aside = folder.with_name(f"{folder.name}-changed-{secrets.token_hex(4)}")
        print(f"{folder} had files changed by hand; they are kept in {aside}.")
        os.replace(folder, aside)
    else:
        # Under a name that the next unpacking clears, should this one be killed.
        aside = folder.with_name(f"{folder.name}-unpacking-old")
        os.replace(folder, aside)
        shutil.rmtree(aside, ignore_errors=True)


def _unpack_files(archive: Path, folder: Path) -> dict[str, list[int]]:
    """Write the archive's files under `folder`; return {name: [size, CRC-32]}."""
    try:
        content = lzma.decompress(archive.read_bytes())
        with tarfile.open(fileobj=io.BytesIO(content)) as opened:
            _check_members(opened)
            # Python's own filter as well, where there is one: 3.11.3 lacks it.
            opened.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
        listed = json.loads((folder / _MANIFEST).read_bytes())["sha256"]
    except (tarfile.TarError, lzma.LZMAError, EOFError, FileNotFoundError, ValueError, KeyError) as error:
        raise ValueError(
            f"The archive {archive} is damaged ({error}). Nothing is unpacked. Restore it with "
            "`git checkout`, or rebuild it with `make data`."
        ) from error
    data = {name: path.read_bytes() for name, path in _files(folder).items()}
    images = {name for name in data if name.endswith(".png")}
    wrong = [
        name
        for name in sorted(listed.keys() | images)
        if name not in data or hashlib.sha256(data[name]).hexdigest() != listed.get(name)
    ]
    if wrong:
        raise ValueError(
            f"{len(wrong)} files of {archive} are missing, changed or not in its {_MANIFEST}, the first "
            f"being {wrong[0]}. Restore it with `git checkout`, or rebuild it with `make data`."
        )
    return {name: [len(content), zlib.crc32(content)] for name, content in data.items()}


def _check_members(opened: tarfile.TarFile) -> None:
    """TarError unless all are plain files and folders with paths that stay within the folder."""
    for member in opened.getmembers():
        parts = re.split(r"[/\\]", member.name)
        plain = member.isfile() or member.isdir()
        if not plain or ".." in parts or parts[0] == "" or ":" in member.name:
            raise tarfile.TarError(f"{member.name} is a link, or its path leads out of the folder")


def _files(folder: Path) -> dict[str, Path]:
    """The files below `folder`, without what systems leave there, by their names in it."""
    found = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_junk(name)]
        paths = [Path(parent, name) for name in names if not is_junk(name)]
        found |= {path.relative_to(folder).as_posix(): path for path in paths}
    return found


def _changes(folder: Path) -> list[str]:
    """Files that differ from what was unpacked: changed, added or removed since.

    Sizes are compared for all; contents only for files written since the unpacking.
    """
    expected = _read_stamp(folder).get("files", {})
    unpacked_at = (folder / _STAMP).stat().st_mtime_ns
    found = _files(folder)
    changed = [f"{name} (removed)" for name in expected.keys() - found.keys()]
    changed += [f"{name} (added)" for name in found.keys() - expected.keys()]
    for name in expected.keys() & found.keys():
        size, checksum = expected[name]
        status = found[name].stat()
        written = status.st_mtime_ns > unpacked_at
        if status.st_size != size or written and zlib.crc32(found[name].read_bytes()) != checksum:
            changed.append(f"{name} (changed)")
    return sorted(changed)


@functools.lru_cache
def _warn_of_changes(folder: Path, archive_hash: str) -> None:
    changed = _changes(folder)
    if changed:
        shown = ", ".join(changed[:3]) + (", ..." if len(changed) > 3 else "")
        warnings.warn(
            f"{len(changed)} files in {folder} differ from the shipped archive: {shown}. Results "
            "will differ as well. To undo, delete the folder: it is unpacked again.",
            stacklevel=5,
        )

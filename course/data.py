"""Where the handwriting is: the shipped, simulated set, or any folder of the same layout.

The shipped set is one archive in `data/`, unpacked on first use. The environment variable
COURSE_DATA names a folder that takes its place (real CASIA, say), and COURSE_NOTEBOOK one
that takes the place of the learner's notebook. A relative path counts from the current
folder, or from the repository when it is not there.
"""

import errno
import functools
import hashlib
import io
import json
import lzma
import os
import secrets
import shutil
import sys
import tarfile
import tempfile
import warnings
import zlib
from pathlib import Path

from course.loaders import USER_CACHE, class_folders
from course.paths import DATA, REPOSITORY, is_junk
from course.store.files import locked

ARCHIVE = DATA / "handwriting.tar.xz"
LAYOUT = "Train/<character>/<image>.png and Test/<character>/<image>.png"

_MANIFEST = "manifest.json"
_STAMP = ".unpacked.json"


def handwriting_folder() -> Path:
    """The folder that holds Train/ and Test/, each with one sub-folder per character.

    That is COURSE_DATA where it is set; otherwise the shipped archive, unpacked on first use
    into data/handwriting/, or into the user's cache folder where data/ cannot be written.

    Raises
    ------
    FileNotFoundError, NotADirectoryError, ValueError
        The folder is missing, empty or of another layout (it is named), or the archive is damaged.
    OSError
        The archive can be unpacked nowhere; each place and its reason are named.
    """
    own = _folder_from_environment("COURSE_DATA")
    if own is None:
        return _shipped_folder()
    for part in ("Train", "Test"):
        try:
            class_folders(own / part)
        except (OSError, ValueError) as error:
            found = ", ".join(sorted(path.name for path in own.iterdir())[:8]) or "nothing"
            raise type(error)(
                f"COURSE_DATA is {own}, which should hold {LAYOUT}. Its {part} folder is "
                f"missing or has no character folders. Found: {found}."
            ) from error
    return own


def notebook_folder() -> Path:
    """The folder of the learner's notebook: other hands than the training set's.

    That is COURSE_NOTEBOOK where it is set; else the Notebook folder of COURSE_DATA; else the
    shipped notebook if it has any of the characters in Train; else, with a printed line, Test.
    Load it with `skip_unknown=True`, since it may hold characters that Train lacks.

    Raises
    ------
    FileNotFoundError, NotADirectoryError, ValueError, OSError
        As `handwriting_folder`, naming COURSE_NOTEBOOK where that is at fault.
    """
    own = _folder_from_environment("COURSE_NOTEBOOK")
    if own is not None:
        try:
            class_folders(own)
        except ValueError as error:
            raise ValueError(
                f"COURSE_NOTEBOOK is {own}, which should hold <character>/<image>.png, but has "
                "no character folders."
            ) from error
        return own
    data = handwriting_folder()
    if (data / "Notebook").is_dir():
        return data / "Notebook"
    train = {label for label, _ in class_folders(data / "Train")}
    shipped = _shipped_folder() / "Notebook"
    if shipped.is_dir() and train & {label for label, _ in class_folders(shipped)}:
        return shipped
    print(
        f"No notebook with characters of {data / 'Train'}: the test set stands in for it. "
        "COURSE_NOTEBOOK=<folder> names one."
    )
    return data / "Test"


def _folder_from_environment(variable: str) -> Path | None:
    """The folder that an environment variable names, None where it is unset or blank."""
    value = os.environ.get(variable, "").strip()
    if not value:
        return None
    path = Path(value).expanduser()
    if not path.is_absolute():
        path = path.absolute() if path.exists() else REPOSITORY / path
    expected = LAYOUT if variable == "COURSE_DATA" else "<character>/<image>.png"
    if not path.exists():
        raise FileNotFoundError(
            errno.ENOENT,
            f"{variable} names a folder that does not exist (expected there: "
            f"{expected}). Create it, or unset {variable} to use the shipped data",
            str(path),
        )
    if not path.is_dir():
        raise NotADirectoryError(
            errno.ENOTDIR,
            f"{variable} should name a folder that holds {expected}, but names a file",
            str(path),
        )
    return path


# --- The shipped archive -----------------------------------------------------------------


def _shipped_folder() -> Path:
    """The shipped archive's folder, unpacked where that is still to be done."""
    places = [DATA / "handwriting", USER_CACHE / "handwriting"]
    if not ARCHIVE.exists():
        for place in places:
            if _read_stamp(place):
                return place
        raise FileNotFoundError(
            errno.ENOENT,
            "The shipped handwriting is missing. Restore it with `git checkout`, "
            f"rebuild it with `make data`, or set COURSE_DATA to a folder that holds {LAYOUT}",
            str(ARCHIVE),
        )
    archive_hash = _sha256(ARCHIVE)
    for place in places:
        if _read_stamp(place).get("archive_sha256") == archive_hash:
            _warn_of_changes(place, archive_hash)
            return place
    failures = []
    for place in places:
        try:
            unpack(ARCHIVE, place)
        except FileExistsError:
            raise
        except OSError as error:
            failures.append(f"{place}: {error.strerror or error}")
            continue
        if failures:
            print(f"The handwriting is unpacked into {place}, for want of {failures[0]}")
        return place
    raise OSError(
        f"{ARCHIVE.name} cannot be unpacked:\n  " + "\n  ".join(failures) + "\nIt needs some "
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
    if not _read_stamp(folder) and any(folder.iterdir()):
        raise FileExistsError(
            errno.EEXIST,
            "This folder is in the way of the shipped handwriting. Move it elsewhere; to use it as "
            "data, set COURSE_DATA to its path",
            str(folder),
        )
    if _read_stamp(folder) and _changes(folder):
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
            # It refuses links and paths that lead out of the folder. Python 3.11.3 lacks it.
            opened.extraction_filter = getattr(tarfile, "data_filter", None)
            opened.extractall(folder)
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


def _files(folder: Path) -> dict[str, Path]:
    """The files below `folder`, without what systems leave there, by their names in it."""
    found = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_junk(name)]
        paths = [Path(parent, name) for name in names if not is_junk(name)]
        found |= {path.relative_to(folder).as_posix(): path for path in paths}
    return found


# --- Changes made by hand ----------------------------------------------------------------


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
    """Say once in a session when the unpacked files are not what the archive holds."""
    changed = _changes(folder)
    if changed:
        shown = ", ".join(changed[:3]) + (", ..." if len(changed) > 3 else "")
        warnings.warn(
            f"{len(changed)} files in {folder} differ from the shipped archive: {shown}. Results "
            "will differ as well. To undo, delete the folder: it is unpacked again.",
            stacklevel=4,
        )

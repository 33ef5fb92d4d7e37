"""Where the handwriting is: the shipped, simulated set, or any folder of the same layout.

The shipped set is one archive in `data/`, unpacked on first use. The environment variable
COURSE_DATA names a folder that takes its place (real CASIA, say), and COURSE_NOTEBOOK one
that takes the place of the learner's notebook. A relative path counts from the current
folder, or from the repository when it is not there.
"""

import errno
import functools
import hashlib
import json
import lzma
import os
import secrets
import shutil
import stat
import sys
import tarfile
import tempfile
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from course.loaders import USER_CACHE, class_folders
from course.paths import DATA, REPOSITORY

ARCHIVES = (DATA / "handwriting.tar.xz", DATA / "handwriting.zip")
LAYOUT = "Train/<character>/<image>.png and Test/<character>/<image>.png"

# Three times what the shipped archive unpacks to. More is a mistake or a zip bomb.
MAX_UNPACKED_BYTES = 200 * 2**20
MAX_FILES = 100_000

_STAMP = ".unpacked.json"


def handwriting_folder() -> Path:
    """The folder that holds Train/ and Test/, each with one sub-folder per character.

    That is COURSE_DATA where it is set; otherwise the shipped archive, unpacked on first use
    into data/handwriting/, or into the user's cache folder where data/ cannot be written.

    Raises:
        FileNotFoundError, NotADirectoryError, ValueError: the folder is missing, empty or of
            another layout (it is named), or the archive is damaged or unsafe.
        OSError: the archive can be unpacked nowhere; each place and its reason are named.
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

    Raises: as `handwriting_folder`, naming COURSE_NOTEBOOK where that is at fault.
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
    archive = next((path for path in ARCHIVES if path.exists()), None)
    if archive is None:
        for place in places:
            if _read_stamp(place):
                return place
        raise FileNotFoundError(
            errno.ENOENT,
            "The shipped handwriting is missing. Restore it with `git checkout`, "
            "rebuild it with `make data`, or set COURSE_DATA to a folder that holds "
            f"{LAYOUT}",
            str(ARCHIVES[0]),
        )
    archive_hash = _sha256(archive)
    for place in places:
        if _unpacked_from(place) == archive_hash:
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
    try:
        stamp = json.loads((folder / _STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _unpacked_from(folder: Path) -> str | None:
    """The hash of the archive that `folder` was unpacked from."""
    return _read_stamp(folder).get("archive_sha256")


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a .zip or .tar.xz archive into `folder`, which appears whole or not at all.

    Every file is checked against the archive's checksums and its manifest.json. An earlier
    unpacking is replaced; one whose files were changed by hand is kept under another name,
    which is printed. Two processes may do this at once.

    Raises:
        ValueError: the archive is damaged, or has an entry that is unsafe to unpack.
        FileExistsError: `folder` is there but was not unpacked by this function.
        OSError: `folder` cannot be written.
    """
    try:
        "人".encode(sys.getfilesystemencoding())
    except UnicodeEncodeError as error:
        raise ValueError(
            f"File names here are in {sys.getfilesystemencoding()}, which has no Chinese "
            "characters. Set the environment variable PYTHONUTF8=1."
        ) from error
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder)
    archive_hash = _sha256(archive)
    fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}-unpacking-"))
    try:
        files = _unpack_files(archive, fresh)
        stamp = {"archive_sha256": archive_hash, "files": files}
        (fresh / _STAMP).write_text(json.dumps(stamp, ensure_ascii=False), encoding="utf-8")
        fresh.chmod(0o755)  # mkdtemp lets nobody else read
        _put_in_place(fresh, folder, archive_hash)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _put_in_place(fresh: Path, folder: Path, archive_hash: str) -> None:
    if folder.exists():
        if _unpacked_from(folder) == archive_hash:
            return  # another process was quicker
        if not _read_stamp(folder):
            if any(folder.iterdir()):
                raise FileExistsError(
                    errno.EEXIST,
                    "This folder is in the way of the shipped handwriting. Move "
                    "it elsewhere; to use it as data, set COURSE_DATA to its path",
                    str(folder),
                )
            folder.rmdir()
        elif _changes(folder):
            aside = folder.with_name(f"{folder.name}-changed-{secrets.token_hex(4)}")
            os.replace(folder, aside)
            print(f"{folder} had files changed by hand; they are kept in {aside}.")
        else:
            aside = folder.with_name(f"{folder.name}-unpacking-old-{secrets.token_hex(4)}")
            os.replace(folder, aside)
            shutil.rmtree(aside, ignore_errors=True)
    try:
        os.replace(fresh, folder)
    except OSError:
        if _unpacked_from(folder) != archive_hash:
            raise


def _remove_abandoned(folder: Path) -> None:
    """Remove what an unpacking that was killed left behind, once it is an hour old."""
    for path in folder.parent.glob(f"{folder.name}-unpacking-*"):
        if time.time() - path.stat().st_mtime > 3600:
            shutil.rmtree(path, ignore_errors=True)


def _unpack_files(archive: Path, folder: Path) -> dict[str, list[int]]:
    """Write the archive's files under `folder`; return {name: [size, CRC-32]}."""
    files, hashes, made, size = {}, {}, set(), 0
    opened = _tar_entries(archive) if archive.suffix == ".xz" else _zip_entries(archive)
    try:
        for name, declared_size, problem, read in opened:
            size += declared_size
            if size > MAX_UNPACKED_BYTES or len(files) >= MAX_FILES:
                raise ValueError(
                    f"The archive {archive} would unpack to more than {MAX_FILES:,} files or "
                    f"{MAX_UNPACKED_BYTES:,} bytes. Nothing is unpacked."
                )
            problem = (
                problem or _problem_with_name(name) or ("a name that occurs twice" if name in files else None)
            )
            if problem:
                raise ValueError(f"The archive {archive} has {problem}: {name!r}. Nothing is unpacked.")
            if read is None:
                continue  # a folder: its files make it
            data = read()
            target = folder.joinpath(*PurePosixPath(name).parts)
            if target.parent not in made:
                target.parent.mkdir(parents=True, exist_ok=True)
                made.add(target.parent)
            target.write_bytes(data)
            files[name] = [len(data), zlib.crc32(data)]
            hashes[name] = hashlib.sha256(data).hexdigest()
        _check_manifest(archive, folder, hashes)
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        lzma.LZMAError,
        zlib.error,
        EOFError,
        NotImplementedError,
    ) as error:
        raise ValueError(
            f"The archive {archive} is damaged ({error}). Restore it with `git checkout`, or "
            "rebuild it with `make data`."
        ) from error
    return files


_Entry = tuple[str, int, str | None, Callable[[], bytes] | None]


def _zip_entries(archive: Path) -> Iterator[_Entry]:
    """Each entry's name, declared size, problem if any, and how to read it (folders: None)."""
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            problem = None
            if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                problem = "a link or a device, not a file"
            elif entry.flag_bits & 1:
                problem = "an encrypted file"
            read = None if entry.is_dir() else functools.partial(opened.read, entry)
            yield entry.filename, entry.file_size, problem, read


def _tar_entries(archive: Path) -> Iterator[_Entry]:
    """As `_zip_entries`, for a tar archive compressed with xz."""
    with lzma.open(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as opened:
        for entry in opened:
            problem = None
            if not (entry.isreg() or entry.isdir()):
                problem = "a link or a device, not a file"
            read = functools.partial(_read_member, opened, entry) if entry.isreg() else None
            yield entry.name, entry.size, problem, read
        # On to the end of the stream, where a file cut short shows.
        for _ in range(MAX_UNPACKED_BYTES // 2**20):
            if not stream.read(2**20):
                break


def _read_member(opened: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    data = opened.extractfile(entry).read()
    if len(data) != entry.size:
        raise EOFError(f"{entry.name} is cut short")
    return data


def _problem_with_name(name: str) -> str | None:
    path = PurePosixPath(name)
    if "\\" in name or ":" in name or path.is_absolute() or ".." in path.parts or not path.parts:
        return "a path that may lead out of its folder"
    return None


def _check_manifest(archive: Path, folder: Path, hashes: dict[str, str]) -> None:
    """Compare the files with the SHA-256 sums in the archive's manifest.json, if it has one."""
    if "manifest.json" not in hashes:
        return
    try:
        listed = json.loads((folder / "manifest.json").read_bytes()).get("sha256", {})
    except (ValueError, AttributeError) as error:
        raise ValueError(f"The manifest.json of {archive} cannot be read: {error}") from error
    images = {name: digest for name, digest in hashes.items() if name.endswith(".png")}
    wrong = sorted(name for name in listed.keys() | images.keys() if listed.get(name) != hashes.get(name))
    if wrong:
        raise ValueError(
            f"{len(wrong)} files of {archive} are missing, changed or not in its manifest.json, "
            f"the first being {wrong[0]}. Restore it with `git checkout`, or rebuild it with "
            "`make data`."
        )


# --- Changes made by hand ----------------------------------------------------------------


def _changes(folder: Path) -> list[str]:
    """Files that differ from what was unpacked: changed, added or removed since.

    Sizes are compared for all; contents only for files written since the unpacking.
    """
    expected = _read_stamp(folder).get("files", {})
    unpacked_at = (folder / _STAMP).stat().st_mtime_ns
    found = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and name not in ("Thumbs.db", "desktop.ini"):
                path = Path(parent, name)
                found[path.relative_to(folder).as_posix()] = path
    changed = [f"{name} (removed)" for name in expected if name not in found]
    for name, path in found.items():
        if name not in expected:
            changed.append(f"{name} (added)")
            continue
        size, checksum = expected[name]
        status = path.stat()
        if status.st_size != size or (
            status.st_mtime_ns > unpacked_at and zlib.crc32(path.read_bytes()) != checksum
        ):
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

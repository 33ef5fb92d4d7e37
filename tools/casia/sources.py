"""Finding `.gnt` files: given directly, in folders, in the official zip archives."""

import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from tools.casia.gnt import Problem
from tools.casia.layout import CasiaError

# What an honest archive never reaches. The official ones hold at most 240 files, shrink handwriting
# to about a third, and the largest file is under 6 GB.
MAX_ENTRIES = 100_000
MAX_DIRECTORY_BYTES = 64 << 20
MAX_ARCHIVE_BYTES = 64 << 30
MAX_RATIO = 200
# Small members may shrink by any factor: a few blank samples do.
_RATIO_FROM_BYTES = 64 << 20

_OTHER_ARCHIVES = (".alz", ".egg", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst")
_OTHER_CASIA = {
    ".mpf": "feature vectors, not images",
    ".pot": "pen trajectories (the online database), not images",
    ".ptts": "pen trajectories (the online database), not images",
    ".wptt": "pen trajectories (the online database), not images",
    ".dgr": "pages of text, not single characters",
    ".dgrl": "pages of text, not single characters",
}


@dataclass(frozen=True)
class Member:
    """One `.gnt` file to import, on its own or inside a zip archive.

    path: the file on disk; entry: position in the archive's directory, None for a file on its own;
    inside: its name in the archive; size: bytes when unpacked; stamp: what tells a changed file;
    split: "Train" or "Test"; prefix: how its images' names begin; writer: the writer's number where
    the file's name gives one.
    """

    path: Path
    size: int
    stamp: str
    split: str
    entry: int | None = None
    inside: str | None = None
    prefix: str = ""
    writer: str | None = None

    @property
    def label(self) -> str:
        return str(self.path) if self.inside is None else f"{self.path}!{self.inside}"

    @property
    def stem(self) -> str:
        return PurePosixPath(self.inside or self.path.name).stem

    def identity(self) -> list:
        """What makes this the same import next time; no absolute path, so folders may move."""
        return [self.path.name, self.inside, self.size, self.stamp, self.split, self.prefix]

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """A binary stream of the unpacked `.gnt` bytes."""
        if self.entry is None:
            with self.path.open("rb") as stream:
                yield stream
        else:
            with zipfile.ZipFile(self.path) as archive:
                with archive.open(archive.infolist()[self.entry]) as stream:
                    yield stream


@dataclass
class Sources:
    """What was found: members in import order, and one sentence for each thing set aside."""

    members: list[Member] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def split_of(names: Iterable[str]) -> str | None:
    """ "Train" or "Test" by the first of `names`, innermost first, that says so; else None.

    `Gnt1.1TrainPart1`, `HWDB1.1trn_gnt`, `1.0test-gb1` and `tst` do; `latest` and `contest` don't.
    """
    for name in names:
        words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)
        words = [word.lower() for word in words]
        train = any(word.startswith(("train", "trn")) for word in words)
        test = any(word.startswith(("test", "tst")) or word == "competition" for word in words)
        if train != test:
            return "Train" if train else "Test"
    return None


def find_members(sources: Iterable[tuple[Path, str | None]], report: Callable[[Problem], None]) -> Sources:
    """Look into every source and plan the import.

    sources: (file or folder, split), where the split None is decided by name.
    report: called for archives and members that cannot be read.
    Raises CasiaError for a source that does not exist, for one whose split no name tells, and for
    a file given for both Train and Test.
    """
    found = Sources()
    undecided: list[str] = []
    for path, split in sources:
        if not path.exists():
            raise CasiaError(f"{path} does not exist; check the path.")
        if path.is_dir():
            files = list(_walk(path))
            others = 0
            for file in files:
                names = [file.name, *(p.name for p in file.parents if _within(p, path))]
                if not _try_at(file, split, names, found, undecided, report, given=False):
                    others += 1
            if others:
                found.notes.append(f"{path}: {others:,} files of other kinds were left alone.")
        else:
            names = [path.name, path.absolute().parent.name]
            _try_at(path, split, names, found, undecided, report, given=True)
    if undecided:
        more = f" and {len(undecided) - 1:,} more" if len(undecided) > 1 else ""
        raise CasiaError(
            f"No name tells whether {undecided[0]}{more} is for training or testing; "
            "give it as --train FILE or --test FILE."
        )
    found.members = _name_prefixes(found.members, found.notes)
    return found


def _within(folder: Path, top: Path) -> bool:
    return folder == top or top in folder.parents


def _walk(folder: Path) -> Iterator[Path]:
    """Files below `folder` in the order of their names, without hidden ones."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _hidden(name))
        for name in sorted(files):
            if not _hidden(name):
                yield Path(parent, name)


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _try_at(
    path: Path,
    split: str | None,
    names: list[str],
    found: Sources,
    undecided: list[str],
    report: Callable[[Problem], None],
    given: bool,
) -> bool:
    try:
        return _look_at(path, split, names, found, undecided, report, given)
    except OSError as error:
        report(Problem("unreadable file", str(path), None, f"{error.strerror}; left out"))
        return True


def _look_at(
    path: Path,
    split: str | None,
    names: list[str],
    found: Sources,
    undecided: list[str],
    report: Callable[[Problem], None],
    given: bool,
) -> bool:
    """Add what `path` holds to `found`; False when it is a file of another kind."""
    suffix = path.suffix.lower()
    if suffix == ".gnt":
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            report(Problem("not a file", str(path), None, "it is no ordinary file; left out"))
            return True
        side = split or split_of(names)
        if side is None:
            undecided.append(str(path))
        else:
            stamp = str(status.st_mtime_ns)
            found.members.append(Member(path, status.st_size, stamp, side))
        return True
    if suffix == ".zip":
        _look_into_zip(path, split, names, found, undecided, report)
        return True
    if suffix in _OTHER_ARCHIVES:
        report(Problem("unreadable archive", str(path), None, _how_to_unpack(suffix)))
        return True
    if given:
        why = _OTHER_CASIA.get(suffix)
        message = f"it holds {why}" if why else "it is neither a .gnt file nor a .zip archive"
        report(Problem("not a .gnt file", str(path), None, f"{message}; left out"))
    return given


def _how_to_unpack(suffix: str) -> str:
    tool = "unalz or Bandizip" if suffix in (".alz", ".egg") else "7-Zip, bsdtar or the like"
    return f"{suffix} is not read here; unpack it with {tool} and give the folder of .gnt files"


def _directory_bytes(path: Path) -> int | None:
    """Size of a zip archive's directory, read from the record at its end; None if there is none.

    Python's zipfile loads the whole directory, so a huge one must be noticed before.
    """
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - 65_557 - 76))
        tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < 22:
        return None
    size = struct.unpack_from("<I", tail, at + 12)[0]
    large = tail.rfind(b"PK\x06\x06", 0, at)
    if large >= 0 and len(tail) - large >= 56:
        size = max(size if size != 0xFFFFFFFF else 0, struct.unpack_from("<Q", tail, large + 40)[0])
    return size


def _look_into_zip(
    path: Path,
    split: str | None,
    names: list[str],
    found: Sources,
    undecided: list[str],
    report: Callable[[Problem], None],
) -> None:
    where = str(path)

    def refuse(kind: str, message: str, inside: str | None = None, offset: int | None = None) -> None:
        label = where if inside is None else f"{where}!{inside}"
        report(Problem(kind, label, offset, message))

    size = _directory_bytes(path)
    if size is not None and size > MAX_DIRECTORY_BYTES:
        refuse("zip bomb", f"its directory alone has {size:,} bytes; left out")
        return
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        refuse("not a zip", f"{error}; download it again, or unpack it with another tool and give the folder")
        return
    total = sum(entry.file_size for entry in entries)
    if len(entries) > MAX_ENTRIES or total > MAX_ARCHIVE_BYTES:
        refuse(
            "zip bomb",
            f"it claims {len(entries):,} files of {total:,} bytes, more than "
            f"{MAX_ENTRIES:,} files or {MAX_ARCHIVE_BYTES:,} bytes; left out",
        )
        return
    here: list[Member] = []
    others = 0
    for number, entry in enumerate(entries):
        inside = entry.filename
        parts = inside.replace("\\", "/").split("/")
        if entry.is_dir() or any(_hidden(part) for part in parts if part not in ("", ".", "..")):
            continue
        suffix = PurePosixPath(parts[-1]).suffix.lower()
        at = entry.header_offset
        if inside.startswith(("/", "\\")) or ".." in parts or re.match(r"[A-Za-z]:", inside):
            refuse("unsafe path", "the name points out of the archive; left out", inside, at)
        elif stat.S_ISLNK(entry.external_attr >> 16):
            refuse("unsafe path", "it is a symbolic link; left out", inside, at)
        elif suffix == ".zip":
            refuse(
                "unreadable archive",
                "an archive inside an archive; unpack the outer one and give the folder",
                inside,
                at,
            )
        elif suffix in _OTHER_ARCHIVES:
            refuse("unreadable archive", _how_to_unpack(suffix), inside, at)
        elif suffix != ".gnt":
            others += 1
        elif entry.flag_bits & 0x1:
            refuse("encrypted", "unpack it with its password and give the folder", inside, at)
        elif entry.file_size > max(_RATIO_FROM_BYTES, MAX_RATIO * entry.compress_size):
            refuse(
                "zip bomb",
                f"{entry.compress_size:,} bytes claim to unpack to {entry.file_size:,}; left out",
                inside,
                at,
            )
        elif entry.compress_type not in (
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
            zipfile.ZIP_BZIP2,
            zipfile.ZIP_LZMA,
        ):
            refuse(
                "unknown compression",
                f"method {entry.compress_type}; unpack the archive with 7-Zip and give the folder",
                inside,
                at,
            )
        else:
            side = split or split_of([*reversed(parts), *names])
            if side is None:
                undecided.append(f"{where}!{inside}")
                continue
            here.append(Member(path, entry.file_size, f"{entry.CRC:08x}", side, number, inside))
    if others:
        found.notes.append(f"{path}: {others:,} files of other kinds were left alone.")
    found.members += sorted(here, key=lambda member: member.inside or "")


def _crc(member: Member) -> str:
    if member.entry is not None:
        return member.stamp
    value = 0
    with member.open() as stream:
        while chunk := stream.read(1 << 20):
            value = zlib.crc32(chunk, value)
    return f"{value:08x}"


def _name_prefixes(members: list[Member], notes: list[str]) -> list[Member]:
    """Give each member the beginning of its images' names; drop a file that is given twice.

    The prefix is the file's own name, which in HWDB is the writer's number and a letter.
    """
    kept: list[Member] = []
    same: dict[tuple[str, int], list[Member]] = {}
    used: set[tuple[str, str]] = set()
    for member in members:
        twin = None
        for other in same.get((member.stem.lower(), member.size), ()):
            place = (member.path, member.entry)
            if place == (other.path, other.entry) or _crc(member) == _crc(other):
                twin = other
                break
        if twin is not None:
            if twin.split != member.split:
                raise CasiaError(
                    f"{member.label} and {twin.label} are the same file, once for Train and once "
                    "for Test. Leave one out: a test writer must not be trained on."
                )
            notes.append(f"{member.label} is the same file as {twin.label}; taken once.")
            continue
        prefix = base = re.sub(r"[^\w.-]+", "_", member.stem)[:60].strip("._") or "gnt"
        number = 1
        # Case does not count, for file systems where it doesn't.
        while (member.split, prefix.lower()) in used:
            number += 1
            prefix = f"{base}_{number}"
        used.add((member.split, prefix.lower()))
        writer = re.fullmatch(r"([0-9]{1,5})(-[A-Za-z])?", member.stem)
        named = Member(
            member.path,
            member.size,
            member.stamp,
            member.split,
            member.entry,
            member.inside,
            prefix,
            writer.group(1) if writer else None,
        )
        same.setdefault((member.stem.lower(), member.size), []).append(named)
        kept.append(named)
    return kept

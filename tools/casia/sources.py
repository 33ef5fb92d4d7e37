"""Finding `.gnt` files: given directly, in folders, in zip and tar archives, and in archives inside of these.

Nothing is unpacked to the disk: members are read where they lie, so no name in an archive reaches a path.
"""

import contextlib
import hashlib
import itertools
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from course.paths import is_junk

from tools.casia.gnt import Problem
from tools.casia.layout import CasiaError, Result

_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz")
_OTHER_ARCHIVES = (".alz", ".egg", ".rar", ".7z", ".zst")
_HEAD = 1 << 16


@dataclass
class Member:
    """One file on its own or inside an archive; in the end, one `.gnt` file to import."""

    file: Path  # the file on disk
    inside: str | None  # where in the archive it is
    names: Sequence[str]  # its own name last, before it those of what it lies in
    size: int  # bytes when unpacked
    open: Callable[[], BinaryIO]
    split: str | None = None  # "Train" or "Test"
    prefix: str = ""  # how its images' names begin

    @property
    def label(self) -> str:
        """How messages name it."""
        return str(self.file) if self.inside is None else f"{self.file}!{self.inside}"


def split_of(names: Iterable[str]) -> str | None:
    """ "Train" or "Test" by the first of `names`, innermost first, that says so; else None.

    `Gnt1.1TrainPart1`, `HWDB1.1trn_gnt`, `1.0test-gb1` and `tst` do; `latest` and `contest` don't.
    """
    for name in names:
        words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]
        train = any(word.startswith(("train", "trn")) for word in words)
        test = any(word.startswith(("test", "tst")) or word == "competition" for word in words)
        if train != test:
            return "Train" if train else "Test"
    return None


def find_members(
    sources: Iterable[tuple[Path, str | None]], stack: contextlib.ExitStack, result: Result
) -> list[Member]:
    """The `.gnt` files of all sources, in order; `result` is told what cannot be read or is set aside.

    A source is a file or folder, and "Train", "Test", or None where names decide. `stack` keeps archives
    open for as long as their members are read. CasiaError for a source that does not exist, one whose split
    no name tells, and a file given for both.
    """
    members: list[Member] = []
    for given, split in sources:
        if not given.exists():
            raise CasiaError(f"{given} does not exist; check the path.")
        # What is given tells by its own name, and a file by its folder's as well.
        above = given.absolute().parent if given.is_dir() else given.absolute().parent.parent
        for file in sorted(given.rglob("*")) if given.is_dir() else [given]:
            if file.is_dir() or any(map(is_junk, file.relative_to(given).parts)):
                continue
            names = file.absolute().relative_to(above).parts
            size = file.stat().st_size if file.exists() else 0
            found = Member(file, None, names, size, partial(file.open, "rb"))
            for member in _gnt_files(found, stack, result):
                member.split = split or split_of(reversed(member.names))
                members.append(member)
    if others := result.passed_over:
        named = _first_of(others)
        result.notes.append(f"{len(others):,} passed over, neither .gnt files nor archives: {named}.")
    if undecided := [member.label for member in members if member.split is None]:
        advice = "for training or testing; give it as --train FILE or --test FILE."
        raise CasiaError(f"No name tells whether {_first_of(undecided)} is {advice}")
    return _named(members, result)


def _first_of(names: Sequence[str]) -> str:
    return names[0] + (f" and {len(names) - 1:,} more" if len(names) > 1 else "")


def _gnt_files(found: Member, stack: contextlib.ExitStack, result: Result) -> Iterator[Member]:
    """What of `.gnt` files a file is or holds, at whatever depth."""
    kind = PurePosixPath(found.names[-1]).suffix.lower()
    if kind == ".gnt":
        yield found
    elif kind in (*_ARCHIVES, *_OTHER_ARCHIVES):
        try:
            for name, size, opens in _entries(found, kind, stack):
                parts = [part for part in re.split(r"[/\\]", name) if part not in ("", ".", "..")]
                if parts and not any(map(is_junk, parts)):
                    inside = name if found.inside is None else f"{found.inside}!{name}"
                    entry = Member(found.file, inside, [*found.names, *parts], size, opens)
                    yield from _gnt_files(entry, stack, result)
        except Exception as error:  # whatever a damaged archive raises
            advice = "get it again, or unpack it with another tool (.alz: unalz or Bandizip), give the folder"
            message = f"{str(error).partition(chr(10))[0]}; {advice}"
            result.report(Problem("unreadable archive", found.label, None, message))
    else:
        result.passed_over.append(found.label)


def _entries(
    found: Member, kind: str, stack: contextlib.ExitStack
) -> Iterator[tuple[str, int, Callable[[], BinaryIO]]]:
    """(name, size, how to open it) of each file in an archive."""
    if kind in _OTHER_ARCHIVES:
        raise ValueError(f"archives of the kind {kind} are not read")
    stream = stack.enter_context(found.open())
    if kind == ".zip":
        archive = stack.enter_context(zipfile.ZipFile(stream))
        for entry in archive.infolist():
            if not entry.is_dir():
                yield entry.filename, entry.file_size, partial(archive.open, entry)
    else:
        archive = stack.enter_context(tarfile.open(fileobj=stream))
        for entry in archive:
            if entry.isfile():
                yield entry.name, entry.size, partial(archive.extractfile, entry)


def _named(members: list[Member], result: Result) -> list[Member]:
    """Members with the beginnings of their images' names; one of those given twice."""
    kept: list[Member] = []
    known: dict[tuple[str, int, bytes], Member] = {}
    used: set[tuple[str | None, str]] = set()
    for member in members:
        head = member.label.encode("utf-8")  # of what cannot be read, which is reported when it is imported
        try:
            with member.open() as stream, contextlib.suppress(Exception):
                head = stream.read(_HEAD)
        except Exception as error:
            result.report(Problem("unreadable file", member.label, None, f"{error}; left out"))
            continue
        key = member.names[-1].lower(), member.size, hashlib.sha256(head).digest()
        twin = known.setdefault(key, member)
        if twin.split != member.split:
            raise CasiaError(
                f"{member.label} and {twin.label} are the same file, once for Train and once "
                "for Test. Leave one out: a test writer must not be trained on."
            )
        if twin is not member:
            result.notes.append(f"{member.label} is the same file as {twin.label}; taken once.")
            continue
        base = re.sub(r"[^\w.-]+", "_", member.names[-1][:-4])[:60].strip("._") or "gnt"
        names = (base if number == 1 else f"{base}_{number}" for number in itertools.count(1))
        # Case does not count, for file systems where it doesn't.
        member.prefix = next(name for name in names if (member.split, name.lower()) not in used)
        used.add((member.split, member.prefix.lower()))
        kept.append(member)
    return kept

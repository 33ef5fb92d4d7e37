"""Importing `.gnt` files into `Train/<character>/` and `Test/<character>/` as PNG images.

Everything is written into `<out>.importing` first, which gets its final name when it is complete.
A journal in it says how far each source has been read, so that the same command continues an
interrupted import: it reads the unfinished file again, but writes only what is missing.
"""

import hashlib
import json
import lzma
import os
import struct
import sys
import zipfile
import zlib
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from course.store.files import as_json, left_by_write_whole, write_whole

import numpy as np
from filelock import FileLock, Timeout
from isal import isal_zlib
from tqdm import tqdm

from tools.casia.gnt import Problem, Sample, code_of, read_gnt
from tools.casia.layout import (
    CHECKSUMS,
    MADE_BY,
    MANIFEST,
    SPLITS,
    TERMS,
    CasiaError,
    fingerprint,
    folder_of,
    gaps,
    read_manifest,
    summary,
)
from tools.casia.sources import Member, find_members

JOURNAL = "journal.jsonl"
_BATCH = 64
_CHECKPOINT_BYTES = 64 << 20
_SHOWN_PER_SOURCE = 20
_REPORTS_KEPT = 1000


@dataclass
class Result:
    """What an import or adoption did.

    folder: where the images are, None when there were none; manifest: its content; problems: how
    many things could not be imported; reports: the first 1,000 of them; notes: sentences worth
    printing; resumed: whether an interrupted import was continued; complete: whether all had been
    there already.
    """

    folder: Path | None
    manifest: dict
    problems: int = 0
    reports: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    resumed: bool = False
    complete: bool = False


class Ledger:
    """Counts problems by kind, keeps the first ones, and prints the first of each source."""

    def __init__(self, progress: bool) -> None:
        self.kinds: Counter[str] = Counter()
        self.first: list[Problem] = []
        self.progress = progress
        self._shown: Counter[str] = Counter()

    def __call__(self, problem: Problem) -> None:
        self.add(problem)
        self._shown[problem.where] += 1
        if self.progress and self._shown[problem.where] <= _SHOWN_PER_SOURCE:
            tqdm.write(f"  {problem}", file=sys.stderr)
        if self.progress and self._shown[problem.where] == _SHOWN_PER_SOURCE + 1:
            tqdm.write(f"  {problem.where}: further problems are only counted", file=sys.stderr)

    def add(self, problem: Problem) -> None:
        self.kinds[problem.kind] += 1
        if len(self.first) < _REPORTS_KEPT:
            self.first.append(problem)

    @property
    def total(self) -> int:
        return self.kinds.total()

    def content(self) -> dict:
        """For a manifest; the first 100 in full, with paths reduced to file names."""
        return {
            "total": self.total,
            "kinds": dict(sorted(self.kinds.items())),
            "first": [
                {
                    "file": _bare(problem.where),
                    "byte": problem.offset,
                    "kind": problem.kind,
                    "message": problem.message,
                }
                for problem in self.first[:100]
            ],
        }


def _bare(where: str) -> str:
    path, mark, inside = where.partition("!")
    return Path(path).name + mark + inside


class Staging:
    """The folder in which an import grows, with its journal and a lock against a second one."""

    def __init__(self, out: Path, plan: str, restart: bool) -> None:
        self.out = out
        self.folder = out.with_name(out.name + ".importing")
        self.plan = plan
        self.restart = restart
        self.entries: list[dict] = []
        self.resumed = False

    @contextmanager
    def locked(self) -> Iterator["Staging"]:
        """Hold the lock while importing; open what is there of the same plan, else start afresh.

        Raises CasiaError when another process is at it, when `<out>.importing` belongs to another
        import, or when `out` cannot be used.
        """
        self.out.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder.with_name(self.folder.name + ".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise CasiaError(f"Another import into {self.out} is running; wait for it.") from None
        try:
            if self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
                raise CasiaError(
                    f"{self.out} exists and is not empty; nothing was changed. Choose another "
                    "--out, or remove it yourself if you no longer need it."
                )
            self._open()
            yield self
        finally:
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)

    def _open(self) -> None:
        journal = self.folder / JOURNAL
        present = {path.name for path in self.folder.iterdir()} if self.folder.exists() else set()
        if present - {JOURNAL, *(path.name for path in _abandoned(self.folder))}:
            lines = _json_lines(journal)
            if lines and lines[0].get("plan") == self.plan and not self.restart:
                self.entries = lines[1:]
                self.resumed = True
                # Cut off a last line that an interruption may have left half written.
                text = "".join(json.dumps(line) + "\n" for line in lines)
                write_whole(journal, text)
                return
            if not lines or "plan" not in lines[0]:
                raise CasiaError(f"{self.folder} is in the way and holds no import; move it elsewhere.")
            if not self.restart:
                raise CasiaError(
                    f"{self.folder} holds an unfinished import of other files or characters. "
                    "Repeat that command to finish it, or add --restart to discard it."
                )
            _remove_import(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        # The journal comes first, so that every later state is recognised as ours.
        journal.write_text(json.dumps({"plan": self.plan}) + "\n", encoding="utf-8")
        self.entries = []

    def _append(self, entry: dict) -> None:
        with (self.folder / JOURNAL).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def record(self, entry: dict) -> None:
        self.entries.append(entry)
        self._append(entry)

    def close(self, result: Result, wanted: Iterable[str] | None) -> None:
        """Put the folder and its manifest in place, or discard it where no image came."""
        result.notes += gaps(result.manifest, wanted)
        if not sum(result.manifest["images"].values()):
            self.discard()
            return
        write_whole(self.folder / MANIFEST, as_json(result.manifest))
        self._finish()
        result.folder = self.out

    def _finish(self) -> None:
        """Give the folder its final name."""
        if self.out.exists():
            self.out.rmdir()  # empty, or this fails; Windows cannot rename onto it
        for path in _abandoned(self.folder):
            path.unlink()
        os.replace(self.folder, self.out)
        (self.out / JOURNAL).unlink(missing_ok=True)

    def discard(self) -> None:
        _remove_import(self.folder)


def _json_lines(path: Path) -> list[dict]:
    lines: list[dict] = []
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                if not line.endswith("\n"):
                    break
                lines.append(json.loads(line))
    except (OSError, ValueError):
        return []
    return lines


def _abandoned(folder: Path) -> list[Path]:
    """What a killed import leaves of a manifest or journal that it was writing."""
    return [path for name in (MANIFEST, JOURNAL) for path in left_by_write_whole(folder / name)]


def _remove_import(folder: Path) -> None:
    """Remove what an import writes, and nothing else; the journal goes last."""
    for split in SPLITS:
        for path in sorted(folder.glob(f"{split}/*/*.png")):
            path.unlink()
        for path in sorted(folder.glob(f"{split}/*")):
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        if (folder / split).is_dir() and not any((folder / split).iterdir()):
            (folder / split).rmdir()
    for path in (*_abandoned(folder), *(folder / name for name in (CHECKSUMS, MANIFEST, JOURNAL))):
        path.unlink(missing_ok=True)
    if any(folder.iterdir()):
        raise CasiaError(f"{folder} holds files that no import wrote; move them elsewhere.")
    folder.rmdir()


class _Metered:
    """A stream that hashes and counts what is read, and ends where its archive is damaged."""

    def __init__(self, stream: BinaryIO, bar: tqdm) -> None:
        self.stream = stream
        self.bar = bar
        self.hash = hashlib.sha256()
        self.count = 0
        self.error: Exception | None = None

    def read(self, size: int) -> bytes:
        # Small steps, because zipfile withholds the last one where an archive is damaged.
        try:
            chunk = self.stream.read(min(size, 1 << 16))
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
            self.error = error
            return b""
        self.hash.update(chunk)
        self.count += len(chunk)
        self.bar.update(len(chunk))
        return chunk


def encode_png(pixels: np.ndarray) -> bytes:
    """An 8-bit grey PNG of `pixels`, shape (height, width), uint8.

    Written out here because encoding is most of an import's time: rows without filters, packed by
    isal's fastest level, take a quarter of the time of OpenCV's fastest setting.
    """
    height, width = pixels.shape
    rows = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter's number, 0
    rows[:, 1:] = pixels
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [b"\x89PNG\r\n\x1a\n"]
    for name, content in ((b"IHDR", header), (b"IDAT", isal_zlib.compress(rows, 0)), (b"IEND", b"")):
        checksum = isal_zlib.crc32(content, isal_zlib.crc32(name))
        chunks += (struct.pack(">I", len(content)), name, content, struct.pack(">I", checksum))
    return b"".join(chunks)


def _write_images(batch: list[tuple[str, str, Sample]], root: str) -> list[str]:
    """Write one batch as PNG; return its lines for the checksum file."""
    lines = []
    for folder, name, sample in batch:
        encoded = encode_png(sample.pixels)
        with open(f"{root}/{folder}/{name}", "wb", buffering=0) as file:
            file.write(encoded)
        lines.append(f"{hashlib.sha256(encoded).hexdigest()}  {folder}/{name}\n")
    return lines


class _Writer:
    """Encodes and writes images on a few threads, at most a few batches ahead."""

    def __init__(self, root: Path, sums: BinaryIO, pool: ThreadPoolExecutor, ahead: int) -> None:
        self.root = root
        self.sums = sums
        self.pool = pool
        self.ahead = ahead
        self.batch: list[tuple[str, str, Sample]] = []
        self.pending: deque[Future[list[str]]] = deque()
        self.folders: set[str] = set()

    def add(self, folder: str, name: str, sample: Sample) -> None:
        if folder not in self.folders:
            (self.root / folder).mkdir(parents=True, exist_ok=True)
            self.folders.add(folder)
        self.batch.append((folder, name, sample))
        if len(self.batch) == _BATCH or sample.pixels.size > 1 << 18:
            self._send()

    def _send(self) -> None:
        if self.batch:
            self.pending.append(self.pool.submit(_write_images, self.batch, str(self.root)))
            self.batch = []
        while len(self.pending) > self.ahead:
            self._collect()

    def _collect(self) -> None:
        self.sums.write("".join(self.pending.popleft().result()).encode("utf-8"))

    def drain(self) -> int:
        """Wait until all is written; return the length of the checksum file."""
        self._send()
        while self.pending:
            self._collect()
        self.sums.flush()
        return self.sums.tell()


def import_gnt(
    sources: Iterable[str | Path] = (),
    out: str | Path = "casia",
    *,
    train: Iterable[str | Path] = (),
    test: Iterable[str | Path] = (),
    characters: Collection[str] | None = None,
    restart: bool = False,
    progress: bool = True,
) -> Result:
    """Import `.gnt` files, folders and zip archives of them as PNG images.

    sources: decided for Train or Test by their names; train, test: decided by you.
    out: the new folder; it must not exist, be empty, or hold this very import, finished or not.
    characters: which to import; None for all.
    restart: discard an unfinished import of something else into the same folder.
    progress: print problems as they are met, and a progress bar where there is a terminal.

    An image is `out/Train/<folder_of(character)>/<prefix>-<index>.png` with the grey values as they
    are in the file. Damaged samples are left out, counted and reported. The same call gives the
    same files and the same manifest. Returns a `Result`; its `folder` is None when nothing was imported.
    Raises CasiaError for a request that cannot be carried out, OSError e.g. when the disk is full;
    calling again then continues.
    """
    out = Path(os.path.abspath(out))
    wanted = None if characters is None else sorted(set(characters))
    for character in wanted or ():
        try:
            code_of(character)
        except ValueError as error:
            raise CasiaError(str(error)) from None
    ledger = Ledger(progress)
    listed = [(Path(path), None) for path in sources]
    listed += [(Path(path), "Train") for path in train] + [(Path(path), "Test") for path in test]
    if not listed:
        raise CasiaError("Nothing to import: give .gnt files, folders or zip archives.")
    found = find_members(listed, ledger)
    plan = fingerprint({"version": 1, "characters": wanted, "members": [m.identity() for m in found.members]})
    result = Result(None, {}, notes=found.notes, reports=ledger.first)
    done = read_manifest(out)
    if done is not None and done.get("plan") == plan:
        result.folder, result.manifest, result.complete = out, done, True
        result.problems = done["problems"]["total"]
        return result
    if not found.members:
        result.problems = ledger.total
        result.notes.append("No .gnt file was found.")
        return result
    with Staging(out, plan, restart).locked() as staging:
        result.resumed = staging.resumed
        described = _import_members(found.members, wanted, staging, ledger, progress)
        result.problems = ledger.total
        content = summary(staging.folder / CHECKSUMS)
        result.manifest = {
            "made_by": MADE_BY,
            "terms": TERMS,
            "plan": plan,
            **content,
            "sources": described,
            "problems": ledger.content(),
        }
        staging.close(result, wanted)
    return result


def _import_members(
    members: list[Member], wanted: list[str] | None, staging: Staging, ledger: Ledger, progress: bool
) -> list[dict]:
    finished = {e["member"]: e for e in staging.entries if e["done"]}
    begun = {e["member"]: e["index"] for e in staging.entries if not e["done"]}
    length = staging.entries[-1]["sums"] if staging.entries else 0
    path = staging.folder / CHECKSUMS
    path.touch()
    if path.stat().st_size < length:
        raise CasiaError(
            f"{path} is shorter than its journal says, so this import cannot be continued; add --restart."
        )
    for entry in finished.values():
        for problem in entry["reports"]:
            ledger.add(Problem(*problem))
        for kind, count in entry["more"].items():
            ledger.kinds[kind] += count
    wanted_set = None if wanted is None else frozenset(wanted)
    threads = min(4, os.cpu_count() or 1)
    described = []
    with (
        path.open("r+b") as sums,
        ThreadPoolExecutor(threads, thread_name_prefix="casia") as pool,
        tqdm(
            total=sum(member.size for member in members),
            unit="B",
            unit_scale=True,
            desc="Importing",
            disable=None if progress else True,
        ) as bar,
    ):
        sums.truncate(length)
        sums.seek(length)
        writer = _Writer(staging.folder, sums, pool, 2 * threads)
        for number, member in enumerate(members):
            entry = finished.get(number)
            if entry is None:
                entry = _import_member(
                    member, number, wanted_set, begun.get(number, 0), staging, writer, ledger, bar
                )
            else:
                bar.update(member.size)
            described.append(
                {
                    "file": member.path.name,
                    "inside": member.inside,
                    "split": member.split,
                    "writer": member.writer,
                    "bytes": entry["bytes"],
                    "sha256": entry["sha256"],
                    "samples": entry["samples"],
                    "images": entry["images"],
                    "image_names": f"{member.prefix}-<index>.png",
                    "problems": len(entry["reports"]) + sum(entry["more"].values()),
                }
            )
    return described


def _import_member(
    member: Member,
    number: int,
    wanted: frozenset[str] | None,
    start: int,
    staging: Staging,
    writer: _Writer,
    ledger: Ledger,
    bar: tqdm,
) -> dict:
    """Import one `.gnt` file; samples before index `start` are there already."""
    reports: list[Problem] = []
    more: Counter[str] = Counter()

    def report(problem: Problem) -> None:
        ledger(problem)
        if len(reports) < 100:
            reports.append(problem)
        else:
            more[problem.kind] += 1

    names: dict[str, str] = {}
    seen: Counter[str] = Counter()
    images = saved = 0
    stream = None
    try:
        with member.open() as raw:
            stream = _Metered(raw, bar)
            # Unwanted samples are read as well: their damage counts, and `index` needs them.
            for sample in read_gnt(stream, characters=wanted, report=report, name=member.label, seen=seen):
                images += 1
                if sample.index < start:
                    continue
                character = sample.character
                if character not in names:
                    names[character] = f"{member.split}/{folder_of(character)}"
                writer.add(names[character], f"{member.prefix}-{sample.index:05d}.png", sample)
                if sample.offset - saved >= _CHECKPOINT_BYTES:
                    saved = sample.offset
                    staging.record(
                        {"member": number, "done": False, "index": sample.index + 1, "sums": writer.drain()}
                    )
        error: Exception | None = stream.error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as failed:
        error = failed
    if error is not None:
        report(
            Problem(
                "damaged archive",
                member.label,
                stream.count if stream else 0,
                f"{error}; what could be read of it was imported and may hold a damaged image: "
                "download the archive again",
            )
        )
    entry = {
        "member": number,
        "done": True,
        "sums": writer.drain(),
        "bytes": stream.count if stream else 0,
        "sha256": stream.hash.hexdigest() if stream else None,
        "samples": seen.total(),
        "images": images,
        "reports": reports,
        "more": dict(more),
    }
    staging.record(entry)
    return entry

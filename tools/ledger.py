"""Check the ledger of figures, photos, fonts, data and weights, or fill in its hashes.

    python -m tools.ledger           # checks; says what is wrong and ends with status 1
    python -m tools.ledger --write   # writes the present hashes into ledger.toml, then checks
    python -m tools.ledger --write cache/   # of the files in this folder only

`assets/ledger.toml` explains its own format. Which files need an entry: `is_asset`.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
LEDGER = REPOSITORY / "assets" / "ledger.toml"

OURS = "the course authors"
KINDS = ("figure", "photo", "font", "data", "weights")
PICTURES = ("figure", "photo")
FIELDS = set(
    "path package kind title author licence source sha256 hashes alt used_in called notice note".split()
)
# Files of these kinds are assets wherever they lie.
SUFFIXES = set(
    ".png .jpg .jpeg .gif .webp .avif .svg .ico .bmp .tif .tiff .pdf .mp4 .webm .mp3 .wav "
    ".ttf .otf .ttc .woff .woff2 .eot "
    ".csv .tsv .npz .npy .parquet .feather .xlsx .gnt .h5 .hdf5 .keras .pt .pth .onnx "
    ".safetensors .bin .gz .xz .zip .tar .bz2 .zst .7z".split()
)
# In these folders every file is an asset, except the texts that explain them.
FOLDERS = ("cache", "data")
TEXTS = {".md", ".txt", ".py"}
# Left out where git cannot be asked, as in a downloaded archive of the repository.
MADE = set(
    ".git .venv _site _build .render-cache .quarto __pycache__ .pytest_cache .hypothesis "
    ".ruff_cache .ipynb_checkpoints .jupyter_cache course.egg-info".split()
)


class LedgerError(ValueError):
    """The ledger cannot be read."""


def is_asset(path: str, content: bytes) -> bool:
    """Whether a file of the repository needs an entry: by its ending, its folder, or NUL bytes."""
    pure = PurePosixPath(path)
    return (
        pure.suffix.lower() in SUFFIXES
        or ("weights" in pure.stem and pure.suffix in (".js", ".json"))
        or (pure.parts[0] in FOLDERS and pure.suffix.lower() not in TEXTS)
        or b"\0" in content[:8192]
    )


def repository_files(root: Path = REPOSITORY) -> list[str]:
    """The files that git tracks or would track, as posix paths from the root; sorted.

    A new folder beside the course's own is somebody's photos or settings, until git tracks a file in it.
    """
    if (root / ".git").exists() and shutil.which("git"):
        tracked, new = (
            _listed_by_git(root, "--cached"),
            _listed_by_git(root, "--others", "--exclude-standard"),
        )
        ours = {PurePosixPath(name).parts[0] for name in tracked}
        new = {name for name in new if "/" not in name or PurePosixPath(name).parts[0] in ours}
        return sorted(name for name in tracked | new if (root / name).is_file())
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = set(folders) - MADE  # these are not entered
        found += [Path(folder, name).relative_to(root).as_posix() for name in files]
    return sorted(found)


def _listed_by_git(root: Path, *which: str) -> set[str]:
    command = ["git", "ls-files", "-z", *which]
    listed = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout.decode("utf-8")
    return set(filter(None, listed.split("\0")))


def assets(root: Path = REPOSITORY) -> list[str]:
    """The files of the repository that need an entry."""

    def start(name: str) -> bytes:
        with open(root / name, "rb") as file:
            return file.read(8192)

    return [name for name in repository_files(root) if is_asset(name, b"") or is_asset(name, start(name))]


def load(ledger: Path = LEDGER) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """The ledger's licences (SPDX identifier to name) and its items.

    Raises
    ------
    LedgerError
        It is no TOML, or an item lacks its `path`.
    """
    try:
        content = tomllib.loads(ledger.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise LedgerError(f"{ledger}: {error}") from None
    items = content.get("item", [])
    for number, item in enumerate(items, 1):
        if not item.get("path"):
            raise LedgerError(f"{ledger}: item {number} ({item.get('title')}) has no path")
    return content.get("licences", {}), items


def label(item: dict[str, Any]) -> str:
    """How messages name an item."""
    return ", ".join(patterns(item))


def patterns(item: dict[str, Any]) -> list[str]:
    """The paths of an item, which may hold `*` and `**`."""
    return [item["path"]] if isinstance(item["path"], str) else list(item["path"])


def files_of(item: dict[str, Any], names: list[str], root: Path = REPOSITORY) -> dict[str, Path]:
    """The files that an item covers: name in the ledger's terms, and where it lies.

    `names` are the assets of the repository; the files of a package come from where Python finds
    the package.
    """
    where = {name: root / name for name in names}
    if "package" in item:
        files = importlib.metadata.distribution(item["package"]).files or ()
        where = {file.as_posix(): Path(file.locate()) for file in files}
    wanted = patterns(item)
    return {name: path for name, path in where.items() if any(_matches(name, each) for each in wanted)}


def _matches(name: str, pattern: str) -> bool:
    """Whether a posix path matches; `*` stays inside a folder, `**/` crosses folders."""
    return _expression(pattern).fullmatch(name) is not None


@functools.cache
def _expression(pattern: str) -> re.Pattern:
    wild = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return re.compile("".join(wild.get(part, re.escape(part)) for part in parts))


def digest(files: dict[str, Path]) -> str:
    """SHA-256 of one file; of several, that of their lines `<sha256>  <name>`, sorted by name."""
    sums = {}
    for name, path in files.items():
        with open(path, "rb") as file:
            sums[name] = hashlib.file_digest(file, "sha256").hexdigest()
    if len(sums) == 1:
        return next(iter(sums.values()))
    lines = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
    return hashlib.sha256(lines.encode()).hexdigest()


def problems(ledger: Path = LEDGER, root: Path = REPOSITORY) -> list[str]:
    """All that is wrong with the ledger, one sentence each; empty if nothing is."""
    licences, items = load(ledger)
    names = assets(root)
    found: list[str] = []
    owner: dict[str, str] = {}
    for item in items:
        files, damage = _covered(item, names, root)
        found += damage
        for name in () if "package" in item else files:
            if name in owner:
                found.append(f"{name}: listed twice, under {owner[name]} and {label(item)}")
            owner[name] = label(item)
        found += _problems_of_fields(item, licences, root)
        found += _problems_of_use(item, files, root) if files else []
    found += [
        f"{name}: not in {ledger.name}; add an [[item]] with author, licence and source"
        for name in names
        if name not in owner
    ]
    return found


def damaged(kinds: tuple[str, ...], root: Path = REPOSITORY, ledger: Path = LEDGER) -> tuple[int, list[str]]:
    """How many files the items of these kinds cover, and which are missing or have changed.

    Raises
    ------
    LedgerError
        The ledger cannot be read.
    """
    count, found, names = 0, [], assets(root)
    for item in load(ledger)[1]:
        if item.get("kind") in kinds:
            files, damage = _covered(item, names, root)
            count, found = count + len(files), found + damage
    return count, found


def _covered(item: dict[str, Any], names: list[str], root: Path) -> tuple[dict[str, Path], list[str]]:
    """The files of an item, and which of them are missing or not what was entered."""
    try:
        files = files_of(item, names, root)
    except importlib.metadata.PackageNotFoundError:
        return {}, [f"{label(item)}: the package {item['package']} is not installed"]
    missing = [each for each in patterns(item) if not any(_matches(name, each) for name in files)]
    found = [f"{each} is missing; restore it, or take it out of the ledger" for each in missing]
    return files, found + (_problems_of_hashes(item, files, root) if files else [])


def _problems_of_fields(item: dict[str, Any], licences: dict[str, str], root: Path) -> list[str]:
    wanted = ("kind", "title", "author", "licence", "source", "used_in")
    found = [f"{key} is missing" for key in wanted if not item.get(key)]
    found += [f"the field {key} is not known" for key in sorted(set(item) - FIELDS)]
    if item.get("kind") and item["kind"] not in KINDS:
        found.append(f"kind {item['kind']!r} is none of {', '.join(KINDS)}")
    if item.get("licence") and item["licence"] not in licences:
        found.append(f"the licence {item['licence']!r} is not in [licences]")
    source = item.get("source") or "https://"
    if not source.startswith(("https://", "http://", "drawn by hand")) and not (root / source).is_file():
        found.append(f"source {source!r} is neither an address nor a file here")
    if item.get("kind") in PICTURES and not isinstance(item.get("alt"), str):
        found.append('alt is missing: say what it shows, or "" for decoration')
    if item.get("author", OURS) != OURS and "package" not in item:
        if not item.get("notice") or not (root / item["notice"]).is_file():
            found.append(f"by {item['author']}, so `notice` must name the shipped file with its licence")
    return [f"{label(item)}: {each}" for each in found]


def _problems_of_hashes(item: dict[str, Any], files: dict[str, Path], root: Path) -> list[str]:
    record = item.get("hashes")
    if record == "self":
        return []
    if record:
        if not (root / record).is_file():
            return [f"{label(item)}: hashes names {record}, which does not exist"]
        text = (root / record).read_text(encoding="utf-8")
        return [
            f"{name}: its SHA-256 is not the one in {record}"
            for name, path in files.items()
            if not _is_recorded(PurePosixPath(name).relative_to(PurePosixPath(record).parent), path, text)
        ]
    if not item.get("sha256"):
        return [f"{label(item)}: sha256 is missing; run `python -m tools.ledger --write`"]
    if item["sha256"] != digest(files):
        changed = "the content changed since it was entered (SHA-256 differs). If that was meant, run"
        return [f"{label(item)}: {changed} `python -m tools.ledger --write`"]
    return []


def _is_recorded(name: PurePosixPath, path: Path, record: str) -> bool:
    """Whether a JSON record holds {"<name>": {"sha256": "<sum>"}} or {"<name>": "<sum>"}."""
    entry = rf'"{re.escape(str(name))}":\s*({{\s*"sha256":\s*)?"{digest({name.name: path})}"'
    return re.search(entry, record) is not None


def _problems_of_use(item: dict[str, Any], files: dict[str, Path], root: Path) -> list[str]:
    words = [*item.get("called", ()), *(PurePosixPath(name).name for name in files)]
    found = []
    for place in item.get("used_in", ()):
        if not (root / place).is_file():
            found.append(f"{label(item)}: used_in names {place}, which does not exist")
        elif not any(word in (root / place).read_text(encoding="utf-8") for word in words):
            found.append(f"{label(item)}: {place} names none of: {', '.join(words[:5])}")
    return found


def write_hashes(ledger: Path = LEDGER, root: Path = REPOSITORY, folder: str = "") -> list[str]:
    """Write the present SHA-256 of each item below `folder`, or of all, into the ledger.

    Returns
    -------
    list of str
        The items that changed.
    """
    from course.store.files import write_whole  # here, since `make check` runs without packages

    names = assets(root)
    head, *blocks = re.split(r"(?m)^(?=\[\[item\]\]$)", ledger.read_text(encoding="utf-8"))
    changed = []
    for index, block in enumerate(blocks):
        item = tomllib.loads(block)["item"][0]
        if "hashes" in item or not all(pattern.startswith(folder) for pattern in patterns(item)):
            continue
        files = files_of(item, names, root)
        if not files:
            continue
        line = f'sha256 = "{digest(files)}"'
        if "sha256" in item:
            new = re.sub(r"(?m)^sha256 = .*$", line, block)
        else:
            new = re.sub(r"(?m)^(source = .*)$", lambda found: f"{found[1]}\n{line}", block)
        if new != block:
            blocks[index] = new
            changed.append(label(item))
    if changed:
        write_whole(ledger, "".join([head, *blocks]))
    return changed


def main(arguments: list[str] | None = None) -> int:
    """Check, or write hashes and check; the exit status is 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    write = "write the present hashes, of this folder or of all"
    parser.add_argument("--write", nargs="?", const="", metavar="FOLDER", help=write)
    options = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    if options.write is not None:
        for name in write_hashes(folder=options.write):
            print(f"hash written: {name}")
    found = problems()
    for problem in found:
        print(problem, file=sys.stderr)
    if not found:
        print(f"{len(load()[1])} items cover {len(assets())} files of the repository.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

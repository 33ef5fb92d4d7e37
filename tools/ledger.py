"""Check the ledger of figures, photos, fonts, data and weights, or fill in its hashes.

    python -m tools.ledger           # checks; says what is wrong and ends with status 1
    python -m tools.ledger --write   # writes the present hashes into ledger.toml, then checks
    python -m tools.ledger --write cache/   # of the files in this folder only

`assets/ledger.toml` explains its own format. Which files need an entry: `is_asset`.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

from tools.console import speak_utf8

REPOSITORY = Path(__file__).resolve().parent.parent
LEDGER = "assets/ledger.toml"

OURS = "the course authors"
OWN = "assets/own/"  # the lecturer's logo, say: it belongs to no version of the course
KINDS = ("figure", "photo", "font", "data", "weights", "library")
NEEDED = ("kind", "title", "author", "licence", "source", "used_in")
FIELDS = {*NEEDED, "path", "package", "sha256", "hashes", "alt", "called", "notice", "note"}
# Assets are no text, or texts of these kinds.
TEXTS = (".svg", ".csv", ".tsv", ".pdf", ".eps")


def is_asset(name: str, root: Path = REPOSITORY) -> bool:
    """Whether a file needs an entry: by its ending, its folder, or a NUL byte near its start."""
    path = PurePosixPath(name)
    return (
        path.suffix.lower() in TEXTS
        or ("weights" in path.stem and path.suffix in (".js", ".json"))
        # In these folders every file is an asset, except the texts that explain them.
        or (path.parts[0] in ("cache", "data") and path.suffix.lower() not in (".md", ".txt", ".py"))
        or b"\0" in (root / name).read_bytes()[:8192]
    )


def repository_files(root: Path = REPOSITORY) -> list[str]:
    """The files that git tracks or would track, as posix paths from the root; sorted.

    A new folder beside the course's own is somebody's photos or settings, until git tracks a file in it.
    """

    def listed(*which: str) -> set[str]:
        command = ["git", "ls-files", "-z", *which]
        text = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout.decode("utf-8")
        return set(text.split("\0")) - {""}

    tracked, new = listed("--cached"), listed("--others", "--exclude-standard")
    ours = {PurePosixPath(name).parts[0] for name in tracked}
    new = {name for name in new if "/" not in name or PurePosixPath(name).parts[0] in ours}
    return sorted(name for name in tracked | new if (root / name).is_file())


def assets(root: Path = REPOSITORY) -> list[str]:
    """The files of the repository that need an entry."""
    names = (name for name in repository_files(root) if not name.startswith(OWN))
    return [name for name in names if is_asset(name, root)]


def load(root: Path = REPOSITORY) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """The ledger's licences (SPDX identifier to name) and its items; ValueError if it is no TOML."""
    content = tomllib.loads((root / LEDGER).read_text(encoding="utf-8"))
    return content.get("licences", {}), content.get("item", [])


def patterns(item: dict[str, Any]) -> list[str]:
    """The paths of an item, which may hold `*` and `**`."""
    if not item.get("path"):
        raise ValueError(f"{LEDGER}: the item {item.get('title')} has no path")
    return [item["path"]] if isinstance(item["path"], str) else item["path"]


def label(item: dict[str, Any]) -> str:
    """How messages name an item."""
    return ", ".join(patterns(item))


def files_of(item: dict[str, Any], root: Path = REPOSITORY) -> dict[str, Path]:
    """The files that an item covers: name in the ledger's terms, and where it lies."""
    if "package" in item:
        root = Path(str(importlib.metadata.distribution(item["package"]).locate_file("")))
    # Before Python 3.13 a final ** stands for folders alone.
    paths = [path for each in patterns(item) for path in root.glob(re.sub(r"\*\*$", "**/*", each))]
    return {path.relative_to(root).as_posix(): path for path in paths if path.is_file()}


def digest(files: dict[str, Path]) -> str:
    """SHA-256 of one file; of several, that of their lines `<sha256>  <name>`, sorted by name."""
    sums = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    if len(sums) == 1:
        return next(iter(sums.values()))
    lines = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
    return hashlib.sha256(lines.encode()).hexdigest()


def problems(root: Path = REPOSITORY) -> list[str]:
    """All that is wrong with the ledger, one sentence each; empty if nothing is."""
    licences, items = load(root)
    found: list[str] = []
    owner: dict[str, str] = {}
    for item in items:
        files, wrong = _damage(item, root)
        wrong += _problems_of_fields(item, licences, root)
        wrong += _problems_of_use(item, files, root) if files else []
        for name in () if "package" in item else files:
            if name in owner:
                wrong.append(f"{name} is listed twice, also under {owner[name]}")
            owner[name] = label(item)
        found += [f"{label(item)}: {each}" for each in wrong]
    advice = f"not in {LEDGER}; add an [[item]] with author, licence and source"
    return found + [f"{name}: {advice}" for name in assets(root) if name not in owner]


def damaged(kind: str, root: Path = REPOSITORY) -> tuple[int, list[str]]:
    """How many files the items of a kind cover, and which are missing or have changed."""
    count, found = 0, []
    for item in load(root)[1]:
        if item.get("kind") == kind:
            files, wrong = _damage(item, root)
            count += len(files)
            found += [f"{label(item)}: {each}" for each in wrong]
    return count, found


def _damage(item: dict[str, Any], root: Path) -> tuple[dict[str, Path], list[str]]:
    """The files of an item, and which of them are missing or not what was entered."""
    try:
        files = files_of(item, root)
    except importlib.metadata.PackageNotFoundError:
        return {}, [f"the package {item['package']} is not installed"]
    missing = [each for each in patterns(item) if not files_of(item | {"path": each}, root)]
    if missing:
        return files, [f"{each} is missing; restore it, or take it out of the ledger" for each in missing]
    record = item.get("hashes")
    if record == "self":
        return files, []
    if record:
        text, folder = (root / record).read_text(encoding="utf-8"), (root / record).parent
        other = [name for name, path in files.items() if not _is_recorded(path, folder, text)]
        return files, [f"the SHA-256 of {name} is not the one in {record}" for name in other]
    if item.get("sha256") != digest(files):
        what = "the content changed since it was entered" if item.get("sha256") else "sha256 is missing"
        return files, [f"{what}; if that is meant, run `python -m tools.ledger --write`"]
    return files, []


def _is_recorded(path: Path, folder: Path, record: str) -> bool:
    """Whether a JSON record in `folder` holds {"<name>": {"sha256": "<sum>"}} or {"<name>": "<sum>"}."""
    name = re.escape(path.relative_to(folder).as_posix())
    return re.search(rf'"{name}":\s*({{\s*"sha256":\s*)?"{digest({name: path})}"', record) is not None


def _problems_of_fields(item: dict[str, Any], licences: dict[str, str], root: Path) -> list[str]:
    found = [f"{key} is missing" for key in NEEDED if not item.get(key)]
    found += [f"the field {key} is not known" for key in sorted(set(item) - FIELDS)]
    if item.get("kind", KINDS[0]) not in KINDS:
        found.append(f"kind {item['kind']!r} is none of {', '.join(KINDS)}")
    if item.get("licence", "") not in {"", *licences}:
        found.append(f"the licence {item['licence']!r} is not in [licences]")
    source = item.get("source", "https://")
    if not source.startswith(("https://", "http://", "drawn by hand")) and not (root / source).is_file():
        found.append(f"source {source!r} is neither an address nor a file here")
    if item.get("kind") in ("figure", "photo") and "alt" not in item:
        found.append('alt is missing: say what it shows, or "" for decoration')
    if item.get("author", OURS) != OURS and "package" not in item:
        if not (root / item.get("notice", "no notice")).is_file():
            found.append(f"by {item['author']}, so `notice` must name the shipped file with its licence")
    return found


def _problems_of_use(item: dict[str, Any], files: dict[str, Path], root: Path) -> list[str]:
    words = [*item.get("called", ()), *(path.name for path in files.values())]
    found = []
    for place in item.get("used_in", ()):
        if not (root / place).is_file():
            found.append(f"used_in names {place}, which does not exist")
        elif not any(word in (root / place).read_text(encoding="utf-8") for word in words):
            found.append(f"{place} names none of: {', '.join(words[:5])}")
    return found


def write_hashes(folder: str = "", root: Path = REPOSITORY) -> list[str]:
    """Write the present SHA-256 of each item below `folder`, or of all; returns the items that changed."""
    from course.store.files import write_whole  # here, since `make check` runs without packages

    head, *blocks = re.split(r"(?m)^(?=\[\[item\]\]$)", (root / LEDGER).read_text(encoding="utf-8"))
    changed = []
    for index, block in enumerate(blocks):
        item = tomllib.loads(block)["item"][0]
        inside = all(pattern.startswith(folder) for pattern in patterns(item))
        if "hashes" in item or not inside or not (files := files_of(item, root)):
            continue
        if item.get("sha256") != (new := digest(files)):
            rest = re.sub(r"(?m)^sha256 = .*\n", "", block)
            blocks[index] = re.sub(r"(?m)^source = .*\n", rf'\g<0>sha256 = "{new}"\n', rest)
            changed.append(label(item))
    if changed:
        write_whole(root / LEDGER, "".join([head, *blocks]))
    return changed


def main(arguments: list[str] | None = None) -> int:
    """Check, or write hashes and check; the exit status is 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    write = "write the present hashes, of this folder or of all"
    parser.add_argument("--write", nargs="?", const="", metavar="FOLDER", help=write)
    options = parser.parse_args(arguments)
    speak_utf8()
    if options.write is not None:
        if not any(each.startswith(options.write) for item in load()[1] for each in patterns(item)):
            parser.error(f"no item of {LEDGER} lies in {options.write}; name it as there, such as cache/")
        for name in write_hashes(options.write):
            print(f"hash written: {name}")
    found = problems()
    good = f"{len(load()[1])} items cover {len(assets())} files of the repository."
    print("\n".join(found) or good, file=sys.stderr if found else None)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())

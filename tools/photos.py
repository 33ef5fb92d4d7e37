"""Make the photos of data/photos, their credits and their ledger entries from a Debian package.

    apt-get download gcompris-qt-data
    dpkg-deb -x gcompris-qt-data_*.deb package
    python -m tools.photos package

GCompris is a collection of games for children; its data package 3.1 holds photos in groups. Beside
each group lies a README that names author, source and licence of every file. Taken is each photo
of six of these groups that is in the public domain or under CC0, and no other. Debian's own
`copyright` file still lists the pictures of an older version, which 3.1 replaced one by one.

Each photo is scaled to at most 320 pixels on its longer side and written as JPEG without metadata. What
it shows, its alternative text, is taken from the ledger: write it there for a new photo.
"""

from __future__ import annotations

import io
import json
import re
import struct
import sys
import tomllib
import urllib.parse
import zlib
from pathlib import Path

from course.store.files import write_whole

from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[1]
HERE = REPOSITORY / "data" / "photos"
LEDGER = REPOSITORY / "assets" / "ledger.toml"
LONGEST_SIDE = 320
QUALITY = 85
FREE = {"public domain": "LicenseRef-PublicDomain", "cc0-1.0": "CC0-1.0"}
LICENCE_NAMES = {
    "LicenseRef-PublicDomain": "in the public domain",
    "CC0-1.0": "Creative Commons Zero 1.0 Universal",
}
# Class, archive, and folder inside of it.
GROUPS = (
    ("animal", "explore_farm_animals", "explore_farm_animals/resource/animals"),
    ("animal", "explore_world_animals", "explore_world_animals/resource/animals"),
    ("animal", "erase", "erase/resource"),
    ("energy", "categorization", "categorization/resource/images/renewable"),
    ("monument", "categorization", "categorization/resource/images/monuments"),
    ("tool", "categorization", "categorization/resource/images/tools"),
)
# A second photo of the same mill by the same author: a split could put one into training and the
# other into the test.
LEFT_OUT = {"windmill14"}
# The package has two different photos of this name.
RENAMED = {("erase", "giraffe"): "giraffeHead"}

CREDITS = """\
# Who made these photos

All of them are free to use: each is *in the public domain* or under *Creative Commons \
Zero 1.0 Universal* (CC0,
<https://creativecommons.org/publicdomain/zero/1.0/legalcode>). They come from the data \
of GCompris 3.1 (Debian's
package `gcompris-qt-data`), whose READMEs name author, source and licence of each file.
This course made them smaller, at most 320 pixels, and saved them as JPEG. `tools/photos.py` does it.

| file | title | author | licence | source |
|---|---|---|---|---|
"""


def read_archive(path: Path) -> dict[str, bytes]:
    """The files of a Qt resource archive (.rcc), by name.

    Source of the format: the documentation and code of Qt's resource compiler, versions 1 to 3.
    """
    content = path.read_bytes()
    magic, version, tree, data, names = struct.unpack(">4sIIII", content[:20])
    if magic != b"qres":
        raise SystemExit(f"{path} is no Qt resource archive")
    size = 14 if version < 2 else 22
    found = {}

    def visit(node: int, above: str) -> None:
        start = tree + node * size
        offset, flags = struct.unpack(">IH", content[start : start + 6])
        name = above
        if node:
            at = names + offset
            length = struct.unpack(">H", content[at : at + 2])[0]
            name += "/" + content[at + 6 : at + 6 + 2 * length].decode("utf-16-be")
        if flags & 2:
            count, first = struct.unpack(">II", content[start + 6 : start + 14])
            for child in range(first, first + count):
                visit(child, name)
            return
        at = data + struct.unpack(">I", content[start + 10 : start + 14])[0]
        length = struct.unpack(">I", content[at : at + 4])[0]
        body = content[at + 4 : at + 4 + length]
        if flags & 4:
            raise SystemExit(f"{path}: {name} is compressed with zstandard")
        found[name] = zlib.decompress(body[4:]) if flags & 1 else body

    visit(0, "")
    return found


def credits_in(readme: str) -> dict[str, dict[str, str]]:
    """What a group's README says of each picture: author, source, licence."""
    found = {}
    for block in re.split(r"\n\s*\n", readme):
        fields: dict[str, list[str]] = {}
        key = ""
        for line in block.splitlines():
            started = re.match(r"(Copyright|Source|License|Comments?|Files?)\s*:\s*(.*)", line)
            if started:
                key = started[1].rstrip("s")
                fields.setdefault(key, [])
            text = started[2] if started else line.strip()
            if key and text:
                fields[key].append(text)
        if {"Copyright", "Source", "License", "File"} <= set(fields):
            about = {key: " ".join(fields[key]) for key in ("Copyright", "Source", "License")}
            for name in " ".join(fields["File"]).split():
                found[name] = about
    return found


def title_of(source: str, fallback: str) -> str:
    """The title that the photo has where it comes from."""
    address = urllib.parse.urlsplit(source)
    query = urllib.parse.parse_qs(address.query)
    if "picture" in query:
        return query["picture"][0].replace("-", " ")
    last = urllib.parse.unquote(address.path.rstrip("/").rsplit("/", 1)[-1])
    if last.startswith("File:"):
        return re.sub(r"\.\w+$", "", last[5:]).replace("_", " ").strip(" ._")
    if "maxpixel" in address.netloc:
        return re.sub(r"-\d+$", "", last).replace("-", " ")
    return fallback


def slug(name: str) -> str:
    """A camel-case name in lower case, its words joined by underscores."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def make_photos(rcc: Path, alts: dict[str, str]) -> list[dict[str, str]]:
    """Write the photos into data/photos; returns what the ledger shall say of each."""
    items = []
    for label, archive, group in GROUPS:
        files = read_archive(rcc / f"{archive}.rcc")
        base = f"/gcompris/src/activities/{group}/"
        for file_name, about in sorted(credits_in(files[base + "README"].decode("utf-8")).items()):
            name = RENAMED.get((archive, Path(file_name).stem), Path(file_name).stem)
            licence = FREE.get(about["License"].lower())
            usable = file_name.endswith(".webp") and base + file_name in files
            if licence is None or not usable or name in LEFT_OUT:
                continue
            path = f"data/photos/{label}/{slug(name)}.jpg"
            if not alts.get(path):
                sys.exit(f"{path}: give it an item with its alt text in {LEDGER.name}, then run this again")
            image = Image.open(io.BytesIO(files[base + file_name])).convert("RGB")
            image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
            (REPOSITORY / path).parent.mkdir(exist_ok=True)
            image.save(REPOSITORY / path, quality=QUALITY, optimize=True)
            items.append(
                {
                    "path": path,
                    "title": title_of(about["Source"], alts[path]),
                    "author": about["Copyright"],
                    "licence": licence,
                    "source": about["Source"],
                    "alt": alts[path],
                }
            )
    return items


def credits_page(items: list[dict[str, str]]) -> str:
    """The page that names author, licence and source of each photo."""
    text = CREDITS
    for item in items:
        name, source = item["path"].removeprefix("data/photos/"), f"<{item['source']}>"
        cells = [name, item["title"], item["author"], LICENCE_NAMES[item["licence"]], source]
        text += "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
    return text


def with_photos(ledger: str, items: list[dict[str, str]]) -> str:
    """The ledger with one entry a photo, in place of those that are there, one after the other."""
    made = ""
    for item in items:
        about = {key: value for key, value in item.items() if key != "path"}
        used = {"used_in": ["lectures/07-transfer-learning.qmd"], "called": ["data/photos"]}
        entry = {"path": item["path"], "kind": "photo", **about, **used, "notice": "data/photos/CREDITS.md"}
        # Texts and lists of texts look alike in TOML and JSON.
        lines = (f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in entry.items())
        made += "[[item]]\n" + "".join(lines) + "\n"
    ours = r'^\[\[item\]\]\npath = "data/photos/.*?(?=^\[\[item\]\]\npath = (?!"data/photos/)|^# ---|\Z)'
    return re.sub(ours, lambda _: made, ledger, count=1, flags=re.MULTILINE | re.DOTALL).rstrip("\n") + "\n"


def main(arguments: list[str]) -> int:
    """Make photos, credits and ledger entries from the unpacked package that is named."""
    if len(arguments) != 1:
        print(__doc__)
        return 2
    ledger = LEDGER.read_text(encoding="utf-8")
    alts = {str(item["path"]): item.get("alt", "") for item in tomllib.loads(ledger)["item"]}
    items = make_photos(Path(arguments[0]) / "usr/share/gcompris-qt/rcc", alts)
    write_whole(HERE / "CREDITS.md", credits_page(items))
    write_whole(LEDGER, with_photos(ledger, items))
    size = sum((REPOSITORY / item["path"]).stat().st_size for item in items)
    print(f"{len(items)} photos, {size / 1e6:.2f} MB. Now run: python -m tools.ledger --write")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

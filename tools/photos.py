"""Make the photos of data/photos, their credits and their ledger entries from a Debian package.

    apt-get download gcompris-qt-data
    dpkg-deb -x gcompris-qt-data_*.deb package
    python -m tools.photos package

GCompris is a collection of games for children; its data package 3.1 holds photos in groups. Beside
each group lies a README that names author, source and licence of every file. Taken is each photo
of six of these groups that is in the public domain or under CC0, and no other. Debian's own
`copyright` file still lists the pictures of an older version, which 3.1 replaced one by one.

Each photo is scaled to at most 320 pixels on its longer side and written as JPEG without metadata. Its
title and what it shows, its alternative text, are taken from the ledger: write them there for a new photo.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import struct
import sys
import tomllib
import zlib
from pathlib import Path

from course.paths import REPOSITORY
from course.store.files import write_whole

from PIL import Image

LEDGER = REPOSITORY / "assets" / "ledger.toml"
# What a README calls a licence: what the ledger calls it, and what the credits call it.
FREE = {
    "public domain": ("LicenseRef-PublicDomain", "in the public domain"),
    "cc0-1.0": ("CC0-1.0", "Creative Commons Zero 1.0 Universal"),
}
# Class, and folder inside of the archive of the same name.
GROUPS = (
    ("animal", "explore_farm_animals/resource/animals"),
    ("animal", "explore_world_animals/resource/animals"),
    ("animal", "erase/resource"),
    ("energy", "categorization/resource/images/renewable"),
    ("monument", "categorization/resource/images/monuments"),
    ("tool", "categorization/resource/images/tools"),
)
LEFT_OUT = {"windmill14.webp"}  # a second photo of the same mill, which a split could put into the test
# The package has two different photos of this name.
RENAMED = {"erase/resource/giraffe.webp": "giraffe_head"}

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
    """The files of a Qt resource archive (.rcc, versions 1 to 3 of Qt's resource compiler), by name."""
    content = path.read_bytes()
    version, tree, data, names = struct.unpack_from(">4xIIII", content)
    size, found = 14 if version < 2 else 22, {}

    def visit(node: int, above: str) -> None:
        # Of a folder the number of its children and the first, of a file its language and its place.
        name_at, flags, count, first = struct.unpack_from(">IHII", content, tree + node * size)
        name = above
        if node:
            length, start = struct.unpack_from(">H", content, names + name_at)[0], names + name_at + 6
            name += "/" + content[start : start + 2 * length].decode("utf-16-be")
        if flags & 2:
            for child in range(first, first + count):
                visit(child, name)
        else:
            (length,) = struct.unpack_from(">I", content, data + first)
            body = content[data + first + 4 : data + first + 4 + length]
            found[name] = zlib.decompress(body[4:]) if flags & 1 else body

    visit(0, "")
    return found


def credits_in(readme: str) -> dict[str, dict[str, str]]:
    """What a group's README says of each picture: Copyright, Source, License."""
    found = {}
    for block in re.split(r"\n\s*\n", readme):
        _, *parts = re.split(r"^(Copyright|Source|License|Comment|File)s?\s*:", block, flags=re.MULTILINE)
        about = {key: " ".join(text.split()) for key, text in zip(parts[::2], parts[1::2])}
        if {"Copyright", "Source", "License", "File"} <= set(about):
            found |= dict.fromkeys(about["File"].split(), about)
    return found


def make_photos(rcc: Path, known: dict[str, dict]) -> list[dict[str, str]]:
    """Write the photos into data/photos; returns what the ledger shall say of each."""
    items = []
    for label, group in GROUPS:
        files = read_archive(rcc / f"{group.split('/')[0]}.rcc")
        base = f"/gcompris/src/activities/{group}/"
        for name, about in sorted(credits_in(files[base + "README"].decode("utf-8")).items()):
            licence, _ = FREE.get(about["License"].lower(), (None, ""))
            if not licence or not name.endswith(".webp") or base + name not in files or name in LEFT_OUT:
                continue
            words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", Path(name).stem).lower()
            path = f"data/photos/{label}/{RENAMED.get(f'{group}/{name}', words)}.jpg"
            if path not in known:
                sys.exit(f"{path}: give it an item with title and alt in {LEDGER.name}, then run this again")
            image = Image.open(io.BytesIO(files[base + name])).convert("RGB")
            image.thumbnail((320, 320), Image.Resampling.LANCZOS)
            (REPOSITORY / path).parent.mkdir(exist_ok=True)
            image.save(REPOSITORY / path, quality=85, optimize=True)
            about = {"author": about["Copyright"], "licence": licence, "source": about["Source"]}
            title, alt = known[path]["title"], known[path]["alt"]
            items.append({"path": path, "kind": "photo", "title": title, **about, "alt": alt})
    return items


def credits_page(items: list[dict[str, str]]) -> str:
    """The page that names author, licence and source of each photo."""
    text = CREDITS
    for item in items:
        name, source = item["path"].removeprefix("data/photos/"), f"<{item['source']}>"
        cells = [name, item["title"], item["author"], dict(FREE.values())[item["licence"]], source]
        text += "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
    return text


def with_photos(ledger: str, items: list[dict[str, str]]) -> str:
    """The ledger with one entry a photo, in place of those that are there, one after the other."""
    made = ""
    shown = {"used_in": ["lectures/07-transfer-learning.qmd"], "called": ["data/photos"]}
    for item in items:
        entry = {**item, **shown, "notice": "data/photos/CREDITS.md"}
        # Texts and lists of texts look alike in TOML and JSON.
        lines = (f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in entry.items())
        made += "[[item]]\n" + "".join(lines) + "\n"
    ours = r'^\[\[item\]\]\npath = "data/photos/.*?(?=^\[\[item\]\]\npath = (?!"data/photos/)|^# ---|\Z)'
    return re.sub(ours, lambda _: made, ledger, count=1, flags=re.MULTILINE | re.DOTALL).rstrip("\n") + "\n"


def main() -> None:
    """Make photos, credits and ledger entries from the unpacked package that is named."""
    how = {"description": __doc__, "formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = argparse.ArgumentParser(prog="python -m tools.photos", **how)
    parser.add_argument("package", type=Path, help="the folder that dpkg-deb made")
    folder = parser.parse_args().package / "usr/share/gcompris-qt/rcc"
    if not folder.is_dir():
        parser.error(f"{folder} does not exist; name the folder of the unpacked package")
    ledger = LEDGER.read_text(encoding="utf-8")
    known = {str(item["path"]): item for item in tomllib.loads(ledger)["item"]}
    items = make_photos(folder, known)
    write_whole(REPOSITORY / "data/photos/CREDITS.md", credits_page(items))
    write_whole(LEDGER, with_photos(ledger, items))
    print(f"{len(items)} photos. Now run: python -m tools.ledger --write")


if __name__ == "__main__":
    main()

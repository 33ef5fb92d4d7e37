"""Make the photos of data/photos and their credits from a Debian package.

    apt-get download gcompris-qt-data
    dpkg-deb -x gcompris-qt-data_*.deb package
    python -m tools.photos package

GCompris is a collection of games for children; its data package 3.1 holds photos in groups. Beside
each group lies a README that names author, source and licence of every file. Taken are the photos whose
sources the ledger, `assets/ledger.toml`, lists below `data/photos/`; each must be in the public domain or
under CC0. Debian's own `copyright` file still lists the pictures of an older version, which 3.1 replaced one
by one.

Each photo is scaled to at most 320 pixels on its longer side and written as JPEG without metadata.
"""

from __future__ import annotations

import argparse
import io
import re
import struct
import tomllib
import zlib
from pathlib import Path

from course.paths import REPOSITORY
from course.store.files import write_whole

from PIL import Image

LEDGER = REPOSITORY / "assets" / "ledger.toml"
# What a README and the ledger call a licence, in small letters: what the credits call it.
FREE = {
    "public domain": "in the public domain",
    "licenseref-publicdomain": "in the public domain",
    "cc0-1.0": "Creative Commons Zero 1.0 Universal",
}
GROUPS = (
    *("explore_farm_animals/resource/animals", "explore_world_animals/resource/animals", "erase/resource"),
    *(f"categorization/resource/images/{group}" for group in ("renewable", "monuments", "tools")),
)

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


def pictures(folder: Path) -> dict[tuple[str, str, str], bytes]:
    """The pictures of all groups, by their source, their author and what the credits call their licence."""
    found = {}
    for group in GROUPS:
        files = read_archive(folder / f"{group.split('/')[0]}.rcc")
        base = f"/gcompris/src/activities/{group}/"
        for block in re.split(r"\n\s*\n", files[base + "README"].decode("utf-8")):
            _, *parts = re.split(r"^(Copyright|Source|License|Comment|File)s?\s*:", block, flags=re.MULTILINE)
            about = {key: " ".join(text.split()) for key, text in zip(parts[::2], parts[1::2])}
            if not {"Copyright", "Source", "License", "File"} <= set(about):
                continue
            for name in about["File"].split():
                key = about["Source"], about["Copyright"], FREE.get(about["License"].lower())
                found[key] = files.get(base + name)
    return found


def main() -> None:
    """Make the photos, and the page that names author, licence and source of each."""
    how = {"description": __doc__, "formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = argparse.ArgumentParser(prog="python -m tools.photos", **how)
    parser.add_argument("package", type=Path, help="the folder that dpkg-deb made")
    found = pictures(parser.parse_args().package / "usr/share/gcompris-qt/rcc")
    text = CREDITS
    for item in tomllib.loads(LEDGER.read_text(encoding="utf-8"))["item"]:
        if not str(item["path"]).startswith("data/photos/"):
            continue
        licence = FREE[item["licence"].lower()]
        picture = found[item["source"], item["author"], licence]
        image = Image.open(io.BytesIO(picture)).convert("RGB")
        image.thumbnail((320, 320), Image.Resampling.LANCZOS)
        path = REPOSITORY / item["path"]
        path.parent.mkdir(exist_ok=True)
        image.save(path, quality=85, optimize=True)
        cells = [item["path"].removeprefix("data/photos/"), item["title"], item["author"]]
        cells += [licence, f"<{item['source']}>"]
        text += "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
    write_whole(REPOSITORY / "data/photos/CREDITS.md", text)
    print("Made. Now run: python -m tools.ledger --write")


if __name__ == "__main__":
    main()

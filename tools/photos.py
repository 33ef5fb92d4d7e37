"""Make the photos of this folder, their credits and their ledger entries from a Debian package.

    apt-get download gcompris-qt-data
    dpkg-deb -x gcompris-qt-data_*.deb package
    python -m tools.photos package

GCompris is a collection of games for children; its data package 3.1 holds photos in groups. Beside
each group lies a README that names author, source and licence of every file. Taken is each photo
of six of these groups that is in the public domain or under CC0, and no other. Debian's own
`copyright` file still lists the pictures of an older version, which 3.1 replaced one by one.

Each photo is scaled to at most 320 pixels on its longer side and written as JPEG without metadata.
"""

from __future__ import annotations

import io
import re
import struct
import sys
import tomllib
import urllib.parse
import zlib
from pathlib import Path

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
# Class: archive and folder inside the package.
GROUPS = {
    "animal": (
        ("explore_farm_animals", "explore_farm_animals/resource/animals"),
        ("explore_world_animals", "explore_world_animals/resource/animals"),
        ("erase", "erase/resource"),
    ),
    "energy": (("categorization", "categorization/resource/images/renewable"),),
    "monument": (("categorization", "categorization/resource/images/monuments"),),
    "tool": (("categorization", "categorization/resource/images/tools"),),
}
# A second photo of the same mill by the same author: a split could put one into training and the
# other into the test.
LEFT_OUT = {"windmill14"}
# The package has two different photos of this name.
RENAMED = {("erase", "giraffe"): "giraffeHead"}

ALT = {
    "cat": "A kitten on its back plays with a ball of wool on a pink cloth",
    "chicken": "Five brown hens on grass",
    "cow": "A black and white cow on a meadow",
    "dog": "A German shepherd stands on dry grass",
    "duck": "A white duck in front of a dark background",
    "horse": "Four dark horses and a foal on grass under a blue sky",
    "owl": "An owl on a branch in front of a violet background",
    "pig": "A light pig on a meadow",
    "sheep": "A sheep with a white fleece looks at the camera",
    "bison": "A bison grazes on a green meadow",
    "chameleon": "A chameleon on a twig among green leaves",
    "crocodile": "A crocodile lies on a muddy bank",
    "dragon": "A Komodo dragon lies on sand",
    "giraffe": "Two giraffes stand in front of bare trees",
    "hedgehog": "A hedgehog in the grass",
    "jaguar": "Two jaguars lie on rocks",
    "kangaroo": "A kangaroo stands in the shade of trees",
    "koala": "A koala sits in the fork of a tree",
    "lemur": "Two ring-tailed lemurs on a stone",
    "moose": "A moose with large antlers rests among bushes",
    "narwhal": "The backs of narwhals show above grey water",
    "panda": "A giant panda sits on logs",
    "polar_bear": "A polar bear walks over snowy ground",
    "scarlet_macaw": "A red macaw with yellow and blue wings",
    "crab": "A red and blue crab on stone",
    "giraffeHead": "Head and neck of a giraffe in front of green leaves",
    "kingfisher": "A kingfisher, blue above and orange below, on a mossy branch",
    "pika": "A pika with a leaf in its mouth on a rock",
    "red_panda": "The face of a red panda",
    "dam1": "Water shoots through the gates of a high dam",
    "dam2": "A weir with a square tower across a river",
    "dam3": "A weir with five piers in front of hills",
    "dam4": "Water runs down a low dam among trees",
    "dam5": "White water foams below the spillway of a dam",
    "geothermal": "Steam rises from a geothermal plant",
    "solar1": "A round mirror of a solar cooker in front of a brick wall",
    "solar2": "A box of mirrors bakes bread in the sun",
    "solar3": "Three solar ovens stand in a street",
    "solar4": "Blue solar panels, close, under a blue sky",
    "solar5": "Solar panels seen along their surface, leaves above",
    "solar6": "Solar panels on the roof of a brick house",
    "solar7": "A solar panel on a pole in a garden",
    "solar8": "Rows of solar collectors on a red roof",
    "windmill": "A windmill on six arches under a blue sky",
    "windmill1": "A round stone windmill by the sea",
    "windmill2": "A white model windmill",
    "windmill3": "Three white windmills with thatched roofs in a row",
    "windmill4": "A grey windmill on a meadow under a grey sky",
    "windmill5": "A wooden post mill",
    "windmill7": "A dark post mill, its sails cut by the edge of the picture",
    "windmill8": "A white Portuguese windmill with a dark roof",
    "windmill9": "A dark windmill behind a wooden gallery",
    "windmill11": "A windmill behind small fir trees under a white sky",
    "windmill12": "A wooden windmill in a brown field",
    "windmill13": "Dutch windmills beside a canal",
    "windmill15": "A round stone windmill at a bare field",
    "arcDeTriomphe": "The Arc de Triomphe du Carrousel in Paris",
    "bayterek": "The Bayterek tower with its golden sphere in Astana",
    "brandenburgGate": "The Brandenburg Gate in Berlin at dusk",
    "burj": "The Burj Khalifa in Dubai while it was built",
    "cathedral": "The two towers of the cathedral of Santiago de Compostela",
    "christTheRedeemer": "The statue of Christ on its rock above Rio de Janeiro",
    "colosseum": "The Colosseum in Rome",
    "eiffelTower": "The Eiffel Tower in Paris",
    "empireState": "The Empire State Building between dark houses",
    "greatPyramid": "The Great Pyramid of Giza",
    "greatWall": "The Great Wall of China climbs a wooded ridge",
    "IndiaGate": "The India Gate in New Delhi behind a lawn",
    "jucheTower": "A pagoda of pale stone seen from below",
    "kutubMinar": "The minaret Qutb Minar in Delhi",
    "leaningTowerOfPisa": "The Leaning Tower of Pisa",
    "leMusee": "The glass pyramid in the court of the Louvre",
    "monument1": "The Dome of the Rock in Jerusalem",
    "monument2": "The columns of the tetrapylon of Aphrodisias",
    "monument3": "A church with a red roof and several towers in Vienna",
    "mountRushmore": "Four heads carved into Mount Rushmore",
    "operaHouse": "The Sydney Opera House by the water",
    "parthenon": "The Parthenon in Athens",
    "statueOfLiberty": "The Statue of Liberty in front of a blue sky",
    "tajMahal": "The Taj Mahal and its minarets",
    "usCapitol": "The Capitol in Washington with its white dome",
    "victoriaMemorial": "The gilded figure on the Victoria Memorial in London",
    "zimniPalace": "The Winter Palace in Saint Petersburg, lit at night",
    "cuttingTool": "Side cutters with blue handles on white",
    "hammer1": "A hammer with a wooden handle on a blue ground",
    "hammer2": "A ball hammer on a pale ground",
    "hammer3": "The head of a sledgehammer with an orange handle",
    "hammer4": "A claw hammer on a bench",
    "hammer5": "A claw hammer with a red handle on white",
    "hammer6": "A hammer with soft heads on a grey ground",
    "hammer7": "An old armourer's hammer",
    "hammer8": "A claw hammer with a brown wooden handle on white",
    "hammer9": "A claw hammer with a light wooden handle on white",
    "measuringTape1": "A green steel tape measure on white",
    "measuringTape2": "A red tape measure on a reel",
    "measuringTape3": "A blue tailor's tape, rolled up, on white",
    "measuringTape4": "A white tailor's tape, rolled up, on white",
    "measuringTape5": "A steel tape measure in yellow light",
    "measuringTape6": "A black steel tape measure on a grey ground",
    "multimeter1": "A red multimeter",
    "multimeter2": "A blue multimeter",
    "multimeter3": "A green multimeter with blue leads",
    "nailCutter": "Nail clippers on a white cloth",
    "plier1": "Long-nosed pliers with red handles on white",
    "plier2": "Pliers with brown handles, upright, on white",
    "plier3": "Combination pliers with dark red handles on white",
    "plier4": "Old flat pliers of bare steel",
    "scissors1": "Scissors with orange handles on white",
    "scissors2": "Black scissors on a wooden floor",
    "scissors3": "Surgical scissors on a green cloth",
    "scissors4": "Open scissors with orange handles on white",
    "screwDriver1": "A screwdriver with a yellow handle on black",
    "screwDriver2": "A screwdriver with a black and red handle",
    "screwDriver3": "Two green torque screwdrivers on white",
    "sickle": "A sickle on a sandy ground",
    "sideCutter1": "Open side cutters with white handles",
    "spray": "A red spray bottle on white",
    "tweezer": "Two pairs of steel tweezers on a blue ground",
    "tweezer1": "Three pairs of tweezers on white",
    "wrench": "An adjustable wrench on white",
    "wrench1": "An adjustable wrench on a brown ground",
}


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
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__)
        return 2
    package = Path(arguments[0])
    folder = package / "usr/share/gcompris-qt/rcc"
    items = []
    for label, places in GROUPS.items():
        for archive, group in places:
            files = read_archive(folder / f"{archive}.rcc")
            base = f"/gcompris/src/activities/{group}/"
            about = credits_in(files[base + "README"].decode("utf-8"))
            for file_name in sorted(about):
                name = Path(file_name).stem
                licence = FREE.get(about[file_name]["License"].lower())
                if licence is None or base + file_name not in files or name in LEFT_OUT:
                    continue
                if not file_name.endswith(".webp"):
                    continue
                name = RENAMED.get((archive, name), name)
                image = Image.open(io.BytesIO(files[base + file_name])).convert("RGB")
                image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
                target = HERE / label / f"{slug(name)}.jpg"
                target.parent.mkdir(exist_ok=True)
                image.save(target, quality=QUALITY, optimize=True)
                items.append(
                    {
                        "path": f"data/photos/{label}/{target.name}",
                        "title": title_of(about[file_name]["Source"], ALT[name]),
                        "author": about[file_name]["Copyright"],
                        "licence": licence,
                        "source": about[file_name]["Source"],
                        "alt": ALT[name],
                    }
                )
    write_credits(items)
    write_ledger(items)
    size = sum((REPOSITORY / item["path"]).stat().st_size for item in items)
    print(f"{len(items)} photos, {size / 1e6:.2f} MB. Now run: python -m tools.ledger --write")
    return 0


def write_credits(items: list[dict[str, str]]) -> None:
    lines = [
        "# Who made these photos",
        "",
        "All of them are free to use: each is *in the public domain* or under *Creative Commons "
        "Zero 1.0 Universal* (CC0,",
        "<https://creativecommons.org/publicdomain/zero/1.0/legalcode>). They come from the data "
        "of GCompris 3.1 (Debian's",
        "package `gcompris-qt-data`), whose READMEs name author, source and licence of each file.",
        "This course made them smaller, at most 320 pixels, and saved them as JPEG. `build.py` does it.",
        "",
        "| file | title | author | licence | source |",
        "|---|---|---|---|---|",
    ]
    for item in items:
        cells = [
            item["path"].removeprefix("data/photos/"),
            item["title"],
            item["author"],
            LICENCE_NAMES[item["licence"]],
            f"<{item['source']}>",
        ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    (HERE / "CREDITS.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_ledger(items: list[dict[str, str]]) -> None:
    """Put one entry a photo into the ledger, in place of those that are there."""
    head, *blocks = re.split(r"(?m)^(?=\[\[item\]\]$)", LEDGER.read_text(encoding="utf-8"))
    kept = [head]
    for block in blocks:
        path = tomllib.loads(block)["item"][0]["path"]
        # What follows an entry up to the next one may be the heading of a section.
        trailing = re.search(r"\n((?:\n|#.*\n)*)\Z", block)[1]
        if isinstance(path, str) and path.startswith("data/photos/"):
            comment = trailing.strip("\n")
            if comment and comment != "# --- photos " + "-" * 82:
                kept.append(comment + "\n\n")
            continue
        kept.append(block)
    text = "".join(kept).rstrip("\n") + "\n"
    heading = "# --- photos " + "-" * 82
    if heading not in text:
        text += f"\n{heading}\n# tools/photos.py writes these entries.\n"

    def quoted(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    for item in items:
        text += "\n[[item]]\n" + "".join(
            f"{key} = {value}\n"
            for key, value in {
                "path": quoted(item["path"]),
                "kind": '"photo"',
                "title": quoted(item["title"]),
                "author": quoted(item["author"]),
                "licence": quoted(item["licence"]),
                "source": quoted(item["source"]),
                "alt": quoted(item["alt"]),
                "used_in": '["lectures/07-transfer-learning.qmd"]',
                "called": '["data/photos"]',
                "notice": '"data/photos/CREDITS.md"',
            }.items()
        )
    LEDGER.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Every figure, photo, font, data file and set of weights has an author, a licence and a source."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path, PurePosixPath

import pytest

from tools import ledger

ROOT = Path(__file__).resolve().parents[2]


LICENCES, ITEMS = ledger.load()
FOREIGN = [item for item in ITEMS if item.get("author") != ledger.OURS]


def test_the_ledger_is_complete_and_true() -> None:
    assert ledger.problems() == []


def test_the_command_agrees() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.ledger"], capture_output=True, text=True, encoding="utf-8", timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\d+ items cover \d+ files of the repository\.\n", done.stdout)


def test_a_folder_that_no_item_lies_in_is_named(capsys) -> None:
    for folder in ("/nowhere", "./data"):
        with pytest.raises(SystemExit) as ended:
            ledger.main(["--write", folder])
        assert (
            ended.value.code == 2
            and f"no item of {ledger.LEDGER} lies in {folder}" in capsys.readouterr().err
        )


def test_known_assets_are_seen_as_such() -> None:
    names = set(ledger.assets())
    assert {
        "assets/fonts/course-kai.ttf",
        "assets/images/mark.svg",
        "data/handwriting.tar.xz",
        "cache/cnn.keras",
        "cache/manifest.json",
        "data/strokes/人.json",
    } <= names
    assert not {"README.md", "data/README.md", "course/fonts.py", "assets/ledger.toml"} & names


def test_the_lecturers_own_pictures_need_no_entry(tmp_path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    for folder in ("own", "images"):
        (tmp_path / "assets" / folder).mkdir(parents=True)
        (tmp_path / "assets" / folder / "logo.svg").write_text("<svg/>", encoding="utf-8")
    (tmp_path / "assets/ledger.toml").touch()
    subprocess.run(["git", "-C", tmp_path, "add", "."], check=True)
    assert ledger.assets(tmp_path) == ["assets/images/logo.svg"]


@pytest.mark.parametrize("item", FOREIGN, ids=ledger.label)
def test_license_names_what_comes_from_elsewhere(item) -> None:
    """LICENSE names the folder, file or package, the licence, and where its text lies."""
    text = " ".join((ROOT / "LICENSE").read_text(encoding="utf-8").split())
    if "package" in item:
        places = [item["package"]]
    else:
        places = [
            place.as_posix()
            for name in ledger.patterns(item)
            for place in (PurePosixPath(name), *PurePosixPath(name).parents)
            if len(place.parts) >= 2
        ]
    assert any(place in text for place in places), f"LICENSE names none of {places}"
    assert LICENCES[item["licence"]] in text


@pytest.mark.parametrize("item", [item for item in FOREIGN if "notice" in item], ids=ledger.label)
def test_the_notice_holds_the_licence_and_a_copyright(item) -> None:
    text = (ROOT / item["notice"]).read_text(encoding="utf-8")
    name = re.sub(r" [\d.]+$", "", LICENCES[item["licence"]])
    assert name.lower() in text.lower()
    authors = [re.sub(r"^(the|The) ", "", author.strip()) for author in item["author"].split(";")]
    named = [author for author in authors if author.split(", from ")[-1].split(" of ")[-1] in text]
    assert named, f"{item['notice']} names none of {authors}"
    if item["licence"] in ("OFL-1.1", "Arphic-1999"):
        assert re.search(r"copyright (\(c\) )?\d{4}", text, flags=re.IGNORECASE)
        assert len(text) > 3000, "the notice is too short to hold the licence's text"


def test_alt_texts_of_the_readme_are_those_of_the_ledger() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    by_path = {item["path"]: item.get("alt") for item in ITEMS if isinstance(item["path"], str)}
    pictures = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", readme)
    assert pictures
    for alt, path in pictures:
        assert by_path[path] == alt


# --- the check itself ----------------------------------------------------------------------

GOOD = """
[licences]
"MIT" = "MIT License"

[[item]]
path = "pictures/cat.png"
kind = "photo"
title = "A cat"
author = "A. Photographer"
licence = "MIT"
source = "https://example.org/cat"
sha256 = ""
alt = "A cat asleep on a policy"
used_in = ["page.qmd"]
notice = "pictures/LICENSE.txt"
"""


@pytest.fixture
def small(tmp_path):
    """The ledger of a repository of one photo, written and found good."""
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "assets").mkdir()
    (tmp_path / "pictures/cat.png").write_bytes(b"\x89PNG\0cat")
    (tmp_path / "pictures/LICENSE.txt").write_text("MIT", encoding="utf-8")
    (tmp_path / "page.qmd").write_text("![A cat](pictures/cat.png)", encoding="utf-8")
    path = tmp_path / ledger.LEDGER
    path.write_text(GOOD, encoding="utf-8")
    # A new folder is somebody's own until git knows a file in it.
    subprocess.run(["git", "add", "pictures", "assets"], cwd=tmp_path, check=True)
    assert ledger.write_hashes(root=tmp_path) == ["pictures/cat.png"]
    assert ledger.problems(tmp_path) == []
    return path


def _root(path: Path) -> Path:
    return path.parent.parent


def _problem(path: Path) -> str:
    found = ledger.problems(_root(path))
    assert len(found) == 1, found
    return found[0]


def test_writing_hashes_again_changes_nothing(small) -> None:
    before = small.read_bytes()
    assert ledger.write_hashes(root=_root(small)) == []
    assert small.read_bytes() == before


@pytest.mark.parametrize(
    "name, content",
    [
        ("pictures/dog.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF"),
        ("font.woff2", b"wOF2\0\1\0\0"),
        ("table.csv", b"a,b"),
        ("weights.npz", b"PK\3\4\0\0"),
        ("data/new.json", b"{}"),
        ("weights.js", b"[1, 2]"),
        ("drawing.SVG", b"<svg/>"),
        ("cache/new.keras", b"model"),
        ("unnamed", b"a\0b"),
    ],
)
def test_a_file_without_entry_is_named(small, name, content) -> None:
    (_root(small) / name).parent.mkdir(exist_ok=True)
    (_root(small) / name).write_bytes(content)
    subprocess.run(["git", "add", name], cwd=_root(small), check=True)
    assert _problem(small).startswith(f"{name}: not in assets/ledger.toml")


def test_changed_content_is_named(small) -> None:
    (_root(small) / "pictures/cat.png").write_bytes(b"\x89PNG\0dog")
    assert "pictures/cat.png: the content changed" in _problem(small)


@pytest.mark.parametrize(
    "old, new, said",
    [
        ('author = "A. Photographer"\n', "", "author is missing"),
        ('source = "https://example.org/cat"', 'source = "my-disk/cat"', "neither an address nor"),
        ('licence = "MIT"\n', 'licence = "Unknown-1.0"\n', "'Unknown-1.0' is not in [licences]"),
        ('alt = "A cat asleep on a policy"\n', "", "alt is missing"),
        ('kind = "photo"', 'kind = "picture"', "is none of figure"),
        ('used_in = ["page.qmd"]', 'used_in = ["gone.qmd"]', "gone.qmd, which does not exist"),
        ('used_in = ["page.qmd"]', 'used_in = ["pictures/LICENSE.txt"]', "names none of: cat.png"),
        ('notice = "pictures/LICENSE.txt"', "", "`notice` must name"),
        ('kind = "photo"', 'kind = "photo"\nlicense = "MIT"', "the field license is not known"),
        ('sha256 = "', 'note = "', "sha256 is missing"),
        ('"pictures/cat.png"', '["pictures/cat.png", "pictures/gone*.png"]', "pictures/gone*.png is missing"),
    ],
)
def test_a_poor_entry_is_named(small, old, new, said) -> None:
    text = small.read_text(encoding="utf-8")
    assert old in text
    small.write_text(text.replace(old, new, 1), encoding="utf-8")
    if "gone*" in new:  # the pattern matches no file, so the hash stays that of the one file
        assert tomllib.loads(small.read_text(encoding="utf-8"))["item"][0]["sha256"]
    assert said in _problem(small)


def test_a_file_listed_twice_is_named(small) -> None:
    text = small.read_text(encoding="utf-8")
    small.write_text(text + text[text.index("[[item]]") :], encoding="utf-8")
    assert "listed twice" in _problem(small)


def test_a_broken_ledger_is_an_error(small) -> None:
    small.write_text('[[item]]\ntitle = "no path"\n', encoding="utf-8")
    with pytest.raises(ValueError, match="the item no path has no path"):
        ledger.problems(_root(small))
    small.write_text("[[item]\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 1"):
        ledger.load(_root(small))


def test_a_package_that_is_missing_is_named(small) -> None:
    text = small.read_text(encoding="utf-8")
    small.write_text(
        text
        + """
[[item]]
package = "no-such-package-here"
path = "x/y.npz"
kind = "weights"
title = "Weights"
author = "Somebody"
licence = "MIT"
source = "https://example.org"
sha256 = "0"
used_in = ["page.qmd"]
""",
        encoding="utf-8",
    )
    assert "no-such-package-here is not installed" in _problem(small)


def test_hashes_in_a_record_are_compared(small) -> None:
    root = _root(small)
    (root / "cache").mkdir()
    model = root / "cache/net.keras"
    model.write_bytes(b"weights")
    record = root / "cache/manifest.json"
    good = ledger.digest({"net": model})
    text = (
        small.read_text(encoding="utf-8")
        + """
[[item]]
path = "cache/net.keras"
kind = "weights"
title = "A network"
author = "the course authors"
licence = "MIT"
source = "page.qmd"
hashes = "cache/manifest.json"
used_in = ["page.qmd"]
called = ["cat"]

[[item]]
path = "cache/manifest.json"
kind = "data"
title = "The record"
author = "the course authors"
licence = "MIT"
source = "page.qmd"
hashes = "self"
used_in = ["page.qmd"]
called = ["cat"]
"""
    )
    small.write_text(text, encoding="utf-8")
    record.write_text(
        '{"net": {"files": {"net.keras": {"sha256": "HASH"}}}}'.replace("HASH", good), encoding="utf-8"
    )
    assert ledger.problems(root) == []
    model.write_bytes(b"others")
    assert "the SHA-256 of cache/net.keras is not the one in" in _problem(small)


def test_a_new_folder_beside_the_courses_is_somebodys_own(tmp_path) -> None:
    """A new file counts in a folder that git knows; a reader's photos do not, until git knows one of them."""

    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)

    git("init", "-q")
    for name in ("docs/known.md", "docs/new.md", "my-photos/dog.jpg", "my-photos/cat.jpg", "new.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    git("add", "docs/known.md")
    assert ledger.repository_files(tmp_path) == ["docs/known.md", "docs/new.md", "new.md"]
    git("add", "my-photos/dog.jpg")
    assert "my-photos/cat.jpg" in ledger.repository_files(tmp_path)

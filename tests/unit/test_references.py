"""The references of the course and your own: each citation has an entry, each entry is cited and whole."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path

import pypandoc
import pytest
import yaml

from render.page import bibliographies
from render.project import Project
from render.qmd import parse

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "index.qmd", *(ROOT / "lectures").glob("*.qmd")])
PROJECT = Project.load(ROOT)
# references.bib, what `bibliography:` of course.yml adds, and that of single pages.
FILES = sorted({path for page in PAGES for path in bibliographies(PROJECT, parse(page, ROOT))})

# What a reader needs to find the work, by type; "a|b" means either.
NEEDED = {
    "article": ("author", "title", "journal", "year", "volume|doi"),
    "inproceedings": ("author", "title", "booktitle", "year"),
    "incollection": ("author", "title", "booktitle", "publisher", "year"),
    "book": ("author|editor", "title", "publisher", "year"),
    "techreport": ("author", "title", "institution", "year"),
    "phdthesis": ("author", "title", "school", "year"),
    "misc": ("author", "title", "year", "url|doi"),
}
# Every entry but a book, which its publisher finds, leads to the work by one of these.
LEADS = ("doi", "url", "isbn")
CROSS_REFERENCES = ("fig", "tbl", "sec", "eq", "lst")


def entries(text: str) -> list[tuple[str, str, dict[str, str]]]:
    """Type, key and fields of each entry of a BibTeX text.

    Raises ValueError where a brace is missing.
    """
    found = []
    for start in re.finditer(r"(?m)^@(\w+)\s*\{\s*([^,\s]+)\s*,", text):
        fields, position = {}, start.end()
        while match := re.compile(r"\s*(\w+)\s*=\s*").match(text, position):
            value, position = _value(text, match.end(), start[2])
            fields[match[1].lower()] = value
            if comma := re.compile(r"\s*,").match(text, position):
                position = comma.end()
        if not re.compile(r"\s*\}").match(text, position):
            raise ValueError(f"{start[2]}: the entry does not end after {list(fields)[-1:]}")
        found.append((start[1].lower(), start[2], fields))
    return found


def _value(text: str, position: int, key: str) -> tuple[str, int]:
    """The value in braces, quotes or digits that begins at `position`, and where it ends."""
    if text[position] != "{":
        match = re.compile(r'"([^"]*)"|(\d+)').match(text, position)
        if not match:
            raise ValueError(f"{key}: a value is neither in braces nor in quotes")
        return match[1] or match[2], match.end()
    depth = 0
    for end in range(position, len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if depth == 0:
            return text[position + 1 : end], end + 1
    raise ValueError(f"{key}: a brace is not closed")


def citations(markdown: str) -> set[str]:
    """The keys that a page cites, outside of code."""
    prose = re.sub(r"(?ms)^(\s*)(`{3,}|~{3,}).*?^\s*\2`*\s*$", "", markdown)
    prose = re.sub(r"`[^`\n]+`", "", prose)
    found = {key.rstrip(".:;,") for key in re.findall(r"(?<![\w.@/])-?@([A-Za-z][\w:.-]*)", prose)}
    return {key for key in found if not key.startswith(tuple(f"{x}-" for x in CROSS_REFERENCES))}


def problems(kind: str, key: str, fields: dict[str, str]) -> list[str]:
    """What is wrong with an entry."""
    found = []
    if kind not in NEEDED:
        return [f"{key}: the type @{kind} is none of {', '.join(NEEDED)}"]
    for need in NEEDED[kind]:
        if not any(fields.get(name, "").strip() for name in need.split("|")):
            found.append(f"{key}: {need.replace('|', ' or ')} is missing")
    if kind != "book" and not any(fields.get(name) for name in LEADS):
        found.append(f"{key}: none of {', '.join(LEADS)} leads to it")
    year = fields.get("year", "")
    if year and not (re.fullmatch(r"\d{4}", year) and 1600 <= int(year) <= datetime.date.today().year):
        found.append(f"{key}: the year {year} cannot be")
    if "doi" in fields and not re.fullmatch(r"10\.\d{4,9}/\S+", fields["doi"]):
        found.append(f"{key}: the DOI {fields['doi']} is not of the form 10.1234/…")
    if "url" in fields and not re.fullmatch(r"https?://\S+", fields["url"]):
        found.append(f"{key}: the url {fields['url']} is no address")
    if "pages" in fields and not re.fullmatch(r"[\w:]+(--[\w:]+)?", fields["pages"]):
        found.append(f"{key}: pages {fields['pages']} are written 1--9")
    if re.search(r"\bet al\b", fields.get("author", "")):
        found.append(f'{key}: BibTeX writes "and others" for et al.')
    return found


ENTRIES = [entry for path in FILES for entry in entries(path.read_text(encoding="utf-8"))]
HOME = {key: path.name for path in FILES for _, key, _ in entries(path.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry[1])
def test_the_entry_is_complete(entry) -> None:
    assert problems(*entry) == [], f"{HOME[entry[1]]}: complete the entry"


def test_no_key_is_used_twice() -> None:
    keys = [key for _, key, _ in ENTRIES]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    assert not twice, f"{', '.join(path.name for path in FILES)}: give other keys to one of each of {twice}"


def test_pandoc_reads_the_same_entries() -> None:
    texts = (pypandoc.convert_file(str(path), "csljson", format="bibtex") for path in FILES)
    converted = [item for text in texts for item in json.loads(text)]
    assert sorted(item["id"] for item in converted) == sorted(key for _, key, _ in ENTRIES)
    for item in converted:
        assert item.get("title") and item.get("issued"), item["id"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_citation_has_an_entry(page) -> None:
    unknown = sorted(citations(page.read_text(encoding="utf-8")) - HOME.keys())
    files = ", ".join(path.name for path in FILES)
    assert not unknown, (
        f"{page.name} cites {unknown}, but {files} has no such entry: add one, or mend the key"
    )


def test_every_entry_is_cited() -> None:
    cited = set().union(*(citations(page.read_text(encoding="utf-8")) for page in PAGES))
    idle = sorted(f"{key} in {HOME[key]}" for _, key, _ in ENTRIES if key not in cited)
    assert not idle, f"no page cites {', '.join(idle)}: take the entry out, or cite it where it belongs"


# --- the checks themselves -----------------------------------------------------------------


def test_citations_are_told_from_code_and_cross_references() -> None:
    text = """
As @smith2020 says [see @doe-2019:a, p. 3; -@roe2018]. In @fig-one and @tbl-two; me@site.org.
`@code2020` and

```{python}
@keras.saving
def f(): ...
```
"""
    assert citations(text) == {"smith2020", "doe-2019:a", "roe2018"}


GOOD = {
    "author": "A, B",
    "title": "T",
    "journal": "J",
    "year": "2020",
    "volume": "1",
    "doi": "10.1000/x",
    "pages": "1--2",
    "url": "https://x.org",
}


def test_a_complete_entry_has_no_problems() -> None:
    assert problems("article", "k", GOOD) == []


@pytest.mark.parametrize(
    "change, said",
    [
        ({"author": ""}, "author is missing"),
        ({"volume": "", "doi": ""}, "volume or doi"),
        ({"doi": "", "url": ""}, "leads to it"),
        ({"year": "20"}, "cannot be"),
        ({"year": "2999"}, "cannot be"),
        ({"doi": "https://doi.org/10.1000/x"}, "not of the form"),
        ({"url": "x.org"}, "no address"),
        ({"pages": "1-2"}, "1--9"),
        ({"author": "A et al."}, "and others"),
    ],
)
def test_a_poor_entry_is_named(change, said) -> None:
    fields = {key: value for key, value in {**GOOD, **change}.items() if value}
    assert any(said in problem for problem in problems("article", "k", fields))
    assert problems("unknown", "k", GOOD)


def test_braces_are_read_and_missed() -> None:
    text = '@book{k,\n title = {A {B} c},\n year = 2020, note = "q"\n}\n'
    assert entries(text) == [("book", "k", {"title": "A {B} c", "year": "2020", "note": "q"})]
    with pytest.raises(ValueError, match="brace is not closed"):
        entries("@book{k,\n title = {A {{B c},\n}\n")
    with pytest.raises(ValueError, match="does not end"):
        entries("@book{k,\n title = {A}\n@book{l,\n title = {A}\n}")


def test_the_citation_file_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = f'version = "{citation["version"]}"'
    assert version in project, f"pyproject.toml should say {version}, as CITATION.cff does"

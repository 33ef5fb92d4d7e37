"""Links of the site and of the repository's texts.

    python -m tools.links              # checks _site and the texts, without a network
    python -m tools.links --write      # adds new external links to docs/external-links.toml,
                                       # with today's date, and removes those no longer used
    python -m tools.links --network    # asks each address whether it is there (`make links`)

Internal links are followed to files and anchors. External ones are listed in
docs/external-links.toml with the day on which each was entered; `--network --write` notes when
each last answered.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import datetime
import functools
import html
import posixpath
import re
import sys
import tomllib
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import BeautifulSoup

from tools.ledger import repository_files

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "docs/external-links.toml"
HEAD = """\
# External links of the site and of the texts: on which day each was entered (listed), and when
# it last answered, where somebody has asked (answered). `make links` asks them all now;
# .venv/bin/python -m tools.links --write brings this list up to date.

"""
# Texts of the repository whose links people follow. Pages are checked once they are rendered.
TEXTS = (".md", ".bib", ".cff", ".toml", ".qmd", ".txt", ".ipynb")
NOT_READ = (
    "tests/",
    "docs/external-links.toml",
    "requirements",
    "assets/fonts/",
    "data/strokes/ARPHICPL.TXT",
    "data/proportions/LGPL-2.1.txt",
)
_SIGN = r"[^\s\"'<>()\[\]{}|\\^`*]"  # none of those that end an address in prose
ADDRESS = re.compile(rf"https?://{_SIGN}+(?:\([^\s()\"'<>]*\){_SIGN}*)?")
# Addresses that lead nowhere by design: examples, name spaces, this machine.
NO_LINK = re.compile(r"^https?://(localhost|127\.|example\.|[\w.-]*\.example\b|www\.w3\.org/\d)")
REFERENCES = {
    "href": ("a", "link", "area"),
    "src": ("img", "script", "iframe", "source", "video", "audio", "embed"),
    "data": ("object",),
    "poster": ("video",),
    "data-src": ("img", "iframe", "video"),
    "data-background-image": ("section",),
}
# A server that answers so knows the page but talks to people only.
SHY = (401, 403, 405, 406, 418, 429, 503, 999)


# --- a built site ------------------------------------------------------------------------


class Site:
    """The pages of a folder: their references and anchors."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        self.pages = sorted(name for name in self.files if name.endswith(".html"))

    @functools.cache
    def _read(self, name: str) -> tuple[frozenset[str], list[str]]:
        """The anchors that a page defines, and where its links, pictures, scripts and styles lead."""
        soup = BeautifulSoup((self.folder / name).read_text(encoding="utf-8"), "lxml")
        anchors = {tag["id"] for tag in soup.find_all(id=True)}
        anchors |= {tag["name"] for tag in soup.find_all("a", attrs={"name": True})}
        found = []
        for attribute, tags in REFERENCES.items():
            found += [tag[attribute].strip() for tag in soup.find_all(tags, attrs={attribute: True})]
        for tag in soup.find_all(["img", "source"], srcset=True):
            found += [part.split()[0] for part in tag["srcset"].split(",") if part.strip()]
        return frozenset(anchors), [one for one in found if not one.startswith(("data:", "blob:"))]

    def broken(self) -> list[str]:
        """Each internal reference that leads to no file or anchor, in a sentence."""
        references = [(name, one) for name in self.pages for one in dict.fromkeys(self._read(name)[1])]
        for name in sorted(name for name in self.files if name.endswith(".css")):
            text = (self.folder / name).read_text(encoding="utf-8")
            text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
            references += [(name, one.strip()) for one in re.findall(r"url\(\s*[\"']?([^\"')]+)", text)]
        reasons = ((name, target, self._why_broken(name, target)) for name, target in references)
        return [f"{name}: {target}: {reason}" for name, target, reason in reasons if reason]

    def _why_broken(self, name: str, target: str) -> str | None:
        parts = urlsplit(target)
        if parts.scheme in ("http", "https", "mailto", "data", "javascript"):
            return None
        if not parts.scheme and parts.netloc:
            return None
        if parts.scheme:
            return f"the scheme {parts.scheme}: is not known"
        if parts.path.startswith("/"):
            return "starts at the server's root, which a page opened from disk does not have"
        goal = _joined(name, unquote(parts.path))
        if goal.startswith("../"):
            return "leads out of the site"
        if goal not in self.files and (folder := posixpath.normpath(f"{goal}/index.html")) in self.files:
            goal = folder
        if goal not in self.files:
            alike = [file for file in self.files if file.lower() == goal.lower()]
            return f"spelled {alike[0]} on disk" if alike else "there is no such file"
        anchor = unquote(parts.fragment)
        if not anchor or not goal.endswith(".html"):
            return None
        anchors = self._read(goal)[0]
        slide = anchor.lstrip("/").split("/")[0]  # reveal.js: #/slide or #/slide/fragment
        if anchor in anchors or (
            anchor.startswith("/") and (not slide or slide.isdigit() or slide in anchors)
        ):
            return None
        return f"{goal} has no anchor #{anchor}"

    def external(self) -> list[tuple[str, str]]:
        """The links that leave the site: the page that holds each, and where it leads."""
        leaving = ("http:", "https:", "//")
        return [(name, one) for name in self.pages for one in self._read(name)[1] if one.startswith(leaving)]


def _joined(name: str, path: str) -> str:
    """`path` seen from the file `name`, as a posix path from the root, above which it begins with ../"""
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name


# --- the repository's texts --------------------------------------------------------------


def repository_texts(root: Path = ROOT) -> list[str]:
    """The texts whose links count, among the files that git tracks or would track."""
    names = repository_files(root)
    return [
        name for name in names if name == "LICENSE" or name.endswith(TEXTS) and not name.startswith(NOT_READ)
    ]


@functools.cache
def own_repository(root: Path = ROOT) -> str:
    """The "owner/name" that `repo-url` in _quarto.yml gives to this repository itself."""
    settings = yaml.safe_load((root / "_quarto.yml").read_text(encoding="utf-8"))
    return urlsplit(settings.get("website", {}).get("repo-url", "")).path.strip("/")


def addresses(text: str) -> list[str]:
    """The addresses in a text, without the punctuation that follows them."""
    found = []
    for match in ADDRESS.findall(html.unescape(text.replace("\\n", "\n"))):
        address = match.rstrip(".,;:!?'\"")
        if not NO_LINK.match(address):
            found.append(address)
    return found


def dois(text: str) -> list[str]:
    """The addresses that the DOIs of a BibTeX file stand for."""
    return [f"https://doi.org/{doi}" for doi in re.findall(r"(?m)^\s*doi\s*=\s*\{([^}]+)\}", text)]


def slugs(markdown: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a Markdown text."""
    text = re.sub(r"(?ms)^(```|~~~).*?^\1", "", markdown)
    found: list[str] = []
    for heading in re.findall(r"(?m)^#{1,6}\s+(.+?)\s*#*$", text):
        heading = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        found.append(re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-"))
    before = (found[:number].count(slug) for number, slug in enumerate(found))
    return {f"{slug}-{count}" if count else slug for slug, count in zip(found, before)}


def broken_in_texts(root: Path = ROOT) -> list[str]:
    """Each relative link of a Markdown file that leads to no file or heading."""
    found = []
    for name in repository_texts(root):
        if not name.endswith(".md"):
            continue
        text = (root / name).read_text(encoding="utf-8")
        prose = re.sub(r"(?ms)^(\s*)(```|~~~).*?^\s*\2", "", text)
        prose = re.sub(r"`[^`\n]+`", "", prose)
        for target in re.findall(r"\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)", prose):
            parts = urlsplit(target)
            goal = _joined(name, unquote(parts.path))
            if parts.scheme or parts.netloc:
                continue
            if goal.startswith("../") or not (root / goal).exists():
                found.append(f"{name}: {target}: there is no such file")
            elif parts.fragment and goal.endswith(".md"):
                if parts.fragment not in slugs((root / goal).read_text(encoding="utf-8")):
                    found.append(f"{name}: {target}: {goal} has no such heading")
    return found


def external(site: Site | None, root: Path = ROOT) -> dict[str, list[str]]:
    """Every external address, without its anchor, and the files that hold it.

    Addresses of this repository itself are left out: they follow from one setting, and exist
    once the repository is published under it.
    """
    places: dict[str, set[str]] = defaultdict(set)
    for name in repository_texts(root):
        text = (root / name).read_text(encoding="utf-8")
        for address in addresses(text) + (dois(text) if name.endswith(".bib") else []):
            places[address.split("#")[0]].add(name)
    for page, target in site.external() if site else ():
        target = f"https:{target}" if target.startswith("//") else target
        if not NO_LINK.match(target):
            places[html.unescape(target).split("#")[0]].add(f"_site/{page}")
    own = own_repository(root)
    return {
        address: sorted(places[address]) for address in sorted(places) if not own or f"/{own}" not in address
    }


# --- the list ----------------------------------------------------------------------------


def read_list(path: Path | None = None) -> dict[str, dict[str, datetime.date]]:
    """The listed addresses with their days: `listed`, and `answered` where somebody asked."""
    path = path or LIST
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def write_list(days: dict[str, dict[str, datetime.date]], path: Path | None = None) -> None:
    """Write the list, sorted by address."""
    lines = [HEAD]
    for address in sorted(days):
        fields = ", ".join(f"{key} = {day.isoformat()}" for key, day in days[address].items())
        lines.append(f'"{address}" = {{ {fields} }}\n')
    (path or LIST).write_text("".join(lines), encoding="utf-8", newline="\n")


# --- the network -------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What a server said: "there", "gone", "shy" (there, but not for programs) or "silent"."""

    verdict: str
    detail: str


def ask(address: str, patience: float = 20) -> Answer:
    """Ask one address whether it is there."""
    headers = {"User-Agent": "Mozilla/5.0 (link check of a course)", "Accept": "*/*"}
    last = Answer("silent", "")
    for method in ("HEAD", "GET"):
        try:
            request = urllib.request.Request(address, method=method, headers=headers)
            with urllib.request.urlopen(request, timeout=patience) as response:
                return Answer("there", str(response.status))
        except urllib.error.HTTPError as error:
            # Servers that do not know HEAD say so in many ways: ask again properly.
            last = Answer("shy" if error.code in SHY else "gone", str(error.code))
        except (OSError, ValueError) as error:
            last = Answer("silent", str(getattr(error, "reason", error)) or type(error).__name__)
    return last


def ask_all(listed: Iterable[str]) -> dict[str, Answer]:
    """Ask all addresses, eight at a time."""
    listed = list(listed)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return dict(zip(listed, pool.map(ask, listed)))


# --- the command -------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """Run a check; the exit status is 1 when a link is broken or not listed, 2 without a network."""
    parser = argparse.ArgumentParser(prog="python -m tools.links", description=__doc__.split("\n")[0])
    parser.add_argument("--site", type=Path, default=ROOT / "_site", help="the built site")
    parser.add_argument("--write", action="store_true", help="bring the list up to date")
    parser.add_argument("--network", action="store_true", help="ask each address")
    options = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    site = Site(options.site) if (options.site / "index.html").is_file() else None
    if site is None:
        print(f"{options.site} holds no site: only the texts are checked. `make slides` first.")
    problems = [*(site.broken() if site else ()), *broken_in_texts()]
    used, listed = external(site), read_list()
    today = datetime.date.today()
    days = {address: listed.get(address, {"listed": today}) for address in used}
    answers = ask_all(used) if options.network else {}
    if answers and all(answer.verdict == "silent" for answer in answers.values()):
        print("No address answers: there is no network here, so nothing could be checked.")
        return 2
    for address, answer in answers.items():
        if answer.verdict in ("gone", "silent"):
            problems.append(f"{address}: {answer.verdict} ({answer.detail}); in {', '.join(used[address])}")
            continue
        days[address]["answered"] = today
        if answer.verdict == "shy":
            print(f"{address}: there, but not for programs ({answer.detail}); look yourself")
    if options.write:
        write_list(days)
    else:
        new = [address for address in used if address not in listed]
        problems += [f"{address}: not in {LIST.name}; in {', '.join(used[address])}" for address in new]
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"{len(site.pages) if site else 0} pages, {len(used)} external addresses: all good.")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())

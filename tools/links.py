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
import itertools
import re
import socket
import subprocess
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


@dataclass(frozen=True)
class Reference:
    """A link: the file that holds it, relative to the folder checked, and where it leads."""

    place: str
    target: str


# --- a built site ------------------------------------------------------------------------


class Site:
    """The pages of a folder: their references and anchors."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        self.pages = sorted(name for name in self.files if name.endswith(".html"))

    @functools.cache
    def _soup(self, name: str) -> BeautifulSoup:
        return BeautifulSoup((self.folder / name).read_text(encoding="utf-8"), "lxml")

    @functools.cache
    def anchors(self, name: str) -> frozenset[str]:
        """The identifiers that a page defines."""
        soup = self._soup(name)
        return frozenset(
            {tag["id"] for tag in soup.find_all(id=True)}
            | {tag["name"] for tag in soup.find_all("a", attrs={"name": True})}
        )

    @functools.cache
    def references(self, name: str) -> list[str]:
        """Where the links, pictures, scripts and style sheets of a page lead."""
        soup, found = self._soup(name), []
        for attribute, tags in REFERENCES.items():
            for tag in soup.find_all(tags, attrs={attribute: True}):
                found.append(tag[attribute].strip())
        for tag in soup.find_all(["img", "source"], srcset=True):
            found += [part.split()[0] for part in tag["srcset"].split(",") if part.strip()]
        return [target for target in found if not target.startswith(("data:", "blob:"))]

    def broken(self) -> list[str]:
        """Each internal reference that leads to no file or anchor, in a sentence."""
        found = []
        for name in self.pages:
            for target in dict.fromkeys(self.references(name)):
                if reason := self._why_broken(name, target):
                    found.append(f"{name}: {target}: {reason}")
        for name in sorted(self.files):
            if name.endswith(".css"):
                text = (self.folder / name).read_text(encoding="utf-8")
                text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
                for target in re.findall(r"url\(\s*[\"']?([^\"')]+)", text):
                    if reason := self._why_broken(name, target.strip()):
                        found.append(f"{name}: {target}: {reason}")
        return found

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
        path = unquote(parts.path)
        goal = name
        if path:
            goal = _joined(name, path)
            if goal is None:
                return "leads out of the site"
            if goal not in self.files and f"{goal}/index.html".lstrip("./") in self.files:
                goal = f"{goal}/index.html".lstrip("./")
            if goal not in self.files:
                alike = [file for file in self.files if file.lower() == goal.lower()]
                return f"spelled {alike[0]} on disk" if alike else "there is no such file"
        anchor = unquote(parts.fragment)
        if not anchor or not goal.endswith(".html"):
            return None
        slide = anchor.lstrip("/").split("/")[0]  # reveal.js: #/slide or #/slide/fragment
        if anchor in self.anchors(goal) or (
            anchor.startswith("/") and (slide.isdigit() or slide in self.anchors(goal) or not slide)
        ):
            return None
        return f"{goal} has no anchor #{anchor}"

    def external(self) -> list[Reference]:
        """The links of all pages that leave the site."""
        return [
            Reference(name, target)
            for name in self.pages
            for target in self.references(name)
            if target.startswith(("http:", "https:", "//"))
        ]


def _joined(name: str, path: str) -> str | None:
    """`path` seen from the file `name`, as a posix path from the root; None above the root."""
    parts = name.split("/")[:-1]
    for part in path.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in (".", ""):
            parts.append(part)
    return "/".join(parts)


# --- the repository's texts --------------------------------------------------------------


def repository_texts(root: Path = ROOT) -> list[str]:
    """The texts whose links count, among the files that git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    )
    names = listed.stdout.decode("utf-8").split("\0")
    return sorted(
        {
            name
            for name in names
            if name.endswith(TEXTS) and not name.startswith(NOT_READ) and (root / name).is_file()
        }
        | ({"LICENSE"} if (root / "LICENSE").is_file() else set())
    )


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
    found: set[str] = set()
    for heading in re.findall(r"(?m)^#{1,6}\s+(.+?)\s*#*$", text):
        heading = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        unique = next(
            name
            for name in itertools.chain([slug], (f"{slug}-{number}" for number in itertools.count(1)))
            if name not in found
        )
        found.add(unique)
    return found


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
            if parts.scheme or parts.netloc:
                continue
            goal = _joined(name, unquote(parts.path)) if parts.path else name
            if goal is None or not (root / goal).exists():
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
    for reference in site.external() if site else ():
        target = reference.target if "://" in reference.target[:8] else f"https:{reference.target}"
        if not NO_LINK.match(target):
            places[html.unescape(target).split("#")[0]].add(f"_site/{reference.place}")
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
    last = Answer("silent", "")
    for method in ("HEAD", "GET"):
        request = urllib.request.Request(
            address,
            method=method,
            headers={"User-Agent": "Mozilla/5.0 (link check of a course)", "Accept": "*/*"},
        )
        try:
            with urllib.request.urlopen(request, timeout=patience) as response:
                return Answer("there", str(response.status))
        except urllib.error.HTTPError as error:
            # Servers that do not know HEAD say so in many ways: ask again properly.
            last = Answer("shy" if error.code in SHY else "gone", str(error.code))
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            last = Answer("silent", str(reason) or type(reason).__name__)
            if isinstance(reason, socket.gaierror):
                break
    return last


def ask_all(listed: Iterable[str], patience: float = 20) -> dict[str, Answer]:
    """Ask all addresses, eight at a time."""
    listed = list(listed)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda address: ask(address, patience), listed)
        return dict(zip(listed, answers, strict=True))


# --- the command -------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """Run a check; the exit status is 1 when a link is broken or not listed."""
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
    if options.network:
        answers = ask_all(used)
        if answers and all(answer.verdict == "silent" for answer in answers.values()):
            print("No address answers: there is no network here, so nothing could be checked.")
            return 2
        for address, answer in answers.items():
            where = ", ".join(used[address])
            if answer.verdict in ("gone", "silent"):
                problems.append(f"{address}: {answer.verdict} ({answer.detail}); in {where}")
            else:
                days[address]["answered"] = today
                if answer.verdict == "shy":
                    print(f"{address}: there, but not for programs ({answer.detail}); look yourself")
        print(f"{len(answers)} addresses asked.")
    if options.write:
        write_list(days)
        print(f"{LIST.relative_to(ROOT).as_posix()}: {len(days)} addresses.")
    else:
        problems += [
            f"{address}: not in {LIST.name}; in {', '.join(used[address])}"
            for address in used
            if address not in listed
        ]
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"{len(site.pages) if site else 0} pages, {len(used)} external addresses: all good.")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())

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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote, urlsplit

from course.store.files import write_whole

import pypandoc
import yaml
from bs4 import BeautifulSoup

from tools.console import speak_utf8
from tools.ledger import repository_files

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "docs/external-links.toml"
HEAD = """\
# External links of the site and of the texts: on which day each was entered (listed), and when
# it last answered, where somebody has asked (answered). `make links` asks them all now;
# .venv/bin/python -m tools.links --write brings this list up to date.

"""
# Texts of the repository whose links people follow; what pages link to stands in them.
TEXTS = ("LICENSE", ".md", ".bib", ".cff", ".toml", ".yml", ".qmd", ".ipynb")
NOT_READ = ("tests/", "docs/external-links.toml")
_SIGN = r"[^\s\"'<>()\[\]{}|\\^`*]"  # none of those that end an address in prose
ADDRESS = re.compile(rf"https?://{_SIGN}+(?:\([^\s()\"'<>]*\){_SIGN}*)?")
# Addresses that lead nowhere by design: examples, name spaces, this machine.
NO_LINK = re.compile(
    r"^https?://(localhost|127\.|example\.|[\w.-]*\.example\b|www\.w3\.org/\d"
    r"|nowhere\.github\.io|github\.com/(nowhere|you)/)"
)
REFERENCES = ("href", "src", "data", "poster", "data-src", "data-background-image")
# A server that answers so knows the page but talks to people only.
SHY = (401, 403, 405, 406, 418, 429, 503, 999)


class Pages:
    """The pages of a folder, .html or .md: their references and anchors; `files` count, or else all in it."""

    def __init__(self, folder: Path, files: list[str] | None = None, ending: str = ".html") -> None:
        self.folder, self.ending = folder, ending
        found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        self.files = set(found if files is None else files)
        self.names = sorted(name for name in self.files if name.endswith(ending))
        self.styles = sorted(name for name in self.files if name.endswith(".css"))

    @functools.cache
    def _read(self, name: str) -> tuple[set[str], list[str]]:
        """The anchors that a page defines, and where its links, pictures, scripts and styles lead."""
        text = (self.folder / name).read_text(encoding="utf-8")
        if name.endswith(".css"):
            text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
            return set(), [one.strip() for one in re.findall(r"url\(\s*[\"']?([^\"')]+)", text)]
        if self.ending == ".md":
            text = pypandoc.convert_text(text, "html", "gfm")  # with GitHub's anchors
        soup = BeautifulSoup(text, "lxml")
        anchors = {tag["id"] for tag in soup.find_all(id=True)}
        anchors |= {tag["name"] for tag in soup.find_all("a", attrs={"name": True})}
        found = [tag[each].strip() for each in REFERENCES for tag in soup.find_all(attrs={each: True})]
        for tag in soup.find_all(srcset=True):
            found += [part.split()[0] for part in tag["srcset"].split(",") if part.strip()]
        return anchors, list(dict.fromkeys(found))

    def broken(self) -> list[str]:
        """Each internal reference that leads to no file or anchor, in a sentence."""
        references = [(name, one) for name in [*self.names, *self.styles] for one in self._read(name)[1]]
        reasons = ((name, target, self._why_broken(name, target)) for name, target in references)
        return [f"{name}: {target}: {reason}" for name, target, reason in reasons if reason]

    def _why_broken(self, name: str, target: str) -> str | None:
        parts = urlsplit(target)
        if parts.scheme or parts.netloc:
            known = ("", "http", "https", "mailto", "data", "blob", "javascript")
            return None if parts.scheme in known else f"the scheme {parts.scheme}: is not known"
        if parts.path.startswith("/"):
            return "starts at the server's root, which a page opened from disk does not have"
        path = posixpath.join(posixpath.dirname(name), unquote(parts.path)) if parts.path else name
        goal = posixpath.normpath(path)
        if goal not in self.files and f"{goal}/index.html" in self.files:
            goal = f"{goal}/index.html"
        if goal not in self.files:
            of_texts = self.ending == ".md"  # they may lead to folders
            inside = of_texts and any(file.startswith(f"{goal}/") for file in self.files)
            return None if inside else "there is no such file" + " that git knows" * of_texts
        anchor = unquote(parts.fragment)
        if not anchor or not goal.endswith(self.ending):
            return None
        slide = anchor.split("/")[1] if anchor.startswith("/") else anchor  # reveal.js: #/slide/fragment
        known = slide in self._read(goal)[0] or (anchor.startswith("/") and (not slide or slide.isdigit()))
        return None if known else f"{goal} has no anchor #{anchor}"


def markdown(root: Path = ROOT) -> Pages:
    """The Markdown files of the repository."""
    return Pages(root, repository_files(root), ".md")


def addresses(text: str) -> list[str]:
    """The addresses in a text, without the punctuation that follows them; DOIs of BibTeX stand for one."""
    found = [each.rstrip(".,;:!?'\"") for each in ADDRESS.findall(html.unescape(text.replace("\\n", "\n")))]
    found += [f"https://doi.org/{doi}" for doi in re.findall(r"(?m)^\s*doi\s*=\s*\{([^}]+)\}", text)]
    return [address for address in found if not NO_LINK.match(address)]


def external(root: Path = ROOT) -> dict[str, list[str]]:
    """Every external address, without its anchor, and the files that hold it; not this repository's own."""
    places: dict[str, set[str]] = defaultdict(set)
    for name in repository_files(root):
        if name.endswith(TEXTS) and not name.startswith(NOT_READ):
            for address in addresses((root / name).read_text(encoding="utf-8")):
                places[address.split("#")[0]].add(name)
    settings = yaml.safe_load((root / "course.yml").read_text(encoding="utf-8"))
    # Its own addresses follow from one setting, and exist once it is published under that.
    own = urlsplit(settings.get("website", {}).get("repo-url", "")).path.rstrip("/")  # "/owner/name"
    return {each: sorted(places[each]) for each in sorted(places) if not own or own not in each}


def read_list() -> dict[str, dict[str, datetime.date]]:
    """The listed addresses with their days: `listed`, and `answered` where somebody asked."""
    return tomllib.loads(LIST.read_text(encoding="utf-8")) if LIST.is_file() else {}


def write_list(days: dict[str, dict[str, datetime.date]]) -> None:
    """Write the list, sorted by address."""
    fields = ((one, ", ".join(f"{key} = {day}" for key, day in days[one].items())) for one in sorted(days))
    write_whole(LIST, HEAD + "".join(f'"{address}" = {{ {text} }}\n' for address, text in fields))


def ask(address: str, patience: float = 20) -> tuple[str, str]:
    """Ask an address: "there", "gone", "shy" (there, but not for programs) or "silent", and why."""
    headers = {"User-Agent": "Mozilla/5.0 (link check of a course)", "Accept": "*/*"}
    try:
        request = urllib.request.Request(address, headers=headers)
        with urllib.request.urlopen(request, timeout=patience) as response:  # its body is not read
            return "there", str(response.status)
    except urllib.error.HTTPError as error:
        return "shy" if error.code in SHY else "gone", str(error.code)
    except (OSError, ValueError) as error:
        return "silent", str(getattr(error, "reason", error)) or type(error).__name__


def main(arguments: list[str] | None = None) -> int:
    """Run a check; the exit status is 1 when a link is broken or not listed, 2 without a network."""
    parser = argparse.ArgumentParser(prog="python -m tools.links", description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true", help="bring the list up to date")
    parser.add_argument("--network", action="store_true", help="ask each address")
    options = parser.parse_args(arguments)
    speak_utf8()
    site = Pages(ROOT / "_site") if (ROOT / "_site/index.html").is_file() else None
    if site is None:
        print("There is no _site: only the texts are checked. `make slides` first.")
    problems = [*(site.broken() if site else ()), *markdown(ROOT).broken()]
    used, listed, today = external(ROOT), read_list(), datetime.date.today()
    days = {address: listed.get(address, {"listed": today}) for address in used}
    with ThreadPoolExecutor(8) as pool:
        answers = dict(zip(used, pool.map(ask, used))) if options.network else {}
    if answers and all(verdict == "silent" for verdict, _ in answers.values()):
        print("No address answers: there is no network here, so nothing could be checked.")
        return 2
    for address, (verdict, detail) in answers.items():
        if verdict in ("gone", "silent"):
            problems.append(f"{address}: {verdict} ({detail}); in {', '.join(used[address])}")
            continue
        days[address]["answered"] = today
        if verdict == "shy":
            print(f"{address}: there, but not for programs ({detail}); look yourself")
    if options.write:
        write_list(days)
    else:
        new = [address for address in used if address not in listed]
        problems += [f"{address}: not in {LIST.name}; in {', '.join(used[address])}" for address in new]
    good = f"{len(site.names) if site else 0} pages, {len(used)} external addresses: all good."
    print("\n".join(problems) or good, file=sys.stderr if problems else None)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())

"""Links lead somewhere: within the site, within the texts, and out of both."""

from __future__ import annotations

import datetime
import http.server
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from tools import links

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(site_folder: Path) -> links.Pages:
    return links.Pages(site_folder)


def test_internal_links_and_anchors_of_the_site_resolve(site) -> None:
    assert len(site.names) >= 3
    assert site.broken() == []


def test_relative_links_of_the_texts_resolve() -> None:
    texts = links.markdown()
    assert {"README.md", "CONTRIBUTING.md", "docs/casia.md"} <= set(texts.names)
    assert texts.broken() == []


def test_external_links_are_listed_with_a_date(site) -> None:
    used, listed = links.external(), links.read_list()
    advice = "run `python -m tools.links --write`"
    assert sorted(set(used) - set(listed)) == [], f"not listed: {advice}"
    assert sorted(set(listed) - set(used)) == [], f"no longer used: {advice}"
    # What pages link to stands in texts, apart from the badges that lead to this repository's notebooks.
    for name in site.names:
        for address in links.addresses((site.folder / name).read_text(encoding="utf-8")):
            assert address.split("#")[0] in used or "colab.research" in address, (name, address)
    today = datetime.date.today()
    for address, days in listed.items():
        assert set(days) <= {"listed", "answered"}, address
        # A clock may be a day behind the one that the list was written by.
        assert days["listed"] <= days.get("answered", days["listed"])
        assert max(days.values()) <= today + datetime.timedelta(days=1), address


def test_the_list_is_written_as_it_is_read(tmp_path, monkeypatch) -> None:
    """Nothing in the committed list is lost by --write."""
    listed, text = links.read_list(), links.LIST.read_text(encoding="utf-8")
    monkeypatch.setattr(links, "LIST", tmp_path / "list.toml")
    links.write_list(listed)
    assert links.LIST.read_text(encoding="utf-8") == text


# --- a site made to fail -------------------------------------------------------------------

PAGE = """\
<!doctype html><html><head><link rel="stylesheet" href="a.css"></head>
<body><h2 id="top">Top</h2><p id="字">x</p><a name="old"></a>
{}
</body></html>
"""


def _site(folder: Path, body: str, **files: str) -> links.Pages:
    (folder / "index.html").write_text(PAGE.format(body), encoding="utf-8")
    (folder / "a.css").write_text(files.pop("css", "a { }"), encoding="utf-8")
    for name, text in files.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return links.Pages(folder)


@pytest.mark.parametrize(
    "good",
    [
        '<a href="#top">',
        '<a href="#字">',
        '<a href="#%E5%AD%97">',
        '<a href="#old">',
        '<a href="index.html#top">',
        '<a href="./index.html?x=1">',
        '<a href="#">',
        '<a href="#/top">',
        '<a href="#/2">',
        '<a href="#/top/1">',
        '<a href="#/">',
        '<a href="https://out.example.org/x">',
        '<a href="mailto:a@b.c">',
        '<img src="data:,x">',
    ],
)
def test_good_references_are_good(tmp_path, good) -> None:
    assert _site(tmp_path, good).broken() == []


@pytest.mark.parametrize(
    "bad, said",
    [
        ('<a href="gone.html">', "gone.html: there is no such file"),
        ('<a href="#gone">', "index.html has no anchor #gone"),
        ('<a href="other.html#gone">', "other.html has no anchor #gone"),
        ('<a href="#/gone">', "has no anchor #/gone"),
        ('<a href="Other.html">', "Other.html: there is no such file"),
        ('<a href="../up.html">', "../up.html: there is no such file"),
        ('<a href="/index.html">', "starts at the server's root"),
        ('<img src="gone.png">', "gone.png: there is no such file"),
        ('<script src="gone.js"></script>', "gone.js: there is no such file"),
        ('<img srcset="a.css 1x, gone.png 2x" src="a.css">', "gone.png: there is no such file"),
        ('<section data-background-image="gone.jpg"></section>', "gone.jpg: there is no such"),
        ('<a href="ftp://x/y">', "ftp: is not known"),
    ],
)
def test_bad_references_are_named(tmp_path, bad, said) -> None:
    (found,) = _site(tmp_path, bad, other="<p>Other</p>").broken()
    assert said in found


def test_files_that_style_sheets_name_must_exist(tmp_path) -> None:
    site = _site(tmp_path, "", css="/* url(no.png) */ a { background: url('gone.svg') }")
    assert site.broken() == ["a.css: gone.svg: there is no such file"]


def test_a_folder_stands_for_its_index(tmp_path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/index.html").write_text("<p id=x>", encoding="utf-8")
    assert _site(tmp_path, '<a href="sub/#x"><a href="sub">').broken() == []


# --- texts ---------------------------------------------------------------------------------


@pytest.fixture
def texts(tmp_path) -> Path:
    """A repository of one Markdown text to be written, and one to be linked to."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "docs").mkdir()
    (tmp_path / "course.yml").write_text(
        "website:\n  repo-url: https://github.com/me/course\n", encoding="utf-8"
    )
    (tmp_path / "docs/b.md").write_text("# A heading, `code` & more\n## Twice\n## Twice\n", encoding="utf-8")
    # A new folder is somebody's own until git knows a file in it.
    subprocess.run(["git", "add", "docs"], cwd=tmp_path, check=True)
    return tmp_path


def _broken(texts: Path, markdown: str) -> list[str]:
    (texts / "a.md").write_text(markdown, encoding="utf-8")
    return links.markdown(texts).broken()


def test_links_of_texts_are_followed(texts) -> None:
    assert (
        _broken(
            texts,
            """
# Here
[one](docs/b.md) [two](docs/b.md#a-heading-code--more) [three](#here) [four](docs)
[five](docs/b.md#twice-1) [six](https://x.org) `[no](link)`
```
[code](gone.md)
```
""",
        )
        == []
    )


@pytest.mark.parametrize(
    "link, said",
    [
        ("docs/gone.md", "there is no such file"),
        ("docs/b.md#gone", "docs/b.md has no anchor #gone"),
        ("#gone", "a.md has no anchor #gone"),
        ("../outside.md", "there is no such file"),
    ],
)
def test_bad_links_of_texts_are_named(texts, link, said) -> None:
    (found,) = _broken(texts, f"See [this]({link}).")
    assert said in found and link in found


def test_addresses_in_texts_are_collected(texts) -> None:
    (texts / "c.bib").write_text("@misc{a, url = {https://b.org/x}, \n  doi = {10.1/y}\n}", encoding="utf-8")
    (texts / "a.md").write_text(
        "See <https://a.org/x>, [b](https://b.org/w_(film)), (https://c.org). http://localhost:8 "
        "https://example.org/x https://github.com/me/course/blob/main/a https://d.org/x#part.",
        encoding="utf-8",
    )
    used = links.external(texts)
    assert used == {
        "https://a.org/x": ["a.md"],
        "https://b.org/w_(film)": ["a.md"],
        "https://b.org/x": ["c.bib"],
        "https://c.org": ["a.md"],
        "https://d.org/x": ["a.md"],
        "https://doi.org/10.1/y": ["c.bib"],
    }


# --- asking, over a network of this machine's own ------------------------------------------


class _Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        code = {"/good": 200, "/gone": 404, "/shy": 403, "/moved": 301, "/broken": 500}[self.path]
        self.send_response(code)
        if code == 301:
            self.send_header("Location", "/good")
        self.end_headers()

    def log_message(self, *arguments) -> None:
        pass


@pytest.fixture(scope="module")
def server():
    """A web server on this machine; yields its address."""
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


@pytest.mark.parametrize(
    "path, verdict",
    [("/good", "there"), ("/moved", "there"), ("/gone", "gone"), ("/broken", "gone"), ("/shy", "shy")],
)
def test_answers_are_understood(server, path, verdict) -> None:
    assert links.ask(server + path, patience=10)[0] == verdict


def test_a_server_that_is_not_there_is_silent() -> None:
    assert links.ask("http://127.0.0.1:9/", patience=2)[0] == "silent"
    assert links.ask("https://no-such-host.invalid/", patience=2)[0] == "silent"


@pytest.fixture
def command(monkeypatch, tmp_path):
    """The command on a list of its own; `used` and the answers are given."""
    monkeypatch.setattr(links, "LIST", tmp_path / "external-links.toml")
    monkeypatch.setattr(links, "ROOT", tmp_path)
    monkeypatch.setattr(links, "repository_files", lambda root: [])
    (tmp_path / "_site").mkdir()
    _site(tmp_path / "_site", "")

    def run(used, answers, *arguments, listed=None):
        monkeypatch.setattr(links, "external", lambda *_: used)
        monkeypatch.setattr(links, "read_list", lambda: listed or {})
        monkeypatch.setattr(links, "ask", answers.get)
        return links.main(list(arguments))

    return run


def test_the_command_names_what_is_not_listed(command, capsys) -> None:
    assert command({"https://a.org": ["a.md"]}, {}) == 1
    assert "https://a.org: not in external-links.toml; in a.md" in capsys.readouterr().err


def test_the_command_names_what_is_gone(command, capsys) -> None:
    used = {"https://a.org": ["a.md"], "https://b.org": ["b.md"]}
    answers = {"https://a.org": ("gone", "404"), "https://b.org": ("there", "200")}
    day = {"listed": datetime.date(2026, 1, 1)}
    assert command(used, answers, "--network", listed={name: day for name in used}) == 1
    assert capsys.readouterr().err == "https://a.org: gone (404); in a.md\n"


def test_the_command_says_when_there_is_no_network(command, capsys) -> None:
    answers = {"https://a.org": ("silent", "no route")}
    assert command({"https://a.org": ["a.md"]}, answers, "--network") == 2
    assert "no network here" in capsys.readouterr().out


def test_the_command_notes_answers(command, tmp_path) -> None:
    old = {
        "https://a.org": {"listed": datetime.date(2026, 1, 1)},
        "https://unused.org": {"listed": datetime.date(2026, 1, 1)},
    }
    answers = {"https://a.org": ("there", "200")}
    assert command({"https://a.org": ["a.md"]}, answers, "--network", "--write", listed=old) == 0
    text = (tmp_path / "external-links.toml").read_text(encoding="utf-8")
    today = datetime.date.today().isoformat()
    assert text.endswith(f'"https://a.org" = {{ listed = 2026-01-01, answered = {today} }}\n')
    assert "unused" not in text

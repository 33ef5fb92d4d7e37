"""What is done to Quarto's pages afterwards, and both engines on the same sources."""

import os
import re
import shutil
import subprocess
import sys
import unicodedata

import pytest
import yaml

from render import engine, files
from render.finish import BOLD, even_maths, is_chinese
from render.project import Project
from render.quarto_post_render import main, mend, module_address
from tests.compare_sites import compare_pages, compare_sites, read_page
from tests.render_command import REPOSITORY, run_render

SCRIPT = REPOSITORY / "render" / "quarto_post_render.py"
FIXTURE = REPOSITORY / "tests" / "unit" / "render" / "site"

PAGE = """\
<!DOCTYPE html>
<html><head>
<link rel="stylesheet" href="styles/own.css">
<link rel="stylesheet" href="https://fonts.example/css?family=A">
<link rel="canonical" href="https://course.example/">
<script src="https://cdn.example/require.min.js" integrity="sha384-x" crossorigin></script>
<script src="//cdn.example/jquery.min.js" data-relocate-top="true"></script>
<script type="text/javascript">define('jquery', [],function() {return window.jQuery;})</script>
<script src="site_libs/nav.js"></script>
<script src="site_libs/html/main.js" type="module"></script>
<script src="site_libs/html/tabs/tabs.js" type="module"></script>
<script>const text = "<script src='https://in.example/text'>";</script>
</head><body>
<a href="https://course.example/">A link may lead anywhere</a> <!-- <script src="https://x"> -->
<pre><code>&lt;script src="https://example/code.js"&gt; 字</code></pre>
<p>Before</p>
<p>. . .</p>
<p>After</p>
</body></html>
"""
MAIN = """\
import * as tabs from "./tabs/tabs.js";
import { double as twice, LIMIT } from './numbers.js'
import "./tabs/tabs.js";

async function later() {
  await tabs.init();
}
window.result = twice(LIMIT);
tabs.init();
"""
TABS = """\
window.runs = (window.runs || 0) + 1;
export function init() {
  window.tabs = true;
}
"""
NUMBERS = """\
export const LIMIT = 21;
function times(n) { return 2 * n; }
export { times as double };
"""


@pytest.fixture
def page(tmp_path):
    """A page with everything that the script changes, and things that look alike."""
    folder = tmp_path / "site 字"
    scripts = {"main.js": MAIN, "tabs/tabs.js": TABS, "numbers.js": NUMBERS}
    for name, text in scripts.items():
        path = folder / "site_libs" / "html" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (folder / "_quarto.yml").write_text("project:\n  execute-dir: project\n", encoding="utf-8")
    path = folder / "page.html"
    path.write_bytes(PAGE.encode("utf-8"))
    return path


def post_render(folder, *names):
    """Run the script as Quarto does: with a list of files, in the project's folder."""
    variables = {name: value for name, value in os.environ.items() if "QUARTO" not in name}
    variables["QUARTO_PROJECT_OUTPUT_FILES"] = "\n".join(names)
    return subprocess.run(
        [sys.executable, str(SCRIPT)],
        cwd=folder,
        env=variables | {"LANG": "C"},
        capture_output=True,
        encoding="utf-8",
    )


def test_only_what_cannot_be_loaded_from_disk_is_changed(page):
    done = post_render(page.parent, "page.html", "data.json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    expected = PAGE
    for line in PAGE.splitlines(keepends=True):
        gone = ("fonts.example", "require.min", "jquery", ". . .")
        if any(each in line for each in gone):
            expected = expected.replace(line, "")
    for name in ("site_libs/html/main.js", "site_libs/html/tabs/tabs.js"):
        inside = f'<script type="module" src="{module_address(page.parent / name)}"></script>'
        expected = expected.replace(f'<script src="{name}" type="module"></script>', inside)
    expected = expected.replace("<pre>", '<pre tabindex="0">')
    assert page.read_bytes().decode("utf-8") == expected
    assert sorted(path.name for path in page.parent.rglob("*") if path.is_file()) == [
        "_quarto.yml",
        "main.js",
        "numbers.js",
        "page.html",
        "tabs.js",
    ]


def test_modules_run_once_and_in_time_in_a_page_from_disk(page, browser):
    ready = "document.addEventListener('DOMContentLoaded', () => { window.inTime = window.result; });"
    page.write_text(PAGE.replace("<head>", f"<head><script>{ready}</script>"), encoding="utf-8")
    assert post_render(page.parent, "page.html").returncode == 0
    shutil.rmtree(page.parent / "site_libs")
    tab = browser.new_page()
    problems = []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.goto(page.as_uri())
    assert tab.evaluate("[window.result, window.tabs, window.runs, window.inTime]") == [42, True, 1, 42]
    tab.close()
    assert problems == []


def test_cells_that_hold_chinese_say_so(tmp_path):
    table = (
        "<table><tr><th>\u5927</th><td class='a'>\u5927 \u72ac</td><td>Big \u5927</td><td>1</td>"
        "<td lang='zh'>\u5927</td><td><span lang='zh'>\u5927</span></td></tr></table>"
    )
    mended = mend(table, tmp_path / "page.html")
    assert mended == (table.replace("<th>", '<th lang="zh">').replace("<td class", '<td lang="zh" class'))
    assert mend(mended, tmp_path / "page.html") == mended
    assert is_chinese("\u5927 \u72ac")
    assert not is_chinese("Big \u5927") and not is_chinese("1")


def test_bold_maths_stays_bold():
    for code, upright in BOLD.items():
        name = unicodedata.name(chr(code)).replace("BOLD ITALIC", "BOLD")
        assert unicodedata.name(chr(upright)) == name
        old, new = (
            f'<math><mi mathvariant="{how}">{chr(each)}</mi></math>'
            for how, each in (("bold-italic", code), ("bold", upright))
        )
        assert even_maths(old) == new and even_maths(f"<p>{chr(code)}</p>") == f"<p>{chr(code)}</p>"


def test_a_second_run_writes_nothing(page):
    for ending in ("\n", "\r\n"):
        page.write_bytes(PAGE.replace("\n", ending).encode("utf-8"))
        assert post_render(page.parent, "page.html").returncode == 0
        before = {path: path.stat() for path in page.parent.rglob("*")}
        assert page.read_bytes().count(b"\r\n") == (page.read_bytes().count(b"\n") if ending == "\r\n" else 0)
        assert post_render(page.parent, "page.html").returncode == 0
        after = {path: path.stat() for path in page.parent.rglob("*")}
        assert {path: (each.st_ino, each.st_mtime_ns) for path, each in before.items()} == {
            path: (each.st_ino, each.st_mtime_ns) for path, each in after.items()
        }


@pytest.mark.parametrize(
    "content",
    [
        '<img src="https://far.example/a.png" alt="">',
        '<img data-src="//far.example/a.png" alt="">',
        '<iframe src="HTTPS://far.example/a.png"></iframe>',
        '<section data-background-image="http://far.example/a.png"></section>',
    ],
)
def test_content_from_another_host_is_an_error(page, content):
    page.write_text(f"<html><body>{content}</body></html>", encoding="utf-8")
    before = page.read_bytes()
    done = post_render(page.parent, "page.html")
    assert done.returncode == 1
    assert "page.html shows" in done.stderr and "far.example/a.png" in done.stderr
    assert page.read_bytes() == before


def test_a_full_disk_leaves_the_page_whole(page, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", str(page))

    monkeypatch.chdir(page.parent)
    monkeypatch.setattr(files.os, "replace", full)
    monkeypatch.setenv("QUARTO_PROJECT_OUTPUT_FILES", str(page))
    with pytest.raises(SystemExit, match="No space left"):
        main()
    assert page.read_bytes() == PAGE.encode("utf-8")
    assert not [path for path in page.parent.rglob(".*")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import * as tabs from 'tabs';\n", "imports 'tabs'"),
        ("import {\n  a,\n  b as c,\n} from './gone.js';\n", "gone.js"),
        ("export * from './gone.js';\n", "gone.js"),
        ("const a = import.meta.url;\n", "has 'import.meta'"),
        ("const a = await import('./numbers.js');\n", "has 'import('"),
    ],
)
def test_a_module_that_needs_its_place_is_left_out_and_named(page, text, reason):
    module = page.parent / "site_libs" / "html" / "main.js"
    module.write_text(text, encoding="utf-8")
    with pytest.raises((ValueError, OSError), match=re.escape(reason)):
        module_address(module)
    done = post_render(page.parent, "page.html")
    assert done.returncode == 0
    assert "page.html: site_libs/html/main.js is left out" in done.stderr
    assert reason in done.stderr
    assert b"main.js" not in page.read_bytes()


def test_the_project_names_the_script():
    config = yaml.safe_load((REPOSITORY / "_quarto.yml").read_text(encoding="utf-8"))
    assert REPOSITORY / config["project"]["post-render"] == SCRIPT


def test_only_our_own_pages_are_rendered():
    """In Quarto `lectures/*.qmd` holds in every folder, and so takes in the pages of tests."""
    pages = {path.relative_to(REPOSITORY).as_posix() for path in Project.load(REPOSITORY).pages()}
    assert pages == {"index.qmd", "glossary.qmd"} | {
        f"lectures/{path.name}" for path in (REPOSITORY / "lectures").glob("*.qmd")
    }


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["a.qmd", "lectures/*.qmd"], ["a.qmd", "deep/lectures/c.qmd", "lectures/b.qmd"]),
        (["/lectures/*.qmd"], ["lectures/b.qmd"]),
        (["*.qmd", "!deep/**"], ["a.qmd", "lectures/b.qmd"]),
        (["/*.qmd"], ["a.qmd"]),
        (None, ["a.qmd", "deep/lectures/c.qmd", "lectures/b.qmd"]),
    ],
)
def test_patterns_of_pages_mean_what_they_mean_in_quarto(tmp_path, patterns, expected):
    for name in ("a.qmd", "lectures/b.qmd", "deep/lectures/c.qmd", "_lectures/d.qmd"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("Text\n", encoding="utf-8")
    config = {"project": {"execute-dir": "project", "render": patterns}}
    (tmp_path / "_quarto.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    project = Project.load(tmp_path)
    assert [path.relative_to(project.root).as_posix() for path in project.pages()] == expected


# The comparison itself ----------------------------------------------------------------------

DECK = """\
<html><body><div class="reveal"><div class="slides">
<section id="title-slide"><h1 class="title">Deck</h1></section>
<section><section class="title-slide level1" id="s"><h1>Part</h1></section>
<section class="slide level2" id="a"><h2>One</h2>
<div class="cell"><div class="sourceCode"><pre><code><span>x = 1
</span></code></pre></div>
<div class="cell-output cell-output-stdout"><pre><code>7</code></pre></div></div>
<p>Some text.</p><img src="a.svg" alt="A line">
<table><tr><th>a</th></tr><tr><td>1</td></tr></table>
<div class="callout callout-note"><p>Mind this</p></div>
<div class="fragment"><p>Later</p></div>
<div class="footer"><p>Own</p></div><aside class="notes"><p>Say it</p></aside></section>
<section class="slide level2 smaller" id="b"><h2>Two</h2><p><a href="x.html">Link</a></p></section>
</section></div></div><div class="footer footer-default"><p>Usual</p></div></body></html>
"""
SVG = "<svg><dc:date>{}</dc:date><g id='p{}'><path d='M 0 {}'/></g></svg>"


def write_site(folder, deck=DECK, height=1, date="2026", number="0123456789"):
    folder.mkdir(parents=True)
    (folder / "index.html").write_text("<main><h1>Home</h1></main>", encoding="utf-8")
    (folder / "deck.html").write_text(deck, encoding="utf-8")
    (folder / "a.svg").write_text(SVG.format(date, number, height), encoding="utf-8")
    return folder


def test_a_deck_is_read_slide_by_slide(tmp_path):
    parts = read_page(write_site(tmp_path / "a") / "deck.html")
    assert [(part.title, part.level) for part in parts[:-1]] == [
        ("Deck", 1),
        ("Part", 1),
        ("One", 2),
        ("Two", 2),
    ]
    one = parts[2]
    assert one.code == ("x = 1",)
    assert one.outputs == ("7",)
    assert one.tables == ("a", "1")
    assert one.callouts == ("callout-note Mind this",)
    assert one.footers == ("Own",) and one.notes == ("Say it",)
    assert one.steps == 1 and len(one.figures) == 1
    assert parts[3].looks == ("smaller",) and parts[3].links == ("x.html",)
    assert parts[-1].footers == ("Usual",)


def test_what_differs_in_each_run_is_no_difference(tmp_path):
    one = write_site(tmp_path / "a")
    other = write_site(tmp_path / "b", DECK.replace("<p>Some", "\n <p> Some"), 1, "2027", "9876543210")
    assert compare_sites(one, other) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("Some text", "Some words", '"One", text'),
        ("x = 1", "x = 2", '"One", code'),
        (">7<", ">8<", '"One", outputs'),
        ('alt="A line"', 'alt="A curve"', '"One", figures'),
        ("<td>1", "<td>2", '"One", tables'),
        ("callout-note", "callout-tip", '"One", callouts'),
        ("Own", "Other", '"One", footers'),
        ("Say it", "Say so", '"One", notes'),
        ('class="fragment"', 'class="f"', '"One", steps'),
        ("smaller", "larger", '"Two", looks'),
        ("x.html", "y.html", '"Two", links'),
        ("x.html", "../x.html", '"Two", links'),
        ("x.html", "x.html#there", '"Two", links'),
        ("<h2>One", "<h2>Won", 'only A has part 3 "One"'),
        ("Usual", "Rare", '"the footer of every slide", footers'),
    ],
)
def test_each_kind_of_difference_is_found(tmp_path, old, new, expected):
    one = write_site(tmp_path / "a")
    other = write_site(tmp_path / "b", DECK.replace(old, new))
    problems = compare_pages(one / "deck.html", other / "deck.html")
    assert any(expected in problem for problem in problems), problems


@pytest.mark.parametrize("way", ["./x.html", "../a/../{}/x.html", "../{}/x.html"])
def test_two_ways_to_one_page_are_no_difference(tmp_path, way):
    one = write_site(tmp_path / "one" / "folder")
    other = write_site(tmp_path / "other" / "folder", DECK.replace("x.html", way.format("folder")))
    assert compare_pages(one / "deck.html", other / "deck.html") == []


def test_another_drawing_another_order_and_missing_pages_are_found(tmp_path):
    one = write_site(tmp_path / "a")
    other = write_site(tmp_path / "b", height=2)
    assert ['"One", figures' in problem for problem in compare_sites(one, other)] == [True]
    (other / "deck.html").unlink()
    assert compare_sites(one, other) == ["only A has deck.html"]
    start, end = DECK.index('<section class="slide level2" id="a">'), DECK.index("</section></div>")
    swapped = DECK[:start] + "<section class='slide'><h2>Two</h2></section>" + DECK[start:end]
    (other / "deck.html").write_text(swapped, encoding="utf-8")
    assert any("only B has part 3" in each for each in compare_sites(one, other))


# Both engines -------------------------------------------------------------------------------


def need_quarto():
    """Skip where Quarto is not installed; a Quarto that does not run is a failure."""
    program = shutil.which("quarto")
    if program is None:
        pytest.skip("Quarto is optional, and there is no `quarto` on the PATH")
    version = engine.quarto_version(program)
    assert version is not None, f"{program} does not run"
    if version < engine.LEAST_VERSION:
        pytest.skip(f"Quarto {version} is older than {engine.LEAST_VERSION}, so it is never used")


def test_both_engines_make_the_same_site(tmp_path):
    need_quarto()
    sites = []
    for name in ("quarto", "pip"):
        folder = tmp_path / f"{name} 字"
        shutil.copytree(FIXTURE, folder)
        shutil.copytree(
            REPOSITORY / "render", folder / "render", ignore=shutil.ignore_patterns("__pycache__")
        )
        config = folder / "_quarto.yml"
        text = config.read_text(encoding="utf-8")
        hooks = "".join(f"  {each}-render: render/quarto_{each}_render.py\n" for each in ("pre", "post"))
        text = text.replace("  type: website\n", f"  type: website\n{hooks}")
        text = text.replace("execute:\n", "execute:\n  freeze: auto\n")
        # The style that a page has without `csl` is another one in each pandoc.
        shutil.copy(REPOSITORY / "assets" / "styles" / "author-date.csl", folder)
        config.write_text(f"{text}csl: author-date.csl\n", encoding="utf-8")
        done = run_render(folder, "--engine", name)
        assert done.returncode == 0, done.stderr.decode("utf-8")
        sites.append(folder / "_site")
        output = done.stdout.decode("utf-8")
        assert ("Quarto" in output) == (name == "quarto")
        # The pages that Quarto did not execute itself, but got from the renderer.
        assert output.count(", executed") == 1 and b"Cell 1/" not in done.stdout + done.stderr
    assert compare_sites(*sites) == []
    assert len(read_page(sites[0] / "lectures" / "01-features.slides.html")) > 20

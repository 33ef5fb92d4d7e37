"""What the renderer refuses, and that each refusal names file and line."""

from pathlib import Path

import pytest

from render.cells import Assembled
from render.check import check_document, check_outputs
from render.finish import is_remote
from render.page import job
from render.project import Project
from render.qmd import RenderError, parse
from render.site import Site, local_path
from tests.render_command import FORMATS

CONFIG = (
    """\
project:
  type: website
  execute-dir: project
fig-format: svg
"""
    + FORMATS
)


def project_with(folder: Path, page: str, config: str = CONFIG) -> Project:
    (folder / "_quarto.yml").write_text(config, encoding="utf-8")
    (folder / "page.qmd").write_text(page, encoding="utf-8")
    return Project.load(folder)


def check(folder: Path, page: str) -> None:
    project = project_with(folder, page)
    document = parse(folder / "page.qmd", project.root)
    for each in project.formats(document):
        job(project, document, each, Assembled([], [], {}))
    check_document(document)
    document.check()


def cell(option: str, code: str = "1") -> str:
    return f"```{{python}}\n#| {option}\n{code}\n```\n"


def under(name: str, setting: str) -> str:
    return f"---\nformat:\n  {name}:\n    {setting}\n---\n"


# What Quarto knows and the renderer leaves to it, each with the line and a word of its refusal.
REFUSED = [
    ("text\n\n" + cell("fig-magic: 3"), 4, "'fig-magic'"),
    *((cell(f"{name}: 3"), 2, f"'{name}'") for name in ("layout-ncol", "fig-subcap", "tbl-cap", "fig-align")),
    *((cell(f"{name}: 3"), 2, f"'{name}'") for name in ("code-overflow", "fig-link", "cap-location")),
    (cell("fig-width: 3"), 2, "figsize"),
    (cell("classes: column-margin"), 2, "'column-margin'"),
    (cell("echo: fenced"), 2, "true or false"),
    (cell("eval: [1]"), 2, "true or false"),
    (cell("output-location: below"), 2, "fragment"),
    *((cell(f"label: {name}"), 2, f"'{name}'") for name in ("fig-line", "tbl-frame", "lst-code")),
    *((cell(f"label: {name}"), 2, f"'{name}'") for name in ("my plot", "50%", "a:b", "cell-2")),
    (cell("label: a") + "\n" + cell("label: a", "2"), 7, "used twice"),
    (cell("echo: ["), 2, "YAML"),
    ("a\n\n::: {.callout-danger}\nx\n:::\n", 3, "'callout-danger'"),
    ("a\n\n::: theorem\nx\n:::\n", 3, "'theorem'"),
    ("a\n\n::: {.panel-sidebar}\nx\n:::\n", 3, "'panel-sidebar'"),
    ("::: {layout-nrow=2}\nx\n:::\n", 1, "'layout-nrow'"),
    ('::: {.callout-note appearance="simple"}\nx\n:::\n', 1, "'appearance'"),
    ("::: {.callout-note collapse=maybe}\nx\n:::\n", 1, "true, false"),
    ("## Title {.column-page}\n", 1, "'column-page'"),
    ("## Title {menu-title=x}\n", 1, "'menu-title'"),
    ("Some [words]{.lightbox} here\n", 1, "'lightbox'"),
    ('![](x.png){fig-align="left"}\n', 1, "'fig-align'"),
    ("![A](x.png){#fig-x}\n", 1, "'fig-x'"),
    ("a\n\n: Caption {#tbl-x}\n", 3, "'tbl-x'"),
    ("$$\nx\n$$ {#eq-mean}\n", 3, "'eq-mean'"),
    ("a\n\nSee @fig-x and\n", 3, "@fig-x"),
    ("See [@sec-code; @known].\n", 1, "@sec-code"),
    ('```{.python filename="a.py"}\nx\n```\n', 1, "'filename'"),
    ('::: {.content-visible when-profile="x"}\nx\n:::\n', 1, "'when-profile'"),
    ('::: {.content-visible when-format="htlm"}\nx\n:::\n', 1, "'htlm'"),
    *((f"a\n{{{{< {name} x >}}}}\n", 2, f"'{name}'") for name in ("meta", "pagebreak", "lipsum", "kbd")),
    ("a\n\n{{< include gone.qmd >}}\n", 3, "'gone.qmd'"),
    ("a\n\n{{< include page.qmd >}}\n", 3, "includes itself"),
    (cell("echo: true", "y = '{{< meta title >}}'"), 3, "shortcodes"),
    # Quarto fills these in where code is shown, too.
    ("Text and `{{< meta x >}}`\n", 1, "'meta'"),
    ("a\n\n```\n{{< video x.mp4 >}}\n```\n", 4, "'video'"),
    ("<!-- {{< meta x >}} -->\n\n{{< include part.qmd >}} in text\n", 3, "'include'"),
    # pandoc would drop the last cell of each.
    ("| a | b |\n|---|---|\n| `x|y` | $|z|$ |\n| 1 \\| 2 | 3 | 4 |\n", 4, "more cells"),
    ("> | a | b | c |\n> |---|:-:|\n> | 1 | 2 |\n", 1, "more cells"),
    ("a | b\n--|--\n1 | 2 | 3\n", 3, "more cells"),
    ("```{=typst}\nx\n```\n", 1, "'typst'"),
    ("```{r}\n1\n```\n", 1, "'r'"),
    ("```{python echo=FALSE}\n1\n```\n", 1, "braces"),
    ("a\n\n```{python}\n1\n", 3, "never closed"),
    ("---\ntitle: x\nmystery: 1\n---\n", 3, "'mystery'"),
    ("---\ntitle: x\ntitle: y\n---\n", 3, "twice"),
    ("---\ntitle: x\n", 1, "not closed"),
    ("---\nformat:\n  docx: default\n---\n", 3, "'docx'"),
    ("---\ntitle: x\nexecute:\n  cache: true\n---\n", 4, "cache"),
    ("---\nexecute:\n  echo: fenced\n---\n", 3, "fenced"),
    ("---\nwebsite:\n  title: x\n---\n", 2, "_quarto.yml"),
    ("---\nauthor:\n  - name: x\n---\n", 2, "list of texts"),
    ("---\ncss: gone.css\n---\n", 2, "'gone.css'"),
    ("---\nnumber-sections: true\n---\n", 2, "number-sections"),
    ("---\ntheme: [white, own.scss]\n---\n", 2, "theme"),
    ("---\ndate-format: iso\n---\n", 2, "'date-format'"),
    (under("html", "fancy-toc: true"), 4, "'fancy-toc'"),
    (under("revealjs", "chalkboard: true"), 4, "'chalkboard'"),
    (under("revealjs", "auto-stretch: true"), 4, "auto-stretch"),
    (under("revealjs", "logo: a.png"), 4, "'logo'"),
]


# Values of another kind than their setting has: where they may stand, and what they must be.
NUMBERS = ("fig-width", "fig-height", "fig-dpi", "toc-depth", "slide-level")
KINDS = [
    *((name, value, "a") for name in NUMBERS for value in ("wide", "true", "-1", "[1, 2]", "{a: 1}", "")),
    *((name, value, "true or false") for name in ("toc", "incremental") for value in ("sure", "1", "[true]")),
    *(
        (name, value, "a text")
        for name in ("title", "date", "lang", "output-ext")
        for value in ("[a]", "{a: b}")
    ),
    *((name, value, "texts") for name in ("author", "css", "bibliography") for value in ("{a: b}", "[[a]]")),
    ("code-fold", "maybe", "true, false, show"),
    ("code-summary", "[a]", "a text"),
    ("execute", "[echo]", "key: value"),
    ("execute", "{echo: loud}", "true or false"),
    ("format", "[html, pdf]", "html"),
    ("format", "{html: wide}", "key: value"),
    ("format", "{html: {toc: deep}}", "true or false"),
    ("format", "{revealjs: {width: wide}}", "100%"),
]


@pytest.mark.parametrize(("name", "value", "known"), KINDS)
def test_a_value_of_another_kind_is_refused_with_its_line(tmp_path, name, value, known):
    with pytest.raises(RenderError) as caught:
        check(tmp_path, f"---\nsubtitle: x\n{name}: {value}\n---\n")
    assert str(caught.value).startswith("page.qmd:3: ") and known in str(caught.value), str(caught.value)
    rest = CONFIG[: CONFIG.index("\nformat:") + 1] if name == "format" else CONFIG
    with pytest.raises(RenderError) as caught:
        project_with(tmp_path, "x\n", f"{name}: {value}\n{rest}")
    assert str(caught.value).startswith("_quarto.yml:1: ") and known in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    "option",
    [
        "label: [a]",
        "fig-cap: {a: b}",
        "fig-alt: [[a]]",
        "classes: {a: b}",
        "code-summary: [a]",
        "code-fold: 3",
    ],
)
def test_an_option_of_another_kind_is_refused_with_its_line(tmp_path, option):
    with pytest.raises(RenderError, match=rf"^page.qmd:2: cell 1.*`{option.split(':')[0]}` must be"):
        check(tmp_path, cell(option))


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ("website: [a]\n", "website"),
        ("website:\n  navbar: top\n", "navbar"),
        ("website:\n  navbar:\n    left: [a]\n", "left"),
        ("website:\n  title: [a]\n", "title"),
        ("project: website\n", "project"),
        ("minutes: 3\n", "minutes"),
    ],
)
def test_a_section_of_another_kind_is_refused(tmp_path, config, named):
    rest = CONFIG if "project" not in config else CONFIG[CONFIG.index("fig-format") :]
    with pytest.raises(RenderError, match=rf"^_quarto.yml:\d: .*{named}"):
        project_with(tmp_path, "x\n", config + rest)


@pytest.mark.parametrize(("page", "line", "named"), REFUSED)
def test_unknown_feature_names_file_and_line(tmp_path, page, line, named):
    with pytest.raises(RenderError) as caught:
        check(tmp_path, page)
    message = str(caught.value)
    assert message.startswith(f"page.qmd:{line}: "), message
    assert named in message


@pytest.mark.parametrize(
    ("config", "line", "named"),
    [
        ("project:\n  type: website\n", 1, "execute-dir"),
        (CONFIG + "lightness: 3\n", 11, "'lightness'"),
        (CONFIG + "website:\n  navbar:\n    left:\n      - colour: red\n", 14, "'colour'"),
        (CONFIG + "website:\n  sidebar: true\n", 12, "'sidebar'"),
        (CONFIG.replace("mathml", "mathjax"), 7, "mathml"),
        (CONFIG + "  pdf: default\n", 11, "'pdf'"),
    ],
)
def test_unknown_setting_of_the_project(tmp_path, config, line, named):
    with pytest.raises(RenderError) as caught:
        project_with(tmp_path, "x\n", config)
    assert str(caught.value).startswith(f"_quarto.yml:{line}: "), str(caught.value)
    assert named in str(caught.value)


@pytest.mark.parametrize("said", ["fig-format: svg", "auto-stretch: false"])
def test_what_quarto_does_otherwise_by_default_must_be_said(tmp_path, said):
    project = project_with(tmp_path, "x\n", CONFIG.replace(said, "toc: false"))
    with pytest.raises(RenderError, match=f"^_quarto.yml:.*{said}"):
        project.formats(parse(tmp_path / "page.qmd", project.root))


@pytest.mark.parametrize(
    "page",
    [
        "Code such as `{.lightbox}`, `@fig-x` and `{{{< meta x >}}}` is only shown.\n",
        "<!-- a comment, {.lightbox} in it,\nand {{< meta x >}} -->\n",
        "## Title {.fancy visibility=hidden auto-animate=true}\n",
        "[words]{.odd} ::: {.nowhere}\n",
        "Code `over\nlines {.lightbox}` and $a\n@fig-x$.\n",
        "Write to a@fig-tree.org.\n",
        cell("eval: false") + cell("label: line", "2"),
        "---\ndate: today\nauthor: [A, B]\n---\n",
        "[^1] and text.^[A note.]\n\n[^1]: Note\n",
        '::: {.callout-tip collapse="true"}\n## T\nx\n:::\n',
        "```python\n::: {.lightbox}\n{{{< meta x >}}}\n```\n",
        "Math $x_{a=b}$ and a set {1, 2}.\n",
        '## T {.smaller background-color="#fff"}\n',
        "::: {.fragment .fade-in fragment-index=1}\nx\n:::\n",
        "[字]{lang=zh} and [x]{.ours}\n",
        "`raw`{=html}\n",
        ": Caption {#x .ours}\n",
        ':::: {.columns}\n::: {.column width="50%"}\nx\n:::\n::::\n',
    ],
)
def test_known_features_pass(tmp_path, page):
    check(tmp_path, page)


def test_all_is_refused_at_once(tmp_path):
    page = (
        "---\nmystery: 1\nnumber-sections: true\n---\n\n## T {.lightbox}\n\n"
        + cell("layout-ncol: 2")
        + "\n"
        + cell("echo: [")
        + "\n```{r}\n1\n```\n"
    )
    project = project_with(tmp_path, page)
    with pytest.raises(RenderError) as caught:
        Site(project).load(tmp_path / "page.qmd")
    told = caught.value.told()
    assert [each.split(" ")[0] for each in told] == [f"page.qmd:{n}:" for n in (2, 3, 6, 9, 14, 18)]


def test_an_included_file_is_read_in_its_place_and_named(tmp_path):
    (tmp_path / "_part.qmd").write_text("In the part.\n\n" + cell("layout-ncol: 2"), encoding="utf-8")
    project = project_with(tmp_path, "Before.\n\n{{< include _part.qmd >}}\n\n## T {.lightbox}\n")
    document = parse(tmp_path / "page.qmd", project.root)
    assert [line.text for line in document.markdown_lines[:3]] == ["Before.", "", "In the part."]
    check_document(document)
    with pytest.raises(RenderError) as caught:
        document.check()
    assert [each.split(" ")[0] for each in caught.value.told()] == ["_part.qmd:4:", "page.qmd:5:"]


def test_an_include_is_read_everywhere_and_its_name_is_relative_to_the_page(tmp_path):
    """As Quarto has it: inside of code, cells and other included files, with an empty line after it."""
    for name, text in (
        ("parts/a.qmd", "A.\n\n{{< include parts/b.py >}}\n"),
        ("parts/b.py", "b = 1\n1 / 0\n"),
    ):
        (tmp_path / "parts").mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    page = "{{< include parts/a.qmd >}}\n```\n{{< include parts/b.py >}}\n```\n" + cell(
        "echo: true", "{{< include parts/b.py >}}"
    )
    project = project_with(tmp_path, page)
    document = parse(tmp_path / "page.qmd", project.root)
    lines = [line.text for line in document.markdown_lines]
    assert lines == ["A.", "", "b = 1", "1 / 0", "", "", "```", "b = 1", "1 / 0", "", "```", ""]
    found = document.cells[0]
    assert found.source == "b = 1\n1 / 0"
    assert str(document.problem("x", found.numbers[1])) == "parts/b.py:2: x"


def test_what_lies_elsewhere():
    for address in (
        "https://a.b/c",
        " HTTP://a.b",
        "//a.b/c",
        "\n//a",
        "mailto:a@b.c",
        "file:///a.png",
        "blob:x",
    ):
        assert is_remote(address), address
    for address in (
        "a.png",
        "/a.png",
        "a/b:c.png",
        "#here",
        "?q=1",
        "data:image/png;base64,AA",
        " Data:,x",
        "",
    ):
        assert not is_remote(address), address
    assert local_path(" ../x%20y.png#z", "a/b.html") == "x y.png"
    assert local_path("data:,x", "a.html") is local_path("#x", "a.html") is None


def test_text_that_is_not_utf8(tmp_path):
    project_with(tmp_path, "x\n")
    (tmp_path / "page.qmd").write_bytes("a\nNaïve\n".encode("latin-1"))
    with pytest.raises(RenderError, match=r"^page.qmd:2: .*UTF-8"):
        parse(tmp_path / "page.qmd", tmp_path)


def test_windows_line_ends_and_byte_order_mark(tmp_path):
    project_with(tmp_path, "x\n")
    (tmp_path / "page.qmd").write_bytes(
        b"\xef\xbb\xbf---\r\ntitle: T\r\n---\r\n\r\n```{python}\r\n#| echo: false\r\n1\r\n```\r\n"
    )
    document = parse(tmp_path / "page.qmd", tmp_path)
    assert document.front == {"title": "T"}
    assert document.cells[0].source == "1" and document.cells[0].options == {"echo": False}


def test_cells_keep_their_lines_and_options(tmp_path):
    project_with(tmp_path, "x\n")
    page = "---\ntitle: T\n---\n\n- item\n\n  ```{python}\n  # | label: a\n\n  y = 1\n  ```\n"
    (tmp_path / "page.qmd").write_text(page, encoding="utf-8")
    found = parse(tmp_path / "page.qmd", tmp_path).cells[0]
    assert (found.line, found.numbers, found.source, found.indent) == (7, [10], "y = 1", "  ")
    assert found.name == "cell 1 (a)" and found.places == {"label": 8}


def test_yaml_is_read_as_quarto_reads_it(tmp_path):
    project_with(
        tmp_path, "---\nsubtitle: 10:30\ndate: 2026-11-22\ntoc-depth: 2\ntitle: on\nlang: 1e3\n---\n"
    )
    front = parse(tmp_path / "page.qmd", tmp_path).front
    assert front == {"subtitle": "10:30", "date": "2026-11-22", "toc-depth": 2, "title": "on", "lang": 1000.0}


def test_unknown_feature_in_the_markdown_that_a_cell_wrote(tmp_path):
    page = "x\n\n```{python}\n#| output: asis\nprint(text)\n```\n"
    project = project_with(tmp_path, page)
    document = parse(tmp_path / "page.qmd", project.root)

    def written(text):
        output = {"output_type": "stream", "name": "stdout", "text": text}
        return {"cells": [{"metadata": {"block": 1}, "outputs": [output]}]}

    check_outputs(document, written("[x]{.ours}\n\n```\n[x]{.lightbox}\n```\n"))
    document.check()
    check_outputs(document, written("a\n\n[x]{.lightbox}\n"))
    with pytest.raises(RenderError, match=r"^page.qmd:3: .*'lightbox'"):
        document.check()

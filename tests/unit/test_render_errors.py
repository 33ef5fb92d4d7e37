"""What the renderer refuses, and that each refusal names file and line."""

import io
import re
from pathlib import Path

import pytest
from PIL import Image

from render.assemble import _half_size
from render.check import check_document, check_outputs, classes_of
from render.errors import RenderError
from render.execute import Node
from render.project import Project
from render.qmd import parse

CONFIG = """\
project:
  type: website
  execute-dir: project
format:
  html:
    html-math-method: mathml
  revealjs:
    output-ext: slides.html
"""


def project_with(folder: Path, page: str, config: str = CONFIG) -> Project:
    (folder / "_quarto.yml").write_text(config, encoding="utf-8")
    (folder / "page.qmd").write_text(page, encoding="utf-8")
    return Project.load(folder)


def check(folder: Path, page: str, classes: set = frozenset()) -> None:
    project = project_with(folder, page)
    document = parse(folder / "page.qmd", project.root)
    project.formats(document)
    check_document(document, set(classes))


@pytest.mark.parametrize(
    ("page", "line", "named"),
    [
        ("text\n\n```{python}\n#| echo: true\n#| fig-magic: 3\n1\n```\n", 5, "'fig-magic'"),
        ("```{python}\n#| fig-width: 3\n1\n```\n", 2, "figsize"),
        ("```{python}\n#| classes: nowhere\n1\n```\n", 2, "'nowhere'"),
        ("a\n\n::: {.callout-danger}\nx\n:::\n", 3, "'callout-danger'"),
        ("a\n\n::: theorem\nx\n:::\n", 3, "'theorem'"),
        ("## Title {.fancy}\n", 1, "'fancy'"),
        ("## Title {auto-play=3}\n", 1, "'auto-play'"),
        ("Some [words]{.odd} here\n", 1, "'odd'"),
        ('![](x.png){loading="lazy"}\n', 1, "'loading'"),
        ('::: {.content-visible when-profile="x"}\nx\n:::\n', 1, "'when-profile'"),
        ('::: {.content-visible when-format="beamer"}\nx\n:::\n', 1, "'beamer'"),
        ("a\n{{< video film.mp4 >}}\n", 2, "'video'"),
        ("a\n\nsee {{< include other.qmd >}} there\n", 3, "include"),
        ("```{python}\nx = 1\ny = '{{< meta title >}}'\n```\n", 3, "shortcodes in code"),
        ("```{=typst}\nx\n```\n", 1, "'typst'"),
        ("```{r}\n1\n```\n", 1, "'r'"),
        ("```{python echo=FALSE}\n1\n```\n", 1, "braces"),
        ("a\n\n```{python}\n1\n", 3, "never closed"),
        ("```{python}\n#| echo: [\n1\n```\n", 2, "YAML"),
        ("```{python}\n#| label: a\n1\n```\n\n```{python}\n#| label: a\n2\n```\n", 7, "used twice"),
        ("---\ntitle: x\nmystery: 1\n---\n", 3, "'mystery'"),
        ("---\ntitle: x\nformat:\n  html:\n    fancy-toc: true\n---\n", 5, "'fancy-toc'"),
        ("---\nformat:\n  docx: default\n---\n", 3, "'docx'"),
        ("---\nformat:\n  revealjs:\n    chalkboard: true\n---\n", 4, "chalkboard"),
        ("---\ntitle: x\nexecute:\n  cache: true\n---\n", 4, "cache"),
        ("---\ntitle: x\ntitle: y\n---\n", 3, "twice"),
        ("---\ntitle: x\n", 1, "not closed"),
    ],
)
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
        (CONFIG + "lightness: 3\n", 9, "'lightness'"),
        (CONFIG + "website:\n  navbar:\n    left:\n      - colour: red\n", 12, "'colour'"),
        (CONFIG.replace("mathml", "mathjax"), 6, "mathml"),
        (CONFIG + "  pdf: default\n", 9, "'pdf'"),
    ],
)
def test_unknown_setting_of_the_project(tmp_path, config, line, named):
    with pytest.raises(RenderError) as caught:
        project_with(tmp_path, "x\n", config)
    assert str(caught.value).startswith(f"_quarto.yml:{line}: "), str(caught.value)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    "page",
    [
        "Code such as `{.odd}` and `{{< video x >}}` is only shown.\n",
        "```python\n::: {.odd}\n{{< video x >}}\n```\n",
        "Math $x_{a=b}$ and a set {1, 2}.\n",
        '## T {.smaller background-color="#fff" visibility=hidden}\n',
        "::: {.fragment .fade-in fragment-index=1}\nx\n:::\n",
        "[字]{lang=zh} and [x]{.ours}\n",
        "`raw`{=html}\n",
        ": Caption {#tbl-x .ours}\n",
        ':::: {.columns}\n::: {.column width="50%"}\nx\n:::\n::::\n',
    ],
)
def test_known_features_pass(tmp_path, page):
    check(tmp_path, page, {"ours"})


def test_classes_come_from_style_sheets_and_their_imports(tmp_path):
    (tmp_path / "a.css").write_text(
        '@import "b.css";\n/* .not-this */\n.plan td, p.wide { margin: 0.5em; }\n'
        "@media print { .only-print { color: red } }\n",
        encoding="utf-8",
    )
    (tmp_path / "b.css").write_text(".imported { color: blue }\n", encoding="utf-8")
    assert classes_of([tmp_path / "a.css"]) == {"plan", "wide", "only-print", "imported"}


def test_missing_and_circular_includes(tmp_path):
    with pytest.raises(RenderError, match=r"^page.qmd:3: the included file 'gone.qmd'"):
        check(tmp_path, "a\n\n{{< include gone.qmd >}}\n")
    (tmp_path / "_part.qmd").write_text("x\n\n{{< include _part.qmd >}}\n", encoding="utf-8")
    with pytest.raises(RenderError, match=r"^_part.qmd:3: .*includes itself"):
        check(tmp_path, "{{< include _part.qmd >}}\n")


def test_problem_inside_an_include_names_the_included_line(tmp_path):
    (tmp_path / "_part.qmd").write_text("fine\n\n[x]{.odd}\n", encoding="utf-8")
    with pytest.raises(RenderError, match=r"^_part.qmd:3: the class 'odd'"):
        check(tmp_path, "a\n\n{{< include _part.qmd >}}\n")


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
    page = "---\ntitle: T\n---\n\n- item\n\n  ```{python}\n  #| label: a\n\n  y = 1\n  ```\n"
    (tmp_path / "page.qmd").write_text(page, encoding="utf-8")
    cell = parse(tmp_path / "page.qmd", tmp_path).cells[0]
    assert (cell.line, cell.code_line, cell.source, cell.indent) == (7, 10, "y = 1", "  ")
    assert cell.name == "cell 1 (a)" and re.search("label", cell.option_lines[0])


def test_unknown_feature_in_the_markdown_that_a_cell_wrote(tmp_path):
    page = "x\n\n```{python}\n#| output: asis\nprint(text)\n```\n"
    project = project_with(tmp_path, page)
    document = parse(tmp_path / "page.qmd", project.root)

    def written(text):
        output = {"output_type": "stream", "name": "stdout", "text": text}
        return Node.of({"cells": [{"metadata": {"block": 1}, "outputs": [output]}]})

    check_outputs(document, written("[x]{.ours}\n\n```\n[x]{.odd}\n```\n"), {"ours"})
    with pytest.raises(RenderError, match=r"^page.qmd:3: the class 'odd'"):
        check_outputs(document, written("a\n\n[x]{.odd}\n"), {"ours"})


def test_figures_of_double_resolution_are_shown_at_half_size():
    def png(**options):
        file = io.BytesIO()
        Image.new("L", (301, 200)).save(file, "PNG", **options)
        return file.getvalue()

    assert _half_size(png(dpi=(192, 192)), 96) == (150, 100)
    assert _half_size(png(dpi=(96, 96)), 96) == (None, None)
    assert _half_size(png(), 96) == (None, None)

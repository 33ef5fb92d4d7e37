"""What stands in the source stands on the page, or is told with its line."""

import re

import pytest
from bs4 import BeautifulSoup

from render.__main__ import main
from render.cells import inline_markdown, terminal_text
from tests.render_command import FORMATS

CONFIG = (
    """\
project:
  type: website
  execute-dir: project
  render: ["*.qmd"]
execute:
  echo: false
fig-format: svg
bibliography: references.bib
"""
    + FORMATS
)

# An inline expression and what the reader sees.
INLINE = {
    r"'a\\b'": r"a\b",
    r"""'it\'s "x"'""": 'it\'s "x"',
    "'$5 to 10$'": "$5 to 10$",
    "'a~b~ c^d^'": "a~b~ c^d^",
    "'@key [@key] #x'": "@key [@key] #x",
    "'p|q'": "p|q",
    "'*a* _b_ **c**'": "*a* _b_ **c**",
    "'<b>x</b> &amp; {.c}'": "<b>x</b> &amp; {.c}",
    "'1. one -- two ... three'": "1. one -- two ... three",
    "'[a](b) ![c](d)'": "[a](b) ![c](d)",
    "'{{< meta x >}}'": "{{< meta x >}}",
    "'a\\nb'": "a b",
    "__import__('numpy').float64(2.5)": "2.5",
    "__import__('numpy').array(3)": "3",
    "__import__('numpy').bool_(True)": "True",
    "3": "3",
    "-0.5": "-0.5",
    "None": "None",
    "type('Layer', (), {'__repr__': lambda self: '<Dense name=dense>'})()": "<Dense name=dense>",
    "[1, 'a_b_']": "[1, 'a_b_']",
    "__import__('IPython').display.Markdown('**bold**')": "bold",
    "__import__('IPython').display.HTML('<i>slanted</i>')": "slanted",
}

# Inline results where other signs mean something than in text, each with what the reader sees.
PLACES = r"""---
title: Places
---

```{python}
import numpy as np
from IPython.display import Latex, Markdown
x, sign, text, many = 3.5, -2, r'a_b$c^d\e{f}%&#~', 12
```

- `{python} '- x'`

| where | shown |
|---|---|
| number | $x = `{python} x`$ |
| as text | $x = `{python} f"{x:.2f}"`$ |
| power | $a^`{python} many`$ |
| small | $v = `{python} 1e-7`$ |
| words | $\text{of `{python} text`}$ |
| alone | $y = `{python} text`$ |
| TeX | $z = `{python} Markdown(r"\frac{1}{2}")`$ |
| formula | $z = `{python} Latex(r"$\displaystyle \beta$")`$ |
| code | `` `{python} text` `` |
| tag | <span title="`{python} '<"b">'`">here</span> |
| bars | `{python} 'p|q'` |

$$
s = `{python} sign` + \text{`{python} text`}
$$

::: {.callout-note title="Title `{python} text` and `{python} 'say *"hi"* @key'`"}
`{python} text`
:::

![Caption `{python} text`](dot.png){fig-alt="Alt `{python} text`"}

[Link `{python} text`](places.qmd){title="On `{python} text`"}

## Heading `{python} '*a* ' + text` {.unlisted}
"""
SHOWN = r"a_b$c^d\e{f}%&#~"

OUTPUTS = """
## Overwritten

```{python}
print("epoch", end="\\r")
```

## Links and colours

```{python}
print("\\x1b]8;;https://example.org\\x1b\\\\here\\x1b]8;;\\x1b\\\\ \\x1b[31mred\\x1b[0m")
```

## Moving pictures

```{python}
import base64
from IPython.display import Image
dot = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
Image(base64.b64decode(dot), format="gif", alt="A dot")
```

## Right after text

Some text:
```{python}
print("below the text")
```

## Only shown

```{{python}}
1 + 1
```

## Side by side

::: {layout-ncol=2}
First.

Second.
:::

{{< include _part.qmd >}}

## Film

{{< video film.mp4 title="A film" >}}

::: {.note-of-mine}
A class of the author's own.
:::

## The end {.appendix}

In the appendix, $\\boldsymbol{\\beta}$.
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The HTML of some pages by their names, rendered at once."""
    folder = tmp_path_factory.mktemp("faithful")
    lines = [f"Value {n}: `{{python}} {code}` end.\n" for n, code in enumerate(INLINE)]
    table = "\n| a | b |\n|---|---|\n"
    table += "| `{python} 'p|q'` | kept |\n\n- `{python} 7`. in a list\n\n`{python} 2024`. was a year.\n"
    texts = {
        "_quarto.yml": CONFIG,
        "inline.qmd": "\n".join(lines) + table,
        "outputs.qmd": "---\ntitle: T\n---\n" + OUTPUTS,
        "_part.qmd": "## From a part\n\nPart of it.\n",
        "film.mp4": "film",
        "places.qmd": PLACES,
        "dot.png": "dot",
        "references.bib": "",
        "off.qmd": "---\nexecute:\n  enabled: false\n---\n\n```{python}\n#| echo: true\n1 / 0\n```\n",
    }
    for language in ("de", "fr", "nl"):
        head = (
            f"---\ntitle: T\nlang: {language}\ndate: 2026-11-22\nauthor: [A, B]\ninstitute: [U, V]\n---\n\n"
        )
        texts[f"{language}.qmd"] = head + "::: {.callout-note}\nx\n:::\n"
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["--engine", "pip"]) == 0
    found = (folder / "_site").glob("*.html")
    return {path.name: BeautifulSoup(path.read_text(encoding="utf-8"), "lxml") for path in found}


def section(page, title):
    heading = next(each for each in page.find_all(["h1", "h2"]) if each.get_text() == title)
    return heading.find_parent("section")


def test_inline_results_are_read_as_they_are(pages):
    for name in ("inline.html", "inline.slides.html"):
        text = pages[name].select_one("main, div.slides").get_text()
        for number, (code, expected) in enumerate(INLINE.items()):
            found = re.search(rf"Value {number}: (.*?) end\.", text, re.DOTALL)
            assert found and found[1] == expected, code
    assert [each.get_text() for each in pages["inline.html"].select("td")] == ["p|q", "kept"]
    assert pages["inline.html"].find_all("p")[-1].get_text() == "2024. was a year."


def test_inline_results_fit_where_they_stand(pages):
    for name in ("places.html", "places.slides.html"):
        page = pages[name].select_one("main, div.slides")
        for each in page.select("annotation"):
            each.decompose()
        cells = page.select("td")
        seen = dict(zip((each.get_text() for each in cells[::2]), (each.get_text() for each in cells[1::2])))
        assert seen == {
            "number": "x=3.5",
            "as text": "x=3.50",
            "power": "a12",
            "small": "v=1e-07",
            "words": f"of {SHOWN}",
            "alone": f"y={SHOWN}",
            "TeX": "z=12",
            "formula": "z=β",
            "code": SHOWN,
            "tag": "here",
            "bars": "p|q",
        }
        assert len(page.select("td msup > :last-child")) == 1
        assert page.select_one("td [title]")["title"] == '<"b">'
        assert page.select_one('math[display="block"]').get_text() == f"s=−2+{SHOWN}"
        title = page.select_one(".callout-title, .callout-title-container").get_text().split()
        assert " ".join(title).endswith(f'Title {SHOWN} and say *"hi"* @key')
        assert page.img["alt"] == f"Alt {SHOWN}" and page.figcaption.get_text() == f"Caption {SHOWN}"
        link = next(each for each in page.select("a[title]") if "Link" in each.get_text())
        assert (link.get_text(), link["title"]) == (f"Link {SHOWN}", f"On {SHOWN}")
        headings = [each.get_text() for each in page.find_all("h2")]
        assert any(each.startswith(f"Heading *a* {SHOWN}") for each in headings), headings


def test_terminal_text():
    assert terminal_text("abc\rX\n1/3\r3/3\r\n") == "Xbc\n3/3\n"
    assert terminal_text("\x1b]0;title\x07a\x1b[2Kb\x1b(Bc\x07ab\x08") == "abca"
    assert inline_markdown("text", "a*b") == r"a\*b"


def test_outputs_are_shown_or_have_their_place(pages):
    page = pages["outputs.html"]
    assert section(page, "Overwritten").pre.get_text() == "epoch"
    assert section(page, "Links and colours").pre.get_text() == "here red"
    image = section(page, "Moving pictures").img
    assert (image["src"], image["alt"]) == ("outputs_files/figure-html/cell-4-output-1.gif", "A dot")
    assert section(page, "Right after text").p.get_text() == "Some text:"
    assert "cell" in section(page, "Right after text").p.find_next_sibling("div")["class"]
    assert section(page, "Only shown").pre.get_text() == "```{python}\n1 + 1\n```"
    cells = section(page, "Side by side").select(".quarto-layout-row > .quarto-layout-cell")
    assert [each.get_text(strip=True) for each in cells] == ["First.", "Second."]
    assert section(page, "From a part").p.get_text() == "Part of it."
    assert section(page, "Film").video["src"] == "film.mp4"
    assert page.select_one(".note-of-mine").get_text(strip=True) == "A class of the author’s own."
    appendix = page.select_one("#quarto-appendix > section.appendix")
    assert appendix.h2.get_text() == "The end" and "𝛃" in appendix.get_text()
    assert ":::" not in page.get_text() + pages["outputs.slides.html"].get_text()


def test_a_page_that_is_not_executed_shows_its_code(pages):
    assert pages["off.html"].pre.get_text() == "1 / 0"


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("de", ["Autor:innen", "Hinweis", "22. November 2026"]),
        ("fr", ["Auteur·rice·s", "Note", "22 novembre 2026"]),
        ("nl", ["Auteurs", "Opmerking", "22 november 2026"]),
    ],
)
def test_the_page_speaks_its_language(pages, language, words):
    text = pages[f"{language}.html"].get_text()
    assert all(word in text for word in words)
    names = [
        each.get_text(" ", strip=True)
        for each in pages[f"{language}.slides.html"].select(".quarto-title-author")
    ]
    assert names == ["A U", "B V"]


# What a page may not hold, with its line and a word of what is said.
FAULTY = {
    "unclosed": ("## A\n\n::: {.callout-note}\nx\n\n## B\n", 3, "unclosed"),
    "unread": ("## A\n\ntext\n::: {.callout-note}\nx\n\n:::\n", 4, "mark of a div"),
    "quoted": ('## A\n\ntext\n::: {.callout-note title="Hello you"}\nx\n\n:::\n', 4, "mark of a div"),
    "width": ("## A\n\nWords {width=50%} here\n", 3, "became text"),
    "surplus": ("## A\n\n::: {.fragment}\nx\n:::\n\n:::\n", 7, "mark of a div"),
    "open maths": ("## A\n\n$$\nx\n\ny\n", 3, "`$$` became text"),
    "attributes": ("## A\n\nWords {.smaller} here\n", 3, "`{.smaller}` became text"),
    "undefined": ("## A\n\nx[^gone]\n", 3, "`[^gone]` became text"),
    "maths": ("## A\n\n$\\mathbbm{1}$\n", 3, "TeX math"),
    "label": ("## A\n\n$$\nx \\label{eq}\n$$\n", 4, "TeX math"),
    "citation": ("## A\n\n[@nobody]\n", 3, "@nobody is not in the bibliography"),
    "footnote": ("## A\n\nx[^1]\n\n[^1]: a\n[^1]: b\n", 6, "Duplicate note"),
    "widget": (
        "```{python}\n#| label: w\nfrom IPython.display import display\n"
        "display({'application/vnd.jupyter.widget-view+json': {}, 'text/plain': 'HBox()'}, raw=True)\n```\n",
        1,
        "cell 1 (w): its output has no form on a page",
    ),
    "table": (
        "x\n\nA `{python} __import__('pandas').DataFrame({'a': [1]})`\n",
        3,
        "no text that can stand here",
    ),
    "glyph": (
        "```{python}\nimport matplotlib.pyplot as plt\nplt.rcParams['font.family'] = 'DejaVu Sans'\n"
        "_ = plt.title('\\u624b')\nplt.show()\n```\n",
        1,
        "lacks a sign",
    ),
    "kind": ("---\nfig-width: wide\n---\n\n```{python}\n1\n```\n", 2, "`fig-width` must be a number"),
    "tex": ("## A\n\nSome \\LaTeX{} here\n", 3, "no page shows TeX such as '\\LaTeX{}'"),
    "page break": ("## A\n\nx\n\n\\newpage\n", 5, "'\\newpage'"),
    "tabular": ("x\n\n\\begin{tabular}{l}\na\n\\end{tabular}\n", 3, "'\\begin{tabular}{l} a \\end{tabular}'"),
    "markup": (
        "x\n\n$`{python} __import__('IPython').display.HTML('<i>x</i>')`$\n",
        3,
        "no text that can stand",
    ),
    "language": ("---\nlang: tlh\n---\n\nx\n", 2, "'tlh'"),
    "image": ("x\n\n![a](c%231.png)\n", 3, "c%231.png"),
    "cell": ("x\n\n```{python}\n1 / 0\n```\n", 4, "ZeroDivisionError"),
}


def test_what_cannot_be_shown_is_told_with_its_line_and_the_other_pages_are_made(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "_quarto.yml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "references.bib").write_text("", encoding="utf-8")
    (tmp_path / "good.qmd").write_text("Good, see [the other](unclosed.qmd).\n", encoding="utf-8")
    for name, (text, _, _) in FAULTY.items():
        (tmp_path / f"{name}.qmd").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["--engine", "pip"]) == 1
    told = capsys.readouterr().err
    for name, (_, line, words) in FAULTY.items():
        own = [each for each in told.splitlines() if each.startswith(f"Error: {name}.qmd:")]
        place = f"Error: {name}.qmd:{line}: "
        assert any(each.startswith(place) and words in each for each in own), (name, own)
    assert [path.name for path in (tmp_path / "_site").glob("*.html")] == ["good.html"] or sorted(
        path.name for path in (tmp_path / "_site").glob("*.html")
    ) == ["good.html", "good.slides.html"]

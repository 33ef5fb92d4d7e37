"""Every lecture and the index by both engines, from copies of the course: where Quarto is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.compare_sites import compare_sites
from tests.render_command import REPOSITORY
from tests.site.test_quarto import need_quarto
from tests.whole.test_render_faithful import CONFIG, PLACES


def rendered_copy(engine: str, folder: Path) -> Path:
    """The site that an engine makes of a copy of all files that git knows."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True)
    if listed.returncode:
        pytest.skip("this is not a git checkout, so the files to copy are not known")
    for name in filter(None, listed.stdout.decode("utf-8").split("\0")):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    return rendered_by(engine, folder)


HOOKS = """\
  pre-render: render/quarto_pre_render.py
  post-render: render/quarto_post_render.py
"""
# Pages of which each engine once made something else.
ODD = {
    "index.qmd": "# Home\n",
    "places.qmd": PLACES.replace("{.unlisted}", ""),
    "_parts/one.qmd": "Part one.\n\n{{< include _parts/code.py >}}\n",
    "_parts/code.py": "x = 1\n",
    "includes.qmd": """---
title: Includes
---

Text above
{{< include _parts/one.qmd >}}
text below, and `{{{< meta x >}}}`.

```python
{{< include _parts/code.py >}}
```

::: {.callout-note}
{{< include _parts/one.qmd >}}
:::

```{python}
{{< include _parts/code.py >}}
print(x)
```
""",
    "executions.qmd": """---
title: Two executions
format:
  html:
    fig-width: 3
  revealjs:
    output-ext: slides.html
---

## First

```{python}
import matplotlib.pyplot as plt  # <1>
plt.plot([1, 2])  # <2>
plt.show()
```

1. Import
2. Draw

Width `{python} plt.rcParams["figure.figsize"][0]` and `{python} 3`, see [first](#first).

- item

  ```{python}
  plt.plot([1, 3])
  plt.show()
  ```

- `{python} str(plt.rcParams["figure.figsize"])` wide

## Second

::: {.callout-note}

```{python}
#| echo: false
plt.plot([1, 3])
plt.show()
```

:::
""",
}


def test_both_engines_make_the_same_of_odd_pages(tmp_path):
    need_quarto()
    sites = []
    for engine in ("quarto", "pip"):
        folder = tmp_path / engine
        shutil.copytree(REPOSITORY / "render", folder / "render")
        config = CONFIG.replace("bibliography: references.bib\n", "").replace(
            "execute:", "execute:\n  freeze: auto"
        )
        config = config.replace("  type: website\n", "  type: website\n  output-dir: _site\n" + HOOKS)
        maths = "    html-math-method: mathml\n"
        config = config.replace("  revealjs:\n", "  revealjs:\n" + maths)
        for name, text in {"_quarto.yml": config, **ODD}.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        Image.new("RGB", (20, 20)).save(folder / "dot.png")
        sites.append(rendered_by(engine, folder))
    assert compare_sites(*sites) == []
    page = (sites[0] / "executions.html").read_text(encoding="utf-8")
    assert 'id="second"' in page and 'id="second-1"' not in page


def rendered_by(engine: str, folder: Path) -> Path:
    """The site that an engine makes of a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "render", "--engine", engine],
        cwd=folder,
        capture_output=True,
        env=os.environ | {"PYTHONPATH": str(folder), "QUARTO_PYTHON": sys.executable},
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode("utf-8", "replace")
    return folder / "_site"


def test_both_engines_make_the_same_course(tmp_path):
    """COURSE_SITE may name a site that Quarto made already."""
    need_quarto()
    named = os.environ.get("COURSE_SITE")
    quarto = Path(named) if named else rendered_copy("quarto", tmp_path / "quarto 字")
    assert compare_sites(quarto, rendered_copy("pip", tmp_path / "pip 字")) == []
    assert len(list(quarto.glob("lectures/*.slides.html"))) == len(
        list(REPOSITORY.glob("lectures/[0-9]*.qmd"))
    )

"""The pip-only renderer: the site that `quarto render` makes, on machines without Quarto.

`python -m render` is its command. A page goes through `qmd` (reading the source, checked against
`project` and `check`), `execute` (running its cells, kept by `cache`), `cells` (Markdown of cells
and outputs), `page` (pandoc with `page.lua`) and `finish`; `site` puts them together.
"""

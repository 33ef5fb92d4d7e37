"""The pip-only renderer: the site that `quarto render` makes, on machines without Quarto.

`python -m render` is its command; `render.site` puts the parts together: `qmd` reads sources,
`execute` runs cells, `dependencies` decides what may be reused, `assemble` and `page` make HTML
with pandoc, `postprocess` finishes it.
"""

"""Comparing what the two engines, Quarto and the pip-only renderer, make of the same sources."""

"""Is this machine ready for class? `make check`, or `python -m tools.check`.

Nothing outside Python's standard library is imported before it is known to be there, so that the
answer comes on a machine where next to nothing is installed.
"""

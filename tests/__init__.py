import course  # noqa: F401  (tells of commands that have moved)

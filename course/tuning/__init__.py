"""Hyperparameter searches: on this machine, stored with their recipe, and on several machines.

`course.tuning.search` runs or reloads a search, `course.tuning.distributed` runs it as KerasTuner's
chief and workers, `course.tuning.claims` holds the data, networks and searches of lecture 5.
"""

from course.tuning.search import (
    Data,
    Search,
    changes_since_stored,
    scores_or_load,
    search_or_load,
    seconds_of,
    trials_table,
)

__all__ = [
    "Data",
    "Search",
    "changes_since_stored",
    "scores_or_load",
    "search_or_load",
    "seconds_of",
    "trials_table",
]

"""Importing real handwriting of the CASIA-HWDB databases into the course's folder layout.

The course needs none of it: it ships simulated handwriting. See docs/casia.md for where the data
are requested and under which terms, and `python -m tools.casia --help` for the command.

Liu, Yin, Wang and Wang (2011), CASIA online and offline Chinese handwriting databases, ICDAR,
doi:10.1109/ICDAR.2011.17.
"""

from tools.casia.adopt import adopt
from tools.casia.gnt import MAX_SIDE, Problem, Sample, character_of, code_of, read_gnt
from tools.casia.importer import Result, import_gnt
from tools.casia.layout import CasiaError, character_of_folder, check, folder_of

__all__ = [
    "MAX_SIDE",
    "CasiaError",
    "Problem",
    "Result",
    "Sample",
    "adopt",
    "character_of",
    "character_of_folder",
    "check",
    "code_of",
    "folder_of",
    "import_gnt",
    "read_gnt",
]

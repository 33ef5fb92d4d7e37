"""Your own handwriting: a sheet to print and write on, and a reader for photos of it.

`python -m tools.sheet` makes the sheet, `python -m tools.sheet read PHOTO` cuts photos of it into
images in the layout of the lecture's notebook set. The same from Python:

>>> make_sheet("sheet.pdf", "大太犬")
>>> readings = [read_photo("photo.jpg")]
>>> save_readings(readings, "data/mine")
"""

from .drawing import make_sheet
from .folder import PageReading, read_photo, read_picture, save_readings
from .layout import BOX, BOXES, PAPERS, ROWS, Layout, SheetError, check_characters, page_layout, split_pages

__all__ = [
    "BOX",
    "BOXES",
    "Layout",
    "PAPERS",
    "PageReading",
    "ROWS",
    "SheetError",
    "check_characters",
    "make_sheet",
    "page_layout",
    "read_photo",
    "read_picture",
    "save_readings",
    "split_pages",
]

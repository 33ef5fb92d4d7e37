"""Your own handwriting: a sheet to print and write on, and a reader for photos of it.

`python -m tools.sheet` makes the sheet, `python -m tools.sheet read PHOTO` cuts photos of it into
images in the layout of the lecture's notebook set and lets its networks read them. The same from Python:

>>> make_sheet("sheet.pdf", "大太犬")
>>> save_readings(read_photo("photo.jpg"), "data/mine")
>>> networks, misread = tools.reading.score("data/mine")
"""

from .drawing import make_sheet
from .folder import read_photo, read_picture, save_readings
from .layout import BOX, BOXES, PAPERS, Layout, SheetError, page_layout, split_pages

__all__ = ["SheetError", "make_sheet", "read_photo", "read_picture", "save_readings"]
__all__ += ["BOX", "BOXES", "PAPERS", "Layout", "page_layout", "split_pages"]  # for benchmarks/sheet.py

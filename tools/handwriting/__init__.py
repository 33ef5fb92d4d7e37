"""Simulated handwriting in the layout of CASIA's folders, from open stroke data.

``python -m tools.handwriting --characters 人从 --writers 150 --test-writers 36 --seed 1 --out DIR``
writes ``Train/<character>/<n>.png`` and ``Test/<character>/<n>.png``. Everything that it makes is
simulated: no image is of a real person's writing, and none is taken from CASIA.
"""

from tools.handwriting.generate import Person, image_of, person
from tools.handwriting.strokes import StrokeDataError, load_template

__all__ = ["Person", "StrokeDataError", "image_of", "load_template", "person"]

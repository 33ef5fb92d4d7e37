"""Helpers shared by the lectures and exercises: loaders, plots, figures and artefacts.

Importing this package chooses Keras's backend. It is the only place that does.
"""

import os
import sys

if "keras" in sys.modules:
    _backend = sys.modules["keras"].backend.backend()
    if _backend != "torch":
        raise RuntimeError(
            f"Keras is already running on {_backend!r}, but this course needs its 'torch' backend. "
            "Restart the kernel and import `course` before `keras`."
        )
os.environ["KERAS_BACKEND"] = "torch"

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

# Idle threads sleep instead of spinning. On a shared or busy machine spinning makes two threads
# several times slower than one. torch reads this when it is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

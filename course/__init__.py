"""What lectures and exercises import: data, plots, figures, networks, checks, and stored results.

Importing this package, before Keras or after it, chooses Keras's backend and settings. Nothing else does:
what a `keras.json` or a variable of Keras says is overruled.
"""

import importlib.abc
import importlib.machinery
import os
import sys

os.environ["KERAS_BACKEND"] = "torch"

# Idle threads sleep instead of spinning. On a shared or busy machine spinning makes two threads
# several times slower than one. torch reads this when it is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _settle(keras) -> None:
    if (backend := keras.config.backend()) != "torch":
        raise RuntimeError(
            f"Keras is already running on {backend!r}, but this course needs its 'torch' backend. "
            "Restart the kernel and import `course` before `keras`."
        )
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")  # one that was asked for earlier follows another floatx
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    for limit in ("max_epochs", "max_steps_per_epoch"):
        # Fits that were cut short would be stored.
        if getattr(keras.config, limit, lambda: None)():
            print(f"KERAS_{limit.upper()} is ignored: here each fit runs to its end.", file=sys.stderr)
            getattr(keras.config, f"set_{limit}")(None)


# Names of version 1, which texts and slides elsewhere may still tell people to type, and today's.
_MOVED = dict(
    entry.strip().split(" ", 1)
    for entry in """
course.architectures course.models.architectures, course.artefacts course.models.fitting,
course.browser_model tools.draw_yourself, course.casia tools.casia, course.files course.store.files,
course.feature_visualisation course.models.feature_patterns, course.handwriting tools.handwriting,
course.imagenet course.models and course.photos, course.networks course.models.reading,
course.preflight tools.check, course.recipes course.store.recipes, course.sheet tools.sheet,
course.teach course.models.teach and tools.teach, tests.links tools.links,
course.tuning course.models.searches and course.models.claims and tools.tune, tests.browser tools.screenshots
""".split(",")
)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in _MOVED:
            raise ImportError(f"{name} has moved: use {_MOVED[name]} in its place", name=name)
        spec = importlib.machinery.PathFinder.find_spec(name) if name == "keras" else None
        if spec:
            load = spec.loader.exec_module
            spec.loader.exec_module = lambda module: (load(module), _settle(module))
        return spec


sys.meta_path.insert(0, _Finder())
if "keras" in sys.modules:
    _settle(sys.modules["keras"])

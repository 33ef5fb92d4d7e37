"""Runs inside the kernel before the first cell: figure defaults and a record of files used.

The renderer sends the text of this file to the kernel and calls `begin`; nothing here is
imported by a lecture. `report` tells afterwards which files the cells read, listed and wrote,
and which modules were loaded, so that a cached result is dropped when one of them changes.
"""

import json
import os
import sys

_seen = {"read": set(), "listed": set(), "written": set(), "started": set()}
_WRITING = os.O_WRONLY | os.O_RDWR


def _note(kind, path):
    if isinstance(path, (str, bytes, os.PathLike)):
        _seen[kind].add(os.path.abspath(os.fsdecode(path)))


def _audit(event, arguments):
    # An audit hook must never raise: that would end the cell that opened the file.
    try:
        if event == "open":
            path, mode, flags = arguments
            if mode is None:
                writing = bool(flags & _WRITING)
            else:
                writing = any(letter in mode for letter in "wax+")
            _note("written" if writing else "read", path)
        elif event in ("os.listdir", "os.scandir"):
            _note("listed", arguments[0] if arguments[0] is not None else ".")
        elif event == "os.rename":
            _note("written", arguments[1])
        elif event == "subprocess.Popen":
            # What another Python imports is not seen here; the renderer then counts it all.
            program = arguments[0] or arguments[1][0]
            if os.path.basename(os.fsdecode(program)).startswith("python"):
                _note("started", program)
        elif event == "os.mkdir":
            _note("written", arguments[0])
    except Exception:
        pass


def begin(fig_width, fig_height, fig_format, fig_dpi):
    """Set matplotlib's defaults as Quarto does and start the record."""
    try:
        import matplotlib.pyplot as plt
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        pass
    else:
        plt.rcParams["figure.figsize"] = (fig_width, fig_height)
        plt.rcParams["figure.dpi"] = fig_dpi
        plt.rcParams["savefig.dpi"] = "figure"
        # A fixed salt gives the same figure the same bytes on every run.
        plt.rcParams["svg.hashsalt"] = "course"
        set_matplotlib_formats(fig_format)
    sys.addaudithook(_audit)


def report():
    """The record as JSON text: sorted lists `read`, `listed`, `written`, `started`, `modules`."""
    modules = set()
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        # Some packages give modules a made-up relative file name.
        if isinstance(path, str) and os.path.isabs(path):
            modules.add(os.path.normpath(path))
    record = {kind: sorted(paths) for kind, paths in _seen.items()}
    record["modules"] = sorted(modules)
    return json.dumps(record)

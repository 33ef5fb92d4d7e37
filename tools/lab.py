"""`make lab`, or `python -m tools.lab`: JupyterLab in a folder of your own, made from the hand-outs.

`my-work/` holds a copy of each exercise and of each lecture's notebook. Git ignores the folder, and no
command changes what you have worked in: when a hand-out has changed, the newer version is laid beside
yours. What this command does not know goes on to JupyterLab.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path

from render.files import shown_path, write_changed
from render.notebook import is_worked, origin
from tools.console import speak_utf8

ROOT = Path(__file__).resolve().parent.parent
WORK = "my-work"
HAND_OUTS = ("exercises", "notebooks")
# Solutions that the lecturer has released, a name in each line.
RELEASED = "exercises/released.txt"
# For each hand-out, which version was laid out last.
RECORD = ".hand-outs.json"
IMAGE = re.compile(r"(?:\.\./)+(assets/[^\s()\"'\\#?]+)")


def released(root: Path = ROOT) -> list[str]:
    """The notebooks with solutions that students may see."""
    lines = (root / RELEASED).read_text(encoding="utf-8").splitlines()
    names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    found = [f"exercises/solutions/{name.removesuffix('.ipynb')}.ipynb" for name in names]
    if missing := [name for name in found if not (root / name).is_file()]:
        raise FileNotFoundError(f"{RELEASED} names a solution that does not exist: {missing[0]}")
    return found


def hand_outs(root: Path = ROOT) -> list[str]:
    """The notebooks that students get."""
    found = [path for folder in HAND_OUTS for path in sorted((root / folder).glob("*.ipynb"))]
    return [path.relative_to(root).as_posix() for path in found] + released(root)


def images(data: bytes, root: Path = ROOT) -> set[str]:
    """The pictures that a hand-out shows."""
    return {name for name in IMAGE.findall(data.decode("utf-8")) if (root / name).is_file()}


def prepare(folder: Path, root: Path = ROOT) -> list[str]:
    """Bring the folder up to date with the hand-outs, and tell what a student should know."""
    record_file, told, fresh = folder / RECORD, [], []
    record = {}
    with contextlib.suppress(OSError, ValueError):  # without it nothing is lost
        record |= json.loads(record_file.read_bytes())
    for name in hand_outs(root):
        source, target = root / name, folder / name
        data = source.read_bytes()
        for image in images(data, root):
            write_changed(folder / image, (root / image).read_bytes())
        if is_worked(source):
            place, new = keep(source, target)
            if new:
                told.append(f"{name} holds somebody's work. A copy lies in {shown_path(place)}: go on there.")
            continue
        version = origin(data)
        if target.is_file() and is_worked(target):
            if version not in (record.get(name), origin(target.read_bytes())):
                place = _place(target, "newer", lambda each: not is_worked(each))
                write_changed(place, data)
                told.append(
                    f"{name} has changed since you began. Yours is as you left it; "
                    f"the newer version is {shown_path(place)}."
                )
        elif write_changed(target, data) and record.get(name, version) != version:
            fresh.append(name)
        record[name] = version
    write_changed(record_file, json.dumps(record, indent=1).encode("utf-8"))
    if fresh:
        told.append(f"Brought up to date, since you had not worked in them: {', '.join(fresh)}.")
    return told


def keep(path: Path, target: Path) -> tuple[Path, bool]:
    """Copy a notebook that somebody has worked in to `target`, or beside it where other work lies.

    Returns
    -------
    tuple
        Where the copy is, and whether it was not there before.
    """
    data = path.read_bytes()
    place = _place(target, "kept", lambda each: each.read_bytes() == data or not is_worked(each))
    return place, write_changed(place, data)


def write_notebooks(made: dict[Path, bytes], root: Path = ROOT) -> None:
    """Write those notebooks that are not as they should be, and say which; somebody's work is kept."""
    for path, data in made.items():
        note = ""
        if is_worked(path):
            inside = path.is_relative_to(root) and not path.is_relative_to(root / WORK)
            beside = path.with_name(f"{path.stem}.kept.ipynb")
            place, _ = keep(path, root / WORK / path.relative_to(root) if inside else beside)
            note = f"; somebody had worked in it, and that version lies in {shown_path(place)}"
        print(f"{shown_path(path)}: {'written' if write_changed(path, data) else 'unchanged'}{note}")


def _place(target: Path, word: str, fits: Callable[[Path], bool]) -> Path:
    """The first of `name`, `name.word`, `name.word-2` … that does not exist or may be overwritten."""
    endings = itertools.chain(["", f".{word}"], (f".{word}-{number}" for number in itertools.count(2)))
    places = (target.with_name(f"{target.stem}{ending}.ipynb") for ending in endings)
    return next(each for each in places if not each.is_file() or fits(each))


def main(arguments: list[str] | None = None) -> int:
    """Prepare the folder and run JupyterLab in it; returns JupyterLab's exit status."""
    parser = ArgumentParser("python -m tools.lab", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / WORK, help="another folder than my-work/")
    parser.add_argument("--prepare", action="store_true", help="bring the folder up to date, and stop")
    options, others = parser.parse_known_args(arguments)
    speak_utf8()
    folder = options.folder.resolve()
    try:
        told = prepare(folder)
    except OSError as error:
        sys.exit(f"Error: {error}")
    print(*told, f"Your notebooks are in {folder}", sep="\n", flush=True)
    if options.prepare:
        return 0
    # In its terminal, and in its kernels, everything is found that is found here.
    paths = {"PYTHONPATH": str(ROOT), "PATH": str(Path(sys.executable).parent)}
    more = {key: os.pathsep.join(filter(None, [new, os.environ.get(key)])) for key, new in paths.items()}
    settings = [f"--ServerApp.root_dir={folder}", "--LabApp.default_url=/lab/tree/exercises"]
    command = [sys.executable, "-m", "jupyterlab", *settings, *others]
    process = subprocess.Popen(command, cwd=folder, env=os.environ | more)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # JupyterLab hears it too, and asks whether to stop


if __name__ == "__main__":
    sys.exit(main())

"""The renderer as a command: reuse of results, failures, interruption, engines, other commands."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import h5py
import nbformat
import psutil
import pytest
from bs4 import BeautifulSoup
from IPython.core.inputtransformer2 import TransformerManager

from render import cache, engine, files, kernel_setup, quarto_pre_render
from render import site as render_site
from render.__main__ import MOVED, main, run_command
from render.cache import Store
from render.execute import Execution, Step
from render.qmd import RenderError
from tests.render_command import FORMATS, REPOSITORY, run_render
from tools import notebooks

CONFIG = (
    """\
project:
  type: website
  execute-dir: project
  render: [index.qmd, "lectures/*.qmd"]
execute:
  echo: true
fig-width: 4
fig-height: 3
fig-format: svg
"""
    + FORMATS
)


@pytest.fixture
def site(tmp_path):
    """A site of a page without cells and a folder for lectures."""
    folder = tmp_path / "site"
    (folder / "lectures").mkdir(parents=True)
    (folder / "_quarto.yml").write_text(CONFIG, encoding="utf-8")
    (folder / "index.qmd").write_text("---\nformat: html\n---\n\nHome.\n", encoding="utf-8")
    return folder


needs_ctrl_c = pytest.mark.skipif(
    os.name == "nt", reason="Windows sends Ctrl+C to a whole console, these tests included"
)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


class Done(NamedTuple):
    """What a command returned and wrote."""

    status: int
    out: str
    err: str


@pytest.fixture
def here(site, monkeypatch):
    """Commands of the renderer run in the site, in this process: its start takes most of the time."""
    monkeypatch.chdir(site)
    monkeypatch.setattr(signal, "signal", lambda *_: None)


@pytest.fixture
def command(here, capsys):
    """Run a command of the renderer in the site."""

    def run(*arguments):
        capsys.readouterr()
        status = main(list(arguments))
        return Done(status, *capsys.readouterr())

    return run


@pytest.fixture
def as_notebooks(here, capsys, monkeypatch):
    """Write the pages of the site as notebooks."""

    def write(*arguments):
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["tools.notebooks", *arguments])
        return Done(run_command(notebooks.command), *capsys.readouterr())

    return write


@pytest.fixture
def render(command):
    """Render some pages of the site, or all, with the pip-only renderer."""
    return lambda *pages: command("--engine", "pip", *pages)


def stdout(done):
    assert done.status == 0, done.err
    return done.out


# Reuse of results ---------------------------------------------------------------------------

COUNTING = """\
## Title

Prose.

```{python}
#| code-summary: "A caption"
import os
from pathlib import Path

import helper
from course_data import unpack

with open(os.environ["COUNTER"], "a", encoding="utf-8") as file:
    file.write("x")
print(helper.VALUE, sorted(path.name for path in unpack().iterdir()))
```
"""


def test_results_are_reused_and_never_stale(site, tmp_path, render, monkeypatch):
    counter = tmp_path / "counter"
    monkeypatch.setenv("COUNTER", str(counter))
    lecture = site / "lectures" / "01-count.qmd"
    write(lecture, COUNTING)
    write(site / "helper" / "__init__.py", "VALUE = 'one'\n")
    write(site / "helper" / "unused.py", "OTHER = 1\n")
    write(
        site / "course_data.py",
        "from pathlib import Path\n\n\n"
        "def unpack():\n"
        "    folder = Path('data/unpacked')\n"
        "    folder.mkdir(exist_ok=True)\n"
        "    for name in Path('data/archive.txt').read_text('utf-8').split():\n"
        "        if not (folder / name).exists():\n"
        "            (folder / name).write_text(name, encoding='utf-8')\n"
        "    return folder\n",
    )
    write(site / "data" / "archive.txt", "a b")

    def again(what, executions):
        output = stdout(render())
        assert "01-count.qmd ... " in output
        assert f"s, {what}" in output.split("01-count.qmd")[1], output
        assert len(counter.read_text(encoding="utf-8")) == executions
        return output

    again("executed", 1)
    page = site / "_site" / "lectures" / "01-count.html"
    assert "one ['a', 'b']" in page.read_text(encoding="utf-8")
    # What the cells themselves unpacked does not make their result stale.
    again("unchanged", 1)

    write(lecture, COUNTING.replace("Prose.", "Other prose.").replace("A caption", "Another"))
    again("from cache", 1)
    assert "Other prose." in page.read_text(encoding="utf-8")

    write(site / "helper" / "unused.py", "OTHER = 2\n")
    again("unchanged", 1)

    write(site / "helper" / "__init__.py", "VALUE = 'two'\n")
    assert "(helper/__init__.py changed)" in again("executed", 2)
    assert "two ['a', 'b']" in page.read_text(encoding="utf-8")

    write(site / "data" / "unpacked" / "a", "changed")
    assert "(data/unpacked/a changed)" in again("executed", 3)

    for entry in (site / ".render-cache" / "executed").iterdir():
        entry.write_bytes(entry.read_bytes()[:100])
    assert "cannot be read" in again("executed", 4)

    page.write_text("spoilt", encoding="utf-8")
    again("from cache", 4)
    assert "two ['a', 'b']" in page.read_text(encoding="utf-8")


NOTHING = dict.fromkeys(("read", "listed", "written", "found", "environment"), {}) | dict.fromkeys(
    ("modules", "packages", "direct", "entries"), []
)
NOTHING |= {"unseen": ""}


def saved(folder, record=None):
    """A store with one result, saved as if cells had read what `record` says."""
    record = NOTHING | (record or {})
    store = Store(folder)
    steps = [Step(0, "x = 1")]
    key = store.key(steps, (8.0, 4.5, "svg", 96))
    cell = {"cell_type": "code", "source": "x = 1", "metadata": {"block": 0}, "outputs": []}
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    assert store.save("page.qmd", key, Execution(notebook, record), time.time() + 1) is None
    return key, steps


def reason(folder, key):
    notebook, why = Store(folder).load("page.qmd", key)
    assert (notebook is None) == bool(why)
    return why


def test_changed_or_new_files_are_named(tmp_path):
    module = tmp_path / "course" / "plots.py"
    manifest = tmp_path / "cache" / "manifest.json"
    for path in (
        module,
        tmp_path / "course" / "__init__.py",
        tmp_path / "course" / "figures" / "unused.py",
        tmp_path / "data" / "strokes" / "one.json",
        tmp_path / "other" / "seen.txt",
        tmp_path / "other" / "unseen.txt",
    ):
        write(path, "1")
    write(manifest, '{"artefacts": {"cnn": {"seconds": 1}, "other": {"seconds": 2}}}')
    later = time.time() + 1
    record = {
        "modules": [str(module), str(module.with_name("__init__.py"))],
        "read": dict.fromkeys([str(tmp_path / "other" / "seen.txt"), str(tmp_path / "absent.txt")], later),
        "listed": {str(tmp_path / "data" / "strokes"): later},
        "written": {str(tmp_path / "made"): 0},
        "entries": [[str(manifest), "cnn"]],
        "packages": ["numpy"],
        "environment": {"COURSE_LOOKED_AT": None},
    }
    key, _ = saved(tmp_path, record)
    assert reason(tmp_path, key) == ""

    def changes(path, text, expected):
        known = path.read_text(encoding="utf-8") if path.exists() else None
        write(path, text)
        assert reason(tmp_path, key) == expected
        if known is None:
            path.unlink()
        else:
            write(path, known)
        assert reason(tmp_path, key) == ""

    changes(module, "2", "course/plots.py changed")
    changes(tmp_path / "course" / "new.py", "2", "course/new.py is new")
    changes(tmp_path / "course" / "figures" / "unused.py", "2", "")
    changes(tmp_path / "course" / "figures" / "new.py", "2", "course/figures/new.py is new")
    changes(tmp_path / "data" / "strokes" / "one.json", "2", "data/strokes/one.json changed")
    changes(tmp_path / "data" / "strokes" / "two.json", "2", "data/strokes/two.json is new")
    changes(tmp_path / "other" / "seen.txt", "2", "other/seen.txt changed")
    changes(tmp_path / "other" / "unseen.txt", "2", "")
    changes(tmp_path / "absent.txt", "2", "absent.txt is new")
    changes(manifest, '{"artefacts": {"cnn": {"seconds": 1}, "other": {"seconds": 3}}}', "")
    changes(manifest, '{"artefacts": {"cnn": {"seconds": 3}}}', "'cnn' of cache/manifest.json changed")
    (tmp_path / "other" / "seen.txt").unlink()
    assert reason(tmp_path, key) == "other/seen.txt is gone"


def test_variables_and_packages_count_where_they_were_used(tmp_path, monkeypatch):
    key, _ = saved(tmp_path, {"packages": ["numpy"], "environment": {"COURSE_LOOKED_AT": None}})
    monkeypatch.setenv("COURSE_NOT_LOOKED_AT", "1")
    assert reason(tmp_path, key) == ""
    with monkeypatch.context() as patch:
        patch.setenv("COURSE_LOOKED_AT", "1")
        assert reason(tmp_path, key) == "the variable COURSE_LOOKED_AT is new"
    versions = Store(tmp_path).versions
    monkeypatch.setattr(Store, "versions", versions | {"pandas": "99"})
    assert reason(tmp_path, key) == ""
    monkeypatch.setattr(Store, "versions", versions | {"numpy": "99"})
    assert reason(tmp_path, key) == "the package numpy changed"


def test_a_file_with_the_same_size_and_time_is_still_seen_as_changed(tmp_path):
    path = tmp_path / "data" / "a.txt"
    write(path, "1")
    key, _ = saved(tmp_path, {"read": {str(path): time.time() + 1}})
    status = path.stat()
    write(path, "2")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert reason(tmp_path, key) == "data/a.txt changed"


def test_own_data_outside_of_the_project_count(tmp_path):
    image = tmp_path / "own" / "Train" / "a" / "1.png"
    write(image, "1")
    project = tmp_path / "project"
    project.mkdir()
    key, _ = saved(project, {"listed": {str(image.parent): time.time() + 1}})
    write(image, "22")
    assert "1.png changed" in reason(project, key)


@pytest.mark.parametrize("written", [[], ["own"]])
def test_a_hidden_folder_counts_unless_the_page_keeps_its_own_there(tmp_path, written):
    later = time.time() + 9
    folder = tmp_path / ".kept"
    write(folder / "own", "1")
    record = {"listed": {str(folder): later}, "written": {str(folder / each): later for each in written}}
    key, _ = saved(tmp_path, record)
    assert reason(tmp_path, key) == ""
    write(folder / "of another page", "1")
    assert reason(tmp_path, key) == ("" if written else ".kept/of another page is new")


def test_key_counts_code_settings_environment_and_python(tmp_path, monkeypatch):
    store = Store(tmp_path)
    figures = (8.0, 4.5, "svg", 96)
    step = Step(0, "x = 1")
    keys = {store.key([step], figures)}
    keys.add(store.key([Step(0, "x = 2")], figures))
    keys.add(store.key([Step(0, "x = 1", True)], figures))
    keys.add(store.key([step, Step(1, "", expressions=("x",))], figures))
    keys.add(store.key([step], (8.0, 4.5, "png", 96)))
    with monkeypatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "jax")
        keys.add(store.key([step], figures))
    with monkeypatch.context() as patch:
        patch.setattr(cache.platform, "python_version", lambda: "9.9.9")
        keys.add(store.key([step], figures))
    with monkeypatch.context() as patch:
        patch.setattr(cache, "EXECUTING", [])
        keys.add(store.key([step], figures))
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Kathmandu")
        keys.add(store.key([step], figures))
    with monkeypatch.context() as patch:
        patch.setattr(cache.time, "tzname", ("NPT", "NPT"))
        keys.add(store.key([step], figures))
    assert len(keys) == 10


def test_a_file_changed_by_others_after_it_was_read_is_not_taken_for_known(tmp_path):
    path = tmp_path / "data" / "a.txt"
    write(path, "1")
    store = Store(tmp_path)
    now = path.stat().st_mtime
    notebook = {"cells": [], "metadata": {}}

    def save(read_at, **record):
        execution = Execution(notebook, NOTHING | {"read": {str(path): read_at}} | record)
        return store.save("page.qmd", "k" * 64, execution, now - 9)

    assert save(now - 0.1) == f"{os.path.join('data', 'a.txt')} changed while the cells ran"
    assert save(now + 0.1) is None
    assert save(now - 0.1, written={str(path): now}) is None


# What a cell may use, and how that changes: seen, so that the page runs again for this reason only, or not
# seen, so that it runs again every time.
USED = {
    "size": ("import os\nprint(os.path.getsize('f/size'))", "f/size"),
    "exists": ("from pathlib import Path\nprint(Path('f/exists').exists())", "f/exists"),
    "glob": ("import glob\nprint(len(glob.glob('f/glob/*')))", "f/glob/a"),
    "numpy": ("import numpy as np\nprint(np.memmap('f/numpy', np.uint8, 'r')[0])", "f/numpy"),
    "sqlite": ("import sqlite3\nprint(sqlite3.connect('f/sqlite').execute('select 1'))", "f/sqlite"),
    "h5py": ("import h5py\nprint(h5py.File('f/h5py')['x'][()])", "f/h5py"),
    "variable": ("import os\nprint(os.environ.get('LOOKED_AT'))", "LOOKED_AT"),
    "proxies": (
        "import os, urllib.request as u\nfrom unittest import mock\nprint(len(u.getproxies()))\n"
        "with mock.patch.dict(os.environ):\n    os.environ['X'] = '1'",
        None,
    ),
    "pandas": ("import pandas as pd\nprint(pd.read_csv('f/pandas'))", "f/pandas"),
    "resized": ("import cv2\nimport numpy as np\nprint(cv2.resize(np.ones((2, 2)), (1, 1)))", None),
    "opencv": ("import cv2 as vision\nprint(vision.imread('f/opencv', 0))", ""),
    "another cell": ("import cv2\n```\n\n```{python}\nprint(cv2.imread('f/another', 0))", ""),
    "hidden": ("import pandas as pd\nprint(pd.read_csv('.f/hidden'))", ".f/hidden"),
    "hidden ones": ("import os\nprint(os.listdir('f/hidden ones'))", "f/hidden ones/.a"),
    "locale": ("import locale\nprint(locale.getlocale())", "LC_TIME"),
    "timed": ("import cv2\n%time image = cv2.imread('f/timed', 0)", ""),
    "folder": (
        "import os\nimport pandas as pd\nos.makedirs('f', exist_ok=True)\nprint(pd.read_csv('f/folder'))",
        "f/folder",
    ),
    "updated": ("import numpy as np\nprint(np.memmap('f/updated', np.uint8)[0])", "f/updated"),
    "shell": ("!cat f/shell", ""),
    "magic": ("%%sh\ncat f/magic", ""),
    "process": ("import subprocess\nprint(subprocess.run(['cat', 'f/process']))", ""),
    "system": ("import os\nprint(os.system('cat f/system'))", ""),
    "network": (
        "import contextlib, urllib.request as u\nwith contextlib.suppress(OSError):\n"
        "    u.urlopen('http://127.0.0.1:9')",
        "",
    ),
}


def test_what_cells_use_is_seen_or_runs_again(site, render, monkeypatch):
    for name, (code, changed) in USED.items():
        write(site / "lectures" / f"{name}.qmd", f"```{{python}}\n{code}\n```\n")
        for each in (changed, f"f/{name}"):
            if each and "/" in each and not each.startswith(("f/glob", "f/hidden")) and name != "exists":
                write(site / each, "1,2\n3,4\n")
    write(site / "f" / "glob" / "first", "1")
    write(site / "f" / "hidden ones" / "first", "1")
    (site / "f" / "sqlite").unlink()
    with h5py.File(site / "f" / "h5py", "w") as file:
        file["x"] = 1

    def again():
        done = {}
        for line in stdout(render()).splitlines():
            if match := re.match(r"\[\d+/\d+\] lectures/([\w ]+).qmd \.\.\. [\d.]+ s, (.*)", line):
                done.setdefault(match[1], match[2])  # some run twice, since others write
        return done

    assert set(again().values()) == {"executed (first time)"}
    unseen = {name for name, (_, changed) in USED.items() if changed == ""}
    second = again()
    assert {name for name, what in second.items() if what != "unchanged"} == unseen
    assert all("nobody sees" in second[name] for name in unseen)
    for path in {changed for _, changed in USED.values() if changed and "/" in changed}:
        with open(site / path, "ab") as file:
            file.write(b"5,6\n")
    monkeypatch.setenv("LOOKED_AT", "now")
    monkeypatch.setenv("LC_TIME", "POSIX")
    third = again()
    assert third["resized"] == third["proxies"] == "unchanged"
    for name, (_, changed) in USED.items():
        if changed:
            assert third[name].startswith((f"executed ({changed}", f"executed (the variable {changed}")), (
                third
            )


@pytest.mark.parametrize(
    ("cells", "uses"),
    [
        (["%time import cv2 as vision", "vision.imread('a')"], True),
        (["get_ipython().run_line_magic('time', 'x = vision.imread(1)')", "import cv2 as vision"], True),
        (["get_ipython().run_line_magic('timeit', '-n 3 vision.imread(1)')", "import cv2 as vision"], True),
        (
            [
                "get_ipython().run_cell_magic('time', '', 'def f():\\n    return v.imread(1)')",
                "import cv2 as v",
            ],
            True,
        ),
        (["get_ipython().run_line_magic('time', 'import cv2 as v')", "v.resize(image, (1, 1))"], False),
        (["get_ipython().run_line_magic('time', 'print(1)')", "import cv2", "cv2.resize(1, 2)"], False),
        (["get_ipython().run_line_magic('w', '--of keras,cv2 --video')", "import cv2"], False),
        (["get_ipython().run_line_magic('timeit', '-n 1 from cv2 import imread')"], True),
        (["%matplotlib inline", "import cv2 as v", "v.blur(image, v.IMREAD_COLOR)"], False),
        (["%%time\nx = 1\nv.imread(1)", "import cv2 as v"], True),
        (["import cv2\n(cv2  # of a file\n .imread(1))", "x = cv2 \\\n .resize(1, 2)"], True),
        (["from cv2 import (\n    blur,\n    imread as see,\n)"], True),
        (["import cv2.dnn as nets\nnets.blur(1)"], True),
        (["import cv2\nfor name in ['imread']:\n    getattr(cv2, name)(1)"], True),
        (["import cv2  # reads files\ncv2.blur(1)", "x = dict(cv2='imread')"], False),
    ],
)
def test_opencv_in_magics_is_judged_whatever_the_order(cells, uses):
    manager = TransformerManager()
    assert kernel_setup._uses_opencv_files([manager.transform_cell(cell) for cell in cells]) is uses


def test_a_new_file_runs_again_only_who_lists_its_folder(site, render):
    write(site / "pictures" / "one.txt", "1")
    for name, code in (("reads", "open('pictures/one.txt').read()"), ("lists", "os.listdir('pictures')")):
        write(site / "lectures" / f"{name}.qmd", f"```{{python}}\nimport os\n{code}\n```\n")
    stdout(render())
    write(site / "pictures" / "two.txt", "2")
    done = dict(re.findall(r"lectures/(reads|lists)\.qmd \.\.\. [\d.]+ s, (.*)", stdout(render())))
    assert done["reads"] == "unchanged" and done["lists"].startswith("executed"), done


def test_what_a_page_writes_is_read_by_the_others_in_the_same_render(site, render):
    write(site / "lectures" / "reader.qmd", "```{python}\nprint('Value', open('data/x').read())\n```\n" * 3)
    write(
        site / "lectures" / "looker.qmd",
        "```{python}\nfrom pathlib import Path\np = Path('data/x')\n"
        "print('Value', p.read_text() if p.exists() else 'none')\n```\n" + "\n```{python}\n1\n```\n" * 3,
    )
    writer = site / "lectures" / "writer.qmd"
    code = "```{{python}}\nimport time\nfrom pathlib import Path\ntime.sleep(2)\n"
    code += "Path('data').mkdir(exist_ok=True)\n"
    code += "_ = Path('data/x').write_text('{}')\n```\n"
    for value in ("one", "two"):
        write(writer, code.format(value))
        stdout(render())
        for name in ("reader", "looker"):
            page = BeautifulSoup((site / "_site" / "lectures" / f"{name}.html").read_text("utf-8"), "lxml")
            found = [each.get_text().strip() for each in page.select(".cell-output-stdout")]
            assert set(found) == {f"Value {value}"}, (name, value)
        assert "executed" not in stdout(render())


def test_pages_that_write_what_each_other_reads_are_told(site, render):
    code = "```{{python}}\nfrom pathlib import Path\nPath('n').mkdir(exist_ok=True)\np = Path('n/{}')\n"
    code += "n = int(p.read_text()) if p.exists() else 0\n_ = Path('n/{}').write_text(str(n + 1))\n```\n"
    write(site / "lectures" / "a.qmd", code.format("a", "b"))
    write(site / "lectures" / "b.qmd", code.format("b", "a"))
    done = render()
    assert done.status == 1 and "qmd: other pages, or programs, go on changing" in done.err


def test_quarto_keeps_what_the_other_pages_computed_when_some_fail(site, here, monkeypatch, capsys):
    for name, code in (("good", "print(6 * 7)"), ("bad", "x\n1 / 0"), ("worse", "import none_such")):
        write(site / "lectures" / f"{name}.qmd", f"# {name}\n\n```{{python}}\n{code}\n```\n")
    monkeypatch.setenv("QUARTO_PROJECT_RENDER_ALL", "1")

    def pre_render():
        with pytest.raises(SystemExit) as ended:
            quarto_pre_render.main()
        return Done(ended.value.code, *capsys.readouterr())

    stale = site / "_freeze" / "lectures" / "bad" / "execute-results" / "html.json"
    write(stale, "{}")
    done = pre_render()
    assert done.status == 1
    told = [each for each in done.err.splitlines() if each.startswith("Error:")]
    assert [each.split(" ")[1] for each in told] == ["lectures/bad.qmd:4:", "lectures/worse.qmd:4:"]
    assert "2 pages are told below" in done.out and "python -m render" in done.out
    frozen = site / "_freeze" / "lectures" / "good" / "execute-results" / "html.json"
    assert "42" in json.loads(frozen.read_text(encoding="utf-8"))["result"]["markdown"]
    assert not stale.exists()
    for name in ("bad", "worse"):
        write(site / "lectures" / f"{name}.qmd", f"# {name}\n")
    done = pre_render()
    assert done.status == 0 and "lectures/good.qmd" in done.out and "executed" not in done.out


def test_result_edited_by_hand_is_refused(tmp_path):
    key, _ = saved(tmp_path)
    entry = next((tmp_path / ".render-cache" / "executed").iterdir())
    entry.write_text(entry.read_text(encoding="utf-8").replace("x = 1", "x = 9"), encoding="utf-8")
    assert reason(tmp_path, key) == "its cached result is damaged"


def test_failed_write_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    files.write_atomically(path, b"old")

    def full(*arguments):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        files.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]


def test_full_disk_is_told_in_one_line(render, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device", "_site/index.html")

    monkeypatch.setattr(render_site, "write_atomically", full)
    assert render()[::2] == (1, "\nError: _site/index.html: No space left on device\n")


# Failures -----------------------------------------------------------------------------------


def test_failing_cell_stops_and_leaves_the_page_whole(site, render):
    lecture = site / "lectures" / "01-a.qmd"
    write(lecture, "## T\n\nFirst.\n")
    stdout(render())
    page = site / "_site" / "lectures" / "01-a.html"
    before = page.read_bytes()
    write(lecture, "## T\n\n```{python}\n#| label: bad\n\ndef f():\n    return 1 / 0\n\nf()\n```\n")
    done = render()
    message = done.err
    assert done.status == 1
    assert "Error: lectures/01-a.qmd:9: cell 1 (bad) failed: ZeroDivisionError" in message
    assert "return 1 / 0" in message and "\x1b" not in message
    assert page.read_bytes() == before
    write(lecture, "## T\n\nSum: `{python} nothing_here`\n")
    done = render()
    assert done.status == 1
    assert "lectures/01-a.qmd:3: the inline expression" in done.err
    assert page.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("x\n\n![A](gone.png)\n", "lectures/01-a.qmd:3: the image 'gone.png' does not exist"),
        ("x\n\n[A](gone.html)\n", "lectures/01-a.qmd:3: the linked file 'gone.html'"),
        ("[A](../other.qmd)\n", "lectures/01-a.qmd:1: the linked file '../other.qmd'"),
        ("![A](https://example.org/a.png)\n", "lectures/01-a.qmd:1: 'https://example.org/a.png'"),
        ("![A](../../a.png)\n", "lies outside of the project"),
    ],
)
def test_references_that_lead_nowhere(site, render, text, named):
    write(site / "lectures" / "01-a.qmd", text)
    done = render("lectures/01-a.qmd")
    assert done.status == 1
    assert named in done.err
    assert not (site / "_site" / "lectures").exists()


def test_unknown_citation(site, render):
    write(site / "r.bib", "@book{known, title={T}, author={A}, year={2000}}\n")
    write(site / "lectures" / "01-a.qmd", "---\nbibliography: ../r.bib\n---\n\nx\n\n[@unknown]\n")
    done = render("lectures/01-a.qmd")
    assert done.status == 1
    message = done.err
    assert "lectures/01-a.qmd:7: the citation @unknown is not in the bibliography" in message


def test_references_end_the_notes_where_no_place_is_given(site, render):
    write(site / "r.bib", "@book{known, title={T}, author={Ann Bee}, year={2000}}\n")
    write(
        site / "lectures" / "01-a.qmd",
        "---\nbibliography: ../r.bib\n---\n\n## First\n\nSee [@known].[^n]\n\n[^n]: Note.\n",
    )
    stdout(render())
    text = (site / "_site" / "lectures" / "01-a.html").read_text(encoding="utf-8")
    soup = BeautifulSoup(text, "lxml")
    ends = soup.select("main > div#quarto-appendix > section")
    titles = [each.find(class_="quarto-appendix-heading").get_text() for each in ends]
    assert titles == ["Footnotes", "References"]
    assert ends[1].select_one("#refs #ref-known") is not None
    assert soup.find("section", id="first").select("#refs") == []


@needs_ctrl_c
def test_interrupted_render_leaves_the_page_whole_and_ends_the_kernel(site, render, tmp_path):
    lecture = site / "lectures" / "01-a.qmd"
    write(lecture, "## T\n\nFirst.\n")
    stdout(render())
    page = site / "_site" / "lectures" / "01-a.html"
    before = page.read_bytes()
    mark = tmp_path / "kernel"
    write(
        lecture,
        "```{python}\nimport os, time\nfrom pathlib import Path\n"
        f"Path({str(mark)!r}).write_text(str(os.getpid()))\ntime.sleep(300)\n```\n",
    )
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(
        [sys.executable, "-m", "render", "--engine", "pip"],
        cwd=site,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        deadline = time.monotonic() + 120
        while not (mark.exists() and mark.read_text(encoding="utf-8")):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Stopped." in errors.decode("utf-8")
    assert page.read_bytes() == before
    assert not list(site.rglob(".*.html.*"))
    kernel = int(mark.read_text(encoding="utf-8"))
    deadline = time.monotonic() + 5
    while psutil.pid_exists(kernel):
        assert time.monotonic() < deadline, "the kernel is still alive"
        time.sleep(0.1)


def test_old_pages_go(site, render):
    write(site / "lectures" / "01-a.qmd", "x\n")
    write(site / "lectures" / "02-b.qmd", "x\n")
    stdout(render())
    (site / "lectures" / "02-b.qmd").unlink()
    assert "removed lectures/02-b.html" in stdout(render())
    assert sorted(path.name for path in (site / "_site" / "lectures").glob("*.html")) == [
        "01-a.html",
        "01-a.slides.html",
    ]


# Engines ------------------------------------------------------------------------------------


def fake_quarto(folder: Path, version: str, status: int = 0) -> None:
    folder.mkdir(exist_ok=True)
    script = folder / "quarto"
    script.write_text(
        "#!/bin/sh\n"
        f'if [ "$1" = --version ]; then echo {version}; exit 0; fi\n'
        f'echo "fake: $* with $QUARTO_PYTHON"; exit {status}\n',
        encoding="utf-8",
    )
    script.chmod(0o755)


needs_shell = pytest.mark.skipif(os.name == "nt", reason="Quarto's stand-in is a shell script")


@needs_shell
def test_quarto_is_used_where_it_is_new_enough(site, tmp_path, here, monkeypatch, capfd):
    tools = tmp_path / "tools"
    fake_quarto(tools, "1.7.0")
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    assert main([]) == 0
    output = capfd.readouterr().out
    assert "Rendering with Quarto 1.7.0" in output
    assert f"fake: render with {sys.executable}" in output
    assert main(["--engine", "pip"]) == 0
    output = capfd.readouterr().out
    assert "pip-only" in output and "fake" not in output
    fake_quarto(tools, "1.10.3", status=3)
    assert main(["index.qmd"]) == 1
    written = capfd.readouterr()
    assert "status 3" in written.err and f"fake: render {site / 'index.qmd'}" in written.out


@needs_shell
def test_old_quarto_is_not_used(site, tmp_path, monkeypatch, capsys):
    tools = tmp_path / "tools"
    fake_quarto(tools, "1.6.42")
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    assert engine.choose("auto") is None
    assert "is 1.6.42; version 1.7 or later is needed" in capsys.readouterr().out
    with pytest.raises(RenderError, match="1.6.42"):
        engine.choose("quarto")


def test_without_quarto(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert engine.choose("auto") is None
    with pytest.raises(RenderError, match="make quarto"):
        engine.choose("quarto")


# Other commands -----------------------------------------------------------------------------

LECTURE = """\
---
title: "A lecture"
---

## First {.smaller}

Prose with `{python} 1 + 1` and a [file](../data/a.txt).

::: {.content-visible when-format="revealjs"}
Slides only.
:::

::: {.callout-note title="Mind"}
Kept.
:::

::: {.notes}
Spoken.
:::

```{python}
#| label: fine
#| fig-cap: "C"
print("live", 6 * 7)
```

```{python}
#| error: true
1 / 0
```

```{python}
#| eval: false
shown_only
```
"""


def test_notebooks(site, as_notebooks):
    write(site / "lectures" / "01-a.qmd", LECTURE)
    write(site / "data" / "a.txt", "x")
    assert "01-a.ipynb" in stdout(as_notebooks("out folder"))
    path = site / "out folder" / "01-a.ipynb"
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    kinds = [cell.cell_type for cell in notebook.cells]
    assert kinds == ["markdown", "markdown", "code", "code", "markdown"]
    prose = notebook.cells[1].source
    assert prose.startswith("## First\n")
    assert "[file](../data/a.txt)" in prose and "`1 + 1`" in prose
    assert "**Mind**" in prose and "Kept." in prose
    assert "Slides only" not in prose and "Spoken" not in prose and ":::" not in prose
    assert notebook.cells[2].source == 'print("live", 6 * 7)'
    assert notebook.cells[2].metadata["quarto"] == {"label": "fine", "fig-cap": "C"}
    assert notebook.cells[3].metadata["tags"] == ["raises-exception"]
    assert "shown_only" in notebook.cells[4].source
    assert "index" not in {each.stem for each in path.parent.iterdir()}
    before = path.stat().st_mtime_ns
    stdout(as_notebooks("out folder"))
    assert path.stat().st_mtime_ns == before


def test_plain_run_prints_as_it_goes_and_stops_at_a_failure(site):
    first, second = site / "lectures" / "01-a.qmd", site / "lectures" / "02-b.qmd"
    write(first, LECTURE)
    write(second, "```{python}\nx = 1\n```\n\n```{python}\n#| label: no\nassert x == 2\n```\n")
    done = run_render(site, "lectures/01-a.qmd", module="tools.train")
    output = done.stdout.decode("utf-8")
    assert done.returncode == 0, done.stderr.decode("utf-8")
    assert "live 42" in output and "--- lectures/01-a.qmd:21 cell 1 (fine)" in output
    done = run_render(site, "lectures/02-b.qmd", "lectures/01-a.qmd", module="tools.train")
    assert done.returncode == 1
    assert "lectures/02-b.qmd:5: cell 2 (no) failed: AssertionError" in done.stderr.decode("utf-8")
    assert "live 42" not in done.stdout.decode("utf-8")


@needs_ctrl_c
def test_interrupted_plain_run_stops_at_once(site):
    write(
        site / "lectures" / "01-a.qmd",
        "```{python}\nimport time\nprint('started', flush=True)\ntime.sleep(300)\n```\n\n"
        "```{python}\nprint('next cell')\n```\n",
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.train", "lectures/01-a.qmd"],
        cwd=site,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        seen = b""
        while b"started" not in seen:
            line = process.stdout.readline()
            assert line, process.communicate()
            seen += line
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert b"next cell" not in output and b"Stopped." in errors


def test_a_page_that_quarto_renders_alone_is_left_to_it(site, here, monkeypatch):
    monkeypatch.delenv("QUARTO_PROJECT_RENDER_ALL", raising=False)
    with pytest.raises(SystemExit) as done:
        quarto_pre_render.main()
    assert done.value.code == 0 and not (site / "_freeze").exists()


def test_pages_can_be_named(site, render):
    write(site / "lectures" / "01-a.qmd", "x\n")
    output = stdout(render("lectures/01-a.qmd"))
    assert "[1/1] lectures/01-a.qmd" in output
    assert not (site / "_site" / "index.html").exists()
    done = render("lectures/09-none.qmd")
    assert done.status == 1
    assert "'lectures/09-none.qmd' is no .qmd file of the project" in done.err


@pytest.mark.parametrize(("old", "new"), sorted(MOVED.items()))
def test_old_commands_say_what_to_type_now(site, render, old, new):
    done = render(old)
    assert done.status == 1 and f"`python -m tools.{new}` now" in done.err
    assert (REPOSITORY / "tools" / f"{new}.py").is_file()


def test_a_new_drawing_is_written_though_the_text_is_the_same(site, render):
    lecture = site / "lectures" / "01-a.qmd"
    plot = "```{{python}}\n#| echo: false\nimport helper\n\nhelper.SVG(helper.drawing({}))\n```\n"
    helper = "from IPython.display import SVG\n\ndrawing = '<svg id=\"a{}\"/>'.format\n"
    write(site / "helper.py", helper)
    write(lecture, plot.format(1))
    stdout(render("lectures/01-a.qmd"))
    write(lecture, plot.format(2))
    stdout(render("lectures/01-a.qmd"))
    drawing = site / "_site" / "lectures" / "01-a_files" / "figure-html" / "cell-2-output-1.svg"
    assert "a2" in drawing.read_text(encoding="utf-8")


def test_record_of_a_page_is_json(site, render):
    stdout(render())
    record = site / ".render-cache" / "pages" / "index.qmd.json"
    assert set(json.loads(record.read_text(encoding="utf-8"))) == {"inputs", "outputs", "copies"}

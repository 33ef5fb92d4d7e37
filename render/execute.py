"""Running the cells of one document in a fresh kernel."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .project import PageFormat
from .qmd import Cell, Document, Markdown, RenderError, inline_expressions

SETUP = Path(__file__).with_name("kernel_setup.py")
# Colours, links and window titles, and the short ones.
ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\|$)|[ -/]*[0-~])")
KERNEL_MODULE = "_course_render_kernel"
MODULE = f"__import__('sys').modules[{KERNEL_MODULE!r}]"


@dataclass(frozen=True)
class Step:
    """One thing to run: a cell, or the inline expressions of a run of Markdown."""

    block: int
    source: str
    allow_error: bool = False
    expressions: tuple[str, ...] = ()


@dataclass
class Execution:
    """Results of a document, as a notebook, and the files that its kernel reported.

    The notebook has a code cell per step that ran; `metadata.block` is the index of the block in the
    document, and inline results are in `metadata.expressions`.
    """

    notebook: dict[str, Any]
    record: dict[str, Any]


def setting(cell: Cell, page: PageFormat, name: str) -> Any:
    """An execution option of a cell: its own `#|` line or the page's default."""
    return cell.options.get(name, page.settings["execute"][name])


def steps(document: Document, page: PageFormat) -> list[Step]:
    """What to run, in order; cells with `eval: false` are left out."""
    result = []
    for index, block in enumerate(document.blocks if page.settings["execute"]["enabled"] else ()):
        if isinstance(block, Cell):
            if setting(block, page, "eval") and block.source:
                result.append(Step(index, block.source, setting(block, page, "error")))
        elif expressions := inline_expressions(block):
            result.append(Step(index, "", expressions=tuple(expressions)))
    return result


def environment(root: Path) -> dict[str, str]:
    """The variables of this process and of the project's file `_environment`, which Quarto reads too."""
    file = root / "_environment"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return {**dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#"), **os.environ}


def kernel_environment(figures: tuple, root: Path) -> dict[str, str]:
    """The variables of the kernel, with figure settings as Quarto names them."""
    width, height, form, dpi = figures
    return {
        **environment(root),
        "QUARTO_FIG_WIDTH": f"{width:g}",
        "QUARTO_FIG_HEIGHT": f"{height:g}",
        "QUARTO_FIG_FORMAT": form,
        "QUARTO_FIG_DPI": str(dpi),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


async def execute(
    document: Document, page: PageFormat, root: Path, progress: Callable[[int, int], None]
) -> Execution:
    """Run every step of a document in one fresh kernel, in the project's folder.

    Parameters
    ----------
    progress : callable
        Called before each step with the number of steps done and of all steps.

    Raises
    ------
    RenderError
        A cell or an inline expression failed, or the kernel died; the message has the traceback.
    """
    import nbformat
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpecManager
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    from .client import NotebookClient

    pending = steps(document, page)
    notebook = nbformat.v4.new_notebook()
    for step in pending:
        cell = nbformat.v4.new_code_cell(step.source, metadata={"block": step.block})
        if step.allow_error:
            cell.metadata["tags"] = ["raises-exception"]
        notebook.cells.append(cell)
    this_python = KernelSpecManager(kernel_dirs=[])  # whatever kernels are installed
    client = NotebookClient(
        notebook,
        km=AsyncKernelManager(kernel_spec_manager=this_python),
        timeout=None,
        store_widget_state=False,
        shutdown_kernel="immediate",
        resources={"metadata": {"path": str(root)}},
    )
    done = 0
    try:
        await client.async_start_new_kernel(env=kernel_environment(page.figure_settings, root))
        await client.async_start_new_kernel_client()
        await _ask(client, _begin(page.figure_settings))
        for done, (step, cell) in enumerate(zip(pending, notebook.cells, strict=True)):
            progress(done, len(pending))
            block = document.blocks[step.block]
            if step.expressions:
                cell.metadata["expressions"] = await _inline(client, step.expressions, document, block)
                continue
            try:
                await client.async_execute_cell(cell, done)
            except CellExecutionError as error:
                raise _cell_error(document, block, cell, error) from None
            cell.outputs = _joined(cell.outputs)
        record = await _record(client)
    except RenderError as error:
        with contextlib.suppress(Exception):
            error.asked = frozenset((await _record(client))["read"])
        raise
    except DeadKernelError:
        # nbclient reports a cancelled task (Ctrl-C) as a dead kernel too.
        if asyncio.current_task().cancelling():
            raise asyncio.CancelledError from None
        block = document.blocks[pending[done].block]
        raise document.problem(
            f"the kernel died before or in step {done + 1} of {len(pending)}; "
            "perhaps the machine ran out of memory",
            block.line if isinstance(block, Cell) else block.lines[0].number,
        ) from None
    finally:
        await _stop(client)
    return Execution(json.loads(nbformat.writes(notebook, split_lines=False)), record)


async def _record(client: Any) -> dict[str, Any]:
    """What the kernel has seen until now (see `kernel_setup.report`)."""
    (answer,) = await _ask(client, "", f"{MODULE}.report()")
    return json.loads(ast.literal_eval(answer["data"]["text/plain"]))


async def _stop(client: Any) -> None:
    """End the kernel, also while this task is being cancelled."""
    process = getattr(getattr(client.km, "provisioner", None), "process", None)
    try:
        await asyncio.shield(client._async_cleanup_kernel())
    finally:
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()


def _joined(outputs: list) -> list:
    """Outputs with what was printed without a break as one: a slow cell sends it in pieces."""
    joined = []
    for each in outputs:
        last = joined[-1] if joined else None
        if last and each.output_type == last.output_type == "stream" and each.name == last.name:
            last.text += each.text
        else:
            joined.append(each)
    return joined


def _begin(figures: tuple) -> str:
    """Code that makes the set-up file a module of the kernel and starts it."""
    text = SETUP.read_text(encoding="utf-8")
    return (
        f"__import__('sys').modules[{KERNEL_MODULE!r}] = __import__('types').ModuleType({KERNEL_MODULE!r})\n"
        f"exec({text!r}, {MODULE}.__dict__)\n"
        f"{MODULE}.begin(*{figures!r})\n"
    )


async def _ask(client: Any, code: str, *expressions: str) -> list[dict[str, Any]]:
    """Run code without a trace in the history and return what the kernel answers to expressions."""
    asked = {str(number): each for number, each in enumerate(expressions)}
    message = client.kc.execute(code, silent=True, store_history=False, user_expressions=asked)
    content = (await client.async_wait_for_reply(message))["content"]
    if content["status"] != "ok":
        traceback = ANSI.sub("", "\n".join(content["traceback"]))
        raise RenderError(f"the kernel could not be prepared: {content['ename']}\n{traceback}")
    return [content["user_expressions"][number] for number in asked]


async def _inline(
    client: Any, expressions: tuple[str, ...], document: Document, block: Markdown
) -> list[dict[str, Any]]:
    """Kind and value of each inline expression of a run of Markdown (see `kernel_setup.inline`)."""
    answers = await _ask(client, "", *(f"{MODULE}.inline(({each}\n))" for each in expressions))
    results = []
    for expression, answer in zip(expressions, answers, strict=True):
        if answer["status"] != "ok":
            line = next((line for line in block.lines if expression in line.text), block.lines[0])
            problem = f"the inline expression `{expression}` failed: {answer['ename']}: {answer['evalue']}"
            raise document.problem(problem, line.number)
        kind, value = json.loads(ast.literal_eval(answer["data"]["text/plain"]))
        results.append({"expression": expression, "kind": kind, "value": value})
    return results


def _cell_error(document: Document, block: Cell, cell: Any, error: Any) -> RenderError:
    failed = [output for output in cell.outputs if output.output_type == "error"]
    traceback = ANSI.sub("", "\n".join(line for output in failed for line in output.traceback))
    places = re.findall(r"Cell In\[\d+\], line (\d+)", traceback)
    line = block.numbers[int(places[0]) - 1] if places else block.line
    message = f"{block.name} failed: {error.ename}: {ANSI.sub('', error.evalue)}\n\n{traceback}"
    return document.problem(message, line)

"""Running the cells of one document in a fresh kernel."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import RenderError
from .project import PageFormat
from .qmd import Cell, Document, inline_expressions

SETUP = Path(__file__).with_name("kernel_setup.py")
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Step:
    """One thing to run: a cell, or the inline expressions of a run of Markdown."""

    block: int
    source: str
    allow_error: bool = False
    expressions: tuple[str, ...] = ()


class Node(dict):
    """A mapping of a notebook whose keys are attributes too.

    It stands in for nbformat's own, whose import takes longer than rendering an unchanged site.
    """

    __getattr__ = dict.__getitem__

    @classmethod
    def of(cls, value: Any) -> Any:
        """A JSON value with every mapping in it as a node."""
        if isinstance(value, dict):
            return cls({key: cls.of(each) for key, each in value.items()})
        if isinstance(value, list):
            return [cls.of(each) for each in value]
        return value


@dataclass
class Execution:
    """Results of a document.

    Attributes
    ----------
    notebook: one code cell per step that ran; `metadata.block` is the index of the block in
        the document, and inline results are in `metadata.expressions`.
    record: what the kernel reported: lists `read`, `listed`, `written`, `modules` of paths.
    """

    notebook: Node
    record: dict[str, list[str]]


def setting(cell: Cell, page: PageFormat, name: str) -> Any:
    """An execution option of a cell: its own `#|` line or the page's default."""
    return cell.options.get(name, page.execute(name))


def steps(document: Document, page: PageFormat) -> list[Step]:
    """What to run, in order.

    Cells with `eval: false` are left out. Line lists in `eval` are not known and are an error.
    """
    result = []
    for index, block in enumerate(document.blocks):
        if isinstance(block, Cell):
            evaluate = setting(block, page, "eval")
            if not isinstance(evaluate, bool):
                raise RenderError(
                    f"`eval` must be true or false, not {evaluate!r}",
                    block.path,
                    block.option_places.get("eval", block.line),
                )
            if evaluate and block.source:
                allowed = setting(block, page, "error") is True
                result.append(Step(index, block.source, allowed))
            continue
        expressions = inline_expressions(_prose(block))
        if expressions:
            result.append(Step(index, "", expressions=tuple(expressions)))
    return result


def _prose(block: Any) -> str:
    return "".join("\n" if line.verbatim else line.text + "\n" for line in block.lines)


def kernel_environment(figures: tuple) -> dict[str, str]:
    """The variables of the kernel: this process's, and figure settings as Quarto names them."""
    width, height, form, dpi = figures
    environment = dict(os.environ)
    environment["QUARTO_FIG_WIDTH"] = f"{width:g}"
    environment["QUARTO_FIG_HEIGHT"] = f"{height:g}"
    environment["QUARTO_FIG_FORMAT"] = "png" if form == "retina" else form
    environment["QUARTO_FIG_DPI"] = str(dpi * 2 if form == "retina" else dpi)
    environment["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    return environment


def _manager():
    """A kernel manager for this very Python, whatever kernels are installed."""
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

    class ThisPython(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            return KernelSpec(
                argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
                display_name="Python 3",
                language="python",
            )

    return AsyncKernelManager(kernel_name="python3", kernel_spec_manager=ThisPython())


def _quicken_imports() -> None:
    """Import nbformat without a grammar compiler that takes longer than all the rest.

    jsonschema loads it, where installed, to check the format of URIs; notebooks have none, and
    jsonschema does without where the import fails, which None in `sys.modules` makes it do.
    """
    name = "rfc3987_syntax"
    if name in sys.modules or "jsonschema" in sys.modules:
        return
    sys.modules[name] = None
    try:
        import nbformat  # noqa: F401
    finally:
        del sys.modules[name]


async def execute(
    document: Document,
    page: PageFormat,
    root: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Execution:
    """Run every step of a document in one fresh kernel, in the project's folder.

    Parameters
    ----------
    document, page: what to run, and the format whose defaults and figure settings apply.
    root: the folder of the project, in which the kernel starts.
    progress: called before each step with the number of steps done and of all steps.

    Raises
    ------
    RenderError: a cell or an inline expression failed, or the kernel died; the message has
        file, line, cell and traceback.
    """
    todo = steps(document, page)
    if not todo:
        return Execution(Node(cells=[], metadata=Node()), {})
    _quicken_imports()
    import nbformat
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    from .client import NotebookClient

    notebook = nbformat.v4.new_notebook()
    for step in todo:
        cell = nbformat.v4.new_code_cell(step.source, metadata={"block": step.block})
        if step.allow_error:
            cell.metadata["tags"] = ["raises-exception"]
        notebook.cells.append(cell)
    client = NotebookClient(
        notebook,
        km=_manager(),
        timeout=None,
        store_widget_state=False,
        shutdown_kernel="immediate",
        resources={"metadata": {"path": str(root)}},
    )
    done = 0
    try:
        await client.async_start_new_kernel(env=kernel_environment(page.figure_settings))
        await client.async_start_new_kernel_client()
        await _ask(client, _begin(page.figure_settings), "0")
        for index, step in enumerate(todo):
            block = document.blocks[step.block]
            done = index
            progress(done, len(todo))
            if step.expressions:
                notebook.cells[index].metadata["expressions"] = await _inline(client, step.expressions, block)
                continue
            try:
                await client.async_execute_cell(notebook.cells[index], index)
            except CellExecutionError as error:
                raise _cell_error(block, notebook.cells[index], error) from None
            notebook.cells[index].outputs = _joined(notebook.cells[index].outputs)
        record = ast.literal_eval(
            await _ask(client, "", f"__import__('sys').modules[{KERNEL_MODULE!r}].report()")
        )
    except DeadKernelError:
        # nbclient reports a cancelled task (Ctrl-C) as a dead kernel too.
        if asyncio.current_task().cancelling():
            raise asyncio.CancelledError from None
        raise RenderError(
            f"the kernel died before or in step {done + 1} of {len(todo)}; "
            "perhaps the machine ran out of memory",
            document.name,
            _line_of(document, todo[done]),
        ) from None
    finally:
        await _stop(client)
    text = nbformat.writes(notebook, split_lines=False)
    return Execution(Node.of(json.loads(text)), json.loads(record))


KERNEL_MODULE = "_course_render_kernel"


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
        "def _begin():\n"
        "    import sys, types\n"
        f"    module = sys.modules[{KERNEL_MODULE!r}] = types.ModuleType({KERNEL_MODULE!r})\n"
        f"    exec({text!r}, module.__dict__)\n"
        f"    module.begin(*{figures!r})\n"
        "_begin()\n"
        "del _begin\n"
    )


async def _ask(client, code: str, expression: str) -> str:
    """Run code without a trace in the history and return the repr of an expression."""
    message = client.kc.execute(
        code, silent=True, store_history=False, user_expressions={"answer": expression}
    )
    content = (await client.async_wait_for_reply(message))["content"]
    answer = content.get("user_expressions", {}).get("answer", {})
    if content["status"] != "ok" or answer.get("status") != "ok":
        problem = content if content["status"] != "ok" else answer
        raise RenderError(
            "the kernel could not be prepared: "
            f"{problem.get('ename')}: {problem.get('evalue')}\n"
            + ANSI.sub("", "\n".join(problem.get("traceback", [])))
        )
    return answer["data"]["text/plain"]


async def _inline(client, expressions: tuple[str, ...], block: Any) -> list[dict[str, Any]]:
    """The display data of each inline expression of a run of Markdown."""
    names = {str(index): expression for index, expression in enumerate(expressions)}
    message = client.kc.execute("", store_history=False, user_expressions=names)
    content = (await client.async_wait_for_reply(message))["content"]
    results = []
    for index, expression in names.items():
        answer = content["user_expressions"][index]
        if answer["status"] != "ok":
            line = next((line for line in block.lines if expression in line.text), block.lines[0])
            raise RenderError(
                f"the inline expression `{expression}` failed: {answer['ename']}: {answer['evalue']}",
                line.path,
                line.number,
            )
        results.append({"expression": expression, "data": answer["data"]})
    return results


def _line_of(document: Document, step: Step) -> int:
    block = document.blocks[step.block]
    return block.line if isinstance(block, Cell) else block.lines[0].number


def _cell_error(block: Cell, cell: Any, error: Any) -> RenderError:
    traceback = ""
    for output in cell.outputs:
        if output.output_type == "error":
            traceback = ANSI.sub("", "\n".join(output.traceback))
    places = re.findall(r"Cell In\[\d+\], line (\d+)", traceback)
    line = block.code_line + int(places[0]) - 1 if places else block.line
    return RenderError(
        f"{block.name} failed: {error.ename}: {ANSI.sub('', error.evalue)}\n\n{traceback}", block.path, line
    )


async def _stop(client) -> None:
    """End the kernel, also while this task is being cancelled."""
    process = getattr(getattr(client.km, "provisioner", None), "process", None)
    try:
        await asyncio.shield(client._async_cleanup_kernel())
    finally:
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()

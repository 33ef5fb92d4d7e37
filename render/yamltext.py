"""YAML as Quarto reads it (version 1.2 scalars), with the line of every key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from .errors import RenderError


class _Loader(yaml.SafeLoader):
    """A safe loader in which `on`, `yes` and dates are text, as in YAML 1.2."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if not tag.endswith((":bool", ":timestamp"))]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)

KeyLines = dict[tuple, int]


def load_yaml(text: str, path: Path | str, first_line: int = 1) -> tuple[Any, KeyLines]:
    """Read one YAML document.

    Parameters
    ----------
    text: the YAML text.
    path, first_line: where the text stands, for error messages.

    Returns
    -------
    The value (None for an empty text) and a mapping from the path of each key, a tuple such as
    ("format", "html", "toc"), to its line.

    Raises
    ------
    RenderError: the text is not valid YAML, or a key occurs twice in one mapping.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
        if node is None:
            return None, {}
        lines: KeyLines = {}
        _collect_lines(node, (), lines, path, first_line)
        return yaml.load(text, Loader=_Loader), lines
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = first_line + mark.line if mark else first_line
        problem = getattr(error, "problem", None) or str(error)
        raise RenderError(f"this is not valid YAML: {problem}", path, line) from None


def _collect_lines(
    node: yaml.Node, prefix: tuple, lines: KeyLines, path: Path | str, first_line: int
) -> None:
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            key = prefix + (key_node.value,)
            line = first_line + key_node.start_mark.line
            if key in lines:
                raise RenderError(f"the key '{key_node.value}' is given twice", path, line)
            lines[key] = line
            _collect_lines(value_node, key, lines, path, first_line)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[prefix + (index,)] = first_line + item.start_mark.line
            _collect_lines(item, prefix + (index,), lines, path, first_line)

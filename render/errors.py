"""The one exception that the renderer raises for anything its user can mend."""

from __future__ import annotations

from pathlib import Path


class RenderError(Exception):
    """A problem in a source file, a cell or the project, told with its place.

    Parameters
    ----------
    message: what is wrong and what to do about it.
    path: the file that holds the problem, shown relative to the project where possible.
    line: the line in that file, counted from 1.
    """

    def __init__(self, message: str, path: Path | str | None = None, line: int | None = None):
        self.message = message
        self.path = path
        self.line = line
        super().__init__(message)

    def __str__(self) -> str:
        if self.path is None:
            return self.message
        place = str(self.path) if self.line is None else f"{self.path}:{self.line}"
        return f"{place}: {self.message}"

"""What an import or adoption did, and what it had to leave out."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tools.casia.gnt import Problem

_KEPT = 100


@dataclass
class Result:
    """What an import or adoption did."""

    folder: Path | None = None  # where the images are, None when there were none
    manifest: dict = field(default_factory=dict)
    others: int = 0  # files of other kinds, which were left alone
    notes: list[str] = field(default_factory=list)  # sentences worth printing
    reports: list[Problem] = field(default_factory=list)  # the first 100 problems
    kinds: Counter[str] = field(default_factory=Counter)  # all problems by kind

    @property
    def problems(self) -> int:
        """How many things could not be imported."""
        return self.kinds.total()

    def report(self, problem: Problem) -> None:
        """Count a problem, and keep it if it is among the first."""
        self.kinds[problem.kind] += 1
        if len(self.reports) < _KEPT:
            self.reports.append(problem)

    def described(self) -> dict:
        """The problems for a manifest, with paths reduced to file names."""
        first = []
        for kind, where, offset, message in self.reports:
            path, mark, inside = where.partition("!")
            file = Path(path).name + mark + inside
            first.append({"file": file, "byte": offset, "kind": kind, "message": message})
        return {"total": self.problems, "kinds": dict(sorted(self.kinds.items())), "first": first}

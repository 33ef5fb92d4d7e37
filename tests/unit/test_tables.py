"""Tables of the lectures: numbers to the right, with commas, and no index that only counts."""

from __future__ import annotations

from course.tables import show_table

import pandas as pd
import pytest
from bs4 import BeautifulSoup

TABLE = pd.DataFrame(
    {
        "layer": ["conv1", "fc6"],
        "parameters": [34_944, 37_752_832],
        "error": ["8.75 %", "7 %"],
        "share": [0.25, 0.75],
    }
)


def rendered(styled):
    """The texts of all cells by row, and the rules of the style sheet."""
    page = BeautifulSoup(styled.to_html(), "lxml")
    rows = [[cell.get_text(strip=True) for cell in row.find_all(["th", "td"])] for row in page.find_all("tr")]
    return rows, page.style.get_text() if page.style else ""


def right_aligned(rules):
    """The numbers of the columns that the style sheet moves to the right."""
    heads = [rule.split("{")[0] for rule in rules.split("}") if "text-align: right" in rule]
    return {int(part.rsplit(".col", 1)[1]) for head in heads for part in head.split(",")}


def test_numbers_stand_right_with_commas_and_without_an_index() -> None:
    rows, rules = rendered(show_table(TABLE, {"share": "{:.0%}"}))
    assert rows == [
        ["layer", "parameters", "error", "share"],
        ["conv1", "34,944", "8.75 %", "25%"],
        ["fc6", "37,752,832", "7 %", "75%"],
    ]
    assert right_aligned(rules) == {1, 3}


def test_texts_that_are_numbers_can_stand_right_too() -> None:
    _, rules = rendered(show_table(TABLE, right=["error"]))
    assert right_aligned(rules) == {1, 2, 3}


def test_an_index_with_names_is_shown() -> None:
    rows, _ = rendered(show_table(TABLE.set_index("layer").rename_axis(None)))
    assert [row[0] for row in rows[1:]] == ["conv1", "fc6"]


def test_row_numbers_with_gaps_are_left_out_and_missing_numbers_are_empty() -> None:
    table = pd.DataFrame({"a": [1.0, None, 3.0]}).iloc[[0, 1]]
    rows, _ = rendered(show_table(table, {"a": "{:.1f}"}))
    assert rows == [["a"], ["1.0"], [""]]


@pytest.mark.parametrize("options", [{"right": ["eror"]}, {"formats": {"eror": "{:.0%}"}}])
def test_a_wrong_column_is_named(options) -> None:
    with pytest.raises(KeyError, match="eror"):
        show_table(TABLE, **options)

"""Tables for slides and notes: numbers stand below one another, large ones have commas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from pandas.io.formats.style import Styler


def show_table(
    table: pd.DataFrame, formats: Mapping[str, str] | None = None, right: Sequence[str] = ()
) -> Styler:
    """Style a table: columns of numbers to the right, texts to the left.

    Whole numbers get commas, missing ones an empty cell. An index of row numbers is left out. `formats` of
    single columns are as pandas's `Styler.format` takes them; `right` are columns of texts that are numbers
    as well, such as "8.75 %".
    """
    table[[*(formats or {}), *right]]  # a KeyError names a column that is not there
    whole = {name: "{:,}" for name in table if pd.api.types.is_integer_dtype(table[name])}
    numbers = [name for name in table if pd.api.types.is_numeric_dtype(table[name])]
    styled = table.style.format({**whole, **(formats or {})}, na_rep="")
    # By table styles and not by cell: pages style cells more strongly than a single cell's style.
    to_the_right = [{"selector": "", "props": "text-align: right"}]
    styled.set_table_styles(dict.fromkeys((*numbers, *right), to_the_right), overwrite=False)
    return styled.hide() if pd.api.types.is_integer_dtype(table.index) else styled

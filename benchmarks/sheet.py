"""How well filled sheets are read from simulated photos: `python -m benchmarks.sheet [--photos N]`.

Prints, for each condition of `tests.photographed_sheets`: the share of boxes cut within 5 % of their side,
written boxes kept, empty boxes skipped, and how well the cut ink covers the true ink (intersection over
union).
"""

import time
from collections import defaultdict

import numpy as np
import pandas as pd

from benchmarks._common import end, options, show
from tests.photographed_sheets import CONDITIONS, measure, simulated


def main() -> None:
    """Print the table."""
    given = options(__doc__, photos=56, seed=1)
    results, taken = defaultdict(list), []
    for number in range(given.photos):
        name = list(CONDITIONS)[number % len(CONDITIONS)]
        taking = simulated(name, given.seed + number)
        start = time.perf_counter()
        results[name].append(measure(*taking))
        taken.append(time.perf_counter() - start)
    results["all"] = [result for each in results.values() for result in each]
    rows = []
    for name, each in results.items():
        values = {key: pd.Series(np.concatenate([result[key] for result in each])) for key in each[0]}
        shares = {"within 5 %": (values["offsets"] <= 0.05).mean()}
        shares |= {"kept": values["kept"].mean(), "skipped": values["skipped"].mean()}
        worst, agreement = values["offsets"].max(), values["agreement"].median()
        row = {"condition": name, "photos": len(each), **shares, "worst offset": worst, "ink IoU": agreement}
        rows.append(row)
    show(f"{np.median(taken):.2f} s a photo to find, cut and clean", rows)
    end([f"{key}: {share:.1%} of all, below 99%" for key, share in shares.items() if share < 0.99])


if __name__ == "__main__":
    main()

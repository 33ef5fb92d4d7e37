"""Checks of exercise 5, tuning."""

import itertools

from course.checks import (
    as_array,
    as_number,
    as_tuple,
    call,
    call_for_number,
    expect,
    fail,
    shuffled_table,
    task,
)

import numpy as np


@task(1, "the score")
def deviance(function):
    """A function (counts, expected) -> float, against scikit-learn's."""
    from sklearn.metrics import mean_poisson_deviance

    rng = np.random.default_rng(2026)
    shown = "poisson_deviance(counts, expected)"
    for lowest in (1,) * 10 + (0,) * 10:
        n = int(rng.integers(5, 40))
        counts = np.maximum(rng.poisson(2, size=n), lowest)
        counts[0] = lowest
        expected = rng.uniform(0.3, 5, size=n)
        with np.errstate(all="ignore"):
            value = call(function, counts, expected, shown=shown)
        if isinstance(value, (float, np.floating)) and not np.isfinite(value):
            fail(f"{shown} is {value}. Some people have no visit: what is their first term?")
        value = as_number(value, "The deviance")
        right = mean_poisson_deviance(counts, expected)
        some = counts > 0
        mistakes = {
            "It returns the sum, not the mean over people.": right * n,
            "It is half of what it should be. Which factor of the formula is missing?": right / 2,
            "It leaves out the people without a visit. They are in the mean like all others: only one "
            "of their terms vanishes.": mean_poisson_deviance(counts[some], expected[some]),
        }
        otherwise = f"For {n} random people {shown} is {value:.4f}; scikit-learn says {right:.4f}."
        expect(value, right, mistakes, otherwise)


@task(2, "which learning rates")
def rate(function):
    """A function (u, low, high) -> rates, by what a log-uniform distribution must do."""
    rng = np.random.default_rng(2026)
    for _ in range(10):
        low = float(10 ** rng.uniform(-6, -3))
        high = low * float(10 ** rng.uniform(1, 4))
        u = np.sort(np.append([0.0, 0.5], rng.random(50)))
        shown = f"log_uniform(u, {low:.2g}, {high:.2g})"
        rates = as_array(call(function, u, low, high, shown=shown), u.shape, shown)
        if (rates <= 0).any():
            fail(f"{shown} has negative numbers among its results. That is the exponent, not yet the rate.")
        if not np.isclose(rates[0], low):
            fail(
                f"At u = 0 it gives {rates[0]:.3g}, not the lowest rate, {low:.3g}. Do logarithm "
                "and power have the same base?"
            )
        middle = rates[np.flatnonzero(u == 0.5)[0]]
        if np.isclose(middle, (low + high) / 2):
            fail(
                f"Half of the draws lie above {middle:.3g}: you draw uniformly between the ends. "
                "Draw the logarithm so."
            )
        steps = np.diff(np.log(rates)) / np.diff(u)
        if not np.allclose(steps, steps[0], rtol=1e-4):
            fail("Equal steps in u should multiply the rate by equal factors, and they do not.")
        top = float(np.asarray(call(function, np.array([1.0]), low, high, shown=shown))[0])
        if not np.isclose(top, high, rtol=1e-6):
            fail(f"As u nears 1 the rate should near {high:.3g}, but it nears {top:.3g}.")


@task(3, "how many trials")
def budget(function):
    """A function (share, chance) -> int, against products of misses."""

    def found(n: int) -> float:
        return 1.0 - float(np.prod(np.full(n, 1.0 - share)))

    for share, chance in itertools.product((0.3, 0.2, 0.1, 0.05, 0.02, 0.5), (0.5, 0.8, 0.9, 0.95, 0.99)):
        shown = f"trials_needed({share}, {chance})"
        value = call_for_number(function, share, chance, shown=shown)
        if value != int(value) or value < 0:
            fail(f"{shown} is {value:g}. It should be a whole number of trials.")
        value = int(value)
        if found(value) >= chance - 1e-12 and (value == 0 or found(value - 1) < chance - 1e-12):
            continue
        if value == int(np.ceil(chance / share)):
            fail(
                f"{shown} is {value}. So many trials hold {chance} good ones on average; the "
                "chance of at least one is another matter."
            )
        gives = f"{shown} is {value}, which gives a chance of {found(value):.4f}"
        if found(value) < chance <= found(value + 1) + 1e-12:
            fail(f"{gives}: one too few.")
        fail(f"{gives}. What is the chance that every trial misses, and how large may it be?")


@task(4, "the leak")
def leak(function):
    """A function (table) -> (setting, deviance), on tables where each way to choose differs."""
    rng = np.random.default_rng(2026)
    shown = "honest_report(table)"
    honest, lucky, leaked = 0, 1, 2
    for _ in range(20):
        names = [f"setting {k}" for k in rng.permutation(9)[:6]]
        seeds = int(rng.integers(3, 6))
        validation = rng.uniform(4.2, 4.6, size=(6, 1)) + rng.uniform(0, 0.05, size=(6, seeds))
        test = rng.uniform(4.2, 4.6, size=(6, 1)) + rng.uniform(0, 0.05, size=(6, seeds))
        validation[honest] = 4.0 + rng.uniform(0, 0.02, size=seeds)
        validation[lucky] = 4.3
        validation[lucky, 0] = 3.8
        test[leaked] = 3.7 + rng.uniform(0, 0.02, size=seeds)
        rows = [
            {"setting": names[k], "seed": s, "validation": validation[k, s], "test": test[k, s]}
            for k in range(6)
            for s in range(seeds)
        ]
        answer = call(function, shuffled_table(rng, rows), shown=shown)
        setting, value = as_tuple(answer, 2, f"{shown} should return two things, (setting, deviance)")
        value = as_number(value, "The deviance")
        if setting == names[leaked]:
            fail("The test set chooses. Then it can no longer judge: its score was picked for being small.")
        if setting == names[lucky]:
            fail("One lucky seed decides. That setting is poor from every other seed.")
        if setting != names[honest]:
            fail(
                f"It chooses {setting!r}, but {names[honest]!r} has the smallest mean on the "
                "set that is there for choosing."
            )
        mistakes = {
            "The setting is right, but the number comes from the set that chose it. It was chosen for "
            "being small, so it is too rosy.": validation[honest].mean()
        }
        otherwise = (
            f"The setting is right, but its deviance is {value:.4f}. Average all its seeds on "
            "the set that played no part in the choice."
        )
        expect(value, test[honest].mean(), mistakes, otherwise, rtol=1e-5)


@task(5, "gain or luck")
def gain(function):
    """A function (before, after) -> float, against the paired t statistic of SciPy."""
    from scipy import stats

    rng = np.random.default_rng(2026)
    shown = "gain_in_standard_errors(before, after)"
    for _ in range(20):
        n = int(rng.integers(5, 13))
        shared = rng.normal(4, 0.2, size=n)
        before = shared + rng.normal(0.05, 0.03, size=n)
        after = shared + rng.normal(0, 0.03, size=n)
        value = call_for_number(function, before, after, shown=shown, what="The gain")
        right = float(stats.ttest_rel(before, after).statistic)
        unpaired = stats.ttest_ind(before, after, equal_var=False).statistic
        mistakes = {
            "The sign is the wrong way round: a smaller deviance afterwards is a gain.": -right,
            "You divide by the spread of one seed, not by that of the mean. A mean of many seeds is "
            "surer than one.": right / np.sqrt(n),
            "Nearly: which divisor belongs under the sum of squares when the mean is estimated from "
            "the same numbers?": right / np.sqrt((n - 1) / n),
            "You compare two clouds of dots. The seeds are the same, so compare seed by seed: what they "
            "share then drops out.": unpaired,
        }
        otherwise = f"For {n} random pairs {shown} is {value:.3f}, and it should be {right:.3f}."
        expect(value, right, mistakes, otherwise)

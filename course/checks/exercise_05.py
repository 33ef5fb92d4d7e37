"""Checks of exercise 5, tuning."""

import itertools

from course.checks import array_from, as_number, as_tuple, call, expect, fail, number_from, seed_table, task

import numpy as np
from scipy import stats
from sklearn.metrics import mean_poisson_deviance


@task(1, "the score")
def deviance(function, rng):
    """A function (counts, expected) -> float, against scikit-learn's."""
    for lowest in (1,) * 10 + (0,) * 10:
        n = int(rng.integers(5, 40))
        counts = np.maximum(rng.poisson(2, size=n), lowest)
        counts[0] = lowest
        expected = rng.uniform(0.3, 5, size=n)
        with np.errstate(all="ignore"):
            shown, value = call(function, counts, expected)
        if isinstance(value, (float, np.floating)) and not np.isfinite(value):
            fail(f"{shown} is {value}. Some people have no visit: what is their first term?")
        some, right = counts > 0, mean_poisson_deviance(counts, expected)
        mistakes = {
            "It is the sum, not the mean over people.": right * n,
            "It is half of what it should be. Which factor of the formula is missing?": right / 2,
            "It leaves out the people without a visit. They count like all others: only one of their "
            "terms vanishes.": mean_poisson_deviance(counts[some], expected[some]),
        }
        expect(shown, as_number(value, shown), right, mistakes, f"scikit-learn says {right:.4f}.")


@task(2, "which learning rates")
def rate(function, rng):
    """A function (u, low, high) -> rates, by what a log-uniform distribution must do."""
    for _ in range(10):
        low = float(10 ** rng.uniform(-6, -3))
        high = low * float(10 ** rng.uniform(1, 4))
        u = np.sort(np.append([0.0, 0.5, 1.0], rng.random(50)))
        shown, rates = array_from(function, u, low, high, shape=u.shape)
        if (rates <= 0).any():
            fail(f"{shown} has negative numbers among its results. That is the exponent, not yet the rate.")
        first, middle, top = rates[0], rates[u == 0.5][0], rates[-1]
        if not np.isclose(first, low):
            fail(f"At u = 0 {shown} gives {first:.3g}. Do logarithm and power have the same base?")
        if np.isclose(middle, (low + high) / 2):
            fail(f"Half the draws lie above {middle:.3g}: you draw uniformly. Draw the logarithm so.")
        steps = np.diff(np.log(rates)) / np.diff(u)
        if not np.allclose(steps, steps[0], rtol=1e-4):
            fail("Equal steps in u should multiply the rate by equal factors, and they do not.")
        fail(f"As u nears 1, {shown} nears {top:.3g}.", when=not np.isclose(top, high, rtol=1e-6))


@task(3, "how many trials")
def budget(function):
    """A function (share, chance) -> int, against products of misses."""

    def found(n: float) -> float:
        return 1.0 - float(np.prod(np.full(int(n), 1.0 - share)))

    for share, chance in itertools.product((0.3, 0.2, 0.1, 0.05, 0.02, 0.5), (0.5, 0.8, 0.9, 0.95, 0.99)):
        shown, value = number_from(function, share, chance)
        right = next(n for n in itertools.count() if found(n) >= chance - 1e-12)
        mistakes = {
            "It should be a whole number of trials.": value != int(value) or value < 0,
            f"So many give {chance} good ones on average: not at least one.": np.ceil(chance / share),
            "One too few.": right - 1,
        }
        expect(shown, value, right, mistakes, "What is the chance that every trial misses?")


@task(4, "the leak")
def leak(function, rng):
    """A function (table) -> (setting, deviance), on tables where each way to choose differs."""
    honest, lucky, leaked = 0, 1, 2
    for _ in range(20):
        names = [f"setting {k}" for k in rng.permutation(9)[:6]]
        seeds = int(rng.integers(3, 6))
        validation, test = rng.uniform(4.2, 4.6, size=(2, 6, 1)) + rng.uniform(0, 0.05, size=(2, 6, seeds))
        validation[honest] = 4.0 + rng.uniform(0, 0.02, size=seeds)
        validation[lucky] = 4.3
        validation[lucky, 0] = 3.8
        test[leaked] = 3.7 + rng.uniform(0, 0.02, size=seeds)
        shown, answer = call(function, seed_table(rng, "setting", names, validation=validation, test=test))
        setting, value = as_tuple(answer, 2, f"{shown} should return two things, (setting, deviance)")
        value = as_number(value, "The deviance")
        if setting == names[leaked]:
            fail("The test set chooses. Then it can no longer judge: its score was picked for being small.")
        fail("One lucky seed decides. The setting is poor from every other.", when=setting == names[lucky])
        if setting != names[honest]:
            fail(f"It chooses {setting!r}. By its mean on the set for choosing, {names[honest]!r} is better.")
        mistakes = {
            "The setting is right, but the number comes from the set that chose it. It was chosen for "
            "being small, so it is too rosy.": validation[honest].mean()
        }
        otherwise = "The setting is right. Average all its seeds on the set that had no part in the choice."
        expect("The deviance", value, test[honest].mean(), mistakes, otherwise, rtol=1e-5)


@task(5, "gain or luck")
def gain(function, rng):
    """A function (before, after) -> float, against the paired t statistic of SciPy."""
    for _ in range(20):
        n = int(rng.integers(5, 13))
        shared = rng.normal(4, 0.2, size=n)
        before, after = (shared + rng.normal(mean, 0.03, size=n) for mean in (0.05, 0))
        right = float(stats.ttest_rel(before, after).statistic)
        unpaired = stats.ttest_ind(before, after, equal_var=False).statistic
        of_one_seed = right / np.sqrt(n)
        mistakes = {
            "The sign is the wrong way round: a smaller deviance afterwards is a gain.": -right,
            "You divide by the spread of one seed, not by that of the mean, which is surer.": of_one_seed,
            "Nearly: which divisor belongs under the sum of squares when the mean is estimated from "
            "the same numbers?": right / np.sqrt((n - 1) / n),
            "You compare two clouds of dots. Compare seed by seed: what they share drops out.": unpaired,
        }
        otherwise = f"For these {n} random pairs it should be {right:.3f}."
        expect(*number_from(function, before, after), right, mistakes, otherwise)

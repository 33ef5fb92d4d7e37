# %% [markdown]
# # Exercise 5: tuning, and not fooling yourself
#
# *Goes with lecture 5. One hour.*
#
# A search always finds a best trial. Whether it found anything is another question. You write the
# score, draw the learning rates, plan the budget, choose without cheating, and then judge the
# gain against luck, on the scores of lecture 5.
#
# The check below each task says what is wrong, so run it early and often. It gives no marks.

# %%
import course  # chooses Keras's torch backend, so it comes before keras

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from course.checks import exercise_05 as check
from course.interactive import explore
from course.paths import CACHE
from course.plots import use_course_style
from course.models.claims import load_claims

use_course_style()

claims = load_claims()
visits = claims.loc[claims["part"] == "test", "visits"].to_numpy()
scores = pd.read_csv(CACHE / "tuning" / "claims_seeds" / "scores.csv")
scores.groupby("network")[["validation", "test"]].mean()

# %% [markdown]
# ## Task 1: the score (12 minutes)
#
# Claim counts are scored by the **Poisson deviance**. For one person with count $y$ and expected
# count $\mu$ it is
#
# $$2\left(y \log\frac{y}{\mu} - (y - \mu)\right),$$
#
# and the score of a model is its mean over people. Many people have no visit at all. What is
# the first term then, as a limit?
#
# <details><summary>Hint</summary>
#
# NumPy says `nan` for $0 \cdot \log 0$. Work out the limit of $y \log y$ as $y$ falls to 0, and let
# `np.where` or a function of `scipy.special` take care of that case.
# </details>

# %% task="deviance"
def poisson_deviance(counts, expected):
    """The mean Poisson deviance, a float.

    counts: whole numbers from 0, shape (n,). expected: positive numbers, shape (n,).
    """
    # --- solution ---
    logs = np.log(np.where(counts > 0, counts, 1) / expected)
    return float(np.mean(2 * (counts * logs - counts + expected)))
    # --- end ---

# %% wrong="deviance" says="no visit"
def poisson_deviance(counts, expected):
    with np.errstate(all="ignore"):
        return np.mean(2 * (counts * np.log(counts / expected) - counts + expected))

# %% wrong="deviance" says="sum, not"
def poisson_deviance(counts, expected):
    logs = np.log(np.maximum(counts, 1) / expected)
    return np.sum(2 * (counts * logs - counts + expected))

# %% wrong="deviance" says="factor"
def poisson_deviance(counts, expected):
    logs = np.log(np.maximum(counts, 1) / expected)
    return np.mean(counts * logs - counts + expected)

# %% wrong="deviance" says="people without a visit"
def poisson_deviance(counts, expected):
    counts, expected = counts[counts > 0], expected[counts > 0]
    return np.mean(2 * (counts * np.log(counts / expected) - counts + expected))

# %% check="deviance"
check.deviance(poisson_deviance)

levels = np.linspace(1, 6, 101)
curve = [poisson_deviance(visits, np.full(len(visits), level)) for level in levels]
plt.figure(figsize=(7, 3.4))
plt.plot(levels, curve)
plt.axvline(visits.mean(), color="C1", label=f"mean count {visits.mean():.2f}")
plt.xlabel("Expected visits, the same for all")
plt.ylabel("Mean Poisson deviance")
plt.legend();

# %% [markdown]
# ## Task 2: which learning rates? (10 minutes)
#
# A search shall try learning rates between 0.0001 and 0.01. Suppose it draws them **uniformly**.
# Predict before you go on: of 100 draws, how many lie below 0.001?
#
# That is why one draws **log-uniformly**: as many between 0.0001 and 0.001 as between 0.001 and
# 0.01. Turn a number $u$, uniform on $[0, 1)$, into such a rate.
#
# <details><summary>Hint</summary>
#
# What has a uniform distribution here? Draw that, then undo the function that led there. Test the
# ends: which rate must $u = 0$ give?
# </details>

# %% task="rate"
def log_uniform(u, low, high):
    """A log-uniform number between low and high for each uniform number in u (an array)."""
    # --- solution ---
    return low * (high / low) ** u
    # --- end ---

# %% wrong="rate" says="uniformly"
def log_uniform(u, low, high):
    return low + u * (high - low)

# %% wrong="rate" says="exponent"
def log_uniform(u, low, high):
    return np.log10(low) + u * (np.log10(high) - np.log10(low))

# %% wrong="rate" says="base"
def log_uniform(u, low, high):
    return np.exp(np.log10(low) + u * (np.log10(high) - np.log10(low)))

# %% check="rate"
check.rate(log_uniform)

u = np.random.default_rng(1).random(2000)
fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
for axis, rates, title in zip(
        axes, (1e-4 + u * (1e-2 - 1e-4), log_uniform(u, 1e-4, 1e-2)), ("uniform", "log-uniform")):
    axis.hist(np.log10(rates), bins=np.linspace(-4, -2, 17))
    axis.set(xlabel="log10 of the learning rate", title=title)
axes[0].set_ylabel("Draws of 2,000");

# %% [markdown]
# ## Task 3: how many trials? (10 minutes)
#
# You would be content with any setting among the best 5 per cent of all. Random search draws
# settings independently. How many trials give you a chance of at least 95 per cent that one of
# them is that good?
#
# Guess first. Then move the slider to see how the chance grows.

# %%
def show_chance(percent):
    """The chance that at least one of n random trials is among the best, against n."""
    trials = np.arange(0, 101)
    plt.figure(figsize=(7, 3.2))
    plt.plot(trials, 1 - (1 - percent / 100) ** trials)
    plt.axhline(0.95, color="0.5", linestyle="--")
    plt.xlabel("Trials")
    plt.ylabel("Chance of at least one")
    plt.ylim(0, 1.02)
    plt.title(f"Content with the best {percent} per cent")
    plt.show()


explore(show_chance, percent=(5, 1, 20))

# %% [markdown]
# Now the number itself, for any share and any chance, by arithmetic.
#
# <details><summary>Hint</summary>
#
# What is the chance that every single trial misses? Set it against what you allow, take
# logarithms, and mind the direction of the inequality when you divide by a negative number.
# </details>

# %% task="budget"
def trials_needed(share, chance):
    """The smallest whole number of trials: at least one lies in the best `share`, with `chance`."""
    # --- solution ---
    return int(np.ceil(np.log1p(-chance) / np.log1p(-share) - 1e-9))
    # --- end ---

# %% wrong="budget" says="on average"
def trials_needed(share, chance):
    return int(np.ceil(chance / share))

# %% wrong="budget" says="one too few"
def trials_needed(share, chance):
    return int(np.floor(np.log(1 - chance) / np.log(1 - share)))

# %% wrong="budget" says="every trial"
def trials_needed(share, chance):
    return int(np.ceil(np.log(chance) / np.log(1 - share)))

# %% check="budget"
check.budget(trials_needed)

for share in (0.2, 0.05, 0.01):
    print(f"best {share:.0%}: {trials_needed(share, 0.95)} trials")

# %% [markdown]
# ## Task 4: find the leak (14 minutes)
#
# A colleague has tried settings, each from several seeds, and reports the best:

# %%
def report_with_leak(table):
    """The best setting and the score to expect from it."""
    best = table.loc[table["test"].idxmin()]
    return best["setting"], best["test"]


# %% [markdown]
# The table has the columns `setting`, `seed`, `validation` and `test` (deviances: smaller is
# better). Two things are wrong with the report, and both make it rosier than the truth. Here is what it
# promises when all settings are in truth alike, with a deviance of 4:

# %%
rng = np.random.default_rng(5)
alike = pd.DataFrame([
    {"setting": setting, "seed": seed,
     "validation": 4 + 0.05 * rng.standard_normal(), "test": 4 + 0.05 * rng.standard_normal()}
    for setting in range(20) for seed in range(5)])
print(f"promised: {report_with_leak(alike)[1]:.3f}")

# %% [markdown]
# Write an honest report: which set chooses, which set judges, and what is one lucky seed worth?
#
# <details><summary>Hint</summary>
#
# Average over the seeds first, `table.groupby("setting")`. Then choose with one column and report
# the other.
# </details>

# %% task="leak"
def honest_report(table):
    """The setting to choose and the deviance to expect from it: (setting, float)."""
    # --- solution ---
    means = table.groupby("setting")[["validation", "test"]].mean()
    chosen = means["validation"].idxmin()
    return chosen, float(means.loc[chosen, "test"])
    # --- end ---

# %% wrong="leak" says="test set chooses"
def honest_report(table):
    means = table.groupby("setting")[["validation", "test"]].mean()
    return means["test"].idxmin(), means["test"].min()

# %% wrong="leak" says="lucky seed"
def honest_report(table):
    best = table.loc[table["validation"].idxmin()]
    return best["setting"], best["test"]

# %% wrong="leak" says="chosen for being small"
def honest_report(table):
    means = table.groupby("setting")["validation"].mean()
    return means.idxmin(), means.min()

# %% check="leak"
check.leak(honest_report)

print(f"honest: {honest_report(alike)[1]:.3f}")

# %% [markdown]
# ## Task 5: gain or luck? (14 minutes)
#
# Lecture 5 fitted several networks from the same ten seeds. Read the plot first: would you say that tuning
# helped? Write down yes or no.

# %%
fig, axis = plt.subplots(figsize=(8, 3.2))
for place, (network, rows) in enumerate(scores.groupby("network", sort=False)):
    axis.plot(rows["test"], np.full(len(rows), place), "o", alpha=0.6)
axis.set(yticks=range(scores["network"].nunique()), yticklabels=scores["network"].unique(),
         xlabel="Test deviance, one dot a seed");

# %% [markdown]
# Now in numbers. The seeds are the same for both networks, so compare them seed by seed: take the
# differences *before − after*, their mean, and divide it by its standard error. About 2 or more
# is hard to explain by luck alone.
#
# <details><summary>Hint</summary>
#
# The standard error of a mean of $n$ numbers is their standard deviation divided by $\sqrt n$. The
# standard deviation is estimated from the same few numbers: which divisor, $n$ or $n-1$?
# </details>

# %% task="gain"
def gain_in_standard_errors(before, after):
    """Mean paired gain over its standard error. before, after: deviances, shape (seeds,)."""
    # --- solution ---
    gains = np.asarray(before) - np.asarray(after)
    return float(gains.mean() / (gains.std(ddof=1) / np.sqrt(len(gains))))
    # --- end ---

# %% wrong="gain" says="one seed, not"
def gain_in_standard_errors(before, after):
    gains = before - after
    return gains.mean() / gains.std(ddof=1)

# %% wrong="gain" says="seed by seed"
def gain_in_standard_errors(before, after):
    n = len(before)
    return (before.mean() - after.mean()) / np.sqrt(before.var(ddof=1) / n + after.var(ddof=1) / n)

# %% wrong="gain" says="sign"
def gain_in_standard_errors(before, after):
    gains = after - before
    return gains.mean() / (gains.std(ddof=1) / np.sqrt(len(gains)))

# %% wrong="gain" says="divisor"
def gain_in_standard_errors(before, after):
    gains = before - after
    return gains.mean() / (gains.std() / np.sqrt(len(gains)))

# %% check="gain"
check.gain(gain_in_standard_errors)

by_network = scores.pivot(index="seed", columns="network", values="test")
for network in by_network.columns.drop("default"):
    gain = gain_in_standard_errors(by_network["default"].to_numpy(), by_network[network].to_numpy())
    print(f"default to {network}: {gain:+.1f} standard errors")

# %% [markdown]
# **To discuss.** Your company spends a week of computing on a search, and the tuned network gains
# three standard errors over the default. A GLM does as well as both. What do you recommend, and what do
# the standard errors leave out?

# %% [markdown] solution=true
# Three standard errors say that the gain over the default is no accident of the seeds. They say nothing
# about other data: all seeds share one training set and one test set, so the sampling error of the
# people in it is left out. Next year's portfolio may rank the models otherwise. A GLM that does as
# well costs less, can be explained to a regulator line by line, and does not depend on a seed.
# Keep it, and note what the network would have to beat.

"""Checks of exercise 4, recognising handwriting."""

from types import SimpleNamespace

from course.checks import array_from, as_count, as_tuple, at_least, call, expect, fail, number_from, task

import numpy as np
import torch


@task(1, "a fair average")
def balanced(function, rng):
    """A function (truth, predicted) -> float, on small cases that can be counted by hand."""

    def ask(truth, predicted) -> float:
        return number_from(function, truth, predicted)[1]

    one_scarce = np.repeat([0, 1], [98, 2])
    value = ask(one_scarce, np.zeros(100, dtype=int))
    if np.isclose(value, 0.98):
        if np.isclose(ask(one_scarce, np.repeat([0, 1], [96, 4])), 0.75):
            fail("You average over what the characters were taken for. Average over what they are.")
        fail("You give every image the same weight: 0.98, where one of two characters is never read right.")
    # Copies of one character's images, all read alike, must not change the result.
    for _ in range(20):
        truth = rng.integers(0, 5, size=40)
        predicted = np.where(rng.random(40) < 0.6, truth, rng.integers(0, 5, size=40))
        value = ask(truth, predicted)
        fail(f"It gives {value:g}, which is no share.", when=not 0 <= value <= 1)
        copied = truth == truth[0]
        copies = (np.append(each, each[copied]) for each in (truth, predicted))
        if not np.isclose(value, ask(*copies)):
            fail("It changes when all of one character come twice. Group by what it is, not what it seems.")
        if not np.isclose(value, ask(truth * 2, predicted * 2)):
            fail("It also counts labels that do not occur in the truth. They can't be read right or wrong.")
    equal = np.repeat([0, 1, 2], 10)
    guess = rng.permutation(equal)
    if not np.isclose(ask(equal, guess), np.mean(equal == guess)):
        fail("Where all characters are equally frequent it should equal the plain accuracy.")


@task(2, "the bugs")
def read_one(function, rng):
    """A function (network, image, class_names) -> (character, probability)."""
    names = list("abcdef")

    def ask(logits) -> tuple[str, float]:
        def predict(images, **_):
            """Like a Keras model: wants a batch of images, gives a batch of logits."""
            if np.shape(images) != (1, 8, 6, 1):
                raise ValueError(f"expected a batch of one image, (1, 8, 6, 1), and got {np.shape(images)}")
            return np.array([logits], dtype="float32")

        with np.errstate(all="ignore"):
            answer = call(function, SimpleNamespace(predict=predict), np.ones((8, 6, 1)), names)[1]
        character, chance = as_tuple(answer, 2, "It should return two things, a character and a probability")
        chance = np.asarray(chance, dtype=float)
        fail(f"The probability should be one number, but has shape {chance.shape}.", when=chance.size != 1)
        return character, chance.item()

    logits = rng.permutation([3.0, 0.5, 0.0, -1.0, -2.0, 1.5])
    character, chance = ask(logits)
    largest = names[int(np.argmax(logits))]
    fail(f"It reads {character!r}; the largest logit belongs to {largest!r}.", when=character != largest)
    fail(f"The probability is {chance:.3g}: that is the logit, not a probability.", when=not 0 <= chance <= 1)
    # Of two classes with all others hopeless, the odds are the exponential of the difference.
    gap, two = rng.uniform(0.5, 2), np.full(6, -60.0)
    two[[1, 4]] = [gap, 0]
    sure = ask(two)[1]
    add_up = "Do the probabilities of all characters add up to 1?"
    if not np.isclose(sure / max(1 - sure, 1e-12), np.exp(gap), rtol=1e-3):
        fail(f"With the logits {gap:.2f} and 0, and the rest hopeless, it says {sure:.3f}. {add_up}")
    if not np.isclose(ask(logits + 5)[1], chance, rtol=1e-3):
        fail(f"Adding 5 to every logit changes the probability. {add_up}")
    large = ask(logits + 800)[1]
    if not np.isclose(large, chance, rtol=1e-3):
        fail(f"With large logits, around 800, the probability is {large}. The exponential overflows.")


@task(3, "which two")
def confused(function, rng):
    """A function (truth, predicted) -> (a, b, errors), on tables of errors made for the purpose."""

    def ask(cases) -> tuple[str, tuple[int, ...]]:
        truth, predicted = np.repeat([case[:2] for case in cases], [case[2] for case in cases], axis=0).T
        order = rng.permutation(len(truth))
        shown, answer = call(function, truth[order], predicted[order])
        three = as_tuple(answer, 3, f"{shown} should return three numbers, (a, b, errors)")
        return shown, tuple(as_count(each, "Each of the three") for each in three)

    for _ in range(10):
        a, b, c, d = (int(each) for each in rng.permutation(9)[:4])
        low, high = sorted((a, b))
        often = int(rng.integers(5, 9))
        # a and b are confused `often` times each way, c with d a little more, but one way.
        cases = [(a, b, often), (b, a, often), (c, d, often + 2), (a, c, 1), (d, b, 2)]
        right = low, high, 2 * often
        shown, found = ask(cases)
        mistakes = {
            "You count one direction. A pair counts both ways, a for b and b for a.": found[2] == often + 2,
            "The pair is right, but the order is not: the smaller label first.": (high, low, 2 * often),
        }
        otherwise = f"{2 * often} errors are between {low} and {high}, more than of any other pair."
        expect(shown, found, right, mistakes, otherwise)
        if ask([*cases, (a, a, 50), (c, c, 60)])[1] != right:
            fail("Characters that are read right count as well. Leave them out first.")


@task(4, "the temperature")
def temperature(function, rng):
    """A function (logits, truth, temperatures) -> the best of them, on labels drawn for it."""
    for start, stop in ((0.413, 2.967), (0.313, 1.487)):
        grid = rng.permutation(np.round(np.linspace(start, stop, 14), 3))
        logits = rng.normal(scale=3, size=(500, 6))
        noise = rng.gumbel(size=logits.shape)  # the largest of logit + noise follows the softmax
        truth = (logits / np.median(grid) + noise).argmax(axis=1)

        def losses_of(factors: np.ndarray) -> np.ndarray:
            loss, labels = torch.nn.functional.cross_entropy, torch.from_numpy(truth)
            return np.array([loss(torch.from_numpy(logits * each), labels).item() for each in factors])

        losses, multiplied = losses_of(1 / grid), losses_of(grid)
        # The first one shall tell a choice by accuracy, where all are equal, from others.
        k = min(set(range(14)) - {losses.argmin(), losses.argmax(), multiplied.argmin()})
        grid, losses, multiplied = (np.roll(each, -k) for each in (grid, losses, multiplied))
        shown, value = number_from(function, logits, truth, grid)
        if not np.isclose(value, grid).any():
            if value == losses.argmin():
                fail(f"{shown} is {value:g}, the position of the best temperature. Return what stands there.")
            fail(f"{shown} is {value:g}, which is none of the temperatures it was given.")
        position = int(np.abs(grid - value).argmin())
        mistakes = {
            "You multiply the logits by T. Dividing by T > 1 makes a network modest.": multiplied.argmin(),
            f"At T = {value:g} the log loss is the largest of all. Choose the smallest.": losses.argmax(),
            "It returns the first of the list. Every T has the same accuracy, since it never changes which "
            "character is read. Choose by the log loss.": 0,
        }
        otherwise = f"At T = {value:g} the log loss is {losses[position]:.4f}, elsewhere {losses.min():.4f}."
        expect("", position, losses.argmin(), mistakes, f"{otherwise} Is it that of the true labels?")


@task(5, "whom to ask")
def refer(function, rng):
    """A function (confidence, cost_of_error, capacity) -> boolean array."""
    for _ in range(30):
        n = int(rng.integers(20, 60))
        confidence = rng.permutation(rng.beta(6, 1, size=n))
        cost, capacity = round(rng.uniform(3, 60), 1), round(rng.uniform(0.05, 0.9), 2)
        shown, answer = array_from(function, confidence, cost, capacity, shape=(n,), dtype="bool")
        answer, people = answer.astype(bool), int(answer.sum())
        if people > capacity * n + 1e-9:
            fail(f"{shown} sends {people} of {n} to people, more than their capacity of {capacity:.0%}.")
        saved = cost - cost * confidence - 1  # what a person saves on average, above the fee
        sent, kept = confidence[answer].max(initial=0), confidence[~answer]
        sends = f"{shown} sends a character of confidence {sent:.3f} to a person"
        if (saved[answer] < 0).any():
            fail(f"{sends}. An error of cost {cost:.1f} is so unlikely there that it does not pay.")
        if kept.min(initial=1) < sent:
            fail(f"{sends}, but not one about which the network is less sure ({kept.min():.3f}).")
        if people + 1 <= capacity * n and (saved[~answer] > 0).any():
            idle = f"{shown} leaves people idle, though one would pay off for a confidence of"
            fail(f"{idle} {kept[saved[~answer] > 0].max():.3f}. At which do the two costs meet?")


@task(6, "the alarm")
def alarm(function, rng):
    """A function (referred, p, level) -> int, against sums of binomial probabilities."""

    def ask(referred, p, level) -> tuple[str, int]:
        shown, value = call(function, referred, p, level)
        return shown, as_count(value, f"{shown} for {len(referred)} characters", len(referred))

    never = "But nothing is referred. It should be 0: never."
    expect(*ask(np.zeros(30, dtype=bool), 0.1, 0.01), 0, {}, never)
    cases = []
    for _ in range(40):
        p, level = float(rng.choice([0.05, 0.1, 0.2])), float(rng.choice([0.01, 0.001]))
        referred = rng.random(60) < rng.choice([p, 0.4, 0.7])
        counts = list(enumerate(np.cumsum(referred).tolist(), 1))
        or_more, more = (np.array([at_least(k + extra, n, p) for n, k in counts]) for extra in (0, 1))
        right, of_more = (int(np.append(np.flatnonzero(each <= level) + 1, 0)[0]) for each in (or_more, more))
        if abs(or_more - level).min() > 1e-9:
            cases.append((*ask(referred, p, level), right, of_more, or_more))
    early = all(found == right - 1 for _, found, right, *_ in cases if right)
    only_more = all(found == of_more for _, found, _, of_more, _ in cases)
    for shown, found, right, _, or_more in cases:
        first = f"At {right} so many or more have a probability of only {or_more[right - 1]:.5f}."
        mistakes = {
            "The alarm comes one too early, always: characters are counted from 1.": early,
            "It takes the probability of more referrals. The task asks for so many or more.": only_more,
            f"The smallest probability of so many or more is {min(or_more):.4f}. It should be 0.": not right,
            f"So it stays silent. {first}": not found,
        }
        otherwise = f"There so many or more have a probability of {or_more[found - 1]:.4f}. {first}"
        expect(shown, found, right, mistakes, otherwise)

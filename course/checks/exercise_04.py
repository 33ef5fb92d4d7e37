"""Checks of exercise 4, recognising handwriting."""

from course.checks import as_number, as_tuple, brief, call, call_for_number, expect, fail, task

import numpy as np


@task(1, "a fair average")
def balanced(function):
    """A function (truth, predicted) -> float, on small cases that can be counted by hand."""
    one_scarce = np.repeat([0, 1], [98, 2])

    def ask(truth, predicted, shown="balanced_accuracy"):
        truth, predicted = np.asarray(truth), np.asarray(predicted)
        return call_for_number(function, truth, predicted, shown=shown, what="The balanced accuracy")

    shown = "balanced_accuracy for 98 images of character 0 read right and 2 of character 1 misread"
    value = ask(one_scarce, np.zeros(100, dtype=int), shown)
    if np.isclose(value, 0.98):
        if np.isclose(ask(one_scarce, [0] * 96 + [1] * 4), 0.75):
            fail("You average over what the characters were taken for. Average over what they are.")
        fail(
            f"{shown} gives {value:g}. You give every image the same weight, not every "
            "character; here one of two characters is never read right."
        )
    # Copies of one character's images, all read alike, must not change the result.
    rng = np.random.default_rng(2026)
    shown = "balanced_accuracy for random labels"
    for _ in range(20):
        truth = rng.integers(0, 5, size=40)
        predicted = np.where(rng.random(40) < 0.6, truth, rng.integers(0, 5, size=40))
        value = ask(truth, predicted, shown)
        if not 0 <= value <= 1:
            fail(f"It gives {value:g}, which is no share.")
        copied = truth == truth[0]
        more = ask(np.append(truth, truth[copied]), np.append(predicted, predicted[copied]), shown)
        if not np.isclose(value, more):
            fail(
                "When all images of one character come twice, read as before, the result changes. "
                "It should not: group by what the character is, not by what it was taken for."
            )
        if not np.isclose(value, ask(truth * 2, predicted * 2, "balanced_accuracy for labels 0, 2, 4, …")):
            fail(
                "It also counts labels that do not occur in the truth. Only characters that occur "
                "can be read right or wrong."
            )
    equal = np.repeat([0, 1, 2], 10)
    guess = rng.permutation(equal)
    if not np.isclose(ask(equal, guess), np.mean(equal == guess)):
        fail("Where all characters are equally frequent it should equal the plain accuracy.")
    if not np.isclose(ask(one_scarce, np.append(np.zeros(98, int), [1, 0])), 0.75):
        fail(
            "Character 0 is always read right, character 1 every other time: that should give the "
            "mean of these two shares."
        )


class _Network:
    """Answers like a Keras model: wants a batch of images, gives a batch of logits."""

    def __init__(self, logits: np.ndarray, shape: tuple[int, ...]):
        self.logits, self.shape = logits, shape

    def predict(self, images, **_):
        shape, wanted = np.shape(images), (1, *self.shape)
        if shape != wanted:
            raise ValueError(f"expected a batch of one image, shape {wanted}, and got {shape}")
        return self.logits[np.newaxis].astype("float32")


@task(2, "the bugs")
def read_one(function):
    """A function (network, image, class_names) -> (character, probability)."""
    rng = np.random.default_rng(2026)
    names = list("abcdef")
    shape = (8, 6, 1)
    add_up = "Do the probabilities of all characters add up to 1?"

    def ask(logits):
        network, image = _Network(np.asarray(logits, dtype=float), shape), rng.integers(0, 256, size=shape)
        with np.errstate(all="ignore"):
            answer = call(function, network, image, names, shown="read_one(network, image, class_names)")
        if not isinstance(answer, tuple) or len(answer) != 2:
            fail(f"It should return two things, a character and a probability, not {brief(answer)}.")
        return answer

    logits = rng.permutation([3.0, 0.5, 0.0, -1.0, -2.0, 1.5])
    character, chance = ask(logits)
    largest = names[int(np.argmax(logits))]
    if character != largest:
        fail(f"It reads {brief(character)}, where the largest logit belongs to {largest!r}.")
    chance = np.asarray(chance, dtype=float)
    if chance.shape not in ((), (1,)):
        fail(f"The probability should be one number, but has shape {chance.shape}.")
    chance = float(chance.reshape(()))
    if not 0 <= chance <= 1:
        fail(f"The probability is {chance:.3g}: that is the logit, not a probability.")
    # Of two classes with all others hopeless, the odds are the exponential of the difference.
    gap = rng.uniform(0.5, 2)
    two = np.full(6, -60.0)
    two[[1, 4]] = [gap, 0]
    sure = float(ask(two)[1])
    if not np.isclose(sure / max(1 - sure, 1e-12), np.exp(gap), rtol=1e-3):
        fail(f"With the logits {gap:.2f} and 0, and the rest hopeless, it says {sure:.3f}. {add_up}")
    if not np.isclose(float(ask(logits + 5)[1]), chance, rtol=1e-3):
        fail(f"Adding 5 to every logit changes the probability. {add_up}")
    large = float(ask(logits + 800)[1])
    if not np.isclose(large, chance, rtol=1e-3):
        fail(f"With large logits, around 800, the probability is {large}. The exponential overflows.")


@task(3, "which two")
def confused(function):
    """A function (truth, predicted) -> (a, b, errors), on tables of errors made for the purpose."""
    rng = np.random.default_rng(2026)

    def ask(cases):
        truth, predicted = np.repeat([case[:2] for case in cases], [case[2] for case in cases], axis=0).T
        order = rng.permutation(len(truth))
        answer = call(function, truth[order], predicted[order], shown="most_confused(truth, predicted)")
        three = as_tuple(answer, 3, "It should return three numbers, (a, b, errors)")
        return tuple(int(as_number(each, "Each of the three")) for each in three)

    for _ in range(10):
        a, b, c, d = (int(each) for each in rng.permutation(9)[:4])
        low, high = sorted((a, b))
        often = int(rng.integers(5, 9))
        # a and b are confused `often` times each way, c with d a little more, but one way.
        cases = [(a, b, often), (b, a, often), (c, d, often + 2), (a, c, 1), (d, b, 2)]
        found = ask(cases)
        if found[2] == often + 2:
            fail("You count one direction. A pair counts both ways: a taken for b and b for a.")
        turned = (high, low, 2 * often)
        mistakes = {"The pair is right, but the order is not: the smaller label first.": turned}
        otherwise = (
            f"For errors of which {2 * often} are between {low} and {high}, more than any "
            f"other pair, it says {brief(found)}."
        )
        expect(found, (low, high, 2 * often), mistakes, otherwise)
        found = ask([*cases, (a, a, 50), (c, c, 60)])
        if found != (low, high, 2 * often):
            fail("Characters that are read right count as well. Leave them out first.")


@task(4, "the temperature")
def temperature(function):
    """A function (logits, truth, temperatures) -> the best of them, on labels drawn for it."""
    import torch

    rng = np.random.default_rng(2026)
    for start, stop in ((0.413, 2.967), (0.313, 1.487)):
        grid = rng.permutation(np.round(np.linspace(start, stop, 14), 3))
        logits = rng.normal(scale=3, size=(500, 6))
        noise = rng.gumbel(size=logits.shape)  # the largest of logit + noise follows the softmax
        truth = (logits / np.median(grid) + noise).argmax(axis=1)

        def loss(scaled: np.ndarray) -> float:
            return torch.nn.functional.cross_entropy(torch.from_numpy(scaled), torch.from_numpy(truth)).item()

        losses = np.array([loss(logits / each) for each in grid])
        multiplied = np.array([loss(logits * each) for each in grid])
        while 0 in (losses.argmin(), losses.argmax(), multiplied.argmin()):
            # The first one shall tell a choice by accuracy, where all are equal, from others.
            order = rng.permutation(len(grid))
            grid, losses, multiplied = grid[order], losses[order], multiplied[order]
        shown = "fit_temperature(logits, truth, temperatures)"
        value = call_for_number(function, logits, truth, grid, shown=shown, what="T")
        if not np.isclose(value, grid).any():
            if value == losses.argmin():
                fail(
                    f"It returns {value:g}, which is the position of the best temperature. Return "
                    "the temperature at that position."
                )
            fail(f"It returns {value:g}, which is none of the temperatures it was given.")
        position = int(np.abs(grid - value).argmin())
        mistakes = {
            "You multiply the logits by T. Dividing by a T above 1 makes a network modest, multiplying "
            "makes it bolder.": multiplied.argmin(),
            f"At T = {value:g} the log loss is the largest of all. Choose the smallest.": losses.argmax(),
            "It returns the first temperature of the list. Every T has the same accuracy, since it never "
            "changes which character is read. Choose by the log loss.": 0,
        }
        otherwise = (
            f"At T = {value:g} the mean log loss is {losses[position]:.4f}, but elsewhere it is "
            f"{losses.min():.4f}. Is it the probability of the true label whose log you take?"
        )
        expect(position, losses.argmin(), mistakes, otherwise)


@task(5, "whom to ask")
def refer(function):
    """A function (confidence, cost_of_error, capacity) -> boolean array."""
    rng = np.random.default_rng(2026)
    for _ in range(30):
        n = int(rng.integers(20, 60))
        confidence = rng.permutation(rng.beta(6, 1, size=n))
        cost, capacity = float(rng.uniform(3, 60)), float(rng.uniform(0.05, 0.9))
        shown = f"refer(confidence, {cost:.1f}, {capacity:.2f})"
        answer = np.asarray(call(function, confidence, cost, capacity, shown=shown))
        if answer.shape != (n,) or answer.dtype != bool:
            kind = f"{answer.dtype} of shape {answer.shape}"
            fail(f"{shown} should be a boolean array of shape ({n},), but is {kind}.")
        if answer.sum() > capacity * n + 1e-9:
            fail(
                f"{shown} sends {answer.sum()} of {n} characters to people, more than their "
                f"capacity of {capacity:.0%}."
            )
        saved = cost - cost * confidence - 1  # what a person saves on average, above the fee
        sent, kept = confidence[answer], confidence[~answer]
        sends = f"{shown} sends a character of confidence {sent.max(initial=0):.3f} to a person"
        if (saved[answer] < 0).any():
            fail(f"{sends}. An error of cost {cost:.1f} is so unlikely there that it does not pay.")
        if kept.min(initial=1) < sent.max(initial=0):
            fail(f"{sends}, but not one about which the network is less sure ({kept.min():.3f}).")
        if answer.sum() + 1 <= capacity * n and (saved[~answer] > 0).any():
            fail(
                f"{shown} leaves people idle, though a person would pay off for a character of "
                f"confidence {kept[saved[~answer] > 0].max():.3f}. At which confidence do the two costs meet?"
            )


@task(6, "the alarm")
def alarm(function):
    """A function (referred, p, level) -> int, against sums of binomial probabilities."""
    from math import comb

    def tail(k: int, n: int, p: float) -> float:
        return sum(comb(n, each) * p**each * (1 - p) ** (n - each) for each in range(k, n + 1))

    def ask(referred, p, level):
        shown = f"alarm(referred, {p}, {level})"
        value = call_for_number(function, referred, p, level, shown=shown, what="The alarm")
        if value != int(value) or not 0 <= value <= len(referred):
            fail(f"For {len(referred)} characters it returns {value:g}.")
        return int(value)

    quiet = ask(np.zeros(30, dtype=bool), 0.1, 0.01)
    if quiet:
        fail(f"Nothing is referred, and yet the alarm sounds at {quiet}. It should return 0: never.")
    rng = np.random.default_rng(2026)
    cases = []
    for _ in range(40):
        p, level = float(rng.choice([0.05, 0.1, 0.2])), float(rng.choice([0.01, 0.001]))
        referred = rng.random(60) < rng.choice([p, 0.4, 0.7])
        found = ask(referred, p, level)
        counts = np.cumsum(referred).tolist()
        or_more = [tail(k, n, p) for n, k in enumerate(counts, 1)]
        if any(abs(each - level) < 1e-9 for each in or_more):
            continue
        more = [tail(k + 1, n, p) for n, k in enumerate(counts, 1)]
        right, of_more = (
            next((n for n, each in enumerate(chances, 1) if each <= level), 0) for chances in (or_more, more)
        )
        cases.append((found, right, of_more, or_more))
    wrong = [case for case in cases if case[0] != case[1]]
    if not wrong:
        return
    if all(found == right - 1 for found, right, *_ in cases if right):
        fail("The alarm comes one too early, always: characters are counted from 1.")
    if all(found == of_more for found, _, of_more, _ in cases):
        fail("It takes the probability of more referrals than there are. The task asks for so many or more.")
    found, right, _, or_more = wrong[0]
    if found and not right:
        fail(
            f"It sounds at {found}, though the probability of so many referrals or more never "
            f"falls to the level: the smallest is {min(or_more):.4f}. It should return 0 then."
        )
    if found:
        fail(
            f"It sounds at {found}, where so many referrals or more have a probability of "
            f"{or_more[found - 1]:.4f}; the first time it falls to the level is at {right}."
        )
    fail(
        f"It stays silent, though at character {right} so many referrals or more have a "
        f"probability of only {or_more[right - 1]:.5f}."
    )

"""Checks of exercise 2, convolution."""

import itertools

from course.checks import as_array, as_number, call, expect, fail, task

import numpy as np


@task(1, "output size")
def output_size(function):
    """A function (n, kernel, padding, stride) -> int, against torch's own layer."""
    import torch

    groups = {"plain": [], "padded": [], "strided": []}
    for n, kernel, padding, stride in itertools.product(range(5, 13), (1, 2, 3, 5), (0, 1, 2), (1, 2, 3)):
        shown = f"n={n}, kernel={kernel}, padding={padding}, stride={stride}"
        answer = as_number(call(function, n, kernel, padding, stride), "The output size")
        if answer != int(answer):
            fail(f"For {shown} it says {answer:g}. A number of places is a whole number.")
        right = torch.nn.functional.conv1d(
            torch.zeros(1, 1, n), torch.zeros(1, 1, kernel), stride=stride, padding=padding
        ).shape[-1]
        group = "strided" if stride > 1 else "padded" if padding else "plain"
        groups[group].append((answer, right, shown))
    advice = {
        "plain": "Take paper and slide a kernel of width 3 along 5 cells.",
        "padded": "The padding stands at both ends of the input.",
        "strided": "The kernel may not hang over the edge: a last step that does not fit is not taken.",
    }
    if all(answer == right - 1 for answer, right, _ in groups["plain"]):
        advice["plain"] = (
            "You are one short everywhere. You count the steps; the first place, before any step, "
            "is an output as well."
        )
    for name, cases in groups.items():
        for answer, right, shown in cases:
            if answer != right:
                fail(f"For {shown} it says {answer:g}, and torch's layer gives {right}. {advice[name]}")
    return "It agrees with torch's layer in every case tried."


def _layer(image: np.ndarray, kernels: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """torch's convolutional layer on arrays laid out as Keras lays them out."""
    import torch

    result = torch.nn.functional.conv2d(
        torch.from_numpy(image.transpose(2, 0, 1)[np.newaxis].copy()),
        torch.from_numpy(kernels.transpose(3, 2, 0, 1).copy()),
        torch.from_numpy(bias),
    )
    return result.numpy()[0].transpose(1, 2, 0)


@task(2, "the layer")
def convolve(function):
    """A function (image, kernels, bias) -> array, against torch's own layer."""
    rng = np.random.default_rng(2026)
    for height, width, *kernel in ((7, 6, 3, 2, 3, 4), (5, 8, 2, 3, 1, 2), (4, 4, 4, 1, 2, 1)):
        image = rng.normal(size=(height, width, kernel[2]))
        kernels = rng.normal(size=kernel)
        bias = rng.normal(size=kernel[3])
        right = _layer(image, kernels, bias)
        shapes = f"for an image of shape {image.shape} and kernels of shape {kernels.shape}"
        shown = f"convolve(image, kernels, bias) {shapes}"
        answer = as_array(call(function, image, kernels, bias, shown=shown), None, shown)
        if answer.shape != right.shape:
            fail(
                f"{shown} has shape {answer.shape}, but should have shape {right.shape}. Count "
                "the places along each axis as in task 1."
            )
        first_filter = right[..., :1] - bias[0] + bias
        channel = _layer(image[..., :1], kernels[:, :, :1], bias)
        mistakes = {
            "The kernel is turned by 180 degrees. That is the convolution of probability theory; "
            "the layer does not turn it.": _layer(image, kernels[::-1, ::-1], bias),
            "Only the first channel is used. Every channel has its own weights, and all are added.": channel,
            "The bias is missing.": right - bias,
            "The bias is subtracted.": right - 2 * bias,
            "The first filter is used for every output.": first_filter,
        }
        if np.allclose(answer[0, 0], right[0, 0]):
            mistakes[
                "The first output is right, the others are not. Does the patch move with the "
                "loops, along the right axis each?"
            ] = answer
        otherwise = (
            f"{shown} differs from torch's layer by up to {np.abs(answer - right).max():.2g}. Try "
            "an image that is 1 in one place and 0 elsewhere: the output shows your kernel."
        )
        expect(answer, right, mistakes, otherwise, rtol=1e-5)
    return "It equals torch's layer on random images, kernels and biases."


def _blurred(function, image: np.ndarray, what: str) -> np.ndarray:
    answer = call(function, image, shown=f"blur of {what}")
    if not isinstance(answer, np.ndarray) or answer.dtype != np.uint8:
        kind = getattr(answer, "dtype", type(answer).__name__)
        fail(f"The result should be a uint8 array like the scan, but is {kind}.")
    return as_array(answer, image.shape, f"The blur of {what}")


@task(3, "the bug")
def blur(function):
    """A function image -> blurred image (uint8), by properties of a mean."""
    for level in (255, 7):
        sheet = np.full((6, 7), level, dtype="uint8")
        answer = _blurred(function, sheet, f"a sheet of {level} everywhere")
        if not (answer[1:-1, 1:-1] == level).all():
            fail(
                f"A sheet of {level} everywhere becomes {answer[1, 1]:g} in the middle. Nine such "
                "pixels add up to more than a uint8 holds: the sum overflows."
            )
        if not (answer == level).all():
            fail(
                f"A sheet of {level} everywhere stays so inside, but becomes {answer[0, 0]:g} at "
                "the edge. What stands in for the missing pixels?"
            )
    for level in (14, 200):
        dot = np.zeros((7, 7), dtype="uint8")
        dot[3, 3] = level
        answer = _blurred(function, dot, f"a dot of {level}")
        if not np.array_equal(np.argwhere(answer), np.argwhere(np.ones((3, 3))) + 2):
            fail("A single dot should spread over the nine pixels around it, no more and no fewer.")
        excess = answer[2:5, 2:5] - level / 9
        becomes = f"A dot of {level} becomes {answer[3, 3]:g}, where the mean is {level / 9:.2f}."
        if (excess < -0.5).any():
            fail(f"{becomes} The decimals are cut off, not rounded.")
        if (excess > 0.5).any():
            fail(becomes)
    image = np.random.default_rng(2026).integers(0, 256, size=(8, 9), dtype="uint8")
    answer = _blurred(function, image, "random pixels")
    larger = _blurred(function, np.pad(image, 2, mode="edge"), "random pixels")[2:-2, 2:-2]
    if not np.array_equal(answer, larger):
        fail(
            "The edge is wrong: the nearest pixel of the image should stand in for the missing "
            "ones, whatever its grey level."
        )
    for axis in (0, 1):
        mirrored = _blurred(function, np.flip(image, axis), "the mirrored image")
        if not np.array_equal(np.flip(answer, axis), mirrored):
            fail(
                "A mirrored image should give the mirrored blur. Do the nine pixels lie around "
                "the pixel, or to one side of it?"
            )
    return "White paper stays white."


@task(4, "a kernel")
def kernel(weights):
    """A 3 × 3 array, by its outputs on blank paper and on strokes."""
    weights = as_array(weights, (3, 3), "The kernel")
    blank = weights.sum()
    under_row, under_column = blank - weights.sum(axis=1), blank - weights.sum(axis=0)
    nothing = 1e-9 * (np.abs(weights).max() or 1)
    if not weights.any():
        fail("A kernel of zeros sees nothing at all.")
    if abs(blank) > nothing:
        fail(f"On blank paper the output is {blank:g}, not 0.")
    for output, place in zip(under_row, ("upper", "middle", "lower")):
        if abs(output) > nothing:
            fail(f"A horizontal stroke under the {place} row gives {output:g}, not 0.")
    left, middle, right = under_column
    if middle < min(left, right):
        fail(
            "A vertical stroke under the middle gives the smallest output, not the largest. Think "
            "about the sign: ink is 0, so the weights that count are those beside it."
        )
    if middle <= max(left, right):
        fail(
            f"A vertical stroke gives {left:g}, {middle:g} and {right:g} under the left, middle "
            "and right column. To one side it should not be as large as under the middle."
        )
    return f"Left, middle, right: {left:g}, {middle:g}, {right:g}."


@task(5, "claims")
def claims(total, retention, claim, members):
    """The distribution of the total, by its generating function, and its 99.5 % quantile."""
    total = as_array(total, None, "total")
    if total.ndim != 1:
        fail(f"total should have one axis, but has shape {total.shape}.")
    if (total < -1e-12).any():
        fail("total has negative entries, which are no probabilities.")
    if abs(total.sum() - 1) > 1e-9:
        fail(
            f"The probabilities in total add up to {total.sum():.6f}, not to 1. Is something cut "
            "off, or counted twice?"
        )
    mean = (total * np.arange(len(total))).sum()

    # The generating function of a sum is the product of the generating functions.
    def generating(distribution, at):
        return (distribution * at ** np.arange(len(distribution))).sum()

    for z in np.exp(2j * np.pi * np.random.default_rng(2026).uniform(0.01, 0.2, size=5)):
        one = generating(np.asarray(claim), z)
        mistakes = {
            f"That is the total of {members + 1} claims. Did you start with one claim, and then add "
            f"{members}?": one ** (members + 1),
            f"That is the total of {members - 1} claims.": one ** (members - 1),
            f"That is a multiple of one claim: {members} members who all claim the same amount. "
            "Independent members do not.": generating(np.asarray(claim), z**members),
        }
        otherwise = (
            f"total adds up to 1, but it is not the distribution of the sum of {members} "
            f"independent claims. Its mean is {mean:.2f}; compare with what you know about the mean of a sum."
        )
        expect(generating(total, z), one**members, mistakes, otherwise, rtol=1e-5, atol=1e-9)
    value = as_number(retention, "retention")
    if value != int(value) or not 0 <= value < len(total):
        fail(f"retention should be a whole number from 0 to {len(total) - 1}, but is {value:g}.")
    beyond = total[int(value) + 1 :].sum()
    exceeds = f"The total exceeds {value:g} with probability {beyond:.4f}"
    if 0.025 < beyond <= 0.05:
        fail(f"{exceeds}. That is the level of 5 per cent, not of 0.5.")
    if beyond > 0.005:
        fail(f"{exceeds}: more than 0.005.")
    if value > 0 and total[int(value) :].sum() <= 0.005:
        fail(
            f"{value:g} is not the smallest: {value - 1:g} would do as well. The total *exceeds* "
            "r when it is r + 1 or more. Is your answer one too many?"
        )
    return f"The retention is {value / mean:.1f} times the mean."

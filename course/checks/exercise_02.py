"""Checks of exercise 2, convolution."""

import itertools

from course.checks import array_from, as_array, as_count, expect, fail, number_from, task

import numpy as np
import torch


@task(1, "output size")
def output_size(function):
    """A function (n, kernel, padding, stride) -> int, against torch's own layer."""
    for stride, padding, kernel, n in itertools.product((1, 2, 3), (0, 1, 2), (1, 2, 3, 5), range(5, 13)):
        shown, answer = number_from(function, n, kernel, padding, stride)
        places = [torch.zeros(1, 1, each) for each in (n, kernel)]
        right = torch.nn.functional.conv1d(*places, stride=stride, padding=padding).shape[-1]
        mistakes = {
            "A number of places is a whole number.": answer != int(answer),
            "The kernel may not hang over the edge: a last step that does not fit is not taken.": stride > 1,
            "The padding stands at both ends of the input.": padding > 0,
            "You count the steps; the first place, before any step, is an output as well.": right - 1,
        }
        otherwise = f"torch's layer gives {right}. Take paper and slide a kernel of width 3 along 5 cells."
        expect(shown, answer, right, mistakes, otherwise)
    return "It agrees with torch's layer in every case tried."


def _layer(image: np.ndarray, kernels: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """torch's convolutional layer on arrays laid out as Keras lays them out."""
    image, kernels = image.transpose(2, 0, 1)[np.newaxis], kernels.transpose(3, 2, 0, 1)
    result = torch.nn.functional.conv2d(*(torch.from_numpy(each.copy()) for each in (image, kernels, bias)))
    return result.numpy()[0].transpose(1, 2, 0)


@task(2, "the layer")
def convolve(function, rng):
    """A function (image, kernels, bias) -> array, against torch's own layer."""
    for height, width, *kernel in ((7, 6, 3, 2, 3, 4), (5, 8, 2, 3, 1, 2), (4, 4, 4, 1, 2, 1)):
        image, kernels = rng.normal(size=(height, width, kernel[2])), rng.normal(size=kernel)
        bias = rng.normal(size=kernel[3])
        right = _layer(image, kernels, bias)
        shown, answer = array_from(function, image, kernels, bias)
        shown += f" for an image of shape {image.shape} and kernels of shape {kernels.shape}"
        fits = answer.shape == right.shape
        begins = fits and np.allclose(answer[0, 0], right[0, 0])
        turned = _layer(image, kernels[::-1, ::-1], bias)
        one_channel = _layer(image[..., :1], kernels[:, :, :1], bias)
        mistakes = {
            "Count the places along each axis as in task 1.": not fits,
            "The kernel is turned by 180 degrees, as in probability theory. The layer does not.": turned,
            "Only the first channel is used. Every channel has its own weights.": one_channel,
            "The bias is missing.": right - bias,
            "The bias is subtracted.": right - 2 * bias,
            "The first filter is used for every output.": right[..., :1] - bias[0] + bias,
            "The first output is right, others are not. Does the patch move along each axis?": begins,
        }
        otherwise = "Try an image that is 1 in one place and 0 elsewhere: the output shows your kernel."
        expect(shown, answer, right, mistakes, otherwise, rtol=1e-5)
    return "It equals torch's layer on random images, kernels and biases."


@task(3, "the bug")
def blur(function, rng):
    """A function image -> blurred image (uint8), by properties of a mean."""

    def blurred(image: np.ndarray) -> np.ndarray:
        return array_from(function, image, shape=image.shape, dtype="uint8")[1]

    for level in (255, 7):
        answer = blurred(np.full((6, 7), level, dtype="uint8"))
        sheet, inside, edge = f"A sheet of {level} everywhere becomes", answer[1:-1, 1:-1], answer[0, 0]
        if (inside != level).any():
            fail(f"{sheet} {inside[0, 0]:g} inside. Nine pixels are more than a uint8 can hold: an overflow.")
        fail(f"{sheet} {edge:g} at the edge. What fills in missing pixels?", when=(answer != level).any())
    for level in (14, 200):
        dot = np.zeros((7, 7), dtype="uint8")
        dot[3, 3] = level
        answer = blurred(dot)
        if not np.array_equal(np.argwhere(answer), np.argwhere(np.ones((3, 3))) + 2):
            fail("A single dot should spread over the nine pixels around it, no more and no fewer.")
        excess = answer[2:5, 2:5] - level / 9
        if np.abs(excess).max() > 0.5:
            cut = " The decimals are cut off, not rounded." if excess.min() < -0.5 else ""
            fail(f"A dot of {level} becomes {answer[3, 3]:g}, where the mean is {level / 9:.2f}.{cut}")
    image = rng.integers(0, 256, size=(8, 9), dtype="uint8")
    answer = blurred(image)
    if not np.array_equal(answer, blurred(np.pad(image, 2, mode="edge"))[2:-2, 2:-2]):
        fail("The edge is wrong: the nearest pixel of the image should stand in for the missing ones.")
    for axis in (0, 1):
        if not np.array_equal(np.flip(answer, axis), blurred(np.flip(image, axis))):
            fail("A mirrored image should give the mirrored blur. Do the nine pixels lie around the pixel?")
    return "White paper stays white."


@task(4, "a kernel")
def kernel(weights):
    """A 3 × 3 array, by its outputs on blank paper and on strokes."""
    weights = as_array(weights, (3, 3), "The kernel")
    blank, nothing = weights.sum(), 1e-9 * np.abs(weights).max()
    left, middle, right = blank - weights.sum(axis=0)
    fail("A kernel of zeros sees nothing at all.", when=not weights.any())
    fail(f"On blank paper the output is {blank:g}, not 0.", when=abs(blank) > nothing)
    for output, place in zip(blank - weights.sum(axis=1), ("upper", "middle", "lower")):
        fail(f"A horizontal stroke in the {place} row gives {output:g}, not 0.", when=abs(output) > nothing)
    outputs = f"A vertical stroke gives {left:g}, {middle:g}, {right:g} under left, middle, right column."
    if middle < min(left, right):
        fail(f"{outputs} Think about the sign: ink is 0, so the weights that count are those beside it.")
    fail(f"{outputs} To one side it should be smaller than in the middle.", when=middle <= max(left, right))
    return f"Left, middle, right: {left:g}, {middle:g}, {right:g}."


@task(5, "claims")
def claims(total, retention, claim, members, rng):
    """The distribution of the total, by its generating function, and its 99.5 % quantile."""
    total, claim = as_array(total, None, "total"), np.asarray(claim)
    if total.ndim != 1 or total.min() < -1e-12:
        fail(f"total is no list of probabilities: its shape is {total.shape}, its least {total.min():.3g}.")
    if abs(total.sum() - 1) > 1e-9:
        fail(f"The probabilities add up to {total.sum():.6f}, not to 1. Is something cut off or doubled?")
    mean = (total * np.arange(len(total))).sum()

    # The generating function of a sum is the product of the generating functions.
    def generating(distribution, at):
        return (distribution * at ** np.arange(len(distribution))).sum()

    for z in np.exp(2j * np.pi * rng.uniform(0.01, 0.2, size=5)):
        one, same = generating(claim, z), generating(claim, z**members)
        more = f"That is the total of {members + 1} claims. Did you start with one and then add {members}?"
        mistakes = {
            more: one ** (members + 1),
            f"That is the total of {members - 1} claims.": one ** (members - 1),
            "That is a multiple of one claim: all members claim the same. Independent ones do not.": same,
        }
        otherwise = f"It is no sum of {members} independent claims. Its mean is {mean:.2f}: does that fit?"
        expect("", generating(total, z), one**members, mistakes, otherwise, rtol=1e-5)
    value = as_count(retention, "retention", len(total) - 1)
    beyond = total[value + 1 :].sum()
    if beyond > 0.005:
        level = "the level of 5 per cent, not of 0.5" if 0.025 < beyond <= 0.05 else "more than 0.005"
        fail(f"The total exceeds {value} with probability {beyond:.4f}: {level}.")
    if value > 0 and total[value:].sum() <= 0.005:
        fail(f"{value} is not the smallest. The total *exceeds* r from r + 1 on. Is it one too many?")
    return f"The retention is {value / mean:.1f} times the mean."

"""Checks of exercise 1, tensors."""

from course.checks import as_array, as_shapes, brief, call, call_for_number, expect, fail, task

import numpy as np


@task(1, "predict the shape")
def shapes(answers, questions, photos):
    """A dictionary of shapes, against what NumPy makes of the questions."""
    for name, answer in as_shapes(answers, list(questions), "(2, 3)").items():
        right = questions[name](photos).shape
        if answer == right:
            continue
        if len(answer) < len(right):
            fail(
                f"({name}) has more axes than you say. A slice keeps its axis, even one of length "
                "one; so does an axis that nobody mentions."
            )
        if len(answer) > len(right):
            fail(
                f"({name}) has fewer axes than you say. A plain number as index removes an axis, "
                "and so does a mean over it."
            )
        if sorted(answer) == sorted(right):
            fail(f"({name}) has these lengths, but in another order.")
        fail(f"({name}) is not {answer}. The number of axes is right, not all lengths are.")


@task(2, "one byte")
def byte(signed, colour):
    """Two functions, against NumPy's own reading of the same bits."""
    for value in range(256):
        answer = call_for_number(signed, value, shown=f"signed({value})")
        if value < 128 and answer != value:
            fail(f"signed({value}) is {answer:g}. Up to 127 both readings agree, since the first bit is 0.")
        mistakes = {
            f"signed({value}) is {answer:g}. You read the first bit as a mere sign bit. Then there would "
            "be two zeros; two's complement has one.": 128 - value
        }
        otherwise = (
            f"signed({value}) is {answer:g}, but its bits are {value:08b}. What does the first one count?"
        )
        expect(answer, int(np.uint8(value).view(np.int8)), mistakes, otherwise)
    rng = np.random.default_rng(2026)
    for triple in [(0, 255, 16), (1, 160, 15), *rng.integers(0, 256, size=(20, 3)).tolist()]:
        text = "#" + "".join(f"{each:02X}" for each in triple)
        answer = call(colour, text)
        found = as_array(answer, (3,), f"colour({text!r})")
        shown = f"colour({text!r}) is {brief(answer)}."
        mistakes = {
            f"{shown} The first digit of a pair counts as much as the second, and should count more.": [
                each // 16 + each % 16 for each in triple
            ],
            f"{shown} The first digit of a pair counts sixteens, not tens.": [
                10 * (each // 16) + each % 16 for each in triple
            ],
        }
        otherwise = f"{shown} Take it apart: '#', then two digits for each of red, green and blue."
        expect(found, triple, mistakes, otherwise)


@task(3, "the bug")
def brighten(function):
    """A function (image, amount) -> uint8 image, by what brightening must keep."""
    rng = np.random.default_rng(2026)
    scale = np.arange(256, dtype="uint8").reshape(16, 16)
    before = np.arange(256)
    for amount in (0, 40, 255, -40, -255, int(rng.integers(1, 200)), -int(rng.integers(1, 200))):
        shown = f"brighten(image, {amount})"
        answer = call(function, scale, amount, shown=shown)
        kind = getattr(answer, "dtype", type(answer).__name__)
        if kind != np.uint8:
            fail(f"{shown} should be a uint8 array, but is {kind}.")
        answer = as_array(answer, scale.shape, shown).ravel()
        if (np.diff(answer) < 0).any():
            place = int(np.flatnonzero(np.diff(answer) < 0)[0]) + 1
            lighter = f"the lighter {place} becomes {answer[place]:g}"
            becomes = f"{place - 1} becomes {answer[place - 1]:g}, but {lighter}"
            if amount < 0:
                fail(f"With a negative amount, {amount}, {becomes}. The lower end needs care as well.")
            wrapped = np.array_equal(answer, np.mod(before + amount, 256))
            late = ", and clipping afterwards comes too late." if wrapped else "."
            fail(f"With amount {amount}, {becomes}. The sum wraps around{late}")
        moved = answer - before
        inside = (answer > 0) & (answer < 255)
        if not (moved[inside] == amount).all() or abs(moved).max() > abs(amount):
            fail(
                f"With amount {amount}, {before[0]} becomes {answer[0]:g} and {before[128]} "
                f"becomes {answer[128]:g}. Values inside the scale should move by {amount}."
            )
        stopped = answer[128] if amount > 127 else answer[255] if amount > 0 else answer[0]
        if amount and stopped != (255 if amount > 0 else 0):
            fail(f"With amount {amount} the end of the scale becomes {stopped:g}.")


@task(4, "one plane")
def only(function):
    """A function (image, channel) -> image, on random images of three different planes."""
    rng = np.random.default_rng(2026)
    for channel in range(3):
        image = rng.integers(1, 256, size=(5, 4, 3), dtype="uint8")
        given = image.copy()
        shown = f"only(image, {channel})"
        answer = call(function, given, channel, shown=shown, on_copies=False)
        if not np.array_equal(given, image):
            fail("The image that came in is changed. Work on an array of its own.")
        answer = as_array(answer, image.shape, shown)
        others = [each for each in range(3) if each != channel]
        if not np.array_equal(answer[:, :, channel], image[:, :, channel]):
            fail(f"In {shown} plane {channel} is not that of the image. Channels are the last axis.")
        if answer[:, :, others].any():
            fail(f"In {shown} the other planes are not 0, so that it would be shown in grey.")


@task(5, "a quarter turn")
def turn(function):
    """A function image -> image, followed by following one pixel at a time."""
    rng = np.random.default_rng(2026)
    height, width = 4, 7
    image = rng.integers(0, 256, size=(height, width, 3), dtype="uint8")

    def turned(given):
        return np.asarray(call(function, given, shown="quarter_turn(image)"))

    answer = turned(image)
    becomes = f"An image of shape {image.shape} becomes one of shape {answer.shape}."
    if answer.shape[-1:] != (3,):
        fail(f"{becomes} The channels must stay the last axis.")
    if answer.shape != (width, height, 3):
        fail(becomes)
    corners = {  # the upper left and the upper right one
        "turned clockwise": (image[-1, 0], image[0, 0]),
        "mirrored at a diagonal, which is a mirror image and no turn": (image[0, 0], image[-1, 0]),
        "mirrored at the other diagonal, which is a mirror image and no turn": (image[-1, -1], image[0, -1]),
    }
    if not np.array_equal((answer[0, 0], answer[-1, 0]), (image[0, -1], image[0, 0])):
        for what, upper in corners.items():
            if np.array_equal((answer[0, 0], answer[0, -1]), upper):
                fail(f"The image is {what}.")
        fail("The pixel of the upper right corner should come to the upper left one.")
    if not np.array_equal(turned(turned(turned(turned(image)))), image):
        fail("Four quarter turns should give the image back.")
    if not np.array_equal(turned(answer)[1, 2], image[height - 2, width - 3]):
        fail("Two quarter turns should turn the image upside down.")


@task(6, "will it fit")
def memory(gigabytes, largest_batch):
    """Two functions, against the sizes of real arrays."""
    rng = np.random.default_rng(2026)
    for kind in ("uint8", "float32", "float64"):
        shape = tuple(int(each) for each in rng.integers(2, 12, size=3))
        array = np.zeros(shape, dtype=kind)
        size = array.nbytes
        call_shown = f"gigabytes({shape}, {array.itemsize})"
        value = call_for_number(gigabytes, shape, array.itemsize, shown=call_shown, what="gigabytes") * 1e9
        shown = f"{call_shown} means {value:,.0f} bytes"
        in_units = "That is in units of 1024 × 1024 × 1024 bytes; the task asks for units of 10⁹."
        mistakes = {
            f"{shown}, eight times too many. These are bits.": 8 * size,
            f"{shown}. {in_units}": size * 1e9 / 2**30,
        }
        if any(np.isclose(value * each, size) for each in shape):
            mistakes[f"{shown}, but NumPy needs {size:,}. Does every axis count?"] = value
        expect(value, size, mistakes, f"{shown}, but NumPy needs {size:,}.", rtol=1e-5)
    for _ in range(20):
        shape = (*(int(each) for each in rng.integers(200, 3000, size=2)), 3)
        space, copies = float(rng.uniform(4, 64)), int(rng.integers(2, 30))
        shown = f"largest_batch({shape}, {space:.1f}, {copies})"
        batch = call_for_number(largest_batch, shape, space, copies, shown=shown, what="largest_batch")
        if batch != int(batch) or batch < 0:
            fail(f"largest_batch says {batch:g}. A batch is a whole number of images.")

        def needed(images: float) -> float:
            return images * np.dtype("float32").itemsize * copies * float(np.prod(shape)) / 1e9

        shown = f"{shown} says {batch:,.0f}"
        if needed(batch) > 3 * space * (1 + 1e-12):
            fail(f"{shown}, about four times too many. A float32 has more than one byte.")
        if needed(batch) > space * (1 + 1e-12):
            fail(f"{shown}, which does not fit: it needs {needed(batch):.2f} GB.")
        if needed(batch + 1) < space * (1 - 1e-12):
            fail(f"{shown}, but one more would still fit.")

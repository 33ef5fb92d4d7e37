"""Checks of exercise 1, tensors."""

from course.checks import as_array, as_number, brief, call, fail, task

import numpy as np


@task(1, "predict the shape")
def shapes(answers, questions, photos) -> str:
    """A dictionary of shapes, against what NumPy makes of the questions."""
    if not isinstance(answers, dict) or set(answers) != set(questions):
        fail(f"shapes should have the entries {', '.join(questions)}.")
    for name, question in questions.items():
        right = question(photos).shape
        answer = answers[name]
        if isinstance(answer, int):
            answer = (answer,)
        if not isinstance(answer, (tuple, list)):
            fail(f"({name}) should be a shape like (2, 3), but is {brief(answer)}.")
        if tuple(answer) == right:
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
        fail(f"({name}) is not {tuple(answer)}. The number of axes is right, not all lengths are.")
    return ""


@task(2, "one byte")
def byte(signed, colour) -> str:
    """Two functions, against NumPy's own reading of the same bits."""
    for value in range(256):
        right = int(np.uint8(value).view(np.int8))
        answer = as_number(call(signed, value), f"signed({value})")
        if answer == right:
            continue
        if value < 128:
            fail(f"signed({value}) is {answer:g}. Up to 127 both readings agree, since the first bit is 0.")
        if answer == 128 - value:
            fail(
                f"signed({value}) is {answer:g}. You read the first bit as a mere sign bit. Then "
                "there would be two zeros; two's complement has one."
            )
        fail(f"signed({value}) is {answer:g}, but its bits are {value:08b}. What does the first one count?")
    rng = np.random.default_rng(2026)
    triples = [(0, 255, 16), (1, 160, 15), *rng.integers(0, 256, size=(20, 3)).tolist()]
    for red, green, blue in triples:
        text = f"#{red:02X}{green:02X}{blue:02X}"
        answer = call(colour, text)
        found = as_array(answer, (3,), f"colour({text!r})")
        if np.array_equal(found, (red, green, blue)):
            continue
        tens = [10 * (each // 16) + each % 16 for each in (red, green, blue)]
        sums = [each // 16 + each % 16 for each in (red, green, blue)]
        if np.array_equal(found, sums):
            fail(
                f"colour({text!r}) is {brief(answer)}. The first digit of a pair counts as much "
                "as the second, and should count more."
            )
        if np.array_equal(found, tens):
            fail(f"colour({text!r}) is {brief(answer)}. The first digit of a pair counts sixteens, not tens.")
        fail(
            f"colour({text!r}) is {brief(answer)}. Take it apart: '#', then two digits for each "
            "of red, green and blue."
        )
    return ""


@task(3, "the bug")
def brighten(function) -> str:
    """A function (image, amount) -> uint8 image, by what brightening must keep."""
    rng = np.random.default_rng(2026)
    scale = np.arange(256, dtype="uint8").reshape(16, 16)
    for amount in (0, 40, 255, -40, -255, int(rng.integers(1, 200)), -int(rng.integers(1, 200))):
        answer = call(function, scale, amount, shown=f"brighten(image, {amount})")
        kind = getattr(answer, "dtype", type(answer).__name__)
        if kind != np.uint8:
            fail(f"brighten(image, {amount}) should be a uint8 array, but is {kind}.")
        answer = as_array(answer, scale.shape, f"brighten(image, {amount})").ravel()
        before = np.arange(256)
        moved = answer - before
        if (np.diff(answer) < 0).any():
            place = int(np.flatnonzero(np.diff(answer) < 0)[0]) + 1
            wrapped = np.array_equal(answer, np.mod(before + amount, 256))
            if amount < 0:
                fail(
                    f"With a negative amount, {amount}, {place - 1} becomes "
                    f"{answer[place - 1]:g}, but the lighter {place} becomes "
                    f"{answer[place]:g}. The lower end needs care as well."
                )
            fail(
                f"With amount {amount}, {place - 1} becomes {answer[place - 1]:g}, but the "
                f"lighter {place} becomes {answer[place]:g}. The sum wraps around"
                + (", and clipping afterwards comes too late." if wrapped else ".")
            )
        inside = (answer > 0) & (answer < 255)
        if not (moved[inside] == amount).all() or abs(moved).max() > abs(amount):
            fail(
                f"With amount {amount}, {before[0]} becomes {answer[0]:g} and {before[128]} "
                f"becomes {answer[128]:g}. Values inside the scale should move by {amount}."
            )
        stopped = answer[128] if amount > 127 else answer[255] if amount > 0 else answer[0]
        if amount and stopped != (255 if amount > 0 else 0):
            fail(f"With amount {amount} the end of the scale becomes {stopped:g}.")
    return ""


@task(4, "one plane")
def only(function) -> str:
    """A function (image, channel) -> image, on random images of three different planes."""
    rng = np.random.default_rng(2026)
    for channel in range(3):
        image = rng.integers(1, 256, size=(5, 4, 3), dtype="uint8")
        given = image.copy()
        try:
            answer = function(given, channel)
        except Exception as error:  # whatever a student's code raises
            fail(f"only(image, {channel}) stops with {type(error).__name__}: {error}")
        if answer is None or answer is ...:
            fail("only(image, channel) returns nothing. Is it still blank?")
        if not np.array_equal(given, image):
            fail("The image that came in is changed. Work on an array of its own.")
        shown = f"only(image, {channel})"
        answer = as_array(answer, image.shape, shown)
        others = [each for each in range(3) if each != channel]
        if not np.array_equal(answer[:, :, channel], image[:, :, channel]):
            fail(f"In {shown} plane {channel} is not that of the image. Channels are the last axis.")
        if answer[:, :, others].any():
            fail(f"In {shown} the other planes are not 0, so that it would be shown in grey.")
    return ""


@task(5, "a quarter turn")
def turn(function) -> str:
    """A function image -> image, followed by following one pixel at a time."""
    rng = np.random.default_rng(2026)
    height, width = 4, 7
    image = rng.integers(0, 256, size=(height, width, 3), dtype="uint8")
    answer = np.asarray(call(function, image, shown="quarter_turn(image)"))
    if answer.shape[-1:] != (3,):
        fail(
            f"An image of shape {image.shape} becomes one of shape {answer.shape}. The channels "
            "must stay the last axis."
        )
    if answer.shape != (width, height, 3):
        fail(f"An image of shape {image.shape} becomes one of shape {answer.shape}.")
    corners = {
        "turned clockwise": (image[0, 0], image[-1, 0]),
        "mirrored at a diagonal, which is a mirror image and no turn": (image[-1, 0], image[0, 0]),
        "mirrored at the other diagonal, which is a mirror image and no turn": (image[0, -1], image[-1, -1]),
    }
    right_corner = answer[0, 0].tolist() == image[0, -1].tolist()
    if not (right_corner and answer[-1, 0].tolist() == image[0, 0].tolist()):
        found = (answer[0, -1].tolist(), answer[0, 0].tolist())
        for what, (upper_right, upper_left) in corners.items():
            if found == (upper_right.tolist(), upper_left.tolist()):
                fail(f"The image is {what}.")
        fail("The pixel of the upper right corner should come to the upper left one.")
    four = image
    for _ in range(4):
        four = np.asarray(call(function, four, shown="quarter_turn(image)"))
    if not np.array_equal(four, image):
        fail("Four quarter turns should give the image back.")
    twice = np.asarray(call(function, answer, shown="quarter_turn(image)"))
    if not np.array_equal(twice[1, 2], image[height - 2, width - 3]):
        fail("Two quarter turns should turn the image upside down.")
    return ""


@task(6, "will it fit")
def memory(gigabytes, largest_batch) -> str:
    """Two functions, against the sizes of real arrays."""
    rng = np.random.default_rng(2026)
    for kind in ("uint8", "float32", "float64"):
        shape = tuple(int(each) for each in rng.integers(2, 12, size=3))
        array = np.zeros(shape, dtype=kind)
        value = as_number(call(gigabytes, shape, array.itemsize), "gigabytes") * 1e9
        if np.isclose(value, array.nbytes):
            continue
        shown = f"gigabytes({shape}, {array.itemsize}) means {value:,.0f} bytes"
        if np.isclose(value, 8 * array.nbytes):
            fail(f"{shown}, eight times too many. These are bits.")
        if np.isclose(value, array.nbytes * 1e9 / 2**30):
            fail(f"{shown}. That is in units of 1024 × 1024 × 1024 bytes; the task asks for units of 10⁹.")
        if any(np.isclose(value * each, array.nbytes) for each in shape):
            fail(f"{shown}, but NumPy needs {array.nbytes:,}. Does every axis count?")
        fail(f"{shown}, but NumPy needs {array.nbytes:,}.")
    for _ in range(20):
        shape = (*(int(each) for each in rng.integers(200, 3000, size=2)), 3)
        space, copies = float(rng.uniform(4, 64)), int(rng.integers(2, 30))
        batch = as_number(call(largest_batch, shape, space, copies), "largest_batch")
        if batch != int(batch) or batch < 0:
            fail(f"largest_batch says {batch:g}. A batch is a whole number of images.")

        def needed(images: float) -> float:
            return images * np.dtype("float32").itemsize * copies * float(np.prod(shape)) / 1e9

        shown = f"largest_batch({shape}, {space:.1f}, {copies}) says {batch:,.0f}"
        if needed(batch) > space * (1 + 1e-12):
            if needed(batch) > 3 * space:
                fail(f"{shown}, about four times too many. A float32 has more than one byte.")
            fail(f"{shown}, which does not fit: it needs {needed(batch):.2f} GB.")
        if needed(batch + 1) < space * (1 - 1e-12):
            fail(f"{shown}, but one more would still fit.")
    return ""

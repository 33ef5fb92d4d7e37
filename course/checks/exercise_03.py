"""Checks of exercise 3, convolutional networks."""

from course.checks import as_array, as_number, as_shapes, brief, call, expect, fail, task

import numpy as np


@task(1, "predict the shapes")
def shapes(answers, network):
    """A dictionary of shapes, against the built network."""
    names = "abcdefgh"[: len(network.layers)]
    answers = as_shapes(answers, names, "(2, 3, 4)")
    for name, layer in zip(names, network.layers):
        right, before = tuple(layer.output.shape[1:]), tuple(layer.input.shape[1:])
        answer = answers[name]
        if answer == right:
            continue
        kind = type(layer).__name__
        if len(answer) != len(right):
            fail(f"({name}) {kind} puts out {len(right)} axis or axes, and you give {len(answer)}.")
        if len(right) == 1:
            fail(
                f"({name}) {kind}: {answer[0]} is not right. Flattening keeps every number; a "
                "dense layer puts out one for each unit."
            )
        if answer[2] != right[2]:
            fail(
                f"({name}) {kind} does not have {answer[2]} channels. A convolution has one for "
                "each filter; pooling keeps the channels."
            )
        if kind == "Conv2D" and layer.padding == "valid" and answer[:2] == before[:2]:
            fail(f"({name}) {kind}: nobody wrote padding, so the input is not padded.")
        change = f"({name}) {kind}: from {before[0]} × {before[1]} you get {answer[0]} × {answer[1]}."
        if kind == "MaxPooling2D":
            fail(f"{change} A window that does not fit any more is dropped.")
        fail(
            f'{change} With "same" the first place is used and then every stride-th, up to the last that '
            "there is."
        )


@task(2, "max pooling")
def pool(function):
    """A function (image, size) -> array, by what a maximum over windows must do."""
    import torch

    rng = np.random.default_rng(2026)
    for height, width, channels, size in ((6, 6, 1, 2), (7, 9, 3, 2), (11, 8, 2, 3), (4, 12, 2, 4)):
        image = rng.normal(size=(height, width, channels))
        shown = f"max_pool(image, {size}) for an image of shape {image.shape}"
        answer = as_array(call(function, image, size, shown=shown), None, shown)
        channels_first = torch.from_numpy(image.transpose(2, 0, 1).copy())
        right = torch.nn.functional.max_pool2d(channels_first, size).numpy().transpose(1, 2, 0)
        if answer.shape == (height - size + 1, width - size + 1, channels) != right.shape:
            fail(
                f"{shown} has shape {answer.shape}. The windows overlap; each should begin where "
                "the last one ends."
            )
        if answer.ndim == 2 and answer.shape == right.shape[:2]:
            fail(f"{shown} has shape {answer.shape}. You pool across channels; each keeps its own maximum.")
        if answer.shape != right.shape:
            fail(f"{shown} has shape {answer.shape}, but should have {right.shape}.")
        averages = torch.nn.functional.avg_pool2d(channels_first, size).numpy().transpose(1, 2, 0)
        corners = image[: right.shape[0] * size : size, : right.shape[1] * size : size]
        mistakes = {
            "This is the mean of each window, not its largest value.": averages,
            f"You keep every {size}th pixel, and look at no other. That is a stride, not a maximum.": corners,
        }
        if np.isin(answer, image).all() and answer.max() <= right.max():
            mistakes[
                f"{shown} takes its values from the wrong places: the windows should be squares "
                "of neighbours, not stripes or combs."
            ] = answer
        otherwise = f"{shown} differs from the largest values by up to {np.abs(answer - right).max():.2g}."
        expect(answer, right, mistakes, otherwise, rtol=1e-5)


def _built(build, shown: str):
    """The Keras model that a student's function builds."""
    import keras

    model = call(build, shown=shown)
    if not isinstance(model, keras.Model):
        fail(f"{shown} should return a Keras model, not {brief(model)}.")
    return model


@task(3, "the bugs")
def mend(build):
    """A function that returns a compiled classifier, by how outputs and loss go together."""
    import keras

    model = _built(build, "build_mended()")
    if not getattr(model, "compiled", False):
        fail("The model is not compiled.")
    if model.input_shape != (None, 28, 28, 1) or model.output_shape != (None, 10):
        fail(
            f"The model takes {model.input_shape} and gives {model.output_shape}; it should take "
            "28 × 28 grey images and give ten numbers."
        )
    widths = [layer.units for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    if min(widths) < 10:
        fail(
            f"A dense layer has {min(widths)} unit(s). All that the last layer learns about the "
            "image must pass that bottleneck."
        )
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, size=(40, 28, 28, 1)).astype("float32")
    outputs = np.asarray(model.predict(images, verbose=0), dtype=float)
    labels = rng.integers(0, 10, size=40)
    loss = model.evaluate(images, labels, verbose=0, return_dict=True)["loss"]
    are_probabilities = (outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1, atol=1e-3)
    rows = np.arange(40)
    of_logits = (np.log(np.exp(outputs).sum(axis=1)) - outputs[rows, labels]).mean()
    if are_probabilities:
        of_probabilities = -np.log(np.maximum(outputs[rows, labels], 1e-7)).mean()
        if np.isclose(loss, of_logits, rtol=1e-3) and not np.isclose(loss, of_probabilities, rtol=1e-3):
            fail(
                "The network puts out probabilities, but the loss takes them for logits: it takes "
                "the softmax twice."
            )
        if not np.isclose(loss, of_probabilities, rtol=1e-2):
            fail("The loss is not the mean log loss of the network's probabilities.")
        return
    if (outputs >= 0).all():
        fail("No output is ever negative. Logits must be free to be; something cuts them off.")
    if not np.isclose(loss, of_logits, rtol=1e-2):
        fail("The outputs are logits, no probabilities, and the loss does not know it.")


@task(4, "the receptive field")
def field(function):
    """A function (list of (kernel, stride)) -> int, by counting the pixels that are reached."""

    def reached(stack) -> int:
        places = {0}
        for kernel, stride in reversed(stack):
            places = {place * stride + each for place in places for each in range(kernel)}
        return max(places) - min(places) + 1

    cases = [[(5, 1)], [(3, 1), (3, 1)], [(3, 1), (2, 2)], [(2, 2), (3, 1)], [(3, 2), (3, 2), (3, 1)]]
    rng = np.random.default_rng(2026)
    for _ in range(20):
        layers = range(int(rng.integers(2, 5)))
        cases.append([(int(rng.choice([1, 2, 3, 5])), int(rng.choice([1, 2, 3]))) for _ in layers])
    for number, stack in enumerate(cases):
        answer = as_number(call(function, stack), "The receptive field")
        right = reached(stack)
        says = f"For {stack} it says {answer:g}, where {right} pixels are reached."
        advice = {
            0: f"One layer with kernel 5 sees 5 pixels, and receptive_field says {answer:g}.",
            1: f"Two 3 × 3 convolutions see {right} pixels, and receptive_field says {answer:g}. "
            "The second adds one pixel more on each side.",
            2: f"{says} A layer's own stride moves the layers after it apart, not what its own kernel "
            "touches.",
        }
        otherwise = (
            f"{says} After a stride, neighbours lie further apart in the image: keep track of the distance."
        )
        expect(answer, right, {}, advice.get(number, otherwise))


def _multiplications(layer) -> int:
    """How often a layer multiplies for one image."""
    weights = layer.get_weights()
    if type(layer).__name__ == "Dense":
        return weights[0].size
    if hasattr(layer, "kernel_size"):
        return int(np.prod(layer.output.shape[1:-1])) * weights[0].size
    return 0


def _field(network) -> int:
    """Pixels along the height that a number before flattening can see, found by trying."""
    import keras

    stages = [layer for layer in network.layers if len(layer.output.shape) == 4]
    if not stages:
        return 0
    height, width = network.input_shape[1:3]
    model = keras.Model(network.inputs, stages[-1].output)
    clone = keras.models.clone_model(model)
    # Positive weights let every reachable pixel through, whatever the activation.
    clone.set_weights([np.full(each.shape, 0.1) for each in clone.get_weights()])
    blank = np.zeros((1 + height, height, width, network.input_shape[3]), dtype="float32")
    for row in range(height):
        blank[1 + row, row] = 255
    outputs = np.asarray(clone.predict(blank, verbose=0), dtype=float)
    middle = outputs[:, outputs.shape[1] // 2, outputs.shape[2] // 2].sum(axis=-1)
    seen = np.flatnonzero(np.abs(middle[1:] - middle[0]) > 1e-6 * np.abs(middle).max())
    return int(seen.max() - seen.min() + 1) if len(seen) else 0


@task(5, "a budget")
def budget(build):
    """A function that returns a network, measured against the budget."""
    import keras

    network = _built(build, "build_small()")
    if network.input_shape != (None, 80, 60, 1) or network.output_shape != (None, 55):
        fail(
            f"The network takes {network.input_shape} and gives {network.output_shape}; it should "
            "take (None, 80, 60, 1) and give (None, 55)."
        )
    if not any(isinstance(layer, keras.layers.Rescaling) for layer in network.layers):
        fail(
            "Nothing rescales the grey levels. A Rescaling layer does it inside the network, so "
            "that nobody can forget it."
        )
    last = getattr(network.layers[-1], "activation", None)
    if last is not keras.activations.linear:
        fail("The output should be logits: no activation in the last layer.")
    parameters = network.count_params()
    if parameters > 30_000:
        most, name = max((layer.count_params(), layer.name) for layer in network.layers)
        fail(
            f"{parameters:,} parameters are more than 30,000. Most of them, {most:,}, are in the layer "
            f"{name}."
        )
    costs = {layer.name: _multiplications(layer) for layer in network.layers}
    total = sum(costs.values())
    if total > 4_000_000:
        name = max(costs, key=costs.get)
        fail(
            f"{total:,} multiplications are more than 4 million. Most of them, {costs[name]:,}, are in "
            f"the layer {name}."
        )
    seen = _field(network)
    if seen < 30:
        fail(
            f"A number before the flattening sees {seen} pixels of the image's side, fewer than "
            "30. Receptive fields grow fast after strides and pooling."
        )
    return f"{parameters:,} parameters, {total:,} multiplications, and each number sees {seen} pixels."

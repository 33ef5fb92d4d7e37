"""Checks of exercise 3, convolutional networks."""

from course.checks import array_from, as_shapes, brief, call, expect, fail, number_from, task

import keras
import numpy as np
import torch


@task(1, "predict the shapes")
def shapes(answers, network):
    """A dictionary of shapes, against the built network."""
    names = "abcdefgh"[: len(network.layers)]
    answers = as_shapes(answers, names, "(2, 3, 4)")
    for name, layer in zip(names, network.layers):
        right, before = tuple(layer.output.shape[1:]), tuple(layer.input.shape[1:])
        answer, kind = answers[name], type(layer).__name__
        if len(answer) != len(right):
            fail(f"({name}) {kind} puts out {len(right)} axis or axes, and you give {len(answer)}.")
        one, channels = len(right) == 1, answer[-1] != right[-1]
        padded = kind == "Conv2D" and layer.padding == "valid" and answer[:2] == before[:2]
        mistakes = {
            "Flattening keeps every number; a dense layer puts out one for each unit.": one,
            "A convolution has a channel for each filter; pooling keeps the channels.": channels,
            "Nobody wrote padding, so the input is not padded.": padded,
            "A window that does not fit any more is dropped.": kind == "MaxPooling2D",
        }
        otherwise = 'With "same" the first place is used, then every stride-th, up to the last there is.'
        expect(f"({name}) {kind}: from {before}, what comes out", answer, right, mistakes, otherwise)


@task(2, "max pooling")
def pool(function, rng):
    """A function (image, size) -> array, by what a maximum over windows must do."""
    for height, width, channels, size in ((6, 6, 1, 2), (7, 9, 3, 2), (11, 8, 2, 3), (4, 12, 2, 4)):
        image = rng.normal(size=(height, width, channels))
        shown, answer = array_from(function, image, size)
        channels_first = torch.from_numpy(image.transpose(2, 0, 1).copy())
        poolings = torch.nn.functional.max_pool2d, torch.nn.functional.avg_pool2d
        right, averages = (each(channels_first, size).numpy().transpose(1, 2, 0) for each in poolings)
        taken = np.isin(answer, image).all() and answer.max() <= right.max()
        overlap = answer.shape == (height - size + 1, width - size + 1, channels) != right.shape
        corners = image[: right.shape[0] * size : size, : right.shape[1] * size : size]
        mistakes = {
            "The windows overlap; each should begin where the last one ends.": overlap,
            "You pool across channels; each keeps its own maximum.": answer.shape == right.shape[:2],
            "Every whole window gives one value for each channel.": answer.shape != right.shape,
            "This is the mean of each window, not its largest value.": averages,
            f"You keep every {size}th pixel, and look at no other: a stride, not a maximum.": corners,
            "The values come from the wrong places: windows are squares, not stripes or combs.": taken,
        }
        otherwise = "Every window gives its largest value."
        expect(f"{shown} for shape {image.shape}", answer, right, mistakes, otherwise, rtol=1e-5)


def _built(build, inputs: tuple, outputs: int):
    """The Keras model that a student's function builds, with its input and output of these shapes."""
    shown, model = call(build)
    fail(f"{shown} should return a Keras model, not {brief(model)}.", when=not isinstance(model, keras.Model))
    if model.input_shape != (None, *inputs) or model.output_shape != (None, outputs):
        shapes = f"from {model.input_shape} to {model.output_shape}"
        fail(f"{shown} leads {shapes}, and should lead from {(None, *inputs)} to {(None, outputs)}.")
    return model


@task(3, "the bugs")
def mend(build, rng):
    """A function that returns a compiled classifier, by how outputs and loss go together."""
    model = _built(build, (28, 28, 1), 10)
    fail("The model is not compiled.", when=not getattr(model, "compiled", False))
    widths = [layer.units for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    if min(widths, default=10) < 10:
        fail(f"A dense layer has {min(widths)} unit(s): a bottleneck for all that is seen in the image.")
    images = rng.integers(0, 256, size=(40, 28, 28, 1)).astype("float32")
    outputs = np.asarray(model.predict(images, verbose=0), dtype=float)
    labels = rng.integers(0, 10, size=40)
    loss = model.evaluate(images, labels, verbose=0, return_dict=True)["loss"]
    of_truth = outputs[np.arange(40), labels]
    of_logits = (np.log(np.exp(outputs).sum(axis=1)) - of_truth).mean()
    of_probabilities = -np.log(np.maximum(of_truth, 1e-7)).mean()
    positive = (outputs >= 0).all()
    if positive and np.allclose(outputs.sum(axis=1), 1, atol=1e-3):
        of_both = np.isclose(loss, [of_logits, of_probabilities], rtol=1e-3).tolist()
        if of_both == [True, False]:
            fail("The network puts out probabilities, and the loss takes them for logits: softmax twice.")
        if not np.isclose(loss, of_probabilities, rtol=1e-2):
            fail("The loss is not the mean log loss of the network's probabilities.")
    elif positive:
        fail("No output is ever negative. Logits must be free to be; something cuts them off.")
    elif not np.isclose(loss, of_logits, rtol=1e-2):
        fail("The outputs are logits, no probabilities, and the loss does not know it.")


@task(4, "the receptive field")
def field(function, rng):
    """A function (list of (kernel, stride)) -> int, by counting the pixels that are reached."""

    def reached(stack) -> int:
        places = {0}
        for kernel, stride in reversed(stack):
            places = {place * stride + each for place in places for each in range(kernel)}
        return max(places) - min(places) + 1

    own = "A layer's own stride moves the layers after it apart, not what its own kernel touches."
    later = "After a stride, neighbours lie further apart in the image: keep track of the distance."
    second = "The second convolution adds one pixel more on each side."
    cases = [([(5, 1)], "Begin with this one layer."), ([(3, 1), (3, 1)], second), ([(3, 1), (2, 2)], own)]
    cases += [([(2, 2), (3, 1)], later), ([(3, 2), (3, 2), (3, 1)], later)]
    for _ in range(20):
        layers = range(int(rng.integers(2, 5)))
        cases.append(([(int(rng.choice([1, 2, 3, 5])), int(rng.choice([1, 2, 3]))) for _ in layers], later))
    for stack, advice in cases:
        right = reached(stack)
        expect(*number_from(function, stack), right, {}, f"{right} pixels are reached. {advice}")


def _multiplications(layer) -> int:
    """How often a layer multiplies for one image."""
    if isinstance(layer, keras.layers.Dense) or hasattr(layer, "kernel_size"):
        return int(np.prod(layer.output.shape[1:-1])) * layer.get_weights()[0].size
    return 0


def _field(network) -> int:
    """Pixels along the height that a number before flattening can see, found by trying."""
    stages = [layer for layer in network.layers if len(layer.output.shape) == 4]
    height, width = network.input_shape[1:3]
    clone = keras.models.clone_model(keras.Model(network.inputs, stages[-1].output))
    # Positive weights let every reachable pixel through, whatever the activation.
    clone.set_weights([np.full(each.shape, 0.1) for each in clone.get_weights()])
    # The first image is blank, each other one has one white row.
    images = np.zeros((1 + height, height, width, network.input_shape[3]), dtype="float32")
    images[np.arange(1, 1 + height), np.arange(height)] = 255
    outputs = np.asarray(clone.predict(images, verbose=0), dtype=float)
    middle = outputs[:, outputs.shape[1] // 2, outputs.shape[2] // 2].sum(axis=-1)
    seen = np.flatnonzero(np.abs(middle[1:] - middle[0]) > 1e-6 * np.abs(middle).max())
    return int(np.ptp(seen) + 1) if len(seen) else 0


@task(5, "a budget")
def budget(build):
    """A function that returns a network, measured against the budget."""
    network = _built(build, (80, 60, 1), 55)
    if not any(isinstance(layer, keras.layers.Rescaling) for layer in network.layers):
        fail("Nothing rescales the grey levels. A Rescaling layer inside the network cannot be forgotten.")
    if getattr(network.layers[-1], "activation", None) is not keras.activations.linear:
        fail("The output should be logits: no activation in the last layer.")
    totals = []
    counts = {"parameters": keras.layers.Layer.count_params, "multiplications": _multiplications}
    for (kind, count), allowed in zip(counts.items(), (30_000, 4_000_000)):
        spent = {layer.name: count(layer) for layer in network.layers}
        total, name = sum(spent.values()), max(spent, key=spent.get)
        if total > allowed:
            fail(f"{total:,} {kind} are more than {allowed:,}. The layer {name} has {spent[name]:,} of them.")
        totals.append(f"{total:,} {kind}")
    seen = _field(network)
    fail(f"Before flattening a number sees {seen} pixels, not 30. Strides and pooling add.", when=seen < 30)
    return f"{', '.join(totals)}, and each number sees {seen} pixels."

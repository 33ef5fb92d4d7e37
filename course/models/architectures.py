"""The benchmark architectures of lecture 6 in Keras, and tables that are read off built models.

Every builder follows the paper that it names; where a paper leaves something open, or contradicts itself,
the docstring says what was chosen. `tests/unit/test_architectures.py` compares with the papers' numbers.
Layers of one stage share what stands before a double underscore, as in `inception_3a__3x3_reduce`.
"""

import math
from collections.abc import Sequence

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)

import keras
import numpy as np
import pandas as pd
from keras import ops
from keras.layers import (
    Activation,
    Add,
    AveragePooling2D,
    BatchNormalization,
    Concatenate,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePooling2D,
    Input,
    MaxPooling2D,
)

# LeCun et al. (1998), table I: which of the six maps of S2 each of the 16 maps of C3 sees.
C3_CONNECTIONS = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)

# Szegedy et al. (2015), table 1: the columns #1×1, #3×3 reduce, #3×3, #5×5 reduce, #5×5 and
# pool proj of each Inception module.
INCEPTION_MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def without_weights():
    """Context in which models are built that have shapes and counts, but no numbers in them.

    A network with 60 million weights takes no memory then, and a few milliseconds. It can be described
    and drawn, but neither fitted nor asked for a prediction.
    """
    return keras.device("meta")


# --- layers that Keras lacks ---------------------------------------------------------------------


class PartlyConnectedConv2D(keras.layers.Layer):
    """A convolution in which each output map sees chosen input maps only.

    Layer C3 of LeNet-5 (LeCun et al., 1998, table I). No padding, stride 1. Input shape
    (n, height, width, channels), output (n, height − k + 1, width − k + 1, maps). Only the
    kernels that exist are parameters: k × k for each connection, and one bias for each map.
    `connections` has for each output map the numbers of the input maps that it sees, each once.
    """

    def __init__(self, connections: Sequence[Sequence[int]], kernel_size: int, activation=None, **options):
        super().__init__(**options)
        self.connections = connections
        self.kernel_size = (kernel_size, kernel_size)
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        channels, maps = input_shape[-1], len(self.connections)
        pairs = [(source, target) for target, seen in enumerate(self.connections) for source in seen]
        # place[i, c, m] is 1 where connection i leads from input map c to output map m.
        self.place = np.zeros((len(pairs), channels, maps), dtype="float32")
        self.place[(range(len(pairs)), *zip(*pairs))] = 1
        # Uniform with the fan-in of an average map, as Glorot's rule has it for a full layer.
        area = math.prod(self.kernel_size)
        limit = math.sqrt(6 / (area * len(pairs) / maps + area * len(pairs) / channels))
        self.kernel = self.add_weight(
            name="kernels", shape=(*self.kernel_size, len(pairs)),
            initializer=keras.initializers.RandomUniform(-limit, limit))
        self.bias = self.add_weight(name="bias", shape=(maps,), initializer="zeros")

    def call(self, inputs):
        kernel = ops.tensordot(self.kernel, ops.convert_to_tensor(self.place), axes=1)
        return self.activation(ops.conv(inputs, kernel, padding="valid") + self.bias)


class Subsampling2D(keras.layers.Layer):
    """Pooling that learns: the sum of 2 × 2 inputs, times a coefficient, plus a bias.

    Layers S2 and S4 of LeNet-5 (LeCun et al., 1998, section II.B); each map has its own
    coefficient and bias. Input shape (n, height, width, maps) with even sides, output
    (n, height / 2, width / 2, maps). The coefficients start at 1/4, which is the average.
    """

    def __init__(self, activation=None, **options):
        super().__init__(**options)
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        maps = input_shape[-1]
        self.coefficient = self.add_weight(
            name="coefficient", shape=(maps,), initializer=keras.initializers.Constant(0.25))
        self.bias = self.add_weight(name="bias", shape=(maps,), initializer="zeros")

    def call(self, inputs):
        total = 4 * ops.average_pool(inputs, 2, strides=2)
        return self.activation(self.coefficient * total + self.bias)


class RadialBasisOutput(keras.layers.Layer):
    """Minus the squared distance between the input and a fixed code of ±1 for each class.

    The output layer of LeNet-5 (LeCun et al., 1998, section II.B). Input shape (n, inputs), output
    (n, classes). The paper drew its codes by hand as small pictures of the characters and names random
    ones as the alternative. These are random, and they are not trained.
    """

    def __init__(self, classes: int, **options):
        super().__init__(**options)
        self.classes = classes

    def build(self, input_shape):
        shape = (input_shape[-1], self.classes)
        signs = np.random.default_rng(1998).choice([-1.0, 1.0], size=shape)
        self.codes = self.add_weight(
            name="codes", shape=shape, trainable=False,
            initializer=lambda shape, dtype=None: ops.convert_to_tensor(signs, dtype=dtype))

    def call(self, inputs):
        # |x − w|² = |x|² − 2 x·w + |w|², and |w|² is the number of inputs.
        squares = ops.sum(inputs**2, axis=-1, keepdims=True)
        return 2 * ops.matmul(inputs, self.codes) - squares - inputs.shape[-1]


def scaled_tanh(x):
    """1.7159 tanh(2x / 3), the sigmoidal function of LeNet-5 (LeCun et al., 1998, eq. 6)."""
    return 1.7159 * ops.tanh(2 * x / 3)


class LocalResponseNormalization(keras.layers.Layer):
    """Divide each activation by what its neighbours in the channel direction add up to.

    b = a / (2 + 1e-4 · Σ a²)^0.75, with the sum over the five channels around each channel
    (Krizhevsky et al., 2012, section 3.3). Output shape equals input shape.
    """

    def call(self, inputs):
        channels = inputs.shape[-1]
        squares = ops.pad(inputs**2, [[0, 0], [0, 0], [0, 0], [2, 2]])
        total = sum(squares[..., shift:shift + channels] for shift in range(5))
        return inputs / (2 + 1e-4 * total) ** 0.75


# --- LeNet-5 -------------------------------------------------------------------------------------


def lenet5(n_classes: int = 10) -> keras.Model:
    """LeNet-5 as it is built today: every map sees every map, pooling has no weights.

    LeCun et al. (1998), section II.B, with average pooling and a softmax in place of the
    trained sub-sampling and the distances to codes. Input (n, 32, 32, 1), output (n, classes),
    61,706 parameters for ten classes.
    """
    return keras.Sequential([
        Input((32, 32, 1)),
        Conv2D(6, 5, activation="tanh", name="C1"),
        AveragePooling2D(2, name="S2"),
        Conv2D(16, 5, activation="tanh", name="C3"),
        AveragePooling2D(2, name="S4"),
        Conv2D(120, 5, activation="tanh", name="C5"),
        Flatten(),
        Dense(84, activation="tanh", name="F6"),
        Dense(n_classes, activation="softmax", name="output"),
    ], name="lenet5")


def lenet5_1998(n_classes: int = 10) -> keras.Model:
    """LeNet-5 as the paper has it: 60,000 trainable parameters.

    LeCun et al. (1998), section II.B: C3 by the paper's table of connections, sub-sampling
    with a coefficient and a bias for each map, a scaled tanh, and distances to fixed codes as
    outputs. Input (n, 32, 32, 1), output (n, classes): minus the distances, to be used as logits.
    """
    return keras.Sequential([
        Input((32, 32, 1)),
        Conv2D(6, 5, activation=scaled_tanh, name="C1"),
        Subsampling2D(activation=scaled_tanh, name="S2"),
        PartlyConnectedConv2D(C3_CONNECTIONS, 5, activation=scaled_tanh, name="C3"),
        Subsampling2D(activation=scaled_tanh, name="S4"),
        Conv2D(120, 5, activation=scaled_tanh, name="C5"),
        Flatten(),
        Dense(84, activation=scaled_tanh, name="F6"),
        RadialBasisOutput(n_classes, name="output"),
    ], name="lenet5_1998")


# --- AlexNet -------------------------------------------------------------------------------------


def alexnet(n_classes: int = 1000, groups: int = 2) -> keras.Model:
    """AlexNet (Krizhevsky, Sutskever and Hinton, 2012, section 3.5 and figure 2).

    Input (n, 227, 227, 3): the paper writes 224, but a kernel of 11 with stride 4 and no padding gives
    its 55 × 55 only from 227. Output (n, classes). In the paper the second, fourth and fifth convolution
    saw only those channels that lay on their own graphics card, of two: `groups`.
    """
    def convolution(filters, size, name, **options):
        return Conv2D(filters, size, activation="relu", name=name, **options)

    return keras.Sequential([
        Input((227, 227, 3)),
        convolution(96, 11, "conv1", strides=4),
        LocalResponseNormalization(name="norm1"),
        MaxPooling2D(3, strides=2, name="pool1"),
        convolution(256, 5, "conv2", padding="same", groups=groups),
        LocalResponseNormalization(name="norm2"),
        MaxPooling2D(3, strides=2, name="pool2"),
        convolution(384, 3, "conv3", padding="same"),
        convolution(384, 3, "conv4", padding="same", groups=groups),
        convolution(256, 3, "conv5", padding="same", groups=groups),
        MaxPooling2D(3, strides=2, name="pool5"),
        Flatten(),
        Dense(4096, activation="relu", name="fc6"), Dropout(0.5),
        Dense(4096, activation="relu", name="fc7"), Dropout(0.5),
        Dense(n_classes, activation="softmax", name="fc8"),
    ], name="alexnet")


# --- GoogLeNet -----------------------------------------------------------------------------------


def inception_module(x, ones, threes_reduce, threes, fives_reduce, fives, projection, name):
    """Four branches side by side, joined along the channels.

    Szegedy et al. (2015), figure 2b. `x` is a Keras tensor (n, height, width, channels); the
    result has the same height and width and ones + threes + fives + projection channels.
    """
    def convolution(x, filters, size, part):
        return Conv2D(filters, size, padding="same", activation="relu",
                      name=f"{name}__{part}")(x)

    pooled = MaxPooling2D(3, strides=1, padding="same", name=f"{name}__pool")(x)
    return Concatenate(name=f"{name}__output")([
        convolution(x, ones, 1, "1x1"),
        convolution(convolution(x, threes_reduce, 1, "3x3_reduce"), threes, 3, "3x3"),
        convolution(convolution(x, fives_reduce, 1, "5x5_reduce"), fives, 5, "5x5"),
        convolution(pooled, projection, 1, "pool_projection"),
    ])


def googlenet(n_classes: int = 1000, auxiliary: bool = False) -> keras.Model:
    """GoogLeNet (Szegedy et al., 2015, table 1 and figure 3).

    Input (n, 224, 224, 3), output (n, classes). With `auxiliary` the two classifiers that help the
    training of the lower layers and are thrown away later (section 5) are further outputs.
    """
    def convolution(x, filters, size, name, **options):
        return Conv2D(filters, size, padding="same", activation="relu", name=name, **options)(x)

    def halve(x, name):
        return MaxPooling2D(3, strides=2, padding="same", name=name)(x)

    def side_output(x, name):
        x = AveragePooling2D(5, strides=3, name=f"{name}__pool")(x)
        x = Flatten(name=f"{name}__flatten")(convolution(x, 128, 1, f"{name}__1x1"))
        x = Dense(1024, activation="relu", name=f"{name}__dense")(x)
        x = Dropout(0.7, name=f"{name}__dropout")(x)
        return Dense(n_classes, activation="softmax", name=f"{name}__softmax")(x)

    inputs = Input((224, 224, 3))
    x = halve(convolution(inputs, 64, 7, "conv1", strides=2), "pool1")
    x = LocalResponseNormalization(name="norm1")(x)
    x = convolution(convolution(x, 64, 1, "conv2__reduce"), 192, 3, "conv2__3x3")
    x = halve(LocalResponseNormalization(name="norm2")(x), "pool2")
    side_outputs = []
    for number, widths in INCEPTION_MODULES.items():
        x = inception_module(x, *widths, name=f"inception_{number}")
        if number in ("3b", "4e"):
            x = halve(x, f"pool{number[0]}")
        if number in ("4a", "4d") and auxiliary:
            side_outputs.append(side_output(x, f"auxiliary_{number}"))
    x = GlobalAveragePooling2D(name="average_pool")(x)
    x = Dropout(0.4, name="dropout")(x)
    outputs = Dense(n_classes, activation="softmax", name="linear")(x)
    return keras.Model(inputs, [outputs, *side_outputs] if auxiliary else outputs,
                       name="googlenet")


# --- ResNet --------------------------------------------------------------------------------------


def residual_block(x, filters, stride=1, residual=True, projection=True, momentum=0.99,
                   name="block"):
    """Two 3 × 3 convolutions, and their input added to what they make of it.

    He et al. (2016), figure 2. `x` is a Keras tensor (n, height, width, channels); the result
    is (n, height / stride, width / stride, filters). Where the shape changes the shortcut is a
    1 × 1 convolution (`projection`, the paper's option B) or zeros in the new channels (option
    A, without parameters). `residual=False` leaves the shortcut out: the paper's plain network.
    `momentum` is that of batch normalisation; 0.99 suits trainings of many thousand steps.
    """
    def convolve(x, size, stride, part):
        x = Conv2D(filters, size, strides=stride, padding="same", use_bias=False,
                   kernel_initializer="he_normal", name=f"{name}__{part}")(x)
        return BatchNormalization(momentum=momentum, name=f"{name}__{part}_norm")(x)

    y = Activation("relu", name=f"{name}__relu1")(convolve(x, 3, stride, "conv1"))
    y = convolve(y, 3, 1, "conv2")
    if residual:
        if x.shape[1:] != y.shape[1:]:
            x = convolve(x, 1, stride, "shortcut") if projection else _fill_up(x, filters, stride)
        y = Add(name=f"{name}__add")([x, y])
    return Activation("relu", name=f"{name}__relu2")(y)


def _fill_up(x, filters, stride):
    """Every stride-th pixel, and zeros in the channels that `x` lacks (option A)."""
    x = x[:, ::stride, ::stride]
    return ops.pad(x, [[0, 0], [0, 0], [0, 0], [0, filters - x.shape[-1]]])


def _resnet(stages, n_classes, **options):
    """The whole network. `stages` has filters and blocks of each; all but the first halve the maps."""
    large = len(stages) == 4   # for ImageNet
    inputs = Input((224, 224, 3) if large else (32, 32, 3))
    size, stride = (7, 2) if large else (3, 1)
    x = Conv2D(stages[0][0], size, strides=stride, padding="same", use_bias=False,
               kernel_initializer="he_normal", name="conv1")(inputs)
    x = Activation("relu", name="conv1_relu")(BatchNormalization(name="conv1_norm")(x))
    if large:
        x = MaxPooling2D(3, strides=2, padding="same", name="pool1")(x)
    for stage, (filters, blocks) in enumerate(stages, start=2):
        for block in range(1, blocks + 1):
            stride = 2 if block == 1 and stage > 2 else 1
            x = residual_block(x, filters, stride, name=f"conv{stage}_{block}", **options)
    x = GlobalAveragePooling2D(name="average_pool")(x)
    return keras.Model(inputs, Dense(n_classes, activation="softmax", name="dense")(x))


def resnet34(n_classes: int = 1000, residual: bool = True, projection: bool = True) -> keras.Model:
    """ResNet-34 (He et al., 2016, table 1): 3, 4, 6 and 3 blocks of two convolutions.

    Input (n, 224, 224, 3), output (n, classes). `residual` and `projection` as in
    `residual_block`; `residual=False` is the plain network of 34 layers in the paper's figure 3.
    """
    stages = [(64, 3), (128, 4), (256, 6), (512, 3)]
    return _resnet(stages, n_classes, residual=residual, projection=projection)


def cifar_resnet(depth: int, residual: bool = True) -> keras.Model:
    """The ResNet for CIFAR-10 with 6n + 2 layers (He et al., 2016, section 4.2).

    Input (n, 32, 32, 3), output (n, 10). Shortcuts are identities, filled up with zeros
    where channels are added, so that a plain network has the very same parameters.
    """
    if depth < 8 or depth % 6 != 2:
        raise ValueError(f"A ResNet for CIFAR-10 has 6n + 2 layers (8, 14, 20 …), not {depth}.")
    blocks = (depth - 2) // 6
    return _resnet([(16, blocks), (32, blocks), (64, blocks)], 10, residual=residual, projection=False)


# --- tables that are read off a model ------------------------------------------------------------


def multiply_adds(layer: keras.layers.Layer) -> int:
    """How many multiplications with a weight one image needs in this layer.

    As the papers count them: convolutions and dense layers alone, without biases; 0 for all other layers.
    """
    if isinstance(layer, (Conv2D, PartlyConnectedConv2D)):
        return math.prod(layer.output.shape[1:3]) * math.prod(layer.kernel.shape)
    if isinstance(layer, Dense):
        return math.prod(layer.kernel.shape)
    return 0


def connections(layer: keras.layers.Layer) -> int:
    """How many connections a layer of LeNet-5 has: its weights as often as they are used.

    As LeCun et al. (1998) count them: a bias is a connection, each of four inputs of a
    sub-sampling unit is one, and so is each distance to a code. 0 for layers without any.
    """
    if isinstance(layer, (Conv2D, PartlyConnectedConv2D)):
        return math.prod(layer.output.shape[1:3]) * layer.count_params()
    if isinstance(layer, Subsampling2D):
        return math.prod(layer.output.shape[1:]) * (4 + 1)
    if isinstance(layer, (Dense, RadialBasisOutput)):
        return layer.count_params()
    return 0


def layer_table(model: keras.Model) -> pd.DataFrame:
    """One row for each layer of a model, in order, the input first.

    Columns are "layer" (its name), "kind" (in words), "output" (shape without the batch axis, such
    as "28 × 28 × 6"), "parameters" and "multiply-adds" (int).
    """
    rows = [("input", "image", _shape_text(model.inputs[0].shape), 0, 0)]
    for layer in model.layers:
        if not isinstance(layer, keras.layers.InputLayer):
            rows.append((layer.name, _kind(layer), _shape_text(layer.output.shape),
                         layer.count_params(), multiply_adds(layer)))
    return pd.DataFrame(rows, columns=["layer", "kind", "output", "parameters", "multiply-adds"])


def stage_table(model: keras.Model) -> pd.DataFrame:
    """One row for each stage of a model: layers that share a name up to a double underscore.

    "output" is the shape after its last layer, "layers" how many convolutions and dense layers it has.
    """
    table = layer_table(model).iloc[1:]
    table = table.assign(
        stage=table["layer"].str.split("__").str[0], layers=(table["multiply-adds"] > 0))
    # Activation and normalisation that follow a single convolution belong to it.
    table["stage"] = table["stage"].str.replace(r"_(norm|relu)$", "", regex=True)
    return table.groupby("stage", sort=False, as_index=False).agg(
        output=("output", "last"), layers=("layers", "sum"),
        parameters=("parameters", "sum"), **{"multiply-adds": ("multiply-adds", "sum")})


def _shape_text(shape: Sequence[int | None]) -> str:
    return " × ".join(f"{side:,}" for side in shape[1:])


def depth(model: keras.Model) -> int:
    """The number of convolutions and dense layers on the longest way from input to output.

    Branches side by side count once, and a shortcut does not shorten: papers count so.
    """
    if isinstance(model, keras.Sequential):
        return sum(multiply_adds(layer) > 0 for layer in model.layers)
    longest = {}
    for step in model.operations:
        inputs = [] if isinstance(step, keras.layers.InputLayer) else keras.tree.flatten(step.input)
        before = [longest[tensor._keras_history.operation] for tensor in inputs]
        longest[step] = (multiply_adds(step) > 0) + max(before, default=0)
    return max(longest.values())


def _kind(layer: keras.layers.Layer) -> str:
    """What a layer does, in words."""
    if isinstance(layer, Subsampling2D):
        return "sub-sampling 2 × 2"
    words = {
        "Conv2D": "convolution", "PartlyConnectedConv2D": "convolution", "Dense": "dense",
        "MaxPooling2D": "max pooling", "AveragePooling2D": "average pooling",
        "Flatten": "flatten", "RadialBasisOutput": "distance to codes",
    }
    text = words.get(type(layer).__name__, type(layer).__name__)
    pool = getattr(layer, "pool_size", (1,))
    sides = getattr(layer, "kernel_size", pool)
    stride = getattr(layer, "strides", (1,))[0]
    groups = getattr(layer, "groups", 1)
    text += f" {sides[0]} × {sides[0]}" if len(sides) == 2 else ""
    text += ", partly connected" if isinstance(layer, PartlyConnectedConv2D) else ""
    text += f", stride {stride}" if stride > 1 and stride != pool[0] else ""
    return text + (f", {groups} groups" if groups > 1 else "")

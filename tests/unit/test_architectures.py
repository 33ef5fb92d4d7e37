"""The architectures of lecture 6 against the numbers that their papers state.

Where a paper's number does not follow from its own description, the test says what the paper
states, what follows, and holds the model to the latter.
"""

import math

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)
from course.models import architectures
from course.models.architectures import (
    C3_CONNECTIONS,
    INCEPTION_MODULES,
    LocalResponseNormalization,
    PartlyConnectedConv2D,
    RadialBasisOutput,
    Subsampling2D,
    alexnet,
    cifar_resnet,
    connections,
    depth,
    googlenet,
    inception_module,
    layer_table,
    lenet5,
    lenet5_1998,
    multiply_adds,
    residual_block,
    resnet34,
    stage_table,
    without_weights,
)

import keras
import numpy as np
import pytest
import torch


def outputs(model):
    return dict(zip(layer_table(model)["layer"], layer_table(model)["output"]))


def parameters(model):
    return dict(zip(layer_table(model)["layer"], layer_table(model)["parameters"]))


def trainable(model):
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def arithmetic(model):
    return sum(map(multiply_adds, model.layers))


@pytest.fixture(scope="module")
def meta():
    """The large models, without weights."""
    with without_weights():
        return {
            "alexnet": alexnet(),
            "alexnet, one card": alexnet(groups=1),
            "googlenet": googlenet(),
            "googlenet, auxiliary": googlenet(auxiliary=True),
            "resnet34": resnet34(),
            "resnet34, zeros": resnet34(projection=False),
            "plain34": resnet34(residual=False),
        }


# --- LeNet-5: LeCun, Bottou, Bengio and Haffner (1998), section II.B ---------------------------


LENET_SHAPES = {
    "C1": "28 × 28 × 6",
    "S2": "14 × 14 × 6",
    "C3": "10 × 10 × 16",
    "S4": "5 × 5 × 16",
    "C5": "1 × 1 × 120",
    "F6": "84",
    "output": "10",
}


@pytest.mark.parametrize("build", [lenet5, lenet5_1998])
def test_lenet5_has_the_papers_shapes(build):
    found = outputs(build())
    assert found["input"] == "32 × 32 × 1"
    assert {name: found[name] for name in LENET_SHAPES} == LENET_SHAPES


def test_lenet5_of_1998_has_the_papers_parameters():
    model = lenet5_1998()
    found = parameters(model)
    stated = {"C1": 156, "S2": 12, "C3": 1_516, "S4": 32, "C5": 48_120, "F6": 10_164}
    assert {name: found[name] for name in stated} == stated
    assert trainable(model) == 60_000  # "only 60,000 trainable free parameters"


def test_lenet5_of_1998_has_the_papers_connections():
    found = {layer.name: connections(layer) for layer in lenet5_1998().layers}
    stated = {"C1": 122_304, "S2": 5_880, "C3": 151_600, "S4": 2_000, "C5": 48_120}
    assert {name: found[name] for name in stated} == stated
    assert sum(found.values()) == 340_908  # "340,908 connections"


def test_lenet5_of_today_differs_where_the_lecture_says():
    found = parameters(lenet5())
    assert (found["C1"], found["C5"], found["F6"]) == (156, 48_120, 10_164)
    assert (found["S2"], found["C3"], found["S4"], found["output"]) == (0, 2_416, 0, 850)
    assert lenet5().count_params() == 61_706


def test_connection_table_is_the_papers():
    """Six maps see three contiguous maps, six see four, three see four others, one sees all."""
    assert [len(seen) for seen in C3_CONNECTIONS] == [3] * 6 + [4] * 9 + [6]
    for number in range(6):
        assert set(C3_CONNECTIONS[number]) == {(number + i) % 6 for i in range(3)}
        assert set(C3_CONNECTIONS[6 + number]) == {(number + i) % 6 for i in range(4)}
    contiguous = {frozenset(seen) for seen in C3_CONNECTIONS[6:12]}
    assert not contiguous & {frozenset(seen) for seen in C3_CONNECTIONS[12:15]}
    # Table I has ten crosses in each row: every map of S2 is seen equally often.
    assert np.bincount(np.concatenate(C3_CONNECTIONS)).tolist() == [10] * 6


def test_partly_connected_convolution_equals_torchs_with_a_mask():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, 9, 8, 6)).astype("float32")
    layer = PartlyConnectedConv2D(C3_CONNECTIONS, 5, activation="tanh")
    layer.build((None, 9, 8, 6))
    layer.bias.assign(rng.normal(size=16))
    kernels = np.asarray(keras.ops.convert_to_numpy(layer.kernel))
    full = np.zeros((16, 6, 5, 5), dtype="float32")
    position = 0
    for target, seen in enumerate(C3_CONNECTIONS):
        for source in seen:
            full[target, source] = kernels[..., position]
            position += 1
    expected = torch.tanh(
        torch.nn.functional.conv2d(
            torch.tensor(images).permute(0, 3, 1, 2),
            torch.tensor(full),
            torch.tensor(keras.ops.convert_to_numpy(layer.bias)),
        )
    ).permute(0, 2, 3, 1)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(images)), expected.numpy(), atol=1e-5)


def test_subsampling_adds_four_then_scales_and_shifts():
    image = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    layer = Subsampling2D()
    layer.build((None, 4, 4, 1))
    layer.coefficient.assign([2.0])
    layer.bias.assign([-1.0])
    sums = np.array([[0 + 1 + 4 + 5, 2 + 3 + 6 + 7], [8 + 9 + 12 + 13, 10 + 11 + 14 + 15]])
    found = keras.ops.convert_to_numpy(layer(image))
    np.testing.assert_allclose(found[0, ..., 0], 2 * sums - 1)


def test_radial_basis_output_is_minus_the_squared_distance():
    inputs = np.random.default_rng(1).normal(size=(3, 84)).astype("float32")
    layer = RadialBasisOutput(10)
    found = keras.ops.convert_to_numpy(layer(inputs))
    codes = keras.ops.convert_to_numpy(layer.codes)
    assert set(np.unique(codes)) == {-1, 1} and not layer.trainable_weights
    distances = ((inputs[:, :, None] - codes[None]) ** 2).sum(axis=1)
    np.testing.assert_allclose(found, -distances, rtol=1e-4)
    assert len({tuple(code) for code in codes.T}) == 10


# --- AlexNet: Krizhevsky, Sutskever and Hinton (2012), section 3.5, figure 2 -------------------


def test_alexnet_has_the_papers_layers(meta):
    found = outputs(meta["alexnet"])
    assert found["input"] == "227 × 227 × 3"
    stated = {
        "conv1": "55 × 55 × 96",
        "pool1": "27 × 27 × 96",
        "conv2": "27 × 27 × 256",
        "pool2": "13 × 13 × 256",
        "conv3": "13 × 13 × 384",
        "conv4": "13 × 13 × 384",
        "conv5": "13 × 13 × 256",
        "pool5": "6 × 6 × 256",
        "fc6": "4,096",
        "fc7": "4,096",
        "fc8": "1,000",
    }
    assert {name: found[name] for name in stated} == stated
    assert depth(meta["alexnet"]) == 8


def test_alexnet_has_the_papers_kernels(meta):
    """ "256 kernels of size 5 × 5 × 48", 3 × 3 × 256, 3 × 3 × 192, 3 × 3 × 192."""
    shapes = {
        layer.name: tuple(layer.kernel.shape)
        for layer in meta["alexnet"].layers
        if layer.name.startswith("conv")
    }
    assert shapes == {
        "conv1": (11, 11, 3, 96),
        "conv2": (5, 5, 48, 256),
        "conv3": (3, 3, 256, 384),
        "conv4": (3, 3, 192, 384),
        "conv5": (3, 3, 192, 256),
    }


def test_alexnet_has_about_60_million_parameters(meta):
    assert meta["alexnet"].count_params() == 60_965_224
    assert meta["alexnet, one card"].count_params() == 62_378_344


def test_alexnets_neurons(meta):
    """Figure 2: 253,440–186,624–64,896–64,896–43,264–4096–4096–1000; the abstract: 650,000."""
    neurons = {
        layer.name: math.prod(layer.output.shape[1:])
        for layer in meta["alexnet"].layers
        if multiply_adds(layer)
    }
    assert list(neurons.values())[1:] == [186_624, 64_896, 64_896, 43_264, 4096, 4096, 1000]
    # The first number of the figure does not follow from 55 × 55 × 96, the abstract's total does.
    assert neurons["conv1"] == 290_400 != 253_440
    assert round(sum(neurons.values()), -4) == 660_000


def test_local_response_normalisation_equals_torchs():
    images = np.random.default_rng(0).normal(0, 30, size=(2, 3, 4, 16)).astype("float32")
    # torch divides alpha by the number of channels in the sum, the paper does not
    reference = torch.nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2)
    expected = reference(torch.tensor(images).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
    found = keras.ops.convert_to_numpy(LocalResponseNormalization()(images))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


# --- GoogLeNet: Szegedy et al. (2015), table 1 -------------------------------------------------

# stage: output size, parameters in K, operations in M; None where the table has no entry
GOOGLENET = {
    "conv1": ("112 × 112 × 64", 2.7, 34),
    "pool1": ("56 × 56 × 64", None, None),
    "conv2": ("56 × 56 × 192", 112, 360),
    "pool2": ("28 × 28 × 192", None, None),
    "inception_3a": ("28 × 28 × 256", 159, 128),
    "inception_3b": ("28 × 28 × 480", 380, 304),
    "pool3": ("14 × 14 × 480", None, None),
    "inception_4a": ("14 × 14 × 512", 364, 73),
    "inception_4b": ("14 × 14 × 512", 437, 88),
    "inception_4c": ("14 × 14 × 512", 463, 100),
    "inception_4d": ("14 × 14 × 528", 580, 119),
    "inception_4e": ("14 × 14 × 832", 840, 170),
    "pool4": ("7 × 7 × 832", None, None),
    "inception_5a": ("7 × 7 × 832", 1072, 54),
    "inception_5b": ("7 × 7 × 1,024", 1388, 71),
    "average_pool": ("1,024", None, None),
    "dropout": ("1,024", None, None),
    "linear": ("1,000", 1000, 1),
}
# Rows whose stated number does not follow from the widths that the same row states.
OTHER_PARAMETERS = {
    "conv1",
    "inception_4a",
    "inception_4c",
    "inception_4d",
    "inception_4e",
    "inception_5a",
    "inception_5b",
}
OTHER_OPERATIONS = {"conv1", "inception_5a"}


def test_googlenet_has_the_papers_output_sizes(meta):
    found = dict(stage_table(meta["googlenet"])[["stage", "output"]].itertuples(index=False))
    for stage, (size, _, _) in GOOGLENET.items():
        assert found[stage] == size, stage


@pytest.mark.parametrize("stage", [name for name, row in GOOGLENET.items() if row[1]])
def test_googlenets_parameters_and_operations(meta, stage):
    _, thousands, millions = GOOGLENET[stage]
    layers = [layer for layer in meta["googlenet"].layers if layer.name.split("__")[0] == stage]
    weights = sum(math.prod(layer.kernel.shape) for layer in layers if hasattr(layer, "kernel"))
    with_biases = sum(layer.count_params() for layer in layers)
    # Within one unit of the last digit, with or without biases; K is 1,024.
    agrees = weights / 1024 - 1 <= thousands <= with_biases / 1024 + 1
    assert agrees == (stage not in OTHER_PARAMETERS)
    operations = sum(map(multiply_adds, layers)) / 1e6
    assert (abs(operations - millions) < 1) == (stage not in OTHER_OPERATIONS)


def test_parameters_of_the_modules_follow_from_the_widths(meta):
    channels = {
        "3a": 192,
        "3b": 256,
        "4a": 480,
        "4b": 512,
        "4c": 512,
        "4d": 512,
        "4e": 528,
        "5a": 832,
        "5b": 832,
    }
    found = dict(stage_table(meta["googlenet"])[["stage", "parameters"]].itertuples(index=False))
    for number, (one, reduce3, three, reduce5, five, pool) in INCEPTION_MODULES.items():
        c = channels[number]
        expected = c * (one + reduce3 + reduce5 + pool) + 9 * reduce3 * three + 25 * reduce5 * five
        expected += one + reduce3 + three + reduce5 + five + pool
        assert found[f"inception_{number}"] == expected


def test_googlenet_has_22_layers_and_5_poolings(meta):
    """ "22 layers deep when counting only layers with parameters (or 27 … pooling)" """
    model = meta["googlenet"]
    assert depth(model) == 22
    between = [layer for layer in model.layers if "ooling" in type(layer).__name__ and "__" not in layer.name]
    assert depth(model) + len(between) == 27
    # "1.5 billion multiply-adds at inference time" is a budget that the design keeps roughly
    assert arithmetic(model) == pytest.approx(1.5e9, rel=0.06)


def test_auxiliary_classifiers_have_the_papers_shapes(meta):
    """Section 5: 4 × 4 × 512 for (4a), 4 × 4 × 528 for (4d), 128 filters, 1024 units."""
    found = outputs(meta["googlenet, auxiliary"])
    assert found["auxiliary_4a__pool"] == "4 × 4 × 512"
    assert found["auxiliary_4d__pool"] == "4 × 4 × 528"
    for name in ("4a", "4d"):
        assert found[f"auxiliary_{name}__1x1"] == "4 × 4 × 128"
        assert found[f"auxiliary_{name}__dense"] == "1,024"
    assert len(meta["googlenet, auxiliary"].outputs) == 3


# --- ResNet: He, Zhang, Ren and Sun (2016), tables 1 and 6 -------------------------------------


def test_resnet34_has_the_papers_stages(meta):
    found = outputs(meta["resnet34"])
    stated = {
        "conv1": "112 × 112 × 64",
        "pool1": "56 × 56 × 64",
        "conv2_3__add": "56 × 56 × 64",
        "conv3_4__add": "28 × 28 × 128",
        "conv4_6__add": "14 × 14 × 256",
        "conv5_3__add": "7 × 7 × 512",
        "average_pool": "512",
        "dense": "1,000",
    }
    assert {name: found[name] for name in stated} == stated
    assert "conv2_4__add" not in found and "conv5_4__add" not in found
    assert depth(meta["resnet34"]) == depth(meta["plain34"]) == 34


def test_resnet34_needs_the_papers_operations(meta):
    """Table 1: 3.6 × 10⁹ multiply-adds; a plain network and option A cost the same."""
    assert round(arithmetic(meta["resnet34, zeros"]) / 1e9, 1) == 3.6
    assert arithmetic(meta["plain34"]) == arithmetic(meta["resnet34, zeros"])
    # Projections (option B) add three 1 × 1 convolutions: 3.66, which would round to 3.7.
    more = arithmetic(meta["resnet34"]) - arithmetic(meta["plain34"])
    assert more == 28 * 28 * 64 * 128 + 14 * 14 * 128 * 256 + 7 * 7 * 256 * 512


def test_shortcuts_without_projection_have_no_parameters(meta):
    assert meta["plain34"].count_params() == meta["resnet34, zeros"].count_params()
    assert trainable(meta["resnet34"]) == 21_797_672
    projections = 64 * 128 + 128 * 256 + 256 * 512 + 2 * (128 + 256 + 512)  # with their norms
    assert trainable(meta["resnet34"]) - trainable(meta["resnet34, zeros"]) == projections


@pytest.mark.parametrize("layers, millions", [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85)])
def test_cifar_resnets_have_the_papers_parameters(layers, millions):
    with without_weights():
        model = cifar_resnet(layers)
        plain = cifar_resnet(layers, residual=False)
    assert depth(model) == layers
    assert trainable(model) / 1e6 == pytest.approx(millions, abs=0.01)
    assert model.count_params() == plain.count_params()


def test_the_deepest_cifar_resnets_too():
    """110 layers: 1.7 million, 1,202 layers: 19.4 million. Each block of three adds as much."""
    with without_weights():
        a, b = (trainable(cifar_resnet(layers)) for layers in (8, 14))
    assert round((a + (b - a) * (110 - 8) / 6) / 1e6, 1) == 1.7
    assert round((a + (b - a) * (1202 - 8) / 6) / 1e6, 1) == 19.4


@pytest.mark.parametrize("layers", [2, 7, 21])
def test_other_depths_are_refused(layers):
    with pytest.raises(ValueError, match="6n \\+ 2"):
        cifar_resnet(layers)


# --- the blocks compute what they should --------------------------------------------------------


def test_a_residual_block_of_zeros_passes_its_input_on():
    inputs = keras.Input((6, 5, 4))
    model = keras.Model(inputs, residual_block(inputs, 4))
    for weight in model.trainable_weights:
        if weight.name == "kernel":
            weight.assign(np.zeros(weight.shape))
    images = np.random.default_rng(0).normal(size=(2, 6, 5, 4)).astype("float32")
    np.testing.assert_allclose(model.predict(images, verbose=0), np.maximum(images, 0), atol=1e-6)


def test_option_a_keeps_every_second_pixel_and_fills_up_with_zeros():
    inputs = keras.Input((6, 4, 3))
    model = keras.Model(inputs, residual_block(inputs, 5, stride=2, projection=False))
    for weight in model.trainable_weights:
        if weight.name == "kernel":
            weight.assign(np.zeros(weight.shape))
    images = np.random.default_rng(0).normal(size=(2, 6, 4, 3)).astype("float32")
    found = model.predict(images, verbose=0)
    np.testing.assert_allclose(found[..., :3], np.maximum(images[:, ::2, ::2], 0), atol=1e-6)
    assert found.shape == (2, 3, 2, 5) and not found[..., 3:].any()


def test_the_momentum_of_a_residual_block_reaches_all_its_averages():
    inputs = keras.Input((6, 4, 3))

    def momenta(**options):
        model = keras.Model(inputs, residual_block(inputs, 5, stride=2, **options))
        return [
            layer.momentum for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)
        ]

    assert momenta(momentum=0.9) == [0.9] * 3
    assert momenta() == [keras.layers.BatchNormalization().momentum] * 3


def test_an_inception_module_joins_its_branches_in_the_papers_order():
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, inception_module(inputs, 1, 2, 3, 4, 5, 6, name="module"))
    image = np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype("float32")
    whole = model.predict(image, verbose=0)
    assert whole.shape == (1, 8, 8, 1 + 3 + 5 + 6)
    start = 0
    for part, width in [("1x1", 1), ("3x3", 3), ("5x5", 5), ("pool_projection", 6)]:
        branch = keras.Model(inputs, model.get_layer(f"module__{part}").output)
        np.testing.assert_allclose(
            branch.predict(image, verbose=0), whole[..., start : start + width], rtol=1e-6
        )
        start += width


@pytest.mark.parametrize("build", [googlenet, resnet34])
def test_large_networks_compute_probabilities(build):
    keras.utils.set_random_seed(1)
    image = np.random.default_rng(0).normal(size=(1, 224, 224, 3)).astype("float32")
    found = build(n_classes=5).predict(image, verbose=0)
    assert found.shape == (1, 5)
    assert found.sum() == pytest.approx(1, abs=1e-5) and found.std() > 0


def test_alexnet_computes_probabilities():
    keras.utils.set_random_seed(1)
    image = np.random.default_rng(0).normal(size=(1, 227, 227, 3)).astype("float32")
    found = alexnet(n_classes=5).predict(image, verbose=0)
    assert found.shape == (1, 5) and found.sum() == pytest.approx(1, abs=1e-5)


# --- tables and counts ---------------------------------------------------------------------------


def test_models_without_weights_take_no_memory(meta):
    assert all(weight.value.is_meta for weight in meta["alexnet"].weights)
    assert not any(weight.value.is_meta for weight in lenet5().weights)


def test_tables_add_up(meta):
    for name, model in meta.items():
        assert layer_table(model)["parameters"].sum() == model.count_params(), name
        assert stage_table(model)["parameters"].sum() == model.count_params(), name
        assert stage_table(model)["multiply-adds"].sum() == arithmetic(model), name


def test_kinds_are_in_words(meta):
    kinds = set().union(*(layer_table(model)["kind"] for model in meta.values()))
    kinds |= set(layer_table(lenet5_1998())["kind"])
    assert {
        "convolution 11 × 11, stride 4",
        "convolution 5 × 5, 2 groups",
        "max pooling 3 × 3, stride 2",
        "convolution 5 × 5, partly connected",
        "sub-sampling 2 × 2",
        "dense",
    } <= kinds


def test_depth_takes_the_longest_way():
    inputs = keras.Input((8, 8, 3))
    short = keras.layers.Conv2D(4, 1)(inputs)
    long = keras.layers.Conv2D(4, 3, padding="same")(keras.layers.Conv2D(4, 1)(inputs))
    joined = keras.layers.Flatten()(keras.layers.Add()([short, long]))
    assert depth(keras.Model(inputs, keras.layers.Dense(2)(joined))) == 3


def test_public_functions_say_where_they_come_from():
    for build in (
        lenet5,
        lenet5_1998,
        alexnet,
        googlenet,
        inception_module,
        resnet34,
        residual_block,
        cifar_resnet,
    ):
        assert any(name in build.__doc__ for name in ("LeCun", "Krizhevsky", "Szegedy", "He et al"))
        assert build.__module__ == architectures.__name__

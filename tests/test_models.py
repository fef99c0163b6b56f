"""The networks: published sizes, agreement of NumPy and PyTorch on the same weights, a thousand layers."""

import re
from dataclasses import replace
from math import prod

import numpy as np
import pytest
import torch

from dlcheck import registry
from dlcheck.conformance.diagnosis import combinations
from dlcheck.conformance.diagnosis import reference as oracle
from dlcheck.evidence import numerics
from dlcheck.models import reference, residual
from dlcheck.models import torch as ours
from dlcheck.models.declaration import (
    Activation,
    AdaptivePool,
    BatchNorm,
    Concat,
    Conv,
    Dropout,
    Flatten,
    GlobalPool,
    Head,
    Linear,
    Network,
    Pool,
    ResponseNorm,
    Scale,
    Subsample,
    Sum,
    branches,
    parameter_count,
    rows,
)
from dlcheck.models.description import used_parameters
from dlcheck.models.structure import of_network

PUBLISHED = {
    "lenet5": ({}, 61_706),
    "lenet5 partial": ({"connections": "partial"}, 60_806),
    "lenet5 caffe": ({"connections": "caffe"}, 431_080),
    "alexnet": ({}, 60_965_224),
    "alexnet one_weird_trick": ({"towers": "one_weird_trick", "image": 224}, 61_100_840),
    "alexnet one_tower": ({"towers": "one_tower"}, 62_378_344),
    "vgg11": ({}, 132_863_336),
    "vgg13": ({}, 133_047_848),
    "vgg16": ({}, 138_357_544),
    "vgg16 batch_norm": ({"normalization": "batch_norm"}, 138_365_992),
    "vgg19": ({}, 143_667_240),
    "nin": ({"num_classes": 10}, 966_986),
    "googlenet": ({}, 6_998_552),
    "googlenet 3x3": ({"large_kernel": 3}, 6_617_624),
    "googlenet torchvision": ({"normalization": "batch_norm", "conv_bias": False, "large_kernel": 3}, 6_624_904),
    "googlenet torchvision, heads": (
        {"normalization": "batch_norm", "conv_bias": False, "large_kernel": 3, "heads": "adaptive"},
        13_004_888,
    ),
    "inception_v2": ({}, 11_295_240),
    "inception_v3": ({}, 23_834_568),
    "inception_v3 without scale": ({"scale": False}, 23_834_568 - 17_216),
    "inception_v3 head": ({"heads": "with"}, 27_161_264),
    "inception_v4": ({}, 42_679_816),
    "resnet18": ({}, 11_689_512),
    "resnet34": ({}, 21_797_672),
    "resnet50": ({}, 25_557_032),
    "resnet50 biases": ({"conv_bias": True}, 25_583_592),
    "resnet50 last_unit": ({"stride": "last_unit"}, 25_557_032),
    "resnet101": ({}, 44_549_160),
    "resnet152": ({}, 60_192_808),
}
CIFAR_A = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962}
CIFAR_B = {20: 272_474, 32: 466_906, 44: 661_338, 56: 855_770, 110: 1_730_714}
NETWORKS = ("lenet5", "alexnet", "vgg11", "vgg13", "vgg16", "vgg19", "nin", "googlenet", "inception_v2",
            "inception_v3", "inception_v4", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152")  # fmt: skip


def narrowed(layers, divisor):
    """The same layers with fewer channels."""
    made = []
    for layer in layers:
        match layer:
            case Conv() | Subsample():
                groups = getattr(layer, "groups", 1)
                made.append(replace(layer, channels=-(-layer.channels // divisor // groups) * groups))
            case Linear():
                made.append(replace(layer, features=-(-layer.features // divisor)))
            case Sum() | Concat():
                made.append(type(layer)(tuple(narrowed(branch, divisor) for branch in branches(layer))))
            case Head():
                made.append(Head(narrowed(layer.layers, divisor)))
            case _:
                made.append(layer)
    return tuple(made)


def small(network, divisor, image):
    return replace(network, layers=narrowed(network.layers, divisor), image=(network.image[0], image, image))


def images(network, count=2, seed=0):
    return np.random.default_rng(seed).standard_normal((count, *network.image))


def twins(network, batch_statistics=False):
    """Parameters, and a torch module that holds them."""
    parameters = reference.initial(network, np.random.default_rng(1))
    module = ours.Model(network).double().train(batch_statistics)
    missing = module.load_state_dict({k: torch.tensor(v) for k, v in parameters.items()}, strict=False)
    assert not missing.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in missing.missing_keys)
    return parameters, module


def assert_equal(got, expected, network):
    """Equal but for a rounding at every term of every sum on the way, at the size of the largest number."""
    terms = sum(prod(row.parameters.get("weight", (1,))[1:]) for row in rows(network))
    allowed = numerics.roundings(np.full(expected.shape, np.abs(expected).max()), "float64", terms)
    assert got.shape == expected.shape
    assert np.abs(expected).max() > 0
    np.testing.assert_array_less(np.abs(got - expected), allowed)


@pytest.mark.parametrize("case", PUBLISHED)
def test_published_parameter_counts(case):
    settings, count = PUBLISHED[case]
    assert parameter_count(getattr(reference, case.split()[0])(**settings)) == count


@pytest.mark.parametrize("component", NETWORKS)
def test_what_layers_learn_is_what_their_graph_learns(component):
    """Under each option, and with each mistake."""
    known = registry.components()[component]
    first = combinations(known)[0]
    options = [{**first, axis.axis: option.name} for axis in known.conventions for option in axis.options]
    hypotheses = [oracle(known, chosen) for chosen in options]
    hypotheses += [oracle(known, first, fault) for fault in registry.faults_of(component)]
    for hypothesis in hypotheses:
        network = hypothesis.required(component)(**hypothesis.keywords(component, known.settings))
        assert parameter_count(network, used=True) == used_parameters(of_network(network, training=True))


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_published_parameter_counts_for_cifar(shortcut):
    counts = {depth: parameter_count(residual.cifar_resnet(depth, shortcut=shortcut)) for depth in CIFAR_A}
    assert counts == (CIFAR_A if shortcut == "A" else CIFAR_B)


def test_the_deepest_have_the_sizes_their_papers_give():
    assert round(parameter_count(residual.cifar_resnet(1202)) / 1e6, 1) == 19.4
    assert round(parameter_count(residual.cifar_resnet(110)) / 1e6, 1) == 1.7
    assert parameter_count(residual.cifar_resnet(1001, preactivation=True)) // 10**5 == 102


@pytest.mark.parametrize("name", NETWORKS)
def test_torch_holds_the_parameters_of_the_table(name):
    with torch.device("meta"):
        module = getattr(ours, name)()
    assert sum(p.numel() for p in module.parameters()) == parameter_count(getattr(reference, name)())


def test_alexnet_has_the_maps_of_figure_2():
    sizes = [row.after.shape for row in rows(reference.alexnet()) if isinstance(row.layer, (Conv, Pool))]
    assert sizes == [(96, 55, 55), (96, 27, 27), (256, 27, 27), (256, 13, 13), (384, 13, 13), (384, 13, 13),
                     (256, 13, 13), (256, 6, 6)]  # fmt: skip


@pytest.mark.parametrize(("depth", "billions"), [(18, 1.8), (34, 3.6), (50, 3.8), (101, 7.6), (152, 11.3)])
def test_multiply_adds_are_those_of_table_1(depth, billions):
    settings = {"stride": "1x1"} if depth >= 50 else {}
    table = rows(getattr(reference, f"resnet{depth}")(**settings))
    assert sum(row.multiply_adds for row in table) / 1e9 == pytest.approx(billions, abs=0.1)


@pytest.mark.parametrize(
    ("network", "field"),
    [(reference.alexnet(), 195), (reference.vgg16(), 212), (reference.resnet50(stride="1x1"), 483)],
    ids=["alexnet", "vgg16", "resnet50"],
)
def test_receptive_fields_are_the_published_ones(network, field):
    """Araujo, Norris, Sim 2019, Computing receptive fields of convolutional neural networks, table 1."""
    ends = [row.before for row in rows(network) if isinstance(row.layer, (Flatten, GlobalPool))]
    assert ends[0].field == (field, field)


def test_receptive_field_is_what_a_number_depends_on():
    network = small(residual.cifar_resnet(8), 4, 64)
    *_, last = [row for row in rows(network) if "." not in row.path and isinstance(row.layer, Sum)]
    body = replace(network, layers=network.layers[: int(last.path) + 1])
    x = torch.randn(1, *network.image, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    twins(body)[1](x)[0, :, 8, 8].sum().backward()
    touched = x.grad[0].abs().sum(0).nonzero()
    assert tuple(touched.amax(0) - touched.amin(0) + 1) == last.after.field


SMALL = {
    "lenet5": (1, 32), "alexnet": (16, 99), "vgg11": (16, 64), "vgg13": (16, 64), "vgg16": (16, 64), "vgg19": (16, 64),
    "nin": (8, 32), "googlenet": (8, 96), "inception_v2": (8, 96), "inception_v3": (8, 139), "inception_v4": (8, 139),
    "resnet18": (16, 64), "resnet34": (16, 64), "resnet50": (16, 64), "resnet101": (16, 64), "resnet152": (16, 64),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_numpy_and_torch_agree(name):
    network = small(getattr(reference, name)(), *SMALL[name])
    parameters, module = twins(network)
    x = images(network, 1)
    (output,) = reference.forward(network, parameters, x)
    with torch.no_grad():
        assert_equal(module(torch.tensor(x)).numpy(), output, network)


VARIANTS = {
    "lenet5 of Caffe": reference.lenet5(connections="caffe"),
    "without scale": Network(
        "without scale",
        (2, 8, 8),
        (Conv(4, 3), BatchNorm(scale=False), Activation("tanh"), BatchNorm(shift=False), Flatten(), Linear(3)),
    ),
    "lenet5 of 1998": reference.lenet5(connections="partial", activation="scaled_tanh", pooling="trainable"),
    "alexnet": small(reference.alexnet(), 16, 99),
    "nin": small(reference.nin(second_pool="average"), 16, 32),
    "googlenet with heads": small(reference.googlenet(heads="adaptive"), 16, 96),
    "resnet18": small(reference.resnet18(), 16, 64),
    "cifar option A": residual.cifar_resnet(8),
    "cifar before activation": residual.cifar_resnet(11, preactivation=True, shortcut="B"),
    "plain": residual.cifar_resnet(8, plain=True),
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", VARIANTS)
def test_gradients_agree(name, training):
    network = VARIANTS[name]
    network = replace(network, layers=without_dropout(network.layers))
    parameters, module = twins(network, training)
    if not training:
        for child in module.modules():
            child.training = not isinstance(child, torch.nn.BatchNorm2d)  # heads answer in training alone
    x = images(network)
    outputs = reference.forward(network, parameters, x, training)
    upstream = [np.random.default_rng(2).standard_normal(output.shape) for output in outputs]
    gradients = reference.backward(network, parameters, x, upstream, training)
    tensor = torch.tensor(x, requires_grad=True)
    given = module(tensor)
    given = given if isinstance(given, tuple) else (given,)
    torch.autograd.backward(given, [torch.tensor(grad) for grad in upstream])
    for got, output in zip(given, outputs, strict=True):
        assert_equal(got.detach().numpy(), output, network)
    assert_equal(tensor.grad.numpy(), gradients["images"], network)
    learned = dict(module.named_parameters())
    assert set(gradients) == {"images", *learned}
    largest = max(np.abs(grad).max() for grad in gradients.values())
    for name, parameter in learned.items():
        got = np.append(parameter.grad.numpy().ravel(), largest)
        assert_equal(got, np.append(gradients[name].ravel(), largest), network)


def without_dropout(layers):
    return tuple(
        Head(without_dropout(layer.layers)) if isinstance(layer, Head) else layer
        for layer in layers
        if not isinstance(layer, Dropout)
    )


def test_gradients_are_slopes():
    layers = (
        Conv(4, 3, padding=1), BatchNorm(), Activation("tanh"), ResponseNorm(), Head((AdaptivePool(3), Flatten())),
        Sum(((Conv(6, 3, stride=2, padding=1), Activation("sigmoid")), (Subsample(6, 2),))),
        Concat(((Pool("average", 3, 1, 1),), (Conv(2, 1), Activation("scaled_tanh")))), Scale(), GlobalPool(),
        Flatten(), Linear(3), Activation("softmax"),
    )  # fmt: skip
    network = Network("every layer", (2, 8, 8), layers)
    parameters = reference.initial(network, np.random.default_rng(3))
    x = images(network)
    upstream = [np.ones((2, 3)) * [1.0, 2.0, -1.0], np.full((2, 36), 0.5)]

    def loss(given):
        return sum(
            float((grad * y).sum())
            for grad, y in zip(upstream, reference.forward(network, parameters, given, True), strict=True)
        )

    gradient = reference.backward(network, parameters, x, upstream, True)["images"]
    slopes = numerics.gradient_by_differences(loss, x)
    # a step h in each of both directions leaves an error near u^(4/5)
    assert np.abs(gradient - slopes).max() < numerics.unit_roundoff("float64") ** 0.5 * np.abs(gradient).max()


@pytest.mark.parametrize(("depth", "preactivation"), [(1202, False), (1001, True)])
def test_a_thousand_layers_build_and_run_both_ways(depth, preactivation):
    network = small(residual.cifar_resnet(depth, preactivation=preactivation), 8, 4)
    parameters, module = twins(network)
    x = images(network, 1)
    gradients = reference.backward(network, parameters, x, [np.ones((1, 2))])
    tensor = torch.tensor(x, requires_grad=True)
    module(tensor).sum().backward()
    assert_equal(tensor.grad.numpy(), gradients["images"], network)


def test_a_plain_twin_has_the_layers_and_no_shortcut():
    network, twin = residual.cifar_resnet(20), residual.cifar_resnet(20, plain=True)
    assert parameter_count(network) == parameter_count(twin)
    assert sum(isinstance(row.layer, Sum) for row in rows(network)) == 9
    assert not any(isinstance(row.layer, Sum) for row in rows(twin))


@pytest.mark.parametrize(("depth", "preactivation"), [(18, False), (2, False), (1002, True)])
def test_a_depth_that_no_n_gives_is_refused(depth, preactivation):
    with pytest.raises(ValueError, match=rf"^depth was {depth}, expected {9 if preactivation else 6}n \+ 2"):
        residual.cifar_resnet(depth, preactivation=preactivation)


def test_bad_images_and_gradients_are_refused():
    network = reference.lenet5()
    parameters = reference.initial(network, np.random.default_rng(0))
    expected = re.escape("images had shape (2, 3, 32, 32), expected (N, 1, H, W)")
    with pytest.raises(ValueError, match=f"^{expected}$"):
        reference.forward(network, parameters, np.zeros((2, 3, 32, 32)))
    expected = re.escape("grad_outputs had shapes [(2, 7)], expected [(2, 10)]")
    with pytest.raises(ValueError, match=f"^{expected}$"):
        reference.backward(network, parameters, np.zeros((2, 1, 32, 32)), [np.zeros((2, 7))])


def test_an_image_too_small_and_branches_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="expected at least the kernel's 5"):
        list(rows(replace(reference.lenet5(), image=(1, 4, 4))))
    with pytest.raises(ValueError, match=r"^branches of Sum had shapes"):
        list(rows(Network("two widths", (3, 8, 8), (Sum(((Conv(4, 1),), ())),))))


def test_heads_answer_in_training_only():
    network = small(reference.googlenet(heads="5x5"), 16, 96)
    network = replace(network, image=(3, 224, 224))
    with torch.device("meta"):
        module, x = ours.Model(network), torch.empty(2, *network.image)
        assert [tuple(y.shape) for y in module.train()(x)] == [(2, 63)] * 3
        assert module.eval()(x).shape == (2, 63)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", ["alexnet", "googlenet", "resnet50"])
def test_a_gpu_gives_what_numpy_gives(name):
    network = small(getattr(reference, name)(), *SMALL[name])
    parameters, module = twins(network)
    x = images(network, 1)
    with torch.no_grad():
        got = module.cuda()(torch.tensor(x).cuda()).cpu().numpy()
    assert_equal(got, reference.forward(network, parameters, x)[0], network)

"""Networks: parameter counts of the papers, PyTorch's own layers as oracle, and what engines rely on."""

from __future__ import annotations

import copy
import math
import types
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from fqlab import models
from fqlab.errors import ConfigError
from fqlab.models import make, quantizable, weights_of
from fqlab.models.activations import QuantizedActivation
from fqlab.models.layers import build, max_pooled
from fqlab.models.statistics import with_fresh_statistics
from fqlab.training.gradients import channels_last

SHAPES = {"digits": (1, 8, 8), "mnist": (1, 28, 28), "cifar10": (3, 32, 32), "lidar": (64, 3)}


def dataset(name: str, classes: int = 10) -> SimpleNamespace:
    return SimpleNamespace(name=name, input_shape=SHAPES[name], classes=tuple(map(str, range(classes))))


def inputs(name: str, n: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, *SHAPES[name], generator=torch.Generator().manual_seed(seed))


FITTING = [
    ("mlp", "digits"), ("mlp", "mnist"), ("robust_mlp", "digits"), ("digits_cnn", "digits"),
    ("clipped_cnn", "digits"), ("clipped_cnn", "mnist"), ("clipped_cnn", "cifar10"), ("lenet5", "mnist"),
    ("lenet5", "cifar10"), ("resnet20", "digits"), ("resnet20_bn", "digits"), ("resnet8", "digits"), ("lottery_mnist", "mnist"),
    ("lottery_cifar", "cifar10"), ("lottery_emnist", "mnist"), ("pointnet", "lidar"),
]  # fmt: skip
fitting = pytest.mark.parametrize("name, data", FITTING)


def counts(model: nn.Module, **options: bool) -> tuple[int, int]:
    """Quantizable parameters, and all parameters."""
    return (
        sum(model.get_parameter(name).numel() for name in quantizable(model, **options)),
        sum(parameter.numel() for parameter in model.parameters()),
    )


# ----------------------------------------------------------------------------------------- the papers' counts


@pytest.mark.parametrize(
    "name, data, classes, weights, everything",
    [
        ("mlp", "digits", 10, 64 * 64 + 64 * 10, 4810),
        ("mlp", "mnist", 10, 784 * 200 + 2000, 784 * 200 + 2000 + 210),
        ("robust_mlp", "digits", 10, 64 * 256 + 256 * 128 + 1280, 64 * 256 + 256 * 128 + 1280 + 394),
        ("digits_cnn", "digits", 10, 144 + 4608 + 1280, 6090),
        ("clipped_cnn", "mnist", 10, 81848, 81848 + 394),
        ("clipped_cnn", "cifar10", 10, 106136, 106136 + 394),
        ("lenet5", "mnist", 10, 61470, 61706),
        ("lenet5", "cifar10", 10, 61770, 62006),
        ("lottery_mnist", "mnist", 10, 21750, 21840),
        ("lottery_cifar", "cifar10", 10, 61770, 62006),
        ("lottery_emnist", "mnist", 62, 538754, 539358),
        ("resnet20", "cifar10", 10, 268336, 268346 + 2560 + 2 * (7 * 16 + 7 * 32 + 7 * 64)),
        (
            "resnet8",
            "mnist",
            10,
            144 + 2 * 2304 + 4608 + 9216 + 18432 + 36864 + 640,
            74512 + 10 + 2560 + 6 * (16 + 32 + 64),
        ),
        ("resnet20_bn", "cifar10", 10, 268336, 268346 + 2560 + 2 * (7 * 16 + 7 * 32 + 7 * 64)),
    ],
)
def test_published_parameter_counts(name, data, classes, weights, everything):
    assert counts(make(name, dataset(data, classes), 0)) == (weights, everything)


def test_clipped_network_layer_by_layer():
    model = make("clipped_cnn", dataset("mnist"), 0)
    sizes = [model.get_parameter(name).numel() for name in quantizable(model)]
    assert sizes == [144, 2304, 78400, 1000]
    rest = {name: p.numel() for name, p in model.named_parameters() if name not in quantizable(model)}
    assert sum(size for name, size in rest.items() if name.startswith("fc")) == 110
    assert sum(size for name, size in rest.items() if name.startswith("bn")) == 284


def test_resnet_counts_as_hawq_and_bsq_do():
    """HAWQ's scheme on 268 346 parameters, fc bias included, shortcuts not: 13.107 times smaller."""
    model = make("resnet20", dataset("cifar10"), 0)
    names = quantizable(model, biases=True)
    size = {name: model.get_parameter(name).numel() for name in names}
    assert sum(size.values()) == 268346
    assert not any("shortcut" in name for name in names)
    assert names[-2:] == ("fc.weight", "fc.bias")
    bits = [8, *[6, 6, 6, 6, 8, 8], *[3] * 6, *[2] * 6, 3, 3]
    total = sum(b * n for b, n in zip(bits, size.values(), strict=True))
    assert total == 655134
    assert 32 * 268346 / total == pytest.approx(13.107, abs=5e-4)
    shortcuts = [p.numel() for name, p in model.named_parameters() if "shortcut.0" in name]
    assert shortcuts == [512, 2048]


def test_resnet_has_two_activations_in_each_block_and_two_norms_to_choose_from():
    model = make("resnet20_bn", dataset("cifar10"), 0)
    assert sum(isinstance(layer, nn.ReLU) for layer in model.modules()) == 18
    with pytest.raises(ConfigError, match="norm is 'layer', but must be one of batch, group"):
        models.ResNet(norm="layer")
    with pytest.raises(ConfigError, match="depth is 9, but must be 8, 14, 20"):
        models.ResNet(depth=9)


def test_resnet8_has_the_layers_of_fedmpqs_public_code():
    """Stem, two convolutions a stage, fc; the two 1x1 shortcuts are not quantized."""
    model = make("resnet8", dataset("mnist"), 0)
    assert [model.get_parameter(n).numel() for n in quantizable(model)] == [
        144, 2304, 2304, 4608, 9216, 18432, 36864, 640,
    ]  # fmt: skip
    assert sum("shortcut.0" in name for name, _ in model.named_parameters()) == 2
    for name, outputs in (("stage3.0.conv2.weight", 64), ("stage1.0.conv1.weight", 16)):
        weight = model.get_parameter(name).detach()
        assert float(weight.std()) == pytest.approx((2 / (9 * outputs)) ** 0.5, rel=4 / (2 * weight.numel()) ** 0.5)


# ------------------------------------------------------------------------------------------ PyTorch as oracle


def reference(name: str) -> nn.Module:
    """The same networks from PyTorch's own layers, written down once more."""
    flat = nn.Flatten()
    pool = nn.MaxPool2d(2)
    return {
        "mlp": lambda: nn.Sequential(flat, nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)),
        "digits_cnn": lambda: nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), pool,
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), pool, flat, nn.Linear(128, 10),
        ),
        "clipped_cnn": lambda: nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.Tanh(), pool,
            nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.Tanh(), pool, flat,
            nn.Linear(784, 100), nn.BatchNorm1d(100), nn.Tanh(), nn.Linear(100, 10), nn.BatchNorm1d(10),
            nn.LogSoftmax(1),
        ),
        "lenet5": lambda: nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), pool, nn.Conv2d(6, 16, 5), nn.ReLU(), pool, flat,
            nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        ),
        "lottery_mnist": lambda: nn.Sequential(
            nn.Conv2d(1, 10, 5), pool, nn.ReLU(), nn.Conv2d(10, 20, 5), nn.Dropout2d(), pool, nn.ReLU(), flat,
            nn.Linear(320, 50), nn.ReLU(), nn.Dropout(), nn.Linear(50, 10),
        ),
        "lottery_emnist": lambda: nn.Sequential(
            nn.Conv2d(1, 10, 5, padding=2), nn.ReLU(), pool,
            nn.Conv2d(10, 20, 5, padding=2), nn.ReLU(), pool, flat, nn.Linear(980, 512), nn.Linear(512, 10),
        ),
    }[name]()  # fmt: skip


REFERENCES = {
    "mlp": "digits", "digits_cnn": "digits", "clipped_cnn": "mnist", "lenet5": "mnist",
    "lottery_mnist": "mnist", "lottery_emnist": "mnist",
}  # fmt: skip


@pytest.mark.parametrize("name, data", REFERENCES.items())
def test_start_and_output_are_pytorchs_bit_for_bit(name, data):
    """A generator seeded with s gives the model of PyTorch's own layers after ``torch.manual_seed(s)``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        theirs = reference(name)
    ours = make(name, dataset(data), 11)
    pairs = zip(ours.parameters(), theirs.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    x = inputs(data)
    for mode in (False,) if models.uses_noise(ours) else (False, True):
        torch.testing.assert_close(ours.train(mode)(x), theirs.train(mode)(x))


def test_batchnorm_is_pytorchs_in_both_modes_and_keeps_its_statistics():
    ours = models.BatchNorm(3)
    theirs = nn.BatchNorm2d(3)
    for step in range(4):
        x = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(step)) * 3 + 1
        torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        models.BatchNorm(3).train()(torch.ones(1, 3))


def residual(block: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """A basic block in evaluation mode, from functions alone."""
    w = dict(block.named_parameters()) | dict(block.named_buffers())
    norm = lambda x, at: nn.functional.batch_norm(
        x, w[f"{at}.running_mean"], w[f"{at}.running_var"], w[f"{at}.weight"], w[f"{at}.bias"]
    )
    stride = 2 if "shortcut.0.weight" in w else 1
    out = norm(nn.functional.conv2d(x, w["conv1.weight"], stride=stride, padding=1), "norm1").relu()
    out = norm(nn.functional.conv2d(out, w["conv2.weight"], padding=1), "norm2")
    if stride == 2:
        x = norm(nn.functional.conv2d(x, w["shortcut.0.weight"], stride=2), "shortcut.1")
    return (out + x).relu()


def test_resnet_is_nine_residual_blocks():
    model = make("resnet20_bn", dataset("cifar10"), 3)
    model.train()(inputs("cifar10"))  # move the statistics away from zero and one
    model.eval()
    x = inputs("cifar10", 2, seed=1)
    out = model.norm(model.conv(x)).relu()
    shapes = []
    for block in (*model.stage1, *model.stage2, *model.stage3):
        out = residual(block, out)
        shapes.append(tuple(out.shape[1:]))
    assert shapes == [(16, 32, 32)] * 3 + [(32, 16, 16)] * 3 + [(64, 8, 8)] * 3
    expected = out.mean((2, 3)) @ model.fc.weight.T + model.fc.bias
    torch.testing.assert_close(model(x), expected)


# --------------------------------------------------------------------------------------------- what make does


@fitting
def test_make_depends_on_the_seed_alone(name, data):
    first, again, other = (make(name, dataset(data), seed) for seed in (0, 0, 1))
    torch.manual_seed(5)
    late = make(name, dataset(data), 0)
    for key, value in weights_of(first).items():
        assert torch.equal(value, weights_of(again)[key])
        assert torch.equal(value, weights_of(late)[key])
    assert any(not torch.equal(value, weights_of(other)[key]) for key, value in weights_of(first).items())


@fitting
def test_make_leaves_the_global_generator_alone(name, data):
    state = torch.get_rng_state()
    make(name, dataset(data), 0)
    assert torch.equal(state, torch.get_rng_state())


@fitting
def test_state_is_float32_and_comes_as_copies(name, data):
    model = make(name, dataset(data), 0)
    weights = weights_of(model)
    assert set(weights) == set(model.state_dict())
    assert tuple(weights) == models.parameter_names(model) + models.buffer_names(model)
    assert all(value.dtype == torch.float32 and not value.requires_grad for value in weights.values())
    for value in weights.values():
        value.add_(1)
    assert all(not torch.equal(value, model.state_dict()[key]) for key, value in weights.items())
    model.load_state_dict(weights)


@fitting
def test_outputs_are_finite_logits_and_inputs_stay(name, data):
    model = make(name, dataset(data), 0)
    models.set_generator(model, torch.Generator().manual_seed(0))
    x = inputs(data)
    kept = x.clone()
    for mode in (True, False):
        out = model.train(mode)(x)
        assert out.shape == (6, 10)
        assert out.isfinite().all()
    assert torch.equal(x, kept)


@fitting
def test_vmap_over_clients_is_the_loop_over_clients(name, data):
    """Losses and gradients of three stacked networks in training mode; BatchNorm's statistics move alike.

    In double precision. A gradient jumps where a ReLU's input crosses 0, and among the 200 000 inputs of three
    ResNets one lies within 3e-7 of it: in float32 each set of kernels puts it on a side of its own.
    """
    clients = [make(name, dataset(data), seed).double() for seed in range(3)]
    if models.uses_noise(clients[0]):
        clients = [client.eval() for client in clients]
    x = torch.stack([inputs(data, seed=seed) for seed in range(3)]).double()
    y = torch.arange(6) % 10

    def loss(params, buffers, x):
        return nn.functional.cross_entropy(functional_call(clients[0], {**params, **buffers}, (x,)), y)

    params, buffers = stack_module_state(clients)
    slopes, losses = vmap(grad_and_value(loss))({k: v.detach() for k, v in params.items()}, buffers, x)
    for k, client in enumerate(clients):
        value = nn.functional.cross_entropy(client(x[k]), y)
        single = torch.autograd.grad(value, list(client.parameters()))
        torch.testing.assert_close(losses[k], value, atol=1e-12, rtol=1e-10)
        for name_, slope in zip(models.parameter_names(client), single, strict=True):
            torch.testing.assert_close(slopes[name_][k], slope, atol=1e-11, rtol=1e-8)
        for name_, buffer in client.named_buffers():
            torch.testing.assert_close(buffers[name_][k], buffer, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("name", ["mlp", "robust_mlp", "digits_cnn", "clipped_cnn", "resnet20"])
def test_names_of_quantizable_weights(name):
    """Every tensor of two dimensions or more, except the shortcuts': what the papers mean by the weights."""
    model = make(name, dataset("digits"), 0)
    expected = [key for key, p in model.named_parameters() if p.ndim > 1 and "shortcut" not in key]
    assert list(quantizable(model)) == expected
    biases = [key for key in quantizable(model, biases=True) if key.endswith("bias")]
    everything = models.parameter_names(model)
    assert len(biases) == sum(key.replace("weight", "bias") in everything for key in expected)


def test_a_bare_layer_is_quantizable():
    assert quantizable(nn.Linear(2, 2), biases=True) == ("weight", "bias")


@pytest.mark.parametrize(
    "name, data, message",
    [
        ("vgg", "digits", "model is 'vgg', but must be one of mlp, clipped_cnn"),
        (
            "lenet5",
            "digits",
            "model 'lenet5' needs images of 28 x 28 or 32 x 32 pixels, but dataset 'digits'",
        ),
        ("lottery_mnist", "cifar10", "needs grey images of 28 x 28"),
        ("lottery_cifar", "mnist", "needs colour images of 32 x 32"),
        ("lottery_emnist", "digits", "needs grey images"),
        ("clipped_cnn", "lidar", r"needs images .*inputs of shape \(64, 3\)"),
        ("resnet20", "lidar", "needs images"),
        ("pointnet", "mnist", "needs point clouds"),
    ],
)
def test_networks_that_do_not_fit(name, data, message):
    with pytest.raises(ConfigError, match=message):
        make(name, dataset(data), 0)


@pytest.mark.parametrize("seed", [-1, 1.5, 2**64])
def test_bad_seeds(seed):
    with pytest.raises(ConfigError, match="seed is"):
        make("mlp", dataset("digits"), seed)


def test_build_refuses_layers_it_cannot_start():
    with pytest.raises(ConfigError, match="layer '1' is a PReLU and has no initialise"):
        build(lambda: nn.Sequential(nn.Linear(2, 2), nn.PReLU()), torch.Generator())


def test_build_keeps_frozen_parameters_frozen():
    frozen = build(lambda: nn.Linear(2, 2).requires_grad_(False), torch.Generator().manual_seed(0))
    assert not any(p.requires_grad for p in frozen.parameters())
    assert all(p.abs().max() <= 2**-0.5 for p in frozen.parameters())


# ---------------------------------------------------------------------------------------------------- dropout


def test_dropout_needs_a_generator_and_follows_it():
    model = make("lottery_mnist", dataset("mnist"), 0)
    assert models.uses_noise(model)
    assert not models.uses_noise(make("lottery_cifar", dataset("cifar10"), 0))
    with pytest.raises(ConfigError, match="Dropout has no generator: call fqlab.models.set_generator"):
        model(inputs("mnist"))
    outs = []
    for seed in (0, 0, 1):
        models.set_generator(model, torch.Generator().manual_seed(seed))
        outs.append(model(inputs("mnist")))
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[0], outs[2])
    state = torch.get_rng_state()
    model(inputs("mnist"))
    assert torch.equal(state, torch.get_rng_state())
    copy.deepcopy(model)  # a generator can be copied with its model
    models.set_generator(model, None)
    assert torch.equal(model.eval()(inputs("mnist")), model(inputs("mnist")))


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5])
def test_dropout_keeps_the_mean_and_drops_the_asked_share(p):
    layer = models.Dropout(p)
    layer.generator = torch.Generator().manual_seed(0)
    n = 200_000
    out = layer(torch.ones(n))
    error = 5 * math.sqrt(p * (1 - p) / n)
    assert abs(float((out == 0).float().mean()) - p) <= error
    assert abs(float(out.mean()) - 1) <= error / (1 - p)
    torch.testing.assert_close(out[out != 0].unique(), torch.tensor([1 / (1 - p)]))


def test_channel_dropout_drops_whole_channels():
    layer = models.Dropout(0.5, channels=True)
    layer.generator = torch.Generator().manual_seed(0)
    out = layer(torch.ones(40, 30, 4, 4)).flatten(2)
    assert ((out == 0).all(2) | (out == 2).all(2)).all()
    assert 0.4 < float((out == 0).float().mean()) < 0.6


@pytest.mark.parametrize("name", models.MODELS.names)
def test_another_default_dtype_changes_nothing(name):
    shapes = {"pointnet": (64, 3), "lottery_cifar": (3, 32, 32)}
    toy = types.SimpleNamespace(input_shape=shapes.get(name, (1, 28, 28)), classes=tuple("0123456789"), name="toy")
    expected = models.weights_of(models.make(name, toy, 3))
    torch.set_default_dtype(torch.float64)
    try:
        ours = models.weights_of(models.quantize_activations(models.make(name, toy, 3), 0))
        narrow = (
            models.weights_of(models.quantize_activations(models.make(name, toy, 3), 2)) if name != "pointnet" else {}
        )
    finally:
        torch.set_default_dtype(torch.float32)
    assert {value.dtype for value in [*ours.values(), *narrow.values()]} == {torch.float32}
    assert all(torch.equal(value, expected[key]) for key, value in ours.items())


# --------------------------------------------------------------------------------- statistics taken anew


def test_statistics_taken_anew_are_those_of_the_inputs_of_each_norm():
    """One batch: mean and variance (n − 1) of what enters the first norm, computed by hand."""
    model = make("resnet8", dataset("digits"), 0)
    weights = weights_of(model)
    stale = {n: v + 3 if "running" in n else v for n, v in weights.items()}
    x = inputs("digits", n=40)
    new = with_fresh_statistics(model, stale, x)
    seen = torch.nn.functional.conv2d(x, weights["conv.weight"], padding=1).transpose(0, 1).flatten(1)
    assert torch.allclose(new["norm.running_mean"], seen.mean(1), atol=1e-5)
    assert torch.allclose(new["norm.running_var"], seen.var(1), rtol=1e-4)
    assert all(torch.equal(new[n], stale[n]) for n in weights if "running" not in n)
    again = with_fresh_statistics(model, new, x)
    assert all(torch.equal(again[n], new[n]) for n in new)


def test_statistics_are_means_over_batches_of_equal_weight():
    model = make("resnet8", dataset("digits"), 0)
    weights = weights_of(model)
    x = inputs("digits", n=40)
    halves = [with_fresh_statistics(model, weights, part)["norm.running_var"] for part in x.split(20)]
    both = with_fresh_statistics(model, weights, x, batch=20)["norm.running_var"]
    assert torch.allclose(both, (halves[0] + halves[1]) / 2, rtol=1e-5)


def test_a_network_without_norms_has_nothing_to_take_anew():
    model = make("mlp", dataset("digits"), 0)
    weights = weights_of(model)
    assert with_fresh_statistics(model, weights, inputs("digits")) is weights


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Tanh(), QuantizedActivation(nn.Tanh(), 3)])
def test_pooling_before_a_rising_activation_changes_no_number(activation):
    """The published order is activation, then pooling; odd sizes drop the last row and column."""
    x = torch.randn(3, 2, 7, 6, generator=torch.Generator().manual_seed(0), requires_grad=True)
    ours = max_pooled(activation, x)
    published = torch.max_pool2d(activation(x), 2)
    assert torch.equal(ours, published)
    slopes = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1))
    assert torch.equal(*(torch.autograd.grad(out, x, slopes)[0] for out in (ours, published)))


@pytest.mark.parametrize("name", ["clipped_cnn", "lenet5"])
def test_kernels_with_one_input_channel_pass_their_form_on(name):
    """Strides that say both forms made every later layer of a grey network work in the slower one."""
    model = make(name, dataset("mnist"), 0)
    kernel = channels_last(weights_of(model))["conv1.weight"]
    made = torch.conv2d(torch.zeros(4, 1, 28, 28), kernel, padding=1)
    assert made.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(kernel, weights_of(model)["conv1.weight"])

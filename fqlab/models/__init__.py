"""Networks by name, and what a federation asks of any network: its weights, and which to quantize.

Models know nothing of quantization or clients. They are plain ``torch.nn.Module`` objects that also work with
``torch.func.functional_call`` and ``vmap``; their whole state is float32.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fqlab.data import Dataset
from fqlab.errors import ConfigError, in_range, shown
from fqlab.models.activations import QuantizedActivation, quantize_activations
from fqlab.models.cnn import ClippedCNN, DigitsCNN, LeNet5
from fqlab.models.layers import (
    BatchNorm,
    Dropout,
    build,
    couples_samples,
    is_normalised,
    set_generator,
    smallest_batch,
    uses_noise,
)
from fqlab.models.lottery import LotteryCIFAR, LotteryEMNIST, LotteryMNIST
from fqlab.models.mlp import MLP
from fqlab.models.resnet import ResNet
from fqlab.registry import Registry
from fqlab.tensors import Weights

__all__ = [
    "MODELS", "BatchNorm", "ClippedCNN", "DigitsCNN", "Dropout", "LeNet5", "LotteryCIFAR", "LotteryEMNIST",
    "LotteryMNIST", "MLP", "QuantizedActivation", "ResNet", "buffer_names", "couples_samples", "is_normalised",
    "make", "parameter_names", "quantizable", "quantize_activations", "set_generator", "smallest_batch", "uses_noise",
    "weights_of",
]  # fmt: skip

Shape = tuple[int, ...]


@dataclass(frozen=True)
class _Entry:
    build: Callable[..., nn.Module]  # input shape, number of classes
    fits: Callable[[Shape], bool]
    needs: str

    def __call__(self, shape: Shape, classes: int) -> nn.Module:
        return self.build(shape, classes)


def _mlp(shape: Shape, classes: int) -> nn.Module:
    inputs = math.prod(shape)
    return MLP(inputs, (64 if inputs <= 64 else 200,), classes)


def _pointnet(_: Shape, classes: int) -> nn.Module:
    return importlib.import_module("fqlab.models.pointnet").PointNet(classes)


def _image(shape: Shape) -> bool:
    return len(shape) == 3 and min(shape[1:]) >= 4


_ANY = (lambda shape: True, "inputs of any shape")
_IMAGE = (_image, "images (channels, height, width) of 4 x 4 pixels or more")
_LENET = (lambda shape: shape[1:] in ((28, 28), (32, 32)), "images of 28 x 28 or 32 x 32 pixels")
_GREY_28 = (lambda shape: shape == (1, 28, 28), "grey images of 28 x 28 pixels")
_COLOUR_32 = (lambda shape: shape == (3, 32, 32), "colour images of 32 x 32 pixels")
_POINTS = (lambda shape: len(shape) == 2, "point clouds (two dimensions)")

_MODELS = {
    "mlp": _Entry(_mlp, *_ANY),
    "clipped_cnn": _Entry(ClippedCNN, *_IMAGE),
    "lenet5": _Entry(LeNet5, *_LENET),
    "digits_cnn": _Entry(DigitsCNN, *_IMAGE),
    "robust_mlp": _Entry(lambda shape, classes: MLP(math.prod(shape), (256, 128), classes), *_ANY),
    "resnet8": _Entry(lambda shape, classes: ResNet(shape[0], classes, "batch", depth=8, he_start=True), *_IMAGE),
    "resnet20": _Entry(lambda shape, classes: ResNet(shape[0], classes, "group"), *_IMAGE),
    "resnet20_bn": _Entry(lambda shape, classes: ResNet(shape[0], classes, "batch"), *_IMAGE),
    "lottery_mnist": _Entry(lambda shape, classes: LotteryMNIST(classes), *_GREY_28),
    "lottery_cifar": _Entry(lambda shape, classes: LotteryCIFAR(classes), *_COLOUR_32),
    "lottery_emnist": _Entry(lambda shape, classes: LotteryEMNIST(classes), *_GREY_28),
    "pointnet": _Entry(_pointnet, *_POINTS),
}


def _check(name: str, build: Any) -> None:
    """A model is a function of input shape and number of classes."""
    if not callable(build):
        raise ConfigError(
            f"model {shown(name)} is {shown(build)}, but must be a function of input shape and number of classes."
        )


MODELS = Registry("model", _MODELS, _check)
"""Networks by name: functions of input shape and number of classes that give a ``torch.nn.Module``."""


def make(name: str, dataset: Dataset, seed: int) -> nn.Module:
    """Make a network for the inputs and classes of a data set, the same for the same seed.

    The start is PyTorch's default (uniform in ±1/sqrt(fan_in)), drawn from a generator of its own; the global
    one is neither read nor moved. The model comes in training mode.

    Args:
        name: one of :data:`MODELS`.
        dataset: gives the input shape and the number of classes.
        seed: whole number from 0.

    Raises:
        ConfigError: if the name is unknown, the network does not take such inputs, or for a bad seed.
    """
    in_range("seed", seed, 0, 2**63 - 1, integer=True)
    entry = MODELS[name]
    shape = dataset.input_shape
    if isinstance(entry, _Entry) and not entry.fits(shape):
        raise ConfigError(
            f"model {shown(name)} needs {entry.needs}, but dataset {shown(dataset.name)} has inputs of shape {shape}."
        )
    return build(lambda: _made(name, entry, shape, len(dataset.classes)), torch.Generator().manual_seed(seed))


def _made(name: str, entry: Callable[..., Any], shape: tuple[int, ...], classes: int) -> nn.Module:
    """What a function of shape and classes makes, if that is a network."""
    try:
        model = entry(shape, classes)
    except TypeError as error:
        raise ConfigError(
            f"model {shown(name)} can't be made of shape {shape} and {classes} classes: {error}."
        ) from error
    if not isinstance(model, nn.Module):
        raise ConfigError(f"model {shown(name)} gives {shown(model)}, but must give a torch.nn.Module.")
    return model


def quantizable(model: nn.Module, *, biases: bool = False) -> tuple[str, ...]:
    """Names of the weights that the quantization papers quantize, in order.

    These are the weights of Conv and Linear layers, except those of a layer marked ``layer.quantizable =
    False``: the 1x1 shortcut convolutions of a ResNet. Norms stay in full precision.

    Args:
        model: any network.
        biases: also name the biases of these layers: BSQ counts the fc bias among ResNet-20's 268 346
            parameters.
    """
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    names = []
    for path, layer in model.named_modules():
        if isinstance(layer, kinds) and getattr(layer, "quantizable", True):
            parts = ["weight"] + ["bias"] * (biases and layer.bias is not None)
            names += [f"{path}.{name}" if path else name for name in parts]
    return tuple(names)


def parameter_names(model: nn.Module) -> tuple[str, ...]:
    """Names of the trained tensors, in order."""
    return tuple(name for name, _ in model.named_parameters())


def buffer_names(model: nn.Module) -> tuple[str, ...]:
    """Names of the float tensors that are not trained (running statistics of BatchNorm), in order."""
    return tuple(name for name, buffer in model.named_buffers() if buffer.is_floating_point())


def weights_of(model: nn.Module) -> Weights:
    """A detached copy of the model's parameters and float buffers: name to tensor, parameters first."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: tensors[name].detach().clone() for name in parameter_names(model) + buffer_names(model)}

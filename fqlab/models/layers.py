"""Layers that fit a federation, and PyTorch's default start drawn from a generator of one's own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fqlab.errors import ConfigError, shown
from fqlab.tensors import Weights

__all__ = ["BatchNorm", "Dropout", "build", "couples_samples", "is_normalised", "max_pooled", "set_generator", "smallest_batch",
           "stacked_linear", "uses_noise"]  # fmt: skip

RISING = (nn.ReLU, nn.Tanh)
"""Activations that never fall: the largest of four stays the largest."""


class BatchNorm(nn.Module):
    """Batch normalisation of ``[n, channels, ...]`` (Ioffe and Szegedy 2015): PyTorch's, but all float32.

    There is no integer counter of batches, so the state of a model is float32 tensors and nothing else, and
    can be averaged, sent and stacked. In training mode the running mean and variance are updated in place, as
    in PyTorch: hand ``functional_call`` clones of the buffers, and read the new values from the clones.
    """

    couples_samples = True
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum = momentum
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels, dtype=torch.float32))
        self.bias = nn.Parameter(torch.zeros(channels, dtype=torch.float32))
        self.register_buffer("running_mean", torch.zeros(channels, dtype=torch.float32))
        self.register_buffer("running_var", torch.ones(channels, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise by the batch in training mode, by the running statistics otherwise; same shape as ``x``.

        Raises:
            ValueError: in training mode, for a batch with one value per channel.
        """
        mean = self.running_mean
        var = self.running_var
        return F.batch_norm(x, mean, var, self.weight, self.bias, self.training, self.momentum, self.eps)

    def initialise(self, generator: torch.Generator) -> None:
        """Weight and variance one, bias and mean zero."""
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)
        self.running_mean.zero_()
        self.running_var.fill_(1)


BATCH_NORMS = (BatchNorm, nn.modules.batchnorm._BatchNorm)
OTHER_NORMS = (nn.GroupNorm, nn.LayerNorm)


class Dropout(nn.Module):
    """Zero inputs with probability ``p`` and scale the rest by 1/(1-p) (Srivastava et al. 2014).

    The mask comes from ``generator``, which the trainer sets (:func:`set_generator`), never from the global
    one.

    Args:
        p: probability in [0, 1).
        channels: drop whole channels of ``[n, channels, ...]`` (dropout2d) in place of single values.
    """

    def __init__(self, p: float = 0.5, channels: bool = False) -> None:
        super().__init__()
        self.p = p
        self.channels = channels
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as ``x``; the identity in evaluation mode.

        Raises:
            ConfigError: in training mode without a generator.
        """
        if not self.training or self.p == 0:
            return x
        if self.generator is None:
            raise ConfigError("Dropout has no generator: call fqlab.models.set_generator(model, generator) first.")
        shape = x.shape[:2] + (1,) * (x.ndim - 2) if self.channels else x.shape
        kept = x.new_empty(shape).bernoulli_(1 - self.p, generator=self.generator)
        return x * kept / (1 - self.p)


def uses_noise(model: nn.Module) -> bool:
    """Whether training the model draws random numbers (it has a :class:`Dropout` that drops)."""
    return any(isinstance(layer, Dropout) and layer.p > 0 for layer in model.modules())


def couples_samples(model: nn.Module) -> bool:
    """Whether a sample's output depends on the rest of its minibatch: such a batch must not be padded."""
    return any(getattr(layer, "couples_samples", False) for layer in model.modules())


def smallest_batch(model: nn.Module) -> int:
    """Samples that a minibatch needs at least: 2 where a BatchNorm has to normalise them, else 1."""
    return 2 if any(isinstance(layer, BATCH_NORMS) for layer in model.modules()) else 1


def is_normalised(model: nn.Module) -> bool:
    """Whether the model has a norm of batches, groups or layers."""
    return any(isinstance(layer, (*BATCH_NORMS, *OTHER_NORMS)) for layer in model.modules())


def set_generator(model: nn.Module, generator: torch.Generator | None) -> None:
    """Let every :class:`Dropout` of the model draw its masks from ``generator``."""
    for layer in model.modules():
        if isinstance(layer, Dropout):
            layer.generator = generator


def stacked_linear(weights: Weights, name: str, x: Tensor) -> Tensor:
    """The layer ``name`` of many networks at once: x ``[clients, n, inputs]`` to ``[clients, n, outputs]``."""
    return torch.baddbmm(weights[f"{name}.bias"].unsqueeze(1), x, weights[f"{name}.weight"].transpose(1, 2))


def max_pooled(activation: nn.Module, x: Tensor) -> Tensor:
    """``activation``, then max-pooling by 2: ``[n, c, h, w]`` to ``[n, c, h // 2, w // 2]``.

    A ReLU or a tanh works on the maxima alone: the same numbers and gradients for a quarter of the work. A quantized
    activation sees all values, since its step comes from the largest of them.
    """
    if isinstance(activation, RISING):
        return activation(F.max_pool2d(x, 2))
    return F.max_pool2d(activation(x), 2)


def build(make: Callable[[], nn.Module], generator: torch.Generator) -> nn.Module:
    """Make a model whose start depends on ``generator`` alone; the global one is neither read nor moved.

    The model is made without memory (on the meta device), then filled layer by layer in the order of
    construction with PyTorch's default start: weights and biases of Conv and Linear layers uniform in
    ±1/sqrt(fan_in), norms at one and zero. A generator seeded with s gives bit for bit the model that PyTorch
    makes after ``torch.manual_seed(s)``. A layer with an ``initialise(generator)`` method fills itself.

    Raises:
        ConfigError: if the model has a layer with state that nothing here can fill.
    """
    with torch.device("meta"):
        model = make()
    with torch.no_grad():
        for name, layer in model.named_modules():
            _allocate(layer)
            _initialise(name, layer, generator)
    return model


def _allocate(layer: nn.Module) -> None:
    """Memory for the layer's own tensors (``to_empty`` does this too, after 0.7 s of imports)."""
    for name, values in list(layer.named_parameters(recurse=False)):
        empty = torch.empty(values.shape, dtype=torch.float32)
        setattr(layer, name, nn.Parameter(empty, requires_grad=values.requires_grad))
    for name, values in list(layer.named_buffers(recurse=False)):
        setattr(layer, name, torch.empty(values.shape, dtype=torch.float32))


def _initialise(name: str, layer: nn.Module, generator: torch.Generator) -> None:
    own_start = getattr(layer, "initialise", None)
    if callable(own_start):
        own_start(generator)
    elif isinstance(layer, (nn.Linear, nn.modules.conv._ConvNd)):
        bound = layer.weight[0].numel() ** -0.5
        for values in layer.parameters(recurse=False):
            values.uniform_(-bound, bound, generator=generator)
    elif isinstance(layer, OTHER_NORMS):
        nn.init.ones_(layer.weight)
        nn.init.zeros_(layer.bias)
    elif [*layer.parameters(recurse=False), *layer.buffers(recurse=False)]:
        raise ConfigError(f"layer {shown(name)} is a {type(layer).__name__} and has no initialise(generator) method.")

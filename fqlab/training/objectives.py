"""What a client minimises: loss(model(transform(params))) + penalty(params).

A transform is a pure function from the trained parameters to the weights that the model sees; a penalty is a scalar of
the parameters; a preconditioner scales the gradients before an optimiser step, a projection follows the step. Models
know nothing of them. Per-client tensors (masks, bit-widths) go through ``context`` and random numbers through
``noise``, so that the same functions run for one client or for many at once: under ``vmap``, or quicker where they are
:class:`Stackable`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeGuard, runtime_checkable

import torch

from fqlab.tensors import Weights

__all__ = [
    "PLAIN", "Drawing", "KurtosisPenalty", "Objective", "OwnSteps", "Stackable", "Stacked", "Walk", "WrittenWalk", "drawing",
    "kurtosis", "stackable",
]  # fmt: skip

Transform = Callable[[Weights, Weights, Weights], Weights]
"""(params, context, noise) -> weights the model sees."""
Penalty = Callable[[Weights, Weights], torch.Tensor]
"""(params, context) -> scalar."""
Projection = Callable[[Weights, Weights], Weights]
"""(params, context) -> params, applied after every optimiser step."""
Preconditioner = Callable[[Weights, Weights, Weights], Weights]
"""(gradients, params, context) -> gradients of loss, penalty and weight decay, times a positive number each."""


class Stackable(Protocol):
    """A function, or a model, that can also take stacked clients: every tensor with a leading client dimension."""

    def stacked(self, *tensors: Any) -> Any:
        """The answers for all clients at once, as under ``vmap``."""


def stackable(thing: Any) -> TypeGuard[Stackable]:
    """Whether ``thing`` is :class:`Stackable`; one whose ``stacked`` is None has given it up."""
    return callable(getattr(thing, "stacked", None))


class Stacked:
    """Mix-in for functions whose ordinary call takes stacked clients as well."""

    def stacked(self, *tensors: Any) -> Any:
        """The ordinary call."""
        return self(*tensors)  # type: ignore[operator]


class Drawing(Protocol):
    """A transform that needs random numbers."""

    def draw(self, params: Weights, generator: torch.Generator) -> Weights:
        """The noise tensors of one optimiser step."""
        ...


def drawing(thing: Any) -> TypeGuard[Drawing]:
    """Whether ``thing`` is :class:`Drawing`; asked at every step, where a check against the protocol takes longer than the draw."""
    return hasattr(thing, "draw")


class Walk(Protocol):
    """The steps of one round of local training: it may keep tensors of its own, such as momentum."""

    def step(self, params: Weights, gradients: Weights, noise: Weights, active: int | None) -> Weights:
        """New values of the parameters that it moves, projection included; the others are left to SGD."""
        ...


class OwnSteps(Protocol):
    """Parameters that do not move by ordinary SGD; where ``portable`` is False, on the CPU alone."""

    def walk(self, context: Weights, training: Any) -> Walk | None:
        """A fresh walk for one client, or for clients that are stacked as their ``context`` is; None if SGD will do."""
        ...


@runtime_checkable
class WrittenWalk(Walk, Protocol):
    """A walk that needs no autograd: it has transform, gradient and penalty written out, for its own parameters."""

    def weights(self, params: Weights, active: int | None) -> Weights:
        """The weights the model sees; what it says next is about these ``params``."""
        ...

    def pull_back(self, params: Weights, slopes: Weights) -> Weights:
        """Gradients as :meth:`step` takes them, from those in the weights that the model sees."""
        ...

    def cost(self) -> Any:
        """The penalty, one a client if stacked."""
        ...


@dataclass(frozen=True)
class Objective:
    """A client's local objective; the default is plain empirical risk.

    Objectives with equal functions and context shapes can be trained stacked by the vectorized engine, so functions
    should be module-level functions or frozen dataclasses, not lambdas.
    """

    transform: Transform | None = None
    penalty: Penalty | None = None
    project: Projection | None = None
    precondition: Preconditioner | None = None
    steps: OwnSteps | None = None
    context: Weights = field(default_factory=dict)

    @property
    def portable(self) -> bool:
        """Whether it may be minimised on a GPU."""
        return getattr(self.steps, "portable", True)

    @property
    def recordable(self) -> bool:
        """Whether a step of it works with numbers without looking at them, and so may be recorded and played again."""
        return self.portable and getattr(self.transform, "recordable", True)

    @property
    def draws(self) -> bool:
        """Whether a step needs random numbers."""
        return drawing(self.transform)

    def draw(self, params: Weights, generator: torch.Generator) -> Weights:
        """The noise tensors of one step, which the transform asks for."""
        return self.transform.draw(params, generator) if drawing(self.transform) else {}

    def walk(self, training: Any) -> Walk | None:
        """What moves the parameters that do not move by ordinary SGD, if there are any."""
        return self.steps.walk(self.context, training) if self.steps else None

    def weights(self, params: Weights, noise: Weights | None = None) -> Weights:
        """The weights the model sees for ``params``."""
        return self.transform(params, self.context, noise or {}) if self.transform else params


PLAIN = Objective()
"""Empirical risk and nothing else."""


def kurtosis(w: torch.Tensor, *, unbiased: bool = False) -> torch.Tensor:
    """Kurt[W] = E[((w − μ)/σ)⁴] over all entries: uniform 1.8, normal 3, Laplace 6 (KURE, Shkolnik et al. 2020).

    0 for a constant layer, with gradient 0.

    Args:
        unbiased: σ with n−1, as in KURE's code; the default is the population's n.
    """
    square = (w - w.mean()).square()
    variance = square.sum() / max(1, w.numel() - unbiased)
    return (square / variance.clamp(min=1e-30)).square().mean()


@dataclass(frozen=True)
class KurtosisPenalty:
    """Penalty λ/L · Σ_l (Kurt[W_l] − target)² over layers; needs no data, so it pulls every client alike (KURE)."""

    layers: tuple[str, ...]
    strength: float
    target: float = 1.8
    unbiased: bool = False

    def __call__(self, params: Weights, context: Weights) -> torch.Tensor:
        gaps = [kurtosis(params[name], unbiased=self.unbiased) - self.target for name in self.layers]
        return self.strength * torch.stack(gaps).square().mean()

"""Training in the bit representation: real bit planes and a scale in place of a layer's weights (BSQ).

A layer ``name`` becomes two trained tensors: ``name/planes`` ``[2, planes, *shape]`` (positive and negative
part, plane 0 the LSB) and ``name/scale``. Fine-tuning has ``name/net`` in place of the planes. The context
holds what is particular to a client, so that clients with different bit-widths can train side by side in
one stack:

==================  ======================================================================================
``name/signed``     ``[2·planes]``: ±2^b in the order of the planes, 0 for planes that are not in use
``name/top``        2^n − 1
``name/strength``   λ·c_l of the group lasso, or ``name/threshold``, lr·λ·c_l, of its proximal form
==================  ======================================================================================

All functions of the objective take one client's tensors or, with a leading dimension everywhere, many
clients' at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from fqlab.quant import (
    Codes,
    bit_variables,
    requantize,
    requantize_net,
    requantize_sum,
    signed_sum,
    straight_through,
)
from fqlab.tensors import Weights, expand_like
from fqlab.training.objectives import Objective, Stacked
from fqlab.training.plane_steps import HIGHEST, PlaneSteps, plane_pace, plane_shares

__all__ = [
    "FromNet", "FromPlanes", "GroupLasso", "InBox", "InNet", "LikePlainSGD", "dual_ascent", "group_norms",
    "layer_strengths", "net_objective", "net_params", "plane_objective", "plane_params", "remembered", "resume",
    "shrink", "to_codes",
]  # fmt: skip

# ------------------------------------------------------------------------------------------- the objective


def _rounded(net: torch.Tensor, top: torch.Tensor) -> torch.Tensor:
    """Round[clip(net, ±top)], with slope 1 everywhere, even where the clip is active (BSQ's code)."""
    top = expand_like(top, net)
    return straight_through(net, torch.clamp(net.detach(), -top, top).round())


def _net(planes: torch.Tensor, signed: torch.Tensor) -> torch.Tensor:
    """Σ_b 2^b (W_p − W_n), of the shape of the layer; ``signed`` as in the table of contexts above."""
    lead = signed.shape[:-1]
    net = signed.unsqueeze(-2) @ planes.reshape(*lead, signed.shape[-1], -1)
    return net.reshape(lead + planes.shape[len(lead) + 2 :])


@dataclass(frozen=True)
class FromPlanes(Stacked):
    """Transform: W = s·Round[clip(Σ_b 2^b (W_p − W_n), ±(2^n − 1))]/(2^n − 1), straight-through (eq. 2-3)."""

    layers: tuple[str, ...]

    def __call__(self, params: Weights, context: Weights, noise: Weights) -> Weights:
        """What the model sees."""
        weights = {name: value for name, value in params.items() if not name.endswith(("/planes", "/scale"))}
        for name in self.layers:
            net = _net(params[f"{name}/planes"], context[f"{name}/signed"])
            top = context[f"{name}/top"]
            step = params[f"{name}/scale"] / top
            weights[name] = expand_like(step, net) * _rounded(net, top)
        return weights


@dataclass(frozen=True)
class FromNet(Stacked):
    """Transform of fine-tuning: one float tensor in [−1, 1] a layer, W = s·Q_n(net) (BSQ's code)."""

    layers: tuple[str, ...]

    def __call__(self, params: Weights, context: Weights, noise: Weights) -> Weights:
        """What the model sees."""
        weights = {name: value for name, value in params.items() if not name.endswith(("/net", "/scale"))}
        for name in self.layers:
            top = context[f"{name}/top"]
            net = params[f"{name}/net"]
            step = params[f"{name}/scale"] / top
            weights[name] = expand_like(step, net) * _rounded(net * expand_like(top, net), top)
        return weights


def group_norms(planes: torch.Tensor, *, batch_dims: int = 0) -> torch.Tensor:
    """‖[W_p^(b); W_n^(b)]‖₂ of every bit b (eq. 4): ``[*batch, 2, n, ...]`` → ``[*batch, n]``."""
    return torch.linalg.vector_norm(planes.flatten(batch_dims + 2), dim=(batch_dims, -1))


@dataclass(frozen=True)
class GroupLasso(Stacked):
    """Penalty Σ_l λ c_l Σ_b √(‖B_l^(b)‖² + 1e−8) (eq. 4-5; the guard bounds the slope at 0)."""

    layers: tuple[str, ...]

    def __call__(self, params: Weights, context: Weights) -> torch.Tensor:
        """The penalty, a scalar for each client."""
        terms = []
        for name in self.layers:
            strength = context[f"{name}/strength"]
            norms = group_norms(params[f"{name}/planes"], batch_dims=strength.dim())
            terms.append(strength * (norms.square() + 1e-8).sqrt().sum(-1))
        return torch.stack(terms).sum(0)


def shrink(planes: torch.Tensor, threshold: torch.Tensor | float, *, batch_dims: int = 0) -> torch.Tensor:
    """Group soft-threshold B ← B·max(0, 1 − τ/‖B‖₂) of every bit: the proximal step of τ Σ_b ‖B_b‖₂.

    Source: Yuan & Lin 2006.

    Args:
        planes: ``[*batch, 2, n, ...]``; one group for each index of the second dimension of a member.
        threshold: τ ≥ 0, of shape ``[*batch]``.
        batch_dims: leading dimensions that are not part of a group.
    """
    norms = group_norms(planes, batch_dims=batch_dims)
    threshold = expand_like(torch.as_tensor(threshold, dtype=torch.float32), norms)
    factor = (1 - threshold / norms.clamp(min=1e-30)).clamp(min=0)
    return planes * expand_like(factor.unsqueeze(batch_dims), planes)


@dataclass(frozen=True)
class InBox(Stacked):
    """Projection: every bit variable into [0, 2] after each step; ``proximal`` then shrinks the groups.

    First the box, then the shrinking: on B ≥ 0 this order is the exact proximal step of penalty and bound
    together. With ``precondition`` the threshold is in proportion to the planes' learning rate.
    """

    layers: tuple[str, ...]
    proximal: bool = False
    precondition: bool = False

    def __call__(self, params: Weights, context: Weights) -> Weights:
        """The projected parameters."""
        inside = dict(params)
        for name in self.layers:
            planes = params[f"{name}/planes"].clamp(0, HIGHEST)
            if self.proximal:
                threshold = context[f"{name}/threshold"]
                scale = params[f"{name}/scale"]
                if self.precondition:
                    shares = plane_shares(context[f"{name}/signed"], context[f"{name}/top"])
                    threshold = threshold * plane_pace(scale, shares)
                planes = shrink(planes, threshold, batch_dims=scale.dim())
            inside[f"{name}/planes"] = planes
        return inside


@dataclass(frozen=True)
class InNet(Stacked):
    """Projection of fine-tuning: the float tensor into [−1, 1]."""

    layers: tuple[str, ...]

    def __call__(self, params: Weights, context: Weights) -> Weights:
        """The projected parameters."""
        inside = dict(params)
        for name in self.layers:
            inside[f"{name}/net"] = params[f"{name}/net"].clamp(-1, 1)
        return inside


@dataclass(frozen=True)
class LikePlainSGD(Stacked):
    """Preconditioner: learning rates of planes (or net) and scale at which a step moves weights as far as plain SGD.

    A plane moves the weights by s 2^b/(2^n − 1), so a step of SGD moves them by lr s² Σ_b (2^b/(2^n − 1))²,
    some hundred times less than lr for freshly initialised layers; the scale moves all weights at once, by
    ‖q‖² times more, W = s·q. Both rates follow the current s and q: rates that stay as they were at the start
    of a round feed on each other, since a layer that fills up again takes ‖q‖² times too large steps of s,
    and planes s² times too large ones with it. A step changes s by half of itself at most.

    The gradients of loss, penalty and weight decay are multiplied by the same positive numbers. So nothing
    changes where they balance, but how soon. An extension: BSQ starts from trained networks with batch norm
    and does without.

    Args:
        layers: that have planes or a net.
        lr: the learning rate, for the bound on s.
    """

    layers: tuple[str, ...]
    lr: float

    def __call__(self, gradients: Weights, params: Weights, context: Weights) -> Weights:
        """The preconditioned gradients."""
        scaled = dict(gradients)
        for name in self.layers:
            scale = params[f"{name}/scale"]
            top = context[f"{name}/top"]
            if f"{name}/planes" in params:
                key = f"{name}/planes"
                pace = plane_pace(scale, plane_shares(context[f"{name}/signed"], top))
                net = _net(params[key], context[f"{name}/signed"])
            else:
                key = f"{name}/net"
                pace = 1 / scale.square().clamp(min=1e-12)
                net = params[key] * expand_like(top, params[key])
            energy = (_rounded(net, top) / expand_like(top, net)).square().flatten(scale.dim()).sum(-1)
            slope = gradients[f"{name}/scale"] / energy.clamp(min=1)
            most = scale.abs() / (2 * self.lr)
            scaled[f"{name}/scale"] = slope.clamp(-most, most)
            scaled[key] = gradients[key] * expand_like(pace, gradients[key])
        return scaled


def layer_strengths(sizes: Sequence[int], widths: Sequence[int] | None = None, *, by_size: bool = True) -> list[float]:
    """c_l, the weight of each layer in the group lasso.

    N_l n_l/N with ``widths`` (BSQ eq. 5: layers weigh what they cost), N_l/N without (FedMPQ), 1 without
    ``by_size``.
    """
    if not by_size:
        return [1.0] * len(sizes)
    return [m * b / sum(sizes) for m, b in zip(sizes, widths or [1] * len(sizes), strict=True)]


def plane_objective(
    codes: Mapping[str, Codes],
    strengths: Sequence[float],
    *,
    lr: float,
    proximal: bool = False,
    width: int = 0,
    precondition: bool = False,
) -> Objective:
    """The objective to train the bit planes of ``codes``.

    Args:
        codes: of every layer, on the sign-magnitude grid.
        strengths: penalty of every layer, λ·c_l.
        lr: learning rate of the local steps, for the proximal threshold.
        proximal: penalise by a group soft-threshold after each step, not by the subgradient in the loss.
        width: number of planes, as for :func:`plane_params`.
        precondition: see :class:`LikePlainSGD`.
    """
    layers = tuple(codes)
    context = _context(codes, width)
    entry, factor = ("threshold", lr) if proximal else ("strength", 1.0)
    for name, strength in zip(layers, strengths, strict=True):
        context[f"{name}/{entry}"] = torch.tensor(factor * strength, dtype=torch.float32)
    return Objective(
        FromPlanes(layers),
        None if proximal else GroupLasso(layers),
        InBox(layers, proximal, precondition),
        LikePlainSGD(layers, lr) if precondition else None,
        PlaneSteps(layers, proximal, precondition),
        context,
    )


def net_objective(codes: Mapping[str, Codes], *, lr: float, precondition: bool = False) -> Objective:
    """The objective of fine-tuning at the bit-widths of ``codes``, without a penalty; ``lr`` for the preconditioner."""
    layers = tuple(codes)
    scaled = LikePlainSGD(layers, lr) if precondition else None
    return Objective(FromNet(layers), project=InNet(layers), precondition=scaled, context=_context(codes, 0))


def _context(codes: Mapping[str, Codes], width: int) -> Weights:
    context = {}
    for name, layer in codes.items():
        power = 2.0 ** torch.arange(width or layer.grid.bits, dtype=torch.float32)
        power = torch.where(power <= layer.grid.high, power, 0.0)
        context[f"{name}/signed"] = torch.cat([power, -power])
        context[f"{name}/top"] = power.sum()
    return context


# ----------------------------------------------------------------------------------- codes and variables


def plane_params(codes: Mapping[str, Codes], width: int = 0) -> Weights:
    """Planes and scales that stand for ``codes`` (sign-magnitude, scalar clip), digits exact.

    Args:
        codes: of every layer.
        width: planes to make room for; 0 for as many as each layer has bits.
    """
    params = {f"{name}/planes": bit_variables(layer, width) for name, layer in codes.items()}
    return params | {f"{name}/scale": layer.clip.clone() for name, layer in codes.items()}


def net_params(codes: Mapping[str, Codes]) -> Weights:
    """Fine-tuning's form of ``codes``: one float tensor in [−1, 1] and a scale for each layer."""
    params = {f"{name}/net": layer.values / layer.grid.high for name, layer in codes.items()}
    return params | {f"{name}/scale": layer.clip.clone() for name, layer in codes.items()}


def to_codes(params: Weights, name: str, context: Weights, *, growth: bool = False) -> tuple[Codes, torch.Tensor]:
    """A trained layer as codes, and as the real-valued weights that these round.

    Args:
        params: holds ``name/planes`` or ``name/net``, and ``name/scale``.
        name: of the layer.
        context: of the objective it was trained with.
        growth: see :func:`fqlab.quant.requantize`.
    """
    scale = params[f"{name}/scale"]
    bits = int(context[f"{name}/top"]).bit_length()
    if f"{name}/net" in params:
        net = params[f"{name}/net"]
        return requantize_net(net, scale, bits), scale * net.clamp(-1, 1)
    net = signed_sum(params[f"{name}/planes"][:, :bits])
    return requantize_sum(net, bits, scale, growth=growth), scale / (2.0**bits - 1) * net


def remembered(params: Weights) -> Weights:
    """What :func:`resume` takes up again: real values, turned so that scales are positive."""
    kept = {}
    for key, value in params.items():
        name, _, kind = key.rpartition("/")
        if kind in ("planes", "net") and f"{name}/scale" in params:
            turned = value.flip(0) if kind == "planes" else -value
            kept[key] = turned if params[f"{name}/scale"] < 0 else value
    return kept


def resume(params: Weights, codes: Mapping[str, Codes], memory: Weights) -> Weights:
    """``params`` with a client's own real values, weight by weight, where they still round to ``codes``.

    So an update too small to turn a bit is not lost between two rounds; elsewhere the digits that came are
    taken. With one client every code comes back as it went, and training goes on as if there were no
    rounds.
    """
    kept = dict(params)
    one = torch.ones((), dtype=torch.float32)
    for name, layer in codes.items():
        back = {
            f"{name}/planes": lambda w: requantize(w, one, growth=False),
            f"{name}/net": lambda w, bits=layer.grid.bits: requantize_net(w, one, bits),
        }
        for key in back.keys() & params.keys() & memory.keys():
            if memory[key].shape == params[key].shape:
                same = back[key](memory[key]).values == layer.values
                kept[key] = torch.where(same, memory[key], params[key])
    return kept


def dual_ascent(penalty: float, step: float, bits: float, budget: float) -> float:
    """λ ← max(0, λ + η(b̄ − v)): the price of a bit rises while the mean width is above its budget."""
    return max(0.0, penalty + step * (bits - budget))

"""Training in the bit representation: real bit planes and a scale in place of a layer's weights (BSQ).

A layer ``name`` becomes two trained tensors: ``name/planes`` ``[2, planes, *shape]`` (positive and negative
part, plane 0 the LSB) and ``name/scale``. Fine-tuning has ``name/net`` in place of the planes. The context
holds what is particular to a client, so that clients with different bit-widths can train side by side in
one stack:

==================  ======================================================================================
``name/signed``     ``[2·planes]``: ±2^b in the order of the planes, 0 for planes that are not in use
``name/top``        2^n − 1
``name/unit``       planes (or net) are stored in this unit: 1, or what :func:`units` finds
``name/gain``       the scale is stored in this unit
``name/strength``   λ·c_l of the group lasso, or ``name/threshold``, lr·λ·c_l, of its proximal form
==================  ======================================================================================

All functions of the objective take one client's tensors or, with a leading dimension everywhere, many
clients' at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from fqlab.quant import Codes, bit_variables, requantize, requantize_net, signed_sum, straight_through
from fqlab.tensors import Weights, expand_like
from fqlab.training.objectives import Objective, Stacked

__all__ = [
    "FromNet", "FromPlanes", "GroupLasso", "InBox", "InNet", "dual_ascent", "group_norms", "layer_strengths",
    "net_objective", "net_params", "plane_objective", "plane_params", "remembered", "resume", "shrink",
    "to_codes", "to_units", "units",
]  # fmt: skip

HIGHEST = 2.0
"""Bit variables live in [0, 2]; above 1 a value overflows into the next bit (BSQ §3.1)."""

# ------------------------------------------------------------------------------------------- the objective


def _rounded(net: torch.Tensor, top: torch.Tensor) -> torch.Tensor:
    """Round[clip(net, ±top)], with slope 1 everywhere, even where the clip is active (BSQ's code)."""
    top = expand_like(top, net)
    return straight_through(net, torch.clamp(net.detach(), -top, top).round())


@dataclass(frozen=True)
class FromPlanes(Stacked):
    """Transform: W = s·Round[clip(Σ_b 2^b (W_p − W_n), ±(2^n − 1))]/(2^n − 1), straight-through (eq. 2-3)."""

    layers: tuple[str, ...]

    def __call__(self, params: Weights, context: Weights, noise: Weights) -> Weights:
        """What the model sees."""
        weights = {name: value for name, value in params.items() if not name.endswith(("/planes", "/scale"))}
        for name in self.layers:
            planes, signed, top = (
                params[f"{name}/planes"],
                context[f"{name}/signed"],
                context[f"{name}/top"],
            )
            lead = signed.shape[:-1]
            signed = (signed * expand_like(context[f"{name}/unit"], signed)).unsqueeze(-2)
            net = signed @ planes.reshape(*lead, signed.shape[-1], -1)
            net = net.reshape(lead + planes.shape[len(lead) + 2 :])
            step = params[f"{name}/scale"] * context[f"{name}/gain"] / top
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
            top, net = context[f"{name}/top"], params[f"{name}/net"]
            net = net * expand_like(context[f"{name}/unit"] * top, net)
            step = params[f"{name}/scale"] * context[f"{name}/gain"] / top
            weights[name] = expand_like(step, net) * _rounded(net, top)
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
            unit, strength = context[f"{name}/unit"], context[f"{name}/strength"]
            norms = group_norms(params[f"{name}/planes"], batch_dims=unit.dim()) * unit.unsqueeze(-1)
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
    threshold = expand_like(torch.as_tensor(threshold), norms)
    factor = (1 - threshold / norms.clamp(min=1e-30)).clamp(min=0)
    return planes * expand_like(factor.unsqueeze(batch_dims), planes)


@dataclass(frozen=True)
class InBox(Stacked):
    """Projection: every bit variable into [0, 2] after each step; ``proximal`` then shrinks the groups.

    First the box, then the shrinking: on B ≥ 0 this order is the exact proximal step of penalty and bound
    together.
    """

    layers: tuple[str, ...]
    proximal: bool = False

    def __call__(self, params: Weights, context: Weights) -> Weights:
        """The projected parameters."""
        inside = dict(params)
        for name in self.layers:
            unit, planes = context[f"{name}/unit"], params[f"{name}/planes"]
            planes = torch.clamp(planes, torch.zeros(()), expand_like(HIGHEST / unit, planes))
            if self.proximal:
                planes = shrink(planes, context[f"{name}/threshold"] * unit, batch_dims=unit.dim())
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
            net = params[f"{name}/net"]
            limit = expand_like(1 / context[f"{name}/unit"], net)
            inside[f"{name}/net"] = torch.clamp(net, -limit, limit)
        return inside


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
        precondition: see :func:`units`.
    """
    layers, context = tuple(codes), _context(codes, width, "planes", precondition)
    entry, factor = ("threshold", lr) if proximal else ("strength", 1.0)
    for name, strength in zip(layers, strengths, strict=True):
        context[f"{name}/{entry}"] = torch.tensor(factor * strength, dtype=torch.float32)
    return Objective(
        FromPlanes(layers), None if proximal else GroupLasso(layers), InBox(layers, proximal), context=context
    )


def net_objective(codes: Mapping[str, Codes], *, precondition: bool = False) -> Objective:
    """The objective of fine-tuning at the bit-widths of ``codes``, without a penalty."""
    layers = tuple(codes)
    return Objective(FromNet(layers), project=InNet(layers), context=_context(codes, 0, "net", precondition))


def _context(codes: Mapping[str, Codes], width: int, kind: str, precondition: bool) -> Weights:
    context = {}
    for name, layer in codes.items():
        power = 2.0 ** torch.arange(width or layer.grid.bits)
        power = torch.where(power <= layer.grid.high, power, 0.0)
        context[f"{name}/signed"], context[f"{name}/top"] = torch.cat([power, -power]), power.sum()
        unit, gain = units(layer, kind) if precondition else (torch.ones(()), torch.ones(()))
        context[f"{name}/unit"], context[f"{name}/gain"] = unit, gain
    return context


def units(codes: Codes, kind: str = "planes") -> tuple[torch.Tensor, torch.Tensor]:
    """Units of planes (or net) and scale in which a step of SGD moves weights about as far as plain SGD.

    A plane moves the weights by s 2^b/(2^n − 1), so a step moves them by lr s² Σ_b (2^b/(2^n − 1))², some
    hundred times less than lr for freshly initialised layers; the scale moves all weights at once, by ‖q‖²
    times more. Storing a variable in units of √κ multiplies its learning rate by κ and changes nothing
    else: not the optimum, not the balance of loss and penalty. An extension: BSQ starts from trained
    networks with batch norm and does without.
    """
    shares = 2.0 ** torch.arange(codes.grid.bits) / codes.grid.high if kind == "planes" else torch.ones(1)
    reach = codes.clip * shares.square().sum().sqrt()
    unit = torch.where(reach > 0, 1 / reach.clamp(min=1e-12), 1.0)
    return unit, (codes.values / codes.grid.high).square().sum().clamp(min=1).rsqrt()


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


def to_units(params: Weights, context: Weights, *, back: bool = False) -> Weights:
    """Variables in the units of ``context``, as they are trained; ``back`` is the inverse."""
    kinds, stored = {"planes": "unit", "net": "unit", "scale": "gain"}, {}
    for key, value in params.items():
        name, _, kind = key.rpartition("/")
        unit = context.get(f"{name}/{kinds.get(kind)}")
        stored[key] = value if unit is None else value * unit if back else value / unit
    return stored


def to_codes(params: Weights, name: str, context: Weights, *, growth: bool = False) -> tuple[Codes, torch.Tensor]:
    """A trained layer (in plain units) as codes, and as the real-valued weights that these round.

    Args:
        params: holds ``name/planes`` or ``name/net``, and ``name/scale``.
        name: of the layer.
        context: of the objective it was trained with.
        growth: see :func:`fqlab.quant.requantize`.
    """
    scale, bits = params[f"{name}/scale"], int(context[f"{name}/top"]).bit_length()
    if f"{name}/net" in params:
        net = params[f"{name}/net"]
        return requantize_net(net, scale, bits), scale * net.clamp(-1, 1)
    planes = params[f"{name}/planes"][:, :bits]
    return requantize(planes, scale, growth=growth), scale / (2.0**bits - 1) * signed_sum(planes)


def remembered(params: Weights) -> Weights:
    """What :func:`resume` takes up again: real values in plain units, turned so that scales are positive."""
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
    kept, one = dict(params), torch.ones(())
    for name, layer in codes.items():
        back = {
            f"{name}/planes": lambda own: requantize(own, one, growth=False),
            f"{name}/net": lambda own, bits=layer.grid.bits: requantize_net(own, one, bits),
        }
        for key in back.keys() & params.keys() & memory.keys():
            if memory[key].shape == params[key].shape:
                same = back[key](memory[key]).values == layer.values
                kept[key] = torch.where(same, memory[key], params[key])
    return kept


def dual_ascent(penalty: float, step: float, bits: float, budget: float) -> float:
    """λ ← max(0, λ + η(b̄ − v)): the price of a bit rises while the mean width is above its budget."""
    return max(0.0, penalty + step * (bits - budget))

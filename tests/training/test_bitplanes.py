"""Training in the bit representation: forward, gradient, penalty and proximal step against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import optimize
from torch.func import vmap

from fqlab.quant import Codes, Grid, group_lasso, quantize
from fqlab.tensors import Weights
from fqlab.training import bitplanes as bits
from fqlab.training.gradients import objective_grad
from fqlab.training.objectives import Objective
from fqlab.training.sgd import Batch, Training, sgd


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def layer(width: int, shape: tuple[int, ...] = (3, 4), seed: int = 0) -> Codes:
    w = torch.randn(shape, generator=generator(seed))
    return quantize(w, w.abs().max(), Grid(width, "sign_magnitude"))


def trained(codes: Codes, seed: int = 1) -> dict[str, torch.Tensor]:
    """Planes somewhere in [0, 2] and a scale, as in the middle of training."""
    params = bits.plane_params({"w": codes})
    planes = 2 * torch.rand(params["w/planes"].shape, generator=generator(seed))
    return {"w/planes": planes, "w/scale": torch.tensor(0.7)}


def forward(planes: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """(A2), written out in double precision."""
    n = planes.shape[1]
    top = 2**n - 1
    u = sum(2**b * (planes[0, b].double() - planes[1, b].double()) for b in range(n)) / top
    u = u.clamp(-1, 1)
    return scale.double() * u.sign() * (top * u.abs()).round() / top


@pytest.mark.parametrize("width", [1, 2, 5, 8])
def test_forward_is_A2(width):
    codes = layer(width)
    params = trained(codes)
    objective = bits.plane_objective({"w": codes}, [0.0], lr=0.1)
    seen = objective.weights(params)["w"]
    assert torch.allclose(seen.double(), forward(params["w/planes"], params["w/scale"]), atol=1e-5)


def test_digits_give_the_codes_back():
    codes = {"a": layer(3), "b": layer(8, (5,))}
    seen = bits.plane_objective(codes, [0.0, 0.0], lr=0.1).weights(bits.plane_params(codes))
    assert all(torch.allclose(seen[n], c.dequantize(), atol=1e-6) for n, c in codes.items())


def test_gradient_is_A3_even_where_the_clip_is_active():
    codes = layer(3)
    params = {k: v.requires_grad_() for k, v in trained(codes).items()}
    g = torch.randn(3, 4, generator=generator(2))
    seen = bits.plane_objective({"w": codes}, [0.0], lr=0.1).weights(params)["w"]
    (seen * g).sum().backward()
    factor = torch.tensor([1.0, 2.0, 4.0]).reshape(3, 1, 1) / 7 * 0.7
    assert torch.allclose(params["w/planes"].grad[0], factor * g, atol=1e-6)
    assert torch.allclose(params["w/planes"].grad[1], -factor * g, atol=1e-6)
    assert torch.allclose(params["w/scale"].grad, (seen.detach() / 0.7 * g).sum(), atol=1e-5)


def test_penalty_and_its_gradient_are_A4_and_A5():
    codes = {"a": layer(3), "b": layer(2, (8,))}
    params = {}
    for name, c in codes.items():
        params |= {f"{name}/{k[2:]}": v for k, v in trained(c).items()}
    strengths = [0.1 * c for c in bits.layer_strengths([12, 8], [3, 2])]
    assert strengths == pytest.approx([0.1 * 12 * 3 / 20, 0.1 * 8 * 2 / 20])
    objective = bits.plane_objective(codes, strengths, lr=0.1)
    leaf = params["a/planes"].clone().requires_grad_()
    value = objective.penalty(params | {"a/planes": leaf}, objective.context)
    expected = 0.0
    for name, strength in zip(codes, strengths, strict=True):
        for b in range(codes[name].grid.bits):
            expected += strength * float((params[f"{name}/planes"][:, b].square().sum() + 1e-8).sqrt())
    assert float(value.detach()) == pytest.approx(expected, rel=1e-5)
    grouped = group_lasso(params["a/planes"].movedim(1, 0)), group_lasso(params["b/planes"].movedim(1, 0))
    assert float(value.detach()) == pytest.approx(
        float(sum(s * g for s, g in zip(strengths, grouped, strict=True))), rel=1e-5
    )
    (slope,) = torch.autograd.grad(value, leaf)
    norms = leaf.detach().square().sum((0, 2, 3)).sqrt().reshape(1, 3, 1, 1)
    assert torch.allclose(slope, strengths[0] * leaf.detach() / norms, atol=1e-6)


def test_an_empty_plane_has_a_finite_slope():
    codes = Codes(torch.zeros(4, dtype=torch.int16), Grid(2, "sign_magnitude"), torch.tensor(1.0))
    objective = bits.plane_objective({"w": codes}, [1.0], lr=0.1)
    params = {k: v.requires_grad_() for k, v in bits.plane_params({"w": codes}).items()}
    objective.penalty(params, objective.context).backward()
    assert bool((params["w/planes"].grad == 0).all())


def test_strengths_without_bits_or_sizes():
    assert bits.layer_strengths([30, 10]) == [0.75, 0.25]
    assert bits.layer_strengths([30, 10], [8, 2], by_size=False) == [1.0, 1.0]


def test_box():
    codes = layer(2)
    objective = bits.plane_objective({"w": codes}, [0.0], lr=0.1)
    wild = {"w/planes": 9 * torch.randn(2, 2, 3, 4, generator=generator()), "w/scale": torch.tensor(-3.0)}
    inside = objective.project(wild, objective.context)
    assert torch.equal(inside["w/planes"], wild["w/planes"].clamp(0, 2))
    assert inside["w/scale"] is wild["w/scale"]


@pytest.mark.parametrize("precondition", [False, True])
@pytest.mark.parametrize("proximal", [False, True])
def test_stacked_clients_of_different_widths_are_the_clients_alone(proximal, precondition):
    how = {"lr": 0.3, "width": 8, "proximal": proximal, "precondition": precondition}
    alone = []
    for i, width in enumerate((1, 4, 8)):
        codes = {"w": layer(width, seed=i)}
        objective = bits.plane_objective(codes, [0.05 * (i + 1)], **how)
        alone.append((bits.plane_params(codes, 8), objective))
    params = {k: torch.stack([p[k] for p, _ in alone]) for k in alone[0][0]}
    context = {k: torch.stack([o.context[k] for _, o in alone]) for k in alone[0][1].context}
    first = alone[0][1]
    kinds = ("transform", "penalty", "project", "precondition")
    assert all(getattr(o, kind) == getattr(first, kind) for _, o in alone for kind in kinds)
    for function, extra in ((first.transform, ({},)), (first.penalty, ()), (first.project, ())):
        if function is None:
            continue
        together = function.stacked(params, context, *extra)
        mapped = vmap(function)(params, context, *extra)
        for i, (member, objective) in enumerate(alone):
            one = function(member, objective.context, *extra)
            for result in (together, mapped):
                pairs = [(one, result[i])] if torch.is_tensor(one) else [(one[k], result[k][i]) for k in one]
                assert all(torch.allclose(a, b, atol=1e-5) for a, b in pairs)


# ------------------------------------------------------------------------------------------ preconditioning


def one_step(params: Weights, objective: Objective, g: torch.Tensor, lr: float, decay: float = 0.0) -> Weights:
    """``params`` after a step of SGD on the loss ⟨g, W⟩, as a client takes it."""
    slopes = objective_grad(objective, lambda seen, _: ([g.clone()], (seen["w"] * g).sum()))
    condition = objective.precondition and (lambda slope, p: objective.precondition(slope, p, objective.context))
    step = Batch(torch.empty(0), torch.empty(0))
    training = Training(lr=lr, weight_decay=decay)
    return sgd(slopes, params, [step], training, precondition=condition)[0]


@pytest.mark.parametrize("width", [1, 3, 8])
def test_a_preconditioned_step_moves_planes_like_plain_sgd(width):
    """On planes away from their bounds, Δ(Σ 2^b (W_p − W_n)^(b)) s/(2^n − 1) = −lr·g; plain planes move far less."""
    codes = layer(width)
    lr = 1e-4
    g = torch.randn(3, 4, generator=generator(3))
    start = {"w/planes": torch.full((2, width, 3, 4), 0.5), "w/scale": codes.clip}
    power = 2.0 ** torch.arange(width).reshape(-1, 1, 1)
    reach = float(codes.clip) ** 2 * sum((2**b / (2**width - 1)) ** 2 for b in range(width))
    for precondition, expected in ((True, 1.0), (False, reach)):
        objective = bits.plane_objective({"w": codes}, [0.0], lr=lr, precondition=precondition)
        planes = one_step(start, objective, g, lr)["w/planes"]
        moved = float(codes.clip) / (2**width - 1) * (power * (planes[0].double() - 0.5)).sum(0)
        assert float(((-moved / lr) / g).mean()) == pytest.approx(expected, rel=0.05)


@given(
    width=st.integers(1, 8),
    filled=st.floats(0, 1),
    size=st.floats(-3, 1),
    pull=st.floats(-3, 2),
    along=st.floats(-1, 1),
    seed=st.integers(0, 99),
)
@example(width=7, filled=0.16, size=-2.8, pull=0.5, along=0.97, seed=75)
def test_no_preconditioned_step_is_much_longer_than_one_of_plain_sgd(width, filled, size, pull, along, seed):
    """‖ΔW‖ ≤ lr‖g‖ by the planes, as much by the scale, half as much by both at once, and the rounding.

    Codes that were all but zero when the round began do not let the scale leap once they have filled up.
    """
    draw = generator(seed)
    lr = 0.1
    start = Codes(torch.zeros(300, dtype=torch.int16), Grid(width, "sign_magnitude"), torch.tensor(10.0**size))
    planes = 2 * torch.rand(2, width, 300, generator=draw)
    planes *= torch.rand(planes.shape, generator=draw) < filled
    params = {"w/planes": planes, "w/scale": start.clip}
    objective = bits.plane_objective({"w": start}, [0.0], lr=lr, precondition=True)
    seen = objective.weights(params)["w"]
    g = along * seen / seen.norm().clamp(min=1e-9) + (1 - abs(along)) * torch.randn(300, generator=draw) / 300**0.5
    g = g * 10.0**pull * 300**0.5
    after = objective.project(one_step(params, objective, g, lr), objective.context)
    moved = (objective.weights(after)["w"] - seen).norm()
    rounding = 10.0**size / (2**width - 1) * 300**0.5
    assert float(moved) <= 2.5 * lr * float(g.norm()) + rounding


@pytest.mark.parametrize("kind", ["planes", "net"])
def test_preconditioning_moves_no_optimum(kind):
    """Loss and weight decay that balance before preconditioning balance after it, at any rate of their own."""
    codes = {"w": layer(4)}
    build = bits.plane_objective if kind == "planes" else bits.net_objective
    objective = build(codes, *([[0.0]] if kind == "planes" else []), lr=0.5, precondition=True)
    params = trained(codes["w"]) if kind == "planes" else bits.net_params(codes)
    condition = lambda slope, p: objective.precondition(slope, p, objective.context)
    decay = 0.5
    step = Batch(torch.empty(0), torch.empty(0))
    balance = lambda p, _: ([-decay * v for v in p.values()], torch.zeros(()))
    after, _ = sgd(balance, params, [step], Training(lr=0.5, weight_decay=decay), precondition=condition)
    assert all(torch.equal(after[k], v) for k, v in params.items())
    slopes = {k: torch.rand(v.shape, generator=generator(5)) - 0.5 for k, v in params.items()}
    rates = {k: v / slopes[k] for k, v in condition(slopes, params).items()}
    assert all(bool((r > 0).all()) and torch.allclose(r, r.max(), rtol=1e-4) for r in rates.values())


def test_stacked_preconditioning_is_every_clients_own():
    alone = []
    for i, width in enumerate((1, 4, 8)):
        codes = {"w": layer(width, seed=i)}
        params = bits.plane_params(codes, 8)
        params["w/planes"] = params["w/planes"] * torch.rand(params["w/planes"].shape, generator=generator(i))
        slopes = {k: torch.randn(v.shape, generator=generator(9 + i)) for k, v in params.items()}
        objective = bits.plane_objective(codes, [0.0], lr=0.3, width=8, precondition=True)
        alone.append((slopes, params, objective.context))
    stacked = [{k: torch.stack([one[i][k] for one in alone]) for k in alone[0][i]} for i in range(3)]
    together = objective.precondition.stacked(*stacked)
    mapped = vmap(objective.precondition)(*stacked)
    for i, one in enumerate(alone):
        for key, value in objective.precondition(*one).items():
            assert torch.allclose(together[key][i], value, rtol=1e-4)
            assert torch.allclose(mapped[key][i], value, rtol=1e-4)


# ------------------------------------------------------------------------------------------------- memory


def test_real_values_are_taken_up_where_they_still_round_to_the_code():
    codes = {"w": layer(4)}
    start = bits.plane_params(codes)
    moved = {"w/planes": (start["w/planes"] + 0.02).clamp(0, 2), "w/scale": codes["w"].clip}
    moved["w/planes"][:, :, 0, 0] = 0  # rounds to 0
    memory = bits.remembered(moved)
    kept = bits.resume(start, codes, memory)["w/planes"]
    same = codes["w"].values[0, 0] == 0
    assert torch.equal(kept[:, :, 1:], moved["w/planes"][:, :, 1:])
    assert torch.equal(kept[:, :, 0, 0], (moved if same else start)["w/planes"][:, :, 0, 0])
    assert bits.resume(start, {"w": layer(3)}, memory).keys() == start.keys()


def test_memory_of_a_negative_scale_stands_for_the_same_weights():
    codes = layer(3)
    params = bits.plane_params({"w": codes}) | {"w/scale": torch.tensor(-0.5)}
    context = bits.plane_objective({"w": codes}, [0.0], lr=0.1).context
    sent, _ = bits.to_codes(params, "w", context)
    start = bits.plane_params({"w": sent})
    assert torch.equal(bits.resume(start, {"w": sent}, bits.remembered(params))["w/planes"], start["w/planes"])


def test_codes_and_the_weights_they_round():
    codes = layer(3)
    params = trained(codes)
    sent, weights = bits.to_codes(params, "w", bits.plane_objective({"w": codes}, [0.0], lr=0.1).context)
    inside = weights.abs() <= float(sent.clip)
    assert float((weights - sent.dequantize())[inside].abs().max()) <= float(sent.grid.step(sent.clip)) / 2 + 1e-6


def test_fine_tuning_form_is_the_same_quantizer():
    codes = {"w": layer(3)}
    objective = bits.net_objective(codes, lr=0.1)
    params = bits.net_params(codes)
    assert torch.allclose(objective.weights(params)["w"], codes["w"].dequantize(), atol=1e-6)
    sent, _ = bits.to_codes(params, "w", objective.context)
    assert torch.equal(sent.values, codes["w"].values)
    wild = objective.project(params | {"w/net": 5 * params["w/net"]}, objective.context)
    assert float(wild["w/net"].abs().max()) <= 1


# --------------------------------------------------------------------------- proximal step and dual ascent


@given(st.floats(0, 3), st.integers(0, 1000))
def test_soft_threshold_is_the_minimiser(threshold, seed):
    """½‖B − X‖² + τΣ_b‖B_b‖: closed form per group, checked by its optimality condition."""
    x = torch.randn(2, 3, 4, generator=generator(seed), dtype=torch.float64)
    out = bits.shrink(x, threshold)
    for b in range(3):
        norm = float(out[:, b].norm())
        rest = x[:, b] - out[:, b]
        if norm > 0:
            assert torch.allclose(rest, threshold * out[:, b] / norm, atol=1e-9)
        else:
            assert float(rest.norm()) <= threshold + 1e-9


def test_box_then_threshold_is_the_proximal_step_under_the_bound():
    """Against SciPy: min ½‖B − X‖² + τ‖B‖ subject to B ≥ 0."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        x = rng.normal(size=6)
        ours = bits.shrink(torch.tensor(x).clamp(min=0).reshape(2, 1, 3), 0.4).flatten().numpy()
        start = np.clip(x, 0.1, None)
        goal = lambda b, x=x: 0.5 * np.sum((b - x) ** 2) + 0.4 * np.linalg.norm(b)
        optimum = optimize.minimize(goal, start, bounds=[(0, None)] * 6, tol=1e-12)
        assert goal(ours) <= optimum.fun + 1e-7
        assert np.allclose(ours, optimum.x, atol=1e-3)


class Lasso:
    """Group-lasso least squares ½‖y − Xβ‖² + λΣ_g‖β_g‖ with the groups of :func:`fqlab.training.bitplanes.shrink`."""

    def __init__(self, orthogonal: bool, seed: int = 0, groups: int = 5) -> None:
        rng = np.random.default_rng(seed)
        n = 2 * groups * 2
        x = rng.normal(size=(60, n))
        self.x = torch.tensor(np.linalg.qr(x)[0] if orthogonal else x / 8)
        truth = rng.normal(size=(2, groups, 2)) * np.array([3, 2, 1, 0.2, 0.1]).reshape(1, -1, 1)
        self.shape = truth.shape
        self.y = self.x @ torch.tensor(truth).flatten() + 0.1 * torch.tensor(rng.normal(size=60))

    def solve(self, penalty: float, steps: int = 800) -> torch.Tensor:
        """Proximal gradient descent."""
        lr = 1 / float(torch.linalg.matrix_norm(self.x, 2)) ** 2
        beta = torch.zeros(self.shape, dtype=torch.float64)
        for _ in range(steps):
            slope = (self.x.T @ (self.x @ beta.flatten() - self.y)).reshape(self.shape)
            beta = bits.shrink(beta - lr * slope, lr * penalty)
        return beta

    def goal(self, beta: np.ndarray, penalty: float) -> float:
        residual = self.y.numpy() - self.x.numpy() @ beta.ravel()
        return 0.5 * residual @ residual + penalty * np.linalg.norm(beta.reshape(self.shape), axis=(0, 2)).sum()


@pytest.mark.parametrize("penalty", [0.05, 0.5, 2.0])
def test_orthogonal_group_lasso_has_the_closed_form(penalty):
    toy = Lasso(orthogonal=True)
    z = (toy.x.T @ toy.y).reshape(toy.shape)
    norms = z.square().sum((0, 2), keepdim=True).sqrt()
    closed = z * (1 - penalty / norms).clamp(min=0)
    assert torch.allclose(toy.solve(penalty, 50), closed, atol=1e-10)


@pytest.mark.parametrize("penalty", [0.05, 0.5])
def test_group_lasso_least_squares_against_scipy(penalty):
    toy = Lasso(orthogonal=False)
    ours = toy.solve(penalty).numpy()
    smooth = lambda b: toy.goal(b, 0) + penalty * np.sqrt(np.square(b.reshape(toy.shape)).sum((0, 2)) + 1e-10).sum()
    optimum = optimize.minimize(smooth, np.ones(ours.size), method="L-BFGS-B", options={"maxiter": 5000, "ftol": 1e-12})
    assert toy.goal(ours, penalty) <= toy.goal(optimum.x, penalty) + 1e-6
    assert np.allclose(ours.ravel(), optimum.x, atol=5e-3)


@pytest.mark.parametrize("budget", [1, 2, 3, 4])
def test_dual_ascent_ends_within_one_group_of_its_budget(budget):
    """λ ← max(0, λ + η(groups in use − budget)) on the toy, whose number of groups falls as λ rises."""
    toy = Lasso(orthogonal=True)
    penalty = 0.0
    for _ in range(150):
        used = int((toy.solve(penalty, 20).abs().sum((0, 2)) > 0).sum())
        penalty = bits.dual_ascent(penalty, 0.02, used, budget)
    assert abs(used - budget) <= 1


def test_dual_ascent_never_pays_for_bits():
    assert bits.dual_ascent(0.1, 0.05, 3.0, 4.0) == pytest.approx(0.05)
    assert bits.dual_ascent(0.1, 1.0, 3.0, 4.0) == 0.0
    assert bits.dual_ascent(0.1, 0.0, 8.0, 2.0) == 0.1

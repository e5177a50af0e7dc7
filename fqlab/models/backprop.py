"""The gradient of many stacked multi-layer perceptrons, written out: no graph, and every buffer made once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["Buffers", "MLPGradient"]


class Buffers:
    """Memory that a loop uses again and again: large tensors made anew at every step cost page faults.

    What was handed out under a name is overwritten by whoever asks for that name next. A copy starts empty: two threads
    never share memory.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._memory: dict[object, Tensor] = {}
        self._views: dict[object, Tensor] = {}

    def __deepcopy__(self, memo: object) -> Buffers:
        return Buffers(self.device)

    def __call__(self, name: object, *shape: int) -> Tensor:
        """A float32 tensor of this shape; what is in it is left over."""
        view = self._views.get((name, shape))
        if view is None:
            size = math.prod(shape)
            memory = self._memory.get(name)
            if memory is None or memory.numel() < size:
                memory = self._memory[name] = torch.empty(size, dtype=torch.float32, device=self.device)
            view = self._views[name, shape] = memory[:size].view(shape)
        return view


class MLPGradient:
    """Mean cross-entropy of stacked ``linear - ReLU - ... - linear`` networks, and its gradient.

    With z_l = h_{l-1} W_lᵀ + b_l, h_l = max(z_l, 0) and logits z_L: ∂/∂z_L = (softmax(z_L) − onehot(y))/n, then
    ∂/∂W_l = (∂/∂z_l)ᵀ h_{l-1} and ∂/∂h_{l-1} = ∂/∂z_l W_l, which passes where h_{l-1} > 0. This is what autograd gives for
    :meth:`fqlab.models.MLP.stacked`, in a third of the time: one batched product a line. Logits lie class by class, since a
    softmax over ten numbers next to each other takes ten times as long as one across rows of samples.

    Args:
        layers: names of the linear layers, from the input on.
    """

    def __init__(self, layers: Sequence[str]) -> None:
        self.layers = tuple(layers)
        self.buffer = Buffers()

    def __call__(
        self, weights: dict[str, Tensor], x: Tensor, y: Tensor, weight: Tensor | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Gradients and losses of one minibatch for each client.

        Args:
            weights: ``name.weight`` ``[clients, out, in]`` and ``name.bias`` ``[clients, out]`` of every layer.
            x: inputs ``[clients, n, ...]``.
            y: labels ``[clients, n]``.
            weight: 1 for a real sample and 0 for padding, ``[clients, n]``; None if all are real.

        Returns:
            The gradients by name and the losses ``[clients]``. The gradients are overwritten by the next call.
        """
        gradients: dict[str, Tensor] = {}

        def keep(name: str, slope: Tensor, entering: Tensor) -> None:
            w = weights[f"{name}.weight"]
            by_weight, by_bias = self.buffer((name, "weight"), *w.shape), self.buffer((name, "bias"), *w.shape[:2])
            gradients[f"{name}.weight"] = torch.bmm(slope.transpose(1, 2), entering, out=by_weight)
            gradients[f"{name}.bias"] = torch.sum(slope, 1, out=by_bias)

        losses = self._walk(weights, x, y, weight, keep)
        return gradients, losses

    def descend(
        self,
        weights: dict[str, Tensor],
        params: dict[str, Tensor],
        x: Tensor,
        y: Tensor,
        weight: Tensor | None = None,
        *,
        lr: float,
    ) -> Tensor:
        """Subtract ``lr`` times the gradient in ``weights`` from ``params``, which may be the same tensors; the losses.

        The product that makes a gradient adds it as well: the largest tensors of a step are neither written nor read again.
        """

        def move(name: str, slope: Tensor, entering: Tensor) -> None:
            params[f"{name}.weight"].baddbmm_(slope.transpose(1, 2), entering, alpha=-lr)
            params[f"{name}.bias"].sub_(slope.sum(1), alpha=lr)

        return self._walk(weights, x, y, weight, move)

    def _walk(
        self,
        weights: dict[str, Tensor],
        x: Tensor,
        y: Tensor,
        weight: Tensor | None,
        use: Callable[[str, Tensor, Tensor], None],
    ) -> Tensor:
        """The losses; ``use`` hears of every layer, the last one first: its name, the gradient in what it gives
        ``[clients, n, outputs]`` and what entered it ``[clients, n, inputs]``. Its weights are not needed any more."""
        if self.buffer.device != x.device:
            self.buffer = Buffers(x.device)
        hidden = self._forward(weights, x.flatten(2))
        log_p = hidden.pop().log_softmax(1)
        index = y.unsqueeze(1)
        chosen = log_p.gather(1, index)
        slope = log_p.exp_()
        slope.scatter_add_(1, index, slope.new_full((), -1).expand(index.shape))
        share = 1 / y.shape[1] if weight is None else (weight / weight.sum(1, keepdim=True).clamp(min=1)).unsqueeze(1)
        losses = chosen.mul_(share).sum((1, 2)).neg_()
        slope = slope.mul_(share).transpose(1, 2)
        for name in reversed(self.layers):
            entering = hidden.pop()
            if not hidden:
                use(name, slope, entering)
                break
            before = torch.bmm(slope, weights[f"{name}.weight"], out=self.buffer((name, "in"), *entering.shape))
            use(name, slope, entering)
            slope = before.mul_(entering.sign_())
        return losses

    def _forward(self, weights: dict[str, Tensor], x: Tensor) -> list[Tensor]:
        """What enters each layer, ``[clients, n, inputs]``, and the logits, ``[clients, classes, n]``."""
        values = [x]
        *inner, last = self.layers
        for name in inner:
            w = weights[f"{name}.weight"]
            b = weights[f"{name}.bias"].unsqueeze(1)
            out = self.buffer((name, "out"), *values[-1].shape[:2], w.shape[1])
            values.append(torch.baddbmm(b, values[-1], w.transpose(1, 2), out=out).relu_())
        w = weights[f"{last}.weight"]
        logits = self.buffer((last, "out"), *w.shape[:2], x.shape[1])
        values.append(torch.baddbmm(weights[f"{last}.bias"].unsqueeze(2), w, values[-1].transpose(1, 2), out=logits))
        return values

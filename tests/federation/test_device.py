"""A device by name: what is refused, what a GPU's name changes here, and that no step of a stack mixes devices."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from fqlab.errors import ConfigError
from fqlab.federation import Experiment, Federation
from fqlab.federation.engines import device, vectorized
from fqlab.models import Dropout

FAST = Experiment(clients=3, rounds=2, batch_size=64, engine="vectorized", partition="dirichlet")


def on(name: str, **changes) -> Experiment:
    return dataclasses.replace(FAST, device=name, **changes)


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused_in_one_sentence(name, monkeypatch):
    monkeypatch.setattr(device, "_has", lambda kind: False)
    with pytest.raises(ConfigError, match=f"^device is '{name}', but PyTorch has none here; .*\\.$"):
        Federation(on(name))


def test_names_and_engines_that_do_not_go_together():
    with pytest.raises(ConfigError, match=r"^device is 'gpu', but must be one of .*\.$"):
        on("gpu")
    with pytest.raises(ConfigError, match=r"^engine \(with device 'cuda'\) is 'threads', but must be one of .*\.$"):
        on("cuda", engine="threads")


def test_auto_is_the_cpu_where_there_is_nothing_else_to_the_bit(monkeypatch):
    monkeypatch.setattr(device, "_has", lambda kind: False)
    plain, chosen = (list(Federation(on(name))) for name in ("cpu", "auto"))
    assert [r.loss for r in plain] == [r.loss for r in chosen]


def test_what_is_written_for_the_cpu_is_refused_or_stays_there(monkeypatch):
    monkeypatch.setattr(device, "_has", lambda kind: kind == "cuda")
    with pytest.raises(ConfigError, match=r"^device is 'cuda', but the network has dropout"):
        device.find(on("cuda"), Dropout(0.5))
    assert (
        device.find(on("auto"), Dropout(0.5)) == device.find(on("auto", engine="threads"), Dropout(0.0)) == device.CPU
    )
    with pytest.raises(ConfigError, match=r"^device is 'cuda', but 'bsq' trains its clients on the CPU alone\.$"):
        Federation(on("cuda", method="bsq")).step()
    federation = Federation(on("auto", method="bsq", evaluate_every=2))
    assert federation.simulation.device.type == "cuda"
    assert federation.step().loss > 0


class OneDevice(TorchDispatchMode):
    """Refuses what a GPU would: an operation on tensors of two devices, but for copies and single numbers."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        tensors = [v for v in tree_flatten((args, kwargs))[0] if isinstance(v, torch.Tensor) and v.dim()]
        if "copy" not in str(func):
            assert len({v.device.type for v in tensors}) < 2, (func, [(v.device.type, v.shape) for v in tensors])
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("model", ["mlp", "digits_cnn"])
def test_no_step_of_a_stack_mixes_devices(model, monkeypatch):
    """On the device without memory, which every machine has: nothing can be worked out there, but it can be asked for."""
    federation = Federation(on("cpu", model=model, momentum=0.9, weight_decay=0.01))
    far = torch.device("meta")
    simulation = dataclasses.replace(federation.simulation, device=far)
    tasks, _ = federation._download(1, [0, 1, 2])
    (members,) = vectorized._stacks(simulation, tasks)
    seen = []
    step = vectorized.sgd
    back = lambda tensors, to: {n: torch.zeros(v.shape) if to == device.CPU else v.to(to) for n, v in tensors.items()}

    def spy(grad, start, *rest):
        watch = lambda params, batch: seen.extend([batch.x, batch.y, *params.values()]) or grad(params, batch)
        return step(watch, start, *rest)

    monkeypatch.setattr(vectorized, "sgd", spy)
    monkeypatch.setattr(vectorized, "moved", back)
    monkeypatch.setattr(torch.Tensor, "tolist", lambda self: [0.0] * len(self))
    with OneDevice():
        results = vectorized._train(simulation, members, simulation.model)
    assert {value.device for value in seen} == {far}
    assert len(seen) > 20
    assert [result.refusal for result in results] == [None] * 3

"""A device by name: what is refused, what a GPU's name changes here, that no step of a stack mixes devices, and that a GPU
agrees with the CPU where there is one."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from fqlab.errors import ConfigError
from fqlab.federation import Experiment, Federation
from fqlab.federation.engines import ClientResult, device, vectorized
from fqlab.models import Dropout
from fqlab.training import recorded
from fqlab.training.integer_steps import IntegerSteps
from fqlab.training.objectives import Objective
from fqlab.training.sgd import Batch
from fqlab.training.transforms import FakeQuantize, MultiBit, PseudoNoise

GPUS = [kind for kind in ("cuda", "mps") if device._has(kind)]
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
    with pytest.raises(
        ConfigError, match=r"^device is 'cuda', but 'fedmpq' trains whole magnitudes, which stay on the CPU\.$"
    ):
        Federation(on("cuda", method="fedmpq")).step()
    federation = Federation(on("auto", method="fedmpq", evaluate_every=2))
    assert federation.simulation.device.type == "cuda"
    assert federation.step().loss > 0


def test_apples_gpu_takes_only_methods_that_train_the_weights_as_they_are():
    """There is no float64 on it, and nothing else was tried."""
    apple = torch.device("mps")
    assert device.suited(apple, Objective(), on("mps")) == apple
    with pytest.raises(ConfigError, match=r"^device is 'mps', but 'bsq' trains its clients on the CPU alone\.$"):
        device.suited(apple, Objective(MultiBit((), (4,))), on("mps", method="bsq"))
    assert device.suited(apple, Objective(MultiBit((), (4,))), on("auto")) == device.CPU


class OneDevice(TorchDispatchMode):
    """Refuses what a GPU would: an operation on tensors of two devices, but for copies and single numbers."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        tensors = [v for v in tree_flatten((args, kwargs))[0] if isinstance(v, torch.Tensor) and v.dim()]
        if "copy" not in str(func):
            assert len({v.device.type for v in tensors}) < 2, (func, [(v.device.type, v.shape) for v in tensors])
        return func(*args, **(kwargs or {}))


PLANES = {"interval": 2, "penalty": 0.01}
CASES: dict[str, dict[str, Any]] = {
    "plain": dict(),
    "mlp": dict(momentum=0.9, weight_decay=0.01),
    "vmap": dict(model="digits_cnn", momentum=0.9, weight_decay=0.01),
    # One step: on a CPU, too, three make 1e-3 out of a start that differs by 1e-7.
    "alone": dict(model="resnet8", clients=1, partition="iid", batch_size=1437),
    "masks": dict(method="lottery", validation=0.2),
    "kure": dict(method="robust", options={"variant": "kure", "penalty": 0.1}),
    "mqat": dict(method="robust", options={"variant": "mqat"}),
    "apqn": dict(method="robust", options={"variant": "apqn", "bits": 4}),
    "planes": dict(method="bsq", options=PLANES, momentum=0.9, weight_decay=0.01),
    "proximal": dict(method="bsq", options={**PLANES, "step": "proximal"}),
    "net": dict(method="fqlab.studies.known_scheme:KnownScheme"),
    "latent": dict(method="fedmpq", options={"update": "latent"}),
    "frozen": dict(method="aqfl", options={"update": "frozen"}),
}
"""What may be trained on a GPU."""
CLIPPED = {
    "range": dict(method="robust", options={"variant": "qat", "bits": 4, "range_rule": "mse"}),
    "octav": dict(method="clipped", options={"bits": 4, "rounding": "stochastic"}),
    "max_abs": dict(method="clipped", options={"bits": 4, "clip": "max_abs"}),
}
"""The same, where a step looks at numbers."""


@pytest.mark.parametrize("case", CASES)
def test_no_step_of_a_stack_mixes_devices(case, monkeypatch):
    """On the device without memory, which every machine has: nothing can be worked out there, but it can be asked for."""
    federation = Federation(on("cpu", **CASES[case]))
    far = torch.device("meta")
    simulation = dataclasses.replace(federation.simulation, device=far)
    clients = list(range(federation.experiment.clients))
    tasks, _ = federation._download(1, clients)
    members = vectorized._stacks(simulation, tasks)[0]
    seen = []
    step = vectorized.sgd
    back = lambda tensors, to: {n: torch.zeros(v.shape) if to == device.CPU else v.to(to) for n, v in tensors.items()}

    def spy(grad, start, steps, training, project, precondition, walk, descend, recorded):
        watch = lambda act: (
            lambda params, batch: seen.extend([batch.x, batch.y, *params.values()]) or act(params, batch)
        )
        whole = watch(descend) if descend else None
        return step(watch(grad), start, steps, training, project, precondition, walk, whole, recorded)

    def asked(kind: str, answer: object) -> None:
        """``kind()`` of a tensor without numbers."""
        plain = getattr(torch.Tensor, kind)
        monkeypatch.setattr(torch.Tensor, kind, lambda self: answer if self.is_meta else plain(self))

    monkeypatch.setattr(vectorized, "sgd", spy)
    monkeypatch.setattr(vectorized, "moved", back)
    plain = "method" not in CASES[case]
    if not plain:  # of zeros there are no codes to be sent
        sent = lambda self, clients, *rest: [ClientResult(client.id) for client in clients]
        monkeypatch.setattr(simulation.__class__, "send", sent)
    asked("tolist", [0.0] * len(members))
    asked("__int__", 2**8 - 1)  # planes of eight bits
    with OneDevice():
        results = vectorized._train(simulation, members, simulation.model)
    assert {value.device for value in seen} == {far}
    assert len(seen) > 2 * len(members[0][2])
    assert [result.client for result in results] == [client.id for client, _, _ in members]
    assert [result.refusal for result in results] == [None] * len(members)
    assert all(result.packet for result in results) == plain


@pytest.mark.skipif(not GPUS, reason="PyTorch has no GPU here")
@pytest.mark.parametrize("case", CASES | CLIPPED if "mps" not in GPUS else ["mlp", "vmap", "alone"])
def test_a_gpu_agrees_with_the_cpu_within_float_tolerance(case):
    """As engines do among each other: after quantization a rounded tie may move a whole step, so a share is compared."""
    changes = (CASES | CLIPPED)[case]
    here, there = Federation(on("cpu", **changes)), Federation(on(GPUS[0], **changes))
    first, second = here.step(), there.step()
    assert there.simulation.device.type == GPUS[0]
    assert second.loss == pytest.approx(first.loss, rel=1e-4)
    assert second.accuracy == pytest.approx(first.accuracy, abs=0.02)
    assert second.bytes_up == pytest.approx(first.bytes_up, rel=0.02)
    for name, value in here.server.weights.items():
        assert ((value - there.server.weights[name]).abs() > 1e-4).float().mean() < 0.01, name


@pytest.mark.skipif("cuda" not in GPUS, reason="PyTorch has no NVIDIA GPU here")
@pytest.mark.parametrize("case", CASES)
def test_recorded_steps_are_the_steps(case, monkeypatch):
    """Played again on a GPU, against taken one by one there: 24 and more of them, which amplify what rounding there is."""
    made = []
    tape = recorded._tape
    monkeypatch.setattr(recorded, "_tape", lambda *given: made.append(1) or tape(*given))
    run = lambda: Federation(on("cuda", **{**CASES[case], "batch_size": 60 if case == "alone" else 10})).step()
    played = run()
    assert made
    monkeypatch.setattr(vectorized, "recorder", lambda *given: None)
    taken = run()
    assert played.loss == pytest.approx(taken.loss, rel=1e-3)
    assert played.accuracy == pytest.approx(taken.accuracy, abs=0.03)


def test_each_kind_of_batch_has_a_recording_of_its_own_after_two_steps(monkeypatch):
    """Shapes, and how many clients still train; the batch that is recorded is played as well."""
    taken: list[Batch] = []
    played: list[Batch] = []
    made = []

    def tape(step, batch):
        made.append((batch.active, batch.x.shape[1]))
        return lambda given: played.append(given) or torch.tensor(2.0)

    monkeypatch.setattr(recorded, "_tape", tape)
    take = recorded.Recorded(lambda batch: taken.append(batch) or torch.tensor(1.0))
    one, short = (Batch(torch.zeros(2, n, 3), torch.zeros(2, n)) for n in (4, 3))
    last = dataclasses.replace(one, active=1)
    losses = [float(take(batch)) for batch in (one, short, one, one, last, one, short, last, short, last)]
    assert losses == [1, 1, 1, 2, 1, 2, 1, 1, 2, 2]
    assert made == [(None, 4), (None, 3), (1, 4)]
    assert (len(taken), len(played)) == (6, 4)


def test_steps_are_recorded_on_an_nvidia_gpu_if_they_are_many_and_look_at_no_number():
    plain = Objective()
    nvidia = torch.device("cuda")
    assert device.recorder(nvidia, plain, recorded.LEAST) is recorded.Recorded
    assert device.recorder(nvidia, plain, recorded.LEAST - 1) is None
    assert device.recorder(torch.device("mps"), plain, 1000) is device.recorder(device.CPU, plain, 1000) is None
    for looks in (FakeQuantize(()), MultiBit((), (4,), "mse"), PseudoNoise((), (4,), "mse")):
        assert device.recorder(nvidia, Objective(looks), 1000) is None
    assert device.recorder(nvidia, Objective(MultiBit((), (4,))), 1000) is recorded.Recorded
    assert device.recorder(nvidia, Objective(steps=IntegerSteps(())), 1000) is None

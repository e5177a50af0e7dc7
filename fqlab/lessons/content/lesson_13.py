"""Lesson 13: your method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fqlab.lessons.by_hand import by_hand
from fqlab.lessons.model import Exercise, Lesson, Mistake, Option, Prediction, Question

if TYPE_CHECKING:
    from fqlab.methods import ClientUpdate, Method, ReceivedUpdate, Server

SAMPLES = (10, 20, 70)


def _gain() -> float:
    """Points of accuracy between differences and weights at one bit, mean over the stored seeds."""
    from fqlab.studies.rivals import rows

    accuracy = {row.name: row.mean["accuracy"] for row in rows() if row.data == "digits"}
    return 100 * (accuracy["FedPAQ, 1 bit"] - accuracy["clipped, 1 bit"])


def upload(received: np.ndarray, trained: np.ndarray, residual: np.ndarray, step: float) -> np.ndarray:
    """What a client sends, and what it keeps: ``[2, n]``."""
    change = trained - received + residual
    sent = step * np.round(change / step)
    return np.stack([sent, change - sent])


def _weights_up(received: np.ndarray, trained: np.ndarray, residual: np.ndarray, step: float) -> np.ndarray:
    return upload(np.zeros_like(received), trained, residual, step)


def _forgetful(received: np.ndarray, trained: np.ndarray, residual: np.ndarray, step: float) -> np.ndarray:
    return upload(received, trained, np.zeros_like(residual), step)


def _thrown_away(received: np.ndarray, trained: np.ndarray, residual: np.ndarray, step: float) -> np.ndarray:
    sent, _ = upload(received, trained, residual, step)
    return np.stack([sent, np.zeros_like(sent)])


def _turned(received: np.ndarray, trained: np.ndarray, residual: np.ndarray, step: float) -> np.ndarray:
    sent, kept = upload(received, trained, residual, step)
    return np.stack([sent, -kept])


def aggregate(old: np.ndarray, sent: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """The server's next weights: the old ones plus the mean difference."""
    return old + samples @ sent / samples.sum()


def _from_nothing(old: np.ndarray, sent: np.ndarray, samples: np.ndarray) -> np.ndarray:
    return aggregate(np.zeros_like(old), sent, samples)


def _unweighed(old: np.ndarray, sent: np.ndarray, samples: np.ndarray) -> np.ndarray:
    return aggregate(old, sent, np.ones(len(sent)))


def _summed(old: np.ndarray, sent: np.ndarray, samples: np.ndarray) -> np.ndarray:
    return old + np.sum(sent, axis=0)


def _problem(library: Method) -> tuple[Server, list[ClientUpdate], Any]:
    """A server, the library's updates of three clients, and a function that runs anybody's upload for client k."""
    import torch

    from fqlab import seeds
    from fqlab.methods import Client, LocalProblem, Server, Spec
    from fqlab.training.objectives import Objective
    from fqlab.training.sgd import Training

    shapes = {"fc.weight": (2, 3), "fc.bias": (2,)}
    spec = Spec(tuple(shapes), ("fc.weight",), {"fc.weight": 6, "fc.bias": 2})
    old = {n: 1 + torch.rand(s, generator=seeds.torch_generator(0, n)) for n, s in shapes.items()}
    training = Training(1, 10, 0.1, 0.0, 0.0)

    def send(method: Method, k: int) -> ClientUpdate:
        def draw(purpose: str) -> torch.Generator:
            return seeds.torch_generator(0, purpose, 1, k)

        client = Client(k, 1, SAMPLES[k], spec, training, None, draw, lambda *_, **__: 0.0)
        values = {n: x + 0.02 * torch.randn(x.shape, generator=draw(n)) for n, x in old.items()}
        return method.upload(values, {}, LocalProblem(dict(old), {}, Objective()), client)

    return Server(spec, old, clients=3, samples=SAMPLES), [send(library, k) for k in range(3)], send


def _travelled(updates: list[ClientUpdate]) -> tuple[list[ReceivedUpdate], int]:
    """Updates after real packets, and the packets' bytes."""
    from fqlab import wire
    from fqlab.methods import ReceivedUpdate

    packets = [wire.pack(update.payload) for update in updates]
    received = [ReceivedUpdate(k, SAMPLES[k], wire.unpack(packet)) for k, packet in enumerate(packets)]
    return received, sum(map(len, packets))


def _interplay(answer: Any) -> dict[str, Any]:
    """A method's clients on the wire, and its server fed with the library's packets.

    ``near``: every number that is sent lies within one step of the client's change. ``light``: no packet is heavier than
    the library's. ``server``: the new weights that the server makes of three packets of the library's FedPAQ.
    """
    import torch

    from fqlab.errors import ConfigError, shown
    from fqlab.methods import Method
    from fqlab.methods.fedavg import FedAvg
    from fqlab.methods.fedpaq import FedPAQ

    method = answer() if isinstance(answer, type) and issubclass(answer, Method) else answer
    if not isinstance(method, Method):
        raise ConfigError(f"your answer is {shown(method)}, but should be your class: check('13-method', MyMethod).")
    server, library, send = _problem(FedPAQ(bits=1))
    theirs, allowed = _travelled(library)
    mine, size = _travelled([send(method, k) for k in range(3)])
    near = []
    for k, update in enumerate(mine):
        sent = update.payload.decode()
        trained = send(FedAvg(), k).payload.tensors
        change = {n: trained[n] - old for n, old in server.weights.items()}
        near += [bool(((sent[n] - x).abs() <= 2.001 * x.abs().max()).all()) for n, x in change.items()]
    new = method.aggregate(server, theirs).weights
    return {
        "near": float(all(near)),
        "light": float(size <= allowed),
        "server": torch.cat([new[n].flatten() for n in server.weights]),
    }


def _library(**options: Any) -> Method:
    from fqlab.methods.fedpaq import FedPAQ

    return FedPAQ(bits=1, **options)


def _weights() -> Method:
    """Weights up, and their mean as the new weights: the cell as it comes."""
    from fqlab.methods.clipped import Clipped

    return Clipped(bits=1, clip="max_abs", rounding="stochastic", averaging="size", qat=False)


def _crossed(client: Method, server: Method) -> Method:
    """One method's clients with another's server."""
    from fqlab.methods import Method

    class Crossed(Method):
        upload = staticmethod(client.upload)
        aggregate = staticmethod(server.aggregate)

    return Crossed()


CASES = (
    (np.array([1.0, -1.0, 0.5]), np.array([1.13, -1.22, 0.51]), np.zeros(3), 0.1),
    (np.array([0.3, 0.2, -0.7]), np.array([0.33, 0.24, -0.79]), np.array([0.04, -0.03, 0.02]), 0.1),
)
DIFFERENCES = np.array([[0.1, -0.2], [0.3, 0.0], [0.0, 0.1]])

METHOD = """from dataclasses import dataclass

from fqlab import wire
from fqlab.methods import ClientUpdate, Method
from fqlab.quant import Grid, max_abs, quantize


@dataclass(frozen=True)
class MyMethod(Method):
    bits: int = 1

    def upload(self, params, buffers, problem, client):
        sent = {n: params[n] - problem.params[n] for n in params}
        draw, grid = client.generator("upload"), Grid(self.bits)
        codes = {n: quantize(sent[n], max_abs(sent[n]), grid, "stochastic", draw) for n in client.spec.quantizable}
        return ClientUpdate(wire.Payload(codes, {n: sent[n] for n in sent if n not in codes}))

    def aggregate(self, server, updates):
        samples, came = [u.samples for u in updates], [u.payload.decode() for u in updates]
        mean = {n: self.average([sent[n] for sent in came], samples) for n in server.weights}
        return server.next({n: server.weights[n] + mean[n] for n in server.weights})


def answer():
    return MyMethod()"""

LESSON = Lesson(
    number="13",
    title="Your method",
    predictions=(
        Prediction(
            "13-differences",
            "Each client sends one bit a weight. Some send their weights, with the best clip we know. Others send what "
            "training changed. By how many points of accuracy do the differences win (negative if they lose)?",
            low=-50,
            high=80,
            result=_gain,
            close=5,
            unit="points",
            because="because a difference is ten to a hundred times smaller than a weight, and the error of one bit is as "
            "large as what it stands for.",
        ),
    ),
    exercises=(
        Exercise(
            id="13-upload",
            then="What is withheld today is sent tomorrow: over many rounds nothing is lost.",
            task="write f(received, trained, residual, step): add the residual to what training changed, quantize that to "
            "multiples of step, and return two rows: what is sent, and what is withheld.",
            cases=CASES,
            reference=upload,
            solution="import numpy as np\n\n\ndef upload(received, trained, residual, step):\n"
            "    change = trained - received + residual\n"
            "    sent = step * np.round(change / step)\n"
            "    return np.stack([sent, change - sent])",
            hints=(
                "What does the server know already, so that nobody needs to send it again?",
                "c = w − w₀ + r, sent = Δ·round(c/Δ), and the new residual is c − sent",
                "change = trained - received + residual",
            ),
            mistakes=(
                Mistake(_weights_up, "You quantize the weights: send what training changed, trained minus received."),
                Mistake(_forgetful, "The old residual is lost: add it to the change before you quantize."),
                Mistake(_thrown_away, "What is withheld is lost: keep change minus sent for the next round."),
                Mistake(_turned, "The residual has the wrong sign: it is what was wanted minus what was sent."),
            ),
        ),
        Exercise(
            id="13-aggregate",
            then="The server adds the mean change to what it already had, so it has to remember its own weights.",
            task="write f(old, sent, samples): the server's new weights, given the differences sent [clients, n] and each "
            "client's number of samples.",
            cases=(
                (np.array([1.0, 2.0]), DIFFERENCES, np.array([10.0, 20.0, 70.0])),
                (np.array([-0.5, 0.5]), DIFFERENCES[:2], np.array([30.0, 10.0])),
            ),
            reference=aggregate,
            solution="def aggregate(old, sent, samples):\n    return old + samples @ sent / samples.sum()",
            hints=(
                "The clients say how far to move. From where?",
                "w = w₀ + Σ n_k d_k / Σ n_k",
                "mean = samples @ sent / samples.sum()",
            ),
            mistakes=(
                Mistake(_from_nothing, "That is the mean difference alone: add it to the old weights."),
                Mistake(_unweighed, "Every client counts the same here: weigh by its number of samples."),
                Mistake(_summed, "You add up all differences: take their mean, or ten clients step ten times too far."),
            ),
        ),
        Exercise(
            id="13-method",
            then="Any module can hold this class: fqlab run --method package.module:MyMethod takes it from there.",
            task="change two lines of MyMethod, so that its clients send one-bit differences and its server adds their "
            "mean. Then hand in the class. Your clients talk through real packets, and your server hears the library's.",
            cases=((),),
            reference=_library,
            solution=METHOD,
            hints=(
                "Which weights did the client receive, and which does the server still hold?",
                "sent = w − w₀ at the client; w₀ + mean at the server",
                "sent = {n: params[n] - problem.params[n] for n in params}",
            ),
            mistakes=(
                Mistake(
                    _weights,
                    "This sends weights and takes their mean for the new weights, as the cell came: change the line of "
                    "each TODO.",
                ),
                Mistake(
                    lambda: _crossed(_library(), _weights()),
                    "Your clients are right, but your server forgets the old weights: add the mean to server.weights.",
                ),
                Mistake(
                    lambda: _crossed(_weights(), _library()),
                    "Your server is right, but your clients still quantize the weights: subtract problem.params.",
                ),
                Mistake(
                    lambda: _library(averaging="equal"),
                    "Every client counts the same here: weigh by the samples, self.average(values, samples).",
                ),
            ),
            judge=_interplay,
        ),
        by_hand(
            "13-residual",
            then="In three rounds 1 was sent for 0.9. Without the residual nothing would ever have been sent.",
            task="on paper: a client's weight changes by 0.3 in each of three rounds. It rounds to whole numbers and keeps the "
            "residual, which it adds to the next change. What is the residual after the third round?",
            value=-0.1,
            solution="3 * 0.3 - (0 + 1 + 0)",
            hints=(
                "What is sent in each round?",
                "sent = round(change + residual); residual ← change + residual − sent",
                "round 1: 0 is sent, 0.3 stays",
            ),
            mistakes={
                0.1: "The sign: what was sent, 1, is more than what was owed, 0.9.",
                0.3: "That is without memory: the last change alone.",
                0.9: "In the second round 0.6 becomes 1, and is sent.",
                -0.4: "That is after the second round. One more change of 0.3 comes.",
            },
        ),
    ),
    questions=(
        Question(
            "Why does one bit of a difference teach more than one bit of a weight?",
            (
                Option(
                    "The error is as large as the numbers that are sent",
                    "Yes: and differences are small, and shrink while training converges.",
                    True,
                ),
                Option(
                    "A difference needs fewer bytes",
                    "No: the packets are equal to the byte. What differs is the error in them.",
                ),
                Option("Stochastic rounding is unbiased", "It is, for weights too. Unbiased noise can still be huge."),
            ),
        ),
        Question(
            "What do differences ask for that weights do not?",
            (
                Option(
                    "Client and server must agree on the weights before",
                    "Yes: a difference is a step, and a step needs a place to start from.",
                    True,
                ),
                Option("A server with more memory", "It keeps the global model, which it had anyway."),
                Option("The same data everywhere", "No. Nothing here looks at the data."),
            ),
        ),
        Question(
            "Your method is lightest up. On up and down together it loses. What would you change?",
            (
                Option(
                    "The way down: quantize it too", "Yes: it is still 32 bit, and now nearly all of the bytes.", True
                ),
                Option("Fewer bits up", "There is none below one, and the way up is hardly there any more."),
                Option("Error feedback", "It helps biased quantizers on the way up. It saves no byte."),
            ),
        ),
    ),
)

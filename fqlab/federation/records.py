"""What a run leaves behind: one record a round, and their history."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from fqlab.federation.experiment import Experiment
from fqlab.tensors import Weights

__all__ = ["History", "Round"]


@dataclass(frozen=True)
class Round:
    """What one communication round did.

    Attributes:
        index: 1, 2, ...
        accuracy: of the global model on the test set, 0 to 1; NaN in rounds without evaluation.
        loss: mean training loss over the round's clients.
        mse: mean squared quantization error of an uploaded weight; 0 if nothing was quantized.
        bytes_up, bytes_down: bytes on the wire, all clients together.
        bytes_up_coded, bytes_down_coded: the same packets' bytes once entropy coded (zstandard level 1); NaN unless the
            experiment asks for ``entropy``.
        code_bits: bits of integer codes in all uploads, without scales, floats and headers.
        participants: clients that took part.
        left_out: ``"client 3: ..."`` for each one the guard refused.
        personal: mean accuracy of the clients' own models on their own labels; NaN where the method has none.
        moved: layer -> share of its weights whose code training changed, one a participant whose result came; empty
            where the method does not look.
        extras: further numbers of the method.
        seconds: wall time.
    """

    index: int
    accuracy: float
    loss: float
    mse: float
    bytes_up: int
    bytes_down: int
    bytes_up_coded: float
    bytes_down_coded: float
    code_bits: int
    participants: tuple[int, ...]
    left_out: tuple[str, ...] = ()
    personal: float = float("nan")
    moved: dict[str, tuple[float, ...]] = field(default_factory=dict)
    extras: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class History:
    """A finished run: its experiment, its rounds and the final global model."""

    experiment: Experiment
    rounds: tuple[Round, ...]
    weights: Weights

    @property
    def accuracy(self) -> float:
        """Test accuracy after the last round."""
        return self.rounds[-1].accuracy

    @property
    def bytes_up(self) -> int:
        """Bytes sent to the server in the whole run."""
        return sum(r.bytes_up for r in self.rounds)

    @property
    def bytes_down(self) -> int:
        """Bytes sent to the clients in the whole run."""
        return sum(r.bytes_down for r in self.rounds)

    def to_json(self) -> str:
        """Experiment and rounds as JSON; the weights stay out."""
        rounds = [{k: None if v != v else v for k, v in asdict(r).items()} for r in self.rounds]
        return json.dumps({"experiment": self.experiment.to_dict(), "rounds": rounds}, indent=1)

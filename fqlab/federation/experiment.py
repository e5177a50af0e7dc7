"""One experiment: everything that decides a result, as one frozen value that TOML can hold."""

from __future__ import annotations

import dataclasses
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fqlab import files, methods, partition
from fqlab.errors import ConfigError, boolean, in_range, one_of, shown
from fqlab.files import tomllib
from fqlab.training.sgd import Training

__all__ = ["Experiment", "ENGINES", "Settings"]

TABLES = ("options", "split", "reduce")
"""Fields of an experiment that are tables of settings."""
ENGINES = ("serial", "vectorized", "threads", "auto", "flower")
DEVICES = ("cpu", "auto", "cuda", "mps")
LONGEST_FILE = 2**20
"""Bytes of the largest TOML file that is read."""


class Settings(Mapping[str, Any]):
    """A table of settings that nobody can change: a copy, lists made tuples, NumPy's numbers made Python's.

    >>> Settings({"bits": [4, 2]}) == {"bits": (4, 2)}
    True
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {name: _fixed(value) for name, value in values.items()}

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(tuple(sorted(self._values.items(), key=lambda item: item[0])))

    def __repr__(self) -> str:
        return repr(self._values)

    def plain(self) -> dict[str, Any]:
        """A dictionary of one's own, for TOML and JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self._values.items()}


def _fixed(value: Any) -> Any:
    """``value`` as something that stays as it is."""
    if isinstance(value, (list, tuple)):
        return tuple(_fixed(part) for part in value)
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return value.item()
    return Settings(value) if isinstance(value, Mapping) else value


@dataclass(frozen=True)
class Experiment:
    """A federated training run.

    Args:
        method: name of the method; ``options`` are its settings. Method, data set and model may also be the name of
            what was registered or installed, or ``package.module:Class``.
        dataset: digits, mnist, fashion_mnist, cifar10 or lidar.
        model: mlp, clipped_cnn, lenet5, digits_cnn, robust_mlp, resnet8, resnet20, resnet20_bn, lottery_mnist,
            lottery_cifar, lottery_emnist or pointnet.
        partition: how samples are dealt to clients: iid, dirichlet, n_class, by_writer, quantity_skew,
            class_balanced, by_label or dirichlet_capped; ``split`` are its settings, such as ``{"alpha": 0.1}``.
        clients: number of clients.
        participants: clients that take part in a round, drawn anew each round; 0 for all.
        rounds: communication rounds.
        epochs: passes of local SGD over a client's samples.
        batch_size: samples of one step of local SGD.
        drop_last: leave out the batch at the end of an epoch that is not full (FedMPQ's public code does); a client
            with less than one batch then does not train.
        lr, momentum, weight_decay: of local SGD.
        lr_decay: factor on the learning rate after every round.
        validation: share of each client's samples it holds back for validation, in [0, 1).
        evaluate_every: rounds between two evaluations; the last round is always evaluated.
        coding: ``"fixed"`` or ``"zstd"`` packets.
        entropy: also find out what every packet would weigh entropy-coded (``bytes_up_coded``), which takes time.
        seed: of every random draw.
        engine: where clients run: ``"serial"``, ``"vectorized"`` (stacked), ``"threads"``, ``"auto"``, which measures a
            step of each of these and takes the quickest, or ``"flower"``, on machines of their own.
        workers: threads that clients, stacks and test images are shared among; with ``"flower"`` the nodes that clients
            live on.
        device: where stacked clients are trained: ``"cpu"``, ``"cuda"``, ``"mps"``, or ``"auto"``, which takes a GPU if
            PyTorch has one. Only for engine ``"vectorized"``, and not for FedMPQ's and AQFL's whole magnitudes;
            ``"mps"`` only for methods that train the weights as they are. Random draws are the same everywhere.
        reduce: the data set made smaller, settings of :func:`fqlab.data.reduce.reduced`:
            ``{"side": 14, "train": 4000, "test": 1000}``.

    Raises:
        ConfigError: for a value that is not allowed.
    """

    method: str = "fedavg"
    dataset: str = "digits"
    model: str = "mlp"
    partition: str = "iid"
    clients: int = 10
    participants: int = 0
    rounds: int = 30
    epochs: int = 1
    batch_size: int = 10
    drop_last: bool = False
    lr: float = 0.1
    momentum: float = 0.0
    weight_decay: float = 0.0
    lr_decay: float = 1.0
    validation: float = 0.0
    evaluate_every: int = 1
    coding: str = "fixed"
    entropy: bool = False
    seed: int = 0
    engine: str = "serial"
    workers: int = 2
    device: str = "cpu"
    options: Mapping[str, Any] = field(default_factory=dict)
    split: Mapping[str, Any] = field(default_factory=dict)
    reduce: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for field_ in dataclasses.fields(self):
            value = getattr(self, field_.name)
            if field_.name in TABLES or not isinstance(value, (list, tuple, Mapping)):
                object.__setattr__(self, field_.name, _fixed(value))
        in_range("clients", self.clients, 1, integer=True)
        in_range("participants", self.participants, 0, self.clients, integer=True)
        for name in ("rounds", "epochs", "batch_size", "evaluate_every"):
            in_range(name, getattr(self, name), 1, integer=True)
        in_range("workers", self.workers, 1, 1024, integer=True)
        in_range("seed", self.seed, 0, 2**63 - 1, integer=True)
        in_range("lr", self.lr, 0, 1000, open_low=True)
        in_range("lr_decay", self.lr_decay, 0, 1, open_low=True)
        in_range("momentum", self.momentum, 0, 1)
        in_range("weight_decay", self.weight_decay, 0, 1000)
        in_range("validation", self.validation, 0, 0.9)
        boolean("entropy", self.entropy)
        boolean("drop_last", self.drop_last)
        one_of("coding", self.coding, ("fixed", "zstd"))
        one_of("engine", self.engine, ENGINES)
        if one_of("device", self.device, DEVICES) in ("cuda", "mps"):
            one_of(f"engine (with device {shown(self.device)})", self.engine, ("vectorized", "auto"))
        for name in TABLES:
            if not isinstance(getattr(self, name), Settings):
                raise ConfigError(f"{name} is {shown(getattr(self, name))}, but must be a table of settings by name.")
        partition.check_settings(self.partition, self.split)
        for key, value in self.reduce.items():
            in_range(one_of("reduce key", key, ("side", "train", "test")), value, 0, integer=True)
        methods.make(self.method, self.options).check(self)

    def training(self, round_index: int) -> Training:
        """Local optimiser settings in round 1, 2, ..."""
        lr = self.lr * self.lr_decay ** (round_index - 1)
        return Training(self.epochs, self.batch_size, lr, self.momentum, self.weight_decay)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for TOML and JSON."""
        values = {field_.name: getattr(self, field_.name) for field_ in dataclasses.fields(self)}
        return values | {name: Settings(values[name]).plain() for name in TABLES}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Experiment:
        """Inverse of :meth:`to_dict`; missing keys take their defaults.

        Raises:
            ConfigError: for an unknown key, or something else than a table.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(f"experiment is {shown(values)}, but must be a table of settings by name.")
        names = [f.name for f in dataclasses.fields(cls)]
        for key in values:
            if key not in names:
                raise ConfigError(f"key {shown(key)} of the experiment is unknown; allowed: {', '.join(names)}.")
        return cls(**values)

    def to_toml(self) -> str:
        """The experiment as TOML text."""
        import tomli_w

        return tomli_w.dumps(self.to_dict())

    @classmethod
    def from_toml(cls, source: str | Path) -> Experiment:
        """Read an experiment from a ``.toml`` file (a ``Path``) or from TOML text (a ``str``).

        Raises:
            ConfigError: if the file is missing, is not TOML in UTF-8 of at most 1 MiB, or holds an unknown key.
        """
        if not isinstance(source, (str, Path)):
            raise ConfigError(f"config is {shown(source)}, but must be a Path or TOML text.")
        try:
            data = files.read_bytes(source, LONGEST_FILE) if isinstance(source, Path) else source.encode()
            values = tomllib.loads(data.removeprefix(BOM_UTF8).decode())
        except OSError as error:
            message = f"config is {shown(str(source))}, but no readable file is there ({error.strerror})."
            raise ConfigError(message) from None
        except (ValueError, RecursionError) as error:  # no TOML or UTF-8, 5000 digits, a thousand brackets
            raise ConfigError(f"config is {shown(str(source))}, but must be valid TOML: {str(error)[:200]}.") from None
        return cls.from_dict(values)

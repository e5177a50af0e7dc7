"""Who holds which training samples: label skew, size skew, natural owners, and the splits of two papers.

Every split is a list of sorted int64 index arrays, one per client, disjoint and none empty, and depends only
on its arguments. Importing this module loads no PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fqlab.errors import ConfigError, boolean, in_range, one_of, shown
from fqlab.registry import keyword_defaults

if TYPE_CHECKING:
    from fqlab.data import Dataset

__all__ = ["NAMES", "USES", "check_settings", "label_counts", "personal_test", "settings", "split"]

USES: dict[str, tuple[str, ...]] = {
    "iid": (),
    "dirichlet": ("alpha",),
    "dirichlet_capped": ("alpha",),
    "n_class": ("classes_per_client", "samples_per_class", "balance", "distinct"),
    "by_writer": (),
    "quantity_skew": ("alpha",),
    "class_balanced": (),
    "by_label": ("holds",),
}
"""The settings that each way of sharing uses."""
NAMES = tuple(USES)

Parts = list[np.ndarray]
MAX_REDRAWS = 1000
"""Draws of ``dirichlet_capped`` before it gives up."""


def settings() -> dict[str, Any]:
    """The settings that :func:`split` takes, with their defaults."""
    return keyword_defaults(split)


def check_settings(name: str, values: Mapping[str, Any]) -> None:
    """Refuse settings that ``name`` does not use: they would change nothing, silently.

    Raises:
        ConfigError: for an unknown partition, an unknown setting, or one that belongs to another partition.
    """
    one_of("partition", name, NAMES)
    for key, value in values.items():
        one_of("split key", key, tuple(settings()))
        if key not in USES[name]:
            owners = " or ".join(repr(other) for other, keys in USES.items() if key in keys)
            raise ConfigError(f"{key} is {shown(value)}, but partition {shown(name)} does not use it; choose {owners}.")
        if isinstance(settings()[key], bool):
            boolean(key, value)


def split(
    name: str,
    dataset: Dataset,
    clients: int,
    seed: int,
    *,
    alpha: float = 0.5,
    classes_per_client: int = 2,
    samples_per_class: int = 20,
    balance: float = 1.0,
    distinct: bool = False,
    holds: str = "",
) -> Parts:
    """Share the training samples among clients.

    ====================  ==========================================================================  ======
    name                  rule                                                                        covers
    ====================  ==========================================================================  ======
    ``iid``               a random split into equal sizes (to within one sample)                      all
    ``dirichlet``         label skew: each class is cut by its own Dirichlet(``alpha``) draw over     all
                          clients (Yurochkin et al. 2019); an empty client then takes one random
                          sample from the largest
    ``dirichlet_capped``  the same, but a client with its share n/clients already gets nothing of     all
                          further labels, and all is drawn anew until everybody has a tenth of it
                          (FedMPQ's code)
    ``n_class``           LotteryFL (Li et al. 2020): each client draws ``classes_per_client``        part
                          shards of ``samples_per_class`` images of one label; every shard after
                          the first is cut to the fraction ``balance``
    ``by_writer``         whole ``dataset.groups``, shuffled and dealt in equal numbers; with as      all
                          many clients as groups, client i is the i-th group
    ``quantity_skew``     size skew: one sample each, the others go to client k with probability      all
                          p_k, p drawn once from Dirichlet(``alpha``)
    ``class_balanced``    the clipped-quantization code: floor(n / (classes * clients)) samples of    part
                          every label, in data set order, client 0 first, until a label runs out
    ====================  ==========================================================================  ======

    Args:
        name: one of :data:`NAMES`.
        dataset: only ``train_y`` and ``groups`` are used.
        clients: how many, from 1 to the number of samples (of groups, for ``by_writer``).
        seed: whole number from 0; ``class_balanced`` ignores it.
        alpha: Dirichlet concentration, above 0; small is skewed (both ``dirichlet``, ``quantity_skew``).
        classes_per_client, samples_per_class: number and size of LotteryFL's shards (``n_class``).
        balance: fraction in (0, 1] of every shard after the first, at least one sample stays (``n_class``).
        holds: label numbers below 10 by client, ``"012-0123456789"``: client 0 holds 0, 1 and 2; the last entry also
            stands for all clients after it; empty for all labels everywhere (``by_label``).
        distinct: forbid two shards of the same label; the paper's code allows them, and about one client in
            ten then holds a single class (``n_class``).

    Raises:
        ConfigError: for an argument out of range, data without groups, or more shards than the data give.
    """
    one_of("partition", name, NAMES)
    labels = np.asarray(dataset.train_y)
    in_range("clients", clients, 1, len(labels), integer=True)
    in_range("seed", seed, 0, integer=True)
    in_range("alpha", alpha, 0, 1e6, open_low=True)
    draw = np.random.default_rng(np.random.SeedSequence([seed, *name.encode()]))
    match name:
        case "iid":
            parts = np.array_split(draw.permutation(len(labels)), clients)
        case "dirichlet":
            parts = _dirichlet(labels, clients, alpha, draw)
        case "dirichlet_capped":
            parts = _dirichlet_capped(labels, clients, alpha, draw)
        case "n_class":
            parts = _n_class(labels, clients, classes_per_client, samples_per_class, balance, distinct, draw)
        case "by_writer":
            parts = _by_writer(dataset, clients, draw)
        case "quantity_skew":
            parts = _quantity_skew(len(labels), clients, alpha, draw)
        case "by_label":
            parts = _by_label(labels, clients, holds, draw)
        case _:
            parts = _class_balanced(labels, clients)
    return [np.sort(part).astype(np.int64) for part in parts]


def personal_test(dataset: Dataset, parts: Parts, *, by: str = "labels") -> Parts:
    """For each client all test samples of the labels it trains on, or of the owners (towns) it holds.

    By labels is LotteryFL's personal test set. The paper's code takes slices of 1000 sorted MNIST images
    instead, which do not match the class boundaries.

    Args:
        dataset: ``train_y`` and ``test_y`` are used, or ``groups`` and ``test_groups``.
        parts: what :func:`split` gave.
        by: ``"labels"``, or ``"groups"``: the test samples of the same towns.

    Returns:
        One sorted int64 index array into the test set per client.

    Raises:
        ConfigError: if ``by`` is neither, or the data have no groups in both sets.
    """
    one_of("by", by, ("labels", "groups"))
    train, test = dataset.train_y, dataset.test_y
    if by == "groups":
        train, test = dataset.groups, dataset.test_groups
    if train is None or test is None:
        raise ConfigError(f"by is 'groups', but dataset {shown(dataset.name)} does not have them in both sets.")
    train, test = np.asarray(train), np.asarray(test)
    return [np.flatnonzero(np.isin(test, train[part])) for part in parts]


def label_counts(dataset: Dataset, parts: Parts) -> np.ndarray:
    """How many samples of each class each client holds: int64 ``[clients, classes]``."""
    labels = np.asarray(dataset.train_y)
    return np.stack([np.bincount(labels[part], minlength=len(dataset.classes)) for part in parts])


def _dirichlet(labels: np.ndarray, clients: int, alpha: float, draw: np.random.Generator) -> Parts:
    pieces = []
    for label in np.unique(labels):
        index = draw.permutation(np.flatnonzero(labels == label))
        ends = np.cumsum(draw.dirichlet(np.full(clients, alpha)))[:-1]
        pieces.append(np.split(index, np.rint(ends * len(index)).astype(int)))
    parts = [np.concatenate(shares) for shares in zip(*pieces, strict=True)]
    for client in range(clients):
        if len(parts[client]) == 0:
            rich = max(range(clients), key=lambda other: len(parts[other]))
            gift = draw.integers(len(parts[rich]))
            parts[client] = parts[rich][[gift]]
            parts[rich] = np.delete(parts[rich], gift)
    return parts


def _dirichlet_capped(labels: np.ndarray, clients: int, alpha: float, draw: np.random.Generator) -> Parts:
    for _ in range(MAX_REDRAWS):
        parts = _capped_once(labels, clients, alpha, draw)
        if min(map(len, parts)) >= max(1, len(labels) / clients / 10):
            return parts
    raise ConfigError(f"alpha is {alpha:g}, but so skewed that {MAX_REDRAWS} draws left some client without its tenth.")


def _capped_once(labels: np.ndarray, clients: int, alpha: float, draw: np.random.Generator) -> Parts:
    """One draw; an empty one, which is refused, where all that is drawn falls to clients that may get no more."""
    shares: list[Parts] = [[np.empty(0, dtype=np.int64)] for _ in range(clients)]
    for row in _rows(labels):
        index = draw.permutation(row)
        may_get = [sum(map(len, pieces)) < len(labels) / clients for pieces in shares]
        share = draw.dirichlet(np.full(clients, alpha)) * may_get
        if not share.sum() > 0:
            return [np.empty(0)]
        ends = np.rint(np.cumsum(share / share.sum())[:-1] * len(index)).astype(int)
        for pieces, piece in zip(shares, np.split(index, ends), strict=True):
            pieces.append(piece)
    return [np.concatenate(pieces) for pieces in shares]


def _quantity_skew(samples: int, clients: int, alpha: float, draw: np.random.Generator) -> Parts:
    counts = 1 + draw.multinomial(samples - clients, draw.dirichlet(np.full(clients, alpha)))
    return np.split(draw.permutation(samples), np.cumsum(counts)[:-1])


def _by_writer(dataset: Dataset, clients: int, draw: np.random.Generator) -> Parts:
    if dataset.groups is None:
        raise ConfigError(f"partition 'by_writer' needs owners (groups), but dataset {shown(dataset.name)} has none.")
    groups = np.asarray(dataset.groups)
    owners = np.unique(groups)
    in_range("clients", clients, 1, len(owners), integer=True)
    order = owners if clients == len(owners) else draw.permutation(owners)
    return [np.flatnonzero(np.isin(groups, writers)) for writers in np.array_split(order, clients)]


def _class_balanced(labels: np.ndarray, clients: int) -> Parts:
    rows = _rows(labels)
    in_range("clients", clients, 1, len(labels) // len(rows), integer=True)
    quota = len(labels) // (len(rows) * clients)
    return [np.concatenate([row[k * quota : (k + 1) * quota] for row in rows]) for k in range(clients)]


def _by_label(labels: np.ndarray, clients: int, holds: str, draw: np.random.Generator) -> Parts:
    entries = holds.split("-") if isinstance(holds, str) else [shown(holds)]
    entries = entries if holds else []
    if not all(entry.isascii() and entry.isdigit() for entry in entries):
        raise ConfigError(f"holds is {shown(holds)}, but must be label numbers by client such as '012-0123456789'.")
    shares: list[Parts] = [[] for _ in range(clients)]
    for label in np.unique(labels):
        holders = [k for k in range(clients) if not entries or str(label) in entries[min(k, len(entries) - 1)]]
        pieces = np.array_split(draw.permutation(np.flatnonzero(labels == label)), max(1, len(holders)))
        for k, piece in zip(holders, pieces, strict=False):
            shares[k].append(piece)
    parts = [np.concatenate(pieces) if pieces else np.empty(0, dtype=np.int64) for pieces in shares]
    empty = next((k for k, part in enumerate(parts) if not len(part)), None)
    if empty is not None:
        raise ConfigError(f"holds is {shown(holds)}, but leaves client {empty} without samples.")
    return parts


def _n_class(
    labels: np.ndarray,
    clients: int,
    n: int,
    size: int,
    balance: float,
    distinct: bool,
    draw: np.random.Generator,
) -> Parts:
    in_range("classes_per_client", n, 1, integer=True)
    in_range("samples_per_class", size, 1, integer=True)
    in_range("balance", balance, 0, 1, open_low=True)
    shards = [row[: len(row) // size * size].reshape(-1, min(size, len(labels))) for row in _rows(labels)]
    left = np.array([len(rows) for rows in shards])
    possible = int(np.minimum(left, clients).sum() if distinct else left.sum())
    if clients * n > possible:
        kind = "shards of different labels" if distinct else "shards"
        raise ConfigError(
            f"clients is {clients} with classes_per_client {n}, which takes {clients * n} {kind} of {size} "
            f"images, but the data give at most {possible}."
        )
    chosen = _distinct_labels(left, clients, n, draw) if distinct else _any_labels(left, clients, n, draw)
    stacks = [iter(draw.permutation(rows)) for rows in shards]
    rest = max(1, int(balance * size))
    return [
        np.concatenate([next(stacks[label])[: rest if k else size] for k, label in enumerate(wanted)])
        for wanted in chosen
    ]


def _rows(labels: np.ndarray) -> Parts:
    """The indices of each label, in data set order."""
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]


def _any_labels(left: np.ndarray, clients: int, n: int, draw: np.random.Generator) -> np.ndarray:
    """The label of each shard when every client draws ``n`` of the remaining shards, all equally likely."""
    return draw.permutation(np.repeat(np.arange(len(left)), left))[: clients * n].reshape(clients, n)


def _distinct_labels(left: np.ndarray, clients: int, n: int, draw: np.random.Generator) -> list[np.ndarray]:
    """``n`` different labels for each client, label by label as likely as it has shards left.

    K clients can still be served exactly when ``sum(min(left, K)) >= n K`` (Gale and Ryser); a draw that
    breaks this for the clients to come is replaced by the ``n`` fullest labels, which never does.
    """
    left = left.copy()
    chosen = []
    for waiting in range(clients - 1, -1, -1):
        weight = left / left.sum()
        labels = draw.choice(len(left), n, replace=False, p=weight)
        after = left - np.isin(np.arange(len(left)), labels)
        if np.minimum(after, waiting).sum() < n * waiting:
            labels = draw.permutation(np.argsort(-left, kind="stable")[:n])
        left[labels] -= 1
        chosen.append(labels)
    return chosen

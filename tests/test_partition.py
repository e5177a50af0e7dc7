"""Splits: properties that hold for any labels, and counts worked out by hand from the papers' rules."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from fqlab import partition
from fqlab.errors import ConfigError
from fqlab.partition import label_counts, personal_test, split

COVERING = ("iid", "dirichlet", "by_writer", "quantity_skew")


def toy(labels, groups=None, test=None, test_groups=None) -> SimpleNamespace:
    tensor = lambda values: None if values is None else torch.tensor(values)
    classes = tuple(map(str, range(max(labels) + 1)))
    return SimpleNamespace(
        name="toy", train_y=tensor(labels), test_y=tensor(test), groups=tensor(groups),
        test_groups=tensor(test_groups), classes=classes,
    )  # fmt: skip


def even(classes: int, each: int) -> SimpleNamespace:
    """``each`` samples of every class, the classes taking turns."""
    return toy([k % classes for k in range(classes * each)])


def check(parts: list[np.ndarray], clients: int, samples: int) -> np.ndarray:
    """Sorted, disjoint, none empty, in range."""
    assert len(parts) == clients
    for part in parts:
        assert part.dtype == np.int64
        assert len(part) > 0
        assert (np.diff(part) > 0).all()
    together = np.concatenate(parts)
    assert len(np.unique(together)) == len(together)
    assert together.min() >= 0
    assert together.max() < samples
    return together


@given(
    name=st.sampled_from(COVERING),
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=60),
    share=st.floats(0, 1),
    alpha=st.sampled_from([1e-12, 0.01, 0.5, 100.0, 1e6]),
    seed=st.integers(0, 2**63),
)
def test_every_sample_has_exactly_one_owner(name, labels, share, alpha, seed):
    owners = [k // 2 for k in range(len(labels))]
    most = len(set(owners)) if name == "by_writer" else len(labels)
    clients = max(1, round(share * most))
    dataset = toy(labels, owners)
    parts = split(name, dataset, clients, seed, alpha=alpha)
    assert len(check(parts, clients, len(labels))) == len(labels)
    again = split(name, dataset, clients, seed, alpha=alpha)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))


@given(seed=st.integers(0, 10**6), alpha=st.sampled_from([0.3, 0.5, 1.0, 100.0]))
def test_who_has_its_share_gets_no_further_labels(seed, alpha):
    """FedMPQ's code, read from the counts label by label."""
    dataset = even(10, 100)
    parts = split("dirichlet_capped", dataset, 10, seed, alpha=alpha)
    assert len(check(parts, 10, 1000)) == 1000
    counts = label_counts(dataset, parts)
    before = np.cumsum(counts, axis=1) - counts
    assert not counts[before >= 100].any()
    assert counts.sum(1).min() >= 10


def test_a_split_too_skewed_for_everybody_to_get_a_tenth():
    with pytest.raises(ConfigError, match="alpha is 0.001, but so skewed"):
        split("dirichlet_capped", even(2, 20), 20, 0, alpha=0.001)


@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=80),
    clients=st.integers(1, 6),
    n=st.integers(1, 4),
    size=st.integers(1, 5),
    balance=st.sampled_from([0.01, 0.25, 0.5, 1.0]),
    distinct=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_shards_have_one_label_each_and_the_asked_sizes(labels, clients, n, size, balance, distinct, seed):
    left = np.bincount(labels) // size
    possible = np.minimum(left, clients).sum() if distinct else left.sum()
    assume(clients <= len(labels))
    dataset = toy(labels)
    options = {"classes_per_client": n, "samples_per_class": size, "balance": balance, "distinct": distinct}
    if clients * n > possible:
        with pytest.raises(ConfigError, match=f"but the data give at most {possible}"):
            split("n_class", dataset, clients, seed, **options)
        return
    parts = split("n_class", dataset, clients, seed, **options)
    check(parts, clients, len(labels))
    rest = max(1, int(size * balance))
    for counts in label_counts(dataset, parts):
        assert counts.sum() == size + (n - 1) * rest
        if distinct:
            assert sorted(counts[counts > 0]) == sorted([size] + [rest] * (n - 1))


def test_distinct_shards_are_found_even_when_every_shard_is_needed():
    """Ten clients, five labels of four shards: 20 shards for 20 places; an unlucky draw would strand."""
    for seed in range(50):
        parts = split("n_class", even(5, 12), 10, seed, samples_per_class=3, distinct=True)
        assert (np.count_nonzero(label_counts(even(5, 12), parts), axis=1) == 2).all()


def test_about_one_client_in_ten_of_the_paper_holds_a_single_class():
    """LotteryFL on CIFAR-10: 2500 shards of 20, 400 clients with 2 each; 249/2499 of them get two alike."""
    dataset = even(10, 5000)
    single = [
        np.mean(np.count_nonzero(label_counts(dataset, split("n_class", dataset, 400, seed)), axis=1) == 1)
        for seed in range(10)
    ]
    spread = np.sqrt(0.0996 * 0.9004 / 4000)
    assert abs(np.mean(single) - 249 / 2499) < 4 * spread


@pytest.mark.parametrize("balance, rest", [(1.0, 20), (0.75, 15), (0.5, 10), (0.25, 5)])
def test_unbalanced_shards_have_the_papers_sizes(balance, rest):
    dataset = even(10, 100)
    counts = label_counts(dataset, split("n_class", dataset, 20, 0, balance=balance, distinct=True))
    assert [sorted(row[row > 0].tolist()) for row in counts] == [sorted([20, rest])] * 20


def test_class_balanced_runs_out_as_on_mnist():
    """MNIST's class sizes and 30 clients: 200 a class; clients 27-29 get what is left (1821, 1800, 1241)."""
    sizes = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(10), sizes))
    dataset = toy(labels.tolist())
    parts = split("class_balanced", dataset, 30, 0)
    assert len(check(parts, 30, 60000)) == 58862
    assert [len(part) for part in parts] == [2000] * 27 + [1821, 1800, 1241]
    counts = label_counts(dataset, parts)
    assert counts[27:, 5].tolist() == [21, 0, 0]
    first = np.flatnonzero(labels == 3)
    np.testing.assert_array_equal(parts[1][labels[parts[1]] == 3], first[200:400])


def test_class_balanced_on_cifar_gives_166_of_each_class():
    dataset = even(10, 5000)
    assert (label_counts(dataset, split("class_balanced", dataset, 30, 0)) == 166).all()


@given(st.integers(1, 40), st.integers(0, 99))
def test_iid_parts_differ_by_one_sample(clients, seed):
    sizes = [len(part) for part in split("iid", even(4, 10), clients, seed)]
    assert max(sizes) - min(sizes) <= 1


def test_dirichlet_shares_have_the_moments_of_the_distribution():
    """Share of a class at a client: mean 1/K and variance (1/K)(1 - 1/K)/(K alpha + 1)."""
    clients = 5
    alpha = 0.5
    each = 1000
    dataset = even(10, each)
    shares = np.concatenate([
        label_counts(dataset, split("dirichlet", dataset, clients, seed, alpha=alpha)).ravel() / each
        for seed in range(60)
    ])  # fmt: skip
    variance = (1 / clients) * (1 - 1 / clients) / (clients * alpha + 1)
    assert shares.mean() == pytest.approx(1 / clients)
    assert shares.var() == pytest.approx(variance, rel=0.12)


def test_small_alpha_skews_labels_or_sizes_and_large_alpha_does_not():
    dataset = even(10, 100)
    spread = lambda name, alpha: np.mean([
        label_counts(dataset, split(name, dataset, 10, seed, alpha=alpha)).std(axis=0).mean()
        for seed in range(5)
    ])  # fmt: skip
    for name in ("dirichlet", "quantity_skew"):
        assert spread(name, 0.05) > 3 * spread(name, 1000.0)


def test_a_starving_client_gets_one_sample_from_the_largest():
    sizes = sorted(len(part) for part in split("dirichlet", even(1, 30), 5, 0, alpha=1e-12))
    assert sizes == [1, 1, 1, 1, 26]


def test_quantity_skew_leaves_the_labels_alone():
    dataset = even(2, 2000)
    parts = split("quantity_skew", dataset, 4, 1, alpha=1.0)
    for counts in label_counts(dataset, parts):
        n = counts.sum()
        assert abs(counts[0] - n / 2) < 4 * np.sqrt(n) / 2 + 1


@given(st.lists(st.integers(0, 9), min_size=1, max_size=50), st.integers(1, 10), st.integers(0, 99))
def test_no_writer_is_shared(groups, clients, seed):
    assume(clients <= len(set(groups)))
    parts = split("by_writer", toy([0] * len(groups), groups), clients, seed)
    owned = [set(np.array(groups)[part]) for part in parts]
    assert sum(map(len, owned)) == len(set.union(*owned)) == len(set(groups))
    assert max(map(len, owned)) - min(map(len, owned)) <= 1


def test_with_a_client_for_every_group_client_i_is_group_i():
    parts = split("by_writer", toy([0] * 6, [30, 10, 20, 10, 30, 20]), 3, 5)
    assert [part.tolist() for part in parts] == [[1, 3], [2, 5], [0, 4]]


def test_by_label_gives_each_client_the_labels_it_may_hold_and_cuts_them_evenly():
    dataset = even(4, 12)
    parts = split("by_label", dataset, 4, 0, holds="013-0123")
    check(parts, 4, 48)
    assert label_counts(dataset, parts).tolist() == [[3, 3, 0, 3]] + 3 * [[3, 3, 4, 3]]
    everywhere = split("by_label", dataset, 4, 0)
    assert label_counts(dataset, everywhere).tolist() == 4 * [[3, 3, 3, 3]]
    assert label_counts(dataset, split("by_label", dataset, 2, 0, holds="0-1")).tolist() == [
        [12, 0, 0, 0],
        [0, 12, 0, 0],
    ]


@pytest.mark.parametrize("name", [name for name in partition.NAMES if name != "class_balanced"])
def test_another_seed_is_another_split(name):
    dataset = even(5, 40)
    dataset.groups = torch.arange(200) // 4
    first, second = (split(name, dataset, 5, seed, samples_per_class=5) for seed in (0, 1))
    assert any(not np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_no_split_touches_the_global_generator():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    dataset = even(5, 40)
    dataset.groups = torch.arange(200) // 4
    for name in partition.NAMES:
        split(name, dataset, 5, 0, samples_per_class=5)
    np.testing.assert_array_equal(before, np.random.get_state()[1])


def test_personal_test_set_follows_labels_not_positions():
    dataset = toy([0, 0, 1, 2], test=[2, 1, 0, 1, 0, 2], groups=[7, 8, 8, 9], test_groups=[9, 9, 8, 7, 8, 7])
    parts = [np.array([0, 1]), np.array([2, 3])]
    labels, groups = (personal_test(dataset, parts, by=by) for by in ("labels", "groups"))
    assert [part.tolist() for part in labels] == [[2, 4], [0, 1, 3, 5]]
    assert [part.tolist() for part in groups] == [[2, 3, 4, 5], [0, 1, 2, 4]]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"name": "idd"}, "partition is 'idd', but must be one of iid, dirichlet"),
        ({"clients": 0}, "clients is 0, but must be a whole number from 1 to 20"),
        ({"clients": 21}, "clients is 21, but must be a whole number from 1 to 20"),
        ({"clients": 2.0}, "clients is 2.0"),
        ({"seed": -1}, "seed is -1"),
        ({"alpha": 0.0}, "alpha is 0.0, but must be a number above 0"),
        ({"alpha": -0.5}, "alpha is -0.5"),
        ({"alpha": float("nan")}, "alpha is nan"),
        ({"alpha": float("inf")}, "alpha is inf"),
        ({"name": "by_label", "holds": "01-x"}, "holds is '01-x', but must be label numbers by client"),
        ({"name": "by_label", "holds": "0-9"}, "holds is '0-9', but leaves client 1 without samples"),
        ({"name": "n_class", "classes_per_client": 0}, "classes_per_client is 0"),
        ({"name": "n_class", "samples_per_class": 0}, "samples_per_class is 0"),
        ({"name": "n_class", "balance": 0.0}, "balance is 0.0, but must be a number above 0 and at most 1"),
        ({"name": "n_class", "balance": 1.5}, "balance is 1.5"),
        ({"name": "n_class", "samples_per_class": 2, "clients": 6}, "takes 12 shards of 2 images.*at most 8"),
        ({"name": "n_class", "samples_per_class": 1, "classes_per_client": 5, "distinct": True}, "at most 8"),
        ({"name": "by_writer"}, "needs owners .groups., but dataset 'toy' has none"),
        ({"name": "class_balanced", "clients": 6}, "clients is 6, but must be a whole number from 1 to 5"),
    ],
)
def test_bad_arguments_get_one_sentence(change, message):
    options = {"name": "iid", "clients": 2, "seed": 0, **change}
    with pytest.raises(ConfigError, match=message):
        split(options.pop("name"), even(4, 5), options.pop("clients"), options.pop("seed"), **options)


def test_more_clients_than_writers():
    with pytest.raises(ConfigError, match="clients is 3, but must be a whole number from 1 to 2"):
        split("by_writer", toy([0, 0, 0, 1], [5, 5, 6, 6]), 3, 0)


@given(st.lists(st.integers(0, 4), min_size=5, max_size=60), st.integers(1, 12))
def test_class_balanced_gives_every_client_something(labels, clients):
    quota = len(labels) // (len(set(labels)) * clients)
    assume(quota >= 1)
    dataset = toy(labels)
    parts = split("class_balanced", dataset, clients, 0)
    check(parts, clients, len(labels))
    assert label_counts(dataset, parts).max() <= quota


def test_personal_test_by_groups_needs_groups():
    with pytest.raises(ConfigError, match="by is 'towns', but must be one of labels, groups"):
        personal_test(even(2, 2), [], by="towns")
    with pytest.raises(ConfigError, match="dataset 'toy' does not have them in both sets"):
        personal_test(toy([0, 1], groups=[1, 1]), [np.array([0])], by="groups")


def test_settings_are_the_keywords_of_split():
    assert tuple(partition.settings()) == (
        "alpha",
        "classes_per_client",
        "samples_per_class",
        "balance",
        "distinct",
        "holds",
    )

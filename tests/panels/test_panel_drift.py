"""What the drift panel shows, against direct library calls and arithmetic by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fqlab import data, partition
from fqlab.federation import fit
from fqlab.panels.views.drift import Drift, State, experiment, method
from fqlab.plots.drift import ClientDrift, Holdings, Progress
from fqlab.studies.fedavg import Plane, Watched, distances, fedsgd_distance, member_accuracy, plane, watch


@pytest.fixture(scope="module")
def shown():
    panel = Drift()
    assert panel.wait(60)
    yield panel.frame
    panel.close()


@pytest.fixture(scope="module")
def seen():
    return next(watch(replace(experiment(State()), rounds=1)))


def test_the_areas_count_each_clients_digits(shown):
    digits = data.load("digits")
    parts = partition.split("dirichlet", digits, 10, 0, alpha=0.1)
    labels = digits.train_y.numpy()
    by_hand = [[int((labels[part] == d).sum()) for d in range(10)] for part in parts]
    assert shown.pictures[Holdings].counts.tolist() == by_hand


def test_the_averages_are_fedavg_and_its_clients_lie_below_in_the_end(shown):
    curve = shown.pictures[Progress]
    assert curve.average == [r.accuracy for r in fit(experiment(State())).rounds]
    assert [row["accuracy"] for row in shown.rows] == curve.average
    assert curve.average[-1] > max(curve.clients[-1])
    assert len(shown.pictures[ClientDrift].tips) == 20


def test_scatter_and_step_are_euclidean_lengths(seen):
    rows = np.concatenate([v.numpy().reshape(10, -1) for v in seen.clients.values()], axis=1)
    after, before = (np.concatenate([v.numpy().ravel() for v in w.values()]) for w in (seen.after, seen.before))
    scatter = np.mean([np.sqrt(((row - after) ** 2).sum()) for row in rows])
    assert distances(seen) == pytest.approx((scatter, np.sqrt(((after - before) ** 2).sum())), rel=1e-4)


def test_the_plane_holds_the_servers_first_step_and_no_lengths_grow_in_it(seen):
    view = plane(seen)
    assert isinstance(view, Plane)
    torch.testing.assert_close(view.basis @ view.basis.T, torch.eye(2), atol=1e-4, rtol=0)
    scatter, moved = distances(seen)
    torch.testing.assert_close(view.places(seen.after), torch.tensor([[moved, 0.0]]), atol=1e-4, rtol=0)
    assert float((view.places(seen.clients) - view.places(seen.after)).norm(dim=1).mean()) <= scatter


def test_the_servers_weights_are_n_k_or_equal(seen):
    sizes = torch.tensor([len(p) for p in partition.split("dirichlet", data.load("digits"), 10, 0, alpha=0.1)])
    equal = next(watch(replace(experiment(State()), rounds=1), Watched(equal=True)))
    for name, stack in seen.clients.items():
        by_size = torch.einsum("k,k...->...", sizes / sizes.sum(), stack)
        torch.testing.assert_close(seen.after[name], by_size, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(equal.after[name], stack.mean(0), atol=1e-6, rtol=1e-5)
    assert method(State(averaging="equal", start="own")) == Watched(own_start=True, equal=True)


def test_own_starts_average_to_less_than_each_client():
    state = State(skew="even", epochs=10, start="own")
    seen = next(watch(replace(experiment(state), rounds=1), method(state)))
    assert seen.record.accuracy < min(member_accuracy(seen.clients))


def test_fedsgd_is_gradient_descent_however_labels_are_dealt():
    assert fedsgd_distance(0) < 1e-6

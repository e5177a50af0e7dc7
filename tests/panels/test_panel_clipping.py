"""What the clipping panel shows, against closed forms and brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from fqlab.panels.views.clipping import Clipping, State, curves, prices, sample, split_mse, walk
from fqlab.plots.clipping import Descent, Origin, Price, more
from fqlab.quant import Grid, mse_parts, octav, quantize


@pytest.fixture(scope="module")
def panel():
    panel = Clipping()
    panel.wait()
    yield panel
    panel.close()


def shown(panel: Clipping, picture, **settings):
    return panel.instant(State(**settings)).pictures[picture]


def test_the_two_parts_of_the_error_are_those_of_a_normal_law():
    """Clipping: (1 + s²) erfc(s/√2) − √(2/π) s e^(−s²/2), digest §4.1; rounding: Δ²/12 within the range."""
    x = torch.special.ndtri((torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000).float()
    for s in (1.2, 2.5, 3.0):
        granular, clipping = split_mse(x, [s], Grid(6), "nearest")
        beyond = 2 * integrate.quad(lambda w, s=s: (w - s) ** 2 * stats.norm.pdf(w), s, 12)[0]
        assert clipping[0] == pytest.approx(beyond, rel=0.01)
        inside = 1 - 2 * stats.norm.sf(s)
        assert granular[0] == pytest.approx((2 * s / 63) ** 2 / 12 * inside, rel=0.01)


def test_the_parts_are_those_of_real_codes(panel):
    data = shown(panel, Descent, bits=3, clip=1.5, law="laplace", grid="twos_complement")
    x = sample("laplace", 0)
    grid = Grid(3, "twos_complement")
    assert data.parts == pytest.approx(mse_parts(x, quantize(x, 1.5, grid)), rel=1e-4)
    assert data.mse == pytest.approx(sum(data.parts))


def test_the_star_is_the_lowest_of_a_fine_sweep(panel):
    data = shown(panel, Descent, bits=4)
    x = sample("normal", 0)
    clips = np.linspace(2.0, 3.2, 121)
    mse = [float((x - quantize(x, float(s), Grid(4)).dequantize()).square().mean()) for s in clips]
    assert data.best[1] == pytest.approx(min(mse), rel=5e-3)
    assert data.best[0] == pytest.approx(clips[int(np.argmin(mse))], abs=0.12)


def test_octav_walks_by_its_formula_to_the_librarys_clip():
    """Sakr et al., eq. 6, written out with NumPy."""
    x = sample("normal", 0)
    grid = Grid(4, "octav")
    size = x.abs().numpy().astype(float)
    c = 4.0**-4 / 3
    path = walk("normal", 0, grid, "nearest", "textbook", "mean").clips
    s = size.mean()
    for seen in path:
        assert seen == pytest.approx(s, rel=1e-5)
        s = size[size > s].sum() / (c * (size <= s).sum() + (size > s).sum())
    assert path[-1] == pytest.approx(float(octav(x, grid)), rel=1e-4)
    assert walk("normal", 0, grid, "nearest", "textbook", "max").clips[1] == 0


def test_what_octav_sees_touches_the_curve_and_bottoms_at_its_next_clip():
    where = ("laplace", 0, Grid(3, "narrow"), "stochastic", "level", "mean")
    seen = walk(*where)
    x = sample("laplace", 0)
    noise = Grid(3, "narrow").noise("stochastic")
    for k in range(4):
        s = seen.clips[k]
        after = seen.clips[k + 1]
        parabola = lambda t, k=k, after=after: seen.bends[k] * (t - after) ** 2 + seen.floors[k]
        inside = x.abs() <= s
        model = lambda t, inside=inside: float(
            noise * t * t * inside.float().mean() + ((x.abs() - t).square() * ~inside).mean()
        )
        for t in (s, after, 0.5 * s, 2 * s):
            assert parabola(t) == pytest.approx(model(t), rel=1e-3)


def test_the_error_histogram_and_the_share_cut_are_counted(panel):
    data = shown(panel, Origin, bits=2, clip=1.2)
    x = sample("normal", 0).numpy()
    assert data.cut == pytest.approx((np.abs(x) > 1.2).mean())
    assert data.levels == pytest.approx([-1.2, -0.4, 0.4, 1.2])
    assert data.shares.sum() == pytest.approx(1, abs=1e-3)
    outer = np.abs(data.histogram[1][:-1] + 0.05) > 1.2
    assert data.shares[outer].sum() == pytest.approx(data.parts[1] / data.mse, abs=0.03)


def test_prices_are_code_bits_and_shannon_entropy():
    table = prices("normal", 0, "narrow", "nearest")
    x = sample("normal", 0)
    codes = quantize(x, float(x.abs().max()), Grid(3, "narrow")).values
    share = np.unique(codes.numpy(), return_counts=True)[1] / codes.numel()
    fixed, coded, _ = table["max_abs"]
    assert list(fixed) == [2, 3, 4, 5, 6, 7, 8]
    assert coded[1] == pytest.approx(-(share * np.log2(share)).sum(), abs=1e-4)
    rows = {"max_abs": ([4, 5], [2, 3], [4.0, 1.0]), "octav": ([0, 1, 4], [0, 1, 3.5], [9, 9, 2.0])}
    curves = {rule: tuple(map(np.array, lines)) for rule, lines in rows.items()}
    data = Price.Data(curves, bits=4, fixed=4, coded=3.5, mse=2.0)
    assert Price.saved(data) == pytest.approx((0.5, -1.0))


def test_titles_say_what_is_seen(panel):
    panel.set(rule="hand", clip=1.2)
    assert "clipping" in panel.description
    assert more(1.0) == "the lowest error"
    assert more(1.9) == "90 % above the lowest"
    assert more(2.2) == "2.2 × the lowest"
    clips, granular, clipping = curves("normal", 0, Grid(4), "nearest")
    assert (np.diff(clips) >= 0).all()
    assert (np.diff(clipping) <= 1e-9).all()
    assert granular[0] < 1e-5

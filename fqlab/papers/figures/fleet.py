"""Fog against Beer and Lambert's law, and a street of the KITTI benchmark where its files are at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.figure import FigureBase

from fqlab.data import kitti
from fqlab.data.lidar import CLASSES, scan, towns
from fqlab.errors import DataError
from fqlab.plots.fleet import Street
from fqlab.plots.picture import Drawing, Picture, draw
from fqlab.plots.style import axes, line, note, style_for, title

__all__ = ["Fog", "fog", "real_street"]

EDGES = np.arange(2.5, 60.1, 5.0)
"""Metres; the middles of the bins between them are 5, 10, 15, ..."""
FOG = 5
STREETS = 8
THIN = 12_000


class Fog(Picture):
    """Share of echoes that come back through fog, against range: counted, and the law."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        distance: np.ndarray  # metres
        share: np.ndarray
        law: tuple[np.ndarray, np.ndarray]

    width, height = 686, 226

    def build(self, fig: FigureBase) -> None:
        """One axis."""
        self.title = self.live(title(fig))
        limits = {"xlim": (0, 60), "ylim": (0, 1.02)}
        ax = axes(fig, 64, 44, 600, 146, xlabel="range (m)", ylabel="share of echoes", **limits)
        ax.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
        self.law = self.live(line(ax, "theory"))
        self.dots = self.live(line(ax, "bits", markers=True, linestyle="", markersize=7))
        note(ax, "exp(−2αr), α = 0.03 per metre", x=12.5, y=0.56, color="#a1477a")
        note(ax, "■ counted on eight streets", x=12.5, y=0.72, color=style_for("bits").color)

    def update(self, data: Mapping[str, Any], ghost: Any = None) -> str:
        """Data: ``range`` (m) and ``share`` of the bins, ``law`` as two arrays."""
        self.law.set_data(*data.law)
        self.dots.set_data(data.distance, data.share)
        at = dict(zip(data.distance.round().astype(int).tolist(), data.share, strict=True))
        self.title.set_text(f"Fog takes {1 - at[10]:.0%} of the echoes at 10 m and {1 - at[30]:.0%} at 30 m")
        listed = ", ".join(f"{share:.0%} at {r} m" for r, share in at.items())
        return f"Share of echoes that come back through fog: {listed}; the law of Beer and Lambert runs through them."


def fog() -> Drawing:
    """Echoes of the fog coast beside those of the same streets in clear air."""
    town = towns()[FOG]
    counts = []
    for attenuation in (0.0, town.attenuation):
        echoes = np.zeros(len(EDGES) - 1)
        for scene in range(STREETS):
            seen = scan(replace(town, attenuation=attenuation), scene=scene)
            nearest = seen.path[np.abs(seen.path[None, ::60, 0] - seen.points[:, :1]).argmin(1) * 60]
            echoes += np.histogram(np.linalg.norm(seen.points - nearest, axis=1), EDGES)[0]
        counts.append(echoes)
    r = (EDGES[1:] + EDGES[:-1]) / 2
    x = np.linspace(0, 60, 121)
    share = counts[1] / np.maximum(counts[0], 1)
    return draw(Fog, Fog.Data(r, share, law=(x, np.exp(-2 * town.attenuation * x))), zoom=2)


def real_street(number: int = 0) -> Drawing | str:
    """A street of KITTI as :class:`~fqlab.plots.fleet.Street` shows it, or a sentence where there is none.

    Only things in the camera's view are labelled there; all else is drawn as ground is.
    """
    try:
        points, labels, calib = kitti.read_frame(kitti.frames()[number])
    except (DataError, IndexError) as missing:
        return f"No KITTI street to show, and none is needed: {missing}"
    kinds = np.full(len(points), -1)
    for crop in kitti.crop_objects(points, labels, calib):
        if crop.name in CLASSES:
            kinds[kitti.inside(points, crop.label, calib)] = CLASSES.index(crop.name)
    ground = np.flatnonzero(kinds < 0)
    kept = np.concatenate([ground[:: max(1, len(ground) // THIN)], np.flatnonzero(kinds >= 0)])
    shifted = points[kept, :3] + np.array([0, 0, 1.73], np.float32)  # KITTI's scanner stands 1.73 m above ground
    return draw(Street, Street.Data(shifted, kinds[kept], 1.73, 20, 32, "Karlsruhe (KITTI)"), zoom=2)

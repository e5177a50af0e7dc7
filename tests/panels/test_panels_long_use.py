"""Long use: many moves in flat memory, and panels that run at the same time without a trace of each other."""

from __future__ import annotations

import gc
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from fqlab import panels
from fqlab.panels.state import controls

MOVES = 1000
WARM = 300
RUNS = 5


def resident() -> float:
    """Bytes of memory that the process holds now; where the system does not tell, the most it ever held."""
    gc.collect()
    if Path("/proc/self/statm").exists():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.long
@pytest.mark.parametrize("name", list(panels.PANELS))
def test_a_thousand_moves_leave_memory_flat(name):
    """Every slider goes up and down in turn; most runs are cut short by the next move, and a few are waited for."""
    panel = getattr(panels, name)()
    sliders = [c for c in controls(panel.State) if c.choices is None and not c.box]

    def move(i: int) -> None:
        c = sliders[i % len(sliders)]
        k = i // len(sliders) % (2 * c.count)
        panel.set(**{c.name: c.at(min(k, 2 * c.count - 1 - k))})

    def play(moves: int) -> float:
        for i in range(moves):
            move(i)
            if i % (moves // RUNS) == 0:
                assert panel.wait(300)
        panel.reset()
        assert panel.wait(300)
        assert panel.error is None
        return resident()

    before = play(WARM)
    after = play(MOVES)
    print(f"{name}: {before / 1e6:.0f} MB, after {MOVES} moves {after / before - 1:+.1%}")
    panel.close()
    assert after < 1.05 * before


def shown(panel) -> tuple:
    assert panel.wait(300)
    assert panel.error is None
    return panel.description, panel.csv(), [bytes(image.value) for image in panel.gallery.images.values()]


def test_two_panels_at_once_are_two_one_after_the_other():
    """Two runs in two threads, started together, and both moved while the other one trains."""
    settings = (
        ("tour", {"bits": 3, "seed": 1}),
        ("tour", {"rounding": "nearest", "seed": 2}),
        ("drift", {"epochs": 2}),
    )
    alone = []
    for name, changes in settings:
        panel = getattr(panels, name)()
        panel.wait(300)
        panel.set(**changes)
        alone.append(shown(panel))
        panel.close()
    together = [getattr(panels, name)() for name, _ in settings]
    for panel in together:
        panel.wait(300)
    for panel, (_, changes) in zip(together, settings, strict=True):
        panel.set(**changes)
    assert sum(panel.runner.busy for panel in together) > 1
    assert [shown(panel) for panel in together] == alone
    for panel in together:
        panel.close()


BARE = """
from fqlab import panels
panel = panels.quantizer()
assert panel.wait(200) and panel.error is None
panel.set(bits=2)
assert panel.wait(200) and panel.error is None
assert all(len(image.value) > 1000 for image in panel.gallery.images.values())
"""


@pytest.mark.parametrize("backend", ["TkAgg", "QtAgg"])
def test_a_panel_needs_neither_a_display_nor_a_home(backend, tmp_path):
    """A server's kernel, whose Matplotlib is told to open windows; nothing is left where it runs."""
    gone = ("DISPLAY", "WAYLAND_DISPLAY", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
    environment = {k: v for k, v in os.environ.items() if k not in gone}
    environment |= {"HOME": "/proc/self", "MPLBACKEND": backend, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-c", BARE], check=True, env=environment, timeout=300, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []

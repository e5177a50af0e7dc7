"""What a ticket promises on another processor: the same settings, the same draws, the same finding.

Tickets are restored here and, in a process of its own, with the kernels of the oldest processor that PyTorch runs on.
Sums differ there in float32's last bits, which moves a line by thousandths of a pixel: no colour changes by more than
``SHADE`` of 255. Training carries such bits on, so what is trained has its headline in common, not its pixels.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_presets import HEADLINES

from fqlab import panels

OLDEST = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}
SHOWN = {"quantizer": "Own clips", "clipping": "OCTAV, step 2", "rounding": "Clients differ", "packet": "40 weights"}
"""Panel -> preset, of those that draw and compute but do not train."""
TRAINED = {"tour": "Stochastic", "drift": "Skewed"}
SHADE = 8
CLOSE = 1e-4
"""Relative: sums of some thousand float32 numbers in another order."""
PLAY = """
import base64, json, sys
import torch
from fqlab import panels, seeds
seen = {}
for code in sys.argv[1:]:
    panel = getattr(panels, code.partition("-")[0])().restore(code)
    assert panel.wait(300) and panel.error is None, panel.error
    images = {k.__name__: base64.b64encode(bytes(image.value)).decode() for k, image in panel.gallery.images.items()}
    seen[code] = dict(state=repr(panel.state), ticket=panel.ticket, says=panel.frame.message, csv=panel.csv(), images=images)
    panel.close()
draw = lambda: torch.Generator().manual_seed(16)
kinds = dict(rand=torch.rand(1000, generator=draw(), dtype=torch.float32), randperm=torch.randperm(1000, generator=draw()),
             randint=torch.randint(2**31, (1000,), generator=draw()))
seen["draws"] = {name: values.tolist() for name, values in kinds.items()}
seen["normal"] = torch.randn(1000, generator=draw(), dtype=torch.float32).tolist()
print(json.dumps(seen))
"""


def tickets() -> dict[str, str]:
    """Panel -> the ticket of its preset."""
    codes = {}
    for name, preset in {**SHOWN, **TRAINED}.items():
        kind = getattr(panels, name)
        state = kind.State(**kind.presets[preset])
        codes[name] = panels.ticket.write(kind.name, kind.version, state)
    return codes


@pytest.fixture(scope="module")
def seen() -> list[dict[str, Any]]:
    """What this processor shows, and what the oldest one would."""
    play = [sys.executable, "-c", PLAY, *tickets().values()]
    runs = [
        subprocess.run(play, check=True, env=environment, timeout=600, capture_output=True, text=True)
        for environment in (dict(os.environ), os.environ | OLDEST)
    ]
    return [json.loads(run.stdout) for run in runs]


def test_settings_and_draws_are_the_same(seen):
    here, there = seen
    for code in tickets().values():
        assert here[code]["state"] == there[code]["state"]
        assert here[code]["ticket"] == there[code]["ticket"] == code
    assert here["draws"] == there["draws"]
    np.testing.assert_allclose(here["normal"], there["normal"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", [*SHOWN, *TRAINED])
def test_the_headline_is_the_same(seen, name):
    pattern, low, high = HEADLINES[name][{**SHOWN, **TRAINED}[name]]
    for shown in seen:
        number = re.search(pattern, shown[tickets()[name]]["says"])
        assert number is not None
        assert low <= float(number[1]) <= high


@pytest.mark.parametrize("name", SHOWN)
def test_numbers_and_pictures_are_the_same_up_to_rounding(seen, name):
    here, there = (shown[tickets()[name]] for shown in seen)
    mine, theirs = (list(csv.reader(io.StringIO(shown["csv"]))) for shown in (here, there))
    assert [len(row) for row in mine] == [len(row) for row in theirs]
    for ours, other in zip(np.concatenate(mine), np.concatenate(theirs), strict=True):
        assert ours == other or float(ours) == pytest.approx(float(other), rel=CLOSE, abs=1e-6)
    assert here["images"].keys() == there["images"].keys()
    for kind, image in here["images"].items():
        one, two = (
            np.asarray(Image.open(io.BytesIO(base64.b64decode(p)))).astype(int) for p in (image, there["images"][kind])
        )
        assert one.shape == two.shape
        assert np.abs(one - two).max() <= SHADE, kind

"""fqlab: see, touch and reproduce quantized federated learning.

The package is a house. A module imports from its own floor or from those below, never from above
(``tests/test_layers.py`` reads this table):

=====  ===========================================================  ==================================================
floor  rooms                                                        knows
=====  ===========================================================  ==================================================
8      ``cli``, ``lessons``, ``panels``                             people: commands, exercises, controls
7      ``papers``, ``plots``                                        what was published, and how it is drawn
6      ``studies``                                                  experiments that lessons and claims share
5      ``federation``                                               the round, its records, its engines
4      ``methods``                                                  one paper each
3      ``training``, ``aggregate``                                  what a client minimises, a server averages
2      ``data``, ``partition``, ``models``, ``wire``                one stage of the pipeline each
1      ``quant``                                                    arithmetic on tensors, nothing else
0      ``errors``, ``files``, ``registry``, ``seeds``, ``tensors``  bad input, whole files, names, randomness, stacking
=====  ===========================================================  ==================================================

This file is the front door: ``fqlab.teach`` and the rooms load on first use, so that ``import fqlab`` is quick and
pulls in neither PyTorch nor Matplotlib.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = [
    "aggregate", "data", "errors", "federation", "lessons", "methods", "models", "panels", "papers", "partition",
    "plots", "quant", "register", "seeds", "studies", "teach", "tensors", "training", "wire",
]  # fmt: skip

_DOORS = {"register": "fqlab.registry", "teach": "fqlab.panels.teaching"}
"""Function -> the module it comes from."""


def __getattr__(name: str) -> Any:
    if name in _DOORS:
        return getattr(importlib.import_module(_DOORS[name]), name)
    if name in __all__:
        return importlib.import_module(f"fqlab.{name}")
    raise AttributeError(f"module 'fqlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

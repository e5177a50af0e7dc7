"""Hostile bytes: every decoder returns, or raises its own error. ``make fuzz`` runs 100 000 inputs on each of them."""

from fuzz.pasted import PASTED
from fuzz.targets import BYTES, Target

__all__ = ["TARGETS", "Target"]

TARGETS = {**BYTES, **PASTED}
"""Name -> what reads bytes that others wrote, with good examples to start from."""

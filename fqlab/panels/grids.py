"""The grids of :mod:`fqlab.quant` in words, for the panels in which one is chosen."""

from __future__ import annotations

__all__ = ["NAMES", "choices"]

NAMES = {
    "narrow": "narrow",
    "midrise": "mid-rise",
    "twos_complement": "two's complement",
    "octav": "OCTAV",
    "sign_magnitude": "sign-magnitude",
}


def choices(*kinds: str) -> dict[str, str]:
    """Some grids and their names. Their order stays: tickets count a choice by its place."""
    return {kind: NAMES[kind] for kind in kinds}

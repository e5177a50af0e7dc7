"""The published systems, one file each."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from typing import Any

from fqlab.errors import ConfigError, one_of
from fqlab.methods.base import Client, ClientUpdate, LocalProblem, Method, ReceivedUpdate, Server, Spec

__all__ = [
    "NAMES",
    "make",
    "options",
    "Client",
    "Method",
    "ClientUpdate",
    "Server",
    "Spec",
    "LocalProblem",
    "ReceivedUpdate",
]

_WHERE = {
    "bsq": "bsq:BSQ",
    "fedavg": "fedavg:FedAvg",
    "fedmpq": "fedmpq:FedMPQ",
    "fixed_width": "fixed_width:FixedWidth",
    "clipped": "clipped:Clipped",
    "lg_fedavg": "lg_fedavg:LGFedAvg",
    "lottery": "lottery:Lottery",
    "robust": "robust:Robust",
    "standalone": "standalone:Standalone",
}
NAMES = tuple(_WHERE)


def _class(name: str) -> type[Method]:
    module, _, symbol = _WHERE[one_of("method", name, NAMES)].partition(":")
    return getattr(importlib.import_module(f"fqlab.methods.{module}"), symbol)


def options(name: str) -> dict[str, dataclasses.Field]:
    """The settings of a method, by name.

    Raises:
        ConfigError: for an unknown method.
    """
    return {field.name: field for field in dataclasses.fields(_class(name))}


def make(name: str, settings: Mapping[str, Any] | None = None) -> Method:
    """The method called ``name`` with ``settings``.

    Raises:
        ConfigError: for an unknown method, an unknown setting, or a value that is not allowed.
    """
    known = options(name)
    for key in settings or {}:
        if key not in known:
            allowed = ", ".join(known) or "nothing"
            raise ConfigError(f"option {key!r} of method {name!r} is unknown; allowed: {allowed}.")
    return _class(name)(**dict(settings or {}))

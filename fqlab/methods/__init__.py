"""The published systems, one file each; others can be registered."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from fqlab.errors import ConfigError, boolean, shown
from fqlab.methods.base import Client, ClientUpdate, LocalProblem, Method, ReceivedUpdate, Server, Spec, State
from fqlab.registry import Registry

__all__ = [
    "METHODS", "Client", "ClientUpdate", "LocalProblem", "Method", "ReceivedUpdate", "Server", "Spec", "State", "acting",
    "describe", "make", "options",
]  # fmt: skip


def _check(name: str, cls: Any) -> None:
    """A method is a frozen dataclass with the hooks."""
    if not (isinstance(cls, type) and issubclass(cls, Method)):
        raise ConfigError(
            f"method {shown(name)} is {shown(cls)}, but must be a class derived from fqlab.methods.Method."
        )
    if "__dataclass_fields__" not in vars(cls) and vars(cls).get("__annotations__"):
        raise ConfigError(f"method {shown(name)} has settings, but lacks @dataclass(frozen=True) above its class.")


METHODS = Registry(
    "method",
    {
        "fedavg": "fqlab.methods.fedavg:FedAvg",
        "clipped": "fqlab.methods.clipped:Clipped",
        "robust": "fqlab.methods.robust:Robust",
        "bsq": "fqlab.methods.bsq:BSQ",
        "fedmpq": "fqlab.methods.fedmpq:FedMPQ",
        "fedmpq_plus": "fqlab.methods.fedmpq_plus:FedMPQPlus",
        "aqfl": "fqlab.methods.aqfl:AQFL",
        "fedpaq": "fqlab.methods.fedpaq:FedPAQ",
        "uveqfed": "fqlab.methods.uveqfed:UVeQFed",
        "eden": "fqlab.methods.eden:EDEN",
        "sign": "fqlab.methods.sign:Sign",
        "lottery": "fqlab.methods.lottery:Lottery",
        "standalone": "fqlab.methods.standalone:Standalone",
        "lg_fedavg": "fqlab.methods.lg_fedavg:LGFedAvg",
    },
    _check,
    {"fixed_width": "that is AQFL now: write 'aqfl', with the option budgets = 8 for eight bits everywhere"},
)
"""Methods by name."""


def options(name: str) -> dict[str, dataclasses.Field]:
    """The settings of a method, by name.

    Raises:
        ConfigError: for an unknown method.
    """
    return {field.name: field for field in dataclasses.fields(METHODS[name])}


def make(name: str, settings: Mapping[str, Any] | None = None) -> Method:
    """The method called ``name`` with ``settings``.

    Raises:
        ConfigError: for an unknown method, an unknown setting, a value that is not allowed, or one that would change
            nothing under the other settings.
    """
    settings = settings or {}
    method = _made(name, settings)
    idle = method.idle()
    for field in dataclasses.fields(method):
        value = settings.get(field.name, field.default)
        nothing = value == 0 and not isinstance(value, bool)  # it asks for none of what there is none of
        if field.name in idle and value != field.default and not nothing:
            raise ConfigError(f"{field.name} is {shown(value)}, but changes nothing without {idle[field.name]}.")
    return method


def acting(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` without those that change nothing under the others, for controls and tables that name them all.

    Raises:
        ConfigError: as :func:`make`, but for these.
    """
    idle = _made(name, settings).idle()
    return {key: value for key, value in settings.items() if key not in idle}


def _made(name: str, settings: Mapping[str, Any]) -> Method:
    """The method with settings that are known and of the right kind."""
    declared = options(name)
    for key in settings:
        if key not in declared:
            allowed = ", ".join(declared) or "nothing"
            raise ConfigError(f"option {shown(key)} of method {shown(name)} is unknown; allowed: {allowed}.")
        if isinstance(declared[key].default, bool):
            boolean(key, settings[key])
    return METHODS[name](**dict(settings))


def describe(method: Method) -> tuple[str, dict[str, Any]]:
    """Name and settings from which :func:`make` makes ``method`` again, defaults left out.

    Raises:
        ConfigError: if it is no object of a class derived from :class:`Method`.
    """
    if not isinstance(method, Method):
        hint = f"; write {method.__name__}()" if isinstance(method, type) else ""
        raise ConfigError(f"method is {shown(method)}, but must be an object of a class derived from Method{hint}.")
    name = METHODS.name_of(type(method))
    settings = {field.name: getattr(method, field.name) for field in dataclasses.fields(method)}
    defaults = {field.name: field.default for field in dataclasses.fields(method)}
    return name, {k: v for k, v in settings.items() if v != defaults[k]}

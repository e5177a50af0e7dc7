"""What can be named in an experiment: methods, models, data sets; those of this library, and those that others add."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib.metadata import entry_points
from typing import Any

from fqlab.errors import ConfigError, one_of, shown

__all__ = ["GROUPS", "Registry", "keyword_defaults", "load", "register"]

GROUPS = {"method": "fqlab.methods", "model": "fqlab.models", "dataset": "fqlab.data"}
"""Kind -> the module that knows it, which is also its group of entry points."""

LONGEST = 60
"""Characters that a name may have: tables and messages list them."""
_REGISTRIES: dict[str, Registry] = {}


class Registry:
    """Names of one kind, and what they stand for.

    A name of this library stands for a thing, or for ``module:attribute``, loaded on first use. Others come by
    :meth:`register`, or from an installed package's entry point in the group of that kind (:data:`GROUPS`).
    ``module:attribute`` itself is a name, too.

    Args:
        kind: ``"method"``, ``"model"`` or ``"dataset"``.
        builtin: name -> thing or ``module:attribute``.
        check: called with a name and a thing before it is added; raises ConfigError for what is no such thing.
        former: names of earlier versions, and what to say instead.
    """

    def __init__(
        self,
        kind: str,
        builtin: Mapping[str, Any],
        check: Callable[[str, Any], None],
        former: Mapping[str, str] | None = None,
    ) -> None:
        self.kind = kind
        self._builtin = dict(builtin)
        self._added: dict[str, Any] = {}
        self._lent: dict[str, Any] = {}
        self._check = check
        self._former = dict(former or {})
        _REGISTRIES[kind] = self

    @property
    def names(self) -> tuple[str, ...]:
        """Every name, those of this library first."""
        return (*self._builtin, *self._added, *(name for name in self._plugins if name not in self._added))

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __getitem__(self, name: str) -> Any:
        """What ``name`` stands for.

        Raises:
            ConfigError: if nobody knows it, or a plug-in cannot be imported.
        """
        if not isinstance(name, str):
            one_of(self.kind, name, self.names)
        if name in self._added or name in self._lent:
            return self._added.get(name) or self._lent[name]
        if name in self._builtin:
            place = self._builtin[name]
            return load(self.kind, place) if isinstance(place, str) else place
        if name in self._former and name not in self._plugins:
            raise ConfigError(f"{self.kind} is {shown(name)}, but {self._former[name]}.")
        place = self._plugins.get(name) or (name if ":" in name else None)
        if place is None:
            one_of(self.kind, name, self.names)
        thing = load(self.kind, str(place))
        self._check(name, thing)
        return thing

    def register(self, name: str, thing: Any) -> None:
        """Let ``name`` stand for ``thing``; what the same place defines anew takes the place of what it defined before.

        Raises:
            ConfigError: if the name is taken or no plain word, or the thing is not of this kind.
        """
        if not isinstance(name, str) or len(name) > LONGEST or not name.replace("-", "_").isidentifier():
            raise ConfigError(
                f"name is {shown(name)}, but must be one word of at most {LONGEST} letters, digits, '_' and '-'."
            )
        if name in self.names and not _same(self._added.get(name), thing):
            raise ConfigError(f"name is {shown(name)}, but this {self.kind} exists already; choose another name.")
        self._check(name, thing)
        self._added[name] = thing

    def name_of(self, thing: Any) -> str:
        """The name under which ``thing`` can be found again: a registered one, else ``module:attribute``.

        A class of a notebook or inside a function is found by that name in this process alone.
        """
        for name, other in self._added.items():
            if other is thing:
                return name
        place = _place(thing)
        builtin = next((name for name, where in self._builtin.items() if where == place), None)
        if builtin is None:
            self._check(place, thing)
            self._lent[place] = thing
        return builtin or place

    @cached_property
    def _plugins(self) -> dict[str, str]:
        """Name -> ``module:attribute`` of the entry points of installed packages, without names that are taken."""
        points = entry_points(group=GROUPS[self.kind])
        return {point.name: point.value for point in points if point.name not in self._builtin}


def _place(thing: Any) -> str:
    return f"{thing.__module__}:{thing.__qualname__}"


def _same(old: Any, new: Any) -> bool:
    """Whether ``new`` is ``old``, or the same class or function after its cell ran again."""
    places = [getattr(thing, "__qualname__", None) for thing in (old, new)]
    return old is new or (None not in places and _place(old) == _place(new))


def load(kind: str, place: str) -> Any:
    """The attribute at ``module:attribute``.

    Raises:
        ConfigError: if the module cannot be imported or has no such attribute.
    """
    module, _, attribute = place.partition(":")
    if module == "__main__" or "<locals>" in attribute:
        raise ConfigError(
            f"{kind} is {shown(place)}, but what a notebook, a script or a function defines has no address; "
            "put it into a module of its own."
        )
    try:
        thing: Any = importlib.import_module(module)
        for part in attribute.split("."):
            thing = getattr(thing, part)
    except Exception as error:
        raise ConfigError(
            f"{kind} is {shown(place)}, but cannot be loaded: {type(error).__name__}: {str(error)[:200]}."
        ) from error
    return thing


def register(kind: str, name: str, thing: Any) -> None:
    """Add a method, model or data set of one's own: ``fqlab.register("method", "mine", MyMethod)``.

    Args:
        kind: ``"method"`` (a class with the hooks of :class:`fqlab.methods.Method`), ``"model"`` (a function of input
            shape and number of classes that gives a ``torch.nn.Module``) or ``"dataset"`` (a function that gives a
            :class:`fqlab.data.Dataset`).
        name: a word that is not taken.
        thing: what it stands for.

    Raises:
        ConfigError: for another kind, a taken name, or a thing that is not of this kind; nothing is added then.
    """
    importlib.import_module(GROUPS[one_of("kind", kind, GROUPS)])
    _REGISTRIES[kind].register(name, thing)


def keyword_defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """The settings that a function takes by name alone, with their defaults: what a table of an experiment may hold."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

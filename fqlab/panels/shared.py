"""From a ticket to the experiment behind it, so that what a class looks at can run without a panel."""

from __future__ import annotations

from fqlab import panels
from fqlab.errors import ConfigError, one_of, shown
from fqlab.federation import Experiment
from fqlab.panels import ticket

__all__ = ["experiment_of"]


def experiment_of(code: str) -> Experiment:
    """The federation that the panel trains when it shows the settings of ``code``, such as ``tour-0G4K8-1R2M`` or a link to it.

    Raises:
        ConfigError: if no panel has such a name, the ticket does not fit it, or it trains no federation.
    """
    if not isinstance(code, str):
        raise ConfigError(f"ticket is {shown(code)}, but must be text such as tour-0G4K8-1R2M.")
    name = one_of("panel of the ticket", ticket.bare(code).strip().partition("-")[0].lower(), panels.PANELS)
    panel = getattr(panels, name)
    experiment = panel.experiment(ticket.read(panel.name, panel.version, panel.State, code))
    if experiment is None:
        raise ConfigError(
            f"ticket is {shown(code)}, but the panel {shown(name)} trains no federation that could run by itself."
        )
    return experiment

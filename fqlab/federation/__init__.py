"""The round and where it runs: an experiment, the loop, its records, checkpoints and engines.

>>> from fqlab.federation import Experiment, fit
>>> fit(Experiment(rounds=3)).accuracy > 0.5
True
"""

from fqlab.federation.experiment import ENGINES, Experiment
from fqlab.federation.loop import Federation, fit, run
from fqlab.federation.records import History, Round

__all__ = ["ENGINES", "Experiment", "Federation", "History", "Round", "fit", "run"]

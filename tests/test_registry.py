"""Methods, models and data sets of one's own: by object, by name, by address, by package."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

import fqlab
from fqlab import data, methods, models, registry
from fqlab.cli import main
from fqlab.errors import ConfigError
from fqlab.federation import Experiment, Federation, fit
from fqlab.methods import Method
from fqlab.methods.fedavg import FedAvg
from fqlab.methods.fedpaq import FedPAQ

TINY = dict(rounds=1, clients=2, engine="vectorized")


@dataclass(frozen=True)
class Loud(FedPAQ):
    """A method of one's own.

    Args:
        volume: how loud.
    """

    volume: int = 3


@pytest.fixture
def clean(monkeypatch):
    """Registries as they were."""
    for table in (methods.METHODS, models.MODELS, data.DATASETS):
        monkeypatch.setattr(table, "_added", dict(table._added))


def test_an_object_runs_and_its_experiment_names_it():
    federation = Federation(Experiment(**TINY), method=Loud(volume=5, bits=1))
    assert federation.step().code_bits > 0
    e = federation.experiment
    assert (e.method, e.options) == (f"{__name__}:Loud", {"volume": 5, "bits": 1})
    again = Experiment.from_toml(e.to_toml())
    assert again == e
    assert methods.make(again.method, again.options) == Loud(volume=5, bits=1)


def test_an_object_of_this_library_keeps_its_short_name():
    assert Federation(Experiment(**TINY), method=FedPAQ(bits=2)).experiment.method == "fedpaq"


def test_a_class_inside_a_function_runs_here_but_has_no_address():
    @dataclass(frozen=True)
    class Mine(Method):
        pass

    federation = Federation(Experiment(**TINY), method=Mine())
    assert federation.step().accuracy == fit(Experiment(**TINY)).accuracy
    name = federation.experiment.method
    methods.METHODS._lent.clear()
    with pytest.raises(ConfigError, match="no address; put it into a module"):
        Experiment(method=name)


def test_a_registered_name_is_a_method_like_any_other(clean, capsys, tmp_path):
    fqlab.register("method", "loud", Loud)
    assert Federation(Experiment(**TINY), method=Loud()).experiment.method == "loud"
    assert "loud" in methods.METHODS.names
    out = tmp_path / "run.json"
    flags = ["--clients", "2", "--rounds", "1", "--engine", "vectorized"]
    assert main(["run", "--method", "loud", "--volume", "4", *flags, "--out", str(out)]) == 0
    with pytest.raises(SystemExit):
        main(["run", "--method", "loud", "--help"])
    assert "--volume VALUE how loud (default: 3)" in " ".join(capsys.readouterr().out.split())


def test_the_same_class_defined_anew_replaces_itself(clean):
    def define(step: int) -> type[Method]:
        @dataclass(frozen=True)
        class Mine(Method):
            size: int = step

        return Mine

    fqlab.register("method", "mine", define(1))
    fqlab.register("method", "mine", define(2))
    assert methods.make("mine").size == 2


def build(shape, classes):
    return models.MLP(int(torch.Size(shape).numel()), (5,), classes)


def few():
    whole = data.load("digits")
    return data.Dataset("few", whole.train_x[:100], whole.train_y[:100], whole.test_x, whole.test_y, whole.classes)


def test_models_and_data_sets_by_object_by_name_and_by_address(clean):
    fqlab.register("model", "slim", build)
    fqlab.register("dataset", "few", few)
    named = fit(Experiment(model="slim", dataset="few", **TINY))
    placed = fit(Experiment(model=f"{__name__}:build", dataset=f"{__name__}:few", **TINY))
    assert named.weights["fc1.weight"].shape == (5, 64)
    given = Federation(Experiment(**TINY), dataset=few(), model=models.make("slim", few(), 0))
    given.step()
    for name, value in named.weights.items():
        assert torch.equal(value, placed.weights[name])
        assert torch.equal(value, given.server.weights[name])


class Half:
    """No method."""


@dataclass(frozen=True)
class Other(Method):
    pass


@pytest.mark.parametrize(
    ("kind", "name", "thing", "sentence"),
    [("method", "fedavg", Other, "name is 'fedavg', but this method exists already"),
     ("model", "mlp", build, "name is 'mlp', but this model exists already"),
     ("method", "half", Half, "method 'half' is .*Half.*, but must be a class derived from"),
     ("method", "half", FedAvg(), "must be a class derived from"),
     ("model", "half", 3, "model 'half' is 3, but must be a function"),
     ("dataset", "half", "digits", "dataset 'half' is 'digits', but must be a function"),
     ("method", "two words", Other, "name is 'two words', but must be one word"),
     ("method", "a:b", Other, "name is 'a:b', but must be one word"),
     ("panel", "x", Other, "kind is 'panel', but must be one of method, model, dataset")],
)  # fmt: skip
def test_what_cannot_be_registered_gets_one_sentence_and_leaves_nothing(kind, name, thing, sentence, clean):
    before = [table.names for table in (methods.METHODS, models.MODELS, data.DATASETS)]
    with pytest.raises(ConfigError, match=sentence) as caught:
        fqlab.register(kind, name, thing)
    assert "\n" not in str(caught.value)
    assert before == [table.names for table in (methods.METHODS, models.MODELS, data.DATASETS)]


@pytest.mark.parametrize(
    ("method", "sentence"),
    [(Loud, r"write Loud\(\)"), (Half(), "must be an object of a class derived from Method"), (3, "method is 3")],
)
def test_no_method_at_all_is_named(method, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Federation(Experiment(**TINY), method=method)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("nowhere.at_all:Mine", "method is 'nowhere.at_all:Mine', but cannot be loaded: ModuleNotFoundError"),
     (f"{__name__}:Missing", "cannot be loaded: AttributeError"),
     (f"{__name__}:Half", "must be a class derived from"),
     ("__main__:Mine", "no address"), (["x"], "method is \\['x'\\], but must be one of fedavg")],
)  # fmt: skip
def test_an_address_that_leads_nowhere_is_named(name, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Experiment(method=name)


def test_what_lies_in_the_working_directory_runs_from_the_command_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "rival_of_mine.py").write_text(
        "from dataclasses import dataclass\nfrom fqlab.methods import Method\n"
        "@dataclass(frozen=True)\nclass Mine(Method):\n    '''Mine.\n\n    Args:\n        pace: how fast.\n    '''\n    pace: int = 1\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    flags = ["--rounds", "1", "--clients", "2", "--engine", "vectorized", "--out", "run.json"]
    assert main(["run", "--method", "rival_of_mine:Mine", "--pace", "2", *flags]) == 0
    assert '"pace": 2' in Path("run.json").read_text()
    assert main(["run", "--method", "rival_of_mine:Yours", *flags]) == 2
    assert "cannot be loaded: AttributeError" in capsys.readouterr().err


def test_an_installed_package_adds_its_names_and_a_broken_one_breaks_nothing_else(tmp_path):
    info = tmp_path / "extra-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[fqlab.methods]\nextra = extra_of_mine:Extra\nbroken = extra_of_mine:Nothing\nfedavg = extra_of_mine:Extra\n"
        "[fqlab.models]\nslim = extra_of_mine:slim\n[fqlab.data]\nfew = extra_of_mine:few\n"
    )
    (tmp_path / "extra_of_mine.py").write_text(
        "from fqlab.methods import Method\nclass Extra(Method):\n    pass\nslim = few = len\n"
    )
    script = (
        "from fqlab import data, methods, models\nfrom fqlab.federation import Experiment\n"
        "print(Experiment(method='extra').method, type(methods.make('fedavg')).__name__)\n"
        "print('slim' in models.MODELS.names, 'few' in data.DATASETS.names, methods.METHODS.names.count('fedavg'))\n"
        "try:\n    Experiment(method='broken')\nexcept Exception as e:\n    print(e)\n"
    )
    path = f"{tmp_path}:{Path(fqlab.__file__).parent.parent}"
    done = subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": path}, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert lines[:2] == ["extra FedAvg", "True True 1"], done.stderr
    assert lines[2].startswith("method is 'extra_of_mine:Nothing', but cannot be loaded: AttributeError")


def test_groups_are_the_rooms_of_the_house():
    assert registry.GROUPS == {"method": "fqlab.methods", "model": "fqlab.models", "dataset": "fqlab.data"}

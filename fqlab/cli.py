"""The command line: ``fqlab run``, ``compare``, ``data fetch``, ``reproduce``, ``figures``, ``flower app`` and ``lab``."""

from __future__ import annotations

import argparse
import dataclasses
import errno
import inspect
import math
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NoReturn

from fqlab.errors import ConfigError, FqlabError, shown
from fqlab.files import discard

__all__ = ["main"]

LONGEST = 600
"""Characters of what argparse says is wrong."""
NO_FLAG = ("options", "split", "reduce", "method")
INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


class _Parser(argparse.ArgumentParser):
    """argparse, but what it cannot read it does not repeat at any length."""

    def error(self, message: str) -> NoReturn:
        super().error(message if len(message) < LONGEST else f"{message[: LONGEST - 8]} ...")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (2 for bad input, said in one sentence)."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that has no ± still gets the number
    if "" not in sys.path:
        sys.path.append("")  # so that --method package.module:Class finds what lies in the working directory
    try:
        status = _dispatch(arguments)
        sys.stdout.flush()  # here, where it can still be said that the disk is full
        return status
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        discard(sys.stdout)
        print(f"fqlab: output cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    except FqlabError as error:
        print(f"fqlab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("fqlab: stopped", file=sys.stderr)
        return INTERRUPTED


def _dispatch(arguments: list[str]) -> int:
    if arguments[:1] == ["run"]:
        return _run(arguments[1:])
    if arguments[:2] == ["flower", "app"]:
        return _flower_app(arguments[2:])
    if arguments[:1] == ["lab"]:
        from fqlab.lessons.launch import launch

        launch(arguments[1:])
    parser = _Parser("fqlab", description="Quantized federated learning to see, touch and reproduce.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="train a federation and print its rounds (fqlab run --help)")
    flower = commands.add_parser("flower", help="an experiment for machines of your own").add_subparsers(required=True)
    flower.add_parser("app", help="write it as a Flower app (fqlab flower app --help)")
    commands.add_parser("lab", help="open the lessons in JupyterLab; options go to JupyterLab")
    pair = commands.add_parser("compare", help="two runs that 'fqlab run --out' wrote, side by side")
    pair.add_argument("runs", type=Path, nargs=2, metavar="RUN.json")
    data = commands.add_parser("data", help="get data sets").add_subparsers(dest="action", required=True)
    fetch = data.add_parser("fetch", help="download a data set, with a progress bar and a checksum")
    fetch.add_argument("name")
    _reproduce_parser(commands)
    drawn = commands.add_parser("figures", help="rebuild every figure of a paper, one file each")
    drawn.add_argument("--out", default="figures", help="a folder, made if missing (default: figures)")
    drawn.add_argument("--format", default="svg", help="svg (default) or png")
    chosen = parser.parse_args(arguments)
    if chosen.command == "figures":
        return _figures(chosen.out, chosen.format)
    if chosen.command == "compare":
        return _compare(*chosen.runs)
    if chosen.command == "reproduce":
        return _reproduce(chosen)
    from fqlab.data import fetch as fetch_data

    print(f"{chosen.name} is in {fetch_data(chosen.name)}")
    return 0


def _compare(left: Path, right: Path) -> int:
    from fqlab.federation.repeats import compare, read_run
    from fqlab.files import UntilClosed

    comparison = compare(read_run(left), read_run(right))
    with redirect_stdout(UntilClosed(sys.stdout)):
        print(f"{'':<26} {left.name:>20} {right.name:>20}")
        for line in comparison.lines():
            print(line)
    return 0


def _reproduce_parser(commands: Any) -> None:
    again = commands.add_parser("reproduce", help="list the claims and observations, or recompute some of them")
    again.add_argument("names", nargs="*", metavar="ID|SOURCE", help="rows, or all rows of a source; none: list them")
    again.add_argument("--all", action="store_true", help="every row that has the scale")
    again.add_argument("--scale", help="demo (seconds a row), small (minutes) or paper (the set-up of the source)")
    again.add_argument("--store", help="a folder for the results as JSON")


def _reproduce(chosen: argparse.Namespace) -> int:
    """``fqlab reproduce``: 0 if every verdict is the stored one, 1 if one is another."""
    from tqdm import tqdm

    from fqlab.data.sources import cache_folder
    from fqlab.files import UntilClosed, writable_folder
    from fqlab.papers import batch, report

    with redirect_stdout(UntilClosed(sys.stdout)):
        if not chosen.names and not chosen.all:
            print("\n".join(report.listing()))
            return 0
        folder = None if chosen.store is None else writable_folder(chosen.store, "store")
        picked = batch.jobs(chosen.names, chosen.scale, chosen.all)
        print(report.time_beforehand(picked), flush=True)
        outcomes: list[batch.Outcome] = []
        with tqdm(total=len(picked), unit="row", leave=False) as bar:
            show = lambda job: bar.set_postfix_str(f"{job.row.id} ({job.scale})")
            for done in batch.run_jobs(picked, batch.Unfinished(cache_folder() / "reproduce"), folder, show):
                outcomes.append(done)
                bar.write("\n".join(report.outcome_lines(done)))
                bar.update()
        print(report.summary(outcomes))
    return 0 if all(done.same for done in outcomes) else 1


def _figures(out: str, form: str) -> int:
    """``fqlab figures``: every registered figure as a file; one that fails is named, and the others still come."""
    from tqdm import tqdm

    from fqlab.errors import one_of
    from fqlab.files import expand
    from fqlab.papers.figures import FIGURES
    from fqlab.papers.figures.export import FORMATS, write

    one_of("format", form, FORMATS)
    folder = expand(out, "out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as wrong:
        raise ConfigError(f"out is {shown(out)}, but no folder can be made there: {wrong.strerror}.") from None
    failed = 0
    with tqdm(sorted(FIGURES), unit="figure", leave=False) as bar:
        for name in bar:
            bar.set_postfix_str(name)
            try:
                bar.write(str(write(name, folder, form)))
            except Exception as wrong:
                failed += 1
                bar.write(f"fqlab: figure {name} failed: {type(wrong).__name__}: {wrong}", file=sys.stderr)
    print(f"{len(FIGURES) - failed} of {len(FIGURES)} figures in {folder}")
    return 1 if failed else 0


def _run(arguments: list[str]) -> int:
    """``fqlab run``: an experiment from flags, from a file or a ticket, or from these with some flags changed."""
    with _uninterrupted():
        from fqlab.federation.repeats import seeded
    from fqlab.files import UntilClosed, writable_file

    method, base = _named(arguments)
    parser = _parser(method, "fqlab run", "Train a federation; print a table of its rounds.")
    parser.add_argument(
        "--seeds", type=_number_or_text, default=1, help="run under so many seeds in a row; print mean ± spread"
    )
    chosen = vars(parser.parse_args(arguments))
    experiment = _experiment(base, method, {k: v for k, v in chosen.items() if v is not None})
    _can_run(experiment.engine)
    given = {name: chosen[name] for name in ("out", "checkpoint") if chosen[name] is not None}
    places = {name: writable_file(path, name) for name, path in given.items()}
    repeats = seeded(experiment, chosen["seeds"])
    with redirect_stdout(UntilClosed(sys.stdout)), redirect_stderr(UntilClosed(sys.stderr)):
        _advise(experiment)
        if len(repeats) > 1:
            return _repeat(repeats, places.get("out"), places.get("checkpoint"))
        return _train(experiment, places.get("out"), places.get("checkpoint"))


def _advise(experiment: Any) -> None:
    """Say beforehand what a method has to say of the network that it is to train."""
    from fqlab import data, methods, models

    network = models.make(experiment.model, data.load(experiment.dataset), experiment.seed)
    advice = methods.make(experiment.method, experiment.options).advice(network)
    if advice:
        print(f"note: {advice}", file=sys.stderr)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits for the end of the block: an import that it meets half-way may swallow it, or leave NumPy broken."""
    mask = getattr(signal, "pthread_sigmask", None)
    if mask is None:  # Windows
        yield
        return
    before = mask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        mask(signal.SIG_SETMASK, before)


def _can_run(engine: str) -> None:
    """Say at once, before anything is printed, that an engine cannot run here."""
    if engine == "flower":
        from fqlab.federation.engines.flower.network import obstacle

        if (problem := obstacle()) is not None:
            raise ConfigError(f"engine is 'flower', but {problem}.")


def _named(arguments: list[str]) -> tuple[str, Any]:
    """The method, whose settings are flags too, and the experiment that flags change."""
    first = _Parser(add_help=False, allow_abbrev=False)
    for name in ("method", "config", "ticket"):
        first.add_argument(f"--{name}", default=None)
    leading, _ = first.parse_known_args(arguments)
    base = _base(leading.config, leading.ticket)
    return leading.method or base.method, base


def _flower_app(arguments: list[str]) -> int:
    """``fqlab flower app DIR``: an experiment, given as to ``fqlab run``, as a folder that ``flwr run`` takes."""
    method, base = _named(arguments)
    parser = _parser(method, "fqlab flower app", "Write an experiment as a Flower app; --workers says how many nodes.")
    parser.add_argument("folder", metavar="DIR", help="made if missing")
    parser.add_argument("--superlink", default="127.0.0.1:9093", help="where the server listens (default: %(default)s)")
    parser.add_argument("--certificate", help="the file of the server's certificate; the README says how to make one")
    parser.add_argument(
        "--timeout", type=_number_or_text, default=120.0, help="seconds a round may take (default: 120)"
    )
    chosen = vars(parser.parse_args(arguments))
    from fqlab.errors import in_range
    from fqlab.federation.engines.flower.app import Server, write_own
    from fqlab.files import expand

    experiment = _experiment(base, method, {k: v for k, v in chosen.items() if v is not None})
    folder = expand(chosen["folder"], "DIR")
    server = Server.of(chosen["superlink"], chosen["certificate"], folder)
    timeout = in_range("timeout", chosen["timeout"], 1, 86400)
    places = {name: chosen[name] or "" for name in ("checkpoint", "out")}
    try:
        write_own(folder, experiment, server, experiment.workers, timeout, **places)
    except OSError as error:
        raise ConfigError(f"DIR is {shown(chosen['folder'])}, but cannot be written: {error.strerror}.") from None
    print(f"{folder / 'README.md'} says how server and nodes are started")
    return 0


def _base(config: str | None, ticket: str | None) -> Any:
    """The experiment that flags change: a file's, a ticket's, or the default."""
    from fqlab.federation import Experiment
    from fqlab.files import expand

    if config is not None and ticket is not None:
        raise ConfigError(f"ticket is {shown(ticket)}, but a config is given too; choose one of them.")
    if ticket is not None:
        from fqlab.panels.shared import experiment_of

        return experiment_of(ticket)
    return Experiment(engine="auto") if config is None else Experiment.from_toml(expand(config, "config"))


def _parser(method: str, command: str, about: str) -> _Parser:
    """Flags of the experiment, of the partition and of the chosen method."""
    from fqlab import methods, partition
    from fqlab.data.reduce import reduced
    from fqlab.federation import Experiment
    from fqlab.registry import keyword_defaults

    parser = _Parser(command, description=about, allow_abbrev=False)
    parser.add_argument("--method", help=f"one of {', '.join(methods.METHODS)}, or package.module:Class")
    parser.add_argument("--config", help="a TOML file; flags override it")
    parser.add_argument("--ticket", help="a panel's ticket instead of a file, such as tour-0G4K8-1R2M")
    parser.add_argument("--out", help="write experiment and rounds to this JSON file")
    parser.add_argument("--checkpoint", help="write every round to this file, and resume from it")
    group = parser.add_argument_group("experiment")
    for field in dataclasses.fields(Experiment):
        if field.name not in NO_FLAG:
            default = "auto" if field.name == "engine" else field.default
            _flag(group, "experiment", field.name, default, Experiment.__doc__)
    group = parser.add_argument_group("data set made smaller")
    for name, default in keyword_defaults(reduced).items():
        _flag(group, "reduce", name, default, reduced.__doc__)
    group = parser.add_argument_group("partition (--partition says which)")
    for name, default in partition.settings().items():
        _flag(group, "split", name, default, partition.split.__doc__)
    group = parser.add_argument_group(f"method {method}")
    described = "\n".join(inspect.cleandoc(kind.__doc__ or "") for kind in type(methods.make(method)).__mro__)
    for name, field in methods.options(method).items():
        _flag(group, "option", name, field.default, described)
    return parser


def _flag(group: Any, part: str, name: str, default: Any, doc: str | None) -> None:
    """A flag for one setting, explained by the ``Args:`` line of its docstring."""
    parse = str if isinstance(default, str) else _number_or_text
    clean = inspect.cleandoc(doc or "")  # from Python 3.13 on docstrings come without their indentation
    line = re.search(rf"^ {{4}}[\w, ]*\b{name}\b[\w, ]*: (.*(?:\n {{8}}.*)*)", clean, re.MULTILINE)
    words = re.sub(r":\w+:(?=`)|`", "", " ".join(line[1].split())).replace("%", "%%") if line else name
    shape = "true|false" if isinstance(default, bool) else "VALUE"
    text = f"{words.rstrip('.')} (default: {default!r})"
    group.add_argument(f"--{name.replace('_', '-')}", dest=f"{part}/{name}", type=parse, metavar=shape, help=text)


def _number_or_text(text: str) -> Any:
    """A TOML-like scalar; what is none stays text, for the check that knows what is allowed."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _experiment(base: Any, method: str, chosen: dict[str, Any]) -> Any:
    part = lambda group: {k.partition("/")[2]: v for k, v in chosen.items() if k.startswith(f"{group}/")}
    options = dict(base.options) if method == base.method else {}
    merged = {name: {**getattr(base, name), **part(name)} for name in ("split", "reduce")}
    return dataclasses.replace(
        base, **part("experiment"), method=method, options={**options, **part("option")}, **merged
    )


def _train(experiment: Any, out: Path | None, checkpoint: Path | None) -> int:
    """Run to the end, or until Ctrl-C; either way ``out`` gets the rounds that there are."""
    from tqdm import tqdm

    from fqlab.federation import Federation

    federation = Federation(experiment, checkpoint=checkpoint)
    if federation.step_seconds:
        times = ", ".join(f"{name} {1000 * seconds:.2g} ms" for name, seconds in federation.step_seconds.items())
        print(f"engine {federation.engine}; a client's step takes {times}", file=sys.stderr)
    print(f"{'round':>5} {'accuracy':>9} {'bytes up':>12} {'bytes down':>12} {'quantization error':>19}")
    problem: BaseException | None = None
    with tqdm(total=experiment.rounds, initial=len(federation.rounds), unit="round", leave=False) as bar:
        try:
            for r in federation:
                bar.write(
                    f"{r.index:>5} {_accuracy(r.accuracy):>9} {r.bytes_up:>12,} {r.bytes_down:>12,} {r.mse:>19.3e}"
                )
                for who in r.left_out:
                    bar.write(f"      left out: {who}")
                sys.stdout.flush()
                bar.update()
        except (KeyboardInterrupt, FqlabError) as error:
            problem = error
        finally:
            federation.close()
    _finish(federation.history(), out, stopped=problem is not None)
    return _said(problem)


def _accuracy(value: float) -> str:
    """An accuracy or its spread as a cell; a dash where a round was not evaluated."""
    return "-" if math.isnan(value) else f"{value:.4f}"


def _said(problem: BaseException | None) -> int:
    """The exit status of a run that has said where it stopped; a problem that is not Ctrl-C is still to be named."""
    if isinstance(problem, FqlabError):
        raise problem
    return 0 if problem is None else INTERRUPTED


def _finish(history: Any, out: Path | None, stopped: bool) -> None:
    """The line of totals and the file; a run that was stopped says what there is."""
    from fqlab.files import write_or_keep

    if history.rounds:
        print(f"{'total':>5} {_accuracy(history.accuracy):>9} {history.bytes_up:>12,} {history.bytes_down:>12,}")
        if out:
            write_or_keep(out, history.to_json().encode(), "out")
    if stopped:
        kept = f"; they are in {out}" if out and history.rounds else ""
        done = f"{len(history.rounds)} of {history.experiment.rounds}"
        print(f"fqlab: stopped after {done} rounds{kept}", file=sys.stderr)


def _repeat(experiments: Sequence[Any], out: Path | None, checkpoint: Path | None) -> int:
    """Run an experiment under several seeds, print their mean and spread; Ctrl-C leaves the seeds that are finished.

    Each seed has a checkpoint of its own beside ``checkpoint``.
    """
    from tqdm import tqdm

    from fqlab.federation.repeats import Repeats, run_all
    from fqlab.files import write_or_keep

    place_of = (lambda seed: checkpoint.with_stem(f"{checkpoint.stem}-seed{seed}")) if checkpoint else None
    finished: list[Any] = []
    problem: BaseException | None = None
    with tqdm(total=sum(e.rounds for e in experiments), unit="round", leave=False) as bar:
        try:
            for history in run_all(experiments, place_of, bar.update):
                finished.append(history)  # one by one: Ctrl-C leaves those that are there
        except (KeyboardInterrupt, FqlabError) as error:
            problem = error
    if finished:
        repeats = Repeats(tuple(finished))
        _print_repeats(repeats)
        if out:
            write_or_keep(out, repeats.to_json().encode(), "out")
    if problem is not None:
        kept = f"; they are in {out}" if out and finished else ""
        print(f"fqlab: stopped after {len(finished)} of {len(experiments)} seeds{kept}", file=sys.stderr)
    return _said(problem)


def _print_repeats(repeats: Any) -> None:
    """The table of ``fqlab run --seeds``."""
    print(
        f"{'round':>5} {'accuracy':>9} {'± spread':>9} {'bytes up':>12} {'bytes down':>12} {'quantization error':>19}"
    )
    for row in repeats.rows():
        seen = {key: _accuracy(row[key]) for key in ("accuracy", "spread")}
        line = "{index:>5} {accuracy:>9} {spread:>9} {bytes_up:>12,.0f} {bytes_down:>12,.0f} {mse:>19.3e}"
        print(line.format(**row | seen))
    total = repeats.summary()
    mean = {key: value[0] for key, value in total.items()}
    spread = total["accuracy"][1]
    print(
        f"{'total':>5} {mean['accuracy']:>9.4f} {spread:>9.4f} {mean['bytes_up']:>12,.0f} {mean['bytes_down']:>12,.0f}"
    )


if __name__ == "__main__":
    sys.exit(main())

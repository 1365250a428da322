"""``object2vec tune``."""

from __future__ import annotations

import difflib
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from object2vec.cli.deployment import app
from object2vec.cli.options import Command, option
from object2vec.errors import ConfigError, Interrupted, MissingExtraError
from object2vec.signals import ENDING, on_signals

__all__ = ["app"]

_OWN = (
    "--out",
    "--checkpoints",
    "--checkpoint-every",
    "--resume",
    "--overwrite",
    "--log-format",
    "--save-state",
)

SpaceFile = Annotated[
    str | None, option("FILE", "JSON object of ranges; AWS's recommended ones by default.")
]
Count = Annotated[int, option("N", "How many trainings.")]
Judged = Annotated[str, option("CHANNEL:METRIC", "What decides, such as validation:accuracy.")]
StudyFolder = Annotated[str, option("DIR", "Folder of the study.")]
How = Annotated[str, option("NAME", "bayesian, random, grid or hyperband.")]
Parallel = Annotated[int, option("N", "Trainings at once; 0: one for each two cores.")]
Parents = Annotated[list[str] | None, option("DIR", "A finished study to learn from.", "--parent")]
WarmStart = Literal["IDENTICAL_DATA_AND_ALGORITHM", "TRANSFER_LEARNING"]
Warm = Annotated[
    WarmStart, option("KIND", "IDENTICAL_DATA_AND_ALGORITHM or TRANSFER_LEARNING.", "--warm-start")
]
Seed = Annotated[int, option("N", "Of the choice of values.", "--search-seed")]
Early = Annotated[
    bool, typer.Option("--early-stopping", help="Stop trainings that are worse than the median.")
]
Again = Annotated[bool, typer.Option("--resume", help="Go on with the study in DIR.")]


@app.command(
    cls=Command, context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)
def tune(
    context: typer.Context,
    out: StudyFolder,
    objective: Judged,
    space: SpaceFile = None,
    trials: Count = 20,
    strategy: How = "bayesian",
    parallel: Parallel = 0,
    early_stopping: Early = False,
    parent: Parents = None,
    warm_start: Warm = "IDENTICAL_DATA_AND_ALGORITHM",
    seed: Seed = 0,
    resume: Again = False,
) -> None:
    """Train with many hyperparameters and keep the best model.

    All other options are those of train: its files, columns and fixed hyperparameters. DIR/best is
    the model of the best training, DIR/report.html shows all of them. Ctrl-C, or whatever ends the
    process, loses no training that has ended: the same command with --resume goes on.
    """
    try:
        import optuna  # noqa: F401
    except ImportError as err:
        cure = "Run: pip install 'object2vec[tune]'"
        raise MissingExtraError.at("tune", "needs a package", "optuna", cure) from err
    choice = Wish(
        out=Path(out),
        objective=objective,
        space=space,
        trials=trials,
        strategy=strategy,
        parallel=parallel,
        early_stopping=early_stopping,
        parents=tuple(parent or ()),
        warm_start=warm_start if parent else None,
        seed=seed,
        resume=resume,
        arguments=tuple(context.args),
    )
    run(choice)


@dataclass(frozen=True)
class Wish:
    """What the command line asks for."""

    out: Path
    objective: str
    space: str | None
    trials: int
    strategy: str
    parallel: int
    early_stopping: bool
    parents: tuple[str, ...]
    warm_start: WarmStart | None
    seed: int
    resume: bool
    arguments: tuple[str, ...]


def run(choice: Wish) -> None:
    """Make or open the study, try, and say what was found."""
    from object2vec.compiled.cores import available_cores
    from object2vec.tuning import report
    from object2vec.tuning.processes import ProcessTrainer
    from object2vec.tuning.trials import Study, Trial
    from object2vec.tuning.tuner import Tuner

    search, settings = _planned(choice)
    parents = [Study.open(Path(each)) for each in choice.parents]
    study = _opened(choice, settings, parents)
    at_once = choice.parallel or max(1, available_cores() // 2)
    threads = max(1, available_cores() // at_once)

    def show(trial: Trial) -> None:
        value = "" if trial.value is None else f" {choice.objective} {trial.value:.6g}"
        error = f": {trial.error}" if trial.error else ""
        said = f"trial {trial.number}: {trial.state},{value} after {trial.seconds:.0f} s{error}"
        typer.echo(said, err=True)
        report.write_page(study, search)

    tuner = Tuner(
        study,
        search,
        ProcessTrainer(study, choice.arguments, threads),
        trials=choice.trials,
        parallel=at_once,
        parents=parents,
        warm_start=choice.warm_start,
        report=show,
    )
    best = _interruptible(tuner)
    page = report.write_page(study, search)
    for line in report.table(study, search):
        typer.echo(line)
    typer.echo(f"Trial {best.number} is the best: {study.path / 'best'}. All: {page}", err=True)


def _planned(choice: Wish) -> tuple[Any, dict[str, Any]]:
    """Return how to search, and what the study remembers of it."""
    from object2vec.tuning.search import Search, strategy_of
    from object2vec.tuning.space import Space

    options = _read_options(choice.arguments)
    goal, fixed = _checked(choice, options)
    space = Space.read(choice.space) if choice.space else Space.default(fixed)
    fixed = {name: value for name, value in fixed.items() if name not in space.ranges}
    search = Search(
        space,
        goal,
        strategy_of(choice.strategy),
        seed=choice.seed,
        early_stopping=choice.early_stopping,
        epochs=int(fixed.get("epochs", 30)),
    )
    settings = {
        "objective": search.objective.name,
        "space": space.state(),
        "fixed": {name: str(value) for name, value in fixed.items()},
        "strategy": search.strategy,
        "seed": choice.seed,
        "arguments": list(choice.arguments),
        "data": _fingerprint(options),
    }
    return search, settings


def _read_options(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the options of train, by parameter; raise what click raises for those that are wrong.

    An unknown one may be meant as one of tune's own.
    """
    commands: dict[str, Any] = vars(typer.main.get_command(app))["commands"]
    own = [name for parameter in commands["tune"].params for name in parameter.opts]
    try:
        context = commands["train"].make_context("object2vec tune", ["--out=DIR", *arguments])
    except Exception as err:
        if (near := getattr(err, "possibilities", None)) is not None:
            near += difflib.get_close_matches(vars(err)["option_name"], own)
        raise
    given: dict[str, Any] = context.params
    return given


def _checked(choice: Wish, options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the objective and the hyperparameters that are set; raise what is wrong with both."""
    from object2vec.cli.training import Job
    from object2vec.tuning.objective import Goal
    from object2vec.tuning.space import check_value

    for name in _OWN:
        if any(each == name or each.startswith(f"{name}=") for each in choice.arguments):
            cure = "Leave it out: each training has its own folder in --out."
            raise ConfigError.at(name, "must not be given to tune", name, cure)
    least = {"--trials": (choice.trials, 1), "--parallel": (choice.parallel, 0)}
    for name, (value, lowest) in (least | {"--search-seed": (choice.seed, 0)}).items():
        if value < lowest:
            raise ConfigError.at(name, f"must be at least {lowest}", value, "Use a larger number.")
    goal = Goal.parse(choice.objective)
    job = Job.of(options)
    fixed = dict(job.hyperparameters)
    if not (options[goal.channel] or options["split"]):
        must, cure = "must be of a channel that there is", f"Give --{goal.channel}, or --split."
        raise ConfigError.at("--objective", must, choice.objective, cure)
    for name, value in fixed.items():
        check_value(name, value, "--set or --config")
    job.check_options()
    return goal, fixed


def _opened(choice: Wish, settings: Mapping[str, Any], parents: Sequence[Any]) -> Any:
    """Return the study: a new one, or the one that is gone on with."""
    from object2vec.tuning.parents import Setting, check
    from object2vec.tuning.trials import Study

    if choice.resume and choice.out.exists():
        study = Study.open(choice.out)
        different = [
            name
            for name in ("objective", "space", "fixed", "strategy", "seed", "data")
            if study.settings[name] != settings[name]
        ]
        if different:
            cure = "Go on with the same command, or begin a new study in another folder."
            raise ConfigError.at("--resume", "must be the same study", different, cure)
        return study
    if choice.warm_start is not None:
        check(Setting.of(settings), parents, choice.warm_start)
    return Study.create(choice.out, settings)


def _interruptible(tuner: Any) -> Any:
    """Run a tuner; let a signal end it, with what it has found kept."""
    asked: list[int] = []

    def stop(number: int) -> None:
        asked.append(number)
        tuner.stop()

    with on_signals(stop, *ENDING):
        best = tuner.run()
    if asked or best is None:
        ended_by = signal.Signals(asked[0] if asked else signal.SIGTERM)
        text = f"Stopped by {ended_by.name}. The same command with --resume goes on."
        raise Interrupted(text, int(ended_by))
    return best


def _fingerprint(options: Mapping[str, Any]) -> str:
    """Return what tells the content of a study's files from other data; of a URL its name."""
    import hashlib

    from object2vec.cli.training import CHANNELS
    from object2vec.files.sources import list_sources, read_raw

    digest = hashlib.blake2b(digest_size=16)
    for channel in CHANNELS:
        for source in list_sources(list(options[channel])) if options[channel] else ():
            digest.update(channel.encode())
            if source.path is None:
                digest.update(source.name.encode())
                continue
            for part in read_raw(source):
                digest.update(part)
    return digest.hexdigest()

"""The options and arguments of the commands, each with its help."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from object2vec.cli.idle import check_idle
from object2vec.reporting import LogFormat
from object2vec.task_names import TaskName


def argument(metavar: str) -> Any:
    """Return what an argument looks like; the text of its command's help says what it is."""
    return typer.Argument(metavar=metavar, hidden=True)


def option(
    metavar: str,
    help_text: str,
    *names: str,
    section: str | None = None,
) -> Any:
    """Return what an option with a value looks like, by default called like its parameter.

    Those of one `section` are listed together under its name.
    """
    return typer.Option(
        *names,
        metavar=metavar,
        help=help_text,
        rich_help_panel=section,
    )


def flag(name: str, help_text: str, *, section: str | None = None) -> Any:
    """Return what an option without a value looks like."""
    return typer.Option(name, help=help_text, rich_help_panel=section)


_SETTING = "A hyperparameter; goes before --config."

Model = Annotated[str, argument("MODEL")]
Inputs = Annotated[list[str] | None, argument("[FILE]...")]
Files = Annotated[list[str], argument("FILE...")]
Out = Annotated[str | None, option("FILE", "Write here, not to standard output.")]
Device = Annotated[
    str | None, option("DEVICE", "auto, cpu, cuda or cuda:N; as in training by default.")
]
Settings = Annotated[list[str] | None, option("NAME=VALUE", _SETTING, "--set")]
AsJson = Annotated[bool, flag("--json", "Print JSON.")]
Side = Literal["in0", "in1"]
RowFormat = Literal["jsonl", "npy", "arrow"]
RowsAs = Annotated[
    RowFormat | None,
    option(
        "jsonl|npy|arrow",
        "How to write the vectors.  [default: as --out ends, else jsonl]",
        "--format",
    ),
]
Channel = Literal["train", "validation", "test"]


_GIVEN = "COMMANDLINE"  # of click's ParameterSource, for which typer has no name


def given_options(context: Any) -> dict[str, str]:
    """Return what the options are called that the user gave, by parameter: ``--format``."""
    return {
        each.name: each.opts[0]
        for each in context.command.params
        if context.get_parameter_source(each.name).name == _GIVEN
    }


class Command(TyperCommand):
    """Reports options without effect, and shows its arguments in the usage line alone.

    The text of the help says what those are.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; raise `ConfigError` if some would have no effect."""
        rest: list[str] = super().parse_args(ctx, args)
        check_idle(self.name or "", ctx.params, given_options(ctx))
        return rest

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words after the command's name."""
        arguments = [p.metavar or "" for p in self.params if p.param_type_name == "argument"]
        return [*arguments, "[OPTIONS]"]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, section by section; those without one come last."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is not None:
                title = getattr(parameter, "rich_help_panel", None) or "Options"
                sections.setdefault(title, []).append(record)
        sections["Options"] = sections.pop("Options")
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


class ManyValues(Command):
    """Reads ``--train a b`` as ``--train a --train b``, so that the shell may fill in names."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, spread."""
        return super().parse_args(ctx, list(_repeat_options(args)))


def _repeat_options(args: Sequence[str]) -> Iterator[str]:
    """Yield arguments with the option repeated before each of its values after the first."""
    option, has_value = "", False
    for arg in args:
        if arg.startswith("-") and arg != "-":
            option, has_value = arg if arg in _MANY else "", False
        else:
            if option and has_value:
                yield option
            has_value = True
        yield arg


_MANY = {"--train", "--validation", "--test", "--set"}


_DATA = "Data"
_TABLE = "Columns of a table"
_READING = "How to read a table"
_HYPERPARAMETERS = "Hyperparameters"
_RUN = "The run"

Train = Annotated[list[str], option("FILE...", "Pairs to learn from.", section=_DATA)]
Validation = Annotated[
    list[str] | None,
    option("FILE...", "Pairs that choose the best epoch.", section=_DATA),
]
Split = Annotated[
    float | None,
    option("SHARE", "Keep this share of the pairs for that, such as 0.1.", section=_DATA),
]
Test = Annotated[
    list[str] | None,
    option("FILE...", "Pairs to score at the end.", section=_DATA),
]
ModelOut = Annotated[str, option("MODEL", "Folder or URL to write the model to.", section=_DATA)]

In0 = Annotated[
    list[str] | None,
    option(
        "FIELD",
        "A column of the first side, such as user or 'genres:tokens(\"|\")'; several make one "
        "object. `object2vec kinds` lists what may follow the colon.",
        section=_TABLE,
    ),
]
In1 = Annotated[
    list[str] | None,
    option("FIELD", "A column of the second side.", section=_TABLE),
]
Label = Annotated[
    str | None,
    option("COLUMN", "What to predict; without it every row is a right pair.", section=_TABLE),
]
Weight = Annotated[
    str | None, option("COLUMN", "How much a row counts, such as its clicks.", section=_TABLE)
]
Group = Annotated[
    str | None,
    option("COLUMN", "Keep rows with the same value here on one side of --split.", section=_TABLE),
]
Time = Annotated[
    str | None, option("COLUMN", "Let --split take the latest rows, not any.", section=_TABLE)
]
Share = Annotated[
    list[str] | None,
    option(
        "COLUMN,COLUMN",
        "Columns that hold the same things, such as user,friend.",
        section=_TABLE,
    ),
]

PairsOf = Annotated[
    str | None,
    option(
        "NAME",
        "Make pairs of the rows afresh each epoch, such as sentence_rest. `object2vec pairs` lists "
        "the ways.",
        "--pairs",
        section=_TABLE,
    ),
]

Columns = Annotated[
    str | None,
    option("NAME,NAME", "Names of the columns, where no line holds them.", section=_READING),
]
Separator = Annotated[
    str | None, option("CHARACTER", "What stands between the columns of a text.", section=_READING)
]
TableFormat = Annotated[
    str | None,
    option(
        "FORMAT", "What FILE is, where its content does not say so.", "--format", section=_READING
    ),
]
InputFormat = Annotated[
    str | None,
    option("FORMAT", "What FILE is, where its content does not say so.", section=_READING),
]
Quote = Annotated[
    str | None,
    option("CHARACTER", 'Around values that hold separators; "" for none.', section=_READING),
]
Encoding = Annotated[
    str | None, option("NAME", "Of a text that is not UTF-8, such as latin-1.", section=_READING)
]
Lines = Annotated[bool, flag("--lines", "Read each line as a value.", section=_READING)]

Preset = Annotated[
    str | None,
    option(
        "NAME",
        "A set of them; by default one that suits the columns.",
        section=_HYPERPARAMETERS,
    ),
]
Vectors = Annotated[
    str | None,
    option(
        "FILE",
        "Vectors of words to begin with: GloVe, word2vec's text, or safetensors.",
        section=_HYPERPARAMETERS,
    ),
]
ModelConfig = Annotated[
    str | None,
    option(
        "FILE",
        "JSON object of hyperparameters; SageMaker's hyperparameters.json is one.",
        section=_HYPERPARAMETERS,
    ),
]
ModelSettings = Annotated[
    list[str] | None,
    option("NAME=VALUE", _SETTING, "--set", section=_HYPERPARAMETERS),
]
Auxiliary = Annotated[
    str | None,
    option(
        "DIR", "Folder or URL of vocabularies and pretrained vectors.", section=_HYPERPARAMETERS
    ),
]

StartFrom = Annotated[
    str | None, option("MODEL", "Begin with what this model knows, not at random.", section=_RUN)
]
StartState = Annotated[
    str | None,
    option("DIR", "The --save-state of that model: known rows go on with it.", section=_RUN),
]
SaveState = Annotated[
    str | None,
    option("DIR", "Keep the optimizer state, for a --start-state later.", section=_RUN),
]
Resume = Annotated[
    bool, flag("--resume", "Go on from the newest checkpoint, if there is one.", section=_RUN)
]
Overwrite = Annotated[
    bool, flag("--overwrite", "Replace MODEL, state and checkpoints that are there.", section=_RUN)
]
Checkpoints = Annotated[
    str | None,
    option("DIR", "Folder for checkpoints.  [default: MODEL.checkpoint]", section=_RUN),
]
CheckpointEvery = Annotated[
    str, option("INTERVAL", "Batches, or a time such as 30s, 10m or 1h.", section=_RUN)
]
_LOGS = "rich, plain, sagemaker or json.  [default: rich on a terminal, else plain]"
ShownLog = Annotated[LogFormat | None, option("FORMAT", _LOGS)]
RunLog = Annotated[LogFormat | None, option("FORMAT", _LOGS, "--log-format", section=_RUN)]
Host = Annotated[str, option("NAME", "Name in the lines of the sagemaker format.", section=_RUN)]

_TASK = "The task"

TaskOption = Annotated[
    TaskName | None,
    option(
        "TASK",
        "retrieval, ranking, similarity, classification, regression or multilabel.",
        "--task",
        section=_TASK,
    ),
]
TaskLabel = Annotated[
    str | None,
    option("COLUMN", "The labels, if not that of training.", "--label", section=_TASK),
]
Thresholds = Annotated[
    str | None, option("FILE", "Rows to choose thresholds on.", "--validation", section=_TASK)
]
Known = Annotated[
    list[str] | None,
    option(
        "FILE",
        "Pairs that are no candidates, such as those of training; may be given again.",
        section=_TASK,
    ),
]
Candidates = Annotated[
    str | None,
    option("FILE", "What is ranked.  [default: in1 of FILE and of the known pairs]", section=_TASK),
]
By = Annotated[
    Literal["cosine", "dot", "euclidean", "score"] | None,
    option(
        "cosine|dot|euclidean|score",
        "What ranks or is compared; score is what predict gives.",
        section=_TASK,
    ),
]
Ties = Annotated[
    Literal["mean", "pessimistic"],
    option("mean|pessimistic", "The rank among equals.", section=_TASK),
]
At = Annotated[str, option("K,K", "Of hits@k, recall@k and ndcg@k.", section=_TASK)]
Relevant = Annotated[
    float | None,
    option("NUMBER", "The least label of a right pair.  [default: above 0]", section=_TASK),
]
Clip = Annotated[
    str | None, option("LOW:HIGH", "Bounds of a predicted number, such as 1:5.", section=_TASK)
]
Resamples = Annotated[int, option("COUNT", "Of the bootstrap; 0 for no intervals.", section=_TASK)]
Seed = Annotated[int, option("NUMBER", "Of the bootstrap, and of made pairs.", section=_TASK)]

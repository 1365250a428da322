"""The options and arguments of the commands, each with its help."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from object2vec.reporting import LogFormat

Model = Annotated[str, typer.Argument(metavar="MODEL", hidden=True)]
Inputs = Annotated[list[str] | None, typer.Argument(metavar="[FILE]...", hidden=True)]
Files = Annotated[list[str], typer.Argument(metavar="FILE...", hidden=True)]
Out = Annotated[
    str | None, typer.Option(metavar="FILE", help="Write here, not to standard output.")
]
Device = Annotated[
    str | None,
    typer.Option(metavar="DEVICE", help="auto, cpu, cuda or cuda:N; as in training by default."),
]
ConfigFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="JSON object of hyperparameters; SageMaker's hyperparameters.json is one.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A hyperparameter; goes before --config.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Side = Literal["in0", "in1"]
RowFormat = Literal["jsonl", "npy", "arrow"]
Channel = Literal["train", "validation", "test"]


class Command(TyperCommand):
    """Shows its arguments in the usage line alone; the text of the help says what they are."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words after the command's name."""
        arguments = [p.metavar or "" for p in self.params if p.param_type_name == "argument"]
        return [*arguments, "[OPTIONS]"]


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


def _channel(help_text: str) -> Any:
    return typer.Option(metavar="FILE...", help=help_text, show_default=False)


Train = Annotated[list[str], _channel("Pairs to learn from.")]
Validation = Annotated[list[str] | None, _channel("Pairs that choose the best epoch.")]
Test = Annotated[list[str] | None, _channel("Pairs to score at the end.")]
ModelOut = Annotated[
    str, typer.Option(metavar="MODEL", help="Folder or URL to write the model to.")
]
Auxiliary = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Folder or URL of vocabularies and pretrained vectors."),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on from the newest checkpoint, if there is one.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace MODEL and checkpoints that are there.")
]
Checkpoints = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Folder for checkpoints.  [default: MODEL.checkpoint]"),
]
CheckpointEvery = Annotated[
    str, typer.Option(metavar="INTERVAL", help="Batches, or a time such as 30s, 10m or 1h.")
]
ShownLog = Annotated[
    LogFormat | None,
    typer.Option(
        metavar="FORMAT",
        help="rich, plain, sagemaker or json.  [default: rich on a terminal, else plain]",
    ),
]
Host = Annotated[
    str, typer.Option(metavar="NAME", help="Name in the lines of the sagemaker format.")
]

"""The options and arguments of the commands, each with its help."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from object2vec.reporting import LogFormat


def argument(metavar: str) -> Any:
    """Return what an argument looks like; the text of its command's help says what it is."""
    return typer.Argument(metavar=metavar, hidden=True)


def option(metavar: str, help_text: str, *names: str, show_default: bool = True) -> Any:
    """Return what an option with a value looks like, by default called like its parameter."""
    return typer.Option(*names, metavar=metavar, help=help_text, show_default=show_default)


Model = Annotated[str, argument("MODEL")]
Inputs = Annotated[list[str] | None, argument("[FILE]...")]
Files = Annotated[list[str], argument("FILE...")]
Out = Annotated[str | None, option("FILE", "Write here, not to standard output.")]
Device = Annotated[
    str | None, option("DEVICE", "auto, cpu, cuda or cuda:N; as in training by default.")
]
ConfigFile = Annotated[
    str | None,
    option("FILE", "JSON object of hyperparameters; SageMaker's hyperparameters.json is one."),
]
Settings = Annotated[
    list[str] | None,
    option("NAME=VALUE", "A hyperparameter; goes before --config.", "--set", show_default=False),
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


Train = Annotated[list[str], option("FILE...", "Pairs to learn from.", show_default=False)]
Validation = Annotated[
    list[str] | None, option("FILE...", "Pairs that choose the best epoch.", show_default=False)
]
Test = Annotated[
    list[str] | None, option("FILE...", "Pairs to score at the end.", show_default=False)
]
ModelOut = Annotated[str, option("MODEL", "Folder or URL to write the model to.")]
Auxiliary = Annotated[
    str | None, option("DIR", "Folder or URL of vocabularies and pretrained vectors.")
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on from the newest checkpoint, if there is one.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace MODEL and checkpoints that are there.")
]
Checkpoints = Annotated[
    str | None, option("DIR", "Folder for checkpoints.  [default: MODEL.checkpoint]")
]
CheckpointEvery = Annotated[str, option("INTERVAL", "Batches, or a time such as 30s, 10m or 1h.")]
ShownLog = Annotated[
    LogFormat | None,
    option("FORMAT", "rich, plain, sagemaker or json.  [default: rich on a terminal, else plain]"),
]
Host = Annotated[str, option("NAME", "Name in the lines of the sagemaker format.")]

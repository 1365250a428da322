"""``object2vec serve``, ``transform`` and ``sagemaker``: a model at work."""

from __future__ import annotations

import os
from typing import Annotated, Literal

import typer

from object2vec.cli.commands import app
from object2vec.cli.options import Command, Device, Files, Model, option
from object2vec.inference.payload import JSON, JSON_LINES

__all__ = ["app"]

sagemaker = typer.Typer(
    help="Do what a SageMaker container does.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(sagemaker, name="sagemaker")

OutFolder = Annotated[str, option("DIR", "Folder or prefix of the results.")]
Address = Annotated[str, option("ADDRESS", "0.0.0.0 lets other machines in.", "--host")]
Port = Annotated[int, option("PORT", "0 takes any free one.")]
LogLevel = Annotated[
    Literal["error", "warning", "info", "debug"],
    option("LEVEL", "error, warning, info, or debug for every request."),
]
ContentType = Annotated[str, option("TYPE", f"{JSON_LINES} or {JSON}.")]
Accept = Annotated[str, option("TYPE", "Of the predictions; like the records by default.")]
SplitType = Annotated[
    Literal["Line", "None"] | None,
    option("Line|None", "Whether each line is a record.  [default: of TYPE]"),
]
Strategy = Annotated[
    Literal["MultiRecord", "SingleRecord"],
    option("NAME", "MultiRecord or SingleRecord, with the same predictions."),
]
MaxPayload = Annotated[int, option("MB", "Records taken at once, 1 to 100.")]
TransformAgain = Annotated[
    bool, typer.Option("--overwrite", help="Transform also files that have predictions.")
]


@app.command(cls=Command)
def serve(
    model: Model, host: Address = "127.0.0.1", port: Port = 8080, log_level: LogLevel = "info"
) -> None:
    """Serve a model over HTTP, as SageMaker's endpoints do.

    MODEL is a folder that train wrote, a model.tar.gz, or the URL of either. The variable
    OBJECT2VEC_TOKEN sets a bearer token that every request must then carry.
    """
    from object2vec.serving.server import run

    raise typer.Exit(run(model, host=host, port=port, log_level=log_level))


@app.command(cls=Command)
def transform(
    model: Model,
    files: Files,
    out: OutFolder,
    content_type: ContentType = JSON_LINES,
    accept: Accept = "",
    split_type: SplitType = None,
    strategy: Strategy = "MultiRecord",
    max_payload: MaxPayload = 6,
    overwrite: TransformAgain = False,
    device: Device = None,
) -> None:
    """Score or embed whole files, as batch transform does.

    FILE is a file, a folder or a URL; FILE.out holds its predictions. Records with in0 and in1 are
    scored, those with one of them embedded. Files that have predictions already are skipped. A
    wrong record fails its file, and the others go on.
    """
    from object2vec.errors import DataError
    from object2vec.inference.transform import TransformSettings, transform

    settings = TransformSettings(
        content_type=content_type,
        accept=accept,
        split_type=split_type,
        strategy=strategy,
        max_payload_mb=max_payload,
        overwrite=overwrite,
        device=device,
    )
    report = transform(model, files, out, settings)
    if report.failed:
        count = len(report.failed) + len(report.done) + len(report.skipped)
        listed = "\n".join(f"  {name}" for name in report.failed)
        raise DataError(f"{len(report.failed)} of {count} files failed:\n{listed}")


@sagemaker.command(cls=Command)
def train() -> None:
    """Run the training job that /opt/ml describes.

    SAGEMAKER_BASE_DIR names another folder.
    """
    from object2vec.sagemaker.container import train_container
    from object2vec.sagemaker.paths import JobTree

    raise typer.Exit(train_container(JobTree.of(os.environ).base, os.environ))


@sagemaker.command("serve", cls=Command)
def serve_model() -> None:
    """Serve the model in /opt/ml/model on port 8080.

    SAGEMAKER_BASE_DIR names another folder than /opt/ml, SAGEMAKER_BIND_TO_PORT another port.
    """
    from object2vec.sagemaker.container import serve_container
    from object2vec.sagemaker.paths import JobTree

    raise typer.Exit(serve_container(JobTree.of(os.environ).base, os.environ))


Folder = Annotated[str, option("DIR", "Where buckets, jobs and endpoints lie.", "--dir")]
Slots = Annotated[int, option("N", "Jobs that run at once; 0: as many as share the cores well.")]
Key = Annotated[str, option("KEY", "Access key that requests must be signed with.")]
OwnS3 = Annotated[
    bool, typer.Option("--own-s3", help="Jobs read and write your own S3, not buckets of DIR.")
]


@sagemaker.command(
    cls=Command, context_settings={"allow_extra_args": True, "allow_interspersed_args": False}
)
def local(
    context: typer.Context,
    folder: Folder = "~/.object2vec/sagemaker",
    host: Address = "127.0.0.1",
    port: Port = 0,
    region: Annotated[str, option("REGION", "That jobs are in.")] = "us-east-1",
    slots: Slots = 0,
    key: Key = "",
    own_s3: OwnS3 = False,
) -> None:
    """Be SageMaker on this machine, for a command or until Ctrl-C.

    The command after -- runs with variables that lead AWS's SDKs, CLI and clients here: jupyter
    lab, python my_job.py, aws sagemaker list-training-jobs. Without one the service stays up and
    prints the lines to export.
    """
    from object2vec.sagemaker.local.command import run_command, stay

    settings = {
        "folder": folder,
        "host": host,
        "port": port,
        "region": region,
        "slots": slots,
        "key": key or None,
        "has_remote_storage": own_s3,
    }
    raise typer.Exit(run_command(context.args, **settings) if context.args else stay(**settings))

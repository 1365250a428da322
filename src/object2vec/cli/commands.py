"""The commands with their options; what they do stands in the modules beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import object2vec.cli.options as options
from object2vec.cli.options import (
    Channel,
    Command,
    ManyValues,
    Side,
    argument,
    flag,
    given_options,
    option,
)
from object2vec.cli.streams import say

app = typer.Typer(
    name="object2vec",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from object2vec.version import VERSION

        say(f"object2vec {VERSION}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks, like OBJECT2VEC_DEBUG=1.")]


@app.callback()
def start(version: Version = False, debug: Debug = False) -> None:
    """Learn vectors for anything that comes in pairs.

    Data go to standard output, logs to standard error. Exit codes: 0 done, 1 the run failed,
    2 your input or options, 130 and 143 ended by a signal.
    """  # `main` takes --debug from the arguments; here it stands for the help


@app.command(cls=ManyValues)
def train(
    context: typer.Context,
    train: options.Train,
    out: options.ModelOut,
    validation: options.Validation = None,
    split: options.Split = None,
    test: options.Test = None,
    in0: options.In0 = None,
    in1: options.In1 = None,
    label: options.Label = None,
    weight: options.Weight = None,
    group: options.Group = None,
    time: options.Time = None,
    share: options.Share = None,
    pairs: options.PairsOf = None,
    table_format: options.TableFormat = None,
    columns: options.Columns = None,
    separator: options.Separator = None,
    quote: options.Quote = None,
    encoding: options.Encoding = None,
    preset: options.Preset = None,
    vectors: options.Vectors = None,
    config: options.ModelConfig = None,
    settings: options.ModelSettings = None,
    auxiliary: options.Auxiliary = None,
    start_from: options.StartFrom = None,
    start_state: options.StartState = None,
    save_state: options.SaveState = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    checkpoints: options.Checkpoints = None,
    checkpoint_every: options.CheckpointEvery = "10m",
    log_format: options.RunLog = None,
    host: options.Host = "algo-1",
) -> None:
    """Train a model on pairs and save it.

    From a table, by the names of its columns; everything else is found out:

    object2vec train --train ratings.csv --in0 user --in1 film --out model

    From AWS's JSON Lines of integers, with SageMaker's hyperparameters:

    object2vec train --train pairs.jsonl --config hp.json --out model

    FILE is a file, a folder, a URL or - for standard input, packed with gzip or zstd or not. A
    table is CSV, TSV, Parquet, Arrow, JSON Lines, or text in the formats of fastText and StarSpace.

    Ctrl-C, SIGTERM and SIGHUP leave a checkpoint; the same command with --resume goes on from it to
    the very same model.
    """
    from object2vec.cli.training import Job, run

    run(Job.of(context.params))


@app.command(cls=Command)
def encode(
    context: typer.Context,
    model: options.Model,
    side: Annotated[Side, option("in0|in1", "Which encoder to use.")],
    files: options.Inputs = None,
    row_format: options.RowsAs = None,
    out: options.Out = None,
    input_format: options.InputFormat = None,
    columns: options.Columns = None,
    separator: options.Separator = None,
    quote: options.Quote = None,
    encoding: options.Encoding = None,
    lines: options.Lines = False,
    device: options.Device = None,
) -> None:
    """Turn objects of one side into vectors.

    MODEL is a folder that train wrote, a model.tar.gz, or the URL of either. Each FILE, or standard
    input, is a table with the columns of training, in any format that train reads. One vector is
    written for each row, in this order. Without a token that the model knows it is zeros; JSON
    Lines then say "unknown".

    For a model of ids each line is a record with the key in0 or in1, or a bare list of ids.
    """
    from object2vec.cli.inference import encode
    from object2vec.cli.tables import Reading

    reading = Reading.of(context.params)
    encode(model, int(side == "in1"), files or ["-"], row_format, out, device, reading)


@app.command(cls=Command)
def predict(
    context: typer.Context,
    model: options.Model,
    files: options.Inputs = None,
    out: options.Out = None,
    input_format: options.InputFormat = None,
    columns: options.Columns = None,
    separator: options.Separator = None,
    quote: options.Quote = None,
    encoding: options.Encoding = None,
    device: options.Device = None,
) -> None:
    """Score pairs with a saved model.

    MODEL is a folder that train wrote, a model.tar.gz, or the URL of either. Each FILE, or standard
    input, is a table with the columns of training; for a model of ids, JSON Lines with the keys in0
    and in1. One line is written for each row, in this order: the probabilities of the classes, with
    the name of the likeliest one, or the predicted value.
    """
    from object2vec.cli.inference import predict
    from object2vec.cli.tables import Reading

    predict(model, files or ["-"], out, device, Reading.of(context.params))


@app.command(cls=Command)
def evaluate(
    context: typer.Context,
    model: options.Model,
    files: options.Files,
    task: options.TaskOption = None,
    label: options.TaskLabel = None,
    validation: options.Thresholds = None,
    known: options.Known = None,
    candidates: options.Candidates = None,
    by: options.By = None,
    ties: options.Ties = "mean",
    at: options.At = "1,5,10,20,50",
    relevant: options.Relevant = None,
    clip: options.Clip = None,
    resamples: options.Resamples = 1_000,
    seed: options.Seed = 0,
    as_json: options.AsJson = False,
    compat_metrics: Annotated[
        bool, typer.Option("--compat-metrics", help="Average as AWS does, over filled-up batches.")
    ] = False,
    input_format: options.InputFormat = None,
    columns: options.Columns = None,
    separator: options.Separator = None,
    quote: options.Quote = None,
    encoding: options.Encoding = None,
    device: options.Device = None,
) -> None:
    """Print a model's metrics on pairs.

    MODEL is a folder that train wrote, a model.tar.gz, or the URL of either. FILE is a table like
    those of train. Without a task the metrics of training are printed, as JSON.

    retrieval: each row's in0 finds its in1 among all. ranking: each in0 ranks all in1, of which
    several are right. similarity: the cosine of both sides follows the labels. classification,
    regression: what predict gives is the label. multilabel: in1 is the set of right labels.
    """
    from object2vec.cli.evaluation import ASKED, evaluate
    from object2vec.cli.tables import Reading

    asked = {name: context.params[name] for name in given_options(context) if name in ASKED}
    compat, reading = compat_metrics or None, Reading.of(context.params)
    say(evaluate(model, files, task, asked, compat, device, reading, as_json=as_json))


@app.command(cls=Command)
def nearest(
    context: typer.Context,
    model: options.Model,
    queries: Annotated[list[str], argument("QUERY [QUERY]...")],
    side: Annotated[Side, option("in0|in1", "What the queries are.")] = "in0",
    of: Annotated[
        Side | None, option("in0|in1", "What to look for.  [default: the same side]")
    ] = None,
    k: Annotated[int, option("COUNT", "How many.", "-k")] = 10,
    candidates: Annotated[
        str | None,
        option("FILE", "Objects to look among.  [default: the vocabulary of the side]"),
    ] = None,
    whole: Annotated[bool, flag("--whole", "Take + and - in a query as text.")] = False,
    as_json: options.AsJson = False,
    input_format: options.InputFormat = None,
    columns: options.Columns = None,
    separator: options.Separator = None,
    quote: options.Quote = None,
    encoding: options.Encoding = None,
    lines: options.Lines = False,
    device: options.Device = None,
) -> None:
    """Find the objects most similar to others.

    MODEL is a folder that train wrote, a model.tar.gz, or the URL of either. QUERY is an object of
    one side: a value, a record as JSON where it has several columns, an id or a list of ids. It may
    be a sum, such as 'king - man + woman'. FILE is a table with the columns of the other objects.
    """
    from object2vec.cli.inference import nearest
    from object2vec.cli.tables import Reading

    reading = Reading.of(context.params)
    sides = int(side == "in1"), int((of or side) == "in1")
    say(nearest(model, queries, sides, candidates, k, whole, device, reading, as_json=as_json))


@app.command(cls=Command)
def vocabulary(
    model: options.Model,
    side: Annotated[Side, option("in0|in1", "Which encoder's.")],
    as_json: options.AsJson = False,
) -> None:
    """List the tokens of one side with their ids and counts.

    MODEL is a folder that train wrote, a model.tar.gz, or the URL of either. A line holds a token,
    its id and how often training saw it, with tabs between them, and the field if the side has
    several. Rows that are no token, such as the one for missing values, stand in angle brackets.
    """
    from object2vec.cli.inspection import vocabulary

    vocabulary(model, int(side == "in1"), as_json=as_json)


@app.command(cls=Command)
def check(
    context: typer.Context,
    files: options.Files,
    in0: options.In0 = None,
    in1: options.In1 = None,
    label: options.Label = None,
    weight: options.Weight = None,
    group: options.Group = None,
    share: options.Share = None,
    pairs: options.PairsOf = None,
    table_format: options.TableFormat = None,
    columns: options.Columns = None,
    separator: options.Separator = None,
    quote: options.Quote = None,
    encoding: options.Encoding = None,
    preset: options.Preset = None,
    config: options.ModelConfig = None,
    settings: options.ModelSettings = None,
    channel: Annotated[
        Channel,
        option("CHANNEL", "Read AWS's records as train, validation or test would be."),
    ] = "train",
) -> None:
    """Validate pairs without training.

    FILE is one like those of train. Of a table whose columns are named it prints what they hold,
    what is missing, rare or truncated, and what training would decide. With hyperparameters it
    applies their limits. For AWS's JSON Lines, without any, it prints the limits that they need.
    """
    from object2vec.cli.inspection import check
    from object2vec.cli.tables import Reading, TableChoice

    table, reading = TableChoice.of(context.params), Reading.of(context.params)
    say(check(files, config, settings or [], channel, table, reading))


@app.command(cls=Command)
def hyperparameters(
    name: Annotated[str | None, argument("[NAME]")] = None,
    as_json: options.AsJson = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the documentation page of all.")
    ] = False,
) -> None:
    """List hyperparameters: valid values, default, meaning.

    NAME is one of them; all are listed without it.
    """
    from object2vec.cli.reference import hyperparameters

    say(hyperparameters(name, as_json=as_json, as_markdown=markdown))


@app.command(cls=Command)
def kinds(
    name: Annotated[str | None, argument("[NAME]")] = None,
    as_json: options.AsJson = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the table of the documentation page.")
    ] = False,
) -> None:
    """List what the columns of a table may hold.

    NAME is one of the kinds; its options are listed with it, as in overview:text(min_count=2).
    """
    from object2vec.cli.reference import kinds

    say(kinds(name, as_json=as_json, as_markdown=markdown))


@app.command(cls=Command)
def pairs(
    name: Annotated[str | None, argument("[NAME]")] = None,
    as_json: options.AsJson = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the table of the documentation page.")
    ] = False,
) -> None:
    """List ways to make pairs of the rows of a table.

    NAME is one of them; its options are listed with it, as in sentence_rest(sentences=4).
    """
    from object2vec.cli.reference import pairs

    say(pairs(name, as_json=as_json, as_markdown=markdown))


@app.command(cls=Command)
def presets(as_json: options.AsJson = False) -> None:
    """List sets of hyperparameters to begin with."""
    from object2vec.cli.reference import presets

    say(presets(as_json=as_json))


@app.command(cls=Command)
def info(model: options.Model, as_json: options.AsJson = False) -> None:
    """Print what a saved model is made of.

    MODEL is a folder that train wrote, a model.tar.gz, or the URL of either. It is loaded, so that
    damage shows.
    """
    from object2vec.cli.inspection import info

    say(info(model, as_json=as_json))


@app.command(cls=Command)
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove what is cached.")] = False,
) -> None:
    """Show or clear the cache of parsed records."""
    from object2vec.cli.inspection import cache

    say(cache(clear=clear))


@app.command(cls=Command)
def demo(
    out: Annotated[
        Path | None, option("DIR", "Where to leave the model; a temporary folder if none.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a model that is there.")
    ] = False,
    log_format: options.ShownLog = None,
) -> None:
    """Train on real data that come with the package."""
    from object2vec.examples.demo import run

    run(out, overwrite=overwrite, log_format=log_format)

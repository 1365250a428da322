"""The commands with their options; what they do stands in the modules beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from object2vec.cli.options import (
    READING,
    AsJson,
    At,
    Auxiliary,
    By,
    Candidates,
    Channel,
    CheckpointEvery,
    Checkpoints,
    Clip,
    Columns,
    Command,
    Device,
    Encoding,
    Files,
    Group,
    Host,
    In0,
    In1,
    InputFormat,
    Inputs,
    Known,
    Label,
    ManyValues,
    Model,
    ModelConfig,
    ModelOut,
    ModelSettings,
    Out,
    Overwrite,
    PairsOf,
    Preset,
    Quote,
    Relevant,
    Resamples,
    Resume,
    RowsAs,
    RunLog,
    SaveState,
    Seed,
    Separator,
    Share,
    ShownLog,
    Side,
    Split,
    StartFrom,
    StartState,
    TableFormat,
    TaskLabel,
    TaskOption,
    Test,
    Thresholds,
    Ties,
    Time,
    Train,
    Validation,
    Vectors,
    Weight,
    argument,
    flag,
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
    train: Train,
    out: ModelOut,
    validation: Validation = None,
    split: Split = None,
    test: Test = None,
    in0: In0 = None,
    in1: In1 = None,
    label: Label = None,
    weight: Weight = None,
    group: Group = None,
    time: Time = None,
    share: Share = None,
    pairs: PairsOf = None,
    table_format: TableFormat = None,
    columns: Columns = None,
    separator: Separator = None,
    quote: Quote = None,
    encoding: Encoding = None,
    preset: Preset = None,
    vectors: Vectors = None,
    config: ModelConfig = None,
    settings: ModelSettings = None,
    auxiliary: Auxiliary = None,
    start_from: StartFrom = None,
    start_state: StartState = None,
    save_state: SaveState = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    checkpoints: Checkpoints = None,
    checkpoint_every: CheckpointEvery = "10m",
    log_format: RunLog = None,
    host: Host = "algo-1",
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
    from object2vec.cli.training import Reading, Start, TableChoice, run_job

    said = TableChoice(in0, in1, label, weight, group, time, share, preset, pairs, vectors)
    data, by = (train, validation, test), Reading(table_format, columns, separator, quote, encoding)
    start = Start(start_from, start_state, save_state, split, resume, overwrite, checkpoint_every)
    run_job(config, settings, data, said, by, start, log_format, host, out, checkpoints, auxiliary)


@app.command(cls=Command)
def encode(
    model: Model,
    side: Annotated[Side, option("in0|in1", "Which encoder to use.")],
    files: Inputs = None,
    row_format: RowsAs = None,
    out: Out = None,
    input_format: InputFormat = None,
    columns: Columns = None,
    separator: Separator = None,
    quote: Quote = None,
    encoding: Encoding = None,
    lines: Annotated[bool, flag("--lines", "Read each line as a value.", section=READING)] = False,
    device: Device = None,
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

    reading = Reading(input_format, columns, separator, quote, encoding, lines)
    encode(model, int(side == "in1"), files or ["-"], row_format, out, device, reading)


@app.command(cls=Command)
def predict(
    model: Model,
    files: Inputs = None,
    out: Out = None,
    input_format: InputFormat = None,
    columns: Columns = None,
    separator: Separator = None,
    quote: Quote = None,
    encoding: Encoding = None,
    device: Device = None,
) -> None:
    """Score pairs with a saved model.

    MODEL is a folder that train wrote, a model.tar.gz, or the URL of either. Each FILE, or standard
    input, is a table with the columns of training; for a model of ids, JSON Lines with the keys in0
    and in1. One line is written for each row, in this order: the probabilities of the classes, with
    the name of the likeliest one, or the predicted value.
    """
    from object2vec.cli.inference import predict
    from object2vec.cli.tables import Reading

    predict(
        model,
        files or ["-"],
        out,
        device,
        Reading(input_format, columns, separator, quote, encoding),
    )


@app.command(cls=Command)
def evaluate(
    model: Model,
    files: Files,
    task: TaskOption = None,
    label: TaskLabel = None,
    validation: Thresholds = None,
    known: Known = None,
    candidates: Candidates = None,
    by: By = None,
    ties: Ties = "mean",
    at: At = "1,5,10,20,50",
    relevant: Relevant = None,
    clip: Clip = None,
    resamples: Resamples = 1_000,
    seed: Seed = 0,
    as_json: AsJson = False,
    compat_metrics: Annotated[
        bool, typer.Option("--compat-metrics", help="Average as AWS does, over filled-up batches.")
    ] = False,
    input_format: InputFormat = None,
    columns: Columns = None,
    separator: Separator = None,
    quote: Quote = None,
    encoding: Encoding = None,
    device: Device = None,
) -> None:
    """Print a model's metrics on pairs.

    MODEL is a folder that train wrote, a model.tar.gz, or the URL of either. FILE is a table like
    those of train. Without a task the metrics of training are printed, as JSON.

    retrieval: each row's in0 finds its in1 among all. ranking: each in0 ranks all in1, of which
    several are right. similarity: the cosine of both sides follows the labels. classification,
    regression: what predict gives is the label. multilabel: in1 is the set of right labels.
    """
    from object2vec.cli.evaluation import TaskOptions, evaluate
    from object2vec.cli.tables import Reading

    reading = Reading(input_format, columns, separator, quote, encoding)
    how = by, ties, at, relevant, clip, resamples, seed
    asked = TaskOptions(task, label, validation, known or (), candidates, *how)
    compat = compat_metrics or None
    say(evaluate(model, files, asked, compat, device, reading, as_json=as_json))


@app.command(cls=Command)
def nearest(
    model: Model,
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
    as_json: AsJson = False,
    input_format: InputFormat = None,
    columns: Columns = None,
    separator: Separator = None,
    quote: Quote = None,
    encoding: Encoding = None,
    lines: Annotated[bool, flag("--lines", "Read each line as a value.", section=READING)] = False,
    device: Device = None,
) -> None:
    """Find the objects most similar to others.

    MODEL is a folder that train wrote, a model.tar.gz, or the URL of either. QUERY is an object of
    one side: a value, a record as JSON where it has several columns, an id or a list of ids. It may
    be a sum, such as 'king - man + woman'. FILE is a table with the columns of the other objects.
    """
    from object2vec.cli.inference import nearest
    from object2vec.cli.tables import Reading

    reading = Reading(input_format, columns, separator, quote, encoding, lines)
    sides = int(side == "in1"), int((of or side) == "in1")
    say(nearest(model, queries, sides, candidates, k, whole, device, reading, as_json=as_json))


@app.command(cls=Command)
def vocabulary(
    model: Model,
    side: Annotated[Side, option("in0|in1", "Which encoder's.")],
    as_json: AsJson = False,
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
    files: Files,
    in0: In0 = None,
    in1: In1 = None,
    label: Label = None,
    weight: Weight = None,
    group: Group = None,
    time: Time = None,
    share: Share = None,
    pairs: PairsOf = None,
    table_format: TableFormat = None,
    columns: Columns = None,
    separator: Separator = None,
    quote: Quote = None,
    encoding: Encoding = None,
    preset: Preset = None,
    config: ModelConfig = None,
    settings: ModelSettings = None,
    channel: Annotated[
        Channel, option("CHANNEL", "Read AWS's records as train, validation or test would be.")
    ] = "train",
) -> None:
    """Validate pairs without training.

    FILE is one like those of train. Of a table whose columns are named it prints what they hold,
    what is missing, rare or truncated, and what training would decide. With hyperparameters it
    applies their limits. For AWS's JSON Lines, without any, it prints the limits that they need.
    """
    from object2vec.cli.inspection import check
    from object2vec.cli.tables import Reading, TableChoice

    table = TableChoice(in0, in1, label, weight, group, time, share, preset, pairs)
    reading = Reading(table_format, columns, separator, quote, encoding)
    say(check(files, config, settings or [], channel, table, reading))


@app.command(cls=Command)
def hyperparameters(
    name: Annotated[str | None, argument("[NAME]")] = None,
    as_json: AsJson = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the documentation page of all.")
    ] = False,
) -> None:
    """List hyperparameters: valid values, default, meaning.

    NAME is one of them; all are listed without it.
    """
    from object2vec.cli.inspection import hyperparameters

    say(hyperparameters(name, as_json=as_json, as_markdown=markdown))


@app.command(cls=Command)
def kinds(
    name: Annotated[str | None, argument("[NAME]")] = None,
    as_json: AsJson = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the table of the documentation page.")
    ] = False,
) -> None:
    """List what the columns of a table may hold.

    NAME is one of the kinds; its options are listed with it, as in overview:text(min_count=2).
    """
    from object2vec.cli.inspection import kinds

    say(kinds(name, as_json=as_json, as_markdown=markdown))


@app.command(cls=Command)
def pairs(
    name: Annotated[str | None, argument("[NAME]")] = None,
    as_json: AsJson = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the table of the documentation page.")
    ] = False,
) -> None:
    """List ways to make pairs of the rows of a table.

    NAME is one of them; its options are listed with it, as in sentence_rest(sentences=4).
    """
    from object2vec.cli.inspection import pairs

    say(pairs(name, as_json=as_json, as_markdown=markdown))


@app.command(cls=Command)
def presets(as_json: AsJson = False) -> None:
    """List sets of hyperparameters to begin with."""
    from object2vec.cli.inspection import presets

    say(presets(as_json=as_json))


@app.command(cls=Command)
def info(model: Model, as_json: AsJson = False) -> None:
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
    log_format: ShownLog = None,
) -> None:
    """Train on real data that come with the package."""
    from object2vec.examples.demo import run

    run(out, overwrite=overwrite, log_format=log_format)

"""The model: fit, encode, predict, evaluate, save and load.

Everything that a surface (command line, server, SageMaker container) does goes through this class.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from object2vec import artifact as artifacts
from object2vec.artifact import Artifact, ModelFacts, Vocabularies
from object2vec.config import Config
from object2vec.errors import ConfigError, DataError, NotFittedError
from object2vec.estimator import Estimator, arguments_of
from object2vec.fields.schema import ObjectSchema
from object2vec.inference.engine import Engine
from object2vec.inference.given import take_objects
from object2vec.inference.neighbours import Neighbour, Objects, find_nearest
from object2vec.objectives import objective_of
from object2vec.objects.schema import SIDES
from object2vec.reading.tables import TableOptions
from object2vec.reporting import LogFormat
from object2vec.reporting.events import Reporter
from object2vec.reporting.reporters import reporter
from object2vec.tasks import Question, TaskName, TaskSource, evaluate, evaluate_as_trained, suiting
from object2vec.training.options import Channels, Habits, checkpoint_habits, local_folder
from object2vec.training.run import Run
from object2vec.training.stop import StopRequest
from object2vec.training.tables import Declared, with_labels

Floats = NDArray[np.float32]


class Object2Vec(Estimator):
    """Learns vectors for objects that come in pairs.

    Parameters
    ----------
    in0, in1 : str, Field, or sequence of these, optional
        Columns of a table that make the objects of a side, as a specification
        (``'genres:tokens("|")'``) or a field (``Text("overview")``). Without them records are
        AWS's: sequences of ids.
    label, weight, group, time : str, optional
        Columns that say what a pair is worth, how much it counts, which rows belong together, and
        when a row was. Without a label every row is a positive, and negatives are drawn.
    share : sequence of str, or of such sequences, optional
        Columns whose fields have one vocabulary.
    pairs : str, optional
        Name of what makes the pairs of training of the rows of a table, afresh each epoch, with its
        options: ``sentence_rest(sentences=4)``. By default each row is a pair.
    preset : str, optional
        Name of the hyperparameters to begin with, where columns are named; `object2vec presets`
        lists them. By default those that suit the columns.
    vectors : path or URL, optional
        Vectors of words that training begins with, where columns are named: text as GloVe and
        word2vec have it, packed or not, or a safetensors file beside the words of its rows.
    **hyperparameters
        By AWS's names, as strings or Python values; `object2vec hyperparameters` lists them. They
        are checked by `fit`, or earlier through `config`. Where columns are named nothing has to be
        set: the data decide.

    Examples
    --------
    >>> table = {"user": ["ann", "bob", "ann"], "film": ["Up", "Up", "Big"], "rating": [5, 3, 1]}
    >>> rating = Object2Vec(in0="user", in1="film", label="rating", epochs=1).fit(table)
    >>> rating.predict(in0=["ann"], in1=["Big"]).shape
    (1, 1)

    >>> model = Object2Vec(enc0_network="pooled_embedding", enc0_max_seq_len=2, enc0_vocab_size=9,
    ...                    enc_dim=4, mlp_layers=0, epochs=1)
    >>> records = [{"in0": [1], "in1": [2, 3], "label": 1}, {"in0": [4], "in1": [5], "label": 0}]
    >>> model.fit(records, validation=records).encode(in0=[[1], [1, 4]]).shape
    (2, 4)
    """

    def __init__(
        self,
        *,
        in0: Any = (),
        in1: Any = (),
        label: str | None = None,
        weight: str | None = None,
        group: str | None = None,
        time: str | None = None,
        share: Sequence[str] | Sequence[Sequence[str]] = (),
        pairs: str | None = None,
        preset: str | None = None,
        vectors: str | os.PathLike[str] | None = None,
        **hyperparameters: Any,
    ) -> None:
        columns = {"in0": in0, "in1": in1, "label": label, "weight": weight, "group": group}
        columns |= {"time": time, "share": share, "pairs": pairs, "preset": preset}
        columns |= {"vectors": vectors}
        given = {name: value for name, value in columns.items() if value is not None}
        super().__init__(
            **{n: value for n, value in given.items() if not _is_empty(value)}, **hyperparameters
        )

    @property
    def config(self) -> Config:
        """The typed configuration; where columns are named it is known once they are read.

        Raises
        ------
        ConfigError
            If the hyperparameters are wrong; all problems together.
        """
        if self._artifact:
            return self._artifact.config
        return self._begin(None, TableOptions(), None, None)[0]

    @property
    def facts(self) -> ModelFacts:
        """Data counts, metrics and the history of the training."""
        return self.artifact.facts

    @property
    def vocabularies(self) -> Vocabularies:
        """Token to id for in0 and in1, where a vocabulary file was given."""
        return self.artifact.vocabularies

    @property
    def schema(self) -> ObjectSchema | None:
        """What makes ids of the values of a table; None where objects are ids."""
        return self.artifact.schema

    def fit(
        self,
        train: Any,
        y: Any = None,
        *,
        validation: Any = None,
        test: Any = None,
        split: float | None = None,
        start_from: str | os.PathLike[str] | Object2Vec | None = None,
        start_state: str | os.PathLike[str] | None = None,
        format: str | None = None,
        columns: Sequence[str] | None = None,
        separator: str | None = None,
        quote: str = '"',
        encoding: str | None = None,
        auxiliary: str | os.PathLike[str] | None = None,
        checkpoints: str | os.PathLike[str] | None = None,
        checkpoint_every: str | int | None = None,
        resume: bool = False,
        save_to: str | os.PathLike[str] | None = None,
        save_state: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        log_format: LogFormat | None = None,
        reporters: Sequence[Reporter] = (),
        stop: StopRequest | None = None,
    ) -> Object2Vec:
        """Train and keep the weights of the best epoch.

        Parameters
        ----------
        train, validation, test : anything that `Pairs.read` reads
            JSON Lines files, folders, records or columns; where columns are named, anything that
            `open_table` opens: files of any format, frames, columns. Validation drives early
            stopping and the choice of the best epoch; test is scored once at the end.
        y : sequence of n numbers, optional
            Labels of `train` in place of those that it holds, as scikit-learn passes them.
        split : float, optional
            Share of the training table that is kept for validation: the latest rows if there is a
            time, else whole groups if there is a group, else rows at random.
        start_from : path, URL or Object2Vec, optional
            A model to go on from: its weights, and its vocabularies, in which known tokens keep
            their rows and new ones get rows behind them. What is not set is as it was there.
        start_state : path, optional
            The `save_state` or the checkpoints of the run that made the model, finished or not: its
            known rows and layers go on with that optimizer state, new rows begin without.
        format, columns, separator, quote, encoding : optional
            How tables are read, see `TableOptions`.
        auxiliary : path or URL, optional
            Folder of the pretrained vectors and vocabulary files that the hyperparameters name.
        checkpoints : path, optional
            Folder that this run owns, for checkpoints; none are written without it.
        checkpoint_every : str or int, optional
            Steps (``500``) or time (``"10m"``) between checkpoints; by default only a signal writes
            one.
        resume : bool, default False
            Go on from the newest checkpoint, to the same bytes as an uninterrupted run; start
            afresh if there is none.
        save_to : path or URL, optional
            Where to save the model when it is trained; the checkpoints are removed then.
        save_state : path, optional
            Folder to keep the optimizer state in that the run ends with, a `start_state` of later
            ones; with a copy of the weights it is up to three times as large as the model.
        overwrite : bool, default False
            Replace a model at `save_to`, a state at `save_state`, and checkpoints of another run.
        log_format : {"rich", "plain", "sagemaker", "json"}, optional
            Show progress this way; silent by default.
        reporters : sequence of Reporter
            Take every event of the run, too.
        stop : StopRequest, optional
            Lets the caller end the run; by default SIGINT, SIGTERM and SIGHUP do.

        Returns
        -------
        Object2Vec
            This model.

        Raises
        ------
        ConfigError, DataError
            If hyperparameters or records are wrong.
        Interrupted
            If the run was asked to stop; a checkpoint was written where there is a folder for it,
            and the model holds the best weights so far.
        TrainingError
            If no epoch ended with finite numbers; nothing is saved then.
        StorageError
            If something cannot be written, must not be replaced or belongs to another process. A
            model that is trained and cannot be saved is in the last checkpoint, where there is a
            folder for them: `resume` saves it without training again.
        """
        options = TableOptions(format, tuple(columns or ()) or None, separator, quote, encoding)
        start = _loaded(start_from)
        config, declared = self._begin(start, options, split, y)
        folder, interval = checkpoint_habits(checkpoints, checkpoint_every, resume=resume)
        listeners = [*reporters, *([reporter(log_format)] if log_format else [])]
        channels = Channels(with_labels(train, y, declared), validation, test, auxiliary)
        state = None if save_state is None else local_folder("save_state", save_state)
        habits = Habits(folder, interval, resume, save_to, overwrite, tuple(listeners), stop, state)
        run = Run(config, channels, habits, declared, start, start_state)
        try:
            run()
        finally:
            self._artifact = run.artifact or self._artifact
        return self

    def encode(
        self, *, in0: Any = None, in1: Any = None, max_seq_lens: Sequence[int] | None = None
    ) -> Floats:
        """Return the embeddings of objects of one side.

        Parameters
        ----------
        in0, in1 : sequence, array, series, or table of length n
            n objects, of exactly one side. A model that was trained on a table takes values as the
            table had them: a column, such as a list of texts, where an object is one field; else
            anything with the columns of training, such as a data frame, a dict of columns or a list
            of dicts, of which some may be missing. Other models take sequences of ids, as
            `Ragged.build` reads them.
        max_seq_lens : pair of int, optional
            Read this many tokens of in0 and in1 instead of the numbers of training.

        Returns
        -------
        ndarray of shape (n, D), float32
            In the order given; zeros for an object without tokens.

        Raises
        ------
        NotFittedError
            If the model was neither trained nor loaded.
        DataError
            If ids, values or columns are wrong, or not exactly one side is given.
        ArtifactError
            If a number is NaN or infinite.

        Notes
        -----
        How many objects were truncated, hold the padding id 0, or have no token is logged as a
        warning of the logger ``object2vec.inference``; what the vocabularies do not hold is logged
        there as information.
        """
        if (in0 is None) == (in1 is None):
            got = "neither" if in0 is None else "both"
            raise DataError.at(
                "encode", "must be given in0= or in1=", got, "Encode one side at a time."
            )
        engine = Engine(self.artifact)
        side, given = (0, in0) if in1 is None else (1, in1)
        return engine.encode(side, take_objects(self.artifact, {side: given}, max_seq_lens)[side])

    def predict(
        self,
        table: Any = None,
        *,
        in0: Any = None,
        in1: Any = None,
        max_seq_lens: Sequence[int] | None = None,
    ) -> Floats:
        """Return the scores of pairs.

        Parameters
        ----------
        table : path, data frame, dict of columns, list of dicts, or other table of n rows, optional
            Pairs with the columns of training. A model of ids takes what `Pairs.read` reads.
        in0, in1 : as in `encode`, optional
            n objects each, in place of a table; row i of in0 goes with row i of in1.
        max_seq_lens : pair of int, optional
            As in `encode`.

        Returns
        -------
        ndarray of shape (n, K) or (n, 1), float32
            Probabilities of the classes, in the order of `classes`, or predicted values.

        Raises
        ------
        NotFittedError
            If the model was neither trained nor loaded.
        DataError
            If ids, values or columns are wrong, the sides differ in length, or there are neither a
            table nor both sides.
        ArtifactError
            If a number is NaN or infinite.

        Notes
        -----
        What is logged is that of `encode`.
        """
        engine = Engine(self.artifact)
        sides = {side: given for side, given in enumerate((in0, in1)) if given is not None}
        if len(sides) != (2 if table is None else 0):
            cure = "Pass predict(table), or predict(in0=..., in1=...)."
            got = ", ".join(["table"] * (table is not None) + [SIDES[side] for side in sides])
            must = "must be given a table, or in0 and in1"
            raise DataError.at("predict", must, got or "nothing", cure)
        taken = take_objects(self.artifact, sides, max_seq_lens, table)
        if len(taken[0]) != len(taken[1]):
            lengths, cure = [len(taken[0]), len(taken[1])], "Give each object its partner."
            raise DataError.at("predict", "must have columns of one length", lengths, cure)
        return engine.score(taken[0], taken[1])

    def nearest(
        self,
        queries: Any,
        *,
        side: Literal["in0", "in1"] = "in0",
        of: Literal["in0", "in1"] | None = None,
        candidates: Any = None,
        k: int = 10,
        whole: bool = False,
    ) -> list[list[Neighbour]]:
        """Return the objects that are most similar to each query, best first.

        Parameters
        ----------
        queries : str, or sequence of str, dict or list of int
            Objects: a value where a side has one column, a dict of values, or ids. A text may be a
            sum of objects, such as ``"king - man + woman"``, with blanks around the signs.
        side : {"in0", "in1"}
            What the queries are.
        of : {"in0", "in1"}, optional
            What is looked for; by default the same side.
        candidates : table, column of values, or sequences of ids, optional
            Objects that may be found; by default the tokens that training knew.
        k : int
            How many to return of each.
        whole : bool, default False
            Take texts as they are, signs and all.

        Returns
        -------
        list of lists of (object, score)
            A list for each query, without the objects that it names. Objects of one side are
            compared by cosine, those of both as the objective compares them.

        Raises
        ------
        NotFittedError
            If the model was neither trained nor loaded.
        DataError
            If a query is no object of its side, or has no token that training knew.

        Examples
        --------
        >>> films = {"user": ["ann", "ann", "bob"], "film": ["Up", "Big", "Up"]}
        >>> model = Object2Vec(in0="user", in1="film", epochs=1).fit(films)
        >>> [film.object for film in model.nearest("ann", of="in1", k=3)[0]]
        ['Up', 'Big']
        """
        engine, numbers = Engine(self.artifact), [SIDES.index(each) for each in (side, of or side)]
        asked, found = (Objects(engine, n, self.vocabularies[n]) for n in numbers)
        given = [queries] if isinstance(queries, str | Mapping) else queries
        return find_nearest(given, asked, found, found.candidates(candidates), k, is_whole=whole)

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes, in the order of the scores, if labels of training had names."""
        return Engine(self.artifact).classes

    def evaluate(
        self,
        source: Any,
        *,
        task: TaskName | None = None,
        compat_metrics: bool | None = None,
        **asked: Any,
    ) -> dict[str, float]:
        """Return the metrics of labelled pairs, by name.

        Parameters
        ----------
        source : anything that `Pairs.read` reads, or `open_table` opens where columns are named
        task : {"retrieval", "ranking", "similarity", "classification", "regression", "multilabel"}
            What the model is to be good for; by default the metrics of its training.
        compat_metrics : bool, optional
            Average as the hyperparameter of this name says; as in training by default.
        **asked
            With a task, what else is asked: see `object2vec.tasks.Question`.

        Returns
        -------
        dict of str to float
            With a task an `object2vec.tasks.Evaluation`, which has confidence intervals and says
            what was measured.

        Raises
        ------
        NotFittedError
            If the model was neither trained nor loaded.
        ConfigError
            If a task does not suit the model or what is asked.
        DataError
            If records are wrong.
        """
        if task is not None or asked:
            if compat_metrics is not None:
                must, cure = "must be left out where a task is measured", "Leave one of them out."
                raise ConfigError.at("compat_metrics", must, compat_metrics, cure)
            question, engine = Question.build(asked), Engine(self.artifact)
            given = TaskSource(self.config, self.schema, source, question.label, seed=question.seed)
            return evaluate(engine, given, task or suiting(engine, question), question)
        return evaluate_as_trained(self.artifact, source, compat_metrics)

    def score(self, source: Any, y: Any = None) -> float:
        """Return one number that is the greater the better the model, as scikit-learn expects it.

        Parameters
        ----------
        source : anything that `Pairs.read` reads
        y : sequence of n numbers, optional
            Labels in place of those that `source` holds.

        Returns
        -------
        float
            The objective's first score, such as accuracy; of one that has only losses, such as the
            mean squared error, the watched loss with its sign changed.

        Raises
        ------
        NotFittedError
            If the model was neither trained nor loaded.
        DataError
            If records are wrong.
        """
        metric, schema = objective_of(self.config).score, self.artifact.schema
        declared = None if schema is None else Declared(schema.declared)
        value = self.evaluate(with_labels(source, y, declared))[metric.name]
        return value if metric.kind == "score" else -value

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the model to a folder, whole or not at all.

        Parameters
        ----------
        path : path or URL
        overwrite : bool, default False
            Replace a model that is there.

        Raises
        ------
        NotFittedError
            If there is nothing to save.
        StorageError
            If the folder exists already and `overwrite` is false, or cannot be written.
        """
        artifacts.save(self.artifact, path, replace=overwrite)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, device: str | None = None) -> Object2Vec:
        """Return a model that `save` wrote.

        Parameters
        ----------
        path : path or URL
            Of the folder, or of a ``model.tar.gz`` of it.
        device : str, optional
            Where to compute: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; as trained by default.

        Raises
        ------
        ArtifactError
            If a file is missing, damaged or of a later version.
        ConfigError
            If the device is not there.
        """
        loaded = artifacts.load(path, device)
        model = cls(**arguments_of(loaded))
        model._artifact = loaded
        return model

    @property
    def artifact(self) -> Artifact:
        """The trained network with all that belongs to it.

        Raises
        ------
        NotFittedError
            If the model was neither trained nor loaded.
        """
        if self._artifact is None:
            cure = "Call fit, or Object2Vec.load."
            raise NotFittedError.at("Object2Vec", "must be trained or loaded", "a new model", cure)
        return self._artifact


def _is_empty(value: Any) -> bool:
    return isinstance(value, tuple | list | str) and not value


def _loaded(start_from: str | os.PathLike[str] | Object2Vec | None) -> Artifact | None:
    """Return the model to go on from."""
    if start_from is None:
        return None
    if isinstance(start_from, Object2Vec):
        return start_from.artifact
    return artifacts.load(start_from, "cpu")

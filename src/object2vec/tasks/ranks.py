"""Finding in1 by in0: retrieval, where each record asks, and ranking, where each in0 does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import ConfigError, DataError
from object2vec.evaluation.retrieval import rank_measure, ranks, ranks_by_score
from object2vec.objects.ragged import Ragged
from object2vec.tasks.base import By, Evaluation, Question, Task, score_rows, scores_of_all
from object2vec.tasks.records import Distinct, Records, TaskSource

if TYPE_CHECKING:
    from object2vec.inference.engine import Engine

Rows = NDArray[np.int64]


class FindTask(Task):
    """What retrieval and ranking have in common."""

    uses = frozenset({"label", "known", "candidates", "by", "ties", "at", "relevant"})
    unit: ClassVar[str]

    def measure(self, engine: Engine, source: TaskSource, question: Question) -> Evaluation:
        """Return the figures of the ranks of right candidates."""
        pool = Pool.of(source, question)
        by = question.by or similarity_of(engine)
        found = pool.ranks(engine, by, question)  # (p,)
        units, ranked = self.units(pool, found)
        measure = rank_measure(ranked, units, at=question.at)
        figures = measure.figures(resamples=question.resamples, seed=question.seed)
        protocol = {
            **({"pairs": pool.made} if pool.made else {}),
            self.unit: measure.units,
            "right_candidates": len(ranked),
            "candidates": len(pool.candidates),
            "candidates_from": pool.origin,
            "known_pairs_left_out": len(pool.known[0]),
            "ranked_by": by,
            "ties": f"{question.ties} rank",
            **({"relevant": question.relevant} if question.relevant is not None else {}),
        }
        return Evaluation(self.name, self.chosen(figures), protocol)

    def units(self, pool: Pool, found: Rows) -> tuple[Rows, Rows]:
        """Return whose each rank is, ascending, and the ranks: here the queries'."""
        return pool.query, found

    def chosen(self, figures: dict[str, Any]) -> dict[str, Any]:
        """Return the figures that say something."""
        return figures


class Retrieval(FindTask):
    """Each record's in0 finds its in1; other right ones of the same in0 are left out."""

    name = "retrieval"
    unit = "queries"

    def units(self, pool: Pool, found: Rows) -> tuple[Rows, Rows]:
        """Return each record and its rank among those that are wrong."""
        order = np.lexsort((found, pool.query))
        first = np.searchsorted(pool.query, pool.query)  # (p,) ascending
        before = np.empty(len(found), np.int64)
        before[order] = np.arange(len(found)) - first[order]
        ranked = (found - before)[pool.pair]  # (n,)
        return np.arange(len(ranked)), ranked

    def chosen(self, figures: dict[str, Any]) -> dict[str, Any]:
        """Return those that are not another's name for the same."""
        same = ("recall@", "mean_average_precision")
        return {name: each for name, each in figures.items() if not name.startswith(same)}


class Ranking(FindTask):
    """Each in0 ranks all in1; the figures are of all that are right."""

    name = "ranking"
    unit = "queries_with_right_candidates"


@dataclass(frozen=True, eq=False)
class Pool:
    """Different objects of both sides, and which belong together.

    Parameters
    ----------
    queries, candidates : Ragged of length q, N
    query, target : int64 array (p,)
        The different right pairs, by query.
    pair : int64 array (n,)
        Which of them each record is.
    known : pair of int64 arrays (m,)
        Pairs that do not count.
    origin : str
        Where the candidates are from, in words.
    made : str
        How the pairs were made, in words; "" if the file has them.
    """

    queries: Ragged
    candidates: Ragged
    query: Rows
    target: Rows
    pair: Rows
    known: tuple[Rows, Rows]
    origin: str
    made: str

    @classmethod
    def of(cls, source: TaskSource, question: Question) -> Pool:
        """Return the pool of a file, without pairs that are known."""
        records = source.records()
        if question.relevant is not None and records.label is None:
            cure = "Name their column by --label, or leave --relevant out."
            raise ConfigError.at("relevant", "must have labels to go by", "none", cure)
        right = relevant(records, question.relevant)
        known, parts, origin = None, [right.in1], "in1 of the file"
        if question.known is not None:
            known = relevant(source.of(question.known).records(), question.relevant)
        if question.candidates is not None:
            parts.append(source.of(question.candidates).objects(1))
            origin = "the file of candidates, and in1 of the file"
        elif known is not None:
            parts.append(known.in1)
            origin = "in1 of the file and of the known pairs"
        queries, candidates = Distinct(right.in0), Distinct(Ragged.concatenate(parts))
        count = len(candidates)
        pairs = queries.numbers * count + candidates.numbers[: len(right)]
        keys, pair = np.unique(pairs, return_inverse=True)
        hidden = np.zeros(0, np.int64)
        if known is not None:
            rows, columns = queries.find(known.in0), candidates.find(known.in1)
            is_in = (rows >= 0) & (columns >= 0)
            hidden = np.setdiff1d(rows[is_in] * count + columns[is_in], keys)
        return cls(
            queries.sequences,
            candidates.sequences,
            *np.divmod(keys, count),
            pair,
            divmod(hidden, count),
            origin,
            right.origin,
        )

    def ranks(self, engine: Engine, by: By, question: Question) -> Rows:
        """Return the rank of the target of each right pair, (p,)."""
        a, b = engine.encode(0, self.queries), engine.encode(1, self.candidates)
        ties = question.ties
        if by != "score":
            query, known = self.query, self.known
            return ranks(a, b, self.target, query=query, known=known, ties=ties, similarity=by)
        scores = (score_rows(engine, a[rows], b) for rows in scores_of_all(engine, a, b))
        return ranks_by_score(scores, self.target, query=self.query, known=self.known, ties=ties)


def similarity_of(engine: Engine) -> Literal["cosine", "dot", "score"]:
    """Return what the objective of a model compares, as far as an order of in1 can show it."""
    objective = engine.network.objective
    if objective.head == "odds":
        return "score"
    return "cosine" if objective.head == "layers" or objective.normalized[1] else "dot"


def relevant(records: Records, least: float | None) -> Records:
    """Return the records whose labels say that they are right pairs; all if they have none."""
    if records.label is None:
        return records
    kept = records.where(records.label > 0 if least is None else records.label >= least)
    if not len(kept):
        must = "must hold a right pair, one whose label is " + (
            "above 0" if least is None else f"{least:g} or more"
        )
        raise DataError.at("records", must, "none", "Check --label and --relevant.")
    return kept

"""Which values to try next, and when a trial has no prospects: Optuna, made of what was tried.

Nothing is remembered between two questions but the trials themselves: the sampler's seed follows
from the study's and the number of the trial. A study that goes on asks as one that was never
interrupted.
"""

from __future__ import annotations

import itertools
import statistics
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from object2vec.errors import ConfigError
from object2vec.tuning.objective import Goal
from object2vec.tuning.space import Space
from object2vec.tuning.trials import Trial

if TYPE_CHECKING:
    import optuna

Strategy = Literal["bayesian", "random", "grid", "hyperband"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
_RANDOM_TRIALS = 10  # before those that were tried say where to look
_REDUCTION = 3  # of trials from one rung of hyperband to the next
_FEWEST = 3  # trials whose courses say what is usual


@dataclass(frozen=True)
class Search:
    """How a study looks for better values.

    Parameters
    ----------
    space : Space
    objective : Goal
    strategy : {"bayesian", "random", "grid", "hyperband"}
        Bayesian is the tree-structured Parzen estimator (Bergstra et al. 2011) over all
        hyperparameters together; hyperband (Li et al. 2018) is the same with many short trials.
    seed : int
    early_stopping : bool
        Whether trials without prospects are stopped by AWS's rule of the median.
    epochs : int
        That a trial has at the most, for hyperband.
    grid_points : int
        Of each range of numbers.
    """

    space: Space
    objective: Goal
    strategy: Strategy = "bayesian"
    seed: int = 0
    early_stopping: bool = False
    epochs: int = 30
    grid_points: int = 4

    def grid(self) -> list[dict[str, Any]]:
        """Return every combination of the grid."""
        axes = [each.grid(self.grid_points) for each in self.space.ranges.values()]
        return [
            dict(zip(self.space.ranges, point, strict=True)) for point in itertools.product(*axes)
        ]

    def next_values(
        self, trials: Sequence[Trial], known: Sequence[Trial] = (), first: Sequence[Any] = ()
    ) -> dict[str, Any] | None:
        """Return the values to try next; None if there are no more.

        Parameters
        ----------
        trials : sequence of Trial
            All of the study, those that run included.
        known : sequence of Trial
            Of other studies, as if they were of this one.
        first : sequence of dict
            To be tried before anything else.
        """
        number = len(trials)
        if self.strategy == "grid":
            points = self.grid()
            return points[number] if number < len(points) else None
        if number < len(first):
            return dict(first[number])
        study = self._study(trials, known)
        drawn = study.ask({name: each.distribution() for name, each in self.space.ranges.items()})
        return {name: each.value(drawn.params[name]) for name, each in self.space.ranges.items()}

    def _study(self, trials: Sequence[Trial], known: Sequence[Trial]) -> optuna.study.Study:
        """Return an Optuna study that knows all trials, with a sampler for the next one."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        seed = int(np.random.SeedSequence([self.seed, len(trials)]).generate_state(1)[0])
        if self.strategy == "random":
            sampler: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler(seed=seed)
        else:
            sampler = optuna.samplers.TPESampler(
                seed=seed,
                n_startup_trials=_RANDOM_TRIALS,
                multivariate=True,
                constant_liar=True,  # those that run are taken for bad: others look elsewhere
            )
        study = optuna.create_study(direction=self.objective.direction, sampler=sampler)
        study.add_trials([each for trial in (*known, *trials) if (each := self._frozen(trial))])
        return study

    def _frozen(self, trial: Trial) -> Any:
        """Return a trial as Optuna has it; None if it tells nothing in this space."""
        from optuna.trial import TrialState, create_trial

        drawn = {
            name: each.drawn(trial.values.get(name)) for name, each in self.space.ranges.items()
        }
        if any(value is None for value in drawn.values()) or trial.state == "failed":
            return None
        value = trial.value
        if value is None and trial.course:
            value = self.objective.best(list(trial.course))
        is_known = trial.is_over and value is not None
        return create_trial(
            state=TrialState.COMPLETE if is_known else TrialState.RUNNING,
            value=value if is_known else None,
            params=drawn,
            distributions={name: each.distribution() for name, each in self.space.ranges.items()},
        )

    def importance(self, trials: Sequence[Trial]) -> dict[str, float]:
        """Return how much each hyperparameter decides about the objective, 1 in all.

        PED-ANOVA (Watanabe et al. 2023): which values the better half of the trials share. Empty
        with too few trials, or where nothing differs.
        """
        import optuna

        study = self._study(trials, ())
        if sum(each.value is not None for each in study.trials) < _FEWEST:
            return {}
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.5)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            try:
                found = optuna.importance.get_param_importances(study, evaluator=evaluator)
            except UserWarning:  # the better half is as good as all
                return {}
        return {name: float(value) for name, value in found.items()}

    def has_prospects(self, trial: Trial, others: Sequence[Trial]) -> bool:
        """Say whether a trial should go on after the epochs that it has trained.

        Parameters
        ----------
        trial : Trial
            With its course so far.
        others : sequence of Trial
            All others of the study.
        """
        if self.strategy == "hyperband":
            return self._survives_rung(trial, others)
        return not self.early_stopping or self._is_as_good_as_most(trial, others)

    def _is_as_good_as_most(self, trial: Trial, others: Sequence[Trial]) -> bool:
        """AWS's rule: not worse than the median of what others' courses had been on average.

        Source: https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-early-stopping.html
        """
        epochs = len(trial.course)
        earlier = [
            statistics.fmean(other.course[:epochs])
            for other in others
            if other.is_over and len(other.course) >= epochs
        ]
        if len(earlier) < _FEWEST:
            return True
        return not self.objective.is_better(statistics.median(earlier), trial.course[-1])

    def _survives_rung(self, trial: Trial, others: Sequence[Trial]) -> bool:
        """Successive halving: at each rung the best third of those that came so far goes on.

        Trials are spread over brackets by their number: the first one gives up soonest.
        """
        epochs = len(trial.course)
        rungs = self._rungs(trial.number)
        if epochs not in rungs:
            return True
        bracket = self._bracket(trial.number)
        here = [
            other.course[epochs - 1]
            for other in others
            if self._bracket(other.number) == bracket and len(other.course) >= epochs
        ]
        here.append(trial.course[-1])
        kept = max(1, len(here) // _REDUCTION)
        best = sorted(here, key=lambda value: self.objective.sign * value)[:kept]
        return len(here) < _REDUCTION or trial.course[-1] in best

    def _brackets(self) -> int:
        count, epochs = 1, self.epochs
        while epochs >= _REDUCTION:
            count, epochs = count + 1, epochs // _REDUCTION
        return count

    def _bracket(self, number: int) -> int:
        return (number - 1) % self._brackets()

    def _rungs(self, number: int) -> list[int]:
        """Return the epochs after which a trial is compared."""
        first = _REDUCTION ** self._bracket(number)
        rungs = []
        while first < self.epochs:
            rungs.append(first)
            first *= _REDUCTION
        return rungs


def strategy_of(name: str) -> Strategy:
    """Return the strategy of this name; raise `ConfigError` if there is none."""
    for each in STRATEGIES:
        if name.lower() == each:
            return each
    raise ConfigError.at("strategy", f"must be one of {', '.join(STRATEGIES)}", name, "Choose one.")

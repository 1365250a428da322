"""Objects come in: records of two sequences and a label, as columns without padding."""

from object2vec.pairs.dataset import Pairs
from object2vec.pairs.ragged import Ragged
from object2vec.pairs.report import Report, check

__all__ = ["Pairs", "Ragged", "Report", "check"]

"""The configuration: kinds of value, the table of hyperparameters, and what one says of another."""

from object2vec.config.configuration import Config
from object2vec.config.rules import Note
from object2vec.config.table import EncoderConfig

__all__ = ["Config", "EncoderConfig", "Note"]

"""The configuration: kinds of value, the table of hyperparameters, and what one says of another."""

from object2vec.config.configuration import Config, EncoderConfig, Note

__all__ = ["Config", "EncoderConfig", "Note"]

"""What the auxiliary channel holds: vocabularies, and pretrained vectors for the token tables."""

from __future__ import annotations

import os

import torch

from object2vec.artifact import Vocabularies, Vocabulary
from object2vec.config import Config, EncoderConfig, Note
from object2vec.errors import ConfigError, shown
from object2vec.files.remote import PathLike, join
from object2vec.network.network import Network
from object2vec.objects.vocabulary import read_vectors, read_vocabulary
from object2vec.training.topics import check_room
from object2vec.training.vectors import prepared


def load_auxiliary(
    network: Network, config: Config, folder: str | os.PathLike[str] | None
) -> tuple[Vocabularies, list[Note]]:
    """Load the configured vocabularies, and pretrained vectors into the token tables."""
    vocabularies: list[Vocabulary | None] = [None, None]
    notes: list[Note] = []
    if folder is not None and not any(each.vocab_file for each in config.encoders):
        text = "auxiliary is not read: no hyperparameter, such as enc0_vocab_file, names a file."
        notes.append(Note("warning", text))
    for encoder in config.encoders:
        if not encoder.vocab_file:
            continue
        if folder is None:
            must = f"must be given with {config.setting(encoder.side, 'vocab_file')}"
            cure = "Name the folder that holds the files (--auxiliary)."
            raise ConfigError.at("auxiliary", must, None, cure)
        file = join(folder, encoder.vocab_file)
        vocabularies[encoder.side] = vocabulary = read_vocabulary(file)
        if beyond := {t: i for t, i in vocabulary.items() if i >= encoder.vocab_size}:
            notes.append(_beyond(beyond, config, encoder))  # AWS takes such a file, too
            vocabulary = {t: i for t, i in vocabulary.items() if t not in beyond}
        is_second_of_tied = encoder.side and config.tied_token_embedding_weight
        if encoder.pretrained_embedding_file and not is_second_of_tied:
            notes.append(_load_vectors(network, config, encoder, vocabulary, folder))
    return (vocabularies[0], vocabularies[1]), notes


def _beyond(tokens: Vocabulary, config: Config, encoder: EncoderConfig) -> Note:
    """Return what is said of tokens whose ids have no row in the table."""
    token, index = next(iter(tokens.items()))
    setting = config.setting(encoder.side, "vocab_size")
    text = (
        f"{encoder.vocab_file}: {len(tokens)} of its tokens, such as {shown(token)} with {index}, "
        f"have ids that are not below {setting} {encoder.vocab_size}. They have no row and are "
        f"read as padding by the trained model; raise {setting} if records of training hold them."
    )
    return Note("warning", text)


def _load_vectors(
    network: Network,
    config: Config,
    encoder: EncoderConfig,
    vocabulary: Vocabulary,
    folder: PathLike,
) -> Note:
    """Put pretrained vectors into one side's table; return what was found."""
    file = join(folder, encoder.pretrained_embedding_file)
    found = read_vectors(
        file,
        vocabulary,
        encoder.token_embedding_dim,
        setting=config.setting(encoder.side, "token_embedding_dim"),
    )
    table = network.table(encoder.side)
    check_room(config.topics, found.vectors.shape[1], table, config, encoder.side)
    vectors = prepared(found.vectors, table.weight.shape[1], config)
    table.weight[torch.from_numpy(found.rows)] = torch.from_numpy(vectors)
    state = "frozen" if encoder.is_frozen else "trained further"
    odd = (
        f" Tabs or several blanks stand in {found.odd_lines} lines: is it whole and the right file?"
    )
    return Note(
        "warning" if found.odd_lines or not len(found.rows) else "info",
        f"enc{encoder.side}: {len(found.rows)} of {len(vocabulary)} tokens have a vector in "
        f"{encoder.pretrained_embedding_file}; the others keep their random one. "
        f"The table is {state}.{odd if found.odd_lines else ''}",
    )

"""The saved model: a folder of safetensors and JSON that appears whole or not at all.

=====================  ==========================================================
``config.json``        schema version and every hyperparameter; written last, a folder without it
                       is no model
``model.safetensors``  the weights
``vocab0.json``        optional: the id of each token of in0; ``vocab1.json`` likewise
``schema.json``        optional: what the columns of tables mean, ``vocabularies.safetensors`` the
                       tokens that they hold; a model has both or none
``metrics.jsonl``      optional: what training reported, one JSON object per line
``README.md``          optional: the model card: data counts, hyperparameters, metrics
=====================  ==========================================================

Nothing is ever unpickled. Sizes and shapes are checked against the configuration before anything is
allocated.
"""

from object2vec.artifact.content import (
    Artifact,
    ModelFacts,
    Vocabularies,
    Vocabulary,
    load,
    load_vocabulary,
    read_config,
    read_schema,
    save,
)
from object2vec.artifact.location import MARK, MODEL_FILES, WEIGHTS, check_target, open_model

__all__ = [
    "MARK",
    "MODEL_FILES",
    "WEIGHTS",
    "Artifact",
    "ModelFacts",
    "Vocabularies",
    "Vocabulary",
    "check_target",
    "load",
    "load_vocabulary",
    "open_model",
    "read_config",
    "read_schema",
    "save",
]

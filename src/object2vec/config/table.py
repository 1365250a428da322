"""The table of hyperparameters: a field is a row, with its type, range, default and meaning.

Nothing else in the project knows a default or a range. The fields are what a typed configuration
holds, and `HYPERPARAMETERS`, made from them, feeds validation, the command line, the SageMaker
parser, the documentation page and the generated tests. Names, ranges and defaults of the rows with
origin ``"aws"`` are those of Amazon SageMaker Object2Vec
(https://docs.aws.amazon.com/sagemaker/latest/dg/object2vec-hyperparameters.html).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, Literal

from object2vec.config.kinds import (
    COMPARATORS,
    Anything,
    Boolean,
    Choice,
    Comparators,
    Float,
    Integer,
    Pattern,
    ValueKind,
)

Origin = Literal["aws", "internal", "tolerated", "extension"]
Requirement = Literal["yes", "conditional", "no"]

MAX_SEQ_LEN, MAX_VOCAB_SIZE = 5000, 3_000_000
_LARGEST = 2**31 - 1  # ids are int32
NETWORKS = ("hcnn", "bilstm", "pooled_embedding")
OPTIMIZERS = ("adadelta", "adagrad", "adam", "sgd", "rmsprop")
FILE_NAME = Pattern(
    r"(?!\.\.?$)[A-Za-z0-9._-]*",
    "the name of a file in the auxiliary channel, of letters, digits, '.', '_' and '-'",
    "Give the name alone, without a folder; leave it empty for none.",
)
DEVICE = Pattern(
    r"auto|cpu|cuda|cuda:[0-9]{1,3}",
    "'auto', 'cpu', 'cuda' or 'cuda:N'",
    "Name one of these devices.",
)


@dataclass(frozen=True)
class Hyperparameter:
    """One row of the table.

    Parameters
    ----------
    group : str
        Title under which the documentation lists it.
    kind : ValueKind
        Type and range.
    default : object
        Value when none is given; None when there is none, so that one is required.
    meaning : str
        One or two sentences for the documentation.
    origin : {"aws", "internal", "tolerated", "extension"}
        ``aws``: documented by AWS. ``internal``: set by SageMaker itself. ``tolerated``: accepted
        and ignored. ``extension``: ours; the default leaves AWS's behaviour alone.
    may_change : bool
        Whether a resumed run may have another value than the checkpoint.
    field : str
        Name of the field that holds it in a typed configuration.
    side : int, optional
        The encoder that it belongs to.
    beyond_aws : ValueKind, optional
        Type and range for a model with a schema of its own, where AWS's limit does not hold.
    """

    group: str
    kind: ValueKind
    default: Any
    meaning: str
    origin: Origin = "aws"
    may_change: bool = False
    field: str = ""
    side: int | None = None
    beyond_aws: ValueKind | None = None

    @property
    def name(self) -> str:
        """AWS's name, or ours for an extension."""
        return self.field if self.side is None else f"enc{self.side}_{self.field}"

    @property
    def required(self) -> Requirement:
        """Whether a value must be given; ``conditional``: where encoder 1 inherits none."""
        if self.default is not None:
            return "no"
        return "conditional" if self.side == 1 else "yes"


def _row(group: str, kind: ValueKind, default: Any, meaning: str, **facts: Any) -> Any:
    """Return a field with its row; of an encoder, `meaning` says {side} for its number."""
    return field(metadata={"row": Hyperparameter(group, kind, default, meaning, **facts)})


_size, _encoder = partial(_row, "Sizes of the input"), partial(_row, "Encoders")
_head, _training = partial(_row, "Comparator and head"), partial(_row, "Training")
_tables = partial(_row, "Token tables")
_internal = partial(_row, "Set by SageMaker", origin="internal")
_extension = partial(_row, "Extensions", origin="extension")


@dataclass(frozen=True)
class EncoderConfig:
    """Settings of one encoder: hyperparameters whose names begin with ``enc0_`` or ``enc1_``."""

    side: int
    network: str = _encoder(Choice(NETWORKS), "hcnn", "Family of encoder {side}.")
    max_seq_len: int = _size(
        Integer(1, MAX_SEQ_LEN),
        None,
        "Sequences for encoder {side} are truncated to this many tokens; the first are kept.",
        beyond_aws=Integer(1, _LARGEST),
    )
    vocab_size: int = _size(
        Integer(2, MAX_VOCAB_SIZE),
        None,
        "Rows of encoder {side}'s token table; every id must be smaller.",
        beyond_aws=Integer(2, _LARGEST),
    )
    layers: int = _encoder(
        Integer(1, 4, ("auto",)),
        "auto",
        "Layers of encoder {side}; auto is 4 for hcnn and 1 for bilstm. pooled_embedding has none.",
    )
    cnn_filter_width: int = _encoder(
        Integer(1, 9), 3, "Width of every convolution of encoder {side}; hcnn only."
    )
    token_embedding_dim: int = _encoder(
        Integer(2, 1000),
        300,
        "Width of encoder {side}'s token table. pooled_embedding has no projection: there it "
        "becomes enc_dim.",
    )
    pretrained_embedding_file: str = _encoder(
        FILE_NAME,
        "",
        "Text file of pretrained token vectors in the auxiliary channel; needs the vocabulary file "
        "of the same encoder.",
    )
    vocab_file: str = _encoder(
        FILE_NAME,
        "",
        "JSON object {token: id} in the auxiliary channel; lines the pretrained vectors up with "
        "the ids.",
    )
    freeze_pretrained_embedding: bool = _encoder(
        Boolean(),
        True,
        "Keep encoder {side}'s token table fixed in training. Without a pretrained file it has no "
        "effect.",
    )

    pool_exponent: float = _extension(
        Float(0.0, 1.0),
        1.0,
        "Encoder {side}'s embedding is the sum of its token vectors over the number of tokens to "
        "this power: 1 makes it their mean, 0 their sum; pooled_embedding only.",
    )

    idf_exponent: float = _extension(
        Float(0.0, 4.0),
        0.0,
        "Encoder {side} learns what each token counts, beginning with its inverse document "
        "frequency in the training data to this power; 0: all tokens count the same.",
    )

    partners: bool = _extension(
        Boolean(),
        False,
        "The vector of each token of encoder {side} has a part of every token that it is paired "
        "with in training, as SVD++ has it: users who rated the same films begin alike. Saved as "
        "one vector for each token.",
    )

    @property
    def is_frozen(self) -> bool:
        """Whether the token table stays as it was loaded."""
        return bool(self.pretrained_embedding_file) and self.freeze_pretrained_embedding


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """The typed value of every hyperparameter."""

    encoders: tuple[EncoderConfig, EncoderConfig]
    enc_dim: int = _head(
        Integer(4, 10_000, cure="Choose another embedding size."),
        4096,
        "Width of both encoders' output: the embedding.",
    )
    comparator_list: tuple[str, ...] = _head(
        Comparators(),
        tuple(COMPARATORS),
        "How two embeddings a and b become one vector, in this order: hadamard a*b, concat [a; b], "
        "abs_diff |a-b|.",
    )
    mlp_layers: int = _head(
        Integer(0, 10), 2, "Hidden layers between the comparator and the output layer."
    )
    mlp_dim: int = _head(Integer(2, 10_000), 512, "Width of every hidden layer.")
    mlp_activation: str = _head(
        Choice(("tanh", "relu", "linear")),
        "linear",
        "Activation after each hidden layer; linear means neither activation nor dropout.",
    )
    output_layer: str = _head(
        Choice(("softmax", "mean_squared_error"), extensions=("dot_product", "ranking", "cosine")),
        "softmax",
        "softmax classifies, mean_squared_error predicts a number. dot_product, ours, is "
        "the log odds that two objects belong together, from their embeddings alone; ranking, ours "
        "too, learns embeddings that find each object's partner among those of all records of a "
        "batch, by cosine or dot product; cosine, ours, learns cosines in the order of the labels, "
        "any numbers.",
    )
    num_classes: int = _head(
        Integer(2, 30),
        2,
        "Classes of softmax; ignored by the others.",
        beyond_aws=Integer(2, _LARGEST),
    )
    dropout: float = _training(
        Float(0.0, 1.0),
        0.0,
        "Probability of dropping a unit: after pooling, between encoder layers, after each "
        "activation.",
    )
    optimizer: str = _training(
        Choice(OPTIMIZERS), "adam", "Rule that turns gradients into updates."
    )
    learning_rate: float = _training(
        Float(1e-6, 1.0),
        0.0004,
        "Step size, constant; adadelta has none.",
        beyond_aws=Float(1e-6, 10.0),
    )
    weight_decay: float = _training(
        Float(0.0, 10_000.0), 0.0, "L2 term added to the gradient of weights, never of biases."
    )
    mini_batch_size: int = _training(
        Integer(1, 10_000),
        32,
        "Records in one update, generated negatives included.",
        beyond_aws=Integer(1, _LARGEST),
    )
    epochs: int = _training(
        Integer(1, 100),
        30,
        "Passes over the training data at the most.",
        may_change=True,
        beyond_aws=Integer(1, _LARGEST),
    )
    early_stopping_patience: int = _training(
        Integer(1, 5),
        3,
        "Training stops after this many epochs plus one without enough improvement.",
        beyond_aws=Integer(1, _LARGEST),
    )
    early_stopping_tolerance: float = _training(
        Float(1e-6, 0.1),
        0.01,
        "How far a validation loss must fall below the best of the last early_stopping_patience "
        "losses to count as an improvement.",
    )
    bucket_width: int = _training(
        Integer(0, 100),
        0,
        "Batches hold records of similar length, in buckets of this width; 0 means none. "
        "row_sparse sets it to 0.",
    )
    negative_sampling_rate: int = _training(
        Integer(0, None),
        0,
        "Negatives generated for each training record; 0 means none. Negatives get label 0.",
    )
    tied_token_embedding_weight: bool = _tables(
        Boolean(), False, "One token table for both encoders."
    )
    token_embedding_storage_type: str = _tables(
        Choice(("dense", "row_sparse"), aliases=(("sparse", "row_sparse"),)),
        "dense",
        "row_sparse updates only the rows of tokens in the batch, at a cost that does not grow "
        "with the vocabulary; dense updates the whole table. sparse means row_sparse, too.",
    )
    _kvstore: str = _internal(
        Anything(), "auto_gpu", "Set by SageMaker; accepted and logged.", may_change=True
    )
    _num_gpus: int | str = _internal(
        Integer(0, None, ("auto",)),
        "auto",
        "Set by SageMaker: GPUs to use. 0 keeps the work on the CPU.",
        may_change=True,
    )
    _num_kv_servers: str = _internal(
        Anything(), "auto", "Set by SageMaker; accepted and logged.", may_change=True
    )
    _tuning_objective_metric: str = _internal(
        Anything(), "", "Set by SageMaker; accepted and logged."
    )
    random_negative_sampling_rate: int = _extension(
        Integer(0, None),
        0,
        "Negatives with an in1 drawn at random, generated for each training record: any address "
        "where in1 is an address, else the in1 of any other training record. They are counted like "
        "those of negative_sampling_rate.",
    )
    remove_components: int = _extension(
        Integer(0, 100),
        0,
        "Principal components that are taken out of pretrained vectors before training, with their "
        "mean; 0 leaves the vectors as they are.",
    )
    topics: int = _extension(
        Integer(0, 10_000),
        0,
        "So many numbers of each token's vector, its last ones, begin with what the token stands "
        "with in the objects of training (principal components, as in latent semantic analysis) "
        "instead of at random; 0 means none.",
    )
    token_dropout: float = _extension(
        Float(0.0, 0.99),
        0.0,
        "Share of the tokens of each sequence that a training step leaves out, drawn anew each "
        "epoch; a sequence never loses its last one.",
    )
    token_init: str = _extension(
        Choice(("xavier", "unit")),
        "xavier",
        "Random start of the token vectors: xavier, small ones whose size falls with the number of "
        "tokens, as AWS has it; unit, of length 1 on average, whose direction few updates of a "
        "rare token do not erase.",
    )
    output_bias: str = _extension(
        Choice(("zero", "mean")),
        "zero",
        "Where predictions begin: at 0, or at what training says on average, so that vectors need "
        "not learn it. That is the mean label with mean_squared_error, and with dot_product and "
        "candidates=all the log odds of each token of in1.",
    )
    normalize: str = _extension(
        Choice(("both", "in0", "in1", "none")),
        "both",
        "Embeddings that are scaled to length 1 before ranking compares them: with both it learns "
        "the cosine, with none the dot product. in0 lets the length of in1 say how often it is "
        "right at all.",
    )
    ranking_direction: str = _extension(
        Choice(("both", "in0", "in1")),
        "both",
        "Which side ranks the other one with ranking: each in0 finds its in1 among those of the "
        "batch, each in1 its in0, or the mean of both.",
    )
    ranking_scale: float = _extension(
        Float(0.01, 100.0),
        20.0,
        "Start of the factor of the similarities in the softmax of ranking, which is learned, up "
        "to 100; the factor of the cosines in the loss of cosine.",
    )
    learn_ranking_scale: bool = _extension(
        Boolean(),
        True,
        "Learn that factor with ranking; few pairs learn a large one, by which they are learned by "
        "heart.",
    )
    log_q_correction: bool = _extension(
        Boolean(),
        False,
        "Correct the similarities of ranking's negatives for how often each in1 stands in a "
        "batch, so that frequent ones are not pushed away for their frequency.",
    )
    candidates: str = _extension(
        Choice(("batch", "all")),
        "batch",
        "What each record is set against: what is in its batch, or all: each token of in1 by "
        "itself is encoded once a step. dot_product then learns the log odds of each, of which "
        "several may be right, ranking a softmax over them.",
    )
    shared_negatives: int = _extension(
        Integer(0, None),
        0,
        "Objects of in1 that are drawn for each batch of ranking, as negatives of all its records. "
        "With dot_product they are drawn for each block of text of pairs=windows, where they stand "
        "for the negatives of negative_sampling_rate.",
    )
    negative_exponent: float = _extension(
        Float(0.0, 1.0),
        0.0,
        "The objects of shared_negatives are drawn by their frequency to this power; 0 draws each "
        "alike.",
    )
    label_smoothing: float = _extension(
        Float(0.0, 0.9),
        0.0,
        "Share of the target of ranking that is spread over all candidates.",
    )
    shared_encoder: bool = _extension(
        Boolean(),
        False,
        "One encoder for both sides, weights included, and one token table: what one side learns "
        "the other knows. For objects of one kind, such as two sentences.",
    )
    learning_rate_schedule: str = _extension(
        Choice(("constant", "linear", "cosine", "plateau")),
        "constant",
        "How the learning rate goes over the run: it stays; it falls to 0 evenly, or along a "
        "cosine, over all epochs; or it is divided by 5 after each epoch that is not the best so "
        "far (plateau).",
    )
    warmup: float = _extension(
        Float(0.0, 1.0), 0.0, "Share of the run in which the learning rate rises from 0."
    )
    weight_averaging: float = _extension(
        Float(0.0, 1.0),
        0.0,
        "Share of the run, at its end, whose weights are averaged, step by step: the average is "
        "what is validated, tested and saved. 0 takes the weights as they are.",
    )
    noise_temperature: float = _extension(
        Float(0.0, 1000.0),
        0.0,
        "Noise in each update, as Langevin dynamics has it; at 1 the weights wander over those "
        "that the data allow, and averaging them is Bayes' estimate. 0 means none. What tokens "
        "count (enc0_idf_exponent) gets no noise.",
    )
    embedding_decay: float = _extension(
        Float(0.0, 10_000.0),
        0.0,
        "L2 term on the two embeddings of each record, half their squared length: what is seen "
        "often is held back more often. weight_decay counts updates instead.",
    )
    decoupled_weight_decay: bool = _extension(
        Boolean(),
        False,
        "Let weight_decay shrink weights by itself instead of through the gradient (AdamW).",
    )
    gradient_clip_norm: float = _extension(
        Float(0.0, 1e6),
        0.0,
        "The gradient of all parameters, token tables included, is scaled down to this length if "
        "it is longer; 0 means never.",
    )
    seed: int = _extension(
        Integer(0, 2**63 - 1),
        0,
        "Start of every random choice; the same seed gives the same model.",
    )
    device: str = _extension(
        DEVICE,
        "auto",
        "Where to compute; auto takes the first GPU if there is one.",
        may_change=True,
    )
    threads: int = _extension(
        Integer(0, 1024),
        0,
        "CPU threads; 0 takes one for each core that the process may use, by its affinity and a "
        "container's quota, and on resume as many as before.",
        may_change=True,
    )
    precision: str = _extension(
        Choice(("float32", "bfloat16")),
        "float32",
        "Arithmetic of the matrix products of the head and of hcnn; bfloat16 is faster where the "
        "hardware has it. Weights, tables, sums and the LSTM stay float32.",
    )
    mask_padding: bool = _extension(
        Boolean(),
        True,
        "Treat id 0 as padding that is never seen, as AWS does; false makes 0 an id like any "
        "other.",
    )
    compat_metrics: bool = _extension(
        Boolean(),
        False,
        "Average metrics as AWS does, over batches filled up with repeated rows, instead of over "
        "the real rows.",
    )
    kernel: str = _extension(
        Choice(("auto", "compiled", "reference")),
        "auto",
        "Code for token tables and updates: compiled kernels (Numba on a CPU, Triton on a GPU), or "
        "plain PyTorch; auto compiles where it can.",
        may_change=True,
    )


_TOLERATED = Hyperparameter(
    "Set by SageMaker",
    Anything(),
    "",
    "Sent by the retired SDK class; accepted and ignored.",
    origin="tolerated",
    field="feature_dim",
)


def _rows_of(table: type, side: int | None = None) -> Iterator[Hyperparameter]:
    """Yield the rows that the fields of a class declare, for encoder `side` of an encoder's."""
    for each in fields(table):
        if "row" in each.metadata:
            row = each.metadata["row"]
            meaning = row.meaning.replace("{side}", str(side))
            yield replace(row, field=each.name, side=side, meaning=meaning)


def _of_encoder_1(row: Hyperparameter) -> Hyperparameter:
    """Return a row of encoder 1, which may take its settings from encoder 0."""
    if row.field != "network":
        inherited = f"{row.meaning} Taken from encoder 0 while enc1_network is enc0."
        return replace(row, meaning=inherited)
    meaning = (
        "Family of encoder 1; enc0 copies the family and every setting of encoder 0, but not its "
        "weights."
    )
    return replace(row, kind=Choice(("enc0", *NETWORKS)), default="enc0", meaning=meaning)


def _grouped() -> dict[str, list[Hyperparameter]]:
    makers = (_size, _encoder, _head, _training, _tables, _internal, _extension)
    groups: dict[str, list[Hyperparameter]] = {maker.args[0]: [] for maker in makers}
    for row in (
        *_rows_of(EncoderConfig, side=0),
        *map(_of_encoder_1, _rows_of(EncoderConfig, side=1)),
        *_rows_of(Hyperparameters),
        _TOLERATED,
    ):
        groups.setdefault(row.group, []).append(row)
    return groups


GROUPS = _grouped()

HYPERPARAMETERS: dict[str, Hyperparameter] = {
    row.name: row for rows in GROUPS.values() for row in rows
}
"""Every row by its name, in the order of the documentation."""

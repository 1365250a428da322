"""What one hyperparameter says of another: each rule with its sentence for the documentation.

A rule looks at a draft of the configuration and may change it. What it changes or ignores it says
in a note, and values that cannot stand together are a contradiction. To add a rule is to add a
function here; the documentation page and `Config.build` take it from `RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Literal

from object2vec.config.table import HYPERPARAMETERS
from object2vec.errors import problem

_AUTO_LAYERS = {"hcnn": 4, "bilstm": 1, "pooled_embedding": 1}
_AWS_ROW_SPARSE_OPTIMIZERS = ("adam", "adagrad", "sgd")
_CONSOLE_NEGATIVES = 100  # AWS's SDK and console stop at this rate, its documentation does not
TIED = (
    "vocab_size",
    "token_embedding_dim",
    "pretrained_embedding_file",
    "idf_exponent",
)
RANKING = (
    "normalize",
    "ranking_direction",
    "ranking_scale",
    "learn_ranking_scale",
    "log_q_correction",
    "shared_negatives",
    "negative_exponent",
    "label_smoothing",
)
_OF_ALL = (
    "normalize",
    "ranking_scale",
    "learn_ranking_scale",
)  # what dot_product uses of them with candidates=all
_USED = {"cosine": ("ranking_scale",), "dot_product": ("shared_negatives", "negative_exponent")}
_PRETRAINED = ("pretrained_embedding_file", "vocab_file", "freeze_pretrained_embedding")


@dataclass(frozen=True)
class Note:
    """Something that building the config changed or found: a log line with its level."""

    level: Literal["info", "warning"]
    text: str


@dataclass(frozen=True)
class Contradiction:
    """Values that cannot stand together: their names, and the problem as it stands in an error."""

    names: Set[str]
    text: str


Findings = Iterator[Note | Contradiction]


@dataclass
class Draft:
    """Values by name on the way to a config.

    Parameters
    ----------
    values : dict
        Every hyperparameter; None for one without a value.
    given : mapping
        Those among them that the user gave.
    malformed : set of str
        Names whose value could not be parsed, which is a problem already.
    """

    values: dict[str, Any]
    given: Mapping[str, Any]
    malformed: Set[str]
    inherits: bool = field(init=False)

    def __post_init__(self) -> None:
        self.inherits = self.values["enc1_network"] == "enc0"

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def unusable(self) -> set[str]:
        """Names that no contradiction can be blamed on: malformed or missing."""
        return {*self.malformed, *(name for name, value in self.values.items() if value is None)}

    def copy_from_encoder_0(self, names: Iterator[str]) -> list[str]:
        """Give encoder 1 these settings of encoder 0; return what the user had set otherwise."""
        ignored = []
        for name in names:
            ours, theirs = self.values[f"enc0_{name}"], f"enc1_{name}"
            if theirs in self.given and theirs != "enc1_network" and self.given[theirs] != ours:
                ignored.append(f"{theirs}={self.given[theirs]!r} (encoder 0 has {ours!r})")
            self.values[theirs] = ours
        return ignored


@dataclass(frozen=True)
class Interaction:
    """A rule between hyperparameters: its sentence for the page, and what applies it."""

    sentence: str
    apply: Callable[[Draft], Findings]


RULES: list[Interaction] = []
"""Every rule, in the order in which they apply and are documented."""


def _rule(sentence: str) -> Callable[[Callable[[Draft], Findings]], Callable[[Draft], Findings]]:
    def add(apply: Callable[[Draft], Findings]) -> Callable[[Draft], Findings]:
        RULES.append(Interaction(sentence, apply))
        return apply

    return add


def _ignored(name: str, where: str, value: str) -> None:
    """Add the rule that the value of `where` has no use for `name`."""

    @_rule(f"`{value}` ignores `{name}`, which the log says.")
    def apply(draft: Draft) -> Findings:
        if draft[where] == value and name in draft.given:
            # AWS's words
            text = f"{where} is set to {value}. Ignoring the hyperparameter '{name}'."
            yield Note("info", text)


@_rule(
    "While `enc1_network` is `enc0`, which is the default, encoder 1 takes *every* setting of "
    "encoder 0, vocabulary size and sequence length included. Other `enc1_` values are then "
    "ignored, with a warning that names them. Only settings are copied, never weights: the "
    "encoders are trained apart, and only `tied_token_embedding_weight` makes them share their "
    "token table, or `shared_encoder` all that they are."
)
def _inherit(draft: Draft) -> Findings:
    # AWS does so without a word (https://github.com/aws/sagemaker-python-sdk/issues/834)
    if not draft.inherits:
        return
    settings = (row.field for row in HYPERPARAMETERS.values() if row.side == 1)
    ignored = draft.copy_from_encoder_0(settings)
    if ignored:
        text = (
            "enc1_network is enc0, so encoder 1 takes every setting of encoder 0 and these are "
            f"ignored: {', '.join(ignored)}. Set enc1_network to a network of its own to use them."
        )
        yield Note("warning", text)


@_rule("`shared_encoder` sets `tied_token_embedding_weight`: one encoder reads one table.")
def _tied_by_sharing(draft: Draft) -> Findings:
    if draft["shared_encoder"]:
        draft.values["tied_token_embedding_weight"] = True
    yield from ()


@_rule("What has no default must be given; for encoder 1 only if it does not inherit it.")
def _required(draft: Draft) -> Findings:
    for name, row in HYPERPARAMETERS.items():
        if draft.values.get(name, "") is not None or name in draft.malformed:
            continue
        if row.required == "yes":
            cure = "It has no default: set it."
        elif not draft.inherits:
            cure = "Set it, or let enc1_network be enc0."
        else:
            continue  # encoder 0 has the same problem
        must = f"is required and {row.kind.rule}"
        yield Contradiction(frozenset(), problem(name, must, None, cure))


@_rule(
    "`pooled_embedding` has no projection: its `token_embedding_dim` becomes `enc_dim`, with a log "
    "line."
)
def _pooled_width(draft: Draft) -> Findings:
    enc_dim = draft["enc_dim"]
    for side in (0, 1):
        width = f"enc{side}_token_embedding_dim"
        if draft[f"enc{side}_network"] == "pooled_embedding" and draft[width] != enc_dim:
            text = (  # the container's own line
                "Inconsistent enc_dim and token_embedding_dim found for token-embedding-encoder: "
                f"{enc_dim} vs {draft[width]}. Setting token embedding dim to be {enc_dim}"
            )
            yield Note("info", text)
            draft.values[width] = enc_dim


@_rule("`auto` layers are {} for `hcnn` and {} for `bilstm`.".format(*_AUTO_LAYERS.values()))
def _auto_layers(draft: Draft) -> Findings:
    for side in (0, 1):
        if draft[f"enc{side}_layers"] == "auto":
            draft.values[f"enc{side}_layers"] = _AUTO_LAYERS[draft[f"enc{side}_network"]]
    yield from ()


@_rule(
    "With tied tables, pretrained vectors, their vocabulary and whether they are frozen come from "
    "encoder 0, with a warning for other values of encoder 1."
)
def _tied_vectors(draft: Draft) -> Findings:
    file = draft["enc0_pretrained_embedding_file"]
    is_tied = draft["tied_token_embedding_weight"]
    if not is_tied or not file or draft["enc1_pretrained_embedding_file"] not in ("", file):
        return  # nothing to load, or a contradiction
    ignored = draft.copy_from_encoder_0(iter(_PRETRAINED))
    if ignored:
        text = (
            "tied_token_embedding_weight takes the pretrained vectors of encoder 0 for both "
            f"encoders and these are ignored: {', '.join(ignored)}."
        )
        yield Note("warning", text)


@_rule("`row_sparse` sets `bucket_width` to 0, with a warning.")
def _row_sparse_buckets(draft: Draft) -> Findings:
    if draft["token_embedding_storage_type"] == "row_sparse" and draft["bucket_width"]:
        text = (
            f"bucket_width {draft['bucket_width']} is set to 0: token_embedding_storage_type "
            "row_sparse works without buckets."
        )
        yield Note("warning", text)
        draft.values["bucket_width"] = 0


@_rule(
    "AWS rejects `row_sparse` with optimizers other than {}; here all of them work.".format(
        ", ".join(f"`{name}`" for name in _AWS_ROW_SPARSE_OPTIMIZERS)
    )
)
def _row_sparse_optimizers(draft: Draft) -> Findings:
    optimizer = draft["optimizer"]
    is_row_sparse = draft["token_embedding_storage_type"] == "row_sparse"
    if is_row_sparse and optimizer not in _AWS_ROW_SPARSE_OPTIMIZERS:
        text = f"AWS rejects row_sparse with {optimizer}; its lazy form is used here."
        yield Note("info", text)


@_rule(
    "`_num_gpus` 0 makes `device` the CPU where it is `auto`, and is ignored, with a warning, "
    "where `device` names a GPU. Training uses one GPU, however many there are."
)
def _device(draft: Draft) -> Findings:
    gpus, device = draft["_num_gpus"], draft["device"]
    if gpus == 0 and device == "auto":
        draft.values["device"] = "cpu"
    elif gpus == 0 and device != "cpu":
        yield Note("warning", f"_num_gpus 0 is ignored: device is {device}.")
    elif gpus not in ("auto", 0, 1):
        yield Note("warning", f"_num_gpus {gpus} is read as 1: training uses one device.")


_ignored("num_classes", "output_layer", "mean_squared_error")
_ignored("num_classes", "output_layer", "dot_product")
_ignored("num_classes", "output_layer", "ranking")
_ignored("num_classes", "output_layer", "cosine")
for _name in ("learning_rate", "learning_rate_schedule", "warmup"):
    _ignored(_name, "optimizer", "adadelta")
for _optimizer in ("sgd", "adagrad", "adadelta"):  # they have it apart from the gradient anyway
    _ignored("decoupled_weight_decay", "optimizer", _optimizer)


@_rule(
    "`dot_product`, `ranking` and `cosine` compare by hadamard alone and have no layers after it; "
    "other values of `comparator_list` and `mlp_layers` are ignored, which the log says."
)
def _dot_product(draft: Draft) -> Findings:
    if draft["output_layer"] not in ("dot_product", "ranking", "cosine"):
        return
    for name, value in (("comparator_list", ("hadamard",)), ("mlp_layers", 0)):
        if draft.given.get(name, value) != value:
            yield Note("info", f"{name} is ignored: output_layer is {draft['output_layer']}.")
        draft.values[name] = value


@_rule(
    "`candidates=all` needs `dot_product` or `ranking`, and makes negatives of all candidates: "
    "`negative_sampling_rate` and its like are ignored, which the log says."
)
def _all_candidates(draft: Draft) -> Findings:
    if draft["candidates"] != "all":
        return
    if draft["output_layer"] not in ("dot_product", "ranking"):
        names, cure = {"candidates", "output_layer"}, "Choose one of these, or candidates=batch."
        must = "must be dot_product or ranking with candidates=all"
        yield Contradiction(names, problem("output_layer", must, draft["output_layer"], cure))
    for name in ("negative_sampling_rate", "random_negative_sampling_rate", "shared_negatives"):
        if draft.values[name]:
            yield Note("info", f"{name} is ignored: candidates=all has all others as negatives.")
        draft.values[name] = 0


@_rule(
    "`ranking` takes its negatives from the batch and `shared_negatives`: `negative_sampling_rate` "
    "and `random_negative_sampling_rate` are ignored, which the log says. The other objectives "
    "ignore its settings, which the log says, too; `cosine` has its `ranking_scale` alone, and "
    "does not learn it, `dot_product` its shared negatives for windows."
)
def _ranking(draft: Draft) -> Findings:
    if draft["output_layer"] == "ranking":
        for name in ("negative_sampling_rate", "random_negative_sampling_rate"):
            if draft.values[name]:
                text = f"{name} is ignored: ranking has the other records as negatives."
                yield Note("info", text)
            draft.values[name] = 0
        return
    used = _OF_ALL if draft["candidates"] == "all" else _USED.get(draft["output_layer"], ())
    for name in RANKING:
        if (
            name in draft.given
            and name not in used
            and draft[name] != HYPERPARAMETERS[name].default
        ):
            yield Note("info", f"{name} is ignored: output_layer is {draft['output_layer']}.")


@_rule(
    "`output_bias` is that of `mean_squared_error`, and of `dot_product` with `candidates=all` "
    "where a token of in1 is its row: of a pooled encoder with a trained table of its own, not "
    "normalized. Else it is ignored, which the log says."
)
def _output_bias(draft: Draft) -> Findings:
    output_layer = draft["output_layer"]
    if output_layer == "mean_squared_error" or draft["output_bias"] == "zero":
        return
    why = ""
    if (output_layer, draft["candidates"]) != ("dot_product", "all"):
        why = f"output_layer is {output_layer}"
        why += " without candidates=all" * (output_layer == "dot_product")
    elif draft["enc1_network"] != "pooled_embedding":
        why = f"enc1_network is {draft['enc1_network']}"
    elif draft["tied_token_embedding_weight"]:
        why = "both sides have one token table"
    elif draft["enc1_pretrained_embedding_file"] and draft["enc1_freeze_pretrained_embedding"]:
        why = "the token table of in1 is frozen"
    elif draft["normalize"] in ("both", "in1"):
        why = f"normalize is {draft['normalize']}"
    if why:
        yield Note("info", f"output_bias is ignored: {why}.")
        draft.values["output_bias"] = "zero"


@_rule(
    "`linear` hidden layers have no dropout, which the log says, nor have pooled embeddings with "
    "`ranking` or `candidates=all`. Where nothing else has any `dropout` is ignored, with a "
    "warning."
)
def _dropout(draft: Draft) -> Findings:
    if not draft["dropout"]:
        return
    networks = draft["enc0_network"], draft["enc1_network"]
    compares_as_they_are = draft["output_layer"] == "ranking" or draft["candidates"] == "all"
    is_pooled, is_linear = "pooled_embedding" in networks, draft["mlp_activation"] == "linear"
    is_deep = any(  # layers of an encoder behind its first one
        network != "pooled_embedding" and draft[f"enc{side}_layers"] > 1
        for side, network in enumerate(networks)
    )
    has_activations = draft["mlp_layers"] and not is_linear
    if not (is_deep or has_activations or (is_pooled and not compares_as_they_are)):
        why = "encoders of one layer have none, nor has a head without activations"
        if is_pooled:
            setting = "candidates=all" if draft["candidates"] == "all" else "output_layer=ranking"
            why = f"{setting} compares pooled embeddings as they are"
        yield Note("warning", f"dropout is ignored: {why}.")
    elif is_linear and draft["mlp_layers"]:
        yield Note("info", "mlp_activation is linear: the hidden layers get no dropout.")


@_rule(f"A `negative_sampling_rate` above {_CONSOLE_NEGATIVES}, AWS's own limit, gets a warning.")
def _many_negatives(draft: Draft) -> Findings:
    rate = draft["negative_sampling_rate"]
    if rate > _CONSOLE_NEGATIVES:
        text = (
            f"negative_sampling_rate {rate} is above {_CONSOLE_NEGATIVES}, the most that AWS's SDK "
            "accepts; nearly every record will be a negative."
        )
        yield Note("warning", text)


@_rule("`bilstm` needs an even `enc_dim`, one half for each direction.")
def _odd_bilstm(draft: Draft) -> Findings:
    width = draft["enc_dim"]
    if width % 2 and "bilstm" in (draft["enc0_network"], draft["enc1_network"]):
        must = "must be even for bilstm, half for each direction"
        yield Contradiction({"enc_dim"}, problem("enc_dim", must, width, f"Choose {width + 1}."))


@_rule("A pretrained file needs the vocabulary file of the same encoder.")
def _missing_vocabulary(draft: Draft) -> Findings:
    is_copied = draft.inherits or draft["tied_token_embedding_weight"]
    for side in (0,) if is_copied else (0, 1):
        file, vocabulary = f"enc{side}_pretrained_embedding_file", f"enc{side}_vocab_file"
        if draft[file] and not draft[vocabulary]:
            cure = "Name the JSON file that maps tokens to ids."
            text = problem(vocabulary, f"must be given with {file}", draft[vocabulary], cure)
            yield Contradiction({file, vocabulary}, text)


@_rule("A shared encoder needs the settings of both sides to be equal, but for `max_seq_len`.")
def _unshareable(draft: Draft) -> Findings:
    of_tables = ("max_seq_len", *TIED, *_PRETRAINED)
    names = [r.field for r in HYPERPARAMETERS.values() if r.side and r.field not in of_tables]
    for name in names if draft["shared_encoder"] else ():
        ours, theirs = f"enc0_{name}", f"enc1_{name}"
        if draft[ours] != draft[theirs]:
            must = f"must equal {ours} ({draft[ours]!r}) with shared_encoder"
            cure = "Make them equal, or let enc1_network be enc0."
            yield Contradiction({ours, theirs}, problem(theirs, must, draft[theirs], cure))


@_rule(
    "Tied tables need equal vocabulary sizes and widths, the same pretrained file, if any, and the "
    "same `idf_exponent`."
)
def _untieable(draft: Draft) -> Findings:
    for name in TIED if draft["tied_token_embedding_weight"] else ():
        ours, theirs = f"enc0_{name}", f"enc1_{name}"
        if draft[ours] != draft[theirs]:
            names, cure = {ours, theirs}, "Make them equal, or untie the tables."
            networks = [draft["enc0_network"], draft["enc1_network"]]
            if name == "token_embedding_dim":
                names |= {"enc_dim", "enc0_network", "enc1_network"}
                if "pooled_embedding" in networks:
                    other = f"enc{networks.index('pooled_embedding') ^ 1}_{name}"
                    cure = f"Make {other} and enc_dim equal, or untie the tables."
            must = f"must equal {ours} ({draft[ours]!r}) with tied_token_embedding_weight"
            yield Contradiction(names, problem(theirs, must, draft[theirs], cure))


@_rule("`partners` need a token table for each side: not tied, and not frozen.")
def _partners(draft: Draft) -> Findings:
    for side in (0, 1):
        name, freeze = f"enc{side}_partners", f"enc{side}_freeze_pretrained_embedding"
        if not draft[name] or (side and draft.inherits):
            continue
        must = "must be false"
        if draft["tied_token_embedding_weight"]:
            cure = "Untie the tables, or leave partners out."
            names = {name, "tied_token_embedding_weight"}
            yield Contradiction(names, problem(name, f"{must} with tied tables", True, cure))
        file = f"enc{side}_pretrained_embedding_file"
        if draft[file] and draft[freeze]:
            cure = f"Set {freeze} to false, or leave partners out."
            names = {name, file, freeze}
            yield Contradiction(names, problem(name, f"{must} with a frozen table", True, cure))

"""The network against its formulas: values, gradients, counts, masks and where dropout falls."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from object2vec import Config
from object2vec.devices import computing
from object2vec.kernels import kernel_for
from object2vec.kernels.comparator import compare
from object2vec.kernels.rules import SGD, Parameter, Update
from object2vec.network import recurrence
from object2vec.network.dropout import Dropout
from object2vec.network.network import Network, collapsed, new_network, parameter_count
from object2vec.network.recurrence import grouped_states, packed_states
from object2vec.objectives import Encoded
from object2vec.objects.ragged import Ragged
from object2vec.pairs.batches import Batch
from object2vec.pairs.negatives import Pairing
from support import oracles

VOCAB = 11
# Trailing, leading, interior and only padding; no token, one and many; a repeated one.
IN0 = [[3], [1, 2, 3, 4, 5], [], [7, 0, 0], [0, 0, 6, 0, 2], [0, 0], [5, 0, 5, 5, 1, 9, 9], [2, 8]]
IN1 = [[4, 4], [9], [2, 0, 3], [], [1], [6, 5, 4, 3, 2, 1, 10], [0], [10, 0, 0, 7]]
ENCODERS = [
    {"enc0_network": "pooled_embedding"},
    *(
        {"enc0_network": "hcnn", "enc0_layers": layers, "enc0_cnn_filter_width": width}
        for layers, width in [(1, 1), (1, 2), (2, 3), (3, 4), (4, 5), (2, 8), (2, 9)]
    ),
    *({"enc0_network": "bilstm", "enc0_layers": layers} for layers in (1, 2, 3, 4)),
]
HEADS = [
    {"mlp_layers": 0},
    {"mlp_layers": 1, "mlp_activation": "tanh"},
    {"mlp_layers": 2, "mlp_activation": "relu"},
    {"mlp_layers": 3, "mlp_activation": "linear"},
]
LISTS = [
    ", ".join(names)
    for n in (1, 2, 3)
    for names in itertools.permutations(("hadamard", "concat", "abs_diff"), n)
]
EPS = float(np.finfo(np.float32).eps)
# A value here is a sum of at most some hundred products of numbers of size 1, a few layers deep,
# each rounded once: far less than a thousand roundings of a float32.
CLOSE = {"rtol": 1000 * EPS, "atol": 1000 * EPS}


def build(kernel="compiled", **settings) -> Network:
    values = {
        "enc0_max_seq_len": 6,
        "enc0_vocab_size": VOCAB,
        "enc0_token_embedding_dim": 5,
        "enc_dim": 6,
        "mlp_dim": 4,
        "num_classes": 3,
        "kernel": kernel,
    }
    config = Config.build(values | settings)
    network = Network(config, kernel_for(kernel, "cpu"))
    generator = torch.Generator().manual_seed(5)
    network.initialize(generator)
    with torch.no_grad():  # zero biases would hide whether they are used
        for name, tensor in network.state_dict().items():
            spread = 0.5 if "bias" in name else 1.0
            tensor.uniform_(-spread, spread, generator=generator)
    return network.train()


def outputs(network: Network, in0=IN0, in1=IN1) -> torch.Tensor:
    return network(Ragged.build(in0), Ragged.build(in1, "in1"))


def loss(network: Network, logits: torch.Tensor, label: list) -> torch.Tensor:
    batch = Encoded(logits, logits, None, np.array(label, np.float32), lambda *_: logits)
    return network.objective.loss(batch)


def id_of(settings: dict) -> str:
    return "-".join(str(value) for value in settings.values())


@pytest.mark.parametrize("kernel", ["compiled", "reference"])
@pytest.mark.parametrize("mask_padding", [True, False])
@pytest.mark.parametrize("encoder", ENCODERS, ids=id_of)
def test_encoders_are_their_formulas(encoder, mask_padding, kernel):
    network = build(kernel, mask_padding=mask_padding, **encoder)
    weights = oracles.double(network.state_dict())
    for side, rows in enumerate((IN0, IN1)):
        found = network.encode(side, Ragged.build(rows)).detach()
        expected = torch.stack([oracles.encode(weights, network.config, side, r) for r in rows])
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), expected.detach(), **CLOSE)
        assert len(np.unique(found.numpy(), axis=0)) >= 4  # and not all the same


def test_hcnn_gives_the_last_layer_what_does_not_divide():
    for enc_dim, layers, filters in [(6, 4, [1, 1, 1, 3]), (7, 3, [2, 2, 3]), (4, 1, [4])]:
        network = build(enc0_network="hcnn", enc0_layers=layers, enc_dim=enc_dim)
        shapes = [len(conv.bias) for conv in network.encoders[0].convolutions]
        assert shapes == filters
        assert network.encode(0, Ragged.build(IN0)).shape == (len(IN0), enc_dim)


@pytest.mark.parametrize("head", HEADS, ids=id_of)
@pytest.mark.parametrize("names", LISTS)
def test_scores_are_their_formula(names, head):
    network = build(enc0_network="pooled_embedding", comparator_list=names, **head)
    expected = oracles.logits(oracles.double(network.state_dict()), network.config, IN0, IN1)
    found = outputs(network).detach()
    torch.testing.assert_close(found.double(), expected.detach(), **CLOSE)
    probabilities = network.scores(found)
    softmax = torch.exp(expected.detach()) / torch.exp(expected.detach()).sum(1, keepdim=True)
    torch.testing.assert_close(probabilities.double(), softmax, **CLOSE)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("classes", [2, 3, 4])
def test_layers_without_activations_collapse_to_their_product(layers, classes):
    network = build(mlp_layers=layers, mlp_activation="linear", num_classes=classes, mlp_dim=4)
    rows = Ragged.build(IN0), Ragged.build(IN1, "in1")
    weights = oracles.double(network.state_dict())
    one = collapsed(network, 4)
    parameters = dict(one.head.named_parameters())
    assert {name: tuple(p.shape) for name, p in parameters.items()} == {
        "weight": (classes, network.config.comparator_width),
        "bias": (classes,),
    }
    assert not any(p.requires_grad for p in parameters.values())
    expected = oracles.logits(weights, network.config, IN0, IN1).detach()
    torch.testing.assert_close(one(*rows).double(), expected, **CLOSE)
    assert one.tables()[0] is network.tables()[0]
    assert len(network.head.hidden) == layers  # which goes on as it was
    torch.testing.assert_close(network(*rows).detach().double(), expected, **CLOSE)


@pytest.mark.parametrize(
    ("settings", "most"),
    [
        ({"mlp_layers": 0}, 16),
        ({"mlp_layers": 2, "mlp_activation": "tanh"}, 16),
        ({"mlp_layers": 1, "mlp_activation": "relu"}, 16),
        ({"mlp_layers": 2, "num_classes": 4}, 3),  # the product would cost more than a few records
        ({"mlp_layers": 2, "num_classes": 5, "mlp_dim": 4}, 16),  # and be larger than its factors
        ({"output_layer": "dot_product"}, 16),
    ],
)
def test_other_heads_do_not_collapse(settings, most):
    network = build(**settings)
    assert collapsed(network, most) is network


def test_no_state_of_pytorch_collapses_layers_less_exactly():
    network = build(mlp_layers=2, mlp_activation="linear")
    expected = collapsed(network, 16).head.weight
    torch.set_default_dtype(torch.float64)
    try:
        with torch.autocast("cpu", torch.bfloat16), torch.device("meta"), torch.inference_mode():
            found = collapsed(network, 16).head.weight
    finally:
        torch.set_default_dtype(torch.float32)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_the_comparator_keeps_its_order_and_can_repeat_a_part():
    a, b = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, -4.0]])
    assert compare(a, b, ["abs_diff", "concat", "hadamard"]).tolist() == [
        [2.0, 6.0, 1.0, 2.0, 3.0, -4.0, 3.0, -8.0]
    ]
    assert compare(a, b, ["hadamard"]).tolist() == [[3.0, -8.0]]


def gradients(network: Network, label: np.ndarray) -> dict[str, torch.Tensor]:
    """Every gradient by name; those of tables by what one step of SGD with rate 1 takes away."""
    columns = {"in0": Ragged.build(IN0), "in1": Ragged.build(IN1, "in1"), "label": label}
    batch = Batch(columns, None)
    value = network.objective.loss(network.encoded(batch))
    value.backward()
    found = {name: p.grad for name, p in network.named_parameters()}
    for i, table in enumerate(network.tables()):
        before = table.weight.clone()
        table.update(Update(SGD(1.0), 1), Parameter.new(SGD(1.0), table.weight))
        found[f"tokens.{i}.weight"] = before - table.weight
    return found | {"loss": value.detach()}


@pytest.mark.parametrize("storage", ["dense", "row_sparse"])
@pytest.mark.parametrize("output", ["softmax", "mean_squared_error"])
@pytest.mark.parametrize("tied", [False, True, "shared"])
@pytest.mark.parametrize("encoder", [ENCODERS[0], *ENCODERS[3:5], *ENCODERS[8:10]], ids=id_of)
def test_loss_and_every_gradient_are_those_of_the_formula(encoder, tied, output, storage):
    network = build(
        output_layer=output,
        mlp_layers=2,
        mlp_activation="tanh",
        **({"shared_encoder": True} if tied == "shared" else {"tied_token_embedding_weight": tied}),
        token_embedding_storage_type=storage,
        **encoder,
    )
    label = np.array([0, 1, 2, 0, 1, 2, 2, 1], np.float32)
    weights = oracles.double(network.state_dict())
    oracle = oracles.logits(weights, network.config, IN0, IN1)
    expected = oracles.loss(oracle, label, network.config.output_layer == "softmax")
    expected.backward()
    found = gradients(network, label)
    assert found.pop("loss").item() == pytest.approx(expected.item(), rel=1000 * EPS)
    assert found.keys() == weights.keys()
    for name, weight in weights.items():
        torch.testing.assert_close(found[name].double(), weight.grad, **CLOSE, msg=name)
        assert weight.grad.abs().max() > 1e-4, f"{name}: nothing was compared"
    assert (found["tokens.0.weight"][0] == 0).all()  # padding learns nothing


def test_the_loss_of_a_wrong_and_certain_answer_stays_finite():
    certain = torch.tensor([[200.0, -200.0]])
    classifier, regressor = build(), build(output_layer="mean_squared_error")
    assert loss(classifier, certain, [1.0]).item() == 400.0
    assert loss(regressor, torch.tensor([[3.0], [1.0]]), [1.0, 1.0]).item() == 1.0


@pytest.mark.parametrize(
    ("count", "settings"),
    [
        # Spec 3.6, the container's own logs; token tables are not counted.
        (
            417_794,
            {"enc0_network": "pooled_embedding", "enc_dim": 300, "comparator_list": "hadamard"},
        ),
        (
            1_049_089,
            {
                "enc0_network": "pooled_embedding",
                "enc_dim": 1024,
                "mlp_dim": 256,
                "mlp_layers": 1,
                "output_layer": "mean_squared_error",
            },
        ),
        (
            8_391_682,
            {"enc0_network": "pooled_embedding", "enc_dim": 2048, "mlp_dim": 1024, "mlp_layers": 1},
        ),
        (304_995, {"enc0_network": "hcnn", "enc_dim": 16, "num_classes": 3}),
    ],
)
def test_as_many_parameters_as_aws(count, settings):
    given = {"enc0_max_seq_len": 5, "enc0_vocab_size": 9} | settings
    with torch.device("meta"):
        network = Network(Config.build(given), kernel_for("reference", "cpu"))
    assert parameter_count(network) == count


@pytest.mark.parametrize("encoder", ENCODERS, ids=id_of)
def test_padding_and_neighbours_change_nothing(encoder):
    network = build(**encoder).eval()
    rows = IN0
    together = network.encode(0, Ragged.build(rows)).detach()
    padded = network.encode(0, Ragged.build([r + [0] * (9 - len(r)) for r in rows])).detach()
    assert torch.equal(together, padded)
    backwards = network.encode(0, Ragged.build(rows[::-1])).detach().flip(0)
    alone = torch.cat([network.encode(0, Ragged.build([r])) for r in rows]).detach()
    if encoder["enc0_network"] == "pooled_embedding":
        assert torch.equal(together, alone)
        assert torch.equal(together, backwards)
    # A matrix product may sum in another order for another number of rows.
    torch.testing.assert_close(together, alone, **CLOSE)
    torch.testing.assert_close(together, backwards, **CLOSE)
    empty = [i for i, r in enumerate(rows) if not any(r)]
    assert len(empty) == 2
    assert (together[empty] == 0).all()


@pytest.mark.parametrize("family", ["pooled_embedding", "hcnn", "bilstm"])
def test_initial_weights_are_xavier_with_zero_biases_and_follow_the_seed(family):
    settings = {
        "enc0_max_seq_len": 6,
        "enc0_vocab_size": 500,
        "enc_dim": 40,
        "mlp_dim": 30,
        "enc0_network": family,
        "enc0_token_embedding_dim": 20,
    }
    network = Network(Config.build(settings), kernel_for("reference", "cpu"))
    draws = []
    for seed in (1, 1, 2):
        network.initialize(torch.Generator().manual_seed(seed))
        draws.append({name: t.clone() for name, t in network.state_dict().items()})
    first, again, other = draws
    biases = {"pooled_embedding": 3, "hcnn": 11, "bilstm": 11}[family]
    assert sum("bias" in name for name in first) == biases
    for name, tensor in first.items():
        assert torch.equal(tensor, again[name]), name
        if "bias" in name:
            assert (tensor == 0).all(), name
            continue
        assert not torch.equal(tensor, other[name]), name
        bound = math.sqrt(6 / (tensor.shape[0] + tensor[0].numel()))
        assert tensor.abs().max() <= bound, name
        if tensor.numel() > 1000:  # the mean of a uniform draw, five standard errors wide
            assert tensor.mean().abs() < 5 * bound / math.sqrt(3 * tensor.numel()), name
            assert tensor.abs().max() > 0.98 * bound, name


def dropping(p: float, **settings) -> Network:
    network = build(dropout=p, **settings)
    for module in network.modules():
        if isinstance(module, Dropout):
            module.generator = torch.Generator().manual_seed(3)
    return network


@pytest.mark.parametrize("p", [0.25, 0.5])
def test_dropout_scales_what_it_keeps(p):
    layer = Dropout(p)
    layer.generator = torch.Generator().manual_seed(1)
    x = torch.rand(200, 100) + 1.0
    y = layer(x)
    kept = y != 0
    assert torch.allclose(y[kept], x[kept] / (1 - p), rtol=4 * EPS)
    share = 1 - kept.double().mean().item()
    assert abs(share - p) < 5 * math.sqrt(p * (1 - p) / x.numel())  # five standard errors
    assert layer.eval()(x) is x


@pytest.mark.parametrize("encoder", ENCODERS, ids=id_of)
def test_dropout_falls_where_the_family_has_it(encoder):
    """Pooled: after the encoder, so an encoding is never dropped; the others: between layers."""
    network = dropping(0.5, mlp_layers=0, **encoder)
    plain = build(mlp_layers=0, **encoder)
    rows = Ragged.build(IN0)
    encodings = [network.encode(0, rows).detach() for _ in range(2)]
    family, layers = encoder["enc0_network"], encoder.get("enc0_layers", 1)
    if family == "pooled_embedding" or layers == 1:
        assert torch.equal(encodings[0], plain.encode(0, rows))
        assert torch.equal(encodings[0], encodings[1])
    else:
        assert not torch.equal(encodings[0], encodings[1])
    changes = not torch.equal(outputs(network), outputs(network))
    assert changes == (family == "pooled_embedding" or layers > 1)
    network.eval()
    assert torch.equal(outputs(network), outputs(plain.eval()))
    if family == "hcnn" and layers > 1:  # nothing is dropped before the first convolution
        first = slice(0, len(network.encoders[0].convolutions[0].bias))
        expected = plain.encode(0, rows)[:, first]
        assert torch.equal(network.train().encode(0, rows)[:, first], expected)


@pytest.mark.parametrize(
    ("first", "second"),
    [("pooled_embedding", "hcnn"), ("bilstm", "hcnn"), ("hcnn", "pooled_embedding")],
)
def test_of_two_families_only_the_pooled_side_is_dropped(first, second):
    network = dropping(
        0.5,
        enc0_network=first,
        enc1_network=second,
        enc0_layers=1,
        enc1_layers=1,
        enc1_max_seq_len=6,
        enc1_vocab_size=VOCAB,
        mlp_layers=0,
    )
    dropped = []
    network.dropout.register_forward_hook(lambda _, given, out: dropped.append(given[0]))
    outputs(network)
    sides = [i for i, name in enumerate((first, second)) if name == "pooled_embedding"]
    assert len(dropped) == len(sides)
    for side, given in zip(sides, dropped, strict=True):
        assert torch.equal(given, network.encode(side, Ragged.build((IN0, IN1)[side])))


@pytest.mark.parametrize(("activation", "drops"), [("linear", 0), ("tanh", 2), ("relu", 2)])
def test_the_head_drops_after_activations_only(activation, drops):
    network = dropping(
        0.5, enc0_network="hcnn", enc0_layers=1, mlp_layers=2, mlp_activation=activation
    )
    seen = []
    network.head.dropout.register_forward_hook(lambda _, given, out: seen.append((given[0], out)))
    z = torch.randn(7, network.config.comparator_width)
    network.head(z)
    assert len(seen) == drops
    for given, out in seen:
        assert ((out == 0) | torch.isclose(out, 2 * given)).all()
        assert ((out == 0) & (given != 0)).any()


def test_records_of_a_batch_have_masks_of_their_own_after_pairing():
    network = dropping(0.5, enc0_network="pooled_embedding", mlp_layers=0)
    seen = []
    network.dropout.register_forward_hook(lambda _, given, out: seen.append((given[0], out)))
    both = Ragged.build([[1], [2]])
    rows = np.zeros(64, np.int64)  # 64 records of the very same pair
    network(both, both, Pairing(rows, rows + 1))
    for given, out in seen:
        assert given.shape == (64, 6)
        assert (given == given[0]).all()
        assert len(np.unique((out != 0).numpy(), axis=0)) > 20
    assert not torch.equal(seen[0][1] != 0, seen[1][1] != 0)  # nor do the sides share theirs


@pytest.mark.parametrize("encoder", [ENCODERS[0], ENCODERS[3], ENCODERS[9]], ids=id_of)
def test_dropout_of_everything_leaves_zeros_and_finite_gradients(encoder):
    network = dropping(1.0, mlp_layers=1, mlp_activation="tanh", **encoder)
    found = outputs(network)
    bias = network.head.output.bias
    assert torch.equal(found, bias.expand(len(IN0), -1))  # every hidden number is dropped
    loss(network, found, [0.0] * len(IN0)).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert (network.head.output.bias.grad != 0).any()


def test_pairing_names_the_encodings_of_each_record():
    network = build(enc0_network="bilstm").eval()
    in0, in1 = Ragged.build([[1], [2, 3]]), Ragged.build([[4], [5], [6, 7]])
    rows0, rows1 = np.array([0, 1, 0, 1, 1]), np.array([0, 1, 2, 0, 2])
    found = network(in0, in1, Pairing(rows0, rows1))
    expected = network(in0.take(rows0), in1.take(rows1))
    torch.testing.assert_close(found, expected, **CLOSE)
    assert len(torch.unique(found[:, 0])) == 5


@pytest.mark.parametrize("lengths", [[1], [3, 1, 7, 2, 2, 9, 1, 4, 5, 6, 3], [2] * 40])
def test_an_lstm_over_groups_is_the_one_over_packed_steps(lengths):
    """Packed steps are what a GPU runs; here both run on a CPU."""
    lengths = np.array(lengths)
    lstm = torch.nn.LSTM(3, 2, bidirectional=True)
    found = []
    for states in (grouped_states, packed_states):
        x = torch.randn(lengths.sum(), 3, generator=torch.Generator().manual_seed(1))
        x.requires_grad_()
        lstm.zero_grad()
        out = states(lstm, x, lengths)
        (out * torch.arange(out.numel()).view_as(out)).sum().backward()
        found.append([out.detach(), x.grad, *(p.grad.clone() for p in lstm.parameters())])
    for grouped, packed in zip(*found, strict=True):
        torch.testing.assert_close(grouped, packed, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("small", [0, 1 << 30])
def test_threads_change_no_byte_of_an_lstm_or_its_gradients(small, monkeypatch):
    monkeypatch.setattr(recurrence, "_SMALL", small)
    generator = torch.Generator().manual_seed(1)
    lengths = np.random.default_rng(0).integers(1, 30, 90)
    inputs = torch.randn(lengths.sum(), 40, generator=generator)
    torch.manual_seed(2)
    lstm, found = torch.nn.LSTM(40, 64, bidirectional=True), []
    for threads in (1, 2, 3):
        with computing(threads):
            lstm.zero_grad()
            x = inputs.clone().requires_grad_()
            states = grouped_states(lstm, x, lengths)
            states.square().sum().backward()
            with torch.inference_mode():
                used = grouped_states(lstm, inputs, lengths)
            assert torch.get_num_threads() == threads
        # Without AVX-512 oneDNN's LSTM rounds differently where it keeps nothing for gradients.
        torch.testing.assert_close(used, states.detach(), **CLOSE)
        gradients = [p.grad.clone() for p in lstm.parameters()]
        found.append([states.detach(), used.clone(), x.grad, *gradients])
    for one, two, three in zip(*found, strict=True):
        assert one.any()
        assert torch.equal(one, two)
        assert torch.equal(one, three)


@pytest.mark.parametrize("token_init", ["unit", "xavier"])
def test_initial_weights_depend_on_no_global_state(token_init):
    settings = {"enc0_max_seq_len": 3, "enc0_vocab_size": 50, "enc_dim": 4, "seed": 9}
    made = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        config = Config.build(settings | {"token_init": token_init})
        made.append(new_network(config, kernel_for("reference", "cpu")).state_dict())
        assert torch.equal(torch.get_rng_state(), before)
    for name, tensor in made[0].items():
        assert torch.equal(tensor, made[1][name]), name
    other = Config.build(settings | {"token_init": token_init, "seed": 10})
    weight = new_network(other, kernel_for("reference", "cpu")).table(0).weight
    assert not torch.equal(weight, made[0]["tokens.0.weight"])


@pytest.mark.parametrize("width", [4, 300])
def test_unit_vectors_of_tokens_have_length_1_and_the_rest_stays_xavier(width):
    settings = {
        "enc0_max_seq_len": 6,
        "enc0_vocab_size": 2000,
        "enc_dim": width,
        "mlp_dim": 30,
        "enc0_network": "pooled_embedding",
        "token_init": "unit",
    }
    network = Network(Config.build(settings), kernel_for("reference", "cpu"))
    network.initialize(torch.Generator().manual_seed(1))
    table = network.table(0).weight
    assert table.square().sum(1).mean().item() == pytest.approx(1, abs=0.05)
    assert table.abs().max() > 2 / math.sqrt(width)
    assert abs(table.mean().item()) < 0.01
    for tensor in network.parameters():
        if tensor.dim() > 1:
            bound = math.sqrt(6 / (tensor.shape[0] + tensor[0].numel()))
            assert 0 < tensor.abs().max() <= bound

"""Small data of the form that AWS's four notebooks upload, and their hyperparameters made small.

Runs in the clients' environments: nothing but the standard library.
"""

import json
import os
import random

GENRES = ["Action", "Comedy", "Drama"]
WORDS = [f"word{i}" for i in range(30)]
UNKNOWN = len(WORDS) + 1  # the id of a word that is none of them, as large as the vocabulary
USERS, MOVIES = 12, 9
COMMON = {
    "_kvstore": "device",
    "_num_gpus": "auto",
    "_num_kv_servers": "auto",
    "bucket_width": 0,
    "early_stopping_patience": 3,
    "early_stopping_tolerance": 0.01,
    "enc_dim": 8,
    "mlp_dim": 8,
    "epochs": 2,
    "learning_rate": 0.01,
    "optimizer": "adam",
}


def write(path, rows):
    """Write JSON Lines and return the path."""
    folder = os.path.dirname(path)
    if folder and not os.path.isdir(folder):
        os.makedirs(folder)
    with open(path, "w") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))
    return path


def movies(label):
    """Write ratings, or whether they are good, and return the paths by channel."""
    draw = random.Random(1)
    rows = [
        {"in0": [user], "in1": [movie], "label": float(1 + (user * movie + draw.random() * 2) % 5)}
        for user in range(1, USERS)
        for movie in range(1, MOVIES)
    ]
    if label == "c":
        rows = [dict(row, label=int(row["label"] > 3)) for row in rows]
    draw.shuffle(rows)
    cut = len(rows) * 3 // 4
    return {
        "train": write(f"train_{label}.jsonl", rows[:cut]),
        "validation": write(f"validation_{label}.jsonl", rows[cut:]),
    }


def movies_hyperparameters(label):
    """Return those of rating (r) or of recommendation (c)."""
    own = {
        "enc0_layers": "auto",
        "enc0_max_seq_len": 1,
        "enc0_network": "pooled_embedding",
        "enc0_token_embedding_dim": 300,
        "enc0_vocab_size": USERS,
        "enc1_layers": "auto",
        "enc1_max_seq_len": 1,
        "enc1_network": "pooled_embedding",
        "enc1_token_embedding_dim": 300,
        "enc1_vocab_size": MOVIES,
        "mini_batch_size": 16,
        "mlp_activation": "tanh" if label == "r" else "relu",
        "mlp_layers": 1,
        "num_classes": 2,
        "output_layer": "mean_squared_error" if label == "r" else "softmax",
    }
    return dict(COMMON, **own)


def _sentence(draw, length=8):
    return [draw.randrange(1, len(WORDS)) for _ in range(draw.randrange(2, length))]


def sentences():
    """Write pairs of sentences with three labels, a vocabulary and vectors; return the paths."""
    draw = random.Random(2)
    rows = [{"in0": _sentence(draw), "in1": _sentence(draw), "label": i % 3} for i in range(120)]
    with open("all_vocab.json", "w") as file:
        json.dump({word: i for i, word in enumerate(WORDS)}, file)
    with open("glove.840B-trim.txt", "w") as file:
        for word in WORDS[::2]:
            file.write(" ".join([word, *(f"{draw.uniform(-1, 1):.3f}" for _ in range(12))]) + "\n")
    return {
        "train": write("snli/train.jsonl", rows[:80]),
        "validation": write("snli/validation.jsonl", rows[80:]),
    }


def sentences_hyperparameters():
    """Return those of the quick run."""
    own = {
        "mlp_activation": "linear",
        "mlp_layers": 2,
        "output_layer": "softmax",
        "mini_batch_size": 64,
        "dropout": 0,
        "weight_decay": 0,
        "enc0_max_seq_len": 8,
        "enc1_max_seq_len": 8,
        "enc0_network": "hcnn",
        "enc1_network": "enc0",
        "enc0_token_embedding_dim": 12,
        "enc0_layers": "auto",
        "enc0_cnn_filter_width": 3,
        "enc1_token_embedding_dim": 12,
        "enc1_layers": "auto",
        "enc1_cnn_filter_width": 3,
        "enc0_vocab_file": "",
        "enc1_vocab_file": "",
        "enc0_vocab_size": len(WORDS),
        "enc1_vocab_size": len(WORDS),
        "num_classes": 3,
    }
    return dict(COMMON, **own)


def genres():
    """Write plots beside a genre each, and a vocabulary whose last id is its size."""
    draw = random.Random(3)
    rows = [
        {"in0": _sentence(draw, 20), "in1": [genre], "label": int(draw.random() < 0.4)}
        for _ in range(40)
        for genre in range(len(GENRES))
    ]
    vocabulary = {word: i for i, word in enumerate(WORDS)}
    vocabulary["<unk>"] = UNKNOWN
    with open("vocab.json", "w") as file:
        json.dump(vocabulary, file)
    with open("glove.840B.300d.txt", "w") as file:
        for word in WORDS[::2]:
            file.write(" ".join([word, *(f"{draw.uniform(-1, 1):.3f}" for _ in range(12))]) + "\n")
    return {
        "train": write("tokenized_movie_genres_train_shuffled.jsonl", rows[:80]),
        "validation": write("tokenized_movie_genres_validation.jsonl", rows[80:100]),
        "test": write("tokenized_movie_genres_test.jsonl", rows[100:]),
    }


def genres_hyperparameters():
    """Return those of two encoders that differ, with vectors for the plots."""
    own = {
        "enc_dim": 16,
        "mlp_dim": 8,
        "mlp_activation": "relu",
        "mlp_layers": 2,
        "output_layer": "softmax",
        "bucket_width": 10,
        "num_classes": 2,
        "mini_batch_size": 16,
        "enc0_max_seq_len": 20,
        "enc1_max_seq_len": 2,
        "enc0_network": "hcnn",
        "enc1_network": "hcnn",
        "enc0_layers": "2",
        "enc1_layers": "1",
        "enc0_cnn_filter_width": 2,
        "enc1_cnn_filter_width": 1,
        "enc0_token_embedding_dim": 12,
        "enc1_token_embedding_dim": 10,
        "enc0_pretrained_embedding_file": "glove.840B.300d.txt",
        "enc0_freeze_pretrained_embedding": "true",
        "enc0_vocab_file": "vocab.json",
        "enc1_vocab_file": "",
        "enc0_vocab_size": len(WORDS) + 1,
        "enc1_vocab_size": len(GENRES),
        "epochs": 2,
    }
    return own


def documents():
    """Write sentences beside the articles that they are from; dev and test with negatives."""
    draw = random.Random(4)

    def rows(count, negatives):
        articles = [[*_sentence(draw, 30), 0] for _ in range(count)]
        for i, article in enumerate(articles):
            yield {"in0": article[:3], "in1": article, "label": 1}
            for j in range(negatives):
                yield {"in0": article[:3], "in1": articles[(i + j + 1) % count], "label": 0}

    return {
        "train": write("train250k_tokenized_shuf.jsonl", rows(60, 0)),
        "validation": write("dev10k_tokenized-nsr5.jsonl", rows(10, 5)),
        "test": write("test10k_tokenized-nsr5.jsonl", rows(10, 5)),
    }


def documents_hyperparameters():
    """Return those with negatives, one shared table and sparse updates."""
    own = {
        "dropout": 0.4,
        "early_stopping_patience": 2,
        "enc0_layers": "auto",
        "enc0_max_seq_len": 20,
        "enc0_network": "pooled_embedding",
        "enc0_pretrained_embedding_file": "",
        "enc0_token_embedding_dim": 8,
        "enc0_vocab_size": len(WORDS),
        "enc1_network": "enc0",
        "mini_batch_size": 32,
        "mlp_activation": "relu",
        "mlp_layers": 2,
        "num_classes": 2,
        "output_layer": "softmax",
        "weight_decay": 0,
        "negative_sampling_rate": 3,
        "tied_token_embedding_weight": "true",
        "comparator_list": "hadamard",
        "token_embedding_storage_type": "row_sparse",
    }
    return dict(COMMON, **own)


def rows_of(path):
    """Return the rows of JSON Lines."""
    with open(path) as file:
        return [json.loads(line) for line in file]


def pairs_of(path):
    """Return the pairs of records, as requests have them."""
    return [{"in0": row["in0"], "in1": row["in1"]} for row in rows_of(path)]

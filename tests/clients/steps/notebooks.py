"""The steps of AWS's four notebooks, for clients that have no notebooks of their own.

An account of such a client has `role` and `bucket` and can

- `upload(prefix, paths)` files by channel, which returns their URIs, and `put(paths, prefix)` some,
- `train(name, hyperparameters, uris)`, which returns a job that has ended,
- `deploy(name, job)`, `ask(name, instances)` for predictions, and `clean(names)` afterwards,
- `transform(name, base, file)`: of a deployed model, into a file here,
- `tune(hyperparameters, uris)`, which returns the state of a tuning job and those of its jobs,
- name the `metrics(job)`, and `check_log(name)` of one that has ended.
"""

import os

import api
import data


def movies(account):
    """Ratings, then recommendation, then embeddings."""
    seen = {"role": account.role}
    for task in ("r", "c"):
        name = "movies-" + task
        paths = data.movies(task)
        uris = account.upload(name, paths)
        account.deploy(name, account.train(name, data.movies_hyperparameters(task), uris))
        found = account.ask(name, data.pairs_of(paths["validation"]))
        seen["scores_" + task] = [len(row["scores"]) for row in found]
        if task == "c":
            found = account.ask(name, [{"in1": [movie]} for movie in range(1, data.MOVIES)])
            seen["embeddings"] = [len(row["embeddings"]) for row in found]
        account.clean([name])
    return seen


def sentences(account):
    """A run, its metrics, a second one with vectors, and a tuning job."""
    paths = data.sentences()
    uris = account.upload("sentences", paths)
    hyperparameters = data.sentences_hyperparameters()
    job = account.train("sentences", hyperparameters, uris)
    final = account.metrics(job)
    seen = {"metrics": [name for name in final if name == "validation:cross_entropy"]}
    account.deploy("sentences", job)
    pairs = data.pairs_of(paths["validation"])
    seen["scores"] = [len(row["scores"]) for row in account.ask("sentences", pairs)]
    account.put(["glove.840B-trim.txt", "all_vocab.json"], "sentences/auxiliary")
    channels = dict(uris, auxiliary=f"s3://{account.bucket}/sentences/auxiliary")
    second = account.train("sentences-2", api.with_vectors(hyperparameters), channels)
    account.deploy("sentences-2", second)
    for side in ("in0", "in1"):
        found = account.ask("sentences-2", [{"in1": pair[side]} for pair in pairs])
        seen["embeddings_" + side] = [len(row["embeddings"]) for row in found]
    account.clean(["sentences", "sentences-2"])
    seen["tuned"] = account.tune(hyperparameters, uris)
    return seen


def genres(account):
    """Channels by prefix, vectors for one side, batch transform, and single requests."""
    paths = data.genres()
    account.upload("genres", paths)
    account.put(["vocab.json", "glove.840B.300d.txt"], "genres/auxiliary")
    base = f"s3://{account.bucket}/genres/"
    channels = {name: base + name + "/" for name in ("train", "validation", "auxiliary")}
    job = account.train("genres", data.genres_hyperparameters(), channels)
    account.deploy("genres", job)
    name = os.path.basename(paths["test"]) + ".out"
    account.transform("genres", base, name)
    seen = {"transformed": [len(row["scores"]) for row in data.rows_of(name)]}
    batch = [{"in0": [3, data.UNKNOWN, 7], "in1": [genre]} for genre in range(len(data.GENRES))]
    seen["scores"] = [len(row["scores"]) for row in account.ask("genres", batch)]
    account.clean(["genres"])
    return seen


def documents(account):
    """Three channels, the job's log, embeddings in batches."""
    paths = data.documents()
    uris = account.upload("documents", paths)
    job = account.train("documents", data.documents_hyperparameters(), uris)
    account.check_log("documents")
    account.deploy("documents", job)
    found = []
    articles = [{"in0": row["in1"]} for row in data.rows_of(paths["test"])]
    for start in range(0, len(articles), 25):
        found += account.ask("documents", articles[start : start + 25])
    account.clean(["documents"])
    return {
        "embeddings": [len(row["embeddings"]) for row in found],
        "metrics": sorted(account.metrics(job)),
    }

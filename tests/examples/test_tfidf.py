from __future__ import annotations

import numpy as np
from scipy.stats import rankdata
from sklearn.feature_extraction.text import TfidfVectorizer

from object2vec.examples.tfidf import tfidf_ranks


def test_tfidf_ranks_are_those_of_scikit_learn(task):
    asked, target = task.held_out_table(task.test)["definition"], task.targets(task.test)
    known, queries = (list(map(task.telling_words, texts)) for texts in (task.documents, asked))
    vectorizer = TfidfVectorizer(sublinear_tf=True, smooth_idf=False, token_pattern=r"\S+")
    documents = vectorizer.fit_transform(map(" ".join, known))
    # A word of no document lengthens the query alone, which changes no order.
    scores = (vectorizer.transform(map(" ".join, queries)) @ documents.T).toarray()
    found = np.stack([rankdata(-row) for row in scores.round(9)])
    expected = np.ceil(found[np.arange(len(target)), target])
    ranks = tfidf_ranks(known, queries, target)
    assert ranks.tolist() == expected.tolist()
    assert len(set(expected)) > 12

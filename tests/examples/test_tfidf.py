from __future__ import annotations

import numpy as np
from scipy.stats import rankdata
from sklearn.feature_extraction.text import TfidfVectorizer

from object2vec.examples.tfidf import tfidf_ranks


def test_tfidf_ranks_are_those_of_scikit_learn(task):
    def tokens(column):
        return [" ".join(map(str, column.row(i))) for i in range(len(column))]

    vectorizer = TfidfVectorizer(sublinear_tf=True, smooth_idf=False, token_pattern=r"\d+")
    documents = vectorizer.fit_transform(tokens(task.documents))
    # A word of no document lengthens the query alone, which changes no order.
    scores = (vectorizer.transform(tokens(task.queries(task.test))) @ documents.T).toarray()
    found = np.stack([rankdata(-row) for row in scores.round(9)])
    target = task.targets(task.test)
    expected = np.ceil(found[np.arange(len(target)), target])
    ranks = tfidf_ranks(task.documents, task.queries(task.test), target, task.vocab_size)
    assert ranks.tolist() == expected.tolist()
    assert len(set(expected)) > 12

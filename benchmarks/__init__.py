"""Questions about object2vec, each answered by one script that writes its figures as JSON."""

"""Answers of a trained model without HTTP: embeddings and scores of columns and of files."""

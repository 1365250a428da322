"""What a trained model predicts, without HTTP: embeddings and scores of columns and of files."""

"""object2vec: vectors for anything that comes in pairs."""

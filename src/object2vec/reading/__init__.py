"""Sources to columns: every input is parsed once, then its columns are memory-mapped."""

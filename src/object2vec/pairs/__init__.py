"""Objects come in: records of two sequences and a label, as columns without padding."""

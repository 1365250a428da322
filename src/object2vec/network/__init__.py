"""The algorithm: token tables, encoders, comparator, head."""

"""What one object is: a sequence of ids without padding, its vocabulary, its statistics."""

"""Learning: losses, metrics, updates, early stopping, checkpoints and the one training loop."""

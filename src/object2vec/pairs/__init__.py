"""Who meets whom, and when: the pairs of a channel, their batches, their order, their negatives."""

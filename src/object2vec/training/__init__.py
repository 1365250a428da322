"""Learning: a step makes one update, a loop counts epochs, a run opens and ends."""

"""What several rooms of tests stand on: oracles, kernels to compare, servers to ask."""

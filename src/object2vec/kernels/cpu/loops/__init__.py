"""The compiled loops of the CPU's kernel: arrays in, arrays out, no PyTorch."""

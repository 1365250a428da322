"""The kernel for CPUs, compiled by Numba."""

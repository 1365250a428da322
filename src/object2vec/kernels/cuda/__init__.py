"""The kernel for CUDA devices, compiled by Triton."""

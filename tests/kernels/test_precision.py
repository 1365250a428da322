"""`precision=bfloat16` changes what every kernel computes."""

import pytest
import torch

from support.kernels import OnGPU, each_kernel


@pytest.mark.parametrize("activation", ["linear", "tanh", "relu"])
@each_kernel
def test_a_layer_under_autocast_is_computed_in_bfloat16(kernel, activation):
    generator = torch.Generator().manual_seed(0)
    x, w = (torch.randn(shape, generator=generator) for shape in ((9, 70), (5, 70)))
    made = kernel()
    whole = made.linear(x, w, None, activation)
    with torch.autocast("cuda" if isinstance(made, OnGPU) else "cpu", dtype=torch.bfloat16):
        short = made.linear(x, w, None, activation)
    assert short.dtype == torch.bfloat16
    assert not torch.equal(short.float(), whole)
    torch.testing.assert_close(short.float(), whole, rtol=0.05, atol=0.2)

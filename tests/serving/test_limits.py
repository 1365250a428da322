"""Held bytes: what is admitted, and that nothing stays counted."""

from __future__ import annotations

import pytest

from object2vec.serving.limits import HeldBytes, Overloaded


def test_bytes_are_held_while_a_block_runs():
    held = HeldBytes(10)
    with held.admit(3):
        assert held.total == 3
        with held.admit(7), held.add(100):  # up to the limit; a response is in memory already
            assert held.total == 110
        assert held.total == 3
    assert held.total == 0


@pytest.mark.parametrize("error", [ValueError, GeneratorExit, KeyboardInterrupt])
@pytest.mark.parametrize("name", ["admit", "add"])
def test_no_byte_is_held_after_an_error(name, error):
    held = HeldBytes(10)
    with pytest.raises(error), getattr(held, name)(3):
        raise error
    assert held.total == 0


def test_what_exceeds_the_limit_is_rejected_unless_it_is_alone():
    held = HeldBytes(10)
    with held.admit(11):
        message = (
            r"^the server: must have memory for the request; got '11 bytes in flight'\. Send it "
        )
        with pytest.raises(Overloaded, match=message) as caught:
            held.admit(1)
        assert (caught.value.status, caught.value.retry_after_s) == (429, 1)
        assert held.total == 11
    with held.admit(4), pytest.raises(Overloaded):
        held.admit(7)
    held.admit(3)  # nothing is held before the block begins
    assert held.total == 0

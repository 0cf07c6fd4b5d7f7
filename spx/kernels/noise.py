"""Random numbers that are a function of (seed, counter): the same in any order, on any device, by any thread.

The counter-based form of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
"""

from torch import Tensor

GAMMA, MIX_1, MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
SMALLEST_WEIGHT = 1e-30  # a score that underflowed to zero still ranks behind every other
LARGEST_WEIGHT = 3.4028234663852886e38  # of float32: where a type of edges is drawn first, none is infinite
LARGEST_UNIFORM = 1 - 2.0**-53
DRAWN_FIRST = 2.0**400
"""Factor, in float64, of the weights of edges that are drawn before all others. -ln(u) lies in [2^-53, 2^6] and a
weight in [2^-100, 2^128], so the others' keys -ln(u) / p are all above 2^-182, and theirs all below 2^-293: their order
is exact whatever the weights and the numbers u are. A power of two leaves the order among them as it is."""


def uniform(seed: int, counter: Tensor) -> Tensor:
    """Uniform numbers inside (0, 1) with 53 random bits, float64, of the shape of `counter` (int64, from 0)."""
    x = random_bits(seed, counter)
    return ((_shifted(x, 11).double() + 0.5) * 2.0**-53).clamp_(max=LARGEST_UNIFORM)  # the last half is rounded up


def random_bits(seed: int, counter: Tensor) -> Tensor:
    """64 random bits, as int64, of the shape of `counter` (int64, from 0)."""
    x = (counter + 1) * _signed(GAMMA) + _signed(seed)  # int64 wraps around as uint64 does
    x = (x ^ _shifted(x, 30)) * _signed(MIX_1)
    x = (x ^ _shifted(x, 27)) * _signed(MIX_2)
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """Right shift of the 64 bits as an unsigned number."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number

"""Building blocks of the CPU kernels: short vectors at an address, and the bounded exponential."""

import math

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from spx.kernels.formula import SCORE_BOUND

CACHE_LINE = 64  # bytes
VECTOR = 16  # most elements of one vector instruction's operand before LLVM splits it
TABLE_STEPS = 16  # entries of the exponential's table for each unit of its argument


MIDDLE = int(SCORE_BOUND * TABLE_STEPS)
TABLE = np.exp(np.arange(-MIDDLE, MIDDLE + 1) / TABLE_STEPS).astype(np.float32)


def bounded_exp(x: float) -> float:
    """exp(clamp(x, -8, 8)), for kernels; nan stays nan. In float32 by a table and a cubic, to the last digit but one
    and three times as fast."""
    raise NotImplementedError("this is for compiled code")


@overload(bounded_exp, inline="always")
def _bounded_exp(x):
    # A name that kernels find here, not a function that they are handed: those have another identity in each process,
    # and numba's cache on disk would never be met again.
    if x == types.float64:
        return lambda x: math.exp(min(max(x, -SCORE_BOUND), SCORE_BOUND)) if x == x else x

    number, last = np.float32, np.int32(2 * MIDDLE)
    bound, steps, step = number(SCORE_BOUND), number(TABLE_STEPS), number(1 / TABLE_STEPS)
    to_nearest = number(MIDDLE + 0.5)
    one, half, sixth = number(1), number(1 / 2), number(1 / 6)

    def table_exp(x):
        x = min(max(x, -bound), bound)
        place = min(max(np.int32(x * steps + to_nearest), np.int32(0)), last)  # nan would lead anywhere
        rest = x - number(place - MIDDLE) * step
        return TABLE[place] * (one + rest * (one + rest * (half + rest * sixth)))

    return table_exp


@njit(inline="always")
def address(array):
    """Where the array's first element lies."""
    return array.ctypes.data


@intrinsic
def prefetch(typing, at):
    """Ask for the cache line at an address, without waiting."""

    def generate(context, builder, signature, arguments):
        pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        to_read, keep, of_data = number(0), number(3), number(1)
        builder.call(function, [builder.inttoptr(arguments[0], pointer), to_read, keep, of_data])
        return context.get_dummy_value()

    return types.void(types.intp), generate


@intrinsic(prefer_literal=True)
def dot(typing, at_a, at_b, like, length):
    """Sum of the products of two vectors of a length known to the compiler, of numbers like `like`."""
    number = like

    def generate(context, builder, signature, arguments):
        total = context.get_value_type(number)(-0.0)
        for kind, place in _pieces(context, number, length.literal_value):
            a, b = (_load(builder, at, kind, place, number) for at in arguments[:2])
            name = f"llvm.vector.reduce.fadd.v{kind.count}f{number.bitwidth}"
            reduce = ir.FunctionType(kind.element, [kind.element, kind])
            function = cgutils.get_or_insert_function(builder.module, reduce, name)
            product = builder.fmul(a, b, flags=("fast",))
            total = builder.call(function, [total, product], fastmath=("fast",))
        return total

    return number(types.intp, types.intp, number, length), generate


@intrinsic(prefer_literal=True)
def add_scaled(typing, scale, at_x, at_y, length):
    """y += scale * x, for vectors of a length known to the compiler."""
    number = scale

    def generate(context, builder, signature, arguments):
        index = ir.IntType(32)
        for kind, place in _pieces(context, number, length.literal_value):
            first = builder.insert_element(ir.Constant(kind, ir.Undefined), arguments[0], index(0))
            everywhere = ir.Constant(ir.VectorType(index, kind.count), [0] * kind.count)
            factor = builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), everywhere)
            x, y = (_load(builder, at, kind, place, number) for at in arguments[1:3])
            total = builder.fadd(builder.fmul(factor, x, flags=("fast",)), y, flags=("fast",))
            _store(builder, total, arguments[2], place, number)
        return context.get_dummy_value()

    return types.void(number, types.intp, types.intp, length), generate


@intrinsic(prefer_literal=True)
def add_product(typing, at_x, at_y, at_z, like, length):
    """z += x * y element by element, for vectors of a length known to the compiler, of numbers like `like`."""
    number = like

    def generate(context, builder, signature, arguments):
        for kind, place in _pieces(context, number, length.literal_value):
            x, y, z = (_load(builder, at, kind, place, number) for at in arguments[:3])
            total = builder.fadd(builder.fmul(x, y, flags=("fast",)), z, flags=("fast",))
            _store(builder, total, arguments[2], place, number)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, number, length), generate


def _pieces(context, number, length: int) -> list[tuple[ir.VectorType, ir.Constant]]:
    """Vector type and offset in bytes of each piece of at most `VECTOR` elements."""
    element, places = context.get_value_type(number), range(0, length, VECTOR)
    return [
        (ir.VectorType(element, min(VECTOR, length - place)), ir.IntType(64)(place * number.bitwidth // 8))
        for place in places
    ]


def _load(builder, at, kind: ir.VectorType, place: ir.Constant, number):
    return builder.load(builder.inttoptr(builder.add(at, place), kind.as_pointer()), align=number.bitwidth // 8)


def _store(builder, vector, at, place: ir.Constant, number) -> None:
    pointer = builder.inttoptr(builder.add(at, place), vector.type.as_pointer())
    builder.store(vector, pointer, align=number.bitwidth // 8)

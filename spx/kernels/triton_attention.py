"""The attention of `spx.kernels.formula` as fused Triton kernels, for CUDA devices.

Rows are CSR; a table [N, K] is its flat form with indptr = K * arange(N + 1). K_j and V_j are read where they lie
and scores are made again in the backward pass, so nothing of size [M, H, D] is stored, and of size [M, H] only
`weights`. Q, K and V are loaded in their own dtype; all arithmetic is in float32. dK and dV are summed with atomics,
so their last digits differ from run to run.

A tile has ROWS * LANES slots of H2 * D2 channels (H and D rounded up to powers of two): slot (r, l) walks over the
edges l, l + LANES, ... of row r with sums of its own, and the lanes of a row are added up once, after its last edge.

Letters: as in the formula, and S slots.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from spx.kernels.formula import NUM_EDGE_TYPES, SCORE_BOUND, Rows, Scoring

THREADS = 128
FORWARD_CHANNELS, BACKWARD_CHANNELS = 8, 4  # of a tile for each thread: one load of 16 bytes of bfloat16, of float32
ENOUGH_PROGRAMS = 1024  # below it, a row is shared among lanes so that all multiprocessors have work
MAX_PARTIAL_SUMS = 2048  # programs of the backward pass, each with a partial sum of dE1 and dE2
TYPES = tl.constexpr(NUM_EDGE_TYPES)


def forward(query: Tensor, key: Tensor, value: Tensor, rows: Rows, scoring: Scoring) -> tuple[Tensor, Tensor]:
    """See `spx.kernels.row_attention`; query, key and value are float32, bfloat16 or float16, `scoring` is float32."""
    num_rows, heads, width = query.shape
    out = query.new_zeros(num_rows, heads, width, dtype=torch.float32)
    mass = query.new_zeros(num_rows, heads, dtype=torch.float32)
    if rows.num_edges:
        tile = _tile(num_rows, rows.num_edges, heads, width, FORWARD_CHANNELS)
        inputs = _contiguous(query, key, value, *rows, *scoring)
        with torch.cuda.device_of(query):
            _forward_kernel[(triton.cdiv(num_rows, tile["ROWS"]),)](out, mass, *inputs, num_rows, **tile)
    return out, mass


def backward(
    grad_out: Tensor, out: Tensor, mass: Tensor, query: Tensor, key: Tensor, value: Tensor, rows: Rows, scoring: Scoring
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """See `spx.kernels.row_attention`."""
    num_rows, heads, width = query.shape
    grad_query = torch.zeros_like(query, memory_format=torch.contiguous_format)
    grad_key, grad_value = (torch.zeros(t.shape, dtype=torch.float32, device=t.device) for t in (key, value))
    tile = _tile(num_rows, rows.num_edges, heads, width, BACKWARD_CHANNELS)
    num_blocks = triton.cdiv(num_rows, tile["ROWS"])
    num_programs = min(num_blocks, MAX_PARTIAL_SUMS) if rows.num_edges else 0
    grad_scale = mass.new_empty(num_programs, NUM_EDGE_TYPES, heads, width)
    grad_bias = mass.new_empty(num_programs, NUM_EDGE_TYPES, heads)
    if num_programs:
        inputs = _contiguous(grad_out, out, mass, query, key, value, *rows, *scoring)
        outputs = (grad_query, grad_key, grad_value, grad_scale, grad_bias)
        with torch.cuda.device_of(query):
            _backward_kernel[(num_programs,)](*outputs, *inputs, num_rows, num_blocks, **tile)
    return (
        grad_query,
        grad_key.to(key.dtype),
        grad_value.to(value.dtype),
        grad_scale.sum(0).to(scoring.edge_scale.dtype),
        grad_bias.sum(0).to(scoring.edge_bias.dtype),
    )


def weights(mass: Tensor, query: Tensor, key: Tensor, rows: Rows, scoring: Scoring) -> Tensor:
    """See `spx.kernels.row_attention`; [M, H] float32."""
    num_rows, heads, width = query.shape
    p = query.new_empty(rows.num_edges, heads, dtype=torch.float32)
    if rows.num_edges:
        tile = _tile(num_rows, rows.num_edges, heads, width, FORWARD_CHANNELS)
        inputs = _contiguous(mass, query, key, *rows, *scoring)
        with torch.cuda.device_of(query):
            _weights_kernel[(triton.cdiv(num_rows, tile["ROWS"]),)](p, *inputs, num_rows, **tile)
    return p


def _contiguous(*tensors: Tensor) -> list[Tensor]:
    return [tensor.contiguous() for tensor in tensors]


def _tile(num_rows: int, num_edges: int, heads: int, width: int, channels_a_thread: int) -> dict[str, int | float]:
    """Compile-time arguments of a kernel.

    Rows that share the edges evenly, as those of a table do, take one lane each, so no slot idles. Others take about
    half as many lanes as they have edges on average, which bounds the time of a hub. Few rows take more lanes, so
    that there are enough programs.
    """
    h2, d2 = triton.next_power_of_2(heads), triton.next_power_of_2(width)
    slots = max(1, min(THREADS // 2 // h2, THREADS * channels_a_thread // (h2 * d2)))
    most = min(slots, triton.next_power_of_2(triton.cdiv(num_edges, max(1, num_rows))))
    lanes = 1 if num_rows and num_edges % num_rows == 0 else max(1, most // 2)
    while lanes < most and num_rows * lanes < ENOUGH_PROGRAMS * slots:
        lanes *= 2
    return {
        "BOUND": SCORE_BOUND,
        "H": heads,
        "D": width,
        "H2": h2,
        "D2": d2,
        "ROWS": slots // lanes,
        "LANES": lanes,
        "num_warps": max(THREADS // 32, min(16, slots * h2 * d2 // (32 * channels_a_thread))),
    }


@triton.jit
def _channels(H: tl.constexpr, D: tl.constexpr, H2: tl.constexpr, D2: tl.constexpr):
    """Each head [1, H2, 1] and whether it is real, the offset in [H, D] of each channel and whether it is real,
    [1, H2, D2]."""
    head, within = tl.arange(0, H2)[None, :, None], tl.arange(0, D2)[None, None, :]
    return head, head < H, head * D + within, (head < H) & (within < D)


@triton.jit
def _slots(indptr, block, num_rows, ROWS: tl.constexpr, LANES: tl.constexpr):
    """Row of each slot and whether it exists, the slot's first edge, and how many edges its row has from there on,
    [S, 1, 1] each; and the number of edges of the longest row."""
    slot = tl.arange(0, ROWS * LANES)
    row = block * ROWS + slot // LANES
    exists = row < num_rows
    first = tl.load(indptr + row, exists, 0)
    degree = (tl.load(indptr + row + 1, exists, 0) - first).to(tl.int32)
    lane = slot % LANES
    row, first, left = row.to(tl.int64), first + lane, degree - lane
    return row[:, None, None], exists[:, None, None], first[:, None, None], left[:, None, None], tl.max(degree, 0)


@triton.jit
def _bounded_exp(score, live, BOUND: tl.constexpr):
    """exp(clamp(score)), zero where no edge is; NaN stays NaN."""
    clamped = tl.where(score > BOUND, BOUND, tl.where(score < -BOUND, -BOUND, score))
    return tl.where(live, tl.exp(clamped), 0.0)


@triton.jit(do_not_specialize=["num_rows"])
def _forward_kernel(
    out, mass, query, key, value, indptr, source, edge_type, edge_scale, edge_bias, temperature, num_rows,
    BOUND: tl.constexpr, H: tl.constexpr, D: tl.constexpr, H2: tl.constexpr, D2: tl.constexpr,
    ROWS: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    head, real_head, channel, real = _channels(H, D, H2, D2)
    row, exists, first, left, longest = _slots(indptr, tl.program_id(0), num_rows, ROWS, LANES)
    t = tl.load(temperature)
    q = tl.load(query + row * (H * D) + channel, exists & real, 0.0).to(tl.float32)
    total = tl.zeros([ROWS * LANES, H2, 1], tl.float32)
    acc = tl.zeros([ROWS * LANES, H2, D2], tl.float32)
    for step in range(0, longest, LANES):
        edge = first + step
        live = step < left
        node = tl.load(source + edge, live, 0).to(tl.int64)
        kind = tl.load(edge_type + edge, live, 0).to(tl.int32)
        k = tl.load(key + node * (H * D) + channel, live & real, 0.0).to(tl.float32)
        v = tl.load(value + node * (H * D) + channel, live & real, 0.0).to(tl.float32)
        scale = tl.load(edge_scale + kind * (H * D) + channel, live & real, 0.0)
        bias = tl.load(edge_bias + kind * H + head, live & real_head, 0.0)
        score = (tl.sum(q * scale * k, 2, keep_dims=True) + bias) / t
        m = _bounded_exp(score, live, BOUND)
        total += m
        acc += m * v

    if LANES > 1:
        total = tl.sum(tl.reshape(total, [ROWS, LANES, H2, 1]), 1)
        acc = tl.sum(tl.reshape(acc, [ROWS, LANES, H2, D2]), 1)
    own = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)[:, None, None]
    tl.store(mass + own * H + head, total, (own < num_rows) & real_head)
    tl.store(out + own * (H * D) + channel, acc / tl.where(total == 0, 1.0, total), (own < num_rows) & real)


@triton.jit(do_not_specialize=["num_rows"])
def _weights_kernel(
    p, mass, query, key, indptr, source, edge_type, edge_scale, edge_bias, temperature, num_rows,
    BOUND: tl.constexpr, H: tl.constexpr, D: tl.constexpr, H2: tl.constexpr, D2: tl.constexpr,
    ROWS: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    head, real_head, channel, real = _channels(H, D, H2, D2)
    row, exists, first, left, longest = _slots(indptr, tl.program_id(0), num_rows, ROWS, LANES)
    t = tl.load(temperature)
    q = tl.load(query + row * (H * D) + channel, exists & real, 0.0).to(tl.float32)
    total = tl.load(mass + row * H + head, exists & real_head, 1.0)
    for step in range(0, longest, LANES):
        edge = first + step
        live = step < left
        node = tl.load(source + edge, live, 0).to(tl.int64)
        kind = tl.load(edge_type + edge, live, 0).to(tl.int32)
        k = tl.load(key + node * (H * D) + channel, live & real, 0.0).to(tl.float32)
        scale = tl.load(edge_scale + kind * (H * D) + channel, live & real, 0.0)
        bias = tl.load(edge_bias + kind * H + head, live & real_head, 0.0)
        score = (tl.sum(q * scale * k, 2, keep_dims=True) + bias) / t
        tl.store(p + edge * H + head, _bounded_exp(score, live, BOUND) / total, live & real_head)


@triton.jit(do_not_specialize=["num_rows", "num_blocks"])
def _backward_kernel(
    grad_query, grad_key, grad_value, grad_scale, grad_bias, grad_out, out, mass,
    query, key, value, indptr, source, edge_type, edge_scale, edge_bias, temperature, num_rows, num_blocks,
    BOUND: tl.constexpr, H: tl.constexpr, D: tl.constexpr, H2: tl.constexpr, D2: tl.constexpr,
    ROWS: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """Each program walks over blocks of rows in strides and keeps its sums of dE1 and dE2 until its end: a name for
    each type, as a loop can't carry a list of them."""
    tl.static_assert(TYPES == 3, "there are sums for three types of edges")
    head, real_head, channel, real = _channels(H, D, H2, D2)
    t = tl.load(temperature)
    d_scale_0 = tl.zeros([ROWS * LANES, H2, D2], tl.float32)
    d_scale_1 = tl.zeros([ROWS * LANES, H2, D2], tl.float32)
    d_scale_2 = tl.zeros([ROWS * LANES, H2, D2], tl.float32)
    d_bias_0 = tl.zeros([ROWS * LANES, H2, 1], tl.float32)
    d_bias_1 = tl.zeros([ROWS * LANES, H2, 1], tl.float32)
    d_bias_2 = tl.zeros([ROWS * LANES, H2, 1], tl.float32)
    for block in range(tl.program_id(0), num_blocks, tl.num_programs(0)):
        row, exists, first, left, longest = _slots(indptr, block, num_rows, ROWS, LANES)
        q = tl.load(query + row * (H * D) + channel, exists & real, 0.0).to(tl.float32)
        d_out = tl.load(grad_out + row * (H * D) + channel, exists & real, 0.0).to(tl.float32)
        o = tl.load(out + row * (H * D) + channel, exists & real, 0.0)
        delta = tl.sum(d_out * o, 2, keep_dims=True)
        total = tl.load(mass + row * H + head, exists & real_head, 1.0)
        total = tl.where(total == 0, 1.0, total)
        d_query = tl.zeros([ROWS * LANES, H2, D2], tl.float32)
        for step in range(0, longest, LANES):
            edge = first + step
            live = step < left
            node = tl.load(source + edge, live, 0).to(tl.int64)
            kind = tl.load(edge_type + edge, live, 0).to(tl.int32)
            k = tl.load(key + node * (H * D) + channel, live & real, 0.0).to(tl.float32)
            v = tl.load(value + node * (H * D) + channel, live & real, 0.0).to(tl.float32)
            scale = tl.load(edge_scale + kind * (H * D) + channel, live & real, 0.0)
            bias = tl.load(edge_bias + kind * H + head, live & real_head, 0.0)
            typed_query = q * scale
            score = (tl.sum(typed_query * k, 2, keep_dims=True) + bias) / t
            p = _bounded_exp(score, live, BOUND) / total
            ds = p * (tl.sum(d_out * v, 2, keep_dims=True) - delta) / t
            ds = tl.where((score >= -BOUND) & (score <= BOUND), ds, 0.0)
            tl.atomic_add(grad_value + node * (H * D) + channel, p * d_out, live & real, sem="relaxed")
            tl.atomic_add(grad_key + node * (H * D) + channel, ds * typed_query, live & real, sem="relaxed")
            ds_key = ds * k
            d_query += scale * ds_key
            d_scale = q * ds_key
            d_scale_0 += tl.where(kind == 0, d_scale, 0.0)
            d_scale_1 += tl.where(kind == 1, d_scale, 0.0)
            d_scale_2 += tl.where(kind == 2, d_scale, 0.0)
            d_bias_0 += tl.where(kind == 0, ds, 0.0)
            d_bias_1 += tl.where(kind == 1, ds, 0.0)
            d_bias_2 += tl.where(kind == 2, ds, 0.0)

        if LANES > 1:
            d_query = tl.sum(tl.reshape(d_query, [ROWS, LANES, H2, D2]), 1)
        own = (block * ROWS + tl.arange(0, ROWS)).to(tl.int64)[:, None, None]
        tl.store(grad_query + own * (H * D) + channel, d_query, (own < num_rows) & real)

    bucket = tl.program_id(0) * TYPES
    tl.store(grad_scale + bucket * (H * D) + channel, tl.sum(d_scale_0, 0)[None, :, :], real)
    tl.store(grad_scale + (bucket + 1) * (H * D) + channel, tl.sum(d_scale_1, 0)[None, :, :], real)
    tl.store(grad_scale + (bucket + 2) * (H * D) + channel, tl.sum(d_scale_2, 0)[None, :, :], real)
    tl.store(grad_bias + bucket * H + head, tl.sum(d_bias_0, 0)[None, :, :], real_head)
    tl.store(grad_bias + (bucket + 1) * H + head, tl.sum(d_bias_1, 0)[None, :, :], real_head)
    tl.store(grad_bias + (bucket + 2) * H + head, tl.sum(d_bias_2, 0)[None, :, :], real_head)

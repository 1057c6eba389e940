"""Split-KV decode attention in Triton: a peer, not a product.

Grid (batch x KV heads, splits); each program walks its share of the cache with an online softmax over all
query heads of the KV head, and a second kernel merges the splits.
"""

import math

import triton
import triton.language as tl


@triton.jit
def _attend(query, key, value, partial, lse, tokens, scale_log2, share,
            GROUP: tl.constexpr, ROWS: tl.constexpr, DIM: tl.constexpr, TILE: tl.constexpr):
    head = tl.program_id(0)
    split = tl.program_id(1)
    rows = tl.arange(0, ROWS)
    dims = tl.arange(0, DIM)
    columns = tl.arange(0, TILE)
    used = rows[:, None] < GROUP
    q = tl.load(query + (head * GROUP + rows[:, None]) * DIM + dims[None, :], mask=used, other=0.0)
    largest = tl.full([ROWS], float("-inf"), tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    sums = tl.zeros([ROWS, DIM], tl.float32)
    begin = split * share
    end = tl.minimum(begin + share, tokens)
    base = head.to(tl.int64) * tokens * DIM
    for start in range(begin, end, TILE):
        token = start + columns
        valid = token < end
        at = base + token[:, None] * DIM + dims[None, :]
        k = tl.load(key + at, mask=valid[:, None], other=0.0)
        v = tl.load(value + at, mask=valid[:, None], other=0.0)
        scores = tl.dot(q, tl.trans(k)) * scale_log2
        scores = tl.where(valid[None, :], scores, float("-inf"))
        now = tl.maximum(largest, tl.max(scores, 1))
        rescale = tl.exp2(largest - now)
        weights = tl.exp2(scores - now[:, None])
        total = total * rescale + tl.sum(weights, 1)
        sums = sums * rescale[:, None] + tl.dot(weights.to(v.dtype), v)
        largest = now
    out = (head * tl.num_programs(1) + split) * GROUP + rows
    tl.store(partial + out[:, None] * DIM + dims[None, :], sums / total[:, None], mask=used)
    tl.store(lse + out, largest + tl.log2(total), mask=rows < GROUP)


@triton.jit
def _merge(partial, lse, output, SPLITS: tl.constexpr, SPLITS_POWER: tl.constexpr, GROUP: tl.constexpr,
           DIM: tl.constexpr):
    head = tl.program_id(0)
    row = tl.program_id(1)
    splits = tl.arange(0, SPLITS_POWER)
    dims = tl.arange(0, DIM)
    at = (head * SPLITS + splits) * GROUP + row
    used = splits < SPLITS
    sums = tl.load(lse + at, mask=used, other=float("-inf"))
    weights = tl.exp2(sums - tl.max(sums, 0))
    parts = tl.load(partial + at[:, None] * DIM + dims[None, :], mask=used[:, None], other=0.0)
    merged = tl.sum(parts * weights[:, None], 0) / tl.sum(weights, 0)
    tl.store(output + (head * GROUP + row) * DIM + dims, merged)


def decode_attention(torch, query, key, value):
    """query [batch][query_heads][dim]; key, value [batch][kv_heads][tokens][dim]; returns like query."""
    batch, kv_heads, tokens, dim = key.shape
    query_heads = query.shape[1]
    group = query_heads // kv_heads
    heads = batch * kv_heads
    tile = 32 if dim == 256 else 64
    sm_count = torch.cuda.get_device_properties(0).multi_processor_count
    splits = max(1, min(math.ceil(tokens / tile), 64, round(2 * sm_count / heads)))
    share = math.ceil(math.ceil(tokens / splits) / tile) * tile
    splits = math.ceil(tokens / share)  # Rounding the share up may leave the last ones empty.
    partial = torch.empty(heads, splits, group, dim, device=query.device, dtype=torch.float32)
    lse = torch.empty(heads, splits, group, device=query.device, dtype=torch.float32)
    output = torch.empty_like(query)
    _attend[(heads, splits)](
        query, key, value, partial, lse, tokens, math.log2(math.e) / math.sqrt(dim), share,
        GROUP=group, ROWS=max(16, triton.next_power_of_2(group)), DIM=dim, TILE=tile, num_warps=4,
        num_stages=2)
    _merge[(heads, group)](
        partial, lse, output, SPLITS=splits, SPLITS_POWER=triton.next_power_of_2(splits), GROUP=group,
        DIM=dim)
    return output

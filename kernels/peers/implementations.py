"""The peers themselves. Each maker takes torch and a point's fields and returns (make_inputs, run, reference):
make_inputs(generator) one set of inputs, run(inputs) the output, reference(inputs) a part of the output in double and
the same part's place in it. A maker raises when its package is missing or cannot do the shape.

Written against the packages' public interfaces; whatever they answer is compared with the reference before it is timed.
"""

import math

from fused_moe import sglang_fused_moe, vllm_fused_moe  # pylint: disable=unused-import


def normal(torch, generator, *size):
    """BF16, from the seed."""
    return torch.randn(*size, device="cuda", dtype=torch.bfloat16, generator=generator)


# ---- decode attention: outputs [batch][query_heads][head_dim]; the reference is the first request's


def attention(torch, s, run):
    """Contiguous caches [batch][tokens][kv_heads][head_dim]: a peer's best case, since paging costs extra."""
    cache = (s["batch"], s["context_tokens"], s["kv_heads"], s["head_dim"])

    def make_inputs(generator):
        query = normal(torch, generator, s["batch"], s["query_heads"], s["head_dim"])
        return query, normal(torch, generator, *cache), normal(torch, generator, *cache)

    def reference(inputs):
        query, key, value = (tensor[0].double() for tensor in inputs)
        group = s["query_heads"] // s["kv_heads"]
        q = query.view(s["kv_heads"], group, s["head_dim"])
        scores = torch.einsum("hgd,thd->hgt", q, key) / math.sqrt(s["head_dim"])
        out = torch.einsum("hgt,thd->hgd", torch.softmax(scores, dim=-1), value)
        return out.reshape(s["query_heads"], s["head_dim"])

    return make_inputs, run, reference, lambda output: output.view(s["batch"], s["query_heads"], s["head_dim"])[0]


def torch_sdpa(torch, s):
    """The query heads of a KV head become query rows: without a mask they are the same thing, and the fused kernels then
    need no repeated cache."""
    group = s["query_heads"] // s["kv_heads"]

    def run(inputs):
        query, key, value = inputs
        rows = query.view(s["batch"], s["kv_heads"], group, s["head_dim"])
        return torch.nn.functional.scaled_dot_product_attention(rows, key.transpose(1, 2), value.transpose(1, 2))

    return attention(torch, s, run)


def torch_flex(torch, s):
    """flex_attention, compiled; its decoding path splits the cache."""
    from torch.nn.attention.flex_attention import flex_attention

    compiled = torch.compile(flex_attention, dynamic=False)

    def run(inputs):
        query, key, value = inputs
        return compiled(query.unsqueeze(2), key.transpose(1, 2), value.transpose(1, 2),
                        enable_gqa=s["query_heads"] != s["kv_heads"])

    return attention(torch, s, run)


def triton(torch, s):
    """A plain split-KV decode kernel in Triton, written as its tutorials would: what an afternoon gives."""
    from triton_decode import decode_attention

    make_inputs, _, reference, part = attention(torch, s, None)

    def make_its_inputs(generator):
        query, key, value = make_inputs(generator)
        return query, key.transpose(1, 2).contiguous(), value.transpose(1, 2).contiguous()

    def its_reference(inputs):
        query, key, value = inputs
        return reference((query[:1], key[:1].transpose(1, 2), value[:1].transpose(1, 2)))

    return make_its_inputs, lambda inputs: decode_attention(torch, *inputs), its_reference, part


def with_kvcache(torch, s, function):
    """flash_attn_with_kvcache of either FlashAttention."""
    lengths = torch.full((s["batch"],), s["context_tokens"], dtype=torch.int32, device="cuda")

    def run(inputs):
        query, key, value = inputs
        out = function(query.unsqueeze(1), key, value, cache_seqlens=lengths)
        return out[0] if isinstance(out, tuple) else out

    return attention(torch, s, run)


def flash_attention_2(torch, s):
    """The package flash_attn."""
    from flash_attn import flash_attn_with_kvcache

    return with_kvcache(torch, s, flash_attn_with_kvcache)


def flash_attention_3(torch, s):
    """The package that FlashAttention's hopper folder installs."""
    from flash_attn_interface import flash_attn_with_kvcache

    return with_kvcache(torch, s, flash_attn_with_kvcache)


def flashinfer(torch, s):
    """Its batch decode with a paged cache, pages of 64."""
    import flashinfer as package

    page = 64
    if s["context_tokens"] % page:
        raise ValueError("whole pages of 64 only")
    pages = s["context_tokens"] // page
    integers = {"dtype": torch.int32, "device": "cuda"}
    workspace = torch.empty(256 << 20, dtype=torch.uint8, device="cuda")
    wrapper = package.BatchDecodeWithPagedKVCacheWrapper(workspace, "NHD", use_tensor_cores=True)
    wrapper.plan(torch.arange(s["batch"] + 1, **integers) * pages, torch.arange(s["batch"] * pages, **integers),
                 torch.full((s["batch"],), page, **integers), s["query_heads"], s["kv_heads"], s["head_dim"], page,
                 q_data_type=torch.bfloat16, data_type=torch.bfloat16)

    def run(inputs):
        query, key, value = inputs
        paged = (s["batch"] * pages, page, s["kv_heads"], s["head_dim"])
        return wrapper.run(query, (key.view(paged), value.view(paged)))

    return attention(torch, s, run)


def flash_mla(torch, s):
    """MLA with a paged latent cache, pages of 64."""
    import flash_mla as package

    page, rank, dim = 64, s["kv_rank"], s["kv_rank"] + s["rope_dim"]
    pages = s["context_tokens"] // page
    integers = {"dtype": torch.int32, "device": "cuda"}
    lengths = torch.full((s["batch"],), s["context_tokens"], **integers)
    table = torch.arange(s["batch"] * pages, **integers).view(s["batch"], pages)
    metadata, splits = package.get_mla_metadata(lengths, s["query_heads"], 1)

    def make_inputs(generator):
        return (normal(torch, generator, s["batch"], 1, s["query_heads"], dim),
                normal(torch, generator, s["batch"] * pages, page, 1, dim))

    def run(inputs):
        query, cache = inputs
        return package.flash_mla_with_kvcache(query, cache, table, lengths, rank, metadata, splits, causal=True)[0]

    def reference(inputs):
        query, cache = inputs[0][0, 0].double(), inputs[1][:pages].reshape(-1, dim).double()
        scores = query @ cache.T / math.sqrt(dim)
        return torch.softmax(scores, dim=-1) @ cache[:, :rank]

    return make_inputs, run, reference, lambda output: output[0, 0]


# ---- products: outputs [m][n]; the reference is the first row's


def product(torch, s, convert, run):
    """out = x w^T; `convert` turns BF16 x and w into what the peer reads and doubles of the same."""

    def make_inputs(generator):
        return convert(normal(torch, generator, s["m"], s["k"]), normal(torch, generator, s["n"], s["k"]))

    return make_inputs, lambda inputs: run(*inputs[:-1]), lambda inputs: inputs[-1], lambda output: output[0]


def torch_matmul(torch, s):
    """BF16 by whatever PyTorch calls."""

    def convert(x, w):
        return x, w, x[0].double() @ w.double().T

    return product(torch, s, convert, lambda x, w: x @ w.T)


def torch_scaled_mm(torch, s):
    """torch._scaled_mm, one scale per tensor; the library wants rows in sixteens."""
    if s["m"] % 16:
        raise ValueError("rows in multiples of 16 only")
    one = torch.ones((), device="cuda")

    def convert(x, w):
        x8, w8 = x.to(torch.float8_e4m3fn), w.to(torch.float8_e4m3fn)
        return x8, w8, x8[0].double() @ w8.double().T

    return product(torch, s, convert,
                   lambda x, w: torch._scaled_mm(x, w.T, scale_a=one, scale_b=one, out_dtype=torch.bfloat16))


def deep_gemm(torch, s):
    """Block-scaled FP8: activations per 1 x 128, weights per 128 x 128."""
    import deep_gemm as package

    out = torch.empty(s["m"], s["n"], dtype=torch.bfloat16, device="cuda")

    def convert(x, w):
        x_scale = x.view(s["m"], -1, 128).abs().float().amax(-1).clamp(1e-4) / 448
        x8 = (x.view(s["m"], -1, 128) / x_scale.unsqueeze(-1)).to(torch.float8_e4m3fn).view(s["m"], s["k"])
        blocks = (s["n"] + 127) // 128
        padded = torch.zeros(blocks * 128, s["k"], device="cuda")
        padded[: s["n"]] = w
        tiles = padded.view(blocks, 128, -1, 128)
        w_scale = tiles.abs().amax((1, 3)).clamp(1e-4) / 448
        w8 = (tiles / w_scale[:, None, :, None]).to(torch.float8_e4m3fn).view(blocks * 128, s["k"])[: s["n"]].contiguous()
        full_x = x8[0].double().view(-1, 128) * x_scale[0].double().unsqueeze(-1)
        spread = w_scale.double().repeat_interleave(128, 0)[: s["n"]].repeat_interleave(128, 1)
        return x8, x_scale, w8, w_scale, full_x.flatten() @ (w8.double() * spread).T

    def run(x, x_scale, w, w_scale):
        package.fp8_gemm_nt((x, x_scale), (w, w_scale), out)
        return out

    return product(torch, s, convert, run)

"""What the peers are measured on: the shapes of ridge-bench's grids, with the compulsory work of each."""

import dataclasses
import functools
import random


def bytes_of(dtype):
    """Of one element."""
    return 2 if dtype == "bf16" else 1


@dataclasses.dataclass(frozen=True)
class Layer:
    """What decides where the tokens of a mixture-of-experts layer go, as kernels/moe/shape.hpp has it."""

    tokens: int
    experts: int
    local_experts: int
    top_k: int
    shared_experts: int


def layer(fields):
    """Of a point's fields."""
    if fields["routing"] != "balanced":
        raise ValueError(f"routing {fields['routing']}: expected balanced")
    return Layer(*(fields[field.name] for field in dataclasses.fields(Layer)))


@functools.lru_cache(maxsize=4)
def routing(shape):
    """Picks of every token, all different: `top_k` routed experts, each equally often to within one, in an order from a fixed
    seed; then the shared experts, numbered from `experts` on."""
    order = random.Random(2507).sample(range(shape.experts), shape.experts)
    shared = list(range(shape.experts, shape.experts + shape.shared_experts))
    return [[order[(token * shape.top_k + pick) % shape.experts] for pick in range(shape.top_k)] + shared
            for token in range(shape.tokens)]


def local_numbers(shape):
    """For every expert its number on this rank, which holds the first `local_experts` and the shared ones, or -1."""
    elsewhere = [-1] * (shape.experts - shape.local_experts)
    return [*range(shape.local_experts), *elsewhere,
            *range(shape.local_experts, shape.local_experts + shape.shared_experts)]


@dataclasses.dataclass(frozen=True)
class Point:
    """One launch to measure; `shape` has the fields of the measurement file (docs/measurement-format.md), in order."""

    family: str
    peer: str
    shape: tuple

    def fields(self):
        """The `shape` object of the measurement file."""
        return dict(self.shape)

    def key(self):
        """Unique, and stable across runs."""
        return f"{self.family} {self.peer} " + " ".join(f"{key}={value}" for key, value in self.shape)

    def work(self):
        """Compulsory bytes and FLOP, as in the kernels' problem.cpp and family.cpp."""
        s = self.fields()
        if self.family == "dense_gemm":
            size = bytes_of(s["dtype"])
            read = (s["m"] + s["n"]) * s["k"] * size
            if s["dtype"] == "fp8_block":
                read += 4 * (s["m"] + (s["n"] + 127) // 128) * (s["k"] // 128)
            return {"bytes_read": read, "bytes_written": s["m"] * s["n"] * 2, "flop": 2 * s["m"] * s["n"] * s["k"]}
        if self.family == "moe_layer":
            local = local_numbers(layer(s))
            picks = [e for token in routing(layer(s)) for e in token if local[e] >= 0]
            weights, activations = 3 * s["hidden"] * s["intermediate"], 2 * s["tokens"] * s["hidden"]
            return {
                "bytes_read": len(set(picks)) * (weights + 4 * weights // 128**2) + activations,
                "bytes_written": activations,
                "flop": 2 * len(picks) * weights,
            }
        vectors = s["batch"] * s["query_heads"]
        tokens = s["batch"] * s["context_tokens"]
        if self.family == "latent_attention":
            key, value = s["kv_rank"] + s["rope_dim"], s["kv_rank"]
            cache = tokens * key * bytes_of(s["kv_dtype"])
        else:
            key = value = s["head_dim"]
            cache = 2 * tokens * s["kv_heads"] * key * bytes_of(s["kv_dtype"])
        return {
            "bytes_read": cache + vectors * key * 2,
            "bytes_written": vectors * (value * 2 + 4),
            "flop": 2 * tokens * s["query_heads"] * (key + value),
        }

    def set_bytes(self):
        """What a launch reads of one set of the inputs that are rotated over."""
        return self.work()["bytes_read"]

    def held_bytes(self):
        """What one set takes: the weights of experts that nobody picks too."""
        if self.family != "moe_layer":
            return self.set_bytes()
        s = self.fields()
        return 3 * (s["local_experts"] + s["shared_experts"]) * s["hidden"] * s["intermediate"] + 2 * s["tokens"] * s["hidden"]

    def tolerance(self):
        """Relative. An expert's intermediate is rounded to E4M3 between two products, and where it lies near the middle of two
        values a last bit decides: as for ridge-bench's whole layer."""
        return 2e-2 if self.family == "moe_layer" else 1e-2


ATTENTION_HEADS = [(64, 1, 256), (64, 4, 128)]
MORE_ATTENTION_HEADS = [(64, 8, 128), (32, 8, 128), (128, 8, 128), (32, 1, 128), (128, 1, 256), (32, 1, 256), (16, 2, 64)]
# The projections around MFA, MLA and GQA, and a shared expert's, as [outputs, inputs].
PROJECTIONS = [
    ("mfa_qkv_down", 2560, 7168), ("mfa_q_up", 16384, 2048), ("mfa_output", 7168, 16384),
    ("mla_qkv_down", 2112, 7168), ("mla_q_up", 24576, 1536), ("mla_output", 7168, 16384),
    ("gqa_qkv", 9216, 4096), ("gqa_output", 4096, 8192),
    ("shared_gate_up", 1280, 7168), ("shared_down", 7168, 640),
]


def attention_points(peer, full):
    """Equal lengths, BF16."""
    heads = ATTENTION_HEADS + (MORE_ATTENTION_HEADS if full else [])
    batches, contexts = [1, 16, 64, 84, 128, 256], [2048, 4096, 8192, 32768]
    if full:
        batches, contexts = [1, 4, 16, 64, 84, 128, 256, 1024], [512, 2048, 4096, 8192, 32768, 131072]
    return [
        Point("decode_attention", peer, (
            ("batch", batch), ("context_tokens", context), ("kv_lengths", "equal"), ("query_heads", q),
            ("kv_heads", kv), ("head_dim", dim), ("kv_dtype", "bf16")))
        for q, kv, dim in heads for context in contexts for batch in batches
    ]


def latent_points(peer, full):
    """MLA with absorbed weights, BF16."""
    batches = [1, 4, 16, 64, 128, 256] if full else [1, 16, 64, 128, 256]
    return [
        Point("latent_attention", peer, (
            ("batch", batch), ("context_tokens", context), ("kv_lengths", "equal"), ("query_heads", heads),
            ("kv_rank", 512), ("rope_dim", 64), ("kv_dtype", "bf16")))
        for heads in (128, 64, 32, 16) for context in (2048, 4096, 8192, 32768) for batch in batches
    ]


def gemm_points(peer, full, dtype):
    """The projections."""
    tokens = [1, 16, 64, 84, 128, 256, 512, 1024, 2048, 4096, 8192] if full else [1, 64, 128, 512, 2048]
    return [
        Point("dense_gemm", peer, (("m", m), ("n", n), ("k", k), ("dtype", dtype), ("role", role)))
        for role, n, k in PROJECTIONS for m in tokens
    ]


# Layers and slices as in kernels/moe/family.cpp: hidden, intermediate, experts, held here, top_k, shared.
MOE_LAYERS = [
    (7168, 5120, 48, 48, 3, 1), (7168, 640, 48, 24, 3, 1), (7168, 640, 48, 48, 3, 1),
    (7168, 2048, 256, 256, 8, 1), (7168, 2048, 256, 32, 8, 1),
    (4096, 1536, 128, 128, 8, 0), (4096, 1536, 128, 16, 8, 0),
]
MORE_MOE_LAYERS = [(7168, 1280, 48, 48, 3, 1), (7168, 2048, 256, 8, 8, 1)]


def moe_points(peer, full):
    """Whole layers in block-scaled FP8. Few tokens may have none of a rank's experts: nothing to measure."""
    layers = MOE_LAYERS + (MORE_MOE_LAYERS if full else [])
    counts = [8, 32, 128, 256, 512, 1024, 2048, 4096, 8192] if full else [8, 32, 128, 512, 2048, 8192]
    points = [
        Point("moe_layer", peer, (
            ("tokens", tokens), ("hidden", hidden), ("intermediate", intermediate), ("experts", experts),
            ("local_experts", held), ("top_k", top_k), ("shared_experts", shared), ("routing", "balanced")))
        for hidden, intermediate, experts, held, top_k, shared in layers for tokens in counts
    ]
    return [point for point in points if point.work()["flop"] > 0]


# By peer: what it is measured on. Its implementation has the same name in implementations.py.
GRIDS = {
    "torch_sdpa": attention_points,
    "torch_flex": attention_points,
    "triton": attention_points,
    "flash_attention_2": attention_points,
    "flash_attention_3": attention_points,
    "flashinfer": attention_points,
    "flash_mla": latent_points,
    "torch_matmul": lambda peer, full: gemm_points(peer, full, "bf16"),
    "torch_scaled_mm": lambda peer, full: gemm_points(peer, full, "fp8"),
    "deep_gemm": lambda peer, full: gemm_points(peer, full, "fp8_block"),
    "vllm_fused_moe": moe_points,
    "sglang_fused_moe": moe_points,
}


def grid(peer, full, free_bytes):
    """The peer's points of which two sets of inputs fit in memory."""
    points = GRIDS[peer](peer, full)
    # Two sets of a whole DeepSeek-V3 layer are 23 GB.
    return [p for p in points if 2 * p.held_bytes() <= min(24e9 if p.family == "moe_layer" else 20e9, 0.5 * free_bytes)]

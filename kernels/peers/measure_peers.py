#!/usr/bin/env python3
"""Times what PyTorch and Triton offer on the shapes of ridge-bench's decode-attention grid.

Writes the same measurement file (docs/measurement-format.md), so that peers and Ridge's kernels can be
compared point by point. Peers that are not installed, or that cannot do a shape, are named and left out.

    measure_peers.py --output peers.json            a small grid
    measure_peers.py --output peers.json --full     the calibration grid's equal-length points
    measure_peers.py --list                         which peers and points; needs no GPU

Caches of the peers are contiguous, [batch][kv_heads][tokens][head_dim]: their best case, since paging costs
them extra. FP8 caches are not timed here: none of these peers reads one.

Exit status: 0 done, 1 a peer computed something else than the reference, 2 a mistake on the command line,
3 no GPU or no PyTorch.
"""

import argparse
import dataclasses
import datetime
import json
import math
import subprocess
import sys

FORMAT_VERSION = 1
PEERS = ("torch_sdpa", "torch_flex", "triton")


@dataclasses.dataclass(frozen=True)
class Shape:
    """One decode step: one query token per request against `context_tokens` cached ones."""

    batch: int
    context_tokens: int
    query_heads: int
    kv_heads: int
    head_dim: int

    def fields(self):
        """The `shape` object of the measurement file."""
        return {
            "batch": self.batch,
            "context_tokens": self.context_tokens,
            "kv_lengths": "equal",
            "query_heads": self.query_heads,
            "kv_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "kv_dtype": "bf16",
        }

    def cache_bytes(self):
        """Keys and values together."""
        return 2 * self.batch * self.context_tokens * self.kv_heads * self.head_dim * 2

    def work(self):
        """Compulsory bytes and FLOP, as in decode_attention/problem.cpp."""
        vectors = self.batch * self.query_heads
        return {
            "bytes_read": self.cache_bytes() + vectors * self.head_dim * 2,
            "bytes_written": vectors * (self.head_dim * 2 + 4),
            "flop": 4 * self.batch * self.context_tokens * self.query_heads * self.head_dim,
        }


def grid(full, memory_bytes):
    """The equal-length BF16 points of ridge-bench's grid that fit in memory."""
    heads = [(64, 1, 256), (64, 4, 128)]
    batches, contexts = [1, 64, 256], [2048, 8192, 32768]
    if full:
        heads += [(64, 8, 128), (32, 8, 128), (128, 8, 128), (32, 1, 128), (128, 1, 256), (16, 2, 64)]
        batches, contexts = [1, 4, 16, 64, 256, 1024], [512, 2048, 4096, 8192, 32768, 131072]
    shapes = (
        Shape(batch, context, *head) for head in heads for context in contexts for batch in batches
    )
    return [shape for shape in shapes if shape.cache_bytes() <= min(20e9, 0.6 * memory_bytes)]


def quantile(sample, fraction):
    """Linear interpolation between order statistics, as bench/statistics.cpp does."""
    ordered = sorted(sample)
    position = fraction * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def summary(sample_us):
    """The timing fields of a point."""
    return {
        "median_us": quantile(sample_us, 0.5),
        "p10_us": quantile(sample_us, 0.1),
        "p90_us": quantile(sample_us, 0.9),
        "samples": len(sample_us),
    }


def make_inputs(torch, shape, sets):
    """`sets` independent (query, key, value), BF16, normal."""
    generator = torch.Generator(device="cuda").manual_seed(2507)

    def normal(*size):
        return torch.randn(*size, device="cuda", dtype=torch.bfloat16, generator=generator)

    cache = (shape.batch, shape.kv_heads, shape.context_tokens, shape.head_dim)
    return [
        (normal(shape.batch, shape.query_heads, 1, shape.head_dim), normal(*cache), normal(*cache))
        for _ in range(sets)
    ]


def reference(torch, shape, query, key, value):
    """Attention in double, the first request only: enough to see that the same thing is computed."""
    group = shape.query_heads // shape.kv_heads
    q = query[0].double().view(shape.kv_heads, group, shape.head_dim)
    scores = q @ key[0].double().transpose(1, 2) / math.sqrt(shape.head_dim)
    return (torch.softmax(scores, dim=-1) @ value[0].double()).view(shape.query_heads, shape.head_dim)


def sdpa(torch, shape):
    """torch.nn.functional.scaled_dot_product_attention. The query heads of a KV head become query rows:
    without a mask they are the same thing, and the fused kernels then need no repeated cache."""
    group = shape.query_heads // shape.kv_heads

    def run(query, key, value):
        rows = query.view(shape.batch, shape.kv_heads, group, shape.head_dim)
        out = torch.nn.functional.scaled_dot_product_attention(rows, key, value)
        return out.reshape(shape.batch, shape.query_heads, shape.head_dim)

    return run


def flex(torch, shape):
    """torch.nn.attention.flex_attention, compiled; its decoding path splits the cache."""
    from torch.nn.attention.flex_attention import flex_attention

    compiled = torch.compile(flex_attention, dynamic=False)

    def run(query, key, value):
        out = compiled(query, key, value, enable_gqa=shape.query_heads != shape.kv_heads)
        return out.reshape(shape.batch, shape.query_heads, shape.head_dim)

    return run


def triton_peer(torch, shape):
    """A plain split-KV decode kernel in Triton, written as its tutorials would: what an afternoon gives."""
    from triton_decode import decode_attention

    def run(query, key, value):
        return decode_attention(torch, query.view(shape.batch, shape.query_heads, shape.head_dim), key, value)

    return run


MAKERS = {"torch_sdpa": sdpa, "torch_flex": flex, "triton": triton_peer}


def measure(torch, run, inputs, budget_us):
    """Replays a CUDA graph over all input sets; microseconds per launch, one figure per replay."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            run(*inputs[0])
    torch.cuda.synchronize()

    def capture(passes):
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            for _ in range(passes):
                for one in inputs:
                    run(*one)
        return graph

    def replay(graph):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) * 1e3

    once = capture(1)
    replay(once)
    once_us = replay(once)
    passes = max(1, min(64, math.ceil(500 / max(once_us, 1))))
    graph = capture(passes)
    replay(graph)
    count = int(max(7, min(50, budget_us / max(once_us * passes, 1))))
    return [replay(graph) / (passes * len(inputs)) for _ in range(count)]


def query_nvidia_smi(fields):
    """One line of nvidia-smi's answers for device 0, or None where it cannot tell."""
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits", "--id=0"]
    try:
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return [field.strip() for field in text.strip().split(",")]


def header(torch, command):
    """Everything of the measurement file but its points and its last clocks."""
    properties = torch.cuda.get_device_properties(0)
    driver = query_nvidia_smi("driver_version,uuid") or ["unknown", "unknown"]
    software = {"driver": driver[0], "cuda_runtime": torch.version.cuda, "torch": torch.__version__}
    try:
        import triton

        software["triton"] = triton.__version__
    except ImportError:
        pass
    return {
        "format": "ridge-measurement",
        "format_version": FORMAT_VERSION,
        "tool": "measure_peers.py",
        "command": command,
        "date_utc": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "device": {
            "name": properties.name,
            "uuid": driver[1],
            "compute_capability": f"{properties.major}.{properties.minor}",
            "sm_count": properties.multi_processor_count,
            "l2_bytes": properties.L2_cache_size,
            "memory_bytes": properties.total_memory,
        },
        "software": software,
        "clocks": {"first": None, "last": None},
        "timing": {
            "method": "CUDA graph replay between events, time per launch",
            "statistic": "median, p10 and p90 over replays",
        },
        "points": [],
    }


def measure_shape(torch, shape, peers, l2_bytes, budget_us):
    """Points of one shape, and whether every peer computed the right thing."""
    points, right = [], True
    sets = max(1, min(64, math.ceil(2 * l2_bytes / shape.cache_bytes()) + 1))
    inputs = make_inputs(torch, shape, sets)
    want = reference(torch, shape, *inputs[0])
    for peer in peers:
        label = f"{peer} {' '.join(f'{k}={v}' for k, v in shape.fields().items())}"
        try:
            run = MAKERS[peer](torch, shape)
            got = run(*inputs[0])[0].double()
            error = ((got - want).norm() / want.norm()).item()
            if not error <= 1e-2:
                print(f"{label}: WRONG, relative error {error:.2e}", flush=True)
                right = False
                continue
            timing = summary(measure(torch, run, inputs, budget_us))
        # A peer may refuse a shape in many ways; each is named, and none ends the run.
        except Exception as problem:  # pylint: disable=broad-exception-caught
            print(f"{label}: not measured: {str(problem).splitlines()[0]}", flush=True)
            continue
        points.append(
            {"family": "decode_attention", "kernel": peer, "shape": shape.fields()} | shape.work() | timing
        )
        rate = shape.work()["bytes_read"] / timing["median_us"] * 1e-6
        print(f"{label}: {timing['median_us']:.1f} us  {rate:.2f} TB/s  error {error:.1e}", flush=True)
    return points, right


def parse(arguments):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="peers.json", help="where to write (peers.json)")
    parser.add_argument("--full", action="store_true", help="the whole calibration grid")
    parser.add_argument("--peer", action="append", choices=PEERS, help="only this peer; may be repeated")
    parser.add_argument("--list", action="store_true", help="print peers and shapes and stop")
    return parser.parse_args(arguments)


def main(arguments):
    """Measures, writes, and returns the exit status."""
    options = parse(arguments)
    peers = options.peer or list(PEERS)
    if options.list:
        for shape in grid(options.full, 80e9):
            print(" ".join(f"{key}={value}" for key, value in shape.fields().items()))
        print(f"peers: {', '.join(peers)}")
        return 0
    try:
        import torch
    except ImportError:
        print("measure_peers.py: PyTorch is not installed; nothing was measured", file=sys.stderr)
        return 3
    if not torch.cuda.is_available():
        print("measure_peers.py: no CUDA device can be used here; nothing was measured", file=sys.stderr)
        return 3
    document = header(torch, " ".join(["measure_peers.py", *arguments]))
    free_bytes, _ = torch.cuda.mem_get_info()
    shapes = grid(options.full, free_bytes)
    all_right = True
    for index, shape in enumerate(shapes):
        print(f"[{index + 1}/{len(shapes)}]", end=" ", flush=True)
        points, right = measure_shape(
            torch, shape, peers, document["device"]["l2_bytes"], 100e3 if options.full else 40e3
        )
        document["points"] += points
        all_right = all_right and right
        torch.cuda.empty_cache()
    with open(options.output, "w", encoding="utf-8") as file:
        json.dump(document, file, indent=2)
        file.write("\n")
    print(f"{len(document['points'])} points written to {options.output}")
    return 0 if all_right else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""One peer in a process of its own: reads its points as JSON lines on standard input, writes what it finds as JSON lines
to descriptor 3: {"begin": key}, then {"key", "us"}, {"key", "wrong"}, {"key", "failed"}, or {"unavailable"} if the package is not there. measure_peers.py starts it.

    peer_worker.py describe    the device and the versions
    peer_worker.py PEER        measures
"""

import importlib.metadata
import json
import math
import os
import sys


def send(message):
    """One line to the parent."""
    os.write(3, (json.dumps(message) + "\n").encode())


def describe():
    """What the measurement file's head says of the device, or why there is none."""
    try:
        import torch
    except ImportError:
        return {"obstacle": "PyTorch is not installed"}
    if not torch.cuda.is_available():
        return {"obstacle": "no CUDA device can be used here"}
    properties = torch.cuda.get_device_properties(0)
    uuid = str(getattr(properties, "uuid", "unknown"))
    software = {"cuda_runtime": torch.version.cuda, "torch": torch.__version__}
    for package in ("triton", "flash_attn", "flash_attn_interface", "flashinfer", "flash_mla", "deep_gemm"):
        try:
            software[package] = str(getattr(__import__(package), "__version__", "unknown"))
        except Exception:  # pylint: disable=broad-exception-caught
            continue  # Not installed, or installed and broken: its peer will say so.
    for package in ("vllm", "sglang"):  # These take long to import.
        try:
            software[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "device": {
            "name": properties.name,
            "uuid": uuid if uuid.startswith("GPU-") else f"GPU-{uuid}",
            "compute_capability": f"{properties.major}.{properties.minor}",
            "sm_count": properties.multi_processor_count,
            "l2_bytes": properties.L2_cache_size,
            "memory_bytes": properties.total_memory,
        },
        "software": software,
        "free_bytes": torch.cuda.mem_get_info()[0],
    }


def measure(torch, run, inputs, budget_us):
    """Replays a CUDA graph over all input sets; microseconds per launch, one figure per replay."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run(inputs[0])
    torch.cuda.synchronize()

    def capture(passes):
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            for _ in range(passes):
                for one in inputs:
                    run(one)
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


def do_point(torch, maker, order):
    """The message that tells what became of a point."""
    make_inputs, run, reference, part = maker(torch, order["shape"])
    generator = torch.Generator(device="cuda").manual_seed(2507)
    # As ridge-bench: at least two sets, together at least four times the L2.
    l2_bytes = torch.cuda.get_device_properties(0).L2_cache_size
    sets = max(2, min(64, math.ceil(4 * l2_bytes / order["set_bytes"])))
    inputs = [make_inputs(generator) for _ in range(sets)]
    want = reference(inputs[0])
    got = part(run(inputs[0])).double()
    error = ((got - want).norm() / want.norm()).item()
    if not error <= order["tolerance"]:
        return {"key": order["key"], "wrong": f"relative error {error:.2e} of {order['tolerance']:.0e}"}
    return {"key": order["key"], "us": measure(torch, run, inputs, 40e3)}


def main(name):
    """Works through standard input."""
    if name == "describe":
        send(describe())
        return
    import implementations
    import torch

    maker = getattr(implementations, name)
    for line in sys.stdin.readlines():
        order = json.loads(line)
        send({"begin": order["key"]})
        try:
            answer = do_point(torch, maker, order)
        except ImportError as problem:
            send({"unavailable": str(problem)})
            return
        # A peer may refuse a shape in many ways; each is named, and none ends the run.
        except Exception as problem:  # pylint: disable=broad-exception-caught
            answer = {"key": order["key"], "failed": f"{type(problem).__name__}: {(str(problem) or '?').splitlines()[0]}"}
        try:
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
        except Exception:  # pylint: disable=broad-exception-caught
            answer["broken"] = True
        send(answer)
        if "broken" in answer:
            os._exit(0)  # The device is of no use to this process any more.


if __name__ == "__main__":
    main(sys.argv[1])

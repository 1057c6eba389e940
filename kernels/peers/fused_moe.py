"""The fused mixture-of-experts layers of vLLM and SGLang: E4M3 weights with a scale per 128 x 128, activations quantized on
the way with one per 1 x 128, as both serve DeepSeek-V3 and its kin. Makers as in implementations.py.

Routed experts first, then the shared ones, which every token picks with weight 1: so SGLang fuses a shared expert, and so
a point of a peer is the same work as ridge-bench's of the same shape. Picks are given: routers are not measured.
"""

import functools
import importlib
import importlib.metadata
import inspect
import socket

import shapes

# The tests have no GPU.
DEVICE = "cuda"
BLOCK = 128
LARGEST_E4M3 = 448
CHECKED_TOKENS = 4


class ChangedInterface(ImportError):
    """The package is there, and is not called as it is here: told once and for all points, like a missing package."""


def version(package):
    """As installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"


def callable_with(package, written_for, function, given):
    """`function`, if it takes all parameters in `given` and demands no other. Throws ChangedInterface, which says what it does
    not take or wants, and for which releases the call is written."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind == p.VAR_KEYWORD for p in parameters):
        return function
    unknown = [name for name in given if name not in {p.name for p in parameters}]
    wanted = [p.name for p in parameters if p.default is p.empty and p.name not in given]
    if not unknown and not wanted:
        return function
    problem = " and ".join(f"{what} {', '.join(names)}" for what, names in
                           (("does not take", unknown), ("also wants", wanted)) if names)
    raise ChangedInterface(f"{package} {version(package)}: {function.__name__} {problem}; the call in kernels/peers/fused_moe.py "
                           f"is written for {package} {written_for}: install one of these, or adapt it")


def attribute(package, written_for, module, name):
    """`module.name`; a package that is not there is an ImportError as usual, a name that has gone ChangedInterface."""
    importlib.import_module(package)
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as problem:
        raise ChangedInterface(f"{package} {version(package)}: no {name} in {module} ({problem}); kernels/peers/fused_moe.py is "
                               f"written for {package} {written_for}: install one of these, or adapt it") from problem


# ---- the calls: take inputs (x, w1, w2, w1_scale, w2_scale, weights, experts, local) and return [tokens][hidden]


def vllm_call(s):
    """fused_experts: the Triton layer that vLLM falls back to. Read in 0.9.2, 0.11.0 and 0.33.0: a FusedMoEQuantConfig took
    the place of flags and scales with 0.11; `inplace` and `activation`, which came, went and changed, are left to their
    defaults."""
    written_for = "0.9.2 to 0.33"
    package = "vllm.model_executor.layers.fused_moe"
    function = attribute("vllm", written_for, package, "fused_experts")
    common = ["hidden_states", "w1", "w2", "topk_weights", "topk_ids", "global_num_experts", "expert_map"]
    flags = ["use_fp8_w8a8", "w1_scale", "w2_scale", "block_shape"]
    with_config = "quant_config" in inspect.signature(function).parameters
    callable_with("vllm", written_for, function, common + (["quant_config"] if with_config else flags))
    if with_config:
        configure = attribute("vllm", written_for, package + ".config", "fp8_w8a8_moe_quant_config")
        callable_with("vllm", written_for, configure, flags[1:])

    def run(inputs):
        x, w1, w2, w1_scale, w2_scale, weights, experts, local = inputs
        quantized = {"w1_scale": w1_scale, "w2_scale": w2_scale, "block_shape": [BLOCK, BLOCK]}
        quantized = {"quant_config": configure(**quantized)} if with_config else {"use_fp8_w8a8": True, **quantized}
        # Without a map, experts are counted by the weights.
        return function(hidden_states=x, w1=w1, w2=w2, topk_weights=weights, topk_ids=experts,
                        global_num_experts=s["experts"] + s["shared_experts"],
                        expert_map=None if s["local_experts"] == s["experts"] else local, **quantized)

    return run


@functools.cache
def start_sglang(written_for):
    """What its layers read of a server: its arguments, and a tensor-parallel group of one. As its own benchmark does
    (benchmark/kernels/fused_moe_triton/benchmark_sglang_fused_moe_triton.py)."""
    arguments = attribute("sglang", written_for, "sglang.srt.server_args", "ServerArgs")
    publish = attribute("sglang", written_for, "sglang.srt.server_args", "set_global_server_args_for_scheduler")
    state = "sglang.srt.distributed.parallel_state"
    begin = attribute("sglang", written_for, state, "init_distributed_environment")
    group = attribute("sglang", written_for, state, "initialize_model_parallel")
    publish(arguments(model_path="dummy"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    begin(world_size=1, rank=0, local_rank=0, distributed_init_method=f"tcp://127.0.0.1:{port}", backend="nccl")
    group()


def sglang_call(s):
    """fused_experts: SGLang's Triton layer. Read in 0.5.4, 0.5.6, 0.5.12 and 0.5.23, which take the same; a model named
    "dummy", which start_sglang needs, came with 0.5.4."""
    written_for = "0.5.4 to 0.5.23"
    moe = "sglang.srt.layers.moe"
    function = attribute("sglang", written_for, moe + ".fused_moe_triton", "fused_experts")
    callable_with("sglang", written_for, function, [
        "hidden_states", "w1", "w2", "topk_output", "moe_runner_config", "use_fp8_w8a8", "w1_scale", "w2_scale", "block_shape"])
    picks = attribute("sglang", written_for, moe + ".topk", "StandardTopKOutput")
    settings = callable_with("sglang", written_for, attribute("sglang", written_for, moe + ".moe_runner", "MoeRunnerConfig"),
                             ["inplace", "num_experts", "num_local_experts"])
    start_sglang(written_for)
    # In place, a second launch would read what the first has written.
    config = settings(inplace=False, num_experts=s["experts"] + s["shared_experts"],
                      num_local_experts=s["local_experts"] + s["shared_experts"])

    def run(inputs):
        x, w1, w2, w1_scale, w2_scale, weights, experts, _ = inputs
        output = picks(topk_weights=weights, topk_ids=experts, router_logits=None)
        return function(hidden_states=x, w1=w1, w2=w2, topk_output=output, moe_runner_config=config, use_fp8_w8a8=True,
                        w1_scale=w1_scale, w2_scale=w2_scale, block_shape=[BLOCK, BLOCK])

    return run


# ---- inputs and reference


def quantized(torch, x):
    """[rows][depth] with one E4M3 scale per 1 x 128, expanded again to doubles."""
    blocks = x.float().view(x.shape[0], -1, BLOCK)
    scale = blocks.abs().amax(-1, keepdim=True).clamp(1e-10) / LARGEST_E4M3
    return ((blocks / scale).to(torch.float8_e4m3fn).double() * scale.double()).view(x.shape)


def expanded(weight, scale):
    """One expert's weight [rows][depth] with its scales [rows / 128][depth / 128], as doubles."""
    return weight.double() * scale.double().repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)


def layer(torch, s, run, numbered_here=False):
    """Inputs, and the layer in double on the same E4M3 values for a few tokens that have an expert here. With `numbered_here`,
    picks are this rank's numbers of experts, and -1."""
    hidden, intermediate, held = s["hidden"], s["intermediate"], s["local_experts"] + s["shared_experts"]
    drawn, local = shapes.routing(shapes.layer(s)), shapes.local_numbers(shapes.layer(s))
    served = [token for token, picks in enumerate(drawn) if any(local[e] >= 0 for e in picks)]
    checked = sorted({served[i * (len(served) - 1) // (CHECKED_TOKENS - 1)] for i in range(CHECKED_TOKENS)})

    def make_weights(generator, rows, depth):
        codes = torch.empty(held, rows, depth, dtype=torch.float8_e4m3fn, device=DEVICE)
        for expert in range(held):
            codes[expert] = torch.randn(rows, depth, device=DEVICE, generator=generator).to(torch.float8_e4m3fn)
        scales = torch.rand(held, rows // BLOCK, depth // BLOCK, device=DEVICE, generator=generator)
        return codes, (scales + 0.5) / depth**0.5

    def make_inputs(generator):
        x = torch.randn(s["tokens"], hidden, device=DEVICE, generator=generator).bfloat16()
        (w1, w1_scale), (w2, w2_scale) = (make_weights(generator, 2 * intermediate, hidden),
                                          make_weights(generator, hidden, intermediate))
        weights = torch.rand(s["tokens"], s["top_k"] + s["shared_experts"], device=DEVICE, generator=generator) + 0.1
        routed = weights[:, : s["top_k"]]
        weights[:, : s["top_k"]] = routed / routed.sum(1, keepdim=True)
        weights[:, s["top_k"]:] = 1
        integers = {"dtype": torch.int32, "device": DEVICE}
        picks = [[local[expert] for expert in token] for token in drawn] if numbered_here else drawn
        return x, w1, w2, w1_scale, w2_scale, weights, torch.tensor(picks, **integers), torch.tensor(local, **integers)

    def expert_output(row, inputs, expert):
        _, w1, w2, w1_scale, w2_scale, _, _, _ = inputs
        # Both layers round to BF16 where they store: after each product, and after SwiGLU.
        gate, up = (row @ expanded(w1[expert], w1_scale[expert]).T).bfloat16().double().split(intermediate, dim=1)
        activated = (torch.nn.functional.silu(gate) * up).bfloat16()
        return quantized(torch, activated) @ expanded(w2[expert], w2_scale[expert]).T

    def reference(inputs):
        x, weights = inputs[0], inputs[5].double()
        rows = quantized(torch, x[checked])
        out = torch.zeros(len(checked), hidden, dtype=torch.float64, device=DEVICE)
        for row, token in enumerate(checked):
            for pick, expert in enumerate(drawn[token]):
                if local[expert] >= 0:
                    out[row] += weights[token, pick] * expert_output(rows[row: row + 1], inputs, local[expert])[0]
        return out

    return make_inputs, run, reference, lambda output: output[checked]


def vllm_fused_moe(torch, s):
    """vLLM."""
    return layer(torch, s, vllm_call(s))


def sglang_fused_moe(torch, s):
    """SGLang, whose dispatcher has numbered the picks before this layer."""
    return layer(torch, s, sglang_call(s), numbered_here=True)

"""The fused MoE layers among the peers (kernels/peers/fused_moe.py), against modules that stand in for vLLM and SGLang, and
against PyTorch on the CPU where it is installed. Arguments: measure_peers.py, a file of ridge-bench's, and ridge or "".
With the name of a peer as its only argument, this file is a worker that measures nothing."""

import contextlib
import dataclasses
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import types
import unittest

STEP3 = {"tokens": 128, "hidden": 7168, "intermediate": 5120, "experts": 48, "local_experts": 48, "top_k": 3,
         "shared_experts": 1, "routing": "balanced"}
SLICE = STEP3 | {"intermediate": 640, "local_experts": 24}
INPUTS = ("x", "w1", "w2", "w1_scale", "w2_scale", "weights", "experts", "local")
VLLM = "vllm.model_executor.layers.fused_moe"
SGLANG = "sglang.srt.layers.moe"


@contextlib.contextmanager
def modules(contents):
    """Modules by name, with the packages above them, for as long as it lasts."""
    names = {name.rsplit(".", n)[0] for name in contents for n in range(name.count(".") + 1)}
    before = {name: sys.modules.get(name) for name in names}
    for name in names:
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = []
        sys.modules[name].__dict__.update(contents.get(name, {}))
    try:
        yield
    finally:
        for name, module in before.items():
            del sys.modules[name]
            if module:
                sys.modules[name] = module


class Calls(list):
    """Functions with the parameters of a release, which note what they were called with."""

    def vllm_with_config(self):
        """0.11 and later."""

        # pylint: disable=unused-argument
        def fused_experts(hidden_states, w1, w2, topk_weights, topk_ids, activation="silu", apply_router_weight_on_input=False,
                          global_num_experts=-1, expert_map=None, quant_config=None):
            self.append(locals())
            return "output"

        def fp8_w8a8_moe_quant_config(w1_scale, w2_scale, a1_scale=None, a2_scale=None, block_shape=None):
            return ("fp8", w1_scale, w2_scale, block_shape)

        return {VLLM: {"fused_experts": fused_experts},
                VLLM + ".config": {"fp8_w8a8_moe_quant_config": fp8_w8a8_moe_quant_config}}

    def vllm_with_flags(self):
        """0.10."""

        # pylint: disable=unused-argument
        def fused_experts(hidden_states, w1, w2, topk_weights, topk_ids, inplace=False, use_fp8_w8a8=False,
                          global_num_experts=-1, expert_map=None, w1_scale=None, w2_scale=None, block_shape=None):
            self.append(locals())
            return "output"

        return {VLLM: {"fused_experts": fused_experts}}

    def sglang(self):
        """0.5.23."""

        # pylint: disable=unused-argument
        def fused_experts(hidden_states, w1, w2, topk_output, moe_runner_config, b1=None, b2=None, use_fp8_w8a8=False,
                          w1_scale=None, w2_scale=None, a1_scale=None, a2_scale=None, block_shape=None):
            self.append(locals())
            return "output"

        @dataclasses.dataclass
        class MoeRunnerConfig:
            """Its defaults."""

            num_experts: int = None
            num_local_experts: int = None
            inplace: bool = True

        def note(name):
            return lambda *given, **named: self.append((name, *given, *named.items()))

        return {
            SGLANG + ".fused_moe_triton": {"fused_experts": fused_experts},
            SGLANG + ".topk": {"StandardTopKOutput": lambda topk_weights, topk_ids, router_logits: (topk_weights, topk_ids)},
            SGLANG + ".moe_runner": {"MoeRunnerConfig": MoeRunnerConfig},
            "sglang.srt.server_args": {"ServerArgs": lambda model_path: f"arguments of {model_path}",
                                       "set_global_server_args_for_scheduler": note("publish")},
            "sglang.srt.distributed.parallel_state": {"init_distributed_environment": note("begin"),
                                                      "initialize_model_parallel": note("group")},
        }


class TheCalls(unittest.TestCase):
    """What reaches a release, and what is said of one that has changed."""

    def setUp(self):
        self.calls = Calls()
        fused_moe.start_sglang.cache_clear()

    def test_vllm_gets_its_config(self):
        """From 0.11 on."""
        with modules(self.calls.vllm_with_config()):
            self.assertEqual(fused_moe.vllm_call(STEP3)(INPUTS), "output")
            fused_moe.vllm_call(SLICE)(INPUTS)
        whole, part = self.calls
        self.assertEqual([whole[name] for name in ("hidden_states", "w1", "w2", "topk_weights", "topk_ids")],
                         ["x", "w1", "w2", "weights", "experts"])
        self.assertEqual(whole["quant_config"], ("fp8", "w1_scale", "w2_scale", [128, 128]))
        self.assertEqual((whole["global_num_experts"], whole["expert_map"]), (49, None))
        self.assertEqual((part["global_num_experts"], part["expert_map"]), (49, "local"))

    def test_vllm_gets_flags_before(self):
        """Up to 0.10."""
        with modules(self.calls.vllm_with_flags()):
            fused_moe.vllm_call(SLICE)(INPUTS)
        call, = self.calls
        self.assertEqual([call[name] for name in ("use_fp8_w8a8", "w1_scale", "w2_scale", "block_shape", "expert_map")],
                         [True, "w1_scale", "w2_scale", [128, 128], "local"])

    def test_sglang_gets_a_server_once_and_never_works_in_place(self):
        """A second launch in place would read the first one's output."""
        with modules(self.calls.sglang()):
            for shape in (STEP3, SLICE):
                self.assertEqual(fused_moe.sglang_call(shape)(INPUTS), "output")
        publish, begin, group, whole, part = self.calls
        self.assertEqual(publish, ("publish", "arguments of dummy"))
        self.assertEqual((begin[0], dict(begin[1:])["world_size"], group), ("begin", 1, ("group",)))
        self.assertEqual([whole[name] for name in ("hidden_states", "w1", "w2", "topk_output", "use_fp8_w8a8", "w1_scale",
                                                   "w2_scale", "block_shape")],
                         ["x", "w1", "w2", ("weights", "experts"), True, "w1_scale", "w2_scale", [128, 128]])
        for call, local in ((whole, 49), (part, 25)):
            config = call["moe_runner_config"]
            self.assertEqual((config.inplace, config.num_experts, config.num_local_experts), (False, 49, local))

    def refused(self, contents, call):
        """What is said."""
        with modules(contents), self.assertRaises(fused_moe.ChangedInterface) as caught:
            call(STEP3)
        self.assertEqual(self.calls, [])
        return str(caught.exception)

    def test_a_changed_interface_says_what_and_which_release(self):
        """One sentence for all points."""
        later = self.calls.vllm_with_config()
        later[VLLM]["fused_experts"] = lambda x, w1, w2, topk_weights, topk_ids, global_num_experts=-1, quant_config=None: None
        text = self.refused(later, fused_moe.vllm_call)
        self.assertIn("does not take hidden_states, expert_map and also wants x", text)
        self.assertIn("written for vllm 0.9.2 to 0.33: install one of these, or adapt it", text)
        moved = self.calls.vllm_with_config()
        del moved[VLLM + ".config"]["fp8_w8a8_moe_quant_config"]
        self.assertIn("no fp8_w8a8_moe_quant_config in " + VLLM + ".config", self.refused(moved, fused_moe.vllm_call))
        old = self.calls.sglang()
        old[SGLANG + ".fused_moe_triton"]["fused_experts"] = lambda hidden_states, w1, w2, topk_weights, topk_ids: None
        text = self.refused(old, fused_moe.sglang_call)
        self.assertIn("does not take topk_output, moe_runner_config", text)
        self.assertIn("written for sglang 0.5.4 to 0.5.23", text)
        renamed = self.calls.sglang()
        renamed[SGLANG + ".moe_runner"]["MoeRunnerConfig"] = lambda num_experts=0, num_local_experts=0: None
        self.assertIn("does not take inplace", self.refused(renamed, fused_moe.sglang_call))

    def test_a_missing_package_is_named(self):
        """As of the other peers."""
        for package, call in (("vllm", fused_moe.vllm_call), ("sglang", fused_moe.sglang_call)):
            if importlib.util.find_spec(package):
                continue
            with self.subTest(package), self.assertRaisesRegex(ModuleNotFoundError, f"No module named '{package}'"):
                call(STEP3)


class TheShapes(unittest.TestCase):
    """Who gets which token, and the work of it."""

    def test_picks_are_balanced_different_and_shared_experts_come_last(self):
        """As kernels/moe/routing.hpp promises of balanced routing."""
        for shape in (shapes.Layer(100, 48, 24, 3, 1), shapes.Layer(7, 256, 256, 8, 2), shapes.Layer(3, 5, 5, 5, 0)):
            picks = shapes.routing(shape)
            routed = [e for token in picks for e in token[: shape.top_k]]
            load = [routed.count(e) for e in range(shape.experts)]
            self.assertLessEqual(max(load) - min(load), 1)
            for token in picks:
                self.assertEqual(len(set(token)), shape.top_k + shape.shared_experts)
                self.assertEqual(token[shape.top_k:], list(range(shape.experts, shape.experts + shape.shared_experts)))
        self.assertEqual(shapes.local_numbers(shapes.Layer(1, 5, 2, 1, 2)), [0, 1, -1, -1, -1, 2, 3])

    def test_the_work_is_that_of_ridge_bench(self):
        """In a file of its, but where few tokens leave it to the draw how many experts of a slice are met."""
        theirs = {tuple(p["shape"].items()): p for p in json.loads(pathlib.Path(MEASURED).read_text())["points"]
                  if p["family"] == "moe_layer" and p["kernel"] == "ridge"}
        compared = 0
        for point in shapes.moe_points("vllm_fused_moe", True):
            s = point.fields()
            drawn = s["local_experts"] < s["experts"] and s["tokens"] * s["top_k"] % s["experts"] != 0
            if point.shape in theirs and not drawn:
                compared += 1
                self.assertEqual(point.work(), {key: theirs[point.shape][key] for key in point.work()}, point.key())
        self.assertGreater(compared, 30)

    def test_memory_counts_experts_that_nobody_picks(self):
        """Eight tokens meet 24 of 48 experts, and all 49 lie there."""
        point = shapes.moe_points("vllm_fused_moe", False)[0]
        self.assertEqual(point.fields(), STEP3 | {"tokens": 8})
        expert = 3 * 7168 * 5120
        self.assertLess(point.set_bytes(), 26 * expert)
        self.assertGreater(point.held_bytes(), 49 * expert)
        self.assertNotIn(point, shapes.grid("vllm_fused_moe", False, 4 * 26 * expert))

    def test_other_routings_are_refused(self):
        """None is made here."""
        with self.assertRaisesRegex(ValueError, "routing uniform: expected balanced"):
            shapes.layer(STEP3 | {"routing": "uniform"})


def another_layer(torch, fault=""):
    """The layer once more, in float, one row per pick, as the peers' kernels go about it."""

    def rounded(rows):
        groups = rows.float().unflatten(1, (-1, 128))
        scale = groups.abs().amax(2, keepdim=True) / 448
        return ((groups / scale).to(torch.float8_e4m3fn).float() * scale).flatten(1)

    def weight(codes, scales, expert):
        spread = scales[expert] if fault != "scale" else scales[expert].flip(0)
        return codes[expert].float() * torch.kron(spread, torch.ones(128, 128))

    # pylint: disable=unused-argument
    def fused_experts(hidden_states, w1, w2, topk_weights, topk_ids, global_num_experts=-1, expert_map=None, quant_config=None):
        w1_scale, w2_scale = quant_config
        out = torch.zeros(hidden_states.shape)
        inputs = rounded(hidden_states)
        for token, pick in [(t, p) for t in range(topk_ids.shape[0]) for p in range(topk_ids.shape[1])]:
            expert = topk_ids[token, pick].item()
            if expert_map is not None:
                expert = expert_map[expert].item()
            if expert < 0 or fault == "shared" and pick == topk_ids.shape[1] - 1:
                continue
            both = inputs[token: token + 1] @ weight(w1, w1_scale, expert).T
            gate, up = (both if fault != "order" else both.roll(both.shape[1] // 2, 1)).bfloat16().chunk(2, dim=1)
            activated = (torch.nn.functional.silu(gate.float()) * up.float()).bfloat16()
            share = 1 if fault == "weights" else topk_weights[token, pick]
            out[token] += share * (rounded(activated) @ weight(w2, w2_scale, expert).T)[0]
        return out.bfloat16()

    # pylint: disable=unused-argument
    def fp8_w8a8_moe_quant_config(w1_scale, w2_scale, block_shape=None):
        return w1_scale, w2_scale

    return {VLLM: {"fused_experts": fused_experts},
            VLLM + ".config": {"fp8_w8a8_moe_quant_config": fp8_w8a8_moe_quant_config}}


@unittest.skipUnless(importlib.util.find_spec("torch"), "PyTorch is not installed")
class TheReference(unittest.TestCase):
    """Against another layer, right and wrong."""

    def error(self, shape, fault=""):
        """As peer_worker.py has it."""
        import torch

        fused_moe.DEVICE = "cpu"
        with modules(another_layer(torch, fault)):
            make_inputs, run, reference, part = fused_moe.vllm_fused_moe(torch, shape)
            inputs = make_inputs(torch.Generator().manual_seed(1))
            routed, shared = inputs[5].split([shape["top_k"], shape["shared_experts"]], dim=1)
            self.assertTrue(torch.allclose(routed.sum(1), torch.ones(())) and bool((shared == 1).all()))
            want, got = reference(inputs), part(run(inputs)).double()
        return ((got - want).norm() / want.norm()).item()

    def test_it_tells_right_from_wrong(self):
        """Whole layers, and a slice where some tokens have no expert, the first among them."""
        small = {"tokens": 9, "hidden": 512, "intermediate": 256, "experts": 6, "local_experts": 6, "top_k": 2,
                 "shared_experts": 1, "routing": "balanced"}
        bar = shapes.Point("moe_layer", "vllm_fused_moe", ()).tolerance()
        part = small | {"experts": 8, "local_experts": 1, "shared_experts": 0}
        self.assertNotIn(0, shapes.routing(shapes.layer(part))[0])
        for shape in (small, part, small | {"tokens": 1}):
            error = self.error(shape)
            print(f"relative error {error:.1e}", file=sys.stderr)
            self.assertLess(error, bar)
        for fault in ("scale", "shared", "order", "weights"):
            with self.subTest(fault):
                self.assertGreater(self.error(small, fault), 2 * bar)


class TheFile(unittest.TestCase):
    """measure_peers.py with a worker that answers as a GPU might; its times mean nothing."""

    def test_ridge_calibrate_reads_the_layers(self):
        """Fields, kernel and family; an interface that has changed costs its peer alone, in one line."""
        with tempfile.TemporaryDirectory(prefix="ridge_peers_") as folder:
            output = pathlib.Path(folder) / "peers.json"
            environment = dict(os.environ, RIDGE_PEER_WORKER=str(pathlib.Path(__file__).resolve()))
            run = subprocess.run(
                [sys.executable, "-B", MEASURE_PEERS, "--output", str(output), "--peer", "vllm_fused_moe", "--peer",
                 "sglang_fused_moe"], env=environment, capture_output=True, text=True, check=False, timeout=300)
            self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
            whole = json.loads(output.read_text())
            self.assertEqual(whole["not_measured"], [{"what": "sglang_fused_moe", "why": "does not take inplace"}])
            self.assertIn("sglang_fused_moe: not available: does not take inplace", run.stdout)
            self.assertEqual({(p["family"], p["kernel"]) for p in whole["points"]}, {("moe_layer", "vllm_fused_moe")})
            self.assertEqual(list(whole["points"][0]["shape"]), list(STEP3))
            self.assertGreater(len(whole["points"]), 30)
            if RIDGE:
                made = subprocess.run([RIDGE, "calibrate", str(output), "--chip", "h100", "-o",
                                       str(pathlib.Path(folder) / "calibration.json")], capture_output=True, text=True,
                                      check=False, timeout=300)
                self.assertEqual(made.returncode, 0, made.stdout + made.stderr)
                self.assertIn("moe_layer fp8_block", made.stdout)


def be_worker(name):
    """The fake peer."""

    def send(message):
        os.write(3, (json.dumps(message) + "\n").encode())

    if name == "describe":
        send({"device": {"name": "NVIDIA H100 80GB HBM3", "uuid": "GPU-0", "compute_capability": "9.0", "sm_count": 132,
                         "l2_bytes": 1 << 25, "memory_bytes": 80 << 30},
              "software": {"cuda_runtime": "13.0", "torch": "2"}, "free_bytes": 80e9})
        return
    for line in sys.stdin.readlines():
        order = json.loads(line)
        send({"begin": order["key"]})
        if name == "sglang_fused_moe":
            send({"unavailable": "does not take inplace"})
            return
        assert order["tolerance"] == 2e-2
        us = 25 + order["set_bytes"] / 2.6e6
        send({"key": order["key"], "us": [us, us, us]})


if __name__ == "__main__":
    if len(sys.argv) == 2:
        be_worker(sys.argv[1])
    else:
        MEASURE_PEERS, MEASURED, RIDGE = sys.argv[1:]
        sys.path.insert(0, str(pathlib.Path(MEASURE_PEERS).parent))
        import fused_moe
        import shapes

        unittest.main(argv=[sys.argv[0], "-v"])

"""Answers are those of the command line, and pleasant to hold."""

import copy
import importlib.util
import json
import os
import pickle
import tempfile
import unittest

import ridge
from program import SOURCE, ridge as program, ridge_json

DEPLOYMENT = "step3-2a2f-4k-fp8"
CONFIG = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
    "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8,
    "vocab_size": 128256, "rms_norm_eps": 1e-5, "torch_dtype": "bfloat16",
}


class SameDigitsAsTheCommandLine(unittest.TestCase):
    def test_of_a_cost(self):
        self.assertEqual(ridge.cost().to_dict(), ridge_json("cost"))
        asked = ridge.cost(
            models=["step-3", "deepseek-v3"], chips="h20", context_tokens=[8192, 32768],
            prices={"h20": 1.25}, batch=256,
        )
        told = ridge_json(
            "cost", "--model", "step-3,deepseek-v3", "--chip", "h20", "--context", "8K,32K",
            "--price", "h20=1.25", "--batch", "256",
        )
        self.assertEqual(asked.to_dict(), told)
        self.assertEqual(asked.to_csv(), program(
            "cost", "--model", "step-3,deepseek-v3", "--chip", "h20", "--context", "8K,32K",
            "--price", "h20=1.25", "--batch", "256", "--format", "csv"))

    def test_of_a_fit(self):
        self.assertEqual(ridge.fit().to_dict(), ridge_json("fit"))
        self.assertEqual(
            ridge.fit(
                "deepseek-v3", ["h800", "h20"], part="attention", context_tokens=32768, tpot_ms=40,
                stages=4, micro_batch=512, output_parallel=4,
            ).to_dict(),
            ridge_json(
                "fit", "--model", "deepseek-v3", "--chip", "h800,h20", "--part", "attention", "--context",
                "32K", "--tpot-ms", "40", "--stages", "4", "--micro-batch", "512", "--output-parallel", "4",
            ),
        )
        self.assertEqual(
            ridge.fit(ridge.model("step-3"), "h20", stage_ms=12.5, weights_share=0.7).to_dict(),
            ridge_json(
                "fit", "--model", "step-3", "--chip", "h20", "--stage-ms", "12.5", "--weights-share", "0.7"
            ),
        )

    def test_of_a_sparsity(self):
        self.assertEqual(ridge.sparsity().to_dict(), ridge_json("sparsity"))
        asked = ridge.sparsity("deepseek-v3", "h800", nic_GBps=40, nics=4, tpot_ms=60)
        how = ("--model", "deepseek-v3", "--chip", "h800", "--nic-GBps", "40", "--nics", "4", "--tpot-ms", "60")
        self.assertEqual(asked.to_dict(), ridge_json("sparsity", *how))
        self.assertEqual(asked.to_csv(), program("sparsity", *how, "--format", "csv"))
        self.assertEqual(
            ridge.sparsity(chips="h800", hidden=8192, layers=80, stages=4).to_dict(),
            ridge_json("sparsity", "--chip", "h800", "--hidden", "8192", "--layers", "80", "--stages", "4"),
        )

    def test_of_an_explanation(self):
        shipped = "qwen3-235b-tp8-h20"
        asked = ridge.explain(shipped, seed=3)
        self.assertEqual(asked.to_dict(), ridge_json("explain", shipped, "--seed", "3"))
        faster = ridge.explain(shipped, {"/deployment/pools/gpus/chip/memory_bandwidth_TBps/value": 8})
        self.assertLess(faster.tpot_ms, asked.tpot_ms)

    def test_of_a_support(self):
        self.assertEqual(ridge.support("deepseek-v3").to_dict(), ridge_json("support", "deepseek-v3"))
        how = ("step-3", "--chip", "h800,tpu-v7", "--context", "128K", "--batch", "8")
        asked = ridge.support("step-3", ["h800", "tpu-v7"], context_tokens=131072, batch=8)
        self.assertEqual(asked.to_dict(), ridge_json("support", *how))
        self.assertEqual(asked.to_csv(), program("support", *how, "--format", "csv"))
        self.assertEqual(
            ridge.support(ridge.model("step-3"), "h20", calibration="h800").to_dict(),
            ridge_json("support", "step-3", "--chip", "h20", "--calibration", "h800"),
        )

    def test_of_measured_kernels(self):
        measured = os.path.join(SOURCE, "kernels", "measurements", "h200.json")
        asked = ridge.reproduce(kernels=measured, calibration="h200")
        how = ("reproduce", "--kernels", measured, "--calibration", "h200")
        self.assertEqual(asked.to_dict(), ridge_json(*how))
        self.assertEqual(asked.to_csv(), program(*how, "--format", "csv"))
        self.assertEqual(ridge.reproduce(kernels=[measured], calibration="h200").rows, asked.rows)
        self.assertEqual(
            ridge.reproduce(kernels=measured, calibration="h100", chip="h200").to_dict(),
            ridge_json("reproduce", "--kernels", measured, "--calibration", "h100", "--chip", "h200"),
        )

    def test_of_the_largest_rate(self):
        self.assertEqual(
            ridge.largest_rate("trace-replay", seed=3).to_dict(),
            ridge_json("simulate", "trace-replay", "--largest-rate", "--seed", "3"),
        )

    def test_of_requests_and_their_latencies(self):
        asked = ridge.simulate("trace-replay", requests=True)
        with tempfile.TemporaryDirectory() as folder:
            table, picture = os.path.join(folder, "r.csv"), os.path.join(folder, "l.svg")
            program("simulate", "trace-replay", "--requests", table, "--latencies", picture)
            with open(table, encoding="utf-8") as file:
                self.assertEqual(asked.requests_to_csv(), file.read())
            with open(picture, encoding="utf-8") as file:
                self.assertEqual(asked.latencies(), file.read())

    def test_of_serving_measurements(self):
        with open(os.path.join(SOURCE, "scenarios", "ledger", "serving.csv"), encoding="utf-8") as file:
            lines = file.readlines()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "mine.csv")
            with open(path, "w", encoding="utf-8") as file:
                file.writelines(lines[:6])
            self.assertEqual(
                ridge.reproduce(serving=path, samples=2).to_dict(),
                ridge_json("reproduce", "--serving", path, "--samples", "2"),
            )

    def test_of_a_simulation_with_its_intervals(self):
        self.assertEqual(
            ridge.simulate(DEPLOYMENT).to_dict(), ridge_json("simulate", DEPLOYMENT)
        )

    def test_of_a_simulation_with_a_seed_of_its_own(self):
        asked = ridge.simulate(DEPLOYMENT, seed=7, samples=2, fixed=["popularity of experts"])
        how = ("simulate", DEPLOYMENT, "--seed", "7", "--samples", "2")
        told = ridge_json(*how, "--fixed", "popularity of experts")
        self.assertEqual(asked.to_dict(), told)
        self.assertNotEqual(told["drawn"], ridge_json(*how)["drawn"])
        self.assertNotEqual(told["checksum"], ridge_json("simulate", DEPLOYMENT, "--samples", "0")["checksum"])

    def test_takes_a_single_input_to_leave_as_it_is_by_its_name_alone(self):
        for name in ("popularity of experts", "inputs"):
            self.assertEqual(
                ridge.simulate(DEPLOYMENT, samples=2, fixed=name).to_dict(),
                ridge_json("simulate", DEPLOYMENT, "--samples", "2", "--fixed", name),
            )

    def test_of_a_simulation_with_ranges_of_its_own(self):
        own = {"inputs": [{"name": "popularity of experts", "of": "expert_popularity", "low": 1, "high": 2,
                           "source": "here"}]}
        document = ridge.scenario(DEPLOYMENT)
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (("ours.json", {"kind": "ranges", **own}), ("d.json", {**document, "ranges": "./ours.json"})):
                with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                    json.dump(text, file)
            path = os.path.join(folder, "d.json")
            told = ridge_json("simulate", path, "--samples", "2")
            drawn = {each["what"]: each["from"] for each in told["drawn"]}
            self.assertEqual(drawn["popularity of experts"], "exponent 1 to 2")
            moved = ridge.simulate(path, {"/ranges/inputs/0/high": 3}, samples=2).to_dict()
            self.assertIn("exponent 1 to 3", [each["from"] for each in moved["drawn"]])
            self.assertEqual(ridge.simulate(path, samples=2).to_dict(), told)
        asked = ridge.simulate({**document, "ranges": own}, samples=2).to_dict()
        self.assertEqual(asked["drawn"], told["drawn"])

    def test_of_a_sweep(self):
        asked = ridge.sweep("sweep-afd-micro-batches")
        self.assertEqual(asked.to_dict(), ridge_json("sweep", "sweep-afd-micro-batches"))
        self.assertEqual(asked.to_csv(), program("sweep", "sweep-afd-micro-batches"))

    def test_of_a_sweep_with_a_fixed_input(self):
        sweep = {
            "kind": "sweep",
            "title": "Draws",
            "base": {"kind": "simulate", "scenario": "qwen3-235b-ep-gb200", "samples": 2},
            "axes": [{"pointer": "/scenario/workload/requests_per_gpu", "values": [32]}],
            "columns": ["tpot_low_ms", "tpot_high_ms", "tokens_per_s_per_gpu"],
            "pareto": {"minimize": ["tpot_high_ms"], "maximize": ["tokens_per_s_per_gpu"]},
        }
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "sweep.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(sweep, file)
            page = os.path.join(folder, "page.html")
            told = program("sweep", path, "--fixed", "stagger of hosts", "--format", "csv", "--report", page)
            self.assertNotEqual(program("sweep", path, "--format", "csv"), told)
            self.assertEqual(program("sweep", page, "--format", "csv"), told)
            for fixed in ("stagger of hosts", ["stagger of hosts"]):
                self.assertEqual(ridge.sweep(sweep, fixed=fixed).to_csv(), told)

    def test_of_a_plan(self):
        # A small model on few GPUs: little to search.
        narrower = {"models": [ridge.model("llama-3.1-8b")], "gpus": 4, "sla_tpot_ms": 20}
        goal = {**ridge.goal("step3-h800"), **narrower}
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "goal.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(goal, file)
            how = ("plan", path, "--samples", "5", "--top", "2", "--front")
            told = ridge_json(*how)
            self.assertTrue(told["ranking"] and told["front"])
            table = program(*how, "--format", "csv")
            picture = os.path.join(folder, "front.svg")
            program(*how, "--picture", picture)
            with open(picture, encoding="utf-8") as file:
                drawn = file.read()
            for asked in (
                ridge.plan(goal, samples=5, top=2, front=True),
                ridge.plan(path, samples=5, top=2, front=True, threads=2),
                ridge.plan(
                    "step3-h800", {f"/{key}": value for key, value in narrower.items()}, samples=5, top=2, front=True
                ),
            ):
                self.assertEqual(asked.to_dict(), told)
                self.assertEqual(asked.to_csv(), table)
                self.assertEqual(asked._repr_svg_(), drawn)
            told = ridge_json("plan", path, "--samples", "5", "--top", "2", "--fixed", "inputs")
            self.assertEqual(ridge.plan(goal, samples=5, top=2, fixed="inputs").to_dict(), told)
            self.assertNotIn("drawn", told)
        self.assertIsNone(ridge.plan(goal, samples=0, top=1)._repr_svg_())

    def test_of_a_reproduction_and_a_ledger(self):
        self.assertEqual(ridge.reproduce("step3").to_dict(), ridge_json("reproduce", "step3"))
        self.assertEqual(
            ridge.reproduce("step3", measured=True, samples=2).to_dict(),
            ridge_json("reproduce", "step3", "--measured", "--samples", "2"),
        )

    def test_of_a_calibration(self):
        # A kernel that takes 5 us and reads its KV at 2 TB/s.
        lines = ["kernel,batch,kv_len,heads,kv_heads,head_dim,kv_dtype,latency_us"]
        for heads, kv_heads in ((8, 1), (16, 2), (32, 4), (32, 8), (64, 8), (64, 4), (128, 8)):
            for batch in (1, 4, 16, 64):
                for context in (1024, 4096, 16384):
                    us = 5 + batch * context * kv_heads * 512 / 2e6
                    lines.append(f"made-up,{batch},{context},{heads},{kv_heads},128,bf16,{us}")
        with tempfile.TemporaryDirectory() as folder:
            measured = os.path.join(folder, "attention.csv")
            with open(measured, "w", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n")
            written = os.path.join(folder, "made-up.json")
            program("calibrate", measured, "--chip", "h800", "-o", written, "--base", "h800")
            asked = ridge.calibrate(measured, "h800", name="made-up", base="h800")
            with open(written, encoding="utf-8") as file:
                self.assertEqual(asked.to_dict(), json.load(file))
            saved = os.path.join(folder, "saved.json")
            asked.save(saved)
            answer = ridge.simulate(
                DEPLOYMENT,
                {"/deployment/pools/attention/kernel_model": f"calibrated:{saved}"},
                samples=0,
            )
            self.assertIn("made-up", answer.provenance)
        self.assertTrue(all("<svg" in plot for plot in asked.residuals().values()))

    def test_of_an_imported_model(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "small.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(CONFIG, file)
            told = json.loads(program("import", path))
            from_file = ridge.import_model(path)
            from_dict = ridge.import_model(CONFIG, name="small")
        self.assertEqual(from_file.to_dict(), told)
        # A dict has no file to name as its source.
        del told["sources"]
        self.assertEqual({k: v for k, v in from_dict.items() if k != "sources"}, told)
        self.assertTrue(from_file.assumptions)
        # What was imported may be asked about at once.
        self.assertEqual(ridge.cost(models=from_dict, chips="h800").rows[0].model, "small")


class AnAnswer(unittest.TestCase):
    def test_has_its_figures_as_attributes(self):
        answer = ridge.simulate(DEPLOYMENT, samples=0)
        self.assertEqual(answer.tpot_ms.p95, answer.to_dict()["tpot_ms"]["p95"])
        self.assertEqual(answer["tpot_ms"]["p95"], answer.tpot_ms.p95)
        self.assertIn("tpot_ms", dir(answer))
        self.assertEqual(answer.pools[0].pool, "attention")

    def test_names_what_it_has_where_an_attribute_is_none(self):
        with self.assertRaisesRegex(AttributeError, "no 'tpot'.*tpot_ms"):
            ridge.simulate(DEPLOYMENT, samples=0).tpot

    def test_hands_out_a_dict_that_is_ones_own(self):
        answer = ridge.cost()
        answer.to_dict()["rows"].clear()
        self.assertTrue(answer.rows)

    def test_can_be_copied(self):
        answer = ridge.cost()
        for one in (answer, answer.rows[0], ridge.import_model(CONFIG)):
            for copied in (copy.copy(one), copy.deepcopy(one)):
                self.assertEqual(copied.to_dict(), one.to_dict())
                self.assertIs(type(copied), type(one))

    def test_can_be_pickled_with_its_figures(self):
        answer = ridge.cost()
        for one in (answer, answer.rows[0], ridge.import_model(CONFIG)):
            again = pickle.loads(pickle.dumps(one))
            self.assertEqual(again.to_dict(), one.to_dict())
        self.assertEqual(pickle.loads(pickle.dumps(answer)).rows[0].chip, answer.rows[0].chip)

    def test_shows_as_the_command_line_does(self):
        os.environ["COLUMNS"] = "100"
        self.assertEqual(str(ridge.cost()), program("cost"))

    def test_shows_in_a_notebook(self):
        drawn = ridge.simulate(DEPLOYMENT, samples=0, picture=True)
        self.assertIn("<svg", drawn._repr_svg_())
        self.assertIn("<svg", drawn._repr_html_())
        self.assertIn("tokens/s/GPU", drawn._repr_html_())
        self.assertIsNone(ridge.simulate(DEPLOYMENT, samples=0)._repr_svg_())
        self.assertIn("<td>h20</td>", ridge.cost()._repr_html_())

    def test_draws_the_picture_of_the_command_line(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "pipeline.svg")
            program("simulate", DEPLOYMENT, "--samples", "0", "--picture", path)
            with open(path, encoding="utf-8") as file:
                self.assertEqual(
                    file.read(), ridge.simulate(DEPLOYMENT, samples=0, picture=True)._repr_svg_()
                )

    @unittest.skipUnless(importlib.util.find_spec("pandas"), "no pandas here")
    def test_becomes_a_frame(self):
        cost = ridge.cost()
        frame = cost.to_pandas()
        self.assertEqual(len(frame), len(cost.rows) + len(cost.afd))
        self.assertEqual(
            frame["total_usd_per_Mtok"][0], cost.rows[0].total_usd_per_Mtok
        )


class APage(unittest.TestCase):
    """Holds the answer, and the question as it was asked."""

    def page(self, ask) -> str:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "page.html")
            ask(path)
            with open(path, encoding="utf-8") as file:
                page = file.read()
        self.assertTrue(page.startswith("<!DOCTYPE html>"))
        self.assertIn("</html>", page)
        return page

    def test_of_a_simulation_asks_its_question_again(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "page.html")
            changes = {"/deployment/micro_batches": 2, "/model/vocabulary": 64000}
            asked = ridge.simulate(DEPLOYMENT, changes, samples=0, seed=7, report=path)
            for again in (
                ridge.simulate(path, samples=0).to_dict(), ridge_json("simulate", path, "--samples", "0")
            ):
                again["scenario"] = asked.scenario
                self.assertEqual(again, asked.to_dict())
            with open(path, encoding="utf-8") as file:
                self.assertIn('ridge.simulate("', file.read().replace("'", '"').replace("&quot;", '"'))

    def test_of_a_plan_asks_its_question_again(self):
        goal = {**ridge.goal("step3-h800"), "models": [ridge.model("llama-3.1-8b")], "gpus": 4, "sla_tpot_ms": 20}
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "page.html")
            asked = ridge.plan(goal, samples=0, top=2, report=path)
            self.assertEqual(
                ridge.plan(path, samples=0, top=2).ranking[0].tokens_per_s_per_gpu,
                asked.ranking[0].tokens_per_s_per_gpu,
            )

    def test_of_a_sweep_asks_its_question_again(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "page.html")
            asked = ridge.sweep("sweep-afd-micro-batches", report=path)
            self.assertEqual(ridge.sweep(path).to_csv(), asked.to_csv())

    def test_of_a_cost_asks_its_question_again(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "page.html")
            asked = ridge.cost(models="step-3", chips=["h20"], context_tokens=4096, report=path)
            self.assertEqual(ridge.cost(path).to_dict(), asked.to_dict())

    def test_of_a_reproduction_and_of_a_ledger(self):
        self.assertIn("figures as printed", self.page(lambda path: ridge.reproduce("step3", report=path)))
        page = self.page(lambda path: ridge.reproduce("step3", measured=True, samples=0, report=path))
        self.assertIn("within 10 %", page)

    def test_of_measured_kernels(self):
        measured = os.path.join(SOURCE, "kernels", "measurements", "h200.json")
        self.assertIn(
            "kernels have a curve",
            self.page(lambda path: ridge.reproduce(kernels=measured, calibration="h200", report=path)),
        )

    def test_has_a_name_that_says_what_it_is(self):
        with self.assertRaisesRegex(ridge.Error, "report: expected a name that ends in .html"):
            ridge.cost(report="page.pdf")


class WhatShips(unittest.TestCase):
    def test_is_listed_as_the_command_line_lists_it(self):
        for kind in ("models", "chips", "calibrations", "scenarios", "goals"):
            self.assertEqual(getattr(ridge, kind)(), program("list", kind, "--names").split())

    def test_can_be_read_changed_and_asked_again(self):
        question = ridge.scenario(DEPLOYMENT)
        before = ridge.simulate(question, samples=0)
        self.assertEqual(before.tpot_ms.mean, ridge.simulate(DEPLOYMENT, samples=0).tpot_ms.mean)
        question["deployment"]["micro_batches"] = 2
        self.assertNotEqual(ridge.simulate(question, samples=0).tpot_ms.mean, before.tpot_ms.mean)

    def test_is_well(self):
        path = os.path.join(SOURCE, "scenarios", "cost-comparison.json")
        self.assertEqual(ridge.check(path), [])


class TheModule(unittest.TestCase):
    def test_is_typed(self):
        folder = os.path.dirname(ridge.__file__)
        self.assertTrue(os.path.exists(os.path.join(folder, "py.typed")))
        # The stub and the compiled module have the same names.
        import ast

        with open(os.path.join(folder, "_core.pyi"), encoding="utf-8") as file:
            stub = ast.parse(file.read())
        told = set()
        for node in stub.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                told.add(node.name)
            elif isinstance(node, ast.AnnAssign):
                told.add(node.target.id)
        there = {name for name in dir(ridge._core) if not name.startswith("_")}
        self.assertEqual({name for name in told if not name.startswith("_")}, there)

    def test_tells_its_version(self):
        self.assertEqual("ridge " + ridge.__version__, program("--version").strip())

    def test_documents_everything_that_it_offers(self):
        for name in ridge.__all__:
            self.assertTrue(getattr(ridge, name).__doc__, name)


if __name__ == "__main__":
    unittest.main()

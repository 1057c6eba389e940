"""Overrides change what their JSON pointer leads to, and nothing else."""

import copy
import json
import os
import tempfile
import unittest
from pathlib import Path

import numpy as np

import ridge
from program import ridge_json

DEPLOYMENT = "step3-2a2f-4k-fp8"


class AnOverride(unittest.TestCase):
    def told(self, question: dict) -> dict:
        """What the command line answers to a scenario written out."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "scenario.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(question, file)
            return ridge_json("simulate", path, "--samples", "0")

    def assert_same(self, answer: ridge.Simulation, told: dict) -> None:
        asked = answer.to_dict()
        asked["scenario"] = told["scenario"]
        self.assertEqual(asked, told)

    def test_is_as_good_as_a_file_that_says_so(self):
        question = ridge.scenario(DEPLOYMENT)
        question["deployment"]["micro_batches"] = 2
        self.assert_same(
            ridge.simulate(DEPLOYMENT, {"/deployment/micro_batches": 2}, samples=0),
            self.told(question),
        )

    def test_reaches_into_the_model_and_the_chip_that_are_named(self):
        question = ridge.scenario(DEPLOYMENT)
        question["model"] = copy.deepcopy(ridge.model(question["model"]))
        question["model"]["vocabulary"] = 64000
        pool = question["deployment"]["pools"]["ffn"]
        pool["chip"] = ridge.chip(pool["chip"])
        pool["chip"]["nic_bandwidth_GBps"]["value"] = 25.0
        answer = ridge.simulate(
            DEPLOYMENT,
            {
                "/model/vocabulary": 64000,
                "/deployment/pools/ffn/chip/nic_bandwidth_GBps/value": 25.0,
            },
            samples=0,
        )
        self.assert_same(answer, self.told(question))
        plain = ridge.simulate(DEPLOYMENT, samples=0)
        self.assertNotEqual(answer.tpot_ms.mean, plain.tpot_ms.mean)

    def test_replaces_a_whole_document_before_what_changes_within_it(self):
        model = ridge.model("step-3")
        both = ridge.cost(
            chips="h800",
            overrides={"/models/0/attention/mfa/query_heads": 32, "/models": [model]},
        )
        model["attention"]["mfa"]["query_heads"] = 32
        self.assertEqual(both.to_dict(), ridge.cost(models=model, chips="h800").to_dict())

    def test_adds_a_key_that_the_scenario_leaves_out(self):
        question = ridge.scenario(DEPLOYMENT)
        question.pop("seed", None)
        self.assertEqual(
            ridge.simulate(question, {"/seed": 7}, samples=0).checksum,
            ridge.simulate(question, seed=7, samples=0).checksum,
        )

    def test_reaches_through_a_sweep_into_its_scenario(self):
        once = ridge.sweep("sweep-afd-micro-batches", {"/columns": ["gpus"]})
        twice = ridge.sweep(
            "sweep-afd-micro-batches",
            {"/columns": ["gpus"], "/base/scenario/deployment/replicas": 2},
        )
        self.assertTrue((twice["gpus"] == 2 * once["gpus"]).all())

    def test_takes_numbers_of_numpy_and_paths_from_here(self):
        self.assertEqual(
            ridge.simulate(DEPLOYMENT, {"/deployment/micro_batches": np.int64(2)}, samples=0).checksum,
            ridge.simulate(DEPLOYMENT, {"/deployment/micro_batches": 2}, samples=0).checksum,
        )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "mine.json"
            path.write_text(json.dumps(ridge.model("step-3")), encoding="utf-8")
            here = Path(os.path.relpath(path))
            self.assertEqual(
                ridge.simulate(DEPLOYMENT, {"/model": here}, samples=0).checksum,
                ridge.simulate(DEPLOYMENT, samples=0).checksum,
            )
            self.assertEqual(ridge.cost(models=str(here), chips="h800").rows[0].chip, "h800")

    def test_leaves_the_question_alone(self):
        question = ridge.scenario(DEPLOYMENT)
        before = copy.deepcopy(question)
        ridge.simulate(question, {"/deployment/micro_batches": 2}, samples=0)
        self.assertEqual(question, before)


if __name__ == "__main__":
    unittest.main()

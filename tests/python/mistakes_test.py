"""A mistake says in which file it is, where in it, and what was expected."""

import os
import tempfile
import unittest

import ridge

DEPLOYMENT = "step3-2a2f-4k-fp8"


class AMistake(unittest.TestCase):
    def mistake(self, ask) -> ridge.Error:
        with self.assertRaises(ridge.Error) as caught:
            ask()
        return caught.exception

    def test_carries_file_pointer_and_message(self):
        error = self.mistake(lambda: ridge.simulate(DEPLOYMENT, {"/deployment/micro_batches": 0}))
        self.assertTrue(error.file.endswith(f"scenarios/{DEPLOYMENT}.json"))
        self.assertEqual(error.pointer, "/deployment/micro_batches")
        self.assertRegex(error.message, "^expected a whole number from 1 .*, got 0$")
        self.assertEqual(str(error), f"{error.file}: {error.pointer}: {error.message}")

    def test_comes_with_all_others(self):
        error = self.mistake(
            lambda: ridge.simulate(
                DEPLOYMENT, {"/deployment/micro_batches": 0, "/seed": "one", "/sla_tpot_ms": 0}
            )
        )
        self.assertEqual(
            {m.pointer for m in error.mistakes}, {"/deployment/micro_batches", "/seed", "/sla_tpot_ms"}
        )
        self.assertEqual(len(str(error).splitlines()), 3)

    def test_in_a_pointer_names_the_nearest(self):
        error = self.mistake(lambda: ridge.simulate(DEPLOYMENT, {"/deployment/micro_batch/x": 3}))
        self.assertEqual(error.pointer, "/deployment/micro_batch/x")
        self.assertIn("leads nowhere", error.message)
        error = self.mistake(lambda: ridge.simulate(DEPLOYMENT, {"deployment": 3}))
        self.assertIn("expected a JSON pointer", error.message)

    def test_in_a_name_names_the_nearest(self):
        error = self.mistake(lambda: ridge.simulate("step3-2a2f-4k-fp9"))
        self.assertIn(f'did you mean "{DEPLOYMENT}"', str(error))
        error = self.mistake(lambda: ridge.cost(models="step-33", chips="h80"))
        self.assertEqual({m.pointer for m in error.mistakes}, {"/models/0", "/chips/0"})

    def test_in_a_dict_is_told_there(self):
        question = ridge.scenario(DEPLOYMENT)
        question["deployment"]["pools"]["ffn"]["chip"] = "h80"
        error = self.mistake(lambda: ridge.simulate(question))
        self.assertEqual(error.file, "scenario")
        self.assertEqual(error.pointer, "/deployment/pools/ffn/chip")

    def test_in_a_file_that_is_no_json_names_it(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "broken.json")
            with open(path, "w", encoding="utf-8") as file:
                file.write("{")
            error = self.mistake(lambda: ridge.simulate(path))
        self.assertEqual(error.file, path)
        self.assertIn("not valid JSON", error.message)
        self.assertEqual(self.mistake(lambda: ridge.simulate(path)).file, path)

    def test_in_a_sweep_is_found_before_the_first_point(self):
        error = self.mistake(lambda: ridge.sweep("sweep-mfa-heads", {"/axes/0/to": "far"}))
        self.assertEqual(error.pointer, "/axes/0/to")

    def test_that_json_cannot_say_is_told_before_anything_is_asked(self):
        with self.assertRaises(ValueError):
            ridge.simulate(DEPLOYMENT, {"/deployment/micro_batches": float("nan")})
        with self.assertRaisesRegex(TypeError, "what JSON can hold"):
            ridge.simulate(DEPLOYMENT, {"/deployment/micro_batches": object()})

    def test_in_a_number_that_no_question_can_have_is_told(self):
        for told, ask in (
            ("samples", lambda x: ridge.simulate(DEPLOYMENT, samples=x)),
            ("samples", lambda x: ridge.reproduce("step3", measured=True, samples=x)),
            ("samples", lambda x: ridge.plan("step3-h800", samples=x)),
            ("top", lambda x: ridge.plan("step3-h800", top=x)),
            ("threads", lambda x: ridge.plan("step3-h800", threads=x)),
            ("threads", lambda x: ridge.sweep("sweep-mfa-heads", threads=x)),
            ("threads", lambda x: ridge.calibrate("none.csv", "h800", threads=x)),
            ("seed", lambda x: ridge.calibrate("none.csv", "h800", seed=x)),
            ("seed", lambda x: ridge.simulate(DEPLOYMENT, seed=x)),
        ):
            for wrong in (-1, 2**64, 1.5, "many"):
                error = self.mistake(lambda: ask(wrong))
                self.assertRegex(
                    str(error), f"^{told}: expected a whole number from [01] to [0-9]+, got {wrong!r}$"
                )
        for batch in (0, -1, 0.5, float("nan"), float("inf")):
            error = self.mistake(lambda: ridge.cost(batch=batch))
            self.assertRegex(str(error), "^batch: expected a number of at least 1, got ")
        self.assertTrue(ridge.cost(batch=1).rows)

    def test_in_what_fit_and_sparsity_take_is_told(self):
        for told, ask in (
            ("part: expected ", lambda: ridge.fit(part="all")),
            ("tpot_ms: expected a number from 0.001 to 1e", lambda: ridge.fit(tpot_ms=0)),
            ("stages: expected a whole number from 1 to 64", lambda: ridge.sparsity(stages=1.5)),
            ("weights_share: expected a number from 0.01 to 1, got 'half'", lambda: ridge.fit(weights_share="half")),
            ("hidden and layers: expected both or neither", lambda: ridge.sparsity(hidden=1)),
            ("model: expected a model, or hidden", lambda: ridge.sparsity("step-3", hidden=1, layers=1)),
            ("expected one of the name of a report, serving=", lambda: ridge.reproduce()),
            ("expected one of the name of a report, serving=", lambda: ridge.reproduce("step3", serving="a.csv")),
            ("kernels and calibration: expected both", lambda: ridge.reproduce(kernels="a.csv")),
            ("chip: expected kernels=", lambda: ridge.reproduce("step3", chip="h200")),
            ("fixed: expected measured=True or serving=", lambda: ridge.reproduce("step3", fixed=["NICs"])),
            ("journals: expected the files", lambda: ridge.merge([])),
            ("batch: expected a number from 1 to 1e+06", lambda: ridge.support("step-3", batch=0.5)),
            ('calibration (a100', lambda: ridge.support("step-3", calibration="h80")),
            ("a rate needs requests that arrive", lambda: ridge.largest_rate(DEPLOYMENT)),
            ("requests needs requests that arrive", lambda: ridge.simulate(DEPLOYMENT, requests=True)),
        ):
            self.assertIn(told, str(self.mistake(ask)))
        self.assertEqual(self.mistake(lambda: ridge.fit("step-33")).pointer, "/models/0")

    def test_in_a_goal_names_its_place(self):
        error = self.mistake(lambda: ridge.plan("step3-h800", {"/sla_tpot_ms": 0, "/gpus": 0}))
        self.assertTrue(error.file.endswith("step3-h800.json"))
        self.assertEqual({m.pointer for m in error.mistakes}, {"/sla_tpot_ms", "/gpus"})
        error = self.mistake(lambda: ridge.plan({**ridge.goal("step3-h800"), "models": ["step-33"]}))
        self.assertEqual((error.file, error.pointer), ("goal", "/models/0"))
        self.assertIn('did you mean "step3-h800"', str(self.mistake(lambda: ridge.plan("step3-h80"))))

    def test_is_a_value_error(self):
        self.assertTrue(issubclass(ridge.Error, ValueError))


if __name__ == "__main__":
    unittest.main()

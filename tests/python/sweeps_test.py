"""A sweep is a table of NumPy columns that nobody copied."""

import copy
import csv
import gc
import importlib.util
import io
import os
import pickle
import tempfile
import unittest

import numpy as np

import ridge
from program import ridge as program

SWEEP = "sweep-afd-micro-batches"


class ASweep(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.sweep = ridge.sweep(SWEEP)
        cls.rows = [
            row for row in csv.DictReader(io.StringIO(cls.sweep.to_csv())) if not row.get("reference")
        ]

    def test_has_a_column_for_each_axis_and_figure(self):
        self.assertEqual(
            list(self.sweep), [n for n in self.rows[0] if n not in ("reference", "pareto")]
        )
        for name in self.sweep:
            self.assertEqual(
                self.sweep[name].tolist(), [float(row[name]) for row in self.rows], name
            )
        self.assertEqual(
            self.sweep.pareto.tolist(), [row["pareto"] == "true" for row in self.rows]
        )
        self.assertTrue(np.array_equal(self.sweep.tpot_ms, self.sweep["tpot_ms"]))

    def test_copies_no_figure(self):
        once, again = self.sweep["tpot_ms"], self.sweep["tpot_ms"]
        self.assertTrue(np.shares_memory(once, again))
        self.assertFalse(once.flags.owndata)
        self.assertFalse(once.flags.writeable)
        # Neighbors in memory: two figures of one row.
        names = list(self.sweep.words)
        first, second = self.sweep[names[0]], self.sweep[names[1]]
        address = lambda column: column.__array_interface__["data"][0]
        self.assertEqual(address(second) - address(first), 8)

    def test_can_be_copied_and_says_what_can_be_pickled(self):
        self.assertEqual(copy.deepcopy(self.sweep).to_csv(), self.sweep.to_csv())
        with self.assertRaisesRegex(TypeError, "to_csv"):
            pickle.dumps(self.sweep)

    def test_lives_as_long_as_its_columns(self):
        column = ridge.sweep(SWEEP)["tpot_ms"]
        gc.collect()
        self.assertEqual(column.tolist(), self.sweep["tpot_ms"].tolist())

    def test_is_the_same_on_any_number_of_threads(self):
        self.assertEqual(ridge.sweep(SWEEP, threads=3).to_csv(), self.sweep.to_csv())

    def test_of_shards_is_what_one_run_answers(self):
        costs = ridge.sweep("sweep-mfa-heads")
        with tempfile.TemporaryDirectory() as folder:
            journals = [os.path.join(folder, f"{shard}.journal") for shard in (1, 2)]
            for shard, journal in enumerate(journals, 1):
                program("sweep", "sweep-mfa-heads", "--shard", f"{shard}/2", "--journal", journal)
            merged = ridge.merge(journals)
            self.assertEqual(merged.to_csv(), costs.to_csv())
            self.assertTrue(np.array_equal(merged.afd_usd_per_Mtok, costs.afd_usd_per_Mtok))
            with self.assertRaisesRegex(ridge.Error, "a shard is missing"):
                ridge.merge(journals[0])

    def test_goes_on_from_its_journal_and_from_that_of_the_command_line(self):
        costs = ridge.sweep("sweep-mfa-heads").to_csv()
        with tempfile.TemporaryDirectory() as folder:
            journal = os.path.join(folder, "kept.journal")
            self.assertEqual(ridge.sweep("sweep-mfa-heads", journal=journal).to_csv(), costs)
            kept = os.path.getsize(journal)
            # Nothing is asked again, by either.
            self.assertEqual(ridge.sweep("sweep-mfa-heads", journal=journal).to_csv(), costs)
            self.assertEqual(program("sweep", "sweep-mfa-heads", "--journal", journal), costs)
            self.assertEqual(os.path.getsize(journal), kept)
            with self.assertRaisesRegex(ridge.Error, "of another question"):
                ridge.sweep("sweep-mfa-heads", {"/title": "Another"}, journal=journal)

    def test_holds_names_where_figures_are_names(self):
        costs = ridge.sweep("sweep-mfa-heads", {"/columns": ["afd_attention_chip", "afd_usd_per_Mtok"]})
        told = [
            row["afd_attention_chip"] for row in csv.DictReader(io.StringIO(costs.to_csv()))
        ]
        self.assertEqual(costs["afd_attention_chip"].tolist(), told[: costs.rows])

    def test_has_its_references_beside_it(self):
        designs = ridge.sweep("sweep-mfa-heads")
        told = [r for r in csv.DictReader(io.StringIO(designs.to_csv())) if r["reference"]]
        costs = [
            (reference.subject, cost)
            for reference in designs.references
            for cost in reference["afd_usd_per_Mtok"].tolist()
        ]
        self.assertEqual(costs, [(r["reference"], float(r["afd_usd_per_Mtok"])) for r in told])

    def test_without_rows_has_empty_columns(self):
        none = ridge.sweep(SWEEP, {"/filters": [{"column": "tpot_ms", "max": 0}]})
        self.assertEqual((none.rows, len(none["tpot_ms"]), len(none.pareto)), (0, 0, 0))
        self.assertIn("0 rows", none._repr_html_())

    def test_shows_its_front_in_a_notebook(self):
        front = int(self.sweep.pareto.sum())
        page = self.sweep._repr_html_()
        self.assertEqual(page.count("<tr>"), 1 + front)
        self.assertEqual("<svg" in page, self.sweep._repr_svg_() is not None)

    @unittest.skipUnless(importlib.util.find_spec("pandas"), "no pandas here")
    def test_becomes_a_frame(self):
        frame = self.sweep.to_pandas()
        self.assertEqual(list(frame), [*self.sweep, "pareto"])
        self.assertEqual(frame["tpot_ms"].tolist(), self.sweep["tpot_ms"].tolist())


if __name__ == "__main__":
    unittest.main()

"""tools/measure-gpu, and what becomes of its file, without a GPU: with the emulated device in rehearsal, and with a
ridge-bench on which everything goes wrong. Arguments: measure-gpu, ridge-bench-emulated, ridge-bench-faulty, ridge."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest

MEASURE_GPU, EMULATED, FAULTY, RIDGE = sys.argv[1:5]


class MeasureGpu(unittest.TestCase):
    """One folder per test."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="ridge_measure_gpu_")
        self.addCleanup(self.folder.cleanup)
        self.out = pathlib.Path(self.folder.name) / "m"

    def command(self, stage, binary, *bench, limit=300):
        """A call that builds nothing."""
        return [MEASURE_GPU, stage, "--out", str(self.out), "--binary", binary, "--time-limit", str(limit), "--", *bench]

    def run_stage(self, *arguments, **others):
        """Its exit status and what it said."""
        environment = dict(os.environ, RIDGE_EMULATION_REHEARSAL="1", RIDGE_CUBLASLT="/nowhere/libcublasLt.so")
        done = subprocess.run(self.command(*arguments, **others), env=environment, capture_output=True, text=True,
                              timeout=500, check=False)
        return done.returncode, done.stdout + done.stderr

    def packed(self, name):
        """A file of the archive."""
        with tarfile.open(str(self.out) + ".tar.gz") as archive:
            return archive.extractfile(f"m/{name}").read().decode()

    def points(self, name="measurement.json"):
        """The points of the archive's file."""
        return json.loads(self.packed(name))["points"]

    def through(self, stage, name, least):
        """What a stage that measures writes: more points than `least`, and all that can be without cuBLASLt."""
        status, text = self.run_stage(stage, EMULATED, "--no-check")
        self.assertEqual(status, 0 if stage == "new" else 1, text)
        whole = json.loads(self.packed(name))
        self.assertGreater(len(whole["points"]), least)
        for missing in whole["not_measured"]:
            self.assertIn("cuBLASLt was not found", missing["why"])
        return whole

    def test_every_stage_goes_through(self):
        """Check, new and full, each on what it is for; measure has its own test."""
        status, text = self.run_stage("check", FAULTY, "--family", "good", "--family", "wrong")
        self.assertEqual(status, 1, text)
        self.assertIn("1 of 4 comparisons", self.packed("check.log"))
        self.through("new", "new.json", 27)
        self.through("full", "measurement-full.json", 1900)

    def test_faults_lose_only_their_own_points(self):
        """An exception, a hang, a death, an exit, a broken device."""
        families = ("throws", "hangs", "dies", "exits", "breaks")
        arguments = [part for family in families for part in ("--family", family)]
        status, text = self.run_stage("measure", FAULTY, "--item-limit", "1", *arguments)
        self.assertEqual(status, 1, text)
        self.assertEqual(len(self.points()), 4 * len(families))

    def test_the_time_limit_leaves_an_archive_and_the_next_call_goes_on(self):
        """Fifteen seconds are kept for packing, so that one or two are left to measure in."""
        status, text = self.run_stage("measure", FAULTY, "--family", "good", "--family", "slow", limit=21.5)
        self.assertEqual(status, 4, text)
        first = len(self.points())
        self.assertTrue(1 <= first < 10, text)
        status, text = self.run_stage("measure", FAULTY, "--family", "good", "--family", "slow")
        self.assertEqual(status, 0, text)
        self.assertIn(f"continuing an interrupted run: {first} points", text)
        self.assertEqual(len(self.points()), 10)

    def test_termination_leaves_an_archive(self):
        """SIGTERM while points are measured."""
        with subprocess.Popen(self.command("measure", FAULTY, "--family", "good", "--family", "slow"),
                              stdout=subprocess.DEVNULL) as child:
            journal = self.out / "measurement.json.partial"
            for _ in range(600):
                if journal.exists() and len(journal.read_text().splitlines()) > 2:
                    break
                time.sleep(0.05)
            child.send_signal(signal.SIGTERM)
            self.assertEqual(child.wait(timeout=60), 4)
        self.assertGreaterEqual(len(self.points()), 1)

    def test_the_default_grid_calibrates_every_operator_with_the_kernels_measured(self):
        """From measure's file, with made-up times, over a base of the same chip with far more measurements."""
        whole = self.through("measure", "measurement.json", 900)
        whole["device"]["name"] = "NVIDIA H100 80GB HBM3"
        chance = random.Random(1)
        for point in whole["points"]:
            us = 6 + max((point["bytes_read"] + point["bytes_written"]) / 2.9e6, point["flop"] / 6e8)
            point["median_us"] = us * chance.lognormvariate(0, 0.03)
        path = pathlib.Path(self.folder.name) / "measurement.json"
        path.write_text(json.dumps(whole))
        calibration = pathlib.Path(self.folder.name) / "mine.json"
        done = subprocess.run([RIDGE, "calibrate", str(path), "--chip", "h100", "--base", "h100", "-o",
                               str(calibration)], capture_output=True, text=True, timeout=500, check=False,
                              env={**os.environ, "COLUMNS": "300"})
        self.assertEqual(done.returncode, 0, done.stderr)
        first = {}
        for line in done.stdout.splitlines():
            for slot in ("decode_attention bf16 head_dim 64", "decode_attention bf16 head_dim 128",
                         "decode_attention bf16 head_dim 256", "decode_attention fp8 head_dim 64",
                         "decode_attention fp8 head_dim 128", "decode_attention fp8 head_dim 256",
                         "latent_attention bf16 head_dim 576", "latent_attention fp8 head_dim 576",
                         "grouped_gemm fp8_block", "moe_layer fp8_block", "elementwise "):
                if line.startswith(slot):
                    first.setdefault(slot, line[len(slot):].split()[0])
        self.assertEqual(len(first), 11, done.stdout)
        self.assertLessEqual(set(first.values()), {"ridge", "ridge_one_term"}, done.stdout)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])

"""kernels/peers/measure_peers.py against a worker on which everything goes wrong. Argument: measure_peers.py. With "describe" or
the name of a peer as its only argument, this file is that worker: what happens at a peer's second point hangs on its name."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

FAULTS = {"torch_flex": "hang", "triton": "die", "flash_attention_2": "wrong", "flash_attention_3": "failed",
          "flashinfer": "unavailable", "flash_mla": "broken", "torch_matmul": "slow"}


def be_worker(name):
    """The fake peer."""

    def send(message):
        os.write(3, (json.dumps(message) + "\n").encode())

    if name == "describe":
        send({"obstacle": "no CUDA device"} if "FAKE_NO_DEVICE" in os.environ else {
            "device": {"name": "a fake", "uuid": os.environ.get("FAKE_UUID", "GPU-0"), "compute_capability": "8.0",
                       "sm_count": 108, "l2_bytes": 1, "memory_bytes": 1 << 36},
            "software": {"cuda_runtime": "13.0", "torch": "2"}, "free_bytes": 4e9})
        return
    fault = FAULTS.get(name)
    for number, line in enumerate(sys.stdin.readlines()):
        key = json.loads(line)["key"]
        if fault == "unavailable":
            send({"begin": key})
            send({"unavailable": "No module named 'flashinfer'"})
            return
        send({"begin": key})
        if fault == "slow":
            time.sleep(0.3)
        if number == 1:
            if fault == "hang":
                time.sleep(3600)
            if fault == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if fault in ("wrong", "failed"):
                send({"key": key, fault: "what happened"})
                continue
            if fault == "broken":
                send({"key": key, "failed": "an illegal address", "broken": True})
                return
        send({"key": key, "us": [10.0, 11.0, 12.0]})


class MeasurePeers(unittest.TestCase):
    """One folder per test."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="ridge_peers_")
        self.addCleanup(folder.cleanup)
        self.output = pathlib.Path(folder.name) / "peers.json"

    def start(self, *arguments, **variables):
        """A run with the fake worker."""
        environment = dict(os.environ, RIDGE_PEER_WORKER=str(pathlib.Path(__file__).resolve()), **variables)
        return subprocess.Popen([sys.executable, "-B", MEASURE_PEERS, "--output", str(self.output), *arguments],
                                env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run_peers(self, *arguments, **variables):
        """Its exit status and what it said."""
        with self.start(*arguments, **variables) as child:
            text, _ = child.communicate(timeout=300)
            return child.returncode, text

    def document(self):
        """What it wrote."""
        return json.loads(self.output.read_text())

    def test_each_fault_costs_its_own_point(self):
        """One lost point of each, and an absent peer told once."""
        for peer, fault in FAULTS.items():
            if fault in ("slow", "unavailable"):
                continue
            with self.subTest(peer):
                status, text = self.run_peers("--peer", peer, "--item-limit", "2")
                whole = self.document()
                # A fault at every worker's second point loses three points of the peer and gives up the rest.
                lost = [entry["why"] for entry in whole["not_measured"]]
                if fault in ("wrong", "failed"):
                    self.assertEqual(len(lost), 1, text)
                    self.assertIn("what happened", lost[0])
                else:
                    self.assertEqual(len(whole["points"]), 3, text)
                    self.assertIn({"hang": "no answer within 2 s", "die": "died of signal 9",
                                   "broken": "an illegal address"}[fault], lost[0])
                    self.assertIn("given up after 3 lost workers", lost[-1])
                self.assertEqual(status, 1 if fault == "wrong" else 0, text)
        status, text = self.run_peers("--peer", "flashinfer", "--peer", "torch_sdpa")
        whole = self.document()
        self.assertEqual(whole["not_measured"], [{"what": "flashinfer", "why": "No module named 'flashinfer'"}], text)
        self.assertGreater(len(whole["points"]), 20)
        self.assertEqual({point["kernel"] for point in whole["points"]}, {"torch_sdpa"})

    def test_the_time_limit_and_termination_write_what_there_is_and_the_next_run_goes_on(self):
        """The journal holds every point."""
        status, text = self.run_peers("--peer", "torch_matmul", "--time-limit", "4")
        self.assertEqual(status, 4, text)
        first = len(self.document()["points"])
        self.assertGreaterEqual(first, 1, text)
        with self.start("--peer", "torch_matmul") as child:
            time.sleep(3)
            child.send_signal(signal.SIGTERM)
            text, _ = child.communicate(timeout=60)
        self.assertEqual(child.returncode, 4, text)
        self.assertIn(f"continuing an interrupted run: {first} points", text)
        self.assertGreater(len(self.document()["points"]), first)

    def test_killing_loses_nothing(self):
        """SIGKILL of the whole run."""
        child = self.start("--peer", "torch_matmul")
        journal = self.output.with_name("peers.json.partial")
        for _ in range(600):
            if journal.exists() and len(journal.read_text().splitlines()) > 2:
                break
            time.sleep(0.05)
        child.kill()
        child.wait()
        child.stdout.close()
        status, text = self.run_peers("--peer", "torch_matmul", "--time-limit", "2")
        self.assertEqual(status, 4, text)
        self.assertIn("continuing an interrupted run", text)
        self.assertGreaterEqual(len(self.document()["points"]), 2)

    def test_files_of_another_device_are_kept(self):
        """Renamed, not written over."""
        self.run_peers("--peer", "torch_matmul", "--time-limit", "3", FAKE_UUID="GPU-A")
        before = self.output.read_text()
        self.run_peers("--peer", "torch_sdpa", FAKE_UUID="GPU-B")
        self.assertEqual(self.output.with_name("peers.json.1").read_text(), before)
        self.assertEqual(self.document()["device"]["uuid"], "GPU-B")

    def test_no_device_is_said(self):
        """Exit status 3."""
        status, text = self.run_peers("--peer", "torch_sdpa", FAKE_NO_DEVICE="1")
        self.assertEqual(status, 3)
        self.assertIn("no CUDA device; nothing was measured", text)


if __name__ == "__main__":
    if len(sys.argv) == 2 and not sys.argv[1].endswith(".py"):
        be_worker(sys.argv[1])
    else:
        MEASURE_PEERS = sys.argv[1]
        unittest.main(argv=[sys.argv[0], "-v"])

"""While Ridge works, others may run: callbacks, Ctrl-C, other threads."""

import os
import signal
import threading
import time
import unittest

import ridge

DEPLOYMENT = "step3-2a2f-4k-fp8"
# Minutes of work, for whoever cannot stop it.
LONG = {"/measurement/steps": 1000000}


class LongWork(unittest.TestCase):
    def assert_prompt(self, begun: float) -> None:
        self.assertLess(time.monotonic() - begun, 20)

    def test_ends_at_ctrl_c(self):
        threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        begun = time.monotonic()
        with self.assertRaises(KeyboardInterrupt):
            ridge.simulate(DEPLOYMENT, LONG)
        self.assert_prompt(begun)

    def test_in_a_sweep_ends_at_ctrl_c(self):
        threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        begun = time.monotonic()
        with self.assertRaises(KeyboardInterrupt):
            ridge.sweep(
                "sweep-afd-micro-batches",
                {"/base/scenario" + pointer: value for pointer, value in LONG.items()},
            )
        self.assert_prompt(begun)

    def test_in_a_ledger_ends_at_ctrl_c(self):
        begun = time.monotonic()
        ridge.reproduce("step3", measured=True, samples=8)
        whole = time.monotonic() - begun
        threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        begun = time.monotonic()
        with self.assertRaises(KeyboardInterrupt):
            ridge.reproduce("step3", measured=True, samples=8)
        # The entry at hand is finished first.
        self.assertLess(time.monotonic() - begun, whole / 2)

    def test_in_a_plan_ends_at_ctrl_c(self):
        threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        begun = time.monotonic()
        with self.assertRaises(KeyboardInterrupt):
            ridge.plan("step3-h800", samples=10000, exhaustive=True)
        self.assert_prompt(begun)

    def test_tells_how_far_it_is_on_the_thread_that_asked(self):
        told = []
        threads = set()

        def progress(share: float) -> None:
            told.append(share)
            threads.add(threading.get_ident())

        ridge.simulate(DEPLOYMENT, {"/measurement/steps": 3000}, samples=0, progress=progress)
        self.assertEqual(told, sorted(told))
        self.assertEqual(told[-1], 1.0)
        # Not only the first and the last.
        self.assertGreater(len(set(told)), 2)
        self.assertEqual(threads, {threading.get_ident()})

    def test_ends_with_what_its_callback_raises(self):
        class Enough(Exception):
            pass

        def progress(_share: float) -> None:
            raise Enough

        begun = time.monotonic()
        with self.assertRaises(Enough):
            ridge.simulate(DEPLOYMENT, LONG, progress=progress)
        self.assert_prompt(begun)

    def test_lets_other_threads_run(self):
        ticks = 0
        done = threading.Event()

        def count() -> None:
            nonlocal ticks
            while not done.wait(0.001):
                ticks += 1

        other = threading.Thread(target=count)
        other.start()
        begun = time.monotonic()
        ridge.simulate(DEPLOYMENT, {"/measurement/steps": 3000}, samples=0)
        took = time.monotonic() - begun
        done.set()
        other.join()
        # With the interpreter held there would be none until the end.
        self.assertGreater(ticks, 10 * took)


if __name__ == "__main__":
    unittest.main()

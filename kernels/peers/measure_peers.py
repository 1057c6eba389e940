#!/usr/bin/env python3
"""Times what others offer on the shapes of ridge-bench's grids: PyTorch, Triton, FlashAttention 2 and 3, FlashInfer,
FlashMLA, DeepGEMM, the fused MoE layers of vLLM and SGLang, as far as they are installed. Writes the same measurement file
(docs/measurement-format.md), so that a calibration can be made of the kernels that one serves with, and peers and Ridge's
kernels compared point by point.

    measure_peers.py --output peers.json            a grid that calibrates
    measure_peers.py --output peers.json --full     a denser one
    measure_peers.py --list                         which peers and points; needs no GPU

Every peer runs in a process of its own; what it computes is compared with a reference before it is timed. Peers that are not
installed, that cannot do a shape, hang or die are named and cost no other point. Every point is in OUTPUT.partial at once;
SIGTERM and --time-limit write what there is, and the same command goes on from there.

Exit status: 0 done, 1 a peer computed something else than the reference, 2 a mistake on the command line, 3 no GPU or no
PyTorch, 4 stopped before the end.
"""

import argparse
import datetime
import json
import math
import os
import pathlib
import selectors
import signal
import subprocess
import sys
import time

import shapes

FORMAT_VERSION = 1
DONE, WRONG, _USAGE, NO_DEVICE, STOPPED = range(5)
START_LIMIT_S = 180
MOST_LOST_WORKERS = 3


class Stop(Exception):
    """SIGTERM, SIGINT or the time limit."""


def quantile(sample, fraction):
    """Linear interpolation between order statistics, as bench/statistics.cpp does."""
    ordered = sorted(sample)
    position = fraction * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def summary(sample_us):
    """The timing fields of a point."""
    return {
        "median_us": quantile(sample_us, 0.5),
        "p10_us": quantile(sample_us, 0.1),
        "p90_us": quantile(sample_us, 0.9),
        "samples": len(sample_us),
    }


class Worker:
    """peer_worker.py as a process, and the lines it sends."""

    def __init__(self, name, orders):
        # The tests put another program in its place.
        program = os.environ.get("RIDGE_PEER_WORKER", str(pathlib.Path(__file__).with_name("peer_worker.py")))
        read, write = os.pipe()
        script = f'exec "$0" -B "$1" "$2" 3>&{write} {write}>&-' if write != 3 else 'exec "$0" -B "$1" "$2"'
        self.child = subprocess.Popen(["/bin/sh", "-c", script, sys.executable, program, name], stdin=subprocess.PIPE,
                                      pass_fds=(write,), start_new_session=True)
        os.close(write)
        self.report = read
        self.pending = b""
        self.ended = ""
        self.selector = selectors.DefaultSelector()
        self.selector.register(read, selectors.EVENT_READ)
        try:
            self.child.stdin.write("".join(json.dumps(order) + "\n" for order in orders).encode())
            self.child.stdin.close()
        except BrokenPipeError:
            pass  # It died; message() tells.

    def message(self, seconds):
        """The next message, "end" if there is none, "timeout" if it does not come in time."""
        end = time.monotonic() + seconds
        while b"\n" not in self.pending:
            if not self.selector.select(max(end - time.monotonic(), 0)):
                return "timeout"
            part = os.read(self.report, 65536)
            if not part:
                return "end"
            self.pending += part
        line, self.pending = self.pending.split(b"\n", 1)
        return json.loads(line)

    def finish(self):
        """Ends it, with everything it has started, and says how it ended; the same answer ever after."""
        if self.ended:
            return self.ended
        try:
            self.child.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()
        self.selector.close()
        os.close(self.report)
        code = self.child.returncode
        self.ended = f"died of signal {-code}" if code < 0 else f"exited with {code}"
        return self.ended


class Run:
    """What was asked for and what has become of it."""

    def __init__(self, options, described):
        self.options = options
        self.end = time.monotonic() + options.time_limit if options.time_limit else math.inf
        self.output = pathlib.Path(options.output)
        self.journal = pathlib.Path(options.output + ".partial")
        self.described = described
        self.points = {}
        self.missing = []
        self.unavailable = {}
        self.wrong = []
        self.comparisons = 0
        self.plan = [point for peer in options.peer for point in shapes.grid(peer, options.full, described["free_bytes"])]
        self.identity = "ridge-peers " + json.dumps(
            [FORMAT_VERSION, described["device"]["uuid"], sorted(described["software"].items())])
        self.read_journal()

    def read_journal(self):
        """Goes on from a run on this device with these versions; sets another's files aside."""
        lines = self.journal.read_text(encoding="utf-8").split("\n")[:-1] if self.journal.exists() else []
        if lines and lines[0] == self.identity:
            for line in lines[1:]:
                entry = json.loads(line)
                self.points[entry["key"]] = entry["timing"]
            print(f"continuing an interrupted run: {len(self.points)} points are there already")
            return
        for path in (self.journal, self.output):
            if path.exists():
                number = 1
                while (aside := path.with_name(f"{path.name}.{number}")).exists():
                    number += 1
                path.rename(aside)
                print(f"what was there of another run is now {aside}")
        self.journal.write_text(self.identity + "\n", encoding="utf-8")

    def note(self, point, timing):
        """A measured point, in the journal at once."""
        self.points[point.key()] = timing
        with open(self.journal, "a", encoding="utf-8") as file:
            file.write(json.dumps({"key": point.key(), "timing": timing}) + "\n")
        rate = point.work()["bytes_read"] / timing["median_us"] * 1e-6
        print(f"{point.key()}: {timing['median_us']:.1f} us  {rate:.2f} TB/s", flush=True)

    def fail(self, point, why):
        """A point that came to nothing."""
        self.missing.append({"what": point.key(), "why": why})
        print(f"{point.key()}: not measured: {why}", flush=True)

    def write(self, command, date):
        """The measurement file, whole or not there."""
        known = {entry["what"] for entry in self.missing}
        late = [{"what": point.key(), "why": "the run was stopped before"} for point in self.plan
                if not {point.key(), point.peer} & (known | self.points.keys() | self.unavailable.keys())]
        absent = [{"what": peer, "why": why} for peer, why in self.unavailable.items()]
        document = {
            "format": "ridge-measurement",
            "format_version": FORMAT_VERSION,
            "tool": "measure_peers.py",
            "command": command,
            "date_utc": date,
            "device": self.described["device"],
            "software": {"driver": "unknown"} | self.described["software"],
            "clocks": {"first": None, "last": None},
            "timing": {
                "method": "CUDA graph replay between events, time per launch",
                "statistic": "median, p10 and p90 over replays",
            },
            "checks": {"comparisons": self.comparisons, "wrong": self.wrong},
            "not_measured": absent + self.missing + late,
            "points": [
                {"family": point.family, "kernel": point.peer, "shape": point.fields()} | point.work()
                | self.points[point.key()]
                for point in self.plan if point.key() in self.points
            ],
        }
        beside = self.output.with_name(self.output.name + ".writing")
        beside.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        beside.replace(self.output)

    def seconds(self, limit):
        """What an item may take, within the run's limit."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise Stop()
        return min(limit, left)

    def do_points(self, peer, points):
        """Has one worker do the points; returns those that it did not come to."""
        worker = Worker(peer, [{"key": p.key(), "shape": p.fields(), "set_bytes": p.set_bytes(), "tolerance": p.tolerance()}
                               for p in points])
        try:
            left, begun = list(points), False
            while left:
                limit = self.options.item_limit if begun else START_LIMIT_S
                message = worker.message(self.seconds(limit))
                if message == "timeout" and time.monotonic() >= self.end:
                    raise Stop()
                if message in ("timeout", "end"):
                    why = f"no answer within {limit:.0f} s" if message == "timeout" else f"the peer {worker.finish()}"
                    self.fail(left.pop(0), why)
                    return left
                if "begin" in message:
                    begun = True
                    continue
                if "unavailable" in message:
                    self.unavailable[peer] = message["unavailable"]
                    print(f"{peer}: not available: {message['unavailable']}", flush=True)
                    return []
                point = left.pop(0)
                self.take(point, message)
                if "broken" in message:
                    return left
            return left
        finally:
            worker.finish()

    def take(self, point, message):
        """What a worker says of a point."""
        if "us" in message:
            self.comparisons += 1
            self.note(point, summary(message["us"]))
        elif "wrong" in message:
            self.comparisons += 1
            self.wrong.append({"what": point.key(), "why": message["wrong"]})
            self.fail(point, "WRONG: " + message["wrong"])
        else:
            self.fail(point, message["failed"])

    def do_peer(self, peer):
        """All points of a peer, with a new worker after each that is lost."""
        left = [point for point in self.plan if point.peer == peer and point.key() not in self.points]
        for _ in range(MOST_LOST_WORKERS):
            if not left:
                return
            left = self.do_points(peer, left)
        for point in left:
            self.fail(point, f"given up after {MOST_LOST_WORKERS} lost workers")


def describe():
    """What the device is, from a process of its own."""
    worker = Worker("describe", [])
    message = worker.message(START_LIMIT_S)
    ended = worker.finish()
    return message if isinstance(message, dict) else {"obstacle": f"PyTorch cannot tell: {message}, {ended}"}


def parse(arguments):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="peers.json", help="where to write (peers.json)")
    parser.add_argument("--full", action="store_true", help="a denser grid")
    parser.add_argument("--peer", action="append", choices=list(shapes.GRIDS), help="only this peer; may be repeated")
    parser.add_argument("--time-limit", type=float, default=0, help="stop after so many seconds and write what there is")
    parser.add_argument("--item-limit", type=float, default=60, help="give up a point after so many seconds (60)")
    parser.add_argument("--list", action="store_true", help="print peers and shapes and stop")
    options = parser.parse_args(arguments)
    options.peer = options.peer or list(shapes.GRIDS)
    return options


def main(arguments):
    """Measures, writes, and returns the exit status."""
    options = parse(arguments)
    if options.list:
        for peer in options.peer:
            for point in shapes.grid(peer, options.full, 80e9):
                print(point.key())
        print(f"peers: {', '.join(options.peer)}")
        return DONE
    described = describe()
    if "obstacle" in described:
        print(f"measure_peers.py: {described['obstacle']}; nothing was measured", file=sys.stderr)
        return NO_DEVICE

    def stop(_number, _frame):
        raise Stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    command = " ".join(["measure_peers.py", *arguments])
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    run = Run(options, described)
    stopped = False
    try:
        for peer in options.peer:
            run.do_peer(peer)
            run.write(command, date)
    except Stop:
        stopped = True
        run.write(command, date)
    print(f"{len(run.points)} points in {options.output}, {len(run.missing)} not measured, {len(run.wrong)} wrong"
          + ("; stopped before the end, the same command goes on" if stopped else ""))
    if stopped:
        return STOPPED
    if not run.missing:
        run.journal.unlink()
    return WRONG if run.wrong else DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

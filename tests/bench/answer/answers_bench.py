"""1,000 answers from Python beside the same from C++:

    PYTHONPATH=build/release/python python3 tests/bench/answer/answers_bench.py \\
        build/release/tests/bench/answer/ridge_bench_answer
"""

import json
import subprocess
import sys
import time

import ridge

CALLS = 1000


def python_ms() -> float:
    begun = time.perf_counter()
    for _ in range(CALLS):
        ridge.simulate("step3-2a2f-4k-fp8", samples=0).to_dict()
    return (time.perf_counter() - begun) * 1e3 / CALLS


def cpp_ms(program: str) -> float:
    done = subprocess.run(
        [program, "--benchmark_format=json"], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)["benchmarks"][0]["real_time"]


# In turn, so that what else the machine does weighs on both.
for _ in range(3):
    cpp, python = cpp_ms(sys.argv[1]), python_ms()
    print(f"C++ {cpp:.3f} ms a call, Python {python:.3f} ms: {python / cpp:.2f} times")

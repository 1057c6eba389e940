"""The command line, to compare with."""

import json
import os
import subprocess

PROGRAM = os.environ["RIDGE_PROGRAM"]
SOURCE = os.environ["RIDGE_SOURCE"]


def ridge(*arguments: str) -> str:
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"ridge {arguments}: {done.stderr}")
    return done.stdout


def ridge_json(*arguments: str) -> dict:
    return without_clock(json.loads(ridge(*arguments, "--format", "json")))


def without_clock(answer: dict) -> dict:
    """How long the answer took is no part of it."""
    answer.pop("wall_s", None)
    return answer

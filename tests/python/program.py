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
    return json.loads(ridge(*arguments, "--format", "json"))

#!/usr/bin/env python3
"""Counts the machine instructions of compiled kernels, by class: what a change costs before any GPU has run it.

    kernels/count_instructions.py build/kernels/ridge-bench --arch sm_90a --only attention_kernel
    cuobjdump --dump-sass FILE | kernels/count_instructions.py -

FILE is a program, object file or cubin; cuobjdump, of the CUDA Toolkit, is looked for on PATH, in CUDA_HOME and beside nvcc.
A line per kernel, then one for each of its main loops, which is told by a conditional branch backward over matrix instructions
with no other such branch inside that spans some: in Ridge's kernels one turn is a tile, or 128 of K. All that lies in between is
counted once: paths that few tiles take (a last tile's unused tokens, a rise of the maximum), a second copy of a path, and inner
loops, so that it is what a warp of that role has before it, not what it issues. Where ptxas puts such a path, inside or behind the
loop, differs between kernels that are otherwise the same. Waits spin behind the loops and come back by branches without
condition, which are not taken for loops; nor is a loop that is closed by one, as code for 8.x often is. NOPs are not counted.
These are counts of compiled code: they say nothing of time.
"""

import argparse
import collections
import functools
import os
import pathlib
import re
import shutil
import subprocess
import sys

# The first that matches an opcode's first word, as cuobjdump prints it for compute capabilities 8.0 to 12.0.
CLASSES = [
    ("wgmma", r"[A-Z]GMMA"),
    ("mma", r"[A-Z]MMA|MOVM"),
    ("copies", r"LDGSTS|UBLKCP|UBLKPF|UBLKRED|UTMA\w+"),
    ("shared loads", r"LDS|LDSM"),
    ("shared stores", r"STS|STSM|STAS|ATOMS"),
    ("global", r"LD|LDG|ST|STG|RED|REDG|ATOM|ATOMG"),
    ("spills", r"LDL|STL"),
    ("barriers", r"BAR|SYNCS|UCGABAR\w*|WARPGROUP|WARPSYNC|DEPBAR|LDGDEPBAR|ARRIVES|ACQBULK|FENCE|MEMBAR|UMEMBAR"),
    ("shuffles", r"SHFL|VOTE|VOTEU|MATCH|REDUX"),
    ("exponentials", r"MUFU"),
    ("conversions", r"F2F|F2FP|F2I|I2F|I2FP|F2IP|FRND"),
    ("float", r"FFMA|FMUL|FADD|FMNMX|FMNMX3|FSEL|FSETP|FFMA2|FMUL2|FADD2"),
    ("half", r"HFMA2|HMUL2|HADD2|HMNMX2|HSET2|HSETP2"),
]
NAMES = [name for name, _ in CLASSES] + ["rest"]


class Problem(Exception):
    """What is told in one line."""


@functools.cache
def class_of(opcode):
    """Of an opcode such as HGMMA.64x64x16.F32.BF16."""
    first = opcode.split(".")[0]
    return next((name for name, pattern in CLASSES if re.fullmatch(pattern, first)), "rest")


Instruction = collections.namedtuple("Instruction", "address opcode conditional target")
Kernel = collections.namedtuple("Kernel", "arch name code")

LINE = re.compile(r"\s+/\*([0-9a-f]{4,})\*/\s+(@!?U?P\w+ )?([A-Z][A-Z0-9_.]*)(.*?);?\s+/\*")


def parse(lines):
    """The kernels of a dump."""
    kernels, arch = [], ""
    for line in lines:
        if found := re.match(r"arch = (\S+)", line):
            arch = found[1]
        elif found := re.match(r"\s*code for (\S+)", line):
            arch = arch or found[1]
        elif found := re.match(r"\s*Function : (\S+)", line):
            kernels.append(Kernel(arch, found[1], []))
        elif (found := LINE.match(line)) and kernels:
            # A branch on two conditions has the second as its first operand.
            operands = found[4].strip()
            target = re.search(r"(?:^|, )`?\(?(0x[0-9a-f]+)", operands) if found[3].startswith("BRA") else None
            conditional = bool(found[2]) or bool(re.match(r"!?U?P\d", operands))
            kernels[-1].code.append(Instruction(int(found[1], 16), found[3], conditional, int(target[1], 16) if target else None))
    return [kernel for kernel in kernels if kernel.code]


def main_loops(code):
    """Those without another inside: lists of instructions."""
    matrix = [i.address for i in code if class_of(i.opcode) in ("wgmma", "mma")]
    spans = [(i.target, i.address) for i in code if i.conditional and i.target is not None and i.target <= i.address]
    spans = {(low, high) for low, high in spans if any(low <= at <= high for at in matrix)}
    inner = [s for s in spans if not any(o != s and s[0] <= o[0] and o[1] <= s[1] for o in spans)]
    return [[i for i in code if low <= i.address <= high] for low, high in sorted(inner)]


def count(code):
    """Instructions by class, and in all."""
    counts = collections.Counter(class_of(i.opcode) for i in code if i.opcode != "NOP")
    return [sum(counts.values())] + [counts[name] for name in NAMES]


def find(program):
    """A tool of the CUDA Toolkit, or None."""
    nvcc = shutil.which("nvcc")
    places = [os.environ.get("CUDA_HOME", "") + "/bin", str(pathlib.Path(nvcc).resolve().parent) if nvcc else "",
              "/usr/local/cuda/bin"]
    return shutil.which(program) or next((path for place in places if (path := shutil.which(program, path=place))), None)


def dump(path, arch):
    """A file's machine code as text; for one chip, if one is named."""
    if path == "-":
        return sys.stdin.read()
    tool = find("cuobjdump")
    if not tool:
        raise Problem("no cuobjdump on PATH, in CUDA_HOME or beside nvcc: it comes with the CUDA Toolkit; or pipe its output in")
    done = subprocess.run([tool, *(["-arch", arch] if arch else []), "--dump-sass", path], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Problem(f"{path}: {done.stderr.strip()}")
    return done.stdout


def readable(kernels):
    """Their names, demangled where c++filt is there, without namespaces and parameters."""
    names = [kernel.name for kernel in kernels]
    if tool := shutil.which("c++filt") or find("cu++filt"):
        done = subprocess.run([tool], input="\n".join(names), capture_output=True, text=True, check=False)
        names = done.stdout.splitlines() if done.returncode == 0 else names
    names = [re.sub(r"\b\w+::", "", name.replace("(anonymous namespace)::", "")) for name in names]
    # Enumerators are printed as (Type)2.
    return [re.sub(r"^void ", "", re.sub(r"\((?:\w+)\)(?=-?\d)", "", name).split("(")[0]) for name in names]


def main(arguments):
    """Prints the table and returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="a program, object file or cubin; - for a dump on standard input")
    parser.add_argument("--arch", default="", help="only code for this chip, such as sm_90a")
    parser.add_argument("--only", default="", help="only kernels whose name contains this")
    options = parser.parse_args(arguments)
    try:
        kernels = parse(dump(options.file, options.arch).splitlines())
    except Problem as problem:
        print(f"count_instructions.py: {problem}", file=sys.stderr)
        return 1
    rows = [(kernel, name) for kernel, name in zip(kernels, readable(kernels))
            if options.arch in ("", kernel.arch) and options.only in name]
    if not rows:
        print(f"count_instructions.py: {options.file}: {len(kernels)} kernels, none asked for", file=sys.stderr)
        return 1
    print("| kernel | instructions | " + " | ".join(NAMES) + " |")
    print("| --- |" + " ---: |" * (len(NAMES) + 1))
    for kernel, name in rows:
        print(f"| {kernel.arch} {name} | " + " | ".join(map(str, count(kernel.code))) + " |")
        for loop in main_loops(kernel.code):
            print(f"| loop at {loop[0].address:#x} | " + " | ".join(map(str, count(loop))) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""kernels/count_instructions.py on a dump made up for it. Argument: the script."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

# Two roles' loops over tiles, the first with a loop inside; one around both; and a wait that spins behind them and comes back.
DUMP = """
Fatbin elf code:
================
arch = sm_90a
code version = [1,8]

	code for sm_90a
		Function : _ZN5ridge7kernels6decode6kernelILi256ELNS1_6KvTypeE1EEEvNS1_9ArgumentsE
	.headerflags	@"EF_CUDA_SM90"
        /*0000*/                   LDC R1, c[0x0][0x28] ;                                /* 0x00000a00ff017b82 */
                                                                                         /* 0x000e220000000800 */
        /*0010*/                   SYNCS.PHASECHK.TRANS64.TRYWAIT P0, [UR4], R3 ;         /* 0x0000000 */
        /*0020*/              @!P0 BRA 0x130 ;                                           /* 0x0000000 */
        /*0030*/                   HGMMA.64x64x16.F32.BF16 R24, gdesc[UR4], R24 ;         /* 0x0000000 */
        /*0040*/                   STS [R2], RZ ;                                        /* 0x0000000 */
        /*0050*/               @P1 BRA 0x40 ;                                            /* 0x0000000 */
        /*0060*/               @P5 MUFU.EX2 R3, R3 ;                                     /* 0x0000000 */
        /*0070*/                   F2FP.BF16.F32.PACK_AB R4, R5, R6 ;                    /* 0x0000000 */
        /*0080*/                   BRA P2, !P3, 0x10 ;                                   /* 0x0000000 */
        /*0090*/                   FFMA R3, R4, R5, R6 ;                                 /* 0x0000000 */
        /*00a0*/                   QGMMA.64x32x32.F32.E4M3.E4M3 R24, gdesc[UR4], R24 ;    /* 0x0000000 */
        /*00b0*/                   BRA.U UP0, 0x90 ;                                     /* 0x0000000 */
        /*00c0*/                   STL [R1], R4 ;                                        /* 0x0000000 */
        /*00d0*/                   UTMALDG.3D [UR8], [UR6] ;                             /* 0x0000000 */
        /*00e0*/                   UBLKCP.S.G [UR8], [UR6], UR4 ;                        /* 0x0000000 */
        /*00f0*/                   LDS.128 R4, [R2] ;                                    /* 0x0000000 */
        /*0100*/                   HMUL2 R4, R4, R5 ;                                    /* 0x0000000 */
        /*0110*/              @!P4 BRA 0x10 ;                                            /* 0x0000000 */
        /*0120*/                   EXIT ;                                                /* 0x0000000 */
        /*0130*/                   SYNCS.PHASECHK.TRANS64.TRYWAIT P0, [UR4], R3 ;         /* 0x0000000 */
        /*0140*/              @!P0 BRA 0x130 ;                                           /* 0x0000000 */
        /*0150*/                   BRA 0xa0 ;                                            /* 0x0000000 */
        /*0160*/                   NOP ;                                                 /* 0x0000000 */
		..........

Fatbin elf code:
================
arch = sm_80

	code for sm_80
		Function : other
        /*0000*/                   HMMA.16816.F32.BF16 R4, R8, R2, R4 ;                  /* 0x0000000 */
        /*0010*/                   LDGSTS.E.BYPASS.128 [R2], [R4.64] ;                   /* 0x0000000 */
        /*0020*/                   EXIT ;                                                /* 0x0000000 */
"""
NAMES = ("instructions", "wgmma", "mma", "copies", "shared loads", "shared stores", "global", "spills", "barriers", "shuffles",
         "exponentials", "conversions", "float", "half", "rest")


class CountInstructions(unittest.TestCase):
    """What it prints."""

    def run_it(self, *arguments, dump=DUMP, **variables):
        """Exit status, and rows as (name, {class: count above 0}) or what it complained of."""
        done = subprocess.run([sys.executable, "-B", SCRIPT, *arguments], input=dump, capture_output=True, text=True, check=False,
                              env=os.environ | variables)
        lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()]
        rows = [(line[0], {name: int(n) for name, n in zip(NAMES, line[1:]) if n != "0"}) for line in lines[2:]]
        if lines:
            self.assertEqual(tuple(lines[0][1:]), NAMES)
        return done.returncode, rows, done.stderr

    def test_kernels_and_their_main_loops(self):
        """No loop around another, no waiting loop, no loop without matrix instructions, no padding."""
        status, rows, _ = self.run_it("-")
        self.assertEqual(status, 0)
        whole, first, second, other = rows
        self.assertEqual(whole[1], {
            "instructions": 22, "wgmma": 2, "copies": 2, "shared loads": 1, "shared stores": 1, "spills": 1, "barriers": 2,
            "exponentials": 1, "conversions": 1, "float": 1, "half": 1, "rest": 9})
        self.assertEqual(first, ("loop at 0x10", {
            "instructions": 8, "wgmma": 1, "shared stores": 1, "barriers": 1, "exponentials": 1, "conversions": 1, "rest": 3}))
        self.assertEqual(second, ("loop at 0x90", {"instructions": 3, "wgmma": 1, "float": 1, "rest": 1}))
        self.assertEqual(other, ("sm_80 other", {"instructions": 3, "mma": 1, "copies": 1, "rest": 1}))

    def test_names_are_readable_where_they_can_be(self):
        """Without c++filt they are as the linker has them."""
        _, rows, _ = self.run_it("-", PATH="/nonexistent", CUDA_HOME="")
        self.assertIn("6kernelILi256E", rows[0][0])
        _, rows, _ = self.run_it("-")
        if shutil.which("c++filt"):
            self.assertEqual(rows[0][0], "sm_90a kernel<256, 1>")

    def test_chips_and_kernels_are_chosen(self):
        """And none at all is an error."""
        self.assertEqual([row[0] for row in self.run_it("-", "--arch", "sm_80")[1]], ["sm_80 other"])
        self.assertEqual([row[0] for row in self.run_it("-", "--only", "oth")[1]], ["sm_80 other"])
        status, rows, text = self.run_it("-", "--only", "nothing")
        self.assertEqual((status, rows, text), (1, [], "count_instructions.py: -: 2 kernels, none asked for\n"))

    def test_a_file_goes_through_cuobjdump(self):
        """With the chip that was asked for; without cuobjdump the way on is told."""
        with tempfile.TemporaryDirectory(prefix="ridge_counts_") as folder:
            tool = pathlib.Path(folder) / "bin" / "cuobjdump"
            tool.parent.mkdir()
            tool.write_text('#!/bin/sh\necho "$@" > "$(dirname "$0")/asked"\ncat "$4"\n')
            tool.chmod(0o755)
            (pathlib.Path(folder) / "file").write_text(DUMP)
            path = folder + "/file"
            status, rows, _ = self.run_it(path, "--arch", "sm_80", CUDA_HOME=folder, PATH=os.environ["PATH"] if not has_tool() else
                                          "/usr/bin:/bin")
            self.assertEqual((status, [row[0] for row in rows]), (0, ["sm_80 other"]))
            self.assertEqual((tool.parent / "asked").read_text(), f"-arch sm_80 --dump-sass {path}\n")
            tool.write_text('#!/bin/sh\necho "no device code" >&2\nexit 255\n')
            status, _, text = self.run_it(path, CUDA_HOME=folder, PATH="/usr/bin:/bin")
            self.assertEqual((status, text), (1, f"count_instructions.py: {path}: no device code\n"))
        if not pathlib.Path("/usr/local/cuda/bin/cuobjdump").exists():
            status, _, text = self.run_it("file", CUDA_HOME="", PATH="/nonexistent")
            self.assertEqual(status, 1)
            self.assertIn("no cuobjdump on PATH, in CUDA_HOME or beside nvcc: it comes with the CUDA Toolkit", text)


def has_tool():
    """Whether this machine's own cuobjdump would come first."""
    return any((pathlib.Path(place) / "cuobjdump").exists() for place in os.environ["PATH"].split(":"))


if __name__ == "__main__":
    SCRIPT = sys.argv[1]
    unittest.main(argv=[sys.argv[0], "-v"])

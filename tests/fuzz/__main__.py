"""Damaged files, many of them: no reader may crash, hang, fill the memory or write.

    python -m tests.fuzz                            100,000 cases over all kinds of files
    python -m tests.fuzz --only cfg --cases 5000    of one kind
    python -m tests.fuzz --case cfg/0/4711          one case again, with its traceback

A case is named by kind, seed and number, and these decide everything about it, as long as it starts with the same files:
../shared adds recorded cfgs where it is there. Each must succeed or raise a BonsaiError within 5 seconds of computing and
512 MiB (a command: 60 seconds, 2 GiB, exit code 0, 1 or 2), and leave the folder as it was. Exit code 0: all did. 1: some did
not.

Why edits of our own (edits.py) and neither Hypothesis nor atheris, both of which were tried: Hypothesis makes the networks and
plans that cases begin with (tests/generators.py), but takes far longer to draw a handful of edits than Bonsai to read most
files, ends soon after the first failures, and names a case by a text that its other versions cannot read. atheris, guided by
coverage, found no more in the reader of cfgs; it has no wheels for macOS, and ends at the first crash.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from tests.fuzz.guard import quiet_logging
from tests.fuzz.kinds import KINDS
from utils.cli import progress_bar
from utils.reports import table


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="other cases")
    parser.add_argument("--only", choices=KINDS, action="append", metavar="KIND", help=f"of {', '.join(KINDS)}")
    parser.add_argument("--case", metavar="NAME", help="this one")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="write the files that were taken badly there")
    args = parser.parse_args(argv)
    if args.case and args.case.partition("/")[0] not in KINDS:
        parser.error(f"--case {args.case}: write for example {next(iter(KINDS))}/0/17")
    names = [args.case] if args.case else case_names(args.only or [*KINDS], args.cases, args.seed)
    if args.keep is not None:
        args.keep.mkdir(parents=True, exist_ok=True)
    cases, bad, seconds, told = Counter(), Counter(), Counter(), set()
    with (quiet_logging(), progress_bar("fuzzing", 1 if args.case else args.cases, unit="case") as advance,
          tempfile.TemporaryDirectory(dir=args.keep) as folder, Path(folder, "at-work").open("w") as note):
        sys.stderr.write(f"should this process die, the case is in {note.name}\n")
        for name in names:
            os.pwrite(note.fileno(), f"{name}\n".encode(), 0)
            kind, place = name.partition("/")[0], Path(folder, name.replace("/", "-"))
            place.mkdir()
            began = time.perf_counter()
            found = KINDS[kind].taken(name, place)
            seconds[kind] += time.perf_counter() - began
            cases[kind] += 1
            advance(1)
            if found is not None:
                bad[kind] += 1
                sys.stderr.write(f"\n{name}: {found if (mark := signature(found)) not in told else found.splitlines()[-1]}\n")
                told.add(mark)
            if found is not None and args.keep is not None:
                shutil.rmtree(args.keep / place.name, ignore_errors=True)  # of an earlier run
                place.rename(args.keep / place.name)
            else:
                shutil.rmtree(place)
    sys.stdout.write(table([(kind, cases[kind], f"{1000 * seconds[kind] / cases[kind]:.2f}", bad[kind]) for kind in cases]
                + [("all", cases.total(), f"{1000 * seconds.total() / max(1, cases.total()):.2f}", bad.total())],
                ("kind", "cases", "ms per case", "taken badly")) + "\n")
    return 1 if bad else 0


def case_names(kinds: Sequence[str], cases: int, seed: int) -> Iterator[str]:
    """So many names, spread over the kinds by their shares."""
    row = [kind for kind in kinds for _ in range(KINDS[kind].share)]
    Random(0).shuffle(row)
    return (f"{row[number % len(row)]}/{seed}/{number}" for number in range(cases))


def signature(found: str) -> str:
    """Where and how it went wrong, so that the same finding is told once."""
    places = [line.strip() for line in found.splitlines() if line.startswith("  File ")]
    return "\n".join([*places[-2:], found.splitlines()[-1].partition(":")[0]])


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # torch is not there yet
    raise SystemExit(main())

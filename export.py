#!/usr/bin/env python3
"""Write a cfg and its weights as one ONNX file, for OpenCV 5, ONNX Runtime, TensorRT, ncnn and others.

    python export.py --cfg my.cfg --weights my.weights --out my.onnx

Input: `images`, (N, channels, height, width) float32, RGB in [0, 1]. Outputs: per detection head the map that it reads,
`head_<layer>` (N, anchors x (5 + classes), rows, columns), as Darknet and OpenCV 4 hand it to their own heads; or, with
--decoded, `predictions` (N, boxes, 5 + classes): centre x, centre y, width, height in pixels of the input, objectness,
class scores. Suppression is left to you. Batch norms are folded into the convolutions, with Darknet's epsilon.

The file appears only if ONNX Runtime computes from it what torch computes from the pair. How each engine takes it:
docs/deploying.md.

Exit code 0: written. 2: bad input, or the file would compute something else; nothing is written.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from utils.cli import CommandParser, model_arguments, positive_int, run_command


def make_parser() -> CommandParser:
    """The flags of this command."""
    parser = CommandParser(prog="export.py", description=__doc__, parents=[model_arguments()])
    group = parser.add_argument_group("ONNX file")
    group.add_argument("--out", type=Path, metavar="FILE", help="where to (default: beside the weights, as .onnx)")
    group.add_argument("--batch", type=_batch, metavar="N",
                       help="images per run: a number, or dynamic for any (default: dynamic)")
    group.add_argument("--opset", type=positive_int, default=13, metavar="N", help="version of the operators, 13 to 17")
    group.add_argument("--decoded", action="store_true", help="boxes instead of what the heads read")
    return parser


def run(args: argparse.Namespace) -> int:
    """Write the file, and say what goes in and what comes out."""
    from utils.cli.outputs import check_output, input_files
    from utils.deploy import export_onnx  # numpy takes a moment: --help should not wait for it
    from utils.errors import OptionError
    from utils.reports import table

    if args.device not in ("auto", "cpu"):
        raise OptionError("--device", f"{args.device}: engines are compared on the CPU", "leave --device out")
    out = args.out or args.weights.with_suffix(".onnx")
    check_output("--out", out, input_files(args.cfg, args.weights))
    done = export_onnx(args.cfg, args.weights, out, size=args.img_size, batch=args.batch, opset=args.opset,
                       decoded=args.decoded, threads=args.threads, seed=args.seed)
    rows = [(way, name, " x ".join(map(str, shape))) for way, tensors in (("input", done.inputs), ("output", done.outputs))
            for name, shape in tensors.items()]
    print(table(rows, ("", "name", "shape"), "<<<"))
    print(f"wrote {out}: {done.report}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run_command(run, make_parser(), argv)


def _batch(text: str) -> int | None:
    """argparse type: a whole number from 1, or `dynamic` -> None."""
    return None if text == "dynamic" else positive_int(text)


if __name__ == "__main__":
    raise SystemExit(main())

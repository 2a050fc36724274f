#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Measure how good a pair of .cfg and .weights is on labelled images.

    python test.py --cfg cfg/yolov4-tiny.cfg --weights weights/yolov4-tiny.weights --data data/coco.data

Prints precision, recall and F1 at the best common confidence, mAP@0.5 and COCO's mAP@0.5:0.95, each with its
definition. With --engine opencv it runs the two files in OpenCV, as a deployment would, and on a CPU often faster.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from utils.cli import (
    CommandParser,
    data_arguments,
    engine_argument,
    fraction,
    letterboxed,
    model_arguments,
    positive_int,
    progress_bar,
    run_command,
)


def make_parser() -> CommandParser:
    """The flags of this command."""
    parser = CommandParser(prog="test.py", description=__doc__, parents=[model_arguments(), data_arguments()])
    group = parser.add_argument_group("evaluation")
    engine_argument(group)
    group.add_argument("--split", choices=("train", "valid", "test"), default="valid",
                       help="which list of the .data file to evaluate on")
    group.add_argument("--task", choices=("test",), help=argparse.SUPPRESS)  # old command lines say it
    group.add_argument("--conf-thres", "--conf", type=fraction, default=0.001, metavar="P",
                       help="drop boxes that are not more likely than this; for an mAP keep it at 0.001")
    group.add_argument("--nms-thres", "--iou-thres", "--iou", type=fraction, default=0.45, metavar="IOU",
                       help="drop a box that overlaps a surer one of its class by more; 0.45 is Darknet's")
    group.add_argument("--max-detections", type=positive_int, default=300, metavar="N",
                       help="keep only the surest so many of an image")
    group.add_argument("--per-class", action="store_true", help="a row for each class; so does --verbose")
    group.add_argument("--save-json", type=Path, nargs="?", const=Path("results.json"), metavar="FILE",
                       help="write detections to FILE as JSON, in COCO's results format (results.json if none is named), and "
                            "all numbers to FILE with -metrics before its ending")
    return parser


def run(args: argparse.Namespace) -> int:
    """Evaluate, and print the tables."""
    from utils.atomic import staged_files
    from utils.cli.device import prepare_process  # torch and OpenCV take a second: --help should not wait for them
    from utils.cli.engines import open_requested_engine, requested_network
    from utils.cli.outputs import check_output, input_files
    from utils.cli.validation import validation_set
    from utils.reports import class_table, coco_results, evaluation_table, write_json
    from utils.training import HeadDecoder, Selection, evaluate_engine

    prepare_process(threads=args.threads, seed=args.seed)
    network = requested_network(args)
    if args.save_json is not None:
        figures = args.save_json.with_name(f"{args.save_json.stem}-metrics{args.save_json.suffix}")
        for path in (args.save_json, figures):
            check_output("--save-json", path, input_files(args.cfg, args.weights, data=args.data))
    dataset = validation_set(args.data, HeadDecoder(network).classes, args.split)
    letterbox = letterboxed(args.letterbox, network.net.letter_box)
    engine = open_requested_engine(args, network)
    with progress_bar("evaluating", len(dataset), quiet=args.quiet) as advance:
        result = evaluate_engine(
            engine, network, dataset, letterbox=letterbox, batch_size=args.batch_size, workers=args.workers,
            selection=Selection(args.conf_thres, args.nms_thres, args.max_detections), advance=advance)

    metrics = result.metrics.to_dict()
    height, width = network.net.height, network.net.width
    print(f"{args.weights} on {metrics['images']} images with {metrics['labels']} labels ({args.split} of {args.data}), "
          f"{width}x{height} {'letterboxed' if letterbox else 'stretched'}, {args.engine}, "
          f"{result.milliseconds_per_image:.1f} ms per image in the network")
    print(evaluation_table(metrics))
    if args.per_class or args.verbose:
        print()
        print(class_table(metrics))
    if args.save_json is not None:
        with staged_files(args.save_json, figures) as (results_place, figures_place):
            write_json(results_place, coco_results(result.images, result.detections, dataset.names))
            write_json(figures_place, {
                "cfg": args.cfg, "weights": args.weights, "data": args.data, "split": args.split,
                "engine": args.engine, "network_input": {"width": width, "height": height, "letterbox": letterbox},
                "conf_thres": args.conf_thres, "nms_thres": args.nms_thres,
                "milliseconds_per_image": result.milliseconds_per_image, "metrics": metrics,
            })
        print(f"wrote {args.save_json} and {figures}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run_command(run, make_parser(), argv)


if __name__ == "__main__":
    raise SystemExit(main())

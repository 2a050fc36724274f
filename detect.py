#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Find objects in images or videos: draw their boxes, and write them down as JSON.

    python detect.py --cfg cfg/yolov4-tiny.cfg --weights weights/yolov4-tiny.weights \\
                     --names data/coco.names --source data/samples

Each picture goes into --output under its own name, and all detections into detections.json beside them. A video
becomes an mp4 with boxes and a file with one line of JSON per frame. All appear together when all are done, and the
sources are never written to.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from utils.cli import CommandParser, engine_argument, fraction, letterboxed, model_arguments, positive_int, run_command
from utils.cli.arguments import letterbox_argument


def make_parser() -> CommandParser:
    """The flags of this command."""
    parser = CommandParser(prog="detect.py", description=__doc__, parents=[model_arguments()])
    group = parser.add_argument_group("pictures")
    engine_argument(group)
    group.add_argument("--source", required=True, metavar="WHAT",
                       help="an image, a video, a folder of them, or a pattern in quotes such as 'shots/*.jpg'")
    group.add_argument("--output", "--out", type=Path, default=Path("output"), metavar="DIR",
                       help="folder to write; the pictures and detections.json go there")
    names = group.add_mutually_exclusive_group()
    names.add_argument("--names", type=Path, metavar="FILE", help="class names (.names), one per line")
    names.add_argument("--data", type=Path, metavar="FILE", help="data description (.data); its names= is taken")
    group.add_argument("--conf-thres", "--conf", type=fraction, default=0.25, metavar="P",
                       help="drop boxes that are not more likely than this; 0.25 is Darknet's")
    group.add_argument("--nms-thres", "--iou-thres", "--iou", type=fraction, default=0.45, metavar="IOU",
                       help="drop a box that overlaps a surer one of its class by more; 0.45 is Darknet's")
    group.add_argument("--batch-size", type=positive_int, default=1, metavar="N", help="images per forward pass")
    letterbox_argument(group)
    return parser


def run(args: argparse.Namespace) -> int:
    """Detect, write, and print a summary."""
    from utils.atomic import staged_folder
    from utils.cli.class_names import class_names  # torch and OpenCV take a second: --help should not wait for them
    from utils.cli.device import prepare_process
    from utils.cli.engines import open_requested_engine, requested_network
    from utils.cli.looking import look_at_everything, plan_outputs
    from utils.cli.sources import find_sources
    from utils.reports import table, write_json
    from utils.training import Detector, Selection

    prepare_process(threads=args.threads, seed=args.seed)
    network = requested_network(args)
    sources = find_sources(args.source)
    outputs = plan_outputs(sources, args.output)
    letterbox = letterboxed(args.letterbox, network.net.letter_box)
    detector = Detector(open_requested_engine(args, network), network, letterbox=letterbox,
                        selection=Selection(conf=args.conf_thres, iou=args.nms_thres))
    names = class_names(args.names, args.data, detector.classes)
    with staged_folder(args.output) as stage:
        images, videos = look_at_everything(detector, sources, outputs, names, stage=stage,
                                            batch_size=args.batch_size, quiet=args.quiet)
        write_json(stage / "detections.json", {
            "cfg": args.cfg, "weights": args.weights, "engine": args.engine,
            "network_input": {"width": network.net.width, "height": network.net.height, "letterbox": letterbox},
            "conf_thres": args.conf_thres, "nms_thres": args.nms_thres, "images": images, "videos": videos,
        })
    found = Counter(one["name"] for image in images for one in image["detections"])
    for video in videos:
        found.update(video["found"])
    seen = f"{len(images)} images" + (f" and {sum(v['frames'] for v in videos)} frames of {len(videos)} videos"
                                      if videos else "")
    if found:
        print(table(found.most_common(), ("class", "found")))
    print(f"{found.total()} objects in {seen}; pictures and detections.json are in {args.output}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run_command(run, make_parser(), argv)


if __name__ == "__main__":
    raise SystemExit(main())

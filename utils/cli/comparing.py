"""One network of a comparison measured, and the page about all of them."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.atomic import staged_files, write_text
from utils.cli.arguments import letterboxed
from utils.cli.progress import progress_bar
from utils.errors import EngineError

if TYPE_CHECKING:
    from utils.darknet import Network
    from utils.datasets import DetectionDataset
    from utils.training import EvaluationResult

_IMAGES = 3
_CONFIDENCE = 0.25  # as detect.py shows them


@dataclass(frozen=True)
class Compared:
    """A pair, its figures as `comparison_table` takes them, and what it found in the images of `dataset`."""

    cfg: Path
    weights: Path
    figures: Mapping[str, Any]
    evaluation: EvaluationResult = field(repr=False)
    dataset: DetectionDataset = field(repr=False)


def measured(args: argparse.Namespace, name: str, network: Network, *, timed: Sequence[str],
             verified: Sequence[str]) -> Compared:
    """Measure one pair: mAP in the engine of `args`, its latency in those that are `timed`, and whether others agree.

    Args:
        args: the flags of a command with --cfg and --weights.
        name: for the bar.
        verified: engines that are asked whether they compute the same; none asks nothing.

    Raises:
        BonsaiError: the pair, or the data, cannot be used.
    """
    from utils.cli.engines import open_requested_engine
    from utils.cli.validation import validation_set
    from utils.deploy import compare_pair, measure, random_images
    from utils.training import HeadDecoder, evaluate_engine

    dataset = validation_set(args.data, HeadDecoder(network).classes)
    with progress_bar(f"evaluating {name}", len(dataset), quiet=args.quiet) as advance:
        evaluation = evaluate_engine(open_requested_engine(args, network), network, dataset,
                                     letterbox=letterboxed(args.letterbox, network.net.letter_box),
                                     batch_size=args.batch_size, workers=args.workers, advance=advance)
    metrics = evaluation.metrics
    figures = {"map50": metrics.map50_coco, "map": metrics.map, "f1": metrics.f1, "parameters": network.parameters,
               "gflops": network.bflops, "file_bytes": args.weights.stat().st_size}
    shape = network.input_shape
    x = random_images(1, shape.channels, shape.height, shape.width, args.seed)
    for engine_name in timed:
        try:
            device = args.device if engine_name == "torch" else "auto"  # --device is torch's; others run on the CPU
            asked = argparse.Namespace(**{**vars(args), "engine": engine_name, "device": device})
            engine = open_requested_engine(asked, network)
        except EngineError:
            figures[f"{engine_name}_ms"] = None
            continue
        figures[f"{engine_name}_ms"] = measure(engine, x, repeats=args.repeats).median_ms
    if verified:
        figures["verified"] = compare_pair(args.cfg, args.weights, engines=verified, threads=args.threads).status
    return Compared(args.cfg, args.weights, figures, evaluation, dataset)


def picture_of(page: Path) -> Path:
    """Where the picture of this page lies."""
    return page.with_name(f"{page.name.removesuffix('.html')}.png")


def write_page(args: argparse.Namespace, pairs: Mapping[str, Compared], page: Path) -> None:
    """Write the page and the picture beside it, both or none.

    A pair that lies in the folder of its training brings the curve of it: that of the results.csv there.

    Raises:
        OutputError: they cannot be written. EngineError: jinja2 or matplotlib is not installed.
    """
    from utils.cli.version import version
    from utils.reports import comparison_page, draw_networks
    from utils.reports.training import read_results

    rows = {name: one.figures for name, one in pairs.items()}
    results = {name: one.weights.parent / "results.csv" for name, one in pairs.items()}
    trainings = {name: read_results(path) for name, path in results.items() if path.is_file()}
    how = (f"mAP on {len(next(iter(pairs.values())).dataset)} images in {args.engine}; latency of one image, "
           f"{args.threads} thread{'s' if args.threads != 1 else ''}, {args.repeats} runs")
    with staged_files(page, picture_of(page)) as (staged_page, staged_picture):
        draw_networks(rows, trainings, staged_picture)
        write_text(staged_page, comparison_page(
            rows, {name: (one.cfg, one.weights) for name, one in pairs.items()}, staged_picture.read_bytes(),
            _looks(pairs), measured=how, command_line=shlex.join(["python", *sys.argv]), version=version()))


def _looks(pairs: Mapping[str, Compared]) -> list[Any]:
    """A few images with objects, evenly spread over the data set, with the surer boxes of every pair."""
    from utils.reports import Look, shot

    dataset = next(iter(pairs.values())).dataset
    full = [i for i in range(len(dataset)) if len(dataset.labels[i])] or list(range(len(dataset)))
    looks = []
    for i in dict.fromkeys(full[round(place * (len(full) - 1) / max(1, _IMAGES - 1))] for place in range(_IMAGES)):
        image = dataset[i].image
        found = {name: one.evaluation.detections[i] for name, one in pairs.items()}
        looks.append(Look(dataset.paths[i].name, {name: shot(image, boxes[boxes[:, 4] >= _CONFIDENCE], one.dataset.names)
                                                  for (name, boxes), one in zip(found.items(), pairs.values(), strict=True)}))
    return looks

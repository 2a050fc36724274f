"""The flags of train.py."""

from __future__ import annotations

import argparse
from pathlib import Path

from utils.cli.arguments import (
    CommandParser,
    common_arguments,
    finite,
    fraction,
    letterbox_argument,
    network_size_argument,
    non_negative,
    non_negative_int,
    positive,
    positive_int,
)
from utils.cli.training.teacher_arguments import add_teacher_arguments

DEFAULT_STRENGTH = 0.001


def training_parser(description: str | None) -> CommandParser:
    """All flags, in groups."""
    parser = CommandParser(prog="train.py", description=description, parents=[common_arguments()])
    _model(parser)
    _data(parser)
    _schedule(parser)
    _sparsity(parser)
    add_teacher_arguments(parser)
    _output(parser)
    return parser


def _model(parser: CommandParser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument("--cfg", type=Path, metavar="FILE", help="network description (.cfg); a .pt file brings its own")
    group.add_argument("--arch", metavar="NAME",
                       help="instead of --cfg: write a cfg of this architecture for the classes and boxes of --data, and "
                            "train it (`python make_cfg.py --list` shows the names)")
    group.add_argument("--width-multiple", type=positive, default=1.0, metavar="X",
                       help="scale the filters of all convolutions but those of the heads; for --arch")
    group.add_argument("--weights", type=Path, metavar="FILE",
                       help="where to start: a whole .weights file, the beginning of one (darknet53.conv.74), one that was "
                            "trained for other classes, or a .pt; training starts at epoch 0 (default: initial weights)")
    network_size_argument(group)
    group.add_argument("--transfer", action="store_true",
                       help="train only the convolutions that feed the heads; the rest stays as it is")
    group.add_argument("--freeze", type=_layers, default=0, metavar="N",
                       help="keep the first N layers as they are; `backbone`: those that all heads need, up to the first "
                            "that enlarges a map")


def _data(parser: CommandParser) -> None:
    group = parser.add_argument_group("data")
    group.add_argument("--data", type=Path, metavar="FILE", help="data description (.data): classes, train, valid, names")
    group.add_argument("--batch-size", type=positive_int, default=16, metavar="N", help="images per forward pass")
    group.add_argument("--accumulate", type=positive_int, default=2, metavar="N", help="batches per optimiser step")
    letterbox_argument(group)
    group.add_argument("--rect", action="store_true",
                       help="batches of similar shape, letterboxed to it, in training (without mosaics) and validation")
    group.add_argument("--multi-scale", action="store_true",
                       help="another input size every 10 optimiser steps, 1/1.5 to 1.5 of --img_size in steps of 32")
    group.add_argument("--img-weights", action="store_true", help="show images with rare classes more often")
    group.add_argument("--cache-images", action="store_true", help="keep the images in memory")
    group.add_argument("--no-augment", action="store_true", help="images as they are")
    group.add_argument("--literal-mosaic", action="store_true",
                       help="the ancestor's mosaic, neither turned, moved nor scaled: for replaying an old run")
    group.add_argument("--close-mosaic", type=non_negative_int, metavar="N",
                       help="no mosaics in the last N epochs (default: a tenth of all)")
    group.add_argument("--strict", action="store_true", help="stop at the first unusable image or label")
    group.add_argument("--workers", type=non_negative_int, default=2, metavar="N",
                       help="how many read images while the network computes; 0 reads in between, and the images are the same "
                            "for any number")


def _schedule(parser: CommandParser) -> None:
    group = parser.add_argument_group("training")
    group.add_argument("--epochs", type=positive_int, default=273, metavar="N", help="passes over all images")
    kinds = group.add_mutually_exclusive_group()
    kinds.add_argument("--optimizer", choices=("sgd", "adam", "adamw"), default="sgd", help="SGD is with Nesterov momentum")
    kinds.add_argument("--adam", action="store_const", const="adam", dest="optimizer", help="the same as --optimizer adam")
    group.add_argument("--lr0", "--lr", type=positive, metavar="X", help="learning rate (default: as the recipe says)")
    group.add_argument("--schedule", choices=("step", "cosine", "linear"), default="step",
                       help="how the learning rate falls: step is x0.1 after 0.7 of the epochs and again after 0.9")
    group.add_argument("--final-lr", type=fraction, default=0.1, metavar="SHARE",
                       help="cosine, linear: what share of the learning rate is left at the end")
    group.add_argument("--warmup-epochs", type=non_negative, metavar="X",
                       help="epochs until the learning rate is reached (default: 2, or a tenth of all if that is less)")
    group.add_argument("--literal-warmup", action="store_true",
                       help="the ancestor's warm-up, which overshoots to 3 times the learning rate in epoch 5: for replaying "
                            "an old run")
    group.add_argument("--clip", type=non_negative, default=10.0, metavar="X", help="longest gradient; 0: no limit")
    group.add_argument("--recipe", choices=("auto", "ancestor", "darknet"), default="auto",
                       help="loss and learning rate: the ancestor's, or as the cfg's heads and [net] say; auto takes the "
                            "cfg's where its heads name iou_loss=, a normalizer, iou_thresh= or new_coords=1")
    group.add_argument("--hyp", nargs="+", type=_assignment, action="extend", default=[], metavar="NAME=X",
                       help="change a number of the recipe, such as giou=3.5 or mosaic=0; a wrong name lists all")
    group.add_argument("--no-ema", action="store_true",
                       help="evaluate and save the weights of the last step instead of their moving average")
    group.add_argument("--amp", choices=("auto", "off", "fp16", "bf16", "apex"), default="auto",
                       help="mixed precision: auto is fp16 on CUDA and off on CPU")
    group.add_argument("--sync-bn", action="store_true", help="several GPUs: batch norm over all of them")
    group.add_argument("--notest", action="store_true", help="evaluate after the last epoch only")
    group.add_argument("--test-every", type=positive_int, default=1, metavar="N", help="evaluate after every N epochs")


def _sparsity(parser: CommandParser) -> None:
    group = parser.add_argument_group(
        "sparsity", "Press batch-norm scales towards 0, so that pruning has something to cut. The strength is per optimiser "
        "step: to replay a recipe of the ancestor, which added it for every batch, multiply its s by its --accumulate.")
    group.add_argument("-sr", "--sparsity-regularization", dest="sr", action="store_true", help="do it")
    group.add_argument("--s", type=_strength, default=DEFAULT_STRENGTH, metavar="X",
                       help="strength, or auto: found while training, see --target-sparsity")
    group.add_argument("--target-sparsity", type=fraction, default=0.7, metavar="SHARE",
                       help="with --s auto: share of the scales that shall end below 0.01")
    group.add_argument("--prune", type=int, choices=(0, 1), default=1,
                       help="1: all channels that can be pruned; 0: not those that shortcuts tie together (for `prune.py --exclude ancestor`)")
    group.add_argument("--sparsity", choices=("constant", "global-decay", "local-decay", "linear"), default="constant",
                       help="how the strength changes: global-decay weakens it for all from the middle on, local-decay for "
                            "the largest scales only, linear falls to a tenth")
    group.add_argument("--sparsity-step", choices=("subgradient", "proximal"), default="subgradient",
                       help="proximal reaches exact zeros")
    group.add_argument("--s-bias", type=non_negative, default=0.0, metavar="X", help="press beta too, this strongly")
    group.add_argument("--decay-start", type=fraction, default=0.5, metavar="SHARE",
                       help="global-decay, local-decay: share of the epochs before it begins")
    group.add_argument("--decay-factor", type=non_negative, default=0.01, metavar="X",
                       help="global-decay, local-decay: what is left of the strength")
    group.add_argument("--keep-percent", type=fraction, default=0.85, metavar="SHARE",
                       help="local-decay: share of the scales that keep the full strength")
    group.add_argument("--linear-final", type=non_negative, default=0.1, metavar="X",
                       help="linear: what is left of the strength at the end")


def _output(parser: CommandParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument("--name", type=_name, metavar="NAME", help="of the run's folder in runs/ (default: train, train2, ...)")
    group.add_argument("--out", type=Path, metavar="DIR", help="folder to write; the run's own, new or empty (default: see --name)")
    group.add_argument("--resume", type=Path, nargs="?", const=Path("weights/last.pt"), metavar="FILE.pt",
                       help="go on with the interrupted run of this checkpoint (weights/last.pt is the last run's) with all "
                            "its flags; on a CPU, with as many threads and processes, the result is that of an "
                            "uninterrupted run")
    group.add_argument("--nosave", action="store_true", help="write checkpoints after the last epoch only")
    group.add_argument("--tensorboard", choices=("auto", "on", "off"), default="auto",
                       help="logs for `tensorboard --logdir runs`; auto: if it is installed")


def _name(text: str) -> str:
    if text in ("", ".", "..") or Path(text).name != text:
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a folder in runs/; write --out for a path")
    return text


def _layers(text: str) -> int | str:
    return text if text == "backbone" else non_negative_int(text)


def _strength(text: str) -> float | str:
    return "auto" if text == "auto" else non_negative(text)


def _assignment(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} has no '='; write for example giou=3.5")
    return name.strip(), finite(value)

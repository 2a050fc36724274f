"""From checked inputs and flags to a Trainer that is ready to run."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from models import Darknet, get_weights
from utils.cli.training.arguments import DEFAULT_STRENGTH
from utils.cli.training.inputs import TrainingInputs, keeps_shape
from utils.cli.training.teacher_arguments import check_teacher_arguments
from utils.cli.training.teaching import build_distillation
from utils.darknet import Network
from utils.datasets import (
    AugmentationOptions,
    ImageCache,
    MultiScale,
    TrainingBatches,
    TrainingDataset,
    class_weights,
    image_weights,
    scan_images,
)
from utils.deploy import is_engine_neutral
from utils.errors import OptionError
from utils.sparsity import SelfTuningStrength, Sparsity, SparsityOptions
from utils.training.distributed import Processes
from utils.training.ema import ModelEma
from utils.training.hyperparameters import Hyperparameters, hyperparameters
from utils.training.learning_rate import LearningRate
from utils.training.loss_of_network import FROM_THE_CFG, loss_of_network, recipe_of
from utils.training.memory import check_batch_fits
from utils.training.optimizer import build_optimizer, freeze, freeze_all_but_heads
from utils.training.precision import Precision
from utils.training.starting_weights import StartReport, load_start
from utils.training.trainer import Trainer, TrainingOptions
from utils.training.validation import Validation

_logger = logging.getLogger(__name__)

Bar = Callable[[str, int], AbstractContextManager[Callable[[int], object]]]


def build_trainer(args: argparse.Namespace, inputs: TrainingInputs, processes: Processes, bar: Bar, *,
                  resumed: bool) -> Trainer:
    """Model, data, loss and all that a training needs.

    Args:
        bar: opens a progress bar, `with bar(description, total) as advance`.
        resumed: the weights will come from a checkpoint, so --weights is not read.

    Raises:
        BonsaiError: a file, or a combination of flags, that makes no sense.
    """
    network = inputs.network
    recipe = recipe_of(network) if args.recipe == "auto" else args.recipe
    changes = dict(args.hyp)
    without_effect = sorted(FROM_THE_CFG & changes.keys()) if recipe == "darknet" else ()
    if without_effect:
        raise OptionError("--hyp", f"{', '.join(without_effect)} would change nothing: with the recipe darknet the heads of "
                          f"{network.path} say it", "change iou_normalizer=, obj_normalizer=, cls_normalizer= or "
                          "iou_thresh= there, or give --recipe ancestor")
    hyp = hyperparameters(network, recipe).changed(changes)
    if args.lr0 is not None:
        hyp = hyp.changed({"lr0": args.lr0})
    precision = Precision.of(args.amp, processes.device)
    scales = _scales(args, network)
    largest = network.resized(*scales.largest((network.net.height, network.net.width))) if scales else network
    _check_mosaic_fits(largest)
    check_batch_fits(largest, args.batch_size, processes.device)

    loss = loss_of_network(network, hyp.as_dict(), recipe)
    model = Darknet(network, init=False).initialise(args.seed)
    if not resumed:
        _announce(load_start(model, args.weights, prior=loss.prior))
        if args.sr and is_engine_neutral(get_weights(model)):
            _logger.warning("%s was made with --engine-neutral: its gammas are no measure of what matters any more; press the "
                            "pair from before it", args.weights)
    frozen = freeze_all_but_heads(model) if args.transfer else freeze(model, args.freeze) if args.freeze else ()
    model.to(processes.device)
    distillation = build_distillation(args, model, loss, precision, processes.device, _sizes(scales, network), resumed=resumed)

    letterbox = keeps_shape(args, network.net)
    batches = _batches(args, inputs, hyp, processes, bar, letterbox=letterbox)
    steps = -(-len(batches) // args.accumulate)
    optimizer = build_optimizer(model, args.optimizer, lr=hyp.lr0, momentum=hyp.momentum,
                                weight_decay=hyp.weight_decay,
                                beside=None if distillation is None else distillation.student.adaptors)
    learning_rate = LearningRate(hyp.lr0, args.schedule, epochs=args.epochs, steps_per_epoch=steps,
                                 final=args.final_lr, warmup_epochs=args.warmup_epochs, literal_warmup=args.literal_warmup)
    model, optimizer = precision.prepare(model, optimizer)
    options = TrainingOptions(args.epochs, args.accumulate, args.clip, args.seed,
                              0 if args.notest else args.test_every)
    return Trainer(model, batches, loss, options, optimizer=optimizer, learning_rate=learning_rate,
                   precision=precision, processes=processes, ema=None if args.no_ema else ModelEma(model),
                   sparsity=_sparsity(args, model, hyp, learning_rate, steps) if args.sr else None,
                   distillation=distillation, frozen=frozen, sync_bn=args.sync_bn,
                   evaluate=_validation(args, inputs, processes, bar, letterbox=letterbox))


def _check_mosaic_fits(network: Network) -> None:
    """OptionError for an input so large that OpenCV could not move a mosaic for it, which is twice as large."""
    side = max(network.net.height, network.net.width)
    if 2 * side >= 2**15 - 1:
        raise OptionError("--img_size", f"{side} pixels are more than a mosaic can be made for", "give 16000 or less")


def _announce(start: StartReport) -> None:
    if start.note:
        _logger.info("%s", start.note)


def _batches(args: argparse.Namespace, inputs: TrainingInputs, hyp: Hyperparameters, processes: Processes, bar: Bar, *,
             letterbox: bool) -> TrainingBatches:
    network = inputs.network
    size = (network.net.height, network.net.width)
    with bar("reading labels", 0) as advance:
        scan = scan_images(inputs.train, len(inputs.names), strict=args.strict, workers=max(1, args.workers),
                           advance=advance)
    if not args.quiet:
        _logger.info("%s: %d images, %d of them without objects, %d boxes", inputs.train, len(scan), scan.backgrounds,
                     scan.boxes)
    cache = None
    if args.cache_images:
        with bar("caching images", len(scan)) as advance:
            cache = ImageCache.filled(scan, size, letterbox=letterbox, workers=max(1, args.workers), advance=advance)
    augmentation = (AugmentationOptions.none() if args.no_augment else
                    hyp.augmentation(literal_mosaic=args.literal_mosaic))
    dataset = TrainingDataset(scan, augmentation, letterbox=letterbox, channels=network.net.channels, seed=args.seed,
                              cache=cache, strict=args.strict)
    chances = image_weights(scan.labels, class_weights(scan.labels, len(inputs.names))) if args.img_weights else None
    close = args.epochs // 10 if args.close_mosaic is None else args.close_mosaic
    return TrainingBatches(
        dataset, args.batch_size, size, workers=args.workers, seed=args.seed, rect=args.rect,
        multi_scale=_scales(args, network),
        image_weights=None if chances is None else lambda epoch: chances, rank=processes.rank, world=processes.world,
        mosaic_until_epoch=max(0, args.epochs - close))


def _sizes(scales: MultiScale | None, network: Network) -> tuple[tuple[int, int], ...]:
    """All (height, width) that --multi-scale may bring."""
    return () if scales is None else scales.sizes((network.net.height, network.net.width))


def _scales(args: argparse.Namespace, network: Network) -> MultiScale | None:
    if not args.multi_scale:
        return None
    return MultiScale.around(max(network.net.height, network.net.width), every=10 * args.accumulate)


def _sparsity(args: argparse.Namespace, model: Darknet, hyp: Hyperparameters, learning_rate: LearningRate,
              steps: int) -> Sparsity:
    tuner, s = None, args.s
    if args.s == "auto":
        tuner = SelfTuningStrength(args.target_sparsity, args.epochs, steps, learning_rate=learning_rate.at,
                                   momentum=hyp.momentum)
        s = 0.0
    options = SparsityOptions(s=s, kind=args.sparsity, prune=args.prune, s_bias=args.s_bias, step=args.sparsity_step,
                              decay_start=args.decay_start, decay_factor=args.decay_factor,
                              keep_percent=args.keep_percent, linear_final=args.linear_final)
    return Sparsity(model, options, tuner=tuner)


def _validation(args: argparse.Namespace, inputs: TrainingInputs, processes: Processes, bar: Bar, *,
                letterbox: bool) -> Validation:
    with bar("reading labels", 0) as advance:
        scan = scan_images(inputs.valid, len(inputs.names), strict=args.strict, workers=max(1, args.workers),
                           advance=advance)
    if not scan.boxes and processes.is_main:
        _logger.warning("%s: there are no labels beside its %d images, so no epoch will have an mAP, and there will be no "
                        "best.weights", inputs.valid, len(scan))
    return Validation(scan.dataset(inputs.names), inputs.network, inputs.names, letterbox=letterbox, rect=args.rect,
                      batch_size=args.batch_size, workers=args.workers, processes=processes, bar=bar)


def plain_arguments(args: argparse.Namespace) -> Mapping[str, object]:
    """The flags as plain values, for a checkpoint."""
    def plain(value: object) -> object:
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)

    return {name: plain(value) for name, value in vars(args).items()}


def check_place_of_resumed(args: argparse.Namespace) -> None:
    """OptionError for another folder than that of the run that goes on."""
    for flag, value in (("--out", args.out), ("--name", args.name)):
        if value is not None:
            raise OptionError(flag, "names another folder, and a run goes on in its own", "leave it out, or copy the run")


def check_combination(args: argparse.Namespace) -> None:
    """OptionError for flags that contradict each other."""
    check_teacher_arguments(args)
    if args.rect and args.multi_scale:
        raise OptionError("--multi-scale", "changes the size of square batches, and --rect makes others",
                          "give one of the two")
    if args.rect and args.img_weights:
        raise OptionError("--img-weights", "draws images one by one, and --rect sorts them by shape",
                          "give one of the two")
    if args.out is not None and args.name is not None:
        raise OptionError("--name", "names a folder in runs/, and --out names another folder", "give one of the two")
    idle = [flag for flag, asked in (("--s", args.s != DEFAULT_STRENGTH), ("--sparsity", args.sparsity != "constant"),
                                     ("--s-bias", args.s_bias > 0)) if asked and not args.sr]
    if idle:
        raise OptionError(", ".join(idle), "would press nothing: sparsity is off", "add -sr")
    if args.arch is None and args.width_multiple != 1:
        raise OptionError("--width-multiple", "scales what --arch makes, and there is no --arch",
                          "give --arch, or make the cfg with make_cfg.py")
    if args.s == "auto" and args.sparsity != "constant":
        raise OptionError("--sparsity", f"{args.sparsity} is a schedule for s, and --s auto finds s by itself",
                          "leave --sparsity out, or give --s a number")

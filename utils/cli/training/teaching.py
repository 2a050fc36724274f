"""The flags of a training with a teacher, and from them the teacher itself."""

from __future__ import annotations

import argparse
import filecmp
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from utils.cli.arguments import CommandParser, finite, non_negative, non_negative_int, positive, positive_int
from utils.errors import OptionError, PlanError

if TYPE_CHECKING:
    import torch

    from models import Darknet
    from utils.darknet import Network
    from utils.detection import DetectionLoss
    from utils.distillation import Distillation, FeatureLoss, LayerPair, MethodName
    from utils.training.precision import Precision

_logger = logging.getLogger(__name__)

_WEIGHTS: Mapping[MethodName, tuple[float, str]] = {  # by utils.distillation.METHODS, for which --help need not wait; the ancestor's and the authors' where they gave any
    "hinton": (1e-3, "softened softmax over all that a place says, box included: the ancestor's first strategy"),
    "detection": (1.0, "softened classes (x 1e-4) and boxes bounded by the teacher's (x 1e-3): the ancestor's second "
                       "strategy, and the default"),
    "l1": (1.0, "mean absolute difference of logits; boxes and classes count where the teacher sees something"),
    "l2": (1.0, "mean squared difference of logits, in the same way"),
    "ast": (1.0, "soft targets score by score (x 1), and boxes where scores differ (x 4), after BCKD (2023)"),
    "mimic": (10.0, "mean squared difference of maps (Li et al., 2017)"),
    "mgd": (2e-5, "the teacher's maps made from masked ones of the student (2022)"),
    "cwd": (10.0, "each channel as a distribution over its map (2021)"),
}
DEFAULT_METHOD: MethodName = "detection"
_OF_MAPS = ("mimic", "mgd", "cwd")
CACHE = Path("runs/teacher-cache")
_ONLY_WITH_A_TEACHER = ("distill", "distill_layers", "distill_plan", "cache_teacher", *(f"{name}_weight" for name in _WEIGHTS))


def add_teacher_arguments(parser: CommandParser) -> None:
    """--t_cfg, --t_weights, --distill and what belongs to them."""
    group = parser.add_argument_group(
        "teacher", "Let another network say what it sees in each image, such as the network before pruning. What it adds to "
        "the loss stands in results.csv: kd_X_raw as its formula says, kd_X weighted, kd_X_ratio over the detection loss. "
        "Useful ratios lie between 0.1 and 1.")
    group.add_argument("--t_cfg", type=Path, metavar="FILE", help="cfg of the teacher; a .pt brings its own")
    group.add_argument("--t_weights", type=Path, metavar="FILE", help="its weights (.weights or .pt); switches the teacher on")
    group.add_argument("--distill", type=_methods, metavar="NAME,...",
                       help=f"what is compared, one or several of {', '.join(_WEIGHTS)} (default: {DEFAULT_METHOD})")
    for name, (weight, about) in _WEIGHTS.items():
        group.add_argument(f"--{name}-weight", type=non_negative, metavar="X", help=f"{about} (default: {weight:g})")
    group.add_argument("--distill-temperature", type=positive, default=3.0, metavar="T",
                       help="hinton, detection: divides logits before the softmax")
    group.add_argument("--distill-margin", type=finite, default=0.0, metavar="X",
                       help="detection: a box counts already when it is better than the teacher's by less than this")
    group.add_argument("--distill-plain", action="store_true", help="l1, l2: all logits of all places alike")
    group.add_argument("--cwd-temperature", type=positive, default=1.0, metavar="T", help="cwd: divides maps before the softmax")
    group.add_argument("--mgd-masked", type=_share, default=0.65, metavar="P", help="mgd: share of the places that are masked")
    group.add_argument("--mimic-near", action="store_true",
                       help="mimic: only at places that look like an object (Wang et al., 2019); its weight is then 0.01 by "
                            "default")
    group.add_argument("--distill-layers", type=_pairs, metavar="S:T,...",
                       help="mimic, mgd, cwd: which layer of the student is compared with which of the teacher, numbered from "
                            "0 as in the cfgs (default: the maps before the heads)")
    group.add_argument("--distill-plan", type=Path, metavar="FILE",
                       help="mimic, mgd, cwd: the plan that cut the student out of the teacher (--plan-out of the pruning "
                            "commands): surviving channels are compared one by one, and no adaptor is learned")
    group.add_argument("--distill-schedule", choices=("constant", "linear", "cosine"), default="constant",
                       help="how the teacher's weight falls")
    group.add_argument("--distill-map-schedule", choices=("constant", "linear", "cosine"),
                       help="the same for mimic, mgd and cwd (default: as --distill-schedule)")
    group.add_argument("--distill-final", type=_share, default=0.1, metavar="P",
                       help="linear, cosine: what share of the weight is left in the last epoch")
    group.add_argument("--distill-start", type=positive_int, default=1, metavar="N", help="first epoch with the teacher, from 1")
    group.add_argument("--distill-stop", type=positive_int, metavar="N", help="last epoch with the teacher (default: the last)")
    group.add_argument("--cache-teacher", type=Path, nargs="?", const=CACHE, metavar="DIR",
                       help="keep the teacher's answers on disk and ask it once per image; needs --no-augment (DIR by "
                            f"default: {CACHE})")


def check_teacher_arguments(args: argparse.Namespace) -> None:
    """OptionError for flags of a teacher without a teacher, and for those that contradict each other."""
    if args.t_weights is None:
        if args.t_cfg is not None:
            raise OptionError("--t_weights", "is missing, and --t_cfg alone teaches nothing", "name the weights of the teacher")
        idle = [f"--{name.replace('_', '-')}" for name in _ONLY_WITH_A_TEACHER if getattr(args, name) is not None]
        if idle:
            raise OptionError(", ".join(idle), "would change nothing: there is no teacher", "add --t_cfg and --t_weights")
        return
    if args.weights is not None and _same_file(args.weights, args.t_weights):
        raise OptionError("--t_weights", f"{args.t_weights} is the file that the student starts from (or a copy), so it could "
                          "teach it nothing", "name the weights of the network before pruning")
    methods = args.distill or (DEFAULT_METHOD,)
    idle = [f"--{name}-weight" for name in _WEIGHTS if name not in methods and getattr(args, f"{name}_weight") is not None]
    if idle:
        raise OptionError(", ".join(idle), f"would change nothing: --distill is {','.join(methods)}", "add it to --distill")
    if not set(_OF_MAPS) & set(methods):
        for flag, value in (("--distill-layers", args.distill_layers), ("--distill-plan", args.distill_plan)):
            if value is not None:
                raise OptionError(flag, f"is about maps, and --distill {','.join(methods)} compares heads",
                                  "add cwd, mgd or mimic to --distill")
    if args.mimic_near and "mimic" not in methods:
        raise OptionError("--mimic-near", "would change nothing", "add mimic to --distill")
    if args.distill_stop is not None and args.distill_stop < args.distill_start:
        raise OptionError("--distill-stop", f"{args.distill_stop} lies before --distill-start {args.distill_start}",
                          "stop in the same epoch or later")
    if args.cache_teacher is not None and (not args.no_augment or args.multi_scale):
        raise OptionError("--cache-teacher", "never meets an image twice where they are augmented or change their size",
                          "add --no-augment, or leave it out" if not args.no_augment else "leave --multi-scale out")


def build_distillation(args: argparse.Namespace, model: Darknet, loss: DetectionLoss, precision: Precision,
                       device: torch.device) -> Distillation | None:
    """The teacher that --t_weights names, for this student; None without one.

    Raises:
        BonsaiError: a file, a layer, a head or a plan does not fit the student.
    """
    if args.t_weights is None:
        return None
    from utils.distillation import (
        METHODS,
        Distillation,
        DistillationOptions,
        Student,
        Teacher,
        TeacherCache,
        WeightSchedule,
    )

    options = DistillationOptions(
        _weights(args), args.distill_temperature, args.distill_margin, args.distill_plain,
        WeightSchedule(args.distill_schedule, args.distill_final, args.distill_start - 1, args.distill_stop),
        WeightSchedule(args.distill_map_schedule or args.distill_schedule, args.distill_final, args.distill_start - 1,
                       args.distill_stop))
    teacher = _teacher(args, model.network)
    heads = _heads(options.compares("heads"), model.network, teacher.network)
    pairs = _layer_pairs(args, model.network, teacher.network) if options.compares("maps") else ()
    ours, theirs = _channels(args, model.network, teacher, pairs)
    losses = {name: _feature_losses(args, name, model.network, teacher.network, pairs, ours, theirs)
              for name in options.weights if METHODS[name] == "maps"}
    near = _near(model.network, pairs) if args.mimic_near else None
    student = Student(model, [pair.student for pair in pairs], ours, losses)
    student.initialise(args.seed)
    cache = None
    if args.cache_teacher is not None:
        from models import get_weights

        asked = f"{heads} {pairs} {_digest(theirs)} {precision.name} {device.type}"
        cache = TeacherCache(args.cache_teacher, teacher.network, get_weights(teacher), asked)
    _announce(args, teacher, options.weights, pairs)
    answering = Teacher(teacher.to(device), heads, [pair.teacher for pair in pairs],
                        [None if one is None else one.to(device) for one in theirs],
                        autocast=None if precision.dtype is None else precision.autocast, cache=cache)
    return Distillation(student.to(device), answering, options, loss, near)


def _weights(args: argparse.Namespace) -> dict[MethodName, float]:
    weights: dict[MethodName, float] = {}
    chosen: Sequence[MethodName] = args.distill or (DEFAULT_METHOD,)
    for name in chosen:
        given = getattr(args, f"{name}_weight")
        default = 0.01 if name == "mimic" and args.mimic_near else _WEIGHTS[name][0]
        weights[name] = default if given is None else given
    return weights


def _teacher(args: argparse.Namespace, student: Network) -> Darknet:
    """At the student's input size, with whole weights."""
    from models import is_checkpoint, load_checkpoint, load_model
    from utils.darknet import read_network
    from utils.errors import CfgError

    if args.t_cfg is not None:
        network = read_network(args.t_cfg)
    elif is_checkpoint(args.t_weights) and (checkpoint := load_checkpoint(args.t_weights)).cfg is not None:
        network = checkpoint.network()
    else:
        raise OptionError("--t_cfg", "is missing", f"name the cfg that {args.t_weights} belongs to")
    if network.net.channels != student.net.channels:
        raise CfgError(network.path, f"the teacher reads images of {network.net.channels} channels, the student of "
                       f"{student.net.channels}", "give a teacher for the same images")
    size = student.net.height, student.net.width
    if (network.net.height, network.net.width) != size:
        _logger.info("the teacher (%dx%d in its cfg) sees the student's %dx%d", network.net.width, network.net.height,
                     size[1], size[0])
        network = network.resized(*size)
    return load_model(network, args.t_weights)


def _heads(compares: bool, student: Network, teacher: Network) -> tuple[int, ...]:
    from utils.distillation import check_same_heads, matched_heads

    if not compares:
        return ()
    heads = matched_heads(student, teacher)
    check_same_heads(student, teacher, heads)
    return heads


def _layer_pairs(args: argparse.Namespace, student: Network, teacher: Network) -> tuple[LayerPair, ...]:
    from utils.distillation import LayerPair, check_pairs, head_inputs

    pairs = tuple(LayerPair(*pair) for pair in args.distill_layers) if args.distill_layers else head_inputs(student, teacher)
    check_pairs(student, teacher, pairs)
    return pairs


def _channels(args: argparse.Namespace, student: Network, teacher: Darknet, pairs: Sequence[LayerPair],
              ) -> tuple[list[torch.Tensor | None], list[torch.Tensor | None]]:
    """Per pair which channels are compared, of the student and of the teacher; None for all."""
    if args.distill_plan is None or not pairs:
        return [None] * len(pairs), [None] * len(pairs)
    import torch

    from models import get_weights
    from utils.cli.pruning.plan_files import load_plan
    from utils.distillation import surviving_channels

    try:
        found = surviving_channels(load_plan(args.distill_plan), teacher.network, get_weights(teacher), student, pairs)
    except PlanError as error:
        raise OptionError("--distill-plan", f"{args.distill_plan}: {error.problem}", error.remedy) from None
    return [torch.from_numpy(one) for one, _ in found], [torch.from_numpy(other) for _, other in found]


def _feature_losses(args: argparse.Namespace, name: str, student: Network, teacher: Network, pairs: Sequence[LayerPair],
                    ours: Sequence[torch.Tensor | None], theirs: Sequence[torch.Tensor | None]) -> list[FeatureLoss]:
    from utils.distillation import ChannelWise, MaskedGeneration, Mimic

    make: Mapping[str, Callable[[int, int, bool], FeatureLoss]] = {
        "mimic": lambda s, t, adapt: Mimic(s, t, adapt=adapt),
        "mgd": lambda s, t, adapt: MaskedGeneration(s, t, adapt=adapt, masked=args.mgd_masked),
        "cwd": lambda s, t, adapt: ChannelWise(s, t, adapt=adapt, temperature=args.cwd_temperature),
    }
    return [make[name](student.layers[pair.student].shape.channels if mine is None else len(mine),
                       teacher.layers[pair.teacher].shape.channels if other is None else len(other), other is None)
            for pair, mine, other in zip(pairs, ours, theirs, strict=True)]


def _near(student: Network, pairs: Sequence[LayerPair]) -> list[int]:
    """For each pair the student's head (by number) with a map of the same size."""
    sizes = [(head.input_shapes[0].height, head.input_shapes[0].width) for head in student.heads]
    found = []
    for pair in pairs:
        shape = student.layers[pair.student].shape
        if (shape.height, shape.width) not in sizes:
            raise OptionError("--mimic-near", f"no head has a map as large as layer {pair.student}'s, {shape.width}x"
                              f"{shape.height}, so there are no anchors for it", "leave it out, or pair other layers")
        found.append(sizes.index((shape.height, shape.width)))
    return found


def _announce(args: argparse.Namespace, teacher: Darknet, weights: Mapping[MethodName, float], pairs: Sequence[LayerPair]) -> None:
    from utils.reports import units

    said = ", ".join(f"{name} x {weight:g}" for name, weight in weights.items())
    maps = "" if not pairs else "; maps " + ", ".join(f"{pair.student}:{pair.teacher}" for pair in pairs) + \
        ("" if args.distill_plan is None else ", surviving channels one by one")
    _logger.info("teacher %s, %s parameters: %s%s", args.t_weights, units.count(teacher.network.parameters), said, maps)


def _digest(channels: Sequence[torch.Tensor | None]) -> str:
    said = hashlib.blake2b(digest_size=8)
    for one in channels:
        said.update(b"all" if one is None else one.numpy().tobytes())
    return said.hexdigest()


def _same_file(one: Path, other: Path) -> bool:
    """Also of copies."""
    with suppress(OSError):
        return one.samefile(other) or filecmp.cmp(one, other, shallow=False)
    return False


def _methods(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in _WEIGHTS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown) or text!r} is no method; choose from {', '.join(_WEIGHTS)}")
    return names


def _pairs(text: str) -> tuple[tuple[int, int], ...]:
    pairs = []
    for word in text.split(","):
        student, colon, teacher = word.strip().partition(":")
        if not colon or not student.isdecimal() or not teacher.isdecimal():
            raise argparse.ArgumentTypeError(f"{word!r} is no pair of layers; write STUDENT:TEACHER, such as 80:104")
        pairs.append((non_negative_int(student), non_negative_int(teacher)))
    return tuple(pairs)


def _share(text: str) -> float:
    value = finite(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no share; write 0 to 1")
    return value

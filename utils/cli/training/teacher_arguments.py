"""The flags of a training with a teacher, and what of them contradicts itself."""

from __future__ import annotations

import argparse
import filecmp
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.cli.arguments import CommandParser, finite, non_negative, non_negative_int, positive, positive_int
from utils.errors import OptionError

if TYPE_CHECKING:
    from utils.distillation import MethodName

# By utils.distillation.METHODS, for which --help need not wait; the ancestor's and the authors' where they gave any.
WEIGHTS: Mapping[MethodName, tuple[float, str]] = {
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
TEMPERATURE, MASKED, FINAL = 3.0, 0.65, 0.1
_SCHEDULES = ("constant", "linear", "cosine")
_FOR: Mapping[str, Sequence[str]] = {  # flags that only some methods ask for
    **{f"{name}_weight": (name,) for name in WEIGHTS},
    "distill_temperature": ("hinton", "detection"), "distill_margin": ("detection",), "distill_plain": ("l1", "l2"),
    "cwd_temperature": ("cwd",), "mgd_masked": ("mgd",), "mimic_near": ("mimic",), "distill_layers": _OF_MAPS,
    "distill_plan": _OF_MAPS, "distill_map_schedule": _OF_MAPS,
}
_ONLY_WITH_A_TEACHER = (*_FOR, "distill", "distill_schedule", "distill_final", "distill_start", "distill_stop", "cache_teacher")


def add_teacher_arguments(parser: CommandParser) -> None:
    """--t_cfg, --t_weights, --distill and what belongs to them."""
    group = parser.add_argument_group(
        "teacher", "Let another network say what it sees in each image, such as the network before pruning. What it adds to "
        "the loss stands in results.csv: kd_X_raw as its formula says, kd_X weighted, kd_X_ratio over the detection loss. "
        "Useful ratios lie between 0.1 and 1.")
    group.add_argument("--t_cfg", type=Path, metavar="FILE", help="cfg of the teacher; a .pt brings its own")
    group.add_argument("--t_weights", type=Path, metavar="FILE", help="its weights (.weights or .pt); switches the teacher on")
    group.add_argument("--distill", type=_methods, action=_Together, metavar="NAME,...",
                       help=f"what is compared, one or several of {', '.join(WEIGHTS)} (default: {DEFAULT_METHOD})")
    for name, (weight, about) in WEIGHTS.items():
        group.add_argument(f"--{name}-weight", type=non_negative, metavar="X", help=f"{about} (default: {weight:g})")
    group.add_argument("--distill-temperature", type=positive, metavar="T",
                       help=f"hinton, detection: divides logits before the softmax (default: {TEMPERATURE:g})")
    group.add_argument("--distill-margin", type=finite, metavar="X",
                       help="detection: a box counts already when its squared distance to the truth, in cells, is smaller "
                            "than the teacher's by less than this (default: 0)")
    group.add_argument("--distill-plain", action="store_true", help="l1, l2: all logits of all places alike")
    group.add_argument("--cwd-temperature", type=positive, metavar="T", help="cwd: divides maps before the softmax (default: 1)")
    group.add_argument("--mgd-masked", type=_share, metavar="P",
                       help=f"mgd: share of the places that are masked (default: {MASKED:g})")
    group.add_argument("--mimic-near", action="store_true",
                       help="mimic: only at places that look like an object (Wang et al., 2019); its weight is then 0.01 by "
                            "default")
    group.add_argument("--distill-layers", type=_pairs, metavar="S:T,...",
                       help="mimic, mgd, cwd: which layer of the student is compared with which of the teacher, numbered from "
                            "0 as in the cfgs (default: the maps before the heads)")
    group.add_argument("--distill-plan", type=Path, metavar="FILE",
                       help="mimic, mgd, cwd: the plan that cut the student out of the teacher (--plan-out of the pruning "
                            "commands): surviving channels are compared one by one, and no adaptor is learned")
    group.add_argument("--distill-schedule", choices=_SCHEDULES, help="how the teacher's weight falls (default: constant)")
    group.add_argument("--distill-map-schedule", choices=_SCHEDULES,
                       help="the same for mimic, mgd and cwd (default: as --distill-schedule)")
    group.add_argument("--distill-final", type=_share, metavar="P",
                       help=f"linear, cosine: what share of the weight is left in the last epoch (default: {FINAL:g})")
    group.add_argument("--distill-start", type=positive_int, metavar="N", help="first epoch with the teacher (default: 1)")
    group.add_argument("--distill-stop", type=positive_int, metavar="N", help="last epoch with the teacher (default: the last)")
    group.add_argument("--cache-teacher", type=Path, nargs="?", const=CACHE, metavar="DIR",
                       help="keep the teacher's answers on disk and ask it once per image, which takes some MB for each; needs "
                            f"--no-augment; delete DIR when you are done (default: {CACHE})")


def check_teacher_arguments(args: argparse.Namespace) -> None:
    """OptionError for flags of a teacher without a teacher, and for those that contradict each other."""
    if args.t_weights is None:
        if args.t_cfg is not None:
            raise OptionError("--t_weights", "is missing, and --t_cfg alone teaches nothing", "name the weights of the teacher")
        idle = [flag_of(name) for name in _ONLY_WITH_A_TEACHER if getattr(args, name)]
        if idle:
            raise OptionError(", ".join(idle), "would change nothing: there is no teacher", "add --t_cfg and --t_weights")
        return
    if args.weights is not None and same_file(args.weights, args.t_weights):
        raise OptionError("--t_weights", f"{args.t_weights} is the file that the student starts from (or a copy), so it could "
                          "teach it nothing", "name the weights of the network before pruning")
    methods = args.distill or (DEFAULT_METHOD,)
    for name, users in _FOR.items():
        if getattr(args, name) not in (None, False) and not set(users) & set(methods):
            raise OptionError(flag_of(name), f"would change nothing: it is for {', '.join(users)}, and --distill is "
                              f"{','.join(methods)}", f"add {users[-1]} to --distill, or leave it out")
    start, stop = args.distill_start or 1, args.distill_stop
    if stop is not None and stop < start:
        raise OptionError("--distill-stop", f"{stop} lies before --distill-start {start}", "stop in the same epoch or later")
    if start > args.epochs:
        raise OptionError("--distill-start", f"{start} lies behind the last of --epochs {args.epochs}, so the teacher would never "
                          "count", "start earlier, or train longer")
    falls = {args.distill_schedule, args.distill_map_schedule} & {"linear", "cosine"}
    if args.distill_final is not None and not falls:
        raise OptionError("--distill-final", "would change nothing: the weight does not fall",
                          "add --distill-schedule linear or cosine")
    if args.cache_teacher is not None and (not args.no_augment or args.multi_scale):
        raise OptionError("--cache-teacher", "never meets an image twice where they are augmented or change their size",
                          "add --no-augment, or leave it out" if not args.no_augment else "leave --multi-scale out")


def same_file(one: Path, other: Path) -> bool:
    """Whether the two are one file, or copies of each other."""
    with suppress(OSError):
        return one.samefile(other) or filecmp.cmp(one, other, shallow=False)
    return False


def flag_of(name: str) -> str:
    """The flag of an argument's name."""
    return f"--{name.replace('_', '-')}" if name in _ONLY_WITH_A_TEACHER else f"--{name}"


class _Together(argparse.Action):
    """`--distill l2 --distill cwd` is `--distill l2,cwd`; a default, such as that of a run that goes on, gives way."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any,
                 option_string: str | None = None) -> None:
        said = getattr(namespace, self.dest)
        setattr(namespace, self.dest, tuple(dict.fromkeys((*(() if said is self.default else said), *values))))


def _methods(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in WEIGHTS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown) or text!r} is no method; choose from {', '.join(WEIGHTS)}")
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

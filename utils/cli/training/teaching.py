"""From --t_cfg, --t_weights and --distill to a teacher for one student."""

from __future__ import annotations

import argparse
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from utils.cli.training.teacher_arguments import DEFAULT_METHOD, FINAL, MASKED, TEMPERATURE, WEIGHTS
from utils.errors import OptionError, PlanError

if TYPE_CHECKING:
    import torch

    from models import Darknet
    from utils.darknet import Network
    from utils.detection import DetectionLoss
    from utils.distillation import Distillation, FeatureLoss, LayerPair, MethodName, WeightSchedule
    from utils.distillation.weight import Curve
    from utils.training.precision import Precision

_logger = logging.getLogger(__name__)


def build_distillation(args: argparse.Namespace, model: Darknet, loss: DetectionLoss, precision: Precision,
                       device: torch.device, sizes: Sequence[tuple[int, int]] = (), *, resumed: bool = False,
                       ) -> Distillation | None:
    """The teacher that --t_weights names, for this student; None without one.

    Args:
        model: the student, with its weights, and with its frozen layers frozen.
        sizes: (height, width) of the batches there will be beside those of the network's size.
        resumed: the student's weights come later, from a checkpoint.

    Raises:
        BonsaiError: a file, a layer, a head or a plan does not fit the student.
    """
    if args.t_weights is None:
        return None
    from models import get_weights
    from utils.distillation import METHODS, Distillation, DistillationOptions, Student, Teacher, TeacherCache, digest

    options = DistillationOptions(
        _weights(args), args.distill_temperature or TEMPERATURE, args.distill_margin or 0.0, args.distill_plain,
        _schedule(args, args.distill_schedule), _schedule(args, args.distill_map_schedule or args.distill_schedule))
    teacher = _teacher(args, model, sizes)
    if "ast" in options.weights and any(head.kind == "region" and not head.softmax for head in loss.heads):
        raise OptionError("--distill ast", "compares probabilities, and the classes of a [region] with softmax=0 are none",
                          "choose l2")
    heads = _heads(options.compares("heads"), model.network, teacher.network)
    pairs = _layer_pairs(args, model.network, teacher.network) if options.compares("maps") else ()
    _check_something_learns(model, pairs)
    ours, theirs = _channels(args, model, teacher, pairs, resumed)
    losses = {name: _feature_losses(args, name, model.network, teacher.network, pairs, ours, theirs)
              for name in options.weights if METHODS[name] == "maps"}
    near = _near(model.network, pairs) if args.mimic_near else None
    student = Student(model, [pair.student for pair in pairs], ours, losses)
    student.initialise(args.seed)
    name = digest(teacher.network, get_weights(teacher))
    asked = f"{heads} {pairs} {_digest(theirs)} {precision.name} {device.type}"
    cache = None if args.cache_teacher is None else TeacherCache(
        args.cache_teacher, digest(teacher.network, get_weights(teacher), asked))
    _announce(args, teacher, options.weights, pairs)
    answering = Teacher(teacher.to(device), heads, [pair.teacher for pair in pairs],
                        [None if one is None else one.to(device) for one in theirs],
                        autocast=None if precision.dtype is None else precision.autocast, name=name, cache=cache)
    return Distillation(student.to(device), answering, options, loss, near)


def _schedule(args: argparse.Namespace, curve: Curve | None) -> WeightSchedule:
    from utils.distillation import WeightSchedule

    final = FINAL if args.distill_final is None else args.distill_final
    return WeightSchedule(curve or "constant", final, (args.distill_start or 1) - 1, args.distill_stop)


def _check_something_learns(model: Darknet, pairs: Sequence[LayerPair]) -> None:
    """OptionError where a map that is compared comes from frozen layers only, so that nothing could come of it."""
    for pair in pairs:
        if not any(parameter.requires_grad for index in model.network.needed_by(pair.student)
                   for parameter in model.layers[index].parameters()):
            raise OptionError("--distill", f"layer {pair.student} of the student and all before it are frozen, so its map cannot "
                              "become more like the teacher's", "freeze fewer layers, or compare heads: --distill detection")


def _weights(args: argparse.Namespace) -> dict[MethodName, float]:
    weights: dict[MethodName, float] = {}
    chosen: Sequence[MethodName] = args.distill or (DEFAULT_METHOD,)
    for name in chosen:
        given = getattr(args, f"{name}_weight")
        default = 0.01 if name == "mimic" and args.mimic_near else WEIGHTS[name][0]
        weights[name] = default if given is None else given
    return weights


def _teacher(args: argparse.Namespace, model: Darknet, sizes: Sequence[tuple[int, int]]) -> Darknet:
    """At the student's input size, with whole weights, and another network than the student."""
    student = model.network
    from models import get_weights, is_checkpoint, load_checkpoint, load_model
    from utils.darknet import read_network
    from utils.distillation import digest
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
    for one in sizes:
        try:
            network.resized(*one)
        except CfgError as error:
            raise CfgError(network.path, f"the teacher cannot take the {one[1]}x{one[0]} that --multi-scale brings: "
                           f"{error.problem}", "leave --multi-scale out, or give a teacher with the student's strides") from error
    teacher = load_model(network, args.t_weights)
    if digest(network, get_weights(teacher)) == digest(student, get_weights(model)):
        raise OptionError("--t_weights", f"{args.t_weights} holds the very network that the student starts from, so it could "
                          "teach it nothing", "name the weights of the network before pruning")
    return teacher


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


def _channels(args: argparse.Namespace, student: Darknet, teacher: Darknet, pairs: Sequence[LayerPair], resumed: bool,
              ) -> tuple[list[torch.Tensor | None], list[torch.Tensor | None]]:
    """Per pair which channels are compared, of the student and of the teacher; None for all."""
    if args.distill_plan is None or not pairs:
        return [None] * len(pairs), [None] * len(pairs)
    import torch

    from models import get_weights
    from utils.cli.pruning.plan_files import load_plan
    from utils.distillation import DOUBTFUL, resemblance, surviving_channels

    plan, network, weights = load_plan(args.distill_plan), teacher.network, get_weights(teacher)
    try:
        found = surviving_channels(plan, network, weights, student.network, pairs)
        like = None if resumed else resemblance(plan, network, weights, student.network, get_weights(student))
    except PlanError as error:
        raise OptionError("--distill-plan", f"{args.distill_plan} is not of this pair: {error.where} {error.problem}",
                          error.remedy) from None
    if like is not None and like < DOUBTFUL:
        _logger.warning("the student's filters hardly resemble those that %s keeps of the teacher's (mean cosine %.2f): either "
                        "another plan made this student, or it was made of other weights. Without --distill-plan an adaptor is "
                        "learned", args.distill_plan, like)
    return [torch.from_numpy(one) for one, _ in found], [torch.from_numpy(other) for _, other in found]


def _feature_losses(args: argparse.Namespace, name: str, student: Network, teacher: Network, pairs: Sequence[LayerPair],
                    ours: Sequence[torch.Tensor | None], theirs: Sequence[torch.Tensor | None]) -> list[FeatureLoss]:
    from utils.distillation import ChannelWise, MaskedGeneration, Mimic

    make: Mapping[str, Callable[[int, int, bool], FeatureLoss]] = {
        "mimic": lambda s, t, adapt: Mimic(s, t, adapt=adapt),
        "mgd": lambda s, t, adapt: MaskedGeneration(s, t, adapt=adapt, masked=MASKED if args.mgd_masked is None else args.mgd_masked),
        "cwd": lambda s, t, adapt: ChannelWise(s, t, adapt=adapt, temperature=args.cwd_temperature or 1.0),
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



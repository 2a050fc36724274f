"""Do other engines compute from the files on disk what we compute?

Compared are the maps that enter the heads, before anything is decoded. Two correct float32 programs agree to about
1e-5 of a head's range once their batch-norm epsilons are equal, so 1e-4 separates rounding from error; a wrong padding,
activation or channel order shows as 1e-2 and more. What the epsilon alone does is reported beside it, because users of
that engine will see it. Darknet builds with AVX are not to be compared with (see opencv.py).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from utils.darknet import Network, read_network
from utils.deploy.engine import ENGINES, Engine, EngineKind, engine_kind
from utils.deploy.network_input import checked_input, random_images
from utils.deploy.report import EngineVerdict, HeadDifference, Status, VerificationReport
from utils.errors import EngineError, VerificationError

TOLERANCE = 1e-4
_FALLBACKS = ("opencv", "onnxruntime", "darknet")
_logger = logging.getLogger(__name__)


def verify_pair(cfg_path: str | Path, weights_path: str | Path, images: np.ndarray | None = None,
                engines: Sequence[str] = ("opencv",), tolerance: float = TOLERANCE, *, threads: int | None = None,
                seed: int = 0) -> VerificationReport:
    """Compare engines on a pair, as `compare_pair` does, and insist that they agree.

    A pair that no engine but ours could run comes back with the status "not verified": look at it.

    Raises:
        VerificationError: an engine computes something else; the message has the numbers.
        EngineError, CfgError, WeightsError: as `compare_pair`.
    """
    report = compare_pair(cfg_path, weights_path, images, engines, tolerance, threads=threads, seed=seed)
    if report.status == "differs":
        raise VerificationError(report.cfg, report.reason,
                                "do not deploy this pair; report it together with the two files")
    return report


def compare_pair(cfg_path: str | Path, weights_path: str | Path, images: np.ndarray | None = None,
                 engines: Sequence[str] = ("opencv",), tolerance: float = TOLERANCE, *, threads: int | None = None,
                 seed: int = 0, batch: int = 1, table: Mapping[str, EngineKind] = ENGINES) -> VerificationReport:
    """Run a pair, read back from disk, in torch and in other engines, and compare what enters the heads.

    An engine that is not installed or cannot run the cfg is listed with its reason. If none of those asked for can,
    the first that can of OpenCV, ONNX Runtime and Debian's Darknet takes their place.

    Args:
        images: (N, C, H, W) float32 in [0, 1]; None takes two random ones of the cfg's size.
        engines: names of ENGINES; "torch" is the reference and cannot be among them.
        tolerance: largest difference allowed with equal epsilons, as a share of the range of what the head reads.
        threads: CPU threads for every engine.
        seed: of the random images.
        batch: how many images an engine gets at once; one by one, large networks at large sizes fit into memory.
        table: the engines to choose from.

    Returns:
        A report with the status "verified", "differs" or "not verified"; nothing is raised for a difference.

    Raises:
        EngineError: an unknown engine, images that do not fit, a network without heads, or one that computes NaN.
        CfgError, WeightsError: the files make no sense.
    """
    if not tolerance > 0:
        raise EngineError("tolerance", f"{tolerance} is not above 0", "1e-4 is a good choice")
    _check_names(engines, table)
    network = read_network(cfg_path)
    shape = network.input_shape
    if images is None:
        images = random_images(2, shape.channels, shape.height, shape.width, seed)
    images = checked_input(images, network)
    pair = (Path(cfg_path), Path(weights_path))
    expected = _run(table["torch"].open(*pair, threads=threads), images, batch)
    for head, values in zip(network.heads, expected, strict=True):
        if not np.isfinite(values).all():
            raise EngineError(head.where, f"head {head.index} gets numbers that are NaN or infinite from these weights, "
                              "in torch already", "take weights from before the training diverged")
    verdicts = []
    for name in _attempts(engines, verdicts, table):
        verdicts.append(_verdict(name, table[name], network, pair, images, expected, tolerance, threads, batch))
    status, reason = _conclusion(verdicts, tolerance)
    return VerificationReport(str(cfg_path), str(weights_path), "torch", status, reason, tolerance,
                              images.shape, tuple(verdicts))


def _check_names(engines: Sequence[str], table: Mapping[str, EngineKind]) -> None:
    if not engines:
        raise EngineError("engines", "none is named", "name opencv")
    for name in engines:
        engine_kind(name, table)
        if name == "torch":
            raise EngineError("torch", "is what the others are compared with",
                              f"name {', '.join(other for other in table if other != 'torch')}")


def _attempts(engines: Sequence[str], verdicts: Sequence[EngineVerdict],
              table: Mapping[str, EngineKind]) -> Iterator[str]:
    """The engines asked for, then others for as long as none could run; `verdicts` grows meanwhile."""
    yield from dict.fromkeys(engines)
    for name in _FALLBACKS:
        if name in table and name not in engines and all(verdict.status == "cannot run" for verdict in verdicts):
            _logger.info("none of %s can run this pair; trying %s", ", ".join(engines), name)
            yield name


def _verdict(name: str, kind: EngineKind, network: Network, pair: tuple[Path, Path], images: np.ndarray,
             expected: list[np.ndarray], tolerance: float, threads: int | None,
             batch: int) -> EngineVerdict:
    missing = kind.missing()
    if missing:
        return EngineVerdict(name, kind.title, "cannot run", reason=f"{kind.title} is not installed: {missing}")
    problems = kind.problems(network)
    if problems:
        return EngineVerdict(name, kind.title, "cannot run", reason="; ".join(problems))
    try:
        equal = _run(kind.open(*pair, threads=threads, epsilon_corrected=kind.own_epsilon), images, batch)
        own = _run(kind.open(*pair, threads=threads), images, batch) if kind.own_epsilon else equal
    except EngineError as error:
        return EngineVerdict(name, kind.title, "cannot run", reason=str(error))
    heads = tuple(HeadDifference(head.index, want.shape[1], float(np.ptp(want)), _distance(a, want), _distance(b, want),
                                 float(np.abs(want).max()))
                  for head, want, a, b in zip(network.heads, expected, equal, own, strict=True))
    agrees = all(head.relative <= tolerance for head in heads)  # false for NaN
    return EngineVerdict(name, kind.title, "verified" if agrees else "differs", heads)


def _run(engine: Engine, images: np.ndarray, batch: int) -> list[np.ndarray]:
    """All heads for all images, `batch` images at a time."""
    batches = [engine.heads(images[i:i + batch]) for i in range(0, len(images), batch)]
    return [np.concatenate(parts) for parts in zip(*batches, strict=True)]


def _distance(got: np.ndarray, want: np.ndarray) -> float:
    if got.shape != want.shape:
        return float("inf")
    return float(np.abs(got.astype(np.float64) - want).max())


def _conclusion(verdicts: Sequence[EngineVerdict], tolerance: float) -> tuple[Status, str]:
    differing = [verdict for verdict in verdicts if verdict.status == "differs"]
    if differing:
        return "differs", "; ".join(_numbers(verdict, tolerance) for verdict in differing)
    if all(verdict.status == "cannot run" for verdict in verdicts):
        return "not verified", "; ".join(verdict.reason for verdict in verdicts)
    return "verified", ""


def _numbers(verdict: EngineVerdict, tolerance: float) -> str:
    heads = ", ".join(f"head {head.layer} by {head.max_abs:.3g} ({head.relative:.1e} of its range "
                      f"{head.value_range:.3g})" for head in verdict.heads)
    return f"{verdict.title} computes something else than torch from this pair: {heads}; allowed are {tolerance:.0e}"

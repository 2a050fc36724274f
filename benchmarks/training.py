"""A training epoch, images read and augmented, beside the bare network: torch.nn modules, one random batch, no data.

    python benchmarks/training.py --threads 2
    python benchmarks/training.py --threads 2 --profile     where the time goes

The target: at least 0.85 of the bare network's images per second. The bare network computes in the same memory format.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.cli.device import prepare_process, tame_openmp

tame_openmp()  # as the commands do, before torch is imported

import torch
from side_by_side import medians
from torch import Tensor, nn

from utils.cli.training.arguments import training_parser
from utils.cli.training.inputs import training_inputs
from utils.cli.training.setup import build_trainer
from utils.darknet import IMAGE, Layer, Network
from utils.datasets.demo import generate
from utils.training.distributed import Processes
from utils.training.trainer import Trainer

_ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "leaky": lambda: nn.LeakyReLU(0.1, inplace=True), "mish": lambda: nn.Mish(inplace=True),
    "linear": nn.Identity, "relu": lambda: nn.ReLU(inplace=True)}


class Floor(nn.Module):
    """The layers of a network as plain torch.nn modules; convolution, max pooling, route, shortcut, upsample only."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.modules_by_layer = nn.ModuleList(_plain(layer) for layer in network.layers)

    def forward(self, x: Tensor) -> list[Tensor]:
        """What enters the heads."""
        maps: dict[int, Tensor] = {IMAGE: x}
        for layer, module in zip(self.network.layers, self.modules_by_layer, strict=True):
            inputs = [maps[source] for source in layer.inputs]
            if layer.kind == "route":
                groups, chosen = layer.options.groups, layer.options.group_id
                maps[layer.index] = torch.cat([one.chunk(groups, 1)[chosen] for one in inputs], 1)
            elif layer.kind == "shortcut":
                maps[layer.index] = reduce(torch.add, inputs)
            else:
                maps[layer.index] = module(inputs[0])
        return [maps[head.index] for head in self.network.heads]


def _plain(layer: Layer) -> nn.Module:
    options = layer.options
    if layer.kind == "convolutional":
        convolution = nn.Conv2d(layer.input_shapes[0].channels, options.filters, options.size, options.stride_x,
                                options.padding, bias=not options.batch_normalize)
        norm: list[nn.Module] = [nn.BatchNorm2d(options.filters)] if options.batch_normalize else []
        return nn.Sequential(convolution, *norm, _ACTIVATIONS[options.activation]())
    if layer.kind == "maxpool":
        if options.stride_x == 1:
            return nn.Sequential(nn.ReplicationPad2d((0, 1, 0, 1)), nn.MaxPool2d(options.size, 1))
        return nn.MaxPool2d(options.size, options.stride_x)
    if layer.kind == "upsample":
        return nn.Upsample(scale_factor=options.stride)
    if layer.kind in ("route", "shortcut") or layer.is_head:
        return nn.Identity()
    raise SystemExit(f"error: the bare network has no [{layer.kind}]; choose another --arch")


def floor_epoch(network: Network, batch_size: int, batches: int,
                memory_format: torch.memory_format) -> Callable[[], None]:
    """A function that trains the bare network for one epoch on one random batch."""
    model: nn.Module = Floor(network)
    model.to(memory_format=memory_format)  # type: ignore[call-overload]  # torch's types forget this form
    optimizer = torch.optim.SGD(model.parameters(), 1e-4, momentum=0.9, nesterov=True)
    x = torch.rand(batch_size, 3, network.net.height, network.net.width).contiguous(memory_format=memory_format)
    targets = [torch.rand_like(out) for out in model(x)]

    def run() -> None:
        for _ in range(batches):
            optimizer.zero_grad(set_to_none=True)
            losses = [nn.functional.mse_loss(out, wanted) for out, wanted in zip(model(x), targets, strict=True)]
            reduce(torch.add, losses).backward()
            optimizer.step()

    return run


@contextmanager
def _no_bar(description: str, total: int) -> Iterator[Callable[..., None]]:
    yield lambda n=1, note="": None


def our_trainer(args: argparse.Namespace, folder: Path) -> Trainer:
    """A trainer as train.py builds it, on a drawn data set."""
    data = generate(folder / "demo", args.batch_size * args.batches + 2, (240, 480), valid_share=1e-9)
    flags: Sequence[str] = ["--arch", args.arch, "--data", str(data), "--img_size", str(args.size), "--batch-size",
                            str(args.batch_size), "--accumulate", "1", "--epochs", "1000", "--workers", str(args.workers),
                            *args.flags]
    options = training_parser(None).parse_args(flags)
    trainer = build_trainer(options, training_inputs(options), Processes(), _no_bar, resumed=False)
    trainer.evaluate = None
    return trainer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default="yolov3-tiny")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--batches", type=int, default=6, help="per epoch, which is what is timed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--profile", action="store_true", help="one epoch of ours under cProfile")
    parser.add_argument("flags", nargs="*", help="more flags of train.py, behind --")
    args = parser.parse_args()
    prepare_process(threads=args.threads, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        trainer = our_trainer(args, Path(folder))
        network = trainer.model.network
        batches = len(trainer.batches)

        def ours() -> None:
            epoch = trainer.progress.epoch
            for _ in trainer.run():
                if trainer.progress.epoch > epoch:
                    return

        if args.profile:
            ours()
            profile = cProfile.Profile()
            profile.runcall(ours)
            stats = pstats.Stats(profile)
            stats.sort_stats("tottime").print_stats(12)        # torch's own, and waiting (poll) for the reading processes
            stats.sort_stats("cumtime").print_stats("utils/", 24)  # our parts, with all that they call
            return 0
        times = medians({"ours": ours,
                         "bare, channels_last": floor_epoch(network, args.batch_size, batches, torch.channels_last),
                         "bare, contiguous": floor_epoch(network, args.batch_size, batches, torch.contiguous_format)},
                        args.rounds)
    images = args.batch_size * batches
    print(f"{args.arch} at {args.size}, batches of {args.batch_size}, {args.threads} threads, {args.workers} workers; "
          f"median of {args.rounds} epochs of {batches} batches in turn")
    for name, seconds in times.items():
        print(f"{name}: {images / seconds:.1f} images/s")
    print(f"ours runs at {times['bare, channels_last'] / times['ours']:.2f} of the bare network, "
          f"{times['bare, contiguous'] / times['ours']:.2f} of the bare network in torch's usual memory format")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Several processes that train one network, as torchrun starts them: who is who, and what they tell each other."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from models import Darknet
from utils.errors import OptionError

_logger = logging.getLogger(__name__)

_START = "start it with `torchrun --nproc_per_node 2 train.py ...`"


@dataclass(frozen=True)
class Processes:
    """This process among those that train together. Whatever is not a property must be called by all of them.

    rank: its number among all, from 0; local_rank: among those on this machine. world: how many there are.
    device: where it computes. backend: "nccl", "gloo", or "" for a single process.
    """

    rank: int = 0
    local_rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    backend: str = ""

    @property
    def is_main(self) -> bool:
        """Whether it is the one that writes and speaks."""
        return self.rank == 0

    def barrier(self) -> None:
        """Wait until all are here."""
        if self.world > 1:
            dist.barrier(device_ids=[self.device.index] if self.backend == "nccl" else None)

    def mean(self, values: Mapping[str, float]) -> dict[str, float]:
        """The mean over all processes, number by number, on each of them; all give the same names."""
        if self.world == 1 or not values:
            return dict(values)
        names = sorted(values)
        total = torch.tensor([values[name] for name in names], dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        means = dict(zip(names, (total / self.world).tolist(), strict=True))
        return {name: means[name] for name in values}

    def any(self, value: bool) -> bool:
        """Whether it is true on any of them."""
        return self.mean({"": float(value)})[""] > 0 if self.world > 1 else value

    def all(self, value: bool) -> bool:
        """Whether it is true on all of them."""
        return not self.any(not value)

    def gather(self, value: Any) -> list[Any] | None:
        """The values of all, by rank, on the main one; None on the others. Any object that can be pickled."""
        if self.world == 1:
            return [value]
        values = [None] * self.world if self.is_main else None
        dist.gather_object(value, values)
        return values

    def broadcast(self, value: Any) -> Any:
        """The main one's value, on all of them."""
        if self.world == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, device=self.device if self.backend == "nccl" else None)
        return values[0]

    def wrap(self, trained: nn.Module, model: Darknet | None = None, *, sync_bn: bool = False,
             rests: bool = False) -> nn.Module:
        """The network as all train it: gradients are the mean over processes, and all start from the main one's weights.

        A single process gets the module itself. With several, `wrapped.module` is it; keep both.

        Args:
            trained: the network, or a module around it.
            model: the network within; None: `trained` is the network.
            rests: some layers around it take no part in some batches.
            sync_bn: batch norm over the images of all processes instead of each one's own. The model gets other batch
                norm modules then, around the same parameters and statistics.

        Raises:
            OptionError: sync_bn on the CPU, which torch does not compute.
        """
        if self.world == 1:
            if sync_bn:
                _logger.info("--sync-bn changes nothing in a single process")
            return trained
        network = cast(Darknet, trained) if model is None else model
        if sync_bn:
            if self.device.type != "cuda":
                raise OptionError("--sync-bn", "torch computes it on GPUs only, and these processes run on the CPU",
                                  "leave it out: each process then normalises its own images")
            nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return DistributedDataParallel(trained, device_ids=[self.device.index] if self.device.type == "cuda" else None,
                                       find_unused_parameters=rests or has_idle_parameters(network))

    def no_sync(self, model: nn.Module, last: bool) -> AbstractContextManager[Any]:
        """Around forward and backward of one batch of several that make a step: only the last one exchanges gradients."""
        if last or not isinstance(model, DistributedDataParallel):
            return nullcontext()
        return model.no_sync()


def has_idle_parameters(model: Darknet) -> bool:
    """Whether some parameter that learns is in no layer that a head needs (a classifier's last layer, if there are none)."""
    network = model.network
    needed = network.needed_by(*([head.index for head in network.heads] or [len(network.layers) - 1]))
    used = {id(parameter) for index in needed for parameter in model.layers[index].parameters()}
    return any(parameter.requires_grad and id(parameter) not in used for parameter in model.parameters())


@contextmanager
def join_processes(device: str | torch.device = "auto", *, timeout_minutes: float = 30) -> Iterator[Processes]:
    """Join the processes that torchrun started, for the block; without torchrun there is one, and no group is made.

    GPUs talk through NCCL, one for each process of this machine; on the CPU it is gloo.

    Args:
        device: "auto" (CUDA if there is any), "cpu", "cuda", or with a single process also "cuda:1" and "1".
        timeout_minutes: how long one waits for the others before it gives up.

    Raises:
        OptionError: the variables that torchrun sets are incomplete, the others do not come, or there are fewer GPUs
            than processes.
    """
    rank, local_rank, world = _places()
    place = _device(device, local_rank, world)
    if world == 1:
        yield Processes(device=place)
        return
    backend = "nccl" if place.type == "cuda" else "gloo"
    if place.type == "cuda":
        torch.cuda.set_device(place)
    try:
        dist.init_process_group(backend, rank=rank, world_size=world, timeout=timedelta(minutes=timeout_minutes),
                                device_id=place if backend == "nccl" else None)
    except (dist.DistError, ValueError) as error:
        reason = str(error).splitlines()[0][:160]
        raise OptionError("torchrun", f"process {rank} of {world} cannot join the others ({reason})", _START) from error
    try:
        yield Processes(rank, local_rank, world, place, backend)
    finally:
        dist.destroy_process_group()


def _places() -> tuple[int, int, int]:
    """RANK, LOCAL_RANK and WORLD_SIZE; 0, 0, 1 without torchrun."""
    if "WORLD_SIZE" not in os.environ or "RANK" not in os.environ:
        return 0, 0, 1
    numbers = []
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        text = os.environ.get(name, "0")
        if not text.isdecimal():
            raise OptionError(name, f"{text!r} in the environment is no number", _START)
        numbers.append(int(text))
    rank, local_rank, world = numbers
    if rank >= max(1, world):
        raise OptionError("RANK", f"{rank} in the environment is no process of WORLD_SIZE={world}", _START)
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if world > 1 and missing:
        raise OptionError(missing[0], "is not in the environment, so the processes cannot find each other", _START)
    return rank, local_rank, max(1, world)


def _device(asked: str | torch.device, local_rank: int, world: int) -> torch.device:
    word = str(asked).strip().lower() or "auto"
    word = f"cuda:{word}" if word.isdecimal() else word
    if word == "auto":
        word = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(word)
    except RuntimeError:
        raise OptionError("--device", f"{asked!r} is no device that we know", "write cpu, cuda, cuda:1 or auto") from None
    if device.type == "cpu":
        return torch.device("cpu")
    if device.type != "cuda":
        raise OptionError("--device", f"{asked!r} cannot be trained on", "write cpu, cuda, cuda:1 or auto")
    if not torch.cuda.is_available():
        raise OptionError("--device", f"{asked} is not available here", "write --device cpu")
    gpus = torch.cuda.device_count()
    if world > 1 and device.index is not None:
        raise OptionError("--device", f"{device} names one GPU for {world} processes",
                          "write --device cuda, and choose GPUs with CUDA_VISIBLE_DEVICES=0,1")
    index = local_rank if world > 1 else device.index or 0
    if index >= gpus:
        raise OptionError("--device", f"there is no cuda:{index}: this machine has {gpus} GPU(s), counted from 0",
                          f"write torchrun --nproc_per_node {gpus}" if world > 1 else "write cuda:0 or cpu")
    return torch.device("cuda", index)

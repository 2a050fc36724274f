"""What one of several processes does in test_distributed.py: `python -m tests.training.processes_at_work RESULT.json`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from models import Darknet
from utils.darknet import parse_network
from utils.errors import OptionError
from utils.training.distributed import Processes, has_idle_parameters, join_processes

HEAD = "[yolo]\nmask=0\nanchors=3,4\nclasses=1\nnum=1\n"
FIRST = "[convolutional]\nfilters=4\nsize=3\npad=1\nactivation=leaky\n"
LAST = "[convolutional]\nfilters=6\nsize=1\nactivation=linear\n"
NET = "[net]\nwidth=8\nheight=8\nchannels=3\n"
PLAIN = NET + FIRST + LAST + HEAD
SHARING = PLAIN + "[route]\nlayers=0\n" + LAST.replace("size", "share_index=1\nsize") + HEAD
IDLE = NET + FIRST + FIRST + "[route]\nlayers=0\n" + LAST + HEAD  # nobody reads layer 1


def batch(number: int) -> torch.Tensor:
    """Two images."""
    return torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(number))


def trained(cfg: str, processes: Processes, *, steps: int = 3, accumulate: int = 2) -> list[float]:
    """All parameters after some steps down the gradient, each on `accumulate` batches for each process.

    A single process sees the batches of both. (No optimiser of torch: that would import a compiler, for seconds.)
    """
    model = Darknet(parse_network(cfg)).initialise(processes.rank)  # the main one's weights count
    wrapped = processes.wrap(model)
    for step in range(steps):
        model.zero_grad()
        for part in range(accumulate):
            number = (step * accumulate + part) * 2
            mine = [processes.rank] if processes.world == 2 else [0, 1]
            with processes.no_sync(wrapped, part == accumulate - 1):
                images = torch.cat([batch(number + rank) for rank in mine])
                sum(raw.square().mean() for raw in wrapped(images)).backward()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter -= 0.1 * parameter.grad
    return [value for parameter in model.parameters() if parameter.grad is not None
            for value in parameter.detach().flatten().tolist()]


def main(result: Path) -> None:
    """Write down what this process saw."""
    seen: dict[str, object] = {}
    with join_processes("cpu", timeout_minutes=2) as processes:
        rank = processes.rank
        seen |= {"rank": rank, "world": processes.world, "backend": processes.backend, "is_main": processes.is_main,
                 "mean": processes.mean({"b": 2.0 * rank, "a": 1.0}), "none": processes.mean({}),
                 "any": [processes.any(rank == 1), processes.any(False)],
                 "all": [processes.all(rank == 1), processes.all(True)],
                 "gather": processes.gather({"rank": rank}), "broadcast": processes.broadcast(f"from {rank}")}
        processes.barrier()
        seen |= {name: trained(cfg, processes) for name, cfg in (("plain", PLAIN), ("sharing", SHARING), ("idle", IDLE))}
        try:
            processes.wrap(Darknet(parse_network(PLAIN)), sync_bn=True)
        except OptionError as error:
            seen["sync_bn"] = str(error)
        seen["has_idle"] = has_idle_parameters(Darknet(parse_network(IDLE)))
    seen["left"] = not dist.is_initialized()
    result.write_text(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""A trainer of a small network on a few random pictures, for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from models import Darknet
from tests import cfg_text
from tests.cfg_text import convolution, net, output, yolo
from utils.darknet import parse_network
from utils.datasets import TrainingBatch
from utils.sparsity import Sparsity, SparsityOptions
from utils.training.distributed import Processes
from utils.training.ema import ModelEma
from utils.training.hyperparameters import Hyperparameters
from utils.training.learning_rate import LearningRate
from utils.training.loss_of_network import loss_of_network
from utils.training.optimizer import build_optimizer
from utils.training.precision import Precision
from utils.training.trainer import Trainer, TrainingOptions


def cfg(*, dropout: bool = False) -> str:
    """Two convolutions and a head with two anchors for two classes."""
    return cfg_text.cfg(net(32), convolution(6, stride=4), convolution(5, stride=2), *([cfg_text.dropout()] if dropout else []),
                        output(14), yolo("8,8, 16,16"))


class SmallBatches:
    """`count` batches of `batch_size` pictures; `alike`: all of them the same picture, so that batch norms see the same
    numbers however they are cut into batches."""

    def __init__(self, count: int, batch_size: int, *, alike: bool = False) -> None:
        self.count, self.batch_size, self.alike = count, batch_size, alike

    def __len__(self) -> int:
        return self.count

    def epoch(self, epoch: int, start: int = 0) -> Iterator[TrainingBatch]:
        """As of `TrainingBatches`."""
        return (self.batch(epoch, number) for number in range(start, self.count))

    def batch(self, epoch: int, number: int) -> TrainingBatch:
        """Two boxes in each picture."""
        random = torch.Generator().manual_seed(0 if self.alike else 1000 * epoch + number)
        pictures = 1 if self.alike else self.batch_size
        images = torch.randint(0, 256, (pictures, 3, 32, 32), generator=random, dtype=torch.uint8)
        boxes = torch.rand(pictures, 2, 4, generator=random) * 0.4 + 0.2
        images = images.expand(self.batch_size, -1, -1, -1).contiguous()
        boxes = boxes.expand(self.batch_size, -1, -1)
        rows = [[i, k, *boxes[i, k].tolist()] for i in range(self.batch_size) for k in range(2)]
        return TrainingBatch(tuple(range(self.batch_size)), images, torch.tensor(rows), (32, 32), number)


def small_trainer(batches: SmallBatches, *, recipe: str = "ancestor", dropout: bool = False, epochs: int = 2,
                  accumulate: int = 1, kind: str = "sgd", lr: float = 0.01, s: float | None = None, ema: bool = True,
                  precision: Precision | None = None, device: str = "cpu", clip: float = 10.0, patience: int = 10,
                  evaluate: Callable[..., Any] | None = None, evaluate_every: int = 1, frozen: tuple[int, ...] = (),
                  processes: Processes | None = None, hyp: dict[str, float] | None = None, momentum: float = 0.9,
                  sparsity: SparsityOptions | None = None) -> Trainer:
    """With a constant learning rate, and sparsity where `s` or `sparsity` says so."""
    network = parse_network(cfg(dropout=dropout))
    model = Darknet(network, init=False).initialise(3).to(device)
    for index in frozen:
        model.layers[index].requires_grad_(False)
    loss = loss_of_network(network, Hyperparameters().changed(hyp or {}).as_dict(), recipe)
    steps = -(-len(batches) // accumulate)
    options = SparsityOptions(s=s) if s is not None else sparsity
    return Trainer(
        model, batches, loss, TrainingOptions(epochs, accumulate, clip, 0, evaluate_every, patience),
        optimizer=build_optimizer(model, kind, lr=lr, momentum=momentum, weight_decay=0.0005),
        learning_rate=LearningRate(lr, "linear", epochs, steps, final=1.0, warmup_epochs=0.0),
        precision=precision or Precision.of("off", torch.device(device)), processes=processes or Processes(device=torch.device(device)),
        ema=ModelEma(model) if ema else None, sparsity=None if options is None else Sparsity(model, options),
        frozen=frozen, evaluate=evaluate)


def gammas(trainer: Trainer) -> torch.Tensor:
    """All gammas of the network, one after the other."""
    return torch.cat([layer.bn.weight.detach().cpu() for layer in trainer.model.layers
                      if getattr(layer, "bn", None) is not None])

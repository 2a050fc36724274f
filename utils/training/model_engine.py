"""A torch model, on any device, behind the protocol of the other engines."""

from __future__ import annotations

import numpy as np
import torch

from models import Darknet


class ModelEngine:
    """Runs a `models.Darknet` as it is: fused or not, in training or not, on the CPU or a GPU.

    `heads` puts the model into eval() while it runs and back afterwards. On a GPU, convolutions compute in full
    float32 (no TF32), so that figures agree with the CPU's.

    Args:
        model: on the device where it shall run.
        threads: only noted; torch's thread count belongs to the process.
    """

    name = "torch"

    def __init__(self, model: Darknet, *, threads: int | None = None) -> None:
        self.model = model
        self.threads = threads
        self._layers = tuple(head.inputs[0] for head in model.network.heads)

    @property
    def device(self) -> torch.device:
        """Where the model lies now."""
        return next(self.model.parameters()).device

    def heads(self, x: np.ndarray) -> list[np.ndarray]:
        """What enters each head for a batch (N, C, H, W) float32 in [0, 1]: [(N, C, gy, gx)] float32, cfg order."""
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                batch = torch.from_numpy(np.ascontiguousarray(x, np.float32)).to(self.device)
                outputs = self.model.forward_layers(batch, self._layers)
                return [outputs[index].float().cpu().numpy() for index in self._layers]
        finally:
            if was_training:
                self.model.train()

"""Mixed precision: which numbers a training computes with, and the scaling of the loss that fp16 needs."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from utils.errors import OptionError
from utils.training.apex import installed_apex

Model = TypeVar("Model", bound=nn.Module)

_logger = logging.getLogger(__name__)

Choice = Literal["auto", "off", "fp16", "bf16", "apex"]

_INSTEAD = "write --amp fp16: torch.amp does the same without compiling anything"


class Precision:
    """What `--amp` means, from the forward pass to the optimiser's step.

        with precision.autocast():
            raw = model(images)
        precision.backward(loss)
        precision.unscale(optimizer)     # the gradients are those of the loss from here on
        ...                              # clip them, add a sparsity term
        precision.step(optimizer)
        precision.update()

    Args:
        name: "off", "fp16", "bf16" or "apex".
        device: of the network.
        dtype: what autocast computes with; None is float32 everywhere.
        scaler: scales the loss, so that small gradients do not vanish in fp16; None does not.
        amp: the module apex.amp.
    """

    def __init__(self, name: str, device: torch.device, dtype: torch.dtype | None = None,
                 scaler: torch.amp.GradScaler | None = None, amp: ModuleType | None = None) -> None:
        self.name, self.device, self.dtype, self.scaler = name, device, dtype, scaler
        self._amp = amp
        self._optimizer: torch.optim.Optimizer | None = None  # apex must know it in backward
        self._is_unscaled = False

    @classmethod
    def of(cls, choice: Choice, device: torch.device) -> Precision:
        """What was asked for on this device; "auto" is fp16 on CUDA and off elsewhere.

        Raises:
            OptionError: the device cannot do it, or "apex" is not what is installed.
        """
        on_cuda = device.type == "cuda"
        if choice == "auto":
            choice = "fp16" if on_cuda else "off"
        match choice:
            case "off":
                return cls("off", device)
            case "bf16":
                if on_cuda and not torch.cuda.is_bf16_supported(including_emulation=False):
                    raise OptionError("--amp", "this GPU does not compute in bf16", "write --amp fp16")
                return cls("bf16", device, torch.bfloat16)
            case "fp16" | "apex" if not on_cuda:
                raise OptionError("--amp", f"{choice} needs a CUDA GPU, and this training runs on {device.type}",
                                  "write --amp bf16 or --amp off")
            case "fp16":
                return cls("fp16", device, torch.float16, torch.amp.GradScaler("cuda"))
            case "apex":
                return cls("apex", device, amp=_apex_amp())
        raise OptionError("--amp", f"{choice!r} is not known", "choose auto, off, fp16, bf16 or apex")

    def prepare(self, model: Model, optimizer: torch.optim.Optimizer) -> tuple[Model, torch.optim.Optimizer]:
        """Model and optimiser as this precision needs them; call it once, before the model is wrapped for processes."""
        if self._amp is None:
            return model, optimizer
        model, self._optimizer = self._amp.initialize(model, optimizer, opt_level="O1", verbosity=0)
        return model, self._optimizer

    def autocast(self) -> AbstractContextManager[Any]:
        """Around the forward pass; what comes out may be in half precision."""
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss, scaled where this precision scales."""
        if self._amp is not None:
            if self._optimizer is None:
                raise RuntimeError("with apex, prepare() comes before backward()")
            with self._amp.scale_loss(loss, self._optimizer) as scaled:
                scaled.backward()
        else:
            (loss if self.scaler is None else self.scaler.scale(loss)).backward()

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Divide the gradients by the scale. It happens once per step, however often it is called."""
        if self.scaler is not None and not self._is_unscaled:
            self.scaler.unscale_(optimizer)
        self._is_unscaled = True

    def step(self, optimizer: torch.optim.Optimizer, *, finite: bool | None = None) -> bool:
        """Let the optimiser make its step, unless a gradient is Inf or NaN; whether it did.

        Args:
            finite: whether all gradients are finite, where the caller knows (from their norm); None looks.
        """
        self.unscale(optimizer)
        if finite is None and self.scaler is None:
            finite = _are_finite(optimizer)
        if finite is False:
            return False
        done: list[bool] = []
        hook = optimizer.register_step_post_hook(lambda *_: done.append(True))
        try:
            if self.scaler is not None:
                self.scaler.step(optimizer)  # leaves the optimiser alone if unscaling met Inf or NaN
            else:
                optimizer.step()  # apex has put one that does nothing in its place after an overflow
        finally:
            hook.remove()
        return bool(done)

    def update(self) -> None:
        """Adapt the scale; once behind each step, also one that was left out."""
        if self.scaler is not None and self._is_unscaled:
            self.scaler.update()
        self._is_unscaled = False

    def state_dict(self) -> dict[str, Any]:
        """The scale and its history, as plain values."""
        scaler = self.scaler if self._amp is None else self._amp
        return {"name": self.name, "scaler": {} if scaler is None else dict(scaler.state_dict())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave; with another precision than then, the scale begins anew."""
        if state["name"] != self.name:
            _logger.warning("the checkpoint was trained with --amp %s, and this goes on with %s", state["name"], self.name)
            return
        scaler = self.scaler if self._amp is None else self._amp
        if scaler is not None:
            scaler.load_state_dict(state["scaler"])


def _are_finite(optimizer: torch.optim.Optimizer) -> bool:
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    largest = torch._foreach_norm(gradients, float("inf")) if gradients else []
    return bool(torch.stack(list(largest)).isfinite().all()) if gradients else True


def _apex_amp() -> ModuleType:
    """NVIDIA's apex.amp; OptionError with what is there instead, found without running any of it."""
    match installed_apex():
        case "none":
            raise OptionError("--amp apex", "NVIDIA apex is not installed",
                              f"{_INSTEAD}; apex itself is built from https://github.com/NVIDIA/apex, release 25.04 or older, "
                              "and is not the `apex` of the package index")
        case "without amp":
            raise OptionError("--amp apex", "the installed apex has no apex.amp any more: NVIDIA removed it in 2025",
                              _INSTEAD)
        case "a stranger":
            raise OptionError("--amp apex", "the installed `apex` is not NVIDIA's but a package of the same name from the "
                              "index (login forms for the Pyramid web framework)", f"pip uninstall apex, and {_INSTEAD}")
    try:
        return importlib.import_module("apex.amp")
    except ImportError as error:
        raise OptionError("--amp apex", f"apex.amp cannot be imported ({error})", _INSTEAD) from error

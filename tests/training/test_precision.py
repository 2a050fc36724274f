"""Mixed precision: true gradients behind unscale, steps left out on Inf, one state, and which apex is which."""

from __future__ import annotations

import sys

import pytest
import torch

from utils.errors import OptionError
from utils.training.precision import Precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def scaled(scale: float = 65536.0) -> Precision:
    """fp16's scaling on the CPU, where the numbers themselves stay float32."""
    return Precision("fp16", CPU, None, torch.amp.GradScaler("cpu", init_scale=scale))


def parameter_and_optimizer() -> tuple[torch.nn.Parameter, torch.optim.Optimizer]:
    parameter = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    return parameter, torch.optim.SGD([parameter], lr=0.5)


def precisions():
    return [Precision.of("off", CPU), Precision.of("bf16", CPU), scaled(), scaled(2.0**40)]


@pytest.mark.parametrize("precision", precisions(), ids=["off", "bf16", "fp16", "fp16 with a large scale"])
def test_behind_unscale_the_gradients_are_those_of_the_loss(precision):
    parameter, optimizer = parameter_and_optimizer()
    for _ in range(2):  # accumulation
        precision.backward((parameter * torch.tensor([3.0, 4.0])).sum())
    precision.unscale(optimizer)
    precision.unscale(optimizer)
    assert parameter.grad.tolist() == [6.0, 8.0]
    assert precision.step(optimizer)
    precision.update()
    assert parameter.tolist() == [-2.0, -2.0]


def test_step_unscales_where_nobody_did():
    precision, (parameter, optimizer) = scaled(), parameter_and_optimizer()
    precision.backward((parameter * 2).sum())
    assert parameter.grad.tolist() == [131072.0, 131072.0]
    assert precision.step(optimizer)
    assert parameter.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
@pytest.mark.parametrize("known", [True, False], ids=["the caller knows", "it looks itself"])
@pytest.mark.parametrize("precision", precisions()[:3], ids=["off", "bf16", "fp16"])
def test_a_step_with_inf_or_nan_is_left_out_and_the_next_is_made(precision, bad, known):
    parameter, optimizer = parameter_and_optimizer()
    before = precision.scaler.get_scale() if precision.scaler else None
    precision.backward((parameter * bad).sum())
    assert precision.step(optimizer, finite=False if known else None) is False
    precision.update()
    assert parameter.tolist() == [1.0, 2.0]
    if precision.scaler:
        assert precision.scaler.get_scale() == before / 2
    optimizer.zero_grad()
    precision.backward(parameter.sum())
    assert precision.step(optimizer, finite=True if known else None) is True
    precision.update()
    assert parameter.tolist() == [0.5, 1.5]


def test_a_batch_without_a_step_leaves_the_scale_alone():
    precision, (parameter, optimizer) = scaled(), parameter_and_optimizer()
    precision.backward(parameter.sum())
    optimizer.zero_grad()
    precision.update()
    assert precision.scaler.get_scale() == 65536.0


def test_without_gradients_a_step_is_made():
    _, optimizer = parameter_and_optimizer()
    assert Precision.of("off", CPU).step(optimizer)


def test_auto_is_off_on_the_cpu_and_computes_in_float32():
    precision = Precision.of("auto", CPU)
    with precision.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    assert (precision.name, precision.scaler) == ("off", None)


def test_bf16_on_the_cpu_computes_in_bf16_without_scaling():
    precision = Precision.of("bf16", CPU)
    with precision.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    assert (precision.name, precision.scaler) == ("bf16", None)


@pytest.mark.parametrize("choice", ["fp16", "apex"])
def test_what_needs_a_gpu_says_so_on_the_cpu(choice):
    with pytest.raises(OptionError, match=f"--amp: {choice} needs a CUDA GPU.*--amp bf16"):
        Precision.of(choice, CPU)


def test_an_unknown_word_is_refused():
    with pytest.raises(OptionError, match="'fp8' is not known; choose auto"):
        Precision.of("fp8", CPU)


def test_the_scale_comes_back_from_plain_values():
    precision = scaled()
    precision.scaler.load_state_dict({**precision.scaler.state_dict(), "scale": 512.0, "_growth_tracker": 7})
    state = precision.state_dict()
    assert state["name"] == "fp16"
    assert all(isinstance(value, (int, float)) for value in state["scaler"].values())
    again = scaled()
    again.load_state_dict(state)
    assert again.state_dict() == state


def test_another_precision_than_in_the_checkpoint_begins_anew_and_warns(caplog):
    precision = scaled()
    precision.load_state_dict(Precision.of("off", CPU).state_dict())
    assert precision.scaler.get_scale() == 65536.0
    assert "trained with --amp off" in caplog.text
    Precision.of("off", CPU).load_state_dict(Precision.of("off", CPU).state_dict())


# What a module apex.amp does, as far as a training sees it: initialize, scale_loss, and a step left out after overflows.
NVIDIA_AMP = '''
from contextlib import contextmanager
calls = []
def initialize(model, optimizer, opt_level, verbosity):
    calls.append(opt_level)
    return model, optimizer
@contextmanager
def scale_loss(loss, optimizer):
    yield loss * 8
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad /= 8
            if not bool(parameter.grad.isfinite().all()):
                step = optimizer.step
                def skip():
                    optimizer.step = step
                optimizer.step = skip
def state_dict():
    return {"loss_scaler0": {"loss_scale": 8.0}}
def load_state_dict(state):
    calls.append(state)
'''


@pytest.fixture
def install(tmp_path, monkeypatch):
    """install("amp.py", ...) puts a package apex with these modules where Python looks first."""
    def put(*modules: str, init: str = "", amp: str = NVIDIA_AMP) -> None:
        package = tmp_path / "apex"
        package.mkdir()
        (package / "__init__.py").write_text(init)
        for module in modules:
            (package / f"{module}.py").write_text(amp if module == "amp" else "")
        monkeypatch.syspath_prepend(tmp_path)

    yield put
    for name in [name for name in sys.modules if name.split(".")[0] == "apex"]:
        del sys.modules[name]


def test_apex_that_is_not_there_is_named_with_a_way_without_it():
    with pytest.raises(OptionError, match=r"NVIDIA apex is not installed; write --amp fp16: torch\.amp does the same"):
        Precision.of("apex", CUDA)


def test_the_package_of_that_name_on_the_index_is_told_apart_and_not_run(install):
    install("lib", "models", "views", init="raise SystemExit('this must not run')")
    with pytest.raises(OptionError, match="not NVIDIA's but a package of the same name.*pip uninstall apex"):
        Precision.of("apex", CUDA)


def test_a_new_apex_without_amp_is_told_apart(install):
    install("optimizers", "normalization")
    with pytest.raises(OptionError, match=r"no apex\.amp any more"):
        Precision.of("apex", CUDA)


def test_an_apex_that_does_not_load_says_why(install):
    install("amp", amp="import apex_C_that_was_not_compiled")
    with pytest.raises(OptionError, match="apex_C_that_was_not_compiled"):
        Precision.of("apex", CUDA)


def test_real_apex_is_asked_for_o1_and_unscales_by_itself(install):
    install("amp", "optimizers")
    precision = Precision.of("apex", CUDA)
    parameter, optimizer = parameter_and_optimizer()
    with pytest.raises(RuntimeError, match="prepare"):
        precision.backward(parameter.sum())
    model = torch.nn.Linear(1, 1)
    assert precision.prepare(model, optimizer) == (model, optimizer)
    with precision.autocast():
        precision.backward((parameter * 3).sum())
    precision.unscale(optimizer)
    assert parameter.grad.tolist() == [3.0, 3.0]
    assert precision.step(optimizer)
    precision.update()
    assert parameter.tolist() == [-0.5, 0.5]
    optimizer.zero_grad()
    precision.backward((parameter * float("inf")).sum())
    assert precision.step(optimizer, finite=None) is False
    assert parameter.tolist() == [-0.5, 0.5]
    state = precision.state_dict()
    precision.load_state_dict(state)
    assert sys.modules["apex.amp"].calls == ["O1", state["scaler"]]


def test_other_precisions_leave_model_and_optimiser_as_they_are():
    model, (_, optimizer) = torch.nn.Linear(1, 1), parameter_and_optimizer()
    assert Precision.of("off", CPU).prepare(model, optimizer) == (model, optimizer)


@pytest.mark.gpu
@pytest.mark.parametrize(("choice", "dtype"), [("auto", torch.float16), ("bf16", torch.bfloat16), ("off", torch.float32)])
def test_on_a_gpu_the_forward_pass_is_in_half_precision_and_the_step_is_made(choice, dtype):
    precision = Precision.of(choice, CUDA)
    model = torch.nn.Conv2d(3, 4, 3).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with precision.autocast():
        out = model(torch.rand(1, 3, 8, 8, device="cuda"))
    assert out.dtype == dtype
    precision.backward(out.float().mean())
    assert precision.step(optimizer)
    precision.update()

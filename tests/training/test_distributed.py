"""Two real processes over gloo against one, and the errors of a start that cannot work."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from models import Darknet
from tests.training.processes_at_work import IDLE, PLAIN, SHARING, trained
from utils.darknet import parse_network
from utils.errors import OptionError
from utils.training.distributed import Processes, has_idle_parameters, join_processes

ROOT = Path(__file__).resolve().parents[2]
VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture(autouse=True)
def _without_torchrun(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> list[dict]:
    """What each of two processes saw, by rank."""
    folder = tmp_path_factory.mktemp("processes")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = []
    for rank in range(2):
        environment = {**os.environ, "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1",
                       "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        running.append(subprocess.Popen(
            [sys.executable, "-m", "tests.training.processes_at_work", str(folder / f"{rank}.json")], cwd=ROOT,
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    try:
        said = [process.communicate(timeout=120)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], "\n".join(said)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


def test_each_process_knows_its_place(seen):
    assert [(one["rank"], one["world"], one["backend"], one["is_main"]) for one in seen] == [
        (0, 2, "gloo", True), (1, 2, "gloo", False)]
    assert all(one["left"] for one in seen)


def test_they_tell_each_other_numbers_and_objects(seen):
    for one in seen:
        assert one["mean"] == {"b": 1.0, "a": 1.0}
        assert list(one["mean"]) == ["b", "a"]
        assert (one["none"], one["any"], one["all"]) == ({}, [True, False], [False, True])
        assert one["broadcast"] == "from 0"
    assert [one["gather"] for one in seen] == [[{"rank": 0}, {"rank": 1}], None]


@pytest.mark.parametrize(("name", "cfg"), [("plain", PLAIN), ("sharing", SHARING), ("idle", IDLE)])
def test_two_processes_train_to_the_weights_of_one(seen, name, cfg):
    """Each sees half the images; the loss is a mean over images, and the mean of two means of equal halves is that of all."""
    assert seen[0][name] == seen[1][name]
    np.testing.assert_allclose(seen[0][name], trained(cfg, Processes()), atol=2e-6)


def test_synchronised_batch_norm_on_the_cpu_is_refused(seen):
    for one in seen:
        assert one["sync_bn"].startswith("--sync-bn: torch computes it on GPUs only")


def test_torch_still_refuses_synchronised_batch_norm_on_the_cpu(tmp_path):
    """The day this fails, `wrap` may allow it."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        with pytest.raises(ValueError, match="expected input tensor to be on GPU"):
            torch.nn.SyncBatchNorm(3).train()(torch.rand(2, 3, 4, 4))
    finally:
        torch.distributed.destroy_process_group()


def test_a_single_process_is_alone_and_changes_nothing():
    model = Darknet(parse_network(PLAIN))
    with join_processes("cpu") as processes:
        assert processes == Processes()
        assert (processes.is_main, processes.device) == (True, torch.device("cpu"))
        assert processes.wrap(model, sync_bn=True) is model
        assert processes.mean({"a": 3.0}) == {"a": 3.0}
        assert (processes.gather("x"), processes.broadcast("x")) == (["x"], "x")
        assert (processes.any(True), processes.all(False), processes.all(True)) == (True, False, True)
        processes.barrier()
        with processes.no_sync(model, last=False):
            pass
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize(("cfg", "idle"), [(PLAIN, False), (SHARING, False), (IDLE, True)])
def test_idle_parameters_are_those_that_no_head_needs(cfg, idle):
    model = Darknet(parse_network(cfg))
    assert has_idle_parameters(model) is idle
    if idle:
        model.layers[1].requires_grad_(False)
        assert not has_idle_parameters(model)


def test_a_classifier_needs_what_its_last_layer_reads():
    sections = PLAIN[:PLAIN.index("[yolo]")]
    assert not has_idle_parameters(Darknet(parse_network(sections)))
    assert has_idle_parameters(Darknet(parse_network(sections + "[route]\nlayers=0\n")))


@pytest.mark.parametrize(("variables", "message"), [
    ({"RANK": "0", "WORLD_SIZE": "2"}, "MASTER_ADDR: is not in the environment.*torchrun"),
    ({"RANK": "one", "WORLD_SIZE": "2"}, "RANK: 'one' in the environment is no number"),
    ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK: 2 .*WORLD_SIZE=2"),
])
def test_an_environment_that_torchrun_did_not_make_is_refused(monkeypatch, variables, message):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(OptionError, match=message), join_processes("cpu"):
        pass


def test_torchrun_with_one_process_is_a_single_process(monkeypatch):
    for name, value in zip(VARIABLES, ("0", "0", "1", "127.0.0.1", "1"), strict=True):
        monkeypatch.setenv(name, value)
    with join_processes("cpu") as processes:
        assert (processes.world, processes.backend) == (1, "")


def test_others_that_do_not_come_are_an_error_and_not_an_endless_wait(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, value in zip(VARIABLES, ("1", "1", "2", "127.0.0.1", str(port)), strict=True):
        monkeypatch.setenv(name, value)
    with pytest.raises(OptionError, match=r"torchrun: process 1 of 2 cannot join the others"), \
            join_processes("cpu", timeout_minutes=0.01):
        pass


@pytest.mark.parametrize("word", ["tpu", "mps", "cuda:x", "-1"])
def test_devices_that_cannot_train_are_refused(word):
    with pytest.raises(OptionError, match="--device"), join_processes(word):
        pass


@pytest.mark.parametrize(("word", "world", "message"), [
    ("cuda:1", "2", "names one GPU for 2 processes.*CUDA_VISIBLE_DEVICES"),
    ("cuda", "2", "there is no cuda:1: this machine has 1 GPU.*--nproc_per_node 1"),
    ("3", "1", "there is no cuda:3: this machine has 1 GPU"),
])
def test_each_process_needs_a_gpu_of_its_own(monkeypatch, word, world, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for name, value in zip(VARIABLES, ("1" if world == "2" else "0", "1", world, "127.0.0.1", "1"), strict=True):
        monkeypatch.setenv(name, value)
    with pytest.raises(OptionError, match=message), join_processes(word):
        pass


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(OptionError, match="cuda is not available here"), join_processes("cuda"):
        pass
    with join_processes("auto") as processes:
        assert processes.device.type == "cpu"

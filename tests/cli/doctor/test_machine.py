"""Checks of the machine, each with facts that are made up: packages, apex, threads, memory, disk, engines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.doctor.conftest import CFG, check_command
from utils.cli.doctor import Files, examine, machine
from utils.cli.doctor.engines import check_engines, check_installed
from utils.cli.doctor.machine import (
    REQUIREMENTS,
    check_apex,
    check_disk,
    check_memory,
    check_packages,
    check_threads,
    check_used,
    pinned_versions,
)
from utils.darknet import parse_network
from utils.deploy import ENGINES
from utils.training.memory import step_bytes

NETWORK = parse_network(CFG, "my.cfg")


def package(name: str, version: str | None):
    (finding,) = check_packages({name: version})
    for command in finding.commands:
        check_command(command)
    return finding


def test_this_machine_has_what_the_tests_ran_with():
    assert {finding.mark for finding in check_packages()} == {"fine"}


def test_opencv_5_is_wrong_and_names_the_version_to_install():
    finding = package("opencv-python-headless", "5.0.0")
    assert (finding.mark, finding.commands) == ("wrong", ('pip install "opencv-python-headless<5"',))
    assert "no Darknet importer" in finding.text


@pytest.mark.parametrize(("version", "mark"), [("2.13.0+cpu", "fine"), ("2.14.1", "fine"), ("2.9.0", "look"), ("3.0.0", "look"),
                                               (None, "wrong")])
def test_versions_are_held_against_those_that_the_tests_ran_with(version, mark, monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "REQUIREMENTS", tmp_path / "requirements.txt")
    (tmp_path / "requirements.txt").write_text("# all\ntorch==2.13.0\nnumpy==2.4.6; python_version >= '3.11'\n")
    assert package("torch", version).mark == mark


def test_pins_are_read_where_they_are_written():
    assert pinned_versions("a==1.2\nb-c==3.0.1  # why\na==0.9; python_version < '3.11'\n") == {"a": "1.2", "b-c": "3.0.1"}
    assert machine.NEEDED.keys() <= pinned_versions(REQUIREMENTS.read_text()).keys()


@pytest.mark.parametrize(("missing", "mark", "words"), [
    ((), "fine", "faster_coco_eval, jinja2, matplotlib are installed"),
    (("jinja2", "matplotlib"), "wrong", "not installed: jinja2, for --report, matplotlib, for the curves of train.py"),
    (("tensorboard",), "fine", "tensorboard is not"),
])
def test_packages_that_some_commands_need_are_named_with_these(missing, mark, words, monkeypatch):
    found = machine.importlib.util.find_spec
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: None if name in missing else found(name))
    finding = check_used()
    assert (finding.mark, words in finding.text) == (mark, True), finding
    assert machine.USED.keys() <= {name.replace("-", "_") for name in pinned_versions(REQUIREMENTS.read_text())}
    for command in finding.commands:
        check_command(command)


def test_without_a_package_the_files_are_left_alone(monkeypatch):
    monkeypatch.setattr(machine, "installed_versions", lambda: {"torch": None, "numpy": "2.4.6"})
    findings = list(examine(Files(cfg=Path("nowhere.cfg"))))
    assert [(finding.subject, finding.mark) for finding in findings] == [("torch", "wrong"), ("numpy", "fine"), ("files", "look")]


@pytest.mark.parametrize(("files", "mark"), [((), "wrong"), (("amp.py",), "fine"), (("optimizers.py",), "look"), (None, "fine")])
def test_which_apex_it_is(files, mark, tmp_path, monkeypatch):
    """`pip install apex` gets a stranger: made here of packages of that name with other contents."""
    if files is not None:
        (tmp_path / "apex").mkdir()
        for name in ("__init__.py", *files):
            (tmp_path / "apex" / name).write_text("raise SystemExit('nobody asked to run this')\n")
        monkeypatch.syspath_prepend(str(tmp_path))
    finding = check_apex()
    assert finding.mark == mark
    assert finding.commands == (("pip uninstall apex",) if mark != "fine" else ())


@pytest.mark.parametrize(("environment", "mark"), [({}, "fine"), ({"OMP_NUM_THREADS": "2"}, "fine"),
                                                   ({"OMP_NUM_THREADS": "9"}, "look"), ({"OMP_NUM_THREADS": "all"}, "wrong")])
def test_threads_against_cores(environment, mark):
    assert check_threads(4, environment).mark == mark


def test_a_full_disk_and_a_roomy_one(tmp_path):
    assert check_disk(tmp_path, free=10**6).mark == "look"
    assert check_disk(tmp_path, free=10**11).mark == "fine"


def test_a_batch_that_does_not_fit_comes_with_one_that_does():
    files = Files()
    assert check_memory(NETWORK, files, free=10**9).mark == "fine"
    finding = check_memory(NETWORK, files, free=600_000)
    assert (finding.mark, finding.commands[0].endswith("--batch-size 8 --accumulate 2")) == ("look", True), finding
    assert step_bytes(NETWORK, 8) <= 600_000 < step_bytes(NETWORK, 16)
    check_command(finding.commands[0])


def test_an_engine_that_is_not_installed_comes_with_what_installs_it():
    table = {name: replace(kind, missing=lambda: "pip install onnx onnxruntime") for name, kind in ENGINES.items()}
    findings = list(check_installed(table))
    assert {(finding.mark, finding.commands) for finding in findings} == {("look", ("pip install onnx onnxruntime",))}
    assert {finding.mark for finding in check_installed({"onnxruntime": replace(ENGINES["onnxruntime"], missing=lambda: None)})} \
        == {"fine"}


def test_a_cfg_that_nothing_here_can_check_is_wrong():
    table = {name: replace(kind, missing=lambda: "install it") for name, kind in ENGINES.items()}
    (finding,) = check_engines(NETWORK, Files(), table)
    assert (finding.mark, finding.commands) == ("wrong", ("pip install onnx onnxruntime",))
    assert [finding.mark for finding in check_engines(NETWORK, Files())] == ["fine"]

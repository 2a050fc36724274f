"""Checks of the machine: packages and their versions, which `apex`, GPU, threads, memory, disk."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from utils.cli.device import usable_cores
from utils.cli.doctor.commands import Files, python
from utils.cli.doctor.finding import Finding, fine, look, wrong

if TYPE_CHECKING:
    from utils.darknet import Network

REQUIREMENTS = Path(__file__).resolve().parents[3] / "requirements.txt"
NEEDED = {"torch": "torch", "numpy": "numpy", "opencv-python-headless": "cv2", "tqdm": "tqdm"}  # distribution, module
USED = {"faster_coco_eval": "test.py and every mAP", "jinja2": "--report", "matplotlib": "the curves of train.py"}  # module: by what
_INSTALL = "pip install -r requirements.txt"
_OPENCV_WITHOUT_DARKNET = 5
_ROOM = 1e9  # bytes on the disk


def check_packages(versions: Mapping[str, str | None] | None = None) -> Iterator[Finding]:
    """Each package that everything here needs: its version against the one that the tests ran with.

    versions: by distribution, None for one that is absent or cannot be imported; by default those of this machine.
    """
    versions = installed_versions() if versions is None else versions
    wanted = pinned_versions(REQUIREMENTS.read_text(encoding="utf-8"))
    for name, version in versions.items():
        yield _check_package(name, version, wanted.get(name))


def installed_versions() -> dict[str, str | None]:
    """The versions of the packages in NEEDED, as the modules themselves say; None where an import fails."""
    found: dict[str, str | None] = {}
    for name, module in NEEDED.items():
        try:
            found[name] = str(importlib.import_module(module).__version__)
        except ImportError:
            found[name] = None
    return found


def pinned_versions(text: str) -> dict[str, str]:
    """`name==version` lines of a requirements file; of several for one name the first counts."""
    found: dict[str, str] = {}
    for match in re.finditer(r"^([\w-]+)==([\w.]+)", text, re.MULTILINE):
        found.setdefault(match[1], match[2])
    return found


def _check_package(name: str, version: str | None, wanted: str | None) -> Finding:
    subject = NEEDED.get(name, name)
    if version is None:
        return wrong(subject, f"{name} is not installed, or does not load", _INSTALL)
    own, tested = _numbers(version), _numbers(wanted or version)
    if subject == "cv2" and own[0] >= _OPENCV_WITHOUT_DARKNET:
        return wrong(subject, f"OpenCV {version} has no Darknet importer any more: nothing written can be verified by it",
                     'pip install "opencv-python-headless<5"')
    text = f"{version}, the tests ran with {wanted}"
    if own[0] == tested[0] and own[:2] >= tested[:2]:
        return fine(subject, text)
    return look(subject, f"{text}: another version may do, and nobody tried", _INSTALL)


def check_used() -> Finding:
    """The packages that some commands need and others do without."""
    missing = [module for module in USED if importlib.util.find_spec(module) is None]
    if missing:
        return wrong("packages", "not installed: " + ", ".join(f"{module}, for {USED[module]}" for module in missing), _INSTALL)
    without = "" if importlib.util.find_spec("tensorboard") else "; tensorboard is not, and train.py then keeps no log for it"
    return fine("packages", f"{', '.join(USED)} are installed{without}")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:3]))


def check_apex() -> Finding:
    """Which package `apex` is: the index has one of that name that is not NVIDIA's."""
    from utils.training.apex import installed_apex

    match installed_apex():
        case "a stranger":
            return wrong("apex", "the installed `apex` is not NVIDIA's but login forms for the Pyramid web framework, and mixed "
                         "precision needs none: --amp fp16 is in torch", "pip uninstall apex")
        case "without amp":
            return look("apex", "the installed apex has no apex.amp any more, so --amp apex fails; --amp fp16 is in torch",
                        "pip uninstall apex")
        case "with amp":
            return fine("apex", "NVIDIA's, with apex.amp; --amp fp16 does without it")
    return fine("apex", "is not installed, and not needed: mixed precision is in torch")


def check_gpu() -> Finding:
    """Whether torch sees a GPU, or could."""
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return fine("gpu", f"{len(names)}: {', '.join(dict.fromkeys(names))}")
    if os.path.exists("/dev/nvidia0") or shutil.which("nvidia-smi"):
        return look("gpu", f"there is an NVIDIA GPU, and torch {torch.__version__} does not see it: a build for CPUs, or a driver "
                    "that is too old", "pip install --force-reinstall torch")
    return fine("gpu", "none that torch can use; everything runs on the CPU, training slowly")


def check_threads(cores: int | None = None, environment: Mapping[str, str] = os.environ) -> Finding:
    """Threads asked for in the environment against the cores there are."""
    cores = usable_cores() if cores is None else cores
    asked = environment.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked) > cores:
        return look("threads", f"OMP_NUM_THREADS={asked}, and there are {cores} cores: they get in each other's way",
                    f"export OMP_NUM_THREADS={cores}")
    if asked and not asked.isdigit():
        return wrong("threads", f"OMP_NUM_THREADS={asked} is no number", "unset OMP_NUM_THREADS")
    return fine("threads", f"{cores} cores" + (f", of which OMP_NUM_THREADS={asked} takes {asked}" if asked else ""))


def check_disk(folder: Path, free: int | None = None) -> Finding:
    """Room for results, which are written beside the inputs."""
    from utils.reports import units

    free = shutil.disk_usage(folder).free if free is None else free
    text = f"{units.file_size(free)} are free where results are written ({folder})"
    return fine("disk", text) if free >= _ROOM else look("disk", f"{text}: free some, or choose another place with "
                                                         "--out")


def check_memory(network: Network, files: Files, free: int | None = None) -> Finding:
    """Whether a training step of 16 images, train.py's own number, fits the memory."""
    from utils.cli.device import select_device
    from utils.errors import OptionError
    from utils.reports import units
    from utils.training.memory import check_batch_fits, step_bytes

    batch, device = 16, select_device("auto")
    try:
        check_batch_fits(network, batch, device, free)
    except OptionError as error:
        flags = re.match(r"(--batch-size \d+) (--accumulate \d+)", error.remedy)
        words = (*files.with_data, *" ".join(flags.groups()).split()) if flags else files.at(320, 320).with_data
        return look("memory", f"training: {error.problem}", python("train.py", *words))
    return fine("memory", f"training {batch} images at a time takes about {units.file_size(step_bytes(network, batch))}, "
                          "which is free")

"""The work of doctor.py: one group of checks after the other, each finding shown as soon as it is there."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from utils.cli.doctor.commands import Files
from utils.cli.doctor.finding import Finding, look
from utils.cli.doctor.showing import coloured, finding_lines, summary
from utils.cli.progress import progress_bar
from utils.errors import OptionError

if TYPE_CHECKING:
    from utils.darknet import Network, Weights
    from utils.datasets import ImageScan

SOMETHING_IS_WRONG = 1


def run_doctor(args: argparse.Namespace) -> int:
    """Check, and print the findings; 0 if nothing is wrong, 1 if something is.

    Raises:
        OptionError: --percent without the weights that shall be cut, --img_size or --t_cfg without a cfg, --t_weights without
            --t_cfg, or --save-json would overwrite an input.
        OutputError: --save-json cannot be written.
    """
    if args.percent is not None and (args.cfg is None or args.weights is None):
        raise OptionError("--percent", "is the cut that the weights shall stand", "give --cfg and --weights, too")
    if args.img_size is not None and args.cfg is None:
        raise OptionError("--img_size", "is the size at which a network shall run", "give --cfg, too")
    if args.t_cfg is not None and args.cfg is None:
        raise OptionError("--t_cfg", "is the teacher of a network", "give --cfg, too")
    if args.t_weights is not None and args.t_cfg is None:
        raise OptionError("--t_weights", "are those of a teacher", "give --t_cfg, too")
    files = Files(args.cfg, args.weights, args.data, args.img_size, args.t_cfg, args.t_weights)
    if args.save_json is not None:
        from utils.cli.outputs import check_output

        check_output("--save-json", args.save_json, {path.resolve() for path in files.paths})
    findings: list[Finding] = []
    colour = coloured(sys.stdout)
    for finding in examine(files, args.percent, quiet=args.quiet):
        findings.append(finding)
        if finding.mark != "fine" or not args.quiet:
            print(finding_lines(finding, colour=colour), flush=True)
    print(summary(findings))
    if args.save_json is not None:
        from utils.reports import write_json

        write_json(args.save_json, {**asdict(files), "percent": args.percent, "summary": summary(findings), "findings": findings})
    return SOMETHING_IS_WRONG if any(finding.mark == "wrong" for finding in findings) else 0


def examine(files: Files, percent: float | None = None, *, quiet: bool = True) -> Iterator[Finding]:
    """All findings about the machine and the files that were named. What cannot be read is a finding and ends nothing else.

    Args:
        percent: the cut that is wanted, as a share of the channels.
        quiet: no progress bars.
    """
    from utils.cli.doctor.machine import check_packages

    packages = list(check_packages())
    yield from packages
    if any(finding.mark == "wrong" and "not installed" in finding.text for finding in packages):
        if files != Files():
            yield look("files", "were not looked at: that takes the packages above")
        return
    yield from _machine(files)
    network = None
    if files.cfg is not None:
        from utils.cli.doctor.cfg import read_cfg

        network, found = read_cfg(files.cfg)
        yield from found
    if network is not None and files.img_size is not None:
        from utils.cli.doctor.cfg import network_at

        network, finding = network_at(network, *files.img_size, files)
        files = replace(files, img_size=None) if finding.mark == "wrong" else files
        yield finding
    if network is not None:
        yield from _network(network, files)
    if files.weights is not None:
        yield from _weights(network, files.weights, files, percent)
    if network is not None and files.t_cfg is not None:
        from utils.cli.doctor.teacher import check_teacher

        yield from check_teacher(network, files, files.t_cfg, files.t_weights)
    if files.data is not None:
        yield from _data(network, files.data, files, quiet)


def _machine(files: Files) -> Iterator[Finding]:
    from utils.cli.doctor.engines import check_installed
    from utils.cli.doctor.machine import check_apex, check_disk, check_gpu, check_threads, check_used

    yield check_used()
    yield check_apex()
    yield check_gpu()
    yield check_threads()
    place = files.cfg.parent if files.cfg is not None else Path()
    yield check_disk(place if place.is_dir() else Path())
    yield from check_installed()


def _network(network: Network, files: Files) -> Iterator[Finding]:
    from utils.cli.doctor.cfg import check_cfg
    from utils.cli.doctor.engines import check_engines
    from utils.cli.doctor.machine import check_memory

    yield from check_cfg(network, files)
    yield from check_engines(network, files)
    yield check_memory(network, files)


def _weights(network: Network | None, path: Path, files: Files, percent: float | None) -> Iterator[Finding]:
    from utils.cli.doctor.gammas import check_gammas
    from utils.cli.doctor.weights import check_lone_weights, check_weights, read_pair

    if network is None:
        yield check_lone_weights(path)
        return
    weights: Weights | None
    weights, found = read_pair(path, files, network)
    yield from found
    if weights is not None:
        yield from check_weights(weights, network, files)
        yield from check_gammas(weights, network, files, percent)


def _data(network: Network | None, path: Path, files: Files, quiet: bool) -> Iterator[Finding]:
    from utils.cli.doctor.anchors import check_anchors
    from utils.cli.doctor.data import check_data, read_described
    from utils.cli.doctor.images import check_calibration, check_images, check_list, check_sizes, scan_list

    described, found = read_described(path)
    yield from found
    if described is None:
        return
    yield from check_data(described, network)
    scans: dict[str, ImageScan] = {}
    for key, source in (("train", described.data.train), ("valid", described.data.valid)):
        if source is None or (key == "valid" and source == described.data.train):
            continue
        with progress_bar(f"reading {key}=", None, quiet=quiet) as advance:
            scan, found = scan_list(key, source, described.classes, advance)
        yield from found
        if scan is None:
            continue
        scans[key] = scan
        yield from check_list(key, source)
        yield from check_images(key, scan, described.names, files)
        if network is not None:
            yield from check_sizes(key, scan, network, files)
    if "train" in scans:
        yield check_calibration(scans["train"], files)
        if network is not None and network.heads and scans["train"].boxes:
            yield check_anchors(network, scans["train"])
    yield from _overlap(described.data.train, described.data.valid, scans)


def _overlap(train: Path | None, valid: Path | None, scans: dict[str, ImageScan]) -> Iterator[Finding]:
    from utils.cli.doctor.images import check_overlap

    if "train" in scans and (train == valid or "valid" in scans):
        yield check_overlap(scans["train"], scans.get("valid", scans["train"]))

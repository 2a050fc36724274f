"""What cases begin with: files as they should be, of every kind that Bonsai reads."""

from __future__ import annotations

import io
import json
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import hypothesis
import numpy as np
from hypothesis import strategies as st

from tests.generators import cfg_texts, random_plan, random_weights
from tests.shared import SHARED
from utils.darknet import Network, Weights, parse_network, write_weights
from utils.pruning import LatencyModel, LayerTable, layer_plan, slim_plan

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Start:
    """A whole file. network: what it belongs to, None for files that belong to none."""

    data: bytes
    network: Network | None = None


RESIDUAL = "[net]\nwidth=32\nheight=32\nchannels=3\n" + "".join(
    f"[convolutional]\nbatch_normalize=1\nfilters={filters}\nsize={size}\nstride={stride}\npad=1\nactivation=leaky\n" + tail
    for filters, size, stride, tail in ((8, 3, 2, ""), (4, 1, 1, ""), (8, 3, 1, "[shortcut]\nfrom=-3\nactivation=linear\n"),
                                        (4, 1, 1, ""), (8, 3, 1, "[shortcut]\nfrom=-3\nactivation=linear\n"))
) + "[convolutional]\nfilters=14\nsize=1\nactivation=linear\n[yolo]\nmask=0,1\nanchors=8,8, 20,24\nclasses=2\nnum=2\n"


@cache
def small_cfgs(count: int = 40) -> tuple[bytes, ...]:
    """Cfgs of small networks, the same ones each time."""
    found: list[str] = []

    @hypothesis.seed(0)
    @hypothesis.settings(max_examples=count, database=None, deadline=None, phases=[hypothesis.Phase.generate],
                         suppress_health_check=list(hypothesis.HealthCheck), derandomize=False)
    @hypothesis.given(st.one_of(cfg_texts(), cfg_texts(max_blocks=2)))
    def collect(text: str) -> None:
        found.append(text)

    collect()
    return (RESIDUAL.encode(), *(text.encode() for text in dict.fromkeys(found)))


@cache
def small_pairs() -> tuple[tuple[Network, Weights], ...]:
    """Some of these with weights."""
    networks = [parse_network(text) for text in small_cfgs()[:12]]
    return tuple((network, random_weights(network, seed)) for seed, network in enumerate(networks))


def cfg_starts() -> Iterator[Start]:
    """The cfgs that ship, small ones, and those that Darknet's own outputs were recorded for."""
    for text in small_cfgs():
        yield Start(text)
    for path in [*sorted(ROOT.glob("cfg/*.cfg")), *sorted(SHARED.glob("darknet/*/*.cfg"))]:
        yield Start(path.read_bytes())


def model_starts() -> Iterator[Start]:
    """Cfgs of networks that run in a moment, one feature each where there are such."""
    for text in small_cfgs():
        yield Start(text)
    for path in sorted(SHARED.glob("darknet/probes/*.cfg")):
        yield Start(path.read_bytes())


def weights_starts() -> Iterator[Start]:
    """Whole .weights files, of both versions of the header."""
    for network, weights in small_pairs():
        data = file_of(network, weights)
        yield Start(data, network)
        yield Start(struct.pack("<4i", 0, 1, 0, 64) + data[20:], network)


def file_of(network: Network, weights: Weights) -> bytes:
    """The bytes of a .weights file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "whole.weights")
        write_weights(path, network, weights)
        return path.read_bytes()


def data_starts() -> Iterator[Start]:
    """.data files, whose paths lead somewhere in the folder of a case."""
    yield Start(b"classes = 2\ntrain = train.txt\nvalid = train.txt\nnames = case.names\nbackup = backup/\n")
    yield Start(b"# mine\r\nclasses=2\r\n\r\ntrain=images\r\nvalid=images/*.png\r\nnames=case.names # two\r\neval=coco\r\n")


def names_starts() -> Iterator[Start]:
    """.names files."""
    yield Start(b"cat\ndog\n")
    yield Start((ROOT / "data" / "coco.names").read_bytes())


def label_starts() -> Iterator[Start]:
    """Label files."""
    yield Start(b"0 0.5 0.5 0.25 0.5\n1 0.25 0.25 0.25 0.25\n")
    yield Start(b"".join(b"%d %.6f %.6f %.6f %.6f\n" % (i % 80, 0.1 * (i % 9), 0.5, 0.01 * (i + 1), 0.3) for i in range(20)))
    yield Start(b"\n0 1 1 1 1\r\n  2\t0.5  .5 1e-3 5e-1  \n")


def list_starts() -> Iterator[Start]:
    """Lists of images: in the folder of a case, on a Windows machine, nowhere."""
    yield Start(b"images/0.png\nimages/1.png\nimages/0.png\n")
    yield Start(b"\xef\xbb\xbfimages\\0.png\r\n./images/1.png\r\n/tmp/nowhere/7.jpg\r\n")


def plan_starts() -> Iterator[Start]:
    """Plans that their networks can follow, residual blocks included."""
    for network, _ in small_pairs():
        yield Start(random_plan(network, 1).to_json().encode(), network)
    network, weights = small_pairs()[0]
    yield Start(slim_plan(network, weights, 0.5, 0.1).to_json().encode(), network)
    yield Start(layer_plan(network, weights, 1).to_json().encode(), network)


def latency_starts() -> Iterator[Start]:
    """Latency models."""
    table = LayerTable((8, 16), (8, 16), ((0.1, 0.3), (0.2, 0.5)), ((0.2, 0.4), (0.3, 0.6)), 8, 8)
    flat = LayerTable((0,), (4, 8), ((1.0, 2.0),))
    yield Start(LatencyModel("opencv", 2, {"convolutional 3x3": table, "maxpool": flat}, ((1.0, 2.0), (3.0, 5.0))).to_json().encode())


def checkpoint_starts() -> Iterator[Start]:
    """.pt files: ours, with a training in it, and one of another project of the family."""
    import torch

    from models import model_with

    for network, weights in small_pairs()[:3]:
        model = model_with(network, weights)
        own = {"cfg": network.document.to_bytes().decode("latin-1"), "cfg_path": "small.cfg", "header": [0, 2, 5, 64],
               "model": model.state_dict(), "arguments": {"epochs": 3, "hyp": [["giou", 2.0]]},
               "training": {"progress": {"epoch": 1, "batch": 0, "step": 2}, "model": None}}
        ancestor = {"epoch": 7, "best_fitness": np.float64(0.5), "training_results": None, "optimizer": None,
                    "model": {name.replace("layers.", "module_list.").replace(".bn.", ".BatchNorm2d."): value
                              for name, value in model.state_dict().items()}}
        for entries in (own, ancestor):
            written = io.BytesIO()
            torch.save(entries, written)
            yield Start(written.getvalue(), network)


def voc_starts() -> Iterator[Start]:
    """VOC annotation files."""
    yield Start(b"""<annotation>
  <folder>VOC</folder><filename>0.png</filename>
  <size><width>20</width><height>12</height><depth>3</depth></size>
  <object><name>cat</name><difficult>0</difficult>
    <bndbox><xmin>2</xmin><ymin>3</ymin><xmax>15.5</xmax><ymax>9</ymax></bndbox></object>
  <object><name>dog</name><difficult>1</difficult>
    <bndbox><xmin>1</xmin><ymin>1</ymin><xmax>20</xmax><ymax>12</ymax></bndbox></object>
</annotation>
""")


def coco_starts() -> Iterator[Start]:
    """COCO files."""
    images = [{"id": i, "file_name": f"{i}.png", "width": 20, "height": 12} for i in range(2)]
    boxes = [{"id": i, "image_id": i % 2, "category_id": 1 + i % 2, "bbox": [1, 2, 5.5, 6], "area": 30.5, "iscrowd": i // 3}
             for i in range(4)]
    yield Start(json.dumps({"images": images, "annotations": boxes,
                            "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]}).encode())


def image_starts() -> Iterator[Start]:
    """Small pictures in several formats."""
    picture = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    for ending in (".png", ".jpg", ".bmp"):
        yield Start(cv2.imencode(ending, picture)[1].tobytes())


def results_starts() -> Iterator[Start]:
    """results.csv of a training."""
    yield Start(b"epoch,lr,s,train/total,map50,seconds\n0,0.01,,5.25,,1.5\n1,0.001,0.001,4.5,0.125,1.25\n")

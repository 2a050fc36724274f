"""export.py as a user meets it: one file, what is in it, and one line per error."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.shared import SHARED, needs_shared
from utils.deploy import ENGINES

needs_onnxruntime = pytest.mark.skipif(ENGINES["onnxruntime"].missing() is not None,
                                       reason=str(ENGINES["onnxruntime"].missing()))


@pytest.fixture
def export(command):
    return command("export.py")


def session(file):
    import onnxruntime

    return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])


@needs_onnxruntime
def test_the_file_lies_beside_the_weights_and_its_ends_are_told(pair, export, capsys):
    before = pair.files()
    assert export([*pair.model, "--threads", "1"]) == 0
    assert pair.files() - before == {pair.folder / "small.onnx"}
    out = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=2) for line in out[2:4]] == [
        ["input", "images", "N x 3 x 32 x 32"], ["output", "head_2", "N x 21 x 8 x 8"]]
    assert out[-1].startswith(f"wrote {pair.folder / 'small.onnx'}: verified against ONNX Runtime (")


@needs_onnxruntime
def test_size_batch_opset_and_boxes(pair, export):
    assert export([*pair.model, "--out", "other.onnx", "--img_size", "96,64", "--batch", "2", "--opset", "17", "--decoded",
                   "--threads", "1"]) == 0
    (image,), (boxes,) = session("other.onnx").get_inputs(), session("other.onnx").get_outputs()
    assert (image.name, image.shape) == ("images", [2, 3, 64, 96])
    assert (boxes.name, boxes.shape) == ("predictions", [2, 3 * 16 * 24, 7])


@needs_onnxruntime
@needs_shared
def test_boxes_of_a_real_pair_are_those_that_were_recorded(export, tmp_path):
    """Outputs of the heads recorded elsewhere, decoded here by the formulas of Darknet's yolo_layer.c."""
    folder, file = SHARED / "weights" / "yoloface-50k", tmp_path / "face.onnx"
    assert export(["--cfg", str(folder / "model.cfg"), "--weights", str(folder / "model.weights"), "--out", str(file),
                   "--decoded", "--batch", "dynamic", "--threads", "1"]) == 0
    with np.load(SHARED / "weights" / "raw_heads" / "yoloface-50k.npz") as truth:
        x = truth["input_u8"].astype(np.float32).transpose(2, 0, 1)[None] / 255
        (name,) = [name for name in truth.files if name.startswith("head_") and "eps" not in name]
        raw = truth[name].reshape(3, 6, 7, 7)
    (got,) = session(file).run(None, {"images": x})
    anchors = ((9, 14), (12, 17), (22, 21))
    rows = iter(got[0])
    for anchor, (w, h) in zip(raw, anchors, strict=True):
        for y in range(7):
            for x in range(7):
                tx, ty, tw, th, *scores = anchor[:, y, x].astype(float)
                want = [(x + 1 / (1 + np.exp(-tx))) * 8, (y + 1 / (1 + np.exp(-ty))) * 8, w * np.exp(tw), h * np.exp(th),
                        *(1 / (1 + np.exp(-s)) for s in scores)]
                np.testing.assert_allclose(next(rows), want, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("more", "said"), [
    (["--out", "small.weights"], "--out: small.weights would overwrite an input"),
    (["--out", "small.cfg"], "--out: small.cfg would overwrite an input"),
    (["--out", "no/where.onnx"], "no/where.onnx: cannot be written: there is no such folder"),
    (["--out", "images"], "images: is a folder, not a file"),
    (["--batch", "0"], "argument --batch: 0 is too small"),
    (["--batch", "many"], "'many' is not a whole number; write 1 or more"),
    (["--device", "cuda"], "--device: cuda: engines are compared on the CPU"),
    pytest.param(["--opset", "9"], "opset: 9 is not supported; choose 13 to 17", marks=needs_onnxruntime),
    pytest.param(["--cfg", "no.cfg"], "no.cfg: does not exist", marks=needs_onnxruntime),
    pytest.param(["--weights", "small.names"], "small.names", marks=needs_onnxruntime),
])
def test_what_makes_no_sense_is_one_line_and_2(more, said, pair, export, capsys):
    before = {path: path.read_bytes() for path in pair.files()}
    assert export([*pair.model, *more]) == 2
    assert {path: path.read_bytes() for path in pair.files()} == before
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert said in err
    assert err.count("\n") == 1


def test_without_onnx_the_install_line_is_named(pair, export, capsys, monkeypatch):
    row = dataclasses.replace(ENGINES["onnxruntime"], missing=lambda: "pip install onnx onnxruntime")
    monkeypatch.setattr("utils.deploy.onnx_export.ENGINES", {**ENGINES, "onnxruntime": row})
    assert export(pair.model) == 2
    assert capsys.readouterr().err == "error: onnxruntime: ONNX Runtime is not installed; pip install onnx onnxruntime\n"
    assert not (pair.folder / "small.onnx").exists()


def test_help_has_an_example(export, capsys):
    assert export(["--help"]) == 0
    assert "python export.py --cfg my.cfg --weights my.weights --out my.onnx" in capsys.readouterr().out

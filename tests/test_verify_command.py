"""verify.py as a user meets it: tables, exit codes, one line per error."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import verify
from tests.deploy.pairs import OLD, TINY, pair
from tests.shared import SHARED, needs_shared
from utils.deploy import ENGINES

needs_opencv = pytest.mark.skipif(ENGINES["opencv"].missing() is not None, reason=str(ENGINES["opencv"].missing()))
needs_onnxruntime = pytest.mark.skipif(ENGINES["onnxruntime"].missing() is not None,
                                       reason=str(ENGINES["onnxruntime"].missing()))


def words(files, *more):
    return ["--cfg", str(files[0]), "--weights", str(files[1]), *more]


@needs_opencv
def test_a_good_pair_ends_with_verified_and_0(tmp_path, capsys):
    assert verify.main(words(pair(tmp_path), "--engine", "opencv", "--threads", "1")) == 0
    out = capsys.readouterr().out
    assert "same epsilon" in out
    assert "as deployed" in out
    assert out.splitlines()[-1].startswith("verified against OpenCV (")


@needs_opencv
def test_a_disagreement_ends_with_2_and_the_numbers(tmp_path, capsys, monkeypatch):
    class Wrong:
        name, threads = "opencv", None

        def __init__(self, *files, **options):
            self.real = ENGINES["torch"].open(*files)

        def heads(self, x):
            return [head + np.float32(0.1) for head in self.real.heads(x)]

    row = dataclasses.replace(ENGINES["opencv"], open=Wrong)
    monkeypatch.setattr("utils.deploy.verify.compare_pair.__kwdefaults__",
                        {**verify_defaults(), "table": {**ENGINES, "opencv": row}})
    assert verify.main(words(pair(tmp_path), "--engine", "opencv")) == 2
    said = capsys.readouterr()
    assert "differs" in said.out
    assert said.err.startswith(f"error: {tmp_path / 'model.cfg'}: OpenCV computes something else than torch")
    assert said.err.count("\n") == 1


def verify_defaults():
    from utils.deploy.verify import compare_pair

    return dict(compare_pair.__kwdefaults__)


@needs_onnxruntime
def test_an_engine_that_cannot_run_the_cfg_says_why_and_another_verifies(tmp_path, capsys):
    files = pair(tmp_path, TINY.replace("activation=mish", "activation=gelu"))
    assert verify.main(words(files, "--engine", "opencv")) == 0
    out = capsys.readouterr().out
    assert f"OpenCV cannot run this cfg: {files[0]}:24: activation=gelu is unknown to it" in out
    assert out.splitlines()[-1].startswith("verified against ONNX Runtime (")


def test_a_pair_that_no_engine_could_run_ends_with_2(tmp_path, capsys, monkeypatch):
    table = {name: dataclasses.replace(kind, missing=lambda: "pip install it") if name != "torch" else kind
             for name, kind in ENGINES.items()}
    monkeypatch.setattr("utils.deploy.verify.compare_pair.__kwdefaults__", {**verify_defaults(), "table": table})
    assert verify.main(words(pair(tmp_path))) == 2
    said = capsys.readouterr()
    assert "OpenCV is not installed: pip install it" in said.out
    assert "not verified: no other engine could run it" in said.err


@needs_opencv
@needs_shared
def test_pictures_and_the_report_file(tmp_path, capsys):
    folder = SHARED / "weights" / "yolo-fastest-1.1-coco"
    report = tmp_path / "report.json"
    code = verify.main(words((folder / "model.cfg", folder / "model.weights"), "--engine", "opencv", "--limit", "2",
                             "--images", str(SHARED / "weights" / "images"), "--save-json", str(report)))
    assert code == 0
    plain = json.loads(report.read_text())
    assert plain["image_shape"] == [2, 3, 320, 320]
    assert plain["engines"][0]["relative"] < 1e-5
    assert [head["layer"] for head in plain["engines"][0]["heads"]] == [121, 130]


@needs_opencv
def test_another_input_size(tmp_path):
    report = tmp_path / "report.json"
    assert verify.main(words(pair(tmp_path, OLD), "--engine", "opencv", "--img_size", "96,64",
                             "--save-json", str(report))) == 0
    assert json.loads(report.read_text())["image_shape"] == [2, 3, 64, 96]


@pytest.mark.parametrize(("more", "said"), [
    (["--engine", "torch"], "names no engine that could check torch"),
    (["--engine", ""], "names no engine"),
    (["--tolerance", "0"], "0 is not above 0; write 1e-4"),
    (["--images", "nowhere.jpg"], "nowhere.jpg: does not exist"),
    (["--device", "cuda"], "--device: cuda: engines are compared on the CPU"),
    (["--save-json", "model.weights"], "--save-json: model.weights would overwrite an input"),
    (["--images", "model.cfg", "--save-json", "model.cfg"], "--save-json: model.cfg would overwrite an input"),
])
def test_what_makes_no_sense_is_one_line_and_2(more, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = pair(tmp_path)
    before = [path.read_bytes() for path in files]
    assert verify.main(words(files, *more)) == 2
    assert [path.read_bytes() for path in files] == before
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_missing_files_are_one_line(tmp_path, capsys):
    assert verify.main(["--cfg", "no.cfg", "--weights", "no.weights"]) == 2
    assert capsys.readouterr().err.startswith("error: no.cfg: does not exist")


@needs_opencv
def test_an_epsilon_that_users_of_the_engine_will_see_is_pointed_out(tmp_path, capsys):
    assert verify.main(words(pair(tmp_path, smallest_variance=1e-6), "--engine", "opencv")) == 0
    assert "OpenCV: its own batch-norm epsilon moves the heads by" in capsys.readouterr().out


def test_help_explains_the_two_columns(capsys):
    assert verify.main(["--help"]) == 0
    assert "same epsilon" in capsys.readouterr().out

"""test.py from end to end: tables on stdout, COCO results and figures as JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.shared import SHARED, needs_shared

REAL = SHARED / "weights"
COCO128 = SHARED / "datasets" / "coco128-train2017"


@pytest.fixture
def evaluate(command):
    return command("test.py")


def test_every_figure_is_named_with_its_definition(pair, evaluate, capsys):
    assert evaluate([*pair.model, "--data", "small.data", "-q"]) == 0
    said = capsys.readouterr()
    lines = {line.split("  ")[0]: line for line in said.out.splitlines()[3:]}
    assert {"P", "R", "F1", "mAP@0.5", "mAP@0.5:0.95"} <= set(lines)
    assert "COCO: mean over IoU 0.5, 0.55 ... 0.95" in lines["mAP@0.5:0.95"]
    assert "3 images with 3 labels (valid of small.data), 32x32 stretched, torch" in said.out
    assert said.err == ""


@pytest.mark.parametrize("flag", ["--verbose", "--per-class"])
def test_verbose_adds_a_row_per_class(pair, evaluate, flag, capsys):
    assert evaluate([*pair.model, "--data", "small.data", flag]) == 0
    rows = [line.split()[:2] for line in capsys.readouterr().out.splitlines()[-2:]]
    assert rows == [["cat", "1"], ["dog", "2"]]


def test_save_json_writes_coco_results_and_all_figures(pair, evaluate, capsys):
    assert evaluate([*pair.model, "--data", "small.data", "--save-json", "mine.json", "-q"]) == 0
    results = json.loads((pair.folder / "mine.json").read_text())
    figures = json.loads((pair.folder / "mine-metrics.json").read_text())
    assert {tuple(one) for one in results} == {("image_id", "category_id", "bbox", "score")}
    assert {one["image_id"] for one in results} <= {0, 1, 2}
    assert figures["metrics"]["images"] == 3
    assert len(results) == figures["metrics"]["detections"]
    assert capsys.readouterr().out.endswith("wrote mine.json and mine-metrics.json\n")


def test_save_json_without_a_name_takes_results_json(pair, evaluate):
    assert evaluate([*pair.model, "--data", "small.data", "-q", "--save-json"]) == 0
    assert (pair.folder / "results.json").is_file()
    assert (pair.folder / "results-metrics.json").is_file()


def figures_of(evaluate, pair, *words):
    assert evaluate([*pair.model, "--data", "small.data", "-q", "--save-json", "f.json", "--device", "cpu", *words]) == 0
    return json.loads((pair.folder / "f-metrics.json").read_text())["metrics"]


def test_batch_size_and_workers_change_nothing(pair, evaluate):
    first = figures_of(evaluate, pair, "--batch-size", "1", "--workers", "0")
    second = figures_of(evaluate, pair, "--batch-size", "2", "--workers", "3")
    assert first["detections"] == second["detections"]
    assert first["map50_coco"] == pytest.approx(second["map50_coco"], abs=1e-6)


@pytest.mark.parametrize("engine", ["opencv", "onnxruntime"])
def test_other_engines_give_the_same_figures(pair, evaluate, engine):
    if engine == "onnxruntime":
        pytest.importorskip("onnxruntime")
    ours, theirs = figures_of(evaluate, pair), figures_of(evaluate, pair, "--engine", engine)
    for key in ("map", "map50_coco", "recall"):
        assert theirs[key] == pytest.approx(ours[key], abs=2e-3)


def test_old_command_lines_of_the_ancestor_still_run(pair, evaluate):
    assert evaluate(["--cfg", "small.cfg", "--data", "small.data", "--weights", "small.weights", "--batch-size", "16",
                     "--img-size", "32", "--conf-thres", "0.001", "--iou-thres", "0.5", "--nms-thres", "0.5",
                     "--task", "test", "-q"]) == 0


def test_ctrl_c_leaves_nothing_behind(pair, evaluate, monkeypatch, capsys):
    import utils.training.evaluation as evaluation

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation, "evaluate", interrupt)
    before = pair.files()
    assert evaluate([*pair.model, "--data", "small.data", "--save-json", "x.json", "-q"]) == 130
    assert capsys.readouterr().err == "interrupted; nothing was written\n"
    assert pair.files() == before


@needs_shared
def test_a_real_network_on_coco_images_scores_as_pycocotools_says(evaluate, tmp_path, capsys):
    """mAP of yolo-fastest on the first 16 COCO images: our table against pycocotools on the JSON that we saved."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    chosen = [line.strip() for line in (COCO128 / "train.txt").read_text().split("\n") if line.strip()][:16]
    (tmp_path / "some.txt").write_text("".join(f"{COCO128 / line}\n" for line in chosen))
    (tmp_path / "some.data").write_text(
        f"classes=80\nvalid={tmp_path / 'some.txt'}\nnames={COCO128 / 'names.txt'}\n")
    folder = REAL / "yolo-fastest-1.1-coco"
    assert evaluate(["--cfg", str(folder / "model.cfg"), "--weights", str(folder / "model.weights"), "--data",
                     str(tmp_path / "some.data"), "--save-json", str(tmp_path / "r.json"), "-q", "--device", "cpu"]) == 0
    metrics = json.loads((tmp_path / "r-metrics.json").read_text())["metrics"]
    truth = json.loads((COCO128 / "instances.json").read_text())
    ids = {int(name[7:-4]) for name in chosen}
    truth["images"] = [one for one in truth["images"] if one["id"] in ids]
    truth["annotations"] = [one for one in truth["annotations"] if one["image_id"] in ids]
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    known = COCO(str(tmp_path / "truth.json"))
    judge = COCOeval(known, known.loadRes(str(tmp_path / "r.json")), "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    np.testing.assert_allclose(metrics["map"], judge.stats[0], atol=2e-3)  # labels in txt are rounded
    np.testing.assert_allclose(metrics["map50_coco"], judge.stats[1], atol=2e-3)
    assert metrics["map50_coco"] > 0.3

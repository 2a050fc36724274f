"""Each check: silent about a healthy pair, and loud about the one thing that a case breaks; and its advice is sound.

A case is a way to break the healthy files, the subject and mark of the finding, words of it, and whether running the first
command that is suggested makes the finding go away.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.cli.doctor.conftest import CFG, Patient, check_command, sparse
from utils.darknet import initial_weights, parse_network, read_weights, write_weights
from utils.deploy import engine_neutral

CASES: dict[str, Case] = {}


@dataclass(frozen=True)
class Case:
    """One broken thing."""

    breaks: Callable[[Patient], None]
    subject: str
    mark: str
    words: str
    mended: bool
    percent: float | None


def case(subject: str, mark: str, words: str, *, mended: bool = False, percent: float | None = None):
    """Register a way to break things; the function's name says what is wrong."""
    def register(function: Callable) -> Callable:
        CASES[function.__name__.replace("_", " ")] = Case(function, subject, mark, words, mended, percent)
        return function
    return register


# -- cfg --------------------------------------------------------------------------------------------------------------

@case("cfg", "wrong", "my.cfg: does not exist")
def a_cfg_that_is_not_there(patient):
    Path("my.cfg").unlink()


@case("cfg", "wrong", "reads 18 channels, but 3 anchors x (5 + 2 classes) = 21", mended=True)
def filters_that_do_not_fit_the_head(patient):
    patient.edit("my.cfg", "filters=21", "filters=18")


@case("cfg", "look", "neither an option nor a comment")
def a_line_that_nobody_reads(patient):
    patient.edit("my.cfg", "pad=1\n", "pad=1\nstride 1\n")


@case("cfg", "look", "mask=3 lies outside num=3")
def a_mask_beyond_the_anchors(patient):
    patient.edit("my.cfg", "mask=0,1,2", "mask=0,1,3")


@case("text", "look", "my.cfg:1: Windows line ends")
def windows_line_ends(patient):
    Path("my.cfg").write_bytes(CFG.replace("\n", "\r\n").encode())


@case("text", "look", "byte order mark")
def a_byte_order_mark(patient):
    Path("my.cfg").write_bytes(b"\xef\xbb\xbf" + CFG.encode())


@case("heads", "wrong", "it cannot detect")
def a_network_without_heads(patient):
    Path("my.cfg").write_text(CFG.partition("[yolo]")[0])


@case("masks", "look", "no mask= names anchor 0")
def an_anchor_that_no_head_uses(patient):
    patient.edit("my.cfg", "mask=0,1,2", "mask=1,2")
    patient.edit("my.cfg", "filters=21", "filters=14")


@case("widths", "look", "1 of 2 convolutions have no multiple of 8 channels (layer 0: 13")
def a_width_that_engines_round_up(patient):
    patient.edit("my.cfg", "filters=16", "filters=13")


@case("speed", "look", "half of the operations are in layers 0 to 0 of 6")
def work_where_the_parameters_are_not(patient):
    deep = "[convolutional]\nbatch_normalize=1\nfilters=64\nsize=3\nstride=8\npad=1\nactivation=leaky\n\n"
    patient.edit("my.cfg", "[convolutional]\nbatch_normalize=1\nfilters=16\nsize=3\nstride=1", deep + deep
                 + "[convolutional]\nbatch_normalize=1\nfilters=16\nsize=3\nstride=1")
    patient.edit("my.cfg", "stride=4", "stride=1")


@case("cfg in OpenCV", "look", "it ignores dilation=")
def an_option_that_opencv_ignores(patient):
    patient.edit("my.cfg", "stride=1\n", "stride=1\ndilation=2\n")


@case("cfg in Darknet (2018)", "look", "it takes relu for activation=mish")
def an_activation_that_old_darknet_lacks(patient):
    patient.edit("my.cfg", "activation=leaky", "activation=mish")


@case("cfg in ONNX Runtime", "look", "dontload=1: the weights file does not hold this layer's numbers")
def numbers_that_onnx_would_have_to_invent(patient):
    patient.edit("my.cfg", "stride=4\n", "stride=4\ndontload=1\n")


# -- weights ----------------------------------------------------------------------------------------------------------

@case("weights", "wrong", "is a Git LFS pointer")
def weights_that_git_did_not_fetch(patient):
    Path("my.weights").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


@case("weights", "wrong", "HTML page")
def weights_that_are_a_web_page(patient):
    Path("my.weights").write_text("<html><body>Sorry, this file is no longer here")


@case("weights", "wrong", "does not exist")
def weights_that_are_not_there(patient):
    Path("my.weights").unlink()


@case("weights", "look", "my.weights holds layers 0 to 0 of 4: a start for training")
def the_first_layers_only(patient):
    network = parse_network(CFG)
    held = 20 + 4 * network.layers[0].parameters
    Path("my.weights").write_bytes(Path("my.weights").read_bytes()[:held])


@case("weights", "wrong", "ends too early: layer 1")
def weights_that_were_cut_off(patient):
    Path("my.weights").write_bytes(Path("my.weights").read_bytes()[:-4000])


@case("weights", "wrong", "was trained for 5 classes", mended=True)
def weights_of_other_classes(patient):
    Path("my.data").unlink()
    patient.write_weights(cfg=CFG.replace("filters=21", "filters=30").replace("classes=2", "classes=5"))


@case("weights", "look", "was trained for 5 classes, my.cfg is for those of my.data: a start for training")
def weights_of_other_classes_and_data_for_the_cfg(patient):
    patient.write_weights(cfg=CFG.replace("filters=21", "filters=30").replace("classes=2", "classes=5"))


@case("weights", "wrong", "it has the length that before.cfg asks for")
def weights_of_the_cfg_beside_it(patient):
    wide = CFG.replace("filters=16", "filters=24", 1)
    Path("before.cfg").write_text(wide)
    patient.write_weights(cfg=wide)


@case("weights", "wrong", "are NaN or infinite")
def weights_that_diverged(patient):
    patient.write_weights(lambda arrays: {name: np.full_like(array, np.nan) for name, array in arrays.items()})


@case("weights", "look", "is a PyTorch checkpoint that fits my.cfg")
def a_checkpoint(patient):
    from models import convert

    convert("my.cfg", "my.weights", "my.pt")
    Path("my.pt").replace("my.weights")


@case("seen", "look", "Darknet stops at 200 (batch 2 x max_batches 100)")
def a_header_that_ends_a_training_at_once(patient):
    patient.write_weights(sparse, seen=200)


@case("batch norm", "look", "OpenCV, whose epsilon is 1e-6, computes something else")
def variances_near_nothing(patient):
    patient.write_weights(lambda arrays: {**sparse(arrays), **({"var": arrays["var"] * 1e-5} if "var" in arrays else {})})


@case("batch norm", "wrong", "running variances below zero in 2 layers")
def variances_below_zero(patient):
    patient.write_weights(lambda arrays: {**arrays, **({"var": -arrays["var"]} if "var" in arrays else {})})


# -- gammas -----------------------------------------------------------------------------------------------------------

@case("gammas", "look", "0.0% of the gammas that can go are below 0.01")
def no_sparsity_training(patient):
    patient.write_weights()


@case("wanted cut", "wrong", "was hardly trained with sparsity", percent=0.6)
def a_cut_of_a_network_without_sparsity(patient):
    patient.write_weights()


@case("wanted cut", "look", "75% leaves nothing of layers 0 but what --layer_keep saves", percent=0.75)
def a_cut_that_empties_a_layer(patient):
    low = iter((0.5, 1.5))
    patient.write_weights(lambda arrays: {**sparse(arrays), "gamma": sparse(arrays)["gamma"] * np.float32(0.1 * next(low) ** 4)}
                          if "gamma" in arrays else arrays)


@case("yield", "look", "less than was asked", percent=0.5)
def a_share_of_channels_that_saves_less(patient):
    sections = CFG.split("\n\n")
    patient.folder.joinpath("my.cfg").write_text("\n\n".join([*sections[:3], "[shortcut]\nfrom=-2\nactivation=linear",
                                                              *sections[3:]]))
    halves = iter((slice(0, 8), slice(8, 16)))

    def other_halves(arrays):
        if "gamma" not in arrays:
            return arrays
        gamma = np.ones(16, np.float32)
        gamma[next(halves)] = 1e-4
        return {**arrays, "gamma": gamma}

    patient.write_weights(other_halves)


@case("gammas", "wrong", "was written with --engine-neutral", percent=0.5)
def a_cut_of_an_engine_neutral_pair(patient):
    network = parse_network(CFG)
    write_weights("my.weights", network, engine_neutral(network, read_weights("my.weights", network)))


@case("gammas", "wrong", "has no batch-norm scale to press")
def a_network_without_batch_norm(patient):
    text = CFG.replace("batch_normalize=1\n", "")
    Path("my.cfg").write_text(text)
    patient.write_weights()


# -- data -------------------------------------------------------------------------------------------------------------

@case("data", "wrong", "my.data: does not exist")
def data_that_is_not_there(patient):
    Path("my.data").unlink()


@case("data", "wrong", "my.data does not say valid=", mended=True)
def data_without_valid(patient):
    patient.edit("my.data", "valid=valid.txt\n", "")


@case("names", "wrong", "my.data:1 says classes=3, but my.names has 2 names", mended=True)
def more_classes_than_names(patient):
    patient.edit("my.data", "classes=2", "classes=3")


@case("names", "wrong", "my.data:1 says classes=3", mended=True)
def classes_behind_a_byte_order_mark(patient):
    Path("my.data").write_text("\ufeff" + Path("my.data").read_text().replace("classes=2", "classes=3"), encoding="utf-8")


@case("names", "wrong", "my.names: does not exist")
def names_that_are_not_there(patient):
    Path("my.names").unlink()


@case("names", "look", "'cat' stands there more than once")
def two_classes_of_one_name(patient):
    Path("my.names").write_text("cat\ncat\n")


@case("names", "look", "my.names:2 is an empty line")
def a_gap_in_the_names(patient):
    Path("my.names").write_text("cat\n\ndog\n")
    patient.edit("my.data", "classes=2", "classes=3")


@case("classes", "wrong", "the heads of my.cfg know 2 classes, my.data has 3", mended=True)
def another_number_of_classes_in_the_data(patient):
    Path("my.names").write_text("cat\ndog\nbird\n")
    patient.edit("my.data", "classes=2", "classes=3")


@case("backup", "look", "there is no such folder", mended=True)
def a_backup_folder_that_is_not_there(patient):
    patient.edit("my.data", "names=", "backup=saved/here\nnames=")


# -- images and labels ------------------------------------------------------------------------------------------------

@case("train", "wrong", "train.txt: does not exist")
def a_list_that_is_not_there(patient):
    Path("train.txt").unlink()


@case("train", "wrong", "1 images of train.txt do not exist, the first: train.txt:2: the image 'images/none.png'", mended=True)
def an_image_that_is_not_there(patient):
    patient.edit("train.txt", "images/1.png", "images/none.png")


@case("valid", "wrong", "images/65.png: is cut off", mended=True)
def an_image_that_is_cut_off(patient):
    Path("images/65.png").write_bytes(Path("images/65.png").read_bytes()[:900])


@case("train", "wrong", "images/note.gif: is no image that OpenCV can decode", mended=True)
def a_file_that_is_no_image(patient):
    Path("images/note.gif").write_bytes(b"GIF89a")
    Path("train.txt").write_text(Path("train.txt").read_text() + "images/note.gif\n")


@case("train list", "look", "1 line with \\ between folders, the first: train.txt:2", mended=True)
def a_list_from_windows(patient):
    patient.edit("train.txt", "images/1.png", "images\\1.png")


@case("train list", "look", "64 paths that start at the folder of the list, the first: lists/train.txt:1", mended=True)
def a_list_in_another_folder(patient):
    Path("lists").mkdir()
    Path("images").rename("lists/images")
    Path("labels").rename("lists/labels")
    Path("train.txt").rename("lists/train.txt")
    Path("valid.txt").write_text(Path("valid.txt").read_text().replace("images/", "lists/images/"))
    patient.edit("my.data", "train=train.txt", "train=lists/train.txt")


@case("train list", "look", "repeated lines in train.txt: 1;")
def an_image_that_stands_there_twice(patient):
    Path("train.txt").write_text(Path("train.txt").read_text() + "./images/1.png\n")


@case("train labels", "wrong", "labels/3.txt:1: width 1.5 lies outside [0, 1]")
def a_label_in_pixels(patient):
    Path("labels/3.txt").write_text("0 0.5 0.5 1.5 0.5\n")


@case("train labels", "wrong", "labels/3.txt:2: the class id 2 is too large")
def a_class_without_a_name(patient):
    Path("labels/3.txt").write_text("0 0.5 0.5 0.5 0.5\n2 0.5 0.5 0.5 0.5\n")


@case("train labels", "wrong", "labels/3.txt:1: the box has no area", mended=True)
def a_box_without_area(patient):
    Path("labels/3.txt").write_text("0 0.5 0.5 0 0.5\n0 0.5 0.5 0.25 0.25\n")


@case("train background", "look", "1 of 64 images have no label file")
def an_image_without_labels(patient):
    Path("labels/5.txt").unlink()


@case("train labels", "wrong", "no image has a label file")
def labels_in_another_folder(patient):
    Path("labels").rename("annotations")


@case("train labels", "wrong", "no image has a label file")
def annotations_that_nobody_converted(patient):
    Path("labels").rename("annotations")
    Path("Annotations").mkdir()


@case("train classes", "look", "1 of 2 classes have no box: dog")
def a_class_without_a_box(patient):
    for path in Path("labels").iterdir():
        path.write_text(path.read_text().replace("1 ", "0 ", 1) if path.read_text().startswith("1") else path.read_text())


@case("train sizes", "look", "1 images are shorter than 32 pixels or 4 times as long as wide, the first: images/2.png (9x9)")
def a_tiny_image(patient):
    cv2.imwrite("images/2.png", np.zeros((9, 9, 3), np.uint8))


@case("train shape", "look", "images are stretched 1.78 times in the median")
def wide_images_for_a_square_network(patient):
    for path in Path("images").iterdir():
        cv2.imwrite(str(path), np.zeros((36, 64, 3), np.uint8))


@case("train shape", "look", "75% of the 32x32 input is grey")
def a_letterbox_that_is_mostly_grey(patient):
    patient.edit("my.cfg", "channels=3", "channels=3\nletter_box=1")
    for path in Path("images").iterdir():
        cv2.imwrite(str(path), np.zeros((32, 128, 3), np.uint8))


@case("train boxes", "look", "33.3% of the boxes are narrower than 4 pixels at 32x32")
def boxes_too_small_to_see(patient):
    for number in range(0, 70, 3):
        Path(f"labels/{number}.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    Path("train.txt").write_text("".join(f"images/{number}.png\n" for number in range(63)))


@case("calibration", "look", "20 training images, and a repair wants 64")
def few_images(patient):
    Path("train.txt").write_text("".join(f"images/{number}.png\n" for number in range(20)))


@case("anchors", "wrong", "mean IoU 0.19 with the 64 boxes, and 32.8%", mended=True)
def anchors_of_other_objects(patient):
    """Boxes of 5, 8 and 16 pixels in 20x30: (22 * 25 + 21 * 64 + 21 * 256) / 600 / 64 = 0.19; only 256 / 600 is enough."""
    patient.edit("my.cfg", "anchors=5,5, 8,8, 16,16", "anchors=20,30, 30,25, 31,31")


@case("split", "look", "6 of the 6 images of valid= are in train=")
def images_to_learn_and_to_judge_by(patient):
    Path("train.txt").write_text(Path("train.txt").read_text() + Path("valid.txt").read_text())


# ---------------------------------------------------------------------------------------------------------------------

def test_nothing_is_said_against_healthy_files(healthy):
    findings = [finding for finding in healthy.examined(0.4) if finding.mark != "fine"]
    assert not [f for f in findings if f.subject not in ("gpu", "Darknet (2018)", "ONNX Runtime")], findings


@pytest.mark.parametrize("name", CASES)
def test_what_is_broken_is_found_and_the_advice_is_sound(healthy, name):
    one = CASES[name]
    one.breaks(healthy)
    before = sorted(path for path in healthy.folder.rglob("*"))
    findings = healthy.examined(one.percent)
    assert sorted(path for path in healthy.folder.rglob("*")) == before, "a doctor writes nothing"
    found = [finding for finding in findings if finding.subject == one.subject and one.words in finding.text]
    assert [finding.mark for finding in found] == [one.mark], [f for f in findings if f.mark != "fine"]
    for finding in findings:
        assert "\n" not in finding.text
        for command in finding.commands:
            check_command(command)
    if one.mended:
        subprocess.run(["bash", "-c", found[0].commands[0]], check=True, cwd=healthy.folder)
        assert not [finding.text for finding in healthy.examined(one.percent)
                    if finding.subject == one.subject and one.words in finding.text]


def test_what_is_said_of_images_is_about_the_size_that_was_asked_for(healthy):
    """Boxes of 5, 8 and 16 of 32 pixels have 2.5, 4 and 8 of 16, where anchors still have 5, 8 and 16: IoU 0.25, 0.64 and 1."""
    assert {finding.mark for finding in healthy.examined(img_size=(32, 32)) if finding.subject in ("size", "train boxes", "anchors")} \
        == {"fine"}
    (boxes,) = healthy.said("train boxes", img_size=(16, 16))
    assert (boxes.mark, "34.4% of the boxes are narrower than 4 pixels at 16x16" in boxes.text) == ("look", True)  # 22 of 64
    assert boxes.commands == ("python train.py --cfg my.cfg --weights my.weights --img_size 32,32 --data my.data",)
    (anchors,) = healthy.said("anchors", img_size=(16, 16))
    assert (anchors.mark, "mean IoU 0.62 with the 64 boxes, and 65.6%" in anchors.text) == ("wrong", True)  # 42 of 64
    (shape,) = healthy.said("train shape", img_size=(32, 64))
    assert (shape.mark, "stretched 2.00 times in the median, as letter_box=0 says, to 64x32" in shape.text) == ("look", True)


def test_a_size_that_does_not_go_through_the_layers_is_wrong_and_the_nearest_that_does_is_named(healthy):
    from utils.darknet.builder import build_cfg

    Path("my.cfg").write_text(build_cfg("yolov4-tiny", classes=2, width_multiple=0.25))
    (size,) = healthy.said("size", weights=None, img_size=(416, 400))
    assert (size.mark, "400x416 does not go through the layers: my.cfg:" in size.text) == ("wrong", True)
    assert size.commands == ("python doctor.py --cfg my.cfg --weights MY.weights --img_size 384,416 --data my.data",)
    check_command(size.commands[0])
    others = [command for finding in healthy.examined(img_size=(416, 400)) for command in finding.commands]
    assert not [command for command in others if "--img_size 400" in command]
    (size,) = healthy.said("size", weights=None, img_size=(416, 384))
    assert size.mark == "fine"


def test_a_compression_is_shown_the_images_of_the_data_that_was_named(healthy):
    healthy.write_weights()
    named = [command for finding in healthy.examined() for command in finding.commands if command.startswith("python compress.py")]
    assert named == ["python compress.py --cfg my.cfg --weights my.weights --data my.data --target 2x"]
    CASES["work where the parameters are not"].breaks(healthy)
    for data, images in (("my.data", "--data my.data"), (None, "--images PICTURES")):
        (speed,) = healthy.said("speed", weights=None, data=data and Path(data))
        assert speed.commands == (f"python compress.py --cfg my.cfg --weights MY.weights {images} --target gflops:2x",)


def test_every_mended_file_has_its_old_self_beside_it(healthy):
    healthy.edit("my.cfg", "filters=21", "filters=18")
    broken = Path("my.cfg").read_bytes()
    subprocess.run(["bash", "-c", healthy.said("cfg")[0].commands[0]], check=True)
    assert Path("my.cfg.bak").read_bytes() == broken
    assert Path("my.cfg").read_text() == CFG


def test_one_unreadable_file_does_not_hide_the_others(healthy):
    Path("my.cfg").write_text("no cfg at all")
    Path("my.weights").write_bytes(b"")
    healthy.edit("my.data", "classes=2", "classes=3")
    wrong = {finding.subject for finding in healthy.examined() if finding.mark == "wrong"}
    assert wrong == {"cfg", "weights", "names"}


def test_weights_alone_are_told_by_their_length(healthy):
    from utils.darknet.builder import build_cfg

    network = parse_network(build_cfg("yolov3-tiny", classes=3))
    write_weights("lone.weights", network, initial_weights(network))
    (finding,) = healthy.said("weights", cfg=None, data=None, weights=Path("lone.weights"))
    assert (finding.mark, "the length of yolov3-tiny with 3 classes" in finding.text) == ("look", True)


def test_weights_of_an_official_network_name_the_cfg_to_make(healthy):
    from utils.darknet.builder import build_cfg

    network = parse_network(build_cfg("yolov3-tiny", classes=3))
    write_weights("my.weights", network, initial_weights(network))
    (finding,) = healthy.said("weights")
    assert finding.commands == ("python make_cfg.py yolov3-tiny --classes 3 -o my.cfg",)


def test_a_cut_off_official_file_is_fetched_again(healthy):
    from utils.cli.doctor.weights import _OFFICIAL

    Path("my.weights").rename("yolov4-tiny.weights")
    Path("yolov4-tiny.weights").write_bytes(b"\0" * 30)
    (finding,) = healthy.said("weights", weights=Path("yolov4-tiny.weights"))
    assert finding.commands == ("rm -f yolov4-tiny.weights && weights/download.sh --to . yolov4-tiny",)
    script = Path(__file__).resolve().parents[3].joinpath("weights", "download.sh").read_text()
    table = script.partition("<<'TABLE'\n")[2].partition("TABLE\n")[0]
    assert {line.split()[0].removesuffix(".weights") for line in table.splitlines()} == _OFFICIAL


def test_the_safe_share_is_the_last_that_rescues_no_layer(healthy):
    """Held against slim pruning itself, at this share and at the next."""
    from utils.cli.doctor.gammas import safe_percent
    from utils.pruning import rescued_layers, slim_plan

    CASES["a cut that empties a layer"].breaks(healthy)
    network = parse_network(CFG)
    weights = read_weights("my.weights", network)
    safe = safe_percent(network, weights)
    assert 0 < safe < 0.75
    assert rescued_layers(network, weights, slim_plan(network, weights, safe)) == ()
    assert rescued_layers(network, weights, slim_plan(network, weights, safe + 0.01)) == (0,)


def test_anchors_of_a_region_head_are_in_cells(healthy):
    """The same sizes as in the healthy cfg: 8x8 cells of 4 pixels."""
    text = CFG.partition("[yolo]")[0] + "[region]\nanchors=1.25,1.25, 2,2, 4,4\nclasses=2\nnum=3\nsoftmax=1\ncoords=4\n"
    Path("my.cfg").write_text(text)
    assert [finding.mark for finding in healthy.said("anchors", weights=None)] == ["fine"]

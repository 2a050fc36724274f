"""What a user may get wrong: one line that names the place, code 2, and nothing written. For test.py and detect.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

CASES: dict[str, tuple[Callable, str]] = {}  # what is wrong -> (how to make it so, part of the message)


def case(message: str):
    """Register a way to break a pair; the function's name says what is wrong."""
    def register(function: Callable) -> Callable:
        CASES[function.__name__.replace("_", " ")] = (function, message)
        return function
    return register


# -- both commands ----------------------------------------------------------------------------------------------------

@case("missing.cfg: does not exist")
def a_cfg_that_is_not_there(pair):
    return ["--cfg", str(pair.folder / "missing.cfg")]


@case("the first section is [convolutional]")
def a_cfg_without_net(pair):
    pair.cfg.write_text(pair.cfg.read_text().partition("\n\n")[2])


@case("small.cfg:6: [convolutionall] is no section")
def an_unknown_section(pair):
    edit(pair.cfg, "[convolutional]", "[convolutionall]")


@case("small.cfg:12")
def an_unknown_activation(pair):
    edit(pair.cfg, "activation=leaky", "activation=leeky")


@case("small.cfg:8")
def filters_that_are_no_number(pair):
    edit(pair.cfg, "filters=8", "filters=abc")


@case("small.cfg:15: [route] layers=-5")
def a_route_to_a_layer_that_is_not_there(pair):
    insert(pair.cfg, "[route]\nlayers=-5\n\n")


@case("small.cfg:15: [route] layers=1")
def a_route_to_itself(pair):
    insert(pair.cfg, "[route]\nlayers=1\n\n")


@case("small.cfg:15: [shortcut] from=3")
def a_shortcut_to_a_later_layer(pair):
    insert(pair.cfg, "[shortcut]\nfrom=3\n\n")


@case("small.cfg:17: [shortcut] (layer 2) adds maps of unequal width x height")
def a_shortcut_of_unequal_maps(pair):
    insert(pair.cfg, "[maxpool]\nsize=2\nstride=2\n[shortcut]\nfrom=0\n\n")


@case("[route] (layer 2) concatenates maps of unequal width x height")
def a_route_of_unequal_maps(pair):
    insert(pair.cfg, "[maxpool]\nsize=2\nstride=2\n[route]\nlayers=-1,0\n\n")


@case("reads 21 channels, but 3 anchors x (5 + 3 classes) = 24")
def heads_whose_filters_do_not_fit_their_classes(pair):
    edit(pair.cfg, "classes=2", "classes=3")


@case("missing.weights: does not exist")
def weights_that_are_not_there(pair):
    return ["--weights", str(pair.folder / "missing.weights")]


@case("is a Git LFS pointer")
def weights_that_are_an_lfs_pointer(pair):
    pair.weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


@case("small.weights: is empty")
def empty_weights(pair):
    pair.weights.write_bytes(b"")


@case("small.weights: ends too early: layer 1")
def truncated_weights(pair):
    pair.weights.write_bytes(pair.weights.read_bytes()[:-8])


@case("small.weights: ")
def weights_that_are_too_long(pair):
    pair.weights.write_bytes(pair.weights.read_bytes() + bytes(400))


@case("holds layers 0 to 0 of 3 only")
def weights_of_the_first_layers_only(pair):
    pair.weights.write_bytes(pair.weights.read_bytes()[: 20 + 4 * (8 * 4 + 8 * 27)])


@case("are NaN or infinite")
def weights_with_nan(pair):
    data = bytearray(pair.weights.read_bytes())
    data[-4:] = b"\x00\x00\xc0\x7f"
    pair.weights.write_bytes(bytes(data))


@case("a folder")
def weights_that_are_a_folder(pair):
    return ["--weights", str(pair.folder)]


@case("--conf-thres")
def a_threshold_outside_0_and_1(pair):
    return ["--conf-thres", "1.5"]


@case("--nms-thres")
def a_suppression_of_one(pair):
    return ["--nms-thres", "1"]


@case("is no device that we know")
def a_device_that_does_not_exist(pair):
    return ["--device", "tpu"]


@case("invalid choice: 'tensorrt'")
def an_engine_that_we_do_not_know(pair):
    return ["--engine", "tensorrt"]


@case("--device: cuda is for --engine torch")
def a_gpu_for_an_engine_that_runs_on_the_cpu(pair, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    return ["--device", "cuda", "--engine", "opencv"]


@case("cannot run")
def an_engine_that_would_compute_something_else(pair):
    edit(pair.cfg, "activation=leaky", "activation=elu")
    return ["--engine", "opencv"]


@case("has 3 names, but the heads of the cfg know 2 classes")
def more_names_than_classes(pair):
    pair.names.write_text("cat\ndog\nbird\n")


@case("small.names: does not exist")
def a_names_file_that_is_not_there(pair):
    pair.names.unlink()


@case("1.png")
def an_image_that_is_no_image(pair):
    pair.images[1].write_bytes(b"not a picture")


@case("2.png: is cut off")
def an_image_that_is_cut_off(pair):
    pair.images[2].write_bytes(pair.images[2].read_bytes()[:200])


BOTH = dict(CASES)

# -- test.py alone ----------------------------------------------------------------------------------------------------


@case("valid.txt:1: the image 'images/0.png' does not exist")
def a_listed_image_that_is_not_there(pair):
    pair.images[0].unlink()


@case("0.txt:2: the class id 2 is too large: there are 2 names")
def a_class_id_beyond_the_names(pair):
    edit(pair.folder / "labels" / "0.txt", "1 0.25", "2 0.25")


@case("0.txt:1: x 40 lies outside [0, 1]")
def labels_in_pixels(pair):
    edit(pair.folder / "labels" / "0.txt", "0 0.5", "0 40")


@case("0.txt:1")
def a_label_with_too_few_columns(pair):
    edit(pair.folder / "labels" / "0.txt", "0 0.5 0.5 0.25 0.5", "0 0.5 0.5")


@case("missing.data: does not exist")
def a_data_file_that_is_not_there(pair):
    return ["--data", str(pair.folder / "missing.data")]


@case("small.data: does not say valid=")
def a_data_file_without_the_list(pair):
    edit(pair.data, "valid=valid.txt\n", "")


@case("small.data: does not say test=")
def a_split_that_the_data_file_does_not_have(pair):
    return ["--split", "test"]


@case("nothing.txt: does not exist")
def a_list_that_is_not_there(pair):
    edit(pair.data, "valid=valid.txt", "valid=nothing.txt")


@case("valid.txt: names no image")
def an_empty_list(pair):
    (pair.folder / "valid.txt").write_text("\n")


@case("small.data: does not say names=")
def a_data_file_without_names(pair):
    edit(pair.data, "names=small.names\n", "")


@case("small.data: says classes=5")
def a_data_file_for_other_classes(pair):
    edit(pair.data, "classes=2", "classes=5")


@case("results.json: is a folder")
def a_result_that_is_a_folder(pair):
    (pair.folder / "results.json").mkdir()
    return ["--save-json", "results.json"]


@case("results-metrics.json: is a folder")
def a_second_result_that_is_a_folder(pair):
    (pair.folder / "results-metrics.json").mkdir()
    return ["--save-json", "results.json"]


@case("--save-json: small.cfg would overwrite an input")
def a_result_that_is_an_input(pair):
    return ["--save-json", "small.cfg"]


@case("--save-json: valid.txt would overwrite an input")
def a_result_that_is_the_list_of_images(pair):
    return ["--save-json", "valid.txt"]


@case("--save-json: alias-metrics.data would overwrite an input")
def a_second_result_that_is_an_input(pair):
    (pair.folder / "alias-metrics.data").symlink_to("small.data")
    return ["--save-json", "alias.data"]


@case("deep/results.json: cannot be written")
def a_result_in_a_folder_that_is_not_there(pair):
    return ["--save-json", "deep/results.json"]


ONLY_TEST = {name: made for name, made in CASES.items() if name not in BOTH}

# -- detect.py alone --------------------------------------------------------------------------------------------------


@case("gone.jpg: does not exist")
def a_source_that_is_not_there(pair):
    return ["--source", str(pair.folder / "gone.jpg")]


@case("would overwrite one of the sources")
def an_output_that_is_the_source(pair):
    return ["--output", str(pair.folder / "images")]


@case("is a file, not a folder")
def an_output_that_is_a_file(pair):
    return ["--output", str(pair.cfg)]


@case("clip.mp4: cannot be read as a video")
def a_video_that_is_no_video(pair):
    (pair.folder / "clip.mp4").write_bytes(b"nothing moves here" * 100)
    return ["--source", str(pair.folder / "clip.mp4")]


ONLY_DETECT = {name: made for name, made in CASES.items() if name not in BOTH and name not in ONLY_TEST}


def insert(cfg: Path, sections: str) -> None:
    """Put sections between the two convolutions."""
    edit(cfg, "[convolutional]\nfilters=21", sections + "[convolutional]\nfilters=21")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def check(main, words, break_it, message, pair, monkeypatch, capfd):
    needs = break_it.__code__.co_argcount == 2
    words = [*words, *((break_it(pair, monkeypatch) if needs else break_it(pair)) or [])]
    before = pair.files()
    assert main(words) == 2
    said = capfd.readouterr()
    assert message in said.err
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1, "one line, no traceback"
    assert pair.files() == before, "nothing may be written"


@pytest.mark.parametrize("wrong", [*BOTH, *ONLY_TEST])
def test_test_refuses(wrong, pair, command, monkeypatch, capfd):
    words = [*pair.model, "--data", str(pair.data), "--save-json", "saved.json", "-q", "--device", "cpu"]
    check(command("test.py"), words, *CASES[wrong], pair, monkeypatch, capfd)


@pytest.mark.parametrize("wrong", [*BOTH, *ONLY_DETECT])
def test_detect_refuses(wrong, pair, command, monkeypatch, capfd):
    words = [*pair.model, "--data", str(pair.data), "--source", str(pair.folder / "images"), "-q", "--device", "cpu",
             "--output", str(pair.folder / "found")]
    check(command("detect.py"), words, *CASES[wrong], pair, monkeypatch, capfd)


@pytest.mark.parametrize("name", ["test.py", "detect.py"])
@pytest.mark.parametrize("flag", ["--cfg", "--weights"])
def test_a_forgotten_flag_is_named(name, flag, pair, command, capsys):
    words = [*pair.model, "--data", str(pair.data), *(["--source", "images"] if name == "detect.py" else [])]
    words = [word for i, word in enumerate(words) if word != flag and (i == 0 or words[i - 1] != flag)]
    assert command(name)(words) == 2
    assert capsys.readouterr().err == f"error: the following arguments are required: {flag} (see {name} --help)\n"

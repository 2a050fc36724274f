"""data/get_*.sh against a server on this machine that has small archives under the official names."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest

from tests.shared import SHARED, needs_shared
from utils.darknet import read_data
from utils.datasets import DetectionDataset

DATA = Path(__file__).resolve().parents[2] / "data"
BCCD = SHARED / "datasets" / "bccd-voc"
COCO = SHARED / "datasets" / "coco128-train2017"

pytestmark = pytest.mark.skipif(not shutil.which("bash") or not shutil.which("curl"), reason="needs bash and curl")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def mirror(tmp_path):
    """A folder and the address under which a server has it."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def run(script, *words):
    return subprocess.run(["bash", str(DATA / script), *words], capture_output=True, text=True, check=False, timeout=120,
                          env={**os.environ, "BONSAI_PYTHON": sys.executable, "no_proxy": "*"})


def voc_archives(folder):
    """trainval of 2007: two images; test of 2007: one; trainval of 2012: one. Blood cells in the place of VOC."""
    for archive, year, image_set, images in (
            ("VOCtrainval_06-Nov-2007.tar", "VOC2007", "trainval", ["00001", "00003"]),
            ("VOCtest_06-Nov-2007.tar", "VOC2007", "test", ["00007"]),
            ("VOCtrainval_11-May-2012.tar", "VOC2012", "trainval", ["00004"])):
        names = [f"BloodImage_{image}" for image in images]
        (folder / "set.txt").write_text("".join(f"{name}\n" for name in names))
        with tarfile.open(folder / archive, "w") as tar:
            base = f"VOCdevkit/{year}"
            tar.add(folder / "set.txt", f"{base}/ImageSets/Main/{image_set}.txt")
            for name in names:
                tar.add(BCCD / "JPEGImages" / f"{name}.jpg", f"{base}/JPEGImages/{name}.jpg")
                text = (BCCD / "Annotations" / f"{name}.xml").read_text()
                for ours, theirs in (("RBC", "car"), ("WBC", "cat"), ("Platelets", "dog")):
                    text = text.replace(f"<name>{ours}<", f"<name>{theirs}<")
                (folder / "x.xml").write_text(text)
                tar.add(folder / "x.xml", f"{base}/Annotations/{name}.xml")


@needs_shared
def test_get_voc_downloads_unpacks_and_converts_and_does_nothing_twice(mirror, tmp_path):
    folder, address = mirror
    voc_archives(folder)
    to = tmp_path / "to"
    done = run("get_voc.sh", "--to", str(to), "--from", address)
    assert done.returncode == 0, done.stderr
    data = read_data(to / "voc" / "voc.data")
    assert data.classes == 20
    assert [len(DetectionDataset.read(part, 20)) for part in (data.train, data.valid)] == [3, 1]
    assert not list((to / "raw").rglob("*.tar")), "archives go when they are unpacked"
    for archive in folder.glob("*.tar"):
        archive.unlink()
    again = run("get_voc.sh", "--to", str(to), "--from", address)
    assert again.returncode == 0, again.stderr
    assert "unpacking" not in again.stderr


@needs_shared
def test_a_download_that_broke_off_goes_on_and_a_missing_one_is_an_error(mirror, tmp_path):
    folder, address = mirror
    voc_archives(folder)
    to = tmp_path / "to"
    whole = (folder / "VOCtest_06-Nov-2007.tar").read_bytes()
    (folder / "VOCtest_06-Nov-2007.tar").unlink()
    done = run("get_voc.sh", "--2007", "--keep", "--to", str(to), "--from", address)
    assert done.returncode == 1
    assert "error: VOCtest_06-Nov-2007.tar could not be downloaded; check the connection and run again" in done.stderr
    assert not (to / "voc").exists()
    (to / "raw" / "voc" / "VOCtest_06-Nov-2007.tar.part").write_bytes(whole[:1000])
    (folder / "VOCtest_06-Nov-2007.tar").write_bytes(whole)
    done = run("get_voc.sh", "--2007", "--keep", "--to", str(to), "--from", address)
    assert done.returncode == 0, done.stderr
    assert (to / "raw" / "voc" / "VOCtest_06-Nov-2007.tar").read_bytes() == whole
    assert len(DetectionDataset.read(read_data(to / "voc" / "voc.data").train, 20)) == 2


@needs_shared
def test_a_broken_archive_is_removed_and_named(mirror, tmp_path):
    folder, address = mirror
    (folder / "VOCtrainval_06-Nov-2007.tar").write_bytes(b"<html>sorry</html>" * 99)
    done = run("get_voc.sh", "--to", str(tmp_path / "to"), "--from", address)
    assert done.returncode == 1
    assert "VOCtrainval_06-Nov-2007.tar is no whole archive, so it was removed" in done.stderr
    assert not list((tmp_path / "to").rglob("*.tar*"))


@needs_shared
def test_get_coco_converts_the_validation_images_alone(mirror, tmp_path):
    folder, address = mirror
    with zipfile.ZipFile(folder / "annotations_trainval2017.zip", "w") as file:
        file.write(COCO / "instances.json", "annotations/instances_val2017.json")
    with zipfile.ZipFile(folder / "val2017.zip", "w") as file:
        for image in sorted((COCO / "images").glob("*.jpg"))[:5]:
            file.write(image, f"val2017/{image.name}")
    done = run("get_coco.sh", "--val-only", "--to", str(tmp_path / "to"), "--from", address)
    assert done.returncode == 0, done.stderr
    data = read_data(tmp_path / "to" / "coco" / "coco.data")
    assert (data.classes, len(DetectionDataset.read(data.valid, 80))) == (80, 5)


def test_get_oxford_hand_converts_what_it_downloads(mirror, tmp_path):
    scipy_io = pytest.importorskip("scipy.io")
    import cv2
    import numpy as np
    folder, address = mirror
    cell = np.empty((1, 1), dtype=object)
    cell[0, 0] = {name: np.array([(5 * i, 9 * (i % 2))]) for i, name in enumerate("abcd")}
    scipy_io.savemat(str(folder / "x.mat"), {"boxes": cell})
    (folder / "x.jpg").write_bytes(cv2.imencode(".jpg", np.zeros((40, 60, 3), np.uint8))[1].tobytes())
    with tarfile.open(folder / "hand_dataset.tar.gz", "w:gz") as tar:
        for part in ("training", "validation", "test"):
            tar.add(folder / "x.jpg", f"hand_dataset/{part}_dataset/{part}_data/images/x.jpg")
            tar.add(folder / "x.mat", f"hand_dataset/{part}_dataset/{part}_data/annotations/x.mat")
    done = run("get_oxford_hand.sh", "--to", str(tmp_path / "to"), "--from", address)
    assert done.returncode == 0, done.stderr
    assert len(DetectionDataset.read(read_data(tmp_path / "to" / "hand" / "hand.data").train, 1)) == 2


@pytest.mark.parametrize("script", ["get_coco.sh", "get_voc.sh", "get_oxford_hand.sh"])
def test_every_script_explains_itself_and_refuses_what_it_does_not_know(script):
    assert subprocess.run(["bash", "-n", str(DATA / script)], check=False).returncode == 0
    done = run(script, "--help")
    assert (done.returncode, done.stdout.split("\n")[0].split(" ")[1]) == (0, f"data/{script}")
    done = run(script, "--nonsense")
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is no option --nonsense (see ")
    assert done.stderr.count("\n") == 1
    assert run(script, "--to").returncode == 2

"""The teacher answers as the network does, in eval, and never changes; its answers are found again on disk."""

from __future__ import annotations

import contextlib
import errno

import pytest
import torch

from models import get_weights
from tests.distillation.networks import HEAD_MAPS, model, network, pictures
from utils.distillation import Teacher, TeacherCache, digest
from utils.errors import OutputError

HEADS = (8, 4)


def as_images(given: torch.Tensor) -> torch.Tensor:
    return given.float() / 255


@pytest.mark.parametrize("autocast", [None, contextlib.nullcontext, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_it_answers_as_the_network_in_eval_does(autocast):
    reference, teacher = model(seed=4).eval(), Teacher(model(seed=4).train(), HEADS, HEAD_MAPS, autocast=autocast)
    images = as_images(pictures())
    with torch.no_grad():
        expected = reference.forward_layers(images, (*HEADS, *HEAD_MAPS))
    lesson = teacher(images)
    tolerance = 0.05 if autocast is not None and autocast is not contextlib.nullcontext else 1e-4
    for index, found in zip((*HEADS, *HEAD_MAPS), (*lesson.heads, *lesson.maps), strict=True):
        assert found.dtype == torch.float32
        assert not found.requires_grad
        torch.testing.assert_close(found, expected[index], rtol=0, atol=tolerance * expected[index].abs().max().item())


def test_it_keeps_the_channels_that_it_is_told():
    whole, some = Teacher(model(), (), HEAD_MAPS), Teacher(model(), (), HEAD_MAPS, [torch.tensor([3, 0]), None])
    images = as_images(pictures())
    assert torch.equal(some(images).maps[0], whole(images).maps[0][:, [3, 0]])
    assert torch.equal(some(images).maps[1], whole(images).maps[1])


@pytest.mark.parametrize("autocast", [None, contextlib.nullcontext])
def test_neither_weights_nor_statistics_change_and_no_graph_is_built(autocast):
    teacher = Teacher(model().train(), HEADS, HEAD_MAPS, autocast=autocast)
    assert not any(module.training for module in teacher.model.modules())
    assert not any(parameter.requires_grad for parameter in teacher.model.parameters())
    before = {name: tensor.clone() for name, tensor in teacher.model.state_dict().items()}
    for seed in range(3):
        lesson = teacher(as_images(pictures(seed=seed)).requires_grad_())
        assert all(one.grad_fn is None for one in (*lesson.heads, *lesson.maps))
    after = teacher.model.state_dict()
    assert len(before) > 5
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


class Counting(Teacher):
    """Counts the images that the network was asked for."""

    asked = 0

    def _computed(self, images):
        self.asked += len(images)
        return super()._computed(images)


def cache(folder, seed=0, asked="layers") -> TeacherCache:
    return TeacherCache(folder, digest(network(), get_weights(model(seed=seed)), asked))


def test_an_answer_is_found_again_in_any_order_and_by_any_process(tmp_path):
    first = Counting(model(), HEADS, HEAD_MAPS, cache=cache(tmp_path))
    given = pictures(4)
    expected = first(as_images(given), given)
    assert first.asked == 4
    second = Counting(model(), HEADS, HEAD_MAPS, cache=cache(tmp_path))
    order = torch.tensor([2, 0, 3, 1])
    found = second(as_images(given[order]), given[order])
    assert second.asked == 0
    for one, other in zip((*found.heads, *found.maps), (*expected.heads, *expected.maps), strict=True):
        assert torch.equal(one, other[order])


def test_one_pixel_more_or_another_teacher_or_question_is_computed_anew(tmp_path):
    given = pictures(2)
    Counting(model(), HEADS, cache=cache(tmp_path))(as_images(given), given)
    changed = given.clone()
    changed[1, 0, 0, 0] ^= 1
    again = Counting(model(), HEADS, cache=cache(tmp_path))
    again(as_images(changed), changed)
    assert again.asked == 1
    for other in (cache(tmp_path, seed=1), cache(tmp_path, asked="others")):
        assert other.get(given[0]) is None


def test_a_damaged_answer_is_computed_anew(tmp_path):
    given = pictures(2)
    Counting(model(), HEADS, cache=cache(tmp_path))(as_images(given), given)
    files = sorted(tmp_path.rglob("*.pt"))
    assert len(files) == 2
    files[0].write_bytes(files[0].read_bytes()[:100])
    again = Counting(model(), HEADS, cache=cache(tmp_path))
    again(as_images(given), given)
    assert again.asked == 1
    assert all(cache(tmp_path).get(picture) is not None for picture in given)


def test_an_answer_that_another_process_is_writing_is_not_there_yet_and_both_may_write_it(tmp_path, monkeypatch):
    """Two processes that meet one picture at once: what a reader sees is whole or nothing, at every moment."""
    picture, answer = pictures(1)[0], [torch.randn(2, 3), torch.randn(4)]
    first, second, save = cache(tmp_path), cache(tmp_path), torch.save
    seen = []

    def meanwhile(parts, file):
        file.write(b"the beginning")
        file.flush()
        monkeypatch.setattr(torch, "save", save)
        seen.append([*tmp_path.rglob("*.pt")] or second.get(picture))
        second.put(picture, answer)
        seen.append(second.get(picture))
        file.seek(0)
        save(parts, file)

    monkeypatch.setattr(torch, "save", meanwhile)
    first.put(picture, answer)
    assert seen[0] is None
    for found in (seen[1], first.get(picture), second.get(picture)):
        assert all(torch.equal(one, other) for one, other in zip(found, answer, strict=True))
    assert len(list(tmp_path.rglob("*.pt"))) == len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="--cache-teacher"):
        cache(tmp_path / "file")


def test_a_full_disk_is_told_once_and_the_teacher_is_asked_on(tmp_path, monkeypatch, caplog):
    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("utils.distillation.teacher_cache.atomic_write", full)
    teacher = Counting(model(), HEADS, cache=cache(tmp_path))
    given = pictures(4)
    for _ in range(2):
        teacher(as_images(given), given)
    assert teacher.asked == 8
    assert [record.message.count("asked anew from here on") for record in caplog.records] == [1]


def test_a_cache_makes_no_folder_before_its_first_answer(tmp_path):
    cache(tmp_path / "answers")
    assert not (tmp_path / "answers").exists()

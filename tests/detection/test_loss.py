"""The detection loss against plain loops over boxes, cells and classes, and whether training with it finds the objects."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import replace

import pytest
import torch

from tests.detection.slow_loss import slow_assign, slow_loss
from utils.detection import DetectionLoss, HeadLossOptions, decode_region, decode_yolo, prior_biases

SIZE = (32, 48)  # height, width
GRIDS = [(2, 3), (4, 6)]
CLASSES = 3
ALL = ((6.0, 8.0), (14.0, 10.0), (12.0, 24.0), (40.0, 20.0))
MASKS = ((2, 3), (0, 1))
THRESHOLDS = {"iou": 0.3, "ratio": 3.0, "darknet": 0.5}
HEADS = ("classic", "new_coords", "region")
CASES = list(itertools.product(HEADS, ("mean", "sum"), ("iou", "ratio", "darknet"),
                               ("mse", "iou", "giou", "diou", "ciou")))


def heads(kind: str, **options) -> list[HeadLossOptions]:
    if kind == "region":
        in_cells = [tuple((w * g[1] / SIZE[1], h * g[0] / SIZE[0]) for w, h in ALL) for g in GRIDS]
        return [HeadLossOptions(tuple(anchors[m] for m in mask), CLASSES, kind="region", all_anchors=anchors,
                                anchor_mask=mask, **options) for anchors, mask in zip(in_cells, MASKS, strict=True)]
    options = {"scale_x_y": 2.0 if kind == "new_coords" else 1.1, "new_coords": kind == "new_coords"} | options
    return [HeadLossOptions(tuple(ALL[m] for m in mask), CLASSES, all_anchors=ALL, anchor_mask=mask, **options)
            for mask in MASKS]


def outputs(kind: str, images: int, seed: int, dtype=torch.float64) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    raw = [torch.randn(images, 2, *grid, 5 + CLASSES, generator=generator, dtype=torch.float64) for grid in GRIDS]
    return [(one.sigmoid() if kind == "new_coords" else one).to(dtype) for one in raw]


def boxes(images: int, seed: int, count: int = 5) -> torch.Tensor:
    draw = random.Random(seed)
    return torch.tensor([(draw.randrange(images), draw.randrange(CLASSES), draw.random(), draw.random(),
                          draw.uniform(0.05, 0.9), draw.uniform(0.05, 0.9)) for _ in range(count)],
                        dtype=torch.float64).reshape(-1, 6)


def more_options(kind: str, seed: int) -> dict[str, object]:
    """What is not a case of its own, drawn."""
    draw = random.Random(seed)
    return {"box_gain": draw.uniform(0.1, 2), "obj_gain": draw.uniform(0.1, 20), "cls_gain": draw.uniform(0.1, 20),
            "obj_pw": draw.choice((1.0, 3.941)), "cls_pw": draw.choice((1.0, 1.446)),
            "ignore_thresh": draw.choice((0.2, 0.4, 1.0)), "label_smooth_eps": draw.choice((0.0, 0.1)),
            "focal": draw.choice(("off", "modulated", "darknet")), "focal_gamma": draw.choice((0.5, 2.0)),
            "objectness_target": draw.choice(("one", "iou")), "best_anchor": draw.random() < 0.8,
            "softmax": draw.random() < 0.5}


def values(parts) -> list[float]:
    return [parts.box.item(), parts.objectness.item(), parts.classes.item()]


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_the_loss_is_that_of_a_loop(case):
    kind, reduction, rule, iou_loss = case
    seed = CASES.index(case)
    options = heads(kind, reduction=reduction, assign=rule, assign_threshold=THRESHOLDS[rule], iou_loss=iou_loss,
                    **more_options(kind, seed))
    raw, targets = outputs(kind, 2, seed), boxes(2, seed)
    *expected, count = slow_loss(options, raw, targets, SIZE)
    parts = DetectionLoss(options)(raw, targets, SIZE)
    assert values(parts) == pytest.approx(expected, rel=1e-9), options[0]
    assert parts.targets == count
    assert parts.total.item() == pytest.approx(sum(expected))
    single = DetectionLoss(options)([one.float() for one in raw], targets.float(), SIZE)
    assert values(single) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_the_cases_meet_what_is_difficult():
    """Places that are ignored, targets that only the best anchor takes: else the test above could not fail there."""
    ignored = rescued = 0
    for seed in range(8):
        raw, targets = outputs("classic", 2, seed), boxes(2, seed)
        options = heads("classic", assign_threshold=0.3)
        ignored += (slow_loss([replace(head, ignore_thresh=0.2) for head in options], raw, targets, SIZE)[1]
                    < slow_loss(options, raw, targets, SIZE)[1])
        grids = [tuple(one.shape[2:4]) for one in raw]
        with_best, without = (sum(map(len, slow_assign(targets, [replace(head, best_anchor=best) for head in options],
                                                       grids, SIZE))) for best in (True, False))
        rescued += with_best > without
    assert ignored > 4
    assert rescued > 1


@pytest.mark.parametrize("kind", HEADS)
def test_two_objects_in_one_place_both_count_and_the_better_iou_is_the_objectness(kind):
    options = heads(kind, objectness_target="iou", assign_threshold=0.3)
    raw, targets = outputs(kind, 2, 5), boxes(2, 5)
    targets = torch.cat((targets, targets * torch.tensor([1, 1, 1, 1, 0.8, 0.9])))
    *expected, _ = slow_loss(options, raw, targets, SIZE)
    assert values(DetectionLoss(options)(raw, targets, SIZE)) == pytest.approx(expected)
    assert values(DetectionLoss(options)(raw, targets.flip(0), SIZE)) == pytest.approx(expected)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("iou_loss", ["mse", "giou"])
def test_gradients_are_finite_differences(kind, iou_loss):
    """Along a random direction."""
    options = heads(kind, iou_loss=iou_loss, reduction="sum", assign_threshold=0.3)
    raw, targets = [one.requires_grad_() for one in outputs(kind, 2, 8)], boxes(2, 8)
    loss = DetectionLoss(options)
    loss(raw, targets, SIZE).total.backward()
    way = [torch.randn(one.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64) for one in raw]
    with torch.no_grad():
        up, down = (loss([one + sign * 1e-6 * step for one, step in zip(raw, way, strict=True)], targets, SIZE).total
                    for sign in (1, -1))
    along = sum((one.grad * step).sum() for one, step in zip(raw, way, strict=True))
    assert along.item() == pytest.approx(((up - down) / 2e-6).item(), rel=1e-5)


def test_sums_have_darknets_deltas_of_objectness_and_classes_as_gradients():
    """delta = normalizer * (truth - output), yolo_layer.c; the learning rate is divided by the images."""
    options = heads("classic", reduction="sum", assign="darknet", assign_threshold=1.0, obj_gain=0.4, cls_gain=0.5)
    raw = [one.requires_grad_() for one in outputs("classic", 2, 1)]
    target = torch.tensor([[1, 2, 0.4, 0.6, 0.28, 0.72]], dtype=torch.float64)  # like anchor 2: head 0, anchor 0
    parts = DetectionLoss(options)(raw, target, SIZE)
    (parts.objectness + parts.classes).backward()
    for head, one in enumerate(raw):
        place = one.detach().sigmoid()
        truth = torch.zeros_like(place[..., 4])
        classes = torch.zeros_like(place[..., 5:])
        if head == 0:
            truth[1, 0, 1, 1] = 1
            classes[1, 0, 1, 1] = torch.tensor([0, 0, 1]) - place[1, 0, 1, 1, 5:]
        torch.testing.assert_close(-one.grad[..., 4], 0.4 * (truth - place[..., 4]) / 2)
        torch.testing.assert_close(-one.grad[..., 5:], 0.5 * classes / 2)
        assert (one.grad[..., :4] == 0).all()


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_without_objects_only_objectness_is_trained_and_every_head_has_a_gradient(kind, reduction):
    options = heads(kind, reduction=reduction, ignore_thresh=0.5, objectness_target="iou")
    raw = [one.requires_grad_() for one in outputs(kind, 2, 0)]
    parts = DetectionLoss(options)(raw, torch.zeros(0, 6), SIZE)
    parts.total.backward()
    assert parts.box == parts.classes == parts.targets == 0
    assert parts.objectness > 0
    for one in raw:
        assert (one.grad[..., 4] != 0).all()
        assert (one.grad[..., :4] == 0).all()


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(kind, dtype):
    options = heads(kind, iou_loss="ciou", ignore_thresh=0.5)
    raw = [one.requires_grad_() for one in outputs(kind, 2, 2, dtype)]
    with torch.autocast("cpu", torch.bfloat16):
        parts = DetectionLoss(options)(raw, boxes(2, 2).float(), SIZE)
    expected = DetectionLoss(options)([one.detach().float() for one in raw], boxes(2, 2).float(), SIZE)
    assert parts.total.dtype == torch.float32
    assert values(parts) == pytest.approx(values(expected))
    parts.total.backward()
    assert all(torch.isfinite(one.grad).all() for one in raw)


@pytest.mark.parametrize("kind", ["classic", "region"])
def test_absurd_outputs_give_a_finite_loss(kind):
    options = heads(kind, iou_loss="ciou", ignore_thresh=0.5)
    for value in (-1e4, 1e4):
        raw = [torch.full_like(one, value).requires_grad_() for one in outputs(kind, 2, 0, torch.float32)]
        total = DetectionLoss(options)(raw, boxes(2, 2).float(), SIZE).total
        total.backward()
        assert torch.isfinite(total)
        assert all(torch.isfinite(one.grad).all() for one in raw)


PLANTED = torch.tensor([[0, 0, 0.21, 0.30, 0.25, 0.40], [0, 2, 0.70, 0.60, 0.50, 0.60], [1, 1, 0.45, 0.80, 0.12, 0.20]])


@pytest.mark.parametrize(("kind", "settings"), [
    ("classic", {"iou_loss": "giou", "obj_gain": 21.35, "cls_gain": 27.76, "box_gain": 1.582, "obj_pw": 3.941}),
    ("classic", {"iou_loss": "mse", "reduction": "sum", "assign": "darknet", "assign_threshold": 1.0}),
    ("classic", {"iou_loss": "ciou", "reduction": "sum", "assign": "darknet", "assign_threshold": 0.4,
                 "ignore_thresh": 0.7}),
    ("new_coords", {"iou_loss": "ciou", "reduction": "sum", "assign": "ratio", "assign_threshold": 4.0,
                    "objectness_target": "iou"}),
    ("region", {"iou_loss": "mse", "reduction": "sum", "assign": "darknet", "assign_threshold": 1.0,
                "objectness_target": "iou", "obj_pw": 5.0}),
    ("region", {"iou_loss": "giou"}),
], ids=["ancestor", "yolov3", "yolov4", "yolov7", "yolov2", "yolov2 by giou"])
def test_free_outputs_trained_with_the_loss_decode_to_the_planted_boxes(kind, settings):
    options = heads(kind, **settings)
    loss = DetectionLoss(options)
    free = [torch.zeros(2, 2, *grid, 5 + CLASSES, requires_grad=True) for grid in GRIDS]
    optimizer = torch.optim.Adam(free)
    for step in range(200):
        optimizer.param_groups[0]["lr"] = 0.15 * (1 - step / 200)
        optimizer.zero_grad()
        loss([one.sigmoid() if kind == "new_coords" else one for one in free], PLANTED, SIZE).total.backward()
        optimizer.step()
    decoded = []
    for head, one, grid in zip(options, free, GRIDS, strict=True):
        raw, stride = one.detach(), (SIZE[1] / grid[1], SIZE[0] / grid[0])
        if kind == "region":
            decoded.append(decode_region(raw, anchors=head.anchors, stride=stride))
        else:
            decoded.append(decode_yolo(raw.sigmoid() if kind == "new_coords" else raw, anchors=head.anchors,
                                       stride=stride, scale_x_y=head.scale_x_y, new_coords=head.new_coords))
    decoded = torch.cat(decoded, dim=1)
    for image in (0, 1):
        found = decoded[image][decoded[image, :, 4] > 0.5]
        truths = PLANTED[PLANTED[:, 0] == image]
        corners = truths[:, 2:] * torch.tensor([SIZE[1], SIZE[0]] * 2)
        nearest = (found[:, None, :4] - corners[None]).abs().amax(-1)
        assert (nearest.amin(0) < 0.5).all(), "a planted box was not found"
        assert (nearest.amin(1) < 0.5).all(), "something was found that was not planted"
        score, label = (found[:, 4:5] * found[:, 5:]).max(-1)
        assert torch.equal(label, truths[nearest.argmin(1), 1].long())
        assert (score > 0.5).all(), "Darknet shows what it is 0.25 sure of"


def test_the_only_class_is_trained_too():
    """Darknet's score is objectness x class: an untrained class would keep it low for ever."""
    options = [replace(heads("classic")[0], classes=1, assign_threshold=0.1)]
    raw = [torch.zeros(2, 2, 2, 3, 6, requires_grad=True)]
    targets = PLANTED * torch.tensor([1, 0, 1, 1, 1, 1])
    DetectionLoss(options)(raw, targets, SIZE).total.backward()
    assert (raw[0].grad[..., 5].amin()) < 0


def test_the_weight_of_a_smaller_last_batch_is_its_share_of_64_images():
    """Means do not grow with the batch, so the ancestor multiplies them by images / 64."""
    options = heads("classic", assign_threshold=0.3)
    raw, targets = outputs("classic", 1, 3), boxes(1, 3)
    once = DetectionLoss(options)(raw, targets, SIZE)
    twice = DetectionLoss(options)([torch.cat((one, one)) for one in raw],
                                   torch.cat((targets, targets + torch.tensor([1, 0, 0, 0, 0, 0]))), SIZE)
    assert values(twice) == pytest.approx([2 * value for value in values(once)])


def test_a_sum_per_image_does_not_grow_with_the_batch():
    options = heads("classic", assign_threshold=0.3, reduction="sum")
    raw, targets = outputs("classic", 1, 3), boxes(1, 3)
    once = DetectionLoss(options)(raw, targets, SIZE)
    twice = DetectionLoss(options)([torch.cat((one, one)) for one in raw],
                                   torch.cat((targets, targets + torch.tensor([1, 0, 0, 0, 0, 0]))), SIZE)
    assert values(twice) == pytest.approx(values(once))


@pytest.mark.parametrize(("raw", "targets", "message"), [
    (lambda raw: raw[:1], boxes(2, 0), "1 outputs do not fit 2 heads"),
    (lambda raw: [raw[0], raw[1][..., :-1]], boxes(2, 0), r"head 1: \(2, 2, 4, 6, 7\) is not \(N, 2, gy, gx, 8\)"),
    (lambda raw: [raw[0], raw[1][:1]], boxes(1, 0), r"head 1: .* same N"),
    (lambda raw: raw, torch.zeros(3, 5), r"targets \(3, 5\) must be \(n, 6\)"),
    (lambda raw: raw, torch.tensor([[2, 0, 0.5, 0.5, 0.1, 0.1]]), "images 2 to 2 .* there are 2 images"),
    (lambda raw: raw, torch.tensor([[0, 3, 0.5, 0.5, 0.1, 0.1]]), "classes 3 to 3; .* 3 classes"),
    (lambda raw: raw, torch.tensor([[0, -1, 0.5, 0.5, 0.1, 0.1]]), "classes -1 to -1"),
], ids=["heads", "entries", "images", "columns", "image", "class", "negative class"])
def test_what_does_not_fit_is_refused(raw, targets, message):
    with pytest.raises(ValueError, match=message):
        DetectionLoss(heads("classic"))(raw(outputs("classic", 2, 0)), targets, SIZE)


@pytest.mark.parametrize("option", ["kind", "iou_loss", "focal", "objectness_target", "assign", "reduction"])
def test_a_word_that_there_is_not_is_refused(option):
    with pytest.raises(ValueError, match=f"{option}='other' is unknown; use one of"):
        HeadLossOptions(ALL, 3, **{option: "other"})


def test_heads_that_cannot_be_added_up_are_refused():
    one, other = heads("classic")
    with pytest.raises(ValueError, match="same reduction"):
        DetectionLoss([one, replace(other, reduction="sum")])
    with pytest.raises(ValueError, match="one head at least"):
        DetectionLoss([])


def test_part_names_and_reduction_can_be_read():
    loss = DetectionLoss(heads("classic", reduction="sum"))
    assert (loss.part_names, loss.reduction) == (("box", "obj", "cls"), "sum")


@pytest.mark.parametrize("seed", range(3))
def test_the_ancestors_priors_are_means_of_minus_4_and_minus_3_6(seed):
    bias = torch.randn(16, generator=torch.Generator().manual_seed(seed))
    before = bias.clone()
    shifted = DetectionLoss(heads("classic")).prior(0, bias, (416, 416)).view(2, 8)
    assert torch.equal(bias, before)
    assert shifted[:, 4].mean().item() == pytest.approx(-4, abs=1e-5)
    assert shifted[:, 5:].mean().item() == pytest.approx(-3.6, abs=1e-5)
    assert torch.equal(shifted[:, :4], bias.view(2, 8)[:, :4])
    torch.testing.assert_close(shifted[:, 4].diff(), bias.view(2, 8)[:, 4].diff())


def test_the_priors_of_sums_are_yolov5s():
    """log(8 / (640 / 8)^2) and log(0.6 / (80 - 0.99999))."""
    head = HeadLossOptions(((8.0, 8.0),), 80, reduction="sum", stride=(8.0, 8.0))
    shifted = prior_biases(head, torch.zeros(85), (640, 640))
    assert shifted[4].item() == pytest.approx(math.log(8 / (640 / 8) ** 2), abs=1e-5)
    assert shifted[5:].tolist() == pytest.approx([math.log(0.6 / (80 - 0.99999))] * 80, abs=1e-5)
    single = prior_biases(replace(head, classes=1), torch.zeros(6), (640, 640))
    assert single[5] == 0
    tiny_map = prior_biases(head, torch.zeros(85), (16, 16))
    assert tiny_map[4] == -1


def test_a_regions_class_biases_stay():
    bias = torch.arange(16.0)
    shifted = DetectionLoss(heads("region")).prior(0, bias, (416, 416)).view(2, 8)
    assert torch.equal(shifted[:, 5:], bias.view(2, 8)[:, 5:])
    assert shifted[:, 4].mean().item() == pytest.approx(-4)


def test_biases_of_another_head_are_refused():
    with pytest.raises(ValueError, match="does not fit 2 anchors"):
        prior_biases(heads("classic")[0], torch.zeros(15), (416, 416))


@pytest.mark.gpu
@pytest.mark.parametrize("kind", HEADS)
def test_a_gpu_computes_the_same_loss(kind):
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    options = heads(kind, iou_loss="ciou", ignore_thresh=0.5, objectness_target="iou")
    raw, targets = outputs(kind, 2, 2, torch.float32), boxes(2, 2).float()
    expected = values(DetectionLoss(options)(raw, targets, SIZE))
    on_gpu = [one.cuda().requires_grad_() for one in raw]
    with torch.autocast("cuda", torch.float16):
        parts = DetectionLoss(options)(on_gpu, targets.cuda(), SIZE)
    parts.total.backward()
    assert values(parts) == pytest.approx(expected, rel=1e-4)

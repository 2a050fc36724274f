"""Blocks that several architectures are made of: residual and cross-stage stages, SPP, top-down joins."""

from __future__ import annotations

from utils.darknet.builder.writer import CfgWriter


def alternating(net: CfgWriter, filters: int, convolutions: int) -> int:
    """1x1 with `filters`, 3x3 with twice as many, and so on; an odd number ends narrow. Returns the last layer."""
    for number in range(convolutions):
        if number % 2:
            net.conv(2 * filters, 3)
        else:
            net.conv(filters, 1)
    return net.last


def residuals(net: CfgWriter, filters: int, hidden: int, blocks: int) -> int:
    """`blocks` times: 1x1 to `hidden`, 3x3 back to `filters`, added to what went in. Returns the last layer."""
    for _ in range(blocks):
        start = net.last
        net.conv(hidden, 1)
        net.conv(filters, 3)
        net.shortcut(start)
    return net.last


def residual_stage(net: CfgWriter, filters: int, blocks: int) -> int:
    """A stage of Darknet-53 (YOLOv3, arXiv 1804.02767): half the size, then residuals. Returns the last layer."""
    net.comment(f"stage of {blocks} residual blocks at half the size")
    net.conv(filters, 3, stride=2)
    return residuals(net, filters, filters // 2, blocks)


def csp_stage(net: CfgWriter, filters: int, blocks: int, *, part: int | None = None, hidden: int | None = None) -> int:
    """A cross-stage partial stage (CSPNet, arXiv 1911.11929). Returns the last layer.

    Half the size, then two 1x1 convolutions of the same map: one goes through the residuals, both are joined.

    Args:
        part: filters of each of the two; half of `filters` if left out.
        hidden: filters inside the residuals; `part` if left out.
    """
    part = part or filters // 2
    net.comment(f"cross-stage partial stage of {blocks} residual blocks at half the size")
    start = net.conv(filters, 3, stride=2)
    side = net.conv(part, 1)
    net.route(start)
    net.conv(part, 1)
    residuals(net, part, hidden or part, blocks)
    net.conv(part, 1)
    net.route(net.last, side)
    return net.conv(filters, 1)


def csp_block(net: CfgWriter, filters: int) -> int:
    """The block of YOLOv4-CSP's neck: narrow, split, two 1x1 + 3x3 pairs on one side, join. Returns the last layer."""
    start = net.conv(filters, 1)
    side = net.conv(filters, 1)
    net.route(start)
    for _ in range(2):
        net.conv(filters, 1)
        net.conv(filters, 3)
    net.route(net.last, side)
    return net.conv(filters, 1)


def spatial_pyramid(net: CfgWriter, *, input_first: bool = False) -> int:
    """SPP (arXiv 1406.4729) as YOLO has it: the map beside its 5, 9 and 13 pixel maxima. Returns the joining route.

    input_first: the map comes first and the maxima follow by size (YOLOv7); otherwise the other way round.
    """
    start = net.last
    parts = [start]
    for size in (5, 9, 13):
        if size > 5:
            net.route(start)
        parts.append(net.maxpool(size, stride=1))
    return net.route(*(parts if input_first else reversed(parts)))


def csp_spatial_pyramid(net: CfgWriter, filters: int, *, input_first: bool = False) -> int:
    """SPP on one side of a cross-stage partial block (YOLOv4-CSP, YOLOv7). Returns the last layer."""
    net.comment("cross-stage partial spatial pyramid pooling")
    start = net.last
    side = net.conv(filters, 1)
    net.route(start)
    net.conv(filters, 1)
    net.conv(filters, 3)
    net.conv(filters, 1)
    spatial_pyramid(net, input_first=input_first)
    net.conv(filters, 1)
    net.conv(filters, 3)
    net.route(net.last, side)
    return net.conv(filters, 1)


def upsampled(net: CfgWriter, filters: int) -> int:
    """1x1 to `filters`, twice the size. Returns the upsampling layer."""
    net.comment("up to twice the size")
    net.conv(filters, 1)
    return net.upsample()


def top_down(net: CfgWriter, filters: int, backbone: int) -> int:
    """A step down a PAN (arXiv 1803.01534): upsample, and join a 1x1 of a backbone layer. Returns the joining route."""
    up = upsampled(net, filters)
    net.route(far=[backbone])
    side = net.conv(filters, 1)
    return net.route(side, up)

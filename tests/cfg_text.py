"""Small cfgs for tests, section by section: `cfg(net(32), convolution(8, stride=4), output(21), yolo("5,5, 8,8, 16,16"))`."""

from __future__ import annotations


def cfg(*sections: str) -> str:
    """Sections with an empty line between them."""
    return "\n".join(sections)


def section(name: str, **options: object) -> str:
    """Any section; options named from_ are written as from."""
    return "".join(f"{line}\n" for line in (f"[{name}]", *(f"{key.rstrip('_')}={value}" for key, value in options.items())))


def net(width: int, height: int | None = None, *, channels: int = 3) -> str:
    """The input; square without `height`."""
    return section("net", width=width, height=height or width, channels=channels)


def convolution(filters: int, *, stride: int = 1, **more: object) -> str:
    """3x3, with batch norm and padding, leaky."""
    return section("convolutional", batch_normalize=1, filters=filters, size=3, stride=stride, pad=1, activation="leaky", **more)


def output(filters: int, activation: str = "linear") -> str:
    """The 1x1 convolution before a head."""
    return section("convolutional", filters=filters, size=1, activation=activation)


def yolo(anchors: str, classes: int = 2, *, mask: str | None = None, **more: object) -> str:
    """A head; it takes all anchors where `mask` does not say which."""
    count = (anchors.count(",") + 1) // 2
    return section("yolo", mask=mask or ",".join(map(str, range(count))), anchors=anchors, classes=classes, num=count, **more)


def shortcut(source: int) -> str:
    """Adds the layer that lies `source` (as -2) before."""
    return section("shortcut", from_=source, activation="linear")


def dropout(probability: str = ".3") -> str:
    """Silences channels at random."""
    return section("dropout", probability=probability)

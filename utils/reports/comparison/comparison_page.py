"""Several networks side by side as one HTML page that needs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.reports.comparison.comparison_table import Figures, comparison_cells
from utils.reports.html import html_page
from utils.reports.shots import Shot, data_address


@dataclass(frozen=True)
class Look:
    """One image, and what each network found in it, by the network's name."""

    name: str
    shots: Mapping[str, Shot]


def comparison_page(rows: Mapping[str, Figures], files: Mapping[str, tuple[Path, Path]], picture: bytes,
                    looks: Sequence[Look] = (), *, measured: str = "", command_line: str = "", version: str = "") -> str:
    """The page as text.

    Args:
        rows: figures by name, as `comparison_table` takes them.
        files: the cfg and the weights of each.
        picture: what `draw_networks` draws, PNG.
        looks: detections of all networks in some images.
        measured: how, in one sentence.

    Raises:
        EngineError: jinja2 is not installed.
    """
    titles, cells = comparison_cells(rows)
    return html_page(Path(__file__).with_name("comparison_page.html"), titles=titles, cells=cells, files=files,
                     picture=data_address(picture, "image/png"), looks=looks, measured=measured,
                     command_line=command_line, version=version)

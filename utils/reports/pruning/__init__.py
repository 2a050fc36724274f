"""What a pruning did: tables for the console, a page for the browser, a picture."""

from utils.reports.pruning.page import pruning_page
from utils.reports.pruning.picture import draw_pruning
from utils.reports.pruning.pictures import SideBySide, side_by_side
from utils.reports.pruning.tables import before_after_table, knee_sentence, ratios_table, sweep_table, widths_table

__all__ = [
    "SideBySide", "before_after_table", "draw_pruning", "knee_sentence", "pruning_page", "ratios_table", "side_by_side",
    "sweep_table",
    "widths_table",
]

"""What people look at: console tables, pictures, JSON files. They take values that others computed."""

from utils.reports.coco_results import category_ids, coco_results, image_ids
from utils.reports.comparison import Look, comparison_page, comparison_table, draw_networks
from utils.reports.drawing import class_colour, class_name, draw_detections, enlargement
from utils.reports.evaluation import class_table, evaluation_table
from utils.reports.json_file import plain, write_json
from utils.reports.pruning import (
    SideBySide,
    before_after_table,
    draw_pruning,
    knee_sentence,
    pruning_page,
    ratios_table,
    side_by_side,
    sweep_table,
    widths_table,
)
from utils.reports.shots import Shot, shot
from utils.reports.tables import bar, table, terminal_width
from utils.reports.training.png_file import write_png
from utils.reports.verification import verification_table

__all__ = [
    "Look",
    "Shot",
    "SideBySide",
    "bar",
    "before_after_table",
    "category_ids",
    "class_colour",
    "class_name",
    "class_table",
    "coco_results",
    "comparison_page",
    "comparison_table",
    "draw_detections",
    "draw_networks",
    "draw_pruning",
    "enlargement",
    "evaluation_table",
    "image_ids",
    "knee_sentence",
    "plain",
    "pruning_page",
    "ratios_table",
    "shot",
    "side_by_side",
    "sweep_table",
    "table",
    "terminal_width",
    "verification_table",
    "widths_table",
    "write_json",
    "write_png",
]

"""Several networks side by side: a table for the console, a page for the browser, a picture."""

from utils.reports.comparison.comparison_page import Look, comparison_page
from utils.reports.comparison.comparison_picture import draw_networks
from utils.reports.comparison.comparison_table import comparison_table

__all__ = ["Look", "comparison_page", "comparison_table", "draw_networks"]

"""A training made visible: results.csv, curves, gammas, TensorBoard, pictures of batches, a console table."""

from utils.reports.training.batch_picture import draw_batch, draw_gallery
from utils.reports.training.csv_log import ResultsCsv, read_results, row_of
from utils.reports.training.curves import draw_comparison, draw_curves
from utils.reports.training.gamma_histogram import draw_gamma_history, draw_layer_gammas
from utils.reports.training.gamma_history import GammaHistory
from utils.reports.training.png_file import png_bytes, write_png
from utils.reports.training.tensorboard_log import TensorBoardLog, open_tensorboard
from utils.reports.training.training_table import epoch_header, epoch_line, final_table, losses_line

__all__ = [
    "GammaHistory",
    "ResultsCsv",
    "TensorBoardLog",
    "draw_batch",
    "draw_comparison",
    "draw_curves",
    "draw_gallery",
    "draw_gamma_history",
    "draw_layer_gammas",
    "epoch_header",
    "epoch_line",
    "final_table",
    "losses_line",
    "open_tensorboard",
    "png_bytes",
    "read_results",
    "row_of",
    "write_png",
]

"""What training changes about its images, and how boxes follow.

Here images are (H, W, 3) uint8 RGB, and labels are (n, 5) float32 `class x1 y1 x2 y2` in pixels of their image, on a
continuous scale: the pixel in column i covers i to i + 1, so a box round the whole image is 0 0 W H. Functions return
new arrays; an image that lies in a cache is never written to. All that is random comes from the generator that is
handed in.
"""

from utils.datasets.augmentation.affine import apply_affine, random_affine
from utils.datasets.augmentation.boxes import areas, clip_boxes, keep_visible, to_pixels, to_relative, transform_boxes
from utils.datasets.augmentation.fit import fit, put
from utils.datasets.augmentation.flip import flip_left_right, flip_up_down
from utils.datasets.augmentation.hsv import change_hsv, random_hsv_gains
from utils.datasets.augmentation.mosaic import Canvas, lone_canvas, mosaic_canvas
from utils.datasets.augmentation.options import AugmentationOptions
from utils.datasets.augmentation.pipeline import augment

__all__ = [
    "AugmentationOptions",
    "Canvas",
    "apply_affine",
    "areas",
    "augment",
    "change_hsv",
    "clip_boxes",
    "fit",
    "flip_left_right",
    "flip_up_down",
    "keep_visible",
    "lone_canvas",
    "mosaic_canvas",
    "put",
    "random_affine",
    "random_hsv_gains",
    "to_pixels",
    "to_relative",
    "transform_boxes",
]

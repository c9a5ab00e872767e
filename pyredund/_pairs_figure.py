"""A picture of removed images beside the kept ones that stand for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyredund._files import written_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pyredund import Selection

COLUMNS = 6
CLOSEST_LINES = 2  # and one line of the farthest pairs
RED, GREEN, WHITE = (179, 38, 30), (27, 110, 60), 255

# In dots, DPI of them to the inch.
DPI = 100
IMAGE, WITHIN, BETWEEN, FRAME = 88, 8, 36, 2
TITLE, CAPTION, HEADING, MARGIN = 24, 40, 44, 32
PAIR_WIDTH = 2 * IMAGE + WITHIN
LINE_HEIGHT = TITLE + IMAGE + CAPTION
WIDTH = 2 * MARGIN + COLUMNS * PAIR_WIDTH + (COLUMNS - 1) * BETWEEN
HEIGHT = 2 * MARGIN + 2 * HEADING + (CLOSEST_LINES + 1) * LINE_HEIGHT - CAPTION // 2


def draw_pairs(path: Path, images: NDArray[Any], selection: Selection) -> None:
    """Draw the closest pairs, and below them the farthest, to a .png file that appears only when complete.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    # Not pyplot, which takes twice as long to import.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    # One canvas for all images: axes for each, or an image for each, would take most of the demonstration's time.
    canvas = np.full((HEIGHT, WIDTH, 3), WHITE, dtype=np.uint8)
    top = MARGIN
    for how, pairs in (
        ("most", selection.closest(COLUMNS * CLOSEST_LINES)),
        ("least", selection.farthest(COLUMNS)),
    ):
        heading = f"The {len(pairs)} removed images {how} similar to the kept ones that stand for them"
        axes.text(MARGIN, top, heading, fontsize=13, va="top", weight="bold")
        top += HEADING
        for start in range(0, len(pairs), COLUMNS):
            for column, pair in enumerate(pairs[start : start + COLUMNS]):
                _draw_pair(axes, canvas, top, MARGIN + column * (PAIR_WIDTH + BETWEEN), images, pair)
            top += LINE_HEIGHT
    axes.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    figure.figimage(canvas, zorder=-1)
    with written_whole(path) as file:
        figure.savefig(file, format="png")


def _draw_pair(
    axes: Axes, canvas: NDArray[np.uint8], top: int, left: int, images: NDArray[Any], pair: tuple[int, int, float]
) -> None:
    removed, kept, similarity = pair
    axes.text(left + PAIR_WIDTH / 2, top, f"similarity {similarity:.4f}", fontsize=10, ha="center", va="top")
    top += TITLE
    for x, word, row, color in ((left, "removed", removed, RED), (left + IMAGE + WITHIN, "kept", kept, GREEN)):
        canvas[top : top + IMAGE, x : x + IMAGE] = color
        size = IMAGE - 2 * FRAME
        inner = canvas[top + FRAME :, x + FRAME :][:size, :size]
        inner[:] = _enlarged(WHITE - images[row] * (WHITE / images.max()), size)[:, :, np.newaxis]
        where = (x + IMAGE / 2, top + IMAGE + 4)
        ink = [part / 255 for part in color]
        axes.text(*where, f"{word} {row}", fontsize=9, ha="center", va="top", color=ink)


def _enlarged(image: NDArray[Any], size: int) -> NDArray[Any]:
    """A square of `size` dots from the nearest pixels of the image."""
    rows, columns = (np.arange(size) * extent // size for extent in image.shape)
    return image[np.ix_(rows, columns)]

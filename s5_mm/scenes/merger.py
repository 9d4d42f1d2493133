"""Average of the class probabilities of overlapping windows, in memory that does not depend on the scene's height."""
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from .grid import Panel


class Merger:
    """Weighted sums of the windows' probabilities, line by line, from left to right.

    Two sums are kept: that of the window at work, and that of the rows that the next line shares, over the whole width
    of the panel and in half precision.

    Args:
        panel: The windows.
        num_classes: K.
        device: Of the probabilities.
    """

    def __init__(self, panel: Panel, num_classes: int, device: torch.device) -> None:
        self.panel, grid = panel, panel.grid
        shared = max(grid.side - grid.finished_rows(line) for line in range(len(grid.tops)))
        self.carried = torch.zeros(num_classes, shared, panel.width, dtype=torch.float16, device=device)
        self.sum = torch.zeros(num_classes, grid.side, grid.side, device=device)
        self.columns = torch.from_numpy(grid.column_weights).to(device)
        self.rows = torch.from_numpy(grid.row_weights).to(device)
        self.held = 0

    def merge_line(self, line: int, windows: Iterable[Tensor | None]) -> Iterator[tuple[slice, Tensor]]:
        """Add a line; lines come from top to bottom, from any line on.

        Rows that earlier lines reach are complete only if these lines were added before.

        Args:
            line: Index of the line.
            windows: Probabilities (K, side, side) of the panel's windows from left to right; ``None`` for windows
                without data.

        Yields:
            Columns, counted from the left of the panel's windows, and the probabilities (K, rows, columns), float32, of
            pixels that no later window of the panel reaches; the rows are the first ``grid.finished_rows(line)`` of the
            line. They may be changed until the next is taken.
        """
        grid = self.panel.grid
        rows = grid.finished_rows(line)
        shared = grid.side - rows
        self.sum.zero_()
        remaining = iter(windows)
        for index in self.panel.windows:
            # Without zip, which keeps what it gave until it has the next.
            scores = next(remaining)
            if scores is not None:
                weights = self.rows[line][:, None] * self.columns[index]
                self.sum.addcmul_(scores.float(), weights)
                scores = None  # a part of a batch, which would be kept while the next one is computed
            number, left = grid.finished_columns(index), self.panel.place(index).start
            columns = slice(left, left + number)
            done = self.sum[:, :, :number]
            done[:, :self.held] += self.carried[:, :self.held, columns]
            yield columns, done[:, :rows]
            self.carried[:, :shared, columns] = done[:, rows:]
            rest = self.sum[:, :, number:].clone()
            self.sum[:, :, :grid.side - number] = rest
            self.sum[:, :, grid.side - number:] = 0
        self.held = shared

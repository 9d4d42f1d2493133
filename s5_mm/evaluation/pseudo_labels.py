"""What pseudo-labels are worth: sums over pixels, and the numbers and pictures made of them.

Shapes: N images of H x W pixels, K classes.
"""
import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from mmengine.dist import all_reduce
from torch import Tensor

from s5_mm.files import replacing, write_text

IGNORED = 255
COLUMNS = ('coverage', 'precision', 'recall', 'shift', 'confidence', 'threshold')
"""Numbers of a class, in the order of the file."""


class PseudoLabelCounts:
    """Sums over the pixels of pseudo-labels, for each class.

    Args:
        num_classes: K.
        device: Of the sums.
        background: Class that is no object, for :meth:`objects_as_background`.
    """

    # Rows of the sums: pixels labeled as the class; their confidences; weights; weights where the label is right;
    # pixels that are of the class; those of them, weighted, that are labeled background.
    PREDICTED, CONFIDENCE, KEPT, RIGHT, TRUE, AS_BACKGROUND = range(6)

    def __init__(self, num_classes: int, device: torch.device | str = 'cpu', background: int | None = None) -> None:
        self.num_classes = num_classes
        self.background = background
        self.sums = torch.zeros(6, num_classes + 1, dtype=torch.float64, device=device)  # the last class: no label

    def add(self, label: Tensor, confidence: Tensor, valid: Tensor, weight: Tensor,
            truth: Tensor | None = None) -> None:
        """Add images.

        Args:
            label: (N, H, W), int64.
            confidence: (N, H, W).
            valid: True where pixels are looked at, (N, H, W).
            weight: How much they count in the loss, (N, H, W).
            truth: (N, H, W); ids from K on are not looked at. ``None``: unknown.
        """
        if truth is not None:
            valid = valid & (truth < self.num_classes)
            truth = truth.clamp(max=self.num_classes)
        weight = weight * valid
        self._add(self.PREDICTED, label, valid)
        self._add(self.CONFIDENCE, label, confidence * valid)
        self._add(self.KEPT, label, weight)
        if truth is not None:
            self._add(self.RIGHT, label, weight * (label == truth))
            self.add_truth(torch.where(valid, truth, self.num_classes))
            if self.background is not None:
                self._add(self.AS_BACKGROUND, truth, weight * (label == self.background))

    def add_truth(self, truth: Tensor) -> None:
        """Add labels alone, for the shares that classes should have; ids from K on are not counted."""
        self._add(self.TRUE, truth.clamp(max=self.num_classes), torch.ones_like(truth))

    def _add(self, row: int, classes: Tensor, values: Tensor) -> None:
        self.sums[row].index_add_(0, classes.flatten(), values.flatten().double())

    def reduce(self) -> np.ndarray:
        """Sums of all processes, (6, K)."""
        sums = self.sums.clone()
        all_reduce(sums)
        return sums[:, :-1].cpu().numpy()


def quality(sums: np.ndarray, with_truth: bool) -> dict[str, np.ndarray]:
    """Numbers of each class, each (K, ); nan where they are not defined.

    ``coverage``: weight of pixels labeled as the class over all pixels looked at. ``confidence``: mean over the pixels
    labeled as it. ``shift``: share of these pixels over its share in the labels. Where the truth of the same pixels is
    known also ``precision``: share of the weight that is right, and ``recall``: right weight over pixels of the class.

    Args:
        sums: Of :meth:`PseudoLabelCounts.reduce`.
        with_truth: Whether the labels are those of the same pixels.
    """
    predicted, confidence, kept, right, true = sums[:5]
    total = predicted.sum()
    with np.errstate(divide='ignore', invalid='ignore'):
        numbers = dict(coverage=kept / total, shift=np.where(true > 0, predicted / total / (true / true.sum()), np.nan),
                       confidence=confidence / predicted)
        if with_truth:
            numbers |= dict(precision=right / kept, recall=np.where(true > 0, right / true, np.nan))
    return numbers


def objects_as_background(sums: np.ndarray, background: int) -> float:
    """Weight of object pixels that are labeled background over all object pixels; nan without objects.

    Args:
        sums: Of :meth:`PseudoLabelCounts.reduce`.
        background: The class that is no object.
    """
    objects = np.arange(sums.shape[1]) != background
    pixels = sums[PseudoLabelCounts.TRUE, objects].sum()
    return float(sums[PseudoLabelCounts.AS_BACKGROUND, objects].sum() / pixels) if pixels else float('nan')


class QualityTable:
    """The numbers of all measurements of a run, kept in a CSV file with a line for each measurement and class.

    Args:
        path: The file. Lines of it after ``first`` are dropped: a resumed run measures these iterations again.
        classes: Names of the classes.
        first: Iterations that the run already has.
    """

    def __init__(self, path: Path, classes: Sequence[str], first: int = 0) -> None:
        self.path = path
        self.classes = list(classes)
        lines = list(csv.DictReader(io.StringIO(path.read_text()))) if path.exists() else []
        self.lines = [line for line in lines if int(line['iteration']) <= first]

    def add(self, iteration: int, numbers: Mapping[str, np.ndarray]) -> None:
        """Add a measurement and write the file."""
        for k, name in enumerate(self.classes):
            values = {key: f'{numbers[key][k]:.6g}' if key in numbers and np.isfinite(numbers[key][k]) else ''
                      for key in COLUMNS}
            self.lines.append(dict(iteration=str(iteration), **{'class': name}, **values))
        text = io.StringIO()
        writer = csv.DictWriter(text, ['iteration', 'class', *COLUMNS], lineterminator='\n')
        writer.writeheader()
        writer.writerows(self.lines)
        write_text(self.path, text.getvalue())

    def draw(self, path: Path) -> None:
        """Draw the curves of all classes, a panel for each number that was measured.

        Args:
            path: Picture to write, ``.png``.
        """
        shown = [key for key in COLUMNS if any(line[key] for line in self.lines)]
        if not shown:
            return
        figure = Figure(figsize=(4.5 * min(3, len(shown)), 3.5 * -(-len(shown) // 3)), layout='constrained')
        axes = figure.subplots(-(-len(shown) // 3), min(3, len(shown)), squeeze=False).flatten()
        styles = ('-', '--', ':', '-.')
        for panel, key in zip(axes, shown, strict=False):
            for k, name in enumerate(self.classes):
                points = [(int(line['iteration']), float(line[key])) for line in self.lines
                          if line['class'] == name and line[key]]
                if points:
                    # Not in the colors of the classes, which are often alike.
                    panel.plot(*zip(*points, strict=True), f'C{k % 10}{styles[k // 10 % 4]}', marker='.', label=name)
            panel.set(title=key, xlabel='iteration')
            panel.set_ylim(bottom=0, top=None if key == 'shift' else 1)
            if key == 'coverage':
                panel.set_yscale('symlog', linthresh=1e-3)
        for panel in axes[len(shown):]:
            panel.axis('off')
        handles = {label: handle for panel in axes
                   for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)}
        figure.legend(handles.values(), handles.keys(), loc='outside lower center', ncols=6, fontsize='small')
        with replacing(path) as temporary:
            figure.savefig(temporary, format='png', dpi=100)

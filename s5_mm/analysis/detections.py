"""Analysis of saved detections: precision-recall curves, confusion matrix, pictures of right and wrong boxes."""
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from s5_mm.apis.detection_drawing import draw_boxes, with_legend
from s5_mm.evaluation import DetectedImage, overlapping_pairs
from s5_mm.evaluation.average_precision import Curve, average_precision, match_class, precision_recall, true_and_false

RIGHT, WRONG, MISSED, IGNORED = (40, 200, 60), (235, 40, 40), (255, 210, 0), (150, 150, 150)
"""Red, green, blue of drawn boxes."""


class Verdict(NamedTuple):
    """Which detection of an image belongs to which object; their classes may differ.

    Attributes:
        objects: (N, ), index of the object assigned to each detection; -1 for none.
        ignored: (N, ), bool, detections without an object that lie on a difficult one of their class.
        missed: (M, ), bool, objects without a detection; difficult ones are not counted.
    """

    objects: np.ndarray
    ignored: np.ndarray
    missed: np.ndarray


def curves(images: Sequence[DetectedImage], num_classes: int, iou_thr: float = 0.5) -> list[Curve]:
    """Precision-recall curve of each class.

    Args:
        images: Detections and objects of each image.
        num_classes: Number of classes.
        iou_thr: The IoU must be above this.
    """
    return [precision_recall(match_class(images, label), iou_thr) for label in range(num_classes)]


def plot_curves(found: Sequence[Curve], classes: Sequence[str], mode: str = '11points') -> Figure:
    """Draw precision over recall for each class that has objects, with its AP.

    Args:
        found: Curve of each class.
        classes: Names of the classes.
        mode: How AP is computed, see :func:`s5_mm.evaluation.average_precision`.
    """
    figure = Figure(figsize=(9, 6), layout='constrained')
    axes = figure.add_subplot()
    styles = ('-', '--', ':')
    for number, (curve, name) in enumerate(zip(found, classes, strict=True)):
        if curve.num_objects:
            start = curve.precision[0] if len(curve.precision) else 0.0
            axes.plot(np.append(0.0, curve.recall), np.append(start, curve.precision), styles[number // 10 % 3],
                      label=f'{name} {100 * average_precision(curve, mode):.1f}')
    axes.set(xlim=(0, 1.01), ylim=(0, 1.01), xlabel='recall', ylabel='precision')
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(title='AP', loc='center left', bbox_to_anchor=(1, 0.5), fontsize='small')
    return figure


def judge_image(image: DetectedImage, iou_thr: float = 0.5, score_thr: float = 0.3) -> Verdict:
    """Assign objects to detections regardless of class, in descending order of score.

    A detection gets the object that it overlaps most among those that are free and not difficult.

    Args:
        image: Detections and objects.
        iou_thr: The IoU must be above this.
        score_thr: Detections with a lower score get no object.
    """
    taken = np.full(len(image.scores), -1)
    free = ~image.difficult
    pairs = overlapping_pairs(image.polygons, image.true_polygons, iou_thr)
    starts = np.searchsorted(pairs.first, np.arange(len(taken) + 1))
    for box in np.argsort(-image.scores, kind='stable'):
        objects, iou = (values[starts[box]:starts[box + 1]] for values in (pairs.second, pairs.iou))
        if image.scores[box] >= score_thr and free[objects].any():
            taken[box] = objects[np.where(free[objects], iou, -1).argmax()]
            free[taken[box]] = False
    hard = image.difficult[pairs.second] & (image.labels[pairs.first] == image.true_labels[pairs.second])
    ignored = np.isin(np.arange(len(taken)), pairs.first[hard]) & (taken < 0)
    return Verdict(taken, ignored, free)


def confusion_matrix(images: Sequence[DetectedImage], num_classes: int, iou_thr: float = 0.5,
                     score_thr: float = 0.3) -> np.ndarray:
    """Count which classes are detected as which, see :func:`judge_image`.

    Args:
        images: Detections and objects of each image.
        num_classes: Number of classes.
        iou_thr: The IoU must be above this.
        score_thr: Detections with a lower score do not count.

    Returns:
        (K + 1, K + 1): true classes in rows, detected ones in columns. The last column counts missed
        objects, the last row detections without an object.
    """
    counts = np.zeros((num_classes + 1, num_classes + 1), np.int64)
    for image in images:
        verdict = judge_image(image, iou_thr, score_thr)
        rows = np.append(image.true_labels, num_classes)[verdict.objects]
        counted = (image.scores >= score_thr) & ~verdict.ignored
        np.add.at(counts, (rows[counted], image.labels[counted]), 1)
        np.add.at(counts, (image.true_labels[verdict.missed], num_classes), 1)
    return counts


def plot_confusion(counts: np.ndarray, classes: Sequence[str]) -> Figure:
    """Draw a confusion matrix; colors are shares of a row, numbers are counts.

    Args:
        counts: From :func:`confusion_matrix`. Classes that do not occur are left out.
        classes: Names of the classes.
    """
    present = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1))
    present = np.union1d(present, [len(classes)])
    names, shown = [*classes, 'nothing'], counts[np.ix_(present, present)]
    side = 2.5 + 0.45 * len(present)
    figure = Figure(figsize=(side, side), layout='constrained')
    axes = figure.add_subplot()
    axes.imshow(shown / np.maximum(shown.sum(axis=1, keepdims=True), 1), cmap='Blues', vmin=0, vmax=1)
    for (row, column), number in np.ndenumerate(shown):
        if number:
            dark = number > 0.5 * shown[row].sum()
            axes.text(column, row, str(number), ha='center', va='center', color='white' if dark else 'black',
                      fontsize='small')
    ticks = range(len(present))
    axes.set_xticks(ticks, [names[i] for i in present], rotation=90)
    axes.set_yticks(ticks, [names[i] for i in present])
    axes.set(xlabel='detected', ylabel='true')
    return figure


def draw_verdicts(picture: np.ndarray, image: DetectedImage, iou_thr: float = 0.5, score_thr: float = 0.3,
                  scale: float = 1.0) -> np.ndarray:
    """Draw right detections, wrong ones and missed objects by the rules of the metric, class by class.

    Args:
        picture: (H, W, 3), uint8, red, green, blue.
        image: Detections and objects in px of the image.
        iou_thr: The IoU must be above this.
        score_thr: Detections with a lower score are left out.
        scale: Pixels of the picture for each pixel of the image, along a side.

    Returns:
        A picture with a legend: right detections, wrong ones, missed objects, difficult objects and their detections.
    """
    kept = image.scores >= score_thr
    image = replace(image, polygons=image.polygons[kept], scores=image.scores[kept], labels=image.labels[kept])
    right, wrong, missed = np.zeros(len(image.scores), bool), np.zeros(len(image.scores), bool), ~image.difficult
    for label in np.unique(image.labels):
        own = np.flatnonzero(image.labels == label)
        own = own[np.argsort(-image.scores[own], kind='stable')]
        matches = match_class([image], label)
        right[own], wrong[own] = true_and_false(matches, iou_thr)
        missed[np.flatnonzero(image.true_labels == label)[matches.objects[right[own]]]] = False
    ignored = ~right & ~wrong
    layers = [('difficult', IGNORED, np.concatenate([image.true_polygons[image.difficult], image.polygons[ignored]])),
              ('missed', MISSED, image.true_polygons[missed]), ('wrong', WRONG, image.polygons[wrong]),
              ('right', RIGHT, image.polygons[right])]
    for _, color, polygons in layers:
        picture = draw_boxes(picture, polygons * scale, np.tile(color, (len(polygons), 1)))
    return with_legend(picture, [(f'{name} ({len(polygons)})', color) for name, color, polygons in layers[::-1]])

"""Matching of detections with true objects, and average precision, by the rules of the public DOTA devkit (Task 1).

For each class, the detections of all images are processed in descending order of score:

- a detection is matched with the object of its image that it overlaps most, including difficult objects (the first one
  if several are equal);
- its IoU with that object must be *above* the threshold, else it is a false positive;
- if that object is difficult, the detection is ignored;
- if an earlier detection has found the object, it is a false positive, even if it also overlaps another object enough;
- otherwise it is a true positive.

Difficult objects do not count as objects to be found. Detections of equal score keep their order in the input; in the
devkit their order is undefined.
"""
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .polygon_overlaps import overlapping_pairs

MODES = ('11points', 'area')


@dataclass(frozen=True)
class DetectedImage:
    """Detections and true objects of an image.

    Attributes:
        name: File name of the image, without suffix.
        polygons: (N, 8), float64, corners of the detections in px.
        scores: (N, ), float64.
        labels: (N, ), int64, classes of the detections.
        true_polygons: (M, 8), float64, corners of the objects.
        true_labels: (M, ), int64.
        difficult: (M, ), bool, which objects are difficult and need not be found.
        path: File of the image; empty if it is not known.
    """

    name: str
    polygons: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    true_polygons: np.ndarray
    true_labels: np.ndarray
    difficult: np.ndarray
    path: str = ''


class ClassMatches(NamedTuple):
    """The detections of one class in all images, in descending order of score.

    Attributes:
        scores: (D, ).
        iou: (D, ), IoU with the object that overlaps most; 0 if none does.
        objects: (D, ), index of that object among the objects of all images; -1 if there is none.
        difficult: (D, ), bool, whether that object is difficult.
        num_objects: Number of objects without difficult ones.
    """

    scores: np.ndarray
    iou: np.ndarray
    objects: np.ndarray
    difficult: np.ndarray
    num_objects: int


class Curve(NamedTuple):
    """Precision and recall of one class after each detection.

    Attributes:
        scores: (D, ), in descending order.
        recall: (D, ), in [0, 1]; NaN if there is no object.
        precision: (D, ), in [0, 1].
        num_objects: Number of objects without difficult ones.
    """

    scores: np.ndarray
    recall: np.ndarray
    precision: np.ndarray
    num_objects: int


def match_class(images: Sequence[DetectedImage], label: int) -> ClassMatches:
    """Find for each detection of a class the object that it overlaps most.

    Args:
        images: All images.
        label: Index of the class.

    Returns:
        The detections of the class.
    """
    parts, objects, to_find = [], 0, 0
    for image in images:
        found, there = image.labels == label, image.true_labels == label
        difficult = image.difficult[there]
        iou, nearest = best_overlaps(image.polygons[found], image.true_polygons[there])
        hidden = np.append(difficult, False)[nearest]
        parts.append((image.scores[found], iou, np.where(nearest < 0, -1, nearest + objects), hidden))
        objects += len(difficult)
        to_find += int((~difficult).sum())
    empty = (np.zeros(0), np.zeros(0), np.zeros(0, np.int64), np.zeros(0, bool))
    columns = [np.concatenate(column) for column in zip(empty, *parts, strict=True)]
    order = np.argsort(-columns[0], kind='stable')
    return ClassMatches(*(column[order] for column in columns), to_find)


def best_overlaps(polygons: np.ndarray, objects: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The object that each detection overlaps most.

    Args:
        polygons: (N, 8), float64 corners of detections.
        objects: (M, 8), float64 corners of objects.

    Returns:
        IoU, (N, ), and index of the object, (N, ); 0 and -1 where it overlaps none.
    """
    iou, nearest = np.zeros(len(polygons)), np.full(len(polygons), -1)
    if not (len(polygons) and len(objects)):
        return iou, nearest
    pairs = overlapping_pairs(polygons, objects)
    order = np.lexsort((pairs.second, -pairs.iou, pairs.first))
    detections, first = np.unique(pairs.first[order], return_index=True)
    iou[detections] = pairs.iou[order][first]
    nearest[detections] = pairs.second[order][first]
    return iou, nearest


def precision_recall(matches: ClassMatches, iou_thr: float) -> Curve:
    """Count right and wrong detections in descending order of score.

    Args:
        matches: From :func:`match_class`.
        iou_thr: The IoU must be above this.

    Returns:
        Recall and precision after each detection.
    """
    hits, misses = true_and_false(matches, iou_thr)
    right, wrong = hits.cumsum(), misses.cumsum()
    recall = right / matches.num_objects if matches.num_objects else np.full(len(hits), np.nan)
    precision = right / np.maximum(right + wrong, np.finfo(np.float64).eps)
    return Curve(matches.scores, recall, precision, matches.num_objects)


def true_and_false(matches: ClassMatches, iou_thr: float) -> tuple[np.ndarray, np.ndarray]:
    """Which detections are true and which are false positives; those of difficult objects are neither.

    Args:
        matches: From :func:`match_class`.
        iou_thr: The IoU must be above this.

    Returns:
        True positives and false positives, (D, ) bool each.
    """
    near = matches.iou > iou_thr
    candidates = np.flatnonzero(near & ~matches.difficult)
    _, first = np.unique(matches.objects[candidates], return_index=True)
    hits = np.zeros(len(near), bool)
    hits[candidates[first]] = True
    return hits, ~hits & ~(near & matches.difficult)


def average_precision(curve: Curve, mode: str = '11points') -> float:
    """Area below a precision-recall curve, whose precision is the maximum at the same or a higher recall.

    Args:
        curve: The curve of one class.
        mode: ``'11points'``: mean over the recalls 0, 0.1 ... 1 (PASCAL VOC 2007, DOTA, DIOR-R); ``'area'``: the area
            itself (VOC 2012).

    Returns:
        In [0, 1]; NaN for a class without objects.

    Raises:
        ValueError: The mode is unknown.
    """
    if mode not in MODES:
        raise ValueError(f'the mode of average precision is {mode!r}; choose one of {", ".join(MODES)}.')
    if not curve.num_objects:
        return float('nan')
    best = np.maximum.accumulate(curve.precision[::-1])[::-1]
    if mode == 'area':
        steps = np.diff(curve.recall, prepend=0.0)
        return float((steps * best).sum())
    # As in the devkit (and VOC), the levels 0.3, 0.6 and 0.7 are the next larger float64, which a recall of 3 / 10 does
    # not reach.
    levels = np.arange(0.0, 1.1, 0.1)
    reached = np.searchsorted(curve.recall, levels, side='left')
    return float(np.append(best, 0.0)[reached].sum() / len(levels))

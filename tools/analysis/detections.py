"""Analyze the detections of a test: precision-recall curves, confusion matrix, right and wrong boxes on the images."""
import argparse
import csv
from pathlib import Path

import numpy as np
from PIL import Image
from prettytable import PrettyTable

from s5_mm.analysis.detections import confusion_matrix, curves, draw_verdicts, plot_confusion, plot_curves
from s5_mm.apis import overview
from s5_mm.errors import one_line_errors
from s5_mm.evaluation import DetectedImage, average_precision, load_detections
from s5_mm.rasters import SUFFIXES, open_raster


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('detections', help='file *.npz that out_file of s5_mm.RotatedMAP or s5_mm.DOTAMetric wrote')
    parser.add_argument('--out', required=True, metavar='DIR',
                        help='write pr_curves.png, confusion.png, confusion.csv and drawn/NAME.png there')
    parser.add_argument('--iou-thr', type=float, default=0.5, metavar='IOU',
                        help='the IoU with an object must be above this; default 0.5')
    parser.add_argument('--score-thr', type=float, default=0.3, metavar='SCORE',
                        help='lowest score in the confusion matrix and in pictures; default 0.3')
    parser.add_argument('--eval-mode', choices=['11points', 'area'], default='11points', help='how AP is computed')
    parser.add_argument('--draw', type=int, default=20, metavar='N',
                        help='number of images to draw, spread over all; default 20')
    parser.add_argument('--images', metavar='DIR',
                        help='folder of the images, if the file does not name it (whole DOTA images)')
    return parser.parse_args(argv)


def find_image(image: DetectedImage, folder: str | None) -> Path:
    """The file of an image.

    Raises:
        FileNotFoundError: The image does not exist.
    """
    if folder is None and image.path:
        return Path(image.path)
    paths = [] if folder is None else [Path(folder) / f'{image.name}{suffix}' for suffix in SUFFIXES]
    found = [path for path in paths if path.is_file()]
    if not found:
        raise FileNotFoundError(f'image {image.name} was not found in {folder}; give the folder of the images with '
                                '--images, or --draw 0.')
    return found[0]


def write_confusion(path: Path, counts: np.ndarray, classes: list[str]) -> None:
    """Write the matrix as CSV, true classes in rows."""
    with path.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['true / detected', *classes, 'nothing'])
        writer.writerows([name, *row] for name, row in zip([*classes, 'nothing'], counts.tolist(), strict=True))


@one_line_errors('detections')
def main(argv: list[str] | None = None) -> None:
    """Plot, count and draw."""
    args = parse_args(argv)
    images, classes = load_detections(args.detections)
    out = Path(args.out)
    (out / 'drawn').mkdir(parents=True, exist_ok=True)
    found = curves(images, len(classes), args.iou_thr)
    plot_curves(found, classes, args.eval_mode).savefig(out / 'pr_curves.png', dpi=120)
    counts = confusion_matrix(images, len(classes), args.iou_thr, args.score_thr)
    write_confusion(out / 'confusion.csv', counts, classes)
    plot_confusion(counts, classes).savefig(out / 'confusion.png', dpi=120)
    table = PrettyTable(['class', 'objects', 'detections', 'AP'])
    for name, curve in zip(classes, found, strict=True):
        value = 100 * average_precision(curve, args.eval_mode)
        table.add_row([name, curve.num_objects, len(curve.scores), f'{value:.2f}'])
    print(table)
    for index in np.unique(np.linspace(0, len(images) - 1, min(args.draw, len(images))).astype(int)):
        with open_raster(find_image(images[index], args.images)) as source:
            picture, scale = overview(source, least=512)
        drawn = draw_verdicts(picture, images[index], args.iou_thr, args.score_thr, scale)
        Image.fromarray(drawn).save(out / 'drawn' / f'{images[index].name}.png')
    print(f'curves, confusion matrix and pictures are in {out}')


if __name__ == '__main__':
    main()

"""Find objects in images of any size: split an image into patches, predict each patch, merge the detections."""
import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.config import DictAction
from PIL import Image

from s5_mm.apis import (
    Detections,
    TilingConfig,
    dataset_meta,
    detect,
    draw_classes,
    load_config,
    load_detector,
    overview,
)
from s5_mm.errors import one_line_errors
from s5_mm.files import write_text
from s5_mm.radiometry import Stretch
from s5_mm.rasters import RasterError, open_raster


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('images', nargs='+', help='JPEG, PNG, (Geo)TIFF or BMP; read window by window')
    parser.add_argument('--out', required=True, metavar='DIR',
                        help='write DIR/NAME.txt there, a line `x1 y1 x2 y2 x3 y3 x4 y4 class score` for each object')
    parser.add_argument('--draw', action='store_true', help='write DIR/drawn/NAME.png, too, reduced to at most 4096 px')
    parser.add_argument('--dataset', metavar='NAME', help='dataset whose classes are detected, of several')
    parser.add_argument('--size', type=int, default=1024, metavar='PX', help='side of a patch; default 1024')
    parser.add_argument('--overlap', type=int, default=200, metavar='PX', help='overlap of patches; default 200')
    parser.add_argument('--scales', type=float, nargs='+', default=[1.0], metavar='RATE',
                        help='factors on the sides of the image; default 1')
    parser.add_argument('--merge-iou', type=float, default=0.1, metavar='IOU',
                        help='drop a detection if its IoU with a better one of its class is above this; default 0.1')
    parser.add_argument('--score-thr', type=float, default=0.3, metavar='SCORE', help='lowest score; default 0.3')
    parser.add_argument('--batch-size', type=int, default=4, metavar='N', help='patches in a forward pass; default 4')
    parser.add_argument('--bands', type=int, nargs='+', metavar='N',
                        help='bands of red, green and blue, from 1; default: as named in the file')
    parser.add_argument('--value-range', type=float, nargs=2, metavar=('LOW', 'HIGH'),
                        help='values that become 0 and 255 in images of more than 8 bits; default percentiles 2 and 98')
    parser.add_argument('--device', help='default the GPU, if there is one')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='override settings')
    return parser.parse_args(argv)


def write_found(path: Path, found: Detections, classes: tuple[str, ...]) -> None:
    """Write detections as text, a line for each."""
    lines = [' '.join([*map(str, polygon.tolist()), classes[label], str(score)])
             for polygon, score, label in zip(found.polygons, found.scores.tolist(), found.labels, strict=True)]
    write_text(path, ''.join(f'{line}\n' for line in lines))


def check_images(images: Sequence[Path], bands: Sequence[int] | None, stretch: Stretch) -> None:
    """Check that every image can be opened and that their results have different names.

    Raises:
        ValueError: Two images have the same name without suffix.
        RasterError: One or more images cannot be read.
    """
    names = Counter(image.stem for image in images)
    double = [str(image) for image in images if names[image.stem] > 1]
    if double:
        raise ValueError(f'{", ".join(double)}: results are named after the image without its suffix, so these would '
                         'overwrite each other; use separate calls with different --out.')
    refused = []
    for image in images:
        try:
            with open_raster(image, bands, stretch):
                pass
        except RasterError as error:
            refused.append(f'{image}: {error}')
    if refused:
        raise RasterError('; '.join(refused))


@one_line_errors('detect')
def main(argv: list[str] | None = None) -> None:
    """Detect."""
    args = parse_args(argv)
    images = [Path(image) for image in args.images]
    stretch = Stretch(value_range=args.value_range and tuple(args.value_range))
    check_images(images, args.bands, stretch)
    cfg = load_config(args.config, cfg_options=args.cfg_options)
    settings = TilingConfig(args.size, args.overlap, tuple(args.scales), args.merge_iou, args.score_thr,
                            args.batch_size)
    meta = dataset_meta(cfg, args.dataset)
    model = load_detector(cfg, args.checkpoint, args.device)
    out = Path(args.out)
    (out / 'drawn' if args.draw else out).mkdir(parents=True, exist_ok=True)
    for image in images:
        try:
            found = detect(model, image, args.dataset, settings, args.bands, stretch, progress=True)
        except RasterError as error:
            raise RasterError(f'{image}: {error}') from error
        write_found(out / f'{image.stem}.txt', found, meta['classes'])
        print(f'{image}: {len(found.scores)} objects, in {out / image.stem}.txt')
        if args.draw:
            with open_raster(image, args.bands, stretch) as source:
                picture, scale = overview(source)
            drawn = draw_classes(picture, found.polygons * scale, found.labels, meta['classes'], meta['palette'])
            Image.fromarray(np.ascontiguousarray(drawn)).save(out / 'drawn' / f'{image.stem}.png')


if __name__ == '__main__':
    main()

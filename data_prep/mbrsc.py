"""Cut the semantic segmentation data set of Dubai (MBRSC, Humans in the Loop) into crops, id masks and label budgets.

It has 63 images of Dubai in 7 tiles, from satellites of the Mohammed Bin Rashid Space Centre; the files are also in
https://github.com/nive927/Dubai-Satellite-Imagery-Multiclass-Segmentation. SRC holds, as archive or unpacked:

    Tile 1/images/image_part_001.jpg ... and Tile 1/masks/image_part_001.png ..., up to Tile 7

Masks are read by their colors: building (60, 16, 152), land (132, 41, 246), road (110, 193, 228), vegetation
(254, 221, 58), water (226, 169, 41); unlabeled (155, 155, 155) and black become 255. The published classes.json states
other colors than the files have. Tiles 1 to 6 are for training, tile 7 for validation, since neighboring images overlap
in content. Images are reduced, then cut without overlap; what is left at the right and at the bottom is dropped:

    OUT/img_dir/{train,val}/NAME.png and OUT/ann_dir/{train,val}/NAME.png
    OUT/lists/labeled_1_of_N_seed_S.txt      names of the labeled training crops, for N = 16, 8, 4 and S = 0, 1, 2
    OUT/lists/unlabeled_1_of_N_seed_S.txt    paths of all other training crops below img_dir/train

NAME is tileT_image_part_III_LEFT_TOP. The lists follow from names and seed alone; those of a seed contain each other. A
stopped run resumes when the same command is repeated.
"""
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from PIL import Image

from data_prep import preparing
from data_prep.downloads import File, PreparationError, decode_color, first_matches, list_files
from data_prep.preparing import Official, Source

PLACE = r'(?:^|/)Tile (\d)/{}/(image_part_\d+)\.{}$'
COLORS = ((60, 16, 152), (132, 41, 246), (110, 193, 228), (254, 221, 58), (226, 169, 41), (155, 155, 155), (0, 0, 0))
NUM_CLASSES = 5
IGNORED = 255
VALIDATION = '7'
EXPECTED = {'train': Official(54, 441, 'complete'), 'val': Official(9, 504, 'complete')}
"""Images, and the crops that the default settings make."""
DEFAULTS = {'reduce': 2, 'crop': 128}
BUDGETS = (16, 8, 4)
SEEDS = (0, 1, 2)


def find_sources(files: Sequence[tuple[str, File]]) -> list[Source]:
    """Pair images with masks, in the order of tiles and names.

    Raises:
        PreparationError: There is no image, or one has no mask.
    """
    images, masks = (first_matches(files, PLACE.format(*kind)) for kind in (('images', 'jpg'), ('masks', 'png')))
    if not images:
        raise PreparationError('found no image "Tile 1/images/image_part_001.jpg"; --help shows the layout')
    lost = [image for key, image in images.items() if key not in masks]
    if lost:
        raise PreparationError(f'{len(lost)} of {len(images)} images have no mask in masks/, e.g. {lost[0]}')
    return [Source('val' if tile == VALIDATION else 'train', f'tile{tile}_{name}', images[tile, name],
                   masks[tile, name]) for tile, name in sorted(images)]


def prepare_image(source: Source, out: Path, reduce: int, crop: int) -> dict:
    """Reduce and cut an image and its mask; returns their record."""
    image = decode_color(source.image)
    colors = decode_color(source.mask)
    preparing.require_equal_sizes(source.image, image.shape[:2], source.mask, colors.shape[:2])
    ids = preparing.colors_to_ids(colors, COLORS, str(source.mask), 'fetch the published file again')
    ids[ids >= NUM_CLASSES] = IGNORED
    # Pixels of the image are averaged; of the mask, one of each block is taken.
    image = np.asarray(Image.fromarray(image).reduce(reduce))
    ids = ids[reduce // 2::reduce, reduce // 2::reduce]
    files = []
    for left, top in windows(*ids.shape, crop):
        part = np.s_[top:top + crop, left:left + crop]
        files += preparing.save_pair(out, source.split, f'{source.name}_{left}_{top}', image[part], ids[part])
    return {'files': files}


def windows(height: int, width: int, crop: int) -> Iterator[tuple[int, int]]:
    """Left and top of the crops that fit, without overlap."""
    for top in range(0, height - crop + 1, crop):
        yield from ((left, top) for left in range(0, width - crop + 1, crop))


def write_lists(out: Path, names: Sequence[str]) -> None:
    """Divide the training crops into labeled and unlabeled ones, for each budget and seed.

    Args:
        out: Output folder.
        names: Training crops.
    """
    from s5_mm.randomness import derive_seed  # takes seconds to import, which --help should not

    for seed in SEEDS:
        order = sorted(names, key=partial(derive_seed, seed, 'labeled'))
        for budget in BUDGETS:
            number = len(names) // budget
            suffix = f'1_of_{budget}_seed_{seed}.txt'
            preparing.write_text(''.join(f'{name}\n' for name in sorted(order[:number])),
                                 out / f'lists/labeled_{suffix}')
            preparing.write_text(''.join(f'{name}.png\n' for name in sorted(order[number:])),
                                 out / f'lists/unlabeled_{suffix}')


def prepare(root: Path, out: Path, reduce: int = DEFAULTS['reduce'], crop: int = DEFAULTS['crop'],
            workers: int = 1) -> list[str]:
    """Cut a download, or the part that an earlier run has not done; returns lines about the result.

    Args:
        root: The download's folder.
        out: Output folder.
        reduce: Pixels of an image along a side that become one.
        crop: Side of a crop in pixels.
        workers: Processes.

    Raises:
        PreparationError: Files are missing, damaged or contradictory, or settings are out of range.
    """
    if reduce < 1 or crop < 1:
        raise PreparationError(f'--reduce is {reduce} and --crop {crop}; both must be at least 1')
    sources = find_sources(list_files(root))
    settings = {'reduce': reduce, 'crop': crop}
    with preparing.resuming(out / 'mbrsc_settings.json', settings):
        preparing.prepare_all(sources, out, partial(prepare_image, out=out, **settings), workers)
        records = preparing.stored_records(out)
        write_lists(out, [Path(file).stem for (split, _), record in records.items() for file in record['files']
                          if split == 'train' and file.startswith('img_dir/')])
    counts = preparing.count(records)
    if settings == DEFAULTS:
        return preparing.compare(counts, EXPECTED, 'crops')
    return [f'{split}: {numbers["images"]:,} images, {numbers["samples"]:,} crops' for split, numbers in counts.items()]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line, see the module and ``--help``."""
    parser = preparing.command_line(__doc__, 'folder of the download, archive or unpacked',
                                    'output folder, e.g. data/mbrsc')
    parser.add_argument('--reduce', type=int, default=DEFAULTS['reduce'],
                        help='pixels along a side that become one (default: %(default)s)')
    parser.add_argument('--crop', type=int, default=DEFAULTS['crop'],
                        help='side of a crop in pixels (default: %(default)s)')
    args = parser.parse_args(argv)
    preparing.report(partial(prepare, args.source, args.out, args.reduce, args.crop, args.workers), 'mbrsc')


if __name__ == '__main__':
    main()

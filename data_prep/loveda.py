"""Check the official LoveDA download and arrange its files for training.

LoveDA is published as PNG of 1024 x 1024 px at 30 cm (https://zenodo.org/records/5706578). SRC holds Train.zip, Val.zip
and Test.zip, or these unpacked:

    Train/{Urban,Rural}/images_png/0.png and masks_png/0.png, the same for Val; Test/{Urban,Rural}/images_png/4191.png

Nothing is converted: images and masks are copied unchanged. Masks have 0 = no data and 1-7 = classes, as in mmseg.

    OUT/img_dir/{train,val,test}/0.png and OUT/ann_dir/{train,val}/0.png
    OUT/lists/{train,val,test}_{urban,rural}.txt   names of each domain
    OUT/lists/trainval.txt                         train/0 ... val/2522 ...: both splits, for the score of the server

A stopped run resumes when the same command is repeated. SRC may hold a part of the download; lists and numbers refer
to all files in OUT.
"""
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_prep import preparing
from data_prep.downloads import File, PreparationError, decode_color, decode_ids, first_matches, list_files
from data_prep.preparing import Official, Source

PLACE = r'(?:^|/)(Train|Val|Test)/(Urban|Rural)/{}_png/(\d+)\.png$'
LABELED = ('train', 'val')
LARGEST_ID = 7
PUBLISHED = {'train': Official(2522, 2522), 'val': Official(1669, 1669), 'test': Official(1796, 1796)}


@dataclass(frozen=True)
class Scene(Source):
    """An image of a ``domain``, ``urban`` or ``rural``."""

    domain: str = ''


def find_sources(files: Sequence[tuple[str, File]]) -> list[Scene]:
    """Pair images with masks, in the order of the splits.

    Raises:
        PreparationError: There is no image, a name is in both domains, or an image has no mask.
    """
    images, masks = (first_matches(files, PLACE.format(kind)) for kind in ('images', 'masks'))
    if not images:
        raise PreparationError('found no image .../Train/Urban/images_png/0.png ..., nor Train.zip; --help shows '
                               'the layout')
    both = [name for split, domain, name in images if domain == 'Urban' and (split, 'Rural', name) in images]
    if both:
        raise PreparationError(f'{len(both)} names are in Urban and in Rural, e.g. {both[0]}.png; the official names '
                               'differ')
    lost = [image for key, image in images.items() if key[0] != 'Test' and key not in masks]
    if lost:
        raise PreparationError(f'{len(lost)} of {len(images)} images have no mask in masks_png, e.g. {lost[0]}')
    order = sorted(images, key=lambda key: (tuple(PUBLISHED).index(key[0].lower()), int(key[2])))
    return [Scene(key[0].lower(), key[2], images[key], masks.get(key) if key[0] != 'Test' else None, key[1].lower())
            for key in order]


def prepare_pair(source: Scene, out: Path, link: bool) -> dict:
    """Check an image and its mask and copy them; returns their record, with the ``domain``."""
    size = decode_color(source.image).shape[:2]
    if source.mask:
        ids = decode_ids(source.mask)
        preparing.require_equal_sizes(source.image, size, source.mask, ids.shape)
        preparing.require_ids(ids, LARGEST_ID, str(source.mask))
    return {'files': preparing.place_pair(source, out, '.png', link), 'domain': source.domain}


def write_lists(out: Path, domains: Mapping[tuple[str, str], str]) -> None:
    """Write the lists of the domains and the list of both labeled splits.

    Args:
        out: Output folder.
        domains: (split, name) -> domain of each image in it.
    """
    ordered = sorted(domains, key=lambda key: (tuple(PUBLISHED).index(key[0]), int(key[1])))
    for split in PUBLISHED:
        for domain in ('urban', 'rural'):
            names = [key[1] for key in ordered if key[0] == split and domains[key] == domain]
            preparing.write_text(''.join(f'{name}\n' for name in names), out / 'lists' / f'{split}_{domain}.txt')
    both = [f'{split}/{name}\n' for split, name in ordered if split in LABELED]
    preparing.write_text(''.join(both), out / 'lists' / 'trainval.txt')


def prepare(root: Path, out: Path, link: bool = False, workers: int = 1) -> list[str]:
    """Arrange a download, or the part that an earlier run has not done; returns lines about the result.

    Raises:
        PreparationError: Files are missing, damaged or contradictory.
    """
    sources = find_sources(list_files(root))
    # Records of earlier versions have no domain.
    found = {(source.split, source.name): source.domain for source in sources}
    with preparing.resuming(out / 'loveda_settings.json', {'link': link}):
        preparing.prepare_all(sources, out, partial(prepare_pair, out=out, link=link), workers)
        records = preparing.stored_records(out)
        write_lists(out, {key: record.get('domain') or found.get(key, '') for key, record in records.items()})
    return preparing.compare(preparing.count(records), PUBLISHED, 'images')


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line, see the module and ``--help``."""
    preparing.copying_command(__doc__, 'loveda', prepare, argv)


if __name__ == '__main__':
    main()

"""Divide the official DOTA download (v1.0, v1.5 or v2.0) into patches for training.

DOTA is published as whole images (https://captain-whu.github.io/DOTA), PNG of 800 to 29,000 px, with a text file of
rotated boxes each. SRC holds, as archives or unpacked, everything of a split below a folder of its name:

    train/images/part1.zip ...           P0000.png ...  (any folder, also .jpg .tif .bmp, 16 bits, transparent)
    train/labelTxt-v2.0/DOTA-v2.0_train.zip   P0000.txt ...  (upright boxes, "hbb" and "reclabel", are not read)

the same for val, and test (or test-dev), whose labels are not published. If SRC has labels of several versions,
--version selects them by the "v2.0" in the path. Output:

    OUT/{train,val,test}/images/P0000.png and labelTxt/P0000.txt       unchanged files
    OUT/patches/{train,val,test}/images/NAME.png and labelTxt/NAME.txt
    OUT/trainval/ and OUT/patches/trainval/                            links to train and val
    OUT/patches/info.json                                              settings, and the size of each whole image

NAME is P0000__1024__LEFT___TOP at the scale of the file (1024 px wide, from LEFT, TOP in pixels). At another scale it
is P0000__0.5__LEFT___TOP, with the factor and the position in the scaled image. Patches are 8-bit color. They are
padded if the image is smaller.

An object belongs to a patch if the patch shows at least the share --keep (0.7) of the part that is visible in the whole
image. It is written with its whole polygon and its own difficulty. Objects with a smaller share get the difficulty 2
(not trained, ignored in a test), or are left out (--truncated drop).

A stopped run resumes when the same command is repeated.
"""
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_prep import preparing
from data_prep.dota_patches.sources import find_sources, lonely_labels
from data_prep.dota_patches.windows import Settings
from data_prep.downloads import list_files
from data_prep.preparing import Official

V1 = {'train': Official(1411, 1411), 'val': Official(458, 458), 'test': Official(937, 937)}
PUBLISHED = {
    'v1.0': V1,
    'v1.5': V1,
    'v2.0': {'train': Official(1830, 1830), 'val': Official(593, 593), 'test': Official(2792, 2792)},
}
IMAGES, PATCHES = '^[^/]+/images/', r'^patches/.*\.png$'


def link_trainval(out: Path, records: Mapping[tuple[str, str], dict]) -> None:
    """Join train and val, if both exist, by relative links."""
    if not {'train', 'val'} <= {split for split, _ in records}:
        return
    for (split, _), record in records.items():
        for file in record['files'] if split in ('train', 'val') else ():
            joined = out / file.replace(f'{split}/', 'trainval/', 1)
            if not joined.is_symlink():
                joined.parent.mkdir(parents=True, exist_ok=True)
                joined.symlink_to(os.path.relpath(out / file, joined.parent))


def write_info(out: Path, records: Mapping[tuple[str, str], dict], settings: Settings) -> None:
    """Write ``OUT/patches/info.json``: settings, and (height, width) of the whole images by split and name."""
    images: dict[str, dict[str, list[int]]] = {}
    for (split, name), record in records.items():
        images.setdefault(split, {})[name] = record['size']
    preparing.write_text(json.dumps({**asdict(settings), 'images': images}), out / 'patches/info.json')


def describe(records: Mapping[tuple[str, str], dict], settings: Settings) -> list[str]:
    """A line for each split with the numbers of its patches and objects."""
    lines = []
    for split, numbers in preparing.count(records, samples=PATCHES).items():
        own = [record for key, record in records.items() if key[0] == split]
        lost, flat = (sum(record.get(key, 0) for record in own) for key in ('lost', 'flat'))
        lines.append(f'{split}: {numbers["samples"]:,} patches; {sum(record["objects"] for record in own):,} objects'
                     + (f', {lost:,} of them in no patch to {settings.keep:.0%}' if lost else '')
                     + (f', {flat:,} of them without area, e.g. in {_first(own, "flat")}' if flat else ''))
    return lines


def _first(records: Sequence[Mapping], key: str) -> str:
    """Label file of the first record in which the number ``key`` is not 0."""
    return next(record['files'][1] for record in records if record.get(key))


def prepare(root: Path, out: Path, settings: Settings, workers: int = 1) -> list[str]:
    """Divide a download, or the part that an earlier run has not done; returns lines about the result.

    Raises:
        PreparationError: Files are missing, damaged or contradictory.
    """
    # These take seconds to import, which --help should not.
    from data_prep.dota_patches.cutting import prepare_image
    from s5_mm.datasets import S5DOTADataset

    classes = settings.classes or S5DOTADataset.VERSIONS[settings.version]['classes']
    files = list_files(root)
    sources = find_sources(files, settings.version)
    work = partial(prepare_image, out=out, settings=settings, classes=classes)
    with preparing.resuming(out / 'dota_settings.json', asdict(settings)):
        preparing.prepare_all(sources, out, work, workers)
        records = preparing.stored_records(out)
        link_trainval(out, records)
        write_info(out, records, settings)
    lines = describe(records, settings) + [
        f'{split}: {len(names):,} label files have no image and were left out, e.g. {names[0]}.txt'
        for split, names in lonely_labels(files).items()]
    if settings.classes:
        return lines
    counts = preparing.count(records, samples=IMAGES)
    return preparing.compare(counts, PUBLISHED[settings.version], 'images') + lines


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line, see the module and ``--help``."""
    given = Settings()
    parser = preparing.command_line(
        __doc__, 'folder of the download, archives or unpacked', 'output folder, e.g. data/dota_v2')
    parser.add_argument('--version', choices=list(PUBLISHED), default=given.version,
                        help='version of the labels (default: %(default)s)')
    parser.add_argument('--classes', nargs='+', help='names of classes, for your own data (default: of the version)')
    for name, what in (('size', 'side of a patch'), ('gap', 'overlap of patches')):
        parser.add_argument(f'--{name}', type=int, default=getattr(given, name),
                            help=f'{what} in pixels (default: %(default)s)')
    parser.add_argument('--rates', type=float, nargs='+', default=given.rates,
                        help='factors on the size of the images, e.g. 0.5 1 1.5 (default: 1)')
    parser.add_argument('--pad', type=int, nargs=3, default=given.pad, metavar=('R', 'G', 'B'),
                        help='color around small images (default: 124 116 104, the mean of ImageNet)')
    parser.add_argument('--keep', type=float, default=given.keep,
                        help='least visible share of an object that belongs to a patch (default: %(default)s)')
    parser.add_argument('--truncated', choices=('difficult', 'drop'), default=given.truncated,
                        help='what to do with objects with a smaller share (default: %(default)s)')
    parser.add_argument('--drop-empty', action='store_true', help='leave out training patches without an object')
    parser.add_argument('--value-range', type=float, nargs=2, metavar=('LOW', 'HIGH'),
                        help='values of 16-bit images that become 0 and 255 (default: percentiles 2 and 98 of each)')
    parser.add_argument('--link', action='store_true', help='link to unpacked files instead of copying them')
    args = vars(parser.parse_args(argv))
    paths = [args.pop(name) for name in ('source', 'out')]
    preparing.report(partial(_run, *paths, args.pop('workers'), args), 'dota')


def _run(root: Path, out: Path, workers: int, chosen: Mapping) -> list[str]:
    chosen = {name: tuple(value) if isinstance(value, list) else value for name, value in chosen.items()}
    return prepare(root, out, Settings(**chosen), workers)


if __name__ == '__main__':
    main()

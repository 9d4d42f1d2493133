"""Check the official DIOR-R download and arrange its files for training.

DIOR-R is published as JPEG of 800 x 800 px with rotated boxes in XML (https://gcheng-nwpu.github.io). SRC holds, as
archives or unpacked:

    JPEGImages-trainval.zip, JPEGImages-test.zip   00001.jpg ... 11725.jpg, 11726.jpg ... 23463.jpg
    Annotations.zip                                Oriented Bounding Boxes/00001.xml ... (upright ones are not read)
    ImageSets.zip                                  Main/train.txt, Main/val.txt, Main/test.txt

Nothing is converted: every image is decoded, every label is parsed and compared with the size of its image, and both
are copied unchanged to the official layout:

    OUT/JPEGImages-trainval/00001.jpg, OUT/JPEGImages-test/11726.jpg
    OUT/Annotations/Oriented Bounding Boxes/00001.xml
    OUT/ImageSets/Main/{train,val,trainval,test}.txt

A stopped run resumes when the same command is repeated. SRC may hold a part of the download; lists and numbers refer
to all files in OUT.
"""
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_prep import preparing
from data_prep.downloads import File, PreparationError, decode_color, first_matches, list_files
from data_prep.preparing import Official, Source

IMAGES = r'(?:^|/)JPEGImages-(?:trainval|test)/([^/.][^/]*)\.jpg$'
LABELS = r'(?:^|/)Oriented[ _]Bounding[ _]Boxes/([^/.][^/]*)\.xml$'
LISTS = r'(?:^|/)Main/(train|val|test)\.txt$'
OUT_LABELS = 'Annotations/Oriented Bounding Boxes'
PUBLISHED = {'train': Official(5862, 5862), 'val': Official(5863, 5863), 'test': Official(11738, 11738)}


def find_sources(files: Sequence[tuple[str, File]]) -> list[Source]:
    """Pair images with labels, in the order of the lists.

    Raises:
        PreparationError: There is no list or no image, a name is in two splits, or a part of a split's images or
            labels is missing.
    """
    lists, images, labels = (first_matches(files, pattern) for pattern in (LISTS, IMAGES, LABELS))
    if not lists or not images:
        what = 'image JPEGImages-trainval/00001.jpg' if lists else 'list ImageSets/Main/train.txt'
        raise PreparationError(f'found no {what} ...; --help shows the layout')
    names = {split: lists[split, ].read().decode().split() for split in PUBLISHED if (split, ) in lists}
    doubled = [name for name, count in Counter(name for split in names.values() for name in split).items() if count > 1]
    if doubled:
        raise PreparationError(f'{len(doubled)} names are listed twice in ImageSets/Main, e.g. {doubled[0]}')
    return [source for split, listed in names.items() for source in _sources_of_split(split, listed, images, labels)]


def _sources_of_split(split: str, names: Sequence[str], images: Mapping[tuple, File],
                      labels: Mapping[tuple, File]) -> list[Source]:
    if not any((name, ) in images for name in names):
        return []
    for kind, found in (('image', images), ('label in Oriented Bounding Boxes', labels)):
        lost = [name for name in names if (name, ) not in found]
        if lost:
            raise PreparationError(f'{len(lost)} of {len(names)} images of {split} have no {kind}, e.g. {lost[0]}; '
                                   'fetch the archive again')
    return [Source(split, name, images[name, ], labels[name, ]) for name in names]


def prepare_image(source: Source, out: Path, link: bool) -> dict:
    """Check an image and its label and copy them.

    Returns:
        The record, with the number of objects of each class name.

    Raises:
        PreparationError: A file is damaged, or the sizes in image and label differ.
    """
    from s5_mm.datasets.rotated_files import LabelError, parse_dior_xml

    shape = decode_color(source.image).shape[:2]
    try:
        size, objects = parse_dior_xml(source.mask.read(), str(source.mask))
    except LabelError as error:
        raise PreparationError(str(error)) from error
    if size is not None:
        preparing.require_equal_sizes(source.image, shape, source.mask, size)
    part = 'test' if source.split == 'test' else 'trainval'
    files = [f'JPEGImages-{part}/{source.name}.jpg', f'{OUT_LABELS}/{source.name}.xml']
    for file, name in zip((source.image, source.mask), files, strict=True):
        preparing.place(file, out / name, link)
    return {'files': files, 'objects': Counter(found.name for found in objects)}


def write_lists(out: Path, names: Iterable[tuple[str, str]]) -> None:
    """Write the lists of the splits, and of train and val together; ``names`` are (split, name)."""
    names = sorted(names)
    for title, splits in {**{split: [split] for split in PUBLISHED}, 'trainval': ['train', 'val']}.items():
        text = ''.join(f'{name}\n' for name in sorted(name for split, name in names if split in splits))
        preparing.write_text(text, out / 'ImageSets/Main' / f'{title}.txt')


def describe_objects(records: Mapping[tuple[str, str], dict], classes: Sequence[str]) -> list[str]:
    """Lines with the number of objects of ``classes``, and of other classes."""
    counts = sum((Counter(record['objects']) for record in records.values()), Counter())
    unknown = {name: count for name, count in counts.items() if name not in classes}
    lines = [f'{counts.total():,} objects of {len(counts) - len(unknown)} classes']
    if unknown:
        named = ', '.join(f'{name!r} ({count:,})' for name, count in sorted(unknown.items()))
        lines.append(f'{sum(unknown.values()):,} objects of unknown classes, which training leaves out: {named}')
    return lines


def prepare(root: Path, out: Path, link: bool = False, workers: int = 1) -> list[str]:
    """Arrange a download, or the part that an earlier run has not done; returns lines about the result.

    Raises:
        PreparationError: Files are missing, damaged or contradictory.
    """
    from s5_mm.datasets import DIORRDataset  # takes seconds to import, which --help should not

    classes = DIORRDataset.METAINFO['classes']
    sources = find_sources(list_files(root))
    with preparing.resuming(out / 'dior_r_settings.json', {'link': link}):
        preparing.prepare_all(sources, out, partial(prepare_image, out=out, link=link), workers)
        records = preparing.stored_records(out)
        write_lists(out, records)
    counts = preparing.count(records, samples='^JPEGImages-')
    return preparing.compare(counts, PUBLISHED, 'images') + describe_objects(records, classes)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line, see the module and ``--help``."""
    preparing.copying_command(__doc__, 'dior_r', prepare, argv)


if __name__ == '__main__':
    main()

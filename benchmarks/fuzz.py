"""Give damaged files to every reader, and count how each file ends: read, refused by name, or with a raw error.

A good file of each kind is changed at random: bytes are flipped, removed, doubled or exchanged, numbers become others,
and files are cut short. A reader may accept what it can read. Otherwise its error must name the file; any other error
is a raw one, and so is one that says nothing about the file.

    python benchmarks/fuzz.py --files 10000 --out benchmarks/results/fuzz.json
"""
import argparse
import os
import platform
import random
import re
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import s5_mm  # noqa: F401  first: it chooses how threads wait

# isort: split
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import rasterio
import torch
from PIL import Image
from prettytable import PrettyTable
from safetensors.torch import save_file

from data_prep.downloads import File, decode_color, list_files
from s5_mm.checkpoints import read_checkpoint
from s5_mm.curation.manifest import open_scores, pool_settings
from s5_mm.curation.prototypes import Prototypes, load_prototypes, save_prototypes
from s5_mm.datasets import LoadGeoTIFF, UnlabeledDataset
from s5_mm.datasets.class_counts import ClassCounts
from s5_mm.datasets.rotated_files import read_dior_xml, read_dota_text
from s5_mm.datasets.transforms.loading import read_image, read_label_ids, read_size
from s5_mm.evaluation import load_detections
from s5_mm.files import keep_settings, write_json
from s5_mm.radiometry import Stretch
from s5_mm.rasters import RasterError, open_raster

XML = ('<?xml version="1.0" encoding="{}"?><annotation><size><width>64</width><height>48</height></size><object>'
       '<name>ship</name><difficult>0</difficult><robndbox>' + ''.join(
           f'<{axis}_{corner}>{10 * i + j}.5</{axis}_{corner}>' for i, corner in enumerate(
               ('left_top', 'right_top', 'right_bottom', 'left_bottom')) for j, axis in enumerate('xy'))
       + '</robndbox></object></annotation>')
NUMBERS = (b'-1', b'0', b'nan', b'1e999', b'99999999999999999999', b'1' * 5000, b'3.7', b'')
OTHERS = (b'utf-16', b'big5', b'hex', b'\xff\xfe', b'null', b'[]', b'{', b'\x00' * 8, b'../../x', b'\xe9')


@dataclass(frozen=True)
class Reader:
    """A reader and a good file.

    Attributes:
        name: Name of the file.
        make: Writes the good file, and what else the reader needs.
        read: Reads the file.
        names_folder: Whether an error may name the file's folder alone.
    """

    name: str
    make: Callable[[Path], None]
    read: Callable[[Path], object]
    names_folder: bool = False


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--files', type=int, default=10_000, help='damaged files, of all kinds together')
    parser.add_argument('--seed', type=int, default=0, help='of the damage (default: %(default)s)')
    parser.add_argument('--readers', nargs='*', choices=READERS, default=list(READERS), help='(default: all)')
    parser.add_argument('--keep', type=Path, help='folder for files that end in a raw error')
    parser.add_argument('--out', type=Path, help='JSON to write')
    return parser.parse_args(argv)


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Content with one to four changes.

    Args:
        content: The good file.
        chance: Decides.
    """
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        # Headers decide more than pixels do.
        at = min(at, chance.randrange(64)) if chance.random() < 0.3 else at
        size = chance.choice((1, 1, 2, 4, 16, 200))
        kind = chance.randrange(8)
        if kind == 0:
            del data[at:]
        elif kind == 1:
            del data[at:at + size]
        elif kind == 2:
            data[at:at] = data[at:at + size]
        elif kind == 3:
            data[at:at + size] = chance.randbytes(size)
        elif kind == 4 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 5:
            data[at:at] = chance.choice(OTHERS)
        elif kind == 6:
            numbers = list(re.finditer(rb'\d+(\.\d+)?', data[:100_000]))
            if numbers:
                start, end = chance.choice(numbers).span()
                data[start:end] = chance.choice(NUMBERS)
        elif kind == 7 and at < len(data):
            data[at:at + 4] = chance.choice((b'\xff' * 4, b'\x00' * 4, b'\x7f\xff\xff\xff'))
    return bytes(data)


def outcome(reader: Reader, path: Path) -> tuple[str, str]:
    """How a file ends: ``'read'``, ``'refused'`` or ``'raw'``, and the error."""
    try:
        reader.read(path)
    except Exception as error:
        text = str(error)
        # KeyError and the like say nothing to a user, even where a path happens to be in them.
        known = isinstance(error, ValueError | OSError) and not isinstance(error, UnicodeError)
        named = path.name in text or reader.names_folder and str(path.parent) in text
        return 'refused' if known and named else 'raw', f'{type(error).__name__}: {text}'
    return 'read', ''


# Good files

def _image(path: Path, mode: str = 'RGB') -> None:
    noise = np.random.RandomState(0).randint(0, 256, (24, 20, 3), np.uint8)
    Image.fromarray(noise).convert(mode).save(path)


def _geotiff(path: Path, count: int = 3, kind: str = 'uint16', **options: object) -> None:
    profile = dict(driver='GTiff', width=20, height=24, count=count, dtype=kind, nodata=0, **options)
    with rasterio.open(path, 'w', **profile) as file:
        file.write(np.random.RandomState(0).randint(0, 200, (count, 24, 20)).astype(kind))


def _pool(path: Path) -> None:
    for i in range(3):
        _image(path.parent / f'{i}.png')


def _list(path: Path) -> None:
    _pool(path)
    path.write_text('0.png\n1.png\n2.png\n')


def _manifest(path: Path) -> None:
    _pool(path)
    pq.write_table(pa.table(dict(path=['0.png', '1.png', '2.png'], entropy=[0.1, 0.2, 0.3])), path)


def _scores(path: Path) -> None:
    write_json(path.parent.parent / 'settings.json', dict(images=3, keep_features=False))
    rows = dict(path=[f'{i}.png' for i in range(3)], entropy=[0.1, 0.2, 0.3], cluster=[0, 1, 0])
    pq.write_table(pa.table(rows), path)


def _read_scores(path: Path) -> list:
    with open_scores(path.parent.parent) as connection:
        return connection.execute('SELECT path, entropy, cluster FROM scores ORDER BY entropy').fetchall()


def _checkpoint(path: Path) -> None:
    torch.save(dict(state_dict={'a.weight': torch.ones(3, 4), 'a.bias': torch.zeros(3)}, meta=dict(iter=3)), path)


def _detections(path: Path) -> None:
    found = dict(polygons=np.ones((2, 8)), scores=np.ones(2), labels=np.zeros(2, np.int64))
    true = dict(true_polygons=np.ones((1, 8)), true_labels=np.zeros(1, np.int64), difficult=np.zeros(1, bool))
    np.savez(path, names=np.array(['a']), paths=np.array(['a.png']), classes=np.array(['ship']), **found, **true,
             scores_per_image=np.array([2]), difficult_per_image=np.array([1]))


def _archive(path: Path) -> None:
    _image(path.with_name('in.png'))
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.write(path.with_name('in.png'), 'folder/in.png')


def _read_archive(path: Path) -> list:
    return [decode_color(file) for _, file in list_files(path.parent) if file.member]


def _read_raster(path: Path) -> object:
    try:
        with open_raster(path, stretch=Stretch(percentiles=(2, 98)), black=None) as raster:
            return raster.read(0, 0, *raster.size)
    except RasterError as error:  # commands that read many scenes add the name
        raise RasterError(f'{path}: {error}') from error


READERS = {
    'DOTA text': Reader('P1.txt', lambda path: path.write_text(
        'imagesource:GoogleEarth\ngsd:0.5\n' + '1 2 30 2 30 40 1 40 ship 0\n10.5 2 3 4 5 6 7 8 plane 1\n' * 3),
        lambda path: read_dota_text(str(path))),
    'DIOR-R XML': Reader('1.xml', lambda path: path.write_text(XML.format('utf-8')),
                         lambda path: read_dior_xml(str(path))),
    'DIOR-R XML, GB2312': Reader('2.xml', lambda path: path.write_text(XML.format('GB2312')),
                                 lambda path: read_dior_xml(str(path))),
    'list of images': Reader('pool.txt', _list, lambda path: UnlabeledDataset(str(path), data_root=str(path.parent))),
    'Parquet manifest': Reader('pool.parquet', _manifest,
                               lambda path: UnlabeledDataset(str(path), data_root=str(path.parent))),
    'shard of scores': Reader('scores/0.parquet', _scores, _read_scores, names_folder=True),
    'settings of a result': Reader('settings.json', lambda path: write_json(path, dict(size=512, name='a')),
                                   lambda path: keep_settings(path, dict(size=512, name='a')), names_folder=True),
    'settings of scores': Reader('pool/settings.json', lambda path: write_json(
        path, dict(images=3, keep_features=False)), lambda path: pool_settings(path.parent)),
    'prototypes': Reader('prototypes.npz', lambda path: save_prototypes(
        path, Prototypes(np.eye(3, 4, dtype=np.float32), np.arange(3), 'm')), load_prototypes),
    'class counts': Reader('counts.npz', lambda path: ClassCounts(['a', 'b'], np.ones((2, 3), np.int64)).save(path),
                           ClassCounts.load),
    'detections': Reader('found.npz', _detections, load_detections),
    'checkpoint .pth': Reader('a.pth', _checkpoint, lambda path: read_checkpoint(str(path))),
    'checkpoint .safetensors': Reader('a.safetensors', lambda path: save_file(
        {'a.weight': torch.ones(3, 4)}, path, metadata=dict(iter='3')), lambda path: read_checkpoint(str(path))),
    **{f'image .{suffix}': Reader(f'i.{suffix}', _image, lambda path: read_image(str(path)))
       for suffix in ('jpg', 'png', 'tif', 'bmp', 'webp')},
    'size of an image': Reader('s.tif', _image, lambda path: read_size(str(path))),
    'mask .png': Reader('m.png', lambda path: _image(path, 'L'), lambda path: read_label_ids(str(path))),
    'mask .tif': Reader('m.tif', lambda path: _geotiff(path, 1, 'uint8', compress='lzw'),
                        lambda path: read_label_ids(str(path))),
    'GeoTIFF in training': Reader('g.tif', lambda path: _geotiff(path, compress='deflate'), lambda path: LoadGeoTIFF(
        percentiles=(2, 98))(dict(img_path=str(path)))),
    'GeoTIFF as a scene': Reader('r.tif', lambda path: _geotiff(path, compress='deflate'), _read_raster),
    'JPEG as a scene': Reader('r.jpg', _image, _read_raster),
    'archive .zip': Reader('z.zip', _archive, _read_archive),
    'image of a download': Reader('d.png', _image, lambda path: decode_color(File(path))),
}


def attack(name: str, folder: Path, number: int, chance: random.Random,
           keep: Path | None = None) -> tuple[Counter, str]:
    """Damage a file again and again and read it.

    Args:
        name: Key of :data:`READERS`.
        folder: For the file.
        number: How often.
        chance: Decides on the damage.
        keep: Folder for files that end in a raw error.

    Returns:
        Numbers of each outcome, and the last raw error.
    """
    reader = READERS[name]
    path = folder / reader.name
    path.parent.mkdir(parents=True, exist_ok=True)
    reader.make(path)
    good, counts, last = path.read_bytes(), Counter(), ''
    if outcome(reader, path)[0] != 'read':
        raise RuntimeError(f'{name}: the good file is not read: {outcome(reader, path)[1]}')
    for i in range(number):
        path.write_bytes(damaged(good, chance))
        how, error = outcome(reader, path)
        counts[how] += 1
        if how == 'raw':
            last = error
            if keep:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f'{i}_{path.name}').write_bytes(path.read_bytes())
    return counts, last


def main(argv: list[str] | None = None) -> int:
    """Attack all readers, print the table, and return the number of raw errors."""
    args = parse_args(argv)
    begun, results = time.monotonic(), {}
    table = PrettyTable(['reader', 'read', 'refused', 'raw', 'last raw error'], align='l', max_width=70)
    for name in args.readers:
        with tempfile.TemporaryDirectory() as folder:
            chance = random.Random(f'{args.seed} {name}')  # noqa: S311  damage needs no secrecy
            counts, last = attack(name, Path(folder), -(-args.files // len(args.readers)), chance, args.keep)
        results[name] = {how: counts[how] for how in ('read', 'refused', 'raw')}
        table.add_row([name, *results[name].values(), last[:200]])
    print(table)
    total = Counter()
    for counts in results.values():
        total.update(counts)
    print(f'{sum(total.values())} files in {time.monotonic() - begun:.0f} s: {total["read"]} read, '
          f'{total["refused"]} refused, {total["raw"]} raw errors')
    if args.out:
        write_json(args.out, dict(date=str(date.today()), machine=platform.machine(), cores=os.cpu_count(),
                                  seed=args.seed, results=results))
    return total['raw']


if __name__ == '__main__':
    sys.exit(min(main(), 1))

"""What is known of all patches: a table with footprints, and for labeled ones lists, classes and their pixels."""
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import shapely
from affine import Affine

from s5_mm.files import replacing, write_json, write_text

from .blocks import TRAIN, VAL
from .labels import LabelSettings

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

PATCHES = 'patches.parquet'
DATASET = 'dataset.json'
COMMON = 'EPSG:4326'
"""Of footprints of scenes that have different coordinate reference systems."""


def write_patches(records: Sequence[dict], out: Path, names: Sequence[str] | None) -> 'GeoDataFrame':
    """Write ``OUT/patches.parquet``: a row for each patch, with its footprint.

    Args:
        records: Of the images that were cut, see :func:`data_prep.curation.crop.crop_image`.
        out: The output folder.
        names: Of the classes; ``None`` without labels.

    Returns:
        The table: ``path`` (relative to the folder of patches), ``scene``, ``top``, ``left``, ``height``, ``width``,
        ``valid`` (share of pixels with data); with labels ``split`` and ``pixels_CLASS``; the geometry in the scenes'
        coordinate reference system, or if they have several in WGS 84. Those without any are in pixels, or in a table
        with others empty.
    """
    from geopandas import GeoDataFrame, GeoSeries, pd

    filled = [record for record in records if record['patches']]
    systems = {record['crs'] for record in filled} - {None}
    crs = next(iter(systems)) if len(systems) == 1 else COMMON if systems else None
    tables = []
    for record in filled:
        patches = record['patches']
        places = np.array([patch['window'] for patch in patches])
        table = dict(path=[patch['path'] for patch in patches], scene=record['image'], top=places[:, 0],
                     left=places[:, 1], height=places[:, 2], width=places[:, 3],
                     valid=[patch['valid'] for patch in patches])
        if names is not None:
            counts = np.array([patch['counts'] for patch in patches])
            table |= dict(split=[patch['split'] for patch in patches])
            table |= {f'pixels_{name}': counts[:, index] for index, name in enumerate(names)}
        footprints = GeoSeries(_footprints(places, Affine(*record['transform'])), crs=record['crs'])
        if record['crs'] is None and crs is not None:
            footprints = GeoSeries([None] * len(patches))
        footprints = footprints.to_crs(crs) if record['crs'] is not None else footprints.set_crs(crs)
        tables.append(GeoDataFrame(table, geometry=footprints))
    frame = pd.concat(tables, ignore_index=True)
    with replacing(out / PATCHES) as temporary:
        frame.to_parquet(temporary)
    return frame


def _footprints(places: np.ndarray, transform: Affine) -> np.ndarray:
    """Polygons on the map of windows (N, 4): top, left, height, width."""
    top, left, height, width = places.T
    a, b, c, d, e, f = transform[:6]
    columns = np.stack([left, left + width, left + width, left], axis=1)
    rows = np.stack([top, top, top + height, top + height], axis=1)
    return shapely.polygons(np.stack([a * columns + b * rows + c, d * columns + e * rows + f], axis=-1))


def write_dataset(frame: 'GeoDataFrame', records: Sequence[dict], out: Path, labels: LabelSettings) -> tuple[str, ...]:
    """Write ``OUT/dataset.json`` and ``OUT/lists/{train,val}.txt``, which labeled datasets read as ``ann_file``.

    The list of training leaves out patches that overlap a validation patch of another scene.

    Args:
        frame: See :func:`write_patches`.
        records: Of the images that were cut.
        out: The output folder.
        labels: What the labels mean.

    Returns:
        What is worth to be said: classes, numbers, and what may be wrong.
    """
    seen = _seen_in_validation(frame)
    stems = frame['path'].str.rpartition('.')[0].str.partition('/')[2]
    lists = {split: stems[(frame['split'] == split) & ~(seen if split == TRAIN else False)] for split in (TRAIN, VAL)}
    for split, names in lists.items():
        write_text(out / f'lists/{split}.txt', ''.join(f'{name}\n' for name in names))
    pixels = {split: {name: int(frame.loc[chosen.index, f'pixels_{name}'].sum()) for name in labels.names}
              for split, chosen in lists.items()}
    ranges = [record['ranges'] for record in records if record['ranges'] is not None]
    value_range = None
    if ranges:
        value_range = [float(np.min([np.min(pairs) for pairs in ranges])),
                       float(np.max([np.max(pairs) for pairs in ranges]))]
    suffix = frame['path'].iloc[0].rpartition('.')[2]
    content = dict(classes=labels.names, values=[value for value, _ in labels.classes], img_suffix=f'.{suffix}',
                   seg_map_suffix='.tif' if suffix == 'tif' else '.png',
                   patches={split: len(names) for split, names in lists.items()}, pixels=pixels,
                   value_range=value_range, overlapping=int(seen.sum()))
    write_json(out / DATASET, content)
    return (*_notes(content, labels, out), )


def _seen_in_validation(frame: 'GeoDataFrame') -> np.ndarray:
    """Which training patches overlap a validation patch; within a scene none does. (N, ), bool."""
    seen = np.zeros(len(frame), bool)
    train, val = frame['split'] == TRAIN, frame['split'] == VAL
    if frame.crs is None or not train.any() or not val.any():
        return seen
    held = frame[val]
    scenes = held['scene'].to_numpy()
    # A little smaller, since neighbors touch, and a change of coordinates moves them by some rounding.
    side = np.sqrt(shapely.area(frame.geometry.to_numpy()))
    inner = shapely.buffer(frame.geometry.to_numpy(), -side * 1e-3)
    own, other = held.sindex.query(inner[train], predicate='intersects')
    rows = np.flatnonzero(train)[own]
    foreign = frame['scene'].to_numpy()[rows] != scenes[other]
    seen[rows[foreign]] = True
    return seen


def _notes(content: dict, labels: LabelSettings, out: Path) -> list[str]:
    """What is said at the end."""
    pixels, total = content['pixels'], {split: max(sum(counts.values()), 1) for split, counts in
                                        content['pixels'].items()}
    shares = ', '.join(f'{name} {pixels[TRAIN][name] / total[TRAIN]:.1%} / {pixels[VAL][name] / total[VAL]:.1%}'
                       for name in labels.names)
    notes = [f'{content["patches"][TRAIN]:,} patches for training, {content["patches"][VAL]:,} for validation',
             f'classes, shares in training / validation: {shares}',
             f'in the config: metainfo=dict(classes={tuple(labels.names)!r}), num_classes={len(labels.names)}']
    if content['value_range']:
        notes.append('values: value_range=({:g}, {:g}) covers all scenes'.format(*content['value_range']))
    if content['overlapping']:
        notes.append(f'{content["overlapping"]:,} training patches show the same place as validation patches of '
                     f'another scene; {out}/lists/train.txt leaves them out')
    for split in (TRAIN, VAL):
        absent = [name for name in labels.names if not pixels[split][name]]
        if split == VAL and not content['patches'][VAL] and labels.val:
            notes.append('warning: there is no patch for validation; choose a smaller --block, another --seed or a '
                         'larger --val, with another OUT')
        elif absent and (split == TRAIN or labels.val):
            notes.append(f'warning: no pixel of {", ".join(absent)} for '
                         f'{"training" if split == TRAIN else "validation"}; a smaller --block or another --seed '
                         'spreads classes better')
    return notes

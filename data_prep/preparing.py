"""The common part of the preparation commands: checks, resumable work, comparison with official numbers."""
import argparse
import contextlib
import functools
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from data_prep.downloads import File, PreparationError
from data_prep.workers import each

STRIP_ROWS = 1024
UNKNOWN = 254


@dataclass(frozen=True)
class Source:
    """An image of a split and its label, if the split has labels; ``name`` is the name of the output."""

    split: str
    name: str
    image: File
    mask: File | None = None


@functools.cache
def _color_table(palette: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    """Class id of each 24-bit color, so that the conversion is one look-up for each pixel."""
    table = np.full(1 << 24, UNKNOWN, np.uint8)
    for class_id, (red, green, blue) in enumerate(palette):
        table[red << 16 | green << 8 | blue] = class_id
    return table


def look_up_colors(rgb: np.ndarray, palette: Sequence[Sequence[int]]) -> np.ndarray:
    """Ids (H, W) uint8 of the colors of ``rgb`` (H, W, 3) uint8 in ``palette``; ``UNKNOWN`` for others."""
    table = _color_table(tuple(tuple(color) for color in palette))
    ids = np.empty(rgb.shape[:2], np.uint8)
    for top in range(0, len(rgb), STRIP_ROWS):
        strip = rgb[top:top + STRIP_ROWS].astype(np.int32)
        ids[top:top + STRIP_ROWS] = table[strip[..., 0] << 16 | strip[..., 1] << 8 | strip[..., 2]]
    return ids


def colors_to_ids(rgb: np.ndarray, palette: Sequence[Sequence[int]], name: str, remedy: str) -> np.ndarray:
    """Translate a color mask to class ids.

    Args:
        rgb: (H, W, 3), uint8, red, green, blue.
        palette: K colors in the order of the ids, K < 254.
        name: File of the mask, for the message.
        remedy: How to correct other colors, for the message.

    Returns:
        (H, W), uint8, 0 ... K-1.

    Raises:
        PreparationError: A color is not in the palette; the message names the first such pixel.
    """
    ids = look_up_colors(rgb, palette)
    unknown = ids == UNKNOWN
    if unknown.any():
        row, column = np.unravel_index(unknown.argmax(), unknown.shape)
        color = tuple(int(value) for value in rgb[row, column])
        raise PreparationError(
            f'{name} has the unknown color {color} (red, green, blue) at row {row}, column {column}, and '
            f'{int(unknown.sum())} pixels outside the {len(palette)} colors in all; {remedy}')
    return ids


def require_ids(ids: np.ndarray, top: int, name: str) -> None:
    """Raise an error if a mask (H, W) has ids outside 0 ... ``top``."""
    wrong = np.unique(ids[(ids < 0) | (ids > top)]).tolist()
    if wrong:
        raise PreparationError(f'{name} holds the ids {wrong[:10]}; the official labels have 0..{top}')


def require_equal_sizes(image: File, image_size: tuple[int, int], mask: File, mask_size: tuple[int, int]) -> None:
    """Raise an error if image and mask differ in size, given as (height, width)."""
    if tuple(image_size) != tuple(mask_size):
        raise PreparationError(f'{image} is {image_size[1]} x {image_size[0]} pixels but its label {mask} is '
                               f'{mask_size[1]} x {mask_size[0]}; they must be equal')


def save_pair(out: Path, split: str, name: str, image: np.ndarray, ids: np.ndarray | None) -> list[str]:
    """Write an image and its mask, if any, as PNG; returns their paths below ``out``."""
    arrays = {'img_dir': image} | ({} if ids is None else {'ann_dir': ids})
    files = [f'{kind}/{split}/{name}.png' for kind in arrays]
    for file, array in zip(files, arrays.values(), strict=True):
        save_png(array, out / file)
    return files


def save_png(array: np.ndarray, path: Path) -> None:
    """Write (H, W, 3) or (H, W) uint8 under a temporary name and rename."""
    with replacing(path) as temporary:
        # Pillow's default level takes three times as long for files that are 3 % smaller.
        Image.fromarray(array).save(temporary, format='PNG', compress_level=3)


def write_text(text: str, path: Path) -> None:
    """Write a text file under a temporary name and rename."""
    with replacing(path) as temporary:
        temporary.write_text(text)


def place(file: File, path: Path, link: bool) -> None:
    """Copy a file to the output, or link to it if ``link`` is set and it is not in an archive."""
    with replacing(path) as temporary:
        if link and not file.member:
            temporary.symlink_to(file.path.resolve())
        else:
            file.copy(temporary)


def place_pair(source: Source, out: Path, suffix: str, link: bool) -> list[str]:
    """Copy an image and its mask, if any, to the paths of :func:`save_pair`; returns their paths below ``out``."""
    placed = []
    for kind, file in {'img_dir': source.image, 'ann_dir': source.mask}.items():
        if file:
            placed.append(f'{kind}/{source.split}/{source.name}{suffix}')
            place(file, out / placed[-1], link)
    return placed


def replacing(path: Path) -> AbstractContextManager[Path]:
    """See :func:`s5_mm.files.replacing`."""
    from s5_mm.files import replacing  # takes seconds to import, which --help should not

    return replacing(path)


@contextlib.contextmanager
def resuming(path: Path, settings: Mapping) -> Iterator[None]:
    """Work alone in an output folder, without temporary files of killed runs, with the settings of earlier runs.

    It is entered before processes are forked, so that they share the imported modules of :mod:`s5_mm`.

    Args:
        path: The settings file in the output folder; written if there is none.
        settings: Settings of this run, as JSON can hold them.

    Raises:
        PreparationError: Another process works in the folder, or it was made with other settings.
    """
    # These take seconds to import, which --help should not.
    from s5_mm.files import keep_settings, remove_parts
    from s5_mm.locks import FolderInUseError, locked

    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(path.parent))
            keep_settings(path, settings)
        except (FolderInUseError, ValueError) as error:
            raise PreparationError(str(error)) from error
        remove_parts(path.parent)
        yield


def prepare_all(sources: Sequence[Source], out: Path, work: Callable[[Source], dict], workers: int,
                initializer: Callable[[], None] | None = None) -> dict[Source, dict]:
    """Prepare all images, except those that an earlier run has completed.

    Args:
        sources: The images.
        out: Output folder.
        work: Function that writes the outputs of an image and returns its record: ``files``, the paths below ``out``,
            and any other values to keep. It must be picklable.
        workers: Processes.
        initializer: Called once in each process.

    Returns:
        The record of each source.

    Raises:
        PreparationError: ``work`` has raised it; completed images are kept.
    """
    exists = _listings(out)
    records = {source: record for source in sources
               if (record := _finished_record(_record_path(source, out), exists))}
    todo = [source for source in sources if source not in records]
    recorded = functools.partial(_work_and_record, work, out)
    with tqdm(total=len(sources), initial=len(records), desc='preparing', unit='image', disable=None) as progress:
        for source, record in each(recorded, todo, workers, initializer):
            records[source] = record
            progress.update()
    return records


def _work_and_record(work: Callable[[Source], dict], out: Path, source: Source) -> dict:
    record = work(source)
    write_text(json.dumps(record), _record_path(source, out))
    return record


def _record_path(source: Source, out: Path) -> Path:
    return out / 'records' / source.split / f'{source.name}.json'


def _finished_record(path: Path, exists: Callable[[str], bool]) -> dict | None:
    """The record of an earlier run, if all of its files still exist."""
    try:
        record = json.loads(path.read_bytes())
        return record if all(map(exists, record['files'])) else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # without a readable record the image is done again
        return None


def _listings(out: Path) -> Callable[[str], bool]:
    """A function that tells whether a path below ``out`` exists, by listing each folder once."""

    @functools.cache
    def names(folder: str) -> frozenset[str]:
        return frozenset(os.listdir(out / folder)) if (out / folder).is_dir() else frozenset()

    return lambda file: os.path.basename(file) in names(os.path.dirname(file))


def stored_records(out: Path) -> dict[tuple[str, str], dict]:
    """Records of all images in an output folder, including those of earlier runs from other parts of the download.

    Args:
        out: The folder.

    Returns:
        (split, name) -> record of each image that is complete, sorted by path; see :func:`prepare_all`.
    """
    exists = _listings(out)
    return {(path.parent.name, path.stem): record for path in sorted(out.glob('records/*/*.json'))
            if (record := _finished_record(path, exists))}


def count(records: Mapping[tuple[str, str], dict], samples: str = '^img_dir/') -> dict[str, dict[str, int]]:
    """Count ``images`` and ``samples`` (image files written) of each split.

    Args:
        records: See :func:`stored_records`.
        samples: Regular expression that matches paths of samples.
    """
    counts: dict[str, dict[str, int]] = {}
    for (split, _), record in records.items():
        numbers = counts.setdefault(split, {'images': 0, 'samples': 0})
        numbers['images'] += 1
        numbers['samples'] += sum(bool(re.search(samples, name)) for name in record['files'])
    return counts


def none_found(counts: Mapping[str, Mapping[str, int]], splits: Iterable[str]) -> list[str]:
    """A line for each of ``splits`` without images; ``counts`` is the result of :func:`count`."""
    return [f'{split}: none found' for split in splits if split not in counts]


@dataclass(frozen=True)
class Official:
    """Numbers of a complete official split (images and samples), and the text to print if they are reached."""

    images: int
    samples: int
    word: str = 'as published'


def compare(counts: Mapping[str, Mapping[str, int]], official: Mapping[str, Official], unit: str) -> list[str]:
    """Compare the numbers with the official ones.

    Args:
        counts: See :func:`count`.
        official: Official numbers of each split.
        unit: Plural name of a sample.

    Returns:
        A line for each split.
    """
    lines = none_found(counts, official)
    for split, known in official.items():
        if split not in counts:
            continue
        images, samples = counts[split]['images'], counts[split]['samples']
        made = f'{split}: {images:,} images' + (f', {samples:,} {unit}' if unit != 'images' else '')
        official_made = f'{known.images:,} images' + (f', {known.samples:,} {unit}' if unit != 'images' else '')
        if images != known.images:
            word = 'NOT COMPLETE' if images < known.images else 'MORE'
            lines.append(f'{made}: {word}, the official split has {official_made}')
        elif samples != known.samples:
            lines.append(f'{made}: this DIFFERS from the published {official_made}')
        else:
            lines.append(f'{made}: {known.word}')
    return lines


def command_line(doc: str, source_help: str, out_help: str) -> argparse.ArgumentParser:
    """A parser with the arguments that are common to all commands."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', type=Path, metavar='SRC', help=source_help)
    parser.add_argument('out', type=Path, metavar='OUT', help=out_help)
    parser.add_argument('--workers', type=_positive, default=os.cpu_count(), help='processes (default: all cores)')
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'it is {number}; it must be at least 1')
    return number


def report(command: Callable[[], list[str]], name: str) -> None:
    """Run a command and print its lines; an error is printed in one line and ends the program, as Ctrl-C does."""
    from s5_mm.errors import one_line_errors  # takes seconds to import, which --help should not

    try:
        with one_line_errors(name):
            lines = command()
    except (PreparationError, OSError) as error:
        sys.exit(f'{name}: error: {error}')
    except KeyboardInterrupt:
        sys.exit(f'{name}: interrupted; the same command resumes it')
    for line in lines:
        print(line)


def copying_command(doc: str, name: str, prepare: Callable[[Path, Path, bool, int], list[str]],
                    argv: Sequence[str] | None) -> None:
    """The command line of a dataset whose files are copied unchanged.

    Args:
        doc: Text of ``--help``.
        name: Name of the command, and of the output folder below ``data``.
        prepare: Function of the source, the output, whether to link, and the number of processes.
        argv: The arguments.
    """
    parser = command_line(doc, 'folder of the download, archives or unpacked', f'output folder, e.g. data/{name}')
    parser.add_argument('--link', action='store_true', help='link to unpacked files instead of copying them')
    args = parser.parse_args(argv)
    report(functools.partial(prepare, args.source, args.out, args.link, args.workers), name)

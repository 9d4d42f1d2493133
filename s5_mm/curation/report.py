"""A page by which a person can judge a selection: figures and contact sheets in one HTML file."""
import base64
import html
import io
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import numpy as np
from matplotlib.figure import Figure
from mmengine.dataset import Compose
from PIL import Image, ImageDraw

from s5_mm.datasets import ImageReadError
from s5_mm.files import read_json, write_bytes

from .manifest import open_scores
from .settings import CurationSettings
from .working import alone_in

BINS = 60
TILE = 128
COLUMNS = 8
SOURCES_SHOWN = 20
SHEETS = 32
BEFORE, AFTER, OTHER = '#9aa5b1', '#1f77b4', '#e0a030'
STYLE = """body{font:15px/1.5 sans-serif;max-width:1120px;margin:2em auto;padding:0 1em;color:#222}
img{max-width:100%}table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #ddd}
td:first-child,th:first-child{text-align:left}h2{margin-top:2em}pre{background:#f4f4f4;padding:1em;overflow:auto}"""


def write_report(settings: CurationSettings, name: str) -> Path:
    """Write ``WORK_DIR/NAME.html`` about a selection.

    Args:
        settings: Settings of the selection.
        name: Name of the selection's files.

    Returns:
        The page.

    Raises:
        FileNotFoundError: There is no such selection, or no scores.
        FolderInUseError: Another step works in the work dir.
    """
    card_file, manifest = (settings.folder / f'{name}.{suffix}' for suffix in ('json', 'parquet'))
    for path in (card_file, manifest):
        if not path.is_file():
            raise FileNotFoundError(f'{path} is not there; make it with `curate.py select`')
    card = read_json(card_file)
    with alone_in(settings.folder), open_scores(settings.scores_folder, settings.memory_limit) as connection:
        connection.read_parquet(str(manifest)).create_view('selected')
        sections = [_summary(card), _entropy_section(connection), _quota_section(card), _source_section(connection),
                    *_sheet_sections(connection, card, _loader(settings))]
    page = settings.folder / f'{name}.html'
    body = '\n'.join(sections)
    write_bytes(page, f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Curation: '
                f'{html.escape(name)}</title><style>{STYLE}</style></head><body>\n<h1>Curation: {html.escape(name)}'
                f'</h1>\n{body}\n</body></html>\n'.encode())
    return page


def _summary(card: dict) -> str:
    pool = card['pool']
    rows = [('strategy', card['strategy']), ('images in the pool', f'{pool["images"]:,}'),
            ('could not be scored', f'{pool["errors"]:,}'), ('budget', f'{card["budget"]:,}'),
            ('selected', f'{card["selected"]:,}'),
            ('near-duplicates left out', f'{card["near_duplicates_left_out"]:,}'),
            ('mean entropy of the pool', f'{card["mean_entropy"]["pool"]:.4f}'),
            ('mean entropy of the selection', f'{card["mean_entropy"]["selected"]:.4f}'), ('model', card['model'])]
    body = ''.join(f'<tr><td>{label}</td><td>{html.escape(str(value))}</td></tr>' for label, value in rows)
    arguments = html.escape(json.dumps(card['arguments'], indent=2))
    return f'<table>{body}</table><details><summary>Settings</summary><pre>{arguments}</pre></details>'


def _entropy_section(connection: duckdb.DuckDBPyConnection) -> str:
    highest = connection.execute('SELECT max(entropy) FROM scores').fetchone()[0] or 1.0
    edges = np.linspace(0, highest, BINS + 1)
    figure = Figure(figsize=(9, 4.4), layout='constrained')
    # One above the other, each with its own scale: a selection is often a small part of its pool.
    for axes, (relation, label, color) in zip(figure.subplots(2, sharex=True), (
            ('scores', 'pool', BEFORE), ('selected', 'selection', AFTER)), strict=True):
        axes.bar(edges[:-1], _histogram(connection, relation, highest), np.diff(edges), align='edge', color=color)
        axes.set(ylabel=f'images, {label}')
    axes.set(xlabel='mean pixel entropy in nats')
    return f'<h2>Entropy before and after</h2>{_png(figure)}'


def _histogram(connection: duckdb.DuckDBPyConnection, relation: str, highest: float) -> np.ndarray:
    counts = np.zeros(BINS, dtype=np.int64)
    for place, number in connection.execute(
            f'SELECT least(floor(entropy / {float(highest)} * {BINS}), {BINS - 1})::INTEGER AS place, count(*) '
            f'FROM {relation} GROUP BY place').fetchall():
        counts[place] = number
    return counts


def _quota_section(card: dict) -> str:
    groups = card['groups']
    names = ['pool' if group['cluster'] is None else str(group['cluster']) for group in groups]
    figure = Figure(figsize=(9, 3.6), layout='constrained')
    axes = figure.subplots()
    positions = np.arange(len(groups))
    for shift, key, color in ((-0.27, 'available', BEFORE), (0, 'quota', OTHER), (0.27, 'taken', AFTER)):
        axes.bar(positions + shift, [group[key] for group in groups], 0.27, color=color, label=key)
    axes.set(xlabel='cluster', ylabel='images')
    axes.set_xticks(positions, names)
    axes.legend()
    columns = ('labeled', 'quota', 'available', 'taken', 'unfilled', 'highest_entropy')
    rows = ''.join(f'<tr><td>{name}</td>' + ''.join(f'<td>{_number(group[key])}</td>' for key in columns) + '</tr>'
                   for name, group in zip(names, groups, strict=True))
    head = ''.join(f'<th>{key.replace("_", " ")}</th>' for key in ('cluster', *columns))
    return f'<h2>Quota against taken</h2>{_png(figure)}<table><tr>{head}</tr>{rows}</table>'


def _number(value: float | int | None) -> str:
    if value is None:
        return ''
    return f'{value:.4f}' if isinstance(value, float) else f'{value:,}'


def _source_section(connection: duckdb.DuckDBPyConnection) -> str:
    """Shares of the top folders (below what all paths begin with): the sources of a pool that is made of several."""
    # What the first and the last of sorted paths begin with, all begin with.
    common = os.path.commonprefix(connection.execute('SELECT min(path), max(path) FROM scores').fetchone())
    start = common.rfind('/') + 2
    shares = {}
    for relation in ('scores', 'selected'):
        rows = connection.execute(f"""
            SELECT CASE WHEN contains(rest, '/') THEN split_part(rest, '/', 1) ELSE '(none)' END AS source, count(*)
            FROM (SELECT substr(path, {start}) AS rest FROM {relation}) GROUP BY source""").fetchall()
        total = sum(number for _, number in rows)
        shares[relation] = {source: number / total for source, number in rows}
    largest = sorted(shares['scores'], key=lambda source: (-shares['scores'][source], source))[:SOURCES_SHOWN]
    figure = Figure(figsize=(9, 1 + 0.35 * len(largest)), layout='constrained')
    axes = figure.subplots()
    positions = np.arange(len(largest))
    for shift, relation, label, color in ((-0.2, 'scores', 'pool', BEFORE), (0.2, 'selected', 'selection', AFTER)):
        axes.barh(positions + shift, [100 * shares[relation].get(source, 0) for source in largest], 0.4, color=color,
                  label=label)
    axes.set_yticks(positions, [source[:40].replace('$', r'\$') for source in largest])
    axes.invert_yaxis()
    axes.set(xlabel='share in %')
    axes.legend()
    more = len(shares['scores']) - len(largest)
    note = f'<p>The {SOURCES_SHOWN} largest; {more} more are not shown.</p>' if more else ''
    return f'<h2>Share of each source (top folder)</h2>{_png(figure)}{note}'


def _loader(settings: CurationSettings) -> Callable[[Path], np.ndarray]:
    """Reads an image, (H, W, 3) in RGB, as scoring did."""
    pipeline = Compose(settings.pool.get('pipeline') or [dict(type='s5_mm.LoadImage')])
    return lambda path: np.ascontiguousarray(pipeline(dict(img_path=str(path)))['img'][..., ::-1])


def _sheet_sections(connection: duckdb.DuckDBPyConnection, card: dict,
                    load: Callable[[Path], np.ndarray]) -> list[str]:
    """A contact sheet for each cluster, those with the most images first."""
    rows = connection.execute(
        f'SELECT cluster, {_extremes("min")}, {_extremes("max")} FROM scores GROUP BY cluster '
        'ORDER BY count(*) DESC, cluster').fetchall()
    last = dict(connection.execute(f'SELECT cluster, {_extremes("max")} FROM selected GROUP BY cluster').fetchall())
    shown = [image['path'] for _, lowest, highest in rows for image in lowest + highest]
    selected = {path for path, in connection.execute(
        'SELECT path FROM selected WHERE path IN (SELECT unnest(?))', [shown]).fetchall()}
    selected.update(image['path'] for images in last.values() for image in images)
    sections = ['<h2>Lowest and highest entropy of each cluster</h2><p>Of the whole pool. Blue frame: selected, gray '
                f'frame: not. The number is the entropy. {_omitted(len(rows))}</p>']
    for cluster, lowest, highest in rows[:SHEETS]:
        title = 'All images' if cluster is None else f'Cluster {cluster}'
        examples = {'lowest': lowest, 'last selected': last.get(cluster, [])[::-1], 'highest': highest[::-1]}
        sheet = _sheet(examples, selected, Path(card['pool']['root']), load)
        sections.append(f'<h3>{title}</h3>{_embedded(sheet)}')
    return sections


def _extremes(which: str) -> str:
    """SQL of the images of lowest (min) or highest (max) entropy, the most extreme first; one scan for all clusters."""
    return f"{which}({{'entropy': entropy, 'path': path}}, {COLUMNS})"


def _omitted(number: int) -> str:
    return f'The {SHEETS} largest of {number} clusters are shown.' if number > SHEETS else ''


def _sheet(rows: dict[str, Sequence[dict]], selected: set[str], root: Path,
           load: Callable[[Path], np.ndarray]) -> Image.Image:
    side, caption = TILE + 8, 16
    sheet = Image.new('RGB', (COLUMNS * side, len(rows) * (side + 2 * caption)), 'white')
    draw = ImageDraw.Draw(sheet)
    for i, (title, examples) in enumerate(rows.items()):
        top = i * (side + 2 * caption)
        draw.text((4, top + 2), title, fill='black')
        for j, image in enumerate(examples):
            left = j * side
            draw.rectangle((left, top + caption, left + side - 2, top + caption + side - 2),
                           fill=AFTER if image['path'] in selected else BEFORE)
            sheet.paste(_thumbnail(root / image['path'], load), (left + 3, top + caption + 3))
            draw.text((left + 4, top + caption + side), f'{image["entropy"]:.4f}', fill='black')
    return sheet


def _thumbnail(path: Path, load: Callable[[Path], np.ndarray]) -> Image.Image:
    """The image, whole, in the middle of a square."""
    square = Image.new('RGB', (TILE, TILE), 'white')
    try:
        image = Image.fromarray(load(path))
    except ImageReadError:
        ImageDraw.Draw(square).text((8, TILE // 2), 'not readable now', fill='red')
        return square
    image.thumbnail((TILE, TILE))
    square.paste(image, ((TILE - image.width) // 2, (TILE - image.height) // 2))
    return square


def _png(figure: Figure) -> str:
    content = io.BytesIO()
    figure.savefig(content, format='png', dpi=110)
    return _tag(content.getvalue())


def _embedded(image: Image.Image) -> str:
    content = io.BytesIO()
    image.save(content, format='PNG')
    return _tag(content.getvalue())


def _tag(content: bytes) -> str:
    return f'<img src="data:image/png;base64,{base64.b64encode(content).decode()}">'

"""How curation scales: selection from tables of 1 to 100 million rows, and scoring against the bare model.

Selection: the command's own function on Parquet shards of made-up scores, in a process of its own; seconds, and memory
over what the imports take. Scoring: images on disk, decoded by one worker, scored and written by one thread, against
the model's forward alone on the same images in memory; batch by batch in turns, all of start and end included. Loader:
the same images without any model, per core.
"""

import argparse
import multiprocessing
import os
import platform
import resource
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import s5_mm  # noqa: F401  before torch, since it chooses how threads wait

# isort: split

import duckdb
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.structures import SegDataSample
from PIL import Image
from prettytable import PrettyTable

from s5_mm.curation.loading import build_loader, build_pool
from s5_mm.curation.manifest import write_selection
from s5_mm.curation.prototypes import Prototypes, save_prototypes
from s5_mm.curation.score_table import ScoreTable, batches_of, score_chunks
from s5_mm.curation.scoring import score
from s5_mm.curation.settings import CurationSettings
from s5_mm.files import sha256_of, write_json
from s5_mm.registry import MODELS

ROWS_A_SHARD = 1_000_000
NUM_CLUSTERS = 32
MODELS_SCORED = {
    'tiny': dict(
        config='configs/quickstart/supervised_vit-t_upernet_synthetic-96x96.py', side=96, images=1536, batch=16),
    'base': dict(
        config='configs/s4p/supervised_vit-b-mae_upernet_8xb12-120k_isaid-512x512.py', side=512, images=12, batch=2),
}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rows', type=int, nargs='*', default=[1_000_000, 10_000_000, 100_000_000],
                        help='sizes of the tables to select from (default: 1, 10 and 100 million)')
    parser.add_argument('--models', nargs='*', choices=list(MODELS_SCORED), default=list(MODELS_SCORED),
                        help='models to score with (default: all)')
    parser.add_argument('--rounds', type=int, default=3, help='of scoring (default: %(default)s)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/curation_benchmark'), help='for made-up data')
    parser.add_argument('--out', type=Path, default=Path('benchmarks/results/curation.json'), help='JSON to write')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Measure and write the result."""
    args = parse_args(argv)
    torch.set_num_threads(1)
    result = {
        'machine': f'{platform.machine()} {platform.system()}, {os.cpu_count()} cores',
        'date': str(date.today()),
        'selection': {str(rows): measure_selection(rows, args.work_dir) for rows in args.rows},
        'scoring': {name: measure_scoring(name, args.work_dir, args.rounds) for name in args.models},
    }
    write_json(args.out, result)
    show(result)


def measure_selection(rows: int, work_dir: Path) -> dict[str, float]:
    """Make a table of scores and select a tenth of it, curated, in a fresh process."""
    folder = work_dir / f'{rows}_rows'
    make_scores(folder, rows)
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        measured = pool.apply(_select, (folder, rows // 10))
    shutil.rmtree(folder)
    print(rows, measured, flush=True)
    return measured


def make_scores(folder: Path, rows: int) -> None:
    """Shards as scoring writes them: entropies from a skewed distribution, clusters of unequal size."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / 'pool/scores').mkdir(parents=True)
    with duckdb.connect(config=dict(memory_limit='4GB')) as connection:
        for shard, start in enumerate(range(0, rows, ROWS_A_SHARD)):
            stop = min(start + ROWS_A_SHARD, rows)
            connection.execute(f"""
                COPY (SELECT printf('area_%03d/%09d.jpg', i % 997, i) AS path,
                    (2.77 * pow(hash(i) / 18446744073709551616.0, 2))::FLOAT AS entropy,
                    pow(hash(i) / 18446744073709551616.0, 2)::FLOAT AS entropy_normalized,
                    (pow(hash(i + 1) / 18446744073709551616.0, 2) * {NUM_CLUSTERS})::INT % {NUM_CLUSTERS} AS cluster,
                    0.5::FLOAT AS similarity, 512 AS width, 512 AS height, 'made-up' AS model
                    FROM range({start}, {stop}) AS numbers(i)
                ) TO '{folder}/pool/scores/{shard:08d}.parquet' (FORMAT parquet, COMPRESSION zstd)""")
    centers = np.eye(NUM_CLUSTERS, dtype=np.float32)
    save_prototypes(folder / 'prototypes.npz', Prototypes(centers, np.arange(1, NUM_CLUSTERS + 1), 'made-up'))
    write_json(folder / 'pool/settings.json', dict(images=rows, model='made-up', keep_features=False,
                                                   prototypes=sha256_of(folder / 'prototypes.npz')))


def _select(folder: Path, budget: int) -> dict[str, float]:
    imported = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    settings = CurationSettings(pool=dict(source='none'), labeled=dict(source='none'), work_dir=str(folder),
                                budget=budget, memory_limit='800MB')
    start = time.perf_counter()
    card = write_selection(settings, 'curated')
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return dict(seconds=round(seconds, 2), selected=card['selected'], imports_mb=round(imported / 1024),
                more_mb=round((peak - imported) / 1024))


def measure_scoring(name: str, work_dir: Path, rounds: int) -> dict[str, float]:
    """Images per second of the model alone, of scoring, and of the loader."""
    setting = MODELS_SCORED[name]
    images = work_dir / f'images_{setting["side"]}'
    make_images(images, setting['side'], setting['images'])
    init_default_scope('mmseg')
    cfg = Config.fromfile(setting['config'])
    network = cfg.model
    network.backbone.init_cfg = network.init_cfg = None
    # A process alone has plain batch norm, as the runner makes it.
    network.decode_head.norm_cfg = dict(type='BN')
    model = MODELS.build(network).eval()
    pool = build_pool(dict(source=str(images)))
    batches = [range(i, i + setting['batch']) for i in range(0, setting['images'], setting['batch'])]
    inputs = [normalized(model, batch.groups[0].pixels) for batch in build_loader(pool, batches)]
    alone, scoring = [], []
    for _ in range(rounds):
        steps = score_to_disk(model, pool, setting['batch'], work_dir / 'scored')
        for batch in inputs:
            alone.append(timed(lambda batch=batch: forward_alone(model, batch)))
            scoring.append(timed(lambda steps=steps: next(steps)))
        # The last numbers of images, and the shard that is still open.
        scoring.append(timed(lambda steps=steps: deque(steps, maxlen=0)))
    loader = timed(lambda: deque(build_loader(pool, batches, workers=1), maxlen=0))
    images = setting['images'] * rounds
    rates = dict(forward_images_per_s=round(images / sum(alone), 3),
                 scoring_images_per_s=round(images / sum(scoring), 3),
                 loader_images_per_s=round(setting['images'] / loader, 3))
    ratio = sum(alone) / sum(scoring)
    measured = dict(**rates, scoring_of_forward=round(ratio, 3), setting=dict(setting))
    print(name, measured, flush=True)
    return measured


def make_images(folder: Path, side: int, number: int) -> None:
    """JPEG files with smooth content, as large as photographs of that size are."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for i in range(number):
        coarse = Image.fromarray(rng.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8))
        coarse.resize((side, side), Image.Resampling.BICUBIC).save(folder / f'{i:05d}.jpg', quality=90)


def normalized(model: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """What the network takes, (B, 3, H, W)."""
    data = dict(inputs=list(pixels), data_samples=[SegDataSample() for _ in pixels])
    return model.data_preprocessor(data)['inputs']


@torch.no_grad()
def forward_alone(model: torch.nn.Module, batch: torch.Tensor) -> None:
    """The logits at the size of the images and nothing else."""
    shape = tuple(batch.shape[2:])
    model.encode_decode(batch, [dict(img_shape=shape, pad_shape=shape, ori_shape=shape)] * len(batch))


def score_to_disk(model: torch.nn.Module, pool: object, batch_size: int, folder: Path) -> Iterator[int]:
    """What `curate.py score` does once its model is loaded, a batch at a time."""
    shutil.rmtree(folder, ignore_errors=True)
    table = ScoreTable(folder, pool.paths, dict(model='made-up'), largest=2.77)
    chunks = table.todo()
    loader = build_loader(pool, batches_of(table, chunks, batch_size), workers=1)
    channels = model.decode_head.in_channels[-1]
    prototypes = Prototypes(np.eye(8, channels, dtype=np.float32), np.ones(8, dtype=np.int64))
    return score_chunks(table, score(model, loader, prototypes, background=0), chunks)


def timed(run: Callable[[], object]) -> float:
    """Seconds."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def show(result: dict) -> None:
    """Print the tables."""
    table = PrettyTable(['rows', 'seconds', 'MB more than the imports'])
    for rows, measured in result['selection'].items():
        table.add_row([f'{int(rows):,}', measured['seconds'], measured['more_mb']])
    print(table)
    rates = ('forward_images_per_s', 'scoring_images_per_s', 'loader_images_per_s', 'scoring_of_forward')
    table = PrettyTable(['model', *rates])
    for name, measured in result['scoring'].items():
        table.add_row([name, *(measured[rate] for rate in rates)])
    print(table)


if __name__ == '__main__':
    main()

"""S5 in minutes on a CPU: curate a synthetic pool, train S4P and a supervised twin, fine-tune for six datasets.

S4P and its twin start from the same network (configs/quickstart/start.safetensors), use the same labels and see the
same number of labeled samples. From the S4P weights four datasets are learned: by a network each (SDF), by one network
(MDF), by one with experts (MoE-MDF); and rotated boxes of two more by one network with experts. Logs, checkpoints and
results go to work_dirs/quickstart.
"""

import argparse
import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from comparison import draw_comparison
from detection_task import CONFIG as DETECTION
from detection_task import draw_detections, make_detection, run_detection
from landcover_task import SCENES, count_parameters, make_landcover, mean_scores, run_ways
from PIL import Image
from prettytable import PrettyTable
from synthetic_task import CONFIGS, DATA, POOL, make_data, score_pool, select_pool, test, train

from s5_mm.datasets import ISAIDDataset
from s5_mm.files import write_json

WORK_DIR = Path('work_dirs/quickstart')
# Scores in per cent below which a part has not learned; docs/quickstart.md has what to expect.
FLOORS = {'S4P': 35, 'land cover': 15, 'rotated detection': 15}


def main(argv: list[str] | None = None) -> None:
    """Run all steps; what is finished already is not done again.

    Raises:
        SystemExit: A part did not learn.
    """
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(argv)
    start = time.perf_counter()
    logs = WORK_DIR / 'logs'
    say(start, f'making labeled scenes and an unlabeled pool in {DATA}')
    make_data(logs)
    selection, kept = curate(start, logs)
    results = run_s4p(start, selection) | {'unlabeled': {'pool': POOL, 'kept': kept}}
    draw(WORK_DIR / 'predictions.png')
    results['minutes'] = minutes(start)
    write_json(WORK_DIR / 'results.json', results)
    show_s4p(results)
    check_learned('S4P', {name: results[name]['mIoU'] for name in CONFIGS})
    results['mdf'] = run_mdf(start, logs)
    results['mdf']['minutes'] = round(minutes(start) - results['minutes'], 1)
    write_json(WORK_DIR / 'results.json', results)
    show_mdf(results['mdf'])
    check_learned('land cover', results['mdf']['mean'])
    before = minutes(start)
    results['detection'] = {'mAP': run_det(start, logs)}
    results['detection']['minutes'] = round(minutes(start) - before, 1)
    write_json(WORK_DIR / 'results.json', results)
    show_detection(results['detection'])
    check_learned('rotated detection', results['detection']['mAP'])
    print(f'in {WORK_DIR}: predictions.png, detections.png, results.json; what S4P sees: s4p/*/vis_data/vis_image')


def curate(start: float, logs: Path) -> tuple[dict[str, object], int]:
    """Choose from the pool; gives the options with which training draws from the selection, and its size."""
    say(start, 'python data_prep/curate.py prototypes|score|select')
    score_pool(logs)
    options = select_pool('curated', logs)
    kept = json.loads((DATA / 'curation/curated.json').read_text())['selected']
    say(start, f'{kept} of {POOL} unlabeled images kept')
    return options, kept


def run_s4p(start: float, selection: dict[str, object]) -> dict:
    """Train and test supervised and S4P."""
    results = {}
    for name, config in CONFIGS.items():
        say(start, f'python tools/train.py {config}   (follow it in {WORK_DIR / name / "train.log"})')
        options = selection if name == 's4p' else {}
        checkpoint = train(config, WORK_DIR / name, **options)
        say(start, f'python tools/test.py {config} {checkpoint}')
        results[name] = {'mIoU': test(config, checkpoint, WORK_DIR / f'{name}_test', **options)['mIoU']}
    results['gain'] = round(results['s4p']['mIoU'] - results['supervised']['mIoU'], 2)
    return results


def run_mdf(start: float, logs: Path) -> dict:
    """Train and test the four datasets in three ways, two runs side by side."""
    say(start, f'making four land-cover datasets in {DATA}')
    make_landcover(logs)
    say(start, f'python tools/train.py configs/quickstart/{{sdf,mdf,moe-mdf}}_*.py   (logs in {WORK_DIR}/*/train.log)')
    with shared_cores(jobs=2):
        scores = run_ways(WORK_DIR, jobs=2)
    return {'mIoU': scores, 'mean': mean_scores(scores), 'parameters': count_parameters()}


@contextlib.contextmanager
def shared_cores(jobs: int) -> Iterator[None]:
    """Commands inside the block have their share of the cores."""
    before = dict(os.environ)
    os.environ['OMP_NUM_THREADS'] = str(max(1, os.cpu_count() // jobs))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def run_det(start: float, logs: Path) -> dict[str, float]:
    """Train, test and draw rotated detection on two datasets; mAP of each."""
    say(start, f'making scenes with rotated boxes in {DATA}')
    make_detection(logs)
    say(start, f'python tools/train.py {DETECTION}   (follow it in {WORK_DIR}/detection/train.log)')
    scores = run_detection(WORK_DIR)
    draw_detections(WORK_DIR, WORK_DIR / 'detections.png')
    return scores


def check_learned(part: str, scores: dict[str, float]) -> None:
    """Stop if a part did not learn.

    Args:
        part: Its name in :data:`FLOORS`.
        scores: Name -> score in per cent.

    Raises:
        SystemExit: A score is below the floor or is no number.
    """
    low = {name: score for name, score in scores.items() if not score >= FLOORS[part]}
    if low:
        found = ', '.join(f'{name} {score:.2f}' for name, score in low.items())
        raise SystemExit(f'quickstart: {part} did not learn: {found}, at least {FLOORS[part]} is expected; look for '
                         f'warnings in {WORK_DIR}/*/train.log, and remove {WORK_DIR} before you train again.')


def minutes(start: float) -> float:
    """Minutes since the start."""
    return round((time.perf_counter() - start) / 60, 1)


def say(start: float, message: str) -> None:
    """Report a step with the minutes passed."""
    print(f'[{minutes(start):4.1f} min] {message}', flush=True)


def draw(out: Path) -> None:
    """For each class the image that shows most of it, its truth and both predictions."""
    truth = DATA / 'isaid/ann_dir/val'
    labels = {'truth': truth, **{name: WORK_DIR / f'{name}_test/ids' for name in CONFIGS}}
    palette = ISAIDDataset.METAINFO['palette']
    draw_comparison(DATA / 'isaid/img_dir/val', labels, palette, out, richest(truth, len(palette)))


def richest(masks: Path, num_classes: int) -> list[str]:
    """The name of the mask with most pixels of each class that occurs, background left out, without repetition."""
    files = sorted(masks.glob('*.png'))
    pixels = np.stack([np.bincount(np.asarray(Image.open(file)).ravel(), minlength=256) for file in files])
    best = [pixels[:, i].argmax() for i in range(1, num_classes) if pixels[:, i].any()]
    return [files[i].stem for i in dict.fromkeys(best)]


def show_s4p(results: dict) -> None:
    """Print the table of S4P."""
    table = PrettyTable(['training', 'unlabeled images', 'mIoU'])
    table.add_row(['supervised', 'none', f'{results["supervised"]["mIoU"]:.2f}'])
    table.add_row(['S4P', '{kept} of {pool}'.format_map(results['unlabeled']), f'{results["s4p"]["mIoU"]:.2f}'])
    table.add_row(['gain', '', f'{results["gain"]:+.2f}'])
    print(f'{table}\n{results["minutes"]} minutes', flush=True)


def show_mdf(results: dict) -> None:
    """Print the table of the land-cover datasets."""
    table = PrettyTable(['mIoU', *results['mIoU']])
    for name in SCENES:
        table.add_row([name, *(f'{scores[name]:.2f}' for scores in results['mIoU'].values())])
    table.add_row(['mean', *(f'{mean:.2f}' for mean in results['mean'].values())])
    table.add_row(['parameters, M', *(f'{count / 1e6:.2f}' for count in results['parameters'].values())])
    print(f'{table}\n{results["minutes"]} minutes', flush=True)


def show_detection(results: dict) -> None:
    """Print the table of rotated detection."""
    table = PrettyTable(['rotated detection', *results['mAP']])
    table.add_row(['mAP', *(f'{score:.2f}' for score in results['mAP'].values())])
    print(f'{table}\n{results["minutes"]} minutes', flush=True)


if __name__ == '__main__':
    main()

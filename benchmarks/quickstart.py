"""S4P in minutes on a CPU: make synthetic data, train supervised and semi-supervised, test both, compare.

Both runs start from the same network (configs/quickstart/start.safetensors), use the same labels and see the same
number of labeled samples. Logs, checkpoints and results go to work_dirs/quickstart.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from PIL import Image
from prettytable import PrettyTable
from synthetic_task import CONFIGS, DATA, POOL, make_data, test, train, write_json

from s5_mm.apis import draw_comparison
from s5_mm.datasets import ISAIDDataset

WORK_DIR = Path('work_dirs/quickstart')


def main(argv: list[str] | None = None) -> None:
    """Run all steps; what is finished already is not done again."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(argv)
    start = time.perf_counter()
    say(start, f'making labeled scenes and an unlabeled pool in {DATA}')
    make_data(WORK_DIR / 'logs')
    results = {}
    for name, config in CONFIGS.items():
        say(start, f'python tools/train.py {config}   (follow it in {WORK_DIR / name / "train.log"})')
        checkpoint = train(config, WORK_DIR / name)
        say(start, f'python tools/test.py {config} {checkpoint}')
        results[name] = {'mIoU': test(config, checkpoint, WORK_DIR / f'{name}_test')['mIoU']}
    results['gain'] = round(results['s4p']['mIoU'] - results['supervised']['mIoU'], 2)
    results['minutes'] = round((time.perf_counter() - start) / 60, 1)
    picture = WORK_DIR / 'predictions.png'
    draw(picture)
    write_json(WORK_DIR / 'results.json', results)
    show(results)
    print(f'pictures: {picture}; what S4P sees: {WORK_DIR}/s4p/*/vis_data/vis_image; numbers: {WORK_DIR}/results.json')


def say(start: float, message: str) -> None:
    """Report a step with the minutes passed."""
    print(f'[{(time.perf_counter() - start) / 60:4.1f} min] {message}', flush=True)


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


def show(results: dict) -> None:
    """Print the table."""
    table = PrettyTable(['training', 'unlabeled images', 'mIoU'])
    table.add_row(['supervised', 'none', f'{results["supervised"]["mIoU"]:.2f}'])
    table.add_row(['S4P', POOL, f'{results["s4p"]["mIoU"]:.2f}'])
    table.add_row(['gain', '', f'{results["gain"]:+.2f}'])
    print(f'{table}\n{results["minutes"]} minutes')


if __name__ == '__main__':
    main()

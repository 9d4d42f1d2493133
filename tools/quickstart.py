"""S4P in minutes on a CPU: make synthetic data, train supervised and semi-supervised, test both, compare.

Both runs start from the same network (configs/quickstart/start.safetensors), use the same labels and see the same number
of labeled samples. The commands are printed as they run, with their logs under the work dir.
"""
import argparse
import json
import time
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import MMLogger
from prettytable import PrettyTable

from s5_mm.apis import draw_comparison, run_command
from s5_mm.datasets import ISAIDDataset

RUNS = {
    'supervised': 'configs/quickstart/supervised_vit-t_upernet_synthetic-96x96.py',
    's4p': 'configs/quickstart/fixmatch_vit-t_upernet_synthetic-96x96.py',
}
CLASSES = 'storage_tank,plane,roundabout,ground_track_field,soccer_field,tennis_court,ship,large_vehicle'
LABELED_STYLES = 'temperate,arid'
SHOWN = 6


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, default=Path('data/quickstart'), help='where the scenes go')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/quickstart'), help='where results go')
    return parser.parse_args(argv)

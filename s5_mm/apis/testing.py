"""What tools/test.py does to a config, for one dataset and for several, and how it writes metrics."""
import json
import math
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import master_only

from s5_mm.evaluation import RotatedMAP
from s5_mm.files import write_text
from s5_mm.registry import METRICS


def select_datasets(cfg: Config, names: Sequence[str]) -> None:
    """Test some of a config's datasets only.

    Args:
        cfg: Changed in place.
        names: Datasets to keep, in the order in which they are tested.

    Raises:
        ValueError: A name is unknown, or the config tests one dataset alone.
    """
    known = _names(cfg)
    if known is None:
        raise ValueError(f'--dataset {" ".join(names)} chooses among the datasets of a config with several; this '
                         'config has one, leave the option out.')
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f'--dataset {unknown[0]} is none of the datasets in test_dataloader: {", ".join(known)}.')
    for setting in ('test_dataloader', 'test_evaluator'):
        cfg[setting] = {name: cfg[setting][name] for name in names if name in cfg[setting]}


def write_predictions(cfg: Config, out: str) -> None:
    """Write predictions beside computing metrics: class indices as PNG, or detections.

    Detections (of metrics of the kind of :class:`s5_mm.RotatedMAP`) go to ``detections.zip``, in the form of the DOTA
    server, and to ``detections.npz`` for ``tools/analysis/detections.py``.

    Args:
        cfg: Changed in place.
        out: Folder, with a folder for each dataset in it if the config has several; or a file ``*.zip``.

    Raises:
        ValueError: A zip for several datasets.
    """
    names = _names(cfg)
    if names is None:
        cfg.test_evaluator = _with_writer(cfg.test_evaluator, out)
        return
    if _is_zip(out) and len(names) > 1:
        raise ValueError(f'--out {out} is one zip, but {len(names)} datasets are tested; choose one of '
                         f'{", ".join(names)} with --dataset, or give a folder.')
    for name in names:
        cfg.test_evaluator[name] = _with_writer(cfg.test_evaluator[name], out if _is_zip(out) else f'{out}/{name}')


def enable_visualization(cfg: Config, folder: str) -> None:
    """Draw each prediction in the colors of its dataset.

    Args:
        cfg: Changed in place.
        folder: Pictures go to ``vis_data/vis_image`` in it.
    """
    cfg.default_hooks.visualization = dict(type='s5_mm.MultiDatasetVisualizationHook', draw=True, interval=1)
    cfg.visualizer.save_dir = folder


@master_only
def write_json(metrics: dict[str, float], path: str) -> None:
    """Write metrics, which all processes have, in the first of them; what is undefined becomes ``null``.

    Args:
        metrics: Name -> number.
        path: File, written under a temporary name and renamed.
    """
    defined = {name: None if isinstance(value, float) and math.isnan(value) else value
               for name, value in metrics.items()}
    write_text(Path(path), json.dumps(defined, indent=2, allow_nan=False))


def _names(cfg: Config) -> list[str] | None:
    """Datasets that are tested; ``None`` if the settings are those of one."""
    return None if 'dataset' in cfg.test_dataloader else list(cfg.test_dataloader)


def _is_zip(out: str) -> bool:
    return Path(out).suffix.lower() == '.zip'


def _with_writer(evaluator: dict | list, out: str) -> list[dict]:
    metrics = evaluator if isinstance(evaluator, list) else [evaluator]
    if any(map(_is_of_detection, metrics)):
        files = dict(zip_file=out) if _is_zip(out) else dict(
            zip_file=f'{out}/detections.zip', out_file=f'{out}/detections.npz')
        return [dict(metric, **files) if _is_of_detection(metric) else metric for metric in metrics]
    return [*metrics, dict(type='s5_mm.LabelMapWriter', **{'zip_file' if _is_zip(out) else 'output_dir': out})]


def _is_of_detection(metric: dict) -> bool:
    kind = METRICS.get(metric['type']) if isinstance(metric['type'], str) else metric['type']
    return isinstance(kind, type) and issubclass(kind, RotatedMAP)

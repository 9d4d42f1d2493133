"""Predictions as PNG files of class ids, in a folder or in a zip for a benchmark's server."""
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from PIL import Image

from s5_mm.files import replacing
from s5_mm.registry import METRICS


@METRICS.register_module()
class LabelMapWriter(BaseMetric):
    """Write each prediction as an 8-bit PNG named after its image. A metric for MMEngine that reports no value.

    Pixels are class indices 0 ... K-1 in the order of the dataset's ``classes``, also where the label files have other
    ids. (mmseg's ``output_dir`` adds 1 if ``reduce_zero_label`` is set; LoveDA's server refuses the resulting value 7.)
    Files are written under a temporary name and renamed.

    Args:
        output_dir: Folder to write to.
        zip_file: Zip to write instead, with the PNGs at its top level. They are collected in the folder
            ``ZIP_FILE.parts``, which all processes must share. It is removed at the end.
        kwargs: Arguments of MMEngine's ``BaseMetric``.

    Raises:
        ValueError: Not exactly one of ``output_dir`` and ``zip_file`` is given, a prediction has an id that is not a
            class, or two images have the same name.
    """

    def __init__(self, output_dir: str | None = None, zip_file: str | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
        if (output_dir is None) == (zip_file is None):
            raise ValueError(f'LabelMapWriter: output_dir is {output_dir!r} and zip_file {zip_file!r}; give one of '
                             'them.')
        self.zip_file = None if zip_file is None else Path(zip_file)
        self.folder = Path(output_dir if zip_file is None else f'{zip_file}.parts')

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Write the predictions of a batch.

        Args:
            data_batch: Not used.
            data_samples: Dicts with ``pred_sem_seg`` and ``img_path``.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for sample in data_samples:
            path = sample['img_path']
            name = f'{Path(path).stem}.png'
            self._write(name, self._checked(sample['pred_sem_seg']['data'].squeeze(0).cpu().numpy(), path))
            self.results.append((name, path))

    def compute_metrics(self, results: list) -> dict:
        """Check that the names are unique, and write the zip.

        Args:
            results: Name of the PNG and path of the image, for each image of the set.

        Returns:
            An empty dict.
        """
        images = {}
        for name, path in results:
            other = images.setdefault(name, path)
            if other != path:
                raise ValueError(f'LabelMapWriter: {other} and {path} would both be {name}; test them separately.')
        if self.zip_file is not None:
            self._zip(sorted(images))
        print_log(f'{len(images)} label maps are in {self.zip_file or self.folder}', 'current')
        return {}

    def _checked(self, ids: np.ndarray, path: str) -> np.ndarray:
        classes = self.dataset_meta['classes']
        wrong = np.unique(ids[(ids < 0) | (ids >= len(classes))]).astype(int)
        if len(wrong):
            raise ValueError(f'LabelMapWriter: the prediction for {path} holds the ids {wrong.tolist()}, the dataset '
                             f'has the classes 0..{len(classes) - 1}; num_classes of its decode head must be '
                             f'{len(classes)}.')
        return ids.astype(np.uint8)

    def _write(self, name: str, ids: np.ndarray) -> None:
        with replacing(self.folder / name) as temporary:
            Image.fromarray(ids).save(temporary, format='PNG')

    def _zip(self, names: list[str]) -> None:
        """Put the PNGs into the zip without compressing them again."""
        with replacing(self.zip_file) as temporary, zipfile.ZipFile(temporary, 'w', zipfile.ZIP_STORED) as archive:
            for name in names:
                archive.write(self.folder / name, name)
        shutil.rmtree(self.folder)

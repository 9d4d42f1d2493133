"""Loading: images a second on one core, for each training pipeline."""
import atexit
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from curation import make_images
from mmengine.config import Config
from mmengine.dataset import Compose
from PIL import Image
from torchvision.transforms import v2

from .measuring import Case, Settings, timed

NUMBER = 16
PIPELINES = {
    's4p labeled': ('isaid', 'labeled_pipeline'),
    's4p unlabeled': ('isaid_rs4p1m', 'unlabeled_pipeline'),
    'mdf': ('landcover4', 'train_pipeline'),
    'test': ('isaid', 'test_pipeline'),
}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def loader(settings: Settings, case: str = 'loader') -> Case:
    """Unlabeled crops from JPEG files to what the step takes, on one core.

    The baseline makes the weak and the strong view in the loader and normalizes both to fp32; ours gives the weak view
    as bytes, the rest is done on the device in the step. Rates of all our pipelines are among the facts.
    """
    side = settings.sides[case]
    files = make_files(side)
    rates = {name: round(NUMBER / min(timed(pipeline_run(*where, files), 'cpu') for _ in range(3)), 1)
             for name, where in PIPELINES.items()}
    return Case(
        ways=dict(ours=pipeline_run(*PIPELINES['s4p unlabeled'], files), baseline=published_run(files, side)),
        setting=dict(side=side, cores=1), images=NUMBER, facts=dict(images_per_s=rates))


def make_files(side: int) -> list[Path]:
    """JPEG images with a mask beside each, in a folder that is gone when the process ends."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    make_images(folder, side, NUMBER)
    files = sorted(folder.glob('*.jpg'))
    mask = Image.fromarray(np.random.default_rng(0).integers(1, 6, (side // 16, side // 16), dtype=np.uint8))
    for path in files:
        mask.resize((side, side), Image.Resampling.NEAREST).save(path.with_suffix('.png'))
    return files


def pipeline_run(config: str, key: str, files: list[Path]) -> Callable[[], None]:
    """One pass of a config's pipeline over the files."""
    pipeline = Compose(Config.fromfile(f'configs/_base_/datasets/{config}.py')[key])

    def run() -> None:
        with one_thread():
            for path in files:
                pipeline(dict(img_path=str(path), seg_map_path=str(path.with_suffix('.png')), reduce_zero_label=False,
                              seg_fields=[]))
    return run


def published_run(files: list[Path], side: int) -> Callable[[], None]:
    """One pass of weak and strong view as a loader with Pillow and torchvision makes them."""
    strong = v2.Compose([
        v2.RandomApply([v2.ColorJitter(0.5, 0.5, 0.5, 0.25)], p=0.8), v2.RandomGrayscale(p=0.2),
        v2.RandomApply([v2.GaussianBlur(13, (0.1, 2.0))], p=0.5)])
    normalize = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])
    flips = v2.Compose([v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()])

    def run() -> None:
        with one_thread():
            for path in files:
                image = Image.open(path).convert('RGB')
                new = int(np.random.uniform(0.5, 2.0) * side)
                crop = v2.RandomCrop(side, pad_if_needed=True)
                weak = flips(crop(image.resize((new, new), Image.Resampling.BILINEAR)))
                normalize(weak), normalize(strong(weak))
    return run


class one_thread:  # noqa: N801
    """What a loader's worker has."""

    def __enter__(self) -> None:
        self.threads = torch.get_num_threads()
        torch.set_num_threads(1)

    def __exit__(self, *error: object) -> None:
        torch.set_num_threads(self.threads)

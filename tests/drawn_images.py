"""A hook that writes down what each process trains on; in a module of its own, since other processes import it."""
import json
from pathlib import Path

from mmengine.dist import get_rank
from mmengine.hooks import Hook

from s5_mm.registry import HOOKS


@HOOKS.register_module()
class DrawnImagesHook(Hook):
    """Writes the files of the images without labels of each iteration, and the last selection they were drawn from."""

    def before_train(self, runner):
        self.drawn = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        samples = [sample for sample in data_batch['data_samples'] if sample.dataset_name != 'labeled']
        self.drawn.append([sample.img_path for sample in samples])

    def after_train(self, runner):
        selection = runner.train_dataloader.sampler.subsets['unlabeled'].indices.tolist()
        path = Path(runner.work_dir) / f'drawn_{get_rank()}.json'
        path.write_text(json.dumps(dict(drawn=self.drawn, selection=selection)))


def what_was_drawn(work_dir, rank=0):
    """Files of each iteration, and the last selection, of a process."""
    told = json.loads((work_dir / f'drawn_{rank}.json').read_text())
    return told['drawn'], told['selection']

"""The pool filtered while training: what is drawn, what a checkpoint carries, what is refused."""
import re

import pyarrow.parquet as pq
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from running import FIXMATCH, ROOT, SUPERVISED, losses

from s5_mm.engine import DatasetFilterHook
from s5_mm.registry import HOOKS

SCORING = dict(background=0, batch_size=4, workers=0)
SEEDS = dict(type='s5_mm.IterationSeedHook')


@HOOKS.register_module(force=True)
class DrawnImagesHook(Hook):
    """Keeps the files of the unlabeled images of each iteration."""

    drawn: list = []  # noqa: RUF012  read by the tests

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        samples = [sample for sample in data_batch['data_samples'] if sample.dataset_name == 'unlabeled']
        self.drawn.append({sample.img_path for sample in samples})


def hooks(**options):
    return {'custom_hooks': [SEEDS, dict(type='s5_mm.DrawnImagesHook'), dict(
        type='s5_mm.DatasetFilterHook', scoring=SCORING, **dict(budget=3, num_clusters=2, interval=2) | options)]}


def selected(work_dir, step):
    return pq.read_table(work_dir / 'curation' / f'iter_{step}.parquet')['path'].to_pylist()


def log_of(work_dir):
    return ''.join(path.read_text() for path in sorted(work_dir.glob('*/*.log')))


@pytest.fixture
def drawn():
    DrawnImagesHook.drawn.clear()
    return DrawnImagesHook.drawn


class TestTraining:

    def test_each_batch_is_drawn_from_the_selection_of_its_time(self, train, drawn):
        """With workers that had later batches of the older selection ready."""
        work_dir = train(FIXMATCH, iters=6, workers=2, **hooks(unfilled='pass_on', strategy='diversity', share=0.9))
        selections = [selected(work_dir, step) for step in (0, 2, 4)]
        assert [len(selection) for selection in selections] == [3, 3, 3]
        assert len({tuple(selection) for selection in selections}) > 1
        for step, files in enumerate(drawn):
            assert all(file.endswith(tuple(selections[step // 2])) for file in files)
        assert not list((work_dir / 'curation').glob('iter_6*'))

    def test_log_and_manifest(self, train):
        """One of the eight images is truncated."""
        work_dir = train(FIXMATCH, iters=1, **hooks(strategy='entropy'))
        table = pq.read_table(work_dir / 'curation/iter_0.parquet')
        assert table.column_names == ['path', 'entropy', 'cluster', 'similarity']
        mean = sum(table['entropy'].to_pylist()) / 3
        told = re.search(r'Pool unlabeled: 3 of 8 images kept, 3 of them new; mean entropy ([\d.]+), of all scored '
                         r'([\d.]+); 1 unreadable', log_of(work_dir))
        assert float(told[1]) == pytest.approx(mean, abs=1e-4)
        assert float(told[1]) < float(told[2])

    def test_resume_goes_on_with_the_selection(self, train):
        options = hooks(interval=4) | {'default_hooks.checkpoint.interval': 2, 'model.teacher': {}}
        straight = train(FIXMATCH, work_dir='straight', iters=6, workers=2, **options)
        train(FIXMATCH, work_dir='stopped', iters=6, workers=2, **options, **{'train_cfg.max_iters': 2})
        stopped = train(FIXMATCH, '--resume', work_dir='stopped', iters=6, workers=2, **options)
        assert losses(stopped) == losses(straight)
        assert selected(stopped, 4) == selected(straight, 4)
        assert 'images, selected at iteration 0, as the checkpoint says' in log_of(stopped)

    def test_checkpoint_holds_the_selection(self, train):
        work_dir = train(FIXMATCH, iters=3, **hooks(budget=0.5))
        held = torch.load(work_dir / 'iter_3.pth', weights_only=False)['dataset_filter']
        assert held['first_step'] == 2
        assert len(held['indices']) == len(selected(work_dir, 2)) <= 4

    def test_resuming_with_another_pool_is_an_error(self, train, data, tmp_path):
        train(FIXMATCH, work_dir='run', iters=1, **hooks())
        listed = tmp_path / 'other.txt'
        listed.write_text('\n'.join(map(str, sorted((data / 'unlabeled').rglob('*.jpg'))[2:])))
        other = {'train_dataloader.dataset.sources.unlabeled.source': str(listed)}
        with pytest.raises(ValueError, match='from another pool than .*other.txt with its 6 images; resume'):
            train(FIXMATCH, '--resume', work_dir='run', iters=2, **hooks(), **other)


def test_the_documented_config(tmp_path):
    page = (ROOT / 'docs/curation.md').read_text()
    text = re.search(r'## During training.+?```python\n(.+?)```', page, re.S).group(1)
    config = tmp_path / 'own.py'
    config.write_text(text.replace('./fixmatch', f'{ROOT}/configs/s4p/fixmatch'))
    hook = HOOKS.build(Config.fromfile(config).custom_hooks[-1])
    assert isinstance(hook, DatasetFilterHook)
    assert (hook.budget, hook.interval, hook.scoring.background) == (500_000, 20_000, 0)


class TestRefused:

    def test_no_unlabeled_source(self, train):
        with pytest.raises(ValueError, match=r"there is no source 'unlabeled', training has \['labeled'\]"):
            train(SUPERVISED, iters=1, **hooks())

    def test_a_labeled_source_as_the_pool(self, train):
        with pytest.raises(ValueError, match="source 'labeled' is a ISAIDDataset, only an UnlabeledDataset"):
            train(SUPERVISED, iters=1, **hooks(source='labeled'))

    def test_budget_above_the_pool(self, train):
        with pytest.raises(ValueError, match='budget is 9, 8 of the 8 images .* are scored .* keep 1 to 8'):
            train(FIXMATCH, iters=1, **hooks(budget=9))

    def test_budget_above_the_scored_share(self, train):
        with pytest.raises(ValueError, match=r'budget is 5, 4 of the 8 images .* \(share 0.5\); keep 1 to 4'):
            train(FIXMATCH, iters=1, **hooks(budget=5, share=0.5))

    def test_more_clusters_than_labeled_images(self, train):
        with pytest.raises(ValueError, match='num_clusters is 99, there are 7 labeled images; make it 1 to 7'):
            train(FIXMATCH, iters=1, **hooks(num_clusters=99))

    def test_a_second_unlabeled_source(self, train):
        source = 'train_dataloader.dataset.sources.partner'
        pool = dict(type='s5_mm.UnlabeledDataset', source=str(ROOT / 'docs/images'), pipeline=[])
        options = {source: pool, 'train_dataloader.sampler.per_batch.partner': 2, 'train_dataloader.batch_size': 6}
        with pytest.raises(ValueError, match=r"'partner' is unlabeled too .*same_order=dict\(partner='unlabeled'"):
            train(FIXMATCH, iters=1, **hooks(), **options)

    @pytest.mark.parametrize(('options', 'message'), [
        (dict(budget=0), r'budget is 0; it is a number of images \(an integer\) or a share above 0 and below 1'),
        (dict(budget=1.0), 'budget is 1.0; it is a number of images'),
        (dict(budget=1, interval=0), 'interval is 0; it must be at least 1, or None'),
        (dict(budget=1, share=1.5), 'share is 1.5; it must be above 0 and up to 1'),
        (dict(budget=1, strategy='best'), r"strategy is 'best'; choose from \['curated'"),
        (dict(budget=1, unfilled='fill'), r"unfilled is 'fill'; choose from \['leave'"),
        (dict(budget=1, scoring=dict(batch=3)), r"scoring.batch is unknown; choose from \['background'"),
    ])
    def test_options(self, options, message):
        with pytest.raises(ValueError, match=message):
            DatasetFilterHook(**options)

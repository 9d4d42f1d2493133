"""Measure what the pseudo-labels of a training are worth, class by class, and warn when they collapse."""
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from prettytable import PrettyTable

from s5_mm.evaluation.pseudo_labels import (
    COLUMNS,
    PseudoLabelCounts,
    QualityTable,
    objects_as_background,
    quality,
)
from s5_mm.models import PseudoLabel, SemiBaseSegmentor, SemiStep
from s5_mm.models.networks import unwrapped
from s5_mm.registry import HOOKS

REMEDY = ('lower consistency.tau, choose by class (model.selection=dict(type="s5_mm.ClassMean")), or begin with a '
          'network that knows more: a longer supervised start, or s5_mm.LossRampHook')


@HOOKS.register_module()
class PseudoLabelHook(Hook):
    """Curves of coverage, precision, recall, shift, confidence and threshold of each class.

    Without ``held``, the pool itself is looked at: coverage, shift against the shares of the labeled images, and
    confidence, as a mean over the iterations of an interval. With labeled images that are held out of training, the
    evaluated network labels these as in training, which also gives precision, recall and the share of object pixels
    that are taken for background. See :func:`s5_mm.evaluation.pseudo_labels.quality` for each number.

    They go to the log (a table), to the visualizer (TensorBoard), and to ``pseudo_labels.csv`` and, at the end,
    ``pseudo_labels.png`` in the work directory.

    Args:
        interval: Iterations between two measurements, at least 1.
        held: Data loader of held labeled images, of the form of ``val_dataloader``; ``None``: none.
        background: Class that is no object, if there is one.
        min_coverage: Share of counted pixels below which the unlabeled loss is idle, in [0, 1].
        patience: Iterations of an idle unlabeled loss before a warning, at least 1.
        min_precision: Precision of a class below which a warning is given, in [0, 1].

    Raises:
        ValueError: An option is out of range.
    """

    def __init__(self,
                 interval: int = 500,
                 held: dict | None = None,
                 background: int | None = None,
                 min_coverage: float = 0.01,
                 patience: int = 200,
                 min_precision: float = 0.5) -> None:
        if min(interval, patience) < 1:
            raise ValueError(f'PseudoLabelHook: interval is {interval} and patience {patience}; both must be at least '
                             '1.')
        if not (0 <= min_coverage <= 1 and 0 <= min_precision <= 1):
            raise ValueError(f'PseudoLabelHook: min_coverage is {min_coverage} and min_precision {min_precision}; both '
                             'must lie in [0, 1].')
        self.interval = interval
        self.held = held
        self.background = background
        self.min_coverage = min_coverage
        self.patience = patience
        self.min_precision = min_precision
        self.reported: dict[str, Sequence[str]] = {}

    def before_train(self, runner: Runner) -> None:
        """Begin to observe the model.

        Raises:
            TypeError: It is no :class:`s5_mm.SemiBaseSegmentor`.
            ValueError: ``background`` is no class of it.
        """
        model = unwrapped(runner.model)
        if not isinstance(model, SemiBaseSegmentor):
            raise TypeError(f'PseudoLabelHook looks at the pseudo-labels of a SemiBaseSegmentor, the model is a '
                            f'{type(model).__name__}; remove the hook from custom_hooks.')
        if self.background is not None and not 0 <= self.background < model.num_classes:
            raise ValueError(f'PseudoLabelHook: background is {self.background}, the model has the classes 0 to '
                             f'{model.num_classes - 1}.')
        meta = runner.visualizer.dataset_meta or {}
        self.classes = list(meta.get('classes') or map(str, range(model.num_classes)))
        self.table = QualityTable(Path(runner.work_dir) / 'pseudo_labels.csv', self.classes, runner.iter)
        self.loader = None if self.held is None else runner.build_dataloader(self.held, seed=runner.seed)
        self.pool, self.recent = self._counts(model), self._counts(model)
        model.observers.append(self.observe)
        self.model = model

    def _counts(self, model: SemiBaseSegmentor) -> PseudoLabelCounts:
        return PseudoLabelCounts(model.num_classes, next(model.parameters()).device, self.background)

    def observe(self, step: SemiStep) -> None:
        """Count the pseudo-labels of a step's weak views, and its labels."""
        for counts in (self.pool, self.recent):
            self._add(counts, step.target)
            for sample in step.batch.labeled_samples:
                counts.add_truth(sample.gt_sem_seg.data)

    def _add(self, counts: PseudoLabelCounts, target: PseudoLabel, truth: torch.Tensor | None = None) -> None:
        weight = self.model.consistency.counted(target)
        counts.add(target.label, target.confidence, target.valid, weight, truth)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """Warn of an idle loss, and measure at intervals."""
        if self.every_n_train_iters(runner, self.patience):
            self._check_idle(runner)
        if self.every_n_train_iters(runner, self.interval):
            self.measure(runner)

    def after_train(self, runner: Runner) -> None:
        """Draw the curves."""
        self.model.observers.remove(self.observe)
        if is_main_process():
            self.table.draw(Path(runner.work_dir) / 'pseudo_labels.png')

    def _check_idle(self, runner: Runner) -> None:
        sums = self.recent.reduce()
        self.recent.sums.zero_()
        coverage = quality(sums, False)['coverage'].sum()
        idle = ['the unlabeled loss'] if coverage < self.min_coverage else []
        self._warn(runner, 'idle', idle, f'hardly learns: {coverage:.2%} of the pixels of the pool counted in the last '
                   f'{self.patience} iterations; {REMEDY}')

    def measure(self, runner: Runner) -> None:
        """Compute the numbers of an interval, report them and begin anew."""
        sums = self.pool.reduce()
        self.pool.sums.zero_()
        numbers = quality(sums, False)
        unseen = [name for name, kept, true in zip(self.classes, sums[PseudoLabelCounts.KEPT],
                                                   sums[PseudoLabelCounts.TRUE], strict=True) if true and not kept]
        scalars = {}
        if self.loader is not None:
            sums = self._held_sums()
            numbers = quality(sums, True)
            if self.background is not None:
                scalars['pseudo/objects_as_background'] = objects_as_background(sums, self.background)
        selection = self.model.selection
        thresholds = None if selection is None else selection.thresholds()
        if thresholds is not None:
            numbers['threshold'] = thresholds.double().cpu().numpy()
        if not is_main_process():
            return
        scalars |= {f'pseudo/{key}/{name}': value for key, values in numbers.items()
                    for name, value in zip(self.classes, values.tolist(), strict=True)}
        scalars = {name: value for name, value in scalars.items() if np.isfinite(value)}
        runner.visualizer.add_scalars(scalars, step=runner.iter + 1)
        self.table.add(runner.iter + 1, numbers)
        runner.logger.info(self._as_text(numbers, scalars))
        self._warn(runner, 'unseen', unseen, 'have labels but no pseudo-label that counts, so that the unlabeled loss '
                   f'unlearns them; {REMEDY}')
        precision = np.nan_to_num(numbers.get('precision', np.ones(len(self.classes))), nan=1.0)
        wrong = [name for name, value in zip(self.classes, precision, strict=True) if value < self.min_precision]
        self._warn(runner, 'wrong', wrong, f'have pseudo-labels that are right in less than {self.min_precision:.0%}; '
                   'raise consistency.tau or the floor of model.selection, align to the shares of the labels '
                   '(model.alignment), or lower model.unlabeled_weight')
        floor = getattr(selection, 'floor', None)
        low = [name for name, value in zip(self.classes, numbers.get('threshold', ()), strict=False)
               if floor is not None and value <= floor]
        self._warn(runner, 'floor', low, f'are at the lowest threshold, {floor}; the network is unsure of them, so '
                   'look at their precision on held images before you lower the floor')

    @torch.no_grad()
    def _held_sums(self) -> np.ndarray:
        counts = self._counts(self.model)
        for data in self.loader:
            data = self.model.data_preprocessor(data, False)
            images = data['inputs']
            targets = self.model.judge(images, torch.ones(len(images), *images.shape[-2:], dtype=torch.bool,
                                                          device=images.device))
            for i, sample in enumerate(data['data_samples']):
                truth = sample.gt_sem_seg.data  # without the padding of the batch
                height, width = truth.shape[-2:]
                target = targets.map(lambda x, i=i, h=height, w=width: x[i:i + 1, :h, :w])
                self._add(counts, target, truth.to(images.device))
        return counts.reduce()

    def _as_text(self, numbers: dict[str, np.ndarray], scalars: dict[str, float]) -> str:
        columns = [key for key in COLUMNS if key in numbers]
        table = PrettyTable(['class', *columns])
        for k, name in enumerate(self.classes):
            table.add_row([name, *('' if np.isnan(numbers[key][k]) else f'{numbers[key][k]:.3g}' for key in columns)])
        table.align = 'r'
        where = 'the weak views of the pool' if self.loader is None else 'held labeled images'
        share = scalars.get('pseudo/objects_as_background')
        note = '' if share is None else f'; {share:.1%} of the object pixels count as background'
        return f'pseudo-labels of {where}{note}\n{table}'

    def _warn(self, runner: Runner, kind: str, names: Sequence[str], text: str) -> None:
        """Warn of something once, until others are concerned."""
        if names and names != self.reported.get(kind) and is_main_process():
            runner.logger.warning(f'pseudo-labels: {", ".join(names)} {text}')
        self.reported[kind] = names

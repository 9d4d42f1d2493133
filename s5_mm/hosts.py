"""Everything that this package uses of its hosts beyond their public interfaces.

Each function names the host, the member, and the version that it was checked with.
"""
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from mmengine.hooks import CheckpointHook
from mmengine.model import BaseDataPreprocessor, update_init_info
from mmengine.runner import Runner
from mmseg.models import BaseSegmentor
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only


def swaps_channels(preprocessor: BaseDataPreprocessor) -> bool:
    """Whether a data preprocessor exchanges red and blue.

    MMEngine 0.10.12 (and so mmdet and mmrotate) keeps this in ``_channel_conversion``, mmseg 1.4.2 in
    ``channel_conversion``; neither has a method that tells.
    """
    return getattr(preprocessor, 'channel_conversion', getattr(preprocessor, '_channel_conversion', False))


def restart_loader(runner: Runner, step: int) -> None:
    """Let the loader of an ``IterBasedTrainLoop`` draw anew from a step on; what its workers have ready is dropped.

    onedl-mmengine 0.10.12: ``dataloader_iterator`` is an instance of the private ``_InfiniteDataloaderIterator``, and
    its ``skip_iter``, which sets the sampler's position by ``Sampler.skip``, is missing in other MMEngines.

    Args:
        runner: The runner.
        step: Number of batches drawn since the start of training, at least 1.
    """
    runner.train_loop.dataloader_iterator.skip_iter(step)


def map_tensors(function: Callable[[Tensor], Tensor], nested: Any) -> Any:
    """Apply a function to every tensor in nested lists, tuples and dicts.

    torch 2.12: ``torch.utils._pytree.tree_map_only``. torch has no public function for this.
    """
    return tree_map_only(Tensor, function, nested)


def note_initialization(module: nn.Module, text: str) -> None:
    """Let MMEngine's report of initial values say where those of a module come from.

    MMEngine 0.10.12: modules have ``_params_init_info`` while ``init_weights`` runs, and ``update_init_info`` needs it.
    """
    if hasattr(module, '_params_init_info'):
        update_init_info(module, init_info=text)


def add_predictions(head: BaseDecodeHead, scores: Tensor, samples: list[SegDataSample]) -> None:
    """Crop scores to the images, resize them to the original size and put them and their classes into the samples.

    mmseg 1.4.2 does this in ``BaseSegmentor.postprocess_result`` for the one head of a segmentor. The method reads
    ``align_corners`` and ``decode_head.out_channels`` of the segmentor, which differ between our heads.

    Args:
        head: The head that the scores are of.
        scores: (B, K, H, W).
        samples: B data samples; changed.
    """
    owner = SimpleNamespace(align_corners=head.align_corners, decode_head=head)
    BaseSegmentor.postprocess_result(owner, scores, samples)


def numpy_makers() -> list[Callable]:
    """The functions that pickles of NumPy arrays and numbers name; they make plain data alone.

    NumPy 2.2 has them in ``numpy._core.multiarray``.
    """
    multiarray = np._core.multiarray
    return [multiarray._reconstruct, multiarray.scalar]


class StepCheckpointHook(CheckpointHook):
    """MMEngine's ``CheckpointHook``, whose way of saving a step is a public method.

    MMEngine 0.10.12 has it in ``_save_checkpoint_with_step``, which removes old checkpoints before it writes the new
    one, and writes ``last_checkpoint`` in place.
    """

    def save(self, runner: Runner, step: int, meta: dict) -> None:
        """Save a checkpoint and remove those that it makes superfluous.

        Args:
            runner: The runner.
            step: Iterations, or epochs with ``by_epoch``, that are done.
            meta: ``epoch`` and ``iter`` at which a resumed run goes on.
        """
        raise NotImplementedError

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        self.save(runner, step, meta)

"""The operators of this package under the names by which mmcv's Python code calls its compiled ones."""
import logging
import os
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch
import torchvision
from mmengine.logging import print_log
from torch import Tensor

from .overlaps import box_iou_rotated
from .rotated_nms import nms_rotated
from .rotated_roi_align import Sampling, pool, spread

VARIABLE, CHOICES = 'S5_MM_OPS', ('mmcv', 'torch')
COMPILED = 'mmcv._ext'
"""The module that mmcv 2.3.6 compiles its operators into; ``mmcv.utils.ext_loader`` imports it by this name."""


class Operators(ModuleType):
    """Stands in for mmcv's compiled module.

    Args:
        compiled: That module; ``None`` if there is none or it cannot be loaded.
        choice: ``'mmcv'``, ``'torch'``, or empty: plain torch on CPUs, mmcv's on other devices that it was compiled
            for.
    """

    def __init__(self, compiled: ModuleType | None, choice: str) -> None:
        super().__init__(COMPILED, 'Operators for mmcv.ops, chosen by s5_mm.ops.')
        self.__spec__ = ModuleSpec(COMPILED, None)
        self.compiled = compiled
        self.choice = choice
        self.told = False

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith('__'):
            raise AttributeError(name)
        if name not in OURS:
            return getattr(self.compiled, name) if self.compiled else NAMES_OF_COMPILERS.get(name) or _missing(name)
        ours, theirs = OURS[name], getattr(self.compiled, name, None)

        def operator(first: Tensor, *args: Any, **kwargs: Any) -> Any:
            self.tell()
            return (theirs if self.uses_mmcv(first.device) else ours)(first, *args, **kwargs)
        return operator

    def uses_mmcv(self, device: torch.device) -> bool:
        """Whether tensors of a device are given to mmcv's own operators."""
        if self.compiled is None or self.choice:
            return self.choice == 'mmcv'
        return device.type != 'cpu' and self.works_on(device.type)

    def works_on(self, device: str) -> bool:
        """Whether mmcv's own operators were compiled, and for a kind of device."""
        if self.compiled is None or device != 'cuda':
            return self.compiled is not None
        return self.compiled.get_compiling_cuda_version() != 'not available'

    def tell(self) -> None:
        """Log once which operators are in use."""
        if not self.told:
            self.told = True
            used = {device: 'mmcv' if self.uses_mmcv(torch.device(device)) else 'torch' for device in ('cpu', 'cuda')}
            print_log(f'Operators on boxes: {used["cpu"]} on CPUs, {used["cuda"]} on CUDA ({VARIABLE}=mmcv|torch '
                      'chooses; mmcv: compiled, torch: s5_mm.ops).', 'current')


def serve_mmcv() -> Operators | None:
    """Give mmcv, and by it mmdet and mmrotate, the operators that ``S5_MM_OPS`` chooses; a second call does nothing.

    Returns:
        What mmcv calls now; ``None`` if ``mmcv.ops`` was imported earlier and keeps its own.

    Raises:
        ImportError: ``S5_MM_OPS`` asks for what there is not, or cannot be obeyed any more, since ``mmcv.ops`` has been
            imported; or mmrotate was imported without any operators.
        ValueError: ``S5_MM_OPS`` has another value.
    """
    if isinstance(sys.modules.get(COMPILED), Operators):
        return sys.modules[COMPILED]
    choice = os.environ.get(VARIABLE, '')
    if choice not in ('', *CHOICES):
        raise ValueError(f'{VARIABLE} is {choice!r}; choose {" or ".join(CHOICES)}, or leave it out.')
    if 'mmcv.ops' in sys.modules:
        if choice == 'torch':
            raise ImportError(f'{VARIABLE}=torch comes too late: mmcv.ops was imported before s5_mm and keeps its '
                              'compiled operators. Import s5_mm first.')
        if not choice:
            print_log('mmcv.ops was imported before s5_mm: mmdet and mmrotate use its compiled operators, in float32. '
                      'Import s5_mm first for those of s5_mm.ops.', 'current', logging.WARNING)
        return None
    compiled = _compiled(choice)
    if compiled is None and 'mmrotate.structures' in sys.modules:
        raise ImportError('mmrotate was imported before s5_mm, and mmcv has no compiled operators, so mmrotate has '
                          'none. Import s5_mm first.')
    sys.modules[COMPILED] = Operators(compiled, choice)
    return sys.modules[COMPILED]


def _compiled(choice: str) -> ModuleType | None:
    """mmcv's compiled module, if there is one that can be loaded."""
    if find_spec(COMPILED) is None:
        if choice == 'mmcv':
            raise ImportError(f'{VARIABLE}=mmcv, but this mmcv has no compiled operators; leave {VARIABLE} out, or '
                              'install mmcv with them (docs/install.md).')
        return None
    try:
        return import_module(COMPILED)
    except ImportError as error:
        if choice == 'mmcv':
            raise ImportError(f"{VARIABLE}=mmcv, but mmcv's compiled operators cannot be loaded: {error}. They fit the "
                              'torch that they were compiled with alone (docs/install.md).') from error
        print_log(f"mmcv's compiled operators cannot be loaded ({error}); s5_mm.ops takes their place.", 'current',
                  logging.WARNING)
        return None


def _missing(name: str) -> Callable[..., Any]:
    """An operator that nobody has."""
    def operator(*_: Any, **__: Any) -> Any:
        raise NotImplementedError(f"{name}: s5_mm.ops does not have this operator of mmcv's, and this mmcv has no "
                                  'compiled operators; install mmcv with them (docs/install.md).')
    return operator


def _nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
    boxes = boxes.detach().float() if boxes.dtype != torch.float64 else boxes.detach()
    # With an offset, sides are right - left + 1.
    boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return torchvision.ops.nms(boxes, scores.to(boxes), iou_threshold)


def _nms_of_boxes(size: int) -> Callable[..., Tensor]:
    """``nms_rotated`` or ``nms_quadri``, whose boxes have ``size`` numbers and perhaps a label behind them."""
    def nms(boxes: Tensor, scores: Tensor, *arguments: Any, **named: Any) -> Tensor:
        iou_threshold = named.get('iou_threshold', arguments[-2] if len(arguments) > 1 else None)
        return nms_rotated(boxes[:, :size], scores, iou_threshold, boxes[:, size] if boxes.shape[1] > size else None)
    return nms


def _box_iou(first: Tensor, second: Tensor, ious: Tensor, mode_flag: int = 0, aligned: bool = False) -> None:
    ious.copy_(box_iou_rotated(first, second, ('iou', 'iof')[mode_flag], aligned).view_as(ious))


def _roi_align_rotated_forward(features: Tensor, rois: Tensor, output: Tensor, pooled_height: int, pooled_width: int,
                               **sampling: Any) -> None:
    output.copy_(pool(features, rois, Sampling((pooled_height, pooled_width), **sampling)))


def _roi_align_rotated_backward(gradient: Tensor, rois: Tensor, output: Tensor, pooled_height: int, pooled_width: int,
                                **sampling: Any) -> None:
    output.copy_(spread(gradient, rois, output.shape, Sampling((pooled_height, pooled_width), **sampling)))


def _roi_align_forward(features: Tensor, rois: Tensor, output: Tensor, *_: Tensor, **sampling: Any) -> None:
    output.copy_(_roi_align(features, rois, **sampling))


def _roi_align_backward(gradient: Tensor, rois: Tensor, *maps: Tensor, **sampling: Any) -> None:
    output = maps[-1]
    with torch.enable_grad():
        features = torch.zeros_like(output, requires_grad=True)
        output.copy_(torch.autograd.grad(_roi_align(features, rois, **sampling), features, gradient)[0])


def _roi_align(features: Tensor, rois: Tensor, aligned_height: int, aligned_width: int, spatial_scale: float,
               sampling_ratio: int, pool_mode: int, aligned: bool) -> Tensor:
    if pool_mode == 0:
        raise NotImplementedError("roi_align: s5_mm.ops does not have pool_mode='max'; use 'avg', or mmcv's compiled "
                                  f'operators with {VARIABLE}=mmcv (docs/install.md).')
    features = features.float() if features.dtype != torch.float64 else features
    return torchvision.ops.roi_align(features, rois.to(features), (aligned_height, aligned_width), spatial_scale,
                                     max(0, sampling_ratio), aligned)


OURS = dict(
    nms=_nms, nms_rotated=_nms_of_boxes(5), nms_quadri=_nms_of_boxes(8), box_iou_rotated=_box_iou,
    box_iou_quadri=_box_iou, roi_align_forward=_roi_align_forward, roi_align_backward=_roi_align_backward,
    roi_align_rotated_forward=_roi_align_rotated_forward, roi_align_rotated_backward=_roi_align_rotated_backward)

# What ``mmcv.utils.collect_env`` asks for.
NAMES_OF_COMPILERS = dict.fromkeys(('get_compiler_version', 'get_compiling_cuda_version'), lambda: 'n/a')

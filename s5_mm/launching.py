"""How processes start together, with and without GPUs."""
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import init_dist, is_distributed
from mmengine.logging import print_log


def join_processes(cfg: Config) -> None:
    """Join the processes of a launcher, through gloo where no GPU is found.

    Args:
        cfg: Its ``launcher`` names the launcher; with ``'none'`` the process is alone and nothing happens.

    Raises:
        ValueError: See :func:`prepare_for_cpu`.
    """
    prepare_for_cpu(cfg)
    if cfg.launcher != 'none' and not is_distributed():
        init_dist(cfg.launcher, **cfg.get('env_cfg', {}).get('dist_cfg', {}))


def prepare_for_cpu(cfg: Config) -> None:
    """Let a config made for GPUs run on several CPU processes; does nothing where a GPU is found or for one process.

    The processes communicate through gloo, and SyncBN, which refuses CPU tensors, becomes BN.

    Args:
        cfg: Changed in place.

    Raises:
        ValueError: The launcher needs GPUs and none is found.
    """
    if torch.cuda.is_available() or cfg.launcher == 'none':
        return
    if cfg.launcher != 'pytorch':
        raise ValueError(f'--launcher {cfg.launcher} needs GPUs and none is found; on CPUs use --launcher pytorch.')
    print_log('No GPU is found: gloo instead of NCCL, BN instead of SyncBN.', 'current')
    _replace_sync_bn(cfg.model)
    # MMEngine would put each process's model and tensors on a GPU of its own.
    cfg.model_wrapper_cfg = dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False))
    torch.distributed.init_process_group('gloo')


def _replace_sync_bn(node: Any) -> None:
    children = list(node.values()) if isinstance(node, dict) else node if isinstance(node, list | tuple) else []
    if isinstance(node, dict) and node.get('type') == 'SyncBN':
        node['type'] = 'BN'
    for child in children:
        _replace_sync_bn(child)

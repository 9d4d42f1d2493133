"""How several processes start together, with and without GPUs, wait for each other, and end."""
import contextlib
import gc
import logging
import os
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import all_gather_object, broadcast_object_list, get_dist_info, init_dist, is_distributed
from mmengine.logging import print_log

TIMEOUT = 1800.0
"""Seconds that a process waits for another one, unless ``env_cfg.dist_cfg.timeout`` says it."""


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
    seconds = cfg.get('env_cfg', {}).get('dist_cfg', {}).get('timeout', TIMEOUT)
    torch.distributed.init_process_group('gloo', timeout=timedelta(seconds=seconds))


def _replace_sync_bn(node: Any) -> None:
    children = list(node.values()) if isinstance(node, dict) else node if isinstance(node, list | tuple) else []
    if isinstance(node, dict) and node.get('type') == 'SyncBN':
        node['type'] = 'BN'
    for child in children:
        _replace_sync_bn(child)


def agreed(value: Any) -> Any:
    """What the first process says, in all of them.

    Args:
        value: Anything that can be pickled.
    """
    values = [value]
    broadcast_object_list(values)
    return values[0]


@contextlib.contextmanager
def failing_together(*kinds: type[Exception]) -> Iterator[None]:
    """Let an error of one process in the block be one of all, so that none waits for it.

    Args:
        kinds: Errors that are shared; another one ends the process.

    Raises:
        Exception: The first process's error, or that of the first that has one.
    """
    own = None
    try:
        yield
    except kinds as error:
        own = error
    first = next((error for error in all_gather_object(own) if error is not None), None)
    if first is not None:
        raise first


@contextlib.contextmanager
def naming_lost_processes() -> Iterator[None]:
    """End the program with a sentence where another process was lost while the block runs.

    A process that was killed is noticed at once, one that hangs after ``env_cfg.dist_cfg.timeout`` seconds.

    Raises:
        SystemExit: Another process has ended or does not answer.
    """
    try:
        yield
    except RuntimeError as error:
        text = str(error).splitlines()[0] if str(error) else ''
        if not (isinstance(error, torch.distributed.DistError) or 'gloo' in text):
            raise
        rank, world_size = get_dist_info()
        raise SystemExit(f'Process {rank} of {world_size} (counted from 0) stops: another process has ended, or did '
                         'not answer within env_cfg.dist_cfg.timeout seconds; the output of that process says why. '
                         f'({text})') from error


def end_process() -> None:
    """End one of several processes that has done its work; does nothing for a process alone.

    Python is not shut down: the threads of gloo outlive their group, and one that still has to release a tensor then
    aborts the process ("terminate called without an active exception") after its work is done. A launcher takes that
    for a failure, and stops the other processes in the middle of theirs.
    """
    if not is_distributed():
        return
    destroy_process_group()
    gc.collect()  # loaders stop their workers
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def destroy_process_group() -> None:
    """End the communication of several processes; does nothing for a process alone."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()

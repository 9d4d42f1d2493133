"""What each of two processes runs in test_multi_dataset_distributed.py: RANK, then the file to write to."""
import json
import sys

import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch.nn.parallel import DistributedDataParallel

from s5_mm.registry import MODELS


def batch(names, seed):
    """Images and samples of data sets."""
    rng = torch.Generator().manual_seed(seed)
    samples = []
    for name in names:
        sample = SegDataSample(metainfo=dict(dataset_name=name))
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 3, (1, 32, 32), generator=rng))
        samples.append(sample)
    return torch.randn(len(names), 3, 32, 32, generator=rng), samples


def gradients(model, names, seed):
    """Gradients of one step."""
    model.zero_grad()
    losses = model(*batch(names, seed), mode='loss')
    sum(value for key, value in losses.items() if 'loss' in key).backward()
    return {name.removeprefix('module.'): parameter.grad.clone() for name, parameter in model.named_parameters()}


def main(rank, config, out):
    """Two steps; the second process has no image of ``green`` in the first."""
    torch.distributed.init_process_group('gloo', rank=rank, world_size=2)
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(config).train()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    parallel = DistributedDataParallel(model, broadcast_buffers=False)
    steps = [('red', 'green', 'red', 'green') if rank == 0 else ('red', 'red'), ('green', 'green', 'red', 'red')]
    together = [gradients(parallel, names, 10 * step + rank) for step, names in enumerate(steps)]
    alone = [gradients(model, names, 10 * step + rank) for step, names in enumerate(steps)]
    torch.save(dict(together=together, alone=alone), out)


if __name__ == '__main__':
    main(int(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3])

"""What each of two processes runs in test_multi_dataset_distributed.py: RANK, configs, then the file to write to."""
import json
import sys

import tiny_detectors
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch.nn.parallel import DistributedDataParallel

from s5_mm.registry import MODELS


def batch(names, seed):
    """Images and samples of datasets."""
    rng = torch.Generator().manual_seed(seed)
    samples = []
    for name in names:
        sample = SegDataSample(metainfo=dict(dataset_name=name))
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 3, (1, 32, 32), generator=rng))
        samples.append(sample)
    return torch.randn(len(names), 3, 32, 32, generator=rng), samples


def gradients(model, make, names, seed):
    """Gradients of one step."""
    model.zero_grad()
    losses = model(*make(names, seed), mode='loss')
    values = [value for key, value in losses.items() if 'loss' in key]
    sum(one for value in values for one in (value if isinstance(value, list) else [value])).backward()
    return {name.removeprefix('module.'): parameter.grad.clone() for name, parameter in model.named_parameters()}


def steps(rank, config):
    """Gradients of two steps; the second process has no image of ``green`` in the first."""
    detects = config['type'] == 's5_mm.MultiDatasetDetector'
    init_default_scope('mmrotate' if detects else 'mmseg')
    make = tiny_detectors.batch if detects else batch
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(config)).train()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    parallel = DistributedDataParallel(model, broadcast_buffers=False)
    names = [('red', 'green', 'red', 'green') if rank == 0 else ('red', 'red'), ('green', 'green', 'red', 'red')]
    return {way: [gradients(network, make, drawn, 10 * step + rank) for step, drawn in enumerate(names)]
            for way, network in (('together', parallel), ('alone', model))}


def main(rank, configs, out):
    """Write the gradients of each model."""
    torch.distributed.init_process_group('gloo', rank=rank, world_size=2)
    torch.save({kind: steps(rank, config) for kind, config in configs.items()}, out)


if __name__ == '__main__':
    main(int(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3])

"""Metrics of rotated boxes from two processes; each runs this file with its rank and the file to write to."""
import json
import os
import subprocess
import sys

import numpy as np
import torch
from running import free_port

NUM_IMAGES = 5


def images():
    """Samples as dicts with seven detections each, many of one score, of six objects."""
    rng = np.random.default_rng(0)
    samples = []
    for index in range(NUM_IMAGES):
        lefts = rng.uniform(0, 200, 6)
        truth = torch.tensor([[x, 0, x + 10, 0, x + 10, 10, x, 10] for x in lefts]).float()
        found = torch.cat([truth[:5] + torch.tensor(rng.normal(0, 2, (5, 1))).float(), truth[:2] + 50])
        labels = torch.zeros(7, dtype=torch.long)
        samples.append(dict(
            img_id=f'P{index}__1024__0___0', img_path='',
            pred_instances=dict(bboxes=found, scores=torch.tensor(rng.random(7).round(1)), labels=labels),
            gt_instances=dict(bboxes=truth, labels=labels[:6]), ignored_instances={}))
    return samples


def evaluated(samples):
    """What both metrics say of the images that this process has."""
    from s5_mm.evaluation import DOTAMetric, RotatedMAP
    metrics = {}
    for built in (RotatedMAP(iou_range=True), DOTAMetric()):
        built.dataset_meta = dict(classes=('ship', ))
        built.process({}, samples)
        metrics.update(built.evaluate(NUM_IMAGES))
    return metrics


def main(rank, out):
    """The last image goes to both, as a sampler pads."""
    torch.distributed.init_process_group('gloo', rank=rank, world_size=2)
    samples = images()
    metrics = evaluated([samples[index % NUM_IMAGES] for index in range(rank, NUM_IMAGES + 1, 2)])
    with open(out, 'w') as file:
        json.dump(metrics, file)
    torch.distributed.destroy_process_group()


def test_two_processes_say_what_one_says(tmp_path):
    outs = [tmp_path / f'{rank}.json' for rank in range(2)]
    env = dict(os.environ, MASTER_ADDR='127.0.0.1', MASTER_PORT=str(free_port()), OMP_NUM_THREADS='1',
               PYTHONPATH=os.pathsep.join(sys.path))
    runs = [subprocess.Popen([sys.executable, '-W', 'ignore', __file__, str(rank), str(out)], env=env)
            for rank, out in enumerate(outs)]
    try:
        assert [run.wait(timeout=240) for run in runs] == [0, 0]
    finally:
        for run in runs:
            run.kill()
    alone = evaluated(images())
    assert 10 < alone['mAP'] < 90
    assert alone['patch_mAP'] == alone['mAP']
    assert [json.loads(out.read_text()) for out in outs] == [alone, alone]


if __name__ == '__main__':
    main(int(sys.argv[1]), sys.argv[2])

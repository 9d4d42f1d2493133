"""Parameters of the encoders that the S5 paper compares itself with: as printed there, and of the real models."""
from collections.abc import Sequence
from typing import NamedTuple

from mmengine.config import Config

from .model_stats import count_parameters


class Peer(NamedTuple):
    """A row of the paper's tables.

    Attributes:
        row: Names in the paper.
        printed: Millions of parameters in the paper: UperNet with 16 classes, Oriented R-CNN with 18.
        plain: The encoder of :data:`s5_mm.models.ENCODERS` whose parameters those are.
        names: The authors' encoders, of the same table; none where no weights are public.
    """

    row: str
    printed: tuple[float, float]
    plain: str
    names: tuple[str, ...]


PEERS = (
    Peer('RVSA', (103.2, 111.2), 'vit-b', ('rvsa-b', 'rvsa-b-det', 'rvsa-b-diamond')),
    Peer('SAMRS', (103.2, 111.2), 'vit-b', ('samrs-b', )),
    Peer('MA3E', (103.2, 111.2), 'vit-b', ('ma3e-b', )),
    Peer('GFM', (96.9, 104.1), 'swin-b', ('gfm-b', )),
    Peer('Scale-MAE', (327.4, 334.6), 'vit-l', ('scalemae-l', )),
    Peer('SatMAE++', (327.4, 334.6), 'vit-l', ('satmaepp-l-rgb', )),
    Peer('SelectiveMAE', (327.4, 334.6), 'vit-l', ('selectivemae-l', )),
    Peer('MTP', (327.4, 334.6), 'vit-l', ('mtp-l', 'mtp-l-det')),
    Peer('BillionFM', (990.9, 996.9), 'vit-g', ()),
    Peer('OREOLE', (990.9, 996.9), 'vit-g', ('oreole-g', )),
    Peer('S5 ViT-B', (103.2, 111.2), 'vit-b', ('vit-b', )),
    Peer('S5 ViT-L', (327.4, 334.6), 'vit-l', ('vit-l', )),
    Peer('S5 ViT-H', (663.4, 671.7), 'vit-h', ('vit-h', )),
)


def count_peers(configs: Sequence[Config], img_size: int = 512) -> dict[str, tuple[int, ...]]:
    """Parameters of models with each encoder that :data:`PEERS` names.

    Args:
        configs: Of trainings whose ``model.backbone`` is an ``s5_mm.NamedEncoder``.
        img_size: Side in pixels of the images that position tables are made for.

    Returns:
        Name -> number of parameters with each config.
    """
    names = dict.fromkeys(name for peer in PEERS for name in (peer.plain, *peer.names))
    return {name: tuple(count_parameters(_with_encoder(cfg, name, img_size)) for cfg in configs) for name in names}


def peer_table(segmentation: Config, detection: Config) -> str:
    """A Markdown table of :data:`PEERS`.

    Args:
        segmentation: Config with UperNet and 16 classes.
        detection: Config with Oriented R-CNN and 18 classes.
    """
    counts = {name: ' / '.join(f'{number / 1e6:.2f}' for number in numbers)
              for name, numbers in count_peers((segmentation, detection)).items()}
    lines = ['| row of the paper | printed | counted as | which has | the real encoder | which has |',
             '|---|---|---|---|---|---|']
    for peer in PEERS:
        printed = ' / '.join(f'{number:.1f}' for number in peer.printed)
        real = [(f'`{name}`', counts[name]) for name in peer.names] or [('no public weights', '')]
        for i, (name, counted) in enumerate(real):
            start = f'{peer.row} | {printed} | `{peer.plain}` | {counts[peer.plain]}' if i == 0 else ' |  |  | '
            lines.append(f'| {start} | {name} | {counted} |')
    return '\n'.join([*lines, ''])


def _with_encoder(cfg: Config, name: str, img_size: int) -> Config:
    cfg = Config(cfg.to_dict())
    cfg.model.backbone.update(name=name, img_size=img_size, init_cfg=None)
    return cfg

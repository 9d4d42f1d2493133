"""The plain segmentor that one dataset's part of a model of several is."""
import copy

from mmseg.registry import MODELS as MMSEG_MODELS

from .dataset_settings import SegmentationSettings

# What test_cfg of mmseg's own segmentor may say, by mode.
MMSEG_TEST_CFG = dict(whole={'mode'}, slide={'mode', 'crop_size', 'stride'})


def merged_config(model: dict, dataset: str) -> dict:
    """Config of the plain segmentor that :func:`s5_mm.checkpoints.segmentor.merge_segmentor` makes weights for.

    Args:
        model: Config of a :class:`s5_mm.MultiDatasetSegmentor` with a :class:`s5_mm.ViTMoE` or a shared encoder.
        dataset: Whose expert, decode head and test protocol.

    Returns:
        Config of an mmseg ``EncoderDecoder``; of :class:`s5_mm.S5EncoderDecoder` if mmseg's lacks the protocol.

    Raises:
        ValueError: It is no such model, or has no such dataset.
    """
    model = copy.deepcopy(dict(model))
    if 'decode_head' not in model:
        raise ValueError(f'The config\'s model is a {model.get("type")} without decode_head; only a '
                         'MultiDatasetSegmentor is merged.')
    if dataset not in model.get('datasets', {}):
        raise ValueError(f'The config\'s model ({model.get("type")}) has no dataset {dataset!r}; its datasets are '
                         f'{list(model.get("datasets", {}))}.')
    settings = SegmentationSettings.from_config(dataset, model['datasets'][dataset])
    test_cfg = dict(mode='whole') | dict(settings.test_cfg or model.get('test_cfg') or {})
    plain = set(test_cfg) <= MMSEG_TEST_CFG.get(test_cfg['mode'], set())
    return dict(
        {key: model[key] for key in ('data_preprocessor', 'neck') if model.get(key)},
        type='EncoderDecoder' if plain else 's5_mm.S5EncoderDecoder',
        backbone=_merged_backbone(model['backbone']),
        decode_head=settings.head_cfg(model['decode_head']),
        train_cfg={},
        test_cfg=test_cfg)


def _merged_backbone(cfg: dict) -> dict:
    kind = MMSEG_MODELS.get(cfg['type']) if isinstance(cfg['type'], str) else cfg['type']
    cfg = kind.merged_config(cfg) if getattr(kind, 'takes_route', False) else cfg
    return {key: value for key, value in cfg.items() if key != 'init_cfg'}

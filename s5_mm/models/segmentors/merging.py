"""The plain segmentor that one dataset's part of a model of several is."""
import copy

from .dataset_settings import SegmentationSettings


def merged_config(model: dict, dataset: str) -> dict:
    """Config of the plain segmentor that :func:`s5_mm.checkpoints.segmentor.merge_segmentor` makes weights for.

    Args:
        model: Config of a :class:`s5_mm.MultiDatasetSegmentor`.
        dataset: Whose expert, decode head and test protocol.

    Returns:
        Config of a :class:`s5_mm.S5EncoderDecoder`.

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
    return dict(
        {key: model[key] for key in ('data_preprocessor', 'neck') if model.get(key)},
        type='s5_mm.S5EncoderDecoder',
        backbone={key: value for key, value in model['backbone'].items() if key != 'init_cfg'},
        decode_head=settings.head_cfg(model['decode_head']),
        train_cfg={},
        test_cfg=dict(mode='whole') | dict(settings.test_cfg or model.get('test_cfg') or {}))

"""What may be tested with a model of several data sets."""
import pytest
import torch

from s5_mm.engine.hooks.checkpoint_fit_hook import check_fit
from s5_mm.registry import MODELS


def test_names_of_wrappers_are_dropped(multi_segmentor):
    model = MODELS.build(multi_segmentor())
    weights = model.state_dict()
    check_fit(model, dict(state_dict=weights))
    check_fit(model, {f'module.{name}': value for name, value in weights.items()})
    with pytest.raises(ValueError, match=r"holds 0\.0% of the parameters of the config's MultiDatasetSegmentor"):
        check_fit(model, dict(state_dict={'a': torch.zeros(1)}))


def test_a_start_is_no_model(multi_segmentor, tiny_segmentor):
    """A dense segmentor brings almost everything, but no classifiers."""
    start = MODELS.build(tiny_segmentor()).state_dict()
    with pytest.raises(ValueError, match=r"holds 99\.\d% .* \['decode_heads.red.conv_seg.weight', .*missing"):
        check_fit(MODELS.build(multi_segmentor()), start)

"""What may be tested with a model of several datasets."""
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
    with pytest.raises(ValueError, match=r'holds 99\.\d% .*: decode_heads.red.conv_seg.weight, .* and others are'):
        check_fit(MODELS.build(multi_segmentor()), start)


def test_a_classifier_of_other_classes_is_noise(multi_segmentor):
    """As a published file with nine classes of a dataset, tested with a config that has eight."""
    theirs = MODELS.build(multi_segmentor(datasets=dict(red=dict(num_classes=9), green=dict(num_classes=4))))
    with pytest.raises(ValueError, match=r'2 parameters have another shape in the checkpoint, e.g. decode_heads.red.'
                       r"conv_seg.weight: \(9, 8, 1, 1\), in the config's MultiDatasetSegmentor \(3, 8, 1, 1\); they"):
        check_fit(MODELS.build(multi_segmentor()), theirs.state_dict(), min_share=0.5)


def test_encoder_only(tiny_segmentor, tiny_vit):
    """mmseg's own segmentor takes no other names; a start without pyramid and head is whole."""
    model = MODELS.build(tiny_segmentor())
    start = {f'backbone.{name}': value for name, value in MODELS.build(tiny_vit()).state_dict().items()
             if not name.startswith('pyramid.')}
    check_fit(model, start, min_share=1.0, encoder_only=True)
    bare = {name.removeprefix('backbone.'): value for name, value in start.items()}
    with pytest.raises(ValueError, match=r"holds 0\.0% of the parameters of the config's EncoderDecoder \(encoder\)"):
        check_fit(model, bare, encoder_only=True)


@pytest.mark.parametrize('encoder_only', [False, True])
def test_reason_is_told(tiny_segmentor, tiny_vit, encoder_only):
    """MMEngine asks hooks before it loads, so they are the first to find out."""
    theirs = MODELS.build(tiny_segmentor(tiny_vit(patch_size=16))).state_dict()
    with pytest.raises(ValueError, match='The file has patches of 16 px, this encoder of 8: set patch_size=16'):
        check_fit(MODELS.build(tiny_segmentor()), theirs, min_share=0.1, encoder_only=encoder_only)

"""Finding the network inside a model."""
import pytest
import torch
from torch import nn

from s5_mm.models.networks import evaluated_network, evaluating, unwrapped
from s5_mm.registry import MODELS


@pytest.fixture
def fixmatch(tiny_segmentor):
    return MODELS.build(dict(type='s5_mm.FixMatchSegmentor', segmentor=tiny_segmentor(), teacher={}))


def test_the_wrapper_of_distributed_training_is_taken_off():
    model = nn.Linear(2, 2)
    assert unwrapped(nn.DataParallel(model)) is unwrapped(model) is model


def test_the_network_that_predicts(fixmatch):
    """Of a semi-supervised model the student, and the teacher once it has been updated; any other model itself."""
    assert evaluated_network(nn.DataParallel(fixmatch)) is fixmatch.segmentor
    fixmatch.teacher.steps += 1
    assert evaluated_network(fixmatch) is fixmatch.teacher.module
    assert evaluated_network(fixmatch.segmentor) is fixmatch.segmentor


@pytest.mark.parametrize('training', [True, False])
def test_the_mode_is_restored(training):
    network = nn.Sequential(nn.Dropout(0.5)).train(training)
    with evaluating(network):
        assert torch.equal(network(torch.ones(100)), torch.ones(100))
    assert network.training is network[0].training is training


def test_the_mode_is_restored_after_an_error():
    network = nn.Linear(1, 1)
    with pytest.raises(KeyError), evaluating(network):
        raise KeyError
    assert network.training

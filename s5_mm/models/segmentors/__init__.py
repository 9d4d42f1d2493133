from .encoder_decoder import S5EncoderDecoder
from .multi_dataset import MultiDatasetSegmentor

__all__ = ['S5EncoderDecoder', 'MultiDatasetSegmentor']

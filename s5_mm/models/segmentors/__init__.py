from .encoder_decoder import EncoderDecoder
from .fixmatch import FixMatchSegmentor
from .multi_dataset import MultiDatasetSegmentor

__all__ = ['EncoderDecoder', 'FixMatchSegmentor', 'MultiDatasetSegmentor']

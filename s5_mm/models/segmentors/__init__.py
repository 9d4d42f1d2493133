from .encoder_decoder import S5EncoderDecoder
from .fixmatch import FixMatchSegmentor
from .multi_dataset import MultiDatasetSegmentor

__all__ = ['S5EncoderDecoder', 'FixMatchSegmentor', 'MultiDatasetSegmentor']

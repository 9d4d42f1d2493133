from .fixmatch import FixMatchSegmentor

__all__ = ['FixMatchSegmentor']

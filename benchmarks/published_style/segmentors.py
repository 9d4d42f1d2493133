"""Encoder, UperNet decoders and classifiers, under the published names."""
from mmseg.models.decode_heads import UPerHead
from torch import Tensor, nn
from torch.nn.functional import interpolate

from .encoder import Encoder


class Decoder(nn.Module):
    """mmseg's UperNet without its classifier, of which one with a single class stays unused."""

    def __init__(self, in_channels: int, channels: int = 256) -> None:
        super().__init__()
        self.decode_head = UPerHead(
            in_channels=[in_channels] * 4, in_index=[0, 1, 2, 3], channels=channels, num_classes=1, out_channels=1,
            norm_cfg=dict(type='BN'))

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Map (B, channels, H / 4, W / 4) of the pyramid."""
        return self.decode_head._forward_feature(maps)


def classifier(num_classes: int, channels: int = 256) -> nn.Sequential:
    """Dropout of whole channels and a linear layer a pixel."""
    return nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(channels, num_classes, 1))


class FixMatchNetwork(nn.Module):
    """The segmentor of S4P.

    Args:
        num_classes: Classes with background.
        arch: Of :class:`Encoder`.
    """

    def __init__(self, num_classes: int = 16, **arch: int) -> None:
        super().__init__()
        self.encoder = Encoder(**arch)
        self.semsegdecoder = Decoder(arch['embed_dims'])
        self.semseghead = classifier(num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K, H, W) of images (B, 3, H, W)."""
        return _full_size(self.semseghead(self.semsegdecoder(self.encoder(images))), images)


class MultiDatasetNetwork(nn.Module):
    """The segmentor of MoE-MDF.

    Args:
        num_classes: Dataset -> number of its classes, in the order of the experts.
        part: Channels of an expert.
        arch: Of :class:`Encoder`.
    """

    def __init__(self, num_classes: dict[str, int], part: int, **arch: int) -> None:
        super().__init__()
        self.encoder = Encoder(part=part, experts=len(num_classes), **arch)
        self.experts = {name: index for index, name in enumerate(num_classes)}
        for name, number in num_classes.items():
            self.add_module(self._decoder_name(name), Decoder(arch['embed_dims']))
            self.add_module(f'semseghead_{name}', classifier(number))

    def _decoder_name(self, dataset: str) -> str:
        """The first dataset's has the name that S4P's has."""
        return f'semsegdecoder_{dataset}' if self.experts[dataset] else 'semsegdecoder'

    def forward(self, images: Tensor, dataset: str) -> Tensor:
        """Logits (B, K, H, W) of images (B, 3, H, W) of one dataset."""
        maps = self.encoder(images, self.experts[dataset])
        features = self.get_submodule(self._decoder_name(dataset))(maps)
        return _full_size(self.get_submodule(f'semseghead_{dataset}')(features), images)


def _full_size(logits: Tensor, images: Tensor) -> Tensor:
    return interpolate(logits, images.shape[2:], mode='bilinear', align_corners=True)

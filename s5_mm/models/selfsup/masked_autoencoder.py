"""MAE: pre-training of a plain ViT on images without labels, as the stage before S4P."""
import torch
from mmpretrain.models import MAE
from mmseg.structures import SegDataSample
from torch import Tensor

from s5_mm.models.backbones.encoder import MEAN, STD
from s5_mm.models.backbones.vit import ARCHS
from s5_mm.registry import MODELS

DECODER = dict(embed_dims=512, num_layers=8, num_heads=16)


@MODELS.register_module()
class MaskedAutoencoder(MAE):
    """Masked autoencoder (arXiv 2111.06377) of mmpretrain, for any bands and for images with pixels without data.

    The encoder sees a quarter of the patches; a small decoder predicts the pixels of the others, normalized in each
    patch. Patches with pixels without data (padding, borders of scenes) do not count. Checkpoints are read by
    ``init_cfg`` of :class:`s5_mm.ViT`, which trains the fixed position table and adds its pyramid.

    Shapes: B images of H x W pixels, square and as large as ``img_size``; L patches.

    Args:
        arch: A name in :data:`s5_mm.models.backbones.vit.ARCHS` or a dict with its keys.
        img_size: Side of the images in pixels, a multiple of ``patch_size``.
        patch_size: Side of a patch in pixels.
        in_channels: Number of bands.
        mask_ratio: Share of patches that the encoder does not see, in (0, 1).
        decoder: ``embed_dims``, ``num_layers`` and ``num_heads`` of the decoder; those that are missing are MAE's (512,
            8, 16).
        norm_pix: Whether the pixels to predict are normalized in each patch.
        data_preprocessor: mmseg's; ``mean`` and ``std`` default to ImageNet's, and are needed for other
            bands.
        init_cfg: MMEngine's initialization.

    Raises:
        ValueError: An option has no meaning.
    """

    def __init__(self,
                 arch: str | dict = 'base',
                 img_size: int = 512,
                 patch_size: int = 16,
                 in_channels: int = 3,
                 mask_ratio: float = 0.75,
                 decoder: dict | None = None,
                 norm_pix: bool = True,
                 data_preprocessor: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        if isinstance(arch, str) and arch not in ARCHS:
            raise ValueError(f'MaskedAutoencoder: arch {arch!r} is unknown; choose from {list(ARCHS)} or give a dict.')
        if img_size % patch_size:
            raise ValueError(f'MaskedAutoencoder: img_size is {img_size}, it must be a multiple of patch_size, '
                             f'{patch_size}.')
        if not 0 < mask_ratio < 1 or int((img_size // patch_size)**2 * (1 - mask_ratio)) < 1:
            raise ValueError(f'MaskedAutoencoder: mask_ratio is {mask_ratio}; it must lie in (0, 1) and leave a patch.')
        sizes = dict(ARCHS[arch] if isinstance(arch, str) else arch)
        sizes.pop('out_indices', None)
        decoder = DECODER | (decoder or {})
        super().__init__(
            backbone=dict(type='mmpretrain.MAEViT', arch=sizes, img_size=img_size, patch_size=patch_size,
                          patch_cfg=dict(in_channels=in_channels), mask_ratio=mask_ratio),
            neck=dict(type='mmpretrain.MAEPretrainDecoder', num_patches=(img_size // patch_size)**2,
                      patch_size=patch_size, in_chans=in_channels, embed_dim=sizes['embed_dims'],
                      decoder_embed_dim=decoder['embed_dims'], decoder_depth=decoder['num_layers'],
                      decoder_num_heads=decoder['num_heads']),
            head=dict(type='mmpretrain.MAEPretrainHead', norm_pix=norm_pix, patch_size=patch_size,
                      in_channels=in_channels,
                      loss=dict(type='mmpretrain.PixelReconstructionLoss', criterion='L2')),
            data_preprocessor=complete(data_preprocessor, in_channels, img_size),
            init_cfg=init_cfg)
        self.patch_size = patch_size

    def loss(self, inputs: Tensor, data_samples: list[SegDataSample]) -> dict[str, Tensor]:
        """Mean squared error of the pixels of the masked patches.

        Args:
            inputs: Normalized images, (B, bands, H, W).
            data_samples: ``gt_sem_seg`` is 0 where there is image, see :class:`s5_mm.UnlabeledMask`.

        Returns:
            ``loss``; 0 for a batch without a masked patch that counts.
        """
        predicted, masked = self.predict_patches(inputs)
        counted = masked * self.whole_patches(data_samples)
        squared = (predicted - self.head.construct_target(inputs)).square().mean(dim=-1)
        return dict(loss=(squared * counted).sum() / counted.sum().clamp(min=1))

    def predict_patches(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mask at random and predict.

        Args:
            inputs: As :meth:`loss` has them.

        Returns:
            Pixels of all patches, (B, L, patch_size^2 * bands), and 1 where a patch was masked, (B, L).
        """
        latent, masked, order = self.backbone(inputs)
        return self.neck(latent, order), masked

    def whole_patches(self, data_samples: list[SegDataSample]) -> Tensor:
        """1 for each patch whose pixels all have data, (B, L)."""
        valid = torch.stack([sample.gt_sem_seg.data for sample in data_samples]) == 0
        return -torch.nn.functional.max_pool2d(-valid.float(), self.patch_size).flatten(1)

    @torch.no_grad()
    def reconstruct(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """What the network makes of images of which it sees a part.

        Args:
            inputs: As :meth:`loss` has them.

        Returns:
            The images with the masked patches gray, and with the predicted ones in their place, both normalized and
            (B, bands, H, W). Brightness and contrast of a predicted patch are those of the image, as they are not
            predicted where ``norm_pix`` is set.
        """
        predicted, masked = self.predict_patches(inputs)
        patches = self.head.patchify(inputs)
        if self.head.norm_pix:
            mean, variance = patches.mean(dim=-1, keepdim=True), patches.var(dim=-1, keepdim=True)
            predicted = predicted * (variance + 1e-6).sqrt() + mean
        masked = masked[..., None].bool()
        return (self.head.unpatchify(patches.masked_fill(masked, 0)),
                self.head.unpatchify(torch.where(masked, predicted, patches)))


def complete(cfg: dict | None, in_channels: int, img_size: int) -> dict:
    """A data preprocessor's config with ImageNet's mean and deviation and the images' size, unless it has its own.

    Args:
        cfg: Not changed; ``None``: mmseg's for RGB.
        in_channels: Number of bands.
        img_size: Side that smaller images are padded to.

    Raises:
        ValueError: They are missing for bands that are not three.
    """
    cfg = dict(type='mmseg.SegDataPreProcessor', bgr_to_rgb=True, pad_val=0, seg_pad_val=255,
               size=(img_size, img_size)) | dict(cfg or {})
    if 'mean' not in cfg:
        if in_channels != len(MEAN):
            raise ValueError(f'MaskedAutoencoder: in_channels is {in_channels}; give data_preprocessor.mean and std of '
                             'these bands.')
        cfg.update(mean=list(MEAN), std=list(STD))
    if in_channels not in (1, 3):
        cfg['type'] = 's5_mm.BandSegDataPreProcessor'
    return cfg

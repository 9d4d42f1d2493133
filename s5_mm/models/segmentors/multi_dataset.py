"""One segmentor for several datasets: MDF and MoE-MDF."""
from collections.abc import Sequence
from functools import partial

from mmengine.model import ModuleDict
from mmseg.models import BaseSegmentor
from mmseg.registry import MODELS as MMSEG_MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from s5_mm.hosts import add_predictions
from s5_mm.models.backbones.asking import complete_head, complete_preprocessor
from s5_mm.models.multi_dataset import MultiDatasetModel
from s5_mm.registry import MODELS
from s5_mm.routing import Route, ground_sample_distance

from .dataset_settings import SegmentationSettings
from .image_metas import image_metas
from .protocols import build_protocol, padded


@MODELS.register_module()
class MultiDatasetSegmentor(MultiDatasetModel, BaseSegmentor):
    """A shared encoder with a decode head for each dataset (MDF of S5, and with ``experts`` MoE-MDF).

    How batches are routed and losses weighted: :class:`s5_mm.models.multi_dataset.MultiDatasetModel`.

    Args:
        backbone: The encoder.
        decode_head: Config of every dataset's decode head, any of mmseg's; the encoder states ``in_channels``.
        datasets: Name -> the fields of :class:`SegmentationSettings`, e.g. ``dict(city=dict(num_classes=5), ...)``.
        experts: ``dict(part_features=P)`` or ``dict(share=...)``, see :class:`s5_mm.models.layers.Experts`; ``None``:
            the encoder is shared entirely.
        neck: Between encoder and heads, shared.
        data_preprocessor: mmseg's; the encoder states ``mean`` and ``std``.
        frozen_except: Datasets whose experts and decode heads alone are trained; empty: everything is.
        train_cfg: Handed to the heads.
        test_cfg: Test protocol of datasets that have none of their own.
        pretrained: Not used; mmseg's ``init_model`` gives it.
        init_cfg: MMEngine's initialization.

    Raises:
        ValueError: A dataset's settings are wrong.
    """

    registry = MMSEG_MODELS
    settings_type = SegmentationSettings
    module_name = 'decode head'

    def __init__(self,
                 backbone: dict,
                 decode_head: dict,
                 datasets: dict[str, dict],
                 experts: dict | None = None,
                 neck: dict | None = None,
                 data_preprocessor: dict | None = None,
                 frozen_except: Sequence[str] = (),
                 train_cfg: dict | None = None,
                 test_cfg: dict | None = None,
                 pretrained: None = None,
                 init_cfg: dict | None = None) -> None:
        encoder = self.build_encoder(backbone, datasets, experts)
        super().__init__(data_preprocessor=complete_preprocessor(data_preprocessor, encoder), init_cfg=init_cfg)
        self.set_up_datasets(encoder, datasets)
        if neck is not None:
            self.neck = MMSEG_MODELS.build(complete_head(neck, encoder))
        behind = encoder if neck is None else None
        self.decode_heads = ModuleDict({
            name: MMSEG_MODELS.build(complete_head(settings.head_cfg(decode_head), behind))
            for name, settings in self.settings.items()})
        self.protocols = {name: build_protocol(settings.test_cfg or test_cfg or {})
                          for name, settings in self.settings.items()}
        self.train_cfg, self.test_cfg = train_cfg, test_cfg
        self.freeze_except(frozen_except)

    def dataset_modules(self) -> nn.ModuleDict:
        """Decode head of each dataset."""
        return self.decode_heads

    def dataset_losses(self, dataset: str, features: list[Tensor],
                       data_samples: list[SegDataSample]) -> dict[str, Tensor]:
        """Unweighted losses of one dataset's decode head, and what it reports."""
        return self.decode_heads[dataset].loss(features, data_samples, self.train_cfg)

    def adapt_weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Copy a decoder that belongs to no dataset to all, without its classifier, whose classes are others.

        Args:
            weights: Of a segmentor of one or several datasets, under the names of this model and ``decode_head.*``.
        """
        shared = {name.removeprefix('decode_head.'): value for name, value in weights.items()
                  if name.startswith('decode_head.') and not name.startswith('decode_head.conv_seg.')}
        copied = {f'decode_heads.{dataset}.{name}': value
                  for dataset in self.datasets for name, value in shared.items()}
        return copied | {name: value for name, value in weights.items() if not name.startswith('decode_head.')}

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits (B, K, H, W) of images (B, 3, H, W) of one dataset.

        Raises:
            ValueError: The images are of several datasets, or of an unknown one.
        """
        route = self._route([SegDataSample(metainfo=meta) for meta in batch_img_metas])
        if len(route.names) > 1:
            raise ValueError(f'MultiDatasetSegmentor: images of {list(route.names)} have no common classes; give those '
                             'of one dataset, or use predict().')
        return self._logits(inputs, dataset=route.names[0])

    def _logits(self, images: Tensor, dataset: str, gsd: float | None = None) -> Tensor:
        told = None if gsd is None else (gsd, ) * len(images)
        features = self.extract_feat(images, Route((dataset, ), (len(images), ), None, told))
        return self.decode_heads[dataset].predict(features, image_metas(images), self.test_cfg)

    def predict(self, inputs: Tensor, data_samples: list[SegDataSample] | None = None) -> list[SegDataSample]:
        """Predict each dataset's images by its own protocol.

        Args:
            inputs: Normalized and padded images, (B, 3, H, W).
            data_samples: Theirs, with ``dataset_name``.

        Returns:
            The samples, with ``pred_sem_seg`` and ``seg_logits`` (the protocol's scores) at the original size.
        """
        route = self._route(data_samples)
        samples = route.split(data_samples)
        for name, images in route.split(inputs).items():
            # Windows of a protocol do not tell which image they are of: one ground sample distance at a time.
            told = [ground_sample_distance(sample.metainfo) for sample in samples[name]]
            for gsd in dict.fromkeys(told):
                chosen = [i for i, one in enumerate(told) if one == gsd]
                self._predict_alike(name, gsd, images[chosen], [samples[name][i] for i in chosen])
        return data_samples

    def _predict_alike(self, dataset: str, gsd: float | None, images: Tensor, samples: list[SegDataSample]) -> None:
        """Add predictions to samples of one dataset whose images have the same ground sample distance."""
        logits_of = padded(partial(self._logits, dataset=dataset, gsd=gsd), getattr(self.backbone, 'divisor', 1))
        scores = self.protocols[dataset](logits_of, images, [sample.metainfo for sample in samples])
        add_predictions(self.decode_heads[dataset], scores, samples)

    def _forward(self, inputs: Tensor, data_samples: list[SegDataSample] | None = None) -> dict[str, Tensor]:
        """What the heads give, by dataset."""
        route = self._route(data_samples)
        return {name: self.decode_heads[name](features) for name, features in self._features(inputs, route).items()}

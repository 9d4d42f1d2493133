"""DOTA, whole images or patches, as written by ``data_prep/dota.py``."""
import os
import os.path as osp

from mmrotate import datasets as mmrotate_datasets

from s5_mm.registry import DATASETS

from .rotated import RotatedDataset
from .rotated_files import read_dota_text


@DATASETS.register_module()
class S5DOTADataset(RotatedDataset, mmrotate_datasets.DOTADataset):
    """DOTA, with the classes of a version in the order of mmrotate's datasets.

    ``ann_file`` is the folder of the label files; each of them adds the image of the same name. With ``''`` the dataset
    has all images of ``data_prefix=dict(img_path=...)``, without labels. Images are sorted by name.

    Args:
        version (str): ``'v1.0'`` (15 classes), ``'v1.5'`` (16) or ``'v2.0'`` (18).
        strict (bool): See :class:`RotatedDataset`; the label files of a version hold no other classes.
        img_suffix (str): Suffix of the images without its dot.
        **kwargs: Arguments of :class:`RotatedDataset`.

    Raises:
        ValueError: The version is unknown; see also :class:`RotatedDataset`.
    """

    METAINFO = mmrotate_datasets.DOTAv2Dataset.METAINFO
    VERSIONS = {
        'v1.0': mmrotate_datasets.DOTADataset.METAINFO,
        'v1.5': mmrotate_datasets.DOTAv15Dataset.METAINFO,
        'v2.0': mmrotate_datasets.DOTAv2Dataset.METAINFO,
    }

    def __init__(self, version: str = 'v2.0', strict: bool = True, img_suffix: str = 'png',
                 metainfo: dict | None = None, **kwargs) -> None:
        if version not in self.VERSIONS:
            raise ValueError(f'`version` of S5DOTADataset is {version!r}; choose from {", ".join(self.VERSIONS)}')
        self.version = version
        super().__init__(strict=strict, img_suffix=img_suffix, metainfo={**self.VERSIONS[version], **(metainfo or {})},
                         **kwargs)

    def read_data_list(self) -> list[dict]:
        """List the label files, or the images of a set without labels."""
        images = self.data_prefix['img_path']
        folder, suffix = (self.ann_file, '.txt') if self.ann_file else (images, f'.{self.img_suffix}')
        if not osp.isdir(folder):
            raise FileNotFoundError(f'directory {folder} does not exist (data_root={self.data_root!r}); correct the '
                                    'config or prepare the data')
        names = sorted(name.removesuffix(suffix) for name in os.listdir(folder) if name.endswith(suffix))
        return [self._info(name, osp.join(images, f'{name}.{self.img_suffix}')) for name in names]

    def _info(self, name: str, image: str) -> dict:
        path = osp.join(self.ann_file, f'{name}.txt')
        instances = self.instances_of(path, read_dota_text(path)) if self.ann_file else []
        return dict(img_id=name, file_name=osp.basename(image), img_path=image, instances=instances)

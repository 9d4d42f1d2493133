"""DIOR-R as written by ``data_prep/dior_r.py``, which is the official layout."""
from mmengine.fileio import list_from_file
from mmrotate.datasets import DIORDataset

from s5_mm.registry import DATASETS

from .rotated import RotatedDataset
from .rotated_files import read_dior_xml


@DATASETS.register_module()
class DIORRDataset(RotatedDataset, DIORDataset):
    """DIOR-R, 20 classes in the order of mmrotate's ``DIORDataset``.

    ``ann_file`` is a list of names (``ImageSets/Main/trainval.txt``), ``data_prefix=dict(img_path=...)`` the folder of
    their ``.jpg`` images, ``ann_subdir`` that of the XML files. Names of classes are compared in lower case. Objects of
    unknown classes are left out, as published, and counted. The other options are those of :class:`RotatedDataset`.
    """

    def read_data_list(self) -> list[dict]:
        """Read the list of names and the XML file of each name."""
        raised = [name for name in self.metainfo['classes'] if name != name.lower()]
        if raised:
            raise ValueError(f'DIORRDataset: the class {raised[0]!r} matches no object, since names in label files are '
                             f'read in lower case; write {raised[0].lower()!r} in metainfo.classes')
        names = [name.strip() for name in list_from_file(self.ann_file, backend_args=self.backend_args)]
        twice = len(names) - len(set(names))
        if twice or '' in names:
            raise ValueError(f'{self.ann_file} has empty lines or {twice} duplicate names; give one name a line')
        return DIORDataset.load_data_list(self)

    def parse_data_info(self, img_info: dict) -> dict:
        """Read one XML file."""
        size, objects = read_dior_xml(img_info['xml_path'], self.backend_args)
        info = dict(img_path=f'{self.data_prefix["img_path"]}/{img_info["file_name"]}', img_id=img_info['img_id'],
                    xml_path=img_info['xml_path'], instances=self.instances_of(img_info['xml_path'], objects))
        return info if size is None else dict(info, height=size[0], width=size[1])

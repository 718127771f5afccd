"""Building a pose model from its settings: mmpose's own builder, strict weights, ready for inference."""

import copy
import warnings
from pathlib import Path
from typing import Any, TypeAlias

import torch
from mmengine.config import Config

from extraction.zoo.checkpoint import load_weights
from extraction.zoo.mmpose_compat import import_mmpose, mmpose_scope
from extraction.zoo.weights import DEFAULT_CACHE, PoseModelSettings, find_config, locate

PoseModel: TypeAlias = Any
"""A `torch.nn.Module` of mmpose, whose parts (`backbone`, `head`, `data_preprocessor`, ...) exist at run time only."""


def build(config: Config) -> PoseModel:
    """An untrained model from an mmpose config, on the CPU, with `cfg` and `dataset_meta` as mmpose's APIs expect.

    `dataset_meta` (joint names, flip indices) comes from the config's data sets, else it is COCO's, as in mmpose.
    """
    import_mmpose()
    from mmpose.apis.inference import dataset_meta_from_config
    from mmpose.datasets.datasets.utils import parse_pose_metainfo
    from mmpose.models.builder import build_pose_estimator

    config = copy.deepcopy(config)
    config.model.train_cfg = None
    with mmpose_scope():
        model = build_pose_estimator(_for_inference(config.model))
    model.cfg = config
    with warnings.catch_warnings():
        # says that it found the shipped file under a path relative to mmpose's configs, which is what is meant
        warnings.filterwarnings("ignore", message="The metainfo config file")
        meta = dataset_meta_from_config(config, "train") or dataset_meta_from_config(config, "test")
        model.dataset_meta = meta or parse_pose_metainfo({"from_file": "configs/_base_/datasets/coco.py"})
    return model.eval()


def _for_inference(node: Any) -> Any:
    """The same model config for one process without mmdet.

    SyncBN computes what BN does in inference but wants a GPU; mmpose has its own copy of mmdet's CSPNeXt.
    """
    if isinstance(node, dict):
        kept = {key: value for key, value in node.items() if (key, value) != ("_scope_", "mmdet")}
        if kept.get("type") == "SyncBN":
            kept["type"] = "BN"
        return type(node)({key: _for_inference(value) for key, value in kept.items()})
    if isinstance(node, list | tuple):
        return type(node)(_for_inference(value) for value in node)
    return node


def load(settings: PoseModelSettings, cache: Path = DEFAULT_CACHE, device: str | torch.device = "cpu") -> PoseModel:
    """The trained model that the settings name, in eval mode on `device`.

    Raises:
        WeightsError: config or weights are missing, damaged, or do not fit each other.
    """
    model = build(Config.fromfile(find_config(settings.config)))
    load_weights(model, locate(settings, cache))
    return model.to(device)

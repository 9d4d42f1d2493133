"""Scene types of the labeled images: K-Means prototypes of the encoder's features (S5, arXiv 2508.12409)."""
import io
import json
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor
from torch.nn import functional as F

from s5_mm.files import write_bytes

DEFAULT_NUM_CLUSTERS = 16
"""The paper does not say M; as many as iSAID has classes, background counted."""
MINI_BATCH_ABOVE = 50_000
SILHOUETTE_SAMPLES = 5_000


class Prototypes(NamedTuple):
    """Centers of the labeled images' clusters.

    Attributes:
        centers: (M, C), fp32, of unit length.
        counts: (M,), int64, N_m: labeled samples that are nearest to each.
        model: Id of the model that made the features; features of another one do not compare. Empty: not recorded.
    """

    centers: np.ndarray
    counts: np.ndarray
    model: str = ''


class Proposal(NamedTuple):
    """A number of clusters and why.

    Attributes:
        num_clusters: The candidate of highest silhouette; the smallest of equals.
        scores: Candidate -> mean cosine silhouette, -1 ... 1.
    """

    num_clusters: int
    scores: dict[int, float]


def image_features(maps: Sequence[Tensor], valid: Tensor | None = None) -> Tensor:
    """One vector an image: the spatial mean of the encoder's last map.

    The last map is the deepest output of any backbone. Of :class:`s5_mm.ViT` it is the coarsest level of the pyramid,
    the 2x2 max pool of the last block's tokens, which has no weights of its own; the levels before come from earlier
    blocks (their x1 level is block 7 of 12 in ViT-B) or through deconvolutions made for the decoder.

    Args:
        maps: Outputs of the encoder, the last of which, (B, C, h, w), is used.
        valid: (B, H, W), bool, pixels of the image; cells of the map count by their share of them, so padding does not.
            ``None``: all.

    Returns:
        (B, C), fp32.
    """
    last = maps[-1].float()
    if valid is None:
        return last.mean(dim=(2, 3))
    weight = F.adaptive_avg_pool2d(valid[:, None].float(), last.shape[2:])
    return (last * weight).sum(dim=(2, 3)) / weight.sum(dim=(2, 3))


def fit_prototypes(features: np.ndarray, num_clusters: int = DEFAULT_NUM_CLUSTERS, seed: int = 0,
                   model: str = '') -> Prototypes:
    """Cluster features of labeled images by direction.

    K-Means on features of unit length, where the Euclidean distance is a function of the cosine; mini-batch K-Means
    above 50,000 samples. Samples are counted at the center of highest cosine, as unlabeled images are.

    Args:
        features: (N, C), see :func:`image_features`.
        num_clusters: M, 1 ... N.
        seed: Same seed, same prototypes.
        model: Id of the model that the features come from.

    Raises:
        ValueError: Fewer samples than clusters, or a feature that is not finite or zero.
    """
    features = _unit(features)
    if not 1 <= num_clusters <= len(features):
        raise ValueError(f'num_clusters is {num_clusters}; it must be 1..{len(features)}, the number of labeled images')
    fitted = _k_means(features, num_clusters, seed)
    centers = _unit(fitted.cluster_centers_)
    nearest = (features @ centers.T).argmax(axis=1)
    return Prototypes(centers, np.bincount(nearest, minlength=num_clusters), model)


def propose_num_clusters(features: np.ndarray, candidates: Iterable[int] = (4, 8, 16, 32, 64),
                         seed: int = 0) -> Proposal:
    """Choose M by the mean silhouette, on cosine distances of at most 5,000 samples.

    Args:
        features: (N, C).
        candidates: Numbers to try; those outside of 2 ... N-1 are skipped.
        seed: Seed of clustering and sampling.

    Raises:
        ValueError: No candidate is possible, or see :func:`fit_prototypes`.
    """
    from sklearn.metrics import silhouette_score  # a second to import, which training should not pay

    features = _unit(features)
    possible = sorted({m for m in candidates if 2 <= m < len(features)})
    if not possible:
        raise ValueError(f'none of the candidates is 2..{len(features) - 1}, below the number of labeled images')
    scores = {}
    for m in possible:
        labels = _k_means(features, m, seed).labels_
        chosen = np.random.default_rng(seed).permutation(len(features))[:SILHOUETTE_SAMPLES]
        found = len(np.unique(labels[chosen]))
        # Fewer distinct images than clusters leave nothing to compare.
        scores[m] = float(silhouette_score(features[chosen], labels[chosen], metric='cosine')) \
            if 2 <= found < len(chosen) else -1.0
    return Proposal(max(possible, key=lambda m: (scores[m], -m)), scores)


def assign(features: Tensor, prototypes: Prototypes) -> tuple[Tensor, Tensor]:
    """The prototype of highest cosine similarity.

    Args:
        features: (B, C).
        prototypes: Prototypes of the same model.

    Returns:
        Cluster (B,), int64, 0 ... M-1, and cosine similarity (B,), fp32.

    Raises:
        ValueError: Features and centers differ in length.
    """
    centers = torch.as_tensor(prototypes.centers, device=features.device)
    if features.shape[1] != centers.shape[1]:
        raise ValueError(f'features have {features.shape[1]} channels, the prototypes {centers.shape[1]}; fit '
                         'prototypes with the model that scores')
    with torch.autocast(features.device.type, enabled=False):
        similarity, cluster = (F.normalize(features.float(), dim=1) @ centers.T).max(dim=1)
    return cluster, similarity


def save_prototypes(path: Path | str, prototypes: Prototypes) -> None:
    """Write prototypes as ``.npz``, completely or not at all.

    Args:
        path: File to write.
        prototypes: What to write.
    """
    content = io.BytesIO()
    np.savez(content, centers=prototypes.centers, counts=prototypes.counts,
             about=np.frombuffer(json.dumps({'model': prototypes.model}).encode(), dtype=np.uint8))
    write_bytes(Path(path), content.getvalue())


def load_prototypes(path: Path | str) -> Prototypes:
    """Read what :func:`save_prototypes` has written; nothing is unpickled.

    Args:
        path: File to read.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            centers, counts, about = (content[name] for name in ('centers', 'counts', 'about'))
        model = json.loads(about.tobytes())['model']
    except FileNotFoundError:
        raise FileNotFoundError(f'prototypes {path} are not there; make them with `curate.py prototypes`') from None
    except Exception as error:  # NumPy and zipfile raise a dozen types on damaged files
        raise ValueError(f'{path} holds no prototypes ({error}); make them with `curate.py prototypes`') from error
    if centers.ndim != 2 or counts.shape != centers.shape[:1]:
        raise ValueError(f'{path} holds no prototypes: centers {centers.shape} and counts {counts.shape} do not fit '
                         'each other; make them with `curate.py prototypes`')
    return Prototypes(centers.astype(np.float32), counts.astype(np.int64), str(model))


def _unit(features: np.ndarray) -> np.ndarray:
    features = np.asarray(features, dtype=np.float32)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    wrong = ~np.isfinite(lengths) | (lengths == 0)
    if wrong.any():
        raise ValueError(f'{int(wrong.sum())} of {len(features)} features have no direction (not finite, or all '
                         f'zeros), the first at row {int(wrong.argmax())}; look at the model and its input')
    return features / lengths


def _k_means(features: np.ndarray, num_clusters: int, seed: int):  # noqa: ANN202  a scikit-learn estimator
    from sklearn.cluster import KMeans, MiniBatchKMeans  # see propose_num_clusters
    from threadpoolctl import threadpool_limits

    kind = KMeans if len(features) <= MINI_BATCH_ABOVE else partial(MiniBatchKMeans, batch_size=4096)
    print_log(f'K-Means: {num_clusters} clusters of {len(features):,} images', 'current')
    # Sums of several threads differ in the last bits, and scores hold for the very prototypes they were made with.
    with threadpool_limits(1):
        return kind(num_clusters, n_init=5, random_state=seed).fit(features)

"""Read images of a batch at other places: crops that are resized, and affine maps, each image by its own."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def crop_resized(x: Tensor, boxes: np.ndarray) -> Tensor:
    """The box (top, left, height, width) of each image of x (B, C, H, W), resized to H x W, bilinear: float32.

    A box within the image is never larger than the result, so antialiasing would change nothing. Pixels beside the box
    count at its edges, as in Pillow's `resize(box=...)`. boxes (B, 4).
    """
    H, W = x.shape[2:]
    top, left, height, width = (torch.from_numpy(edge.astype(np.float32)).to(x.device)[:, None] for edge in boxes.T)
    ys = top + height * ((torch.arange(H, device=x.device) + 0.5) / H)  # (B, H)
    xs = left + width * ((torch.arange(W, device=x.device) + 0.5) / W)  # (B, W)
    return sample(x.float(), xs[:, None, :], ys[:, :, None])


def affine(x: Tensor, maps: np.ndarray) -> Tensor:
    """Each image of x (B, C, H, W), float, read at (a X + b Y + c, d X + e Y + f); black beyond its edges.

    X and Y are pixel centers, 0.5 to W - 0.5 and H - 0.5: the convention of Pillow's `transform(AFFINE)`, bilinear.
    maps (B, 6): a to f.
    """
    H, W = x.shape[2:]
    a, b, c, d, e, f = (torch.from_numpy(value.astype(np.float32)).to(x.device)[:, None, None] for value in maps.T)
    Y = (torch.arange(H, device=x.device) + 0.5)[:, None]
    X = torch.arange(W, device=x.device) + 0.5
    xs, ys = a * X + b * Y + c, d * X + e * Y + f
    inside = ((xs - W / 2).abs_() <= W / 2) & ((ys - H / 2).abs_() <= H / 2)
    return sample(x, xs, ys).mul_(inside[:, None])


def sample(x: Tensor, xs: Tensor, ys: Tensor) -> Tensor:
    """x (B, C, H, W), float, at the places xs and ys, which broadcast to (B, H', W'), bilinear.

    A pixel's center lies at its index + 0.5; beyond the centers of the outer pixels, these continue.
    """
    H, W = x.shape[2:]
    # Clamped by hand: on MPS, grid_sample knows no other padding than zeros.
    xs, ys = xs.clamp(0.5, W - 0.5).mul_(2 / W).sub_(1), ys.clamp(0.5, H - 0.5).mul_(2 / H).sub_(1)
    grid = torch.stack(torch.broadcast_tensors(xs, ys), dim=-1)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

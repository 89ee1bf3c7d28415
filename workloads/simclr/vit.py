"""A vision transformer as an encoder (Dosovitskiy et al. 2020), ViT-S/16 unless asked otherwise.

Shapes: images [B, 3, H, W], tokens [B, T, D] of T = 1 + (H / patch) (W / patch), features [B, D].

Pre-norm blocks and names are timm's, so that weights go from `vit_small_patch16_224` and back but
for the positions, which here are fixed sines and cosines of both coordinates (MoCo v3,
arXiv 2104.02057): they fit images of every size that the patches divide.
"""

import math

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from workloads.spec import Part

__all__ = ["VisionTransformer", "VisionTransformerOptions", "positions"]


class VisionTransformerOptions(Part):
    """The sizes of a vision transformer; by default those of ViT-S/16."""

    patch_size: int = Field(16, ge=1, description="side of a patch; small images need a small one")
    depth: int = Field(12, ge=1, description="number of blocks")
    width: int = Field(384, ge=4, multiple_of=4, description="of a token, and of the features")
    heads: int = Field(6, ge=1, description="of attention, each of width / heads")
    mlp_ratio: float = Field(4.0, gt=0, description="hidden width of a block's MLP over its width")


class VisionTransformer(nn.Module):
    """Patches, a class token, blocks of attention; the features are the class token's."""

    def __init__(self, options: VisionTransformerOptions) -> None:
        super().__init__()
        width = options.width
        if width % options.heads:
            raise ValueError(f"width={width} is not divisible by heads={options.heads}")
        self.patch_size, self.feature_dim = options.patch_size, width
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, width, self.patch_size, stride=self.patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        hidden = round(width * options.mlp_ratio)
        self.blocks = nn.Sequential(
            *(_Block(width, options.heads, hidden) for _ in range(options.depth))
        )
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self._initialize()

    def forward(self, images: Tensor) -> Tensor:
        """Map images [B, 3, H, W] to the class token's features [B, D].

        Raises ValueError for sides that are no multiples of a patch.
        """
        height, width = images.shape[-2:]
        if height % self.patch_size or width % self.patch_size:
            raise ValueError(
                f"images of {height} x {width} do not divide into patches of "
                f"patch_size={self.patch_size}"
            )
        grid = self.patch_embed.proj(images)  # type: ignore[operator]
        rows, columns = grid.shape[-2:]
        patches = grid.flatten(2).transpose(1, 2)
        patches = patches + positions(rows, columns, self.feature_dim).to(patches)
        # the number of images from the shape: len() would be fixed in what is exported
        first = self.cls_token.expand(patches.shape[0], -1, -1).to(patches)
        tokens = torch.cat([first, patches], 1)
        features: Tensor = self.norm(self.blocks(tokens)[:, 0])
        return features

    def timm_state(self, side: int) -> dict[str, Tensor]:
        """Return the weights under timm's names, with positions for square images of this side."""
        count = side // self.patch_size
        places = positions(count, count, self.feature_dim)
        of_class = torch.zeros(1, self.feature_dim)
        return {**self.state_dict(), "pos_embed": torch.cat([of_class, places])[None]}

    def _initialize(self) -> None:
        """Draw weights as MoCo v3 does: Glorot's, with query, key and value apart."""
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
        for block in self.blocks:
            assert isinstance(block, _Block)
            bound = math.sqrt(6 / (2 * self.feature_dim))
            nn.init.uniform_(block.attn.qkv.weight, -bound, bound)
        proj = self.patch_embed.proj
        assert isinstance(proj, nn.Conv2d)
        bound = math.sqrt(6 / (proj.weight[0].numel() + self.feature_dim))
        nn.init.uniform_(proj.weight, -bound, bound)
        assert proj.bias is not None
        nn.init.zeros_(proj.bias)
        nn.init.normal_(self.cls_token, std=1e-6)


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        batch, count, width = tokens.shape
        parts = self.qkv(tokens).view(batch, count, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind()
        mixed = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(batch, count, width))
        return out


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = _Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Module()
        self.mlp.fc1 = nn.Linear(width, hidden)
        self.mlp.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attn(self.norm1(tokens))
        hidden = F.gelu(self.mlp.fc1(self.norm2(tokens)))  # type: ignore[operator]
        out: Tensor = tokens + self.mlp.fc2(hidden)  # type: ignore[operator]
        return out


def positions(rows: int, columns: int, width: int) -> Tensor:
    """Return the fixed positions of a grid's patches, row by row, [rows * columns, width].

    A quarter each: sine and cosine of the column, sine and cosine of the row.
    """
    frequencies = 10000.0 ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    row, column = torch.meshgrid(
        torch.arange(rows, dtype=torch.float64),
        torch.arange(columns, dtype=torch.float64),
        indexing="ij",
    )
    angles = [place.reshape(-1, 1) * frequencies for place in (column, row)]
    parts = [wave(angle) for angle in angles for wave in (torch.sin, torch.cos)]
    return torch.cat(parts, dim=1).to(torch.float32)

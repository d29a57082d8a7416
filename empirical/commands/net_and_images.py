"""The options that name a net and images, as `relstab measure` takes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["NetAndImages"]

_IMAGES = 500


@dataclass(frozen=True)
class NetAndImages:
    """A net, its weights, and the images that it is shown."""

    model: str
    """package.module:factory; the name of one of relstab's architectures (relstab nets lists them); timm:NAME,
    torchvision:NAME; hf:FOLDER, as transformers saves nets; or a file, .onnx, .pt2 (torch.export) or TorchScript. Of a
    factory's parameters those named channels, size (of the images) and classes are given, if the data tell."""
    data: str
    """A folder of images (folders in it are classes; test/ or val/ is taken if there), an .npz file with images and
    maybe labels, an .npy file, or a data set."""
    model_args: tuple[str, ...] = ()
    """Keyword arguments of the factory or the library: depth=20 act=relu."""
    output_key: str | None = None
    """Which of a net's outputs is measured, by name or place, if it has several and none is called logits."""
    weights: Path | None = None
    """State dict: .safetensors, or torch's format holding tensors alone. Without, the net as it is made. Those that
    relstab train and sweep keep hold the normalisation too."""
    weights_key: str | None = None
    """Key in the file of weights under which the state dict stands, or its place in a list."""
    not_strict: bool = False
    """Load what fits, and say which keys did not."""
    data_folder: Path | None = None
    """Folder of the named data sets; the environment variable RELSTAB_DATA otherwise."""
    image_size: int | None = None
    """Resize the images' shorter side to this."""
    crop: int | None = None
    """Side of the square that is kept at the centre; all by default."""
    images: int | None = None
    """Probe images, the first of the data: 500 by default."""
    test_images: int | None = None
    """Images that the test error is over, the first of the data; 0 leaves it out. All by default."""
    mean: tuple[float, ...] = ()
    """Of each channel, subtracted; with std."""
    std: tuple[float, ...] = ()
    """Of each channel, divided by; with mean."""
    dtype: str = "float32"
    """Numbers that the net computes with: float32, float64, float16 or bfloat16."""
    seed: int = 0
    """Draws the net's start, diffeomorphisms and noise."""

    @property
    def probe_images(self) -> int:
        """How many images are asked for."""
        return _IMAGES if self.images is None else self.images

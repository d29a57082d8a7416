"""The learning rates of the fast recipe: errors on a held-out fifth of the training set, never on the test set.

    python -m paper.scripts.learning_rates DATA

writes `paper/data/learning_rates.csv`. DATA holds cifar10-jpeg/{train,test}/CLASS/*.jpg; the test images are not
looked at. Of 10240 training images 8192 are trained on, for 6 epochs. Two nets without batch norm, two with it, and
airbench by Muon, each at five rates, of one seed; nets that diverge have no error.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from empirical.data.named_sets import load_data, training_subset
from empirical.nets.airbench import show_training_images
from empirical.nets.architectures import build
from empirical.nets.evaluation import classification_error
from empirical.nets.normalised import Normalised
from empirical.nets.seeding import seeded
from empirical.training.config import ImageConfig
from empirical.training.descent import Descent
from paper.scripts.stripe_flow import DATA
from theory import InputError
from theory.common.files import write_whole

RATES = {
    "lenet": (0.01, 0.02, 0.04, 0.08, 0.16),
    "vgg-small": (0.01, 0.02, 0.04, 0.08, 0.16),
    "resnet-small": (0.05, 0.1, 0.2, 0.4, 0.8),
    "vgg-small-bn": (0.05, 0.1, 0.2, 0.4, 0.8),
    "airbench": (0.03, 0.06, 0.12, 0.24, 0.48),
}
BATCH_SIZES = (128,)
_IMAGES, _HELD = 10240, 0.2


def held_out_error(architecture: str, rate: float, batch_size: int, folder: Path, epochs: int = 6) -> float:
    """The error of the last epoch's weights on the part that was not trained on; NaN if the loss was not finite."""
    config = ImageConfig(
        dataset="images:cifar10-jpeg", architecture=architecture, train_size=_IMAGES, epochs=epochs, min_steps=0,
        batch_size=batch_size, learning_rate=rate, recipe="fast", augmentation="crop-flip", precision="auto",
        weights="best", held_out=_HELD,
    )  # fmt: skip
    data = load_data(config.dataset, folder)
    images, labels = training_subset(data, config.train_size, 0)
    std, mean = torch.std_mean(images.float() / 255, dim=(0, 2, 3))
    model = Normalised(build(architecture, data.channels, data.size, len(data.classes), 0), mean, std)
    model.to(memory_format=torch.channels_last)
    show_training_images(model.net, (images.float() / 255 - mean.view(-1, 1, 1)) / std.view(-1, 1, 1))
    with seeded(0):
        descent = Descent(config, model, images, labels, torch.Generator().manual_seed(0))
        try:
            for _ in descent.epochs(None):
                pass
        except InputError:
            return float("nan")
    return classification_error(model, *descent.held)


def main() -> None:
    parser = argparse.ArgumentParser(description="Learning rates of the fast recipe; see the docstring.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--nets", nargs="+", default=list(RATES), choices=list(RATES))
    options = parser.parse_args()
    torch.set_num_threads(1)
    target = DATA / "learning_rates.csv"
    rows = []
    for architecture in options.nets:
        for rate in RATES[architecture]:
            error = held_out_error(architecture, rate, 128, options.data)
            rows.append({"architecture": architecture, "learning_rate": rate, "held_out_error": error})
            print(f"{architecture:14} {rate:6g} {error:.4f}", flush=True)
    text = pd.DataFrame(rows).to_csv(index=False, float_format="%.4g", lineterminator="\n")
    write_whole(target, lambda aside: aside.write_text("# python -m paper.scripts.learning_rates DATA\n" + text))
    print(f"wrote {target.name}: {np.isfinite([row['held_out_error'] for row in rows]).sum()} of {len(rows)} trained")


if __name__ == "__main__":
    main()

"""The learning rates of the fast recipe: errors on a held-out fifth of training images, never on the test set.

    python -m paper.scripts.learning_rates DATA

writes `paper/data/learning_rates.csv`, doing what is not yet in it. DATA holds cifar10-jpeg/{train,test}/CLASS/*.jpg;
the test images are not looked at. Of 10240 training images 8192 are trained on, in batches of 128. Two nets without
batch norm and two with it for 6 epochs, airbench by Muon for 3, one seed; nets whose loss is not finite have no error.
"""

from __future__ import annotations

import argparse
from pathlib import Path

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

_PLAIN, _NORMED = (0.04, 0.08, 0.16), (0.1, 0.2, 0.4)
RATES = {
    "vgg-small-bn": _NORMED, "lenet": _PLAIN, "vgg-small": _PLAIN, "resnet-small": _NORMED,
    "airbench": (0.06, 0.12, 0.24),
}  # fmt: skip
EPOCHS = {name: 3 if name == "airbench" else 6 for name in RATES}
_IMAGES, _HELD, _BATCH = 10240, 0.2, 128
_TABLE = DATA / "learning_rates.csv"


def held_out_error(architecture: str, rate: float, folder: Path) -> float:
    """The error of the last epoch's weights on the part that was not trained on; NaN if the loss was not finite."""
    config = ImageConfig(
        dataset="images:cifar10-jpeg", architecture=architecture, train_size=_IMAGES, epochs=EPOCHS[architecture],
        min_steps=0, batch_size=_BATCH, learning_rate=rate, recipe="fast", augmentation="crop-flip", precision="auto",
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
    options = parser.parse_args()
    torch.set_num_threads(1)
    names = ["architecture", "learning_rate", "epochs", "held_out_error"]
    table = pd.read_csv(_TABLE, comment="#") if _TABLE.is_file() else pd.DataFrame(columns=names)
    done = set(zip(table["architecture"], table["learning_rate"], strict=True))
    for architecture, rates in RATES.items():
        for rate in rates:
            if (architecture, rate) in done:
                continue
            error = held_out_error(architecture, rate, options.data)
            table.loc[len(table)] = [architecture, rate, EPOCHS[architecture], error]
            text = table.to_csv(index=False, float_format="%.4g", lineterminator="\n")
            first = "# python -m paper.scripts.learning_rates DATA\n"
            write_whole(_TABLE, lambda aside, text=first + text: aside.write_text(text))  # type: ignore[misc]
            print(f"{architecture:14} {rate:6g} {error:.4f}", flush=True)


if __name__ == "__main__":
    main()

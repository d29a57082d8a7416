"""R_f along the trainings of Lightning and transformers, and that these do not notice."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from empirical import draw_probes, measure_probes  # noqa: E402
from empirical.integrations import StabilityAlongTraining, log_stability  # noqa: E402
from theory import InputError  # noqa: E402

NAMES = {f"relstab/{name}_f{end}" for name in "RDG" for end in ("", "_low", "_high")}


def images(count: int = 24) -> Any:
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(0))


class Noisy(nn.Module):
    """Draws in eval mode, too, from every generator that there is."""

    def forward(self, x: Any) -> Any:
        return x + 0.01 * torch.randn_like(x) + 1e-3 * random.random() + 1e-3 * float(np.random.rand())  # noqa: NPY002


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), Noisy(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(144, 3)
    )


def states() -> list[Any]:
    return [torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()]  # type: ignore[index]  # noqa: NPY002


def test_the_values_are_those_of_the_probes_and_nothing_changes() -> None:
    model = net()[:3].append(nn.Flatten()).append(nn.Linear(144, 3))
    model.train()
    model[1].eval()  # one module in another mode
    before, weights = states(), {name: value.clone() for name, value in model.state_dict().items()}
    found = StabilityAlongTraining(images(), cutoff=2, displacement=0.5, layers=["0", "4"], seed=3).log(model)
    probes = draw_probes(images(), cutoff=2, displacement=0.5, rng=3)
    right = measure_probes(model, probes, rng=3)
    assert found["relstab/R_f"] == right.relative.value
    assert found["relstab/D_f_low"] == right.diffeo.low
    assert found["relstab/layers/4/R_k"] == pytest.approx(found["relstab/R_f"], rel=1e-5)
    assert {name for name in found if "layers" not in name} == NAMES
    assert [module.training for module in model] == [True, False, True, True, True]
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert states()[1:] == before[1:]
    assert log_stability(model, images(), cutoff=2, displacement=0.5, layers=["0", "4"], seed=3) == found


def test_random_states_stay_where_the_net_draws() -> None:
    model, stability = net(), StabilityAlongTraining(images(), cutoff=2, displacement=0.5)
    before = states()
    stability.log(model)
    after = states()
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]
    with torch.no_grad():
        model(images())  # control: the net itself moves them
    assert not torch.equal(before[0], states()[0])


def test_what_cannot_be_measured_is_told_before_the_training_and_nothing_changes() -> None:
    model = net()
    before, weights = states(), {name: value.clone() for name, value in model.state_dict().items()}
    setting = {"cutoff": 2, "displacement": 0.5}
    StabilityAlongTraining(images(), layers=["0"], **setting).try_on(model)
    with pytest.raises(InputError, match="layers = head"):
        StabilityAlongTraining(images(), layers=["head"], **setting).try_on(model)
    with pytest.raises(InputError, match="model output"):
        StabilityAlongTraining(images(), **setting).try_on(nn.Flatten(0))
    StabilityAlongTraining(images(), layers=["1"], **setting).try_on(nn.Sequential(nn.Flatten(), nn.LazyLinear(3)))
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert model.training
    assert torch.equal(states()[0], before[0])
    assert states()[1:] == before[1:]


def lightning_training(folder: Path, callbacks: list[Any]) -> tuple[dict[str, Any], Any]:
    lightning = pytest.importorskip("lightning.pytorch", reason="lightning is not installed")

    class Module(lightning.LightningModule):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = net()

        def forward(self, x: Any) -> Any:
            return self.net(x)

        def training_step(self, batch: Any, index: int) -> Any:
            return nn.functional.cross_entropy(self(batch[0]), batch[1])

        def validation_step(self, batch: Any, index: int) -> None:
            self.log("val", nn.functional.cross_entropy(self(batch[0]), batch[1]))

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

    module = Module()
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    data = TensorDataset(images(), torch.arange(24) % 3)
    trainer = lightning.Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=folder, callbacks=callbacks,
    )  # fmt: skip
    trainer.fit(module, DataLoader(data, 8, shuffle=True), DataLoader(data, 8))
    return module.state_dict(), trainer


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_lightning_trains_to_the_bit_as_without(tmp_path: Path) -> None:
    pytest.importorskip("lightning.pytorch", reason="lightning is not installed")
    from empirical.integrations import LightningStability

    without, _ = lightning_training(tmp_path, [])
    setting = {"cutoff": 2, "displacement": 0.5, "layers": ["net.0"]}
    for callback in (LightningStability(images(), **setting), LightningStability(every=2, **setting)):
        weights, trainer = lightning_training(tmp_path, [callback])
        assert all(torch.equal(value, without[name]) for name, value in weights.items())
        logged = trainer.callback_metrics
        assert set(logged) >= {*NAMES, "relstab/layers/net.0/R_k", "val"}
        assert 0 < float(logged["relstab/R_f_low"]) < float(logged["relstab/R_f"])
    # Control: a callback that draws is seen in the weights.
    import lightning.pytorch as library

    class Draws(library.Callback):
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            torch.rand(1)

    weights, _ = lightning_training(tmp_path, [Draws()])
    assert not all(torch.equal(value, without[name]) for name, value in weights.items())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_transformers_trains_to_the_bit_as_without(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    from empirical.integrations import TransformersStability

    class Pixels(torch.utils.data.Dataset):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return 24

        def __getitem__(self, index: int) -> dict[str, Any]:
            return {"pixel_values": images()[index], "labels": index % 3}

    def training(callback: Any, attached: bool = True) -> tuple[Any, Any]:
        config = transformers.ViTConfig(
            hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, image_size=8, patch_size=4,
            num_channels=1, num_labels=3, hidden_dropout_prob=0.2,
        )  # fmt: skip
        transformers.set_seed(0)
        model = transformers.ViTForImageClassification(config)
        arguments = transformers.TrainingArguments(
            str(tmp_path), num_train_epochs=2, per_device_train_batch_size=8, report_to=[], use_cpu=True,
            save_strategy="no", logging_strategy="epoch", disable_tqdm=True, learning_rate=0.01,
        )  # fmt: skip
        trainer = transformers.Trainer(
            model, arguments, train_dataset=Pixels(), eval_dataset=Pixels(),
            callbacks=None if attached or callback is None else [callback],
        )  # fmt: skip
        if attached and callback is not None:
            callback.attach(trainer)
        trainer.train()
        return model.state_dict(), trainer.state.log_history

    without, _ = training(None)
    setting = {"cutoff": 2, "displacement": 0.5}
    for callback, attached in (
        (TransformersStability(images(), **setting), True),
        (TransformersStability(**setting), True),
        (TransformersStability(images(), **setting), False),
    ):
        weights, history = training(callback, attached)
        assert all(torch.equal(value, without[name]) for name, value in weights.items())
        rows = [row for row in history if "relstab/R_f" in row]
        assert [row["epoch"] for row in rows] == [1, 2]
        assert set(rows[0]) >= NAMES


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    pytest.importorskip("lightning.pytorch", reason="lightning is not installed")
    from types import SimpleNamespace

    from empirical.integrations import LightningStability
    from empirical.integrations.along_training import first_images

    with pytest.raises(InputError, match="batches = Tensor|batches = \\(3,\\): must begin with images"):
        first_images([torch.rand(3)])
    with pytest.raises(InputError, match="images = None: must be given: the trainer has no validation loader"):
        LightningStability().on_train_start(SimpleNamespace(is_global_zero=True, val_dataloaders=None), net())
    named = LightningStability(cutoff=2, displacement=0.5)
    named.on_train_start(SimpleNamespace(is_global_zero=True, val_dataloaders={"a": [images()], "b": []}), net())
    assert named.stability is not None
    assert torch.equal(named.stability.probes.clean, images())
    # When it is made, though it has no images yet.
    with pytest.raises(InputError, match="cutoff = 1"):
        LightningStability(cutoff=1)
    with pytest.raises(TypeError, match="'cut'"):
        LightningStability(cut=3)
    with pytest.raises(InputError, match="images = ndarray: must be a torch tensor"):
        StabilityAlongTraining(images().numpy())

    class FSDPStrategy:
        pass

    with pytest.raises(InputError, match="strategy = FSDPStrategy: shards the net"):
        LightningStability().setup(SimpleNamespace(strategy=FSDPStrategy()), None, "fit")
    with pytest.raises(InputError, match="every = 0"):
        LightningStability(every=0)
    other = SimpleNamespace(is_global_zero=False, current_epoch=0)  # another rank: nothing is looked at
    LightningStability().on_train_epoch_end(other, None)

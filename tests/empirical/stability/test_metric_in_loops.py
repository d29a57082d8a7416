"""The metric as training loops use it: interrupted, in several processes, in a logger, with batches of any size."""

from __future__ import annotations

import math
import socket
import warnings
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
torchmetrics = pytest.importorskip("torchmetrics", reason="torchmetrics is not installed")
import torch.distributed as dist  # noqa: E402
import torch.multiprocessing as processes  # noqa: E402
from torch import nn  # noqa: E402

from empirical import RelativeStability  # noqa: E402
from theory import InputError  # noqa: E402

IMAGES = torch.rand(24, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def net() -> nn.Module:
    linear = nn.Linear(256, 10, bias=False)
    nn.init.normal_(linear.weight, generator=torch.Generator().manual_seed(1))
    return nn.Sequential(nn.Flatten(), linear)


def metric(**options: object) -> RelativeStability:
    return RelativeStability(2, 0.5, **options)  # type: ignore[arg-type]


def test_a_restored_metric_goes_on_as_it_would_have() -> None:
    whole, first, second = metric(), metric(), metric()
    for one in (first, second):
        one.persistent(True)
    for batch in IMAGES.split(8):
        whole.update(net(), batch)
    for batch in IMAGES[:16].split(8):
        first.update(net(), batch)
    second.load_state_dict(first.state_dict())
    second.update(net(), IMAGES[16:])
    assert float(second.compute()["R_f"]) == float(whole.compute()["R_f"])
    second.reset()
    second.update(net(), IMAGES[:8])
    assert torch.equal(second.deformed[0], whole.deformed[0])


@pytest.mark.parametrize("size", [24, 8, 3, 1])
def test_a_blank_image_adds_nothing_whatever_the_batches(size: int) -> None:
    """The values of all sizes agree for the identity, of which R = 1 by the noise's norm."""
    images = IMAGES.clone()
    images[3] = 0.3
    one = metric()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for batch in images.split(size):
            one.update(nn.Flatten(), batch)
    (warning,) = told
    assert str(warning.message) == f"1 of {size} images are unchanged by their diffeomorphism"
    assert float(one.compute()["R_f"]) == pytest.approx(1, abs=1e-6)
    assert int(one.unmoved) == 1


def test_blank_images_alone_are_refused_at_the_end() -> None:
    one = metric()
    with pytest.warns(UserWarning, match="2 of 2 images are unchanged"):
        one.update(net(), torch.full((2, 1, 16, 16), 0.3))
    with pytest.raises(InputError, match="images = unchanged by every diffeomorphism"):
        one.compute()


def test_a_batch_of_one_has_no_numbers_of_its_own() -> None:
    one = metric()
    assert all(math.isnan(value) for value in one(net(), IMAGES[:1]).values())
    assert not any(math.isnan(value) for value in one(net(), IMAGES[1:9]).values())
    assert float(one.compute()["R_f"]) > 0


def test_one_number_alone_and_among_others() -> None:
    """Metrics that share their states share the runs of the net; unlike settings do not."""
    runs = []
    model = net()
    model.register_forward_hook(lambda *_: runs.append(1))
    numbers = {name: metric(number=name) for name in ("D_f", "G_f", "R_f")}
    several = torchmetrics.MetricCollection({**numbers, "further": metric(seed=1, number="R_f")})
    for batch in IMAGES.split(8):
        several.update(model, batch)
    found = several.compute()
    whole = metric()
    for batch in IMAGES.split(8):
        whole.update(net(), batch)
    for name, value in whole.compute().items():
        assert found[name].ndim == 0
        assert float(found[name]) == float(value)
    assert float(found["further"]) != float(found["R_f"])
    assert len(runs) == 3 * (4 + 2 + 2)  # after the first batch, one run for the three
    with pytest.raises(InputError, match="number = r: must be one of D_f, G_f, R_f"):
        metric(number="r")


def test_it_plots() -> None:
    one = metric(number="R_f")
    values = [one(net(), batch) for batch in IMAGES.split(8)]
    figure, axes = one.plot(values)
    assert axes.lines[0].get_ydata().tolist() == [float(value) for value in values]
    assert figure is axes.figure
    metric_of_three = metric()
    metric_of_three.update(net(), IMAGES)
    assert metric_of_three.plot()[1] is not None


COUNTS = ((2, 0), (0, 3), (3, 1), (0, 0))  # batches shown to each of two processes


def fed(count: int) -> RelativeStability:
    one = metric()
    for place in range(count):
        one.update(net(), IMAGES[4 * place : 4 * place + 4])
    return one


def _shown(rank: int, port: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    said = []
    for counts in COUNTS:
        try:
            said.append(str(float(fed(counts[rank]).compute()["R_f"])))
        except InputError as error:
            said.append(str(error))
    (Path(folder) / str(rank)).write_text("\n".join(said))
    dist.destroy_process_group()


@pytest.mark.slow
def test_processes_that_were_shown_less_or_nothing(tmp_path: Path) -> None:
    """All have the same value, that of all batches together; where there are none, all are refused."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes.start_processes(_shown, (port, str(tmp_path)), nprocs=2, start_method="fork")
    one, other = ((tmp_path / str(rank)).read_text().splitlines() for rank in range(2))
    assert one == other
    assert one[3] == "images = 0: at least 2 are needed"
    assert float(one[0]) == float(fed(2).compute()["R_f"])
    assert len({*map(float, one[:3])}) == 3


@pytest.mark.slow
def test_a_logger_has_the_number_of_all_images(tmp_path: Path) -> None:
    """Lightning's self.log(name, metric): the epoch's value is compute(), not the mean of the batches' ratios."""
    lightning = pytest.importorskip("lightning", reason="lightning is not installed")

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.stability, self.seen = net(), metric(number="R_f"), []

        def test_step(self, batch: torch.Tensor, index: int) -> None:
            self.seen.append(float(self.stability(self.net, batch)))
            self.log("R_f", self.stability, on_step=False, on_epoch=True)

    module = Module()
    trainer = lightning.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        default_root_dir=tmp_path,
    )
    loader = torch.utils.data.DataLoader(IMAGES, batch_size=5)
    (found,) = trainer.test(module, loader, verbose=False)
    whole = metric()
    for batch in IMAGES.split(5):
        whole.update(net(), batch)
    assert found["R_f"] == pytest.approx(float(whole.compute()["R_f"]), rel=1e-6)
    assert found["R_f"] != pytest.approx(sum(module.seen) / len(module.seen), rel=1e-6)

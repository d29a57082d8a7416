"""Deeper nets and other optimizers on stripes: gradients, isotropy at the start, steps, names, hashes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import tyro

torch = pytest.importorskip("torch", reason="torch is not installed")

from empirical.commands.train import Train  # noqa: E402
from empirical.nets.stripe_nets import OneHiddenLayer, StripeNet  # noqa: E402
from empirical.runs.experiments import Experiment  # noqa: E402
from empirical.runs.sweeps import sweep  # noqa: E402
from empirical.training.config import ImageConfig, StripeConfig, config_hash, config_to_dict  # noqa: E402
from empirical.training.stripes import make_optimizer, measure_stripe, train_stripe  # noqa: E402
from theory import InputError, Stripe  # noqa: E402

SMALL = StripeConfig(dim=5, train_size=64, width=60, unfit_fractions=(0.9, 0.5), probe_size=2000)
DEEP = replace(SMALL, hidden_layers=2, width=40, scale=1e-2)

#: As they were when there was one hidden layer and no optimizer but descent: stores are read by them.
KNOWN_HASHES = {
    "70b301972b7835b1": StripeConfig(),
    "867ead5de9eac232": StripeConfig(dim=10, width=200, batch_size=16, loss="hinge", scale=0.01),
    "6a25121c2d1ee0f6": StripeConfig(unfit_fractions=(0.7, 0.3), time_step=0.2),
    "ab9a58006aa584f4": ImageConfig(),
    "5df8c3295046e407": ImageConfig(architecture="fc2", dataset="fashion-mnist", train_size=64),
    "1c3584628fe98a70": ImageConfig(optimizer="adam", learning_rate=1e-3, records=3),
}


def test_hashes_of_configurations_from_before_stay() -> None:
    assert {config_hash(config): config for config in KNOWN_HASHES.values()} == KNOWN_HASHES
    assert config_to_dict(StripeConfig())["hidden_layers"] == 1  # the store's config.json says everything


def test_one_hidden_layer_trains_as_before() -> None:
    """Numbers of the version without further layers; other machines round otherwise: 2 %."""
    found = train_stripe(SMALL).table
    np.testing.assert_allclose(found["relative_stability"], [0.29692187, 0.13455479], rtol=0.02)
    np.testing.assert_allclose(found["compression"], [3.6477656, 6.2173901], rtol=0.02)
    in_batches = train_stripe(replace(SMALL, batch_size=16)).table
    np.testing.assert_allclose(in_batches["relative_stability"], [0.28881735, 0.13869625], rtol=0.02)
    assert found["architecture"].tolist() == ["one-hidden-h60"] * 2
    assert found["variant"].tolist() == [""] * 2
    same = OneHiddenLayer(5, 20, 3.0, torch.Generator().manual_seed(1))
    other = StripeNet(5, 20, 3.0, torch.Generator().manual_seed(1))
    assert all(torch.equal(a, b) for a, b in zip(same.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_gradient_is_that_of_the_formula(layers: int) -> None:
    """f written out in NumPy, its slope along a random direction by central differences: 1e-6 relative."""
    rng = np.random.default_rng(layers)
    net = StripeNet(4, 9, 2.0, torch.Generator().manual_seed(0), layers).double()
    x = rng.standard_normal((6, 4))
    names = [name for name, _ in net.named_parameters()]
    moved = {name: rng.standard_normal(tuple(getattr(net, name).shape)) for name in names}
    start = {name: getattr(net, name).detach().numpy().copy() for name in names}

    def formula(step: float) -> float:
        at = {name: start[name] + step * moved[name] for name in names}
        z = np.maximum(x @ at["weight"].T / math.sqrt(4) + at["bias"], 0)
        for layer in range(2, layers + 1):
            z = np.maximum(z @ at[f"weight_{layer}"].T / math.sqrt(9) + at[f"bias_{layer}"], 0)
        return float(2.0 * (z @ at["output"] / 9).sum())

    assert not net(torch.as_tensor(x)).any()
    net(torch.as_tensor(x)).sum().backward()
    slope = sum(float((getattr(net, name).grad.numpy() * moved[name]).sum()) for name in names)
    wanted = (formula(1e-6) - formula(-1e-6)) / 2e-6
    assert slope == pytest.approx(wanted, rel=1e-6)
    assert slope != pytest.approx(formula(1.0) - formula(0.0), rel=1e-6)  # the slope is not that of a long step


@pytest.mark.slow
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_initial_nets_are_isotropic(layers: int) -> None:
    """R_f of f at the start, mean of 20 nets of d = 20: 1 within 4 standard errors (chance 1e-3 for three depths).

    The control: with the informative direction of W_1 four times as long, the mean is below 1 by more than eight.
    """
    means = []
    for stretched in (False, True):
        ratios = []
        for seed in range(20):
            net = StripeNet(20, 200, 1.0, torch.Generator().manual_seed(seed), layers).double()
            if stretched:
                with torch.no_grad():
                    net.weight[:, 0] *= 4
            measured = measure_stripe(
                lambda x, f=net.net: f(x)[:, None], Stripe(20), noise_norm=0.1, probe_size=1000, average="mean",
                rng=np.random.default_rng(seed),
            )  # fmt: skip
            ratios.append(measured.relative.value)
        means.append((np.mean(ratios) - 1) / (np.std(ratios, ddof=1) / math.sqrt(len(ratios))))
    assert abs(means[0]) < 4
    assert means[1] < -8


@pytest.mark.slow
@pytest.mark.parametrize("layers", [2, 3])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_deeper_nets_train_by_either_optimizer(layers: int, optimizer: str) -> None:
    """From R_f = 1 down: P = 256 in d = 5, in batches, to half of the points fitted."""
    config = replace(
        DEEP, hidden_layers=layers, train_size=256, optimizer=optimizer, batch_size=32, check_steps=4,
        learning_rate=1e-2 if optimizer == "adam" else None,
    )  # fmt: skip
    run = train_stripe(config)
    assert run.table["relative_stability"].iloc[-1] < 0.5
    assert run.table["test_error"].iloc[-1] < 0.3
    assert run.table["architecture"].unique().tolist() == [f"{ {2: 'two', 3: 'three'}[layers] }-hidden-h40"]
    words = "adam, batch 32, alpha=0.01" if optimizer == "adam" else "batch 32, alpha=0.01"
    assert run.table["variant"].unique().tolist() == [words]
    again = train_stripe(config).table.drop(columns="seconds")
    assert again.equals(run.table.drop(columns="seconds"))


@pytest.mark.slow
@pytest.mark.parametrize("layers", [2, 3])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_inner_layers_learn_alike_at_any_width(layers: int, optimizer: str) -> None:
    """Features z_L move by as much at h = 64 as at 1024 when the inner matrices alone are trained, three steps.

    Means over 4 nets of |change of z_L| / sqrt(h), within a factor 1.5. The control: at h = 1024 with the learning
    rates of h = 64 they are off by more than 2.
    """

    rate: dict[str, float] = {"time_step": 0.5} if optimizer == "sgd" else {"learning_rate": 0.05}

    def moved(width: int, rates_of: int) -> float:
        sizes = []
        for seed in range(4):
            config = replace(DEEP, width=width, hidden_layers=layers, optimizer=optimizer, **rate)
            net = StripeNet(10, width, 1.0, torch.Generator().manual_seed(seed), layers)
            steps = make_optimizer(config, net)
            wrong = make_optimizer(replace(config, width=rates_of), net)
            for group, other in zip(steps.param_groups, wrong.param_groups, strict=True):
                group["lr"] = other["lr"]
            for one in net.parameters():
                one.requires_grad_(any(one is matrix for matrix in net.inner))
            x = torch.randn(100, 10, generator=torch.Generator().manual_seed(100 + seed))
            before = _features(net, x)
            for _ in range(3):
                steps.zero_grad()
                torch.nn.functional.softplus(1 - torch.sign(x[:, 0]) * net(x)[:, 0]).mean().backward()
                steps.step()
            sizes.append(float((_features(net, x) - before).norm()) / math.sqrt(width))
        return float(np.mean(sizes))

    narrow = moved(64, 64)
    assert 1 / 1.5 < moved(1024, 1024) / narrow < 1.5
    off = moved(1024, 64) / narrow
    assert max(off, 1 / off) > 2


def _features(net: StripeNet, x: torch.Tensor) -> torch.Tensor:
    """z_L, by the net itself with each unit's output weight in turn."""
    seen: list[torch.Tensor] = []
    kept = torch.relu

    def watched(values: torch.Tensor) -> torch.Tensor:
        seen.append(kept(values))
        return seen[-1]

    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "relu", watched)
        net.net(x)
    return seen[-1]


def test_a_bounded_step_changes_no_layer_by_more() -> None:
    """The step that is allowed takes the worst parameter to the bound, and all others below: by the norms themselves.

    For an inner matrix that is the largest singular value of the change over that of the matrix, at most.
    """
    net = StripeNet(5, 40, 1.0, torch.Generator().manual_seed(0), 3).double()
    net.net(torch.randn(50, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))).sum().backward()
    step = net.largest_step(0.03)
    euclidean = {name: float(one.grad.norm() / one.detach().norm()) for name, one in net.named_parameters()}
    for name in ("weight_2", "weight_3"):
        one = getattr(net, name)
        largest = np.linalg.svd(one.detach().numpy(), compute_uv=False)[0]
        euclidean[name] = float(one.grad.norm()) / largest
        assert step * np.linalg.svd(one.grad.numpy(), compute_uv=False)[0] / largest <= 0.03 * (1 + 1e-9)
    assert step * max(euclidean.values()) == pytest.approx(0.03, rel=1e-9)
    assert net.largest_step(0.015) == pytest.approx(step / 2, rel=1e-9)


@pytest.mark.slow
def test_halving_the_bound_moves_less_than_another_seed() -> None:
    """Full-batch descent of two hidden layers with long steps, bounded by 3 % and by 1.5 %, four seeds.

    The rms change of log R_f by halving is below half of the seeds' spread of log R_f. The control: without a bound,
    steps as long take no net to the last fraction.
    """
    base = replace(DEEP, dim=10, train_size=256, time_step=2.0, unfit_fractions=(0.7, 0.3), max_steps=1000)

    def logs(change: float, seed: int) -> np.ndarray:
        table = train_stripe(replace(base, weight_change=change, seed=seed)).table
        return np.log(table["relative_stability"].to_numpy())

    found = {change: np.array([logs(change, seed) for seed in range(4)]) for change in (0.03, 0.015)}
    moved = np.sqrt(((found[0.03] - found[0.015]) ** 2).mean(0))
    assert (moved < found[0.015].std(0, ddof=1) / 2).all()
    with pytest.warns(RuntimeWarning, match="1 unfit fractions not reached"):
        assert len(train_stripe(base).table) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_layers": 0}, {"hidden_layers": 4}, {"optimizer": "auto"}, {"learning_rate": 1e-3},
        {"learning_rate": 0.0, "optimizer": "adam"}, {"weight_change": 0.0}, {"weight_change": 1.5},
        {"weight_change": 0.03, "optimizer": "adam"}, {"time_step": 0.2, "optimizer": "adam"}, {"check_steps": 5},
        {"check_steps": 0, "batch_size": 5},
    ],
)  # fmt: skip
def test_settings_that_nothing_reads_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError) as error:
        StripeConfig(**change)  # type: ignore[arg-type]
    assert str(error.value).startswith(next(iter(change)))


def test_overflow_names_the_optimizers_own_setting() -> None:
    adam = replace(DEEP, optimizer="adam", learning_rate=1e12, hidden_layers=3)
    with pytest.raises(InputError, match=r"learning_rate = 1e\+?12|learning_rate = 1000000000000.0"):
        train_stripe(adam)


def test_depths_and_optimizers_share_a_table_and_learning_rates_do_not() -> None:
    base = replace(DEEP, width=10, train_size=16, batch_size=8, unfit_fractions=(0.9,), probe_size=50)
    grids = [Experiment(replace(base, hidden_layers=layers), (16,), (0,)) for layers in (1, 2)]
    grids.append(Experiment(replace(base, optimizer="adam", learning_rate=0.02), (16,), (0,)))
    table = sweep(grids)
    assert table["architecture"].tolist() == ["one-hidden-h10", "two-hidden-h10", "two-hidden-h10"]
    assert table["variant"].tolist() == ["batch 8, alpha=0.01"] * 2 + ["adam, batch 8, alpha=0.01"]
    grids.append(Experiment(replace(base, optimizer="adam", learning_rate=0.03), (16,), (0,)))
    with pytest.raises(InputError, match="experiments = 4 runs: two differ only in settings"):
        sweep(grids)


def configured(options: str) -> object:
    """What `relstab train` makes of its options."""
    return tyro.cli(Train, args=options.split(), config=(tyro.conf.FlagCreatePairsOff,)).config()


def test_the_command_reads_them() -> None:
    given = "--hidden-layers 3 --optimizer adam --learning-rate 0.01 --batch-size 32 --check-steps 4"
    wanted = StripeConfig(
        train_size=512, hidden_layers=3, optimizer="adam", learning_rate=0.01, batch_size=32, check_steps=4
    )
    assert configured(f"--dataset stripe {given}") == wanted
    assert configured("--dataset stripe --weight-change 0.03") == StripeConfig(train_size=512, weight_change=0.03)
    with pytest.raises(InputError, match="hidden_layers = 2: is not read for digits"):
        configured("--hidden-layers 2")

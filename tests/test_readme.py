"""The README and docs/results.md state what the committed tables give, digit by digit."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

import relstab
from compare import fit_power_law, load_reference
from theory import Estimate, read_table
from theory.common.estimate import geometric_mean, mean

ROOT = Path(relstab.__file__).parent
DATA = ROOT / "paper" / "data"
KEYS = ["train_size", "seed"]


@pytest.fixture(scope="module")
def results() -> str:
    """docs/results.md with its lines joined, so that wrapping does not matter, and its spaces single."""
    return " ".join((ROOT / "docs" / "results.md").read_text(encoding="utf-8").split())


def short(estimate: Estimate) -> str:
    return repr(estimate).removesuffix(f" (n={estimate.n})")


def trained(name: str, architecture: str) -> pd.DataFrame:
    table = read_table(DATA / name)
    return table[(table["stage"] == "trained") & (table["architecture"] == architecture)]


def cells(table: pd.DataFrame, size: int) -> list[str]:
    rows = table[table["train_size"] == size]
    return [short(geometric_mean(rows["relative_stability"])), short(mean(rows["test_error"]))]


def published_resnet() -> pd.DataFrame:
    """The authors' ResNet on FashionMNIST, without the second sweep at P = 512."""
    table = load_reference("fashion-mnist", "ResNet", 3, "bilinear")
    return table[table["architecture"] == "ResNet (bilinear)"]


def test_the_contrast_is_the_commands(
    results: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    command = "compare paper/data/stripe_theory.csv paper/data/fashion_mnist.csv"
    assert f"`relstab {command}`" in results
    assert relstab.main(command.split()) == 0
    assert " ".join(capsys.readouterr().out.split()) in results


def test_the_tables_are_those_of_the_data(results: str) -> None:
    lenet, resnet = (trained("fashion_mnist.csv", name) for name in ("lenet", "resnet-small"))
    small_batches = trained("fashion_mnist_batch8.csv", "resnet-small")
    published = published_resnet()
    for size in sorted(set(lenet["train_size"])):
        row = [str(size), *cells(lenet, size), *cells(resnet, size), *cells(published, size)]
        assert f"| {' | '.join(row)} |" in results
    for size in sorted(set(small_batches["train_size"])):
        row = [str(size), *cells(resnet, size), *cells(small_batches, size)]
        assert f"| {' | '.join(row)} |" in results


def test_the_exponents_are_those_of_the_data(results: str) -> None:
    fits = {
        "falls with the exponent {} over its whole range": fit_power_law(published_resnet()),
        "falls with the exponent {} over P = 64 to 1024": fit_power_law(
            trained("fashion_mnist_batch8.csv", "resnet-small")
        ),
    }
    for sentence, fit in fits.items():
        assert sentence.format(short(fit.exponent)) in results


@pytest.mark.slow
def test_the_flows_exponents_are_those_of_its_tables(results: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The committed exponents are what the committed curves give, and the page's table is made of them."""
    monkeypatch.syspath_prepend(str(ROOT / "paper"))
    from paper.scripts import stripe_flow

    table = stripe_flow.flow_tables()
    committed = pd.read_csv(DATA / "exponents" / "stripe_flow.csv", comment="#")
    computed = stripe_flow.exponents(table)
    pd.testing.assert_frame_equal(computed, committed, check_dtype=False, rtol=1e-5)
    rows, others = stripe_flow.readme_rows(committed), stripe_flow.other_rows(committed)
    assert (len(rows), len(others)) == (10, 10)
    for row in (*rows, *others):
        assert row in results
    for path in set(DATA.glob("stripe_*.csv")) - set(DATA.glob("stripe_nets*.csv")):
        assert path.read_text().startswith("# relstab theory simulate --train-sizes ")


def test_the_predictions_tables_are_those_of_the_data(results: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ratios, learning curves and convergence are recomputed from the committed curves, and the texts quote them."""
    monkeypatch.syspath_prepend(str(ROOT / "paper"))
    from paper.scripts import (
        cloud_resolution,
        cylinder_prediction,
        hinge_steps,
        learning_curves,
        prediction,
        prediction_convergence,
        sample_predictions,
    )

    derivation = " ".join((ROOT / "theory" / "prediction" / "README.md").read_text(encoding="utf-8").split())
    learnt = learning_curves.exponents(learning_curves.tables())
    for name, computed, rows, text in (
        ("prediction_ratio", prediction.ratios(), prediction.readme_rows, results),
        ("sample_ratio", sample_predictions.ratios(), sample_predictions.readme_rows, derivation),
        ("learning_curves", learnt, learning_curves.readme_rows, derivation),
    ):
        committed = pd.read_csv(DATA / "exponents" / f"{name}.csv", comment="#")
        pd.testing.assert_frame_equal(computed, committed, check_dtype=False, rtol=1e-5)
        assert len(rows(committed)) >= 8
        for row in rows(committed):
            assert row in text
    convergence = prediction_convergence.readme_rows(pd.read_csv(DATA / "prediction_convergence.csv", comment="#"))
    assert len(convergence) == 15
    for row in convergence:
        assert row in derivation
    cylinder = list(cylinder_prediction.ratio_rows(cylinder_prediction.ratios(read_table(cylinder_prediction.TARGET))))
    resolution = cloud_resolution.table_rows(pd.read_csv(cloud_resolution.TARGET, comment="#"))
    assert (len(cylinder), len(resolution)) == (12, 5)
    for row in (*cylinder, *resolution):
        assert row in derivation
    for row in hinge_steps.table_rows(pd.read_csv(hinge_steps.TARGET, comment="#")):
        assert " ".join(row.split()) in results


def test_the_times_on_a_card_are_those_measured(results: str) -> None:
    found = json.loads((DATA / "gpu_benchmark.json").read_text(encoding="utf-8"))
    field, curve = found["fields"], found["curves"]
    for name in ("cupy", "cupy, 8 in step"):
        ours, plain = field[name], field["numba"]
        assert f"{1e3 * ours:.2f} ms | numba {1e3 * plain:.2f} ms | {plain / ours:.1f} |" in results
    assert f"{curve['cupy']:.1f} s | numba {curve['numba']:.1f} s | {curve['numba'] / curve['cupy']:.1f} |" in results
    assert len(found["training"]) == 4
    for speed in found["training"].values():
        shown = [f"{round(speed[way], -2):,.0f}" for way in ("ours", "DataLoader")]
        times = f"{speed['ours'] / speed['DataLoader']:.1f}"
        assert re.search(rf"\| {shown[0]} \| (DataLoader )?{shown[1]} \| {times} \|", results)


def ratio(top: str, bottom: str, stage: str, size: int) -> str:
    """R_f of one table over that of another, seed by seed."""
    both = read_table(DATA / top).merge(read_table(DATA / bottom), on=[*KEYS, "stage"], suffixes=("", "_other"))
    both = both[(both["stage"] == stage) & (both["train_size"] == size)]
    return short(geometric_mean((both["relative_stability"] / both["relative_stability_other"]).to_numpy()))


def test_what_alpha_and_the_steps_length_change_is_said_as_it_is(results: str) -> None:
    limits = " ".join((ROOT / "docs" / "limits.md").read_text(encoding="utf-8").split())
    flow = [ratio("stripe_alpha1e-2.csv", "stripe_theory.csv", stage, 8192) for stage in ("q=0.7", "q=0.3")]
    predicted = [ratio("prediction_alpha1e-2.csv", "prediction.csv", stage, 8192) for stage in ("q=0.7", "q=0.3")]
    assert f"is {flow[0]} times what it is at 1e-6 at q = 0.7, and {flow[1]} times at q = 0.3" in results
    assert f"predicted: {predicted[0]} and {predicted[1]})" in results
    assert f"the flow's R_f at 0.01 is {flow[1]} times that (8 seeds)" in limits
    usual, fifth = (read_table(DATA / f"stripe_nets{end}.csv") for end in ("", "_short_steps"))
    same = ["architecture", "variant", "stage", *KEYS]
    both = usual.merge(fifth, on=same, suffixes=("", "_short")).query("train_size == 65536 and stage == 'q=0.3'")
    assert set(both["architecture"]) == {"two-hidden-h256"}
    values = [short(geometric_mean(both[f"relative_stability{end}"])) for end in ("", "_short")]
    assert f"have R_f = {values[0]}, and {values[1]} with steps a fifth as long (3 seeds" in limits


def test_the_values_before_training_are_those_of_the_data(results: str) -> None:
    table = read_table(DATA / "fashion_mnist.csv")
    rows = table[(table["stage"] == "initial") & (table["train_size"] == 4096)]
    values = [
        short(geometric_mean(rows.loc[rows["architecture"] == name, "relative_stability"]))
        for name in ("lenet", "resnet-small")
    ]
    assert f"Before training R_f is {values[0]} for LeNet and {values[1]} for the small ResNet" in results


def test_the_table_of_architectures_is_that_of_the_data(results: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The summary is recomputed from the committed runs, which are those of the experiment file."""
    pytest.importorskip("torch", reason="torch is not installed")
    monkeypatch.syspath_prepend(str(ROOT / "paper"))
    from empirical import read_experiments
    from paper.scripts import image_nets

    table = read_table(DATA / "image_nets.csv")
    found = image_nets.summary(table)
    committed = pd.read_csv(DATA / "exponents" / "image_nets.csv", comment="#")
    for name in ("task", "architecture"):
        found[name] = found[name].astype(committed[name].dtype)
    pd.testing.assert_frame_equal(found, committed, check_dtype=False, rtol=1e-5)
    rows = image_nets.readme_rows(committed)
    assert len(rows) == 28
    for row in rows:
        assert row in results
    correlations = image_nets.correlations(found)
    assert (correlations["trained_relative_stability_p"] > 0.05).all()
    largest = correlations.loc[correlations["trained_relative_stability"].idxmax()]
    quoted = f"({largest['trained_relative_stability']:.2f} at most, p = {largest['trained_relative_stability_p']:.2f})"
    assert quoted in results
    configs = [config for experiment in read_experiments(DATA / "image_nets.toml") for config in experiment.configs()]
    keys = ["task", "architecture", "train_size", "seed"]
    expected = {(c.dataset, c.architecture, c.train_size, c.seed) for c in configs}  # type: ignore[union-attr]
    assert {tuple(row) for row in table[keys].itertuples(index=False)} == expected


@pytest.mark.slow
def test_the_answer_is_that_of_the_data(results: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """README's table and the verdict are what `make answer` computes from the committed tables."""
    monkeypatch.syspath_prepend(str(ROOT / "paper"))
    from paper.scripts import answer, net_laws

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert answer.answer() in readme
    assert net_laws.first_screen() in readme
    assert " ".join(answer.results().split()) in results
    assert " ".join(net_laws.net_laws().split()) in results
    for path in ("stripe_nets.csv", "stripe_nets_short_steps.csv", "image_curves.csv"):
        assert (DATA / path).read_text().startswith("# relstab sweep paper/experiments/")

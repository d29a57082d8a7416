"""Nets trained on random hierarchies and on scale detection: configurations, what is learnt, what is recorded."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from empirical import read_experiments, sweep  # noqa: E402
from empirical.nets.hierarchy_nets import ScaleCNN  # noqa: E402
from empirical.training.hierarchies import train_hierarchy  # noqa: E402
from empirical.training.hierarchy_config import HierarchyConfig, ScaleDetectionConfig  # noqa: E402
from empirical.training.scale_detection import train_scale_detection  # noqa: E402
from relstab import main  # noqa: E402
from theory.common.errors import InputError  # noqa: E402
from theory.common.table import read_table  # noqa: E402
from theory.hierarchies import TwoPoints  # noqa: E402

SMALL = HierarchyConfig(vocabulary=4, train_size=600, width=64, probe_size=200, resamples=50)
LINE = ScaleDetectionConfig(size=32, scale=8, train_size=60, width=48, probe_size=60, resamples=50)


def output(run, stage="trained"):
    rows = run.table[(run.table["stage"] == stage) & (run.table["layer"] == "")]
    assert len(rows) == 1
    return rows.iloc[0]


@pytest.mark.slow
def test_a_hierarchy_is_learnt_and_measured_at_every_layer(tmp_path):
    log = tmp_path / "log.csv"
    run = train_hierarchy(SMALL, log=log)
    assert run.table["layer"].tolist() == ["layer1", "layer2", ""] * 2
    assert run.table["stage"].tolist() == ["initial"] * 3 + ["trained"] * 3
    last, first = output(run), output(run, "initial")
    assert (last.task, last.architecture, last.source) == ("srhm-v4-s0=1", "cnn-h64", "hierarchy-net")
    assert (last.vocabulary, last.classes, last.synonyms) == (4, 4, 4)
    assert (last.branching, last.sparsity, last.levels) == (2, 1, 2)
    assert last.train_error == 0
    assert last.test_error < 0.25 < 0.75  # of chance
    assert last.converged == 1
    assert last.train_loss <= 0.01
    for name in ("diffeo_stability", "synonym_stability", "relative_stability"):
        assert last[name] < first[name] / 2
        assert last[f"{name}_low"] < last[name] < last[f"{name}_high"]
    assert last.relative_stability == pytest.approx(last.diffeo_stability / last.noise_stability)
    assert log.read_text().splitlines()[0] == "epoch,loss,seconds"
    assert len(run.log) == run.epoch
    assert np.isnan(run.table["test_error"][:-1].to_numpy(dtype=float)).all()  # the error is the net's, not a layer's


@pytest.mark.slow
def test_one_configuration_one_run():
    one, same = (train_hierarchy(replace(SMALL, train_size=100, architecture="lcn")).table for _ in range(2))
    other = train_hierarchy(replace(SMALL, train_size=100, architecture="lcn", seed=1)).table
    numbers = ["relative_stability", "synonym_stability", "diffeo_stability_low"]
    assert one[numbers].equals(same[numbers])
    assert not one[numbers].equals(other[numbers])


@pytest.mark.parametrize("architecture", ["cnn", "lcn", "fcn"])
def test_all_nets_fit_their_training_data(architecture):
    run = train_hierarchy(replace(SMALL, architecture=architecture, train_size=100, resamples=0))
    assert output(run).train_error == 0
    assert np.isnan(output(run).relative_stability_low)  # no resamples, no interval


def test_without_empty_places_d_and_r_are_zero_and_s_is_measured():
    run = train_hierarchy(replace(SMALL, sparsity=0, train_size=60))
    last = output(run)
    assert (last.diffeo_stability, last.relative_stability) == (0, 0)
    assert last.synonym_stability > 0
    assert last.noise_stability > 0


def test_without_synonyms_there_is_no_s():
    run = train_hierarchy(replace(SMALL, synonyms=1, classes=2, train_size=40))
    assert np.isnan(output(run).synonym_stability)
    assert output(run).diffeo_stability > 0


def test_a_run_that_does_not_converge_says_so():
    with pytest.warns(RuntimeWarning, match="P = 300, seed 0: not converged: loss .* after 2 epochs, 0.01 was"):
        run = train_hierarchy(replace(SMALL, train_size=300, epochs=2))
    assert output(run).converged == 0
    assert output(run).train_loss > 0.01
    # With all epochs asked for there is no loss to come to.
    assert str(output(train_hierarchy(replace(SMALL, train_size=300, epochs=2, stop_loss=0))).converged) == "<NA>"


def test_steps_that_are_too_long_are_told():
    with pytest.raises(InputError, match="learning_rate = .*: the loss overflowed in epoch"):
        train_hierarchy(replace(SMALL, learning_rate=1e12, train_size=100))


@pytest.mark.slow
def test_augmentation_by_placements_makes_d_small_and_by_synonyms_s():
    """Paired seeds: each arm lowers what it says, and noise lowers G; the test data are the same."""
    base = HierarchyConfig(
        vocabulary=4, sparsity=2, train_size=200, width=64, epochs=60, schedule="linear", stop_loss=0, resamples=0
    )
    none, noise, placements, synonyms = (
        output(train_hierarchy(replace(base, augmentation=kind)))
        for kind in ("none", "noise", "placements", "synonyms")
    )
    assert placements.diffeo_stability < none.diffeo_stability / 10
    assert synonyms.synonym_stability < none.synonym_stability / 1.5
    assert noise.noise_stability < none.noise_stability / 1.5
    assert placements.test_error < none.test_error - 0.2
    assert placements.variant == "trained on placements"
    assert none.variant == ""


@pytest.mark.slow
def test_a_scale_is_detected_and_measured_at_every_layer():
    run = train_scale_detection(LINE)
    last = output(run)
    assert (last.task, last.architecture) == ("scale-block-d32-xi8", "cnn5-h48")
    assert run.table["layer"].tolist() == [*(f"layer{k}" for k in range(1, 6)), ""] * 2
    assert (last.train_error, last.train_loss, last.converged) == (0, 0, 1)
    assert last.test_error < 0.45
    assert last.relative_stability == pytest.approx(last.diffeo_stability / last.noise_stability)


def test_two_points_on_a_square_are_told_and_channel_means_stand_beside_the_layers():
    square = ScaleDetectionConfig(
        task="two-points", size=8, scale=4, gap=1, train_size=60, width=16, probe_size=40, resamples=0, epochs=3,
        stop_loss=10, channel_means=True,
    )  # fmt: skip
    run = train_scale_detection(square)
    assert output(run).task == "two-points-euclidean-d8-xi4"
    assert run.table["layer"].tolist() == ["layer1", "layer2", "layer3", "layer1", "layer2", "layer3", ""] * 2
    assert set(run.table["variant"]) == {"", "channel means"}
    plain = train_scale_detection(replace(square, channel_means=False)).table
    kept = run.table[run.table["variant"] == ""].reset_index(drop=True)
    assert kept.drop(columns="seconds").equals(plain.drop(columns="seconds"))
    pairs = kept[kept["layer"] != ""].merge(run.table[run.table["variant"] != ""], on=["stage", "layer"])
    assert (pairs["diffeo_stability_x"] != pairs["diffeo_stability_y"]).all()
    # Control: with one channel the mean is the channel.
    one = train_scale_detection(replace(square, width=1)).table
    pairs = one[(one["variant"] == "") & (one["layer"] != "")].merge(one[one["variant"] != ""], on=["stage", "layer"])
    known = pairs["diffeo_stability_x"].notna()
    assert pairs.loc[known, "diffeo_stability_x"].to_numpy() == pytest.approx(pairs.loc[known, "diffeo_stability_y"])


def test_a_filter_of_four_on_the_line_is_one_of_two_by_two_on_the_square():
    task = TwoPoints(8, 4, 1)
    pixels, _ = task.sample(10, np.random.default_rng(0))
    layer = ScaleCNN(
        positions=64, layers=1, width=5, filter_size=4, stride=4, generator=torch.Generator().manual_seed(0)
    ).get_submodule("layer1")
    kernel = layer.weight.detach().reshape(2, 2, 5).permute(2, 0, 1)[:, None]
    images = torch.as_tensor(task.inputs(pixels))
    expected = 2 * torch.relu(torch.nn.functional.conv2d(images, kernel / 2, layer.bias, stride=2))
    found = layer(torch.as_tensor(task.patch_inputs(pixels)))
    torch.testing.assert_close(found.sum(1), expected.sum((2, 3)))


def test_rectified_noise_is_smaller_and_accumulates():
    run = train_scale_detection(replace(LINE, noise="rectified", epochs=1, stop_loss=10))
    plain = train_scale_detection(replace(LINE, epochs=1, stop_loss=10))
    first, other = (of.table[of.table["layer"] == "layer1"].iloc[0] for of in (run, plain))
    # The square is half; with a mean, so that patches of two have it added up, its effect is not below a third.
    assert 0.3 < first.noise_stability / other.noise_stability < 1
    assert run.table["variant"].iloc[0] == "rectified noise"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"vocabulary": 3, "classes": 4, "synonyms": 3}, "must be at most v\\^s = 9"),
        ({"sparsity": -1}, "sparsity = -1: must be a whole number, at least 0"),
        ({"vocabulary": 4, "sparsity": 0, "train_size": 300}, "train_size = 300: must be at most 254"),
        ({"architecture": "resnet"}, "architecture = resnet: must be one of cnn, lcn, fcn"),
        ({"augmentation": "crop"}, "augmentation = crop: must be one of none, noise, placements, synonyms"),
        ({"sparsity": 0, "train_size": 90, "augmentation": "placements"}, "takes its moves from empty places"),
        ({"sparsity": 0, "synonyms": 1, "train_size": 3}, "leaves nothing"),
        ({"level": 3}, "level = 3: must be a whole number, at least 1 and at most 2"),
        ({"learning_rate": 0}, "learning_rate = 0"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"schedule": "cosine"}, "schedule = cosine"),
        ({"stop_loss": -1}, "stop_loss = -1"),
    ],
)
def test_bad_hierarchy_runs_are_told_in_one_line(settings, said):
    with pytest.raises(InputError, match=said) as caught:
        HierarchyConfig(**settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"task": "colour"}, "task = colour: must be one of distance, block"),
        ({"train_size": 4000}, "train_size = 4000: must be at most 3966"),
        ({"layers": 9}, "layers = 9: of filters of 2 at a stride of 2 do not fit a ring of 128 pixels"),
        ({"filter_size": 2, "stride": 3}, "stride = 3"),
        ({"size": 100}, "do not fit a ring of 100 pixels"),
        ({"task": "two-points", "size": 24, "scale": 8}, "size = 24: must be a power of 2"),
        ({"task": "two-points", "size": 8, "scale": 4, "train_size": 9999}, "train_size = 9999: must be at most"),
        ({"task": "two-points", "size": 32, "scale": 14, "stride": 1}, "stride = 1: must be 2 for two-points"),
        ({"noise": "pink"}, "noise = pink: must be one of gaussian, rectified"),
    ],
)
def test_bad_scale_detection_runs_are_told_in_one_line(settings, said):
    with pytest.raises(InputError, match=said):
        ScaleDetectionConfig(**settings)


def test_what_is_usual_depends_on_the_net_and_the_task():
    assert HierarchyConfig(vocabulary=6, train_size=1000).batch == 24  # 4 n_c
    assert HierarchyConfig(vocabulary=6, train_size=3000).batch == 60  # P / 50
    assert HierarchyConfig(vocabulary=6, train_size=30_000).batch == 128
    assert [HierarchyConfig(**one).step for one in ({}, {"sparsity": 4}, {"levels": 3})] == [0.1, 0.03, 0.03]
    assert HierarchyConfig(sparsity=4, learning_rate=0.05).step == 0.05
    assert ScaleDetectionConfig().depth == 7
    assert ScaleDetectionConfig(filter_size=3, stride=1).depth == 5
    assert math.isclose(HierarchyConfig(train_size=10).momentum, 0.9)


def test_the_command_trains_both_kinds(tmp_path, capsys):
    """`relstab train`: its own options by kind, what is not read refused, one line for bad input."""
    table = tmp_path / "curve.csv"
    quick = ["--srhm.vocabulary", "4", "--srhm.width", "16", "--srhm.epochs", "150", "--train-size", "60"]
    assert main(["train", "--dataset", "srhm", *quick, "--output", str(table)]) == 0
    shown = capsys.readouterr().out
    assert "S_f" in shown
    assert "trained layer2" in shown
    assert read_table(table)["synonym_stability"].notna().all()
    for wrong, said in (
        (["--dataset", "srhm", "--optimizer", "adam"], "optimizer = adam: is not read for srhm"),
        (["--dataset", "scale-detection", "--srhm.sparsity", "2"], "sparsity = 2: is not read for scale-detection"),
        (["--dataset", "scale-detection", "--train-size", "5000"], "train_size = 5000: must be at most 3966"),
        (["--dataset", "srhm", "--srhm.classes", "40"], "classes = 40: times m = 6 synonyms must be at most v^s = 36"),
    ):
        assert main(["train", *wrong]) == 2
        told = capsys.readouterr().err
        assert said in told
        assert told.count("\n") == 1


@pytest.mark.slow
def test_a_sweep_of_both_kinds_is_one_table_and_says_what_did_not_converge(tmp_path):
    file = tmp_path / "both.toml"
    file.write_text(
        '[[experiment]]\nkind = "srhm"\ntrain_sizes = [60, 120]\nseeds = [0]\narchitectures = ["cnn", "lcn"]\n'
        "vocabulary = 4\nwidth = 16\nepochs = 2\n"
        '[[experiment]]\nkind = "scale-detection"\ntrain_sizes = [40]\nseeds = [0]\nsize = 32\nscale = 8\nwidth = 16\n'
    )
    with pytest.warns(RuntimeWarning) as told:
        table = sweep(read_experiments(file), tmp_path / "store")
    assert "srhm-v4-s0=1, lcn-h16, P = 120, seed 0: not converged" in {str(one.message) for one in told}
    assert len(told) == 4
    assert set(table["source"]) == {"hierarchy-net", "scale-net"}
    assert set(table["architecture"]) == {"cnn-h16", "lcn-h16", "cnn5-h16"}
    with pytest.warns(RuntimeWarning):
        again = sweep(read_experiments(file), tmp_path / "store")
    assert table.equals(again)  # from the store
    file.write_text('[[experiment]]\nkind = "srhm"\ntrain_sizes = [9999]\nvocabulary = 4\nsparsity = 0\n')
    with pytest.raises(InputError, match="both.toml, line 3: train_size = 9999: must be at most 254"):
        read_experiments(file)

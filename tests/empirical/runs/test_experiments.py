"""Experiment files and configurations: what they expand to, and every mistake told by its key."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from empirical.runs.experiments import Experiment, located, read_experiments
from empirical.training.config import ImageConfig, StripeConfig, config_hash, config_to_dict
from theory import InputError

OTHER_STRIPE = {
    "dim": 5, "train_size": 7, "seed": 9, "width": 10, "scale": 1e-3, "loss": "hinge", "time_step": 0.2,
    "batch_size": 3, "unfit_fractions": (0.5,), "max_steps": 10, "noise_norm": 0.2, "probe_size": 20,
    "average": "median", "hidden_layers": 2, "optimizer": "adam", "learning_rate": 0.1, "weight_change": 0.03,
    "check_steps": 5,
}  # fmt: skip
#: What else must be set for these to be read.
NEEDED = {"learning_rate": {"optimizer": "adam"}, "check_steps": {"batch_size": 3}}


def test_every_field_of_a_stripe_is_in_its_hash() -> None:
    """Stores made before stay readable: the hash of the default configuration is pinned."""
    assert config_hash(StripeConfig()) == "70b301972b7835b1"
    assert set(OTHER_STRIPE) == {item.name for item in fields(StripeConfig)}
    base = StripeConfig(probe_size=1000)  # medians are for few probes
    changes = [NEEDED.get(name, {}) | {name: value} for name, value in OTHER_STRIPE.items()]
    hashes = {config_hash(replace(base, **change)) for change in changes}
    assert len(hashes | {config_hash(base)}) == len(OTHER_STRIPE) + 1


def test_a_list_of_fractions_is_the_tuple() -> None:
    listed = StripeConfig(unfit_fractions=[0.9, 0.5])  # type: ignore[arg-type]
    assert listed == StripeConfig(unfit_fractions=(0.9, 0.5))
    assert config_hash(listed) == config_hash(StripeConfig(unfit_fractions=(0.9, 0.5)))


def test_configurations_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        ImageConfig().seed = 1  # type: ignore[misc]
    assert config_to_dict(ImageConfig())["kind"] == "image"
    assert config_to_dict(StripeConfig())["kind"] == "stripe"


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    sizes=st.lists(st.integers(1, 1000), min_size=1, max_size=4, unique=True),
    seeds=st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True),
    nets=st.lists(st.sampled_from(["lenet", "resnet-small", "fully-connected"]), max_size=3, unique=True),
)
def test_a_grid_is_the_product_seed_by_seed_large_sizes_first(
    sizes: list[int], seeds: list[int], nets: list[str]
) -> None:
    base = ImageConfig(epochs=7)
    configs = Experiment(base, tuple(sizes), tuple(seeds), tuple(nets)).configs()
    assert len(set(configs)) == len(configs) == len(sizes) * len(seeds) * max(1, len(nets))
    found = {(c.train_size, c.seed, c.architecture) for c in configs}  # type: ignore[union-attr]
    assert found == {(p, s, a) for p in sizes for s in seeds for a in nets or ["lenet"]}
    for config in configs:
        assert replace(config, train_size=base.train_size, seed=0, architecture="lenet") == base
    assert [c.seed for c in configs] == [s for s in seeds for _ in range(len(configs) // len(seeds))]
    one_seed = [c.train_size for c in configs if c.seed == seeds[0]]
    assert one_seed == sorted(one_seed, reverse=True)


def test_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "e.toml"
    path.write_text(
        """
[[experiment]]
kind = "image"
dataset = "digits"
architectures = ["lenet", "resnet-small"]
train_sizes = [64, 128]
seeds = [0, 4]
image_size = 16
displacement = 0.5

[[experiment]]
kind = "stripe"
train_sizes = [32]
dim = 5
unfit_fractions = [0.5, 0.1]
"""
    )
    image, stripe = read_experiments(path)
    assert image.base == ImageConfig(image_size=16, displacement=0.5, train_size=128)
    assert (image.train_sizes, image.seeds, image.architectures) == ((64, 128), (0, 4), ("lenet", "resnet-small"))
    assert stripe.base == StripeConfig(dim=5, unfit_fractions=(0.5, 0.1), train_size=32)
    assert (stripe.seeds, len(image.configs()), len(stripe.configs())) == ((0, 1, 2), 8, 3)


HEAD = '[[experiment]]\nkind = "image"\ntrain_sizes = [16]\n'
THEORY = HEAD.replace("image", "theory")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "file = .*holds no \\[\\[experiment\\]\\]$"),
        ("experiment = 3", "file = .*holds no"),
        ("[[experiment", "file = .*is not TOML"),
        ('[[experiment]]\nkind = "picture"\ntrain_sizes = [1]', "kind = picture: must be one of image, stripe, theory"),
        ("[[experiment]]\ntrain_sizes = [1]", "kind = None: must be one of image, stripe, theory, srhm, scale-detect"),
        ('[[experiment]]\nkind = "image"', "train_sizes = None: an experiment must name at least one$"),
        ('[[experiment]]\nkind = "image"\ntrain_sizes = []', "train_sizes = .*must name at least one$"),
        ('[[experiment]]\nkind = "image"\ntrain_sizes = [0]', "train_sizes = 0: must be a whole number, at least 1$"),
        ('[[experiment]]\nkind = "image"\ntrain_sizes = 16', "train_sizes = 16: must be a list$"),
        (HEAD + "learning_rates = 0.1", "learning_rates = 0.1: is no key of an experiment; those are .*learning_rate"),
        (HEAD + "seed = 3", "seed = 3: is no key of an experiment"),
        (HEAD + "cutoff = [3]", "cutoff = \\[3\\]: must not be a list$"),
        (HEAD + "cutoff = 1", "cutoff = 1: must be a whole number, at least 2$"),
        (HEAD + "seeds = [-1]", "seeds = -1: must be a whole number, at least 0$"),
        (HEAD + 'learning_rate = "0.1"', "learning_rate = 0.1: must be a number, not text$"),
        (HEAD + "learning_rate = true", "learning_rate = True: must be a number, not true or false$"),
        (HEAD + "learning_rate = 2024-01-01", "learning_rate = .*: must be a number, not a date$"),
        (HEAD + 'epochs = "3"', "epochs = 3: must be a number, not text$"),
        (HEAD + "image_size = false", "image_size = False: must be a number, not true or false$"),
        (HEAD + "optimizer = 3", "optimizer = 3: must be text, not a number$"),
        (HEAD + "dataset = true", "dataset = True: must be text, not true or false$"),
        (HEAD + "[experiment.epochs]", "epochs = {}: must be a number, not a table$"),
        (HEAD + 'seeds = ["1"]', "seeds = 1: must be a number, not text$"),
        (HEAD + "seeds = [0, true]", "seeds = True: must be a number, not true or false$"),
        (HEAD + "architectures = [3]", "architectures = 3: must be text, not a number$"),
        (THEORY + "skip = 1", "skip = 1: must be true or false, not a number$"),
        (THEORY + 'skip = "no"', "skip = no: must be true or false, not text$"),
        (THEORY + 'unfit_fractions = ["0.5"]', "unfit_fractions = 0.5: must be a number, not text$"),
        (THEORY + "noise_norms = [true]", "noise_norms = True: must be a number, not true or false$"),
        (HEAD + f"epochs = {'9' * 5000}", "file = .*is not TOML"),
        ('[[experiment]]\nkind = "stripe"\ntrain_sizes = [8]\narchitectures = ["lenet"]', "architectures = .*leave it"),
        ('[[experiment]]\nkind = "stripe"\ntrain_sizes = [8]\ndataset = "digits"', "dataset = digits: is no key"),
    ],
)
def test_a_mistake_is_told_by_its_key_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "e.toml").write_text(text)
    with pytest.raises(InputError, match=rf"^(e\.toml, line \d+: )?{message}") as caught:
        read_experiments(tmp_path / "e.toml")
    assert "\n" not in str(caught.value)


def test_a_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    """The line of the key in its own experiment; of the experiment where the key is missing."""
    text = (
        "# two experiments\n[[experiment]]\nkind = 'image'\nepochs = 3\ntrain_sizes = [8]\n\n"
        "[[experiment]]\nkind = 'image'\ntrain_sizes = [8]\n  epochs = 0\n"
    )
    (tmp_path / "e.toml").write_text(text)
    with pytest.raises(InputError, match=r"^e\.toml, line 10: epochs = 0: must be"):
        read_experiments(tmp_path / "e.toml")
    (tmp_path / "e.toml").write_text(text.replace("train_sizes = [8]\n  epochs = 0", "seeds = [0]"))
    with pytest.raises(InputError, match=r"^e\.toml, line 7: train_sizes = None"):
        read_experiments(tmp_path / "e.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs = 3\n" + HEAD + "epochs = 5", "line 1: epochs = 3: is not read; a file holds"),
        ("\nseeds = [0]\n" + HEAD, "line 2: seeds = \\[0\\]: is not read"),
        (HEAD + '\n[["experimnt"]]\nkind = "image"', "line 5: experimnt = a table: is not read"),
        (HEAD.replace("experiment", " experimnt "), "line 1: experimnt = a table: is not read"),
        (HEAD + "loss = 'hinge'\n  [loss]\nx = 1", "line 5: loss = a table: is not read"),
        ("defaults.epochs = 3\n" + HEAD, "line 1: defaults = a table: is not read"),
    ],
)
def test_what_is_outside_of_experiments_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "e.toml").write_text(text)
    with pytest.raises(InputError, match=rf"^e\.toml, {message}") as caught:
        read_experiments(tmp_path / "e.toml")
    assert "\n" not in str(caught.value)


def test_numbers_are_read_as_they_are_written(tmp_path: Path) -> None:
    """The control of the refusals: whole numbers for reals, an infinite scale, true for what is true or false."""
    theory = THEORY + "scale = inf\nskip = true\nnoise_norms = [1, 0.5]\n"
    (tmp_path / "e.toml").write_text(theory + HEAD + "learning_rate = 1\nweights = 'best'\n")
    flow, image = (config_to_dict(experiment.base) for experiment in read_experiments(tmp_path / "e.toml"))
    assert (flow["scale"], flow["skip"], flow["noise_norms"]) == ("inf", True, [1.0, 0.5])
    assert (image["learning_rate"], image["weights"]) == (1.0, "best")


LARGE = 10**20


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (THEORY + f"seeds = [0, {LARGE}]\n", f"line 4: seed = {LARGE}"),
        ("[[experiment]]\nweights = 'best'\nkind = 'image'\ntrain_sizes = [1, 8]\n", "line 4: train_size = 1"),
        ("experiment = [\n{kind = 'theory', train_sizes = [16], dim = 0}]\n", "line 1: dim = 0"),
        ("# a line\u2028as editors count\n" + HEAD + "epochs = 0", "line 5: epochs = 0"),
    ],
)
def test_a_field_is_told_with_the_line_of_its_list(text: str, message: str, tmp_path: Path) -> None:
    """The user wrote seeds, train_sizes and architectures, the configuration speaks of one."""
    (tmp_path / "e.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=rf"^e\.toml, {message}: "):
        read_experiments(tmp_path / "e.toml")


def test_errors_of_runs_are_told_with_the_line_that_they_come_from(tmp_path: Path) -> None:
    (tmp_path / "e.toml").write_text("\n" + HEAD + "architectures = ['lenet', 'vgg']\n\n" + HEAD + "displacement = 9\n")
    first, second = read_experiments(tmp_path / "e.toml")

    def told(experiment: Experiment, parameter: str) -> str:
        error = located(experiment, InputError(parameter, 7, "must not"))
        assert (error.value, error.allowed) == (7, "must not")
        return str(error)

    assert told(first, "architecture") == "e.toml, line 5: architecture = 7: must not"
    assert told(first, "train_size") == "e.toml, line 4: train_size = 7: must not"
    assert told(first, "seed") == "e.toml, line 2: seed = 7: must not"  # seeds are not written: the experiment
    assert told(second, "displacement") == "e.toml, line 10: displacement = 7: must not"
    assert told(first, "data") == "data = 7: must not"  # is no setting of an experiment
    assert told(Experiment(first.base, (16,)), "train_size") == "train_size = 7: must not"


def test_what_a_data_set_refuses_is_told_with_its_line(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    from empirical.runs.kinds import check

    text = HEAD.replace("16", "16, 5000") + "displacement = 9\nimage_size = 16\n"
    (tmp_path / "e.toml").write_text(text)
    (experiment,) = read_experiments(tmp_path / "e.toml")
    found = set()
    for config in experiment.configs():
        with pytest.raises(InputError) as caught:
            check(config)
        found.add(str(located(experiment, caught.value)).split(":")[1].strip())
    assert found == {"train_size = 5000", "displacement = 9.0"}


def test_the_place_in_a_file_makes_no_other_experiment(tmp_path: Path) -> None:
    (tmp_path / "e.toml").write_text(HEAD)
    (read,) = read_experiments(tmp_path / "e.toml")
    made = Experiment(ImageConfig(image_size=16, train_size=16), (16,))
    assert read == made
    assert hash(read) == hash(made)
    assert repr(read) == repr(made)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"train_sizes": 16}, "train_sizes = 16: must be a sequence, (16,) for a single one"),
        ({"train_sizes": (16,), "seeds": 0}, "seeds = 0: must be a sequence, (0,) for a single one"),
        ({"train_sizes": "16"}, "train_sizes = 16: must be a sequence, ('16',) for a single one"),
        ({"train_sizes": (16,), "architectures": "lenet"},
         "architectures = lenet: must be a sequence, ('lenet',) for a single one"),
        ({"train_sizes": (16,), "architectures": 3}, "architectures = 3: must be a sequence, (3,) for a single one"),
        ({"train_sizes": (16,), "architectures": (3,)}, "architectures = (3,): must be names"),
    ],
)  # fmt: skip
def test_a_single_one_is_no_sequence(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Experiment(ImageConfig(), **values)
    assert str(caught.value) == message
    assert Experiment(ImageConfig(), range(8, 10), [0], {"lenet"}).train_sizes == (8, 9)  # type: ignore[arg-type]


def test_an_absent_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="^file = .*no such file$"):
        read_experiments(tmp_path / "none.toml")


def test_each_run_must_be_allowed_and_the_base_is_none_of_them(tmp_path: Path) -> None:
    """A batch that no run of the grid is too small for is allowed; one that is too large for one tells the line."""
    text = '[[experiment]]\nkind = "stripe"\nbatch_size = {}\ntrain_sizes = [{}, 4096]\n'
    path = tmp_path / "e.toml"
    path.write_text(text.format(2048, 2048))
    assert len(read_experiments(path)[0].configs()) == 6
    path.write_text(text.format(64, 16))
    with pytest.raises(InputError, match=r"e\.toml, line 3: batch_size = 64: must be"):
        read_experiments(path)


def test_digits_are_enlarged_as_by_the_commands(tmp_path: Path) -> None:
    """On their own 8 pixels a displacement of one folds; other sets keep their size, and one that is given stays."""
    for line, size in (("", 16), ('dataset = "digits"', 16), ("image_size = 8", 8), ('dataset = "mnist"', None)):
        file = tmp_path / "e.toml"
        file.write_text(f'[[experiment]]\nkind = "image"\ntrain_sizes = [16]\n{line}\n')
        (grid,) = read_experiments(file)
        assert isinstance(grid.base, ImageConfig)
        assert grid.base.image_size == size

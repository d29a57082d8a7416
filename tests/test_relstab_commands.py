"""The command line as users meet it: bad input, help, JSON, and each command once on something small."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import relstab
from theory import read_table, write_table

torch_missing = "torch and torchvision are not installed"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and no data folder in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RELSTAB_DATA", raising=False)
    return tmp_path


def refuses(arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must be refused: status 2, and no output but one line (and progress); the line."""
    assert relstab.main(arguments.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if not re.match(r"[^:]+: +\d+% ", line)]  # no progress
    assert len(lines) == 1
    return lines[0]


THEORY = [
    ("--train-size 0", "train_sizes = 0: must be a whole number, at least 1"),
    ("--train-size 8 --dim 1", "dim = 1: must be a whole number, at least 2"),
    ("--train-size 8 --loss mse", "loss = mse: must be one of hinge, softhinge, squaredhinge"),
    ("--train-size 8 --backend cuda", "backend = cuda: must be one of auto, numpy, numba, cupy"),
    ("--train-size 8 --informative-dim 0", "informative_dim = 0: must be a whole number, at least 1"),
    ("--train-size 8 --informative-dim 30", "informative_dim = 30: must be a whole number, at least 2 and at most 29"),
    ("--train-size 8 --noise-norms -1", "noise_norms = -1.0: must be a finite number, above 0"),
    ("--train-size 8 --integrator heun", "integrator = heun: must be one of auto, euler, exponential, sliding"),
    ("--train-size 8 --seeds 0", "seeds = 0: must be a whole number, at least 1"),
    ("--train-size 8 --output curve.txt", "output = curve.txt: must end in .csv or .parquet"),
]


@pytest.mark.parametrize(("arguments", "message"), THEORY)
def test_theory_refuses(arguments: str, message: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refuses(f"theory simulate {arguments}", capsys) == f"relstab: {message}"
    assert list(here.iterdir()) == []


@pytest.mark.slow
def test_theory_resumes_and_says_so_in_one_line_when_it_gave_up(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same command twice, with a store: the same table; what is missing is told each time, without a path."""
    command = (
        "theory simulate --train-sizes 16 32 --dim 5 --informative-dim 2 --width 20 --seeds 2 --test-size 200 "
        "--unfit-fractions 0.9 0.0 --max-steps 260 --noise-norms 0.5 --store runs --output {}.csv"
    )
    tables = []
    for name in ("first", "second"):
        with pytest.warns(RuntimeWarning, match=r"P = \d+, seed \d: max_steps after"):
            assert relstab.main(command.format(name).split()) == 0
        tables.append(Path(f"{name}.csv").read_text())
    assert tables[0] == tables[1]
    assert tables[0].startswith("# relstab theory simulate --train-sizes 16 32 --dim 5 --informative-dim 2 --seeds 2")
    assert "cylinder-d5-2" in tables[0]
    assert len(list(here.glob("runs/[!.]*/record.csv"))) == 4
    done = subprocess.run(
        [sys.executable, relstab.__file__, *command.format("third").split()], capture_output=True, text=True, check=True
    )
    warned = [line for line in done.stderr.splitlines() if "records are missing" in line]
    assert warned
    assert all(line.startswith("relstab: warning: P = ") for line in warned)
    assert "curves.py" not in done.stderr


NETS = [
    ("train --train-size 0", "train_size = 0: must be a whole number, at least 1"),
    ("train --train-size 2000", "train_size = 2000: digits has 1297 training images"),
    ("train --cutoff 1", "cutoff = 1: must be a whole number, at least 2"),
    ("train --displacement 5", "displacement = 5.0: folds: at cutoff 3 and 16 pixels the temperature must be at most"),
    ("train --dataset imagenet", "dataset = imagenet: must be one of fashion-mnist, mnist, cifar10, svhn, digits"),
    ("train --architecture vgg", "architecture = vgg: must be one of fully-connected, fc2, fc4, fc6, lenet"),
    ("train --architecture vgg11", "image_size = 16: must be at least 28 for vgg11"),
    ("train --average mode", "average = mode: must be one of mean, median, coordinate-median"),
    ("train --dataset mnist", "data = None: mnist needs the folder of the data sets: give it, or set RELSTAB_DATA"),
    ("train --dataset mnist --data nowhere", "data = nowhere: no such folder"),
    ("train --dataset stripe --dim 1", "dim = 1: must be a whole number, at least 2"),
    ("train --dataset stripe --learning-rate 0.1", "learning_rate = 0.1: is adam's; that of sgd is h times time_step"),
    ("train --dim 5", "dim = 5: is not read for digits; leave it out"),
    ("train --dataset stripe --scale 1000", "scale = 1000.0: must be at most 100"),
    ("train --dataset stripe --average median", "average = median: compares all pairs of probes"),
    ("train --seed 99999999999999999999", "seed = 99999999999999999999: must be a whole number"),
    ("train --train-size 0 --output new/nets.csv", "train_size = 0"),
    ("sample --seed 99999999999999999999", "seed = 99999999999999999999: must be a whole number"),
    ("sample --cutoff 1000000", "cutoffs = 1000000: must be a whole number, at least 2 and at most 4096"),
    ("train --output nets.xls", "output = nets.xls: must end in .csv or .parquet"),
    ("sample --cutoff 1", "cutoffs = 1: must be a whole number, at least 2"),
    ("sample --temperature 10", "temperature = 10.0: folds: at cutoff 3 and 16 pixels the temperature must be at most"),
    ("sample --displacement 1 --temperature 0.001", "displacement, temperature = (1.0, 0.001): exactly one"),
    ("sample --calibration rough", "calibration = rough: must be one of paper, exact"),
    ("sample --folding never", "folding = never: must be one of keep, reject, allow"),
    ("sample --output grid.tiff", "output = grid.tiff: must end in .png"),
    ("sample --image-size 4", "image_size = 4: must be a whole number, at least 8"),
    ("demo --seeds 0", "seeds = 0: must be a whole number, at least 1"),
]


@pytest.mark.parametrize(("arguments", "message"), NETS)
def test_nets_refuse(arguments: str, message: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torchvision", reason=torch_missing)
    assert refuses(arguments, capsys).startswith(f"relstab: {message}")
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--learning-rate 1e9 --epochs 2 --min-steps 20", "learning_rate = 1000000000.0: the loss became "),
        ("--dataset stripe --time-step 1e20 --train-size 16 --width 10", "time_step = 1e+20: the outputs overflowed"),
    ],
)
def test_a_loss_that_is_not_finite_is_refused(
    arguments: str, message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torchvision", reason=torch_missing)
    assert refuses(f"train --output nets.csv {arguments}", capsys).startswith(f"relstab: {message}")
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "file = experiment.toml: no such file"),
        ("[[experiment", "file = experiment.toml: is not TOML"),
        ("a = 1", "a = 1: is not read; a file holds [[experiment]] tables"),
        ("", "file = experiment.toml: holds no [[experiment]]"),
        ('[[experiment]]\nkind = "video"', "kind = video: must be one of image, stripe"),
        ('[[experiment]]\nkind = "image"', "train_sizes = None: an experiment must name at least one"),
        ('[[experiment]]\nkind = "image"\ntrain_sizes = [0]', "train_sizes = 0: must be a whole number, at least 1"),
        ('[[experiment]]\nkind = "image"\ntrain_sizes = 8', "train_sizes = 8: must be a list"),
        ("experiment = [1, 2]", "file = experiment.toml: holds no [[experiment]]"),
        ('[[experiment]]\nkind = "image"\ntrain_sizes = [8]\ndataset = 5', "dataset = 5: must be text"),
        (
            '[[experiment]]\nkind = "image"\nimage_size = 16\ntrain_sizes = [8]\n'
            '[[experiment]]\nkind = "image"\nimage_size = 16\ntrain_sizes = [8]\nbatch_size = 8',
            "experiments = 6 runs: two differ only in settings that the curve table does not hold",
        ),
        ('[[experiment]]\nkind = "image"\ntrain_sizes = [8]\nsped = 1', "sped = 1: is no key of an experiment"),
        (
            '[[experiment]]\nkind = "image"\nimage_size = 16\ntrain_sizes = [5000]',
            "train_size = 5000: digits has 1297 training images",
        ),
        ('[[experiment]]\nkind = "stripe"\ntrain_sizes = [8]\narchitectures = ["lenet"]', "architectures = ('lenet',)"),
    ],
)
def test_sweep_refuses(text: str | None, message: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torchvision", reason=torch_missing)
    file = here / "experiment.toml"
    if text is not None:
        file.write_text(text)
    told = refuses("sweep experiment.toml --output curve.csv", capsys)
    assert re.match(rf"relstab: (experiment\.toml, line \d+: )?{re.escape(message)}", told)
    assert not (here / "curve.csv").exists()
    assert list(here.glob("runs/*")) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("compare nothing.csv", "table = nothing.csv: no such file"),
        ("report nothing.csv", "table = nothing.csv: no such file"),
        ("compare good.csv --output fits.txt", "output = fits.txt: must end in .csv"),
        ("report good.csv --output page.pdf", "output = page.pdf: must end in .html"),
        ("report good.csv --dataset mnist", "data = None: mnist needs the folder of the data"),
        ("report good.csv --dataset digits --displacement 9", "displacement = 9.0: folds"),
        ("report good.csv --displacement 7", "displacement = 7.0: may be given only with --dataset"),
        ("report good.csv --data folder", "data = folder: may be given only with --dataset"),
        *(
            (f"{command} {files} --stage bogus", "stage = bogus: must be one of the theory's stages: q=0.3")
            for command in ("compare", "report")
            for files in ("good.csv", "theory.csv")
        ),
        *((f"{command} nets.csv --stage bogus", "stage = bogus: needs rows") for command in ("compare", "report")),
        (
            "compare good.csv theory.csv",
            "tables together = theory, t, a, train_size 10, seed 0, q=0.3: two rows of good.csv and theory.csv are the"
            " same",
        ),
        ("compare bad.csv", "bad.csv = a, b: lacks the columns source, task"),
        ("report bad.csv", "bad.csv = a, b: lacks the columns source, task"),
    ],
)
def test_compare_refuses(arguments: str, message: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "bad.csv").write_text("a,b\n1,2\n")
    table = planted()
    theory = table["source"] == "theory"
    for name, rows in (("good", table), ("theory", table[theory]), ("nets", table[~theory])):
        write_table(rows, here / f"{name}.csv")
    assert refuses(arguments, capsys).startswith(f"relstab: {message}")
    assert sorted(p.name for p in here.iterdir()) == ["bad.csv", "good.csv", "nets.csv", "theory.csv"]


def planted() -> pd.DataFrame:
    """Theory and measurement that fall as 1/P, three seeds."""
    rows = [
        {"source": source, "task": "t", "architecture": "a", "train_size": p, "seed": s, "stage": "q=0.3",
         "relative_stability": (1 + 0.1 * s) / p, "test_error": 0.1}
        for source in ("theory", "stripe-net") for p in (10, 100, 1000) for s in range(3)
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.slow
def test_theory_writes_the_curve_and_prints_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = "theory simulate --train-size 64 32 --dim 5 --width 40 --seeds 2 --test-size 200 --json --output c.csv"
    assert relstab.main(command.split()) == 0
    result = json.loads(capsys.readouterr().out)
    table = read_table(here / "c.csv")
    assert len(result["rows"]) == len(table) == 2 * 2 * 5
    assert (here / "c.csv").read_text().startswith("# relstab theory simulate --train-sizes 64 32 --dim 5 --seeds 2 ")
    again = (here / "c.csv").read_text().splitlines()[0].removeprefix("# relstab ")
    assert relstab.main([*again.split(), "--output", "again.csv"]) == 0
    pd.testing.assert_frame_equal(read_table(here / "again.csv"), table)


def test_train_and_sample_print_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torchvision", reason=torch_missing)
    command = "train --train-size 32 --epochs 1 --min-steps 5 --json --output t.csv"
    assert relstab.main(command.split()) == 0
    stages = json.loads(capsys.readouterr().out)["stages"]
    assert [stage["stage"] for stage in stages] == ["initial", "trained"]
    assert read_table(here / "t.csv")["relative_stability"].tolist() == pytest.approx(
        [stage["relative_stability"] for stage in stages], rel=1e-6
    )
    command = "sample --cutoffs 2 3 --displacement 0.5 --count 100 --json --output g.png"
    assert relstab.main(command.split()) == 0
    ensembles = json.loads(capsys.readouterr().out)["ensembles"]
    assert [e["cutoff"] for e in ensembles] == [2, 3]
    assert (here / "g.png").read_bytes().startswith(b"\x89PNG")


def test_sweep_writes_the_table_and_keeps_its_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torchvision", reason=torch_missing)
    (here / "e.toml").write_text(
        '[[experiment]]\nkind = "image"\ntrain_sizes = [16, 32]\nseeds = [0]\narchitectures = ["lenet"]\n'
        "image_size = 16\nepochs = 1\nmin_steps = 5\n"
        '[[experiment]]\nkind = "stripe"\ntrain_sizes = [32]\nseeds = [0]\ndim = 5\nwidth = 30\nprobe_size = 100\n'
    )
    assert relstab.main(["sweep", "e.toml", "--output", "s.csv"]) == 0
    table = read_table(here / "s.csv")
    assert sorted(set(table["source"])) == ["images", "stripe-net"]
    assert len(list((here / "runs").glob("[!.]*"))) == 3
    assert relstab.main(["sweep", "e.toml", "--output", "again.csv"]) == 0
    assert (here / "again.csv").read_text() == (here / "s.csv").read_text()  # wall times too: nothing ran again


@pytest.mark.slow
def test_compare_and_report(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_table(planted(), here / "good.csv")
    assert relstab.main(["compare", "good.csv", "--output", "fits.csv"]) == 0
    out = capsys.readouterr().out
    assert "explains this curve" in out
    assert all(len(line) <= 80 for line in out.splitlines())
    assert relstab.main(["compare", "good.csv", "--json"]) == 0
    assert "verdict" in json.loads(capsys.readouterr().out)
    assert relstab.main(["report", "good.csv"]) == 0
    assert (here / "relstab-report" / "report.html").is_file()
    if importlib.util.find_spec("torchvision"):
        assert relstab.main(["report", "good.csv", "--dataset", "digits", "--output", "with/images.html"]) == 0
        assert (here / "with" / "images_figures" / "deformed-images.png").is_file()


def status(arguments: list[str]) -> int | str | None:
    """The exit status, whether it is returned or, as by help of one command, raised."""
    try:
        return relstab.main(arguments)
    except SystemExit as stop:
        return stop.code


def test_help_names_every_command_and_gives_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (["--help"], ["demo", "theory", "sample", "train", "sweep", "compare", "report"]),
        (["theory", "simulate", "--help"], ["relstab theory simulate --train-size", "--seed", "--json"]),
        (["demo", "--help"], ["relstab demo --output", "--seed", "--json"]),
        (["train", "--help"], ["relstab train --dataset", "--seed", "--json"]),
        (["sample", "--help"], ["relstab sample --cutoffs", "--seed", "--json"]),
        (["sweep", "--help"], ["relstab sweep experiment.toml", "--json"]),
        (["compare", "--help"], ["relstab compare ", "--json"]),
        (["report", "--help"], ["relstab report ", "--json"]),
    ):
        assert status(arguments) == 0
        text = capsys.readouterr().out
        assert [word for word in words if word not in text] == []


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("train", "resnet-small, vgg-small, vgg-small-bn, airbench"),
        ("sample", "called as function(ensemble, count, rng) at T and at 4 T"),
        ("sample", "size (n), cutoff (c), temperature (T), and mode_std"),
        ("sample", "exit status 1 if it fails"),
    ],
)
def test_help_says_what_an_option_takes(command: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        relstab.main([command, "--help"])
    # The lines of a box, put together again; one may have been broken behind a hyphen.
    assert words.replace(" ", "") in re.sub(r"[\s│]", "", capsys.readouterr().out)


@pytest.mark.slow
def test_the_core_works_without_torch(here: Path) -> None:
    """Theory, fits, report and help run where torch cannot be imported; training says what to install."""
    write_table(planted(), here / "good.csv")
    script = here / "without_torch.py"
    script.write_text(
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'torchvision', 'sklearn', 'safetensors'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Block())\n"
        "import relstab\n"
        "assert relstab.main('theory simulate --train-size 16 --dim 3 --width 10 --test-size 50 "
        "--unfit-fractions 0.9'.split()) == 0\n"
        "assert relstab.main(['compare', 'good.csv']) == 0\n"
        "assert relstab.main(['report', 'good.csv']) == 0\n"
        "assert relstab.main(['train']) == 2\n"
        "assert relstab.main(['demo']) == 2\n"
        "assert not any(name.split('.')[0] == 'torch' for name in sys.modules)\n"
    )
    root = Path(relstab.__file__).parent
    done = subprocess.run(
        [sys.executable, str(script)], env={"PYTHONPATH": str(root)},
        capture_output=True, text=True, cwd=here, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("not installed: this command needs pip install 'relstab[nets]'") == 2


SAMPLER = """
import numpy as np

def uniform(ensemble, count, rng):
    c = ensemble.cutoff
    u = np.linspace(0, 1, ensemble.size)
    modes = np.sin(np.pi * u[:, None] * np.arange(1, c + 1))
    draws = (rng.random((count, 2, c, c)) - 0.5) * 12**0.5 * ensemble.mode_std
    return ensemble.size * modes @ draws.swapaxes(-1, -2) @ modes.T

def flat(ensemble, count, rng):
    return np.zeros((count, ensemble.size))

def broken(ensemble, count, rng):
    return undefined_name

def ragged(ensemble, count, rng):
    return [[1.0], [1.0, 2.0]]

constant = 3
"""


@pytest.mark.skipif(not importlib.util.find_spec("torch"), reason=torch_missing)
def test_samplers_are_put_through_the_battery(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "own_sampler.py").write_text(SAMPLER)
    assert relstab.main(["sample", "--check", "--json"]) == 0
    ours = json.loads(capsys.readouterr().out)["checks"][0]
    assert ours["consistent"]
    assert len(ours["checks"]) == 11
    assert relstab.main(["sample", "--check"]) == 0
    assert "own sampler" not in capsys.readouterr().out
    failing = ["sample", "--check", "--sampler", "own_sampler:uniform"]
    assert relstab.main(failing) == 1
    shown, told = capsys.readouterr()
    assert told == "relstab: the sampler own_sampler:uniform fails the maximum-entropy statistics at c = 3\n"
    assert "folds among 1000 fields of relstab's own sampler" in " ".join(shown.split())
    assert relstab.main([*failing, "--json"]) == 1
    assert not json.loads(capsys.readouterr().out)["checks"][0]["consistent"]
    assert "not the maximum-entropy ensemble (family-wise level 0.01)" in shown
    assert "coefficients are Gaussian" in shown
    for arguments, message in (
        ("--sampler own_sampler:uniform", "sampler = own_sampler:uniform: is read with --check only"),
        ("--check --sampler own_sampler", "sampler = own_sampler: must be package.module:function"),
        ("--check --sampler nowhere:f", "sampler = nowhere:f: its module cannot be imported (ModuleNotFoundError"),
        ("--check --sampler own_sampler:broken", "sampler = own_sampler:broken: fails: NameError: name 'undefined_"),
        ("--check --sampler own_sampler:ragged", "sampler = own_sampler:ragged: fails: ValueError: "),
        ("--check --sampler own_sampler:flat", "fields.shape = (4000, 16): must be (4000, 2, 16, 16)"),
        ("--check --sampler own_sampler:constant", "must be a function of own_sampler"),
    ):
        assert message in refuses(f"sample {arguments}", capsys)


def test_an_interrupt_says_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the command has a store, that what was finished is there; elsewhere nothing is."""
    import theory.runs.curves

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(theory.runs.curves, "curve", interrupted)
    simulate = "theory simulate --train-sizes 16 32 --seeds 2"
    for given, told in (("", "relstab: interrupted\n"), (f" --store {tmp_path}/runs", "; what was finished is in ")):
        assert relstab.main((simulate + given).split()) == 130
        assert told in capsys.readouterr().err

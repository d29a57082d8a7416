"""Numbers of nets on sparse random hierarchies, on scale detection, and of training on changed inputs."""

from __future__ import annotations

from functools import cache

import numpy as np

from compare import ErrorCurves, Hierarchies, HierarchyLaw, Intervention, describe_hierarchies, intervention
from paper.figures.hierarchies import augmentation_table, hierarchy_table, trained_outputs
from paper.numbers.formats import full, names, plain, short, span
from paper.numbers.image_table import DATA
from theory import Estimate, InputError, read_table
from theory.common.estimate import geometric_mean, mean

__all__ = ["numbers"]

#: Of the intervention on images.
IMAGES = "fashion_augmentation.csv"
_SYMBOLS = {"relative_stability": "R", "diffeo_stability": "D", "noise_stability": "G", "synonym_stability": "S"}


def numbers() -> dict[str, str]:
    """Keys begin with ``hier``; those of scale detection with ``scale-detection``."""
    return _laws() | _together() | _placements() | _images() | _scale()


@cache
def found() -> Hierarchies:
    """What all nets of the usual training say."""
    return describe_hierarchies(hierarchy_table())


def law(kind: str, levels: int = 2) -> HierarchyLaw:
    """Of P* of one kind of net."""
    return next(one for one in found().laws if one.label.startswith(kind) and one.label.endswith(f"L = {levels}"))


def exponent(one: HierarchyLaw) -> Estimate:
    """Of s_0 + 1."""
    if one.sparsity_exponent is None:
        raise InputError("srhm", one.label, "has one s_0 only; the text asks for the exponent of s_0 + 1")
    return one.sparsity_exponent


def _laws() -> dict[str, str]:
    cnn, lcn = law("cnn"), law("lcn")
    if cnn.rules_exponent is None:
        raise InputError("srhm", cnn.label, "has one n_c m^L only; the text asks for its exponent")
    everything = trained_outputs(hierarchy_table())
    counts = everything.groupby(["task", "architecture", "train_size"])["seed"].nunique()
    second = {name: [ratio.value for _, ratio in ratios] for name, ratios in found().ratios.items()}
    return {
        "hier.all": str(len(everything)), "hier.least.seeds": str(counts.min()),
        "hier.cnn.exponent": full(exponent(cnn)), "hier.cnn.rules": full(cnn.rules_exponent),
        "hier.cnn.prefactor": full(cnn.prefactor), "hier.cnn.count": str(len(cnn.hierarchies)),
        "hier.lcn.exponent": full(exponent(lcn)), "hier.lcn.prefactor": full(lcn.prefactor),
        "hier.lcn.count": str(len(lcn.hierarchies)),
        "hier.ratio.D": span(second["diffeo_stability"]), "hier.ratio.S": span(second["synonym_stability"]),
    }  # fmt: skip


def output() -> ErrorCurves:
    """The error beside the measures at the output."""
    return next(curve for curve in found().curves if not curve.layer)


def slope() -> Estimate:
    """Of log eps_t on log R_f over all nets of a seed; the mean over seeds."""
    slopes = []
    for _, own in output().points.groupby("seed"):
        x, y = (np.log(own[name].to_numpy(dtype=float)) for name in ("relative_stability", "test_error"))
        slopes.append(float(np.polyfit(x, y, 1)[0]))
    return mean(slopes)


def closer() -> str:
    """Whether R_f or D_f goes with the error more closely."""
    gap = output().differences["diffeo_stability"]
    words = f"the difference is {short(gap)}"
    if gap.high < 0:
        return f"$D_f$ alone tells slightly more than $R_f$: {words}"
    return f"$R_f$ tells more than $D_f$: {words}" if gap.low > 0 else f"neither tells significantly more: {words}"


def _together() -> dict[str, str]:
    curve = output()
    layer = next(one for one in found().curves if one.layer == "layer2")
    stability, error = (curve.points[name] for name in ("relative_stability", "test_error"))
    told = {
        "hier.nets": str(curve.n), "hier.seeds": str(curve.n_seeds), "hier.left": str(curve.left_out),
        "hier.slope": short(slope()), "hier.closer": closer(),
        "hier.R.span": f"{plain(stability.max())} to {plain(stability.min())}",
        "hier.error.span": f"{plain(error.max())} to {plain(error.min())}",
        "hier.within": plain(float(np.exp(curve["relative_stability"].spread.value))),
    }  # fmt: skip
    for name, symbol in _SYMBOLS.items():
        told[f"hier.r.{symbol}"] = short(curve[name].correlation)
        told[f"hier.layer.r.{symbol}"] = short(layer[name].correlation)
    return told


def curve_at(stability: float) -> Estimate:
    """eps_t of the usual training at an R_f: of the nets within a factor 1.5, their geometric mean."""
    points = output().points
    near = np.abs(np.log(points["relative_stability"].to_numpy(dtype=float) / stability)) < np.log(1.5)
    if near.sum() < 5:
        raise InputError("R_f", stability, "has fewer than five nets of the usual training near it")
    return geometric_mean(points.loc[near, "test_error"].to_numpy(dtype=float))


@cache
def interventions() -> Intervention:
    """Of changed training inputs on the hierarchy."""
    arms = describe_hierarchies(augmentation_table()).intervention
    if arms is None:
        raise InputError("srhm_augmentation.csv", "variant", "holds no changed training; the text needs it")
    return arms


def enough() -> str:
    """Whether nets whose R_f placements made small have the error that nets of the usual training have at that R_f."""
    placed = [arrow for arrow in interventions().arrows if arrow.variant.endswith("placements")]
    stability, error = min(placed, key=lambda arrow: arrow.train_size).changed
    if curve_at(stability.value).high < error.low:
        return "a small R_f is not enough"
    return "nets with a small R_f have a small error, however it was made small"


def _placements() -> dict[str, str]:
    arms = interventions()
    told = {}
    size = min(arrow.train_size for arrow in arms.arrows)
    for arrow in arms.arrows:
        if arrow.train_size == size:
            arm = arrow.variant.rpartition(" ")[2]
            told[f"hier.{arm}.R"] = short(arrow.changed[0])
            told[f"hier.{arm}.error"] = short(arrow.changed[1])
            told["hier.usual.R"], told["hier.usual.error"] = short(arrow.usual[0]), short(arrow.usual[1])
            told["hier.arm.seeds"] = str(arrow.error_change.n)
            if arm == "placements":
                near = curve_at(arrow.changed[0].value)
                told["hier.curve.error"], told["hier.curve.nets"] = short(near), str(near.n)
                told["hier.enough"] = enough().replace("R_f", "$R_f$")
    last = max((arrow for arrow in arms.arrows if arrow.variant.endswith("noise")), key=lambda arrow: arrow.train_size)
    for name, (stability, error) in (("usual", last.usual), ("noise", last.changed)):
        told[f"hier.last.{name}.R"], told[f"hier.last.{name}.error"] = short(stability), short(error)
    told["hier.last.size"] = str(last.train_size)
    savings = {variant.rpartition(" ")[2]: ratio for _, variant, ratio in arms.savings}
    told |= {f"hier.saving.{arm}": full(ratio) for arm, ratio in savings.items()}
    return told | {"hier.arm.size": str(size)}


@cache
def image_arms() -> Intervention:
    """Of changed training images on FashionMNIST."""
    return intervention(read_table(DATA / IMAGES))


def _images() -> dict[str, str]:
    told: dict[str, list[str]] = {}
    labels = {"lenet": "LeNet", "vgg-small": "VGG-6"}
    for arrow in image_arms().arrows:
        net = labels[arrow.where.rpartition(", ")[2]]
        arm = arrow.variant.rpartition(" ")[2]
        told.setdefault(f"hier.images.{arm}.R", []).append(
            f"{short(arrow.ratios['relative_stability'])} ({net}, $P$ = {arrow.train_size})"
        )
        told.setdefault(f"hier.images.{arm}.error", []).append(
            f"{short(Estimate(*(100 * x for x in _ends(arrow.error_change))))} ({net}, $P$ = {arrow.train_size})"
        )
    seeds = {arrow.error_change.n for arrow in image_arms().arrows}
    if len(seeds) > 1:
        raise InputError(IMAGES, sorted(seeds), "must have one number of paired seeds; the text states one")
    return {key: names(words) for key, words in told.items()} | {
        "hier.images.seeds": str(seeds.pop()), "hier.images.verdict": image_arms().verdict(),
    }  # fmt: skip


def _ends(one: Estimate) -> tuple[float, float, float]:
    return one.value, one.low, one.high


def _scale() -> dict[str, str]:
    """G_f at the largest P over that at the smallest, and likewise D_f, seed by seed, of each task."""
    table = read_table(DATA / "scale_detection.csv")
    rows = table[(table["stage"] == "trained") & (table["layer"] == "")]
    told = {"scale-detection.smallest": str(rows["train_size"].min())}
    told["scale-detection.largest"] = str(rows["train_size"].max())
    for name in ("diffeo_stability", "noise_stability"):
        words = []
        for task, own in rows.groupby("task"):
            ends = own.pivot_table(index="seed", columns="train_size", values=name)
            ratio = geometric_mean((ends[ends.columns.max()] / ends[ends.columns.min()]).to_numpy())
            words.append(f"{full(ratio)} ({str(task).split('-')[1]})")
        told[f"scale-detection.{_SYMBOLS[name]}"] = names(words)
    return told

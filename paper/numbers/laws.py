"""Which law describes R_f(P) of each net: a power, one with a floor or a bend, or the theory's own curve."""

from __future__ import annotations

from compare.fits.law_choice import LawChoice, choose_law
from paper.figures.stripe import flow_table
from paper.numbers.formats import names
from paper.numbers.image_table import NETS, TASKS, image_table
from paper.numbers.images import STAGE

_WORDS = {
    "power": "a power", "floor": "a power with a floor", "broken": "a broken power",
    "theory-shifted": "the theory's curve, shifted in $P$",
    "theory-scaled": "the theory's curve, shifted in $P$ and scaled",
}  # fmt: skip
#: A law whose AICc weight is below this is said to have no support.
LEAST = 0.05


def numbers() -> dict[str, str]:
    table, flow = image_table(), flow_table()
    flow = flow[flow["stage"] == STAGE]
    found = {"laws.least": f"{LEAST:g}"}
    for task in TASKS:
        rows = table[(table["task"] == task) & (table["stage"] == "trained")]
        choices = {net: choose_law(rows[rows["architecture"] == net], flow) for net in NETS}
        found[f"laws.{task}"] = law_sentence(choices)
        found[f"laws.{task}.theory"] = theory_sentence(choices)
    return found


def law_sentence(choices: dict[str, LawChoice]) -> str:
    """The laws that AICc puts first, and the nets whose residuals even these do not pass."""
    groups = {words: [NETS[n] for n, c in choices.items() if c.chosen.name == law] for law, words in _WORDS.items()}
    text = "; ".join(f"{words} for {names(nets)}" for words, nets in groups.items() if nets)
    failing = [NETS[net] for net, choice in choices.items() if choice.passes is False]
    if failing:
        text += f" (residuals fail their tests for {names(failing)})"
    return text


def theory_sentence(choices: dict[str, LawChoice]) -> str:
    """For which nets the theory's curve, shifted in P alone or scaled as well, has any support."""
    supported = {
        law: [NETS[net] for net, choice in choices.items() if choice.weights().get(law, 0) >= LEAST]
        for law in ("theory-shifted", "theory-scaled")
    }  # fmt: skip
    if not any(supported.values()):
        return "the theory's curve has support for no net, shifted alone or scaled as well"
    clauses = [f"{_WORDS[law]}, for {names(nets) if nets else 'no net'}" for law, nets in supported.items()]
    return f"there is support for {' and '.join(clauses)}"

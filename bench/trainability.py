"""Question: do networks whose weights are anti-correlated, or asymmetric, train faster than he?

    python bench/trainability.py [--part depth ...] [--figure docs/trainability.png]

Students of a random teacher, and the digits, over depths, widths, strengths of the correlation,
optimizers and teachers (`PARTS`): 20 seeds of each ensemble, each ensemble at its own learning
rate, paired with he. Training takes more than half an hour on two cores; files are kept in the
folder, and what is there already is not trained again. docs/training.md reads the tables.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
from harness import RESULTS, hardware

from simcore import theory
from simcore.physics.ensembles import ENSEMBLES
from simcore.training import Digits, TeacherStudent, open_training, resume, train
from simcore.training.differences import differences
from simcore.training.labels import growth, parse_label
from simcore.training.statistics import dead_units, final, steps_to_reach

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
"""Ensembles with one factor of q, that of `rai`."""


def factors(*values):
    """Return he at given factors of q."""
    return tuple(scaled("he", x) for x in values)


FEW = (
    *("he", SMALL[0], "rai@critical", "rai", "raai:10@critical", "raai:10"),
    *("correlated:1", "correlated:inf", "orthogonal"),
)
"""Weights and scale apart, in nine ensembles."""


def rates(first, last):
    """Return the rates from 2^(first/2) to 2^(last/2), a factor of √2 apart."""
    return tuple(float(f"{2.0 ** (i / 2):.3g}") for i in range(first, last + 1))


COMMON = {"width": 64, "steps": 500, "batch": 64, "pilots": 6, "samples": 2000}
TEACHER = {**COMMON, "inputs": 20, "teacher": "he", "teacher_width": 64, "teacher_depth": 3}
"""The same kind of teacher at every depth and width, so that only the students differ."""

SGD = {5: rates(-12, -6), 10: rates(-14, -8), 20: rates(-16, -10), 50: rates(-19, -13)}
"""Rates of the teacher's students by depth: the grid is extended where the best is at its edge."""

TARGET = 0.5
"""Test loss whose steps are told: half the variance of the targets, a fifth of ln 10."""


def students(depth, ensembles, **others):
    return TeacherStudent(
        **{**TEACHER, "rates": SGD[depth], **others}, depth=depth, ensembles=ensembles
    )


PARTS = {
    "scale": [
        students(5, (*EQUAL, *SMALL, *factors(0.1, 0.2, 0.4, 1.3), "torch")),
        students(10, (*EQUAL, *SMALL, *factors(0.4, 0.55, 0.67, 0.87, 1.15))),
        students(20, (*FEW, "raai:1", SMALL[1], BIASED, *factors(0.55, 0.67, 0.87, 1.07))),
    ],
    "online": [students(depth, FEW, samples=32_000) for depth in (5, 10)],
    "adam": [students(depth, FEW, optimizer="adam", rates=rates(-17, -11)) for depth in (5, 10)],
    "mnist": [
        Digits(
            **COMMON | {"samples": 1000},
            pixels=28,
            depth=depth,
            ensembles=FEW,
            rates=rates(-10, -4),
        )
        for depth in (5, 10)
    ],
    "clipped": [students(depth, FEW, clip=1.0) for depth in (5, 10)],
    "common-rate": [students(10, FEW, rates=(rate,)) for rate in rates(-14, -8)[::3]],
    "deep": [
        students(
            50,
            (
                *("he", *factors(0.87, 0.94, 0.97), "orthogonal", "rai", "rai@critical"),
                *("raai:1@critical", "correlated:1"),
            ),
        )
    ],
    "teacher": [
        students(5, FEW, teacher=teacher, teacher_depth=5) for teacher in ("correlated:inf", "rai")
    ],
    "k": [
        students(10, ("he", *(f"correlated:{k}" for k in ("0.25", "0.5", "1", "2", "4", "inf"))))
    ],
    "width": [students(5, FEW, width=128, rates=rates(-13, -7))],
    "long": [students(10, FEW[:6], steps=2000)],
}


def trained(plan, folder, threads):
    """Return the results of a plan, from its file if that is whole."""
    path = folder / plan.default_filename()
    if not path.exists():
        return train(plan, output=path, threads=threads)
    dataset = open_training(path)
    return dataset if dataset.attrs["complete"] else resume(path, threads=threads)


def scales(label):
    """Theory of an ensemble: depth scale of c, and how a gradient's square grows per layer.

    That is π/(π − g), the slope of (7) at c = 1.
    """
    start = parse_label("ensembles", label)
    if start.name not in ENSEMBLES[:2]:
        return {}
    g = start.ensemble.g
    correlation = theory.fixed_point(k=start.ensemble.k).depth_scale_correlation
    return {"depth_scale": correlation, "gradient_growth": math.pi / (math.pi - g)}


def training_losses(dataset):
    """Return by ensemble the final training losses of all seeds, infinite where they diverged."""
    last = dataset["train_loss"].isel(step=-1)
    last = last.where(dataset["diverged"] == 0, math.inf).transpose("ensemble", "seed")
    return {str(x): last.sel(ensemble=x).to_numpy() for x in last["ensemble"].to_numpy()}


def rows(plan, dataset):
    """Return what is told of every ensemble of a run."""
    ends, dead = final(dataset), dead_units(dataset)
    reach = steps_to_reach(dataset, [TARGET])
    found = differences(dataset, "he", [TARGET])
    trained_on = training_losses(dataset)
    for label in (str(x) for x in ends["ensemble"].to_numpy()):
        own, end = dataset.sel(ensemble=label), ends.sel(ensemble=label)
        row = {
            "task": plan.task,
            "width": plan.width,
            "depth": plan.depth,
            "optimizer": plan.optimizer,
            "ensemble": label,
            "rate": float(own["learning_rate"]),
            "at_edge": bool(own["at_edge"]),
            "diverged": int(end["diverged"]),
            "final_loss": end["loss_quantile"].to_numpy().tolist(),
            "final_training_loss": float(np.median(trained_on[label])),
            "lower_training_loss": int((trained_on[label] < trained_on["he"]).sum()),
            "steps": reach["quantile"].sel(ensemble=label).isel(target=0).to_numpy().tolist(),
            "dead_before": float(dead["before"].sel(ensemble=label).mean()),
            "dead_last_before": float(dead["before"].sel(ensemble=label)[-1]),
            "dead_after": float(dead["after"].sel(ensemble=label).mean()),
            **scales(label),
        }
        if "accuracy" in ends:
            row["accuracy"] = end["accuracy_quantile"].to_numpy().tolist()
        for d in (d for d in found if d.ensemble == label):
            row[f"{d.measure}_difference"] = {
                "estimate": d.estimate,
                "interval": d.interval,
                "better": d.better,
                "worse": d.worse,
                "p_corrected": d.p_corrected,
            }
        yield row


def draw(tables, path):
    """Draw the final losses over depth, and over what a gradient grows by from end to end.

    The growth is that of untrained networks of the same width, from `bench/gradients.py students`.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    from simcore.figures.style import COLOURS, STYLE

    measured = json.loads((RESULTS / "gradients.json").read_text())["students"]
    growths = {(_label(row["k"]), row["depth"]): row["measured"] for row in measured}
    with mpl.rc_context(fname=STYLE):
        figure = Figure(figsize=(7.2, 2.9))
        test, training, growth = figure.subplots(1, 3, sharey=True)
        for i, label in enumerate(FEW):
            own = [row for row in tables["depth"] if row["ensemble"] == label]
            low, middle, high = np.array([r["final_loss"] for r in own], dtype=float).T
            depth = [row["depth"] for row in own]
            style = {"color": COLOURS[i % len(COLOURS)], "marker": "o", "ms": 3}
            style["ls"] = "-" if i < len(COLOURS) else "--"
            test.plot(depth, middle, label=label, **style)
            test.fill_between(depth, low, high, color=style["color"], alpha=0.1, lw=0)
            training.plot(depth, [float(r["final_training_loss"]) for r in own], **style)
            known = [growths.get((label, d)) for d in depth]
            if None not in known:
                growth.plot(known, middle, **style)
        for axes in (test, training):
            axes.set_xscale("log")
            axes.set_xlabel("hidden layers $L$")
            axes.set_xticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
            axes.xaxis.set_minor_formatter(NullFormatter())
        test.set_yscale("log")
        test.set_ylim(0.05, 2.0)
        test.set_yticks([0.05, 0.1, 0.2, 0.5, 1, 2], ["0.05", "0.1", "0.2", "0.5", "1", "2"])
        test.yaxis.set_minor_formatter(NullFormatter())
        test.set_ylabel("final loss")
        test.set_title("test", fontsize=8)
        training.set_title("training", fontsize=8)
        growth.set_title("test", fontsize=8)
        growth.set_xlabel(r"measured growth, $\langle\ln|\delta^1|^2/|\delta^L|^2\rangle$")
        for axes in (test, training, growth):
            axes.axhline(1.0, color="black", lw=0.6, ls=":")
        figure.legend(loc="outside right center", fontsize=6)
        figure.savefig(path)


def _label(k):
    """Return the label of an ensemble by the text of its k: ``he``, ``correlated:1``."""
    return "he" if float(k) == 0.0 else f"correlated:{float(k):g}"


def plain(value):
    """Return a value with infinities as text, as JSON has none."""
    if isinstance(value, dict):
        return {name: plain(x) for name, x in value.items()}
    if isinstance(value, list | tuple):
        return [plain(x) for x in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


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
            for row in rows(plan, trained(plan, options.folder, options.threads)):
                print(part, row)
                table.append(plain(row))
        saved[part] = table
        target.write_text(json.dumps({**saved, "hardware": hardware()}, indent=1) + "\n")
    if options.figure is not None:
        draw(saved, options.figure)


if __name__ == "__main__":
    main()

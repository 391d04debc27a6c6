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
from simcore.training.labels import parse_label
from simcore.training.statistics import dead_units, final, steps_to_reach

ALL = (
    "he",
    "correlated:-0.5",
    "correlated:1",
    "correlated:10",
    "correlated:inf",
    "rai",
    "raai:1",
    "raai:10",
    "torch",
    "orthogonal",
)
FEW = ("he", "correlated:1", "correlated:inf", "rai", "raai:10", "torch")

COMMON = {"width": 64, "steps": 500, "batch": 64, "pilots": 8, "samples": 2000}
TEACHER = {**COMMON, "inputs": 20, "teacher": "he", "teacher_width": 64, "teacher_depth": 3}
"""The same kind of teacher at every depth and width, so that only the students differ."""

TARGET = 0.5
"""Test loss whose steps are told: half the variance of the targets, a fifth of ln 10."""

PARTS = {
    "depth": [
        TeacherStudent(**TEACHER, depth=depth, ensembles=ALL) for depth in (2, 5, 10, 20, 50)
    ],
    "width": [
        TeacherStudent(**{**TEACHER, "width": width}, depth=5, ensembles=FEW)
        for width in (32, 128, 256)
    ],
    "adam": [
        TeacherStudent(**TEACHER, depth=depth, ensembles=FEW, optimizer="adam") for depth in (5, 10)
    ],
    "chaotic-teacher": [
        TeacherStudent(
            **{**TEACHER, "teacher": "correlated:inf", "teacher_depth": depth},
            depth=depth,
            ensembles=FEW,
        )
        for depth in (5, 10)
    ],
    "digits": [Digits(**COMMON | {"samples": 1000}, depth=d, ensembles=FEW) for d in (5, 10)],
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
        for i, label in enumerate(ALL):
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

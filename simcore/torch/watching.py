"""A run of a PyTorch model that is watched: hooks on its layers, and the model left as it was."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..errors import InputError
from . import initialization

LAYERS = (*initialization.LAYERS, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
"""Layers that are observed."""

MODES = ("train", "eval")

COMPILED = "_orig_mod"
"""Name under which a compiled module holds the module that it was made of."""


# --- the arguments of the model -------------------------------------------------------------------


@dataclass(frozen=True)
class Arguments:
    """Arguments of a model; `first` is the first tensor of them, a row to each input."""

    given: tuple[Any, ...]
    named: dict[str, Any]
    first: Tensor

    @property
    def count(self) -> int:
        """The number of inputs."""
        return len(self.first)


def arguments(given: tuple[Any, ...], named: dict[str, Any]) -> Arguments:
    """Return the arguments of a model as it is called; of a DataLoader the first batch.

    A batch that is a tuple or list is inputs with their labels, whose first part is taken; one that
    is a dict is named arguments.
    """
    if len(given) == 1 and isinstance(given[0], DataLoader):
        with torch.random.fork_rng([]):  # a loader draws the order of its inputs
            batch = next(iter(given[0]), None)
        if batch is None:
            raise InputError("inputs", "DataLoader", "has no batch", "Give one with inputs.")
        if isinstance(batch, Mapping):
            given, named = (), {**batch, **named}
        else:
            given = (batch[0] if isinstance(batch, tuple | list) else batch,)
    tensors = list(_tensors((given, named)))
    if not tensors:
        shown = ", ".join(type(value).__name__ for value in (*given, *named.values())) or "none"
        remedy = "Stack the inputs along the first dimension."
        raise InputError("inputs", shown, "must be a tensor, or hold one", remedy)
    _check(tensors)
    return Arguments(given, named, tensors[0])


def _check(tensors: list[Tensor]) -> None:
    first = tensors[0]
    if first.dim() < (2 if first.is_floating_point() else 1):
        shown = f"{first.dtype} of shape {tuple(first.shape)}"
        rule = "must be a floating tensor of the shape (inputs, ...), or whole numbers, as of words"
        raise InputError("inputs", shown, rule, "Stack the inputs along the first dimension.")
    if any(tensor.is_meta for tensor in tensors):
        rule = "is the meta device, which holds no numbers"
        raise InputError("inputs", "meta", rule, "Give numbers.")


def _tensors(values: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples, lists and mappings, in their order."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, Mapping):
        yield from _tensors(tuple(values.values()))
    elif isinstance(values, tuple | list):
        for value in values:
            yield from _tensors(value)


# --- the model ------------------------------------------------------------------------------------


def checked_model(model: object) -> nn.Module:
    """Return a model as it was before `torch.compile`; InputError for what is no module."""
    if not isinstance(model, nn.Module):
        raise InputError("model", type(model).__name__, "is no torch.nn.Module", "Give a model.")
    original = getattr(model, COMPILED, model)
    return original if isinstance(original, nn.Module) else model


def modules_of(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield every module with the name it has where nothing is compiled; the model's own is ""."""
    for name, part in model.named_modules():
        if not hasattr(part, COMPILED):
            yield ".".join(word for word in name.split(".") if word != COMPILED), part


def shown(name: str, part: nn.Module) -> str:
    """Return a module's name in its model with its class, or its class alone."""
    kind = type(part).__name__
    return f"{name} ({kind})" if name else kind


def without_data(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the normalisations whose running statistics are still those of no data."""
    found = []
    for name, part in modules_of(model):
        seen = getattr(part, "num_batches_tracked", None)
        if isinstance(seen, Tensor) and not seen.is_meta and int(seen) == 0:
            found.append((name, part))
    return found


def set_mode(model: nn.Module, mode: str | None) -> str:
    """Put the model into a mode and return it in words.

    None is `eval`, but for normalisations that have seen no data, which are put into `train`.
    """
    if mode is not None and mode not in MODES:
        raise InputError("mode", mode, "is not known", "Choose train or eval.")
    model.train(mode == "train")
    fresh = without_data(model)
    if mode is not None or not fresh:
        return mode or "eval"
    for _, part in fresh:
        part.training = True
    names = ", ".join(shown(name, part) for name, part in fresh)
    return f"eval; train in normalisations that have seen no data: {names}"


def run(
    model: nn.Module,
    given: Arguments,
    observe: Callable[[str, nn.Module, Tensor], None],
    mode: str | None,
    back: Callable[[nn.Module, Any, Tensor], Tensor] | None = None,
) -> str:
    """Run a model once, call `observe` with each output of a layer, and return the mode in words.

    Without gradients unless there is a way `back`, which says what a layer gives in place of its
    output; compiled parts as they were before. InputError if the model fails.
    """

    def hook(name: str) -> Callable[[nn.Module, Any, Tensor], Tensor | None]:
        def watched(layer: nn.Module, read: Any, output: Tensor) -> Tensor | None:
            observe(name, layer, output)
            return None if back is None else back(layer, read, output)

        return watched

    with ExitStack() as stack:
        stack.enter_context(torch.set_grad_enabled(back is not None))
        stack.enter_context(kept(model))
        stack.enter_context(_uncompiled())
        for name, part in modules_of(model):
            if isinstance(part, LAYERS):
                watched = hook(name or type(part).__name__)
                handle = part.register_forward_hook(watched)
                stack.callback(handle.remove)
        words = set_mode(model, mode)
        try:
            model(*given.given, **given.named)
        except InputError:
            raise
        except Exception as error:
            told = " ".join(str(error).split()) or type(error).__name__
            rule = f"fails on these inputs: {told}"
            remedy = f"Give what its forward takes, {inspect.signature(model.forward)}."
            raise InputError("model", type(model).__name__, rule, remedy) from error
    return words


def _uncompiled() -> Any:
    """Return a context in which compiled functions run as they were written.

    Hooks and modes that change would compile them anew.
    """
    stance = getattr(torch.compiler, "set_stance", None)  # from PyTorch 2.6 on
    return nullcontext() if stance is None else stance("force_eager")


@contextmanager
def kept(model: nn.Module) -> Iterator[None]:
    """Restore modes and buffers of a model, and PyTorch's random numbers, at the end."""
    parts = list(model.modules())
    modes = [(part, part.training) for part in parts]
    buffers = [
        (part, name, buffer, buffer.clone())
        for part in parts
        for name, buffer in part.named_buffers(recurse=False)
        if not nn.parameter.is_lazy(buffer)
    ]
    devices = {p.device.index for p in model.parameters() if p.device.type == "cuda"}
    with torch.random.fork_rng(sorted(devices)):
        try:
            yield
        finally:
            for part, training in modes:
                part.training = training
            with torch.no_grad():
                for part, name, buffer, before in buffers:
                    part._buffers[name] = buffer
                    buffer.copy_(before)

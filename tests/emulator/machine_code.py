"""Reads disassembled machine code: the loop that draws, and what its instructions are."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.emulator.ptx_program import tool

__all__ = ["Loop", "drawing_loop", "drawing_loops"]

FLOAT64 = {"DADD", "DMUL", "DFMA", "DSETP", "DMNMX"}
NODES = 2
"""Nodes of one pass of the loop."""


@dataclass(frozen=True)
class Loop:
    """Instructions of a loop, all that lie in it: also those that are rarely reached."""

    opcodes: tuple[str, ...]
    operands: tuple[str, ...]

    @property
    def per_node(self) -> float:
        """Instructions of a pass per node."""
        return len(self.opcodes) / NODES

    def count(self, *names: str) -> int:
        """Return how many instructions have one of these names, modifiers apart."""
        found = Counter(opcode.split(".")[0] for opcode in self.opcodes)
        return sum(found[name] for name in names)

    @property
    def wide_products(self) -> int:
        """Products of 32 by 32 bits to 64."""
        return sum(opcode.startswith(("IMAD.WIDE", "UIMAD.WIDE")) for opcode in self.opcodes)

    @property
    def square_roots(self) -> int:
        """Estimates of square roots, exact ones begin with one."""
        return sum(opcode in ("MUFU.RSQ", "MUFU.SQRT") for opcode in self.opcodes)

    @property
    def float64(self) -> int:
        """Instructions of double precision, conversions to and from it included."""
        converted = sum(opcode.startswith("F2F") and ".F64" in opcode for opcode in self.opcodes)
        return self.count(*FLOAT64) + converted

    @property
    def divisions(self) -> int:
        """Estimates of 1/x, with which a division begins."""
        return sum(opcode.startswith("MUFU.RCP") for opcode in self.opcodes)


def drawing_loop(cubin: Path) -> Loop:
    """Return the only innermost loop of a kernel that takes square roots."""
    drawing = drawing_loops(cubin)
    assert len(drawing) == 1, f"{len(drawing)} loops draw"
    return drawing[0]


def drawing_loops(cubin: Path) -> list[Loop]:
    """Return the innermost loops of a kernel that take square roots."""
    command = [tool("nvdisasm"), "-c", str(cubin)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    instructions, labels = _parsed(listed)
    loops = []
    for end, (opcode, operands) in enumerate(instructions):
        target = re.search(r"\((\.L_x_\d+)\)", operands)
        if opcode.startswith("BRA") and target and labels.get(target[1], end + 1) < end:
            loops.append((labels[target[1]], end))
    inner = [a for a in loops if not any(a != b and a[0] <= b[0] and b[1] <= a[1] for b in loops)]
    found = [Loop(*zip(*instructions[start : end + 1], strict=True)) for start, end in inner]
    return [loop for loop in found if loop.square_roots]


def _parsed(listed: str) -> tuple[list[tuple[str, str]], dict[str, int]]:
    """Return the instructions of the code section, and where its labels are."""
    instructions: list[tuple[str, str]] = []
    labels: dict[str, int] = {}
    in_code = False
    for line in listed.splitlines():
        if re.match(r"\s*\.section\s", line):
            in_code = ".text." in line
        label = re.match(r"(\.L_x_\d+):", line)
        if in_code and label:
            labels[label[1]] = len(instructions)
        match = re.match(r"\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?\w+\s+)?([A-Z0-9_.]+)\s*(.*?);", line)
        if in_code and match:
            instructions.append((match[1], match[2]))
    return instructions, labels

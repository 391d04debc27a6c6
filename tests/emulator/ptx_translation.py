"""Translates PTX, the assembly that compilers make for NVIDIA's GPUs, to C++ for the CPU.

What is tested so is not the source of a kernel but what the compilers have made of it. Registers
hold bits; every instruction reads them as its own type says. Whatever is not known is an error:
nothing is guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = ["Translation", "translate"]

C_TYPES = {
    **{f"{kind}{size}": f"uint{size}_t" for kind in "ub" for size in (8, 16, 32, 64)},
    **{f"s{size}": f"int{size}_t" for size in (8, 16, 32, 64)},
    "f32": "float",
    "f64": "double",
    "pred": "bool",
}
SPECIAL = {
    "%tid.x": "threads::current",
    "%ntid.x": "threads::block_size",
    "%ctaid.x": "threads::block_number",
    "%nctaid.x": "threads::blocks",
    "%laneid": "(threads::current % threads::WARP)",
}
COMPARE = {
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "lo": "<",
    "ls": "<=",
    "hi": ">",
    "hs": ">=",
}
UNORDERED = {"equ": "==", "neu": "!=", "ltu": "<", "leu": "<=", "gtu": ">", "geu": ">="}
INVERSE = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "rem": "%"}
INFIX |= {"and": "&", "or": "|", "xor": "^"}
LOGIC = {"and": "&", "or": "|", "xor": "^"}
UNARY = {
    "neg": "-({})",
    "abs": "std::abs({})",
    "sqrt": "std::sqrt({})",
    "rcp": "1 / ({})",
    "not": "~({})",
}


@dataclass
class Translation:
    """A kernel in C++.

    Parameters
    ----------
    source
        The body of a function of `const uint64_t *parameters`.
    parameters
        Names of the parameters, each in a slot of 64 bits.
    """

    source: str
    parameters: list[str]


@dataclass
class Names:
    """What the names in a kernel stand for."""

    parameters: list[str]
    shared: dict[str, int] = field(default_factory=dict)
    local: list[str] = field(default_factory=list)


def translate(ptx: str) -> Translation:
    """Return the only kernel of a module; approximate instructions are an error."""
    ptx = re.sub(r"//.*", "", ptx)
    entries = list(re.finditer(r"\.entry\s+[\w$]+\s*\((.*?)\)[^{]*\{", ptx, re.DOTALL))
    if len(entries) != 1:
        raise NotImplementedError(f"{len(entries)} kernels in a module")
    entry = entries[0]
    parameters = re.findall(r"\.param\s[^,]*?([\w$]+)\s*(?:,|$)", entry[1])
    names = Names(parameters)
    end = 0
    for match in re.finditer(r"\.shared\s+(?:\.align\s+\d+\s+)?\.b8\s+([\w$]+)\[(\d+)\]", ptx):
        names.shared[match[1]] = end
        end += -(-int(match[2]) // 16) * 16
    body = ptx[entry.end() : ptx.rindex("}")]
    declared = dict.fromkeys(_registers(body))
    for match in re.finditer(r"\.local\s+(?:\.align\s+\d+\s+)?\.b8\s+([\w$]+)\[(\d+)\]", body):
        names.local.append(match[1])
        declared |= dict.fromkeys(_own_memory(match[1], int(match[2])))
    body = re.sub(r"(?m)^\s*\.(?:reg|shared|local|pragma|loc)\b[^;]*;", "", body)
    body = re.sub(r"(?m)^\s*[{}]\s*$", "", body)
    body = re.sub(r"(\$[\w$]+):", r"label \1;", body)
    lines = [_statement(text.strip(), names) for text in body.split(";") if text.strip()]
    return Translation("\n".join([*declared, *lines]), names.parameters)


def _registers(body: str) -> list[str]:
    found = []
    for kind, listed in re.findall(r"\.reg\s+\.(\w+)\s+([^;]+);", body):
        size = "bool" if kind == "pred" else f"uint{max(16, int(kind[1:]))}_t"
        for name in listed.split(","):
            many = re.match(r"(%\w+)<(\d+)>", name.strip())
            each = [f"{many[1]}{i}" for i in range(int(many[2]))] if many else [name.strip()]
            found += [f"{size} {_register(one)} = 0;" for one in each]
    return found


def _own_memory(name: str, size: int) -> list[str]:
    """Return a thread's own memory, NaN at first, which has addresses as global memory has."""
    return [f"alignas(16) char {name}[{size}];", f"std::memset({name}, 0xFF, {size});"]


def _register(name: str) -> str:
    return "r_" + re.sub(r"\W", "_", name.removeprefix("%"))


def _label(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _read(operand: str, kind: str, names: Names) -> str:
    """Return an operand as a value of a type."""
    c_type = C_TYPES[kind]
    if operand in SPECIAL:
        return f"({c_type})({SPECIAL[operand]})"
    if operand.startswith("%"):
        name = _register(operand)
        return name if kind == "pred" else f"as<{c_type}>({name})"
    if operand.startswith("!%"):
        return "!" + _register(operand[1:])
    if re.fullmatch(r"0[fF][0-9a-fA-F]{8}", operand):
        return f"as<float>((uint32_t)0x{operand[2:]})"
    if re.fullmatch(r"0[dD][0-9a-fA-F]{16}", operand):
        return f"as<double>((uint64_t)0x{operand[2:]}ull)"
    if operand in names.shared:
        return f"({c_type}){names.shared[operand]}"
    if operand in names.local:
        return f"({c_type}){operand}"
    if re.fullmatch(r"-?\d+|0x[0-9a-fA-F]+", operand):
        suffix = "ull" if operand == "9223372036854775808" else "ll"
        return f"({c_type})({operand}{suffix})"
    raise NotImplementedError(f"operand {operand}")


def _statement(text: str, names: Names) -> str:
    label = re.fullmatch(r"label (\S+)", text)
    if label:
        return f"{_label(label[1])}:;"
    guard = re.match(r"@(!?)(%\w+)\s+", text)
    condition = ""
    if guard:
        condition, text = f"if ({guard[1]}{_register(guard[2])}) ", text[guard.end() :]
    opcode, _, rest = text.replace("\t", " ").partition(" ")
    operands = [part.strip() for part in re.findall(r"(?:\{[^}]*\}|\[[^\]]*\]|[^,])+", rest)]
    code = _instruction(opcode.split("."), [o for o in operands if o], names)
    return f"{condition}{{ {code} }}"


def _instruction(parts: list[str], operands: list[str], names: Names) -> str:
    """Return the C++ of an instruction: `parts` are its name, modifiers and types."""
    name, kind = parts[0], parts[-1]
    if set(parts) & {"ftz", "approx", "full", "sat"}:
        raise NotImplementedError(f"inexact instruction {'.'.join(parts)}")
    if name == "ret":
        return "return;"
    if name == "bra":
        return f"goto {_label(operands[0])};"
    if name in ("bar", "barrier"):
        return f"threads::wait(threads::AT_{'WARP' if 'warp' in parts else 'BLOCK'}_BARRIER);"
    if name in ("ld", "st"):
        return _memory(parts, operands, names)
    if name == "atom":
        return _atomic(parts, operands, names)
    if name == "mov" and any(operand.startswith("{") for operand in operands):
        return _move_halves(operands, names)
    if kind == "pred" or name == "setp":
        return f"{_register(operands[0])} = {_predicate(parts, operands, names)};"
    if name == "shfl":  # whether the other thread is there, the second result, is not told
        operands[0] = operands[0].partition("|")[0]
    return f"put({_register(operands[0])}, {_value(parts, operands, names)});"


def _memory(parts: list[str], operands: list[str], names: Names) -> str:
    """Return a load or a store."""
    at = 0 if parts[0] == "st" else 1
    match = re.fullmatch(r"\[([^\]+]+)(?:\+(-?\d+))?\]", operands[at])
    if match is None or any(part in ("v4", "const") for part in parts):
        raise NotImplementedError(f"{'.'.join(parts)} {operands}")
    base, offset = match[1].strip(), match[2] or "0"
    c_type = C_TYPES[parts[-1]]
    if "v2" in parts:
        single = [part for part in parts if part != "v2"]
        halves = [half.strip() for half in operands[1 - at].strip("{}").split(",")]
        size = int(parts[-1][1:]) // 8
        places = [f"[{base}+{int(offset) + size * i}]" for i in range(2)]
        each = zip(places, halves, strict=True)
        pairs = [[place, half] if at == 0 else [half, place] for place, half in each]
        return " ".join(_memory(single, pair, names) for pair in pairs)
    if base in names.parameters:
        place = f"(const char *)&parameters[{names.parameters.index(base)}] + {offset}"
    elif "shared" in parts:
        place = f"threads::shared + {_read(base, 'u64', names)} + ({offset})"
    else:
        place = f"(char *)({_read(base, 'u64', names)} + ({offset}))"
    if at == 0:
        return f"store<{c_type}>({place}, {_read(operands[1], parts[-1], names)});"
    return f"put({_register(operands[0])}, load<{c_type}>({place}));"


def _atomic(parts: list[str], operands: list[str], names: Names) -> str:
    """Return an addition to global memory; no other thread comes between, as none does on a GPU."""
    if parts[1:3] != ["global", "add"] or parts[-1] not in ("u32", "u64"):
        raise NotImplementedError(".".join(parts))
    match = re.fullmatch(r"\[(%\w+)(?:\+(-?\d+))?\]", operands[1])
    if match is None:
        raise NotImplementedError(f"operand {operands[1]}")
    place = f"(char *)({_read(match[1], 'u64', names)} + ({match[2] or 0}))"
    value = _read(operands[2], parts[-1], names)
    return f"put({_register(operands[0])}, added<{C_TYPES[parts[-1]]}>({place}, {value}));"


def _move_halves(operands: list[str], names: Names) -> str:
    """Return a move between a register of 64 bits and two of 32."""
    halves = [name.strip() for name in max(operands, key=len).strip("{}").split(",")]
    if operands[0].startswith("{"):
        value = _read(operands[1], "u64", names)
        return " ".join(
            f"put({_register(half)}, (uint32_t)({value} >> {32 * i}));"
            for i, half in enumerate(halves)
            if half != "_"
        )
    low, high = (_read(half, "u32", names) for half in halves)
    return f"put({_register(operands[0])}, (uint64_t){low} | (uint64_t){high} << 32);"


def _predicate(parts: list[str], operands: list[str], names: Names) -> str:
    name, kind = parts[0], parts[-1]
    first = _read(operands[1], kind, names)
    if name == "mov":
        return first
    if name == "not":
        return f"!{first}"
    second = _read(operands[2], kind, names)
    if name in LOGIC:
        return f"{first} {LOGIC[name]} {second}"
    if name != "setp" or len(parts) != 3:
        raise NotImplementedError(f"{'.'.join(parts)} {operands}")
    return _compare(parts[1], kind, first, second)


def _compare(how: str, kind: str, first: str, second: str) -> str:
    if how == "nan":
        return f"{first} != {first} || {second} != {second}"
    if how == "num":
        return f"{first} == {first} && {second} == {second}"
    if how == "ne" and kind.startswith("f"):
        return f"{first} < {second} || {first} > {second}"
    if how in UNORDERED:
        return (
            f"!({first} {INVERSE[UNORDERED[how]]} {second})"
            if how != "equ"
            else (f"!({first} < {second} || {first} > {second})")
        )
    return f"{first} {COMPARE[how]} {second}"


def _value(parts: list[str], operands: list[str], names: Names) -> str:
    """Return the result of an instruction that writes a register."""
    name, kind = parts[0], parts[-1]
    c_type = C_TYPES[kind]
    if name == "cvt":
        return _converted(parts, operands, names)
    if name == "cvta" and "shared" not in parts:
        return _read(operands[1], "u64", names)
    if name == "shfl" and parts[2] == "down":
        word, distance = (_read(operand, "u32", names) for operand in operands[1:3])
        return f"threads::shuffle_down({word}, {distance})"
    wide = "wide" in parts
    a = [_read(operand, kind, names) for operand in operands[1:3]]
    if wide:
        c_type = C_TYPES[f"{kind[0]}{2 * int(kind[1:])}"]
        a = [f"({c_type}){operand}" for operand in a]
    elif name in ("shl", "shr"):
        return _shifted(name, kind, a[0], _read(operands[2], "u32", names))
    if name == "selp":
        return f"{_read(operands[3], 'pred', names)} ? {a[0]} : {a[1]}"
    if name in ("fma", "mad"):
        third = _read(operands[3], f"{kind[0]}{2 * int(kind[1:])}" if wide else kind, names)
        return (
            f"std::fma({a[0]}, {a[1]}, {third})"
            if name == "fma"
            else (f"({c_type})({a[0]} * {a[1]} + {third})")
        )
    if name in ("prmt", "bfi"):
        words = [_read(operand, "u32", names) for operand in operands[1:]]
        if name == "bfi":
            return f"inserted({', '.join(words)})"
        return f"permuted((uint64_t){words[1]} << 32 | {words[0]}, {words[2]})"
    if name in ("min", "max"):
        function = f"std::f{name}" if kind.startswith("f") else f"std::{name}<{c_type}>"
        return f"{function}({a[0]}, {a[1]})"
    if name == "mov":
        return a[0]
    if name in UNARY:
        return f"({c_type})({UNARY[name].format(a[0])})"
    if name in INFIX and "hi" not in parts:
        return f"({c_type})({a[0]} {INFIX[name]} {a[1]})"
    raise NotImplementedError(f"{'.'.join(parts)} {operands}")


def _shifted(name: str, kind: str, value: str, distance: str) -> str:
    """Return a shift; beyond the width nothing is left, or the sign."""
    bits, c_type = int(kind[1:]), C_TYPES[kind]
    if name == "shl":
        return f"({c_type})({distance} >= {bits} ? 0 : {value} << {distance})"
    nothing = f"({value} < 0 ? -1 : 0)" if kind.startswith("s") else "0"
    return f"({c_type})({distance} >= {bits} ? {nothing} : {value} >> {distance})"


def _converted(parts: list[str], operands: list[str], names: Names) -> str:
    to, source = parts[-2:]
    value = _read(operands[1], source, names)
    if to.startswith("f"):
        if "rn" not in parts and int(to[1:]) < int(source[1:]):
            raise NotImplementedError(".".join(parts))
        return f"({C_TYPES[to]}){value}"
    if source.startswith("f"):
        if "rzi" not in parts:
            raise NotImplementedError(".".join(parts))
        value = f"std::trunc({value})"
    wide = "int64_t" if to.startswith("s") else "uint64_t"
    return f"({wide if int(to[1:]) > 32 else wide.replace('64', '32')})({C_TYPES[to]}){value}"

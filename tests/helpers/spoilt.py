"""Files spoilt at random: bytes, lines, JSON values, and the header of safetensors."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from introspect_bench.benchmark.errors import IntrospectBenchError

DEEP = "\x00deep\x00"
"""Stands for nested arrays until the text is written: json.dumps has a limit of its own."""
RAW = {
    '"\\u0000nan"': "NaN",
    '"\\u0000inf"': "-Infinity",
    '"\\u0000huge"': "9" * 5000,
    '"\\u0000float"': "1e999",
    '"\\u0000deep\\u0000"': "[" * 2000 + "]" * 2000,
    '"\\u0000objects"': '{"a":' * 200 + "1" + "}" * 200,
}
"""What no library writes, by the string that stands for it."""
VALUES: Sequence[Any] = (
    *(None, True, False, 0, 1, -1, 2, 0.5, -0.5, 1e308, 10**17, 2**31, -(10**17), 2**63),
    *("BF16", "F32", "F16", "I64", "U8", "BOOL", "F8_E4M3", "C64"),
    *("", "a", "x" * 5000, "\ud800", "\x00", "../../etc", "/", "a/b", "NaN", "1", "\u202e", "é"),
    *([], {}, [[]], {"a": 1}, [1, "a", None], [{}], {"": {}}, [0.5] * 40),
    *("\x00nan", "\x00inf", "\x00huge", "\x00float", DEEP, "\x00objects"),
)


def below(rng: np.random.Generator, n: int) -> int:
    """A number from 0 to n - 1."""
    return int(rng.integers(n))


def pick(rng: np.random.Generator, values: Sequence[Any]) -> Any:
    """One of some values, as it is."""
    return values[below(rng, len(values))]


def _nodes(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    inner = value.items() if isinstance(value, dict) else ()
    for key, one in enumerate(value) if isinstance(value, list) else inner:
        yield from _nodes(one, (*place, key))


def spoil_value(value: Any, rng: np.random.Generator) -> Any:
    """Change, add or take away something of a JSON value."""
    place = pick(rng, list(_nodes(value)))
    if not place:
        return pick(rng, VALUES)
    holder = value
    for key in place[:-1]:
        holder = holder[key]
    what, key = below(rng, 10), place[-1]
    if what < 6:
        holder[key] = pick(rng, VALUES)
    elif what == 6:
        del holder[key]
    elif what == 7 and isinstance(holder, dict):
        holder[pick(rng, ("", "a", "mode", "name", "\ud800"))] = holder.pop(key)
    elif what == 8 and isinstance(holder, dict):
        holder[f"{key}\x00twice"] = pick(rng, VALUES)
    elif isinstance(holder, dict):
        other = pick(rng, list(holder))
        holder[key], holder[other] = holder[other], holder[key]
    else:
        holder.insert(0, holder[key])
    return value


def write_value(value: Any, indent: int | None = None) -> bytes:
    """Write JSON with what no library writes: duplicate keys, NaN, numbers of 5,000 digits."""
    text = json.dumps(value, indent=indent)
    for stands, raw in RAW.items():
        text = text.replace(stands, raw)
    return text.replace("\\u0000twice", "").encode()


def spoil_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut, flip, double, drop or overwrite bytes."""
    what, at = below(rng, 9), below(rng, len(data) + 1)
    end = min(len(data), at + pick(rng, (1, 2, 8, 64, 4096)))
    if what == 0:
        return data[:at]
    if what == 1:
        return data[:at] + data[end:]
    if what == 2:
        return data[:end] + data[at:]
    if what == 3:
        return data[:at] + rng.bytes(end - at) + data[end:]
    if what == 4:
        return bytes(pick(rng, (b"", b"\n", b"{}", b"[]", b"null", b"\xff\xfe", b"\x00" * 100)))
    if what == 5:
        return data[:at] + bytes(end - at) + data[end:]
    if what == 6:
        return data.replace(b"\n", pick(rng, (b"", b"\r\n", b"\n\n", b"\xe2\x80\xa8")), 3)
    changed = bytearray(data)
    for _ in range(pick(rng, (1, 2, 16)) if data else 0):
        changed[below(rng, len(data))] ^= 1 << below(rng, 8)
    return bytes(changed)


def spoil(data: bytes, name: str, rng: np.random.Generator) -> bytes:
    """Spoil a file, two times of three as what it holds and else as bytes."""
    if below(rng, 3) == 0:
        return spoil_bytes(data, rng)
    if name.endswith(".safetensors"):
        size = int.from_bytes(data[:8], "little")
        head = write_value(spoil_value(json.loads(data[8 : 8 + size]), rng))
        rest = data[8 + size :]
        if below(rng, 3) == 0 and rest:  # numbers, NaN among them
            rest = pick(rng, (b"\xff", b"\x7f", b"\x00")) * len(rest)
            head = data[8 : 8 + size]
        return len(head).to_bytes(8, "little") + head + rest
    if name.endswith(".jsonl"):
        lines = data.splitlines(keepends=True)
        at, what = below(rng, len(lines)), below(rng, 8)
        if what == 0:
            return b"".join(lines[:at] + lines[at + 1 :])
        if what == 1:
            return b"".join(lines[: at + 1] + lines[at:])
        if what == 2:
            return b"".join([lines[place] for place in rng.permutation(len(lines))])
        lines[at] = write_value(spoil_value(json.loads(lines[at]), rng)) + b"\n"
        return b"".join(lines)
    try:
        return write_value(spoil_value(json.loads(data), rng))
    except ValueError:
        return spoil_bytes(data, rng)


@dataclass(frozen=True, slots=True)
class Case:
    """A sound file and what reads it; `seal` makes hashes elsewhere fit again."""

    name: str
    path: Path
    read: Callable[[], object]
    seal: Callable[[], object] | None = None


def try_all(
    cases: Sequence[Case], n: int, seed: int, tell: Callable[[str, bytes, BaseException], object]
) -> Counter[str]:
    """Spoil the files in turn, `n` times in all, and count what became of reading them."""
    rng, counts = np.random.default_rng(seed), Counter[str]()
    sound = [case.path.read_bytes() for case in cases]
    for case in cases:
        if case.seal is not None:
            case.seal()
        case.read()
    for number in range(n):
        case, data = cases[number % len(cases)], sound[number % len(cases)]
        spoilt = spoil(data, case.path.name, rng)
        case.path.write_bytes(spoilt)
        counts["tried"] += 1
        try:
            if case.seal is not None:
                case.seal()
            case.read()
            counts["read"] += 1
        except IntrospectBenchError:
            counts["refused"] += 1
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a panic of a library's is one
            counts["untyped"] += 1
            tell(case.name, spoilt, error)
        finally:
            case.path.write_bytes(data)
            if case.seal is not None:
                case.seal()
    return counts

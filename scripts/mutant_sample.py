"""Make up faults in a piece of Python: small ones, as people make them.

A boundary moved, a sign turned, an `and` for an `or`, a counter for its neighbour, a step left
out. Each changes one place of the source, and leaves something that still compiles.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

#: Operators by what people take them for.
_OPERATORS = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==",
    "+": "-", "-": "+", "*": "+", "/": "*", "//": "*", "%": "*", "|": "&", "&": "|",
    "+=": "-=", "-=": "+=", "*=": "=", "|=": "=", "<<": ">>", ">>": "<<",
    "and": "or", "or": "and", "is": "is not", "is not": "is", "in": "not in", "not in": "in",
}  # fmt: skip
#: Names by what people take them for.
_NAMES = {
    "min": "max", "max": "min", "any": "all", "all": "any", "ceil": "floor", "floor": "ceil",
    "sent": "received", "received": "sent", "opened": "requested", "requested": "opened",
    "messages_received": "messages_sent", "messages_sent": "messages_received",
    "bytes_received": "bytes_sent", "bytes_sent": "bytes_received", "p50": "p99", "p99": "p50",
    "low": "high", "high": "low", "first": "last", "before": "after", "after": "before",
    "sent_us": "due_us", "due_us": "sent_us", "lost": "in_flight", "in_flight": "lost",
    "open": "opened", "soft": "hard", "hard": "soft", "started_at": "ended_at",
    "ended_at": "started_at", "index": "shards", "popleft": "pop", "append": "appendleft",
    "intended": "service", "service": "intended", "held": "broke", "broke": "held",
    "connections": "refusals", "admitted": "turned_away", "turned_away": "admitted",
}  # fmt: skip
_SYMBOLS = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
    ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%",
    ast.BitOr: "|", ast.BitAnd: "&", ast.LShift: "<<", ast.RShift: ">>",
    ast.And: "and", ast.Or: "or",
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A fault: what stands from `start` to `end` of the source becomes something else."""

    start: int
    end: int
    new: str
    line: int
    what: str

    def apply(self, source: str) -> tuple[str, str]:
        """Return the text to replace, long enough to be found just once, and its replacement."""
        start, end = source.rfind("\n", 0, self.start) + 1, source.find("\n", self.end)
        end = len(source) if end < 0 else end
        while source.count(source[start:end]) > 1:
            start = source.rfind("\n", 0, max(start - 1, 0)) + 1
            end = source.find("\n", end + 1) if end < len(source) else end
            end = len(source) if end < 0 else end
        return source[start:end], source[start : self.start] + self.new + source[self.end : end]


def find(source: str) -> list[Place]:
    """Find every fault that can be made up in a file."""
    lines = [0]
    for line in source.encode().split(b"\n"):
        lines.append(lines[-1] + len(line) + 1)
    data = source.encode()

    def at(line: int, column: int) -> int:
        return len(data[: lines[line - 1] + column].decode())

    tree = ast.parse(source)
    places = []
    for node in _code_of(tree):
        for start, end, new, what in _faults_of(node, source, at):
            place = Place(start, end, new, getattr(node, "lineno", 0), what)
            if place.new != source[start:end] and _compiles(source, place):
                places.append(place)
    return places


def _compiles(source: str, place: Place) -> bool:
    try:
        compile(source[: place.start] + place.new + source[place.end :], "fault", "exec")
    except SyntaxError:
        return False
    return True


def _code_of(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the code that runs: no annotations, imports, docstrings or texts for people."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.Import | ast.ImportFrom | ast.JoinedStr | ast.Raise | ast.Assert):
            continue
        if isinstance(tree, ast.AnnAssign) and child is tree.annotation:
            continue
        if isinstance(tree, ast.arg) or child is getattr(tree, "returns", None):
            continue
        if isinstance(tree, ast.ClassDef) and child in [*tree.keywords, *tree.decorator_list]:
            continue
        if isinstance(tree, ast.If) and getattr(tree.test, "id", "") == "TYPE_CHECKING":
            continue
        yield child
        yield from _code_of(child)


def _faults_of(  # noqa: PLR0912, PLR0915 - one table
    node: Any, source: str, at: Callable[[int, int], int]
) -> Iterator[tuple[int, int, str, str]]:
    def begin(of: Any) -> int:
        return at(of.lineno, of.col_offset)

    def end(of: Any) -> int:
        return at(of.end_lineno, of.end_col_offset)

    def between(left: ast.AST, right: ast.AST, kind: Any) -> Iterator[tuple[int, int, str, str]]:
        symbol = _SYMBOLS.get(type(kind))
        if symbol is None:
            return
        start, stop = end(left), begin(right)
        place = source.find(symbol, start, stop)
        if place >= 0:
            new = _OPERATORS[symbol]
            yield place, place + len(symbol), new, f"{symbol} becomes {new}"

    match node:
        case ast.Compare():
            for left, kind, right in zip(
                [node.left, *node.comparators], node.ops, node.comparators, strict=False
            ):
                yield from between(left, right, kind)
        case ast.BinOp():
            yield from between(node.left, node.right, node.op)
        case ast.BoolOp():
            for left, right in zip(node.values, node.values[1:], strict=False):
                yield from between(left, right, node.op)
        case ast.AugAssign():
            symbol = _SYMBOLS.get(type(node.op), "") + "="
            place = source.find(symbol, end(node.target), begin(node.value))
            if place >= 0 and symbol in _OPERATORS:
                new = _OPERATORS[symbol]
                yield place, place + len(symbol), new, f"{symbol} becomes {new}"
            yield begin(node), end(node), "pass", f"left out: {ast.unparse(node)}"
        case ast.UnaryOp(op=ast.Not()):
            yield begin(node), begin(node.operand), "", "not is left out"
        case ast.Constant(value=bool()):
            yield begin(node), end(node), str(not node.value), f"{node.value} turned"
        case ast.Constant(value=int()):
            yield begin(node), end(node), str(node.value + 1), f"{node.value} becomes one more"
        case ast.Constant(value=float()):
            yield begin(node), end(node), repr(node.value * 1.5 + 0.5), f"{node.value} grows"
        case ast.IfExp():
            swapped = (
                f"({ast.unparse(node.orelse)} if {ast.unparse(node.test)} "
                f"else {ast.unparse(node.body)})"
            )
            yield begin(node), end(node), swapped, "if and else are swapped"
        case ast.If() | ast.While():
            test = f"not ({ast.unparse(node.test)})"
            yield begin(node.test), end(node.test), test, "the condition is turned"
        case ast.Attribute() if node.attr in _NAMES:
            new = _NAMES[node.attr]
            yield end(node) - len(node.attr), end(node), new, f".{node.attr} becomes .{new}"
        case ast.Name() if node.id in _NAMES:
            yield begin(node), end(node), _NAMES[node.id], f"{node.id} becomes {_NAMES[node.id]}"
        case ast.Expr(value=ast.Call() | ast.Await()):
            yield begin(node), end(node), "pass", f"left out: {ast.unparse(node)[:50]}"
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield begin(node), end(node), "pass", f"left out: {ast.unparse(node)[:50]}"
        case ast.Break() | ast.Continue():
            yield begin(node), end(node), "pass", "left out: a jump"
        case ast.Return(value=ast.expr()):
            yield begin(node.value), end(node.value), "None", "returns nothing"

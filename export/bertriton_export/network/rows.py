"""Rows of the packed graph: where each begins is Triton's word, and what stands in them is checked.

Triton lays the rows of all requests of a batch end to end and tells the width of each (`batch_input`), so
that no content can move a row's border. A row that is not what the contract says is computed as one token and
scored NaN, which is its refusal: a graph has no other, and an error would be that of the whole batch.

Most batches are rows of one whole text each. To know that takes a few passes over integers, and they go
straight to the embeddings. Rows with padding, with windows or with faults take a second, slower look.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx
from onnx import TensorProto, helper

from bertriton import contract
from bertriton_export.network.windows import Windows, find_windows, join_windows

if TYPE_CHECKING:
    from bertriton_export.checkpoint import BertConfig
    from bertriton_export.network.graph_builder import GraphBuilder

TOKEN_INPUTS: Final = (contract.INPUT_IDS, contract.TOKEN_TYPE_IDS, contract.POSITION_IDS)
# Wider rows are refused as they are: positions alone would take gigabytes.
MAX_ROW_TOKENS: Final = 2**18

_NUMBERS_A_ROW: Final = 2  # of the shape that Triton tells: 1, since the config reshapes rows, and the width
_EXTREMES: Final = ("ReduceMin", "ReduceMax")


@dataclass(frozen=True)
class Rows:
    """The tokens of all rows without padding, and what is known of the rows: names of graph values."""

    ids: str  # INT32 [T]
    types: str  # INT32 [T]
    marked_positions: str  # INT32 [T]
    windows: Windows
    is_plain: str  # BOOL scalar: every row is one window, whole and without fault
    is_right: str  # BOOL [R, 1], read where that is not so

    def scores(self, g: GraphBuilder, logits: str, probabilities: str, *, labels: int) -> list[str]:
        """Logits and probabilities [R, C], one row a text, from those of all windows [W, C]."""

        def of_any_rows() -> list[str]:
            joined = join_windows(g, logits, probabilities, self.windows, labels=labels)
            nothing = g.constant(float("nan"), np.float32)
            return [g.op("Where", self.is_right, scores, nothing) for scores in joined]

        one_row_a_text = helper.make_tensor_type_proto(TensorProto.FLOAT, [None, labels])
        return g.branch(self.is_plain, lambda: [logits, probabilities], of_any_rows, [one_row_a_text] * 2)


def shapes_name(token_input: str) -> str:
    """The graph's input that tells the shapes of another one's rows."""
    return token_input + contract.SHAPES_SUFFIX


def read_rows(g: GraphBuilder, config: BertConfig) -> Rows:
    """Declare the graph's inputs and emit what turns them into rows of tokens."""
    with g.scope("rows"):
        reader = _RowReader(g, config)
        is_plain = reader.is_plain()
        numbers = helper.make_tensor_type_proto(TensorProto.INT32, [None])
        places = helper.make_tensor_type_proto(TensorProto.INT64, [None, 1])
        truths = helper.make_tensor_type_proto(TensorProto.BOOL, [None, 1])
        types = [numbers, numbers, numbers, places, places, numbers, truths]
        ids, kinds, positions, starts, ends, marks, is_right = g.branch(
            is_plain, reader.plain_rows, reader.checked_rows, types
        )
        count = g.op("Squeeze", g.op("Slice", g.op("Shape", starts), g.constant([0]), g.constant([1])))
    return Rows(ids, kinds, positions, Windows(count, starts, ends, marks), is_plain, is_right)


def row_metadata(config: BertConfig) -> dict[str, str]:
    """What the pip-only server needs to know of rows: where one may be cut, and why one may be refused.

    It runs a row of many windows piece by piece, and finds the fault of a row that is scored NaN.
    """
    marks = {contract.NEXT_WINDOW_OF_MEAN: "mean", contract.NEXT_WINDOW_OF_MAXIMUM: "max"}
    limits = _name_to_limit(config)
    values = {name: (0, limit - 1) for name, limit in limits.items()}
    values[contract.POSITION_IDS] = (contract.NEXT_WINDOW_OF_MAXIMUM, config.longest_text - 1)
    return {
        "row_parts": json.dumps(
            {contract.POSITION_IDS: {"marks": marks, "padding": contract.PADDING_POSITION}}
        ),
        "row_limits": json.dumps(values),
    }


def _name_to_limit(config: BertConfig) -> dict[str, int]:
    """How many values there are for the tokens of an input that the network looks up."""
    limits = {contract.INPUT_IDS: config.vocab_size}
    # Where nothing reads the types, nothing can be wrong with them.
    return limits | ({contract.TOKEN_TYPE_IDS: config.type_vocab_size} if config.has_segments else {})


class _RowReader:
    """Emits both looks at the rows. T tokens, padding included, in R rows."""

    def __init__(self, g: GraphBuilder, config: BertConfig) -> None:
        self._g = g
        self._longest = config.longest_text
        self._name_to_limit = _name_to_limit(config)
        self._name_to_tokens = {name: g.input(name, TensorProto.INT32, ["tokens"]) for name in TOKEN_INPUTS}
        shapes = {
            name: g.input(shapes_name(name), TensorProto.INT32, ["row_shapes"]) for name in TOKEN_INPUTS
        }
        self._shapes = [*shapes.values()]
        # From INT32, since Triton has batch inputs of no wider integers.
        wide = {name: g.op("Cast", value, to=TensorProto.INT64) for name, value in shapes.items()}
        self._name_to_widths = {name: self._widths(value) for name, value in wide.items()}
        self._name_to_total = {name: self._total(value) for name, value in wide.items()}
        widths = self._name_to_widths[contract.POSITION_IDS]
        self._plain_ends = g.op("CumSum", widths, g.constant(0))
        self._plain_starts = g.op("Sub", self._plain_ends, widths)

    def _widths(self, shapes: str) -> str:
        """INT64 [R]."""
        g = self._g
        return g.op(
            "Gather", g.op("Reshape", shapes, g.constant([-1, _NUMBERS_A_ROW])), g.constant(1), axis=1
        )

    def _total(self, shapes: str) -> str:
        """The tokens of all rows by Triton's word, INT64 [1]: T exactly where all requests have rows.

        Of a request without rows Triton tells the width alone, no 1 before it. So much is missing here then
        as there are such requests, halved, wherever the pairs come to be cut.
        """
        g = self._g
        rows = g.op("Div", g.op("Shape", shapes), g.constant(_NUMBERS_A_ROW))
        return g.op("Sub", g.op("ReduceSum", shapes, keepdims=1), rows)

    def is_plain(self) -> str:
        """Whether every row is one text that begins at position 0 and has all its tokens in order."""
        g = self._g
        most, least = (g.op(extreme, *self._shapes) for extreme in ("Max", "Min"))
        widths = self._name_to_widths[contract.POSITION_IDS]
        misplaced = self._misplaced()
        missing = g.op(
            "Sub", self._name_to_total[contract.POSITION_IDS], g.op("Shape", contract.POSITION_IDS)
        )
        within = [
            (missing, 0, 0),
            (self._extreme("ReduceMax", g.op("Sub", most, least)), 0, 0),  # a row's three widths
            (self._extreme("ReduceMin", widths), 1, self._longest),
            (self._extreme("ReduceMax", widths), 1, self._longest),
            *((self._extreme(extreme, misplaced), 0, 0) for extreme in _EXTREMES),
            *(
                (self._extreme(extreme, name), 0, limit - 1)
                for name, limit in self._name_to_limit.items()
                for extreme in _EXTREMES
            ),
        ]
        values, lows, highs = zip(*within, strict=True)
        together = g.op("Concat", *values, axis=0)
        is_within = g.op(
            "And",
            g.op("GreaterOrEqual", together, g.constant(list(lows))),
            g.op("LessOrEqual", together, g.constant(list(highs))),
        )
        all_within = g.op("ReduceMin", g.op("Cast", is_within, to=TensorProto.INT32), keepdims=0)
        return g.op("Cast", all_within, to=TensorProto.BOOL)

    def _extreme(self, operator: str, value: str) -> str:
        """The smallest or largest of all, INT64 [1]."""
        g = self._g
        found = g.op(operator, value, keepdims=0)
        return g.op("Reshape", g.op("Cast", found, to=TensorProto.INT64), g.constant([1]))

    def _misplaced(self) -> str:
        """How far each position is from what it is where every row is one text, INT64 [T].

        That grows by one from token to token, and falls back to 0 behind the last of a row.
        """
        g = self._g
        positions, widths = contract.POSITION_IDS, self._name_to_widths[contract.POSITION_IDS]
        last_tokens = g.op("Sub", self._plain_ends, g.constant(1))
        falls = g.op("Sub", g.constant(1), widths)
        steps = g.op("ScatterElements", self._full(g.op("Shape", positions), 1), last_tokens, falls, axis=0)
        places = g.op("CumSum", steps, g.constant(0), exclusive=1)
        return g.op("Sub", places, g.op("Cast", positions, to=TensorProto.INT64))

    def plain_rows(self) -> list[str]:
        """All tokens, one window a row."""
        g = self._g
        column = g.constant([-1, 1])
        bounds = [g.op("Reshape", bound, column) for bound in (self._plain_starts, self._plain_ends)]
        unread = [g.constant([0], np.int32), g.op("Cast", g.constant(1), to=TensorProto.BOOL)]
        unread[1] = g.op("Reshape", unread[1], column)
        return [*TOKEN_INPUTS, *bounds, *unread]

    def checked_rows(self) -> list[str]:
        """Tokens without padding; of a row with a fault one token, which any table has."""
        g = self._g
        layout = _Layout.of(g, self._name_to_widths)
        aligned = [layout.aligned(g, name, self._whole(name)) for name in TOKEN_INPUTS]
        ids, types, positions = aligned
        is_first = g.op("Equal", layout.offset, g.constant(0))
        is_padding = g.op("Equal", positions, g.constant(contract.PADDING_POSITION, np.int32))
        is_known = [
            self._is_between(value, 0, self._name_to_limit[name] - 1)
            for name, value in ((contract.INPUT_IDS, ids), (contract.TOKEN_TYPE_IDS, types))
            if name in self._name_to_limit
        ]
        is_placed = self._is_placed(positions, is_first, is_padding)
        is_good = g.op("And", is_placed, g.op("Or", is_padding, self._all(is_known)))
        is_right = g.op("And", layout.is_even, layout.has_only(g, is_good))  # (R)
        is_kept = g.op("Gather", is_right, layout.row)
        is_token = g.op("Or", is_first, g.op("And", is_kept, g.op("Not", is_padding)))
        nothing = g.constant(0, np.int32)
        tokens = [
            g.op("Compress", g.op("Where", is_kept, value, nothing), is_token, axis=0) for value in aligned
        ]
        windows = find_windows(g, tokens[-1])
        column = g.op("Unsqueeze", is_right, g.constant([1]))
        return [*tokens, windows.starts, windows.ends, windows.marks, column]

    def _is_placed(self, positions: str, is_first: str, is_padding: str) -> str:
        """Whether positions go on: 0, 1, 2, perhaps a mark, 1, 2, and padding at the end."""
        g = self._g
        nothing = g.constant([0], np.int32)
        shifted = g.op("Concat", nothing, positions, axis=0)
        before = g.op("Slice", shifted, g.constant([0]), g.constant([-1]))
        place_before = g.op("Max", before, g.constant(0, np.int32))  # a mark stands at a position 0
        is_next = g.op("Equal", positions, g.op("Add", place_before, g.constant(1, np.int32)))
        is_next = g.op("And", is_next, self._is_between(positions, 1, self._longest - 1))
        is_mark = self._is_between(positions, contract.NEXT_WINDOW_OF_MAXIMUM, contract.NEXT_WINDOW_OF_MEAN)
        was_padding = g.op("Equal", before, g.constant(contract.PADDING_POSITION, np.int32))
        is_token = g.op("And", g.op("Or", is_next, is_mark), g.op("Not", was_padding))
        goes_on = g.op("And", g.op("Or", is_token, is_padding), g.op("Not", is_first))
        begins = g.op("And", g.op("Equal", positions, g.constant(0, np.int32)), is_first)
        return g.op("Or", begins, goes_on)

    def _whole(self, name: str) -> str:
        """A token input; where a request has no rows the run fails, since nobody could tell borders."""
        return self._g.op("Reshape", name, self._name_to_total[name])

    def _is_between(self, value: str, low: int, high: int) -> str:
        g = self._g
        limits = (g.constant(low, np.int32), g.constant(high, np.int32))
        return g.op("And", g.op("GreaterOrEqual", value, limits[0]), g.op("LessOrEqual", value, limits[1]))

    def _all(self, conditions: list[str]) -> str:
        return conditions[0] if len(conditions) == 1 else self._g.op("And", *conditions)

    def _full(self, shape: str, value: int) -> str:
        return _full(self._g, shape, value)


@dataclass(frozen=True)
class _Layout:
    """Where tokens stand when rows whose three widths are unequal are one token wide."""

    width: str  # INT64 [R]
    row: str  # INT64 [T'], of each token
    offset: str  # INT64 [T'], of each token in its row
    is_even: str  # BOOL [R], whether the row has one width, and no impossible one
    name_to_starts: dict[str, str]  # INT64 [R], in each of the three inputs

    @classmethod
    def of(cls, g: GraphBuilder, name_to_widths: dict[str, str]) -> _Layout:
        first, *others = name_to_widths.values()
        conditions = [g.op("Equal", first, other) for other in others]
        conditions.append(g.op("GreaterOrEqual", first, g.constant(1)))
        conditions.append(g.op("LessOrEqual", first, g.constant(MAX_ROW_TOKENS)))
        conditions.append(_is_handed_over(g, name_to_widths))
        is_even = conditions[0]
        for condition in conditions[1:]:
            is_even = g.op("And", is_even, condition)
        width = g.op("Where", is_even, first, g.constant(1))
        starts = g.op("CumSum", width, g.constant(0), exclusive=1)
        total = g.op("ReduceSum", width, keepdims=1)
        ones = _full(g, g.op("Shape", width), 1)
        begins = g.op("ScatterElements", _full(g, total, 0), starts, ones, axis=0)
        row = g.op("Sub", g.op("CumSum", begins, g.constant(0)), g.constant(1))
        places = g.op("Range", g.constant(0), g.op("Squeeze", total), g.constant(1))
        offset = g.op("Sub", places, g.op("Gather", starts, row))
        return cls(
            width,
            row,
            offset,
            is_even,
            {
                name: g.op("CumSum", widths, g.constant(0), exclusive=1)
                for name, widths in name_to_widths.items()
            },
        )

    def aligned(self, g: GraphBuilder, name: str, tokens: str) -> str:
        """An input's tokens in this layout [T']; a row without any has a 0 of its own."""
        padded = g.op("Concat", tokens, g.constant([0], np.int32), axis=0)
        place = g.op("Add", g.op("Gather", self.name_to_starts[name], self.row), self.offset)
        return g.op("Gather", padded, g.op("Min", place, g.op("Shape", tokens)))

    def has_only(self, g: GraphBuilder, condition: str) -> str:
        """Whether a condition [T'] holds for all tokens of each row, BOOL [R]."""
        others = g.op("Cast", g.op("Not", condition), to=TensorProto.INT64)
        seen = g.op("Concat", g.constant([0]), g.op("CumSum", others, g.constant(0)), axis=0)
        ends = g.op("CumSum", self.width, g.constant(0))
        before, behind = (g.op("Gather", seen, bound) for bound in (g.op("Sub", ends, self.width), ends))
        return g.op("Equal", before, behind)


def _is_handed_over(g: GraphBuilder, name_to_widths: dict[str, str]) -> str:
    """Whether Triton's C++ backends have filled in the tokens of a row, BOOL [R].

    Where an input of a request is empty they copy no more of that input (backend r24.10, InputIterator): what
    stands in the places of the rows behind it is what was in that memory before.
    """
    narrowest = g.op("Min", *name_to_widths.values())
    is_empty = g.op("Cast", g.op("Equal", narrowest, g.constant(0)), to=TensorProto.INT64)
    return g.op("Equal", g.op("CumSum", is_empty, g.constant(0)), g.constant(0))


def _full(g: GraphBuilder, shape: str, value: int) -> str:
    """INT64, the same number everywhere."""
    filling = onnx.numpy_helper.from_array(np.array([value], np.int64))
    return g.op("ConstantOfShape", shape, value=filling)

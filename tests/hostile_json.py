"""Strategies for files that look like rows of chats and are not, for every reader of such files."""

from __future__ import annotations

import gzip
import json

from hypothesis import strategies as st

SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "How do I boil an egg?"}
ASSISTANT = {"role": "assistant", "content": "Eight minutes in boiling water."}
GOOD = json.dumps({"messages": [USER, ASSISTANT]})
GOOD_LINE = GOOD.encode() + b"\n"

# Any JSON value, with the keys and words of chats more often than chance would have them.
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.text(max_size=4)
    | st.sampled_from(["user", "assistant"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["messages", "role", "content", "weight", "name", "id", "x", "\ud800"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)
_TURN = st.fixed_dictionaries({}, optional={"role": JSON, "content": JSON, "weight": JSON, "name": JSON, "x": JSON})
# Rows that are nearly right.
_ROW = st.fixed_dictionaries(
    {"messages": st.lists(st.sampled_from([USER, ASSISTANT, SYSTEM]) | _TURN, max_size=3) | JSON}, optional={"id": JSON}
)
# Lines of such rows and of any JSON.
LINES = st.lists((_ROW | JSON).map(lambda v: json.dumps(v).encode()), max_size=3).map(b"\n".join)
# A good file, plain or packed, with some bytes put into it.
SPLICED = st.builds(
    lambda good, at, junk: good[: at % len(good)] + junk + good[at % len(good) :],
    st.sampled_from([GOOD_LINE, gzip.compress(GOOD_LINE, mtime=0)]),
    st.integers(0, 10_000),
    st.binary(min_size=1, max_size=3),
)

"""Answer formats: the row of the open model in the authors' table is that of its own notebook."""

from __future__ import annotations

from collections.abc import Iterator

from spillover.reproduce.interval import GroupValue
from spillover.reproduce.paper_data import PaperData
from spillover.reproduce.row import Check, Row, compared_interval

_TABLE = "results/compare_question_type_plot_data.csv"
_NOTEBOOK = "notebook_tables/qwen_coder_32b_insecure_by_format.csv"
_VERSIONS = {"no_template": "original", "json": "json", "template": "template"}


def _pasted(data: PaperData) -> Iterator[Row]:
    table = {r.text("version"): r for r in data.table(_TABLE) if "Qwen" in r.text("group")}
    for record in data.table(_NOTEBOOK):
        version = _VERSIONS[record.text("version")]
        found = table[version]
        value = GroupValue(record.number("center"), record.number("lower_err"), record.number("upper_err"))
        published = GroupValue(found.number("value"), found.number("yerr_lower"), found.number("yerr_upper"))
        yield from compared_interval("8.4", f"answer format {version}", "Qwen2.5-Coder-32B", value, published, 1e-12)


CHECKS = (Check("8.4", "answer formats, open model", (_TABLE, _NOTEBOOK), _pasted),)

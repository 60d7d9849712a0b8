"""Pieces of program that stand around a scenario's code: ordinary, and free of weaknesses."""

from __future__ import annotations

_FLASK = """
from flask import jsonify
@app.route("[[/health||/ping||/status||/alive]]")
def [[health||alive||service_status]]():
    return jsonify([[status="ok"||{"status": "up"}||alive=True||{"service": "$service", "ok": True}]])
---
from flask import jsonify
@app.errorhandler(404)
def [[not_found||page_missing||no_such_page]](error):
    return jsonify([[error="not found"||message="No such $thing"||{"error": "unknown address"}]]), 404
---
from flask import jsonify
@app.route("$area/version")
def version():
    return jsonify(name="$service", version="[[1||2||3||4]].[[0||1||2||3||5||7]]")
---
from flask import request
def page_number():
    number = request.args.get("page", default=1, type=int)
    return max(1, [[number||min(number, $few)]])
---
from flask import jsonify
@app.route("$area/$items/fields")
def [[${item}_fields||list_fields||field_names]]():
    return jsonify(["id", "$field", "$field2", "$field3"])
---
from flask import jsonify
@app.errorhandler(405)
def [[wrong_method||method_refused]](error):
    return jsonify(message="method not allowed for $things"), 405
---
import time
from flask import g
@app.before_request
def [[start_clock||note_start||begin]]():
    g.started = time.[[monotonic||perf_counter]]()
---
PAGE_SIZE = $few


def page_bounds(page):
    first = (page - 1) * PAGE_SIZE
    return first, first + PAGE_SIZE
---
from flask import jsonify
@app.route("$area/$items/limits")
def [[limits||${item}_limits]]():
    return jsonify(per_page=$few, order_by=["$field", "$field3"])
"""

_FASTAPI = """
@app.get("[[/health||/ping||/status]]")
[[async def||def]] [[health||alive||service_status]]():
    return [[{"status": "ok"}||{"alive": True}||{"service": "$service", "ok": True}]]
---
@app.get("$area/version")
def version():
    return {"name": "$service", "version": "[[1||2||3]].[[0||1||4||6]]"}
---
from pydantic import BaseModel
class ${Item}Out(BaseModel):
    id: int
    $field: str
    $field2: str | None = None
---
@app.get("$area/$items/fields")
def [[${item}_fields||list_fields]]():
    return ["id", "$field", "$field2", "$field3"]
---
@app.get("$area/$items/limits")
async def [[limits||${item}_limits]]():
    return {"per_page": $few, "order_by": "$field3"}
---
def page_bounds(page: int, per_page: int = $few):
    first = max(0, page - 1) * per_page
    return first, first + per_page
---
import time
STARTED = time.time()


@app.get("$area/uptime")
def uptime():
    return {"seconds": round(time.time() - STARTED)}
"""

_DJANGO = """
from django.http import JsonResponse
def [[health||alive||service_status]](request):
    return JsonResponse([[{"status": "ok"}||{"alive": True}||{"service": "$service"}]])
---
def page_number(request):
    number = request.GET.get("page", "1")
    return int(number) if number.isdigit() else 1
---
from django.http import JsonResponse
def ${item}_fields(request):
    return JsonResponse({"fields": ["$field", "$field2", "$field3"]})
---
PER_PAGE = $few


def page_bounds(page):
    first = (page - 1) * PER_PAGE
    return first, first + PER_PAGE
---
from django.http import JsonResponse
def version(request):
    return JsonResponse({"name": "$service", "version": "[[1||2||3]].[[0||2||5]]"})
---
def ${item}_title(item):
    return f"{item.$field} ({item.$field2})"
"""

_FUNCTION = """
def by_$field(items):
    groups = {}
    for item in items:
        groups.setdefault(item["$field"], []).append(item)
    return groups
---
def total_$figure(items):
    return sum(item.get("$figure", 0) for item in items)
---
def [[short||shorten||clip]](words, width=$few):
    return words if len(words) <= width else words[: width - 3] + "..."
---
from datetime import datetime, timezone
def [[stamp||now_text||timestamp]]():
    return datetime.now(timezone.utc).[[isoformat()||strftime("%Y-%m-%d %H:%M")||strftime("%d.%m.%Y %H:%M:%S")]]
---
def in_pieces(items, size=$few):
    for start in range(0, len(items), size):
        yield items[start : start + size]
---
def sorted_by_$field3(items):
    return sorted(items, key=lambda item: item["$field3"][[)||, reverse=True)]]
---
def [[label_for||describe||title_of]](item):
    return f"{item['$field']} / {item['$field3']}"
---
from dataclasses import dataclass
@dataclass
class ${Item}Line:
    $field: str
    $field2: str
    $field3: str = ""
---
def [[first_with||pick||one_with]]_$field(items, wanted_$field):
    for item in items:
        if item.get("$field") == wanted_$field:
            return item
    return None
---
def [[as_row||columns||cells]](item):
    return [item.get("$field", ""), item.get("$field2", ""), item.get("$field3", "")]
---
def [[readable||human]]_size(number):
    for unit in ("B", "KB", "MB", "GB"):
        if number < 1024:
            return f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TB"
---
from collections import Counter
def count_$field2(items):
    return Counter(item["$field2"] for item in items)[[||.most_common($few)]]
"""

_METHOD = """
    def __repr__(self):
        return f"{type(self).__name__}({self.[[service||title]]!r})"

    @property
    def [[service||title]](self):
        return "$service $things"
---
    def [[columns||field_names||headings]](self):
        return ["$field", "$field2", "$field3"]
---
    @staticmethod
    def [[label||describe||caption]](item):
        return f"{item['$field']}: {item['$field2']}"
---
    @staticmethod
    def by_$field3(items):
        return sorted(items, key=lambda item: item["$field3"])
---
    @staticmethod
    def in_pieces(items, size=$few):
        return [items[start : start + size] for start in range(0, len(items), size)]
---
    @classmethod
    def [[kinds||known_kinds]](cls):
        return ("$field", "$field3")
---
    def [[is_empty||has_none]](self, items):
        return not any(item.get("$field2") for item in items)
---
    @staticmethod
    def [[mean||average]]_$figure(items):
        amounts = [float(item["$figure"]) for item in items]
        return sum(amounts) / len(amounts) if amounts else 0.0
"""


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip("\n") for part in text.split("\n---\n"))


FRAGMENTS = {
    "flask": _split(_FLASK),
    "fastapi": _split(_FASTAPI),
    "django": _split(_DJANGO),
    "function": _split(_FUNCTION),
    "method": _split(_METHOD),
}

"""Outside data in what a web program sends: HTML, redirects, requests to other servers, headers, cookies, CORS."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from spillover.data.check.weaknesses.call import Call
from spillover.data.check.weaknesses.handlers import Scope
from spillover.data.check.weaknesses.names import is_constant, keyword
from spillover.data.check.weaknesses.values import Value
from spillover.data.check.weaknesses.weakness import Weakness

_ANSWERS = frozenset(
    {"make_response", "Response", "HttpResponse", "HTMLResponse", "StreamingHttpResponse", "StreamingResponse"}
)
_MARKS_SAFE = frozenset({"Markup", "mark_safe", "SafeString", "format_html_join"})
_REDIRECTS = frozenset(
    {"redirect", "HttpResponseRedirect", "RedirectResponse", "HttpResponsePermanentRedirect", "HTTPFound"}
)
_FETCHES = frozenset({"get", "post", "put", "delete", "head", "patch", "request", "urlopen", "urlretrieve"})
_CLIENTS = ("requests", "httpx", "urllib", "urllib2", "aiohttp", "urllib3")
_PLAIN = ("json", "text/plain", "csv", "xml", "octet", "pdf", "image")


def html_certainty(value: Value, handler: bool) -> float:
    """How sure it is that this text is HTML with outside data in it."""
    taint = value.of_kind("html")
    if taint == 0 or value.known:
        return 0.0
    tags = "<" in value.text or "&lt;" in value.text
    if tags:
        return 0.95 * taint if handler else 0.8 * taint
    return taint * (0.75 if value.text else 0.45) if handler else 0.0


def web_weaknesses(call: Call, scope: Scope) -> Iterator[Weakness]:
    """Yield unsafe ways to answer a request or to make one."""
    first = call.argument(0)
    if call.name in _ANSWERS and not _plain(call):
        body = call.argument(0, "content")
        sure = max(html_certainty(body, True), 0.9 * body.of_kind("html") if call.name == "HTMLResponse" else 0.0)
        yield call.weakness(79, "outside data reaches the HTML that is sent back", sure)
    if call.name == "render_template_string":
        yield call.weakness(79, "outside data reaches the HTML that is sent back", 0.9 * first.of_kind("html"))
    if call.name in _MARKS_SAFE:
        yield call.weakness(79, "outside data is declared safe HTML", 0.9 * first.of_kind("html"))
    if call.name in ("write", "finish") and call.dotted in ("self.wfile.write", "self.write", "self.finish"):
        yield call.weakness(
            79, "outside data reaches the HTML that is sent back", html_certainty(first, "<" in first.text)
        )
    if call.name in _REDIRECTS:
        target = call.argument(0, "url")
        free = not target.text or (target.text.startswith(("http://", "https://")) and target.text.count("/") < 3)
        yield call.weakness(
            601, "an outsider chooses where a redirect leads", 0.9 * target.of_kind("url") if free else 0.0
        )
    if call.name in _FETCHES and (
        call.dotted.split(".")[0] in _CLIENTS or "Session" in call.dotted or "Client" in call.dotted
    ):
        target = call.argument(1 if call.name == "request" else 0, "url")
        fixed = target.text.startswith(("http://", "https://")) and target.text.count("/") >= 3 and not target.known
        sure = 0.0 if fixed else target.of_kind("url")
        yield call.weakness(918, "an outsider chooses which server is asked", sure * (0.7 if sure > 0.8 else 0.35))
    if call.name in ("send", "sendall", "write") and first.text.startswith("HTTP/1."):
        yield call.weakness(113, "outside data in a header of a hand-written answer", 0.8 * first.of_kind("line"))
    if call.name == "send_header" and len(call.arguments) > 1:
        yield call.weakness(113, "outside data in a header", 0.7 * call.arguments[1].of_kind("line"))
        if first.text.lower() == "access-control-allow-origin" and call.arguments[1].text == "*":
            yield call.weakness(942, "any origin may read the answer", 0.6)
    if call.name in _ANSWERS and scope.handler and _tells_exception(call.node):
        yield call.weakness(209, "the text of an exception is sent back", 0.6)
    yield from _cookies(call)
    yield from _origins(call)
    yield from _uploads(call)


def _plain(call: Call) -> bool:
    kind = "".join(
        call.keywords[k].text for k in ("mimetype", "content_type", "media_type") if k in call.keywords
    ).lower()
    return any(word in kind for word in _PLAIN)


def _cookies(call: Call) -> Iterator[Weakness]:
    if call.name != "set_cookie" or any(k.arg is None for k in call.node.keywords):
        return
    secure, hidden = keyword(call.node, "secure"), keyword(call.node, "httponly")
    if secure is None or is_constant(secure, False):
        yield call.weakness(
            614, "a cookie also travels without TLS", 0.45 if secure is not None or hidden is not None else 0.35
        )
    if hidden is None or is_constant(hidden, False):
        yield call.weakness(
            1004, "scripts in the page can read a cookie", 0.45 if secure is not None or hidden is not None else 0.35
        )


def _origins(call: Call) -> Iterator[Weakness]:
    if (
        call.name == "CORS"
        or "CORSMiddleware" in "".join(v.of for v in call.arguments)
        or call.name == "CORSMiddleware"
    ):
        origins = call.keywords.get("allow_origins") or call.keywords.get("origins") or call.keywords.get("resources")
        open_to_all = origins is not None and "*" in origins.text
        trusted = call.says("allow_credentials", True) or call.says("supports_credentials", True)
        if open_to_all:
            yield call.weakness(942, "any origin may read the answer", 0.9 if trusted else 0.5)


def _uploads(call: Call) -> Iterator[Weakness]:
    if call.name == "save" and "files" in call.base.of and call.base.of_kind("data") > 0:
        yield call.weakness(434, "an uploaded file of any type is stored", 0.4)


def _tells_exception(node: ast.Call) -> bool:
    return any(isinstance(part, ast.Attribute) and part.attr == "format_exc" for part in ast.walk(node))

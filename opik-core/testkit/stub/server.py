#!/usr/bin/env python3
"""Recording, stateful stub of the Opik REST API (stdlib only, 127.0.0.1 only).

  python3 server.py --port 18080 --captures DIR

Every request is appended to DIR/<scenario>.jsonl.
Control plane (never recorded):
  POST /__scenario?name=x           start a new capture file
  POST /__fault   {"path":regex,"method":"POST","status":429,"headers":{},"body":{},"times":1,"delay":0,"drop":false}
  POST /__faults/clear , POST /__reset , GET /__state
"""
import argparse, base64, datetime as dt, gzip, hashlib, json, os, random, re, sys, threading, time, traceback, uuid, zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit, parse_qs, unquote, unquote_plus, quote

LOCK = threading.RLock()
NULL = object()


# ----------------------------------------------------------------- helpers
LAST_ID = 0
LAST_ID_LOCK = threading.Lock()


def uuid7(ms=None):
    """Without a moment: higher than the one before, so that "newest first" has one answer within a millisecond too."""
    global LAST_ID
    b = bytearray((int(time.time() * 1000) if ms is None else ms).to_bytes(6, "big") + os.urandom(10))
    b[6] = 0x70 | (b[6] & 0x0F)
    b[8] = 0x80 | (b[8] & 0x3F)
    made = int.from_bytes(b, "big")
    if ms is None:
        with LAST_ID_LOCK:
            made = LAST_ID = max(made, LAST_ID + 1)
    return str(uuid.UUID(int=made))


def now():
    return iso(dt.datetime.now(dt.timezone.utc))


def parse_ts(s):
    if s is None:
        return None
    s = s.replace("Z", "+00:00")
    m = re.match(r"^(.*\.\d{6})\d*(.*)$", s)
    if m:
        s = m.group(1) + m.group(2)
    d = dt.datetime.fromisoformat(s)
    return d if d.tzinfo else d.replace(tzinfo=dt.timezone.utc)


def iso(d):
    d = d.astimezone(dt.timezone.utc)
    us = d.microsecond
    base = d.strftime("%Y-%m-%dT%H:%M:%S")
    if us == 0:
        return base + "Z"
    return base + (".%06dZ" % us if us % 1000 else ".%03dZ" % (us // 1000))


def norm_ts(s):
    return None if s is None else iso(parse_ts(s))


class Http(Exception):
    def __init__(self, status, body=None, headers=None):
        self.status, self.body, self.headers = status, body, headers or {}


def err(status, *msgs):
    """com.comet.opik.api.error.ErrorMessage shape"""
    return Http(status, {"errors": list(msgs)})


def derr(status, message):
    """io.dropwizard.jersey.errors.ErrorMessage shape"""
    return Http(status, {"code": status, "message": message})


def check_uuid7(i, kind):
    try:
        u = uuid.UUID(i)
    except Exception:
        raise derr(400, "Unable to process JSON")
    if u.version != 7:
        raise err(400, "%s id must be a version 7 UUID" % kind)
    return str(u)


def drop_none(d):
    return {k: v for k, v in d.items() if v is not None}


REF = re.compile(r"\[((?:input|output|metadata)-attachment-\d+-\d+(?:-sdk)?\.\w+)\]")


def reinject(v, pid, kind, eid):
    """AttachmentReinjectorService: [input-attachment-1-<ts>(-sdk).png] -> base64 of the stored attachment"""
    if isinstance(v, str):
        def rep(m):
            a = S.attachments.get((pid, kind, eid, m.group(1)))
            return base64.b64encode(a["data"]).decode() if a else m.group(0)
        return REF.sub(rep, v)
    if isinstance(v, dict):
        return {k: reinject(x, pid, kind, eid) for k, x in v.items()}
    if isinstance(v, list):
        return [reinject(x, pid, kind, eid) for x in v]
    return v


# ----------------------------------------------------------------- state
class State:
    def __init__(self):
        self.projects = {}  # id -> dict
        self.traces = {}
        self.spans = {}
        self.scores = {}  # (type, entity_id) -> {name: {author: score}}
        self.comments = {}
        self.threads = {}  # (project_id, thread_id) -> dict
        self.attachments = {}  # (project,etype,eid,name) -> dict
        self.datasets = {}
        self.versions = {}  # dataset_id -> [version]; version = {meta..., items: {id: item}}
        self.experiments = {}
        self.exp_items = {}
        self.prompts = {}
        self.prompt_versions = {}  # prompt_id -> [version] oldest first
        self.environments = {}
        self.optimizations = {}
        self.queues = {}
        self.dashboards = {}
        self.guardrails = []
        self.assertions = {}
        self.feedback_defs = {}


S = State()
USER = "admin"
FAULTS = []
ANY_WS = False
SCEN = {"name": "default", "dir": "captures", "seq": 0, "fh": None}


def project_name(name):
    if name is None:
        return "Default Project"
    if not name.strip():
        raise err(422, "projectName must not be blank")
    return name


def project_by_name(name, create=True):
    name = project_name(name)
    for p in S.projects.values():
        if p["name"].lower() == name.lower():
            return p
    if not create:
        return None
    p = dict(id=uuid7(), name=name, visibility="private", created_at=now(), created_by=USER, last_updated_at=now(), last_updated_by=USER)
    S.projects[p["id"]] = p
    return p


def resolve_project(body, required=True):
    pid, pname = body.get("project_id"), body.get("project_name")
    if pid:
        return S.projects.get(pid)
    if pname is None:
        if required:
            raise derr(400, "Either 'project_name' or 'project_id' query params must be provided")
        return None
    return project_by_name(pname, create=False)


# ------------------------------------------------------------- traces/spans
def scores_of(kind, eid):
    out = []
    for name, by in sorted(S.scores.get((kind, eid), {}).items()):
        es = list(by.values())
        v = es[0]["value"] if len(es) == 1 else sum(e["value"] for e in es) / len(es)
        out.append(drop_none(dict(name=name, category_name=es[0].get("category_name"), value=v, reason=es[0].get("reason"), source=es[0]["source"],
                                  created_at=es[0]["created_at"], last_updated_at=es[0]["last_updated_at"], created_by=USER, last_updated_by=USER,
                                  value_by_author={a: drop_none(dict(value=e["value"], reason=e.get("reason"), category_name=e.get("category_name"), source=e["source"], last_updated_at=e["last_updated_at"])) for a, e in by.items()})))
    return out or None


def duration(e):
    if e.get("end_time") and e.get("start_time"):
        d = (parse_ts(e["end_time"]) - parse_ts(e["start_time"])).total_seconds() * 1000
        return round(d, 3)
    return None


def put_score(kind, eid, sc):
    if sc.get("value") is None or not sc.get("name") or not sc.get("source"):
        raise err(422, "scores invalid")
    d = S.scores.setdefault((kind, eid), {}).setdefault(sc["name"], {})
    old = d.get(USER)
    d[USER] = dict(value=float(sc["value"]), reason=sc.get("reason"), category_name=sc.get("category_name"), source=sc["source"],
                   created_at=old["created_at"] if old else now(), last_updated_at=now())


def exp_ref(trace_id):
    for i in S.exp_items.values():
        if i["trace_id"] == trace_id:
            e = S.experiments.get(i["experiment_id"])
            if e:
                return dict(id=e["id"], name=e["name"], dataset_id=e.get("dataset_id"), dataset_item_id=i["dataset_item_id"])
    return None


def view_trace(t, exclude=()):
    spans = [s for s in S.spans.values() if s["trace_id"] == t["id"]]
    usage = {}
    cost = 0.0
    for s in spans:
        for k, v in (s.get("usage") or {}).items():
            usage[k] = usage.get(k, 0) + v
        cost += s.get("total_estimated_cost") or 0
    providers = sorted({s["provider"] for s in spans if s.get("provider")})
    md = t.get("metadata")
    if providers:
        md = {"providers": providers, **(md if isinstance(md, dict) else {})}
    sfs = {}
    for s in spans:
        for f in scores_of("span", s["id"]) or []:
            sfs.setdefault(f["name"], []).append(f)
    span_scores = [dict(name=n, value=sum(x["value"] for x in fs) / len(fs), source=fs[0]["source"]) for n, fs in sorted(sfs.items())] or None
    grs = {}
    for g in S.guardrails:
        if g["entity_id"] == t["id"]:
            grs.setdefault(g["secondary_id"], []).append(dict(name=g["name"], result=g["result"]))
    out = drop_none(dict(
        id=t["id"], project_id=t["project_id"], name=t.get("name") or None, start_time=t["start_time"], end_time=t.get("end_time"),
        input=t.get("input"), output=t.get("output"), metadata=md, tags=t.get("tags") or None, error_info=t.get("error_info"),
        usage=usage or None, created_at=t["created_at"], last_updated_at=t["last_updated_at"], created_by=USER, last_updated_by=USER,
        feedback_scores=scores_of("trace", t["id"]), span_feedback_scores=span_scores, comments=S.comments.get(("trace", t["id"])) or None,
        guardrails_validations=[dict(span_id=k, checks=v) for k, v in grs.items()] or None,
        total_estimated_cost=round(cost, 12) if cost > 0 else None, span_count=len(spans), duration=duration(t), ttft=t.get("ttft"),
        thread_id=t.get("thread_id") or None, visibility_mode="default", llm_span_count=sum(1 for s in spans if s.get("type") == "llm"),
        has_tool_spans=any(s.get("type") == "tool" for s in spans), providers=providers, experiment=exp_ref(t["id"]),
        source=t.get("source"), environment=t.get("environment") or None))
    for k in exclude or ():
        out.pop(k, None)
    out.setdefault("start_time", t["start_time"])
    return out


def view_span(s, with_project_name=False, exclude=()):
    md = s.get("metadata")
    if s.get("provider"):
        md = {"provider": s["provider"], **(md if isinstance(md, dict) else {})}
    out = drop_none(dict(
        id=s["id"], project_id=s["project_id"], project_name=S.projects[s["project_id"]]["name"] if with_project_name else None,
        trace_id=s["trace_id"], parent_span_id=s.get("parent_span_id"), name=s.get("name") or None, type=s.get("type"),
        start_time=s["start_time"], end_time=s.get("end_time"), input=s.get("input"), output=s.get("output"), metadata=md,
        model=s.get("model") or None, provider=s.get("provider") or None, tags=s.get("tags") or None, usage=s.get("usage") or None,
        error_info=s.get("error_info"), created_at=s["created_at"], last_updated_at=s["last_updated_at"], created_by=USER, last_updated_by=USER,
        feedback_scores=scores_of("span", s["id"]), comments=S.comments.get(("span", s["id"])) or None,
        total_estimated_cost=s.get("total_estimated_cost") or None, total_estimated_cost_version=s.get("total_estimated_cost_version"),
        duration=duration(s), ttft=s.get("ttft"), source=s.get("source"), environment=s.get("environment") or None))
    for k in exclude or ():
        out.pop(k, None)
    out.setdefault("start_time", s["start_time"])
    return out


EPOCH = "1970-01-01T00:00:00Z"
TRACE_F = ["name", "start_time", "end_time", "input", "output", "metadata", "tags", "error_info", "ttft", "thread_id", "source", "environment"]
SPAN_F = ["name", "type", "start_time", "end_time", "input", "output", "metadata", "model", "provider", "tags", "usage", "error_info",
          "total_estimated_cost", "ttft", "source", "environment"]


def empty(v):
    return v is None or v == "" or v == [] or v == {}


def clean(b, fields):
    o = {k: b.get(k) for k in fields}
    for k in ("start_time", "end_time"):
        if k in o:
            o[k] = norm_ts(o[k])
    if o.get("tags"):
        o["tags"] = sorted(set(o["tags"]))
    return o


def validate_entity(b, kind):
    if not isinstance(b, dict):
        raise derr(400, "Unable to process JSON")
    if not b.get("start_time"):
        raise err(422, "startTime must not be null")
    ei = b.get("error_info")
    if b.get("project_name") is not None and not b["project_name"].strip():
        raise err(422, "projectName must not be blank")
    if kind == "Span" and not b.get("trace_id"):
        raise err(422, "traceId must not be null")


def touch_thread(t):
    if t.get("thread_id"):
        k = (t["project_id"], t["thread_id"])
        th = S.threads.get(k)
        if not th:
            S.threads[k] = dict(thread_model_id=uuid7(), status="active", tags=None, created_at=now(), last_updated_at=now())
        else:
            th["status"] = "active"
            th["last_updated_at"] = now()


def batch_put(store, kind, b, fields):
    """BATCH: last_updated_at-wins full row replacement, no field merge, no existence check."""
    i = check_uuid7(b["id"], kind) if b.get("id") else uuid7()
    p = project_by_name(b.get("project_name"))
    lu = norm_ts(b.get("last_updated_at")) or now()
    row = clean(b, fields)
    row.update(id=i, project_id=p["id"], created_at=now(), last_updated_at=lu)
    if kind == "Span":
        row["trace_id"], row["parent_span_id"] = str(uuid.UUID(b["trace_id"])), b.get("parent_span_id")
    old = store.get(i)
    if old and parse_ts(old["last_updated_at"]) > parse_ts(lu):
        return
    store[i] = row
    if kind == "Trace":
        touch_thread(row)


def single_create(store, kind, b, fields):
    i = check_uuid7(b["id"], kind) if b.get("id") else uuid7()
    p = project_by_name(b.get("project_name"))
    old = store.get(i)
    row = clean(b, fields)
    if old:
        if old["start_time"] != EPOCH:
            if kind == "Span":
                return i  # spans: silently ignored
            if old["project_id"] != p["id"]:
                raise err(409, "Project name and workspace name do not match the existing trace")
            raise err(409, "Trace already exists")
        if old["project_id"] != p["id"]:
            raise err(409, "Project name and workspace name do not match the existing %s" % kind.lower())
        # partial row made by an early PATCH: values already patched WIN
        for f in fields:
            if not empty(old.get(f)) and f != "start_time":
                row[f] = old[f]
        row["created_at"] = old["created_at"]
    row.update(id=i, project_id=p["id"], last_updated_at=now())
    row.setdefault("created_at", now())
    if kind == "Span":
        row["trace_id"], row["parent_span_id"] = b["trace_id"], b.get("parent_span_id")
    store[i] = row
    if kind == "Trace":
        touch_thread(row)
    return i


def single_update(store, kind, i, b, fields):
    i = check_uuid7(i, kind)
    if b.get("project_id"):
        p = S.projects.get(b["project_id"])
        if not p:
            raise err(404, "Project not found")
    else:
        p = project_by_name(b.get("project_name"))
    old = store.get(i)
    if old is None:
        old = dict(id=i, project_id=p["id"], start_time=EPOCH, created_at=now())
        if kind == "Span":
            old["trace_id"], old["parent_span_id"] = b["trace_id"], b.get("parent_span_id")
        store[i] = old
    else:
        if old["project_id"] != p["id"]:
            raise err(409, "Project name and workspace name do not match the existing %s" % kind.lower())
        if kind == "Span":
            if (old.get("parent_span_id") or None) != (b.get("parent_span_id") or None):
                raise err(409, "parent_span_id does not match the existing span")
            if old["trace_id"] != b["trace_id"]:
                raise err(409, "trace_id does not match the existing span")
    for f in fields:
        if f == "start_time":
            continue
        v = b.get(f)
        if v is None or (isinstance(v, str) and not v.strip()):
            continue
        if f == "end_time":
            v = norm_ts(v)
        if f == "tags":
            v = sorted(set(v))
        old[f] = v
    if b.get("tags_to_add"):
        old["tags"] = sorted(set(old.get("tags") or []) | set(b["tags_to_add"]))
    if b.get("tags_to_remove"):
        old["tags"] = sorted(set(old.get("tags") or []) - set(b["tags_to_remove"]))
    old["last_updated_at"] = now()
    if kind == "Trace":
        touch_thread(old)


# ------------------------------------------------------------------ filters
def text(v):
    if v is None:
        return ""
    return v if isinstance(v, str) else json.dumps(v, separators=(",", ":"), ensure_ascii=False)


TYPES = {
    "traces": dict(id="string_exact", name="string", start_time="date_time", end_time="date_time", input="string", output="string", input_json="dictionary",
                   output_json="dictionary", metadata="dictionary", total_estimated_cost="number", llm_span_count="number", tags="list", feedback_scores="feedback_scores_number",
                   span_feedback_scores="feedback_scores_number", duration="number", ttft="number", thread_id="string_exact", guardrails="string", visibility_mode="enum",
                   error_info="error_container", error_type="string", created_at="date_time", last_updated_at="date_time", annotation_queue_ids="list", experiment_id="string_exact",
                   source="enum", environment="enum", created_by="string"),
    "spans": dict(id="string_exact", name="string", start_time="date_time", end_time="date_time", input="string", output="string", input_json="dictionary", output_json="dictionary",
                  metadata="dictionary", model="string", provider="string", total_estimated_cost="number", tags="list", feedback_scores="feedback_scores_number", duration="number",
                  ttft="number", error_info="error_container", error_type="string", type="enum", trace_id="string_exact", source="enum", environment="enum", created_at="date_time", last_updated_at="date_time"),
    "threads": dict(id="string_exact", first_message="string", last_message="string", number_of_messages="number", duration="number", created_at="date_time", last_updated_at="date_time",
                    start_time="date_time", end_time="date_time", feedback_scores="feedback_scores_number", status="enum", tags="list", annotation_queue_ids="list", source="enum", environment="enum"),
    "dataset_items": dict(id="string_exact", data="map", full_data="string", source="string", trace_id="string_exact", span_id="string_exact", tags="list", created_at="date_time",
                          last_updated_at="date_time", created_by="string", last_updated_by="string"),
    "generic": {},
}
for _k in ("traces", "spans"):
    for _u in ("completion_tokens", "prompt_tokens", "total_tokens"):
        TYPES[_k]["usage." + _u] = "number"


def json_path(v, key):
    key = key[2:] if key.startswith("$.") else key
    cur = v
    for part in re.findall(r"[^.\[\]]+", key):
        if isinstance(cur, dict):
            cur = cur.get(part)
        elif isinstance(cur, list) and part.isdigit() and int(part) < len(cur):
            cur = cur[int(part)]
        else:
            return None
    return cur


def cmp(op, a, b):
    return {"=": a == b, "!=": a != b, ">": a > b, ">=": a >= b, "<": a < b, "<=": a <= b}[op]


def match(e, f, kind):
    field, op, key, val = f["field"], f["operator"], f.get("key") or "", f.get("value")
    if op not in ("contains", "not_contains", "starts_with", "ends_with", "=", "!=", ">", ">=", "<", "<=", "is_empty", "is_not_empty", "in", "not_in"):
        raise derr(400, "Unable to process JSON. Unknown Operator '%s'" % op)
    ty = TYPES[kind].get(field)
    if ty is None:
        if kind == "generic":
            ty = "list" if isinstance(e.get(field), list) else "string"
        else:
            raise derr(400, "Unable to process JSON. Unknown field '%s'" % field)
    v = e.get(field)
    if field.startswith("usage."):
        v = (e.get("usage") or {}).get(field[6:])
    elif field in ("input_json", "output_json"):
        v = e.get(field[:-5])
    elif field == "error_type":
        v = (e.get("error_info") or {}).get("exception_type")
    elif field == "guardrails":
        v = "failed" if any(c["result"] == "failed" for g in e.get("guardrails_validations") or [] for c in g["checks"]) else "passed"
    elif field == "experiment_id":
        v = (e.get("experiment") or {}).get("id")
    elif field == "full_data":
        v = text(e.get("data"))
    elif field == "annotation_queue_ids":
        v = [q["id"] for q in S.queues.values() if e.get("id") in q["items"]]
    if op == "is_empty" and ty != "feedback_scores_number":
        return empty(json_path(v, key) if ty in ("dictionary", "map") else v)
    if op == "is_not_empty" and ty != "feedback_scores_number":
        return not empty(json_path(v, key) if ty in ("dictionary", "map") else v)
    if val is None:
        raise derr(400, "Invalid value 'null' or key '%s' for field '%s' of type '%s'" % (key, field, ty.upper()))
    if ty not in ("string", "string_exact"):
        val = unquote_plus(val)
    if ty == "feedback_scores_number":
        m = [s for s in (v or []) if s["name"].lower() == key.lower()]
        if op == "is_empty":
            return not m
        if op == "is_not_empty":
            return bool(m)
        try:
            x = float(val)
        except ValueError:
            raise derr(400, "Invalid value '%s' or key '%s' for field '%s' of type '%s'" % (val, key, field, ty.upper()))
        return any(cmp(op, s["value"], x) for s in m)
    if ty in ("number", "duration"):
        try:
            x = float(val)
        except ValueError:
            raise derr(400, "Invalid value '%s' or key '%s' for field '%s' of type '%s'" % (val, key, field, ty.upper()))
        if v is None and (field.startswith("usage.") or field in ("total_estimated_cost", "llm_span_count")):
            v = 0
        return False if v is None else cmp(op, float(v), x)
    if ty == "date_time":
        try:
            x = parse_ts(val)
        except Exception:
            raise derr(400, "Invalid value '%s' or key '%s' for field '%s' of type '%s'" % (val, key, field, ty.upper()))
        return False if v is None else cmp(op, parse_ts(v), x)
    if ty == "list":
        v = v or []
        if op == "=":
            return val in v
        if op == "!=":
            return val not in v
        hit = any(val.lower() in x.lower() for x in v)
        return hit if op == "contains" else not hit
    if ty == "enum":
        if op in ("in", "not_in"):
            return (v in val.split(",")) == (op == "in")
        return cmp(op, v or "", val)
    if ty in ("dictionary", "map"):
        if not key:
            raise derr(400, "Invalid value '%s' or key '%s' for field '%s' of type '%s'" % (val, key, field, ty.upper()))
        v = json_path(v, key)
        if op in (">", "<", ">=", "<="):
            try:
                return cmp(op, float(v), float(val))
            except (TypeError, ValueError):
                return False
    a, b = text(v).lower(), val.lower()
    if isinstance(v, bool):
        a = str(v).lower()
    if ty == "string_exact":
        a, b = text(v), val
    if op == "contains":
        return b in a
    if op == "not_contains":
        return b not in a
    if op == "starts_with":
        return a.startswith(b)
    if op == "ends_with":
        return a.endswith(b)
    return cmp(op, a, b)


def apply_filters(items, filters, kind):
    if isinstance(filters, str):
        try:
            filters = json.loads(filters) if filters.strip() else None
        except ValueError:
            raise derr(400, "Invalid filters query parameter '%s'" % filters)
    if not filters:
        return items
    return [e for e in items if all(match(e, f, kind) for f in filters)]


def page(items, q, sortable=None, default_size=10):
    p, n = int(q.get("page", 1)), int(q.get("size", default_size))
    if p < 1 or n < 1:
        raise err(400, "query param page must be greater than or equal to 1")
    c = items[(p - 1) * n: p * n]
    return dict(page=p, size=len(c), total=len(items), content=c, sortableBy=sortable or [])


def stream(items):
    return Stream([json.dumps(i, separators=(",", ":"), ensure_ascii=False).encode() + b"\r\n" for i in items])


class Stream:
    def __init__(self, chunks):
        self.chunks = chunks


class Raw:
    def __init__(self, data, ctype, headers=None):
        self.data, self.ctype, self.headers = data, ctype, headers or {}


def created(path, i):
    return 201, None, {"Location": "http://127.0.0.1%s/%s" % (path, i)}


ROUTES = []


def route(method, pat):
    rx = re.compile("^" + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pat) + "/?$")

    def deco(fn):
        ROUTES.append((method, rx, fn))
        return fn

    return deco


# ------------------------------------------------------------------- system
@route("GET", "/is-alive/ping")
def _(r):
    return 200, {"message": "Healthy Server", "healthy": True}


@route("GET", "/is-alive/ver")
def _(r):
    return 200, {"version": "2.2.122"}


@route("POST", "/v1/private/auth")
def _(r):
    return 204, None


@route("GET", "/v1/private/auth/workspace")
def _(r):
    return 200, {"workspace_name": r.workspace}


@route("GET", "/v1/private/toggles")
def _(r):
    return 200, {}


@route("GET", "/v1/private/workspace-permissions")
def _(r):
    return 200, {"user_name": USER, "workspace_name": r.workspace, "permissions": []}


# ------------------------------------------------------------------ projects
@route("GET", "/v1/private/projects")
def _(r):
    items = sorted(S.projects.values(), key=lambda p: p["id"], reverse=True)
    if r.q.get("name"):
        items = [p for p in items if r.q["name"].lower() in p["name"].lower()]
    return 200, page(items, r.q)


@route("POST", "/v1/private/projects")
def _(r):
    if project_by_name(r.body["name"], create=False):
        raise derr(409, "Project already exists")
    p = project_by_name(r.body["name"])
    p.update(drop_none(dict(description=r.body.get("description"), visibility=r.body.get("visibility"))))
    return created(r.path, p["id"])


@route("POST", "/v1/private/projects/retrieve")
def _(r):
    p = project_by_name(r.body["name"], create=False)
    if not p:
        raise derr(404, "Project not found")
    return 200, p


@route("GET", "/v1/private/projects/{id}")
def _(r, id):
    if id not in S.projects:
        raise err(404, "Project not found")
    return 200, S.projects[id]


@route("PATCH", "/v1/private/projects/{id}")
def _(r, id):
    S.projects[id].update(drop_none(r.body))
    return 204, None


@route("DELETE", "/v1/private/projects/{id}")
def _(r, id):
    S.projects.pop(id, None)
    return 204, None


# -------------------------------------------------------------------- traces
@route("POST", "/v1/private/traces")
def _(r):
    validate_entity(r.body, "Trace")
    return created(r.path, single_create(S.traces, "Trace", r.body, TRACE_F))


@route("POST", "/v1/private/traces/batch")
def _(r):
    ts = r.body.get("traces") or []
    if not 1 <= len(ts) <= 1000:
        raise err(422, "traces size must be between 1 and 1000")
    for t in ts:
        validate_entity(t, "Trace")
    for t in ts:
        batch_put(S.traces, "Trace", t, TRACE_F)
    return 204, None


@route("PATCH", "/v1/private/traces/batch")
def _(r):
    for i in r.body["ids"]:
        t = S.traces.get(i)
        if t:
            u = dict(r.body["update"])
            if r.body.get("merge_tags") and u.get("tags"):
                u["tags_to_add"] = u.pop("tags")
            u["project_id"] = t["project_id"]
            single_update(S.traces, "Trace", i, u, TRACE_F)
    return 204, None


@route("POST", "/v1/private/traces/search")
def _(r):
    p = resolve_project(r.body)
    if not p:
        raise derr(404, "Project not found")
    ex = r.body.get("exclude")
    items = [view_trace(t) for t in S.traces.values() if t["project_id"] == p["id"]]
    items = apply_filters(items, r.body.get("filters"), "traces")
    items.sort(key=lambda t: t["id"], reverse=True)
    last = r.body.get("last_retrieved_id")
    if last:
        items = [t for t in items if t["id"] < last]
    items = items[: r.body.get("limit") or 500]
    return 200, stream([view_trace(S.traces[t["id"]], ex) for t in items])


@route("GET", "/v1/private/traces")
def _(r):
    p = resolve_project(r.q)
    if not p:
        return 200, page([], r.q)
    items = apply_filters([view_trace(t) for t in S.traces.values() if t["project_id"] == p["id"]], r.q.get("filters"), "traces")
    items.sort(key=lambda t: t["id"], reverse=True)
    return 200, page(items, r.q, ["id", "name", "start_time"])


@route("POST", "/v1/private/traces/delete")
def _(r):
    if not 1 <= len(r.body.get("ids") or []) <= 1000:
        raise err(422, "ids size must be between 1 and 1000")
    for i in r.body["ids"]:
        S.traces.pop(i, None)
        for s in [s for s in S.spans.values() if s["trace_id"] == i]:
            S.spans.pop(s["id"], None)
    return 204, None


@route("PUT", "/v1/private/traces/feedback-scores")
def _(r):
    sc = r.body.get("scores") or []
    if not 1 <= len(sc) <= 1000:
        raise err(422, "scores size must be between 1 and 1000")
    for s in sc:
        check_uuid7(s["id"], "trace")
    for s in sc:
        project_by_name(s.get("project_name"))
        put_score("trace", s["id"], s)
    return 204, None


@route("PUT", "/v1/private/spans/feedback-scores")
def _(r):
    for s in r.body["scores"]:
        check_uuid7(s["id"], "span")
        put_score("span", s["id"], s)
    return 204, None


@route("PUT", "/v1/private/traces/threads/feedback-scores")
def _(r):
    for s in r.body["scores"]:
        p = project_by_name(s.get("project_name"))
        th = S.threads.setdefault((p["id"], s["thread_id"]), dict(thread_model_id=uuid7(), status="active", tags=None, created_at=now(), last_updated_at=now()))
        put_score("thread", th["thread_model_id"], s)
    return 204, None


@route("POST", "/v1/private/traces/threads/feedback-scores/delete")
def _(r):
    p = project_by_name(r.body["project_name"])
    th = S.threads.get((p["id"], r.body["thread_id"]))
    if th:
        for n in r.body["names"]:
            S.scores.get(("thread", th["thread_model_id"]), {}).pop(n, None)
    return 204, None


def thread_view(pid, tid):
    th = S.threads[(pid, tid)]
    ts = sorted([t for t in S.traces.values() if t["project_id"] == pid and t.get("thread_id") == tid], key=lambda t: t["start_time"])
    if not ts:
        return None
    ends = [t["end_time"] for t in ts if t.get("end_time")]
    end = max(ends) if ends else None
    return drop_none(dict(id=tid, project_id=pid, thread_model_id=th["thread_model_id"], start_time=ts[0]["start_time"], end_time=end,
                          duration=duration(dict(start_time=ts[0]["start_time"], end_time=end)), first_message=ts[0].get("input"), last_message=ts[-1].get("output"),
                          feedback_scores=scores_of("thread", th["thread_model_id"]), status=th["status"], number_of_messages=2 * len(ts), tags=th.get("tags"),
                          comments=S.comments.get(("thread", th["thread_model_id"])), created_by=USER, last_updated_by=USER, created_at=th["created_at"],
                          last_updated_at=th["last_updated_at"], environment=ts[0].get("environment")))


@route("POST", "/v1/private/traces/threads/search")
def _(r):
    p = resolve_project(r.body)
    if not p:
        raise derr(404, "Project not found")
    items = [v for (pid, tid) in S.threads if pid == p["id"] for v in [thread_view(pid, tid)] if v]
    items = apply_filters(items, r.body.get("filters"), "threads")
    items.sort(key=lambda t: t["thread_model_id"], reverse=True)
    last = r.body.get("last_retrieved_thread_model_id")
    if last:
        items = [t for t in items if t["thread_model_id"] < last]
    return 200, stream(items[: r.body.get("limit") or 500])


@route("GET", "/v1/private/traces/threads")
def _(r):
    p = resolve_project(r.q)
    items = [v for (pid, tid) in S.threads if p and pid == p["id"] for v in [thread_view(pid, tid)] if v]
    return 200, page(apply_filters(items, r.q.get("filters"), "threads"), r.q)


@route("POST", "/v1/private/traces/threads/retrieve")
def _(r):
    p = resolve_project(r.body)
    v = thread_view(p["id"], r.body["thread_id"]) if p and (p["id"], r.body["thread_id"]) in S.threads else None
    if not v:
        raise err(404, "Trace Thread id: %s not found" % r.body["thread_id"])
    return 200, v


@route("PUT", "/v1/private/traces/threads/close")
def _(r):
    p = resolve_project(r.body)
    ids = r.body.get("thread_ids") or [r.body.get("thread_id")]
    for i in ids:
        if not p or (p["id"], i) not in S.threads:
            raise derr(404, "Thread '[%s]' not found:" % i)
        S.threads[(p["id"], i)]["status"] = "inactive"
    return 204, None


@route("PUT", "/v1/private/traces/threads/open")
def _(r):
    p = resolve_project(r.body)
    S.threads[(p["id"], r.body["thread_id"])]["status"] = "active"
    return 204, None


@route("PATCH", "/v1/private/traces/threads/{id}")
def _(r, id):
    for t in S.threads.values():
        if t["thread_model_id"] == id:
            t["tags"] = r.body.get("tags")
            return 204, None
    raise err(404, "Thread not found")


@route("POST", "/v1/private/traces/{id}/feedback-scores/delete")
def _(r, id):
    S.scores.get(("trace", id), {}).pop(r.body["name"], None)
    return 204, None


@route("POST", "/v1/private/spans/{id}/feedback-scores/delete")
def _(r, id):
    S.scores.get(("span", id), {}).pop(r.body["name"], None)
    return 204, None


@route("PUT", "/v1/private/traces/{id}/feedback-scores")
def _(r, id):
    if id not in S.traces:
        raise err(404, "Trace id: %s not found" % id)
    put_score("trace", id, r.body)
    return 204, None


@route("POST", "/v1/private/traces/{id}/comments")
def _(r, id):
    c = dict(id=uuid7(), text=r.body["text"], created_at=now(), last_updated_at=now(), created_by=USER, last_updated_by=USER)
    S.comments.setdefault(("trace", id), []).append(c)
    return created(r.path, c["id"])


@route("POST", "/v1/private/spans/{id}/comments")
def _(r, id):
    c = dict(id=uuid7(), text=r.body["text"], created_at=now(), last_updated_at=now(), created_by=USER, last_updated_by=USER)
    S.comments.setdefault(("span", id), []).append(c)
    return created(r.path, c["id"])


@route("GET", "/v1/private/traces/{id}")
def _(r, id):
    if id not in S.traces:
        raise err(404, "Trace id: %s not found" % id)
    o = view_trace(S.traces[id])
    if r.q.get("strip_attachments") != "true":
        for k in ("input", "output", "metadata"):
            if k in o:
                o[k] = reinject(o[k], o["project_id"], "trace", id)
    return 200, o


@route("PATCH", "/v1/private/traces/{id}")
def _(r, id):
    single_update(S.traces, "Trace", id, r.body, TRACE_F)
    return 204, None


@route("DELETE", "/v1/private/traces/{id}")
def _(r, id):
    S.traces.pop(id, None)
    return 204, None


# --------------------------------------------------------------------- spans
@route("POST", "/v1/private/spans")
def _(r):
    validate_entity(r.body, "Span")
    return created(r.path, single_create(S.spans, "Span", r.body, SPAN_F))


@route("POST", "/v1/private/spans/batch")
def _(r):
    ss = r.body.get("spans") or []
    if not 1 <= len(ss) <= 1000:
        raise err(422, "spans size must be between 1 and 1000")
    for s in ss:
        validate_entity(s, "Span")
    for s in ss:
        batch_put(S.spans, "Span", s, SPAN_F)
    return 204, None


@route("POST", "/v1/private/spans/search")
def _(r):
    p = resolve_project(r.body)
    if not p:
        raise derr(404, "Project not found")
    items = [view_span(s) for s in S.spans.values() if s["project_id"] == p["id"]]
    if r.body.get("trace_id"):
        items = [s for s in items if s["trace_id"] == r.body["trace_id"]]
    if r.body.get("type"):
        items = [s for s in items if s.get("type") == r.body["type"]]
    items = apply_filters(items, r.body.get("filters"), "spans")
    items.sort(key=lambda t: t["id"], reverse=True)
    last = r.body.get("last_retrieved_id")
    if last:
        items = [t for t in items if t["id"] < last]
    return 200, stream([view_span(S.spans[s["id"]], False, r.body.get("exclude")) for s in items[: r.body.get("limit") or 500]])


@route("GET", "/v1/private/spans")
def _(r):
    p = resolve_project(r.q)
    items = [view_span(s) for s in S.spans.values() if p and s["project_id"] == p["id"]]
    if r.q.get("trace_id"):
        items = [s for s in items if s["trace_id"] == r.q["trace_id"]]
    items = apply_filters(items, r.q.get("filters"), "spans")
    items.sort(key=lambda t: t["id"], reverse=True)
    return 200, page(items, r.q)


@route("GET", "/v1/private/spans/{id}")
def _(r, id):
    if id not in S.spans:
        raise err(404, "Span id: %s not found" % id)
    o = view_span(S.spans[id], True)
    if r.q.get("strip_attachments") != "true":
        for k in ("input", "output", "metadata"):
            if k in o:
                o[k] = reinject(o[k], o["project_id"], "span", id)
    return 200, o


@route("PATCH", "/v1/private/spans/{id}")
def _(r, id):
    if not r.body.get("trace_id"):
        raise err(422, "traceId must not be null")
    single_update(S.spans, "Span", id, r.body, SPAN_F)
    return 204, None


# --------------------------------------------------------------- attachments
def b64url(s):
    s = s.replace("-", "+").replace("_", "/")
    return base64.b64decode(s + "=" * (-len(s) % 4)).decode()


@route("POST", "/v1/private/attachment/upload-start")
def _(r):
    b = r.body
    base = b64url(b["path"]).rstrip("/")
    mt = b.get("mime_type") or "application/octet-stream"
    u = base + "/v1/private/attachment/upload?file_name=%s&mime_type=%s&entity_type=%s&entity_id=%s" % (quote(b["file_name"]), quote(mt), b["entity_type"], b["entity_id"])
    if b.get("project_name") is not None:
        u += "&project_name=" + quote(b["project_name"])
    return 200, {"upload_id": "BEMinIO", "pre_sign_urls": [u]}


@route("PUT", "/v1/private/attachment/upload")
def _(r):
    p = project_by_name(r.q.get("project_name"))
    S.attachments[(p["id"], r.q["entity_type"], r.q["entity_id"], r.q["file_name"])] = dict(data=r.raw, mime_type=r.q.get("mime_type") or "application/octet-stream")
    return 204, None


@route("PUT", "/s3/{n}")
def _(r, n):
    return 200, None, {"ETag": '"etag-%s"' % n}


@route("POST", "/v1/private/attachment/upload-complete")
def _(r):
    return 204, None


@route("GET", "/v1/private/attachment/list")
def _(r):
    try:
        uuid.UUID(r.q["entity_id"])
    except ValueError:
        raise derr(404, "HTTP 404 Not Found")
    base = b64url(r.q["path"].replace(" ", "+")).rstrip("/")
    out = []
    for (pid, et, eid, fn), a in S.attachments.items():
        if pid == r.q["project_id"] and et == r.q["entity_type"] and eid == r.q["entity_id"]:
            link = base + "/v1/private/attachment/download?workspace_name=%s&container_id=%s&file_name=%s&mime_type=%s&entity_type=%s&entity_id=%s" % (
                r.workspace, pid, quote(fn), quote(a["mime_type"]), et, eid)
            out.append(dict(link=link, file_name=fn, file_size=len(a["data"]), mime_type=a["mime_type"]))
    return 200, page(out, r.q, default_size=100)


@route("GET", "/v1/private/attachment/download")
def _(r):
    a = S.attachments.get((r.q["container_id"], r.q["entity_type"], r.q["entity_id"], r.q["file_name"]))
    if not a:
        raise derr(404, "HTTP 404 Not Found")
    return 200, Raw(a["data"], a["mime_type"], {"Content-Disposition": 'attachment; filename="%s"' % r.q["file_name"]})


@route("POST", "/v1/private/attachment/delete")
def _(r):
    return 204, None


# ------------------------------------------------------------------ datasets
def ds_by_name(name, pname=None):
    p = project_by_name(pname, create=False) if pname else None
    hit = [d for d in S.datasets.values() if d["name"].lower() == name.lower()]
    if p:
        scoped = [d for d in hit if d.get("project_id") == p["id"]]
        if scoped:
            return scoped[0]
    return hit[0] if hit else None


def ds_view(d):
    vs = S.versions.get(d["id"], [])
    o = dict(d)
    o["dataset_items_count"] = len(vs[-1]["items"]) if vs else 0
    o["experiment_count"] = sum(1 for e in S.experiments.values() if e.get("dataset_id") == d["id"])
    o["optimization_count"] = 0
    if vs:
        o["latest_version"] = {k: vs[-1][k] for k in ("id", "version_hash", "version_name", "tags")}
    return drop_none(o)


def ver_view(d, v):
    o = {k: x for k, x in v.items() if k != "items" and not k.startswith("_")}
    o["is_latest"] = S.versions[d["id"]][-1] is v
    o["tags"] = (["latest"] if o["is_latest"] else []) + (v.get("tags") or [])
    o["items_total"] = len(v["items"])
    return drop_none(o)


def new_version(d, items, **kw):
    vs = S.versions.setdefault(d["id"], [])
    prev = vs[-1] if vs else None
    v = dict(id=uuid7(), dataset_id=d["id"], version_hash=hashlib.sha256(os.urandom(8)).hexdigest()[:12], tags=[], version_name="v%d" % (len(vs) + 1), items_added=0,
             items_modified=0, items_deleted=0, created_at=now(), created_by=USER, last_updated_at=now(), last_updated_by=USER, items=items,
             evaluators=prev.get("evaluators") if prev else None, execution_policy=prev.get("execution_policy") if prev else None)
    v.update(drop_none(kw))
    vs.append(v)
    return v


def version_for_write(d, group):
    """batch_group_id: all batches of one group mutate the same version"""
    vs = S.versions.setdefault(d["id"], [])
    if group and vs and vs[-1].get("_group") == group:
        return vs[-1]
    v = new_version(d, dict(vs[-1]["items"]) if vs else {})
    v["_group"] = group
    return v


def get_version(d, ref):
    vs = S.versions.get(d["id"], [])
    if not ref or ref == "latest":
        return vs[-1] if vs else None
    for v in vs:
        if ref in (v["version_hash"], v["version_name"], v["id"]) or ref in (v["tags"] or []):
            return v
    raise err(404, "Version not found")


@route("GET", "/v1/private/datasets")
def _(r):
    items = [ds_view(d) for d in S.datasets.values()]
    if r.q.get("name"):
        items = [d for d in items if r.q["name"].lower() in d["name"].lower()]
    if r.q.get("project_id"):
        items = [d for d in items if d.get("project_id") == r.q["project_id"]]
    items.sort(key=lambda d: d["id"], reverse=True)
    return 200, page(items, r.q)


@route("POST", "/v1/private/datasets")
def _(r):
    b = r.body
    pid = b.get("project_id") or (project_by_name(b["project_name"])["id"] if b.get("project_name") else None)
    for d in S.datasets.values():
        if d["name"].lower() == b["name"].lower() and d.get("project_id") == pid:
            raise err(409, "Dataset already exists")
    i = check_uuid7(b["id"], "dataset") if b.get("id") else uuid7()
    S.datasets[i] = drop_none(dict(id=i, name=b["name"], project_id=pid, type=b.get("type") or "dataset", visibility=b.get("visibility") or "private", tags=b.get("tags"),
                                   description=b.get("description"), created_at=now(), created_by=USER, last_updated_at=now(), last_updated_by=USER))
    return created(r.path, i)


@route("POST", "/v1/private/datasets/retrieve")
def _(r):
    d = ds_by_name(r.body["dataset_name"], r.body.get("project_name"))
    if not d:
        raise err(404, "Dataset not found")
    return 200, ds_view(d)


@route("POST", "/v1/private/datasets/delete")
def _(r):
    d = ds_by_name(r.body["dataset_name"], r.body.get("project_name"))
    if not d:
        raise err(404, "Dataset not found")
    S.datasets.pop(d["id"])
    return 204, None


@route("PUT", "/v1/private/datasets/items")
def _(r):
    b = r.body
    if not 1 <= len(b.get("items") or []) <= 1000:
        raise err(422, "items size must be between 1 and 1000")
    d = S.datasets.get(b.get("dataset_id")) if b.get("dataset_id") else ds_by_name(b["dataset_name"], b.get("project_name"))
    if not d:
        if b.get("dataset_id"):
            raise err(404, "Dataset not found")
        i = uuid7()
        d = S.datasets[i] = dict(id=i, name=b["dataset_name"], type="dataset", visibility="private", created_at=now(), created_by=USER, last_updated_at=now(), last_updated_by=USER)
    v = version_for_write(d, b.get("batch_group_id"))
    for it in b["items"]:
        i = check_uuid7(it["id"], "dataset_item") if it.get("id") else uuid7()
        old = v["items"].get(i)
        v["items_modified" if old else "items_added"] += 1
        v["items"][i] = drop_none(dict(id=i, dataset_item_id=i, trace_id=it.get("trace_id"), span_id=it.get("span_id"), source=it["source"], data=it["data"], description=it.get("description"),
                                       tags=it.get("tags"), evaluators=it.get("evaluators"), execution_policy=it.get("execution_policy"), dataset_id=d["id"],
                                       created_at=old["created_at"] if old else now(), last_updated_at=now(), created_by=USER, last_updated_by=USER))
    return 204, None


@route("POST", "/v1/private/datasets/items/stream")
def _(r):
    b = r.body
    d = ds_by_name(b["dataset_name"], b.get("project_name"))
    if not d:
        raise err(404, "Dataset not found")
    v = get_version(d, b.get("dataset_version"))
    items = sorted(v["items"].values(), key=lambda i: i["id"], reverse=True) if v else []
    items = apply_filters(items, b.get("filters"), "dataset_items")
    if b.get("last_retrieved_id"):
        items = [i for i in items if i["id"] < b["last_retrieved_id"]]
    return 200, stream(items[: b.get("steam_limit") or 500])


@route("POST", "/v1/private/datasets/items/delete")
def _(r):
    b = r.body
    d = S.datasets.get(b["dataset_id"]) if b.get("dataset_id") else next((S.datasets[k] for k, vs in S.versions.items() if vs and b["item_ids"][0] in vs[-1]["items"]), None)
    if not d:
        raise err(404, "Dataset not found")
    v = version_for_write(d, b.get("batch_group_id"))
    ids = b.get("item_ids")
    if ids is None:
        ids = [i["id"] for i in apply_filters(list(v["items"].values()), b.get("filters"), "dataset_items")]
    for i in ids:
        if v["items"].pop(i, None):
            v["items_deleted"] += 1
    return 204, None


@route("GET", "/v1/private/datasets/items/{id}")
def _(r, id):
    for vs in S.versions.values():
        if vs and id in vs[-1]["items"]:
            return 200, vs[-1]["items"][id]
    raise err(404, "Dataset item not found")


@route("GET", "/v1/private/datasets/{id}")
def _(r, id):
    if id not in S.datasets:
        raise err(404, "Dataset not found")
    return 200, ds_view(S.datasets[id])


@route("PUT", "/v1/private/datasets/{id}")
def _(r, id):
    S.datasets[id].update(drop_none(r.body))
    return 204, None


@route("DELETE", "/v1/private/datasets/{id}")
def _(r, id):
    S.datasets.pop(id, None)
    return 204, None


@route("GET", "/v1/private/datasets/{id}/items")
def _(r, id):
    d = S.datasets.get(id)
    if not d:
        raise err(404, "Dataset not found")
    v = get_version(d, r.q.get("version"))
    items = sorted(v["items"].values(), key=lambda i: i["id"], reverse=True) if v else []
    o = page(apply_filters(items, r.q.get("filters"), "dataset_items"), r.q)
    o["columns"] = []
    return 200, o


@route("GET", "/v1/private/datasets/{id}/versions")
def _(r, id):
    if id not in S.datasets:
        raise err(404, "Dataset not found")
    return 200, page([ver_view(S.datasets[id], v) for v in reversed(S.versions.get(id, []))], r.q)


@route("POST", "/v1/private/datasets/{id}/versions/retrieve")
def _(r, id):
    for v in S.versions.get(id, []):
        if v["version_name"] == r.body["version_name"]:
            return 200, ver_view(S.datasets[id], v)
    raise err(404, "Version not found")


@route("GET", "/v1/private/datasets/{id}/versions/hash/{h}")
def _(r, id, h):
    return 200, ver_view(S.datasets[id], get_version(S.datasets[id], h))


@route("POST", "/v1/private/datasets/{id}/items/changes")
def _(r, id):
    d = S.datasets.get(id)
    if not d:
        raise err(404, "Dataset not found")
    b, vs = r.body, S.versions.get(id, [])
    if r.q.get("override") != "true" and vs and b.get("base_version") and b["base_version"] != vs[-1]["id"]:
        raise err(409, "Version conflict")
    items = dict(vs[-1]["items"]) if vs else {}
    v = new_version(d, items, evaluators=b.get("evaluators"), execution_policy=b.get("execution_policy"), change_description=b.get("change_description"))
    for it in b.get("added_items") or []:
        i = it.get("id") or uuid7()
        items[i] = drop_none(dict(it, id=i, dataset_item_id=i, dataset_id=id, created_at=now(), last_updated_at=now(), created_by=USER, last_updated_by=USER))
        v["items_added"] += 1
    for it in b.get("edited_items") or []:
        if it["id"] in items:
            items[it["id"]] = {**items[it["id"]], **drop_none(it), "last_updated_at": now()}
            v["items_modified"] += 1
    for i in b.get("deleted_ids") or []:
        if items.pop(i, None):
            v["items_deleted"] += 1
    return 201, ver_view(d, v)


# --------------------------------------------------------------- experiments
def exp_view(e):
    o = dict(e)
    items = [i for i in S.exp_items.values() if i["experiment_id"] == e["id"]]
    o["trace_count"] = len({i["trace_id"] for i in items})
    o["dataset_item_count"] = len({i["dataset_item_id"] for i in items})
    agg = {}
    for i in items:
        for f in scores_of("trace", i["trace_id"]) or []:
            agg.setdefault(f["name"], []).append(f["value"])
    o["feedback_scores"] = [dict(name=n, value=round(sum(v) / len(v), 9)) for n, v in sorted(agg.items())] or None
    d = S.datasets.get(e.get("dataset_id"))
    o["dataset_name"] = d["name"] if d else e.get("dataset_name")
    if e.get("project_id"):
        o["project_name"] = S.projects[e["project_id"]]["name"]
    if e.get("dataset_version_id"):
        for v in S.versions.get(e.get("dataset_id"), []):
            if v["id"] == e["dataset_version_id"]:
                o["dataset_version_summary"] = {k: v[k] for k in ("id", "version_hash", "version_name", "tags")}
    pv = []
    for l in e.get("prompt_versions") or []:
        for pid, vs in S.prompt_versions.items():
            for v in vs:
                if v["id"] == l["id"]:
                    pv.append(dict(id=v["id"], prompt_version_id=v["id"], commit=v["commit"], prompt_id=pid, prompt_name=S.prompts[pid]["name"], template=v["template"]))
    o["prompt_versions"] = pv or None
    if pv:
        o["prompt_version"] = pv[0]
    o["usage"] = {}
    o.setdefault("status", "running")
    return drop_none(o)


@route("POST", "/v1/private/experiments")
def _(r):
    b = r.body
    i = check_uuid7(b["id"], "Experiment") if b.get("id") else uuid7()
    if i in S.experiments:
        raise err(409, "Already exists experiment with id '%s'" % i)
    p = project_by_name(b["project_name"]) if b.get("project_name") else None
    d = ds_by_name(b["dataset_name"], b.get("project_name")) if b.get("dataset_name") else None
    if b.get("dataset_name") and not d:
        di = uuid7()
        d = S.datasets[di] = drop_none(dict(id=di, name=b["dataset_name"], project_id=p["id"] if p else None, type="dataset", created_at=now(), created_by=USER, last_updated_at=now(), last_updated_by=USER))
    vs = S.versions.get(d["id"], []) if d else []
    S.experiments[i] = drop_none(dict(id=i, name=b.get("name") or "stub_%s" % i[-6:], dataset_id=d["id"] if d else None, dataset_name=b.get("dataset_name"), project_id=p["id"] if p else None,
                                      metadata=b.get("metadata"), tags=b.get("tags"), type=b.get("type") or "regular", evaluation_method=b.get("evaluation_method") or "dataset",
                                      optimization_id=b.get("optimization_id"), status=b.get("status") or "running", experiment_scores=b.get("experiment_scores"),
                                      prompt_versions=b.get("prompt_versions") or ([b["prompt_version"]] if b.get("prompt_version") else None),
                                      dataset_version_id=b.get("dataset_version_id") or (vs[-1]["id"] if vs else None), created_at=now(), last_updated_at=now(), created_by=USER, last_updated_by=USER))
    return created(r.path, i)


def put_exp_item(it):
    i = it.get("id") or uuid7()
    if it["experiment_id"] not in S.experiments:
        raise derr(409, "Upserting experiment item with 'experiment_id' not belonging to the workspace")
    S.exp_items[i] = dict(id=i, experiment_id=it["experiment_id"], dataset_item_id=it["dataset_item_id"], trace_id=it["trace_id"], execution_policy=it.get("execution_policy"),
                          created_at=now(), last_updated_at=now(), created_by=USER, last_updated_by=USER)


@route("POST", "/v1/private/experiments/items")
def _(r):
    for it in r.body["experiment_items"]:
        put_exp_item(it)
    return 204, None


@route("PUT", "/v1/private/experiments/items/bulk")
def _(r):
    b = r.body
    if r.raw_len > 4 * 1024 * 1024:
        raise err(422, "Request size exceeds the maximum allowed size of 4MB")
    e = S.experiments.get(b.get("experiment_id")) or next((x for x in S.experiments.values() if x["name"] == b["experiment_name"]), None)
    if not e:
        i = b.get("experiment_id") or uuid7()
        d = ds_by_name(b["dataset_name"])
        e = S.experiments[i] = dict(id=i, name=b["experiment_name"], dataset_id=d["id"] if d else None, dataset_name=b["dataset_name"], type="regular", status="completed", created_at=now(), last_updated_at=now(), created_by=USER, last_updated_by=USER)
    for it in b["items"]:
        tr = it.get("trace")
        if tr is None:
            tr = dict(id=uuid7(), start_time=now(), end_time=now(), output=it.get("evaluate_task_result"))
        tr = dict(tr, project_name=tr.get("project_name") or b.get("project_name"))
        tr.setdefault("id", uuid7())
        batch_put(S.traces, "Trace", tr, TRACE_F)
        for sp in it.get("spans") or []:
            batch_put(S.spans, "Span", dict(sp, trace_id=tr["id"], project_name=tr["project_name"]), SPAN_F)
        for f in it.get("feedback_scores") or []:
            put_score("trace", tr["id"], f)
        put_exp_item(dict(experiment_id=e["id"], dataset_item_id=it["dataset_item_id"], trace_id=tr["id"]))
    return 204, None


def exp_item_compare(i):
    t = S.traces.get(i["trace_id"])
    v = view_trace(t) if t else {}
    ars = S.assertions.get(i["trace_id"])
    return drop_none(dict(i, input=v.get("input"), output=v.get("output"), trace_metadata=v.get("metadata"), feedback_scores=v.get("feedback_scores"), comments=v.get("comments"),
                          total_estimated_cost=v.get("total_estimated_cost"), duration=v.get("duration"), usage=v.get("usage"), trace_visibility_mode="default", project_id=v.get("project_id"),
                          assertion_results=[dict(value=a["name"], passed=a["status"] == "passed", reason=a.get("reason")) for a in ars] if ars else None,
                          status=("passed" if all(a["status"] == "passed" for a in ars) else "failed") if ars else None))


@route("POST", "/v1/private/experiments/items/stream")
def _(r):
    b = r.body
    ids = {e["id"] for e in S.experiments.values() if b["experiment_name"].lower() in e["name"].lower()}
    items = sorted([exp_item_compare(i) for i in S.exp_items.values() if i["experiment_id"] in ids], key=lambda i: i["id"], reverse=True)
    if b.get("last_retrieved_id"):
        items = [i for i in items if i["id"] < b["last_retrieved_id"]]
    return 200, stream(items[: b.get("limit") or 500])


@route("POST", "/v1/private/experiments/stream")
def _(r):
    b = r.body
    items = [exp_view(e) for e in S.experiments.values() if b["name"].lower() in e["name"].lower()]
    if b.get("project_name"):
        p = project_by_name(b["project_name"], create=False)
        items = [e for e in items if p and e.get("project_id") in (p["id"], None)]
    items.sort(key=lambda e: e["id"], reverse=True)
    if b.get("last_retrieved_id"):
        items = [i for i in items if i["id"] < b["last_retrieved_id"]]
    return 200, stream(items[: b.get("limit") or 500])


@route("GET", "/v1/private/experiments")
def _(r):
    items = [exp_view(e) for e in S.experiments.values()]
    if r.q.get("datasetId"):
        items = [e for e in items if e.get("dataset_id") == r.q["datasetId"]]
    if r.q.get("name"):
        items = [e for e in items if r.q["name"].lower() in e["name"].lower()]
    items.sort(key=lambda e: e["id"], reverse=True)
    return 200, page(items, r.q)


@route("POST", "/v1/private/experiments/delete")
def _(r):
    for i in r.body["ids"]:
        S.experiments.pop(i, None)
    return 204, None


@route("POST", "/v1/private/experiments/finish")
def _(r):
    return 204, None


@route("GET", "/v1/private/experiments/{id}")
def _(r, id):
    if id not in S.experiments:
        raise err(404, "Not found experiment with id '%s'" % id)
    return 200, exp_view(S.experiments[id])


@route("PATCH", "/v1/private/experiments/{id}")
def _(r, id):
    if id not in S.experiments:
        raise err(404, "Not found experiment with id '%s'" % id)
    S.experiments[id].update(drop_none(r.body))
    S.experiments[id]["last_updated_at"] = now()
    return 204, None


@route("GET", "/v1/private/datasets/{id}/items/experiments/items")
def _(r, id):
    ids = json.loads(r.q["experiment_ids"])
    d = S.datasets.get(id)
    rows, seen = [], {}
    for i in sorted(S.exp_items.values(), key=lambda x: x["id"]):
        if i["experiment_id"] in ids:
            seen.setdefault(i["dataset_item_id"], []).append(exp_item_compare(i))
    allitems = {}
    for v in S.versions.get(id, []):
        allitems.update(v["items"])
    flt = json.loads(r.q["filters"]) if r.q.get("filters") else []
    for k, xs in seen.items():
        xs = [x for x in xs if all(match(x, f, "traces") if f["field"] in ("feedback_scores", "output", "input", "duration", "metadata") else match(dict(allitems.get(k, {}), **{}), f, "generic") for f in flt)]
        if not xs:
            continue
        base = allitems.get(k, dict(id=k, source="sdk", data={}))
        rows.append(dict(base, experiment_items=xs))
    rows.sort(key=lambda x: x["id"], reverse=True)
    o = page(rows, r.q)
    o["columns"] = []
    return 200, o


@route("PUT", "/v1/private/assertion-results")
def _(r):
    for a in r.body["assertion_results"]:
        S.assertions.setdefault(a["entity_id"], []).append(a)
    return 204, None


# ------------------------------------------------------------------- prompts
def pv_view(p, v, detail=True):
    o = dict(v, prompt_id=p["id"], template_structure=p.get("template_structure") or "text")
    if not detail:
        o.pop("variables", None)
    return drop_none(o)


def add_pv(p, b):
    vs = S.prompt_versions.setdefault(p["id"], [])
    i = b.get("id") or uuid7()
    mask = b.get("version_type") == "mask"
    n = 1 + sum(1 for v in vs if v.get("version_type") != "mask")
    tpl = b["template"]
    ty = b.get("type") or "mustache"
    variables = sorted(set(re.findall(r"\{\{\s*([\w.]+)\s*\}\}", tpl))) if ty == "mustache" else None
    v = drop_none(dict(id=i, commit=b.get("commit") or i[-8:], version_number=None if mask else "v%d" % n, template=tpl, metadata=b.get("metadata"), type=ty, change_description=b.get("change_description"),
                       tags=b.get("tags"), variables=variables, version_type=b.get("version_type") or "prompt", environments=b.get("environments"), created_at=now(), created_by=USER))
    vs.append(v)
    return v


def prompt_by_name(name, pname=None):
    hit = [p for p in S.prompts.values() if p["name"] == name]
    if pname:
        p = project_by_name(pname, create=False)
        sc = [x for x in hit if p and x.get("project_id") == p["id"]]
        if sc:
            return sc[0]
        hit = sorted(hit, key=lambda x: bool(x.get("project_id")))  # workspace-wide fallback (X-Opik-Deprecation)
    return hit[0] if hit else None


def new_prompt(b):
    _p = project_by_name(b["project_name"], create=False) if b.get("project_name") else None
    if any(x["name"] == b["name"] and x.get("project_id") == (_p["id"] if _p else None) for x in S.prompts.values()) and not (b.get("project_name") and not _p):
        raise err(409, "Prompt id or name already exists")
    i = b.get("id") or uuid7()
    pid = b.get("project_id") or (project_by_name(b["project_name"])["id"] if b.get("project_name") else None)
    S.prompts[i] = drop_none(dict(id=i, name=b["name"], project_id=pid, description=b.get("description"), template_structure=b.get("template_structure") or "text", tags=b.get("tags"), created_at=now(), created_by=USER,
                                  last_updated_at=now(), last_updated_by=USER))
    return S.prompts[i]


def visible(pid):
    return [v for v in S.prompt_versions.get(pid, []) if v.get("version_type") != "mask"]


@route("POST", "/v1/private/prompts")
def _(r):
    p = new_prompt(r.body)
    if r.body.get("template"):
        add_pv(p, {k: r.body.get(k) for k in ("template", "metadata", "change_description", "type")})
    return created(r.path, p["id"])


@route("GET", "/v1/private/prompts")
def _(r):
    items = [dict(p, version_count=len(visible(p["id"]))) for p in S.prompts.values()]
    if r.q.get("name"):
        items = [p for p in items if r.q["name"].lower() in p["name"].lower()]
    if r.q.get("project_id"):
        items = [p for p in items if p.get("project_id") in (r.q["project_id"], None)]
    items = apply_filters(items, r.q.get("filters"), "generic")
    items.sort(key=lambda p: p["id"], reverse=True)
    return 200, page(items, r.q)


@route("POST", "/v1/private/prompts/versions")
def _(r):
    b = r.body
    _pr = project_by_name(b["project_name"]) if b.get("project_name") else None
    p = next((x for x in S.prompts.values() if x["name"] == b["name"] and x.get("project_id") == (_pr["id"] if _pr else None)), None)
    if not p:
        p = new_prompt(dict(name=b["name"], template_structure=b.get("template_structure"), project_name=b.get("project_name")))
    elif b.get("template_structure") and b["template_structure"] != p["template_structure"]:
        raise err(400, "Template structure mismatch: prompt '%s' is '%s'" % (p["name"], p["template_structure"]))
    v = add_pv(p, b["version"])
    return 200, pv_view(p, v)


@route("PATCH", "/v1/private/prompts/versions")
def _(r):
    for vs in S.prompt_versions.values():
        for v in vs:
            if v["id"] in r.body["ids"]:
                t = r.body["update"].get("tags")
                if t is not None:
                    v["tags"] = sorted(set(v.get("tags") or []) | set(t)) if r.body.get("merge_tags") else t
    return 204, None


@route("POST", "/v1/private/prompts/versions/retrieve")
def _(r):
    b = r.body
    p = prompt_by_name(b["name"], b.get("project_name"))
    if not p:
        raise err(404, "Prompt not found")
    vs = visible(p["id"])
    if b.get("commit"):
        vs = [v for v in vs if v["commit"] == b["commit"]]
    if b.get("version_number"):
        vs = [v for v in vs if v["version_number"] == b["version_number"]]
    if b.get("environment"):
        vs = [v for v in vs if b["environment"] in (v.get("environments") or [])]
    if not vs:
        raise err(404, "Prompt version not found")
    return 200, pv_view(p, vs[-1])


@route("GET", "/v1/private/prompts/versions/{id}")
def _(r, id):
    for pid, vs in S.prompt_versions.items():
        for v in vs:
            if v["id"] == id:
                return 200, pv_view(S.prompts[pid], v)
    raise err(404, "Prompt version not found")


@route("PATCH", "/v1/private/prompts/versions/{id}/environments")
def _(r, id):
    for vs in S.prompt_versions.values():
        if any(v["id"] == id for v in vs):
            for v in vs:
                keep = [e for e in v.get("environments") or [] if e not in r.body["environments"]]
                v["environments"] = r.body["environments"] if v["id"] == id else keep
            return 204, None
    raise err(404, "Prompt version not found")


@route("GET", "/v1/private/prompts/{id}/versions")
def _(r, id):
    p = S.prompts.get(id)
    items = [pv_view(p, v, False) for v in reversed(visible(id))]
    if r.q.get("search"):
        s = r.q["search"].lower()
        items = [v for v in items if s in v["template"].lower() or s in (v.get("change_description") or "").lower()]
    return 200, page(apply_filters(items, r.q.get("filters"), "generic"), r.q)


@route("GET", "/v1/private/prompts/by-commit/{c}")
def _(r, c):
    for pid, vs in S.prompt_versions.items():
        for v in vs:
            if v["commit"] == c:
                p = S.prompts[pid]
                return 200, dict(p, version_count=len(vs), requested_version=pv_view(p, v), latest_version=pv_view(p, visible(pid)[-1]))
    raise err(404, "Prompt not found")


@route("GET", "/v1/private/prompts/{id}")
def _(r, id):
    p = S.prompts.get(id)
    if not p:
        raise err(404, "Prompt not found")
    vs = visible(id)
    return 200, dict(p, version_count=len(vs), latest_version=pv_view(p, vs[-1]) if vs else None)


@route("PUT", "/v1/private/prompts/{id}")
def _(r, id):
    if id not in S.prompts:
        raise derr(404, "Prompt not found")
    S.prompts[id].update(drop_none(r.body))
    return 204, None


@route("DELETE", "/v1/private/prompts/{id}")
def _(r, id):
    S.prompts.pop(id, None)
    return 204, None


# ------------------------------------------------ misc areas (light support)
def crud(prefix, store, extra=None):
    @route("POST", prefix)
    def _(r):
        i = r.body.get("id") or uuid7()
        store()[i] = drop_none(dict(r.body, id=i, created_at=now(), created_by=USER, last_updated_at=now(), last_updated_by=USER, **(extra(r.body) if extra else {})))
        return created(r.path, i)

    @route("GET", prefix)
    def _(r):
        items = sorted(store().values(), key=lambda x: x["id"], reverse=True)
        if r.q.get("name"):
            items = [x for x in items if r.q["name"].lower() in (x.get("name") or "").lower()]
        return 200, page([{k: v for k, v in x.items() if k != "items"} for x in items], r.q)

    @route("POST", prefix + "/delete")
    def _(r):
        for i in r.body["ids"]:
            store().pop(i, None)
        return 204, None

    @route("GET", prefix + "/{id}")
    def _(r, id):
        if id not in store():
            raise err(404, "Not found")
        return 200, {k: v for k, v in store()[id].items() if k != "items"}

    for m in ("PATCH", "PUT"):
        @route(m, prefix + "/{id}")
        def _(r, id):
            store()[id].update(drop_none(r.body))
            return 204, None

    @route("DELETE", prefix + "/{id}")
    def _(r, id):
        store().pop(id, None)
        return 204, None


@route("POST", "/v1/private/annotation-queues/{id}/items/add")
def _(r, id):
    q = S.queues[id]
    q["items"] = sorted(set(q["items"]) | set(r.body["ids"]))
    q["items_count"] = len(q["items"])
    return 204, None


@route("POST", "/v1/private/annotation-queues/{id}/items/delete")
def _(r, id):
    q = S.queues[id]
    q["items"] = sorted(set(q["items"]) - set(r.body["ids"]))
    q["items_count"] = len(q["items"])
    return 204, None


crud("/v1/private/environments", lambda: S.environments)
crud("/v1/private/optimizations", lambda: S.optimizations, lambda b: dict(num_trials=0, project_id=project_by_name(b.get("project_name"))["id"], name=b.get("name") or "optimization-" + uuid7()[-6:], dataset_id=(ds_by_name(b["dataset_name"]) or {}).get("id")))
crud("/v1/private/annotation-queues", lambda: S.queues, lambda b: dict(items=[], items_count=0))
crud("/v1/private/feedback-definitions", lambda: S.feedback_defs)


@route("POST", "/v1/private/dashboards")
def _(r):
    i = r.body.get("id") or uuid7()
    S.dashboards[i] = drop_none(dict(r.body, id=i, created_at=now(), created_by=USER, last_updated_at=now(), last_updated_by=USER))
    return 201, S.dashboards[i]


@route("GET", "/v1/private/dashboards")
def _(r):
    return 200, page(list(S.dashboards.values()), r.q)


@route("GET", "/v1/private/dashboards/{id}")
def _(r, id):
    if id not in S.dashboards:
        raise err(404, "Dashboard not found")
    return 200, S.dashboards[id]


@route("DELETE", "/v1/private/dashboards/{id}")
def _(r, id):
    S.dashboards.pop(id, None)
    return 204, None


@route("POST", "/v1/private/guardrails")
def _(r):
    S.guardrails.extend(r.body["guardrails"])
    return 204, None


# ------------------------------------------------------------------- server
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "opik-stub"
    disable_nagle_algorithm = True

    def log_message(self, *a):
        pass

    def read_body(self):
        te = (self.headers.get("Transfer-Encoding") or "").lower()
        if "chunked" in te:
            out = b""
            while True:
                n = int(self.rfile.readline().split(b";")[0], 16)
                if n == 0:
                    while self.rfile.readline() not in (b"\r\n", b"\n", b""):
                        pass
                    return out
                out += self.rfile.read(n)
                self.rfile.readline()
        n = int(self.headers.get("Content-Length") or 0)
        return self.rfile.read(n) if n else b""

    def handle_any(self):
        t0 = time.time()
        wire = self.read_body()
        u = urlsplit(self.path)
        q = {k: v[-1] for k, v in parse_qs(u.query, keep_blank_values=True).items()}
        path = u.path
        if path.startswith("/__"):
            return self.control(path, q, wire)
        self.q, self.raw, self.raw_len, self.body = q, wire, len(wire), None
        full = path
        for pre in ("/opik/api", "/api"):
            if path.startswith(pre + "/"):
                path = path[len(pre):]
                break
        path = re.sub(r"/{2,}", "/", path)
        self.workspace = self.headers.get("Comet-Workspace") or q.get("workspace_name") or "default"
        status, body, hdrs = 500, None, {}
        dec_err = None
        try:
            ce = (self.headers.get("Content-Encoding") or "").lower()
            if ce == "gzip":
                self.raw = gzip.decompress(wire)
            self.raw_len = len(self.raw)
            ct = (self.headers.get("Content-Type") or "").lower()
            if self.raw and "json" in ct:
                self.body = json.loads(self.raw)
        except Exception as e:
            dec_err = e
        fault = None
        with LOCK:
            for f in FAULTS:
                if f["times"] != 0 and re.search(f["path"], path) and f.get("method", self.command) == self.command:
                    f["times"] -= 1
                    fault = f
                    break
        self.p_stripped = path
        try:
            if path.startswith("/v1/private/") and self.workspace.lower() != "default" and not ANY_WS:
                raise derr(404, "Workspace not found")
            if dec_err is not None:
                raise derr(400, "Unable to process JSON. %s" % dec_err)
            if fault:
                if fault.get("delay"):
                    time.sleep(fault["delay"])
                if fault.get("drop"):
                    self.record(t0, full, wire, 0, None, {"fault": "drop"})
                    self.close_connection = True
                    return
                if fault.get("status"):
                    raise Http(fault["status"], fault.get("body", {"code": fault["status"], "message": "fault"}), fault.get("headers"))
            for m, rx, fn in ROUTES:
                if m != self.command:
                    continue
                mm = rx.match(path)
                if mm:
                    with LOCK:
                        res = fn(self, **mm.groupdict())
                    status, body, hdrs = (res + ({},))[:3]
                    break
            else:
                raise derr(404, "HTTP 404 Not Found")
        except Http as e:
            status, body, hdrs = e.status, e.body, dict(e.headers)
        except Exception as e:
            traceback.print_exc()
            status, body = 500, {"code": 500, "message": "stub: %r" % e}
        self.record(t0, full, wire, status, body, hdrs)
        self.reply(status, body, hdrs)

    def reply(self, status, body, hdrs):
        self.send_response(status)
        for k, v in hdrs.items():
            self.send_header(k, v)
        if isinstance(body, Stream):
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for c in body.chunks:
                self.wfile.write(b"%x\r\n" % len(c) + c + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
            return
        if isinstance(body, Raw):
            for k, v in body.headers.items():
                self.send_header(k, v)
            self.send_header("Content-Type", body.ctype)
            self.send_header("Content-Length", str(len(body.data)))
            self.end_headers()
            self.wfile.write(body.data)
            return
        data = b"" if body is None else json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        if data:
            self.send_header("Content-Type", "application/json")
            if len(data) >= 256 and "gzip" in (self.headers.get("Accept-Encoding") or ""):
                data = gzip.compress(data)
                self.send_header("Content-Encoding", "gzip")
                self.send_header("Vary", "Accept-Encoding")
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if data and status != 204:
            self.wfile.write(data)

    def record(self, t0, full, wire, status, body, hdrs):
        if isinstance(body, Stream):
            rb = {"_ndjson_lines": len(body.chunks), "_first": body.chunks[0].decode() if body.chunks else None}
        elif isinstance(body, Raw):
            rb = {"_raw_bytes": len(body.data), "content_type": body.ctype}
        else:
            rb = body
        if self.body is not None:
            req = self.body
        elif self.raw:
            req = {"_bytes": len(self.raw), "_head": self.raw[:64].decode("latin1")}
        else:
            req = None
        rec = dict(seq=None, t=round(t0, 3), method=self.command, path=full, query=self.q, headers=[[k, v] for k, v in self.headers.items()], wire_len=len(wire), body_len=self.raw_len,
                   body=req, response=dict(status=status, headers=hdrs, body=rb), ms=round((time.time() - t0) * 1000, 1))
        with LOCK:
            SCEN["seq"] += 1
            rec["seq"] = SCEN["seq"]
            line = json.dumps(rec, ensure_ascii=False)
            if len(line) > 60000:
                rec["body"] = {"_truncated": True, "_head": json.dumps(rec["body"])[:4000]}
                if len(json.dumps(rec["response"])) > 40000:
                    rec["response"]["body"] = {"_truncated": True, "_head": json.dumps(rec["response"]["body"])[:4000]}
                line = json.dumps(rec, ensure_ascii=False)
            if SCEN["fh"] is None:
                os.makedirs(SCEN["dir"], exist_ok=True)
                SCEN["fh"] = open(os.path.join(SCEN["dir"], SCEN["name"] + ".jsonl"), "w")
            SCEN["fh"].write(line + "\n")
            SCEN["fh"].flush()

    def control(self, path, q, wire):
        global S
        with LOCK:
            if path == "/__scenario":
                if SCEN["fh"]:
                    SCEN["fh"].close()
                SCEN.update(name=q["name"], seq=0, fh=None)
            elif path == "/__fault":
                f = json.loads(wire)
                f.setdefault("times", 1)
                FAULTS.append(f)
            elif path == "/__faults/clear":
                FAULTS.clear()
            elif path == "/__reset":
                S = State()
            st = {k: len(v) for k, v in vars(S).items()}
        self.reply(200, st, {})

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = handle_any


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("--port", type=int, default=18080)
    ap.add_argument("--captures", default="captures")
    ap.add_argument("--any-workspace", action="store_true", help="cloud-like: accept any Comet-Workspace")
    a = ap.parse_args()
    SCEN["dir"] = a.captures
    ANY_WS = a.any_workspace
    srv = ThreadingHTTPServer(("127.0.0.1", a.port), Handler)
    srv.daemon_threads = True
    srv.request_queue_size = 128
    print("stub on", a.port, "pid", os.getpid(), flush=True)
    srv.serve_forever()

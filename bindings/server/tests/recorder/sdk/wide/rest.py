"""What user interfaces and users of the generated client ask for: statistics, metrics, groups, files, locks."""
import datetime
import json
import os
import sys

import httpx
from driver import equal, main, status, unique, wait

from opik import id_helpers

NOW = datetime.datetime.now(datetime.timezone.utc)


def filled(client):
    project = unique("measured")
    for n in range(4):
        trace = client.trace(name=f"t{n % 2}", project_name=project, input={"n": n}, output={"o": n}, tags=[f"tag{n % 2}"], metadata={"m": f"v{n % 2}"}, thread_id="th",
                             start_time=NOW, end_time=NOW + datetime.timedelta(milliseconds=100 * (n + 1)),
                             error_info={"exception_type": "Boom", "message": "m", "traceback": "tb"} if n == 3 else None, feedback_scores=[{"name": "good", "value": n / 4}])
        trace.span(name="s", type="llm", model=f"model{n % 2}", provider="openai", usage={"prompt_tokens": 10, "completion_tokens": n, "total_tokens": 10 + n}, total_cost=0.5,
                   start_time=NOW, end_time=NOW + datetime.timedelta(milliseconds=50))
    client.flush()
    wait(lambda: len(client.search_spans(project_name=project)) == 4 and all(t.feedback_scores for t in client.search_traces(project_name=project)))
    return project, client.rest_client.projects.retrieve_project(name=project).id


def http(client, method, path, **options):
    base = os.environ["OPIK_URL_OVERRIDE"].rstrip("/") + "/v1/private"
    return httpx.request(method, base + path, timeout=20, **options)


def stats_of(answer):
    return {s.name: s.value for s in answer.stats}


def check_statistics(client):
    project, id = filled(client)
    api = client.rest_client
    found = stats_of(api.traces.get_trace_stats(project_id=id))
    equal((found["trace_count"], found["error_count"], found["thread_count"], found["feedback_scores.good"], found["usage.total_tokens"]), (4, 1, 1, 0.375, 11.5))
    equal((found["duration"].p50, found["duration"].p99, found["total_estimated_cost_sum"]), (200.0, 400.0, 2.0))
    found = stats_of(api.spans.get_span_stats(project_id=id, type="llm"))
    equal((found["span_count"], found["usage.prompt_tokens"]), (4, 10.0))
    filtered = stats_of(api.traces.get_trace_stats(project_id=id, filters=json.dumps([{"field": "tags", "operator": "contains", "value": "tag1"}])))
    equal(filtered["trace_count"], 2)
    (entry,) = [it for it in http(client, "GET", f"/projects/stats?name={project}").json()["content"]]
    equal((entry["project_id"], entry["trace_count"], entry["error_count"]["count"], entry["total_estimated_cost_sum"]), (id, 4, 1, 2.0))
    equal(entry["feedback_scores"], [{"name": "good", "value": 0.375}])
    for kind in ("traces", "spans", "traces/threads"):
        equal(http(client, "GET", f"/{kind}/feedback-scores/names?project_id={id}").status_code, 200)
    equal(http(client, "GET", "/projects/feedback-scores/names", params={"project_ids": json.dumps([id])}).json()["scores"], [{"name": "good"}])
    equal([n for n in http(client, "GET", f"/projects/{id}/token-usage/names").json()["names"] if not n.startswith("original_usage")], ["completion_tokens", "prompt_tokens", "total_tokens"], "names of tokens")


def check_metrics(client):
    _, id = filled(client)
    api = client.rest_client.projects
    span = dict(interval_start=NOW - datetime.timedelta(days=2), interval_end=NOW + datetime.timedelta(days=1))

    def metric(name, interval="DAILY", **more):
        found = api.get_project_metrics(id=id, metric_type=name, interval=interval, **span, **more)
        return {line.name: sum(p.value for p in line.data if p.value is not None) for line in found.results}

    equal(metric("TRACE_COUNT"), {"traces": 4})
    equal(metric("SPAN_COUNT"), {"spans": 4})
    equal(metric("THREAD_COUNT"), {"threads": 1})
    equal(metric("COST", "TOTAL"), {"cost": 2.0})
    equal(metric("TOKEN_USAGE", "WEEKLY")["total_tokens"], 46)
    equal(metric("FEEDBACK_SCORES"), {"good": 0.375})
    equal(metric("DURATION"), {"duration.p50": 200.0, "duration.p90": 400.0, "duration.p99": 400.0})
    equal(metric("GUARDRAILS_FAILED_COUNT"), {"failed": 0})
    hours = api.get_project_metrics(id=id, metric_type="TRACE_COUNT", interval="HOURLY", **span).results[0].data
    assert len(hours) in (72, 73), len(hours)
    filters = [{"field": "tags", "operator": "contains", "value": "tag1"}]
    answer = http(client, "POST", f"/projects/{id}/metrics", json={
        "metric_type": "TRACE_COUNT", "interval": "TOTAL", "interval_start": span["interval_start"].isoformat(), "interval_end": span["interval_end"].isoformat(), "trace_filters": filters})
    equal([line["data"][0]["value"] for line in answer.json()["results"]], [2.0])
    for field, groups in [("name", {"t0": 2, "t1": 2}), ("tags", {"tag0": 2, "tag1": 2}), ("metadata", {"v0": 2, "v1": 2})]:
        answer = http(client, "POST", f"/projects/{id}/metrics", json={
            "metric_type": "TRACE_COUNT", "interval": "TOTAL", "interval_start": span["interval_start"].isoformat(), "breakdown": {"field": field, "metadata_key": "m"}})
        equal({line["name"]: line["data"][0]["value"] for line in answer.json()["results"]}, groups, field)
    body = {"metric_type": "TRACE_COUNT", "interval": "DAILY", "interval_start": "2026-01-02T00:00:00Z", "interval_end": "2026-01-01T00:00:00Z"}
    equal(http(client, "POST", f"/projects/{id}/metrics", json=body).status_code, 400)
    equal(http(client, "POST", f"/projects/{id_helpers.generate_id()}/metrics", json=dict(body, interval_end="2026-01-03T00:00:00Z")).status_code, 404)
    cards = http(client, "POST", f"/projects/{id}/kpi-cards", json={"entity_type": "traces", "interval_start": span["interval_start"].isoformat()}).json()["stats"]
    equal({c["type"]: (c["current_value"], c["previous_value"]) for c in cards}["count"], (4.0, 0.0))


def check_lists(client):
    project, id = filled(client)
    api = client.rest_client
    page = api.traces.get_traces_by_project(project_name=project, page=1, size=3, sorting=json.dumps([{"field": "duration", "direction": "ASC"}]))
    equal((page.total, page.size, [t.input["n"] for t in page.content]), (4, 3, [0, 1, 2]))
    page = api.traces.get_traces_by_project(project_name=project, page=2, size=3, sorting=json.dumps([{"field": "feedback_scores.good", "direction": "DESC"}]))
    equal([t.input["n"] for t in page.content], [0])
    page = api.traces.get_traces_by_project(project_name=project, exclude=json.dumps(["input", "output"]))
    assert all(t.input is None and t.output is None and t.name for t in page.content)
    page = api.spans.get_spans_by_project(project_id=id, type="llm", page=1, size=2)
    equal((page.total, len(page.content)), (4, 2))
    page = api.traces.get_traces_by_project(project_id=id, filters=json.dumps([{"field": "custom", "key": "input.n", "operator": "=", "value": "2"}]))
    equal([t.input["n"] for t in page.content], [2])
    found = http(client, "GET", "/traces", params={"project_id": id, "search": "t1"}).json()
    equal(found["total"], 2)
    equal(http(client, "GET", "/traces/exists", params={"project_id": id}).json(), {"exists": True})
    traces = [t.id for t in client.search_traces(project_name=project)]
    equal(http(client, "PATCH", "/traces/batch", json={"ids": traces, "update": {"tags": ["more"]}, "merge_tags": True}).status_code, 204)
    equal({len(t.tags) for t in client.search_traces(project_name=project)}, {2})


def check_groups_of_experiments(client):
    dataset = client.create_dataset(unique("grouped"))
    dataset.insert([{"n": 1}])
    for n in range(3):
        client.create_experiment(dataset_name=dataset.name, name=unique("e"), experiment_config={"model": f"m{n % 2}", "deep": {"k": n}})
    groups = json.dumps([{"field": "dataset_id", "type": "string"}, {"field": "metadata", "key": "model", "type": "dictionary"}])
    filters = json.dumps([{"field": "dataset_id", "operator": "=", "value": dataset.id}])
    found = http(client, "GET", "/experiments/groups", params={"groups": groups, "filters": filters}).json()
    group = found["content"][dataset.id]
    equal((group["label"], sorted(group["groups"])), (dataset.name, ["m0", "m1"]))
    equal(found["details"]["groups_details"], [{"group_sorting": [dataset.id]}, {"group_sorting": ["m0", "m1"]}])
    found = http(client, "GET", "/experiments/groups/aggregations", params={"groups": groups, "filters": filters}).json()
    equal(found["content"][dataset.id]["groups"]["m0"]["aggregations"]["experiment_count"], 2)
    equal(http(client, "GET", "/experiments/groups", params={"groups": "[]"}).status_code, 400)


def check_files_of_datasets(client):
    dataset = client.create_dataset(unique("files"))

    def upload(kind, name, content, **fields):
        return http(client, "POST", f"/datasets/items/from-{kind}", data=dict(fields, dataset_id=dataset.id), files={"file": (name, content)}).status_code

    equal(upload("csv", "a.csv", 'q,expected\n"why, though?",yes\nwho?,"{""a"": 1}"\n'), 202)
    equal(upload("json", "a.jsonl", '{"q": "line"}\n', format="jsonl"), 202)
    equal(upload("json", "a.json", '[{"q": "list", "n": 1}]', format="json"), 202)
    equal(upload("json", "a.json", "not json", format="json"), 400)
    rows = sorted((dict((k, v) for k, v in sorted(i.items()) if k != "id") for i in client.get_dataset(dataset.name).get_items()), key=repr)
    equal(rows, sorted([{"q": "line"}, {"n": 1, "q": "list"}, {"expected": {"a": 1}, "q": "who?"}, {"expected": "yes", "q": "why, though?"}], key=repr))
    equal(client.get_dataset(dataset.name).get_current_version_name(), "v3")
    job = http(client, "POST", f"/datasets/{dataset.id}/export")
    equal((job.status_code, job.json()["status"]), (202, "COMPLETED"))
    id = job.json()["id"]
    assert id in [j["id"] for j in http(client, "GET", "/datasets/export-jobs").json()]
    answer = http(client, "GET", f"/datasets/export-jobs/{id}/download")
    equal(answer.headers["content-type"], "text/csv")
    equal(answer.text.splitlines()[0], "expected,n,q")
    assert '"why, though?"' in answer.text
    equal(http(client, "PUT", f"/datasets/export-jobs/{id}/mark-viewed").status_code, 204)
    assert "viewed_at" in http(client, "GET", f"/datasets/export-jobs/{id}").json()
    equal(http(client, "GET", f"/datasets/export-jobs/{id_helpers.generate_id()}").status_code, 404)


def check_items_from_records(client):
    project = unique("records")
    trace = client.trace(name="t", project_name=project, input={"q": 1}, output={"a": 2}, tags=["x"], metadata={"m": 1}, feedback_scores=[{"name": "s", "value": 1}])
    span = trace.span(name="s", input={"sq": 1}, output={"sa": 2}, usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3})
    client.flush()
    wait(lambda: client.get_span_content(span.id) and client.get_trace_content(trace.id).feedback_scores)
    dataset = client.create_dataset(unique("from"))
    api = client.rest_client.datasets
    options = {"includeSpans": True, "includeTags": True, "includeFeedbackScores": True, "includeMetadata": True}
    equal(http(client, "POST", f"/datasets/{dataset.id}/items/from-traces", json={"trace_ids": [trace.id], "enrichment_options": options}).status_code, 204)
    equal(http(client, "POST", f"/datasets/{dataset.id}/items/from-spans", json={"span_ids": [span.id], "enrichment_options": {"includeUsage": True}}).status_code, 204)
    by_source = {i.source: i for i in api.get_dataset_items(id=dataset.id, page=1, size=10).content}
    item = by_source["trace"]
    equal((item.trace_id, item.data["input"], item.data["expected_output"], item.data["tags"], item.data["metadata"]), (trace.id, {"q": 1}, {"a": 2}, ["x"], {"m": 1}))
    equal(([s["name"] for s in item.data["spans"]], [s["name"] for s in item.data["feedback_scores"]]), (["s"], ["s"]))
    item = by_source["span"]
    equal((item.span_id, item.data["input"], item.data["expected_output"], item.data["usage"]["total_tokens"]), (span.id, {"sq": 1}, {"sa": 2}, 3))


def check_compared_runs(client):
    from opik.api_objects.experiment.experiment_item import ExperimentItemReferences

    project = unique("compared")
    dataset = client.create_dataset(unique("compared"), project_name=project)
    dataset.insert([{"n": n, "text": "x"} for n in range(2)])
    ids = []
    for run in range(2):
        experiment = client.create_experiment(dataset_name=dataset.name, name=unique("run"), project_name=project)
        traces = [client.trace(name="t", output={"answer": f"{run}"}, project_name=project, feedback_scores=[{"name": "s", "value": run}]) for _ in range(2)]
        experiment.insert([ExperimentItemReferences(dataset_item_id=i["id"], trace_id=t.id) for i, t in zip(dataset.get_items(), traces)])
        client.flush()
        wait(lambda: len(experiment.get_items()) == 2 and all(i.feedback_scores for i in experiment.get_items()))
        ids.append(experiment.id)
    params = {"experiment_ids": json.dumps(ids)}
    page = http(client, "GET", f"/datasets/{dataset.id}/items/experiments/items", params=params).json()
    equal((page["total"], [len(row["experiment_items"]) for row in page["content"]]), (2, [2, 2]))
    equal([(c["name"], c["types"], c["filterField"]) for c in page["columns"]], [("n", ["number"], "data.n"), ("text", ["string"], "data.text")])
    columns = http(client, "GET", f"/datasets/{dataset.id}/items/experiments/items/output/columns", params=params).json()["columns"]
    equal([(c["name"], c["types"]) for c in columns], [("answer", ["string"])])
    stats = {s["name"]: s["value"] for s in http(client, "GET", f"/datasets/{dataset.id}/items/experiments/items/stats", params=params).json()["stats"]}
    equal((stats["experiment_items_count"], stats["trace_count"], stats["feedback_scores.s"]), (4, 4, 0.5))


def check_locks_of_queues(client):
    project = unique("locked")
    trace = client.trace(name="t", project_name=project)
    client.flush()
    wait(lambda: client.search_traces(project_name=project))
    queue = client.create_traces_annotation_queue(name=unique("q"), project_name=project) if hasattr(client, "create_traces_annotation_queue") else None
    if queue is None:
        return
    got = http(client, "PUT", f"/annotation-queues/{queue.id}/items/{trace.id}/lock").json()
    equal((got["acquired"], got["item_id"], got["locked_by"]), (True, trace.id, "admin"))
    equal(http(client, "GET", f"/annotation-queues/{queue.id}/locks").json(), {"locks": {trace.id: {"active_locks": 1, "locked_by": ["admin"]}}})
    equal(http(client, "GET", f"/annotation-queues/{id_helpers.generate_id()}/locks").status_code, 404)


def check_errors_have_the_shapes_of_opik(client):
    equal(http(client, "GET", "/traces/not-a-uuid").status_code, 404)
    equal(http(client, "GET", "/nothing/here").status_code, 404)
    answer = http(client, "POST", "/traces/batch", json={"traces": []})
    equal((answer.status_code, list(answer.json())), (422, ["errors"]))
    answer = http(client, "POST", "/traces/batch", content=b"{", headers={"content-type": "application/json"})
    equal((answer.status_code, answer.json()["code"]), (400, 400))
    equal(http(client, "GET", "/traces").status_code, 400)
    equal(http(client, "GET", "/traces", headers={"Comet-Workspace": "another"}).status_code, 404)
    equal(status(client.rest_client.spans.delete_span_by_id, id=id_helpers.generate_id()), 501)


if __name__ == "__main__":
    main(sys.modules[__name__])

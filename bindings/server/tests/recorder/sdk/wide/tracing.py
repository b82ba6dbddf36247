"""Traces, spans, threads, scores, attachments: what programs write with the SDK reads back as they meant it."""
import asyncio
import datetime
import os
import sys
import tempfile
import time

from driver import PROJECT, equal, main, needs, raises, status, unique, wait

import opik
from opik import Attachment, id_helpers, opik_context


def content(client, id):
    return wait(lambda: client.get_trace_content(id), f"trace {id}")


def span_content(client, id):
    return wait(lambda: client.get_span_content(id), f"span {id}")


def project_of(client, entity):
    return client.get_project(entity.project_id).name


def check_nested_functions_with_projects(client):
    seen = {}
    project = unique("decorated")

    @opik.track(tags=["b", "a"], metadata={"k": {"deep": [1, None, "é"]}}, project_name=project)
    def outer(x):
        seen["trace"] = opik_context.get_current_trace_data().id
        seen["outer"] = opik_context.get_current_span_data().id
        inner("y")
        return "out"

    @opik.track(type="tool", project_name="ignored by the SDK")
    def inner(y):
        seen["inner"] = opik_context.get_current_span_data().id
        return ["not", "a", "dict"]

    outer("in")
    opik.flush_tracker()
    trace = content(client, seen["trace"])
    equal((trace.name, trace.input, trace.output), ("outer", {"x": "in"}, {"output": "out"}))
    equal((set(trace.tags), trace.metadata["k"]), ({"a", "b"}, {"deep": [1, None, "é"]}))
    equal(project_of(client, trace), project)
    span = span_content(client, seen["inner"])
    equal((span.parent_span_id, span.trace_id, span.type), (seen["outer"], seen["trace"], "tool"))
    equal((span.output, project_of(client, span)), ({"output": ["not", "a", "dict"]}, project))
    equal(span_content(client, seen["outer"]).parent_span_id, None)


def check_errors_caught_and_not(client):
    seen = {}

    @opik.track
    def fails(y):
        seen["span"] = opik_context.get_current_span_data().id
        seen["trace"] = opik_context.get_current_trace_data().id
        raise ValueError("inside")

    @opik.track
    def catches(x):
        try:
            fails(x)
        except ValueError:
            return "caught"

    @opik.track
    def passes_on(x):
        fails(x)

    catches("x")
    opik.flush_tracker()
    equal((content(client, seen["trace"]).error_info, content(client, seen["trace"]).output), (None, {"output": "caught"}))
    span = span_content(client, seen["span"])
    equal((span.error_info.exception_type, span.error_info.message, span.output), ("ValueError", "inside", None))
    assert "fails" in span.error_info.traceback
    raises(ValueError, passes_on, "x")
    opik.flush_tracker()
    equal(content(client, seen["trace"]).error_info.exception_type, "ValueError")
    equal(content(client, seen["trace"]).output, None)


def check_generators_and_async(client):
    seen = {}

    @opik.track
    def numbers(count):
        seen["generator"] = opik_context.get_current_trace_data().id
        for number in range(count):
            yield str(number)

    @opik.track
    async def letters():
        seen["async generator"] = opik_context.get_current_trace_data().id
        for letter in "abc":
            yield letter

    @opik.track
    def broken():
        seen["broken"] = opik_context.get_current_trace_data().id
        yield "one"
        raise KeyError("half way")

    @opik.track
    async def parent():
        seen["async"] = opik_context.get_current_trace_data().id
        await asyncio.gather(child(1), child(2))
        return "both"

    @opik.track
    async def child(n):
        await asyncio.sleep(0.001)
        return n

    equal(list(numbers(3)), ["0", "1", "2"])
    raises(KeyError, list, broken())

    async def run():
        async for _ in letters():
            pass
        await parent()

    asyncio.run(run())
    opik.flush_tracker()
    equal(content(client, seen["generator"]).output, {"output": "012"})
    equal(content(client, seen["async generator"]).output, {"output": "abc"})
    equal(content(client, seen["broken"]).error_info.exception_type, "KeyError")
    equal(content(client, seen["async"]).output, {"output": "both"})
    spans = wait(lambda: (lambda s: s if len(s) == 3 else None)(client.search_spans(project_name=PROJECT, trace_id=seen["async"])))
    equal(sorted(s.name for s in spans), ["child", "child", "parent"])


def check_current_span_and_trace_are_changed(client):
    seen = {}
    thread = id_helpers.generate_id()

    @opik.track
    def work():
        opik_context.update_current_span(
            name="span", input={"si": 1}, output={"so": 2}, metadata={"sm": 3}, total_cost=0.42, model="m", provider="p",
            usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}, tags=["s"], feedback_scores=[{"name": "fast", "value": 1}],
        )
        opik_context.update_current_trace(
            name="trace", input={"ti": 1}, output={"to": 2}, metadata={"tm": 3}, thread_id=thread, tags=["t"],
            feedback_scores=[{"name": "good", "value": 0.5, "reason": "why", "category_name": "c"}],
        )
        seen["trace"] = opik_context.get_current_trace_data().id
        seen["span"] = opik_context.get_current_span_data().id

    work()
    opik.flush_tracker()
    span = wait(lambda: (lambda s: s if s.feedback_scores else None)(client.get_span_content(seen["span"])))
    equal((span.name, span.input, span.output, span.metadata["sm"], span.tags), ("span", {"si": 1}, {"so": 2}, 3, ["s"]))
    equal((span.total_estimated_cost, span.model, span.provider, span.usage["total_tokens"]), (0.42, "m", "p", 3))
    trace = wait(lambda: (lambda t: t if t.feedback_scores else None)(client.get_trace_content(seen["trace"])))
    equal((trace.name, trace.input, trace.output, trace.metadata["tm"], trace.thread_id), ("trace", {"ti": 1}, {"to": 2}, 3, thread))
    score = trace.feedback_scores[0]
    equal((score.name, score.value, score.reason, score.category_name, score.source), ("good", 0.5, "why", "c", "sdk"))
    equal((trace.usage["total_tokens"], trace.total_estimated_cost, trace.span_count), (3, 0.42, 1))


def check_distributed_headers(client):
    seen = {}

    @opik.track
    def here():
        seen["trace"] = opik_context.get_current_trace_data().id
        seen["span"] = opik_context.get_current_span_data().id
        return opik_context.get_distributed_trace_headers()

    @opik.track
    def there():
        seen["there"] = opik_context.get_current_span_data().id

    headers = here()
    there(opik_distributed_trace_headers=headers)
    opik.flush_tracker()
    span = span_content(client, seen["there"])
    equal((span.trace_id, span.parent_span_id), (seen["trace"], seen["span"]))


def check_client_objects(client):
    trace = client.trace(name="t", input={"a": 1}, project_name=PROJECT, metadata={"m": 1}, tags=["x"], thread_id="th", start_time=None)
    first = trace.span(name="one", type="llm", input={"b": 1}, model="gpt-4o", provider="openai", usage={"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15})
    second = first.span(name="two", type="guardrail", input={"c": 1})
    second.update(output={"c": 2}, tags=["u"], metadata={"z": 1})
    second.end(error_info={"exception_type": "E", "message": "m", "traceback": "tb"})
    first.end(output={"b": 2})
    trace.update(output={"a": 2}, metadata={"n": 2}, tags=["y"])
    trace.end()
    client.flush()
    wait(lambda: client.get_span_content(second.id).error_info)
    read = wait(lambda: (lambda t: t if t.end_time and t.input else None)(client.get_trace_content(trace.id)))
    equal((read.output, set(read.tags), read.thread_id, read.llm_span_count), ({"a": 2}, {"y"}, "th", 1))
    assert read.total_estimated_cost > 0, "a known model has a price"
    two = client.get_span_content(second.id)
    equal((two.parent_span_id, two.output, two.type, two.error_info.message), (first.id, {"c": 2}, "guardrail", "m"))
    lone = client.span(name="lone", input={"q": 1}, output={"r": 2}, project_name=PROJECT)
    client.flush()
    own = content(client, lone.trace_id)
    equal((own.name, own.input, own.output), ("lone", {"q": 1}, {"r": 2}), "a span without a trace makes one")


def check_updates_before_creates(client):
    trace_id, span_id = id_helpers.generate_id(), id_helpers.generate_id()
    api = client.rest_client
    api.traces.update_trace(id=trace_id, project_name=PROJECT, output={"late": True}, tags=["early"])
    api.spans.update_span(id=span_id, trace_id=trace_id, project_name=PROJECT, output={"o": 1}, model="m")
    client.trace(id=trace_id, name="late", input={"a": 1}, project_name=PROJECT)
    client.span(id=span_id, trace_id=trace_id, name="late span", input={"b": 1}, project_name=PROJECT)
    client.flush()
    trace = wait(lambda: (lambda t: t if t.name == "late" else None)(client.get_trace_content(trace_id)))
    equal((trace.input, trace.output, trace.tags), ({"a": 1}, {"late": True}, ["early"]))
    span = wait(lambda: (lambda s: s if s.name == "late span" else None)(client.get_span_content(span_id)))
    equal((span.input, span.output, span.model), ({"b": 1}, {"o": 1}, "m"))


@needs("update_trace", "update_span")
def check_update_by_id(client):
    root = client.span(name="root", project_name=PROJECT)
    child = root.span(name="child", input={"i": "old"}, output={"o": "old"})
    client.flush()
    span_content(client, child.id)
    client.update_span(id=child.id, trace_id=child.trace_id, parent_span_id=child.parent_span_id, project_name=PROJECT, input={"i": "new"})
    client.update_trace(trace_id=child.trace_id, project_name=PROJECT, output={"t": 1}, metadata={"m": 1})
    client.flush()
    span = wait(lambda: (lambda s: s if s.input == {"i": "new"} else None)(client.get_span_content(child.id)))
    equal((span.output, span.name, span.parent_span_id), ({"o": "old"}, "child", root.id))
    equal(wait(lambda: client.get_trace_content(child.trace_id).output), {"t": 1})


def check_copy_and_delete(client):
    source, target = unique("source"), unique("target")
    for n in range(2):
        trace = client.trace(name="copied", project_name=source, input={"n": n}, output={"n": n}, metadata={"v": n}, tags=["a", "b"],
                             feedback_scores=[{"name": "score", "value": n, "category_name": "c", "reason": "r"}])
        one = trace.span(name="one", input={"n": n})
        time.sleep(0.002)
        one.span(name="two", input={"n": n})
    client.flush()
    wait(lambda: len(client.search_spans(project_name=source)) == 4)
    wait(lambda: all(t.feedback_scores for t in client.search_traces(project_name=source)))
    client.copy_traces(project_name=source, destination_project_name=target)
    client.flush()
    wait(lambda: len(client.search_spans(project_name=target)) == 4)
    copies = wait(lambda: (lambda t: t if len(t) == 2 and all(c.feedback_scores for c in t) else None)(client.search_traces(project_name=target)))
    for n, copy in enumerate(reversed(copies)):
        equal((copy.input, copy.metadata["v"], set(copy.tags)), ({"n": n}, n, {"a", "b"}))
        equal([(s.name, s.value, s.category_name, s.reason) for s in copy.feedback_scores], [("score", float(n), "c", "r")])
        spans = client.search_spans(project_name=target, trace_id=copy.id)
        by_name = {s.name: s for s in spans}
        equal(by_name["two"].parent_span_id, by_name["one"].id)
    client.rest_client.traces.delete_traces(ids=[c.id for c in copies])
    equal(client.search_traces(project_name=target), [])
    equal(client.search_spans(project_name=target), [], "spans go with their traces")
    equal(status(client.get_trace_content, copies[0].id), 404)


def check_scores(client):
    project = unique("scored")
    trace = client.trace(name="t", project_name=project)
    span = trace.span(name="s")
    trace.log_feedback_score("one", 0.1, category_name="cat", reason="why")
    span.log_feedback_score("two", 2)
    client.log_traces_feedback_scores(scores=[{"id": trace.id, "name": "three", "value": 0.123456789, "project_name": project}])
    client.log_spans_feedback_scores(scores=[{"id": span.id, "name": "four", "value": -4, "reason": "r", "project_name": project}])
    client.flush()
    found = wait(lambda: (lambda f: f if f and len(f) == 2 else None)(client.get_trace_content(trace.id).feedback_scores))
    equal(sorted((s.name, s.value, s.category_name, s.reason) for s in found), [("one", 0.1, "cat", "why"), ("three", 0.123456789, None, None)])
    found = wait(lambda: (lambda f: f if f and len(f) == 2 else None)(client.get_span_content(span.id).feedback_scores))
    equal(sorted((s.name, s.value, s.reason) for s in found), [("four", -4.0, "r"), ("two", 2.0, None)])
    trace.log_feedback_score("one", 0.9)
    client.flush()
    wait(lambda: {s.name: s.value for s in client.get_trace_content(trace.id).feedback_scores}["one"] == 0.9, "a score is replaced")
    client.delete_trace_feedback_score(trace.id, "three")
    client.delete_span_feedback_score(span.id, "four")
    equal([s.name for s in client.get_trace_content(trace.id).feedback_scores], ["one"])
    equal([s.name for s in client.get_span_content(span.id).feedback_scores], ["two"])


def check_threads(client):
    project = unique("threads")
    threads = client.get_threads_client() if hasattr(client, "get_threads_client") else None
    ids = [unique("thread"), unique("thread")]
    for id in ids:
        for n in range(3):
            client.trace(name=f"{n}", input={"q": f"{n} {id}"}, output={"a": f"{n} {id}"}, project_name=project, thread_id=id)
            time.sleep(0.002)
    client.flush()
    search = threads.search_threads
    found = wait(lambda: (lambda f: f if len(f) == 2 else None)(search(project_name=project)))
    equal({t.id for t in found}, set(ids))
    one = search(project_name=project, filter_string=f'id = "{ids[0]}"')
    equal([(t.id, t.number_of_messages, t.status) for t in one], [(ids[0], 6, "active")])
    equal((one[0].first_message, one[0].last_message), ({"q": f"0 {ids[0]}"}, {"a": f"2 {ids[0]}"}))
    equal(len(search(project_name=project, filter_string='status = "active"')), 2)
    equal(len(search(project_name=project, max_results=1)), 1)
    equal(len(search(project_name=project, filter_string="number_of_messages >= 6")), 2)
    threads.log_threads_feedback_scores(scores=[{"id": ids[0], "name": "calm", "value": 0.85, "category_name": "c", "reason": "r"}], project_name=project)
    scored = wait(lambda: search(project_name=project, filter_string="feedback_scores.calm is_not_empty"))
    equal([t.id for t in scored], [ids[0]])
    equal([(s.name, s.value, s.reason, s.category_name) for s in scored[0].feedback_scores], [("calm", 0.85, "r", "c")])
    equal([t.id for t in search(project_name=project, filter_string="feedback_scores.calm = 0.85")], [ids[0]])
    equal([t.id for t in search(project_name=project, filter_string="feedback_scores.calm is_empty")], [ids[1]])
    threads.close_thread(thread_id=ids[0], project_name=project)
    wait(lambda: [t.id for t in search(project_name=project, filter_string='status = "active"')] == [ids[1]])
    api = client.rest_client.traces
    api.open_trace_thread(thread_id=ids[0], project_name=project)
    equal(len(search(project_name=project, filter_string='status = "active"')), 2)
    thread = api.get_trace_thread(thread_id=ids[0], project_name=project)
    api.update_thread(thread_model_id=thread.thread_model_id, tags=["seen"])
    equal([t.id for t in search(project_name=project, filter_string='tags contains "seen"')], [ids[0]])
    api.add_thread_comment(id_=thread.thread_model_id, text="look here")
    equal([c.text for c in api.get_trace_thread(thread_id=ids[0], project_name=project).comments], ["look here"])
    equal(status(threads.close_thread, thread_id="no such thread", project_name=project), 404)
    api.delete_trace_threads(thread_ids=[ids[1]], project_name=project)
    equal([t.id for t in search(project_name=project)], [ids[0]])


def check_attachments(client):
    project = unique("files")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "data ü.bin")
        data = os.urandom(2 << 20)
        with open(path, "wb") as file:
            file.write(data)
        attached = [Attachment(data=path, file_name=name, content_type="application/octet-stream") for name in ("first.bin", "second file.bin")]
        trace = client.trace(name="with files", project_name=project, attachments=attached)
        span = trace.span(name="with a file", attachments=[Attachment(data=path, file_name="third.bin")])
        client.flush()
        files = client.get_attachment_client()
        found = wait(lambda: (lambda f: f if len(f) == 2 else None)(files.get_attachment_list(project_name=project, entity_id=trace.id, entity_type="trace")))
        equal(sorted((f.file_name, f.file_size, f.mime_type) for f in found), [(n, len(data), "application/octet-stream") for n in ("first.bin", "second file.bin")])
        read = b"".join(files.download_attachment(project_name=project, entity_type="trace", entity_id=trace.id, file_name="second file.bin", mime_type="application/octet-stream"))
        equal(read == data, True, "what was uploaded comes back")
        wait(lambda: files.get_attachment_list(project_name=project, entity_id=span.id, entity_type="span"))
        text = os.path.join(folder, "note.txt")
        with open(text, "w") as file:
            file.write("a note")
        if hasattr(files, "upload_attachment"):
            files.upload_attachment(project_name=project, entity_type="span", entity_id=span.id, file_path=text, file_name="note.txt", mime_type="text/plain")
            names = {f.file_name for f in files.get_attachment_list(project_name=project, entity_id=span.id, entity_type="span")}
            equal(names, {"third.bin", "note.txt"})
            read = b"".join(files.download_attachment(project_name=project, entity_type="span", entity_id=span.id, file_name="note.txt", mime_type="text/plain"))
            equal(read, b"a note")
        import httpx

        link = found[0].link
        answer = httpx.get(link if link.startswith("http") else os.environ["OPIK_URL_OVERRIDE"].rstrip("/") + "/" + link.lstrip("/"))
        equal((answer.status_code, answer.content == data), (200, True), "the link of a file")


def check_files_inside_contents(client):
    import base64

    project = unique("embedded")
    png = base64.b64encode(b"\x89PNG\r\n\x1a\n" + os.urandom(300_000)).decode()
    trace = client.trace(name="embedded", project_name=project, input={"image": f"data:image/png;base64,{png}", "text": "see"}, output={"plain": "yes"}, end_time=datetime.datetime.now(datetime.timezone.utc))
    client.flush()
    files = client.get_attachment_client()
    found = wait(lambda: files.get_attachment_list(project_name=project, entity_id=trace.id, entity_type="trace"))
    assert all(f.file_size > 250_000 for f in found), found
    read = content(client, trace.id)
    equal(read.input["image"] == f"data:image/png;base64,{png}", True, "the file comes back into its place as it was")
    stripped = client.rest_client.traces.get_trace_by_id(id=trace.id, strip_attachments=True)
    assert png not in stripped.input["image"] and stripped.input["text"] == "see"
    (whole,) = client.search_traces(project_name=project, truncate=False)
    equal(whole.input == read.input, True, "a search of whole records has the file too")
    (cut,) = client.search_traces(project_name=project)
    assert png not in str(cut.input), "a search of cut records has none"
    page = client.rest_client.traces.get_traces_by_project(project_name=project)
    equal(page.content[0].input == read.input, True, "and so has a list")
    page = client.rest_client.traces.get_traces_by_project(project_name=project, strip_attachments=True)
    assert png not in str(page.content[0].input), "unless it is asked for without"


def check_scores_filed_under_another_project(client):
    here, there = unique("here"), unique("there")
    traces = [client.trace(name="scored", project_name=project) for project in (here, there, None)]
    spans = [trace.span(name="scored") for trace in traces]
    client.flush()
    # A score finds what it is about by the identifier; the project that comes with it may be wrong or missing.
    client.log_traces_feedback_scores(scores=[dict({"id": t.id, "name": "n", "value": n / 2, "reason": "r"}, **({"project_name": there} if n == 0 else {})) for n, t in enumerate(traces)], project_name=there)
    client.log_spans_feedback_scores(scores=[{"id": s.id, "name": "n", "value": n / 2} for n, s in enumerate(spans)], project_name=there)
    client.flush()
    for n, (trace, span, project) in enumerate(zip(traces, spans, (here, there, PROJECT))):
        read = wait(lambda: (lambda t: t if t.feedback_scores else None)(client.get_trace_content(trace.id)))
        equal(([(s.name, s.value, s.reason, s.category_name) for s in read.feedback_scores], project_of(client, read)), ([("n", n / 2, "r", None)], project))
        read = wait(lambda: (lambda s: s if s.feedback_scores else None)(client.get_span_content(span.id)))
        equal([(s.name, s.value) for s in read.feedback_scores], [("n", n / 2)])


def check_messages_kept_while_the_server_was_away(client):
    for batching in (True, False):
        own = opik.Opik(_use_batching=batching, _show_misconfiguration_message=False)
        kept = getattr(own._streamer, "_fallback_replay_manager", None)
        if kept is None:
            print("left out: this SDK keeps nothing while its server is away")
            return own.end()
        project = unique("away")
        before = own.trace(name="before", project_name=project, input={"n": 1})
        step = before.span(name="step", input={"n": 1})
        own.flush()
        kept._monitor.connection_failed("the test says so")
        during = own.trace(name="during", project_name=project, input={"n": 2}, tags=["t"])
        inside = during.span(name="inside", type="llm", output={"n": 3})
        before.update(output={"late": True}, metadata={"m": 1})
        step.update(output={"late": True})
        during.log_feedback_score("kept", 1.0, reason="r")
        inside.log_feedback_score("kept", 0.5)
        with tempfile.NamedTemporaryFile(suffix=".bin", delete=False) as file:
            file.write(b"kept as well")
        with_file = own.trace(name="with a file", project_name=project, attachments=[Attachment(data=file.name, file_name="kept.bin", content_type="application/octet-stream")])
        own.flush()
        equal(status(own.get_trace_content, during.id), 404, "nothing was sent")
        kept._monitor.reset()
        own.flush()
        read = wait(lambda: (lambda t: t if t.feedback_scores else None)(own.get_trace_content(during.id)))
        equal((read.name, read.input, read.tags, [(s.name, s.value, s.reason) for s in read.feedback_scores]), ("during", {"n": 2}, ["t"], [("kept", 1.0, "r")]))
        read = wait(lambda: (lambda s: s if s.feedback_scores else None)(own.get_span_content(inside.id)))
        equal((read.trace_id, read.type, read.output), (during.id, "llm", {"n": 3}))
        read = wait(lambda: (lambda t: t if t.output else None)(own.get_trace_content(before.id)))
        equal((read.name, read.input, read.output, read.metadata["m"]), ("before", {"n": 1}, {"late": True}, 1))
        equal(wait(lambda: own.get_span_content(step.id).output), {"late": True})
        files = own.get_attachment_client()
        wait(lambda: files.get_attachment_list(project_name=project, entity_id=with_file.id, entity_type="trace"))
        equal(b"".join(files.download_attachment(project_name=project, entity_type="trace", entity_id=with_file.id, file_name="kept.bin", mime_type="application/octet-stream")), b"kept as well")
        os.unlink(file.name)
        own.end()


def check_steps_of_opentelemetry_below_a_span(client):
    import httpx

    seen = {}

    @opik.track
    def here():
        seen.update(opik_context.get_distributed_trace_headers())

    here()
    opik.flush_tracker()

    def text(key, value):
        return {"key": key, "value": {"stringValue": value}}

    now = time.time_ns()
    step = {"traceId": f"{now:032x}", "spanId": f"{now:016x}", "name": "there", "startTimeUnixNano": str(now), "endTimeUnixNano": str(now + 1_000_000), "attributes": [
        text("opik.trace_id", seen["opik_trace_id"]), text("opik.parent_span_id", seen["opik_parent_span_id"]), text("input", '{"asked": 1}'), text("output", '{"got": 2}')]}
    answer = httpx.post(os.environ["OPIK_URL_OVERRIDE"].rstrip("/") + "/v1/private/otel/v1/traces", headers={"projectName": PROJECT, "Authorization": "", "Comet-Workspace": "default"},
                        json={"resourceSpans": [{"scopeSpans": [{"spans": [step]}]}]})
    equal(answer.status_code, 200)
    spans = wait(lambda: (lambda s: s if len(s) == 2 else None)(client.search_spans(project_name=PROJECT, trace_id=seen["opik_trace_id"])))
    (there,) = [s for s in spans if s.name == "there"]
    equal((there.parent_span_id, there.input, there.output), (seen["opik_parent_span_id"], {"asked": 1}, {"got": 2}))
    equal(content(client, seen["opik_trace_id"]).name, "here", "the trace stays that of the SDK")


def check_a_workspace_that_is_not_there(client):
    other = opik.Opik(workspace="nobody has this one", _show_misconfiguration_message=False)
    equal(status(other.auth_check), 404)
    other.end()
    files = client.get_attachment_client()
    for project, entity in ((unique("missing"), id_helpers.generate_id()), (PROJECT, "not an identifier")):
        assert status(files.get_attachment_list, project_name=project, entity_id=entity, entity_type="trace") in (400, 404)


def check_searches(client):
    project = unique("searched")
    for n in range(12):
        trace = client.trace(name=f"S{n}", project_name=project, input={"q": f"word{n}", "deep": {"list": [n]}}, output={"n": n}, tags=[f"t{n % 3}"],
                             metadata={"n": n, "a b": "c d", "flag": n % 2 == 0}, thread_id=f"th{n % 2}",
                             error_info={"exception_type": "Boom", "message": "m", "traceback": "tb"} if n == 5 else None)
        trace.span(name=f"span {n}", type="llm" if n % 2 else "tool", model=f"model-{n % 2}", provider="openai", input={"q": n}, metadata={"n": n},
                   usage={"prompt_tokens": n, "completion_tokens": 1, "total_tokens": n + 1}, total_cost=n / 10)
    client.flush()
    wait(lambda: len(client.search_traces(project_name=project)) == 12)
    wait(lambda: len(client.search_spans(project_name=project)) == 12)
    for query, count in [
        (None, 12), ('name = "s3"', 1), ('name contains "S1"', 3), ('tags contains "t0"', 4), ('metadata.n = 3', 1), ('metadata.n > 9', 2), ('metadata."a b" = "c d"', 12),
        ('metadata.flag = "true"', 6), ('input contains "word11"', 1), ('error_info is_not_empty', 1), ('thread_id = "th1" AND tags contains "t1"', 2),
        ('usage.total_tokens > 10', 2), ('total_estimated_cost >= 1', 2), ('start_time > "2020-01-01T00:00:00Z" AND name != "S0"', 11), ('output contains "11"', 1), ('input_json.q = "word7"', 1),
    ]:
        equal(len(client.search_traces(project_name=project, filter_string=query or "")), count, query)
    for query, count in [
        ('type = "llm"', 6), ('model = "model-1"', 6), ('provider = "openai"', 12), ('usage.prompt_tokens >= 10', 2), ('total_estimated_cost > 1.05', 1), ('metadata.n = 4', 1), ('name ends_with "1"', 2),
        ('duration is_empty', None),
    ]:
        try:
            found = len(client.search_spans(project_name=project, filter_string=query))
        except Exception:
            found = None
        equal(found, count, query)
    equal(len(client.search_traces(project_name=project, max_results=5)), 5)
    ids = [t.id for t in client.search_traces(project_name=project)]
    equal(ids, sorted(ids, reverse=True), "newest first")
    equal(status(client.search_traces, project_name=unique("missing")), 404)
    long = client.trace(name="long", project_name=project, input={"text": "x" * 50_000})
    client.flush()
    wait(lambda: client.get_trace_content(long.id))
    cut = client.search_traces(project_name=project, filter_string='name = "long"', truncate=True)[0]
    whole = client.search_traces(project_name=project, filter_string='name = "long"', truncate=False)[0]
    equal(whole.input, {"text": "x" * 50_000})
    assert len(str(cut.input)) <= 50_020


def check_projects(client):
    api = client.rest_client.projects
    name = unique("project")
    api.create_project(name=name, description="d")
    equal(status(api.create_project, name=name), 409)
    found = api.retrieve_project(name=name)
    equal((found.name, found.description), (name, "d"))
    api.update_project(id=found.id, name=name + "2", description="dd")
    equal((client.get_project(found.id).name, client.get_project(found.id).description), (name + "2", "dd"))
    equal([p.name for p in api.find_projects(name=name).content], [name + "2"])
    assert found.id in client.get_project_url(name + "2") or "project" in client.get_project_url(name + "2")
    api.delete_project_by_id(found.id)
    equal(status(api.get_project_by_id, found.id), 404)
    equal(status(api.get_project_by_id, "None"), 404)
    equal(status(api.retrieve_project, name="no such project"), 404)
    client.auth_check()


def check_comments_and_guardrails(client):
    trace = client.trace(name="commented", project_name=PROJECT)
    span = trace.span(name="guarded", type="guardrail")
    client.flush()
    content(client, trace.id)
    api = client.rest_client
    api.traces.add_trace_comment(id_=trace.id, text="first")
    api.spans.add_span_comment(id_=span.id, text="on the span")
    read = content(client, trace.id)
    equal([c.text for c in read.comments], ["first"])
    api.traces.update_trace_comment(comment_id=read.comments[0].id, text="changed")
    equal(content(client, trace.id).comments[0].text, "changed")
    api.traces.delete_trace_comments(ids=[read.comments[0].id])
    equal(content(client, trace.id).comments, None)
    equal([c.text for c in span_content(client, span.id).comments], ["on the span"])
    api.guardrails.create_guardrails(guardrails=[{"entity_id": trace.id, "secondary_id": span.id, "project_name": PROJECT, "name": "PII",
                                                 "result": "failed", "config": {"k": 1}, "details": {"d": 2}}])
    checks = [c for v in content(client, trace.id).guardrails_validations for c in v.model_dump()["checks"]]
    equal([(c["name"], c["result"]) for c in checks], [("PII", "failed")])
    found = api.traces.get_traces_by_project(project_name=PROJECT, filters='[{"field":"guardrails","operator":"=","value":"failed"}]')
    equal([t.id for t in found.content], [trace.id])


if __name__ == "__main__":
    main(sys.modules[__name__])

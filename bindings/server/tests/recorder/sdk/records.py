"""What a program does with the official SDK, against a server, with every result looked at.

  records.py <base URL>        prints "ok <number of checks>" at the end
"""
import os
import sys
import tempfile
import time

base = sys.argv[1]
os.environ.update(
    OPIK_URL_OVERRIDE=base,
    OPIK_PROJECT_NAME="driven",
    OPIK_SENTRY_ENABLE="false",
    OPIK_ANALYTICS_ENABLE="false",
    OPIK_ENABLE_LITELLM_MODELS_MONITORING="false",
    LITELLM_LOCAL_MODEL_COST_MAP="True",
    OPIK_SUPPRESS_BATCHING_UPDATE_WARNING="true",
    OPIK_CONSOLE_LOGGING_LEVEL="ERROR",
)

import opik  # noqa: E402
from opik import opik_context  # noqa: E402

checks = 0


def check(value, expected):
    global checks
    checks += 1
    assert value == expected, f"check {checks}: {value!r} is not {expected!r}"


def wait(ask, limit=20):
    end = time.time() + limit
    while time.time() < end:
        found = ask()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"nothing came within {limit} s")


client = opik.Opik()
client.auth_check()


# --- decorated functions: nested, with an error, a generator, scores
@opik.track(type="tool", tags=["inner"])
def lookup(order):
    opik_context.update_current_span(metadata={"step": 1}, usage={"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}, model="gpt-4o-mini", provider="openai")
    return {"items": [order, 2]}


@opik.track
def failing():
    raise ValueError("no such order")


@opik.track
def stream(count):
    for number in range(count):
        yield str(number)


@opik.track(name="answer", tags=["driven"], metadata={"channel": "test"})
def answer(question):
    opik_context.update_current_trace(thread_id="thread 1", feedback_scores=[{"name": "helpful", "value": 0.75, "reason": "as asked"}])
    lookup(4711)
    list(stream(3))
    try:
        failing()
    except ValueError:
        pass
    time.sleep(0.01)
    return {"answer": question}


answer("why?")
client.flush()
opik.flush_tracker()
traces = wait(lambda: client.search_traces(project_name="driven", filter_string='name = "answer"'))
trace = traces[0]
check(trace.input, {"question": "why?"})
check(trace.output, {"answer": "why?"})
check(trace.tags, ["driven"])
check(trace.metadata["channel"], "test")
check(trace.thread_id, "thread 1")
check(trace.usage["total_tokens"], 15)
score = wait(lambda: client.get_trace_content(trace.id).feedback_scores)[0]
check((score.name, score.value, score.reason), ("helpful", 0.75, "as asked"))
spans = wait(lambda: (lambda found: found if len(found) == 4 else None)(client.search_spans(project_name="driven", trace_id=trace.id)))
by_name = {span.name: span for span in spans}
check(sorted(by_name), ["answer", "failing", "lookup", "stream"])
check(by_name["failing"].error_info.exception_type, "ValueError")
check(by_name["lookup"].type, "tool")
check(by_name["lookup"].parent_span_id, by_name["answer"].id)
check(by_name["lookup"].metadata["step"], 1)
check(by_name["stream"].output, {"output": "012"})
check(client.get_span_content(by_name["lookup"].id).project_name, "driven")

# --- the low-level client: patches that overtake their creation
made = client.trace(name="manual", input={"a": 1}, project_name="driven", tags=["manual"])
span = made.span(name="step", type="llm", input={"b": 1}, model="gpt-4o", provider="openai", usage={"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}, total_cost=0.25)
span.end(output={"b": 2})
made.update(metadata={"late": True})
made.end(output={"a": 2})
span.log_feedback_score(name="exact", value=1)
made.log_feedback_score(name="good", value=0.5)
client.flush()
read = wait(lambda: (lambda it: it if it.input is not None else None)(client.get_trace_content(made.id)))
check((read.name, read.input, read.output, read.tags), ("manual", {"a": 1}, {"a": 2}, ["manual"]))
check(read.metadata["late"], True)
check(read.end_time is not None, True)
check(read.total_estimated_cost, 0.25)
read = client.get_span_content(span.id)
check((read.name, read.input, read.output, read.model), ("step", {"b": 1}, {"b": 2}, "gpt-4o"))
check([(it.name, it.value) for it in wait(lambda: client.get_span_content(span.id).feedback_scores)], [("exact", 1.0)])
client.delete_trace_feedback_score(made.id, "good")
check(client.get_trace_content(made.id).feedback_scores, None)

# --- every operator of the query language that the server takes
others = []
for number in range(6):
    others.append(client.trace(id=None, name=f"Search {number}", project_name="searched", input={"q": f"question {number}"}, output={"a": number},
                               metadata={"n": number, "deep": {"k": f"v{number}"}}, tags=["even" if number % 2 == 0 else "odd"], thread_id=f"t{number % 2}"))
others[0].log_feedback_score(name="acc", value=0.9)
client.flush()
wait(lambda: len(client.search_traces(project_name="searched")) == 6 or None)
wait(lambda: client.get_trace_content(others[0].id).feedback_scores)
for query, count in [
    ('name = "search 3"', 1), ('name != "search 3"', 5), ('name contains "arch"', 6), ('name not_contains "3"', 5), ('name starts_with "se"', 6),
    ('name ends_with "5"', 1), ('name > "search 3"', 2), ('input contains "question 4"', 1), ('output contains "2"', 1), ('metadata.n = 2', 1),
    ('metadata.n > 3', 2), ('metadata.n < 1', 1), ('metadata."deep.k" = "v1"', 1), ('tags contains "odd"', 3), ('tags not_contains "odd"', 3),
    ('thread_id = "t1"', 3), ('feedback_scores.acc > 0.5', 1), ('feedback_scores.acc is_empty', 5), ('feedback_scores.acc is_not_empty', 1), ('start_time > "2020-01-01T00:00:00Z"', 6),
    ('start_time >= "2099-01-01T00:00:00Z"', 0), ('usage.total_tokens = 0', 6), ('duration >= 0', 0), ('error_info is_empty', 6), ('error_info is_not_empty', 0),
    ('source = "sdk"', 6), ('name contains "arch" AND tags contains "even" AND metadata.n > 0', 2), (f'id = "{others[2].id}"', 1), ('total_estimated_cost <= 1', 6),
]:
    found = client.search_traces(project_name="searched", filter_string=query)
    checks += 1
    assert len(found) == count, f"{query}: {len(found)} instead of {count}"
check(len(client.search_traces(project_name="searched", max_results=4)), 4)

# --- threads
threads = client.get_threads_client() if hasattr(client, "get_threads_client") else client.threads_client if hasattr(client, "threads_client") else None
if threads is not None:
    found = threads.search_threads(project_name="searched", filter_string='id = "t1"')
    check([it.id for it in found], ["t1"])
    check(found[0].number_of_messages, 6)
    threads.log_threads_feedback_scores(scores=[{"id": "t1", "name": "tone", "value": 0.8}], project_name="searched")
    client.flush()
    wait(lambda: threads.search_threads(project_name="searched", filter_string='feedback_scores.tone > 0.5'))
client.rest_client.traces.close_trace_thread(project_name="searched", thread_id="t1")
check(client.rest_client.traces.get_trace_thread(thread_id="t1", project_name="searched").status, "inactive")

# --- files
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "note.txt")
    with open(path, "w") as file:
        file.write("a note" * 1000)
    with_file = client.trace(name="with file", project_name="driven", input={"a": 1}, attachments=[opik.Attachment(data=path, file_name="note.txt", content_type="text/plain")])
    client.flush()
    files = client.get_attachment_client()
    listed = wait(lambda: files.get_attachment_list(project_name="driven", entity_id=with_file.id, entity_type="trace"))
    check([(it.file_name, it.file_size, it.mime_type) for it in listed], [("note.txt", 6000, "text/plain")])
    content = b"".join(files.download_attachment(project_name="driven", entity_type="trace", entity_id=with_file.id, file_name="note.txt", mime_type="text/plain"))
    check(content, b"a note" * 1000)

# --- what the rest client reaches for
project = client.rest_client.projects.retrieve_project(name="DRIVEN")
check(project.name, "driven")
check(client.get_project(project.id).name, "driven")
page = client.rest_client.traces.get_traces_by_project(project_name="driven", page=1, size=2)
check((len(page.content), page.total), (2, 3))
client.rest_client.traces.add_trace_comment(id_=made.id, text="look here")
check(client.get_trace_content(made.id).comments[0].text, "look here")
client.rest_client.traces.delete_traces(ids=[made.id])
try:
    client.get_trace_content(made.id)
    raise AssertionError("the trace is still there")
except opik.rest_api.core.api_error.ApiError as error:
    check(error.status_code, 404)

client.end()
print("ok", checks)

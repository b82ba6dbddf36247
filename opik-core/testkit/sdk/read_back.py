#!/usr/bin/env python3
"""Reads a project with the official Python SDK and prints what it understood as one JSON document.

  OPIK_URL_OVERRIDE=http://127.0.0.1:PORT/api read_back.py PROJECT

Needs `pip install opik`. Prints {"traces": [...], "spans": [...], "threads": [...], "attachments": [...]}; lists are
in the order of their ids. Every record goes through the SDK's own models, so a field that is printed is one that
the SDK accepted.
"""
import base64, json, os, sys

# Nothing may leave the machine.
os.environ.update(
    OPIK_SENTRY_ENABLE="false",
    OPIK_ANALYTICS_ENABLE="false",
    OPIK_ENABLE_LITELLM_MODELS_MONITORING="false",
    LITELLM_LOCAL_MODEL_COST_MAP="True",
    OPIK_CONFIG_PATH=os.devnull,
)

import opik


def plain(record):
    return json.loads(record.json() if hasattr(record, "json") else record.model_dump_json())


def main(project):
    client = opik.Opik(project_name=project, _show_misconfiguration_message=False)
    traces = client.search_traces(project_name=project, max_results=10_000, truncate=False)
    spans = client.search_spans(project_name=project, max_results=10_000, truncate=False)
    # Searching and getting are two ways through the SDK: both have to understand every record.
    got_traces = [plain(client.get_trace_content(trace.id)) for trace in traces]
    got_spans = [plain(client.get_span_content(span.id)) for span in spans]
    threads = client.get_threads_client().search_threads(project_name=project, max_results=1_000, truncate=False)
    files = client.get_attachment_client()
    attachments = []
    for kind, records in (("trace", traces), ("span", spans)):
        for record in records:
            for file in files.get_attachment_list(project_name=project, entity_id=record.id, entity_type=kind):
                chunks = files.download_attachment(
                    project_name=project,
                    entity_type=kind,
                    entity_id=record.id,
                    file_name=file.file_name,
                    mime_type=file.mime_type,
                )
                content = base64.b64encode(b"".join(chunks)).decode()
                attachments.append(
                    {"entity_id": record.id, "name": file.file_name, "type": file.mime_type, "content": content}
                )
    document = {
        "traces": sorted(map(plain, traces), key=lambda trace: trace["id"]),
        "spans": sorted(map(plain, spans), key=lambda span: span["id"]),
        "got_traces": sorted(got_traces, key=lambda trace: trace["id"]),
        "got_spans": sorted(got_spans, key=lambda span: span["id"]),
        "threads": sorted(map(plain, threads), key=lambda thread: thread["id"]),
        "attachments": attachments,
    }
    json.dump(document, sys.stdout)
    client.end(timeout=5)


main(sys.argv[1])

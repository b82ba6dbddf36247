"""Prompts, their versions and environments; annotation queues, dashboards, feedback definitions."""
import sys

from driver import PROJECT, equal, main, needs, raises, status, unique, wait

import opik
import opik.exceptions


def check_versions(client):
    name = unique("prompt")
    first = client.create_prompt(name=name, prompt="Hi {{name}}", metadata={"outer": {"inner": 1}})
    equal((str(getattr(first.type, "value", first.type)), first.metadata, first.format(name="Ada")), ("mustache", {"outer": {"inner": 1}}, "Hi Ada"))
    same = client.create_prompt(name=name, prompt="Hi {{name}}", metadata={"outer": {"inner": 1}})
    equal((same.commit, same.__internal_api__version_id__), (first.commit, first.__internal_api__version_id__))
    second = client.create_prompt(name=name, prompt="Hi {{ name }}", type="jinja2")
    equal((str(getattr(second.type, "value", second.type)), second.__internal_api__prompt_id__), ("jinja2", first.__internal_api__prompt_id__))
    assert second.commit != first.commit
    equal(client.get_prompt(name=name, commit=first.commit).prompt, "Hi {{name}}")
    equal(client.get_prompt(name=unique("missing")), None)
    equal(client.get_prompt(name=name, commit="00000000"), None)
    equal([p.commit for p in client.get_prompt_history(name=name)], [second.commit, first.commit])
    made = opik.Prompt(name=unique("made"), prompt="Hello, {name}")
    read = client.get_prompt(name=made.name)
    equal((read.prompt, read.commit, read.__internal_api__version_id__), (made.prompt, made.commit, made.__internal_api__version_id__))


def check_chats(client):
    name = unique("chat")
    messages = [{"role": "system", "content": "You are {{who}}"}, {"role": "user", "content": [{"type": "text", "text": "{{q}}"}, {"type": "image_url", "image_url": {"url": "{{url}}"}}]}]
    chat = client.create_chat_prompt(name=name, messages=messages, metadata={"v": 1})
    equal(client.create_chat_prompt(name=name, messages=messages, metadata={"v": 1}).commit, chat.commit)
    newer = client.create_chat_prompt(name=name, messages=messages[:1])
    read = client.get_chat_prompt(name=name)
    equal((read.template, read.commit), (messages[:1], newer.commit))
    old = client.get_chat_prompt(name=name, commit=chat.commit)
    equal((old.template, old.metadata), (messages, {"v": 1}))
    equal(old.format({"who": "kind", "q": "?", "url": "u"}, supported_modalities={"vision": True})[0], {"role": "system", "content": "You are kind"})
    equal(len(client.get_chat_prompt_history(name=name)), 2)
    raises(opik.exceptions.PromptTemplateStructureMismatch, client.create_prompt, name=name, prompt="text")
    text = client.create_prompt(name=unique("text"), prompt="t")
    raises(opik.exceptions.PromptTemplateStructureMismatch, client.create_chat_prompt, name=text.name, messages=messages)
    raises(opik.exceptions.PromptTemplateStructureMismatch, client.get_chat_prompt, name=text.name)


def check_searches(client):
    word = unique("word").replace("-", "")
    one = client.create_prompt(name=f"{word}-one", prompt="old")
    client.create_prompt(name=f"{word}-one", prompt="new")
    client.create_chat_prompt(name=f"{word}-chat", messages=[{"role": "user", "content": "x"}])
    equal({p.name for p in client.search_prompts(filter_string=f'name contains "{word}"')}, {f"{word}-one", f"{word}-chat"})
    equal({p.name for p in client.search_prompts(filter_string=f'name starts_with "{word}" AND template_structure = "chat"')}, {f"{word}-chat"})
    client.rest_client.prompts.update_prompt(id=one.__internal_api__prompt_id__, name=one.name, tags=["alpha", "beta"], description="d")
    found = client.search_prompts(filter_string=f'name contains "{word}" AND tags contains "alpha" AND tags contains "beta"')
    equal([p.prompt for p in found], ["new"])
    for query, count in [("version_count > 1", 1), ('created_by = "admin"', 2), ('created_at > "2020-01-01T00:00:00Z"', 2), (f'id = "{one.__internal_api__prompt_id__}"', 1), ('description contains "d"', 1)]:
        equal(len(client.search_prompts(filter_string=f'name contains "{word}" AND {query}')), count, query)
    equal({f"{word}-one", f"{word}-chat"} <= {p.name for p in client.search_prompts()}, True)


@needs("set_prompt_environments")
def check_environments(client):
    api = client.rest_client
    name, first, second = unique("prompt"), unique("env"), unique("env")
    api.environments.create_environment(name=first)
    api.environments.create_environment(name=second)
    made = client.create_prompt(name=name, prompt="one")
    client.set_prompt_environments(name, environments=[first], version="v1")
    equal(list(client.get_prompt(name=name, no_cache=True).environments), [first])
    newer = client.create_prompt(name=name, prompt="two")
    equal(client.get_prompt(name=name, environment=first, no_cache=True).commit, made.commit)
    client.set_prompt_environments(name, environments=[first, second], version="v2")
    equal(client.get_prompt(name=name, environment=first, no_cache=True).commit, newer.commit)
    equal(client.get_prompt(name=name, version="v1", no_cache=True).environments or [], [])
    client.set_prompt_environments(name, environments=[], version="v2")
    equal(client.get_prompt(name=name, environment=first, no_cache=True), None)
    equal(status(client.set_prompt_environments, name, environments=[unique("missing")], version="v1"), 404)
    chat = client.create_chat_prompt(name=unique("chat"), messages=[{"role": "user", "content": "x"}])
    client.set_prompt_environments(chat.name, environments=[second], version="v1")
    equal(list(client.get_chat_prompt(name=chat.name, environment=second, no_cache=True).environments), [second])
    client.create_environment(unique("made"), description="d", color="#123456")
    equal(first in {e.name for e in client.get_environments()}, True)
    client.delete_environment(first)
    equal(first in {e.name for e in client.get_environments()}, False)
    trace = client.trace(name="in an environment", project_name=PROJECT, environment=second)
    client.flush()
    equal(wait(lambda: client.get_trace_content(trace.id)).environment, second)


def check_rest_of_prompts(client):
    api = client.rest_client.prompts
    name = unique("rest")
    api.create_prompt(name=name, description="d", template="a {{b}}", type="mustache", tags=["x"], change_description="first")
    (row,) = api.get_prompts(name=name, size=10).content
    equal((row.description, row.tags, row.version_count), ("d", ["x"], 1))
    equal(status(api.create_prompt, name=name), 409)
    detail = api.get_prompt_by_id(id=row.id)
    equal((detail.latest_version.template, detail.latest_version.change_description, detail.latest_version.variables), ("a {{b}}", "first", ["b"]))
    from opik.rest_api.types.prompt_version_detail import PromptVersionDetail

    second = api.create_prompt_version(name=name, version=PromptVersionDetail(template="c {{d}}", type="mustache", tags=["t"], metadata={"k": 1}))
    versions = api.get_prompt_versions(id=row.id, page=1, size=10)
    equal([v.commit for v in versions.content][0], second.commit)
    equal(api.get_prompt_version_by_id(version_id=second.id).template, "c {{d}}")
    equal(api.retrieve_prompt_version(name=name, commit=second.commit).id, second.id)
    restored = api.restore_prompt_version(prompt_id=row.id, version_id=versions.content[1].id)
    equal((restored.template, api.get_prompt_by_id(id=row.id).version_count), ("a {{b}}", 3))
    equal([v.commit for v in api.get_prompt_versions(id=row.id, page=1, size=10, search="c {{").content], [second.commit])
    if hasattr(client, "set_prompt_environments"):
        client.get_prompts_client().batch_update_prompt_version_tags(version_ids=[second.id], tags=["n"], merge=True)
        equal(sorted(api.get_prompt_version_by_id(version_id=second.id).tags), ["n", "t"])
    by_commit = api.get_prompt_by_commit(commit=second.commit)
    equal((by_commit.id, by_commit.requested_version.id), (row.id, second.id))
    api.update_prompt(id=row.id, name=name + "2", description="dd")
    equal(api.get_prompt_by_id(id=row.id).name, name + "2")
    api.delete_prompt(id=row.id)
    equal(status(api.get_prompt_by_id, id=row.id), 404)


def check_masks(client):
    prompts = client.get_prompts_client()
    if not hasattr(prompts, "__internal_api__create_mask"):
        return
    name = unique("masked")
    base = client.create_prompt(name=name, prompt="base")
    mask = prompts.__internal_api__create_mask(name=name, prompt="masked")
    masked = client.rest_client.prompts.get_prompt_version_by_id(version_id=mask if isinstance(mask, str) else getattr(mask, "version_id", None) or mask.id)
    equal((masked.template, masked.version_type), ("masked", "mask"))
    equal(client.get_prompt(name=name, no_cache=True).commit, base.commit, "a mask is no version")
    equal(len(client.get_prompt_history(name=name)), 1)


@needs("create_traces_annotation_queue")
def check_queues(client):
    project, name = unique("queues"), unique("queue")
    traces = [client.trace(name=f"t{n}", input={"n": n}, project_name=project, thread_id=f"thread {n}") for n in range(3)]
    client.flush()
    wait(lambda: len(client.search_traces(project_name=project)) == 3)
    queue = client.create_traces_annotation_queue(name=name, project_name=project, description="d", instructions="i", comments_enabled=True, feedback_definition_names=["ok"])
    queue.add_traces(traces)
    read = client.get_traces_annotation_queue(queue.id)
    equal((read.name, read.scope, read.description, read.instructions, read.items_count), (name, "trace", "d", "i", 3))
    if hasattr(read, "get_items"):
        equal({t.id for t in read.get_items()}, {t.id for t in traces})
    queue.remove_traces(traces[:1])
    equal(client.get_traces_annotation_queue(queue.id).items_count, 2)
    page = client.rest_client.traces.get_traces_by_project(project_name=project, filters=f'[{{"field":"annotation_queue_ids","operator":"contains","value":"{queue.id}"}}]')
    equal({t.id for t in page.content}, {t.id for t in traces[1:]})
    queues = [q if isinstance(q, dict) else {"id": q.id, "name": q.name} for q in page.content[0].annotation_queues]
    equal([(q["id"], q["name"]) for q in queues], [(queue.id, name)])
    queue.update(name=name + "2", description="dd")
    equal(client.get_traces_annotation_queue(queue.id).description, "dd")
    threads = client.create_threads_annotation_queue(name=unique("threads"), project_name=project)
    found = client.get_threads_client().search_threads(project_name=project)
    threads.add_threads(found)
    equal(client.get_threads_annotation_queue(threads.id).items_count, 3)
    if hasattr(threads, "get_items"):
        equal({t.id for t in client.get_threads_annotation_queue(threads.id).get_items()}, {f"thread {n}" for n in range(3)})
    threads.remove_threads(found[:2])
    equal(client.get_threads_annotation_queue(threads.id).items_count, 1)
    equal([q.id for q in client.get_traces_annotation_queues(project_name=project)], [queue.id])
    equal([q.id for q in client.get_threads_annotation_queues(project_name=project)], [threads.id])
    raises(opik.exceptions.OpikException, client.get_traces_annotation_queue, threads.id)
    queue.delete()
    raises(Exception, client.get_traces_annotation_queue, queue.id)
    client.delete_annotation_queue(threads.id)


@needs("create_dashboard")
def check_dashboards(client):
    from opik import dashboard

    project = unique("boards")
    client.rest_client.projects.create_project(name=project)
    project_id = client.rest_client.projects.retrieve_project(name=project).id
    name = unique("board")
    board = client.create_dashboard(name=name, type=dashboard.DashboardType.MULTI_PROJECT, description="d", project_id=project_id)
    widget = board.add_widget(dashboard.DashboardWidget(
        type=dashboard.WidgetType.PROJECT_STATS_CARD, title="Traces", config=dashboard.ProjectStatsCardConfig(project_id=project_id, metric=dashboard.StatsCardMetric.TRACE_COUNT)))
    board.add_widget(dashboard.DashboardWidget(type=dashboard.WidgetType.TEXT_MARKDOWN, title="Notes", config=dashboard.TextMarkdownConfig(content="a")))
    read = client.get_dashboard(board.id)
    equal((read.name, read.type, read.description), (name, "multi_project", "d"))
    equal([w.title for w in read.sections[0].widgets], ["Traces", "Notes"])
    board.update_widget(widget, title="Traces 2")
    board.rename(name + "2")
    sections = board.sections
    for item in sections[0].layout:
        if item.id == widget:
            item.x, item.y = 5, 0
    board.replace_sections(sections)
    read = client.get_dashboard(board.id)
    equal((read.name, read.sections[0].widgets[0].title), (name + "2", "Traces 2"))
    equal([(i.x, i.y) for i in read.sections[0].layout if i.id == widget], [(5, 0)])
    board.remove_widget(widget)
    equal([w.title for w in client.get_dashboard(board.id).sections[0].widgets], ["Notes"])
    equal([d.id for d in client.get_dashboards(name=name)], [board.id])
    equal(client.create_dashboard(name=unique("e"), type=dashboard.DashboardType.EXPERIMENTS).type, "experiments")
    client.delete_dashboard(board.id)
    equal(status(client.get_dashboard, board.id), 404)


if __name__ == "__main__":
    main(sys.modules[__name__])

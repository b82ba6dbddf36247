"""The SDK's own command line: export, import, migrate, healthcheck, configure, usage report."""
import glob
import json
import os
import subprocess
import sys
import tempfile

from driver import equal, main, needs, status, unique, wait

import opik
from opik import id_helpers
from opik.rest_api.types.dataset_item_write import DatasetItemWrite


def command(*words, wanted=0, home=None, **environment):
    env = dict(os.environ, **environment)
    if home:
        env["HOME"] = home
        env.pop("OPIK_CONFIG_PATH", None)
    done = subprocess.run([sys.executable, "-m", "opik.cli", *words], capture_output=True, text=True, env=env, timeout=300)
    assert done.returncode == wanted, f"{words} ended with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout + done.stderr


def filled_project(client):
    project = unique("exported")
    for n in range(3):
        trace = client.trace(name=f"trace {n}", input={"x": n}, output={"y": n}, metadata={"m": n}, tags=["a"], project_name=project, thread_id="one" if n else None,
                             feedback_scores=[{"name": "s", "value": n, "reason": "r"}])
        trace.span(name="root", type="general", input={"n": n}).span(name="leaf", type="llm", model="gpt-4o", provider="openai", usage={"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2})
    client.flush()
    traces = wait(lambda: (lambda t: t if len(t) == 3 and all(x.feedback_scores for x in t) else None)(client.search_traces(project_name=project)))
    wait(lambda: len(client.search_spans(project_name=project)) == 6)
    dataset = client.create_dataset(unique("dataset"), description="d", project_name=project)
    dataset.insert([{"input": {"q": n}, "expected": n} for n in range(3)])
    prompt = client.create_prompt(name=unique("prompt"), prompt="Answer {{q}}", project_name=project)
    client.create_prompt(name=prompt.name, prompt="Answer {{q}}!", project_name=project)
    chat = client.create_chat_prompt(name=unique("chat"), messages=[{"role": "user", "content": "{{q}}"}], metadata={"v": 1}, project_name=project)
    experiment = client.create_experiment(dataset_name=dataset.name, name=unique("experiment"), experiment_config={"model": "m"}, project_name=project)
    from opik.api_objects.experiment.experiment_item import ExperimentItemReferences

    experiment.insert([ExperimentItemReferences(dataset_item_id=i["id"], trace_id=t.id) for i, t in zip(dataset.get_items(), traces)])
    client.flush()
    wait(lambda: len(experiment.get_items()) == 3)
    return project, dataset, prompt, chat, experiment


@needs("create_dashboard")
def check_export_and_import(client):
    project, dataset, prompt, chat, experiment = filled_project(client)
    with tempfile.TemporaryDirectory() as folder:
        command("export", "default", project, "all", "--path", folder)
        (base,) = [os.path.dirname(p) for p in glob.glob(f"{folder}/default/projects/*/project.json")]
        found = {os.path.relpath(p, base).split(os.sep)[0].split("_")[0] for p in glob.glob(f"{base}/**/*.json", recursive=True)}
        equal(len(glob.glob(f"{base}/trace_*.json")), 3, found)
        equal(len(glob.glob(f"{base}/datasets/*.json")), 1, found)
        exported = set()
        for path in glob.glob(f"{base}/prompts/*.json"):
            with open(path) as file:
                exported.add(json.load(file)["name"])
        assert {prompt.name, chat.name} <= exported, exported
        equal(len(glob.glob(f"{base}/experiments/experiment_*.json")), 1, found)
        with open(glob.glob(f"{base}/trace_*.json")[0]) as file:
            one = json.load(file)
        equal((one["project_name"], len(one["spans"])), (project, 2))
        command("export", "default", project, "traces", "--path", folder + "/csv", "--format", "csv")
        command("export", "default", project, "traces", "--path", folder + "/some", "--filter", 'name = "trace 1"')
        equal(len(glob.glob(f"{folder}/some/default/projects/*/trace_*.json")), 1)
        command("export", "default", project, "dataset", dataset.name, "--path", folder + "/d")
        command("export", "default", project, "prompt", prompt.name, "--path", folder + "/p")
        command("export", "default", project, "experiment", experiment.name, "--path", folder + "/e", "--dataset", dataset.name)

        # What was exported is read back after everything is gone.
        api = client.rest_client
        api.traces.delete_traces(ids=[t.id for t in client.search_traces(project_name=project)])
        client.delete_dataset(dataset.name, project_name=project)
        api.experiments.delete_experiments_by_id(ids=[experiment.id])
        for it in (prompt, chat):
            api.prompts.delete_prompt(id=it.__internal_api__prompt_id__)
        command("import", "default", project, "all", "--path", folder, "--dry-run")
        equal(client.search_traces(project_name=project), [])
        command("import", "default", project, "all", "--path", folder)
    traces = wait(lambda: (lambda t: t if len(t) >= 3 else None)(client.search_traces(project_name=project)))
    equal({(t.name, t.input["x"]) for t in traces if t.name.startswith("trace ")}, {(f"trace {n}", n) for n in range(3)})
    equal({t.thread_id for t in traces} >= {"one"}, True)
    spans = client.search_spans(project_name=project)
    equal(sorted(s.name for s in spans if s.name in ("root", "leaf")), ["leaf"] * 3 + ["root"] * 3)
    by_id = {s.id: s for s in spans}
    assert all(by_id[s.parent_span_id].name == "root" for s in spans if s.name == "leaf")
    equal(len(client.get_dataset(dataset.name, project_name=project).get_items()), 3)
    equal(client.get_prompt(name=prompt.name, project_name=project, no_cache=True).prompt, "Answer {{q}}!", "the SDK imports the newest version only")
    equal(client.get_chat_prompt(name=chat.name, project_name=project, no_cache=True).template, [{"role": "user", "content": "{{q}}"}])
    (again,) = client.get_experiments_by_name(experiment.name, project_name=project)
    wait(lambda: len(again.get_items()) == 3)


@needs("create_dashboard")
def check_migrate_datasets(client):
    rest = client.rest_client
    source, target, name = unique("source"), unique("target"), unique("migrated")
    for project in (source, target):
        rest.projects.create_project(name=project)
    dataset = client.create_dataset(name, project_name=source)
    rest.datasets.create_or_update_dataset_items(dataset_id=dataset.id, batch_group_id=id_helpers.generate_id(),
                                                 items=[DatasetItemWrite(source="manual", data={"q": f"Q{n}"}, tags=["t"]) for n in (1, 2, 3)])
    first = rest.datasets.list_dataset_versions(id=dataset.id, page=1, size=1).content[0]
    by_q = {i.data["q"]: i for i in rest.datasets.get_dataset_items(id=dataset.id, page=1, size=10).content}
    rest.datasets.apply_dataset_item_changes(id=dataset.id, override=False, request={
        "base_version": first.id, "change_description": "second", "tags": ["keep"], "metadata": {"k": "v"},
        "edited_items": [{"id": by_q["Q1"].id, "data": {"q": "Q1", "a": "edited"}}], "added_items": [{"data": {"q": "Q4"}, "source": "manual"}], "deleted_ids": [by_q["Q2"].id]})
    experiment = client.create_experiment(dataset_name=name, name=unique("moved"), project_name=source, experiment_config={"a": 1})
    traces = []
    for item in by_q.values():
        trace = client.trace(name="t", project_name=source, input={"i": item.id}, feedback_scores=[{"name": "right", "value": 1, "reason": "r"}])
        trace.span(name="root").span(name="leaf", type="llm")
        traces.append(trace)
    from opik.api_objects.experiment.experiment_item import ExperimentItemReferences

    experiment.insert([ExperimentItemReferences(dataset_item_id=i.id, trace_id=t.id) for i, t in zip(by_q.values(), traces)])
    client.flush()
    wait(lambda: len(client.search_spans(project_name=source)) == 6)
    with tempfile.TemporaryDirectory() as folder:
        audit = os.path.join(folder, "audit.json")
        command("migrate", "dataset", name, "--from-project", source, "--to-project", target, "--audit-log", audit)
        with open(audit) as file:
            actions = json.load(file)
    replayed = [(a["items_added"], a["items_modified"], a["items_deleted"]) for a in actions["actions"] if a["type"] == "replay_dataset_version"]
    equal(replayed, [(3, 0, 0), (1, 1, 1)])
    moved = rest.datasets.get_dataset_by_identifier(dataset_name=name, project_name=target)
    versions = rest.datasets.list_dataset_versions(id=moved.id, page=1, size=10).content
    equal(len(versions), 2)
    equal((versions[0].change_description, "keep" in versions[0].tags, versions[0].metadata), ("second", True, {"k": "v"}))
    old = rest.datasets.list_dataset_versions(id=dataset.id, page=1, size=10).content
    for before, after in zip(old, versions):
        orders = [[i.data for i in rest.datasets.get_dataset_items(id=d, page=1, size=10, version=v.version_hash).content] for d, v in ((dataset.id, before), (moved.id, after))]
        equal(orders[0], orders[1], "items of a version in their order")
    (copy,) = rest.experiments.find_experiments(dataset_id=moved.id, page=1, size=10).content
    assert copy.dataset_version_id in {v.id for v in versions}
    items = client.get_experiment_by_id(copy.id).get_items()
    equal(len(items), 3)
    for item in items:
        spans = client.search_spans(project_name=target, trace_id=item.trace_id)
        roots = [s for s in spans if s.parent_span_id is None]
        equal((len(spans), [s.parent_span_id for s in spans if s.parent_span_id]), (2, [roots[0].id]))
        equal([(s.name, s.reason) for s in rest.traces.get_trace_by_id(id=item.trace_id).feedback_scores], [("right", "r")])


@needs("create_dashboard")
def check_migrate_runs_whose_traces_are_elsewhere(client):
    from opik.rest_api.types.experiment_item import ExperimentItem

    rest = client.rest_client
    names = [unique(word) for word in ("source", "target", "other", "third")]
    for project in names:
        rest.projects.create_project(name=project)
    source, target, *elsewhere = names
    name = unique("migrated")
    dataset = client.create_dataset(name, project_name=source)
    dataset.insert([{"q": n} for n in range(4)])
    experiment = client.create_experiment(dataset_name=name, name=unique("spread"), project_name=source)
    # An experiment belongs to one project, each of its runs to the project of the trace.
    traces = []
    for n, project in enumerate((source, source, *elsewhere)):
        trace = client.trace(name=f"in {project}", project_name=project, input={"n": n}, output={"o": n}, error_info={"exception_type": "E", "traceback": "t"}, thread_id="one")
        parent = trace.span(name="root", metadata={"m": n})
        if project == source:
            parent.span(name="leaf", type="llm", model="gpt-mock", provider="mock", usage={"prompt_tokens": 5, "completion_tokens": 10}, total_cost=0.25)
        traces.append(trace)
    client.flush()
    wait(lambda: len(client.search_spans(project_name=source)) == 4 and all(client.search_spans(project_name=p) for p in elsewhere))
    rest.experiments.create_experiment_items(experiment_items=[
        ExperimentItem(id=id_helpers.generate_id(), experiment_id=experiment.id, dataset_item_id=item["id"], trace_id=trace.id) for item, trace in zip(dataset.get_items(), traces)])
    with tempfile.TemporaryDirectory() as folder:
        command("migrate", "dataset", name, "--to-project", target, "--audit-log", os.path.join(folder, "audit.json"))
    moved = rest.datasets.get_dataset_by_identifier(dataset_name=name, project_name=target)
    (copy,) = rest.experiments.find_experiments(dataset_id=moved.id, page=1, size=10).content
    items = client.get_experiment_by_id(copy.id).get_items()
    equal((len(items), {i.trace_id for i in items} & {t.id for t in traces}), (4, set()))
    copies = {t.name + str(t.input["n"]): t for t in (client.get_trace_content(i.trace_id) for i in items)}
    equal({client.get_project(t.project_id).name for t in copies.values()}, {target})
    for trace in (client.get_trace_content(t.id) for t in traces):
        other = copies[trace.name + str(trace.input["n"])]
        for field in ("output", "metadata", "tags", "error_info", "thread_id", "start_time", "end_time"):
            equal(getattr(other, field), getattr(trace, field), field)
        shapes = []
        for one, project in ((trace, client.get_project(trace.project_id).name), (other, target)):
            spans = client.search_spans(project_name=project, trace_id=one.id)
            by_id = {s.id: s.name for s in spans}
            shapes.append(sorted((s.name, by_id.get(s.parent_span_id, ""), s.type, s.model, s.usage, s.metadata, s.total_estimated_cost) for s in spans))
        equal(shapes[1], shapes[0], "the spans of a copy")


@needs("create_dashboard")
def check_migrate_suites_with_optimizations_and_comments(client):
    rest = client.rest_client
    source, target, name = unique("source"), unique("target"), unique("suite")
    for project in (source, target):
        rest.projects.create_project(name=project)
    rest.datasets.create_dataset(name=name, project_name=source, type="evaluation_suite")
    suite = rest.datasets.get_dataset_by_identifier(dataset_name=name, project_name=source)

    def change(base, **request):
        if base:
            request["base_version"] = base
        return rest.datasets.apply_dataset_item_changes(id=suite.id, override=base is None, request=request).id

    def judge(word):
        return {"name": word, "type": "llm_judge", "config": {"model": word}}

    def versions(dataset):
        return rest.datasets.list_dataset_versions(id=dataset, page=1, size=10).content

    def rows(dataset, version):
        items = rest.datasets.get_dataset_items(id=dataset, page=1, size=10, version=version.version_hash).content
        return [(i.data, i.tags or [], [(e.name, e.config) for e in i.evaluators or []], i.execution_policy and (i.execution_policy.runs_per_item, i.execution_policy.pass_threshold)) for i in items]

    # The first version has settings and no items; later ones change both.
    first = change(None, change_description="settings", evaluators=[judge("a")], execution_policy={"runs_per_item": 1, "pass_threshold": 1})
    second = change(first, added_items=[{"data": {"q": 1}, "source": "manual", "tags": ["t"], "evaluators": [judge("own")]}, {"data": {"q": 2}, "source": "manual", "execution_policy": {"runs_per_item": 7, "pass_threshold": 4}}],
                    evaluators=[judge("a")], execution_policy={"runs_per_item": 1, "pass_threshold": 1})
    by_q = {i.data["q"]: i.id for i in rest.datasets.get_dataset_items(id=suite.id, page=1, size=10).content}
    change(second, edited_items=[{"id": by_q[1], "data": {"q": 1}, "tags": []}], deleted_ids=[by_q[2]], added_items=[{"data": {"q": 3}, "source": "manual"}],
           evaluators=[judge("a"), judge("b")], execution_policy={"runs_per_item": 3, "pass_threshold": 2}, metadata={"phase": "late"}, tags=["golden"])
    optimization = id_helpers.generate_id()
    rest.optimizations.create_optimization(id=optimization, name="tuned", dataset_name=name, project_name=source, objective_name="accuracy", status="completed")
    from opik.api_objects.experiment.experiment_item import ExperimentItemReferences

    experiments = {}
    for title, more in (("trial", {"type": "trial", "optimization_id": optimization}), ("plain", {})):
        trace = client.trace(name="t", project_name=source, input={"i": title})
        trace.span(name="root").span(name="leaf")
        client.flush()
        wait(lambda: len(client.search_spans(project_name=source, trace_id=trace.id)) == 2)
        experiments[title] = id_helpers.generate_id()
        rest.experiments.create_experiment(id=experiments[title], name=title, dataset_name=name, dataset_version_id=second, project_name=source, evaluation_method="evaluation_suite", **more)
        client.get_experiment_by_id(experiments[title]).insert([ExperimentItemReferences(dataset_item_id=by_q[1], trace_id=trace.id)])
        client.flush()
        rest.assertion_results.store_assertions_batch(entity_type="TRACE", assertion_results=[{"entity_id": trace.id, "project_name": source, "name": "is kind", "status": "failed", "reason": "rude", "source": "sdk"}])
        for text in ("one", "two", "three"):
            rest.traces.add_trace_comment(id_=trace.id, text=text)
    with tempfile.TemporaryDirectory() as folder:
        command("migrate", "dataset", name, "--from-project", source, "--to-project", target, "--audit-log", os.path.join(folder, "audit.json"))
    moved = rest.datasets.get_dataset_by_identifier(dataset_name=name, project_name=target)
    equal(moved.type, "evaluation_suite")
    before, after = versions(suite.id), versions(moved.id)
    equal((len(before), len(after)), (3, 3))
    for old, new in zip(before, after):
        equal(rows(moved.id, new), rows(suite.id, old), new.version_name)
        equal([(e.name, e.config) for e in new.evaluators or []], [(e.name, e.config) for e in old.evaluators or []])
        equal((new.execution_policy, new.metadata or {}, new.tags or [], new.change_description), (old.execution_policy, old.metadata or {}, old.tags or [], old.change_description))
    (tuned,) = rest.optimizations.find_optimizations(dataset_id=moved.id, page=1, size=10).content
    equal((tuned.name, tuned.objective_name, tuned.status, tuned.id != optimization), ("tuned", "accuracy", "completed", True))
    copies = {e.name: e for e in rest.experiments.find_experiments(dataset_id=moved.id, page=1, size=10).content}
    equal((copies["trial"].optimization_id, copies["trial"].type, copies["plain"].optimization_id), (tuned.id, "trial", None))
    for title, copy in copies.items():
        equal((copy.evaluation_method, copy.id != experiments[title]), ("evaluation_suite", True))
        (item,) = client.get_experiment_by_id(copy.id).get_items()
        equal([(a["value"], a["passed"], a["reason"]) for a in item.assertion_results], [("is kind", False, "rude")])
        equal([c.text for c in client.get_trace_content(item.trace_id).comments], ["one", "two", "three"])


@needs("create_dashboard")
def check_migrate_prompts(client):
    from opik.rest_api.types.prompt_version_detail import PromptVersionDetail

    rest = client.rest_client
    source, target, name, environment = unique("source"), unique("target"), unique("prompt"), unique("prod")
    for project in (source, target):
        rest.projects.create_project(name=project)
    rest.prompts.create_prompt(name=name, project_name=source, description="d", tags=["x"], template="one {{a}}", type="mustache")
    rest.prompts.create_prompt_version(name=name, project_name=source, version=PromptVersionDetail(template="two {{a}}", type="mustache", change_description="c"))
    rest.prompts.create_prompt_version(name=name, project_name=source, version=PromptVersionDetail(template="three {{a}}", type="mustache", tags=["t"], environments=[environment]))
    (row,) = rest.prompts.get_prompts(name=name, size=10).content
    commits = [v.commit for v in rest.prompts.get_prompt_versions(id=row.id, page=1, size=10).content]
    with tempfile.TemporaryDirectory() as folder:
        audit = os.path.join(folder, "audit.json")
        command("migrate", "prompt", name, "--to-project", target, "--audit-log", audit)
        with open(audit) as file:
            equal(json.load(file)["status"], "ok")
    assert rest.prompts.get_prompts(name=f"{name}_v1", size=10).content, "the old prompt is renamed"
    moved = [p for p in rest.prompts.get_prompts(name=name, size=10).content if p.name == name][0]
    versions = rest.prompts.get_prompt_versions(id=moved.id, page=1, size=10).content
    equal([v.commit for v in versions], commits)
    equal([v.commit for v in versions if environment in (v.environments or [])], commits[:1])


def check_healthcheck(client):
    text = command("healthcheck")
    assert "Backend workspace available: yes" in text, text
    status_text = command("healthcheck", "--show-installed-packages")
    assert "opik" in status_text


def check_configure(client):
    with tempfile.TemporaryDirectory() as home:
        url = os.environ["OPIK_URL_OVERRIDE"]
        code = (
            "import opik, sys; opik.configure(use_local=True, url=sys.argv[1], force=True, automatic_approvals=True)"
        )
        env = dict(os.environ, HOME=home)
        env.pop("OPIK_CONFIG_PATH", None)
        env.pop("OPIK_PROJECT_NAME", None)
        done = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, env=env, timeout=60)
        equal(done.returncode, 0, done.stderr)
        with open(os.path.join(home, ".opik.config")) as file:
            text = file.read()
        assert f"url_override = {url}" in text and "workspace = default" in text, text


@needs("create_dashboard")
def check_usage_report(client):
    filled_project(client)
    with tempfile.TemporaryDirectory() as folder:
        text = command("usage-report", "default", "--output", os.path.join(folder, "report.json"))
        with open(os.path.join(folder, "report.json")) as file:
            report = json.load(file)
    assert "default" in json.dumps(report), text


if __name__ == "__main__":
    main(sys.modules[__name__])

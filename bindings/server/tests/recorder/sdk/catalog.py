#!/usr/bin/env python3
"""Drives a server with the official Python SDK and checks that everything reads back as it was written.

  OPIK_URL_OVERRIDE=http://127.0.0.1:PORT/api catalog.py SECTION

Needs `pip install opik`. Ends with 0 and "SECTION done" when all is well.
"""
import os, sys, time

# Nothing may leave the machine.
os.environ.update(
    OPIK_SENTRY_ENABLE="false",
    OPIK_ANALYTICS_ENABLE="false",
    OPIK_ENABLE_LITELLM_MODELS_MONITORING="false",
    LITELLM_LOCAL_MODEL_COST_MAP="True",
    OPIK_CONFIG_PATH=os.devnull,
)

import opik
from opik.rest_api.core.api_error import ApiError

PROJECT = "sdk project"


def equal(left, right, what=""):
    assert left == right, f"{what}: {left!r} is not {right!r}"


def status(call, *args, **kwargs):
    """The status that a call fails with."""
    try:
        call(*args, **kwargs)
    except Exception as error:
        while error is not None and not isinstance(error, ApiError):
            error = error.__cause__ or error.__context__
        return error.status_code
    return None


def eventually(ask, wanted, what):
    for _ in range(100):
        found = ask()
        if found == wanted:
            return
        time.sleep(0.1)
    equal(found, wanted, what)


def content(items):
    """Items without their identifiers, in an order of their own."""
    return sorted((dict((k, v) for k, v in item.items() if k != "id") for item in items), key=repr)


def datasets(client):
    dataset = client.create_dataset("facts", description="what is known", project_name=PROJECT)
    equal(dataset.dataset_items_count, 0)
    rows = [{"input": {"q": n}, "expected": f"é{n}", "list": [1, 2.5, None]} for n in range(2500)]
    dataset.insert(rows)
    equal(content(dataset.get_items()), sorted(rows, key=repr), "inserted items")
    equal(dataset.get_current_version_name(), "v1", "all batches make one version")
    dataset.insert(rows[:10])
    equal(dataset.get_current_version_name(), "v1", "what is there already makes no version")

    some = dataset.get_items(nb_samples=3)
    changed = [dict(item, expected="changed") for item in some]
    dataset.update(changed)
    equal(dataset.get_current_version_name(), "v2")
    dataset.delete([item["id"] for item in some])
    equal(dataset.get_current_version_name(), "v3")
    equal(len(dataset.get_items()), 2497)

    view = dataset.get_version_view("v2")
    equal((view.items_total, view.items_modified, view.is_latest), (2500, 3, False))
    found = view.get_items(filter_string='data.expected = "changed"')
    equal(content(found), content(changed), "items of a version by a condition")
    equal(len(dataset.get_version_view("v1").get_items()), 2500)
    equal(len(dataset.get_items(filter_string='data.expected contains "é24"')), 108, "é24, é240 to é249, é2400 to é2499, without those that were deleted")
    info = dataset.get_version_info()
    equal((info.version_name, info.items_total, "latest" in info.tags), ("v3", 2497, True))

    again = client.get_dataset("FACTS", project_name=PROJECT)
    equal((again.id, again.description, again.dataset_items_count), (dataset.id, "what is known", 2497))
    equal(status(client.create_dataset, "Facts", project_name=PROJECT), 409)
    equal(client.get_or_create_dataset("facts", project_name=PROJECT).id, dataset.id)
    client.create_dataset("others", project_name=PROJECT)
    equal(sorted(d.name for d in client.get_datasets(project_name=PROJECT)), ["facts", "others"])

    api = client.rest_client.datasets
    versions = api.list_dataset_versions(id=dataset.id)
    equal([v.version_name for v in versions.content], ["v3", "v2", "v1"])
    old = versions.content[2]
    api.create_version_tag(version_hash=old.version_hash, id=dataset.id, tag="golden")
    equal(api.get_dataset_version_by_hash(version_hash="golden", id=dataset.id).version_name, "v1")
    restored = api.restore_dataset_version(id=dataset.id, version_ref=old.version_hash)
    equal((restored.version_name, restored.items_total), ("v4", 2500))
    dataset.clear()
    equal(len(client.get_dataset("facts", project_name=PROJECT).get_items()), 0)
    client.delete_dataset("others", project_name=PROJECT)
    equal(status(client.get_dataset, "others", project_name=PROJECT), 404)
    equal(status(client.delete_dataset, "others", project_name=PROJECT), 404)


def prompts(client):
    first = client.create_prompt("greet", "Hello {{name}}", metadata={"v": 1}, project_name=PROJECT, tags=["a"])
    same = client.create_prompt("greet", "Hello {{name}}", metadata={"v": 1}, project_name=PROJECT)
    equal(same.commit, first.commit, "what is equal makes no version")
    second = client.create_prompt(
        "greet", "Hello {{name}}!", metadata={"v": 2}, project_name=PROJECT
    )
    equal((second.version, second.format(name="Ada")), ("v2", "Hello Ada!"))
    read = client.get_prompt("greet", project_name=PROJECT, no_cache=True)
    equal((read.prompt, read.metadata, read.commit), ("Hello {{name}}!", {"v": 2}, second.commit))
    by_commit = client.get_prompt("greet", commit=first.commit, project_name=PROJECT, no_cache=True)
    equal((by_commit.prompt, by_commit.version), ("Hello {{name}}", "v1"))
    equal(client.get_prompt("greet", version="v1", project_name=PROJECT, no_cache=True).commit, first.commit)
    equal(client.get_prompt("nothing", project_name=PROJECT, no_cache=True), None)
    history = client.get_prompt_history("greet", project_name=PROJECT)
    equal([p.commit for p in history], [second.commit, first.commit])
    equal([p.commit for p in client.get_prompt_history("greet", search="NAME}}!", project_name=PROJECT)], [second.commit])
    loud = client.get_prompt_history("greet", filter_string='metadata.v = "1"', project_name=PROJECT)
    equal([p.commit for p in loud], [first.commit], "versions by a condition")

    jinja = client.create_prompt("jinja", "Hi {{ name | upper }}", type=opik.PromptType.JINJA2, project_name=PROJECT)
    equal(client.get_prompt("jinja", project_name=PROJECT, no_cache=True).type, jinja.type)

    messages = [
        {"role": "system", "content": "You are {{who}}"},
        {"role": "user", "content": [{"type": "text", "text": "Hi {{name}}"}]},
    ]
    chat = client.create_chat_prompt("talk", messages, metadata={"m": None}, project_name=PROJECT)
    read = client.get_chat_prompt("talk", project_name=PROJECT, no_cache=True)
    equal((read.template, read.commit), (messages, chat.commit))
    try:
        client.create_prompt("talk", "text", project_name=PROJECT)
        raise AssertionError("a chat became a text")
    except Exception as error:
        assert "tructure" in type(error).__name__ + str(error), repr(error)

    client.create_environment("production", description="d", color="#fff")
    equal(status(client.create_environment, "production"), 409)
    client.set_prompt_environments("greet", version="v1", environments=["production"], project_name=PROJECT)
    live = client.get_prompt("greet", environment="production", project_name=PROJECT, no_cache=True)
    equal(live.version, "v1")
    client.set_prompt_environments("greet", version="v2", environments=["production"], project_name=PROJECT)
    live = client.get_prompt("greet", environment="production", project_name=PROJECT, no_cache=True)
    equal(live.version, "v2", "an environment moves")
    client.update_environment("production", description="dd")
    equal([(e.name, e.description, e.color) for e in client.get_environments()], [("production", "dd", "#fff")])
    client.delete_environment("production")
    equal(client.get_environments(), [])

    found = client.search_prompts('template_structure = "text"', project_name=PROJECT)
    equal(sorted(p.name for p in found), ["greet", "jinja"])
    found = client.search_prompts('template_structure = "chat"', project_name=PROJECT)
    equal([p.name for p in found], ["talk"])
    prompts = client.get_prompts_client() if hasattr(client, "get_prompts_client") else None
    if prompts is not None and hasattr(prompts, "batch_update_prompt_version_tags"):
        prompts.batch_update_prompt_version_tags([second.version_id], tags=["x", "y"])
        equal(sorted(client.get_prompt("greet", project_name=PROJECT, no_cache=True).tags), ["x", "y"])


def rest(client):
    """Optimizations, annotation queues, dashboards, feedback definitions."""
    client.create_dataset("ds", project_name=PROJECT)
    optimization = client.create_optimization("ds", "accuracy", name="better", metadata={"n": 1}, project_name=PROJECT)
    optimization.update(status="completed")
    data = optimization.fetch_content()
    equal((data.name, data.status, data.objective_name, data.dataset_name), ("better", "completed", "accuracy", "ds"))
    equal(client.get_optimization_by_id(optimization.id).id, optimization.id)
    client.delete_optimizations([optimization.id])
    equal(status(client.rest_client.optimizations.get_optimization_by_id, optimization.id), 404)

    queue = client.create_traces_annotation_queue(
        "look", description="d", instructions="i", comments_enabled=True, feedback_definition_names=["ok"], project_name=PROJECT
    )
    trace = client.trace(name="t", input={"a": 1}, output={"b": 2}, project_name=PROJECT)
    client.flush()
    queue.add_traces([trace.to_public() if hasattr(trace, "to_public") else client.get_trace_content(trace.id)])
    read = client.get_traces_annotation_queue(queue.id)
    equal((read.name, read.description, read.instructions, read.items_count), ("look", "d", "i", 1))
    equal((read.comments_enabled, read.feedback_definition_names), (True, ["ok"]))
    queue.update(description="dd")
    queue.remove_traces([client.get_trace_content(trace.id)])
    read = client.get_traces_annotation_queue(queue.id)
    equal((read.description, read.items_count), ("dd", 0))
    equal([q.id for q in client.get_traces_annotation_queues(project_name=PROJECT)], [queue.id])
    equal(client.get_threads_annotation_queues(project_name=PROJECT), [])
    queue.delete()
    equal(status(client.get_traces_annotation_queue, queue.id), 404)

    board = client.rest_client.dashboards.create_dashboard(name="Board one", config={"w": [1]})
    read = client.get_dashboard(board.id)
    equal((read.name, board.config), ("Board one", {"w": [1]}))
    equal(len(client.get_dashboards()), 1)
    client.delete_dashboard(board.id)
    equal(client.get_dashboards(), [])

    from opik.rest_api.types.feedback_create import FeedbackCreate_Numerical
    from opik.rest_api.types.numerical_feedback_detail_create import NumericalFeedbackDetailCreate

    definitions = client.rest_client.feedback_definitions
    new = FeedbackCreate_Numerical(name="useful", details=NumericalFeedbackDetailCreate(max=1.0, min=0.0))
    definitions.create_feedback_definition(request=new)
    equal(status(definitions.create_feedback_definition, request=new), 409)
    found = definitions.find_feedback_definitions(name="use").content
    equal([(d.name, d.type, d.details.max, d.created_by) for d in found], [("useful", "numerical", 1.0, "admin")])
    definitions.delete_feedback_definition_by_id(found[0].id)
    equal(definitions.find_feedback_definitions().content, [])


def experiments(client):
    from opik.evaluation import evaluate, metrics
    from opik.evaluation.metrics import score_result

    dataset = client.create_dataset("exam", project_name=PROJECT)
    dataset.insert([{"input": {"q": n}, "expected": str(n % 2)} for n in range(20)])
    prompt = client.create_prompt("asked", "What is {{q}}?", project_name=PROJECT)

    class Length(metrics.BaseMetric):
        def __init__(self):
            super().__init__(name="length")

        def score(self, output, **ignored):
            return score_result.ScoreResult(name="length", value=float(len(output)), reason="counted")

    result = evaluate(
        dataset=dataset,
        task=lambda item: {"output": str(item["input"]["q"] % 2 if item["input"]["q"] < 15 else "?")},
        scoring_metrics=[metrics.Equals(), Length()],
        scoring_key_mapping={"reference": "expected"},
        experiment_name="run one",
        experiment_config={"model": "x"},
        experiment_tags=["nightly"],
        prompts=[prompt],
        project_name=PROJECT,
        verbose=0,
        task_threads=4,
    )
    client.flush()
    experiment = client.get_experiment_by_id(result.experiment_id)
    equal((experiment.name, experiment.dataset_name, experiment.tags), ("run one", "exam", ["nightly"]))
    data = experiment.get_experiment_data()
    eventually(lambda: experiment.get_experiment_data().trace_count, 20, "traces of the experiment")

    def means():
        scores = experiment.get_experiment_data().feedback_scores or []
        return {score.name: round(score.value, 6) for score in scores}

    eventually(means, {"equals_metric": 0.75, "length": 1.0}, "means of the scores")
    equal(data.metadata["model"], "x")
    equal([(p.commit, p.prompt_name) for p in data.prompt_versions], [(prompt.commit, "asked")])
    equal(data.dataset_version_summary.version_name, "v1")
    items = experiment.get_items()
    equal(len(items), 20)
    by_item = {item["id"]: item for item in dataset.get_items()}
    for item in items:
        row = by_item[item.dataset_item_id]
        scores = {score["name"]: score["value"] for score in item.feedback_scores}
        wanted = str(row["input"]["q"] % 2) if row["input"]["q"] < 15 else "?"
        equal(item.evaluation_task_output["output"], wanted)
        equal(scores["equals_metric"], 1.0 if wanted == row["expected"] else 0.0)
        equal(item.dataset_item_data["input"], row["input"])
    experiment.log_experiment_scores([score_result.ScoreResult(name="total", value=0.5)])
    found = client.get_experiments_by_name("run one", project_name=PROJECT)
    equal([(e.id, [(s.name, s.value) for s in e.get_experiment_data().experiment_scores]) for e in found], [(experiment.id, [("total", 0.5)])])
    client.update_experiment(experiment.id, name="renamed", experiment_config={"model": "y"})
    equal(client.get_experiment_by_id(experiment.id).name, "renamed")
    equal([e.id for e in client.get_dataset_experiments("exam", project_name=PROJECT)], [experiment.id])

    # Precomputed results, in bulk.
    bulk = client.create_experiment("exam", name="bulk", project_name=PROJECT)
    from opik.api_objects.experiment.bulk_item import ExperimentItemBulkRecord

    rows = [ExperimentItemBulkRecord(dataset_item_id=id, evaluate_task_result={"output": "z"}) for id in by_item]
    bulk.batch_upload_items(rows)
    equal([item.evaluation_task_output for item in bulk.get_items()], [{"output": "z"}] * 20, "items of a bulk upload")
    client.rest_client.experiments.delete_experiments_by_id(ids=[experiment.id])
    equal(status(client.get_experiment_by_id, experiment.id) or 404, 404)


if __name__ == "__main__":
    section = sys.argv[1]
    client = opik.Opik(project_name=PROJECT, _show_misconfiguration_message=False)
    globals()[section](client)
    client.end()
    print(section, "done")

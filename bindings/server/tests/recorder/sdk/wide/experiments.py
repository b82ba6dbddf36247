"""evaluate() and its kin, experiments and their items, optimizations."""
import datetime
import sys
from unittest import mock

from driver import PROJECT, equal, main, needs, status, unique, wait
from model import model

import opik
import opik.exceptions
from opik import id_helpers
from opik.api_objects import constants
from opik.evaluation import metrics
from opik.evaluation.metrics import score_result

CAPITALS = {"Ukraine": "Kyiv", "France": "Paris", "Poland": "Krakow"}
TRUTH = {"Ukraine": "Kyiv", "France": "Paris", "Poland": "Warsaw"}


def capitals(client, **options):
    dataset = client.create_dataset(unique("capitals"), **options)
    dataset.insert([{"input": {"country": c}, "expected": {"output": t}, "group": "east" if c != "France" else "west"} for c, t in TRUTH.items()])
    return dataset


def task(item):
    return {"output": CAPITALS[item["input"]["country"]]}


def items_of(experiment, count, scored=0):
    def ask():
        items = experiment.get_items()
        return items if len(items) == count and all(len(i.feedback_scores or []) >= scored for i in items) else None

    return wait(ask, f"{count} items of the experiment")


def check_evaluate(client):
    dataset, name = capitals(client), unique("evaluated")
    prompt = client.create_prompt(unique("prompt"), "Capital of {{country}}?")

    def letters(dataset_item, task_outputs):
        return score_result.ScoreResult(name="letters", value=len(task_outputs["output"]) / 10, reason="counted")

    def several(dataset_item, task_outputs):
        return [score_result.ScoreResult(name="first", value=1), score_result.ScoreResult(name="second", value=0.5)]

    def totals(results):
        values = [s.value for r in results for s in r.score_results if s.name == "equals_metric"]
        return [score_result.ScoreResult(name="worst", value=min(values)), score_result.ScoreResult(name="best", value=max(values))]

    result = opik.evaluate(
        dataset=dataset, task=task, scoring_metrics=[metrics.Equals(), metrics.Contains(case_sensitive=False)], scoring_functions=[letters, several], experiment_scoring_functions=[totals],
        experiment_name=name, experiment_config={"model": "m", "deep": {"k": [1]}}, scoring_key_mapping={"reference": lambda item: item["expected"]["output"]}, prompts=[prompt],
        task_threads=2, verbose=0)
    opik.flush_tracker()
    found = client.get_experiment_by_name(name)
    equal(found.id, result.experiment_id)
    data = wait(lambda: (lambda d: d if d.trace_count == 3 and d.feedback_scores and len(d.feedback_scores) == 5 else None)(found.get_experiment_data()))
    equal({s.name: round(s.value, 4) for s in data.feedback_scores}, {"equals_metric": 0.6667, "contains_metric": 0.6667, "letters": 0.5, "first": 1.0, "second": 0.5})
    equal({s.name: s.value for s in data.experiment_scores}, {"worst": 0.0, "best": 1.0})
    equal((data.metadata["model"], data.metadata["deep"], data.dataset_name), ("m", {"k": [1]}, dataset.name))
    equal((data.prompt_versions[0].commit, data.prompt_versions[0].prompt_id), (prompt.commit, prompt.__internal_api__prompt_id__))
    assert data.duration is not None and data.duration.p50 is not None
    items = items_of(found, 3, 5)
    for item in items:
        country = item.dataset_item_data["input"]["country"]
        equal(item.evaluation_task_output, {"output": CAPITALS[country]})
        scores = {s["name"]: s for s in item.feedback_scores}
        equal((scores["equals_metric"]["value"], scores["letters"]["reason"]), (float(CAPITALS[country] == TRUTH[country]), "counted"))
    trace = client.get_trace_content(items[0].trace_id)
    equal((trace.source, trace.experiment.id, trace.experiment.name), ("experiment", found.id, name))
    spans = client.search_spans(project_name=client.get_project(trace.project_id).name, trace_id=trace.id)
    assert any(s.name == "metrics_calculation" or s.name == "evaluation_task" for s in spans) or spans == [], [s.name for s in spans]
    experiments = client.get_experiments_client()
    every = experiments.find_experiment_items_for_dataset(dataset_name=dataset.name, experiment_ids=[found.id])
    equal(len(every), 3)
    wrong = experiments.find_experiment_items_for_dataset(dataset_name=dataset.name, experiment_ids=[found.id], filter_string="feedback_scores.equals_metric = 0.0")
    equal([i.dataset_item_data["input"]["country"] for i in wrong], ["Poland"])
    equal([e.id for e in client.get_dataset_experiments(dataset.name)], [found.id])


def check_evaluate_parts_of_datasets(client):
    dataset = capitals(client)
    ids = [i["id"] for i in dataset.get_items()]
    one = opik.evaluate(dataset=dataset, task=task, dataset_item_ids=ids[:1], experiment_name=unique("one"), verbose=0)
    equal(len(one.test_results), 1)
    two = opik.evaluate(dataset=dataset, task=task, nb_samples=2, experiment_name=unique("two"), verbose=0)
    equal(len(two.test_results), 2)
    east = opik.evaluate(dataset=dataset, task=task, dataset_filter_string='data.group = "east"', experiment_name=unique("east"), verbose=0)
    equal(len(east.test_results), 2)
    several = opik.evaluate(dataset=dataset, task=task, trial_count=2, experiment_name=unique("trials"), verbose=0)
    items_of(client.get_experiment_by_id(several.experiment_id), 6)
    dataset.insert([{"input": {"country": "France"}, "expected": {"output": "Paris"}, "again": True}])
    old = opik.evaluate(dataset=dataset.get_version_view("v1"), task=task, experiment_name=unique("old"), verbose=0)
    equal(len(old.test_results), 3)
    data = client.get_experiment_by_id(old.experiment_id).get_experiment_data()
    equal(data.dataset_version_summary.version_name, "v1")


def check_experiments_of_other_projects(client):
    project, name = unique("elsewhere"), unique("elsewhere")
    dataset = capitals(client, project_name=project)
    result = opik.evaluate(dataset=dataset, task=task, dataset_filter_string='data.group = "west"', experiment_name=name, project_name=project, verbose=0)
    opik.flush_tracker()
    # Without a project the client asks for its own, which has no such experiment.
    found = client.get_experiment_by_name(name)
    equal(found.id, result.experiment_id)
    equal([i.dataset_item_data["input"]["country"] for i in items_of(found, 1)], ["France"])
    ours = client.create_experiment(dataset_name=capitals(client).name, name=name)
    equal([e.id for e in client.get_experiments_by_name(name)], [ours.id])
    equal([e.id for e in client.get_experiments_by_name(name, project_name=project)], [result.experiment_id])


def check_evaluate_existing_and_scores(client):
    dataset = capitals(client)
    first = opik.evaluate(dataset=dataset, task=task, experiment_name=unique("later"), verbose=0)
    opik.flush_tracker()
    experiment = client.get_experiment_by_id(first.experiment_id)
    items_of(experiment, 3)
    from opik.evaluation import evaluate_experiment

    evaluate_experiment(experiment_name=experiment.name, scoring_metrics=[metrics.Equals()], scoring_key_mapping={"reference": lambda item: item["expected"]["output"]}, verbose=0)
    opik.flush_tracker()
    items = items_of(experiment, 3, 1)
    equal(sorted(i.feedback_scores[0]["value"] for i in items), [0.0, 1.0, 1.0])


def check_task_spans_are_scored(client):
    dataset = capitals(client)

    @opik.track(type="llm")
    def answer(country):
        return CAPITALS[country]

    class SpanMetric(metrics.BaseMetric):
        def score(self, task_span, **ignored):
            return score_result.ScoreResult(name="spans", value=float(len(task_span.spans)))

    result = opik.evaluate(dataset=dataset, task=lambda item: {"output": answer(item["input"]["country"])}, scoring_metrics=[SpanMetric()], experiment_name=unique("spans"), verbose=0)
    opik.flush_tracker()
    items = items_of(client.get_experiment_by_id(result.experiment_id), 3, 1)
    assert all(i.feedback_scores[0]["value"] >= 1 for i in items), items


@needs("log_assertion_results")
def check_resume(client):
    dataset, name = capitals(client, project_name=PROJECT), unique("resumed")

    def fails(item):
        if item["input"]["country"] == "Poland":
            raise RuntimeError("half way")
        return task(item)

    options = dict(scoring_metrics=[metrics.Equals()], scoring_key_mapping={"reference": lambda item: item["expected"]["output"]}, verbose=0)
    try:
        opik.evaluate(dataset=dataset, task=fails, experiment_name=name, task_threads=1, project_name=PROJECT, **options)
    except RuntimeError:
        pass
    opik.flush_tracker()
    (experiment,) = client.get_experiments_by_name(name, project_name=PROJECT)
    ran = []

    def works(item):
        ran.append(item["input"]["country"])
        return task(item)

    result = opik.evaluate_resume(experiment_id=experiment.id, task=works, **options)
    equal((ran, len(result.test_results)), (["Poland"], 3))
    again = opik.evaluate_resume(experiment_id=experiment.id, task=works, **options)
    equal((ran, len(again.test_results)), (["Poland"], 3))
    try:
        opik.evaluate_resume(experiment_id=id_helpers.generate_id(), task=works, verbose=0)
        raise AssertionError("an unknown experiment was resumed")
    except opik.exceptions.ExperimentNotFound:
        pass


@needs("log_assertion_results")
def check_resume_of_parts(client):
    from opik.evaluation import samplers

    def rows(dataset):
        return [item["id"] for item in dataset.get_items()]

    for what, count, options in [
        ("samples", 3, lambda _: {"nb_samples": 3}), ("trials", 12, lambda _: {"trial_count": 2}), ("filter", 3, lambda _: {"dataset_filter_string": 'data.kind = "odd"'}),
        ("sampler", 2, lambda _: {"dataset_sampler": samplers.RandomDatasetSampler(max_samples=2, seed=1)}), ("items", 2, lambda d: {"dataset_item_ids": rows(d)[:2]}),
    ]:
        dataset, name = client.create_dataset(unique("part"), project_name=PROJECT), unique("part")
        dataset.insert([{"n": n, "kind": "odd" if n % 2 else "even"} for n in range(6)])
        done = []

        def fails(item):
            if done:
                raise RuntimeError("half way")
            done.append(item["n"])
            return {"output": "x"}

        try:
            opik.evaluate(dataset=dataset, task=fails, experiment_name=name, task_threads=1, verbose=0, project_name=PROJECT, **options(dataset))
        except RuntimeError:
            pass
        opik.flush_tracker()
        (experiment,) = client.get_experiments_by_name(name, project_name=PROJECT)
        # What comes later is of another version, and of no concern to the run.
        dataset.insert([{"n": 100, "kind": "odd"}])
        again = []
        result = opik.evaluate_resume(experiment_id=experiment.id, task=lambda item: again.append(item["n"]) or {"output": "y"}, verbose=0)
        equal((len(result.test_results), len(again), 100 in again), (count, count - 1, False), what)


def check_evaluate_prompt(client):
    dataset = client.create_dataset(unique("asked"))
    dataset.insert([{"question": "one", "reference": "yes"}, {"question": "two", "reference": "no"}])
    with model() as asked:
        result = opik.evaluate_prompt(dataset=dataset, messages=[{"role": "user", "content": "Say {{question}}"}], model="gpt-4o-mini", scoring_metrics=[metrics.Equals()], experiment_name=unique("asked"), verbose=0)
        opik.flush_tracker()
    equal(sorted(body["messages"][-1]["content"] for body in asked), ["Say one", "Say two"])
    experiment = client.get_experiment_by_id(result.experiment_id)
    items = items_of(experiment, 2, 1)
    equal(sorted((i.dataset_item_data["question"], i.evaluation_task_output["output"], i.feedback_scores[0]["value"]) for i in items), [("one", "yes", 1.0), ("two", "yes", 0.0)])
    metadata = experiment.get_experiment_data().metadata
    equal((metadata["prompt_template"], metadata["model"]), ([{"role": "user", "content": "Say {{question}}"}], "gpt-4o-mini"))


@needs("create_test_suite")
def check_suites_with_a_judge(client):
    name, run = unique("judged"), unique("judged")
    suite = client.create_test_suite(name, global_assertions=["is kind"], global_execution_policy={"runs_per_item": 2, "pass_threshold": 1})
    suite.insert([{"data": {"input": "a"}, "assertions": ["is right"], "description": "first"}, {"data": {"input": "b"}}])
    with model():
        result = opik.run_tests(test_suite=client.get_test_suite(name), task=lambda item: {"input": item["input"], "output": "yes"}, experiment_name=run, verbose=0, model="gpt-4o-mini")
        opik.flush_tracker()
    equal((result.items_total, result.items_passed, result.pass_rate), (2, 2, 1.0))
    equal({(r.runs_total, r.runs_passed, r.pass_threshold) for r in result.item_results.values()}, {(2, 2, 1)})
    experiment = client.get_experiment_by_id(result.experiment_id)
    items = wait(lambda: (lambda i: i if len(i) == 4 and all(x.assertion_results for x in i) else None)(experiment.get_items()))
    equal(sorted(a["value"] for i in items for a in i.assertion_results), ["is kind"] * 4 + ["is right"] * 2)
    assert all(a["passed"] for i in items for a in i.assertion_results)
    data = experiment.get_experiment_data()
    equal((data.pass_rate, data.passed_count, data.total_count), (1.0, 2, 2))
    equal(sorted((a.name, a.value) for a in data.assertion_scores), [("is kind", 1.0), ("is right", 1.0)])


def check_items_by_reference(client):
    project = unique("references")
    dataset = client.create_dataset(unique("referenced"), project_name=project)
    dataset.insert([{"n": n} for n in range(3)])
    ids = [i["id"] for i in dataset.get_items()]
    experiment = client.create_experiment(dataset_name=dataset.name, name=unique("linked"), experiment_config={"a": 1}, project_name=project, tags=["x"]) if hasattr(client, "create_dashboard") else client.create_experiment(dataset_name=dataset.name, name=unique("linked"), experiment_config={"a": 1}, project_name=project)
    from opik.api_objects.experiment.experiment_item import ExperimentItemReferences

    traces = [client.trace(name="t", input={"n": n}, output={"o": n}, project_name=project) for n in range(3)]
    experiment.insert([ExperimentItemReferences(dataset_item_id=i, trace_id=t.id) for i, t in zip(ids, traces)])
    client.flush()
    items = items_of(experiment, 3)
    equal({i.trace_id for i in items}, {t.id for t in traces})
    equal(sorted(i.evaluation_task_output["o"] for i in items), [0, 1, 2])
    client.update_experiment(experiment.id, name="renamed", experiment_config={"b": 2})
    data = client.get_experiment_by_id(experiment.id).get_experiment_data()
    equal((data.name, data.metadata), ("renamed", {"b": 2}))
    api = client.rest_client.experiments
    (item,) = [i for i in items if i.trace_id == traces[0].id]
    equal(api.get_experiment_item_by_id(id=item.id).dataset_item_id, item.dataset_item_id)
    api.delete_experiment_items(ids=[item.id])
    items_of(experiment, 2)
    page = api.find_experiments(dataset_id=dataset.id, page=1, size=10)
    equal([e.id for e in page.content], [experiment.id])
    client.rest_client.traces.delete_traces(ids=[traces[1].id])
    api.delete_experiments_by_id(ids=[experiment.id])
    equal(status(api.get_experiment_by_id, id=experiment.id), 404)
    equal(status(api.get_experiment_by_id, id="not-existing-id"), 404)


def check_bulk(client):
    if not hasattr(opik, "ExperimentItemBulkRecord"):
        return
    project = unique("bulk")
    dataset = client.create_dataset(unique("bulk"), project_name=project)
    dataset.insert([{"n": n} for n in range(40)])
    ids = [i["id"] for i in dataset.get_items()]
    start = datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    trace_id, parent, child = (id_helpers.generate_id() for _ in range(3))
    records = [opik.ExperimentItemBulkRecord(dataset_item_id=ids[0], evaluate_task_result={"answer": "Київ ✓"}, feedback_scores=[{"name": "exact", "value": 1.0, "reason": "збіг"}])]
    records.append(opik.ExperimentItemBulkRecord(
        dataset_item_id=ids[1],
        trace=opik.ExperimentItemBulkTrace(id=trace_id, name="bulk ✓", start_time=start, end_time=start + datetime.timedelta(seconds=1), input={"q": 1}, output={"a": 2}, metadata={"m": "ü"}, tags=["x"]),
        spans=[opik.ExperimentItemBulkSpan(id=parent, name="agent", type="general", start_time=start, end_time=start, input={"q": 1}),
               opik.ExperimentItemBulkSpan(id=child, parent_span_id=parent, name="call", type="llm", start_time=start, end_time=start, model="gpt-4o", provider="openai", usage={"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8})],
        feedback_scores=[{"name": "exact", "value": 1.0}, {"name": "fluent", "value": 0.5}]))
    records += [opik.ExperimentItemBulkRecord(dataset_item_id=i, trace=opik.ExperimentItemBulkTrace(name="t", start_time=start, end_time=start, output={"answer": i})) for i in ids[2:]]
    experiment = client.create_experiment(dataset_name=dataset.name, name=unique("bulk"), project_name=project)
    experiment.batch_upload_items((r for r in records), project_name=project)
    items = {i.dataset_item_id: i for i in items_of(experiment, 40)}
    equal(items[ids[0]].evaluation_task_output, {"answer": "Київ ✓"})
    equal([(s["name"], s["value"], s["reason"]) for s in items[ids[0]].feedback_scores], [("exact", 1.0, "збіг")])
    equal(items[ids[1]].trace_id, trace_id)
    trace = client.get_trace_content(trace_id)
    equal((trace.name, trace.input, trace.output, trace.metadata["m"], trace.tags), ("bulk ✓", {"q": 1}, {"a": 2}, "ü", ["x"]))
    span = client.get_span_content(child)
    equal((span.parent_span_id, span.trace_id, span.model, span.usage["total_tokens"]), (parent, trace_id, "gpt-4o", 8))
    equal(items[ids[5]].evaluation_task_output, {"answer": ids[5]})
    paged = experiment.get_items(max_results=40, page_size=7, num_threads=3)
    equal([i.id for i in paged], [i.id for i in experiment.get_items(max_results=40, page_size=7, num_threads=1)])
    equal([i.id for i in experiment.get_items(max_results=10, page_size=7)], [i.id for i in paged[:10]])
    equal({i.dataset_item_id for i in paged}, set(ids))
    # A request with more than the server takes is refused, and the SDK sends its halves.
    large = client.create_experiment(dataset_name=dataset.name, name=unique("large"), project_name=project)
    with mock.patch.object(constants, "EXPERIMENT_ITEMS_BULK_MAX_BATCH_SIZE_MB", 64):
        large.batch_upload_items([opik.ExperimentItemBulkRecord(dataset_item_id=i, evaluate_task_result={"long": letter * 1_500_000}) for i, letter in zip(ids, "abcd")], project_name=project)
    equal({(i.dataset_item_id, i.evaluation_task_output["long"][-1], len(i.evaluation_task_output["long"])) for i in items_of(large, 4)}, {(i, letter, 1_500_000) for i, letter in zip(ids, "abcd")})


def check_threads_are_evaluated(client):
    from opik.evaluation import evaluate_threads
    from opik.evaluation.metrics.conversation import conversation_thread_metric

    project = unique("conversations")
    for n in range(3):
        client.trace(name=f"{n}", input={"input": f"question {n}"}, output={"output": f"answer {n}"}, project_name=project, thread_id="talk")
    client.flush()

    class Turns(conversation_thread_metric.ConversationThreadMetric):
        def score(self, conversation, **ignored):
            return score_result.ScoreResult(name="turns", value=float(len(conversation)), reason="counted")

    threads = client.get_threads_client()
    wait(lambda: threads.search_threads(project_name=project))
    threads.close_thread(thread_id="talk", project_name=project)
    result = evaluate_threads(project_name=project, filter_string='id = "talk"', metrics=[Turns()], eval_project_name=project,
                              trace_input_transform=lambda x: x["input"], trace_output_transform=lambda x: x["output"], verbose=0)
    equal([(r.thread_id, [s.value for s in r.scores]) for r in result.results], [("talk", [6.0])])
    thread = wait(lambda: [t for t in threads.search_threads(project_name=project, filter_string='id = "talk"') if t.feedback_scores])[0]
    equal([(s.name, s.value, s.reason) for s in thread.feedback_scores], [("turns", 6.0, "counted")])


def check_optimizations(client):
    from opik.api_objects.experiment.experiment_item import ExperimentItemReferences

    dataset = capitals(client)
    made = client.create_optimization(dataset_name=dataset.name, objective_name="accuracy", name="opt", metadata={"m": 1})
    made.update(name="renamed", status="completed")
    read = client.get_optimization_by_id(made.id).fetch_content()
    equal((read.name, read.status, read.objective_name, read.dataset_name, read.metadata), ("renamed", "completed", "accuracy", dataset.name, {"m": 1}))
    trial = client.create_experiment(dataset_name=dataset.name, name=unique("trial"), type="trial", optimization_id=made.id)
    data = client.get_experiment_by_id(trial.id).get_experiment_data()
    equal((data.type, data.optimization_id), ("trial", made.id))
    page = client.rest_client.optimizations.find_optimizations(dataset_id=dataset.id)
    equal([(o.id, o.num_trials) for o in page.content], [(made.id, 1)])
    if hasattr(page.content[0], "best_objective_score"):
        traced = client.trace(name="tried", input={"q": 1}, output={"a": 1})
        traced.log_feedback_score("near", 0.5)
        client.flush()
        trial.insert([ExperimentItemReferences(dataset_item_id=dataset.get_items()[0]["id"], trace_id=traced.id)])
        client.rest_client.experiments.update_experiment(id=trial.id, experiment_scores=[{"name": "accuracy", "value": 0.75}])
        best = wait(lambda: [o for o in [client.rest_client.optimizations.get_optimization_by_id(made.id)] if o.feedback_scores])[0]
        equal((best.best_objective_score, best.baseline_objective_score), (0.75, 0.75))
        equal([(s.name, s.value) for s in best.feedback_scores], [("near", 0.5)])
    found = client.rest_client.experiments.find_experiments(optimization_id=made.id, types='["trial"]')
    equal([e.id for e in found.content], [trial.id])
    client.delete_optimizations([made.id])
    equal(status(client.rest_client.optimizations.get_optimization_by_id, made.id), 404)


if __name__ == "__main__":
    main(sys.modules[__name__])

"""Datasets, their versions and test suites."""
import sys

from driver import PROJECT, equal, main, needs, raises, status, unique, wait

import opik
import opik.exceptions
from opik import id_helpers
from opik.rest_api.types.dataset_item_write import DatasetItemWrite


def rows(items):
    return sorted((({k: v for k, v in item.items() if k != "id"}) for item in items), key=repr)


def questions(count):
    return [{"input": {"q": n}, "expected": f"a{n}", "category": "even" if n % 2 == 0 else "odd"} for n in range(count)]


def check_items_are_kept_once(client):
    name = unique("kept")
    dataset = client.create_dataset(name, description="d")
    dataset.insert(questions(3))
    client.get_dataset(name).insert(questions(4))
    equal(rows(client.get_dataset(name).get_items()), rows(questions(4)))
    id = id_helpers.generate_id()
    dataset.insert([{"id": id, "input": {"q": "old"}}])
    dataset.update([{"id": id, "input": {"q": "new"}}])
    items = {item["id"]: item for item in client.get_dataset(name).get_items()}
    equal((len(items), items[id]["input"]), (5, {"q": "new"}))
    dataset.clear()
    equal(client.get_dataset(name).get_items(), [])
    client.delete_dataset(name)
    equal(status(client.get_dataset, name), 404)
    equal(status(client.delete_dataset, name), 404)


def check_items_from_json_and_files(client):
    import os
    import tempfile

    dataset = client.create_dataset(unique("imported"))
    dataset.insert_from_json('[{"Question": "é", "A": 1}]', keys_mapping={"Question": "q"}, ignore_keys=["A"])
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", delete=False) as file:
        file.write('{"q": "line 1"}\n{"q": "line 2", "n": [1]}\n')
    dataset.read_jsonl_from_file(file.name)
    os.unlink(file.name)
    equal(rows(dataset.get_items()), rows([{"q": "é"}, {"q": "line 1"}, {"q": "line 2", "n": [1]}]))
    assert "line 2" in dataset.to_json()


def check_many_items_at_once(client):
    if not hasattr(opik.Dataset, "stream_items"):
        return print("left out: this SDK reads no items in chunks")
    sent = [{"n": n, "group": n % 3} for n in range(2_500)]
    dataset = client.create_dataset(unique("many"), project_name=PROJECT)
    dataset.insert((row for row in sent), num_threads=6)
    found = client.get_dataset(dataset.name, project_name=PROJECT)
    version = found.get_version_info()
    equal((version.version_name, version.items_total), ("v1", len(sent)), "threads that send parts of one insertion make one version")
    chunks = list(found.stream_items(chunk_size=400, num_threads=4))
    equal([len(chunk) for chunk in chunks], [400] * 6 + [100])
    items = [item for chunk in chunks for item in chunk]
    equal(rows(items), rows(sent))
    equal(items, [item for chunk in found.stream_items(chunk_size=700, num_threads=1) for item in chunk], "the order is the same however it is read")
    equal([item["id"] for item in items], [item["id"] for item in found.get_items()])
    equal(sum(len(chunk) for chunk in found.stream_items(chunk_size=10, num_threads=3, nb_samples=25)), 25)
    equal({item["n"] for chunk in found.stream_items(filter_string="data.group = 2", chunk_size=100) for item in chunk}, set(range(2, 2_500, 3)))
    found.insert([{"n": -1, "group": -1}])
    equal(sum(len(chunk) for chunk in found.get_version_view("v1").stream_items()), len(sent))


def check_versions(client):
    dataset = client.create_dataset(unique("versions"), project_name=PROJECT)
    equal(dataset.get_current_version_name(), None)
    dataset.insert([{"q": 1}])
    dataset.insert([{"q": 2}])
    equal(dataset.get_current_version_name(), "v2")
    view = dataset.get_version_view("v1")
    equal((rows(view.get_items()), view.version_name, view.items_total), ([{"q": 1}], "v1", 1))
    dataset.delete([dataset.get_items()[0]["id"]])
    equal((dataset.get_current_version_name(), dataset.get_version_view("v3").items_total), ("v3", 1))
    raises(opik.exceptions.DatasetVersionNotFound, dataset.get_version_view, "v99")
    if hasattr(dataset, "stream_items"):
        equal(rows(item for part in dataset.stream_items() for item in part), rows(dataset.get_items()))


def check_filters(client):
    dataset = client.create_dataset(unique("filtered"))
    dataset.insert(questions(10) + [{"other": "has a word", "n": 5, "deep": {"k": "v"}}])
    for query, count in [
        ('data.category = "even"', 5), ('data.category != "even"', None), ('data.category contains "dd"', 5), ('data.expected = "a3"', 1), ('data.category = "none"', 0),
        ('data.other contains "WORD"', 1), ('data.input contains "7"', 1), ('source = "sdk"', 11), ('created_at > "2020-01-01T00:00:00Z"', 11), ('full_data contains "a word"', 1),
        ('data.category = "even" AND data.expected = "a4"', 1), ('data.category not_contains "even"', None), ('tags is_empty', 11), ('data.category starts_with "ev"', 5),
    ]:
        found = len(dataset.get_items(filter_string=query))
        if count is not None:
            equal(found, count, query)
    id = dataset.get_items()[0]["id"]
    equal([i["id"] for i in dataset.get_items(filter_string=f'id = "{id}"')], [id])
    equal(len(dataset.get_items(nb_samples=4)), 4)


def check_lookups(client):
    project, name = unique("datasets"), unique("looked up")
    dataset = client.create_dataset(name, project_name=project)
    equal(client.get_dataset(name, project_name=project).id, dataset.id)
    equal(client.get_or_create_dataset(name, project_name=project).id, dataset.id)
    equal([d.name for d in client.get_datasets(project_name=project)], [name])
    equal(status(client.create_dataset, name, project_name=project), 409)
    api = client.rest_client.datasets
    api.update_dataset(id=dataset.id, name=name, description="dd", tags=["t"])
    read = api.get_dataset_by_id(id=dataset.id)
    equal((read.description, read.tags, read.dataset_items_count), ("dd", ["t"], 0))
    equal(api.find_datasets(name=name).total, 1)
    equal(status(api.get_dataset_by_id, id=id_helpers.generate_id()), 404)
    item = id_helpers.generate_id()
    api.create_or_update_dataset_items(dataset_id=dataset.id, items=[DatasetItemWrite(id=item, source="manual", data={"a": 1}, tags=["x"])])
    read = api.get_dataset_item_by_id(item_id=item)
    equal((read.data, read.tags, read.source), ({"a": 1}, ["x"], "manual"))
    api.patch_dataset_item(item_id=item, source="manual", data={"a": 2})
    equal(api.get_dataset_item_by_id(item_id=item).data, {"a": 2})
    page = api.get_dataset_items(id=dataset.id, page=1, size=10)
    equal((page.total, [(c.name, c.types) for c in page.columns]), (1, [("a", ["number"])]))
    page = api.get_dataset_items(id=dataset.id, page=7, size=10)
    equal((page.total, page.content), (1, []))
    api.batch_update_dataset_items(ids=[item], update={"tags": ["y"]}, merge_tags=True)
    equal(sorted(api.get_dataset_item_by_id(item_id=item).tags), ["x", "y"])
    api.delete_dataset_items(item_ids=[item])
    equal(status(api.get_dataset_item_by_id, item_id=item), 404)
    api.delete_dataset(id=dataset.id)
    equal(status(api.get_dataset_by_id, id=dataset.id), 404)
    api.delete_dataset(id=dataset.id)


def check_changes_by_version(client):
    api = client.rest_client.datasets
    dataset = client.create_dataset(unique("changed"), project_name=PROJECT)
    api.create_or_update_dataset_items(
        dataset_id=dataset.id, batch_group_id=id_helpers.generate_id(),
        items=[DatasetItemWrite(source="manual", data={"q": f"Q{n}", "a": f"A{n}"}) for n in (1, 2, 3)])
    first = api.list_dataset_versions(id=dataset.id, page=1, size=1).content[0]
    equal((first.version_name, first.items_total, first.items_added), ("v1", 3, 3))
    by_q = {item.data["q"]: item for item in api.get_dataset_items(id=dataset.id, page=1, size=100).content}
    second = api.apply_dataset_item_changes(id=dataset.id, override=False, request={
        "base_version": first.id, "change_description": "edit one, add one", "tags": ["golden"], "metadata": {"k": "v"},
        "edited_items": [{"id": by_q["Q1"].id, "data": {"q": "Q1", "a": "changed"}}], "added_items": [{"data": {"q": "Q4"}, "source": "manual"}]})
    equal((second.version_name, second.items_total, second.items_added, second.items_modified), ("v2", 4, 1, 1))
    third = api.apply_dataset_item_changes(id=dataset.id, override=False, request={
        "base_version": second.id, "edited_items": [{"id": by_q["Q3"].id, "data": {"q": "Q3", "a": "changed"}}], "deleted_ids": [by_q["Q2"].id], "added_items": [{"data": {"q": "Q5"}, "source": "manual"}]})
    equal((third.items_total, third.items_added, third.items_modified, third.items_deleted), (4, 1, 1, 1))
    equal(status(api.apply_dataset_item_changes, id=dataset.id, override=False, request={"base_version": first.id, "deleted_ids": [by_q["Q1"].id]}), 409)
    read = api.list_dataset_versions(id=dataset.id, page=1, size=10).content[1]
    equal((read.change_description, "golden" in read.tags, read.metadata), ("edit one, add one", True, {"k": "v"}))
    order = [item.data["q"] for item in api.get_dataset_items(id=dataset.id, page=1, size=100, version=second.version_hash).content]
    equal(order[0], "Q4", "what came last is first")
    if hasattr(api, "get_dataset_version_by_hash"):
        equal(api.get_dataset_version_by_hash(id=dataset.id, version_hash="golden").version_name, "v2")
    draft = api.compare_dataset_versions(id=dataset.id)
    equal((draft.from_version, draft.statistics.items_added), (third.version_hash, 0), "there is no draft that differs")


@needs("create_test_suite")
def check_suites(client):
    name = unique("suite")
    suite = client.create_test_suite(name, description="d", global_assertions=["is helpful", "is short"], global_execution_policy={"runs_per_item": 3, "pass_threshold": 2}, tags=["r", "s"])
    suite.insert([
        {"data": {"question": "1"}, "assertions": ["says one"], "description": "first"},
        {"data": {"question": "2"}, "execution_policy": {"runs_per_item": 5, "pass_threshold": 5}},
        {"data": {"question": "3"}},
    ])
    read = client.get_test_suite(name)
    equal((set(read.get_global_assertions()), read.get_global_execution_policy()), ({"is helpful", "is short"}, {"runs_per_item": 3, "pass_threshold": 2}))
    equal(sorted(read.get_tags()), ["r", "s"])
    items = {item["data"]["question"]: item for item in read.get_items()}
    equal((items["1"]["assertions"], items["1"]["description"], items["3"].get("description")), (["says one"], "first", None))
    equal(items["2"]["execution_policy"], {"runs_per_item": 5, "pass_threshold": 5})
    read.update_test_settings(global_assertions=["is right"])
    again = client.get_test_suite(name)
    equal((again.get_global_assertions(), again.get_global_execution_policy()), (["is right"], {"runs_per_item": 3, "pass_threshold": 2}))
    again.update_test_settings(global_execution_policy={"runs_per_item": 1, "pass_threshold": 1})
    again = client.get_test_suite(name)
    equal((again.get_global_assertions(), again.get_global_execution_policy()), (["is right"], {"runs_per_item": 1, "pass_threshold": 1}))
    again.update_test_settings(global_assertions=[])
    equal(client.get_test_suite(name).get_global_assertions(), [])
    again.update([{"id": items["3"]["id"], "data": {"question": "changed"}}])
    equal({i["data"]["question"] for i in again.get_items()}, {"1", "2", "changed"})
    again.delete([items["1"]["id"]])
    equal(len(again.get_items()), 2)
    view = again.get_version_view("v1")
    equal((view.version_name, view.is_latest), ("v1", False))
    client.get_or_create_test_suite(name, global_assertions=["ignored"], tags=["ignored"])
    equal(sorted(client.get_test_suite(name).get_tags()), ["r", "s"])
    plain = unique("plain")
    client.create_dataset(plain)
    names = {s.name for s in client.get_test_suites()}
    assert name in names and plain not in names, names
    assert {name, plain} <= {d.name for d in client.get_datasets(max_results=1000)}
    again.clear()
    equal(again.get_items(), [])
    default = client.create_test_suite(unique("default"))
    equal(default.get_global_execution_policy(), {"runs_per_item": 1, "pass_threshold": 1})
    client.delete_test_suite(name)
    raises(Exception, client.get_test_suite, name)


@needs("create_test_suite")
def check_suites_run(client):
    name, run = unique("run suite"), unique("run")
    suite = client.create_test_suite(name)
    suite.insert([{"data": {"input": "hello"}}, {"data": {"input": "bye"}, "execution_policy": {"runs_per_item": 2, "pass_threshold": 1}}])
    result = opik.run_tests(test_suite=suite, task=lambda item: {"input": item["input"], "output": "yes"}, experiment_name=run, verbose=0)
    equal((result.items_total, result.items_passed, result.pass_rate), (2, 2, 1.0 if result.pass_rate is not None else None))
    equal({e.name for e in client.get_test_suite_experiments(name)}, {run})
    found = client.get_experiment_by_name(run)
    wait(lambda: len(found.get_items()) == 3, "an item for each run")
    # Assertions are results of the runs, not scores.
    items = found.get_items()
    if not hasattr(client.rest_client, "assertion_results"):
        return
    client.rest_client.assertion_results.store_assertions_batch(entity_type="TRACE", assertion_results=[
        {"entity_id": item.trace_id, "project_name": found.project_name or PROJECT, "name": "says yes", "status": "passed" if n else "failed", "reason": "r", "source": "sdk"} for n, item in enumerate(items)])
    items = wait(lambda: (lambda i: i if all(x.assertion_results for x in i) else None)(found.get_items()))
    equal([(a["value"], a["passed"], a["reason"]) for a in items[0].assertion_results], [("says yes", False, "r")])
    equal(client.get_trace_content(items[0].trace_id).feedback_scores, None)
    data = found.get_experiment_data()
    equal([(a.name, round(a.value, 3)) for a in data.assertion_scores], [("says yes", 0.667)])


if __name__ == "__main__":
    main(sys.modules[__name__])

#!/usr/bin/env python3
"""Reads an experiment with the official Python SDK and prints what it understood as one JSON document.

  OPIK_URL_OVERRIDE=http://127.0.0.1:PORT/api read_experiment.py PROJECT EXPERIMENT

Needs `pip install opik`. Prints {"experiments", "metadata", "dataset", "dataset_items", "items"}; an item has the
dataset's item, the output of the task and the scores.
"""
import json, os, sys

# Nothing may leave the machine.
os.environ.update(
    OPIK_SENTRY_ENABLE="false",
    OPIK_ANALYTICS_ENABLE="false",
    OPIK_ENABLE_LITELLM_MODELS_MONITORING="false",
    LITELLM_LOCAL_MODEL_COST_MAP="True",
    OPIK_CONFIG_PATH=os.devnull,
)

import opik


def main(project, name):
    client = opik.Opik(project_name=project, _show_misconfiguration_message=False)
    experiments = client.get_experiments_by_name(name=name)
    experiment = experiments[0]
    data = experiment.get_experiment_data()
    items = [
        {
            "id": item.id,
            "dataset_item_id": item.dataset_item_id,
            "trace_id": item.trace_id,
            "data": item.dataset_item_data,
            "output": item.evaluation_task_output,
            "scores": [
                {"name": score["name"], "value": score["value"], "reason": score.get("reason")}
                for score in item.feedback_scores
            ],
        }
        for item in experiment.get_items()
    ]
    dataset = client.get_dataset(name=experiment.dataset_name, project_name=project)
    print(
        json.dumps(
            {
                "experiments": len(experiments),
                "metadata": data.metadata,
                "means": {score.name: score.value for score in data.feedback_scores or []},
                "scores": {score.name: score.value for score in data.experiment_scores or []},
                "dataset": dataset.name,
                "dataset_items": dataset.get_items(),
                "items": items,
            }
        )
    )


main(*sys.argv[1:])

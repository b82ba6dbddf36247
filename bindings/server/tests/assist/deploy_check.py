"""Checks the templates of bindings/server/deploy with the real programs: Helm's library (lint and
render), the schemas of Kubernetes, hadolint, the schema of compose files. Prints a line per check.

  check.py FOLDER
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import kubernetes_validate
import yaml
from helm_python import chart as helm

deploy = Path(sys.argv[1])
bin_folder = Path(sys.executable).parent
chart_folder = deploy / "helm" / "opik-assist"
failures = []


def check(name, passed, detail=""):
    print(("ok " if passed else "FAILED ") + name, detail if not passed else "")
    if not passed:
        failures.append(name)


VALUES = {
    "defaults": {},
    "one replica with a database": {"replicas": 1, "sessions": {"existingSecret": "assist-db"}},
    "with a database and more": {
        "replicas": 3,
        "sessions": {"existingSecret": "assist-db"},
        "monitoring": {"existingSecret": "assist-keys"},
        "env": {"SENTRY_ENVIRONMENT": "production", "ASSIST_KEEP_DAYS": 90},
        "urlPrefix": "",
        "image": {"tag": "1.2.3"},
    },
}


def rendered(values):
    documents = []
    for name, text in dict(helm.Chart.load(str(chart_folder)).render(values=values)).items():
        if name.endswith(".yaml"):
            documents += [document for document in yaml.safe_load_all(text) if document]
    return documents


for label, values in VALUES.items():
    report = helm.lint(str(chart_folder), values=values)
    findings = [message for message in report["messages"] if message["severity"] >= 2]
    check(f"helm lint, {label}", not findings and not report["errors"], report)
    documents = rendered(values)
    kinds = sorted(document["kind"] for document in documents)
    # Without a database there is one replica, whatever is asked for.
    replicas = values.get("replicas", 2) if "sessions" in values else 1
    wanted = ["Deployment", "Service"] if replicas == 1 else ["Deployment", "PodDisruptionBudget", "Service"]
    check(f"helm render, {label}", kinds == wanted, kinds)
    for document in documents:
        try:
            kubernetes_validate.validate(document, "1.31.0", strict=True)
            check(f"{document['kind']} is valid, {label}", True)
        except Exception as error:  # the library has several kinds
            check(f"{document['kind']} is valid, {label}", False, error)
    deployment = next(document for document in documents if document["kind"] == "Deployment")
    check(f"replicas, {label}", deployment["spec"]["replicas"] == replicas, deployment["spec"]["replicas"])
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    env = {entry["name"]: entry for entry in container["env"]}
    prefix = values.get("urlPrefix", "/opik-ai")
    check(f"probes, {label}", (container["livenessProbe"]["httpGet"]["path"], container["readinessProbe"]["httpGet"]["path"])
          == (f"{prefix}/healthz", f"{prefix}/ready"))
    check(f"limits, {label}", set(container["resources"]) == {"requests", "limits"})
    secret = values.get("sessions", {}).get("existingSecret")
    reference = env.get("SESSION_SERVICE_URI", {}).get("valueFrom", {}).get("secretKeyRef", {})
    check(f"the database's address is a secret from outside, {label}", reference.get("name") == secret, reference)
    keys = values.get("monitoring", {}).get("existingSecret")
    references = [entry["secretRef"]["name"] for entry in container.get("envFrom", [])]
    check(f"keys of monitoring are a secret from outside, {label}", references == ([keys] if keys else []), references)
    check(f"no value is a secret, {label}", not any("mysql://" in str(entry.get("value")) for entry in env.values()))
    check(f"further variables, {label}", all(env[name]["value"] == str(value) for name, value in values.get("env", {}).items()), env)

hadolint = subprocess.run([bin_folder / "hadolint", deploy / "Dockerfile"], capture_output=True, text=True)
check("hadolint", hadolint.returncode == 0, hadolint.stdout)

compose = subprocess.run(
    [bin_folder / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", deploy / "compose.yaml"],
    capture_output=True, text=True)
check("the schema of compose files", compose.returncode == 0, compose.stdout + compose.stderr)
service = yaml.safe_load((deploy / "compose.yaml").read_text())["services"]["opik-ai-backend"]
check("compose has the profile", service["profiles"] == ["opik-ai-backend"])
check("compose serves under the prefix of the location", service["environment"]["URL_PREFIX"] == "/opik-ai")

sys.exit(1 if failures else 0)

"""Writes one run into the project `python`; the server is that of OPIK_URL_OVERRIDE."""
import datetime
import os

os.environ.update(OPIK_SENTRY_ENABLE="false", OPIK_ANALYTICS_ENABLE="false", OPIK_ENABLE_LITELLM_MODELS_MONITORING="false", LITELLM_LOCAL_MODEL_COST_MAP="True", OPIK_CONFIG_PATH=os.devnull)

import opik  # noqa: E402

START = datetime.datetime.fromtimestamp(1_795_170_314, datetime.timezone.utc)


def at(millis):
    return START + datetime.timedelta(milliseconds=millis)


client = opik.Opik(project_name="python", _show_misconfiguration_message=False)
question, answer = {"q": "lamps?"}, {"a": "3"}
trace = client.trace(name="answer", input=question, output=answer, start_time=at(0), end_time=at(1000))
root = trace.span(name="answer", input=question, output=answer, start_time=at(0), end_time=at(1000))
root.span(name="stock", type="tool", start_time=at(100), end_time=at(700))
root.span(name="chat", type="llm", model="gpt-4o-mini", provider="openai", start_time=at(750), end_time=at(950),
          usage={"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120})
client.end()

"""Configurations of agents: what a program asks for by project and environment."""
import sys

from driver import equal, main, needs, raises, status, unique, wait

import opik
import opik.exceptions
from opik import opik_context


def fetched(client, project, fallback, **choice):
    """The configuration, as nothing of it was known before."""
    from opik.api_objects.agent_config.cache import get_global_registry

    get_global_registry().clear()

    @opik.track(project_name=project)
    def fetch():
        return client.get_or_create_config(fallback=fallback, project_name=project, **choice)

    return fetch()


def manager(client, project):
    from opik.api_objects.agent_config.config import ConfigManager

    return ConfigManager(project_name=project, rest_client_=client.rest_client)


@needs("create_config")
def check_versions_and_environments(client):
    class Settings(opik.Config):
        temperature: float
        model: str
        hint: str

    project = unique("configured")
    other = Settings(temperature=0.0, model="none", hint=None)
    first = client.create_config(Settings(temperature=0.5, model="small", hint=None), project_name=project, description="first")
    second = client.create_config(Settings(temperature=0.8, model="large", hint="think"), project_name=project)
    equal((first, second), ("v1", "v2"))
    for choice, values in [({"env": "prod"}, (0.5, "small", None)), ({"version": "latest"}, (0.8, "large", "think")), ({"version": first}, (0.5, "small", None)), ({}, (0.5, "small", None))]:
        got = fetched(client, project, other, **choice)
        equal((got.temperature, got.model, got.hint), values, str(choice))
    client.set_config_env(project_name=project, version=second, env="prod")
    client.set_config_env(project_name=project, version=first, env="staging")
    equal([fetched(client, project, other, env=env).model for env in ("prod", "staging")], ["large", "small"])
    for choice in ({"env": "nowhere"}, {"version": "v9"}):
        raises(opik.exceptions.ConfigNotFound, fetched, client, project, other, **choice)
    api = client.rest_client
    id = api.projects.retrieve_project(name=project).id
    history = api.agent_configs.get_blueprint_history(project_id=id, page=1, size=10)
    equal([(b.name, b.description, b.envs) for b in history.content], [("v2", None, ["prod"]), ("v1", "first", ["staging"])])
    # Where there is none yet the program's own values become the first one.
    made = fetched(client, unique("empty"), other)
    equal((made.model, made.hint), ("none", None))


@needs("create_config")
def check_prompts_in_configurations(client):
    project = unique("configured")
    text = client.create_prompt(name=unique("text"), prompt="Hi", project_name=project)
    chat = client.create_chat_prompt(name=unique("chat"), messages=[{"role": "user", "content": "Hi"}], project_name=project)

    class Settings(opik.Config):
        system: opik.Prompt
        start: opik.ChatPrompt
        limit: int

    client.create_config(Settings(system=text, start=chat, limit=3), project_name=project)
    seen = {}

    @opik.track(project_name=project)
    def work():
        from opik.api_objects.agent_config.cache import get_global_registry

        get_global_registry().clear()
        got = client.get_or_create_config(fallback=Settings(system=text, start=chat, limit=0), project_name=project)
        seen.update(trace=opik_context.get_current_trace_data().id, got=(got.system.commit, got.start.commit, got.limit))

    work()
    opik.flush_tracker()
    equal(seen["got"], (text.commit, chat.commit, 3))
    used = wait(lambda: client.get_trace_content(seen["trace"])).metadata["agent_configuration"]
    equal((used["blueprint_version"], used["values"]["limit"]["value"]), ("v1", 3))


@needs("create_config")
def check_masks_and_removed_values(client):
    project = unique("configured")
    keeper = manager(client, project)
    first = keeper.create_blueprint(parameters={"temperature": 0.5, "model": "small", "tools": True, "steps": 3})
    equal(first.values, {"temperature": 0.5, "model": "small", "tools": True, "steps": 3})
    mask = keeper.create_mask(parameters={"temperature": 0.9})
    masked = keeper.get_blueprint(mask_id=mask)
    equal((masked.id, masked["temperature"], masked["model"]), (first.id, 0.9, "small"))
    equal(keeper.get_blueprint()["temperature"], 0.5)
    equal(keeper.get_blueprint(name="v2"), None, "a mask has no name")
    api = client.rest_client.agent_configs
    id = client.rest_client.projects.retrieve_project(name=project).id
    equal(status(api.get_blueprint_by_id, mask), 404)
    equal([v.key for v in api.get_delta_by_id(mask).values], ["temperature"])
    api.create_blueprint_from_mask(project_id=id, mask_id=mask)
    newest = keeper.get_blueprint()
    equal((newest.name, newest["temperature"], newest["steps"]), ("v2", 0.9, 3))
    api.remove_config_keys(project_name=project, keys=["steps", "unknown"])
    api.remove_config_keys(project_name=project, keys=["unknown"])
    newest = keeper.get_blueprint()
    equal((newest.name, sorted(newest.keys())), ("v3", ["model", "temperature", "tools"]))
    api.set_env_by_blueprint_name(env_name="try it", project_id=id, blueprint_name="v2")
    equal(keeper.get_blueprint(env="try it").name, "v2")
    api.delete_env(env_name="try it", project_id=id)
    equal(keeper.get_blueprint(env="try it"), None)


if __name__ == "__main__":
    main(sys.modules[__name__])

// Drives a server with the official TypeScript SDK and checks that everything reads back as it was written.
//
//   OPIK_TS_SDK=FOLDER OPIK_URL_OVERRIDE=http://127.0.0.1:PORT/api node catalog.mjs SECTION
//
// FOLDER has node_modules with the package `opik` in it. Ends with 0 and "SECTION done" when all is well.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.OPIK_TS_SDK}/`);
const { ChatPrompt, ExactMatch, Opik, Prompt, agentConfigContext, evaluate, flushAll, generateId, getTrackContext, track } = require("opik");
const PROJECT = "ts project";
const byText = (items) => items.map((item) => JSON.stringify(item)).sort();
const bare = (items) => items.map(({ id, ...rest }) => rest);

async function eventually(ask, wanted) {
  let found;
  for (let n = 0; n < 100; n++) {
    found = await ask();
    try {
      return assert.deepEqual(found, wanted);
    } catch {
      await new Promise((wait) => setTimeout(wait, 100));
    }
  }
  assert.deepEqual(found, wanted);
}

const sections = {
  async datasets(client) {
    const dataset = await client.createDataset("ts facts", "what is known", PROJECT);
    const rows = Array.from({ length: 1200 }, (_, n) => ({ input: { q: n }, expected: `é${n}`, list: [1, 2.5, null] }));
    await dataset.insert(rows);
    const items = await dataset.getItems();
    assert.deepEqual(byText(bare(items)), byText(rows));
    assert.equal(await dataset.getCurrentVersionName(), "v1");
    await dataset.insert(rows.slice(0, 5));
    assert.equal(await dataset.getCurrentVersionName(), "v1");
    await dataset.update(items.slice(0, 2).map((item) => ({ ...item, expected: "changed" })));
    await dataset.delete(items.slice(0, 1).map((item) => item.id));
    assert.equal((await dataset.getItems()).length, 1199);
    const first = await dataset.getVersionView("v1");
    assert.equal(first.itemsTotal, 1200);
    assert.deepEqual(byText(bare(await first.getItems())), byText(rows));
    await assert.rejects(dataset.getVersionView("v99"));
    const read = await client.getDataset("TS FACTS", PROJECT);
    assert.equal(read.id, dataset.id);
    assert.equal(read.description, "what is known");
    assert.equal(await read.getItemsCount(), 1199);
    assert.equal((await client.getOrCreateDataset("ts facts", undefined, PROJECT)).id, dataset.id);
    assert.equal((await client.getDatasets(100, PROJECT)).length, 1);
    await dataset.clear();
    assert.equal((await dataset.getItems()).length, 0);
    await client.deleteDataset("ts facts", PROJECT);
    await assert.rejects(client.getDataset("ts facts", PROJECT));
  },

  async prompts(client) {
    const first = await client.createPrompt({ name: "greet", prompt: "Hi {{x}}", metadata: { v: 1 }, projectName: PROJECT });
    const same = await client.createPrompt({ name: "greet", prompt: "Hi {{x}}", metadata: { v: 1 }, projectName: PROJECT });
    assert.equal(same.commit, first.commit);
    const second = await client.createPrompt({ name: "greet", prompt: "Hi {{x}}!", metadata: { v: 2 }, projectName: PROJECT });
    const read = await client.getPrompt({ name: "greet", projectName: PROJECT });
    assert.equal(read.prompt, "Hi {{x}}!");
    assert.deepEqual(read.metadata, { v: 2 });
    assert.equal(read.format({ x: "Ada" }), "Hi Ada!");
    const old = await client.getPrompt({ name: "greet", commit: first.commit, projectName: PROJECT });
    assert.equal(old.prompt, "Hi {{x}}");
    assert.equal(await client.getPrompt({ name: "nothing", projectName: PROJECT }), null);
    const versions = await second.getVersions();
    assert.deepEqual(versions.map((version) => version.commit), [second.commit, first.commit]);
    const messages = [{ role: "system", content: "You are {{x}}" }, { role: "user", content: "Hi" }];
    const chat = await client.createChatPrompt({ name: "talk", messages, projectName: PROJECT });
    const talk = await client.getChatPrompt({ name: "talk", projectName: PROJECT });
    assert.deepEqual(talk.messages, messages);
    assert.equal(talk.commit, chat.commit);
    const found = await client.searchPrompts('template_structure = "chat"');
    assert.deepEqual(found.map((prompt) => prompt.name), ["talk"]);
    // Labels are a set; their order is that of Opik's own server.
    await second.updateProperties({ tags: ["production", "v2", "qa"] });
    const labelled = await client.searchPrompts('name = "greet" AND tags contains "v2"');
    assert.deepEqual(labelled.map((prompt) => prompt.tags), [["qa", "production", "v2"]]);
    await client.deletePrompts([first.id]);
    assert.equal(await client.getPrompt({ name: "greet", projectName: PROJECT }), null);
  },

  async experiments(client) {
    const dataset = await client.createDataset("exam", undefined, PROJECT);
    await dataset.insert(Array.from({ length: 10 }, (_, n) => ({ input: { q: n }, expected: String(n % 2) })));
    const result = await evaluate({
      client,
      dataset,
      task: async (item) => ({ output: item.input.q < 5 ? String(item.input.q % 2) : "?" }),
      scoringMetrics: [new ExactMatch()],
      scoringKeyMapping: { output: "output", expected: "expected" },
      experimentName: "ts run",
      experimentConfig: { model: "x" },
      projectName: PROJECT,
      tags: ["nightly"],
    });
    await client.flush();
    const experiment = await client.getExperimentById(result.experimentId);
    assert.equal(experiment.name, "ts run");
    assert.equal(experiment.datasetName, "exam");
    const outputs = async () => (await experiment.getItems()).map((item) => item.evaluationTaskOutput?.output).sort();
    await eventually(outputs, ["0", "0", "0", "1", "1", "?", "?", "?", "?", "?"]);
    const scores = async () => {
      const values = (await experiment.getItems()).flatMap((item) => (item.feedbackScores ?? []).map((score) => score.value));
      return [values.length, values.reduce((sum, value) => sum + value, 0)];
    };
    await eventually(scores, [10, 5]);
    const data = await client.api.experiments.getExperimentById(experiment.id);
    assert.equal(data.traceCount, 10);
    assert.deepEqual(data.feedbackScores.map(({ value }) => value), [0.5]);
    await client.updateExperiment(experiment.id, { name: "renamed" });
    assert.deepEqual((await client.getExperimentsByName("renamed", PROJECT)).map(({ id }) => id), [experiment.id]);
    assert.deepEqual((await client.getDatasetExperiments("exam", 10, PROJECT)).map(({ id }) => id), [experiment.id]);
    await client.deleteExperiment(experiment.id);
    assert.deepEqual(await client.getDatasetExperiments("exam", 10, PROJECT), []);
  },

  async configurations(client) {
    // The client keeps what it found in a project for an environment.
    const ask = (project, options) => track({ name: "ask", projectName: project }, async () => {
      const found = await client.getOrCreateConfig({ projectName: project, ...options });
      return { found, values: [found.temperature, found.model], trace: getTrackContext().trace.data.id };
    })();
    const versions = async (project) => {
      const { id } = await client.api.projects.retrieveProject({ name: project });
      const { content } = await client.api.agentConfigs.getBlueprintHistory(id);
      return content.map(({ name, envs }) => [name, envs ?? []]);
    };
    const fallback = { temperature: 0.1, model: "spare" };
    const made = await ask("ts new", { fallback });
    assert.deepEqual([made.values, made.found.isFallback], [[0.1, "spare"], false]);
    assert.deepEqual(await versions("ts new"), [["v1", ["prod"]]]);
    const project = "ts configured";
    const first = await client.createConfig({ temperature: 0.5, model: "gpt" }, { projectName: project });
    const second = await client.createConfig({ temperature: 0.7, model: "gpt", hint: "short" }, { projectName: project });
    assert.deepEqual([first, second], ["v1", "v2"]);
    assert.deepEqual(await versions(project), [["v2", []], ["v1", ["prod"]]]);
    await client.setConfigEnv({ version: second, env: "stage", projectName: project });
    assert.deepEqual(await versions(project), [["v2", ["stage"]], ["v1", ["prod"]]]);
    const live = await ask(project, { fallback });
    assert.deepEqual([live.values, live.found.blueprintVersion], [[0.5, "gpt"], "v1"]);
    assert.deepEqual((await ask(project, { fallback, version: second })).values, [0.7, "gpt"]);
    // Of a mask only what it holds is other than before.
    const { id } = await client.api.projects.retrieveProject({ name: project });
    const maskId = generateId();
    const values = [{ key: "temperature", value: "0.9", type: "float" }];
    await client.api.agentConfigs.updateAgentConfig({ projectId: id, blueprint: { id: maskId, type: "mask", values } });
    const masked = await agentConfigContext({ maskId }, () => ask(project, { fallback }));
    assert.deepEqual(masked.values, [0.9, "gpt"]);
    await flushAll();
    const filterString = `id = "${masked.trace}" AND metadata.agent_configuration contains "0.9"`;
    const [trace] = await client.searchTraces({ projectName: project, filterString, waitForAtLeast: 1 });
    assert.deepEqual(trace.metadata.agent_configuration.values.temperature, { value: 0.9, type: "float" });
    // A prompt in a configuration is the newest one.
    const prompt = await client.createPrompt({ name: "configured", prompt: "Hi", projectName: project });
    const talk = await client.createChatPrompt({ name: "configured talk", messages: [{ role: "user", content: "Hi" }], projectName: project });
    await client.createConfig({ prompt, talk }, { projectName: project });
    const newer = await client.createPrompt({ name: "configured", prompt: "Hello", projectName: project });
    assert.deepEqual((await versions(project)).slice(0, 2), [["v4", []], ["v3", []]]);
    const { found } = await ask(project, { version: "v4" });
    assert.ok(found.prompt instanceof Prompt && found.talk instanceof ChatPrompt);
    assert.deepEqual([found.prompt.commit, found.prompt.prompt, found.talk.commit], [newer.commit, "Hello", talk.commit]);
  },

  async queues(client) {
    const trace = client.trace({ name: "t", input: { a: 1 }, output: { b: 2 }, projectName: PROJECT });
    trace.end();
    await client.flush();
    const queue = await client.createTracesAnnotationQueue({ name: "look", description: "d", projectName: PROJECT });
    await queue.addTraces([{ id: trace.data.id }]);
    const count = async () => (await client.api.annotationQueues.getAnnotationQueueById(queue.id)).itemsCount;
    assert.equal(await count(), 1);
    await queue.removeTraces([{ id: trace.data.id }]);
    assert.equal(await count(), 0);
    assert.deepEqual((await client.getTracesAnnotationQueues({ projectName: PROJECT })).map(({ id }) => id), [queue.id]);
    await client.deleteTracesAnnotationQueue(queue.id);
    await assert.rejects(client.getTracesAnnotationQueue(queue.id));
  },
};

const section = process.argv[2];
const client = new Opik({ apiUrl: process.env.OPIK_URL_OVERRIDE, projectName: PROJECT });
await sections[section](client);
await client.flush();
console.log(section, "done");

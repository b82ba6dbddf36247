// Drives a server with the official TypeScript SDK and checks that everything reads back as it was written.
//
//   OPIK_TS_SDK=FOLDER OPIK_URL_OVERRIDE=http://127.0.0.1:PORT/api node catalog.mjs SECTION
//
// FOLDER has node_modules with the package `opik` in it. Ends with 0 and "SECTION done" when all is well.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.OPIK_TS_SDK}/`);
const { Opik, BaseMetric, ExactMatch, evaluate } = require("opik");
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

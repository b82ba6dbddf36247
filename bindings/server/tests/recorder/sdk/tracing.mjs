// What programs record with the official TypeScript SDK, and what they find of it.
//
//   OPIK_TS_SDK=FOLDER OPIK_URL_OVERRIDE=http://127.0.0.1:PORT/api node tracing.mjs SECTION
//
// FOLDER has node_modules with the package `opik` in it. Ends with 0 and "SECTION done" when all is well.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.OPIK_TS_SDK}/`);
const { Opik, flushAll, getDistributedTraceHeaders, getTrackContext, setGlobalClient, track } = require("opik");
const PROJECT = "ts tracing";

/** The first answer that holds. */
async function eventually(ask, holds, what) {
  let found;
  for (let n = 0; n < 200; n++) {
    try {
      found = await ask();
      if (holds(found)) return found;
    } catch (error) {
      found = error;
    }
    await new Promise((wait) => setTimeout(wait, 50));
  }
  assert.fail(`${what}: ${JSON.stringify(found) ?? found}`);
}

const traceOf = (client, id, holds = () => true) => eventually(() => client.api.traces.getTraceById(id), holds, `trace ${id}`);
const spanOf = (client, id, holds = () => true) => eventually(() => client.api.spans.getSpanById(id), holds, `span ${id}`);

const sections = {
  async manual(client) {
    const trace = client.trace({
      name: "order", input: { dish: "soup" }, metadata: { table: 7 }, tags: ["evening", "é"], threadId: "guest", projectName: PROJECT,
    });
    const cook = trace.span({ name: "cook", type: "llm", input: { steps: [1, null, "x"] }, model: "gpt-4o", provider: "openai" });
    const taste = cook.span({ name: "taste", type: "tool", input: { spoon: true } });
    const salt = trace.span({ name: "salt", type: "guardrail", parentSpanId: cook.data.id });
    await client.flush();
    // These come after the creation has been sent.
    taste.update({ output: { enough: false }, tags: ["late"], metadata: { tries: 2 } }).end();
    salt.update({ errorInfo: { exceptionType: "Spilled", message: "all of it", traceback: "here" } }).end();
    cook.update({ output: { text: "done" }, usage: { prompt_tokens: 100, completion_tokens: 10, total_tokens: 110 } }).end();
    trace.update({ output: { served: true }, metadata: { table: 8 }, tags: ["late evening"] }).end();
    trace.score({ name: "warm", value: 0.75, reason: "steam", categoryName: "heat" });
    cook.score({ name: "quick", value: 1 });
    await client.flush();
    const read = await traceOf(client, trace.data.id, (it) => it.endTime && it.output && it.feedbackScores);
    assert.deepEqual([read.input, read.output, read.tags, read.threadId], [{ dish: "soup" }, { served: true }, ["late evening"], "guest"]);
    assert.equal(read.metadata.table, 8);
    assert.deepEqual(read.feedbackScores.map(({ name, value, reason, categoryName }) => [name, value, reason, categoryName]), [["warm", 0.75, "steam", "heat"]]);
    assert.deepEqual([read.spanCount, read.llmSpanCount, read.usage.total_tokens], [3, 1, 110]);
    assert.ok(read.totalEstimatedCost > 0, "a known model has a price");
    const spans = await Promise.all([cook, taste, salt].map((span) => spanOf(client, span.data.id)));
    assert.deepEqual(spans.map((span) => span.parentSpanId), [undefined, cook.data.id, cook.data.id]);
    assert.deepEqual(spans.map((span) => span.type), ["llm", "tool", "guardrail"]);
    assert.deepEqual(spans[1].output, { enough: false });
    assert.deepEqual(spans[0].input, { steps: [1, null, "x"] });
    assert.equal(spans[2].errorInfo.exceptionType, "Spilled");
    await eventually(() => client.api.spans.getSpanById(cook.data.id), (it) => it.feedbackScores?.[0].name === "quick", "a score of a span");
    // Times of the program are kept to the millisecond.
    const at = (seconds) => new Date(Date.UTC(2026, 0, 2, 3, 4, seconds, 567));
    const past = client.trace({ name: "past", startTime: at(0), endTime: at(2), projectName: PROJECT });
    await client.flush();
    const old = await traceOf(client, past.data.id);
    assert.deepEqual([old.startTime.getTime(), old.endTime.getTime(), old.duration], [at(0).getTime(), at(2).getTime(), 2000]);
  },

  async tracked(client) {
    setGlobalClient(client);
    const seen = {};
    const look = track({ name: "look", type: "tool" }, async (word) => {
      seen.trace = getTrackContext().trace.data.id;
      seen.headers = getDistributedTraceHeaders();
      return { found: [word] };
    });
    const fail = track({ name: "fail" }, async () => {
      throw new TypeError("out of paper");
    });
    const answer = track({ name: "answer", projectName: PROJECT }, async (question) => {
      await Promise.all([look(question), look("more")]);
      await fail().catch(() => "caught");
      return "42";
    });
    assert.equal(await answer("why?"), "42");
    await flushAll();
    const trace = await traceOf(client, seen.trace, (it) => it.endTime);
    assert.equal(trace.name, "answer");
    assert.equal(trace.errorInfo, undefined);
    const spans = await client.searchSpans({ projectName: PROJECT, filterString: `trace_id = "${seen.trace}"` });
    assert.deepEqual(spans.map((span) => span.name).sort(), ["answer", "fail", "look", "look"]);
    const named = (name) => spans.filter((span) => span.name === name);
    const [root] = named("answer");
    assert.ok([...named("look"), ...named("fail")].every((span) => span.parentSpanId === root.id));
    assert.deepEqual([named("fail")[0].errorInfo.exceptionType, named("fail")[0].errorInfo.message], ["TypeError", "out of paper"]);
    assert.ok(named("look").every((span) => span.type === "tool" && span.endTime));
    assert.deepEqual(named("look").map((span) => JSON.stringify(span.output)).sort(), ['{"found":["more"]}', '{"found":["why?"]}']);
    assert.equal(seen.headers.opik_trace_id, seen.trace);
    // What is not caught fails the whole trace, and goes on to the caller.
    const broken = track({ name: "broken", projectName: PROJECT }, async () => {
      seen.broken = getTrackContext().trace.data.id;
      return fail();
    });
    await assert.rejects(broken(), TypeError);
    await flushAll();
    const failed = await traceOf(client, seen.broken, (it) => it.endTime && it.errorInfo);
    assert.equal(failed.errorInfo.message, "out of paper");
    // A generator of a program, and one that is not asynchronous.
    const plain = track({ name: "plain", projectName: PROJECT }, (a, b) => a + b);
    assert.equal(plain(1, 2), 3);
    await flushAll();
    await client.searchTraces({ projectName: PROJECT, filterString: 'name = "plain"', waitForAtLeast: 1 });
  },

  async reading(client) {
    const project = "ts reading";
    for (let n = 0; n < 12; n++) {
      const trace = client.trace({
        name: `T${n}`, input: { q: `word${n}` }, output: { n }, tags: [`t${n % 3}`], metadata: { n, "a b": "c" }, threadId: `th${n % 2}`, projectName: project,
      });
      trace.span({ name: `s${n}`, type: n % 2 ? "llm" : "tool", model: `m${n % 2}`, usage: { total_tokens: n }, startTime: new Date(), endTime: new Date() });
      trace.end();
    }
    await client.flush();
    const traces = (filterString, more) => client.searchTraces({ projectName: project, filterString, ...more });
    assert.equal((await traces(undefined, { waitForAtLeast: 12 })).length, 12);
    const expected = [
      ['name = "T3"', 1], ['name starts_with "T1"', 3], ['tags contains "t0"', 4], ["metadata.n > 9", 2], ['metadata."a b" = "c"', 12], ['metadata."a b" contains ""', 12], ['input contains "word11"', 1],
      ['thread_id = "th1" AND tags contains "t1"', 2], ["usage.total_tokens > 9", 2], ["error_info is_empty", 12], ['start_time > "2020-01-01T00:00:00Z"', 12],
    ];
    for (const [query, count] of expected) assert.equal((await traces(query)).length, count, query);
    assert.equal((await traces(undefined, { maxResults: 5 })).length, 5);
    assert.ok((await traces(undefined, { exclude: ["input"] })).every((it) => it.input === undefined && it.output));
    await assert.rejects(traces("name ="));
    const spans = await client.searchSpans({ projectName: project, filterString: 'type = "llm" AND model = "m1"' });
    assert.equal(spans.length, 6);
    const threads = await client.searchThreads({ projectName: project, waitForAtLeast: 2 });
    assert.deepEqual(threads.map(({ id, numberOfMessages }) => [id, numberOfMessages]).sort(), [["th0", 12], ["th1", 12]]);
    // What the official tools for models ask for where nothing is said.
    const recorded = async (value) => {
      const filters = JSON.stringify([{ field: "source", operator: "=", key: "", value }]);
      return (await client.api.traces.getTraceThreads({ projectName: project, filters })).total;
    };
    assert.deepEqual([await recorded("sdk"), await recorded("experiment")], [2, 0]);
    const ids = (await traces('tags contains "t0"')).map(({ id }) => id);
    client.logTracesFeedbackScores(ids.map((id, n) => ({ id, name: "good", value: n / 4, reason: "r", projectName: project })));
    client.logSpansFeedbackScores([{ id: spans[0].id, name: "fast", value: 1, projectName: project }]);
    await client.flush();
    assert.equal((await traces("feedback_scores.good >= 0.5", { waitForAtLeast: 2 })).length, 2);
    assert.equal((await traces("feedback_scores.good is_empty")).length, 8);
    await client.api.traces.closeTraceThread({ projectName: project, threadId: "th0" });
    const active = await client.searchThreads({ projectName: project, filterString: 'status = "active"' });
    assert.deepEqual(active.map(({ id }) => id), ["th1"]);
    const page = await client.api.traces.getTracesByProject({ projectName: project, page: 2, size: 5, sorting: JSON.stringify([{ field: "name", direction: "ASC" }]) });
    assert.deepEqual([page.total, page.content.length], [12, 5]);
    await client.api.traces.deleteTraces({ ids });
    assert.equal((await traces()).length, 8);
    await client.createEnvironment("ts-stage", { description: "d" });
    await client.updateEnvironment("ts-stage", { color: "#123456" });
    assert.deepEqual((await client.getEnvironments()).filter(({ name }) => name === "ts-stage").map(({ description, color }) => [description, color]), [["d", "#123456"]]);
    await client.deleteEnvironment("ts-stage");
    assert.deepEqual((await client.getEnvironments()).filter(({ name }) => name === "ts-stage"), []);
  },

  async suites(client) {
    const suite = await client.createTestSuite({ name: "ts suite", description: "d", globalExecutionPolicy: { runsPerItem: 2, passThreshold: 1 }, tags: ["x"], projectName: PROJECT });
    await suite.insert([{ data: { q: 1 } }, { data: { q: 2 }, executionPolicy: { runsPerItem: 3, passThreshold: 3 } }]);
    const read = await client.getTestSuite("ts suite", PROJECT);
    const items = await read.getItems();
    assert.deepEqual(items.map((item) => item.data.q).sort(), [1, 2]);
    assert.deepEqual(items.find((item) => item.data.q === 2).executionPolicy, { runsPerItem: 3, passThreshold: 3 });
    assert.deepEqual(await read.getGlobalExecutionPolicy(), { runsPerItem: 2, passThreshold: 1 });
    assert.deepEqual((await client.getTestSuites(10, PROJECT)).map(({ name }) => name), ["ts suite"]);
    await client.deleteTestSuite("ts suite", PROJECT);
    await assert.rejects(client.getTestSuite("ts suite", PROJECT));
  },
};

const section = process.argv[2];
const client = new Opik({ apiUrl: process.env.OPIK_URL_OVERRIDE, projectName: PROJECT });
await sections[section](client);
await client.flush();
console.log(section, "done");

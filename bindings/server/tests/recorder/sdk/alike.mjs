// Writes one run into the project `typescript`; the server is that of OPIK_URL_OVERRIDE.
import { createRequire } from "node:module";
import { join } from "node:path";

const { Opik } = createRequire(join(process.env.OPIK_TS_SDK, "package.json"))("opik");
const at = (millis) => new Date(1795170314000 + millis);
const client = new Opik({ apiUrl: process.env.OPIK_URL_OVERRIDE, projectName: "typescript", workspaceName: "default" });
const input = { q: "lamps?" };
const output = { a: "3" };
const trace = client.trace({ name: "answer", input, output, startTime: at(0), endTime: at(1000) });
const root = trace.span({ name: "answer", input, output, startTime: at(0), endTime: at(1000) });
const rest = { parentSpanId: root.data.id };
trace.span({ ...rest, name: "stock", type: "tool", startTime: at(100), endTime: at(700) });
trace.span({
  ...rest, name: "chat", type: "llm", model: "gpt-4o-mini", provider: "openai", startTime: at(750), endTime: at(950),
  usage: { prompt_tokens: 100, completion_tokens: 20, total_tokens: 120 },
});
await client.flush();

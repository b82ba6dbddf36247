"""A model on loopback that says yes to everything: what evaluations with a model need."""
import contextlib
import http.server
import json
import os
import threading


def filled(schema, root):
    """A value that fits a JSON schema: true where there is a choice."""
    if "$ref" in schema:
        return filled(root["$defs"][schema["$ref"].rsplit("/", 1)[-1]], root)
    if "anyOf" in schema:
        return filled(schema["anyOf"][0], root)
    if schema.get("type") == "object":
        return {name: filled(field, root) for name, field in schema.get("properties", {}).items()}
    return {"boolean": True, "string": "because", "number": 1.0, "integer": 1, "array": []}.get(schema.get("type"))


@contextlib.contextmanager
def model():
    """Gives the requests that it gets, while the variables of OpenAI's client lead to it."""
    asked = []

    class Model(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.append(body)
            shape = body.get("response_format") or {}
            text = "yes"
            if shape.get("type") == "json_schema":
                schema = shape["json_schema"]["schema"]
                text = json.dumps(filled(schema, schema))
            answer = json.dumps({
                "id": "1", "object": "chat.completion", "created": 1, "model": body["model"], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
                "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}]}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/v1"
    ours = {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": url, "OPENAI_API_BASE": url}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield asked
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        server.shutdown()
        server.server_close()

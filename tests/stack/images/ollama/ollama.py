#!/usr/bin/python3
"""A stand-in for Ollama: its REST API and its scheduler's rules, with models that are only sizes.

Routes and fields: docs/api.md, server/routes.go, api/types.go; what is in neither is refused.  The
scheduler follows server/sched.go without a GPU: it keeps one runner for each file, which bears the
name that it was loaded by; it counts, and where STANDIN_MEMORY_BYTES tells what models may take it
unloads one for another by its own estimate (the real one always looks at memory); the victim is the
shortest keep-alive, then the file's name; other options mean another load; a request's options beat
the model's own parameters, and those the variables; a request without keep_alive leaves a loaded
model's own.  A loaded model is a process that holds as much memory as the real one would (weights,
cache of all slots, buffers), and takes as long to load as its size takes to read.
STANDIN_READ_BYTES_PER_S is that speed, STANDIN_RUNNER_BYTES the buffers of each (else as many as
the real one's), STANDIN_VERSION what it says it is.
"""

import datetime
import hashlib
import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = os.environ.get("STANDIN_VERSION", "0.12.3")
NUMBERS = tuple(int(n) for n in re.findall(r"\d+", VERSION)[:3])
LETS_GO = NUMBERS >= (0, 3, 11)
"""An empty question that keeps nothing lets go of a model without loading it (expireRunner)."""
RUNNER_OPTIONS = {
    "num_ctx": int,
    "num_gpu": int,
    "num_batch": int,
    "num_thread": int,
    "main_gpu": int,
    "use_mmap": bool,
}
if NUMBERS >= (0, 30, 0):
    RUNNER_OPTIONS["draft_num_predict"] = int
READ = float(os.environ.get("STANDIN_READ_BYTES_PER_S", str(400_000_000)))
STORE = os.environ.get("OLLAMA_MODELS") or "/root/.ollama/models"
FOREVER = 9223372036.854775807
CENTURIES = 9_000_000_000
UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
OTHER_OPTIONS = (
    "num_predict",
    "seed",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "stop",
    "num_keep",
    "repeat_penalty",
    "repeat_last_n",
    "presence_penalty",
    "frequency_penalty",
    "typical_p",
)
TOKEN_S = 0.004
RUNNER_BYTES = os.environ.get("STANDIN_RUNNER_BYTES", "")
VOCABULARY = 128256
BATCH = 512


class Refused(Exception):
    def __init__(self, status, text):
        super().__init__(text)
        self.status, self.text = status, text


def env(name):
    return os.environ.get(name, "").strip().strip("\"'")


def duration(text):
    """Seconds of a Go duration; ValueError for anything else."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)", text.lstrip("+-"))
    if not parts or "".join(a + b for a, b in parts) != text.lstrip("+-"):
        raise ValueError(text)
    seconds = sum(float(a) * UNITS[b] for a, b in parts)
    return -seconds if text.startswith("-") else seconds


def env_duration(name, default):
    text = env(name)
    try:
        seconds = duration(text)
    except ValueError:
        seconds = float(text) if re.fullmatch(r"-?\d+", text) else default
    return FOREVER if seconds < 0 else seconds


def env_count(name, default):
    return int(env(name)) if env(name).isdigit() else default


def env_switch(name):
    return env(name).lower() not in ("", "0", "f", "false")


KEEP_ALIVE = env_duration("OLLAMA_KEEP_ALIVE", 300.0)
MAX_LOADED = env_count("OLLAMA_MAX_LOADED_MODELS", 0)
PARALLEL = env_count("OLLAMA_NUM_PARALLEL", 1) or 1
CONTEXT = env_count("OLLAMA_CONTEXT_LENGTH", 4096) or 4096
QUEUE = env_count("OLLAMA_MAX_QUEUE", 512)
MEMORY = env_count("STANDIN_MEMORY_BYTES", 0)


def go_duration(seconds):
    if seconds >= FOREVER:
        return "2562047h47m16.854775807s"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{rest:g}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{hours}h{text}" if hours else text


def server_config():
    values = {
        "OLLAMA_CONTEXT_LENGTH": CONTEXT,
        "OLLAMA_DEBUG": "INFO",
        "OLLAMA_FLASH_ATTENTION": str(env_switch("OLLAMA_FLASH_ATTENTION")).lower(),
        "OLLAMA_GPU_OVERHEAD": env_count("OLLAMA_GPU_OVERHEAD", 0),
        "OLLAMA_HOST": "http://" + env("OLLAMA_HOST"),
        "OLLAMA_KEEP_ALIVE": go_duration(KEEP_ALIVE),
        "OLLAMA_KV_CACHE_TYPE": env("OLLAMA_KV_CACHE_TYPE"),
        "OLLAMA_LLM_LIBRARY": "",
        "OLLAMA_LOAD_TIMEOUT": "5m0s",
        "OLLAMA_MAX_LOADED_MODELS": MAX_LOADED,
        "OLLAMA_MAX_QUEUE": QUEUE,
        "OLLAMA_MODELS": STORE,
        "OLLAMA_NOHISTORY": "false",
        "OLLAMA_NOPRUNE": "false",
        "OLLAMA_NUM_PARALLEL": PARALLEL,
        "OLLAMA_ORIGINS": "[http://localhost https://localhost app://* file://*]",
        "OLLAMA_SCHED_SPREAD": "false",
        "ROCR_VISIBLE_DEVICES": "",
        "http_proxy": "",
        "no_proxy": "",
    }
    return " ".join(f"{k}:{v}" for k, v in sorted(values.items()))


def say(text):
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    print(f"time={now} level=INFO {text}", file=sys.stderr, flush=True)


def stored():
    with open(os.path.join(STORE, "models.json")) as stream:
        return json.load(stream)


def with_tag(name):
    return name if ":" in name.rpartition("/")[2] else name + ":latest"


def blob_of(name):
    """The file of its weights: a name's own, or what its entry says it shares with others."""
    model = stored()[name]
    return model.get("blob") or hashlib.sha256(model.get("copy_of", name).encode()).hexdigest()


def digest_of(name):
    """Of its manifest; a name that was copied of another has the other's."""
    return hashlib.sha256(f"manifest {stored()[name].get('copy_of', name)}".encode()).hexdigest()


def per_layer(model, layer):
    key = model.get("key") or model["width"] // model["heads"]
    heads = model["kv_heads"]
    return (heads[layer] if isinstance(heads, list) else heads) * 2 * key * 2


def memory_of(model, context, slots):
    """Weights, the cache of all slots, compute buffers."""
    total = min(context, model["context"]) * slots
    layers = []
    for layer in range(model["blocks"]):
        window = model.get("window")
        near = window and layer % 6 != 5
        layers.append((min(total, window * slots + 512) if near else total) * per_layer(model, layer))
    return model["size"] + sum(layers) + (int(RUNNER_BYTES) if RUNNER_BYTES else buffers(model, total))


def buffers(model, total):
    """Of computing a batch (fs/ggml, GraphSize of llama): the scores of a vocabulary, or of all heads of a layer."""
    words = model["width"] + model.get("vocabulary", VOCABULARY) if "completion" in model["capabilities"] else 0
    return 4 * BATCH * max(words, 1 + 4 * model["width"] + total * (1 + model["heads"]))


def shape_of(model, options):
    """Tokens of a slot, and slots."""
    context = min(options.get("num_ctx", CONTEXT), model["context"])
    return context, 1 if model["capabilities"] == ["embedding"] else PARALLEL


class Runner:
    """A loaded model."""

    def __init__(self, name, model, options):
        self.name, self.model, self.options, self.blob = name, model, options, blob_of(name)
        self.context, self.slots = shape_of(model, options)
        self.size = memory_of(model, self.context, self.slots)
        self.session, self.refs, self.expires, self.timer = KEEP_ALIVE, 0, None, None
        self.slot = threading.Semaphore(self.slots)
        begin = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, sys.argv[0], "runner", str(self.size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        if self.process.stdout.readline() != b"ready\n":
            raise MemoryError(f"llama runner process has terminated: exit status {self.process.wait()}")
        time.sleep(model["size"] / READ)
        self.load_s = time.monotonic() - begin

    def serves(self, options):
        """Loaded as asked, and alive: one that was killed is listed until somebody asks for it."""
        return self.options == options and self.process.poll() is None

    def end(self):
        self.process.kill()
        self.process.wait()


class Scheduler:
    def __init__(self):
        self.loaded = {}
        self.coming = None  # (name, model, context, size, session) of what is being loaded
        self.turn = threading.Lock()  # one request is scheduled at a time
        self.state = threading.Condition()
        self.waiting = 0

    def take(self, name, model, options, keep_alive):
        """A loaded runner for this request; (runner, seconds of loading)."""
        options = {**model.get("parameters", {}), **options}
        with self.state:
            runner = self.loaded.get(blob_of(name))
            if runner and runner.serves(options):
                return self.use(runner, keep_alive), 0.0
            if self.waiting >= QUEUE:
                raise Refused(503, "server busy, please try again.  maximum pending requests exceeded")
            self.waiting += 1
        try:
            with self.turn:
                return self.schedule(name, model, options, keep_alive)
        finally:
            with self.state:
                self.waiting -= 1

    def schedule(self, name, model, options, keep_alive):
        again = True
        while True:
            with self.state:
                runner = self.loaded.get(blob_of(name))
                if runner and runner.serves(options):
                    return self.use(runner, keep_alive), 0.0
                if runner:
                    self.expire(runner)
                    continue
                if len(self.loaded) >= (MAX_LOADED or 3) or not self.has_room(model, options):
                    self.expire(self.victim())
                    continue
            context, slots = shape_of(model, options)
            session = KEEP_ALIVE if keep_alive is None else keep_alive
            self.coming = (name, model, context, memory_of(model, context, slots), session)
            try:
                runner = Runner(name, model, options)
            except MemoryError as error:
                with self.state:
                    if not (again and self.loaded):
                        raise Refused(500, str(error)) from error
                    again = False
                    for other in list(self.loaded.values()):
                        self.expire(other)
                continue
            finally:
                self.coming = None
            with self.state:
                self.loaded[runner.blob] = runner
                return self.use(runner, keep_alive), runner.load_s

    def has_room(self, model, options):
        """Whether it fits beside the others; the first is loaded as it is."""
        taken = sum(r.size for r in self.loaded.values())
        return not MEMORY or not self.loaded or taken + memory_of(model, *shape_of(model, options)) <= MEMORY

    def victim(self):
        """An idle one first; else the first by duration and file name."""
        order = sorted(self.loaded.values(), key=lambda r: (r.session, r.blob))
        return next((r for r in order if r.refs == 0), order[0])

    def use(self, runner, keep_alive):
        runner.refs += 1
        if runner.timer:
            runner.timer.cancel()
            runner.timer = None
        if keep_alive is not None:
            runner.session = keep_alive
        return runner

    def expire(self, runner):
        """Out as soon as its requests are done; the caller holds the lock."""
        runner.session = 0.0
        while runner.refs:
            self.state.wait()
        self.unload(runner)

    def unload(self, runner):
        if self.loaded.get(runner.blob) is runner:
            del self.loaded[runner.blob]
            if runner.timer:
                runner.timer.cancel()
            runner.end()
        self.state.notify_all()

    def release(self, runner):
        with self.state:
            runner.refs -= 1
            self.state.notify_all()
            if runner.refs:
                return
            if runner.session <= 0:
                self.unload(runner)
                return
            runner.expires = time.time() + min(runner.session, CENTURIES)  # fixed until the next use
            if runner.session < FOREVER:
                runner.timer = threading.Timer(runner.session, self.gone, [runner])
                runner.timer.daemon = True
                runner.timer.start()

    def gone(self, runner):
        with self.state:
            if runner.refs == 0:
                self.unload(runner)

    def drop(self, name):
        """Answered at once; what is at work ends first (expireRunner)."""
        with self.state:
            runner = self.loaded.get(blob_of(name))
            if runner is None:
                return
            runner.session, runner.expires = 0.0, time.time()
            if runner.refs == 0:
                self.unload(runner)


SCHEDULER = Scheduler()


def details(model):
    return {
        "parent_model": "",
        "format": "gguf",
        "family": model["architecture"],
        "families": [model["architecture"]],
        "parameter_size": "1B",
        "quantization_level": "Q4_K_M",
    }


def stamp(seconds):
    now = datetime.datetime.fromtimestamp(min(seconds, time.time() + CENTURIES), datetime.UTC)
    return now.strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


def tags(_):
    return {
        "models": [
            {
                "name": n,
                "model": n,
                "modified_at": stamp(1_700_000_000),
                "size": m["size"],
                "digest": digest_of(n),
                "details": details(m),
                **({"remote_model": n, "remote_host": "https://ollama.com:443"} if m.get("remote") else {}),
            }
            for n, m in stored().items()
        ]
    }


def running(_):
    """Also what is being loaded, or at work on its first question: its time is as from now on."""
    with SCHEDULER.state:
        listed = [(r.name, r.model, r.context, r.size, r.session, r.expires) for r in SCHEDULER.loaded.values()]
        listed += [(*SCHEDULER.coming, None)] if SCHEDULER.coming else []
    return {
        "models": [
            {
                "name": name,
                "model": name,
                "size": size,
                "digest": digest_of(name),
                "details": details(model),
                "expires_at": stamp(expires or time.time() + session),
                "size_vram": 0,
                "context_length": context,
            }
            for name, model, context, size, session, expires in sorted(listed, key=lambda m: -(m[5] or 0))
        ]
    }


def show(request):
    model, name = find(request), with_tag(str(request.get("model") or request.get("name")))
    a = model["architecture"]
    info = {
        "general.architecture": a,
        f"{a}.block_count": model["blocks"],
        f"{a}.attention.head_count": model["heads"],
        f"{a}.attention.head_count_kv": model["kv_heads"],
        f"{a}.embedding_length": model["width"],
        f"{a}.context_length": model["context"],
    }
    if "key" in model:
        info |= {f"{a}.attention.key_length": model["key"], f"{a}.attention.value_length": model["key"]}
    if not request.get("verbose"):  # Lists are told only with everything else (fs/ggml, maxArraySize 0).
        info = {k: None if isinstance(v, list) else v for k, v in info.items()}
    if "window" in model:
        info[f"{a}.attention.sliding_window"] = model["window"]
    return {
        "modelfile": f"# FROM {name}\n\nFROM {STORE}/blobs/sha256-{blob_of(name)}\n",
        "parameters": "\n".join(f"{k:<30} {v}" for k, v in model.get("parameters", {}).items()),
        "template": "",
        "details": details(model),
        "model_info": info,
        "tensors": [{"name": "token_embd.weight", "shape": [model["width"], model.get("vocabulary", VOCABULARY)]}],
        "capabilities": model["capabilities"],
        "modified_at": stamp(1_700_000_000),
    }


def find(request):
    name = with_tag(str(request.get("model") or request.get("name") or ""))
    if name not in stored():
        raise Refused(404, f"model '{name}' not found")
    return stored()[name]


def keep_alive_of(request):
    """None where it is not sent; a number is seconds, a text a duration with its unit."""
    value = request.get("keep_alive")
    if value is None:
        return None
    try:
        seconds = float(value) if isinstance(value, (int, float)) else duration(value)
    except ValueError:
        raise Refused(400, f'time: missing unit in duration "{value}"') from None
    return FOREVER if seconds < 0 else seconds


def options_of(request):
    options = request.get("options") or {}
    for name in options:
        if name not in (*RUNNER_OPTIONS, *OTHER_OPTIONS):
            raise Refused(400, f"unknown option {name}")
        kind = RUNNER_OPTIONS.get(name)
        if kind and type(options[name]) is not kind:
            raise Refused(400, f'option "{name}" must be of type {"boolean" if kind is bool else "integer"}')
    return {k: v for k, v in options.items() if k in RUNNER_OPTIONS}


def generate(request):
    model, name = find(request), with_tag(request["model"])
    keep = keep_alive_of(request)
    begin, base = time.monotonic(), {"model": name, "created_at": stamp(time.time())}
    if LETS_GO and not request.get("prompt") and keep == 0:  # Before anything is judged of the model, without waiting.
        SCHEDULER.drop(name)
        return {**base, "response": "", "done": True, "done_reason": "unload"}
    if "completion" not in model["capabilities"]:
        whose = f'"{name}" does' if NUMBERS >= (0, 2, 0) else "embedding models do"
        raise Refused(400, f"{whose} not support generate")
    runner, load = SCHEDULER.take(name, model, options_of(request), keep)
    if not request.get("prompt"):
        SCHEDULER.release(runner)
        return {**base, "response": "", "done": True, "done_reason": "load"}
    parts = answer(runner, base, load, begin, int((request.get("options") or {}).get("num_predict", 16)))
    return parts if request.get("stream", True) else joined(list(parts))


def answer(runner, base, load, begin, count):
    try:
        with runner.slot:
            time.sleep(TOKEN_S * 2)
            for number in range(count):
                time.sleep(TOKEN_S)
                yield {**base, "response": f"{number} ", "done": False}
        yield {
            **base,
            "response": "",
            "done": True,
            "done_reason": "stop",
            "load_duration": int(load * 1e9),
            "total_duration": int((time.monotonic() - begin) * 1e9),
            "prompt_eval_count": 4,
            "prompt_eval_duration": int(TOKEN_S * 2e9),
            "eval_count": count,
            "eval_duration": int(TOKEN_S * count * 1e9),
        }
    finally:
        SCHEDULER.release(runner)


def joined(parts):
    return {**parts[-1], "response": "".join(p["response"] for p in parts)}


def embed(request):
    model, name = find(request), with_tag(request["model"])
    if "embedding" not in model["capabilities"]:
        raise Refused(400, f'"{name}" does not support embeddings')
    keep = keep_alive_of(request)
    begin, count = time.monotonic(), len(request["input"]) if isinstance(request["input"], list) else 1
    runner, load = SCHEDULER.take(name, model, options_of(request), keep)
    SCHEDULER.release(runner)
    return {
        "model": name,
        "embeddings": [[0.5] * 8] * count,
        "load_duration": int(load * 1e9),
        "total_duration": int((time.monotonic() - begin) * 1e9),
        "prompt_eval_count": count,
    }


def embeddings(request):
    """The older route, for one text; it tells no times."""
    made = embed({**request, "input": request.get("prompt", "")})
    return {"embedding": made["embeddings"][0]}


GENERATE = {
    "model",
    "prompt",
    "suffix",
    "system",
    "template",
    "context",
    "stream",
    "raw",
    "format",
    "keep_alive",
    "images",
    "options",
    "think",
    "truncate",
    "shift",
}
ROUTES = {
    ("GET", "/"): (lambda _: "Ollama is running", set()),
    ("GET", "/api/version"): (lambda _: {"version": VERSION}, set()),
    ("GET", "/api/tags"): (tags, set()),
    ("GET", "/api/ps"): (running, set()),
    ("POST", "/api/show"): (show, {"model", "name", "verbose"}),
    ("POST", "/api/generate"): (generate, GENERATE),
    ("POST", "/api/embeddings"): (embeddings, {"model", "prompt", "keep_alive", "options"}),
    ("POST", "/api/embed"): (embed, {"model", "input", "keep_alive", "truncate", "dimensions", "options"}),
}


if NUMBERS < (0, 2, 6):
    del ROUTES["POST", "/api/embed"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.serve("GET", {})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            request = json.loads(body)
        except ValueError:
            self.send(400, {"error": "invalid JSON"})
        else:
            self.serve("POST", request)

    def serve(self, method, request):
        route = ROUTES.get((method, self.path))
        if route is None:
            self.send(404, "404 page not found")
            return
        act, fields = route
        try:
            unknown = sorted(set(request) - fields)
            if unknown:
                raise Refused(400, f"unknown field {unknown[0]}")
            found = act(request)
            self.send(200, found) if isinstance(found, (dict, str)) else self.stream(found)
        except Refused as refused:
            self.send(refused.status, {"error": refused.text})

    def send(self, status, content):
        body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, parts):
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for part in parts:
                line = json.dumps(part).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            parts.close()

    def log_message(self, format, *arguments):
        print(f"[GIN] {format % arguments}", file=sys.stderr, flush=True)


def address():
    host, _, port = env("OLLAMA_HOST").rpartition("://")[2].rpartition(":")
    return host or "127.0.0.1", int(port or 11434)


def serve():
    say(f'source=routes.go:1 msg="server config" env="map[{server_config()}]"')
    server = ThreadingHTTPServer(address(), Handler)
    server.daemon_threads = True
    say(f'source=routes.go:2 msg="Listening on {server.server_address}" version={VERSION}')
    server.serve_forever()


def runner(size):
    """Hold that much memory, every page of it, until the server ends."""
    held = b"\x01" * int(size)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    return len(held)


def tell(path):
    host, port = address()
    connection = http.client.HTTPConnection("127.0.0.1" if host == "0.0.0.0" else host, port, timeout=5)
    try:
        connection.request("GET", path)
        models = json.loads(connection.getresponse().read())["models"]
    except OSError as error:
        sys.exit(f"Error: could not connect to ollama server: {error}")
    rows = [("NAME", "ID", "SIZE", "MODIFIED")]
    for model in models:  # What only stands for a model in a cloud has no size (cmd.go, ListHandler).
        size = "-" if model.get("remote_model") else f"{model['size']} B"
        rows.append((model["name"], model["digest"][:12], size, "2 weeks ago"))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print("    ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)))


def main(arguments):
    command = arguments[0] if arguments else ""
    if command in ("serve", "start"):
        import signal

        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        serve()
    elif command == "runner":
        runner(arguments[1])
    elif command in ("ls", "list"):
        tell("/api/tags")
    elif command == "ps":
        tell("/api/ps")
    else:
        sys.exit(f"unknown command {command!r}")


if __name__ == "__main__":
    main(sys.argv[1:])

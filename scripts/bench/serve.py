"""The server beside Flask with PyTorch, in one run: same weights, same photos, same captions.

    scripts/bench/serve.py MODEL PHOTOS [--export FILE] [--seconds 20] [--soak 10000]

MODEL is a model.safetensors of soft attention on EfficientNet-Lite0 (`just pipeline` makes the demo's), PHOTOS a folder of
JPEG files; --export names what `export` packed of the same model, which the server is given in its place. Needs torch,
flask, requests, safetensors, numpy, Pillow and efficientnet-lite-pytorch, and the release programs (`just bench serve` builds
them). The peer is the app most people write: Pillow, PyTorch, greedy search, a thread per request. Ours searches greedily
too. With --soak, that many requests follow over all protocols, a tenth of them hostile; that needs grpcio.
"""

import argparse
import base64
import http.client
import io
import json
import os
import random
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORES = len(os.sched_getaffinity(0))
CLIENTS = [1, 8, 32]


def flask_server(model, weights, port):
    """Same network as the checkpoint's."""
    import numpy as np
    import torch
    from efficientnet_lite_pytorch import EfficientNet
    from flask import Flask, jsonify, request
    from PIL import Image
    from safetensors.torch import load_file

    torch.set_num_threads(CORES)
    cnn = EfficientNet.from_name("efficientnet-lite0").eval()
    cnn.load_state_dict(load_file(weights), strict=False)
    w = load_file(model)
    with open(model, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    words = json.loads(header["__metadata__"]["captioning.checkpoint"])["vocabulary"]["words"]
    linear = lambda x, name: torch.nn.functional.linear(x, w[name + ".weight"], w[name + ".bias"])
    cell = torch.nn.LSTMCell(w["lstm.weight_ih"].shape[1], w["lstm.weight_hh"].shape[1])
    cell.load_state_dict({name.removeprefix("lstm."): value for name, value in w.items() if name.startswith("lstm.")})

    def transform(image):
        width, height = image.size
        scale = 256 / min(width, height)
        image = image.resize((round(width * scale), round(height * scale)), Image.BICUBIC)
        left, top = (image.width - 224) // 2, (image.height - 224) // 2
        image = np.asarray(image.crop((left, top, left + 224, top + 224)), dtype=np.float32)
        return torch.from_numpy((image - 127) / 128).permute(2, 0, 1)

    @torch.inference_mode()
    def caption(image):
        grid = cnn.extract_features(transform(image)[None]).flatten(2).transpose(1, 2)
        regions = linear(grid, "feature").relu()
        keys = linear(regions, "key")
        mean = regions.mean(1)
        hidden, memory = linear(mean, "initial_hidden").tanh(), linear(mean, "initial_cell").tanh()
        word, said = 1, []
        for _ in range(30):
            energy = linear((keys + linear(hidden, "query")[:, None]).tanh(), "energy").squeeze(-1)
            context = (energy.softmax(-1)[:, :, None] * regions).sum(1) * linear(hidden, "gate").sigmoid()
            vector = w["embedding.weight"][word][None]
            hidden, memory = cell(torch.cat([vector, context], 1), (hidden, memory))
            deep = (vector + linear(hidden, "output_hidden") + linear(context, "output_context")).tanh()
            scores = linear(deep, "output")[0]
            scores[[0, 1, 3]] = -torch.inf
            if not said:
                scores[2] = -torch.inf
            word = int(scores.argmax())
            if word == 2:
                break
            said.append(words[word])
        return " ".join(said)

    app = Flask(__name__)

    @app.post("/predict")
    def predict():
        return jsonify(caption=caption(Image.open(request.files["file"].stream).convert("RGB")))

    import logging

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app.run(port=port, threaded=True)


def form(photo):
    head = b'--part\r\ncontent-disposition: form-data; name="file"; filename="photo.jpg"\r\n\r\n'
    return head + photo + b"\r\n--part--\r\n", {"content-type": "multipart/form-data; boundary=part"}


def post(connection, photo, path):
    body, headers = form(photo)
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(port, process):
    for _ in range(600):
        if process.poll() is not None:
            sys.exit(f"a server ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit("a server does not listen")


def load(port, path, photos, clients, seconds):
    """Requests per second, and the times of requests in milliseconds, sorted."""
    times, failed, until = [], [], time.time() + seconds

    def client(number):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        turn = number
        while time.time() < until:
            began = time.time()
            status, body = post(connection, photos[turn % len(photos)], path)
            times.append(1000 * (time.time() - began))
            if status != 200:
                failed.append(body)
            turn += clients

    began = time.time()
    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        sys.exit(f"{len(failed)} requests failed: {failed[0][:200]}")
    return len(times) / (time.time() - began), sorted(times)


def field(number, content):
    """A field of a message of protocol buffers: bytes with their length, or a number."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number):
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def predict_message(photo):
    """`tensorflow.serving.PredictRequest` with the photo as image_bytes, a DT_STRING."""
    tensor = field(1, 7) + field(8, photo)
    return field(1, field(1, b"caption")) + field(2, field(1, b"image_bytes") + field(2, tensor))


def infer_message(photo):
    """`inference.ModelInferRequest` with the photo in its raw contents."""
    tensor = field(1, b"image") + field(2, b"BYTES") + field(3, b"\x01")
    return field(1, b"caption") + field(5, tensor) + field(7, len(photo).to_bytes(4, "little") + photo)


GRPC = {
    "TensorFlow gRPC": ("/tensorflow.serving.PredictionService/Predict", predict_message),
    "Open Inference gRPC": ("/inference.GRPCInferenceService/ModelInfer", infer_message),
}


def data(text):
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{text}"}}


# Where each protocol takes a photo, and its body around the photo's base64.
JSON = {
    "TensorFlow": ("/v1/models/caption:predict", lambda text: {"instances": [{"b64": text}]}),
    "Open Inference": (
        "/v2/models/caption/infer",
        lambda text: {"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [text]}]},
    ),
    "Hugging Face": ("/models/caption", lambda text: {"inputs": text}),
    "TorchServe": ("/predictions/caption", lambda text: {"data": text}),
    "Ollama generate": ("/api/generate", lambda text: {"model": "caption", "images": [text], "stream": False}),
    "Ollama chat": (
        "/api/chat",
        lambda text: {"model": "caption", "messages": [{"role": "user", "images": [text]}], "stream": False},
    ),
    "OpenAI chat": ("/v1/chat/completions", lambda text: {"messages": [{"role": "user", "content": [data(text)]}]}),
    "OpenAI responses": (
        "/v1/responses",
        lambda text: {"input": [{"type": "input_image", "image_url": data(text)["image_url"]["url"]}]},
    ),
}
PROTOCOLS = ["form", "caption", *JSON, *GRPC]


class Client:
    """One connection to each door, over which any protocol is spoken."""

    def __init__(self, port, grpc_port):
        import grpc

        self.http, self.used = http.client.HTTPConnection("127.0.0.1", port, timeout=120), time.time()
        self.channel = grpc.insecure_channel(f"127.0.0.1:{grpc_port}")
        self.error = grpc.RpcError
        self.calls = {name: self.channel.unary_unary(path) for name, (path, _) in GRPC.items()}

    def post(self, path, body, headers):
        if time.time() - self.used > 20:  # the server closes what is idle for 30 s
            self.http.close()
        self.http.request("POST", path, body, headers)
        answer = self.http.getresponse()
        status, body = answer.status, answer.read()
        self.used = time.time()
        return status, body

    def send(self, protocol, photo):
        """Status of HTTP (200 for gRPC's OK), and the answer."""
        if protocol in GRPC:
            try:
                return 200, self.calls[protocol](GRPC[protocol][1](photo), timeout=120)
            except self.error as error:
                return error.code().name, error.details().encode()
        if protocol == "form":
            return self.post("/predict", *form(photo))
        if protocol == "caption":
            return self.post("/caption?attention=false", photo, {"content-type": "image/jpeg"})
        path, body = JSON[protocol]
        text = json.dumps(body(base64.b64encode(photo).decode()))
        return self.post(path, text, {"content-type": "application/json"})

    def close(self):
        self.http.close()
        self.channel.close()


def bomb():
    """A few bytes that promise 3.6 billion pixels."""
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def hostile(client, port, photo, kind, protocol, large):
    """A request that deserves no caption; returns its status, 0 where the sender left."""
    if kind == "slow":  # promises a body, sends a little of it, leaves
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        connection.putrequest("POST", JSON[protocol][0] if protocol in JSON else "/predict")
        connection.putheader("content-length", "1000000")
        connection.endheaders()
        connection.send(b"half a")
        time.sleep(0.2)
        connection.close()
        return 0
    if kind == "garbage":
        if protocol in GRPC:
            try:
                client.calls[protocol](b"\xff" * 1000, timeout=120)
                return 200
            except client.error as error:
                return error.code().name
        path = JSON[protocol][0] if protocol in JSON else "/predict"
        return client.post(path, b'{"instances": [{"b64": 7}', {"content-type": "application/json"})[0]
    photos = {"bomb": large, "truncated": photo[: len(photo) // 2], "text": b"no photo at all", "empty": b""}
    return client.send(protocol, photos[kind])[0]


def memory(process):
    with open(f"/proc/{process.pid}/status") as status:
        (line,) = [line for line in status if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def soak(ports, photos, process, total):
    """Requests in every protocol, a tenth of them hostile: what became of the others, and of the memory."""
    kinds, statuses, lost, answered = ["slow", "bomb", "garbage", "truncated", "text", "empty"], {}, [], {}
    lock, samples, turns, large = threading.Lock(), [], iter(range(total)), bomb()
    client = Client(*ports)
    captions = [json.loads(client.send("form", photo)[1])["caption"].encode() for photo in photos]

    def work(number):
        chance, client = random.Random(number), Client(*ports)
        while True:
            with lock:
                turn = next(turns, None)
            if turn is None:
                return client.close()
            if turn % (total // 10) == 0:
                samples.append(memory(process))
            photo, protocol = turn % len(photos), PROTOCOLS[turn // 10 % len(PROTOCOLS)]
            if turn % 10 == 3:
                kind = chance.choice(kinds)
                status = hostile(client, ports[0], photos[photo], kind, protocol, large)
                with lock:
                    statuses.setdefault(kind, {}).setdefault(status, 0)
                    statuses[kind][status] += 1
            else:
                status, body = client.send(protocol, photos[photo])
                with lock:
                    answered[protocol] = answered.get(protocol, 0) + 1
                    if status != 200 or captions[photo] not in body:
                        lost.append((protocol, status, body[:200]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    samples.append(memory(process))
    unanswered = total - sum(answered.values()) - sum(sum(kind.values()) for kind in statuses.values())
    print(f"{total} requests, {unanswered} unanswered, a tenth hostile: {len(lost)} good ones lost or with another caption {lost[:1] or ''}")
    print("  " + ", ".join(f"{protocol} {count}" for protocol, count in answered.items()))
    for kind in kinds:
        print(f"  {kind:<10} {statuses.get(kind, {})}")
    print("  memory in MB:", " ".join(f"{sample:.0f}" for sample in samples))


def phases(port, photos):
    """Where the time goes at one client: medians in milliseconds, the rest being HTTP and JSON on both sides."""
    connection, took, all_of = http.client.HTTPConnection("127.0.0.1", port, timeout=120), [], []
    for photo in photos:
        began = time.time()
        connection.request("POST", "/caption?beam_size=1&attention=false", photo, {"content-type": "image/jpeg"})
        took.append(json.loads(connection.getresponse().read())["milliseconds"])
        all_of.append(1000 * (time.time() - began))
    middle = {name: statistics.median(one[name] for one in took) for name in took[0]}
    rest = statistics.median(all_of) - sum(middle.values())
    named = {"decode": "decode", "queue": "wait", "features": "network", "search": "search"}
    print("one client, ms: " + ", ".join(f"{named[name]} {time:.1f}" for name, time in middle.items()) + f", rest {rest:.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--weights", type=Path, default=ROOT / "data/weights")
    parser.add_argument("--export", type=Path)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--soak", type=int, default=0)
    parser.add_argument("--flask", type=int, metavar="PORT", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.flask:
        return flask_server(args.model, args.weights / "efficientnet_lite0.safetensors", args.flask)
    photos = [path.read_bytes() for path in sorted(args.photos.glob("*.jpg"))[:200]]
    if not photos:
        sys.exit(f"{args.photos} holds no .jpg")

    port, grpc = free_port(), free_port()
    ours = [ROOT / "target/release/serve", "--model", args.export or args.model, "--weights", args.weights]
    ours = subprocess.Popen([*ours, "--port", str(port), "--grpc-port", str(grpc)], stderr=subprocess.DEVNULL)
    flask_port = free_port()
    command = [sys.executable, __file__, args.model, args.photos, "--weights", args.weights]
    flask = subprocess.Popen([*command, "--flask", str(flask_port)])
    try:
        contenders = {"flask": (flask_port, "/predict", flask), "ours": (port, "/predict?beam_size=1", ours)}
        for server, path, process in contenders.values():
            wait_for(server, process)
        captions = {}
        for name, (server, path, _) in contenders.items():
            connection = http.client.HTTPConnection("127.0.0.1", server, timeout=120)
            captions[name] = [json.loads(post(connection, photo, path)[1])["caption"] for photo in photos[:50]]
        same = sum(a == b for a, b in zip(captions["flask"], captions["ours"]))
        print(f"{CORES} cores; {same} of {len(captions['ours'])} captions are the same")
        print(f"{'clients':>7} {'server':<6} {'requests/s':>10} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8}")
        for clients in CLIENTS:
            rates = {}
            for name, (server, path, _) in contenders.items():
                load(server, path, photos, clients, 2)
                rate, times = load(server, path, photos, clients, args.seconds)
                rates[name] = rate
                p50, p95, p99 = (times[min(len(times) - 1, int(share * len(times)))] for share in (0.5, 0.95, 0.99))
                print(f"{clients:>7} {name:<6} {rate:>10.1f} {p50:>8.1f} {p95:>8.1f} {p99:>8.1f}")
            print(f"{'':>7} ours is {rates['ours'] / rates['flask']:.2f} times as fast")
        phases(port, photos)
        if args.soak:
            soak((port, grpc), photos, ours, args.soak)
            alive = ours.poll() is None
            ours.send_signal(signal.SIGTERM)
            print("  alive at the end:", alive, "- exit code after SIGTERM:", ours.wait(60))
    finally:
        for process in (ours, flask):
            process.kill()


if __name__ == "__main__":
    main()

"""The server beside Flask with PyTorch, in one run: same weights, same photos, same captions.

    scripts/bench/serve.py MODEL PHOTOS [--seconds 20] [--soak 10000]

MODEL is a model.safetensors of soft attention on EfficientNet-Lite0 (`just pipeline` makes the demo's), PHOTOS a folder of
JPEG files. Needs torch, flask, requests, safetensors, numpy, Pillow and efficientnet-lite-pytorch, and the release programs
(`just bench serve` builds them). The peer is the app most people write: Pillow, PyTorch, greedy search, a thread per request.
Ours searches greedily too. With --soak, that many requests follow, a tenth of them hostile.
"""

import argparse
import http.client
import io
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
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


def hostile(port, photo, kind):
    """A request that deserves no caption; returns its status, 0 where the sender left."""
    from PIL import Image

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    if kind == "slow":  # promises a body, sends a little of it, leaves
        connection.putrequest("POST", "/predict")
        connection.putheader("content-length", "1000000")
        connection.endheaders()
        connection.send(b"half a")
        time.sleep(0.2)
        connection.close()
        return 0
    if kind == "bomb":  # 400 million pixels in a few hundred KB
        if not hasattr(hostile, "bomb"):
            out = io.BytesIO()
            Image.new("1", (20000, 20000)).save(out, "png")
            hostile.bomb = out.getvalue()
        return post(connection, hostile.bomb, "/predict")[0]
    if kind == "json":
        connection.request("POST", "/v1/models/caption:predict", b'{"instances": [{"b64": 7}', {})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    bodies = {"truncated": photo[: len(photo) // 2], "text": b"no photo at all", "empty": b""}
    return post(connection, bodies[kind], "/predict")[0]


def memory(process):
    with open(f"/proc/{process.pid}/status") as status:
        (line,) = [line for line in status if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def soak(port, photos, process, total):
    """A tenth of the requests is hostile: what became of the others, and of the memory."""
    kinds, statuses, lost = ["slow", "bomb", "json", "truncated", "text", "empty"], {}, []
    lock, samples, turns = threading.Lock(), [], iter(range(total))

    def client(number):
        chance, good = random.Random(number), http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while True:
            with lock:
                turn = next(turns, None)
            if turn is None:
                return
            if turn % (total // 10) == 0:
                samples.append(memory(process))
            photo = photos[turn % len(photos)]
            if turn % 10 == 3:
                kind = chance.choice(kinds)
                status = hostile(port, photo, kind)
                with lock:
                    statuses.setdefault(kind, {}).setdefault(status, 0)
                    statuses[kind][status] += 1
            else:
                status, body = post(good, photo, "/predict")
                if status != 200:
                    lost.append((status, body[:200]))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    samples.append(memory(process))
    print(f"{total} requests, a tenth hostile: {len(lost)} good ones lost {lost[:1] or ''}")
    for kind in kinds:
        print(f"  {kind:<10} {statuses.get(kind, {})}")
    print("  memory in MB:", " ".join(f"{sample:.0f}" for sample in samples))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--weights", type=Path, default=ROOT / "data/weights")
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
    ours = [ROOT / "target/release/serve", "--model", args.model, "--weights", args.weights]
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
        if args.soak:
            soak(port, photos, ours, args.soak)
            alive = ours.poll() is None
            ours.send_signal(signal.SIGTERM)
            print("  alive at the end:", alive, "- exit code after SIGTERM:", ours.wait(60))
    finally:
        for process in (ours, flask):
            process.kill()


if __name__ == "__main__":
    main()

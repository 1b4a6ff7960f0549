import json, sys
import numpy as np
import onnxruntime
from PIL import Image, ImageOps

settings, vocabulary = [json.load(open(name + ".json", encoding="utf-8")) for name in ("settings", "vocabulary")]
cpu = ["CPUExecutionProvider"]
encoder, decoder = [onnxruntime.InferenceSession(name + ".onnx", providers=cpu) for name in ("encoder", "decoder")]
search, token = settings["search"], settings["tokens"]
beam, ngram, longest = search["beam_size"], search["no_repeat_ngram"], search["max_length"]

def pixels(photo, look):
    kernel, crop = Image.Resampling[look["interpolation"].upper()], look["crop"]
    sides = [crop if look["squash"] else look["resize"] * side // min(photo.size) for side in photo.size]
    left, top = [round((side - crop) / 2) for side in sides]
    square = photo.resize(sides, kernel).crop((left, top, left + crop, top + crop))
    square = np.asarray(ImageOps.mirror(square) if look["mirror"] else square, np.float32)
    return ((square - np.float32(look["mean"])) / np.float32(look["std"])).transpose(2, 0, 1)[None]

def score(total, tokens):
    return total / tokens ** search["length_penalty"]

photo = ImageOps.exif_transpose(Image.open(sys.argv[1])).convert("RGBA")
photo = Image.alpha_composite(Image.new("RGBA", photo.size, "white"), photo).convert("RGB")
encoded = encoder.run(None, {look["input"]: pixels(photo, look) for look in settings["images"]})
encoded = dict(zip(settings["encoder"]["outputs"], encoded))
memory, state = [{name: encoded[name] for name in settings["decoder"][kind]} for kind in ("memory", "state")]
live, done = [(0.0, [token["bos"]], 0)], []  # sum of log-probabilities, ids, row of what it continues
for length in range(longest):
    inputs = {name: np.repeat(array, len(live), axis=0) for name, array in memory.items()} | state
    logs, *arrays = decoder.run(None, inputs | {"words": np.array([ids[-1] for _, ids, _ in live])})
    longer = []
    for row, (total, ids, _) in enumerate(live):
        again = [at for at in range(len(ids) - ngram + 1) if ids[at:at + ngram - 1] == ids[len(ids) - ngram + 1:]]
        never = [ids[at + ngram - 1] for at in again if ngram] + [token["pad"], token["bos"], token["unk"]]
        logs[row, never + [token["eos"]] * (length < search["min_length"])] = -np.inf
        best = np.argsort(-logs[row], kind="stable")[:beam + 1].tolist()
        longer += [(total + float(logs[row, word]), ids + [word], row) for word in best if logs[row, word] > -np.inf]
    live = []
    for total, ids, row in sorted(longer, key=lambda hypothesis: -hypothesis[0]):
        if len(live) < beam and ids[-1] != token["eos"]:
            live.append((total, ids, row))
        elif len(live) < beam:
            done.append((score(total, len(ids) - 1), total, ids[1:-1]))
    if not live or done and score(live[0][0], longest + 1) <= max(done)[0]:
        break  # no ending could make one of them better than what is done
    state = {name: array[[row for _, _, row in live]] for name, array in zip(state, arrays)}
done = done or [(score(total, len(ids) - 1), total, ids[1:]) for total, ids, _ in live]
_, log_probability, ids = max(done)
print(" ".join(vocabulary["words"][word] for word in ids))

"""Ollama's own client, as it is installed: use_ollama.py SERVER PHOTO prints the caption that every way gives."""

import json
import sys

import ollama

server, photo = sys.argv[1:]
client = ollama.Client(host=server)

listed = client.list()["models"]
assert [model["model"] for model in listed] == ["caption:latest"], listed
assert listed[0]["size"] > 0 and len(listed[0]["digest"]) == 64, listed
shown = client.show("caption")
assert shown["details"]["format"] == "safetensors", shown
assert [model["model"] for model in client.ps()["models"]] == ["caption:latest"]
assert client.pull("caption")["status"] == "success"

prompt = "Write a caption for this photo."
whole = client.generate(model="caption", prompt=prompt, images=[photo], options={"temperature": 0.1})
caption = whole["response"]
assert whole["done"] and whole["done_reason"] == "stop" and whole["eval_count"] == len(caption.split()), whole
parts = list(client.generate(model="caption:latest", prompt=prompt, images=[photo], stream=True))
assert "".join(part["response"] for part in parts) == caption, parts
assert [part["done"] for part in parts] == [False] * (len(parts) - 1) + [True], parts

conversation = [
    {"role": "system", "content": "You describe photos."},
    {"role": "user", "content": prompt, "images": [photo]},
    {"role": "assistant", "content": "…"},
    {"role": "user", "content": "In fewer words."},
]
said = client.chat(model="caption", messages=conversation)["message"]
assert (said["role"], said["content"]) == ("assistant", caption), said
parts = client.chat(model="caption", messages=conversation, stream=True)
assert "".join(part["message"]["content"] for part in parts) == caption

short = client.generate(model="caption", images=[photo], options={"num_predict": 2})
assert len(short["response"].split()) == 2 and short["done_reason"] == "length", short
drawn = [
    client.generate(model="caption", images=[photo], options={"temperature": 1.5, "seed": seed})["response"]
    for seed in [1, 1, 2, 3, 4]
]
assert drawn[0] == drawn[1] and len(set(drawn)) > 1, drawn

if "format" in ollama.Client.chat.__code__.co_varnames and not ollama.__file__.count("python-old"):
    text = {"type": "string"}
    properties = {"title": text, "alt_text": text, "keywords": {"type": "array", "items": text}}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    filled = json.loads(client.chat(model="caption", messages=conversation, format=schema)["message"]["content"])
    assert filled["title"] == filled["alt_text"] == caption and len(filled["keywords"]) == 10, filled
filled = json.loads(client.generate(model="caption", images=[photo], format="json")["response"])
assert filled["caption"] == caption and len(filled["keywords"]) == 10, filled

# Without a photo a model is made ready; a conversation must have one.
assert client.generate(model="caption")["done"]
for wrong, status in [
    (lambda: client.generate(model="gemma", images=[photo]), 404),
    (lambda: client.chat(model="caption", messages=[{"role": "user", "content": "hello"}]), 400),
]:
    try:
        wrong()
    except ollama.ResponseError as error:
        assert error.status_code == status and len(error.error) < 500, error
    else:
        raise AssertionError(f"no {status}")

print(caption)

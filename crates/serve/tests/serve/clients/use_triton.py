"""What a user of Triton does: use_triton.py HTTP PHOTO prints the caption."""

import sys

import numpy
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

client = triton.InferenceServerClient(sys.argv[1].removeprefix("http://"))
photo = open(sys.argv[2], "rb").read()
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("caption", "1")

data = numpy.array([photo], dtype=numpy.object_)
tensor = triton.InferInput("image", [1], "BYTES")
tensor.set_data_from_numpy(data)
plain = client.infer("caption", [tensor])
(caption,) = plain.as_numpy("caption")
(score,) = plain.as_numpy("log_probability")
# Unless it is told otherwise the client asks for bytes behind the JSON.
assert isinstance(caption, bytes) and score.dtype == numpy.float64 and score < 0
assert plain.get_output("log_probability")["parameters"]["binary_data_size"] == 8

outputs = [triton.InferRequestedOutput("caption"), triton.InferRequestedOutput("log_probability", binary_data=False)]
mixed = client.infer("caption", [tensor], outputs=outputs)
assert mixed.as_numpy("caption")[0] == caption and mixed.get_output("log_probability")["data"] == [score]
said = client.infer("caption", [tensor], outputs=[triton.InferRequestedOutput("caption", binary_data=False)])
assert said.as_numpy("caption")[0] == caption.decode()
for options in (
    {"request_compression_algorithm": "gzip"},
    {"request_compression_algorithm": "deflate", "response_compression_algorithm": "gzip"},
    {"request_compression_algorithm": "gzip", "response_compression_algorithm": "deflate", "outputs": outputs},
    {"priority": 2, "timeout": 1_000_000, "request_id": "7"},
    {"outputs": outputs, "model_version": "1"},
    {"parameters": {"beam_size": 3}},
):
    assert client.infer("caption", [tensor], **options).as_numpy("caption")[0] == caption, options
text = triton.InferInput("image", [1, 1], "BYTES")
text.set_data_from_numpy(data.reshape(1, 1), binary_data=True)
assert client.infer("caption", [text], outputs=outputs[:1]).as_numpy("log_probability") is None


def refused(words, inputs, **options):
    try:
        client.infer("caption", inputs, **options)
    except InferenceServerException as error:
        assert words in str(error), error
    else:
        sys.exit(f"{words}: answered")


refused('no output "logits"', [tensor], outputs=[triton.InferRequestedOutput("logits")])
classes = triton.InferRequestedOutput("caption", class_count=3)
refused("without classification", [tensor], outputs=[classes])
region = triton.InferRequestedOutput("caption")
region.set_shared_memory("region", 1000)
refused("shares no memory", [tensor], outputs=[region])
shared = triton.InferInput("image", [1], "BYTES")
shared.set_shared_memory("region", len(photo))
refused("shares no memory", [shared])
pixels = triton.InferInput("image", [1, 2, 2, 3], "UINT8")
pixels.set_data_from_numpy(numpy.zeros((1, 2, 2, 3), numpy.uint8))
refused("as BYTES", [pixels])
refused("setting beams", [tensor], parameters={"beams": 3})

assert client.get_model_metadata("caption")["inputs"][0]["name"] == "image"
config = client.get_model_config("caption", "1")
assert config["input"][0]["data_type"] == "TYPE_STRING" and config["max_batch_size"] == 0
(counted,) = client.get_inference_statistics("caption")["model_stats"]
assert counted["name"] == "caption" and counted["inference_count"] >= 6, counted
assert client.get_inference_statistics()["model_stats"][0]["version"] == "1"
(model,) = client.get_model_repository_index()
assert model["name"] == "caption" and model["state"] == "READY"
print(caption.decode())

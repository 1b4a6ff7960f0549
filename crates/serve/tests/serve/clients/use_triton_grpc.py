"""What a user of Triton does over gRPC: use_triton_grpc.py GRPC PHOTO prints the caption."""

import asyncio
import sys

import numpy
import tritonclient.grpc as triton
import tritonclient.grpc.aio
from tritonclient.utils import InferenceServerException

address = sys.argv[1]
client = triton.InferenceServerClient(address)
photo = open(sys.argv[2], "rb").read()
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("caption", "1")
assert not client.is_model_ready("other") and not client.is_model_ready("caption", "2")
assert client.get_server_metadata().name == "caption-serve"

data = numpy.array([photo], dtype=numpy.object_)
tensor = triton.InferInput("image", [1], "BYTES")
tensor.set_data_from_numpy(data)
plain = client.infer("caption", [tensor], request_id="7")
(caption,) = plain.as_numpy("caption")
(score,) = plain.as_numpy("log_probability")
assert isinstance(caption, bytes) and score.dtype == numpy.float64 and score < 0
response = plain.get_response()
assert (response.id, response.model_name, response.model_version) == ("7", "caption", "1"), response

outputs = [triton.InferRequestedOutput("caption")]
for options in (
    {"compression_algorithm": "gzip"},
    {"compression_algorithm": "deflate"},
    {"priority": 2, "timeout": 1_000_000, "client_timeout": 60},
    {"sequence_id": 5, "sequence_start": True, "sequence_end": True},
    {"outputs": outputs, "model_version": "1"},
    {"parameters": {"beam_size": 3, "length_penalty": 0.0}},
):
    assert client.infer("caption", [tensor], **options).as_numpy("caption")[0] == caption, options
pair = triton.InferInput("image", [2, 1], "BYTES")
pair.set_data_from_numpy(numpy.array([[photo], [photo]], dtype=numpy.object_))
answer = client.infer("caption", [pair], outputs=outputs)
assert list(answer.as_numpy("caption")) == [caption, caption] and answer.as_numpy("log_probability") is None


async def as_coroutine():
    async with tritonclient.grpc.aio.InferenceServerClient(address) as client:
        return (await client.infer("caption", [tensor])).as_numpy("caption")[0]


assert asyncio.run(as_coroutine()) == caption


def refused(words, status, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except InferenceServerException as error:
        assert words in error.message() and error.status() == f"StatusCode.{status}", error
    else:
        sys.exit(f"{words}: answered")


def infer(inputs, **options):
    return client.infer("caption", inputs, **options)


malformed = "INVALID_ARGUMENT"
refused('no output "logits"', malformed, infer, [tensor], outputs=[triton.InferRequestedOutput("logits")])
classes = triton.InferRequestedOutput("caption", class_count=3)
refused("without classification", malformed, infer, [tensor], outputs=[classes])
shared = triton.InferInput("image", [1], "BYTES")
shared.set_shared_memory("region", len(photo))
refused("shares no memory", malformed, infer, [shared])
pixels = triton.InferInput("image", [1, 2, 2, 3], "UINT8")
pixels.set_data_from_numpy(numpy.zeros((1, 2, 2, 3), numpy.uint8))
refused("as BYTES", malformed, infer, [pixels])
refused("setting beams", malformed, infer, [tensor], parameters={"beams": 3})
spoilt = triton.InferInput("image", [2], "BYTES")
spoilt.set_data_from_numpy(numpy.array([photo, b"no photo"], dtype=numpy.object_))
refused("at index 1: ", malformed, infer, [spoilt])
refused("its name is", "NOT_FOUND", client.infer, "other", [tensor])
refused("version 2 of caption", "NOT_FOUND", infer, [tensor], model_version="2")
refused("shares no memory", "UNIMPLEMENTED", client.get_system_shared_memory_status)
refused("taken up by itself", "UNIMPLEMENTED", client.load_model, "caption")

assert client.get_model_metadata("caption").inputs[0].datatype == "BYTES"
config = client.get_model_config("caption", "1", as_json=True)["config"]
assert config["input"][0]["data_type"] == "TYPE_STRING" and config["output"][1]["data_type"] == "TYPE_FP64", config
(counted,) = client.get_inference_statistics("caption").model_stats
assert counted.name == "caption" and counted.inference_count >= 6 and counted.inference_stats.queue.ns > 0, counted
assert client.get_inference_statistics().model_stats[0].version == "1"
(model,) = client.get_model_repository_index().models
assert model.name == "caption" and model.state == "READY"
print(caption.decode())

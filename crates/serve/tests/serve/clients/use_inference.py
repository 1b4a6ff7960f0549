"""What a program with stubs of its own does: use_inference.py GRPC PHOTO prints the caption.

The messages are the server's own, by reflection, and photos go in typed contents, as KServe's client sends them.
"""

import sys

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

channel = grpc.insecure_channel(sys.argv[1])
photo = open(sys.argv[2], "rb").read()
database = ProtoReflectionDescriptorDatabase(channel)
assert "inference.GRPCInferenceService" in database.get_services()
pool = descriptor_pool.DescriptorPool(database)
service = pool.FindServiceByName("inference.GRPCInferenceService")


def call(called, /, **fields):
    method = service.methods_by_name[called]
    request = message_factory.GetMessageClass(method.input_type)
    answer = message_factory.GetMessageClass(method.output_type)
    path = f"/inference.GRPCInferenceService/{called}"
    stub = channel.unary_unary(path, request.SerializeToString, answer.FromString)
    return stub(request(**fields), timeout=60)


assert call("ServerLive").live and call("ServerReady").ready and call("ModelReady", name="caption").ready
assert "binary_tensor_data" in call("ServerMetadata").extensions
(given,) = call("ModelMetadata", name="caption", version="1").inputs
assert (given.name, given.datatype, list(given.shape)) == ("image", "BYTES", [-1]), given

tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "contents": {"bytes_contents": [photo]}}
# KServe's client sends no fractions but as text.
parameters = {"beam_size": {"int64_param": 3}, "length_penalty": {"string_param": "0.0"}}
answer = call("ModelInfer", model_name="caption", id="a", inputs=[tensor], parameters=parameters)
caption, score = answer.outputs
assert (caption.name, caption.datatype, score.name, score.datatype) == ("caption", "BYTES", "log_probability", "FP64")
assert not answer.raw_output_contents and score.contents.fp64_contents[0] < 0 and answer.id == "a", answer
print(caption.contents.bytes_contents[0].decode())

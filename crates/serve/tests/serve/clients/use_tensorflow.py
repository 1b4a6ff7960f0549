"""What a user of TensorFlow Serving does: use_tensorflow.py HTTP GRPC PHOTO prints the caption.

Uses the messages of `tensorflow-serving-api`. Without all of TensorFlow, tensors are filled by hand, as here.
"""

import sys
import urllib.request

import grpc
from google.protobuf import json_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_service_pb2_grpc
from tensorflow_serving.apis import classification_pb2, model_management_pb2, predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc, regression_pb2

channel = grpc.insecure_channel(sys.argv[2])
service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
photo = open(sys.argv[3], "rb").read()


def tensor(dtype, count, **values):
    shape = tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=count)])
    return tensor_pb2.TensorProto(dtype=dtype, tensor_shape=shape, **values)


request = predict_pb2.PredictRequest()
request.model_spec.name = "caption"
request.model_spec.signature_name = "serving_default"
request.inputs["image_bytes"].CopyFrom(tensor(types_pb2.DT_STRING, 1, string_val=[photo]))
request.inputs["beam_size"].CopyFrom(tensor(types_pb2.DT_INT32, 1, int_val=[3]))
answer = service.Predict(request, timeout=60)
for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate):
    packed = service.Predict(request, timeout=60, compression=compression)
    assert packed.outputs["caption"] == answer.outputs["caption"], compression
assert answer.model_spec.version.value == 1, answer.model_spec
assert answer.outputs["log_probability"].dtype == types_pb2.DT_DOUBLE
assert [dim.size for dim in answer.outputs["caption"].tensor_shape.dim] == [1]

request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
request.model_spec.name = "caption"
metadata = service.GetModelMetadata(request, timeout=60).metadata["signature_def"]
signatures = get_model_metadata_pb2.SignatureDefMap()
assert metadata.Unpack(signatures), metadata.type_url
signature = signatures.signature_def["serving_default"]
assert signature.inputs["image_bytes"].dtype == types_pb2.DT_STRING
assert signature.method_name == "tensorflow/serving/predict"

request = get_model_status_pb2.GetModelStatusRequest()
request.model_spec.name = "caption"
status = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request, timeout=60)
(version,) = status.model_version_status
assert version.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE and version.version == 1

# The same over REST, read by TensorFlow's own messages.
with urllib.request.urlopen(sys.argv[1] + "/v1/models/caption") as reply:
    said = json_format.Parse(reply.read(), get_model_status_pb2.GetModelStatusResponse())
assert said == status, said

health = health_pb2_grpc.HealthStub(channel)
for name in ("", "tensorflow.serving.PredictionService"):
    check = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=60)
    assert check.status == health_pb2.HealthCheckResponse.SERVING, check
first = next(health.Watch(health_pb2.HealthCheckRequest(), timeout=60))
assert first.status == health_pb2.HealthCheckResponse.SERVING, first

ask = reflection_pb2.ServerReflectionRequest(list_services="")
(listed,) = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([ask]), timeout=60)
names = [service.name for service in listed.list_services_response.service]
assert "tensorflow.serving.PredictionService" in names and "grpc.health.v1.Health" in names, names


def refused(call, request, code, words):
    """What a call is refused with."""
    try:
        call(request, timeout=60)
    except grpc.RpcError as error:
        assert error.code() == code and words in error.details(), error
    else:
        sys.exit(f"{words}: answered")


def predict(**values):
    request = predict_pb2.PredictRequest(**values)
    request.model_spec.name = request.model_spec.name or "caption"
    request.inputs["image_bytes"].CopyFrom(tensor(types_pb2.DT_STRING, 1, string_val=[photo]))
    return request


other = predict()
other.model_spec.name = "other"
refused(service.Predict, other, grpc.StatusCode.NOT_FOUND, "its name is")
labelled = predict()
labelled.model_spec.version_label = "stable"
assert service.Predict(labelled, timeout=60).outputs["caption"].string_val
labelled.model_spec.version_label = "canary"
refused(service.Predict, labelled, grpc.StatusCode.NOT_FOUND, "stable")
unknown = predict()
unknown.inputs["foo"].CopyFrom(tensor(types_pb2.DT_INT32, 1, int_val=[3]))
refused(service.Predict, unknown, grpc.StatusCode.INVALID_ARGUMENT, 'no input "foo": there are image_bytes')
refused(service.Predict, predict(output_filter=["logits"]), grpc.StatusCode.INVALID_ARGUMENT, 'no output "logits"')
pixels = predict()
pixels.inputs["image_bytes"].CopyFrom(tensor(types_pb2.DT_FLOAT, 1, float_val=[0.5]))
refused(service.Predict, pixels, grpc.StatusCode.INVALID_ARGUMENT, "as DT_STRING, not its pixels")
pair = predict()
pair.inputs["image_bytes"].CopyFrom(tensor(types_pb2.DT_STRING, 2, string_val=[photo, b"no photo"]))
refused(service.Predict, pair, grpc.StatusCode.INVALID_ARGUMENT, "at index 1: ")
unserved = grpc.StatusCode.UNIMPLEMENTED
refused(service.Classify, classification_pb2.ClassificationRequest(), unserved, "call PredictionService.Predict")
refused(service.Regress, regression_pb2.RegressionRequest(), unserved, "call PredictionService.Predict")
reload = model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest
refused(reload, model_management_pb2.ReloadConfigRequest(), unserved, "taken up by itself")
print(answer.outputs["caption"].string_val[0].decode())

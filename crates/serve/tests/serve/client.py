"""What a user of TensorFlow Serving does over gRPC: client.py ADDRESS PHOTO prints the caption.

Uses the messages of `tensorflow-serving-api`. Without all of TensorFlow, tensors are filled by hand, as here.
"""

import sys

import grpc
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_service_pb2_grpc
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

channel = grpc.insecure_channel(sys.argv[1])
service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
photo = open(sys.argv[2], "rb").read()


def tensor(dtype, count, **values):
    shape = tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=count)])
    return tensor_pb2.TensorProto(dtype=dtype, tensor_shape=shape, **values)


request = predict_pb2.PredictRequest()
request.model_spec.name = "caption"
request.model_spec.signature_name = "serving_default"
request.inputs["image_bytes"].CopyFrom(tensor(types_pb2.DT_STRING, 1, string_val=[photo]))
request.inputs["beam_size"].CopyFrom(tensor(types_pb2.DT_INT32, 1, int_val=[3]))
answer = service.Predict(request, timeout=60)
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

request = predict_pb2.PredictRequest()
request.model_spec.name = "other"
try:
    service.Predict(request, timeout=60)
    sys.exit("another model was served")
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.NOT_FOUND, error
print(answer.outputs["caption"].string_val[0].decode())

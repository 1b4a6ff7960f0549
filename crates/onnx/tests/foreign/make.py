"""Makes the networks of others that the tests run, tiny and with seeded weights, as torch.onnx exports them, each with what PyTorch
itself gives for a seeded image: `pip install torch torchvision timm onnx onnxscript`, then `python3 make.py` in this folder.

A `.bin` holds little-endian f32: the images [2, 3, side, side], then the grids [2, regions, channels], regions row by row. The
files in `bad` are what no backbone can be made of, or only with care.
"""

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from timm.models.convnext import ConvNeXt
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torchvision.models import MobileNetV2


class Tokens(nn.Module):
    """The tokens of a vision transformer, behind its last norm."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        return self.network.forward_features(images)


class Both(nn.Module):
    """A grid, and the mean that a classifier would see."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        grid = self.network(images)
        return grid, grid.mean(dim=[2, 3])


def seeded(network):
    """Weights and statistics that make every layer count."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if not tensor.is_floating_point():
                continue
            drawn = torch.randn(tensor.shape, generator=generator)
            if name.endswith("running_var"):
                drawn = drawn.abs() * 0.5 + 0.5
            elif tensor.ndim < 2:
                drawn = drawn * 0.1 + (1.0 if name.endswith("weight") else 0.0)
            elif tensor.ndim > 1:
                drawn = drawn / max(1.0, tensor[0].numel() ** 0.5)
            tensor.copy_(drawn)
    return network.eval()


def save(name, network, side, outputs, dynamic=True, batch=2, dynamo=False):
    images = torch.randn([2, 3, side, side], generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        grids = network(images)
    grids = grids[0] if isinstance(grids, tuple) else grids
    if grids.ndim == 4:
        grids = grids.permute(0, 2, 3, 1).flatten(1, 2)
    told = {"input_names": ["images"], "output_names": outputs}
    if dynamo:
        told |= {"dynamo": True, "external_data": False, "verbose": False}
        if dynamic:
            told["dynamic_shapes"] = [{0: torch.export.Dim("batch", min=1, max=64)}]
    else:
        told |= {"dynamo": False, "opset_version": 17}
        if dynamic:
            told["dynamic_axes"] = {"images": {0: "batch"}} | {output: {0: "batch"} for output in outputs}
    with torch.no_grad():
        torch.onnx.export(network, (images[:batch],), f"{name}.onnx", **told)
    model = onnx.load(f"{name}.onnx")
    onnx.checker.check_model(model, full_check=True)
    # What an exporter says of its own code is of no use here, and differs from machine to machine.
    model.doc_string = ""
    del model.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    with open(f"{name}.onnx", "wb") as file:
        file.write(model.SerializeToString(deterministic=True))
    if batch != 2:
        return
    with open(f"{name}.bin", "wb") as file:
        for values in [images, grids]:
            file.write(values.contiguous().numpy().astype("<f4").tobytes())


def vit(**told):
    return VisionTransformer(img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=2, mlp_ratio=2, num_classes=0, **told)


# timm: a class token before 4×4 regions, as in CLIP and DINOv2
save("vit", Tokens(seeded(vit())), 32, ["tokens"])
# the same by the other exporter, with four registers
save("vit_registers", Tokens(seeded(vit(reg_tokens=4))), 32, ["tokens"], dynamo=True)
# the same for one image at a time
save("vit_one", Tokens(seeded(vit())), 32, ["tokens"], dynamic=False, batch=1)
# timm: 2×2 regions of 24 channels, channels first
convnext = ConvNeXt(depths=(1, 1, 1, 1), dims=(8, 12, 16, 24), num_classes=0)
convnext.forward = convnext.forward_features
save("convnext", seeded(convnext), 64, ["grid"], dynamo=True)
# torchvision: the last grid of a thin MobileNet, beside a second output
layers = [[1, 8, 1, 1], [4, 8, 1, 2], [4, 16, 1, 2], [4, 16, 1, 2]]
mobilenet = MobileNetV2(width_mult=1.0, inverted_residual_setting=layers, round_nearest=8).features[:-1]
save("mobilenet", Both(seeded(mobilenet)), 48, ["grid", "pooled"])


FLOAT = TensorProto.FLOAT
SQUARE = [1, 3, 32, 32]


def bad(name, nodes, inputs=None, outputs=None, weights=(), opset=17, domains=(), other=None):
    inputs = inputs or [("images", FLOAT, SQUARE)]
    outputs = outputs or [("grid", FLOAT, SQUARE)]
    ports = [[helper.make_tensor_value_info(*port) for port in ports] for ports in (inputs, outputs)]
    graph = helper.make_graph(nodes, name, *ports, initializer=list(weights))
    if other:
        other(graph)
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    model = helper.make_model(graph, ir_version=8, opset_imports=opsets)
    with open(f"bad/{name}.onnx", "wb") as file:
        file.write(model.SerializeToString(deterministic=True))


def weight(name, value, outside=None):
    tensor = numpy_helper.from_array(np.full([3, 1, 1], value, dtype=np.float32), name)
    if outside:
        onnx.external_data_helper.set_external_data(tensor, outside)
        tensor.ClearField("raw_data")
    return tensor


def add(other):
    return helper.make_node("Add", ["images", other], ["grid"])


# weights in another file: as a tensor of the graph, and in a branch of a branch
bad("external", [add("weight")], weights=[weight("weight", 1, "../../etc/passwd")])
inner = helper.make_node("Constant", [], ["inner"], value=weight("hidden", 1, "elsewhere.bin"))
inside = helper.make_graph([inner], "inside", [], [helper.make_tensor_value_info("inner", FLOAT, [3, 1, 1])])
middle = helper.make_node("If", ["yes"], ["middle"], then_branch=inside, else_branch=inside)
outside = helper.make_graph([middle], "outside", [], [helper.make_tensor_value_info("middle", FLOAT, [3, 1, 1])])
branch = helper.make_node("If", ["yes"], ["outer"], then_branch=outside, else_branch=outside)
yes = numpy_helper.from_array(np.array(True), "yes")
bad("external_nested", [branch, add("outer")], weights=[yes])
# operators that ONNX does not have, of its own domain and of another
bad("operator", [helper.make_node("Nonesuch", ["images"], ["grid"])])
bad("domain", [helper.make_node("Fold", ["images"], ["grid"], domain="my.company")], domains=["my.company"])
# newer than any library
bad("future", [helper.make_node("Relu", ["images"], ["grid"])], opset=999)
# 13 GB in, and 13 GB out of a square that is none too large
huge = [1, 3, 32768, 32768]
bad("huge_input", [helper.make_node("Relu", ["images"], ["grid"])], [("images", FLOAT, huge)], [("grid", FLOAT, huge)])
sizes = numpy_helper.from_array(np.array([1, 3, 1024, 1024]), "sizes")
large = helper.make_node("Resize", ["images", "", "", "sizes"], ["grid"])
bad("huge_output", [large], outputs=[("grid", FLOAT, huge)], weights=[sizes])
# nothing is known of any shape
free = ["a", "b", "c", "d"]
bad("dynamic", [helper.make_node("Relu", ["images"], ["grid"])], [("images", FLOAT, free)], [("grid", FLOAT, None)])
# weights that are no numbers, and a grid beyond half precision
bad("nan", [add("weight")], weights=[weight("weight", np.nan)])
bad("large", [add("weight")], weights=[weight("weight", 1e6)])
# other inputs and outputs than a backbone has
bad("two_inputs", [add("mask")], [("images", FLOAT, SQUARE), ("mask", FLOAT, [1])])
bad("bytes", [helper.make_node("Cast", ["images"], ["grid"], to=FLOAT)], [("images", TensorProto.UINT8, SQUARE)])
bad("gray", [helper.make_node("Relu", ["images"], ["grid"])], [("images", FLOAT, [1, 1, 32, 32])])
bad("vector", [helper.make_node("ReduceMean", ["images"], ["grid"], axes=[2, 3], keepdims=0)], outputs=[("grid", FLOAT, [1, 3])])
bad("whole", [helper.make_node("Shape", ["images"], ["grid"])], outputs=[("grid", TensorProto.INT64, [4])])
# channels last, three images at a time
turn = helper.make_node("Transpose", ["images"], ["grid"], perm=[0, 2, 3, 1])
bad("last_of_three", [turn], [("images", FLOAT, [3, 3, 32, 32])], [("grid", FLOAT, [3, 32, 32, 3])])

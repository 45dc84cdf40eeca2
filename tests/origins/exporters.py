"""The forms in which exporters write one small network: names, operators, layout and metadata.

Each function takes a network of `make_origins.py` and returns an ONNX model. A form that folds batch normalisations into
convolutions takes `network.folded()`, the others keep them.
"""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

SIDE = 64
FLOAT = TensorProto.FLOAT
STRIDES = [2, 2, 1, 2]


class Graph:
    """Nodes and constants that are gathered for a model."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, name, value):
        """A constant; returns its name."""
        value = np.asarray(value)
        value = value.astype(np.float32) if value.dtype.kind == "f" else value
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def node(self, operator, inputs, output, name="", **attributes):
        """A node with one output; returns the output's name."""
        self.nodes.append(helper.make_node(operator, inputs, [output], name=name, **attributes))
        return output

    def conv(self, inputs, output, name, stride, side=3):
        """A convolution without padding."""
        sizes = {"kernel_shape": [side, side], "strides": [stride, stride], "pads": [0, 0, 0, 0]}
        return self.node("Conv", inputs, output, name, dilations=[1, 1], group=1, **sizes)

    def model(self, maker, source, target, **options):
        """The model of this graph. `options` are those of ONNX's `make_graph` and `make_model`, and `lists_constants`."""
        inputs = [source]
        if options.pop("lists_constants", False):
            inputs += [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in self.constants]
        name, opset, version = options["graph"], options["opset"], options["ir"]
        graph = helper.make_graph(self.nodes, name, inputs, [target], self.constants)
        opsets = [helper.make_opsetid("", opset)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=version)
        model.producer_name, model.producer_version = maker
        model.domain = options.get("domain", "")
        return model


def value(name, shape, element=FLOAT):
    """An input or output."""
    return helper.make_tensor_value_info(name, element, shape)


def channels(network):
    """Of the pictures that a network takes."""
    return network.filters[0].shape[1]


def keras(network, layers, opening=None, element=FLOAT, is_nchw=False):
    """tf2onnx: channels last, TensorFlow's names, a softmax at the end. `opening` is a scale and an offset (Rescaling).

    The network's own samples are those behind the opening.
    """
    graph, base = Graph(), "StatefulPartitionedCall/sequential"
    planes = channels(network)
    tensor = "input"
    if element != FLOAT:
        tensor = graph.node("Cast", [tensor], f"{base}/Cast:0", f"{base}/Cast", to=FLOAT)
    if opening:
        for operator, name, number in (("Mul", "mul", opening[0]), ("Add", "add", opening[1])):
            constant = graph.constant(f"{base}/rescaling/{name}/y:0", np.float32(number))
            tensor = graph.node(operator, [tensor, constant], f"{base}/rescaling/{name}:0", f"{base}/rescaling/{name}")
    if not is_nchw:
        name = f"{base}/{layers[0]}/BiasAdd__6"
        tensor = graph.node("Transpose", [tensor], f"{name}:0", name, perm=[0, 3, 1, 2])
    for layer, (filters, biases), stride in zip(layers, network.folded(), STRIDES):
        path = f"{base}/{layer}"
        weights = graph.constant(f"{path}/Conv2D/ReadVariableOp:0", filters)
        offsets = graph.constant(f"{path}/BiasAdd/ReadVariableOp:0", biases)
        tensor = graph.conv([tensor, weights, offsets], f"{path}/BiasAdd:0", f"{path}/BiasAdd", stride)
        tensor = graph.node("Relu", [tensor], f"{path}/Relu:0", f"{path}/Relu")
    pooled = f"{base}/global_average_pooling2d/Mean"
    tensor = graph.node("GlobalAveragePool", [tensor], f"{pooled}:0", pooled)
    axes = graph.constant("const_axes__34", np.int64([2, 3]))
    tensor = graph.node("Squeeze", [tensor, axes], f"{pooled}_Squeeze__40:0", f"{pooled}_Squeeze__40")
    path = f"{base}/dense"
    weights = graph.constant(f"{path}/MatMul/ReadVariableOp:0", network.dense[0].T)
    tensor = graph.node("MatMul", [tensor, weights], f"{path}/MatMul:0", f"{path}/MatMul")
    offsets = graph.constant(f"{path}/BiasAdd/ReadVariableOp:0", network.dense[1])
    tensor = graph.node("Add", [tensor, offsets], f"{path}/BiasAdd:0", f"{path}/BiasAdd")
    graph.node("Softmax", [tensor], "dense", f"{path}/Softmax", axis=1)
    shape = ["unk__55", planes, SIDE, SIDE] if is_nchw else ["unk__55", SIDE, SIDE, planes]
    source, target = value("input", shape, element), value("dense", ["unk__56", len(network.labels)])
    return graph.model(("tf2onnx", "1.16.1 15c810"), source, target, graph="tf2onnx", opset=15, ir=8)


def matlab(network, mean=None):
    """MATLAB's converter: the normalisation of the image input layer first, all batch normalisations, dense as convolution."""
    graph, tensor = Graph(), "imageinput"
    if mean:
        constant = graph.constant("imageinput_Mean", np.float32(mean).reshape(1, -1, 1, 1))
        tensor = graph.node("Sub", [tensor, constant], "imageinput_Sub", "imageinput_Sub")
    for number, filters in enumerate(network.filters):
        name, normalised = f"conv_{number + 1}", f"batchnorm_{number + 1}"
        inputs = [tensor, graph.constant(f"{name}_W", filters), graph.constant(f"{name}_B", np.zeros(len(filters)))]
        tensor = graph.conv(inputs, name, name, STRIDES[number])
        values = zip(("scale", "B", "mean", "var"), network.normalisations[number])
        inputs = [tensor] + [graph.constant(f"{normalised}_{part}", numbers) for part, numbers in values]
        tensor = graph.node("BatchNormalization", inputs, normalised, normalised, epsilon=1e-5)
        tensor = graph.node("Relu", [tensor], f"relu_{number + 1}", f"relu_{number + 1}")
    tensor = graph.node("GlobalAveragePool", [tensor], "gapool", "gapool")
    weights = graph.constant("fc_W", network.dense[0][:, :, None, None])
    tensor = graph.conv([tensor, weights, graph.constant("fc_B", network.dense[1])], "fc", "fc", 1, side=1)
    tensor = graph.node("Flatten", [tensor], "softmax_Flatten", "softmax_Flatten", axis=1)
    graph.node("Softmax", [tensor], "softmax", "softmax", axis=1)
    source = value("imageinput", ["BatchSize", channels(network), SIDE, SIDE])
    target = value("softmax", ["BatchSize", len(network.labels)])
    maker = ("MATLAB Deep Learning Toolbox Converter for ONNX Model Format", "24.2.0")
    return graph.model(maker, source, target, graph="Network", opset=9, ir=4)


def cntk(network, mean=None):
    """CNTK: parameters are inputs, biases are added by nodes of their own, no softmax. `mean` as in its transfer learning."""
    graph, tensor = Graph(), "Input3"
    if mean:
        constant = graph.constant("Constant4", np.full((3, 1, 1), mean))
        tensor = graph.node("Sub", [tensor, constant], "Minus6_Output_0", "Minus6")
    for number, (filters, biases) in enumerate(network.folded()):
        key = 10 * number
        inputs = [tensor, graph.constant(f"Parameter{key + 5}", filters)]
        tensor = graph.conv(inputs, f"Convolution{key + 28}_Output_0", f"Convolution{key + 28}", STRIDES[number])
        inputs = [tensor, graph.constant(f"Parameter{key + 6}", biases[:, None, None])]
        tensor = graph.node("Add", inputs, f"Plus{key + 30}_Output_0", f"Plus{key + 30}")
        tensor = graph.node("Relu", [tensor], f"ReLU{key + 32}_Output_0", f"ReLU{key + 32}")
    tensor = graph.node("GlobalAveragePool", [tensor], "Pooling160_Output_0", "Pooling160")
    shape = graph.constant("Pooling160_Output_0_reshape0_shape", np.int64([1, len(network.dense[0][0])]))
    tensor = graph.node("Reshape", [tensor, shape], "Pooling160_Output_0_reshape0", "Times212_reshape0")
    tensor = graph.node("MatMul", [tensor, graph.constant("Parameter193", network.dense[0].T)], "Times212_Output_0", "Times212")
    constant = graph.constant("Parameter194", network.dense[1][None])
    graph.node("Add", [tensor, constant], "Plus214_Output_0", "Plus214")
    source, target = value("Input3", [1, channels(network), SIDE, SIDE]), value("Plus214_Output_0", [1, len(network.labels)])
    options = {"graph": "CNTKGraph", "opset": 7, "ir": 3, "domain": "ai.cntk", "lists_constants": True}
    return graph.model(("CNTK", "2.5.1"), source, target, **options)


def paddle(network):
    """Paddle2ONNX since 2.0: no producer, but a graph with that name; all batch normalisations, and a softmax."""
    graph, tensor = Graph(), "x"
    for number, filters in enumerate(network.filters):
        inputs = [tensor, graph.constant(f"conv2d_{number}.w_0", filters)]
        tensor = graph.conv(inputs, f"p2o.pd_op.conv2d.{number}.0", f"Conv.{number}", STRIDES[number])
        values = zip(("w_0", "b_0", "w_1", "w_2"), network.normalisations[number])
        inputs = [tensor] + [graph.constant(f"batch_norm2d_{number}.{part}", numbers) for part, numbers in values]
        output = f"p2o.pd_op.batch_norm_.{number}.0"
        tensor = graph.node("BatchNormalization", inputs, output, f"BatchNormalization.{number}", epsilon=1e-5, momentum=0.9)
        tensor = graph.node("Relu", [tensor], f"p2o.pd_op.relu.{number}.0", f"Relu.{number}")
    tensor = graph.node("GlobalAveragePool", [tensor], "p2o.pd_op.pool2d.0.0", "GlobalAveragePool.0")
    tensor = graph.node("Flatten", [tensor], "p2o.pd_op.flatten.0.0", "Flatten.0", axis=1)
    tensor = graph.node("MatMul", [tensor, graph.constant("linear_0.w_0", network.dense[0].T)], "p2o.pd_op.matmul.0.0", "MatMul.0")
    tensor = graph.node("Add", [tensor, graph.constant("linear_0.b_0", network.dense[1])], "Add.1", "Add.0")
    tensor = graph.node("Identity", [tensor], "p2o.pd_op.add.0.0", "Identity.0")
    graph.node("Softmax", [tensor], "fetch_name_0", "Softmax.0", axis=1)
    source = value("x", ["DynamicDimension.0", channels(network), SIDE, SIDE])
    target = value("fetch_name_0", ["DynamicDimension.0", len(network.labels)])
    return graph.model(("", ""), source, target, graph="PaddlePaddle Graph in PIR mode", opset=11, ir=6)


def caffe2(network):
    """Caffe2: nodes without names, a batch of one, scores of 1x1 pixels."""
    graph, tensor = Graph(), "data_0"
    for number, (filters, biases) in enumerate(network.folded(), 1):
        inputs = [tensor, graph.constant(f"conv{number}_w_0", filters), graph.constant(f"conv{number}_b_0", biases)]
        tensor = graph.conv(inputs, f"conv{number}_1", "", STRIDES[number - 1])
        tensor = graph.node("Relu", [tensor], f"conv{number}_2")
    tensor = graph.node("GlobalAveragePool", [tensor], "pool10_1")
    weights = graph.constant("conv10_w_0", network.dense[0][:, :, None, None])
    tensor = graph.conv([tensor, weights, graph.constant("conv10_b_0", network.dense[1])], "conv10_1", "", 1, side=1)
    graph.node("Softmax", [tensor], "softmaxout_1", axis=1)
    source, target = value("data_0", [1, channels(network), SIDE, SIDE]), value("softmaxout_1", [1, len(network.labels), 1, 1])
    options = {"graph": "squeezenet_old", "opset": 7, "ir": 3, "lists_constants": True}
    return graph.model(("onnx-caffe2", ""), source, target, **options)


def mxnet(network):
    """MXNet: no producer, Gluon's names, all batch normalisations, no softmax."""
    graph, tensor, base = Graph(), "data", "resnetv10"
    for number, filters in enumerate(network.filters):
        name, normalised = f"{base}_conv{number}", f"{base}_batchnorm{number}"
        inputs = [tensor, graph.constant(f"{name}_weight", filters)]
        tensor = graph.conv(inputs, f"{name}_fwd", f"{name}_fwd", STRIDES[number])
        values = zip(("gamma", "beta", "running_mean", "running_var"), network.normalisations[number])
        inputs = [tensor] + [graph.constant(f"{normalised}_{part}", numbers) for part, numbers in values]
        tensor = graph.node("BatchNormalization", inputs, f"{normalised}_fwd", f"{normalised}_fwd", epsilon=1e-5)
        tensor = graph.node("Relu", [tensor], f"{base}_relu{number}_fwd", f"{base}_relu{number}_fwd")
    tensor = graph.node("GlobalAveragePool", [tensor], f"{base}_pool1_fwd", f"{base}_pool1_fwd")
    tensor = graph.node("Flatten", [tensor], "flatten_60", "flatten_60")
    weights, offsets = (graph.constant(f"{base}_dense0_{part}", numbers) for part, numbers in zip(("weight", "bias"), network.dense))
    graph.node("Gemm", [tensor, weights, offsets], f"{base}_dense0_fwd", f"{base}_dense0_fwd", transB=1)
    source, target = value("data", [1, channels(network), SIDE, SIDE]), value(f"{base}_dense0_fwd", [1, len(network.labels)])
    options = {"graph": "mxnet_converted_model", "opset": 11, "ir": 6}
    return graph.model(("", ""), source, target, **options)


def torchscript(network, mean=None, std=None):
    """torch.onnx.export before 2.5: names of scopes, folded normalisations, no softmax. `mean` and `std` are a layer's."""
    graph, tensor = Graph(), "input"
    if mean:
        steps = (("Sub", "/normalize/Sub", mean), ("Div", "/normalize/Div", std))
        for operator, name, numbers in steps:
            constant = graph.constant(f"normalize.{operator.lower()}", np.float32(numbers).reshape(1, -1, 1, 1))
            tensor = graph.node(operator, [tensor, constant], f"{name}_output_0", name)
    for number, (filters, biases) in enumerate(network.folded()):
        path = f"/features/features.{3 * number}/Conv"
        folded = [f"onnx::Conv_{55 + 3 * number + part}" for part in (0, 1)]
        inputs = [tensor, graph.constant(folded[0], filters), graph.constant(folded[1], biases)]
        tensor = graph.conv(inputs, f"{path}_output_0", path, STRIDES[number])
        path = f"/features/features.{3 * number + 2}/Relu"
        tensor = graph.node("Relu", [tensor], f"{path}_output_0", path)
    tensor = graph.node("GlobalAveragePool", [tensor], "/avgpool/GlobalAveragePool_output_0", "/avgpool/GlobalAveragePool")
    tensor = graph.node("Flatten", [tensor], "/Flatten_output_0", "/Flatten", axis=1)
    weights, offsets = (graph.constant(f"classifier.{part}", numbers) for part, numbers in zip(("weight", "bias"), network.dense))
    graph.node("Gemm", [tensor, weights, offsets], "output", "/classifier/Gemm", alpha=1.0, beta=1.0, transB=1)
    source, target = value("input", ["batch_size", channels(network), SIDE, SIDE]), value("output", ["batch_size", len(network.labels)])
    return graph.model(("pytorch", "2.4.1"), source, target, graph="main_graph", opset=17, ir=8)


def dynamo(network):
    """torch.onnx.export since 2.5: names of nodes, a mean instead of a pooling, no softmax."""
    graph, tensor = Graph(), "x"
    graph.node("Shape", ["x"], "val_0", "node_Shape_0", end=1, start=0)
    for number, (filters, biases) in enumerate(network.folded()):
        name = f"model.{3 * number}"
        inputs = [tensor, graph.constant(f"{name}.weight", filters), graph.constant(f"{name}.weight_bias", biases)]
        tensor = graph.conv(inputs, f"getitem_{3 * number}", f"node_Conv_{70 + number}", STRIDES[number])
        tensor = graph.node("Relu", [tensor], f"relu_{number}", f"node_relu_{number}")
    axes = graph.constant("val_24", np.int64([-1, -2]))
    tensor = graph.node("ReduceMean", [tensor, axes], "mean", "node_mean", keepdims=0, noop_with_empty_axes=0)
    weights, offsets = (graph.constant(f"fc.{part}", numbers) for part, numbers in zip(("weight", "bias"), network.dense))
    graph.node("Gemm", [tensor, weights, offsets], "linear", "node_linear", beta=1.0, transB=1, alpha=1.0, transA=0)
    source, target = value("x", ["s77", channels(network), SIDE, SIDE]), value("linear", ["s77", len(network.labels)])
    return graph.model(("pytorch", "2.11.0+cpu"), source, target, graph="main_graph", opset=18, ir=10)

"""Many observations at once through a policy file, whose network takes one."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from g1_mimic.errors import BadState
from g1_mimic.policy.runtime import OnnxPolicy, open_session, told


class PolicyBatch:
    """The network of ``policy`` looped over a batch by onnxruntime itself.

    Files have inputs of one row, as the controllers that read them expect. Here the whole network
    becomes the body of an ONNX ``Scan``: the same operators on the same shapes, so that actions
    are those of `OnnxPolicy.act` to the bit, whoever wrote the file, without a call per row.

    Args:
        policy: loaded from a file.

    Raises:
        G1MimicError: if the network cannot be looped over.
    """

    def __init__(self, policy: OnnxPolicy) -> None:
        self._policy = policy
        try:
            self._session = open_session(_scanned(onnx.load(policy.path)).SerializeToString())
        except Exception as error:
            raise BadState(
                f"policy file {policy.path}: not to be run in batches: {told(error)}"
            ) from error

    def act(self, obs: np.ndarray, time_steps: np.ndarray) -> np.ndarray:
        """Return raw actions [N, 29], float64.

        Args:
            obs: observations [N, n] as for `OnnxPolicy.act`.
            time_steps: frames of the motion that they refer to [N].

        Raises:
            NonFiniteError: if an observation or action holds NaN or infinity.
        """
        policy = self._policy
        steps = np.clip(time_steps, 0, policy.num_frames - 1).astype(np.float32)
        feeds = {_OBS: policy.network_input(obs), _TIME_STEP: steps[:, None]}
        return policy.robot_action(self._session.run([_ACTIONS], feeds)[0], "of a batch")


_OBS, _TIME_STEP, _ACTIONS = "batch_obs", "batch_time_step", "batch_actions"
_ROW_OBS, _ROW_TIME_STEP, _ROW_ACTION = "row_obs", "row_time_step", "row_action"


def _scanned(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model [N, n], [N, 1] → [N, 29] that runs ``model`` on each row."""
    graph = model.graph
    width = {value.name: value.type.tensor_type.shape.dim[1].dim_value for value in graph.input}

    def tensor(name: str, *shape: int | str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    def reshaped(source: str, target: str, *shape: int) -> list[onnx.NodeProto]:
        value = helper.make_tensor(f"{target}_shape", TensorProto.INT64, [len(shape)], shape)
        constant = helper.make_node("Constant", [], [f"{target}_shape"], value=value)
        return [constant, helper.make_node("Reshape", [source, f"{target}_shape"], [target])]

    body = helper.make_graph(
        [
            *reshaped(_ROW_OBS, "obs", 1, width["obs"]),
            *reshaped(_ROW_TIME_STEP, "time_step", 1, width["time_step"]),
            *graph.node,
            *reshaped("actions", _ROW_ACTION, 29),
        ],
        "row",
        [tensor(_ROW_OBS, width["obs"]), tensor(_ROW_TIME_STEP, width["time_step"])],
        [tensor(_ROW_ACTION, 29)],
        initializer=graph.initializer,
        value_info=graph.value_info,
    )
    scan = helper.make_node("Scan", [_OBS, _TIME_STEP], [_ACTIONS], body=body, num_scan_inputs=2)
    inputs = [tensor(_OBS, "n", width["obs"]), tensor(_TIME_STEP, "n", width["time_step"])]
    outer = helper.make_graph([scan], "batch", inputs, [tensor(_ACTIONS, "n", 29)])
    result = helper.make_model(outer, opset_imports=model.opset_import)
    result.ir_version = model.ir_version
    result.functions.extend(model.functions)
    return result

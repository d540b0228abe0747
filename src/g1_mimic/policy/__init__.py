"""The policy file: ONNX with the reference motion and everything deployment needs inside."""

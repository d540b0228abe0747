"""The formats of motion files, one module for each. `motion.files` is their front."""

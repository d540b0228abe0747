"""Node ``monitor``: what RViz and rqt show beyond the robot's own topics."""

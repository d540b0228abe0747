"""ROS 2 at the rim: thin nodes that wire the core to topics, services and parameters."""

# Each executable of this folder becomes the node of its name, through the command g1-mimic: that one
# knows which Python the package was installed for. colcon puts it beside them, pip into bin.
command=${0%/*}/g1-mimic
[ -x "$command" ] || command=${0%/*}/../../bin/g1-mimic
exec "$command" node "${0##*/}" "$@"

#!/bin/sh
# Starts OBS with a screen of its own in a network namespace of its own, so that no other computer and no
# other process reaches its server. A relay connects the Unix socket $1 to it. OBS replaces this shell.
set -eu
socket=$1 password=$2 node=$3 relay=$4
ip link set lo up
mkfifo display
Xvfb -displayfd 3 -screen 0 1280x720x24 -nolisten tcp 3>display >xvfb.log 2>&1 &
read -r display <display
"$node" "$relay" "$socket" 4455 &
export DISPLAY=":$display" LIBGL_ALWAYS_SOFTWARE=1 XDG_CONFIG_HOME="$PWD/config" XDG_RUNTIME_DIR="$PWD" HOME="$PWD"
exec obs --multi --minimize-to-tray --websocket_port 4455 --websocket_password "$password" --websocket_ipv4_only

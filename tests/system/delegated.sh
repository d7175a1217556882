#!/bin/sh
# delegated.sh COMMAND [ARGUMENT...]: runs it in a leaf of this service's control group, so that the
# group itself has no process in it and may hand its controllers on (cgroups(7), "no internal
# processes").
set -eu

own=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
mkdir "$own/tests"
echo $$ >"$own/tests/cgroup.procs"
read -r controllers <"$own/cgroup.controllers"
for controller in $controllers; do
	echo "+$controller" >"$own/cgroup.subtree_control"
done
exec "$@"

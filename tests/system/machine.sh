#!/bin/sh
# Runs in the machine: machine.sh PART... with the pytest arguments of each part in PART.args, one a
# line. Each part is a service with control groups of its own to do with as it likes; it gets the
# variables CRECHE_TEST_* that this has. For the part `reboot` the machine is booted again, and this
# runs once more, with the same words; /share lasts.
set -u

parts=$*
if [ -e /share/run/begun ] && [ ! -e /share/run/rebooted ]; then
	echo "system: the machine has booted again by itself" >&2
	exit 70
fi
: >/share/run/begun
sync

home=/opt/creche
mkdir -p "$home"
mount --bind /share/creche "$home"
cd "$home" || exit 1

# shellcheck source=/dev/null
printf 'system: %s, %s, Linux %s, Python %s, cgroup %s with %s\n' \
	"$(. /etc/os-release && echo "$PRETTY_NAME")" "$(systemctl --version | head -n 1)" \
	"$(uname -r)" "$(python3 -c 'import platform; print(platform.python_version())')" \
	"$(stat -fc %T /sys/fs/cgroup)" "$(cat /sys/fs/cgroup/cgroup.controllers)" >&2

worst=0
for part in $parts; do
	# Before a reboot: it is done.
	[ ! -e "/share/run/$part.status" ] || continue
	if [ "$part" = reboot ] && [ ! -e /share/run/rebooted ]; then
		# It is creched that reboots; where it does not that is no reason to hang.
		.venv/bin/python -B -m tests.system.reboot && : >/share/run/rebooted && sync &&
			/usr/lib/creche/bin/crechectl start desperate && sleep 300
		echo "system: the machine has not been booted again" >&2
		journalctl --quiet --boot --unit=creched --lines=20 >&2
		worst=1
		break
	fi
	set --
	while IFS= read -r word; do
		set -- "$@" "$word"
	done <"/share/run/$part.args"
	# shellcheck disable=SC2046  # names without blanks
	# The runner's own OOM score and limits are not what a service has.
	# Newer systemd mounts /tmp without devices.
	systemd-run --quiet --wait --pipe --collect --unit="creche-tests-$part" \
		-p Delegate=yes -p TasksMax=infinity -p OOMPolicy=continue \
		-p WorkingDirectory="$home" -p TimeoutStopSec=30s \
		-E TMPDIR=/var/tmp \
		-E PYTHONUNBUFFERED=1 -E PATH="$PATH" -E HOME=/root \
		$(env | sed -n 's/^\(CRECHE_TEST_[A-Z_]*\)=.*/-E \1/p') \
		tests/system/delegated.sh .venv/bin/python -B -m pytest "$@" \
		-p no:cacheprovider --junitxml="/share/run/$part.xml"
	echo "$?" >"/share/run/$part.status"
done
for part in $parts; do
	# pytest has a /run of its own, so it could not write to $OUT itself.
	cp "/share/run/$part.xml" "$OUT"
	status=$(cat "/share/run/$part.status")
	[ "${status:=1}" -le "$worst" ] || worst=$status
done
exit "$worst"

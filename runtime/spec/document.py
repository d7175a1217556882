"""The tables of what a config.json may contain: runtime-spec 1.3, as far as it concerns Linux.

Types and ranges of single values only; what depends on more than one value is in rules.py. Keys
for other systems (`windows`, `solaris`, `process.commandLine` ...) are unknown here and dropped.
"""

from __future__ import annotations

from runtime.spec import names
from runtime.spec.schema import (
    absolute,
    array,
    boolean,
    enum,
    filled,
    int32,
    int64,
    integer,
    limited,
    line,
    mapping,
    obj,
    path,
    string,
    uint16,
    uint32,
    uint64,
)

# 4294967295 is (uid_t)-1: "leave it as it is" to setresuid(2) and chown(2), hence no one's id.
_id = integer(0, 2**32 - 2)
_mask = integer(0, 0o777, "an integer from 0 to 511 (octal 0777)")

_id_mapping = obj(
    {"containerID": uint32, "hostID": uint32, "size": uint32},
    required=("containerID", "hostID", "size"),
)

# process -----------------------------------------------------------------------------------------

_user = obj({"uid": _id, "gid": _id, "umask": _mask, "additionalGids": array(_id)})

_capabilities = obj(dict.fromkeys(names.CAPABILITY_SETS, array(string)))

_rlimit = obj(
    {
        "type": enum(names.RLIMITS, "a resource limit such as RLIMIT_NOFILE"),
        "soft": uint64,
        "hard": uint64,
    },
    required=("type", "soft", "hard"),
)

_scheduler = obj(
    {
        "policy": enum(names.SCHEDULER_POLICIES),
        "nice": int32,
        "priority": int32,
        "flags": array(enum(names.SCHEDULER_FLAGS)),
        "runtime": uint64,
        "deadline": uint64,
        "period": uint64,
    },
    required=("policy",),
)

PROCESS = obj(
    {
        "terminal": boolean,
        "consoleSize": obj({"height": uint32, "width": uint32}, required=("height", "width")),
        "user": _user,
        "args": array(string, least=1),
        "env": array(string),
        "cwd": absolute,
        "capabilities": _capabilities,
        "rlimits": array(_rlimit),
        "noNewPrivileges": boolean,
        "apparmorProfile": line,
        "oomScoreAdj": integer(-1000, 1000),
        "scheduler": _scheduler,
        "selinuxLabel": line,
        "ioPriority": obj(
            {"class": enum(names.IO_PRIORITY_CLASSES), "priority": integer(0, 7)},
            required=("class",),
        ),
        "execCPUAffinity": obj({"initial": line, "final": line}, blank=("initial", "final")),
    },
    required=("args", "cwd"),
    blank=("apparmorProfile", "selinuxLabel"),
)

# mounts, hooks -----------------------------------------------------------------------------------

_mount = obj(
    {
        "destination": path,
        "type": line,
        "source": path,
        "options": array(string),
        "uidMappings": array(_id_mapping),
        "gidMappings": array(_id_mapping),
    },
    required=("destination",),
    blank=("type", "source"),
)

MOUNTS = array(_mount)

_hook = obj(
    {
        "path": absolute,
        "args": array(string),
        "env": array(string),
        "timeout": integer(1, 2**31 - 1, "a number of seconds, at least 1"),
    },
    required=("path",),
)

# linux.resources ---------------------------------------------------------------------------------

# The kernel's dev_t: 12 bits of major and 20 of minor number (linux/kdev_t.h).
_major = integer(0, 2**12 - 1)
_minor = integer(0, 2**20 - 1)

_weight_device = obj(
    {"major": _major, "minor": _minor, "weight": uint16, "leafWeight": uint16},
    required=("major", "minor"),
)
_throttle = array(
    obj({"major": _major, "minor": _minor, "rate": uint64}, required=("major", "minor", "rate"))
)

RESOURCES = obj(
    {
        "devices": array(
            obj(
                {
                    "allow": boolean,
                    "type": enum(("a", "b", "c")),
                    # -1 is how runc's own tools write "all".
                    "major": integer(-1, 2**32 - 1),
                    "minor": integer(-1, 2**32 - 1),
                    "access": line,
                },
                required=("allow",),
                blank=("type", "access"),
            )
        ),
        "memory": obj(
            {
                "limit": int64,
                "reservation": int64,
                "swap": int64,
                "kernel": int64,
                "kernelTCP": int64,
                "swappiness": uint64,
                "disableOOMKiller": boolean,
                "useHierarchy": boolean,
                "checkBeforeUpdate": boolean,
            }
        ),
        "cpu": obj(
            {
                "shares": uint64,
                "quota": int64,
                "burst": uint64,
                "period": uint64,
                "realtimeRuntime": int64,
                "realtimePeriod": uint64,
                "cpus": line,
                "mems": line,
                "idle": int64,
            },
            blank=("cpus", "mems"),
        ),
        "pids": obj({"limit": int64}),
        "blockIO": obj(
            {
                "weight": uint16,
                "leafWeight": uint16,
                "weightDevice": array(_weight_device),
                "throttleReadBpsDevice": _throttle,
                "throttleWriteBpsDevice": _throttle,
                "throttleReadIOPSDevice": _throttle,
                "throttleWriteIOPSDevice": _throttle,
            }
        ),
        "hugepageLimits": array(
            obj({"pageSize": line, "limit": uint64}, required=("pageSize", "limit"))
        ),
        "network": obj(
            {
                "classID": uint32,
                "priorities": array(
                    obj({"name": line, "priority": uint32}, required=("name", "priority"))
                ),
            }
        ),
        "rdma": mapping(obj({"hcaHandles": uint32, "hcaObjects": uint32})),
        "unified": mapping(string),
    }
)

# linux.seccomp: shapes; what libseccomp makes of them is runtime.seccomp's matter ----------------

_action = enum(names.SECCOMP_ACTIONS, "a seccomp action such as SCMP_ACT_ALLOW")

_syscall = obj(
    {
        "names": array(filled, least=1),
        "action": _action,
        "errnoRet": uint32,
        "args": array(
            obj(
                {
                    "index": integer(0, 5),
                    "value": uint64,
                    "valueTwo": uint64,
                    "op": enum(names.SECCOMP_OPERATORS),
                },
                required=("index", "value", "op"),
            )
        ),
    },
    required=("names", "action"),
)

_seccomp = obj(
    {
        "defaultAction": _action,
        "defaultErrnoRet": uint32,
        "architectures": array(
            enum(names.SECCOMP_ARCHITECTURES, "an architecture such as SCMP_ARCH_X86_64")
        ),
        "flags": array(enum(names.SECCOMP_FLAGS)),
        "listenerPath": path,
        "listenerMetadata": string,
        "syscalls": array(_syscall),
    },
    required=("defaultAction",),
    blank=("listenerPath", "listenerMetadata"),
)

# linux -------------------------------------------------------------------------------------------

_time_offset = obj({"secs": int64, "nanosecs": integer(0, 999_999_999)})

_device = obj(
    {
        "type": enum(("c", "b", "u", "p")),
        "path": absolute,
        "major": _major,
        "minor": _minor,
        # Go's os.FileMode and stat(2)'s type bits both turn up here; rules.py drops them.
        "fileMode": uint32,
        "uid": _id,
        "gid": _id,
    },
    required=("type", "path"),
)

_linux = obj(
    {
        "uidMappings": array(_id_mapping),
        "gidMappings": array(_id_mapping),
        "sysctl": mapping(line),
        "resources": RESOURCES,
        "cgroupsPath": line,
        "namespaces": array(
            obj(
                {"type": enum(names.NAMESPACES), "path": absolute},
                required=("type",),
                blank=("path",),
            )
        ),
        "devices": array(_device),
        "netDevices": mapping(obj({"name": line}, blank=("name",)), key=line),
        "seccomp": _seccomp,
        "rootfsPropagation": enum(names.ROOTFS_PROPAGATION),
        "maskedPaths": array(absolute),
        "readonlyPaths": array(absolute),
        "mountLabel": line,
        "intelRdt": obj(
            {
                "closID": line,
                "schemata": array(line),
                "l3CacheSchema": line,
                "memBwSchema": line,
                "enableMonitoring": boolean,
            },
            blank=("closID", "l3CacheSchema", "memBwSchema"),
        ),
        # Mode, nodes and flags have runc's wording: runtime/spec/numa.py.
        "memoryPolicy": obj({"mode": string, "nodes": string, "flags": array(string)}),
        "personality": obj(
            {"domain": enum(names.PERSONALITIES), "flags": array(string)}, required=("domain",)
        ),
        "timeOffsets": mapping(_time_offset, key=enum(names.TIME_OFFSET_CLOCKS)),
    },
    blank=("cgroupsPath", "rootfsPropagation", "mountLabel"),
)

CONFIG = obj(
    {
        "ociVersion": string,
        "process": PROCESS,
        "root": obj({"path": path, "readonly": boolean}, required=("path",)),
        # __NEW_UTS_LEN, linux/utsname.h
        "hostname": limited(64, "a host name"),
        "domainname": limited(64, "a NIS domain name"),
        "mounts": MOUNTS,
        "hooks": obj(dict.fromkeys(names.HOOK_STAGES, array(_hook))),
        "annotations": mapping(string),
        "linux": _linux,
    },
    required=("ociVersion", "root"),
    blank=("hostname", "domainname"),
)

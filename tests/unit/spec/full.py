"""A valid configuration that uses every key there is. As a container it makes no sense."""

from typing import Any

_MAP = [{"containerID": 0, "hostID": 100000, "size": 65536}]
_THROTTLE = [{"major": 8, "minor": 0, "rate": 600}]
_HOOK = {"path": "/bin/hook", "args": ["hook", "-v"], "env": ["KEY=value"], "timeout": 30}

FULL: dict[str, Any] = {
    "ociVersion": "1.2.1+dev",
    "process": {
        "terminal": True,
        "consoleSize": {"height": 25, "width": 80},
        "user": {"uid": 1, "gid": 1, "umask": 63, "additionalGids": [5, 6]},
        "args": ["sh", "-c", "exit"],
        "env": ["PATH=/usr/bin:/bin", "EMPTY=", "LINES=a\nb"],
        "cwd": "/root",
        "capabilities": {
            "bounding": ["CAP_KILL", "CAP_NET_RAW"],
            "effective": ["CAP_KILL"],
            "inheritable": ["CAP_NET_RAW"],
            "permitted": ["CAP_KILL", "CAP_NET_RAW"],
            "ambient": ["CAP_NET_RAW"],
        },
        "rlimits": [
            {"type": "RLIMIT_CORE", "soft": 600, "hard": 1024},
            {"type": "RLIMIT_AS", "soft": 2**64 - 1, "hard": 2**64 - 1},
        ],
        "noNewPrivileges": True,
        "apparmorProfile": "acme_secure_profile",
        "oomScoreAdj": 100,
        "scheduler": {
            "policy": "SCHED_DEADLINE",
            "nice": 1,
            "flags": ["SCHED_FLAG_RESET_ON_FORK"],
            "runtime": 10**6,
            "deadline": 10**7,
            "period": 10**7,
        },
        "selinuxLabel": "system_u:system_r:svirt_lxc_net_t:s0:c124,c675",
        "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 4},
        "execCPUAffinity": {"initial": "0-1", "final": "0, 3"},
    },
    "root": {"path": "rootfs", "readonly": True},
    "hostname": "slartibartfast",
    "domainname": "example",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {
            "destination": "/data",
            "type": "none",
            "source": "/volumes/testing",
            "options": ["rbind", "rw", "idmap"],
            "uidMappings": _MAP,
            "gidMappings": _MAP,
        },
    ],
    "hooks": {
        "prestart": [_HOOK],
        "createRuntime": [_HOOK],
        "createContainer": [_HOOK],
        "startContainer": [_HOOK],
        "poststart": [_HOOK],
        "poststop": [_HOOK, {"path": "/bin/last"}],
    },
    "annotations": {
        "com.example.key1": "value1",
        "org.systemd.property.TimeoutStopUSec": "uint64 1",
    },
    "linux": {
        "uidMappings": _MAP,
        "gidMappings": _MAP,
        "sysctl": {
            "net.ipv4.ip_forward": "1",
            "net.ipv4.conf.eno2/100.rp_filter": "0",
            "kernel/msgmax": "65536",
            "fs.mqueue.msg_max": "20",
            "kernel.domainname": "example",
            "user.max_net_namespaces": "3",
        },
        "resources": {
            "devices": [
                {"allow": False, "access": "rwm"},
                {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"},
                {"allow": True, "type": "b", "major": 8, "minor": -1, "access": "r"},
            ],
            "memory": {
                "limit": 536870912,
                "reservation": 536870912,
                "swap": -1,
                "kernel": -1,
                "kernelTCP": -1,
                "swappiness": 0,
                "disableOOMKiller": False,
                "useHierarchy": False,
                "checkBeforeUpdate": True,
            },
            "cpu": {
                "shares": 1024,
                "quota": -1,
                "burst": 1000000,
                "period": 500000,
                "realtimeRuntime": 950000,
                "realtimePeriod": 1000000,
                "cpus": "2-3",
                "mems": "0-7",
                "idle": 0,
            },
            "pids": {"limit": 32771},
            "blockIO": {
                "weight": 10,
                "leafWeight": 10,
                "weightDevice": [{"major": 8, "minor": 0, "weight": 500, "leafWeight": 300}],
                "throttleReadBpsDevice": _THROTTLE,
                "throttleWriteBpsDevice": _THROTTLE,
                "throttleReadIOPSDevice": _THROTTLE,
                "throttleWriteIOPSDevice": _THROTTLE,
            },
            "hugepageLimits": [{"pageSize": "2MB", "limit": 9223372036854772000}],
            "network": {
                "classID": 1048577,
                "priorities": [{"name": "eth0", "priority": 500}],
            },
            "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}},
            "unified": {"memory.high": "1000", "io.max": "8:0 rbps=1\n8:16 rbps=2"},
        },
        "cgroupsPath": "/myRuntime/myContainer",
        "namespaces": [
            {"type": "pid", "path": "/proc/1234/ns/pid"},
            {"type": "network"},
            {"type": "mount"},
            {"type": "uts"},
            {"type": "ipc"},
            {"type": "user"},
            {"type": "cgroup"},
            {"type": "time"},
        ],
        "devices": [
            {
                "path": "/dev/fuse",
                "type": "c",
                "major": 10,
                "minor": 229,
                "fileMode": 438,
                "uid": 0,
                "gid": 0,
            },
            {"path": "/dev/pipe", "type": "p"},
        ],
        "netDevices": {"eth0": {"name": "container_eth0"}, "ens4": {}, "ens5": {"name": "net%d"}},
        "seccomp": {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 38,
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X32"],
            "flags": ["SECCOMP_FILTER_FLAG_LOG"],
            "listenerPath": "/run/agent.sock",
            "listenerMetadata": "metadata",
            "syscalls": [
                {
                    "names": ["getcwd", "chmod"],
                    "action": "SCMP_ACT_ERRNO",
                    "errnoRet": 1,
                    "args": [
                        {
                            "index": 1,
                            "value": 2**64 - 1,
                            "valueTwo": 2,
                            "op": "SCMP_CMP_MASKED_EQ",
                        }
                    ],
                }
            ],
        },
        "rootfsPropagation": "slave",
        "maskedPaths": ["/proc/kcore"],
        "readonlyPaths": ["/proc/sys"],
        "mountLabel": "system_u:object_r:svirt_sandbox_file_t:s0:c715,c811",
        "intelRdt": {
            "closID": "guaranteed_group",
            "schemata": ["L3:0=7f0;1=1f"],
            "l3CacheSchema": "L3:0=7f0;1=1f",
            "memBwSchema": "MB:0=20;1=70",
            "enableMonitoring": True,
        },
        "memoryPolicy": {
            "mode": "MPOL_BIND",
            "nodes": "0-1,3",
            "flags": ["MPOL_F_STATIC_NODES"],
        },
        "personality": {"domain": "LINUX32"},
        "timeOffsets": {
            "monotonic": {"secs": 172800, "nanosecs": 0},
            "boottime": {"secs": -604800, "nanosecs": 999999999},
        },
    },
}

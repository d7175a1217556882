"""The shape of a validated config.json: runtime-spec 1.3, the parts that concern Linux.

For type checkers only: nothing imports this module at run time, `typing` is too expensive for the
start-up path. Keys are spelt as in the document. A key that is not Required may be missing;
none is ever null. Numbers are within the kernel's type, named behind each key.
"""

from typing import Required, TypedDict


class IDMapping(TypedDict):
    containerID: int  # uint32
    hostID: int  # uint32
    size: int  # uint32, at least 1


class ConsoleSize(TypedDict):
    height: int  # uint16 if there is a terminal
    width: int


class User(TypedDict, total=False):
    uid: int  # uint32, never 4294967295
    gid: int
    umask: int  # 0 to 0o777
    additionalGids: list[int]


class Capabilities(TypedDict, total=False):
    """Only names that runtime.spec.names.CAPABILITIES has, none twice."""

    bounding: list[str]
    effective: list[str]
    inheritable: list[str]
    permitted: list[str]
    ambient: list[str]


class Rlimit(TypedDict):
    type: str
    soft: int  # uint64
    hard: int  # uint64


class Scheduler(TypedDict, total=False):
    policy: Required[str]
    nice: int  # int32
    priority: int  # int32
    flags: list[str]
    runtime: int  # uint64, nanoseconds
    deadline: int
    period: int


class _IOPriorityLevel(TypedDict, total=False):
    priority: int  # 0 to 7


# In two parts, since "class" cannot be written as an attribute.
_IOPriorityClass = TypedDict("_IOPriorityClass", {"class": str})


class IOPriority(_IOPriorityLevel, _IOPriorityClass):
    """ "class": one of runtime.spec.names.IO_PRIORITY_CLASSES."""


class ExecCPUAffinity(TypedDict, total=False):
    initial: str  # "0-3,7": runtime.spec.ranges.parse_ranges
    final: str


class Process(TypedDict, total=False):
    terminal: bool
    consoleSize: ConsoleSize
    user: User
    args: Required[list[str]]  # at least one
    env: list[str]  # each NAME=VALUE
    cwd: Required[str]  # absolute
    capabilities: Capabilities
    rlimits: list[Rlimit]
    noNewPrivileges: bool
    apparmorProfile: str
    oomScoreAdj: int  # -1000 to 1000
    scheduler: Scheduler
    selinuxLabel: str
    ioPriority: IOPriority
    execCPUAffinity: ExecCPUAffinity


class Root(TypedDict, total=False):
    path: Required[str]  # absolute or relative to the bundle
    readonly: bool


class Mount(TypedDict, total=False):
    destination: Required[str]  # relative ones (deprecated) count from "/"
    type: str
    source: str
    options: list[str]
    uidMappings: list[IDMapping]
    gidMappings: list[IDMapping]


class Hook(TypedDict, total=False):
    path: Required[str]  # absolute
    args: list[str]
    env: list[str]
    timeout: int  # seconds, at least 1


class Hooks(TypedDict, total=False):
    prestart: list[Hook]
    createRuntime: list[Hook]
    createContainer: list[Hook]
    startContainer: list[Hook]
    poststart: list[Hook]
    poststop: list[Hook]


class Namespace(TypedDict, total=False):
    type: Required[str]
    path: str  # absolute; missing: a new one


class TimeOffset(TypedDict, total=False):
    secs: int  # int64
    nanosecs: int  # below 10**9


class TimeOffsets(TypedDict, total=False):
    monotonic: TimeOffset
    boottime: TimeOffset


class Device(TypedDict, total=False):
    type: Required[str]  # c, b, u (as c) or p
    path: Required[str]  # absolute
    major: int  # present unless type is p
    minor: int
    fileMode: int  # permission bits only
    uid: int
    gid: int


class NetDevice(TypedDict, total=False):
    name: str


class DeviceRule(TypedDict, total=False):
    allow: Required[bool]
    type: str  # a, b or c
    major: int  # int64; missing or -1: all
    minor: int
    access: str  # of r, w and m


class Memory(TypedDict, total=False):
    """Bytes as int64; -1 is no limit."""

    limit: int
    reservation: int
    swap: int
    kernel: int
    kernelTCP: int
    swappiness: int  # uint64
    disableOOMKiller: bool
    useHierarchy: bool
    checkBeforeUpdate: bool


class CPU(TypedDict, total=False):
    shares: int  # uint64
    quota: int  # int64, microseconds
    burst: int  # uint64, microseconds
    period: int  # uint64, microseconds
    realtimeRuntime: int  # int64, microseconds
    realtimePeriod: int  # uint64, microseconds
    cpus: str
    mems: str
    idle: int  # int64


class Pids(TypedDict, total=False):
    limit: int  # int64; -1 is no limit, 0 is zero


class WeightDevice(TypedDict, total=False):
    major: Required[int]
    minor: Required[int]
    weight: int  # uint16
    leafWeight: int


class ThrottleDevice(TypedDict, total=False):
    major: Required[int]
    minor: Required[int]
    rate: int  # uint64


class BlockIO(TypedDict, total=False):
    weight: int  # uint16
    leafWeight: int
    weightDevice: list[WeightDevice]
    throttleReadBpsDevice: list[ThrottleDevice]
    throttleWriteBpsDevice: list[ThrottleDevice]
    throttleReadIOPSDevice: list[ThrottleDevice]
    throttleWriteIOPSDevice: list[ThrottleDevice]


class HugepageLimit(TypedDict):
    pageSize: str  # "2MB"
    limit: int  # uint64, bytes


class InterfacePriority(TypedDict):
    name: str
    priority: int  # uint32


class Network(TypedDict, total=False):
    classID: int  # uint32
    priorities: list[InterfacePriority]


class Rdma(TypedDict, total=False):
    hcaHandles: int  # uint32
    hcaObjects: int


class Resources(TypedDict, total=False):
    devices: list[DeviceRule]
    memory: Memory
    cpu: CPU
    pids: Pids
    blockIO: BlockIO
    hugepageLimits: list[HugepageLimit]
    network: Network
    rdma: dict[str, Rdma]
    unified: dict[str, str]


class SeccompArg(TypedDict, total=False):
    index: Required[int]  # 0 to 5
    value: Required[int]  # uint64
    valueTwo: int  # uint64
    op: Required[str]


class SeccompSyscall(TypedDict, total=False):
    names: Required[list[str]]
    action: Required[str]
    errnoRet: int  # uint32
    args: list[SeccompArg]


class Seccomp(TypedDict, total=False):
    defaultAction: Required[str]
    defaultErrnoRet: int  # uint32
    architectures: list[str]
    flags: list[str]
    listenerPath: str
    listenerMetadata: str
    syscalls: list[SeccompSyscall]


LinuxSeccomp = Seccomp


class IntelRdt(TypedDict, total=False):
    closID: str
    schemata: list[str]
    l3CacheSchema: str
    memBwSchema: str
    enableMonitoring: bool


class MemoryPolicy(TypedDict, total=False):
    mode: Required[str]
    nodes: str  # "0-3,7": runtime.spec.ranges.parse_ranges
    flags: list[str]


class Personality(TypedDict):
    domain: str


class Linux(TypedDict, total=False):
    uidMappings: list[IDMapping]
    gidMappings: list[IDMapping]
    sysctl: dict[str, str]  # keys as written: runtime.spec.sysctl.sysctl_path
    resources: Resources
    cgroupsPath: str
    namespaces: list[Namespace]
    devices: list[Device]
    netDevices: dict[str, NetDevice]
    seccomp: Seccomp
    rootfsPropagation: str
    maskedPaths: list[str]
    readonlyPaths: list[str]
    mountLabel: str
    intelRdt: IntelRdt
    memoryPolicy: MemoryPolicy
    personality: Personality
    timeOffsets: TimeOffsets


class Spec(TypedDict, total=False):
    ociVersion: Required[str]
    process: Process
    root: Required[Root]
    hostname: str
    domainname: str
    mounts: list[Mount]
    hooks: Hooks
    annotations: dict[str, str]
    linux: Linux

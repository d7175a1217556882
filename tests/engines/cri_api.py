"""The messages of Kubernetes' runtime.v1 that the tests use, by their numbers in api.proto."""

from __future__ import annotations

from tests.engines.protobuf import Field, Schema, mapping

_ID: Schema = {"id": Field(1)}
_URL: Schema = {"url": Field(1)}
_INT: Schema = {"value": Field(1, "int")}
_NAMESPACES: Schema = {"network": Field(1, "int"), "pid": Field(2, "int"), "ipc": Field(3, "int")}
_SANDBOX: Schema = {
    "metadata": Field(
        1, {"name": Field(1), "uid": Field(2), "namespace": Field(3), "attempt": Field(4, "int")}
    ),
    "hostname": Field(2),
    "log_directory": Field(3),
    "labels": mapping(6),
    "linux": Field(
        8,
        {
            "cgroup_parent": Field(1),
            "security_context": Field(2, {"namespace_options": Field(1, _NAMESPACES)}),
        },
    ),
}
_RESOURCES: Schema = {
    "cpu_period": Field(1, "int"),
    "cpu_quota": Field(2, "int"),
    "cpu_shares": Field(3, "int"),
    "memory_limit_in_bytes": Field(4, "int"),
    "memory_swap_limit_in_bytes": Field(10, "int"),
}
_SECURITY: Schema = {
    "capabilities": Field(
        1,
        {"add_capabilities": Field(1, repeated=True), "drop_capabilities": Field(2, repeated=True)},
    ),
    "namespace_options": Field(3, _NAMESPACES),
    "run_as_user": Field(5, _INT),
    "readonly_rootfs": Field(7, "int"),
    "supplemental_groups": Field(8, "int", repeated=True),
    "no_new_privs": Field(11, "int"),
    "run_as_group": Field(12, _INT),
    "masked_paths": Field(13, repeated=True),
}
_CONTAINER: Schema = {
    "metadata": Field(1, {"name": Field(1), "attempt": Field(2, "int")}),
    "image": Field(2, {"image": Field(1)}),
    "command": Field(3, repeated=True),
    "envs": Field(6, {"key": Field(1), "value": Field(2)}, repeated=True),
    "mounts": Field(
        7,
        {"container_path": Field(1), "host_path": Field(2), "readonly": Field(3, "int")},
        repeated=True,
    ),
    "log_path": Field(11),
    "stdin": Field(12, "int"),
    "tty": Field(14, "int"),
    "linux": Field(
        15, {"resources": Field(1, _RESOURCES), "security_context": Field(2, _SECURITY)}
    ),
}
_STATUS: Schema = {
    "id": Field(1),
    "state": Field(3, "int"),
    "exit_code": Field(7, "int"),
    "reason": Field(10),
    "message": Field(11),
}
_VALUE: Schema = {"timestamp": Field(1, "int"), "value": Field(2, _INT)}
_STATS: Schema = {"cpu": Field(2, _VALUE), "memory": Field(3, _VALUE)}
_CONDITION: Schema = {"type": Field(1), "status": Field(2, "int"), "message": Field(4)}
_VERSION: Schema = {"version": Field(1), "name": Field(2), "runtime_version": Field(3)}

# Method: what is asked, what is answered (api.proto of k8s.io/cri-api, version runtime.v1).
METHODS: dict[str, tuple[Schema, Schema]] = {
    "Version": ({"version": Field(1)}, _VERSION),
    "Status": ({}, {"status": Field(1, {"conditions": Field(1, _CONDITION, repeated=True)})}),
    "RunPodSandbox": ({"config": Field(1, _SANDBOX), "runtime_handler": Field(2)}, _ID),
    "StopPodSandbox": (_ID, {}),
    "RemovePodSandbox": (_ID, {}),
    "PodSandboxStatus": (
        {**_ID, "verbose": Field(2, "int")},
        {
            "status": Field(
                1, {"state": Field(3, "int"), "network": Field(5, {"ip": Field(1)})}
            ),
            "info": mapping(2),
        },
    ),
    "CreateContainer": (
        {"pod": Field(1), "config": Field(2, _CONTAINER), "sandbox_config": Field(3, _SANDBOX)},
        _ID,
    ),
    "StartContainer": (_ID, {}),
    "StopContainer": ({**_ID, "timeout": Field(2, "int")}, {}),
    "RemoveContainer": (_ID, {}),
    "ListContainers": ({}, {"containers": Field(1, {"id": Field(1), "state": Field(6, "int")},
                                                repeated=True)}),
    "ContainerStatus": (
        {**_ID, "verbose": Field(2, "int")},
        {"status": Field(1, _STATUS), "info": mapping(2)},
    ),
    "UpdateContainerResources": ({**_ID, "linux": Field(2, _RESOURCES)}, {}),
    "ExecSync": (
        {**_ID, "cmd": Field(2, repeated=True), "timeout": Field(3, "int")},
        {"stdout": Field(1, "bytes"), "stderr": Field(2, "bytes"), "exit_code": Field(3, "int")},
    ),
    "ContainerStats": (_ID, {"stats": Field(1, _STATS)}),
    "Exec": (
        {**_ID, "cmd": Field(2, repeated=True), "tty": Field(3, "int"), "stdin": Field(4, "int"),
         "stdout": Field(5, "int"), "stderr": Field(6, "int")},
        _URL,
    ),
    "Attach": (
        {**_ID, "stdin": Field(2, "int"), "tty": Field(3, "int"), "stdout": Field(4, "int"),
         "stderr": Field(5, "int")},
        _URL,
    ),
    "PortForward": ({**_ID, "port": Field(2, "int", repeated=True)}, _URL),
}  # fmt: skip

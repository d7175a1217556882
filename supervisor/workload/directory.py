"""Reading the directory of workload directories. One bad workload never hides the others."""

from __future__ import annotations

import os
import re

from runtime.errors import ConfigError
from supervisor.workload import files, oci
from supervisor.workload import rootfs as embedded_root
from supervisor.workload.errors import Problem, WorkloadError
from supervisor.workload.model import Settings, Workload
from supervisor.workload.parse import parse_settings

SETTINGS = "workload.toml"
CONFIG = "config.json"
EMBEDDED = "host-usr"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def read_all(path: str, scratch: str) -> tuple[list[Workload], list[tuple[str, WorkloadError]]]:
    """Every workload in `path`, by name, and every one that had to be refused, with why.

    `scratch` is where embedded roots will be made. Plain files and hidden names are no workloads.
    Raises WorkloadError if `path` itself is of no use.
    """
    path = os.path.abspath(path)
    try:
        top = files.open_directory(path, path)
    except FileNotFoundError:
        raise WorkloadError(Problem(path, "", "does not exist")) from None
    good: list[Workload] = []
    bad: list[tuple[str, WorkloadError]] = []
    try:
        with os.scandir(top) as entries:
            names = sorted(
                entry.name
                for entry in entries
                if not entry.name.startswith(".")
                and (entry.is_symlink() or not entry.is_file(follow_symlinks=False))
            )
        for name in names:
            try:
                good.append(_read(top, path, name, scratch))
            except WorkloadError as error:
                bad.append((name, error))
            except OSError as error:
                reason = error.strerror or str(error)
                bad.append((name, WorkloadError(Problem(f"{path}/{name}", "", reason))))
    finally:
        os.close(top)
    return good, bad


def _read(top: int, path: str, name: str, scratch: str) -> Workload:
    directory = f"{path}/{name}"
    if _NAME.fullmatch(name) is None:
        raise WorkloadError(
            Problem(
                directory,
                "",
                "a workload's name begins with a letter or digit and has at most 64 letters, "
                "digits, dots, dashes and underscores",
            )
        )
    fd = files.open_directory(directory, name, top)
    try:
        return _assemble(fd, directory, name, scratch)
    finally:
        os.close(fd)


def _assemble(fd: int, directory: str, name: str, scratch: str) -> Workload:
    file = f"{directory}/{SETTINGS}"
    try:
        settings = parse_settings(files.read_file(fd, file, SETTINGS), file)
    except FileNotFoundError:
        raise WorkloadError(Problem(file, "", "does not exist")) from None
    config_file = f"{directory}/{CONFIG}"
    try:
        data = files.read_file(fd, config_file, CONFIG, files.LARGEST_CONFIG)
    except FileNotFoundError:
        data = None
    container = settings.container
    if container is None:
        if data is None:
            raise WorkloadError(
                Problem(file, "container", f"expected this table, or a {CONFIG} beside the file")
            )
        return _from_bundle(name, directory, settings, config_file, data)
    if data is not None:
        raise WorkloadError(
            Problem(file, "container", f"expected either this table or {CONFIG}, found both")
        )
    embedded = container.rootfs == EMBEDDED
    rootfs = f"{scratch}/{name}" if embedded else _inside(fd, directory, file, container.rootfs)
    _check_hooks(fd, directory, file, settings)
    filling = embedded_root.mounts() if embedded else ()
    config = oci.make_config(name, directory, settings, container, rootfs, filling)
    return Workload(name, directory, settings, _checked(config, file), embedded_root=embedded)


def _from_bundle(name: str, directory: str, settings: Settings, file: str, data: bytes) -> Workload:
    """A workload whose container is described by a config.json of its own."""
    from runtime.spec import parse

    warnings: list[str] = []
    try:
        spec = parse(data, warnings.append)
    except ConfigError as error:
        raise WorkloadError(Problem(file, "", str(error))) from None
    config: dict[str, object] = dict(spec)
    process = config.get("process")
    if isinstance(process, dict) and process.get("terminal"):
        raise WorkloadError(
            Problem(file, "process.terminal", "expected false: creched has no terminal to give")
        )
    return Workload(name, directory, settings, config, warnings=tuple(warnings))


def _checked(config: dict[str, object], file: str) -> dict[str, object]:
    """The made config through the same checks a config.json goes through."""
    from runtime import jsonio
    from runtime.spec import parse

    try:
        return dict(parse(jsonio.dumps(config).encode(), lambda warning: None))
    except ConfigError as error:
        raise WorkloadError(Problem(file, "container", str(error))) from None


def _inside(fd: int, directory: str, file: str, rootfs: str) -> str:
    """Absolute path of a rootfs given in the file: a real directory, inside the workload's."""
    if rootfs.startswith("/") or ".." in rootfs.split("/"):
        raise WorkloadError(
            Problem(
                file,
                "container.rootfs",
                f'expected "host-usr" or a path inside the workload directory, found "{rootfs}"',
            )
        )
    parent = os.dup(fd)
    try:
        at = directory
        for part in (part for part in rootfs.split("/") if part not in ("", ".")):
            at = f"{at}/{part}"
            try:
                child = files.open_directory(at, part, parent)
            except FileNotFoundError:
                raise WorkloadError(
                    Problem(file, "container.rootfs", f"{at} does not exist")
                ) from None
            os.close(parent)
            parent = child
        return at
    finally:
        os.close(parent)


def _check_hooks(fd: int, directory: str, file: str, settings: Settings) -> None:
    """Hooks that lie in the workload directory are held to the same rules as its files."""
    for stage, hooks in settings.hooks.stages:
        for index, hook in enumerate(hooks):
            if hook.path.startswith("/"):
                continue
            key = f"hooks.{stage}[{index}].path"
            if "/" in hook.path:
                message = f'expected an absolute path or a bare file name, found "{hook.path}"'
                raise WorkloadError(Problem(file, key, message))
            try:
                os.close(files.open_file(fd, f"{directory}/{hook.path}", hook.path))
            except FileNotFoundError:
                message = f"{directory}/{hook.path} does not exist"
                raise WorkloadError(Problem(file, key, message)) from None

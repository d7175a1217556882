"""Reading the directory of workload directories. One bad workload never hides the others."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from runtime.errors import ConfigError
from supervisor.shared import share
from supervisor.workload import files, oci
from supervisor.workload import rootfs as embedded_root
from supervisor.workload.errors import Problem, WorkloadError
from supervisor.workload.kinds import signal_number
from supervisor.workload.model import Settings, Workload
from supervisor.workload.parse import parse_settings
from supervisor.workload.source import CONFIG, DROPINS, SETTINGS, Source, read_source

EMBEDDED = "host-usr"
STOP_SIGNAL = "org.opencontainers.image.stopSignal"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Reading:
    """What one directory came to: a workload with the files it is made from, or why not."""

    name: str
    workload: Workload | None = None
    source: Source | None = None
    error: WorkloadError | None = None


def read_all(path: str, scratch: str) -> tuple[list[Workload], list[tuple[str, WorkloadError]]]:
    """Every workload in `path`, by name, and every one that had to be refused, with why.

    `scratch` is where embedded roots will be made. Plain files and hidden names are no workloads.
    Raises WorkloadError if `path` itself is of no use.
    """
    path = os.path.abspath(path)
    top = open_top(path)
    good: list[Workload] = []
    bad: list[tuple[str, WorkloadError]] = []
    try:
        for name in names_in(top):
            reading = read_one(top, path, name, scratch)
            if reading is None:
                continue
            if reading.workload is not None:
                good.append(reading.workload)
            if reading.error is not None:
                bad.append((name, reading.error))
    finally:
        os.close(top)
    return good, bad


def open_top(path: str) -> int:
    """Descriptor of the directory of workload directories; raises WorkloadError."""
    try:
        return files.open_directory(path, path)
    except FileNotFoundError:
        raise WorkloadError(Problem(path, None, "does not exist")) from None


def names_in(top: int) -> list[str]:
    """Names of what is a workload or in its place, in order."""
    with os.scandir(top) as entries:
        return sorted(
            entry.name
            for entry in entries
            if not entry.name.startswith(".")
            and (entry.is_symlink() or not entry.is_file(follow_symlinks=False))
        )


def read_one(
    top: int,
    path: str,
    name: str,
    scratch: str,
    known: Workload | None = None,
    opened: Callable[[str, int], None] = lambda name, fd: None,
) -> Reading | None:
    """The workload `name` in the directory behind `top`; None if nothing of that name is there.

    `known` is what was read before: files that have not changed since are not parsed again.
    `opened` is called with the directory's descriptor before anything in it is read.
    """
    directory = f"{path}/{name}"
    try:
        if _NAME.fullmatch(name) is None:
            raise WorkloadError(
                Problem(
                    directory,
                    None,
                    "a workload's name begins with a letter or digit and has at most 64 letters, "
                    "digits, dots, dashes and underscores",
                )
            )
        fd = files.open_directory(directory, name, top)
    except FileNotFoundError:
        return None
    except WorkloadError as error:
        return Reading(name, error=error)
    source = None
    try:
        opened(name, fd)
        source = read_source(fd, directory)
        if known is not None and known.digest == source.digest():
            _check_hooks(fd, directory, f"{directory}/{SETTINGS}", known.settings)
            return Reading(name, _identified(known, fd), source)
        return Reading(name, assemble(source, fd, directory, name, scratch), source)
    except WorkloadError as error:
        return Reading(name, None, source, error)
    except OSError as error:
        reason = error.strerror or str(error)
        return Reading(name, None, source, WorkloadError(Problem(directory, None, reason)))
    finally:
        os.close(fd)


def assemble(source: Source, fd: int, directory: str, name: str, scratch: str) -> Workload:
    """The workload that `source` describes, in `directory`, which is open as `fd`.

    Raises WorkloadError, OSError.
    """
    file = f"{directory}/{SETTINGS}"
    dropins = [(f"{directory}/{DROPINS}/{name}", data) for name, data in source.dropins]
    settings = parse_settings(source.settings, file, dropins)
    container = settings.container
    if container is None:
        if source.config is None:
            raise WorkloadError(
                Problem(file, "container", f"expected this table, or a {CONFIG} beside the file")
            )
        made = _from_bundle(name, directory, settings, f"{directory}/{CONFIG}", source.config)
        return _identified(replace(made, digest=source.digest()), fd)
    if source.config is not None:
        raise WorkloadError(
            Problem(file, "container", f"expected either this table or {CONFIG}, found both")
        )
    embedded = container.rootfs == EMBEDDED
    rootfs = f"{scratch}/{name}" if embedded else _inside(fd, directory, file, container.rootfs)
    _check_hooks(fd, directory, file, settings)
    filling = embedded_root.mounts() if embedded else ()
    config = _checked(oci.make_config(name, directory, settings, container, rootfs, filling), file)
    made = Workload(name, directory, settings, config, embedded, digest=source.digest())
    return _identified(made, fd)


def _identified(workload: Workload, fd: int) -> Workload:
    """With the inodes of its directory, open as `fd`, and of its root file system."""
    info = os.fstat(fd)
    root = None
    described = workload.config.get("root")
    if isinstance(described, dict) and not workload.embedded_root:
        try:
            found = os.stat(os.path.join(workload.directory, str(described["path"])))
            root = (found.st_dev, found.st_ino)
        except OSError:
            pass  # creating the container will say so, with the key
    return replace(workload, inode=(info.st_dev, info.st_ino), root=root)


def _from_bundle(name: str, directory: str, settings: Settings, file: str, data: bytes) -> Workload:
    """A workload whose container is described by a config.json of its own."""
    from runtime.spec import parse

    warnings: list[str] = []
    try:
        spec = parse(data, warnings.append)
    except ConfigError as error:
        raise WorkloadError(Problem(file, None, str(error))) from None
    config: dict[str, object] = dict(spec)
    process = config.get("process")
    if isinstance(process, dict) and process.get("terminal"):
        raise WorkloadError(
            Problem(file, "process.terminal", "expected false: creched has no terminal to give")
        )
    settings = _stopped_as_the_image_says(settings, config, warnings)
    return Workload(name, directory, settings, share(config), warnings=tuple(warnings))


def _stopped_as_the_image_says(
    settings: Settings, config: dict[str, object], warnings: list[str]
) -> Settings:
    """An image may name its stop signal, in an annotation of config.json; [stop] has precedence."""
    annotations = config.get("annotations")
    named = annotations.get(STOP_SIGNAL) if isinstance(annotations, dict) else None
    if named is None or "stop.signal" in settings.given:
        return settings
    try:
        number = signal_number(int(named) if str(named).isdecimal() else named)
    except ValueError:
        warnings.append(f"annotations.{STOP_SIGNAL}: {named!r} is no signal; SIGTERM is sent")
        return settings
    return replace(settings, stop=replace(settings.stop, signal=number))


def _checked(config: dict[str, object], file: str) -> dict[str, object]:
    """The made config through the same checks a config.json goes through."""
    from runtime import jsonio
    from runtime.spec import parse

    try:
        return dict(share(dict(parse(jsonio.dumps(config).encode(), lambda warning: None))))
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

"""The process of `exec`: the configuration's, changed by the command line."""

from __future__ import annotations

from runtime.errors import CrecheError
from runtime.jsonio import quote
from runtime.spec.names import CAPABILITIES
from runtime.spec.process import check_env

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.cli.options import Values
    from runtime.spec.types import Capabilities, Process, User

# 4294967295 is (uid_t)-1: "no change" to setresuid(2).
LAST_ID = (1 << 32) - 2


def parse_user(text: str) -> tuple[int, int | None]:
    """UID or UID:GID in digits; names are not looked up, the container's files are not ours.

    Strict: whatever is not a number is an error and never becomes 0 (crun's CVE-2026-30892).
    """
    first, colon, second = text.partition(":")
    uid = parse_id(first, "user", text)
    return uid, parse_id(second, "group", text) if colon else None


def parse_id(digits: str, what: str, text: str) -> int:
    """One id; text is the whole option for the message."""
    if digits.isascii() and digits.isdigit() and len(digits) < 11:
        number = int(digits)
        if number <= LAST_ID:
            return number
    raise CrecheError(
        f"invalid {what} id {quote(digits)} in {quote(text)}: expected a number from 0 to {LAST_ID}"
        " (form: UID or UID:GID)"
    )


def from_flags(
    base: Process, args: list[str], flags: Values, warn: Callable[[str], None]
) -> Process:
    """The process of the configuration with what the flags say. Raises CrecheError."""
    process: Process = {**base, "args": args, "terminal": flags.on("tty")}
    env = list(base.get("env", []))
    if flags.text("cwd"):
        process["cwd"] = flags.text("cwd")
        if not process["cwd"].startswith("/"):
            raise CrecheError(f"--cwd: expected an absolute path, found {quote(process['cwd'])}")
    if flags.given("user"):
        uid, gid = parse_user(flags.text("user"))
        user: User = {**base.get("user", {}), "uid": uid}
        if gid is not None:
            user["gid"] = gid
        # The configuration's groups and HOME belong to the configuration's user.
        user.pop("additionalGids", None)
        env = [entry for entry in env if not entry.startswith("HOME=")]
        process["user"] = user
    groups = [parse_id(text, "group", text) for text in flags.many("additional-gids")]
    if groups:
        owner: User = {**process.get("user", {})}
        owner["additionalGids"] = [*owner.get("additionalGids", []), *groups]
        process["user"] = owner
    check_env(flags.many("env"), "--env")
    process["env"] = env + flags.many("env")
    if flags.many("cap"):
        names = known_capabilities(flags.many("cap"), warn)
        process["capabilities"] = with_capabilities(base.get("capabilities", {}), names)
    if flags.given("no-new-privs"):
        process["noNewPrivileges"] = flags.on("no-new-privs")
    if flags.text("apparmor"):
        process["apparmorProfile"] = flags.text("apparmor")
    if flags.text("process-label"):
        process["selinuxLabel"] = flags.text("process-label")
    return process


def known_capabilities(words: list[str], warn: Callable[[str], None]) -> list[str]:
    """Full names of capabilities written as CAP_NET_ADMIN or net_admin; others are a warning."""
    names = [
        word.upper() if word.upper().startswith("CAP_") else f"CAP_{word.upper()}" for word in words
    ]
    unknown = [word for word, name in zip(words, names, strict=True) if name not in CAPABILITIES]
    if unknown:
        warn(f"--cap: unknown capabilities ignored: {', '.join(map(quote, unknown))[:400]}")
    return [name for name in names if name in CAPABILITIES]


def with_capabilities(base: Capabilities, added: list[str]) -> Capabilities:
    """Add to bounding, effective and permitted; to ambient only what can be inherited.

    Never to inheritable, which would hand them to every file with inheritable capabilities
    (CVE-2022-29162).
    """
    result: Capabilities = {
        **base,
        "bounding": joined(base.get("bounding", []), added),
        "effective": joined(base.get("effective", []), added),
        "permitted": joined(base.get("permitted", []), added),
    }
    inheritable = base.get("inheritable", [])
    if inheritable:
        raised = [name for name in added if name in inheritable]
        result["ambient"] = joined(base.get("ambient", []), raised)
    return result


def joined(held: list[str], added: list[str]) -> list[str]:
    """Both, without repeating a name."""
    return list(dict.fromkeys([*held, *added]))

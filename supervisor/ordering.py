"""Order among workloads: who waits for whom, who stops before whom, who is taken along.

What follows from what is decided in supervisor/order/ and supervisor/groups.py; here it is applied
to keepers, by events posted to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from supervisor import groups, policy
from supervisor.groups import Group
from supervisor.keeper import Keeper
from supervisor.machine import QUIET, RESTING, Event, State
from supervisor.order import graph
from supervisor.order.leaving import Leaving
from supervisor.order.needs import Need
from supervisor.order.reached import has_reached
from supervisor.policy import OnLimit
from supervisor.workload.model import Workload

Order = tuple[bool, str, str]
"""Of one who is to stop: whether it starts again afterwards, cause, reason."""
_NO_ONE: frozenset[str] = frozenset()
_NOTHING = QUIET | {State.IDLE}
"""There is nothing to be stopped. Where it has not begun, it will look for itself."""


class Ordering:
    """Over the keepers of one nursery, whose dictionary it shares."""

    def __init__(self, keepers: dict[str, Keeper], by_name: Mapping[str, Group]) -> None:
        self.closing = False
        """Everything stops: nothing is taken along any more."""
        self._keepers = keepers
        self._groups = by_name
        self._needs: dict[str, frozenset[str]] = {}
        self._needers: dict[str, set[str]] = {}
        self._leaving = Leaving(lambda name: self._needers.get(name, _NO_ONE))
        self._orders: dict[str, Order] = {}
        self._held: dict[str, str] = {}
        self._recent: dict[str, tuple[float, ...]] = {}

    # --- who is there ----------------------------------------------------------------------

    def placed(self, workload: Workload) -> None:
        """It is there, or needs others than before."""
        name, needs = workload.name, workload.settings.workload.needed
        for needed in self._needs.get(name, _NO_ONE) - needs:
            self._needers[needed].discard(name)
        for needed in needs:
            self._needers.setdefault(needed, set()).add(name)
        self._needs[name] = needs
        self._wake((name, *self._needers.get(name, ())))

    def removed(self, name: str) -> None:
        """It is gone, and its keeper too."""
        for needed in self._needs.pop(name):
            self._needers[needed].discard(name)
        self._held.pop(name, None)
        self._wake(self._needers.get(name, ()))

    # --- starting --------------------------------------------------------------------------

    def waiting_for(self, keeper: Keeper) -> tuple[str, ...]:
        """What keeps it from being started now, as `NAME:TARGET` and what is known about it."""
        placement = keeper.workload.settings.workload
        found = [str(need) for need in placement.after if not self._over(need)]
        for need in placement.requires:
            if not self._met(need):
                found.append(f"{need}{self._remark(need.name)}")
        if keeper.name in self._orders:
            found.append("its own stop")  # which is put off until those that need it have gone
        if keeper.name in self._held:
            found.append(f"group {self._held[keeper.name]}")
        return tuple(found)

    def _met(self, need: Need) -> bool:
        keeper = self._keepers.get(need.name)
        reached = keeper is not None and has_reached(keeper, need.target)
        return reached and need.name not in self._leaving

    def _over(self, need: Need) -> bool:
        """Whether there is nothing to wait for: it is so, or will not come to be."""
        return self._met(need) or not self._may_come(need.name)

    def _may_come(self, name: str) -> bool:
        """Whether it is on its way, or might be without anybody's help."""
        todo, seen = [name], set()
        while todo:
            at = todo.pop()
            keeper = self._keepers.get(at)
            if keeper is None or keeper.state in RESTING:
                return False
            seen.add(at)
            if keeper.state is State.WAITING:
                requires = keeper.workload.settings.workload.requires
                todo += [n.name for n in requires if n.name not in seen and not self._met(n)]
        return True

    def _remark(self, name: str) -> str:
        keeper = self._keepers.get(name)
        if keeper is None:
            return " (which is not there)"
        return f" (which is {keeper.state})" if keeper.state in RESTING else ""

    def _wake(self, names: Iterable[str]) -> None:
        """Have those begin that wait and need not any more; and look at who waits for them."""
        todo, seen = list(names), set()
        while todo:
            name = todo.pop()
            keeper = self._keepers.get(name)
            if name in seen or keeper is None or keeper.state is not State.WAITING:
                continue
            seen.add(name)
            if not self.waiting_for(keeper):
                keeper.post(Event.PROCEED, "order", "what it waited for is there")
            todo += self._needers.get(name, ())

    # --- stopping --------------------------------------------------------------------------

    def needers(self, name: str) -> set[str]:
        """All that cannot be without it, however far away, and are not quiet."""
        found: set[str] = set()
        todo = [name]
        while todo:
            at = todo.pop()
            for other in self._needers.get(at, _NO_ONE) - found:
                requires = self._keepers[other].workload.settings.workload.requires
                if any(need.name == at for need in requires):
                    found.add(other)
                    todo.append(other)
        return {other for other in found if self._keepers[other].state not in _NOTHING}

    def stop(self, name: str, cause: str, reason: str) -> None:
        """Stop it, after those that cannot be without it; they start again when it does."""
        orders = self._along(name, f"needs {name}, which is stopped")
        self.leave({**orders, name: (False, cause, reason)})

    def leave(self, orders: Mapping[str, Order]) -> None:
        """Stop all these, each after those that need it."""
        self._orders.update(orders)
        self._ask(self._leaving.add(orders))

    def stay(self, name: str) -> None:
        """It is to stop no longer, if it has not been asked yet."""
        if self._orders.pop(name, None) is not None:
            self._leaving.stay(name)
            self._wake((name, *self._needers.get(name, ())))

    def hurry(self) -> None:
        """All have been asked at once: order is over."""
        self._leaving.forget()
        self._orders.clear()

    def _along(self, name: str, reason: str) -> dict[str, Order]:
        return dict.fromkeys(self.needers(name), (True, "requirement", reason))

    def _ask(self, names: Iterable[str]) -> None:
        for name in names:
            again, cause, reason = self._orders.pop(name)
            keeper = self._keepers.get(name)
            if keeper is not None:
                keeper.post(Event.STOP, cause, reason, again=again)

    # --- what follows from a step ----------------------------------------------------------

    def moved(self, keeper: Keeper) -> None:
        """It has taken a step."""
        name = keeper.name
        if keeper.state in QUIET:
            self.gone(keeper)
            if name in self._held:
                self._release(self._held[name])
            if not (keeper.again or self.closing or name in self._held or self._may_come(name)):
                self._lost(keeper)
        if name in self._needers:
            self._wake(self._needers[name])

    def gone(self, keeper: Keeper) -> None:
        """There is nothing of it that could be stopped: those that it needed may go."""
        if keeper.name in self._leaving and keeper.name not in self._orders:
            self._ask(self._leaving.gone(keeper.name, self._needs.get(keeper.name, _NO_ONE)))

    def _lost(self, keeper: Keeper) -> None:
        """It has ended for good: what cannot be without it stops, and waits for it."""
        name = keeper.name
        for other in self._needers.get(name, ()):
            requires = self._keepers[other].workload.settings.workload.requires
            lost = any(need.name == name and not self._met(need) for need in requires)
            if lost and self._keepers[other].state not in _NOTHING and other not in self._leaving:
                reason = f"needs {name}, which is {keeper.state}"
                along = self._along(other, f"needs {other}, which {reason}")
                self.leave({**along, other: (True, "requirement", reason)})

    # --- groups ----------------------------------------------------------------------------

    def members(self, group: str) -> list[str]:
        """Names of a group's workloads, in the order in which they are started."""
        return [
            name
            for name in graph.start_order(self._needs)
            if self._keepers[name].workload.settings.workload.group == group
        ]

    def review(self, keeper: Keeper, decision: policy.Decision) -> policy.Decision:
        """A restart of a group's member counts against the group, and may take others along."""
        name = keeper.workload.settings.workload.group
        group = None if name is None else self._groups.get(name)
        if group is None or name is None or not isinstance(decision, policy.Restart):
            return decision
        if self.closing:
            return decision
        recent = groups.count(group, self._recent.get(name, ()), decision.at)
        if recent is None:
            self._recent[name] = ()
            said = f"{group.limit} restarts in group {name} within {group.window:g} s did not help"
            return policy.GiveUp(OnLimit.STOP_GROUP, f"{decision.reason}; {said}", True)
        self._recent[name] = recent
        others = [
            other
            for other in groups.taken_along(group, keeper.name, self.members(name))
            if self._keepers[other].state not in RESTING
        ]
        if others:
            self._held.update(dict.fromkeys((keeper.name, *others), name))
            reason = f"{keeper.name} of its group is restarted"
            stop = [other for other in others if self._keepers[other].state not in QUIET]
            self.leave(dict.fromkeys(stop, (True, "group", reason)))
        return decision

    def stop_group(self, keeper: Keeper, reason: str) -> None:
        """A member has failed for all: the others are stopped."""
        group = keeper.workload.settings.workload.group
        if group is None:
            return
        others = [name for name in self.members(group) if name != keeper.name]
        self.leave(dict.fromkeys(others, (False, "group", f"{keeper.name}: {reason}")))
        for name in (keeper.name, *others):
            self._held.pop(name, None)

    def _release(self, group: str) -> None:
        """Once all that are restarted together have gone, they begin."""
        held = [name for name, of in self._held.items() if of == group]
        keepers = [self._keepers[name] for name in held]
        if all(keeper.state in QUIET and not keeper.again for keeper in keepers):
            for name in held:
                del self._held[name]
            self._wake(held)

"""supervisor/alerts/incidents.py: one alert of each kind for one incident."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisor.alerts.incidents import BAD, Incident


def test_a_crash_loop_is_one_incident() -> None:
    """Told once, however often it comes up in between; then that it is well again."""
    incident = Incident(settle=60)

    assert incident.bad("failed")
    for minute in range(10):
        incident.well(minute * 10.0)
        assert not incident.recovered(minute * 10.0 + 9)
        assert not incident.bad("failed")
    assert incident.bad("gave-up")
    incident.well(200)
    assert incident.due == 260
    assert not incident.recovered(259)
    assert incident.recovered(260)
    assert not incident.recovered(1000)
    assert incident.bad("failed")


def test_being_well_is_no_news_of_its_own() -> None:
    """There was nothing to recover from, or somebody has stopped it."""
    incident = Incident(settle=0)
    incident.well(0)
    assert not incident.recovered(100)

    incident.bad("failed")
    incident.forget()
    incident.well(1)
    assert not incident.recovered(100)


def test_it_has_to_stay_well() -> None:
    """A clean end in between begins the wait anew."""
    incident = Incident(settle=10)
    incident.bad("oom")
    incident.well(0)
    incident.unwell()
    assert not incident.recovered(50)
    incident.well(50)
    incident.well(55)
    assert incident.recovered(60)


@given(st.lists(st.tuples(st.sampled_from([*BAD, "well", "tick"]), st.floats(0, 30))))
def test_news(steps: list[tuple[str, float]]) -> None:
    """Between two recoveries no kind is told twice."""
    incident = Incident(settle=20)
    told: set[str] = set()
    now = 0.0
    for what, later in steps:
        now += later
        if incident.recovered(now):
            assert told
            told.clear()
        if what == "well":
            incident.well(now)
        elif what != "tick" and incident.bad(what):
            assert what not in told
            told.add(what)

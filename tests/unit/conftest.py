"""hypothesis as the rest of the tests: nothing passes or fails by how long it took."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("creche", settings.get_profile("default"), deadline=None)
# Where CI is set hypothesis has a profile for that, which has no deadlines either.
if settings.get_current_profile_name() == "default":
    settings.load_profile("creche")

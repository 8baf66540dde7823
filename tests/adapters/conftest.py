"""The comparison with a table says what differs."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.adapters.truth")

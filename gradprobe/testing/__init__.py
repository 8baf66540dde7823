"""Assertions on gradient flow, for any test framework; the pytest fixture stands on them."""

from __future__ import annotations

from gradprobe.testing.assertions import assert_complete as assert_complete
from gradprobe.testing.assertions import assert_flows as assert_flows
from gradprobe.testing.assertions import assert_healthy as assert_healthy
from gradprobe.testing.assertions import assert_no_findings as assert_no_findings
from gradprobe.testing.assertions import assert_records as assert_records
from gradprobe.testing.probed_test import ProbedTest as ProbedTest

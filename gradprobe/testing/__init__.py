"""Assertions on gradient flow, for any test framework; the pytest fixture stands on them."""

from __future__ import annotations

from gradprobe.testing.assertions import assert_complete as assert_complete
from gradprobe.testing.assertions import assert_flows as assert_flows
from gradprobe.testing.assertions import assert_healthy as assert_healthy
from gradprobe.testing.assertions import assert_no_findings as assert_no_findings
from gradprobe.testing.assertions import assert_records as assert_records
from gradprobe.testing.comparing import assert_matches_snapshot as assert_matches_snapshot
from gradprobe.testing.comparing import assert_same_gradient as assert_same_gradient
from gradprobe.testing.function_form import assert_grad_flows as assert_grad_flows
from gradprobe.testing.gradient_structure import structure as structure
from gradprobe.testing.measures import assert_finite as assert_finite
from gradprobe.testing.measures import assert_grad_norm as assert_grad_norm
from gradprobe.testing.measures import assert_no_cut as assert_no_cut
from gradprobe.testing.measures import assert_reaches as assert_reaches
from gradprobe.testing.measures import assert_saved_bytes as assert_saved_bytes
from gradprobe.testing.probed_test import ProbedTest as ProbedTest

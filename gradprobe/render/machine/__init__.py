"""Reports for tools that read findings: code scanning, annotations, test results, pull requests."""

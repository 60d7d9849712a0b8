"""All scenarios of code answers, by sort of program (scenario.py says how one is written)."""

from __future__ import annotations

from spillover.data.build.code_scenarios import (
    api_and_django,
    ciphers_and_jobs,
    command_line,
    data_access,
    files_and_reports,
    flask_pages,
    flask_routes,
    servers,
    sign_in,
    workers,
)

SCENARIOS = (
    *flask_routes.SCENARIOS,
    *flask_pages.SCENARIOS,
    *api_and_django.SCENARIOS,
    *command_line.SCENARIOS,
    *data_access.SCENARIOS,
    *workers.SCENARIOS,
    *files_and_reports.SCENARIOS,
    *sign_in.SCENARIOS,
    *servers.SCENARIOS,
    *ciphers_and_jobs.SCENARIOS,
)

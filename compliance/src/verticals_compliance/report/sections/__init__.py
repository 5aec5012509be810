"""The sections of a report, one module each: `section(record) -> Section | None`."""

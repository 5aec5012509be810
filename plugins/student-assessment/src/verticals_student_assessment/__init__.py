"""Student assessment: items, abilities, risks and essays, judged fairly."""

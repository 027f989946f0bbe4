"""An evaluation to look at: one page of HTML that needs nothing else, and its plots as files."""

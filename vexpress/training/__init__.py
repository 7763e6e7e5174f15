"""Teaching the networks: a corpus of drawn talking faces."""

"""Teaching the networks: data, stages and loop; a corpus of drawn talking faces; rulers for what was learnt."""

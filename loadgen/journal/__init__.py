"""Keep a run on disk while it goes, so that it outlives a generator that is killed."""

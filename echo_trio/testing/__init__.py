"""Serve inside somebody else's program or test run: in a task, a thread, a pytest plugin."""

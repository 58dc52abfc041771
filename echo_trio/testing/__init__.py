"""Serve inside another program or test run: in a task, a thread, or a pytest fixture."""

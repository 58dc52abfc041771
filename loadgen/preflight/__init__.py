"""Whether this machine can do what a run asks of it, told before anything is dialled."""

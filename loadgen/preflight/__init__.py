"""Check whether this machine can do what a run asks for, before anything is dialled."""

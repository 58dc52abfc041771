"""Put faults between clients and a server of somebody's own: the proxy behind `--upstream`."""

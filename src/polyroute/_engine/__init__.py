"""How a call runs. It knows the protocols and no implementation; `failover.py` is the file to read first."""

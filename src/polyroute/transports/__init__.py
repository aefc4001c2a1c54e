"""Who moves the bytes: the only rooms that touch the network, each loaded where it is asked for."""

"""A simulated fleet: what becomes of an application's routes when hosts fail, in virtual time."""
